/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A doorbell with several values: each has an eventfd of its own, and the device learns by every
 * road which it was.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fastpath.h"
#include "kselftest_harness.h"
#include "lib/peer_feature.h"
#include "testdev.h"

#define FIXED sizeof(struct wire_region_io_fds)
#define MAX_ENTRIES 16u

/* ---- a device with queues, of which a store to its doorbell says which ---- */

#define KICK 0x10
#define QUEUES 4u
#define OTHER_KICK 0x20
#define ACCOUNT 0x100

struct queues {
	uint64_t kicks[QUEUES];
	uint64_t others; /* stores to KICK of what is no queue */
	uint64_t last_other;
	uint64_t other_kicks;
};

static void kick(struct queues *queues, const struct fp_access *access)
{
	uint64_t queue = fp_access_value(access);

	if (queue < QUEUES && access->size == 4 && access->doorbell) {
		queues->kicks[queue] += access->times;
	} else {
		queues->others += access->times;
		queues->last_other = queue;
	}
}

static int queues_access(struct fp_device *dev, struct fp_access *access)
{
	struct queues *queues = fp_state(dev);

	if (access->write && access->offset == KICK)
		kick(queues, access);
	else if (access->write)
		queues->other_kicks += access->doorbell ? access->times : 0;
	else
		fp_access_memory(access, ACCOUNT, queues, sizeof(*queues));
	return 0;
}

static int queues_save(struct fp_device *dev, struct fp_stream *to)
{
	return fp_stream_write(to, fp_state(dev), sizeof(struct queues));
}

static int queues_load(struct fp_device *dev, struct fp_stream *from)
{
	return fp_stream_read(from, fp_state(dev), sizeof(struct queues));
}

static const struct fp_doorbell bells[] = {
	{ .offset = KICK, .width = 4, FP_VALUES(0, 1, 2, 3) },
	{ .offset = OTHER_KICK, .width = 4 },
};

static const struct fp_span span = { .size = 0x100 };

FP_DEVICE(queues) = {
	.name = "queues",
	.summary = "counts kicks, queue by queue",
	.state_bytes = sizeof(struct queues),
	.pci = { .vendor = TESTDEV_VENDOR, .device = TESTDEV_DEVICE },
	.regions[FP_BAR0] = {
		.size = 4096,
		.access = queues_access,
		.doorbells = bells,
		.nr_doorbells = sizeof(bells) / sizeof(*bells),
		.spans = &span,
		.nr_spans = 1,
	},
	.save = queues_save,
	.load = queues_load,
};

/* ---- helpers ---- */

static uint32_t ask(struct peer *peer, struct wire_io_fd_deployed *entries)
{
	const struct wire_region_io_fds question = { .argsz = 4096, .index = FP_BAR0 };
	struct wire_region_io_fds answer;

	if (peer_call(peer, WIRE_DEVICE_GET_REGION_IO_FDS, &question, sizeof(question)))
		return 0;
	memcpy(&answer, peer->reply.body, sizeof(answer));
	if (answer.count > MAX_ENTRIES)
		return 0;
	memcpy(entries, peer->reply.body + FIXED, answer.count * sizeof(*entries));
	return answer.count;
}

/* The eventfd of a value, the caller's; -1: it has none. */
static int take_fd(struct peer *peer, const struct wire_io_fd_deployed *entries, uint32_t nr,
		   uint64_t value)
{
	for (uint32_t i = 0; i < nr; i++)
		if (entries[i].offset == KICK && entries[i].datamatch == value) {
			int fd = peer->reply.fds[entries[i].fd_index];

			peer->reply.fds[entries[i].fd_index] = -1;
			return fd;
		}
	return -1;
}

#define SEEN(peer, field) peer_read(peer, FP_BAR0, ACCOUNT + offsetof(struct queues, field), 8)

static uint64_t kicks(struct peer *peer, unsigned int queue)
{
	return peer_read(peer, FP_BAR0, ACCOUNT + 8 * queue, 8);
}

