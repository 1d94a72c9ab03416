/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio_steps: reads and writes of guest memory, one after the other, and what is to be done in
 * between. Where memory is mapped a whole series runs at once; else it waits for the client at each.
 */
#ifndef FASTPATH_VIRTIO_STEPS_H
#define FASTPATH_VIRTIO_STEPS_H

#include "fastpath.h"

struct virtio_steps;

typedef void virtio_step_fn(struct virtio_steps *steps);

struct virtio_steps {
	struct fp_device *dev;
	virtio_step_fn *failed; /* guest memory was not there; what would have been next is not */
	virtio_step_fn *over;	/* hears of the end of each series, however it ends; may be NULL */
	virtio_step_fn *next;	/* NULL: the series is over */
	struct fp_dma_op op;
	bool waits; /* for `op` */
	bool runs;
};

/* Whether a series is under way. */
static inline bool virtio_steps_busy(const struct virtio_steps *steps)
{
	return steps->waits || steps->runs || steps->next;
}

/* Begins a series, unless one is under way. */
void virtio_steps_begin(struct virtio_steps *steps, virtio_step_fn *first);

/* Within a step: what comes then. Without any of these three the series is over. */
void virtio_steps_then(struct virtio_steps *steps, virtio_step_fn *next);

/* The same, once `len` bytes at `iova` have been read to `to`, which has to stay until then. */
void virtio_steps_read(struct virtio_steps *steps, uint64_t iova, void *to, size_t len,
		       virtio_step_fn *next);

/* And written from `from`. */
void virtio_steps_write(struct virtio_steps *steps, uint64_t iova, const void *from, size_t len,
			virtio_step_fn *next);

#endif
