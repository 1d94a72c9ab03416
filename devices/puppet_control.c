/* SPDX-License-Identifier: BSD-3-Clause */
#include "puppet_control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "puppet_request.h"
#include "puppet_wait.h"

struct puppet_client {
	struct puppet_control *control;
	int fd;	      /* -1: this place is free */
	bool reads;   /* requests, still */
	bool is_dead; /* to be freed when nobody looks at it */
	size_t nr_in;
	char in[PUPPET_LINE_MAX];
	char *out; /* what has not been sent */
	size_t nr_out;
};

struct puppet_control {
	struct fp_device *dev;
	const char *path;
	int listener;
	int epoll; /* readable when a socket can be read from or written to */
	struct fp_watch watch;
	struct puppet_client clients[PUPPET_CLIENTS];
};

/* ---- what is sent ---- */

struct json_object *puppet_control_ok(void)
{
	struct json_object *reply = json_object_new_object();

	json_object_object_add(reply, "ok", json_object_new_boolean(true));
	return reply;
}

struct json_object *puppet_control_error(const char *format, ...)
{
	struct json_object *reply = json_object_new_object();
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	json_object_object_add(reply, "error", json_object_new_string(text));
	return reply;
}

/* It is not freed here, for somebody may be looking at it: its hanging up is noticed. */
static void give_up(struct puppet_client *client)
{
	client->is_dead = true;
	shutdown(client->fd, SHUT_RDWR);
}

/* Nothing comes from it any more, and there is nothing more to say to it. */
static bool is_done(const struct puppet_client *client)
{
	return client->is_dead || (!client->reads && !client->nr_out &&
				   !puppet_wait_count(client->control->dev, client));
}

static void want(const struct puppet_client *client)
{
	struct epoll_event event = {
		.events = (client->reads ? EPOLLIN : 0u) | (client->nr_out ? EPOLLOUT : 0u),
		.data.ptr = (void *)client,
	};

	epoll_ctl(client->control->epoll, EPOLL_CTL_MOD, client->fd, &event);
}

static void flush(struct puppet_client *client)
{
	size_t sent = 0;

	while (sent < client->nr_out) {
		ssize_t n = send(client->fd, client->out + sent, client->nr_out - sent,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			give_up(client);
			return;
		}
		sent += (size_t)n;
	}
	client->nr_out -= sent;
	memmove(client->out, client->out + sent, client->nr_out);
	if (is_done(client))
		give_up(client);
	else
		want(client);
}

static void send_text(struct puppet_client *client, const char *text, size_t len)
{
	char *grown = NULL;

	if (client->is_dead)
		return;
	if (client->nr_out + len + 1 <= PUPPET_UNREAD_MAX)
		grown = realloc(client->out, client->nr_out + len + 1);
	if (!grown) {
		give_up(client);
		return;
	}
	client->out = grown;
	memcpy(grown + client->nr_out, text, len);
	grown[client->nr_out + len] = '\n';
	client->nr_out += len + 1;
	flush(client);
}

void puppet_control_reply(struct puppet_client *client, struct json_object *id,
			  struct json_object *reply)
{
	const char *text;
	size_t len;

	if (id)
		json_object_object_add(reply, "id", json_object_get(id));
	text = json_object_to_json_string_length(reply, JSON_C_TO_STRING_PLAIN, &len);
	send_text(client, text, len);
	json_object_put(reply);
}

/* ---- clients ---- */

static void drop(struct puppet_client *client)
{
	puppet_wait_forget(client->control->dev, client);
	close(client->fd);
	free(client->out);
	client->out = NULL;
	client->fd = -1;
}

