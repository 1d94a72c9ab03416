// SPDX-License-Identifier: GPL-2.0-only
/*
 * DEVICE_GET_REGION_IO_FDS: what it tells, and what becomes of the eventfds that it hands out.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fastpath.h"
#include "fdkind.h"
#include "kselftest_harness.h"
#include "lib/peer.h"
#include "ring.h"
#include "testdev.h"

#define FIXED sizeof(struct wire_region_io_fds)

/* ---- a device that tells how many stores it had seen when its doorbell rang ---- */

#define ORDER_DOORBELL 0x100

struct order {
	uint64_t stores;
	uint64_t stores_before_ring;
};

static int order_access(struct fp_device *dev, struct fp_access *access)
{
	struct order *order = fp_state(dev);

	if (access->doorbell)
		order->stores_before_ring = order->stores;
	else if (access->write)
		order->stores++;
	else
		fp_access_answer(access, order->stores_before_ring);
	return 0;
}

static const struct fp_doorbell order_doorbells[] = { { .offset = ORDER_DOORBELL } };

FP_DEVICE(order) = {
	.name = "order",
	.summary = "tells in which order stores came",
	.state_bytes = sizeof(struct order),
	.pci = { .vendor = TESTDEV_VENDOR, .device = TESTDEV_DEVICE },
	.regions[FP_BAR0] = {
		.size = 4096,
		.access = order_access,
		.doorbells = order_doorbells,
		.nr_doorbells = 1,
	},
};

/* ---- a device with more doorbells than fds fit into a message ---- */

#define MANY_DOORBELLS 70

static struct fp_doorbell many_doorbells[MANY_DOORBELLS];

static int many_access(struct fp_device *dev, struct fp_access *access)
{
	(void)dev;
	(void)access;
	return 0;
}

FP_DEVICE(many) = {
	.name = "many",
	.summary = "doorbells",
	.pci = { .vendor = TESTDEV_VENDOR, .device = TESTDEV_DEVICE },
	.regions[FP_BAR0] = {
		.size = 4096,
		.access = many_access,
		.doorbells = many_doorbells,
		.nr_doorbells = MANY_DOORBELLS,
	},
};

static void __attribute__((constructor)) place_doorbells(void)
{
	for (unsigned int i = 0; i < MANY_DOORBELLS; i++)
		many_doorbells[i] = (struct fp_doorbell){ .offset = 16ull * i, .width = 4 };
}

/* ---- helpers ---- */

static int ask(struct peer *peer, uint32_t index, uint32_t argsz, struct wire_region_io_fds *answer)
{
	int error;

	*answer = (struct wire_region_io_fds){ .argsz = argsz, .index = index };
	error = peer_call(peer, WIRE_DEVICE_GET_REGION_IO_FDS, answer, sizeof(*answer));
	if (!error)
		memcpy(answer, peer->reply.body, sizeof(*answer));
	return error;
}

/* The eventfds of BAR2's doorbells, the caller's. False when they don't come. */
static bool take_doorbells(struct peer *peer, int *fds)
{
	struct wire_region_io_fds answer;

	if (ask(peer, FP_BAR2, 4096, &answer) || peer->reply.nr_fds != TESTDEV_NR_IO_FDS)
		return false;
	for (unsigned int i = 0; i < TESTDEV_NR_DOORBELLS; i++) {
		fds[i] = peer->reply.fds[i];
		peer->reply.fds[i] = -1;
	}
	return true;
}

static void ring(int fd, uint64_t times)
{
	while (write(fd, &times, sizeof(times)) < 0 && errno == EINTR)
		;
}

static uint64_t rung(struct peer *peer, enum testdev_doorbell doorbell)
{
	return peer_read(peer, FP_BAR2, offsetof(struct testdev_counters, rung) + 8 * doorbell, 8);
}

static uint64_t writes(struct peer *peer)
{
	return peer_read(peer, FP_BAR2, offsetof(struct testdev_counters, writes), 8);
}

