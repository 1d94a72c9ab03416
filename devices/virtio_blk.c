/* SPDX-License-Identifier: BSD-3-Clause */
/* virtio-blk: a file or a block device as a disk (virtio 1.2, 5.2). */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>

#include "disk.h"
#include "virtio_pci.h"

#define SECTOR DISK_SECTOR

/* A header and a status go with the data. */
#define SEG_MAX (VIRTQUEUE_MAX_PIECES - 2)

/* Of one request; more is another one. */
#define MAX_RANGE (1u << 21) /* sectors, 1 GiB */

struct blk {
	struct virtio virtio; /* first */
	const char *serial;
	uint64_t nr_queues;
	struct disk disk;
};

/* An element's own. */
struct request {
	struct virtio_blk_outhdr header;
	struct virtio_blk_discard_write_zeroes range;
	char id[VIRTIO_BLK_ID_BYTES];
	uint64_t status_at; /* iova */
	uint8_t status;
	struct disk_op op;
};

static struct blk *blk_of(const struct virtio_element *element)
{
	return (struct blk *)element->vq->virtio;
}

static struct virtio_element *element_of(struct disk_op *op)
{
	struct request *request = (struct request *)((char *)op - offsetof(struct request, op));

	return (struct virtio_element *)request - 1; /* where its own is: behind it */
}

/* ---- the end of a request ---- */

static void finished(struct steps *steps)
{
	virtio_element_done(virtio_element_of(steps));
}

static void put_status(struct steps *steps)
{
	const struct request *request = virtio_element_of(steps)->own;

	steps_write(steps, request->status_at, &request->status, 1, finished);
}

static void finish(struct virtio_element *element, uint8_t status)
{
	struct request *request = element->own;

	request->status = status;
	element->written++;
	virtio_element_then(element, put_status);
}

/* What went wrong with the file is the driver's to hear; with its memory, the queue's end. */
static void finish_disk(struct disk_op *op, int ret)
{
	struct virtio_element *element = element_of(op);

	if (ret == -EFAULT || ret == -ENOTCONN)
		virtio_element_fail(element, "a buffer is not in memory");
	else
		finish(element, ret ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK);
}

/* ---- reading and writing ---- */

static bool is_within(const struct blk *blk, uint64_t sector, uint64_t sectors)
{
	return sector <= UINT64_MAX / SECTOR &&
	       disk_has(&blk->disk, sector * SECTOR, sectors * SECTOR);
}

static bool is_data(const struct blk *blk, const struct request *request, uint64_t bytes)
{
	return !(bytes % SECTOR) && bytes <= INT32_MAX &&
	       is_within(blk, request->header.sector, bytes / SECTOR);
}

static void do_read(struct blk *blk, struct virtio_element *element)
{
	struct request *request = element->own;

	if (!is_data(blk, request, element->in_bytes)) {
		finish(element, VIRTIO_BLK_S_IOERR);
		return;
	}
	element->written = (uint32_t)element->in_bytes;
	request->op.done = finish_disk;
	disk_read(&blk->disk, &request->op, request->header.sector * SECTOR, element->in,
		  element->nr_in, element->in_bytes);
}

/* "If the device does not offer, or the driver not accept, FLUSH": what is written is stable. */
static void do_write(struct blk *blk, struct virtio_element *element)
{
	struct request *request = element->own;

	if (blk->disk.readonly || !is_data(blk, request, element->out_bytes)) {
		finish(element, VIRTIO_BLK_S_IOERR);
		return;
	}
	request->op.done = finish_disk;
	disk_write(&blk->disk, &request->op, request->header.sector * SECTOR, element->out,
		   element->nr_out, element->out_bytes,
		   !virtio_has(&blk->virtio, VIRTIO_BLK_F_FLUSH));
}

static void do_flush(struct blk *blk, struct virtio_element *element)
{
	struct request *request = element->own;

	request->op.done = finish_disk;
	disk_flush(&blk->disk, &request->op);
}

/* ---- the serial number ---- */

static void wrote_id(struct steps *steps)
{
	finish(virtio_element_of(steps), VIRTIO_BLK_S_OK);
}

