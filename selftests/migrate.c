// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices that go from one server to another, with what they do meanwhile.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fastpath.h"
#include "kselftest_harness.h"
#include "lib/peer.h"
#include "lib/peer_feature.h"
#include "testdev.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

enum {
	ERROR = WIRE_MIG_ERROR,
	STOP = WIRE_MIG_STOP,
	RUNNING = WIRE_MIG_RUNNING,
	STOP_COPY = WIRE_MIG_STOP_COPY,
	RESUMING = WIRE_MIG_RESUMING,
	P2P = 5, /* a state that devices may have, and ours have not */
	PRE_COPY = WIRE_MIG_PRE_COPY,
	STATES = WIRE_MIG_END
};

/* What a client can read of a testdev. */
struct seen {
	uint8_t config[256];
	uint8_t tests[2][64];
	uint8_t counters[256];
	uint8_t registers[16];
	uint8_t scratch[TESTDEV_SCRATCH_BYTES];
	uint8_t msix[4096];
};

static void look(struct peer *peer, struct seen *seen)
{
	*seen = (struct seen){ 0 };
	if (peer_read_to(peer, FP_CONFIG, 0, seen->config, sizeof(seen->config)) ||
	    peer_read_to(peer, FP_BAR0, 0, seen->tests[0], 44) ||
	    peer_read_to(peer, FP_BAR1, 0, seen->tests[1], 44) ||
	    peer_read_to(peer, FP_BAR2, 0, seen->counters, sizeof(struct testdev_counters)) ||
	    peer_read_to(peer, FP_BAR2, TESTDEV_REGISTERS, seen->registers, 16) ||
	    peer_read_to(peer, FP_BAR2, TESTDEV_SCRATCH, seen->scratch, TESTDEV_SCRATCH_BYTES) ||
	    peer_read_to(peer, FP_BAR4, 0, seen->msix, sizeof(seen->msix)))
		abort();
	/* Looking is counted. */
	memset(seen->counters + offsetof(struct testdev_counters, reads), 0, 8);
}

/* Gives every part of a testdev a state of its own. */
static void use(struct peer *peer)
{
	uint8_t bytes[4096];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 13 + 1);
	peer_write(peer, FP_CONFIG, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	peer_write(peer, FP_CONFIG, PCI_BASE_ADDRESS_2, 0xfe000000, 4);
	peer_write(peer, FP_CONFIG, PCI_INTERRUPT_LINE, 11, 1);
	peer_write_from(peer, FP_BAR4, 0, bytes, sizeof(bytes));
	peer_write_from(peer, FP_BAR2, TESTDEV_SCRATCH, bytes, TESTDEV_SCRATCH_BYTES);
	peer_write(peer, FP_BAR2, TESTDEV_REGISTER_8, 0x1122334455667788, 8);
	peer_write(peer, FP_BAR2, offsetof(struct testdev_counters, stamp_iova), 0x5000, 8);
	peer_write(peer, FP_BAR2, offsetof(struct testdev_counters, intx), 1, 4);
	for (unsigned int i = 0; i < 7; i++)
		peer_write(peer, FP_BAR2, testdev_doorbells[TESTDEV_FIXED_2].offset, i, 2);
	peer_write(peer, FP_BAR0, 0, 1, 1);
	peer_write(peer, FP_BAR0, TESTDEV_MEMORY_TESTS + 1, 0, 1);
}

/* Stops `from` and takes all it has. */
static uint8_t *take(struct peer *from, size_t *len)
{
	if (peer_mig_go(from, STOP_COPY))
		abort();
	return peer_mig_read_all(from, 1000, len);
}

static void migrate(struct peer *from, struct peer *to)
{
	size_t len;
	uint8_t *stream = take(from, &len);

	if (peer_mig_load(to, stream, len, 777) || peer_mig_go(to, RUNNING))
		abort();
	free(stream);
}

