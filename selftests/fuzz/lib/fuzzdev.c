/* SPDX-License-Identifier: BSD-3-Clause */
#include "fuzzdev.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fuzz.h"

#define MAX_LATER 40u
#define MAX_TRANSFERS 4u
#define TRANSFER_BYTES 8192u
#define STATE_BYTES 48u

struct transfer_buffer {
	struct fp_dma_op op;
	bool busy;
	uint8_t bytes[TRANSFER_BYTES];
};

struct fuzzdev {
	uint64_t iova;
	uint32_t mode;
	uint8_t scratch[STATE_BYTES]; /* what travels in a migration */
	uint64_t rung;
	struct fp_access *later[MAX_LATER];
	unsigned int nr_later;
	struct transfer_buffer transfers[MAX_TRANSFERS];
	struct fp_timer timer;
	struct fp_watch watch;
	int eventfd;
	unsigned int nr_windows;
	bool has_client;
	bool stands;
};

/* ---- answers that come later ---- */

static void forget(struct fuzzdev *fuzzdev, unsigned int i)
{
	fuzzdev->nr_later--;
	for (; i < fuzzdev->nr_later; i++)
		fuzzdev->later[i] = fuzzdev->later[i + 1];
}

bool fuzzdev_finish(struct fp_device *dev, unsigned int which, int ret)
{
	struct fuzzdev *fuzzdev = fp_state(dev);
	struct fp_access *access;

	if (!fuzzdev->nr_later)
		return false;
	which %= fuzzdev->nr_later;
	access = fuzzdev->later[which];
	forget(fuzzdev, which);
	if (!access->write && access->size)
		memset(access->data, 0x5a, access->size);
	fp_finish(dev, access, ret);
	return true;
}

bool fuzzdev_finish_all(struct fp_device *dev)
{
	bool found = dev->is_resetting;

	if (dev->is_resetting)
		fp_reset_done(dev);
	while (fuzzdev_finish(dev, 0, 0))
		found = true;
	return found;
}

static int defer(struct fp_device *dev, struct fp_access *access)
{
	struct fuzzdev *fuzzdev = fp_state(dev);
	struct fp_access *later;

	if (fuzzdev->nr_later == MAX_LATER)
		return -EBUSY;
	later = fp_defer(dev, access);
	if (!later)
		return -ENOMEM;
	fuzzdev->later[fuzzdev->nr_later++] = later;
	if (fuzzdev->mode & FUZZDEV_FINISHES_AT_ONCE)
		fuzzdev_finish(dev, fuzzdev->nr_later - 1, 0);
	return FP_LATER;
}

/* ---- guest memory ---- */

static void transferred(struct fp_device *dev, struct fp_dma_op *op, int ret)
{
	struct transfer_buffer *buffer =
		(struct transfer_buffer *)((char *)op - offsetof(struct transfer_buffer, op));

	buffer->busy = false;
	fp_irq_trigger(dev, FP_MSIX, ret ? 0 : 1);
}

static void start_transfer(struct fp_device *dev, uint32_t what)
{
	struct fuzzdev *fuzzdev = fp_state(dev);
	uint32_t len = what % (TRANSFER_BYTES + 1);

	for (unsigned int i = 0; i < MAX_TRANSFERS; i++) {
		struct transfer_buffer *buffer = &fuzzdev->transfers[i];

		if (buffer->busy)
			continue;
		buffer->busy = true;
		buffer->op.done = transferred;
		if (what & FUZZDEV_TO_GUEST)
			fp_dma_write(dev, &buffer->op, fuzzdev->iova, buffer->bytes, len);
		else
			fp_dma_read(dev, &buffer->op, fuzzdev->iova, buffer->bytes, len);
		return;
	}
}

static void touch(struct fp_device *dev, uint32_t what)
{
	struct fuzzdev *fuzzdev = fp_state(dev);
	size_t len = what & ~FUZZDEV_TO_GUEST;
	volatile uint8_t *at = fp_dma(dev, fuzzdev->iova, len, what & FUZZDEV_TO_GUEST);

	if (!at || !len)
		return;
	if (what & FUZZDEV_TO_GUEST)
		at[0] = at[len - 1] = 1;
	else
		fuzzdev->rung += at[0] + at[len - 1];
}

