/* SPDX-License-Identifier: BSD-3-Clause */
#include "vfio_pci.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

/* Of VFIO's regions, behind the BARs and the ROM. */
#define CONFIG_REGION 7u

/* No device has a larger one within 4 GiB. */
#define MAX_BAR_BYTES (1ull << 30)

/* How long a server may take over an access by ioregionfd: as long as by message. */
#define ANSWER_MS 5000

#define DMA_FLAGS (FPC_DMA_READABLE | FPC_DMA_WRITEABLE)

struct bar {
	struct vfio_pci *dev;
	unsigned int index;
	struct vfio_pci_bar pub;
	struct iofd_installed *io_fds;
	struct mapped *mapped;
	bool on_bus;
};

struct vfio_pci {
	struct machine *machine;
	struct fpc *client;
	struct vfio_pci_options options;
	uint8_t config[PCI_STD_HEADER_SIZEOF]; /* as it was at power-on */
	struct bar bars[VFIO_PCI_NR_BARS];
	bool resettable;
	bool gone;	  /* the server is, and the log has it */
	bool said_errors; /* the log has the first error that it answered */
};

/* Says that `what` has failed, and returns the error. */
static int failed(const struct vfio_pci *dev, const char *what, int ret)
{
	log_error("%s: %s: %s", dev->options.socket, what, strerror(-ret));
	return ret;
}

/* ---- the guest's accesses ---- */

/* An access could not be done: says so the first time. */
static void lament(const struct bar *bar, const char *what, uint64_t offset, int ret)
{
	struct vfio_pci *dev = bar->dev;
	bool gone = ret == -ECONNRESET || ret == -ETIMEDOUT || ret == -EPROTO;

	if (gone ? dev->gone : dev->said_errors)
		return;
	log_error("%s: %s of BAR %u at %#" PRIx64 ": %s: %s", dev->options.socket, what, bar->index,
		  offset, strerror(-ret),
		  gone ? "from now on reads give all ones" : "further errors are not told");
	*(gone ? &dev->gone : &dev->said_errors) = true;
}

static int read_bar(void *opaque, uint64_t offset, void *data, uint32_t len)
{
	struct bar *bar = opaque;
	struct vfio_pci *dev = bar->dev;
	int ret = bar->io_fds ? iofd_read(bar->io_fds, offset, data, len) : -ENOTCONN;

	bar->pub.standin_reads += ret != -ENOTCONN;
	if (ret == -ECONNRESET)
		memset(data, 0xff, len);
	if (ret != -ENOTCONN)
		return 0;
	bar->pub.reads++;
	ret = -ECONNRESET;
	if (!dev->gone)
		ret = fpc_region_read(dev->client, bar->index, offset, data, len);
	if (ret) {
		memset(data, 0xff, len);
		lament(bar, "read", offset, ret);
	}
	return 0;
}

static int write_bar(void *opaque, uint64_t offset, const void *data, uint32_t len)
{
	struct bar *bar = opaque;
	struct vfio_pci *dev = bar->dev;
	int ret = bar->io_fds ? iofd_write(bar->io_fds, offset, data, len) : -ENOTCONN;

	bar->pub.standin_writes += ret != -ENOTCONN;
	if (ret != -ENOTCONN)
		return 0;
	bar->pub.writes++;
	if (dev->gone)
		return 0;
	if (dev->options.posted)
		ret = fpc_region_post(dev->client, bar->index, offset, data, len);
	else
		ret = fpc_region_write(dev->client, bar->index, offset, data, len);
	if (ret)
		lament(bar, "write", offset, ret);
	return 0;
}

static const struct bus_ops bar_ops = {
	.read = read_bar,
	.write = write_bar,
};

/* ---- what the server says of itself ---- */

static int read_device(struct vfio_pci *dev)
{
	struct fpc_device_info info;
	struct fpc_region_info config;
	int ret = fpc_device_info(dev->client, &info);

	if (ret)
		return failed(dev, "DEVICE_GET_INFO", ret);
	if (!(info.flags & FPC_DEVICE_PCI) || info.num_regions <= CONFIG_REGION) {
		log_error("%s: not a PCI device: flags %#x, %u regions", dev->options.socket,
			  info.flags, info.num_regions);
		return -EPROTO;
	}
	dev->resettable = info.flags & FPC_DEVICE_RESETTABLE;
	ret = fpc_region_info(dev->client, CONFIG_REGION, &config, NULL);
	if (ret)
		return failed(dev, "DEVICE_GET_REGION_INFO of the configuration space", ret);
	if (config.size < sizeof(dev->config)) {
		log_error("%s: a configuration space of %" PRIu64 " bytes", dev->options.socket,
			  (uint64_t)config.size);
		return -EPROTO;
	}
	return 0;
}