TEST(a_device_is_at_its_destination_what_it_was_at_its_source)
{
	struct peer *from = peer_open("testdev,id=7", 0);
	struct peer *to = peer_open("testdev", 0);
	struct seen *before = malloc(sizeof(*before));
	struct seen *after = malloc(sizeof(*after));

	use(from);
	look(from, before);
	migrate(from, to);
	look(to, after);
	EXPECT_EQ(0, memcmp(before, after, sizeof(*before)));
	EXPECT_EQ(7, peer_read(to, FP_BAR2, offsetof(struct testdev_counters, rung) + 16, 8));
	/* It goes on from there; and so may the source, when the client wants it to. */
	peer_write(to, FP_BAR0, TESTDEV_MEMORY_TESTS + 1, 0, 1);
	EXPECT_EQ(2, peer_read(to, FP_BAR0, 12, 4));
	EXPECT_EQ(0, peer_mig_go(from, RUNNING));
	look(from, after);
	EXPECT_EQ(0, memcmp(before, after, sizeof(*before)));
	free(before);
	free(after);
	peer_stop(to);
	peer_stop(from);
}

TEST(resuming_without_data_changes_nothing)
{
	struct peer *peer = peer_open("testdev", 0);
	struct seen *before = malloc(sizeof(*before));
	struct seen *after = malloc(sizeof(*after));

	use(peer);
	look(peer, before);
	EXPECT_EQ(0, peer_mig_load(peer, NULL, 0, 1));
	look(peer, after);
	EXPECT_EQ(0, memcmp(before, after, sizeof(*before)));
	free(before);
	free(after);
	peer_stop(peer);
}

TEST(accesses_are_served_while_the_device_stands)
{
	static const uint32_t states[] = { STOP, STOP_COPY, RESUMING, ERROR };
	struct peer *peer = peer_open("testdev", 0);

	for (size_t i = 0; i < COUNT(states); i++) {
		ASSERT_EQ(0, peer_mig_put_into(peer, states[i]));
		EXPECT_EQ(0, peer_write(peer, FP_CONFIG, PCI_INTERRUPT_LINE, 5 + i, 1));
		EXPECT_EQ(5 + i, peer_read(peer, FP_CONFIG, PCI_INTERRUPT_LINE, 1));
		EXPECT_EQ(0, peer_write(peer, FP_BAR2, TESTDEV_REGISTER_4, 99 + i, 4));
		EXPECT_EQ(99 + i, peer_read(peer, FP_BAR2, TESTDEV_REGISTER_4, 4));
	}
	peer_stop(peer);
}

/* ---- doorbells and interrupts ---- */

/* A device that takes its time after each ring; BAR0 tells how many of them it is done with. */
struct sloth {
	uint64_t done;
	struct fp_access *ring;
	struct fp_timer timer;
};

static void sloth_wakes(struct fp_device *dev, struct fp_timer *timer)
{
	struct sloth *sloth = fp_state(dev);
	struct fp_access *ring = sloth->ring;

	(void)timer;
	sloth->ring = NULL;
	sloth->done += ring->times;
	fp_finish(dev, ring, 0);
}

static int sloth_access(struct fp_device *dev, struct fp_access *access)
{
	struct sloth *sloth = fp_state(dev);

	if (!access->doorbell || sloth->ring) {
		fp_access_answer(access, sloth->done);
		return 0;
	}
	sloth->ring = fp_defer(dev, access);
	sloth->timer.expired = sloth_wakes;
	fp_timer_start(dev, &sloth->timer, 20000000);
	return FP_LATER;
}

static int sloth_save(struct fp_device *dev, struct fp_stream *to)
{
	return fp_stream_write(to, fp_state(dev), sizeof(uint64_t));
}

static int sloth_load(struct fp_device *dev, struct fp_stream *from)
{
	return fp_stream_read(from, fp_state(dev), sizeof(uint64_t));
}

static void sloth_close(struct fp_device *dev)
{
	fp_timer_stop(&((struct sloth *)fp_state(dev))->timer);
}

static const struct fp_doorbell sloth_doorbell = { .offset = 0x100 };

FP_DEVICE(sloth) = {
	.name = "sloth",
	.summary = "takes its time",
	.state_bytes = sizeof(struct sloth),
	.regions[FP_BAR2] = {
		.size = 4096,
		.access = sloth_access,
		.doorbells = &sloth_doorbell,
		.nr_doorbells = 1,
	},
	.close = sloth_close,
	.save = sloth_save,
	.load = sloth_load,
};

