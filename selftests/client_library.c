/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The client library against servers that do what a test wrote down: what it makes of good answers,
 * bad ones and none. (The harness that this is written with is GPL-2.0.)
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "capture.h"
#include "fastpath-client.h"
#include "kselftest_harness.h"
#include "log.h"
#include "script.h"

#define RW (WIRE_DMA_READABLE | WIRE_DMA_WRITEABLE)
#define TIMEOUT_MS 5000

/* A script, and a client that is connected to it. */
FIXTURE(client_library) {
	struct script script;
	struct fpc *client;
};

FIXTURE_SETUP(client_library)
{
	log_set_level(LOG_ERROR);
	self->client = NULL;
}

FIXTURE_TEARDOWN(client_library)
{
	fpc_close(self->client);
}

static int connect_flags(struct script *script, script_fn *fn, unsigned int timeout_ms,
			 unsigned int flags, struct fpc **client)
{
	const struct fpc_options options = { .timeout_ms = timeout_ms, .flags = flags };

	script_start(script, fn);
	return fpc_open(script->fd, &options, client);
}

#define CONNECT(fn) ASSERT_EQ(0, connect_flags(&self->script, fn, TIMEOUT_MS, 0, &self->client))

/* The client leaves, and the script has found everything as it expected. */
#define END()                                            \
	do {                                             \
		fpc_close(self->client);                 \
		self->client = NULL;                     \
		EXPECT_EQ(0, script_end(&self->script)); \
	} while (0)

/* ---- asynchronous calls ---- */

#define MAX_DONE 2048

/* What callbacks were told, in this order. */
struct heard {
	struct fpc *client;
	unsigned int nr;
	ssize_t results[MAX_DONE];
	const void *bodies[MAX_DONE];
	int nested; /* what a call from within gave */
};

/* One call of several. */
struct expected {
	struct heard *heard;
	unsigned int order; /* in which it was told */
	uint32_t value;
};

static void hear(void *opaque, ssize_t result, const void *body)
{
	struct heard *heard = opaque;

	heard->bodies[heard->nr] = body;
	heard->results[heard->nr++] = result;
}

static void hear_order(void *opaque, ssize_t result, const void *body)
{
	struct expected *expected = opaque;

	expected->order = expected->heard->nr;
	hear(expected->heard, result, body);
}

static int turn_until_quiet(struct fpc *client)
{
	int ret = 0;

	while (!ret && fpc_in_flight(client))
		ret = fpc_turn(client, TIMEOUT_MS);
	return ret;
}

/* The reply to a REGION_READ of 4 bytes. */
static void reply_read(int fd, const struct script_msg *msg, uint32_t value)
{
	struct {
		struct wire_region_access access;
		uint32_t value;
	} WIRE_PACKED reply;

	memcpy(&reply.access, msg->body, sizeof(reply.access));
	reply.value = value;
	script_reply(fd, msg, &reply, sizeof(reply));
}

static uint64_t read_offset(const struct script_msg *msg)
{
	struct wire_region_access access;

	memcpy(&access, msg->body, sizeof(access));
	return access.offset;
}

static void backwards(int fd)
{
	struct script_msg *msgs[3];

	script_version(fd, NULL);
	for (int i = 0; i < 3; i++)
		msgs[i] = script_expect(fd, WIRE_REGION_READ);
	for (int i = 2; i >= 0; i--)
		reply_read(fd, msgs[i], 100 + (uint32_t)read_offset(msgs[i]));
	script_await_end(fd);
}

TEST_F(client_library, submitted_calls_may_be_answered_in_any_order)
{
	struct heard heard = { 0 };
	struct expected calls[3] = { 0 };

	CONNECT(backwards);
	for (uint32_t i = 0; i < 3; i++) {
		calls[i].heard = &heard;
		ASSERT_EQ(0, fpc_submit_read(self->client, 2, 4 * i, &calls[i].value, 4, hear_order,
					     &calls[i]));
	}
	EXPECT_EQ(3, fpc_in_flight(self->client));
	ASSERT_EQ(0, turn_until_quiet(self->client));
	for (uint32_t i = 0; i < 3; i++) {
		EXPECT_EQ(2 - i, calls[i].order);
		EXPECT_EQ(100 + 4 * i, calls[i].value);
		EXPECT_EQ(0, heard.results[i]);
	}
	END();
}

static void echo_reads(int fd)
{
	script_version(fd, NULL);
	for (;;) {
		const struct script_msg *msg = script_expect(fd, WIRE_REGION_READ);

		reply_read(fd, msg, (uint32_t)read_offset(msg));
	}
}

TEST_F(client_library, two_thousand_calls_may_be_in_flight)
{
	static struct expected calls[MAX_DONE];
	static struct heard heard;

	CONNECT(echo_reads);
	for (uint32_t i = 0; i < MAX_DONE; i++) {
		calls[i].heard = &heard;
		ASSERT_EQ(0, fpc_submit_read(self->client, 0, i, &calls[i].value, 4, hear_order,
					     &calls[i]));
	}
	ASSERT_EQ(0, turn_until_quiet(self->client));
	EXPECT_EQ(MAX_DONE, heard.nr);
	for (uint32_t i = 0; i < MAX_DONE; i++) {
		ASSERT_EQ(i, calls[i].value);
		ASSERT_EQ(0, heard.results[i]);
	}
	END();
}

static void nest(void *opaque, ssize_t result, const void *body)
{
	struct heard *heard = opaque;
	static uint32_t value;

	hear(heard, result, body);
	heard->nested = fpc_region_read(heard->client, 0, 0, &value, sizeof(value));
	if (heard->nr == 1)
		fpc_submit_read(heard->client, 0, 0, &value, sizeof(value), nest, heard);
}

TEST_F(client_library, a_callback_may_submit_but_not_wait)
{
	struct heard heard = { 0 };
	uint32_t value;

	CONNECT(echo_reads);
	heard.client = self->client;
	ASSERT_EQ(0, fpc_submit_read(self->client, 0, 0, &value, 4, nest, &heard));
	ASSERT_EQ(0, turn_until_quiet(self->client));
	EXPECT_EQ(2, heard.nr);
	EXPECT_EQ(-EDEADLK, heard.nested);
	END();
}

TEST_F(client_library, waiting_calls_and_submitted_ones_mix)
{
	struct heard heard = { 0 };
	uint32_t value, other;

	CONNECT(echo_reads);
	ASSERT_EQ(0, fpc_submit_read(self->client, 0, 7, &value, 4, hear, &heard));
	ASSERT_EQ(0, fpc_region_read(self->client, 0, 9, &other, 4));
	EXPECT_EQ(9, other);
	EXPECT_EQ(1, heard.nr);
	EXPECT_EQ(7, value);
	END();
}

