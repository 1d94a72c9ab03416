/* SPDX-License-Identifier: GPL-2.0-only */
/* What a device that comes back from another server is to its guest: interrupts, BARs, memory. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <poll.h>

#include "bare_guest.h"
#include "irq_machine.h"
#include "kselftest_harness.h"
#include "testdev.h"
#include "testdev_server.h"
#include "vfio_pci.h"

#define SLOT 3u
#define PIN (16 + SLOT % 8)
#define ADDRESS 0xfee00000u /* of messages: the vCPU's */

FIXTURE(rejoin) {
	struct irq_machine im;
	struct testdev_server served;
	struct vfio_pci_options options;
	struct vfio_pci *dev;
	unsigned int msix; /* the capability */
	uint64_t bench, table;
	char why[VFIO_PCI_WHY];
};

static unsigned int find_cap(FIXTURE_DATA(rejoin) * self, uint8_t id)
{
	unsigned int at = irq_machine_config(&self->im, SLOT, PCI_CAPABILITY_LIST) & 0xff;

	while (at && (irq_machine_config(&self->im, SLOT, at) & 0xff) != id)
		at = irq_machine_config(&self->im, SLOT, at) >> 8 & 0xff;
	return at;
}

FIXTURE_SETUP(rejoin)
{
	if (bare_guest_missing())
		return;
	testdev_server_start(&self->served);
	self->options.socket = self->served.path;
	self->options.slot = SLOT;
	self->options.attended = true;
	ASSERT_EQ(0, irq_machine_open(&self->im));
	ASSERT_EQ(0, vfio_pci_open(&self->im.machine, &self->options, &self->dev));
	self->msix = find_cap(self, PCI_CAP_ID_MSIX);
	self->bench = vfio_pci_bar(self->dev, 2)->base;
	self->table = vfio_pci_bar(self->dev, 4)->base;
}

FIXTURE_TEARDOWN(rejoin)
{
	vfio_pci_close(self->dev);
	irq_machine_close(&self->im);
	testdev_server_stop(&self->served);
}

/* The server has gone when this returns. */
static void lose(FIXTURE_DATA(rejoin) * self)
{
	struct pollfd fd = { .fd = vfio_pci_socket(self->dev), .events = POLLRDHUP };

	testdev_server_kill(&self->served);
	while (!vfio_pci_is_lost(self->dev))
		poll(&fd, 1, -1);
	vfio_pci_leave(self->dev);
}

static int come_back(FIXTURE_DATA(rejoin) * self)
{
	struct fpc *client;
	int ret;

	testdev_server_again(&self->served);
	/* Who looked whether it listens may not have left yet, nor a dead server its socket. */
	do
		ret = vfio_pci_connect(self->dev, self->served.path, &client);
	while (ret == -EBUSY || ret == -ECONNRESET || ret == -ECONNREFUSED);
	if (!ret)
		ret = vfio_pci_match(self->dev, client, self->why);
	return ret ? ret : vfio_pci_rejoin(self->dev, client);
}

static void write32(FIXTURE_DATA(rejoin) * self, uint64_t address, uint32_t value)
{
	irq_machine_write(&self->im, address, value);
}

static uint32_t read32(FIXTURE_DATA(rejoin) * self, uint64_t address)
{
	return irq_machine_read(&self->im, address);
}

static void set_config(FIXTURE_DATA(rejoin) * self, unsigned int at, uint32_t value)
{
	irq_machine_set_config(&self->im, SLOT, at, value);
}

static uint32_t config(FIXTURE_DATA(rejoin) * self, unsigned int at)
{
	return irq_machine_config(&self->im, SLOT, at);
}

static void set_entry(FIXTURE_DATA(rejoin) * self, unsigned int entry, uint8_t vector, bool masked)
{
	write32(self, self->table + entry * 16, ADDRESS);
	write32(self, self->table + entry * 16 + 8, vector);
	write32(self, self->table + entry * 16 + 12, masked);
}

static void fire(FIXTURE_DATA(rejoin) * self, uint32_t vector)
{
	write32(self, self->bench + offsetof(struct testdev_counters, trigger), vector);
}

static bool becomes_pending(FIXTURE_DATA(rejoin) * self, unsigned int entry)
{
	for (unsigned int i = 0; i < 10000; i++) {
		if (read32(self, self->table + 0x800) >> entry & 1)
			return true;
		usleep(1000);
	}
	return false;
}

/* ---- meanwhile ---- */

