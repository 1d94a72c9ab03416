/* SPDX-License-Identifier: BSD-3-Clause */
/* listen: sockets that listen at any address. */
#ifndef FASTPATH_SELFTESTS_LISTEN_H
#define FASTPATH_SELFTESTS_LISTEN_H

/* A socket that listens at `address`, or -errno of address_parse() or socket_listen_at(). */
int listen_at(const char *address);

#endif
