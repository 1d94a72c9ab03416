/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fastpath-client: the other end of the protocol, a vfio-user client.
 *
 * A client and all its calls belong to the thread that opened it. Calls are synchronous unless
 * their name says "submit": each is one message and its reply, in the steady state one send() and one
 * io_uring_enter(). Unless stated otherwise a call returns 0, or the -errno that the server answered
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
 * and in fpc_turn(); a client that has mapped memory without a file has to come back to one of
 * them often enough.
 */
#ifndef FASTPATH_CLIENT_H
#define FASTPATH_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/* ---- numbers of the protocol, as vfio-user 0.9.2 and VFIO have them ---- */

#define FPC_MAJOR 0u

/* Commands. */
enum {
	FPC_VERSION = 1,
	FPC_DMA_MAP = 2,
	FPC_DMA_UNMAP = 3,
	FPC_DEVICE_GET_INFO = 4,
	FPC_DEVICE_GET_REGION_INFO = 5,
	FPC_DEVICE_GET_REGION_IO_FDS = 6,
	FPC_DEVICE_GET_IRQ_INFO = 7,
	FPC_DEVICE_SET_IRQS = 8,
	FPC_REGION_READ = 9,
	FPC_REGION_WRITE = 10,
	FPC_DMA_READ = 11,
	FPC_DMA_WRITE = 12,
	FPC_DEVICE_RESET = 13,
	FPC_REGION_WRITE_MULTI = 15,
	FPC_DEVICE_FEATURE = 16,
	FPC_MIG_DATA_READ = 17,
	FPC_MIG_DATA_WRITE = 18,
};

/* Flags of a DMA window, */
enum {
	FPC_DMA_READABLE = 1 << 0,
	FPC_DMA_WRITEABLE = 1 << 1,
	FPC_DMA_BY_MMAP = 1 << 2,
	FPC_DMA_BY_FILE_IO = 1 << 3,
};

/* a device, */
enum {
	FPC_DEVICE_RESETTABLE = 1 << 0,
	FPC_DEVICE_PCI = 1 << 1,
};

/* a region, */
enum {
	FPC_REGION_READABLE = 1 << 0,
	FPC_REGION_WRITEABLE = 1 << 1,
	FPC_REGION_MMAP = 1 << 2,
	FPC_REGION_CAPS = 1 << 3,
};

/* a kind of interrupts, */
enum {
	FPC_IRQ_EVENTFD = 1 << 0,
	FPC_IRQ_MASKABLE = 1 << 1,
	FPC_IRQ_AUTOMASKED = 1 << 2,
	FPC_IRQ_NORESIZE = 1 << 3,
};

/* and an ioeventfd. */
enum {
	FPC_IOEVENTFD_DATAMATCH = 1 << 0,
	FPC_IOEVENTFD_PIO = 1 << 1,
};

/* Types of io fds. */
enum {
	FPC_IO_FD_IOEVENTFD = 0,
	FPC_IO_FD_IOREGIONFD = 1,
	FPC_IO_FD_SHADOW = 2,
};

/* A region's capabilities. */
enum {
	FPC_REGION_CAP_SPARSE_MMAP = 1,
	FPC_REGION_CAP_TYPE = 2,
};

/* What fpc_set_irqs() does, and with what: one of each. */
enum {
	FPC_IRQ_DATA_NONE = 1 << 0,
	FPC_IRQ_DATA_BOOL = 1 << 1,
	FPC_IRQ_DATA_EVENTFD = 1 << 2,
	FPC_IRQ_ACTION_MASK = 1 << 3,
	FPC_IRQ_ACTION_UNMASK = 1 << 4,
	FPC_IRQ_ACTION_TRIGGER = 1 << 5,
};

/* Features, and what may be done with one. */
enum {
	FPC_FEATURE_MIGRATION = 1,
	FPC_FEATURE_MIG_DEVICE_STATE = 2,
	FPC_FEATURE_DMA_LOGGING_START = 6,
	FPC_FEATURE_DMA_LOGGING_STOP = 7,
	FPC_FEATURE_DMA_LOGGING_REPORT = 8,

	FPC_FEATURE_GET = 1 << 16,
	FPC_FEATURE_SET = 1 << 17,
	FPC_FEATURE_PROBE = 1 << 18,
};

