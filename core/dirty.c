/* SPDX-License-Identifier: BSD-3-Clause */
#include "dirty.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "log.h"

#define WORD_BITS 64u
#define CHUNK_WORDS (DIRTY_CHUNK_PAGES / WORD_BITS)

struct dirty_chunk {
	uint64_t index; /* its first page, in chunks */
	uint64_t *bits;
};

/* ---- bitmaps, of u64s at any alignment ---- */

static void set_bits(void *bitmap, uint64_t first, uint64_t last)
{
	for (uint64_t i = first / WORD_BITS; i <= last / WORD_BITS; i++) {
		uint64_t mask = UINT64_MAX;
		uint64_t word;

		if (i == first / WORD_BITS)
			mask &= UINT64_MAX << first % WORD_BITS;
		if (i == last / WORD_BITS)
			mask &= UINT64_MAX >> (WORD_BITS - 1 - last % WORD_BITS);
		memcpy(&word, (uint8_t *)bitmap + i * sizeof(word), sizeof(word));
		word |= mask;
		memcpy((uint8_t *)bitmap + i * sizeof(word), &word, sizeof(word));
	}
}

/* ---- starting and stopping ---- */

static bool is_power_of_two(uint64_t n)
{
	return n && !(n & (n - 1));
}

static bool is_whole_pages(uint64_t iova, uint64_t length, uint64_t page_size)
{
	uint64_t last;

	return !((iova | length) & (page_size - 1)) && wire_last(iova, length, &last);
}

static uint64_t range_last(const struct wire_dma_range *range)
{
	return range->iova + (range->length - 1);
}

static int by_iova(const void *a, const void *b)
{
	const struct wire_dma_range *x = a;
	const struct wire_dma_range *y = b;

	return x->iova < y->iova ? -1 : x->iova > y->iova;
}

/* The first that is not of whole pages or overlaps the one before, or NULL. Sorts them, too. */
static const struct wire_dma_range *find_bad(struct wire_dma_range *ranges, size_t nr,
					     uint64_t page_size)
{
	for (size_t i = 0; i < nr; i++)
		if (!is_whole_pages(ranges[i].iova, ranges[i].length, page_size))
			return &ranges[i];
	qsort(ranges, nr, sizeof(*ranges), by_iova);
	for (size_t i = 1; i < nr; i++)
		if (ranges[i].iova <= range_last(&ranges[i - 1]))
			return &ranges[i];
	return NULL;
}

