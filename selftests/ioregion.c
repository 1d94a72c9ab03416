// SPDX-License-Identifier: GPL-2.0-only
/*
 * ioregionfds, groups of doorbells and doorbells with values: what is told of them, and what becomes of
 * the bytes that a client, or KVM in its place, sends by them.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fastpath-client.h"
#include "fastpath.h"
#include "fdkind.h"
#include "kselftest_harness.h"
#include "lib/peer.h"
#include "testdev.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define FIXED sizeof(struct wire_region_io_fds)

/* ---- a device with registers and doorbells among them, which remembers what it saw ---- */

enum {
	/* BAR0: two spans of one group, with doorbells in the first; one that is by itself; a doorbell
	 * that goes by a span. */
	BELL_4 = 0x100,
	BELL_ANY = 0x180,
	BELL_MATCH = 0x200,
	POSTED = 0x400,
	NEXT_NUMBER = 0x500, /* takes 0, 1, 2, ... */
	USE_DMA = 0x600,
	ALONE = 0x800,
	SLOW = 0x880, /* answered when BAR2 says so, or BELL_4 */
	REFUSED = 0x890,
	BELL_IN_ORDER = 0x900,
	/* BAR3: doorbells of a group, and doorbells with values in a span. */
	GROUPED = 0x00,
	SHADOWS = 0x80,
};

/* BAR2, by message. */
struct seen {
	uint64_t finish; /* a write answers the oldest deferred access with this */
	uint64_t accesses;
	uint64_t rings;
	uint64_t offset; /* of the last access or ring */
	uint64_t size;
	uint64_t value;
	uint64_t times;
	uint64_t out_of_order; /* at NEXT_NUMBER */
	uint64_t without_dma;  /* at USE_DMA */
	uint64_t before_reset; /* accesses, and those that were there when the state was saved */
	uint64_t before_save;
	uint64_t rings_before; /* BELL_IN_ORDER's, when NEXT_NUMBER was written to last */
};

#define SLOW_MAX 8

struct block {
	struct seen seen;
	uint64_t next_number;
	struct fp_access *slow[SLOW_MAX];
	unsigned int nr_slow;
	uint8_t memory[4096];
};

static void remember(struct seen *seen, const struct fp_access *access)
{
	*(access->doorbell ? &seen->rings : &seen->accesses) += access->times;
	seen->offset = access->offset;
	seen->size = access->size;
	seen->value = access->write ? fp_access_value(access) : 0;
	seen->times = access->times;
}

static int defer(struct fp_device *dev, struct block *block, struct fp_access *access)
{
	struct fp_access *slow = block->nr_slow < SLOW_MAX ? fp_defer(dev, access) : NULL;

	if (!slow)
		return -EBUSY;
	block->slow[block->nr_slow++] = slow;
	return FP_LATER;
}

static void finish(struct fp_device *dev, struct block *block, uint64_t value)
{
	struct fp_access *slow = block->slow[0];

	if (!block->nr_slow)
		return;
	memmove(block->slow, block->slow + 1, --block->nr_slow * sizeof(struct fp_access *));
	if (!slow->write)
		fp_access_answer(slow, value);
	fp_finish(dev, slow, 0);
}

static int block_access(struct fp_device *dev, struct fp_access *access)
{
	struct block *block = fp_state(dev);
	struct seen *seen = &block->seen;

	remember(seen, access);
	if (access->doorbell) {
		if (access->offset == BELL_4)
			finish(dev, block, 0);
		return 0;
	}
	if (access->write && access->offset == NEXT_NUMBER) {
		seen->out_of_order += fp_access_value(access) != block->next_number++;
		seen->rings_before = seen->rings;
	}
	if (access->write && access->offset == USE_DMA)
		seen->without_dma += !fp_dma(dev, 0x10000, 8, true);
	if (access->offset == REFUSED)
		return -EIO;
	if (access->offset == SLOW)
		return defer(dev, block, access);
	fp_access_memory(access, 0, block->memory, sizeof(block->memory));
	return 0;
}

static int seen_access(struct fp_device *dev, struct fp_access *access)
{
	struct block *block = fp_state(dev);

	if (access->write)
		finish(dev, block, fp_access_value(access));
	else
		fp_access_memory(access, 0, &block->seen, sizeof(block->seen));
	return 0;
}

/* Nobody else could: the next client's first message waits for what is deferred. */
static void block_event(struct fp_device *dev, enum fp_event event, const struct fp_window *window)
{
	struct block *block = fp_state(dev);

	(void)window;
	if (event == FP_CLIENT_GONE)
		finish(dev, block, 0);
}

static int block_reset(struct fp_device *dev)
{
	struct block *block = fp_state(dev);
	uint64_t before = block->seen.accesses;

	block->seen = (struct seen){ .before_reset = before };
	block->next_number = 0;
	return 0;
}

static int block_save(struct fp_device *dev, struct fp_stream *to)
{
	struct block *block = fp_state(dev);

	block->seen.before_save = block->seen.accesses;
	return fp_stream_write(to, &block->seen, sizeof(block->seen));
}

static int block_load(struct fp_device *dev, struct fp_stream *from)
{
	struct block *block = fp_state(dev);

	return fp_stream_read(from, &block->seen, sizeof(block->seen));
}

static const struct fp_doorbell bells[] = {
	{ .offset = BELL_4, .width = 4 },
	{ .offset = BELL_MATCH, .width = 4, FP_VALUES(0xfa) },
	{ .offset = BELL_MATCH, .width = 4, FP_VALUES(0xce) },
	{ .offset = BELL_ANY },
	{ .offset = BELL_IN_ORDER },
};

static const struct fp_span spans[] = {
	{ .offset = 0, .size = POSTED, .group = 1 },
	{ .offset = POSTED, .size = 0x400, .posted = true, .group = 1 },
	{ .offset = ALONE, .size = 0x200 },
	{ .offset = BELL_IN_ORDER, .posted = true, .group = 1 },
};

static const struct fp_span io_span = { .offset = 0x10, .size = 0x20, .posted = true };

static const struct fp_doorbell more_bells[] = {
	{ .offset = GROUPED, .width = 4, .group = 9 },
	{ .offset = GROUPED + 0x10, .width = 2, .group = 9 },
	{ .offset = GROUPED + 0x20, .width = 4, FP_VALUES(7), .group = 9 },
	{ .offset = SHADOWS, .width = 4, .shadow = true },
	{ .offset = SHADOWS + 8, .width = 8, .shadow = true },
	{ .offset = SHADOWS + 0x10, .width = 2, .shadow = true },
	{ .offset = 0x40, .width = 4 },
};

static const struct fp_span more_spans[] = { { .offset = SHADOWS, .size = 0x40 } };

FP_DEVICE(block) = {
	.name = "block",
	.summary = "registers that remember",
	.state_bytes = sizeof(struct block),
	.pci = { .vendor = TESTDEV_VENDOR, .device = TESTDEV_DEVICE },
	.regions = {
		[FP_BAR0] = {
			.size = 4096,
			.flags = FP_REGION_INDEPENDENT,
			.access = block_access,
			.doorbells = bells,
			.nr_doorbells = COUNT(bells),
			.spans = spans,
			.nr_spans = COUNT(spans),
		},
		[FP_BAR1] = {
			.size = 64,
			.flags = FP_REGION_IO,
			.access = block_access,
			.spans = &io_span,
			.nr_spans = 1,
		},
		[FP_BAR2] = {
			.size = 4096,
			.flags = FP_REGION_INDEPENDENT,
			.access = seen_access,
		},
		[FP_BAR3] = {
			.size = 4096,
			.access = block_access,
			.doorbells = more_bells,
			.nr_doorbells = COUNT(more_bells),
			.spans = more_spans,
			.nr_spans = COUNT(more_spans),
		},
	},
	.event = block_event,
	.reset = block_reset,
	.save = block_save,
	.load = block_load,
};

