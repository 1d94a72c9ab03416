// SPDX-License-Identifier: GPL-2.0-only
/*
 * What each command answers, and which messages are refused without harm.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

#include "fastpath.h"
#include "kselftest_harness.h"
#include "lib/peer.h"
#include "testdev.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static bool is_alive(struct peer *peer)
{
	return peer_read(peer, FP_BAR2, 0, 4) == TESTDEV_MAGIC;
}

/* ---- the shape of messages ---- */

static const struct {
	uint16_t cmd;
	size_t fixed; /* bytes of body */
} fixed_parts[] = {
	{ WIRE_VERSION, 4 },
	{ WIRE_DMA_MAP, 32 },
	{ WIRE_DMA_UNMAP, 24 },
	{ WIRE_DEVICE_GET_INFO, 16 },
	{ WIRE_DEVICE_GET_REGION_INFO, 32 },
	{ WIRE_DEVICE_GET_REGION_IO_FDS, 16 },
	{ WIRE_DEVICE_GET_IRQ_INFO, 16 },
	{ WIRE_DEVICE_SET_IRQS, 20 },
	{ WIRE_REGION_READ, 16 },
	{ WIRE_REGION_WRITE, 16 },
	{ WIRE_DEVICE_FEATURE, 8 },
	{ WIRE_MIG_DATA_READ, 8 },
	{ WIRE_MIG_DATA_WRITE, 8 },
};

TEST(a_body_shorter_than_the_fixed_part_is_refused)
{
	struct peer *peer = peer_open("testdev", 0);
	uint8_t body[32];

	/* An argsz that is large enough must not make up for it. */
	memset(body, 0xff, sizeof(body));
	for (size_t i = 0; i < COUNT(fixed_parts); i++)
		for (size_t len = 0; len < fixed_parts[i].fixed; len++) {
			ASSERT_EQ(EINVAL, peer_call(peer, fixed_parts[i].cmd, body, len));
			ASSERT_TRUE(is_alive(peer));
		}
	peer_stop(peer);
}

TEST(an_argsz_below_the_fixed_part_is_refused)
{
	/* Good but for it; the second is undone by the third. */
	static const struct wire_device_info info;
	static const struct wire_dma_map map = { .flags = WIRE_DMA_READABLE, .size = 4096 };
	static const struct wire_dma_unmap unmap = { .size = 4096 };
	static const struct wire_region_info region;
	static const struct wire_region_io_fds io_fds;
	static const struct wire_irq_info irq;
	static const struct wire_irq_set set = {
		.flags = WIRE_IRQ_DATA_NONE | WIRE_IRQ_ACTION_TRIGGER,
		.index = FP_MSIX,
	};
	static const struct {
		uint16_t cmd;
		const void *body;
		uint32_t len;
	} requests[] = {
		{ WIRE_DEVICE_GET_INFO, &info, sizeof(info) },
		{ WIRE_DMA_MAP, &map, sizeof(map) },
		{ WIRE_DMA_UNMAP, &unmap, sizeof(unmap) },
		{ WIRE_DEVICE_GET_REGION_INFO, &region, sizeof(region) },
		{ WIRE_DEVICE_GET_REGION_IO_FDS, &io_fds, sizeof(io_fds) },
		{ WIRE_DEVICE_GET_IRQ_INFO, &irq, sizeof(irq) },
		{ WIRE_DEVICE_SET_IRQS, &set, sizeof(set) },
	};
	struct peer *peer = peer_open("testdev", 0);
	uint8_t body[32];

	for (size_t i = 0; i < COUNT(requests); i++) {
		for (uint32_t argsz = 0; argsz <= requests[i].len; argsz++) {
			memcpy(body, requests[i].body, requests[i].len);
			memcpy(body, &argsz, sizeof(argsz));
			ASSERT_EQ(argsz < requests[i].len ? EINVAL : 0,
				  peer_call(peer, requests[i].cmd, body, requests[i].len))
			{
				TH_LOG("%s, argsz %u", wire_cmd_name(requests[i].cmd), argsz);
			}
		}
	}
	peer_stop(peer);
}

