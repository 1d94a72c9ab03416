/* SPDX-License-Identifier: BSD-3-Clause */
#include "latency.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define CALIBRATION_NS 100000u

/* A pair of readings with more between them has been interrupted. */
#define CLOSE_TICKS 1000u
#define MAX_TRIES 100

const char *const road_names[NR_ROADS] = {
	[ROAD_SOCKET] = "socket",	  [ROAD_POSTED] = "posted",   [ROAD_MULTI] = "multi",
	[ROAD_IOREGIONFD] = "ioregionfd", [ROAD_EVENTFD] = "eventfd",
};

/* Of a tick, in 2^-32 ns: a tick of a CPU is 0.2 to 1 ns. */
static uint64_t ns_per_tick = 1ull << 32;

/* ---- the clock ---- */

struct moment {
	uint64_t ns;
	uint64_t ticks;
};

static struct moment now(void)
{
	struct moment moment;
	struct timespec ts;
	int tries = 0;

	do {
		moment.ticks = latency_now();
		clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	} while (latency_now() - moment.ticks > CLOSE_TICKS && ++tries < MAX_TRIES);
	moment.ns = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	return moment;
}

static void calibrate(void)
{
	struct moment start = now();
	struct moment end;

	do {
		end = now();
	} while (end.ns - start.ns < CALIBRATION_NS);
	if (end.ticks > start.ticks)
		ns_per_tick = ((end.ns - start.ns) << 32) / (end.ticks - start.ticks);
}

void latency_calibrate(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, calibrate);
}

/* Of CPUs whose TSCs differ one may be behind the other: that is no time at all. */
static uint64_t ns_since(uint64_t start)
{
	int64_t ticks = (int64_t)(latency_now() - start);

	return ticks > 0 ? (uint64_t)(((unsigned __int128)ticks * ns_per_tick) >> 32) : 0;
}

/* ---- the histograms ---- */

static struct latency **at(const struct latencies *latencies, uint32_t region, enum road road)
{
	return &latencies->of[region * NR_ROADS + road];
}

static struct latency *make(struct latencies *latencies, uint32_t region, enum road road)
{
	if (!latencies->of)
		latencies->of = calloc(FP_MAX_REGIONS * NR_ROADS, sizeof(*latencies->of));
	if (!latencies->of)
		return NULL;
	if (!*at(latencies, region, road))
		*at(latencies, region, road) = calloc(1, sizeof(struct latency));
	return *at(latencies, region, road);
}

uint64_t latency_add(struct latencies *latencies, uint32_t region, enum road road, uint64_t start)
{
	uint64_t ns = ns_since(start);
	struct latency *latency = latencies->of ? *at(latencies, region, road) : NULL;

	if (!latency)
		latency = make(latencies, region, road);
	if (latency) {
		latency->sum_ns += ns;
		histogram_add_alone(&latency->histogram, ns);
	}
	return ns;
}

const struct latency *latency_of(const struct latencies *latencies, uint32_t region, enum road road)
{
	return latencies->of ? *at(latencies, region, road) : NULL;
}

void latency_free(struct latencies *latencies)
{
	for (unsigned int i = 0; latencies->of && i < FP_MAX_REGIONS * NR_ROADS; i++)
		free(latencies->of[i]);
	free(latencies->of);
	latencies->of = NULL;
}
