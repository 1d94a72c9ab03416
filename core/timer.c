/* SPDX-License-Identifier: BSD-3-Clause */
/* timer: a device's timers, of fastpath.h, on its ring. */
#include <assert.h>

#include "device.h"
#include "ring.h"

/* What a struct fp_timer has in its `core`. */
struct timer {
	struct ring_op op;
	struct fp_device *dev;
} __attribute__((may_alias));
static_assert(sizeof(struct timer) <= sizeof(((struct fp_timer *)0)->core), "it fits");

static void expired(struct ring_op *op, int res, const struct ring_received *received)
{
	struct timer *timer = (struct timer *)op;
	struct fp_timer *public =
		(struct fp_timer *)((char *)timer - offsetof(struct fp_timer, core));

	(void)res;
	(void)received;
	public->expired(timer->dev, public);
}

void fp_timer_start(struct fp_device *dev, struct fp_timer *public, uint64_t ns)
{
	struct timer *timer = (struct timer *)public->core;

	ring_cancel(&timer->op);
	timer->op.done = expired;
	timer->dev = dev;
	ring_timeout(dev->ring, &timer->op, ns);
}

void fp_timer_stop(struct fp_timer *public)
{
	ring_cancel(&((struct timer *)public->core)->op);
}
