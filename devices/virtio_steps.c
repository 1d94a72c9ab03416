/* SPDX-License-Identifier: BSD-3-Clause */
#include "virtio_steps.h"

/* A loop and no recursion: a step whose memory is mapped is done before it returns. */
static void run(struct virtio_steps *steps)
{
	steps->runs = true;
	while (!steps->waits && steps->next) {
		virtio_step_fn *next = steps->next;

		steps->next = NULL;
		next(steps);
	}
	steps->runs = false;
	if (!steps->waits && steps->over)
		steps->over(steps);
}

static void moved(struct fp_device *dev, struct fp_dma_op *op, int ret)
{
	struct virtio_steps *steps =
		(struct virtio_steps *)((char *)op - offsetof(struct virtio_steps, op));

	(void)dev;
	steps->waits = false;
	if (ret) {
		steps->next = NULL;
		steps->failed(steps);
	}
	if (!steps->runs)
		run(steps);
}

void virtio_steps_begin(struct virtio_steps *steps, virtio_step_fn *first)
{
	if (virtio_steps_busy(steps))
		return;
	steps->next = first;
	run(steps);
}

void virtio_steps_then(struct virtio_steps *steps, virtio_step_fn *next)
{
	steps->next = next;
}

void virtio_steps_read(struct virtio_steps *steps, uint64_t iova, void *to, size_t len,
		       virtio_step_fn *next)
{
	steps->next = next;
	steps->waits = true;
	steps->op.done = moved;
	fp_dma_read(steps->dev, &steps->op, iova, to, len);
}

void virtio_steps_write(struct virtio_steps *steps, uint64_t iova, const void *from, size_t len,
			virtio_step_fn *next)
{
	steps->next = next;
	steps->waits = true;
	steps->op.done = moved;
	fp_dma_write(steps->dev, &steps->op, iova, from, len);
}
