/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * acpi: the tables that tell a kernel what machine it is in (ACPI specification 6.5): RSDP, XSDT,
 * FADT with FACS, MADT, MCFG, and a DSDT with the PCI host bridge, the first serial port and the
 * way to switch off.
 */
#ifndef KVMFD_ACPI_H
#define KVMFD_ACPI_H

#include <stdint.h>

#include "machine.h"

/* Where they lie: the RSDP first, where kernels that nobody has told look for it. */
#define ACPI_ADDRESS 0xe0000u
#define ACPI_END 0x100000u

/* Writes them to the guest's memory. -ENOSPC when that ends below ACPI_END; said to the log. */
int acpi_write(const struct machine *machine);

#endif
