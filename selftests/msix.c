/* SPDX-License-Identifier: GPL-2.0-only */
/* The MSI-X table and its pending bits: what a guest writes, and which messages follow from it. */
#include "msix.h"

#include <errno.h>
#include <linux/pci_regs.h>

#include "kselftest_harness.h"

#define VECTORS 70u /* more than one word of pending bits */

FIXTURE(msix) {
	struct msix *msix;
	struct msi_message messages[VECTORS]; /* address 0: none */
	bool fired[VECTORS];
	unsigned int told;
	unsigned int last;
};

static void route(void *opaque, unsigned int vector, const struct msi_message *message)
{
	FIXTURE_DATA(msix) *self = opaque;

	self->told++;
	self->last = vector;
	self->messages[vector] = message ? *message : (struct msi_message){ 0 };
	/* As an eventfd that is plugged in: what has come is delivered. */
	if (message)
		self->fired[vector] = false;
}

static bool is_pending(void *opaque, unsigned int vector)
{
	FIXTURE_DATA(msix) *self = opaque;

	return self->fired[vector];
}

static const struct msix_ops ops = { route, is_pending };

FIXTURE_SETUP(msix)
{
	ASSERT_EQ(0, msix_open(VECTORS, &ops, self, &self->msix));
}

FIXTURE_TEARDOWN(msix)
{
	msix_close(self->msix);
}

static void write32(FIXTURE_DATA(msix) * self, int64_t at, uint32_t value)
{
	msix_write_table(self->msix, at, &value, sizeof(value));
}

static uint32_t read32(FIXTURE_DATA(msix) * self, int64_t at)
{
	uint32_t value;

	msix_read_table(self->msix, at, &value, sizeof(value));
	return value;
}

/* An entry as a driver writes it: the message, then the mask. */
static void set_entry(FIXTURE_DATA(msix) * self, unsigned int vector, uint32_t address,
		      uint32_t data)
{
	write32(self, vector * 16, address);
	write32(self, vector * 16 + 8, data);
	write32(self, vector * 16 + 12, 0);
}

static uint64_t pending(FIXTURE_DATA(msix) * self, int64_t at)
{
	uint64_t bits;

	msix_read_pba(self->msix, at, &bits, sizeof(bits));
	return bits;
}

TEST_F(msix, a_table_has_1_to_2048_vectors)
{
	struct msix *other;

	EXPECT_EQ(-EINVAL, msix_open(0, &ops, self, &other));
	EXPECT_EQ(-EINVAL, msix_open(2049, &ops, self, &other));
	ASSERT_EQ(0, msix_open(2048, &ops, self, &other));
	EXPECT_EQ(2048 * 16, msix_table_bytes(other));
	EXPECT_EQ(256, msix_pba_bytes(other));
	msix_close(other);
	EXPECT_EQ(16, msix_pba_bytes(self->msix));
}

TEST_F(msix, at_power_on_every_vector_is_masked)
{
	for (unsigned int i = 0; i < VECTORS; i++) {
		EXPECT_EQ(0, read32(self, i * 16));
		EXPECT_EQ(PCI_MSIX_ENTRY_CTRL_MASKBIT, read32(self, i * 16 + 12));
	}
	msix_control(self->msix, true, false);
	EXPECT_EQ(0, self->told);
}

TEST_F(msix, an_unmasked_vector_is_its_message)
{
	msix_control(self->msix, true, false);
	write32(self, 5 * 16, 0xfee01000);
	write32(self, 5 * 16 + 4, 0x12);
	write32(self, 5 * 16 + 8, 0x41);
	EXPECT_EQ(0, self->told);
	write32(self, 5 * 16 + 12, 0);
	EXPECT_EQ(1, self->told);
	EXPECT_EQ(0x12fee01000, self->messages[5].address);
	EXPECT_EQ(0x41, self->messages[5].data);
}

TEST_F(msix, entries_may_be_written_in_any_width)
{
	const uint8_t entry[16] = { 0x00, 0x10, 0xe0, 0xfe, 0, 0, 0, 0, 0x41 };

	msix_control(self->msix, true, false);
	for (uint32_t width = 1; width <= 8; width++) {
		unsigned int vector = width;

		for (uint32_t at = 0; at < 16; at += width)
			msix_write_table(self->msix, vector * 16 + at, entry + at,
					 16 - at < width ? 16 - at : width);
		EXPECT_EQ(0xfee01000, self->messages[vector].address);
		EXPECT_EQ(0x41, self->messages[vector].data);
		EXPECT_EQ(0, read32(self, vector * 16 + 12));
	}
}