/* ---- the registers ---- */

static void expired(struct fp_device *dev, struct fp_timer *timer)
{
	(void)timer;
	fp_irq_trigger(dev, FP_INTX, 0);
}

static void ready(struct fp_device *dev, struct fp_watch *watch)
{
	struct fuzzdev *fuzzdev = fp_state(dev);
	uint64_t value;

	(void)watch;
	if (read(fuzzdev->eventfd, &value, sizeof(value)) == sizeof(value))
		fp_irq_trigger(dev, FP_MSI, 0);
}

static void start_watch(struct fp_device *dev)
{
	struct fuzzdev *fuzzdev = fp_state(dev);

	fuzzdev->watch.ready = ready;
	fp_watch_start(dev, &fuzzdev->watch, fuzzdev->eventfd);
	eventfd_write(fuzzdev->eventfd, 1);
}

static void write_register(struct fp_device *dev, uint64_t offset, uint64_t value)
{
	struct fuzzdev *fuzzdev = fp_state(dev);

	switch (offset) {
	case FUZZDEV_IOVA:
		fuzzdev->iova = value;
		break;
	case FUZZDEV_TRANSFER:
		start_transfer(dev, (uint32_t)value);
		break;
	case FUZZDEV_TOUCH:
		touch(dev, (uint32_t)value);
		break;
	case FUZZDEV_TRIGGER:
		fp_irq_trigger(dev, (enum fp_irq_index)(value >> 16 & 0xff), value & 0xffff);
		break;
	case FUZZDEV_TIMER:
		fuzzdev->timer.expired = expired;
		fp_timer_start(dev, &fuzzdev->timer, value & 0xffff);
		break;
	case FUZZDEV_WATCH:
		start_watch(dev);
		break;
	case FUZZDEV_MODE:
		fuzzdev->mode = (uint32_t)value;
		break;
	case FUZZDEV_FINISH:
		fuzzdev_finish(dev, (unsigned int)value, value & 1 ? -EIO : 0);
		break;
	}
}

static int ring(struct fp_device *dev, struct fp_access *access)
{
	struct fuzzdev *fuzzdev = fp_state(dev);

	fuzzdev->rung += access->times;
	if (fuzzdev->mode & FUZZDEV_RINGS_TRANSFER)
		start_transfer(dev, (uint32_t)access->times);
	if (fuzzdev->mode & FUZZDEV_RINGS_LATER)
		return defer(dev, access);
	return 0;
}

static bool is_within(const struct fp_access *access, uint64_t start)
{
	return access->offset >= start && access->offset < start + 0x100;
}

static int access_bar0(struct fp_device *dev, struct fp_access *access)
{
	struct fuzzdev *fuzzdev = fp_state(dev);

	if (access->doorbell)
		return ring(dev, access);
	if (is_within(access, FUZZDEV_LATER))
		return defer(dev, access);
	if (is_within(access, FUZZDEV_REFUSED))
		return -EIO;
	if (access->write)
		write_register(dev, access->offset, fp_access_value(access));
	else if (!fp_access_memory(access, 0x40, fuzzdev->scratch, sizeof(fuzzdev->scratch)))
		fp_access_answer(access, fuzzdev->rung);
	return 0;
}

static int access_plain(struct fp_device *dev, struct fp_access *access)
{
	if (access->doorbell)
		return ring(dev, access);
	if (!access->write)
		fp_access_answer(access, access->offset);
	return 0;
}

static int access_later(struct fp_device *dev, struct fp_access *access)
{
	return access->offset & 1 ? access_plain(dev, access) : defer(dev, access);
}

/* ---- life ---- */

static int open_fuzzdev(struct fp_device *dev)
{
	struct fuzzdev *fuzzdev = fp_state(dev);

	fuzzdev->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fp_pci_serial(dev, 0x0123456789abcdef);
	return fuzzdev->eventfd < 0 ? -errno : 0;
}

