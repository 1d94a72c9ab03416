// SPDX-License-Identifier: GPL-2.0-only
/*
 * What one client may take of the server: its turn, fds, memory and lines of the log.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fastpath.h"
#include "kselftest_harness.h"
#include "lib/peer.h"
#include "testdev.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define MIB 1048576u
#define MANY 200u

/* ---- a device that holds an access until its doorbell rings ---- */

/*
 * BAR0: a load is held, and everything behind it. BAR2: a doorbell, what tells of `stores`, and of how
 * many there had been when the doorbell rang.
 */
#define RELEASE 0
#define STORES 8
#define STORES_BEFORE 16
#define VECTORS 16

/* Stores by all clients to all devices of the process, which are on one worker. */
static uint64_t stores;

struct holder {
	struct fp_access *held;
	uint64_t stores_before;
};

static int held_access(struct fp_device *dev, struct fp_access *access)
{
	struct holder *holder = fp_state(dev);

	if (access->write)
		return 0;
	holder->held = fp_defer(dev, access);
	return FP_LATER;
}

static int free_access(struct fp_device *dev, struct fp_access *access)
{
	struct holder *holder = fp_state(dev);
	struct fp_access *held = holder->held;

	if (!access->write)
		fp_access_answer(access,
				 access->offset == STORES_BEFORE ? holder->stores_before : stores);
	else if (!access->doorbell)
		stores++;
	if (!access->doorbell)
		return 0;
	holder->stores_before = stores;
	holder->held = NULL;
	if (held)
		fp_finish(dev, held, 0);
	return 0;
}

static const struct fp_doorbell release_doorbell = { .offset = RELEASE, .width = 8 };

FP_DEVICE(holder) = {
	.name = "holder",
	.summary = "holds accesses",
	.state_bytes = sizeof(struct holder),
	.pci = { .vendor = TESTDEV_VENDOR, .device = TESTDEV_DEVICE, .msix_bar = 4 },
	.irqs = { [FP_MSIX] = VECTORS },
	.regions = {
		[FP_BAR0] = { .size = 0x100, .access = held_access },
		[FP_BAR2] = {
			.size = 2 * MIB,
			.access = free_access,
			.doorbells = &release_doorbell,
			.nr_doorbells = 1,
		},
	},
};

/* ---- helpers ---- */

static uint16_t ask_read(struct peer *peer, uint32_t region, uint64_t offset, uint32_t count)
{
	struct wire_region_access access = { offset, region, count };

	return peer_command(peer, WIRE_REGION_READ, &access, sizeof(access), NULL, 0);
}

static void post_write(struct peer *peer, uint32_t region, uint64_t offset, uint64_t value)
{
	struct {
		struct wire_region_access access;
		uint64_t value;
	} __attribute__((packed)) body = { { offset, region, 8 }, value };

	peer_post(peer, WIRE_REGION_WRITE, &body, sizeof(body));
}

/* As many posted stores as a socket takes while nobody reads it; how many. */
static unsigned int flood(struct peer *peer, unsigned int max, uint32_t region, uint64_t offset)
{
	static uint8_t messages[128][40];
	unsigned int sent = 0;

	for (unsigned int i = 0; i < COUNT(messages); i++) {
		peer_message_write(messages[i], 0, region, offset, "flooding", 8);
		((struct wire_header *)messages[i])->flags = WIRE_NO_REPLY;
	}
	while (sent < max && send(peer->fd, messages, sizeof(messages),
				  MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(messages))
		sent += COUNT(messages);
	return sent;
}

/* The doorbell's eventfd. */
static int take_doorbell(struct peer *peer)
{
	struct wire_region_io_fds ask = { .argsz = 4096, .index = FP_BAR2 };
	int fd;

	if (peer_call(peer, WIRE_DEVICE_GET_REGION_IO_FDS, &ask, sizeof(ask)) ||
	    peer->reply.nr_fds != 1)
		return -1;
	fd = peer->reply.fds[0];
	peer->reply.fds[0] = -1;
	return fd;
}

static int ring(int fd)
{
	uint64_t one = 1;

	return write(fd, &one, sizeof(one)) == sizeof(one) ? 0 : -errno;
}

static uint16_t set_vectors(struct peer *peer, const int *fds, unsigned int nr)
{
	struct wire_irq_set set = {
		.argsz = sizeof(set),
		.flags = WIRE_IRQ_DATA_EVENTFD | WIRE_IRQ_ACTION_TRIGGER,
		.index = FP_MSIX,
		.count = nr,
	};

	return peer_command(peer, WIRE_DEVICE_SET_IRQS, &set, sizeof(set), fds, nr);
}

/* From now on the server can open no fd; *old is how it was. */
static void allow_no_fd(const struct peer *peer, struct rlimit *old)
{
	struct rlimit tight;
	char path[64];
	rlim_t lowest = 0;

	do
		snprintf(path, sizeof(path), "/proc/%d/fd/%lu", peer->pid, lowest);
	while (!faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) && ++lowest);
	prlimit(peer->pid, RLIMIT_NOFILE, NULL, old);
	tight = (struct rlimit){ lowest, old->rlim_max };
	prlimit(peer->pid, RLIMIT_NOFILE, &tight, NULL);
}

