// SPDX-License-Identifier: GPL-2.0-only
/*
 * How a thread waits: what an adaptive one learns from how long its waits took, how many may look at a
 * time, and what a ring makes of it. Nothing here passes or fails by a time: the times are made up.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/peer.h"
#include "ring.h"

#define MS 1000000ll
#define SOON 5000
#define LATE (SPINNER_MAX_NS + 1)

static struct spinner adaptive(void)
{
	struct spinner spinner;

	spinner_set(&spinner, (struct ring_wait){ .mode = RING_WAIT_ADAPTIVE });
	return spinner;
}

/* ---- what is learned ---- */

TEST(what_comes_soon_is_looked_for_the_next_time)
{
	struct spinner spinner = adaptive();

	EXPECT_EQ(0, spinner_window_ns(&spinner));
	spinner_slept(&spinner, SOON);
	EXPECT_LT(SOON, spinner_window_ns(&spinner));
	spinner_slept(&spinner, SPINNER_MAX_NS);
	EXPECT_EQ(SPINNER_MAX_NS, spinner_window_ns(&spinner));
	spinner_hit(&spinner);
	EXPECT_EQ(SPINNER_MAX_NS, spinner_window_ns(&spinner));
}

TEST(what_comes_late_is_not_looked_for)
{
	struct spinner spinner = adaptive();

	for (unsigned int i = 0; i < 1000; i++) {
		spinner_slept(&spinner, LATE);
		ASSERT_EQ(0, spinner_window_ns(&spinner));
	}
	EXPECT_TRUE(spinner_is_curious(&spinner)); /* it may come sooner one day */
}

TEST(one_spin_in_vain_ends_it_where_nothing_came)
{
	struct spinner spinner = adaptive();

	spinner_slept(&spinner, SOON);
	spinner_missed(&spinner, 1000 * MS);
	EXPECT_EQ(0, spinner_window_ns(&spinner));
}

/* How many waits of a thread whose peer shares its CPU look, of so many. */
static unsigned int looks_in_vain(struct spinner *spinner, unsigned int waits)
{
	unsigned int looks = 0;

	for (unsigned int i = 0; i < waits; i++) {
		uint64_t window_ns = spinner_window_ns(spinner);

		looks += window_ns != 0;
		if (window_ns)
			spinner_missed(spinner, window_ns + SOON);
		else if (spinner_is_curious(spinner))
			spinner_slept(spinner, SOON);
		else
			spinner_rested(spinner);
	}
	return looks;
}

TEST(where_looking_never_pays_it_is_given_up_and_tried_less_and_less)
{
	struct spinner spinner = adaptive();

	EXPECT_EQ(SPINNER_MISSES, looks_in_vain(&spinner, SPINNER_REST_MIN));
	EXPECT_GE(SPINNER_MISSES * 10, looks_in_vain(&spinner, SPINNER_REST_MAX));
	EXPECT_GE(SPINNER_MISSES, looks_in_vain(&spinner, SPINNER_REST_MAX));
	EXPECT_LE(1, looks_in_vain(&spinner, 2 * SPINNER_REST_MAX)); /* and not never */
}

TEST(a_peer_that_has_come_to_a_cpu_of_its_own_is_found_out)
{
	struct spinner spinner = adaptive();

	looks_in_vain(&spinner, 10 * SPINNER_REST_MAX);
	for (unsigned int i = 0; i <= SPINNER_REST_MAX && !spinner_window_ns(&spinner); i++) {
		if (spinner_is_curious(&spinner))
			spinner_slept(&spinner, SOON);
		else
			spinner_rested(&spinner);
	}
	EXPECT_NE(0, spinner_window_ns(&spinner));
	for (unsigned int i = 0; i < 1000; i++)
		spinner_hit(&spinner);
	EXPECT_NE(0, spinner_window_ns(&spinner));
	EXPECT_EQ(0, spinner.back_off);
}

