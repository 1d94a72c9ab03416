// SPDX-License-Identifier: GPL-2.0-only
/*
 * However a client's stream splits or joins its messages, they are served; and what it sends that
 * is no good costs nobody but itself.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fastpath.h"
#include "kselftest_harness.h"
#include "lib/peer.h"
#include "testdev.h"

#define MIB (1u << 20)

/* ---- a device with room for the largest transfers ---- */

#define STORE_BYTES (2u * MIB)

static int store_access(struct fp_device *dev, struct fp_access *access)
{
	fp_access_memory(access, 0, fp_state(dev), STORE_BYTES);
	return 0;
}

FP_DEVICE(store) = {
	.name = "store",
	.summary = "2 MiB of memory",
	.state_bytes = STORE_BYTES,
	.pci = { .vendor = TESTDEV_VENDOR, .device = TESTDEV_DEVICE },
	.regions[FP_BAR0] = { .size = STORE_BYTES, .access = store_access },
};

/* ---- helpers ---- */

static int file_of(size_t size)
{
	int fd = memfd_create("memory", MFD_CLOEXEC);

	if (fd >= 0 && ftruncate(fd, (off_t)size)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static void make_eventfds(int *fds, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static void close_all(const int *fds, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		close(fds[i]);
}

/* A mapping that is refused unless its fd comes with it. */
static struct wire_dma_map window(uint64_t address, uint64_t size)
{
	return (struct wire_dma_map){
		.argsz = sizeof(struct wire_dma_map),
		.flags = WIRE_DMA_READABLE | WIRE_DMA_WRITEABLE | WIRE_DMA_BY_MMAP,
		.address = address,
		.size = size,
	};
}

static const struct wire_device_info ask_info = { .argsz = sizeof(ask_info) };

static bool is_alive(struct peer *peer)
{
	return peer_read(peer, FP_BAR2, 0, 4) == TESTDEV_MAGIC;
}

/* Writes that each leave their own trace in the scratch, and a read of all of it. */
#define PIPELINE 20

static size_t make_pipeline(uint8_t *at)
{
	size_t len = 0;

	for (uint16_t i = 0; i < PIPELINE; i++) {
		uint32_t value = 0xabcd0000u + i;

		len += peer_message_write(at + len, i, FP_BAR2, TESTDEV_SCRATCH + 4u * i, &value,
					  sizeof(value));
	}
	return len + peer_message_read(at + len, PIPELINE, FP_BAR2, TESTDEV_SCRATCH, 4 * PIPELINE);
}

/* Whether the pipeline's answers come, in order. */
static bool pipeline_is_answered(struct peer *peer)
{
	const uint8_t *data;

	for (uint16_t i = 0; i < PIPELINE; i++)
		if (peer_answer(peer, i, WIRE_REGION_WRITE))
			return false;
	if (peer_answer(peer, PIPELINE, WIRE_REGION_READ))
		return false;
	data = peer->reply.body + sizeof(struct wire_region_access);
	for (uint32_t i = 0; i < PIPELINE; i++) {
		uint32_t value;

		memcpy(&value, data + 4ul * i, sizeof(value));
		if (value != 0xabcd0000u + i)
			return false;
	}
	return true;
}

/* ---- splitting ---- */

TEST(a_header_split_over_two_sends_is_served)
{
	struct peer *peer = peer_open("testdev", 0);
	uint8_t message[64];
	size_t len = peer_message(message, 1, WIRE_DEVICE_GET_INFO, &ask_info, sizeof(ask_info));

	for (size_t split = 1; split < sizeof(struct wire_header); split++) {
		peer_send(peer, message, split, NULL, 0);
		peer_drain(peer);
		peer_send(peer, message + split, len - split, NULL, 0);
		EXPECT_EQ(0, peer_answer(peer, 1, WIRE_DEVICE_GET_INFO));
	}
	peer_stop(peer);
}

TEST(a_write_split_at_any_byte_is_served)
{
	struct peer *peer = peer_open("testdev", 0);
	uint8_t message[64];

	for (size_t split = 1; split < 40; split++) {
		uint64_t value = 0x0123456789abcdefull * split;
		size_t len = peer_message_write(message, (uint16_t)split, FP_BAR2, TESTDEV_SCRATCH,
						&value, sizeof(value));

		ASSERT_EQ(40, len);
		peer_send(peer, message, split, NULL, 0);
		peer_drain(peer);
		peer_send(peer, message + split, len - split, NULL, 0);
		EXPECT_EQ(0, peer_answer(peer, (uint16_t)split, WIRE_REGION_WRITE));
		EXPECT_EQ(value, peer_read(peer, FP_BAR2, TESTDEV_SCRATCH, 8));
	}
	peer_stop(peer);
}

TEST(a_message_sent_byte_by_byte_is_served)
{
	struct peer *peer = peer_open("testdev", 0);
	uint64_t value = 0x1122334455667788ull;
	uint8_t message[64];
	size_t len = peer_message_write(message, 7, FP_BAR2, TESTDEV_SCRATCH, &value, 8);

	for (size_t i = 0; i < len; i++) {
		peer_send(peer, message + i, 1, NULL, 0);
		peer_drain(peer);
	}
	EXPECT_EQ(0, peer_answer(peer, 7, WIRE_REGION_WRITE));
	EXPECT_EQ(value, peer_read(peer, FP_BAR2, TESTDEV_SCRATCH, 8));
	peer_stop(peer);
}

/* ---- joining ---- */

TEST(twenty_messages_in_one_send_are_served_in_order)
{
	struct peer *peer = peer_open("testdev", 0);
	uint8_t messages[1024];
	size_t len = make_pipeline(messages);

	peer_send(peer, messages, len, NULL, 0);
	EXPECT_TRUE(pipeline_is_answered(peer));
	peer_stop(peer);
}

TEST(twenty_messages_in_twenty_sends_and_one_read_are_served_in_order)
{
	struct peer *peer = peer_open("testdev", 0);
	uint8_t messages[1024];
	size_t len = make_pipeline(messages);

	peer_freeze(peer);
	for (size_t done = 0; done < len;
	     done += ((struct wire_header *)(messages + done))->msg_size)
		peer_send(peer, messages + done,
			  ((struct wire_header *)(messages + done))->msg_size, NULL, 0);
	peer_thaw(peer);
	EXPECT_TRUE(pipeline_is_answered(peer));
	peer_stop(peer);
}

TEST(messages_cut_into_chunks_of_any_size_are_served_in_order)
{
	struct peer *peer = peer_open("testdev", 0);
	uint8_t messages[1024];
	size_t len = make_pipeline(messages);

	for (size_t chunk = 3; chunk < 200; chunk += 14) {
		for (size_t done = 0; done < len; done += chunk) {
			peer_send(peer, messages + done, len - done < chunk ? len - done : chunk,
				  NULL, 0);
			peer_drain(peer);
		}
		EXPECT_TRUE(pipeline_is_answered(peer));
	}
	peer_stop(peer);
}

TEST(a_thousand_pipelined_commands_are_answered_in_order)
{
	struct peer *peer = peer_open("testdev", 0);
	uint8_t *messages = malloc(1000 * 40);
	size_t len = 0;

	for (uint16_t i = 0; i < 1000; i++) {
		uint64_t value = i;

		len += peer_message_write(messages + len, i, FP_BAR2, TESTDEV_SCRATCH, &value, 8);
	}
	peer_send(peer, messages, len, NULL, 0);
	for (uint16_t i = 0; i < 1000; i++) {
		ASSERT_EQ(0, peer_answer(peer, i, WIRE_REGION_WRITE));
	}
	EXPECT_EQ(999, peer_read(peer, FP_BAR2, TESTDEV_SCRATCH, 8));
	free(messages);
	peer_stop(peer);
}

TEST(messages_with_the_same_msg_id_are_each_answered)
{
	struct peer *peer = peer_open("testdev", 0);
	uint8_t messages[128];
	size_t len = peer_message_read(messages, 5, FP_BAR2, 0, 4);

	len += peer_message_read(messages + len, 5, FP_BAR2, 4, 4);
	peer_send(peer, messages, len, NULL, 0);
	EXPECT_EQ(0, peer_answer(peer, 5, WIRE_REGION_READ));
	EXPECT_EQ(0, peer_answer(peer, 5, WIRE_REGION_READ));
	peer_stop(peer);
}

/* ---- fds ---- */

TEST(fds_on_the_first_byte_of_a_split_message_are_its_own)
{
	struct peer *peer = peer_open("testdev", 0);
	unsigned int before = peer_count_fds(peer);
	int file = file_of(MIB);

	ASSERT_LE(0, file);
	for (size_t split = 1; split < 48; split++) {
		struct wire_dma_map map = window(split * MIB, MIB);
		uint8_t message[64];
		size_t len = peer_message(message, 1, WIRE_DMA_MAP, &map, sizeof(map));

		ASSERT_EQ(48, len);
		peer_send(peer, message, split, &file, 1);
		peer_drain(peer);
		peer_send(peer, message + split, len - split, NULL, 0);
		EXPECT_EQ(0, peer_answer(peer, 1, WIRE_DMA_MAP));
	}
	EXPECT_EQ(before, peer_count_fds(peer));
	peer_stop(peer);
}

/* Linux hands over fds together with bytes that were sent before, up to the end of their send. */
TEST(fds_belong_to_their_own_message_also_when_reads_join)
{
	struct peer *peer = peer_open("testdev", 0);
	struct wire_dma_map with_fd = window(MIB, 4096);
	struct wire_dma_map without_fd = window(2 * MIB, 4096);
	int file = file_of(4096);
	struct testdev_stamp *memory =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);

	ASSERT_NE(MAP_FAILED, memory);
	without_fd.flags &= ~(uint32_t)WIRE_DMA_BY_MMAP;
	/* As QEMU attaches: windows with and without an fd, then a question. */
	peer_freeze(peer);
	peer_command(peer, WIRE_DMA_MAP, &without_fd, sizeof(without_fd), NULL, 0);
	peer_command(peer, WIRE_DMA_MAP, &with_fd, sizeof(with_fd), &file, 1);
	peer_command(peer, WIRE_DEVICE_GET_INFO, &ask_info, sizeof(ask_info), NULL, 0);
	peer_thaw(peer);
	EXPECT_EQ(0, peer_answer(peer, (uint16_t)(peer->msg_id - 2), WIRE_DMA_MAP));
	EXPECT_EQ(0, peer_answer(peer, (uint16_t)(peer->msg_id - 1), WIRE_DMA_MAP));
	EXPECT_EQ(0, peer_answer(peer, peer->msg_id, WIRE_DEVICE_GET_INFO));

	peer_write(peer, FP_BAR2, offsetof(struct testdev_counters, stamp_iova), 2 * MIB, 8);
	peer_write(peer, FP_BAR2, TESTDEV_SCRATCH, 1, 1);
	EXPECT_EQ(0, memory->count);
	peer_write(peer, FP_BAR2, offsetof(struct testdev_counters, stamp_iova), MIB, 8);
	peer_write(peer, FP_BAR2, TESTDEV_SCRATCH, 1, 1);
	EXPECT_EQ(1, memory->count);
	peer_stop(peer);
}

TEST(messages_in_one_read_each_get_their_own_fds)
{
	struct peer *peer = peer_open("testdev", 0);
	int files[8];

	peer_freeze(peer);
	for (unsigned int i = 0; i < 8; i++) {
		/* Each file is just as long as its window: any other would be refused. */
		struct wire_dma_map map = window((i + 1) * MIB, (8 - i) * 4096ull);

		files[i] = file_of(map.size);
		peer_command(peer, WIRE_DMA_MAP, &map, sizeof(map), &files[i], 1);
		peer_command(peer, WIRE_DEVICE_GET_INFO, &ask_info, sizeof(ask_info), NULL, 0);
	}
	peer_thaw(peer);
	for (unsigned int i = 0; i < 8; i++) {
		uint16_t id = (uint16_t)(peer->msg_id - 15 + 2 * i);

		EXPECT_EQ(0, peer_answer(peer, id, WIRE_DMA_MAP));
		EXPECT_EQ(0, peer_answer(peer, (uint16_t)(id + 1), WIRE_DEVICE_GET_INFO));
	}
	close_all(files, 8);
	peer_stop(peer);
}

TEST(fds_that_come_with_the_end_of_a_split_header_are_not_that_messages)
{
	struct peer *peer = peer_open("testdev", 0);
	struct wire_dma_map map = window(MIB, 4096);
	static const uint8_t nothing[4000];
	uint8_t message[4096];
	int file = file_of(4096);
	size_t len;

	/* One that is long and comes in two, so that the server has seen a large msg_size. */
	len = peer_message(message, 1, 14, nothing, sizeof(nothing));
	peer_send(peer, message, 100, NULL, 0);
	peer_drain(peer);
	peer_send(peer, message + 100, len - 100, NULL, 0);
	EXPECT_EQ(EOPNOTSUPP, peer_answer(peer, 1, 14));

	for (size_t split = 1; split < sizeof(struct wire_header); split++) {
		map.address += MIB;
		len = peer_message(message, 2, WIRE_DEVICE_GET_INFO, &ask_info, sizeof(ask_info));
		peer_send(peer, message, split, NULL, 0);
		peer_drain(peer);
		peer_freeze(peer);
		peer_send(peer, message + split, len - split, NULL, 0);
		peer_command(peer, WIRE_DMA_MAP, &map, sizeof(map), &file, 1);
		peer_thaw(peer);
		EXPECT_EQ(0, peer_answer(peer, 2, WIRE_DEVICE_GET_INFO));
		EXPECT_EQ(0, peer_answer(peer, peer->msg_id, WIRE_DMA_MAP));
	}
	peer_stop(peer);
}

TEST(fds_that_a_message_may_not_carry_are_refused_and_closed)
{
	struct peer *peer = peer_open("testdev", 0);
	unsigned int before = peer_count_fds(peer);
	struct wire_dma_map map = window(MIB, 4096);
	int fds[64];

	make_eventfds(fds, 64);
	for (unsigned int nr = 1; nr <= 64; nr *= 4) {
		EXPECT_EQ(EINVAL, peer_call_fds(peer, WIRE_DEVICE_GET_INFO, &ask_info,
						sizeof(ask_info), fds, nr));
	}
	EXPECT_EQ(EINVAL, peer_call_fds(peer, WIRE_DMA_MAP, &map, sizeof(map), fds, 2));
	EXPECT_EQ(EOPNOTSUPP, peer_call_fds(peer, 14, NULL, 0, fds, 3));
	EXPECT_EQ(before, peer_count_fds(peer));
	EXPECT_TRUE(is_alive(peer));
	peer_stop(peer);
}

TEST(more_fds_than_any_message_may_carry_are_refused_and_closed)
{
	struct peer *peer = peer_open("testdev", 0);
	unsigned int before = peer_count_fds(peer);
	struct wire_irq_set set = {
		.argsz = sizeof(set),
		.flags = WIRE_IRQ_DATA_EVENTFD | WIRE_IRQ_ACTION_TRIGGER,
		.index = FP_MSIX,
		.count = 4,
	};
	int fds[PEER_MAX_FDS];

	make_eventfds(fds, PEER_MAX_FDS);
	for (unsigned int i = 0; i < 20; i++) {
		EXPECT_EQ(EINVAL,
			  peer_call_fds(peer, WIRE_DEVICE_SET_IRQS, &set, sizeof(set), fds, 65));
		EXPECT_EQ(EINVAL, peer_call_fds(peer, WIRE_DEVICE_SET_IRQS, &set, sizeof(set), fds,
						PEER_MAX_FDS));
	}
	EXPECT_EQ(before, peer_count_fds(peer));
	EXPECT_TRUE(is_alive(peer));
	peer_stop(peer);
}

TEST(a_short_body_with_fds_again_and_again_leaks_none)
{
	struct peer *peer = peer_open("testdev", 0);
	unsigned int before = peer_count_fds(peer);
	int fds[16];

	make_eventfds(fds, 16);
	for (unsigned int i = 0; i < 100; i++) {
		EXPECT_EQ(EINVAL, peer_call_fds(peer, WIRE_DEVICE_SET_IRQS, "1234", 4, fds, 16));
		EXPECT_EQ(EINVAL, peer_call_fds(peer, WIRE_DMA_MAP, NULL, 0, fds, 1));
	}
	EXPECT_EQ(before, peer_count_fds(peer));
	EXPECT_TRUE(is_alive(peer));
	peer_stop(peer);
}

TEST(fds_of_a_message_that_never_ends_are_closed_with_the_connection)
{
	struct peer *peer = peer_open("testdev", PEER_LISTEN);
	unsigned int before = peer_count_fds(peer);
	struct wire_dma_map map = window(MIB, 4096);
	uint8_t message[64];
	int fds[16];

	make_eventfds(fds, 16);
	for (size_t len = 1; len < peer_message(message, 1, WIRE_DMA_MAP, &map, sizeof(map));
	     len++) {
		peer_send(peer, message, len, fds, 16);
		peer_reconnect(peer);
		ASSERT_EQ(before, peer_count_fds(peer));
	}
	close_all(fds, 16);
	peer_stop(peer);
}

/* ---- what is not good ---- */

TEST(the_body_of_a_rejected_message_is_skipped)
{
	struct peer *peer = peer_open("testdev", 0);
	uint8_t inner[64];
	size_t len = peer_message(inner, 99, WIRE_DEVICE_GET_INFO, &ask_info, sizeof(ask_info));
	struct wire_region_access access = { .region = FP_BAR2, .count = 4 };
	uint8_t body[256];

	/* An unknown command, and a write whose count is wrong, around what looks like a message. */
	EXPECT_EQ(EOPNOTSUPP, peer_call(peer, 14, inner, len));
	memcpy(body, &access, sizeof(access));
	memcpy(body + sizeof(access), inner, len);
	EXPECT_EQ(EINVAL, peer_call(peer, WIRE_REGION_WRITE, body, sizeof(access) + len));
	EXPECT_TRUE(is_alive(peer));
	peer_stop(peer);
}

TEST(a_msg_size_below_the_header_closes_the_connection_with_one_line)
{
	static const uint32_t sizes[] = { 0, 1, 15 };
	struct peer *peer = peer_open("testdev", PEER_LISTEN);
	unsigned int before = peer_log_count(peer, "\n");

	for (unsigned int i = 0; i < 3; i++) {
		struct wire_header hdr = { .cmd = WIRE_DEVICE_GET_INFO, .msg_size = sizes[i] };

		peer_send(peer, &hdr, sizeof(hdr), NULL, 0);
		peer_await_end(peer);
		peer_reconnect(peer);
		EXPECT_EQ(before + i + 1, peer_log_count(peer, "\n"));
		EXPECT_EQ(i + 1, peer_log_count(peer, "msg_size is smaller than the header"));
	}
	peer_stop(peer);
}

TEST(an_over_long_message_is_refused_and_skipped)
{
	struct peer *peer = peer_open("testdev", 0);
	unsigned int before = peer_count_fds(peer);
	struct wire_header hdr = { .msg_id = 3, .cmd = WIRE_REGION_WRITE, .msg_size = 16 * MIB };
	uint8_t *junk = malloc(hdr.msg_size);
	int fds[2];

	make_eventfds(fds, 2);
	/* What would be answered if it were taken for messages. */
	for (size_t at = 0; at < hdr.msg_size; at += sizeof(hdr))
		peer_message(junk + at, 4, 14, NULL, 0);
	memcpy(junk, &hdr, sizeof(hdr));
	for (unsigned int i = 0; i < 2; i++) {
		peer_send(peer, junk, hdr.msg_size, fds, 2);
		EXPECT_EQ(EINVAL, peer_answer(peer, 3, WIRE_REGION_WRITE));
		EXPECT_TRUE(is_alive(peer));
	}
	EXPECT_EQ(before, peer_count_fds(peer));
	free(junk);
	peer_stop(peer);
}

TEST(an_over_long_message_is_refused_before_its_body_has_come)
{
	struct peer *peer = peer_open("testdev", 0);
	struct wire_header hdr = { .msg_id = 3, .cmd = WIRE_REGION_WRITE, .msg_size = UINT32_MAX };

	peer_send(peer, &hdr, sizeof(hdr), NULL, 0);
	EXPECT_EQ(EINVAL, peer_answer(peer, 3, WIRE_REGION_WRITE));
	peer_stop(peer);
}

TEST(a_reply_from_the_client_is_not_answered)
{
	struct peer *peer = peer_open("testdev", 0);
	uint8_t message[64];
	size_t len = peer_message(message, 8, WIRE_DEVICE_GET_INFO, &ask_info, sizeof(ask_info));

	for (uint32_t type = 1; type < 16; type++) {
		((struct wire_header *)message)->flags = type;
		peer_send(peer, message, len, NULL, 0);
		EXPECT_TRUE(is_alive(peer));
	}
	peer_stop(peer);
}

TEST(nonsense_does_not_fill_the_log)
{
	struct peer *peer = peer_open("testdev", 0);

	for (unsigned int i = 0; i < 1000; i++) {
		ASSERT_EQ(EOPNOTSUPP, peer_call(peer, 14, NULL, 0));
	}
	EXPECT_GT(50, peer_log_count(peer, "\n"));
	EXPECT_EQ(1, peer_log_count(peer, "further refusals are not logged"));
	peer_stop(peer);
}

/* ---- large transfers ---- */

TEST(transfers_of_up_to_a_mebibyte_arrive_whole)
{
	static const uint32_t counts[] = { 8192, 65536, 256 * 1024, 512 * 1024, MIB };
	struct peer *peer = peer_open("store", PEER_OWN_CLASSES);
	uint8_t *out = malloc(MIB);
	uint8_t *in = malloc(MIB);

	for (unsigned int i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		for (uint32_t j = 0; j < counts[i]; j++)
			out[j] = (uint8_t)(j * 31 + j / 256 + i);
		EXPECT_EQ(0, peer_write_from(peer, FP_BAR0, 4096, out, counts[i]));
		EXPECT_EQ(0, peer_read_to(peer, FP_BAR0, 4096, in, counts[i]));
		EXPECT_EQ(0, memcmp(in, out, counts[i]));
	}
	free(out);
	free(in);
	peer_stop(peer);
}

TEST(large_transfers_pipelined_with_small_ones_stay_in_order)
{
	struct peer *peer = peer_open("store", PEER_OWN_CLASSES);
	uint8_t *messages = malloc(4ul * MIB);
	size_t len = 0;

	for (uint16_t i = 0; i < 3; i++) {
		uint32_t value = 0x1000u + i;
		uint8_t *data = calloc(1, MIB);

		memset(data, 'a' + i, MIB);
		len += peer_message_write(messages + len, i, FP_BAR0, 0, data, MIB);
		len += peer_message_write(messages + len, i, FP_BAR0, MIB, &value, 4);
		len += peer_message_read(messages + len, i, FP_BAR0, MIB - 4, 8);
		free(data);
	}
	peer_send(peer, messages, len, NULL, 0);
	for (uint16_t i = 0; i < 3; i++) {
		uint8_t wanted[8] = { 'a' + i, 'a' + i, 'a' + i, 'a' + i, i, 0x10 };

		EXPECT_EQ(0, peer_answer(peer, i, WIRE_REGION_WRITE));
		EXPECT_EQ(0, peer_answer(peer, i, WIRE_REGION_WRITE));
		EXPECT_EQ(0, peer_answer(peer, i, WIRE_REGION_READ));
		EXPECT_EQ(0, memcmp(wanted, peer->reply.body + sizeof(struct wire_region_access),
				    sizeof(wanted)));
	}
	free(messages);
	peer_stop(peer);
}

TEST(a_count_above_max_data_xfer_size_is_refused)
{
	struct peer *peer = peer_open("store", PEER_OWN_CLASSES);
	uint8_t *data = calloc(1, MIB + 1);

	EXPECT_EQ(EINVAL, peer_write_from(peer, FP_BAR0, 0, data, MIB + 1));
	EXPECT_EQ(EINVAL, peer_read_to(peer, FP_BAR0, 0, data, MIB + 1));
	EXPECT_EQ(EINVAL, peer_read_to(peer, FP_BAR0, 0, data, UINT32_MAX));
	EXPECT_EQ(0, peer_write_from(peer, FP_BAR0, 0, data, MIB));
	free(data);
	peer_stop(peer);
}

TEST(a_large_write_that_is_refused_leaves_the_stream_in_step)
{
	static const uint32_t counts[] = { 256 * 1024, 512 * 1024, MIB };
	struct peer *peer = peer_open("testdev", 0);
	uint8_t *data = malloc(MIB);

	/* With a command in front and one behind, so that the refusal's place shows. */
	memset(data, 0xff, MIB);
	for (unsigned int i = 0; i < 3; i++) {
		uint8_t *messages = malloc(MIB + 256);
		size_t len = peer_message_read(messages, 1, FP_BAR2, 0, 4);

		len += peer_message_write(messages + len, 2, FP_BAR2, 0, data, counts[i]);
		len += peer_message_read(messages + len, 3, FP_BAR2, 0, 4);
		peer_send(peer, messages, len, NULL, 0);
		EXPECT_EQ(0, peer_answer(peer, 1, WIRE_REGION_READ));
		EXPECT_EQ(EINVAL, peer_answer(peer, 2, WIRE_REGION_WRITE));
		EXPECT_EQ(0, peer_answer(peer, 3, WIRE_REGION_READ));
		free(messages);
	}
	free(data);
	peer_stop(peer);
}

/* ---- replies ---- */

TEST(a_reply_arrives_in_one_receive_with_all_its_fds)
{
	struct peer *peer = peer_open("testdev", 0);
	struct wire_region_io_fds ask = { .argsz = 4096, .index = FP_BAR2 };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(16 * sizeof(int))];
	} control;
	uint8_t bytes[4096];
	struct iovec iov = { bytes, sizeof(bytes) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct pollfd poll_fd = { .fd = peer->fd, .events = POLLIN };
	size_t whole = sizeof(struct wire_header) + sizeof(ask) +
		       TESTDEV_NR_IO_FDS * sizeof(struct wire_io_fd_deployed);

	peer_need_fds();
	peer_command(peer, WIRE_DEVICE_GET_REGION_IO_FDS, &ask, sizeof(ask), NULL, 0);
	ASSERT_EQ(1, poll(&poll_fd, 1, PEER_DEADLINE_MS));
	ASSERT_EQ((ssize_t)whole, recvmsg(peer->fd, &msg, MSG_DONTWAIT));
	EXPECT_EQ(whole, ((struct wire_header *)bytes)->msg_size);
	ASSERT_NE(NULL, CMSG_FIRSTHDR(&msg));
	EXPECT_EQ(CMSG_LEN(TESTDEV_NR_IO_FDS * sizeof(int)), control.align.cmsg_len);
	EXPECT_EQ(0, msg.msg_flags & MSG_CTRUNC);
	peer_stop(peer);
}

TEST(fds_of_pipelined_replies_are_each_on_their_own_first_byte)
{
	static const uint32_t nr[] = { 2, 2, TESTDEV_NR_IO_FDS };
	struct peer *peer = peer_open("testdev", 0);

	peer_need_fds();
	peer_freeze(peer);
	for (uint32_t i = 0; i < 3; i++) {
		struct wire_region_io_fds ask = { .argsz = 4096, .index = i };

		peer_command(peer, WIRE_DEVICE_GET_INFO, &ask_info, sizeof(ask_info), NULL, 0);
		peer_command(peer, WIRE_DEVICE_GET_REGION_IO_FDS, &ask, sizeof(ask), NULL, 0);
	}
	peer_thaw(peer);
	for (uint32_t i = 0; i < 3; i++) {
		uint16_t id = (uint16_t)(peer->msg_id - 5 + 2 * i);

		EXPECT_EQ(0, peer_answer(peer, id, WIRE_DEVICE_GET_INFO));
		EXPECT_EQ(0, peer->reply.nr_fds);
		EXPECT_EQ(0, peer_answer(peer, (uint16_t)(id + 1), WIRE_DEVICE_GET_REGION_IO_FDS));
		EXPECT_EQ(nr[i], peer->reply.nr_fds);
	}
	peer_stop(peer);
}

/* ---- clients that do not read ---- */

/* A flood: reads of 512 bytes each, with a msg_id that counts, sent for as long as they are taken. */
struct flood {
	uint8_t messages[64 * 32];
	uint16_t next_id;
	size_t done;   /* bytes of `messages` that have been sent */
	uint32_t sent; /* whole messages */
};

static void flood_fill(struct flood *flood)
{
	for (unsigned int i = 0; i < 64; i++)
		peer_message_read(flood->messages + 32ul * i, flood->next_id++, FP_BAR2,
				  TESTDEV_SCRATCH, TESTDEV_SCRATCH_BYTES);
	flood->done = 0;
}

/* Sends what the socket takes at once; false when it takes nothing. */
static bool flood_on(struct flood *flood, int fd)
{
	ssize_t n = send(fd, flood->messages + flood->done, sizeof(flood->messages) - flood->done,
			 MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n <= 0)
		return false;
	flood->sent += (uint32_t)((flood->done % 32 + (size_t)n) / 32);
	flood->done += (size_t)n;
	if (flood->done == sizeof(flood->messages))
		flood_fill(flood);
	return true;
}

/* Floods until the server takes no more, which is when its answers fill the socket. */
static bool flood_to_the_brim(struct flood *flood, int fd, uint32_t limit)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };

	if (!peer_carries_fds())
		limit *= 16; /* tcp's own buffers grow to megabytes of requests that nobody reads */
	flood_fill(flood);
	while (flood->sent < limit)
		if (!flood_on(flood, fd) && poll(&poll_fd, 1, 300) == 0)
			return true;
	return false;
}