/* Whether the server has had some turns, in which it took what was there. */
static bool has_had_turns(struct peer *other)
{
	for (unsigned int i = 0; i < 20; i++) {
		uint16_t id = ask_read(other, FP_BAR2, STORES, 8);

		if (peer_answer(other, id, WIRE_REGION_READ))
			return false;
	}
	return true;
}

/* ---- turns ---- */

TEST(a_flood_gives_way_to_another_devices_client)
{
	struct peer *peer = peer_open("holder", PEER_LISTEN | PEER_TWO | PEER_OWN_CLASSES);
	struct peer *other = peer_other(peer);
	unsigned int sent;
	uint64_t before;

	peer_freeze(peer);
	sent = flood(peer, 100000, FP_BAR2, STORES);
	ASSERT_LT(1000, sent);
	ask_read(other, FP_BAR2, STORES, 8);
	peer_thaw(peer);
	/* It tells how many stores of the other's came before. */
	ASSERT_EQ(0, peer_answer(other, other->msg_id, WIRE_REGION_READ));
	memcpy(&before, other->reply.body + sizeof(struct wire_region_access), sizeof(before));
	EXPECT_GT(sent / 2, before);
	while (peer_read(peer, FP_BAR2, STORES, 8) != sent)
		;
	peer_stop(other);
	peer_stop(peer);
}

TEST(a_client_that_leaves_after_a_flood_has_all_of_it_seen_to)
{
	struct peer *peer = peer_open("testdev", PEER_LISTEN);
	unsigned int sent;

	peer_freeze(peer);
	sent = flood(peer, 100000, FP_BAR2, TESTDEV_SCRATCH);
	ASSERT_LT(1000, sent);
	peer_disconnect(peer);
	peer_thaw(peer);
	peer_reconnect(peer);
	EXPECT_EQ(sent, peer_read(peer, FP_BAR2, offsetof(struct testdev_counters, writes), 8));
	peer_stop(peer);
}

