// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a device answers later is answered in order, and what must not overtake it waits; guest
 * memory is reached by whatever the client has mapped it with.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fastpath.h"
#include "kselftest_harness.h"
#include "lib/peer.h"
#include "testdev.h"

/* ---- a device that takes its time ---- */

/* An access here is held until RELEASE names its BAR; in BAR4, which is not independent, 20 ms. */
#define HELD 0x10
#define HOLD_NS 20000000ull
#define SLOW 0x20 /* a store here is answered 1 ms later */

/* BAR5 */
#define RELEASE 0x00
#define IOVA 0x08
#define LENGTH 0x10
#define TRANSFER 0x18 /* a store of 1 reads guest memory into BUFFER, of 2 writes it */
#define BUFFER 0x100
#define BUFFER_BYTES 0x4000u

struct lab {
	uint8_t memory[6][0x100];
	struct fp_access *held[6];
	struct fp_access *slow;
	struct fp_access *transferring;
	struct fp_timer hold;
	struct fp_timer slowness;
	struct fp_timer resetting;
	uint64_t iova;
	uint64_t length;
	struct fp_dma_op op;
	uint8_t buffer[BUFFER_BYTES];
};

static void release(struct fp_device *dev, uint64_t bar)
{
	struct lab *lab = fp_state(dev);
	struct fp_access *held = bar < 6 ? lab->held[bar] : NULL;

	if (!held)
		return;
	lab->held[bar] = NULL;
	if (!held->write)
		fp_access_answer(held, 0x1a7e);
	fp_finish(dev, held, 0);
}

static void hold_is_over(struct fp_device *dev, struct fp_timer *timer)
{
	(void)timer;
	release(dev, 4);
}

static void slowness_is_over(struct fp_device *dev, struct fp_timer *timer)
{
	struct lab *lab = fp_state(dev);

	(void)timer;
	fp_finish(dev, lab->slow, 0);
}

static void reset_is_over(struct fp_device *dev, struct fp_timer *timer)
{
	struct lab *lab = fp_state(dev);

	(void)timer;
	memset(lab->memory, 0, sizeof(lab->memory));
	fp_reset_done(dev);
}

static int lab_access(struct fp_device *dev, struct fp_access *access, unsigned int bar)
{
	struct lab *lab = fp_state(dev);

	if (access->offset == HELD) {
		lab->held[bar] = fp_defer(dev, access);
		if (bar == 4)
			fp_timer_start(dev, &lab->hold, HOLD_NS);
		return FP_LATER;
	}
	fp_access_memory(access, 0, lab->memory[bar], sizeof(lab->memory[bar]));
	if (access->offset != SLOW || !access->write)
		return 0;
	lab->slow = fp_defer(dev, access);
	fp_timer_start(dev, &lab->slowness, 1000000);
	return FP_LATER;
}

static int access0(struct fp_device *dev, struct fp_access *access)
{
	return lab_access(dev, access, 0);
}

static int access2(struct fp_device *dev, struct fp_access *access)
{
	return lab_access(dev, access, 2);
}

static int access4(struct fp_device *dev, struct fp_access *access)
{
	return lab_access(dev, access, 4);
}

static void transferred(struct fp_device *dev, struct fp_dma_op *op, int ret)
{
	struct lab *lab = fp_state(dev);

	(void)op;
	fp_finish(dev, lab->transferring, ret);
}

static void transfer(struct fp_device *dev, struct fp_access *access)
{
	struct lab *lab = fp_state(dev);

	lab->transferring = fp_defer(dev, access);
	lab->op.done = transferred;
	if (fp_access_value(access) == 2)
		fp_dma_write(dev, &lab->op, lab->iova, lab->buffer, lab->length);
	else
		fp_dma_read(dev, &lab->op, lab->iova, lab->buffer, lab->length);
}

