/* SPDX-License-Identifier: GPL-2.0-only */
/* The PCI bus as a guest finds it: configuration space, BARs that move, servers that lie. */
#include "pci_host.h"

#include <errno.h>
#include <linux/pci_regs.h>

#include "bare_guest.h"
#include "capture.h"
#include "fake_server.h"
#include "irq_machine.h"
#include "kselftest_harness.h"
#include "program.h"
#include "testdev.h"
#include "testdev_server.h"
#include "vfio_pci.h"

#define ADDRESS_PORT 0xcf8
#define DATA_PORT 0xcfc

/* ---- the bridge, without KVM ---- */

#define MAX_SEEN 16u

struct seen {
	bool write;
	uint32_t offset;
	uint32_t len;
	uint32_t value;
};

FIXTURE(bridge) {
	struct bus *bus;
	struct pci_host *host;
	struct seen seen[MAX_SEEN];
	unsigned int nr;
};

static void see(FIXTURE_DATA(bridge) * self, bool write, uint32_t offset, const void *data,
		uint32_t len)
{
	struct seen *seen = &self->seen[self->nr++ % MAX_SEEN];

	*seen = (struct seen){ .write = write, .offset = offset, .len = len };
	if (write)
		memcpy(&seen->value, data, len);
}

/* Each byte is its own offset. */
static void read_function(void *opaque, uint32_t offset, void *data, uint32_t len)
{
	see(opaque, false, offset, NULL, len);
	for (uint32_t i = 0; i < len; i++)
		((uint8_t *)data)[i] = (uint8_t)(offset + i);
}

static void write_function(void *opaque, uint32_t offset, const void *data, uint32_t len)
{
	see(opaque, true, offset, data, len);
}

static const struct pci_function_ops function_ops = { .read = read_function,
						      .write = write_function };

FIXTURE_SETUP(bridge)
{
	ASSERT_EQ(0, bus_open(&self->bus));
	ASSERT_EQ(0, pci_host_open(self->bus, &self->host));
}

FIXTURE_TEARDOWN(bridge)
{
	pci_host_close(self->host);
	bus_close(self->bus);
}

static void out32(struct bus *bus, uint64_t port, uint32_t value)
{
	bus_write(bus, BUS_PIO, port, &value, sizeof(value));
}

static uint64_t in(struct bus *bus, uint64_t port, uint32_t len)
{
	uint64_t value = 0;

	bus_read(bus, BUS_PIO, port, &value, len);
	return value;
}

static uint64_t load(struct bus *bus, uint64_t address, uint32_t len)
{
	uint64_t value = 0;

	bus_read(bus, BUS_MMIO, address, &value, len);
	return value;
}

static uint64_t ecam(unsigned int slot, unsigned int at)
{
	return PCI_HOST_ECAM_BASE + slot * 8 * 4096ull + at;
}

TEST_F(bridge, is_device_0_by_ports_and_by_memory)
{
	out32(self->bus, ADDRESS_PORT, 0x80000008);
	EXPECT_EQ(0x06000000, in(self->bus, DATA_PORT, 4));
	EXPECT_EQ(0x0600, in(self->bus, DATA_PORT + 2, 2));
	EXPECT_EQ(0x06000000, load(self->bus, ecam(0, 8), 4));
	EXPECT_EQ(0x80000008, in(self->bus, ADDRESS_PORT, 4));
}

TEST_F(bridge, devices_get_the_slot_they_ask_for_or_the_next_that_is_free)
{
	EXPECT_EQ(1, pci_host_add(self->host, 0, &function_ops, self));
	EXPECT_EQ(3, pci_host_add(self->host, 3, &function_ops, self));
	EXPECT_EQ(2, pci_host_add(self->host, 0, &function_ops, self));
	EXPECT_EQ(4, pci_host_add(self->host, 0, &function_ops, self));
	EXPECT_EQ(-EEXIST, pci_host_add(self->host, 3, &function_ops, self));
	EXPECT_EQ(-EINVAL, pci_host_add(self->host, 32, &function_ops, self));
	pci_host_remove(self->host, 2);
	EXPECT_EQ(2, pci_host_add(self->host, 0, &function_ops, self));
	for (int slot = 5; slot < 32; slot++)
		EXPECT_EQ(slot, pci_host_add(self->host, 0, &function_ops, self));
	EXPECT_EQ(-ENOSPC, pci_host_add(self->host, 0, &function_ops, self));
}