TEST(only_an_adaptive_one_learns)
{
	struct spinner spinner;

	spinner_set(&spinner, (struct ring_wait){ .mode = RING_WAIT_BLOCK });
	spinner_slept(&spinner, SOON);
	EXPECT_EQ(0, spinner_window_ns(&spinner));
	EXPECT_FALSE(spinner_is_curious(&spinner));
	spinner_set(&spinner, (struct ring_wait){ .mode = RING_WAIT_SPIN, .spin_us = 7 });
	looks_in_vain(&spinner, 1000);
	EXPECT_EQ(7000, spinner_window_ns(&spinner));
}

/* ---- no more of them than CPUs ---- */

static int pin_to_one(void)
{
	cpu_set_t cpus;
	int first = 0;

	if (sched_getaffinity(0, sizeof(cpus), &cpus))
		return -1;
	while (!CPU_ISSET(first, &cpus))
		first++;
	CPU_ZERO(&cpus);
	CPU_SET(first, &cpus);
	return sched_setaffinity(0, sizeof(cpus), &cpus);
}

TEST(no_more_look_at_a_time_than_there_are_cpus)
{
	struct spinner spinner = adaptive();
	cpu_set_t cpus;
	int nr;

	ASSERT_EQ(0, sched_getaffinity(0, sizeof(cpus), &cpus));
	nr = CPU_COUNT(&cpus);
	for (int i = 0; i < nr; i++)
		EXPECT_TRUE(spinner_enter(&spinner, 1));
	EXPECT_FALSE(spinner_enter(&spinner, 1));
	EXPECT_FALSE(spinner_enter(&spinner, 1));
	spinner_leave();
	EXPECT_TRUE(spinner_enter(&spinner, 1));
}

TEST(cpus_that_are_taken_away_are_noticed)
{
	struct spinner spinner = adaptive();

	ASSERT_TRUE(spinner_enter(&spinner, 1));
	ASSERT_EQ(0, pin_to_one());
	EXPECT_FALSE(spinner_enter(&spinner, 1 + 3000 * MS));
}

TEST(a_ring_that_may_not_look_sleeps_at_once)
{
	const struct ring_options options = { .wait = { RING_WAIT_SPIN, 1000 } };
	struct spinner other = adaptive();
	struct ring *ring;

	ASSERT_EQ(0, pin_to_one());
	ASSERT_TRUE(spinner_enter(&other, 1)); /* somebody else does, on the only CPU */
	ASSERT_EQ(0, ring_open(&options, &ring));
	ASSERT_EQ(0, ring_turn(ring, 5 * MS));
	EXPECT_EQ(1, ring_stats(ring)->spin_denied);
	EXPECT_EQ(0, ring_stats(ring)->spin_misses);
	spinner_leave();
	ASSERT_EQ(0, ring_turn(ring, 5 * MS));
	EXPECT_EQ(1, ring_stats(ring)->spin_denied);
	EXPECT_EQ(1, ring_stats(ring)->spin_misses);
	ring_close(ring);
}

/* ---- rings ---- */

TEST(an_adaptive_ring_that_is_idle_never_spins)
{
	struct ring *ring;

	ASSERT_EQ(0, ring_open(&(struct ring_options){ 0 }, &ring));
	EXPECT_EQ(RING_WAIT_ADAPTIVE, ring_wait_policy(ring).mode);
	for (unsigned int i = 0; i < 20; i++)
		ASSERT_EQ(0, ring_turn(ring, 1 * MS));
	EXPECT_EQ(0, ring_stats(ring)->spin_hits);
	EXPECT_EQ(0, ring_stats(ring)->spin_misses);
	ring_close(ring);
}

struct heard {
	struct ring_op op;
	unsigned int calls;
	uint64_t sum;
};

static void hear(struct ring_op *op, int res, const struct ring_received *received)
{
	struct heard *heard = (struct heard *)op;

	heard->calls++;
	if (!received && !res)
		heard->sum += ring_eventfd_sum(op);
}

