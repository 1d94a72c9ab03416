/* SPDX-License-Identifier: GPL-2.0-only */
/* A vfio-user PCI device in a machine: what firmware does for it, what a bad server can't do. */
#include "vfio_pci.h"

#include <errno.h>
#include <linux/pci_regs.h>

#include "bare_guest.h"
#include "capture.h"
#include "fake_server.h"
#include "kselftest_harness.h"

#define TIMEOUT_MS 5000

FIXTURE(vfio_pci) {
	struct bare_guest guest;
	struct fake_server *server;
	unsigned int timeout_ms;
	struct vfio_pci_options options;
	struct vfio_pci *dev;
	struct capture said;
};

/* Two loads from the first BAR, which they are shown to have got, and a store to it. */
BARE_GUEST(accesses, "mov $0xd0000000, %ecx\n"
		     "mov 8(%rcx), %rax\n mov %rax, (%rbx)\n"
		     "movl $0x1234, 0x10(%rcx)\n"
		     "movl 0x20(%rcx), %eax\n mov %rax, (%rbx)\n");

FIXTURE_SETUP(vfio_pci)
{
	self->server = fake_server_new();
	self->timeout_ms = TIMEOUT_MS;
	self->options.socket = "test";
	if (!bare_guest_missing())
		ASSERT_EQ(0, bare_guest_open(&self->guest, BARE_CODE(accesses)));
}

FIXTURE_TEARDOWN(vfio_pci)
{
	vfio_pci_close(self->dev);
	bare_guest_close(&self->guest);
}

/* Opens the device of the fake server, with the log captured. */
static int open_device(FIXTURE_DATA(vfio_pci) * self)
{
	int ret;

	capture_start(&self->said);
	ret = fake_server_connect(self->server, self->timeout_ms, &self->options.client);
	if (!ret)
		ret = vfio_pci_open(self->guest.machine, &self->options, &self->dev);
	capture_end(&self->said);
	return ret;
}

/* The guest comes to its end, whatever the device does; the log is captured. */
#define RUN()                                               \
	do {                                                \
		capture_start(&self->said);                 \
		ASSERT_EQ(0, bare_guest_run(&self->guest)); \
		capture_end(&self->said);                   \
		ASSERT_TRUE(self->guest.payload->exited);   \
	} while (0)

static uint32_t config32(const struct fake_server *server, unsigned int offset)
{
	uint32_t value;

	memcpy(&value, server->config + offset, sizeof(value));
	return value;
}

/* What the BAR's register says at power-on. */
static void set_bar(struct fake_server *server, unsigned int bar, uint64_t size, uint32_t kind)
{
	server->sizes[bar] = size;
	memcpy(server->config + PCI_BASE_ADDRESS_0 + 4 * bar, &kind, sizeof(kind));
}

/* ---- what firmware does ---- */

TEST_F(vfio_pci, bars_are_placed_programmed_and_enabled)
{
	NEEDS_KVM();
	set_bar(self->server, 0, 0x1000, 0);
	set_bar(self->server, 1, 0x100, PCI_BASE_ADDRESS_SPACE_IO);
	set_bar(self->server, 3, 0x10000, 0);
	ASSERT_EQ(0, open_device(self));
	EXPECT_STREQ("", self->said.text);
	EXPECT_EQ(0xd0000000, vfio_pci_bar(self->dev, 0)->base);
	EXPECT_EQ(0xc000, vfio_pci_bar(self->dev, 1)->base);
	EXPECT_EQ(BUS_PIO, vfio_pci_bar(self->dev, 1)->space);
	EXPECT_EQ(0, vfio_pci_bar(self->dev, 2)->size);
	EXPECT_EQ(0xd0010000, vfio_pci_bar(self->dev, 3)->base);
	EXPECT_EQ(0xd0000000, config32(self->server, PCI_BASE_ADDRESS_0));
	EXPECT_EQ(0xc000, config32(self->server, PCI_BASE_ADDRESS_1));
	EXPECT_EQ(0xd0010000, config32(self->server, PCI_BASE_ADDRESS_3));
	EXPECT_EQ(PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER,
		  config32(self->server, PCI_COMMAND) & 0xffff);
}

