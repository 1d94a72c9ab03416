/* SPDX-License-Identifier: BSD-3-Clause */
#include "file_io.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "cleanup.h"
#include "device.h"
#include "fault.h"
#include "log.h"
#include "ring.h"

/* What goes in one round to or from guest memory that is not mapped. */
#define BUFFER_BYTES (256u << 10)
#define BUFFER_ALIGN 4096u /* an fd may be O_DIRECT */

/* The most that one system call takes. */
#define MAX_BYTES (1ull << 31)
#define MAX_IOV 1024u

struct file_job {
	struct ring_op op; /* first */
	struct fp_device *dev;
	struct fp_file_op *public;
	struct file_job *next; /* in the device's lists */
	struct file_job **link;
	struct ring_file what;
	bool is_awaited;
	bool is_guests;	   /* there is guest memory among the pieces */
	bool has_no_guest; /* any more: that client is gone */
	bool is_cancelled;
	bool polls; /* until a stream has something, or room */

	const struct fp_piece *pieces;
	size_t nr_pieces;
	uint64_t total; /* bytes */
	uint64_t went;

	/* In place: what of the pieces is left to go, and what is held of that. */
	struct iovec *iov;
	struct fault_map **held; /* for each iovec there was, NULL: none */
	size_t nr_iov;
	size_t room;
	size_t first; /* of iov that is left */

	/* Or by a buffer, for one round. */
	uint8_t *buffer;
	struct iovec whole;
	size_t round;
	size_t moved; /* of the round, to or from the pieces */
	size_t piece; /* the one that is next, */
	size_t skip;  /* from there */
	struct fp_dma_op dma;
	bool is_moving;
	bool awaits_dma;
	int dma_ret;
};

/* ---- jobs ---- */

static struct file_job *job_get(struct fp_device *dev, struct fp_file_op *public)
{
	struct file_job *job = dev->files.idle;

	if (job)
		dev->files.idle = job->next;
	else
		job = calloc(1, sizeof(*job));
	if (!job)
		return NULL;
	*job = (struct file_job){
		.dev = dev,
		.public = public,
		.iov = job->iov,
		.held = job->held,
		.room = job->room,
	};
	return job;
}

static void job_begin(struct file_job *job)
{
	struct file_io *files = &job->dev->files;

	job->public->core[0] = job;
	job->next = files->busy;
	job->link = &files->busy;
	if (job->next)
		job->next->link = &job->next;
	files->busy = job;
	files->nr++;
	files->nr_awaited += job->is_awaited;
}

static void release_memory(struct file_job *job)
{
	for (size_t i = 0; i < job->nr_iov; i++)
		if (job->held[i])
			fault_release(job->held[i]);
	job->nr_iov = 0;
	free(take_ptr(job->buffer));
}

static void job_free(struct file_job *job)
{
	free(job->iov);
	free(job->held);
	free(job);
}

static void job_put(struct file_job *job)
{
	struct file_io *files = &job->dev->files;

	release_memory(job);
	job->next = files->idle;
	files->idle = job;
}

static void mark_dirty(const struct file_job *job)
{
	for (size_t i = 0; i < job->nr_pieces; i++)
		if (!job->pieces[i].own)
			dirty_mark(&job->dev->dirty, job->pieces[i].iova, job->pieces[i].len);
}

/* The device may begin the next one with the same op from within done(). */
static void job_end(struct file_job *job, int64_t ret)
{
	struct fp_device *dev = job->dev;
	struct fp_file_op *public = job->public;

	*job->link = job->next;
	if (job->next)
		job->next->link = job->link;
	dev->files.nr--;
	dev->files.nr_awaited -= job->is_awaited;
	/* By the kernel, so that nobody has marked it; also after an error, as some may have gone. */
	if (job->what.kind == RING_FILE_READ && job->nr_iov && !job->has_no_guest)
		mark_dirty(job);
	if (job->has_no_guest)
		ret = -ENOTCONN;
	public->core[0] = NULL;
	job_put(job);
	public->done(dev, public, ret);
	device_progress(dev);
}

/* ---- in place ---- */