static void hear_bytes(struct ring_op *op, int res, const struct ring_received *received)
{
	((struct heard *)op)->sum += res > 0 ? (uint64_t)res : 0;
}

static const struct ring_wait policies[] = {
	{ .mode = RING_WAIT_BLOCK },
	{ .mode = RING_WAIT_SPIN, .spin_us = 200 },
	{ .mode = RING_WAIT_ADAPTIVE },
	{ .mode = RING_WAIT_SQPOLL },
};

#define FOR_EACH_POLICY(i) for (size_t i = 0; i < sizeof(policies) / sizeof(*policies); i++)

TEST(a_burst_of_a_hundred_rings_wakes_once)
{
	FOR_EACH_POLICY(i)
	{
		struct heard heard = { .op.done = hear };
		int64_t deadline = 0;
		struct ring *ring;
		int fd = eventfd(0, EFD_CLOEXEC);

		ASSERT_EQ(0, ring_open(&(struct ring_options){ .wait = policies[i] }, &ring));
		ring_eventfd(ring, &heard.op, fd);
		if (policies[i].mode != RING_WAIT_SQPOLL) /* whose thread reads it meanwhile */
			ASSERT_EQ(0, ring_turn(ring, 0));
		for (unsigned int ring_it = 0; ring_it < 100; ring_it++)
			ASSERT_EQ(0, eventfd_write(fd, 1));
		while (heard.sum < 100 && peer_time_left(&deadline))
			ASSERT_EQ(0, ring_turn(ring, 10 * MS));
		EXPECT_EQ(100, heard.sum);
		EXPECT_EQ(1, heard.calls);
		ring_close(ring);
		close(fd);
	}
}

/* The other end of a socket: what comes to it goes back. */
struct echo {
	int fd;
};

static void *echo(void *opaque)
{
	const struct echo *other = opaque;
	char bytes[64];
	ssize_t n;

	while ((n = recv(other->fd, bytes, sizeof(bytes), 0)) > 0)
		if (send(other->fd, bytes, (size_t)n, MSG_NOSIGNAL) != n)
			break;
	return NULL;
}

#define MESSAGES 200u

TEST(a_round_trip_sends_once_and_enters_once_unless_it_looks)
{
	FOR_EACH_POLICY(i)
	{
		struct heard heard = { .op.done = hear_bytes };
		struct heard sent = { .op.done = hear_bytes };
		struct ring_stats before;
		const struct ring_stats *stats;
		struct echo other;
		int64_t deadline = 0;
		struct ring *ring;
		pthread_t thread;
		int pair[2];
		bool looks = policies[i].mode != RING_WAIT_BLOCK;

		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
		other.fd = pair[1];
		ASSERT_EQ(0, pthread_create(&thread, NULL, echo, &other));
		ASSERT_EQ(0, ring_open(&(struct ring_options){ .wait = policies[i] }, &ring));
		ring_receive(ring, &heard.op, pair[0]);
		ASSERT_EQ(0, ring_turn(ring, 0));
		stats = ring_stats(ring);
		before = *stats;
		for (unsigned int n = 1; n <= MESSAGES; n++) {
			ring_send(ring, &sent.op, pair[0], "x", 1, NULL, 0);
			while (heard.sum < n && peer_time_left(&deadline))
				ASSERT_EQ(0, ring_turn(ring, -1));
		}
		EXPECT_EQ(MESSAGES, heard.sum);
		/* One that looks may enter in vain, for its own send's sake, or to sleep after all. */
		EXPECT_GE((looks ? 3 : 1) * MESSAGES + 2, stats->enters - before.enters);
		EXPECT_EQ(policies[i].mode == RING_WAIT_SQPOLL ? 0 : MESSAGES,
			  stats->sends - before.sends);
		ring_close(ring);
		close(pair[0]);
		pthread_join(thread, NULL);
		close(pair[1]);
	}
}