/* ---- helpers ---- */

#define MAX_ENTRIES 32

/* What a region has, as it was told. The fds are the caller's. */
struct told {
	struct wire_io_fd_deployed entries[MAX_ENTRIES];
	uint32_t nr;
	int fds[PEER_MAX_FDS];
	unsigned int nr_fds;
};

static int ask(struct peer *peer, uint32_t index, struct told *told)
{
	struct wire_region_io_fds question = { .argsz = 8192, .index = index };
	struct wire_region_io_fds answer;
	int error = peer_call(peer, WIRE_DEVICE_GET_REGION_IO_FDS, &question, sizeof(question));

	*told = (struct told){ 0 };
	if (error)
		return error;
	memcpy(&answer, peer->reply.body, sizeof(answer));
	if (answer.count > MAX_ENTRIES || answer.argsz != peer->reply.len ||
	    answer.argsz != FIXED + answer.count * sizeof(told->entries[0]))
		return EPROTO;
	told->nr = answer.count;
	memcpy(told->entries, peer->reply.body + FIXED, answer.count * sizeof(told->entries[0]));
	told->nr_fds = peer->reply.nr_fds;
	for (unsigned int i = 0; i < told->nr_fds; i++) {
		told->fds[i] = peer->reply.fds[i];
		peer->reply.fds[i] = -1;
	}
	return 0;
}

static const struct wire_io_fd_deployed *find(const struct told *told, uint32_t type,
					      uint64_t offset)
{
	static const struct wire_io_fd_deployed none = { .size = UINT64_MAX };

	for (uint32_t i = 0; i < told->nr; i++)
		if (told->entries[i].type == type && told->entries[i].offset == offset)
			return &told->entries[i];
	return &none;
}

static unsigned int count_type(const struct told *told, uint32_t type)
{
	unsigned int nr = 0;

	for (uint32_t i = 0; i < told->nr; i++)
		nr += told->entries[i].type == type;
	return nr;
}

/* A sub-region as a client sees it. */
struct sub {
	int fd;
	uint64_t user_data;
	uint64_t start; /* in the region */
};

static struct sub sub_at(const struct told *told, uint64_t offset)
{
	const struct wire_io_fd_deployed *entry = find(told, WIRE_IO_FD_IOREGIONFD, offset);

	return (struct sub){
		.fd = entry->size == UINT64_MAX ? -1 : told->fds[entry->fd_index],
		.user_data = entry->shadow_offset,
		.start = entry->offset,
	};
}

static struct wire_ioregion_cmd command(const struct sub *sub, bool write, uint64_t offset,
					uint64_t data, unsigned int exponent, bool resp)
{
	return (struct wire_ioregion_cmd){
		.cmd = write ? WIRE_IOREGION_WRITE : WIRE_IOREGION_READ,
		.size_resp = (uint8_t)(exponent | (resp ? WIRE_IOREGION_RESP : 0)),
		.user_data = sub->user_data,
		.offset = offset - sub->start,
		.data = data,
	};
}

static bool send_bytes(int fd, const void *bytes, size_t len)
{
	return send(fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static bool post(const struct sub *sub, uint64_t offset, uint64_t data, unsigned int exponent)
{
	struct wire_ioregion_cmd cmd = command(sub, true, offset, data, exponent, false);

	return send_bytes(sub->fd, &cmd, sizeof(cmd));
}

/* Whether an answer of the right length came, and what it says. */
static bool receive(int fd, uint64_t *data)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	struct wire_ioregion_resp resp;
	uint8_t bytes[64];

	if (poll(&pollfd, 1, PEER_DEADLINE_MS) != 1 ||
	    recv(fd, bytes, sizeof(bytes), 0) != sizeof(resp))
		return false;
	memcpy(&resp, bytes, sizeof(resp));
	*data = resp.data;
	for (size_t i = 0; i < sizeof(resp.padding); i++)
		if (resp.padding[i])
			return false;
	return true;
}

static bool is_quiet(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	return poll(&pollfd, 1, 0) == 0;
}

/* A whole round trip; 0xdead when there was none. */
static uint64_t call(const struct sub *sub, bool write, uint64_t offset, uint64_t data,
		     unsigned int exponent)
{
	struct wire_ioregion_cmd cmd = command(sub, write, offset, data, exponent, true);
	uint64_t answer;

	if (!send_bytes(sub->fd, &cmd, sizeof(cmd)) || !receive(sub->fd, &answer))
		return 0xdead;
	return answer;
}

/* Whether the server closes its end. */
static bool is_lost(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	uint8_t bytes[64];
	int64_t deadline = 0;

	while (poll(&pollfd, 1, peer_time_left(&deadline)) == 1)
		if (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) <= 0)
			return true;
	return false;
}

#define SEEN(peer, field) peer_read(peer, FP_BAR2, offsetof(struct seen, field), 8)

#define AWAIT_SEEN(peer, field, wanted)                                      \
	({                                                                   \
		int64_t deadline__ = 0;                                      \
		uint64_t seen__;                                             \
                                                                             \
		while ((seen__ = SEEN(peer, field)) != (uint64_t)(wanted) && \
		       peer_time_left(&deadline__))                          \
			;                                                    \
		seen__;                                                      \
	})

#define JSON(members) "{\"capabilities\":{" members "}}"
#define WITH_SHADOW JSON("\"max_msg_fds\":16,\"shadow_ioeventfd\":true")

static void ring(int fd, uint64_t times)
{
	while (write(fd, &times, sizeof(times)) < 0 && errno == EINTR)
		;
}

FIXTURE(ioregion) {
	struct peer *peer;
	struct told told;
	struct sub first;  /* of BAR0: from 0 to BELL_4 */
	struct sub posted; /* by the same fd */
	struct sub alone;
};

FIXTURE_SETUP(ioregion)
{
	self->peer = peer_open("block", PEER_OWN_CLASSES | PEER_LISTEN);
	ASSERT_EQ(0, ask(self->peer, FP_BAR0, &self->told));
	self->first = sub_at(&self->told, 0);
	self->posted = sub_at(&self->told, POSTED);
	self->alone = sub_at(&self->told, ALONE);
	ASSERT_LE(0, self->first.fd);
	ASSERT_LE(0, self->posted.fd);
	ASSERT_LE(0, self->alone.fd);
}

FIXTURE_TEARDOWN(ioregion)
{
	peer_stop(self->peer);
}

/* ---- what is told ---- */

TEST_F(ioregion, a_span_is_cut_up_around_the_doorbells_in_it)
{
	static const struct {
		uint64_t offset, size;
		uint32_t flags;
	} wanted[] = {
		{ 0, BELL_4, 0 },
		{ BELL_4 + 4, BELL_ANY - BELL_4 - 4, 0 },
		{ BELL_ANY + 1, BELL_MATCH - BELL_ANY - 1, 0 },
		{ BELL_MATCH + 4, POSTED - BELL_MATCH - 4, 0 },
		{ POSTED, 0x400, WIRE_IOREGION_POSTED_WRITES },
		{ ALONE, 0x100, 0 },
		{ BELL_IN_ORDER + 1, 0xff, 0 },
		{ BELL_IN_ORDER, 0, WIRE_IOREGION_POSTED_WRITES },
	};

	EXPECT_EQ(COUNT(wanted), count_type(&self->told, WIRE_IO_FD_IOREGIONFD));
	EXPECT_EQ(4, count_type(&self->told, WIRE_IO_FD_IOEVENTFD));
	for (unsigned int i = 0; i < COUNT(wanted); i++) {
		const struct wire_io_fd_deployed *entry =
			find(&self->told, WIRE_IO_FD_IOREGIONFD, wanted[i].offset);

		EXPECT_EQ(wanted[i].size, entry->size);
		EXPECT_EQ(wanted[i].flags, entry->flags);
	}
}

