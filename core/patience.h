/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * patience: for how long a client may owe us something.
 *
 * Nothing is timed while a client pays promptly. What it owes is looked at in coarse ticks, by one
 * timer that runs only as long as something is owed: no message arms or cancels one, and an idle
 * client wakes nobody.
 */
#ifndef FASTPATH_PATIENCE_H
#define FASTPATH_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "channel.h"
#include "device.h"
#include "ring.h"

/* What a client may owe; see patience.c. */
#define PATIENCE_NR_DEBTS 6

struct debt {
	uint64_t what; /* tells one debt of the kind from the next */
	unsigned int ticks;
};

struct patience {
	uint64_t ns; /* what a client is given; 0: for ever */
	/* Whose: the twin may be closed. */
	const struct channel *channel;
	const struct channel *twin;
	const struct fp_device *dev;
	bool has_version;
	/* It has run out; called once. */
	void (*lost)(struct patience *patience, const char *why);

	struct ring_op timer;
	struct debt debts[PATIENCE_NR_DEBTS];
};

/* For a client that has to say VERSION. */
void patience_open(struct patience *patience);

/* Something is owed now: it will be looked at. Cheap, and nothing when that is so already. */
void patience_begin(struct patience *patience);

/* VERSION has come. */
void patience_has_version(struct patience *patience);

void patience_close(struct patience *patience);

#endif
