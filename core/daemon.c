/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * daemon: fp_main(), a server's command line. fastpathd is this and the devices it is linked with;
 * so is any program that somebody writes around a device of their own.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "activation.h"
#include "cleanup.h"
#include "fastpath.h"
#include "fdlimit.h"
#include "log.h"
#include "registry.h"
#include "server.h"

#ifndef FASTPATH_VERSION
#define FASTPATH_VERSION "unversioned"
#endif

#define MAX_KEYS 32
#define MAX_WORKERS 64
#define CLIENT_TIMEOUT_NS 10000000000ull
#define MAX_CLIENT_TIMEOUT_S 86400

/* A --device as given. */
struct wanted {
	char *text; /* what `device` points into */
	char *name; /* when none was given */
	struct keyval pairs[MAX_KEYS];
	struct served_options device;
};

struct options {
	struct wanted *wanted;
	size_t nr_wanted;
	const char *socket_path;
	int fd; /* -1: not given */
	struct ring_wait wait;
	unsigned int workers;
	const char *state_dir; /* NULL: not given */
	uint64_t client_timeout_ns;
	const char *control;
	const char *trace;
	bool no_sandbox;
	struct identity user;
	bool has_user;
};

enum {
	OPT_DEVICE = 256,
	OPT_SOCKET_PATH,
	OPT_FD,
	OPT_WAIT,
	OPT_WORKERS,
	OPT_STATE,
	OPT_CLIENT_TIMEOUT,
	OPT_CONTROL,
	OPT_TRACE,
	OPT_SANDBOX,
	OPT_USER,
	OPT_LOG_LEVEL,
	OPT_HELP,
	OPT_VERSION
};

static const struct option long_options[] = {
	{ "device", required_argument, NULL, OPT_DEVICE },
	{ "socket-path", required_argument, NULL, OPT_SOCKET_PATH },
	{ "fd", required_argument, NULL, OPT_FD },
	{ "wait", required_argument, NULL, OPT_WAIT },
	{ "workers", required_argument, NULL, OPT_WORKERS },
	{ "state", required_argument, NULL, OPT_STATE },
	{ "client-timeout", required_argument, NULL, OPT_CLIENT_TIMEOUT },
	{ "control", required_argument, NULL, OPT_CONTROL },
	{ "trace", required_argument, NULL, OPT_TRACE },
	{ "sandbox", required_argument, NULL, OPT_SANDBOX },
	{ "user", required_argument, NULL, OPT_USER },
	{ "log-level", required_argument, NULL, OPT_LOG_LEVEL },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ 0 },
};

/* Keys that every device has, taken by the server. */
static const struct fp_key common_keys[] = {
	{ .name = "name", .help = "what the device is called; default: NAME, NAME-2 and so on" },
	{ .name = "socket",
	  .help = "ADDRESS to listen at; needed unless --socket-path, --fd or systemd gives one" },
	{ .name = "mode", .help = "of a UNIX socket's file, octal; default 0600" },
	{ .name = "uid", .help = "the only user who may connect to a UNIX socket, a number" },
	{ .name = "allow-remote",
	  .help = "on: tcp may listen where other hosts can connect; default off" },
	{ .name = "io-fds-layout", .help = "deployed (48-byte entries, the default) or spec (40)" },
	{ 0 },
};

static void print_keys(FILE *to, const struct fp_key *keys)
{
	for (; keys && keys->name; keys++)
		fprintf(to, "      %-16s %s\n", keys->name, keys->help);
}

static void print_devices(FILE *to)
{
	const struct fp_class *class_;

	for (size_t i = 0; (class_ = registry_at(i)); i++) {
		fprintf(to, "  %-10s %s\n", class_->name, class_->summary);
		print_keys(to, class_->keys);
	}
}

