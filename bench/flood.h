/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * flood: a client that sends writes without end and waits for no answer, a process of its own. What
 * it keeps busy is the server, and not a CPU that the server or the one who measures wants: it runs
 * on the client's CPU as SCHED_IDLE, whenever that has nothing else to do.
 */
#ifndef BENCH_FLOOD_H
#define BENCH_FLOOD_H

#include <stdint.h>

struct flood;

/* What it sends. */
struct flood_kind {
	const char *name;
	const char *what; /* a few words */
	uint16_t cmd;
	uint32_t region;
	uint64_t offset;
	uint32_t count; /* bytes of a write; of REGION_WRITE_MULTI, writes */
};

extern const struct flood_kind flood_kinds[];

/* NULL: there is none such. */
const struct flood_kind *flood_kind(const char *name);

/*
 * Says VERSION on `fd`, the connection to a testdev, which it takes over also on failure, and stands
 * ready on `cpu`. -errno, said to the log.
 */
int flood_open(const struct flood_kind *kind, int fd, int cpu, struct flood **out);

/* 0 or -errno, said to the log: it has ended. */
int flood_begin(struct flood *flood);

/* Returns when the server has received all that was sent. */
void flood_end(struct flood *flood);

/* Bytes that it has sent, and for how long it has, ns. */
uint64_t flood_bytes(const struct flood *flood);
uint64_t flood_ns(const struct flood *flood);

void flood_close(struct flood *flood);

#endif