TEST(with_sqpoll_sends_that_were_queued_are_over_when_the_turn_is)
{
	struct heard sends[8];
	struct ring *ring;
	char bytes[16] = "";
	char got[8];
	int pair[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair));
	ASSERT_EQ(0,
		  ring_open(&(struct ring_options){ .wait = { .mode = RING_WAIT_SQPOLL } }, &ring));
	for (unsigned int i = 0; i < 8; i++) {
		sends[i] = (struct heard){ .op.done = hear_bytes };
		bytes[i] = (char)('a' + i);
		ring_send(ring, &sends[i].op, pair[0], &bytes[i], 1, NULL, 0);
	}
	ASSERT_EQ(0, ring_turn(ring, 0));
	memset(bytes, '?', sizeof(bytes)); /* ours again */
	for (unsigned int i = 0; i < 8; i++) {
		EXPECT_EQ(1, sends[i].sum);
		ASSERT_EQ(1, recv(pair[1], &got[i], 1, MSG_DONTWAIT));
		EXPECT_LE('a', got[i]);
	}
	ring_close(ring);
	close(pair[0]);
	close(pair[1]);
}

TEST(what_has_rung_is_taken_with_sqpoll_too)
{
	struct heard heard = { .op.done = hear };
	struct ring *ring;
	uint64_t taken;
	int fd = eventfd(0, EFD_CLOEXEC);

	ASSERT_EQ(0,
		  ring_open(&(struct ring_options){ .wait = { .mode = RING_WAIT_SQPOLL } }, &ring));
	ring_eventfd(ring, &heard.op, fd);
	ASSERT_EQ(0, ring_turn(ring, 0));
	for (unsigned int i = 1; i <= 200; i++) {
		ASSERT_EQ(0, eventfd_write(fd, i));
		taken = ring_eventfd_take(&heard.op);
		ASSERT_EQ(i, taken + heard.sum);
		heard.sum = 0;
		ASSERT_EQ(0, ring_turn(ring, 0));
		ASSERT_EQ(0, heard.sum);
	}
	ring_close(ring);
	close(fd);
}

TEST(sqpoll_neither_begins_nor_ends_in_a_ring)
{
	struct ring *ring;

	ASSERT_EQ(0, ring_open(&(struct ring_options){ 0 }, &ring));
	EXPECT_EQ(-EOPNOTSUPP, ring_set_wait(ring, (struct ring_wait){ RING_WAIT_SQPOLL, 0 }));
	EXPECT_EQ(RING_WAIT_ADAPTIVE, ring_wait_policy(ring).mode);
	EXPECT_EQ(0, ring_set_wait(ring, (struct ring_wait){ RING_WAIT_BLOCK, 0 }));
	ring_close(ring);
	ASSERT_EQ(0,
		  ring_open(&(struct ring_options){ .wait = { .mode = RING_WAIT_SQPOLL } }, &ring));
	EXPECT_EQ(-EOPNOTSUPP, ring_set_wait(ring, (struct ring_wait){ RING_WAIT_BLOCK, 0 }));
	EXPECT_EQ(0, ring_set_wait(ring, (struct ring_wait){ RING_WAIT_SQPOLL, 0 }));
	EXPECT_EQ(RING_WAIT_SQPOLL, ring_wait_policy(ring).mode);
	ring_close(ring);
}

TEST(a_policy_is_written_as_it_is_read)
{
	static const char *const texts[] = { "block", "spin=0", "spin=1000000", "adaptive",
					     "sqpoll" };
	struct ring_wait wait;
	char text[32];

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		ASSERT_EQ(0, ring_wait_parse(texts[i], &wait));
		ring_wait_format(wait, text, sizeof(text));
		EXPECT_STREQ(texts[i], text);
	}
	EXPECT_EQ(-EINVAL, ring_wait_parse("adaptive=5", &wait));
	EXPECT_EQ(-EINVAL, ring_wait_parse("sqpoll ", &wait));
}

TEST_HARNESS_MAIN
