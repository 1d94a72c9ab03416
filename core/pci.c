/* SPDX-License-Identifier: BSD-3-Clause */
#include "pci.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

static void put16(uint8_t *at, uint16_t value)
{
	memcpy(at, &value, sizeof(value));
}

static void put32(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, sizeof(value));
}

/* Writing ones to a BAR reads back its size: the low bits can't be changed. */
static void init_bar(struct pci *pci, unsigned int index, const struct fp_region *region)
{
	unsigned int at = PCI_BASE_ADDRESS_0 + 4 * index;
	uint32_t mask = (uint32_t) ~(region->size - 1);

	if (!region->size)
		return;
	if (region->flags & FP_REGION_IO)
		put32(&pci->bytes[at], PCI_BASE_ADDRESS_SPACE_IO);
	put32(&pci->writable[at], mask);
}

static void init_msix(struct pci *pci, unsigned int at, unsigned int vectors, uint8_t bar)
{
	pci->bytes[PCI_CAPABILITY_LIST] = (uint8_t)at;
	pci->bytes[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	pci->bytes[at + PCI_CAP_LIST_ID] = PCI_CAP_ID_MSIX;
	put16(&pci->bytes[at + PCI_MSIX_FLAGS], (uint16_t)(vectors - 1));
	put16(&pci->writable[at + PCI_MSIX_FLAGS], PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	put32(&pci->bytes[at + PCI_MSIX_TABLE], PCI_MSIX_TABLE_AT | bar);
	put32(&pci->bytes[at + PCI_MSIX_PBA], PCI_MSIX_PBA_AT | bar);
}

void pci_init(struct pci *pci, const struct fp_class *class_, const struct fp_region *regions)
{
	const struct fp_pci *ids = &class_->pci;

	*pci = (struct pci){ 0 };
	put16(&pci->bytes[PCI_VENDOR_ID], ids->vendor);
	put16(&pci->bytes[PCI_DEVICE_ID], ids->device);
	put16(&pci->bytes[PCI_SUBSYSTEM_VENDOR_ID], ids->subsystem_vendor);
	put16(&pci->bytes[PCI_SUBSYSTEM_ID], ids->subsystem);
	put32(&pci->bytes[PCI_CLASS_REVISION], ids->class_code << 8 | ids->revision);
	pci->bytes[PCI_INTERRUPT_PIN] = class_->irqs[FP_INTX] ? 1 : 0;
	put16(&pci->writable[PCI_COMMAND],
	      PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
	pci->writable[PCI_CACHE_LINE_SIZE] = 0xff;
	pci->writable[PCI_INTERRUPT_LINE] = 0xff;
	for (unsigned int i = FP_BAR0; i <= FP_BAR5; i++)
		init_bar(pci, i, &regions[i]);
	if (class_->irqs[FP_MSIX])
		init_msix(pci, 0x40, class_->irqs[FP_MSIX], ids->msix_bar);
}

void pci_reset(struct pci *pci)
{
	/* Every writable bit of this header is 0 at power-on. */
	for (unsigned int i = 0; i < PCI_CONFIG_BYTES; i++)
		pci->bytes[i] &= (uint8_t)~pci->writable[i];
}

int pci_load(struct pci *pci, const uint8_t bytes[PCI_CONFIG_BYTES])
{
	for (unsigned int i = 0; i < PCI_CONFIG_BYTES; i++)
		if ((bytes[i] ^ pci->bytes[i]) & ~pci->writable[i])
			return -EINVAL;
	memcpy(pci->bytes, bytes, PCI_CONFIG_BYTES);
	return 0;
}

void pci_access(struct pci *pci, struct fp_access *access)
{
	uint8_t *data = access->data;

	for (uint32_t i = 0; i < access->size; i++) {
		uint8_t *byte = &pci->bytes[access->offset + i];
		uint8_t mask = pci->writable[access->offset + i];

		if (access->write)
			*byte = (uint8_t)((*byte & ~mask) | (data[i] & mask));
		else
			data[i] = *byte;
	}
}
