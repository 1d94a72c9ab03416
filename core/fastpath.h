/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fastpath: write a vfio-user device in one file.
 *
 * A device declares its regions, each with one access handler, and says which stores are
 * *doorbells*: writes of which only matters that they happened. It never learns by which road an
 * access came. A client that can has doorbells rung by KVM itself, through ioeventfds that the core
 * hands out, and accesses to *spans* sent by it, through ioregionfds; any other sends messages; the
 * same handler runs.
 *
 *	struct hello { uint64_t kicks; };
 *
 *	static int hello_access(struct fp_device *dev, struct fp_access *access)
 *	{
 *		struct hello *hello = fp_state(dev);
 *
 *		if (access->doorbell)
 *			hello->kicks += access->times;
 *		else if (!access->write)
 *			fp_access_answer(access, hello->kicks);
 *		return 0;
 *	}
 *
 *	static const struct fp_doorbell hello_doorbells[] = { { .offset = 0x10 } };
 *
 *	FP_DEVICE(hello) = {
 *		.name = "hello",
 *		.summary = "counts kicks",
 *		.state_bytes = sizeof(struct hello),
 *		.pci = { .vendor = 0x1b36, .device = 0x0005, .class_code = 0x00ff00 },
 *		.regions[FP_BAR0] = {
 *			.size = 4096,
 *			.access = hello_access,
 *			.doorbells = hello_doorbells,
 *			.nr_doorbells = 1,
 *		},
 *	};
 *
 * Everything of one device happens on one thread: handlers take no locks, and must not block.
 */
#ifndef FASTPATH_H
#define FASTPATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FP_PUBLIC __attribute__((visibility("default")))

/* The regions and interrupts of a PCI device, by their VFIO numbers. */
enum fp_region_index {
	FP_BAR0,
	FP_BAR1,
	FP_BAR2,
	FP_BAR3,
	FP_BAR4,
	FP_BAR5,
	FP_ROM,
	FP_CONFIG, /* kept by the core */
	FP_VGA,
	FP_NR_REGIONS,
	FP_OWN_REGION = FP_NR_REGIONS, /* from here on: what PCI has no number for */
	FP_MAX_REGIONS = 16
};

enum fp_irq_index {
	FP_INTX,
	FP_MSI,
	FP_MSIX,
	FP_ERR,
	FP_REQ,
	FP_NR_IRQS
};

struct fp_device;

/* Stores that ring. Doorbells of one region don't overlap, except by their values. */
struct fp_doorbell {
	uint64_t offset; /* bytes, from the region's start */
	uint32_t width;	 /* of the store: 1, 2, 4 or 8 bytes; 0: any */
	/*
	 * Optional: only a store of one of these rings; see FP_VALUES(). Needs a width. By fd each has
	 * an eventfd of its own, so that the handler learns which it was by every road. A store of
	 * another value comes by message, as what it is: an access with its value, and no ring.
	 */
	const uint64_t *values;
	size_t nr_values;
	/*
	 * Not 0: doorbells of the region with the same group share one eventfd. Nobody can tell then
	 * which of them rang: they are all heard as the group's first, by every road. Not with
	 * several values.
	 */
	uint32_t group;
	/*
	 * The value comes along, by every road. By fd it is the last one that was stored, and only a
	 * client whose kernel can post it gets an fd. Needs a width; not with `values` or in a group.
	 */
	bool shadow;
};

