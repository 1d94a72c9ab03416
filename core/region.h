/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * region: from bytes somewhere in a region to one call of the device's handler, by whatever road.
 */
#ifndef FASTPATH_REGION_H
#define FASTPATH_REGION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "deferred.h"
#include "fastpath.h"
#include "refusal.h"
#include "share.h"
#include "wire.h"

/* Bytes of a region that the core answers for, and the device's handler does not see. */
struct region_part {
	uint64_t offset;
	uint64_t size;
	void *bytes;	      /* memory that is there; NULL: access() knows */
	fp_access_fn *access; /* at offsets from the region's start */
	bool loads_only;      /* stores are the handler's */
};

/* What the core has made for a region of one device. */
struct region_core {
	struct region_part *parts; /* ascending */
	size_t nr_parts;
	struct share share;
};

/* What may be wrong with a class's region, said for its author; NULL: nothing. */
const char *region_check(unsigned int index, const struct fp_region *region);

/* Whether a part at [offset, offset + size) would take something from the region's own. */
bool region_part_is_free(const struct fp_region *region, uint64_t offset, uint64_t size);

/* Makes the memory of region `index` that the client may map, if any. -errno, said to the log. */
int region_open(struct fp_device *dev, uint32_t index);
void region_close(struct fp_device *dev, uint32_t index);

/* Adds a part that overlaps no other. -ENOMEM. */
int region_add_part(struct fp_device *dev, uint32_t index, const struct region_part *part);

/*
 * REGION_READ and REGION_WRITE: `count` bytes at `offset` of region `index`, to or from `data`. A
 * store that rings a doorbell reaches the handler as the ring of an eventfd would. One that is
 * partly the core's reaches it as the other parts, each by itself.
 *   -EINVAL  no such region, or the access is not wholly inside it; *why names what is wrong
 *   another -errno of the device's handler
 * FP_LATER when the handler answers later: *later then is to be told whom.
 */
int region_access(struct fp_device *dev, uint32_t index, uint64_t offset, void *data,
		  uint32_t count, bool write, struct deferred **later, struct refusal *why);

/* The one that a doorbell is heard as: its group's first, or itself. */
const struct fp_doorbell *region_heard_as(const struct fp_region *region,
					  const struct fp_doorbell *doorbell);

/*
 * Doorbell `doorbell` of region `index` rang `times` times; `value` is what was stored last, which
 * counts for one with `shadow` or several values only.
 */
int region_rang(struct fp_device *dev, uint32_t index, const struct fp_doorbell *doorbell,
		uint64_t times, uint64_t value, struct deferred **later);

/* The most that an answer to DEVICE_GET_REGION_INFO may be, bytes. */
#define REGION_MAX_AREAS 64u
#define REGION_MAX_INFO                                                   \
	(sizeof(struct wire_region_info) + sizeof(struct wire_cap_type) + \
	 sizeof(struct wire_cap_sparse) + REGION_MAX_AREAS * sizeof(struct wire_area))

/*
 * DEVICE_GET_REGION_INFO's answer at `reply`, its length returned: whole if it is not longer than
 * asked->argsz, else the fixed part, in which `argsz` says what to ask for. *fd is to go with it;
 * the device's, or -1. A client that `takes_fds` not is told of no memory to map.
 *   -EINVAL  argsz is below the fixed part, or no such region; *why names it
 */
ssize_t region_info(const struct fp_device *dev, const struct wire_region_info *asked,
		    bool takes_fds, void *reply, int *fd, struct refusal *why);

/* Whether a write of `count` bytes of `data` at `offset` would ring a doorbell. */
bool region_rings(const struct fp_device *dev, uint32_t index, uint64_t offset, const void *data,
		  uint32_t count);

#endif
