/* SPDX-License-Identifier: BSD-3-Clause */
#include "ring_slot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "log.h"

/* What one socket may have received before others are looked at: so long a flood holds them up. */
#define DEFAULT_BUFFERS 16u

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
		if (io_uring_cq_ready(&ring->uring) || hot_find_rung(ring))
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
	    !(*ring->uring.sq.kflags & IORING_SQ_TASKRUN) && !ring_is_overflown(ring))
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

/* Submits, and waits as the policy says. 0 or -errno. */
static int submit_and_spin(struct ring *ring, int64_t timeout_ns)
{
	int ret = submit_and_wait(ring, 0);

	if (io_uring_cq_ready(&ring->uring))
		return ret;
	if (spin(ring)) {
		ring->stats.spin_hits++;
		return ret;
	}
	ring->stats.spin_misses++;
	hot_arm_all(ring);
	return submit_and_wait(ring, timeout_ns);
}

int ring_turn(struct ring *ring, int64_t timeout_ns)
{
	struct ring_slot *sends;
	bool has_rung;
	int ret;

	ring->stats.turns++;
	run_hooks(ring);
	if (ring->hurry)
		timeout_ns = 0;
	ring->hurry = false;
	sends = arm_sends(ring);
	if (ring->wait.mode == RING_WAIT_SPIN && timeout_ns)
		ret = submit_and_spin(ring, timeout_ns);
	else
		ret = submit_and_wait(ring, timeout_ns);
	/* What the kernel could not take yet (it was out of memory) goes with another submission. */
	while (io_uring_sq_ready(&ring->uring) && io_uring_submit(&ring->uring) > 0)
		ring->stats.enters++;
	/*
	 * What was sent before a ring is seen here at the latest, so that it comes before it: then
	 * the ring's writer has done that before the ring was found.
	 */
	has_rung = hot_find_rung(ring);
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
	io_uring_submit_and_get_events(&ring->uring);
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

void ring_set_wait(struct ring *ring, struct ring_wait wait)
{
	ring->wait = wait;
	hot_arm_all(ring);
}

struct ring_wait ring_wait_policy(const struct ring *ring)
{
	return ring->wait;
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

int ring_fd(const struct ring *ring)
{
	return ring->uring.ring_fd;
}
