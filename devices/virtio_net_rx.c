/* SPDX-License-Identifier: BSD-3-Clause */
#include "virtio_net_rx.h"

#include <errno.h>
#include <linux/virtio_net.h>

#include "tap.h"

/* ---- from the TAP ---- */

static void next_round(struct net_rx *rx);

static bool has_packet(const struct net_rx *rx)
{
	return !rx->asked && rx->first < rx->nr_came;
}

static void round_is_over(struct net_rx *rx)
{
	rx->round = rx->is_dry ? 1 : 2 * rx->round;
	if (rx->round > NET_ROUND)
		rx->round = NET_ROUND;
	if (!rx->runs)
		rx->first = rx->nr_came;
	if (has_packet(rx))
		virtqueue_look(rx->vq);
	else
		next_round(rx);
}

/* Reads end in the order in which they got their packets. */
static void was_read(struct fp_device *dev, struct fp_file_op *op, int64_t ret)
{
	struct net_packet *packet =
		(struct net_packet *)((char *)op - offsetof(struct net_packet, op));
	struct net_rx *rx = packet->rx;

	if (ret >= (int64_t)TAP_HEADER_BYTES) {
		packet->len = (uint32_t)ret;
		rx->came[rx->nr_came++] = packet;
	} else {
		rx->is_dry = true;
	}
	if (ret < 0 && ret != -EAGAIN && ret != -ENOMEM && !rx->is_lost) {
		rx->is_lost = true;
		if (ret != -ECANCELED)
			fp_error(dev, "the TAP: %s: nothing is received any more",
				 strerror((int)-ret));
	}
	if (!--rx->asked)
		round_is_over(rx);
}

static void ready(struct fp_device *dev, struct fp_watch *watch)
{
	struct net_rx *rx = (struct net_rx *)((char *)watch - offsetof(struct net_rx, watch));

	(void)dev;
	rx->is_watching = rx->is_dry = false;
	next_round(rx);
}

static void next_round(struct net_rx *rx)
{
	struct fp_device *dev = rx->virtio->dev;

	if (!rx->runs || rx->is_lost || rx->is_watching || rx->asked || rx->writing)
		return;
	rx->first = rx->nr_came = 0;
	if (rx->is_dry) {
		rx->is_watching = true;
		fp_watch_start(dev, &rx->watch, rx->fd);
		return;
	}
	rx->asked = rx->round;
	for (unsigned int i = 0, nr = rx->round; i < nr; i++)
		fp_file_read(dev, &rx->packets[i].op, rx->fd, FP_STREAM_NOW, &rx->packets[i].piece,
			     1);
}

/* ---- to the guest ---- */

bool net_rx_wants(const struct net_rx *rx)
{
	return rx->runs && has_packet(rx) && !rx->writing;
}

static void forget_taken(struct net_rx *rx)
{
	rx->nr_taken = 0;
	rx->room = 0;
}

/* One of those that write has ended. When all have, the packet is the driver's. */
static void was_put(struct net_rx *rx)
{
	uint16_t nr = rx->nr_taken;

	if (--rx->writing)
		return;
	forget_taken(rx);
	if (rx->first < rx->nr_came) /* else it was dropped meanwhile */
		rx->first++;
	for (uint16_t i = 0; i < nr; i++)
		virtio_element_done(rx->taken[i]);
	virtqueue_look(rx->vq);
}

/* What an element's own is. */
static struct net_rx *rx_of(const struct virtio_element *element)
{
	return *(struct net_rx **)element->own;
}

static void was_written(struct steps *steps)
{
	was_put(rx_of(virtio_element_of(steps)));
}

void net_rx_lost(struct net_rx *rx)
{
	virtio_needs_reset(rx->virtio, rx->vq->index, "a buffer is not in memory");
	was_put(rx);
}

static void put(struct net_rx *rx)
{
	struct net_packet *packet = rx->came[rx->first];
	struct virtio_net_hdr_v1 *header = packet->piece.own;
	const uint8_t *at = packet->piece.own;
	size_t left = packet->len;

	header->num_buffers = rx->nr_taken;
	rx->writing = rx->nr_taken + 1u;
	virtqueue_hold(rx->vq);
	for (uint16_t i = 0; i < rx->nr_taken; i++) {
		struct virtio_element *element = rx->taken[i];
		size_t n = element->in_bytes < left ? (size_t)element->in_bytes : left;

		memcpy(element->own, &rx, sizeof(struct net_rx *));
		virtio_element_write(element, at, n, was_written);
		at += n;
		left -= n;
	}
	was_put(rx);
}

/* Too long for a buffer, of which the driver may not have to use several: as on a wire, it is lost. */
static void drop_too_long(struct net_rx *rx)
{
	while (has_packet(rx) && rx->came[rx->first]->len > rx->room)
		rx->first++;
}

void net_rx_handle(struct net_rx *rx, struct virtio_element *element)
{
	bool may_be_many = virtio_has(rx->virtio, VIRTIO_NET_F_MRG_RXBUF);

	if (element->nr_out || element->in_bytes < TAP_HEADER_BYTES) {
		virtio_element_fail(element, "a buffer that no packet can be received to");
		return;
	}
	rx->taken[rx->nr_taken++] = element;
	rx->room += element->in_bytes;
	if (!may_be_many)
		drop_too_long(rx);
	if (has_packet(rx) && rx->room >= rx->came[rx->first]->len)
		put(rx);
}

/* What is not enough for a packet is there again when the driver has made more available. */
static void give_back(struct net_rx *rx)
{
	while (rx->nr_taken) {
		rx->room = 0;
		virtio_element_return(rx->taken[--rx->nr_taken]);
	}
}

void net_rx_looked(struct net_rx *rx)
{
	if (!rx->writing)
		give_back(rx);
	virtqueue_release(rx->vq);
	if (!rx->writing && !has_packet(rx))
		next_round(rx);
}

/* ---- life ---- */

void net_rx_run(struct net_rx *rx, bool runs)
{
	rx->runs = runs;
	rx->is_dry = false;
	if (!rx->asked)
		rx->first = rx->nr_came;
	if (runs)
		next_round(rx);
}

int net_rx_init(struct net_rx *rx, struct virtio *virtio, struct virtqueue *vq, int fd)
{
	uint8_t *bytes = fp_alloc(virtio->dev, (size_t)NET_ROUND * NET_PACKET_BYTES);

	if (!bytes)
		return -ENOMEM;
	rx->virtio = virtio;
	rx->vq = vq;
	rx->fd = fd;
	rx->round = 1;
	rx->watch.ready = ready;
	for (unsigned int i = 0; i < NET_ROUND; i++) {
		rx->packets[i].rx = rx;
		rx->packets[i].op.done = was_read;
		rx->packets[i].piece.own = bytes + (size_t)i * NET_PACKET_BYTES;
		rx->packets[i].piece.len = NET_PACKET_BYTES;
	}
	return 0;
}

void net_rx_close(struct net_rx *rx)
{
	rx->runs = false;
	if (rx->is_watching)
		fp_watch_stop(&rx->watch);
}
