/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory: the guest's RAM, from guest address 0 on, in one memfd.
 *
 * The memfd is sealed against any change of its size, so that nobody who gets the fd by DMA_MAP can
 * take pages away from under this process.
 */
#ifndef KVMFD_MEMORY_H
#define KVMFD_MEMORY_H

#include <stdint.h>

#include "vm.h"

/* RAM ends where the MMIO window starts. */
#define MEMORY_MAX_BYTES 0xd0000000u

struct memory {
	int fd;
	uint8_t *host; /* where guest address 0 is mapped in this process */
	uint64_t size; /* bytes */
};

/*
 * Gives `vm` RAM of `size` bytes. *out is to be given to memory_close(), after vm_close(). Says why
 * to the log: -EINVAL when the size is 0, above MEMORY_MAX_BYTES or not whole pages; -errno.
 */
int memory_open(struct vm *vm, uint64_t size, struct memory **out);

void memory_close(struct memory *memory);

/* Guest address `gpa` in this process; NULL unless all of [gpa, gpa + len) is RAM. */
void *memory_ptr(const struct memory *memory, uint64_t gpa, uint64_t len);

#endif
