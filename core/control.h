/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * control: the socket at which fastpathctl asks a server of its devices and tells it what to do.
 *
 * One request a line, one reply a line, both JSON; fastpathctl(1) has the keys. It lives on the main
 * thread, and what concerns a device is done by the device's worker, between two turns of its ring:
 * so that neither bad nor many nor slow clients here hold a device up.
 */
#ifndef FASTPATH_CONTROL_H
#define FASTPATH_CONTROL_H

#include <stddef.h>

#include "observe.h"
#include "worker.h"

struct control;

/* All of it has to live until control_close(). */
struct control_options {
	const char *path;
	struct observe *observe;
	struct worker **workers; /* device i is served by worker i modulo their number */
	unsigned int nr_workers;
	const struct served_options *devices; /* with names of their own */
	size_t nr_devices;
};

/*
 * Listens at the path, as socket_listen() does. *out is to be given to control_close(). -errno, said
 * to the log.
 */
int control_open(const struct control_options *options, struct control **out);

/* Readable when control_serve() has something to do. */
int control_fd(const struct control *control);

/* Does some of it, without waiting. */
void control_serve(struct control *control);

/* Removes the socket; NULL is nothing. The workers have to have ended. */
void control_close(struct control *control);

#endif
