/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring: one io_uring and its loop.
 *
 * A ring belongs to the thread that opened it; everything here is to be called from that thread.
 * What the callbacks of one turn queue leaves together with the next turn's single
 * io_uring_enter(), which also waits. Operations are embedded in their owners and nothing is
 * allocated for one; what the kernel writes to meanwhile belongs to the ring, so that an owner may
 * go away at any time after ring_cancel().
 */
#ifndef FASTPATH_RING_H
#define FASTPATH_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "ring_wait.h"

struct ring;
struct ring_op;
struct ring_slot;

/* The most fds that one message can bring or take along. */
#define RING_MAX_FDS 64

/*
 * Bytes that arrived, with the fds that came on one of them: the callee's from then on. Nothing that
 * was sent behind the bytes of the fds' own send is among them, but what was sent before may be.
 */
struct ring_received {
	const uint8_t *data; /* valid until the callback returns */
	size_t len;	     /* 0: the peer has closed its end */
	const int *fds;
	unsigned int nr_fds;
	bool fds_lost; /* more fds came than fit; the kernel closed those */
};

/*
 * Tells what became of an operation: a result >= 0 or -errno. `received` is NULL except where
 * ring_receive() has bytes to hand over. A callback may queue its operation again, or free it.
 */
typedef void ring_done_fn(struct ring_op *op, int res, const struct ring_received *received);

struct ring_op {
	ring_done_fn *done;
	struct ring_slot *slot; /* NULL: idle */
};

/* Whether the operation is queued or in flight. */
static inline bool ring_op_busy(const struct ring_op *op)
{
	return op->slot;
}

/* Something to do just before the next submission, once: to gather what a whole turn produced. */
struct ring_hook {
	void (*run)(struct ring_hook *hook);
	struct ring_hook *next;
	struct ring *ring; /* NULL: not queued */
};

/* What a kernel may lack; the ring then falls back. */
enum {
	RING_FEATURE_DEFER_TASKRUN = 1 << 0, /* Linux 6.1 */
	RING_FEATURE_MULTISHOT = 1 << 1,     /* receiving into provided buffers, Linux 6.0 */
};

struct ring_options {
	unsigned int entries;	   /* of the submission queue; 0: 256 */
	unsigned int buffers;	   /* for receiving, a power of two; 0: 16 */
	unsigned int buffer_bytes; /* of each; 0: 8,192 */
	unsigned int avoid;	   /* RING_FEATURE_* to do without, as on an older kernel */
	bool starts_disabled;	   /* until ring_restrict() */
	struct ring_wait wait;
};

/* Counted since the ring was opened. */
struct ring_stats {
	uint64_t turns;
	uint64_t enters; /* io_uring_enter() calls */
	uint64_t sends;	 /* send() calls: of what had nothing to leave with */
	uint64_t completions;
	uint64_t spin_hits;   /* turns that found a completion while spinning */
	uint64_t spin_misses; /* turns that spun in vain and went to sleep */
	uint64_t spin_denied; /* turns that did not spin, as others do on all CPUs that we have */
};

/* *out is to be given to ring_close(). -errno of io_uring_setup() or of the buffers, -ENOMEM. */
int ring_open(const struct ring_options *options, struct ring **out);

/* Ends what is in flight without calling anybody back, and frees the ring; NULL is nothing. */
void ring_close(struct ring *ring);

/* Of RING_WAIT_SQPOLL a ring is opened with or without: -EOPNOTSUPP when that would change. Else 0. */
int ring_set_wait(struct ring *ring, struct ring_wait wait);

struct ring_wait ring_wait_policy(const struct ring *ring);

/* How long the next turn would spin, in ns. */
uint64_t ring_spins_ns(const struct ring *ring);

const struct ring_stats *ring_stats(const struct ring *ring);

/* The RING_FEATURE_* in use. */
unsigned int ring_features(const struct ring *ring);

/*
 * One turn: runs the hooks, submits, waits for a completion for at most `timeout_ns` (negative:
 * for ever) and calls back for every one that is there. Returns 0, also when nothing came in time;
 * -EINTR when a signal came first; another -errno when the ring is broken.
 */
int ring_turn(struct ring *ring, int64_t timeout_ns);

/* Whether something waits for the next turn to submit it. */
bool ring_is_queued(const struct ring *ring);

/* Readable when a turn has something to do. The ring's; for poll() and the like. */
int ring_fd(const struct ring *ring);

/* Runs `hook` before the next submission; once, however often it is asked for. */
void ring_before_submit(struct ring *ring, struct ring_hook *hook);

