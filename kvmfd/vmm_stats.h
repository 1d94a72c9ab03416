/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vmm_stats: what left the guest and why, by which roads it can do without, and what it took: at the
 * end, and whenever SIGUSR1 asks.
 */
#ifndef KVMFD_VMM_STATS_H
#define KVMFD_VMM_STATS_H

#include <stdint.h>

#include "crew.h"
#include "vfio_pci.h"

/* What it is about; all of it borrowed, and to live longer. */
struct vmm_stats_of {
	struct machine *machine;
	struct crew *crew;
	struct vfio_pci *const *devices;
	unsigned int nr_devices;
	const char *module;	  /* of KVM */
	const uint64_t *start_ns; /* how long it was until the guest ran */
};

struct vmm_stats;

/*
 * Begins to measure: to be called before crew_run(), and on its thread. SIGUSR1 is for a thread of
 * its own from now on. *out is to be given to vmm_stats_close(). -errno, said to the log.
 */
int vmm_stats_open(const struct vmm_stats_of *of, struct vmm_stats **out);

/* To the standard error. Once the crew has ended. */
void vmm_stats_print(struct vmm_stats *stats);

/* After crew_run(); NULL is nothing. */
void vmm_stats_close(struct vmm_stats *stats);

#endif