static int iov_add(struct file_job *job, void *base, size_t len, struct fault_map *map)
{
	if (job->nr_iov == MAX_IOV)
		return -E2BIG;
	if (job->nr_iov == job->room) {
		size_t room = job->room ? 2 * job->room : 16;
		struct iovec *iov = reallocarray(job->iov, room, sizeof(*iov));
		struct fault_map **held;

		if (!iov)
			return -ENOMEM;
		job->iov = iov;
		held = reallocarray(job->held, room, sizeof(*held));
		if (!held)
			return -ENOMEM;
		job->held = held;
		job->room = room;
	}
	if (map)
		fault_hold(map);
	job->iov[job->nr_iov] = (struct iovec){ base, len };
	job->held[job->nr_iov++] = map;
	return 0;
}

/* 0; 1: some of it is not mapped; -errno. */
static int add_guest(struct file_job *job, const struct fp_piece *piece)
{
	bool write = job->what.kind == RING_FILE_READ;
	uint64_t iova = piece->iova;
	size_t left = piece->len;
	struct dma_span span;
	int ret = 0;

	job->is_guests = true;
	while (left && !ret) {
		size_t n;

		ret = dma_find(&job->dev->dma, iova, write, &span);
		if (ret)
			return ret;
		if (!span.base)
			return 1;
		n = left < span.len ? left : (size_t)span.len;
		ret = iov_add(job, span.base, n, span.map);
		iova += n;
		left -= n;
	}
	return ret;
}

static int find_memory(struct file_job *job)
{
	int ret = 0;

	for (size_t i = 0; i < job->nr_pieces; i++) {
		const struct fp_piece *piece = &job->pieces[i];

		if (piece->len > MAX_BYTES || job->total + piece->len > MAX_BYTES)
			return -E2BIG;
		job->total += piece->len;
		if (ret || !piece->len)
			continue;
		ret = piece->own ? iov_add(job, piece->own, piece->len, NULL) :
				   add_guest(job, piece);
		if (ret < 0 && ret != -E2BIG)
			return ret;
	}
	if (!ret)
		return 0;
	/* Not all of it is mapped, or it is in too many pieces for one call. */
	release_memory(job);
	job->is_guests = true;
	job->buffer = aligned_alloc(BUFFER_ALIGN, BUFFER_BYTES);
	return job->buffer ? 0 : -ENOMEM;
}

/* ---- by a buffer ---- */

static void go_on(struct file_job *job, int64_t ret);

static void moved(struct fp_device *dev, struct fp_dma_op *op, int ret)
{
	struct file_job *job = (struct file_job *)((char *)op - offsetof(struct file_job, dma));

	(void)dev;
	job->awaits_dma = false;
	job->dma_ret = ret;
	if (!job->is_moving)
		go_on(job, ret);
}

static void move_guest(struct file_job *job, const struct fp_piece *piece, size_t n)
{
	uint8_t *at = job->buffer + job->moved;
	uint64_t iova = piece->iova + job->skip;

	job->awaits_dma = true;
	job->dma.done = moved;
	if (job->what.kind == RING_FILE_READ)
		fp_dma_write(job->dev, &job->dma, iova, at, n);
	else
		fp_dma_read(job->dev, &job->dma, iova, at, n);
}

static void move_own(struct file_job *job, const struct fp_piece *piece, size_t n)
{
	uint8_t *at = job->buffer + job->moved;
	uint8_t *own = (uint8_t *)piece->own + job->skip;

	memcpy(job->what.kind == RING_FILE_READ ? own : at,
	       job->what.kind == RING_FILE_READ ? at : own, n);
}

/* Between the buffer and the pieces, until the round is all moved: 0, FP_LATER or -errno. */
static int move(struct file_job *job)
{
	job->is_moving = true;
	job->dma_ret = 0;
	while (job->moved < job->round && !job->awaits_dma && !job->dma_ret) {
		const struct fp_piece *piece = &job->pieces[job->piece];
		size_t left = piece->len - job->skip;
		size_t n = left < job->round - job->moved ? left : job->round - job->moved;

		if (n && piece->own)
			move_own(job, piece, n);
		else if (n)
			move_guest(job, piece, n);
		job->moved += n;
		job->skip += n;
		if (job->skip == piece->len) {
			job->piece++;
			job->skip = 0;
		}
	}
	job->is_moving = false;
	return job->awaits_dma ? FP_LATER : job->dma_ret;
}

