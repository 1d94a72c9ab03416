/* SPDX-License-Identifier: BSD-3-Clause */
/* device_server: a device of any class of this program at a socket, for clients by path. */
#ifndef FASTPATH_SELFTESTS_DEVICE_SERVER_H
#define FASTPATH_SELFTESTS_DEVICE_SERVER_H

#include <sys/types.h>

struct fpc;

struct device_server {
	pid_t pid;
	char dir[64];
	char path[80]; /* of the socket */
};

/* Serves `device` ("NAME,key=value") in a child process; when this returns the socket listens. */
void device_server_start(struct device_server *served, const char *device);

/* A client of it. */
struct fpc *device_server_connect(const struct device_server *served);

/* Stops it by SIGTERM and removes what is left: its exit status, -N when signal N has killed it. */
int device_server_stop(struct device_server *served);

#endif
