/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * asks: what the server asks of a client: DMA_READ and DMA_WRITE, which are answered, on a twin socket
 * if there is one; and VM_INTERRUPT, which is not.
 */
#ifndef FASTPATH_ASKS_H
#define FASTPATH_ASKS_H

#include <stdbool.h>
#include <stdint.h>

#include "channel.h"
#include "device.h"
#include "outbox.h"
#include "patience.h"
#include "transfer.h"

/* Of one session, whose parts these are. */
struct asks {
	struct fp_device *dev;
	struct outbox *out;
	struct outbox *twin_out; /* in use once its channel is open */
	struct patience *patience;
	uint16_t next_id;
	bool has_hung_up; /* the connection will end as soon as the channel sees that */
};

/* Sends the message for `asked` bytes of the transfer and sets its msg_id. -ENOTCONN. */
int asks_dma(struct asks *asks, struct transfer *transfer);

/* Sends VM_INTERRUPT; a client that leaves too many of them unread is hung up on. */
void asks_interrupt(struct asks *asks, uint32_t index, uint32_t number);

/* Takes a reply of the client. False when it answers nothing that was asked. */
bool asks_take_answer(struct asks *asks, const struct channel_msg *msg);

#endif
