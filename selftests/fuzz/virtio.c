/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz target virtio: drivers that do as they like to a virtio device.
 *
 *	u8    which device it is, modulo 3: rng, blk, console
 *	then steps, repeatedly:
 *		u8 0                                 turns for the server
 *		u8 1  u16 offset, u8 bytes, u64      a store to BAR0
 *		u8 2  u16 offset, u8 bytes           a load
 *		u8 3  u16 offset, bytes              put into the guest's memory, which is at 0x10000
 *		u8 4  u8 queue, u16 times            a ring
 *		u8 5  u8 how                         a careful driver's set-up: 1 packed, 2 event indexes
 *		u8 6  u8 what                        the window is closed, the client goes, the state is
 *		                                     saved and loaded, DEVICE_RESET, all stands and runs
 *	where bytes are a u16 and so many.
 *
 * Whatever was done, the device is well for the next driver: it resets it, and gets an answer.
 */
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device.h"
#include "fuzz.h"
#include "registry.h"
#include "state.h"
#include "virtio_pci.h"

#define MAX_STEPS 64
#define MEMORY_AT 0x10000u
#define MEMORY_BYTES 0x10000u
#define QUEUE_SIZE 8u
#define DISK_BYTES (64u << 10)
#define LAST_TURNS 2000
#define WAIT_NS 1000000

/* Where the careful driver has queue 0's areas, and what it asks for. */
#define DESC (MEMORY_AT + 0x0000u)
#define DRIVER (MEMORY_AT + 0x1000u)
#define DEVICE (MEMORY_AT + 0x2000u)
#define ASKED (MEMORY_AT + 0x3000u)

static int memory_fd, disk_fd;
static uint8_t *memory;

static void make_files(void)
{
	memory_fd = memfd_create("guest", MFD_CLOEXEC);
	disk_fd = memfd_create("disk", MFD_CLOEXEC);
	fuzz_check(!ftruncate(memory_fd, MEMORY_BYTES) && !ftruncate(disk_fd, DISK_BYTES),
		   "there are files");
	memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
	fuzz_check(memory != MAP_FAILED, "they can be mapped");
}

static struct fp_device *open_device(unsigned int which)
{
	static const char *const names[] = { "virtio-rng", "virtio-blk", "virtio-console" };
	struct keyval options[] = { { "path", NULL } };
	struct fp_device *dev;
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", disk_fd);
	options[0].value = path;
	fuzz_check(!device_open(registry_find(names[which]), names[which], fuzz_ring(), options,
				which == 1, &dev),
		   "the device can be opened");
	return dev;
}

static void open_window(struct fp_device *dev)
{
	const struct wire_dma_map map = {
		.argsz = sizeof(map),
		.flags = WIRE_DMA_READABLE | WIRE_DMA_WRITEABLE,
		.address = MEMORY_AT,
		.size = MEMORY_BYTES,
	};
	struct refusal why = { 0 };

	fuzz_check(!dma_map(&dev->dma, &map, dup(memory_fd), &why), "memory can be mapped");
}

/* As the session would: nothing that has to wait for an answer or for what is in flight is begun. */
static void settle(struct fp_device *dev)
{
	for (unsigned int i = 0; device_is_busy(dev) && i < LAST_TURNS; i++)
		ring_turn(fuzz_ring(), WAIT_NS);
	fuzz_check(!device_is_busy(dev), "what is in flight ends");
}

static void access_bar(struct fp_device *dev, uint64_t offset, void *data, uint32_t bytes,
		       bool write)
{
	struct deferred *later = NULL;
	struct refusal why = { 0 };

	if (dev->deferred)
		settle(dev);
	region_access(dev, FP_BAR0, offset, data, bytes, write, &later, &why);
}

static void store(struct fp_device *dev, uint64_t offset, uint64_t value, uint32_t bytes)
{
	access_bar(dev, offset, &value, bytes, true);
}

static uint64_t load(struct fp_device *dev, uint64_t offset, uint32_t bytes)
{
	uint64_t value = 0;

	access_bar(dev, offset, &value, bytes, false);
	return value;
}

/* ---- a careful driver ---- */

