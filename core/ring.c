/* SPDX-License-Identifier: BSD-3-Clause */
#include "ring_slot.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "cleanup.h"
#include "log.h"
#include "usdt.h"

/* What one socket may have received before others are looked at: so long a flood holds them up. */
#define DEFAULT_BUFFERS 16u

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
/* ---- the turn ---- */

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
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

/*
 * One that is to leave alone does so by a call of its own, which is cheaper than an entry is; and a peer on
 * this CPU may run when that returns, and has often answered before we have come to sleep. But what was
 * queued before it, an interrupt, must not be overtaken.
 */
static bool leaves_alone(const struct ring *ring)
{
	return ring->queued_sends && !ring->queued_sends->next && !ring->has_sqpoll &&
	       !io_uring_sq_ready(&ring->uring);
}

static struct ring_slot *arm_sends(struct ring *ring)
{
	struct ring_slot *sends = ring->queued_sends;

	ring->queued_sends = NULL;
	for (struct ring_slot *slot = sends; slot; slot = slot->next)
		slot_arm(slot);
	return sends;
}

/* Has all leave that is to leave: what does not by now is submitted next, and returned. */
static struct ring_slot *gather_sends(struct ring *ring)
{
	run_hooks(ring);
	while (leaves_alone(ring)) {
		slot_send(take_ptr(ring->queued_sends));
		run_hooks(ring); /* its owner has heard of it, and may have more */
	}
	return arm_sends(ring);
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

/* How long to look before the CPU is offered to somebody: it may be that peer who needs it. */
#define GIVE_WAY_NS 20000u

/* An offer that took longer was accepted. */
#define ACCEPTED_NS 1500u

/* Whether somebody else has run here meanwhile. */
static bool give_way(uint64_t since)
{
	sched_yield();
	return now_ns() - since > ACCEPTED_NS;
}

/*
 * Looks for a completion without entering the kernel unless it has something for us. *is_shared: somebody
 * else wants this CPU, and may be who we wait for.
 */
static bool spin(struct ring *ring, uint64_t now, uint64_t deadline, bool *is_shared)
{
	uint64_t next_offer = now + GIVE_WAY_NS;

	do {
		ring->has_rung = hot_find_rung(ring);
		if (ring->has_rung || io_uring_cq_ready(&ring->uring))
			return true;
		if (*ring->uring.sq.kflags & IORING_SQ_TASKRUN) {
			ring->stats.enters++;
			io_uring_get_events(&ring->uring);
		} else if (now >= next_offer) {
			*is_shared |= give_way(now);
			next_offer = now + GIVE_WAY_NS;
		} else {
			__builtin_ia32_pause();
		}
		now = now_ns();
	} while (now < deadline);
	return io_uring_cq_ready(&ring->uring);
}

static int submit(struct ring *ring)
{
	if (!io_uring_sq_ready(&ring->uring) && !(*ring->uring.sq.kflags & IORING_SQ_TASKRUN) &&
	    !ring_is_overflown(ring))
		return 0;
	if (ring->has_sqpoll)
		return ring_submit(ring);
	ring->stats.enters++;
	ring->batch++;
	return io_uring_submit_and_get_events(&ring->uring);
}

static int enter(struct ring *ring, int64_t timeout_ns)
{
	struct __kernel_timespec ts = {
		.tv_sec = timeout_ns / (int64_t)NS_PER_S,
		.tv_nsec = timeout_ns % (int64_t)NS_PER_S,
	};
	struct io_uring_cqe *cqe;

	if (timeout_ns < 0)
		return io_uring_submit_and_wait(&ring->uring, 1);
	return io_uring_submit_and_wait_timeout(&ring->uring, &cqe, 1, &ts, NULL);
}

/* Submits and sleeps until there is a completion, or for `timeout_ns`. */
static int submit_and_sleep(struct ring *ring, int64_t timeout_ns)
{
	int ret;

	if (ring->has_sqpoll) /* it is to be seen that it has been submitted */
		ring_submit(ring);
	if (io_uring_cq_ready(&ring->uring))
		return submit(ring);
	ring->stats.enters++;
	ring->batch++;
	USDT(ring_sleep, ring, timeout_ns);
	ret = enter(ring, timeout_ns);
	USDT(ring_wake, ring, io_uring_cq_ready(&ring->uring));
	return ret;
}

/* Sleeps at once; how long it was is what an adaptive ring learns from. */
static int sleep_at_once(struct ring *ring, int64_t timeout_ns)
{
	uint64_t since;
	int ret;

	hot_arm_all(ring);
	if (!spinner_is_curious(&ring->spinner)) {
		spinner_rested(&ring->spinner);
		return submit_and_sleep(ring, timeout_ns);
	}
	since = now_ns();
	ret = submit_and_sleep(ring, timeout_ns);
	if (io_uring_cq_ready(&ring->uring))
		spinner_slept(&ring->spinner, now_ns() - since);
	return ret;
}

/* Looks for `window_ns`, then sleeps. */
static int spin_and_sleep(struct ring *ring, uint64_t window_ns, int64_t timeout_ns)
{
	uint64_t since = now_ns();
	bool is_shared = false;
	bool found;
	int ret = submit(ring);

	if (io_uring_cq_ready(&ring->uring))
		return ret;
	if (!spinner_enter(&ring->spinner, since)) {
		ring->stats.spin_denied++;
		hot_arm_all(ring);
		return submit_and_sleep(ring, timeout_ns);
	}
	found = spin(ring, since, since + window_ns, &is_shared);
	spinner_leave();
	if (found) {
		ring->stats.spin_hits++;
		if (is_shared) /* to sleep would have been better */
			spinner_missed(&ring->spinner, now_ns() - since);
		else
			spinner_hit(&ring->spinner);
		return ret;
	}
	ring->stats.spin_misses++;
	hot_arm_all(ring);
	ret = submit_and_sleep(ring, timeout_ns);
	spinner_missed(&ring->spinner, now_ns() - since);
	return ret;
}

/* Submits, and waits as the policy says. What io_uring_enter() returned. */
static int submit_and_wait(struct ring *ring, int64_t timeout_ns)
{
	uint64_t window_ns = spinner_window_ns(&ring->spinner);

	if (!timeout_ns || io_uring_cq_ready(&ring->uring))
		return submit(ring);
	return window_ns ? spin_and_sleep(ring, window_ns, timeout_ns) :
			   sleep_at_once(ring, timeout_ns);
}

int ring_turn(struct ring *ring, int64_t timeout_ns)
{
	struct ring_slot *sends;
	bool has_rung;
	int ret;

	ring->stats.turns++;
	sends = gather_sends(ring);
	if (ring->hurry)
		timeout_ns = 0;
	ring->hurry = false;
	ret = submit_and_wait(ring, timeout_ns);
	/* What the kernel could not take yet (it was out of memory) goes with another submission. */
	while (io_uring_sq_ready(&ring->uring) && ring_submit(ring) > 0)
		;
	/*
	 * What was sent before a ring is seen here at the latest, so that it comes before it: then
	 * the ring's writer has done that before the ring was found.
	 */
	has_rung = ring->has_rung || hot_find_rung(ring);
	ring->has_rung = false;
	if (has_rung && *ring->uring.sq.kflags & IORING_SQ_TASKRUN) {
		ring->stats.enters++;
		io_uring_get_events(&ring->uring);
	}
	ring_drain(ring);
	settle_sends(sends);
	if (has_rung)
		hot_tell_rung(ring);
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
		ring_recycle(ring, i);
	ring->receive_msg.msg_controllen = CMSG_SPACE(sizeof(int) * RING_MAX_FDS);
	return 0;
}

/* What to set a ring up with: the best first, and what an older kernel has instead. */
static const struct {
	unsigned int flags;
	bool sqpoll;
	unsigned int features;
} setups[] = {
	{ IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
		  IORING_SETUP_SUBMIT_ALL,
	  false, RING_FEATURE_DEFER_TASKRUN },
	{ IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL, false,
	  0 },
	{ 0, false, 0 },
	{ IORING_SETUP_SQPOLL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_SUBMIT_ALL, true, 0 },
	{ IORING_SETUP_SQPOLL, true, 0 },
};

/* -EINVAL: this kernel has none of what would do. */
static int setup_first(struct ring *ring, unsigned int entries, const struct ring_options *options)
{
	unsigned int always = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP |
			      (options->starts_disabled ? IORING_SETUP_R_DISABLED : 0);
	int ret = -EINVAL;

	for (size_t i = 0; i < sizeof(setups) / sizeof(*setups) && ret == -EINVAL; i++) {
		struct io_uring_params params = {
			.flags = setups[i].flags | always,
			.cq_entries = entries * 8,
			.sq_thread_idle = 1, /* ms, after which the kernel's thread sleeps too */
		};

		if (setups[i].sqpoll != ring->has_sqpoll || setups[i].features & options->avoid)
			continue;
		ret = io_uring_queue_init_params(entries, &ring->uring, &params);
		if (!ret)
			ring->features |= setups[i].features;
	}
	return ret;
}

/* Sets the ring up with the best of what this kernel has, and notes what that is. */
static int setup_uring(struct ring *ring, const struct ring_options *options)
{
	unsigned int entries = options->entries ? options->entries : 256;
	int ret = setup_first(ring, entries, options);
	struct io_uring_probe *probe;

	if (ret)
		return ret;
	ring->is_set_up = true;
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
	struct ring *ring = aligned_alloc(CACHE_LINE, sizeof(*ring));
	int ret;

	if (!ring)
		return -ENOMEM;
	memset(ring, 0, sizeof(*ring));
	spinner_set(&ring->spinner, options->wait);
	ring->batch = 1;
	ring->has_sqpoll = options->wait.mode == RING_WAIT_SQPOLL;
	ring->nr_buffers = options->buffers ? options->buffers : DEFAULT_BUFFERS;
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

/* What has arrived and was not told any more may have brought fds, which are ours to close. */
static void drop_unheard(struct ring *ring)
{
	for (struct slot_chunk *chunk = ring->chunks; chunk; chunk = chunk->next)
		for (unsigned int i = 0; i < SLOTS_PER_CHUNK; i++) {
			if (chunk->slots[i].op)
				chunk->slots[i].op->slot = NULL;
			chunk->slots[i].op = NULL;
		}
	ring_submit_and_sync(ring);
	ring_drain(ring);
}

void ring_close(struct ring *ring)
{
	if (!ring)
		return;
	run_hooks(ring); /* some free what waited for the end of a turn */
	if (ring->is_set_up) {
		drop_unheard(ring);
		io_uring_queue_exit(&ring->uring);
	}
	while (ring->chunks) {
		struct slot_chunk *chunk = ring->chunks;

		ring->chunks = chunk->next;
		for (unsigned int i = 0; i < SLOTS_PER_CHUNK; i++)
			free(chunk->slots[i].buffer);
		free(chunk);
	}
	if (ring->buf_ring)
		munmap(ring->buf_ring, ring->nr_buffers * sizeof(struct io_uring_buf));
	free(ring->buffers);
	free(ring);
}

int ring_set_wait(struct ring *ring, struct ring_wait wait)
{
	if ((wait.mode == RING_WAIT_SQPOLL) != ring->has_sqpoll)
		return -EOPNOTSUPP;
	spinner_set(&ring->spinner, wait);
	hot_arm_all(ring);
	return 0;
}

struct ring_wait ring_wait_policy(const struct ring *ring)
{
	return ring->spinner.wait;
}

uint64_t ring_spins_ns(const struct ring *ring)
{
	return spinner_window_ns(&ring->spinner);
}

const struct ring_stats *ring_stats(const struct ring *ring)
{
	return &ring->stats;
}

unsigned int ring_features(const struct ring *ring)
{
	return ring->features;
}

bool ring_is_queued(const struct ring *ring)
{
	return ring->hooks || ring->queued_sends || io_uring_sq_ready(&ring->uring);
}

uint64_t ring_batch(const struct ring *ring)
{
	return ring->batch;
}

int ring_fd(const struct ring *ring)
{
	return ring->uring.ring_fd;
}
