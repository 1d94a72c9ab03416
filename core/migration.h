/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * migration: whether a device runs, and its state on the way from or to another server.
 */
#ifndef FASTPATH_MIGRATION_H
#define FASTPATH_MIGRATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fastpath.h"
#include "stream.h"
#include "wire.h"

struct migration {
	enum wire_mig_state state;
	struct fp_stream stream; /* out in PRE_COPY and STOP_COPY, in in RESUMING; else empty */
	/* For each doorbell, or value of one with several: how often it rang while the device stood. */
	uint64_t *rings;
	size_t nr_rings;
	uint64_t *values; /* behind them, with what value last; for regions with such doorbells */
	size_t nr_values; /* nr_rings, or 0: the class has no doorbell with a value */
	uint8_t *irqs;	  /* for each interrupt: it came here waiting, and is to be fired */
	size_t nr_irqs;
	bool stands; /* and the device has been told */
};

/* The device runs. -ENOMEM; in any case it is to be closed. */
int migration_open(struct fp_device *dev);
void migration_close(struct fp_device *dev);

/* Whether its class can be migrated at all. */
bool migration_is_offered(const struct fp_device *dev);

/* Whether the device holds all of its state: it can be saved, and none is to be loaded. */
bool migration_is_whole(const struct fp_device *dev);

/* A device whose state was loaded without a client's doing runs on: what waited is delivered. */
void migration_run(struct fp_device *dev);

/*
 * MIG_DEVICE_STATE is to be set, once nothing is in flight: hands what rang until now to the
 * handlers of a device that runs, which may begin something.
 */
void migration_prepare(struct fp_device *dev);

/*
 * MIG_DEVICE_STATE: goes to `state`, by the shortest path that is allowed.
 *   -EINVAL  no such state, or no path to it; a migrated state that is not one of this device
 *   another -errno of the class's save() or load()
 * The device stays in the state that was reached on the way, or is in ERROR when it was to load.
 */
int migration_go(struct fp_device *dev, uint32_t state);

/*
 * MIG_DATA_READ: up to `size` bytes of the saved state can be had now. -EINVAL when the device is
 * not saving; -errno of the class's precopy().
 */
ssize_t migration_available(struct fp_device *dev, size_t size);

/* Takes that many bytes. */
void migration_read(struct fp_device *dev, void *to, size_t size);

/*
 * MIG_DATA_WRITE: the next bytes of the state to be loaded. -EINVAL when the device is not
 * resuming; -ENOSPC above FP_STREAM_MAX, -ENOMEM: the state is refused when it is to be loaded.
 */
int migration_write(struct fp_device *dev, const void *from, size_t size);

/* Tells the device that it stands or runs, if that has changed since it was told last. */
void migration_tell(struct fp_device *dev);

/* Whether the device runs: neither stands for a migration nor is being loaded. */
bool migration_runs(const struct fp_device *dev);

/*
 * Whether a ring is kept until the device runs again, because it does not now: it has been counted
 * then, and is none of the handler's business.
 */
bool migration_keeps(struct fp_device *dev, uint32_t region, const struct fp_doorbell *doorbell,
		     uint64_t times, uint64_t value);

/* DEVICE_RESET: the device runs, whatever it did; what was kept is forgotten. */
void migration_reset(struct fp_device *dev);

/*
 * The client is gone, and with it what was in the stream. A device that ran, runs; one that stood
 * or was in ERROR stays so.
 */
void migration_detach(struct fp_device *dev);

#endif
