/* SPDX-License-Identifier: BSD-3-Clause */
#include "nvme_driver.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fastpath-client.h"
#include "fastpath.h"
#include "peer.h"

#define PAGE 4096u

static void must(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "# nvme_driver: %s\n", what);
	abort();
}

/* ---- registers and memory ---- */

uint64_t nvmed_read(struct nvmed *driver, uint64_t offset, uint32_t bytes)
{
	uint64_t value = 0;

	must(!fpc_region_read(driver->client, FP_BAR0, offset, &value, bytes), "read");
	return value;
}

void nvmed_write(struct nvmed *driver, uint64_t offset, uint64_t value, uint32_t bytes)
{
	must(!fpc_region_write(driver->client, FP_BAR0, offset, &value, bytes), "write");
}

void *nvmed_at(struct nvmed *driver, uint64_t iova)
{
	return driver->memory + (iova - NVMED_MEMORY_AT);
}

uint64_t nvmed_alloc(struct nvmed *driver, size_t bytes)
{
	uint64_t at = driver->free;

	driver->free += (bytes + PAGE - 1) / PAGE * PAGE;
	must(driver->free <= NVMED_MEMORY_AT + NVMED_MEMORY_BYTES, "memory");
	memset(nvmed_at(driver, at), 0, bytes);
	return at;
}

static void map(struct nvmed *driver)
{
	uint32_t flags = FPC_DMA_READABLE | FPC_DMA_WRITEABLE;
	int ret;

	if (driver->how & NVMED_BY_MESSAGE)
		ret = fpc_dma_map_memory(driver->client, driver->memory, NVMED_MEMORY_AT,
					 NVMED_MEMORY_BYTES, flags);
	else
		ret = fpc_dma_map(driver->client, driver->memfd, 0, NVMED_MEMORY_AT,
				  NVMED_MEMORY_BYTES, flags);
	must(!ret, "map");
}

/* ---- doorbells ---- */

static int find_doorbell(struct nvmed *driver, unsigned int id)
{
	struct fpc_io_fds set;
	int fd = -1;

	must(!fpc_region_io_fds(driver->client, FP_BAR0, &set), "io fds");
	for (uint32_t i = 0; i < set.nr_entries; i++)
		if (set.entries[i].offset == NVME_DOORBELLS + 8 * id && !set.entries[i].size)
			fd = dup(set.entries[i].fd);
	fpc_io_fds_free(&set);
	must(fd >= 0, "a doorbell of any width");
	return fd;
}

