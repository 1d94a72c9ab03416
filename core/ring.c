/* SPDX-License-Identifier: BSD-3-Clause */
#include "ring.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "cleanup.h"
#include "log.h"

#define NS_PER_S 1000000000ull

enum slot_kind {
	SLOT_ACCEPT,
	SLOT_RECEIVE,
	SLOT_SEND,
	SLOT_POLL,
	SLOT_EVENTFD,
	SLOT_EVENTFD_POLL, /* an eventfd in non-blocking mode, waiting to be readable */
	SLOT_TIMEOUT,
};

/*
 * What the kernel knows an operation by, and everything it writes to: it outlives the owner's
 * struct ring_op when that is cancelled.
 */
struct ring_slot {
	struct ring_op *op; /* NULL: cancelled, nobody is to be told */
	struct ring *ring;
	struct ring_slot *next; /* in the free list, or among the sends of this submission */
	int fd;
	enum slot_kind kind;
	bool failed; /* a send whose completion came as an entry of its own */
	bool in_kernel;
	bool stopping;
	size_t len;
	uint64_t value;
	struct __kernel_timespec ts;
	struct msghdr msg;
	struct iovec iov;
	uint8_t *buffer; /* what a one-shot receive has instead of a provided buffer */
	alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * RING_MAX_FDS)];
};

#define SLOTS_PER_CHUNK 64

struct slot_chunk {
	struct slot_chunk *next;
	struct ring_slot slots[SLOTS_PER_CHUNK];
};

struct ring {
	struct io_uring uring;
	bool is_set_up;
	struct ring_wait wait;
	unsigned int features;
	struct ring_hook *hooks;
	bool hurry;			/* the next turn is not to wait */
	struct ring_slot *queued_sends; /* to be submitted by the next turn */
	struct ring_slot *free_slots;
	struct slot_chunk *chunks;
	struct io_uring_buf_ring *buf_ring;
	uint8_t *buffers;
	unsigned int nr_buffers;
	unsigned int buffer_bytes;
	struct msghdr receive_msg; /* the shape of every multishot receive */
	struct ring_stats stats;
};

#define BUFFER_GROUP 0

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

int ring_wait_parse(const char *text, struct ring_wait *wait)
{
	char *end;
	unsigned long us;

	if (!strcmp(text, "block")) {
		*wait = (struct ring_wait){ .mode = RING_WAIT_BLOCK };
		return 0;
	}
	if (strncmp(text, "spin=", 5) || text[5] < '0' || text[5] > '9')
		return -EINVAL;
	us = strtoul(text + 5, &end, 10);
	if (*end || us > 1000000)
		return -EINVAL;
	*wait = (struct ring_wait){ .mode = RING_WAIT_SPIN, .spin_us = (uint32_t)us };
	return 0;
}

/* ---- slots ---- */

static int slots_grow(struct ring *ring)
{
	struct slot_chunk *chunk = calloc(1, sizeof(*chunk));

	if (!chunk)
		return -ENOMEM;
	chunk->next = ring->chunks;
	ring->chunks = chunk;
	for (unsigned int i = 0; i < SLOTS_PER_CHUNK; i++) {
		chunk->slots[i].next = ring->free_slots;
		ring->free_slots = &chunk->slots[i];
	}
	return 0;
}

/* A slot for `op`; when memory is out, NULL, and the operation has ended with -ENOMEM. */
static struct ring_slot *slot_get(struct ring *ring, struct ring_op *op, enum slot_kind kind,
				  int fd)
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

static void slot_put(struct ring_slot *slot)
{
	struct ring *ring = slot->ring;

	if (slot->op && slot->op->slot == slot) /* the owner may have started anew */
		slot->op->slot = NULL;
	slot->op = NULL;
	slot->in_kernel = false;
	slot->next = ring->free_slots;
	ring->free_slots = slot;
}

