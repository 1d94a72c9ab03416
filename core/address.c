/* SPDX-License-Identifier: BSD-3-Clause */
#include "address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/vm_sockets.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "log.h"

/* A name of DNS has 253 characters at most. */
#define MAX_HOST 256u

/* How an address is written: what stands in front of it, and who reads the rest. */
struct form {
	const char *prefix;
	int (*parse)(const char *text, const char *rest, enum address_use use,
		     struct address *address);
};

static int parse_unix(const char *text, const char *rest, enum address_use use,
		      struct address *address)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	size_t len = strlen(rest);

	(void)use;
	if (!len) {
		log_error("'%s': the path is empty", text);
		return -EINVAL;
	}
	if (len >= sizeof(un.sun_path)) {
		log_error("%s: %s", text, strerror(ENAMETOOLONG));
		return -ENAMETOOLONG;
	}
	memcpy(un.sun_path, rest, len + 1);
	memcpy(&address->at[0].name, &un, sizeof(un));
	address->at[0].len = sizeof(un);
	address->nr = 1;
	return 0;
}

/* A decimal number, min to max; its `name` is for the log. */
static int number(const char *text, const char *name, const char *digits, uint32_t min,
		  uint32_t max, uint32_t *value)
{
	size_t len = strlen(digits);
	unsigned long long n = strtoull(digits, NULL, 10);

	if (len && len <= 10 && strspn(digits, "0123456789") == len && n >= min && n <= max) {
		*value = (uint32_t)n;
		return 0;
	}
	log_error("%s: %s '%s' is not %u to %u", text, name, digits, min, max);
	return -EINVAL;
}

/* ---- vsock ---- */

static int parse_cid(const char *text, const char *cid, enum address_use use, uint32_t *value)
{
	if (strcmp(cid, "any"))
		return number(text, "CID", cid, 0, VMADDR_CID_ANY - 1, value);
	if (use != ADDRESS_LISTEN) {
		log_error("%s: CID 'any' is where a server listens, not whom to talk to", text);
		return -EINVAL;
	}
	*value = VMADDR_CID_ANY;
	return 0;
}

static int parse_vsock(const char *text, const char *rest, enum address_use use,
		       struct address *address)
{
	struct sockaddr_vm vm = { .svm_family = AF_VSOCK };
	const char *colon = strchr(rest, ':');
	char cid[16];

	if (!colon || (size_t)(colon - rest) >= sizeof(cid)) {
		log_error("%s: wants vsock:CID:PORT", text);
		return -EINVAL;
	}
	snprintf(cid, sizeof(cid), "%.*s", (int)(colon - rest), rest);
	if (parse_cid(text, cid, use, &vm.svm_cid) ||
	    number(text, "port", colon + 1, 1, VMADDR_PORT_ANY - 1, &vm.svm_port))
		return -EINVAL;
	memcpy(&address->at[0].name, &vm, sizeof(vm));
	address->at[0].len = sizeof(vm);
	address->nr = 1;
	return 0;
}

/* ---- tcp ---- */

/* HOST:PORT, or PORT alone; an IPv6 address, which has colons itself, stands in brackets. */
static int split(const char *text, const char *rest, char host[MAX_HOST], const char **port)
{
	const char *colon = strrchr(rest, ':');
	bool brackets = *rest == '[';
	size_t len;

	if (!colon) {
		snprintf(host, MAX_HOST, "127.0.0.1");
		*port = rest;
		return 0;
	}
	len = (size_t)(colon - rest);
	if (brackets && (len < 2 || rest[len - 1] != ']')) {
		log_error("%s: host '%s': the bracket is not closed", text, rest);
		return -EINVAL;
	}
	rest += brackets;
	len -= 2 * brackets;
	if (!brackets && memchr(rest, ':', len)) {
		log_error("%s: host '%.*s': an IPv6 address has to be in brackets", text, (int)len,
			  rest);
		return -EINVAL;
	}
	if (!len || len >= MAX_HOST) {
		log_error("%.64s: host '%.*s' is %s", text, (int)(len < 64 ? len : 64), rest,
			  len ? "too long" : "empty");
		return -EINVAL;
	}
	snprintf(host, MAX_HOST, "%.*s", (int)len, rest);
	*port = colon + 1;
	return 0;
}

