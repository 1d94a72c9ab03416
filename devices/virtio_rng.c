/* SPDX-License-Identifier: BSD-3-Clause */
/* virtio-rng: the host's random numbers (virtio 1.2, 5.4). The smallest virtio device there is. */
#include <linux/virtio_ids.h>
#include <sys/random.h>

#include "virtio_pci.h"

/* What one element gets: a driver that wants more asks again. */
#define MAX_BYTES 256u

static void filled(struct steps *steps)
{
	virtio_element_done(virtio_element_of(steps));
}

static void handle(struct virtio *virtio, struct virtio_element *element)
{
	size_t len = element->in_bytes < MAX_BYTES ? (size_t)element->in_bytes : MAX_BYTES;

	(void)virtio;
	/* So few are always there at once, and whole, unless the host has only just been started. */
	if (!len || element->nr_out)
		virtio_element_fail(element, "an element that is not just for random numbers");
	else if (getrandom(element->own, len, GRND_NONBLOCK) != (ssize_t)len)
		virtio_element_fail(element, "the host has no random numbers yet");
	else
		virtio_element_write(element, element->own, len, filled);
}

static const struct virtio_ops ops = {
	.element_bytes = MAX_BYTES,
	.handle = handle,
};

static int configure(struct fp_device *dev, struct fp_class *own)
{
	struct virtio *virtio = fp_state(dev);
	int ret = virtio_init(virtio, dev, &ops, 1, 0);

	return ret ? ret : virtio_pci_configure(virtio, own, VIRTIO_ID_RNG, 0xff0000);
}

FP_DEVICE(virtio_rng) = {
	.name = "virtio-rng",
	.summary = "random numbers of the host",
	.state_bytes = sizeof(struct virtio),
	.configure = configure,
	.reset = virtio_on_reset,
	.event = virtio_on_event,
	.save = virtio_on_save,
	.load = virtio_on_load,
	.close = virtio_on_close,
};
