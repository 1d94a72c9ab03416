/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * waiting: a client's commands that must not overtake what is in flight, in the order in which they
 * came.
 */
#ifndef FASTPATH_WAITING_H
#define FASTPATH_WAITING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channel.h"
#include "device.h"

/* A copy of a command's message; its fds are its own. */
struct waiting {
	struct waiting *next;
	struct channel_msg msg;
	uint64_t done; /* of a REGION_WRITE_MULTI: so many writes have been made */
	int fds[RING_MAX_FDS];
	uint8_t body[];
};

struct waiting_list {
	struct waiting *first;
	unsigned int nr;
	unsigned int nr_fds;
	size_t bytes;
};

/* Whether a message has to wait: for what is in flight, or for one that waits already. */
bool waiting_is_needed(const struct waiting_list *list, struct fp_device *dev,
		       const struct channel_msg *msg);

/* Puts a copy behind the others, or before them, and takes the fds with it. -ENOMEM. */
int waiting_put(struct waiting_list *list, struct channel_msg *msg, uint64_t done, bool first);

/* Puts one that was taken back before the others: `done` of its writes have been made. */
void waiting_put_back(struct waiting_list *list, struct waiting *waiting, uint64_t done);

/* The first that need not wait any more, taken from the list, for waiting_free(); NULL: none. */
struct waiting *waiting_take(struct waiting_list *list, struct fp_device *dev);
void waiting_free(struct waiting *waiting);

/* So many wait that the client is not to be read any more; so few that it is again. */
bool waiting_is_full(const struct waiting_list *list);
bool waiting_has_room(const struct waiting_list *list);

/* Frees all of them, with their fds. */
void waiting_clear(struct waiting_list *list);

#endif