/* The coming turn does not wait: the caller has more to do as soon as what is queued has left. */
void ring_hurry(struct ring *ring);

/* Forgets a hook that was asked for; nothing when it was not. */
void ring_hook_drop(struct ring_hook *hook);

/* Accepts connections until cancelled: done(fd) each, the callee's to close; ends with -errno. */
void ring_accept(struct ring *ring, struct ring_op *op, int fd);

/*
 * Receives from a stream socket until cancelled or stopped: done(bytes, received) each. The last
 * call has bytes 0 (the peer closed) or -errno. From a SOCK_SEQPACKET socket each call is one packet,
 * cut to what a buffer holds.
 */
void ring_receive(struct ring *ring, struct ring_op *op, int fd);

/*
 * Within a turn or outside: has done() called for what a ring_receive() has received by now and has
 * not told yet, without waiting. Whether there was anything. The callback must not free the operation.
 * What is told so takes room in the completion queue until the turn ends: when that is full the turn tells.
 */
bool ring_receive_take(struct ring_op *op);

/*
 * Sends `len` bytes with `nr_fds` fds (at most RING_MAX_FDS) on the first of them, without waiting
 * for room: done(bytes), which may be fewer than asked for, or done(-EAGAIN). The data stays the
 * caller's and must not change until then. One send at a time on a socket.
 */
void ring_send(struct ring *ring, struct ring_op *op, int fd, const void *data, size_t len,
	       const int *fds, unsigned int nr_fds);

/* done(0) once when `fd` can be written to. */
void ring_writable(struct ring *ring, struct ring_op *op, int fd);

/* done(0) once when `fd` can be read from. */
void ring_readable(struct ring *ring, struct ring_op *op, int fd);

/*
 * Reads the eventfd `fd` until cancelled: done(0) each time something was added to it, and
 * ring_eventfd_sum() tells how much since the last time. The fd should be in blocking mode: the
 * ring then waits for it without a request of its own. A peer that changes that mode, or reads the
 * fd too, takes away its own counts and nothing else. Ends with -errno.
 */
void ring_eventfd(struct ring *ring, struct ring_op *op, int fd);

/* Within the callback of a ring_eventfd(): what was added. */
uint64_t ring_eventfd_sum(const struct ring_op *op);

/*
 * What has been added to the eventfd of a ring_eventfd() and not been told yet, taken from it: done()
 * does not tell it any more, but may be called with a sum of 0.
 */
uint64_t ring_eventfd_take(struct ring_op *op);

/* done(0) with the completions of the next turn, which does not wait: others get their share first. */
void ring_yield(struct ring *ring, struct ring_op *op);

/* done(-ETIME) once, after `ns`. */
void ring_timeout(struct ring *ring, struct ring_op *op, uint64_t ns);

/*
 * Adds 1 to a peer's eventfd with the next submission, unless it is full. Never blocks, whatever mode
 * the fd is in: a blocking one may cost a detour through a kernel worker. What the peer makes impossible
 * is its own loss.
 */
void ring_signal(struct ring *ring, int eventfd);

/* What is done to a file. */
enum ring_file_kind {
	RING_FILE_READ,
	RING_FILE_WRITE,
	RING_FILE_SYNC,
	RING_FILE_ALLOCATE,
};

struct ring_file {
	enum ring_file_kind kind;
	int fd;
	uint64_t offset; /* of a read or write UINT64_MAX: where the fd is, as of a socket or TAP */
	const struct iovec *iov; /* reads and writes */
	unsigned int nr_iov;
	int mode;     /* ALLOCATE: fallocate()'s; SYNC: not 0: the data only */
	uint64_t len; /* ALLOCATE, bytes */
	bool nowait;  /* reads and writes: -EAGAIN instead of waiting; -EOPNOTSUPP of some files */
};

/*
 * Done(bytes, or 0) once, or done(-errno). *what has to stay until then, and so has what it points
 * to: the kernel works there. So it is ended by ring_stop() and not by ring_cancel().
 */
void ring_file(struct ring *ring, struct ring_op *op, const struct ring_file *what);

/*
 * A number for what leaves together: what was queued while it was the same has not left yet. Never 0.
 */
uint64_t ring_batch(const struct ring *ring);

/* Closes an fd that operations may have named: what is queued for it has left before. */
void ring_close_fd(struct ring *ring, int fd);

/* Ends the operation at once: it is not called back any more. What was received unseen is lost. */
void ring_cancel(struct ring_op *op);

/*
 * Asks a ring_receive() to end: what has arrived is still handed over, then done(-ECANCELED). Or a
 * ring_file(), which ends so unless it was too late.
 */
void ring_stop(struct ring_op *op);

#endif
