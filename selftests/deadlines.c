// SPDX-License-Identifier: GPL-2.0-only
/*
 * A client that does not go on with what it has begun is not waited for, and one that owes nothing
 * is not timed.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fastpath.h"
#include "kselftest_harness.h"
#include "lib/peer.h"
#include "testdev.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const struct wire_device_info ask_info = { .argsz = sizeof(ask_info) };

/* ---- a device that asks for guest memory, or takes its time ---- */

/* BAR0 */
#define FETCH 0x00  /* a store reads 8 bytes of guest memory at the address */
#define RESULT 0x08 /* what became of the last one: -errno */
#define LATER 0x10  /* a load is answered after so many ms as were stored here */

#define UNKNOWN 0x7f

struct debtor {
	struct fp_dma_op op;
	uint64_t fetched;
	int64_t result;
	uint64_t later_ms;
	struct fp_timer timer;
	struct fp_access *awaited;
};

static void fetched(struct fp_device *dev, struct fp_dma_op *op, int ret)
{
	struct debtor *debtor = fp_state(dev);

	(void)op;
	debtor->result = ret;
}

static void time_is_up(struct fp_device *dev, struct fp_timer *timer)
{
	struct debtor *debtor = fp_state(dev);

	(void)timer;
	fp_access_answer(debtor->awaited, 0x1a7e);
	fp_finish(dev, debtor->awaited, 0);
}

static int debtor_access(struct fp_device *dev, struct fp_access *access)
{
	struct debtor *debtor = fp_state(dev);

	if (access->write && access->offset == FETCH) {
		debtor->op.done = fetched;
		debtor->result = UNKNOWN;
		fp_dma_read(dev, &debtor->op, fp_access_value(access), &debtor->fetched, 8);
	} else if (access->write && access->offset == LATER) {
		debtor->later_ms = fp_access_value(access);
	} else if (access->offset == LATER) {
		debtor->awaited = fp_defer(dev, access);
		debtor->timer.expired = time_is_up;
		fp_timer_start(dev, &debtor->timer, debtor->later_ms * 1000000);
		return FP_LATER;
	} else if (access->offset == RESULT) {
		fp_access_answer(access, (uint64_t)debtor->result);
	}
	return 0;
}

static void debtor_close(struct fp_device *dev)
{
	fp_timer_stop(&((struct debtor *)fp_state(dev))->timer);
}

FP_DEVICE(debtor) = {
	.name = "debtor",
	.summary = "asks for guest memory",
	.state_bytes = sizeof(struct debtor),
	.pci = { .vendor = TESTDEV_VENDOR, .device = TESTDEV_DEVICE },
	.regions = { [FP_BAR0] = { .size = 0x100, .access = debtor_access } },
	.close = debtor_close,
};

/* ---- helpers ---- */

static struct peer *open_with(const char *timeout, const char *device, unsigned int how)
{
	peer_set_option(timeout);
	return peer_open(device, how);
}

/* Closed with one line that says so, and the next client is served. */
static bool is_cut_off(struct peer *peer, const char *why)
{
	char line[128];
	unsigned int before;

	snprintf(line, sizeof(line), "connection closed: %s", why);
	before = peer_log_count(peer, "connection closed");
	peer_await_end(peer);
	peer_reconnect(peer);
	return before <= 1 && peer_log_count(peer, "connection closed") == 1 &&
	       peer_log_count(peer, line) == 1;
}

static int map_without_fd(struct peer *peer, uint64_t address, uint64_t size)
{
	struct wire_dma_map map = {
		.argsz = sizeof(map),
		.flags = WIRE_DMA_READABLE | WIRE_DMA_WRITEABLE,
		.address = address,
		.size = size,
	};

	return peer_call(peer, WIRE_DMA_MAP, &map, sizeof(map));
}

/* ---- what is not waited for ---- */

TEST(a_client_that_says_nothing_is_cut_off)
{
	struct peer *peer;

	peer_set_option("--client-timeout=0.2");
	peer = peer_start("testdev", PEER_LISTEN);
	EXPECT_TRUE(is_cut_off(peer, "VERSION did not come in 0.1 s"));
	peer_stop(peer);
}

TEST(a_client_that_says_half_a_version_is_cut_off)
{
	struct peer *peer;

	peer_set_option("--client-timeout=0.2");
	peer = peer_start("testdev", PEER_LISTEN);
	peer_send(peer, "\1\0\1\0", 4, NULL, 0);
	EXPECT_TRUE(is_cut_off(peer, "VERSION did not come in 0.1 s"));
	peer_stop(peer);
}

