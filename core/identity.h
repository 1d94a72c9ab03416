/* SPDX-License-Identifier: BSD-3-Clause */
/* identity: the user that a process becomes, and its groups. */
#ifndef FASTPATH_IDENTITY_H
#define FASTPATH_IDENTITY_H

#include <sys/types.h>

#define IDENTITY_MAX_GROUPS 256

struct identity {
	uid_t uid;
	gid_t gid;
	gid_t groups[IDENTITY_MAX_GROUPS];
	size_t nr_groups;
};

/*
 * "NAME" (with all groups of that user), "UID" or "UID:GID" (with that group alone; of a UID that has no
 * name the GID has to be said). -EINVAL, said to the log as of `option`.
 */
int identity_parse(const char *option, const char *text, struct identity *identity);

/* All threads of this process are that user from now on, for good. -errno, said to the log. */
int identity_become(const struct identity *identity);

#endif
