/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bus: guest address -> who answers.
 *
 * Ranges and handlers belong to one thread, and need no locks. When several vCPUs run, each on a
 * thread of its own, bus_share() gives the bus a relay to that one thread: it looks up and answers
 * what the others access. Only what a range can do on any thread (`try_read`, `try_write`) is done
 * where the access is made; a read-write lock has bus_remove() wait for those who are at it.
 */
#ifndef KVMFD_BUS_H
#define KVMFD_BUS_H

#include <stdint.h>

#include "histogram.h"

struct bus;
struct relay;

enum bus_space {
	BUS_MMIO,
	BUS_PIO,
	BUS_NR_SPACES
};

/* What a handler returns to make vcpu_run() return: the guest stops, or that vCPU alone. */
#define BUS_STOP 1
#define BUS_LEAVE 2

/*
 * `offset` counts from the range's start; `len` is 1 to 8 bytes and all of them lie within the
 * range. 0, BUS_STOP or BUS_LEAVE: a guest's access can't fail, so a handler deals with its own errors. -errno
 * only when the guest can't go on; it has been said to the log then.
 *
 * The other two may be NULL. They are called first, on the thread that accesses, and several at a
 * time; -ENOTCONN: nothing was done, the one above has to do it. They must not change the bus, nor
 * wait for the thread that does.
 */
struct bus_ops {
	int (*read)(void *opaque, uint64_t offset, void *data, uint32_t len);
	int (*write)(void *opaque, uint64_t offset, const void *data, uint32_t len);
	const char *name; /* whose they are, for statistics; NULL: nobody's in particular */
	int (*try_read)(void *opaque, uint64_t offset, void *data, uint32_t len);
	int (*try_write)(void *opaque, uint64_t offset, const void *data, uint32_t len);
};

struct bus_range {
	enum bus_space space;
	uint64_t base;
	uint64_t size; /* bytes */
	const struct bus_ops *ops;
	void *opaque;
};

/* How long a range's handler took, in ns, for each access; wherever the range was. */
struct bus_times {
	const struct bus_ops *ops;
	const void *opaque;
	struct histogram reads;
	struct histogram writes;
	struct bus_times *next;
};

/* Accesses that nobody answered: reads gave all ones, writes were dropped. */
struct bus_stats {
	uint64_t stray_reads;
	uint64_t stray_writes;
};

/* *out is to be given to bus_close(); -ENOMEM. */
int bus_open(struct bus **out);

void bus_close(struct bus *bus);

/*
 * Adds a range; a copy of it is kept, ops and opaque stay the caller's.
 *   -EINVAL  size 0, or the range wraps or leaves its space (PIO ends at 0x10000)
 *   -EEXIST  it overlaps another
 */
int bus_add(struct bus *bus, const struct bus_range *range);

/*
 * Removes the range that starts at `base`: -ENOENT. When it returns nobody is in `try_read` or
 * `try_write` of it, nor will be: what they use can be freed.
 */
int bus_remove(struct bus *bus, enum bus_space space, uint64_t base);

/* When it returns, whoever was in a `try_read` or `try_write` when it was called is out of it. */
void bus_settle(struct bus *bus);

/*
 * One access of `len` bytes (1 to 8): what the handler returns. One that is not wholly within a
 * range is nobody's.
 */
int bus_read(struct bus *bus, enum bus_space space, uint64_t addr, void *data, uint32_t len);
int bus_write(struct bus *bus, enum bus_space space, uint64_t addr, const void *data, uint32_t len);

/* From now on accesses come from any thread, by the relay (borrowed); NULL: from one again. */
void bus_share(struct bus *bus, struct relay *relay);

/* From now on accesses are timed. A range for which there is no memory is not. */
void bus_measure(struct bus *bus);

/* Of all ranges that there are or were, ranges with the same ops and opaque together; NULL: none. */
const struct bus_times *bus_times(const struct bus *bus);

/* Of the accesses so far; with a relay, once it is at rest. */
const struct bus_stats *bus_stats(const struct bus *bus);

#endif
