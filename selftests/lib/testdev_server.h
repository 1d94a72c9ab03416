/* SPDX-License-Identifier: BSD-3-Clause */
/* testdev_server: a testdev at a socket, for programs that want a path to connect to. */
#ifndef FASTPATH_SELFTESTS_TESTDEV_SERVER_H
#define FASTPATH_SELFTESTS_TESTDEV_SERVER_H

#include <sys/types.h>

struct testdev_server {
	pid_t pid;
	char dir[64];
	char path[80]; /* of the socket, or its tcp address */
};

/* Serves it in a child process; when this returns the socket listens. */
void testdev_server_start(struct testdev_server *served);

/* The same at a port of this host. */
void testdev_server_start_tcp(struct testdev_server *served);

/* Kills it, which leaves its socket behind; and starts another one there. */
void testdev_server_kill(struct testdev_server *served);
void testdev_server_again(struct testdev_server *served);

/* Ends the server and removes what is left. */
void testdev_server_stop(struct testdev_server *served);

#endif
