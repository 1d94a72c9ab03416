/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * client: the other end of the protocol, a vfio-user client on a ring.
 *
 * A client and all its calls belong to the thread that opened it. Calls are synchronous unless
 * their name says "submit": each is one message and its reply, in one io_uring_enter() in the
 * steady state. Unless stated otherwise a call returns 0, or the -errno that the server answered
 * with, or
 *   -ECONNRESET  the server is gone: the client has to be closed or reconnected,
 *   -EPROTO      the server answered something that the protocol does not allow,
 *   -ETIMEDOUT   no answer within the deadline; the connection can't be used any more,
 *   -EDEADLK     called from within a callback, where nothing can be waited for,
 *   -EBUSY       too many calls are in flight.
 * Nothing a server sends is trusted: sizes, counts and indexes are checked before they are handed
 * out. What it says of io fds is checked for its form only; whether they may be installed is for
 * their user to say.
 *
 * The server's own commands (DMA_READ, DMA_WRITE) are served while the client waits for an answer
 * and in client_turn(); a client that has mapped memory without a file has to come back to one of
 * them often enough.
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

enum {
	CLIENT_RECONNECTS = 1 << 0,	  /* remember what client_reconnect() has to repeat */
	CLIENT_RECONNECT_RESETS = 1 << 1, /* and let it reset the device, too */
	CLIENT_NO_TWIN_SOCKET = 1 << 2,	  /* the server's commands come by the one socket */
};

struct client_options {
	struct ring_wait wait;	 /* how to wait for an answer; zeroed: block */
	unsigned int timeout_ms; /* for an answer; 0: 5,000 */
	unsigned int flags;	 /* CLIENT_* */
};

/*
 * Connects to the UNIX socket `path` and negotiates VERSION. On success *out is to be given to
 * client_close(). -errno of connect() when nobody listens, and as above.
 */
int client_connect(const char *path, const struct client_options *options, struct client **out);

/* The same over a connected socket. Takes `fd`, also on failure. */
int client_open(int fd, const struct client_options *options, struct client **out);

/* Closes the connection and frees the client; NULL is nothing. Not to be called in a callback. */
void client_close(struct client *client);

/* Changes how answers are waited for. */
void client_set_wait(struct client *client, struct ring_wait wait);

/* What the two ends agreed on. */
struct client_limits {
	uint16_t minor;
	uint32_t max_msg_fds;	/* the server takes so many in a message */
	uint64_t max_data_xfer; /* bytes */
	uint64_t max_dma_maps;
	uint64_t pgsizes;    /* of DMA windows: the OR of the sizes */
	bool write_multiple; /* REGION_WRITE_MULTI can be used */
	bool twin_socket;    /* the server's commands have a socket of their own */
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
	uint32_t
		entry_bytes; /* as the server lays one out: 40 (published), 48 (deployed) or more */
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

/* ---- regions ---- */

struct client_area {
	uint64_t offset; /* from the region's start, bytes */
	uint64_t size;
};

/* A capability that the region has, known here or not. */
struct client_region_cap {
	uint16_t id;
	uint16_t version;
};

#define CLIENT_MAX_REGION_CAPS 16u

/* Everything that DEVICE_GET_REGION_INFO tells, checked. */
struct client_region {
	uint32_t index;
	uint32_t flags; /* WIRE_REGION_* */
	uint64_t size;
	uint64_t offset; /* of the region in its file */
	int fd;		 /* its file, for client_region_map(); -1: none */
	bool sealed;	 /* the file can't shrink: mappings of it stay good */

