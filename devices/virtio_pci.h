/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio_pci: a virtio device on a PCI bus (virtio 1.2, 4.1), without the legacy interface.
 *
 * BAR0 has the registers, and the notify address of each queue, which is a doorbell of any width; BAR1
 * the MSI-X table, with a vector for each queue and one for changes of the configuration.
 */
#ifndef FASTPATH_VIRTIO_PCI_H
#define FASTPATH_VIRTIO_PCI_H

#include "virtio.h"

#define VIRTIO_BAR_COMMON 0x0000u
#define VIRTIO_BAR_ISR 0x1000u
#define VIRTIO_BAR_DEVICE 0x2000u
#define VIRTIO_BAR_NOTIFY 0x3000u
#define VIRTIO_BAR_NOTIFY_MULTIPLIER 4u
#define VIRTIO_BAR_BYTES 0x4000u

/*
 * In a class's configure(), behind virtio_init(): ids, capabilities, BARs, doorbells and interrupts of
 * a device of that type (VIRTIO_ID_*). -ENOMEM.
 */
int virtio_pci_configure(struct virtio *virtio, struct fp_class *own, uint16_t type,
			 uint32_t class_code);

#endif
