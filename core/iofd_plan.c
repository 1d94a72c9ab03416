/* SPDX-License-Identifier: BSD-3-Clause */
#include "iofd_plan.h"

#include <errno.h>
#include <stdlib.h>

#include "region.h"

/* A plan that is being made. */
struct making {
	const struct fp_region *region;
	const struct iofd_client *client;
	struct iofd_plan *plan;
};

static uint64_t bytes_of(const struct fp_doorbell *doorbell)
{
	return doorbell->width ? doorbell->width : 1;
}

/* ---- fds ---- */

/* The fd that a group has by now, or nr_fds. */
static uint32_t find_fd(const struct iofd_plan *plan, enum iofd_kind kind, uint32_t group)
{
	uint32_t i = 0;

	while (i < plan->nr_fds && (plan->fds[i].kind != kind || plan->fds[i].group != group))
		i++;
	return i;
}

/* An fd of `kind`: its group's, or a new one. False: none fits into the answer any more. */
static bool get_fd(struct making *making, enum iofd_kind kind, uint32_t group, uint32_t *index)
{
	struct iofd_plan *plan = making->plan;
	uint32_t limit =
		making->client->max_fds < RING_MAX_FDS ? making->client->max_fds : RING_MAX_FDS;

	*index = group || kind == IOFD_MEMORY ? find_fd(plan, kind, group) : plan->nr_fds;
	if (*index < plan->nr_fds)
		return true;
	if (plan->nr_fds >= limit)
		return false;
	plan->fds[plan->nr_fds++] = (struct iofd_planned){ .kind = kind, .group = group };
	return true;
}

/* Where the next one goes; NULL: there are enough. */
static struct wire_io_fd_deployed *next_entry(struct making *making)
{
	struct iofd_plan *plan = making->plan;

	return plan->nr_entries < IOFD_MAX_TOLD ? &plan->entries[plan->nr_entries] : NULL;
}

/* ---- doorbells ---- */

static bool goes_by_span(const struct making *making, const struct fp_doorbell *doorbell)
{
	const struct fp_region *region = making->region;

	for (size_t i = 0; i < region->nr_spans; i++)
		if (!region->spans[i].size && region->spans[i].offset == doorbell->offset)
			return true;
	return false;
}

/* Whether it has an eventfd of its own or of its group's: a value may have no way to come along. */
static bool is_eventfd(const struct making *making, const struct fp_doorbell *doorbell)
{
	return (!doorbell->shadow || making->client->shadow) && !goes_by_span(making, doorbell);
}

/* One of its values, or NULL: it has none. */
static void add_ring(struct making *making, const struct fp_doorbell *doorbell,
		     const uint64_t *value)
{
	struct iofd_plan *plan = making->plan;
	struct wire_io_fd_deployed *entry = next_entry(making);
	bool is_io = making->region->flags & FP_REGION_IO;
	uint32_t before = plan->nr_fds;
	uint32_t fd, memory = 0;

	if (!entry || !get_fd(making, IOFD_EVENTFD, doorbell->group, &fd))
		return;
	if (doorbell->shadow && !get_fd(making, IOFD_MEMORY, 0, &memory)) {
		plan->nr_fds = before;
		return;
	}
	plan->fds[fd].doorbell = region_heard_as(making->region, doorbell);
	*entry = (struct wire_io_fd_deployed){
		.offset = doorbell->offset,
		.size = doorbell->width,
		.fd_index = fd,
		.type = doorbell->shadow ? WIRE_IO_FD_SHADOW : WIRE_IO_FD_IOEVENTFD,
		.flags = (value ? WIRE_IOEVENTFD_DATAMATCH : 0) | (is_io ? WIRE_IOEVENTFD_PIO : 0),
		.datamatch = value ? *value : 0,
	};
	plan->fds[fd].value = entry->datamatch;
	if (doorbell->shadow) {
		plan->fds[fd].slot = plan->nr_slots++;
		entry->shadow_mem_fd_index = memory;
		entry->shadow_offset = plan->fds[fd].slot * sizeof(uint64_t);
	}
	plan->nr_entries++;
}

