/* SPDX-License-Identifier: BSD-3-Clause */
#include "admission.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define DEFAULT_MODE 0600

/* A number in `base` of no more than `max`. */
static int number(const char *text, int base, unsigned long max, unsigned long *value)
{
	char *end;

	if (*text < '0' || *text > '9') /* no sign, no blank */
		return -EINVAL;
	errno = 0;
	*value = strtoul(text, &end, base);
	return errno || *end || *value > max ? -EINVAL : 0;
}

static int parse_mode(struct admission *admission, const char *device, const char *text)
{
	unsigned long mode;

	/* Without the owner's bits nobody but root gets in, and 0 would be as if it was not given. */
	if (number(text, 8, 0777, &mode) || (mode & 0600) != 0600) {
		log_error("--device %s: mode=%s: wants an octal mode from 0600 to 0777", device,
			  text);
		return -EINVAL;
	}
	admission->mode = (mode_t)mode;
	return 0;
}

static int parse_uid(struct admission *admission, const char *device, const char *text)
{
	unsigned long uid;

	/* The largest one means "none". */
	if (number(text, 10, UINT32_MAX - 1, &uid)) {
		log_error("--device %s: uid=%s: wants a user's number", device, text);
		return -EINVAL;
	}
	admission->uid = (uid_t)uid;
	admission->has_uid = true;
	return 0;
}

static int parse_remote(struct admission *admission, const char *device, const char *text)
{
	admission->remote = !strcmp(text, "on");
	if (admission->remote || !strcmp(text, "off"))
		return 0;
	log_error("--device %s: allow-remote=%s: wants on or off", device, text);
	return -EINVAL;
}

int admission_parse(struct admission *admission, const char *device, const struct keyval *pairs,
		    size_t nr)
{
	const char *mode = keyval_get(pairs, nr, "mode");
	const char *uid = keyval_get(pairs, nr, "uid");
	const char *remote = keyval_get(pairs, nr, "allow-remote");
	int ret = 0;

	if (mode)
		ret = parse_mode(admission, device, mode);
	if (uid && !ret)
		ret = parse_uid(admission, device, uid);
	if (remote && !ret)
		ret = parse_remote(admission, device, remote);
	return ret;
}

int admission_check(const struct admission *admission, const struct address *address,
		    const char *text)
{
	if (!address_path(address) && (admission->mode || admission->has_uid)) {
		log_error("socket=%s: mode= and uid= are for UNIX sockets to listen at", text);
		return -EINVAL;
	}
	if (address->is_tcp && !address_is_local(address) && !admission->remote) {
		log_error("socket=%s: other hosts could connect: this takes allow-remote=on", text);
		return -EPERM;
	}
	return 0;
}

mode_t admission_mode(const struct admission *admission)
{
	return admission->mode ? admission->mode : DEFAULT_MODE;
}

bool admission_admits(const struct admission *admission, int fd, uid_t *uid)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (!admission->has_uid)
		return true;
	*uid = (uid_t)-1;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		return false;
	*uid = peer.uid;
	return peer.uid == admission->uid;
}
