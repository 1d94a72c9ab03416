/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * irq_machine: a machine with interrupt controllers and a bare vCPU, in whose local APIC the tests
 * look for interrupts. Nothing runs on it: accesses are made to the bus directly.
 */
#ifndef FASTPATH_SELFTESTS_IRQ_MACHINE_H
#define FASTPATH_SELFTESTS_IRQ_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "machine.h"

struct irq_machine {
	struct machine machine; /* without vCPU */
	int vcpu;
};

/* 0 or -errno. In any case it is to be given to irq_machine_close(). */
int irq_machine_open(struct irq_machine *im);

void irq_machine_close(struct irq_machine *im);

/* Whether interrupt `vector` has come, or comes within ten seconds; it is taken away. */
bool irq_machine_took(struct irq_machine *im, uint8_t vector);

/* Whether it is there now. It is not taken away. */
bool irq_machine_has(struct irq_machine *im, uint8_t vector);

/* Has IOAPIC pin `pin` deliver `vector` while its level is high. */
int irq_machine_route(struct irq_machine *im, unsigned int pin, uint8_t vector);

/* Whether the level of that pin is high, and the vCPU not done with it. */
bool irq_machine_is_high(struct irq_machine *im, unsigned int pin);

/* Lets the vCPU take `vector`, which has to be there, and be done with it. 0 or -errno. */
int irq_machine_finish(struct irq_machine *im, uint8_t vector);

/* A double word in the configuration space of a slot, by ports. */
uint32_t irq_machine_config(struct irq_machine *im, unsigned int slot, unsigned int at);
void irq_machine_set_config(struct irq_machine *im, unsigned int slot, unsigned int at,
			    uint32_t value);

/* In memory space. */
uint32_t irq_machine_read(struct irq_machine *im, uint64_t address);
void irq_machine_write(struct irq_machine *im, uint64_t address, uint32_t value);

#endif
