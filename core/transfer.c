/* SPDX-License-Identifier: BSD-3-Clause */
#include "transfer.h"

#include <assert.h>
#include <errno.h>
#include <unistd.h>

#include "device.h"
#include "fault.h"

static_assert(sizeof(struct transfer) <= sizeof(((struct fp_dma_op *)0)->core), "it fits");

static void finish(struct transfer *transfer, int ret)
{
	struct fp_dma_op *op =
		(struct fp_dma_op *)((char *)transfer - offsetof(struct fp_dma_op, core));

	op->done(transfer->dev, op, ret);
}

static void advance(struct transfer *transfer, size_t n)
{
	if (transfer->write)
		dirty_mark(&transfer->dev->dirty, transfer->iova, n);
	transfer->iova += n;
	transfer->at += n;
	transfer->left -= n;
}

/* All `n` bytes, or -EFAULT: the client has taken the memory away before the last of them. */
static ssize_t by_mapping(struct transfer *transfer, const struct dma_span *span, size_t n)
{
	struct fp_device *dev = transfer->dev;

	if (transfer->write)
		memcpy(span->base, transfer->at, n);
	else
		memcpy(transfer->at, span->base, n);
	if (!fault_map_failed(span->map))
		return (ssize_t)n;
	if (transfer->write) /* some of it may have arrived */
		dirty_mark(&dev->dirty, transfer->iova, n);
	ring_before_submit(dev->ring, &dev->look_at_memory);
	return -EFAULT;
}

/* By the window's file: the client does not want it mapped. Memory files don't block. */
static ssize_t by_file(struct transfer *transfer, const struct dma_span *span, size_t n)
{
	ssize_t done = transfer->write ? pwrite(span->fd, transfer->at, n, (off_t)span->offset) :
					 pread(span->fd, transfer->at, n, (off_t)span->offset);

	if (done < 0)
		return -errno;
	return done ? done : -EIO; /* the file is shorter than the client said */
}

static int by_message(struct transfer *transfer, size_t n)
{
	struct fp_device *dev = transfer->dev;
	int ret;

	if (!dev->link)
		return -ENOTCONN;
	if (n > dev->link->max_data_xfer)
		n = (size_t)dev->link->max_data_xfer;
	transfer->asked = (uint32_t)n;
	ret = dev->link->send_dma(dev->link, transfer);
	if (ret)
		return ret;
	transfer->next = dev->transfers;
	dev->transfers = transfer;
	return 0;
}

/* Goes on until all is done or a message is under way. */
static void go_on(struct transfer *transfer)
{
	struct dma_span span;
	ssize_t ret = 0;

	while (transfer->left) {
		size_t n;

		ret = dma_find(&transfer->dev->dma, transfer->iova, transfer->write, &span);
		if (ret)
			break;
		n = transfer->left < span.len ? transfer->left : (size_t)span.len;
		if (!span.base && span.fd < 0) {
			ret = by_message(transfer, n);
			if (!ret)
				return;
			break;
		}
		ret = span.base ? by_mapping(transfer, &span, n) : by_file(transfer, &span, n);
		if (ret < 0)
			break;
		advance(transfer, (size_t)ret);
		ret = 0;
	}
	finish(transfer, (int)ret);
}

static void start(struct fp_device *dev, struct fp_dma_op *op, struct transfer transfer)
{
	struct transfer *own = (struct transfer *)op->core;

	*own = transfer;
	own->dev = dev;
	go_on(own);
}

void fp_dma_read(struct fp_device *dev, struct fp_dma_op *op, uint64_t iova, void *to, size_t len)
{
	start(dev, op, (struct transfer){ .iova = iova, .at = to, .left = len });
}

void fp_dma_write(struct fp_device *dev, struct fp_dma_op *op, uint64_t iova, const void *from,
		  size_t len)
{
	start(dev, op,
	      (struct transfer){ .iova = iova, .at = (void *)from, .left = len, .write = true });
}

static void unlink_transfer(struct transfer *transfer)
{
	struct transfer **at = &transfer->dev->transfers;

	while (*at != transfer)
		at = &(*at)->next;
	*at = transfer->next;
}

struct transfer *transfer_find(const struct fp_device *dev, uint16_t msg_id)
{
	struct transfer *transfer = dev->transfers;

	while (transfer && transfer->msg_id != msg_id)
		transfer = transfer->next;
	return transfer;
}

void transfer_answered(struct transfer *transfer, ssize_t ret, const uint8_t *data)
{
	struct fp_device *dev = transfer->dev;

	unlink_transfer(transfer);
	if (ret <= 0 || (size_t)ret > transfer->asked) {
		finish(transfer, ret < 0 ? (int)ret : -EIO);
	} else {
		if (!transfer->write)
			memcpy(transfer->at, data, (size_t)ret);
		advance(transfer, (size_t)ret);
		go_on(transfer);
	}
	device_progress(dev);
}

struct transfer *transfer_oldest(const struct fp_device *dev)
{
	struct transfer *transfer = dev->transfers;

	while (transfer && transfer->next)
		transfer = transfer->next;
	return transfer;
}

void transfer_abandon(struct fp_device *dev, int ret)
{
	while (dev->transfers) {
		struct transfer *transfer = dev->transfers;

		dev->transfers = transfer->next;
		finish(transfer, ret);
	}
}
