/* SPDX-License-Identifier: BSD-3-Clause */
/* place: on which CPUs threads run, ours and those of other processes. */
#ifndef BENCH_PLACE_H
#define BENCH_PLACE_H

#include <sched.h>
#include <stdbool.h>
#include <sys/types.h>

/* The first two CPUs that we may use, or the only one twice. */
void place_default(int *first, int *second);

/* Whether we may use it. */
bool place_exists(int cpu);

/* Has the calling thread run there; negative: nothing. */
void place_self(int cpu);

/* Has all threads of a process run there, and tells where its first one ran before. -errno. */
int place_process(pid_t pid, int cpu, cpu_set_t *before);

/* Has them run where they did. */
void place_back(pid_t pid, const cpu_set_t *before);

#endif