static int access5(struct fp_device *dev, struct fp_access *access)
{
	struct lab *lab = fp_state(dev);

	if (fp_access_memory(access, BUFFER, lab->buffer, sizeof(lab->buffer)) || !access->write)
		return 0;
	switch (access->offset) {
	case RELEASE:
		release(dev, fp_access_value(access));
		break;
	case IOVA:
		lab->iova = fp_access_value(access);
		break;
	case LENGTH:
		lab->length = fp_access_value(access);
		break;
	case TRANSFER:
		transfer(dev, access);
		return FP_LATER;
	}
	return 0;
}

static int lab_reset(struct fp_device *dev)
{
	struct lab *lab = fp_state(dev);

	fp_timer_start(dev, &lab->resetting, HOLD_NS);
	return FP_LATER;
}

static int lab_open(struct fp_device *dev)
{
	struct lab *lab = fp_state(dev);

	lab->hold.expired = hold_is_over;
	lab->slowness.expired = slowness_is_over;
	lab->resetting.expired = reset_is_over;
	return 0;
}

static void lab_close(struct fp_device *dev)
{
	struct lab *lab = fp_state(dev);

	fp_timer_stop(&lab->hold);
	fp_timer_stop(&lab->slowness);
	fp_timer_stop(&lab->resetting);
}

FP_DEVICE(lab) = {
	.name = "lab",
	.summary = "takes its time",
	.state_bytes = sizeof(struct lab),
	.pci = { .vendor = TESTDEV_VENDOR, .device = TESTDEV_DEVICE },
	.regions = {
		[FP_BAR0] = { .size = 0x100, .access = access0, .flags = FP_REGION_INDEPENDENT },
		[FP_BAR2] = { .size = 0x100, .access = access2, .flags = FP_REGION_INDEPENDENT },
		[FP_BAR4] = { .size = 0x100, .access = access4 },
		[FP_BAR5] = { .size = 0x8000, .access = access5, .flags = FP_REGION_INDEPENDENT },
	},
	.open = lab_open,
	.reset = lab_reset,
	.close = lab_close,
};

/* ---- helpers ---- */

static struct peer *open_lab(void)
{
	return peer_open("lab", PEER_OWN_CLASSES);
}

/* Send an access without awaiting its answer. */
static uint16_t ask_read(struct peer *peer, uint32_t region, uint64_t offset)
{
	struct wire_region_access access = { offset, region, 8 };

	return peer_command(peer, WIRE_REGION_READ, &access, sizeof(access), NULL, 0);
}

static uint16_t ask_write(struct peer *peer, uint32_t region, uint64_t offset, uint64_t value)
{
	struct {
		struct wire_region_access access;
		uint64_t value;
	} __attribute__((packed)) body = { { offset, region, 8 }, value };

	return peer_command(peer, WIRE_REGION_WRITE, &body, sizeof(body), NULL, 0);
}

static uint64_t read_value(const struct peer *peer)
{
	uint64_t value = 0;

	memcpy(&value, peer->reply.body + sizeof(struct wire_region_access), sizeof(value));
	return value;
}

static int map_window(struct peer *peer, int fd, uint64_t address, uint64_t size, uint32_t flags)
{
	struct wire_dma_map map = {
		.argsz = sizeof(map),
		.flags = WIRE_DMA_READABLE | WIRE_DMA_WRITEABLE | flags,
		.address = address,
		.size = size,
	};

	return peer_call_fds(peer, WIRE_DMA_MAP, &map, sizeof(map), &fd, fd >= 0);
}

/* Starts a transfer; it is answered when the transfer has ended. */
static uint16_t ask_transfer(struct peer *peer, uint64_t iova, uint64_t len, uint64_t command)
{
	peer_write(peer, 5, IOVA, iova, 8);
	peer_write(peer, 5, LENGTH, len, 8);
	return ask_write(peer, 5, TRANSFER, command);
}

/* The server's next message has to be this command of its own. */
static struct wire_dma_access expect_dma(struct peer *peer, uint16_t cmd)
{
	const struct peer_reply *msg = peer_receive(peer);
	struct wire_dma_access access = { 0 };