TEST_F(ioregion, spans_of_a_group_share_a_socket_that_keeps_packets_apart)
{
	int type;
	socklen_t len = sizeof(type);

	EXPECT_EQ(4 + 2, self->told.nr_fds);
	EXPECT_EQ(self->first.fd, self->posted.fd);
	EXPECT_EQ(self->first.fd, sub_at(&self->told, BELL_MATCH + 4).fd);
	EXPECT_EQ(self->first.fd, sub_at(&self->told, BELL_IN_ORDER).fd);
	EXPECT_NE(self->first.fd, self->alone.fd);
	EXPECT_NE(self->first.user_data, self->posted.user_data);
	ASSERT_EQ(0, getsockopt(self->first.fd, SOL_SOCKET, SO_TYPE, &type, &len));
	EXPECT_EQ(SOCK_SEQPACKET, type);
}

TEST_F(ioregion, a_span_in_io_space_says_so)
{
	struct told told;
	struct sub sub;

	ASSERT_EQ(0, ask(self->peer, FP_BAR1, &told));
	ASSERT_EQ(1, told.nr);
	EXPECT_EQ(WIRE_IOREGION_PIO | WIRE_IOREGION_POSTED_WRITES, told.entries[0].flags);
	sub = sub_at(&told, 0x10);
	EXPECT_EQ(0, call(&sub, true, 0x2f, 0xab, 0));
	EXPECT_EQ(0xab, peer_read(self->peer, FP_BAR1, 0x2f, 1));
}

TEST_F(ioregion, asking_again_hands_out_the_same_fds)
{
	unsigned int before = peer_count_fds(self->peer);
	struct told told;
	struct sub sub;

	ASSERT_EQ(0, ask(self->peer, FP_BAR0, &told));
	EXPECT_EQ(before, peer_count_fds(self->peer));
	EXPECT_EQ(0, memcmp(told.entries, self->told.entries, sizeof(told.entries)));
	sub = sub_at(&told, ALONE);
	EXPECT_EQ(0, call(&sub, true, ALONE, 5, 3));
	EXPECT_EQ(5, call(&self->alone, false, ALONE, 0, 3));
}

TEST(entries_are_told_in_the_published_layout_too_and_user_data_with_them)
{
	struct peer *peer = peer_start("block,io-fds-layout=spec", PEER_OWN_CLASSES);
	struct wire_region_io_fds question = { .argsz = 8192, .index = FP_BAR0 };
	struct wire_region_io_fds answer;
	unsigned int nr = 0;

	ASSERT_EQ(0, peer_version(peer, WITH_SHADOW));
	ASSERT_EQ(0, peer_call(peer, WIRE_DEVICE_GET_REGION_IO_FDS, &question, sizeof(question)));
	memcpy(&answer, peer->reply.body, sizeof(answer));
	ASSERT_EQ(12, answer.count);
	ASSERT_EQ(FIXED + 12 * sizeof(struct wire_io_fd_spec), answer.argsz);
	for (uint32_t i = 0; i < answer.count; i++) {
		struct wire_io_fd_spec entry;
		struct sub sub;

		memcpy(&entry, peer->reply.body + FIXED + i * sizeof(entry), sizeof(entry));
		if (entry.type != WIRE_IO_FD_IOREGIONFD || !entry.size)
			continue;
		ASSERT_GT(peer->reply.nr_fds, entry.fd_index);
		sub = (struct sub){ peer->reply.fds[entry.fd_index], entry.datamatch,
				    entry.offset };
		EXPECT_EQ(0, call(&sub, true, entry.offset, i + 1, 0));
		EXPECT_EQ(i + 1, call(&sub, false, entry.offset, 0, 0));
		nr++;
	}
	EXPECT_EQ(7, nr);
	/* A doorbell with a value has no room for its slot there. */
	question.index = FP_BAR3;
	ASSERT_EQ(0, peer_call(peer, WIRE_DEVICE_GET_REGION_IO_FDS, &question, sizeof(question)));
	memcpy(&answer, peer->reply.body, sizeof(answer));
	EXPECT_EQ(4 + 1, answer.count);
	peer_stop(peer);
}

TEST(entries_are_told_whose_fds_a_client_takes)
{
	/* BAR0: four doorbells with an fd each, then the group's socket, then the one by itself. */
	static const uint32_t entries[] = { 0, 1, 2, 3, 4, 10, 12, 12 };
	/* BAR3: the group, two fds for the first value and one for each other, a doorbell, a span. */
	static const uint32_t shadow_entries[] = { 0, 3, 4, 4, 5, 6, 7, 9 };

	for (unsigned int max = 0; max < COUNT(entries); max++) {
		struct peer *peer = peer_start("block", PEER_OWN_CLASSES);
		struct told told;
		char json[128];

		snprintf(json, sizeof(json), JSON("\"max_msg_fds\":%u,\"shadow_ioeventfd\":true"),
			 max);
		ASSERT_EQ(0, peer_version(peer, json));
		ASSERT_EQ(0, ask(peer, FP_BAR0, &told));
		EXPECT_EQ(entries[max], told.nr);
		EXPECT_EQ(max < 6 ? max : 6, told.nr_fds);
		ASSERT_EQ(0, ask(peer, FP_BAR3, &told));
		EXPECT_EQ(shadow_entries[max], told.nr);
		EXPECT_GE(max, told.nr_fds);
		for (uint32_t i = 0; i < told.nr; i++) {
			EXPECT_GT(told.nr_fds, told.entries[i].fd_index);
			EXPECT_GT(told.nr_fds, told.entries[i].shadow_mem_fd_index);
		}
		peer_stop(peer);
	}
}

TEST(a_server_without_fds_to_spare_offers_none_and_leaks_none)
{
	struct peer *peer = peer_open("block", PEER_OWN_CLASSES);
	unsigned int before = peer_count_fds(peer);
	struct rlimit limit, tight;
	struct told told;

	ASSERT_EQ(0, prlimit(peer->pid, RLIMIT_NOFILE, NULL, &limit));
	for (unsigned int spare = 0; spare < 7; spare++) { /* four eventfds and two pairs */
		tight = (struct rlimit){ before + spare, limit.rlim_max };
		ASSERT_EQ(0, prlimit(peer->pid, RLIMIT_NOFILE, &tight, NULL));
		ASSERT_EQ(0, ask(peer, FP_BAR0, &told));
		EXPECT_EQ(0, told.nr);
		EXPECT_EQ(before, peer_count_fds(peer));
	}
	ASSERT_EQ(0, prlimit(peer->pid, RLIMIT_NOFILE, &limit, NULL));
	ASSERT_EQ(0, ask(peer, FP_BAR0, &told));
	EXPECT_EQ(12, told.nr);
	peer_stop(peer);
}

/* ---- commands and answers ---- */

TEST_F(ioregion, every_size_at_every_alignment_is_written_and_read)
{
	for (unsigned int exponent = 0; exponent <= 3; exponent++)
		for (uint64_t offset = 0x40; offset < 0x48; offset++) {
			uint64_t value = 0x8877665544332211 + (offset << 8 | exponent);
			uint64_t mask = exponent == 3 ? UINT64_MAX : (1ull << (8u << exponent)) - 1;

			EXPECT_EQ(0, call(&self->first, true, 0x38, 0, 3));
			EXPECT_EQ(0, call(&self->first, true, offset, value, exponent));
			EXPECT_EQ(1u << exponent, SEEN(self->peer, size));
			EXPECT_EQ(offset, SEEN(self->peer, offset));
			EXPECT_EQ(value & mask, SEEN(self->peer, value));
			EXPECT_EQ(value & mask, call(&self->first, false, offset, 0, exponent));
			EXPECT_EQ(value & mask,
				  peer_read(self->peer, FP_BAR0, offset, 1u << exponent));
		}
}