TEST_F(client_library, its_fd_is_readable_when_there_is_something_to_do)
{
	struct heard heard = { 0 };
	struct pollfd ready;
	uint32_t value;

	CONNECT(echo_reads);
	ready = (struct pollfd){ .fd = fpc_fd(self->client), .events = POLLIN };
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, fpc_submit_read(self->client, 0, 7, &value, 4, hear, &heard));
		while (fpc_in_flight(self->client)) {
			ASSERT_EQ(0, fpc_turn(self->client, 0));
			if (fpc_in_flight(self->client))
				ASSERT_EQ(1, poll(&ready, 1, TIMEOUT_MS));
		}
	}
	EXPECT_EQ(3, heard.nr);
	END();
}

static void answer_second(int fd)
{
	struct script_msg *msg;

	script_version(fd, NULL);
	script_expect(fd, WIRE_REGION_READ);
	msg = script_expect(fd, WIRE_REGION_READ);
	reply_read(fd, msg, 2);
	script_await_end(fd);
}

TEST_F(client_library, a_submitted_call_without_an_answer_times_out)
{
	struct heard heard = { 0 };
	struct pollfd ready;
	uint32_t value;

	ASSERT_EQ(0, connect_flags(&self->script, answer_second, 1000, 0, &self->client));
	ready = (struct pollfd){ .fd = fpc_fd(self->client), .events = POLLIN };
	ASSERT_EQ(0, fpc_submit_read(self->client, 0, 0, &value, 4, hear, &heard));
	ASSERT_EQ(0, fpc_submit_read(self->client, 0, 0, &value, 4, hear, &heard));
	while (fpc_turn(self->client, 0) == 0)
		ASSERT_EQ(1, poll(&ready, 1, TIMEOUT_MS));
	ASSERT_EQ(2, heard.nr);
	EXPECT_EQ(0, heard.results[0]);
	EXPECT_EQ(-ETIMEDOUT, heard.results[1]);
	EXPECT_EQ(-ECONNRESET, fpc_region_read(self->client, 0, 0, &value, 4));
	END();
}

static void leave_after_two(int fd)
{
	script_version(fd, NULL);
	script_expect(fd, WIRE_REGION_READ);
	script_expect(fd, WIRE_REGION_READ);
}

TEST_F(client_library, when_the_server_leaves_every_submitted_call_is_told)
{
	struct heard heard = { 0 };
	uint32_t value;

	CONNECT(leave_after_two);
	ASSERT_EQ(0, fpc_submit_read(self->client, 0, 0, &value, 4, hear, &heard));
	ASSERT_EQ(0, fpc_submit_read(self->client, 0, 0, &value, 4, hear, &heard));
	EXPECT_EQ(-ECONNRESET, turn_until_quiet(self->client));
	ASSERT_EQ(2, heard.nr);
	EXPECT_EQ(-ECONNRESET, heard.results[0]);
	EXPECT_EQ(-ECONNRESET, heard.results[1]);
	EXPECT_EQ(-ECONNRESET, fpc_submit_read(self->client, 0, 0, &value, 4, hear, &heard));
	END();
}

static void odd_answers(int fd)
{
	struct script_msg *msg, other;

	script_version(fd, NULL);
	msg = script_expect(fd, WIRE_REGION_READ);
	other = *msg;
	other.hdr.msg_id++;
	reply_read(fd, &other, 1); /* to nothing that was asked */
	reply_read(fd, msg, 2);
	reply_read(fd, msg, 3); /* once more */
	msg = script_expect(fd, WIRE_REGION_READ);
	script_reply(fd, msg, msg->body, sizeof(struct wire_region_access)); /* without data */
	msg = script_expect(fd, WIRE_REGION_READ);
	msg->hdr.cmd = WIRE_REGION_WRITE; /* to another command */
	reply_read(fd, msg, 4);
	msg = script_expect(fd, WIRE_REGION_READ);
	script_error(fd, msg, 0);
	script_await_end(fd);
}

TEST_F(client_library, answers_that_do_not_fit_are_not_taken_for_any)
{
	uint32_t value = 0;

	CONNECT(odd_answers);
	EXPECT_EQ(0, fpc_region_read(self->client, 0, 0, &value, 4));
	EXPECT_EQ(2, value);
	EXPECT_EQ(-EPROTO, fpc_region_read(self->client, 0, 0, &value, 4));
	EXPECT_EQ(-EPROTO, fpc_region_read(self->client, 0, 0, &value, 4));
	EXPECT_EQ(-EIO, fpc_region_read(self->client, 0, 0, &value, 4));
	END();
}

static void count_reads(int fd)
{
	static uint8_t reply[sizeof(struct wire_region_access) + 100];
	uint64_t offset = 1000;

	script_version(fd, "{\"capabilities\":{\"max_data_xfer_size\":100}}");
	for (uint32_t left = 250; left;) {
		const struct script_msg *msg = script_expect(fd, WIRE_REGION_READ);
		struct wire_region_access access;

		memcpy(&access, msg->body, sizeof(access));
		SCRIPT_CHECK(access.offset == offset && access.count == (left < 100 ? left : 100));
		memcpy(reply, &access, sizeof(access));
		memset(reply + sizeof(access), (int)left, access.count);
		script_reply(fd, msg, reply, sizeof(access) + access.count);
		offset += access.count;
		left -= access.count;
	}
	script_await_end(fd);
}

TEST_F(client_library, an_access_larger_than_the_server_takes_is_several)
{
	uint8_t data[250];

	CONNECT(count_reads);
	ASSERT_EQ(0, fpc_region_read(self->client, 0, 1000, data, sizeof(data)));
	EXPECT_EQ(250, data[0]);
	EXPECT_EQ(150, data[100]);
	EXPECT_EQ(50, data[249]);
	EXPECT_EQ(-E2BIG, fpc_submit_read(self->client, 0, 0, data, 101, hear, NULL));
	END();
}

/* ---- the server's accesses to memory ---- */

/* The reply to a command of the server's: its error, 0 for none. */
static uint32_t reply_to(int fd, uint16_t id, struct script_msg **out)
{
	struct script_msg *msg = script_receive(fd);

	SCRIPT_CHECK((msg->hdr.flags & WIRE_TYPE_MASK) == WIRE_TYPE_REPLY);
	SCRIPT_CHECK(msg->hdr.msg_id == id);
	SCRIPT_CHECK(!(msg->hdr.flags & WIRE_ERROR) || msg->len == 0);
	if (out)
		*out = msg;
	return msg->hdr.flags & WIRE_ERROR ? msg->hdr.error_no : 0;
}

static uint32_t dma_read(int fd, uint64_t address, uint64_t count, struct script_msg **out)
{
	const struct wire_dma_access access = { address, count };

	script_command(fd, 77, WIRE_DMA_READ, &access, sizeof(access));
	return reply_to(fd, 77, out);
}

