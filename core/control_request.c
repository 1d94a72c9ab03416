/* SPDX-License-Identifier: BSD-3-Clause */
#include "control_request.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "log.h"
#include "session.h"

/* Deeper than any request is. */
#define MAX_DEPTH 8

/* What a function on a worker returns whose request comes back later by itself. */
#define LATER 1

struct control_command {
	const char *name;
	bool needs_device;
	/* On the main thread, before all else: false when that was it, and it has been answered. */
	bool (*begin)(struct control_request *request, struct json_object *asked);
	/* On every worker where it goes, and there for every device that it is about. */
	int (*worker)(struct control_request *request, struct worker *worker);
	int (*device)(struct control_request *request, struct served *served);
	/* On the main thread, when it went well and before it is answered. */
	void (*end)(struct control_request *request);
};

/* ---- answering ---- */

static void deny(struct control_client *client, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void deny(struct control_client *client, const char *fmt, ...)
{
	struct json_object *reply = json_object_new_object();
	char text[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	put_text(reply, "error", text);
	control_reply(client, reply);
}

void control_free_request(struct control_request *request)
{
	json_object_put(request->reply);
	free(request);
}

static const char *error_text(int error)
{
	switch (error) {
	case -ESHUTDOWN:
		return "the device is not served any more";
	case -ENOTCONN:
		return "the device has no client";
	case -EOPNOTSUPP:
		return "wait=sqpoll can't begin or end while a server runs: it is for --wait";
	default:
		return strerror(-error);
	}
}

static void answer(struct control_request *request)
{
	struct control_client *client = request->client;

	if (!request->error && request->command->end)
		request->command->end(request);
	if (client) {
		client->busy = false;
		if (client->fd >= 0 && request->error)
			deny(client, "%s", error_text(request->error));
		else if (client->fd >= 0)
			control_reply(client, take_ptr(request->reply));
		else
			control_forget(client);
	}
	control_free_request(request);
}

/* ---- over the workers ---- */

static const struct served_options *device_options(const struct control_request *request)
{
	return &request->control->options.devices[request->device];
}

static bool is_about(const struct control_request *request, const struct served *served)
{
	return request->device == CONTROL_ALL || served_options(served) == device_options(request);
}

static int work(struct control_request *request, struct worker *worker)
{
	const struct control_command *command = request->command;
	struct served *served;
	int ret = 0;

	if (command->worker)
		ret = command->worker(request, worker);
	for (size_t i = 0; command->device && !ret && (served = worker_served(worker, i)); i++)
		if (is_about(request, served))
			ret = command->device(request, served);
	return ret;
}

/* On the worker; without one, where a device of its was, the others are still asked. */
static void on_worker(struct worker_job *job, struct worker *worker)
{
	struct control_request *request = (struct control_request *)job;
	int ret = request->device == CONTROL_ALL ? 0 : -ESHUTDOWN;

	if (worker)
		ret = work(request, worker);
	if (ret == LATER)
		return;
	request->error = ret;
	control_done(request);
}

static void pass_on(struct control_request *request)
{
	request->job.run = on_worker;
	worker_post(request->control->options.workers[request->worker], &request->job);
}

void control_go_on(struct control_request *request)
{
	if (!request->error && ++request->worker < request->end)
		pass_on(request);
	else
		answer(request);
}

/* ---- reset, detach ---- */

static void reset_done(struct device_errand *errand, int ret)
{
	struct control_request *request =
		(struct control_request *)((char *)errand -
					   offsetof(struct control_request, errand));

	request->error = ret;
	control_done(request);
}

static int reset(struct control_request *request, struct served *served)
{
	request->errand.done = reset_done;
	device_reset_when_idle(served_device(served), &request->errand);
	return LATER;
}

static int detach(struct control_request *request, struct served *served)
{
	(void)request;
	if (!served_session(served))
		return -ENOTCONN;
	session_end(served_session(served), "detached by fastpathctl");
	return 0;
}

/* ---- set ---- */

static bool set_wait(struct control_request *request, const char *value)
{
	if (ring_wait_parse(value, &request->wait)) {
		deny(request->client, "wait=%s: wants " RING_WAIT_WANTED, value);
		return false;
	}
	return true;
}

static bool set_log_level(struct control_request *request, const char *value)
{
	enum log_level level;

	if (request->device != CONTROL_ALL) {
		deny(request->client, "log-level is the server's, and not a device's");
		return false;
	}
	if (log_level_parse(value, &level)) {
		deny(request->client, "log-level=%s: wants error, warn, info or debug", value);
		return false;
	}
	log_set_level(level);
	request->end = request->worker; /* no worker has to know */
	return true;
}

static const struct setting {
	const char *name;
	bool (*set)(struct control_request *request, const char *value);
} settings[] = {
	{ "wait", set_wait },
	{ "log-level", set_log_level },
};

static const char *member_text(struct json_object *object, const char *key)
{
	struct json_object *member;

	return json_object_object_get_ex(object, key, &member) &&
			       json_object_is_type(member, json_type_string) ?
		       json_object_get_string(member) :
		       NULL;
}

static bool begin_set(struct control_request *request, struct json_object *asked)
{
	const char *key = member_text(asked, "key");
	const char *value = member_text(asked, "value");

	for (size_t i = 0; key && value && i < sizeof(settings) / sizeof(*settings); i++)
		if (!strcmp(settings[i].name, key))
			return settings[i].set(request, value);
	deny(request->client, "set wants KEY=VALUE; keys are wait and log-level");
	return false;
}

static int set_on_worker(struct control_request *request, struct worker *worker)
{
	return ring_set_wait(worker_ring(worker), request->wait);
}

/* ---- watch, trace ---- */

static void count_watchers(struct control *control)
{
	bool wanted = false;

	for (unsigned int i = 0; i < CONTROL_MAX_CLIENTS; i++)
		wanted |= control->clients[i].watches;
	observe_events(control->options.observe, wanted);
}

static bool looks_already(struct control_request *request)
{
	if (!request->client->watches && !request->client->traces)
		return false;
	deny(request->client, "a connection watches or traces one thing");
	return true;
}

static bool begin_watch(struct control_request *request, struct json_object *asked)
{
	(void)asked;
	request->end = request->worker;
	return !looks_already(request);
}

static void end_watch(struct control_request *request)
{
	request->client->watches = true;
	request->client->watched = request->device;
	count_watchers(request->control);
}

static bool begin_trace(struct control_request *request, struct json_object *asked)
{
	(void)asked;
	return !looks_already(request);
}

static int trace(struct control_request *request, struct served *served)
{
	(void)request;
	served_device(served)->traced += OBSERVE_LIVE;
	return 0;
}

static void end_trace(struct control_request *request)
{
	request->client->traces = true;
	request->client->watched = request->device;
}

static int untrace(struct control_request *request, struct served *served)
{
	(void)request;
	served_device(served)->traced -= OBSERVE_LIVE;
	return 0;
}

/* ---- what may be asked for ---- */

static const struct control_command commands[] = {
	{ .name = "list", .device = control_list },
	{ .name = "show", .needs_device = true, .device = control_show },
	{ .name = "stats", .worker = control_stats_worker, .device = control_stats },
	{ .name = "reset", .needs_device = true, .device = reset },
	{ .name = "detach", .needs_device = true, .device = detach },
	{ .name = "watch", .begin = begin_watch, .end = end_watch },
	{ .name = "set", .begin = begin_set, .worker = set_on_worker },
	{ .name = "trace",
	  .needs_device = true,
	  .begin = begin_trace,
	  .device = trace,
	  .end = end_trace },
};

static const struct control_command untrace_command = { .name = "untrace", .device = untrace };

static const struct control_command *find_command(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static void deny_device(struct control_client *client, const char *name)
{
	const struct control_options *options = &client->control->options;
	char names[512] = "";
	size_t len = 0;

	for (size_t i = 0; i < options->nr_devices && len < sizeof(names); i++)
		len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s", i ? ", " : "",
					options->devices[i].name);
	deny(client, "no device '%.64s'; there are: %s%s", name, names,
	     len < sizeof(names) ? "" : "...");
}

/* The device that is meant to *device; false when there is none such, and that has been said. */
static bool find_device(struct control_client *client, const struct control_command *command,
			struct json_object *asked, size_t *device)
{
	const struct control_options *options = &client->control->options;
	const char *name = member_text(asked, "device");

	*device = CONTROL_ALL;
	if (!name && !json_object_object_get_ex(asked, "device", NULL) && !command->needs_device)
		return true;
	if (!name) {
		deny(client, "%s wants a device", command->name);
		return false;
	}
	for (size_t i = 0; i < options->nr_devices; i++)
		if (!strcmp(options->devices[i].name, name)) {
			*device = i;
			return true;
		}
	deny_device(client, name);
	return false;
}

static struct control_request *new_request(struct control *control, struct control_client *client,
					   const struct control_command *command, size_t device)
{
	struct control_request *request = calloc(1, sizeof(*request));
	unsigned int nr = control->options.nr_workers;

	if (!request)
		return NULL;
	*request = (struct control_request){
		.control = control,
		.client = client,
		.command = command,
		.device = device,
		.worker = device == CONTROL_ALL ? 0 : (unsigned int)(device % nr),
		.reply = json_object_new_object(),
	};
	request->end = device == CONTROL_ALL ? nr : request->worker + 1;
	put_bool(request->reply, "ok", true);
	return request;
}

static void start(struct control_client *client, const struct control_command *command,
		  size_t device, struct json_object *asked)
{
	struct control_request *request = new_request(client->control, client, command, device);

	if (!request) {
		deny(client, "out of memory");
		return;
	}
	if (command->begin && !command->begin(request, asked)) {
		control_free_request(request);
		return;
	}
	client->busy = true;
	if (request->worker < request->end)
		pass_on(request);
	else
		answer(request);
}

static void ask(struct control_client *client, struct json_object *asked)
{
	const char *name = member_text(asked, "command");
	const struct control_command *command = name ? find_command(name) : NULL;
	size_t device;

	if (!name)
		deny(client, "no command");
	else if (!command)
		deny(client, "no command '%.64s'", name);
	else if (find_device(client, command, asked, &device))
		start(client, command, device, asked);
}

/* One JSON value and nothing else, or NULL. */
static struct json_object *parse(const char *line, size_t len)
{
	struct json_tokener *tokener = json_tokener_new_ex(MAX_DEPTH);
	struct json_object *root;
	const char *rest;

	if (!tokener)
		return NULL;
	root = json_tokener_parse_ex(tokener, line, (int)len + 1);
	rest = line + json_tokener_get_parse_end(tokener);
	if (json_tokener_get_error(tokener) != json_tokener_success ||
	    rest + strspn(rest, " \t\r") != line + len) {
		json_object_put(root);
		root = NULL;
	}
	json_tokener_free(tokener);
	return root;
}

void control_ask(struct control_client *client, const char *line, size_t len)
{
	struct json_object *asked;

	if (!len)
		return;
	asked = parse(line, len);
	if (json_object_is_type(asked, json_type_object))
		ask(client, asked);
	else
		deny(client, "a request is a JSON object, in one line");
	json_object_put(asked);
}

void control_forget(struct control_client *client)
{
	struct control_request *request;

	if (client->traces) {
		request = new_request(client->control, NULL, &untrace_command, client->watched);
		if (request)
			pass_on(request);
	}
	client->watches = client->traces = false;
	count_watchers(client->control);
}
