/* SPDX-License-Identifier: BSD-3-Clause */
#include "ring_slot.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- slots ---- */

static int slots_grow(struct ring *ring)
{
	struct slot_chunk *chunk = aligned_alloc(CACHE_LINE, sizeof(*chunk));

	if (!chunk)
		return -ENOMEM;
	memset(chunk, 0, sizeof(*chunk));
	chunk->next = ring->chunks;
	ring->chunks = chunk;
	for (unsigned int i = 0; i < SLOTS_PER_CHUNK; i++) {
		chunk->slots[i].next = ring->free_slots;
		ring->free_slots = &chunk->slots[i];
	}
	return 0;
}

struct ring_slot *slot_get(struct ring *ring, struct ring_op *op, enum slot_kind kind, int fd)
{
	struct ring_slot *slot;

	if (!ring->free_slots && slots_grow(ring)) {
		op->slot = NULL;
		op->done(op, -ENOMEM, NULL);
		return NULL;
	}
	slot = ring->free_slots;
	ring->free_slots = slot->next;
	slot->op = op;
	slot->ring = ring;
	slot->next = NULL;
	slot->fd = fd;
	slot->kind = kind;
	slot->failed = false;
	slot->in_kernel = false;
	slot->stopping = false;
	op->slot = slot;
	return slot;
}

void slot_put(struct ring_slot *slot)
{
	struct ring *ring = slot->ring;

	if (slot->op && slot->op->slot == slot) /* the owner may have started anew */
		slot->op->slot = NULL;
	slot->op = NULL;
	slot->in_kernel = false;
	slot->next = ring->free_slots;
	ring->free_slots = slot;
}

void slot_end(struct ring_slot *slot, int res)
{
	struct ring_op *op = slot->op;

	slot_put(slot);
	if (op)
		op->done(op, res, NULL);
}
/* ---- submission ---- */

#define SEND_FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL | MSG_WAITALL)

struct io_uring_sqe *sqe_get(struct ring *ring)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(&ring->uring)))
		ring_submit(ring);
	return sqe;
}

static void prep_file(struct io_uring_sqe *sqe, const struct ring_file *file)
{
	int flags = file->nowait ? RWF_NOWAIT : 0;

	switch (file->kind) {
	case RING_FILE_READ:
		io_uring_prep_readv2(sqe, file->fd, file->iov, file->nr_iov, file->offset, flags);
		break;
	case RING_FILE_WRITE:
		io_uring_prep_writev2(sqe, file->fd, file->iov, file->nr_iov, file->offset, flags);
		break;
	case RING_FILE_SYNC:
		io_uring_prep_fsync(sqe, file->fd, file->mode ? IORING_FSYNC_DATASYNC : 0);
		break;
	case RING_FILE_ALLOCATE:
		io_uring_prep_fallocate(sqe, file->fd, file->mode, file->offset, file->len);
		break;
	}
}

void slot_arm(struct ring_slot *slot)
{
	struct ring *ring = slot->ring;
	struct io_uring_sqe *sqe = sqe_get(ring);

	switch (slot->kind) {
	case SLOT_ACCEPT:
		io_uring_prep_multishot_accept(sqe, slot->fd, NULL, NULL, SOCK_CLOEXEC);
		break;
	case SLOT_RECEIVE:
		if (ring->features & RING_FEATURE_MULTISHOT) {
			io_uring_prep_recvmsg_multishot(sqe, slot->fd, &ring->receive_msg,
							MSG_CMSG_CLOEXEC);
			sqe->flags |= IOSQE_BUFFER_SELECT;
			sqe->buf_group = BUFFER_GROUP;
		} else {
			slot->msg.msg_controllen = sizeof(slot->control);
			io_uring_prep_recvmsg(sqe, slot->fd, &slot->msg, MSG_CMSG_CLOEXEC);
		}
		break;
	case SLOT_SEND:
		/*
		 * MSG_DONTWAIT makes the kernel finish the send within the submission, well or not,
		 * so that only a failure needs a completion entry: a waiting turn is not woken by
		 * its own sends. MSG_WAITALL makes a short send count as a failure.
		 */
		if (slot->has_fds)
			io_uring_prep_sendmsg(sqe, slot->fd, &slot->msg, SEND_FLAGS);
		else
			io_uring_prep_send(sqe, slot->fd, slot->data, slot->len, SEND_FLAGS);
		sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
		break;
	case SLOT_POLL:
		io_uring_prep_poll_add(sqe, slot->fd, (unsigned int)slot->value);
		break;
	case SLOT_EVENTFD_HOT:
		slot->kind = SLOT_EVENTFD;
		io_uring_prep_read(sqe, slot->fd, &slot->value, sizeof(slot->value), 0);
		break;
	case SLOT_EVENTFD:
		io_uring_prep_read(sqe, slot->fd, &slot->value, sizeof(slot->value), 0);
		break;
	case SLOT_EVENTFD_POLL:
		io_uring_prep_poll_add(sqe, slot->fd, POLLIN);
		break;
	case SLOT_TIMEOUT:
		io_uring_prep_timeout(sqe, &slot->ts, 0, 0);
		break;
	case SLOT_YIELD:
	case SLOT_MARK:
		io_uring_prep_nop(sqe);
		break;
	case SLOT_FILE:
		prep_file(sqe, slot->file);
		break;
	}
	io_uring_sqe_set_data(sqe, slot);
	slot->in_kernel = true;
}

void slot_send(struct ring_slot *slot)
{
	ssize_t n = slot->has_fds ? sendmsg(slot->fd, &slot->msg, SEND_FLAGS) :
				    send(slot->fd, slot->data, slot->len, SEND_FLAGS);

	slot->ring->stats.sends++;
	slot_end(slot, (int)(n < 0 ? -errno : n));
}