static uint32_t dma_write(int fd, uint64_t address, const void *data, uint64_t count)
{
	uint8_t body[sizeof(struct wire_dma_access) + 16];
	const struct wire_dma_access access = { address, count };

	memcpy(body, &access, sizeof(access));
	memcpy(body + sizeof(access), data, count);
	/* The same id as the client's own call has: the two don't know of each other. */
	script_command(fd, 2, WIRE_DMA_WRITE, body, sizeof(access) + count);
	return reply_to(fd, 2, NULL);
}

static void accept_maps(int fd, unsigned int nr)
{
	while (nr--) {
		const struct script_msg *msg = script_expect(fd, WIRE_DMA_MAP);

		script_reply(fd, msg, NULL, 0);
	}
}

static void use_memory(int fd)
{
	struct script_msg *msg, *reply;

	script_version(fd, NULL);
	accept_maps(fd, 2);
	msg = script_expect(fd, WIRE_REGION_READ);
	SCRIPT_CHECK(dma_read(fd, 0x1002, 4, &reply) == 0);
	SCRIPT_CHECK(reply->len == 20 && !memcmp(reply->body + 16, "cdef", 4));
	SCRIPT_CHECK(dma_write(fd, 0x1000, "XY", 2) == 0);
	/* Beyond either end, across it, far away, around the end of all addresses. */
	SCRIPT_CHECK(dma_read(fd, 0xfff, 1, NULL) == EFAULT);
	SCRIPT_CHECK(dma_read(fd, 0xfff, 2, NULL) == EFAULT);
	SCRIPT_CHECK(dma_read(fd, 0x1007, 2, NULL) == EFAULT);
	SCRIPT_CHECK(dma_read(fd, 0x1008, 1, NULL) == EFAULT);
	SCRIPT_CHECK(dma_read(fd, UINT64_MAX, 4, NULL) == EFAULT);
	SCRIPT_CHECK(dma_read(fd, 0x1000, UINT64_MAX, NULL) == EINVAL);
	SCRIPT_CHECK(dma_read(fd, 0x1000, 0, NULL) == EINVAL);
	SCRIPT_CHECK(dma_write(fd, 0x2000, "Z", 1) == EACCES); /* which is only to be read */
	script_command(fd, 5, WIRE_DMA_READ, "short", 5);
	SCRIPT_CHECK(reply_to(fd, 5, NULL) == EINVAL);
	script_command(fd, 6, WIRE_VERSION, "", 0);
	SCRIPT_CHECK(reply_to(fd, 6, NULL) == EOPNOTSUPP);
	reply_read(fd, msg, 1);
	msg = script_expect(fd, WIRE_DMA_UNMAP);
	script_reply(fd, msg, msg->body, msg->len);
	msg = script_expect(fd, WIRE_REGION_READ);
	SCRIPT_CHECK(dma_read(fd, 0x1000, 1, NULL) == EFAULT);
	reply_read(fd, msg, 2);
	script_await_end(fd);
}

TEST_F(client_library, the_server_reads_and_writes_memory_within_the_windows_only)
{
	char memory[] = "abcdefgh";
	char rom[] = "rom";
	uint32_t value;

	CONNECT(use_memory);
	ASSERT_EQ(0, fpc_dma_map_memory(self->client, memory, 0x1000, 8, RW));
	ASSERT_EQ(0, fpc_dma_map_memory(self->client, rom, 0x2000, 3, WIRE_DMA_READABLE));
	EXPECT_EQ(0, fpc_region_read(self->client, 0, 0, &value, 4));
	EXPECT_STREQ("XYcdefgh", memory);
	EXPECT_STREQ("rom", rom);
	ASSERT_EQ(0, fpc_dma_unmap(self->client, 0x1000, 8));
	EXPECT_EQ(0, fpc_region_read(self->client, 0, 0, &value, 4));
	EXPECT_EQ(2, value);
	END();
}

static int answer_dma(void *opaque, bool write, uint64_t address, void *data, uint64_t count)
{
	uint64_t *seen = opaque;

	*seen = address;
	if (write)
		return -ENOSPC;
	memset(data, '!', count);
	return 0;
}

static void use_callback(int fd)
{
	struct script_msg *msg, *reply;

	script_version(fd, NULL);
	accept_maps(fd, 1);
	msg = script_expect(fd, WIRE_REGION_READ);
	SCRIPT_CHECK(dma_read(fd, 0x1001, 2, &reply) == 0);
	SCRIPT_CHECK(!memcmp(reply->body + 16, "!!", 2));
	SCRIPT_CHECK(dma_write(fd, 0x1002, "Z", 1) == ENOSPC);
	SCRIPT_CHECK(dma_read(fd, 0x3000, 2, NULL) == EFAULT); /* is not even asked */
	reply_read(fd, msg, 1);
	script_await_end(fd);
}

TEST_F(client_library, a_callback_may_answer_for_the_windows)
{
	uint64_t seen = 0;
	uint32_t value;

	CONNECT(use_callback);
	fpc_set_dma(self->client, answer_dma, &seen);
	ASSERT_EQ(0, fpc_dma_map(self->client, -1, 0, 0x1000, 0x1000, RW));
	EXPECT_EQ(0, fpc_region_read(self->client, 0, 0, &value, 4));
	EXPECT_EQ(0x1002, seen);
	END();
}

static void refuse_map(int fd)
{
	struct script_msg *msg;

	script_version(fd, "{\"capabilities\":{\"max_dma_maps\":1}}");
	script_error(fd, script_expect(fd, WIRE_DMA_MAP), EEXIST);
	msg = script_expect(fd, WIRE_REGION_READ);
	SCRIPT_CHECK(dma_read(fd, 0x1000, 1, NULL) == EFAULT);
	reply_read(fd, msg, 1);
	accept_maps(fd, 1);
	script_await_end(fd);
}

TEST_F(client_library, a_window_that_the_server_refused_is_none_and_its_limit_is_kept)
{
	uint8_t memory[16];
	uint32_t value;

	CONNECT(refuse_map);
	EXPECT_EQ(-EEXIST, fpc_dma_map_memory(self->client, memory, 0x1000, 8, RW));
	EXPECT_EQ(0, fpc_region_read(self->client, 0, 0, &value, 4));
	EXPECT_EQ(0, fpc_dma_map_memory(self->client, memory, 0x1000, 8, RW));
	EXPECT_EQ(-ENOSPC, fpc_dma_map_memory(self->client, memory, 0x2000, 8, RW));
	END();
}

/* ---- the twin socket ---- */

