/* SPDX-License-Identifier: BSD-3-Clause */
#include "migration.h"

#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "device.h"
#include "log.h"
#include "region.h"
#include "state.h"

#define STATES WIRE_MIG_END

/* Rings are counted by doorbell; those of one with several values by value. */
static size_t nr_counts(const struct fp_doorbell *doorbell)
{
	return doorbell->nr_values > 1 ? doorbell->nr_values : 1;
}

static size_t nr_counts_of_first(const struct fp_region *region, size_t nr_doorbells)
{
	size_t nr = 0;

	for (size_t i = 0; i < nr_doorbells; i++)
		nr += nr_counts(&region->doorbells[i]);
	return nr;
}

static bool has_shadow(const struct fp_region *region)
{
	for (size_t i = 0; i < region->nr_doorbells; i++)
		if (region->doorbells[i].shadow)
			return true;
	return false;
}

int migration_open(struct fp_device *dev)
{
	struct migration *migration = &dev->migration;
	bool with_values = false;

	migration->state = WIRE_MIG_RUNNING;
	for (unsigned int i = 0; i < dev->nr_regions; i++) {
		migration->nr_rings +=
			nr_counts_of_first(&dev->regions[i], dev->regions[i].nr_doorbells);
		with_values = with_values || has_shadow(&dev->regions[i]);
	}
	migration->nr_values = with_values ? migration->nr_rings : 0;
	for (unsigned int i = 0; i < FP_NR_IRQS; i++)
		migration->nr_irqs += dev->irqs[i].count;
	migration->rings =
		calloc(migration->nr_rings + migration->nr_values + 1, sizeof(*migration->rings));
	if (migration->rings)
		migration->values = migration->rings + migration->nr_rings;
	migration->irqs = calloc(migration->nr_irqs + 1, sizeof(*migration->irqs));
	return migration->rings && migration->irqs ? 0 : -ENOMEM;
}

void migration_close(struct fp_device *dev)
{
	stream_clear(&dev->migration.stream);
	free(take_ptr(dev->migration.rings));
	free(take_ptr(dev->migration.irqs));
}

bool migration_is_offered(const struct fp_device *dev)
{
	return dev->class_->save && dev->class_->load;
}

bool migration_is_whole(const struct fp_device *dev)
{
	return migration_is_offered(dev) && dev->migration.state != WIRE_MIG_ERROR &&
	       dev->migration.state != WIRE_MIG_RESUMING;
}

/* ---- what was kept while the device stood ---- */

bool migration_runs(const struct fp_device *dev)
{
	return dev->migration.state == WIRE_MIG_RUNNING ||
	       dev->migration.state == WIRE_MIG_PRE_COPY;
}

void migration_tell(struct fp_device *dev)
{
	bool stands = !migration_runs(dev);

	if (stands == dev->migration.stands)
		return;
	dev->migration.stands = stands;
	if (dev->class_->event)
		dev->class_->event(dev, stands ? FP_STANDS : FP_RUNS, NULL);
}

bool migration_keeps(struct fp_device *dev, uint32_t region, const struct fp_doorbell *doorbell,
		     uint64_t times, uint64_t value)
{
	size_t nth = (size_t)(doorbell - dev->regions[region].doorbells);
	size_t at = nr_counts_of_first(&dev->regions[region], nth);

	if (migration_runs(dev))
		return false;
	for (uint32_t i = 0; i < region; i++)
		at += nr_counts_of_first(&dev->regions[i], dev->regions[i].nr_doorbells);
	for (size_t i = 1; i < doorbell->nr_values && doorbell->values[i - 1] != value; i++)
		at++;
	dev->migration.rings[at] += times;
	if (dev->migration.nr_values)
		dev->migration.values[at] = value;
	return true;
}

/* Of one doorbell, whose first count is number `at`. */
static void deliver_rings_of(struct fp_device *dev, uint32_t region,
			     const struct fp_doorbell *doorbell, size_t at)
{
	const struct migration *migration = &dev->migration;

	for (size_t i = 0; i < nr_counts(doorbell); i++) {
		uint64_t value = migration->nr_values ? migration->values[at + i] : 0;
		uint64_t times = migration->rings[at + i];

		if (doorbell->nr_values)
			value = doorbell->values[i];
		migration->rings[at + i] = 0;
		if (times)
			region_rang(dev, region, doorbell, times, value, NULL);
	}
}