static void usage(FILE *to, const char *program)
{
	fprintf(to,
		"Usage: %s --device NAME[,key=value...] [--device ...] [options]\n"
		"Serves vfio-user devices, each at an address of its own, until SIGTERM.\n\n"
		"  --device NAME[,key=value...]  a device; repeatable. NAME with a slash, as in\n"
		"                                ./mydev.so, is a module to load\n"
		"  --socket-path=ADDRESS         where the one device listens\n"
		"  --fd=N                        the one device's client is connected on fd N\n"
		"  --wait=POLICY                 how to wait for work: adaptive (the default), look\n"
		"                                for it before sleeping, as long as that pays;\n"
		"                                block; spin=MICROSECONDS; or sqpoll, where a thread\n"
		"                                of the kernel submits and needs a CPU of its own\n"
		"  --workers=N                   threads that share the devices, 1 to 64 (1)\n"
		"  --state=DIR                   keep the devices' state there, and go on from it\n"
		"  --client-timeout=SECONDS      for how long a client may leave a message half or a\n"
		"                                DMA request unanswered (10); half of it to say VERSION,\n"
		"                                six times to read its answers; 0: for ever\n"
		"  --control=PATH                where fastpathctl may ask and tell this server\n"
		"  --trace=FILE                  write every message, decoded, to FILE; - is stderr\n"
		"  --user=NAME|UID[:GID]         become that user once everything is open\n"
		"  --sandbox=on|off              do only what serving takes from then on (the default):\n"
		"                                off is for finding out what it forbids\n"
		"  --log-level=LEVEL             error, warn (the default), info or debug\n"
		"  --help, --version\n\n"
		"An ADDRESS is unix:PATH or just PATH, vsock:CID:PORT or vsock:any:PORT,\n"
		"tcp:HOST:PORT or tcp:PORT.\n\n"
		"Devices and their keys:\n",
		program);
	print_devices(to);
	fprintf(to, "  every device\n");
	print_keys(to, common_keys);
}

static int parse_layout(const char *device, const char *text, enum command_io_fds *layout)
{
	*layout = text && !strcmp(text, "spec") ? COMMAND_IO_FDS_SPEC : COMMAND_IO_FDS_DEPLOYED;
	if (!text || *layout == COMMAND_IO_FDS_SPEC || !strcmp(text, "deployed"))
		return 0;
	log_error("--device %s: io-fds-layout=%s: wants deployed or spec", device, text);
	return -EINVAL;
}

static bool is_common(const char *key)
{
	for (const struct fp_key *common = common_keys; common->name; common++)
		if (!strcmp(common->name, key))
			return true;
	return false;
}

/* Leaves the device's own keys in its options; a key that neither has is refused here. */
static int sort_keys(struct wanted *wanted, size_t nr)
{
	struct served_options *device = &wanted->device;
	size_t own = 0;

	for (size_t i = 0; i < nr; i++) {
		if (is_common(wanted->pairs[i].key))
			continue;
		if (!device_key(device->class_, wanted->pairs[i].key)) {
			log_error("--device %s: no key '%s'; it has:", device->class_->name,
				  wanted->pairs[i].key);
			print_keys(stderr, device->class_->keys);
			print_keys(stderr, common_keys);
			return -EINVAL;
		}
		wanted->pairs[own++] = wanted->pairs[i];
	}
	device->nr_options = own;
	return 0;
}

static const struct fp_class *find_class(const char *text, const char *name)
{
	const struct fp_class *class_ = registry_find(name);

	if (class_)
		return class_;
	if (registry_is_module(name))
		return registry_load(name);
	log_error("--device %s: no device '%s'; there are:", text, name);
	print_devices(stderr);
	return NULL;
}

