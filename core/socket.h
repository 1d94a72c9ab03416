/* SPDX-License-Identifier: BSD-3-Clause */
/* socket: UNIX sockets by path. */
#ifndef FASTPATH_SOCKET_H
#define FASTPATH_SOCKET_H

/*
 * A listening socket at `path`, its file created with mode 0600. One that a dead server left there is taken over.
 *   -EADDRINUSE  somebody listens there
 *   -EEXIST      there is something that is not a socket
 *   -ENAMETOOLONG, or another -errno
 */
int socket_listen(const char *path);

/* A socket connected to `path`, or -errno. */
int socket_connect(const char *path);

#endif
