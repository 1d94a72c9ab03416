/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * transfer: a device's reads and writes of guest memory, by whatever the client has mapped it with.
 */
#ifndef FASTPATH_TRANSFER_H
#define FASTPATH_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fastpath.h"

/* What a struct fp_dma_op has in its `core`. */
struct transfer {
	struct fp_device *dev;
	struct transfer *next; /* in the device's list, while a message is under way */
	uint64_t iova;	       /* of what is left */
	uint8_t *at;
	size_t left;	/* bytes */
	uint32_t asked; /* of them, by the message */
	uint16_t msg_id;
	bool write;
} __attribute__((may_alias));

/* The transfer that waits for the answer to message `msg_id`, or NULL. */
struct transfer *transfer_find(const struct fp_device *dev, uint16_t msg_id);

/*
 * The answer has come: `ret` is -errno, or how many bytes went; a read's are at `data`. Goes on with
 * the rest, or ends the transfer.
 */
void transfer_answered(struct transfer *transfer, ssize_t ret, const uint8_t *data);

/* The one that has waited longest for an answer, or NULL. */
struct transfer *transfer_oldest(const struct fp_device *dev);

/* Ends those that wait for the client with `ret`: it is gone, or has taken too long. */
void transfer_abandon(struct fp_device *dev, int ret);

#endif
