/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * irqfd: eventfds that KVM turns into interrupts of the guest, and the VM's routing table, which
 * says into which. The table has one owner, as KVM takes it whole only.
 *
 * An eventfd that is taken out of KVM keeps count of what comes; once it is plugged in again that is
 * delivered. So no interrupt is lost over a mask, or a change of its route.
 */
#ifndef KVMFD_IRQFD_H
#define KVMFD_IRQFD_H

#include <stdbool.h>
#include <stdint.h>

#include "vm.h"

/* GSIs of interrupt lines, the pins of the IOAPIC. Messages have those behind them. */
#define IRQ_ROUTES_PINS 24u

struct irq_routes;

/*
 * The table of a VM that has an irqchip: so far its lines, as KVM has them by itself. *out is to be
 * given to irq_routes_close(), before vm_close(). -ENOMEM; -ENOTSUP, said to the log.
 */
int irq_routes_open(struct vm *vm, struct irq_routes **out);

/* The VM keeps the routes that it has. NULL is nothing. */
void irq_routes_close(struct irq_routes *routes);

/* What a message-signalled interrupt stores, and where. */
struct msi_message {
	uint64_t address;
	uint32_t data;
};

/* An eventfd (borrowed) that becomes a message. */
struct irqfd {
	struct irq_routes *routes;
	int eventfd;
	uint32_t gsi; /* 0: none yet */
	bool plugged;
};

/* An irqfd that is not plugged in. */
struct irqfd irqfd_of(struct irq_routes *routes, int eventfd);

/*
 * Makes it that message, also what has come meanwhile, or another one than before. -ENOSPC when all
 * GSIs are taken; -errno of KVM. It is not plugged in then.
 */
int irqfd_plug(struct irqfd *irqfd, const struct msi_message *message);

/* From now on the eventfd only counts. */
void irqfd_unplug(struct irqfd *irqfd);

/* Whether the eventfd has counted since it was unplugged. */
bool irqfd_is_pending(const struct irqfd *irqfd);

/* Unplugs it and gives its GSI back. */
void irqfd_close(struct irqfd *irqfd);

/*
 * A level-triggered line: what comes by `trigger` raises it, and when the guest is done with it, it
 * is lowered and `resample` is signalled. Several may share one. Both fds are borrowed. -errno.
 */
int irqfd_plug_line(struct irq_routes *routes, uint32_t gsi, int trigger, int resample);

/* Takes it out; the line is lowered unless another one holds it. */
void irqfd_unplug_line(struct irq_routes *routes, uint32_t gsi, int trigger, int resample);

#endif
