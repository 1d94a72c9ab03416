/* SPDX-License-Identifier: BSD-3-Clause */
#include "bus.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "relay.h"

#define PIO_END 0x10000u

struct bus_map {
	struct bus_range *ranges; /* by base, disjoint */
	size_t nr;
	size_t last; /* hit: a guest mostly comes back to where it was. Any thread sets it */
};

struct bus {
	struct bus_map maps[BUS_NR_SPACES];
	pthread_rwlock_t lock; /* of the maps: for the others to read, for one thread to write */
	struct relay *relay;   /* NULL: one thread has it all */
	struct bus_stats stats;
	bool measures;
	struct bus_times *times;
};

/* Who reads comes again and again: who writes has to come first, or never. */
static void init_lock(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(lock, &attr);
	pthread_rwlockattr_destroy(&attr);
}

int bus_open(struct bus **out)
{
	*out = calloc(1, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	init_lock(&(*out)->lock);
	return 0;
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
	pthread_rwlock_destroy(&bus->lock);
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

/* From any thread that holds the lock. */
static void note(const struct bus *bus, const struct bus_range *range, uint64_t start, bool write)
{
	struct bus_times *times = times_of(bus, range);

	if (times)
		histogram_add(write ? &times->writes : &times->reads, now_ns() - start);
}

/* ---- ranges ---- */

static int add(struct bus_map *map, const struct bus_range *range)
{
	struct bus_range *ranges;
	size_t i = first_behind(map, range->base);

	if (i < map->nr && map->ranges[i].base <= last_byte(range))
		return -EEXIST;
	ranges = reallocarray(map->ranges, map->nr + 1, sizeof(*ranges));
	if (!ranges)
		return -ENOMEM;
	map->ranges = ranges;
	memmove(&ranges[i + 1], &ranges[i], (map->nr - i) * sizeof(*ranges));
	ranges[i] = *range;
	map->nr++;
	return 0;
}

int bus_add(struct bus *bus, const struct bus_range *range)
{
	int ret;

	if (!is_sane(range))
		return -EINVAL;
	pthread_rwlock_wrlock(&bus->lock);
	ret = add(&bus->maps[range->space], range);
	if (!ret && bus->measures)
		add_times(bus, range);
	pthread_rwlock_unlock(&bus->lock);
	return ret;
}

static int take_out(struct bus_map *map, uint64_t base)
{
	size_t i = first_behind(map, base);

	if (i == map->nr || map->ranges[i].base != base)
		return -ENOENT;
	map->nr--;
	memmove(&map->ranges[i], &map->ranges[i + 1], (map->nr - i) * sizeof(*map->ranges));
	return 0;
}

int bus_remove(struct bus *bus, enum bus_space space, uint64_t base)
{
	int ret;

	pthread_rwlock_wrlock(&bus->lock);
	ret = take_out(&bus->maps[space], base);
	pthread_rwlock_unlock(&bus->lock);
	return ret;
}

void bus_settle(struct bus *bus)
{
	pthread_rwlock_wrlock(&bus->lock);
	pthread_rwlock_unlock(&bus->lock);
}

static bool holds(const struct bus_range *range, uint64_t addr, uint32_t len)
{
	return addr >= range->base && len <= range->size && addr - range->base <= range->size - len;
}

static const struct bus_range *find(struct bus *bus, enum bus_space space, uint64_t addr,
				    uint32_t len)
{
	struct bus_map *map = &bus->maps[space];
	size_t i = __atomic_load_n(&map->last, __ATOMIC_RELAXED);

	if (i < map->nr && holds(&map->ranges[i], addr, len))
		return &map->ranges[i];
	i = first_behind(map, addr);
	if (i == map->nr || !holds(&map->ranges[i], addr, len))
		return NULL;
	__atomic_store_n(&map->last, i, __ATOMIC_RELAXED);
	return &map->ranges[i];
}

/* ---- on the thread that accesses ---- */

static int try_read(struct bus *bus, enum bus_space space, uint64_t addr, void *data, uint32_t len)
{
	const struct bus_range *range;
	int ret = -ENOTCONN;

	pthread_rwlock_rdlock(&bus->lock);
	range = find(bus, space, addr, len);
	if (range && range->ops->try_read) {
		uint64_t start = bus->measures ? now_ns() : 0;

		ret = range->ops->try_read(range->opaque, addr - range->base, data, len);
		if (bus->measures && ret != -ENOTCONN)
			note(bus, range, start, false);
	}
	pthread_rwlock_unlock(&bus->lock);
	return ret;
}

static int try_write(struct bus *bus, enum bus_space space, uint64_t addr, const void *data,
		     uint32_t len)
{
	const struct bus_range *range;
	int ret = -ENOTCONN;

	pthread_rwlock_rdlock(&bus->lock);
	range = find(bus, space, addr, len);
	if (range && range->ops->try_write) {
		uint64_t start = bus->measures ? now_ns() : 0;

		ret = range->ops->try_write(range->opaque, addr - range->base, data, len);
		if (bus->measures && ret != -ENOTCONN)
			note(bus, range, start, true);
	}
	pthread_rwlock_unlock(&bus->lock);
	return ret;
}

/* ---- on the one thread, which alone changes the maps: it needs no lock to look ---- */

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
	int ret = try_read(bus, space, addr, data, len);

	if (ret != -ENOTCONN)
		return ret;
	if (!bus->relay)
		return do_read(bus, space, addr, data, len);
	return relay_call(bus->relay, run_read, &access);
}

int bus_write(struct bus *bus, enum bus_space space, uint64_t addr, const void *data, uint32_t len)
{
	struct access access = { bus, space, addr, .out = data, .len = len };
	int ret = try_write(bus, space, addr, data, len);

	if (ret != -ENOTCONN)
		return ret;
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