/* Waits until a doorbell's counter is `wanted`; what it was at last. */
static uint64_t await_rung(struct peer *peer, enum testdev_doorbell doorbell, uint64_t wanted)
{
	int64_t deadline = 0;
	uint64_t seen;

	while ((seen = rung(peer, doorbell)) != wanted && peer_time_left(&deadline))
		;
	return seen;
}

/* ---- the answer ---- */

TEST(entries_are_laid_out_as_deployed_by_default)
{
	struct peer *peer = peer_open("testdev", 0);
	struct wire_region_io_fds answer;

	ASSERT_EQ(0, ask(peer, FP_BAR2, 4096, &answer));
	EXPECT_EQ(TESTDEV_NR_IO_FDS, answer.count);
	EXPECT_EQ(FP_BAR2, answer.index);
	EXPECT_EQ(0, answer.flags);
	EXPECT_EQ(48, (answer.argsz - FIXED) / answer.count);
	EXPECT_EQ(answer.argsz, peer->reply.len);
	EXPECT_EQ(TESTDEV_NR_IO_FDS, peer->reply.nr_fds);
	for (uint32_t i = 0; i < TESTDEV_NR_DOORBELLS; i++) {
		const struct fp_doorbell *doorbell = &testdev_doorbells[i];
		struct wire_io_fd_deployed entry;

		memcpy(&entry, peer->reply.body + FIXED + 48ul * i, sizeof(entry));
		EXPECT_EQ(doorbell->offset, entry.offset);
		EXPECT_EQ(doorbell->width, entry.size);
		EXPECT_EQ(i, entry.fd_index);
		EXPECT_EQ(WIRE_IO_FD_IOEVENTFD, entry.type);
		EXPECT_EQ(doorbell->nr_values ? WIRE_IOEVENTFD_DATAMATCH : 0, entry.flags);
		EXPECT_EQ(0, entry.shadow_mem_fd_index);
		EXPECT_EQ(0, entry.shadow_offset);
		EXPECT_EQ(testdev_value(i), entry.datamatch);
	}
	peer_stop(peer);
}

TEST(entries_are_laid_out_as_published_when_asked_for)
{
	struct peer *peer = peer_open("testdev,io-fds-layout=spec", 0);
	struct wire_region_io_fds answer;

	ASSERT_EQ(0, ask(peer, FP_BAR2, 4096, &answer));
	EXPECT_EQ(TESTDEV_NR_IO_FDS, answer.count);
	EXPECT_EQ(40, (answer.argsz - FIXED) / answer.count);
	EXPECT_EQ(answer.argsz, peer->reply.len);
	EXPECT_EQ(TESTDEV_NR_IO_FDS, peer->reply.nr_fds);
	for (uint32_t i = 0; i < TESTDEV_NR_DOORBELLS; i++) {
		const struct fp_doorbell *doorbell = &testdev_doorbells[i];
		struct wire_io_fd_spec entry;

		memcpy(&entry, peer->reply.body + FIXED + 40ul * i, sizeof(entry));
		EXPECT_EQ(doorbell->offset, entry.offset);
		EXPECT_EQ(doorbell->width, entry.size);
		EXPECT_EQ(i, entry.fd_index);
		EXPECT_EQ(WIRE_IO_FD_IOEVENTFD, entry.type);
		EXPECT_EQ(doorbell->nr_values ? WIRE_IOEVENTFD_DATAMATCH : 0, entry.flags);
		EXPECT_EQ(0, entry.padding);
		EXPECT_EQ(testdev_value(i), entry.datamatch);
	}
	peer_stop(peer);
}

TEST(doorbells_in_io_space_say_so)
{
	struct peer *peer = peer_open("testdev", 0);
	struct wire_region_io_fds answer;
	struct wire_io_fd_deployed entries[2];

	ASSERT_EQ(0, ask(peer, FP_BAR1, 4096, &answer));
	ASSERT_EQ(2, answer.count);
	memcpy(entries, peer->reply.body + FIXED, sizeof(entries));
	EXPECT_EQ(WIRE_IOEVENTFD_PIO, entries[0].flags);
	EXPECT_EQ(WIRE_IOEVENTFD_PIO | WIRE_IOEVENTFD_DATAMATCH, entries[1].flags);
	EXPECT_EQ(TESTDEV_IO_TESTS + 4, entries[0].offset);
	EXPECT_EQ(TESTDEV_IO_TESTS + 5, entries[1].offset);
	EXPECT_EQ(0xfa, entries[1].datamatch);
	peer_stop(peer);
}