static bool answers_are_in_order(struct peer *peer, const struct flood *flood)
{
	for (uint32_t i = 0; i < flood->sent; i++)
		if (peer_answer(peer, (uint16_t)i, WIRE_REGION_READ))
			return false;
	return true;
}

TEST(a_client_that_does_not_read_is_not_read_either_and_loses_nothing)
{
	struct peer *peer = peer_open("testdev", 0);
	size_t before = peer_resident(peer);
	struct flood flood = { 0 };

	/* 16 MiB of answers at least would be waiting: no server should go along with that. */
	EXPECT_TRUE(flood_to_the_brim(&flood, peer->fd, 65536));
	EXPECT_LT(1000, flood.sent);
	EXPECT_GT(before + 16 * MIB, peer_resident(peer));
	EXPECT_TRUE(answers_are_in_order(peer, &flood));
	peer_stop(peer);
}

TEST(answers_that_the_socket_takes_all_at_once_are_complete)
{
	struct peer *peer = peer_open("testdev", PEER_ROOMY);
	struct flood flood = { 0 };

	/* More than the server would keep waiting for a client. */
	flood_fill(&flood);
	peer_freeze(peer);
	while (flood_on(&flood, peer->fd))
		;
	peer_thaw(peer);
	while (flood.sent < 20000)
		flood_on(&flood, peer->fd);
	EXPECT_TRUE(answers_are_in_order(peer, &flood));
	EXPECT_TRUE(is_alive(peer));
	peer_stop(peer);
}