TEST(a_message_that_stays_half_ends_the_connection)
{
	static const size_t lengths[] = { 1, 15, 16, 17, 31 };
	uint8_t message[64];

	peer_message(message, 1, WIRE_DEVICE_GET_INFO, &ask_info, sizeof(ask_info));
	for (size_t i = 0; i < COUNT(lengths); i++) {
		struct peer *peer = open_with("--client-timeout=0.1", "testdev", PEER_LISTEN);

		peer_send(peer, message, lengths[i], NULL, 0);
		EXPECT_TRUE(is_cut_off(peer, "a message did not come to its end in 0.1 s"));
		peer_stop(peer);
	}
}

TEST(bytes_that_trickle_in_do_not_extend_the_deadline)
{
	struct peer *peer = open_with("--client-timeout=0.1", "testdev", PEER_LISTEN);
	struct wire_header hdr = { .cmd = WIRE_REGION_WRITE, .msg_size = 1 << 20 };
	struct pollfd end = { .fd = peer->fd, .events = POLLIN };
	unsigned int sent = 0;

	peer_send(peer, &hdr, sizeof(hdr), NULL, 0);
	while (!poll(&end, 1, 10) && sent < 1000)
		sent += send(peer->fd, "", 1, MSG_NOSIGNAL) == 1;
	EXPECT_GT(1000, sent);
	EXPECT_LT(1, sent);
	EXPECT_EQ(1, peer_log_count(peer, "a message did not come to its end in 0.1 s"));
	peer_stop(peer);
}

TEST(the_rest_of_an_over_long_message_is_waited_for_as_long)
{
	struct peer *peer = open_with("--client-timeout=0.1", "testdev", PEER_LISTEN);
	struct wire_header hdr = { .msg_id = 9, .cmd = WIRE_REGION_WRITE, .msg_size = UINT32_MAX };

	peer_send(peer, &hdr, sizeof(hdr), NULL, 0);
	EXPECT_EQ(EINVAL, peer_answer(peer, 9, WIRE_REGION_WRITE));
	EXPECT_TRUE(is_cut_off(peer, "a message did not come to its end in 0.1 s"));
	peer_stop(peer);
}

TEST(a_message_that_stays_half_on_the_twin_socket_ends_the_connection)
{
	static const char json[] = "{\"capabilities\":{\"max_msg_fds\":1,"
				   "\"twin_socket\":{\"supported\":true}}}";
	struct peer *peer;
	int twin;

	peer_set_option("--client-timeout=0.2");
	peer = peer_start("testdev", PEER_LISTEN);
	ASSERT_EQ(0, peer_version(peer, json));
	ASSERT_EQ(1, peer->reply.nr_fds);
	twin = dup(peer->reply.fds[0]);
	ASSERT_EQ(1, send(twin, "", 1, MSG_NOSIGNAL));
	EXPECT_TRUE(is_cut_off(peer, "a message on the twin socket did not come to its end"));
	close(twin);
	peer_stop(peer);
}

TEST(a_transfer_that_is_not_answered_times_out_and_the_connection_ends)
{
	struct peer *peer =
		open_with("--client-timeout=0.1", "debtor", PEER_LISTEN | PEER_OWN_CLASSES);

	ASSERT_EQ(0, map_without_fd(peer, 0x1000, 0x1000));
	ASSERT_EQ(0, peer_write(peer, FP_BAR0, FETCH, 0x1000, 8));
	EXPECT_EQ(WIRE_DMA_READ, peer_receive(peer)->hdr.cmd);
	EXPECT_TRUE(is_cut_off(peer, "a DMA_READ or DMA_WRITE was not answered in 0.1 s"));
	EXPECT_EQ(-ETIMEDOUT, (int64_t)peer_read(peer, FP_BAR0, RESULT, 8));
	peer_stop(peer);
}

TEST(a_transfer_whose_client_leaves_does_not_wait)
{
	struct peer *peer =
		open_with("--client-timeout=1000", "debtor", PEER_LISTEN | PEER_OWN_CLASSES);

	ASSERT_EQ(0, map_without_fd(peer, 0x1000, 0x1000));
	ASSERT_EQ(0, peer_write(peer, FP_BAR0, FETCH, 0x1000, 8));
	EXPECT_EQ(WIRE_DMA_READ, peer_receive(peer)->hdr.cmd);
	peer_reconnect(peer);
	EXPECT_EQ(-ENOTCONN, (int64_t)peer_read(peer, FP_BAR0, RESULT, 8));
	peer_stop(peer);
}

