/* SPDX-License-Identifier: BSD-3-Clause */
#include "virtio_pci.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>

#define VENDOR 0x1af4u
#define FIRST_DEVICE 0x1040u

/* What is behind the end of <linux/virtio_pci.h>'s structure: 4.1.4.3. */
#define COMMON_BYTES 60u

/* ---- the common configuration: 4.1.4.3 ---- */

/* Who is there when there is none of that number: size 0, and writes get nowhere. */
static struct virtqueue *selected(struct virtio *virtio)
{
	return virtio->queue_select < virtio->nr_queues ? &virtio->queues[virtio->queue_select] :
							  NULL;
}

static void fill_queue(const struct virtqueue *vq, struct virtio_pci_common_cfg *common)
{
	common->queue_size = vq->size;
	common->queue_msix_vector = vq->vector;
	common->queue_enable = vq->enabled;
	common->queue_notify_off = vq->index;
	common->queue_desc_lo = (uint32_t)vq->desc;
	common->queue_desc_hi = (uint32_t)(vq->desc >> 32);
	common->queue_avail_lo = (uint32_t)vq->driver;
	common->queue_avail_hi = (uint32_t)(vq->driver >> 32);
	common->queue_used_lo = (uint32_t)vq->device;
	common->queue_used_hi = (uint32_t)(vq->device >> 32);
}

static uint32_t half(uint64_t features, uint32_t select)
{
	return select < 2 ? (uint32_t)(features >> (32 * select)) : 0;
}

static void read_common(struct virtio *virtio, struct fp_access *access)
{
	union {
		struct virtio_pci_common_cfg common;
		uint8_t bytes[COMMON_BYTES];
	} all = {
		.common = {
			.device_feature_select = virtio->offered_select,
			.device_feature = half(virtio->offered, virtio->offered_select),
			.guest_feature_select = virtio->accepted_select,
			.guest_feature = half(virtio->accepted, virtio->accepted_select),
			.msix_config = virtio->config_vector,
			.num_queues = virtio->nr_queues,
			.device_status = virtio->status,
			.config_generation = virtio->generation,
			.queue_select = virtio->queue_select,
			.queue_msix_vector = VIRTQUEUE_NO_VECTOR,
		},
	};
	const struct virtqueue *vq = selected(virtio);

	if (vq)
		fill_queue(vq, &all.common);
	fp_access_memory(access, VIRTIO_BAR_COMMON, &all, sizeof(all));
}

static void set_offered_select(struct virtio *virtio, uint32_t value)
{
	virtio->offered_select = value;
}

static void set_accepted_select(struct virtio *virtio, uint32_t value)
{
	virtio->accepted_select = value;
}

static void set_accepted(struct virtio *virtio, uint32_t value)
{
	unsigned int shift = 32 * virtio->accepted_select;

	if (virtio->accepted_select > 1 || virtio->status & VIRTIO_CONFIG_S_FEATURES_OK)
		return;
	virtio->accepted &= ~((uint64_t)UINT32_MAX << shift);
	virtio->accepted |= (uint64_t)value << shift;
}

/* "On failure the device MUST read back NO_VECTOR": there is one a queue, and one. */
static uint16_t checked_vector(const struct virtio *virtio, uint32_t value)
{
	return value <= virtio->nr_queues ? (uint16_t)value : VIRTQUEUE_NO_VECTOR;
}

static void set_config_vector(struct virtio *virtio, uint32_t value)
{
	virtio->config_vector = checked_vector(virtio, value);
}

static void set_queue_select(struct virtio *virtio, uint32_t value)
{
	virtio->queue_select = (uint16_t)value;
}

static void set_queue_vector(struct virtio *virtio, uint32_t value)
{
	struct virtqueue *vq = selected(virtio);

	if (vq)
		vq->vector = checked_vector(virtio, value);
}

static void set_queue_size(struct virtio *virtio, uint32_t value)
{
	struct virtqueue *vq = selected(virtio);

	if (vq && !vq->enabled && value <= VIRTQUEUE_MAX_SIZE)
		vq->size = (uint16_t)value;
}

static void set_queue_enable(struct virtio *virtio, uint32_t value)
{
	struct virtqueue *vq = selected(virtio);
	const char *why;

	if (!vq || vq->enabled || value != 1 || !(virtio->status & VIRTIO_CONFIG_S_FEATURES_OK))
		return;
	why = virtqueue_enable(vq);
	if (why)
		virtio_needs_reset(virtio, vq->index, why);
	else
		virtqueue_look(vq);
}

