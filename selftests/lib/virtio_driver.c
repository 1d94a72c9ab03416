/* SPDX-License-Identifier: BSD-3-Clause */
#include "virtio_driver.h"

#include <errno.h>
#include <linux/virtio_pci.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fastpath-client.h"
#include "fastpath.h"
#include "peer.h"
#include "virtio_pci.h"

#define AREA 0x10000u
#define TABLE_DESCS 130u

#define AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define USED (1u << VRING_PACKED_DESC_F_USED)

static void must(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "# virtio_driver: %s\n", what);
	abort();
}

/* ---- registers ---- */

uint64_t driver_read(struct driver *driver, uint64_t offset, uint32_t bytes)
{
	uint64_t value = 0;

	must(!fpc_region_read(driver->client, FP_BAR0, offset, &value, bytes), "read");
	return value;
}

void driver_write(struct driver *driver, uint64_t offset, uint64_t value, uint32_t bytes)
{
	must(!fpc_region_write(driver->client, FP_BAR0, offset, &value, bytes), "write");
}

void driver_set_status(struct driver *driver, uint8_t status)
{
	driver_write(driver, VIRTIO_PCI_COMMON_STATUS, status, 1);
}

uint8_t driver_status(struct driver *driver)
{
	return (uint8_t)driver_read(driver, VIRTIO_PCI_COMMON_STATUS, 1);
}

uint64_t driver_offered(struct driver *driver)
{
	uint64_t features;

	driver_write(driver, VIRTIO_PCI_COMMON_DFSELECT, 0, 4);
	features = driver_read(driver, VIRTIO_PCI_COMMON_DF, 4);
	driver_write(driver, VIRTIO_PCI_COMMON_DFSELECT, 1, 4);
	return features | driver_read(driver, VIRTIO_PCI_COMMON_DF, 4) << 32;
}

/* ---- memory ---- */

void *driver_at(struct driver *driver, uint64_t iova)
{
	return driver->memory + (iova - DRIVER_MEMORY_AT);
}

uint64_t driver_alloc(struct driver *driver, size_t bytes)
{
	uint64_t at = driver->free;

	driver->free += (bytes + 4095) / 4096 * 4096;
	must(driver->free <= DRIVER_MEMORY_AT + DRIVER_MEMORY_BYTES, "memory");
	memset(driver_at(driver, at), 0, bytes);
	return at;
}

static void map(struct driver *driver)
{
	uint32_t flags = FPC_DMA_READABLE | FPC_DMA_WRITEABLE;
	int ret;

	if (driver->how & DRIVER_BY_MESSAGE)
		ret = fpc_dma_map_memory(driver->client, driver->memory, DRIVER_MEMORY_AT,
					 DRIVER_MEMORY_BYTES, flags);
	else
		ret = fpc_dma_map(driver->client, driver->memfd, 0, DRIVER_MEMORY_AT,
				  DRIVER_MEMORY_BYTES, flags);
	must(!ret, "map");
}

/* ---- queues ---- */

static int find_doorbell(struct driver *driver, unsigned int index)
{
	uint64_t at = VIRTIO_BAR_NOTIFY + (uint64_t)index * VIRTIO_BAR_NOTIFY_MULTIPLIER;
	struct fpc_io_fds set;
	int fd = -1;

	must(!fpc_region_io_fds(driver->client, FP_BAR0, &set), "io fds");
	for (uint32_t i = 0; i < set.nr_entries; i++)
		if (set.entries[i].offset == at && !set.entries[i].size)
			fd = dup(set.entries[i].fd);
	fpc_io_fds_free(&set);
	must(fd >= 0, "a doorbell of any width");
	return fd;
}

static void write_address(struct driver *driver, uint64_t at, uint64_t address)
{
	driver_write(driver, at, (uint32_t)address, 4);
	driver_write(driver, at + 4, address >> 32, 4);
}

