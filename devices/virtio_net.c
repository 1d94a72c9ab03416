/* SPDX-License-Identifier: BSD-3-Clause */
/* virtio-net: a network card at a TAP (virtio 1.2, 5.1). */
#include <errno.h>
#include <linux/if_tun.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/syscall.h>

#include "netlink.h"
#include "tap.h"
#include "virtio_net_rx.h"
#include "virtio_pci.h"

#define MAC_BYTES 6u
#define MIN_MTU 68u
#define MAX_MTU 65521u /* of a TAP */

/* From a client's last window, until the guest's memory is believed to be all there again. */
#define SETTLE_NS 100000000ull

struct net {
	struct virtio virtio; /* first */
	const char *tap_name;
	const char *fds;
	const char *bridge;
	const char *address;
	const char *mac;
	bool makes_bridge;
	uint64_t mtu;
	uint64_t nr_pairs;

	struct tap tap;
	struct netlink netlink;
	struct net_rx rx[TAP_MAX_QUEUES];
	unsigned int pairs;			 /* in use */
	unsigned int sending[VIRTIO_MAX_QUEUES]; /* packets, by queue */
	bool is_away;				 /* the guest's memory, or some of it */
	bool is_loading;			 /* there was a driver elsewhere */
	bool announces;
	struct fp_timer settled;
};

/* An element's own: which of these depends on its queue. */
union own {
	struct net_rx *rx;
	struct fp_file_op sends;
	struct {
		struct virtio_net_ctrl_hdr header;
		uint16_t data;
		uint8_t ack;
		uint64_t ack_at; /* iova */
	} control;
};

static struct net *net_of(const struct virtqueue *vq)
{
	return (struct net *)vq->virtio;
}

/* 5.1.2: behind all pairs, if the driver knows of more than one. */
static bool is_control(const struct virtqueue *vq)
{
	return vq->index ==
	       (virtio_has(vq->virtio, VIRTIO_NET_F_MQ) ? 2 * net_of(vq)->nr_pairs : 2);
}

static bool receives(const struct virtqueue *vq)
{
	return !is_control(vq) && vq->index < 2 * net_of(vq)->nr_pairs && !(vq->index % 2);
}

static struct virtio_net_config *config_of(struct net *net)
{
	return net->virtio.config;
}

/* ---- transmitting ---- */

/* What the kernel does not take is lost, as on a wire. */
static void sent(struct fp_device *dev, struct fp_file_op *op, int64_t ret)
{
	struct virtio_element *element = (struct virtio_element *)op - 1;
	struct virtqueue *vq = element->vq;
	struct net *net = net_of(vq);

	(void)dev;
	if (ret == -EFAULT || ret == -ENOTCONN)
		virtio_element_fail(element, "a packet is not in memory");
	else
		virtio_element_done(element);
	if (!--net->sending[vq->index])
		virtqueue_release(vq);
}

static void transmit(struct net *net, struct virtio_element *element)
{
	union own *own = element->own;
	struct virtqueue *vq = element->vq;

	if (element->nr_in) {
		virtio_element_fail(element, "a packet to be sent that is to be written to");
	} else if (element->out_bytes < TAP_HEADER_BYTES || element->out_bytes > NET_PACKET_BYTES) {
		virtio_element_fail(element, "a packet of a length that none has");
	} else {
		net->sending[vq->index]++;
		virtqueue_hold(vq);
		own->sends.done = sent;
		fp_file_write(net->virtio.dev, &own->sends, net->tap.fds[vq->index / 2], FP_STREAM,
			      element->out, element->nr_out);
	}
}

/* ---- what the driver wants of the device ---- */

static void set_pairs(struct net *net, unsigned int pairs)
{
	net->pairs = pairs;
	tap_use(&net->tap, pairs);
	for (unsigned int i = 0; i < net->nr_pairs; i++)
		if (net->rx[i].runs != (i < pairs && !net->is_away))
			net_rx_run(&net->rx[i], i < pairs && !net->is_away);
}

