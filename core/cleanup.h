/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cleanup: scope-bound ownership. A variable marked so gives back what it holds when its scope
 * ends, unless take_fd() or take_ptr() moved it out.
 */
#ifndef FASTPATH_CLEANUP_H
#define FASTPATH_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_close(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_free(void *ptr)
{
	free(*(void **)ptr);
}

#define CLEANUP_CLOSE __attribute__((cleanup(cleanup_close), unused))
#define CLEANUP_FREE __attribute__((cleanup(cleanup_free), unused))

/* The fd in *fd, whose owner is now the caller. */
static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#define take_ptr(ptr)                            \
	({                                       \
		__typeof__(ptr) taken__ = (ptr); \
		(ptr) = NULL;                    \
		taken__;                         \
	})

#endif