static void deliver_rings(struct fp_device *dev)
{
	size_t at = 0;

	dev->road = ROAD_EVENTFD; /* as most of them did: which did is not kept */
	for (uint32_t i = 0; i < dev->nr_regions; i++)
		for (size_t n = 0; n < dev->regions[i].nr_doorbells; n++) {
			const struct fp_doorbell *doorbell = &dev->regions[i].doorbells[n];

			deliver_rings_of(dev, i, doorbell, at);
			at += nr_counts(doorbell);
		}
}

static void deliver_irqs(struct fp_device *dev)
{
	uint8_t *owed = dev->migration.irqs;

	for (unsigned int i = 0; i < FP_NR_IRQS; i++)
		for (uint32_t n = 0; n < dev->irqs[i].count; n++, owed++) {
			if (*owed)
				irq_trigger(&dev->irqs[i], n);
			*owed = 0;
		}
}

/* ---- the arcs ---- */

/* What rings from now on is kept. */
static int stop(struct fp_device *dev)
{
	(void)dev;
	return 0;
}

static int run(struct fp_device *dev)
{
	dev->migration.state = WIRE_MIG_RUNNING;
	migration_tell(dev);
	deliver_irqs(dev);
	deliver_rings(dev);
	iofd_progress(dev);
	return 0;
}

void migration_run(struct fp_device *dev)
{
	run(dev);
}

static int drop_stream(struct fp_device *dev)
{
	stream_clear(&dev->migration.stream);
	return 0;
}

static int begin(struct fp_device *dev)
{
	int ret = state_begin(dev, &dev->migration.stream);

	if (ret)
		drop_stream(dev);
	return ret;
}

/*
 * The device stands from here on: what has rung by now travels as a kept ring, as a handler might
 * begin something that does not.
 */
static int save(struct fp_device *dev)
{
	enum wire_mig_state before = dev->migration.state;
	int ret;

	dev->migration.state = WIRE_MIG_STOP_COPY;
	migration_tell(dev);
	iofd_drain(dev);
	ret = state_save(dev, &dev->migration.stream);
	if (!ret)
		return 0;
	log_warn("%s: its state can't be saved: %s", dev->name, strerror(-ret));
	dev->migration.state = before;
	migration_tell(dev);
	if (migration_runs(dev))
		deliver_rings(dev);
	return ret;
}

static int begin_and_save(struct fp_device *dev)
{
	int ret = begin(dev);

	if (!ret)
		ret = save(dev);
	if (ret)
		drop_stream(dev);
	return ret;
}

/* A client that wrote nothing has thought better of it: there is nothing to be loaded. */
static int load(struct fp_device *dev)
{
	struct fp_stream *stream = &dev->migration.stream;
	int ret = stream->error ? stream->error : 0;

	if (!ret && stream_left(stream))
		ret = state_load(dev, stream);
	drop_stream(dev);
	if (ret)
		dev->migration.state = WIRE_MIG_ERROR;
	return ret;
}

typedef int arc_fn(struct fp_device *dev);

static arc_fn *const arcs[STATES][STATES] = {
	[WIRE_MIG_RUNNING] = {
		[WIRE_MIG_STOP] = stop,
		[WIRE_MIG_PRE_COPY] = begin,
	},
	[WIRE_MIG_STOP] = {
		[WIRE_MIG_RUNNING] = run,
		[WIRE_MIG_STOP_COPY] = begin_and_save,
		[WIRE_MIG_RESUMING] = drop_stream,
	},
	[WIRE_MIG_STOP_COPY] = { [WIRE_MIG_STOP] = drop_stream },
	[WIRE_MIG_RESUMING] = { [WIRE_MIG_STOP] = load },
	[WIRE_MIG_PRE_COPY] = {
		[WIRE_MIG_RUNNING] = drop_stream,
		[WIRE_MIG_STOP_COPY] = save,
	},
};

/*
 * The first state on the shortest way from one (row) to another (column) that leads through no
 * saving state; 0, which is ERROR, where there is none. STOP_COPY to PRE_COPY would be possible by
 * way of RUNNING, but the protocol refuses it.
 */