	if (msg->hdr.cmd == cmd && !(msg->hdr.flags & WIRE_TYPE_MASK) && msg->len >= sizeof(access))
		memcpy(&access, msg->body, sizeof(access));
	return access;
}

/* Answers it: `count` bytes of `byte`, or an error. */
static void answer_dma(struct peer *peer, const struct wire_dma_access *access, uint64_t count,
		       uint8_t byte, uint32_t error)
{
	static uint8_t message[sizeof(struct wire_header) + sizeof(*access) + BUFFER_BYTES];
	struct wire_header hdr = peer->reply.hdr;
	struct wire_dma_access fixed = *access;
	size_t len = hdr.cmd == WIRE_DMA_READ ? count : 0;

	fixed.count = count;
	hdr.flags = WIRE_TYPE_REPLY | (error ? WIRE_ERROR : 0);
	hdr.error_no = error;
	hdr.msg_size = (uint32_t)(sizeof(hdr) + (error ? 0 : sizeof(fixed) + len));
	memcpy(message, &hdr, sizeof(hdr));
	memcpy(message + sizeof(hdr), &fixed, sizeof(fixed));
	memset(message + sizeof(hdr) + sizeof(fixed), byte, len);
	peer_send(peer, message, hdr.msg_size, NULL, 0);
}

/* ---- accesses that are answered later ---- */

TEST(independent_regions_answer_in_any_order)
{
	struct peer *peer = open_lab();
	uint16_t first = ask_read(peer, 0, HELD);
	uint16_t second = ask_read(peer, 2, HELD);
	uint16_t freed = ask_write(peer, 5, RELEASE, 2);

	EXPECT_EQ(0, peer_answer(peer, freed, WIRE_REGION_WRITE));
	EXPECT_EQ(0, peer_answer(peer, second, WIRE_REGION_READ));
	EXPECT_EQ(0x1a7e, read_value(peer));
	freed = ask_write(peer, 5, RELEASE, 0);
	EXPECT_EQ(0, peer_answer(peer, freed, WIRE_REGION_WRITE));
	EXPECT_EQ(0, peer_answer(peer, first, WIRE_REGION_READ));
	EXPECT_EQ(0x1a7e, read_value(peer));
	peer_stop(peer);
}

TEST(a_later_access_to_the_same_region_waits)
{
	struct peer *peer = open_lab();
	uint16_t held = ask_write(peer, 0, HELD, 1);
	uint16_t behind = ask_write(peer, 0, 0, 77);
	uint16_t freed = ask_write(peer, 5, RELEASE, 0);

	EXPECT_EQ(0, peer_answer(peer, freed, WIRE_REGION_WRITE));
	EXPECT_EQ(0, peer_answer(peer, held, WIRE_REGION_WRITE));
	EXPECT_EQ(0, peer_answer(peer, behind, WIRE_REGION_WRITE));
	EXPECT_EQ(77, peer_read(peer, 0, 0, 8));
	peer_stop(peer);
}

TEST(an_access_to_a_region_that_is_not_independent_holds_up_all_others)
{
	struct peer *peer = open_lab();
	uint16_t ids[4];

	ids[0] = ask_read(peer, 4, HELD);
	ids[1] = ask_read(peer, 0, 0);
	ids[2] = ask_read(peer, 5, BUFFER);
	ids[3] = ask_read(peer, 4, 0);
	for (unsigned int i = 0; i < 4; i++)
		EXPECT_EQ(0, peer_answer(peer, ids[i], WIRE_REGION_READ));
	peer_stop(peer);
}

TEST(thousands_of_commands_behind_one_that_is_held_are_answered_in_order)
{
	struct peer *peer = open_lab();
	uint16_t ids[5000];

	ids[0] = ask_read(peer, 4, HELD);
	for (unsigned int i = 1; i < 5000; i++)
		ids[i] = ask_read(peer, i % 2 ? 0 : 4, 0);
	for (unsigned int i = 0; i < 5000; i++)
		ASSERT_EQ(0, peer_answer(peer, ids[i], WIRE_REGION_READ));
	peer_stop(peer);
}