TEST_F(bridge, what_is_not_there_reads_as_ones)
{
	const uint32_t absent[] = {
		0x80000800, /* an empty slot */
		0x80001100, /* function 1 of a device */
		0x80011000, /* another bus */
		0x00001000, /* not enabled */
	};

	ASSERT_EQ(2, pci_host_add(self->host, 2, &function_ops, self));
	for (size_t i = 0; i < sizeof(absent) / sizeof(*absent); i++) {
		out32(self->bus, ADDRESS_PORT, absent[i]);
		EXPECT_EQ(UINT32_MAX, in(self->bus, DATA_PORT, 4));
		EXPECT_EQ(0xff, in(self->bus, DATA_PORT + 3, 1));
		out32(self->bus, DATA_PORT, 0);
	}
	EXPECT_EQ(UINT32_MAX, load(self->bus, ecam(1, 0), 4));
	EXPECT_EQ(UINT32_MAX, load(self->bus, ecam(2, 4096), 4));
	EXPECT_EQ(0, self->nr);
}

TEST_F(bridge, data_ports_are_bytes_words_and_a_double_word_of_the_register)
{
	ASSERT_EQ(2, pci_host_add(self->host, 2, &function_ops, self));
	out32(self->bus, ADDRESS_PORT, 0x80001040);
	EXPECT_EQ(0x43424140, in(self->bus, DATA_PORT, 4));
	EXPECT_EQ(0x41, in(self->bus, DATA_PORT + 1, 1));
	EXPECT_EQ(0x4342, in(self->bus, DATA_PORT + 2, 2));
	out32(self->bus, DATA_PORT, 0x12345678);
	EXPECT_TRUE(self->seen[3].write);
	EXPECT_EQ(0x40, self->seen[3].offset);
	EXPECT_EQ(0x12345678, self->seen[3].value);
}

TEST_F(bridge, the_low_two_bits_of_an_address_are_those_of_a_byte_or_word_as_in_qemu)
{
	ASSERT_EQ(2, pci_host_add(self->host, 2, &function_ops, self));
	out32(self->bus, ADDRESS_PORT, 0x80001042);
	EXPECT_EQ(0x42, in(self->bus, DATA_PORT, 1));
	EXPECT_EQ(0x43, in(self->bus, DATA_PORT + 1, 1));
	EXPECT_EQ(0x4342, in(self->bus, DATA_PORT, 2));
	EXPECT_EQ(0x4342, in(self->bus, DATA_PORT + 2, 2));
	EXPECT_EQ(0x43424140, in(self->bus, DATA_PORT, 4));
	out32(self->bus, DATA_PORT, 0x12345678);
	EXPECT_EQ(0x40, self->seen[5].offset);
}

TEST_F(bridge, only_a_double_word_is_an_address)
{
	const uint16_t word = 0xffff;

	out32(self->bus, ADDRESS_PORT, 0x80000008);
	bus_write(self->bus, BUS_PIO, ADDRESS_PORT, &word, 2);
	bus_write(self->bus, BUS_PIO, ADDRESS_PORT + 3, &word, 1);
	EXPECT_EQ(0x80000008, in(self->bus, ADDRESS_PORT, 4));
	EXPECT_EQ(0xff, in(self->bus, ADDRESS_PORT + 3, 1));
}

TEST_F(bridge, accesses_of_odd_widths_and_alignments_are_taken_apart)
{
	ASSERT_EQ(2, pci_host_add(self->host, 2, &function_ops, self));
	EXPECT_EQ(0x4746454443424140, load(self->bus, ecam(2, 0x40), 8));
	EXPECT_EQ(2, self->nr);
	EXPECT_EQ(0x434241, load(self->bus, ecam(2, 0x41), 3));
	EXPECT_EQ(0x4a494847464544, load(self->bus, ecam(2, 0x44), 7));
	EXPECT_EQ(0x44434241, load(self->bus, ecam(2, 0x41), 4));
	for (unsigned int i = 0; i < self->nr; i++)
		EXPECT_EQ(0, self->seen[i].offset % self->seen[i].len);
}

