/* SPDX-License-Identifier: BSD-3-Clause */
#include "dma.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "fault.h"

struct dma_window {
	uint64_t address;
	uint64_t size;
	uint64_t offset;
	uint32_t flags;
	struct fault_map *map; /* NULL: not mapped */
	uint8_t *base;	       /* where the window's first byte is then */
	int fd;		       /* for file I/O; -1: none */
	bool failed_is_told;
};

void dma_init(struct dma *dma, uint64_t max, uint64_t pgsizes, dma_event_fn *event)
{
	*dma = (struct dma){ .max = max, .page = pgsizes & -pgsizes, .event = event };
}

static void tell(struct dma *dma, enum fp_event event, const struct dma_window *window)
{
	const struct fp_window told = {
		.iova = window->address,
		.size = window->size,
		.readable = window->flags & WIRE_DMA_READABLE,
		.writable = window->flags & WIRE_DMA_WRITEABLE,
		.mapped = window->base,
	};

	dma->event(dma, event, &told);
}

/* The first window that ends behind `address`. */
static size_t find(const struct dma *dma, uint64_t address)
{
	size_t low = 0;
	size_t high = dma->nr;

	while (low < high) {
		size_t mid = (low + high) / 2;
		const struct dma_window *window = &dma->windows[mid];

		if (address - window->address < window->size || address < window->address)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

static int check(const struct dma *dma, const struct wire_dma_map *map, int fd, struct refusal *why)
{
	uint64_t last;

	if (!map->size || map->size > SIZE_MAX / 2 || map->size & (dma->page - 1))
		return refuse_value(why, "size", map->size, -EINVAL);
	if (!wire_last(map->address, map->size, &last) || map->address & (dma->page - 1))
		return refuse_value(why, "address", map->address, -EINVAL);
	if (map->flags & ~(uint32_t)WIRE_DMA_MAP_FLAGS ||
	    (fd < 0 && map->flags & (WIRE_DMA_BY_MMAP | WIRE_DMA_BY_FILE_IO)))
		return refuse_value(why, "flags", map->flags, -EINVAL);
	if (!wire_within(map->offset, map->size, INT64_MAX))
		return refuse_value(why, "offset", map->offset, -EINVAL);
	return 0;
}

/* Memory behind the end of its file would be a SIGBUS. */
static int check_file(const struct wire_dma_map *map, int fd, struct refusal *why)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (S_ISREG(st.st_mode) && !wire_within(map->offset, map->size, (uint64_t)st.st_size))
		return refuse_value(why, "offset + size beyond a file of", (uint64_t)st.st_size,
				    -EINVAL);
	return 0;
}

static int map_file(struct dma *dma, struct dma_window *window, int fd)
{
	int prot = (window->flags & WIRE_DMA_READABLE ? PROT_READ : 0) |
		   (window->flags & WIRE_DMA_WRITEABLE ? PROT_WRITE : 0);
	int ret = fault_map(fd, window->offset, window->size, prot, &dma->failed, &window->map);

	if (!ret)
		window->base = fault_map_bytes(window->map);
	return ret;
}

static void drop(struct dma_window *window)
{
	cleanup_close(&window->fd);
	fault_unmap(window->map);
}

static bool has_failed(const struct dma_window *window)
{
	return window->map && fault_map_failed(window->map);
}

static void tell_failed(struct dma *dma, struct dma_window *window)
{
	if (!has_failed(window) || window->failed_is_told)
		return;
	window->failed_is_told = true;
	tell(dma, FP_WINDOW_FAILED, window);
}

void dma_tell_failed(struct dma *dma)
{
	if (!__atomic_exchange_n(&dma->failed, false, __ATOMIC_ACQUIRE))
		return;
	for (size_t i = 0; i < dma->nr; i++)
		tell_failed(dma, &dma->windows[i]);
}

static int insert(struct dma *dma, size_t at, const struct dma_window *window)
{
	if (dma->nr == dma->room) {
		size_t room = dma->room ? 2 * dma->room : 16;
		struct dma_window *grown = reallocarray(dma->windows, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		dma->windows = grown;
		dma->room = room;
	}
	memmove(&dma->windows[at + 1], &dma->windows[at], (dma->nr - at) * sizeof(*window));
	dma->windows[at] = *window;
	dma->nr++;
	return 0;
}

int dma_map(struct dma *dma, const struct wire_dma_map *map, int fd, struct refusal *why)
{
	CLEANUP_CLOSE int owned = fd;
	size_t at = find(dma, map->address);
	struct dma_window window = {
		.address = map->address,
		.size = map->size,
		.offset = map->offset,
		.flags = map->flags,
		.fd = -1,
	};
	int ret = check(dma, map, fd, why);

	if (ret)
		return ret;
	if (at < dma->nr && dma->windows[at].address <= map->address + (map->size - 1)) {
		const struct dma_window *live = &dma->windows[at];

		return live->address == map->address && live->size == map->size &&
				       live->offset == map->offset ?
			       0 :
			       refuse_value(why, "address", map->address, -EEXIST);
	}
	if (dma->nr >= dma->max)
		return refuse_value(why, "a window above the", dma->nr, -ENOSPC);
	if (map->flags & WIRE_DMA_BY_FILE_IO && dma->nr_files >= DMA_MAX_FILES)
		return refuse_value(why, "a window by file I/O above the", dma->nr_files, -ENOSPC);
	if (fd >= 0) {
		ret = check_file(map, fd, why);
		if (ret)
			return ret;
		if (map->flags & WIRE_DMA_BY_FILE_IO)
			window.fd = take_fd(&owned);
		else
			ret = map_file(dma, &window, fd);
		if (ret)
			return ret;
	}
	ret = insert(dma, at, &window);
	if (ret) {
		drop(&window);
		return ret;
	}
	dma->nr_files += window.fd >= 0;
	tell(dma, FP_WINDOW_OPENED, &window);
	return 0;
}

/* From here on nobody finds it; then the device hears of it. */
static void remove_window(struct dma *dma, size_t at)
{
	struct dma_window window = dma->windows[at];

	memmove(&dma->windows[at], &dma->windows[at + 1], (dma->nr - at - 1) * sizeof(window));
	dma->nr--;
	dma->nr_files -= window.fd >= 0;
	tell_failed(dma, &window);
	drop(&window);
	tell(dma, FP_WINDOW_CLOSED, &window);
}

int dma_unmap(struct dma *dma, const struct wire_dma_unmap *unmap, struct refusal *why)
{
	size_t at = find(dma, unmap->address);
	struct dma_window *window;

	if (unmap->flags & ~(uint32_t)WIRE_DMA_UNMAP_ALL)
		return refuse_value(why, "flags", unmap->flags, -EINVAL);
	if (unmap->flags & WIRE_DMA_UNMAP_ALL) {
		if (unmap->address)
			return refuse_value(why, "address", unmap->address, -EINVAL);
		if (unmap->size)
			return refuse_value(why, "size", unmap->size, -EINVAL);
		dma_unmap_all(dma);
		return 0;
	}
	window = at < dma->nr ? &dma->windows[at] : NULL;
	if (!window || window->address != unmap->address)
		return refuse_value(why, "address", unmap->address, -ENOENT);
	if (window->size != unmap->size)
		return refuse_value(why, "size", unmap->size, -ENOENT);
	remove_window(dma, at);
	return 0;
}

void dma_unmap_all(struct dma *dma)
{
	while (dma->nr)
		remove_window(dma, dma->nr - 1);
	free(take_ptr(dma->windows));
	dma->room = 0;
}

uint64_t dma_bytes(const struct dma *dma)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < dma->nr; i++)
		bytes += dma->windows[i].size;
	return bytes;
}