TEST(a_client_that_does_not_read_burns_no_cpu)
{
	struct peer *peer = peer_open("testdev", 0);
	struct flood flood = { 0 };
	uint64_t before;

	ASSERT_TRUE(flood_to_the_brim(&flood, peer->fd, 65536));
	before = peer_cpu_ns(peer);
	poll(NULL, 0, 200);
	EXPECT_GT(before + 50000000, peer_cpu_ns(peer));
	peer_stop(peer);
}

TEST(a_client_that_does_not_read_may_leave)
{
	struct peer *peer = peer_open("testdev", PEER_LISTEN);
	unsigned int before = peer_count_fds(peer);
	struct flood flood = { 0 };

	ASSERT_TRUE(flood_to_the_brim(&flood, peer->fd, 65536));
	peer_reconnect(peer);
	EXPECT_EQ(before, peer_count_fds(peer));
	EXPECT_TRUE(is_alive(peer));
	peer_stop(peer);
}

TEST(a_client_that_never_quite_catches_up_costs_bounded_memory)
{
	struct peer *peer = peer_open("testdev", 0);
	size_t before = peer_resident(peer);
	struct flood flood = { 0 };
	uint32_t received = 0;

	/* 100 MiB of answers, of which some always wait. */
	flood_fill(&flood);
	while (received < 200000) {
		while (flood.sent < received + 3000)
			if (!flood_on(&flood, peer->fd))
				break;
		ASSERT_EQ(0, peer_answer(peer, (uint16_t)received++, WIRE_REGION_READ));
	}
	EXPECT_GT(before + 24 * MIB, peer_resident(peer));
	peer_stop(peer);
}