TEST(an_argsz_too_small_gets_the_fixed_part_without_fds_and_may_ask_again)
{
	struct peer *peer = peer_open("testdev", 0);
	uint32_t needed = FIXED + TESTDEV_NR_IO_FDS * sizeof(struct wire_io_fd_deployed);
	struct wire_region_io_fds answer;

	for (uint32_t argsz = FIXED; argsz < needed; argsz += 13) {
		ASSERT_EQ(0, ask(peer, FP_BAR2, argsz, &answer));
		EXPECT_EQ(FIXED, peer->reply.len);
		EXPECT_EQ(0, peer->reply.nr_fds);
		EXPECT_EQ(TESTDEV_NR_IO_FDS, answer.count);
		EXPECT_EQ(needed, answer.argsz);
	}
	ASSERT_EQ(0, ask(peer, FP_BAR2, needed, &answer));
	EXPECT_EQ(needed, peer->reply.len);
	EXPECT_EQ(TESTDEV_NR_IO_FDS, peer->reply.nr_fds);
	peer_stop(peer);
}

TEST(a_region_without_doorbells_or_spans_has_none_and_that_is_no_error)
{
	static const uint32_t regions[] = { FP_BAR3, FP_BAR4, FP_BAR5, FP_ROM, FP_CONFIG, FP_VGA };
	struct peer *peer = peer_open("testdev", 0);
	struct wire_region_io_fds answer;

	for (unsigned int i = 0; i < sizeof(regions) / sizeof(*regions); i++) {
		ASSERT_EQ(0, ask(peer, regions[i], 4096, &answer));
		EXPECT_EQ(FIXED, peer->reply.len);
		EXPECT_EQ(FIXED, answer.argsz);
		EXPECT_EQ(0, answer.count);
		EXPECT_EQ(0, peer->reply.nr_fds);
	}
	peer_stop(peer);
}

TEST(a_question_with_a_bad_index_or_flags_or_count_is_refused)
{
	static const struct wire_region_io_fds questions[] = {
		{ .argsz = 4096, .index = FP_NR_REGIONS },
		{ .argsz = 4096, .index = UINT32_MAX },
		{ .argsz = 4096, .index = FP_BAR2, .flags = 1 },
		{ .argsz = 4096, .index = FP_BAR2, .count = 1 },
	};
	struct peer *peer = peer_open("testdev", 0);
	unsigned int before = peer_count_fds(peer);

	for (unsigned int i = 0; i < sizeof(questions) / sizeof(*questions); i++) {
		EXPECT_EQ(EINVAL, peer_call(peer, WIRE_DEVICE_GET_REGION_IO_FDS, &questions[i],
					    sizeof(questions[i])));
	}
	EXPECT_EQ(before, peer_count_fds(peer));
	peer_stop(peer);
}

TEST(the_fds_are_eventfds)
{
	struct peer *peer = peer_open("testdev", 0);
	int fds[TESTDEV_NR_DOORBELLS];

	ASSERT_TRUE(take_doorbells(peer, fds));
	for (unsigned int i = 0; i < TESTDEV_NR_DOORBELLS; i++) {
		EXPECT_TRUE(fd_is_eventfd(fds[i]));
	}
	peer_stop(peer);
}