static int parse_device(struct wanted *wanted, const char *text)
{
	struct served_options *device = &wanted->device;
	const char *name, *twice;
	int nr;

	wanted->text = strdup(text);
	if (!wanted->text)
		return -ENOMEM;
	nr = keyval_split(wanted->text, &name, wanted->pairs, MAX_KEYS);
	if (nr < 0) {
		log_error("--device %s: wants NAME[,key=value...], %d keys at most", text,
			  MAX_KEYS);
		return nr;
	}
	twice = keyval_twice(wanted->pairs, (size_t)nr);
	if (twice) {
		log_error("--device %s: %s= is there twice", text, twice);
		return -EINVAL;
	}
	device->class_ = find_class(text, name);
	if (!device->class_)
		return -EINVAL;
	device->name = keyval_get(wanted->pairs, (size_t)nr, "name");
	device->socket = keyval_get(wanted->pairs, (size_t)nr, "socket");
	device->fd = -1;
	if (parse_layout(name, keyval_get(wanted->pairs, (size_t)nr, "io-fds-layout"),
			 &device->io_fds) ||
	    admission_parse(&device->admission, name, wanted->pairs, (size_t)nr))
		return -EINVAL;
	return sort_keys(wanted, (size_t)nr);
}

static int add_device(struct options *options, const char *text)
{
	struct wanted *grown =
		reallocarray(options->wanted, options->nr_wanted + 1, sizeof(*grown));
	int ret;

	if (!grown)
		return -ENOMEM;
	options->wanted = grown;
	grown[options->nr_wanted] = (struct wanted){ 0 };
	ret = parse_device(&grown[options->nr_wanted++], text);
	return ret;
}

static int parse_fd(const char *text, int *fd)
{
	int type;
	socklen_t len = sizeof(type);
	struct sockaddr_storage peer;
	socklen_t peer_len = sizeof(peer);
	char *end;
	long n = strtol(text, &end, 10);

	if (end == text || *end || n < 0 || n > 1 << 20) {
		log_error("--fd=%s: wants a number", text);
		return -EINVAL;
	}
	if (getsockopt((int)n, SOL_SOCKET, SO_TYPE, &type, &len) || type != SOCK_STREAM ||
	    getpeername((int)n, (struct sockaddr *)&peer, &peer_len)) {
		log_error("--fd=%s: it is not a connected stream socket", text);
		return -EINVAL;
	}
	*fd = (int)n;
	return 0;
}

static int parse_workers(const char *text, unsigned int *workers)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (end == text || *end || *text == '-' || !n || n > MAX_WORKERS) {
		log_error("--workers=%s: wants a number from 1 to %d", text, MAX_WORKERS);
		return -EINVAL;
	}
	*workers = (unsigned int)n;
	return 0;
}

/* The directory is made if it is not there. */
static int parse_state(const char *text, const char **dir)
{
	struct stat st;

	if ((mkdir(text, 0700) && errno != EEXIST) || stat(text, &st)) {
		log_error("--state=%s: %s", text, strerror(errno));
		return -EINVAL;
	}
	if (!S_ISDIR(st.st_mode)) {
		log_error("--state=%s: it is not a directory", text);
		return -EINVAL;
	}
	*dir = text;
	return 0;
}

static int parse_client_timeout(const char *text, uint64_t *ns)
{
	char *end;
	double seconds = strtod(text, &end);

	/* Not a number is in no range either. */
	if (end == text || *end ||
	    !(seconds == 0 || (seconds >= 0.01 && seconds <= MAX_CLIENT_TIMEOUT_S))) {
		log_error("--client-timeout=%s: wants seconds, 0.01 to %d, or 0", text,
			  MAX_CLIENT_TIMEOUT_S);
		return -EINVAL;
	}
	*ns = (uint64_t)(seconds * 1e9);
	return 0;
}

static int parse_sandbox(const char *text, bool *off)
{
	*off = !strcmp(text, "off");
	if (*off || !strcmp(text, "on"))
		return 0;
	log_error("--sandbox=%s: wants on or off", text);
	return -EINVAL;
}

