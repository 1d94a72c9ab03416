/* SPDX-License-Identifier: BSD-3-Clause */
/* launch: a server that is started by a shell command, and ended with all that it has started. */
#ifndef BENCH_LAUNCH_H
#define BENCH_LAUNCH_H

#include <sys/types.h>

struct launch {
	pid_t pid; /* and process group; 0: nothing was started */
	char dir[32];
	char socket[48];
};

/*
 * Runs `command` by /bin/sh with $SOCKET, where it is to listen, and with this program's directory
 * in front of $PATH; *fd is a connection to it, the caller's. launch_end() is due also on failure,
 * which is said to the log.
 */
int launch(const char *name, const char *command, struct launch *launch, int *fd);

/* Ends it; nothing when it was not started. */
void launch_end(struct launch *launch);

#endif