TEST_F(ioregion, the_last_bytes_of_a_sub_region_are_its_own)
{
	EXPECT_EQ(0, call(&self->first, true, BELL_4 - 8, UINT64_MAX, 3));
	EXPECT_EQ(0xff, call(&self->first, false, BELL_4 - 1, 0, 0));
	EXPECT_EQ(0, SEEN(self->peer, rings));
}

TEST_F(ioregion, what_is_written_by_one_road_is_read_by_the_other)
{
	EXPECT_EQ(0, call(&self->alone, true, ALONE + 8, 0x1234, 1));
	EXPECT_EQ(0x1234, peer_read(self->peer, FP_BAR0, ALONE + 8, 2));
	EXPECT_EQ(0, peer_write(self->peer, FP_BAR0, ALONE + 8, 0x5678, 2));
	EXPECT_EQ(0x5678, call(&self->alone, false, ALONE + 8, 0, 1));
}

TEST_F(ioregion, user_data_tells_sub_regions_of_one_fd_apart)
{
	EXPECT_EQ(0, call(&self->first, true, 0x10, 1, 2));
	EXPECT_EQ(0, call(&self->posted, true, POSTED + 0x10, 2, 2));
	EXPECT_EQ(1, call(&self->first, false, 0x10, 0, 2));
	EXPECT_EQ(2, call(&self->posted, false, POSTED + 0x10, 0, 2));
	EXPECT_EQ(1, peer_read(self->peer, FP_BAR0, 0x10, 4));
	EXPECT_EQ(2, peer_read(self->peer, FP_BAR0, POSTED + 0x10, 4));
}

TEST_F(ioregion, commands_of_v1_and_v2_are_understood)
{
	for (uint8_t exponent = 0; exponent <= 3; exponent++) {
		struct wire_ioregion_cmd cmd = {
			.cmd = (uint8_t)(WIRE_IOREGION_WRITE | exponent << 4 | 1 << 6),
			.user_data = self->alone.user_data,
			.offset = 8,
			.data = 0x1122334455667788,
		};
		uint64_t wanted = cmd.data & (UINT64_MAX >> (64 - (8 << exponent)));
		uint64_t answer;

		ASSERT_TRUE(send_bytes(self->alone.fd, &cmd, sizeof(cmd)));
		ASSERT_TRUE(receive(self->alone.fd, &answer));
		EXPECT_EQ(1u << exponent, SEEN(self->peer, size));
		EXPECT_EQ(wanted, SEEN(self->peer, value));
		cmd.cmd = (uint8_t)(WIRE_IOREGION_READ | exponent << 4 | 1 << 6);
		ASSERT_TRUE(send_bytes(self->alone.fd, &cmd, sizeof(cmd)));
		ASSERT_TRUE(receive(self->alone.fd, &answer));
		EXPECT_EQ(wanted, answer);
	}
}

TEST_F(ioregion, the_resp_bit_says_whether_there_is_an_answer)
{
	struct wire_ioregion_cmd read = command(&self->alone, false, ALONE, 0, 2, false);

	ASSERT_TRUE(post(&self->alone, ALONE, 7, 2));
	ASSERT_TRUE(send_bytes(self->alone.fd, &read, sizeof(read)));
	EXPECT_EQ(7, call(&self->alone, false, ALONE, 0, 2));
	EXPECT_EQ(3, SEEN(self->peer, accesses));
	EXPECT_TRUE(is_quiet(self->alone.fd));
}

TEST_F(ioregion, a_read_that_fails_is_ones_and_a_write_is_answered)
{
	EXPECT_EQ(UINT64_MAX, call(&self->alone, false, REFUSED, 0, 1));
	EXPECT_EQ(0, call(&self->alone, true, REFUSED, 9, 1));
	EXPECT_EQ(0, call(&self->alone, false, ALONE, 0, 0));
}

TEST_F(ioregion, a_thousand_posted_writes_keep_their_order)
{
	for (unsigned int i = 0; i < 1000; i++) {
		ASSERT_TRUE(post(&self->posted, NEXT_NUMBER, i, 3));
	}
	EXPECT_EQ(1000, AWAIT_SEEN(self->peer, accesses, 1000));
	EXPECT_EQ(0, SEEN(self->peer, out_of_order));
	EXPECT_TRUE(is_quiet(self->posted.fd));
}

TEST_F(ioregion, a_read_finds_the_posted_writes_before_it_done)
{
	for (uint64_t i = 1; i <= 100; i++) {
		ASSERT_TRUE(post(&self->posted, POSTED + 8, i, 3));
		ASSERT_EQ(i, call(&self->posted, false, POSTED + 8, 0, 3));
	}
}

TEST_F(ioregion, a_doorbell_of_size_0_rings_in_order_and_is_never_answered)
{
	struct sub bell = sub_at(&self->told, BELL_IN_ORDER);
	struct wire_ioregion_cmd read = command(&bell, false, BELL_IN_ORDER, 0, 2, true);
	struct wire_ioregion_cmd asks = command(&bell, true, BELL_IN_ORDER, 0, 2, true);

	for (unsigned int i = 0; i < 3; i++) {
		ASSERT_TRUE(post(&self->posted, NEXT_NUMBER, i, 3));
		ASSERT_TRUE(post(&bell, BELL_IN_ORDER, 0xffff, i));
		ASSERT_TRUE(send_bytes(bell.fd, &read, sizeof(read)));
	}
	EXPECT_EQ(2, call(&self->posted, false, NEXT_NUMBER, 0, 3));
	EXPECT_EQ(3, SEEN(self->peer, rings));
	EXPECT_EQ(2, SEEN(self->peer, rings_before));
	ASSERT_TRUE(send_bytes(bell.fd, &asks, sizeof(asks)));
	EXPECT_EQ(4, AWAIT_SEEN(self->peer, rings, 4));
	EXPECT_TRUE(is_quiet(bell.fd));
	EXPECT_EQ(BELL_IN_ORDER, SEEN(self->peer, offset));
	EXPECT_EQ(0, SEEN(self->peer, size));
	EXPECT_EQ(0, SEEN(self->peer, value));
}

/* ---- what is answered later ---- */

TEST_F(ioregion, a_deferred_access_is_answered_later_and_holds_up_those_behind_it)
{
	struct wire_ioregion_cmd slow = command(&self->alone, false, SLOW, 0, 2, true);
	uint64_t answer;

	ASSERT_TRUE(send_bytes(self->alone.fd, &slow, sizeof(slow)));
	ASSERT_TRUE(post(&self->alone, ALONE, 1, 2));
	ASSERT_TRUE(post(&self->posted, POSTED, 1, 2)); /* of the same region, by another fd */
	EXPECT_EQ(1, AWAIT_SEEN(self->peer, accesses, 1));
	EXPECT_TRUE(is_quiet(self->alone.fd));
	EXPECT_EQ(1, SEEN(self->peer, accesses));
	EXPECT_EQ(0, peer_write(self->peer, FP_BAR2, 0, 0xabcd, 8));
	ASSERT_TRUE(receive(self->alone.fd, &answer));
	EXPECT_EQ(0xabcd, answer);
	EXPECT_EQ(3, AWAIT_SEEN(self->peer, accesses, 3));
	EXPECT_EQ(1, call(&self->alone, false, ALONE, 0, 2));
}

