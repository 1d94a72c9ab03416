/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * reader: a thread that sleeps in read() on an eventfd, or looks there for a while before: the floors of
 * what waking somebody costs, and of what telling somebody who is awake does.
 */
#ifndef BENCH_READER_H
#define BENCH_READER_H

#include <stdbool.h>

#include "job.h"

struct rig_reader;

/* Reads `fd` (borrowed) on `cpu` and stamps `stamp`, counting on from what it holds. -errno. */
int reader_start(int fd, int cpu, struct job_stamp *stamp, struct rig_reader **out);

/* Whether it looks for RIG_SPIN_US before it sleeps; it learns that when it has read the next time. */
void reader_spin(struct rig_reader *reader, bool spins);

/* Ends the thread; NULL is nothing. */
void reader_stop(struct rig_reader *reader);

/* CPU time and context switches of the thread so far. */
struct usage;
void reader_usage(const struct rig_reader *reader, struct usage *usage);

#endif