/* What is opened is closed, by the end of the client at the latest. */
static void event(struct fp_device *dev, enum fp_event event, const struct fp_window *window)
{
	struct fuzzdev *fuzzdev = fp_state(dev);

	fuzz_check(!window == (event < FP_WINDOW_OPENED || event > FP_WINDOW_FAILED),
		   "a window is told of where there is one");
	switch (event) {
	case FP_CLIENT_CAME:
		fuzz_check(!fuzzdev->has_client, "one client at a time");
		fuzzdev->has_client = true;
		break;
	case FP_CLIENT_GONE:
		fuzz_check(fuzzdev->has_client, "who goes has come");
		fuzzdev->has_client = false;
		break;
	case FP_WINDOW_OPENED:
		fuzzdev->nr_windows++;
		break;
	case FP_WINDOW_CLOSED:
		fuzz_check(fuzzdev->nr_windows--, "what is closed was open");
		break;
	case FP_WINDOW_FAILED:
		fuzz_check(fuzzdev->nr_windows && window->mapped, "what fails was open");
		break;
	case FP_STANDS:
	case FP_RUNS:
		fuzz_check(fuzzdev->stands == (event == FP_RUNS), "it is told of what changes");
		fuzzdev->stands = event == FP_STANDS;
		break;
	}
}

static int reset(struct fp_device *dev)
{
	struct fuzzdev *fuzzdev = fp_state(dev);
	bool later = fuzzdev->mode & FUZZDEV_RESETS_LATER;

	fp_timer_stop(&fuzzdev->timer);
	fuzzdev->iova = 0;
	fuzzdev->mode = 0;
	return later ? FP_LATER : 0;
}

static void close_fuzzdev(struct fp_device *dev)
{
	struct fuzzdev *fuzzdev = fp_state(dev);

	fuzz_check(!fuzzdev->nr_windows && !fuzzdev->has_client, "all has been closed before");
	fp_timer_stop(&fuzzdev->timer);
	fp_watch_stop(&fuzzdev->watch);
	close(fuzzdev->eventfd);
}

static int save(struct fp_device *dev, struct fp_stream *to)
{
	struct fuzzdev *fuzzdev = fp_state(dev);

	fp_stream_write(to, fuzzdev->scratch, sizeof(fuzzdev->scratch));
	return fuzzdev->mode & FUZZDEV_SAVE_FAILS ? -EIO : 0;
}

static int precopy(struct fp_device *dev, struct fp_stream *to)
{
	struct fuzzdev *fuzzdev = fp_state(dev);

	if (fuzzdev->mode & FUZZDEV_NO_EARLY)
		return 0;
	fp_stream_write(to, fuzzdev->scratch, sizeof(fuzzdev->scratch) / 2);
	return fuzzdev->mode & FUZZDEV_EARLY_FAILS ? -EIO : 0;
}

/* Early pieces come first, and what was saved last is what counts. */
static int load(struct fp_device *dev, struct fp_stream *from)
{
	struct fuzzdev *fuzzdev = fp_state(dev);
	size_t half = sizeof(fuzzdev->scratch) / 2;

	while (fp_stream_left(from) > sizeof(fuzzdev->scratch))
		if (fp_stream_read(from, fuzzdev->scratch, half))
			return -EINVAL;
	if (fp_stream_read(from, fuzzdev->scratch, sizeof(fuzzdev->scratch)))
		return -EINVAL;
	return fuzzdev->mode & FUZZDEV_LOAD_FAILS ? -EIO : 0;
}

static const struct fp_doorbell bar0_doorbells[] = {
	{ .offset = FUZZDEV_DOORBELLS },
	{ .offset = FUZZDEV_DOORBELLS + 8, .width = 4 },
	{ .offset = FUZZDEV_DOORBELLS + 16, .width = 2, FP_VALUES(1, 0) },
	{ .offset = FUZZDEV_DOORBELLS + 16, .width = 2, FP_VALUES(2) },
	{ .offset = FUZZDEV_DOORBELLS + 24, .width = 8, FP_VALUES(UINT64_MAX) },
};

static const struct fp_doorbell bar1_doorbells[] = {
	{ .offset = 0, .width = 1 },
	{ .offset = 2, .width = 2 },
};

static const struct fp_doorbell bar2_doorbells[] = { { .offset = 0x1000, .width = 4 } };

