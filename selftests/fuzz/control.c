/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz target control: a whole server, as its command line makes it, on threads of its own; clients
 * of its control socket, and of its devices; fastpathctl, at that server and at one that answers
 * anything.
 *
 * The input is a u8 of CONTROL_* and then a list of steps; corpus/control/names has their layout.
 * Every line that the server says has to be JSON, and at the end it has to answer a question, and to
 * stop when it is told to.
 */
#include <errno.h>
#include <getopt.h>
#include <json-c/json.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "ctl.h"
#include "fastpath.h"
#include "fuzz.h"
#include "fuzzclient.h"
#include "log.h"
#include "probe.h"
#include "socket.h"

#define MAX_STEPS 64
#define NR_CONTROLS 4u
#define NR_DEVICES 2u
#define MAX_WORDS 16
#define SHORT_MS 2
#define LONG_MS 1000

enum {
	CONTROL_TWO_WORKERS = 1 << 0,
	CONTROL_TRACE = 1 << 1,
	CONTROL_SPIN = 1 << 2,
	CONTROL_HURRY = 1 << 3, /* clients have hardly any time */
	CONTROL_VERBOSE = 1 << 4,
	CONTROL_TCP = 1 << 5, /* the second device listens there */
};

/* A client of the control socket. */
struct asker {
	int fd; /* -1: not there */
	char *in;
	size_t len;
};

struct scene {
	struct asker askers[NR_CONTROLS];
	struct fuzzclient clients[NR_DEVICES];
};

static char dir[32];
static char control_path[64];
static char hostile_path[64];
static char device_paths[NR_DEVICES][64];

static void remove_dir(void)
{
	unlink(hostile_path);
	rmdir(dir);
}

static void make_dir(void)
{
	if (*dir)
		return;
	strcpy(dir, access("/dev/shm", W_OK) ? "/tmp/fuzz-XXXXXX" : "/dev/shm/fuzz-XXXXXX");
	fuzz_check(mkdtemp(dir), "a directory can be made");
	snprintf(control_path, sizeof(control_path), "%s/control", dir);
	snprintf(hostile_path, sizeof(hostile_path), "%s/hostile", dir);
	for (unsigned int i = 0; i < NR_DEVICES; i++)
		snprintf(device_paths[i], sizeof(device_paths[i]), "%s/%u", dir, i);
	atexit(remove_dir);
}

/* ---- command lines ---- */

struct words {
	char *argv[MAX_WORDS + 1];
	int argc;
};

static void add(struct words *words, const char *word)
{
	if (words->argc == MAX_WORDS)
		return;
	words->argv[words->argc] = strdup(word);
	fuzz_check(words->argv[words->argc++], "there is memory");
}

/* Runs main(), or what stands for it, as often as one likes. */
static int run_main(struct words *words, int (*main_)(int argc, char **argv))
{
	int ret;

	optind = 0;
	ret = main_(words->argc, words->argv);
	while (words->argc)
		free(words->argv[--words->argc]);
	return ret;
}

/* ---- the server ---- */

struct server {
	pthread_t thread;
	struct words words;
	bool has_ended;
};

/* SIGINT is this thread's alone, and still pending when the server has ended by itself. */
static void *run_server(void *opaque)
{
	struct server *server = opaque;
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	fuzz_check(!run_main(&server->words, fp_main), "a server ends well");
	__atomic_store_n(&server->has_ended, true, __ATOMIC_RELEASE);
	return NULL;
}

static void build_words(struct words *words, uint8_t flags)
{
	char word[128];

	add(words, "fastpathd");
	add(words, "--sandbox=off"); /* all of this process would be in it, for good */
	for (unsigned int i = 0; i < NR_DEVICES; i++) {
		snprintf(word, sizeof(word), "--device=fuzzdev,name=fuzz%u,socket=%s%s", i,
			 i && flags & CONTROL_TCP ? "tcp:0" : device_paths[i],
			 i ? ",io-fds-layout=spec" : "");
		add(words, word);
	}
	snprintf(word, sizeof(word), "--control=%s", control_path);
	add(words, word);
	if (flags & CONTROL_TWO_WORKERS)
		add(words, "--workers=2");
	if (flags & CONTROL_TRACE)
		add(words, "--trace=/dev/null");
	if (flags & CONTROL_SPIN)
		add(words, "--wait=spin=10");
	if (flags & CONTROL_HURRY)
		add(words, "--client-timeout=0.01");
	if (flags & CONTROL_VERBOSE)
		add(words, "--log-level=debug");
}