static void reply_version_fds(int fd, const char *json, const int *fds, unsigned int nr)
{
	const struct script_msg *msg = script_expect(fd, WIRE_VERSION);
	struct {
		struct wire_version version;
		char json[256];
	} out = { .version = { WIRE_MAJOR, WIRE_MINOR } };

	SCRIPT_CHECK(strstr((const char *)msg->body + sizeof(out.version), "\"twin_socket\""));
	snprintf(out.json, sizeof(out.json), "%s", json);
	script_reply_fds(fd, msg, &out, sizeof(out.version) + strlen(json) + 1, fds, nr);
}

static void use_twin(int fd)
{
	int pair[2], fds[2];
	struct script_msg *msg, *reply;

	SCRIPT_CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	fds[0] = eventfd(0, 0);
	fds[1] = pair[1];
	reply_version_fds(
		fd, "{\"capabilities\":{\"twin_socket\":{\"supported\":true,\"fd_index\":1}}}", fds,
		2);
	close(pair[1]);
	accept_maps(fd, 1);
	msg = script_expect(fd, WIRE_REGION_READ);
	SCRIPT_CHECK(dma_read(pair[0], 0x1000, 4, &reply) == 0);
	SCRIPT_CHECK(!memcmp(reply->body + 16, "abcd", 4));
	reply_read(fd, msg, 1);
	script_await_end(pair[0]);
}

TEST_F(client_library, the_servers_commands_are_answered_on_the_twin_socket)
{
	char memory[] = "abcd";
	uint32_t value;

	CONNECT(use_twin);
	EXPECT_TRUE(fpc_limits(self->client)->twin_socket);
	ASSERT_EQ(0, fpc_dma_map_memory(self->client, memory, 0x1000, 4, RW));
	EXPECT_EQ(0, fpc_region_read(self->client, 0, 0, &value, 4));
	END();
}

static void twin_without_fd(int fd)
{
	reply_version_fds(
		fd, "{\"capabilities\":{\"twin_socket\":{\"supported\":true,\"fd_index\":0}}}",
		NULL, 0);
	script_await_end(fd);
}

static void twin_that_is_none(int fd)
{
	int other = eventfd(0, 0);

	reply_version_fds(
		fd, "{\"capabilities\":{\"twin_socket\":{\"supported\":true,\"fd_index\":0}}}",
		&other, 1);
	script_await_end(fd);
}

TEST_F(client_library, a_twin_socket_that_was_not_sent_or_is_none_is_refused)
{
	log_set_level(LOG_ERROR);
	EXPECT_EQ(-EPROTO,
		  connect_flags(&self->script, twin_without_fd, TIMEOUT_MS, 0, &self->client));
	EXPECT_EQ(0, script_end(&self->script));
	EXPECT_EQ(-EPROTO,
		  connect_flags(&self->script, twin_that_is_none, TIMEOUT_MS, 0, &self->client));
	EXPECT_EQ(0, script_end(&self->script));
}

static void no_twin(int fd)
{
	const struct script_msg *msg = script_expect(fd, WIRE_VERSION);
	const struct wire_version version = { WIRE_MAJOR, WIRE_MINOR };

	SCRIPT_CHECK(!strstr((const char *)msg->body + sizeof(version), "twin_socket"));
	script_reply(fd, msg, &version, sizeof(version));
	script_await_end(fd);
}

TEST_F(client_library, a_client_may_do_without_the_twin_socket)
{
	ASSERT_EQ(0, connect_flags(&self->script, no_twin, TIMEOUT_MS, FPC_NO_TWIN_SOCKET,
				   &self->client));
	EXPECT_FALSE(fpc_limits(self->client)->twin_socket);
	END();
}

/* ---- regions ---- */

#define REGION_BYTES 0x4000u

/* What the server says of region N, with N areas or a mistake. */
struct region_reply {
	struct wire_region_info info;
	struct wire_cap_sparse sparse;
	struct wire_area areas[2];
	struct wire_cap_type type;
} WIRE_PACKED;

static struct region_reply good_region(uint32_t index)
{
	return (struct region_reply){
		.info = {
			.argsz = sizeof(struct region_reply),
			.flags = WIRE_REGION_READABLE | WIRE_REGION_MMAP | WIRE_REGION_CAPS,
			.index = index,
			.cap_offset = offsetof(struct region_reply, sparse),
			.size = REGION_BYTES,
			.offset = 0x1000,
		},
		.sparse = {
			.cap = { WIRE_CAP_SPARSE_MMAP, 1, offsetof(struct region_reply, type) },
			.nr_areas = 2,
		},
		.areas = { { 0, 0x1000 }, { 0x2000, 0x2000 } },
		.type = { .cap = { WIRE_CAP_TYPE, 1, 0 }, .type = 0x8000dead, .subtype = 7 },
	};
}

enum {
	REGION_GOOD,
	REGION_LOOP,
	REGION_CAP_IN_FIXED_PART,
	REGION_CAP_BEYOND,
	REGION_CAP_AT_END,
	REGION_AREA_BEYOND,
	REGION_AREA_WRAPS,
	REGION_MANY_AREAS,
	REGION_AREAS_CUT,
	REGION_OTHER_INDEX,
	REGION_TYPE_CUT,
	REGION_SHORT,
	REGION_GREEDY,
	NR_REGION_REPLIES,
};

static void spoil(struct region_reply *reply, size_t *len)
{
	switch (reply->info.index) {
	case REGION_LOOP:
		reply->type.cap.next = offsetof(struct region_reply, sparse);
		break;
	case REGION_CAP_IN_FIXED_PART:
		reply->info.cap_offset = 8;
		break;
	case REGION_CAP_BEYOND:
		reply->info.cap_offset = UINT32_MAX;
		break;
	case REGION_CAP_AT_END:
		reply->info.cap_offset = sizeof(*reply) - 4;
		break;
	case REGION_AREA_BEYOND:
		reply->areas[1].size++;
		break;
	case REGION_AREA_WRAPS:
		reply->areas[1].size = UINT64_MAX;
		break;
	case REGION_MANY_AREAS:
		reply->sparse.nr_areas = UINT32_MAX;
		break;
	case REGION_AREAS_CUT:
		*len = offsetof(struct region_reply, areas) + 20;
		break;
	case REGION_OTHER_INDEX:
		reply->info.index = 0;
		break;
	case REGION_TYPE_CUT:
		*len = sizeof(*reply) - 1;
		break;
	case REGION_SHORT:
		*len = sizeof(reply->info) - 1;
		break;
	case REGION_GREEDY:
		reply->info.argsz = UINT32_MAX;
		break;
	default:
		break;
	}
}