static void admit(struct puppet_control *control, int fd)
{
	static const char full[] = "{\"error\":\"there are 8 clients already\"}\n";
	struct epoll_event event = { .events = EPOLLIN };
	struct puppet_client *client = control->clients;

	while (client < control->clients + PUPPET_CLIENTS && client->fd >= 0)
		client++;
	event.data.ptr = client;
	if (client == control->clients + PUPPET_CLIENTS ||
	    epoll_ctl(control->epoll, EPOLL_CTL_ADD, fd, &event)) {
		send(fd, full, sizeof(full) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		close(fd);
		return;
	}
	client->control = control;
	client->fd = fd;
	client->reads = true;
	client->is_dead = false;
	client->nr_in = client->nr_out = 0;
}

/* Whole lines that have come; what is left is the start of the next one. */
static void take_lines(struct puppet_client *client)
{
	size_t start = 0;
	const char *end;

	while (!client->is_dead &&
	       (end = memchr(client->in + start, '\n', client->nr_in - start))) {
		size_t len = (size_t)(end - (client->in + start));

		puppet_request(client->control->dev, client, client->in + start, len);
		start += len + 1;
	}
	client->nr_in -= start;
	memmove(client->in, client->in + start, client->nr_in);
	if (client->nr_in < sizeof(client->in))
		return;
	client->reads = false;
	puppet_control_reply(client, NULL,
			     puppet_control_error("a line is longer than 65536 bytes"));
}

static void read_from(struct puppet_client *client)
{
	ssize_t n = recv(client->fd, client->in + client->nr_in, sizeof(client->in) - client->nr_in,
			 MSG_DONTWAIT);

	if (n > 0) {
		client->nr_in += (size_t)n;
		take_lines(client);
	} else if (!n) { /* half a line is none; what was asked for is still answered */
		client->reads = false;
	} else if (errno != EAGAIN) {
		client->is_dead = true;
	}
}

static void serve(struct puppet_client *client, uint32_t events)
{
	if (events & EPOLLIN && client->reads)
		read_from(client);
	else if (events & (EPOLLHUP | EPOLLERR))
		client->is_dead = true;
	if (events & EPOLLOUT && !client->is_dead)
		flush(client);
}

static void reap(struct puppet_control *control)
{
	for (struct puppet_client *client = control->clients;
	     client < control->clients + PUPPET_CLIENTS; client++) {
		if (client->fd < 0)
			continue;
		if (is_done(client))
			drop(client);
		else
			want(client);
	}
}

static void ready(struct fp_device *dev, struct fp_watch *watch)
{
	struct puppet_control *control =
		(struct puppet_control *)((char *)watch - offsetof(struct puppet_control, watch));
	struct epoll_event events[PUPPET_CLIENTS + 1];
	int nr = epoll_wait(control->epoll, events, PUPPET_CLIENTS + 1, 0);
	bool comes = false;

	for (int i = 0; i < nr; i++) {
		if (events[i].data.ptr)
			serve(events[i].data.ptr, events[i].events);
		else
			comes = true;
	}
	reap(control);
	/* Last: a place may have become free, and none of the above is about who takes it. */
	if (comes) {
		int fd = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0)
			admit(control, fd);
	}
	fp_watch_start(dev, watch, control->epoll);
}

/* ---- life ---- */

static int start(struct puppet_control *control)
{
	struct epoll_event event = { .events = EPOLLIN };

	control->listener = fp_listen(control->path);
	if (control->listener < 0)
		return control->listener;
	control->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (control->epoll < 0 ||
	    epoll_ctl(control->epoll, EPOLL_CTL_ADD, control->listener, &event))
		return -errno;
	control->watch.ready = ready;
	fp_watch_start(control->dev, &control->watch, control->epoll);
	return fp_allow_path(control->dev, control->path, FP_PATH_REMOVE);
}

int puppet_control_open(struct fp_device *dev, const char *path, struct puppet_control **out)
{
	struct puppet_control *control = calloc(1, sizeof(*control));
	int ret;

	if (!control)
		return -ENOMEM;
	control->dev = dev;
	control->path = path;
	control->listener = control->epoll = -1;
	for (size_t i = 0; i < PUPPET_CLIENTS; i++)
		control->clients[i].fd = -1;
	ret = start(control);
	if (ret) {
		fp_error(dev, "control=%s: %s", path, strerror(-ret));
		puppet_control_close(control);
		return ret;
	}
	*out = control;
	return 0;
}

void puppet_control_close(struct puppet_control *control)
{
	if (!control)
		return;
	for (size_t i = 0; i < PUPPET_CLIENTS; i++)
		if (control->clients[i].fd >= 0)
			drop(&control->clients[i]);
	fp_watch_stop(&control->watch);
	if (control->epoll >= 0)
		close(control->epoll);
	if (control->listener >= 0) {
		close(control->listener);
		unlink(control->path);
	}
	free(control);
}
