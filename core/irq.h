/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * irq: a device's interrupts of one kind, and what the client wants done with them.
 */
#ifndef FASTPATH_IRQ_H
#define FASTPATH_IRQ_H

#include <stdbool.h>
#include <stdint.h>

#include "refusal.h"
#include "ring.h"
#include "wire.h"

struct irq {
	int eventfd; /* signalled when it fires; -1: none */
	bool masked;
	bool high; /* the device's, who holds it so: fires again whenever it is not masked any more */
	bool pending;	/* fired while masked */
	uint64_t batch; /* of the ring's, in which it was signalled last; 0: none */
};

/* An eventfd of the client that masks or unmasks irq 0 when it is signalled. */
struct irq_control {
	struct ring_op op;
	struct irq_kind *kind;
	int eventfd; /* -1: none */
	bool masks;
};

/*
 * Takes the interrupts that have no eventfd to a client whom fds can't reach. There every interrupt
 * is wanted until the client disables its kind, and again once it has named some of them by
 * DATA_EVENTFD, without fds.
 */
struct irq_sink {
	void (*fired)(struct irq_sink *sink, uint32_t index, uint32_t number);
};

struct irq_kind {
	struct ring *ring;
	struct irq_sink *sink; /* NULL: without an eventfd nobody hears of them */
	bool disabled;	       /* the sink is not to hear of them either */
	uint32_t index;
	uint64_t *fired;	   /* counts those that were signalled */
	const char *const *device; /* what that is called */
	uint32_t count;
	uint32_t flags; /* WIRE_IRQ_* of DEVICE_GET_IRQ_INFO */
	bool coalesces; /* a signal that has not left yet does for another */
	struct irq *irqs;
	struct irq_control mask;
	struct irq_control unmask;
};

/*
 * `count` interrupts of the kind with VFIO number `index`, counted in *fired, of the device that is
 * called *device. -ENOMEM.
 */
int irq_open(struct irq_kind *kind, struct ring *ring, uint32_t index, uint32_t count,
	     uint64_t *fired, const char *const *device);

/* What DEVICE_SET_IRQS asks for, in a form that is safe to use. */
struct irq_request {
	uint32_t flags;
	uint32_t start;
	uint32_t count;
	const uint8_t *bools; /* `count` of them with DATA_BOOL */
	int *fds;	      /* `nr_fds`; those that are kept are set to -1 */
	unsigned int nr_fds;
};

/*
 * DEVICE_SET_IRQS. -EINVAL, with *why naming what is wrong: not one kind of data and one action,
 * a range that is not there, fewer bools or fds than that, an fd that is no eventfd, a mask
 * where the kind has none.
 */
int irq_set(struct irq_kind *kind, const struct irq_request *request, struct refusal *why);

/* Gives what has no eventfd to `sink`, until irq_forget(). */
void irq_by_message(struct irq_kind *kind, struct irq_sink *sink);

/* Fires one; see fp_irq_trigger(). */
int irq_trigger(struct irq_kind *kind, uint32_t number);

/* Holds interrupt 0 of the kind high, or not any more; see fp_irq_level(). */
int irq_level(struct irq_kind *kind, bool high);

/* Whether anybody is to hear of one; see fp_irq_wanted(). */
bool irq_wanted(const struct irq_kind *kind, uint32_t number);

/* Forgets what the client asked for and closes its fds. */
void irq_forget(struct irq_kind *kind);

/* That, and frees the interrupts. */
void irq_close(struct irq_kind *kind);

#endif
