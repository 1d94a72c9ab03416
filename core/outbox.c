/* SPDX-License-Identifier: BSD-3-Clause */
#include "outbox.h"

#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "note.h"

struct aside {
	struct aside *next;
	struct wire_header hdr;
	size_t len;
	uint8_t body[];
};

static void fill(uint8_t *body, const void *fixed, size_t fixed_len, const void *data,
		 size_t data_len)
{
	if (fixed_len)
		memcpy(body, fixed, fixed_len);
	if (data_len)
		memcpy(body + fixed_len, data, data_len);
}

static void put_aside(struct outbox *outbox, const struct wire_header *hdr, const void *fixed,
		      size_t fixed_len, const void *data, size_t data_len)
{
	struct aside *aside = malloc(sizeof(*aside) + fixed_len + data_len);
	struct aside **at = &outbox->aside;

	if (!aside) {
		channel_fail(outbox->channel, "out of memory");
		return;
	}
	*aside = (struct aside){ .hdr = *hdr, .len = fixed_len + data_len };
	fill(aside->body, fixed, fixed_len, data, data_len);
	while (*at)
		at = &(*at)->next;
	*at = aside;
}

void outbox_send(struct outbox *outbox, const struct wire_header *hdr, const void *fixed,
		 size_t fixed_len, const void *data, size_t data_len)
{
	uint8_t *body;

	if (outbox->is_writing) {
		put_aside(outbox, hdr, fixed, fixed_len, data, data_len);
		return;
	}
	body = channel_begin(outbox->channel, fixed_len + data_len);
	if (!body)
		return;
	fill(body, fixed, fixed_len, data, data_len);
	note_said(outbox->dev, hdr, body, fixed_len + data_len, 0);
	channel_commit(outbox->channel, hdr, fixed_len + data_len, NULL, 0);
}

void outbox_flush(struct outbox *outbox)
{
	while (outbox->aside) {
		CLEANUP_FREE struct aside *aside = outbox->aside;

		outbox->aside = aside->next;
		outbox_send(outbox, &aside->hdr, aside->body, aside->len, NULL, 0);
	}
}

void outbox_answer(struct outbox *outbox, const struct wire_header *hdr, const void *fixed,
		   size_t fixed_len, const void *data, size_t data_len)
{
	struct wire_header reply = {
		.msg_id = hdr->msg_id,
		.cmd = hdr->cmd,
		.flags = WIRE_TYPE_REPLY,
	};

	if (!(hdr->flags & WIRE_NO_REPLY))
		outbox_send(outbox, &reply, fixed, fixed_len, data, data_len);
}

void outbox_answer_error(struct outbox *outbox, const struct wire_header *hdr, int error)
{
	struct wire_header reply = {
		.msg_id = hdr->msg_id,
		.cmd = hdr->cmd,
		.flags = WIRE_TYPE_REPLY | WIRE_ERROR,
		.error_no = (uint32_t)-error,
	};

	if (!(hdr->flags & WIRE_NO_REPLY))
		outbox_send(outbox, &reply, NULL, 0, NULL, 0);
}

void outbox_clear(struct outbox *outbox)
{
	while (outbox->aside) {
		struct aside *aside = outbox->aside;

		outbox->aside = aside->next;
		free(aside);
	}
}
