/* SPDX-License-Identifier: BSD-3-Clause */
/* socket: stream sockets by address: UNIX, vsock, tcp. */
#ifndef FASTPATH_SOCKET_H
#define FASTPATH_SOCKET_H

#include <stdbool.h>
#include <sys/types.h>

#include "address.h"

/*
 * A listening socket. The file of a UNIX socket has mode `mode`, from its first moment no more than
 * that; one that a dead server left there is taken over.
 *   -EADDRINUSE  somebody listens there
 *   -EEXIST      there is something that is not a socket
 *   or another -errno
 */
int socket_listen_at(const struct address *address, mode_t mode);

/* The same for the UNIX socket at `path`, with mode 0600; -errno of address_of_path(), too. */
int socket_listen(const char *path);

/* A socket connected to `text`, or -errno of address_parse() or connect(). */
int socket_connect(const char *text);

/* The same in `ms` milliseconds, or -ETIMEDOUT; a name's resolver is not hurried. */
int socket_connect_within(const char *text, unsigned int ms);

/* Whether fds can travel with a socket's bytes: over UNIX sockets only. */
bool socket_carries_fds(int fd);

/*
 * For a connection that another host may be at the end of: a small message does not wait for the
 * one before it to be acknowledged, and a peer that vanished is noticed in the end.
 */
void socket_tune(int fd);

#endif