/* How a device migrates, and its states on the way. */
enum {
	FPC_MIGRATION_STOP_COPY = 1 << 0,
	FPC_MIGRATION_P2P = 1 << 1,
	FPC_MIGRATION_PRE_COPY = 1 << 2,
};

enum {
	FPC_MIG_ERROR = 0,
	FPC_MIG_STOP = 1,
	FPC_MIG_RUNNING = 2,
	FPC_MIG_STOP_COPY = 3,
	FPC_MIG_RESUMING = 4,
	FPC_MIG_PRE_COPY = 6,
};

/* DEVICE_GET_INFO */
struct fpc_device_info {
	uint32_t argsz;
	uint32_t flags; /* FPC_DEVICE_* */
	uint32_t num_regions;
	uint32_t num_irqs;
};

/* DEVICE_GET_REGION_INFO, the fixed part. */
struct fpc_region_info {
	uint32_t argsz;
	uint32_t flags; /* FPC_REGION_* */
	uint32_t index;
	uint32_t cap_offset;
	uint64_t size;
	uint64_t offset; /* for mmap */
};

/* DEVICE_GET_IRQ_INFO */
struct fpc_irq_info {
	uint32_t argsz;
	uint32_t flags; /* FPC_IRQ_* */
	uint32_t index;
	uint32_t count;
};

/* ---- the connection ---- */

struct fpc;

enum fpc_wait_mode {
	FPC_WAIT_ADAPTIVE, /* look as long as that has paid lately, then sleep */
	FPC_WAIT_BLOCK,	   /* sleep at once */
	FPC_WAIT_SPIN,	   /* look for spin_us, then sleep */
	FPC_WAIT_SQPOLL, /* a thread of the kernel's submits, and needs a CPU; we wait as by ADAPTIVE */
};

/* How to wait for an answer. */
struct fpc_wait {
	enum fpc_wait_mode mode;
	uint32_t spin_us;
};

enum {
	FPC_RECONNECTS = 1 << 0,       /* remember what fpc_reconnect() has to repeat */
	FPC_RECONNECT_RESETS = 1 << 1, /* and let it reset the device, too */
	FPC_NO_TWIN_SOCKET = 1 << 2,   /* the server's commands come by the one socket */
	FPC_SHADOW_IOEVENTFD = 1 << 3, /* FPC_IO_FD_SHADOW entries are welcome */
	FPC_QUIET = 1 << 4,	       /* when the server goes that is the user's to say */
};

/* How often looking for an answer before sleeping has found it, and how often not. */
struct fpc_wait_stats {
	uint64_t hits;
	uint64_t misses;
};

struct fpc_options {
	struct fpc_wait wait;	 /* zeroed: adaptive */
	unsigned int timeout_ms; /* for an answer; 0: 5,000 */
	unsigned int flags;	 /* FPC_RECONNECTS and the like */
};

/*
 * Connects to `address` and negotiates VERSION: "unix:PATH" or just a path, "vsock:CID:PORT",
 * "tcp:HOST:PORT", or "tcp:PORT" on this host. On success *out is to be given to fpc_close().
 * -EINVAL, -ENAMETOOLONG, -ENOENT or -EAGAIN for an address that is none or whose host is not
 * found, which the log explains; -errno of connect() when nobody listens; and as above.
 *
 * By vsock and tcp no fd can travel. Then there are no io fds, no region can be mapped and no fd
 * can be sent (-E2BIG); memory and interrupts are what they are elsewhere, by message:
 *  - the server's accesses to a window that has an fd are served with pread() and pwrite(),
 *  - the eventfds of interrupts are signalled by this library, which has to be in a call or in
 *    fpc_turn() for that, as for the server's other commands.
 */
int fpc_connect(const char *address, const struct fpc_options *options, struct fpc **out);

/* The same over a connected socket. Takes `fd`, also on failure. */
int fpc_open(int fd, const struct fpc_options *options, struct fpc **out);

/* Closes the connection and frees the client; NULL is nothing. Not to be called in a callback. */
void fpc_close(struct fpc *client);

/*
 * Changes how answers are waited for. FPC_WAIT_SQPOLL a client is opened with or without: -EOPNOTSUPP when
 * that would change. Else 0.
 */
int fpc_set_wait(struct fpc *client, struct fpc_wait wait);