TEST_F(vfio_pci, a_64_bit_bar_takes_two_registers)
{
	NEEDS_KVM();
	set_bar(self->server, 2, 0x2000,
		PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH);
	/* The upper half; a size of its own makes no sense. */
	set_bar(self->server, 3, 0x1000, 0xffffffff);
	ASSERT_EQ(0, open_device(self));
	EXPECT_TRUE(vfio_pci_bar(self->dev, 2)->is_64);
	EXPECT_TRUE(vfio_pci_bar(self->dev, 2)->prefetchable);
	EXPECT_EQ(0xd0000000, config32(self->server, PCI_BASE_ADDRESS_2));
	EXPECT_EQ(0, config32(self->server, PCI_BASE_ADDRESS_3));
	EXPECT_EQ(0, vfio_pci_bar(self->dev, 3)->size);
}

TEST_F(vfio_pci, the_device_is_reset_and_gets_the_guests_memory_by_fd)
{
	NEEDS_KVM();
	ASSERT_EQ(0, open_device(self));
	EXPECT_EQ(1, self->server->calls[WIRE_DEVICE_RESET]);
	EXPECT_EQ(1, self->server->calls[WIRE_DMA_MAP]);
	EXPECT_EQ(0, self->server->dma_address);
	EXPECT_EQ(self->guest.machine->memory->size, self->server->dma_size);
	EXPECT_TRUE(self->server->dma_fd);
}

TEST_F(vfio_pci, accesses_of_the_guest_become_messages)
{
	NEEDS_KVM();
	set_bar(self->server, 0, 0x1000, 0);
	ASSERT_EQ(0, open_device(self));
	RUN();
	EXPECT_TRUE(recorder_wrote(&self->guest.mmio, 0, 0, 8, 0x7777777777777777));
	EXPECT_TRUE(recorder_wrote(&self->guest.mmio, 1, 0, 8, 0x77777777));
	EXPECT_EQ(0, self->server->last_region);
	EXPECT_EQ(0x10, self->server->last_offset);
	EXPECT_EQ(0x1234, self->server->last_value);
	EXPECT_EQ(2, vfio_pci_bar(self->dev, 0)->reads);
	EXPECT_EQ(1, vfio_pci_bar(self->dev, 0)->writes);
	EXPECT_EQ(0, self->server->posted);
}

TEST_F(vfio_pci, posted_writes_ask_for_no_reply)
{
	NEEDS_KVM();
	set_bar(self->server, 0, 0x1000, 0);
	self->options.posted = true;
	ASSERT_EQ(0, open_device(self));
	RUN();
	/* The last load was answered after the store. */
	EXPECT_EQ(1, self->server->posted);
	EXPECT_EQ(0x1234, self->server->last_value);
}

TEST_F(vfio_pci, io_fds_are_installed_unless_told_not_to)
{
	NEEDS_KVM();
	set_bar(self->server, 0, 0x1000, 0);
	self->server->io_fds[0] = (struct wire_io_fd_deployed){ .offset = 0x10, .size = 4 };
	self->server->nr_io_fds = 1;
	ASSERT_EQ(0, open_device(self));
	ASSERT_NE(NULL, vfio_pci_bar(self->dev, 0)->io_fds);
	EXPECT_EQ(1, vfio_pci_bar(self->dev, 0)->io_fds->nr_roads);
	RUN();
	EXPECT_EQ(0, vfio_pci_bar(self->dev, 0)->writes);
	EXPECT_EQ(2, vfio_pci_bar(self->dev, 0)->reads);
}

