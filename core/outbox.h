/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * outbox: a session's messages on their way into a channel. One that comes up while an answer is
 * being written there is put aside and goes behind it.
 */
#ifndef FASTPATH_OUTBOX_H
#define FASTPATH_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "channel.h"

struct aside;
struct fp_device;

struct outbox {
	struct channel *channel;
	struct fp_device *dev; /* which notes what goes out */
	bool is_writing;       /* between outbox_begin() and outbox_end() */
	struct aside *aside;
};

/* An answer is written into channel_begin()'s room until outbox_end(), and committed behind that. */
static inline void outbox_begin(struct outbox *outbox)
{
	outbox->is_writing = true;
}

static inline void outbox_end(struct outbox *outbox)
{
	outbox->is_writing = false;
}

/* Sends what was put aside meanwhile. */
void outbox_flush(struct outbox *outbox);

/* Sends a message whose body is `fixed` and what is behind it. */
void outbox_send(struct outbox *outbox, const struct wire_header *hdr, const void *fixed,
		 size_t fixed_len, const void *data, size_t data_len);

/* Answers the command with header `hdr`, unless that wants no reply: with a body, or an -errno. */
void outbox_answer(struct outbox *outbox, const struct wire_header *hdr, const void *fixed,
		   size_t fixed_len, const void *data, size_t data_len);
void outbox_answer_error(struct outbox *outbox, const struct wire_header *hdr, int error);

/* Forgets what is put aside. */
void outbox_clear(struct outbox *outbox);

#endif