TEST(a_command_that_is_not_known_is_refused_and_the_connection_lives)
{
	static const uint16_t cmds[] = {
		0, WIRE_DMA_READ, WIRE_DMA_WRITE, 14, WIRE_CMD_END, 255, 0xffff,
	};
	struct peer *peer = peer_open("testdev", 0);
	uint8_t body[64] = { 64 };

	for (size_t i = 0; i < COUNT(cmds); i++) {
		EXPECT_EQ(EOPNOTSUPP, peer_call(peer, cmds[i], NULL, 0));
		EXPECT_EQ(EOPNOTSUPP, peer_call(peer, cmds[i], body, 3));
		EXPECT_EQ(EOPNOTSUPP, peer_call(peer, cmds[i], body, sizeof(body)));
		EXPECT_TRUE(is_alive(peer));
	}
	peer_stop(peer);
}

TEST(a_no_reply_command_gets_no_reply_whether_it_succeeds_or_fails)
{
	struct peer *peer = peer_open("testdev", 0);
	uint8_t good[32] = { 32 };
	uint8_t bad[32] = { 0 };

	for (unsigned int cmd = 0; cmd < WIRE_CMD_END + 2; cmd++) {
		peer_post(peer, (uint16_t)cmd, good, sizeof(good));
		peer_post(peer, (uint16_t)cmd, bad, sizeof(bad));
		peer_post(peer, (uint16_t)cmd, NULL, 0);
		EXPECT_TRUE(is_alive(peer)); /* its answer is the first that comes */
	}
	peer_stop(peer);
}

TEST(a_no_reply_write_is_done_before_the_command_behind_it)
{
	struct peer *peer = peer_open("testdev", 0);
	uint8_t body[sizeof(struct wire_region_access) + 8];
	struct wire_region_access access = {
		.offset = TESTDEV_SCRATCH,
		.region = FP_BAR2,
		.count = 8,
	};

	memcpy(body, &access, sizeof(access));
	for (uint64_t i = 1; i <= 100; i++) {
		memcpy(body + sizeof(access), &i, sizeof(i));
		peer_post(peer, WIRE_REGION_WRITE, body, sizeof(body));
		ASSERT_EQ(i, peer_read(peer, FP_BAR2, TESTDEV_SCRATCH, 8));
	}
	peer_stop(peer);
}

TEST(reserved_bits_and_errno_of_a_command_are_ignored)
{
	struct peer *peer = peer_open("testdev", 0);
	uint8_t message[64];
	size_t len = peer_message_read(message, 1, FP_BAR2, 0, 4);

	((struct wire_header *)message)->flags = 0xffffff00u | WIRE_ERROR;
	((struct wire_header *)message)->error_no = 5;
	peer_send(peer, message, len, NULL, 0);
	EXPECT_EQ(0, peer_answer(peer, 1, WIRE_REGION_READ));
	peer_stop(peer);
}

/* ---- the device, its regions and interrupts ---- */

TEST(a_pci_device_has_nine_regions_and_five_kinds_of_interrupts)
{
	struct peer *peer = peer_open("testdev", 0);
	struct wire_device_info info = { .argsz = sizeof(info) };

	ASSERT_EQ(0, peer_call(peer, WIRE_DEVICE_GET_INFO, &info, sizeof(info)));
	ASSERT_EQ(sizeof(info), peer->reply.len);
	memcpy(&info, peer->reply.body, sizeof(info));
	EXPECT_EQ(sizeof(info), info.argsz);
	EXPECT_EQ(WIRE_DEVICE_PCI | WIRE_DEVICE_RESETTABLE, info.flags);
	EXPECT_EQ(9, info.num_regions);
	EXPECT_EQ(5, info.num_irqs);
	peer_stop(peer);
}

static int ask_region_info(struct peer *peer, uint32_t index, uint32_t argsz,
			   struct wire_region_info *info)
{
	int error;

	*info = (struct wire_region_info){ .argsz = argsz, .index = index };
	error = peer_call(peer, WIRE_DEVICE_GET_REGION_INFO, info, sizeof(*info));
	if (!error)
		memcpy(info, peer->reply.body, sizeof(*info));
	return error;
}