/* ---- rounds ---- */

static bool is_stream(const struct file_job *job)
{
	return job->what.offset == FP_STREAM;
}

static void submit(struct file_job *job)
{
	if (job->buffer) {
		job->whole = (struct iovec){ job->buffer, job->round };
		job->what.iov = &job->whole;
		job->what.nr_iov = 1;
	} else if (job->what.kind <= RING_FILE_WRITE) {
		job->what.iov = job->nr_iov ? job->iov + job->first : NULL;
		job->what.nr_iov = (unsigned int)(job->nr_iov - job->first);
	}
	ring_file(job->dev->ring, &job->op, &job->what);
}

static void begin_round(struct file_job *job)
{
	uint64_t left = job->total - job->went;
	int ret = 0;

	if (job->buffer) {
		job->round = left < BUFFER_BYTES ? (size_t)left : BUFFER_BYTES;
		job->moved = 0;
		if (job->what.kind == RING_FILE_WRITE)
			ret = move(job);
	}
	if (!ret && job->is_cancelled)
		ret = -ECANCELED;
	if (!ret)
		submit(job);
	else if (ret != FP_LATER)
		job_end(job, ret);
}

/* So many bytes of the iovecs are done. */
static void skip_iov(struct file_job *job, size_t n)
{
	while (n) {
		struct iovec *iov = &job->iov[job->first];
		size_t part = n < iov->iov_len ? n : iov->iov_len;

		iov->iov_base = (uint8_t *)iov->iov_base + part;
		iov->iov_len -= part;
		n -= part;
		job->first += !iov->iov_len;
	}
}

/* A round is done, with `n` bytes: the next, unless that is the end of the file. */
static void end_round(struct file_job *job, size_t n)
{
	job->went += n;
	if (!is_stream(job))
		job->what.offset += n;
	if (!job->buffer)
		skip_iov(job, n);
	if (job->went == job->total || !n || is_stream(job))
		job_end(job, (int64_t)job->went);
	else
		begin_round(job);
}

/* Something of this round has ended: 0 or more, or -errno. What went before an error has gone. */
static void go_on(struct file_job *job, int64_t ret)
{
	bool reads = job->what.kind == RING_FILE_READ;

	if (!ret && job->moved < job->round)
		ret = move(job);
	if (ret == FP_LATER)
		return;
	if (!ret && job->is_cancelled)
		ret = -ECANCELED;
	if (ret < 0)
		job_end(job, ret);
	else if (reads)
		end_round(job, job->round);
	else
		submit(job);
}

/* Of a file that can't try: looks first. */
static void submit_if_ready(struct file_job *job)
{
	struct pollfd fd = {
		.fd = job->what.fd,
		.events = job->what.kind == RING_FILE_READ ? POLLIN : POLLOUT,
	};

	job->what.nowait = false;
	if (poll(&fd, 1, 0) > 0)
		submit(job);
	else
		job_end(job, -EAGAIN);
}

static void poll_first(struct file_job *job)
{
	job->polls = true;
	if (job->what.kind == RING_FILE_READ)
		ring_readable(job->dev->ring, &job->op, job->what.fd);
	else
		ring_writable(job->dev->ring, &job->op, job->what.fd);
}

static void file_done(struct ring_op *op, int res, const struct ring_received *received)
{
	struct file_job *job = (struct file_job *)op;
	bool polled = job->polls;

	(void)received;
	job->polls = false;
	if (job->is_cancelled && (res == -EINTR || res == -EAGAIN || polled))
		res = -ECANCELED;
	if (res == -EINTR || (polled && res >= 0)) /* a signal, before anything went */
		submit(job);
	else if (res == -EAGAIN && !job->is_awaited)
		poll_first(job);
	else if (res == -EOPNOTSUPP && job->what.nowait)
		submit_if_ready(job);
	else if (res < 0 || job->what.kind > RING_FILE_WRITE)
		job_end(job, res);
	else if (!job->buffer || job->what.kind == RING_FILE_WRITE || !res)
		end_round(job, (size_t)res);
	else if (job->has_no_guest)
		job_end(job, -ENOTCONN);
	else {
		job->round = (size_t)res;
		go_on(job, 0);
	}
}