TEST(a_client_that_does_not_read_what_it_asked_for_is_cut_off)
{
	struct peer *peer = open_with("--client-timeout=0.05", "testdev", PEER_LISTEN);
	struct pollfd end = { .fd = peer->fd };
	uint8_t messages[64][32];

	for (uint16_t i = 0; i < COUNT(messages); i++)
		peer_message_read(messages[i], i, FP_BAR2, TESTDEV_SCRATCH, TESTDEV_SCRATCH_BYTES);
	/* Whole ones, as far as the socket goes: else it would be another debt. */
	for (unsigned int i = 0; i < 1000; i++)
		if (send(peer->fd, messages, sizeof(messages), MSG_DONTWAIT | MSG_NOSIGNAL) !=
		    sizeof(messages))
			break;
	ASSERT_EQ(1, poll(&end, 1, PEER_DEADLINE_MS));
	EXPECT_TRUE(end.revents & POLLHUP);
	peer_reconnect(peer);
	EXPECT_EQ(1, peer_log_count(peer, "what it was sent was not read in 0.3 s"));
	EXPECT_EQ(1, peer_log_count(peer, "connection closed"));
	peer_stop(peer);
}

/* ---- what is ---- */

/* ThreadSanitizer has a thread of its own that wakes up by itself. */
static bool has_other_threads(void)
{
	const char *san = getenv("SAN");

	return san && !strcmp(san, "thread");
}

/* How often the server's threads have gone to sleep. */
static unsigned long count_sleeps(const struct peer *peer)
{
	unsigned long all = 0;
	const struct dirent *entry;
	char path[300], line[128];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", peer->pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		unsigned long nr;
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%d/task/%s/status", peer->pid, entry->d_name);
		file = *entry->d_name == '.' ? NULL : fopen(path, "re");
		while (file && fgets(line, sizeof(line), file))
			if (sscanf(line, "voluntary_ctxt_switches: %lu", &nr) == 1)
				all += nr;
		if (file)
			fclose(file);
	}
	closedir(dir);
	return all;
}

TEST(a_client_that_owes_nothing_may_be_silent_and_wakes_nobody)
{
	struct peer *peer = open_with("--client-timeout=0.05", "testdev", 0);
	struct pollfd end = { .fd = peer->fd, .events = POLLIN };
	unsigned long before;

	EXPECT_EQ(0, poll(&end, 1, 100)); /* until it sleeps */
	before = count_sleeps(peer);
	EXPECT_EQ(0, poll(&end, 1, 400));
	if (!has_other_threads())
		EXPECT_EQ(before, count_sleeps(peer));
	EXPECT_EQ(TESTDEV_MAGIC, peer_read(peer, FP_BAR2, 0, 4));
	peer_stop(peer);
}

TEST(a_client_that_has_paid_wakes_nobody_any_more)
{
	struct peer *peer = open_with("--client-timeout=0.1", "testdev", 0);
	struct pollfd end = { .fd = peer->fd, .events = POLLIN };
	uint8_t message[64];
	size_t len = peer_message(message, 1, WIRE_DEVICE_GET_INFO, &ask_info, sizeof(ask_info));
	unsigned long before;

	peer_send(peer, message, 1, NULL, 0);
	peer_drain(peer);
	peer_send(peer, message + 1, len - 1, NULL, 0);
	EXPECT_EQ(0, peer_answer(peer, 1, WIRE_DEVICE_GET_INFO));
	EXPECT_EQ(0, poll(&end, 1, 100));
	before = count_sleeps(peer);
	EXPECT_EQ(0, poll(&end, 1, 300));
	if (!has_other_threads())
		EXPECT_EQ(before, count_sleeps(peer));
	peer_stop(peer);
}

TEST(a_client_that_waits_for_its_device_is_waited_for)
{
	struct peer *peer =
		open_with("--client-timeout=0.05", "debtor", PEER_LISTEN | PEER_OWN_CLASSES);

	ASSERT_EQ(0, peer_write(peer, FP_BAR0, LATER, 400, 8));
	EXPECT_EQ(0x1a7e, peer_read(peer, FP_BAR0, LATER, 8));
	EXPECT_EQ(0, peer_log_count(peer, "connection closed"));
	peer_stop(peer);
}

TEST(with_a_timeout_of_0_a_client_is_waited_for_for_ever)
{
	struct peer *peer;
	struct pollfd end;

	peer_set_option("--client-timeout=0");
	peer = peer_start("testdev", PEER_LISTEN);
	peer_send(peer, "\1", 1, NULL, 0);
	peer_disconnect(peer);
	peer->fd = peer_connect(peer);
	end = (struct pollfd){ .fd = peer->fd, .events = POLLIN };
	EXPECT_EQ(0, poll(&end, 1, 200));
	EXPECT_EQ(0, peer_version(peer, PEER_JSON));
	peer_stop(peer);
}

TEST_HARNESS_MAIN
