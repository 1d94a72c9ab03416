/* SPDX-License-Identifier: BSD-3-Clause */
#include "identity.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

static int refused(const char *option, const char *text, const char *why)
{
	log_error("%s=%s: %s", option, text, why);
	return -EINVAL;
}

/* The number that `text` begins with, which -1 is none of: the kernel takes it for "as before". */
static bool parse_id(const char *text, char **end, unsigned int *id)
{
	unsigned long n = strtoul(text, end, 10);

	*id = (unsigned int)n;
	return isdigit((unsigned char)*text) && n < UINT_MAX;
}

static int parse_numbers(const char *option, const char *text, struct identity *identity)
{
	const struct passwd *user;
	char *end;

	if (!parse_id(text, &end, &identity->uid) || (*end && *end != ':'))
		return refused(option, text, "wants NAME, UID or UID:GID");
	if (*end == ':' && (!parse_id(end + 1, &end, &identity->gid) || *end))
		return refused(option, text, "wants a number as GID");
	if (!strchr(text, ':')) {
		user = getpwuid(identity->uid);
		if (!user)
			return refused(option, text, "no user has that UID: wants UID:GID");
		identity->gid = user->pw_gid;
	}
	identity->groups[0] = identity->gid;
	identity->nr_groups = 1;
	return 0;
}

int identity_parse(const char *option, const char *text, struct identity *identity)
{
	const struct passwd *user;
	int nr = IDENTITY_MAX_GROUPS;

	if (isdigit((unsigned char)*text))
		return parse_numbers(option, text, identity);
	user = getpwnam(text);
	if (!user)
		return refused(option, text, "there is no such user");
	identity->uid = user->pw_uid;
	identity->gid = user->pw_gid;
	if (getgrouplist(text, user->pw_gid, identity->groups, &nr) < 0)
		return refused(option, text, "the user has too many groups");
	identity->nr_groups = (size_t)nr;
	return 0;
}

/* By the C library, which has all threads do it. The user last: it takes the right to the rest. */
int identity_become(const struct identity *identity)
{
	const char *what = "setgroups";
	int ret = setgroups(identity->nr_groups, identity->groups);

	if (!ret) {
		what = "setgid";
		ret = setgid(identity->gid);
	}
	if (!ret) {
		what = "setuid";
		ret = setuid(identity->uid);
	}
	if (!ret)
		return 0;
	ret = -errno;
	log_error("uid %u can't become uid %u: %s: %s", geteuid(), identity->uid, what,
		  strerror(-ret));
	return ret;
}
