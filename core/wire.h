/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wire: the layouts of vfio-user 0.9.2, to the byte.
 *
 * Every field is host-endian and every offset counts from the end of the header. These structures
 * are what travels; what a peer put into them is not to be trusted before wire_header_check() and
 * the session's command table have looked at it.
 */
#ifndef FASTPATH_WIRE_H
#define FASTPATH_WIRE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A message lies where its stream puts it, so at any address: accesses must not count on more. */
#define WIRE_PACKED __attribute__((packed))

#define WIRE_MAJOR 0
#define WIRE_MINOR 2

/* Commands, section "Commands". */
enum wire_cmd {
	WIRE_VERSION = 1,
	WIRE_DMA_MAP = 2,
	WIRE_DMA_UNMAP = 3,
	WIRE_DEVICE_GET_INFO = 4,
	WIRE_DEVICE_GET_REGION_INFO = 5,
	WIRE_DEVICE_GET_REGION_IO_FDS = 6,
	WIRE_DEVICE_GET_IRQ_INFO = 7,
	WIRE_DEVICE_SET_IRQS = 8,
	WIRE_REGION_READ = 9,
	WIRE_REGION_WRITE = 10,
	WIRE_DMA_READ = 11,
	WIRE_DMA_WRITE = 12,
	WIRE_DEVICE_RESET = 13,
	WIRE_REGION_WRITE_MULTI = 15,
	WIRE_DEVICE_FEATURE = 16,
	WIRE_MIG_DATA_READ = 17,
	WIRE_MIG_DATA_WRITE = 18,
	WIRE_CMD_END,

	/* Of an older draft, from server to client, which never sees the other 13. */
	WIRE_VM_INTERRUPT = 13,
};

/* Header flags. */
enum {
	WIRE_TYPE_MASK = 0xf,
	WIRE_TYPE_COMMAND = 0,
	WIRE_TYPE_REPLY = 1,
	WIRE_NO_REPLY = 1 << 4,
	WIRE_ERROR = 1 << 5,
};

struct wire_header {
	uint16_t msg_id;
	uint16_t cmd;
	uint32_t msg_size; /* header included */
	uint32_t flags;
	uint32_t error_no;
} WIRE_PACKED;
static_assert(sizeof(struct wire_header) == 16, "header");

/* 1 VERSION; a NUL-terminated JSON text may follow. */
struct wire_version {
	uint16_t major;
	uint16_t minor;
} WIRE_PACKED;
static_assert(sizeof(struct wire_version) == 4, "VERSION");

/* 2 DMA_MAP */
enum {
	WIRE_DMA_READABLE = 1 << 0,
	WIRE_DMA_WRITEABLE = 1 << 1,
	WIRE_DMA_BY_MMAP = 1 << 2,
	WIRE_DMA_BY_FILE_IO = 1 << 3,
	WIRE_DMA_MAP_FLAGS = 0xf,
};

struct wire_dma_map {
	uint32_t argsz;
	uint32_t flags;
	uint64_t offset; /* into the fd's file */
	uint64_t address;
	uint64_t size;
} WIRE_PACKED;
static_assert(sizeof(struct wire_dma_map) == 32, "DMA_MAP");

/* 3 DMA_UNMAP */
enum {
	WIRE_DMA_UNMAP_GET_DIRTY = 1 << 0, /* retired */
	WIRE_DMA_UNMAP_ALL = 1 << 1,
};

struct wire_dma_unmap {
	uint32_t argsz;
	uint32_t flags;
	uint64_t address;
	uint64_t size;
} WIRE_PACKED;
static_assert(sizeof(struct wire_dma_unmap) == 24, "DMA_UNMAP");

/* 4 DEVICE_GET_INFO */
enum {
	WIRE_DEVICE_RESETTABLE = 1 << 0,
	WIRE_DEVICE_PCI = 1 << 1,
};

struct wire_device_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t num_regions;
	uint32_t num_irqs;
} WIRE_PACKED;
static_assert(sizeof(struct wire_device_info) == 16, "DEVICE_GET_INFO");

