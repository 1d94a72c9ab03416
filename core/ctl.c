/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "json_put.h"
#include "log.h"
#include "socket.h"

#define DEFAULT_TIMEOUT_MS 5000
#define MAX_TIMEOUT_MS 3600000ul
#define MAX_WATCH_S 3600

enum takes_device {
	DEVICE_OPTIONAL,
	DEVICE_NEEDED,
	DEVICE_NONE,
};

struct command {
	const char *name;
	const char *args; /* behind CONTROL, for people */
	const char *asks; /* the server for this; NULL: for `name` */
	enum takes_device device;
	bool has_setting; /* KEY=VALUE behind the device */
	bool has_output;
	bool has_watch; /* may be asked again and again */
	bool is_stream; /* lines follow the reply until somebody ends it */
	void (*print)(struct json_object *reply); /* NULL: success has nothing to say */
};

static const struct command commands[] = {
	{ .name = "list", .args = "", .device = DEVICE_NONE, .print = ctl_print_list },
	{ .name = "show", .args = "DEVICE", .device = DEVICE_NEEDED, .print = ctl_print_show },
	{ .name = "stats", .args = "[DEVICE]", .has_watch = true, .print = ctl_print_stats },
	{ .name = "metrics", .args = "[DEVICE]", .asks = "stats", .print = ctl_print_metrics },
	{ .name = "reset", .args = "DEVICE", .device = DEVICE_NEEDED },
	{ .name = "detach", .args = "DEVICE", .device = DEVICE_NEEDED },
	{ .name = "watch", .args = "[DEVICE]", .is_stream = true },
	{ .name = "set", .args = "[DEVICE] KEY=VALUE", .has_setting = true },
	{ .name = "trace",
	  .args = "DEVICE",
	  .device = DEVICE_NEEDED,
	  .is_stream = true,
	  .has_output = true },
};

struct options {
	const struct command *command;
	const char *socket;
	const char *device; /* NULL: all */
	char *setting;
	const char *output; /* NULL: stdout */
	bool json;
	unsigned long timeout_ms;
	double watch_s; /* 0: once */
};

enum {
	OPT_JSON = 256,
	OPT_TIMEOUT,
	OPT_OUTPUT,
	OPT_WATCH,
	OPT_HELP,
};

static const struct option long_options[] = {
	{ "json", no_argument, NULL, OPT_JSON },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "output", required_argument, NULL, OPT_OUTPUT },
	{ "watch", optional_argument, NULL, OPT_WATCH },
	{ "help", no_argument, NULL, OPT_HELP },
	{ 0 },
};

/* ---- the command line ---- */

static void usage(const struct command *command)
{
	printf("Usage: fastpathctl %s CONTROL %s%s[options]\n"
	       "CONTROL is what fastpathd --control=CONTROL listens at.\n\n"
	       "  --json         what the server says, as it says it: a line of JSON\n"
	       "  --timeout MS   how long to wait for an answer; default %d\n",
	       command->name, command->args, *command->args ? " " : "", DEFAULT_TIMEOUT_MS);
	if (command->has_output)
		printf("  --output FILE  write to FILE\n");
	if (command->has_watch)
		printf("  --watch[=SECONDS]  what happens in SECONDS (1), again and again, until ^C\n");
	printf("  --help\n");
}

static int parse_timeout(const char *text, unsigned long *ms)
{
	char *end;

	*ms = strtoul(text, &end, 10);
	if (*text >= '0' && *text <= '9' && !*end && *ms && *ms <= MAX_TIMEOUT_MS)
		return 0;
	log_error("--timeout %s: wants milliseconds, 1 to %lu", text, MAX_TIMEOUT_MS);
	return -EINVAL;
}

static int parse_watch(const struct command *command, const char *value, double *seconds)
{
	char *end;

	if (!command->has_watch) {
		log_error("--watch: not of %s; try --help", command->name);
		return -EINVAL;
	}
	*seconds = value ? strtod(value, &end) : 1;
	if (!value || (end != value && !*end && *seconds >= 0.01 && *seconds <= MAX_WATCH_S))
		return 0;
	log_error("--watch=%s: wants seconds, 0.01 to %d", value, MAX_WATCH_S);
	return -EINVAL;
}

