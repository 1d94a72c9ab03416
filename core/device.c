/* SPDX-License-Identifier: BSD-3-Clause */
#include "device.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cleanup.h"
#include "log.h"
#include "region.h"

/* Lines about windows that failed, for each client. */
#define MAX_FAILED_LOGGED 32

/* ---- keys ---- */

const struct fp_key *device_key(const struct fp_class *class_, const char *name)
{
	for (const struct fp_key *key = class_->keys; key && key->name; key++)
		if (!strcmp(key->name, name))
			return key;
	return NULL;
}

static int set_string(struct fp_device *dev, void *at, const char *value)
{
	size_t size = strlen(value) + 1;
	char *copy = fp_alloc(dev, size);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, value, size);
	*(const char **)at = copy;
	return 0;
}

static int set_u64(void *at, const char *value)
{
	char *end;

	errno = 0;
	*(uint64_t *)at = strtoull(value, &end, 0);
	return errno || end == value || *end || *value == '-' ? -EINVAL : 0;
}

static int set_bool(void *at, const char *value)
{
	bool on = !strcmp(value, "on");

	*(bool *)at = on;
	return on || !strcmp(value, "off") ? 0 : -EINVAL;
}

static int set_option(struct fp_device *dev, const struct keyval *option)
{
	static const char *const wants[] = {
		[FP_KEY_U64] = "a number",
		[FP_KEY_BOOL] = "on or off",
		[FP_KEY_STRING] = "text",
	};
	const struct fp_key *key = device_key(dev->class_, option->key);
	uint8_t *at;
	int ret = -EINVAL;

	if (!key) {
		log_error("--device %s: it has no key '%s'", dev->class_->name, option->key);
		return -EINVAL;
	}
	at = (uint8_t *)dev->state + key->offset;
	switch (key->type) {
	case FP_KEY_U64:
		ret = set_u64(at, option->value);
		break;
	case FP_KEY_BOOL:
		ret = set_bool(at, option->value);
		break;
	case FP_KEY_STRING:
		ret = set_string(dev, at, option->value);
		break;
	}
	if (ret)
		log_error("--device %s: %s=%s: wants %s", dev->class_->name, option->key,
			  option->value, wants[key->type]);
	return ret;
}

/* ---- what the core keeps for every device ---- */

/* What fp_alloc() gave, freed with the device. */
struct device_memory {
	struct device_memory *next;
	max_align_t bytes[];
};

void *fp_alloc(struct fp_device *dev, size_t bytes)
{
	struct device_memory *memory =
		bytes <= SIZE_MAX / 2 ? calloc(1, sizeof(*memory) + bytes) : NULL;

	if (!memory)
		return NULL;
	memory->next = dev->memory;
	dev->memory = memory;
	return memory->bytes;
}

int fp_allow_path(struct fp_device *dev, const char *path, unsigned int what)
{
	size_t size = strlen(path) + 1;
	struct device_path *allowed = fp_alloc(dev, sizeof(*allowed) + size);

	if (!allowed)
		return -ENOMEM;
	allowed->what = what;
	memcpy(allowed->path, path, size);
	allowed->next = dev->paths;
	dev->paths = allowed;
	return 0;
}

void fp_keep_capability(struct fp_device *dev, unsigned int capability)
{
	if (capability < 64)
		dev->capabilities |= 1ull << capability;
}

static void free_memory(struct fp_device *dev)
{
	while (dev->memory) {
		struct device_memory *memory = dev->memory;

		dev->memory = memory->next;
		free(memory);
	}
}

static int config_access(struct fp_device *dev, struct fp_access *access)
{
	pci_access(&dev->pci, access);
	return 0;
}

static void tell(struct fp_device *dev, enum fp_event event, const struct fp_window *window)
{
	if (dev->class_->event)
		dev->class_->event(dev, event, window);
}

static void log_failed(struct fp_device *dev, const struct fp_window *window)
{
	if (dev->failed_windows == MAX_FAILED_LOGGED)
		log_warn("%s: this client's further windows that fail are not logged", dev->name);
	if (dev->failed_windows++ < MAX_FAILED_LOGGED && allowance_take(&dev->lines, dev->name))
		log_warn(
			"%s: the client has cut short the file of its window at 0x%llx, 0x%llx bytes",
			dev->name, (unsigned long long)window->iova,
			(unsigned long long)window->size);
}

static void window_event(struct dma *dma, enum fp_event event, const struct fp_window *window)
{
	struct fp_device *dev = (struct fp_device *)((char *)dma - offsetof(struct fp_device, dma));

	if (event == FP_WINDOW_FAILED)
		log_failed(dev, window);
	if (dev->link) /* else they go with the client, and that is told */
		observe_window(dev, event, window->iova, window->size);
	tell(dev, event, window);
}

static void look_at_memory(struct ring_hook *hook)
{
	struct fp_device *dev =
		(struct fp_device *)((char *)hook - offsetof(struct fp_device, look_at_memory));

	dma_tell_failed(&dev->dma);
}