/* 5 DEVICE_GET_REGION_INFO; capabilities may follow at cap_offset. */
enum {
	WIRE_REGION_READABLE = 1 << 0,
	WIRE_REGION_WRITEABLE = 1 << 1,
	WIRE_REGION_MMAP = 1 << 2,
	WIRE_REGION_CAPS = 1 << 3,
};

struct wire_region_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t cap_offset; /* from the body's start */
	uint64_t size;
	uint64_t offset; /* for mmap */
} WIRE_PACKED;
static_assert(sizeof(struct wire_region_info) == 32, "DEVICE_GET_REGION_INFO");

/* The capabilities are a list of these, each the start of one; their version is 1. */
enum {
	WIRE_CAP_SPARSE_MMAP = 1,
	WIRE_CAP_TYPE = 2,
};

struct wire_cap {
	uint16_t id;
	uint16_t version;
	uint32_t next; /* from the body's start; 0: the last */
} WIRE_PACKED;
static_assert(sizeof(struct wire_cap) == 8, "a region's capability");

/* `nr_areas` areas follow: what alone may be mapped. */
struct wire_cap_sparse {
	struct wire_cap cap;
	uint32_t nr_areas;
	uint32_t reserved;
} WIRE_PACKED;
static_assert(sizeof(struct wire_cap_sparse) == 16, "SPARSE_MMAP");

struct wire_area {
	uint64_t offset;
	uint64_t size;
} WIRE_PACKED;
static_assert(sizeof(struct wire_area) == 16, "an area of SPARSE_MMAP");

/* What a region is that PCI has no number for. */
struct wire_cap_type {
	struct wire_cap cap;
	uint32_t type;
	uint32_t subtype;
} WIRE_PACKED;
static_assert(sizeof(struct wire_cap_type) == 16, "VFIO_REGION_INFO_CAP_TYPE");

#define WIRE_REGION_TYPE_PCI_VENDOR (1u << 31) /* a type, with a PCI vendor's id */

/* 6 DEVICE_GET_REGION_IO_FDS; `count` entries follow, the stride is (argsz - 16) / count. */
struct wire_region_io_fds {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t count;
} WIRE_PACKED;
static_assert(sizeof(struct wire_region_io_fds) == 16, "DEVICE_GET_REGION_IO_FDS");

enum {
	WIRE_IO_FD_IOEVENTFD = 0,
	WIRE_IO_FD_IOREGIONFD = 1,
	WIRE_IO_FD_SHADOW = 2,
};

/* KVM_IOEVENTFD_FLAG_*, as they stand in an ioeventfd entry's flags. */
enum {
	WIRE_IOEVENTFD_DATAMATCH = 1 << 0,
	WIRE_IOEVENTFD_PIO = 1 << 1,
};

/* The same of an ioregionfd entry: KVM_IOREGION_*, whose bits are others. */
enum {
	WIRE_IOREGION_PIO = 1 << 0,
	WIRE_IOREGION_POSTED_WRITES = 1 << 1,
};

/* An ioeventfd or ioregionfd entry as the published text lays it out. */
struct wire_io_fd_spec {
	uint64_t offset;
	uint64_t size; /* 0: any access width */
	uint32_t fd_index;
	uint32_t type;
	uint32_t flags;
	uint32_t padding;
	uint64_t datamatch; /* an ioregionfd's user_data */
} WIRE_PACKED;
static_assert(sizeof(struct wire_io_fd_spec) == 40, "io_fds, published layout");

/* The same as deployed servers and the one known foreign client have it. */
struct wire_io_fd_deployed {
	uint64_t offset;
	uint64_t size;
	uint32_t fd_index;
	uint32_t type;
	uint32_t flags;
	uint32_t shadow_mem_fd_index;
	uint64_t shadow_offset; /* an ioregionfd's user_data */
	uint64_t datamatch;
} WIRE_PACKED;
static_assert(sizeof(struct wire_io_fd_deployed) == 48, "io_fds, deployed layout");

/* What KVM sends on an ioregionfd, and what it is answered; a packet each. Not the socket's protocol. */
enum {
	WIRE_IOREGION_READ = 0,
	WIRE_IOREGION_WRITE = 1,
	WIRE_IOREGION_SIZE_MASK = 0xf, /* the size's exponent: 0 to 3 */
	WIRE_IOREGION_RESP = 1 << 4,   /* an answer is waited for */
};