/* 0; 1 when there is nothing left to do; -errno. */
static int parse_option(struct options *options, int opt)
{
	const struct command *command = options->command;

	switch (opt) {
	case OPT_JSON:
		options->json = true;
		return 0;
	case OPT_TIMEOUT:
		return parse_timeout(optarg, &options->timeout_ms);
	case OPT_WATCH:
		return parse_watch(command, optarg, &options->watch_s);
	case OPT_HELP:
		usage(command);
		return 1;
	case OPT_OUTPUT:
		options->output = optarg;
		if (command->has_output)
			return 0;
		log_error("--output: not of %s; try --help", command->name);
		return -EINVAL;
	default: /* getopt has said which it does not know */
		fprintf(stderr, "Try 'fastpathctl %s --help'.\n", command->name);
		return -EINVAL;
	}
}

static int parse_arguments(struct options *options, int nr, char **args)
{
	const struct command *command = options->command;
	int behind = command->has_setting; /* arguments */
	int min = 1 + (command->device == DEVICE_NEEDED) + behind;
	int max = 1 + (command->device != DEVICE_NONE) + behind;

	if (nr < min || nr > max) {
		log_error("%s wants CONTROL%s%s; try --help", command->name,
			  *command->args ? " " : "", command->args);
		return -EINVAL;
	}
	options->socket = args[0];
	options->device = nr - behind > 1 ? args[1] : NULL;
	options->setting = behind ? args[nr - 1] : NULL;
	if (!options->setting || strchr(options->setting, '='))
		return 0;
	log_error("'%s': wants KEY=VALUE; try --help", options->setting);
	return -EINVAL;
}

static int parse(struct options *options, int argc, char **argv)
{
	int ret = 0;
	int opt;

	while (!ret && (opt = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		ret = parse_option(options, opt);
	return ret ? ret : parse_arguments(options, argc - optind, argv + optind);
}

/* ---- the conversation ---- */

static int set_timeout(int fd, unsigned long ms)
{
	struct timeval time = { .tv_sec = (time_t)(ms / 1000),
				.tv_usec = (suseconds_t)(ms % 1000 * 1000) };

	return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)) ||
			       setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof(time)) ?
		       -errno :
		       0;
}

static int ask(int fd, const struct options *options)
{
	struct json_object *request = json_object_new_object();
	CLEANUP_FREE char *line = NULL;
	ssize_t sent = -1;
	int len;

	put_text(request, "command",
		 options->command->asks ? options->command->asks : options->command->name);
	if (options->device)
		put_text(request, "device", options->device);
	if (options->setting) {
		char *value = options->setting;
		const char *key = strsep(&value, "=");

		put_text(request, "key", key);
		put_text(request, "value", value);
	}
	len = asprintf(&line, "%s\n",
		       json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN));
	json_object_put(request);
	if (len > 0)
		sent = send(fd, line, (size_t)len, MSG_NOSIGNAL);
	return sent == len ? 0 : -EPIPE;
}

/* The text of a reply's error, NULL when it is none. */
static const char *error_of(struct json_object *reply)
{
	struct json_object *error;

	return json_object_object_get_ex(reply, "error", &error) ? json_object_get_string(error) :
								   NULL;
}

/* One line of the server's; whether that was well. */
static bool take_reply(const struct options *options, const char *line)
{
	struct json_object *reply = json_tokener_parse(line);
	const char *error = error_of(reply);
	bool is_reply = json_object_is_type(reply, json_type_object);

	if (!is_reply)
		log_error("%s: what answers there is no fastpathd's control socket",
			  options->socket);
	else if (error)
		log_error("%s", error);
	else if (options->json && !options->command->is_stream)
		fputs(line, stdout);
	else if (options->command->print)
		options->command->print(reply);
	if (error && options->json)
		fputs(line, stdout);
	json_object_put(reply);
	return is_reply && !error;
}

static void take_event(const struct options *options, const char *line)
{
	struct json_object *event = json_tokener_parse(line);

	if (options->json)
		fputs(line, stdout);
	else if (json_object_is_type(event, json_type_object))
		ctl_print_event(event);
	json_object_put(event);
}

