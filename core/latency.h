/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * latency: how long the handlers of a device took, for each region and road.
 *
 * Written by the device's worker alone. A histogram is 4 KiB and made when its road is first taken.
 * Times are the TSC's: two readings of it are 20 ns, which can be left on; of the kernel's clock 45.
 */
#ifndef FASTPATH_LATENCY_H
#define FASTPATH_LATENCY_H

#include <stdint.h>
#include <x86intrin.h>

#include "fastpath.h"
#include "histogram.h"

/* How an access has come. */
enum road {
	ROAD_SOCKET, /* by a message that is answered */
	ROAD_POSTED, /* by one that is not */
	ROAD_MULTI,  /* as one of a REGION_WRITE_MULTI */
	ROAD_EVENTFD,
	ROAD_IOREGIONFD,
	NR_ROADS,
};

struct latency {
	uint64_t sum_ns;
	struct histogram histogram; /* of ns */
};

/* Zeroed: nothing yet. */
struct latencies {
	struct latency **of; /* for each region and road; NULL: none of them */
};

extern const char *const road_names[NR_ROADS];

/* A moment, for latency_add(). */
static inline uint64_t latency_now(void)
{
	return __rdtsc();
}

/* Finds out how fast the TSC goes, the first time; 100 us. Before the first latency_add(). */
void latency_calibrate(void);

/*
 * An access by `road` began at `start` and has been answered now: how long that was, ns. For lack of
 * memory it is not counted.
 */
uint64_t latency_add(struct latencies *latencies, uint32_t region, enum road road, uint64_t start);

/* NULL: no access came that way. */
const struct latency *latency_of(const struct latencies *latencies, uint32_t region,
				 enum road road);

void latency_free(struct latencies *latencies);

#endif
