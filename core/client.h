/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * client: the other end of the protocol, a vfio-user client on a ring.
 *
 * A client and all its calls belong to the thread that opened it. Calls are synchronous: each is
 * one message and its reply, in one io_uring_enter() in the steady state. Unless stated otherwise
 * a call returns 0, or the -errno that the server answered with, or
 *   -ECONNRESET  the server is gone (and stays gone: the client has to be closed),
 *   -EPROTO      the server answered something that the protocol does not allow,
 *   -ETIMEDOUT   no answer within the deadline; the connection can't be used any more.
 * Nothing a server sends is trusted: sizes, counts and indexes are checked before they are handed
 * out. What it says of io fds is checked for its form only; whether they may be installed is for
 * their user to say (kvmfd/iofd_install).
 */
#ifndef FASTPATH_CLIENT_H
#define FASTPATH_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ring.h"
#include "wire.h"

struct client;

struct client_options {
	struct ring_wait wait;	 /* how to wait for an answer; zeroed: block */
	unsigned int timeout_ms; /* for an answer; 0: 5,000 */
};

/*
 * Connects to the UNIX socket `path` and negotiates VERSION. On success *out is to be given to
 * client_close(). -errno of connect() when nobody listens, and as above.
 */
int client_connect(const char *path, const struct client_options *options, struct client **out);

/* The same over a connected socket. Takes `fd`, also on failure. */
int client_open(int fd, const struct client_options *options, struct client **out);

/* Closes the connection and frees the client; NULL is nothing. */
void client_close(struct client *client);

/* Changes how answers are waited for. */
void client_set_wait(struct client *client, struct ring_wait wait);

/* What the two ends agreed on. */
struct client_limits {
	uint16_t minor;
	uint32_t max_msg_fds;	/* the server takes so many in a message */
	uint64_t max_data_xfer; /* bytes */
	uint64_t max_dma_maps;
};

const struct client_limits *client_limits(const struct client *client);

/* DEVICE_GET_INFO. */
int client_device_info(struct client *client, struct wire_device_info *info);

/*
 * DEVICE_GET_REGION_INFO, the fixed part. *fd is the region's file for mmap, the caller's to close,
 * or -1; `fd` may be NULL.
 */
int client_region_info(struct client *client, uint32_t index, struct wire_region_info *info,
		       int *fd);

/* DEVICE_GET_IRQ_INFO. */
int client_irq_info(struct client *client, uint32_t index, struct wire_irq_info *info);

/* A sub-region and the fd that stands for it, whichever layout the server uses. */
struct client_io_fd {
	uint64_t offset; /* from the region's start, bytes */
	uint64_t size;	 /* bytes; 0: any access width */
	uint32_t type;	 /* WIRE_IO_FD_* */
	uint32_t flags;
	uint64_t datamatch;
	uint64_t user_data; /* ioregionfd */
	uint32_t fd_index;
	int fd; /* the set's; entries may share one. -1: fd_index names none that was sent */
};

struct client_io_fds {
	uint32_t nr_entries;
	uint32_t nr_fds;
	struct client_io_fd *entries;
	int *fds; /* the set's */
};

/*
 * DEVICE_GET_REGION_IO_FDS for region `index`, in either layout, asked again when the first answer
 * does not fit. A region without any is a set of none. The set is to be given to
 * client_io_fds_free(). -EPROTO when count, argsz and the length of the answer don't agree.
 */
int client_region_io_fds(struct client *client, uint32_t index, struct client_io_fds *set);

/* Closes the set's fds and frees its memory. */
void client_io_fds_free(struct client_io_fds *set);

/* REGION_READ of `count` bytes at `offset` into `data`; -EPROTO when the answer is shorter. */
int client_region_read(struct client *client, uint32_t region, uint64_t offset, void *data,
		       uint32_t count);

/* REGION_WRITE, answered. */
int client_region_write(struct client *client, uint32_t region, uint64_t offset, const void *data,
			uint32_t count);

/* REGION_WRITE with NO_REPLY: returns when the message is on its way. */
int client_region_post(struct client *client, uint32_t region, uint64_t offset, const void *data,
		       uint32_t count);

/*
 * DMA_MAP of [address, address + size), backed by `fd` (borrowed; -1: none) from `offset`; flags
 * are WIRE_DMA_*.
 */
int client_dma_map(struct client *client, int fd, uint64_t offset, uint64_t address, uint64_t size,
		   uint32_t flags);

/* DMA_UNMAP of exactly that window. */
int client_dma_unmap(struct client *client, uint64_t address, uint64_t size);

/*
 * DEVICE_SET_IRQS. `flags` are WIRE_IRQ_*. With DATA_EVENTFD `data` is `count` ints, fds that stay
 * the caller's, or NULL to de-assign; with DATA_BOOL it is `count` bytes; else NULL.
 */
int client_set_irqs(struct client *client, uint32_t flags, uint32_t index, uint32_t start,
		    uint32_t count, const void *data);

/* DEVICE_RESET. */
int client_reset(struct client *client);

/*
 * Any command: `body` of `body_len` bytes and `nr_fds` fds (borrowed) go out, and the reply's body, at
 * most `reply_max` bytes of it, comes in. Returns the length of the whole reply body, bytes.
 */
ssize_t client_call(struct client *client, enum wire_cmd cmd, const void *body, size_t body_len,
		    const int *fds, unsigned int nr_fds, void *reply, size_t reply_max);

#endif
