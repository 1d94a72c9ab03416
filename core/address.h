/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * address: where a server can be found, as people write it.
 *
 *   unix:PATH, or PATH   a UNIX socket
 *   vsock:CID:PORT       a virtual machine's, or with CID `any` every one's that this host has
 *   tcp:HOST:PORT        HOST a name, an IPv4 address, or an IPv6 address in brackets
 *   tcp:PORT             this host, 127.0.0.1
 */
#ifndef FASTPATH_ADDRESS_H
#define FASTPATH_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/* Of a host with more, the first ones. */
#define ADDRESS_MAX 4u

struct address_at {
	socklen_t len;
	struct sockaddr_storage name;
};

struct address {
	bool is_tcp;
	unsigned int nr; /* 1 unless it is tcp's */
	struct address_at at[ADDRESS_MAX];
};

enum address_use {
	ADDRESS_CONNECT,
	ADDRESS_LISTEN, /* CID `any`, and tcp's PORT 0 for one that the kernel chooses */
};

/*
 * Reads `text`; asks the resolver for a HOST that is a name. What is wrong is said to the log.
 *   -EINVAL        a part of it is missing, or can't be what it stands for
 *   -ENAMETOOLONG  PATH is too long
 *   -ENOENT        there is no such host
 *   -EAGAIN        the resolver can't tell now
 */
int address_parse(const char *text, enum address_use use, struct address *address);

/* The address of the UNIX socket at `path`, whatever that looks like. -EINVAL, -ENAMETOOLONG. */
int address_of_path(const char *path, struct address *address);

/* What the socket `fd` is bound to. -errno of getsockname(). */
int address_of_socket(int fd, struct address *address);

/* The path of a UNIX socket; NULL: it is none. */
const char *address_path(const struct address *address);

/* Whether only this host can reach it: UNIX sockets, and tcp's loopback addresses. */
bool address_is_local(const struct address *address);

#define ADDRESS_TEXT 64u

/* The tcp address that `fd` is bound to, written as it is read above. */
void address_bound_to(int fd, char text[ADDRESS_TEXT]);

#endif