/* What was left behind by an earlier client goes: a machine that starts finds its devices reset. */
static int reset(struct vfio_pci *dev)
{
	int ret = dev->resettable ? fpc_reset(dev->client) : 0;

	return ret ? failed(dev, "DEVICE_RESET", ret) : 0;
}

static int read_config(struct vfio_pci *dev)
{
	int ret = fpc_region_read(dev->client, CONFIG_REGION, 0, dev->config, sizeof(dev->config));

	return ret ? failed(dev, "read of the configuration space", ret) : 0;
}

static uint32_t config32(const struct vfio_pci *dev, unsigned int offset)
{
	uint32_t value;

	memcpy(&value, &dev->config[offset], sizeof(value));
	return value;
}

static uint64_t round_up_to_power(uint64_t size)
{
	return size & (size - 1) ? 2ull << (63 - __builtin_clzll(size)) : size;
}

/* Takes from the server what the BAR is; one that can't be is left out: its size stays 0. */
static int read_bar_info(struct vfio_pci *dev, struct bar *bar)
{
	uint32_t reg = config32(dev, PCI_BASE_ADDRESS_0 + 4 * bar->index);
	bool is_io = reg & PCI_BASE_ADDRESS_SPACE_IO;
	struct fpc_region_info info;
	int ret = fpc_region_info(dev->client, bar->index, &info, NULL);

	if (ret)
		return failed(dev, "DEVICE_GET_REGION_INFO of a BAR", ret);
	bar->pub.space = is_io ? BUS_PIO : BUS_MMIO;
	if (!is_io) {
		bar->pub.is_64 =
			(reg & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64;
		bar->pub.prefetchable = reg & PCI_BASE_ADDRESS_MEM_PREFETCH;
	}
	if (!info.size)
		return 0;
	if (info.size > MAX_BAR_BYTES) {
		log_warn("%s: BAR %u is left out: %" PRIu64 " bytes", dev->options.socket,
			 bar->index, (uint64_t)info.size);
		return 0;
	}
	if (bar->pub.is_64 && bar->index == VFIO_PCI_NR_BARS - 1) {
		log_warn("%s: BAR %u is left out: 64 bits, and no next BAR for half of it",
			 dev->options.socket, bar->index);
		return 0;
	}
	bar->pub.size = info.size;
	return 0;
}

static int read_bars(struct vfio_pci *dev)
{
	for (unsigned int i = 0; i < VFIO_PCI_NR_BARS; i++) {
		struct bar *bar = &dev->bars[i];
		const struct vfio_pci_bar *below = i ? &dev->bars[i - 1].pub : NULL;
		int ret;

		bar->dev = dev;
		bar->index = i;
		/*
		 * The upper half of the one before is no BAR, whatever the server calls it, also if
		 * that one is left out.
		 */
		if (below && below->is_64)
			continue;
		ret = read_bar_info(dev, bar);
		if (ret)
			return ret;
	}
	return 0;
}

/* ---- what firmware does ---- */

static int write_config(struct vfio_pci *dev, unsigned int offset, const void *data, uint32_t len)
{
	int ret = fpc_region_write(dev->client, CONFIG_REGION, offset, data, len);

	return ret ? failed(dev, "write of the configuration space", ret) : 0;
}

/* The address into the BAR's register, or registers. */
static int program_bar(struct vfio_pci *dev, const struct bar *bar)
{
	unsigned int offset = PCI_BASE_ADDRESS_0 + 4 * bar->index;
	uint32_t low = (uint32_t)bar->pub.base;
	uint32_t high = (uint32_t)(bar->pub.base >> 32);
	int ret = write_config(dev, offset, &low, sizeof(low));

	if (!ret && bar->pub.is_64)
		ret = write_config(dev, offset + 4, &high, sizeof(high));
	return ret;
}

static int put_on_bus(struct vfio_pci *dev, struct bar *bar)
{
	const struct bus_range range = {
		.space = bar->pub.space,
		.base = bar->pub.base,
		.size = bar->pub.size,
		.ops = &bar_ops,
		.opaque = bar,
	};
	int ret = bus_add(dev->machine->bus, &range);

	bar->on_bus = !ret;
	return ret ? failed(dev, "a BAR's place on the bus", ret) : 0;
}

static int place_bar(struct vfio_pci *dev, struct bar *bar)
{
	int ret = machine_place(dev->machine, bar->pub.space, round_up_to_power(bar->pub.size),
				&bar->pub.base);

	if (ret) {
		log_warn("%s: BAR %u is left out: no room for %" PRIu64 " bytes in %s space",
			 dev->options.socket, bar->index, bar->pub.size,
			 bar->pub.space == BUS_PIO ? "I/O" : "memory");
		bar->pub.size = 0;
		return 0;
	}
	ret = program_bar(dev, bar);
	return ret ? ret : put_on_bus(dev, bar);
}

static int place_bars(struct vfio_pci *dev)
{
	uint16_t command = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	int ret = 0;

	for (unsigned int i = 0; i < VFIO_PCI_NR_BARS && !ret; i++)
		if (dev->bars[i].pub.size)
			ret = place_bar(dev, &dev->bars[i]);
	return ret ? ret : write_config(dev, PCI_COMMAND, &command, sizeof(command));
}

static int open_memory(struct vfio_pci *dev)
{
	const struct memory *memory = dev->machine->memory;
	int ret = fpc_dma_map(dev->client, memory->fd, 0, 0, memory->size, DMA_FLAGS);

	return ret ? failed(dev, "DMA_MAP of the guest's memory", ret) : 0;
}

/* A server that can't or won't hand out fds is as good as one that has none. */
static int install_io_fds(struct vfio_pci *dev, struct bar *bar)
{
	const struct iofd_target target = {
		.device = dev->options.socket,
		.region = bar->index,
		.size = bar->pub.size,
		.base = bar->pub.base,
		.is_io = bar->pub.space == BUS_PIO,
		.ioregion = dev->options.ioregion,
		.wait = dev->options.wait,
		.timeout_ms = ANSWER_MS,
	};
	struct fpc_io_fds set;
	int ret = fpc_region_io_fds(dev->client, bar->index, &set);

	if (ret) {
		log_warn("%s: BAR %u goes by socket: DEVICE_GET_REGION_IO_FDS: %s",
			 dev->options.socket, bar->index, strerror(-ret));
		return 0;
	}
	ret = iofd_install(dev->machine->vm, &target, &set, &bar->io_fds);
	bar->pub.io_fds = bar->io_fds;
	return ret;
}

static int install_all_io_fds(struct vfio_pci *dev)
{
	int ret = 0;

	for (unsigned int i = 0; i < VFIO_PCI_NR_BARS && !ret; i++)
		if (dev->bars[i].pub.size && !dev->options.no_io_fds)
			ret = install_io_fds(dev, &dev->bars[i]);
	return ret;
}

/* A page that the guest reaches by itself needs nobody to answer. */
static int map_bar(struct vfio_pci *dev, struct bar *bar)
{
	const struct mapped_target target = {
		.device = dev->options.socket,
		.base = bar->pub.base,
	};
	struct fpc_region region;
	int ret = fpc_region_open(dev->client, bar->index, &region);

	if (ret)
		return failed(dev, "DEVICE_GET_REGION_INFO of a BAR", ret);
	ret = mapped_open(dev->machine->vm, &region, &target, &bar->mapped);
	bar->pub.mapped = bar->mapped;
	fpc_region_close(&region);
	return ret;
}

static int map_bars(struct vfio_pci *dev)
{
	int ret = 0;

	for (unsigned int i = 0; i < VFIO_PCI_NR_BARS && !ret; i++) {
		const struct vfio_pci_bar *bar = &dev->bars[i].pub;

		if (bar->size && bar->space == BUS_MMIO && !dev->options.no_mmap)
			ret = map_bar(dev, &dev->bars[i]);
	}
	return ret;
}

static int attach(struct vfio_pci *dev)
{
	static int (*const steps[])(struct vfio_pci * dev) = {
		read_device, reset,	 read_config, read_bars,
		open_memory, place_bars, map_bars,    install_all_io_fds,
	};
	int ret = 0;

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps) && !ret; i++)
		ret = steps[i](dev);
	return ret;
}

