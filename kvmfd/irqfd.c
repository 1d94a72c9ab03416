/* SPDX-License-Identifier: BSD-3-Clause */
#include "irqfd.h"

#include <errno.h>
#include <linux/kvm.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "cleanup.h"
#include "log.h"

#define PIC_PINS 8u

/* Each of the first 16 lines leads to a PIC, too. */
#define NR_LINE_ENTRIES (IRQ_ROUTES_PINS + 2 * PIC_PINS)

/* More than any machine of ours has vectors: 31 devices rarely come to it. */
#define MAX_GSIS 4096u

struct irq_routes {
	struct vm *vm;
	uint32_t nr_gsis; /* that KVM has */
	uint32_t end;	  /* no GSI from here on is in use */
	bool used[MAX_GSIS];
	struct msi_message messages[MAX_GSIS];
};

int irq_routes_open(struct vm *vm, struct irq_routes **out)
{
	int nr = ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_IRQ_ROUTING);
	struct irq_routes *routes;

	if (nr <= (int)IRQ_ROUTES_PINS || ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_IRQFD) <= 0) {
		log_error("/dev/kvm: no KVM_CAP_IRQ_ROUTING, or no KVM_CAP_IRQFD");
		return -ENOTSUP;
	}
	routes = calloc(1, sizeof(*routes));
	if (!routes)
		return -ENOMEM;
	routes->vm = vm;
	routes->nr_gsis = (uint32_t)nr < MAX_GSIS ? (uint32_t)nr : MAX_GSIS;
	routes->end = IRQ_ROUTES_PINS;
	*out = routes;
	return 0;
}

void irq_routes_close(struct irq_routes *routes)
{
	free(routes);
}

/* ---- the table ---- */

static struct kvm_irq_routing_entry line(uint32_t gsi, uint32_t chip, uint32_t pin)
{
	return (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { .irqchip = chip, .pin = pin },
	};
}

static struct kvm_irq_routing_entry msi(uint32_t gsi, const struct msi_message *message)
{
	return (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_MSI,
		.u.msi = {
			.address_lo = (uint32_t)message->address,
			.address_hi = (uint32_t)(message->address >> 32),
			.data = message->data,
		},
	};
}

static uint32_t fill(const struct irq_routes *routes, struct kvm_irq_routing_entry *entries)
{
	uint32_t nr = 0;

	for (uint32_t pin = 0; pin < 2 * PIC_PINS; pin++)
		entries[nr++] =
			line(pin, pin < PIC_PINS ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
			     pin % PIC_PINS);
	for (uint32_t pin = 0; pin < IRQ_ROUTES_PINS; pin++)
		entries[nr++] = line(pin, KVM_IRQCHIP_IOAPIC, pin);
	for (uint32_t gsi = IRQ_ROUTES_PINS; gsi < routes->end; gsi++)
		if (routes->used[gsi])
			entries[nr++] = msi(gsi, &routes->messages[gsi]);
	return nr;
}

/* KVM swaps the tables: an interrupt goes by the old one or by the new one. */
static int commit(const struct irq_routes *routes)
{
	CLEANUP_FREE struct kvm_irq_routing *table = calloc(
		1, sizeof(*table) + (NR_LINE_ENTRIES + routes->end) * sizeof(*table->entries));

	if (!table)
		return -ENOMEM;
	table->nr = fill(routes, table->entries);
	return ioctl(routes->vm->fd, KVM_SET_GSI_ROUTING, table) ? -errno : 0;
}

/* 0 when there is none. */
static uint32_t take_gsi(struct irq_routes *routes)
{
	for (uint32_t gsi = IRQ_ROUTES_PINS; gsi < routes->nr_gsis; gsi++)
		if (!routes->used[gsi]) {
			routes->used[gsi] = true;
			routes->end = gsi < routes->end ? routes->end : gsi + 1;
			return gsi;
		}
	return 0;
}

