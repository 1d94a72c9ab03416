/* SPDX-License-Identifier: BSD-3-Clause */
/* access: what a guest does to a testdev. */
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>

#include "actor.h"

#define MAX_BYTES 64u

/* A piece of the memory that reads back: registers or scratch. */
struct piece {
	uint64_t offset;
	uint32_t len;
	uint8_t *model;
};

static struct piece choose(struct actor *actor, uint32_t max)
{
	bool scratch = chance_below(&actor->chance, 4);
	uint32_t size = scratch ? TESTDEV_SCRATCH_BYTES : sizeof(actor->model.registers);
	uint32_t len = 1 + chance_below(&actor->chance, max < size ? max : size);
	uint32_t at = chance_below(&actor->chance, size - len + 1);

	return (struct piece){
		.offset = (scratch ? TESTDEV_SCRATCH : TESTDEV_REGISTERS) + at,
		.len = len,
		.model = (scratch ? actor->model.scratch : actor->model.registers) + at,
	};
}

static void compare(const char *road, const struct piece *piece, const uint8_t *bytes)
{
	for (uint32_t i = 0; i < piece->len; i++)
		if (bytes[i] != piece->model[i])
			soak_fail("by %s, byte %#llx is %#x and not %#x", road,
				  (unsigned long long)piece->offset + i, bytes[i], piece->model[i]);
}

void step_message(struct actor *actor)
{
	struct piece piece = choose(actor, MAX_BYTES);
	unsigned int how = chance_below(&actor->chance, 3);
	struct fpc *client = actor->attached.client;
	uint8_t bytes[MAX_BYTES];

	soak_step("message: %s %#llx+%u", ((const char *[]){ "read", "write", "post" })[how],
		  (unsigned long long)piece.offset, piece.len);
	if (!how) {
		actor_must(fpc_region_read(client, FP_BAR2, piece.offset, bytes, piece.len),
			   "REGION_READ");
		compare("message", &piece, bytes);
		actor->model.reads++;
		return;
	}
	chance_bytes(&actor->chance, piece.model, piece.len);
	actor_must((how == 1 ? fpc_region_write : fpc_region_post)(client, FP_BAR2, piece.offset,
								   piece.model, piece.len),
		   "REGION_WRITE");
	actor->model.writes++;
}

void step_multi(struct actor *actor)
{
	struct fpc_write writes[32];
	unsigned int nr = 1 + chance_below(&actor->chance, 32);
	size_t done;

	soak_step("multi: %u", nr);
	for (unsigned int i = 0; i < nr; i++) {
		struct piece piece = choose(actor, 8);

		chance_bytes(&actor->chance, piece.model, piece.len);
		writes[i] = (struct fpc_write){
			.offset = piece.offset,
			.region = FP_BAR2,
			.count = piece.len,
		};
		memcpy(&writes[i].data, piece.model, piece.len);
	}
	actor_must(fpc_region_write_multi(actor->attached.client, writes, nr, &done),
		   "REGION_WRITE_MULTI");
	if (done != nr)
		soak_fail("REGION_WRITE_MULTI did %zu of %u", done, nr);
	actor->model.writes += nr;
}

static void span_read(struct actor *actor, unsigned int span, uint32_t at, uint32_t len)
{
	uint32_t start = span * (TESTDEV_POSTED - TESTDEV_SCRATCH);
	struct piece piece = {
		.offset = TESTDEV_SCRATCH + start + at,
		.len = len,
		.model = actor->model.scratch + start + at,
	};
	uint8_t bytes[8];

	actor_must(standin_read(actor->attached.standins[span], actor->attached.spans[span], at,
				bytes, len),
		   "a read by ioregionfd");
	actor->model.reads++;
	compare("ioregionfd", &piece, bytes);
}

/* What was posted by message has been done: there is no order between that and another road. */
static void settle_posts(struct actor *actor)
{
	uint32_t magic;

	actor_must(fpc_region_read(actor->attached.client, FP_BAR2, 0, &magic, sizeof(magic)),
		   "REGION_READ");
}

/* Runs of accesses: writes of the second span are posted, and a read ends each run. */
void step_span(struct actor *actor)
{
	unsigned int span = chance_below(&actor->chance, TESTDEV_NR_SPANS);
	unsigned int nr = 1 + chance_below(&actor->chance, 20);
	uint32_t start = span * (TESTDEV_POSTED - TESTDEV_SCRATCH);
	uint32_t len = 1, at = 0;

	soak_step("ioregionfd: %u accesses of span %u", nr, span);
	settle_posts(actor);
	while (nr--) {
		len = 1u << chance_below(&actor->chance, 4);
		at = chance_below(&actor->chance, TESTDEV_POSTED - TESTDEV_SCRATCH - len + 1);
		if (!chance_below(&actor->chance, 3)) {
			span_read(actor, span, at, len);
			continue;
		}
		chance_bytes(&actor->chance, actor->model.scratch + start + at, len);
		actor_must(standin_write(actor->attached.standins[span],
					 actor->attached.spans[span], at,
					 actor->model.scratch + start + at, len),
			   "a write by ioregionfd");
		actor->model.writes++;
	}
	span_read(actor, span, at, len);
}

