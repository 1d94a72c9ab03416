/* SPDX-License-Identifier: BSD-3-Clause */
#include "virtio.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

/* Addresses are those that the client has mapped: an IOMMU's where there is one. */
#define FEATURES                                                                 \
	(1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_F_RING_PACKED |             \
	 1ull << VIRTIO_RING_F_EVENT_IDX | 1ull << VIRTIO_RING_F_INDIRECT_DESC | \
	 1ull << VIRTIO_F_ACCESS_PLATFORM | 1ull << VIRTIO_F_ORDER_PLATFORM)

/* Lines about what a client's guest has done wrong. */
#define MAX_SAID 16u

/* ---- status ---- */

bool virtio_is_live(const struct virtio *virtio)
{
	return virtio->status & VIRTIO_CONFIG_S_DRIVER_OK && !virtio->is_resetting &&
	       !(virtio->status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static bool is_idle(const struct virtio *virtio)
{
	for (uint16_t i = 0; i < virtio->nr_queues; i++)
		if (!virtqueue_is_idle(&virtio->queues[i]))
			return false;
	return true;
}

static void reset(struct virtio *virtio)
{
	bool was_live = virtio->status & VIRTIO_CONFIG_S_DRIVER_OK;

	virtio->status = 0;
	virtio->is_resetting = false;
	virtio_take_isr(virtio);
	virtio->accepted = 0;
	virtio->offered_select = virtio->accepted_select = 0;
	virtio->queue_select = 0;
	virtio->config_vector = VIRTQUEUE_NO_VECTOR;
	for (uint16_t i = 0; i < virtio->nr_queues; i++)
		virtqueue_reset(&virtio->queues[i]);
	if (was_live && virtio->ops->live)
		virtio->ops->live(virtio, false);
}

void virtio_settle(struct virtio *virtio)
{
	struct fp_access *access = virtio->resetting;

	if (!virtio->is_resetting || !is_idle(virtio))
		return;
	virtio->resetting = NULL;
	reset(virtio);
	if (access)
		fp_finish(virtio->dev, access, 0);
}

/* The driver may use the memory for something else once it has its answer. */
static int begin_reset(struct virtio *virtio, struct fp_access *access)
{
	if (is_idle(virtio)) {
		reset(virtio);
		return 0;
	}
	virtio->resetting = fp_defer(virtio->dev, access);
	if (!virtio->resetting)
		return -ENOMEM;
	virtio->is_resetting = true;
	return FP_LATER;
}

static void become_live(struct virtio *virtio)
{
	if (virtio->ops->live)
		virtio->ops->live(virtio, true);
	for (uint16_t i = 0; i < virtio->nr_queues; i++)
		virtqueue_look(&virtio->queues[i]);
}

/* 2.2: what the driver takes has to have been offered. */
static bool features_are_ok(const struct virtio *virtio)
{
	return !(virtio->accepted & ~virtio->offered) && virtio_has(virtio, VIRTIO_F_VERSION_1);
}

int virtio_set_status(struct virtio *virtio, struct fp_access *access, uint8_t status)
{
	uint8_t before = virtio->status;
	const uint8_t keeps = VIRTIO_CONFIG_S_NEEDS_RESET;

	if (!status)
		return begin_reset(virtio, access);
	if (!(before & VIRTIO_CONFIG_S_FEATURES_OK) &&
	    (!features_are_ok(virtio) || status & VIRTIO_CONFIG_S_DRIVER_OK))
		status &= (uint8_t) ~(VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
	/* "The driver MUST NOT clear a device status bit", and only the device sets this one. */
	virtio->status = (uint8_t)(before | (status & ~keeps));
	if (virtio->status & ~before & VIRTIO_CONFIG_S_DRIVER_OK)
		become_live(virtio);
	return 0;
}

/* ---- interrupts ---- */

void virtio_interrupt(struct virtio *virtio, uint16_t vector, uint8_t isr)
{
	if (vector != VIRTQUEUE_NO_VECTOR) {
		fp_irq_trigger(virtio->dev, FP_MSIX, vector);
		return;
	}
	/* A client with MSI-X has not asked for this one. */
	virtio->isr |= isr;
	fp_irq_level(virtio->dev, true);
}

uint8_t virtio_take_isr(struct virtio *virtio)
{
	uint8_t isr = virtio->isr;

	virtio->isr = 0;
	fp_irq_level(virtio->dev, false);
	return isr;
}

void virtio_config_changed(struct virtio *virtio)
{
	virtio->generation++;
	if (virtio->status & VIRTIO_CONFIG_S_DRIVER_OK)
		virtio_interrupt(virtio, virtio->config_vector, VIRTIO_ISR_CONFIG);
}

void virtio_needs_reset(struct virtio *virtio, uint16_t queue, const char *why)
{
	bool is_new = !(virtio->status & VIRTIO_CONFIG_S_NEEDS_RESET);

	if (is_new && virtio->said < MAX_SAID) {
		virtio->said++;
		fp_error(virtio->dev, "queue %u: %s: the device needs a reset", queue, why);
	}
	virtio->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	if (is_new)
		virtio_config_changed(virtio);
}

/* ---- life ---- */

int virtio_init(struct virtio *virtio, struct fp_device *dev, const struct virtio_ops *ops,
		uint16_t nr, size_t bytes)
{
	virtio->dev = dev;
	virtio->ops = ops;
	virtio->offered = FEATURES | ops->features;
	virtio->config_vector = VIRTQUEUE_NO_VECTOR;
	virtio->config_bytes = bytes;
	virtio->config = fp_alloc(dev, bytes ? bytes : 1);
	virtio->queues = fp_alloc(dev, nr * sizeof(*virtio->queues));
	if (!virtio->config || !virtio->queues)
		return -ENOMEM;
	virtio->nr_queues = nr;
	for (uint16_t i = 0; i < nr; i++)
		virtqueue_init(&virtio->queues[i], virtio, i);
	return 0;
}

int virtio_on_reset(struct fp_device *dev)
{
	reset(fp_state(dev));
	return 0;
}

void virtio_on_close(struct fp_device *dev)
{
	struct virtio *virtio = fp_state(dev);

	for (uint16_t i = 0; i < virtio->nr_queues; i++)
		virtqueue_close(&virtio->queues[i]);
}

static void go_on(struct virtio *virtio)
{
	for (uint16_t i = 0; i < virtio->nr_queues; i++)
		virtqueue_look(&virtio->queues[i]);
}

void virtio_on_event(struct fp_device *dev, enum fp_event event, const struct fp_window *window)
{
	struct virtio *virtio = fp_state(dev);

	(void)window;
	switch (event) {
	case FP_CLIENT_CAME:
		virtio->said = 0;
		break;
	case FP_CLIENT_GONE:
		/* What is under way is of memory that is not there any more. */
		if (!is_idle(virtio))
			virtio->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
		break;
	case FP_STANDS:
		virtio->stands = true;
		for (uint16_t i = 0; i < virtio->nr_queues; i++)
			fp_timer_stop(&virtio->queues[i].again);
		break;
	case FP_RUNS:
		virtio->stands = false;
		go_on(virtio);
		break;
	default:
		break;
	}
}

/* ---- migration ---- */

#define STATE_VERSION 1

struct saved {
	uint32_t version;
	uint16_t nr_queues;
	uint16_t config_vector;
	uint64_t accepted;
	uint32_t offered_select;
	uint32_t accepted_select;
	uint16_t queue_select;
	uint8_t status;
	uint8_t isr;
	uint8_t generation;
	uint8_t zeros[3];
};

struct saved_queue {
	uint64_t desc, driver, device;
	uint16_t size;
	uint16_t vector;
	uint16_t next_avail;
	uint16_t next_used;
	uint8_t enabled;
	uint8_t avail_wrap;
	uint8_t used_wrap;
	uint8_t zeros[5];
};

int virtio_on_save(struct fp_device *dev, struct fp_stream *to)
{
	const struct virtio *virtio = fp_state(dev);
	struct saved saved = {
		.version = STATE_VERSION,
		.nr_queues = virtio->nr_queues,
		.config_vector = virtio->config_vector,
		.accepted = virtio->accepted,
		.offered_select = virtio->offered_select,
		.accepted_select = virtio->accepted_select,
		.queue_select = virtio->queue_select,
		.status = virtio->status,
		.isr = virtio->isr,
		.generation = virtio->generation,
	};

	if (!is_idle(virtio))
		return -EBUSY;
	fp_stream_write(to, &saved, sizeof(saved));
	for (uint16_t i = 0; i < virtio->nr_queues; i++) {
		const struct virtqueue *vq = &virtio->queues[i];
		const struct saved_queue queue = {
			.desc = vq->desc,
			.driver = vq->driver,
			.device = vq->device,
			.size = vq->size,
			.vector = vq->vector,
			.next_avail = vq->next_avail,
			.next_used = vq->next_used,
			.enabled = vq->enabled,
			.avail_wrap = vq->avail_wrap,
			.used_wrap = vq->used_wrap,
		};

		fp_stream_write(to, &queue, sizeof(queue));
	}
	return 0; /* a stream remembers its errors */
}

static int load_queue(struct virtqueue *vq, const struct saved_queue *saved)
{
	bool is_packed = virtio_has(vq->virtio, VIRTIO_F_RING_PACKED);

	if (saved->size > VIRTQUEUE_MAX_SIZE || saved->enabled > 1 || saved->avail_wrap > 1 ||
	    saved->used_wrap > 1)
		return -EINVAL;
	vq->desc = saved->desc;
	vq->driver = saved->driver;
	vq->device = saved->device;
	vq->size = saved->size;
	vq->vector = saved->vector;
	if (saved->enabled && virtqueue_enable(vq))
		return -EINVAL;
	if (is_packed && vq->enabled &&
	    (saved->next_avail >= saved->size || saved->next_used >= saved->size))
		return -EINVAL;
	vq->next_avail = vq->seen_avail = saved->next_avail;
	vq->next_used = saved->next_used;
	vq->avail_wrap = saved->avail_wrap;
	vq->used_wrap = saved->used_wrap;
	return 0;
}

int virtio_on_load(struct fp_device *dev, struct fp_stream *from)
{
	struct virtio *virtio = fp_state(dev);
	struct saved saved;
	int ret = 0;

	reset(virtio);
	if (fp_stream_read(from, &saved, sizeof(saved)) || saved.version != STATE_VERSION ||
	    saved.nr_queues != virtio->nr_queues)
		return -EINVAL;
	if (saved.status & VIRTIO_CONFIG_S_FEATURES_OK && saved.accepted & ~virtio->offered)
		return -EINVAL; /* the guest would go on with what is not here */
	virtio->accepted = saved.accepted;
	for (uint16_t i = 0; i < virtio->nr_queues && !ret; i++) {
		struct saved_queue queue;

		ret = fp_stream_read(from, &queue, sizeof(queue));
		if (!ret)
			ret = load_queue(&virtio->queues[i], &queue);
	}
	virtio->config_vector = saved.config_vector;
	virtio->offered_select = saved.offered_select;
	virtio->accepted_select = saved.accepted_select;
	virtio->queue_select = saved.queue_select;
	virtio->isr = saved.isr;
	fp_irq_level(virtio->dev, virtio->isr);
	virtio->generation = saved.generation;
	virtio->status = ret ? 0 : saved.status;
	if (!ret && saved.status & VIRTIO_CONFIG_S_DRIVER_OK && virtio->ops->live)
		virtio->ops->live(virtio, true);
	return ret;
}