static int doorbell_fd(struct peer *peer, enum testdev_doorbell which)
{
	struct wire_region_io_fds ask = { .argsz = 4096, .index = FP_BAR2 };
	int fd;

	if (peer_call(peer, WIRE_DEVICE_GET_REGION_IO_FDS, &ask, sizeof(ask)) ||
	    peer->reply.nr_fds <= which)
		abort();
	fd = peer->reply.fds[which];
	peer->reply.fds[which] = -1;
	return fd;
}

static void ring(int fd, uint64_t times)
{
	if (write(fd, &times, sizeof(times)) != sizeof(times))
		abort();
}

static uint64_t rung(struct peer *peer, enum testdev_doorbell which)
{
	return peer_read(peer, FP_BAR2, offsetof(struct testdev_counters, rung) + 8 * which, 8);
}

static uint64_t await_rung(struct peer *peer, enum testdev_doorbell which, uint64_t nr)
{
	int64_t deadline = 0;

	while (rung(peer, which) < nr && peer_time_left(&deadline))
		;
	return rung(peer, which);
}

TEST(rings_while_the_device_stands_are_kept_until_it_runs)
{
	struct peer *peer = peer_open("testdev", 0);
	int fd = doorbell_fd(peer, TESTDEV_ANY);

	ASSERT_EQ(0, peer_mig_go(peer, STOP));
	for (unsigned int i = 0; i < 10; i++) {
		ring(fd, 3);
		peer_write(peer, FP_BAR2, testdev_doorbells[TESTDEV_FIXED_4].offset, 0, 4);
		EXPECT_EQ(0, rung(peer, TESTDEV_ANY));
		EXPECT_EQ(0, rung(peer, TESTDEV_FIXED_4));
	}
	ASSERT_EQ(0, peer_mig_go(peer, RUNNING));
	EXPECT_EQ(30, await_rung(peer, TESTDEV_ANY, 30));
	EXPECT_EQ(10, rung(peer, TESTDEV_FIXED_4));
	close(fd);
	peer_stop(peer);
}

TEST(a_reset_forgets_the_rings_that_were_kept)
{
	struct peer *peer = peer_open("testdev", 0);

	ASSERT_EQ(0, peer_mig_go(peer, STOP));
	peer_write(peer, FP_BAR2, testdev_doorbells[TESTDEV_FIXED_4].offset, 0, 4);
	ASSERT_EQ(0, peer_call(peer, WIRE_DEVICE_RESET, NULL, 0));
	EXPECT_EQ(0, rung(peer, TESTDEV_FIXED_4));
	peer_write(peer, FP_BAR2, testdev_doorbells[TESTDEV_FIXED_4].offset, 0, 4);
	EXPECT_EQ(1, rung(peer, TESTDEV_FIXED_4));
	peer_stop(peer);
}

/* Rings once and asks for a state, so that both are there when the server looks. */
static int ring_and_go(struct peer *peer, int fd, uint32_t state)
{
	struct {
		struct wire_device_feature head;
		struct wire_mig_device_state state;
	} body = {
		{ sizeof(body), WIRE_FEATURE_SET | WIRE_FEATURE_MIG_DEVICE_STATE },
		{ state, 0 },
	};
	uint16_t id;

	peer_freeze(peer);
	id = peer_command(peer, WIRE_DEVICE_FEATURE, &body, sizeof(body), NULL, 0);
	ring(fd, 1);
	peer_thaw(peer);
	return peer_answer(peer, id, WIRE_DEVICE_FEATURE);
}

TEST(rings_before_a_stop_are_heard_before_it)
{
	struct peer *peer = peer_open("testdev", 0);
	int fd = doorbell_fd(peer, TESTDEV_FIXED_1);

	for (uint64_t i = 1; i <= 50; i++) {
		ASSERT_EQ(0, ring_and_go(peer, fd, STOP));
		ASSERT_EQ(i, rung(peer, TESTDEV_FIXED_1));
		ASSERT_EQ(0, peer_mig_go(peer, RUNNING));
	}
	close(fd);
	peer_stop(peer);
}

/* With some kernels the server polls such an fd before it reads it: the ring is still in there. */
TEST(rings_of_an_eventfd_in_non_blocking_mode_are_heard_before_a_stop)
{
	struct peer *peer = peer_open("testdev", 0);
	int fd = doorbell_fd(peer, TESTDEV_FIXED_1);

	ASSERT_EQ(0, fcntl(fd, F_SETFL, O_NONBLOCK));
	for (uint64_t i = 1; i <= 50; i++) {
		ASSERT_EQ(0, ring_and_go(peer, fd, STOP));
		ASSERT_EQ(i, rung(peer, TESTDEV_FIXED_1));
		ASSERT_EQ(0, peer_mig_go(peer, RUNNING));
	}
	close(fd);
	peer_stop(peer);
}

