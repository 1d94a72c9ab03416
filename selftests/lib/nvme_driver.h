/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nvme_driver: a driver of an NVMe controller at a socket, by the client library.
 *
 * What goes wrong in here ends the test: one line says what, abort(). Everything waits for at most
 * PEER_DEADLINE_MS. The driver is careful; a test that is not writes to the queues itself.
 */
#ifndef FASTPATH_SELFTESTS_NVME_DRIVER_H
#define FASTPATH_SELFTESTS_NVME_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device_server.h"
#include "nvme_spec.h"

#define NVMED_MEMORY_AT 0x40000000ull
#define NVMED_MEMORY_BYTES (16u << 20)
#define NVMED_QUEUES 3u /* the admin queue and two more */
#define NVMED_ENTRIES 16u

enum {
	NVMED_BY_MESSAGE = 1 << 0, /* the device reaches memory by message */
	NVMED_SHADOW = 1 << 1,	   /* I/O queues have shadow doorbells */
	NVMED_BY_EVENTFD = 1 << 2, /* and ring by eventfd */
	NVMED_INTX = 1 << 3,
};

struct nvmed_queue {
	uint16_t id;
	uint64_t sq, cq; /* iovas */
	uint32_t tail, head;
	bool phase;
	int irq;
	int doorbell; /* an eventfd; -1: by message */
};

struct nvmed {
	struct device_server server;
	struct fpc *client;
	unsigned int how;
	int memfd;
	uint8_t *memory;
	uint64_t free;
	uint64_t shadow, events; /* iovas; 0: none */
	uint64_t rings;		 /* doorbells of I/O queues that were written or rung */
	uint16_t cid;
	int irqs[NVMED_QUEUES];
	int intx;
	struct nvmed_queue queues[NVMED_QUEUES];
};

/* Starts a server of `device` ("nvme,...") and connects; the device is as after power-on. */
void nvmed_start(struct nvmed *driver, const char *device, unsigned int how);

/* A server that is there already; with the memory and queues of `with`, if any. */
void nvmed_attach(struct nvmed *driver, const struct device_server *server, unsigned int how,
		  const struct nvmed *with);

/* Ends the server, which has to end well. */
void nvmed_stop(struct nvmed *driver);

/* Reset, the admin queue, I/O queues, shadow doorbells as `how` says. */
void nvmed_init(struct nvmed *driver);

/* CC.EN=0 and CSTS.RDY=0; CC.EN=1 with an admin queue and CSTS.RDY=1. */
void nvmed_reset(struct nvmed *driver);
void nvmed_enable(struct nvmed *driver);

uint64_t nvmed_read(struct nvmed *driver, uint64_t offset, uint32_t bytes);
void nvmed_write(struct nvmed *driver, uint64_t offset, uint64_t value, uint32_t bytes);

/* Memory that both can see: `bytes` of it, aligned to 4,096, zeroed; where that is. */
uint64_t nvmed_alloc(struct nvmed *driver, size_t bytes);
void *nvmed_at(struct nvmed *driver, uint64_t iova);

/* Puts a command into a queue and tells the device: its id. */
uint16_t nvmed_submit(struct nvmed *driver, unsigned int id, struct nvme_sqe sqe);

/* Takes a completion, if there is any, or waits for an interrupt and takes it. */
bool nvmed_take(struct nvmed *driver, unsigned int queue, struct nvme_cqe *cqe);
struct nvme_cqe nvmed_await(struct nvmed *driver, unsigned int id);

/* Both: the status without its phase and without "do not retry". */
uint16_t nvmed_do(struct nvmed *driver, unsigned int id, struct nvme_sqe sqe, uint32_t *result);

/* Creates I/O queue `id`, both halves. */
void nvmed_create(struct nvmed *driver, unsigned int id);

#endif
