/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz target session: clients that come to a device, one after the other, and do as they like.
 *
 * The input is a list of steps; corpus/session/names has their layout. After each step the server
 * gets a few turns, and what it says is checked: see fuzzclient. At the end all that is owed has to
 * have come, unless the connection is over, and no fd may be left.
 */
#include "session.h"

#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "fuzzclient.h"
#include "fuzzdev.h"

#define MAX_STEPS 256
#define STEP_BIT 0x80 /* in the first: all of it on the other ring */
#define MAX_BIG 80u   /* units of 16 KiB: beyond the largest message */
#define LAST_ROUNDS 400
#define HURRY_NS 20000
#define LAST_WAIT_NS 10000000

struct scene {
	struct fp_device *dev;
	struct session *session; /* NULL: none */
	struct fuzzclient client;
	unsigned int held; /* so many steps before the server gets a turn */
};

/* ---- connections ---- */

static void ended(void *opaque)
{
	struct scene *scene = opaque;

	fuzz_check(scene->client.may_end || !scene->client.negotiated,
		   "a server that was given no reason does not hang up");
	scene->session = NULL;
}

static void turn(struct scene *scene)
{
	fuzz_settle();
	fuzzclient_receive(&scene->client);
}

/* Whoever is there leaves, and is seen to. */
static void disconnect(struct scene *scene)
{
	fuzzclient_close(&scene->client);
	for (unsigned int i = 0; scene->session && i < 4; i++)
		fuzz_settle();
	if (!scene->session)
		return;
	session_is_leaving(scene->session);
	session_close(scene->session); /* it waits for the device */
	scene->session = NULL;
}

enum {
	CONNECT_SPEC = 1 << 0,
	CONNECT_HURRY = 1 << 1, /* the client has hardly any time */
};

static void do_connect(struct scene *scene, struct fuzz_input *input)
{
	uint8_t how = fuzz_u8(input);
	struct session_options options = {
		.io_fds = how & CONNECT_SPEC ? COMMAND_IO_FDS_SPEC : COMMAND_IO_FDS_DEPLOYED,
		.client_timeout_ns = how & CONNECT_HURRY ? HURRY_NS : 0,
		.ended = ended,
		.opaque = scene,
	};
	int pair[2];

	disconnect(scene);
	fuzz_check(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "there are sockets");
	fuzzclient_open(&scene->client, pair[0]);
	scene->client.may_end = how & CONNECT_HURRY;
	fuzz_check(!session_open(scene->dev, pair[1], &options, &scene->session),
		   "a session can be opened");
}

static void do_disconnect(struct scene *scene, struct fuzz_input *input)
{
	(void)input;
	disconnect(scene);
}

static void do_shutdown(struct scene *scene, struct fuzz_input *input)
{
	scene->client.may_end = true;
	if (scene->client.fd >= 0)
		shutdown(scene->client.fd, fuzz_u8(input) & 1 ? SHUT_RD : SHUT_WR);
}

/* ---- what is sent ---- */

static void do_bytes(struct scene *scene, struct fuzz_input *input)
{
	struct fuzz_input bytes = fuzz_bytes(input);

	fuzzclient_send(&scene->client, bytes.at, bytes.left);
}

static void do_command(struct scene *scene, struct fuzz_input *input)
{
	uint8_t cmd = fuzz_u8(input);
	uint8_t flags = fuzz_u8(input);
	struct fuzz_input body = fuzz_bytes(input);

	fuzzclient_command(&scene->client, cmd, flags, body.at, body.left, 0);
}

static void do_big(struct scene *scene, struct fuzz_input *input)
{
	uint8_t cmd = fuzz_u8(input);
	size_t zeros = (fuzz_u8(input) % (MAX_BIG + 1)) * 16384;
	struct fuzz_input body = fuzz_bytes(input);

	fuzzclient_command(&scene->client, cmd, 0, body.at, body.left, zeros);
}