TEST_F(msix, a_write_over_two_entries_is_heard_by_both)
{
	const uint8_t zeros[8] = { 0 };

	msix_control(self->msix, true, false);
	write32(self, 0, 0xfee00000);
	write32(self, 16 + 12, 0);
	EXPECT_EQ(1, self->told);
	/* The mask of vector 0, and the address of vector 1. */
	msix_write_table(self->msix, 12, zeros, 8);
	EXPECT_EQ(2, self->told);
	EXPECT_EQ(0xfee00000, self->messages[0].address);
	write32(self, 16, 0xfee02000);
	EXPECT_EQ(0xfee02000, self->messages[1].address);
}

TEST_F(msix, accesses_beyond_the_ends_of_the_table_are_cut_off)
{
	uint64_t value = UINT64_MAX;

	msix_write_table(self->msix, -4, &value, 8);
	EXPECT_EQ(UINT32_MAX, read32(self, 0));
	msix_write_table(self->msix, VECTORS * 16 - 8, &value, 8);
	msix_write_table(self->msix, VECTORS * 16 - 4, &value, 8);
	msix_write_table(self->msix, VECTORS * 16, &value, 8);
	msix_write_table(self->msix, -8, &value, 8);
	msix_read_table(self->msix, VECTORS * 16 - 4, &value, 8);
	EXPECT_EQ(PCI_MSIX_ENTRY_CTRL_MASKBIT, value);
	msix_read_table(self->msix, -4, &value, 8);
	EXPECT_EQ(0xffffffff00000000, value);
	msix_read_table(self->msix, VECTORS * 16 + 100, &value, 8);
	EXPECT_EQ(0, value);
}

TEST_F(msix, reserved_bits_of_the_mask_word_read_as_zero)
{
	write32(self, 12, UINT32_MAX);
	EXPECT_EQ(1, read32(self, 12));
}

TEST_F(msix, the_function_mask_masks_all_and_changes_no_entry)
{
	msix_control(self->msix, true, true);
	set_entry(self, 1, 0xfee00000, 1);
	set_entry(self, 69, 0xfee00000, 69);
	EXPECT_EQ(0, self->told);
	msix_control(self->msix, true, false);
	EXPECT_EQ(2, self->told);
	EXPECT_EQ(69, self->messages[69].data);
	msix_control(self->msix, true, true);
	EXPECT_EQ(4, self->told);
	EXPECT_EQ(0, self->messages[69].address);
	EXPECT_EQ(0, read32(self, 69 * 16 + 12));
}

TEST_F(msix, what_fires_while_masked_is_pending_until_it_is_unmasked)
{
	msix_control(self->msix, true, false);
	set_entry(self, 3, 0xfee00000, 3);
	self->fired[3] = true; /* on its way: not for the pending bits */
	EXPECT_EQ(0, pending(self, 0));
	write32(self, 3 * 16 + 12, 1);
	self->fired[3] = self->fired[69] = true;
	EXPECT_EQ(1 << 3, pending(self, 0));
	EXPECT_EQ(1 << 5, pending(self, 8));
	write32(self, 3 * 16 + 12, 0);
	EXPECT_EQ(0, pending(self, 0));
	EXPECT_EQ(3, self->messages[3].data);
}

TEST_F(msix, pending_bits_are_read_in_any_width_and_not_written)
{
	uint8_t byte = 0;

	msix_control(self->msix, true, false);
	self->fired[12] = true;
	msix_read_pba(self->msix, 1, &byte, 1);
	EXPECT_EQ(1 << 4, byte);
	EXPECT_EQ(1ull << (12 + 32), pending(self, -4));
	EXPECT_EQ(0, pending(self, 16));
}

TEST_F(msix, turned_off_no_vector_is_a_message_or_pending)
{
	msix_control(self->msix, true, false);
	set_entry(self, 2, 0xfee00000, 2);
	msix_control(self->msix, false, false);
	EXPECT_EQ(0, self->messages[2].address);
	self->fired[4] = true;
	EXPECT_EQ(0, pending(self, 0));
	/* The table stays as it was. */
	EXPECT_EQ(0xfee00000, read32(self, 2 * 16));
	msix_control(self->msix, true, false);
	EXPECT_EQ(2, self->messages[2].data);
}

TEST_F(msix, only_changes_are_told)
{
	msix_control(self->msix, true, false);
	set_entry(self, 0, 0xfee00000, 0x41);
	EXPECT_EQ(1, self->told);
	set_entry(self, 0, 0xfee00000, 0x41);
	msix_control(self->msix, true, false);
	EXPECT_EQ(1, self->told);
	write32(self, 8, 0x42);
	EXPECT_EQ(2, self->told);
	EXPECT_EQ(0x42, self->messages[0].data);
}

TEST_F(msix, a_reset_masks_and_empties_every_entry)
{
	msix_control(self->msix, true, false);
	set_entry(self, 0, 0xfee00000, 0x41);
	msix_reset(self->msix);
	EXPECT_EQ(0, self->messages[0].address);
	EXPECT_EQ(0, read32(self, 0));
	EXPECT_EQ(1, read32(self, 12));
}

TEST_HARNESS_MAIN