TEST(a_posted_write_that_is_answered_later_gets_no_answer)
{
	struct peer *peer = open_lab();
	struct {
		struct wire_region_access access;
		uint64_t value;
	} __attribute__((packed)) body = { { SLOW, 4, 8 }, 0x55 };

	peer_post(peer, WIRE_REGION_WRITE, &body, sizeof(body));
	EXPECT_EQ(0x55, peer_read(peer, 4, SLOW, 8));
	peer_stop(peer);
}

TEST(a_reset_waits_for_what_is_in_flight_and_may_take_long_itself)
{
	struct peer *peer = open_lab();
	uint16_t held, reset, behind;

	EXPECT_EQ(0, peer_write(peer, 2, 0, 5, 8));
	held = ask_read(peer, 4, HELD);
	reset = peer_command(peer, WIRE_DEVICE_RESET, NULL, 0, NULL, 0);
	behind = ask_read(peer, 2, 0);
	EXPECT_EQ(0, peer_answer(peer, held, WIRE_REGION_READ));
	EXPECT_EQ(0, peer_answer(peer, reset, WIRE_DEVICE_RESET));
	EXPECT_EQ(0, peer_answer(peer, behind, WIRE_REGION_READ));
	EXPECT_EQ(0, read_value(peer));
	peer_stop(peer);
}

TEST(what_a_client_left_in_flight_is_answered_to_nobody_and_the_next_is_served)
{
	struct peer *peer = peer_open("lab", PEER_OWN_CLASSES | PEER_LISTEN);

	ask_read(peer, 4, HELD);
	peer_reconnect(peer);
	EXPECT_EQ(0, peer_write(peer, 2, 0, 9, 8));
	EXPECT_EQ(9, peer_read(peer, 2, 0, 8));
	peer_stop(peer);
}

TEST(a_server_that_is_stopped_with_something_in_flight_ends_well)
{
	struct peer *peer = open_lab();
	uint16_t freed;

	ask_read(peer, 0, HELD);
	freed = ask_write(peer, 5, RELEASE, 2);
	EXPECT_EQ(0, peer_answer(peer, freed, WIRE_REGION_WRITE));
	peer_stop(peer);
}

/* ---- REGION_WRITE_MULTI ---- */

struct multi {
	uint64_t nr;
	struct wire_region_write_multi writes[8];
} __attribute__((packed));

static size_t multi_bytes(unsigned int nr)
{
	return offsetof(struct multi, writes) + nr * sizeof(struct wire_region_write_multi);
}

static uint64_t writes_done(const struct peer *peer)
{
	uint64_t nr = 0;

	memcpy(&nr, peer->reply.body, sizeof(nr));
	return nr;
}

TEST(region_write_multi_does_its_writes_in_order_and_says_how_many)
{
	struct peer *peer = open_lab();
	struct multi multi = {
		.nr = 3,
		.writes = { { 0, 0, 4, 1 }, { 8, 2, 8, 2 }, { 0, 0, 1, 3 } },
	};

	EXPECT_EQ(0, peer_call(peer, WIRE_REGION_WRITE_MULTI, &multi, multi_bytes(3)));
	EXPECT_EQ(8, peer->reply.len);
	EXPECT_EQ(3, writes_done(peer));
	EXPECT_EQ(3, peer_read(peer, 0, 0, 4));
	EXPECT_EQ(2, peer_read(peer, 2, 8, 8));
	peer_stop(peer);
}

TEST(region_write_multi_ends_at_a_write_that_is_refused)
{
	struct peer *peer = open_lab();
	struct multi multi = {
		.nr = 3,
		.writes = { { 0, 0, 4, 1 }, { 0xfc, 2, 8, 2 }, { 0, 0, 4, 3 } },
	};

	EXPECT_EQ(0, peer_call(peer, WIRE_REGION_WRITE_MULTI, &multi, multi_bytes(3)));
	EXPECT_EQ(1, writes_done(peer));
	EXPECT_EQ(1, peer_read(peer, 0, 0, 4));
	multi.writes[0].count = 9;
	EXPECT_EQ(0, peer_call(peer, WIRE_REGION_WRITE_MULTI, &multi, multi_bytes(3)));
	EXPECT_EQ(0, writes_done(peer));
	peer_stop(peer);
}

