/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * netlink: what a device has done to a network interface of the host, by rtnetlink: it is set up, its
 * carrier is listened to, and what was made for it goes when the device does.
 */
#ifndef FASTPATH_NETLINK_H
#define FASTPATH_NETLINK_H

#include <stdbool.h>
#include <stdint.h>

#include "fastpath.h"

struct nl_sock;

struct netlink_wish {
	const char *name; /* of the interface */
	const uint8_t *mac;
	uint32_t mtu;	     /* 0: as it is */
	const char *bridge;  /* that it becomes a port of, or NULL */
	bool makes_bridge;   /* unless it is there */
	const char *address; /* "10.0.0.1/24", of the bridge if there is one, or NULL */
};

struct netlink {
	struct fp_device *dev;
	struct nl_sock *requests, *events;
	struct fp_watch watch;
	int link;
	int made_bridge;			  /* 0: none */
	int address_at;				  /* interface; 0: none */
	const char *address;			  /* that was added there */
	uint32_t mtu;				  /* of the interface */
	bool is_up;				  /* and has a carrier */
	void (*changed)(struct netlink *netlink); /* is_up */
};

/* Sets the interface up. -errno, and that has been said, and nothing is left of it. */
int netlink_open(struct netlink *netlink, struct fp_device *dev, const struct netlink_wish *wish);

/* Takes back what was made. The interface itself is not touched. */
void netlink_close(struct netlink *netlink);

#endif
