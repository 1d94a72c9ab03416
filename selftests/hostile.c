// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whatever a client sends, the server answers or closes, others are served meanwhile, and nothing
 * of it stays.
 *
 * FASTPATH_HOSTILE_CONNECTIONS=10000 makes it send more nonsense than by default, and
 * FASTPATH_HOSTILE_SEED=N other nonsense.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fastpath.h"
#include "kselftest_harness.h"
#include "lib/peer.h"
#include "lib/peer_feature.h"
#include "testdev.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define MIB 1048576u
#define TOP UINT64_MAX
#define HALF (1ull << 63)

/* What the server may have more of after all that, bytes. A sanitizer keeps what is freed. */
static size_t leeway(void)
{
	const char *san = getenv("SAN");

	return san && *san ? 512 * MIB : 8 * MIB;
}

static bool is_alive(struct peer *peer)
{
	return peer_read(peer, FP_BAR2, 0, 4) == TESTDEV_MAGIC;
}

/* ---- a good message of each command ---- */

/* Fields are named by where they are, so the bodies are as the specification lays them out. */
static const struct wire_dma_map good_map = {
	.argsz = sizeof(good_map),
	.flags = WIRE_DMA_READABLE | WIRE_DMA_WRITEABLE,
	.address = 0x1000,
	.size = 0x1000,
};
static const struct wire_dma_unmap good_unmap = {
	.argsz = sizeof(good_unmap),
	.flags = WIRE_DMA_UNMAP_ALL,
};
static const struct wire_device_info good_info = { .argsz = sizeof(good_info) };
static const struct wire_region_info good_region = { .argsz = sizeof(good_region), .index = 2 };
static const struct wire_region_io_fds good_io_fds = { .argsz = 16, .index = FP_BAR2 };
static const struct wire_irq_info good_irq = { .argsz = sizeof(good_irq) };
static const struct wire_irq_set good_set = {
	.argsz = sizeof(good_set),
	.flags = WIRE_IRQ_DATA_NONE | WIRE_IRQ_ACTION_TRIGGER,
	.index = FP_MSIX,
	.count = 1,
};
static const struct wire_region_access good_read = { 0, FP_BAR2, 4 };
static const struct {
	struct wire_region_access access;
	uint32_t data;
} __attribute__((packed)) good_write = { { TESTDEV_SCRATCH, FP_BAR2, 4 }, 7 };
static const struct {
	uint64_t nr;
	struct wire_region_write_multi write;
} __attribute__((packed)) good_multi = { 1, { TESTDEV_SCRATCH, FP_BAR2, 4, 7 } };
static const struct {
	struct wire_device_feature head;
	struct wire_dma_logging start;
} __attribute__((packed))
good_log = { { sizeof(good_log), WIRE_FEATURE_DMA_LOGGING_START | WIRE_FEATURE_SET },
	     { 4096, 0, 0 } };
static const struct {
	struct wire_device_feature head;
	struct wire_dma_report report;
} __attribute__((packed))
good_report = { { 4096, WIRE_FEATURE_DMA_LOGGING_REPORT | WIRE_FEATURE_GET }, { 0, 4096, 4096 } };
static const struct {
	struct wire_device_feature head;
	struct wire_mig_device_state state;
} __attribute__((packed))
good_state = { { sizeof(good_state), WIRE_FEATURE_MIG_DEVICE_STATE | WIRE_FEATURE_SET },
	       { WIRE_MIG_RUNNING, 0 } };
static const struct wire_mig_data good_take = { 4096, 100 };
static const struct {
	struct wire_mig_data head;
	uint8_t data[4];
} __attribute__((packed)) good_give = { { 12, 4 }, { 0 } };

#define BODY(body) &(body), sizeof(body)

/* ---- every field at its edges ---- */

/*
 * Values that a field may have, in a message that is good otherwise, and that it must not have.
 * Neither list holds a value that depends on more than the field.
 */