static int parse_one(struct options *options, int opt, const char *program)
{
	enum log_level level;

	switch (opt) {
	case OPT_DEVICE:
		return add_device(options, optarg);
	case OPT_SOCKET_PATH:
		options->socket_path = optarg;
		return 0;
	case OPT_FD:
		return parse_fd(optarg, &options->fd);
	case OPT_WAIT:
		if (!ring_wait_parse(optarg, &options->wait))
			return 0;
		log_error("--wait=%s: wants " RING_WAIT_WANTED, optarg);
		return -EINVAL;
	case OPT_WORKERS:
		return parse_workers(optarg, &options->workers);
	case OPT_STATE:
		return parse_state(optarg, &options->state_dir);
	case OPT_CLIENT_TIMEOUT:
		return parse_client_timeout(optarg, &options->client_timeout_ns);
	case OPT_CONTROL:
		options->control = optarg;
		return 0;
	case OPT_TRACE:
		options->trace = optarg;
		return 0;
	case OPT_SANDBOX:
		return parse_sandbox(optarg, &options->no_sandbox);
	case OPT_USER:
		options->has_user = true;
		return identity_parse("--user", optarg, &options->user);
	case OPT_LOG_LEVEL:
		if (log_level_parse(optarg, &level)) {
			log_error("--log-level=%s: wants error, warn, info or debug", optarg);
			return -EINVAL;
		}
		log_set_level(level);
		return 0;
	case OPT_HELP:
		usage(stdout, program);
		return 1;
	case OPT_VERSION:
		printf("%s (fastpath %s)\n", program, FASTPATH_VERSION);
		return 1;
	default: /* getopt has said which option it does not know */
		fprintf(stderr, "Try '%s --help'.\n", program);
		return -EINVAL;
	}
}

/* Sockets that were passed: to the devices of their names first, then to whoever has none. */
static void place_passed(struct options *options, struct activation *passed)
{
	for (int by_name = 1; by_name >= 0; by_name--)
		for (size_t i = 0; i < options->nr_wanted; i++) {
			struct served_options *device = &options->wanted[i].device;

			if (device->socket || device->fd >= 0)
				continue;
			device->fd = activation_take(passed, by_name ? device->name : NULL);
			device->fd_listens = device->fd >= 0;
		}
}

static int place_each(struct options *options)
{
	struct activation passed;
	int ret = activation_open(&passed);
	int left;

	if (!ret)
		place_passed(options, &passed);
	for (size_t i = 0; i < options->nr_wanted && !ret; i++) {
		const struct served_options *device = &options->wanted[i].device;

		if (!device->socket && device->fd < 0) {
			log_error("--device %s: no socket=ADDRESS", device->class_->name);
			ret = -EINVAL;
		}
	}
	left = ret ? -1 : activation_take(&passed, NULL);
	if (left >= 0) {
		log_error("LISTEN_FDS: no device is left for fd %d", left);
		close(left);
		ret = -EINVAL;
	}
	activation_close(&passed);
	return ret;
}

/* --socket-path and --fd stand for one device's socket=. */
static int place(struct options *options)
{
	struct served_options *only = options->nr_wanted ? &options->wanted[0].device : NULL;
	bool by_option = options->socket_path || options->fd >= 0;

	if (!only) {
		log_error("no --device given; there are:");
		print_devices(stderr);
		return -EINVAL;
	}
	if (by_option && (options->nr_wanted > 1 || only->socket ||
			  (options->socket_path && options->fd >= 0))) {
		log_error(
			"--socket-path and --fd are for one device without socket=, and not both");
		return -EINVAL;
	}
	if (by_option) {
		only->socket = options->socket_path;
		only->fd = options->fd;
		return 0;
	}
	return place_each(options);
}

static bool is_named(const struct options *options, const char *name)
{
	for (size_t i = 0; i < options->nr_wanted; i++) {
		const char *other = options->wanted[i].device.name;

		if (other && !strcmp(other, name))
			return true;
	}
	return false;
}

/* Files are called so, and people type it. */
static bool is_good_name(const char *name)
{
	return *name && *name != '.' && *name != '-' && strlen(name) <= 64 &&
	       !name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789._-")];
}

