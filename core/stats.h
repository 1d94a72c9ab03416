/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stats: what a device and its clients have done, counted.
 *
 * Plain numbers with one writer, the device's worker: cheap enough to be always on. Whoever else
 * wants to know asks that thread.
 */
#ifndef FASTPATH_STATS_H
#define FASTPATH_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fastpath.h"
#include "wire.h"

struct stats_region {
	uint64_t reads; /* accesses by message or ioregionfd that ring nothing */
	uint64_t writes;
	uint64_t rings_by_message; /* or ioregionfd */
	uint64_t by_ioregionfd;	   /* of all these */
	uint64_t rings_by_eventfd; /* how often doorbells rang, not how often we were woken */
};

/* Since the device was opened. Nothing but uint64_t: see stats_since(). */
struct stats {
	uint64_t clients;
	uint64_t commands[WIRE_CMD_END]; /* of the client, by number; 0: unknown ones */
	uint64_t answers;		 /* of the client to our own commands */
	uint64_t replies;		 /* to the client, those with errors among them */
	uint64_t errors;		 /* replies that are one */
	uint64_t refused;		 /* messages, whether that was answered or not */
	uint64_t asked;			 /* our own commands */
	uint64_t bytes_in;		 /* of messages, headers included */
	uint64_t bytes_out;
	uint64_t fds_in;
	uint64_t fds_out;
	uint64_t resets;
	uint64_t irqs[FP_NR_IRQS]; /* signalled to the client */
	struct stats_region regions[FP_MAX_REGIONS];
};

static inline bool stats_is_reply(const struct wire_header *hdr)
{
	return (hdr->flags & WIRE_TYPE_MASK) == WIRE_TYPE_REPLY;
}

/* A message has come, with `len` bytes of body. */
static inline void stats_heard(struct stats *stats, const struct wire_header *hdr, size_t len,
			       unsigned int nr_fds)
{
	if (stats_is_reply(hdr))
		stats->answers++;
	else
		stats->commands[hdr->cmd < WIRE_CMD_END ? hdr->cmd : 0]++;
	stats->bytes_in += sizeof(*hdr) + len;
	stats->fds_in += nr_fds;
}

/* A message goes out. */
static inline void stats_said(struct stats *stats, const struct wire_header *hdr, size_t len,
			      unsigned int nr_fds)
{
	if (stats_is_reply(hdr))
		stats->replies++;
	else
		stats->asked++;
	stats->errors += (hdr->flags & WIRE_ERROR) != 0;
	stats->bytes_out += sizeof(*hdr) + len;
	stats->fds_out += nr_fds;
}

/* What was counted since `then`. */
struct stats stats_since(const struct stats *now, const struct stats *then);

#endif