static void set_up(struct fp_device *dev, unsigned int how)
{
	uint64_t features = 1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_INDIRECT_DESC |
			    (how & 1 ? 1ull << VIRTIO_F_RING_PACKED : 0) |
			    (how & 2 ? 1ull << VIRTIO_RING_F_EVENT_IDX : 0);

	store(dev, VIRTIO_PCI_COMMON_STATUS, 0, 1);
	fuzz_check(!load(dev, VIRTIO_PCI_COMMON_STATUS, 1), "a reset resets");
	store(dev, VIRTIO_PCI_COMMON_STATUS, 3, 1);
	for (unsigned int i = 0; i < 2; i++) {
		store(dev, VIRTIO_PCI_COMMON_GFSELECT, i, 4);
		store(dev, VIRTIO_PCI_COMMON_GF, (uint32_t)(features >> 32 * i), 4);
	}
	store(dev, VIRTIO_PCI_COMMON_STATUS, 11, 1);
	for (unsigned int i = 0; i < load(dev, VIRTIO_PCI_COMMON_NUMQ, 2); i++) {
		store(dev, VIRTIO_PCI_COMMON_Q_SELECT, i, 2);
		store(dev, VIRTIO_PCI_COMMON_Q_SIZE, QUEUE_SIZE, 2);
		store(dev, VIRTIO_PCI_COMMON_Q_DESCLO, DESC + 0x4000 * i, 8);
		store(dev, VIRTIO_PCI_COMMON_Q_AVAILLO, DRIVER + 0x4000 * i, 8);
		store(dev, VIRTIO_PCI_COMMON_Q_USEDLO, DEVICE + 0x4000 * i, 8);
		store(dev, VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
	}
	store(dev, VIRTIO_PCI_COMMON_STATUS, 15, 1);
}

/* A split queue whose one chain is 16 bytes to be read, if the device reads any, and 64 to be written. */
static bool gets_answer(struct fp_device *dev, unsigned int queue, bool reads, bool writes)
{
	uint64_t base = 0x4000 * queue;
	struct vring_desc *desc = (struct vring_desc *)(memory + base);
	uint16_t *avail = (uint16_t *)(memory + base + 0x1000);
	volatile uint16_t *used = (uint16_t *)(memory + base + 0x2000);

	desc[0] = (struct vring_desc){ ASKED, 16, writes && reads ? VRING_DESC_F_NEXT : 0, 1 };
	desc[!!reads] = (struct vring_desc){ ASKED + 64, 64, VRING_DESC_F_WRITE, 0 };
	if (!writes)
		desc[0] = (struct vring_desc){ ASKED, 16, 0, 0 };
	*(struct virtio_blk_outhdr *)(memory + ASKED - MEMORY_AT) =
		(struct virtio_blk_outhdr){ .type = VIRTIO_BLK_T_GET_ID };
	avail[0] = avail[2] = 0;
	avail[1] = 1;
	store(dev, VIRTIO_BAR_NOTIFY + VIRTIO_BAR_NOTIFY_MULTIPLIER * queue, queue, 2);
	settle(dev);
	return used[1] == 1;
}

static void next_driver(struct fp_device *dev, unsigned int which)
{
	settle(dev);
	migration_go(dev, WIRE_MIG_RUNNING);
	fuzz_check(!device_reset(dev), "DEVICE_RESET");
	dma_unmap_all(&dev->dma);
	open_window(dev);
	memset(memory, 0, MEMORY_BYTES);
	set_up(dev, 0);
	fuzz_check(gets_answer(dev, which == 2, which != 0, which != 2),
		   "the next driver gets an answer");
	fuzz_check(load(dev, VIRTIO_PCI_COMMON_STATUS, 1) == 15, "and no reset is needed");
}

/* ---- steps ---- */

static void migrate(struct fp_device *dev)
{
	struct fp_stream stream = { 0 };

	settle(dev);
	if (!migration_go(dev, WIRE_MIG_STOP) && !state_begin(dev, &stream) &&
	    !state_save(dev, &stream))
		fuzz_check(!state_load(dev, &stream), "what was saved can be loaded");
	stream_clear(&stream);
	migration_go(dev, WIRE_MIG_RUNNING);
}

static void do_event(struct fp_device *dev, unsigned int what)
{
	switch (what % 5) {
	case 0:
		settle(dev);
		if (dev->dma.nr)
			dma_unmap_all(&dev->dma);
		else
			open_window(dev);
		break;
	case 1:
		device_detach(dev);
		device_attach(dev, false);
		open_window(dev);
		break;
	case 2:
		migrate(dev);
		break;
	case 3:
		settle(dev);
		device_reset(dev);
		break;
	case 4:
		settle(dev);
		migration_go(dev, migration_runs(dev) ? WIRE_MIG_STOP : WIRE_MIG_RUNNING);
		break;
	}
}

static void put(struct fuzz_input *input)
{
	size_t at = fuzz_u16(input);
	struct fuzz_input bytes = fuzz_bytes(input);

	if (bytes.left > MEMORY_BYTES - at)
		bytes.left = MEMORY_BYTES - at;
	if (bytes.left)
		memcpy(memory + at, bytes.at, bytes.left);
}

static void ring(struct fp_device *dev, unsigned int queue, uint64_t times)
{
	const struct fp_region *region = &dev->regions[FP_BAR0];
	struct deferred *later = NULL;

	if (dev->deferred)
		settle(dev);
	region_rang(dev, FP_BAR0, &region->doorbells[queue % region->nr_doorbells], times, 0,
		    &later);
}

static void step(struct fp_device *dev, struct fuzz_input *input)
{
	uint16_t offset;
	uint8_t bytes;

	switch (fuzz_u8(input) % 7) {
	case 0:
		fuzz_settle();
		break;
	case 1:
		offset = fuzz_u16(input);
		bytes = fuzz_u8(input) % 9;
		store(dev, offset % VIRTIO_BAR_BYTES, fuzz_u64(input), bytes);
		break;
	case 2:
		offset = fuzz_u16(input);
		load(dev, offset % VIRTIO_BAR_BYTES, fuzz_u8(input) % 9);
		break;
	case 3:
		put(input);
		break;
	case 4:
		bytes = fuzz_u8(input);
		ring(dev, bytes, 1u + fuzz_u16(input));
		break;
	case 5:
		set_up(dev, fuzz_u8(input));
		break;
	case 6:
		do_event(dev, fuzz_u8(input));
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	unsigned int which = fuzz_u8(&input) % 3;
	struct fp_device *dev;

	if (!memory)
		make_files();
	fuzz_begin();
	fuzz_use_ring(false);
	memset(memory, 0, MEMORY_BYTES);
	dev = open_device(which);
	device_attach(dev, false);
	open_window(dev);
	for (unsigned int i = 0; input.left && i < MAX_STEPS; i++)
		step(dev, &input);
	next_driver(dev, which);
	device_close(dev);
	fuzz_settle();
	fuzz_end();
	return 0;
}
