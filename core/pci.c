/* SPDX-License-Identifier: BSD-3-Clause */
#include "pci.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "pci_caps.h"
#include "pci_msix.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

void pci_put(struct pci *pci, unsigned int base, const struct pci_register *registers, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		const struct pci_register *reg = &registers[i];
		unsigned int at = base + reg->at;

		memcpy(&pci->initial[at], &reg->initial, reg->bytes);
		memcpy(&pci->writable[at], &reg->writable, reg->bytes);
		memcpy(&pci->clearable[at], &reg->clearable, reg->bytes);
	}
}

/* ---- the header ---- */

#define COMMAND_BITS                                                                     \
	(PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | \
	 PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE)

#define STATUS_ERRORS                                                                    \
	(PCI_STATUS_PARITY | PCI_STATUS_SIG_TARGET_ABORT | PCI_STATUS_REC_TARGET_ABORT | \
	 PCI_STATUS_REC_MASTER_ABORT | PCI_STATUS_SIG_SYSTEM_ERROR | PCI_STATUS_DETECTED_PARITY)

static void put_header(struct pci *pci, const struct fp_class *class_)
{
	const struct fp_pci *ids = &class_->pci;
	/* PCI Express has no latency timer: it reads as 0. */
	uint32_t latency = ids->capabilities & FP_PCI_EXPRESS ? 0 : 0xff;
	const struct pci_register header[] = {
		{ PCI_VENDOR_ID, 2, ids->vendor, 0, 0 },
		{ PCI_DEVICE_ID, 2, ids->device, 0, 0 },
		{ PCI_COMMAND, 2, 0, COMMAND_BITS, 0 },
		{ PCI_STATUS, 2, 0, 0, STATUS_ERRORS },
		{ PCI_CLASS_REVISION, 4, ids->class_code << 8 | ids->revision, 0, 0 },
		{ PCI_CACHE_LINE_SIZE, 1, 0, 0xff, 0 },
		{ PCI_LATENCY_TIMER, 1, 0, latency, 0 },
		{ PCI_SUBSYSTEM_VENDOR_ID, 2, ids->subsystem_vendor, 0, 0 },
		{ PCI_SUBSYSTEM_ID, 2, ids->subsystem, 0, 0 },
		{ PCI_INTERRUPT_LINE, 1, 0, 0xff, 0 },
		{ PCI_INTERRUPT_PIN, 1, class_->irqs[FP_INTX] ? 1 : 0, 0, 0 },
	};

	pci_put(pci, 0, header, COUNT(header));
}

/* ---- base addresses: ones written to them read back as the size, the low bits can't change ---- */

static uint32_t bar_kind(const struct fp_region *region)
{
	if (region->flags & FP_REGION_IO)
		return PCI_BASE_ADDRESS_SPACE_IO;
	return (region->flags & FP_REGION_64BIT ? PCI_BASE_ADDRESS_MEM_TYPE_64 : 0) |
	       (region->flags & FP_REGION_PREFETCHABLE ? PCI_BASE_ADDRESS_MEM_PREFETCH : 0);
}

static void put_bar(struct pci *pci, unsigned int index, const struct fp_region *region,
		    uint64_t size)
{
	uint64_t mask = ~(size - 1);
	const struct pci_register halves[] = {
		{ 0, 4, bar_kind(region), (uint32_t)mask, 0 },
		{ 4, 4, 0, (uint32_t)(mask >> 32), 0 },
	};

	if (size)
		pci_put(pci, PCI_BASE_ADDRESS_0 + 4 * index, halves,
			region->flags & FP_REGION_64BIT ? 2 : 1);
}

static void put_rom(struct pci *pci, uint64_t size)
{
	const struct pci_register rom = {
		.bytes = 4,
		.writable = (uint32_t) ~(size - 1) | PCI_ROM_ADDRESS_ENABLE,
	};

	if (size)
		pci_put(pci, PCI_ROM_ADDRESS, &rom, 1);
}

