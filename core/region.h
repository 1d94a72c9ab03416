/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * region: from bytes somewhere in a region to one call of the device's handler, by whatever road.
 */
#ifndef FASTPATH_REGION_H
#define FASTPATH_REGION_H

#include <stdbool.h>
#include <stdint.h>

#include "deferred.h"
#include "fastpath.h"

/* What may be wrong with a class's region, said for its author; NULL: nothing. */
const char *region_check(unsigned int index, const struct fp_region *region);

/*
 * REGION_READ and REGION_WRITE: `count` bytes at `offset` of region `index`, to or from `data`. A
 * store that rings a doorbell reaches the handler as the ring of an eventfd would.
 *   -EINVAL  no such region, or the access is not wholly inside it; *field names what is wrong
 *   another -errno of the device's handler
 * FP_LATER when the handler answers later: *later then is to be told whom.
 */
int region_access(struct fp_device *dev, uint32_t index, uint64_t offset, void *data,
		  uint32_t count, bool write, struct deferred **later, const char **field);

/* Doorbell `doorbell` of region `index` rang `times` times. */
int region_rang(struct fp_device *dev, uint32_t index, const struct fp_doorbell *doorbell,
		uint64_t times, struct deferred **later);

#endif
