/* SPDX-License-Identifier: BSD-3-Clause */
#include "ring_slot.h"

#include <sched.h>

/* How often to look before the CPU is offered to somebody, who may be the kernel's thread. */
#define LOOKS 512u

/*
 * The kernel's thread reads entries when it gets to it, and sends within that. Once all are read all sends
 * are over, and their data may change, as after a call of our own.
 */
static void await_reader(struct ring *ring)
{
	for (unsigned int i = 1; io_uring_sq_ready(&ring->uring); i++)
		if (i % LOOKS)
			__builtin_ia32_pause();
		else
			sched_yield();
}

static bool reader_sleeps(const struct ring *ring)
{
	return *ring->uring.sq.kflags & IORING_SQ_NEED_WAKEUP;
}

int ring_submit(struct ring *ring)
{
	int ret;

	ring->stats.enters += !ring->has_sqpoll || reader_sleeps(ring);
	ring->batch++;
	ret = io_uring_submit(&ring->uring);
	if (ring->has_sqpoll)
		await_reader(ring);
	return ret;
}

/* What a completion is told by that nobody waits for but ring_submit_and_sync(). */
static struct ring_slot mark = { .kind = SLOT_MARK };

/* Whether the mark has come through; it is nobody's then. */
static bool find_mark(struct ring *ring)
{
	struct io_uring_cqe *cqe;
	unsigned int head;

	io_uring_for_each_cqe(&ring->uring, head, cqe) {
		if (io_uring_cqe_get_data(cqe) != &mark)
			continue;
		cqe->user_data = 0;
		return true;
	}
	return false;
}

int ring_submit_and_sync(struct ring *ring)
{
	struct io_uring_sqe *sqe;
	int ret;

	if (!ring->has_sqpoll) {
		ring->stats.enters++;
		ring->batch++;
		return io_uring_submit_and_get_events(&ring->uring);
	}
	/* What its thread was at when we asked is done when it has come to this. */
	sqe = sqe_get(ring);
	io_uring_prep_nop(sqe);
	io_uring_sqe_set_data(sqe, &mark);
	ret = ring_submit(ring);
	while (!find_mark(ring) && !ring_is_overflown(ring))
		sched_yield();
	return ret;
}
