/* SPDX-License-Identifier: BSD-3-Clause */
/* row: what was measured of a road: a row of the result. */
#ifndef BENCH_ROW_H
#define BENCH_ROW_H

#include "road.h"
#include "series.h"
#include "tally.h"

struct row {
	struct road road;
	const char *skip;  /* why it can't be measured here; NULL: it can */
	const char *where; /* "native", "emulated" or "host": what made the accesses */
	struct series guest_ns;
	struct series notify_ns;
	struct series rtt_ns;
	uint64_t accesses;    /* all, also those that only warmed up */
	struct tally counted; /* at the other end */
	uint64_t sum;	      /* of what was stored */
	uint64_t exits;
	uint64_t kvm_exits; /* by KVM's own statistics */
	uint64_t emulated;  /* instructions */
	bool is_flooded;    /* another device of the server is kept busy meanwhile */
	bool has_kvm_stats;
	bool has_server_usage;
	struct usage server;
	struct usage client; /* without what the guest waited between two accesses */
};

/* A device that is no testdev is measured at this place only. */
struct road_place {
	bool is_given;
	unsigned int bar;
	uint64_t offset;
	uint32_t width;
};

/* Readies a row, or says in it why the road can't be measured. */
void row_init(struct row *row, const struct road *road, struct rig *rig,
	      const struct road_place *place);

/* Whether a flood beside it is worth a row: it becomes that of such a road. */
bool row_flood(struct row *row);

/*
 * Makes `count` accesses and adds what they cost. 0; -EPIPE when accesses were lost, said to the log;
 * another -errno.
 */
int row_measure(struct row *row, struct rig *rig, uint32_t count);

void row_free(struct row *row);

#endif
