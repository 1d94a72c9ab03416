/* SPDX-License-Identifier: BSD-3-Clause */
#include "server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"
#include "socket.h"

/* After accept() failed (out of fds, most likely) it is tried again so much later. */
#define ACCEPT_RETRY_NS 100000000ull

struct served {
	struct served *next;
	struct server *server;
	struct fp_device *dev;
	char *name; /* for the log: the class, and the socket */
	char *socket;
	int listen_fd; /* -1: it has one client and no more */
	struct ring_op accept;
	struct ring_op retry;
	enum command_io_fds io_fds;
	struct session *session; /* NULL: no client */
};

struct server {
	struct ring *ring;
	struct served *devices;
	int signal_fd;
	struct ring_op signal;
	sigset_t old_signals;
	bool stop;
};

/* Whether a client is there or may still come. */
static bool has_work(const struct server *server)
{
	for (const struct served *served = server->devices; served; served = served->next)
		if (served->session || served->listen_fd >= 0)
			return true;
	return false;
}

static void session_ended(void *opaque)
{
	struct served *served = opaque;

	log_info("%s: the client is gone", served->name);
	served->session = NULL;
}

static int start_session(struct served *served, int fd)
{
	struct session_options options = {
		.io_fds = served->io_fds,
		.ended = session_ended,
		.opaque = served,
	};

	return session_open(served->dev, fd, &options, &served->session);
}

static void retry_accept(struct ring_op *op, int res, const struct ring_received *received)
{
	struct served *served = (struct served *)((char *)op - offsetof(struct served, retry));

	(void)res;
	(void)received;
	ring_accept(served->server->ring, &served->accept, served->listen_fd);
}

static void accepted(struct ring_op *op, int fd, const struct ring_received *received)
{
	struct served *served = (struct served *)((char *)op - offsetof(struct served, accept));

	(void)received;
	if (fd < 0) {
		log_warn("%s: accept: %s", served->name, strerror(-fd));
		ring_timeout(served->server->ring, &served->retry, ACCEPT_RETRY_NS);
	} else if (served->session) {
		log_warn("%s: a second client is refused: the device has one", served->name);
		close(fd);
	} else if (start_session(served, fd)) {
		log_warn("%s: a client is refused: out of memory", served->name);
	} else {
		log_info("%s: a client has come", served->name);
	}
}

static void signalled(struct ring_op *op, int res, const struct ring_received *received)
{
	struct server *server = (struct server *)((char *)op - offsetof(struct server, signal));
	struct signalfd_siginfo info;

	(void)received;
	/* It would be pending again, and kill, once the mask is back to what it was. */
	while (res >= 0 && read(server->signal_fd, &info, sizeof(info)) > 0)
		;
	server->stop = true;
}

static int init_signals(struct server *server)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, &server->old_signals);
	server->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (server->signal_fd < 0)
		return -errno;
	server->signal.done = signalled;
	ring_readable(server->ring, &server->signal, server->signal_fd);
	return 0;
}

int server_open(struct ring_wait wait, struct server **out)
{
	struct server *server = calloc(1, sizeof(*server));
	int ret;

	if (!server)
		return -ENOMEM;
	server->signal_fd = -1;
	ret = ring_open(&(struct ring_options){ .wait = wait }, &server->ring);
	if (!ret)
		ret = init_signals(server);
	if (ret)
		server_close(server);
	else
		*out = server;
	return ret;
}

static int listen_at(struct served *served, const char *path)
{
	int fd = socket_listen(path);

	if (fd == -EADDRINUSE)
		log_error("socket=%s: a server listens there already", path);
	else if (fd == -EEXIST)
		log_error("socket=%s: there is a file that is not a socket", path);
	else if (fd < 0)
		log_error("socket=%s: %s", path, strerror(-fd));
	if (fd < 0)
		return fd;
	served->listen_fd = fd;
	served->socket = strdup(path);
	if (!served->socket)
		return -ENOMEM;
	ring_accept(served->server->ring, &served->accept, fd);
	return 0;
}

static int start(struct served *served, const struct server_device *description, int *fd)
{
	int ret;

	if (asprintf(&served->name, "%s at %s", description->class_->name,
		     description->socket ? description->socket : "the given fd") < 0) {
		served->name = NULL;
		return -ENOMEM;
	}
	ret = device_open(description->class_, served->name, served->server->ring,
			  description->options, description->nr_options, &served->dev);
	if (!ret)
		ret = description->socket ? listen_at(served, description->socket) :
					    start_session(served, take_fd(fd));
	return ret;
}

static void served_free(struct served *served)
{
	struct ring *ring = served->server->ring;

	if (served->session)
		session_close(served->session);
	ring_cancel(&served->accept);
	ring_cancel(&served->retry);
	if (served->listen_fd >= 0)
		ring_close_fd(ring, served->listen_fd);
	if (served->socket)
		unlink(served->socket);
	device_close(served->dev);
	free(served->socket);
	free(served->name);
	free(served);
}

int server_add(struct server *server, const struct server_device *description)
{
	CLEANUP_CLOSE int fd = description->socket ? -1 : description->fd;
	struct served *served = calloc(1, sizeof(*served));
	int ret;

	if (!served)
		return -ENOMEM;
	served->server = server;
	served->listen_fd = -1;
	served->accept.done = accepted;
	served->retry.done = retry_accept;
	served->io_fds = description->io_fds;
	ret = start(served, description, &fd);
	if (ret) {
		served_free(served);
		return ret;
	}
	served->next = server->devices;
	server->devices = served;
	return 0;
}

int server_run(struct server *server)
{
	int ret = 0;

	while (!ret && !server->stop && has_work(server)) {
		ret = ring_turn(server->ring, -1);
		if (ret == -EINTR)
			ret = 0;
	}
	if (ret)
		log_error("io_uring: %s", strerror(-ret));
	return ret;
}

void server_close(struct server *server)
{
	if (!server)
		return;
	while (server->devices) {
		struct served *served = server->devices;

		server->devices = served->next;
		served_free(served);
	}
	if (server->signal_fd >= 0) {
		close(server->signal_fd);
		pthread_sigmask(SIG_SETMASK, &server->old_signals, NULL);
	}
	ring_close(server->ring);
	free(server);
}
