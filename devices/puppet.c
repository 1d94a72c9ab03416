/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * puppet: a device whose shape is a JSON file, which does nothing by itself and what a control
 * socket tells it; docs/puppet.md. For those who test clients.
 */
#include "puppet.h"

#include <errno.h>
#include <stdlib.h>

const struct puppet_region *puppet_region(const struct puppet *puppet, uint32_t index)
{
	for (size_t i = 0; i < puppet->shape.nr_regions; i++)
		if (puppet->shape.regions[i].index == index)
			return &puppet->shape.regions[i];
	return NULL;
}

const struct puppet_bell *puppet_bell(const struct puppet *puppet, const char *name)
{
	for (size_t i = 0; i < puppet->shape.nr_regions; i++)
		for (size_t j = 0; j < puppet->shape.regions[i].nr_bells; j++)
			if (!strcmp(puppet->shape.regions[i].bells[j].name, name))
				return &puppet->shape.regions[i].bells[j];
	return NULL;
}

static void note(struct puppet *puppet, enum puppet_seen seen)
{
	puppet_log_add(&puppet->log, &(struct puppet_entry){ .seen = seen });
}

/* ---- accesses ---- */

static void rang(struct fp_device *dev, const struct fp_access *access)
{
	struct puppet *puppet = fp_state(dev);
	const struct puppet_region *region = puppet_region(puppet, access->region);
	struct puppet_bell *bell = region->bells;

	/* Each is one of the class's, which lie in the shape's order. */
	while (bell->doorbell.offset != access->doorbell->offset ||
	       bell->doorbell.values != access->doorbell->values)
		bell++;
	bell->times += access->times;
	puppet_log_add(&puppet->log, &(struct puppet_entry){ .seen = PUPPET_RING,
							     .doorbell = bell->name,
							     .times = access->times,
							     .value = fp_access_value(access) });
	puppet_wait_look(dev);
}

static void answer(struct fp_device *dev, struct fp_access *access)
{
	struct puppet *puppet = fp_state(dev);
	struct puppet_entry entry = {
		.seen = PUPPET_ACCESS,
		.region = access->region,
		.write = access->write,
		.offset = access->offset,
		.size = access->size,
	};

	puppet_memory_copy(dev, &puppet->memory, access->region, access->offset, access->data,
			   access->size, access->write);
	memcpy(entry.bytes, access->data,
	       access->size < sizeof(entry.bytes) ? access->size : sizeof(entry.bytes));
	puppet_log_add(&puppet->log, &entry);
}

static int access_region(struct fp_device *dev, struct fp_access *access)
{
	struct puppet *puppet = fp_state(dev);
	int ret;

	if (access->doorbell) {
		rang(dev, access);
		return 0;
	}
	ret = puppet_later_take(dev, &puppet->later, access,
				puppet_region(puppet, access->region)->latency_us);
	if (!ret)
		answer(dev, access);
	else
		puppet_wait_look(dev);
	return ret;
}

/* ---- the client ---- */

static void opened(struct puppet *puppet, const struct fp_window *window)
{
	struct fp_window *grown =
		reallocarray(puppet->windows, puppet->nr_windows + 1, sizeof(*grown));

	if (!grown)
		return; /* it is in the log */
	puppet->windows = grown;
	grown[puppet->nr_windows++] = *window;
}

static void closed(struct puppet *puppet, const struct fp_window *window)
{
	size_t i = puppet->nr_windows;

	/* All are closed at the end, the last one first. */
	while (i && puppet->windows[i - 1].iova != window->iova)
		i--;
	if (!i)
		return;
	puppet->nr_windows--;
	memmove(&puppet->windows[i - 1], &puppet->windows[i],
		(puppet->nr_windows - (i - 1)) * sizeof(*window));
}