int dirty_start(struct dirty *dirty, const struct wire_dma_logging *start, const void *ranges,
		size_t len, struct refusal *why)
{
	const struct wire_dma_range *bad;
	struct wire_dma_range *copy;
	size_t nr = start->num_ranges;

	if (dirty->on)
		return refuse(why, "DMA_LOGGING_START: logging is on", -EINVAL);
	if (!is_power_of_two(start->page_size))
		return refuse_value(why, "page_size", start->page_size, -EINVAL);
	if (nr > len / sizeof(*copy))
		return refuse_value(why, "num_ranges", nr, -EINVAL);
	copy = calloc(nr + 1, sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	if (nr)
		memcpy(copy, ranges, nr * sizeof(*copy));
	bad = find_bad(copy, nr, start->page_size);
	if (bad) {
		refuse_value(why, "the range at iova", bad->iova, 0);
		free(copy);
		return -EINVAL;
	}
	*dirty = (struct dirty){
		.on = true,
		.shift = (unsigned int)__builtin_ctzll(start->page_size),
		.ranges = copy,
		.nr_ranges = nr,
	};
	return 0;
}

static void drop_chunks(struct dirty *dirty)
{
	for (size_t i = 0; i < dirty->nr; i++)
		free(dirty->chunks[i].bits);
	free(take_ptr(dirty->chunks));
	dirty->nr = 0;
	dirty->room = 0;
}

void dirty_stop(struct dirty *dirty)
{
	drop_chunks(dirty);
	free(dirty->ranges);
	*dirty = (struct dirty){ 0 };
}

/* ---- marking ---- */

/* The first chunk at `index` or behind it. */
static size_t find_chunk(const struct dirty *dirty, uint64_t index)
{
	size_t low = 0;
	size_t high = dirty->nr;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (dirty->chunks[mid].index < index)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int insert_chunk(struct dirty *dirty, size_t at, uint64_t index)
{
	CLEANUP_FREE uint64_t *bits = NULL;
	struct dirty_chunk *chunk;

	if (dirty->nr == DIRTY_MAX_CHUNKS)
		return -ENOSPC;
	if (dirty->nr == dirty->room) {
		size_t room = dirty->room ? 2 * dirty->room : 16;
		struct dirty_chunk *grown = reallocarray(dirty->chunks, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		dirty->chunks = grown;
		dirty->room = room;
	}
	bits = calloc(CHUNK_WORDS, sizeof(*bits));
	if (!bits)
		return -ENOMEM;
	chunk = &dirty->chunks[at];
	memmove(chunk + 1, chunk, (dirty->nr - at) * sizeof(*chunk));
	*chunk = (struct dirty_chunk){ .index = index, .bits = take_ptr(bits) };
	dirty->nr++;
	return 0;
}

static void lose(struct dirty *dirty)
{
	log_warn("too much memory is dirty in too many places: all is reported as dirty");
	drop_chunks(dirty);
	dirty->lost = true;
}

static void mark_pages(struct dirty *dirty, uint64_t first, uint64_t last)
{
	uint64_t begin = first / DIRTY_CHUNK_PAGES;
	uint64_t end = last / DIRTY_CHUNK_PAGES;

	for (uint64_t index = begin; index <= end && !dirty->lost; index++) {
		size_t at = find_chunk(dirty, index);

		if ((at == dirty->nr || dirty->chunks[at].index != index) &&
		    insert_chunk(dirty, at, index))
			lose(dirty);
		else
			set_bits(dirty->chunks[at].bits,
				 index == begin ? first % DIRTY_CHUNK_PAGES : 0,
				 index == end ? last % DIRTY_CHUNK_PAGES : DIRTY_CHUNK_PAGES - 1);
	}
}

/* The first range that ends at `iova` or behind it. */
static size_t find_range(const struct dirty *dirty, uint64_t iova)
{
	size_t low = 0;
	size_t high = dirty->nr_ranges;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (range_last(&dirty->ranges[mid]) < iova)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

typedef void span_fn(void *opaque, uint64_t iova, uint64_t last);

/* Calls `fn` for what of [iova, last] is logged. */
static void for_each_logged(const struct dirty *dirty, uint64_t iova, uint64_t last, span_fn *fn,
			    void *opaque)
{
	if (!dirty->nr_ranges)
		fn(opaque, iova, last);
	for (size_t i = find_range(dirty, iova); i < dirty->nr_ranges; i++) {
		const struct wire_dma_range *range = &dirty->ranges[i];
		uint64_t end = range_last(range);

		if (range->iova > last)
			return;
		fn(opaque, range->iova > iova ? range->iova : iova, end < last ? end : last);
	}
}

static void mark_span(void *opaque, uint64_t iova, uint64_t last)
{
	struct dirty *dirty = opaque;

	mark_pages(dirty, iova >> dirty->shift, last >> dirty->shift);
}

void dirty_mark_bytes(struct dirty *dirty, uint64_t iova, uint64_t last)
{
	if (!dirty->lost)
		for_each_logged(dirty, iova, last, mark_span, dirty);
}

/* ---- reporting ---- */

/* A report's memory and its bitmap. */
struct view {
	uint64_t iova;
	uint64_t last;
	unsigned int shift;
	void *bitmap;
};

ssize_t dirty_report_bytes(const struct dirty *dirty, const struct wire_dma_report *report,
			   uint64_t max_bytes, struct refusal *why)
{
	uint64_t words;

	if (!dirty->on)
		return refuse(why, "DMA_LOGGING_REPORT: logging is off", -EINVAL);
	if (!is_power_of_two(report->page_size))
		return refuse_value(why, "page_size", report->page_size, -EINVAL);
	if (report->iova & (report->page_size - 1))
		return refuse_value(why, "iova", report->iova, -EINVAL);
	if (!is_whole_pages(report->iova, report->length, report->page_size))
		return refuse_value(why, "length", report->length, -EINVAL);
	words = (report->length / report->page_size - 1) / WORD_BITS + 1;
	if (words > max_bytes / sizeof(uint64_t))
		return refuse_value(why, "length, too large for one reply:", report->length,
				    -EINVAL);
	return (ssize_t)(words * sizeof(uint64_t));
}

static void show_span(void *opaque, uint64_t iova, uint64_t last)
{
	const struct view *view = opaque;

	if (iova < view->iova)
		iova = view->iova;
	if (last > view->last)
		last = view->last;
	if (iova <= last)
		set_bits(view->bitmap, (iova - view->iova) >> view->shift,
			 (last - view->iova) >> view->shift);
}

/* Shows the pages of one word, each run of them at once: most are long. */
static void show_word(struct view *view, uint64_t word, uint64_t page, unsigned int shift)
{
	while (word) {
		unsigned int first = (unsigned int)__builtin_ctzll(word);
		uint64_t run = word >> first;
		unsigned int nr = ~run ? (unsigned int)__builtin_ctzll(~run) : WORD_BITS;
		uint64_t last = page + first + (nr - 1);

		show_span(view, (page + first) << shift, last << shift | ((1ull << shift) - 1));
		word &= first + nr < WORD_BITS ? UINT64_MAX << (first + nr) : 0;
	}
}

/*
 * Those of a word's pages that stay dirty, because they are not wholly in view: the rest of them has
 * not been reported.
 */
static uint64_t keep(const struct view *view, uint64_t word, uint64_t page, unsigned int shift)
{
	uint64_t begin = page << shift;
	uint64_t end = (page + (WORD_BITS - 1)) << shift | ((1ull << shift) - 1);
	uint64_t left = word;

	if (begin >= view->iova && end <= view->last)
		return 0;
	for (; word; word &= word - 1) {
		unsigned int bit = (unsigned int)__builtin_ctzll(word);

		begin = (page + bit) << shift;
		end = begin | ((1ull << shift) - 1);
		if (begin >= view->iova && end <= view->last)
			left &= ~(1ull << bit);
	}
	return left;
}

/* Frees the chunk's bits when no page of it is dirty any more. */
static void show_chunk(struct view *view, struct dirty_chunk *chunk, unsigned int shift)
{
	uint64_t left = 0;

	for (uint64_t i = 0; i < CHUNK_WORDS; i++) {
		uint64_t page = chunk->index * DIRTY_CHUNK_PAGES + i * WORD_BITS;

		show_word(view, chunk->bits[i], page, shift);
		chunk->bits[i] = keep(view, chunk->bits[i], page, shift);
		left |= chunk->bits[i];
	}
	if (!left)
		free(take_ptr(chunk->bits));
}

static void sweep(struct dirty *dirty, size_t from)
{
	size_t kept = from;

	for (size_t i = from; i < dirty->nr; i++)
		if (dirty->chunks[i].bits)
			dirty->chunks[kept++] = dirty->chunks[i];
	dirty->nr = kept;
}

void dirty_report(struct dirty *dirty, const struct wire_dma_report *report, void *bitmap)
{
	struct view view = {
		.iova = report->iova,
		.last = report->iova + (report->length - 1),
		.shift = (unsigned int)__builtin_ctzll(report->page_size),
		.bitmap = bitmap,
	};
	uint64_t end = (view.last >> dirty->shift) / DIRTY_CHUNK_PAGES;
	size_t first = find_chunk(dirty, (view.iova >> dirty->shift) / DIRTY_CHUNK_PAGES);

	if (dirty->lost)
		for_each_logged(dirty, view.iova, view.last, show_span, &view);
	for (size_t i = first; i < dirty->nr && dirty->chunks[i].index <= end; i++)
		show_chunk(&view, &dirty->chunks[i], dirty->shift);
	sweep(dirty, first);
}
