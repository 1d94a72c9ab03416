/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fwcfg: what kernels that do not read ACPI ask firmware for at ports 0x510 and 0x511, as QEMU answers it
 * (docs/specs/fw_cfg.rst there): how many CPUs, how much memory. kvm-unit-tests does. There is no
 * signature and no other item: nobody is to take this for QEMU.
 */
#ifndef KVMFD_FWCFG_H
#define KVMFD_FWCFG_H

#include "machine.h"

struct fwcfg;

/* Puts it on the machine's bus. *out is to be given to fwcfg_close(). -ENOMEM, as bus_add(). */
int fwcfg_open(struct machine *machine, struct fwcfg **out);

void fwcfg_close(struct fwcfg *fwcfg);

#endif