static uint64_t await_kicks(struct peer *peer, unsigned int queue, uint64_t wanted)
{
	int64_t deadline = 0;
	uint64_t seen;

	while ((seen = kicks(peer, queue)) != wanted && peer_time_left(&deadline))
		;
	return seen;
}

static void ring(int fd, uint64_t times)
{
	while (write(fd, &times, sizeof(times)) < 0 && errno == EINTR)
		;
}

/* ---- what is told ---- */

TEST(each_value_is_an_entry_with_an_eventfd_of_its_own)
{
	struct peer *peer = peer_open("queues", PEER_OWN_CLASSES);
	struct wire_io_fd_deployed entries[MAX_ENTRIES];

	/* The span's pieces are before, between and behind the doorbells. */
	ASSERT_EQ(QUEUES + 1 + 3, ask(peer, entries));
	EXPECT_EQ(QUEUES + 1 + 1, peer->reply.nr_fds);
	for (uint32_t i = 0; i < QUEUES; i++) {
		EXPECT_EQ(WIRE_IO_FD_IOEVENTFD, entries[i].type);
		EXPECT_EQ(KICK, entries[i].offset);
		EXPECT_EQ(4, entries[i].size);
		EXPECT_EQ(WIRE_IOEVENTFD_DATAMATCH, entries[i].flags);
		EXPECT_EQ(i, entries[i].datamatch);
		EXPECT_EQ(i, entries[i].fd_index);
	}
	EXPECT_EQ(OTHER_KICK, entries[QUEUES].offset);
	EXPECT_EQ(0, entries[QUEUES].flags);
	EXPECT_EQ(KICK + 4, entries[QUEUES + 2].offset);
	EXPECT_EQ(OTHER_KICK - KICK - 4, entries[QUEUES + 2].size);
	peer_stop(peer);
}

/* ---- what the device learns ---- */

TEST(the_device_learns_by_every_road_which_value_rang)
{
	struct peer *peer = peer_open("queues", PEER_OWN_CLASSES);
	struct wire_io_fd_deployed entries[MAX_ENTRIES];
	uint32_t nr = ask(peer, entries);
	int fds[QUEUES];

	for (unsigned int i = 0; i < QUEUES; i++) {
		fds[i] = take_fd(peer, entries, nr, i);
		ASSERT_LE(0, fds[i]);
	}
	for (unsigned int i = 0; i < QUEUES; i++) {
		ring(fds[i], i + 1);
		EXPECT_EQ(i + 1, await_kicks(peer, i, i + 1));
		EXPECT_EQ(0, peer_write(peer, FP_BAR0, KICK, i, 4));
		EXPECT_EQ(i + 2, kicks(peer, i));
	}
	EXPECT_EQ(0, SEEN(peer, others));
	peer_stop(peer);
}

TEST(a_store_of_another_value_or_width_is_an_access_with_its_value)
{
	struct peer *peer = peer_open("queues", PEER_OWN_CLASSES);

	EXPECT_EQ(0, peer_write(peer, FP_BAR0, KICK, 77, 4));
	EXPECT_EQ(77, SEEN(peer, last_other));
	EXPECT_EQ(0, peer_write(peer, FP_BAR0, KICK, 2, 2));
	EXPECT_EQ(0, peer_write(peer, FP_BAR0, KICK, 0x100000002, 8));
	EXPECT_EQ(0x100000002, SEEN(peer, last_other));
	EXPECT_EQ(3, SEEN(peer, others));
	for (unsigned int i = 0; i < QUEUES; i++)
		EXPECT_EQ(0, kicks(peer, i));
	peer_stop(peer);
}