TEST_F(vfio_pci, with_io_fds_off_the_server_is_not_even_asked)
{
	NEEDS_KVM();
	set_bar(self->server, 0, 0x1000, 0);
	self->options.no_io_fds = true;
	ASSERT_EQ(0, open_device(self));
	EXPECT_EQ(0, self->server->calls[WIRE_DEVICE_GET_REGION_IO_FDS]);
	EXPECT_EQ(NULL, vfio_pci_bar(self->dev, 0)->io_fds);
}

/* ---- what a bad server can't do ---- */

TEST_F(vfio_pci, what_is_no_pci_device_is_refused)
{
	NEEDS_KVM();
	self->server->info.flags = 0;
	EXPECT_EQ(-EPROTO, open_device(self));
	EXPECT_EQ(1, capture_lines(&self->said, "test: not a PCI device"));
}

TEST_F(vfio_pci, a_device_without_configuration_space_is_refused)
{
	NEEDS_KVM();
	self->server->info.num_regions = 3;
	EXPECT_EQ(-EPROTO, open_device(self));
	self->server->info.num_regions = FAKE_NR_REGIONS;
	self->server->sizes[FAKE_CONFIG] = 16;
	EXPECT_EQ(-EPROTO, open_device(self));
	EXPECT_EQ(1, capture_lines(&self->said, "test: a configuration space of 16 bytes"));
}

TEST_F(vfio_pci, bars_that_cannot_be_are_left_out_with_a_line_each)
{
	NEEDS_KVM();
	set_bar(self->server, 0, UINT64_MAX, 0);
	set_bar(self->server, 1, 1ull << 30, 0); /* fits no window */
	set_bar(self->server, 2, 0x10000, PCI_BASE_ADDRESS_SPACE_IO);
	set_bar(self->server, 4, 0x1001, 0); /* no power of two: rounded up to be placed */
	set_bar(self->server, 5, 0x1000, PCI_BASE_ADDRESS_MEM_TYPE_64);
	ASSERT_EQ(0, open_device(self));
	for (unsigned int i = 0; i < 3; i++)
		EXPECT_EQ(0, vfio_pci_bar(self->dev, i)->size);
	EXPECT_EQ(0x1001, vfio_pci_bar(self->dev, 4)->size);
	EXPECT_EQ(0, vfio_pci_bar(self->dev, 5)->size);
	EXPECT_EQ(1, capture_lines(&self->said, "BAR 0 is left out"));
	EXPECT_EQ(1, capture_lines(&self->said, "BAR 1 is left out"));
	EXPECT_EQ(1, capture_lines(&self->said, "BAR 2 is left out"));
	EXPECT_EQ(1, capture_lines(&self->said, "BAR 5 is left out"));
	EXPECT_EQ(4, capture_lines(&self->said, "\n"));
}

/* The commands of an attach, in this order. */
static const enum wire_cmd attach[] = {
	WIRE_VERSION,	  WIRE_DEVICE_GET_INFO, WIRE_DEVICE_GET_REGION_INFO, WIRE_DEVICE_RESET,
	WIRE_REGION_READ, WIRE_DMA_MAP,		WIRE_REGION_WRITE,
};

TEST_F(vfio_pci, an_error_or_death_at_any_command_of_the_attach_is_one_error)
{
	NEEDS_KVM();
	for (unsigned int i = 0; i < sizeof(attach) / sizeof(*attach); i++)
		for (unsigned int death = 0; death < 2; death++) {
			struct fake_server *server = fake_server_new();

			set_bar(server, 0, 0x1000, 0);
			server->trouble = death ? FAKE_DEATH : FAKE_ERROR;
			server->trouble_cmd = attach[i];
			self->server = server;
			EXPECT_EQ(death ? -ECONNRESET : -EINVAL, open_device(self))
			{
				TH_LOG("at command %s", wire_cmd_name(attach[i]));
			}
			EXPECT_GE(1, capture_lines(&self->said, "test: "));
		}
}