	bool has_sparse; /* only these areas may be mapped */
	uint32_t nr_areas;
	struct client_area *areas;
	bool has_type; /* it is one that PCI has no number for */
	uint32_t type;
	uint32_t subtype;
	unsigned int nr_caps;
	struct client_region_cap caps[CLIENT_MAX_REGION_CAPS];
};

/*
 * DEVICE_GET_REGION_INFO with its capabilities and file, asked again when the first answer does not
 * fit. *region is to be given to client_region_close(). -EPROTO when the list of capabilities leaves
 * the answer, runs backwards or has too many, or an area leaves the region.
 */
int client_region_open(struct client *client, uint32_t index, struct client_region *region);

/* Closes the file and frees the areas. Mappings stay. */
void client_region_close(struct client_region *region);

/*
 * Maps [offset, offset + size) of the region with PROT_* `prot`; munmap() is its end.
 *   -ENODEV  the region can't be mapped
 *   -EINVAL  the span is empty, does not begin on a page, or is not within the region, or not within
 *            one of its areas
 *   -EPROTO  the server's file is no regular one, or ends before the span does
 * Unless the region is `sealed` the server may truncate the file later: SIGBUS is the user's then.
 */
int client_region_map(const struct client_region *region, uint64_t offset, uint64_t size, int prot,
		      void **out);

/*
 * REGION_READ of `count` bytes at `offset` into `data`; -EPROTO when the answer is shorter. Like the
 * writes below it is several messages when it is more than the server takes in one.
 */
int client_region_read(struct client *client, uint32_t region, uint64_t offset, void *data,
		       uint32_t count);

/* REGION_WRITE, answered. */
int client_region_write(struct client *client, uint32_t region, uint64_t offset, const void *data,
			uint32_t count);

/* REGION_WRITE with NO_REPLY: returns when the message is on its way. */
int client_region_post(struct client *client, uint32_t region, uint64_t offset, const void *data,
		       uint32_t count);

/* One of the writes of client_region_write_multi(): the low `count` bytes of `data`. */
struct client_write {
	uint64_t offset;
	uint32_t region;
	uint32_t count; /* 8 at most */
	uint64_t data;
};

/*
 * REGION_WRITE_MULTI: the writes in this order; *done says how many the server did, also on failure.
 *   -EOPNOTSUPP  the server has not offered it
 *   -EINVAL      a count is above 8
 *   -EIO         the server stopped at one of them
 */
int client_region_write_multi(struct client *client, const struct client_write *writes, size_t nr,
			      size_t *done);

/* ---- guest memory ---- */

/*
 * DMA_MAP of [address, address + size), backed by `fd` (borrowed; -1: none) from `offset`; flags
 * are WIRE_DMA_*.
 */
int client_dma_map(struct client *client, int fd, uint64_t offset, uint64_t address, uint64_t size,
		   uint32_t flags);

/*
 * DMA_MAP of a window without a file: the server reaches `memory`, `size` bytes that are the
 * caller's until the window is unmapped, by message.
 */
int client_dma_map_memory(struct client *client, void *memory, uint64_t address, uint64_t size,
			  uint32_t flags);

/* DMA_UNMAP of exactly that window. */
int client_dma_unmap(struct client *client, uint64_t address, uint64_t size);

/* DMA_UNMAP of all there are. */
int client_dma_unmap_all(struct client *client);

/*
 * Answers a DMA_READ (fills `data`) or DMA_WRITE (takes it): 0, or the -errno that the server is to
 * get. [address, address + count) lies within one mapped window that allows it.
 */
typedef int client_dma_fn(void *opaque, bool write, uint64_t address, void *data, uint64_t count);

/*
 * Has the server's accesses to all windows answered by `fn`; NULL: from the memory given to
 * client_dma_map_memory(), and EFAULT for other windows.
 */
void client_set_dma(struct client *client, client_dma_fn *fn, void *opaque);

/* ---- interrupts ---- */

/*
 * DEVICE_SET_IRQS. `flags` are WIRE_IRQ_*. With DATA_EVENTFD `data` is `count` ints, fds that stay
 * the caller's, or NULL to de-assign; with DATA_BOOL it is `count` bytes; else NULL.
 */
int client_set_irqs(struct client *client, uint32_t flags, uint32_t index, uint32_t start,
		    uint32_t count, const void *data);

/*
 * Makes `count` eventfds (non-blocking) and sets them as the triggers of interrupts `start` and
 * following of `index`, in as many messages as the server needs. fds[] is to be given to
 * client_irqs_close(). -EINVAL when the device has not so many, or signals them in another way.
 */
int client_irqs_open(struct client *client, uint32_t index, uint32_t start, uint32_t count,
		     int *fds);

/* De-assigns them and closes fds[], also when the server is gone. */
void client_irqs_close(struct client *client, uint32_t index, uint32_t start, uint32_t count,
		       int *fds);

/* ---- features, migration, logging of DMA ---- */

/* DEVICE_FEATURE, PROBE: whether feature `index` takes all of `ops` (WIRE_FEATURE_GET and _SET). */
int client_feature_probe(struct client *client, uint32_t index, uint32_t ops);

/*
 * DEVICE_FEATURE, GET: `data` has `asked` bytes of a question, and room for `len` bytes, the answer.
 * -EPROTO when it is shorter.
 */
int client_feature_get(struct client *client, uint32_t index, void *data, size_t asked, size_t len);

/* DEVICE_FEATURE, SET. */
int client_feature_set(struct client *client, uint32_t index, const void *data, size_t len);

/* What the device can do of migration: WIRE_MIGRATION_*. */
int client_migration_flags(struct client *client, uint64_t *flags);

/* The device's state in a migration, WIRE_MIG_*. -EPROTO when it is none of them. */
int client_migration_state(struct client *client, uint32_t *state);
int client_migration_set_state(struct client *client, uint32_t state);

/*
 * MIG_DATA_READ of `size` bytes, in as many messages as needed: how many came; fewer than `size` is
 * the end of the stream.
 */
ssize_t client_migration_read(struct client *client, void *data, size_t size);

/* MIG_DATA_WRITE, in as many messages as needed. */
int client_migration_write(struct client *client, const void *data, size_t size);

struct client_dma_range {
	uint64_t iova;
	uint64_t length; /* bytes */
};

/* Starts to log which pages of the ranges (none: all there is) the device writes to. */
int client_dma_log_start(struct client *client, uint64_t page_size,
			 const struct client_dma_range *ranges, uint32_t nr);

int client_dma_log_stop(struct client *client);

/*
 * Fetches the bitmap of [iova, iova + length), a bit for each `page_size` bytes, and clears the log.
 * `bitmap` has room for client_dma_log_bytes(). -EINVAL when page_size is no power of two or length
 * is 0; -E2BIG when the bitmap does not fit into a message.
 */
int client_dma_log_report(struct client *client, uint64_t iova, uint64_t length, uint64_t page_size,
			  uint64_t *bitmap);

/* Bytes of such a bitmap: whole words. */
static inline size_t client_dma_log_bytes(uint64_t length, uint64_t page_size)
{
	uint64_t pages = length / page_size + (length % page_size != 0);

	return (size_t)(pages / 64 + (pages % 64 != 0)) * sizeof(uint64_t);
}

/* ---- the device and its connection ---- */

/* DEVICE_RESET. */
int client_reset(struct client *client);

/*
 * Any command: `body` of `body_len` bytes and `nr_fds` fds (borrowed) go out, and the reply's body, at
 * most `reply_max` bytes of it, comes in. Returns the length of the whole reply body, bytes.
 */
ssize_t client_call(struct client *client, enum wire_cmd cmd, const void *body, size_t body_len,
		    const int *fds, unsigned int nr_fds, void *reply, size_t reply_max);

/* ---- asynchronous calls ---- */

/*
 * Tells how a submitted call ended: its result, as the synchronous one's, and the reply's body where
 * there is one, valid until the callback returns. -ECONNRESET when the server is gone, -ETIMEDOUT when
 * it was this call that it left unanswered. A callback may submit; it must not call anything that
 * waits, and not close the client. It is called from client_turn() and from within calls that wait.
 */
typedef void client_done_fn(void *opaque, ssize_t result, const void *body);

/*
 * client_call() without waiting; `done` is told the length of the reply's body. `fds` have to stay
 * open until then. Calls may be answered in any order. The message leaves with the next client_turn()
 * or call that waits. -errno when nothing was submitted: `done` is not called.
 */
int client_submit(struct client *client, enum wire_cmd cmd, const void *body, size_t body_len,
		  const int *fds, unsigned int nr_fds, client_done_fn *done, void *opaque);

/* REGION_READ to `data`, which has to live until then; -E2BIG when it does not fit into a message. */
int client_submit_read(struct client *client, uint32_t region, uint64_t offset, void *data,
		       uint32_t count, client_done_fn *done, void *opaque);

/* REGION_WRITE of a copy of `data`. */
int client_submit_write(struct client *client, uint32_t region, uint64_t offset, const void *data,
			uint32_t count, client_done_fn *done, void *opaque);

/* How many submitted calls have no answer yet. */
unsigned int client_in_flight(const struct client *client);

/*
 * Sends what was submitted and handles what has come, after waiting for something to come for at
 * most `timeout_ms` (negative: for ever). 0, -EINTR when a signal came first, -ECONNRESET.
 */
int client_turn(struct client *client, int timeout_ms);

/*
 * Readable when client_turn() with timeout 0 has something to do, for a program's own poll loop.
 * The client's. To be used after a turn: what is submitted later needs another one.
 */
int client_fd(const struct client *client);

/* ---- when the server was restarted ---- */

/*
 * Connects to the same path again, for `within_ms` milliseconds with growing pauses, and repeats
 * VERSION, the DMA windows and the eventfds that were set. Submitted calls end with -ECONNRESET
 * first. The server may have lost the device's state:
 *   0  the device has been reset, as CLIENT_RECONNECT_RESETS asks for
 *   1  the caller has to reset it
 * Masks, posted writes and mappings of regions are not repeated. Needs CLIENT_RECONNECTS.
 *   -EINVAL    the client was opened without it, or not by path
 *   -errno     of the last attempt; it may be called again
 */
int client_reconnect(struct client *client, unsigned int within_ms);

/* One attempt over a connected socket, which it takes, also on failure. */
int client_reopen(struct client *client, int fd);

/* ---- messages for people ---- */

/* `level`: 0 error, 1 warning, 2 information, 3 debugging. `line` has no newline. */
typedef void client_log_fn(void *opaque, int level, const char *line);

/*
 * Where the library's few lines go, for the whole process; NULL: warnings and errors to stderr. To be
 * set before other threads use the library.
 */
void client_set_log(client_log_fn *fn, void *opaque);

#endif
