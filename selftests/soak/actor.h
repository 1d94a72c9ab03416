/* SPDX-License-Identifier: BSD-3-Clause */
/* actor: what one actor has, for its steps. */
#ifndef FASTPATH_SOAK_ACTOR_H
#define FASTPATH_SOAK_ACTOR_H

#include "attached.h"
#include "server.h"
#include "soak.h"

#define AREAS_BYTES (TESTDEV_AREA_A_BYTES + TESTDEV_AREA_B_BYTES)

/* What a testdev has to be. */
struct model {
	uint8_t registers[16];
	uint8_t scratch[TESTDEV_SCRATCH_BYTES];
	uint8_t areas[AREAS_BYTES];
	uint64_t rung[TESTDEV_NR_DOORBELLS];
	uint64_t writes, reads;
};

struct actor {
	struct chance chance;
	struct server server;
	unsigned int at; /* which testdev `attached` is a client of */
	struct attached attached;
	struct model model;    /* of that one */
	struct model kept[2];  /* of both, as the server would find them after a SIGKILL */
	unsigned int idle_fds; /* of a server without clients */
};

/* Fails unless ret is 0. */
void actor_must(int ret, const char *what);

/* The bytes of an area within model->areas. */
uint8_t *model_area(struct model *model, unsigned int area);

/* Waits until all rings have been counted, and checks every value that can be read. */
void actor_check(struct actor *actor);

/* Leaves, waits until the device's state is kept, and comes again. */
void actor_come_again(struct actor *actor);

/* ---- steps: accesses by every road (access.c), the device's life (life.c), DMA (dma.c) ---- */

void step_message(struct actor *actor);
void step_multi(struct actor *actor);
void step_span(struct actor *actor);
void step_ring(struct actor *actor);
void step_miss(struct actor *actor);
void step_area(struct actor *actor);
void step_interrupt(struct actor *actor);

void step_reset(struct actor *actor);
void step_leave(struct actor *actor);
void step_kill(struct actor *actor);
void step_restart(struct actor *actor);
void step_migrate(struct actor *actor);
void step_garbage(struct actor *actor);

void step_dma(struct actor *actor);

#endif
