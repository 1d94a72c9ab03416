/* SPDX-License-Identifier: BSD-3-Clause */
#include "region.h"

#include <errno.h>
#include <stdlib.h>

#include "device.h"
#include "log.h"
#include "usdt.h"
#include "wire.h"

/* ---- the parts that the core answers ---- */

int region_add_part(struct fp_device *dev, uint32_t index, const struct region_part *part)
{
	struct region_core *core = &dev->cores[index];
	struct region_part *grown =
		reallocarray(core->parts, core->nr_parts + 1, sizeof(*core->parts));
	size_t i = core->nr_parts;

	if (!grown)
		return -ENOMEM;
	core->parts = grown;
	for (; i && grown[i - 1].offset > part->offset; i--)
		grown[i] = grown[i - 1];
	grown[i] = *part;
	core->nr_parts++;
	return 0;
}

static int add_memory(struct fp_device *dev, uint32_t index, uint64_t offset, uint64_t size)
{
	const struct region_part part = {
		.offset = offset,
		.size = size,
		.bytes = dev->cores[index].share.base + offset,
		.loads_only = dev->regions[index].flags & FP_REGION_LOADS_ONLY,
	};

	return region_add_part(dev, index, &part);
}

int region_open(struct fp_device *dev, uint32_t index)
{
	const struct fp_region *region = &dev->regions[index];
	int ret;

	if (!region->size || !(region->flags & FP_REGION_MMAP))
		return 0;
	ret = share_open(&dev->cores[index].share, region);
	if (!ret && !region->nr_areas)
		ret = add_memory(dev, index, 0, region->size);
	for (size_t i = 0; i < region->nr_areas && !ret; i++)
		ret = add_memory(dev, index, region->areas[i].offset, region->areas[i].size);
	if (ret)
		log_error("%s: no memory for region %u: %s", dev->name, index, strerror(-ret));
	return ret;
}

void region_close(struct fp_device *dev, uint32_t index)
{
	struct region_core *core = &dev->cores[index];

	share_close(&core->share);
	free(core->parts);
	*core = (struct region_core){ 0 };
}

/* Who answers at `offset`: a part, or NULL, the handler; and how far that goes. */
static const struct region_part *part_at(const struct region_core *core, uint64_t offset,
					 bool write, uint64_t *len)
{
	for (size_t i = 0; i < core->nr_parts; i++) {
		const struct region_part *part = &core->parts[i];

		if (write && part->loads_only)
			continue;
		if (offset < part->offset) {
			*len = part->offset - offset;
			return NULL;
		}
		if (offset - part->offset < part->size) {
			*len = part->size - (offset - part->offset);
			return part;
		}
	}
	*len = UINT64_MAX;
	return NULL;
}

static int part_access(struct fp_device *dev, const struct region_part *part,
		       struct fp_access *access)
{
	uint8_t *at;

	if (!part->bytes)
		return part->access(dev, access);
	at = (uint8_t *)part->bytes + (access->offset - part->offset);
	if (access->write)
		share_copy(at, access->data, access->size);
	else
		share_copy(access->data, at, access->size);
	return 0;
}

/*
 * An access that does not ring: all of it to one, or a piece to each whose bytes it touches. Only
 * one that is wholly the handler's can be answered later.
 */
static int serve(struct fp_device *dev, uint32_t index, const struct fp_access *whole,
		 struct deferred **later)
{
	struct fp_access piece = *whole;
	uint32_t left = whole->size;
	int ret = 0;

	for (; left && !ret; left -= piece.size) {
		uint64_t len;
		const struct region_part *part =
			part_at(&dev->cores[index], piece.offset, piece.write, &len);

		piece.size = len < left ? (uint32_t)len : left;
		ret = part ? part_access(dev, part, &piece) :
			     deferred_handle(dev, index, &piece,
					     piece.size == whole->size ? later : NULL);
		if (ret == FP_LATER && piece.size != whole->size)
			ret = -EIO;
		piece.offset += piece.size;
		piece.data = (uint8_t *)piece.data + piece.size;
	}
	return ret;
}

