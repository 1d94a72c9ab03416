/* SPDX-License-Identifier: BSD-3-Clause */
#include "iofd.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "cleanup.h"
#include "device.h"
#include "ioregion.h"
#include "log.h"
#include "region.h"
#include "share.h"

/* One fd of a region, and what is behind it. */
struct iofd {
	struct ring_op op; /* of an eventfd */
	uint64_t kept;	   /* rings that messages which came before them are awaited for */
	struct iofds *of;
	const struct iofd_planned *planned;
	int fd;			   /* what the client gets, unless it is an ioregion's; -1: none */
	struct ioregion *ioregion; /* of a socket */
};

struct iofds {
	struct fp_device *dev;
	uint32_t region;
	bool is_published;
	struct iofd_plan plan;
	struct share memory; /* a slot for each shadow doorbell */
	struct iofd iofds[]; /* plan.nr_fds of them */
};

/* ---- eventfds ---- */

/*
 * The value that rang. What the client's kernel has stored it did before it signalled, and the eventfd
 * was read.
 */
static uint64_t value_of(const struct iofd *iofd)
{
	const uint64_t *slots = (const uint64_t *)iofd->of->memory.base;

	if (!iofd->planned->doorbell->shadow)
		return iofd->planned->value;
	return __atomic_load_n(&slots[iofd->planned->slot], __ATOMIC_ACQUIRE);
}

static void hear(struct iofd *iofd, uint64_t times)
{
	times += iofd->kept;
	iofd->kept = 0;
	iofd->of->dev->stats.regions[iofd->of->region].rings_by_eventfd += times;
	iofd->of->dev->road = ROAD_EVENTFD;
	if (times)
		region_rang(iofd->of->dev, iofd->of->region, iofd->planned->doorbell, times,
			    value_of(iofd), NULL);
}

static void rang(struct ring_op *op, int res, const struct ring_received *received)
{
	struct iofd *iofd = (struct iofd *)((char *)op - offsetof(struct iofd, op));

	(void)received;
	if (res < 0)
		log_warn("%s: a doorbell's eventfd can't be read any more: %s", iofd->of->dev->name,
			 strerror(-res));
	else if (device_is_behind(iofd->of->dev))
		iofd->kept += ring_eventfd_sum(op);
	else
		hear(iofd, ring_eventfd_sum(op));
}

/* ---- making and closing ---- */

static int make_eventfd(struct iofd *iofd, uint32_t number)
{
	(void)number;
	/* In blocking mode: only the ring reads it, and need not ask for POLLIN first. */
	iofd->fd = eventfd(0, EFD_CLOEXEC);
	if (iofd->fd < 0)
		return -errno;
	iofd->op.done = rang;
	ring_eventfd(iofd->of->dev->ring, &iofd->op, iofd->fd);
	return 0;
}

static int make_socket(struct iofd *iofd, uint32_t number)
{
	return ioregion_open(iofd->of->dev, iofd->of->region, &iofd->of->plan, number,
			     &iofd->ioregion);
}

static int make_memory(struct iofd *iofd, uint32_t number)
{
	uint64_t bytes = iofd->of->plan.nr_slots * sizeof(uint64_t);
	const struct fp_region slots = { .size = (bytes + FP_PAGE - 1) / FP_PAGE * FP_PAGE };
	int ret = share_open(&iofd->of->memory, &slots);

	(void)number;
	if (!ret)
		iofd->fd = iofd->of->memory.fd;
	return ret;
}

static int (*const make[])(struct iofd *iofd, uint32_t number) = {
	[IOFD_EVENTFD] = make_eventfd,
	[IOFD_SOCKET] = make_socket,
	[IOFD_MEMORY] = make_memory,
};

static void unpublish(struct iofds *iofds)
{
	for (uint32_t i = 0; i < iofds->plan.nr_fds; i++) {
		struct iofd *iofd = &iofds->iofds[i];

		ioregion_close(take_ptr(iofd->ioregion));
		if (iofd->planned->kind == IOFD_EVENTFD && iofd->fd >= 0) {
			ring_cancel(&iofd->op);
			ring_close_fd(iofds->dev->ring, iofd->fd);
		}
		iofd->fd = -1;
	}
	share_close(&iofds->memory);
	iofds->is_published = false;
}

int iofd_publish(struct iofds *iofds)
{
	int ret = 0;

	if (iofds->is_published)
		return 0;
	for (uint32_t i = 0; i < iofds->plan.nr_fds && !ret; i++)
		ret = make[iofds->iofds[i].planned->kind](&iofds->iofds[i], i);
	iofds->is_published = !ret;
	if (!ret)
		return 0;
	log_warn("%s: no io fds for region %u: %s", iofds->dev->name, iofds->region,
		 strerror(-ret));
	unpublish(iofds);
	return ret;
}

