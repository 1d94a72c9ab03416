/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dirty: which guest memory a device has written to since the client last asked.
 *
 * What a report says is clean is clean; what it says is dirty may be clean once in a while.
 */
#ifndef FASTPATH_DIRTY_H
#define FASTPATH_DIRTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "refusal.h"
#include "wire.h"

/* Pages that one chunk has bits for; the log has chunks only where something was written to. */
#define DIRTY_CHUNK_PAGES 32768u
/*
 * The most chunks of a log: 64 MiB of bits, for 2 TiB that are dirty at once in pages of 4 KiB.
 * Beyond that the log gives up telling: everything is dirty then until logging stops.
 */
#define DIRTY_MAX_CHUNKS 16384u

struct dirty_chunk;

struct dirty {
	bool on;
	bool lost; /* no memory to remember more: everything is dirty */
	unsigned int shift;
	struct wire_dma_range *ranges; /* by address, disjoint; none: all there is */
	size_t nr_ranges;
	struct dirty_chunk *chunks; /* by address */
	size_t nr;
	size_t room;
};

/*
 * DMA_LOGGING_START: `len` bytes at `ranges` hold start->num_ranges of them, at any alignment.
 *   -EINVAL  logging is on, a page size that is no power of two, fewer ranges than that, one that
 *            is empty, wraps, is not made of whole pages or overlaps another; *why names it
 *   -ENOMEM
 */
int dirty_start(struct dirty *dirty, const struct wire_dma_logging *start, const void *ranges,
		size_t len, struct refusal *why);

/* DMA_LOGGING_STOP, also when nothing is logged; all is forgotten. */
void dirty_stop(struct dirty *dirty);

/*
 * How long the bitmap of a DMA_LOGGING_REPORT is, bytes. -EINVAL: logging is off, a page size that
 * is no power of two, memory that is none, wraps or is not made of whole pages, or more than
 * `max_bytes`; *why names it.
 */
ssize_t dirty_report_bytes(const struct dirty *dirty, const struct wire_dma_report *report,
			   uint64_t max_bytes, struct refusal *why);

/*
 * Fills the bitmap, which is zeroed and as long as that says, at any alignment. Logged pages that
 * lie wholly within the report are clean from now on.
 */
void dirty_report(struct dirty *dirty, const struct wire_dma_report *report, void *bitmap);

void dirty_mark_bytes(struct dirty *dirty, uint64_t iova, uint64_t last);

/* The device may have written to [iova, iova + len). */
static inline void dirty_mark(struct dirty *dirty, uint64_t iova, uint64_t len)
{
	if (dirty->on && len)
		dirty_mark_bytes(dirty, iova,
				 len - 1 > UINT64_MAX - iova ? UINT64_MAX : iova + (len - 1));
}

#endif
