/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * revival: a device whose server may die. That is noticed, the server waited for, and its device
 * becomes the guest's again if it is the same one.
 */
#ifndef KVMFD_REVIVAL_H
#define KVMFD_REVIVAL_H

#include <stdbool.h>
#include <stdint.h>

#include "vfio_pci.h"

struct revival {
	struct vfio_pci *dev;
	bool away;		 /* the server is */
	int64_t next_ns;	 /* when it is tried again, CLOCK_MONOTONIC */
	int64_t pause_ns;	 /* and how long after that */
	char said[VFIO_PCI_WHY]; /* why the one that is there won't do, and the log has it */
};

/*
 * Looks after the device, on the thread that answers its accesses; when it comes back is said to the
 * log. False: the server is gone, and options.reconnect says that this is the end.
 */
bool revival_attend(struct revival *revival);

/* In so many milliseconds there is something to do; -1: once its socket has something. */
int revival_timeout_ms(const struct revival *revival);

#endif
