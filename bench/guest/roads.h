/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * roads: what a test asks the guest program of that name to do, on all vCPUs at once, and what comes
 * back, in memory that both see: at the first page behind the program. Freestanding.
 */
#ifndef BENCH_GUEST_ROADS_H
#define BENCH_GUEST_ROADS_H

#include <stdint.h>

#define ROADS_MAX_VCPUS 16u

/* What each vCPU does, at an address of its own. */
enum roads_op {
	ROADS_NUMBERS, /* stores 1, 2, 3 ... `count`, 8 bytes each */
	ROADS_RINGS,   /* stores 4 bytes, `count` times */
	/* Stores `count` rounds of all widths at all places of `step` bytes, and loads them back. */
	ROADS_WIDTHS,
	/*
	 * Stores 1 to `count` to the words of `step` bytes, in turn; each time 1 is added to the
	 * word at `shared`, which is everybody's.
	 */
	ROADS_WORDS,
	ROADS_LOAD, /* loads 8 bytes, stores them, loads again: both answers have to be ones */
	/*
	 * The first one switches the device's memory off and on at `shared`, its command register,
	 * `count` times. The others store and load meanwhile: what they stored, or ones.
	 */
	ROADS_SWITCH,
};

struct roads_vcpu {
	uint64_t begun; /* it is about to make its first access */
	uint64_t right; /* answers that were as they have to be */
	uint64_t wrong;
} __attribute__((aligned(64)));

struct roads_job {
	uint32_t op;
	uint32_t done;	  /* the first vCPU is */
	uint64_t address; /* the first vCPU's; those of the others are `step` bytes apart */
	uint64_t step;
	uint64_t count;
	uint64_t shared;
	struct roads_vcpu vcpus[ROADS_MAX_VCPUS];
};

/* Where it is, when free memory starts at `ram`. */
static inline uint64_t roads_job_address(uint64_t ram)
{
	return (ram + 4095) & ~4095ull;
}

#endif
