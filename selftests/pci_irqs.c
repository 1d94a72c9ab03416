/* SPDX-License-Identifier: GPL-2.0-only */
/* INTx, MSI and MSI-X of a testdev, from its server into a guest's local APIC. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <sys/eventfd.h>

#include "bare_guest.h"
#include "capture.h"
#include "irq_machine.h"
#include "kselftest_harness.h"
#include "testdev.h"
#include "testdev_server.h"
#include "vfio_pci.h"

#define SLOT 3u
#define ADDRESS 0xfee00000u /* of messages: the vCPU's */

FIXTURE(pci_irqs) {
	struct irq_machine im;
	struct testdev_server served;
	struct vfio_pci_options options;
	struct vfio_pci *dev;
	unsigned int msi, msix; /* the capabilities */
	uint64_t bench, table, pba;
};

static unsigned int find_cap(FIXTURE_DATA(pci_irqs) * self, uint8_t id)
{
	unsigned int at = irq_machine_config(&self->im, SLOT, PCI_CAPABILITY_LIST) & 0xff;

	while (at && (irq_machine_config(&self->im, SLOT, at) & 0xff) != id)
		at = irq_machine_config(&self->im, SLOT, at) >> 8 & 0xff;
	return at;
}

FIXTURE_SETUP(pci_irqs)
{
	if (bare_guest_missing())
		return;
	testdev_server_start(&self->served);
	self->options.socket = self->served.path;
	self->options.slot = SLOT;
	ASSERT_EQ(0, irq_machine_open(&self->im));
	ASSERT_EQ(0, vfio_pci_open(&self->im.machine, &self->options, &self->dev));
	self->msi = find_cap(self, PCI_CAP_ID_MSI);
	self->msix = find_cap(self, PCI_CAP_ID_MSIX);
	ASSERT_NE(0, self->msi);
	ASSERT_NE(0, self->msix);
	self->bench = vfio_pci_bar(self->dev, 2)->base;
	self->table = vfio_pci_bar(self->dev, 4)->base;
	self->pba = self->table + 0x800;
}

FIXTURE_TEARDOWN(pci_irqs)
{
	vfio_pci_close(self->dev);
	irq_machine_close(&self->im);
	testdev_server_stop(&self->served);
}

/* Capability registers are the upper half of the first double word. */
static void msix_flags(FIXTURE_DATA(pci_irqs) * self, uint32_t flags)
{
	irq_machine_set_config(&self->im, SLOT, self->msix, flags << 16);
}

static void set_entry(FIXTURE_DATA(pci_irqs) * self, unsigned int entry, uint8_t vector)
{
	irq_machine_write(&self->im, self->table + entry * 16, ADDRESS);
	irq_machine_write(&self->im, self->table + entry * 16 + 8, vector);
	irq_machine_write(&self->im, self->table + entry * 16 + 12, 0);
}

static void mask_entry(FIXTURE_DATA(pci_irqs) * self, unsigned int entry, bool masked)
{
	irq_machine_write(&self->im, self->table + entry * 16 + 12, masked);
}

static void fire(FIXTURE_DATA(pci_irqs) * self, size_t trigger, uint32_t number)
{
	irq_machine_write(&self->im, self->bench + trigger, number);
}

#define FIRE_MSIX(number) fire(self, offsetof(struct testdev_counters, trigger), number)
#define FIRE_MSI(number) fire(self, offsetof(struct testdev_counters, msi), number)

/* The server's eventfd may be written after its answer. */
static bool becomes_pending(FIXTURE_DATA(pci_irqs) * self, unsigned int entry)
{
	for (unsigned int i = 0; i < 10000; i++) {
		if (irq_machine_read(&self->im, self->pba) >> entry & 1)
			return true;
		usleep(1000);
	}
	return false;
}

/* ---- MSI-X ---- */

