/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * usage: the CPU time and context switches of a whole process, from TASKSTATS over generic netlink, or from
 * /proc where the kernel has no TASKSTATS or we may not ask.
 */
#ifndef BENCH_USAGE_H
#define BENCH_USAGE_H

#include <stdint.h>
#include <sys/types.h>

struct usage {
	uint64_t cpu_ns;
	uint64_t switches; /* voluntary and not */
};

struct usage_source;

/* *out is to be given to usage_close(). -ENOMEM. */
int usage_open(struct usage_source **out);

void usage_close(struct usage_source *source);

/* Of all threads of process `pid` since it was started. -ESRCH, -errno. */
int usage_read(struct usage_source *source, pid_t pid, struct usage *usage);

/* "taskstats" or "proc". */
const char *usage_name(const struct usage_source *source);

#endif
