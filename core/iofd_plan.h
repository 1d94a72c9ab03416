/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * iofd_plan: what a client is told of a region's io fds, worked out before there are any.
 *
 * Doorbells are ioeventfd entries, one for each value that has to be told from others, or shadow ones; spans are ioregionfd entries, cut up around the
 * doorbells that lie in them, so that no two entries share a byte. What doesn't fit into the answer is
 * left out: a client reaches it by message.
 */
#ifndef FASTPATH_IOFD_PLAN_H
#define FASTPATH_IOFD_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "fastpath.h"
#include "ring.h"
#include "wire.h"

/* So many entries of a region a client is told of; KVM takes about as many. */
#define IOFD_MAX_TOLD 1024u

/* What kind of client it is for. */
struct iofd_client {
	uint32_t max_fds; /* in one message */
	bool shadow;	  /* its kernel stores values, and the layout has room to say where */
};

enum iofd_kind {
	IOFD_EVENTFD,
	IOFD_SOCKET,
	IOFD_MEMORY, /* where values are stored: a slot of 8 bytes for each shadow doorbell */
};

/* One fd of the answer. */
struct iofd_planned {
	enum iofd_kind kind;
	uint32_t group;			    /* as the class has it; 0: of one doorbell or span */
	const struct fp_doorbell *doorbell; /* that an eventfd is heard as */
	uint64_t value;			    /* that rings it, if the doorbell has some */
	uint32_t slot;			    /* of its value in the memory */
};

struct iofd_plan {
	/* As they are told; an ioregionfd's user_data is the number of its entry. */
	struct wire_io_fd_deployed *entries;
	uint32_t nr_entries;
	struct iofd_planned fds[RING_MAX_FDS]; /* by the entries' fd_index */
	uint32_t nr_fds;
	uint32_t nr_slots;
};

/* The most entries that a plan of the region has for any client. */
uint32_t iofd_plan_most(const struct fp_region *region);

/* -ENOMEM. */
int iofd_plan_make(const struct fp_region *region, const struct iofd_client *client,
		   struct iofd_plan *plan);
void iofd_plan_free(struct iofd_plan *plan);

#endif