struct wire_ioregion_cmd {
	uint8_t cmd;
	uint8_t size_resp;
	uint8_t padding[6];
	uint64_t user_data;
	uint64_t offset; /* from the sub-region's start */
	uint64_t data;	 /* of a write: its low bytes */
} WIRE_PACKED;
static_assert(sizeof(struct wire_ioregion_cmd) == 32, "ioregionfd's command");

struct wire_ioregion_resp {
	uint64_t data;
	uint8_t padding[24];
} WIRE_PACKED;
static_assert(sizeof(struct wire_ioregion_resp) == 32, "ioregionfd's answer");

/* 7 DEVICE_GET_IRQ_INFO */
enum {
	WIRE_IRQ_EVENTFD = 1 << 0,
	WIRE_IRQ_MASKABLE = 1 << 1,
	WIRE_IRQ_AUTOMASKED = 1 << 2,
	WIRE_IRQ_NORESIZE = 1 << 3,
};

struct wire_irq_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t count;
} WIRE_PACKED;
static_assert(sizeof(struct wire_irq_info) == 16, "DEVICE_GET_IRQ_INFO");

/* 8 DEVICE_SET_IRQS; `count` bytes follow for DATA_BOOL. */
enum {
	WIRE_IRQ_DATA_NONE = 1 << 0,
	WIRE_IRQ_DATA_BOOL = 1 << 1,
	WIRE_IRQ_DATA_EVENTFD = 1 << 2,
	WIRE_IRQ_DATA_MASK = 7,
	WIRE_IRQ_ACTION_MASK = 1 << 3,
	WIRE_IRQ_ACTION_UNMASK = 1 << 4,
	WIRE_IRQ_ACTION_TRIGGER = 1 << 5,
	WIRE_IRQ_ACTIONS = 7 << 3,
};

struct wire_irq_set {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t start;
	uint32_t count;
} WIRE_PACKED;
static_assert(sizeof(struct wire_irq_set) == 20, "DEVICE_SET_IRQS");

/* 9 REGION_READ, 10 REGION_WRITE; data follows a read's reply and a write's request. */
struct wire_region_access {
	uint64_t offset;
	uint32_t region;
	uint32_t count;
} WIRE_PACKED;
static_assert(sizeof(struct wire_region_access) == 16, "REGION_READ, REGION_WRITE");

/* 11 DMA_READ, 12 DMA_WRITE, from the server; data follows a read's reply and a write's request. */
struct wire_dma_access {
	uint64_t address;
	uint64_t count;
} WIRE_PACKED;
static_assert(sizeof(struct wire_dma_access) == 16, "DMA_READ, DMA_WRITE");

/* 13 VM_INTERRUPT, from the server: its interrupt `subindex` of kind `index` has fired. */
struct wire_vm_interrupt {
	uint32_t index;
	uint32_t subindex;
} WIRE_PACKED;
static_assert(sizeof(struct wire_vm_interrupt) == 8, "VM_INTERRUPT");

/* 15 REGION_WRITE_MULTI: u64 wr_cnt, then so many of these; the reply is a u64, how many were done. */
struct wire_region_write_multi {
	uint64_t offset;
	uint32_t region;
	uint32_t count; /* 8 at most */
	uint64_t data;
} WIRE_PACKED;
static_assert(sizeof(struct wire_region_write_multi) == 24, "REGION_WRITE_MULTI");
/* 16 DEVICE_FEATURE; the feature's data follow. */
enum {
	WIRE_FEATURE_INDEX_MASK = 0xffff,
	WIRE_FEATURE_GET = 1 << 16,
	WIRE_FEATURE_SET = 1 << 17,
	WIRE_FEATURE_PROBE = 1 << 18,
};

enum wire_feature {
	WIRE_FEATURE_MIGRATION = 1,
	WIRE_FEATURE_MIG_DEVICE_STATE = 2,
	WIRE_FEATURE_DMA_LOGGING_START = 6,
	WIRE_FEATURE_DMA_LOGGING_STOP = 7,
	WIRE_FEATURE_DMA_LOGGING_REPORT = 8,
	WIRE_FEATURE_END
};

