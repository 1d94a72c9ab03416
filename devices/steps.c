/* SPDX-License-Identifier: BSD-3-Clause */
#include "steps.h"

/* A loop and no recursion: a step whose memory is mapped is done before it returns. */
static void run(struct steps *steps)
{
	steps->runs = true;
	while (!steps->waits && steps->next) {
		step_fn *next = steps->next;

		steps->next = NULL;
		next(steps);
	}
	steps->runs = false;
	if (!steps->waits && steps->over)
		steps->over(steps);
}

static void moved(struct fp_device *dev, struct fp_dma_op *op, int ret)
{
	struct steps *steps = (struct steps *)((char *)op - offsetof(struct steps, op));

	(void)dev;
	steps->waits = false;
	if (ret) {
		steps->next = NULL;
		steps->failed(steps);
	}
	if (!steps->runs)
		run(steps);
}

void steps_begin(struct steps *steps, step_fn *first)
{
	if (steps_busy(steps))
		return;
	steps->next = first;
	run(steps);
}

void steps_then(struct steps *steps, step_fn *next)
{
	steps->next = next;
}

void steps_read(struct steps *steps, uint64_t iova, void *to, size_t len, step_fn *next)
{
	steps->next = next;
	steps->waits = true;
	steps->op.done = moved;
	fp_dma_read(steps->dev, &steps->op, iova, to, len);
}

void steps_write(struct steps *steps, uint64_t iova, const void *from, size_t len, step_fn *next)
{
	steps->next = next;
	steps->waits = true;
	steps->op.done = moved;
	fp_dma_write(steps->dev, &steps->op, iova, from, len);
}
