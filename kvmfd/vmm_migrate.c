/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm_migrate.h"

#include <errno.h>
#include <getopt.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"
#include "cleanup.h"
#include "json_put.h"
#include "log.h"
#include "socket.h"

#define MAX_REPLY 4096u

struct options {
	const char *control;
	const char *device;
	const char *to;
};

static void usage(void)
{
	printf("Usage: fastpath-vmm migrate --control PATH --device ID --to ADDRESS\n"
	       "Has the fastpath-vmm that listens at PATH (--control) move a device, with its state,\n"
	       "to the server at ADDRESS, while its guest runs. Exit status: 0 when it is there, 1\n"
	       "when it stays where it was.\n");
}

static int parse(struct options *options, int argc, char **argv)
{
	static const struct option names[] = {
		{ "control", required_argument, NULL, 'c' },
		{ "device", required_argument, NULL, 'd' },
		{ "to", required_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (opt == 'h') {
			usage();
			return 1;
		}
		if (opt == '?')
			return -EINVAL; /* getopt has said what it does not know */
		*(opt == 'c' ? &options->control :
		  opt == 'd' ? &options->device :
			       &options->to) = optarg;
	}
	if (optind == argc && options->control && options->device && options->to)
		return 0;
	log_error("migrate wants --control PATH --device ID --to ADDRESS; try migrate --help");
	return -EINVAL;
}

/* The monitor may be in another directory. */
static char *from_anywhere(const char *text)
{
	CLEANUP_FREE char *here = getcwd(NULL, 0);
	struct address address;
	char *absolute;
	const char *path;

	if (address_parse(text, ADDRESS_CONNECT, &address))
		return NULL;
	path = address_path(&address);
	if (!path || *path == '/' || !here)
		return strdup(text);
	return asprintf(&absolute, "unix:%s/%s", here, path) < 0 ? NULL : absolute;
}

static int ask(int fd, const struct options *options, const char *to)
{
	struct json_object *request = json_object_new_object();
	CLEANUP_FREE char *line = NULL;
	int len;

	put_text(request, "command", "migrate");
	put_text(request, "device", options->device);
	put_text(request, "to", to);
	len = asprintf(&line, "%s\n",
		       json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN));
	json_object_put(request);
	return len > 0 && send(fd, line, (size_t)len, MSG_NOSIGNAL) == len ? 0 : -EPIPE;
}

/* One line, without its end; as long as a move may take. */
static int await_reply(int fd, char *line)
{
	size_t len = 0;
	ssize_t n;

	do {
		n = recv(fd, line + len, MAX_REPLY - len, 0);
		len += n > 0 ? (size_t)n : 0;
	} while ((n > 0 || (n < 0 && errno == EINTR)) && !memchr(line, '\n', len) &&
		 len < MAX_REPLY);
	if (!memchr(line, '\n', len))
		return -ECONNRESET;
	*(char *)memchr(line, '\n', len) = '\0';
	return 0;
}

static int tell_result(const struct options *options, const char *line)
{
	struct json_object *reply = json_tokener_parse(line);
	struct json_object *error;
	int ret = 0;

	if (!json_object_is_type(reply, json_type_object)) {
		log_error("%s: that is no fastpath-vmm", options->control);
		ret = -EPROTO;
	} else if (json_object_object_get_ex(reply, "error", &error)) {
		log_error("device %s: %s", options->device, json_object_get_string(error));
		ret = -EIO;
	}
	json_object_put(reply);
	return ret;
}

static int migrate(const struct options *options)
{
	CLEANUP_FREE char *to = from_anywhere(options->to);
	CLEANUP_CLOSE int fd = -1;
	char line[MAX_REPLY];
	int ret;

	if (!to)
		return -EINVAL;
	fd = socket_connect(options->control);
	ret = fd < 0 ? fd : ask(fd, options, to);
	if (!ret)
		ret = await_reply(fd, line);
	if (!ret)
		return tell_result(options, line);
	log_error("--control %s: %s", options->control, strerror(-ret));
	return ret;
}

int vmm_migrate_main(int argc, char **argv)
{
	struct options options = { 0 };
	int ret = parse(&options, argc, argv);

	if (!ret)
		ret = migrate(&options);
	return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
