/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * job: what the benchmark asks its guest to do, and what comes back, in memory that both see.
 * Freestanding: the guest includes it too.
 *
 * The guest does one job, stores to the payload's exit address, and does the next one when it is
 * run again. A job ends early when a stamp is lost.
 *
 * What it writes goes round: `value`, then one more each time, `cycle` of them. What it reads has to
 * be the same: `agreed` says how often it was.
 */
#ifndef BENCH_JOB_H
#define BENCH_JOB_H

#include <stdint.h>

enum job_op {
	JOB_WRITE,
	JOB_READ,
	JOB_OUT,   /* to a port */
	JOB_CLOCK, /* tell the time when asked, `count` times */
};

/* What testdev stores after every access: struct testdev_stamp. */
struct job_stamp {
	uint64_t count;
	uint64_t tsc; /* the host's */
};

/* One access. Times are the guest's TSC unless stated otherwise. */
struct job_sample {
	uint64_t before;
	uint64_t after;
	uint64_t handled;  /* the host's TSC in the device's handler; 0: no stamp */
	uint64_t answered; /* the guest has seen the stamp; 0: no stamp */
};

#define JOB_MAX_SAMPLES 8192u

struct job {
	uint32_t op;
	uint32_t width; /* bytes */
	uint64_t address;
	uint64_t value;
	uint32_t cycle;	     /* 1: always the same */
	uint32_t batch;	     /* so many accesses without a pause; 1: each by itself */
	uint32_t count;	     /* accesses, whole batches */
	uint32_t is_stamped; /* await the stamp of each batch before the next */
	uint64_t gap;	     /* let so many TSC cycles pass before the next batch */
	uint64_t patience;   /* a stamp that takes more cycles than this is lost */
	uint32_t lost;
	uint32_t agreed;
	uint64_t now;	 /* what is to be written, or read, just now */
	uint64_t loaded; /* what was read */
	/* The other end writes these: each has a cache line of its own. */
	struct job_stamp stamp __attribute__((aligned(64)));
	uint64_t ping __attribute__((aligned(64)));
	uint64_t pong __attribute__((aligned(64)));
	uint64_t pong_tsc;
	struct job_sample samples[JOB_MAX_SAMPLES] __attribute__((aligned(64)));
};

#endif