/* It listens there last of all. */
static void await_server(const struct server *server)
{
	const struct timespec pause = { .tv_nsec = 200000 };
	int fd = -1;

	for (unsigned int i = 0; i < 50000 && fd < 0; i++) {
		fuzz_check(!__atomic_load_n(&server->has_ended, __ATOMIC_ACQUIRE), "it starts");
		fd = socket_connect(control_path);
		if (fd < 0)
			nanosleep(&pause, NULL);
	}
	fuzz_check(fd >= 0, "a server listens before long");
	close(fd);
}

static void start_server(struct server *server, uint8_t flags)
{
	build_words(&server->words, flags);
	fuzz_check(!pthread_create(&server->thread, NULL, run_server, server), "there are threads");
	await_server(server);
}

static void stop_server(struct server *server)
{
	pthread_kill(server->thread, SIGINT);
	pthread_join(server->thread, NULL);
}

/* ---- the control socket ---- */

static void check_line(const char *line)
{
	struct json_object *object = json_tokener_parse(line);

	fuzz_check(json_object_is_type(object, json_type_object), "a line is an object: %s", line);
	json_object_put(object);
}

static void drop(struct asker *asker)
{
	cleanup_close(&asker->fd);
	asker->fd = -1;
	free(take_ptr(asker->in));
	asker->len = 0;
}

/* What has come, line by line; false: nothing had. */
static bool listen_to(struct asker *asker, int wait_ms)
{
	struct pollfd readable = { .fd = asker->fd, .events = POLLIN };
	char bytes[16384];
	char *newline;
	ssize_t n;

	if (asker->fd < 0 || poll(&readable, 1, wait_ms) < 1)
		return false;
	n = recv(asker->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n <= 0) {
		drop(asker);
		return false;
	}
	asker->in = realloc(asker->in, asker->len + (size_t)n + 1);
	fuzz_check(asker->in, "there is memory");
	memcpy(asker->in + asker->len, bytes, (size_t)n);
	asker->len += (size_t)n;
	asker->in[asker->len] = '\0';
	while ((newline = memchr(asker->in, '\n', asker->len))) {
		*newline = '\0';
		check_line(asker->in);
		asker->len -= (size_t)(newline + 1 - asker->in);
		memmove(asker->in, newline + 1, asker->len + 1);
	}
	return true;
}

