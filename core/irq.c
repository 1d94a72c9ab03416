/* SPDX-License-Identifier: BSD-3-Clause */
#include "irq.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "cleanup.h"
#include "fastpath.h"
#include "fdkind.h"
#include "usdt.h"

static const uint32_t kind_flags[FP_NR_IRQS] = {
	[FP_INTX] = WIRE_IRQ_EVENTFD | WIRE_IRQ_MASKABLE | WIRE_IRQ_AUTOMASKED,
	[FP_MSI] = WIRE_IRQ_EVENTFD | WIRE_IRQ_MASKABLE,
	[FP_MSIX] = WIRE_IRQ_EVENTFD | WIRE_IRQ_MASKABLE,
	[FP_ERR] = WIRE_IRQ_EVENTFD,
	[FP_REQ] = WIRE_IRQ_EVENTFD,
};

int irq_open(struct irq_kind *kind, struct ring *ring, uint32_t index, uint32_t count,
	     uint64_t *fired, const char *const *device)
{
	*kind = (struct irq_kind){
		.ring = ring,
		.index = index,
		.fired = fired,
		.device = device,
		.count = count,
		.flags = kind_flags[index],
		.irqs = calloc(count ? count : 1, sizeof(*kind->irqs)),
		.mask = { .eventfd = -1, .masks = true },
		.unmask = { .eventfd = -1 },
	};
	if (!kind->irqs)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		kind->irqs[i].eventfd = -1;
	kind->mask.kind = kind;
	kind->unmask.kind = kind;
	return 0;
}

static void drop_fd(struct irq_kind *kind, int *fd)
{
	if (*fd >= 0)
		ring_close_fd(kind->ring, take_fd(fd));
}

static bool is_wanted(const struct irq_kind *kind, const struct irq *irq)
{
	return irq->eventfd >= 0 || (kind->sink && !kind->disabled);
}

static void fire(struct irq_kind *kind, struct irq *irq)
{
	if (!is_wanted(kind, irq))
		return;
	if (irq->masked) {
		irq->pending = true;
		return;
	}
	USDT(irq, *kind->device, kind->index, (uint32_t)(irq - kind->irqs));
	irq->masked = kind->flags & WIRE_IRQ_AUTOMASKED;
	if (kind->coalesces && irq->batch == ring_batch(kind->ring) && irq->eventfd >= 0)
		return;
	irq->batch = ring_batch(kind->ring);
	if (irq->eventfd >= 0)
		ring_signal(kind->ring, irq->eventfd);
	else
		kind->sink->fired(kind->sink, kind->index, (uint32_t)(irq - kind->irqs));
	++*kind->fired;
}

static void set_mask(struct irq_kind *kind, struct irq *irq, bool masked)
{
	bool was_pending = irq->pending;

	irq->masked = masked;
	if (masked)
		return;
	irq->pending = false;
	if (was_pending || irq->high)
		fire(kind, irq);
}

static void control_rang(struct ring_op *op, int res, const struct ring_received *received)
{
	struct irq_control *control =
		(struct irq_control *)((char *)op - offsetof(struct irq_control, op));

	(void)received;
	if (res >= 0)
		set_mask(control->kind, &control->kind->irqs[0], control->masks);
}

static void control_set(struct irq_control *control, int fd)
{
	ring_cancel(&control->op);
	drop_fd(control->kind, &control->eventfd);
	control->eventfd = fd;
	control->op.done = control_rang;
	if (fd >= 0)
		ring_eventfd(control->kind->ring, &control->op, fd);
}

static bool one_bit(uint32_t bits)
{
	return bits && !(bits & (bits - 1));
}

static int check_fds(const struct irq_kind *kind, const struct irq_request *request,
		     struct refusal *why)
{
	uint32_t action = request->flags & WIRE_IRQ_ACTIONS;

	if (request->nr_fds && request->nr_fds != request->count)
		return refuse_value(why, "count, other than that of the fds,", request->count,
				    -EINVAL);
	for (unsigned int i = 0; i < request->nr_fds; i++)
		if (!fd_is_eventfd(request->fds[i]))
			return refuse_value(why, "no eventfd is fd", i, -EINVAL);
	/* An action by eventfd is how INTx is masked: one interrupt, one fd an action. */
	if (action != WIRE_IRQ_ACTION_TRIGGER &&
	    (!(kind->flags & WIRE_IRQ_AUTOMASKED) || request->start))
		return refuse_value(why, "flags", request->flags, -EINVAL);
	return 0;
}