TEST_F(pci_irqs, an_msix_vector_arrives_as_the_message_in_its_entry)
{
	NEEDS_KVM();
	msix_flags(self, PCI_MSIX_FLAGS_ENABLE);
	set_entry(self, 0, 0x41);
	set_entry(self, 3, 0x52);
	FIRE_MSIX(0);
	EXPECT_TRUE(irq_machine_took(&self->im, 0x41));
	FIRE_MSIX(3);
	EXPECT_TRUE(irq_machine_took(&self->im, 0x52));
	EXPECT_FALSE(irq_machine_has(&self->im, 0x41));
	FIRE_MSIX(0);
	EXPECT_TRUE(irq_machine_took(&self->im, 0x41));
}

TEST_F(pci_irqs, the_table_is_the_clients_and_never_reaches_the_server)
{
	NEEDS_KVM();
	set_entry(self, 1, 0x41);
	EXPECT_EQ(ADDRESS, irq_machine_read(&self->im, self->table + 16));
	EXPECT_EQ(0x41, irq_machine_read(&self->im, self->table + 24));
	EXPECT_EQ(0, vfio_pci_bar(self->dev, 4)->writes);
	EXPECT_EQ(0, vfio_pci_bar(self->dev, 4)->reads);
}

TEST_F(pci_irqs, a_masked_vector_is_pending_and_arrives_when_it_is_unmasked)
{
	NEEDS_KVM();
	msix_flags(self, PCI_MSIX_FLAGS_ENABLE);
	set_entry(self, 2, 0x61);
	mask_entry(self, 2, true);
	FIRE_MSIX(2);
	EXPECT_TRUE(becomes_pending(self, 2));
	EXPECT_FALSE(irq_machine_has(&self->im, 0x61));
	mask_entry(self, 2, false);
	EXPECT_TRUE(irq_machine_took(&self->im, 0x61));
	EXPECT_EQ(0, irq_machine_read(&self->im, self->pba));
	/* It has arrived once: a mask finds nothing left. */
	mask_entry(self, 2, true);
	EXPECT_EQ(0, irq_machine_read(&self->im, self->pba));
	mask_entry(self, 2, false);
	FIRE_MSIX(2);
	EXPECT_TRUE(irq_machine_took(&self->im, 0x61));
}