/* ---- clients and others ---- */

static bool is_served(struct peer *peer)
{
	for (unsigned int i = 0; i < 50; i++)
		if (!is_alive(peer))
			return false;
	return true;
}

TEST(a_client_that_stops_reading_does_not_stall_another)
{
	struct peer *peer = peer_open("testdev", PEER_LISTEN | PEER_TWO);
	struct peer *other = peer_other(peer);
	struct flood flood = { 0 };

	ASSERT_TRUE(flood_to_the_brim(&flood, peer->fd, 65536));
	EXPECT_TRUE(is_served(other));
	peer_stop(other);
	peer_stop(peer);
}

TEST(a_client_that_stops_in_a_message_does_not_stall_another)
{
	struct peer *peer = peer_open("testdev", PEER_LISTEN | PEER_TWO);
	struct peer *other = peer_other(peer);
	uint8_t message[64];
	size_t len = peer_message(message, 1, WIRE_DEVICE_GET_INFO, &ask_info, sizeof(ask_info));

	for (size_t i = 0; i < len; i++) {
		peer_send(peer, message + i, 1, NULL, 0);
		peer_drain(peer);
		EXPECT_TRUE(is_alive(other));
	}
	EXPECT_EQ(0, peer_answer(peer, 1, WIRE_DEVICE_GET_INFO));
	peer_stop(other);
	peer_stop(peer);
}

