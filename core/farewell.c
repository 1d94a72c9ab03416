/* SPDX-License-Identifier: BSD-3-Clause */
#include "farewell.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"

/* For so long, and so much of what it says. */
#define PATIENCE_NS 1000000000ull
#define MAX_HEARD 65536u

static void part(struct farewell *farewell)
{
	ring_cancel(&farewell->receive);
	ring_cancel(&farewell->timer);
	ring_close_fd(farewell->ring, take_fd(&farewell->fd));
	farewell->ring = NULL;
}

static void heard(struct ring_op *op, int res, const struct ring_received *received)
{
	struct farewell *farewell =
		(struct farewell *)((char *)op - offsetof(struct farewell, receive));

	for (unsigned int i = 0; received && i < received->nr_fds; i++)
		close(received->fds[i]);
	farewell->heard += res > 0 ? (size_t)res : 0;
	if (res <= 0 || farewell->heard > MAX_HEARD)
		part(farewell);
}

static void waited(struct ring_op *op, int res, const struct ring_received *received)
{
	(void)res;
	(void)received;
	part((struct farewell *)((char *)op - offsetof(struct farewell, timer)));
}

static struct farewell *find_room(struct farewells *farewells)
{
	for (unsigned int i = 0; i < FAREWELL_MAX; i++)
		if (!farewells->all[i].ring)
			return &farewells->all[i];
	return NULL;
}

void farewell_say(struct farewells *farewells, struct ring *ring, int fd, const void *bytes,
		  size_t len)
{
	struct farewell *farewell = find_room(farewells);

	if (send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_debug("a client that is turned away has left already");
	if (!farewell || shutdown(fd, SHUT_WR)) {
		close(fd);
		return;
	}
	*farewell = (struct farewell){
		.ring = ring,
		.fd = fd,
		.receive.done = heard,
		.timer.done = waited,
	};
	ring_receive(ring, &farewell->receive, fd);
	ring_timeout(ring, &farewell->timer, PATIENCE_NS);
}

void farewell_close(struct farewells *farewells)
{
	for (unsigned int i = 0; i < FAREWELL_MAX; i++)
		if (farewells->all[i].ring)
			part(&farewells->all[i]);
}