/* The values of a doorbell, in its initializer: FP_VALUES(0, 1, 2). */
#define FP_VALUES(...)                               \
	.values = (const uint64_t[]){ __VA_ARGS__ }, \
	.nr_values = sizeof((const uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t)

/*
 * Bytes whose accesses, reads and writes with their values, may come by ioregionfd: they reach the
 * handler one by one, as messages do. The core leaves out the doorbells that lie in a span, so that
 * it may be a whole block of registers. Spans of one region don't overlap, nor what the client may map.
 *
 * One of size 0 needs `posted` and stands at a doorbell of any width. That one then goes by it, and
 * not by an eventfd: each ring is a call of its own, in order with what else its group brings.
 */
struct fp_span {
	uint64_t offset; /* bytes, from the region's start */
	uint64_t size;	 /* bytes, or 0 */
	bool posted;	 /* a guest does not wait for its writes */
	uint32_t
		group; /* not 0: the region's spans of one group share a socket, and keep their order */
};

/*
 * One access, or at a doorbell any number of them. The fields of a doorbell's call are the same by
 * every road: its own offset, width and value; of one with `shadow` or several values the one that was
 * stored.
 */
struct fp_access {
	uint64_t offset; /* first byte, from the region's start; it lies within the region */
	uint32_t size;	 /* bytes: 1 to 1 MiB; at a doorbell its width, 0 to 8 */
	bool write;
	void *data; /* `size` bytes at any alignment: what was written, or where to answer */
	const struct fp_doorbell *doorbell; /* the one that rang, or NULL */
	uint64_t times;			    /* how often: 1 unless at a doorbell */
	uint32_t region;		    /* its index */
};

/* What a handler returns that has called fp_defer(): the answer comes later. */
#define FP_LATER 1

/*
 * Handles one access. 0, FP_LATER, or -errno for one that breaks the protocol: some clients can't
 * cope with that, so that a register that is not there had better read as zeros or ones. An answer
 * not given is zeros.
 */
typedef int fp_access_fn(struct fp_device *dev, struct fp_access *access);

enum {
	FP_REGION_IO = 1 << 0, /* a BAR in I/O space */
	FP_REGION_READ_ONLY = 1 << 1,
	/*
	 * A deferred access here holds up later ones to this region, but none to other regions that
	 * are independent as well: their answers may come first.
	 */
	FP_REGION_INDEPENDENT = 1 << 2,
	/* A BAR anywhere in memory. It takes two registers: the class leaves the next BAR empty. */
	FP_REGION_64BIT = 1 << 3,
	FP_REGION_PREFETCHABLE = 1 << 4, /* a memory BAR that reading does not change */
	FP_REGION_MMAP = 1 << 5,	 /* the client may map it, or its `areas`: see them */
	/*
	 * With FP_REGION_MMAP: the client may map it for loads only. Stores come to the handler, or
	 * ring, as they do elsewhere; the device fills in what is to be loaded. In a guest neither
	 * such a load nor a ring takes an exit, with any kernel.
	 */
	FP_REGION_LOADS_ONLY = 1 << 6,
};

/* What areas of a region start at and are multiples of, bytes. */
#define FP_PAGE 4096u

struct fp_area {
	uint64_t offset; /* bytes, from the region's start */
	uint64_t size;
};

struct fp_region {
	uint64_t size; /* bytes; a BAR's is a power of two; 0: not there */
	uint32_t flags;
	/* Not called for what the client may map; NULL if that is all. But see FP_REGION_LOADS_ONLY. */
	fp_access_fn *access;
	const struct fp_doorbell *doorbells;
	size_t nr_doorbells;
	const struct fp_span *spans;
	size_t nr_spans;
	/*
	 * With FP_REGION_MMAP: what is memory, made by the core and shared with the client; see
	 * fp_region_memory(). Without any: the whole region. Ascending and apart.
	 */
	const struct fp_area *areas;
	size_t nr_areas;
	/*
	 * Of FP_OWN_REGION and up, by which the client knows it. Type 0: one of the vendor's own,
	 * VFIO_REGION_TYPE_PCI_VENDOR_TYPE with the vendor's PCI id.
	 */
	uint32_t type;
	uint32_t subtype;
	/* With FP_REGION_MMAP: where the region begins in the file that the client gets, bytes. */
	uint64_t file_offset;
};

/* What a client is told of the server's limits. 0: as much as there is. */
struct fp_limits {
	uint32_t max_msg_fds;	     /* fds in one message: 16 */
	uint64_t max_data_xfer_size; /* bytes of one access or transfer: 1 MiB */
	uint64_t max_dma_maps;	     /* windows at a time: 65,535 */
	uint64_t
		pgsizes; /* page sizes of windows, or-ed: 4,096. They begin and end at the smallest. */
};

/* Guest memory that the client opens to the device, or closes. */
struct fp_window {
	uint64_t iova;
	uint64_t size; /* bytes */
	bool readable, writable;
	bool mapped; /* into this process: fp_dma() reaches it, and not only transfers do */
};

/* Capabilities that the core knows all about. MSI and MSI-X come with irqs[]. */
enum {
	FP_PCI_PM = 1 << 0,	 /* power management: D0 and D3hot, which lose nothing */
	FP_PCI_EXPRESS = 1 << 1, /* an endpoint; configuration space is 4,096 bytes then, not 256 */
	FP_PCI_SERIAL =
		1 << 2, /* device serial number, needs FP_PCI_EXPRESS; see fp_pci_serial() */
};

/* A vendor-specific capability: what follows its id, next pointer and length. */
struct fp_pci_cap {
	const void *data;
	const void *writable; /* as long as data: the bits that a client may change; NULL: none */
	uint8_t size;	      /* bytes of data */
};

struct fp_pci {
	uint16_t vendor, device;
	uint16_t subsystem_vendor, subsystem;
	uint32_t class_code; /* 24 bits: class, subclass, interface */
	uint8_t revision;
	/*
	 * When irqs[FP_MSIX] is not 0 this BAR holds the table and the pending bits (PBA), kept by
	 * the core. One that the class leaves empty is all theirs. In another they lie at these
	 * offsets, multiples of 8, and the handler does not see accesses to them.
	 */
	uint8_t msix_bar;
	uint32_t msix_table;
	uint32_t msix_pba;
	uint32_t capabilities; /* FP_PCI_* */
	const struct fp_pci_cap *vendor_caps;
	size_t nr_vendor_caps;
};

/* A key of --device NAME,key=value, stored into the state before open(). */
enum fp_key_type {
	FP_KEY_U64,    /* uint64_t; decimal, 0x or 0 */
	FP_KEY_BOOL,   /* bool; on or off */
	FP_KEY_STRING, /* const char *, lives as long as the device */
};

struct fp_key {
	const char *name;
	enum fp_key_type type;
	size_t offset; /* in the state: offsetof() */
	const char *help;
};

/* What the core tells a device of its client, and of itself. */
enum fp_event {
	FP_CLIENT_CAME, /* VERSION is done */
	FP_CLIENT_GONE, /* its windows and interrupts with it */
	FP_WINDOW_OPENED,
	FP_WINDOW_CLOSED, /* what fp_dma() gave of it is not there any more */
	/*
	 * The client has cut its file short. Nothing reaches it any more; what fp_dma() gave of it
	 * reads as zeros, and what is stored there gets nowhere. It is still to be closed.
	 */
	FP_WINDOW_FAILED,
	/*
	 * The device stands from here, to be saved or because it was, and runs again. In between nothing
	 * that a guest may notice happens: what comes from timers and fds is not acted upon. Rings are
	 * kept, and come behind FP_RUNS.
	 */
	FP_STANDS,
	FP_RUNS,
};

/* A device's state on its way to or from another server. */
struct fp_stream;

/* What a class says in `needs`. */
enum {
	FP_NEEDS_FILES = 1 << 0, /* fp_file_*() */
};

/*
 * A system call that a device makes after open(), beyond those that all may make: the sandbox is
 * closed by then. In the initializer of fp_class.calls: FP_CALL(timerfd_settime), FP_IOCTL(TCGETS),
 * with the headers that define those (<sys/syscall.h>).
 */
struct fp_call {
	int number;   /* SYS_* */
	unsigned arg; /* only when (argument `arg` & mask) == value; mask 0: with any arguments */
	uint64_t mask;
	uint64_t value;
};

#define FP_CALL(name)                \
	{                            \
		.number = SYS_##name \
	}
#define FP_IOCTL(request)                                                                        \
	{                                                                                        \
		.number = SYS_ioctl, .arg = 1, .mask = 0xffffffffu, .value = (uint32_t)(request) \
	}

/* A kind of device. */
struct fp_class {
	const char *name;
	const char *summary;
	size_t state_bytes;	   /* of fp_state(), zeroed */
	const struct fp_key *keys; /* ends with an entry without a name; may be NULL */
	struct fp_pci pci;
	struct fp_region regions[FP_MAX_REGIONS];
	uint32_t irqs[FP_NR_IRQS]; /* how many of each kind */
	/*
	 * Of several fp_irq_trigger() of one interrupt by what the server handles in one go, the client
	 * gets one, after all of it: for devices whose driver looks at what there is, and does not count.
	 */
	bool irqs_coalesce;
	struct fp_limits limits;
	uint32_t needs; /* FP_NEEDS_*; not to be changed by configure() */
	const struct fp_call *calls;
	size_t nr_calls;

	/*
	 * Optional, for a class whose shape depends on its keys: `own` is the device's own copy of
	 * the class, to be changed. What it comes to point to has to live as long as the device:
	 * see fp_alloc(). 0 or -errno, having said why with fp_error().
	 */
	int (*configure)(struct fp_device *dev, struct fp_class *own);
	/* Optional: hears of these. `window` is NULL except where the event is about one. */
	void (*event)(struct fp_device *dev, enum fp_event event, const struct fp_window *window);

	/*
	 * All optional. open(): 0 or -errno, having said why with fp_error(). reset(): 0, or
	 * FP_LATER when fp_reset_done() will be called.
	 */
	int (*open)(struct fp_device *dev);
	int (*reset)(struct fp_device *dev);
	void (*close)(struct fp_device *dev);

	/*
	 * Migration; a class has save() and load(), or it can't be migrated. save() writes the
	 * device's state while the device stands still. load() gets what save() wrote and puts the
	 * device into that state: it trusts nothing of it, and reads it to its end. Both 0 or
	 * -errno. precopy(), optional, is asked again and again while the device still runs: it
	 * writes some of the state that is not likely to change, or, when there is nothing (more),
	 * nothing. load() gets the pieces in their order, and what save() writes behind them.
	 */
	int (*save)(struct fp_device *dev, struct fp_stream *to);
	int (*load)(struct fp_device *dev, struct fp_stream *from);
	int (*precopy)(struct fp_device *dev, struct fp_stream *to);
};

/*
 * What of this header a device that is built apart relies on: it changes with any layout or meaning
 * in it, and a server refuses a device that was built against another.
 */
#define FP_ABI 3u

/* See fp_register(). */
FP_PUBLIC void fp_register_class(const struct fp_class *class_, uint32_t abi, size_t class_bytes);

/*
 * Makes the class known, which has to live as long as the program. One of another ABI, one whose
 * name is taken, and more than 64 are refused, said to the log.
 */
static inline void fp_register(const struct fp_class *class_)
{
	fp_register_class(class_, FP_ABI, sizeof(*class_));
}

/* Defines a class and registers it when the program or library that holds it is loaded. */
#define FP_DEVICE(ident)                                                \
	static const struct fp_class ident##_class;                     \
	static void __attribute__((constructor)) ident##_register(void) \
	{                                                               \
		fp_register(&ident##_class);                            \
	}                                                               \
	static const struct fp_class ident##_class

/*
 * A whole vfio-user server with the registered classes: fastpathd's main(). Returns the exit status.
 */
FP_PUBLIC int fp_main(int argc, char **argv);

/* The device's own state, state_bytes long. */
FP_PUBLIC void *fp_state(struct fp_device *dev);

/* `bytes` of zeroed memory that lives as long as the device. NULL when memory is out. */
FP_PUBLIC void *fp_alloc(struct fp_device *dev, size_t bytes);

/* "NAME: ..." to the log. */
FP_PUBLIC void fp_error(struct fp_device *dev, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* The same for what is no error, and shown if the log is to have information. */
FP_PUBLIC void fp_note(struct fp_device *dev, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* What a write of up to 8 bytes says, or a doorbell's value. Bytes beyond `size` are 0. */
static inline uint64_t fp_access_value(const struct fp_access *access)
{
	uint64_t value = 0;

	memcpy(&value, access->data, access->size < sizeof(value) ? access->size : sizeof(value));
	return value;
}

/* Answers a read: the low `size` bytes of `value`, what is beyond 8 bytes is 0. */
static inline void fp_access_answer(struct fp_access *access, uint64_t value)
{
	memcpy(access->data, &value, access->size < sizeof(value) ? access->size : sizeof(value));
}

/*
 * Serves the access from `bytes`, plain memory that stands for [start, start + len) of the region.
 * False when it is not wholly inside: nothing was done.
 */
FP_PUBLIC bool fp_access_memory(struct fp_access *access, uint64_t start, void *bytes, size_t len);

/*
 * Lets a handler answer later: the copy of the access that it returns, data included, stays until
 * fp_finish(), and the handler returns FP_LATER. Until then what the client sends waits its turn
 * (see FP_REGION_INDEPENDENT), and so do reset, unmap and the saving of state. NULL when memory
 * is out.
 */
FP_PUBLIC struct fp_access *fp_defer(struct fp_device *dev, struct fp_access *access);

/* Answers a deferred access as the handler would have by returning `ret`, and frees it. */
FP_PUBLIC void fp_finish(struct fp_device *dev, struct fp_access *deferred, int ret);

/* Answers a DEVICE_RESET for which the class's reset() returned FP_LATER. */
FP_PUBLIC void fp_reset_done(struct fp_device *dev);

/* What is done to a path after open(). */
enum {
	FP_PATH_READ = 1 << 0,	/* it is opened for that, or what is beneath it */
	FP_PATH_WRITE = 1 << 1, /* the same; no file is made */
	FP_PATH_REMOVE =
		1 << 2, /* it is removed, as what it lies in can be: the only file there, best */
};

/*
 * To be called in open(): the device will still do so, in close() most likely. Nothing else has a name
 * any more then, except with --sandbox=off; what is open stays so. -ENOMEM.
 */
FP_PUBLIC int fp_allow_path(struct fp_device *dev, const char *path, unsigned int what);

/*
 * To be called in open(): the process is not to lose that capability (CAP_*), if it has it, as the
 * device uses it in close(). Every device of the process has it then.
 */
FP_PUBLIC void fp_keep_capability(struct fp_device *dev, unsigned int capability);

/* A timer, embedded in the device's state. */
struct fp_timer {
	void (*expired)(struct fp_device *dev, struct fp_timer *timer);
	void *core[3]; /* not the device's */
};

/* Has expired() called once, after `ns`. A timer that runs starts anew. */
FP_PUBLIC void fp_timer_start(struct fp_device *dev, struct fp_timer *timer, uint64_t ns);

/* The call does not come any more. To be done for every timer in close(). */
FP_PUBLIC void fp_timer_stop(struct fp_timer *timer);

/* Waits for an fd of the device's own, embedded in the device's state. */
struct fp_watch {
	void (*ready)(struct fp_device *dev, struct fp_watch *watch);
	void *core[3]; /* not the device's */
};

/* Has ready() called once, when `fd` can be read from. The fd stays the device's. */
FP_PUBLIC void fp_watch_start(struct fp_device *dev, struct fp_watch *watch, int fd);

/* The call does not come any more. To be done for every watch before its fd is closed. */
FP_PUBLIC void fp_watch_stop(struct fp_watch *watch);

/*
 * A socket of the device's own, at `path`: it listens, does not block, and its file has mode 0600.
 * What a dead server left there is replaced. The fd and the file are the device's to close and to
 * remove. -EADDRINUSE when somebody listens there, -EEXIST for what is no socket, or another -errno.
 */
FP_PUBLIC int fp_listen(const char *path);

/*
 * A transfer from or to guest memory, embedded in the device's state. It works for whatever the
 * client has mapped, by mmap, by file or by message, also across windows.
 */
struct fp_dma_op {
	/*
	 * 0, or what went wrong: -EFAULT for memory that is not mapped, or not so, or whose file
	 * was cut short; -ENOTCONN when the client has gone; -errno of the client. May be called
	 * before fp_dma_read() returns.
	 */
	void (*done)(struct fp_device *dev, struct fp_dma_op *op, int ret);
	void *core[9]; /* not the device's */
};

/* Reads `len` bytes at `iova` to `to`, which has to stay until done(). Any number at a time. */
FP_PUBLIC void fp_dma_read(struct fp_device *dev, struct fp_dma_op *op, uint64_t iova, void *to,
			   size_t len);

/* Writes `len` bytes at `from`, which have to stay as they are until done(), to `iova`. */
FP_PUBLIC void fp_dma_write(struct fp_device *dev, struct fp_dma_op *op, uint64_t iova,
			    const void *from, size_t len);

/* A piece of memory that a file is read to or written from: guest memory, or the device's own. */
struct fp_piece {
	uint64_t iova; /* of guest memory, any, also across windows; when `own` is NULL */
	void *own;
	size_t len;
};

/* Something that is done to a file, embedded in the device's state. */
struct fp_file_op {
	/*
	 * How many bytes went (0 where none go), or -errno: of the file; -EFAULT for guest memory
	 * that is not mapped, or not so; -ENOTCONN when it was memory of a client that has gone;
	 * -ECANCELED. May be called before the function that begins it returns. The op may be used
	 * for the next one from here.
	 */
	void (*done)(struct fp_device *dev, struct fp_file_op *op, int64_t ret);
	void *core[1]; /* not the device's */
};

/* As `offset` of a read or write: where the fd is. For what has no places: TAPs, terminals, sockets. */
#define FP_STREAM UINT64_MAX

/* The same, and nothing waits, whatever the memory: -EAGAIN when there is nothing, or no room. */
#define FP_STREAM_NOW (UINT64_MAX - 1)

/*
 * Reads from `fd`, a file, block device, TAP..., at `offset` to the pieces, in their order; writes
 * from them. Guest memory that this process has mapped is read and written in place. Any number at a
 * time, in any order. Pieces, own memory and fd have to stay until done(). Fewer bytes than asked
 * for went only at the end of a file, or of a stream. At most 2 GiB; -E2BIG above.
 *
 * Client's commands that must not overtake it (unmap, reset, those of migration that stop the device)
 * wait until it is done. So between FP_STREAM and guest memory nothing waits for the other end: it is
 * -EAGAIN when there is nothing, or no room; see fp_watch. Between FP_STREAM and own memory it may take
 * as long as it likes, and no command waits for that. Streams should be in non-blocking mode: some, as
 * terminals, would have the thread wait otherwise.
 */
FP_PUBLIC void fp_file_read(struct fp_device *dev, struct fp_file_op *op, int fd, uint64_t offset,
			    const struct fp_piece *pieces, size_t nr);
FP_PUBLIC void fp_file_write(struct fp_device *dev, struct fp_file_op *op, int fd, uint64_t offset,
			     const struct fp_piece *pieces, size_t nr);

/* fsync(), or fdatasync() with `data_only`: of the writes that are done by now. */
FP_PUBLIC void fp_file_sync(struct fp_device *dev, struct fp_file_op *op, int fd, bool data_only);

/* fallocate(): holes and zeros, by `mode` (FALLOC_FL_*); block devices have it too. */
FP_PUBLIC void fp_file_allocate(struct fp_device *dev, struct fp_file_op *op, int fd, int mode,
				uint64_t offset, uint64_t len);

/*
 * Asks for an end: done() comes, soon, with -ECANCELED, or with what it was too late for. Nothing when
 * it is done. To be waited for before memory or fd go; what is left when the device is closed is
 * ended so, and done() called, before close().
 */
FP_PUBLIC void fp_file_cancel(struct fp_device *dev, struct fp_file_op *op);

/*
 * What the client may map of region `index`: its byte 0, to which the offsets of `areas` are added.
 * Only the areas may be touched. From open() to the end of close(), whoever the client is; a reset
 * leaves it as it is. NULL for a region without FP_REGION_MMAP. A client may change it at any
 * time, and it may be the one before: read once what you check.
 */
FP_PUBLIC void *fp_region_memory(struct fp_device *dev, unsigned int index);

/* Sets what FP_PCI_SERIAL tells; to be called in open(), it is 0 otherwise. */
FP_PUBLIC void fp_pci_serial(struct fp_device *dev, uint64_t serial);

/*
 * Guest memory [iova, iova + len) for direct access, valid until the handler returns. NULL when it
 * is not mapped whole into this process, or not for `write`: fp_dma_read() and fp_dma_write() may
 * still reach it. What lies there is the guest's: read it once. If the client cuts the file short
 * meanwhile it reads as zeros, see FP_WINDOW_FAILED.
 */
FP_PUBLIC void *fp_dma(struct fp_device *dev, uint64_t iova, size_t len, bool write);

/*
 * Fires interrupt `number` of kind `index`. 0; -EINVAL when the device has no such interrupt. One
 * that the client has not asked for, or has masked, is dropped (a masked one is kept pending).
 */
FP_PUBLIC int fp_irq_trigger(struct fp_device *dev, enum fp_irq_index index, uint32_t number);

/*
 * Holds INTx high, or lets go of it: while it is high it fires, once, and again each time that the
 * client unmasks it, as the guest's end of interrupt does. The Status register says so, too. For a
 * device with several reasons, of which a guest may have dealt with one. It is the device's, whoever
 * the client is; a reset lowers it, and load() has to raise it anew. 0; -EINVAL when the device has
 * no INTx.
 */
FP_PUBLIC int fp_irq_level(struct fp_device *dev, bool high);

/*
 * Whether the client has asked for that interrupt by now, masked or not. For a device that has to do
 * more for one kind than for another. Where fds can't reach the client it may say so of all kinds.
 */
FP_PUBLIC bool fp_irq_wanted(const struct fp_device *dev, enum fp_irq_index index, uint32_t number);

/* What a stream holds at most, bytes: all of a state that comes in, or what the client has not
 * read yet of one that goes out. */
#define FP_STREAM_MAX ((size_t)256 << 20)

/*
 * Appends `len` bytes. -ENOSPC above FP_STREAM_MAX, -ENOMEM: save() or precopy() fails then, even
 * if it does not look.
 */
FP_PUBLIC int fp_stream_write(struct fp_stream *to, const void *data, size_t len);

/* Takes the next `len` bytes. -EINVAL, and nothing is taken, when there are fewer. */
FP_PUBLIC int fp_stream_read(struct fp_stream *from, void *data, size_t len);

/* Bytes that can still be read. */
FP_PUBLIC size_t fp_stream_left(const struct fp_stream *from);

#ifdef __cplusplus
}
#endif

#endif