static void slot_start(struct ring *ring, struct ring_op *op, enum slot_kind kind, int fd,
		       uint64_t value)
{
	struct ring_slot *slot = slot_get(ring, op, kind, fd);

	if (!slot)
		return;
	slot->value = value;
	slot_arm(slot);
}
void ring_accept(struct ring *ring, struct ring_op *op, int fd)
{
	slot_start(ring, op, SLOT_ACCEPT, fd, 0);
}

void ring_writable(struct ring *ring, struct ring_op *op, int fd)
{
	slot_start(ring, op, SLOT_POLL, fd, POLLOUT);
}

void ring_readable(struct ring *ring, struct ring_op *op, int fd)
{
	slot_start(ring, op, SLOT_POLL, fd, POLLIN);
}

void ring_eventfd(struct ring *ring, struct ring_op *op, int fd)
{
	slot_start(ring, op, SLOT_EVENTFD, fd, 0);
}

uint64_t ring_eventfd_sum(const struct ring_op *op)
{
	return op->slot->value;
}

void ring_yield(struct ring *ring, struct ring_op *op)
{
	slot_start(ring, op, SLOT_YIELD, -1, 0);
}

void ring_timeout(struct ring *ring, struct ring_op *op, uint64_t ns)
{
	struct ring_slot *slot = slot_get(ring, op, SLOT_TIMEOUT, -1);

	if (!slot)
		return;
	slot->ts.tv_sec = (int64_t)(ns / NS_PER_S);
	slot->ts.tv_nsec = (long long)(ns % NS_PER_S);
	slot_arm(slot);
}

void ring_file(struct ring *ring, struct ring_op *op, const struct ring_file *what)
{
	struct ring_slot *slot = slot_get(ring, op, SLOT_FILE, what->fd);

	if (!slot)
		return;
	slot->file = what;
	slot_arm(slot);
}

void ring_receive(struct ring *ring, struct ring_op *op, int fd)
{
	struct ring_slot *slot = slot_get(ring, op, SLOT_RECEIVE, fd);

	if (!slot)
		return;
	if (!(ring->features & RING_FEATURE_MULTISHOT)) {
		slot->buffer = malloc(ring->buffer_bytes);
		if (!slot->buffer) {
			slot_end(slot, -ENOMEM);
			return;
		}
		slot->iov = (struct iovec){ slot->buffer, ring->buffer_bytes };
		slot->msg = (struct msghdr){
			.msg_iov = &slot->iov,
			.msg_iovlen = 1,
			.msg_control = slot->control,
		};
	}
	slot_arm(slot);
}

void ring_send(struct ring *ring, struct ring_op *op, int fd, const void *data, size_t len,
	       const int *fds, unsigned int nr_fds)
{
	struct ring_slot *slot = slot_get(ring, op, SLOT_SEND, fd);
	struct cmsghdr *cmsg;

	if (!slot)
		return;
	slot->len = len;
	slot->data = data;
	slot->has_fds = nr_fds;
	if (nr_fds) {
		slot->iov = (struct iovec){ (void *)data, len };
		slot->msg = (struct msghdr){ .msg_iov = &slot->iov, .msg_iovlen = 1 };
		slot->msg.msg_control = slot->control;
		slot->msg.msg_controllen = CMSG_SPACE(sizeof(int) * nr_fds);
		cmsg = CMSG_FIRSTHDR(&slot->msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * nr_fds);
		memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * nr_fds);
	}
	slot->next = ring->queued_sends;
	ring->queued_sends = slot;
}

void ring_signal(struct ring *ring, int eventfd)
{
	static const uint64_t one = 1;
	struct pollfd room = { .fd = eventfd, .events = POLLOUT };
	struct io_uring_sqe *sqe;

	/* A write to a full one would wait in the kernel for as long as the peer likes. */
	if (poll(&room, 1, 0) != 1)
		return;
	sqe = sqe_get(ring);
	io_uring_prep_write(sqe, eventfd, &one, sizeof(one), 0);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	io_uring_sqe_set_data(sqe, NULL);
}

/*
 * A submission entry names its fd by number, and the number may be somebody else's by the time the
 * entry is submitted.
 */
void ring_close_fd(struct ring *ring, int fd)
{
	if (io_uring_sq_ready(&ring->uring))
		ring_submit(ring);
	close(fd);
}

static void cancel_in_kernel(struct ring_slot *slot)
{
	struct io_uring_sqe *sqe = sqe_get(slot->ring);

	if (slot->kind == SLOT_TIMEOUT)
		io_uring_prep_timeout_remove(sqe, (uint64_t)(uintptr_t)slot, 0);
	else
		io_uring_prep_cancel(sqe, slot, 0);
	io_uring_sqe_set_data(sqe, NULL);
}

void ring_cancel(struct ring_op *op)
{
	struct ring_slot *slot = op->slot;
	struct ring_slot **at;

	if (!slot)
		return;
	op->slot = NULL;
	slot->op = NULL;
	if (slot->kind == SLOT_EVENTFD_HOT) {
		hot_remove(slot);
		slot_put(slot);
		return;
	}
	if (slot->in_kernel) {
		if (slot->kind != SLOT_SEND) /* which is over when its submission is */
			cancel_in_kernel(slot);
		return;
	}
	for (at = &slot->ring->queued_sends; *at; at = &(*at)->next)
		if (*at == slot) {
			*at = slot->next;
			slot_put(slot);
			return;
		}
}

void ring_stop(struct ring_op *op)
{
	if (!op->slot || op->slot->stopping)
		return;
	op->slot->stopping = true;
	cancel_in_kernel(op->slot);
}
