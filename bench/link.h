/* SPDX-License-Identifier: BSD-3-Clause */
/* link: a connection to one vfio-user server, by our client or by plain send() and recv(). */
#ifndef BENCH_LINK_H
#define BENCH_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "fastpath-client.h"

struct link;

/* What is accessed, and how. */
struct link_access {
	uint32_t region;
	uint32_t size; /* bytes, 8 at most */
	uint64_t offset;
	unsigned int
		read_percent; /* of a stream: so many are reads, evenly spread; the rest writes */
	bool posted;	      /* writes with NO_REPLY */
};

#define LINK_MAX_DEPTH 1024u

struct link_kind {
	const char *name; /* as --client has it */
	const char *what; /* a few words */

	/* Takes the connected socket `fd`, also on failure. *out is to be given to close(). */
	int (*open)(int fd, const struct fpc_wait *wait, struct link **out);
	void (*close)(struct link *link);

	/* One access and its answer; `data` has `size` bytes. */
	int (*read)(struct link *link, const struct link_access *access, void *data);
	int (*write)(struct link *link, const struct link_access *access, const void *data);

	/*
	 * `count` accesses, of which `depth` at most are without an answer at any time; returns when
	 * all are answered. Of posted ones `depth` leave together, and a read behind them, which is
	 * answered, tells when the server has seen all: one more access.
	 */
	int (*stream)(struct link *link, const struct link_access *access, unsigned int count,
		      unsigned int depth);
};

/* "fastpath" or "bare"; NULL: there is no such kind. */
const struct link_kind *link_kind(const char *name);

extern const struct link_kind link_fastpath;
extern const struct link_kind link_bare;

/* Whether access `i` of a stream is a read. */
static inline bool link_is_read(const struct link_access *access, unsigned int i)
{
	uint64_t percent = access->read_percent;

	return (i + 1) * percent / 100 != i * percent / 100;
}

#endif