static const struct field {
	uint16_t cmd;
	const void *body;
	size_t len;
	const char *name;
	size_t offset;
	size_t width;
	uint64_t good[6];
	size_t nr_good;
	uint64_t bad[8];
	size_t nr_bad;
} fields[] = {
#define VALUES(...) { __VA_ARGS__ }, sizeof((uint64_t[]){ __VA_ARGS__ }) / 8
#define NONE { 0 }, 0
	{ WIRE_DMA_MAP, BODY(good_map), "argsz", 0, 4, VALUES(32, UINT32_MAX), VALUES(0, 31) },
	{ WIRE_DMA_MAP, BODY(good_map), "flags", 4, 4, VALUES(0, 3),
	  VALUES(4, 8, 0x10, UINT32_MAX) },
	{ WIRE_DMA_MAP, BODY(good_map), "offset", 8, 8, VALUES(0, INT64_MAX - 0x1000),
	  VALUES(INT64_MAX - 0xfff, HALF, TOP) },
	{ WIRE_DMA_MAP, BODY(good_map), "address", 16, 8, VALUES(0, TOP - 0xfff),
	  VALUES(1, 0xfff, TOP - 0xffe, TOP) },
	{ WIRE_DMA_MAP, BODY(good_map), "size", 24, 8, VALUES(0x1000, HALF - 0x1000),
	  VALUES(0, 1, 0xfff, HALF - 1, HALF, TOP - 0xfff, TOP) },
	{ WIRE_DMA_UNMAP, BODY(good_unmap), "argsz", 0, 4, VALUES(24, UINT32_MAX), VALUES(0, 23) },
	{ WIRE_DMA_UNMAP, BODY(good_unmap), "flags", 4, 4, VALUES(2),
	  VALUES(0, 1, 3, 4, UINT32_MAX) },
	{ WIRE_DMA_UNMAP, BODY(good_unmap), "address", 8, 8, VALUES(0), VALUES(1, HALF, TOP) },
	{ WIRE_DMA_UNMAP, BODY(good_unmap), "size", 16, 8, VALUES(0), VALUES(1, HALF, TOP) },
	{ WIRE_DEVICE_GET_INFO, BODY(good_info), "argsz", 0, 4, VALUES(16, UINT32_MAX),
	  VALUES(0, 15) },
	{ WIRE_DEVICE_GET_REGION_INFO, BODY(good_region), "argsz", 0, 4, VALUES(32, UINT32_MAX),
	  VALUES(0, 31) },
	{ WIRE_DEVICE_GET_REGION_INFO, BODY(good_region), "index", 8, 4, VALUES(0, 8),
	  VALUES(9, UINT32_MAX) },
	{ WIRE_DEVICE_GET_REGION_IO_FDS, BODY(good_io_fds), "argsz", 0, 4, VALUES(16),
	  VALUES(0, 15) },
	{ WIRE_DEVICE_GET_REGION_IO_FDS, BODY(good_io_fds), "flags", 4, 4, VALUES(0),
	  VALUES(1, UINT32_MAX) },
	{ WIRE_DEVICE_GET_REGION_IO_FDS, BODY(good_io_fds), "index", 8, 4, VALUES(0, 8),
	  VALUES(9, UINT32_MAX) },
	{ WIRE_DEVICE_GET_REGION_IO_FDS, BODY(good_io_fds), "count", 12, 4, VALUES(0),
	  VALUES(1, UINT32_MAX) },
	{ WIRE_DEVICE_GET_IRQ_INFO, BODY(good_irq), "argsz", 0, 4, VALUES(16, UINT32_MAX),
	  VALUES(0, 15) },
	{ WIRE_DEVICE_GET_IRQ_INFO, BODY(good_irq), "index", 8, 4, VALUES(0, 4),
	  VALUES(5, UINT32_MAX) },
	{ WIRE_DEVICE_SET_IRQS, BODY(good_set), "argsz", 0, 4, VALUES(20, UINT32_MAX),
	  VALUES(0, 19) },
	{ WIRE_DEVICE_SET_IRQS, BODY(good_set), "flags", 4, 4, VALUES(0x21, 0x9, 0x11),
	  VALUES(0, 0x20, 0x22, 0x29, 0x40, 0x61, UINT32_MAX) },
	{ WIRE_DEVICE_SET_IRQS, BODY(good_set), "index", 8, 4, VALUES(0, 2),
	  VALUES(5, UINT32_MAX) },
	{ WIRE_DEVICE_SET_IRQS, BODY(good_set), "start", 12, 4, VALUES(0, 3),
	  VALUES(4, UINT32_MAX) },
	{ WIRE_DEVICE_SET_IRQS, BODY(good_set), "count", 16, 4, VALUES(0, 4),
	  VALUES(5, UINT32_MAX) },
	{ WIRE_REGION_READ, BODY(good_read), "offset", 0, 8, VALUES(0, 0xffc),
	  VALUES(0xffd, 0x1000, HALF, TOP - 3, TOP) },
	{ WIRE_REGION_READ, BODY(good_read), "region", 8, 4, VALUES(0, 7),
	  VALUES(5, 9, UINT32_MAX) },
	{ WIRE_REGION_READ, BODY(good_read), "count", 12, 4, VALUES(1, 0x1000),
	  VALUES(0, 0x1001, MIB, MIB + 1, UINT32_MAX) },
	{ WIRE_REGION_WRITE, BODY(good_write), "offset", 0, 8, VALUES(TESTDEV_SCRATCH, 0xffc),
	  VALUES(0xffd, 0x1000, HALF, TOP - 3, TOP) },
	{ WIRE_REGION_WRITE, BODY(good_write), "region", 8, 4, VALUES(2),
	  VALUES(5, 9, UINT32_MAX) },
	{ WIRE_REGION_WRITE, BODY(good_write), "count", 12, 4, VALUES(4),
	  VALUES(0, 3, 5, MIB + 1, UINT32_MAX) },
	{ WIRE_REGION_WRITE_MULTI, BODY(good_multi), "wr_cnt", 0, 8, VALUES(1),
	  VALUES(0, 2, 0x0aaaaaaaaaaaaaabull, HALF + 1, TOP) },
	/* What is wrong with a write is told by how many were done. */
	{ WIRE_REGION_WRITE_MULTI, BODY(good_multi), "offset", 8, 8,
	  VALUES(0xffd, 0x1000, HALF, TOP), NONE },
	{ WIRE_REGION_WRITE_MULTI, BODY(good_multi), "region", 16, 4, VALUES(9, UINT32_MAX), NONE },
	{ WIRE_REGION_WRITE_MULTI, BODY(good_multi), "count", 20, 4, VALUES(0, 9, UINT32_MAX),
	  NONE },
	{ WIRE_DEVICE_FEATURE, BODY(good_log), "argsz", 0, 4, VALUES(24, UINT32_MAX),
	  VALUES(0, 7, 23) },
	{ WIRE_DEVICE_FEATURE, BODY(good_log), "flags", 4, 4, VALUES(0x20006),
	  VALUES(6, 0, 0x20000, 0x20009, 0x2ffff, 0x30006, 0x80006, UINT32_MAX) },
	{ WIRE_DEVICE_FEATURE, BODY(good_log), "page_size", 8, 8, VALUES(1, HALF),
	  VALUES(0, 3, HALF + 1, TOP) },
	{ WIRE_DEVICE_FEATURE, BODY(good_log), "num_ranges", 16, 4, VALUES(0),
	  VALUES(1, 0x10000000, UINT32_MAX) },
	{ WIRE_DEVICE_FEATURE, BODY(good_report), "iova", 8, 8, NONE, VALUES(1, TOP) },
	{ WIRE_DEVICE_FEATURE, BODY(good_report), "length", 16, 8, NONE, VALUES(0, 1, HALF, TOP) },
	{ WIRE_DEVICE_FEATURE, BODY(good_report), "page_size", 24, 8, NONE, VALUES(0, 3, TOP) },
	{ WIRE_DEVICE_FEATURE, BODY(good_state), "device_state", 8, 4,
	  VALUES(WIRE_MIG_STOP, WIRE_MIG_RUNNING),
	  VALUES(0, 5, WIRE_MIG_END, 0x80000002, UINT32_MAX) },
	{ WIRE_MIG_DATA_READ, BODY(good_take), "argsz", 0, 4, NONE, VALUES(0, 7, 8, UINT32_MAX) },
	{ WIRE_MIG_DATA_READ, BODY(good_take), "size", 4, 4, NONE,
	  VALUES(0, MIB, MIB + 1, UINT32_MAX) },
	{ WIRE_MIG_DATA_WRITE, BODY(good_give), "argsz", 0, 4, NONE, VALUES(0, 7, UINT32_MAX) },
	{ WIRE_MIG_DATA_WRITE, BODY(good_give), "size", 4, 4, NONE,
	  VALUES(0, 3, 5, MIB + 1, UINT32_MAX) },
};