/* Until the server ends it, or nobody reads what we write. */
static int follow(const struct options *options, FILE *from)
{
	CLEANUP_FREE char *line = NULL;
	size_t size = 0;

	if (options->output && !freopen(options->output, "w", stdout)) {
		log_error("--output %s: %s", options->output, strerror(errno));
		return -EINVAL;
	}
	set_timeout(fileno(from), 0);
	while (getline(&line, &size, from) > 0) {
		take_event(options, line);
		if (fflush(stdout))
			return 0;
	}
	log_error("%s: the server has ended it", options->socket);
	return -ECONNRESET;
}

static volatile sig_atomic_t is_interrupted;

static void interrupt(int signal)
{
	(void)signal;
	is_interrupted = 1;
}

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Not restarted, so that it ends a wait; only now, as it would not end any other. */
static void catch_signals(sigset_t *outside)
{
	const struct sigaction action = { .sa_handler = interrupt };
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, outside);
	sigdelset(outside, SIGINT);
	sigdelset(outside, SIGTERM);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/* Until the next time, or ^C. Whether that is all, as nobody reads what we write or that came. */
static bool pause_is_end(const struct options *options, const sigset_t *outside)
{
	struct timespec pause = { .tv_sec = (time_t)options->watch_s };

	pause.tv_nsec = (long)((options->watch_s - (double)pause.tv_sec) * 1e9);
	return fflush(stdout) || ppoll(NULL, 0, &pause, outside) < 0 || is_interrupted;
}

/* One reply, said if it is an error; NULL: there is no use in going on. */
static struct json_object *fetch(const struct options *options, FILE *from)
{
	CLEANUP_FREE char *line = NULL;
	struct json_object *reply;
	size_t size = 0;

	if (ask(fileno(from), options) || getline(&line, &size, from) <= 0) {
		log_error("%s: no answer any more", options->socket);
		return NULL;
	}
	reply = json_tokener_parse(line);
	if (json_object_is_type(reply, json_type_object) && !error_of(reply))
		return reply;
	log_error("%s: %s", options->socket,
		  reply && error_of(reply) ? error_of(reply) : "nonsense");
	json_object_put(reply);
	return NULL;
}

/* ^C and a reader that has enough end it well. */
static int watch(const struct options *options, FILE *from)
{
	struct json_object *then = NULL, *now;
	double since = 0, time;
	sigset_t outside;
	bool has_ended = false;

	catch_signals(&outside);
	while (!has_ended && (now = fetch(options, from))) {
		time = now_s();
		if (options->json)
			printf("%s\n", json_object_to_json_string_ext(now, JSON_C_TO_STRING_PLAIN));
		else if (then)
			ctl_print_rates(now, then, time - since, isatty(STDOUT_FILENO));
		json_object_put(then);
		then = now;
		since = time;
		has_ended = pause_is_end(options, &outside);
	}
	json_object_put(then);
	return has_ended ? 0 : -ECONNRESET;
}

static int talk(const struct options *options, FILE *from)
{
	CLEANUP_FREE char *line = NULL;
	size_t size = 0;

	errno = 0;
	if (ask(fileno(from), options) || getline(&line, &size, from) <= 0) {
		log_error(errno == EAGAIN ? "%s: no answer in time; is it a control socket?" :
					    "%s: no answer; is it a control socket?",
			  options->socket);
		return -EPIPE;
	}
	if (!take_reply(options, line))
		return -EINVAL;
	if (!options->command->is_stream)
		return fflush(stdout) ? -EPIPE : 0;
	fprintf(stderr, "fastpathctl: %s until ^C\n", options->command->name);
	return follow(options, from);
}

static int run(const struct options *options)
{
	int fd = socket_connect_within(options->socket, (unsigned int)options->timeout_ms);
	FILE *from;
	int ret;

	if (fd < 0) {
		log_error("%s: no server to ask: %s", options->socket, strerror(-fd));
		return fd;
	}
	set_timeout(fd, options->timeout_ms);
	from = fdopen(fd, "r");
	if (!from) {
		close(fd);
		return -ENOMEM;
	}
	ret = options->watch_s ? watch(options, from) : talk(options, from);
	fclose(from);
	return ret;
}

int ctl_main(int argc, char **argv)
{
	struct options options = { .timeout_ms = DEFAULT_TIMEOUT_MS };
	int ret;

	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (!strcmp(commands[i].name, argv[0]))
			options.command = &commands[i];
	signal(SIGPIPE, SIG_IGN); /* a reader that has enough is no accident */
	ret = parse(&options, argc, argv);
	if (!ret)
		ret = run(&options);
	return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
