/* SPDX-License-Identifier: BSD-3-Clause */
#include "tally.h"

#include <errno.h>
#include <unistd.h>

#include "testdev.h"

bool tally_has_sum(const struct road *road)
{
	return road->counter == ROAD_COUNTS_ROAD && road->can[0] == 'v';
}

static int read_test_count(struct fpc *client, uint64_t *count)
{
	uint32_t value = 0;
	/* pci-testdev's header has it behind test, width, offset and data. */
	int ret = fpc_region_read(client, 1, 12, &value, sizeof(value));

	*count = value;
	return ret;
}

static int read_bench_counter(const struct road *road, struct fpc *client, struct tally *tally)
{
	struct testdev_counters counters = { 0 };
	int ret = fpc_region_read(client, FP_BAR2, 0, &counters,
				  offsetof(struct testdev_counters, trigger));

	if (road->counter == ROAD_COUNTS_WRITES)
		tally->times = counters.writes;
	else if (road->counter == ROAD_COUNTS_READS)
		tally->times = counters.reads;
	else
		tally->times = counters.rung[road->doorbell];
	return ret;
}

static int read_road_counter(const struct road *road, struct fpc *client, struct tally *tally)
{
	struct testdev_roads seen = { 0 };
	int ret = fpc_region_read(client, FP_BAR5, 0, &seen, sizeof(seen));

	tally->times = seen.of[road->doorbell].stores;
	tally->sum = seen.of[road->doorbell].sum;
	return ret;
}

int tally_read(const struct road *road, struct rig *rig, struct tally *tally)
{
	struct fpc *client = rig->servers[road->target.side].client;

	*tally = (struct tally){ 0 };
	switch (road->counter) {
	case ROAD_COUNTS_NOTHING:
		return 0;
	case ROAD_COUNTS_STAMPS:
		tally->times = __atomic_load_n(&rig->job->stamp.count, __ATOMIC_ACQUIRE);
		return 0;
	case ROAD_COUNTS_EVENTFD:
		if (read(rig->unlistened_fd, &tally->times, sizeof(tally->times)) < 0 &&
		    errno != EAGAIN)
			return -errno;
		return 0;
	case ROAD_COUNTS_TEST:
		return read_test_count(client, &tally->times);
	case ROAD_COUNTS_SLOT:
		tally->times = rig->job->agreed;
		return 0;
	case ROAD_COUNTS_ROAD:
		return read_road_counter(road, client, tally);
	default:
		return read_bench_counter(road, client, tally);
	}
}
