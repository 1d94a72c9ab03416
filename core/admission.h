/* SPDX-License-Identifier: BSD-3-Clause */
/* admission: who may connect to a device. */
#ifndef FASTPATH_ADMISSION_H
#define FASTPATH_ADMISSION_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "address.h"
#include "keyval.h"

/* Zeroed: the mode 0600, and nobody on another host. */
struct admission {
	mode_t mode; /* of the socket's file; 0: not given */
	bool has_uid;
	uid_t uid; /* the only user whose processes are let in; root is not, unless it is this one */
	bool remote; /* tcp may listen where other hosts reach it */
};

/* The keys mode=, uid= and allow-remote= of `device`. -EINVAL for a bad value, said to the log. */
int admission_parse(struct admission *admission, const char *device, const struct keyval *pairs,
		    size_t nr);

/*
 * Whether a server may listen at `address`, whose text is for the log: -EPERM for tcp at an address
 * that is not loopback without allow-remote=on, -EINVAL for mode= and uid= where the kernel knows
 * neither, said to the log.
 */
int admission_check(const struct admission *admission, const struct address *address,
		    const char *text);

/* What the file of its UNIX socket gets. */
mode_t admission_mode(const struct admission *admission);

/* Whether the process that connected `fd` is let in; *uid is whose it is, if only one user's are. */
bool admission_admits(const struct admission *admission, int fd, uid_t *uid);

#endif
