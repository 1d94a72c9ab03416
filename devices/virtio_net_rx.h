/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio_net_rx: packets from one queue of a TAP to one of the guest's.
 *
 * They are read to memory of our own, as nobody knows how many of the guest's buffers one will take:
 * those are taken once it is known, and left where they are when there are too few. Reads go in
 * rounds, each twice as large as the one before while the TAP has packets, and a round is one
 * interrupt.
 */
#ifndef FASTPATH_VIRTIO_NET_RX_H
#define FASTPATH_VIRTIO_NET_RX_H

#include "virtio.h"

/* With its header: the longest that a TAP has, 64 KiB and what is before an IP packet. */
#define NET_PACKET_BYTES (68u << 10)

#define NET_ROUND 8u /* packets at most */

struct net_rx;

struct net_packet {
	struct net_rx *rx;
	struct fp_file_op op;
	struct fp_piece piece;
	uint32_t len;
};

struct net_rx {
	struct virtio *virtio;
	struct virtqueue *vq;
	int fd;
	bool runs;    /* the guest wants packets; others are dropped */
	bool is_lost; /* the TAP is gone */
	bool is_watching;
	struct fp_watch watch;
	struct net_packet packets[NET_ROUND];
	unsigned int round; /* so many are asked for next */
	unsigned int asked; /* and have not come yet */
	bool is_dry;	    /* there were fewer */
	struct net_packet *came[NET_ROUND];
	unsigned int nr_came, first;

	/* Buffers for the first of these. */
	struct virtio_element *taken[VIRTQUEUE_MAX_SIZE];
	uint16_t nr_taken;
	uint64_t room;
	unsigned int writing; /* of them, and one for who begins to */
};

/* In open(): `fd` is the TAP's. -ENOMEM. */
int net_rx_init(struct net_rx *rx, struct virtio *virtio, struct virtqueue *vq, int fd);

/* Begins, or ends: packets that have come are dropped. */
void net_rx_run(struct net_rx *rx, bool runs);

/* Before the fd is closed. */
void net_rx_close(struct net_rx *rx);

/* Of struct virtio_ops, for elements of rx->vq. */
bool net_rx_wants(const struct net_rx *rx);
void net_rx_handle(struct net_rx *rx, struct virtio_element *element);
void net_rx_looked(struct net_rx *rx);
void net_rx_lost(struct net_rx *rx);

#endif
