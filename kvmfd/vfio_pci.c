/* SPDX-License-Identifier: BSD-3-Clause */
/* A vfio_pci as a whole: what is asked and set up when it comes. */
#include <errno.h>
#include <inttypes.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "log.h"
#include "pci_host.h"
#include "vfio_pci_dev.h"

#define DMA_FLAGS (FPC_DMA_READABLE | FPC_DMA_WRITEABLE)

bool vfio_pci_ends(const struct vfio_pci *dev, int ret)
{
	bool ends = ret == -ECONNRESET || ret == -ETIMEDOUT || ret == -EPROTO;

	if (ends && dev->socket >= 0)
		shutdown(dev->socket, SHUT_RDWR);
	return ends;
}

int vfio_pci_failed(const struct vfio_pci *dev, const char *what, int ret)
{
	vfio_pci_ends(dev, ret);
	log_error("%s: %s: %s", dev->options.socket, what, strerror(-ret));
	return ret;
}

void vfio_pci_lament(struct vfio_pci *dev, const char *what, unsigned int region, uint64_t offset,
		     int ret)
{
	static const char *const others[] = { "the ROM", "the configuration space" };
	bool gone = vfio_pci_ends(dev, ret);
	char bar[8];

	if (gone && dev->options.attended)
		dev->gone = true;
	if (gone ? dev->gone : dev->said_errors)
		return;
	snprintf(bar, sizeof(bar), "BAR %u", region % VFIO_PCI_NR_BARS);
	log_error("%s: %s of %s at %#" PRIx64 ": %s: %s", dev->options.socket, what,
		  region < VFIO_PCI_NR_BARS ? bar : others[region - ROM_REGION], offset,
		  strerror(-ret),
		  gone ? "from now on reads give all ones" : "further errors are not told");
	*(gone ? &dev->gone : &dev->said_errors) = true;
}

/* ---- the guest's memory ---- */

static int unmap_parts(struct vfio_pci *dev, struct fpc *client, unsigned int nr)
{
	const struct memory *memory = dev->machine->memory;
	int ret = 0;

	for (unsigned int i = 0; i < nr; i++) {
		int one = fpc_dma_unmap(client, memory->parts[i].base, memory->parts[i].size);

		ret = ret ? ret : one;
	}
	return ret;
}

int vfio_pci_memory_open(struct vfio_pci *dev, struct fpc *client)
{
	const struct memory *memory = dev->machine->memory;
	unsigned int nr = 0;
	int ret = 0;

	while (nr < memory->nr_parts && !ret) {
		const struct memory_part *part = &memory->parts[nr];

		ret = fpc_dma_map(client, memory->fd, part->offset, part->base, part->size,
				  DMA_FLAGS);
		nr += !ret;
	}
	if (ret)
		unmap_parts(dev, client, nr);
	return ret;
}

static int open_memory(struct vfio_pci *dev)
{
	int ret = vfio_pci_memory_open(dev, dev->client);

	dev->memory_open = !ret;
	return ret ? vfio_pci_failed(dev, "DMA_MAP of the guest's memory", ret) : 0;
}

static int close_memory(struct vfio_pci *dev)
{
	int ret = unmap_parts(dev, dev->client, dev->machine->memory->nr_parts);

	dev->memory_open = false;
	return ret ? vfio_pci_failed(dev, "DMA_UNMAP of the guest's memory", ret) : 0;
}

int vfio_pci_memory_update(struct vfio_pci *dev)
{
	bool is_master = vfio_pci_config_value(dev, PCI_COMMAND, 2) & PCI_COMMAND_MASTER;

	if (is_master == dev->memory_open || dev->gone)
		return 0;
	return is_master ? open_memory(dev) : close_memory(dev);
}

/* ---- what is done once ---- */

static int read_device(struct vfio_pci *dev)
{
	struct fpc_device_info info;
	int ret = fpc_device_info(dev->client, &info);

	if (ret)
		return vfio_pci_failed(dev, "DEVICE_GET_INFO", ret);
	if (!(info.flags & FPC_DEVICE_PCI) || info.num_regions <= CONFIG_REGION) {
		log_error("%s: not a PCI device: flags %#x, %u regions", dev->options.socket,
			  info.flags, info.num_regions);
		return -EPROTO;
	}
	dev->resettable = info.flags & FPC_DEVICE_RESETTABLE;
	return 0;
}

