/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * allowance: lines in the log about a device's clients: many at once, then one a second, however
 * often a client comes back.
 */
#ifndef FASTPATH_ALLOWANCE_H
#define FASTPATH_ALLOWANCE_H

#include <stdbool.h>
#include <stdint.h>

#include "log.h"

#define ALLOWANCE_LINES 1024u

/* Zeroed: full. */
struct allowance {
	unsigned int spent;
	uint64_t since_s; /* when the last one was given back */
	bool is_told;	  /* that there are no more */
};

/* Whether there is one for a line about `name`; says so once when there is none. */
bool allowance_take(struct allowance *allowance, const char *name);

/* The same for a line of `level`: there is none, and none is spent, while those are not printed. */
bool allowance_take_at(struct allowance *allowance, const char *name, enum log_level level);

#endif
