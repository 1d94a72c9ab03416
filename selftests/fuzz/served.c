/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz target served: a device at its socket, three clients that want it, and the file that keeps
 * its state, in which anything may stand.
 *
 *	u8 SERVED_*, then with SERVED_STATE the file: a u16 and so many bytes; none: no file
 *	then steps: u8 what, on client what / 8 % 3; see the table at the end
 */
#include "served.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "fuzz.h"
#include "fuzzclient.h"
#include "fuzzdev.h"
#include "registry.h"
#include "socket.h"

#define MAX_STEPS 64
#define NR_CLIENTS 3u

enum {
	SERVED_STATE = 1 << 0,	   /* is kept */
	SERVED_IN_WAY = 1 << 1,	   /* there is a file where the socket is to be */
	SERVED_STALE = 1 << 2,	   /* or the socket of a dead server */
	SERVED_NO_LISTEN = 1 << 3, /* one client, that is there from the start */
};

struct scene {
	uint8_t flags;
	struct served *served; /* NULL: it could not be opened */
	struct fuzzclient clients[NR_CLIENTS];
};

/* ---- the places ---- */

static char dir[32];
static char path[64];
static char state[64];

static void remove_dir(void)
{
	unlink(path);
	unlink(state);
	rmdir(dir);
}

static void make_dir(void)
{
	if (*dir)
		return;
	strcpy(dir, access("/dev/shm", W_OK) ? "/tmp/fuzz-XXXXXX" : "/dev/shm/fuzz-XXXXXX");
	fuzz_check(mkdtemp(dir), "a directory can be made");
	snprintf(path, sizeof(path), "%s/socket", dir);
	snprintf(state, sizeof(state), "%s/fuzzdev.state", dir);
	atexit(remove_dir);
}

static void put_file(const char *name, struct fuzz_input bytes)
{
	CLEANUP_CLOSE int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	fuzz_check(fd >= 0 && write(fd, bytes.at, bytes.left) == (ssize_t)bytes.left,
		   "a file can be written");
}

static void prepare(struct scene *scene, struct fuzz_input *input)
{
	struct fuzz_input bytes = { 0 };

	scene->flags = fuzz_u8(input);
	unlink(path);
	unlink(state);
	if (scene->flags & SERVED_STATE)
		bytes = fuzz_bytes(input);
	if (bytes.left)
		put_file(state, bytes);
	if (scene->flags & SERVED_IN_WAY)
		put_file(path, (struct fuzz_input){ 0 });
	else if (scene->flags & SERVED_STALE)
		close(socket_listen(path));
}

/* ---- the server ---- */

static void open_server(struct scene *scene)
{
	struct served_options options = {
		.class_ = registry_find("fuzzdev"),
		.name = "fuzzdev",
		.socket = scene->flags & SERVED_NO_LISTEN ? NULL : path,
		.state_dir = scene->flags & SERVED_STATE ? dir : NULL,
	};
	int pair[2];
	int ret;

	if (!options.socket) {
		fuzz_check(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair),
			   "there are sockets");
		fuzzclient_close(&scene->clients[0]);
		fuzzclient_open(&scene->clients[0], pair[0]);
		options.fd = pair[1];
	}
	ret = served_open(fuzz_ring(), &options, NULL, &scene->served);
	if (ret)
		scene->served = NULL;
	fuzz_check(ret != 0 || served_has_work(scene->served), "what is open has work");
	fuzz_check(ret || !(scene->flags & SERVED_IN_WAY) || !options.socket,
		   "a file is not taken for a socket");
}

static void close_server(struct scene *scene)
{
	served_close(scene->served);
	scene->served = NULL;
}

/* ---- steps ---- */

static void say_version(struct fuzzclient *client)
{
	static const uint8_t body[] = "\0\0\2\0{\"capabilities\":{\"max_msg_fds\":8}}";

	fuzzclient_command(client, WIRE_VERSION, 0, body, sizeof(body), 0);
}