static uint8_t do_pairs(struct net *net, uint16_t pairs)
{
	if (!virtio_has(&net->virtio, VIRTIO_NET_F_MQ) || !pairs || pairs > net->nr_pairs)
		return VIRTIO_NET_ERR;
	set_pairs(net, pairs);
	return VIRTIO_NET_OK;
}

static uint8_t do_announced(struct net *net, uint16_t data)
{
	(void)data;
	config_of(net)->status &= (uint16_t)~VIRTIO_NET_S_ANNOUNCE;
	return VIRTIO_NET_OK;
}

static const struct {
	struct virtio_net_ctrl_hdr header;
	uint16_t bytes; /* of data */
	uint8_t (*run)(struct net *net, uint16_t data);
} commands[] = {
	{ { VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET }, 2, do_pairs },
	{ { VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK }, 0, do_announced },
};

static void finished(struct steps *steps)
{
	virtio_element_done(virtio_element_of(steps));
}

static void put_ack(struct steps *steps)
{
	const union own *own = virtio_element_of(steps)->own;

	steps_write(steps, own->control.ack_at, &own->control.ack, 1, finished);
}

static void has_data(struct steps *steps)
{
	struct virtio_element *element = virtio_element_of(steps);
	union own *own = element->own;
	const struct virtio_net_ctrl_hdr *header = &own->control.header;

	own->control.ack = VIRTIO_NET_ERR;
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (!memcmp(header, &commands[i].header, sizeof(*header)) &&
		    element->written == commands[i].bytes)
			own->control.ack = commands[i].run(net_of(element->vq), own->control.data);
	element->written = 1;
	virtio_element_then(element, put_ack);
}

static void has_header(struct steps *steps)
{
	struct virtio_element *element = virtio_element_of(steps);
	union own *own = element->own;
	size_t most = sizeof(own->control.data);

	/* Of more than there may be it is no command that we know. */
	element->written = element->out_bytes <= most ? (uint32_t)element->out_bytes : UINT32_MAX;
	virtio_element_read(element, &own->control.data,
			    element->out_bytes < most ? (size_t)element->out_bytes : most,
			    has_data);
}

static void control(struct virtio_element *element)
{
	union own *own = element->own;

	if (element->out_bytes < sizeof(own->control.header))
		virtio_element_fail(element, "a command without a header");
	else if (!virtio_element_tail(element, 1, &own->control.ack_at))
		virtio_element_fail(element, "a command without room for an answer");
	else
		virtio_element_read(element, &own->control.header, sizeof(own->control.header),
				    has_header);
}

/* ---- queues ---- */

static bool wants(const struct virtqueue *vq)
{
	return !receives(vq) || net_rx_wants(&net_of(vq)->rx[vq->index / 2]);
}

static void looked(struct virtqueue *vq)
{
	if (receives(vq))
		net_rx_looked(&net_of(vq)->rx[vq->index / 2]);
}

static void lost(struct virtio_element *element)
{
	if (receives(element->vq))
		net_rx_lost(&net_of(element->vq)->rx[element->vq->index / 2]);
	else
		virtio_element_fail(element, "a buffer is not in memory");
}

static void handle(struct virtio *virtio, struct virtio_element *element)
{
	struct net *net = (struct net *)virtio;
	const struct virtqueue *vq = element->vq;

	if (is_control(vq))
		control(element);
	else if (vq->index >= 2 * net->nr_pairs)
		virtio_element_fail(element, "there is no such queue without MQ");
	else if (receives(vq))
		net_rx_handle(&net->rx[vq->index / 2], element);
	else
		transmit(net, element);
}

/* ---- features ---- */

/* What a driver takes, as the kernel is told of it. */
static const struct {
	unsigned int feature;
	unsigned int flag;
} offloads[] = {
	{ VIRTIO_NET_F_GUEST_CSUM, TUN_F_CSUM },
	{ VIRTIO_NET_F_GUEST_TSO4, TUN_F_TSO4 },
	{ VIRTIO_NET_F_GUEST_TSO6, TUN_F_TSO6 },
	{ VIRTIO_NET_F_GUEST_ECN, TUN_F_TSO_ECN },
};

