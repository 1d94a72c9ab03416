/* SPDX-License-Identifier: BSD-3-Clause */
#include "machine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>

#include "cpuid.h"
#include "log.h"

#define PAGE_BYTES 4096u

static int open_vcpus(struct machine *machine, unsigned int nr)
{
	int ret = 0;

	for (unsigned int i = 0; i < nr && !ret; i++) {
		ret = vcpu_open(machine->vm, machine->memory, i, nr, &machine->vcpus[i]);
		machine->nr_vcpus += !ret;
	}
	machine->vcpu = machine->vcpus[0];
	return ret;
}

/* Behind all RAM, and where this CPU has addresses for it; as nothing else is so large, aligned. */
static int place_high_mmio(struct machine *machine)
{
	uint64_t past = memory_end(machine->memory) + MACHINE_HIGH_MMIO_BYTES - 1;
	uint64_t base = past & ~(MACHINE_HIGH_MMIO_BYTES - 1);
	unsigned int bits;

	if (base < MACHINE_HIGH_MMIO_BASE)
		base = MACHINE_HIGH_MMIO_BASE;
	machine->high_mmio = (struct window){ base, base + MACHINE_HIGH_MMIO_BYTES };
	if (base == MACHINE_HIGH_MMIO_BASE)
		return 0;
	bits = cpuid_address_bits(machine->vm);
	if (!bits || machine->high_mmio.end <= 1ull << bits)
		return 0;
	log_error("guest memory of %" PRIu64 " MiB: too much for %u bits of addresses, which this "
		  "CPU has",
		  machine->memory->size >> 20, bits);
	return -EINVAL;
}

static int open_parts(struct machine *machine, uint64_t memory, unsigned int nr_vcpus, bool is_pc)
{
	int ret = vm_open(&machine->vm);

	if (!ret && is_pc)
		ret = vm_add_irqchip(machine->vm);
	if (!ret)
		ret = memory_open(machine->vm, memory, &machine->memory);
	if (!ret)
		ret = place_high_mmio(machine);
	if (!ret)
		ret = bus_open(&machine->bus);
	if (!ret)
		ret = pci_host_open(machine->bus, &machine->pci);
	if (!ret && machine->vm->has_irqchip)
		ret = irq_routes_open(machine->vm, &machine->irqs);
	if (!ret)
		ret = open_vcpus(machine, nr_vcpus);
	return ret;
}

static int open_machine(uint64_t memory, unsigned int nr_vcpus, bool is_pc, struct machine **out)
{
	struct machine *machine = malloc(sizeof(*machine));
	int ret;

	if (!machine)
		return -ENOMEM;
	*machine = (struct machine){
		.windows[BUS_MMIO] = { MACHINE_MMIO_BASE, MACHINE_MMIO_END },
		.windows[BUS_PIO] = { MACHINE_PIO_BASE, MACHINE_PIO_END },
	};
	ret = open_parts(machine, memory, nr_vcpus, is_pc);
	if (ret) {
		machine_close(machine);
		return ret;
	}
	*out = machine;
	return 0;
}

int machine_open(uint64_t memory, struct machine **out)
{
	return machine_open_bare(memory, 1, out);
}

int machine_open_bare(uint64_t memory, unsigned int nr_vcpus, struct machine **out)
{
	return open_machine(memory, nr_vcpus, false, out);
}

int machine_open_pc(uint64_t memory, unsigned int nr_vcpus, struct machine **out)
{
	return open_machine(memory, nr_vcpus, true, out);
}

void machine_close(struct machine *machine)
{
	if (!machine)
		return;
	for (unsigned int i = 0; i < machine->nr_vcpus; i++)
		vcpu_close(machine->vcpus[i]);
	irq_routes_close(machine->irqs);
	pci_host_close(machine->pci);
	bus_close(machine->bus);
	vm_close(machine->vm);
	memory_close(machine->memory);
	free(machine);
}

int machine_place(struct machine *machine, enum bus_space space, uint64_t size, uint64_t *base)
{
	struct window *window = &machine->windows[space];
	uint64_t align = space == BUS_MMIO && size < PAGE_BYTES ? PAGE_BYTES : size;
	uint64_t start;

	if (!size || size & (size - 1))
		return -EINVAL;
	if (align > window->end)
		return -ENOSPC;
	start = (window->next + align - 1) & ~(align - 1);
	if (start > window->end || size > window->end - start)
		return -ENOSPC;
	window->next = start + size;
	*base = start;
	return 0;
}
