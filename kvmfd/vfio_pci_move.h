/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio_pci_move: a vfio_pci's device goes, with its state, from its server to another one, while the
 * guest runs.
 *
 * Guest memory stays where it is, and both servers reach it: nothing of it is copied, and no log of
 * what the device writes to is needed. What the state holds is copied while the device runs, as far
 * as it can be (pre-copy), and the rest while it stands and the guest's accesses wait. Until the
 * new server runs the device, the old one can go on with it: a move that fails is one that the guest
 * does not notice.
 */
#ifndef KVMFD_VFIO_PCI_MOVE_H
#define KVMFD_VFIO_PCI_MOVE_H

#include "vfio_pci.h"

struct vfio_pci_move {
	struct vfio_pci *dev;
	struct fpc *to; /* NULL: not under way */
	int socket;	/* its, for later */
	char *address;	/* of that */
	uint8_t *buffer;
	bool copies;		/* in PRE_COPY: the device runs, and is being copied */
	unsigned int rounds;	/* so many pieces were copied */
	char why[VFIO_PCI_WHY]; /* after a failure */
};

/*
 * Connects to the server at `address` and begins. -errno, and move->why in words: the move is over
 * then. The calls have to come from the thread that answers the device's accesses.
 */
int vfio_pci_move_begin(struct vfio_pci_move *move, struct vfio_pci *dev, const char *address);

/*
 * Goes on: 1 when there is more to do, between accesses of the guest; 0 when the device is at its
 * new server; -errno, and move->why: it is where it was, and runs.
 */
int vfio_pci_move_step(struct vfio_pci_move *move);

/* Gives it up, if it is under way: the device is where it was, and runs. */
void vfio_pci_move_cancel(struct vfio_pci_move *move);

#endif