TEST(region_write_multi_goes_on_after_a_write_that_takes_its_time)
{
	struct peer *peer = open_lab();
	struct multi multi = {
		.nr = 5,
		.writes = { { SLOW, 4, 8, 1 },
			    { 0, 0, 4, 7 },
			    { SLOW, 0, 8, 2 },
			    { 8, 0, 4, 8 },
			    { SLOW, 2, 8, 3 } },
	};
	uint16_t id = peer_command(peer, WIRE_REGION_WRITE_MULTI, &multi, multi_bytes(5), NULL, 0);
	uint16_t behind = ask_read(peer, 2, SLOW);

	EXPECT_EQ(0, peer_answer(peer, id, WIRE_REGION_WRITE_MULTI));
	EXPECT_EQ(5, writes_done(peer));
	EXPECT_EQ(0, peer_answer(peer, behind, WIRE_REGION_READ));
	EXPECT_EQ(3, read_value(peer));
	EXPECT_EQ(8, peer_read(peer, 0, 8, 4));
	peer_stop(peer);
}

TEST(region_write_multi_whose_count_is_not_its_body_s_is_refused)
{
	static const uint64_t wrong[] = { 0, 2, 4, UINT64_MAX, UINT64_MAX / 24 + 2 };
	struct peer *peer = open_lab();
	struct multi multi = { .writes = { { 0, 0, 4, 1 } } };

	for (unsigned int i = 0; i < 5; i++) {
		multi.nr = wrong[i];
		EXPECT_EQ(EINVAL, peer_call(peer, WIRE_REGION_WRITE_MULTI, &multi, multi_bytes(3)));
	}
	multi.nr = 1;
	EXPECT_EQ(EINVAL, peer_call(peer, WIRE_REGION_WRITE_MULTI, &multi, multi_bytes(1) + 1));
	EXPECT_EQ(EINVAL, peer_call(peer, WIRE_REGION_WRITE_MULTI, &multi, 7));
	multi.nr = 0;
	EXPECT_EQ(0, peer_call(peer, WIRE_REGION_WRITE_MULTI, &multi, 8));
	EXPECT_EQ(0, peer_read(peer, 0, 0, 4));
	peer_stop(peer);
}

/* ---- guest memory ---- */

TEST(memory_without_an_fd_is_read_by_message)
{
	struct peer *peer = open_lab();
	struct wire_dma_access access;
	uint16_t id;

	EXPECT_EQ(0, map_window(peer, -1, 0x10000, 0x4000, 0));
	id = ask_transfer(peer, 0x10010, 100, 1);
	access = expect_dma(peer, WIRE_DMA_READ);
	EXPECT_EQ(0x10010, access.address);
	EXPECT_EQ(100, access.count);
	answer_dma(peer, &access, 100, 0xab, 0);
	EXPECT_EQ(0, peer_answer(peer, id, WIRE_REGION_WRITE));
	EXPECT_EQ(0xabababab, peer_read(peer, 5, BUFFER + 96, 4));
	EXPECT_EQ(0, peer_read(peer, 5, BUFFER + 100, 4));
	peer_stop(peer);
}

TEST(memory_without_an_fd_is_written_by_message)
{
	struct peer *peer = open_lab();
	struct wire_dma_access access;
	uint16_t id;

	EXPECT_EQ(0, map_window(peer, -1, 0x10000, 0x4000, 0));
	EXPECT_EQ(0, peer_write(peer, 5, BUFFER, 0x1122334455667788, 8));
	id = ask_transfer(peer, 0x10010, 8, 2);
	access = expect_dma(peer, WIRE_DMA_WRITE);
	EXPECT_EQ(0x10010, access.address);
	EXPECT_EQ(8, access.count);
	EXPECT_EQ(sizeof(access) + 8, peer->reply.len);
	EXPECT_EQ(0x88, peer->reply.body[sizeof(access)]);
	answer_dma(peer, &access, 8, 0, 0);
	EXPECT_EQ(0, peer_answer(peer, id, WIRE_REGION_WRITE));
	peer_stop(peer);
}

