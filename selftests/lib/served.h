/* SPDX-License-Identifier: BSD-3-Clause */
/* served: a testdev at a socket, for programs that want a path to connect to. */
#ifndef FASTPATH_SELFTESTS_SERVED_H
#define FASTPATH_SELFTESTS_SERVED_H

#include <sys/types.h>

struct served {
	pid_t pid;
	char dir[64];
	char path[80]; /* of the socket */
};

/* Serves it in a child process; when this returns the socket listens. */
void served_start(struct served *served);

/* Ends the server and removes what is left. */
void served_stop(struct served *served);

#endif
