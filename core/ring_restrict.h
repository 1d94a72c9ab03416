/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring_restrict: what a ring may be asked to do from now on, whoever writes to its queue.
 *
 * A filter of system calls sees io_uring_enter() and not what it brings. The kernel keeps this list by
 * itself, for the ring's life.
 */
#ifndef FASTPATH_RING_RESTRICT_H
#define FASTPATH_RING_RESTRICT_H

#include <stdbool.h>

#include "ring.h"

/*
 * Restricts a ring that was opened with `starts_disabled` to the operations of ring.h, and enables it;
 * ring_file() is one of them if it has `files`. Any other ends with -EACCES; buffers, files and the
 * like can't be registered any more. To be called by the ring's thread before anything is queued.
 * -errno of io_uring_register(), said to the log.
 */
int ring_restrict(struct ring *ring, bool files);

#endif