struct wire_device_feature {
	uint32_t argsz;
	uint32_t flags;
} WIRE_PACKED;
static_assert(sizeof(struct wire_device_feature) == 8, "DEVICE_FEATURE");

enum {
	WIRE_MIGRATION_STOP_COPY = 1 << 0,
	WIRE_MIGRATION_P2P = 1 << 1,
	WIRE_MIGRATION_PRE_COPY = 1 << 2,
};

struct wire_migration {
	uint64_t flags;
} WIRE_PACKED;
static_assert(sizeof(struct wire_migration) == 8, "MIGRATION");

enum wire_mig_state {
	WIRE_MIG_ERROR = 0,
	WIRE_MIG_STOP = 1,
	WIRE_MIG_RUNNING = 2,
	WIRE_MIG_STOP_COPY = 3,
	WIRE_MIG_RESUMING = 4,
	WIRE_MIG_PRE_COPY = 6, /* 5 is for P2P */
	WIRE_MIG_END
};

struct wire_mig_device_state {
	uint32_t device_state;
	uint32_t data_fd; /* unused */
} WIRE_PACKED;
static_assert(sizeof(struct wire_mig_device_state) == 8, "MIG_DEVICE_STATE");

struct wire_dma_range {
	uint64_t iova;
	uint64_t length;
} WIRE_PACKED;
static_assert(sizeof(struct wire_dma_range) == 16, "a range of DMA_LOGGING_START");

/* `num_ranges` of them follow; none: all there is. */
struct wire_dma_logging {
	uint64_t page_size;
	uint32_t num_ranges;
	uint32_t reserved;
} WIRE_PACKED;
static_assert(sizeof(struct wire_dma_logging) == 16, "DMA_LOGGING_START");

/* In the reply a bitmap of u64s follows. */
struct wire_dma_report {
	uint64_t iova;
	uint64_t length;
	uint64_t page_size;
} WIRE_PACKED;
static_assert(sizeof(struct wire_dma_report) == 24, "DMA_LOGGING_REPORT");

/* 17 MIG_DATA_READ, 18 MIG_DATA_WRITE; data follow a read's reply and a write's request. */
struct wire_mig_data {
	uint32_t argsz;
	uint32_t size;
} WIRE_PACKED;
static_assert(sizeof(struct wire_mig_data) == 8, "MIG_DATA_READ, MIG_DATA_WRITE");

/* Defaults of what VERSION negotiates, and the bounds that a sane peer stays within. */
#define WIRE_DEFAULT_MAX_MSG_FDS 1u
#define WIRE_DEFAULT_MAX_DATA_XFER 1048576u
#define WIRE_DEFAULT_MAX_DMA_MAPS 65535u
#define WIRE_DEFAULT_PGSIZES 4096u

/* The largest message either end sends or takes: a full data transfer and its fixed part. */
#define WIRE_MAX_MSG (WIRE_DEFAULT_MAX_DATA_XFER + 4096u)

/* "REGION_READ" for WIRE_REGION_READ; "unknown command" for what is none. Never NULL. */
const char *wire_cmd_name(unsigned int cmd);

/* "RUNNING" for WIRE_MIG_RUNNING; "unknown state" for what is none. Never NULL. */
const char *wire_state_name(unsigned int state);

/*
 * Looks at a header that came from a peer. NULL when the message's end can be told from it, else
 * what is wrong: no later byte of the stream can be trusted then.
 */
const char *wire_header_check(const struct wire_header *hdr);

/* Whether [offset, offset + count) lies within [0, size), without overflow. */
static inline bool wire_within(uint64_t offset, uint64_t count, uint64_t size)
{
	return offset <= size && count <= size - offset;
}

/* The last byte of [start, start + count) to *last; false when there is none, or it wraps. */
static inline bool wire_last(uint64_t start, uint64_t count, uint64_t *last)
{
	return count && !__builtin_add_overflow(start, count - 1, last);
}

/* Whether [a, a + a_len) and [b, b + b_len) share a byte; neither may wrap. */
static inline bool wire_overlaps(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a_len && b_len && a <= b + (b_len - 1) && b <= a + (a_len - 1);
}

#endif