TEST_F(ioregion, behind_a_deferred_write_posted_ones_wait_in_the_socket_until_it_is_full)
{
	unsigned int nr = 0;

	ASSERT_TRUE(post(&self->alone, SLOW, 0, 3));
	EXPECT_EQ(1, AWAIT_SEEN(self->peer, accesses, 1));
	/* Full is when the server has had 50 round trips' time to make room, and has not. */
	for (unsigned int full = 0; full < 50 && nr < 5000;) {
		struct wire_ioregion_cmd cmd =
			command(&self->posted, true, NEXT_NUMBER, nr, 3, false);
		bool sent = send(self->posted.fd, &cmd, sizeof(cmd), MSG_DONTWAIT) == sizeof(cmd);

		nr += sent;
		full = sent ? 0 : full + 1;
		if (!sent) {
			ASSERT_EQ(1, SEEN(self->peer, accesses));
		}
	}
	EXPECT_GT(1000, nr);
	EXPECT_EQ(0, peer_write(self->peer, FP_BAR2, 0, 0, 8));
	EXPECT_EQ(1 + nr, AWAIT_SEEN(self->peer, accesses, 1 + nr));
	EXPECT_EQ(0, SEEN(self->peer, out_of_order));
	EXPECT_EQ(nr - 1, call(&self->posted, false, NEXT_NUMBER, 0, 3)); /* and it goes on */
}

TEST_F(ioregion, a_client_may_leave_while_an_access_is_deferred)
{
	struct wire_ioregion_cmd slow = command(&self->alone, false, SLOW, 0, 2, true);
	unsigned int before;

	peer_reconnect(self->peer);
	before = peer_count_fds(self->peer);
	for (unsigned int i = 0; i < 4; i++) {
		struct told told;

		ASSERT_EQ(0, ask(self->peer, FP_BAR0, &told));
		self->alone = sub_at(&told, ALONE);
		ASSERT_TRUE(send_bytes(self->alone.fd, &slow, sizeof(slow)));
		ASSERT_TRUE(post(&self->alone, ALONE, 1, 2));
		EXPECT_EQ(i + 1, AWAIT_SEEN(self->peer, accesses, i + 1));
		peer_disconnect(self->peer);
		EXPECT_TRUE(is_lost(self->alone.fd));
		peer_reconnect(self->peer);
		EXPECT_EQ(before, peer_count_fds(self->peer));
		EXPECT_EQ(i + 1, SEEN(self->peer, accesses)); /* what was parked is gone */
	}
}

/* ---- before what ends or moves ---- */

/* Many commands, and a message behind them, of which the server finds out at the same time. */
#define BEFORE 200

TEST_F(ioregion, what_was_sent_before_a_reset_is_done_before_it)
{
	uint16_t id;

	peer_freeze(self->peer);
	for (unsigned int i = 0; i < BEFORE; i++) {
		ASSERT_TRUE(post(&self->posted, POSTED + 8, i, 3));
	}
	id = peer_command(self->peer, WIRE_DEVICE_RESET, NULL, 0, NULL, 0);
	peer_thaw(self->peer);
	ASSERT_EQ(0, peer_answer(self->peer, id, WIRE_DEVICE_RESET));
	EXPECT_EQ(BEFORE, SEEN(self->peer, before_reset));
	EXPECT_EQ(0, SEEN(self->peer, accesses));
	EXPECT_EQ(0, call(&self->alone, true, ALONE, 1, 0)); /* and the fds go on */
}

TEST_F(ioregion, what_was_sent_before_an_unmap_still_finds_the_memory)
{
	struct wire_dma_map map = {
		.argsz = sizeof(map),
		.flags = WIRE_DMA_READABLE | WIRE_DMA_WRITEABLE,
		.address = 0x10000,
		.size = 0x1000,
	};
	struct wire_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.address = map.address,
		.size = map.size,
	};
	int memory = memfd_create("memory", MFD_CLOEXEC);
	uint16_t id;

	ASSERT_EQ(0, ftruncate(memory, 0x1000));
	ASSERT_EQ(0, peer_call_fds(self->peer, WIRE_DMA_MAP, &map, sizeof(map), &memory, 1));
	peer_freeze(self->peer);
	for (unsigned int i = 0; i < BEFORE; i++) {
		ASSERT_TRUE(post(&self->posted, USE_DMA, i, 3));
	}
	id = peer_command(self->peer, WIRE_DMA_UNMAP, &unmap, sizeof(unmap), NULL, 0);
	peer_thaw(self->peer);
	ASSERT_EQ(0, peer_answer(self->peer, id, WIRE_DMA_UNMAP));
	EXPECT_EQ(BEFORE, SEEN(self->peer, accesses));
	EXPECT_EQ(0, SEEN(self->peer, without_dma));
}

TEST_F(ioregion, what_was_sent_before_a_device_is_saved_is_in_its_state)
{
	struct {
		struct wire_device_feature feature;
		struct wire_mig_device_state state;
	} __attribute__((packed)) set = {
		.feature = { sizeof(set), WIRE_FEATURE_SET | WIRE_FEATURE_MIG_DEVICE_STATE },
		.state = { .device_state = WIRE_MIG_STOP_COPY },
	};
	uint16_t id;

	peer_freeze(self->peer);
	for (unsigned int i = 0; i < BEFORE; i++) {
		ASSERT_TRUE(post(&self->posted, POSTED + 8, i, 3));
	}
	id = peer_command(self->peer, WIRE_DEVICE_FEATURE, &set, sizeof(set), NULL, 0);
	peer_thaw(self->peer);
	ASSERT_EQ(0, peer_answer(self->peer, id, WIRE_DEVICE_FEATURE));
	EXPECT_EQ(BEFORE, SEEN(self->peer, before_save));
}

TEST_F(ioregion, a_reset_waits_for_what_a_command_before_it_began)
{
	uint16_t id;

	ASSERT_TRUE(post(&self->alone, SLOW, 0, 3));
	ASSERT_TRUE(post(&self->alone, ALONE, 0, 3));
	EXPECT_EQ(1, AWAIT_SEEN(self->peer, accesses, 1));
	id = peer_command(self->peer, WIRE_DEVICE_RESET, NULL, 0, NULL, 0);
	peer_drain(self->peer);
	EXPECT_TRUE(is_quiet(self->peer->fd));
	ring(self->told.fds[0], 1); /* a road that does not wait */
	ASSERT_EQ(0, peer_answer(self->peer, id, WIRE_DEVICE_RESET));
	EXPECT_EQ(2, SEEN(self->peer, before_reset));
}

/* A ring that is found while a waiting command is looked at, and ends what that waits for. */
TEST_F(ioregion, what_a_reset_waits_for_may_end_while_that_is_looked_at)
{
	struct wire_dma_unmap unmap = { .argsz = sizeof(unmap), .flags = WIRE_DMA_UNMAP_ALL };
	uint8_t message[64];

	for (unsigned int i = 0; i < 20; i++) {
		size_t len = peer_message_read(message, 7, FP_BAR0, SLOW, 4);
		uint16_t reset, all;

		peer_send(self->peer, message, len, NULL, 0);
		reset = peer_command(self->peer, WIRE_DEVICE_RESET, NULL, 0, NULL, 0);
		peer_drain(self->peer);
		EXPECT_TRUE(is_quiet(self->peer->fd));
		peer_freeze(self->peer);
		all = peer_command(self->peer, WIRE_DMA_UNMAP, &unmap, sizeof(unmap), NULL, 0);
		ring(self->told.fds[0], 1);
		peer_thaw(self->peer);
		ASSERT_EQ(0, peer_answer(self->peer, 7, WIRE_REGION_READ));
		ASSERT_EQ(0, peer_answer(self->peer, reset, WIRE_DEVICE_RESET));
		ASSERT_EQ(0, peer_answer(self->peer, all, WIRE_DMA_UNMAP));
	}
}