struct iofds *iofd_plan(struct fp_device *dev, uint32_t index, const struct iofd_client *client)
{
	const struct fp_region *region = &dev->regions[index];
	struct iofd_plan plan;
	struct iofds *iofds;

	if (dev->iofds[index] || (!region->nr_doorbells && !region->nr_spans))
		return dev->iofds[index];
	if (iofd_plan_make(region, client, &plan))
		return NULL;
	iofds = calloc(1, sizeof(*iofds) + plan.nr_fds * sizeof(iofds->iofds[0]));
	if (!iofds) {
		iofd_plan_free(&plan);
		return NULL;
	}
	iofds->dev = dev;
	iofds->region = index;
	iofds->plan = plan;
	for (uint32_t i = 0; i < plan.nr_fds; i++)
		iofds->iofds[i] = (struct iofd){
			.of = iofds,
			.planned = &iofds->plan.fds[i],
			.fd = -1,
		};
	dev->iofds[index] = iofds;
	return iofds;
}

/* ---- telling ---- */

/* An ioregionfd whose client has made a mess of it is not told of any more. */
static bool is_lost(const struct iofds *iofds, uint32_t fd_index)
{
	const struct iofd *iofd = &iofds->iofds[fd_index];

	return iofd->ioregion && ioregion_fd(iofd->ioregion) < 0;
}

uint32_t iofd_count(const struct iofds *iofds)
{
	uint32_t nr = 0;

	for (uint32_t i = 0; iofds && i < iofds->plan.nr_entries; i++)
		nr += !is_lost(iofds, iofds->plan.entries[i].fd_index);
	return nr;
}

uint32_t iofd_most(const struct fp_device *dev, uint32_t index)
{
	return index < dev->nr_regions ? iofd_plan_most(&dev->regions[index]) : 0;
}

uint32_t iofd_tell(const struct iofds *iofds, struct wire_io_fd_deployed *entries,
		   int fds[RING_MAX_FDS])
{
	uint32_t numbers[RING_MAX_FDS]; /* of the plan's fds in this answer */
	uint32_t nr = 0;

	for (uint32_t i = 0; i < iofds->plan.nr_fds; i++) {
		const struct iofd *iofd = &iofds->iofds[i];

		numbers[i] = nr;
		if (!is_lost(iofds, i))
			fds[nr++] = iofd->ioregion ? ioregion_fd(iofd->ioregion) : iofd->fd;
	}
	for (uint32_t i = 0; i < iofds->plan.nr_entries; i++) {
		const struct wire_io_fd_deployed *planned = &iofds->plan.entries[i];

		if (is_lost(iofds, planned->fd_index))
			continue;
		*entries = *planned;
		entries->fd_index = numbers[planned->fd_index];
		if (planned->type == WIRE_IO_FD_SHADOW)
			entries->shadow_mem_fd_index = numbers[planned->shadow_mem_fd_index];
		entries++;
	}
	return nr;
}

/* ---- all of a device's ---- */

/* An access may end the client's connection, and with it what this goes through. */
static void for_each(struct fp_device *dev, void (*fn)(struct iofd *iofd))
{
	for (uint32_t index = 0; index < dev->nr_regions; index++)
		for (uint32_t i = 0; dev->iofds[index] && i < dev->iofds[index]->plan.nr_fds; i++)
			fn(&dev->iofds[index]->iofds[i]);
}

static void drain(struct iofd *iofd)
{
	if (iofd->ioregion)
		ioregion_drain(iofd->ioregion);
	else if (iofd->planned->kind == IOFD_EVENTFD)
		hear(iofd, ring_eventfd_take(&iofd->op));
}

void iofd_drain(struct fp_device *dev)
{
	for_each(dev, drain);
}

static void catch_up(struct iofd *iofd)
{
	if (iofd->planned->kind == IOFD_EVENTFD)
		hear(iofd, 0);
}

void iofd_catch_up(struct fp_device *dev)
{
	for_each(dev, catch_up);
}

static void progress(struct iofd *iofd)
{
	if (iofd->ioregion)
		ioregion_progress(iofd->ioregion);
}

void iofd_progress(struct fp_device *dev)
{
	for_each(dev, progress);
}

void iofd_withdraw(struct fp_device *dev)
{
	for (uint32_t i = 0; i < dev->nr_regions; i++) {
		struct iofds *iofds = take_ptr(dev->iofds[i]);

		if (!iofds)
			continue;
		unpublish(iofds);
		iofd_plan_free(&iofds->plan);
		free(iofds);
	}
}
