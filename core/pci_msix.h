/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci_msix: the MSI-X table and pending bits (PBA) that the core keeps in one of a device's BARs.
 */
#ifndef FASTPATH_PCI_MSIX_H
#define FASTPATH_PCI_MSIX_H

#include <stddef.h>
#include <stdint.h>

#include "fastpath.h"

#define PCI_MSIX_MAX_VECTORS 2048u

/* Where they are. */
struct pci_msix {
	uint32_t vectors;
	uint8_t bar;
	uint32_t table; /* offsets in the BAR, multiples of 8 */
	uint32_t pba;
};

struct pci_msix pci_msix_layout(const struct fp_class *class_);

/* The size of BAR `index` when the class has left it to the table and the PBA alone, else 0. */
uint64_t pci_msix_bar_bytes(const struct fp_class *class_, unsigned int index);

/* What is wrong with the class's MSI-X, or NULL. */
const char *pci_msix_check(const struct fp_class *class_);

/* Puts table and PBA into the device's regions, if it has vectors. -ENOMEM. */
int pci_msix_open(struct fp_device *dev);
void pci_msix_close(struct fp_device *dev);

/* The size of the device's table; 0: it has none. */
size_t pci_msix_table_bytes(const struct fp_device *dev);

/* All vectors masked, as at power-on. */
void pci_msix_reset(struct fp_device *dev);

#endif
