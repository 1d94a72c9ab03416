/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio_driver: a driver of a virtio device at a socket, by the client library.
 *
 * What goes wrong in here ends the test: one line says what, abort(). Everything waits for at most
 * PEER_DEADLINE_MS. The driver is careful; a test that is not writes to the queue's memory itself.
 */
#ifndef FASTPATH_SELFTESTS_VIRTIO_DRIVER_H
#define FASTPATH_SELFTESTS_VIRTIO_DRIVER_H

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device_server.h"

#define DRIVER_MEMORY_AT 0x40000000ull
#define DRIVER_MEMORY_BYTES (16u << 20)
#define DRIVER_QUEUES 5u
#define DRIVER_QUEUE_SIZE 16u

enum {
	DRIVER_PACKED = 1 << 0,
	DRIVER_EVENT_IDX = 1 << 1,
	DRIVER_INDIRECT = 1 << 2,   /* and every chain goes by a table */
	DRIVER_BY_MESSAGE = 1 << 3, /* the device reaches memory by message */
	DRIVER_BY_EVENTFD = 1 << 4, /* it is notified by its doorbells' eventfds */
	DRIVER_INTX = 1 << 5,
};

struct driver_queue {
	uint16_t index;
	uint16_t size;
	uint64_t desc, driver, device; /* iovas */
	uint64_t tables;	       /* of indirect descriptors, one for each id */
	/* split: free-running; packed: places */
	uint16_t next, used;
	bool wrap, used_wrap;
	uint16_t free_ids[256];
	uint16_t nr_free;
	uint16_t slots[256]; /* by id */
	uint16_t free_slots;
	int irq;      /* an eventfd */
	int doorbell; /* an eventfd; -1: notified by message */
};

struct driver {
	struct device_server server;
	struct fpc *client;
	unsigned int how;
	int memfd;
	uint8_t *memory;
	uint64_t features; /* agreed on */
	uint64_t free;	   /* iova of memory that is not used yet */
	int irqs[DRIVER_QUEUES + 1];
	int intx;
	struct driver_queue queues[DRIVER_QUEUES];
};

struct driver_buffer {
	uint64_t iova;
	uint32_t len;
	bool write; /* by the device */
};

/* Starts a server of `device` ("virtio-rng,...") and connects; the device is as after power-on. */
void driver_start(struct driver *driver, const char *device, unsigned int how);

/* A server that is there already; with memory of its own, or that of `with`. */
void driver_attach(struct driver *driver, const struct device_server *server, unsigned int how,
		   const struct driver *with);
void driver_detach(struct driver *driver);

/* Ends the server, which has to end well. */
void driver_stop(struct driver *driver);

/* Reset, features (those of `how`, and `more`), `nr` queues, DRIVER_OK. */
void driver_init(struct driver *driver, uint64_t more, unsigned int nr);

/* The same in steps. Whether the device takes the features. */
bool driver_negotiate(struct driver *driver, uint64_t features);
void driver_set_queue(struct driver *driver, unsigned int index);
uint64_t driver_offered(struct driver *driver);
void driver_set_status(struct driver *driver, uint8_t status);
uint8_t driver_status(struct driver *driver);

/* The registers of BAR0. */
uint64_t driver_read(struct driver *driver, uint64_t offset, uint32_t bytes);
void driver_write(struct driver *driver, uint64_t offset, uint64_t value, uint32_t bytes);

/* Memory that both can see: `bytes` of it, aligned to 4,096, zeroed; where that is. */
uint64_t driver_alloc(struct driver *driver, size_t bytes);
void *driver_at(struct driver *driver, uint64_t iova);

/* Makes a chain available; its id. */
uint16_t driver_add(struct driver *driver, unsigned int queue, const struct driver_buffer *buffers,
		    unsigned int nr);
void driver_kick(struct driver *driver, unsigned int queue);

/* Takes one that was used, if there is any. */
bool driver_take(struct driver *driver, unsigned int queue, uint16_t *id, uint32_t *len);

/* Waits for an interrupt and takes it: how many bytes were written. */
uint32_t driver_await(struct driver *driver, unsigned int queue, uint16_t *id);

/* All three for one chain. */
uint32_t driver_do(struct driver *driver, unsigned int queue, const struct driver_buffer *buffers,
		   unsigned int nr);

/* Waits until the device says that it needs a reset, by the interrupt for that. */
void driver_await_failure(struct driver *driver);

#endif