TEST(no_more_entries_come_than_the_client_takes_fds)
{
	static const struct {
		const char *json;
		uint32_t entries;
	} cases[] = {
		{ NULL, 1 },
		{ "{}", 1 },
		{ "{\"capabilities\":{}}", 1 },
		{ "{\"capabilities\":{\"max_msg_fds\":0}}", 0 },
		{ "{\"capabilities\":{\"max_msg_fds\":1}}", 1 },
		{ "{\"capabilities\":{\"max_msg_fds\":3}}", 3 },
		{ "{\"capabilities\":{\"max_msg_fds\":7}}", 7 },
		{ "{\"capabilities\":{\"max_msg_fds\":8}}", 8 },
		{ "{\"capabilities\":{\"max_msg_fds\":9}}", TESTDEV_NR_IO_FDS },
		{ "{\"capabilities\":{\"max_msg_fds\":4294967295}}", TESTDEV_NR_IO_FDS },
		{ "{\"capabilities\":{\"max_fds\":5}}", 5 }, /* as a foreign client has it */
		{ "{\"capabilities\":{\"max_fds\":5,\"max_msg_fds\":2}}", 2 },
	};

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct peer *peer = peer_start("testdev", 0);
		struct wire_region_io_fds answer;

		ASSERT_EQ(0, peer_version(peer, cases[i].json));
		ASSERT_EQ(0, ask(peer, FP_BAR2, 4096, &answer));
		EXPECT_EQ(cases[i].entries, answer.count);
		EXPECT_EQ(cases[i].entries, peer->reply.nr_fds);
		EXPECT_EQ(FIXED + 48 * cases[i].entries, answer.argsz);
		peer_stop(peer);
	}
}

TEST(no_more_entries_come_than_fds_fit_into_a_message)
{
	struct peer *peer = peer_start("many", PEER_OWN_CLASSES);
	struct wire_region_io_fds answer;

	ASSERT_EQ(0, peer_version(peer, "{\"capabilities\":{\"max_msg_fds\":250}}"));
	ASSERT_EQ(0, ask(peer, FP_BAR0, 8192, &answer));
	EXPECT_EQ(RING_MAX_FDS, answer.count);
	EXPECT_EQ(RING_MAX_FDS, peer->reply.nr_fds);
	EXPECT_EQ(answer.argsz, peer->reply.len);
	peer_stop(peer);
}

TEST(asking_again_hands_out_the_same_eventfds)
{
	struct peer *peer = peer_open("testdev", 0);
	unsigned int after_first;
	int first[TESTDEV_NR_DOORBELLS], second[TESTDEV_NR_DOORBELLS];

	ASSERT_TRUE(take_doorbells(peer, first));
	after_first = peer_count_fds(peer);
	ASSERT_TRUE(take_doorbells(peer, second));
	EXPECT_EQ(after_first, peer_count_fds(peer));
	ring(first[TESTDEV_ANY], 1);
	ring(second[TESTDEV_ANY], 1);
	EXPECT_EQ(2, await_rung(peer, TESTDEV_ANY, 2));
	peer_stop(peer);
}

TEST(a_server_without_fds_to_spare_offers_none_and_goes_on)
{
	struct peer *peer = peer_open("testdev", 0);
	unsigned int before = peer_count_fds(peer);
	struct rlimit limit, tight;
	struct wire_region_io_fds answer;

	ASSERT_EQ(0, prlimit(peer->pid, RLIMIT_NOFILE, NULL, &limit));
	tight = (struct rlimit){ before + 3, limit.rlim_max };
	ASSERT_EQ(0, prlimit(peer->pid, RLIMIT_NOFILE, &tight, NULL));
	ASSERT_EQ(0, ask(peer, FP_BAR2, 4096, &answer));
	EXPECT_EQ(0, answer.count);
	EXPECT_EQ(FIXED, answer.argsz);
	EXPECT_EQ(0, peer->reply.nr_fds);
	EXPECT_EQ(before, peer_count_fds(peer));
	EXPECT_EQ(0, peer_write(peer, FP_BAR2, testdev_doorbells[TESTDEV_ANY].offset, 0, 4));
	EXPECT_EQ(1, rung(peer, TESTDEV_ANY));

	ASSERT_EQ(0, prlimit(peer->pid, RLIMIT_NOFILE, &limit, NULL));
	ASSERT_EQ(0, ask(peer, FP_BAR2, 4096, &answer));
	EXPECT_EQ(TESTDEV_NR_IO_FDS, answer.count);
	peer_stop(peer);
}

