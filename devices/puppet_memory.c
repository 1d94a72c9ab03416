/* SPDX-License-Identifier: BSD-3-Clause */
#include "puppet_memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* No more than was touched is there: a region may be larger than all memory. */
static uint8_t *map(uint64_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

int puppet_memory_open(struct fp_device *dev, struct puppet_memory *memory,
		       const struct puppet_shape *shape)
{
	memory->shape = shape;
	for (size_t i = 0; i < shape->nr_regions; i++) {
		uint32_t index = shape->regions[i].index;

		memory->size[index] = shape->regions[i].fp.size;
		memory->ram[index] = map(memory->size[index]);
		if (!memory->ram[index])
			return -ENOMEM;
	}
	puppet_memory_reset(dev, memory);
	return 0;
}

void puppet_memory_close(struct puppet_memory *memory)
{
	for (uint32_t i = 0; i < FP_MAX_REGIONS; i++)
		if (memory->ram[i])
			munmap(memory->ram[i], memory->size[i]);
	*memory = (struct puppet_memory){ 0 };
}

/* ---- where a byte is: in an area, or between areas; and how far that goes ---- */

static const struct puppet_region *find(const struct puppet_memory *memory, uint32_t index)
{
	const struct puppet_region *region = memory->shape->regions;

	while (region->index != index)
		region++;
	return region;
}

static uint8_t *place(struct fp_device *dev, struct puppet_memory *memory, uint32_t index,
		      uint64_t offset, uint64_t *len)
{
	const struct fp_region *region = &find(memory, index)->fp;
	uint8_t *shared = fp_region_memory(dev, index);

	*len = region->size - offset;
	if (!shared || !region->nr_areas)
		return (shared ? shared : memory->ram[index]) + offset;
	for (size_t i = 0; i < region->nr_areas; i++) {
		const struct fp_area *area = &region->areas[i];

		if (offset < area->offset) {
			*len = area->offset - offset;
			break;
		}
		if (offset - area->offset < area->size) {
			*len = area->size - (offset - area->offset);
			return shared + offset;
		}
	}
	return memory->ram[index] + offset;
}

void puppet_memory_copy(struct fp_device *dev, struct puppet_memory *memory, uint32_t index,
			uint64_t offset, void *bytes, size_t len, bool write)
{
	uint8_t *outside = bytes;

	while (len) {
		uint64_t here;
		uint8_t *inside = place(dev, memory, index, offset, &here);
		size_t n = here < len ? (size_t)here : len;

		memcpy(write ? inside : outside, write ? outside : inside, n);
		outside += n;
		offset += n;
		len -= n;
	}
}

/* ---- power-on ---- */

/* Anonymous memory that is given back reads as zeros; the core's, which is a file's, has to be set. */
static void clear(struct fp_device *dev, struct puppet_memory *memory, uint32_t index)
{
	uint64_t here;

	madvise(memory->ram[index], memory->size[index], MADV_DONTNEED);
	if (!fp_region_memory(dev, index))
		return;
	for (uint64_t at = 0; at < memory->size[index]; at += here) {
		uint8_t *piece = place(dev, memory, index, at, &here);

		if (piece != memory->ram[index] + at && madvise(piece, here, MADV_REMOVE))
			memset(piece, 0, here);
	}
}

void puppet_memory_reset(struct fp_device *dev, struct puppet_memory *memory)
{
	for (size_t i = 0; i < memory->shape->nr_regions; i++) {
		const struct puppet_region *region = &memory->shape->regions[i];

		clear(dev, memory, region->index);
		for (size_t j = 0; j < region->nr_initial; j++)
			puppet_memory_copy(dev, memory, region->index, region->initial[j].offset,
					   region->initial[j].bytes.data,
					   region->initial[j].bytes.len, true);
	}
}

/* ---- migration ---- */

/* Before each region's bytes. */
struct saved_region {
	uint64_t index;
	uint64_t size;
};

int puppet_memory_save(struct fp_device *dev, struct puppet_memory *memory, struct fp_stream *to)
{
	for (uint32_t i = 0; i < FP_MAX_REGIONS; i++) {
		const struct saved_region saved = { .index = i, .size = memory->size[i] };
		uint64_t here;

		fp_stream_write(to, &saved, sizeof(saved));
		for (uint64_t at = 0; at < memory->size[i]; at += here) {
			const uint8_t *piece = place(dev, memory, i, at, &here);

			fp_stream_write(to, piece, here);
		}
	}
	return 0; /* a stream remembers its errors */
}

int puppet_memory_load(struct fp_device *dev, struct puppet_memory *memory, struct fp_stream *from)
{
	for (uint32_t i = 0; i < FP_MAX_REGIONS; i++) {
		struct saved_region saved;
		uint64_t here;

		if (fp_stream_read(from, &saved, sizeof(saved)) || saved.index != i ||
		    saved.size != memory->size[i])
			return -EINVAL;
		for (uint64_t at = 0; at < memory->size[i]; at += here) {
			uint8_t *piece = place(dev, memory, i, at, &here);

			if (fp_stream_read(from, piece, here))
				return -EINVAL;
		}
	}
	return 0;
}
