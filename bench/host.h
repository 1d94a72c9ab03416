/* SPDX-License-Identifier: BSD-3-Clause */
/* host: the rig without a guest: this process makes the accesses that a monitor would make. */
#ifndef BENCH_HOST_H
#define BENCH_HOST_H

#include "rig.h"

/* Puts the job into memory that the servers may write to, at `iova`. -errno. */
int host_open(struct rig *rig, uint64_t iova);

void host_close(struct rig *rig);

/* The eventfd that a store would ring, borrowed; -1 when there is none. */
int host_fd(const struct rig *rig, const struct rig_target *target, uint32_t len, uint64_t value);

/* Does *rig->job. 0 or -errno. */
int host_run(struct rig *rig, const struct rig_target *target);

#endif
