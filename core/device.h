/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device: one instance of a class, with its state and what its client has set up.
 */
#ifndef FASTPATH_DEVICE_H
#define FASTPATH_DEVICE_H

#include "allowance.h"
#include "caps.h"
#include "deferred.h"
#include "dirty.h"
#include "dma.h"
#include "fastpath.h"
#include "file_io.h"
#include "iofd.h"
#include "irq.h"
#include "keyval.h"
#include "latency.h"
#include "migration.h"
#include "observe.h"
#include "pci.h"
#include "pci_msix.h"
#include "region.h"
#include "stats.h"
#include "transfer.h"

/*
 * What a device needs of its client's session, which it does not know: the only calls that go up.
 * The session sets it, and it is NULL while there is no client.
 */
struct device_link {
	uint64_t max_data_xfer; /* bytes of one DMA_READ or DMA_WRITE */
	/* Sends the message for `asked` bytes of the transfer and sets its msg_id. -errno. */
	int (*send_dma)(struct device_link *link, struct transfer *transfer);
	/* Something that was in flight is not any more. */
	void (*progress)(struct device_link *link);
	/* Whether messages wait that have come, because others had their share of the ring first. */
	bool (*is_behind)(struct device_link *link);
	/* The reset that the class had put off is done. */
	void (*reset_done)(struct device_link *link);
	struct irq_sink irqs; /* to the client by VM_INTERRUPT */
};

/* A wish of somebody who is not the client: that the device be reset, as by DEVICE_RESET. */
struct device_errand {
	struct device_errand *next;
	void (*done)(struct device_errand *errand, int ret); /* may free it */
};

/* What a device may still do to a path: FP_PATH_*. */
struct device_path {
	struct device_path *next;
	unsigned int what;
	char path[];
};

struct fp_device {
	const struct fp_class *class_;
	struct fp_class own;	/* class_, when it was configured for this device */
	const char *name;	/* for the log */
	const char *short_name; /* that people give it, and its alone within the server */
	struct ring *ring;
	void *state;
	struct fp_region regions[FP_MAX_REGIONS];
	struct region_core cores[FP_MAX_REGIONS];
	uint32_t nr_regions; /* that a client is told of */
	struct pci pci;
	struct pci_msix msix;
	uint8_t *msix_table;
	struct device_memory *memory; /* of fp_alloc() */
	struct device_path *paths;    /* of fp_allow_path() */
	uint64_t capabilities;	      /* of fp_keep_capability(), a bit each */
	struct caps caps;	      /* what its client is told */
	struct migration migration;
	struct stats stats;
	struct latencies latencies;
	enum road road;		 /* by which the access has come that is being run */
	struct observe *observe; /* NULL: nobody is there to look on */
	unsigned int traced;	 /* of OBSERVE_TO_FILE and OBSERVE_LIVE; 0: not at all */

	/* The client's, until device_detach(). */
	bool has_client; /* VERSION is done */
	struct dma dma;
	struct ring_hook look_at_memory; /* whether it is still there, after it was accessed */
	struct allowance lines;		 /* in the log, about its clients */
	unsigned int failed_windows;
	struct dirty dirty;
	struct irq_kind irqs[FP_NR_IRQS];
	struct iofds *iofds[FP_MAX_REGIONS]; /* once the client has asked for them */
	struct device_link *link;
	struct transfer *transfers; /* that wait for the client's answer */

	/* In flight, whoever the client is. */
	struct deferred *deferred;
	struct file_io files;
	bool is_resetting;
	struct device_errand
		*errands; /* wait for what is in flight; the client's commands for them */
	struct ring_hook errand_hook;
	bool errand_resets; /* the reset that is in flight is theirs */
};

/* Tells the io fds, the session, and whoever waits for it, that something in flight has ended. */
void device_progress(struct fp_device *dev);

/* Whether something is in flight that a device must be without to be reset, stopped or saved. */
static inline bool device_is_busy(const struct fp_device *dev)
{
	return dev->deferred || dev->transfers || dev->files.nr_awaited;
}

static inline bool device_is_behind(const struct fp_device *dev)
{
	return dev->link && dev->link->is_behind(dev->link);
}

/*
 * Makes a device that lives on `ring`. `name` has to live as long as the device. -EINVAL for an unknown key, a bad value or a class that does not hold together, said
 * to the log; -ENOMEM; or what the class's open() says.
 */
int device_open(const struct fp_class *class_, const char *name, struct ring *ring,
		const struct keyval *options, size_t nr_options, struct fp_device **out);

/* The key `name` of a class, or NULL. */
const struct fp_key *device_key(const struct fp_class *class_, const char *name);

/* The client is there: VERSION is done. It may want its interrupts by message. */
void device_attach(struct fp_device *dev, bool irqs_by_message);

/* The client is gone: drops all it had set up. The device's state stays. */
void device_detach(struct fp_device *dev);

/*
 * DEVICE_RESET: the state of power-on. What the client has set up stays. 0; FP_LATER when the link
 * will hear of it; -errno of the class.
 */
int device_reset(struct fp_device *dev);

/*
 * The same for somebody who is not the client: once nothing is in flight, and before whatever of the
 * client's waits for that too. errand->done() hears 0, -errno of the class, or -ESHUTDOWN when the
 * device is closed first; not before this returns.
 */
void device_reset_when_idle(struct fp_device *dev, struct device_errand *errand);

/* Detaches, closes and frees it; NULL is nothing. */
void device_close(struct fp_device *dev);

#endif
