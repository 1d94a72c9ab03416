/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * echo: the floor: a process that answers messages of the right size with messages of the right
 * size. It has no device and checks nothing: one recv(), one send().
 */
#ifndef BENCH_ECHO_H
#define BENCH_ECHO_H

#include <stdint.h>
#include <sys/types.h>

/* What it has seen, in memory shared with it. */
struct echo_counts {
	uint64_t reads;
	uint64_t writes;
};

struct echo {
	pid_t pid;
	struct echo_counts *counts;
};

/* Starts it, on `cpu` (negative: anywhere); *fd is the other end, the caller's. -errno. */
int echo_start(int cpu, struct echo *echo, int *fd);

/* Ends it; nothing when it was not started. */
void echo_stop(struct echo *echo);

#endif
