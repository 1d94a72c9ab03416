// SPDX-License-Identifier: GPL-2.0-only
/*
 * Configuration space: what it says of the device, which bits of it a client can change, and which
 * classes are refused.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fastpath.h"
#include "kselftest_harness.h"
#include "lib/peer.h"
#include "pci.h"
#include "region.h"
#include "testdev.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

#define GIB (1ull << 30)

/* ---- devices ---- */

static int ones_access(struct fp_device *dev, struct fp_access *access)
{
	if (!access->write)
		memset(access->data, 0xff, access->size);
	return 0;
}

/* Answers reads with how many writes it has seen. */
struct shy {
	uint8_t calls;
};

static int shy_access(struct fp_device *dev, struct fp_access *access)
{
	struct shy *shy = fp_state(dev);

	if (access->write)
		shy->calls++;
	else
		memset(access->data, 0x80 + shy->calls, access->size);
	return 0;
}

#define OLD_VECTORS 70u
#define OLD_TABLE 0x3008u /* behind the pending bits, unlike elsewhere */
#define OLD_PBA 0x2000u

static const uint8_t one_data[] = { 1, 2, 3, 4, 5 };
static const uint8_t one_writable[] = { 0, 0xff, 0x0f, 0, 0x80 };
static const uint8_t other_data[] = { 9 };

static const struct fp_pci_cap old_caps[] = {
	{ .data = one_data, .writable = one_writable, .size = sizeof(one_data) },
	{ .data = other_data, .size = sizeof(other_data) },
};

/* Every kind of BAR, conventional PCI, MSI-X beside registers. */
FP_DEVICE(old) = {
	.name = "old",
	.summary = "conventional PCI",
	.state_bytes = sizeof(struct shy),
	.pci = {
		.vendor = 0x1234,
		.device = 0x5678,
		.msix_bar = FP_BAR4,
		.msix_table = OLD_TABLE,
		.msix_pba = OLD_PBA,
		.vendor_caps = old_caps,
		.nr_vendor_caps = 2,
	},
	.irqs = { [FP_INTX] = 1, [FP_MSI] = 32, [FP_MSIX] = OLD_VECTORS },
	.regions = {
		[FP_BAR0] = {
			.size = 8 * GIB,
			.flags = FP_REGION_64BIT | FP_REGION_PREFETCHABLE,
			.access = ones_access,
		},
		[FP_BAR2] = { .size = 32, .flags = FP_REGION_IO, .access = ones_access },
		[FP_BAR3] = { .size = 16, .access = ones_access },
		[FP_BAR4] = { .size = 0x10000, .access = shy_access },
		[FP_BAR5] = {
			.size = 2 * GIB,
			.flags = FP_REGION_PREFETCHABLE,
			.access = ones_access,
		},
		[FP_ROM] = {
			.size = 0x8000,
			.flags = FP_REGION_READ_ONLY,
			.access = ones_access,
		},
	},
};

/* As much MSI-X as there may be, in a BAR of its own; 64-bit in the last place. */
FP_DEVICE(many) = {
	.name = "many",
	.summary = "2,048 vectors",
	.pci = { .msix_bar = FP_BAR1, .capabilities = FP_PCI_EXPRESS },
	.irqs = { [FP_MSI] = 5, [FP_MSIX] = 2048 },
	.regions[FP_BAR4] = { .size = 0x1000, .flags = FP_REGION_64BIT, .access = ones_access },
};

/* Does not hold together. */
FP_DEVICE(broken) = {
	.name = "broken",
	.summary = "a 64-bit BAR without room",
	.regions = {
		[FP_BAR0] = { .size = 4096, .flags = FP_REGION_64BIT, .access = ones_access },
		[FP_BAR1] = { .size = 4096, .access = ones_access },
	},
};

/* ---- helpers ---- */

static uint32_t config(struct peer *peer, uint64_t at, uint32_t count)
{
	return (uint32_t)peer_read(peer, FP_CONFIG, at, count);
}

static void set_config(struct peer *peer, uint64_t at, uint32_t value, uint32_t count)
{
	peer_write(peer, FP_CONFIG, at, value, count);
}

/* Capability number `nth` with `id`; 0: there is none. */
static uint32_t find_nth(struct peer *peer, uint32_t id, unsigned int nth)
{
	uint32_t at = config(peer, PCI_CAPABILITY_LIST, 1);

	for (unsigned int left = 48; at && left; left--, at = config(peer, at + 1, 1))
		if (config(peer, at, 1) == id && !nth--)
			return at;
	return 0;
}

static uint32_t find_cap(struct peer *peer, uint32_t id)
{
	return find_nth(peer, id, 0);
}

static uint64_t region_size(struct peer *peer, uint32_t index)
{
	struct wire_region_info info = { .argsz = sizeof(info), .index = index };

	if (peer_call(peer, WIRE_DEVICE_GET_REGION_INFO, &info, sizeof(info)))
		return UINT64_MAX;
	memcpy(&info, peer->reply.body, sizeof(info));
	return info.size;
}

static struct peer *open_old(void)
{
	return peer_open("old", PEER_OWN_CLASSES);
}

static uint32_t config_size(struct peer *peer)
{
	return (uint32_t)region_size(peer, FP_CONFIG);
}

/* ---- what it says ---- */

TEST(a_conventional_device_has_256_bytes_and_an_express_one_4096)
{
	struct peer *peer = open_old();

	EXPECT_EQ(256, config_size(peer));
	EXPECT_EQ(0, find_cap(peer, PCI_CAP_ID_EXP));
	peer_stop(peer);
	peer = peer_open("testdev", 0);
	EXPECT_EQ(4096, config_size(peer));
	EXPECT_NE(0, find_cap(peer, PCI_CAP_ID_EXP));
	peer_stop(peer);
}