TEST_F(rejoin, while_the_server_is_gone_all_reads_give_ones)
{
	NEEDS_KVM();
	set_entry(self, 0, 0x41, true);
	lose(self);
	EXPECT_EQ(UINT32_MAX, read32(self, self->bench));
	EXPECT_EQ(UINT32_MAX, read32(self, vfio_pci_bar(self->dev, 3)->base + TESTDEV_AREA_A));
	EXPECT_EQ(UINT32_MAX, config(self, PCI_VENDOR_ID));
	EXPECT_EQ(UINT32_MAX, config(self, PCI_COMMAND));
	EXPECT_EQ(NULL, vfio_pci_bar(self->dev, 2)->io_fds);
	EXPECT_EQ(NULL, vfio_pci_bar(self->dev, 3)->mapped);
	/* The table is at this end, and the guest may go on with it. */
	EXPECT_EQ(0x41, read32(self, self->table + 8));
	write32(self, self->bench, 1);
	set_config(self, PCI_COMMAND, 0);
}

/* ---- afterwards ---- */

TEST_F(rejoin, the_device_is_where_the_guest_has_put_it_and_goes_by_fd_again)
{
	const uint64_t elsewhere = 0xe0000000;

	NEEDS_KVM();
	set_config(self, PCI_BASE_ADDRESS_2, (uint32_t)elsewhere);
	lose(self);
	ASSERT_EQ(0, come_back(self));
	EXPECT_EQ(TESTDEV_MAGIC, read32(self, elsewhere));
	EXPECT_EQ(elsewhere, config(self, PCI_BASE_ADDRESS_2));
	EXPECT_EQ(UINT32_MAX, read32(self, self->bench));
	ASSERT_NE(NULL, vfio_pci_bar(self->dev, 2)->io_fds);
	EXPECT_EQ(TESTDEV_NR_IO_FDS, vfio_pci_bar(self->dev, 2)->io_fds->nr_roads);
	EXPECT_EQ(elsewhere, vfio_pci_bar(self->dev, 2)->io_fds->target.base);
	EXPECT_NE(NULL, vfio_pci_bar(self->dev, 3)->mapped);
}

/* What the server itself has of it: the monitor keeps BARs and all that from the guest. */
static uint32_t servers(FIXTURE_DATA(rejoin) * self, uint32_t at, uint32_t bytes)
{
	uint32_t value = 0;

	return fpc_region_read(vfio_pci_client(self->dev), FP_CONFIG, at, &value, bytes) ? 0 :
											   value;
}

