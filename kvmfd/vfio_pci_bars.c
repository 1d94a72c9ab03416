/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vfio_pci's BARs and its ROM: what they are, where they are, and who answers there.
 *
 * A BAR is where its register says as long as the command register lets it be anywhere. When it
 * moves, its place on the bus, its memory slots and its io fds move along.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "cleanup.h"
#include "log.h"
#include "pci_host.h"
#include "vfio_pci_dev.h"
#include "wire.h"

/* No device has a larger one within 4 GiB. */
#define MAX_BAR_BYTES (1ull << 30)

/* A ROM's register has 21 bits for an address. */
#define MIN_ROM_BYTES 0x800u
#define MAX_ROM_BYTES (16ull << 20)

/* How long a server may take over an access by ioregionfd: as long as by message. */
#define ANSWER_MS 5000

/* Ports below are a PC's own. */
#define FIRST_PORT 0x1000u
#define END_OF_PORTS 0x10000u

/* ---- the guest's accesses, on the vCPU's own thread: by an ioregionfd's stand-in ---- */

/* NULL: it is all the others'. The set is there as long as the BAR is on the bus, and complete. */
static const struct iofd_installed *standins(const struct bar *bar, uint64_t offset, uint32_t len)
{
	if (vfio_pci_messages_take(bar->dev, bar->index, offset, len))
		return NULL;
	return __atomic_load_n(&bar->io_fds, __ATOMIC_ACQUIRE);
}

static int try_read_bar(void *opaque, uint64_t offset, void *data, uint32_t len)
{
	struct bar *bar = opaque;
	const struct iofd_installed *io_fds = standins(bar, offset, len);
	int ret = io_fds ? iofd_read(io_fds, offset, data, len) : -ENOTCONN;

	if (ret == -ENOTCONN)
		return ret;
	__atomic_fetch_add(&bar->pub.standin_reads, 1, __ATOMIC_RELAXED);
	if (ret)
		memset(data, 0xff, len);
	return 0;
}

static int try_write_bar(void *opaque, uint64_t offset, const void *data, uint32_t len)
{
	struct bar *bar = opaque;
	const struct iofd_installed *io_fds = standins(bar, offset, len);

	if (!io_fds || iofd_write(io_fds, offset, data, len) == -ENOTCONN)
		return -ENOTCONN;
	__atomic_fetch_add(&bar->pub.standin_writes, 1, __ATOMIC_RELAXED);
	return 0;
}

/* ---- the guest's other accesses, on the main thread: by message ---- */

static int read_bar(void *opaque, uint64_t offset, void *data, uint32_t len)
{
	struct bar *bar = opaque;
	struct vfio_pci *dev = bar->dev;
	int ret;

	if (vfio_pci_messages_read(dev, bar->index, offset, data, len))
		return 0;
	bar->pub.reads++;
	ret = -ECONNRESET;
	if (!dev->gone)
		ret = fpc_region_read(dev->client, bar->index, offset, data, len);
	if (ret) {
		memset(data, 0xff, len);
		vfio_pci_lament(dev, "read", bar->index, offset, ret);
	}
	return 0;
}

static int write_bar(void *opaque, uint64_t offset, const void *data, uint32_t len)
{
	struct bar *bar = opaque;
	struct vfio_pci *dev = bar->dev;
	int ret;

	if (vfio_pci_messages_write(dev, bar->index, offset, data, len))
		return 0;
	bar->pub.writes++;
	if (dev->gone)
		return 0;
	if (dev->options.posted)
		ret = fpc_region_post(dev->client, bar->index, offset, data, len);
	else
		ret = fpc_region_write(dev->client, bar->index, offset, data, len);
	if (ret)
		vfio_pci_lament(dev, "write", bar->index, offset, ret);
	return 0;
}

static const struct bus_ops bar_ops = {
	.read = read_bar,
	.write = write_bar,
	.try_read = try_read_bar,
	.try_write = try_write_bar,
};

/* ---- what the server says of them ---- */

static uint64_t round_up_to_power(uint64_t size)
{
	return size & (size - 1) ? 2ull << (63 - __builtin_clzll(size)) : size;
}

static unsigned int register_of(const struct bar *bar)
{
	return bar->index == ROM_REGION ? PCI_ROM_ADDRESS : PCI_BASE_ADDRESS_0 + 4 * bar->index;
}

