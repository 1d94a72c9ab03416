/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fault: mappings of a peer's file, which the peer may cut short at any time.
 *
 * An access to a page that its file has lost is a SIGBUS. Within one of these mappings it ends
 * nothing: all of the mapping becomes zeros of this process' own, the access is done again there,
 * and whoever asks is told that the mapping has failed. The same goes for a file that can't get
 * the memory for a hole in it. Accesses by the kernel raise no signal: a system call or KVM_RUN
 * ends with EFAULT.
 *
 * The first mapping has the process handle SIGBUS. What happens elsewhere goes to the handler that
 * was there before, or ends the process as it would have.
 */
#ifndef FASTPATH_FAULT_H
#define FASTPATH_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fault_map;

/*
 * Maps [offset, offset + size) of `fd`, which stays the caller's, MAP_SHARED with PROT_* `prot`.
 * Neither has to be of whole pages. *failed, when it is not NULL, becomes true when the mapping
 * fails, and has to live as long as it. Any thread, at any time. -errno of mmap(), -ENOMEM.
 */
int fault_map(int fd, uint64_t offset, uint64_t size, int prot, bool *failed,
	      struct fault_map **out);

/* Unmaps it; NULL is nothing. Nobody may access it any more, but for what the kernel was told to. */
void fault_unmap(struct fault_map *map);

/*
 * The kernel has been told to read or write there: the place stays the mapping's, also after
 * fault_unmap(), until as many calls of fault_release(). By the thread that unmaps it.
 */
void fault_hold(struct fault_map *map);
void fault_release(struct fault_map *map);

/* Where `offset` of the file is. */
void *fault_map_bytes(const struct fault_map *map);

/* Whether it reads as zeros, and keeps what is written to it, because its file was cut short. */
bool fault_map_failed(const struct fault_map *map);

#endif
