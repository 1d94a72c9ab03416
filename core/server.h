/* SPDX-License-Identifier: BSD-3-Clause */
/* server: devices, served by worker threads until somebody says stop. */
#ifndef FASTPATH_SERVER_H
#define FASTPATH_SERVER_H

#include <stdbool.h>

#include "identity.h"
#include "served.h"

struct server_options {
	struct ring_wait wait;
	unsigned int workers; /* threads; no more are started than there are devices */
	const struct served_options *devices;
	size_t nr_devices;
	const char *control; /* path of the socket at which fastpathctl may ask; NULL: none */
	bool is_confined; /* what it has no need of it gives up before it lets clients in: for good */
	const struct identity *user; /* who it becomes before; NULL: it stays who it is */
	int trace_fd; /* where the messages of all devices are written; 0: nowhere. Borrowed */
};

/*
 * Serves the devices until SIGTERM or SIGINT, or until no client is left and none can come, because
 * every device came with a connected fd. Both signals are blocked meanwhile. 0, or -errno when a
 * device can't be made or a ring is broken, said to the log.
 */
int server_run(const struct server_options *options);

#endif
