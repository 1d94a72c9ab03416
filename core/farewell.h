/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * farewell: clients that are told why they are not served. What one of them sends meanwhile is
 * received and dropped: a connection closed before would be reset, and the reason lost with it.
 */
#ifndef FASTPATH_FAREWELL_H
#define FASTPATH_FAREWELL_H

#include "ring.h"

/* More at a time are told, and closed at once. */
#define FAREWELL_MAX 8u

struct farewell {
	struct ring *ring; /* NULL: nobody is here */
	int fd;
	size_t heard; /* bytes */
	struct ring_op receive;
	struct ring_op timer;
};

/* Zeroed: nobody. */
struct farewells {
	struct farewell all[FAREWELL_MAX];
};

/* Sends `len` bytes, as far as they go at once. Takes the fd: closed when the client has left, or soon. */
void farewell_say(struct farewells *farewells, struct ring *ring, int fd, const void *bytes,
		  size_t len);

void farewell_close(struct farewells *farewells);

#endif
