/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * iofd: the fds by which a client reaches a region without a message, for DEVICE_GET_REGION_IO_FDS:
 * eventfds that stand for doorbells, the memory where a client's kernel stores what was written to one,
 * and sockets for spans.
 */
#ifndef FASTPATH_IOFD_H
#define FASTPATH_IOFD_H

#include <stdbool.h>
#include <stdint.h>

#include "fastpath.h"
#include "iofd_plan.h"
#include "wire.h"

/* The fds of one region, for one client. */
struct iofds;

/*
 * Works out what `client` is told of region `index`; the first call for a client does, later ones
 * return the same. No fd is made yet. NULL: there is nothing to be told, or no memory.
 */
struct iofds *iofd_plan(struct fp_device *dev, uint32_t index, const struct iofd_client *client);

/* The entries that it is told, and the most that there can be for any client. */
uint32_t iofd_count(const struct iofds *iofds);
uint32_t iofd_most(const struct fp_device *dev, uint32_t index);

/*
 * Makes the fds and listens to them from now on; nothing when that is done already.
 *   -ENOMEM, -EMFILE, -ENFILE  nothing is published; the region goes on by message
 */
int iofd_publish(struct iofds *iofds);

/*
 * What is told: iofd_count() entries, in the deployed layout, and the fds that they name by number,
 * which stay the device's. How many fds those are.
 */
uint32_t iofd_tell(const struct iofds *iofds, struct wire_io_fd_deployed *entries,
		   int fds[RING_MAX_FDS]);

/* The messages that came before them have been seen to: hands what was kept to the handlers. */
void iofd_catch_up(struct fp_device *dev);

/* Hands what came by them until now to the handlers, before the loop gets to it by itself. */
void iofd_drain(struct fp_device *dev);

/* Something that was in flight is not any more: goes on with what waited for it. */
void iofd_progress(struct fp_device *dev);

/* The client is gone: closes all of them, so that what it kept of them reaches nobody. */
void iofd_withdraw(struct fp_device *dev);

#endif