static void tell_regions(int fd)
{
	int file = memfd_create("region", MFD_ALLOW_SEALING);

	SCRIPT_CHECK(!ftruncate(file, 0x1000 + 0x3000)); /* and not all of the region */
	SCRIPT_CHECK(pwrite(file, "here", 4, 0x1000 + 0x2000) == 4);
	script_version(fd, NULL);
	for (;;) {
		const struct script_msg *msg = script_expect(fd, WIRE_DEVICE_GET_REGION_INFO);
		struct wire_region_info asked;
		struct region_reply reply;
		size_t len = sizeof(reply);

		memcpy(&asked, msg->body, sizeof(asked));
		reply = good_region(asked.index);
		spoil(&reply, &len);
		script_reply_fds(fd, msg, &reply, len, &file, 1);
	}
}

TEST_F(client_library, a_region_tells_its_areas_type_and_file)
{
	struct fpc_region region;

	CONNECT(tell_regions);
	ASSERT_EQ(0, fpc_region_open(self->client, REGION_GOOD, &region));
	EXPECT_EQ(REGION_BYTES, region.size);
	EXPECT_TRUE(region.has_sparse);
	ASSERT_EQ(2, region.nr_areas);
	EXPECT_EQ(0x2000, region.areas[1].offset);
	EXPECT_EQ(0x2000, region.areas[1].size);
	EXPECT_TRUE(region.has_type);
	EXPECT_EQ(0x8000dead, region.type);
	EXPECT_EQ(7, region.subtype);
	EXPECT_EQ(2, region.nr_caps);
	EXPECT_LE(0, region.fd);
	EXPECT_FALSE(region.sealed);
	fpc_region_close(&region);
	EXPECT_EQ(-1, region.fd);
	END();
}

TEST_F(client_library, capabilities_that_lead_astray_are_refused)
{
	struct fpc_region region;

	CONNECT(tell_regions);
	for (uint32_t i = REGION_GOOD + 1; i < NR_REGION_REPLIES; i++) {
		EXPECT_EQ(-EPROTO, fpc_region_open(self->client, i, &region))
		{
			TH_LOG("reply %u", i);
		}
		EXPECT_EQ(-1, region.fd);
		EXPECT_EQ(NULL, region.areas);
	}
	END();
}

TEST_F(client_library, a_region_is_mapped_within_its_areas_and_its_file_only)
{
	struct fpc_region region;
	char *at;

	CONNECT(tell_regions);
	ASSERT_EQ(0, fpc_region_open(self->client, REGION_GOOD, &region));
#define MAP(offset, size) fpc_region_map(&region, offset, size, PROT_READ, (void **)&at)
	ASSERT_EQ(0, MAP(0x2000, 0x1000));
	EXPECT_EQ(0, memcmp(at, "here", 4));
	munmap(at, 0x1000);
	EXPECT_EQ(-EINVAL, MAP(0x1000, 0x1000)); /* between the areas */
	EXPECT_EQ(-EINVAL, MAP(0, 0x2000));	 /* more than one */
	EXPECT_EQ(-EINVAL, MAP(0x800, 0x100));	 /* not at a page */
	EXPECT_EQ(-EINVAL, MAP(0x2000, 0));
	EXPECT_EQ(-EINVAL, MAP(0x2000, UINT64_MAX));
	EXPECT_EQ(-EINVAL, MAP(REGION_BYTES, 1));
	EXPECT_EQ(-EPROTO, MAP(0x3000, 0x1000)); /* the file is too short */
	region.offset = UINT64_MAX - 0xfff;
	EXPECT_EQ(-EPROTO, MAP(0x2000, 0x1000));
	region.offset = 0x1000;
	close(region.fd);
	region.fd = eventfd(0, 0);
	EXPECT_EQ(-EPROTO, MAP(0x2000, 0x1000));
	region.flags = WIRE_REGION_READABLE;
	EXPECT_EQ(-ENODEV, MAP(0x2000, 0x1000));
#undef MAP
	fpc_region_close(&region);
	END();
}

static void many_areas(int fd)
{
	static struct {
		struct wire_region_info info;
		struct wire_cap_sparse sparse;
		struct wire_area areas[100];
	} WIRE_PACKED reply = {
		.info = {
			.argsz = sizeof(reply),
			.flags = WIRE_REGION_MMAP | WIRE_REGION_CAPS,
			.cap_offset = sizeof(struct wire_region_info),
			.size = REGION_BYTES,
		},
		.sparse = { .cap = { WIRE_CAP_SPARSE_MMAP, 1, 0 }, .nr_areas = 100 },
	};
	const struct script_msg *msg;

	script_version(fd, NULL);
	msg = script_expect(fd, WIRE_DEVICE_GET_REGION_INFO);
	script_reply(fd, msg, &reply.info, sizeof(reply.info));
	msg = script_expect(fd, WIRE_DEVICE_GET_REGION_INFO);
	SCRIPT_CHECK(((const struct wire_region_info *)msg->body)->argsz == sizeof(reply));
	script_reply(fd, msg, &reply, sizeof(reply));
	script_await_end(fd);
}

TEST_F(client_library, a_region_that_does_not_fit_is_asked_for_again)
{
	struct fpc_region region;

	CONNECT(many_areas);
	ASSERT_EQ(0, fpc_region_open(self->client, 0, &region));
	EXPECT_EQ(100, region.nr_areas);
	fpc_region_close(&region);
	END();
}

/* ---- REGION_WRITE_MULTI ---- */

static void write_multi(int fd)
{
	const struct script_msg *msg;
	struct wire_region_write_multi write;
	uint64_t cnt;

	script_version(fd, "{\"capabilities\":{\"write_multiple\":true}}");
	msg = script_expect(fd, WIRE_REGION_WRITE_MULTI);
	memcpy(&cnt, msg->body, sizeof(cnt));
	SCRIPT_CHECK(cnt == 2 && msg->len == sizeof(cnt) + 2 * sizeof(write));
	memcpy(&write, msg->body + sizeof(cnt) + sizeof(write), sizeof(write));
	SCRIPT_CHECK(write.offset == 16 && write.region == 2 && write.count == 4 &&
		     write.data == 0xabcd);
	script_reply(fd, msg, &cnt, sizeof(cnt));
	msg = script_expect(fd, WIRE_REGION_WRITE_MULTI);
	cnt = 1;
	script_reply(fd, msg, &cnt, sizeof(cnt));
	msg = script_expect(fd, WIRE_REGION_WRITE_MULTI);
	cnt = 3;
	script_reply(fd, msg, &cnt, sizeof(cnt));
	script_await_end(fd);
}

