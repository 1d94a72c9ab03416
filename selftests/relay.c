/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The relay: what many threads ask for is done on one, which gives each its own answer; and what a
 * shared bus does without it.
 */
#include "relay.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bus.h"
#include "kselftest_harness.h"

#define THREADS 4
#define CALLS 2000

FIXTURE(relay) {
	struct relay *relay;
	struct bus *bus;
	pthread_t server;
	unsigned int done; /* changed without a lock, on one thread only */
	bool elsewhere;	   /* a call was made on another */
};

FIXTURE_SETUP(relay)
{
	ASSERT_EQ(0, relay_open(&self->relay));
	ASSERT_EQ(0, bus_open(&self->bus));
	self->server = pthread_self();
}

FIXTURE_TEARDOWN(relay)
{
	bus_close(self->bus);
	relay_close(self->relay);
}

struct caller {
	FIXTURE_DATA(relay) * test;
	pthread_t thread;
	int number;
	unsigned int wrong; /* answers */
};

struct call {
	FIXTURE_DATA(relay) * test;
	int number;
};

static int count(void *opaque)
{
	const struct call *call = opaque;

	call->test->done++;
	if (!pthread_equal(pthread_self(), call->test->server))
		call->test->elsewhere = true;
	return call->number;
}

static void *call_often(void *opaque)
{
	struct caller *caller = opaque;

	for (int i = 0; i < CALLS; i++) {
		struct call call = { caller->test, caller->number * CALLS + i };

		caller->wrong += relay_call(caller->test->relay, count, &call) != call.number;
	}
	relay_end(caller->test->relay);
	return NULL;
}

/* Reads and writes a bus that is shared. */
static void *access_often(void *opaque)
{
	struct caller *caller = opaque;

	for (int i = 0; i < CALLS; i++) {
		uint32_t value = 0;

		bus_write(caller->test->bus, BUS_MMIO, 0x1000, &value, sizeof(value));
		bus_read(caller->test->bus, BUS_MMIO, 0x1000, &value, sizeof(value));
		caller->wrong += value != 0x12345678;
		bus_read(caller->test->bus, BUS_MMIO, 0x9000, &value, sizeof(value));
		caller->wrong += value != UINT32_MAX;
	}
	relay_end(caller->test->relay);
	return NULL;
}

/* The answers that were wrong. */
static unsigned int serve(FIXTURE_DATA(relay) * self, void *(*fn)(void *opaque))
{
	struct caller callers[THREADS];
	unsigned int wrong = 0;

	for (int i = 0; i < THREADS; i++) {
		callers[i] = (struct caller){ .test = self, .number = i };
		if (pthread_create(&callers[i].thread, NULL, fn, &callers[i]))
			abort();
	}
	relay_serve(self->relay, THREADS);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(callers[i].thread, NULL);
		wrong += callers[i].wrong;
	}
	return wrong;
}

TEST_F(relay, calls_of_many_threads_are_made_on_one_and_each_gets_its_answer)
{
	EXPECT_EQ(0, serve(self, call_often));
	EXPECT_EQ(THREADS * CALLS, self->done);
	EXPECT_FALSE(self->elsewhere);
}

static void note_thread(FIXTURE_DATA(relay) * self)
{
	self->done++;
	if (!pthread_equal(pthread_self(), self->server))
		self->elsewhere = true;
}

static int answer(void *opaque, uint64_t offset, void *data, uint32_t len)
{
	const uint32_t value = 0x12345678;

	note_thread(opaque);
	memcpy(data, &value, len);
	return 0;
}

static int take(void *opaque, uint64_t offset, const void *data, uint32_t len)
{
	note_thread(opaque);
	return 0;
}

