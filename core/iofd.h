/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * iofd: the eventfds that stand for a device's doorbells, for DEVICE_GET_REGION_IO_FDS.
 */
#ifndef FASTPATH_IOFD_H
#define FASTPATH_IOFD_H

#include <stdint.h>

#include "fastpath.h"
#include "ring.h"
#include "wire.h"

/* One doorbell that a client may ring by fd. */
struct iofd {
	struct ring_op op;
	struct fp_device *dev;
	uint32_t region;
	const struct fp_doorbell *doorbell;
	int fd;
	uint64_t kept; /* rings that messages which came before them are awaited for */
};

/*
 * Publishes the doorbells of region `index` to the device's client: from now on their eventfds are
 * read. The first call makes them, later ones return the same. *iofds is the device's.
 *   -ENOMEM, -EMFILE, -ENFILE  nothing is published; the region goes on by message
 */
int iofd_publish(struct fp_device *dev, uint32_t index, const struct iofd **iofds, uint32_t *nr);

/* The doorbells that a client may be told of, none of them published yet. */
uint32_t iofd_count(const struct fp_device *dev, uint32_t index);

/* The io_fds entry of `iofd`, in the deployed layout, naming fd number `fd_index` of the reply. */
void iofd_entry(const struct iofd *iofd, uint32_t fd_index, struct wire_io_fd_deployed *entry);

/* The messages that came before them have been seen to: hands what was kept to the handlers. */
void iofd_catch_up(struct fp_device *dev);

/* Hands what rang until now to the handlers, before the loop gets to it by itself. */
void iofd_drain(struct fp_device *dev);

/* The client is gone: closes all of them, so that what it kept of them rings for nobody. */
void iofd_withdraw(struct fp_device *dev);

#endif
