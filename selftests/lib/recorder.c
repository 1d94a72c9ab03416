/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder.h"

#include <string.h>

static void record(struct recorder *recorder, const struct recorder_access *access)
{
	if (recorder->nr < RECORDER_MAX)
		recorder->log[recorder->nr] = *access;
	recorder->nr++;
}

static int on_read(void *opaque, uint64_t offset, void *data, uint32_t len)
{
	struct recorder *recorder = opaque;

	record(recorder, &(struct recorder_access){ .offset = offset, .len = len });
	memcpy(data, &recorder->answer, len);
	return recorder->ret;
}

static int on_write(void *opaque, uint64_t offset, const void *data, uint32_t len)
{
	struct recorder *recorder = opaque;
	struct recorder_access access = { .write = true, .offset = offset, .len = len };

	memcpy(&access.value, data, len);
	record(recorder, &access);
	return recorder->ret;
}

const struct bus_ops recorder_ops = {
	.read = on_read,
	.write = on_write,
};

int recorder_add(struct recorder *recorder, struct bus *bus, enum bus_space space, uint64_t base,
		 uint64_t size)
{
	const struct bus_range range = {
		.space = space,
		.base = base,
		.size = size,
		.ops = &recorder_ops,
		.opaque = recorder,
	};

	return bus_add(bus, &range);
}

bool recorder_wrote(const struct recorder *recorder, unsigned int i, uint64_t offset, uint32_t len,
		    uint64_t value)
{
	const struct recorder_access *access = &recorder->log[i];

	return i < recorder->nr && access->write && access->offset == offset &&
	       access->len == len && access->value == value;
}

bool recorder_read(const struct recorder *recorder, unsigned int i, uint64_t offset, uint32_t len)
{
	const struct recorder_access *access = &recorder->log[i];

	return i < recorder->nr && !access->write && access->offset == offset && access->len == len;
}
