/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * server: devices, each at its socket, and the loop that serves them.
 */
#ifndef FASTPATH_SERVER_H
#define FASTPATH_SERVER_H

#include "device.h"
#include "session.h"

struct server;

/* One device that is to be served. */
struct server_device {
	const struct fp_class *class_;
	const char *socket; /* path to listen at; NULL: `fd` is connected already */
	int fd;
	enum command_io_fds io_fds;
	const struct keyval *options;
	size_t nr_options;
};

/* A server without devices, on the calling thread; SIGTERM and SIGINT are blocked for it. -errno. */
int server_open(struct ring_wait wait, struct server **out);

/*
 * Adds a device and listens at its socket, or starts to talk on its fd, taken also on failure.
 * -errno of device_open() or socket_listen(), said to the log.
 */
int server_add(struct server *server, const struct server_device *description);

/*
 * Serves until SIGTERM or SIGINT, or until no client is left and none can come, because every
 * device came with a connected fd. 0, or -errno when the ring is broken.
 */
int server_run(struct server *server);

/* Ends all sessions, closes the devices, removes the socket files; NULL is nothing. */
void server_close(struct server *server);

#endif
