/* SPDX-License-Identifier: BSD-3-Clause */
#include "asks.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "log.h"

/* With so many unsent bytes a client that is to get an interrupt, too, is given up. */
#define INTERRUPTS_HIGH_WATER (2u * CHANNEL_HIGH_WATER)

int asks_dma(struct asks *asks, struct transfer *transfer)
{
	struct outbox *outbox = asks->twin_out->channel->fd >= 0 ? asks->twin_out : asks->out;
	struct wire_header hdr = {
		.msg_id = asks->next_id++,
		.cmd = transfer->write ? WIRE_DMA_WRITE : WIRE_DMA_READ,
		.flags = WIRE_TYPE_COMMAND,
	};
	struct wire_dma_access access = { .address = transfer->iova, .count = transfer->asked };

	transfer->msg_id = hdr.msg_id;
	outbox_send(outbox, &hdr, &access, sizeof(access), transfer->at,
		    transfer->write ? transfer->asked : 0);
	patience_begin(asks->patience);
	return asks->out->channel->fd < 0 ? -ENOTCONN : 0;
}

/*
 * A client that does not read its interrupts would have us keep them all. It can't be dropped right
 * here, in the middle of what a device does: the channel finds that the connection is over.
 */
static void hang_up(struct asks *asks)
{
	if (asks->has_hung_up)
		return;
	asks->has_hung_up = true;
	log_warn("%s: the client does not read its interrupts: hanging up", asks->dev->name);
	shutdown(asks->out->channel->fd, SHUT_RDWR);
}

/* It asks for no reply, so that nothing is in flight. */
void asks_interrupt(struct asks *asks, uint32_t index, uint32_t number)
{
	struct wire_vm_interrupt interrupt = { .index = index, .subindex = number };
	struct wire_header hdr = {
		.cmd = WIRE_VM_INTERRUPT,
		.flags = WIRE_TYPE_COMMAND | WIRE_NO_REPLY,
	};

	if (asks->out->channel->fd < 0)
		return;
	if (channel_unsent(asks->out->channel) > INTERRUPTS_HIGH_WATER) {
		hang_up(asks);
		return;
	}
	hdr.msg_id = asks->next_id++;
	outbox_send(asks->out, &hdr, &interrupt, sizeof(interrupt), NULL, 0);
}

/* How many bytes went, or -errno; the data of a read is behind the fixed part. */
static ssize_t dma_result(const struct transfer *transfer, const struct channel_msg *msg)
{
	uint16_t cmd = transfer->write ? WIRE_DMA_WRITE : WIRE_DMA_READ;
	struct wire_dma_access access;

	if (msg->hdr.cmd != cmd || msg->too_long)
		return -EPROTO;
	if (msg->hdr.flags & WIRE_ERROR)
		return msg->hdr.error_no && msg->hdr.error_no < 4096 ? -(int)msg->hdr.error_no :
								       -EIO;
	if (msg->body_len < sizeof(access))
		return -EPROTO;
	memcpy(&access, msg->body, sizeof(access));
	if (access.count > transfer->asked ||
	    (!transfer->write && access.count > msg->body_len - sizeof(access)))
		return -EPROTO;
	return (ssize_t)access.count;
}

bool asks_take_answer(struct asks *asks, const struct channel_msg *msg)
{
	struct transfer *transfer = transfer_find(asks->dev, msg->hdr.msg_id);

	if (!transfer)
		return false;
	transfer_answered(transfer, dma_result(transfer, msg),
			  msg->body + sizeof(struct wire_dma_access));
	return true;
}
