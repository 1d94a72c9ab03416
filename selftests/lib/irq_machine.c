/* SPDX-License-Identifier: BSD-3-Clause */
#include "irq_machine.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define MEMORY_BYTES (4u << 20)

/* Of a local APIC: Intel SDM volume 3, "APIC register address map". */
#define APIC_BASE 0xfee00000u
#define APIC_EOI 0xb0u
#define APIC_SPIV 0xf0u
#define APIC_ISR 0x100u
#define APIC_IRR 0x200u

#define CODE_ADDRESS 0x1000u
#define DONE_PORT 0x80u

int irq_machine_open(struct irq_machine *im)
{
	struct machine *machine = &im->machine;
	struct kvm_lapic_state apic;
	const uint32_t enabled = 0x1ff;
	int ret = vm_open(&machine->vm);

	im->vcpu = -1;
	if (!ret)
		ret = vm_add_irqchip(machine->vm);
	if (!ret)
		ret = memory_open(machine->vm, MEMORY_BYTES, &machine->memory);
	if (!ret)
		ret = bus_open(&machine->bus);
	if (!ret)
		ret = pci_host_open(machine->bus, &machine->pci);
	if (!ret)
		ret = irq_routes_open(machine->vm, &machine->irqs);
	if (ret)
		return ret;
	machine->windows[BUS_MMIO] = (struct window){ MACHINE_MMIO_BASE, MACHINE_MMIO_END };
	machine->high_mmio = (struct window){ MACHINE_HIGH_MMIO_BASE,
					      MACHINE_HIGH_MMIO_BASE + MACHINE_HIGH_MMIO_BYTES };
	machine->windows[BUS_PIO] = (struct window){ MACHINE_PIO_BASE, MACHINE_PIO_END };
	im->vcpu = ioctl(machine->vm->fd, KVM_CREATE_VCPU, 0);
	if (im->vcpu < 0 || ioctl(im->vcpu, KVM_GET_LAPIC, &apic))
		return -errno;
	memcpy(apic.regs + APIC_SPIV, &enabled, sizeof(enabled));
	return ioctl(im->vcpu, KVM_SET_LAPIC, &apic) ? -errno : 0;
}

void irq_machine_close(struct irq_machine *im)
{
	if (im->vcpu > 0)
		close(im->vcpu);
	irq_routes_close(im->machine.irqs);
	pci_host_close(im->machine.pci);
	bus_close(im->machine.bus);
	vm_close(im->machine.vm);
	memory_close(im->machine.memory);
}

/* ---- the local APIC ---- */

/* The byte and bit of a vector in one of its bitmaps: 32 bits in every 16 bytes. */
static char *byte_of(struct kvm_lapic_state *apic, unsigned int map, uint8_t vector)
{
	return &apic->regs[map + vector / 32 * 16 + vector % 32 / 8];
}

static struct kvm_lapic_state get_apic(const struct irq_machine *im)
{
	struct kvm_lapic_state apic;

	if (ioctl(im->vcpu, KVM_GET_LAPIC, &apic))
		abort();
	return apic;
}

bool irq_machine_has(struct irq_machine *im, uint8_t vector)
{
	struct kvm_lapic_state apic = get_apic(im);

	return *byte_of(&apic, APIC_IRR, vector) >> vector % 8 & 1;
}

/* KVM delivers by a work queue sometimes. */
static bool await(struct irq_machine *im, uint8_t vector)
{
	for (unsigned int i = 0; i < 10000 && !irq_machine_has(im, vector); i++)
		usleep(1000);
	return irq_machine_has(im, vector);
}

static void take(struct irq_machine *im, uint8_t vector, bool in_service)
{
	struct kvm_lapic_state apic = get_apic(im);
	char bit = (char)(1 << vector % 8);

	*byte_of(&apic, APIC_IRR, vector) &= (char)~bit;
	if (in_service)
		*byte_of(&apic, APIC_ISR, vector) |= bit;
	if (ioctl(im->vcpu, KVM_SET_LAPIC, &apic))
		abort();
}