static int check(const struct irq_kind *kind, const struct irq_request *request,
		 struct refusal *why)
{
	uint32_t data = request->flags & WIRE_IRQ_DATA_MASK;
	uint32_t action = request->flags & WIRE_IRQ_ACTIONS;

	if (!one_bit(data) || !one_bit(action) || request->flags != (data | action) ||
	    (action != WIRE_IRQ_ACTION_TRIGGER && !(kind->flags & WIRE_IRQ_MASKABLE)))
		return refuse_value(why, "flags", request->flags, -EINVAL);
	if (request->start > kind->count)
		return refuse_value(why, "start", request->start, -EINVAL);
	if (!wire_within(request->start, request->count, kind->count) ||
	    (!request->count &&
	     (data != WIRE_IRQ_DATA_NONE || action != WIRE_IRQ_ACTION_TRIGGER || request->start)))
		return refuse_value(why, "count", request->count, -EINVAL);
	if (data == WIRE_IRQ_DATA_EVENTFD)
		return check_fds(kind, request, why);
	if (request->nr_fds)
		return refuse_value(why, "fds", request->nr_fds, -EINVAL);
	return 0;
}

static void set_eventfds(struct irq_kind *kind, const struct irq_request *request)
{
	kind->disabled = false;
	for (uint32_t i = 0; i < request->count; i++) {
		struct irq *irq = &kind->irqs[request->start + i];

		drop_fd(kind, &irq->eventfd);
		irq->masked = false;
		irq->pending = false;
		irq->batch = 0;
		if (request->nr_fds)
			irq->eventfd = take_fd(&request->fds[i]);
		if (irq->high)
			fire(kind, irq);
	}
}

static void act(struct irq_kind *kind, struct irq *irq, uint32_t action)
{
	if (action == WIRE_IRQ_ACTION_TRIGGER)
		fire(kind, irq);
	else
		set_mask(kind, irq, action == WIRE_IRQ_ACTION_MASK);
}

/* Nothing fires until the client names eventfds again, or their lack. */
static void disable(struct irq_kind *kind)
{
	control_set(&kind->mask, -1);
	control_set(&kind->unmask, -1);
	for (uint32_t i = 0; i < kind->count; i++) {
		drop_fd(kind, &kind->irqs[i].eventfd);
		kind->irqs[i].masked = false;
		kind->irqs[i].pending = false;
	}
	kind->disabled = true;
}

int irq_set(struct irq_kind *kind, const struct irq_request *request, struct refusal *why)
{
	uint32_t action = request->flags & WIRE_IRQ_ACTIONS;
	int ret = check(kind, request, why);

	if (ret)
		return ret;
	if (!request->count) {
		disable(kind);
		return 0;
	}
	if (request->flags & WIRE_IRQ_DATA_EVENTFD) {
		if (action == WIRE_IRQ_ACTION_TRIGGER)
			set_eventfds(kind, request);
		else
			control_set(action == WIRE_IRQ_ACTION_MASK ? &kind->mask : &kind->unmask,
				    request->nr_fds ? take_fd(&request->fds[0]) : -1);
		return 0;
	}
	for (uint32_t i = 0; i < request->count; i++)
		if (request->flags & WIRE_IRQ_DATA_NONE || request->bools[i])
			act(kind, &kind->irqs[request->start + i], action);
	return 0;
}

int irq_trigger(struct irq_kind *kind, uint32_t number)
{
	if (number >= kind->count)
		return -EINVAL;
	fire(kind, &kind->irqs[number]);
	return 0;
}

int irq_level(struct irq_kind *kind, bool high)
{
	struct irq *irq = &kind->irqs[0];
	bool rises = high && !irq->high;

	if (!(kind->flags & WIRE_IRQ_AUTOMASKED) || !kind->count)
		return -EINVAL;
	irq->high = high;
	if (!high)
		irq->pending = false;
	if (rises && !irq->masked)
		fire(kind, irq);
	return 0;
}

bool irq_wanted(const struct irq_kind *kind, uint32_t number)
{
	return number < kind->count && is_wanted(kind, &kind->irqs[number]);
}

void irq_by_message(struct irq_kind *kind, struct irq_sink *sink)
{
	kind->sink = sink;
	kind->disabled = false;
	for (uint32_t i = 0; i < kind->count; i++)
		if (kind->irqs[i].high)
			fire(kind, &kind->irqs[i]);
}

void irq_forget(struct irq_kind *kind)
{
	disable(kind);
	kind->sink = NULL;
}

void irq_close(struct irq_kind *kind)
{
	if (!kind->irqs)
		return;
	irq_forget(kind);
	free(take_ptr(kind->irqs));
}
