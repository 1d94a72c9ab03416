/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "control_request.h"
#include "log.h"
#include "socket.h"

/* A client is not read from while more than this waits for it to read. */
#define ENOUGH_OUT 65536u

/* One that looks on and lets so much pile up is left. */
#define MAX_OUT (1u << 20)

/* Lines of observe that are handed out before others get their turn. */
#define OBSERVED_AT_ONCE 256

static void leave(struct control_client *client);

/* ---- what goes out ---- */

static size_t unsent(const struct control_client *client)
{
	return client->out_len - client->out_sent;
}

/* Waits for what this client can be served next; for its end always. */
static void await(struct control_client *client)
{
	bool takes = !client->busy && !client->has_ended && unsent(client) < ENOUGH_OUT;
	uint32_t events = (takes ? EPOLLIN : 0) | (unsent(client) ? EPOLLOUT : 0);
	struct epoll_event event = { .events = events, .data.ptr = client };

	if (client->fd < 0 || events == client->events)
		return;
	client->events = events;
	epoll_ctl(client->control->epoll_fd, EPOLL_CTL_MOD, client->fd, &event);
}

static void flush(struct control_client *client)
{
	ssize_t n = 1;

	while (unsent(client) && n > 0) {
		n = send(client->fd, client->out + client->out_sent, unsent(client),
			 MSG_DONTWAIT | MSG_NOSIGNAL);
		client->out_sent += n > 0 ? (size_t)n : 0;
	}
	if (!unsent(client))
		client->out_len = client->out_sent = 0;
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		leave(client);
}

/* With a client that is never quite done with reading, `out` never runs empty, and must not grow. */
static void compact(struct control_client *client)
{
	if (client->out_sent < unsent(client))
		return;
	memmove(client->out, client->out + client->out_sent, unsent(client));
	client->out_len -= client->out_sent;
	client->out_sent = 0;
}

static void say(struct control_client *client, const char *line, size_t len)
{
	size_t wanted;

	if (client->fd < 0 || client->is_full)
		return;
	if (client->out_sent)
		compact(client);
	wanted = client->out_len + len;
	if (wanted > client->out_size) {
		char *grown = realloc(client->out, wanted * 2);

		if (!grown) {
			leave(client);
			return;
		}
		client->out = grown;
		client->out_size = wanted * 2;
	}
	memcpy(client->out + client->out_len, line, len);
	client->out_len = wanted;
}

void control_reply(struct control_client *client, struct json_object *reply)
{
	const char *text = json_object_to_json_string_ext(reply, JSON_C_TO_STRING_NOSLASHESCAPE);

	if (text)
		say(client, text, strlen(text));
	say(client, "\n", 1);
	json_object_put(reply);
}

/* What nobody asked for at this moment: it is not to pile up. */
static void tell(struct control_client *client, const struct observed *observed)
{
	if (unsent(client) + observed->len > MAX_OUT)
		flush(client);
	if (client->fd >= 0 && unsent(client) + observed->len > MAX_OUT) {
		log_warn("control: a client that does not read is left");
		leave(client);
	}
	say(client, observed->text, observed->len);
}

static void say_error(struct control_client *client, const char *error)
{
	struct json_object *reply = json_object_new_object();

	put_text(reply, "error", error);
	control_reply(client, reply);
}

/* ---- what comes in ---- */

/* Answers the lines that are there, until one has to be waited for. */
static void take_lines(struct control_client *client)
{
	char *start = client->in;
	char *end = client->in + client->in_len;
	char *newline;

	while (client->fd >= 0 && !client->busy && unsent(client) < ENOUGH_OUT &&
	       (newline = memchr(start, '\n', (size_t)(end - start)))) {
		*newline = '\0';
		control_ask(client, start, (size_t)(newline - start));
		start = newline + 1;
	}
	if (client->fd < 0)
		return;
	client->in_len = (size_t)(end - start);
	memmove(client->in, start, client->in_len);
	if (client->in_len > CONTROL_MAX_LINE && !memchr(client->in, '\n', client->in_len)) {
		say_error(client, "the line is longer than 65536 bytes");
		client->is_full = client->has_ended = true;
	}
}