static void event(struct fp_device *dev, enum fp_event event, const struct fp_window *window)
{
	static const enum puppet_seen seen[] = {
		[FP_CLIENT_CAME] = PUPPET_CAME,	    [FP_CLIENT_GONE] = PUPPET_GONE,
		[FP_WINDOW_OPENED] = PUPPET_OPENED, [FP_WINDOW_CLOSED] = PUPPET_CLOSED,
		[FP_WINDOW_FAILED] = PUPPET_FAILED,
	};
	struct puppet *puppet = fp_state(dev);
	struct puppet_entry entry = { 0 };

	if (event > FP_WINDOW_FAILED)
		return; /* whether it runs its client knows: the client said so */
	entry.seen = seen[event];
	if (window)
		entry.window = *window;
	puppet_log_add(&puppet->log, &entry);
	if (event == FP_WINDOW_OPENED)
		opened(puppet, &entry.window);
	else if (event == FP_WINDOW_CLOSED)
		closed(puppet, &entry.window);
	else if (event == FP_CLIENT_GONE)
		puppet_later_let_go(dev, &puppet->later);
}

/* ---- life ---- */

static int save(struct fp_device *dev, struct fp_stream *to);
static int load(struct fp_device *dev, struct fp_stream *from);

static int configure(struct fp_device *dev, struct fp_class *own)
{
	struct puppet *puppet = fp_state(dev);
	int ret;

	if (!puppet->shape_path) {
		fp_error(dev, "it needs shape=FILE");
		return -EINVAL;
	}
	ret = puppet_shape_load(dev, puppet->shape_path, &puppet->shape);
	if (ret)
		return ret;
	own->save = puppet->shape.migration ? save : NULL;
	own->load = puppet->shape.migration ? load : NULL;
	return puppet_shape_apply(dev, &puppet->shape, access_region, own);
}

static int reset(struct fp_device *dev)
{
	struct puppet *puppet = fp_state(dev);

	puppet_memory_reset(dev, &puppet->memory);
	note(puppet, PUPPET_RESET);
	return 0;
}

static void close_puppet(struct fp_device *dev)
{
	struct puppet *puppet = fp_state(dev);

	puppet_control_close(puppet->control);
	puppet_wait_close(&puppet->waits);
	puppet_later_close(&puppet->later);
	puppet_memory_close(&puppet->memory);
	free(puppet->windows);
}

static int open_puppet(struct fp_device *dev)
{
	struct puppet *puppet = fp_state(dev);
	int ret = puppet_log_open(dev, &puppet->log);

	puppet->later.answer = answer;
	fp_pci_serial(dev, puppet->shape.serial);
	if (!ret)
		ret = puppet_memory_open(dev, &puppet->memory, &puppet->shape);
	if (ret)
		fp_error(dev, "its regions: %s", strerror(-ret));
	else if (puppet->control_path)
		ret = puppet_control_open(dev, puppet->control_path, &puppet->control);
	if (ret)
		close_puppet(dev);
	return ret;
}

/* ---- migration: what is in the regions, and what rang ---- */

static int save(struct fp_device *dev, struct fp_stream *to)
{
	struct puppet *puppet = fp_state(dev);

	for (size_t i = 0; i < puppet->shape.nr_regions; i++)
		for (size_t j = 0; j < puppet->shape.regions[i].nr_bells; j++)
			fp_stream_write(to, &puppet->shape.regions[i].bells[j].times,
					sizeof(uint64_t));
	note(puppet, PUPPET_SAVED);
	return puppet_memory_save(dev, &puppet->memory, to);
}

static int load(struct fp_device *dev, struct fp_stream *from)
{
	struct puppet *puppet = fp_state(dev);

	for (size_t i = 0; i < puppet->shape.nr_regions; i++)
		for (size_t j = 0; j < puppet->shape.regions[i].nr_bells; j++)
			if (fp_stream_read(from, &puppet->shape.regions[i].bells[j].times,
					   sizeof(uint64_t)))
				return -EINVAL;
	note(puppet, PUPPET_LOADED);
	return puppet_memory_load(dev, &puppet->memory, from);
}

/* ---- the device ---- */

static const struct fp_key keys[] = {
	{ "shape", FP_KEY_STRING, offsetof(struct puppet, shape_path),
	  "a JSON file that says what it is like; required" },
	{ "control", FP_KEY_STRING, offsetof(struct puppet, control_path),
	  "where to listen for requests, a line of JSON each" },
	{ 0 },
};

FP_DEVICE(puppet) = {
	.name = "puppet",
	.summary = "a device of any shape, to test clients with",
	.state_bytes = sizeof(struct puppet),
	.keys = keys,
	.configure = configure,
	.event = event,
	.open = open_puppet,
	.reset = reset,
	.close = close_puppet,
};