static int open_client(struct vfio_pci *dev)
{
	const struct fpc_options options = {
		.wait = dev->options.wait,
		.flags = dev->machine->vm->has_post_write ? FPC_SHADOW_IOEVENTFD : 0,
	};
	int ret;

	dev->client = dev->options.client;
	if (dev->client)
		return 0;
	ret = fpc_connect(dev->options.socket, &options, &dev->client);
	if (ret == -EBUSY || ret == -EPERM)
		return failed(dev, "the server turns us away", ret);
	return ret ? failed(dev, "no vfio-user server there", ret) : 0;
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
	for (unsigned int i = 0; i < VFIO_PCI_NR_BARS; i++) {
		struct bar *bar = &dev->bars[i];

		iofd_forget(bar->io_fds);
		mapped_close(bar->mapped);
		if (bar->on_bus)
			bus_remove(dev->machine->bus, bar->pub.space, bar->pub.base);
	}
	fpc_close(dev->client);
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
	return (uint16_t)config32(dev, PCI_VENDOR_ID);
}

uint16_t vfio_pci_device_id(const struct vfio_pci *dev)
{
	return (uint16_t)(config32(dev, PCI_VENDOR_ID) >> 16);
}

struct fpc *vfio_pci_client(struct vfio_pci *dev)
{
	return dev->client;
}
