/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * msix: the MSI-X table and its pending bits (PBA), kept for a guest. PCI 3.0, 6.8.2.
 *
 * It says when a vector's message, or whether it may be sent, changes. Who sends is told by ops:
 * nothing here knows of KVM or of a server.
 */
#ifndef KVMFD_MSIX_H
#define KVMFD_MSIX_H

#include <stdbool.h>
#include <stdint.h>

#include "irqfd.h"

#define MSIX_MAX_VECTORS 2048u

struct msix;

struct msix_ops {
	/* From now on the vector is this message, or (NULL) masked. Told of changes only. */
	void (*route)(void *opaque, unsigned int vector, const struct msi_message *message);
	/* Whether a masked vector has fired. */
	bool (*is_pending)(void *opaque, unsigned int vector);
};

/*
 * A table of `nr` vectors (1 to MSIX_MAX_VECTORS), each masked, all of it off. ops and opaque stay
 * the caller's. *out is to be given to msix_close(). -EINVAL, -ENOMEM.
 */
int msix_open(unsigned int nr, const struct msix_ops *ops, void *opaque, struct msix **out);

/* Tells nobody. NULL is nothing. */
void msix_close(struct msix *msix);

/* What Message Control says: whether vectors are messages at all, and the function's mask. */
void msix_control(struct msix *msix, bool enabled, bool masked);

/* As at power-on: off, and each vector masked and without a message. */
void msix_reset(struct msix *msix);

/* Bytes that the table and the PBA have. */
uint64_t msix_table_bytes(const struct msix *msix);
uint64_t msix_pba_bytes(const struct msix *msix);

/*
 * Accesses of any width at any offset from the table's or the PBA's start, which may be negative:
 * what of it lies outside reads as 0, and is not written. The PBA can't be written.
 */
void msix_read_table(const struct msix *msix, int64_t offset, void *data, uint32_t len);
void msix_write_table(struct msix *msix, int64_t offset, const void *data, uint32_t len);
void msix_read_pba(const struct msix *msix, int64_t offset, void *data, uint32_t len);

#endif
