/* SPDX-License-Identifier: BSD-3-Clause */
/* server: the fastpathd that a soak is about: two testdevs, and an edu for its DMA. */
#ifndef FASTPATH_SOAK_SERVER_H
#define FASTPATH_SOAK_SERVER_H

#include <sys/types.h>

#include "fastpath-client.h"

enum {
	SERVER_EDU = 2, /* 0 and 1 are the testdevs */
	SERVER_DEVICES
};

struct server {
	pid_t pid;
	char dir[128];
	char sockets[SERVER_DEVICES][160];
};

/* Starts it, from the state that an earlier one kept in `dir`. */
void server_start(struct server *server, const char *dir);

/* A client of one of its devices; waits until it is let in. */
struct fpc *server_connect(const struct server *server, unsigned int device);

/* A connection that has said nothing. */
int server_connect_raw(const struct server *server, unsigned int device);

/* SIGKILL. */
void server_kill(struct server *server);

/* SIGTERM: it has to exit with 0. */
void server_end(struct server *server);

unsigned int server_count_fds(const struct server *server);

#endif