TEST(large_and_small_messages_of_a_flood_stay_in_order)
{
	struct peer *peer = peer_open("testdev", PEER_LISTEN);
	static uint8_t big[MIB / 2];
	uint32_t value;

	for (uint32_t i = 1; i <= 20; i++) {
		struct wire_region_access access = { TESTDEV_SCRATCH, FP_BAR2, sizeof(big) };

		/* Too long for the region: refused, and its body is skipped. */
		memcpy(big, &access, sizeof(access));
		peer_post(peer, WIRE_REGION_WRITE, big, sizeof(big));
		for (uint32_t j = 0; j < 200; j++)
			post_write(peer, FP_BAR2, TESTDEV_SCRATCH, i * 1000 + j);
		ASSERT_EQ(0, peer_read_to(peer, FP_BAR2, TESTDEV_SCRATCH, &value, 4));
		ASSERT_EQ(i * 1000 + 199, value);
	}
	peer_stop(peer);
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

#define ROUNDS 2000u

/* Half of a client's round trips take no longer than p50 ns, 99 of 100 no longer than p99. */
static bool time_round_trips(struct peer *peer, uint64_t *p50, uint64_t *p99)
{
	static uint64_t ns[ROUNDS];

	for (unsigned int i = 0; i < ROUNDS; i++) {
		struct timespec from, to;
		uint16_t id;

		clock_gettime(CLOCK_MONOTONIC, &from);
		id = ask_read(peer, FP_BAR2, STORES, 8);
		if (peer_answer(peer, id, WIRE_REGION_READ))
			return false;
		clock_gettime(CLOCK_MONOTONIC, &to);
		ns[i] = (uint64_t)((to.tv_sec - from.tv_sec) * 1000000000 + to.tv_nsec -
				   from.tv_nsec);
	}
	qsort(ns, ROUNDS, sizeof(*ns), by_value);
	*p50 = ns[ROUNDS / 2];
	*p99 = ns[ROUNDS * 99 / 100];
	return true;
}

/* How much longer is for people to judge: it is the host's, too. */
TEST(a_quiet_client_is_served_beside_a_flood)
{
	struct peer *peer = peer_open("holder", PEER_LISTEN | PEER_TWO | PEER_OWN_CLASSES);
	struct peer *other = peer_other(peer);
	uint64_t p50[2], p99[2];
	pid_t child;

	ASSERT_TRUE(time_round_trips(other, &p50[0], &p99[0]));
	child = fork();
	if (!child) {
		struct pollfd room = { .fd = peer->fd, .events = POLLOUT };

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (flood(peer, UINT32_MAX, FP_BAR2, STORES) || poll(&room, 1, -1) == 1)
			;
		_exit(1);
	}
	ASSERT_TRUE(time_round_trips(other, &p50[1], &p99[1]));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	TH_LOG("alone: p50 %lu ns, p99 %lu ns; beside a flood: p50 %lu ns, p99 %lu ns", p50[0],
	       p99[0], p50[1], p99[1]);
	peer_stop(other);
	peer_stop(peer);
}

/* ---- many writes in a message ---- */

#define MULTI ((MIB - 8) / sizeof(struct wire_region_write_multi))

static uint16_t send_multi(struct peer *peer)
{
	static struct {
		uint64_t nr;
		struct wire_region_write_multi writes[MULTI];
	} __attribute__((packed)) multi = { .nr = MULTI };

	for (size_t i = 0; i < MULTI; i++)
		multi.writes[i] = (struct wire_region_write_multi){ STORES, FP_BAR2, 8, i };
	return peer_command(peer, WIRE_REGION_WRITE_MULTI, &multi, sizeof(multi), NULL, 0);
}

/* Whether another client was served while its writes were being made. */
static bool is_interrupted(struct peer *other, uint64_t before)
{
	uint64_t now;

	do
		now = peer_read(other, FP_BAR2, STORES, 8);
	while (now == before);
	return now < before + MULTI;
}

TEST(others_are_served_between_the_writes_of_a_long_write_multi)
{
	struct peer *peer = peer_open("holder", PEER_LISTEN | PEER_TWO | PEER_OWN_CLASSES);
	struct peer *other = peer_other(peer);
	bool interrupted = false;
	uint64_t done = 0;

	/* This process may have been kept from its CPU for as long as they take. */
	for (unsigned int i = 0; i < 100 && !interrupted; i++) {
		uint16_t id = send_multi(peer);

		interrupted = is_interrupted(other, i * MULTI);
		ASSERT_EQ(0, peer_answer(peer, id, WIRE_REGION_WRITE_MULTI));
		ASSERT_EQ(sizeof(done), peer->reply.len);
		memcpy(&done, peer->reply.body, sizeof(done));
		ASSERT_EQ(MULTI, done);
		ASSERT_EQ((i + 1) * MULTI, peer_read(peer, FP_BAR2, STORES, 8));
	}
	EXPECT_TRUE(interrupted);
	peer_stop(other);
	peer_stop(peer);
}

TEST(what_rings_amid_a_write_multi_is_heard_behind_it_and_so_are_messages)
{
	struct peer *peer = peer_open("holder", PEER_LISTEN | PEER_TWO | PEER_OWN_CLASSES);
	struct peer *other = peer_other(peer);
	int doorbell = take_doorbell(peer);
	uint64_t value;

	for (unsigned int i = 0; i < 20; i++) {
		uint16_t id = send_multi(peer);
		uint16_t behind = ask_read(peer, FP_BAR2, STORES, 8);

		is_interrupted(other, i * MULTI);
		ASSERT_EQ(0, ring(doorbell));
		ASSERT_EQ(0, peer_answer(peer, id, WIRE_REGION_WRITE_MULTI));
		ASSERT_EQ(0, peer_answer(peer, behind, WIRE_REGION_READ));
		memcpy(&value, peer->reply.body + sizeof(struct wire_region_access), sizeof(value));
		ASSERT_EQ((i + 1) * MULTI, value);
		do
			value = peer_read(peer, FP_BAR2, STORES_BEFORE, 8);
		while (value <= i * MULTI);
		ASSERT_EQ((i + 1) * MULTI, value);
	}
	close(doorbell);
	peer_stop(other);
	peer_stop(peer);
}

TEST(a_client_may_leave_amid_a_write_multi)
{
	struct peer *peer = peer_open("holder", PEER_LISTEN | PEER_TWO | PEER_OWN_CLASSES);
	struct peer *other = peer_other(peer);
	uint64_t before = 0;

	for (unsigned int i = 0; i < 20; i++) {
		send_multi(peer);
		is_interrupted(other, before);
		peer_reconnect(peer);
		before = peer_read(peer, FP_BAR2, STORES, 8);
	}
	peer_stop(other);
	peer_stop(peer);
}

/* ---- fds ---- */

TEST(the_fds_of_commands_that_wait_are_bounded_and_none_is_lost)
{
	struct peer *peer = peer_open("holder", PEER_LISTEN | PEER_TWO | PEER_OWN_CLASSES);
	struct peer *other = peer_other(peer);
	int doorbell = take_doorbell(peer);
	unsigned int before = peer_count_fds(peer);
	uint16_t held = ask_read(peer, FP_BAR0, 0, 8);
	int fds[VECTORS];

	for (unsigned int i = 0; i < VECTORS; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC);
	peer_freeze(peer);
	for (unsigned int i = 0; i < MANY; i++)
		set_vectors(peer, fds, VECTORS);
	peer_thaw(peer);
	ASSERT_TRUE(has_had_turns(other));
	/* The rest is in the socket, and the kernel's. */
	EXPECT_LE(before + 256, peer_count_fds(peer));
	EXPECT_GE(before + 256 + 512 + 64, peer_count_fds(peer));
	ASSERT_EQ(0, ring(doorbell));
	EXPECT_EQ(0, peer_answer(peer, held, WIRE_REGION_READ));
	for (uint16_t i = 1; i <= MANY; i++)
		ASSERT_EQ(0, peer_answer(peer, (uint16_t)(held + i), WIRE_DEVICE_SET_IRQS));
	EXPECT_EQ(before + VECTORS, peer_await_fds(peer, before + VECTORS));
	for (unsigned int i = 0; i < VECTORS; i++)
		close(fds[i]);
	close(doorbell);
	peer_stop(other);
	peer_stop(peer);
}

TEST(more_fds_that_wait_than_a_good_client_sends_are_refused_and_closed)
{
	struct peer *peer = peer_open("holder", PEER_LISTEN | PEER_TWO | PEER_OWN_CLASSES);
	struct peer *other = peer_other(peer);
	int doorbell = take_doorbell(peer);
	unsigned int before = peer_count_fds(peer);
	uint16_t held = ask_read(peer, FP_BAR0, 0, 8);
	int fds[64];
	unsigned int refused = 0;

	for (unsigned int i = 0; i < COUNT(fds); i++)
		fds[i] = doorbell;
	peer_freeze(peer);
	for (unsigned int i = 0; i < MANY; i++)
		set_vectors(peer, fds, COUNT(fds));
	peer_thaw(peer);
	ASSERT_TRUE(has_had_turns(other));
	EXPECT_LE(before + 256, peer_count_fds(peer));
	EXPECT_GE(before + 256 + 512 + 64, peer_count_fds(peer));
	ASSERT_EQ(0, ring(doorbell));
	EXPECT_EQ(0, peer_answer(peer, held, WIRE_REGION_READ));
	for (uint16_t i = 1; i <= MANY; i++)
		refused += peer_answer(peer, (uint16_t)(held + i), WIRE_DEVICE_SET_IRQS) != 0;
	EXPECT_EQ(MANY, refused); /* there are no so many vectors */
	EXPECT_EQ(before, peer_await_fds(peer, before));
	close(doorbell);
	peer_stop(other);
	peer_stop(peer);
}

/* A window that costs the server an fd. */
static int map_by_file(struct peer *peer, int fd, uint64_t address)
{
	struct wire_dma_map map = {
		.argsz = sizeof(map),
		.flags = WIRE_DMA_READABLE | WIRE_DMA_BY_FILE_IO,
		.address = address,
		.size = 4096,
	};

	return peer_call_fds(peer, WIRE_DMA_MAP, &map, sizeof(map), &fd, 1);
}

TEST(a_server_out_of_fds_takes_the_next_client_once_it_has_some)
{
	struct wire_dma_unmap all = { .argsz = sizeof(all), .flags = WIRE_DMA_UNMAP_ALL };
	struct rlimit few = { 40, 40 };
	int fd = memfd_create("window", MFD_CLOEXEC);
	struct peer *peer;
	struct peer second;
	uint64_t address = 0;

	ASSERT_EQ(0, ftruncate(fd, 4096));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &few));
	peer = peer_open("testdev", PEER_LISTEN | PEER_TWO);
	while (!map_by_file(peer, fd, address))
		address += 4096;
	EXPECT_EQ(EMFILE, map_by_file(peer, fd, address));
	second = (struct peer){ .pid = peer->pid };
	memcpy(second.path, peer->other_path, sizeof(second.path));
	second.fd = peer_connect(&second);
	/* Tried ten times a second, and said once. */
	while (!peer_log_count(peer, "accept: Too many open files"))
		EXPECT_EQ(TESTDEV_MAGIC, peer_read(peer, FP_BAR2, 0, 4));
	EXPECT_EQ(0, peer_call(peer, WIRE_DMA_UNMAP, &all, sizeof(all)));
	EXPECT_EQ(0, peer_version(&second, PEER_JSON));
	EXPECT_EQ(1, peer_log_count(peer, "accept: "));
	peer_disconnect(&second);
	close(fd);
	peer_stop(peer);
}