/* Counted since the client was opened. */
struct fpc_stats {
	uint64_t enters;      /* io_uring_enter() calls */
	uint64_t sends;	      /* send() calls */
	uint64_t spin_hits;   /* waits that found what they looked for before they slept */
	uint64_t spin_misses; /* that looked in vain, and slept */
	uint64_t spin_denied; /* that did not look, as other threads do on all CPUs that we have */
};

struct fpc_stats fpc_stats(const struct fpc *client);

/* Since fpc_open(); all 0 while the policy is to sleep at once. */
struct fpc_wait_stats fpc_wait_stats(const struct fpc *client);

/* What the two ends agreed on. */
struct fpc_limits {
	uint16_t minor;
	uint32_t max_msg_fds;	/* the server takes so many in a message */
	uint64_t max_data_xfer; /* bytes */
	uint64_t max_dma_maps;
	uint64_t pgsizes;    /* of DMA windows: the OR of the sizes */
	bool write_multiple; /* REGION_WRITE_MULTI can be used */
	bool twin_socket;    /* the server's commands have a socket of their own */
	bool vm_interrupt;   /* interrupts come as messages: no fds can travel */
};

const struct fpc_limits *fpc_limits(const struct fpc *client);

/* DEVICE_GET_INFO. */
int fpc_device_info(struct fpc *client, struct fpc_device_info *info);

/*
 * DEVICE_GET_REGION_INFO, the fixed part. *fd is the region's file for mmap, the caller's to close,
 * or -1; `fd` may be NULL.
 */
int fpc_region_info(struct fpc *client, uint32_t index, struct fpc_region_info *info, int *fd);

/* DEVICE_GET_IRQ_INFO. */
int fpc_irq_info(struct fpc *client, uint32_t index, struct fpc_irq_info *info);

/* A sub-region and the fd that stands for it, whichever layout the server uses. */
struct fpc_io_fd {
	uint64_t offset; /* from the region's start, bytes */
	uint64_t size;	 /* bytes; 0: any access width */
	uint32_t type;	 /* FPC_IO_FD_* */
	uint32_t flags;
	uint64_t datamatch;
	uint64_t
		user_data; /* ioregionfd; of a shadow ioeventfd where in shadow_fd the value goes */
	uint32_t fd_index;
	uint32_t shadow_fd_index; /* shadow ioeventfd */
	int fd;	       /* the set's; entries may share one. -1: fd_index names none that was sent */
	int shadow_fd; /* likewise; -1 too if the entry is none of a shadow ioeventfd */
};

struct fpc_io_fds {
	uint32_t nr_entries;
	uint32_t nr_fds;
	uint32_t entry_bytes; /* in the answer: 40 as published, 48 as deployed, or more */
	struct fpc_io_fd *entries;
	int *fds; /* the set's */
};

/*
 * DEVICE_GET_REGION_IO_FDS for region `index`, in either layout, asked again when the first answer
 * does not fit. A region without any is a set of none. The set is to be given to
 * fpc_io_fds_free(). -EPROTO when count, argsz and the length of the answer don't agree.
 */
int fpc_region_io_fds(struct fpc *client, uint32_t index, struct fpc_io_fds *set);

/* Closes the set's fds and frees its memory. */
void fpc_io_fds_free(struct fpc_io_fds *set);

/* ---- regions ---- */

struct fpc_area {
	uint64_t offset; /* from the region's start, bytes */
	uint64_t size;
};

/* A capability that the region has, known here or not. */
struct fpc_region_cap {
	uint16_t id;
	uint16_t version;
};

#define FPC_MAX_REGION_CAPS 16u

/* Everything that DEVICE_GET_REGION_INFO tells, checked. */
struct fpc_region {
	uint32_t index;
	uint32_t flags; /* FPC_REGION_* */
	uint64_t size;
	uint64_t offset; /* of the region in its file */
	int fd;		 /* its file, for fpc_region_map(); -1: none */
	bool sealed;	 /* the file can't shrink: mappings of it stay good */

	bool has_sparse; /* only these areas may be mapped */
	uint32_t nr_areas;
	struct fpc_area *areas;
	bool has_type; /* it is one that PCI has no number for */
	uint32_t type;
	uint32_t subtype;
	unsigned int nr_caps;
	struct fpc_region_cap caps[FPC_MAX_REGION_CAPS];
};

