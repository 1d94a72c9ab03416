/* SPDX-License-Identifier: BSD-3-Clause */
/* note: messages that go by, for those who count them and, if there are any, those who look on. */
#ifndef FASTPATH_NOTE_H
#define FASTPATH_NOTE_H

#include "channel.h"
#include "device.h"
#include "usdt.h"

/* One of the client's has come. */
static inline void note_heard(struct fp_device *dev, const struct channel_msg *msg)
{
	USDT(message_in, dev->short_name, msg->hdr.cmd, msg->hdr.msg_id, msg->hdr.flags,
	     msg->body_len, msg->nr_fds);
	stats_heard(&dev->stats, &msg->hdr, msg->body_len, msg->nr_fds);
	if (dev->traced)
		observe_message(dev, false, &msg->hdr, msg->body, msg->body_len, msg->nr_fds);
}

/* One goes to the client. */
static inline void note_said(struct fp_device *dev, const struct wire_header *hdr, const void *body,
			     size_t len, unsigned int nr_fds)
{
	USDT(message_out, dev->short_name, hdr->cmd, hdr->msg_id, hdr->flags, len, nr_fds);
	stats_said(&dev->stats, hdr, len, nr_fds);
	if (dev->traced)
		observe_message(dev, true, hdr, body, len, nr_fds);
}

#endif
