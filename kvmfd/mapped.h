/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mapped: a region's memory as memory of the guest, which then reaches it without an exit.
 *
 * Only of a file that can't shrink: the guest would end over a page that is not there any more. What
 * the server lets be mapped for reading only becomes a read-only slot: loads don't leave the guest,
 * stores do, or ring the ioeventfds that lie there.
 */
#ifndef KVMFD_MAPPED_H
#define KVMFD_MAPPED_H

#include <stdbool.h>
#include <stdint.h>

#include "fastpath-client.h"
#include "vm.h"

struct mapped;

/* Where a region's memory goes. */
struct mapped_target {
	const char *device; /* for the log; has to live as long as what is mapped */
	uint64_t base;	    /* guest address of the region's first byte */
	/* Whole pages that must not be mapped, whatever the server says: somebody else answers. */
	struct fpc_area holes[2];
	unsigned int nr_holes;
};

/*
 * Gives `vm` what may be mapped of the region. What can't be goes by message, and the log says why.
 * *out, NULL when that is all of it, is to be given to mapped_close(). -ENOMEM.
 */
int mapped_open(struct vm *vm, const struct fpc_region *region, const struct mapped_target *target,
		struct mapped **out);

/* Takes it from the guest, and keeps it; NULL is nothing. */
void mapped_unplug(struct mapped *mapped);

/* Gives it to the guest again, the region's first byte at `base`; what can't be is said to the log. */
void mapped_plug(struct mapped *mapped, uint64_t base);

/* Takes it from the guest and unmaps it; NULL is nothing. */
void mapped_close(struct mapped *mapped);

/* Area `i` of those that have a memory slot, from 0 on; false: there are no more. */
bool mapped_area(const struct mapped *mapped, uint32_t i, struct fpc_area *area, bool *read_only);

/* Bytes that the guest reaches, and of them those that it can't store to. */
uint64_t mapped_bytes(const struct mapped *mapped);
uint64_t mapped_read_only_bytes(const struct mapped *mapped);

#endif
