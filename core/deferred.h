/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * deferred: accesses that a device's handler answers later.
 */
#ifndef FASTPATH_DEFERRED_H
#define FASTPATH_DEFERRED_H

#include <stdbool.h>
#include <stdint.h>

#include "fastpath.h"
#include "latency.h"

struct deferred {
	struct fp_access access; /* first: the handler knows it by this */
	struct deferred *next;	 /* in the device's list */
	uint32_t region;
	bool in_handler; /* which has not returned yet */
	bool is_finished;
	int ret;
	enum road road;
	uint64_t start; /* latency_now() */

	/* Who is to be told; NULL: nobody, or nobody any more. */
	void (*answer)(struct deferred *deferred);
	void *owner;
	uint64_t cookie; /* the owner's */
	uint32_t count;	 /* the owner's: bytes that the client named */

	uint8_t data[];
};

/*
 * Has the handler of region `index` see to the access: 0, -errno, or FP_LATER with *later set
 * (NULL when nobody waits for the answer).
 */
int deferred_handle(struct fp_device *dev, uint32_t index, struct fp_access *access,
		    struct deferred **later);

/* Whether an access to region `index` has to wait for one that is deferred. */
bool deferred_holds_up(const struct fp_device *dev, uint32_t index);

/* Answers to `owner` are not wanted any more. */
void deferred_disown(struct fp_device *dev, const void *owner);

/* Frees them all, unanswered: the device is closed. */
void deferred_drop(struct fp_device *dev);

#endif