/* What a good one has set up is undone, so that the next is good again. */
static bool undo(struct peer *peer)
{
	uint8_t stop[FEATURE_HEAD] = { 0 };
	struct wire_irq_set none = {
		.argsz = sizeof(none),
		.flags = WIRE_IRQ_DATA_NONE | WIRE_IRQ_ACTION_UNMASK,
		.index = FP_MSIX,
		.count = TESTDEV_VECTORS,
	};

	return !peer_call(peer, WIRE_DMA_UNMAP, BODY(good_unmap)) &&
	       !peer_feature_set(peer, WIRE_FEATURE_DMA_LOGGING_STOP, stop, 0) &&
	       !peer_call(peer, WIRE_DEVICE_SET_IRQS, BODY(none)) &&
	       !peer_mig_go(peer, WIRE_MIG_RUNNING);
}

static int send_with(struct peer *peer, const struct field *field, uint64_t value, size_t len)
{
	uint8_t body[64] = { 0 };

	memcpy(body, field->body, field->len);
	memcpy(body + field->offset, &value, field->width);
	return peer_call(peer, field->cmd, body, len);
}

TEST(every_field_at_its_edges_is_taken_or_refused_and_others_are_served)
{
	struct peer *peer = peer_open("testdev", PEER_LISTEN | PEER_TWO);
	struct peer *other = peer_other(peer);
	unsigned int before = peer_count_fds(peer);
	size_t resident = peer_resident(peer);

	for (const struct field *field = fields; field < fields + COUNT(fields); field++) {
		for (size_t i = 0; i < field->nr_good; i++) {
			EXPECT_EQ(0, send_with(peer, field, field->good[i], field->len))
			{
				TH_LOG("%s: %s %#llx", wire_cmd_name(field->cmd), field->name,
				       (unsigned long long)field->good[i]);
			}
			ASSERT_TRUE(is_alive(other));
			ASSERT_TRUE(undo(peer));
		}
		for (size_t i = 0; i < field->nr_bad; i++) {
			EXPECT_NE(0, send_with(peer, field, field->bad[i], field->len))
			{
				TH_LOG("%s: %s %#llx", wire_cmd_name(field->cmd), field->name,
				       (unsigned long long)field->bad[i]);
			}
			ASSERT_TRUE(is_alive(other));
			ASSERT_TRUE(is_alive(peer));
		}
	}
	EXPECT_EQ(before, peer_count_fds(peer));
	EXPECT_GT(resident + leeway(), peer_resident(peer));
	EXPECT_EQ(0, peer_log_count(peer, "connection closed"));
	peer_stop(other);
	peer_stop(peer);
}

