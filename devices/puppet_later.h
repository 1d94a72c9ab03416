/* SPDX-License-Identifier: BSD-3-Clause */
/* puppet_later: accesses that are answered later, because of latency or of a hold. */
#ifndef FASTPATH_PUPPET_LATER_H
#define FASTPATH_PUPPET_LATER_H

#include "fastpath.h"

struct puppet_late;

struct puppet_later {
	/* Answers one, all but fp_finish(). */
	void (*answer)(struct fp_device *dev, struct fp_access *access);
	struct puppet_late *late;      /* in the order in which they came */
	bool holds[FP_MAX_REGIONS];    /* what comes waits for a release */
	uint64_t held[FP_MAX_REGIONS]; /* how many wait for it */
	uint64_t next;		       /* seq of the next one */
};

/* Puts the access off, unless neither a hold nor latency wants it: FP_LATER, 0, -ENOMEM. */
int puppet_later_take(struct fp_device *dev, struct puppet_later *later, struct fp_access *access,
		      uint64_t latency_us);

/* Ends the hold and answers what it held: how many. */
uint64_t puppet_later_release(struct fp_device *dev, struct puppet_later *later, uint32_t region);

/*
 * Answers all that is held, but the holds go on: the client has gone, and what the next one says would
 * wait for it.
 */
void puppet_later_let_go(struct fp_device *dev, struct puppet_later *later);

/* The first seq that is not answered, of those that no hold holds; later->next: there is none. */
uint64_t puppet_later_oldest(const struct puppet_later *later);

/* Forgets them all: the device is closed. */
void puppet_later_close(struct puppet_later *later);

#endif