static unsigned int offload_flags(const struct virtio *virtio)
{
	unsigned int flags = 0;

	if (!virtio_has(virtio, VIRTIO_NET_F_GUEST_CSUM))
		return 0; /* the others need it */
	for (size_t i = 0; i < sizeof(offloads) / sizeof(*offloads); i++)
		if (virtio_has(virtio, offloads[i].feature))
			flags |= offloads[i].flag;
	return flags;
}

static void live(struct virtio *virtio, bool is_live)
{
	struct net *net = (struct net *)virtio;

	if (is_live) {
		/* The driver who has just said so has its memory there. */
		net->is_away = net->is_away && net->is_loading;
		tap_set_offload(&net->tap, offload_flags(virtio));
	} else {
		config_of(net)->status &= (uint16_t)~VIRTIO_NET_S_ANNOUNCE;
		net->announces = false;
	}
	set_pairs(net, is_live);
}

static const struct virtio_ops ops = {
	.features = 1ull << VIRTIO_NET_F_CSUM | 1ull << VIRTIO_NET_F_GUEST_CSUM |
		    1ull << VIRTIO_NET_F_HOST_TSO4 | 1ull << VIRTIO_NET_F_HOST_TSO6 |
		    1ull << VIRTIO_NET_F_HOST_ECN | 1ull << VIRTIO_NET_F_GUEST_TSO4 |
		    1ull << VIRTIO_NET_F_GUEST_TSO6 | 1ull << VIRTIO_NET_F_GUEST_ECN |
		    1ull << VIRTIO_NET_F_MRG_RXBUF | 1ull << VIRTIO_NET_F_MAC |
		    1ull << VIRTIO_NET_F_STATUS | 1ull << VIRTIO_NET_F_CTRL_VQ |
		    1ull << VIRTIO_NET_F_GUEST_ANNOUNCE,
	.element_bytes = sizeof(union own),
	.handle = handle,
	.wants = wants,
	.looked = looked,
	.lost = lost,
	.live = live,
};

/* ---- events ---- */

static void carrier_changed(struct netlink *netlink)
{
	struct net *net = (struct net *)((char *)netlink - offsetof(struct net, netlink));
	struct virtio_net_config *config = config_of(net);

	config->status &= (uint16_t)~VIRTIO_NET_S_LINK_UP;
	if (netlink->is_up)
		config->status |= VIRTIO_NET_S_LINK_UP;
	virtio_config_changed(&net->virtio);
}

static void memory_is_there(struct fp_device *dev, struct fp_timer *timer)
{
	struct net *net = fp_state(dev);

	(void)timer;
	net->is_away = false;
	set_pairs(net, net->pairs);
}

/* After a migration whoever sends to the guest has to learn where it is. */
static void announce(struct net *net)
{
	if (!net->announces)
		return;
	net->announces = false;
	config_of(net)->status |= VIRTIO_NET_S_ANNOUNCE;
	virtio_config_changed(&net->virtio);
}

static void on_event(struct fp_device *dev, enum fp_event event, const struct fp_window *window)
{
	struct net *net = fp_state(dev);

	if (event == FP_CLIENT_GONE) {
		/* A packet could not be put anywhere: the next client goes on with the guest. */
		fp_timer_stop(&net->settled);
		net->is_away = true;
		set_pairs(net, net->pairs);
	} else if (event == FP_WINDOW_OPENED && net->is_away) {
		fp_timer_start(dev, &net->settled, SETTLE_NS);
	} else if (event == FP_RUNS) {
		announce(net);
	}
	virtio_on_event(dev, event, window);
}

/* ---- life ---- */

