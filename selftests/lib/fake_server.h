/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_server: a vfio-user server that says what a test wants it to say, true or not.
 *
 * It is a child process that ends with the test. What it is to say and what it has seen is in
 * memory that both share; the former is to be set up before fake_server_start().
 */
#ifndef FASTPATH_SELFTESTS_FAKE_SERVER_H
#define FASTPATH_SELFTESTS_FAKE_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "fastpath-client.h"
#include "wire.h"

#define FAKE_NR_REGIONS 9u
#define FAKE_CONFIG 7u
#define FAKE_MAX_IO_FDS 8u

struct fake_server {
	/* To be said: by fake_server_new() a PCI device without BARs. */
	struct wire_device_info info;
	uint64_t sizes[FAKE_NR_REGIONS];
	uint8_t config[256];				    /* as it is now: writes go there */
	struct wire_io_fd_deployed io_fds[FAKE_MAX_IO_FDS]; /* of every BAR; one eventfd */
	uint32_t nr_io_fds;

	/* What goes wrong at command `trouble_cmd`, but for the first `trouble_after` of it. */
	enum {
		FAKE_NO_TROUBLE,
		FAKE_ERROR,   /* answers with EINVAL */
		FAKE_DEATH,   /* dies */
		FAKE_SILENCE, /* does not answer */
	} trouble;
	enum wire_cmd trouble_cmd;
	unsigned int trouble_after;

	/* Has been seen. */
	unsigned int calls[WIRE_CMD_END];
	unsigned int posted;
	uint64_t dma_address, dma_size, dma_offset; /* of the last DMA_MAP */
	bool dma_fd;
	uint32_t last_region;
	uint64_t last_offset;
	uint64_t last_value; /* of a write to a BAR */
};

/* In shared memory; lives as long as the test. Never NULL. */
struct fake_server *fake_server_new(void);

/* Starts it and connects a client that waits for `timeout_ms` for an answer; 0 or -errno. */
int fake_server_connect(struct fake_server *server, unsigned int timeout_ms, struct fpc **client);

#endif