static int resolve(const char *text, const char *host, uint32_t port, struct address *address)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	char service[8];
	int ret;

	snprintf(service, sizeof(service), "%u", port);
	ret = getaddrinfo(host, service, &hints, &found);
	if (ret) {
		log_error("%s: host '%s': %s", text, host, gai_strerror(ret));
		return ret == EAI_AGAIN ? -EAGAIN : -ENOENT;
	}
	for (const struct addrinfo *info = found; info && address->nr < ADDRESS_MAX;
	     info = info->ai_next) {
		struct address_at *at = &address->at[address->nr++];

		memcpy(&at->name, info->ai_addr, info->ai_addrlen);
		at->len = info->ai_addrlen;
	}
	freeaddrinfo(found);
	return 0;
}

static int parse_tcp(const char *text, const char *rest, enum address_use use,
		     struct address *address)
{
	char host[MAX_HOST];
	const char *digits;
	uint32_t port;

	address->is_tcp = true;
	if (split(text, rest, host, &digits) ||
	    number(text, "port", digits, use == ADDRESS_LISTEN ? 0 : 1, UINT16_MAX, &port))
		return -EINVAL;
	return resolve(text, host, port, address);
}

/* ---- all of them ---- */

static const struct form forms[] = {
	{ "unix:", parse_unix },
	{ "vsock:", parse_vsock },
	{ "tcp:", parse_tcp },
	{ "", parse_unix },
};

int address_parse(const char *text, enum address_use use, struct address *address)
{
	const struct form *form = forms;

	while (strncmp(text, form->prefix, strlen(form->prefix)) != 0)
		form++;
	*address = (struct address){ 0 };
	return form->parse(text, text + strlen(form->prefix), use, address);
}

int address_of_path(const char *path, struct address *address)
{
	*address = (struct address){ 0 };
	return parse_unix(path, path, ADDRESS_LISTEN, address);
}

int address_of_socket(int fd, struct address *address)
{
	struct address_at *at = &address->at[0];

	*address = (struct address){ .nr = 1 };
	at->len = sizeof(at->name);
	if (getsockname(fd, (struct sockaddr *)&at->name, &at->len))
		return -errno;
	address->is_tcp = at->name.ss_family == AF_INET || at->name.ss_family == AF_INET6;
	return 0;
}

const char *address_path(const struct address *address)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&address->at[0].name;

	return address->nr && un->sun_family == AF_UNIX ? un->sun_path : NULL;
}

static bool is_loopback(const struct sockaddr_storage *name)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)name;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)name;

	if (name->ss_family == AF_INET)
		return (ntohl(in->sin_addr.s_addr) >> 24) == IN_LOOPBACKNET;
	if (name->ss_family != AF_INET6)
		return name->ss_family == AF_UNIX;
	return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr) ||
	       (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr) &&
		in6->sin6_addr.s6_addr[12] == IN_LOOPBACKNET);
}

bool address_is_local(const struct address *address)
{
	for (unsigned int i = 0; i < address->nr; i++)
		if (!is_loopback(&address->at[i].name))
			return false;
	return true;
}

void address_bound_to(int fd, char text[ADDRESS_TEXT])
{
	struct sockaddr_storage name = { 0 };
	socklen_t len = sizeof(name);
	char host[INET6_ADDRSTRLEN] = "?";
	char port[8] = "?";

	getsockname(fd, (struct sockaddr *)&name, &len);
	getnameinfo((struct sockaddr *)&name, len, host, sizeof(host), port, sizeof(port),
		    NI_NUMERICHOST | NI_NUMERICSERV);
	snprintf(text, ADDRESS_TEXT, name.ss_family == AF_INET6 ? "tcp:[%s]:%s" : "tcp:%s:%s", host,
		 port);
}
