/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci_host: a host bridge and its bus 0, on which a guest finds devices.
 *
 * Configuration space is reached by ports 0xcf8 and 0xcfc ("mechanism #1"; PCI 3.0, 3.2.2.3) and by
 * memory (ECAM; PCI Express, 7.2.2). The bridge itself is device 0. There are no other buses and no
 * functions but 0; what is not there reads as ones.
 */
#ifndef KVMFD_PCI_HOST_H
#define KVMFD_PCI_HOST_H

#include <stdint.h>

#include "bus.h"

/* A page for each of 256 functions. What an ACPI MCFG has to say: this base, buses 0 to 0. */
#define PCI_HOST_ECAM_BASE 0xf4000000ull
#define PCI_HOST_ECAM_BYTES 0x100000ull

#define PCI_HOST_SLOTS 32u

/* What answers for a device's function 0. Accesses are of 1, 2 or 4 bytes, aligned to that. */
struct pci_function_ops {
	void (*read)(void *opaque, uint32_t offset, void *data, uint32_t len);
	void (*write)(void *opaque, uint32_t offset, const void *data, uint32_t len);
	void (*freed)(void *opaque); /* addresses may be free that were not; may be NULL */
};

struct pci_host;

/* Puts the bridge on `bus`. *out is to be given to pci_host_close(). -ENOMEM, or of bus_add(). */
int pci_host_open(struct bus *bus, struct pci_host **out);

/* Takes it from the bus; NULL is nothing. */
void pci_host_close(struct pci_host *host);

/*
 * Puts a device into `slot` (1 to 31), or (0) the first that is free. ops and opaque stay the
 * caller's. Returns the slot: -EINVAL when there is none such, -EEXIST when it is taken, -ENOSPC.
 */
int pci_host_add(struct pci_host *host, unsigned int slot, const struct pci_function_ops *ops,
		 void *opaque);

/* Tells all functions that one of them has left an address. */
void pci_host_freed(const struct pci_host *host);

void pci_host_remove(struct pci_host *host, unsigned int slot);

/* The interrupt line, a GSI, that INTA# of a slot leads to: what ACPI's _PRT has to say. */
static inline uint32_t pci_host_gsi(unsigned int slot)
{
	return 16 + slot % 8;
}

#endif
