/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * machine: what a guest runs on: a VM with RAM and a bus, its vCPUs, and the addresses that are left
 * for devices. One with interrupt controllers boots kernels; one without runs bare programs.
 *
 *	machine_open()     ->  vfio_pci_open() ...  ->  payload_open()  ->  vcpu_run(vcpu, bus)
 *	machine_open_pc()  ->  vfio_pci_open() ...  ->  acpi_write()  ->  boot_load()  ->  crew_run()
 */
#ifndef KVMFD_MACHINE_H
#define KVMFD_MACHINE_H

#include <stdint.h>

#include "bus.h"
#include "irqfd.h"
#include "memory.h"
#include "pci_host.h"
#include "vcpu.h"
#include "vm.h"

#define MACHINE_DEFAULT_MEMORY (64ull << 20)
#define MACHINE_MAX_VCPUS 16u

/* Where BARs go, and what is left of it: addresses are handed out upwards and never given back. */
struct window {
	uint64_t next;
	uint64_t end;
};

#define MACHINE_MMIO_BASE 0xd0000000ull
#define MACHINE_MMIO_END 0xf0000000ull
#define MACHINE_PIO_BASE 0xc000ull
#define MACHINE_PIO_END 0x10000ull

/*
 * And above 4 GiB, where a kernel may move those of 64 bits: so many bytes, from here on or, if RAM
 * reaches so far, from the next multiple of that many behind it.
 */
#define MACHINE_HIGH_MMIO_BASE 0x800000000ull
#define MACHINE_HIGH_MMIO_BYTES 0x800000000ull

/* PCI's configuration space, of one bus: by ports, and by memory. */
#define MACHINE_PCI_CONFIG_PORT 0xcf8u
#define MACHINE_PCI_SLOTS 32u
#define MACHINE_ECAM_BASE 0xf4000000u
#define MACHINE_ECAM_BUS_BYTES 0x100000u
#define MACHINE_ECAM_BYTES MACHINE_ECAM_BUS_BYTES

/*
 * The GSI of pin 0 to 3 (INTA to INTD) of a slot's functions, level and active low: one of the eight
 * pins of the IOAPIC that ISA leaves.
 */
static inline unsigned int machine_intx_gsi(unsigned int slot, unsigned int pin)
{
	return pci_host_gsi(slot + pin);
}

_Static_assert(MACHINE_ECAM_BASE == PCI_HOST_ECAM_BASE && MACHINE_ECAM_BYTES == PCI_HOST_ECAM_BYTES,
	       "ACPI says where the host bridge is");

struct machine {
	struct vm *vm;
	struct memory *memory;
	struct bus *bus;
	struct pci_host *pci;
	struct irq_routes *irqs; /* NULL: there are no interrupts */
	struct vcpu *vcpu;	 /* the first of them, which boots */
	struct vcpu *vcpus[MACHINE_MAX_VCPUS];
	unsigned int nr_vcpus;
	struct window windows[BUS_NR_SPACES];
	struct window high_mmio;
};

/*
 * A machine for a bare program: `memory` bytes of RAM and one vCPU, no interrupts. *out is to be
 * given to machine_close(). -errno, said to the log.
 */
int machine_open(uint64_t memory, struct machine **out);

/* The same with `nr_vcpus` (1 to 16). */
int machine_open_bare(uint64_t memory, unsigned int nr_vcpus, struct machine **out);

/* The same for a kernel: with a PC's interrupt controllers. */
int machine_open_pc(uint64_t memory, unsigned int nr_vcpus, struct machine **out);

/* Frees it all; devices and payload have to be closed before. NULL is nothing. */
void machine_close(struct machine *machine);

/*
 * A free range of guest addresses for a BAR of `size` bytes, a power of two, to *base: aligned to
 * its size, and in memory space to a page, so that no access can touch two BARs. -ENOSPC.
 */
int machine_place(struct machine *machine, enum bus_space space, uint64_t size, uint64_t *base);

#endif
