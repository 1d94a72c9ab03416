/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stream: a device's state on its way from one server to another, as much of it as waits here.
 */
#ifndef FASTPATH_STREAM_H
#define FASTPATH_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "fastpath.h"

struct fp_stream {
	uint8_t *bytes;
	size_t at; /* what is before it has been read */
	size_t len;
	size_t room;
	int error; /* of a write: whoever wrote need not have looked */
};

static inline size_t stream_left(const struct fp_stream *stream)
{
	return stream->len - stream->at;
}

/* Forgets all of it and frees its memory. */
void stream_clear(struct fp_stream *stream);

/* Makes room where what has been read was: the next byte is at 0 then. */
void stream_compact(struct fp_stream *stream);

/* Appends `len` bytes of no particular value, to be filled in. As fp_stream_write(). */
int stream_extend(struct fp_stream *stream, size_t len);

/* Forgets what is behind byte `len`, and what went wrong there: the error, or 0. */
int stream_truncate(struct fp_stream *stream, size_t len);

#endif
