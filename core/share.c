/* SPDX-License-Identifier: BSD-3-Clause */
#include "share.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cleanup.h"

#ifndef F_SEAL_FUTURE_WRITE /* Linux 5.1; a C library may be older */
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

/* Opens what may be touched: the whole, or areas of a mapping that permits nothing. */
static int permit(const struct share *share, const struct fp_region *region)
{
	const struct fp_area whole = { .size = region->size };
	const struct fp_area *areas = region->nr_areas ? region->areas : &whole;
	size_t nr = region->nr_areas ? region->nr_areas : 1;

	for (size_t i = 0; i < nr; i++)
		if (mprotect(share->base + areas[i].offset, areas[i].size, PROT_READ | PROT_WRITE))
			return -errno;
	return 0;
}

/* A client that could truncate the file would make this process die of SIGBUS. */
static int seal(int fd, bool read_only)
{
	int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

	/* Our own mapping was there before, and stays writable. */
	if (read_only)
		seals |= F_SEAL_FUTURE_WRITE;
	return fcntl(fd, F_ADD_SEALS, seals) ? -errno : 0;
}

int share_open(struct share *share, const struct fp_region *region)
{
	CLEANUP_CLOSE int fd = memfd_create("fastpath region", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct share new = { .size = region->size };
	off_t start = (off_t)region->file_offset;
	int ret;

	if (fd < 0 || ftruncate(fd, start + (off_t)region->size))
		return -errno;
	new.base = mmap(NULL, new.size, PROT_NONE, MAP_SHARED, fd, start);
	if (new.base == MAP_FAILED)
		return -errno;
	ret = permit(&new, region);
	if (!ret)
		ret = seal(fd, region->flags & (FP_REGION_READ_ONLY | FP_REGION_LOADS_ONLY));
	if (ret) {
		munmap(new.base, new.size);
		return ret;
	}
	new.fd = take_fd(&fd);
	*share = new;
	return 0;
}

void share_close(struct share *share)
{
	if (!share->base)
		return;
	munmap(share->base, share->size);
	close(share->fd);
	*share = (struct share){ 0 };
}

/* One access where the machine has one. What the message's end of it is aligned to is its own. */
#define COPY_AS(type)                                                                    \
	do {                                                                             \
		type value__;                                                            \
		if ((uintptr_t)from % sizeof(type) == 0)                                 \
			value__ = __atomic_load_n((const type *)from, __ATOMIC_RELAXED); \
		else                                                                     \
			memcpy(&value__, from, sizeof(value__));                         \
		if ((uintptr_t)to % sizeof(type) == 0)                                   \
			__atomic_store_n((type *)to, value__, __ATOMIC_RELAXED);         \
		else                                                                     \
			memcpy(to, &value__, sizeof(value__));                           \
	} while (0)

void share_copy(void *to, const void *from, size_t len)
{
	switch (len) {
	case 1:
		COPY_AS(uint8_t);
		break;
	case 2:
		COPY_AS(uint16_t);
		break;
	case 4:
		COPY_AS(uint32_t);
		break;
	case 8:
		COPY_AS(uint64_t);
		break;
	default:
		memcpy(to, from, len);
	}
}