TEST(a_message_a_byte_shorter_or_longer_is_answered_and_the_stream_goes_on)
{
	struct peer *peer = peer_open("testdev", PEER_LISTEN | PEER_TWO);
	struct peer *other = peer_other(peer);
	uint16_t cmd = 0;

	for (const struct field *field = fields; field < fields + COUNT(fields); field++) {
		uint64_t same = 0;

		if (field->cmd == cmd && field->cmd != WIRE_DEVICE_FEATURE)
			continue;
		cmd = field->cmd;
		memcpy(&same, (const uint8_t *)field->body + field->offset, field->width);
		EXPECT_NE(0, send_with(peer, field, same, field->len - 1));
		send_with(peer, field, same, field->len + 1);
		ASSERT_TRUE(undo(peer));
		ASSERT_TRUE(is_alive(peer));
		ASSERT_TRUE(is_alive(other));
	}
	peer_stop(other);
	peer_stop(peer);
}

TEST(a_refusal_is_one_line_with_the_field_and_what_it_said)
{
	static const struct {
		uint16_t cmd;
		const void *body;
		size_t len;
		size_t offset, width;
		uint64_t value;
		const char *line;
	} rows[] = {
		{ WIRE_DMA_MAP, BODY(good_map), 24, 8, 0,
		  "DMA_MAP (2) refused: size 0: Invalid argument" },
		{ WIRE_DMA_MAP, BODY(good_map), 16, 8, TOP,
		  "DMA_MAP (2) refused: address 0xffffffffffffffff: Invalid argument" },
		{ WIRE_DMA_MAP, BODY(good_map), 4, 4, 0x10,
		  "DMA_MAP (2) refused: flags 16: Invalid argument" },
		{ WIRE_DMA_UNMAP, BODY(good_unmap), 0, 4, 23,
		  "DMA_UNMAP (3) refused: argsz 23: Invalid argument" },
		{ WIRE_DEVICE_GET_REGION_INFO, BODY(good_region), 8, 4, 77,
		  "DEVICE_GET_REGION_INFO (5) refused: index 77: Invalid argument" },
		{ WIRE_DEVICE_GET_REGION_INFO, BODY(good_region) - 1, 8, 4, 2,
		  "DEVICE_GET_REGION_INFO (5) refused: msg_size 47: Invalid argument" },
		{ WIRE_DEVICE_SET_IRQS, BODY(good_set), 12, 4, 5,
		  "DEVICE_SET_IRQS (8) refused: start 5: Invalid argument" },
		{ WIRE_REGION_READ, BODY(good_read), 8, 4, 77,
		  "REGION_READ (9) refused: region 77: Invalid argument" },
		{ WIRE_REGION_READ, BODY(good_read), 0, 8, 0x100000,
		  "REGION_READ (9) refused: offset 0x100000: Invalid argument" },
		{ WIRE_REGION_WRITE, BODY(good_write), 12, 4, 5,
		  "REGION_WRITE (10) refused: count 5: Invalid argument" },
		{ WIRE_REGION_WRITE_MULTI, BODY(good_multi), 0, 8, 2,
		  "REGION_WRITE_MULTI (15) refused: wr_cnt 2: Invalid argument" },
		{ WIRE_DEVICE_FEATURE, BODY(good_log), 8, 8, 3,
		  "DEVICE_FEATURE (16) refused: page_size 3: Invalid argument" },
		{ WIRE_DEVICE_FEATURE, BODY(good_log), 4, 4, 0x20009,
		  "DEVICE_FEATURE (16) refused: feature 9: Operation not supported" },
		{ WIRE_MIG_DATA_WRITE, BODY(good_give), 4, 4, 5,
		  "MIG_DATA_WRITE (18) refused: size 5: Invalid argument" },
	};
	struct peer *peer = peer_open("testdev", 0);

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct field field = { .cmd = rows[i].cmd,
				       .body = rows[i].body,
				       .len = rows[i].len,
				       .offset = rows[i].offset,
				       .width = rows[i].width };

		EXPECT_NE(0, send_with(peer, &field, rows[i].value, rows[i].len));
		EXPECT_EQ(1, peer_log_count(peer, rows[i].line))
		{
			TH_LOG("%s, in: %s", rows[i].line, peer_log(peer));
		}
		EXPECT_EQ(i + 1, peer_log_count(peer, "\n"));
	}
	peer_stop(peer);
}

