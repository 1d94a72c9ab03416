/* SPDX-License-Identifier: BSD-3-Clause */
#include "region.h"

#include <errno.h>

#include "device.h"
#include "wire.h"

static bool same_store(const struct fp_doorbell *a, const struct fp_doorbell *b)
{
	/* KVM takes several at one address only if each goes by its own value of one width. */
	if (a->match && b->match && a->offset == b->offset && a->width == b->width)
		return a->value == b->value;
	return wire_overlaps(a->offset, a->width ? a->width : 1, b->offset,
			     b->width ? b->width : 1);
}

static const char *doorbell_check(const struct fp_region *region,
				  const struct fp_doorbell *doorbell)
{
	uint32_t width = doorbell->width;

	if (width > 8 || width & (width - 1))
		return "a doorbell's width is not 0, 1, 2, 4 or 8";
	if (doorbell->match && !width)
		return "a doorbell that matches a value needs a width";
	if (doorbell->match && width < 8 && doorbell->value >> (8 * width))
		return "a doorbell's value is wider than the doorbell";
	if (!width && region->flags & FP_REGION_IO)
		return "a doorbell in I/O space needs a width";
	if (!wire_within(doorbell->offset, width ? width : 1, region->size))
		return "a doorbell lies outside its region";
	return NULL;
}

const char *region_check(unsigned int index, const struct fp_region *region)
{
	if (!region->size)
		return region->nr_doorbells ? "doorbells in a region of size 0" : NULL;
	if (index == FP_CONFIG)
		return "the configuration space is the core's";
	if (!region->access)
		return "a region without an access handler";
	if (index <= FP_BAR5 && (region->size & (region->size - 1) || region->size > 1ull << 31))
		return "a BAR's size is not a power of two up to 2 GiB";
	for (size_t i = 0; i < region->nr_doorbells; i++) {
		const char *why = doorbell_check(region, &region->doorbells[i]);

		if (why)
			return why;
		for (size_t j = 0; j < i; j++)
			if (same_store(&region->doorbells[i], &region->doorbells[j]))
				return "two doorbells overlap";
	}
	return NULL;
}

static const struct fp_doorbell *find_doorbell(const struct fp_region *region,
					       const struct fp_access *access)
{
	for (size_t i = 0; i < region->nr_doorbells; i++) {
		const struct fp_doorbell *doorbell = &region->doorbells[i];

		if (doorbell->offset == access->offset &&
		    (!doorbell->width || doorbell->width == access->size) &&
		    (!doorbell->match || doorbell->value == fp_access_value(access)))
			return doorbell;
	}
	return NULL;
}

int region_rang(struct fp_device *dev, uint32_t index, const struct fp_doorbell *doorbell,
		uint64_t times, struct deferred **later)
{
	uint64_t value = doorbell->match ? doorbell->value : 0;
	struct fp_access access = {
		.offset = doorbell->offset,
		.size = doorbell->width,
		.write = true,
		.data = &value,
		.doorbell = doorbell,
		.times = times,
	};

	if (migration_keeps(dev, index, doorbell, times))
		return 0;
	return deferred_handle(dev, index, &access, later);
}

int region_access(struct fp_device *dev, uint32_t index, uint64_t offset, void *data,
		  uint32_t count, bool write, struct deferred **later, const char **field)
{
	const struct fp_region *region;
	struct fp_access access = {
		.offset = offset,
		.size = count,
		.write = write,
		.data = data,
		.times = 1,
	};

	*field = "region";
	if (index >= FP_NR_REGIONS || !dev->regions[index].size)
		return -EINVAL;
	region = &dev->regions[index];
	*field = "offset + count";
	if (!count || !wire_within(offset, count, region->size))
		return -EINVAL;
	*field = "region, which is read-only";
	if (write && region->flags & FP_REGION_READ_ONLY)
		return -EINVAL;
	*field = "access, refused by the device";
	if (write && region->nr_doorbells) {
		const struct fp_doorbell *doorbell = find_doorbell(region, &access);

		if (doorbell)
			return region_rang(dev, index, doorbell, 1, later);
	}
	return deferred_handle(dev, index, &access, later);
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