/* Takes from the server what the BAR is; one that can't be is left out: its size stays 0. */
static int read_bar_info(struct vfio_pci *dev, struct bar *bar)
{
	uint32_t reg = vfio_pci_config_initial(dev, register_of(bar), 4);
	bool is_io = reg & PCI_BASE_ADDRESS_SPACE_IO;
	struct fpc_region_info info;
	int ret = fpc_region_info(dev->client, bar->index, &info, NULL);

	if (ret)
		return vfio_pci_failed(dev, "DEVICE_GET_REGION_INFO of a BAR", ret);
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

static int read_rom_info(struct vfio_pci *dev, struct bar *rom)
{
	struct fpc_region_info info;
	int ret = fpc_region_info(dev->client, ROM_REGION, &info, NULL);

	if (ret)
		return vfio_pci_failed(dev, "DEVICE_GET_REGION_INFO of the ROM", ret);
	if (info.size > MAX_ROM_BYTES)
		log_warn("%s: its ROM is left out: %" PRIu64 " bytes", dev->options.socket,
			 (uint64_t)info.size);
	else
		rom->pub.size = info.size;
	return 0;
}

/* The bits that hold an address; what the BAR is can't be written. */
static uint64_t address_mask(const struct bar *bar)
{
	uint64_t size = round_up_to_power(bar->pub.size);

	if (!size)
		return 0;
	if (bar->index == ROM_REGION)
		return ~((size < MIN_ROM_BYTES ? MIN_ROM_BYTES : size) - 1);
	if (bar->pub.space == BUS_PIO)
		return ~(size - 1) & PCI_BASE_ADDRESS_IO_MASK;
	return ~(size - 1) & PCI_BASE_ADDRESS_MEM_MASK;
}

static uint32_t kind_bits(const struct bar *bar)
{
	if (bar->pub.space == BUS_PIO)
		return PCI_BASE_ADDRESS_SPACE_IO;
	return (bar->pub.is_64 ? PCI_BASE_ADDRESS_MEM_TYPE_64 : 0) |
	       (bar->pub.prefetchable ? PCI_BASE_ADDRESS_MEM_PREFETCH : 0);
}

/* So that sizing works whatever the server's registers do. */
static void keep_registers(struct vfio_pci *dev, const struct bar *bar)
{
	uint64_t mask = address_mask(bar);
	unsigned int at = register_of(bar);

	if (bar->index == ROM_REGION) {
		mask |= mask ? PCI_ROM_ADDRESS_ENABLE : 0;
		vfio_pci_config_keep(dev, at, 4, 0, UINT32_MAX, (uint32_t)mask);
		return;
	}
	vfio_pci_config_keep(dev, at, 4, mask ? kind_bits(bar) : 0, UINT32_MAX, (uint32_t)mask);
	if (bar->pub.is_64 && bar->index < VFIO_PCI_NR_BARS - 1)
		vfio_pci_config_keep(dev, at + 4, 4, 0, UINT32_MAX, (uint32_t)(mask >> 32));
}

int vfio_pci_bars_open(struct vfio_pci *dev)
{
	int ret = 0;

	for (unsigned int i = 0; i < NR_WINDOWS && !ret; i++) {
		struct bar *bar = &dev->bars[i];

		bar->dev = dev;
		bar->index = i;
		/*
		 * The upper half of the one before is no BAR, whatever the server calls it, also if
		 * that one is left out.
		 */
		if (i && i < VFIO_PCI_NR_BARS && dev->bars[i - 1].pub.is_64)
			continue;
		ret = i == ROM_REGION ? read_rom_info(dev, bar) : read_bar_info(dev, bar);
		keep_registers(dev, bar);
	}
	return ret;
}

/* ---- what firmware does ---- */

static void leave_out(struct vfio_pci *dev, struct bar *bar)
{
	log_warn("%s: BAR %u is left out: no room for %" PRIu64 " bytes in %s space",
		 dev->options.socket, bar->index, bar->pub.size,
		 bar->pub.space == BUS_PIO ? "I/O" : "memory");
	bar->pub.size = 0;
	keep_registers(dev, bar);
}

/* The address into the BAR's register, or registers. */
static int program_bar(struct vfio_pci *dev, struct bar *bar)
{
	unsigned int at = register_of(bar);
	int ret;

	if (!bar->firmware)
		machine_place(dev->machine, bar->pub.space, round_up_to_power(bar->pub.size),
			      &bar->firmware);
	if (!bar->firmware) {
		leave_out(dev, bar);
		return 0;
	}
	ret = vfio_pci_config_program(dev, at, (uint32_t)bar->firmware, 4);
	if (!ret && bar->pub.is_64)
		ret = vfio_pci_config_program(dev, at + 4, (uint32_t)(bar->firmware >> 32), 4);
	return ret;
}

/* A ROM is for those who want it to find a place for. */
int vfio_pci_bars_program(struct vfio_pci *dev)
{
	int ret = 0;

	for (unsigned int i = 0; i < VFIO_PCI_NR_BARS && !ret; i++)
		if (dev->bars[i].pub.size)
			ret = program_bar(dev, &dev->bars[i]);
	return ret;
}

/* ---- memory and io fds ---- */

/* A page that the guest reaches by itself needs nobody to answer. */
static int open_mapped(struct vfio_pci *dev, struct bar *bar)
{
	struct mapped_target target = {
		.device = dev->options.socket,
		.base = bar->pub.base,
	};
	struct fpc_region region;
	int ret = fpc_region_open(dev->client, bar->index, &region);

	if (ret)
		return vfio_pci_failed(dev, "DEVICE_GET_REGION_INFO of a BAR", ret);
	target.nr_holes = vfio_pci_messages_holes(dev, bar->index, target.holes);
	ret = mapped_open(dev->machine->vm, &region, &target, &bar->mapped);
	bar->pub.mapped = bar->mapped;
	fpc_region_close(&region);
	return ret;
}

/* A server that can't or won't hand out fds is as good as one that has none. */
static int open_io_fds(struct vfio_pci *dev, struct bar *bar)
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
	struct iofd_installed *installed = NULL;
	struct fpc_io_fds set;
	int ret = fpc_region_io_fds(dev->client, bar->index, &set);

	if (ret) {
		log_warn("%s: BAR %u goes by socket: DEVICE_GET_REGION_IO_FDS: %s",
			 dev->options.socket, bar->index, strerror(-ret));
		return 0;
	}
	ret = iofd_install(dev->machine->vm, &target, &set, &installed);
	bar->pub.io_fds = installed;
	/* The BAR is on the bus: a vCPU that sees the set has to see all of it. */
	__atomic_store_n(&bar->io_fds, installed, __ATOMIC_RELEASE);
	return ret;
}