TEST(the_client_s_commands_are_served_while_it_owes_an_answer)
{
	struct peer *peer = open_lab();
	struct wire_dma_access access;
	struct wire_header asked;
	uint16_t id;

	EXPECT_EQ(0, map_window(peer, -1, 0x10000, 0x4000, 0));
	id = ask_transfer(peer, 0x10000, 8, 1);
	access = expect_dma(peer, WIRE_DMA_READ);
	asked = peer->reply.hdr;
	for (unsigned int i = 0; i < 100; i++)
		ASSERT_EQ(0, peer_write(peer, 0, 0, i, 8));
	/* Both directions count their messages alike: the ids may well be the same. */
	peer->reply.hdr = asked;
	answer_dma(peer, &access, 8, 1, 0);
	EXPECT_EQ(0, peer_answer(peer, id, WIRE_REGION_WRITE));
	peer_stop(peer);
}

TEST(a_short_answer_is_asked_on_and_a_large_transfer_goes_in_parts)
{
	struct peer *peer = peer_start("lab", PEER_OWN_CLASSES);
	struct wire_dma_access access;
	uint16_t id;

	EXPECT_EQ(0, peer_version(peer, "{\"capabilities\":{\"max_data_xfer_size\":4096}}"));
	EXPECT_EQ(0, map_window(peer, -1, 0x10000, 0x10000, 0));
	id = ask_transfer(peer, 0x10000, 0x1800, 1);
	access = expect_dma(peer, WIRE_DMA_READ);
	EXPECT_EQ(4096, access.count);
	answer_dma(peer, &access, 1000, 1, 0);
	access = expect_dma(peer, WIRE_DMA_READ);
	EXPECT_EQ(0x10000 + 1000, access.address);
	EXPECT_EQ(4096, access.count);
	answer_dma(peer, &access, 4096, 2, 0);
	access = expect_dma(peer, WIRE_DMA_READ);
	EXPECT_EQ(0x10000 + 5096, access.address);
	EXPECT_EQ(0x1800 - 5096, access.count);
	answer_dma(peer, &access, 0x1800 - 5096, 3, 0);
	EXPECT_EQ(0, peer_answer(peer, id, WIRE_REGION_WRITE));
	EXPECT_EQ(0x0201, peer_read(peer, 5, BUFFER + 999, 2));
	EXPECT_EQ(0x0302, peer_read(peer, 5, BUFFER + 5095, 2));
	peer_stop(peer);
}

TEST(an_answer_that_is_no_good_ends_the_transfer_and_nothing_else)
{
	struct peer *peer = open_lab();
	struct wire_dma_access access;
	uint16_t id;

	EXPECT_EQ(0, map_window(peer, -1, 0x10000, 0x4000, 0));
	id = ask_transfer(peer, 0x10000, 64, 1);
	access = expect_dma(peer, WIRE_DMA_READ);
	answer_dma(peer, &access, 0, 0, EPERM);
	EXPECT_EQ(EPERM, peer_answer(peer, id, WIRE_REGION_WRITE));
	id = ask_transfer(peer, 0x10000, 64, 1);
	access = expect_dma(peer, WIRE_DMA_READ);
	answer_dma(peer, &access, 65, 0, 0); /* more than was asked for */
	EXPECT_EQ(EPROTO, peer_answer(peer, id, WIRE_REGION_WRITE));
	id = ask_transfer(peer, 0x10000, 64, 1);
	access = expect_dma(peer, WIRE_DMA_READ);
	answer_dma(peer, &access, 0, 0, 0);
	EXPECT_EQ(EIO, peer_answer(peer, id, WIRE_REGION_WRITE));
	EXPECT_EQ(0, peer_write(peer, 0, 0, 1, 8));
	peer_stop(peer);
}

