/* SPDX-License-Identifier: GPL-2.0-only */
/* The guest's RAM: where it is, below and above 4 GiB, and what the rest of the machine makes of it. */
#include "memory.h"

#include <asm/bootparam.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "acpi.h"
#include "bare_guest.h"
#include "boot.h"
#include "boot_format.h"
#include "fake_server.h"
#include "kselftest_harness.h"
#include "tiny_kernel.h"
#include "vfio_pci.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

FIXTURE(memory) {
	struct machine *machine;
	struct fake_server *server;
	struct vfio_pci_options options;
	struct vfio_pci *dev;
};

FIXTURE_SETUP(memory)
{
	self->server = fake_server_new();
}

FIXTURE_TEARDOWN(memory)
{
	vfio_pci_close(self->dev);
	machine_close(self->machine);
}

#define OPEN(size)   \
	NEEDS_KVM(); \
	ASSERT_EQ(0, machine_open((size), &self->machine))
#define RAM (self->machine->memory)

TEST_F(memory, as_much_as_fits_below_the_devices_is_there_in_one_part)
{
	OPEN(MEMORY_LOW_END);
	EXPECT_EQ(1, RAM->nr_parts);
	EXPECT_EQ(MEMORY_LOW_END, memory_low_end(RAM));
	EXPECT_EQ(MEMORY_LOW_END, memory_end(RAM));
	EXPECT_EQ(RAM->host + MEMORY_LOW_END - 1, memory_ptr(RAM, MEMORY_LOW_END - 1, 1));
	EXPECT_EQ(NULL, memory_ptr(RAM, MEMORY_LOW_END - 1, 2));
	EXPECT_EQ(NULL, memory_ptr(RAM, MEMORY_HIGH_BASE, 1));
}

TEST_F(memory, the_rest_is_from_4_gib_on)
{
	OPEN(5 * GIB);
	EXPECT_EQ(2, RAM->nr_parts);
	EXPECT_EQ(MEMORY_LOW_END, memory_low_end(RAM));
	EXPECT_EQ(5 * GIB - MEMORY_LOW_END, RAM->parts[1].size);
	EXPECT_EQ(MEMORY_LOW_END, RAM->parts[1].offset);
	EXPECT_EQ(MEMORY_HIGH_BASE + 5 * GIB - MEMORY_LOW_END, memory_end(RAM));
	EXPECT_EQ(RAM->host + MEMORY_LOW_END, memory_ptr(RAM, MEMORY_HIGH_BASE, 1));
	EXPECT_EQ(RAM->host + 5 * GIB - 1, memory_ptr(RAM, memory_end(RAM) - 1, 1));
}

TEST_F(memory, nothing_reaches_over_the_gap_or_the_end)
{
	OPEN(5 * GIB);
	EXPECT_EQ(NULL, memory_ptr(RAM, MEMORY_LOW_END - 1, 2));
	EXPECT_EQ(NULL, memory_ptr(RAM, MEMORY_LOW_END, 1));
	EXPECT_EQ(NULL, memory_ptr(RAM, MEMORY_HIGH_BASE - 1, 2));
	EXPECT_EQ(NULL, memory_ptr(RAM, 0, MEMORY_HIGH_BASE + 1));
	EXPECT_EQ(NULL, memory_ptr(RAM, memory_end(RAM) - 1, 2));
	EXPECT_EQ(NULL, memory_ptr(RAM, MEMORY_HIGH_BASE, UINT64_MAX));
	EXPECT_EQ(NULL, memory_ptr(RAM, UINT64_MAX, 2));
}

TEST_F(memory, a_window_of_large_bars_stays_where_it_is_until_ram_reaches_it)
{
	OPEN(MEMORY_LOW_END + MACHINE_HIGH_MMIO_BASE - MEMORY_HIGH_BASE);
	EXPECT_EQ(MACHINE_HIGH_MMIO_BASE, memory_end(RAM));
	EXPECT_EQ(MACHINE_HIGH_MMIO_BASE, self->machine->high_mmio.next);
	EXPECT_EQ(MACHINE_HIGH_MMIO_BASE + MACHINE_HIGH_MMIO_BYTES, self->machine->high_mmio.end);
}

TEST_F(memory, a_window_of_large_bars_is_behind_ram_that_reaches_further)
{
	OPEN(MEMORY_LOW_END + MACHINE_HIGH_MMIO_BASE - MEMORY_HIGH_BASE + 4096);
	EXPECT_EQ(2 * MACHINE_HIGH_MMIO_BASE, self->machine->high_mmio.next);
	EXPECT_LE(memory_end(RAM), self->machine->high_mmio.next);
	EXPECT_EQ(MACHINE_HIGH_MMIO_BYTES,
		  self->machine->high_mmio.end - self->machine->high_mmio.next);
}

