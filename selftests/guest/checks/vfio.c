/* SPDX-License-Identifier: BSD-3-Clause */
/* A real driver in the guest: Linux's vfio-pci, behind a virtual IOMMU. */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "checks.h"
#include "testdev.h"

#define NR_VECTORS 4
#define IOVA 0x12340000ull
#define PAGE_BYTES 4096
#define AWAIT_MS 5000

struct driven {
	int container;
	int device;
	volatile uint8_t *bar2;
};

static int open_group(const struct pci *pci)
{
	char path[100], target[100], group[120];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", pci->slot);
	len = readlink(path, target, sizeof(target) - 1);
	if (len < 0)
		fail("iommu_group");
	target[len] = 0;
	snprintf(group, sizeof(group), "/dev/vfio%s", strrchr(target, '/'));
	fd = open(group, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		fail(group);
	return fd;
}

static void map_bar2(struct driven *driven)
{
	struct vfio_region_info region = { .argsz = sizeof(region),
					   .index = VFIO_PCI_BAR2_REGION_INDEX };
	void *at;

	if (ioctl(driven->device, VFIO_DEVICE_GET_REGION_INFO, &region))
		fail("region info");
	at = mmap(NULL, region.size, PROT_READ | PROT_WRITE, MAP_SHARED, driven->device,
		  (off_t)region.offset);
	if (at == MAP_FAILED)
		fail("BAR2");
	driven->bar2 = at;
}

/* vfio-pci turns it off, and without it QEMU lets no MSI-X through. */
static void turn_bus_mastering_on(const struct driven *driven)
{
	struct vfio_region_info region = { .argsz = sizeof(region),
					   .index = VFIO_PCI_CONFIG_REGION_INDEX };
	uint16_t command;
	off_t at;

	if (ioctl(driven->device, VFIO_DEVICE_GET_REGION_INFO, &region))
		fail("region info");
	at = (off_t)region.offset + PCI_COMMAND;
	if (pread(driven->device, &command, sizeof(command), at) != sizeof(command))
		fail("reading the command register");
	command |= PCI_COMMAND_MASTER;
	if (pwrite(driven->device, &command, sizeof(command), at) != sizeof(command))
		fail("writing the command register");
}

static void drive(struct driven *driven, const struct pci *pci)
{
	int group;

	pci_bind(pci, "vfio-pci");
	group = open_group(pci);
	driven->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (driven->container < 0 || ioctl(group, VFIO_GROUP_SET_CONTAINER, &driven->container) ||
	    ioctl(driven->container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU))
		fail("an IOMMU container");
	driven->device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, pci->slot);
	if (driven->device < 0)
		fail("the group's device");
	map_bar2(driven);
	turn_bus_mastering_on(driven);
}

/* MSI-X with an eventfd for each vector; `fds` NULL: off. */
static int set_msix(const struct driven *driven, const int *fds)
{
	_Alignas(struct vfio_irq_set) char
		bytes[sizeof(struct vfio_irq_set) + NR_VECTORS * sizeof(int)];
	struct vfio_irq_set *set = (struct vfio_irq_set *)bytes;

	*set = (struct vfio_irq_set){
		.argsz = sizeof(bytes),
		.flags = VFIO_IRQ_SET_ACTION_TRIGGER |
			 (fds ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE),
		.index = VFIO_PCI_MSIX_IRQ_INDEX,
		.count = fds ? NR_VECTORS : 0,
	};
	if (fds)
		memcpy(set->data, fds, NR_VECTORS * sizeof(*fds));
	return ioctl(driven->device, VFIO_DEVICE_SET_IRQS, set);
}

static bool arrived(int eventfd, int timeout_ms)
{
	struct pollfd poll_for = { .fd = eventfd, .events = POLLIN };
	eventfd_t count;

	return poll(&poll_for, 1, timeout_ms) == 1 && !eventfd_read(eventfd, &count) && count == 1;
}

static void check_interrupts(const struct driven *driven)
{
	int fds[NR_VECTORS];

	for (int i = 0; i < NR_VECTORS; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC);
	if (set_msix(driven, fds))
		fail("turning MSI-X on");
	for (int i = 0; i < NR_VECTORS; i++) {
		store(driven->bar2 + offsetof(struct testdev_counters, trigger), 4, (uint64_t)i);
		expect(arrived(fds[i], AWAIT_MS), "the driver takes an interrupt, vector %d", i);
	}
	if (set_msix(driven, NULL))
		fail("turning MSI-X off");
	store(driven->bar2 + offsetof(struct testdev_counters, trigger), 4, 1);
	expect(!arrived(fds[1], 100), "and none once it has turned them off");
}

static void check_iommu(const struct driven *driven)
{
	uint64_t physical;
	volatile struct testdev_stamp *stamp = page_alloc(&physical);
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)stamp,
		.iova = IOVA,
		.size = PAGE_BYTES,
	};
	struct vfio_iommu_type1_dma_unmap unmap = { .argsz = sizeof(unmap),
						    .iova = IOVA,
						    .size = PAGE_BYTES };

	if (ioctl(driven->container, VFIO_IOMMU_MAP_DMA, &map))
		fail("mapping a page for DMA");
	store(driven->bar2 + offsetof(struct testdev_counters, stamp_iova), 8, IOVA);
	store(driven->bar2 + TESTDEV_REGISTER_4, 4, 1);
	load(driven->bar2, 4);
	expect_equal(stamp->count, 1, "the device writes where the IOMMU lets it");
	if (ioctl(driven->container, VFIO_IOMMU_UNMAP_DMA, &unmap))
		fail("unmapping it");
	store(driven->bar2 + TESTDEV_REGISTER_4, 4, 2);
	load(driven->bar2, 4);
	expect_equal(stamp->count, 1, "and no longer when it does not");
}

void check_vfio(struct pci *pci)
{
	struct driven driven;

	drive(&driven, pci);
	expect_equal(load(driven.bar2, 4), TESTDEV_MAGIC, "vfio-pci in the guest maps BAR2");
	check_interrupts(&driven);
	check_iommu(&driven);
}