static int parse_mac(struct fp_device *dev, struct net *net, uint8_t *mac)
{
	unsigned int byte[MAC_BYTES];
	int end = 0;

	if (!net->mac) {
		if (getrandom(mac, MAC_BYTES, 0) != MAC_BYTES)
			return -EIO;
		mac[0] = (uint8_t)((mac[0] & 0xfc) | 2); /* nobody's in particular */
		return 0;
	}
	if (sscanf(net->mac, "%2x:%2x:%2x:%2x:%2x:%2x%n", &byte[0], &byte[1], &byte[2], &byte[3],
		   &byte[4], &byte[5], &end) != MAC_BYTES ||
	    end != 17 || net->mac[end] || byte[0] & 1) {
		fp_error(dev, "mac=%s: six bytes of one station, as 52:54:00:12:34:56", net->mac);
		return -EINVAL;
	}
	for (unsigned int i = 0; i < MAC_BYTES; i++)
		mac[i] = (uint8_t)byte[i];
	return 0;
}

static const char *wrong_keys(const struct net *net)
{
	if (!net->tap_name == !net->fds)
		return "tap=NAME or fd=N is needed, and not both";
	if (net->fds && (net->bridge || net->address || net->makes_bridge))
		return "with fd=N, bridge= and address= are whoever opened the TAP's to set";
	if (net->fds && net->nr_pairs)
		return "with fd=N:N... there are as many queues as fds: queues= is not for that";
	if (net->makes_bridge && !net->bridge)
		return "create-bridge=on needs a bridge=NAME";
	if (net->nr_pairs > TAP_MAX_QUEUES)
		return "queues=: 16 at most";
	if (net->mtu && (net->mtu < MIN_MTU || net->mtu > MAX_MTU))
		return "mtu=: 68 to 65521";
	return NULL;
}

static unsigned int count_fds(const char *fds)
{
	unsigned int nr = 1;

	while (*fds)
		nr += *fds++ == ':';
	return nr < TAP_MAX_QUEUES ? nr : TAP_MAX_QUEUES;
}

static int configure(struct fp_device *dev, struct fp_class *own)
{
	struct net *net = fp_state(dev);
	const char *why = wrong_keys(net);
	int ret;

	if (why) {
		fp_error(dev, "%s", why);
		return -EINVAL;
	}
	if (net->fds)
		net->nr_pairs = count_fds(net->fds);
	else if (!net->nr_pairs)
		net->nr_pairs = 1;
	ret = virtio_init(&net->virtio, dev, &ops, (uint16_t)(2 * net->nr_pairs + 1),
			  sizeof(struct virtio_net_config));
	return ret ? ret : virtio_pci_configure(&net->virtio, own, VIRTIO_ID_NET, 0x020000);
}

static int open_tap(struct fp_device *dev, struct net *net, const uint8_t *guests)
{
	/* The host's end has another address, and one that a bridge does not take for its own. */
	const uint8_t mac[] = { 0xfe, guests[1], guests[2], guests[3], guests[4], guests[5] };
	struct netlink_wish wish = {
		.mac = mac,
		.mtu = (uint32_t)net->mtu,
		.bridge = net->bridge,
		.makes_bridge = net->makes_bridge,
		.address = net->address,
	};
	int ret;

	if (net->fds)
		return tap_take(&net->tap, dev, net->fds);
	ret = tap_open(&net->tap, dev, net->tap_name, (unsigned int)net->nr_pairs);
	if (ret)
		return ret;
	wish.name = net->tap.name;
	net->netlink.changed = carrier_changed;
	ret = netlink_open(&net->netlink, dev, &wish);
	if (ret)
		tap_close(&net->tap);
	return ret;
}

static void fill_config(struct net *net)
{
	struct virtio_net_config *config = config_of(net);
	uint32_t mtu = net->fds ? (uint32_t)net->mtu : net->netlink.mtu;
	bool is_up = net->fds || net->netlink.is_up;

	config->status = is_up ? VIRTIO_NET_S_LINK_UP : 0;
	config->max_virtqueue_pairs = (uint16_t)net->nr_pairs;
	config->mtu = (uint16_t)mtu;
	if (net->nr_pairs > 1)
		net->virtio.offered |= 1ull << VIRTIO_NET_F_MQ;
	if (mtu)
		net->virtio.offered |= 1ull << VIRTIO_NET_F_MTU;
}