TEST_F(bridge, an_access_over_the_end_of_a_function_is_nobodys)
{
	ASSERT_EQ(2, pci_host_add(self->host, 2, &function_ops, self));
	EXPECT_EQ(UINT32_MAX, load(self->bus, ecam(2, 4094), 4));
	EXPECT_EQ(UINT64_MAX, load(self->bus, PCI_HOST_ECAM_BASE + PCI_HOST_ECAM_BYTES - 4, 8));
	EXPECT_EQ(0, self->nr);
}

/* ---- a testdev on the bus ---- */

#define SLOT 2u

FIXTURE(device) {
	struct irq_machine im;
	struct testdev_server served;
	struct vfio_pci_options options;
	struct vfio_pci *dev;
	struct capture said;
};

FIXTURE_SETUP(device)
{
	if (bare_guest_missing())
		return;
	testdev_server_start(&self->served);
	self->options.socket = self->served.path;
	self->options.slot = SLOT;
	ASSERT_EQ(0, irq_machine_open(&self->im));
	ASSERT_EQ(0, vfio_pci_open(&self->im.machine, &self->options, &self->dev));
}

FIXTURE_TEARDOWN(device)
{
	vfio_pci_close(self->dev);
	irq_machine_close(&self->im);
	testdev_server_stop(&self->served);
}

static uint32_t config(FIXTURE_DATA(device) * self, unsigned int at)
{
	return irq_machine_config(&self->im, SLOT, at);
}

static void set_config(FIXTURE_DATA(device) * self, unsigned int at, uint32_t value)
{
	irq_machine_set_config(&self->im, SLOT, at, value);
}

static uint64_t base(FIXTURE_DATA(device) * self, unsigned int bar)
{
	return vfio_pci_bar(self->dev, bar)->base;
}

TEST_F(device, is_what_its_server_says)
{
	NEEDS_KVM();
	EXPECT_EQ(TESTDEV_DEVICE << 16 | TESTDEV_VENDOR, config(self, PCI_VENDOR_ID));
	EXPECT_EQ(0x00ff00, config(self, PCI_CLASS_REVISION) >> 8);
	/* Express space is there, too, and what is behind a server's is not. */
	EXPECT_EQ(PCI_EXT_CAP_ID_DSN | 1 << 16, load(self->im.machine.bus, ecam(SLOT, 256), 4));
}

TEST_F(device, a_slot_that_is_taken_is_refused_with_a_line)
{
	struct vfio_pci *other = NULL;

	NEEDS_KVM();
	vfio_pci_close(self->dev);
	ASSERT_EQ(SLOT, pci_host_add(self->im.machine.pci, SLOT, &function_ops, NULL));
	capture_start(&self->said);
	EXPECT_EQ(-EEXIST, vfio_pci_open(&self->im.machine, &self->options, &other));
	capture_end(&self->said);
	EXPECT_EQ(1, capture_lines(&self->said, "slot 2 is taken"));
	self->dev = NULL;
}

TEST_F(device, ones_written_to_a_bar_read_back_as_its_size)
{
	static const uint32_t sizes[] = { 0xfffff000, 0xffffff01, 0xfffff000,
					  0xffff0000, 0xfffff000, 0 };

	NEEDS_KVM();
	set_config(self, PCI_COMMAND, 0);
	for (unsigned int i = 0; i < 6; i++) {
		set_config(self, PCI_BASE_ADDRESS_0 + 4 * i, UINT32_MAX);
		EXPECT_EQ(sizes[i], config(self, PCI_BASE_ADDRESS_0 + 4 * i));
	}
	set_config(self, PCI_ROM_ADDRESS, UINT32_MAX);
	EXPECT_EQ(0, config(self, PCI_ROM_ADDRESS));
}