static void add_doorbell(struct making *making, const struct fp_doorbell *doorbell)
{
	if (!doorbell->nr_values)
		add_ring(making, doorbell, NULL);
	for (size_t i = 0; i < doorbell->nr_values; i++)
		add_ring(making, doorbell, &doorbell->values[i]);
}

/* ---- spans ---- */

/* The first doorbell with an eventfd, or an ioregionfd of size 0, that has a byte in [at, end). */
static const struct fp_doorbell *next_cut(const struct making *making, uint64_t at, uint64_t end)
{
	const struct fp_region *region = making->region;
	const struct fp_doorbell *first = NULL;

	for (size_t i = 0; i < region->nr_doorbells; i++) {
		const struct fp_doorbell *doorbell = &region->doorbells[i];

		if (!is_eventfd(making, doorbell) && !goes_by_span(making, doorbell))
			continue;
		if (wire_overlaps(doorbell->offset, bytes_of(doorbell), at, end - at) &&
		    (!first || doorbell->offset < first->offset))
			first = doorbell;
	}
	return first;
}

/* All pieces of a span go by one fd: *fd, NO_FD before the first. */
#define NO_FD UINT32_MAX

static bool get_span_fd(struct making *making, const struct fp_span *span, uint32_t *fd)
{
	uint32_t index;

	if (*fd == NO_FD && get_fd(making, IOFD_SOCKET, span->group, &index))
		*fd = index;
	return *fd != NO_FD;
}

static void add_piece(struct making *making, const struct fp_span *span, uint64_t offset,
		      uint64_t size, uint32_t *fd)
{
	struct wire_io_fd_deployed *entry = next_entry(making);
	bool is_io = making->region->flags & FP_REGION_IO;

	if (!entry || !get_span_fd(making, span, fd))
		return;
	*entry = (struct wire_io_fd_deployed){
		.offset = offset,
		.size = size,
		.fd_index = *fd,
		.type = WIRE_IO_FD_IOREGIONFD,
		.flags = (is_io ? WIRE_IOREGION_PIO : 0) |
			 (span->posted ? WIRE_IOREGION_POSTED_WRITES : 0),
		.shadow_offset = making->plan->nr_entries, /* user_data */
	};
	making->plan->nr_entries++;
}

static void add_span(struct making *making, const struct fp_span *span)
{
	uint64_t end = span->offset + span->size;
	uint64_t at = span->offset;
	uint32_t fd = NO_FD;

	if (!span->size)
		add_piece(making, span, at, 0, &fd);
	while (at < end) {
		const struct fp_doorbell *cut = next_cut(making, at, end);
		uint64_t until = cut ? cut->offset : end;

		if (until > at)
			add_piece(making, span, at, until - at, &fd);
		at = cut ? cut->offset + bytes_of(cut) : end;
	}
}

/* ---- the whole ---- */

/* A doorbell cuts at most one piece into two. */
uint32_t iofd_plan_most(const struct fp_region *region)
{
	size_t nr = 2 * region->nr_doorbells + region->nr_spans;

	for (size_t i = 0; i < region->nr_doorbells; i++)
		if (region->doorbells[i].nr_values > 1)
			nr += region->doorbells[i].nr_values - 1;
	return nr < IOFD_MAX_TOLD ? (uint32_t)nr : IOFD_MAX_TOLD;
}

int iofd_plan_make(const struct fp_region *region, const struct iofd_client *client,
		   struct iofd_plan *plan)
{
	struct making making = { .region = region, .client = client, .plan = plan };

	*plan = (struct iofd_plan){ 0 };
	plan->entries = calloc(iofd_plan_most(region) + 1u, sizeof(*plan->entries));
	if (!plan->entries)
		return -ENOMEM;
	for (size_t i = 0; i < region->nr_doorbells; i++)
		if (is_eventfd(&making, &region->doorbells[i]))
			add_doorbell(&making, &region->doorbells[i]);
	for (size_t i = 0; i < region->nr_spans; i++)
		add_span(&making, &region->spans[i]);
	return 0;
}

void iofd_plan_free(struct iofd_plan *plan)
{
	free(plan->entries);
	*plan = (struct iofd_plan){ 0 };
}
