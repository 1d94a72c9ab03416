/* SPDX-License-Identifier: BSD-3-Clause */
/* fdkind: what an fd really is, for fds that a peer passed. */
#ifndef FASTPATH_FDKIND_H
#define FASTPATH_FDKIND_H

#include <stdbool.h>

/* Whether `fd` is an eventfd. */
bool fd_is_eventfd(int fd);

#endif