TEST(a_capability_that_is_refused_is_logged_with_what_it_said)
{
	static const char *const rows[][2] = {
		{ "{\"capabilities\":{\"max_msg_fds\": -1}}", "max_msg_fds -1: Invalid" },
		{ "{\"capabilities\":{\"pgsizes\":\"4k\",\"max_msg_fds\":1}}",
		  "pgsizes \"4k\": Inv" },
		{ "{\"capabilities\":{\"write_multiple\":2}}", "write_multiple 2: Invalid" },
		{ "{\"capabilities\":{\"max_data_xfer_size\":0}}",
		  "max_data_xfer_size 0: Invalid" },
		{ "no object", "refused: " },
	};
	struct peer *peer = peer_start("testdev", 0);

	for (size_t i = 0; i < COUNT(rows); i++) {
		EXPECT_EQ(EINVAL, peer_version(peer, rows[i][0]));
		EXPECT_EQ(1 + i, peer_log_count(peer, "VERSION (1) refused: "));
		EXPECT_LE(1, peer_log_count(peer, rows[i][1]))
		{
			TH_LOG("%s, in: %s", rows[i][1], peer_log(peer));
		}
	}
	EXPECT_EQ(0, peer_version(peer, PEER_JSON));
	peer_stop(peer);
}

/* ---- where a server is known to have broken; the other rows are tests of their concern ---- */