static int take_slot(struct vfio_pci *dev)
{
	int ret = pci_host_add(dev->machine->pci, dev->options.slot, &vfio_pci_config_ops, dev);

	if (ret == -EEXIST)
		log_error("%s: slot %u is taken", dev->options.socket, dev->options.slot);
	else if (ret < 0)
		log_error("%s: no slot %u: a bus has 31", dev->options.socket, dev->options.slot);
	dev->slot = ret < 0 ? 0 : (unsigned int)ret;
	return ret < 0 ? ret : 0;
}

/* What was left behind by an earlier client goes: a machine that starts finds its devices reset. */
int vfio_pci_reset(struct vfio_pci *dev)
{
	int ret = dev->resettable ? fpc_reset(dev->client) : 0;

	return ret ? vfio_pci_failed(dev, "DEVICE_RESET", ret) : 0;
}

/* What firmware leaves behind: all BARs somewhere, and the device at work. */
static int boot(struct vfio_pci *dev)
{
	int ret = vfio_pci_bars_program(dev);

	if (!ret)
		ret = vfio_pci_config_program(
			dev, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER,
			2);
	if (!ret)
		ret = vfio_pci_bars_update(dev);
	if (!ret)
		vfio_pci_irqs_update(dev);
	return ret;
}

static int attach(struct vfio_pci *dev)
{
	static int (*const steps[])(struct vfio_pci * dev) = {
		read_device,	    take_slot,		vfio_pci_reset, vfio_pci_config_open,
		vfio_pci_bars_open, vfio_pci_irqs_open, open_memory,	boot,
	};
	int ret = 0;

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps) && !ret; i++)
		ret = steps[i](dev);
	return ret;
}

static int connect_client(struct vfio_pci *dev)
{
	int ret;

	dev->client = dev->options.client;
	if (dev->client)
		return 0;
	ret = vfio_pci_connect(dev, dev->options.socket, &dev->client);
	if (ret == -EBUSY || ret == -EPERM)
		return vfio_pci_failed(dev, "the server turns us away", ret);
	return ret ? vfio_pci_failed(dev, "no vfio-user server there", ret) : 0;
}

static int open_client(struct vfio_pci *dev)
{
	int ret = connect_client(dev);

	if (ret)
		return ret;
	dev->socket = vfio_pci_dup_socket(dev->client);
	return dev->socket < 0 ? vfio_pci_failed(dev, "its socket", dev->socket) : 0;
}

int vfio_pci_open(struct machine *machine, const struct vfio_pci_options *options,
		  struct vfio_pci **out)
{
	struct vfio_pci *dev = calloc(1, sizeof(*dev));
	int ret;

	if (!dev) {
		fpc_close(options->client);
		return -ENOMEM;
	}
	dev->machine = machine;
	dev->options = *options;
	dev->socket = -1;
	dev->irqs.mode = IRQ_NONE;
	dev->irqs.resample = -1;
	ret = open_client(dev);
	if (!ret)
		ret = attach(dev);
	if (ret) {
		vfio_pci_close(dev);
		return ret;
	}
	*out = dev;
	return 0;
}

void vfio_pci_close(struct vfio_pci *dev)
{
	if (!dev)
		return;
	if (dev->slot)
		pci_host_remove(dev->machine->pci, dev->slot);
	vfio_pci_irqs_close(dev);
	vfio_pci_bars_close(dev);
	fpc_close(dev->client);
	cleanup_close(&dev->socket);
	free(dev->moved_to);
	free(dev);
}

const struct vfio_pci_bar *vfio_pci_bar(const struct vfio_pci *dev, unsigned int index)
{
	return &dev->bars[index].pub;
}

void vfio_pci_set_posted(struct vfio_pci *dev, bool posted)
{
	dev->options.posted = posted;
}

uint16_t vfio_pci_vendor_id(const struct vfio_pci *dev)
{
	return (uint16_t)vfio_pci_config_initial(dev, PCI_VENDOR_ID, 2);
}

uint16_t vfio_pci_device_id(const struct vfio_pci *dev)
{
	return (uint16_t)vfio_pci_config_initial(dev, PCI_DEVICE_ID, 2);
}

unsigned int vfio_pci_slot(const struct vfio_pci *dev)
{
	return dev->slot;
}

int vfio_pci_bar_of(const struct vfio_pci *dev, const void *opaque)
{
	for (int i = 0; i < (int)NR_WINDOWS; i++)
		if (opaque == &dev->bars[i])
			return i;
	return -ENOENT;
}

struct fpc *vfio_pci_client(struct vfio_pci *dev)
{
	return dev->client;
}

const char *vfio_pci_name(const struct vfio_pci *dev)
{
	return dev->options.socket;
}

const struct vfio_pci_options *vfio_pci_options(const struct vfio_pci *dev)
{
	return &dev->options;
}
