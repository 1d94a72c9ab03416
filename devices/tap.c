/* SPDX-License-Identifier: BSD-3-Clause */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fastpath.h"

#define CLONE "/dev/net/tun"
#define FLAGS (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)

/* ---- opening ---- */

static int attach(int fd, struct tap *tap, int flags)
{
	struct ifreq request = { .ifr_flags = (short)flags };

	memcpy(request.ifr_name, tap->name, IFNAMSIZ);
	if (ioctl(fd, TUNSETIFF, &request))
		return -errno;
	memcpy(tap->name, request.ifr_name, IFNAMSIZ); /* it may have had a %d */
	tap->is_multi = flags & IFF_MULTI_QUEUE;
	return 0;
}

static const char *hint(int err)
{
	switch (err) {
	case EPERM:
		return " (it takes CAP_NET_ADMIN)";
	case EBUSY:
		return " (another program has it)";
	case EINVAL:
		return " (an interface of that name is no TAP, or not one with so many queues)";
	default:
		return "";
	}
}

static int open_queue(struct tap *tap, struct fp_device *dev, bool may_be_single)
{
	int fd = open(CLONE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int ret;

	if (fd < 0) {
		ret = -errno;
		fp_error(dev, "tap=%s: " CLONE ": %s", tap->name, strerror(-ret));
		return ret;
	}
	ret = attach(fd, tap, FLAGS | IFF_MULTI_QUEUE);
	/* One that somebody has made without. */
	if (ret == -EINVAL && may_be_single)
		ret = attach(fd, tap, FLAGS);
	if (ret) {
		fp_error(dev, "tap=%s: %s%s", tap->name, strerror(-ret), hint(-ret));
		close(fd);
		return ret;
	}
	tap->fds[tap->nr++] = fd;
	return 0;
}

static int set_header(struct tap *tap, struct fp_device *dev)
{
	const int bytes = TAP_HEADER_BYTES;

	tap->nr_used = tap->nr;
	if (!ioctl(tap->fds[0], TUNSETVNETHDRSZ, &bytes))
		return 0;
	fp_error(dev, "%s: TUNSETVNETHDRSZ: %s", tap->name, strerror(errno));
	return -errno;
}

int tap_open(struct tap *tap, struct fp_device *dev, const char *name, unsigned int nr)
{
	int ret = 0;

	*tap = (struct tap){ 0 };
	if (!*name || strlen(name) >= IFNAMSIZ) {
		fp_error(dev, "tap=%s: the name has to have 1 to 15 characters", name);
		return -EINVAL;
	}
	memcpy(tap->name, name, strlen(name) + 1);
	while (tap->nr < nr && !ret)
		ret = open_queue(tap, dev, nr == 1);
	if (!ret)
		ret = set_header(tap, dev);
	if (ret)
		tap_close(tap);
	return ret;
}

/* ---- being handed one ---- */

static const char *take(struct tap *tap, int fd)
{
	struct ifreq request = { 0 };
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return "there is no such fd";
	if (ioctl(fd, TUNGETIFF, &request) || !(request.ifr_flags & IFF_TAP))
		return "it is no TAP";
	if ((request.ifr_flags & FLAGS) != FLAGS)
		return "a TAP has to have IFF_NO_PI and IFF_VNET_HDR";
	if (tap->nr && strcmp(tap->name, request.ifr_name))
		return "all have to be of one TAP";
	memcpy(tap->name, request.ifr_name, IFNAMSIZ);
	tap->is_multi = request.ifr_flags & IFF_MULTI_QUEUE;
	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	tap->fds[tap->nr++] = fd;
	return NULL;
}

int tap_take(struct tap *tap, struct fp_device *dev, const char *fds)
{
	const char *at = fds, *why = NULL;
	char *end;
	int ret;

	*tap = (struct tap){ 0 };
	do {
		long fd = strtol(at, &end, 10);

		if (end == at || fd < 3 || fd > INT32_MAX || (*end && *end != ':'))
			why = "numbers from 3 on, with a : between them";
		else if (tap->nr == TAP_MAX_QUEUES)
			why = "16 at most";
		else
			why = take(tap, (int)fd);
		at = end + 1;
	} while (!why && *end);
	if (why)
		fp_error(dev, "fd=%s: %s", fds, why);
	ret = why ? -EINVAL : set_header(tap, dev);
	if (ret)
		tap_close(tap);
	return ret;
}

/* ---- use ---- */

void tap_set_offload(struct tap *tap, unsigned int flags)
{
	/* Only an odd kernel refuses this; packets are plain then. */
	if (ioctl(tap->fds[0], TUNSETOFFLOAD, (unsigned long)flags))
		ioctl(tap->fds[0], TUNSETOFFLOAD, 0ul);
}

void tap_use(struct tap *tap, unsigned int nr)
{
	struct ifreq request = { 0 };

	if (!tap->is_multi)
		return;
	for (; tap->nr_used < nr; tap->nr_used++) {
		request.ifr_flags = IFF_ATTACH_QUEUE;
		if (ioctl(tap->fds[tap->nr_used], TUNSETQUEUE, &request))
			return;
	}
	for (; tap->nr_used > nr; tap->nr_used--) {
		request.ifr_flags = IFF_DETACH_QUEUE;
		ioctl(tap->fds[tap->nr_used - 1], TUNSETQUEUE, &request);
	}
}

void tap_close(struct tap *tap)
{
	while (tap->nr)
		close(tap->fds[--tap->nr]);
}
