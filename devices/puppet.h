/* SPDX-License-Identifier: BSD-3-Clause */
/* puppet: the state of one, which its parts share. */
#ifndef FASTPATH_PUPPET_H
#define FASTPATH_PUPPET_H

#include "fastpath.h"
#include "puppet_control.h"
#include "puppet_later.h"
#include "puppet_log.h"
#include "puppet_memory.h"
#include "puppet_shape.h"
#include "puppet_wait.h"

struct puppet {
	/* The keys. */
	const char *shape_path;
	const char *control_path;

	struct puppet_shape shape;
	struct puppet_memory memory;
	struct puppet_log log;
	struct puppet_later later;
	struct puppet_waits waits;
	struct puppet_control *control;

	/* The client's. */
	struct fp_window *windows;
	size_t nr_windows;
};

/* The region's part of the shape; NULL: there is none. */
const struct puppet_region *puppet_region(const struct puppet *puppet, uint32_t index);

/* The doorbell called so, or NULL. */
const struct puppet_bell *puppet_bell(const struct puppet *puppet, const char *name);

#endif