TEST(memory_that_no_window_has_is_efault)
{
	struct peer *peer = open_lab();
	uint16_t id;

	EXPECT_EQ(0, map_window(peer, -1, 0x10000, 0x1000, 0));
	id = ask_transfer(peer, 0x20000, 8, 1);
	EXPECT_EQ(EFAULT, peer_answer(peer, id, WIRE_REGION_WRITE));
	id = ask_transfer(peer, UINT64_MAX - 3, 8, 1);
	EXPECT_EQ(EFAULT, peer_answer(peer, id, WIRE_REGION_WRITE));
	peer_stop(peer);
}

TEST(a_window_by_file_io_is_read_and_written_as_a_file)
{
	struct peer *peer = open_lab();
	int fd = memfd_create("window", MFD_CLOEXEC);
	uint64_t value = 0x1234;
	uint16_t id;

	ASSERT_EQ(0, ftruncate(fd, 0x1000));
	ASSERT_EQ(8, pwrite(fd, &value, 8, 0x100));
	EXPECT_EQ(0, map_window(peer, fd, 0x10000, 0x1000, WIRE_DMA_BY_FILE_IO));
	id = ask_transfer(peer, 0x10100, 8, 1);
	EXPECT_EQ(0, peer_answer(peer, id, WIRE_REGION_WRITE));
	EXPECT_EQ(0x1234, peer_read(peer, 5, BUFFER, 8));
	id = ask_transfer(peer, 0x10200, 8, 2);
	EXPECT_EQ(0, peer_answer(peer, id, WIRE_REGION_WRITE));
	value = 0;
	ASSERT_EQ(8, pread(fd, &value, 8, 0x200));
	EXPECT_EQ(0x1234, value);
	/* A client that takes the file away takes it from itself. */
	ASSERT_EQ(0, ftruncate(fd, 0));
	id = ask_transfer(peer, 0x10100, 8, 1);
	EXPECT_EQ(EIO, peer_answer(peer, id, WIRE_REGION_WRITE));
	close(fd);
	peer_stop(peer);
}

TEST(a_transfer_may_cross_windows_of_every_kind)
{
	struct peer *peer = open_lab();
	int mapped = memfd_create("mapped", MFD_CLOEXEC);
	int file = memfd_create("file", MFD_CLOEXEC);
	struct wire_dma_access access;
	uint16_t id;

	ASSERT_EQ(0, ftruncate(mapped, 0x1000));
	ASSERT_EQ(0, ftruncate(file, 0x1000));
	ASSERT_EQ(1, pwrite(mapped, "a", 1, 0xfff));
	ASSERT_EQ(1, pwrite(file, "c", 1, 0));
	EXPECT_EQ(0, map_window(peer, mapped, 0x10000, 0x1000, 0));
	EXPECT_EQ(0, map_window(peer, -1, 0x11000, 0x1000, 0));
	EXPECT_EQ(0, map_window(peer, file, 0x12000, 0x1000, WIRE_DMA_BY_FILE_IO));
	id = ask_transfer(peer, 0x10fff, 0x1002, 1);
	access = expect_dma(peer, WIRE_DMA_READ);
	EXPECT_EQ(0x11000, access.address);
	EXPECT_EQ(0x1000, access.count);
	answer_dma(peer, &access, 0x1000, 'b', 0);
	EXPECT_EQ(0, peer_answer(peer, id, WIRE_REGION_WRITE));
	EXPECT_EQ('a' | 'b' << 8, peer_read(peer, 5, BUFFER, 2));
	EXPECT_EQ('b' | 'c' << 8, peer_read(peer, 5, BUFFER + 0x1000, 2));
	close(mapped);
	close(file);
	peer_stop(peer);
}