TEST_F(vfio_pci, a_server_that_knows_no_io_fds_goes_by_socket)
{
	NEEDS_KVM();
	set_bar(self->server, 0, 0x1000, 0);
	self->server->trouble = FAKE_ERROR;
	self->server->trouble_cmd = WIRE_DEVICE_GET_REGION_IO_FDS;
	ASSERT_EQ(0, open_device(self));
	EXPECT_EQ(1, capture_lines(&self->said, "BAR 0 goes by socket"));
	RUN();
	EXPECT_EQ(1, vfio_pci_bar(self->dev, 0)->writes);
}

TEST_F(vfio_pci, io_fds_that_are_garbage_go_by_socket)
{
	uint32_t x = 1;

	NEEDS_KVM();
	set_bar(self->server, 0, 0x1000, 0);
	self->server->nr_io_fds = FAKE_MAX_IO_FDS;
	for (unsigned int i = 0; i < sizeof(self->server->io_fds); i++) {
		x = x * 1664525 + 1013904223;
		((uint8_t *)self->server->io_fds)[i] = (uint8_t)(x >> 24);
	}
	ASSERT_EQ(0, open_device(self));
	EXPECT_EQ(0, vfio_pci_bar(self->dev, 0)->io_fds->nr_roads);
	EXPECT_EQ(FAKE_MAX_IO_FDS, capture_lines(&self->said, "goes by socket"));
	RUN();
	EXPECT_EQ(0x1234, self->server->last_value);
}

TEST_F(vfio_pci, when_the_server_dies_the_guest_reads_ones_and_one_line_says_so)
{
	NEEDS_KVM();
	set_bar(self->server, 0, 0x1000, 0);
	self->server->trouble = FAKE_DEATH;
	self->server->trouble_cmd = WIRE_REGION_READ;
	self->server->trouble_after = 1; /* the configuration space */
	ASSERT_EQ(0, open_device(self));
	RUN();
	EXPECT_TRUE(recorder_wrote(&self->guest.mmio, 0, 0, 8, UINT64_MAX));
	EXPECT_TRUE(recorder_wrote(&self->guest.mmio, 1, 0, 8, UINT32_MAX));
	EXPECT_EQ(1, capture_lines(&self->said, "test: read of BAR 0 at 0x8"));
	EXPECT_EQ(1, capture_lines(&self->said, "test: "));
}

TEST_F(vfio_pci, an_error_answered_to_an_access_reads_as_ones_and_is_told_once)
{
	NEEDS_KVM();
	set_bar(self->server, 0, 0x1000, 0);
	self->server->trouble = FAKE_ERROR;
	self->server->trouble_cmd = WIRE_REGION_READ;
	self->server->trouble_after = 1;
	ASSERT_EQ(0, open_device(self));
	RUN();
	EXPECT_TRUE(recorder_wrote(&self->guest.mmio, 0, 0, 8, UINT64_MAX));
	EXPECT_EQ(1, capture_lines(&self->said, "test: "));
	/* It lives: the store between the two loads arrived. */
	EXPECT_EQ(0x1234, self->server->last_value);
}

TEST_F(vfio_pci, a_server_that_falls_silent_does_not_hold_the_guest_for_ever)
{
	NEEDS_KVM();
	self->timeout_ms = 300;
	set_bar(self->server, 0, 0x1000, 0);
	self->server->trouble = FAKE_SILENCE;
	self->server->trouble_cmd = WIRE_REGION_READ;
	self->server->trouble_after = 1;
	ASSERT_EQ(0, open_device(self));
	RUN();
	EXPECT_TRUE(recorder_wrote(&self->guest.mmio, 1, 0, 8, UINT32_MAX));
	EXPECT_EQ(1, capture_lines(&self->said, "Connection timed out"));
	EXPECT_EQ(1, capture_lines(&self->said, "test: "));
}

TEST_HARNESS_MAIN
