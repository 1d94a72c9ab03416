/* SPDX-License-Identifier: BSD-3-Clause */
/* road: the ways an access can take. */
#ifndef BENCH_ROAD_H
#define BENCH_ROAD_H

#include <stdbool.h>
#include <stdint.h>

#include "rig.h"

/* What counts a road's accesses at its other end. */
enum road_counter {
	ROAD_COUNTS_NOTHING,
	ROAD_COUNTS_RUNG,   /* testdev's BAR2: `rung[doorbell]` */
	ROAD_COUNTS_WRITES, /* testdev's BAR2 */
	ROAD_COUNTS_READS,
	ROAD_COUNTS_ROAD, /* testdev's BAR5: of[doorbell], with what the values add up to */
	ROAD_COUNTS_SLOT, /* loads that agree with what testdev's handler says */
	ROAD_COUNTS_TEST, /* pci-testdev's count, of the test chosen in BAR1 */
	ROAD_COUNTS_EVENTFD,
	ROAD_COUNTS_STAMPS,
};

/* The number of testdev's portio-wildcard-eventfd in its BAR1. */
#define ROAD_PIO_TEST 1

/* How the client has the access made, where that is not its doorbell's eventfd or a message. */
enum road_way {
	ROAD_BY_FD_OR_MESSAGE,
	ROAD_BY_STANDIN,  /* an ioregionfd, on a kernel that has none */
	ROAD_BY_IOREGION, /* one in KVM */
	ROAD_BY_MAPPING,  /* the guest's memory */
	ROAD_BY_SHADOW,	  /* an eventfd, and KVM stores the value beside it */
	ROAD_BY_GATHER,	  /* a message for several writes */
};

struct road {
	const char *name;
	const char *op;
	const char *server; /* "asleep", "awake", or "-" where none is involved */
	const char *what;   /* a few words */
	/* "v": the value comes along, "r": reads are answered, "o": in the order of their making */
	const char *can;
	enum road_way way;
	bool is_posted; /* a message that is not answered */
	struct rig_target target;
	enum job_op job_op;
	uint32_t width;
	uint64_t value;
	uint32_t cycle; /* so many values, from `value` on, in turn; 0: only that one */
	uint32_t batch; /* accesses that are measured as one; 0: each by itself */
	bool is_stamped;
	uint32_t gap_us; /* between two accesses, or batches */
	enum road_counter counter;
	unsigned int doorbell; /* enum testdev_doorbell, or enum testdev_road */
};

extern const struct road roads[];
extern const unsigned int nr_roads;

/* Whether `name` is a road's. */
bool road_exists(const char *name);

#endif