/* As Linux has it, nvme_dbbuf_update_and_check_event(): whether the device wants to hear of it. */
static bool wants_ring(struct nvmed *driver, uint64_t offset, uint32_t value)
{
	uint32_t *shadow = nvmed_at(driver, driver->shadow + offset);
	const uint32_t *event = nvmed_at(driver, driver->events + offset);
	uint16_t old = (uint16_t)*shadow;

	__atomic_store_n(shadow, value, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return (uint16_t)(value - __atomic_load_n(event, __ATOMIC_RELAXED) - 1) <
	       (uint16_t)(value - old);
}

static void ring(struct nvmed *driver, const struct nvmed_queue *queue, bool head, uint32_t value)
{
	uint64_t offset = 8ull * queue->id + (head ? 4 : 0);

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (queue->id && driver->shadow && !wants_ring(driver, offset, value))
		return;
	driver->rings += queue->id != 0;
	if (queue->doorbell >= 0)
		must(!eventfd_write(queue->doorbell, 1), "a doorbell");
	else
		nvmed_write(driver, NVME_DOORBELLS + offset, value, 4);
}

/* ---- commands ---- */

uint16_t nvmed_submit(struct nvmed *driver, unsigned int id, struct nvme_sqe sqe)
{
	struct nvmed_queue *queue = &driver->queues[id];
	struct nvme_sqe *at = nvmed_at(driver, queue->sq);

	sqe.cid = driver->cid++;
	at[queue->tail] = sqe;
	queue->tail = (queue->tail + 1) % NVMED_ENTRIES;
	ring(driver, queue, false, queue->tail);
	return sqe.cid;
}

bool nvmed_take(struct nvmed *driver, unsigned int id, struct nvme_cqe *cqe)
{
	struct nvmed_queue *queue = &driver->queues[id];
	const struct nvme_cqe *at = nvmed_at(driver, queue->cq);

	at += queue->head;
	if ((__atomic_load_n(&at->status, __ATOMIC_ACQUIRE) & 1) != queue->phase)
		return false;
	*cqe = *at;
	must(cqe->sq_id == id, "a completion of this queue");
	queue->head++;
	if (queue->head == NVMED_ENTRIES) {
		queue->head = 0;
		queue->phase = !queue->phase;
	}
	ring(driver, queue, true, queue->head);
	return true;
}

struct nvme_cqe nvmed_await(struct nvmed *driver, unsigned int id)
{
	int fd = driver->how & NVMED_INTX ? driver->intx : driver->irqs[id];
	struct nvme_cqe cqe;
	int64_t deadline = 0;

	while (!nvmed_take(driver, id, &cqe)) {
		while (!peer_eventfd_take(fd)) {
			must(peer_time_left(&deadline), "a completion's interrupt");
			must(!fpc_turn(driver->client, 2), "the connection");
		}
		if (driver->how & NVMED_INTX)
			must(!fpc_set_irqs(driver->client,
					   FPC_IRQ_DATA_NONE | FPC_IRQ_ACTION_UNMASK, FP_INTX, 0, 1,
					   NULL),
			     "unmask");
	}
	return cqe;
}

uint16_t nvmed_do(struct nvmed *driver, unsigned int id, struct nvme_sqe sqe, uint32_t *result)
{
	uint16_t cid = nvmed_submit(driver, id, sqe);
	struct nvme_cqe cqe = nvmed_await(driver, id);

	must(cqe.cid == cid, "the command that was submitted");
	if (result)
		*result = cqe.result;
	return cqe.status >> 1 & ~NVME_DO_NOT_RETRY;
}

/* ---- life ---- */

static void await_ready(struct nvmed *driver, uint64_t ready)
{
	int64_t deadline = 0;

	while ((nvmed_read(driver, NVME_CSTS, 4) & NVME_CSTS_RDY) != ready)
		must(peer_time_left(&deadline), "CSTS.RDY");
}

void nvmed_reset(struct nvmed *driver)
{
	nvmed_write(driver, NVME_CC, 0, 4);
	await_ready(driver, 0);
	driver->shadow = driver->events = 0;
}

static void set_queue(struct nvmed *driver, unsigned int id)
{
	driver->queues[id] = (struct nvmed_queue){
		.id = (uint16_t)id,
		.sq = nvmed_alloc(driver, NVMED_ENTRIES * sizeof(struct nvme_sqe)),
		.cq = nvmed_alloc(driver, NVMED_ENTRIES * sizeof(struct nvme_cqe)),
		.phase = true,
		.doorbell = id && driver->how & NVMED_BY_EVENTFD ? find_doorbell(driver, id) : -1,
	};
}

void nvmed_enable(struct nvmed *driver)
{
	set_queue(driver, 0);
	nvmed_write(driver, NVME_AQA, (NVMED_ENTRIES - 1) * 0x10001u, 4);
	nvmed_write(driver, NVME_ASQ, driver->queues[0].sq, 8);
	nvmed_write(driver, NVME_ACQ, driver->queues[0].cq, 8);
	nvmed_write(driver, NVME_CC, 6u << 16 | 4u << 20 | NVME_CC_EN, 4);
	await_ready(driver, 1);
}

void nvmed_create(struct nvmed *driver, unsigned int id)
{
	uint32_t cdw10 = id | (NVMED_ENTRIES - 1) << 16;
	uint32_t vector = driver->how & NVMED_INTX ? 0 : id;

	set_queue(driver, id);
	must(!nvmed_do(driver, 0,
		       (struct nvme_sqe){ .opcode = NVME_ADMIN_CREATE_CQ,
					  .prp1 = driver->queues[id].cq,
					  .cdw10 = cdw10,
					  .cdw11 = vector << 16 | 3 },
		       NULL),
	     "a completion queue");
	must(!nvmed_do(driver, 0,
		       (struct nvme_sqe){ .opcode = NVME_ADMIN_CREATE_SQ,
					  .prp1 = driver->queues[id].sq,
					  .cdw10 = cdw10,
					  .cdw11 = id << 16 | 1 },
		       NULL),
	     "a submission queue");
}

void nvmed_init(struct nvmed *driver)
{
	nvmed_reset(driver);
	driver->free = NVMED_MEMORY_AT;
	nvmed_enable(driver);
	for (unsigned int i = 1; i < NVMED_QUEUES; i++)
		nvmed_create(driver, i);
	if (!(driver->how & NVMED_SHADOW))
		return;
	driver->shadow = nvmed_alloc(driver, PAGE);
	driver->events = nvmed_alloc(driver, PAGE);
	must(!nvmed_do(driver, 0,
		       (struct nvme_sqe){ .opcode = NVME_ADMIN_DOORBELL_BUFFER,
					  .prp1 = driver->shadow,
					  .prp2 = driver->events },
		       NULL),
	     "shadow doorbells");
}

void nvmed_attach(struct nvmed *driver, const struct device_server *server, unsigned int how,
		  const struct nvmed *with)
{
	if (with)
		*driver = *with;
	driver->client = device_server_connect(server);
	driver->how = how;
	driver->server = *server;
	if (!with) {
		driver->memfd = memfd_create("guest", MFD_CLOEXEC);
		must(driver->memfd >= 0 && !ftruncate(driver->memfd, NVMED_MEMORY_BYTES), "memfd");
		driver->memory = mmap(NULL, NVMED_MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
				      driver->memfd, 0);
		must(driver->memory != MAP_FAILED, "mmap");
		driver->free = NVMED_MEMORY_AT;
	}
	map(driver);
	if (how & NVMED_INTX)
		must(!fpc_irqs_open(driver->client, FP_INTX, 0, 1, &driver->intx), "INTx");
	else
		must(!fpc_irqs_open(driver->client, FP_MSIX, 0, NVMED_QUEUES, driver->irqs),
		     "MSI-X");
	for (unsigned int i = 1; with && i < NVMED_QUEUES; i++)
		if (how & NVMED_BY_EVENTFD)
			driver->queues[i].doorbell = find_doorbell(driver, i);
}

void nvmed_start(struct nvmed *driver, const char *device, unsigned int how)
{
	struct device_server server;

	device_server_start(&server, device);
	*driver = (struct nvmed){ 0 };
	nvmed_attach(driver, &server, how, NULL);
}

void nvmed_stop(struct nvmed *driver)
{
	if (driver->client)
		fpc_close(driver->client);
	must(!device_server_stop(&driver->server), "the server ends well");
}