void step_ring(struct actor *actor)
{
	unsigned int number = chance_below(&actor->chance, TESTDEV_NR_DOORBELLS);
	const struct fp_doorbell *bell = &testdev_doorbells[number];
	uint64_t value = bell->nr_values ? bell->values[0] : chance_next(&actor->chance);
	uint32_t width = bell->width ? bell->width : 1u << chance_below(&actor->chance, 4);
	uint64_t times = 1;

	if (chance_below(&actor->chance, 3)) {
		times += chance_below(&actor->chance, 5);
		soak_step("ring: doorbell %u, %llu times, by eventfd", number,
			  (unsigned long long)times);
		actor_must(eventfd_write(actor->attached.bells[number], times), "an eventfd");
	} else {
		soak_step("ring: doorbell %u, by message", number);
		actor_must(fpc_region_write(actor->attached.client, FP_BAR2, bell->offset, &value,
					    width),
			   "a ring by message");
	}
	actor->model.rung[number] += times;
	actor->model.writes += times;
}

/* A store at a doorbell that is not one of its own. */
void step_miss(struct actor *actor)
{
	uint64_t value = 0x77;

	soak_step("miss: a doorbell with another value, and one with another width");
	actor_must(fpc_region_write(actor->attached.client, FP_BAR2,
				    testdev_doorbells[TESTDEV_MATCH_A].offset, &value, 4),
		   "REGION_WRITE");
	actor_must(fpc_region_write(actor->attached.client, FP_BAR2,
				    testdev_doorbells[TESTDEV_FIXED_4].offset, &value, 2),
		   "REGION_WRITE");
	actor->model.writes += 2;
}

void step_area(struct actor *actor)
{
	unsigned int area = chance_below(&actor->chance, NR_AREAS);
	uint32_t len = 1 + chance_below(&actor->chance, 256);
	uint32_t at = chance_below(&actor->chance, (uint32_t)attached_areas[area].size - len + 1);
	uint8_t *model = model_area(&actor->model, area) + at;
	uint8_t bytes[256];

	soak_step("area %u: %#x+%u", area, at, len);
	chance_bytes(&actor->chance, model, len);
	memcpy((uint8_t *)fpc_mapping_bytes(actor->attached.areas[area]) + at, model, len);
	actor_must(fpc_region_read(actor->attached.client, FP_BAR3,
				   attached_areas[area].offset + at, bytes, len),
		   "REGION_READ of mapped memory");
	if (memcmp(bytes, model, len) != 0)
		soak_fail("what was stored to mapped memory is not what a message reads");
}

/* How often the vector's eventfd was signalled; it has been, if it has to be, before an answer. */
static uint64_t signals(struct actor *actor, unsigned int vector)
{
	eventfd_t count = 0;
	uint32_t magic;

	actor_must(fpc_region_read(actor->attached.client, FP_BAR2, 0, &magic, 4), "REGION_READ");
	if (eventfd_read(actor->attached.vectors[vector], &count))
		return 0;
	return count;
}

static void mask(struct actor *actor, uint32_t action, unsigned int vector)
{
	actor_must(fpc_set_irqs(actor->attached.client, FPC_IRQ_DATA_NONE | action, FP_MSIX, vector,
				1, NULL),
		   "DEVICE_SET_IRQS");
}

void step_interrupt(struct actor *actor)
{
	uint32_t vector = chance_below(&actor->chance, TESTDEV_VECTORS);
	bool masked = chance_below(&actor->chance, 3) == 0;
	uint64_t nr = 1 + chance_below(&actor->chance, 4), seen;

	soak_step("interrupt: vector %u %llu times%s", vector, (unsigned long long)nr,
		  masked ? ", masked" : "");
	if (masked)
		mask(actor, FPC_IRQ_ACTION_MASK, vector);
	for (uint64_t i = 0; i < nr; i++)
		actor_must(fpc_region_write(actor->attached.client, FP_BAR2,
					    offsetof(struct testdev_counters, trigger), &vector, 4),
			   "a trigger");
	seen = signals(actor, vector);
	if (seen != (masked ? 0 : nr))
		soak_fail("vector %u was signalled %llu times", vector, (unsigned long long)seen);
	if (!masked)
		return;
	mask(actor, FPC_IRQ_ACTION_UNMASK, vector);
	seen = signals(actor, vector);
	if (seen != 1)
		soak_fail("vector %u, unmasked, was signalled %llu times", vector,
			  (unsigned long long)seen);
}