TEST_F(relay, a_shared_bus_is_accessed_on_one_thread)
{
	const struct bus_ops ops = { .read = answer, .write = take };
	const struct bus_range range = { BUS_MMIO, 0x1000, 0x1000, &ops, self };

	ASSERT_EQ(0, bus_add(self->bus, &range));
	bus_share(self->bus, self->relay);
	EXPECT_EQ(0, serve(self, access_often));
	bus_share(self->bus, NULL);
	EXPECT_FALSE(self->elsewhere);
	EXPECT_EQ(2 * THREADS * CALLS, self->done);
	EXPECT_EQ(THREADS * CALLS, bus_stats(self->bus)->stray_reads);
}

static int note_call(void *done)
{
	*(bool *)done = true;
	return 0;
}

/* Nobody would ever do it. */
TEST_F(relay, a_call_to_one_that_has_served_to_the_end_is_refused)
{
	bool done = false;

	relay_end(self->relay);
	relay_serve(self->relay, 1);
	EXPECT_EQ(-ESHUTDOWN, relay_call(self->relay, note_call, &done));
	EXPECT_FALSE(done);
}

/* ---- what a range can do on any thread ---- */

#define PLACES 2

/* A device that may be accessed as long as it is on the bus. */
struct room {
	bool open;
	unsigned int inside;
	unsigned int visits;
	unsigned int trespasses;
	unsigned int handed_over; /* to the thread that serves */
};

static void visit(struct room *room)
{
	__atomic_fetch_add(&room->inside, 1, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&room->visits, 1, __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&room->open, __ATOMIC_SEQ_CST))
		__atomic_fetch_add(&room->trespasses, 1, __ATOMIC_SEQ_CST);
	__atomic_fetch_sub(&room->inside, 1, __ATOMIC_SEQ_CST);
}

static int try_answer(void *opaque, uint64_t offset, void *data, uint32_t len)
{
	if (offset)
		return -ENOTCONN;
	visit(opaque);
	memset(data, 0x11, len);
	return 0;
}

static int try_take(void *opaque, uint64_t offset, const void *data, uint32_t len)
{
	if (offset)
		return -ENOTCONN;
	visit(opaque);
	return 0;
}

static int answer_over(void *opaque, uint64_t offset, void *data, uint32_t len)
{
	struct room *room = opaque;

	room->handed_over++;
	memset(data, 0x22, len);
	return 0;
}

static int take_over(void *opaque, uint64_t offset, const void *data, uint32_t len)
{
	struct room *room = opaque;

	room->handed_over++;
	return 0;
}

static const struct bus_ops room_ops = {
	.read = answer_over, .write = take_over, .try_read = try_answer, .try_write = try_take
};

static const uint64_t places[PLACES] = { 0x1000, 0x5000 };

struct visitor {
	FIXTURE_DATA(relay) * test;
	pthread_t thread;
	unsigned int wrong;
};

static uint32_t read_at(FIXTURE_DATA(relay) * self, uint64_t addr)
{
	uint32_t value = 0;

	bus_read(self->bus, BUS_MMIO, addr, &value, sizeof(value));
	return value;
}

static void *stay_away_from_the_relay(void *opaque)
{
	struct visitor *visitor = opaque;
	uint32_t value = 0;

	for (int i = 0; i < CALLS; i++) {
		visitor->wrong += read_at(visitor->test, places[0]) != 0x11111111;
		bus_write(visitor->test->bus, BUS_MMIO, places[0], &value, sizeof(value));
	}
	return NULL;
}

TEST_F(relay, what_a_range_can_do_on_any_thread_is_done_where_the_access_is_made)
{
	struct room room = { .open = true };
	const struct bus_range range = { BUS_MMIO, places[0], 0x1000, &room_ops, &room };
	struct visitor visitors[THREADS];

	ASSERT_EQ(0, bus_add(self->bus, &range));
	bus_share(self->bus, self->relay);
	/* Nobody serves: one that waited would wait for ever. */
	for (int i = 0; i < THREADS; i++) {
		visitors[i] = (struct visitor){ .test = self };
		ASSERT_EQ(0, pthread_create(&visitors[i].thread, NULL, stay_away_from_the_relay,
					    &visitors[i]));
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(visitors[i].thread, NULL);
		EXPECT_EQ(0, visitors[i].wrong);
	}
	EXPECT_EQ(2 * THREADS * CALLS, room.visits);
	EXPECT_EQ(0, room.handed_over);
}