/* ---- accesses ---- */

static bool has_value(const struct fp_doorbell *doorbell, uint64_t value)
{
	size_t i = 0;

	while (i < doorbell->nr_values && doorbell->values[i] != value)
		i++;
	return i < doorbell->nr_values;
}

static const struct fp_doorbell *find_doorbell(const struct fp_region *region,
					       const struct fp_access *access)
{
	for (size_t i = 0; i < region->nr_doorbells; i++) {
		const struct fp_doorbell *doorbell = &region->doorbells[i];

		if (doorbell->offset == access->offset &&
		    (!doorbell->width || doorbell->width == access->size) &&
		    (!doorbell->nr_values || has_value(doorbell, fp_access_value(access))))
			return doorbell;
	}
	return NULL;
}

bool region_rings(const struct fp_device *dev, uint32_t index, uint64_t offset, const void *data,
		  uint32_t count)
{
	const struct fp_access access = {
		.offset = offset,
		.size = count,
		.write = true,
		.data = (void *)data,
	};

	return find_doorbell(&dev->regions[index], &access);
}

const struct fp_doorbell *region_heard_as(const struct fp_region *region,
					  const struct fp_doorbell *doorbell)
{
	const struct fp_doorbell *first = region->doorbells;

	if (!doorbell->group)
		return doorbell;
	while (first->group != doorbell->group)
		first++;
	return first;
}

int region_rang(struct fp_device *dev, uint32_t index, const struct fp_doorbell *doorbell,
		uint64_t times, uint64_t value, struct deferred **later)
{
	struct fp_access access = {
		.offset = doorbell->offset,
		.size = doorbell->width,
		.write = true,
		.data = &value,
		.doorbell = doorbell,
		.times = times,
	};

	if (!doorbell->shadow && doorbell->nr_values <= 1)
		value = doorbell->nr_values ? doorbell->values[0] : 0;
	USDT(doorbell, dev->short_name, index, doorbell->offset, times, value,
	     road_names[dev->road]);
	if (migration_keeps(dev, index, doorbell, times, value))
		return 0;
	return deferred_handle(dev, index, &access, later);
}

int region_access(struct fp_device *dev, uint32_t index, uint64_t offset, void *data,
		  uint32_t count, bool write, struct deferred **later, struct refusal *why)
{
	const struct fp_region *region;
	struct fp_access access = {
		.offset = offset,
		.size = count,
		.write = write,
		.data = data,
		.times = 1,
	};

	if (index >= dev->nr_regions || !dev->regions[index].size)
		return refuse_value(why, "region", index, -EINVAL);
	region = &dev->regions[index];
	if (offset >= region->size)
		return refuse_value(why, "offset", offset, -EINVAL);
	if (!count || !wire_within(offset, count, region->size))
		return refuse_value(why, "count", count, -EINVAL);
	if (write && region->flags & FP_REGION_READ_ONLY)
		return refuse_value(why, "read-only region", index, -EINVAL);
	refuse_value(why, "the device: offset", offset, 0);
	if (write && region->nr_doorbells) {
		const struct fp_doorbell *doorbell = find_doorbell(region, &access);

		if (doorbell) {
			dev->stats.regions[index].rings_by_message++;
			return region_rang(dev, index, region_heard_as(region, doorbell), 1,
					   fp_access_value(&access), later);
		}
	}
	++*(write ? &dev->stats.regions[index].writes : &dev->stats.regions[index].reads);
	return serve(dev, index, &access, later);
}

void *fp_region_memory(struct fp_device *dev, unsigned int index)
{
	return index < dev->nr_regions ? dev->cores[index].share.base : NULL;
}

bool fp_access_memory(struct fp_access *access, uint64_t start, void *bytes, size_t len)
{
	uint8_t *at;

	if (access->offset < start || !wire_within(access->offset - start, access->size, len))
		return false;
	at = (uint8_t *)bytes + (access->offset - start);
	if (access->write)
		memcpy(at, access->data, access->size);
	else
		memcpy(access->data, at, access->size);
	return true;
}
