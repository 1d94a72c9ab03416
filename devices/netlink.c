/* SPDX-License-Identifier: BSD-3-Clause */
#include "netlink.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/bridge.h>

/* ---- libnl's objects end with their scope ---- */

static void put_link(struct rtnl_link **link)
{
	rtnl_link_put(*link);
}

static void put_addr(struct nl_addr **addr)
{
	nl_addr_put(*addr);
}

static void put_rtnl_addr(struct rtnl_addr **addr)
{
	rtnl_addr_put(*addr);
}

#define CLEANUP_LINK __attribute__((cleanup(put_link)))
#define CLEANUP_ADDR __attribute__((cleanup(put_addr)))
#define CLEANUP_RTNL_ADDR __attribute__((cleanup(put_rtnl_addr)))

static int failed(struct netlink *netlink, const char *key, const char *value, int ret)
{
	fp_error(netlink->dev, "%s=%s: %s", key, value, nl_geterror(ret));
	return ret == -NLE_PERM ? -EPERM : -EIO;
}

/* ---- the interface ---- */

/* Changes of an interface, which are few enough to be made one by one: each fails by itself. */
static int change(struct netlink *netlink, int index, struct rtnl_link *to)
{
	CLEANUP_LINK struct rtnl_link *link = rtnl_link_alloc();

	if (!link || !to)
		return -NLE_NOMEM;
	rtnl_link_set_ifindex(link, index);
	return rtnl_link_change(netlink->requests, link, to, 0);
}

static int set_up(struct netlink *netlink, int index)
{
	CLEANUP_LINK struct rtnl_link *to = rtnl_link_alloc();

	if (to)
		rtnl_link_set_flags(to, IFF_UP);
	return change(netlink, index, to);
}

static int set_mtu(struct netlink *netlink, uint32_t mtu)
{
	CLEANUP_LINK struct rtnl_link *to = rtnl_link_alloc();

	if (to)
		rtnl_link_set_mtu(to, mtu);
	return change(netlink, netlink->link, to);
}

static int set_mac(struct netlink *netlink, const uint8_t *mac)
{
	CLEANUP_LINK struct rtnl_link *to = rtnl_link_alloc();
	CLEANUP_ADDR struct nl_addr *addr = nl_addr_build(AF_LLC, mac, 6);

	if (!addr)
		return -NLE_NOMEM;
	if (to)
		rtnl_link_set_addr(to, addr);
	return change(netlink, netlink->link, to);
}

/* ---- the bridge ---- */

static int make_bridge(struct netlink *netlink, const char *name, struct rtnl_link **bridge)
{
	int ret = rtnl_link_bridge_add(netlink->requests, name);

	if (!ret)
		ret = rtnl_link_get_kernel(netlink->requests, 0, name, bridge);
	if (!ret)
		netlink->made_bridge = rtnl_link_get_ifindex(*bridge);
	return ret ? failed(netlink, "bridge", name, ret) : 0;
}

static int join(struct netlink *netlink, struct rtnl_link *bridge, const char *name)
{
	int index = rtnl_link_get_ifindex(bridge);
	int ret;

	if (!rtnl_link_is_bridge(bridge)) {
		fp_error(netlink->dev, "bridge=%s: it is no bridge", name);
		return -EINVAL;
	}
	ret = rtnl_link_enslave_ifindex(netlink->requests, index, netlink->link);
	if (!ret)
		ret = set_up(netlink, index);
	return ret ? failed(netlink, "bridge", name, ret) : index;
}

/* Its index, or -errno. */
static int find_bridge(struct netlink *netlink, const struct netlink_wish *wish)
{
	CLEANUP_LINK struct rtnl_link *bridge = NULL;
	int ret = rtnl_link_get_kernel(netlink->requests, 0, wish->bridge, &bridge);

	if (ret && !wish->makes_bridge) {
		fp_error(netlink->dev, "bridge=%s: it is not there; create-bridge=on would make it",
			 wish->bridge);
		return -ENODEV;
	}
	ret = ret ? make_bridge(netlink, wish->bridge, &bridge) : 0;
	return ret ? ret : join(netlink, bridge, wish->bridge);
}

/* ---- the address ---- */

static int address(struct netlink *netlink, int index, const char *text,
		   int (*with)(struct nl_sock *, struct rtnl_addr *, int))
{
	CLEANUP_RTNL_ADDR struct rtnl_addr *addr = rtnl_addr_alloc();
	CLEANUP_ADDR struct nl_addr *local = NULL;
	int ret = addr ? nl_addr_parse(text, AF_UNSPEC, &local) : -NLE_NOMEM;

	if (ret)
		return ret;
	rtnl_addr_set_ifindex(addr, index);
	ret = rtnl_addr_set_local(addr, local);
	return ret ? ret : with(netlink->requests, addr, 0);
}

static int add_address(struct netlink *netlink, int index, const char *text)
{
	int ret = address(netlink, index, text, rtnl_addr_add);

	if (ret == -NLE_EXIST)
		return 0; /* and stays when we go */
	if (ret)
		return failed(netlink, "address", text, ret);
	netlink->address_at = index;
	netlink->address = text;
	return 0;
}