TEST_F(memory, sizes_that_can_not_be_are_refused)
{
	NEEDS_KVM();
	EXPECT_EQ(-EINVAL, machine_open(0, &self->machine));
	EXPECT_EQ(-EINVAL, machine_open(MIB + 1, &self->machine));
	EXPECT_EQ(-EINVAL, machine_open(MEMORY_MAX_BYTES + 4096, &self->machine));
}

TEST_F(memory, what_is_zeroed_is_zero_and_nothing_beside_it)
{
	static const struct {
		uint64_t start, len;
	} spans[] = { { 0x1000, 0x1000 }, { 0xfff, 2 },	      { 0x801, 0x3000 }, { 0x1800, 0x100 },
		      { 0x1, 0x1fff },	  { 0x2000, 0x3001 }, { 0x1234, 0 } };
	uint8_t *ram, expected[0x8000];

	OPEN(MIB);
	ram = memory_ptr(RAM, 0, sizeof(expected));
	for (size_t i = 0; i < sizeof(spans) / sizeof(*spans); i++) {
		memset(ram, 0xab, sizeof(expected));
		memset(expected, 0xab, sizeof(expected));
		memset(expected + spans[i].start, 0, spans[i].len);
		memory_zero(RAM, spans[i].start, spans[i].len);
		EXPECT_EQ(0, memcmp(ram, expected, sizeof(expected)));
	}
}

/* ---- those who are told of it ---- */

static int attach(FIXTURE_DATA(memory) * self)
{
	int ret;

	self->options.socket = "test";
	ret = fake_server_connect(self->server, 5000, &self->options.client);
	return ret ? ret : vfio_pci_open(self->machine, &self->options, &self->dev);
}

TEST_F(memory, a_device_gets_each_part_as_a_window_of_its_own)
{
	OPEN(5 * GIB);
	ASSERT_EQ(0, attach(self));
	EXPECT_EQ(2, self->server->calls[WIRE_DMA_MAP]);
	EXPECT_EQ(MEMORY_HIGH_BASE, self->server->dma_address);
	EXPECT_EQ(5 * GIB - MEMORY_LOW_END, self->server->dma_size);
	EXPECT_EQ(MEMORY_LOW_END, self->server->dma_offset);
	EXPECT_TRUE(self->server->dma_fd);
}

TEST_F(memory, a_device_that_refuses_one_part_has_none)
{
	OPEN(5 * GIB);
	self->server->trouble = FAKE_ERROR;
	self->server->trouble_cmd = WIRE_DMA_MAP;
	self->server->trouble_after = 1;
	EXPECT_EQ(-EINVAL, attach(self));
	EXPECT_EQ(2, self->server->calls[WIRE_DMA_MAP]);
	EXPECT_EQ(1, self->server->calls[WIRE_DMA_UNMAP]);
}

static int load_kernel(struct machine *machine, const struct tiny_kernel *kernel)
{
	char path[] = "/tmp/fastpath-test-XXXXXX";
	const struct boot_options options = { .kernel = path };
	int fd = mkstemp(path);
	int ret = -EIO;

	if (write(fd, kernel->bytes, kernel->len) == (ssize_t)kernel->len)
		ret = acpi_write(machine);
	if (!ret)
		ret = boot_load(machine, &options);
	close(fd);
	unlink(path);
	return ret;
}

TEST_F(memory, a_kernel_is_told_of_both_parts_and_not_of_one_that_is_not_there)
{
	const uint64_t sizes[] = { MEMORY_LOW_END, 5 * GIB };
	struct tiny_kernel kernel;

	NEEDS_KVM();
	tiny_kernel_bzimage(&kernel);
	for (int i = 0; i < 2; i++) {
		const struct boot_params *params;
		const struct boot_e820_entry *last;

		ASSERT_EQ(0, machine_open_pc(sizes[i], 1, &self->machine));
		ASSERT_EQ(0, load_kernel(self->machine, &kernel));
		params = memory_ptr(RAM, BOOT_INFO_ADDRESS, sizeof(*params));
		ASSERT_EQ(4 + i, params->e820_entries);
		last = &params->e820_table[params->e820_entries - 1];
		EXPECT_EQ(MEMORY_LOW_END - MIB, params->e820_table[2].size);
		EXPECT_EQ(i ? MEMORY_HIGH_BASE : MACHINE_ECAM_BASE, last->addr);
		EXPECT_EQ(i ? sizes[i] - MEMORY_LOW_END : MACHINE_ECAM_BYTES, last->size);
		EXPECT_EQ(i ? BOOT_RAM : BOOT_RESERVED, last->type);
		machine_close(self->machine);
		self->machine = NULL;
	}
}

TEST_HARNESS_MAIN
