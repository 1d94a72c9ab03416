/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm_control.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "json_put.h"
#include "log.h"
#include "socket.h"
#include "vfio_pci_move.h"

#define MAX_CLIENTS (VMM_CONTROL_MAX_FDS - 1)
#define MAX_LINE 4096u

/* Between two pieces of what is copied, so that the guest has time of its own. */
#define PAUSE_MS 1

struct client {
	int fd; /* -1: nobody */
	size_t len;
	char line[MAX_LINE];
};

struct vmm_control {
	char *path;
	int listen_fd;
	struct client clients[MAX_CLIENTS];
	struct vfio_pci *const *devices;
	unsigned int nr_devices;
	struct vfio_pci_move move;
	bool moves;
	struct client *asked; /* who waits for that to end; NULL: has left */
};

/* ---- replies ---- */

static void leave(struct vmm_control *control, struct client *client)
{
	if (control->asked == client)
		control->asked = NULL;
	close(take_fd(&client->fd));
	client->len = 0;
}

/* One that does not read its few replies is none. */
static void reply(struct vmm_control *control, struct client *client, struct json_object *object)
{
	const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_NOSLASHESCAPE);
	CLEANUP_FREE char *line = NULL;
	int len = asprintf(&line, "%s\n", text ? text : "{}");

	json_object_put(object);
	if (len < 0 || send(client->fd, line, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL) != len)
		leave(control, client);
}

static void reply_error(struct vmm_control *control, struct client *client, const char *error)
{
	struct json_object *object = json_object_new_object();

	put_text(object, "error", error);
	reply(control, client, object);
}

/* ---- requests ---- */

static const char *text_of(struct json_object *request, const char *key)
{
	struct json_object *value;

	if (!json_object_object_get_ex(request, key, &value) ||
	    !json_object_is_type(value, json_type_string))
		return NULL;
	return json_object_get_string(value);
}

static struct vfio_pci *find(const struct vmm_control *control, const char *id)
{
	for (unsigned int i = 0; id && i < control->nr_devices; i++)
		if (!strcmp(vfio_pci_options(control->devices[i])->id, id))
			return control->devices[i];
	return NULL;
}

static void list(struct vmm_control *control, struct client *client, struct json_object *request)
{
	struct json_object *object = json_object_new_object();
	struct json_object *array = put_array(object, "devices");

	(void)request;
	for (unsigned int i = 0; i < control->nr_devices; i++) {
		struct json_object *device = append(array);

		put_text(device, "device", vfio_pci_options(control->devices[i])->id);
		put_text(device, "socket", vfio_pci_name(control->devices[i]));
		put_bool(device, "connected", vfio_pci_socket(control->devices[i]) >= 0);
	}
	reply(control, client, object);
}

static void migrate(struct vmm_control *control, struct client *client, struct json_object *request)
{
	struct vfio_pci *dev = find(control, text_of(request, "device"));
	const char *to = text_of(request, "to");
	const char *error = NULL;

	if (!dev)
		error = "device: there is none of that name";
	else if (!to)
		error = "to: the address of a server is missing";
	else if (control->moves)
		error = "another device is being moved";
	else if (vfio_pci_move_begin(&control->move, dev, to))
		error = control->move.why;
	if (error) {
		reply_error(control, client, error);
		return;
	}
	control->moves = true;
	control->asked = client;
}

static const struct {
	const char *name;
	void (*run)(struct vmm_control *control, struct client *client,
		    struct json_object *request);
} commands[] = {
	{ "list", list },
	{ "migrate", migrate },
};

static void run(struct vmm_control *control, struct client *client, const char *line)
{
	struct json_object *request = json_tokener_parse(line);
	const char *name = text_of(request, "command");
	size_t i = 0;

	while (i < sizeof(commands) / sizeof(*commands) &&
	       !(name && !strcmp(name, commands[i].name)))
		i++;
	if (!json_object_is_type(request, json_type_object))
		reply_error(control, client, "a request is a JSON object in a line");
	else if (i == sizeof(commands) / sizeof(*commands))
		reply_error(control, client, "command: there are list and migrate");
	else
		commands[i].run(control, client, request);
	json_object_put(request);
}

/* ---- lines ---- */

