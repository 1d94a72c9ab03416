/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream.h"

#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"

void stream_clear(struct fp_stream *stream)
{
	free(stream->bytes);
	*stream = (struct fp_stream){ 0 };
}

void stream_compact(struct fp_stream *stream)
{
	size_t left = stream_left(stream);

	if (stream->at && left)
		memmove(stream->bytes, stream->bytes + stream->at, left);
	stream->at = 0;
	stream->len = left;
}

int stream_truncate(struct fp_stream *stream, size_t len)
{
	int error = stream->error;

	stream->len = len;
	stream->error = 0;
	return error;
}

static int grow(struct fp_stream *stream, size_t len)
{
	size_t room = stream->room ? stream->room : 4096;
	uint8_t *grown;

	if (len > FP_STREAM_MAX - stream->len)
		return -ENOSPC;
	while (room < stream->len + len)
		room *= 2;
	if (room == stream->room)
		return 0;
	grown = realloc(stream->bytes, room);
	if (!grown)
		return -ENOMEM;
	stream->bytes = grown;
	stream->room = room;
	return 0;
}

int stream_extend(struct fp_stream *stream, size_t len)
{
	if (!stream->error)
		stream->error = grow(stream, len);
	if (!stream->error)
		stream->len += len;
	return stream->error;
}

int fp_stream_write(struct fp_stream *to, const void *data, size_t len)
{
	int ret = stream_extend(to, len);

	if (!ret && len)
		memcpy(to->bytes + to->len - len, data, len);
	return ret;
}

int fp_stream_read(struct fp_stream *from, void *data, size_t len)
{
	if (len > stream_left(from))
		return -EINVAL;
	if (len)
		memcpy(data, from->bytes + from->at, len);
	from->at += len;
	return 0;
}

size_t fp_stream_left(const struct fp_stream *from)
{
	return stream_left(from);
}
