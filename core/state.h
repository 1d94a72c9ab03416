/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * state: what of a device travels in a migration stream, and in which form.
 *
 * A header names the format and the class. Chunks follow, each with its length: any number of early
 * ones, then the device's own state, then what the core keeps for it: configuration space, MSI-X
 * table, rings that were kept, interrupts that wait. Numbers are the host's, as in all of
 * vfio-user; the magic number tells another byte order.
 */
#ifndef FASTPATH_STATE_H
#define FASTPATH_STATE_H

#include "device.h"
#include "stream.h"

#define STATE_MAGIC 0x4554415453504600ull /* "\0FPSTATE" */
#define STATE_VERSION 1u

/* The class's name follows. */
struct state_header {
	uint64_t magic;
	uint32_t version;
	uint32_t name_bytes;
};

enum state_chunk_type {
	STATE_EARLY = 1, /* of the class's precopy() */
	STATE_DEVICE,	 /* of its save() */
	STATE_CONFIG,
	STATE_MSIX,
	STATE_RINGS, /* u64 for every doorbell: how often it rang unheard */
	STATE_IRQS,  /* u8 for every interrupt: whether it waits to be fired */
	STATE_END
};

/* That many bytes follow. */
struct state_chunk {
	uint32_t type;
	uint32_t reserved; /* 0 */
	uint64_t bytes;
};

/* Begins a stream that is empty. -ENOMEM. */
int state_begin(const struct fp_device *dev, struct fp_stream *to);

/* Appends a piece of the state while the device runs, if it has one; 0 or -errno, nothing then. */
int state_save_early(struct fp_device *dev, struct fp_stream *to);

/* Appends all the rest. 0; -errno, and nothing is appended. */
int state_save(struct fp_device *dev, struct fp_stream *to);

/*
 * Puts the device into the state that all of `from`, unread so far, describes. -EINVAL when it is
 * not exactly the stream of such a device, or another -errno of the class's load(): the device's
 * state is anything then. The log says what was wrong.
 */
int state_load(struct fp_device *dev, struct fp_stream *from);

#endif
