/* SPDX-License-Identifier: BSD-3-Clause */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint8_t zeros[64u << 10];

static struct disk_op *op_of(struct fp_file_op *file)
{
	return (struct disk_op *)((char *)file - offsetof(struct disk_op, file));
}

/* ---- the end ---- */

static void synced(struct fp_device *dev, struct fp_file_op *file, int64_t ret)
{
	struct disk_op *op = op_of(file);

	(void)dev;
	op->done(op, (int)ret);
}

static void end(struct disk_op *op, int ret)
{
	if (ret || !op->syncs) {
		op->done(op, ret);
		return;
	}
	op->file.done = synced;
	fp_file_sync(op->disk->dev, &op->file, op->disk->fd, true);
}

void disk_flush(struct disk *disk, struct disk_op *op)
{
	op->disk = disk;
	op->syncs = true;
	end(op, 0);
}

/* ---- reading and writing ---- */

/* It has done all, or the file has become shorter. */
static void moved(struct fp_device *dev, struct fp_file_op *file, int64_t ret)
{
	struct disk_op *op = op_of(file);

	(void)dev;
	if (ret >= 0)
		ret = (uint64_t)ret == op->left ? 0 : -EIO;
	end(op, (int)ret);
}

static void read_cached(struct disk_op *op)
{
	op->file.done = moved;
	fp_file_read(op->disk->dev, &op->file, op->disk->fd, op->at, op->pieces, op->nr);
}

static void write_cached(struct disk_op *op)
{
	op->file.done = moved;
	fp_file_write(op->disk->dev, &op->file, op->disk->fd, op->at, op->pieces, op->nr);
}

/* "Not like that", says the file system, whose demands differ: by the page cache then. */
static void read_direct(struct fp_device *dev, struct fp_file_op *file, int64_t ret)
{
	if (ret == -EINVAL)
		read_cached(op_of(file));
	else
		moved(dev, file, ret);
}

static void written_direct(struct fp_device *dev, struct fp_file_op *file, int64_t ret)
{
	if (ret == -EINVAL)
		write_cached(op_of(file));
	else
		moved(dev, file, ret);
}

/* Whether the kernel may take the pieces without a copy: each at a sector's alignment. */
static bool goes_direct(const struct disk *disk, const struct fp_piece *pieces, size_t nr)
{
	if (disk->direct_fd < 0)
		return false;
	for (size_t i = 0; i < nr; i++)
		if ((pieces[i].iova | pieces[i].len) % DISK_SECTOR || pieces[i].own)
			return false;
	return true;
}

static void set_up(struct disk *disk, struct disk_op *op, uint64_t at,
		   const struct fp_piece *pieces, size_t nr, uint64_t bytes)
{
	op->disk = disk;
	op->at = at;
	op->left = bytes;
	op->pieces = pieces;
	op->nr = nr;
	op->syncs = false;
}

void disk_read(struct disk *disk, struct disk_op *op, uint64_t at, const struct fp_piece *pieces,
	       size_t nr, uint64_t bytes)
{
	set_up(disk, op, at, pieces, nr, bytes);
	if (!goes_direct(disk, pieces, nr)) {
		read_cached(op);
		return;
	}
	op->file.done = read_direct;
	fp_file_read(disk->dev, &op->file, disk->direct_fd, at, pieces, nr);
}

void disk_write(struct disk *disk, struct disk_op *op, uint64_t at, const struct fp_piece *pieces,
		size_t nr, uint64_t bytes, bool stable)
{
	set_up(disk, op, at, pieces, nr, bytes);
	op->syncs = stable;
	if (!goes_direct(disk, pieces, nr)) {
		write_cached(op);
		return;
	}
	op->file.done = written_direct;
	fp_file_write(disk->dev, &op->file, disk->direct_fd, at, pieces, nr);
}

/* ---- discarding and zeros ---- */

/* How a file comes to have zeros, the best first; the last is to write them. */
static const int ways[] = {
	FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
	FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
};

#define NR_WAYS (sizeof(ways) / sizeof(*ways))
#define PUNCHING 1u

static void next_zeros(struct disk_op *op);