static void set_address(struct virtio *virtio, size_t field, unsigned int shift, uint32_t value)
{
	struct virtqueue *vq = selected(virtio);
	uint64_t *address;

	if (!vq || vq->enabled)
		return;
	address = (uint64_t *)((char *)vq + field);
	*address = (*address & ~((uint64_t)UINT32_MAX << shift)) | (uint64_t)value << shift;
}

/* What can be written. Of two kinds: a function, or half of an address. */
static const struct reg {
	uint8_t at;
	uint8_t bytes;
	void (*set)(struct virtio *virtio, uint32_t value);
	size_t address;
	unsigned int shift;
} registers[] = {
	{ VIRTIO_PCI_COMMON_DFSELECT, 4, set_offered_select, 0, 0 },
	{ VIRTIO_PCI_COMMON_GFSELECT, 4, set_accepted_select, 0, 0 },
	{ VIRTIO_PCI_COMMON_GF, 4, set_accepted, 0, 0 },
	{ VIRTIO_PCI_COMMON_MSIX, 2, set_config_vector, 0, 0 },
	{ VIRTIO_PCI_COMMON_Q_SELECT, 2, set_queue_select, 0, 0 },
	{ VIRTIO_PCI_COMMON_Q_SIZE, 2, set_queue_size, 0, 0 },
	{ VIRTIO_PCI_COMMON_Q_MSIX, 2, set_queue_vector, 0, 0 },
	{ VIRTIO_PCI_COMMON_Q_ENABLE, 2, set_queue_enable, 0, 0 },
	{ VIRTIO_PCI_COMMON_Q_DESCLO, 4, NULL, offsetof(struct virtqueue, desc), 0 },
	{ VIRTIO_PCI_COMMON_Q_DESCHI, 4, NULL, offsetof(struct virtqueue, desc), 32 },
	{ VIRTIO_PCI_COMMON_Q_AVAILLO, 4, NULL, offsetof(struct virtqueue, driver), 0 },
	{ VIRTIO_PCI_COMMON_Q_AVAILHI, 4, NULL, offsetof(struct virtqueue, driver), 32 },
	{ VIRTIO_PCI_COMMON_Q_USEDLO, 4, NULL, offsetof(struct virtqueue, device), 0 },
	{ VIRTIO_PCI_COMMON_Q_USEDHI, 4, NULL, offsetof(struct virtqueue, device), 32 },
};

#define NR_REGISTERS (sizeof(registers) / sizeof(*registers))

/* Those that are written whole; nothing else is. */
static int write_common(struct virtio *virtio, struct fp_access *access)
{
	uint64_t end = access->offset + access->size;

	for (size_t i = 0; i < NR_REGISTERS; i++) {
		const struct reg *reg = &registers[i];
		uint32_t value = 0;

		if (reg->at < access->offset || reg->at + reg->bytes > end)
			continue;
		memcpy(&value, (uint8_t *)access->data + (reg->at - access->offset), reg->bytes);
		if (reg->set)
			reg->set(virtio, value);
		else
			set_address(virtio, reg->address, reg->shift, value);
	}
	if (access->offset == VIRTIO_PCI_COMMON_STATUS && access->size == 1)
		return virtio_set_status(virtio, access, (uint8_t)fp_access_value(access));
	return 0;
}

/* ---- the others ---- */

static void read_isr(struct virtio *virtio, struct fp_access *access)
{
	if (access->offset == VIRTIO_BAR_ISR)
		fp_access_answer(access, virtio_take_isr(virtio));
}

static void access_config(struct virtio *virtio, struct fp_access *access)
{
	uint64_t at = access->offset - VIRTIO_BAR_DEVICE;

	if (!access->write)
		fp_access_memory(access, VIRTIO_BAR_DEVICE, virtio->config, virtio->config_bytes);
	else if (virtio->ops->configured &&
		 fp_access_memory(access, VIRTIO_BAR_DEVICE, virtio->config, virtio->config_bytes))
		virtio->ops->configured(virtio, at, access->size);
}

