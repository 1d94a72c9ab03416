/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dma: the guest memory that a client has opened to its device, by DMA_MAP windows.
 */
#ifndef FASTPATH_DMA_H
#define FASTPATH_DMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fastpath.h"
#include "refusal.h"
#include "wire.h"

struct dma_window;
struct dma;
struct fault_map;

/* A window has come, goes or has failed: FP_WINDOW_*. */
typedef void dma_event_fn(struct dma *dma, enum fp_event event, const struct fp_window *window);

struct dma {
	struct dma_window *windows; /* by address, disjoint */
	size_t nr;
	size_t room;
	size_t nr_files; /* of them are reached by file I/O: each has an fd */
	uint64_t max;	 /* windows */
	uint64_t page;	 /* bytes: what a window begins and ends at */
	dma_event_fn *event;
	bool failed; /* a window has, since dma_tell_failed() */
};

/* The process's fds are not one client's to use up. */
#define DMA_MAX_FILES 1024u

/* No windows yet; `max` at most, of pages whose sizes are or-ed in `pgsizes`. */
void dma_init(struct dma *dma, uint64_t max, uint64_t pgsizes, dma_event_fn *event);

/*
 * Adds the window that a DMA_MAP describes. Takes `fd` (-1: none), also on failure.
 *   -EINVAL  size 0, an address or offset that wraps, an address or size that is not of whole
 *            pages, unknown flags, by mmap or file I/O without an fd, an fd that is shorter than the
 *            window; *why names what is wrong
 *   -EEXIST  it overlaps a live one; but the same one again, with the same offset, is fine
 *   -ENOSPC  as many windows as may be are live, or DMA_MAX_FILES by file I/O
 *   another -errno of mmap()
 */
int dma_map(struct dma *dma, const struct wire_dma_map *map, int fd, struct refusal *why);

/* Removes exactly that window, or all: -ENOENT when there is none such, -EINVAL for bad flags. */
int dma_unmap(struct dma *dma, const struct wire_dma_unmap *unmap, struct refusal *why);

void dma_unmap_all(struct dma *dma);

/*
 * Tells of each window that has failed and was not told of: its file was cut short, see fault.h. It
 * stays until it is unmapped, but there is no way into it any more. One that is unmapped is told
 * of before.
 */
void dma_tell_failed(struct dma *dma);

/* Bytes in all windows. */
uint64_t dma_bytes(const struct dma *dma);

/* Where one byte of guest memory and those behind it are. */
struct dma_span {
	uint8_t *base; /* in this process; NULL: not mapped */
	int fd;	       /* its file, when that is how it is to be reached; -1: by message */
	uint64_t offset;
	uint64_t len;	       /* bytes to the window's end */
	struct fault_map *map; /* with `base`: tells whether what was just done there was in vain */
};

/* The span at `iova`: -EFAULT when no window has it, or not for this, or it has failed. */
int dma_find(const struct dma *dma, uint64_t iova, bool write, struct dma_span *span);

/*
 * [iova, iova + len) in this process; NULL when no one window holds it, or it can't be mapped so or
 * has failed.
 */
void *dma_ptr(const struct dma *dma, uint64_t iova, size_t len, bool write);

#endif
