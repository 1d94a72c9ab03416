/* SPDX-License-Identifier: BSD-3-Clause */
/* virtio-blk: a file or a block device as a disk (virtio 1.2, 5.2). */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "virtio_pci.h"

#define SECTOR 512u

/* A header and a status go with the data. */
#define SEG_MAX (VIRTQUEUE_MAX_PIECES - 2)

/* Of one request; more is another one. */
#define MAX_RANGE (1u << 21) /* sectors, 1 GiB */

struct blk {
	struct virtio virtio; /* first */
	const char *path;
	const char *serial;
	bool readonly;
	uint64_t nr_queues;
	int fd;
	uint64_t sectors;
};

/* An element's own. */
struct request {
	struct virtio_blk_outhdr header;
	struct virtio_blk_discard_write_zeroes range;
	char id[VIRTIO_BLK_ID_BYTES];
	uint64_t status_at; /* iova */
	uint8_t status;
	size_t bytes; /* that are to go */
	struct fp_file_op op;
	/* Zeros that the file can't have in another way. */
	unsigned int way;
	uint64_t zeros_at, zeros_left;
	struct fp_piece zeros;
};

static struct blk *blk_of(const struct virtio_element *element)
{
	return (struct blk *)element->vq->virtio;
}

static struct virtio_element *element_of(struct fp_file_op *op)
{
	struct request *request = (struct request *)((char *)op - offsetof(struct request, op));

	return (struct virtio_element *)request - 1; /* where its own is: behind it */
}

/* ---- the end of a request ---- */

static void finished(struct virtio_steps *steps)
{
	virtio_element_done(virtio_element_of(steps));
}

static void put_status(struct virtio_steps *steps)
{
	const struct request *request = virtio_element_of(steps)->own;

	virtio_steps_write(steps, request->status_at, &request->status, 1, finished);
}

static void finish(struct virtio_element *element, uint8_t status)
{
	struct request *request = element->own;

	request->status = status;
	element->written++;
	virtio_element_then(element, put_status);
}

/* What went wrong with the file is the driver's to hear; with its memory, the queue's end. */
static void finish_file(struct virtio_element *element, int64_t ret)
{
	if (ret == -EFAULT || ret == -ENOTCONN)
		virtio_element_fail(element, "a buffer is not in memory");
	else
		finish(element, ret < 0 ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK);
}

static void synced(struct fp_device *dev, struct fp_file_op *op, int64_t ret)
{
	(void)dev;
	finish_file(element_of(op), ret);
}

/* ---- reading and writing ---- */

static bool is_within(const struct blk *blk, uint64_t sector, uint64_t sectors)
{
	return sector <= blk->sectors && sectors <= blk->sectors - sector;
}

static bool is_data(const struct blk *blk, const struct request *request, uint64_t bytes)
{
	return !(bytes % SECTOR) && bytes <= INT32_MAX &&
	       is_within(blk, request->header.sector, bytes / SECTOR);
}

static void was_read(struct fp_device *dev, struct fp_file_op *op, int64_t ret)
{
	struct virtio_element *element = element_of(op);
	const struct request *request = element->own;

	(void)dev;
	if (ret >= 0 && (size_t)ret != request->bytes)
		ret = -EIO; /* the file has become shorter */
	element->written = (uint32_t)request->bytes;
	finish_file(element, ret);
}

static void do_read(struct blk *blk, struct virtio_element *element)
{
	struct request *request = element->own;

	if (!is_data(blk, request, element->in_bytes)) {
		finish(element, VIRTIO_BLK_S_IOERR);
		return;
	}
	request->bytes = (size_t)element->in_bytes;
	request->op.done = was_read;
	fp_file_read(blk->virtio.dev, &request->op, blk->fd, request->header.sector * SECTOR,
		     element->in, element->nr_in);
}

/* "If the device does not offer, or the driver not accept, FLUSH": what is written is stable. */
static void was_written(struct fp_device *dev, struct fp_file_op *op, int64_t ret)
{
	struct virtio_element *element = element_of(op);
	struct request *request = element->own;
	struct blk *blk = blk_of(element);

	if (ret >= 0 && (size_t)ret != request->bytes)
		ret = -EIO;
	if (ret < 0 || virtio_has(&blk->virtio, VIRTIO_BLK_F_FLUSH)) {
		finish_file(element, ret);
		return;
	}
	op->done = synced;
	fp_file_sync(dev, op, blk->fd, true);
}

static void do_write(struct blk *blk, struct virtio_element *element)
{
	struct request *request = element->own;

	if (blk->readonly || !is_data(blk, request, element->out_bytes)) {
		finish(element, VIRTIO_BLK_S_IOERR);
		return;
	}
	request->bytes = (size_t)element->out_bytes;
	request->op.done = was_written;
	fp_file_write(blk->virtio.dev, &request->op, blk->fd, request->header.sector * SECTOR,
		      element->out, element->nr_out);
}

static void do_flush(struct blk *blk, struct virtio_element *element)
{
	struct request *request = element->own;

	request->op.done = synced;
	fp_file_sync(blk->virtio.dev, &request->op, blk->fd, true);
}

/* ---- the serial number ---- */

static void wrote_id(struct virtio_steps *steps)
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

static const uint8_t zeros[64u << 10];

/* How a file comes to have zeros, the best first; the last is to write them. */
static const int ways[] = {
	FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
	FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
};

#define NR_WAYS (sizeof(ways) / sizeof(*ways))
#define PUNCHING 1u

static void next_zeros(struct blk *blk, struct virtio_element *element);