TEST(every_region_tells_its_size_and_what_may_be_done_with_it)
{
	static const uint64_t sizes[FP_NR_REGIONS] = {
		[FP_BAR0] = 0x1000,  [FP_BAR1] = 0x100,	 [FP_BAR2] = TESTDEV_BENCH_BYTES,
		[FP_BAR3] = 0x10000, [FP_BAR4] = 0x1000, [FP_CONFIG] = 4096,
	};
	struct peer *peer = peer_open("testdev", 0);
	struct wire_region_info info;

	for (uint32_t i = 0; i < FP_NR_REGIONS; i++) {
		ASSERT_EQ(0, ask_region_info(peer, i, sizeof(info), &info));
		EXPECT_EQ(sizeof(info), peer->reply.len);
		EXPECT_EQ(0, peer->reply.nr_fds);
		/* What may be mapped of BAR3 would need more; see mmap.c. */
		EXPECT_EQ(i == FP_BAR3 && peer_carries_fds() ? 80 : sizeof(info), info.argsz);
		EXPECT_EQ(i, info.index);
		EXPECT_EQ(sizes[i], info.size);
		EXPECT_EQ(sizes[i] ? WIRE_REGION_READABLE | WIRE_REGION_WRITEABLE : 0, info.flags);
		EXPECT_EQ(0, info.cap_offset);
		EXPECT_EQ(0, info.offset);
	}
	peer_stop(peer);
}

TEST(the_info_of_a_region_that_is_not_there_is_refused)
{
	struct peer *peer = peer_open("testdev", 0);
	struct wire_region_info info;

	EXPECT_EQ(EINVAL, ask_region_info(peer, FP_NR_REGIONS, sizeof(info), &info));
	EXPECT_EQ(EINVAL, ask_region_info(peer, UINT32_MAX, sizeof(info), &info));
	EXPECT_TRUE(is_alive(peer));
	peer_stop(peer);
}

/* As QEMU does: 48 bytes, whatever argsz says. */
TEST(a_region_info_request_needs_no_body_of_argsz_bytes)
{
	struct peer *peer = peer_open("testdev", 0);
	struct wire_region_info info;

	ASSERT_EQ(0, ask_region_info(peer, FP_BAR0, 4096, &info));
	EXPECT_EQ(sizeof(info), info.argsz);
	EXPECT_EQ(sizeof(info), peer->reply.len);
	peer_stop(peer);
}

TEST(a_body_may_be_longer_than_its_fixed_part)
{
	struct peer *peer = peer_open("testdev", 0);
	uint8_t body[256] = { 0 };
	struct wire_device_info info = { .argsz = sizeof(body) };

	memcpy(body, &info, sizeof(info));
	ASSERT_EQ(0, peer_call(peer, WIRE_DEVICE_GET_INFO, body, sizeof(body)));
	EXPECT_EQ(sizeof(info), peer->reply.len);
	peer_stop(peer);
}

TEST(every_kind_of_interrupt_tells_its_count_and_flags)
{
	static const struct {
		uint32_t count;
		uint32_t flags;
	} kinds[FP_NR_IRQS] = {
		[FP_INTX] = { 1, WIRE_IRQ_EVENTFD | WIRE_IRQ_MASKABLE | WIRE_IRQ_AUTOMASKED },
		[FP_MSI] = { 4, WIRE_IRQ_EVENTFD | WIRE_IRQ_MASKABLE },
		[FP_MSIX] = { 4, WIRE_IRQ_EVENTFD | WIRE_IRQ_MASKABLE },
		[FP_ERR] = { 0, WIRE_IRQ_EVENTFD },
		[FP_REQ] = { 0, WIRE_IRQ_EVENTFD },
	};
	struct peer *peer = peer_open("testdev", 0);

	for (uint32_t i = 0; i < FP_NR_IRQS; i++) {
		struct wire_irq_info info = { .argsz = sizeof(info), .index = i };

		ASSERT_EQ(0, peer_call(peer, WIRE_DEVICE_GET_IRQ_INFO, &info, sizeof(info)));
		ASSERT_EQ(sizeof(info), peer->reply.len);
		memcpy(&info, peer->reply.body, sizeof(info));
		EXPECT_EQ(sizeof(info), info.argsz);
		EXPECT_EQ(i, info.index);
		EXPECT_EQ(kinds[i].count, info.count);
		EXPECT_EQ(kinds[i].flags, info.flags);
	}
	peer_stop(peer);
}