TEST(dirty_pages_can_be_logged_where_no_memory_is_mapped)
{
	struct peer *peer = peer_open("testdev", 0);

	ASSERT_EQ(0, peer_call(peer, WIRE_DEVICE_FEATURE, BODY(good_log)));
	ASSERT_EQ(0, peer_call(peer, WIRE_DEVICE_FEATURE, BODY(good_report)));
	EXPECT_EQ(FEATURE_HEAD + sizeof(struct wire_dma_report) + 8, peer->reply.len);
	EXPECT_TRUE(is_alive(peer));
	peer_stop(peer);
}

TEST(a_large_region_logged_at_one_page_size_is_reported_at_a_smaller_one)
{
	struct peer *peer = peer_open("testdev", 0);
	struct {
		struct wire_device_feature head;
		struct wire_dma_report report;
	} __attribute__((packed)) ask = {
		{ 2 * MIB, WIRE_FEATURE_DMA_LOGGING_REPORT | WIRE_FEATURE_GET },
		{ 0, 0, 0 },
	};

	ASSERT_EQ(0, peer_call(peer, WIRE_DEVICE_FEATURE, BODY(good_log)));
	/* The most that one reply has room for, and then all there is. */
	for (unsigned int shift = 0; shift < 63; shift++) {
		ask.report.page_size = 1ull << shift;
		ask.report.length = shift + 23 < 64 ? 8388608ull << shift : HALF;
		if (shift + 23 == 64)
			ask.report.length = HALF;
		ASSERT_EQ(0, peer_call(peer, WIRE_DEVICE_FEATURE, BODY(ask)));
	}
	EXPECT_TRUE(is_alive(peer));
	peer_stop(peer);
}

/* ---- nonsense ---- */

static unsigned int number_of(const char *name, unsigned int otherwise)
{
	const char *text = getenv(name);

	return text ? (unsigned int)strtoul(text, NULL, 0) : otherwise;
}

static void scribble(uint8_t *at, size_t len, unsigned int *seed)
{
	for (size_t i = 0; i < len; i++)
		at[i] = (uint8_t)(rand_r(seed) >> 8);
}