/* ---- ringing ---- */

TEST(rings_add_up_exactly)
{
	struct peer *peer = peer_open("testdev", 0);
	int fds[TESTDEV_NR_DOORBELLS];
	uint64_t total = 0;

	ASSERT_TRUE(take_doorbells(peer, fds));
	for (unsigned int i = 0; i < TESTDEV_NR_DOORBELLS; i++) {
		for (unsigned int n = 0; n < 1000u + i; n++)
			ring(fds[i], 1);
		total += 1000u + i;
	}
	for (unsigned int i = 0; i < TESTDEV_NR_DOORBELLS; i++) {
		EXPECT_EQ(1000u + i, await_rung(peer, i, 1000u + i));
	}
	EXPECT_EQ(total, writes(peer));
	peer_stop(peer);
}

TEST(each_ring_reaches_an_idle_server)
{
	struct peer *peer = peer_open("testdev", 0);
	int fds[TESTDEV_NR_DOORBELLS];

	ASSERT_TRUE(take_doorbells(peer, fds));
	for (uint64_t n = 1; n <= 100; n++)
		for (unsigned int i = 0; i < TESTDEV_NR_DOORBELLS; i++) {
			ring(fds[i], 1);
			ASSERT_EQ(n, await_rung(peer, i, n));
		}
	peer_stop(peer);
}

TEST(rings_that_come_while_messages_are_served_add_up_exactly)
{
	struct peer *peer = peer_open("testdev", 0);
	int fds[TESTDEV_NR_DOORBELLS];
	pid_t child;

	ASSERT_TRUE(take_doorbells(peer, fds));
	child = fork();
	if (!child) {
		for (unsigned int n = 0; n < 20000; n++)
			ring(fds[TESTDEV_FIXED_4], 1);
		_exit(0);
	}
	/* The same doorbell by the other road, at the same time. */
	for (unsigned int n = 0; n < 2000; n++) {
		ASSERT_EQ(0, peer_write(peer, FP_BAR2, testdev_doorbells[TESTDEV_FIXED_4].offset, n,
					4));
	}
	waitpid(child, NULL, 0);
	EXPECT_EQ(22000, await_rung(peer, TESTDEV_FIXED_4, 22000));
	EXPECT_EQ(22000, writes(peer));
	peer_stop(peer);
}

TEST(an_eventfd_that_was_added_to_in_one_go_counts_it_all)
{
	struct peer *peer = peer_open("testdev", 0);
	int fds[TESTDEV_NR_DOORBELLS];

	ASSERT_TRUE(take_doorbells(peer, fds));
	ring(fds[TESTDEV_FIXED_8], 123456789012345ull);
	EXPECT_EQ(123456789012345ull, await_rung(peer, TESTDEV_FIXED_8, 123456789012345ull));
	peer_stop(peer);
}

TEST(a_store_rings_by_message_as_it_does_by_eventfd)
{
	struct peer *peer = peer_open("testdev", 0);

	for (unsigned int i = 0; i < TESTDEV_NR_DOORBELLS; i++) {
		const struct fp_doorbell *doorbell = &testdev_doorbells[i];

		peer_write(peer, FP_BAR2, doorbell->offset,
			   doorbell->nr_values ? testdev_value(i) : 77,
			   doorbell->width ? doorbell->width : 2);
		for (unsigned int j = 0; j < TESTDEV_NR_DOORBELLS; j++) {
			EXPECT_EQ(j <= i, rung(peer, j));
		}
		EXPECT_EQ(i + 1, writes(peer));
	}
	peer_stop(peer);
}

TEST(a_doorbell_of_any_width_takes_every_width)
{
	struct peer *peer = peer_open("testdev", 0);

	for (uint32_t width = 1; width <= 8; width *= 2)
		peer_write(peer, FP_BAR2, testdev_doorbells[TESTDEV_ANY].offset, 0, width);
	EXPECT_EQ(4, rung(peer, TESTDEV_ANY));
	peer_stop(peer);
}

