/* SPDX-License-Identifier: BSD-3-Clause */
/* fdlimit: how many files this process may have open. */
#ifndef FASTPATH_FDLIMIT_H
#define FASTPATH_FDLIMIT_H

/*
 * From the soft limit to the hard one, which is what the user allows: a peer's fds are many, one for
 * each doorbell and vector. If it can't be, the log says so.
 */
void fdlimit_raise(void);

#endif