TEST_F(device, a_bar_is_nowhere_while_it_is_sized_or_turned_off)
{
	uint64_t at;

	NEEDS_KVM();
	at = base(self, 2);
	EXPECT_EQ(TESTDEV_MAGIC, irq_machine_read(&self->im, at));
	set_config(self, PCI_BASE_ADDRESS_2, UINT32_MAX);
	EXPECT_EQ(UINT32_MAX, irq_machine_read(&self->im, at));
	EXPECT_FALSE(vfio_pci_bar(self->dev, 2)->placed);
	set_config(self, PCI_BASE_ADDRESS_2, (uint32_t)at);
	EXPECT_EQ(TESTDEV_MAGIC, irq_machine_read(&self->im, at));
	set_config(self, PCI_COMMAND, PCI_COMMAND_IO);
	EXPECT_EQ(UINT32_MAX, irq_machine_read(&self->im, at));
	EXPECT_EQ(0, in(self->im.machine.bus, base(self, 1), 1));
	set_config(self, PCI_COMMAND, PCI_COMMAND_MEMORY);
	EXPECT_EQ(TESTDEV_MAGIC, irq_machine_read(&self->im, at));
	EXPECT_EQ(0xff, in(self->im.machine.bus, base(self, 1), 1));
}

TEST_F(device, bars_may_be_written_a_byte_at_a_time)
{
	NEEDS_KVM();
	for (unsigned int i = 0; i < 4; i++) {
		const uint8_t byte = 0xe8123000u >> 8 * i & 0xff;

		bus_write(self->im.machine.bus, BUS_MMIO, ecam(SLOT, PCI_BASE_ADDRESS_2 + i), &byte,
			  1);
	}
	EXPECT_EQ(0xe8123000, config(self, PCI_BASE_ADDRESS_2));
	EXPECT_EQ(TESTDEV_MAGIC, irq_machine_read(&self->im, 0xe8123000));
}

TEST_F(device, two_bars_may_change_places)
{
	uint64_t zero, two;

	NEEDS_KVM();
	zero = base(self, 0);
	two = base(self, 2);
	set_config(self, PCI_COMMAND, 0);
	set_config(self, PCI_BASE_ADDRESS_0, (uint32_t)two);
	set_config(self, PCI_BASE_ADDRESS_2, (uint32_t)zero);
	set_config(self, PCI_COMMAND, PCI_COMMAND_MEMORY);
	EXPECT_EQ(TESTDEV_MAGIC, irq_machine_read(&self->im, zero));
	EXPECT_EQ(two, base(self, 0));
}

TEST_F(device, a_bar_over_another_is_nowhere_and_one_line_says_so)
{
	NEEDS_KVM();
	capture_start(&self->said);
	set_config(self, PCI_BASE_ADDRESS_2, (uint32_t)base(self, 3));
	set_config(self, PCI_COMMAND, PCI_COMMAND_MEMORY);
	capture_end(&self->said);
	EXPECT_FALSE(vfio_pci_bar(self->dev, 2)->placed);
	EXPECT_EQ(1, capture_lines(&self->said, "BAR 2 is nowhere"));
	EXPECT_EQ(1, capture_lines(&self->said, "\n"));
}

TEST_F(device, outside_of_the_bridges_windows_a_bar_is_nowhere)
{
	static const uint32_t outside[] = { 0x1000,	0xcffff000, 0xf0000000,
					    0xfec00000, 0xfee00000, (uint32_t)PCI_HOST_ECAM_BASE };

	NEEDS_KVM();
	for (size_t i = 0; i < sizeof(outside) / sizeof(*outside); i++) {
		set_config(self, PCI_BASE_ADDRESS_2, outside[i]);
		EXPECT_EQ(outside[i], config(self, PCI_BASE_ADDRESS_2));
		EXPECT_FALSE(vfio_pci_bar(self->dev, 2)->placed);
	}
}