static void receive(struct control_client *client)
{
	ssize_t n = recv(client->fd, client->in + client->in_len,
			 CONTROL_MAX_LINE + 1 - client->in_len, MSG_DONTWAIT);

	if (n > 0)
		client->in_len += (size_t)n;
	else if (!n)
		client->has_ended = true;
	else if (errno != EAGAIN && errno != EINTR)
		leave(client);
}

/* Goes as far as it can: lines, answers, and the end of one that wants no more. */
static void attend(struct control_client *client)
{
	do {
		if (client->fd >= 0)
			take_lines(client);
		if (client->fd >= 0)
			flush(client);
	} while (client->fd >= 0 && !client->busy && unsent(client) < ENOUGH_OUT &&
		 memchr(client->in, '\n', client->in_len));
	if (client->fd >= 0 && client->has_ended && !client->busy && !unsent(client) &&
	    (client->is_full || !(client->watches || client->traces)))
		leave(client);
	await(client);
}

/* ---- clients ---- */

static void free_client(struct control_client *client)
{
	free(take_ptr(client->in));
	free(take_ptr(client->out));
	*client = (struct control_client){ .control = client->control, .fd = -1 };
}

static void leave(struct control_client *client)
{
	close(take_fd(&client->fd)); /* which ends its place in epoll, too */
	control_forget(client);
	if (!client->busy)
		free_client(client);
}

static bool is_free(const struct control_client *client)
{
	return client->fd < 0 && !client->busy;
}