TEST_F(rejoin, the_new_server_is_told_what_the_guest_has_set_up)
{
	const uint32_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE;

	NEEDS_KVM();
	set_config(self, PCI_BASE_ADDRESS_2, 0xe0000000);
	set_config(self, PCI_COMMAND, command);
	set_config(self, self->msix, (uint32_t)PCI_MSIX_FLAGS_ENABLE << 16);
	lose(self);
	ASSERT_EQ(0, come_back(self));
	EXPECT_EQ(0xe0000000, servers(self, PCI_BASE_ADDRESS_2, 4));
	EXPECT_EQ(command, servers(self, PCI_COMMAND, 2));
	EXPECT_TRUE(servers(self, self->msix + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_ENABLE);
	EXPECT_EQ(PIN, servers(self, PCI_INTERRUPT_LINE, 1));
	EXPECT_EQ(command, config(self, PCI_COMMAND) & 0xffff);
}

TEST_F(rejoin, its_own_registers_are_as_after_a_reset)
{
	NEEDS_KVM();
	write32(self, self->bench + TESTDEV_REGISTER_4, 0x1234);
	lose(self);
	ASSERT_EQ(0, come_back(self));
	EXPECT_EQ(0, read32(self, self->bench + TESTDEV_REGISTER_4));
}

TEST_F(rejoin, it_reaches_the_guests_memory_again)
{
	const uint32_t iova = 0x10000;

	NEEDS_KVM();
	lose(self);
	ASSERT_EQ(0, come_back(self));
	write32(self, self->bench + offsetof(struct testdev_counters, stamp_iova), iova);
	write32(self, self->bench + TESTDEV_REGISTER_4, 1);
	EXPECT_EQ(1, read32(self, self->bench + TESTDEV_REGISTER_4));
	EXPECT_LT(0, *(uint64_t *)memory_ptr(self->im.machine.memory, iova, 8));
}

TEST_F(rejoin, who_was_no_bus_master_reaches_no_memory)
{
	const uint32_t iova = 0x10000;

	NEEDS_KVM();
	set_config(self, PCI_COMMAND, PCI_COMMAND_MEMORY);
	lose(self);
	ASSERT_EQ(0, come_back(self));
	write32(self, self->bench + offsetof(struct testdev_counters, stamp_iova), iova);
	write32(self, self->bench + TESTDEV_REGISTER_4, 1);
	EXPECT_EQ(1, read32(self, self->bench + TESTDEV_REGISTER_4));
	EXPECT_EQ(0, *(uint64_t *)memory_ptr(self->im.machine.memory, iova, 8));
}

TEST_F(rejoin, msix_arrives_as_before_and_masked_vectors_stay_masked)
{
	NEEDS_KVM();
	set_config(self, self->msix, (uint32_t)PCI_MSIX_FLAGS_ENABLE << 16);
	set_entry(self, 0, 0x41, false);
	set_entry(self, 2, 0x62, true);
	fire(self, 0);
	EXPECT_TRUE(irq_machine_took(&self->im, 0x41));
	lose(self);
	ASSERT_EQ(0, come_back(self));
	fire(self, 0);
	EXPECT_TRUE(irq_machine_took(&self->im, 0x41));
	fire(self, 2);
	EXPECT_TRUE(becomes_pending(self, 2));
	EXPECT_FALSE(irq_machine_has(&self->im, 0x62));
	set_entry(self, 2, 0x62, false);
	EXPECT_TRUE(irq_machine_took(&self->im, 0x62));
}

TEST_F(rejoin, an_interrupt_that_was_masked_when_the_server_died_is_not_lost)
{
	NEEDS_KVM();
	set_config(self, self->msix, (uint32_t)PCI_MSIX_FLAGS_ENABLE << 16);
	set_entry(self, 1, 0x51, true);
	fire(self, 1);
	EXPECT_TRUE(becomes_pending(self, 1));
	lose(self);
	ASSERT_EQ(0, come_back(self));
	set_entry(self, 1, 0x51, false);
	EXPECT_TRUE(irq_machine_took(&self->im, 0x51));
}

TEST_F(rejoin, intx_arrives_as_before)
{
	NEEDS_KVM();
	ASSERT_EQ(0, irq_machine_route(&self->im, PIN, 0x33));
	lose(self);
	ASSERT_EQ(0, come_back(self));
	ASSERT_EQ(0, fpc_set_irqs(vfio_pci_client(self->dev),
				  FPC_IRQ_DATA_NONE | FPC_IRQ_ACTION_TRIGGER, 0, 0, 1, NULL));
	ASSERT_EQ(0, irq_machine_finish(&self->im, 0x33));
	EXPECT_FALSE(irq_machine_is_high(&self->im, PIN));
}

/* ---- reconnect=reset ---- */

TEST_F(rejoin, with_reset_the_guest_finds_it_as_at_power_on)
{
	NEEDS_KVM();
	vfio_pci_close(self->dev);
	self->dev = NULL;
	self->options.reconnect = VFIO_PCI_RESET;
	ASSERT_EQ(0, vfio_pci_open(&self->im.machine, &self->options, &self->dev));
	self->bench = vfio_pci_bar(self->dev, 2)->base;
	set_config(self, self->msix, (uint32_t)PCI_MSIX_FLAGS_ENABLE << 16);
	lose(self);
	ASSERT_EQ(0, come_back(self));
	EXPECT_EQ(0, config(self, PCI_COMMAND) & 0xffff);
	EXPECT_EQ(0, config(self, PCI_BASE_ADDRESS_2));
	EXPECT_EQ(0, config(self, self->msix) >> 16 & PCI_MSIX_FLAGS_ENABLE);
	EXPECT_EQ(UINT32_MAX, read32(self, self->bench));
	/* Which a guest does with a device that it finds. */
	set_config(self, PCI_BASE_ADDRESS_2, 0xe0000000);
	set_config(self, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	EXPECT_EQ(TESTDEV_MAGIC, read32(self, 0xe0000000));
	ASSERT_NE(NULL, vfio_pci_bar(self->dev, 2)->io_fds);
	/* It has INTx now, as it had at power-on. */
	ASSERT_EQ(0, irq_machine_route(&self->im, PIN, 0x33));
	ASSERT_EQ(0, fpc_set_irqs(vfio_pci_client(self->dev),
				  FPC_IRQ_DATA_NONE | FPC_IRQ_ACTION_TRIGGER, 0, 0, 1, NULL));
	EXPECT_TRUE(irq_machine_took(&self->im, 0x33));
}

TEST_HARNESS_MAIN