/* A ROM is read by message: it is read once. */
static int open_roads(struct vfio_pci *dev, struct bar *bar)
{
	int ret = 0;

	if (bar->opened || bar->index == ROM_REGION || dev->gone)
		return 0;
	bar->opened = true;
	if (bar->pub.space == BUS_MMIO && !dev->options.no_mmap)
		ret = open_mapped(dev, bar);
	if (!ret && !dev->options.no_io_fds)
		ret = open_io_fds(dev, bar);
	return ret;
}

/* ---- where they are ---- */

static bool within(uint64_t base, uint64_t size, uint64_t start, uint64_t end)
{
	return base >= start && wire_within(base - start, size, end - start);
}

/* Whether the host bridge lets an address through to its bus. */
static bool is_forwarded(const struct bar *bar, uint64_t base)
{
	const struct window *high = &bar->dev->machine->high_mmio;

	if (bar->pub.space == BUS_PIO)
		return within(base, bar->pub.size, FIRST_PORT, END_OF_PORTS);
	return within(base, bar->pub.size, MACHINE_MMIO_BASE, MACHINE_MMIO_END) ||
	       within(base, bar->pub.size, high->next, high->end);
}

/* Where the guest wants it; 0: nowhere. While its size is asked for it is outside of all windows. */
static uint64_t wanted(const struct vfio_pci *dev, const struct bar *bar)
{
	uint16_t command = (uint16_t)vfio_pci_config_value(dev, PCI_COMMAND, 2);
	uint64_t reg = vfio_pci_config_value(dev, register_of(bar), 4);
	bool enabled = command & (bar->pub.space == BUS_PIO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY);
	uint64_t base;

	if (bar->index == ROM_REGION)
		enabled = enabled && reg & PCI_ROM_ADDRESS_ENABLE;
	if (bar->pub.is_64)
		reg |= (uint64_t)vfio_pci_config_value(dev, register_of(bar) + 4, 4) << 32;
	base = reg & address_mask(bar);
	return bar->pub.size && enabled && is_forwarded(bar, base) ? base : 0;
}

static void unplug(struct vfio_pci *dev, struct bar *bar)
{
	/* First, so that no vCPU is in a stand-in, and none comes to a road that is gone. */
	bus_remove(dev->machine->bus, bar->pub.space, bar->pub.base);
	iofd_unplug(bar->io_fds);
	mapped_unplug(bar->mapped);
	bar->pub.placed = false;
}

