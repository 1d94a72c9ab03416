/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vmm_control: the socket at which a running fastpath-vmm is told what to do with its devices.
 *
 * One request a line, one reply a line, both JSON; fastpath-vmm(1) has them. It lives on the thread
 * that answers the guest's accesses, and never waits for its clients.
 */
#ifndef KVMFD_VMM_CONTROL_H
#define KVMFD_VMM_CONTROL_H

#include <poll.h>

#include "vfio_pci.h"

/* So many fds it looks at, at most. */
#define VMM_CONTROL_MAX_FDS 9u

struct vmm_control;

/*
 * Listens at the path, for the devices, which are the caller's. *out is to be given to
 * vmm_control_close(), before they are closed. -errno, said to the log.
 */
int vmm_control_open(const char *path, struct vfio_pci *const *devices, unsigned int nr,
		     struct vmm_control **out);

/* What vmm_control_attend() is to be called for; how many that are. */
unsigned int vmm_control_fds(const struct vmm_control *control, struct pollfd *fds);

/* In so many milliseconds it has to be called anyhow; -1: no need. */
int vmm_control_timeout_ms(const struct vmm_control *control);

/* Does what there is to do, and a piece of what takes longer. */
void vmm_control_attend(struct vmm_control *control);

/* Removes the socket. A move that is under way is given up. NULL is nothing. */
void vmm_control_close(struct vmm_control *control);

#endif
