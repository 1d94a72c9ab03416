/* SPDX-License-Identifier: BSD-3-Clause */
#include "puppet_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "socket.h"

#define MAX_REPLY (4u << 20)

static void __attribute__((noreturn)) fail(const char *what)
{
	fprintf(stderr, "# puppet_rig: %s: %s\n", what, strerror(errno));
	abort();
}

static char *unquote(const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		fail("strdup");
	for (char *at = copy; *at; at++)
		if (*at == '\'')
			*at = '"';
	return copy;
}

static void write_shape(const char *path, const char *shape)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	char *text = unquote(shape);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		fail(path);
	close(fd);
	free(text);
}

static void make_place(struct puppet_rig *rig, const char *shape, char *device, size_t bytes)
{
	char path[80];

	snprintf(rig->dir, sizeof(rig->dir), "/tmp/fastpath-puppet.XXXXXX");
	if (!mkdtemp(rig->dir))
		fail("mkdtemp");
	snprintf(path, sizeof(path), "%s/shape", rig->dir);
	snprintf(rig->control_path, sizeof(rig->control_path), "%s/control", rig->dir);
	write_shape(path, shape);
	snprintf(device, bytes, "puppet,shape=%s,control=%s", path, rig->control_path);
}

/* The server has read it when it listens. */
static void remove_shape(const struct puppet_rig *rig)
{
	char path[80];

	snprintf(path, sizeof(path), "%s/shape", rig->dir);
	unlink(path);
}

struct puppet_rig *puppet_rig_start(const char *shape, unsigned int how)
{
	struct puppet_rig *rig = calloc(1, sizeof(*rig));
	char device[200];

	if (!rig)
		fail("calloc");
	make_place(rig, shape, device, sizeof(device));
	rig->peer = peer_start(device, how);
	rig->control = puppet_connect(rig);
	remove_shape(rig);
	return rig;
}

struct puppet_rig *puppet_rig_open(const char *shape, unsigned int how)
{
	struct puppet_rig *rig = puppet_rig_start(shape, how);

	if (peer_version(rig->peer, PEER_JSON))
		fail("VERSION");
	return rig;
}

void puppet_rig_stop(struct puppet_rig *rig)
{
	close(rig->control);
	peer_stop(rig->peer);
	if (rmdir(rig->dir))
		fail("the server leaves its control socket behind");
	free(rig);
}

const char *puppet_rig_refusal(const char *shape)
{
	static char said[4096];
	struct puppet_rig rig = { 0 };
	char device[200];

	make_place(&rig, shape, device, sizeof(device));
	rig.peer = peer_start(device, 0);
	if (!peer_wait(rig.peer))
		fail("it is not refused");
	snprintf(said, sizeof(said), "%s", peer_log(rig.peer));
	peer_stop(rig.peer);
	remove_shape(&rig);
	if (rmdir(rig.dir))
		fail(rig.dir);
	return said;
}

int puppet_connect(const struct puppet_rig *rig)
{
	int64_t deadline = 0;
	int fd;

	while ((fd = socket_connect(rig->control_path)) < 0) {
		if (!peer_time_left(&deadline))
			fail("no control socket");
		poll(NULL, 0, 1);
	}
	return fd;
}

void puppet_send(int control, const char *request)
{
	char *text = unquote(request);
	size_t len = strlen(text);

	text[len] = '\n'; /* in the place of its end */
	if (send(control, text, len + 1, MSG_NOSIGNAL) != (ssize_t)len + 1)
		fail("send");
	free(text);
}

const char *puppet_receive(int control)
{
	static char reply[MAX_REPLY];
	struct pollfd poll_fd = { .fd = control, .events = POLLIN };
	int64_t deadline = 0;
	size_t len = 0;
	ssize_t n;

	/* No more than the line: what follows is the next reply. */
	do {
		if (poll(&poll_fd, 1, peer_time_left(&deadline)) != 1)
			fail("no reply");
		n = recv(control, reply + len, sizeof(reply) - 1 - len, MSG_PEEK);
		if (n > 0) {
			const char *end = memchr(reply + len, '\n', (size_t)n);

			if (end)
				n = end - (reply + len) + 1;
			n = recv(control, reply + len, (size_t)n, 0);
			len += n > 0 ? (size_t)n : 0;
		}
	} while (n > 0 && reply[len - 1] != '\n' && len < sizeof(reply) - 1);
	reply[n > 0 ? len - 1 : 0] = '\0';
	return reply;
}

const char *puppet_say(int control, const char *request)
{
	puppet_send(control, request);
	return puppet_receive(control);
}
