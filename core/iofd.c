/* SPDX-License-Identifier: BSD-3-Clause */
#include "iofd.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "cleanup.h"
#include "device.h"
#include "log.h"
#include "region.h"

static void hear(struct iofd *iofd, uint64_t times)
{
	times += iofd->kept;
	iofd->kept = 0;
	if (times)
		region_rang(iofd->dev, iofd->region, iofd->doorbell, times, NULL);
}

static void rang(struct ring_op *op, int res, const struct ring_received *received)
{
	struct iofd *iofd = (struct iofd *)((char *)op - offsetof(struct iofd, op));

	(void)received;
	if (res < 0)
		log_warn("%s: a doorbell's eventfd can't be read any more: %s", iofd->dev->name,
			 strerror(-res));
	else if (device_is_behind(iofd->dev))
		iofd->kept += ring_eventfd_sum(op);
	else
		hear(iofd, ring_eventfd_sum(op));
}

uint32_t iofd_count(const struct fp_device *dev, uint32_t index)
{
	return (uint32_t)dev->regions[index].nr_doorbells;
}

static void withdraw(struct fp_device *dev, uint32_t index)
{
	struct iofd *iofds = take_ptr(dev->iofds[index]);

	for (uint32_t i = 0; iofds && i < iofd_count(dev, index); i++) {
		ring_cancel(&iofds[i].op);
		if (iofds[i].fd >= 0)
			ring_close_fd(dev->ring, iofds[i].fd);
	}
	free(iofds);
}

static int publish(struct fp_device *dev, uint32_t index)
{
	uint32_t nr = iofd_count(dev, index);
	struct iofd *iofds = calloc(nr, sizeof(*iofds));

	if (!iofds)
		return -ENOMEM;
	dev->iofds[index] = iofds;
	for (uint32_t i = 0; i < nr; i++)
		iofds[i] = (struct iofd){
			.op.done = rang,
			.dev = dev,
			.region = index,
			.doorbell = &dev->regions[index].doorbells[i],
			.fd = -1,
		};
	for (uint32_t i = 0; i < nr; i++) {
		/* In blocking mode: only the ring reads it, and need not ask for POLLIN first. */
		iofds[i].fd = eventfd(0, EFD_CLOEXEC);
		if (iofds[i].fd < 0)
			return -errno;
		ring_eventfd(dev->ring, &iofds[i].op, iofds[i].fd);
	}
	return 0;
}

int iofd_publish(struct fp_device *dev, uint32_t index, const struct iofd **iofds, uint32_t *nr)
{
	int ret;

	*nr = iofd_count(dev, index);
	if (*nr && !dev->iofds[index]) {
		ret = publish(dev, index);
		if (ret) {
			log_warn("%s: no eventfds for region %u: %s", dev->name, index,
				 strerror(-ret));
			withdraw(dev, index);
			return ret;
		}
	}
	*iofds = dev->iofds[index];
	return 0;
}

void iofd_entry(const struct iofd *iofd, uint32_t fd_index, struct wire_io_fd_deployed *entry)
{
	const struct fp_doorbell *doorbell = iofd->doorbell;
	const struct fp_region *region = &iofd->dev->regions[iofd->region];

	*entry = (struct wire_io_fd_deployed){
		.offset = doorbell->offset,
		.size = doorbell->width,
		.fd_index = fd_index,
		.type = WIRE_IO_FD_IOEVENTFD,
		.flags = (doorbell->match ? WIRE_IOEVENTFD_DATAMATCH : 0) |
			 (region->flags & FP_REGION_IO ? WIRE_IOEVENTFD_PIO : 0),
		.datamatch = doorbell->match ? doorbell->value : 0,
	};
}

void iofd_catch_up(struct fp_device *dev)
{
	for (uint32_t index = 0; index < dev->nr_regions; index++)
		for (uint32_t i = 0; dev->iofds[index] && i < iofd_count(dev, index); i++)
			hear(&dev->iofds[index][i], 0);
}

void iofd_drain(struct fp_device *dev)
{
	for (uint32_t index = 0; index < dev->nr_regions; index++)
		for (uint32_t i = 0; dev->iofds[index] && i < iofd_count(dev, index); i++)
			hear(&dev->iofds[index][i], ring_eventfd_take(&dev->iofds[index][i].op));
}

void iofd_withdraw(struct fp_device *dev)
{
	for (uint32_t i = 0; i < dev->nr_regions; i++)
		withdraw(dev, i);
}
