/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory: the guest's RAM in one memfd: from guest address 0 on, and what has no room below
 * MEMORY_LOW_END from MEMORY_HIGH_BASE on.
 *
 * The memfd is sealed against any change of its size, so that nobody who gets the fd by DMA_MAP can
 * take pages away from under this process.
 */
#ifndef KVMFD_MEMORY_H
#define KVMFD_MEMORY_H

#include <stdint.h>

#include "vm.h"

/* Where the MMIO window starts, and where a PC has nothing but RAM again. */
#define MEMORY_LOW_END 0xd0000000ull
#define MEMORY_HIGH_BASE 0x100000000ull

#define MEMORY_MAX_BYTES (1ull << 40)

/* Guest addresses that are RAM; the first part is at 0. */
struct memory_part {
	uint64_t base;
	uint64_t size;
	uint64_t offset; /* in the memfd */
};

#define MEMORY_MAX_PARTS 2u

struct memory {
	int fd;
	uint8_t *host; /* the memfd, mapped in this process */
	uint64_t size; /* bytes, all of it */
	struct memory_part parts[MEMORY_MAX_PARTS];
	unsigned int nr_parts;
};

/*
 * Gives `vm` RAM of `size` bytes. *out is to be given to memory_close(), after vm_close(). Says why
 * to the log: -EINVAL when the size is 0, above MEMORY_MAX_BYTES or not whole pages; -errno.
 */
int memory_open(struct vm *vm, uint64_t size, struct memory **out);

void memory_close(struct memory *memory);

/* Where RAM below 4 GiB ends, and all of it. */
uint64_t memory_low_end(const struct memory *memory);
uint64_t memory_end(const struct memory *memory);

/* Guest address `gpa` in this process; NULL unless all of [gpa, gpa + len) is RAM, in one part. */
void *memory_ptr(const struct memory *memory, uint64_t gpa, uint64_t len);

/* Zeros for [gpa, gpa + len), which is RAM in one part: whole pages cost neither time nor memory. */
void memory_zero(const struct memory *memory, uint64_t gpa, uint64_t len);

#endif
