/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vfio_pci's interrupts: INTx, MSI or MSI-X, whichever the guest has enabled.
 *
 * The server signals eventfds, and KVM makes interrupts of them: nothing here is in the way.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "cleanup.h"
#include "log.h"
#include "pci_host.h"
#include "vfio_pci_dev.h"

static const char *const names[] = {
	[IRQ_INTX] = "INTx",
	[IRQ_MSI] = "MSI",
	[IRQ_MSIX] = "MSI-X",
};

static void complain(const struct vfio_pci *dev, enum irq_mode mode, const char *what, int ret)
{
	log_warn("%s: no %s: %s: %s", dev->options.socket, names[mode], what, strerror(-ret));
}

uint32_t vfio_pci_irqs_count(struct fpc *client, enum irq_mode mode, uint32_t needed_flags)
{
	struct fpc_irq_info info;

	if (fpc_irq_info(client, (uint32_t)mode, &info) ||
	    (info.flags & needed_flags) != needed_flags)
		return 0;
	return info.count;
}

/* ---- INTx ---- */

static void find_line(struct vfio_pci *dev)
{
	const uint32_t flags = FPC_IRQ_EVENTFD | FPC_IRQ_AUTOMASKED;

	dev->irqs.has_line = vfio_pci_config_initial(dev, PCI_INTERRUPT_PIN, 1) &&
			     vfio_pci_irqs_count(dev->client, IRQ_INTX, flags);
}

static int open_resample(struct vfio_pci *dev)
{
	struct irqs *irqs = &dev->irqs;

	irqs->resample = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (irqs->resample < 0)
		return -errno;
	return fpc_set_irqs(dev->client, FPC_IRQ_DATA_EVENTFD | FPC_IRQ_ACTION_UNMASK, IRQ_INTX, 0,
			    1, &irqs->resample);
}

/*
 * The line is lowered when the guest turns it off. When it is turned on again the server is asked
 * whether it still has a reason, as after each of the guest's ends of interrupt.
 */
static void update_line(struct vfio_pci *dev, bool on)
{
	struct irqs *irqs = &dev->irqs;
	uint32_t gsi = pci_host_gsi(dev->slot);
	int ret;

	if (!irqs->fds || irqs->line_plugged == on)
		return;
	irqs->line_plugged = on;
	if (!on) {
		irqfd_unplug_line(dev->machine->irqs, gsi, irqs->fds[0], irqs->resample);
		return;
	}
	ret = irqfd_plug_line(dev->machine->irqs, gsi, irqs->fds[0], irqs->resample);
	irqs->line_plugged = !ret;
	if (ret)
		complain(dev, IRQ_INTX, "KVM_IRQFD", ret);
	else
		eventfd_write(irqs->resample, 1);
}

/* ---- which kind ---- */

static void close_mode(struct vfio_pci *dev)
{
	struct irqs *irqs = &dev->irqs;

	update_line(dev, false);
	for (uint32_t i = 0; irqs->irqfds && i < irqs->nr; i++)
		irqfd_close(&irqs->irqfds[i]);
	if (irqs->fds) {
		fpc_irqs_close(dev->client, (uint32_t)irqs->mode, 0, irqs->nr, irqs->fds);
		/* As VFIO has it: that kind is off only now, and INTx's other eventfd gone. */
		fpc_set_irqs(dev->client, FPC_IRQ_DATA_NONE | FPC_IRQ_ACTION_TRIGGER,
			     (uint32_t)irqs->mode, 0, 0, NULL);
	}
	cleanup_close(&irqs->resample);
	irqs->resample = -1;
	free(take_ptr(irqs->irqfds));
	free(take_ptr(irqs->fds));
	irqs->mode = IRQ_NONE;
	irqs->nr = 0;
}

static int make_room(struct irqs *irqs, uint32_t nr)
{
	irqs->fds = calloc(nr, sizeof(*irqs->fds));
	irqs->irqfds = calloc(nr, sizeof(*irqs->irqfds));
	if (irqs->fds && irqs->irqfds)
		return 0;
	free(take_ptr(irqs->fds));
	free(take_ptr(irqs->irqfds));
	return -ENOMEM;
}

