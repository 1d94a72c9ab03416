/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether a region that a class declares holds together. */
#include "region.h"

/* Whether one of the first `nr` values of `a` is `b`'s, too. */
static bool shares_value(const struct fp_doorbell *a, size_t nr, const struct fp_doorbell *b)
{
	for (size_t i = 0; i < nr; i++)
		for (size_t j = 0; j < b->nr_values; j++)
			if (a->values[i] == b->values[j])
				return true;
	return false;
}

static bool same_store(const struct fp_doorbell *a, const struct fp_doorbell *b)
{
	/* KVM takes several at one address only if each goes by its own value of one width. */
	if (a->nr_values && b->nr_values && a->offset == b->offset && a->width == b->width)
		return shares_value(a, a->nr_values, b);
	return wire_overlaps(a->offset, a->width ? a->width : 1, b->offset,
			     b->width ? b->width : 1);
}

/* Whether stores to what the client may map come to the device all the same. */
static bool hears_stores(const struct fp_region *region)
{
	return region->flags & FP_REGION_LOADS_ONLY;
}

/* Whether [offset, offset + size) has a byte that the client may map. */
static bool is_mapped(const struct fp_region *region, uint64_t offset, uint64_t size)
{
	if (!(region->flags & FP_REGION_MMAP))
		return false;
	for (size_t i = 0; i < region->nr_areas; i++)
		if (wire_overlaps(region->areas[i].offset, region->areas[i].size, offset, size))
			return true;
	return !region->nr_areas;
}

static const char *values_check(const struct fp_doorbell *doorbell)
{
	uint32_t width = doorbell->width;

	if (doorbell->nr_values && !width)
		return "a doorbell with values needs a width";
	if (doorbell->nr_values > 1 && doorbell->group)
		return "a doorbell with several values is in no group";
	for (size_t i = 0; i < doorbell->nr_values; i++) {
		const struct fp_doorbell one = { .values = &doorbell->values[i], .nr_values = 1 };

		if (width < 8 && doorbell->values[i] >> (8 * width))
			return "a doorbell's value is wider than the doorbell";
		if (shares_value(doorbell, i, &one))
			return "a doorbell has a value twice";
	}
	return NULL;
}

static const char *doorbell_check(const struct fp_region *region,
				  const struct fp_doorbell *doorbell)
{
	uint32_t width = doorbell->width;

	if (width > 8 || width & (width - 1))
		return "a doorbell's width is not 0, 1, 2, 4 or 8";
	if (!width && region->flags & FP_REGION_IO)
		return "a doorbell in I/O space needs a width";
	if (!wire_within(doorbell->offset, width ? width : 1, region->size))
		return "a doorbell lies outside its region";
	if (doorbell->shadow && (!width || doorbell->nr_values || doorbell->group))
		return "a doorbell with shadow needs a width, and neither values nor group";
	if (!hears_stores(region) && is_mapped(region, doorbell->offset, width ? width : 1))
		return "a doorbell lies in memory that the client may map, where nothing rings";
	return values_check(doorbell);
}

