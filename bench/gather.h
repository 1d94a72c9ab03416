/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * gather: a client that keeps writes to one place of a device until there are so many, and sends
 * them as one REGION_WRITE_MULTI.
 */
#ifndef BENCH_GATHER_H
#define BENCH_GATHER_H

#include "fastpath-client.h"

/* Writes of one message. */
#define GATHER_WRITES 16u

struct gather {
	struct fpc *client;
	uint32_t region;
	uint64_t offset;
	struct fpc_write writes[GATHER_WRITES];
	size_t nr; /* that are kept */
};

/* Nothing is kept. */
void gather_begin(struct gather *gather, struct fpc *client, uint32_t region, uint64_t offset);

/* Keeps a write of up to 8 bytes; the last that fits is back when all have been answered. -errno. */
int gather_write(struct gather *gather, const void *data, uint32_t len);

#endif