static int access_bar(struct fp_device *dev, struct fp_access *access)
{
	struct virtio *virtio = fp_state(dev);

	if (access->doorbell)
		virtqueue_look(&virtio->queues[(access->offset - VIRTIO_BAR_NOTIFY) /
					       VIRTIO_BAR_NOTIFY_MULTIPLIER]);
	else if (access->offset < VIRTIO_BAR_ISR && access->write)
		return write_common(virtio, access);
	else if (access->offset < VIRTIO_BAR_ISR)
		read_common(virtio, access);
	else if (access->offset < VIRTIO_BAR_DEVICE && !access->write)
		read_isr(virtio, access);
	else if (access->offset >= VIRTIO_BAR_DEVICE && access->offset < VIRTIO_BAR_NOTIFY)
		access_config(virtio, access);
	return 0;
}

/* ---- capabilities: 4.1.4 ---- */

/* struct virtio_pci_cap behind what every capability begins with, and what notify's has more. */
struct cap {
	uint8_t cfg_type;
	uint8_t bar;
	uint8_t id;
	uint8_t padding[2];
	uint32_t offset;
	uint32_t length;
	uint32_t multiplier;
} __attribute__((packed));

#define PLAIN_BYTES offsetof(struct cap, multiplier)

static int add_caps(struct virtio *virtio, struct fp_class *own)
{
	struct cap *data = fp_alloc(virtio->dev, 4 * sizeof(*data));
	struct fp_pci_cap *caps = fp_alloc(virtio->dev, 4 * sizeof(*caps));

	if (!data || !caps)
		return -ENOMEM;
	data[0] = (struct cap){ .cfg_type = VIRTIO_PCI_CAP_COMMON_CFG,
				.offset = VIRTIO_BAR_COMMON,
				.length = COMMON_BYTES };
	data[1] = (struct cap){ .cfg_type = VIRTIO_PCI_CAP_NOTIFY_CFG,
				.offset = VIRTIO_BAR_NOTIFY,
				.length = virtio->nr_queues * VIRTIO_BAR_NOTIFY_MULTIPLIER,
				.multiplier = VIRTIO_BAR_NOTIFY_MULTIPLIER };
	data[2] = (struct cap){ .cfg_type = VIRTIO_PCI_CAP_ISR_CFG,
				.offset = VIRTIO_BAR_ISR,
				.length = 1 };
	data[3] = (struct cap){ .cfg_type = VIRTIO_PCI_CAP_DEVICE_CFG,
				.offset = VIRTIO_BAR_DEVICE,
				.length = (uint32_t)virtio->config_bytes };
	for (unsigned int i = 0; i < 4; i++)
		caps[i] = (struct fp_pci_cap){
			.data = &data[i],
			.size = data[i].multiplier ? sizeof(*data) : PLAIN_BYTES,
		};
	own->pci.vendor_caps = caps;
	/* A device without a configuration has no place for it. */
	own->pci.nr_vendor_caps = virtio->config_bytes ? 4 : 3;
	return 0;
}

static int add_doorbells(struct virtio *virtio, struct fp_class *own)
{
	struct fp_doorbell *doorbells =
		fp_alloc(virtio->dev, virtio->nr_queues * sizeof(*doorbells));

	if (!doorbells)
		return -ENOMEM;
	for (uint16_t i = 0; i < virtio->nr_queues; i++)
		doorbells[i] = (struct fp_doorbell){
			.offset = VIRTIO_BAR_NOTIFY + i * VIRTIO_BAR_NOTIFY_MULTIPLIER,
		};
	own->regions[FP_BAR0] = (struct fp_region){
		.size = VIRTIO_BAR_BYTES,
		.access = access_bar,
		.doorbells = doorbells,
		.nr_doorbells = virtio->nr_queues,
	};
	return 0;
}

int virtio_pci_configure(struct virtio *virtio, struct fp_class *own, uint16_t type,
			 uint32_t class_code)
{
	int ret = add_caps(virtio, own);

	own->pci.vendor = VENDOR;
	own->pci.device = (uint16_t)(FIRST_DEVICE + type);
	own->pci.subsystem_vendor = VENDOR;
	own->pci.subsystem = (uint16_t)(FIRST_DEVICE + type);
	own->pci.revision = 1;
	own->pci.class_code = class_code;
	own->pci.msix_bar = FP_BAR1;
	own->irqs[FP_INTX] = 1;
	own->irqs[FP_MSIX] = virtio->nr_queues + 1u;
	return ret ? ret : add_doorbells(virtio, own);
}