static const char *const json[] = {
	"{\"capabilities\":{\"max_msg_fds\":16}}",
	"{\"capabilities\":{\"max_msg_fds\":16,\"twin_socket\":{\"supported\":true}}}",
	"{\"capabilities\":{\"max_msg_fds\":2,\"max_data_xfer_size\":100}}",
	"{\"capabilities\":{\"max_msg_fds\":0,\"twin_socket\":{\"supported\":true}}}",
};

static void do_version(struct scene *scene, struct fuzz_input *input)
{
	const char *text = json[fuzz_u8(input) % (sizeof(json) / sizeof(*json))];
	struct wire_version version = { WIRE_MAJOR, WIRE_MINOR };
	uint8_t body[128];

	memcpy(body, &version, sizeof(version));
	memcpy(body + sizeof(version), text, strlen(text) + 1);
	fuzzclient_command(&scene->client, WIRE_VERSION, 0, body,
			   sizeof(version) + strlen(text) + 1, 0);
}

static struct wire_region_access read_access(struct fuzz_input *input)
{
	struct wire_region_access access = { .region = fuzz_u8(input) };

	access.offset = fuzz_u16(input);
	access.count = fuzz_u8(input);
	return access;
}

static void do_write(struct scene *scene, struct fuzz_input *input)
{
	uint8_t body[sizeof(struct wire_region_access) + sizeof(uint64_t)];
	struct wire_region_access access = read_access(input);
	uint64_t value = fuzz_u64(input);

	access.count %= sizeof(value) + 1;
	memcpy(body, &access, sizeof(access));
	memcpy(body + sizeof(access), &value, sizeof(value));
	fuzzclient_command(&scene->client, WIRE_REGION_WRITE, 0, body,
			   sizeof(access) + access.count, 0);
}

static void do_read(struct scene *scene, struct fuzz_input *input)
{
	struct wire_region_access access = read_access(input);

	fuzzclient_command(&scene->client, WIRE_REGION_READ, 0, &access, sizeof(access), 0);
}

static void do_fd(struct scene *scene, struct fuzz_input *input)
{
	struct fuzzclient *client = &scene->client;
	int fd = fuzz_fd(fuzz_u8(input));

	if (client->nr_fds < FUZZCLIENT_MAX_FDS)
		client->fds[client->nr_fds++] = fd;
}

static void do_split(struct scene *scene, struct fuzz_input *input)
{
	scene->client.piece = fuzz_u8(input);
}

static void do_hold(struct scene *scene, struct fuzz_input *input)
{
	scene->held = fuzz_u8(input) % 64 + 1;
}

static void do_deaf(struct scene *scene, struct fuzz_input *input)
{
	scene->client.is_deaf = fuzz_u8(input) & 1;
}

/* ---- the server's commands, doorbells, the device ---- */

static void do_answer(struct scene *scene, struct fuzz_input *input)
{
	fuzzclient_answer(&scene->client, fuzz_u8(input) % FUZZCLIENT_ANSWERS);
}