static const char *doorbells_check(const struct fp_region *region)
{
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

static bool has_doorbell_of_any_width(const struct fp_region *region, uint64_t offset)
{
	for (size_t i = 0; i < region->nr_doorbells; i++)
		if (region->doorbells[i].offset == offset && !region->doorbells[i].width)
			return true;
	return false;
}

static const char *span_check(const struct fp_region *region, const struct fp_span *span)
{
	uint64_t size = span->size ? span->size : 1;

	if (!wire_within(span->offset, size, region->size))
		return "a span lies outside its region";
	if (!hears_stores(region) && is_mapped(region, span->offset, size))
		return "a span lies in memory that the client may map";
	if (span->size)
		return NULL;
	if (!span->posted)
		return "a span of size 0 is not posted";
	return has_doorbell_of_any_width(region, span->offset) ?
		       NULL :
		       "a span of size 0 is not at a doorbell of any width";
}

/* One of size 0 takes its doorbell, which any other leaves out anyway. */
static bool same_bytes(const struct fp_span *a, const struct fp_span *b)
{
	if (!a->size != !b->size)
		return false;
	return wire_overlaps(a->offset, a->size ? a->size : 1, b->offset, b->size ? b->size : 1);
}

static const char *spans_check(const struct fp_region *region)
{
	for (size_t i = 0; i < region->nr_spans; i++) {
		const char *why = span_check(region, &region->spans[i]);

		if (why)
			return why;
		for (size_t j = 0; j < i; j++)
			if (same_bytes(&region->spans[i], &region->spans[j]))
				return "two spans overlap";
	}
	return NULL;
}

/* Sizes that a BAR's write mask can tell, and nothing that it has no bits for. */
static const char *bar_check(unsigned int index, const struct fp_region *region)
{
	bool is_io = region->flags & FP_REGION_IO;
	bool is_64 = region->flags & FP_REGION_64BIT;

	if (is_io && region->flags & (FP_REGION_64BIT | FP_REGION_PREFETCHABLE | FP_REGION_MMAP))
		return "a BAR in I/O space is not 64-bit, prefetchable or mapped";
	if (region->size & (region->size - 1) || region->size > (is_64 ? 1ull << 62 : 1ull << 31))
		return is_64 ? "a 64-bit BAR's size is not a power of two up to 2^62" :
			       "a BAR's size is not a power of two up to 2 GiB";
	if (region->size < (is_io ? 4 : 16))
		return is_io ? "a BAR in I/O space is less than 4 bytes" :
			       "a BAR is less than 16 bytes";
	if (is_64 && index == FP_BAR5)
		return "a 64-bit BAR has no next BAR for its upper half";
	return NULL;
}

static const char *place_check(unsigned int index, const struct fp_region *region)
{
	if (index <= FP_BAR5)
		return bar_check(index, region);
	if (region->flags & (FP_REGION_IO | FP_REGION_64BIT | FP_REGION_PREFETCHABLE))
		return "only a BAR is in I/O space, 64-bit or prefetchable";
	if (index == FP_CONFIG)
		return "the configuration space is the core's";
	if (index == FP_ROM &&
	    (region->size & (region->size - 1) || region->size < 2048 || region->size > 1u << 24))
		return "a ROM's size is not a power of two from 2 KiB to 16 MiB";
	return NULL;
}

static const char *areas_check(const struct fp_region *region)
{
	uint64_t end = 0;

	if (region->file_offset % FP_PAGE || region->size > INT64_MAX ||
	    region->file_offset > INT64_MAX - region->size)
		return "a region begins in its file at no multiple of 4096 bytes, or too far";
	if (region->size % FP_PAGE)
		return "a region that the client may map is not a multiple of 4096 bytes";
	if (region->nr_areas > REGION_MAX_AREAS)
		return "a region has more than 64 areas";
	for (size_t i = 0; i < region->nr_areas; i++) {
		const struct fp_area *area = &region->areas[i];

		if (area->offset % FP_PAGE || area->size % FP_PAGE || !area->size)
			return "an area does not begin and end at multiples of 4096 bytes";
		if (!wire_within(area->offset, area->size, region->size))
			return "an area lies outside its region";
		if (area->offset < end)
			return "areas overlap, or are not in ascending order";
		end = area->offset + area->size;
	}
	return NULL;
}

static const char *memory_check(const struct fp_region *region)
{
	if (hears_stores(region) && region->flags & FP_REGION_READ_ONLY)
		return "a region that is read-only hears of no stores";
	if (region->flags & FP_REGION_MMAP)
		return areas_check(region);
	return region->nr_areas || region->file_offset || hears_stores(region) ?
		       "areas, a file offset or loads only in a region without FP_REGION_MMAP" :
		       NULL;
}

const char *region_check(unsigned int index, const struct fp_region *region)
{
	bool is_all_memory =
		region->flags & FP_REGION_MMAP && !region->nr_areas && !hears_stores(region);
	const char *why;

	if (!region->size)
		return region->nr_doorbells || region->nr_spans ?
			       "doorbells or spans in a region of size 0" :
			       NULL;
	why = place_check(index, region);
	if (why)
		return why;
	if (index < FP_OWN_REGION && (region->type || region->subtype))
		return "a type for a region that PCI has a number for";
	if (!region->access && !is_all_memory)
		return "a region without an access handler";
	why = memory_check(region);
	if (!why)
		why = doorbells_check(region);
	return why ? why : spans_check(region);
}

bool region_part_is_free(const struct fp_region *region, uint64_t offset, uint64_t size)
{
	for (size_t i = 0; i < region->nr_doorbells; i++) {
		const struct fp_doorbell *doorbell = &region->doorbells[i];

		if (wire_overlaps(doorbell->offset, doorbell->width ? doorbell->width : 1, offset,
				  size))
			return false;
	}
	return !is_mapped(region, offset, size);
}