/* Those that are there, until one has to be waited for. */
static void take_lines(struct vmm_control *control, struct client *client)
{
	char *end;

	while (client->fd >= 0 && control->asked != client &&
	       (end = memchr(client->line, '\n', client->len))) {
		size_t len = (size_t)(end - client->line) + 1;

		*end = '\0';
		run(control, client, client->line);
		if (client->fd < 0)
			return;
		client->len -= len;
		memmove(client->line, client->line + len, client->len);
	}
	if (client->fd >= 0 && client->len == sizeof(client->line)) {
		reply_error(control, client, "the line is longer than 4095 bytes");
		if (client->fd >= 0)
			leave(control, client);
	}
}

static void receive(struct vmm_control *control, struct client *client)
{
	ssize_t n = recv(client->fd, client->line + client->len, sizeof(client->line) - client->len,
			 MSG_DONTWAIT);

	if (!n || (n < 0 && errno != EAGAIN && errno != EINTR))
		leave(control, client);
	else if (n > 0)
		client->len += (size_t)n;
}

static struct client *find_free(struct vmm_control *control)
{
	for (unsigned int i = 0; i < MAX_CLIENTS; i++)
		if (control->clients[i].fd < 0)
			return &control->clients[i];
	return NULL;
}

static void welcome(struct vmm_control *control)
{
	struct client *client;

	while ((client = find_free(control))) {
		client->fd = accept4(control->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (client->fd < 0)
			return;
	}
}

/* ---- a move ---- */

static void go_on(struct vmm_control *control)
{
	struct vfio_pci *dev = control->move.dev;
	struct client *client;
	int ret = vfio_pci_move_step(&control->move);

	if (ret > 0)
		return;
	client = take_ptr(control->asked);
	control->moves = false;
	if (ret)
		log_warn("%s: it stays there: %s", vfio_pci_name(dev), control->move.why);
	else
		log_info("%s: the device is there now", vfio_pci_name(dev));
	if (client && ret)
		reply_error(control, client, control->move.why);
	else if (client)
		reply(control, client, json_object_new_object());
}

/* ---- the whole ---- */

/* A client whose request is being done is waited for to leave only. */
unsigned int vmm_control_fds(const struct vmm_control *control, struct pollfd *fds)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < MAX_CLIENTS; i++) {
		const struct client *client = &control->clients[i];
		bool waits = control->asked == client;

		if (client->fd >= 0)
			fds[nr++] = (struct pollfd){ .fd = client->fd,
						     .events = waits ? POLLRDHUP : POLLIN };
	}
	if (nr < MAX_CLIENTS)
		fds[nr++] = (struct pollfd){ .fd = control->listen_fd, .events = POLLIN };
	return nr;
}

int vmm_control_timeout_ms(const struct vmm_control *control)
{
	return control->moves ? PAUSE_MS : -1;
}

void vmm_control_attend(struct vmm_control *control)
{
	welcome(control);
	for (unsigned int i = 0; i < MAX_CLIENTS; i++) {
		struct client *client = &control->clients[i];

		if (client->fd >= 0 && client->len < sizeof(client->line))
			receive(control, client);
		take_lines(control, client);
	}
	if (control->moves)
		go_on(control);
}

int vmm_control_open(const char *path, struct vfio_pci *const *devices, unsigned int nr,
		     struct vmm_control **out)
{
	struct vmm_control *control = calloc(1, sizeof(*control));

	if (!control)
		return -ENOMEM;
	control->devices = devices;
	control->nr_devices = nr;
	for (unsigned int i = 0; i < MAX_CLIENTS; i++)
		control->clients[i].fd = -1;
	control->listen_fd = socket_listen(path);
	if (control->listen_fd < 0) {
		int ret = control->listen_fd;

		log_error("--control %s: %s", path, strerror(-ret));
		vmm_control_close(control);
		return ret;
	}
	control->path = strdup(path);
	fcntl(control->listen_fd, F_SETFL, O_NONBLOCK);
	*out = control;
	return 0;
}

void vmm_control_close(struct vmm_control *control)
{
	if (!control)
		return;
	if (control->moves)
		vfio_pci_move_cancel(&control->move);
	for (unsigned int i = 0; i < MAX_CLIENTS; i++)
		cleanup_close(&control->clients[i].fd);
	cleanup_close(&control->listen_fd);
	if (control->path)
		unlink(control->path);
	free(control->path);
	free(control);
}