TEST(an_fd_that_the_server_has_no_room_for_is_emfile_and_the_client_goes_on)
{
	struct peer *peer = peer_open("testdev", 0);
	struct wire_dma_map map = { .argsz = sizeof(map), .flags = 3, .size = 4096 };
	int fd = memfd_create("window", MFD_CLOEXEC);
	struct rlimit limit;

	ASSERT_EQ(0, ftruncate(fd, 4096));
	allow_no_fd(peer, &limit);
	EXPECT_EQ(EMFILE, peer_call_fds(peer, WIRE_DMA_MAP, &map, sizeof(map), &fd, 1));
	EXPECT_EQ(1, peer_log_count(peer, "Too many open files"));
	EXPECT_EQ(TESTDEV_MAGIC, peer_read(peer, FP_BAR2, 0, 4));
	ASSERT_EQ(0, prlimit(peer->pid, RLIMIT_NOFILE, &limit, NULL));
	EXPECT_EQ(0, peer_call_fds(peer, WIRE_DMA_MAP, &map, sizeof(map), &fd, 1));
	close(fd);
	peer_stop(peer);
}

TEST(a_server_takes_as_many_fds_as_it_may)
{
	struct rlimit low = { 64, 4096 }, limit;
	struct peer *peer;

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &low));
	peer = peer_open("testdev", 0);
	ASSERT_EQ(0, prlimit(peer->pid, RLIMIT_NOFILE, NULL, &limit));
	EXPECT_EQ(4096, limit.rlim_cur);
	EXPECT_EQ(4096, limit.rlim_max);
	peer_stop(peer);
}

