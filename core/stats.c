/* SPDX-License-Identifier: BSD-3-Clause */
#include "stats.h"

static_assert(sizeof(struct stats) % sizeof(uint64_t) == 0, "it is all numbers");

struct stats stats_since(const struct stats *now, const struct stats *then)
{
	struct stats since = *now;
	uint64_t *number = (uint64_t *)&since;
	const uint64_t *before = (const uint64_t *)then;

	for (size_t i = 0; i < sizeof(since) / sizeof(*number); i++)
		number[i] -= before[i];
	return since;
}
