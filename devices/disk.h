/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * disk: a file or a block device that a guest has as a disk: read, written, flushed, and what becomes
 * zeros or is not needed any more.
 */
#ifndef FASTPATH_DISK_H
#define FASTPATH_DISK_H

#include "fastpath.h"

/* What it reads and writes begins and ends at multiples of this. */
#define DISK_SECTOR 512u

struct disk {
	/* Set before disk_open(). */
	const char *key; /* the errors' name for `path` */
	const char *path;
	bool readonly;
	bool direct; /* past the page cache, where the file and the buffers let it */

	struct fp_device *dev;
	int fd;
	int direct_fd; /* -1: none */
	uint64_t bytes;
};

/* Something that is done to it, embedded in what asks for it. */
struct disk_op {
	/* 0 or -errno: of the file, also when it has become shorter; of memory, see fp_file_op. */
	void (*done)(struct disk_op *op, int ret);

	struct disk *disk;
	struct fp_file_op file;
	uint64_t at, left;
	const struct fp_piece *pieces;
	size_t nr;
	unsigned int way; /* to zeros */
	bool syncs;
	struct fp_piece zeros;
};

/*
 * Opens it. 0 or -errno, having said why: it is neither a file nor a block device, or smaller than a
 * sector, or can't be opened. Where the file system has no O_DIRECT that is said, and it goes on.
 */
int disk_open(struct fp_device *dev, struct disk *disk);

/* Only after disk_open() was good. */
void disk_close(struct disk *disk);

/* Waits until what was written is there for whoever opens the file. 0 or -errno. */
int disk_settle(const struct disk *disk);

static inline bool disk_has(const struct disk *disk, uint64_t at, uint64_t bytes)
{
	return at <= disk->bytes && bytes <= disk->bytes - at;
}

/*
 * Each calls op->done() once, maybe before it returns. [at, at + bytes) has to be the disk's, and
 * `bytes` what the pieces hold; they stay until then. `stable`: it is on the disk when it is done.
 */
void disk_read(struct disk *disk, struct disk_op *op, uint64_t at, const struct fp_piece *pieces,
	       size_t nr, uint64_t bytes);
void disk_write(struct disk *disk, struct disk_op *op, uint64_t at, const struct fp_piece *pieces,
		size_t nr, uint64_t bytes, bool stable);
void disk_flush(struct disk *disk, struct disk_op *op);

/* Zeros, which need not take room on the disk with `unmap`. */
void disk_zero(struct disk *disk, struct disk_op *op, uint64_t at, uint64_t bytes, bool unmap,
	       bool stable);

/* Nobody needs it any more: a hint, so that it is fine where it can't be done. */
void disk_discard(struct disk *disk, struct disk_op *op, uint64_t at, uint64_t bytes);

#endif