TEST(a_value_that_a_client_takes_no_fd_for_rings_by_message)
{
	struct peer *peer = peer_start("queues", PEER_OWN_CLASSES);
	struct wire_io_fd_deployed entries[MAX_ENTRIES];

	ASSERT_EQ(0, peer_version(peer, "{\"capabilities\":{\"max_msg_fds\":2}}"));
	ASSERT_EQ(2, ask(peer, entries));
	EXPECT_EQ(0, entries[0].datamatch);
	EXPECT_EQ(1, entries[1].datamatch);
	EXPECT_EQ(0, peer_write(peer, FP_BAR0, KICK, 3, 4));
	EXPECT_EQ(1, kicks(peer, 3));
	peer_stop(peer);
}

#define RINGS 100000u

struct ringer {
	pthread_t thread;
	int fd;
};

static void *ring_on(void *opaque)
{
	const struct ringer *ringer = opaque;

	for (unsigned int i = 0; i < RINGS; i++)
		ring(ringer->fd, 1);
	return NULL;
}

TEST(of_rings_of_four_values_at_once_each_is_heard_as_its_own)
{
	struct peer *peer = peer_open("queues", PEER_OWN_CLASSES);
	struct wire_io_fd_deployed entries[MAX_ENTRIES];
	uint32_t nr = ask(peer, entries);
	struct ringer ringers[QUEUES];

	for (unsigned int i = 0; i < QUEUES; i++) {
		ringers[i].fd = take_fd(peer, entries, nr, i);
		ASSERT_LE(0, ringers[i].fd);
	}
	for (unsigned int i = 0; i < QUEUES; i++)
		ASSERT_EQ(0, pthread_create(&ringers[i].thread, NULL, ring_on, &ringers[i]));
	for (unsigned int i = 0; i < QUEUES; i++)
		pthread_join(ringers[i].thread, NULL);
	for (unsigned int i = 0; i < QUEUES; i++)
		EXPECT_EQ(RINGS, await_kicks(peer, i, RINGS));
	peer_stop(peer);
}

/* ---- while the device stands ---- */

TEST(rings_that_are_kept_while_the_device_stands_keep_their_values)
{
	struct peer *peer = peer_open("queues", PEER_OWN_CLASSES);

	ASSERT_EQ(0, peer_mig_go(peer, WIRE_MIG_STOP));
	for (unsigned int i = 0; i < QUEUES; i++)
		for (unsigned int n = 0; n <= i; n++)
			EXPECT_EQ(0, peer_write(peer, FP_BAR0, KICK, i, 4));
	EXPECT_EQ(0, peer_write(peer, FP_BAR0, OTHER_KICK, 5, 4));
	for (unsigned int i = 0; i < QUEUES; i++)
		EXPECT_EQ(0, kicks(peer, i));
	ASSERT_EQ(0, peer_mig_go(peer, WIRE_MIG_RUNNING));
	for (unsigned int i = 0; i < QUEUES; i++)
		EXPECT_EQ(i + 1, kicks(peer, i));
	EXPECT_EQ(1, SEEN(peer, other_kicks));
	EXPECT_EQ(0, SEEN(peer, others));
	peer_stop(peer);
}

TEST(and_travel_with_the_state)
{
	struct peer *source = peer_open("queues", PEER_OWN_CLASSES);
	struct peer *destination = peer_open("queues", PEER_OWN_CLASSES);
	uint8_t *state;
	size_t len;

	ASSERT_EQ(0, peer_mig_go(source, WIRE_MIG_STOP));
	EXPECT_EQ(0, peer_write(source, FP_BAR0, KICK, 2, 4));
	EXPECT_EQ(0, peer_write(source, FP_BAR0, KICK, 3, 4));
	EXPECT_EQ(0, peer_write(source, FP_BAR0, KICK, 3, 4));
	ASSERT_EQ(0, peer_mig_go(source, WIRE_MIG_STOP_COPY));
	state = peer_mig_read_all(source, 4096, &len);
	ASSERT_EQ(0, peer_mig_go(destination, WIRE_MIG_STOP));
	ASSERT_EQ(0, peer_mig_load(destination, state, len, 4096));
	ASSERT_EQ(0, peer_mig_go(destination, WIRE_MIG_RUNNING));
	EXPECT_EQ(0, kicks(destination, 1));
	EXPECT_EQ(1, kicks(destination, 2));
	EXPECT_EQ(2, kicks(destination, 3));
	EXPECT_EQ(0, SEEN(destination, others));
	free(state);
	peer_stop(source);
	peer_stop(destination);
}