bool irq_machine_took(struct irq_machine *im, uint8_t vector)
{
	if (!await(im, vector))
		return false;
	take(im, vector, false);
	return true;
}

/* ---- the IOAPIC ---- */

static struct kvm_irqchip get_ioapic(const struct irq_machine *im)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	if (ioctl(im->machine.vm->fd, KVM_GET_IRQCHIP, &chip))
		abort();
	return chip;
}

int irq_machine_route(struct irq_machine *im, unsigned int pin, uint8_t vector)
{
	struct kvm_irqchip chip = get_ioapic(im);

	memset(&chip.chip.ioapic.redirtbl[pin], 0, sizeof(chip.chip.ioapic.redirtbl[pin]));
	chip.chip.ioapic.redirtbl[pin].fields.vector = vector;
	chip.chip.ioapic.redirtbl[pin].fields.trig_mode = 1;
	return ioctl(im->machine.vm->fd, KVM_SET_IRQCHIP, &chip) ? -errno : 0;
}

bool irq_machine_is_high(struct irq_machine *im, unsigned int pin)
{
	return get_ioapic(im).chip.ioapic.irr >> pin & 1;
}

/* ---- the vCPU's part: a store to the end-of-interrupt register, in real mode ---- */

static int run(struct irq_machine *im)
{
	static const uint8_t code[] = {
		0x66, 0xa3,	 APIC_EOI, 0x00, /* mov %eax, APIC_EOI */
		0xe6, DONE_PORT,		 /* out %al, DONE_PORT */
	};
	int bytes = ioctl(im->machine.vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	struct kvm_run *state =
		mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, im->vcpu, 0);
	const struct kvm_regs regs = { .rip = CODE_ADDRESS, .rflags = 2 };
	struct kvm_sregs sregs;
	int ret = 0;

	memcpy(memory_ptr(im->machine.memory, CODE_ADDRESS, sizeof(code)), code, sizeof(code));
	if (state == MAP_FAILED || ioctl(im->vcpu, KVM_GET_SREGS, &sregs))
		return -errno;
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	sregs.ds.base = APIC_BASE;
	if (ioctl(im->vcpu, KVM_SET_SREGS, &sregs) || ioctl(im->vcpu, KVM_SET_REGS, &regs) ||
	    ioctl(im->vcpu, KVM_RUN, 0))
		ret = -errno;
	else if (state->exit_reason != KVM_EXIT_IO || state->io.port != DONE_PORT)
		ret = -EIO;
	munmap(state, (size_t)bytes);
	return ret;
}

int irq_machine_finish(struct irq_machine *im, uint8_t vector)
{
	if (!await(im, vector))
		return -ETIMEDOUT;
	take(im, vector, true);
	return run(im);
}

/* ---- accesses ---- */

uint32_t irq_machine_config(struct irq_machine *im, unsigned int slot, unsigned int at)
{
	uint32_t value = 0x80000000u | slot << 11 | (at & 0xfc);

	bus_write(im->machine.bus, BUS_PIO, 0xcf8, &value, sizeof(value));
	bus_read(im->machine.bus, BUS_PIO, 0xcfc, &value, sizeof(value));
	return value;
}

void irq_machine_set_config(struct irq_machine *im, unsigned int slot, unsigned int at,
			    uint32_t value)
{
	uint32_t address = 0x80000000u | slot << 11 | (at & 0xfc);

	bus_write(im->machine.bus, BUS_PIO, 0xcf8, &address, sizeof(address));
	bus_write(im->machine.bus, BUS_PIO, 0xcfc, &value, sizeof(value));
}

uint32_t irq_machine_read(struct irq_machine *im, uint64_t address)
{
	uint32_t value;

	bus_read(im->machine.bus, BUS_MMIO, address, &value, sizeof(value));
	return value;
}

void irq_machine_write(struct irq_machine *im, uint64_t address, uint32_t value)
{
	bus_write(im->machine.bus, BUS_MMIO, address, &value, sizeof(value));
}