TEST_F(client_library, several_writes_go_in_one_message)
{
	const struct fpc_write writes[] = {
		{ .offset = 8, .region = 0, .count = 8, .data = 1 },
		{ .offset = 16, .region = 2, .count = 4, .data = 0xabcd },
	};
	const struct fpc_write wide = { .count = 9 };
	size_t done;

	CONNECT(write_multi);
	EXPECT_EQ(0, fpc_region_write_multi(self->client, writes, 2, &done));
	EXPECT_EQ(2, done);
	EXPECT_EQ(-EIO, fpc_region_write_multi(self->client, writes, 2, &done));
	EXPECT_EQ(1, done);
	EXPECT_EQ(-EPROTO, fpc_region_write_multi(self->client, writes, 2, &done));
	EXPECT_EQ(0, done);
	EXPECT_EQ(-EINVAL, fpc_region_write_multi(self->client, &wide, 1, &done));
	END();
}

static void say_version_only(int fd)
{
	script_version(fd, NULL);
	script_await_end(fd);
}

TEST_F(client_library, several_writes_are_not_sent_to_a_server_that_does_not_offer_them)
{
	const struct fpc_write write = { .count = 4 };
	size_t done;

	CONNECT(say_version_only);
	EXPECT_EQ(-EOPNOTSUPP, fpc_region_write_multi(self->client, &write, 1, &done));
	END();
}

/* ---- features ---- */

#define STREAM_BYTES 250u

static void reply_feature(int fd, const struct script_msg *msg, const void *data, size_t len)
{
	uint8_t body[256];

	memcpy(body, msg->body, sizeof(struct wire_device_feature));
	memcpy(body + sizeof(struct wire_device_feature), data, len);
	script_reply(fd, msg, body, sizeof(struct wire_device_feature) + len);
}

static uint32_t feature_flags(const struct script_msg *msg)
{
	return ((const struct wire_device_feature *)msg->body)->flags;
}

static void send_stream(int fd, uint32_t total)
{
	while (total) {
		const struct script_msg *msg = script_expect(fd, WIRE_MIG_DATA_READ);
		struct {
			struct wire_mig_data head;
			uint8_t data[100];
		} reply;

		memcpy(&reply.head, msg->body, sizeof(reply.head));
		SCRIPT_CHECK(reply.head.size <= 100);
		if (reply.head.size > total)
			reply.head.size = total;
		memset(reply.data, (int)total, reply.head.size);
		total -= reply.head.size;
		script_reply(fd, msg, &reply, sizeof(reply.head) + reply.head.size);
	}
}

static void migrate(int fd)
{
	struct wire_migration migration = { WIRE_MIGRATION_STOP_COPY };
	struct wire_mig_device_state state = { .device_state = WIRE_MIG_RUNNING };
	const struct script_msg *msg;

	script_version(fd, "{\"capabilities\":{\"max_data_xfer_size\":100}}");
	msg = script_expect(fd, WIRE_DEVICE_FEATURE);
	SCRIPT_CHECK(feature_flags(msg) ==
		     (WIRE_FEATURE_MIGRATION | WIRE_FEATURE_GET | WIRE_FEATURE_PROBE));
	reply_feature(fd, msg, "", 0);
	msg = script_expect(fd, WIRE_DEVICE_FEATURE);
	reply_feature(fd, msg, &migration, sizeof(migration));
	msg = script_expect(fd, WIRE_DEVICE_FEATURE);
	reply_feature(fd, msg, &state, sizeof(state));
	msg = script_expect(fd, WIRE_DEVICE_FEATURE);
	state.device_state = 99;
	reply_feature(fd, msg, &state, sizeof(state));
	msg = script_expect(fd, WIRE_DEVICE_FEATURE);
	SCRIPT_CHECK(feature_flags(msg) == (WIRE_FEATURE_MIG_DEVICE_STATE | WIRE_FEATURE_SET));
	memcpy(&state, msg->body + 8, sizeof(state));
	SCRIPT_CHECK(state.device_state == WIRE_MIG_STOP_COPY);
	reply_feature(fd, msg, &state, sizeof(state));
	send_stream(fd, STREAM_BYTES);
	for (uint32_t left = STREAM_BYTES; left; left -= left < 100 ? left : 100) {
		struct wire_mig_data head;

		msg = script_expect(fd, WIRE_MIG_DATA_WRITE);
		memcpy(&head, msg->body, sizeof(head));
		SCRIPT_CHECK(head.size == (left < 100 ? left : 100));
		SCRIPT_CHECK(msg->len == sizeof(head) + head.size);
		script_reply(fd, msg, NULL, 0);
	}
	script_await_end(fd);
}

TEST_F(client_library, a_devices_state_is_read_and_written_as_a_stream)
{
	uint8_t data[STREAM_BYTES + 10];
	uint64_t flags;
	uint32_t state;

	CONNECT(migrate);
	EXPECT_EQ(0, fpc_feature_probe(self->client, WIRE_FEATURE_MIGRATION, WIRE_FEATURE_GET));
	EXPECT_EQ(0, fpc_migration_flags(self->client, &flags));
	EXPECT_EQ(WIRE_MIGRATION_STOP_COPY, flags);
	EXPECT_EQ(0, fpc_migration_state(self->client, &state));
	EXPECT_EQ(WIRE_MIG_RUNNING, state);
	EXPECT_EQ(-EPROTO, fpc_migration_state(self->client, &state));
	EXPECT_EQ(0, fpc_migration_set_state(self->client, WIRE_MIG_STOP_COPY));
	EXPECT_EQ(STREAM_BYTES, fpc_migration_read(self->client, data, sizeof(data)));
	EXPECT_EQ(STREAM_BYTES, data[0]);
	EXPECT_EQ(50, data[STREAM_BYTES - 1]);
	EXPECT_EQ(0, fpc_migration_write(self->client, data, STREAM_BYTES));
	END();
}

static void lie_about_data(int fd)
{
	struct wire_mig_data head = { .argsz = 16, .size = 1000 };
	const struct script_msg *msg;
	struct wire_device_feature other = { .argsz = 16, .flags = 3 };
	uint64_t two[2];

	script_version(fd, NULL);
	script_reply(fd, script_expect(fd, WIRE_MIG_DATA_READ), &head, sizeof(head));
	head.size = 10; /* which do not follow */
	script_reply(fd, script_expect(fd, WIRE_MIG_DATA_READ), &head, sizeof(head));
	msg = script_expect(fd, WIRE_DEVICE_FEATURE);
	memcpy(two, &other, sizeof(other));
	script_reply(fd, msg, two, sizeof(two)); /* of another feature */
	msg = script_expect(fd, WIRE_DEVICE_FEATURE);
	script_reply(fd, msg, msg->body, 8); /* without data */
	script_await_end(fd);
}