static int open_fds(struct vfio_pci *dev)
{
	struct irqs *irqs = &dev->irqs;
	int ret = make_room(irqs, irqs->nr);

	if (ret)
		return ret;
	ret = fpc_irqs_open(dev->client, (uint32_t)irqs->mode, 0, irqs->nr, irqs->fds);
	if (ret) {
		free(take_ptr(irqs->fds));
		free(take_ptr(irqs->irqfds));
		return ret;
	}
	for (uint32_t i = 0; i < irqs->nr; i++)
		irqs->irqfds[i] = irqfd_of(dev->machine->irqs, irqs->fds[i]);
	return irqs->mode == IRQ_INTX ? open_resample(dev) : 0;
}

/* If it fails, that was one line, and the guest waits in vain until it enables another kind. */
static void open_mode(struct vfio_pci *dev, enum irq_mode mode, uint32_t nr)
{
	int ret;

	if (mode == IRQ_NONE)
		return;
	dev->irqs.mode = mode;
	dev->irqs.nr = nr;
	ret = open_fds(dev);
	if (!ret)
		return;
	complain(dev, mode, "DEVICE_SET_IRQS", ret);
	close_mode(dev);
	dev->irqs.mode = mode;
	dev->irqs.nr = nr;
}

void vfio_pci_irqs_update(struct vfio_pci *dev)
{
	struct irqs *irqs = &dev->irqs;
	uint32_t command = vfio_pci_config_value(dev, PCI_COMMAND, 2);
	enum irq_mode mode;
	uint32_t nr;

	if (!irqs->there)
		return;
	mode = vfio_pci_messages_wanted(dev, &nr);
	if (mode == IRQ_NONE && irqs->has_line) {
		mode = IRQ_INTX;
		nr = 1;
	}
	if (mode != irqs->mode || nr != irqs->nr) {
		vfio_pci_messages_stop(dev);
		close_mode(dev);
		open_mode(dev, mode, nr);
	}
	if (mode == IRQ_INTX)
		update_line(dev, !(command & PCI_COMMAND_INTX_DISABLE));
	else
		vfio_pci_messages_update(dev);
}

int vfio_pci_irqs_repeat(struct vfio_pci *dev, struct fpc *client)
{
	const struct irqs *irqs = &dev->irqs;
	int ret;

	if (!irqs->fds)
		return 0;
	ret = fpc_irqs_set(client, (uint32_t)irqs->mode, 0, irqs->nr, irqs->fds);
	if (!ret && irqs->resample >= 0)
		ret = fpc_set_irqs(client, FPC_IRQ_DATA_EVENTFD | FPC_IRQ_ACTION_UNMASK, IRQ_INTX,
				   0, 1, &irqs->resample);
	return ret;
}

static void turn_off(struct vfio_pci *dev)
{
	fpc_set_irqs(dev->client, FPC_IRQ_DATA_NONE | FPC_IRQ_ACTION_TRIGGER,
		     (uint32_t)dev->irqs.mode, 0, 0, NULL);
}

void vfio_pci_irqs_silence(struct vfio_pci *dev)
{
	if (dev->irqs.fds)
		turn_off(dev);
}

void vfio_pci_irqs_ask(const struct vfio_pci *dev)
{
	if (dev->irqs.resample >= 0)
		eventfd_write(dev->irqs.resample, 1);
}

void vfio_pci_irqs_reset(struct vfio_pci *dev)
{
	if (dev->irqs.table)
		msix_reset(dev->irqs.table);
}

struct vfio_pci_interrupts vfio_pci_interrupts(const struct vfio_pci *dev)
{
	const struct irqs *irqs = &dev->irqs;
	struct vfio_pci_interrupts told = { 0 };

	if (irqs->mode == IRQ_NONE)
		return told;
	told.kind = names[irqs->mode];
	told.nr = irqs->nr;
	told.routed = irqs->line_plugged;
	for (uint32_t i = 0; irqs->irqfds && irqs->mode != IRQ_INTX && i < irqs->nr; i++) {
		told.routed += irqs->irqfds[i].plugged;
		told.pending += irqfd_is_pending(&irqs->irqfds[i]);
	}
	return told;
}

/* ---- the whole ---- */

int vfio_pci_irqs_open(struct vfio_pci *dev)
{
	dev->irqs.there = dev->machine->irqs;
	if (!dev->irqs.there)
		return 0;
	vfio_pci_messages_open(dev);
	find_line(dev);
	return vfio_pci_config_program(dev, PCI_INTERRUPT_LINE, pci_host_gsi(dev->slot), 1);
}

void vfio_pci_irqs_close(struct vfio_pci *dev)
{
	close_mode(dev);
	msix_close(dev->irqs.table);
}