/* Messages with a header that holds, and a body that mostly does not. */
static size_t babble(uint8_t *at, size_t room, unsigned int *seed)
{
	size_t len = 0;

	while (room - len > 256) {
		size_t body = (size_t)rand_r(seed) % 64;
		struct wire_header hdr = {
			.msg_id = (uint16_t)rand_r(seed),
			.cmd = (uint16_t)(rand_r(seed) % (WIRE_CMD_END + 2)),
			.msg_size = (uint32_t)(sizeof(hdr) + body),
			.flags = rand_r(seed) % 4 ? 0 : (uint32_t)rand_r(seed) % 64,
		};
		uint32_t word = (uint32_t)rand_r(seed) % 64;

		memcpy(at + len, &hdr, sizeof(hdr));
		scribble(at + len + sizeof(hdr), body, seed);
		/* Small numbers get further than large ones. */
		for (size_t i = 0; i + 4 <= body; i += 4)
			if (rand_r(seed) % 3)
				memcpy(at + len + sizeof(hdr) + i, &word, sizeof(word));
		len += hdr.msg_size;
	}
	return len;
}

/* Sends it, with fds sometimes, as far as the server takes it at once. */
static void throw_at(int fd, const uint8_t *bytes, size_t len, const int *fds, unsigned int nr)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(4 * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (void *)bytes, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nr) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(nr * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(nr * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, nr * sizeof(int));
	}
	if (sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return; /* closed already, or full: that is fine */
}

/* Says no more, and hears the server out: it has looked at everything then. */
static bool is_left(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	static uint8_t bytes[65536];

	shutdown(fd, SHUT_WR);
	while (poll(&poll_fd, 1, PEER_DEADLINE_MS) == 1)
		if (recv(fd, bytes, sizeof(bytes), 0) <= 0)
			return true;
	return false;
}

TEST(connections_of_nonsense_leave_nothing_and_others_are_served)
{
	unsigned int nr = number_of("FASTPATH_HOSTILE_CONNECTIONS", 2000);
	unsigned int seed = number_of("FASTPATH_HOSTILE_SEED", 1);
	struct peer *peer = peer_open("testdev", PEER_LISTEN | PEER_TWO);
	struct peer *other = peer_other(peer);
	unsigned int before = peer_count_fds(peer);
	int fds[4] = { eventfd(0, EFD_CLOEXEC), memfd_create("window", MFD_CLOEXEC),
		       open("/dev/null", O_RDWR | O_CLOEXEC), eventfd(0, EFD_CLOEXEC) };
	size_t resident = 0;
	static uint8_t bytes[4096];

	ASSERT_EQ(0, ftruncate(fds[1], 65536));
	for (unsigned int i = 0; i < nr; i++) {
		size_t len = (size_t)rand_r(&seed) % sizeof(bytes);

		if (i % 4 == 3) { /* from the first byte on */
			peer_disconnect(peer);
			peer->fd = peer_connect(peer);
		} else {
			peer_reconnect(peer);
		}
		if (i % 4 == 0)
			scribble(bytes, len, &seed);
		else
			len = babble(bytes, sizeof(bytes), &seed);
		throw_at(peer->fd, bytes, len, fds, (unsigned int)rand_r(&seed) % 5);
		ASSERT_TRUE(is_left(peer->fd));
		if (i % 8 == 0)
			ASSERT_TRUE(is_alive(other));
		if (i == nr / 4)
			resident = peer_resident(peer);
	}
	peer_reconnect(peer);
	EXPECT_TRUE(is_alive(other));
	EXPECT_EQ(before, peer_await_fds(peer, before));
	EXPECT_GT(resident + leeway(), peer_resident(peer));
	/* It may have been told to stand still. */
	if (!peer_call(peer, WIRE_DEVICE_RESET, NULL, 0))
		EXPECT_TRUE(is_alive(peer));
	for (unsigned int i = 0; i < COUNT(fds); i++)
		close(fds[i]);
	peer_stop(other);
	peer_stop(peer);
}

TEST_HARNESS_MAIN