/* With or without the sandbox, so that an author hears of it in any case. */
static bool is_declared(struct fp_device *dev)
{
	if (dev->class_->needs & FP_NEEDS_FILES)
		return true;
	if (allowance_take(&dev->lines, dev->name))
		log_warn("%s: fp_file_*() without FP_NEEDS_FILES in its class", dev->name);
	return false;
}

static void start(struct fp_device *dev, struct fp_file_op *public, struct ring_file what,
		  const struct fp_piece *pieces, size_t nr)
{
	struct file_job *job;
	bool is_now = what.offset == FP_STREAM_NOW;
	int ret;

	if (!is_declared(dev)) {
		public->done(dev, public, -EPERM);
		return;
	}
	job = dev->files.is_closed ? NULL : job_get(dev, public);
	if (!job) {
		public->done(dev, public, dev->files.is_closed ? -ECANCELED : -ENOMEM);
		return;
	}
	job->op.done = file_done;
	job->what = what;
	if (is_now)
		job->what.offset = FP_STREAM;
	job->pieces = pieces;
	job->nr_pieces = nr;
	ret = find_memory(job);
	if (ret) {
		job_put(job);
		public->done(dev, public, ret);
		return;
	}
	job->is_awaited = job->is_guests || !is_stream(job) || is_now;
	job->what.nowait = is_stream(job) && (job->is_guests || is_now);
	job_begin(job);
	begin_round(job);
}

/* ---- fastpath.h ---- */

void fp_file_read(struct fp_device *dev, struct fp_file_op *op, int fd, uint64_t offset,
		  const struct fp_piece *pieces, size_t nr)
{
	start(dev, op, (struct ring_file){ .kind = RING_FILE_READ, .fd = fd, .offset = offset },
	      pieces, nr);
}

void fp_file_write(struct fp_device *dev, struct fp_file_op *op, int fd, uint64_t offset,
		   const struct fp_piece *pieces, size_t nr)
{
	start(dev, op, (struct ring_file){ .kind = RING_FILE_WRITE, .fd = fd, .offset = offset },
	      pieces, nr);
}

void fp_file_sync(struct fp_device *dev, struct fp_file_op *op, int fd, bool data_only)
{
	start(dev, op, (struct ring_file){ .kind = RING_FILE_SYNC, .fd = fd, .mode = data_only },
	      NULL, 0);
}

void fp_file_allocate(struct fp_device *dev, struct fp_file_op *op, int fd, int mode,
		      uint64_t offset, uint64_t len)
{
	start(dev, op,
	      (struct ring_file){
		      .kind = RING_FILE_ALLOCATE,
		      .fd = fd,
		      .mode = mode,
		      .offset = offset,
		      .len = len,
	      },
	      NULL, 0);
}

static void cancel(struct file_job *job)
{
	if (job->is_cancelled)
		return;
	job->is_cancelled = true;
	ring_stop(&job->op);
}

void fp_file_cancel(struct fp_device *dev, struct fp_file_op *op)
{
	(void)dev;
	if (op->core[0])
		cancel(op->core[0]);
}

/* ---- life ---- */

void file_io_detach(struct fp_device *dev)
{
	for (struct file_job *job = dev->files.busy; job; job = job->next)
		job->has_no_guest = job->has_no_guest || job->is_guests;
}

/* The kernel has memory of the device's: it has to be out of there. */
void file_io_close(struct fp_device *dev)
{
	struct file_io *files = &dev->files;
	int ret = 0;

	files->is_closed = true;
	for (struct file_job *job = files->busy; job; job = job->next)
		cancel(job);
	while (files->busy && (!ret || ret == -EINTR))
		ret = ring_turn(dev->ring, -1);
	while (files->idle) {
		struct file_job *job = files->idle;

		files->idle = job->next;
		job_free(job);
	}
}