static int put_on_bus(struct vfio_pci *dev, struct bar *bar, uint64_t base)
{
	const struct bus_range range = {
		.space = bar->pub.space,
		.base = base,
		.size = bar->pub.size,
		.ops = &bar_ops,
		.opaque = bar,
	};
	int ret = bus_add(dev->machine->bus, &range);

	if (ret && bar->refused != base)
		log_warn("%s: BAR %u is nowhere: at %#" PRIx64 " there is something else: %s",
			 dev->options.socket, bar->index, base, strerror(-ret));
	bar->refused = ret ? base : 0;
	return ret;
}

static int plug(struct vfio_pci *dev, struct bar *bar, uint64_t base)
{
	bool again = bar->opened;

	/* The guest's own doing, and not an error. */
	if (put_on_bus(dev, bar, base))
		return 0;
	bar->pub.base = base;
	bar->pub.placed = true;
	if (!again)
		return open_roads(dev, bar);
	mapped_plug(bar->mapped, base);
	iofd_plug(bar->io_fds, base);
	return 0;
}

int vfio_pci_bars_update(struct vfio_pci *dev)
{
	uint64_t bases[NR_WINDOWS];
	bool freed = false;
	int ret = 0;

	/* First away, then there: two may change places. */
	for (unsigned int i = 0; i < NR_WINDOWS; i++) {
		struct bar *bar = &dev->bars[i];

		bases[i] = wanted(dev, bar);
		if (bar->pub.placed && bases[i] != bar->pub.base) {
			unplug(dev, bar);
			freed = true;
		}
	}
	for (unsigned int i = 0; i < NR_WINDOWS; i++) {
		int one = bases[i] && !dev->bars[i].pub.placed ?
				  plug(dev, &dev->bars[i], bases[i]) :
				  0;

		ret = ret ? ret : one;
	}
	/* They only come, and free nothing: this goes no further. */
	if (freed)
		pci_host_freed(dev->machine->pci);
	return ret;
}

void vfio_pci_bars_freed(struct vfio_pci *dev)
{
	bool waits = false;

	for (unsigned int i = 0; i < NR_WINDOWS; i++)
		waits |= dev->bars[i].refused != 0;
	if (waits)
		vfio_pci_bars_update(dev);
}

/* ---- another server ---- */

/* From now on no access goes by stand-in: vCPUs that want to, wait for this thread. */
static void hold(struct vfio_pci *dev)
{
	for (unsigned int i = 0; i < NR_WINDOWS; i++) {
		struct bar *bar = &dev->bars[i];

		if (bar->io_fds)
			bar->held = __atomic_exchange_n(&bar->io_fds, NULL, __ATOMIC_ACQ_REL);
	}
	bus_settle(dev->machine->bus);
}

void vfio_pci_bars_hold(struct vfio_pci *dev)
{
	hold(dev);
	for (unsigned int i = 0; i < NR_WINDOWS; i++) {
		iofd_unplug(dev->bars[i].held);
		mapped_unplug(dev->bars[i].mapped);
	}
}

void vfio_pci_bars_release(struct vfio_pci *dev)
{
	for (unsigned int i = 0; i < NR_WINDOWS; i++) {
		struct bar *bar = &dev->bars[i];

		if (bar->pub.placed) {
			mapped_plug(bar->mapped, bar->pub.base);
			iofd_plug(bar->held, bar->pub.base);
		}
		__atomic_store_n(&bar->io_fds, take_ptr(bar->held), __ATOMIC_RELEASE);
	}
}

void vfio_pci_bars_leave(struct vfio_pci *dev)
{
	hold(dev);
	for (unsigned int i = 0; i < NR_WINDOWS; i++) {
		struct bar *bar = &dev->bars[i];

		bar->pub.io_fds = NULL;
		bar->pub.mapped = NULL;
		bar->opened = false;
		iofd_uninstall(take_ptr(bar->held));
		mapped_close(take_ptr(bar->mapped));
	}
}

int vfio_pci_bars_rejoin(struct vfio_pci *dev)
{
	int ret = 0;

	for (unsigned int i = 0; i < NR_WINDOWS && !ret; i++)
		if (dev->bars[i].pub.placed)
			ret = open_roads(dev, &dev->bars[i]);
	return ret;
}

void vfio_pci_bars_close(struct vfio_pci *dev)
{
	for (unsigned int i = 0; i < NR_WINDOWS; i++) {
		struct bar *bar = &dev->bars[i];

		if (bar->pub.placed)
			bus_remove(dev->machine->bus, bar->pub.space, bar->pub.base);
		iofd_forget(bar->io_fds);
		mapped_close(bar->mapped);
	}
}
