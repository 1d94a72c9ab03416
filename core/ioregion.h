/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ioregion: one ioregionfd: a socket by which KVM, or a client in its place, sends accesses to spans.
 *
 * Packets of 32 bytes each way, as RFC v3 of ioregionfd has them; commands of v1 and v2 are understood
 * too. A command becomes a region_access(), so that the handler sees what it would see by message. One
 * that the handler defers holds up those behind it. A peer that sends nonsense, or doesn't read its
 * answers, loses this fd and nothing else: the log says why, and its accesses go by message.
 */
#ifndef FASTPATH_IOREGION_H
#define FASTPATH_IOREGION_H

#include <stdint.h>

#include "fastpath.h"
#include "iofd_plan.h"

struct ioregion;

/*
 * Makes a socketpair that serves those entries of `plan`, of region `index`, that name fd number
 * `fd_index`, and listens to it. The plan has to live until ioregion_close(). -ENOMEM, -EMFILE, -ENFILE.
 */
int ioregion_open(struct fp_device *dev, uint32_t index, const struct iofd_plan *plan,
		  uint32_t fd_index, struct ioregion **out);

/* What the client gets, which stays the ioregion's; -1: it is lost. */
int ioregion_fd(const struct ioregion *ioregion);

/* Takes what was sent until now, before the loop gets to it by itself. */
void ioregion_drain(struct ioregion *ioregion);

/* Something that was in flight is not any more: goes on with what had to wait for it. */
void ioregion_progress(struct ioregion *ioregion);

/* Closes both ends, also from within an access; NULL is nothing. */
void ioregion_close(struct ioregion *ioregion);

#endif