static void tell(struct asker *asker, const void *bytes, size_t len)
{
	if (asker->fd < 0)
		asker->fd = socket_connect(control_path);
	if (asker->fd >= 0 && len && send(asker->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return; /* it is full, or was left: that is fine */
}

static void do_line(struct scene *scene, unsigned int who, struct fuzz_input *input)
{
	struct fuzz_input bytes = fuzz_bytes(input);

	tell(&scene->askers[who], bytes.at, bytes.left);
	tell(&scene->askers[who], "\n", 1);
	listen_to(&scene->askers[who], SHORT_MS);
}

static void do_bytes(struct scene *scene, unsigned int who, struct fuzz_input *input)
{
	struct fuzz_input bytes = fuzz_bytes(input);

	tell(&scene->askers[who], bytes.at, bytes.left);
}

static void do_many(struct scene *scene, unsigned int who, struct fuzz_input *input)
{
	size_t len = (size_t)(fuzz_u8(input) + 1) * 1024;
	CLEANUP_FREE char *bytes = malloc(len);

	fuzz_check(bytes, "there is memory");
	memset(bytes, fuzz_u8(input), len);
	tell(&scene->askers[who], bytes, len);
}

static void do_listen(struct scene *scene, unsigned int who, struct fuzz_input *input)
{
	(void)input;
	listen_to(&scene->askers[who], SHORT_MS);
}

static void do_leave(struct scene *scene, unsigned int who, struct fuzz_input *input)
{
	(void)input;
	drop(&scene->askers[who]);
}

static void do_half_close(struct scene *scene, unsigned int who, struct fuzz_input *input)
{
	(void)input;
	if (scene->askers[who].fd >= 0)
		shutdown(scene->askers[who].fd, SHUT_WR);
}

/* ---- the devices ---- */

static void hear(struct fuzzclient *client, int wait_ms)
{
	struct pollfd readable = { .fd = client->fd, .events = POLLIN };

	if (client->fd >= 0 && poll(&readable, 1, wait_ms) > 0)
		fuzzclient_receive(client);
}

static void do_connect(struct scene *scene, unsigned int who, struct fuzz_input *input)
{
	static const char json[] = "\0\0\2\0{\"capabilities\":{\"max_msg_fds\":16}}";
	struct fuzzclient *client = &scene->clients[who % NR_DEVICES];
	int fd;

	fuzzclient_close(client);
	fd = socket_connect(device_paths[who % NR_DEVICES]);
	if (fd < 0)
		return;
	fuzzclient_open(client, fd);
	if (fuzz_u8(input) & 1)
		return;
	fuzzclient_command(client, WIRE_VERSION, 0, json, sizeof(json), 0);
	hear(client, SHORT_MS);
}

static void do_command(struct scene *scene, unsigned int who, struct fuzz_input *input)
{
	struct fuzzclient *client = &scene->clients[who % NR_DEVICES];
	uint8_t cmd = fuzz_u8(input);
	uint8_t flags = fuzz_u8(input);
	struct fuzz_input body = fuzz_bytes(input);

	fuzzclient_command(client, cmd, flags, body.at, body.left, 0);
	hear(client, SHORT_MS);
}

static void do_fd(struct scene *scene, unsigned int who, struct fuzz_input *input)
{
	struct fuzzclient *client = &scene->clients[who % NR_DEVICES];
	int fd = fuzz_fd(fuzz_u8(input));

	if (client->nr_fds < FUZZCLIENT_MAX_FDS)
		client->fds[client->nr_fds++] = fd;
}

/* ---- fastpathctl ---- */

static const char *const commands[] = { "list",	  "show", "stats", "reset",
					"detach", "set",  "watch", "trace" };

#define NR_ASKING 6u /* the others go on until the server ends it */

static void run_ctl(uint8_t what, const char *path, unsigned int nr, bool json)
{
	struct words words = { .argc = 0 };

	add(&words, commands[nr]);
	add(&words, path);
	if (what & 1)
		add(&words, what & 2 ? "fuzz1" : "fuzz0");
	if (!strcmp(commands[nr], "set"))
		add(&words, what & 4 ? "wait=spin=20" : "log-level=debug");
	if (json)
		add(&words, "--json");
	run_main(&words, ctl_main);
}

static void do_ctl(struct scene *scene, unsigned int who, struct fuzz_input *input)
{
	uint8_t what = fuzz_u8(input);

	(void)scene;
	run_ctl(what, control_path, (what >> 3) % NR_ASKING, who & 1);
}

static void run_probe(const char *path, bool json)
{
	struct words words = { .argc = 0 };

	add(&words, "probe");
	add(&words, path);
	add(&words, "--timeout=200");
	if (json)
		add(&words, "--json");
	run_main(&words, probe_main);
}

static void do_probe(struct scene *scene, unsigned int who, struct fuzz_input *input)
{
	(void)input;
	fuzzclient_close(&scene->clients[who % NR_DEVICES]);
	run_probe(device_paths[who % NR_DEVICES], who & 2);
}

/* One that says what it likes, whatever it is asked. */
struct hostile {
	int fd;
	struct fuzz_input bytes;
};

static void *run_hostile(void *opaque)
{
	struct hostile *hostile = opaque;
	CLEANUP_CLOSE int fd = accept(hostile->fd, NULL, NULL);
	char asked[4096];

	if (fd < 0)
		return NULL;
	if (send(fd, hostile->bytes.at, hostile->bytes.left, MSG_NOSIGNAL) < 0)
		return NULL;
	shutdown(fd, SHUT_WR);
	while (recv(fd, asked, sizeof(asked), 0) > 0)
		;
	return NULL;
}

static void with_hostile(struct fuzz_input *input, void (*run)(uint8_t what), uint8_t what)
{
	struct hostile hostile = { .bytes = fuzz_bytes(input) };
	pthread_t thread;

	hostile.fd = socket_listen(hostile_path);
	fuzz_check(hostile.fd >= 0, "there are sockets");
	fuzz_check(!pthread_create(&thread, NULL, run_hostile, &hostile), "there are threads");
	run(what);
	shutdown(hostile.fd, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(hostile.fd);
	unlink(hostile_path);
}

static void ctl_at_hostile(uint8_t what)
{
	run_ctl(what, hostile_path, (what >> 3) % (sizeof(commands) / sizeof(*commands)),
		what & 0x80);
}

static void probe_at_hostile(uint8_t what)
{
	run_probe(hostile_path, what & 1);
}

static void do_hostile_ctl(struct scene *scene, unsigned int who, struct fuzz_input *input)
{
	(void)scene;
	(void)who;
	with_hostile(input, ctl_at_hostile, fuzz_u8(input));
}

static void do_hostile_probe(struct scene *scene, unsigned int who, struct fuzz_input *input)
{
	(void)scene;
	with_hostile(input, probe_at_hostile, (uint8_t)who);
}

/* Words between newlines; the last one is bad, so that nothing is ever started. */
static void do_words(struct scene *scene, unsigned int who, struct fuzz_input *input)
{
	struct fuzz_input bytes = fuzz_bytes(input);
	char *text = strndup((const char *)bytes.at, bytes.left);
	struct words words = { .argc = 0 };
	char *at = text;

	(void)scene;
	(void)who;
	fuzz_check(text, "there is memory");
	add(&words, "fastpathd");
	while (at && words.argc < MAX_WORDS - 2) {
		const char *word = strsep(&at, "\n");

		if (strncmp(word, "--st", 4) || !strcmp(word, "--state=/dev/null"))
			add(&words, word); /* --state makes directories */
	}
	add(&words, "--fd=none"); /* which the word before may take for its argument */
	add(&words, "--fd=none");
	run_main(&words, fp_main);
	log_set_level(LOG_DEBUG);
	free(text);
}

typedef void step_fn(struct scene *scene, unsigned int who, struct fuzz_input *input);

static step_fn *const steps[] = {
	do_listen,  do_line, do_bytes, do_many,	 do_leave,	 do_half_close,	   do_connect,
	do_command, do_fd,   do_ctl,   do_probe, do_hostile_ctl, do_hostile_probe, do_words,
};

/* ---- an input ---- */

/* It has to answer, whatever the others have done; one place of sixteen is free. */
static void ask_once(struct scene *scene)
{
	static const char line[] = "{\"command\":\"list\"}\n";
	struct asker asker = { .fd = -1 };
	bool heard = false;

	for (unsigned int i = 0; i < NR_CONTROLS; i++)
		drop(&scene->askers[i]);
	tell(&asker, line, sizeof(line) - 1);
	/* The fuzzer's clock is a signal, which ends any wait. */
	for (unsigned int i = 0; i < 10 && asker.fd >= 0 && !heard; i++)
		heard = listen_to(&asker, LONG_MS);
	fuzz_check(heard, "a server answers");
	drop(&asker);
}

static void play(struct scene *scene, struct fuzz_input *input)
{
	for (unsigned int i = 0; input->left && i < MAX_STEPS; i++) {
		uint8_t what = fuzz_u8(input);

		steps[what % 16 % (sizeof(steps) / sizeof(*steps))](scene, what / 16 % NR_CONTROLS,
								    input);
	}
	ask_once(scene);
	for (unsigned int i = 0; i < NR_DEVICES; i++)
		fuzzclient_close(&scene->clients[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct scene scene;
	struct fuzz_input input = { data, size };
	struct server server = { .has_ended = false };
	FILE *said[] = { stdout, stderr };
	FILE *nowhere;

	make_dir();
	fuzz_begin();
	nowhere = fopen("/dev/null", "we");
	fuzz_check(nowhere, "there is /dev/null");
	if (!getenv("FASTPATH_FUZZ_LOG"))
		stdout = stderr = nowhere; /* what programs say to people */
	for (unsigned int i = 0; i < NR_CONTROLS; i++)
		scene.askers[i] = (struct asker){ .fd = -1 };
	for (unsigned int i = 0; i < NR_DEVICES; i++)
		scene.clients[i] = (struct fuzzclient){ .fd = -1, .twin = -1 };
	start_server(&server, fuzz_u8(&input));
	play(&scene, &input);
	stop_server(&server);
	stdout = said[0];
	stderr = said[1];
	fclose(nowhere);
	fuzz_end();
	return 0;
}