static void do_twin_bytes(struct scene *scene, struct fuzz_input *input)
{
	struct fuzz_input bytes = fuzz_bytes(input);

	if (scene->client.twin < 0 || !bytes.left)
		return;
	scene->client.may_end = true;
	scene->client.twin_is_broken = true;
	if (send(scene->client.twin, bytes.at, bytes.left, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return;
}

static void do_twin_hangs_up(struct scene *scene, struct fuzz_input *input)
{
	(void)input;
	if (scene->client.twin < 0)
		return;
	scene->client.may_end = true;
	close(scene->client.twin);
	scene->client.twin = -1;
}

static void do_ring(struct scene *scene, struct fuzz_input *input)
{
	uint8_t which = fuzz_u8(input);
	uint8_t times = fuzz_u8(input);

	if (scene->client.nr_rings)
		eventfd_write(scene->client.rings[which % scene->client.nr_rings], times);
}

static void do_packet(struct scene *scene, struct fuzz_input *input)
{
	uint8_t which = fuzz_u8(input);
	struct fuzz_input bytes = fuzz_bytes(input);

	fuzzclient_order(&scene->client, which, bytes.at, bytes.left);
}

/* As KVM would send it. */
static void do_order(struct scene *scene, struct fuzz_input *input)
{
	uint8_t which = fuzz_u8(input);
	struct wire_ioregion_cmd cmd = { .cmd = fuzz_u8(input), .size_resp = fuzz_u8(input) };

	cmd.user_data = fuzz_u8(input);
	cmd.offset = fuzz_u16(input);
	cmd.data = fuzz_u64(input);
	fuzzclient_order(&scene->client, which, &cmd, sizeof(cmd));
}

static void do_finish(struct scene *scene, struct fuzz_input *input)
{
	uint8_t which = fuzz_u8(input);
	uint8_t error = fuzz_u8(input);

	fuzzdev_finish(scene->dev, which, -(int)error);
}

static void do_reset_done(struct scene *scene, struct fuzz_input *input)
{
	(void)input;
	fp_reset_done(scene->dev);
}

static void do_cut(struct scene *scene, struct fuzz_input *input)
{
	(void)scene;
	fuzz_cut_file(fuzz_u8(input) % 17);
}

typedef void step_fn(struct scene *scene, struct fuzz_input *input);

/* A turn for the server. Number 0, as what is not there reads as 0. */
static void do_nothing(struct scene *scene, struct fuzz_input *input)
{
	(void)scene;
	(void)input;
}

static step_fn *const steps[] = {
	do_nothing,	  do_bytes,   do_command, do_fd,	 do_split,
	do_hold,	  do_answer,  do_ring,	  do_disconnect, do_shutdown,
	do_finish,	  do_big,     do_deaf,	  do_reset_done, do_twin_bytes,
	do_twin_hangs_up, do_version, do_write,	  do_read,	 do_connect,
	do_cut,		  do_packet,  do_order,
};

/* ---- the end ---- */

static void refuse_asked(struct scene *scene)
{
	while (fuzzclient_answer(&scene->client, FUZZCLIENT_ERROR))
		;
}

/* All that the client or the device owes is given; then the server has to owe nothing. */
static void settle_accounts(struct scene *scene)
{
	struct fuzzclient *client = &scene->client;

	client->is_deaf = false;
	for (unsigned int i = 0; i < LAST_ROUNDS; i++) {
		refuse_asked(scene);
		fuzzdev_finish_all(scene->dev);
		turn(scene);
		if (!client->nr_owed && !client->nr_asked)
			break;
		/* It has asked, and is in the middle of a message that never ends. */
		if (client->nr_asked && client->twin < 0 && client->sent_len)
			break;
		if (i > LAST_ROUNDS / 2)
			ring_turn(fuzz_ring(), LAST_WAIT_NS);
	}
	if (scene->session && !client->nr_asked && !client->twin_is_broken)
		fuzz_check(!client->nr_owed, "%s, number %u, was answered",
			   wire_cmd_name(client->owed[0].cmd), client->owed[0].msg_id);
}

static void play(struct scene *scene, struct fuzz_input *input)
{
	for (unsigned int i = 0; input->left && i < MAX_STEPS; i++) {
		steps[fuzz_u8(input) % STEP_BIT % (sizeof(steps) / sizeof(*steps))](scene, input);
		if (scene->held)
			scene->held--;
		else
			turn(scene);
	}
	if (scene->client.fd >= 0)
		settle_accounts(scene);
	disconnect(scene);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	struct scene scene = { .client = { .fd = -1, .twin = -1 } };

	fuzz_begin();
	fuzz_use_ring(size && data[0] & STEP_BIT);
	scene.dev = fuzzdev_open();
	play(&scene, &input);
	device_close(scene.dev);
	fuzz_settle();
	fuzz_end();
	return 0;
}
