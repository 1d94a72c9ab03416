/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * share: memory of a region that its client may map.
 */
#ifndef FASTPATH_SHARE_H
#define FASTPATH_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fastpath.h"

struct share {
	int fd;	       /* a file that ends with the region, whose size nobody can change */
	uint8_t *base; /* where byte 0 of it is mapped; NULL: there is no such memory */
	size_t size;   /* bytes */
};

/*
 * Makes the memory of a region that region_check() has accepted, zeroed. Only its areas can be
 * touched in this process; a client that is disobedient may map the rest of the file, in which
 * nothing lies. That of a read-only region can't be mapped for writing by anybody else.
 * -errno of memfd_create(), ftruncate(), mmap() or fcntl().
 */
int share_open(struct share *share, const struct fp_region *region);

/* A share that was not opened, but is zeroed, is nothing. */
void share_close(struct share *share);

/*
 * Copies `len` bytes to or from memory that others change meanwhile: 1, 2, 4 or 8 aligned bytes in
 * one access, as their stores are.
 */
void share_copy(void *to, const void *from, size_t len);

#endif