TEST(an_unmap_waits_for_the_transfer_that_uses_the_window)
{
	struct peer *peer = open_lab();
	struct wire_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.address = 0x10000,
		.size = 0x1000,
	};
	struct wire_dma_access access;
	struct wire_header asked;
	uint16_t id, unmapped;

	EXPECT_EQ(0, map_window(peer, -1, 0x10000, 0x1000, 0));
	id = ask_transfer(peer, 0x10000, 8, 1);
	access = expect_dma(peer, WIRE_DMA_READ);
	asked = peer->reply.hdr;
	unmapped = peer_command(peer, WIRE_DMA_UNMAP, &unmap, sizeof(unmap), NULL, 0);
	peer->reply.hdr = asked;
	answer_dma(peer, &access, 8, 1, 0);
	EXPECT_EQ(0, peer_answer(peer, id, WIRE_REGION_WRITE));
	EXPECT_EQ(0, peer_answer(peer, unmapped, WIRE_DMA_UNMAP));
	id = ask_transfer(peer, 0x10000, 8, 1);
	EXPECT_EQ(EFAULT, peer_answer(peer, id, WIRE_REGION_WRITE));
	peer_stop(peer);
}

TEST(a_client_that_leaves_owing_an_answer_does_no_harm)
{
	struct peer *peer = peer_open("lab", PEER_OWN_CLASSES | PEER_LISTEN);

	EXPECT_EQ(0, map_window(peer, -1, 0x10000, 0x1000, 0));
	ask_transfer(peer, 0x10000, 8, 1);
	expect_dma(peer, WIRE_DMA_READ);
	peer_reconnect(peer);
	EXPECT_EQ(0, peer_write(peer, 0, 0, 1, 8));
	peer_stop(peer);
}

TEST(an_answer_to_nothing_is_ignored)
{
	struct peer *peer = open_lab();
	struct wire_dma_access access = { 0x10000, 8 };

	peer->reply.hdr = (struct wire_header){ .msg_id = 99, .cmd = WIRE_DMA_READ };
	answer_dma(peer, &access, 8, 1, 0);
	EXPECT_EQ(0, peer_write(peer, 0, 0, 1, 8));
	peer_stop(peer);
}

/* ---- the twin socket ---- */

TEST(a_client_that_wants_one_gets_a_twin_socket_for_the_server_s_commands)
{
	struct peer *peer = peer_start("lab", PEER_OWN_CLASSES);
	struct peer twin = { .fd = -1 };
	struct wire_dma_access access;
	uint16_t id;

	peer_need_fds();
	EXPECT_EQ(0, peer_version(peer, "{\"capabilities\":{\"max_msg_fds\":1,"
					"\"twin_socket\":{\"supported\":true}}}"));
	ASSERT_EQ(1, peer->reply.nr_fds);
	twin.fd = peer->reply.fds[0];
	peer->reply.fds[0] = -1;
	EXPECT_NE(NULL, strstr((char *)peer->reply.body + 4,
			       "\"twin_socket\":{\"supported\":true,\"fd_index\":0}"));
	EXPECT_EQ(0, map_window(peer, -1, 0x10000, 0x1000, 0));
	id = ask_transfer(peer, 0x10000, 8, 1);
	access = expect_dma(&twin, WIRE_DMA_READ);
	EXPECT_EQ(8, access.count);
	answer_dma(&twin, &access, 8, 0x5a, 0);
	EXPECT_EQ(0, peer_answer(peer, id, WIRE_REGION_WRITE));
	EXPECT_EQ(0x5a5a, peer_read(peer, 5, BUFFER, 2));
	/* To close it is to leave: a process that ends may close it first. Nobody is warned of that. */
	peer_disconnect(&twin);
	peer_await_end(peer);
	EXPECT_EQ(0, peer_log_count(peer, "connection closed"));
	peer_disconnect(peer);
	peer_wait(peer);
}

TEST(a_client_that_does_not_ask_for_one_gets_no_twin_socket)
{
	struct peer *peer = open_lab();

	EXPECT_EQ(0, peer->reply.nr_fds);
	peer_stop(peer);
}

TEST_HARNESS_MAIN
