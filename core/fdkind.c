/* SPDX-License-Identifier: BSD-3-Clause */
#include "fdkind.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool fd_is_eventfd(int fd)
{
	static const char name[] = "anon_inode:[eventfd]";
	char path[32];
	char target[sizeof(name)];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	len = readlink(path, target, sizeof(target));
	return len == sizeof(name) - 1 && !memcmp(target, name, sizeof(name) - 1);
}
