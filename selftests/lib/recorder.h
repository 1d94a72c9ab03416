/* SPDX-License-Identifier: BSD-3-Clause */
/* recorder: something on a bus that remembers how it was accessed. */
#ifndef FASTPATH_SELFTESTS_RECORDER_H
#define FASTPATH_SELFTESTS_RECORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "bus.h"

#define RECORDER_MAX 64u

struct recorder_access {
	bool write;
	uint64_t offset;
	uint32_t len;
	uint64_t value; /* of a write */
};

struct recorder {
	struct recorder_access log[RECORDER_MAX]; /* the first ones */
	unsigned int nr;			  /* accesses, also those that are not in the log */
	uint64_t answer;			  /* to reads: its low bytes */
	int ret;				  /* of the handlers */
};

extern const struct bus_ops recorder_ops;

/* Puts a recorder on the bus: what bus_add() says. */
int recorder_add(struct recorder *recorder, struct bus *bus, enum bus_space space, uint64_t base,
		 uint64_t size);

/* Whether access `i` was this one. */
bool recorder_wrote(const struct recorder *recorder, unsigned int i, uint64_t offset, uint32_t len,
		    uint64_t value);
bool recorder_read(const struct recorder *recorder, unsigned int i, uint64_t offset, uint32_t len);

#endif
