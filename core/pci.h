/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci: the configuration space that the core keeps for a device.
 */
#ifndef FASTPATH_PCI_H
#define FASTPATH_PCI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fastpath.h"

#define PCI_CONFIG_MAX 4096

struct pci {
	size_t size; /* bytes: 256, or 4,096 with PCI Express */
	uint8_t bytes[PCI_CONFIG_MAX];
	uint8_t initial[PCI_CONFIG_MAX];   /* as at power-on */
	uint8_t writable[PCI_CONFIG_MAX];  /* the bits that a write sets and clears */
	uint8_t clearable[PCI_CONFIG_MAX]; /* those that writing a 1 clears (RW1C) */
	unsigned int power;		   /* where the power state is; 0: there is none */
	unsigned int serial;		   /* where the serial number is; 0: there is none */
	bool intx;			   /* it is high; not part of what another device had */
};

/* One register, of the header or of a capability. */
struct pci_register {
	unsigned int at; /* from where its table is put */
	unsigned int bytes;
	uint32_t initial;
	uint32_t writable;
	uint32_t clearable;
};

/* Puts `nr` registers to `base` on. For those who build the space; see pci_caps.h. */
void pci_put(struct pci *pci, unsigned int base, const struct pci_register *registers, size_t nr);

/* What may be wrong with a class whose regions are each fine, said for its author; NULL: nothing. */
const char *pci_check(const struct fp_class *class_);

/* Type 0 header and capabilities from what a class that holds together says. */
void pci_init(struct pci *pci, const struct fp_class *class_);

/* Sets the device's serial number, if it has one. */
void pci_set_serial(struct pci *pci, uint64_t serial);

/* Whether Status tells of an interrupt (PCI 2.3); it is none of what a guest's reset does. */
void pci_set_intx(struct pci *pci, bool high);

/* What a guest's reset does to it: everything as at power-on. */
void pci_reset(struct pci *pci);

/*
 * Takes over the pci->size bytes that another such device had: -EINVAL when they differ where no
 * write could make it.
 */
int pci_load(struct pci *pci, const uint8_t *bytes);

/* An access that lies within the space, at any alignment. */
void pci_access(struct pci *pci, struct fp_access *access);

#endif
