/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * attendant: what a running monitor looks after beside the guest's accesses: servers that die and
 * come back, and what it is told at its control socket.
 *
 * A lookout waits; what there is to do is done on the thread that answers accesses, between two of
 * them. So everything of a device is one thread's.
 */
#ifndef KVMFD_ATTENDANT_H
#define KVMFD_ATTENDANT_H

#include <stdbool.h>

#include "crew.h"
#include "vfio_pci.h"

struct attendant;

/*
 * For the devices (borrowed) of a crew; listens at `control` unless that is NULL. *out is to be given to
 * attendant_close(), after crew_run() and before the devices are closed. -errno, said to the log.
 */
int attendant_open(struct crew *crew, struct vfio_pci *const *devices, unsigned int nr,
		   const char *control, struct attendant **out);

/* Just before crew_run(): from here on there is a thread that looks out. -errno, said to the log. */
int attendant_start(struct attendant *attendant);

/* Whether it was the attendant that ended the crew: a device is gone that must not. */
bool attendant_has_ended_it(const struct attendant *attendant);

void attendant_close(struct attendant *attendant);

#endif