TEST_F(pci_irqs, the_function_mask_holds_back_all_vectors)
{
	NEEDS_KVM();
	msix_flags(self, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	set_entry(self, 0, 0x41);
	set_entry(self, 1, 0x42);
	FIRE_MSIX(0);
	FIRE_MSIX(1);
	EXPECT_TRUE(becomes_pending(self, 0));
	EXPECT_TRUE(becomes_pending(self, 1));
	EXPECT_FALSE(irq_machine_has(&self->im, 0x41));
	msix_flags(self, PCI_MSIX_FLAGS_ENABLE);
	EXPECT_TRUE(irq_machine_took(&self->im, 0x41));
	EXPECT_TRUE(irq_machine_took(&self->im, 0x42));
}

TEST_F(pci_irqs, a_vector_whose_message_changes_loses_nothing)
{
	NEEDS_KVM();
	msix_flags(self, PCI_MSIX_FLAGS_ENABLE);
	set_entry(self, 0, 0x41);
	mask_entry(self, 0, true);
	FIRE_MSIX(0);
	EXPECT_TRUE(becomes_pending(self, 0));
	set_entry(self, 0, 0x99);
	EXPECT_TRUE(irq_machine_took(&self->im, 0x99));
	EXPECT_FALSE(irq_machine_has(&self->im, 0x41));
	/* Also without a mask. */
	irq_machine_write(&self->im, self->table + 8, 0x9a);
	FIRE_MSIX(0);
	EXPECT_TRUE(irq_machine_took(&self->im, 0x9a));
}

TEST_F(pci_irqs, who_is_no_bus_master_sends_no_message)
{
	uint32_t command;

	NEEDS_KVM();
	command = irq_machine_config(&self->im, SLOT, PCI_COMMAND) & 0xffff;
	msix_flags(self, PCI_MSIX_FLAGS_ENABLE);
	set_entry(self, 0, 0x41);
	irq_machine_set_config(&self->im, SLOT, PCI_COMMAND, command & ~PCI_COMMAND_MASTER);
	FIRE_MSIX(0);
	EXPECT_TRUE(becomes_pending(self, 0));
	EXPECT_FALSE(irq_machine_has(&self->im, 0x41));
	irq_machine_set_config(&self->im, SLOT, PCI_COMMAND, command);
	EXPECT_TRUE(irq_machine_took(&self->im, 0x41));
}

TEST_F(pci_irqs, the_table_moves_with_its_bar)
{
	const uint64_t elsewhere = 0xe0000000;

	NEEDS_KVM();
	set_entry(self, 0, 0x41);
	irq_machine_set_config(&self->im, SLOT, PCI_BASE_ADDRESS_4, (uint32_t)elsewhere);
	EXPECT_EQ(UINT32_MAX, irq_machine_read(&self->im, self->table));
	EXPECT_EQ(ADDRESS, irq_machine_read(&self->im, elsewhere));
}

/* ---- MSI ---- */

static void enable_msi(FIXTURE_DATA(pci_irqs) * self, unsigned int order, uint8_t vector)
{
	irq_machine_set_config(&self->im, SLOT, self->msi + PCI_MSI_ADDRESS_LO, ADDRESS);
	irq_machine_set_config(&self->im, SLOT, self->msi + PCI_MSI_DATA_64, vector);
	irq_machine_set_config(&self->im, SLOT, self->msi,
			       (PCI_MSI_FLAGS_ENABLE | order << 4) << 16);
}

TEST_F(pci_irqs, the_low_bits_of_an_msi_are_its_vector)
{
	NEEDS_KVM();
	enable_msi(self, 2, 0x70);
	for (uint32_t i = 0; i < 4; i++) {
		FIRE_MSI(i);
		EXPECT_TRUE(irq_machine_took(&self->im, (uint8_t)(0x70 + i)));
	}
}

TEST_F(pci_irqs, a_masked_msi_is_pending_and_arrives_when_it_is_unmasked)
{
	unsigned int tries = 0;

	NEEDS_KVM();
	enable_msi(self, 2, 0x70);
	irq_machine_set_config(&self->im, SLOT, self->msi + PCI_MSI_MASK_64, 1 << 1);
	FIRE_MSI(1);
	while (irq_machine_config(&self->im, SLOT, self->msi + PCI_MSI_PENDING_64) != 1 << 1 &&
	       tries++ < 10000)
		usleep(1000);
	EXPECT_EQ(1 << 1, irq_machine_config(&self->im, SLOT, self->msi + PCI_MSI_PENDING_64));
	EXPECT_FALSE(irq_machine_has(&self->im, 0x71));
	irq_machine_set_config(&self->im, SLOT, self->msi + PCI_MSI_MASK_64, 0);
	EXPECT_TRUE(irq_machine_took(&self->im, 0x71));
	EXPECT_EQ(0, irq_machine_config(&self->im, SLOT, self->msi + PCI_MSI_PENDING_64));
}

TEST_F(pci_irqs, msix_in_place_of_msi_and_back)
{
	NEEDS_KVM();
	enable_msi(self, 0, 0x70);
	FIRE_MSI(0);
	EXPECT_TRUE(irq_machine_took(&self->im, 0x70));
	irq_machine_set_config(&self->im, SLOT, self->msi, 0);
	msix_flags(self, PCI_MSIX_FLAGS_ENABLE);
	set_entry(self, 0, 0x41);
	FIRE_MSIX(0);
	EXPECT_TRUE(irq_machine_took(&self->im, 0x41));
	FIRE_MSI(0);
	msix_flags(self, 0);
	enable_msi(self, 0, 0x70);
	FIRE_MSI(0);
	EXPECT_TRUE(irq_machine_took(&self->im, 0x70));
}

/* ---- INTx: a level ---- */

#define PIN (16 + SLOT % 8)

/* By a command of the protocol: testdev has no register for it. */
static int fire_line(FIXTURE_DATA(pci_irqs) * self)
{
	return fpc_set_irqs(vfio_pci_client(self->dev), FPC_IRQ_DATA_NONE | FPC_IRQ_ACTION_TRIGGER,
			    0, 0, 1, NULL);
}

static void set_command(FIXTURE_DATA(pci_irqs) * self, uint32_t bits)
{
	irq_machine_set_config(&self->im, SLOT, PCI_COMMAND,
			       PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | bits);
}

TEST_F(pci_irqs, intx_raises_the_line_of_its_slot_until_the_guest_is_done)
{
	NEEDS_KVM();
	EXPECT_EQ(PIN, irq_machine_config(&self->im, SLOT, PCI_INTERRUPT_LINE) & 0xff);
	EXPECT_EQ(PIN, pci_host_gsi(SLOT));
	ASSERT_EQ(0, irq_machine_route(&self->im, PIN, 0x33));
	ASSERT_EQ(0, fire_line(self));
	ASSERT_EQ(0, irq_machine_finish(&self->im, 0x33));
	EXPECT_FALSE(irq_machine_is_high(&self->im, PIN));
	/* The end of the interrupt has told the server that there may be another one. */
	ASSERT_EQ(0, fire_line(self));
	EXPECT_TRUE(irq_machine_took(&self->im, 0x33));
	EXPECT_TRUE(irq_machine_is_high(&self->im, PIN));
}

TEST_F(pci_irqs, an_intx_that_comes_before_the_guest_is_done_follows)
{
	NEEDS_KVM();
	ASSERT_EQ(0, irq_machine_route(&self->im, PIN, 0x33));
	ASSERT_EQ(0, fire_line(self));
	ASSERT_EQ(0, fire_line(self));
	ASSERT_EQ(0, irq_machine_finish(&self->im, 0x33));
	EXPECT_TRUE(irq_machine_took(&self->im, 0x33));
}

TEST_F(pci_irqs, interrupt_disable_lowers_the_line_and_holds_it)
{
	NEEDS_KVM();
	ASSERT_EQ(0, irq_machine_route(&self->im, PIN, 0x33));
	ASSERT_EQ(0, fire_line(self));
	EXPECT_TRUE(irq_machine_took(&self->im, 0x33));
	set_command(self, PCI_COMMAND_INTX_DISABLE);
	EXPECT_FALSE(irq_machine_is_high(&self->im, PIN));
	ASSERT_EQ(0, fire_line(self));
	EXPECT_FALSE(irq_machine_is_high(&self->im, PIN));
	set_command(self, 0);
	for (unsigned int i = 0; i < 10000 && !irq_machine_is_high(&self->im, PIN); i++)
		usleep(1000);
	EXPECT_TRUE(irq_machine_is_high(&self->im, PIN));
}

TEST_F(pci_irqs, with_messages_enabled_there_is_no_intx)
{
	NEEDS_KVM();
	ASSERT_EQ(0, irq_machine_route(&self->im, PIN, 0x33));
	msix_flags(self, PCI_MSIX_FLAGS_ENABLE);
	ASSERT_EQ(0, fire_line(self));
	set_entry(self, 0, 0x41);
	FIRE_MSIX(0);
	EXPECT_TRUE(irq_machine_took(&self->im, 0x41));
	EXPECT_FALSE(irq_machine_is_high(&self->im, PIN));
	msix_flags(self, 0);
	ASSERT_EQ(0, fire_line(self));
	EXPECT_TRUE(irq_machine_took(&self->im, 0x33));
}

TEST_HARNESS_MAIN