int dma_find(const struct dma *dma, uint64_t iova, bool write, struct dma_span *span)
{
	size_t at = find(dma, iova);
	uint32_t needed = write ? WIRE_DMA_WRITEABLE : WIRE_DMA_READABLE;
	const struct dma_window *window;
	uint64_t skip;

	if (at == dma->nr)
		return -EFAULT;
	window = &dma->windows[at];
	if (iova < window->address || !(window->flags & needed) || has_failed(window))
		return -EFAULT;
	skip = iova - window->address;
	*span = (struct dma_span){
		.base = window->base ? window->base + skip : NULL,
		.fd = window->fd,
		.offset = window->offset + skip,
		.len = window->size - skip,
		.map = window->map,
	};
	return 0;
}

void *dma_ptr(const struct dma *dma, uint64_t iova, size_t len, bool write)
{
	size_t at = find(dma, iova);
	uint32_t needed = write ? WIRE_DMA_WRITEABLE : WIRE_DMA_READABLE;
	const struct dma_window *window;

	if (at == dma->nr)
		return NULL;
	window = &dma->windows[at];
	if (iova < window->address || !wire_within(iova - window->address, len, window->size) ||
	    !(window->flags & needed) || !window->base || has_failed(window))
		return NULL;
	return window->base + (iova - window->address);
}
