/* SPDX-License-Identifier: BSD-3-Clause */
/* tally: what a road's other end has counted. */
#ifndef BENCH_TALLY_H
#define BENCH_TALLY_H

#include "road.h"

/* How many accesses, and what the values that came with them add up to. */
struct tally {
	uint64_t times;
	uint64_t sum;
};

/* Whether the road's counter adds up the values that come along; else the sum is 0. */
bool tally_has_sum(const struct road *road);

/* 0 or -errno. An eventfd that nobody listens to is empty afterwards. */
int tally_read(const struct road *road, struct rig *rig, struct tally *tally);

#endif