/* The operation is over: its slot goes back, then its owner hears of it and may use it again. */
static void slot_end(struct ring_slot *slot, int res)
{
	struct ring_op *op = slot->op;

	slot_put(slot);
	if (op)
		op->done(op, res, NULL);
}

/* ---- submission ---- */

/* A submission entry; when the queue is full, what is in it leaves first. */
static struct io_uring_sqe *sqe_get(struct ring *ring)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(&ring->uring))) {
		ring->stats.enters++;
		io_uring_submit(&ring->uring);
	}
	return sqe;
}

static void slot_arm(struct ring_slot *slot)
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
		io_uring_prep_sendmsg(sqe, slot->fd, &slot->msg,
				      MSG_DONTWAIT | MSG_NOSIGNAL | MSG_WAITALL);
		sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
		break;
	case SLOT_POLL:
		io_uring_prep_poll_add(sqe, slot->fd, (unsigned int)slot->value);
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
	}
	io_uring_sqe_set_data(sqe, slot);
	slot->in_kernel = true;
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

void ring_timeout(struct ring *ring, struct ring_op *op, uint64_t ns)
{
	struct ring_slot *slot = slot_get(ring, op, SLOT_TIMEOUT, -1);

	if (!slot)
		return;
	slot->ts.tv_sec = (int64_t)(ns / NS_PER_S);
	slot->ts.tv_nsec = (long long)(ns % NS_PER_S);
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
	slot->iov = (struct iovec){ (void *)data, len };
	slot->msg = (struct msghdr){ .msg_iov = &slot->iov, .msg_iovlen = 1 };
	if (nr_fds) {
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
	if (io_uring_sq_ready(&ring->uring)) {
		ring->stats.enters++;
		io_uring_submit(&ring->uring);
	}
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

void ring_before_submit(struct ring *ring, struct ring_hook *hook)
{
	if (hook->ring)
		return;
	hook->ring = ring;
	hook->next = ring->hooks;
	ring->hooks = hook;
}

void ring_hurry(struct ring *ring)
{
	ring->hurry = true;
}

void ring_hook_drop(struct ring_hook *hook)
{
	struct ring_hook **at;

	if (!hook->ring)
		return;
	for (at = &hook->ring->hooks; *at != hook; at = &(*at)->next)
		;
	*at = hook->next;
	hook->ring = NULL;
}

/* ---- completions ---- */

static void buffer_recycle(struct ring *ring, unsigned int id)
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
		buffer_recycle(ring, id);
		return false;
	}
	msg = (struct msghdr){
		.msg_control = (uint8_t *)(out + 1) + ring->receive_msg.msg_namelen,
		.msg_controllen = out->controllen,
		.msg_flags = (int)out->flags,
	};
	len = io_uring_recvmsg_payload_length(out, cqe->res, &ring->receive_msg);
	hand_over(slot, &msg, io_uring_recvmsg_payload(out, &ring->receive_msg), len);
	buffer_recycle(ring, id);
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
		complete_eventfd(slot, cqe->res);
		return;
	case SLOT_POLL:
		slot_end(slot, cqe->res < 0 ? cqe->res : 0);
		return;
	case SLOT_TIMEOUT:
		slot_end(slot, cqe->res);
		return;
	}
}