/* Its route stays in KVM until the next change: there is nothing left that would take it. */
static void give_gsi(struct irq_routes *routes, uint32_t gsi)
{
	routes->used[gsi] = false;
	routes->messages[gsi] = (struct msi_message){ 0 };
}

static bool same(const struct msi_message *a, const struct msi_message *b)
{
	return a->address == b->address && a->data == b->data;
}

static int set_route(struct irq_routes *routes, uint32_t gsi, const struct msi_message *message)
{
	struct msi_message before = routes->messages[gsi];
	int ret;

	if (same(&before, message))
		return 0;
	routes->messages[gsi] = *message;
	ret = commit(routes);
	if (ret)
		routes->messages[gsi] = before;
	return ret;
}

/* ---- eventfds ---- */

static int set_irqfd(const struct irq_routes *routes, const struct kvm_irqfd *irqfd)
{
	return ioctl(routes->vm->fd, KVM_IRQFD, irqfd) ? -errno : 0;
}

struct irqfd irqfd_of(struct irq_routes *routes, int eventfd)
{
	return (struct irqfd){ .routes = routes, .eventfd = eventfd };
}

int irqfd_plug(struct irqfd *irqfd, const struct msi_message *message)
{
	struct kvm_irqfd arg = { .fd = (uint32_t)irqfd->eventfd };
	int ret;

	if (!irqfd->gsi)
		irqfd->gsi = take_gsi(irqfd->routes);
	if (!irqfd->gsi)
		return -ENOSPC;
	ret = set_route(irqfd->routes, irqfd->gsi, message);
	arg.gsi = irqfd->gsi;
	/* KVM looks at the eventfd when it gets it, and delivers what it finds. */
	if (!ret && !irqfd->plugged)
		ret = set_irqfd(irqfd->routes, &arg);
	if (ret)
		irqfd_unplug(irqfd);
	else
		irqfd->plugged = true;
	return ret;
}

void irqfd_unplug(struct irqfd *irqfd)
{
	const struct kvm_irqfd arg = {
		.fd = (uint32_t)irqfd->eventfd,
		.gsi = irqfd->gsi,
		.flags = KVM_IRQFD_FLAG_DEASSIGN,
	};

	/* KVM takes the count with it, which it has delivered: from 0 on it counts. */
	if (irqfd->plugged && set_irqfd(irqfd->routes, &arg))
		log_debug("KVM_IRQFD of GSI %u stays: %s", irqfd->gsi, strerror(errno));
	irqfd->plugged = false;
}

bool irqfd_is_pending(const struct irqfd *irqfd)
{
	struct pollfd fd = { .fd = irqfd->eventfd, .events = POLLIN };

	return !irqfd->plugged && poll(&fd, 1, 0) == 1 && fd.revents & POLLIN;
}

void irqfd_close(struct irqfd *irqfd)
{
	irqfd_unplug(irqfd);
	if (irqfd->gsi)
		give_gsi(irqfd->routes, irqfd->gsi);
	irqfd->gsi = 0;
}

/* ---- lines ---- */

int irqfd_plug_line(struct irq_routes *routes, uint32_t gsi, int trigger, int resample)
{
	const struct kvm_irqfd arg = {
		.fd = (uint32_t)trigger,
		.gsi = gsi,
		.flags = KVM_IRQFD_FLAG_RESAMPLE,
		.resamplefd = (uint32_t)resample,
	};

	return set_irqfd(routes, &arg);
}

void irqfd_unplug_line(struct irq_routes *routes, uint32_t gsi, int trigger, int resample)
{
	const struct kvm_irqfd arg = {
		.fd = (uint32_t)trigger,
		.gsi = gsi,
		.flags = KVM_IRQFD_FLAG_DEASSIGN,
		.resamplefd = (uint32_t)resample,
	};
	int ret = set_irqfd(routes, &arg);

	if (ret)
		log_debug("KVM_IRQFD of line %u stays: %s", gsi, strerror(-ret));
}