static const uint8_t first_step[STATES][STATES] = {
	[WIRE_MIG_STOP] = {
		[WIRE_MIG_RUNNING] = WIRE_MIG_RUNNING,
		[WIRE_MIG_STOP_COPY] = WIRE_MIG_STOP_COPY,
		[WIRE_MIG_RESUMING] = WIRE_MIG_RESUMING,
		[WIRE_MIG_PRE_COPY] = WIRE_MIG_RUNNING,
	},
	[WIRE_MIG_RUNNING] = {
		[WIRE_MIG_STOP] = WIRE_MIG_STOP,
		[WIRE_MIG_STOP_COPY] = WIRE_MIG_STOP,
		[WIRE_MIG_RESUMING] = WIRE_MIG_STOP,
		[WIRE_MIG_PRE_COPY] = WIRE_MIG_PRE_COPY,
	},
	[WIRE_MIG_STOP_COPY] = {
		[WIRE_MIG_STOP] = WIRE_MIG_STOP,
		[WIRE_MIG_RUNNING] = WIRE_MIG_STOP,
		[WIRE_MIG_RESUMING] = WIRE_MIG_STOP,
	},
	[WIRE_MIG_RESUMING] = {
		[WIRE_MIG_STOP] = WIRE_MIG_STOP,
		[WIRE_MIG_RUNNING] = WIRE_MIG_STOP,
		[WIRE_MIG_STOP_COPY] = WIRE_MIG_STOP,
		[WIRE_MIG_PRE_COPY] = WIRE_MIG_STOP,
	},
	[WIRE_MIG_PRE_COPY] = {
		[WIRE_MIG_STOP] = WIRE_MIG_RUNNING,
		[WIRE_MIG_RUNNING] = WIRE_MIG_RUNNING,
		[WIRE_MIG_STOP_COPY] = WIRE_MIG_STOP_COPY,
		[WIRE_MIG_RESUMING] = WIRE_MIG_RUNNING,
	},
};

static int step(struct fp_device *dev, enum wire_mig_state next)
{
	enum wire_mig_state before = dev->migration.state;
	int ret = arcs[before][next](dev);

	if (!ret)
		dev->migration.state = next;
	migration_tell(dev);
	observe_state(dev, before, dev->migration.state);
	return ret;
}

void migration_prepare(struct fp_device *dev)
{
	if (migration_runs(dev))
		iofd_drain(dev);
}

int migration_go(struct fp_device *dev, uint32_t state)
{
	int ret = 0;

	/* Nobody goes to ERROR; and from there no step leads anywhere. */
	if (state >= STATES || state == WIRE_MIG_ERROR)
		return -EINVAL;
	while (!ret && dev->migration.state != state) {
		uint8_t next = first_step[dev->migration.state][state];

		ret = next ? step(dev, next) : -EINVAL;
	}
	return ret;
}

/* ---- the stream ---- */

ssize_t migration_available(struct fp_device *dev, size_t size)
{
	struct migration *migration = &dev->migration;
	size_t left;
	int ret;

	if (migration->state != WIRE_MIG_PRE_COPY && migration->state != WIRE_MIG_STOP_COPY)
		return -EINVAL;
	if (migration->state == WIRE_MIG_PRE_COPY && stream_left(&migration->stream) < size) {
		ret = state_save_early(dev, &migration->stream);
		if (ret)
			return ret;
	}
	left = stream_left(&migration->stream);
	return (ssize_t)(size < left ? size : left);
}

void migration_read(struct fp_device *dev, void *to, size_t size)
{
	fp_stream_read(&dev->migration.stream, to, size);
}

int migration_write(struct fp_device *dev, const void *from, size_t size)
{
	if (dev->migration.state != WIRE_MIG_RESUMING)
		return -EINVAL;
	return fp_stream_write(&dev->migration.stream, from, size);
}

/* ---- the client ---- */

void migration_reset(struct fp_device *dev)
{
	struct migration *migration = &dev->migration;

	stream_clear(&migration->stream);
	memset(migration->rings, 0, migration->nr_rings * sizeof(*migration->rings));
	memset(migration->irqs, 0, migration->nr_irqs * sizeof(*migration->irqs));
	observe_state(dev, migration->state, WIRE_MIG_RUNNING);
	migration->state = WIRE_MIG_RUNNING;
}

void migration_detach(struct fp_device *dev)
{
	struct migration *migration = &dev->migration;
	enum wire_mig_state before = migration->state;

	stream_clear(&migration->stream);
	if (migration->state == WIRE_MIG_PRE_COPY)
		migration->state = WIRE_MIG_RUNNING;
	if (migration->state == WIRE_MIG_STOP_COPY || migration->state == WIRE_MIG_RESUMING)
		migration->state = WIRE_MIG_STOP;
	observe_state(dev, before, migration->state);
}
