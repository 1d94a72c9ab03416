/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * steps: reads and writes of guest memory, one after the other, and what is to be done in
 * between. Where memory is mapped a whole series runs at once; else it waits for the client at each.
 */
#ifndef FASTPATH_STEPS_H
#define FASTPATH_STEPS_H

#include "fastpath.h"

struct steps;

typedef void step_fn(struct steps *steps);

struct steps {
	struct fp_device *dev;
	step_fn *failed; /* guest memory was not there; what would have been next is not */
	step_fn *over;	 /* hears of the end of each series, however it ends; may be NULL */
	step_fn *next;	 /* NULL: the series is over */
	struct fp_dma_op op;
	bool waits; /* for `op` */
	bool runs;
};

/* Whether a series is under way. */
static inline bool steps_busy(const struct steps *steps)
{
	return steps->waits || steps->runs || steps->next;
}

/* Begins a series, unless one is under way. */
void steps_begin(struct steps *steps, step_fn *first);

/* Within a step: what comes then. Without any of these three the series is over. */
void steps_then(struct steps *steps, step_fn *next);

/* The same, once `len` bytes at `iova` have been read to `to`, which has to stay until then. */
void steps_read(struct steps *steps, uint64_t iova, void *to, size_t len, step_fn *next);

/* And written from `from`. */
void steps_write(struct steps *steps, uint64_t iova, const void *from, size_t len, step_fn *next);

#endif