TEST_F(relay, what_it_can_not_do_there_is_done_once_by_the_other)
{
	struct room room = { .open = true };
	const struct bus_range range = { BUS_MMIO, places[0], 0x1000, &room_ops, &room };
	uint32_t value = 0;

	ASSERT_EQ(0, bus_add(self->bus, &range));
	EXPECT_EQ(0x22222222, read_at(self, places[0] + 4));
	EXPECT_EQ(0, bus_write(self->bus, BUS_MMIO, places[0] + 4, &value, sizeof(value)));
	EXPECT_EQ(2, room.handed_over);
	EXPECT_EQ(0, room.visits);
}

/* ---- ranges that come and go meanwhile ---- */

#define MOVES 1000

static void *look_everywhere(void *opaque)
{
	struct visitor *visitor = opaque;

	for (int i = 0; i < CALLS; i++)
		for (int place = 0; place < PLACES; place++) {
			uint32_t value = read_at(visitor->test, places[place]);

			/* Its answer, here or there (it came back meanwhile), or nobody's. */
			visitor->wrong +=
				value != 0x11111111 && value != 0x22222222 && value != UINT32_MAX;
		}
	relay_end(visitor->test->relay);
	return NULL;
}

/* Asks for the range's moves, on the thread to which the bus belongs. */
struct mover {
	FIXTURE_DATA(relay) * test;
	pthread_t thread;
	struct room room;
	int at;
	unsigned int wrong;
};

static int move(void *opaque)
{
	struct mover *mover = opaque;
	struct bus_range range = { BUS_MMIO, 0, 0x1000, &room_ops, &mover->room };
	struct bus *bus = mover->test->bus;

	mover->wrong += bus_remove(bus, BUS_MMIO, places[mover->at]) != 0;
	__atomic_store_n(&mover->room.open, false, __ATOMIC_SEQ_CST);
	mover->wrong += __atomic_load_n(&mover->room.inside, __ATOMIC_SEQ_CST) != 0;
	mover->at = !mover->at;
	range.base = places[mover->at];
	__atomic_store_n(&mover->room.open, true, __ATOMIC_SEQ_CST);
	mover->wrong += bus_add(bus, &range) != 0;
	return 0;
}

static void *move_often(void *opaque)
{
	struct mover *mover = opaque;

	for (int i = 0; i < MOVES; i++)
		relay_call(mover->test->relay, move, mover);
	relay_end(mover->test->relay);
	return NULL;
}

TEST_F(relay, of_a_range_that_was_removed_nobody_is_at_work_any_more)
{
	struct mover mover = { .test = self, .room.open = true };
	const struct bus_range range = { BUS_MMIO, places[0], 0x1000, &room_ops, &mover.room };
	struct visitor visitors[THREADS];

	ASSERT_EQ(0, bus_add(self->bus, &range));
	bus_share(self->bus, self->relay);
	ASSERT_EQ(0, pthread_create(&mover.thread, NULL, move_often, &mover));
	for (int i = 0; i < THREADS; i++) {
		visitors[i] = (struct visitor){ .test = self };
		ASSERT_EQ(0,
			  pthread_create(&visitors[i].thread, NULL, look_everywhere, &visitors[i]));
	}
	relay_serve(self->relay, THREADS + 1);
	pthread_join(mover.thread, NULL);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(visitors[i].thread, NULL);
		EXPECT_EQ(0, visitors[i].wrong);
	}
	EXPECT_EQ(0, mover.wrong);
	EXPECT_EQ(0, mover.room.trespasses);
	EXPECT_LT(0, mover.room.visits);
}

TEST_HARNESS_MAIN
