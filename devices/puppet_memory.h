/* SPDX-License-Identifier: BSD-3-Clause */
/* puppet_memory: what is in a puppet's regions. */
#ifndef FASTPATH_PUPPET_MEMORY_H
#define FASTPATH_PUPPET_MEMORY_H

#include "puppet_shape.h"

struct puppet_memory {
	const struct puppet_shape *shape;
	/* Of each region that is there. What the client may map of it is in the core's memory. */
	uint8_t *ram[FP_MAX_REGIONS];
	uint64_t size[FP_MAX_REGIONS];
};

/* As at power-on; 0 or -ENOMEM. To be closed in any case. */
int puppet_memory_open(struct fp_device *dev, struct puppet_memory *memory,
		       const struct puppet_shape *shape);
void puppet_memory_close(struct puppet_memory *memory);

/* To what it is at power-on. */
void puppet_memory_reset(struct fp_device *dev, struct puppet_memory *memory);

/* Copies what lies wholly in region `index` to `bytes`, or the other way round. */
void puppet_memory_copy(struct fp_device *dev, struct puppet_memory *memory, uint32_t index,
			uint64_t offset, void *bytes, size_t len, bool write);

/* All of it, as the device's save() and load() have it. */
int puppet_memory_save(struct fp_device *dev, struct puppet_memory *memory, struct fp_stream *to);
int puppet_memory_load(struct fp_device *dev, struct puppet_memory *memory, struct fp_stream *from);

#endif
