/* SPDX-License-Identifier: BSD-3-Clause */
/* watch: a device's own fds, of fastpath.h, on its ring. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>

#include "cleanup.h"
#include "device.h"
#include "ring.h"
#include "socket.h"

/* What a struct fp_watch has in its `core`. */
struct watch {
	struct ring_op op;
	struct fp_device *dev;
} __attribute__((may_alias));
static_assert(sizeof(struct watch) <= sizeof(((struct fp_watch *)0)->core), "it fits");

static void readable(struct ring_op *op, int res, const struct ring_received *received)
{
	struct watch *watch = (struct watch *)op;
	struct fp_watch *public =
		(struct fp_watch *)((char *)watch - offsetof(struct fp_watch, core));

	(void)res; /* also when that failed: read() will tell */
	(void)received;
	public->ready(watch->dev, public);
}

void fp_watch_start(struct fp_device *dev, struct fp_watch *public, int fd)
{
	struct watch *watch = (struct watch *)public->core;

	ring_cancel(&watch->op);
	watch->op.done = readable;
	watch->dev = dev;
	ring_readable(dev->ring, &watch->op, fd);
}

void fp_watch_stop(struct fp_watch *public)
{
	ring_cancel(&((struct watch *)public->core)->op);
}

int fp_listen(const char *path)
{
	CLEANUP_CLOSE int fd = socket_listen(path);

	/* A client that has left again would make accept() wait for the next one. */
	if (fd >= 0 && fcntl(fd, F_SETFL, O_NONBLOCK))
		return -errno;
	return take_fd(&fd);
}
