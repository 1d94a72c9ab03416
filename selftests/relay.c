/* SPDX-License-Identifier: GPL-2.0-only */
/* The relay: what many threads ask for is done on one, which gives each its own answer. */
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

TEST_HARNESS_MAIN