TEST(the_info_of_an_interrupt_that_is_not_there_is_refused)
{
	struct peer *peer = peer_open("testdev", 0);
	struct wire_irq_info info = { .argsz = sizeof(info), .index = FP_NR_IRQS };

	EXPECT_EQ(EINVAL, peer_call(peer, WIRE_DEVICE_GET_IRQ_INFO, &info, sizeof(info)));
	info.index = UINT32_MAX;
	EXPECT_EQ(EINVAL, peer_call(peer, WIRE_DEVICE_GET_IRQ_INFO, &info, sizeof(info)));
	EXPECT_TRUE(is_alive(peer));
	peer_stop(peer);
}

/* ---- region accesses ---- */

TEST(an_access_within_the_bounds_of_its_region_is_served)
{
	struct peer *peer = peer_open("testdev", 0);
	uint8_t data[TESTDEV_SCRATCH_BYTES];
	uint8_t back[TESTDEV_SCRATCH_BYTES];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + 1);
	EXPECT_EQ(0, peer_write_from(peer, FP_BAR2, TESTDEV_SCRATCH, data, sizeof(data)));
	EXPECT_EQ(0, peer_read_to(peer, FP_BAR2, TESTDEV_SCRATCH, back, sizeof(back)));
	EXPECT_EQ(0, memcmp(data, back, sizeof(data)));
	/* One byte, also the last; an odd place; the whole region. */
	EXPECT_EQ(data[511], peer_read(peer, FP_BAR2, TESTDEV_SCRATCH + 511, 1));
	EXPECT_EQ(data[3] | (uint64_t)data[4] << 8,
		  peer_read(peer, FP_BAR2, TESTDEV_SCRATCH + 3, 2));
	EXPECT_EQ(0, peer_read(peer, FP_BAR2, TESTDEV_BENCH_BYTES - 1, 1));
	EXPECT_EQ(0, peer_call(peer, WIRE_REGION_READ,
			       &(struct wire_region_access){ 0, FP_BAR2, TESTDEV_BENCH_BYTES },
			       sizeof(struct wire_region_access)));
	peer_stop(peer);
}

TEST(an_access_that_is_not_wholly_inside_its_region_is_refused)
{
	static const struct wire_region_access accesses[] = {
		{ TESTDEV_BENCH_BYTES, FP_BAR2, 1 },
		{ TESTDEV_BENCH_BYTES - 1, FP_BAR2, 2 },
		{ TESTDEV_BENCH_BYTES - 4, FP_BAR2, 8 },
		{ 0, FP_BAR2, TESTDEV_BENCH_BYTES + 1 },
		{ UINT64_MAX, FP_BAR2, 1 },
		{ UINT64_MAX - 3, FP_BAR2, 8 }, /* wraps to 4 */
		{ 1ull << 32, FP_BAR2, 4 },
		{ 0, FP_BAR2, 0 },
		{ TESTDEV_BENCH_BYTES, FP_BAR2, 0 },
		{ 4096, FP_CONFIG, 1 },
		{ 4095, FP_CONFIG, 2 },
		{ 0, FP_CONFIG, 4097 },
		{ 0, FP_BAR5, 1 }, /* of size 0 */
		{ 0, FP_ROM, 4 },
		{ 0, FP_VGA, 4 },
		{ 0, FP_NR_REGIONS, 4 },
		{ 0, UINT32_MAX, 4 },
	};
	struct peer *peer = peer_open("testdev", 0);
	uint8_t *data = calloc(1, 8192);

	for (size_t i = 0; i < COUNT(accesses); i++) {
		struct wire_region_access a = accesses[i];

		EXPECT_EQ(EINVAL, peer_read_to(peer, a.region, a.offset, data, a.count));
		EXPECT_EQ(EINVAL, peer_write_from(peer, a.region, a.offset, data, a.count));
		EXPECT_TRUE(is_alive(peer));
	}
	free(data);
	peer_stop(peer);
}

TEST(a_write_whose_count_is_not_that_of_its_data_is_refused)
{
	struct peer *peer = peer_open("testdev", 0);
	uint8_t body[sizeof(struct wire_region_access) + 8];

	for (uint32_t count = 0; count < 20; count++) {
		struct wire_region_access access = {
			.offset = TESTDEV_SCRATCH,
			.region = FP_BAR2,
			.count = count,
		};

		memset(body, 0xff, sizeof(body));
		memcpy(body, &access, sizeof(access));
		EXPECT_EQ(count == 8 ? 0 : EINVAL,
			  peer_call(peer, WIRE_REGION_WRITE, body, sizeof(body)));
	}
	EXPECT_TRUE(is_alive(peer));
	peer_stop(peer);
}