TEST(a_client_that_says_nothing_does_not_stall_another)
{
	struct peer *peer = peer_start("testdev", PEER_LISTEN | PEER_TWO);
	struct peer *other = peer_other(peer);

	EXPECT_TRUE(is_served(other));
	peer_stop(other);
	peer_stop(peer);
}

TEST(a_client_that_floods_does_not_stall_another)
{
	struct peer *peer = peer_open("testdev", PEER_LISTEN | PEER_TWO);
	struct peer *other = peer_other(peer);
	uint8_t messages[32768];
	size_t len = 0;
	pid_t child;

	while (len + 40 <= sizeof(messages)) {
		struct wire_header *hdr = (struct wire_header *)(messages + len);

		len += peer_message_write(hdr, 0, FP_BAR2, TESTDEV_SCRATCH, "floodflo", 8);
		hdr->flags = WIRE_NO_REPLY;
	}
	child = fork();
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (send(peer->fd, messages, len, MSG_NOSIGNAL) == (ssize_t)len)
			;
		_exit(1);
	}
	EXPECT_TRUE(is_served(other));
	EXPECT_EQ(0, waitpid(child, NULL, WNOHANG));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	peer_stop(other);
	peer_stop(peer);
}

/* ---- coming and going ---- */

TEST(a_client_may_leave_at_any_byte)
{
	struct peer *peer = peer_open("testdev", PEER_LISTEN);
	unsigned int before = peer_count_fds(peer);
	uint64_t value = 0;
	uint8_t message[64];
	size_t len = peer_message_write(message, 1, FP_BAR2, TESTDEV_SCRATCH, &value, 8);

	for (size_t i = 0; i <= len; i++) {
		peer_send(peer, message, i, NULL, 0);
		peer_reconnect(peer);
		ASSERT_EQ(before, peer_count_fds(peer));
	}
	EXPECT_TRUE(is_alive(peer));
	peer_stop(peer);
}

TEST(a_thousand_connections_leave_nothing_behind)
{
	struct peer *peer = peer_open("testdev", PEER_LISTEN);
	unsigned int before = peer_count_fds(peer);

	for (unsigned int i = 0; i < 1000; i++)
		peer_reconnect(peer);
	EXPECT_EQ(before, peer_count_fds(peer));
	EXPECT_EQ(0, peer_log_count(peer, "accept"));
	peer_stop(peer);
}

TEST(the_device_keeps_its_state_between_clients)
{
	struct peer *peer = peer_open("testdev", PEER_LISTEN);

	peer_write(peer, FP_BAR2, TESTDEV_SCRATCH, 0x5ca7c4, 8);
	peer_reconnect(peer);
	EXPECT_EQ(0x5ca7c4, peer_read(peer, FP_BAR2, TESTDEV_SCRATCH, 8));
	peer_stop(peer);
}

TEST_HARNESS_MAIN