/* ---- nonsense ---- */

/* What goes on: the same region by message and by another fd, and the fd is not told of again. */
#define EXPECT_ONLY_LOST(sub_, other, field)                                            \
	do {                                                                            \
		struct told told__;                                                     \
                                                                                        \
		EXPECT_TRUE(is_lost((sub_).fd));                                        \
		EXPECT_EQ(1, peer_log_count(self->peer, field));                        \
		EXPECT_EQ(1, peer_log_count(self->peer, "an ioregionfd is closed"));    \
		EXPECT_EQ(0, peer_write(self->peer, FP_BAR0, (sub_).start + 8, 77, 1)); \
		EXPECT_EQ(77, peer_read(self->peer, FP_BAR0, (sub_).start + 8, 1));     \
		EXPECT_EQ(0, call(&(other), true, (other).start + 4, 78, 0));           \
		EXPECT_EQ(78, call(&(other), false, (other).start + 4, 0, 0));          \
		ASSERT_EQ(0, ask(self->peer, FP_BAR0, &told__));                        \
		EXPECT_EQ(-1, sub_at(&told__, (sub_).start).fd);                        \
		EXPECT_LE(0, sub_at(&told__, (other).start).fd);                        \
	} while (0)

FIXTURE(nonsense) {
	struct peer *peer;
	struct told told;
	struct sub first, alone;
};

FIXTURE_VARIANT(nonsense) {
	struct wire_ioregion_cmd cmd;
	const char *field;
	size_t len; /* 0: as long as it should be */
};

/* user_data of the span that is by itself: the tenth of twelve entries. */
#define ALONE_DATA 9

#define NONSENSE(name, field_, ...)                      \
	FIXTURE_VARIANT_ADD(nonsense, name) {            \
		.cmd = { __VA_ARGS__ }, .field = field_, \
	}

/* clang-format off */
NONSENSE(an_unknown_command, "cmd 0x2", .user_data = ALONE_DATA, .cmd = 2);
NONSENSE(an_unknown_command_of_v2, "cmd 0x3", .user_data = ALONE_DATA, .cmd = 0x13);
NONSENSE(an_unknown_bit_of_v2, "info 0x80", .user_data = ALONE_DATA, .cmd = 0x80);
NONSENSE(unknown_bytes_of_v2, "info 0x141", .user_data = ALONE_DATA, .cmd = 0x41, .size_resp = 1);
NONSENSE(a_size_of_16_bytes, "size_exponent 0x4", .user_data = ALONE_DATA, .size_resp = 4);
NONSENSE(a_size_of_32_kib, "size_exponent 0xf", .user_data = ALONE_DATA, .size_resp = 0x1f);
NONSENSE(an_offset_behind_the_end, "offset 0x100", .user_data = ALONE_DATA, .offset = 0x100);
NONSENSE(an_offset_too_near_to_the_end, "offset 0xf9", .user_data = ALONE_DATA, .offset = 0xf9, .size_resp = 3);
NONSENSE(an_offset_that_wraps, "offset 0xffffffffffffffff", .user_data = ALONE_DATA, .offset = UINT64_MAX, .size_resp = 1);
NONSENSE(user_data_of_another_fd, "user_data 0x4", .user_data = 4);
NONSENSE(user_data_of_an_eventfd, "user_data 0", .user_data = 0);
NONSENSE(user_data_of_nothing, "user_data 0xc", .user_data = 12);
NONSENSE(user_data_far_away, "user_data 0xfffffffffffffff0", .user_data = UINT64_MAX - 15);
/* clang-format on */

FIXTURE_VARIANT_ADD(nonsense, half_a_command) {
	.len = 16, .field = "length of a command 0x10",
};

FIXTURE_VARIANT_ADD(nonsense, a_command_and_a_byte) {
	.len = 33, .field = "length of a command 0x21",
};

FIXTURE_VARIANT_ADD(nonsense, twenty_thousand_bytes) {
	.len = 20000, .field = "length of a command",
};

FIXTURE_SETUP(nonsense)
{
	self->peer = peer_open("block", PEER_OWN_CLASSES);
	ASSERT_EQ(0, ask(self->peer, FP_BAR0, &self->told));
	self->first = sub_at(&self->told, 0);
	self->alone = sub_at(&self->told, ALONE);
	ASSERT_EQ(ALONE_DATA, self->alone.user_data);
}

FIXTURE_TEARDOWN(nonsense)
{
	peer_stop(self->peer);
}

TEST_F(nonsense, loses_its_fd_and_nothing_else)
{
	uint8_t bytes[20000] = { 0 };
	unsigned int before = peer_count_fds(self->peer);

	memcpy(bytes, &variant->cmd, sizeof(variant->cmd));
	ASSERT_TRUE(send_bytes(self->alone.fd, bytes,
			       variant->len ? variant->len : sizeof(variant->cmd)));
	EXPECT_ONLY_LOST(self->alone, self->first, variant->field);
	EXPECT_EQ(before - 1, peer_count_fds(self->peer));
}

TEST_F(ioregion, an_empty_packet_or_a_shut_end_loses_its_fd_and_nothing_else)
{
	ASSERT_TRUE(send_bytes(self->alone.fd, NULL, 0));
	EXPECT_ONLY_LOST(self->alone, self->first, "length of a command 0");
	shutdown(self->first.fd, SHUT_RDWR);
	EXPECT_TRUE(is_lost(self->first.fd));
	EXPECT_EQ(0, peer_write(self->peer, FP_BAR0, 8, 1, 1));
}

TEST_F(ioregion, fds_that_come_with_a_command_are_closed_and_it_loses_its_fd)
{
	struct wire_ioregion_cmd cmd = command(&self->alone, true, ALONE, 0, 0, true);
	struct peer raw = { .fd = self->alone.fd };
	unsigned int before = peer_count_fds(self->peer);
	int fd = 0;

	peer_send(&raw, &cmd, sizeof(cmd), &fd, 1);
	EXPECT_ONLY_LOST(self->alone, self->first, "number of fds in a command 0x1");
	EXPECT_EQ(before - 1, peer_count_fds(self->peer));
}

/* The answer and the nonsense meet in one turn of the server's, in either order. */
TEST_F(ioregion, an_answer_that_takes_along_an_fd_which_is_lost_meanwhile_leaves_all_the_same)
{
	const struct wire_region_io_fds asked = { .argsz = 4096, .index = FP_BAR0 };
	struct peer *peer = peer_open("block", PEER_OWN_CLASSES | PEER_LISTEN);
	struct told told;
	uint8_t byte = 0;

	for (unsigned int i = 0; i < 50; i++) {
		uint16_t id;

		ASSERT_EQ(0, ask(peer, FP_BAR0, &told));
		peer_freeze(peer);
		id = peer_command(peer, WIRE_DEVICE_GET_REGION_IO_FDS, &asked, sizeof(asked), NULL,
				  0);
		ASSERT_TRUE(send_bytes(sub_at(&told, ALONE).fd, &byte, 1));
		peer_thaw(peer);
		ASSERT_EQ(0, peer_answer(peer, id, WIRE_DEVICE_GET_REGION_IO_FDS));
		peer_reconnect(peer);
	}
	peer_stop(peer);
}

TEST_F(ioregion, what_comes_behind_nonsense_is_not_done)
{
	uint8_t byte = 0;

	peer_freeze(self->peer);
	ASSERT_TRUE(post(&self->alone, ALONE, 1, 0));
	ASSERT_TRUE(send_bytes(self->alone.fd, &byte, 1));
	ASSERT_TRUE(post(&self->alone, ALONE, 2, 0));
	peer_thaw(self->peer);
	EXPECT_TRUE(is_lost(self->alone.fd));
	EXPECT_EQ(1, peer_read(self->peer, FP_BAR0, ALONE, 1));
}