TEST(a_read_that_brings_data_is_refused)
{
	struct peer *peer = peer_open("testdev", 0);
	uint8_t body[sizeof(struct wire_region_access) + 4] = { 0 };
	struct wire_region_access access = { .region = FP_BAR2, .count = 4 };

	memcpy(body, &access, sizeof(access));
	EXPECT_EQ(EINVAL, peer_call(peer, WIRE_REGION_READ, body, sizeof(body)));
	EXPECT_TRUE(is_alive(peer));
	peer_stop(peer);
}

TEST(registers_of_every_width_read_back)
{
	static const struct {
		uint64_t offset;
		uint32_t width;
	} registers[] = {
		{ TESTDEV_REGISTER_1, 1 },
		{ TESTDEV_REGISTER_2, 2 },
		{ TESTDEV_REGISTER_4, 4 },
		{ TESTDEV_REGISTER_8, 8 },
	};
	struct peer *peer = peer_open("testdev", 0);

	for (unsigned int i = 0; i < 4; i++)
		peer_write(peer, FP_BAR2, registers[i].offset, 0x8182838485868788ull + i,
			   registers[i].width);
	for (unsigned int i = 0; i < 4; i++) {
		EXPECT_EQ((0x8182838485868788ull + i) &
				  (UINT64_MAX >> (64 - 8 * registers[i].width)),
			  peer_read(peer, FP_BAR2, registers[i].offset, registers[i].width));
	}
	peer_stop(peer);
}

TEST(the_id_given_on_the_command_line_is_read_in_bar2)
{
	struct peer *peer = peer_open("testdev,id=0x123456789abcdef0", 0);

	EXPECT_EQ(0x123456789abcdef0ull,
		  peer_read(peer, FP_BAR2, offsetof(struct testdev_counters, id), 8));
	peer_stop(peer);
}

