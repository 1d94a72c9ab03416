/* SPDX-License-Identifier: BSD-3-Clause */
/* clock: TSC cycles to nanoseconds, and the guest's TSC to the host's. */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "job.h"
#include "vcpu.h"

struct clock {
	double ns_per_cycle; /* of the host's TSC */
	double guest_ns_per_cycle;
	bool is_scaled; /* the guest's TSC has another rate: times of both can't be compared */
	int64_t guest_offset;	   /* guest TSC minus host TSC, cycles */
	uint64_t uncertainty;	   /* of the offset, cycles; 0 when the kernel told it */
	const char *offset_source; /* "read", "measured", or "none" without a guest */
};

/* Measures the TSC's rate against CLOCK_MONOTONIC_RAW; takes 50 ms. */
void clock_calibrate(struct clock *clock);

/* Does the job in memory: runs the guest until it is done. 0 or -errno. */
typedef int clock_run_fn(void *opaque);

/*
 * Finds the guest's offset: asks the kernel, and has the guest tell the time in a JOB_CLOCK, its
 * other end a thread on `cpu`. What the kernel says is used when the measurement does not
 * contradict it. 0 or -errno.
 */
int clock_find_offset(struct clock *clock, struct vcpu *vcpu, struct job *job, int cpu,
		      clock_run_fn *run, void *opaque);

#endif
