/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtqueue: one queue of a virtio device, split or packed (virtio 1.2, 2.6 to 2.8).
 *
 * It takes what the driver makes available apart into elements, which the device gets one by one and
 * gives back in any order. What the driver wrote is read once, and believed only as far as it can be
 * true; what can't be ends in DEVICE_NEEDS_RESET.
 *
 *	virtqueue.c		life, elements, what both formats share
 *	virtqueue_split.c	descriptor table, available ring, used ring
 *	virtqueue_packed.c	one ring of descriptors
 */
#ifndef FASTPATH_VIRTQUEUE_H
#define FASTPATH_VIRTQUEUE_H

#include "steps.h"

#define VIRTQUEUE_MAX_SIZE 128u /* a power of two */

/* The most pieces of one element, with indirect descriptors, too. */
#define VIRTQUEUE_MAX_PIECES 128u

/* VIRTIO_MSI_NO_VECTOR */
#define VIRTQUEUE_NO_VECTOR 0xffffu

struct virtio;
struct virtqueue;

/* A chain of buffers that the driver has made available. */
struct virtio_element {
	struct steps steps; /* the device's, to read and write what it holds */
	struct virtqueue *vq;
	struct virtio_element *next; /* in the queue's lists */
	uint16_t id;		     /* the driver knows it by this */
	uint16_t slots;		     /* of a packed ring */
	/* What is left of it: the device reads the first, and writes the second, behind them. */
	uint16_t nr_out, nr_in;
	struct fp_piece *out, *in;
	uint64_t out_bytes, in_bytes;
	uint32_t written; /* what the driver is told of that */
	void *own;	  /* the device's, element_bytes long, zeroed */

	/* virtio_element_read() and _write(). */
	uint8_t *at;
	size_t left;
	step_fn *then;

	struct fp_piece pieces[VIRTQUEUE_MAX_PIECES];
};

/* A descriptor of either format, taken apart. */
struct virtqueue_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next; /* or, in a packed ring, the id */
};

/* How a queue's memory is laid out. */
struct virtqueue_format {
	/* What is wrong with the addresses and the size that the driver has set, or NULL. */
	const char *(*check)(const struct virtqueue *vq);
	step_fn *look;	  /* for what is available; of steps `in` */
	step_fn *publish; /* what is in `done`; of steps `out` */
	void (*untake)(struct virtqueue *vq, const struct virtio_element *element);
};

extern const struct virtqueue_format virtqueue_split, virtqueue_packed;

struct virtqueue {
	struct virtio *virtio;
	uint16_t index;
	const struct virtqueue_format *format;

	/* As the driver has set it. */
	bool enabled;
	uint16_t size;
	uint16_t vector;
	uint64_t desc, driver, device; /* iovas of the three areas */

	/*
	 * Where we are. In a split ring free-running indexes; in a packed one places in the ring, with
	 * the wrap counter that goes with each.
	 */
	uint16_t next_avail;
	uint16_t next_used;
	bool avail_wrap;
	bool used_wrap;

	struct steps in;
	uint16_t seen_avail; /* of a split ring: the driver's index as it was read last */
	bool armed;	     /* the driver knows that we want to be told of more */
	uint16_t share;	     /* elements that may be taken until others have their turn */
	struct fp_timer again;
	struct virtio_element *element; /* that is being put together */
	uint64_t table;			/* its descriptors are here, */
	uint32_t table_size;		/* so many, */
	uint32_t at;			/* and this one is next */
	bool is_indirect;
	struct virtqueue_desc found;
	uint8_t raw[16]; /* what was read, before it is looked at */

	struct steps out;
	uint16_t old_used; /* before what is being published */
	bool has_wrapped;
	uint8_t reply[16];
	struct virtio_element *done; /* to be published, the oldest first */
	struct virtio_element **done_end;
	bool is_held; /* they wait for others, to be published at once */

