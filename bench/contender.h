/* SPDX-License-Identifier: BSD-3-Clause */
/* contender: one of the servers that are measured beside each other. */
#ifndef BENCH_CONTENDER_H
#define BENCH_CONTENDER_H

#include <stdbool.h>
#include <stdint.h>

#include "echo.h"
#include "launch.h"
#include "link.h"
#include "place.h"
#include "usage.h"

#define CONTENDER_FLOOR "floor"

struct contender_options {
	const char *name;
	const char *address; /* where it listens, or */
	const char *command; /* what starts it; neither: it is the floor */
	const struct link_kind *kind;
	bool has_at; /* region and offset were given */
	uint32_t region;
	uint64_t offset;
};

struct contender {
	struct contender_options options;
	struct link *link;
	uint32_t region;
	uint64_t offset;
	pid_t pid; /* 0: not known */
	bool is_testdev;
	bool is_moved; /* to a CPU of ours; it ran on `before` */
	cpu_set_t before;
	struct launch launch;
	struct echo echo;
};

/*
 * Connects, and moves the server to `cpu` (negative: not); accesses go to region 0 offset 0, of a
 * testdev to memory of it that no fd stands for. contender_close() is due also on failure, which is
 * said to the log.
 */
int contender_open(const struct contender_options *options, const struct fpc_wait *wait, int cpu,
		   struct contender *peer);

void contender_close(struct contender *peer);

/* What the other end has counted; false: it counts nothing. */
bool contender_count(struct contender *peer, uint64_t *reads, uint64_t *writes);

#endif