TEST_F(client_library, a_stream_or_feature_that_is_not_as_it_says_is_refused)
{
	uint8_t data[16];
	uint64_t flags;

	CONNECT(lie_about_data);
	EXPECT_EQ(-EPROTO, fpc_migration_read(self->client, data, sizeof(data)));
	EXPECT_EQ(-EPROTO, fpc_migration_read(self->client, data, sizeof(data)));
	EXPECT_EQ(-EPROTO, fpc_migration_flags(self->client, &flags));
	EXPECT_EQ(-EPROTO, fpc_migration_flags(self->client, &flags));
	END();
}

static void log_dma(int fd)
{
	struct {
		struct wire_dma_report report;
		uint64_t bits[2];
	} reply = { .bits = { 5, 1ull << 63 } };
	struct wire_dma_logging logging;
	struct wire_dma_range range;
	const struct script_msg *msg;

	script_version(fd, NULL);
	msg = script_expect(fd, WIRE_DEVICE_FEATURE);
	memcpy(&logging, msg->body + 8, sizeof(logging));
	memcpy(&range, msg->body + 8 + sizeof(logging), sizeof(range));
	SCRIPT_CHECK(logging.page_size == 4096 && logging.num_ranges == 1);
	SCRIPT_CHECK(range.iova == 0x10000 && range.length == 0x80000);
	reply_feature(fd, msg, msg->body + 8, msg->len - 8);
	for (int i = 0; i < 2; i++) {
		msg = script_expect(fd, WIRE_DEVICE_FEATURE);
		SCRIPT_CHECK(msg->len == 8 + sizeof(reply.report));
		memcpy(&reply.report, msg->body + 8, sizeof(reply.report));
		reply.report.length += (uint64_t)i; /* of something else, the second time */
		reply_feature(fd, msg, &reply, sizeof(reply));
	}
	msg = script_expect(fd, WIRE_DEVICE_FEATURE);
	SCRIPT_CHECK(feature_flags(msg) == (WIRE_FEATURE_DMA_LOGGING_STOP | WIRE_FEATURE_SET));
	reply_feature(fd, msg, "", 0);
	script_await_end(fd);
}

TEST_F(client_library, the_pages_that_a_device_wrote_to_are_reported)
{
	const struct fpc_dma_range range = { 0x10000, 0x80000 };
	uint64_t bits[2];

	CONNECT(log_dma);
	ASSERT_EQ(sizeof(bits), fpc_dma_log_bytes(0x80000, 4096));
	EXPECT_EQ(0, fpc_dma_log_start(self->client, 4096, &range, 1));
	EXPECT_EQ(0, fpc_dma_log_report(self->client, 0x10000, 0x80000, 4096, bits));
	EXPECT_EQ(5, bits[0]);
	EXPECT_EQ(1ull << 63, bits[1]);
	EXPECT_EQ(-EPROTO, fpc_dma_log_report(self->client, 0x10000, 0x80000, 4096, bits));
	EXPECT_EQ(-EINVAL, fpc_dma_log_report(self->client, 0, 0x80000, 4095, bits));
	EXPECT_EQ(-EINVAL, fpc_dma_log_report(self->client, 0, 0, 4096, bits));
	EXPECT_EQ(-E2BIG, fpc_dma_log_report(self->client, 0, UINT64_MAX, 1, bits));
	EXPECT_EQ(0, fpc_dma_log_stop(self->client));
	END();
}

/* ---- interrupts ---- */

static void tell_irqs(int fd, uint32_t count)
{
	const struct script_msg *msg = script_expect(fd, WIRE_DEVICE_GET_IRQ_INFO);
	struct wire_irq_info info;

	memcpy(&info, msg->body, sizeof(info));
	info.flags = WIRE_IRQ_EVENTFD;
	info.count = count;
	script_reply(fd, msg, &info, sizeof(info));
}

/* A DEVICE_SET_IRQS of triggers from `start` on that brings `nr` fds; each is rung. */
static void ring_irqs(int fd, uint32_t start, uint32_t nr)
{
	const struct script_msg *msg = script_expect(fd, WIRE_DEVICE_SET_IRQS);
	struct wire_irq_set set;
	uint64_t one = 1;

	memcpy(&set, msg->body, sizeof(set));
	SCRIPT_CHECK(set.flags == (WIRE_IRQ_DATA_EVENTFD | WIRE_IRQ_ACTION_TRIGGER));
	SCRIPT_CHECK(set.index == 2 && set.start == start && set.count == nr);
	SCRIPT_CHECK(msg->nr_fds == nr);
	for (unsigned int i = 0; i < nr; i++)
		SCRIPT_CHECK(write(msg->fds[i], &one, sizeof(one)) == sizeof(one));
	script_reply(fd, msg, NULL, 0);
}

static void deassign_irqs(int fd, uint32_t start, uint32_t count)
{
	const struct script_msg *msg = script_expect(fd, WIRE_DEVICE_SET_IRQS);
	struct wire_irq_set set;

	memcpy(&set, msg->body, sizeof(set));
	SCRIPT_CHECK(set.start == start && set.count == count && !msg->nr_fds);
	script_reply(fd, msg, NULL, 0);
}

static void take_irqs(int fd)
{
	script_version(fd, "{\"capabilities\":{\"max_msg_fds\":2}}");
	tell_irqs(fd, 6);
	ring_irqs(fd, 1, 2);
	ring_irqs(fd, 3, 2);
	ring_irqs(fd, 5, 1);
	deassign_irqs(fd, 1, 5);
	tell_irqs(fd, 6);
	script_await_end(fd);
}

static bool rang(int fd)
{
	uint64_t sum = 0;

	return read(fd, &sum, sizeof(sum)) == sizeof(sum) && sum == 1;
}

TEST_F(client_library, interrupts_come_as_eventfds_as_many_at_once_as_the_server_takes)
{
	int fds[6];

	CONNECT(take_irqs);
	ASSERT_EQ(0, fpc_irqs_open(self->client, 2, 1, 5, fds));
	for (int i = 0; i < 5; i++)
		EXPECT_TRUE(rang(fds[i]));
	fpc_irqs_close(self->client, 2, 1, 5, fds);
	EXPECT_EQ(-1, fds[4]);
	EXPECT_EQ(-EINVAL, fpc_irqs_open(self->client, 2, 1, 6, fds));
	END();
}

/* ---- when the server was restarted ---- */

static void first_life(int fd)
{
	script_version(fd, "{\"capabilities\":{\"max_msg_fds\":2}}");
	accept_maps(fd, 3);
	script_reply(fd, script_expect(fd, WIRE_DMA_UNMAP), NULL, 0);
	tell_irqs(fd, 6);
	ring_irqs(fd, 0, 2);
	ring_irqs(fd, 2, 2);
	ring_irqs(fd, 4, 1);
	deassign_irqs(fd, 1, 1);
}

