/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device: one instance of a class, with its state and what its client has set up.
 */
#ifndef FASTPATH_DEVICE_H
#define FASTPATH_DEVICE_H

#include "dirty.h"
#include "dma.h"
#include "fastpath.h"
#include "iofd.h"
#include "irq.h"
#include "keyval.h"
#include "migration.h"
#include "pci.h"

struct fp_device {
	const struct fp_class *class_;
	const char *name; /* for the log */
	struct ring *ring;
	void *state;
	struct fp_region regions[FP_NR_REGIONS];
	struct pci pci;
	uint8_t *msix_memory;
	char **strings; /* values of string keys */
	size_t nr_strings;
	struct migration migration;

	/* The client's, until device_detach(). */
	struct dma dma;
	struct dirty dirty;
	struct irq_kind irqs[FP_NR_IRQS];
	struct iofd *iofds[FP_NR_REGIONS]; /* of each region's doorbells, once published */
};

/* The class called `name`, or NULL. */
const struct fp_class *device_class(const char *name);

/* The i-th registered class, NULL after the last. */
const struct fp_class *device_class_at(size_t i);

/*
 * Makes a device that lives on `ring`. `name` has to live as long as the device. -EINVAL for an unknown key, a bad value or a class that does not hold together, said
 * to the log; -ENOMEM; or what the class's open() says.
 */
int device_open(const struct fp_class *class_, const char *name, struct ring *ring,
		const struct keyval *options, size_t nr_options, struct fp_device **out);

/* The key `name` of a class, or NULL. */
const struct fp_key *device_key(const struct fp_class *class_, const char *name);

/* The client is gone: drops all it had set up. The device's state stays. */
void device_detach(struct fp_device *dev);

/* DEVICE_RESET: the state of power-on. What the client has set up stays. */
void device_reset(struct fp_device *dev);

/* Detaches, closes and frees it; NULL is nothing. */
void device_close(struct fp_device *dev);

#endif
