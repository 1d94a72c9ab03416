/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * machine: what a guest runs on: a VM with RAM and a bus, one vCPU, and the addresses that are left
 * for devices.
 *
 *	machine_open()  ->  vfio_pci_open() ...  ->  payload_open()  ->  vcpu_run(vcpu, bus)
 */
#ifndef KVMFD_MACHINE_H
#define KVMFD_MACHINE_H

#include <stdint.h>

#include "bus.h"
#include "memory.h"
#include "vcpu.h"
#include "vm.h"

#define MACHINE_DEFAULT_MEMORY (64ull << 20)

/* Where BARs go, and what is left of it: addresses are handed out upwards and never given back. */
struct window {
	uint64_t next;
	uint64_t end;
};

#define MACHINE_MMIO_BASE 0xd0000000ull
#define MACHINE_MMIO_END 0xf0000000ull
#define MACHINE_PIO_BASE 0xc000ull
#define MACHINE_PIO_END 0x10000ull

struct machine {
	struct vm *vm;
	struct memory *memory;
	struct bus *bus;
	struct vcpu *vcpu;
	struct window windows[BUS_NR_SPACES];
};

/* A machine with `memory` bytes of RAM, to be given to machine_close(). -errno, said to the log. */
int machine_open(uint64_t memory, struct machine **out);

/* Frees it all; devices and payload have to be closed before. NULL is nothing. */
void machine_close(struct machine *machine);

/*
 * A free range of guest addresses for a BAR of `size` bytes, a power of two, to *base: aligned to
 * its size, and in memory space to a page, so that no access can touch two BARs. -ENOSPC.
 */
int machine_place(struct machine *machine, enum bus_space space, uint64_t size, uint64_t *base);

#endif
