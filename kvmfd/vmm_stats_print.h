/* SPDX-License-Identifier: BSD-3-Clause */
/* vmm_stats_print: what --stats says, as text. */
#ifndef KVMFD_VMM_STATS_PRINT_H
#define KVMFD_VMM_STATS_PRINT_H

#include <stdio.h>

#include "vmm_stats.h"

/* On the thread that answers accesses, or once the crew has ended. */
void vmm_stats_print_to(FILE *to, const struct vmm_stats_of *of);

#endif