TEST(a_reset_restores_the_state_of_power_on)
{
	struct peer *peer = peer_open("testdev,id=7", 0);

	peer_write(peer, FP_BAR2, TESTDEV_SCRATCH, 0xabcd, 2);
	peer_write(peer, FP_BAR4, 0, 0xabcd, 2);
	peer_write(peer, FP_CONFIG, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	peer_write(peer, FP_CONFIG, PCI_BASE_ADDRESS_1, 0xc000, 4);
	peer_write(peer, FP_CONFIG, PCI_INTERRUPT_LINE, 11, 1);
	ASSERT_EQ(0, peer_call(peer, WIRE_DEVICE_RESET, NULL, 0));
	EXPECT_EQ(0, peer->reply.len);
	EXPECT_EQ(0, peer_read(peer, FP_BAR2, TESTDEV_SCRATCH, 2));
	EXPECT_EQ(0, peer_read(peer, FP_BAR4, 0, 2));
	EXPECT_EQ(0, peer_read(peer, FP_CONFIG, PCI_COMMAND, 2));
	EXPECT_EQ(PCI_BASE_ADDRESS_SPACE_IO, peer_read(peer, FP_CONFIG, PCI_BASE_ADDRESS_1, 4));
	EXPECT_EQ(0, peer_read(peer, FP_CONFIG, PCI_INTERRUPT_LINE, 1));
	EXPECT_EQ(7, peer_read(peer, FP_BAR2, offsetof(struct testdev_counters, id), 8));
	peer_stop(peer);
}

/* ---- configuration space ---- */

TEST(configuration_space_identifies_the_device)
{
	struct peer *peer = peer_open("testdev", 0);

	EXPECT_EQ(TESTDEV_VENDOR, peer_read(peer, FP_CONFIG, PCI_VENDOR_ID, 2));
	EXPECT_EQ(TESTDEV_DEVICE, peer_read(peer, FP_CONFIG, PCI_DEVICE_ID, 2));
	EXPECT_EQ(0x00ff0000, peer_read(peer, FP_CONFIG, PCI_CLASS_REVISION, 4));
	EXPECT_EQ(0x1af4, peer_read(peer, FP_CONFIG, PCI_SUBSYSTEM_VENDOR_ID, 2));
	EXPECT_EQ(0x1100, peer_read(peer, FP_CONFIG, PCI_SUBSYSTEM_ID, 2));
	EXPECT_EQ(0, peer_read(peer, FP_CONFIG, PCI_HEADER_TYPE, 1));
	EXPECT_EQ(1, peer_read(peer, FP_CONFIG, PCI_INTERRUPT_PIN, 1));
	EXPECT_EQ(TESTDEV_VENDOR | TESTDEV_DEVICE << 16, peer_read(peer, FP_CONFIG, 0, 4));
	peer_stop(peer);
}

TEST(all_of_configuration_space_can_be_read_at_once)
{
	struct peer *peer = peer_open("testdev", 0);
	uint8_t config[256];

	ASSERT_EQ(0, peer_read_to(peer, FP_CONFIG, 0, config, sizeof(config)));
	for (uint64_t i = 0; i < sizeof(config); i++) {
		EXPECT_EQ(config[i], peer_read(peer, FP_CONFIG, i, 1));
	}
	peer_stop(peer);
}

TEST(the_msix_table_reads_back)
{
	struct peer *peer = peer_open("testdev", 0);
	uint8_t entries[4 * PCI_MSIX_ENTRY_SIZE];
	uint8_t back[sizeof(entries)];

	for (size_t i = 0; i < sizeof(entries); i++)
		entries[i] = (uint8_t)(i + 1);
	EXPECT_EQ(0, peer_write_from(peer, FP_BAR4, 0, entries, sizeof(entries)));
	EXPECT_EQ(0, peer_read_to(peer, FP_BAR4, 0, back, sizeof(back)));
	EXPECT_EQ(0, memcmp(entries, back, sizeof(back)));
	peer_stop(peer);
}

/* ---- testdev's BAR0 and BAR1: the layout of QEMU's pci-testdev ---- */

struct test_header {
	uint8_t test;
	uint8_t width;
	uint8_t pad0[2];
	uint32_t offset;
	uint8_t data;
	uint8_t pad1[3];
	uint32_t count;
	char name[28];
};

TEST(pci_testdev_shows_no_header_until_a_test_is_chosen)
{
	struct peer *peer = peer_open("testdev", 0);

	for (uint32_t bar = FP_BAR0; bar <= FP_BAR1; bar++) {
		EXPECT_EQ(0, peer_read(peer, bar, offsetof(struct test_header, width), 1));
		EXPECT_EQ(0, peer_read(peer, bar, offsetof(struct test_header, name), 1));
		peer_write(peer, bar, 0, 3, 1);
		EXPECT_EQ(0, peer_read(peer, bar, offsetof(struct test_header, width), 1));
	}
	peer_stop(peer);
}

TEST(pci_testdev_counts_the_stores_of_the_chosen_test)
{
	static const char *const names[2][3] = {
		{ "mmio-no-eventfd", "mmio-wildcard-eventfd", "mmio-datamatch-eventfd" },
		{ "portio-no-eventfd", "portio-wildcard-eventfd", "portio-datamatch-eventfd" },
	};
	struct peer *peer = peer_open("testdev", 0);
	struct test_header test;

	for (uint32_t bar = FP_BAR0; bar <= FP_BAR1; bar++)
		for (uint8_t i = 0; i < 3; i++) {
			peer_write(peer, bar, 0, i, 1);
			ASSERT_EQ(0, peer_read_to(peer, bar, 0, &test, sizeof(test)));
			EXPECT_STREQ(names[bar][i], test.name);
			EXPECT_EQ(1, test.width);
			EXPECT_EQ(0, test.count);
			for (unsigned int n = 0; n < 5; n++)
				peer_write(peer, bar, test.offset, test.data, test.width);
			EXPECT_EQ(5, peer_read(peer, bar, offsetof(struct test_header, count), 4));
			/* Another value counts only where any does. */
			peer_write(peer, bar, test.offset, (uint8_t)~test.data, test.width);
			EXPECT_EQ(i == 1 ? 6 : 5,
				  peer_read(peer, bar, offsetof(struct test_header, count), 4));
		}
	peer_stop(peer);
}

TEST_HARNESS_MAIN
