/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vectors: a device's messages (MSI, MSI-X), taken by Linux without a driver of the device.
 *
 * A message is an interrupt of whatever vector it names. Linux has some on every CPU that do nothing
 * but count, for a hypervisor that would run in it: here they are the device's. Their counts are in
 * /proc/interrupts.
 */
#ifndef FASTPATH_SELFTESTS_VECTORS_H
#define FASTPATH_SELFTESTS_VECTORS_H

#include "checks.h"

struct vectors {
	const struct pci *pci;
	unsigned int capability;
	unsigned int nr;
	volatile uint8_t *table; /* of MSI-X; NULL: MSI */
	unsigned int aimed;	 /* the one that is looked out for */
	unsigned int cpu;	 /* which takes it */
	uint64_t before;	 /* how often it had */
	uint64_t all_before;	 /* the same for all of them on all CPUs */
	uint64_t taken;		 /* since it was turned on */
};

#define VECTORS_MAX_MSI 3u /* so many of MSI's there are, in a row */

/* Turns MSI-X on, with the table at the start of BAR `bar`, or MSI: `nr` vectors, a power of two. */
void vectors_open_msix(struct vectors *vectors, const struct pci *pci, unsigned int bar,
		       unsigned int nr);
void vectors_open_msi(struct vectors *vectors, const struct pci *pci, unsigned int nr);

/* From now on looks out for vector `number`, on a CPU that depends on it. */
void vectors_aim(struct vectors *vectors, unsigned int number);

/* Whether `times` of it have come since then, and none of another; waits for them. */
bool vectors_arrived(struct vectors *vectors, unsigned int times);

/* Masks vector `number`, or unmasks it. */
void vectors_mask(struct vectors *vectors, unsigned int number, bool masked);

/* Turns it off. */
void vectors_close(struct vectors *vectors);

#endif
