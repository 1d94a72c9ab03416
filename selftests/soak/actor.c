/* SPDX-License-Identifier: BSD-3-Clause */
#include "actor.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DEADLINE_S 30

void actor_must(int ret, const char *what)
{
	if (ret)
		soak_fail("%s: %s", what, ret < 0 ? strerror(-ret) : "not so");
}

uint8_t *model_area(struct model *model, unsigned int area)
{
	return model->areas + (area ? TESTDEV_AREA_A_BYTES : 0);
}

/* ---- checks ---- */

/* Rings by eventfd arrive when they do: never more than were made, and in the end all. */
static void check_counters(struct actor *actor)
{
	const struct model *model = &actor->model;
	time_t end = time(NULL) + DEADLINE_S;
	struct testdev_counters seen;
	bool all;

	do {
		actor_must(fpc_region_read(actor->attached.client, FP_BAR2, 0, &seen, sizeof(seen)),
			   "the counters");
		all = seen.writes == model->writes && seen.reads == model->reads;
		for (unsigned int i = 0; i < TESTDEV_NR_DOORBELLS; i++) {
			all &= seen.rung[i] == model->rung[i];
			if (seen.rung[i] > model->rung[i])
				soak_fail("doorbell %u rang %llu times, not %llu", i,
					  (unsigned long long)seen.rung[i],
					  (unsigned long long)model->rung[i]);
		}
	} while (!all && time(NULL) < end);
	for (unsigned int i = 0; i < TESTDEV_NR_DOORBELLS && !all; i++)
		if (seen.rung[i] != model->rung[i])
			soak_fail("doorbell %u rang %llu times, not %llu", i,
				  (unsigned long long)seen.rung[i],
				  (unsigned long long)model->rung[i]);
	if (!all)
		soak_fail("%llu writes and %llu reads were counted, not %llu and %llu",
			  (unsigned long long)seen.writes, (unsigned long long)seen.reads,
			  (unsigned long long)model->writes, (unsigned long long)model->reads);
}

static uint64_t sum(const struct model *model)
{
	uint64_t total = 0;
	uint32_t word;

	for (unsigned int at = 0; at < AREAS_BYTES; at += sizeof(word)) {
		memcpy(&word, model->areas + at, sizeof(word));
		total += word;
	}
	return total;
}

static void check_memory(struct actor *actor)
{
	struct fpc *client = actor->attached.client;
	struct model *model = &actor->model;
	uint8_t bytes[TESTDEV_SCRATCH_BYTES];
	uint64_t seen;

	actor_must(fpc_region_read(client, FP_BAR2, TESTDEV_REGISTERS, bytes, 16), "registers");
	if (memcmp(bytes, model->registers, 16) != 0)
		soak_fail("the registers are not what was written");
	actor_must(fpc_region_read(client, FP_BAR2, TESTDEV_SCRATCH, bytes, sizeof(bytes)),
		   "scratch memory");
	if (memcmp(bytes, model->scratch, sizeof(bytes)) != 0)
		soak_fail("the scratch memory is not what was written");
	model->reads += 2;
	for (unsigned int i = 0; i < NR_AREAS; i++)
		if (memcmp(fpc_mapping_bytes(actor->attached.areas[i]), model_area(model, i),
			   attached_areas[i].size) != 0)
			soak_fail("area %u is not what was stored", i);
	actor_must(fpc_region_read(client, FP_BAR3, 0, &seen, 8), "the sum");
	if (seen != sum(model))
		soak_fail("the device sees other memory than was stored");
}

void actor_check(struct actor *actor)
{
	soak_step("check");
	check_memory(actor);
	check_counters(actor);
}

/* ---- coming and going ---- */

/* A server without clients has what it had at first: nothing stays of those that were there. */
static void check_fds(struct actor *actor)
{
	time_t end = time(NULL) + DEADLINE_S;
	unsigned int nr;

	while ((nr = server_count_fds(&actor->server)) > actor->idle_fds && time(NULL) < end)
		usleep(1000);
	if (nr > actor->idle_fds)
		soak_fail("the server without clients has %u fds, and not %u", nr, actor->idle_fds);
}

void actor_come_again(struct actor *actor)
{
	detach(&actor->attached);
	check_fds(actor);
	/* Who is let in comes after the device was kept. */
	attach(&actor->attached, &actor->server, actor->at);
	actor->kept[actor->at] = actor->model;
}

struct actor *actor_start(uint64_t seed, const char *dir)
{
	struct actor *actor = calloc(1, sizeof(*actor));

	if (!actor)
		soak_fail("no memory");
	actor->chance.state = seed * 0x9e3779b97f4a7c15ull | 1;
	server_start(&actor->server, dir);
	for (unsigned int i = 0; i < SERVER_DEVICES; i++) /* all are ready, and one is idle */
		fpc_close(server_connect(&actor->server, i));
	fpc_close(server_connect(&actor->server, 0));
	usleep(100000);
	actor->idle_fds = server_count_fds(&actor->server);
	attach(&actor->attached, &actor->server, actor->at);
	return actor;
}

void actor_end(struct actor *actor)
{
	actor_check(actor);
	detach(&actor->attached);
	server_end(&actor->server);
	free(actor);
}

/* ---- chance ---- */

static const struct {
	unsigned int weight;
	void (*step)(struct actor *actor);
} steps[] = {
	{ 60, step_message }, { 15, step_multi },  { 40, step_span },	   { 60, step_ring },
	{ 5, step_miss },     { 20, step_area },   { 15, step_interrupt }, { 10, actor_check },
	{ 4, step_reset },    { 4, step_leave },   { 1, step_kill },	   { 1, step_restart },
	{ 3, step_migrate },  { 4, step_garbage }, { 6, step_dma },
};

void actor_act(struct actor *actor)
{
	unsigned int sum_of_weights = 0, at;

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++)
		sum_of_weights += steps[i].weight;
	at = chance_below(&actor->chance, sum_of_weights);
	for (size_t i = 0;; i++) {
		if (at < steps[i].weight) {
			steps[i].step(actor);
			return;
		}
		at -= steps[i].weight;
	}
}
