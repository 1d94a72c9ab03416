/* SPDX-License-Identifier: BSD-3-Clause */
/* identity_map: page tables in which the first 4 GiB are where they are, in pages of 2 MiB. */
#ifndef KVMFD_IDENTITY_MAP_H
#define KVMFD_IDENTITY_MAP_H

#include <stdint.h>

/* PML4, PDPT, and a page directory for each GiB. */
#define IDENTITY_MAP_BYTES (6 * 4096u)

/*
 * Writes them to `tables`, which is guest address `address`, a multiple of 4,096: CR3's value. The
 * flags are those of an entry that names a table, and of one that is a page of 2 MiB.
 */
static inline void identity_map_write(void *tables, uint64_t address, uint64_t table_flags,
				      uint64_t page_flags)
{
	uint64_t *pml4 = tables;
	uint64_t *pdpt = pml4 + 512;
	uint64_t *pd = pdpt + 512;

	pml4[0] = (address + 4096) | table_flags;
	for (uint64_t i = 0; i < 4; i++)
		pdpt[i] = (address + (2 + i) * 4096) | table_flags;
	for (uint64_t i = 0; i < 4 * 512; i++)
		pd[i] = i << 21 | page_flags;
}

#endif