static const char *limits_check(const struct fp_limits *limits)
{
	if (limits->max_msg_fds > RING_MAX_FDS)
		return "max_msg_fds is above 64";
	if (limits->max_data_xfer_size > WIRE_DEFAULT_MAX_DATA_XFER)
		return "max_data_xfer_size is above 1 MiB";
	if (limits->max_dma_maps > WIRE_DEFAULT_MAX_DMA_MAPS)
		return "max_dma_maps is above 65535";
	return NULL;
}

static void init_limits(struct fp_device *dev)
{
	const struct fp_limits *limits = &dev->class_->limits;

	dev->caps = caps_ours;
	if (limits->max_msg_fds)
		dev->caps.max_msg_fds = limits->max_msg_fds;
	if (limits->max_data_xfer_size)
		dev->caps.max_data_xfer_size = limits->max_data_xfer_size;
	if (limits->max_dma_maps)
		dev->caps.max_dma_maps = limits->max_dma_maps;
	if (limits->pgsizes)
		dev->caps.pgsizes = limits->pgsizes;
	dma_init(&dev->dma, dev->caps.max_dma_maps, dev->caps.pgsizes, window_event);
}

static int check_class(const struct fp_class *class_)
{
	const char *why;

	for (unsigned int i = 0; i < FP_MAX_REGIONS; i++) {
		why = region_check(i, &class_->regions[i]);
		if (why) {
			log_error("device class %s: region %u: %s", class_->name, i, why);
			return -EINVAL;
		}
	}
	why = pci_check(class_);
	if (!why)
		why = limits_check(&class_->limits);
	if (!why)
		return 0;
	log_error("device class %s: %s", class_->name, why);
	return -EINVAL;
}

/* PCI's nine are there also where they are empty; of the others those up to the last that is not. */
static uint32_t count_regions(const struct fp_class *class_)
{
	uint32_t nr = FP_MAX_REGIONS;

	while (nr > FP_NR_REGIONS && !class_->regions[nr - 1].size)
		nr--;
	return nr;
}

static int init_regions(struct fp_device *dev)
{
	int ret = check_class(dev->class_);

	if (ret)
		return ret;
	init_limits(dev);
	dev->nr_regions = count_regions(dev->class_);
	memcpy(dev->regions, dev->class_->regions, sizeof(dev->regions));
	pci_init(&dev->pci, dev->class_);
	dev->regions[FP_CONFIG] =
		(struct fp_region){ .size = dev->pci.size, .access = config_access };
	ret = pci_msix_open(dev);
	for (unsigned int i = 0; i < dev->nr_regions && !ret; i++)
		ret = region_open(dev, i);
	for (unsigned int i = 0; i < FP_NR_IRQS && !ret; i++) {
		ret = irq_open(&dev->irqs[i], dev->ring, i, dev->class_->irqs[i],
			       &dev->stats.irqs[i], &dev->short_name);
		dev->irqs[i].coalesces = dev->class_->irqs_coalesce;
	}
	return ret ? ret : migration_open(dev);
}

/* ---- life ---- */

/* Has a class whose shape depends on its keys fill in its copy. */
static int configure(struct fp_device *dev)
{
	if (!dev->class_->configure)
		return 0;
	dev->own = *dev->class_;
	dev->class_ = &dev->own;
	return dev->own.configure(dev, &dev->own);
}

static int init(struct fp_device *dev, const struct keyval *options, size_t nr_options)
{
	int ret;

	dev->state = calloc(1, dev->class_->state_bytes ? dev->class_->state_bytes : 1);
	if (!dev->state)
		return -ENOMEM;
	for (size_t i = 0; i < nr_options; i++) {
		ret = set_option(dev, &options[i]);
		if (ret)
			return ret;
	}
	ret = configure(dev);
	if (!ret)
		ret = init_regions(dev);
	if (!ret && dev->class_->open)
		ret = dev->class_->open(dev);
	return ret;
}

static void finish_errands(struct fp_device *dev, int ret)
{
	struct device_errand *errands = dev->errands;

	dev->errands = NULL;
	dev->errand_resets = false;
	while (errands) {
		struct device_errand *errand = errands;

		errands = errand->next;
		errand->done(errand, ret);
	}
}

/* From a hook, so that it is not within a handler that has just ended what was in flight. */
static void run_errands(struct ring_hook *hook)
{
	struct fp_device *dev =
		(struct fp_device *)((char *)hook - offsetof(struct fp_device, errand_hook));
	int ret;

	if (!dev->errands || device_is_busy(dev) || dev->is_resetting)
		return;
	ret = device_reset(dev);
	dev->errand_resets = ret == FP_LATER;
	if (dev->errand_resets)
		return;
	finish_errands(dev, ret);
	device_progress(dev);
}

void device_reset_when_idle(struct fp_device *dev, struct device_errand *errand)
{
	errand->next = dev->errands;
	dev->errands = errand;
	ring_before_submit(dev->ring, &dev->errand_hook);
}

void device_progress(struct fp_device *dev)
{
	iofd_progress(dev);
	if (dev->errands)
		ring_before_submit(dev->ring, &dev->errand_hook);
	if (dev->link)
		dev->link->progress(dev->link);
}