static void deny(int fd)
{
	static const char line[] = "{\"error\":\"the server has 16 control clients already\"}\n";

	if (send(fd, line, sizeof(line) - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_debug("control: a client has left already");
	close(fd);
}

static void welcome(struct control *control, int fd)
{
	struct control_client *client = control->clients;
	struct control_client *end = client + CONTROL_MAX_CLIENTS;
	struct epoll_event event = { .events = EPOLLIN };

	while (client < end && !is_free(client))
		client++;
	if (client == end) {
		deny(fd);
		return;
	}
	event.data.ptr = client;
	client->in = malloc(CONTROL_MAX_LINE + 1);
	if (!client->in || epoll_ctl(control->epoll_fd, EPOLL_CTL_ADD, fd, &event)) {
		log_warn("control: a client is refused: out of memory");
		free_client(client);
		close(fd);
		return;
	}
	client->fd = fd;
	client->events = EPOLLIN;
}

/* Without fds to spare the client would wait, and we would be woken for it, for ever. */
static void turn_away(struct control *control)
{
	cleanup_close(&control->spare_fd);
	cleanup_close(&(int){ accept4(control->listen_fd, NULL, NULL, SOCK_CLOEXEC) });
	control->spare_fd = fcntl(control->listen_fd, F_DUPFD_CLOEXEC, 0);
	log_warn("control: a client is refused: no fds are left");
}

static void accept_one(struct control *control)
{
	int fd = accept4(control->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0)
		welcome(control, fd);
	else if (errno == EMFILE || errno == ENFILE)
		turn_away(control);
}

/* ---- requests that are back, and what is told by devices ---- */

void control_done(struct control_request *request)
{
	struct control *control = request->control;
	uint64_t one = 1;

	pthread_mutex_lock(&control->lock);
	request->next = control->done;
	control->done = request;
	pthread_mutex_unlock(&control->lock);
	if (write(control->done_fd, &one, sizeof(one)) < 0)
		log_error("control: a reply is lost: %s", strerror(errno));
}

static struct control_request *take_done(struct control *control)
{
	struct control_request *done;
	uint64_t sum;

	if (read(control->done_fd, &sum, sizeof(sum)) < 0)
		return NULL;
	pthread_mutex_lock(&control->lock);
	done = take_ptr(control->done);
	pthread_mutex_unlock(&control->lock);
	return done;
}

static void requests_done(struct control *control)
{
	struct control_request *done = take_done(control);

	while (done) {
		struct control_request *request = done;
		struct control_client *client = request->client;

		done = request->next;
		control_go_on(request);
		if (!client || client->busy)
			continue;
		if (client->fd < 0)
			free_client(client);
		else
			attend(client);
	}
}

static bool wants(const struct control_client *client, const struct observed *observed)
{
	const struct served_options *devices = client->control->options.devices;

	if (client->fd < 0)
		return false;
	if (!observed->device)
		return client->watches || client->traces;
	if (!(observed->is_message ? client->traces : client->watches))
		return false;
	return client->watched == CONTROL_ALL ||
	       !strcmp(devices[client->watched].name, observed->device);
}

static void tell_watchers(struct control *control)
{
	for (unsigned int i = 0; i < OBSERVED_AT_ONCE; i++) {
		CLEANUP_FREE struct observed *observed = observe_take(control->options.observe);

		for (unsigned int n = 0; observed && n < CONTROL_MAX_CLIENTS; n++)
			if (wants(&control->clients[n], observed))
				tell(&control->clients[n], observed);
		if (!observed)
			break;
	}
	for (unsigned int n = 0; n < CONTROL_MAX_CLIENTS; n++)
		if (control->clients[n].fd >= 0)
			attend(&control->clients[n]);
}

/* ---- life ---- */

void control_serve(struct control *control)
{
	struct epoll_event event;
	struct control_client *client = NULL;

	/* One at a time: what is done for one may be the end of another. */
	if (epoll_wait(control->epoll_fd, &event, 1, 0) < 1)
		return;
	if (event.data.ptr == &control->listen_fd)
		accept_one(control);
	else if (event.data.ptr == &control->done_fd)
		requests_done(control);
	else if (event.data.ptr == control)
		tell_watchers(control);
	else
		client = event.data.ptr;
	if (!client)
		return;
	if (event.events & (EPOLLHUP | EPOLLERR) && !(event.events & EPOLLIN))
		leave(client); /* nobody is there to read an answer */
	else if (event.events & EPOLLIN)
		receive(client);
	if (client->fd >= 0)
		attend(client);
}

int control_fd(const struct control *control)
{
	return control->epoll_fd;
}

static int poll_for(struct control *control, int fd, void *what)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = what };

	return epoll_ctl(control->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int open_fds(struct control *control)
{
	int ret;

	control->listen_fd = socket_listen(control->options.path);
	if (control->listen_fd < 0)
		return control->listen_fd;
	control->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	control->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	control->spare_fd = fcntl(control->listen_fd, F_DUPFD_CLOEXEC, 0);
	if (control->epoll_fd < 0 || control->done_fd < 0 || control->spare_fd < 0 ||
	    fcntl(control->listen_fd, F_SETFL, O_NONBLOCK))
		return -errno;
	ret = poll_for(control, control->listen_fd, &control->listen_fd);
	if (!ret)
		ret = poll_for(control, control->done_fd, &control->done_fd);
	if (!ret)
		ret = poll_for(control, observe_fd(control->options.observe), control);
	return ret;
}

int control_open(const struct control_options *options, struct control **out)
{
	struct control *control = calloc(1, sizeof(*control));
	int ret;

	if (!control)
		return -ENOMEM;
	control->options = *options;
	control->listen_fd = control->epoll_fd = control->done_fd = control->spare_fd = -1;
	for (unsigned int i = 0; i < CONTROL_MAX_CLIENTS; i++)
		control->clients[i] = (struct control_client){ .control = control, .fd = -1 };
	pthread_mutex_init(&control->lock, NULL);
	ret = open_fds(control);
	if (!ret) {
		*out = control;
		return 0;
	}
	log_error("--control=%s: %s", options->path,
		  ret == -EADDRINUSE ? "a server listens there already" :
		  ret == -EEXIST     ? "there is a file that is not a socket" :
				       strerror(-ret));
	control_close(control);
	return ret;
}

void control_close(struct control *control)
{
	struct control_request *done;

	if (!control)
		return;
	done = take_done(control);
	while (done) {
		struct control_request *request = done;

		done = request->next;
		control_free_request(request);
	}
	for (unsigned int i = 0; i < CONTROL_MAX_CLIENTS; i++) {
		cleanup_close(&control->clients[i].fd);
		free_client(&control->clients[i]);
	}
	if (control->listen_fd >= 0)
		unlink(control->options.path);
	cleanup_close(&control->listen_fd);
	cleanup_close(&control->spare_fd);
	cleanup_close(&control->done_fd);
	cleanup_close(&control->epoll_fd);
	pthread_mutex_destroy(&control->lock);
	free(control);
}
