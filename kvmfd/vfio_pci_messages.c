/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vfio_pci's interrupts that are messages, MSI and MSI-X: where a guest says which they are.
 *
 * A vector that is masked is taken out of KVM. It is pending then, until it is unmasked.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "log.h"
#include "vfio_pci_dev.h"
#include "wire.h"

#define PAGE_BYTES 4096u

/* Of MSI's capability, up to its data when an address has 32 bits. */
#define MSI_LEAST_BYTES 10u

/* ---- one vector ---- */

static void route(struct vfio_pci *dev, unsigned int vector, const struct msi_message *message)
{
	struct irqs *irqs = &dev->irqs;
	int ret;

	if (!irqs->irqfds || vector >= irqs->nr)
		return;
	if (!message) {
		irqfd_unplug(&irqs->irqfds[vector]);
		return;
	}
	ret = irqfd_plug(&irqs->irqfds[vector], message);
	if (ret)
		log_warn("%s: %s vector %u is lost: %s", dev->options.socket,
			 irqs->mode == IRQ_MSI ? "MSI" : "MSI-X", vector, strerror(-ret));
}

static bool is_pending(const struct vfio_pci *dev, unsigned int vector)
{
	const struct irqs *irqs = &dev->irqs;

	return irqs->irqfds && vector < irqs->nr && irqfd_is_pending(&irqs->irqfds[vector]);
}

/* ---- MSI-X ---- */

static void route_msix(void *opaque, unsigned int vector, const struct msi_message *message)
{
	route(opaque, vector, message);
}

static bool is_msix_pending(void *opaque, unsigned int vector)
{
	return is_pending(opaque, vector);
}

static const struct msix_ops msix_ops = {
	.route = route_msix,
	.is_pending = is_msix_pending,
};

/* A register that names a BAR in its low bits and an offset in the others. */
static unsigned int area_of(const struct vfio_pci *dev, unsigned int at, uint64_t size,
			    struct fpc_area *area)
{
	uint32_t reg = vfio_pci_config_initial(dev, at, 4);

	*area = (struct fpc_area){ .offset = reg & PCI_MSIX_TABLE_OFFSET, .size = size };
	return reg & PCI_MSIX_TABLE_BIR;
}

static bool fits(const struct vfio_pci *dev, unsigned int bar, const struct fpc_area *area)
{
	return bar < VFIO_PCI_NR_BARS && dev->bars[bar].pub.space == BUS_MMIO &&
	       wire_within(area->offset, area->size, dev->bars[bar].pub.size);
}

/* Where table and pending bits are; what is wrong with that, or NULL. */
static const char *place_msix(struct vfio_pci *dev, unsigned int at, unsigned int nr)
{
	struct irqs *irqs = &dev->irqs;

	irqs->table_bar =
		area_of(dev, at + PCI_MSIX_TABLE, nr * PCI_MSIX_ENTRY_SIZE, &irqs->table_area);
	irqs->pba_bar =
		area_of(dev, at + PCI_MSIX_PBA, (nr + 63) / 64 * sizeof(uint64_t), &irqs->pba_area);
	if (!fits(dev, irqs->table_bar, &irqs->table_area))
		return "its table lies outside of the BARs";
	if (!fits(dev, irqs->pba_bar, &irqs->pba_area))
		return "its pending bits lie outside of the BARs";
	if (irqs->table_bar == irqs->pba_bar &&
	    wire_overlaps(irqs->table_area.offset, irqs->table_area.size, irqs->pba_area.offset,
			  irqs->pba_area.size))
		return "its table and its pending bits overlap";
	return NULL;
}

static uint32_t msix_flags(const struct vfio_pci *dev)
{
	return dev->irqs.msix ? vfio_pci_config_value(dev, dev->irqs.msix + PCI_MSIX_FLAGS, 2) : 0;
}