TEST(what_a_ring_before_a_stop_began_is_done_before_it)
{
	struct peer *peer = peer_open("sloth", PEER_OWN_CLASSES);
	int fd = doorbell_fd(peer, 0);

	for (uint64_t i = 1; i <= 5; i++) {
		ASSERT_EQ(0, ring_and_go(peer, fd, STOP));
		ASSERT_EQ(i, peer_read(peer, FP_BAR2, 0, 8));
		ASSERT_EQ(0, peer_mig_go(peer, RUNNING));
	}
	close(fd);
	peer_stop(peer);
}

TEST(rings_that_were_kept_travel_with_the_state)
{
	struct peer *from = peer_open("testdev", 0);
	struct peer *to = peer_open("testdev", 0);
	int fd = doorbell_fd(from, TESTDEV_FIXED_8);

	ring(fd, 5);
	ASSERT_EQ(0, peer_mig_go(from, STOP));
	ring(fd, 2);
	peer_write(from, FP_BAR1, TESTDEV_IO_TESTS + 4, 0, 1);
	migrate(from, to);
	EXPECT_EQ(7, rung(to, TESTDEV_FIXED_8));
	EXPECT_EQ(5, rung(from, TESTDEV_FIXED_8));
	close(fd);
	peer_stop(to);
	peer_stop(from);
}

TEST(a_ring_at_the_last_moment_travels_too)
{
	struct peer *from = peer_open("testdev", 0);
	struct peer *to = peer_open("testdev", 0);
	int fd = doorbell_fd(from, TESTDEV_FIXED_8);

	for (uint64_t i = 1; i <= 20; i++) {
		ASSERT_EQ(0, peer_mig_go(from, STOP));
		ASSERT_EQ(0, ring_and_go(from, fd, STOP_COPY));
		migrate(from, to);
		ASSERT_EQ(i, rung(to, TESTDEV_FIXED_8));
		ASSERT_EQ(0, peer_mig_go(to, STOP));
		ASSERT_EQ(0, peer_mig_go(from, RUNNING));
	}
	close(fd);
	peer_stop(to);
	peer_stop(from);
}

struct ringer {
	pthread_t thread;
	int fd;
	uint64_t rung;
	bool stop;
};

