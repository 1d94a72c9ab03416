/* SPDX-License-Identifier: BSD-3-Clause */
#include "ring_slot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"

void ring_recycle(struct ring *ring, unsigned int id)
{
	io_uring_buf_ring_add(ring->buf_ring, ring->buffers + (size_t)id * ring->buffer_bytes,
			      ring->buffer_bytes, (unsigned short)id,
			      io_uring_buf_ring_mask(ring->nr_buffers), 0);
	io_uring_buf_ring_advance(ring->buf_ring, 1);
}

/* Collects the fds of one control buffer into fds[RING_MAX_FDS]. */
static unsigned int control_fds(struct msghdr *msg, int *fds)
{
	unsigned int nr = 0;

	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
		size_t n;

		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds + nr, CMSG_DATA(cmsg), n * sizeof(int));
		nr += (unsigned int)n;
	}
	return nr;
}

static void hand_over(struct ring_slot *slot, struct msghdr *msg, const uint8_t *data, size_t len)
{
	int fds[RING_MAX_FDS];
	struct ring_received received = { .data = data, .len = len, .fds = fds };

	received.nr_fds = control_fds(msg, fds);
	received.fds_lost = msg->msg_flags & MSG_CTRUNC;
	if (slot->op) {
		slot->op->done(slot->op, (int)len, &received);
		return;
	}
	for (unsigned int i = 0; i < received.nr_fds; i++)
		close(fds[i]);
}

/* A provided buffer holds a header, the control data and the bytes, in this order. */
static bool received_multishot(struct ring_slot *slot, const struct io_uring_cqe *cqe)
{
	struct ring *ring = slot->ring;
	unsigned int id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
	struct io_uring_recvmsg_out *out;
	struct msghdr msg;
	size_t len;

	out = io_uring_recvmsg_validate(ring->buffers + (size_t)id * ring->buffer_bytes, cqe->res,
					&ring->receive_msg);
	if (!out) {
		ring_recycle(ring, id);
		return false;
	}
	msg = (struct msghdr){
		.msg_control = (uint8_t *)(out + 1) + ring->receive_msg.msg_namelen,
		.msg_controllen = out->controllen,
		.msg_flags = (int)out->flags,
	};
	len = io_uring_recvmsg_payload_length(out, cqe->res, &ring->receive_msg);
	hand_over(slot, &msg, io_uring_recvmsg_payload(out, &ring->receive_msg), len);
	ring_recycle(ring, id);
	return len;
}

/* Hands over what came; whether the stream goes on, so that more is to be asked for. */
static bool receive_goes_on(struct ring_slot *slot, const struct io_uring_cqe *cqe)
{
	if (!(slot->ring->features & RING_FEATURE_MULTISHOT)) {
		if (cqe->res >= 0)
			hand_over(slot, &slot->msg, slot->buffer, (size_t)cqe->res);
		return cqe->res > 0;
	}
	if (cqe->flags & IORING_CQE_F_BUFFER)
		return received_multishot(slot, cqe);
	return cqe->res == -ENOBUFS; /* all were in this batch of completions, and are back */
}

static void complete_receive(struct ring_slot *slot, const struct io_uring_cqe *cqe)
{
	bool goes_on = receive_goes_on(slot, cqe);

	if (cqe->flags & IORING_CQE_F_MORE)
		return;
	if (goes_on && slot->op && !slot->stopping) {
		slot_arm(slot);
		return;
	}
	free(take_ptr(slot->buffer));
	if (goes_on || cqe->res < 0)
		slot_end(slot, goes_on ? -ECANCELED : cqe->res);
	else
		slot_put(slot); /* the end of the stream was handed over above */
}
static void complete_eventfd(struct ring_slot *slot, int res)
{
	bool poll_first = slot->kind == SLOT_EVENTFD && res == -EAGAIN;

	slot->in_kernel = false;
	if (slot->kind == SLOT_EVENTFD && res == sizeof(slot->value) && slot->op)
		slot->op->done(slot->op, 0, NULL);
	else if (res < 0 && res != -EAGAIN && res != -EINTR) {
		slot_end(slot, res);
		return;
	}
	if (!slot->op) {
		slot_put(slot);
		return;
	}
	if (slot->kind == SLOT_EVENTFD && !poll_first && hot_add(slot))
		return;
	slot->kind = poll_first ? SLOT_EVENTFD_POLL : SLOT_EVENTFD;
	slot_arm(slot);
}