/* What is left of it: two windows, of which one has a file, and interrupts 0 and 2 to 4. */
static void repeated(int fd)
{
	unsigned int files = 0;

	for (int i = 0; i < 2; i++) {
		const struct script_msg *msg = script_expect(fd, WIRE_DMA_MAP);

		files += msg->nr_fds;
		script_reply(fd, msg, NULL, 0);
	}
	SCRIPT_CHECK(files == 1);
	ring_irqs(fd, 0, 1);
	ring_irqs(fd, 2, 2);
	ring_irqs(fd, 4, 1);
}

static void second_life(int fd)
{
	struct script_msg *msg;

	script_version(fd, "{\"capabilities\":{\"max_msg_fds\":2}}");
	repeated(fd);
	msg = script_expect(fd, WIRE_REGION_READ);
	SCRIPT_CHECK(dma_read(fd, 0x2000, 2, NULL) == 0);
	reply_read(fd, msg, 5);
	script_await_end(fd);
}

static void second_life_reset(int fd)
{
	script_version(fd, "{\"capabilities\":{\"max_msg_fds\":2}}");
	script_reply(fd, script_expect(fd, WIRE_DEVICE_RESET), NULL, 0);
	repeated(fd);
	script_await_end(fd);
}

#define NR_IRQS 5

/* A client with windows and interrupts, whose server has gone. */
static int lose_server(struct script *script, unsigned int flags, struct fpc **client, int *fds)
{
	static char memory[4096];
	int file = memfd_create("memory", 0);
	uint32_t value;
	int ret = connect_flags(script, first_life, TIMEOUT_MS, flags, client);

	if (ret || ftruncate(file, 4096))
		return ret ? ret : -errno;
	ret = fpc_dma_map(*client, file, 0, 0x1000, 0x1000, RW)		      ?:
		      fpc_dma_map_memory(*client, memory, 0x2000, 0x1000, RW) ?:
		      fpc_dma_map_memory(*client, memory, 0x3000, 0x1000, RW) ?:
		      fpc_dma_unmap(*client, 0x3000, 0x1000)		      ?:
		      fpc_irqs_open(*client, 2, 0, NR_IRQS, fds)	      ?:
		      fpc_set_irqs(*client, WIRE_IRQ_DATA_EVENTFD | WIRE_IRQ_ACTION_TRIGGER, 2, 1,
				   1, NULL);
	close(file); /* the client has one of its own */
	if (ret || script_end(script))
		return ret ? ret : -EINVAL;
	for (int i = 0; i < NR_IRQS; i++)
		rang(fds[i]);
	ret = fpc_region_read(*client, 0, 0, &value, sizeof(value));
	return ret == -ECONNRESET ? 0 : -EINVAL;
}

TEST_F(client_library, a_server_that_is_back_gets_the_windows_and_interrupts_again)
{
	int fds[NR_IRQS];
	uint32_t value;

	ASSERT_EQ(0, lose_server(&self->script, FPC_RECONNECTS, &self->client, fds));
	script_start(&self->script, second_life);
	EXPECT_EQ(1, fpc_reopen(self->client, self->script.fd)); /* the caller is to reset it */
	for (int i = 0; i < NR_IRQS; i++)
		EXPECT_EQ(i != 1, rang(fds[i]));
	EXPECT_EQ(0, fpc_region_read(self->client, 0, 0, &value, sizeof(value)));
	EXPECT_EQ(5, value);
	END();
}

TEST_F(client_library, a_device_that_is_back_is_reset_before_all_else_when_that_is_asked_for)
{
	int fds[NR_IRQS];

	ASSERT_EQ(0, lose_server(&self->script, FPC_RECONNECTS | FPC_RECONNECT_RESETS,
				 &self->client, fds));
	script_start(&self->script, second_life_reset);
	EXPECT_EQ(0, fpc_reopen(self->client, self->script.fd));
	END();
}

static void short_life(int fd)
{
	script_version(fd, NULL);
}

static void leave_at_a_read(int fd)
{
	script_version(fd, NULL);
	script_expect(fd, WIRE_REGION_READ);
}

static void ignore(void *opaque, ssize_t result, const void *body)
{
	(void)opaque;
	(void)result;
	(void)body;
}

static unsigned int lines_of_a_loss(struct script *script, unsigned int flags, struct fpc **client)
{
	struct pollfd gone = { .events = POLLRDHUP };
	static struct capture said;
	uint32_t value;

	log_set_level(LOG_WARN);
	if (connect_flags(script, leave_at_a_read, TIMEOUT_MS, flags, client))
		abort();
	gone.fd = dup(fpc_socket(*client));
	capture_start(&said);
	if (fpc_submit_read(*client, 0, 0, &value, sizeof(value), ignore, NULL))
		abort();
	fpc_turn(*client, 0);
	if (poll(&gone, 1, TIMEOUT_MS) != 1 ||
	    fpc_region_read(*client, 0, 0, &value, sizeof(value)) != -ECONNRESET)
		abort();
	capture_end(&said);
	close(gone.fd);
	return capture_lines(&said, "the server is gone");
}

TEST_F(client_library, the_end_of_the_server_is_readable_while_no_call_is_made_and_quiet_if_asked)
{
	EXPECT_EQ(1, lines_of_a_loss(&self->script, 0, &self->client));
	END();
	EXPECT_EQ(0, lines_of_a_loss(&self->script, FPC_QUIET, &self->client));
	END();
}

TEST_F(client_library, reconnecting_waits_for_a_server_that_is_not_there_yet)
{
	const struct fpc_options options = { .flags = FPC_RECONNECTS };
	char dir[] = "/tmp/fastpath-test-XXXXXX";
	char path[64];
	uint32_t value;

	ASSERT_NE(NULL, mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/socket", dir);
	script_listen(&self->script, short_life, path);
	ASSERT_EQ(0, fpc_connect(path, &options, &self->client));
	EXPECT_EQ(0, script_end(&self->script));
	EXPECT_EQ(-ECONNRESET, fpc_region_read(self->client, 0, 0, &value, 4));
	EXPECT_EQ(-ECONNREFUSED, fpc_reconnect(self->client, 30));
	EXPECT_EQ(-ECONNRESET, fpc_region_read(self->client, 0, 0, &value, 4));
	script_listen(&self->script, echo_reads, path);
	EXPECT_EQ(1, fpc_reconnect(self->client, TIMEOUT_MS));
	EXPECT_EQ(0, fpc_region_read(self->client, 0, 12, &value, 4));
	EXPECT_EQ(12, value);
	unlink(path);
	rmdir(dir);
	END();
}

TEST_F(client_library, a_client_that_was_not_asked_to_remember_does_not_reconnect)
{
	CONNECT(say_version_only);
	EXPECT_EQ(-EINVAL, fpc_reconnect(self->client, 0));
	END();
}

TEST_HARNESS_MAIN