static bool overflown(const struct ring *ring)
{
	return *ring->uring.sq.kflags & IORING_SQ_CQ_OVERFLOW;
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

static void drain_completions(struct ring *ring)
{
	bool more;

	do {
		more = overflown(ring);
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
	uint64_t value = 0;
	struct iovec iov = { .iov_base = &value, .iov_len = sizeof(value) };
	bool is_read;

	if (!slot)
		return 0;
	/*
	 * First what the eventfd has: the kernel may move that to the completion queue at any time.
	 * Without waiting, whatever mode the fd is in.
	 */
	is_read = preadv2(slot->fd, &iov, 1, -1, RWF_NOWAIT) == sizeof(value);
	if (overflown(slot->ring))
		io_uring_get_events(&slot->ring->uring);
	return (is_read ? value : 0) + take_completed(slot->ring, slot);
}

/* ---- the turn ---- */

static struct ring_slot *arm_sends(struct ring *ring)
{
	struct ring_slot *sends = ring->queued_sends;

	ring->queued_sends = NULL;
	for (struct ring_slot *slot = sends; slot; slot = slot->next)
		slot_arm(slot);
	return sends;
}

/* The submission is over and the completion queue drained: sends without an entry went well. */
static void settle_sends(struct ring_slot *sends)
{
	while (sends) {
		struct ring_slot *slot = sends;

		sends = slot->next;
		slot_end(slot, slot->failed ? (int)(int64_t)slot->value : (int)slot->len);
	}
}

/* Looks for a completion without entering the kernel unless it has something for us. */
static bool spin(struct ring *ring)
{
	uint64_t deadline = now_ns() + ring->wait.spin_us * 1000ull;

	do {
		if (io_uring_cq_ready(&ring->uring))
			return true;
		if (*ring->uring.sq.kflags & IORING_SQ_TASKRUN) {
			ring->stats.enters++;
			io_uring_get_events(&ring->uring);
		} else {
			__builtin_ia32_pause();
		}
	} while (now_ns() < deadline);
	return io_uring_cq_ready(&ring->uring);
}

static int submit_and_wait(struct ring *ring, int64_t timeout_ns)
{
	struct __kernel_timespec ts;
	struct io_uring_cqe *cqe;

	if (io_uring_cq_ready(&ring->uring))
		timeout_ns = 0;
	if (!timeout_ns && !io_uring_sq_ready(&ring->uring) &&
	    !(*ring->uring.sq.kflags & IORING_SQ_TASKRUN) && !overflown(ring))
		return 0;
	ring->stats.enters++;
	if (timeout_ns < 0)
		return io_uring_submit_and_wait(&ring->uring, 1);
	if (!timeout_ns)
		return io_uring_submit_and_get_events(&ring->uring);
	ts.tv_sec = timeout_ns / (int64_t)NS_PER_S;
	ts.tv_nsec = timeout_ns % (int64_t)NS_PER_S;
	return io_uring_submit_and_wait_timeout(&ring->uring, &cqe, 1, &ts, NULL);
}

static void run_hooks(struct ring *ring)
{
	while (ring->hooks) {
		struct ring_hook *hook = ring->hooks;

		ring->hooks = hook->next;
		hook->ring = NULL;
		hook->run(hook);
	}
}

int ring_turn(struct ring *ring, int64_t timeout_ns)
{
	struct ring_slot *sends;
	bool spinning;
	int ret;

	run_hooks(ring);
	if (ring->hurry)
		timeout_ns = 0;
	ring->hurry = false;
	spinning = ring->wait.mode == RING_WAIT_SPIN && timeout_ns;
	sends = arm_sends(ring);
	ret = submit_and_wait(ring, spinning ? 0 : timeout_ns);
	if (spinning && !io_uring_cq_ready(&ring->uring)) {
		if (spin(ring)) {
			ring->stats.spin_hits++;
		} else {
			ring->stats.spin_misses++;
			ret = submit_and_wait(ring, timeout_ns);
		}
	}
	/* What the kernel could not take yet (it was out of memory) goes with another submission. */
	while (io_uring_sq_ready(&ring->uring) && io_uring_submit(&ring->uring) > 0)
		ring->stats.enters++;
	drain_completions(ring);
	settle_sends(sends);
	return ret >= 0 || ret == -ETIME || ret == -EAGAIN || ret == -EBUSY ? 0 : ret;
}

/* ---- opening and closing ---- */

static int setup_buffers(struct ring *ring)
{
	size_t ring_bytes = ring->nr_buffers * sizeof(struct io_uring_buf);
	struct io_uring_buf_reg reg = { .ring_entries = ring->nr_buffers, .bgid = BUFFER_GROUP };
	int ret;

	ring->buf_ring =
		mmap(NULL, ring_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ring->buf_ring == MAP_FAILED) {
		ring->buf_ring = NULL;
		return -ENOMEM;
	}
	ring->buffers = malloc((size_t)ring->nr_buffers * ring->buffer_bytes);
	if (!ring->buffers)
		return -ENOMEM;
	reg.ring_addr = (uint64_t)(uintptr_t)ring->buf_ring;
	ret = io_uring_register_buf_ring(&ring->uring, &reg, 0);
	if (ret)
		return ret;
	io_uring_buf_ring_init(ring->buf_ring);
	for (unsigned int i = 0; i < ring->nr_buffers; i++)
		buffer_recycle(ring, i);
	ring->receive_msg.msg_controllen = CMSG_SPACE(sizeof(int) * RING_MAX_FDS);
	return 0;
}

/* Sets the ring up with the best of what this kernel has, and notes what that is. */
static int setup_uring(struct ring *ring, const struct ring_options *options)
{
	static const unsigned int flags[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
		0,
	};
	unsigned int entries = options->entries ? options->entries : 256;
	unsigned int i = options->avoid & RING_FEATURE_DEFER_TASKRUN ? 1 : 0;
	struct io_uring_params params;
	struct io_uring_probe *probe;
	int ret;

	do {
		params = (struct io_uring_params){
			.flags = flags[i] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
			.cq_entries = entries * 8,
		};
		ret = io_uring_queue_init_params(entries, &ring->uring, &params);
	} while (ret == -EINVAL && ++i < sizeof(flags) / sizeof(*flags));
	if (ret)
		return ret;
	ring->is_set_up = true;
	if (!i)
		ring->features |= RING_FEATURE_DEFER_TASKRUN;
	probe = io_uring_get_probe_ring(&ring->uring);
	/* Multishot receives have no flag of their own; they came with this operation. */
	if (probe && io_uring_opcode_supported(probe, IORING_OP_SEND_ZC))
		ring->features |= RING_FEATURE_MULTISHOT;
	io_uring_free_probe(probe);
	ring->features &= ~options->avoid;
	io_uring_register_ring_fd(&ring->uring); /* spares every enter an fd lookup, if it works */
	return 0;
}

int ring_open(const struct ring_options *options, struct ring **out)
{
	struct ring *ring = calloc(1, sizeof(*ring));
	int ret;

	if (!ring)
		return -ENOMEM;
	ring->wait = options->wait;
	ring->nr_buffers = options->buffers ? options->buffers : 64;
	ring->buffer_bytes = options->buffer_bytes ? options->buffer_bytes : 8192;
	ret = setup_uring(ring, options);
	if (!ret && ring->features & RING_FEATURE_MULTISHOT)
		ret = setup_buffers(ring);
	if (ret) {
		log_error("io_uring can't be set up: %s", strerror(-ret));
		ring_close(ring);
		return ret;
	}
	*out = ring;
	return 0;
}

void ring_close(struct ring *ring)
{
	if (!ring)
		return;
	run_hooks(ring); /* some free what waited for the end of a turn */
	if (ring->is_set_up)
		io_uring_queue_exit(&ring->uring);
	while (ring->chunks) {
		struct slot_chunk *chunk = ring->chunks;

		ring->chunks = chunk->next;
		for (unsigned int i = 0; i < SLOTS_PER_CHUNK; i++) {
			if (chunk->slots[i].op)
				chunk->slots[i].op->slot = NULL;
			free(chunk->slots[i].buffer);
		}
		free(chunk);
	}
	if (ring->buf_ring)
		munmap(ring->buf_ring, ring->nr_buffers * sizeof(struct io_uring_buf));
	free(ring->buffers);
	free(ring);
}

void ring_set_wait(struct ring *ring, struct ring_wait wait)
{
	ring->wait = wait;
}

const struct ring_stats *ring_stats(const struct ring *ring)
{
	return &ring->stats;
}

unsigned int ring_features(const struct ring *ring)
{
	return ring->features;
}