TEST_F(ioregion, a_client_that_does_not_read_its_answers_loses_its_fd_and_nothing_else)
{
	struct wire_ioregion_cmd read = command(&self->alone, false, ALONE, 0, 3, true);
	int64_t deadline = 0;

	/* More than its socket has room for wait in the server, and then it is enough. */
	while (send_bytes(self->alone.fd, &read, sizeof(read))) {
		ASSERT_NE(0, peer_time_left(&deadline));
	}
	EXPECT_ONLY_LOST(self->alone, self->first, "answers that nobody reads 0x400");
}

TEST_F(ioregion, a_client_that_reads_its_answers_late_gets_all_of_them)
{
	for (unsigned int round = 0; round < 3; round++) {
		for (unsigned int i = 0; i < 800; i++) {
			struct wire_ioregion_cmd cmd =
				command(&self->posted, i % 2, NEXT_NUMBER, i / 2, 3, true);

			ASSERT_TRUE(send_bytes(self->posted.fd, &cmd, sizeof(cmd)));
		}
		for (unsigned int i = 0; i < 800; i++) {
			uint64_t answer;

			ASSERT_TRUE(receive(self->posted.fd, &answer));
			ASSERT_EQ(i < 2 || i % 2 ? 0 : i / 2 - 1, i ? answer : 0);
		}
	}
}

TEST_F(ioregion, the_fds_of_a_former_client_reach_nobody)
{
	peer_reconnect(self->peer);
	EXPECT_TRUE(is_lost(self->first.fd));
	EXPECT_TRUE(is_lost(self->alone.fd));
	EXPECT_FALSE(post(&self->alone, ALONE, 1, 0));
	EXPECT_EQ(0, SEEN(self->peer, accesses));
}

/* ---- groups of doorbells ---- */

TEST(doorbells_of_a_group_share_an_eventfd_and_are_heard_as_its_first_by_every_road)
{
	struct peer *peer = peer_open("block", PEER_OWN_CLASSES);
	struct told told;
	uint64_t rings = 0;

	ASSERT_EQ(0, ask(peer, FP_BAR3, &told));
	ASSERT_EQ(4, count_type(&told, WIRE_IO_FD_IOEVENTFD));
	for (unsigned int i = 0; i < 3; i++) {
		const struct fp_doorbell *bell = &more_bells[i];
		uint64_t value = bell->nr_values ? bell->values[0] : 0;

		EXPECT_EQ(bell->offset, told.entries[i].offset);
		EXPECT_EQ(bell->width, told.entries[i].size);
		EXPECT_EQ(value, told.entries[i].datamatch);
		EXPECT_EQ(0, told.entries[i].fd_index);
		EXPECT_EQ(0, peer_write(peer, FP_BAR3, bell->offset, value, bell->width));
		EXPECT_EQ(++rings, SEEN(peer, rings));
		EXPECT_EQ(GROUPED, SEEN(peer, offset));
		EXPECT_EQ(4, SEEN(peer, size));
		EXPECT_EQ(0, SEEN(peer, value));
	}
	EXPECT_EQ(1, told.entries[3].fd_index);
	ring(told.fds[0], 5);
	EXPECT_EQ(rings + 5, AWAIT_SEEN(peer, rings, rings + 5));
	EXPECT_EQ(GROUPED, SEEN(peer, offset));
	EXPECT_EQ(4, SEEN(peer, size));
	peer_stop(peer);
}

/* ---- doorbells with values ---- */

TEST(without_a_client_that_stores_values_a_doorbell_with_one_goes_by_message_or_ioregionfd)
{
	struct peer *peer = peer_open("block", PEER_OWN_CLASSES);
	struct told told;
	struct sub sub;

	ASSERT_EQ(0, ask(peer, FP_BAR3, &told));
	EXPECT_EQ(0, count_type(&told, WIRE_IO_FD_SHADOW));
	EXPECT_EQ(0, peer_write(peer, FP_BAR3, SHADOWS, 0x12345678, 4));
	EXPECT_EQ(1, SEEN(peer, rings));
	EXPECT_EQ(0x12345678, SEEN(peer, value));
	/* The span over it has its bytes then. */
	sub = sub_at(&told, SHADOWS);
	ASSERT_LE(0, sub.fd);
	EXPECT_EQ(0x40, find(&told, WIRE_IO_FD_IOREGIONFD, SHADOWS)->size);
	EXPECT_EQ(0, call(&sub, true, SHADOWS + 8, UINT64_MAX, 3));
	EXPECT_EQ(2, SEEN(peer, rings));
	EXPECT_EQ(SHADOWS + 8, SEEN(peer, offset));
	EXPECT_EQ(UINT64_MAX, SEEN(peer, value));
	peer_stop(peer);
}

static struct peer *open_shadow(struct told *told, uint8_t **memory)
{
	struct peer *peer = peer_start("block", PEER_OWN_CLASSES);
	const struct wire_io_fd_deployed *entry;

	if (peer_version(peer, WITH_SHADOW) || ask(peer, FP_BAR3, told))
		return peer;
	entry = find(told, WIRE_IO_FD_SHADOW, SHADOWS);
	if (entry->shadow_mem_fd_index < told->nr_fds)
		*memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
			       told->fds[entry->shadow_mem_fd_index], 0);
	return peer;
}

TEST(a_doorbell_with_a_value_is_an_eventfd_and_a_slot_of_memory_nobody_can_resize)
{
	struct told told;
	uint8_t *memory = MAP_FAILED;
	struct peer *peer = open_shadow(&told, &memory);
	int fd;

	ASSERT_NE(MAP_FAILED, memory);
	EXPECT_EQ(3, count_type(&told, WIRE_IO_FD_SHADOW));
	fd = told.fds[find(&told, WIRE_IO_FD_SHADOW, SHADOWS)->shadow_mem_fd_index];
	for (unsigned int i = 3; i < 6; i++) {
		EXPECT_EQ(WIRE_IO_FD_SHADOW, told.entries[i].type);
		EXPECT_EQ(more_bells[i].width, told.entries[i].size);
		EXPECT_EQ(fd, told.fds[told.entries[i].shadow_mem_fd_index]);
		EXPECT_EQ(8 * (i - 3), told.entries[i].shadow_offset);
		EXPECT_TRUE(fd_is_eventfd(told.fds[told.entries[i].fd_index]));
	}
	EXPECT_NE(0, ftruncate(fd, 0));
	EXPECT_NE(0, ftruncate(fd, 8192));
	/* Around them the span goes on. */
	EXPECT_EQ(4, find(&told, WIRE_IO_FD_IOREGIONFD, SHADOWS + 4)->size);
	EXPECT_EQ(0x40 - 0x12, find(&told, WIRE_IO_FD_IOREGIONFD, SHADOWS + 0x12)->size);
	EXPECT_EQ(2, count_type(&told, WIRE_IO_FD_IOREGIONFD));
	peer_stop(peer);
}

