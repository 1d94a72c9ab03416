/* SPDX-License-Identifier: BSD-3-Clause */
/* life: resets, clients that come and go, servers that end, devices that move. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actor.h"
#include "wire.h"

#define STREAM_BYTES (1u << 20)

/* What rang before it is counted before it, and gone with the rest. */
void step_reset(struct actor *actor)
{
	soak_step("reset");
	actor_must(fpc_reset(actor->attached.client), "DEVICE_RESET");
	actor->model = (struct model){ 0 };
	actor_check(actor);
}

void step_leave(struct actor *actor)
{
	actor_check(actor);
	soak_step("leave, and come again");
	actor_come_again(actor);
	actor_check(actor);
}

/* What is there afterwards is what was kept last. */
void step_kill(struct actor *actor)
{
	char dir[sizeof(actor->server.dir)];

	soak_step("kill the server");
	server_kill(&actor->server);
	detach(&actor->attached);
	memcpy(dir, actor->server.dir, sizeof(dir));
	server_start(&actor->server, dir);
	attach(&actor->attached, &actor->server, actor->at);
	actor->model = actor->kept[actor->at];
	actor_check(actor);
}

void step_restart(struct actor *actor)
{
	char dir[sizeof(actor->server.dir)];

	actor_check(actor);
	soak_step("end the server, start it again");
	server_end(&actor->server);
	detach(&actor->attached);
	memcpy(dir, actor->server.dir, sizeof(dir));
	server_start(&actor->server, dir);
	attach(&actor->attached, &actor->server, actor->at);
	actor->kept[actor->at] = actor->model;
	actor_check(actor);
}

/* ---- migration ---- */

static size_t drain(struct fpc *from, uint8_t *stream, size_t room)
{
	ssize_t len = fpc_migration_read(from, stream, room);

	if (len < 0 || (size_t)len == room)
		soak_fail("MIG_DATA_READ: %zd", len);
	return (size_t)len;
}

/* What is rung until the device stands goes along. */
static size_t take(struct actor *actor, uint8_t *stream)
{
	struct fpc *from = actor->attached.client;
	size_t len = 0;

	if (chance_below(&actor->chance, 2)) {
		actor_must(fpc_migration_set_state(from, FPC_MIG_PRE_COPY), "PRE_COPY");
		len = drain(from, stream, STREAM_BYTES);
		step_ring(actor);
		step_message(actor);
	}
	step_ring(actor);
	actor_must(fpc_migration_set_state(from, FPC_MIG_STOP_COPY), "STOP_COPY");
	return len + drain(from, stream + len, STREAM_BYTES - len);
}

void step_migrate(struct actor *actor)
{
	unsigned int there = !actor->at;
	uint8_t *stream = malloc(STREAM_BYTES);
	struct fpc *to;
	size_t len;

	if (!stream)
		soak_fail("no memory");
	soak_step("migrate to device %u", there);
	len = take(actor, stream);
	to = server_connect(&actor->server, there);
	actor_must(fpc_migration_set_state(to, FPC_MIG_RESUMING), "RESUMING");
	actor_must(fpc_migration_write(to, stream, len), "MIG_DATA_WRITE");
	actor_must(fpc_migration_set_state(to, FPC_MIG_RUNNING), "RUNNING");
	free(stream);
	fpc_close(to);
	/* The source is as good as new, and kept so. */
	actor_must(fpc_reset(actor->attached.client), "DEVICE_RESET of the source");
	detach(&actor->attached);
	fpc_close(server_connect(&actor->server, actor->at));
	actor->kept[actor->at] = (struct model){ 0 };
	actor->at = there;
	attach(&actor->attached, &actor->server, there);
	actor->kept[there] = actor->model;
	actor_check(actor);
}

/* ---- others who connect ---- */

/* To the device that is free, and to the one that is not. Neither is a reason to end. */
void step_garbage(struct actor *actor)
{
	unsigned int device = chance_below(&actor->chance, 2);
	size_t len = 1 + chance_below(&actor->chance, 4096);
	struct wire_header *head;
	uint8_t bytes[4096];
	int fd;

	soak_step("garbage: %zu bytes to device %u", len, device);
	chance_bytes(&actor->chance, bytes, sizeof(bytes));
	head = (struct wire_header *)bytes;
	if (chance_below(&actor->chance, 2)) /* it looks like something at first */
		*head = (struct wire_header){
			.cmd = (uint16_t)chance_below(&actor->chance, 20),
			.msg_size = 16 + chance_below(&actor->chance, 4096),
		};
	fd = server_connect_raw(&actor->server, device);
	if (write(fd, bytes, len) < 0)
		soak_step("  it had hung up already");
	close(fd);
}
