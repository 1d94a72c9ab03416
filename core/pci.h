/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci: the configuration space that the core keeps for a device.
 */
#ifndef FASTPATH_PCI_H
#define FASTPATH_PCI_H

#include <stdint.h>

#include "fastpath.h"

#define PCI_CONFIG_BYTES 256

struct pci {
	uint8_t bytes[PCI_CONFIG_BYTES];
	uint8_t writable[PCI_CONFIG_BYTES]; /* the bits that a write changes */
};

/* Offsets of the MSI-X table and PBA within their BAR, and that BAR's size when the core keeps it. */
#define PCI_MSIX_TABLE_AT 0
#define PCI_MSIX_PBA_AT 0x800
#define PCI_MSIX_BAR_BYTES 0x1000
#define PCI_MSIX_MAX (PCI_MSIX_PBA_AT / 16)

/* Type 0 header and capabilities from what the class and its regions say. */
void pci_init(struct pci *pci, const struct fp_class *class_, const struct fp_region *regions);

/* What a guest's reset does to it: command and BARs as at power-on. */
void pci_reset(struct pci *pci);

/* Takes over what another such device had: -EINVAL when it differs where no write could make it. */
int pci_load(struct pci *pci, const uint8_t bytes[PCI_CONFIG_BYTES]);

/* An access that lies within PCI_CONFIG_BYTES. */
void pci_access(struct pci *pci, struct fp_access *access);

#endif