TEST(a_store_of_another_width_or_beside_a_doorbell_does_not_ring)
{
	struct peer *peer = peer_open("testdev", 0);

	for (unsigned int i = TESTDEV_FIXED_1; i <= TESTDEV_FIXED_8; i++)
		for (uint32_t width = 1; width <= 8; width *= 2) {
			if (width != testdev_doorbells[i].width)
				peer_write(peer, FP_BAR2, testdev_doorbells[i].offset, 0, width);
			peer_write(peer, FP_BAR2, testdev_doorbells[i].offset + 8, 0, width);
			peer_write(peer, FP_BAR2, testdev_doorbells[i].offset - 1, 0, width);
		}
	for (unsigned int i = 0; i < TESTDEV_NR_DOORBELLS; i++) {
		EXPECT_EQ(0, rung(peer, i));
	}
	peer_stop(peer);
}

TEST(a_read_does_not_ring)
{
	struct peer *peer = peer_open("testdev", 0);

	for (unsigned int i = 0; i < TESTDEV_NR_DOORBELLS; i++)
		peer_read(peer, FP_BAR2, testdev_doorbells[i].offset, 4);
	for (unsigned int i = 0; i < TESTDEV_NR_DOORBELLS; i++) {
		EXPECT_EQ(0, rung(peer, i));
	}
	EXPECT_EQ(0, writes(peer));
	peer_stop(peer);
}

TEST(two_values_at_one_address_ring_each_their_own_by_either_road)
{
	struct peer *peer = peer_open("testdev", 0);
	uint64_t offset = testdev_doorbells[TESTDEV_MATCH_A].offset;
	int fds[TESTDEV_NR_DOORBELLS];

	ASSERT_EQ(offset, testdev_doorbells[TESTDEV_MATCH_B].offset);
	ASSERT_TRUE(take_doorbells(peer, fds));
	ring(fds[TESTDEV_MATCH_A], 3);
	ring(fds[TESTDEV_MATCH_B], 5);
	EXPECT_EQ(3, await_rung(peer, TESTDEV_MATCH_A, 3));
	EXPECT_EQ(5, await_rung(peer, TESTDEV_MATCH_B, 5));
	peer_write(peer, FP_BAR2, offset, TESTDEV_VALUE_A, 4);
	peer_write(peer, FP_BAR2, offset, TESTDEV_VALUE_B, 4);
	peer_write(peer, FP_BAR2, offset, TESTDEV_VALUE_B, 4);
	EXPECT_EQ(4, rung(peer, TESTDEV_MATCH_A));
	EXPECT_EQ(7, rung(peer, TESTDEV_MATCH_B));
	peer_stop(peer);
}

TEST(a_value_that_does_not_match_is_not_a_ring)
{
	struct peer *peer = peer_open("testdev", 0);
	uint64_t offset = testdev_doorbells[TESTDEV_MATCH_A].offset;

	peer_write(peer, FP_BAR2, offset, 0, 4);
	peer_write(peer, FP_BAR2, offset, TESTDEV_VALUE_A | 0x100, 4);
	peer_write(peer, FP_BAR2, offset, TESTDEV_VALUE_A | 1u << 31, 4);
	peer_write(peer, FP_BAR2, offset, TESTDEV_VALUE_A, 1);
	peer_write(peer, FP_BAR2, offset, TESTDEV_VALUE_A, 8);
	EXPECT_EQ(0, rung(peer, TESTDEV_MATCH_A));
	EXPECT_EQ(0, rung(peer, TESTDEV_MATCH_B));
	EXPECT_EQ(5, writes(peer)); /* but it is a write, which the device sees */
	peer_stop(peer);
}

