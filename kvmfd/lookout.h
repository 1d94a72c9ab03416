/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lookout: a thread that waits for what the others can't, who are in the guest: fds, and time.
 *
 * It tells once, and then waits until it is told what to look for next: nothing that it looks at is
 * changed behind its back.
 */
#ifndef KVMFD_LOOKOUT_H
#define KVMFD_LOOKOUT_H

#include <poll.h>

#define LOOKOUT_MAX_FDS 64u

struct lookout;

/*
 * `seen` is called on the lookout's thread, when one of the fds has something or the time is over.
 * *out is to be given to lookout_close(). -ENOMEM, -errno.
 */
int lookout_open(void (*seen)(void *opaque), void *opaque, struct lookout **out);

/*
 * From now on these, at most LOOKOUT_MAX_FDS (borrowed until it has told), for `timeout_ms` (negative:
 * for ever). From any thread.
 */
void lookout_watch(struct lookout *lookout, const struct pollfd *fds, unsigned int nr,
		   int timeout_ms);

/* When this returns nothing is told any more. NULL is nothing. */
void lookout_close(struct lookout *lookout);

#endif