static void do_get_id(struct blk *blk, struct virtio_element *element)
{
	struct request *request = element->own;
	size_t len = sizeof(request->id);

	if (blk->serial)
		memcpy(request->id, blk->serial, strlen(blk->serial));
	virtio_element_write(element, request->id,
			     element->in_bytes < len ? (size_t)element->in_bytes : len, wrote_id);
}

/* ---- discarding and zeros ---- */

static uint8_t range_check(const struct blk *blk, const struct request *request, bool discards)
{
	const struct virtio_blk_discard_write_zeroes *range = &request->range;
	uint32_t known = discards ? 0 : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;

	if (range->flags & ~known)
		return VIRTIO_BLK_S_UNSUPP;
	return range->num_sectors <= MAX_RANGE &&
			       is_within(blk, range->sector, range->num_sectors) ?
		       VIRTIO_BLK_S_OK :
		       VIRTIO_BLK_S_IOERR;
}

static void has_range(struct steps *steps)
{
	struct virtio_element *element = virtio_element_of(steps);
	struct request *request = element->own;
	struct blk *blk = blk_of(element);
	bool discards = request->header.type == VIRTIO_BLK_T_DISCARD;
	uint8_t status = range_check(blk, request, discards);
	uint64_t at = request->range.sector * SECTOR;
	uint64_t bytes = (uint64_t)request->range.num_sectors * SECTOR;

	request->op.done = finish_disk;
	if (status || !bytes)
		finish(element, status);
	else if (discards)
		disk_discard(&blk->disk, &request->op, at, bytes);
	else
		disk_zero(&blk->disk, &request->op, at, bytes,
			  request->range.flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP, false);
}

/* One segment, as the configuration says. */
static void do_range(struct blk *blk, struct virtio_element *element)
{
	struct request *request = element->own;

	if (blk->disk.readonly || element->out_bytes != sizeof(request->range))
		finish(element, VIRTIO_BLK_S_IOERR);
	else
		virtio_element_read(element, &request->range, sizeof(request->range), has_range);
}

/* ---- requests ---- */

static const struct {
	uint32_t type;
	void (*run)(struct blk *blk, struct virtio_element *element);
} types[] = {
	{ VIRTIO_BLK_T_IN, do_read },	    { VIRTIO_BLK_T_OUT, do_write },
	{ VIRTIO_BLK_T_FLUSH, do_flush },   { VIRTIO_BLK_T_GET_ID, do_get_id },
	{ VIRTIO_BLK_T_DISCARD, do_range }, { VIRTIO_BLK_T_WRITE_ZEROES, do_range },
};

static void has_header(struct steps *steps)
{
	struct virtio_element *element = virtio_element_of(steps);
	const struct request *request = element->own;

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (types[i].type == request->header.type) {
			types[i].run(blk_of(element), element);
			return;
		}
	finish(element, VIRTIO_BLK_S_UNSUPP);
}

static void handle(struct virtio *virtio, struct virtio_element *element)
{
	struct request *request = element->own;

	(void)virtio;
	if (element->out_bytes < sizeof(request->header))
		virtio_element_fail(element, "a request without a header");
	else if (!virtio_element_tail(element, 1, &request->status_at))
		virtio_element_fail(element, "a request without a status");
	else
		virtio_element_read(element, &request->header, sizeof(request->header), has_header);
}

static const struct virtio_ops ops = {
	.features = 1ull << VIRTIO_BLK_F_SEG_MAX | 1ull << VIRTIO_BLK_F_BLK_SIZE |
		    1ull << VIRTIO_BLK_F_FLUSH,
	.element_bytes = sizeof(struct request),
	.handle = handle,
};

/* ---- life ---- */

static int check_keys(struct fp_device *dev, struct blk *blk)
{
	if (!blk->nr_queues)
		blk->nr_queues = 1;
	if (!blk->disk.path)
		fp_error(dev, "path= is needed: the file or block device");
	else if (blk->nr_queues > VIRTIO_MAX_QUEUES)
		fp_error(dev, "num-queues=%llu: 64 at most", (unsigned long long)blk->nr_queues);
	else if (blk->serial && strlen(blk->serial) > VIRTIO_BLK_ID_BYTES)
		fp_error(dev, "serial=%s: 20 bytes at most", blk->serial);
	else
		return 0;
	return -EINVAL;
}