static void zeroed(struct fp_device *dev, struct fp_file_op *file, int64_t ret)
{
	struct disk_op *op = op_of(file);

	(void)dev;
	if (ret == -EOPNOTSUPP && op->way < NR_WAYS) {
		op->way++;
		next_zeros(op);
	} else if (ret < 0 || op->way < NR_WAYS) {
		end(op, (int)ret);
	} else {
		op->at += (uint64_t)ret;
		op->left -= (uint64_t)ret;
		next_zeros(op);
	}
}

static void next_zeros(struct disk_op *op)
{
	struct disk *disk = op->disk;

	op->file.done = zeroed;
	if (!op->left) {
		end(op, 0);
	} else if (op->way < NR_WAYS) {
		fp_file_allocate(disk->dev, &op->file, disk->fd, ways[op->way], op->at, op->left);
	} else {
		op->zeros = (struct fp_piece){
			.own = (void *)zeros,
			.len = op->left < sizeof(zeros) ? (size_t)op->left : sizeof(zeros),
		};
		fp_file_write(disk->dev, &op->file, disk->fd, op->at, &op->zeros, 1);
	}
}

void disk_zero(struct disk *disk, struct disk_op *op, uint64_t at, uint64_t bytes, bool unmap,
	       bool stable)
{
	set_up(disk, op, at, NULL, 0, bytes);
	op->way = unmap ? PUNCHING : 0;
	op->syncs = stable;
	next_zeros(op);
}

static void discarded(struct fp_device *dev, struct fp_file_op *file, int64_t ret)
{
	struct disk_op *op = op_of(file);

	(void)dev;
	op->done(op, ret == -EOPNOTSUPP ? 0 : (int)ret);
}

void disk_discard(struct disk *disk, struct disk_op *op, uint64_t at, uint64_t bytes)
{
	set_up(disk, op, at, NULL, 0, bytes);
	if (!bytes) {
		end(op, 0);
		return;
	}
	op->file.done = discarded;
	fp_file_allocate(disk->dev, &op->file, disk->fd, ways[PUNCHING], at, bytes);
}

/* ---- life ---- */

static int find_size(struct disk *disk)
{
	struct stat st;

	if (fstat(disk->fd, &st)) {
		fp_error(disk->dev, "%s=%s: %s", disk->key, disk->path, strerror(errno));
		return -errno;
	}
	if (S_ISREG(st.st_mode)) {
		disk->bytes = (uint64_t)st.st_size;
	} else if (!S_ISBLK(st.st_mode)) {
		fp_error(disk->dev, "%s=%s: it is neither a file nor a block device", disk->key,
			 disk->path);
		return -EINVAL;
	} else if (ioctl(disk->fd, BLKGETSIZE64, &disk->bytes)) {
		fp_error(disk->dev, "%s=%s: its size: %s", disk->key, disk->path, strerror(errno));
		return -errno;
	}
	disk->bytes -= disk->bytes % DISK_SECTOR;
	if (disk->bytes)
		return 0;
	fp_error(disk->dev, "%s=%s: it is smaller than a sector of 512 bytes", disk->key,
		 disk->path);
	return -EINVAL;
}

static void open_direct(struct disk *disk, int flags)
{
	disk->direct_fd = disk->direct ? open(disk->path, flags | O_DIRECT) : -1;
	if (disk->direct && disk->direct_fd < 0)
		fp_error(disk->dev, "%s=%s: direct=on: %s; by the page cache then", disk->key,
			 disk->path, strerror(errno));
}

int disk_open(struct fp_device *dev, struct disk *disk)
{
	int flags = (disk->readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC;
	int ret;

	disk->dev = dev;
	disk->fd = open(disk->path, flags);
	if (disk->fd < 0) {
		ret = -errno;
		fp_error(dev, "%s=%s: %s", disk->key, disk->path, strerror(-ret));
		return ret;
	}
	ret = find_size(disk);
	if (ret)
		close(disk->fd);
	else
		open_direct(disk, flags);
	return ret;
}

void disk_close(struct disk *disk)
{
	close(disk->fd);
	if (disk->direct_fd >= 0)
		close(disk->direct_fd);
}

int disk_settle(const struct disk *disk)
{
	return !disk->readonly && fdatasync(disk->fd) ? -errno : 0;
}