/* Who is refused hears it as the answer to a VERSION, so that is said at once. */
static void do_connect(struct scene *scene, struct fuzzclient *client, struct fuzz_input *input)
{
	int fd = scene->flags & SERVED_NO_LISTEN ? -1 : socket_connect(path);

	(void)input;
	if (fd < 0)
		return;
	fuzzclient_close(client);
	fuzzclient_open(client, fd);
	say_version(client);
}

static void do_hang_up(struct scene *scene, struct fuzzclient *client, struct fuzz_input *input)
{
	(void)scene;
	(void)input;
	fuzzclient_close(client);
}

/* The next one is there before the server has seen this one go. */
static void do_replace(struct scene *scene, struct fuzzclient *client, struct fuzz_input *input)
{
	fuzzclient_close(client);
	do_connect(scene, client, input);
}

static void do_bytes(struct scene *scene, struct fuzzclient *client, struct fuzz_input *input)
{
	struct fuzz_input bytes = fuzz_bytes(input);

	(void)scene;
	fuzzclient_send(client, bytes.at, bytes.left);
}

static void do_write(struct scene *scene, struct fuzzclient *client, struct fuzz_input *input)
{
	uint8_t body[sizeof(struct wire_region_access) + sizeof(uint32_t)];
	struct wire_region_access access = { .count = sizeof(uint32_t) };
	uint32_t value;

	(void)scene;
	access.offset = fuzz_u16(input);
	value = fuzz_u32(input);
	memcpy(body, &access, sizeof(access));
	memcpy(body + sizeof(access), &value, sizeof(value));
	fuzzclient_command(client, WIRE_REGION_WRITE, 0, body, sizeof(body), 0);
}

static void do_stop(struct scene *scene, struct fuzzclient *client, struct fuzz_input *input)
{
	(void)client;
	(void)input;
	if (!scene->served)
		return;
	for (unsigned int i = 0; i < NR_CLIENTS; i++)
		scene->clients[i].may_end = true;
	served_stop(scene->served);
	served_is_settling(scene->served);
	fuzz_check(!served_has_work(scene->served), "what is stopped has no work");
}

static void do_restart(struct scene *scene, struct fuzzclient *client, struct fuzz_input *input)
{
	(void)client;
	(void)input;
	for (unsigned int i = 0; i < NR_CLIENTS; i++)
		scene->clients[i].may_end = true;
	close_server(scene);
	open_server(scene);
}

static void do_state(struct scene *scene, struct fuzzclient *client, struct fuzz_input *input)
{
	(void)scene;
	(void)client;
	put_file(state, fuzz_bytes(input));
}

typedef void step_fn(struct scene *scene, struct fuzzclient *client, struct fuzz_input *input);

static step_fn *const steps[8] = {
	do_connect, do_hang_up, do_replace, do_bytes, do_write, do_stop, do_restart, do_state,
};

static void turn(struct scene *scene)
{
	unsigned int nr_served = 0;

	fuzz_settle();
	for (unsigned int i = 0; i < NR_CLIENTS; i++) {
		struct fuzzclient *client = &scene->clients[i];

		fuzzclient_receive(client);
		nr_served += client->fd >= 0 && client->negotiated && !client->may_end;
	}
	fuzz_check(nr_served <= 1, "one client at a time");
}

static void play(struct scene *scene, struct fuzz_input *input)
{
	if (scene->served && scene->flags & SERVED_NO_LISTEN)
		say_version(&scene->clients[0]);
	for (unsigned int i = 0; input->left && i < MAX_STEPS; i++) {
		uint8_t what = fuzz_u8(input);

		steps[what % 8](scene, &scene->clients[what / 8 % NR_CLIENTS], input);
		turn(scene);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct scene scene;
	struct fuzz_input input = { data, size };

	fuzz_begin();
	make_dir();
	scene = (struct scene){ 0 };
	for (unsigned int i = 0; i < NR_CLIENTS; i++)
		scene.clients[i].fd = scene.clients[i].twin = -1;
	prepare(&scene, &input);
	open_server(&scene);
	play(&scene, &input);
	for (unsigned int i = 0; i < NR_CLIENTS; i++)
		fuzzclient_close(&scene.clients[i]);
	close_server(&scene);
	fuzz_settle();
	fuzz_end();
	return 0;
}
