/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring_slot: what ring's parts share, and nobody else: operations as the kernel knows them.
 *
 *	ring.c		the turn: hooks, submission, waiting; opening and closing
 *	ring_slot.c	operations: how each is asked for, and ended
 *	ring_done.c	completions: what each comes to
 *	ring_hot.c	eventfds that a spinning ring looks at itself
 *	ring_submit.c	submission: by our own call, or by a thread of the kernel's
 */
#ifndef FASTPATH_RING_SLOT_H
#define FASTPATH_RING_SLOT_H

#include <assert.h>
#include <liburing.h>
#include <stdalign.h>
#include <sys/socket.h>

#include "ring.h"

#define NS_PER_S 1000000000ull

enum slot_kind {
	SLOT_ACCEPT,
	SLOT_RECEIVE,
	SLOT_SEND,
	SLOT_POLL,
	SLOT_EVENTFD,
	SLOT_EVENTFD_POLL, /* an eventfd in non-blocking mode, waiting to be readable */
	SLOT_EVENTFD_HOT,  /* one that rang lately, looked at by a ring that spins */
	SLOT_TIMEOUT,
	SLOT_YIELD,
	SLOT_FILE,
	SLOT_MARK, /* what lies before it in the queue has been waited for: ring_submit.c */
};

#define CACHE_LINE 64

/*
 * What the kernel knows an operation by, and everything it writes to: it outlives the owner's
 * struct ring_op when that is cancelled. A message touches the first cache line only; the kernel writes to
 * others, or reads there, for some kinds.
 */
struct ring_slot {
	alignas(CACHE_LINE) struct ring_op *op; /* NULL: cancelled, nobody is to be told */
	struct ring *ring;
	struct ring_slot *next; /* in the free list, or among the sends of this submission */
	int fd;
	enum slot_kind kind;
	bool failed; /* a send whose completion came as an entry of its own */
	bool in_kernel;
	bool stopping;
	bool has_rung; /* a hot eventfd that is to be read */
	bool has_fds;  /* a send that takes some along: by `msg` */
	size_t len;
	uint64_t value;
	const void *data; /* of a send */

	struct __kernel_timespec ts;
	struct msghdr msg;
	struct iovec iov;
	const struct ring_file *file; /* the owner's */
	uint8_t *buffer;	      /* what a one-shot receive has instead of a provided buffer */
	alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * RING_MAX_FDS)];
};
static_assert(offsetof(struct ring_slot, ts) == CACHE_LINE, "a message touches one line");

#define SLOTS_PER_CHUNK 64

/*
 * A ring that spins looks at so many eventfds itself instead of having the kernel tell it: the
 * writer, a guest in its store, then finds nobody to wake or to queue work for, and we see it at once.
 */
#define MAX_HOT 8

struct slot_chunk {
	struct slot_chunk *next;
	struct ring_slot slots[SLOTS_PER_CHUNK];
};

/*
 * By what is touched when: the first line is read and written in every turn, the second only counted in,
 * the third only read but in a wait that slept; then liburing's own, and what is there from the beginning.
 * All are this thread's alone: they are apart so that a turn has few lines to bring in, not because of
 * others who write.
 */
struct ring {
	alignas(CACHE_LINE) struct ring_hook *hooks;
	struct ring_slot *queued_sends; /* to be submitted by the next turn */
	struct ring_slot *free_slots;
	uint64_t batch; /* submissions so far, and one */
	struct io_uring_buf_ring *buf_ring;
	uint8_t *buffers;
	unsigned int features;
	unsigned int nr_hot;
	bool hurry;	 /* the next turn is not to wait */
	bool has_rung;	 /* one of `hot`, while the ring looked at them */
	bool has_sqpoll; /* a thread of the kernel's submits */
	bool is_set_up;
	unsigned int buffer_bytes;

	alignas(CACHE_LINE) struct ring_stats stats;
	alignas(CACHE_LINE) struct spinner spinner;
	alignas(CACHE_LINE) struct io_uring uring;
	struct msghdr receive_msg; /* the shape of every multishot receive */
	struct ring_slot *hot[MAX_HOT];
	struct slot_chunk *chunks;
	unsigned int nr_buffers;
};
static_assert(offsetof(struct ring, stats) == CACHE_LINE, "what every turn touches is one line");
static_assert(sizeof(struct ring_stats) <= CACHE_LINE, "what is counted is one line");
static_assert(sizeof(struct spinner) <= CACHE_LINE, "how to wait is one line");

#define BUFFER_GROUP 0

/* A slot for `op`; when memory is out, NULL, and the operation has ended with -ENOMEM. */
struct ring_slot *slot_get(struct ring *ring, struct ring_op *op, enum slot_kind kind, int fd);

/* The slot is free again; nobody is told. */
void slot_put(struct ring_slot *slot);

/* The operation is over: its slot goes back, then its owner hears of it and may use it again. */
void slot_end(struct ring_slot *slot, int res);

/* A submission entry; when the queue is full, what is in it leaves first. */
struct io_uring_sqe *sqe_get(struct ring *ring);

/* Asks the kernel for it, with the next submission. */
void slot_arm(struct ring_slot *slot);

/* Sends at once, by a call of its own, and is over. */
void slot_send(struct ring_slot *slot);

/* Gives a receive buffer back to the kernel. */
void ring_recycle(struct ring *ring, unsigned int id);

/* Hands out the completions that are there. */
void ring_drain(struct ring *ring);

/*
 * Submits what is queued, and does not return before the kernel has it: sends are over then. What
 * io_uring_submit() returns.
 */
int ring_submit(struct ring *ring);

/* The same, and what the kernel has received by now is in the completion queue, as far as that has room. */
int ring_submit_and_sync(struct ring *ring);

/* Whether the kernel holds completions for which the queue had no room. */
static inline bool ring_is_overflown(const struct ring *ring)
{
	return *ring->uring.sq.kflags & IORING_SQ_CQ_OVERFLOW;
}

/* Makes an eventfd that has just rung hot: false when the ring does not spin, or has enough. */
bool hot_add(struct ring_slot *slot);

/* Forgets one. */
void hot_remove(struct ring_slot *slot);

/* The ring is about to sleep: from now on the kernel has to tell. */
void hot_arm_all(struct ring *ring);

/* Marks those that have something; whether there are any. Takes no lock of theirs. */
bool hot_find_rung(struct ring *ring);

/* Reads those that are marked and calls back. */
void hot_tell_rung(struct ring *ring);

/* Adds to *sum what the eventfd holds, without waiting, whatever mode it is in. */
bool hot_read(const struct ring_slot *slot, uint64_t *sum);

#endif
