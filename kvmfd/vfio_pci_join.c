/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vfio_pci whose server goes, and another one that takes its place.
 *
 * All that the guest has set up is kept at this end (struct config, the MSI-X table, the eventfds
 * that KVM has), so a server that knows nothing can be told of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <string.h>

#include "cleanup.h"
#include "pci_host.h"
#include "vfio_pci_dev.h"

int vfio_pci_connect(const struct vfio_pci *dev, const char *address, struct fpc **out)
{
	const struct fpc_options options = {
		.wait = dev->options.wait,
		.flags = (dev->machine->vm->has_post_write ? FPC_SHADOW_IOEVENTFD : 0) |
			 (dev->options.attended ? FPC_QUIET : 0),
	};

	return fpc_connect(address, &options, out);
}

int vfio_pci_socket(const struct vfio_pci *dev)
{
	return dev->socket;
}

bool vfio_pci_is_lost(const struct vfio_pci *dev)
{
	struct pollfd fd = { .fd = dev->socket, .events = POLLRDHUP };

	return dev->socket >= 0 && poll(&fd, 1, 0) == 1;
}

void vfio_pci_leave(struct vfio_pci *dev)
{
	dev->gone = true;
	dev->memory_open = false;
	cleanup_close(&dev->socket);
	dev->socket = -1;
	vfio_pci_bars_leave(dev);
}

int vfio_pci_dup_socket(const struct fpc *client)
{
	int fd = fcntl(fpc_socket(client), F_DUPFD_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

void vfio_pci_take(struct vfio_pci *dev, struct fpc *client, int socket)
{
	cleanup_close(&dev->socket);
	fpc_close(dev->client);
	dev->client = client;
	dev->socket = socket;
	dev->gone = false;
	dev->said_errors = false;
}

/* A guest that has to find the device again finds what firmware has left. */
static int repeat_config(struct vfio_pci *dev)
{
	int ret = 0;

	if (dev->irqs.there)
		ret = vfio_pci_config_program(dev, PCI_INTERRUPT_LINE, pci_host_gsi(dev->slot), 1);
	if (!ret && dev->options.reconnect != VFIO_PCI_RESET)
		ret = vfio_pci_config_repeat(dev);
	return ret;
}

static int repeat_irqs(struct vfio_pci *dev)
{
	int ret = vfio_pci_irqs_repeat(dev, dev->client);

	if (ret)
		return vfio_pci_failed(dev, "DEVICE_SET_IRQS", ret);
	vfio_pci_irqs_ask(dev);
	return 0;
}

/* After interrupts, which are taken from the server again by this. */
static int forget(struct vfio_pci *dev)
{
	if (dev->options.reconnect == VFIO_PCI_RESET)
		vfio_pci_config_forget(dev);
	return 0;
}

/* Memory last but for the fast roads: the device is in a known state by then. */
int vfio_pci_rejoin(struct vfio_pci *dev, struct fpc *client)
{
	static int (*const steps[])(struct vfio_pci * dev) = {
		vfio_pci_reset, repeat_config,		repeat_irqs,
		forget,		vfio_pci_memory_update, vfio_pci_bars_rejoin,
	};
	int socket = vfio_pci_dup_socket(client);
	int ret = 0;

	if (socket < 0) {
		fpc_close(client);
		return vfio_pci_failed(dev, "its socket", socket);
	}
	vfio_pci_take(dev, client, socket);
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps) && !ret; i++)
		ret = steps[i](dev);
	if (ret)
		vfio_pci_leave(dev);
	return ret;
}
