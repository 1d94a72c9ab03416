/* SPDX-License-Identifier: BSD-3-Clause */
#include "bus.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "relay.h"

#define PIO_END 0x10000u

struct bus_map {
	struct bus_range *ranges; /* by base, disjoint */
	size_t nr;
	size_t last; /* hit: a guest mostly comes back to where it was */
};

struct bus {
	struct bus_map maps[BUS_NR_SPACES];
	struct relay *relay; /* NULL: one thread has it all */
	struct bus_stats stats;
	bool measures;
	struct bus_times *times;
};

int bus_open(struct bus **out)
{
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : -ENOMEM;
}

void bus_close(struct bus *bus)
{
	if (!bus)
		return;
	for (int space = 0; space < BUS_NR_SPACES; space++)
		free(bus->maps[space].ranges);
	while (bus->times) {
		struct bus_times *times = bus->times;

		bus->times = times->next;
		free(times);
	}
	free(bus);
}

static uint64_t last_byte(const struct bus_range *range)
{
	return range->base + (range->size - 1);
}

/* The first range that ends at `addr` or behind it; map->nr when there is none. */
static size_t first_behind(const struct bus_map *map, uint64_t addr)
{
	size_t low = 0, high = map->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (last_byte(&map->ranges[middle]) < addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_sane(const struct bus_range *range)
{
	uint64_t end = range->space == BUS_PIO ? PIO_END - 1 : UINT64_MAX;

	return range->size && range->base <= end && range->size - 1 <= end - range->base;
}

/* ---- times ---- */

static struct bus_times *times_of(const struct bus *bus, const struct bus_range *range)
{
	struct bus_times *times = bus->times;

	while (times && (times->ops != range->ops || times->opaque != range->opaque))
		times = times->next;
	return times;
}

static void add_times(struct bus *bus, const struct bus_range *range)
{
	struct bus_times *times = times_of(bus, range) ? NULL : calloc(1, sizeof(*times));

	if (!times)
		return;
	*times = (struct bus_times){ range->ops, range->opaque, .next = bus->times };
	bus->times = times;
}

void bus_measure(struct bus *bus)
{
	bus->measures = true;
	for (int space = 0; space < BUS_NR_SPACES; space++)
		for (size_t i = 0; i < bus->maps[space].nr; i++)
			add_times(bus, &bus->maps[space].ranges[i]);
}

const struct bus_times *bus_times(const struct bus *bus)
{
	return bus->times;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- ranges ---- */

int bus_add(struct bus *bus, const struct bus_range *range)
{
	struct bus_map *map = &bus->maps[range->space];
	struct bus_range *ranges;
	size_t i;

	if (!is_sane(range))
		return -EINVAL;
	i = first_behind(map, range->base);
	if (i < map->nr && map->ranges[i].base <= last_byte(range))
		return -EEXIST;
	ranges = reallocarray(map->ranges, map->nr + 1, sizeof(*ranges));
	if (!ranges)
		return -ENOMEM;
	map->ranges = ranges;
	memmove(&ranges[i + 1], &ranges[i], (map->nr - i) * sizeof(*ranges));
	ranges[i] = *range;
	if (bus->measures)
		add_times(bus, range);
	map->nr++;
	return 0;
}

int bus_remove(struct bus *bus, enum bus_space space, uint64_t base)
{
	struct bus_map *map = &bus->maps[space];
	size_t i = first_behind(map, base);

	if (i == map->nr || map->ranges[i].base != base)
		return -ENOENT;
	map->nr--;
	memmove(&map->ranges[i], &map->ranges[i + 1], (map->nr - i) * sizeof(*map->ranges));
	return 0;
}

static bool holds(const struct bus_range *range, uint64_t addr, uint32_t len)
{
	return addr >= range->base && len <= range->size && addr - range->base <= range->size - len;
}

static const struct bus_range *find(struct bus *bus, enum bus_space space, uint64_t addr,
				    uint32_t len)
{
	struct bus_map *map = &bus->maps[space];

	if (map->last >= map->nr || !holds(&map->ranges[map->last], addr, len))
		map->last = first_behind(map, addr);
	if (map->last >= map->nr || !holds(&map->ranges[map->last], addr, len))
		return NULL;
	return &map->ranges[map->last];
}

/* The range may be gone when its handler is back: a guest moves BARs. */
static int read_range(const struct bus *bus, const struct bus_range *range, uint64_t offset,
		      void *data, uint32_t len)
{
	struct bus_times *times = bus->measures ? times_of(bus, range) : NULL;
	uint64_t start = times ? now_ns() : 0;
	int ret = range->ops->read(range->opaque, offset, data, len);

	if (times)
		histogram_add(&times->reads, now_ns() - start);
	return ret;
}

static int write_range(const struct bus *bus, const struct bus_range *range, uint64_t offset,
		       const void *data, uint32_t len)
{
	struct bus_times *times = bus->measures ? times_of(bus, range) : NULL;
	uint64_t start = times ? now_ns() : 0;
	int ret = range->ops->write(range->opaque, offset, data, len);

	if (times)
		histogram_add(&times->writes, now_ns() - start);
	return ret;
}

static int do_read(struct bus *bus, enum bus_space space, uint64_t addr, void *data, uint32_t len)
{
	const struct bus_range *range = find(bus, space, addr, len);

	if (range)
		return read_range(bus, range, addr - range->base, data, len);
	bus->stats.stray_reads++;
	memset(data, 0xff, len);
	return 0;
}

static int do_write(struct bus *bus, enum bus_space space, uint64_t addr, const void *data,
		    uint32_t len)
{
	const struct bus_range *range = find(bus, space, addr, len);

	if (range)
		return write_range(bus, range, addr - range->base, data, len);
	bus->stats.stray_writes++;
	return 0;
}

/* An access on its way by the relay. */
struct access {
	struct bus *bus;
	enum bus_space space;
	uint64_t addr;
	void *data;	 /* of a read, */
	const void *out; /* or of a write */
	uint32_t len;
};

static int run_read(void *opaque)
{
	const struct access *a = opaque;

	return do_read(a->bus, a->space, a->addr, a->data, a->len);
}

static int run_write(void *opaque)
{
	const struct access *a = opaque;

	return do_write(a->bus, a->space, a->addr, a->out, a->len);
}

int bus_read(struct bus *bus, enum bus_space space, uint64_t addr, void *data, uint32_t len)
{
	struct access access = { bus, space, addr, .data = data, .len = len };

	if (!bus->relay)
		return do_read(bus, space, addr, data, len);
	return relay_call(bus->relay, run_read, &access);
}

int bus_write(struct bus *bus, enum bus_space space, uint64_t addr, const void *data, uint32_t len)
{
	struct access access = { bus, space, addr, .out = data, .len = len };

	if (!bus->relay)
		return do_write(bus, space, addr, data, len);
	return relay_call(bus->relay, run_write, &access);
}

void bus_share(struct bus *bus, struct relay *relay)
{
	bus->relay = relay;
}

const struct bus_stats *bus_stats(const struct bus *bus)
{
	return &bus->stats;
}
