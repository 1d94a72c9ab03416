/* SPDX-License-Identifier: BSD-3-Clause */
#include "deferred.h"

#include <errno.h>
#include <stdlib.h>

#include "device.h"
#include "log.h"
#include "usdt.h"

/* An access while its handler runs: what fp_defer() finds behind its argument. */
struct handling {
	struct fp_access access; /* first */
	uint32_t region;
	enum road road;
	uint64_t start;
	struct deferred *deferred;
};

static void begun(const struct fp_device *dev, const struct handling *handling)
{
	const struct fp_access *access = &handling->access;

	USDT(access_start, dev->short_name, handling->region, access->offset, access->size,
	     access->write, road_names[handling->road]);
}

/* It is answered, now or at last. */
static void ended(struct fp_device *dev, const struct fp_access *access, enum road road,
		  uint64_t start, int ret)
{
	uint64_t ns = latency_add(&dev->latencies, access->region, road, start);

	USDT(access_end, dev->short_name, access->region, access->offset, road_names[road], ns,
	     ret);
}

static void unlink_deferred(struct fp_device *dev, const struct deferred *deferred)
{
	struct deferred **at = &dev->deferred;

	while (*at != deferred)
		at = &(*at)->next;
	*at = deferred->next;
}

struct fp_access *fp_defer(struct fp_device *dev, struct fp_access *access)
{
	struct handling *handling = (struct handling *)access;
	struct deferred *deferred = calloc(1, sizeof(*deferred) + access->size + sizeof(uint64_t));

	if (!deferred || handling->deferred) {
		free(deferred);
		return NULL;
	}
	deferred->access = *access;
	deferred->access.data = deferred->data;
	if (access->write && access->size)
		memcpy(deferred->data, access->data, access->size);
	deferred->region = handling->region;
	deferred->road = handling->road;
	deferred->start = handling->start;
	deferred->in_handler = true;
	deferred->next = dev->deferred;
	dev->deferred = deferred;
	handling->deferred = deferred;
	return &deferred->access;
}

int deferred_handle(struct fp_device *dev, uint32_t index, struct fp_access *access,
		    struct deferred **later)
{
	struct handling handling = {
		.access = *access,
		.region = index,
		.road = dev->road,
		.start = latency_now(),
	};
	struct deferred *deferred;
	int ret;

	access->region = handling.access.region = index;
	begun(dev, &handling);
	ret = dev->regions[index].access(dev, &handling.access);
	dev->road = handling.road; /* others may have been run within it */
	deferred = handling.deferred;
	if (!deferred && ret == FP_LATER) {
		log_error("%s: a handler returned FP_LATER without fp_defer()", dev->name);
		ret = -EIO;
	}
	if (!deferred) {
		ended(dev, access, handling.road, handling.start, ret);
		return ret;
	}
	deferred->in_handler = false;
	if (deferred->is_finished) { /* at once, after all */
		ret = deferred->ret;
		ended(dev, access, handling.road, handling.start, ret);
		if (!access->write && access->size)
			memcpy(access->data, deferred->data, access->size);
		unlink_deferred(dev, deferred);
		free(deferred);
	} else if (ret == FP_LATER && later) {
		*later = deferred;
	}
	return ret;
}

void fp_finish(struct fp_device *dev, struct fp_access *access, int ret)
{
	struct deferred *deferred = (struct deferred *)access;

	deferred->is_finished = true;
	deferred->ret = ret == FP_LATER ? -EIO : ret;
	if (deferred->in_handler)
		return;
	unlink_deferred(dev, deferred);
	ended(dev, access, deferred->road, deferred->start, ret);
	if (deferred->answer)
		deferred->answer(deferred);
	free(deferred);
	device_progress(dev);
}

bool deferred_holds_up(const struct fp_device *dev, uint32_t index)
{
	uint32_t independent = index < dev->nr_regions ? dev->regions[index].flags : 0;

	for (const struct deferred *deferred = dev->deferred; deferred; deferred = deferred->next)
		if (deferred->region == index ||
		    !(independent & dev->regions[deferred->region].flags & FP_REGION_INDEPENDENT))
			return true;
	return false;
}

void deferred_disown(struct fp_device *dev, const void *owner)
{
	for (struct deferred *deferred = dev->deferred; deferred; deferred = deferred->next)
		if (deferred->owner == owner)
			deferred->answer = NULL;
}

void deferred_drop(struct fp_device *dev)
{
	while (dev->deferred) {
		struct deferred *deferred = dev->deferred;

		dev->deferred = deferred->next;
		free(deferred);
	}
}