static void complete(struct ring_slot *slot, const struct io_uring_cqe *cqe)
{
	switch (slot->kind) {
	case SLOT_ACCEPT:
		if (cqe->res >= 0 && slot->op)
			slot->op->done(slot->op, cqe->res, NULL);
		else if (cqe->res >= 0)
			close(cqe->res);
		if (cqe->flags & IORING_CQE_F_MORE)
			return;
		if (cqe->res >= 0 && slot->op)
			slot_arm(slot);
		else
			slot_end(slot, cqe->res);
		return;
	case SLOT_RECEIVE:
		complete_receive(slot, cqe);
		return;
	case SLOT_SEND:
		slot->failed = true;
		slot->value = (uint64_t)(int64_t)cqe->res;
		return;
	case SLOT_EVENTFD:
	case SLOT_EVENTFD_POLL:
	case SLOT_EVENTFD_HOT:
		complete_eventfd(slot, cqe->res);
		return;
	case SLOT_POLL:
		slot_end(slot, cqe->res < 0 ? cqe->res : 0);
		return;
	case SLOT_TIMEOUT:
	case SLOT_YIELD:
	case SLOT_FILE:
		slot_end(slot, cqe->res);
		return;
	case SLOT_MARK:
		return;
	}
}

static void drain_queue(struct ring *ring)
{
	struct io_uring_cqe *cqe;
	/* Not what comes meanwhile: a busy peer would keep everything that was queued from leaving. */
	unsigned int nr = io_uring_cq_ready(&ring->uring);

	while (nr-- && !io_uring_peek_cqe(&ring->uring, &cqe)) {
		struct ring_slot *slot = io_uring_cqe_get_data(cqe);
		struct io_uring_cqe copy = *cqe;

		/* Before the callbacks, which may submit: the entry must be free by then. */
		io_uring_cqe_seen(&ring->uring, cqe);
		ring->stats.completions++;
		if (slot)
			complete(slot, &copy);
	}
}

void ring_drain(struct ring *ring)
{
	bool more;

	do {
		more = ring_is_overflown(ring);
		drain_queue(ring);
		if (more) {
			ring->stats.enters++;
			io_uring_get_events(&ring->uring);
		}
	} while (more);
}
/* What a read that has completed brought, and nobody has looked at yet. */
static uint64_t take_completed(struct ring *ring, struct ring_slot *slot)
{
	struct io_uring_cqe *cqe;
	uint64_t sum = 0;
	unsigned int head;

	io_uring_for_each_cqe(&ring->uring, head, cqe) {
		if (io_uring_cqe_get_data(cqe) != slot || slot->kind != SLOT_EVENTFD ||
		    cqe->res != sizeof(slot->value))
			continue;
		sum = slot->value;
		slot->value = 0;
	}
	return sum;
}

uint64_t ring_eventfd_take(struct ring_op *op)
{
	struct ring_slot *slot = op->slot;
	uint64_t sum = 0;

	if (!slot)
		return 0;
	/* First what the eventfd has: the kernel may move that to the completion queue at any time. */
	hot_read(slot, &sum);
	if (slot->ring->has_sqpoll) /* it may be about to */
		ring_submit_and_sync(slot->ring);
	if (ring_is_overflown(slot->ring))
		io_uring_get_events(&slot->ring->uring);
	return sum + take_completed(slot->ring, slot);
}

/* So many at a time, and the rest by the ring: a peer that floods must not keep us here. */
#define MAX_DIRECT 256

/*
 * The kernel has stopped to receive for want of buffers: completions have them that the turn will not get
 * to before we return.
 */
static void receive_directly(struct ring_slot *slot)
{
	uint8_t bytes[4096];
	ssize_t len = 1;

	slot->iov = (struct iovec){ bytes, sizeof(bytes) };
	slot->msg = (struct msghdr){
		.msg_iov = &slot->iov,
		.msg_iovlen = 1,
		.msg_control = slot->control,
	};
	for (unsigned int i = 0; i < MAX_DIRECT && slot->op && !slot->stopping && len; i++) {
		slot->msg.msg_controllen = sizeof(slot->control);
		len = recvmsg(slot->fd, &slot->msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (len < 0)
			break;
		hand_over(slot, &slot->msg, bytes, (size_t)len);
	}
	if (!slot->op || !len)
		slot_put(slot);
	else if (slot->stopping)
		slot_end(slot, -ECANCELED);
	else
		slot_arm(slot);
}

bool ring_receive_take(struct ring_op *op)
{
	struct ring_slot *slot = op->slot;
	struct io_uring_cqe *cqe;
	struct ring *ring;
	bool any = false;
	unsigned int head;

	if (!slot)
		return false;
	ring = slot->ring;
	/* The kernel receives, and nobody else: it might just have begun to, and order would be lost. */
	ring_submit_and_sync(ring);
	io_uring_for_each_cqe(&ring->uring, head, cqe) {
		struct io_uring_cqe copy = *cqe;

		if (io_uring_cqe_get_data(cqe) != slot)
			continue;
		cqe->user_data = 0; /* the turn will find it nobody's */
		any = true;
		if (copy.res == -ENOBUFS && !(copy.flags & IORING_CQE_F_MORE) && slot->op)
			receive_directly(slot);
		else
			complete(slot, &copy);
		if (op->slot != slot)
			break;
	}
	return any;
}
