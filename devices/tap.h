/* SPDX-License-Identifier: BSD-3-Clause */
/* tap: the fds of a TAP interface, one for each pair of queues, by which whole packets come and go. */
#ifndef FASTPATH_TAP_H
#define FASTPATH_TAP_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#define TAP_MAX_QUEUES 16u

/* Before each packet: struct virtio_net_hdr_v1. */
#define TAP_HEADER_BYTES 12u

struct fp_device;

struct tap {
	char name[IFNAMSIZ];
	int fds[TAP_MAX_QUEUES];
	unsigned int nr;
	unsigned int nr_used; /* that the kernel gives packets to */
	bool is_multi;	      /* it can be told that */
};

/* Attaches to the interface, which is made unless it is there. -errno, and that has been said. */
int tap_open(struct tap *tap, struct fp_device *dev, const char *name, unsigned int nr);

/* Takes fds of a TAP: "N", or "N:N..." of one with several queues. -errno, and that has been said. */
int tap_take(struct tap *tap, struct fp_device *dev, const char *fds);

/* What packets for the guest may be like: TUN_F_*. */
void tap_set_offload(struct tap *tap, unsigned int flags);

/* Packets come to the first `nr` fds, if it has several queues; what waits at the others is dropped. */
void tap_use(struct tap *tap, unsigned int nr);

void tap_close(struct tap *tap);

#endif