static bool list_is(struct peer *peer, const uint32_t *ids, size_t nr)
{
	uint32_t at = config(peer, PCI_CAPABILITY_LIST, 1);
	uint32_t before = 0;

	if (!(config(peer, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST))
		return false;
	/* Each lies behind the one before, so that there is no loop. */
	for (size_t i = 0; i < nr; i++) {
		if (at % 4 || at < 0x40 || at <= before || config(peer, at, 1) != ids[i])
			return false;
		before = at;
		at = config(peer, at + PCI_CAP_LIST_NEXT, 1);
	}
	return !at;
}

TEST(the_list_of_capabilities_is_aligned_has_no_loop_and_ends)
{
	static const uint32_t testdev[] = {
		PCI_CAP_ID_PM, PCI_CAP_ID_MSI, PCI_CAP_ID_MSIX, PCI_CAP_ID_EXP, PCI_CAP_ID_VNDR,
	};
	static const uint32_t conventional[] = {
		PCI_CAP_ID_MSI,
		PCI_CAP_ID_MSIX,
		PCI_CAP_ID_VNDR,
		PCI_CAP_ID_VNDR,
	};
	struct peer *peer = peer_open("testdev", 0);

	EXPECT_TRUE(list_is(peer, testdev, COUNT(testdev)));
	peer_stop(peer);
	peer = open_old();
	EXPECT_TRUE(list_is(peer, conventional, COUNT(conventional)));
	peer_stop(peer);
}

/* As QEMU attaches: 256 bytes at once, then by 1, 2 and 4. */
TEST(every_size_and_alignment_of_a_read_gives_the_same_bytes)
{
	struct peer *peer = peer_open("testdev", 0);
	uint8_t head[256], all[4096], part[8];

	ASSERT_EQ(0, peer_read_to(peer, FP_CONFIG, 0, head, sizeof(head)));
	ASSERT_EQ(0, peer_read_to(peer, FP_CONFIG, 0, all, sizeof(all)));
	EXPECT_EQ(0, memcmp(head, all, sizeof(head)));
	for (uint32_t size = 1; size <= sizeof(part); size++)
		for (uint64_t at = 0; at + size <= 0x140; at++) {
			ASSERT_EQ(0, peer_read_to(peer, FP_CONFIG, at, part, size));
			ASSERT_EQ(0, memcmp(&all[at], part, size));
		}
	peer_stop(peer);
}

TEST(the_express_capability_is_of_version_2_and_an_endpoint)
{
	struct peer *peer = peer_open("testdev", 0);
	uint32_t at = find_cap(peer, PCI_CAP_ID_EXP);
	uint32_t flags = config(peer, at + PCI_EXP_FLAGS, 2);

	EXPECT_EQ(2, flags & PCI_EXP_FLAGS_VERS);
	EXPECT_EQ(PCI_EXP_TYPE_ENDPOINT, (flags & PCI_EXP_FLAGS_TYPE) >> 4);
	EXPECT_TRUE(config(peer, at + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_RBER);
	EXPECT_EQ(PCI_EXP_DEVCTL_RELAX_EN | PCI_EXP_DEVCTL_NOSNOOP_EN | PCI_EXP_DEVCTL_READRQ_512B,
		  config(peer, at + PCI_EXP_DEVCTL, 2));
	EXPECT_EQ(PCI_EXP_LNKSTA_CLS_2_5GB | PCI_EXP_LNKSTA_NLW_X1,
		  config(peer, at + PCI_EXP_LNKSTA, 2));
	peer_stop(peer);
}

TEST(the_serial_number_is_an_extended_capability)
{
	struct peer *peer = peer_open("testdev,id=0x0123456789abcdef", 0);

	EXPECT_EQ(PCI_EXT_CAP_ID_DSN | 1 << 16, config(peer, 0x100, 4));
	EXPECT_EQ(0x89abcdef, config(peer, 0x104, 4));
	EXPECT_EQ(0x01234567, config(peer, 0x108, 4));
	ASSERT_EQ(0, peer_call(peer, WIRE_DEVICE_RESET, NULL, 0));
	EXPECT_EQ(0x0123456789abcdef, peer_read(peer, FP_CONFIG, 0x104, 8));
	peer_stop(peer);
	peer = peer_open("many", PEER_OWN_CLASSES);
	EXPECT_EQ(0, config(peer, 0x100, 4));
	peer_stop(peer);
}

TEST(a_vendor_specific_capability_tells_its_length_and_data)
{
	struct peer *peer = open_old();
	uint32_t one = find_nth(peer, PCI_CAP_ID_VNDR, 0);
	uint32_t other = find_nth(peer, PCI_CAP_ID_VNDR, 1);
	uint8_t data[sizeof(one_data)];

	EXPECT_EQ(3 + sizeof(one_data), config(peer, one + PCI_CAP_FLAGS, 1));
	ASSERT_EQ(0, peer_read_to(peer, FP_CONFIG, one + 3, data, sizeof(data)));
	EXPECT_EQ(0, memcmp(one_data, data, sizeof(data)));
	EXPECT_EQ(4, config(peer, other + PCI_CAP_FLAGS, 1));
	EXPECT_EQ(9, config(peer, other + 3, 1));
	peer_stop(peer);
}

TEST(msi_has_64_bits_a_mask_and_asks_for_a_power_of_two_of_vectors)
{
	static const struct {
		const char *device;
		uint32_t order;
	} rows[] = { { "old", 5 }, { "many", 3 }, { "testdev", 2 } };

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct peer *peer = peer_open(rows[i].device, PEER_OWN_CLASSES);
		uint32_t at = find_cap(peer, PCI_CAP_ID_MSI);

		EXPECT_EQ(PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT | rows[i].order << 1,
			  config(peer, at + PCI_MSI_FLAGS, 2));
		peer_stop(peer);
	}
}

/* ---- what may change ---- */

struct change {
	uint32_t at; /* from the capability's start */
	uint32_t bytes;
	uint32_t mask;
};

/* What PCI lets software write, in the header or a capability of these devices. */
struct changes {
	uint32_t id; /* 0: the header */
	unsigned int nth;
	struct change changes[8];
};

#define COMMAND 0x0547 /* I/O, memory, master, parity, SERR, INTx disable */

static const struct changes express_changes[] = {
	{ 0, 0, { { 0x04, 2, COMMAND }, { 0x0c, 1, 0xff }, { 0x3c, 1, 0xff } } },
	{ 0,
	  0,
	  { { 0x10, 4, 0xfffff000 },
	    { 0x14, 4, 0xffffff00 },
	    { 0x18, 4, 0xfffff000 },
	    { 0x1c, 4, 0xffff0000 },
	    { 0x20, 4, 0xfffff000 } } },
	{ PCI_CAP_ID_PM, 0, { { 4, 2, 0x3 } } },
	{ PCI_CAP_ID_MSI,
	  0,
	  { { 2, 2, 0x71 },
	    { 4, 4, 0xfffffffc },
	    { 8, 4, 0xffffffff },
	    { 12, 2, 0xffff },
	    { 16, 4, 0xf } } },
	{ PCI_CAP_ID_MSIX, 0, { { 2, 2, 0xc000 } } },
	{ PCI_CAP_ID_EXP, 0, { { 0x08, 2, 0x791f }, { 0x10, 2, 0x00cb }, { 0x28, 2, 0x10 } } },
	{ PCI_CAP_ID_VNDR, 0, { { 8, 4, 0xffffffff } } },
};

static const struct changes conventional_changes[] = {
	{ 0, 0, { { 0x04, 2, COMMAND }, { 0x0c, 2, 0xffff }, { 0x3c, 1, 0xff } } },
	/* 8 GiB in two registers, 32 I/O ports, 16 bytes, 64 KiB, 2 GiB, and a ROM of 32 KiB */
	{ 0,
	  0,
	  { { 0x10, 4, 0 },
	    { 0x14, 4, 0xfffffffe },
	    { 0x18, 4, 0xffffffe0 },
	    { 0x1c, 4, 0xfffffff0 },
	    { 0x20, 4, 0xffff0000 },
	    { 0x24, 4, 0x80000000 },
	    { 0x30, 4, 0xffff8001 } } },
	{ PCI_CAP_ID_MSI,
	  0,
	  { { 2, 2, 0x71 },
	    { 4, 4, 0xfffffffc },
	    { 8, 4, 0xffffffff },
	    { 12, 2, 0xffff },
	    { 16, 4, 0xffffffff } } },
	{ PCI_CAP_ID_MSIX, 0, { { 2, 2, 0xc000 } } },
	{ PCI_CAP_ID_VNDR, 0, { { 4, 4, 0x80000fff } } },
};

/* The same as bits of the whole space. */
static void find_masks(struct peer *peer, const struct changes *rows, size_t nr, uint8_t *masks)
{
	memset(masks, 0, 4096);
	for (size_t i = 0; i < nr; i++) {
		uint32_t base = rows[i].id ? find_nth(peer, rows[i].id, rows[i].nth) : 0;

		for (size_t j = 0; rows[i].changes[j].bytes; j++)
			memcpy(&masks[base + rows[i].changes[j].at], &rows[i].changes[j].mask,
			       rows[i].changes[j].bytes);
	}
}

/* Writes `value` to each byte by itself: how many bytes of the space then are not as they should. */
static unsigned int count_wrong(struct peer *peer, const uint8_t *masks, uint8_t value)
{
	uint32_t size = config_size(peer);
	uint8_t expected[4096], is[4096];
	unsigned int wrong = 0;

	peer_read_to(peer, FP_CONFIG, 0, expected, size);
	for (uint32_t at = 0; at < size; at++) {
		set_config(peer, at, value, 1);
		expected[at] = (uint8_t)((expected[at] & ~masks[at]) | (value & masks[at]));
		peer_read_to(peer, FP_CONFIG, 0, is, size);
		if (memcmp(expected, is, size)) {
			printf("# after %#x to %#x, which holds %#x\n", value, at, is[at]);
			memcpy(expected, is, size);
			wrong++;
		}
	}
	return wrong;
}

TEST(just_the_writable_bits_of_an_express_device_change)
{
	struct peer *peer = peer_open("testdev", 0);
	uint8_t masks[4096];

	find_masks(peer, express_changes, COUNT(express_changes), masks);
	EXPECT_EQ(0, count_wrong(peer, masks, 0xff));
	EXPECT_EQ(0, count_wrong(peer, masks, 0x00));
	peer_stop(peer);
}

TEST(just_the_writable_bits_of_a_conventional_device_change)
{
	struct peer *peer = open_old();
	uint8_t masks[4096];

	find_masks(peer, conventional_changes, COUNT(conventional_changes), masks);
	EXPECT_EQ(0, count_wrong(peer, masks, 0xff));
	EXPECT_EQ(0, count_wrong(peer, masks, 0x00));
	EXPECT_EQ(0, count_wrong(peer, masks, 0xa5));
	peer_stop(peer);
}

TEST(a_write_of_any_size_and_alignment_changes_the_same_bits)
{
	struct peer *peer = open_old();
	uint8_t masks[4096], before[256], is[256], ones[256];

	memset(ones, 0xff, sizeof(ones));
	find_masks(peer, conventional_changes, COUNT(conventional_changes), masks);
	peer_read_to(peer, FP_CONFIG, 0, before, sizeof(before));
	for (uint32_t size = 1; size <= sizeof(ones); size = size < 9 ? size + 1 : size * 2)
		for (uint32_t at = 0; at + size <= sizeof(ones); at++) {
			ASSERT_EQ(0, peer_write_from(peer, FP_CONFIG, at, ones, size));
			ASSERT_EQ(0, peer_read_to(peer, FP_CONFIG, 0, is, sizeof(is)));
			for (uint32_t i = 0; i < sizeof(is); i++)
				ASSERT_EQ(i >= at && i < at + size ? before[i] | masks[i] :
								     before[i],
					  is[i]);
			ASSERT_EQ(0, peer_call(peer, WIRE_DEVICE_RESET, NULL, 0));
		}
	peer_stop(peer);
}

TEST(a_one_clears_an_error_bit_of_the_status_and_a_zero_does_not)
{
	static struct pci pci;
	uint16_t status = 0xffff;
	struct fp_access access = {
		.offset = PCI_STATUS,
		.size = sizeof(status),
		.write = true,
		.data = &status,
	};

	pci_init(&pci, &old_class);
	pci.bytes[PCI_STATUS + 1] |= 0xf9; /* as a device that has seen errors */
	status = 0x8100;
	pci_access(&pci, &access);
	EXPECT_EQ(0x78, pci.bytes[PCI_STATUS + 1]);
	EXPECT_EQ(PCI_STATUS_CAP_LIST, pci.bytes[PCI_STATUS]);
	status = 0xffff;
	pci_access(&pci, &access);
	EXPECT_EQ(0, pci.bytes[PCI_STATUS + 1]);
	EXPECT_EQ(PCI_STATUS_CAP_LIST, pci.bytes[PCI_STATUS]);
}

TEST(a_power_state_that_is_not_supported_is_not_taken)
{
	struct peer *peer = peer_open("testdev", 0);
	uint32_t at = find_cap(peer, PCI_CAP_ID_PM) + PCI_PM_CTRL;

	for (uint32_t state = 1; state <= 2; state++) {
		set_config(peer, at, state, 2);
		EXPECT_EQ(PCI_PM_CTRL_NO_SOFT_RESET, config(peer, at, 2));
	}
	set_config(peer, at, 3, 2);
	EXPECT_EQ(PCI_PM_CTRL_NO_SOFT_RESET | 3, config(peer, at, 2));
	set_config(peer, at, 1, 2);
	EXPECT_EQ(PCI_PM_CTRL_NO_SOFT_RESET | 3, config(peer, at, 2));
	set_config(peer, at, 0, 2);
	EXPECT_EQ(PCI_PM_CTRL_NO_SOFT_RESET, config(peer, at, 2));
	peer_stop(peer);
}

TEST(a_reset_makes_all_of_it_as_at_power_on)
{
	struct peer *peer = peer_open("testdev,id=5", 0);
	uint8_t before[4096], after[4096], ones[4096];

	memset(ones, 0xff, sizeof(ones));
	ASSERT_EQ(0, peer_read_to(peer, FP_CONFIG, 0, before, sizeof(before)));
	ASSERT_EQ(0, peer_write_from(peer, FP_CONFIG, 0, ones, sizeof(ones)));
	ASSERT_EQ(0, peer_read_to(peer, FP_CONFIG, 0, after, sizeof(after)));
	EXPECT_NE(0, memcmp(before, after, sizeof(after)));
	ASSERT_EQ(0, peer_call(peer, WIRE_DEVICE_RESET, NULL, 0));
	ASSERT_EQ(0, peer_read_to(peer, FP_CONFIG, 0, after, sizeof(after)));
	EXPECT_EQ(0, memcmp(before, after, sizeof(after)));
	peer_stop(peer);
}

/* What the guest has seen of its device stays as it was, and nothing else is taken over. */
TEST(a_state_from_another_server_brings_what_may_differ_and_its_serial_number)
{
	static struct pci here, there;
	static const struct fp_class class_ = {
		.pci = { .vendor = 1, .capabilities = FP_PCI_EXPRESS | FP_PCI_SERIAL },
	};

	pci_init(&here, &class_);
	pci_init(&there, &class_);
	pci_set_serial(&there, 0x1122334455667788);
	there.bytes[PCI_INTERRUPT_LINE] = 9;
	ASSERT_EQ(0, pci_load(&here, there.bytes));
	EXPECT_EQ(0, memcmp(here.bytes, there.bytes, sizeof(here.bytes)));
	pci_reset(&here);
	EXPECT_EQ(0, memcmp(here.bytes, there.initial, sizeof(here.bytes)));
	there.bytes[PCI_VENDOR_ID] = 2;
	EXPECT_EQ(-EINVAL, pci_load(&here, there.bytes));
	EXPECT_EQ(1, here.bytes[PCI_VENDOR_ID]);
}

TEST(configuration_space_stays_for_the_next_client)
{
	struct peer *peer = peer_open("testdev", PEER_LISTEN);

	set_config(peer, PCI_INTERRUPT_LINE, 11, 1);
	peer_reconnect(peer);
	EXPECT_EQ(11, config(peer, PCI_INTERRUPT_LINE, 1));
	peer_stop(peer);
}

/* ---- BARs ---- */

/* What a BAR holds after `value` was written to it. */
static uint32_t bar_after(struct peer *peer, unsigned int bar, uint32_t value)
{
	uint32_t at = bar == FP_ROM ? PCI_ROM_ADDRESS : PCI_BASE_ADDRESS_0 + 4 * bar;

	set_config(peer, at, value, 4);
	return config(peer, at, 4);
}

TEST(ones_written_to_a_bar_read_back_as_its_size_and_kind)
{
	struct peer *peer = open_old();

	EXPECT_EQ(PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH,
		  bar_after(peer, FP_BAR0, UINT32_MAX));
	EXPECT_EQ(0xfffffffe, bar_after(peer, FP_BAR1, UINT32_MAX));
	EXPECT_EQ(0xffffffe0 | PCI_BASE_ADDRESS_SPACE_IO, bar_after(peer, FP_BAR2, UINT32_MAX));
	EXPECT_EQ(0xfffffff0, bar_after(peer, FP_BAR3, UINT32_MAX));
	EXPECT_EQ(0xffff0000, bar_after(peer, FP_BAR4, UINT32_MAX));
	EXPECT_EQ(0x80000000 | PCI_BASE_ADDRESS_MEM_PREFETCH, bar_after(peer, FP_BAR5, UINT32_MAX));
	EXPECT_EQ(0xffff8001, bar_after(peer, FP_ROM, UINT32_MAX));
	/* Sizing does not enable a ROM. */
	EXPECT_EQ(0xffff8000, bar_after(peer, FP_ROM, PCI_ROM_ADDRESS_MASK));
	peer_stop(peer);
}

TEST(a_bar_holds_the_address_that_is_written_to_it)
{
	struct peer *peer = open_old();

	EXPECT_EQ(0xc, bar_after(peer, FP_BAR0, 0));
	EXPECT_EQ(0x12, bar_after(peer, FP_BAR1, 0x12));
	EXPECT_EQ(0xc021, bar_after(peer, FP_BAR2, 0xc020));
	EXPECT_EQ(0xfeb00000, bar_after(peer, FP_BAR4, 0xfeb00000));
	EXPECT_EQ(0xfeb80001, bar_after(peer, FP_ROM, 0xfeb80001));
	peer_stop(peer);
}

TEST(a_bar_that_is_not_there_holds_nothing)
{
	struct peer *peer = peer_open("testdev", 0);

	EXPECT_EQ(0, bar_after(peer, FP_BAR5, UINT32_MAX));
	EXPECT_EQ(0, bar_after(peer, FP_ROM, UINT32_MAX));
	peer_stop(peer);
}

TEST(the_upper_half_of_a_64_bit_bar_is_a_region_of_size_0)
{
	struct peer *peer = open_old();
	uint8_t byte;

	EXPECT_EQ(8 * GIB, region_size(peer, FP_BAR0));
	EXPECT_EQ(0, region_size(peer, FP_BAR1));
	EXPECT_EQ(EINVAL, peer_read_to(peer, FP_BAR1, 0, &byte, 1));
	EXPECT_EQ(EINVAL, peer_write_from(peer, FP_BAR1, 0, &byte, 1));
	EXPECT_EQ(0xff, peer_read(peer, FP_BAR0, 8 * GIB - 1, 1));
	peer_stop(peer);
}

/* ---- MSI-X ---- */

TEST(msix_has_a_bar_of_its_own_that_is_large_enough)
{
	static const struct {
		const char *device;
		uint32_t vectors, bar, pba, bytes;
	} rows[] = {
		{ "testdev", 4, FP_BAR4, 0x800, 0x1000 },
		{ "many", 2048, FP_BAR1, 0x8000, 0x10000 },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct peer *peer = peer_open(rows[i].device, PEER_OWN_CLASSES);
		uint32_t at = find_cap(peer, PCI_CAP_ID_MSIX);

		EXPECT_EQ(rows[i].vectors - 1, config(peer, at + PCI_MSIX_FLAGS, 2));
		EXPECT_EQ(rows[i].bar, config(peer, at + PCI_MSIX_TABLE, 4));
		EXPECT_EQ(rows[i].pba | rows[i].bar, config(peer, at + PCI_MSIX_PBA, 4));
		EXPECT_EQ(rows[i].bytes, region_size(peer, rows[i].bar));
		EXPECT_EQ(~(rows[i].bytes - 1), bar_after(peer, rows[i].bar, UINT32_MAX));
		/* The last vector is there, and what is behind it is not. */
		EXPECT_EQ(1, peer_read(peer, rows[i].bar, 16ul * rows[i].vectors - 4, 4));
		peer_write(peer, rows[i].bar, 16ul * rows[i].vectors, 0xff, 1);
		EXPECT_EQ(0, peer_read(peer, rows[i].bar, 16ul * rows[i].vectors, 1));
		peer_write(peer, rows[i].bar, rows[i].bytes - 1, 0xff, 1);
		EXPECT_EQ(0, peer_read(peer, rows[i].bar, rows[i].bytes - 1, 1));
		peer_stop(peer);
	}
}

TEST(msix_shares_a_bar_with_registers_and_each_gets_its_own_accesses)
{
	struct peer *peer = open_old();
	uint32_t at = find_cap(peer, PCI_CAP_ID_MSIX);
	uint8_t bytes[24];

	EXPECT_EQ(OLD_VECTORS - 1, config(peer, at + PCI_MSIX_FLAGS, 2));
	EXPECT_EQ(OLD_TABLE | FP_BAR4, config(peer, at + PCI_MSIX_TABLE, 4));
	EXPECT_EQ(OLD_PBA | FP_BAR4, config(peer, at + PCI_MSIX_PBA, 4));
	/* The table reads back from its first byte to its last, and the handler hears nothing. */
	for (uint64_t i = 0; i < 16ul * OLD_VECTORS; i++) {
		peer_write(peer, FP_BAR4, OLD_TABLE + i, i * 3, 1);
		ASSERT_EQ((uint8_t)(i * 3), peer_read(peer, FP_BAR4, OLD_TABLE + i, 1));
	}
	peer_write(peer, FP_BAR4, OLD_PBA, UINT64_MAX, 8);
	peer_write(peer, FP_BAR4, OLD_PBA + 8, UINT64_MAX, 8);
	EXPECT_EQ(0, peer_read(peer, FP_BAR4, OLD_PBA, 8));
	EXPECT_EQ(0, peer_read(peer, FP_BAR4, OLD_PBA + 8, 8));
	EXPECT_EQ(0x80, peer_read(peer, FP_BAR4, OLD_TABLE - 1, 1));
	EXPECT_EQ(0x80, peer_read(peer, FP_BAR4, OLD_PBA - 1, 1));
	EXPECT_EQ(0x80, peer_read(peer, FP_BAR4, OLD_PBA + 16, 1));
	peer_write(peer, FP_BAR4, OLD_PBA + 16, 0, 1);
	EXPECT_EQ(0x81, peer_read(peer, FP_BAR4, 0, 1));
	/* One access over all three. */
	ASSERT_EQ(0, peer_read_to(peer, FP_BAR4, OLD_PBA - 4, bytes, sizeof(bytes)));
	for (size_t i = 0; i < sizeof(bytes); i++)
		EXPECT_EQ(i >= 4 && i < 20 ? 0 : 0x81, bytes[i]);
	memset(bytes, 0x55, sizeof(bytes));
	ASSERT_EQ(0, peer_write_from(peer, FP_BAR4, OLD_PBA - 4, bytes, sizeof(bytes)));
	EXPECT_EQ(0x83, peer_read(peer, FP_BAR4, 0, 1)); /* a piece before and one behind */
	peer_stop(peer);
}

TEST(the_vectors_of_the_table_are_masked_at_power_on_and_after_a_reset)
{
	struct peer *peer = peer_open("testdev", 0);

	for (unsigned int i = 0; i < TESTDEV_VECTORS; i++)
		EXPECT_EQ(1, peer_read(peer, FP_BAR4, 16ul * i + PCI_MSIX_ENTRY_VECTOR_CTRL, 4));
	peer_write(peer, FP_BAR4, 16 + PCI_MSIX_ENTRY_VECTOR_CTRL, 0, 4);
	peer_write(peer, FP_BAR4, 16, 0xfee00000, 4);
	EXPECT_EQ(0, peer_read(peer, FP_BAR4, 16 + PCI_MSIX_ENTRY_VECTOR_CTRL, 4));
	ASSERT_EQ(0, peer_call(peer, WIRE_DEVICE_RESET, NULL, 0));
	EXPECT_EQ(1, peer_read(peer, FP_BAR4, 16 + PCI_MSIX_ENTRY_VECTOR_CTRL, 4));
	EXPECT_EQ(0, peer_read(peer, FP_BAR4, 16, 4));
	peer_stop(peer);
}

static int set_vector(struct peer *peer, uint32_t flags, uint32_t vector, const int *fd)
{
	struct wire_irq_set set = {
		.argsz = sizeof(set),
		.flags = flags,
		.index = FP_MSIX,
		.start = vector,
		.count = 1,
	};

	return peer_call_fds(peer, WIRE_DEVICE_SET_IRQS, &set, sizeof(set), fd, fd ? 1 : 0);
}

TEST(the_pending_bits_tell_which_vectors_fired_while_they_were_masked)
{
	struct peer *peer = peer_open("testdev", 0);
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	ASSERT_EQ(0, set_vector(peer, WIRE_IRQ_DATA_EVENTFD | WIRE_IRQ_ACTION_TRIGGER, 2, &fd));
	ASSERT_EQ(0, set_vector(peer, WIRE_IRQ_DATA_NONE | WIRE_IRQ_ACTION_MASK, 2, NULL));
	EXPECT_EQ(0, peer_read(peer, FP_BAR4, 0x800, 8));
	peer_write(peer, FP_BAR2, offsetof(struct testdev_counters, trigger), 2, 4);
	EXPECT_EQ(4, peer_read(peer, FP_BAR4, 0x800, 8));
	EXPECT_EQ(4, peer_read(peer, FP_BAR4, 0x800, 1));
	EXPECT_EQ(0, peer_read(peer, FP_BAR4, 0x801, 1));
	ASSERT_EQ(0, set_vector(peer, WIRE_IRQ_DATA_NONE | WIRE_IRQ_ACTION_UNMASK, 2, NULL));
	EXPECT_EQ(1, peer_eventfd_wait(fd));
	EXPECT_EQ(0, peer_read(peer, FP_BAR4, 0x800, 8));
	close(fd);
	peer_stop(peer);
}

/* ---- classes that do not hold together ---- */

#define BAR .access = ones_access, .size = 4096

static const struct fp_area twice[] = { { 0, 4096 }, { 0, 4096 } };
static const struct fp_area odd[] = { { 0, 100 } };
static const struct fp_area outside[] = { { 4096, 4096 } };
static const struct fp_area first[] = { { 0, 4096 } };
static const struct fp_doorbell bell[] = { { .offset = 8 } };

#define BELL(...) .doorbells = &(const struct fp_doorbell){ __VA_ARGS__ }, .nr_doorbells = 1
#define SPAN(...) .spans = &(const struct fp_span){ __VA_ARGS__ }, .nr_spans = 1

static const struct fp_doorbell fans[] = {
	{ .offset = 8, .width = 4, FP_VALUES(1, 2) },
	{ .offset = 8, .width = 4, FP_VALUES(3, 4) },
	{ .offset = 8, .width = 4, FP_VALUES(5, 6, 2) },
};

static const struct fp_span spans[] = {
	{ .offset = 0, .size = 16 },
	{ .offset = 32, .size = 16 },
	{ .offset = 16, .size = 16 },
	{ .offset = 31, .size = 2 },
};

static const struct {
	unsigned int index;
	struct fp_region region;
	const char *why;
} broken_regions[] = {
	{ 0, { BAR }, NULL },
	{ 0, { .size = 4096 }, "without an access handler" },
	{ 0, { BAR - 1 }, "not a power of two up to 2 GiB" },
	{ 0, { .access = ones_access, .size = 1ull << 32 }, "not a power of two up to 2 GiB" },
	{ 0, { .access = ones_access, .size = 1ull << 32, .flags = FP_REGION_64BIT }, NULL },
	{ 0, { .access = ones_access, .size = 3ull << 32, .flags = FP_REGION_64BIT }, "to 2^62" },
	{ 0, { .access = ones_access, .size = 8 }, "less than 16 bytes" },
	{ 0, { .access = ones_access, .size = 4, .flags = FP_REGION_IO }, NULL },
	{ 0, { .access = ones_access, .size = 2, .flags = FP_REGION_IO }, "less than 4 bytes" },
	{ 5, { BAR, .flags = FP_REGION_64BIT }, "no next BAR" },
	{ 0, { BAR, .flags = FP_REGION_IO | FP_REGION_64BIT }, "I/O space is not 64-bit" },
	{ 0, { BAR, .flags = FP_REGION_IO | FP_REGION_PREFETCHABLE }, "I/O space is not 64-bit" },
	{ 0, { BAR, .flags = FP_REGION_IO | FP_REGION_MMAP }, "I/O space is not 64-bit" },
	{ FP_VGA, { BAR, .flags = FP_REGION_PREFETCHABLE }, "only a BAR" },
	{ FP_CONFIG, { BAR }, "is the core's" },
	{ FP_ROM, { BAR }, NULL },
	{ FP_ROM, { .access = ones_access, .size = 1024 }, "from 2 KiB to 16 MiB" },
	{ FP_ROM, { .access = ones_access, .size = 1 << 25 }, "from 2 KiB to 16 MiB" },
	{ FP_ROM, { .access = ones_access, .size = 5000 }, "from 2 KiB to 16 MiB" },
	{ 0, { BAR, .type = 1 }, "that PCI has a number for" },
	{ FP_OWN_REGION, { BAR, .type = 1 }, NULL },
	{ 0, { .size = 4096, .flags = FP_REGION_MMAP }, NULL },
	{ 0, { .size = 2048, .flags = FP_REGION_MMAP }, "not a multiple of 4096" },
	{ 0, { BAR, .areas = first, .nr_areas = 1 }, "without FP_REGION_MMAP" },
	{ 0, { BAR, .flags = FP_REGION_MMAP, .areas = first, .nr_areas = 1 }, NULL },
	{ 0, { .size = 4096, .flags = FP_REGION_MMAP, .areas = first, .nr_areas = 1 }, "handler" },
	{ 0, { BAR, .flags = FP_REGION_MMAP, .areas = odd, .nr_areas = 1 }, "does not begin" },
	{ 0, { BAR, .flags = FP_REGION_MMAP, .areas = outside, .nr_areas = 1 }, "lies outside" },
	{ 0, { BAR, .flags = FP_REGION_MMAP, .areas = twice, .nr_areas = 2 }, "areas overlap" },
	{ 0, { BAR, .flags = FP_REGION_MMAP, .areas = twice, .nr_areas = 65 }, "more than 64" },
	{ 0, { BAR, .flags = FP_REGION_MMAP, .doorbells = bell, .nr_doorbells = 1 }, "rings" },
	{ 0, { BAR, BELL(.shadow = true) }, "with shadow needs a width" },
	{ 0, { BAR, BELL(.width = 4, .shadow = true, FP_VALUES(1)) }, "neither values nor group" },
	{ 0, { BAR, BELL(.width = 4, .shadow = true, .group = 1) }, "neither values nor group" },
	{ 0, { BAR, BELL(.width = 4, .shadow = true) }, NULL },
	{ 0, { BAR, BELL(FP_VALUES(1)) }, "with values needs a width" },
	{ 0, { BAR, BELL(.width = 1, FP_VALUES(1, 256)) }, "wider than the doorbell" },
	{ 0, { BAR, BELL(.width = 8, FP_VALUES(0, UINT64_MAX, 0)) }, "a value twice" },
	{ 0, { BAR, BELL(.width = 4, FP_VALUES(0, 1), .group = 1) }, "in no group" },
	{ 0, { BAR, BELL(.width = 4, FP_VALUES(0), .group = 1) }, NULL },
	{ 0, { BAR, BELL(.width = 1, FP_VALUES(0, 1, 255)) }, NULL },
	{ 0, { BAR, .doorbells = fans, .nr_doorbells = 2 }, NULL },
	{ 0, { BAR, .doorbells = fans, .nr_doorbells = 3 }, "two doorbells overlap" },
	{ 0, { BAR, SPAN(.size = 4096) }, NULL },
	{ 0, { BAR, SPAN(.size = 1ull << 33) }, "a span lies outside" },
	{ 0, { BAR, SPAN(.offset = UINT64_MAX, .size = 2) }, "a span lies outside" },
	{ 0, { BAR, SPAN(.offset = 8) }, "is not posted" },
	{ 0, { BAR, SPAN(.offset = 8, .posted = true) }, "not at a doorbell of any width" },
	{ 0, { BAR, BELL(.offset = 8), SPAN(.offset = 8, .posted = true) }, NULL },
	{ 0,
	  { BAR, BELL(.offset = 8, .width = 4), SPAN(.offset = 8, .posted = true) },
	  "any width" },
	{ 0, { BAR, .spans = spans, .nr_spans = 3 }, NULL },
	{ 0, { BAR, .spans = spans, .nr_spans = 4 }, "two spans overlap" },
	{ 0,
	  { BAR, .flags = FP_REGION_MMAP, .areas = first, .nr_areas = 1, SPAN(.size = 8) },
	  "map" },
	{ 0, { .spans = spans, .nr_spans = 1 }, "size 0" },
};

static bool says(const char *why, const char *expected)
{
	return expected ? why && strstr(why, expected) : !why;
}

TEST(a_region_that_does_not_hold_together_is_refused_with_the_reason)
{
	for (size_t i = 0; i < COUNT(broken_regions); i++) {
		const char *why = region_check(broken_regions[i].index, &broken_regions[i].region);

		EXPECT_TRUE(says(why, broken_regions[i].why))
		{
			TH_LOG("row %zu: %s", i, why ? why : "accepted");
		}
	}
}

static const uint8_t much[190];
static const struct fp_pci_cap large_cap[] = { { .data = much, .size = sizeof(much) } };
static const struct fp_pci_cap empty_cap[] = { { .data = much } };
static const struct fp_pci_cap no_data[] = { { .size = 1 } };

#define MSIX(nr) .irqs[FP_MSIX] = (nr)
#define BAR0(flag) .regions[0] = { BAR, .flags = (flag) }

static const struct {
	struct fp_class class_;
	const char *why;
} broken_classes[] = {
	{ { 0 }, NULL },
	{ { BAR0(FP_REGION_64BIT), .regions[1] = { BAR } }, "its upper half" },
	{ { BAR0(FP_REGION_64BIT), MSIX(1), .pci.msix_bar = 1 }, "its upper half" },
	{ { BAR0(FP_REGION_64BIT), MSIX(1), .pci.msix_bar = 2 }, NULL },
	{ { BAR0(FP_REGION_64BIT), MSIX(1), .pci.msix_pba = 0x800 }, NULL },
	{ { MSIX(2049) }, "2048 vectors" },
	{ { MSIX(1), .pci.msix_bar = 6 }, "no BAR" },
	{ { MSIX(1), .pci.msix_table = 8 }, "a BAR that has a size" },
	{ { BAR0(FP_REGION_IO), MSIX(1), .pci.msix_pba = 0x800 }, "I/O space" },
	{ { BAR0(FP_REGION_READ_ONLY), MSIX(1), .pci.msix_pba = 0x800 }, "read-only" },
	{ { BAR0(0), MSIX(1), .pci.msix_pba = 0x804 }, "multiples of 8" },
	{ { BAR0(0), MSIX(1), .pci.msix_table = 4, .pci.msix_pba = 0x800 }, "multiples of 8" },
	{ { BAR0(0), MSIX(1), .pci.msix_pba = 0x1000 }, "outside their BAR" },
	{ { BAR0(0), MSIX(2), .pci.msix_table = 0xff0 }, "outside their BAR" },
	{ { BAR0(0), MSIX(1) }, "overlap" },
	{ { BAR0(0), MSIX(65), .pci.msix_table = 8 }, "pending bits overlap" },
	{ { BAR0(FP_REGION_MMAP), MSIX(1), .pci.msix_pba = 0x800 }, "that the client may map" },
	{ { .regions[0] = { BAR, .doorbells = bell, .nr_doorbells = 1 },
	    MSIX(1),
	    .pci.msix_pba = 0x800 },
	  "overlaps a doorbell" },
	{ { .irqs[FP_MSI] = 33 }, "32 vectors" },
	{ { .irqs[FP_INTX] = 2 }, "one INTx" },
	{ { .pci.capabilities = FP_PCI_SERIAL }, "needs FP_PCI_EXPRESS" },
	{ { .pci.capabilities = 1u << 31 }, "not known" },
	{ { .pci = { .vendor_caps = large_cap, .nr_vendor_caps = 1 } }, "192 bytes" },
	{ { .pci = { .vendor_caps = empty_cap, .nr_vendor_caps = 1 } }, "without data" },
	{ { .pci = { .vendor_caps = no_data, .nr_vendor_caps = 1 } }, "without data" },
};

TEST(a_class_that_does_not_hold_together_is_refused_with_the_reason)
{
	for (size_t i = 0; i < COUNT(broken_classes); i++) {
		const char *why = pci_check(&broken_classes[i].class_);

		EXPECT_TRUE(says(why, broken_classes[i].why))
		{
			TH_LOG("row %zu: %s", i, why ? why : "accepted");
		}
	}
}

TEST(a_server_of_such_a_class_says_so_and_ends)
{
	struct peer *peer = peer_start("broken", PEER_OWN_CLASSES);
	int status = peer_wait(peer);

	EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	EXPECT_EQ(1, peer_log_count(peer, "device class broken: the BAR behind a 64-bit BAR"));
}

TEST_HARNESS_MAIN
