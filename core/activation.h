/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * activation: listening sockets that whoever started the program has opened for it: systemd, by a
 * .socket unit, or systemd-socket-activate. sd_listen_fds(3) has the protocol.
 */
#ifndef FASTPATH_ACTIVATION_H
#define FASTPATH_ACTIVATION_H

#include <stddef.h>

/* More than that are refused. */
#define ACTIVATION_MAX 1024u

struct activation {
	size_t nr;
	struct activation_socket {
		int fd;	    /* -1: somebody took it */
		char *name; /* FileDescriptorName=, or what stands for it */
	} * sockets;
};

/*
 * Takes them out of the environment, so that no child does it again; none is no error. In any case
 * *activation is to be given to activation_close().
 *   -EINVAL  LISTEN_FDS is no number, or too large; an fd is no listening stream socket; said to the log
 *   -ENOMEM
 */
int activation_open(struct activation *activation);

/* The one that is called `name`, else, with NULL, the first that nobody took; -1: there is none. */
int activation_take(struct activation *activation, const char *name);

/* Closes those that nobody took. */
void activation_close(struct activation *activation);

#endif
