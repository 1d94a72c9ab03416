/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * soak: a fastpathd that is used, moved, reset and killed at random, against a model that knows what
 * every value has to be. What can't be ends the program with the steps that led there.
 */
#ifndef FASTPATH_SOAK_H
#define FASTPATH_SOAK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- chance: the same numbers for the same seed ---- */

struct chance {
	uint64_t state;
};

uint64_t chance_next(struct chance *chance);

/* 0 to n - 1; n is not 0. */
uint32_t chance_below(struct chance *chance, uint32_t n);

void chance_bytes(struct chance *chance, void *to, size_t len);

/* ---- steps ---- */

/* Remembers what is about to be done, for soak_fail(). */
void soak_step(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Says what is wrong, and the last steps; ends the program. */
void soak_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* ---- an actor ---- */

struct actor;

/* A server of its own and a client at one of its devices. `dir` is where their files go. */
struct actor *actor_start(uint64_t seed, const char *dir);

/* One thing at random, and whether it came out as the model has it. */
void actor_act(struct actor *actor);

/* Ends the server, which has to end well. */
void actor_end(struct actor *actor);

#endif