	uint32_t in_flight;	     /* elements that the device has, or that are to be published */
	uint32_t slots_in_flight;    /* of a packed ring */
	struct virtio_element *idle; /* to be used again */
};

/* Of a queue that has the rest zeroed; it is not enabled. */
void virtqueue_init(struct virtqueue *vq, struct virtio *virtio, uint16_t index);

/* As at power-on; nothing may be under way. */
void virtqueue_reset(struct virtqueue *vq);

/* Frees what it has. */
void virtqueue_close(struct virtqueue *vq);

/* The driver has enabled it. What is wrong with it, or NULL. */
const char *virtqueue_enable(struct virtqueue *vq);

/* There may be something available: looks, unless it may not or does already. */
void virtqueue_look(struct virtqueue *vq);

/* Nothing of it is under way. */
bool virtqueue_is_idle(const struct virtqueue *vq);

/* ---- elements, for devices ---- */

/*
 * Reads the first `len` bytes of what the device reads, and drops them from the element; `next` then.
 * There have to be so many. `to` has to stay until then. The element is failed if they are not there.
 */
void virtio_element_read(struct virtio_element *element, void *to, size_t len, step_fn *next);

/* Writes the first `len` bytes of what the device writes, likewise, and counts them as written. */
void virtio_element_write(struct virtio_element *element, const void *from, size_t len,
			  step_fn *next);

/* Has `step` run next, from within one of the element's steps or from elsewhere. */
void virtio_element_then(struct virtio_element *element, step_fn *step);

/* Takes the last `len` bytes of what the device writes away, all of one piece: where they are. */
bool virtio_element_tail(struct virtio_element *element, size_t len, uint64_t *iova);

/* Gives it back to the driver, which is told of `written` bytes. */
void virtio_element_done(struct virtio_element *element);

/* What is given back is published, and interrupts, with virtqueue_release(): soon, resets wait. */
void virtqueue_hold(struct virtqueue *vq);
void virtqueue_release(struct virtqueue *vq);

/* As if it had not been taken. It has to be the last of the queue's that was. */
void virtio_element_return(struct virtio_element *element);

/* What is in it can't be: the device needs a reset. The element is gone. */
void virtio_element_fail(struct virtio_element *element, const char *why);

static inline struct virtio_element *virtio_element_of(struct steps *steps)
{
	return (struct virtio_element *)steps;
}

/* ---- for the formats ---- */

static inline struct virtqueue *virtqueue_of_in(struct steps *steps)
{
	return (struct virtqueue *)((char *)steps - offsetof(struct virtqueue, in));
}

static inline struct virtqueue *virtqueue_of_out(struct steps *steps)
{
	return (struct virtqueue *)((char *)steps - offsetof(struct virtqueue, out));
}

/* The device needs a reset. */
void virtqueue_fail(struct virtqueue *vq, const char *why);

/* Whether another element may be taken now. */
bool virtqueue_may_take(struct virtqueue *vq);

/* vq->element, empty, of a chain that begins with one of `size` descriptors at vq->desc. */
bool virtqueue_begin(struct virtqueue *vq);

/*
 * vq->found is part of vq->element: a piece of it, or where the others are (vq->table, whose first is
 * next). False: it can't be, and that has been said.
 */
bool virtqueue_add(struct virtqueue *vq);

/* vq->element is whole: the device has it now. */
void virtqueue_deliver(struct virtqueue *vq);

/* The first of those to be published, taken from there; NULL: none. It is still in flight. */
struct virtio_element *virtqueue_take_done(struct virtqueue *vq);

/* It is published. */
void virtqueue_forget(struct virtqueue *vq, struct virtio_element *element);

/* Interrupts the driver for what was published. */
void virtqueue_interrupt(struct virtqueue *vq);

/* vring_need_event(): whether `event` is among those from `old` to before `now`. */
static inline bool virtqueue_need_event(uint16_t event, uint16_t now, uint16_t old)
{
	return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

#endif