TEST(pci_testdev_counts_rings_of_its_eventfds)
{
	enum {
		CHOOSE_WILDCARD = 1,
		CHOOSE_DATAMATCH,
		COUNT_AT = 12
	};
	struct peer *peer = peer_open("testdev", 0);
	struct wire_region_io_fds answer;

	for (uint32_t bar = FP_BAR0; bar <= FP_BAR1; bar++)
		for (unsigned int i = 0; i < 2; i++) {
			int64_t deadline = 0;

			peer_write(peer, bar, 0, CHOOSE_WILDCARD + i, 1);
			ASSERT_EQ(0, ask(peer, bar, 4096, &answer));
			ASSERT_EQ(2, peer->reply.nr_fds);
			ring(peer->reply.fds[i], 9);
			ring(peer->reply.fds[1 - i], 100); /* not the test that was chosen */
			while (peer_read(peer, bar, COUNT_AT, 4) != 9 && peer_time_left(&deadline))
				;
			EXPECT_EQ(9, peer_read(peer, bar, COUNT_AT, 4));
		}
	peer_stop(peer);
}

TEST(a_doorbell_is_run_after_the_messages_that_were_sent_before_it)
{
	struct peer *peer = peer_open("order", PEER_OWN_CLASSES);
	struct wire_region_io_fds answer;
	uint8_t message[64];
	size_t len = peer_message_write(message, 0, FP_BAR0, 0, "datadata", 8);
	int64_t deadline = 0;

	((struct wire_header *)message)->flags = WIRE_NO_REPLY;
	ASSERT_EQ(0, ask(peer, FP_BAR0, 4096, &answer));
	ASSERT_EQ(1, peer->reply.nr_fds);
	peer_freeze(peer);
	for (unsigned int i = 0; i < 200; i++)
		peer_send(peer, message, len, NULL, 0);
	ring(peer->reply.fds[0], 1);
	peer_thaw(peer);
	while (!peer_read(peer, FP_BAR0, 0, 8) && peer_time_left(&deadline))
		;
	EXPECT_EQ(200, peer_read(peer, FP_BAR0, 0, 8));
	peer_stop(peer);
}

TEST(doorbells_go_on_after_a_reset)
{
	struct peer *peer = peer_open("testdev", 0);
	int fds[TESTDEV_NR_DOORBELLS];

	ASSERT_TRUE(take_doorbells(peer, fds));
	ring(fds[TESTDEV_ANY], 1);
	ASSERT_EQ(1, await_rung(peer, TESTDEV_ANY, 1));
	ASSERT_EQ(0, peer_call(peer, WIRE_DEVICE_RESET, NULL, 0));
	EXPECT_EQ(0, rung(peer, TESTDEV_ANY));
	ring(fds[TESTDEV_ANY], 1);
	EXPECT_EQ(1, await_rung(peer, TESTDEV_ANY, 1));
	peer_stop(peer);
}

/* ---- clients of another time, and of another kind ---- */

TEST(the_eventfds_of_a_former_client_ring_for_nobody)
{
	struct peer *peer = peer_open("testdev", PEER_LISTEN);
	unsigned int before = peer_count_fds(peer);
	int former[TESTDEV_NR_DOORBELLS], fds[TESTDEV_NR_DOORBELLS];

	ASSERT_TRUE(take_doorbells(peer, former));
	peer_reconnect(peer);
	EXPECT_EQ(before, peer_count_fds(peer));
	for (unsigned int i = 0; i < TESTDEV_NR_DOORBELLS; i++)
		ring(former[i], 1);
	ASSERT_TRUE(take_doorbells(peer, fds));
	for (unsigned int i = 0; i < TESTDEV_NR_DOORBELLS; i++) {
		ring(former[i], 1);
		ring(fds[i], 1);
	}
	for (unsigned int i = 0; i < TESTDEV_NR_DOORBELLS; i++) {
		EXPECT_EQ(1, await_rung(peer, i, 1));
	}
	peer_stop(peer);
	for (unsigned int i = 0; i < TESTDEV_NR_DOORBELLS; i++) {
		EXPECT_EQ(2, peer_eventfd_take(former[i]));
	}
}