/*
 * DEVICE_GET_REGION_INFO with its capabilities and file, asked again when the first answer does not
 * fit. *region is to be given to fpc_region_close(). -EPROTO when the list of capabilities leaves
 * the answer, runs backwards or has too many, or an area leaves the region.
 */
int fpc_region_open(struct fpc *client, uint32_t index, struct fpc_region *region);

/* Closes the file and frees the areas. Mappings stay. */
void fpc_region_close(struct fpc_region *region);

/*
 * Maps [offset, offset + size) of the region with PROT_* `prot`; munmap() is its end.
 *   -ENODEV  the region can't be mapped
 *   -EINVAL  the span is empty, does not begin on a page, or is not within the region, or not within
 *            one of its areas
 *   -EPROTO  the server's file is no regular one, or ends before the span does
 * Unless the region is `sealed` the server may truncate the file later: SIGBUS is the user's then,
 * or fpc_mapping_open() is to be used.
 */
int fpc_region_map(const struct fpc_region *region, uint64_t offset, uint64_t size, int prot,
		   void **out);

/*
 * The same for a region that is not `sealed`, as a mapping that survives its file: when an access
 * finds that the server has truncated that, all of the mapping becomes zeros of this process' own,
 * the access is done there, and the mapping has failed. Any thread may use it.
 *
 * The first call installs a handler for SIGBUS, for the whole process and for good. Signals from
 * elsewhere it gives to the handler that was there before, or else they end the process as they
 * would have. A program that installs one of its own later has to do the same for ours. Accesses
 * that the kernel makes raise no signal: a system call ends with EFAULT, and so does KVM_RUN when
 * the mapping is a guest's memory. An access of the caller's own to the mapping lets it fail then.
 */
struct fpc_mapping;
int fpc_mapping_open(const struct fpc_region *region, uint64_t offset, uint64_t size, int prot,
		     struct fpc_mapping **out);

/* Where `offset` of the region is. */
void *fpc_mapping_bytes(const struct fpc_mapping *mapping);

/* Whether it has failed: what it reads as is not the server's, and the server sees no store. */
bool fpc_mapping_failed(const struct fpc_mapping *mapping);

/* Unmaps and frees it; NULL is nothing. */
void fpc_mapping_close(struct fpc_mapping *mapping);

/*
 * REGION_READ of `count` bytes at `offset` into `data`; -EPROTO when the answer is shorter. Like the
 * writes below it is several messages when it is more than the server takes in one.
 */
int fpc_region_read(struct fpc *client, uint32_t region, uint64_t offset, void *data,
		    uint32_t count);

/* REGION_WRITE, answered. */
int fpc_region_write(struct fpc *client, uint32_t region, uint64_t offset, const void *data,
		     uint32_t count);

/* REGION_WRITE with NO_REPLY: returns when the message is on its way. */
int fpc_region_post(struct fpc *client, uint32_t region, uint64_t offset, const void *data,
		    uint32_t count);

