/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * link_bare: no library at all: a message is one send(), its answer one recv(). What a client costs
 * at least that sleeps while it waits.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "link.h"
#include "wire.h"

#define BUFFER_BYTES 65536u
#define ANSWER_SECONDS 5 /* as long as our own client waits */

/* A read's or a write's message at its longest. */
struct request {
	struct wire_header hdr;
	struct wire_region_access access;
	uint64_t data;
} WIRE_PACKED;

struct link {
	int fd;
	uint16_t next_id;
	size_t have; /* bytes in `in` that are not answered for */
	uint8_t in[BUFFER_BYTES];
	uint8_t out[LINK_MAX_DEPTH * sizeof(struct request)];
};

static int send_all(struct link *link, const void *data, size_t len)
{
	while (len) {
		ssize_t sent = send(link->fd, data, len, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && errno == EAGAIN)
			return -ETIMEDOUT;
		if (sent < 0)
			return errno == EPIPE ? -ECONNRESET : -errno;
		data = (const uint8_t *)data + sent;
		len -= (size_t)sent;
	}
	return 0;
}

/* Some bytes more. */
static int receive(struct link *link)
{
	ssize_t got;

	do
		got = recv(link->fd, link->in + link->have, sizeof(link->in) - link->have, 0);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	link->have += (size_t)got;
	return got ? 0 : -ECONNRESET;
}

/* The length of the whole answer at `at`; 0: there is more to come; -errno: it is none, or an error. */
static ssize_t answer_at(const struct link *link, size_t at)
{
	struct wire_header hdr;

	if (link->have - at < sizeof(hdr))
		return 0;
	memcpy(&hdr, link->in + at, sizeof(hdr));
	if (hdr.msg_size < sizeof(hdr) || hdr.msg_size > sizeof(link->in) ||
	    (hdr.flags & WIRE_TYPE_MASK) != WIRE_TYPE_REPLY)
		return -EPROTO;
	if (hdr.flags & WIRE_ERROR)
		return hdr.error_no && hdr.error_no < 4096 ? -(int)hdr.error_no : -EIO;
	return hdr.msg_size <= link->have - at ? (ssize_t)hdr.msg_size : 0;
}

/* Awaits one answer, of `len` bytes at least, and leaves it in `in`. */
static int await_answer(struct link *link, size_t len)
{
	ssize_t ret = 0;

	link->have = 0;
	while (!ret) {
		ret = receive(link);
		if (!ret)
			ret = answer_at(link, 0);
	}
	if (ret < 0)
		return (int)ret;
	return (size_t)ret < len ? -EPROTO : 0;
}

/* ---- life ---- */

static int negotiate(struct link *link)
{
	static const char offer[] = "{\"capabilities\":{}}";
	struct {
		struct wire_header hdr;
		struct wire_version version;
		char json[sizeof(offer)];
	} WIRE_PACKED hello = {
		.hdr = { .cmd = WIRE_VERSION, .msg_size = sizeof(hello) },
		.version = { WIRE_MAJOR, WIRE_MINOR },
	};
	int ret;

	memcpy(hello.json, offer, sizeof(offer));
	ret = send_all(link, &hello, sizeof(hello));
	return ret ? ret : await_answer(link, sizeof(struct wire_header));
}

static void link_close(struct link *link)
{
	if (!link)
		return;
	close(link->fd);
	free(link);
}

static int link_open(int fd, const struct fpc_wait *wait, struct link **out)
{
	const struct timeval patience = { .tv_sec = ANSWER_SECONDS };
	struct link *link = calloc(1, sizeof(*link));
	int ret;

	(void)wait; /* it knows but one way */
	if (!link) {
		close(fd);
		return -ENOMEM;
	}
	link->fd = fd;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	ret = negotiate(link);
	if (ret)
		link_close(link);
	else
		*out = link;
	return ret;
}

/* ---- accesses ---- */

/* Writes the message to `at`; how long it is. */
static size_t lay_out(struct link *link, uint8_t *at, const struct link_access *access,
		      const void *data)
{
	struct request request = {
		.hdr = { .msg_id = link->next_id++, .cmd = WIRE_REGION_READ },
		.access = { access->offset, access->region, access->size },
	};
	size_t len = offsetof(struct request, data);

	if (data) {
		request.hdr.cmd = WIRE_REGION_WRITE;
		request.hdr.flags = access->posted ? WIRE_NO_REPLY : 0;
		memcpy(&request.data, data, access->size);
		len += access->size;
	}
	request.hdr.msg_size = (uint32_t)len;
	memcpy(at, &request, len);
	return len;
}

static int link_read(struct link *link, const struct link_access *access, void *data)
{
	int ret = send_all(link, link->out, lay_out(link, link->out, access, NULL));

	if (!ret)
		ret = await_answer(link, offsetof(struct request, data) + access->size);
	if (!ret)
		memcpy(data, link->in + offsetof(struct request, data), access->size);
	return ret;
}

static int link_write(struct link *link, const struct link_access *access, const void *data)
{
	int ret = send_all(link, link->out, lay_out(link, link->out, access, data));

	return ret ? ret : await_answer(link, sizeof(struct wire_header));
}

/* ---- streams ---- */

/* Sends accesses number `from` to `to`, in one call. */
static int send_some(struct link *link, const struct link_access *access, unsigned int from,
		     unsigned int to)
{
	size_t len = 0;

	for (uint64_t i = from; i < to; i++)
		len += lay_out(link, link->out + len, access,
			       link_is_read(access, (unsigned int)i) ? NULL : &i);
	return send_all(link, link->out, len);
}

/* Receives, and counts the whole answers; what is left is moved to the front. */
static int take_answers(struct link *link, unsigned int *answered)
{
	ssize_t len = receive(link);
	size_t at = 0;

	if (len < 0)
		return (int)len;
	while ((len = answer_at(link, at)) > 0) {
		at += (size_t)len;
		++*answered;
	}
	link->have -= at;
	memmove(link->in, link->in + at, link->have);
	return (int)len;
}

static int post(struct link *link, const struct link_access *access, unsigned int count,
		unsigned int depth)
{
	uint64_t last;
	int ret = 0;

	for (unsigned int i = 0; i < count && !ret; i += depth)
		ret = send_some(link, access, i, count - i < depth ? count : i + depth);
	return ret ? ret : link_read(link, access, &last);
}

static int link_stream(struct link *link, const struct link_access *access, unsigned int count,
		       unsigned int depth)
{
	unsigned int answered = 0;
	unsigned int sent = 0;
	int ret = 0;

	if (access->posted)
		return post(link, access, count, depth);
	link->have = 0;
	while (answered < count && !ret) {
		unsigned int to = count - answered < depth ? count : answered + depth;

		if (to > sent)
			ret = send_some(link, access, sent, to);
		sent = to;
		if (!ret)
			ret = take_answers(link, &answered);
	}
	return ret;
}

const struct link_kind link_bare = {
	.name = "bare",
	.what = "one send(), one recv(), and nothing around them",
	.open = link_open,
	.close = link_close,
	.read = link_read,
	.write = link_write,
	.stream = link_stream,
};
