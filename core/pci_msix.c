/* SPDX-License-Identifier: BSD-3-Clause */
#include "pci_msix.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>

#include "cleanup.h"
#include "device.h"

#define MIN_BAR_BYTES 4096u

static uint64_t table_bytes(uint32_t vectors)
{
	return (uint64_t)vectors * PCI_MSIX_ENTRY_SIZE;
}

/* A bit for each, in units of 64. */
static uint64_t pba_bytes(uint32_t vectors)
{
	return (vectors + 63) / 64 * sizeof(uint64_t);
}

static bool has_own_bar(const struct fp_class *class_)
{
	return !class_->regions[class_->pci.msix_bar].size;
}

/* The table gets the lower half, and the pending bits are in the upper one. */
static uint64_t own_bar_bytes(uint32_t vectors)
{
	uint64_t bytes = MIN_BAR_BYTES;

	while (bytes / 2 < table_bytes(vectors))
		bytes *= 2;
	return bytes;
}

uint64_t pci_msix_bar_bytes(const struct fp_class *class_, unsigned int index)
{
	uint32_t vectors = class_->irqs[FP_MSIX];

	if (!vectors || vectors > PCI_MSIX_MAX_VECTORS || class_->pci.msix_bar != index ||
	    !has_own_bar(class_))
		return 0;
	return own_bar_bytes(vectors);
}

struct pci_msix pci_msix_layout(const struct fp_class *class_)
{
	uint32_t vectors = class_->irqs[FP_MSIX];
	struct pci_msix msix = {
		.vectors = vectors,
		.bar = class_->pci.msix_bar,
		.table = class_->pci.msix_table,
		.pba = class_->pci.msix_pba,
	};

	if (has_own_bar(class_))
		msix.pba = (uint32_t)(own_bar_bytes(vectors) / 2);
	return msix;
}

static const char *shared_check(const struct fp_class *class_, const struct pci_msix *msix)
{
	const struct fp_region *region = &class_->regions[msix->bar];
	uint64_t table = table_bytes(msix->vectors);
	uint64_t pba = pba_bytes(msix->vectors);

	if (region->flags & FP_REGION_IO)
		return "MSI-X can't be in I/O space";
	if (region->flags & FP_REGION_READ_ONLY)
		return "the MSI-X table can't be in a read-only BAR";
	if (msix->table % 8 || msix->pba % 8)
		return "msix_table and msix_pba have to be multiples of 8";
	if (!wire_within(msix->table, table, region->size) ||
	    !wire_within(msix->pba, pba, region->size))
		return "the MSI-X table or its pending bits lie outside their BAR";
	if (wire_overlaps(msix->table, table, msix->pba, pba))
		return "the MSI-X table and its pending bits overlap";
	if (!region_part_is_free(region, msix->table, table) ||
	    !region_part_is_free(region, msix->pba, pba))
		return "MSI-X overlaps a doorbell, or memory that the client may map";
	return NULL;
}

const char *pci_msix_check(const struct fp_class *class_)
{
	uint32_t vectors = class_->irqs[FP_MSIX];
	struct pci_msix msix;

	if (!vectors)
		return NULL;
	if (vectors > PCI_MSIX_MAX_VECTORS)
		return "MSI-X has 2048 vectors at most";
	if (class_->pci.msix_bar > FP_BAR5)
		return "msix_bar is no BAR";
	if (has_own_bar(class_))
		return class_->pci.msix_table || class_->pci.msix_pba ?
			       "msix_table and msix_pba are for a BAR that has a size" :
			       NULL;
	msix = pci_msix_layout(class_);
	return shared_check(class_, &msix);
}

/* ---- in a device ---- */

/* Those that fired while they were masked. What a client writes here is dropped. */
static int pba_access(struct fp_device *dev, struct fp_access *access)
{
	const struct irq_kind *kind = &dev->irqs[FP_MSIX];
	uint64_t first = 8 * (access->offset - dev->msix.pba);
	uint8_t *data = access->data;

	if (access->write)
		return 0;
	memset(data, 0, access->size);
	for (uint64_t i = 0; i < 8ull * access->size && first + i < kind->count; i++)
		if (kind->irqs[first + i].pending)
			data[i / 8] |= (uint8_t)(1u << i % 8);
	return 0;
}

/* Between the table and the pending bits of a BAR of their own. */
static int nothing_access(struct fp_device *dev, struct fp_access *access)
{
	(void)dev;
	if (!access->write)
		memset(access->data, 0, access->size);
	return 0;
}

int pci_msix_open(struct fp_device *dev)
{
	const struct pci_msix msix = pci_msix_layout(dev->class_);
	const struct region_part pba = {
		.offset = msix.pba,
		.size = pba_bytes(msix.vectors),
		.access = pba_access,
	};
	struct region_part table = {
		.offset = msix.table,
		.size = table_bytes(msix.vectors),
	};
	int ret;

	if (!msix.vectors)
		return 0;
	dev->msix = msix;
	dev->msix_table = calloc(1, table.size);
	if (!dev->msix_table)
		return -ENOMEM;
	table.bytes = dev->msix_table;
	pci_msix_reset(dev);
	if (has_own_bar(dev->class_))
		dev->regions[msix.bar] = (struct fp_region){
			.size = own_bar_bytes(msix.vectors),
			.access = nothing_access,
		};
	ret = region_add_part(dev, msix.bar, &table);
	return ret ? ret : region_add_part(dev, msix.bar, &pba);
}

void pci_msix_close(struct fp_device *dev)
{
	free(take_ptr(dev->msix_table));
}

size_t pci_msix_table_bytes(const struct fp_device *dev)
{
	return dev->msix_table ? table_bytes(dev->msix.vectors) : 0;
}

void pci_msix_reset(struct fp_device *dev)
{
	if (!dev->msix_table)
		return;
	memset(dev->msix_table, 0, table_bytes(dev->msix.vectors));
	for (uint32_t i = 0; i < dev->msix.vectors; i++)
		dev->msix_table[table_bytes(i) + PCI_MSIX_ENTRY_VECTOR_CTRL] =
			PCI_MSIX_ENTRY_CTRL_MASKBIT;
}
