/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * allowance: lines in the log about a device's clients: many at once, then one a second, however
 * often a client comes back.
 */
#ifndef FASTPATH_ALLOWANCE_H
#define FASTPATH_ALLOWANCE_H

#include <stdbool.h>
#include <stdint.h>

#define ALLOWANCE_LINES 1024u

/* Zeroed: full. */
struct allowance {
	unsigned int spent;
	uint64_t since_s; /* when the last one was given back */
	bool is_told;	  /* that there are no more */
};

/* Whether there is one for a line about `name`; says so once when there is none. */
bool allowance_take(struct allowance *allowance, const char *name);

#endif