static int check_names(const struct options *options)
{
	for (size_t i = 0; i < options->nr_wanted; i++) {
		const char *name = options->wanted[i].device.name;

		if (!name)
			continue;
		if (!is_good_name(name)) {
			log_error("--device %s: name=%s: wants letters, digits, '.', '_' and "
				  "'-', 64 at most",
				  options->wanted[i].device.class_->name, name);
			return -EINVAL;
		}
		for (size_t j = 0; j < i; j++)
			if (options->wanted[j].device.name &&
			    !strcmp(options->wanted[j].device.name, name)) {
				log_error("--device %s: name=%s: two devices have it",
					  options->wanted[i].device.class_->name, name);
				return -EINVAL;
			}
	}
	return 0;
}

/* Those without a name are called by their class: testdev, testdev-2. */
static int name_devices(struct options *options)
{
	int ret = check_names(options);

	for (size_t i = 0; i < options->nr_wanted && !ret; i++) {
		struct wanted *wanted = &options->wanted[i];
		const char *class_name = wanted->device.class_->name;

		for (unsigned int n = 1; !wanted->device.name && !ret; n++) {
			free(wanted->name);
			if (asprintf(&wanted->name, n > 1 ? "%s-%u" : "%s", class_name, n) < 0) {
				wanted->name = NULL;
				ret = -ENOMEM;
			} else if (!is_named(options, wanted->name)) {
				wanted->device.name = wanted->name;
			}
		}
	}
	return ret;
}

/* 0; 1 when there is nothing left to do; -errno. */
static int parse(struct options *options, int argc, char **argv, const char *program)
{
	int ret = 0;
	int opt;

	while (!ret && (opt = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		ret = parse_one(options, opt, program);
	if (!ret && optind < argc) {
		log_error("'%s': not an option; try --help", argv[optind]);
		ret = -EINVAL;
	}
	if (!ret)
		ret = name_devices(options);
	return ret ? ret : place(options);
}

/* Where messages are traced to; 0: nowhere. Never one of the standard three. */
static int open_trace(const char *path)
{
	CLEANUP_CLOSE int file = -1;
	int fd = STDERR_FILENO;

	if (!path)
		return 0;
	if (strcmp(path, "-"))
		fd = file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd >= 0)
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		log_error("--trace=%s: %s", path, strerror(errno));
	return fd < 0 ? -EINVAL : fd;
}

static int serve(const struct options *options)
{
	struct served_options *devices = calloc(options->nr_wanted, sizeof(*devices));
	struct server_options server = {
		.wait = options->wait,
		.workers = options->workers,
		.devices = devices,
		.nr_devices = options->nr_wanted,
		.control = options->control,
		.is_confined = !options->no_sandbox,
		.user = options->has_user ? &options->user : NULL,
		.trace_fd = open_trace(options->trace),
	};
	int ret;

	if (!devices || server.trace_fd < 0) {
		free(devices);
		return -ENOMEM;
	}
	for (size_t i = 0; i < options->nr_wanted; i++) {
		devices[i] = options->wanted[i].device;
		devices[i].options = options->wanted[i].pairs;
		devices[i].state_dir = options->state_dir;
		devices[i].client_timeout_ns = options->client_timeout_ns;
	}
	ret = server_run(&server);
	if (server.trace_fd)
		close(server.trace_fd);
	free(devices);
	return ret;
}

int fp_main(int argc, char **argv)
{
	const char *program = argc ? basename(argv[0]) : "fastpathd";
	struct options options = {
		.fd = -1,
		.workers = 1,
		.client_timeout_ns = CLIENT_TIMEOUT_NS,
	};
	int ret;

	log_set_name(program);
	signal(SIGPIPE, SIG_IGN); /* a log that nobody reads any more is no reason to end */
	ret = parse(&options, argc, argv, program);
	if (!ret) {
		fdlimit_raise();
		ret = serve(&options);
	}
	for (size_t i = 0; i < options.nr_wanted; i++) {
		free(options.wanted[i].name);
		free(options.wanted[i].text);
	}
	free(options.wanted);
	return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
