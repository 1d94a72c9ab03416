/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio: what all virtio devices are: features, a status, queues, a configuration space (virtio 1.2,
 * chapter 2). The driver reaches it by virtio_pci; a device gets elements of its queues.
 */
#ifndef FASTPATH_VIRTIO_H
#define FASTPATH_VIRTIO_H

#include "fastpath.h"
#include "virtqueue.h"

#define VIRTIO_MAX_QUEUES 64u

#define VIRTIO_ISR_QUEUE 1u
#define VIRTIO_ISR_CONFIG 2u

/* A kind of device. */
struct virtio_ops {
	uint64_t features;    /* of its own; those of queues and transport are there for all */
	size_t element_bytes; /* of element->own */
	/* Takes an element, to be given back by virtio_element_done() or _fail(), now or later. */
	void (*handle)(struct virtio *virtio, struct virtio_element *element);
	bool (*wants)(const struct virtqueue *vq); /* elements now; NULL: always */
	/* Optional: no more are available, or wanted, for now. */
	void (*looked)(struct virtqueue *vq);
	/* Optional: its memory is not there. It is still the device's; without this it is failed. */
	void (*lost)(struct virtio_element *element);
	/* Optional: [offset, offset + size) of the configuration has been written by the driver. */
	void (*configured)(struct virtio *virtio, size_t offset, size_t size);
	/* Optional: the driver is ready, or was until it reset the device. */
	void (*live)(struct virtio *virtio, bool is_live);
};

/* First in a device's state. */
struct virtio {
	struct fp_device *dev;
	const struct virtio_ops *ops;
	uint64_t offered;
	uint64_t accepted;
	uint32_t offered_select;
	uint32_t accepted_select;
	uint16_t config_vector;
	uint16_t queue_select;
	uint8_t status;
	uint8_t isr;
	uint8_t generation; /* of the configuration */
	bool stands;	    /* see FP_STANDS */
	uint8_t said;	    /* so many lines why it needs a reset, for this client */
	void *config;	    /* as the driver reads it */
	size_t config_bytes;
	struct virtqueue *queues;
	uint16_t nr_queues;
	struct fp_access *resetting; /* the write that resets, while something is under way */
	bool is_resetting;
};

/* Sets it up, in configure(): `nr` queues, and `bytes` of configuration, zeroed. -ENOMEM. */
int virtio_init(struct virtio *virtio, struct fp_device *dev, const struct virtio_ops *ops,
		uint16_t nr, size_t bytes);

/*
 * A class's callbacks, as they are for a device that has nothing to add: its state begins with a
 * struct virtio. One that has calls them from its own.
 */
int virtio_on_reset(struct fp_device *dev);
void virtio_on_event(struct fp_device *dev, enum fp_event event, const struct fp_window *window);
int virtio_on_save(struct fp_device *dev, struct fp_stream *to);
int virtio_on_load(struct fp_device *dev, struct fp_stream *from);
void virtio_on_close(struct fp_device *dev);

static inline bool virtio_has(const struct virtio *virtio, unsigned int feature)
{
	return virtio->accepted >> feature & 1;
}

/* Whether the driver is ready, and nothing has gone wrong. */
bool virtio_is_live(const struct virtio *virtio);

/* The driver has done what can't be: says so once, stops, and tells the driver. */
void virtio_needs_reset(struct virtio *virtio, uint16_t queue, const char *why);

/* The configuration has changed: tells the driver. */
void virtio_config_changed(struct virtio *virtio);

/* ---- for virtio_pci ---- */

/* The status is written. 0, or FP_LATER: `access` is answered when what is under way has ended. */
int virtio_set_status(struct virtio *virtio, struct fp_access *access, uint8_t status);

/* The reasons for an interrupt without MSI-X, which are none from then on. */
uint8_t virtio_take_isr(struct virtio *virtio);

/* ---- for virtqueue ---- */

/* Something has ended: a reset may have waited for it. */
void virtio_settle(struct virtio *virtio);

/* Interrupts the driver: by that vector, or with `isr` where there are none. */
void virtio_interrupt(struct virtio *virtio, uint16_t vector, uint8_t isr);

#endif