static void fill_config(struct blk *blk)
{
	struct virtio_blk_config *config = blk->virtio.config;
	uint64_t *features = &blk->virtio.offered;

	*config = (struct virtio_blk_config){
		.capacity = blk->disk.bytes / SECTOR,
		.seg_max = SEG_MAX,
		.blk_size = SECTOR,
		.num_queues = (uint16_t)blk->nr_queues,
		.max_discard_sectors = MAX_RANGE,
		.max_discard_seg = 1,
		.discard_sector_alignment = 1,
		.max_write_zeroes_sectors = MAX_RANGE,
		.max_write_zeroes_seg = 1,
		.write_zeroes_may_unmap = 1,
	};
	if (blk->nr_queues > 1)
		*features |= 1ull << VIRTIO_BLK_F_MQ;
	if (blk->disk.readonly)
		*features |= 1ull << VIRTIO_BLK_F_RO;
	else
		*features |= 1ull << VIRTIO_BLK_F_DISCARD | 1ull << VIRTIO_BLK_F_WRITE_ZEROES;
}

static int configure(struct fp_device *dev, struct fp_class *own)
{
	struct blk *blk = fp_state(dev);
	int ret = check_keys(dev, blk);

	if (!ret)
		ret = virtio_init(&blk->virtio, dev, &ops, (uint16_t)blk->nr_queues,
				  sizeof(struct virtio_blk_config));
	return ret ? ret : virtio_pci_configure(&blk->virtio, own, VIRTIO_ID_BLOCK, 0x010000);
}

static int open_blk(struct fp_device *dev)
{
	struct blk *blk = fp_state(dev);
	int ret;

	blk->disk.key = "path";
	ret = disk_open(dev, &blk->disk);
	if (!ret)
		fill_config(blk);
	return ret;
}

static void close_blk(struct fp_device *dev)
{
	struct blk *blk = fp_state(dev);

	virtio_on_close(dev);
	disk_close(&blk->disk);
}

/* What was written is there for whoever opens the file at the other end. */
static int save(struct fp_device *dev, struct fp_stream *to)
{
	const struct blk *blk = fp_state(dev);
	uint64_t sectors = blk->disk.bytes / SECTOR;
	int ret = disk_settle(&blk->disk);

	if (ret)
		return ret;
	fp_stream_write(to, &sectors, sizeof(sectors));
	return virtio_on_save(dev, to);
}

static int load(struct fp_device *dev, struct fp_stream *from)
{
	const struct blk *blk = fp_state(dev);
	uint64_t here = blk->disk.bytes / SECTOR;
	uint64_t sectors;

	if (fp_stream_read(from, &sectors, sizeof(sectors)))
		return -EINVAL;
	if (sectors == here)
		return virtio_on_load(dev, from);
	fp_error(dev, "path=%s: the disk that migrates has %llu sectors, this has %llu",
		 blk->disk.path, (unsigned long long)sectors, (unsigned long long)here);
	return -EINVAL;
}

static const struct fp_key keys[] = {
	{ "path", FP_KEY_STRING, offsetof(struct blk, disk.path), "the file or block device" },
	{ "readonly", FP_KEY_BOOL, offsetof(struct blk, disk.readonly),
	  "on: it is not written to" },
	{ "direct", FP_KEY_BOOL, offsetof(struct blk, disk.direct),
	  "on: past the host's page cache" },
	{ "num-queues", FP_KEY_U64, offsetof(struct blk, nr_queues), "1 to 64; default 1" },
	{ "serial", FP_KEY_STRING, offsetof(struct blk, serial), "20 bytes at most" },
	{ 0 },
};

FP_DEVICE(virtio_blk) = {
	.name = "virtio-blk",
	.summary = "a file or block device as a disk",
	.state_bytes = sizeof(struct blk),
	.keys = keys,
	.needs = FP_NEEDS_FILES,
	.configure = configure,
	.open = open_blk,
	.reset = virtio_on_reset,
	.event = virtio_on_event,
	.save = save,
	.load = load,
	.close = close_blk,
};
