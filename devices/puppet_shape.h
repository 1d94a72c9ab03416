/* SPDX-License-Identifier: BSD-3-Clause */
/* puppet_shape: what a shape file says a device is like. docs/puppet.md has its keys. */
#ifndef FASTPATH_PUPPET_SHAPE_H
#define FASTPATH_PUPPET_SHAPE_H

#include "fastpath.h"
#include "puppet_json.h"

#define PUPPET_SHAPE_MAX_BYTES (1u << 20)

/* A doorbell, and how often it rang. */
struct puppet_bell {
	struct fp_doorbell doorbell;
	const char *name; /* "kick", or "bar0[1]"; no two are the same */
	uint64_t times;
};

/* What lies in a region at power-on where it is not zeros. */
struct puppet_initial {
	uint64_t offset;
	struct puppet_bytes bytes;
};

struct puppet_region {
	uint32_t index;
	struct fp_region fp; /* without its doorbells and its handler */
	struct puppet_bell *bells;
	size_t nr_bells;
	struct puppet_initial *initial;
	size_t nr_initial;
	uint64_t latency_us; /* after which an access is answered; 0: at once */
};

/* A vendor-specific capability. */
struct puppet_cap {
	struct puppet_bytes data;
	struct puppet_bytes writable; /* none, or as long as data */
};

struct puppet_shape {
	struct fp_pci pci; /* without the vendor's capabilities */
	uint64_t serial;
	struct puppet_cap *caps;
	size_t nr_caps;
	struct puppet_region *regions; /* those that are there */
	size_t nr_regions;
	uint32_t irqs[FP_NR_IRQS];
	struct fp_limits limits;
	bool migration;
};

/* Words of a shape that requests use as well. "bar0", "rom"; and "msix". */
extern const struct puppet_word puppet_irq_words[];
puppet_read_fn puppet_read_index; /* uint32_t: of a region, a word or a number */

/* "bar0", "region9" */
const char *puppet_region_name(uint32_t index);

/*
 * Reads the file at `path` to a shape that lives as long as the device. 0 or -errno, and fp_error()
 * has said what is wrong with it, and where.
 */
int puppet_shape_load(struct fp_device *dev, const char *path, struct puppet_shape *shape);

/* Makes `own` what the shape says, with `access` as every region's handler; 0 or -ENOMEM. */
int puppet_shape_apply(struct fp_device *dev, const struct puppet_shape *shape,
		       fp_access_fn *access, struct fp_class *own);

#endif