TEST(a_ring_brings_the_value_that_was_stored_last)
{
	struct told told;
	uint8_t *memory = MAP_FAILED;
	struct peer *peer = open_shadow(&told, &memory);
	uint64_t rings = 0;

	ASSERT_NE(MAP_FAILED, memory);
	for (unsigned int i = 3; i < 6; i++) {
		const struct wire_io_fd_deployed *entry = &told.entries[i];
		uint64_t value = 0x1122334455667788ull * i;
		uint64_t wanted = 0;

		memcpy(&wanted, &value, entry->size);
		memcpy(memory + entry->shadow_offset, &value, sizeof(value)); /* wider than it is */
		ring(told.fds[entry->fd_index], 3);
		rings += 3;
		EXPECT_EQ(rings, AWAIT_SEEN(peer, rings, rings));
		EXPECT_EQ(wanted, SEEN(peer, value));
		EXPECT_EQ(entry->size, SEEN(peer, size));
		EXPECT_EQ(entry->offset, SEEN(peer, offset));
		EXPECT_EQ(3, SEEN(peer, times));
	}
	EXPECT_EQ(0, peer_write(peer, FP_BAR3, SHADOWS, 99, 4)); /* and a message its own */
	EXPECT_EQ(99, SEEN(peer, value));
	peer_stop(peer);
}

static int set_state(struct peer *peer, uint32_t state)
{
	struct {
		struct wire_device_feature feature;
		struct wire_mig_device_state state;
	} __attribute__((packed)) set = {
		.feature = { sizeof(set), WIRE_FEATURE_SET | WIRE_FEATURE_MIG_DEVICE_STATE },
		.state = { .device_state = state },
	};

	return peer_call(peer, WIRE_DEVICE_FEATURE, &set, sizeof(set));
}

TEST_F(ioregion, what_comes_while_the_device_stands_waits_until_it_runs_again)
{
	ASSERT_EQ(0, set_state(self->peer, WIRE_MIG_STOP));
	ASSERT_TRUE(post(&self->alone, ALONE, 7, 2));
	/* Takes what is in the socket before it saves. */
	ASSERT_EQ(0, set_state(self->peer, WIRE_MIG_STOP_COPY));
	EXPECT_EQ(0, SEEN(self->peer, before_save));
	EXPECT_EQ(0, SEEN(self->peer, accesses));
	ASSERT_EQ(0, set_state(self->peer, WIRE_MIG_RUNNING));
	EXPECT_EQ(1, SEEN(self->peer, accesses));
	EXPECT_EQ(7, call(&self->alone, false, ALONE, 0, 2));
}

TEST_F(ioregion, what_waits_for_a_device_that_stands_is_done_after_a_reset)
{
	struct wire_ioregion_cmd read = command(&self->alone, false, ALONE, 0, 2, true);
	uint64_t answer;

	ASSERT_EQ(0, set_state(self->peer, WIRE_MIG_STOP));
	ASSERT_TRUE(send_bytes(self->alone.fd, &read, sizeof(read)));
	ASSERT_EQ(0, set_state(self->peer, WIRE_MIG_STOP_COPY));
	EXPECT_TRUE(is_quiet(self->alone.fd));
	ASSERT_EQ(0, peer_call(self->peer, WIRE_DEVICE_RESET, NULL, 0));
	EXPECT_TRUE(receive(self->alone.fd, &answer));
}

TEST(a_ring_with_a_value_that_was_kept_while_the_device_stood_has_it_afterwards)
{
	struct told told;
	uint8_t *memory = MAP_FAILED;
	struct peer *peer = open_shadow(&told, &memory);

	ASSERT_NE(MAP_FAILED, memory);
	ASSERT_EQ(0, set_state(peer, WIRE_MIG_STOP));
	EXPECT_EQ(0, peer_write(peer, FP_BAR3, SHADOWS, 5, 4));
	EXPECT_EQ(0, peer_write(peer, FP_BAR3, SHADOWS, 6, 4));
	EXPECT_EQ(0, SEEN(peer, rings));
	ASSERT_EQ(0, set_state(peer, WIRE_MIG_RUNNING));
	EXPECT_EQ(2, SEEN(peer, rings));
	EXPECT_EQ(6, SEEN(peer, value));
	EXPECT_EQ(2, SEEN(peer, times));
	peer_stop(peer);
}

/* Reads the whole state, at most `size` bytes; how many those are. */
static size_t read_state(struct peer *peer, void *to, uint32_t size)
{
	struct wire_mig_data data = { .argsz = sizeof(data) + size, .size = size };

	if (peer_call(peer, WIRE_MIG_DATA_READ, &data, sizeof(data)))
		return 0;
	memcpy(to, peer->reply.body + sizeof(data), peer->reply.len - sizeof(data));
	return peer->reply.len - sizeof(data);
}

static int write_state(struct peer *peer, const void *from, size_t size)
{
	uint8_t message[16384];
	struct wire_mig_data data = { (uint32_t)(sizeof(data) + size), (uint32_t)size };

	memcpy(message, &data, sizeof(data));
	memcpy(message + sizeof(data), from, size);
	return peer_call(peer, WIRE_MIG_DATA_WRITE, message, sizeof(data) + size);
}

TEST(a_ring_with_a_value_that_was_kept_travels_with_the_state)
{
	struct peer *source = peer_open("block", PEER_OWN_CLASSES);
	struct peer *destination = peer_open("block", PEER_OWN_CLASSES);
	uint8_t state[8192];
	size_t size;

	ASSERT_EQ(0, set_state(source, WIRE_MIG_STOP));
	EXPECT_EQ(0, peer_write(source, FP_BAR3, SHADOWS + 8, 0x1122334455667788, 8));
	ASSERT_EQ(0, set_state(source, WIRE_MIG_STOP_COPY));
	size = read_state(source, state, sizeof(state));
	ASSERT_LT(0, size);
	ASSERT_EQ(0, set_state(destination, WIRE_MIG_RESUMING));
	ASSERT_EQ(0, write_state(destination, state, size));
	ASSERT_EQ(0, set_state(destination, WIRE_MIG_RUNNING));
	EXPECT_EQ(1, SEEN(destination, rings));
	EXPECT_EQ(SHADOWS + 8, SEEN(destination, offset));
	EXPECT_EQ(0x1122334455667788, SEEN(destination, value));
	peer_stop(source);
	peer_stop(destination);
}

TEST(our_client_is_told_of_doorbells_with_values_if_it_says_so)
{
	for (unsigned int asks = 0; asks < 2; asks++) {
		struct peer *peer = peer_start("block", PEER_OWN_CLASSES);
		struct fpc_options options = { .flags = asks ? FPC_SHADOW_IOEVENTFD : 0 };
		struct fpc_io_fds set;
		struct fpc *client;

		ASSERT_EQ(0, fpc_open(peer->fd, &options, &client));
		peer->fd = -1; /* the client's */
		ASSERT_EQ(0, fpc_region_io_fds(client, FP_BAR3, &set));
		ASSERT_EQ(asks ? 9 : 5, set.nr_entries);
		if (asks) {
			EXPECT_EQ(FPC_IO_FD_SHADOW, set.entries[4].type);
			EXPECT_TRUE(fd_is_eventfd(set.entries[4].fd));
			EXPECT_EQ(set.entries[3].shadow_fd, set.entries[4].shadow_fd);
			EXPECT_LE(0, set.entries[4].shadow_fd);
			EXPECT_EQ(8, set.entries[4].user_data);
		}
		fpc_io_fds_free(&set);
		fpc_close(client);
		EXPECT_EQ(0, peer_wait(peer));
		peer_stop(peer);
	}
}

TEST(the_server_says_that_it_knows_values_only_to_who_asks)
{
	struct peer *peer = peer_start("block", PEER_OWN_CLASSES);

	ASSERT_EQ(0, peer_version(peer, PEER_JSON));
	EXPECT_EQ(NULL, memmem(peer->reply.body, peer->reply.len, "shadow", 6));
	peer_stop(peer);
	peer = peer_start("block", PEER_OWN_CLASSES);
	ASSERT_EQ(0, peer_version(peer, WITH_SHADOW));
	EXPECT_NE(NULL, memmem(peer->reply.body, peer->reply.len, "\"shadow_ioeventfd\":true", 23));
	peer_stop(peer);
}

TEST_HARNESS_MAIN