/* ---- the carrier ---- */

static void has(struct netlink *netlink, struct rtnl_link *link)
{
	netlink->is_up = rtnl_link_get_flags(link) & IFF_UP && rtnl_link_get_carrier(link);
}

static void look(struct netlink *netlink)
{
	CLEANUP_LINK struct rtnl_link *link = NULL;

	if (rtnl_link_get_kernel(netlink->requests, netlink->link, NULL, &link)) {
		netlink->is_up = false;
		return;
	}
	netlink->mtu = rtnl_link_get_mtu(link);
	has(netlink, link);
}

static int heard(struct nl_msg *msg, void *arg)
{
	struct nlmsghdr *header = nlmsg_hdr(msg);
	const struct ifinfomsg *info = nlmsg_data(header);
	struct netlink *netlink = arg;

	/* What it was then may have changed since: only that there was something matters. */
	if (nlmsg_valid_hdr(header, sizeof(*info)) && info->ifi_index == netlink->link)
		look(netlink);
	return NL_OK;
}

static void events_came(struct fp_device *dev, struct fp_watch *watch)
{
	struct netlink *netlink =
		(struct netlink *)((char *)watch - offsetof(struct netlink, watch));
	bool was_up = netlink->is_up;
	int ret;

	do
		ret = nl_recvmsgs_default(netlink->events);
	while (!ret);
	if (ret != -NLE_AGAIN) /* some were lost */
		look(netlink);
	fp_watch_start(dev, watch, nl_socket_get_fd(netlink->events));
	if (netlink->is_up != was_up)
		netlink->changed(netlink);
}

static int hear_of_links(struct netlink *netlink)
{
	int ret;

	nl_socket_disable_seq_check(netlink->events);
	ret = nl_socket_modify_cb(netlink->events, NL_CB_VALID, NL_CB_CUSTOM, heard, netlink);
	if (!ret)
		ret = nl_connect(netlink->events, NETLINK_ROUTE);
	if (!ret)
		ret = nl_socket_add_membership(netlink->events, RTNLGRP_LINK);
	if (!ret)
		ret = nl_socket_set_nonblocking(netlink->events);
	if (ret)
		return ret;
	netlink->watch.ready = events_came;
	fp_watch_start(netlink->dev, &netlink->watch, nl_socket_get_fd(netlink->events));
	return 0;
}

/* ---- life ---- */

static int connect_both(struct netlink *netlink, const char *name)
{
	CLEANUP_LINK struct rtnl_link *link = NULL;
	int ret = -NLE_NOMEM;

	netlink->requests = nl_socket_alloc();
	netlink->events = nl_socket_alloc();
	if (netlink->requests && netlink->events)
		ret = nl_connect(netlink->requests, NETLINK_ROUTE);
	if (!ret)
		ret = rtnl_link_get_kernel(netlink->requests, 0, name, &link);
	if (!ret)
		netlink->link = rtnl_link_get_ifindex(link);
	if (!ret)
		ret = hear_of_links(netlink);
	return ret ? failed(netlink, "tap", name, ret) : 0;
}

static int set_all(struct netlink *netlink, const struct netlink_wish *wish)
{
	int at = netlink->link;
	int ret = set_mac(netlink, wish->mac);

	if (ret)
		return failed(netlink, "tap", wish->name, ret);
	ret = wish->mtu ? set_mtu(netlink, wish->mtu) : 0;
	if (ret) {
		fp_error(netlink->dev, "mtu=%u: %s", wish->mtu, nl_geterror(ret));
		return -EINVAL;
	}
	if (wish->bridge)
		at = find_bridge(netlink, wish);
	if (at < 0)
		return at;
	ret = set_up(netlink, netlink->link);
	if (ret)
		return failed(netlink, "tap", wish->name, ret);
	return wish->address ? add_address(netlink, at, wish->address) : 0;
}

int netlink_open(struct netlink *netlink, struct fp_device *dev, const struct netlink_wish *wish)
{
	int ret;

	netlink->dev = dev;
	ret = connect_both(netlink, wish->name);
	if (!ret)
		ret = set_all(netlink, wish);
	if (ret)
		netlink_close(netlink);
	else
		look(netlink);
	if (!ret && (netlink->made_bridge || netlink->address_at))
		fp_keep_capability(dev, CAP_NET_ADMIN); /* to take back what was made */
	return ret;
}

static void remove_bridge(struct netlink *netlink)
{
	CLEANUP_LINK struct rtnl_link *bridge = rtnl_link_alloc();

	if (!bridge)
		return;
	rtnl_link_set_ifindex(bridge, netlink->made_bridge);
	rtnl_link_delete(netlink->requests, bridge);
}

void netlink_close(struct netlink *netlink)
{
	if (netlink->watch.ready)
		fp_watch_stop(&netlink->watch);
	if (netlink->address_at)
		address(netlink, netlink->address_at, netlink->address, rtnl_addr_delete);
	if (netlink->made_bridge)
		remove_bridge(netlink);
	nl_socket_free(netlink->events);
	nl_socket_free(netlink->requests);
}