/* It is written by a stamp of each access. */
TEST_F(device, only_a_bus_master_reaches_the_guests_memory)
{
	const struct testdev_stamp *stamp;

	NEEDS_KVM();
	stamp = memory_ptr(self->im.machine.memory, 0x2000, sizeof(*stamp));
	irq_machine_write(&self->im, base(self, 2) + offsetof(struct testdev_counters, stamp_iova),
			  0x2000);
	irq_machine_write(&self->im, base(self, 2) + TESTDEV_REGISTER_4, 1);
	EXPECT_EQ(1, stamp->count);
	set_config(self, PCI_COMMAND, PCI_COMMAND_MEMORY);
	irq_machine_write(&self->im, base(self, 2) + TESTDEV_REGISTER_4, 1);
	EXPECT_EQ(1, stamp->count);
	set_config(self, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	irq_machine_write(&self->im, base(self, 2) + TESTDEV_REGISTER_4, 1);
	EXPECT_EQ(3, stamp->count);
}

TEST_F(device, registers_of_the_server_read_back_what_was_written)
{
	NEEDS_KVM();
	set_config(self, PCI_CACHE_LINE_SIZE, 0x10);
	EXPECT_EQ(0x10, config(self, PCI_CACHE_LINE_SIZE) & 0xff);
}

/* ---- servers that lie ---- */

FIXTURE(liar) {
	struct irq_machine im;
	struct fake_server *server;
	struct vfio_pci_options options;
	struct vfio_pci *dev;
	struct capture said;
};

FIXTURE_SETUP(liar)
{
	self->server = fake_server_new();
	self->options.socket = "test";
	if (!bare_guest_missing())
		ASSERT_EQ(0, irq_machine_open(&self->im));
}

FIXTURE_TEARDOWN(liar)
{
	vfio_pci_close(self->dev);
	irq_machine_close(&self->im);
}

static int open_liar(FIXTURE_DATA(liar) * self)
{
	int ret;

	capture_start(&self->said);
	ret = fake_server_connect(self->server, 5000, &self->options.client);
	if (!ret)
		ret = vfio_pci_open(&self->im.machine, &self->options, &self->dev);
	capture_end(&self->said);
	return ret;
}

static void set_bar(struct fake_server *server, unsigned int bar, uint64_t size, uint32_t kind)
{
	server->sizes[bar] = size;
	memcpy(server->config + PCI_BASE_ADDRESS_0 + 4 * bar, &kind, sizeof(kind));
}

/* A capability at `at` that leads to `next`. */
static uint8_t *add_cap(struct fake_server *server, uint8_t at, uint8_t id, uint8_t next)
{
	server->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	if (!server->config[PCI_CAPABILITY_LIST])
		server->config[PCI_CAPABILITY_LIST] = at;
	server->config[at] = id;
	server->config[at + 1] = next;
	return server->config + at;
}

TEST_F(liar, what_its_bar_registers_say_is_not_heeded)
{
	NEEDS_KVM();
	set_bar(self->server, 0, 0x1000, 0);
	set_bar(self->server, 2, 0x2000, PCI_BASE_ADDRESS_MEM_TYPE_64);
	ASSERT_EQ(0, open_liar(self));
	memset(self->server->config + PCI_BASE_ADDRESS_0, 0x5a, 24);
	self->server->sizes[0] = 1 << 20;
	EXPECT_EQ(0xd0000000, irq_machine_config(&self->im, 1, PCI_BASE_ADDRESS_0));
	EXPECT_EQ(0xd0002004, irq_machine_config(&self->im, 1, PCI_BASE_ADDRESS_2));
	EXPECT_EQ(0, irq_machine_config(&self->im, 1, PCI_BASE_ADDRESS_3));
	EXPECT_EQ(0, irq_machine_config(&self->im, 1, PCI_BASE_ADDRESS_4));
	irq_machine_set_config(&self->im, 1, PCI_BASE_ADDRESS_0, UINT32_MAX);
	EXPECT_EQ(0xfffff000, irq_machine_config(&self->im, 1, PCI_BASE_ADDRESS_0));
}

TEST_F(liar, a_64_bit_bar_may_go_above_4_gib)
{
	NEEDS_KVM();
	set_bar(self->server, 2, 0x2000,
		PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH);
	ASSERT_EQ(0, open_liar(self));
	irq_machine_set_config(&self->im, 1, PCI_BASE_ADDRESS_3, MACHINE_HIGH_MMIO_BASE >> 32);
	EXPECT_EQ(MACHINE_HIGH_MMIO_BASE | 0xd0000000, vfio_pci_bar(self->dev, 2)->base);
	EXPECT_EQ(0x77777777,
		  irq_machine_read(&self->im, (MACHINE_HIGH_MMIO_BASE | 0xd0000000) + 0x1ffc));
	EXPECT_EQ(UINT32_MAX, irq_machine_read(&self->im, 0xd0000000));
	irq_machine_set_config(&self->im, 1, PCI_BASE_ADDRESS_3, UINT32_MAX);
	EXPECT_FALSE(vfio_pci_bar(self->dev, 2)->placed);
	EXPECT_EQ(0xd000000c, irq_machine_config(&self->im, 1, PCI_BASE_ADDRESS_2));
}

TEST_F(liar, a_rom_is_where_the_guest_puts_it_and_only_when_enabled)
{
	NEEDS_KVM();
	self->server->sizes[6] = 0x1800;
	ASSERT_EQ(0, open_liar(self));
	EXPECT_EQ(0, irq_machine_config(&self->im, 1, PCI_ROM_ADDRESS));
	irq_machine_set_config(&self->im, 1, PCI_ROM_ADDRESS, ~1u);
	EXPECT_EQ(0xffffe000, irq_machine_config(&self->im, 1, PCI_ROM_ADDRESS));
	irq_machine_set_config(&self->im, 1, PCI_ROM_ADDRESS, 0xe0000000);
	EXPECT_EQ(UINT32_MAX, irq_machine_read(&self->im, 0xe0000000));
	irq_machine_set_config(&self->im, 1, PCI_ROM_ADDRESS, 0xe0000001);
	EXPECT_EQ(0x77777777, irq_machine_read(&self->im, 0xe0000000));
	EXPECT_EQ(UINT32_MAX, irq_machine_read(&self->im, 0xe0001800));
}

TEST_F(liar, a_bar_that_was_over_another_devices_is_there_as_soon_as_that_moves)
{
	struct vfio_pci_options options = { .socket = "other" };
	struct fake_server *server;
	struct vfio_pci *other;

	NEEDS_KVM();
	server = fake_server_new();
	set_bar(self->server, 0, 0x1000, 0);
	set_bar(server, 0, 0x1000, 0);
	ASSERT_EQ(0, open_liar(self));
	ASSERT_EQ(0, fake_server_connect(server, 5000, &options.client));
	ASSERT_EQ(0, vfio_pci_open(&self->im.machine, &options, &other));
	capture_start(&self->said);
	irq_machine_set_config(&self->im, 2, PCI_BASE_ADDRESS_0, 0xd0000000);
	EXPECT_FALSE(vfio_pci_bar(other, 0)->placed);
	irq_machine_set_config(&self->im, 1, PCI_BASE_ADDRESS_0, 0xd0004000);
	EXPECT_TRUE(vfio_pci_bar(other, 0)->placed);
	EXPECT_EQ(0xd0000000, vfio_pci_bar(other, 0)->base);
	EXPECT_EQ(0x77777777, irq_machine_read(&self->im, 0xd0000ffc));
	capture_end(&self->said);
	EXPECT_EQ(1, capture_lines(&self->said, "BAR 0 is nowhere"));
	vfio_pci_close(other);
}

TEST_F(liar, a_header_of_another_type_reads_as_type_0)
{
	NEEDS_KVM();
	self->server->config[PCI_HEADER_TYPE] = 0x81;
	ASSERT_EQ(0, open_liar(self));
	EXPECT_EQ(0, irq_machine_config(&self->im, 1, PCI_CACHE_LINE_SIZE) >> 16 & 0xff);
}

TEST_F(liar, a_list_of_capabilities_in_a_circle_is_not_used)
{
	NEEDS_KVM();
	add_cap(self->server, 0x40, PCI_CAP_ID_PM, 0x50);
	add_cap(self->server, 0x50, PCI_CAP_ID_MSIX, 0x40);
	ASSERT_EQ(0, open_liar(self));
	EXPECT_EQ(1, capture_lines(&self->said, "runs in a circle"));
	EXPECT_EQ(1, capture_lines(&self->said, "\n"));
}

TEST_F(liar, a_list_of_capabilities_that_leads_into_the_header_ends_there)
{
	NEEDS_KVM();
	add_cap(self->server, 0x40, PCI_CAP_ID_PM, 0x10);
	ASSERT_EQ(0, open_liar(self));
	EXPECT_EQ(1, capture_lines(&self->said, "leads to 0x10"));
}

/* Each would have an access to a BAR end outside of it, or of the configuration space. */
static const struct {
	uint8_t at;
	uint8_t id;
	uint16_t flags;
	uint32_t table;
	uint32_t pba;
	const char *why;
} bad_caps[] = {
	{ 0x40, PCI_CAP_ID_MSIX, 3, 0x0fd0, 0x800, "its table lies outside" },
	{ 0x40, PCI_CAP_ID_MSIX, 3, 0xfffffff8, 0x800, "its table lies outside" },
	{ 0x40, PCI_CAP_ID_MSIX, 3, 1, 0x800, "its table lies outside" }, /* BAR 1 */
	{ 0x40, PCI_CAP_ID_MSIX, 3, 2, 0x800, "its table lies outside" }, /* I/O */
	{ 0x40, PCI_CAP_ID_MSIX, 3, 7, 0x800, "its table lies outside" },
	{ 0x40, PCI_CAP_ID_MSIX, 3, 0, 0x1000, "its pending bits lie outside" },
	{ 0x40, PCI_CAP_ID_MSIX, 3, 0, 0x38, "overlap" },
	{ 0x40, PCI_CAP_ID_MSIX, 0x7ff, 0, 0x800, "its table lies outside" },
	{ 0x40, PCI_CAP_ID_MSIX, 3, 0, 0x800, "fewer interrupts" },
	{ 0x40, PCI_CAP_ID_MSI, 7 << 1, 0, 0, "more than 32 vectors" },
	{ 0xf0, PCI_CAP_ID_MSI, PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT, 0, 0,
	  "leaves the configuration space" },
	{ 0x40, PCI_CAP_ID_MSI, 0, 0, 0, "no such interrupts" },
};

TEST_F(liar, interrupts_that_cannot_be_are_left_out_with_a_line)
{
	NEEDS_KVM();
	for (size_t i = 0; i < sizeof(bad_caps) / sizeof(*bad_caps); i++) {
		uint8_t *cap;

		self->server = fake_server_new();
		set_bar(self->server, 0, 0x1000, 0);
		set_bar(self->server, 2, 0x100, PCI_BASE_ADDRESS_SPACE_IO);
		cap = add_cap(self->server, bad_caps[i].at, bad_caps[i].id, 0);
		memcpy(cap + 2, &bad_caps[i].flags, 2);
		if (bad_caps[i].id == PCI_CAP_ID_MSIX) {
			memcpy(cap + PCI_MSIX_TABLE, &bad_caps[i].table, 4);
			memcpy(cap + PCI_MSIX_PBA, &bad_caps[i].pba, 4);
		}
		ASSERT_EQ(0, open_liar(self));
		EXPECT_EQ(1, capture_lines(&self->said, bad_caps[i].why))
		{
			TH_LOG("wanted '%s', got '%s'", bad_caps[i].why, self->said.text);
		}
		EXPECT_EQ(1, capture_lines(&self->said, "\n"));
		/* The guest does not see it. */
		EXPECT_EQ(0, irq_machine_config(&self->im, 1, PCI_CAPABILITY_LIST) & 0xff);
		vfio_pci_close(self->dev);
		self->dev = NULL;
	}
}

/* ---- resets by the guest ---- */

static void wake(FIXTURE_DATA(liar) * self)
{
	irq_machine_set_config(&self->im, 1, 0x40 + PCI_PM_CTRL, 3);
	irq_machine_set_config(&self->im, 1, 0x40 + PCI_PM_CTRL, 0);
}

TEST_F(liar, coming_back_from_d3hot_resets_a_device_that_does_not_say_otherwise)
{
	NEEDS_KVM();
	set_bar(self->server, 0, 0x1000, 0);
	add_cap(self->server, 0x40, PCI_CAP_ID_PM, 0);
	ASSERT_EQ(0, open_liar(self));
	EXPECT_EQ(1, self->server->calls[WIRE_DEVICE_RESET]);
	wake(self);
	EXPECT_EQ(2, self->server->calls[WIRE_DEVICE_RESET]);
	EXPECT_FALSE(vfio_pci_bar(self->dev, 0)->placed);
	EXPECT_EQ(0, irq_machine_config(&self->im, 1, PCI_BASE_ADDRESS_0));
	EXPECT_EQ(0, irq_machine_config(&self->im, 1, PCI_COMMAND) & 7);
}

TEST_F(liar, one_that_says_no_soft_reset_comes_back_as_it_was)
{
	NEEDS_KVM();
	set_bar(self->server, 0, 0x1000, 0);
	add_cap(self->server, 0x40, PCI_CAP_ID_PM, 0)[PCI_PM_CTRL] = PCI_PM_CTRL_NO_SOFT_RESET;
	ASSERT_EQ(0, open_liar(self));
	wake(self);
	EXPECT_EQ(1, self->server->calls[WIRE_DEVICE_RESET]);
	EXPECT_TRUE(vfio_pci_bar(self->dev, 0)->placed);
}

TEST_F(liar, a_function_level_reset_forgets_what_the_guest_had_set_up)
{
	const uint32_t has_flr = PCI_EXP_DEVCAP_FLR;

	NEEDS_KVM();
	set_bar(self->server, 0, 0x1000, 0);
	memcpy(add_cap(self->server, 0x40, PCI_CAP_ID_EXP, 0) + PCI_EXP_DEVCAP, &has_flr, 4);
	ASSERT_EQ(0, open_liar(self));
	irq_machine_set_config(&self->im, 1, 0x40 + PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_RELAX_EN);
	EXPECT_TRUE(vfio_pci_bar(self->dev, 0)->placed);
	irq_machine_set_config(&self->im, 1, 0x40 + PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR);
	EXPECT_FALSE(vfio_pci_bar(self->dev, 0)->placed);
	/* It is the server's, who has seen it. */
	EXPECT_EQ(1, self->server->calls[WIRE_DEVICE_RESET]);
	EXPECT_EQ(PCI_EXP_DEVCTL_BCR_FLR >> 8, self->server->config[0x40 + PCI_EXP_DEVCTL + 1]);
}

TEST_F(liar, one_that_dies_leaves_an_empty_slot)
{
	NEEDS_KVM();
	set_bar(self->server, 0, 0x1000, 0);
	self->server->trouble = FAKE_DEATH;
	self->server->trouble_cmd = WIRE_REGION_READ;
	self->server->trouble_after = 1;
	ASSERT_EQ(0, open_liar(self));
	capture_start(&self->said);
	EXPECT_EQ(UINT32_MAX, irq_machine_config(&self->im, 1, PCI_VENDOR_ID));
	irq_machine_set_config(&self->im, 1, PCI_COMMAND, 0);
	EXPECT_EQ(UINT32_MAX, irq_machine_config(&self->im, 1, PCI_BASE_ADDRESS_0));
	capture_end(&self->said);
	EXPECT_EQ(1, capture_lines(&self->said, "test: read of the configuration space at 0"));
	EXPECT_EQ(1, capture_lines(&self->said, "test: "));
}

/* ---- a guest that finds and moves them ---- */

TEST(a_guest_finds_a_testdev_moves_its_bars_and_rings_at_the_new_address)
{
	struct testdev_server served = { 0 };
	struct program program;
	char payload[4096];
	char device[160];

	NEEDS_KVM();
	testdev_server_start(&served);
	snprintf(payload, sizeof(payload), "%s", program_path("payload/pci.bin"));
	snprintf(device, sizeof(device), "vfio-user,socket=%s,slot=5", served.path);
	ASSERT_EQ(0, program_start(&program, "fastpath-vmm",
				   (const char *const[]){ "--device", device, "--payload", payload,
							  "--stats", NULL },
				   false));
	program_wait(&program);
	EXPECT_EQ(0, program.status);
	EXPECT_NE(NULL, strstr(program.said, "slot 5 is 0x1b36:0x5, class 0xff00"));
	EXPECT_NE(NULL, strstr(program.said, "rings 10000, heard 10000"));
	/* Not one of the rings has left the guest. */
	EXPECT_NE(NULL, strstr(program.complained, "BAR 2 at 0xe8500000"));
	EXPECT_NE(NULL, strstr(program.complained, " 0 writes; by ioeventfd 7 of 7 doorbells"));
	EXPECT_NE(NULL, strstr(program.complained,
			       "BAR 3 at 0xe8580000, 65536 bytes: by socket 0 reads, 0 writes"));
	testdev_server_stop(&served);
}

TEST_HARNESS_MAIN