TEST(a_client_may_leave_while_its_doorbells_ring)
{
	struct peer *peer = peer_open("testdev", PEER_LISTEN);
	unsigned int before = peer_count_fds(peer);

	for (unsigned int n = 0; n < 50; n++) {
		int fds[TESTDEV_NR_DOORBELLS];

		ASSERT_TRUE(take_doorbells(peer, fds));
		for (unsigned int i = 0; i < TESTDEV_NR_DOORBELLS; i++)
			ring(fds[i], 1);
		peer_disconnect(peer);
		for (unsigned int i = 0; i < TESTDEV_NR_DOORBELLS; i++) {
			ring(fds[i], 1);
			close(fds[i]);
		}
		peer_reconnect(peer);
		ASSERT_EQ(before, peer_count_fds(peer));
	}
	peer_stop(peer);
}

TEST(a_client_that_makes_its_eventfd_non_blocking_does_no_harm)
{
	struct peer *peer = peer_open("testdev", 0);
	int fds[TESTDEV_NR_DOORBELLS];
	uint64_t cpu;

	ASSERT_TRUE(take_doorbells(peer, fds));
	/* Once while the server waits for it, and then it rings in either mode. */
	for (uint64_t n = 1; n <= 10; n++) {
		ASSERT_EQ(0, fcntl(fds[TESTDEV_ANY], F_SETFL, n % 3 ? O_NONBLOCK : 0));
		ring(fds[TESTDEV_ANY], 1);
		ASSERT_EQ(n, await_rung(peer, TESTDEV_ANY, n));
	}
	ASSERT_EQ(0, fcntl(fds[TESTDEV_ANY], F_SETFL, O_NONBLOCK));
	ring(fds[TESTDEV_ANY], 1);
	ASSERT_EQ(11, await_rung(peer, TESTDEV_ANY, 11));

	cpu = peer_cpu_ns(peer);
	poll(NULL, 0, 200);
	EXPECT_GT(cpu + 50000000, peer_cpu_ns(peer));
	ring(fds[TESTDEV_ANY], 1);
	EXPECT_EQ(12, await_rung(peer, TESTDEV_ANY, 12));
	peer_stop(peer);
}

TEST(a_client_that_reads_its_eventfd_itself_takes_its_own_rings_and_no_more)
{
	struct peer *peer = peer_open("testdev", 0);
	int fds[TESTDEV_NR_DOORBELLS];
	uint64_t stolen = 0;
	uint64_t cpu, value;

	ASSERT_TRUE(take_doorbells(peer, fds));
	ASSERT_EQ(0, fcntl(fds[TESTDEV_ANY], F_SETFL, O_NONBLOCK));
	for (unsigned int n = 0; n < 5000; n++) {
		if (n == 2500) {
			ASSERT_EQ(0, fcntl(fds[TESTDEV_ANY], F_SETFL, 0));
		}
		ring(fds[TESTDEV_ANY], 1);
		if (n < 2500 && read(fds[TESTDEV_ANY], &value, sizeof(value)) == sizeof(value))
			stolen += value;
	}
	EXPECT_EQ(5000 - stolen, await_rung(peer, TESTDEV_ANY, 5000 - stolen));

	cpu = peer_cpu_ns(peer);
	poll(NULL, 0, 200);
	EXPECT_GT(cpu + 50000000, peer_cpu_ns(peer));
	ring(fds[TESTDEV_FIXED_1], 1);
	EXPECT_EQ(1, await_rung(peer, TESTDEV_FIXED_1, 1));
	peer_stop(peer);
}

TEST(a_client_that_keeps_its_eventfd_full_does_not_stall_its_own_messages)
{
	struct peer *peer = peer_open("testdev", 0);
	int fds[TESTDEV_NR_DOORBELLS];
	pid_t child;

	ASSERT_TRUE(take_doorbells(peer, fds));
	child = fork();
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			ring(fds[TESTDEV_ANY], UINT64_MAX - 1);
	}
	for (unsigned int n = 0; n < 200; n++) {
		ASSERT_EQ(TESTDEV_MAGIC, peer_read(peer, FP_BAR2, 0, 4));
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	peer_stop(peer);
}

TEST_HARNESS_MAIN