static const struct fp_span bar0_spans[] = {
	{ .offset = 0, .size = 0x100 },
	{ .offset = FUZZDEV_LATER, .size = 0x100, .posted = true, .group = 1 },
	{ .offset = FUZZDEV_REFUSED, .size = 0x100, .group = 1 },
	{ .offset = FUZZDEV_DOORBELLS, .posted = true },
};

static const struct fp_span bar1_spans[] = { { .offset = 4, .size = 8 } };

static const struct fp_area bar2_areas[] = { { 0, 0x1000 }, { 0x2000, 0x1000 } };

static const uint8_t cap_data[] = { 0, 'f', 'u', 'z', 'z' };
static const uint8_t cap_writable[] = { 0xff, 0, 0, 0, 0x0f };

static const struct fp_pci_cap caps[] = {
	{ .data = cap_data, .writable = cap_writable, .size = sizeof(cap_data) },
	{ .data = cap_data, .size = 1 },
};

FP_DEVICE(fuzzdev) = {
	.name = "fuzzdev",
	.summary = "does what it is told",
	.state_bytes = sizeof(struct fuzzdev),
	.pci = {
		.vendor = 0x1b36,
		.device = 0x0005,
		.class_code = 0x00ff00,
		.msix_bar = FP_BAR0,
		.msix_table = FUZZDEV_MSIX_TABLE,
		.msix_pba = FUZZDEV_MSIX_PBA,
		.capabilities = FP_PCI_PM | FP_PCI_EXPRESS | FP_PCI_SERIAL,
		.vendor_caps = caps,
		.nr_vendor_caps = 2,
	},
	.irqs = { [FP_INTX] = 1, [FP_MSI] = 4, [FP_MSIX] = 8, [FP_ERR] = 1, [FP_REQ] = 1 },
	.regions = {
		[FP_BAR0] = {
			.size = FUZZDEV_BAR0_BYTES,
			.access = access_bar0,
			.doorbells = bar0_doorbells,
			.nr_doorbells = sizeof(bar0_doorbells) / sizeof(*bar0_doorbells),
			.spans = bar0_spans,
			.nr_spans = sizeof(bar0_spans) / sizeof(*bar0_spans),
		},
		[FP_BAR1] = {
			.size = 16,
			.flags = FP_REGION_IO,
			.access = access_plain,
			.doorbells = bar1_doorbells,
			.nr_doorbells = sizeof(bar1_doorbells) / sizeof(*bar1_doorbells),
			.spans = bar1_spans,
			.nr_spans = sizeof(bar1_spans) / sizeof(*bar1_spans),
		},
		[FP_BAR2] = {
			.size = 0x4000,
			.flags = FP_REGION_64BIT | FP_REGION_PREFETCHABLE | FP_REGION_MMAP,
			.access = access_plain,
			.doorbells = bar2_doorbells,
			.nr_doorbells = 1,
			.areas = bar2_areas,
			.nr_areas = 2,
		},
		[FP_BAR4] = {
			.size = 0x1000,
			.flags = FP_REGION_INDEPENDENT,
			.access = access_later,
		},
		[FP_BAR5] = {
			.size = 0x1000,
			.flags = FP_REGION_INDEPENDENT,
			.access = access_later,
		},
		[FP_ROM] = {
			.size = 2048,
			.flags = FP_REGION_READ_ONLY,
			.access = access_plain,
		},
		[FP_OWN_REGION] = {
			.size = 0x1000,
			.flags = FP_REGION_MMAP,
			.file_offset = 0x1000,
			.subtype = 1,
		},
		[FP_OWN_REGION + 2] = {
			.size = FUZZDEV_LARGE_BYTES,
			.access = access_later,
			.type = 7,
		},
	},
	.event = event,
	.open = open_fuzzdev,
	.reset = reset,
	.close = close_fuzzdev,
	.save = save,
	.load = load,
	.precopy = precopy,
};

struct fp_device *fuzzdev_open(void)
{
	struct fp_device *dev;

	fuzz_check(!device_open(&fuzzdev_class, "fuzzdev", fuzz_ring(), NULL, 0, &dev),
		   "the device can be opened");
	return dev;
}