/* ---- memory ---- */

TEST(the_answers_to_commands_that_waited_are_bounded)
{
	struct peer *peer = peer_open("holder", PEER_OWN_CLASSES);
	int doorbell = take_doorbell(peer);
	size_t before = peer_resident(peer);
	uint16_t held = ask_read(peer, FP_BAR0, 0, 8);

	for (unsigned int i = 0; i < MANY; i++)
		ask_read(peer, FP_BAR2, 0, MIB);
	peer_drain(peer);
	ASSERT_EQ(0, ring(doorbell));
	EXPECT_EQ(0, peer_answer(peer, held, WIRE_REGION_READ));
	for (uint16_t i = 1; i <= MANY; i++) {
		ASSERT_EQ(0, peer_answer(peer, (uint16_t)(held + i), WIRE_REGION_READ));
		ASSERT_GT(before + 32 * MIB, peer_resident(peer));
	}
	close(doorbell);
	peer_stop(peer);
}

/* ---- the log ---- */

TEST(a_flood_of_second_clients_does_not_fill_the_log)
{
	struct peer *peer = peer_open("testdev", PEER_LISTEN);

	for (unsigned int i = 0; i < 500; i++) {
		struct peer second = { .fd = peer_connect(peer) };

		ASSERT_EQ(EBUSY, peer_answer(&second, 0, WIRE_VERSION));
		close(second.fd);
	}
	EXPECT_EQ(TESTDEV_MAGIC, peer_read(peer, FP_BAR2, 0, 4));
	EXPECT_EQ(32, peer_log_count(peer, "a second client is refused"));
	EXPECT_EQ(33, peer_log_count(peer, "\n"));
	peer_stop(peer);
}

TEST(clients_that_come_again_and_again_do_not_fill_the_log)
{
	struct peer *peer = peer_open("testdev", PEER_LISTEN);
	unsigned int lines;

	for (unsigned int i = 0; i < 40; i++) {
		for (unsigned int j = 0; j < 40; j++)
			ASSERT_EQ(EOPNOTSUPP, peer_call(peer, 99, NULL, 0));
		peer_reconnect(peer);
	}
	lines = peer_log_count(peer, "\n");
	EXPECT_LE(1024, lines);
	EXPECT_GE(1024 + 100, lines); /* and one a second */
	EXPECT_EQ(1, peer_log_count(peer, "its clients fill the log"));
	peer_stop(peer);
}

TEST_HARNESS_MAIN