void driver_set_queue(struct driver *driver, unsigned int index)
{
	struct driver_queue *vq = &driver->queues[index];
	uint64_t area = driver_alloc(driver, AREA);

	*vq = (struct driver_queue){
		.index = (uint16_t)index,
		.size = DRIVER_QUEUE_SIZE,
		.desc = area,
		.driver = area + 0x1000,
		.device = area + 0x2000,
		.tables = driver_alloc(driver, DRIVER_QUEUE_SIZE * TABLE_DESCS * 16),
		.wrap = true,
		.used_wrap = true,
		.nr_free = DRIVER_QUEUE_SIZE,
		.free_slots = DRIVER_QUEUE_SIZE,
		.irq = driver->irqs[1 + index],
		.doorbell = -1,
	};
	for (uint16_t i = 0; i < vq->size; i++)
		vq->free_ids[i] = (uint16_t)(vq->size - 1 - i);
	driver_write(driver, VIRTIO_PCI_COMMON_Q_SELECT, index, 2);
	driver_write(driver, VIRTIO_PCI_COMMON_Q_SIZE, vq->size, 2);
	if (!(driver->how & DRIVER_INTX))
		driver_write(driver, VIRTIO_PCI_COMMON_Q_MSIX, 1 + index, 2);
	write_address(driver, VIRTIO_PCI_COMMON_Q_DESCLO, vq->desc);
	write_address(driver, VIRTIO_PCI_COMMON_Q_AVAILLO, vq->driver);
	write_address(driver, VIRTIO_PCI_COMMON_Q_USEDLO, vq->device);
	driver_write(driver, VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
	if (driver->how & DRIVER_BY_EVENTFD)
		vq->doorbell = find_doorbell(driver, index);
}

static uint64_t features_of(unsigned int how)
{
	return 1ull << VIRTIO_F_VERSION_1 |
	       (how & DRIVER_PACKED ? 1ull << VIRTIO_F_RING_PACKED : 0) |
	       (how & DRIVER_EVENT_IDX ? 1ull << VIRTIO_RING_F_EVENT_IDX : 0) |
	       (how & DRIVER_INDIRECT ? 1ull << VIRTIO_RING_F_INDIRECT_DESC : 0);
}

bool driver_negotiate(struct driver *driver, uint64_t features)
{
	driver_set_status(driver, 0);
	must(!driver_status(driver), "a reset");
	driver_set_status(driver, 1);
	driver_set_status(driver, 3);
	for (unsigned int i = 0; i < 2; i++) {
		driver_write(driver, VIRTIO_PCI_COMMON_GFSELECT, i, 4);
		driver_write(driver, VIRTIO_PCI_COMMON_GF, (uint32_t)(features >> 32 * i), 4);
	}
	driver_set_status(driver, 3 | VIRTIO_CONFIG_S_FEATURES_OK);
	driver->features = features;
	if (!(driver->how & DRIVER_INTX))
		driver_write(driver, VIRTIO_PCI_COMMON_MSIX, 0, 2);
	return driver_status(driver) & VIRTIO_CONFIG_S_FEATURES_OK;
}

void driver_init(struct driver *driver, uint64_t more, unsigned int nr)
{
	driver->free = DRIVER_MEMORY_AT;
	must(driver_negotiate(driver, features_of(driver->how) | more), "features");
	for (unsigned int i = 0; i < nr; i++)
		driver_set_queue(driver, i);
	driver_set_status(driver, 3 | VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
}

/* ---- chains ---- */

static void put_split(struct driver *driver, struct driver_queue *vq, uint16_t id,
		      const struct driver_buffer *buffers, unsigned int nr, bool is_table)
{
	struct vring_desc *desc =
		driver_at(driver, is_table ? vq->tables + id * TABLE_DESCS * 16 : vq->desc);
	uint16_t at = is_table ? 0 : id;

	for (unsigned int i = 0; i < nr; i++) {
		uint16_t next =
			is_table || i + 1 == nr ? (uint16_t)(at + 1) : vq->free_ids[--vq->nr_free];

		desc[at] = (struct vring_desc){
			.addr = buffers[i].iova,
			.len = buffers[i].len,
			.flags = (uint16_t)((buffers[i].write ? VRING_DESC_F_WRITE : 0) |
					    (i + 1 < nr ? VRING_DESC_F_NEXT : 0)),
			.next = next,
		};
		at = next;
	}
}

static uint16_t add_split(struct driver *driver, struct driver_queue *vq,
			  const struct driver_buffer *buffers, unsigned int nr)
{
	uint16_t id = vq->free_ids[--vq->nr_free];
	uint16_t *avail = driver_at(driver, vq->driver);
	struct vring_desc *desc = driver_at(driver, vq->desc);
	bool is_table = driver->how & DRIVER_INDIRECT;

	put_split(driver, vq, id, buffers, nr, is_table);
	if (is_table)
		desc[id] = (struct vring_desc){
			.addr = vq->tables + id * TABLE_DESCS * 16,
			.len = nr * 16,
			.flags = VRING_DESC_F_INDIRECT,
		};
	avail[2 + vq->next % vq->size] = id;
	vq->next++;
	__atomic_store_n(&avail[1], vq->next, __ATOMIC_RELEASE);
	return id;
}

static void advance(const struct driver_queue *vq, uint16_t *place, bool *wrap, uint16_t n)
{
	*place += n;
	if (*place < vq->size)
		return;
	*place -= vq->size;
	*wrap = !*wrap;
}

static struct vring_packed_desc *packed_at(struct driver *driver, const struct driver_queue *vq,
					   uint16_t place)
{
	return (struct vring_packed_desc *)driver_at(driver, vq->desc) + place;
}

static uint16_t add_packed(struct driver *driver, struct driver_queue *vq,
			   const struct driver_buffer *buffers, unsigned int nr)
{
	uint16_t id = vq->free_ids[--vq->nr_free];
	bool is_table = driver->how & DRIVER_INDIRECT;
	struct vring_packed_desc *table = driver_at(driver, vq->tables + id * TABLE_DESCS * 16);
	struct vring_packed_desc *first = packed_at(driver, vq, vq->next);
	uint16_t first_flags = 0;
	unsigned int slots = is_table ? 1 : nr;

	must(slots <= vq->free_slots, "room");
	for (unsigned int i = 0; is_table && i < nr; i++)
		table[i] = (struct vring_packed_desc){
			.addr = buffers[i].iova,
			.len = buffers[i].len,
			.flags = buffers[i].write ? VRING_DESC_F_WRITE : 0,
		};
	for (unsigned int i = 0; i < slots; i++) {
		struct vring_packed_desc *desc = packed_at(driver, vq, vq->next);
		uint16_t flags = (uint16_t)((vq->wrap ? AVAIL : USED) |
					    (is_table	      ? VRING_DESC_F_INDIRECT :
					     buffers[i].write ? VRING_DESC_F_WRITE :
								0) |
					    (i + 1 < slots ? VRING_DESC_F_NEXT : 0));

		desc->addr = is_table ? vq->tables + id * TABLE_DESCS * 16 : buffers[i].iova;
		desc->len = is_table ? nr * 16 : buffers[i].len;
		desc->id = id;
		if (i)
			desc->flags = flags;
		else
			first_flags = flags;
		advance(vq, &vq->next, &vq->wrap, 1);
	}
	__atomic_store_n(&first->flags, first_flags, __ATOMIC_RELEASE);
	vq->slots[id] = (uint16_t)slots;
	vq->free_slots -= (uint16_t)slots;
	return id;
}

uint16_t driver_add(struct driver *driver, unsigned int queue, const struct driver_buffer *buffers,
		    unsigned int nr)
{
	struct driver_queue *vq = &driver->queues[queue];

	must(vq->nr_free >= (driver->how & DRIVER_INDIRECT ? 1 : nr), "room");
	return driver->how & DRIVER_PACKED ? add_packed(driver, vq, buffers, nr) :
					     add_split(driver, vq, buffers, nr);
}

void driver_kick(struct driver *driver, unsigned int queue)
{
	struct driver_queue *vq = &driver->queues[queue];

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (vq->doorbell >= 0)
		must(!eventfd_write(vq->doorbell, 1), "a doorbell");
	else
		driver_write(driver,
			     VIRTIO_BAR_NOTIFY + (uint64_t)queue * VIRTIO_BAR_NOTIFY_MULTIPLIER,
			     queue, 2);
}

/* The descriptors of a chain are free again. */
static void free_split(struct driver *driver, struct driver_queue *vq, uint16_t id)
{
	const struct vring_desc *desc = driver_at(driver, vq->desc);

	while (desc[id].flags & VRING_DESC_F_NEXT) {
		vq->free_ids[vq->nr_free++] = id;
		id = desc[id].next;
	}
	vq->free_ids[vq->nr_free++] = id;
}

static bool take_split(struct driver *driver, struct driver_queue *vq, uint16_t *id, uint32_t *len)
{
	uint16_t *index = driver_at(driver, vq->device + 2);
	struct vring_used_elem *used = driver_at(driver, vq->device + 4);

	if (__atomic_load_n(index, __ATOMIC_ACQUIRE) == vq->used)
		return false;
	used += vq->used % vq->size;
	must(used->id < vq->size, "an id that can be");
	*id = (uint16_t)used->id;
	*len = used->len;
	vq->used++;
	free_split(driver, vq, *id);
	/* Wants to hear of the next. */
	*(uint16_t *)driver_at(driver, vq->driver + 4 + 2u * vq->size) = vq->used;
	return true;
}

static bool take_packed(struct driver *driver, struct driver_queue *vq, uint16_t *id, uint32_t *len)
{
	const struct vring_packed_desc *desc = packed_at(driver, vq, vq->used);
	uint16_t flags = __atomic_load_n(&desc->flags, __ATOMIC_ACQUIRE);
	uint16_t *event = driver_at(driver, vq->driver);

	if (!!(flags & AVAIL) != vq->used_wrap || !!(flags & USED) != vq->used_wrap)
		return false;
	must(desc->id < vq->size, "an id that can be");
	*id = desc->id;
	*len = desc->len;
	advance(vq, &vq->used, &vq->used_wrap, vq->slots[*id]);
	vq->free_slots += vq->slots[*id];
	vq->free_ids[vq->nr_free++] = *id;
	event[0] = (uint16_t)(vq->used | vq->used_wrap << 15);
	event[1] = driver->how & DRIVER_EVENT_IDX ? VRING_PACKED_EVENT_FLAG_DESC : 0;
	return true;
}

bool driver_take(struct driver *driver, unsigned int queue, uint16_t *id, uint32_t *len)
{
	struct driver_queue *vq = &driver->queues[queue];
	bool taken = driver->how & DRIVER_PACKED ? take_packed(driver, vq, id, len) :
						   take_split(driver, vq, id, len);

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return taken;
}

/* ---- waiting ---- */

static void await_irq(struct driver *driver, int fd, const char *what)
{
	int64_t deadline = 0;

	while (!peer_eventfd_take(fd)) {
		must(peer_time_left(&deadline), what);
		must(!fpc_turn(driver->client, 2), "the connection");
	}
}

uint32_t driver_await(struct driver *driver, unsigned int queue, uint16_t *id)
{
	struct driver_queue *vq = &driver->queues[queue];
	uint32_t len;

	while (!driver_take(driver, queue, id, &len)) {
		if (driver->how & DRIVER_INTX) {
			await_irq(driver, driver->intx, "INTx");
			driver_read(driver, VIRTIO_BAR_ISR, 1);
			fpc_set_irqs(driver->client, FPC_IRQ_DATA_NONE | FPC_IRQ_ACTION_UNMASK,
				     FP_INTX, 0, 1, NULL);
		} else {
			await_irq(driver, vq->irq, "a queue's interrupt");
		}
	}
	return len;
}

uint32_t driver_do(struct driver *driver, unsigned int queue, const struct driver_buffer *buffers,
		   unsigned int nr)
{
	uint16_t id = driver_add(driver, queue, buffers, nr);
	uint16_t used;
	uint32_t len;

	driver_kick(driver, queue);
	len = driver_await(driver, queue, &used);
	must(id == used, "the chain that was made available");
	return len;
}

void driver_await_failure(struct driver *driver)
{
	if (driver->how & DRIVER_INTX)
		await_irq(driver, driver->intx, "INTx");
	else
		await_irq(driver, driver->irqs[0], "the configuration's interrupt");
	must(driver_status(driver) & VIRTIO_CONFIG_S_NEEDS_RESET, "DEVICE_NEEDS_RESET");
}

/* ---- life ---- */

void driver_attach(struct driver *driver, const struct device_server *server, unsigned int how,
		   const struct driver *with)
{
	struct fpc_irq_info info;
	uint32_t nr;

	if (with)
		*driver = *with;
	driver->client = device_server_connect(server);
	driver->how = how;
	driver->server = *server;
	if (!with) {
		driver->memfd = memfd_create("guest", MFD_CLOEXEC);
		must(driver->memfd >= 0 && !ftruncate(driver->memfd, DRIVER_MEMORY_BYTES), "memfd");
		driver->memory = mmap(NULL, DRIVER_MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
				      driver->memfd, 0);
		must(driver->memory != MAP_FAILED, "mmap");
		driver->free = DRIVER_MEMORY_AT;
	}
	map(driver);
	must(!fpc_irq_info(driver->client, FP_MSIX, &info), "irqs");
	nr = info.count < DRIVER_QUEUES + 1 ? info.count : DRIVER_QUEUES + 1;
	if (how & DRIVER_INTX)
		must(!fpc_irqs_open(driver->client, FP_INTX, 0, 1, &driver->intx), "INTx");
	else
		must(!fpc_irqs_open(driver->client, FP_MSIX, 0, nr, driver->irqs), "MSI-X");
	for (unsigned int i = 0; with && i < DRIVER_QUEUES; i++)
		driver->queues[i].irq = driver->irqs[1 + i];
}

void driver_start(struct driver *driver, const char *device, unsigned int how)
{
	struct device_server server;

	device_server_start(&server, device);
	*driver = (struct driver){ 0 };
	driver_attach(driver, &server, how, NULL);
}

void driver_detach(struct driver *driver)
{
	fpc_close(driver->client);
	driver->client = NULL;
}

void driver_stop(struct driver *driver)
{
	if (driver->client)
		driver_detach(driver);
	must(!device_server_stop(&driver->server), "the server ends well");
}