/* One of the writes of fpc_region_write_multi(): the low `count` bytes of `data`. */
struct fpc_write {
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
int fpc_region_write_multi(struct fpc *client, const struct fpc_write *writes, size_t nr,
			   size_t *done);

/* ---- guest memory ---- */

/*
 * DMA_MAP of [address, address + size), backed by `fd` (borrowed; -1: none) from `offset`; flags
 * are FPC_DMA_*.
 */
int fpc_dma_map(struct fpc *client, int fd, uint64_t offset, uint64_t address, uint64_t size,
		uint32_t flags);

/*
 * DMA_MAP of a window without a file: the server reaches `memory`, `size` bytes that are the
 * caller's until the window is unmapped, by message.
 */
int fpc_dma_map_memory(struct fpc *client, void *memory, uint64_t address, uint64_t size,
		       uint32_t flags);

/* DMA_UNMAP of exactly that window. */
int fpc_dma_unmap(struct fpc *client, uint64_t address, uint64_t size);

/* DMA_UNMAP of all there are. */
int fpc_dma_unmap_all(struct fpc *client);

/*
 * Answers a DMA_READ (fills `data`) or DMA_WRITE (takes it): 0, or the -errno that the server is to
 * get. [address, address + count) lies within one mapped window that allows it. It may submit, as
 * any callback.
 */
typedef int fpc_dma_fn(void *opaque, bool write, uint64_t address, void *data, uint64_t count);

/*
 * Has the server's accesses to all windows answered by `fn`; NULL: from the memory given to
 * fpc_dma_map_memory(), by the file where the server could not be given it, and EFAULT for other
 * windows.
 */
void fpc_set_dma(struct fpc *client, fpc_dma_fn *fn, void *opaque);

/* ---- interrupts ---- */

/*
 * DEVICE_SET_IRQS. `flags` are FPC_IRQ_*. With DATA_EVENTFD `data` is `count` ints, fds that stay
 * the caller's, or NULL to de-assign; with DATA_BOOL it is `count` bytes; else NULL.
 * -EOPNOTSUPP for masks by eventfd where fds can't travel: masking by DATA_NONE and BOOL works.
 */
int fpc_set_irqs(struct fpc *client, uint32_t flags, uint32_t index, uint32_t start, uint32_t count,
		 const void *data);

/*
 * Makes `count` eventfds (non-blocking) and sets them as the triggers of interrupts `start` and
 * following of `index`, in as many messages as the server needs. fds[] is to be given to
 * fpc_irqs_close(). -EINVAL when the device has not so many, or signals them in another way.
 */
int fpc_irqs_open(struct fpc *client, uint32_t index, uint32_t start, uint32_t count, int *fds);

/* The same with eventfds that are there, and stay the caller's: those of another connection, say. */
int fpc_irqs_set(struct fpc *client, uint32_t index, uint32_t start, uint32_t count,
		 const int *fds);

/* De-assigns them and closes fds[], also when the server is gone. */
void fpc_irqs_close(struct fpc *client, uint32_t index, uint32_t start, uint32_t count, int *fds);

/* ---- features, migration, logging of DMA ---- */

/* DEVICE_FEATURE, PROBE: whether feature `index` takes all of `ops` (FPC_FEATURE_GET and _SET). */
int fpc_feature_probe(struct fpc *client, uint32_t index, uint32_t ops);

/*
 * DEVICE_FEATURE, GET: `data` has `asked` bytes of a question, and room for `len` bytes, the answer.
 * -EPROTO when it is shorter.
 */
int fpc_feature_get(struct fpc *client, uint32_t index, void *data, size_t asked, size_t len);

/* DEVICE_FEATURE, SET. */
int fpc_feature_set(struct fpc *client, uint32_t index, const void *data, size_t len);

/* What the device can do of migration: FPC_MIGRATION_*. */
int fpc_migration_flags(struct fpc *client, uint64_t *flags);

/* The device's state in a migration, FPC_MIG_*. -EPROTO when it is none of them. */
int fpc_migration_state(struct fpc *client, uint32_t *state);
int fpc_migration_set_state(struct fpc *client, uint32_t state);

/*
 * MIG_DATA_READ of `size` bytes, in as many messages as needed: how many came; fewer than `size` is
 * the end of the stream.
 */
ssize_t fpc_migration_read(struct fpc *client, void *data, size_t size);

/* MIG_DATA_WRITE, in as many messages as needed. */
int fpc_migration_write(struct fpc *client, const void *data, size_t size);

struct fpc_dma_range {
	uint64_t iova;
	uint64_t length; /* bytes */
};

/* Starts to log which pages of the ranges (none: all there is) the device writes to. */
int fpc_dma_log_start(struct fpc *client, uint64_t page_size, const struct fpc_dma_range *ranges,
		      uint32_t nr);

int fpc_dma_log_stop(struct fpc *client);

/*
 * Fetches the bitmap of [iova, iova + length), a bit for each `page_size` bytes, and clears the log.
 * `bitmap` has room for fpc_dma_log_bytes(). -EINVAL when page_size is no power of two or length
 * is 0; -E2BIG when the bitmap does not fit into a message.
 */
int fpc_dma_log_report(struct fpc *client, uint64_t iova, uint64_t length, uint64_t page_size,
		       uint64_t *bitmap);

/* Bytes of such a bitmap: whole words. */
static inline size_t fpc_dma_log_bytes(uint64_t length, uint64_t page_size)
{
	uint64_t pages = length / page_size + (length % page_size != 0);

	return (size_t)(pages / 64 + (pages % 64 != 0)) * sizeof(uint64_t);
}

/* ---- the device and its connection ---- */

/* DEVICE_RESET. */
int fpc_reset(struct fpc *client);

/*
 * Any command: `body` of `body_len` bytes and `nr_fds` fds (borrowed) go out, and the reply's body, at
 * most `reply_max` bytes of it, comes in. Returns the length of the whole reply body, bytes.
 */
ssize_t fpc_call(struct fpc *client, unsigned int cmd, const void *body, size_t body_len,
		 const int *fds, unsigned int nr_fds, void *reply, size_t reply_max);

/* ---- asynchronous calls ---- */

/*
 * Tells how a submitted call ended: its result, as the synchronous one's, and the reply's body where
 * there is one, valid until the callback returns. -ECONNRESET when the server is gone, -ETIMEDOUT when
 * it was this call that it left unanswered. A callback may submit; it must not call anything that
 * waits, and not close the client. It is called from fpc_turn() and from within calls that wait.
 */
typedef void fpc_done_fn(void *opaque, ssize_t result, const void *body);

/*
 * fpc_call() without waiting; `done` is told the length of the reply's body. `fds` have to stay
 * open until then. Calls may be answered in any order. The message leaves with the next fpc_turn()
 * or call that waits. -errno when nothing was submitted: `done` is not called.
 */
int fpc_submit(struct fpc *client, unsigned int cmd, const void *body, size_t body_len,
	       const int *fds, unsigned int nr_fds, fpc_done_fn *done, void *opaque);

/* REGION_READ to `data`, which has to live until then; -E2BIG when it does not fit into a message. */
int fpc_submit_read(struct fpc *client, uint32_t region, uint64_t offset, void *data,
		    uint32_t count, fpc_done_fn *done, void *opaque);

/* REGION_WRITE of a copy of `data`. */
int fpc_submit_write(struct fpc *client, uint32_t region, uint64_t offset, const void *data,
		     uint32_t count, fpc_done_fn *done, void *opaque);

/*
 * REGION_WRITE with NO_REPLY of a copy of `data`: nobody is told of its end, and it is not in flight.
 * Posts leave together, with the next fpc_turn() or call that waits. When 64 KiB of them wait this
 * call sends those first, and waits while the server does not take them; in a callback it is -EBUSY.
 * -E2BIG as above.
 */
int fpc_submit_post(struct fpc *client, uint32_t region, uint64_t offset, const void *data,
		    uint32_t count);

/* How many submitted calls have no answer yet. */
unsigned int fpc_in_flight(const struct fpc *client);

/*
 * Sends what was submitted and handles what has come, after waiting for something to come for at
 * most `timeout_ms` (negative: for ever). 0, -EINTR when a signal came first, -ECONNRESET.
 */
int fpc_turn(struct fpc *client, int timeout_ms);

/*
 * Readable when fpc_turn() with timeout 0 has something to do, for a program's own poll loop.
 * The client's. To be used after a turn: what is submitted later needs another one.
 */
int fpc_fd(const struct fpc *client);

/*
 * The connection's socket, to be polled for POLLRDHUP: the server's end is noticed while no call is
 * made, and what it sends wakes nobody. The client's; -1 once the client has noticed.
 */
int fpc_socket(const struct fpc *client);

/* ---- when the server was restarted ---- */

/*
 * Connects to the same path again, for `within_ms` milliseconds with growing pauses, and repeats
 * VERSION, the DMA windows and the eventfds that were set. Submitted calls end with -ECONNRESET
 * first. The server may have lost the device's state:
 *   0  the device has been reset, as FPC_RECONNECT_RESETS asks for
 *   1  the caller has to reset it
 * Masks, posted writes and mappings of regions are not repeated. Needs FPC_RECONNECTS.
 *   -EINVAL    the client was opened without it, or not by path
 *   -errno     of the last attempt; it may be called again
 */
int fpc_reconnect(struct fpc *client, unsigned int within_ms);

/* One attempt over a connected socket, which it takes, also on failure. */
int fpc_reopen(struct fpc *client, int fd);

/* ---- messages for people ---- */

/* `level`: 0 error, 1 warning, 2 information, 3 debugging. `line` has no newline. */
typedef void fpc_log_fn(void *opaque, int level, const char *line);

/*
 * Where the library's few lines go, for the whole process; NULL: warnings and errors to stderr. To be
 * set before other threads use the library.
 */
void fpc_set_log(fpc_log_fn *fn, void *opaque);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