static void close_net(struct fp_device *dev)
{
	struct net *net = fp_state(dev);

	virtio_on_close(dev);
	fp_timer_stop(&net->settled);
	for (unsigned int i = 0; i < net->nr_pairs; i++)
		net_rx_close(&net->rx[i]);
	if (!net->fds)
		netlink_close(&net->netlink);
	tap_close(&net->tap);
}

static int open_net(struct fp_device *dev)
{
	struct net *net = fp_state(dev);
	uint8_t *mac = config_of(net)->mac;
	int ret = parse_mac(dev, net, mac);

	if (!ret)
		ret = open_tap(dev, net, mac);
	if (ret)
		return ret;
	for (uint16_t i = 0; i < net->nr_pairs && !ret; i++)
		ret = net_rx_init(&net->rx[i], &net->virtio, &net->virtio.queues[2 * i],
				  net->tap.fds[i]);
	if (ret) {
		close_net(dev);
		return ret;
	}
	net->is_away = true;
	net->settled.expired = memory_is_there;
	fill_config(net);
	set_pairs(net, 0);
	return 0;
}

/* ---- migration ---- */

struct saved {
	uint8_t mac[MAC_BYTES];
	uint16_t pairs;
};

static int save(struct fp_device *dev, struct fp_stream *to)
{
	struct net *net = fp_state(dev);
	struct saved saved = { .pairs = (uint16_t)net->pairs };

	memcpy(saved.mac, config_of(net)->mac, MAC_BYTES);
	fp_stream_write(to, &saved, sizeof(saved));
	return virtio_on_save(dev, to);
}

static int load(struct fp_device *dev, struct fp_stream *from)
{
	struct net *net = fp_state(dev);
	struct saved saved;
	int ret;

	if (fp_stream_read(from, &saved, sizeof(saved)) || saved.pairs > net->nr_pairs)
		return -EINVAL;
	net->is_loading = true;
	ret = virtio_on_load(dev, from);
	net->is_loading = false;
	if (ret)
		return ret;
	memcpy(config_of(net)->mac, saved.mac, MAC_BYTES);
	if (virtio_is_live(&net->virtio) && saved.pairs)
		set_pairs(net, saved.pairs);
	net->announces = virtio_has(&net->virtio, VIRTIO_NET_F_GUEST_ANNOUNCE);
	return 0;
}

static const struct fp_key keys[] = {
	{ "tap", FP_KEY_STRING, offsetof(struct net, tap_name),
	  "the TAP, made unless it is there" },
	{ "fd", FP_KEY_STRING, offsetof(struct net, fds), "or its fds: N, or N:N..." },
	{ "queues", FP_KEY_U64, offsetof(struct net, nr_pairs), "pairs, 1 to 16; default 1" },
	{ "mac", FP_KEY_STRING, offsetof(struct net, mac), "of the guest; default: a random one" },
	{ "mtu", FP_KEY_U64, offsetof(struct net, mtu), "68 to 65521" },
	{ "bridge", FP_KEY_STRING, offsetof(struct net, bridge), "that the TAP becomes a port of" },
	{ "create-bridge", FP_KEY_BOOL, offsetof(struct net, makes_bridge),
	  "on: unless it is there" },
	{ "address", FP_KEY_STRING, offsetof(struct net, address),
	  "of the host, as 10.0.0.1/24: the bridge's, or the TAP's" },
	{ 0 },
};

/* Of a TAP, when a driver starts; the interface itself is set up by then. */
static const struct fp_call calls[] = {
	FP_IOCTL(TUNSETOFFLOAD),
	FP_IOCTL(TUNSETQUEUE),
};

FP_DEVICE(virtio_net) = {
	.name = "virtio-net",
	.summary = "a network card at a TAP",
	.state_bytes = sizeof(struct net),
	.keys = keys,
	.needs = FP_NEEDS_FILES,
	.calls = calls,
	.nr_calls = sizeof(calls) / sizeof(*calls),
	.configure = configure,
	.open = open_net,
	.reset = virtio_on_reset,
	.event = on_event,
	.save = save,
	.load = load,
	.close = close_net,
};