static void dispose(struct fp_device *dev)
{
	file_io_close(dev); /* of a device that could not be opened */
	ring_hook_drop(&dev->look_at_memory);
	ring_hook_drop(&dev->errand_hook);
	finish_errands(dev, -ESHUTDOWN);
	deferred_drop(dev);
	latency_free(&dev->latencies);
	migration_close(dev);
	for (unsigned int i = 0; i < FP_NR_IRQS; i++)
		irq_close(&dev->irqs[i]);
	for (unsigned int i = 0; i < dev->nr_regions; i++)
		region_close(dev, i);
	pci_msix_close(dev);
	free_memory(dev);
	free(dev->state);
	free(dev);
}

int device_open(const struct fp_class *class_, const char *name, struct ring *ring,
		const struct keyval *options, size_t nr_options, struct fp_device **out)
{
	struct fp_device *dev = calloc(1, sizeof(*dev));
	int ret;

	if (!dev)
		return -ENOMEM;
	latency_calibrate();
	dev->class_ = class_;
	dev->name = name;
	dev->short_name = class_->name;
	dev->ring = ring;
	dev->look_at_memory.run = look_at_memory;
	dev->errand_hook.run = run_errands;
	ret = init(dev, options, nr_options);
	if (ret)
		dispose(dev);
	else
		*out = dev;
	return ret;
}

void device_attach(struct fp_device *dev, bool irqs_by_message)
{
	for (unsigned int i = 0; irqs_by_message && i < FP_NR_IRQS; i++)
		irq_by_message(&dev->irqs[i], &dev->link->irqs);
	dev->has_client = true;
	tell(dev, FP_CLIENT_CAME, NULL);
}

void device_detach(struct fp_device *dev)
{
	dev->link = NULL;
	file_io_detach(dev);
	transfer_abandon(dev, -ENOTCONN);
	iofd_withdraw(dev);
	migration_detach(dev);
	dirty_stop(&dev->dirty);
	dma_unmap_all(&dev->dma);
	dev->failed_windows = 0;
	for (unsigned int i = 0; i < FP_NR_IRQS; i++)
		irq_forget(&dev->irqs[i]);
	if (dev->has_client)
		tell(dev, FP_CLIENT_GONE, NULL);
	dev->has_client = false;
	device_progress(dev);
}

int device_reset(struct fp_device *dev)
{
	int ret = 0;

	dev->stats.resets++;
	if (allowance_take_at(&dev->lines, dev->name, LOG_DEBUG))
		log_debug("%s: reset", dev->name);
	observe_reset(dev);
	migration_reset(dev);
	pci_reset(&dev->pci);
	pci_msix_reset(dev);
	fp_irq_level(dev, false);
	dev->is_resetting = true; /* it may be done before reset() returns */
	if (dev->class_->reset)
		ret = dev->class_->reset(dev);
	if (ret != FP_LATER)
		dev->is_resetting = false;
	if (!dev->is_resetting) {
		migration_tell(dev);
		iofd_progress(dev);
	}
	return ret == FP_LATER && !dev->is_resetting ? 0 : ret;
}

void fp_reset_done(struct fp_device *dev)
{
	if (!dev->is_resetting)
		return;
	dev->is_resetting = false;
	migration_tell(dev);
	iofd_progress(dev);
	if (dev->errand_resets)
		finish_errands(dev, 0);
	else if (dev->link)
		dev->link->reset_done(dev->link);
	device_progress(dev);
}

void device_close(struct fp_device *dev)
{
	if (!dev)
		return;
	device_detach(dev);
	file_io_close(dev);
	if (dev->class_->close)
		dev->class_->close(dev);
	dispose(dev);
}

/* ---- fastpath.h ---- */

void *fp_state(struct fp_device *dev)
{
	return dev->state;
}

void fp_error(struct fp_device *dev, const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	log_error("%s: %s", dev->name, text);
}

void fp_note(struct fp_device *dev, const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	log_info("%s: %s", dev->name, text);
}

void fp_pci_serial(struct fp_device *dev, uint64_t serial)
{
	pci_set_serial(&dev->pci, serial);
}

void *fp_dma(struct fp_device *dev, uint64_t iova, size_t len, bool write)
{
	void *at = dma_ptr(&dev->dma, iova, len, write);

	if (at && write)
		dirty_mark(&dev->dirty, iova, len);
	if (at) /* what comes of that is seen when the handlers have returned */
		ring_before_submit(dev->ring, &dev->look_at_memory);
	return at;
}

int fp_irq_level(struct fp_device *dev, bool high)
{
	int ret = irq_level(&dev->irqs[FP_INTX], high);

	if (!ret)
		pci_set_intx(&dev->pci, high);
	return ret;
}

bool fp_irq_wanted(const struct fp_device *dev, enum fp_irq_index index, uint32_t number)
{
	return (unsigned int)index < FP_NR_IRQS && irq_wanted(&dev->irqs[index], number);
}

int fp_irq_trigger(struct fp_device *dev, enum fp_irq_index index, uint32_t number)
{
	return (unsigned int)index < FP_NR_IRQS ? irq_trigger(&dev->irqs[index], number) : -EINVAL;
}