static void zeroed(struct fp_device *dev, struct fp_file_op *op, int64_t ret)
{
	struct virtio_element *element = element_of(op);
	struct request *request = element->own;
	struct blk *blk = blk_of(element);

	(void)dev;
	if (ret == -EOPNOTSUPP && request->way < NR_WAYS) {
		request->way++;
		next_zeros(blk, element);
	} else if (ret < 0 || request->way < NR_WAYS) {
		finish_file(element, ret);
	} else {
		request->zeros_at += (uint64_t)ret;
		request->zeros_left -= (uint64_t)ret;
		next_zeros(blk, element);
	}
}

static void next_zeros(struct blk *blk, struct virtio_element *element)
{
	struct request *request = element->own;
	uint64_t left = request->zeros_left;

	request->op.done = zeroed;
	if (!left) {
		finish(element, VIRTIO_BLK_S_OK);
	} else if (request->way < NR_WAYS) {
		fp_file_allocate(blk->virtio.dev, &request->op, blk->fd, ways[request->way],
				 request->zeros_at, left);
	} else {
		request->zeros = (struct fp_piece){
			.own = (void *)zeros,
			.len = left < sizeof(zeros) ? (size_t)left : sizeof(zeros),
		};
		fp_file_write(blk->virtio.dev, &request->op, blk->fd, request->zeros_at,
			      &request->zeros, 1);
	}
}

/* It is a hint: where it can't be done that is fine, too. */
static void discarded(struct fp_device *dev, struct fp_file_op *op, int64_t ret)
{
	(void)dev;
	finish_file(element_of(op), ret == -EOPNOTSUPP ? 0 : ret);
}

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

static void has_range(struct virtio_steps *steps)
{
	struct virtio_element *element = virtio_element_of(steps);
	struct request *request = element->own;
	struct blk *blk = blk_of(element);
	bool discards = request->header.type == VIRTIO_BLK_T_DISCARD;
	uint8_t status = range_check(blk, request, discards);

	request->zeros_at = request->range.sector * SECTOR;
	request->zeros_left = (uint64_t)request->range.num_sectors * SECTOR;
	if (status || !request->zeros_left) {
		finish(element, status);
	} else if (discards) {
		request->op.done = discarded;
		fp_file_allocate(blk->virtio.dev, &request->op, blk->fd, ways[PUNCHING],
				 request->zeros_at, request->zeros_left);
	} else {
		if (request->range.flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP)
			request->way = PUNCHING;
		next_zeros(blk, element);
	}
}

/* One segment, as the configuration says. */
static void do_range(struct blk *blk, struct virtio_element *element)
{
	struct request *request = element->own;

	if (blk->readonly || element->out_bytes != sizeof(request->range))
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

static void has_header(struct virtio_steps *steps)
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

static int open_file(struct fp_device *dev, struct blk *blk)
{
	struct stat st;

	blk->fd = open(blk->path, (blk->readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (blk->fd < 0 || fstat(blk->fd, &st)) {
		fp_error(dev, "path=%s: %s", blk->path, strerror(errno));
		return -errno;
	}
	if (S_ISBLK(st.st_mode)) {
		uint64_t bytes = 0;

		if (ioctl(blk->fd, BLKGETSIZE64, &bytes)) {
			fp_error(dev, "path=%s: its size: %s", blk->path, strerror(errno));
			return -errno;
		}
		blk->sectors = bytes / SECTOR;
	} else if (S_ISREG(st.st_mode)) {
		blk->sectors = (uint64_t)st.st_size / SECTOR;
	} else {
		fp_error(dev, "path=%s: it is neither a file nor a block device", blk->path);
		return -EINVAL;
	}
	if (blk->sectors)
		return 0;
	fp_error(dev, "path=%s: it is smaller than a sector of 512 bytes", blk->path);
	return -EINVAL;
}

static int check_keys(struct fp_device *dev, struct blk *blk)
{
	if (!blk->nr_queues)
		blk->nr_queues = 1;
	if (!blk->path)
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
		.capacity = blk->sectors,
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
	if (blk->readonly)
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
	int ret = open_file(dev, blk);

	if (ret && blk->fd >= 0)
		close(blk->fd);
	if (!ret)
		fill_config(blk);
	return ret;
}

static void close_blk(struct fp_device *dev)
{
	struct blk *blk = fp_state(dev);

	virtio_on_close(dev);
	close(blk->fd);
}

/* What was written is there for whoever opens the file at the other end. */
static int save(struct fp_device *dev, struct fp_stream *to)
{
	const struct blk *blk = fp_state(dev);

	if (!blk->readonly && fdatasync(blk->fd))
		return -errno;
	fp_stream_write(to, &blk->sectors, sizeof(blk->sectors));
	return virtio_on_save(dev, to);
}

static int load(struct fp_device *dev, struct fp_stream *from)
{
	const struct blk *blk = fp_state(dev);
	uint64_t sectors;

	if (fp_stream_read(from, &sectors, sizeof(sectors)))
		return -EINVAL;
	if (sectors == blk->sectors)
		return virtio_on_load(dev, from);
	fp_error(dev, "path=%s: the disk that migrates has %llu sectors, this has %llu", blk->path,
		 (unsigned long long)sectors, (unsigned long long)blk->sectors);
	return -EINVAL;
}

static const struct fp_key keys[] = {
	{ "path", FP_KEY_STRING, offsetof(struct blk, path), "the file or block device" },
	{ "readonly", FP_KEY_BOOL, offsetof(struct blk, readonly), "on: it is not written to" },
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