static void *ring_on(void *opaque)
{
	struct ringer *ringer = opaque;

	while (!__atomic_load_n(&ringer->stop, __ATOMIC_ACQUIRE)) {
		ring(ringer->fd, 1);
		__atomic_add_fetch(&ringer->rung, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* It rings when this returns, however busy the machine is. */
static void ringer_start(struct ringer *ringer, int fd)
{
	*ringer = (struct ringer){ .fd = fd };
	if (pthread_create(&ringer->thread, NULL, ring_on, ringer))
		abort();
	while (!__atomic_load_n(&ringer->rung, __ATOMIC_ACQUIRE))
		sched_yield();
}

static uint64_t ringer_stop(struct ringer *ringer)
{
	__atomic_store_n(&ringer->stop, true, __ATOMIC_RELEASE);
	pthread_join(ringer->thread, NULL);
	return ringer->rung;
}

/* Write number `n`, from 1, goes to the place behind the one before it. */
static void post_next(struct peer *peer, uint64_t *n)
{
	uint8_t body[sizeof(struct wire_region_access) + sizeof(*n)];
	struct wire_region_access access = {
		.offset = TESTDEV_SCRATCH + 8 * (*n % 64),
		.region = FP_BAR2,
		.count = sizeof(*n),
	};

	++*n;
	memcpy(body, &access, sizeof(access));
	memcpy(body + sizeof(access), n, sizeof(*n));
	peer_post(peer, WIRE_REGION_WRITE, body, sizeof(body));
}

/* What a client did to a device, wherever that was. */
struct busy {
	uint64_t rung;
	uint64_t written;
};

/*
 * Rings and writes at the source as a VMM lets its guest do it, in PRE_COPY and, with `in_stop`,
 * while the device stands, too; but not while its state is taken. That is the caller's.
 */
static uint8_t *take_while_busy(struct peer *from, struct busy *busy, bool in_stop, size_t *len)
{
	int fd = doorbell_fd(from, TESTDEV_ANY);
	struct ringer ringer;
	uint8_t *early, *rest, *stream;
	size_t more;

	ringer_start(&ringer, fd);
	for (unsigned int i = 0; i < 10; i++)
		post_next(from, &busy->written);
	if (peer_mig_go(from, PRE_COPY))
		abort();
	for (unsigned int i = 0; i < 10; i++)
		post_next(from, &busy->written);
	early = peer_mig_read_all(from, 10, len);
	if (in_stop) { /* which drops what was read */
		*len = 0;
		if (peer_mig_go(from, STOP))
			abort();
	}
	busy->rung += ringer_stop(&ringer);
	rest = take(from, &more);
	close(fd);
	stream = malloc(*len + more);
	memcpy(stream, early, *len);
	memcpy(stream + *len, rest, more);
	*len += more;
	free(early);
	free(rest);
	return stream;
}

static bool has_all(struct peer *peer, const struct busy *busy)
{
	uint64_t from = busy->written < 64 ? 0 : busy->written - 64;
	bool good = rung(peer, TESTDEV_ANY) == busy->rung;

	for (uint64_t i = from; i < busy->written; i++)
		good = good && peer_read(peer, FP_BAR2, TESTDEV_SCRATCH + 8 * (i % 64), 8) == i + 1;
	return good &&
	       busy->rung + busy->written ==
		       peer_read(peer, FP_BAR2, offsetof(struct testdev_counters, writes), 8);
}

TEST(a_device_that_is_migrated_while_a_client_keeps_it_busy_loses_nothing)
{
	struct peer *peers[2] = { peer_open("testdev", 0), peer_open("testdev", 0) };
	struct busy busy = { 0 };

	for (unsigned int round = 0; round < 20; round++) {
		struct peer *from = peers[round % 2], *to = peers[(round + 1) % 2];
		size_t len;
		uint8_t *stream = take_while_busy(from, &busy, round % 3 == 1, &len);

		ASSERT_EQ(0, peer_mig_put_into(to, STOP));
		ASSERT_EQ(0, peer_mig_load(to, stream, len, 1000));
		ASSERT_EQ(0, peer_mig_go(to, RUNNING));
		ASSERT_TRUE(has_all(to, &busy));
		free(stream);
	}
	EXPECT_NE(0, busy.rung);
	peer_stop(peers[1]);
	peer_stop(peers[0]);
}

static int set_irq(struct peer *peer, uint32_t flags, uint32_t start, const int *fd)
{
	struct wire_irq_set set = {
		.argsz = sizeof(set),
		.flags = flags,
		.index = FP_MSIX,
		.start = start,
		.count = 1,
	};

	return peer_call_fds(peer, WIRE_DEVICE_SET_IRQS, &set, sizeof(set), fd, fd != NULL);
}

/* An eventfd for vector 2 of the device. */
static int irq_fd(struct peer *peer)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	if (set_irq(peer, WIRE_IRQ_DATA_EVENTFD | WIRE_IRQ_ACTION_TRIGGER, 2, &fd))
		abort();
	return fd;
}

TEST(an_interrupt_that_waits_behind_a_mask_fires_once_at_the_destination)
{
	struct peer *from = peer_open("testdev", 0);
	struct peer *to = peer_open("testdev", 0);
	int fds[2] = { irq_fd(from), irq_fd(to) };

	ASSERT_EQ(0, set_irq(from, WIRE_IRQ_DATA_NONE | WIRE_IRQ_ACTION_MASK, 2, NULL));
	peer_write(from, FP_BAR2, offsetof(struct testdev_counters, trigger), 2, 4);
	migrate(from, to);
	EXPECT_EQ(1, peer_eventfd_wait(fds[1]));
	EXPECT_EQ(0, peer_eventfd_take(fds[0]));
	ASSERT_EQ(0, peer_mig_go(to, STOP));
	ASSERT_EQ(0, peer_mig_go(to, RUNNING));
	EXPECT_EQ(0, peer_eventfd_take(fds[1]));
	close(fds[0]);
	close(fds[1]);
	peer_stop(to);
	peer_stop(from);
}

TEST_HARNESS_MAIN
