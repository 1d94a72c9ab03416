/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * keep: a device's state in a file, for the server that comes after this one.
 *
 * The file holds what a migration stream would. It is replaced whole or not at all, so that a
 * server that is killed leaves the state that was kept last.
 */
#ifndef FASTPATH_KEEP_H
#define FASTPATH_KEEP_H

#include "device.h"

/*
 * Claims `path` for this process, by a lock file beside it, and opens its directory: *lock and *dir are
 * to be closed at the end. -EBUSY when another has it, -errno, said to the log.
 */
int keep_claim(const char *path, int *lock, int *dir);

/*
 * Puts the device into the state that `path` holds; one that is not there is none. -EINVAL when it
 * is not the state of such a device, another -errno when it can't be read, said to the log: the
 * device is not to be used then.
 */
int keep_load(struct fp_device *dev, const char *path);

/*
 * Keeps the device's state in `path`, which lies in `dir`. Nothing of it may be in flight. A device that can't be saved,
 * or whose state is on its way to or from another server, leaves the file as it is: -EOPNOTSUPP.
 * Else -errno of the class's save() or of the file, said to the log.
 */
int keep_save(struct fp_device *dev, const char *path, int dir);

#endif