static void find_msix(struct vfio_pci *dev)
{
	struct irqs *irqs = &dev->irqs;
	unsigned int at = vfio_pci_config_cap(dev, PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF);
	const uint32_t bits = PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL;
	uint32_t flags;
	unsigned int nr;
	const char *why;

	if (!at)
		return;
	flags = vfio_pci_config_initial(dev, at + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_QSIZE;
	nr = flags + 1;
	why = place_msix(dev, at, nr);
	if (!why && vfio_pci_irqs_count(dev->client, IRQ_MSIX, FPC_IRQ_EVENTFD) < nr)
		why = "the server has fewer interrupts than its table";
	if (!why && msix_open(nr, &msix_ops, dev, &irqs->table))
		why = strerror(ENOMEM);
	if (why) {
		log_warn("%s: MSI-X is left out: %s", dev->options.socket, why);
		vfio_pci_config_hide(dev, at);
		return;
	}
	irqs->msix = at;
	irqs->nr_msix = nr;
	vfio_pci_config_keep(dev, at + PCI_MSIX_FLAGS, 2, flags, UINT16_MAX, bits);
}

/* ---- MSI ---- */

/* Where its registers are depends on what it has. */
struct msi_layout {
	unsigned int data;
	unsigned int mask; /* 0: none */
	unsigned int end;
};

static struct msi_layout layout(uint32_t flags, unsigned int at)
{
	bool is_64 = flags & PCI_MSI_FLAGS_64BIT;
	struct msi_layout msi = {
		.data = at + (is_64 ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32),
		.mask = flags & PCI_MSI_FLAGS_MASKBIT ?
				at + (is_64 ? PCI_MSI_MASK_64 : PCI_MSI_MASK_32) :
				0,
	};

	/* The pending bits follow the mask. */
	msi.end = msi.mask ? msi.mask + 8 : msi.data + 2;
	return msi;
}

static void keep_msi(struct vfio_pci *dev, unsigned int at, uint32_t flags, uint32_t vectors)
{
	const struct msi_layout msi = layout(flags, at);
	const uint32_t bits = PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE;

	vfio_pci_config_keep(dev, at + PCI_MSI_FLAGS, 2, flags & ~bits, UINT16_MAX, bits);
	vfio_pci_config_keep(dev, at + PCI_MSI_ADDRESS_LO, 4, 0, UINT32_MAX, ~3u);
	if (flags & PCI_MSI_FLAGS_64BIT)
		vfio_pci_config_keep(dev, at + PCI_MSI_ADDRESS_HI, 4, 0, UINT32_MAX, UINT32_MAX);
	vfio_pci_config_keep(dev, msi.data, 2, 0, UINT16_MAX, UINT16_MAX);
	if (msi.mask) {
		vfio_pci_config_keep(dev, msi.mask, 4, 0, UINT32_MAX, vectors);
		vfio_pci_config_keep(dev, msi.mask + 4, 4, 0, UINT32_MAX, 0);
	}
}

static void find_msi(struct vfio_pci *dev)
{
	struct irqs *irqs = &dev->irqs;
	unsigned int at = vfio_pci_config_cap(dev, PCI_CAP_ID_MSI, MSI_LEAST_BYTES);
	uint32_t flags = at ? vfio_pci_config_initial(dev, at + PCI_MSI_FLAGS, 2) : 0;
	unsigned int order = (flags & PCI_MSI_FLAGS_QMASK) >> 1;
	const char *why = NULL;

	if (!at)
		return;
	irqs->msi_max = vfio_pci_irqs_count(dev->client, IRQ_MSI, FPC_IRQ_EVENTFD);
	if (order > 5)
		why = "more than 32 vectors";
	else if (layout(flags, at).end > CONFIG_BYTES)
		why = "its capability leaves the configuration space";
	else if (!irqs->msi_max)
		why = "the server has no such interrupts";
	if (why) {
		log_warn("%s: MSI is left out: %s", dev->options.socket, why);
		vfio_pci_config_hide(dev, at);
		return;
	}
	irqs->msi = at;
	keep_msi(dev, at, flags, UINT32_MAX >> (32 - (1u << order)));
}

static uint32_t msi_flags(const struct vfio_pci *dev)
{
	return vfio_pci_config_value(dev, dev->irqs.msi + PCI_MSI_FLAGS, 2);
}

/* The low bits of the data are the vector's number. */
static struct msi_message msi_message(const struct vfio_pci *dev, unsigned int vector)
{
	unsigned int at = dev->irqs.msi;
	uint32_t flags = msi_flags(dev);
	uint32_t data = vfio_pci_config_value(dev, layout(flags, at).data, 2);
	unsigned int order = (flags & PCI_MSI_FLAGS_QSIZE) >> 4;
	struct msi_message message = {
		.address = vfio_pci_config_value(dev, at + PCI_MSI_ADDRESS_LO, 4),
		.data = (data & ~((1u << order) - 1)) | vector,
	};

	if (flags & PCI_MSI_FLAGS_64BIT)
		message.address |= (uint64_t)vfio_pci_config_value(dev, at + PCI_MSI_ADDRESS_HI, 4)
				   << 32;
	return message;
}

static void update_msi(struct vfio_pci *dev, bool masked)
{
	const struct msi_layout msi = layout(msi_flags(dev), dev->irqs.msi);
	uint32_t mask = msi.mask ? vfio_pci_config_value(dev, msi.mask, 4) : 0;

	for (unsigned int i = 0; i < dev->irqs.nr; i++) {
		const struct msi_message message = msi_message(dev, i);

		route(dev, i, masked || mask >> i & 1 ? NULL : &message);
	}
}

void vfio_pci_messages_refresh(struct vfio_pci *dev)
{
	const struct irqs *irqs = &dev->irqs;
	uint32_t pending = 0;
	struct msi_layout msi;

	if (!irqs->msi)
		return;
	msi = layout(msi_flags(dev), irqs->msi);
	for (unsigned int i = 0; irqs->mode == IRQ_MSI && i < irqs->nr; i++)
		pending |= (uint32_t)is_pending(dev, i) << i;
	if (msi.mask)
		memcpy(&dev->config.value[msi.mask + 4], &pending, sizeof(pending));
}

/* ---- the table and the pending bits in their BARs ---- */

static bool touches(unsigned int bar, uint64_t offset, uint32_t len, unsigned int area_bar,
		    const struct fpc_area *area)
{
	return bar == area_bar && wire_overlaps(offset, len, area->offset, area->size);
}

bool vfio_pci_messages_take(const struct vfio_pci *dev, unsigned int bar, uint64_t offset,
			    uint32_t len)
{
	const struct irqs *irqs = &dev->irqs;

	return irqs->table && (touches(bar, offset, len, irqs->table_bar, &irqs->table_area) ||
			       touches(bar, offset, len, irqs->pba_bar, &irqs->pba_area));
}

bool vfio_pci_messages_read(struct vfio_pci *dev, unsigned int bar, uint64_t offset, void *data,
			    uint32_t len)
{
	const struct irqs *irqs = &dev->irqs;

	if (!irqs->table)
		return false;
	if (touches(bar, offset, len, irqs->table_bar, &irqs->table_area)) {
		msix_read_table(irqs->table, (int64_t)(offset - irqs->table_area.offset), data,
				len);
		return true;
	}
	if (!touches(bar, offset, len, irqs->pba_bar, &irqs->pba_area))
		return false;
	msix_read_pba(irqs->table, (int64_t)(offset - irqs->pba_area.offset), data, len);
	return true;
}

bool vfio_pci_messages_write(struct vfio_pci *dev, unsigned int bar, uint64_t offset,
			     const void *data, uint32_t len)
{
	const struct irqs *irqs = &dev->irqs;

	if (!irqs->table)
		return false;
	if (touches(bar, offset, len, irqs->table_bar, &irqs->table_area)) {
		msix_write_table(irqs->table, (int64_t)(offset - irqs->table_area.offset), data,
				 len);
		return true;
	}
	return touches(bar, offset, len, irqs->pba_bar, &irqs->pba_area);
}

static struct fpc_area pages_of(const struct fpc_area *area)
{
	uint64_t start = area->offset & ~(uint64_t)(PAGE_BYTES - 1);
	uint64_t end = (area->offset + area->size + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);

	return (struct fpc_area){ .offset = start, .size = end - start };
}

unsigned int vfio_pci_messages_holes(const struct vfio_pci *dev, unsigned int bar,
				     struct fpc_area *holes)
{
	const struct irqs *irqs = &dev->irqs;
	unsigned int nr = 0;

	if (irqs->table && bar == irqs->table_bar)
		holes[nr++] = pages_of(&irqs->table_area);
	if (irqs->table && bar == irqs->pba_bar)
		holes[nr++] = pages_of(&irqs->pba_area);
	return nr;
}

/* ---- both ---- */

void vfio_pci_messages_open(struct vfio_pci *dev)
{
	find_msix(dev);
	find_msi(dev);
}

enum irq_mode vfio_pci_messages_wanted(const struct vfio_pci *dev, uint32_t *nr)
{
	const struct irqs *irqs = &dev->irqs;

	if (msix_flags(dev) & PCI_MSIX_FLAGS_ENABLE) {
		*nr = (msix_flags(dev) & PCI_MSIX_FLAGS_QSIZE) + 1;
		return IRQ_MSIX;
	}
	if (irqs->msi && msi_flags(dev) & PCI_MSI_FLAGS_ENABLE) {
		unsigned int order = (msi_flags(dev) & PCI_MSI_FLAGS_QSIZE) >> 4;

		*nr = order > 5 ? 32 : 1u << order;
		*nr = *nr < irqs->msi_max ? *nr : irqs->msi_max;
		return IRQ_MSI;
	}
	*nr = 0;
	return IRQ_NONE;
}

void vfio_pci_messages_stop(struct vfio_pci *dev)
{
	if (dev->irqs.table)
		msix_control(dev->irqs.table, false, false);
}

void vfio_pci_messages_update(struct vfio_pci *dev)
{
	/* A message is a write to memory: who is no bus master has to wait with it. */
	bool masked = !(vfio_pci_config_value(dev, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);

	if (dev->irqs.mode == IRQ_MSIX)
		msix_control(dev->irqs.table, true,
			     masked || msix_flags(dev) & PCI_MSIX_FLAGS_MASKALL);
	else if (dev->irqs.mode == IRQ_MSI)
		update_msi(dev, masked);
}