static void put_bars(struct pci *pci, const struct fp_class *class_)
{
	for (unsigned int i = FP_BAR0; i <= FP_BAR5; i++) {
		const struct fp_region *region = &class_->regions[i];

		put_bar(pci, i, region,
			region->size ? region->size : pci_msix_bar_bytes(class_, i));
	}
	put_rom(pci, class_->regions[FP_ROM].size);
}

/* ---- the whole ---- */

const char *pci_check(const struct fp_class *class_)
{
	const char *why;

	for (unsigned int i = FP_BAR0; i < FP_BAR5; i++)
		if (class_->regions[i].flags & FP_REGION_64BIT && class_->regions[i].size &&
		    (class_->regions[i + 1].size || pci_msix_bar_bytes(class_, i + 1)))
			return "the BAR behind a 64-bit BAR is its upper half, and has to be empty";
	why = pci_msix_check(class_);
	return why ? why : pci_caps_check(class_);
}

void pci_init(struct pci *pci, const struct fp_class *class_)
{
	bool is_express = class_->pci.capabilities & FP_PCI_EXPRESS;

	*pci = (struct pci){ .size = is_express ? PCI_CFG_SPACE_EXP_SIZE : PCI_CFG_SPACE_SIZE };
	put_header(pci, class_);
	put_bars(pci, class_);
	pci_caps_init(pci, class_);
	pci_reset(pci);
}

void pci_set_serial(struct pci *pci, uint64_t serial)
{
	if (!pci->serial)
		return;
	memcpy(&pci->initial[pci->serial], &serial, sizeof(serial));
	memcpy(&pci->bytes[pci->serial], &serial, sizeof(serial));
}

void pci_set_intx(struct pci *pci, bool high)
{
	pci->intx = high;
}

void pci_reset(struct pci *pci)
{
	memcpy(pci->bytes, pci->initial, sizeof(pci->bytes));
}

/* "If software attempts to write an unsupported state, the data is discarded": D1 and D2. */
static void keep_power_state(struct pci *pci, uint8_t before)
{
	uint8_t *state = &pci->bytes[pci->power];

	if ((*state & PCI_PM_CTRL_STATE_MASK) == 1 || (*state & PCI_PM_CTRL_STATE_MASK) == 2)
		*state = (uint8_t)((*state & ~PCI_PM_CTRL_STATE_MASK) |
				   (before & PCI_PM_CTRL_STATE_MASK));
}

static void write_byte(struct pci *pci, uint64_t at, uint8_t value)
{
	uint8_t before = pci->bytes[at];
	uint8_t mask = pci->writable[at];

	pci->bytes[at] = (uint8_t)((before & ~mask) | (value & mask));
	pci->bytes[at] &= (uint8_t) ~(value & pci->clearable[at]);
	if (pci->power && at == pci->power)
		keep_power_state(pci, before);
}

static bool is_serial(const struct pci *pci, size_t at)
{
	return pci->serial && at >= pci->serial && at < pci->serial + sizeof(uint64_t);
}

int pci_load(struct pci *pci, const uint8_t *bytes)
{
	uint64_t serial;

	for (size_t i = 0; i < pci->size; i++) {
		uint8_t may_differ = pci->writable[i] | pci->clearable[i];

		if ((bytes[i] ^ pci->bytes[i]) & ~may_differ && !is_serial(pci, i))
			return -EINVAL;
	}
	memcpy(pci->bytes, bytes, pci->size);
	/* The guest's device keeps the serial number that it had, also over a reset. */
	memcpy(&serial, &bytes[pci->serial], sizeof(serial));
	pci_set_serial(pci, serial);
	return 0;
}

static void read_bytes(const struct pci *pci, uint64_t offset, uint8_t *to, uint32_t size)
{
	memcpy(to, &pci->bytes[offset], size);
	if (pci->intx && offset <= PCI_STATUS && PCI_STATUS < offset + size)
		to[PCI_STATUS - offset] |= PCI_STATUS_INTERRUPT;
}

void pci_access(struct pci *pci, struct fp_access *access)
{
	const uint8_t *data = access->data;

	if (!access->write)
		read_bytes(pci, access->offset, access->data, access->size);
	for (uint32_t i = 0; access->write && i < access->size; i++)
		write_byte(pci, access->offset + i, data[i]);
}
