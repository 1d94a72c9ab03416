/* SPDX-License-Identifier: BSD-3-Clause */
/* virtio-console: one port, to a terminal (virtio 1.2, 5.3). */
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>

#include "terminal.h"
#include "virtio_pci.h"

enum {
	RECEIVE,
	TRANSMIT,
	NR_QUEUES
};

#define CHUNK_BYTES 4096u /* of an element, at a time */

struct console {
	struct virtio virtio; /* first */
	struct terminal terminal;
};

/* ---- the guest ---- */

/* An element's own. */
struct chunk {
	uint32_t total;
	uint32_t len;
	uint8_t bytes[CHUNK_BYTES];
};

static bool wants(const struct virtqueue *vq)
{
	const struct console *console = (const struct console *)vq->virtio;

	return vq->index != RECEIVE || terminal_typed(&console->terminal);
}

static void was_received(struct steps *steps)
{
	virtio_element_done(virtio_element_of(steps));
}

static void receive(struct console *console, struct virtio_element *element)
{
	size_t most = element->in_bytes < CHUNK_BYTES ? (size_t)element->in_bytes : CHUNK_BYTES;
	size_t n = terminal_take(&console->terminal, element->own, most);

	if (n) /* by message it takes its time: from memory of its own */
		virtio_element_write(element, element->own, n, was_received);
	else
		virtio_element_fail(element, "nothing to receive to");
}

static void transmit(struct virtio_element *element);

static void was_taken(struct steps *steps)
{
	struct virtio_element *element = virtio_element_of(steps);
	struct console *console = (struct console *)element->vq->virtio;
	const struct chunk *chunk = element->own;

	terminal_put(&console->terminal, chunk->bytes, chunk->len);
	transmit(element);
}

/* No more than there could be room for: the rest of it would be lost anyway. */
static void transmit(struct virtio_element *element)
{
	struct chunk *chunk = element->own;

	chunk->len = element->out_bytes < CHUNK_BYTES ? (uint32_t)element->out_bytes : CHUNK_BYTES;
	chunk->total += chunk->len;
	if (!chunk->len || chunk->total > TERMINAL_OUT_BYTES)
		virtio_element_done(element);
	else
		virtio_element_read(element, chunk->bytes, chunk->len, was_taken);
}

static void handle(struct virtio *virtio, struct virtio_element *element)
{
	if (element->vq->index == RECEIVE)
		receive((struct console *)virtio, element);
	else
		transmit(element);
}

static const struct virtio_ops ops = {
	.element_bytes = sizeof(struct chunk),
	.handle = handle,
	.wants = wants,
};

/* ---- life ---- */

static void typed_in(struct terminal *terminal)
{
	struct console *console =
		(struct console *)((char *)terminal - offsetof(struct console, terminal));

	virtqueue_look(&console->virtio.queues[RECEIVE]);
}

static int open_console(struct fp_device *dev)
{
	struct console *console = fp_state(dev);

	console->terminal.typed_in = typed_in;
	return terminal_open(&console->terminal, dev);
}

static int configure(struct fp_device *dev, struct fp_class *own)
{
	struct console *console = fp_state(dev);
	int ret = virtio_init(&console->virtio, dev, &ops, NR_QUEUES,
			      sizeof(struct virtio_console_config));

	return ret ? ret : virtio_pci_configure(&console->virtio, own, VIRTIO_ID_CONSOLE, 0x078000);
}

static void close_console(struct fp_device *dev)
{
	virtio_on_close(dev);
	terminal_close(&((struct console *)fp_state(dev))->terminal);
}

/* ---- migration ---- */

static int save(struct fp_device *dev, struct fp_stream *to)
{
	terminal_save(&((struct console *)fp_state(dev))->terminal, to);
	return virtio_on_save(dev, to);
}

static int load(struct fp_device *dev, struct fp_stream *from)
{
	int ret = terminal_load(&((struct console *)fp_state(dev))->terminal, from);

	return ret ? ret : virtio_on_load(dev, from);
}

static const struct fp_key keys[] = {
	TERMINAL_KEYS(struct console, terminal),
	{ 0 },
};

FP_DEVICE(virtio_console) = {
	.name = "virtio-console",
	.summary = "a console at a terminal or socket",
	.state_bytes = sizeof(struct console),
	.keys = keys,
	TERMINAL_NEEDS,
	.configure = configure,
	.open = open_console,
	.reset = virtio_on_reset,
	.event = virtio_on_event,
	.save = save,
	.load = load,
	.close = close_console,
};
