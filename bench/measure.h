/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * measure: the loop around every access, the same in the guest and, without one, in the host.
 * Freestanding.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include "job.h"

/* No earlier or later instruction may move into what is being timed. */
static inline uint64_t measure_now(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc; lfence" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

/* Waits until the device has counted `count` accesses. */
static inline void measure_await_stamp(struct job *job, struct job_sample *sample, uint64_t count)
{
	while (__atomic_load_n(&job->stamp.count, __ATOMIC_ACQUIRE) < count) {
		if (measure_now() - sample->after > job->patience) {
			job->lost++;
			return;
		}
		__asm__ volatile("pause");
	}
	sample->answered = measure_now();
	sample->handled = job->stamp.tsc;
}

/* Behind a batch. */
static inline void measure_pause(struct job *job)
{
	uint64_t since = measure_now();

	while (measure_now() - since < job->gap)
		__asm__ volatile("pause");
}

/*
 * Does the job's accesses, each by access(opaque), which deals with job->now, until one fails or a
 * stamp is lost.
 */
static inline int measure(struct job *job, int (*access)(void *opaque), void *opaque)
{
	int ret = 0;

	for (uint32_t i = 0; i < job->count && !ret && !job->lost; i++) {
		struct job_sample *sample = &job->samples[i];

		job->now = job->value + i % job->cycle;
		sample->answered = 0;
		sample->handled = 0;
		sample->before = measure_now();
		ret = access(opaque);
		sample->after = measure_now();
		job->agreed += job->op == JOB_READ && job->loaded == job->now;
		if ((i + 1) % job->batch)
			continue;
		if (job->is_stamped && !ret)
			measure_await_stamp(job, sample, i + 1);
		measure_pause(job);
	}
	return ret;
}

#endif