/* ---- testdev's, which the benchmark measures ---- */

#define ROAD(peer, road) \
	peer_read(peer, FP_BAR5, 16ul * (road) + offsetof(struct testdev_roads, of[0].stores), 8)
#define ROAD_SUM(peer, road) \
	peer_read(peer, FP_BAR5, 16ul * (road) + offsetof(struct testdev_roads, of[0].sum), 8)

TEST(testdev_with_roads_counts_stores_and_what_they_brought_whether_they_ring_or_not)
{
	struct peer *peer = peer_open("testdev,roads=on", 0);

	EXPECT_EQ(0, peer_write(peer, FP_BAR5, TESTDEV_FAN, 3, 4));
	EXPECT_EQ(0, peer_write(peer, FP_BAR5, TESTDEV_FAN, 40, 4));
	EXPECT_EQ(0, peer_write(peer, FP_BAR5, TESTDEV_SHADOW, 1000, 4));
	EXPECT_EQ(0, peer_write(peer, FP_BAR5, TESTDEV_SHADOW, 1000, 2));
	EXPECT_EQ(0, peer_write(peer, FP_BAR5, TESTDEV_SLOT_BELL, 9, 8));
	EXPECT_EQ(2, ROAD(peer, TESTDEV_ROAD_FAN));
	EXPECT_EQ(43, ROAD_SUM(peer, TESTDEV_ROAD_FAN));
	EXPECT_EQ(1, ROAD(peer, TESTDEV_ROAD_SHADOW));
	EXPECT_EQ(1000, ROAD_SUM(peer, TESTDEV_ROAD_SHADOW));
	EXPECT_EQ(1, ROAD(peer, TESTDEV_ROAD_SLOT));
	EXPECT_EQ(0, ROAD_SUM(peer, TESTDEV_ROAD_SLOT));
	EXPECT_EQ(1, peer_read(peer, FP_BAR5, TESTDEV_SLOT, 8));
	ASSERT_EQ(0, peer_call(peer, WIRE_DEVICE_RESET, NULL, 0));
	EXPECT_EQ(0, peer_read(peer, FP_BAR5, TESTDEV_SLOT, 8));
	EXPECT_EQ(0, ROAD(peer, TESTDEV_ROAD_FAN));
	peer_stop(peer);
}

TEST(testdev_s_roads_travel_only_to_one_that_has_some)
{
	struct peer *source = peer_open("testdev,roads=on", 0);
	struct peer *same = peer_open("testdev,roads=on", 0);
	struct peer *other = peer_open("testdev", 0);
	uint8_t *state;
	size_t len;

	EXPECT_EQ(0, peer_write(source, FP_BAR5, TESTDEV_SLOT_BELL, 0, 4));
	ASSERT_EQ(0, peer_mig_go(source, WIRE_MIG_STOP));
	ASSERT_EQ(0, peer_mig_go(source, WIRE_MIG_STOP_COPY));
	state = peer_mig_read_all(source, 4096, &len);
	ASSERT_EQ(0, peer_mig_go(same, WIRE_MIG_STOP));
	ASSERT_EQ(0, peer_mig_load(same, state, len, 4096));
	EXPECT_EQ(1, peer_read(same, FP_BAR5, TESTDEV_SLOT, 8));
	ASSERT_EQ(0, peer_mig_go(other, WIRE_MIG_STOP));
	EXPECT_NE(0, peer_mig_load(other, state, len, 4096));
	free(state);
	peer_stop(source);
	peer_stop(same);
	peer_stop(other);
}

TEST_HARNESS_MAIN
