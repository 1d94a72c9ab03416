/* SPDX-License-Identifier: BSD-3-Clause */
#include "peer_feature.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void *body_of(const void *fixed, size_t fixed_len, const void *data, size_t len)
{
	uint8_t *body = malloc(fixed_len + len);

	if (!body)
		abort();
	memcpy(body, fixed, fixed_len);
	if (len)
		memcpy(body + fixed_len, data, len);
	return body;
}

int peer_feature(struct peer *peer, uint32_t flags, uint32_t argsz, const void *data, size_t len)
{
	struct wire_device_feature head = { .argsz = argsz, .flags = flags };
	void *body = body_of(&head, sizeof(head), data, len);
	int error = peer_call(peer, WIRE_DEVICE_FEATURE, body, sizeof(head) + len);

	free(body);
	return error;
}

int peer_feature_get(struct peer *peer, uint32_t index, const void *data, size_t len)
{
	return peer_feature(peer, WIRE_FEATURE_GET | index, 2 * WIRE_MAX_MSG, data, len);
}

int peer_feature_set(struct peer *peer, uint32_t index, const void *data, size_t len)
{
	return peer_feature(peer, WIRE_FEATURE_SET | index, (uint32_t)(FEATURE_HEAD + len), data,
			    len);
}

int peer_mig_go(struct peer *peer, uint32_t state)
{
	struct wire_mig_device_state data = { .device_state = state };

	return peer_feature_set(peer, WIRE_FEATURE_MIG_DEVICE_STATE, &data, sizeof(data));
}

uint32_t peer_mig_state(struct peer *peer)
{
	struct wire_mig_device_state data;

	if (peer_feature_get(peer, WIRE_FEATURE_MIG_DEVICE_STATE, NULL, 0) ||
	    peer->reply.len != FEATURE_HEAD + sizeof(data))
		abort();
	memcpy(&data, peer->reply.body + FEATURE_HEAD, sizeof(data));
	return data.device_state;
}

size_t peer_mig_read(struct peer *peer, void *to, size_t size)
{
	struct wire_mig_data data = {
		.argsz = (uint32_t)(sizeof(data) + size),
		.size = (uint32_t)size,
	};

	if (peer_call(peer, WIRE_MIG_DATA_READ, &data, sizeof(data)) ||
	    peer->reply.len < sizeof(data))
		abort();
	memcpy(&data, peer->reply.body, sizeof(data));
	if (data.size > size || data.argsz != peer->reply.len ||
	    peer->reply.len != sizeof(data) + data.size)
		abort();
	if (data.size)
		memcpy(to, peer->reply.body + sizeof(data), data.size);
	return data.size;
}

uint8_t *peer_mig_read_all(struct peer *peer, size_t piece, size_t *len)
{
	uint8_t *bytes = NULL;
	size_t got;

	*len = 0;
	do {
		bytes = realloc(bytes, *len + piece);
		if (!bytes)
			abort();
		got = peer_mig_read(peer, bytes + *len, piece);
		*len += got;
	} while (got == piece);
	return bytes;
}

int peer_mig_write(struct peer *peer, const void *from, size_t size)
{
	struct wire_mig_data data = {
		.argsz = (uint32_t)(sizeof(data) + size),
		.size = (uint32_t)size,
	};
	void *body = body_of(&data, sizeof(data), from, size);
	int error = peer_call(peer, WIRE_MIG_DATA_WRITE, body, sizeof(data) + size);

	free(body);
	return !error && peer->reply.len ? -1 : error;
}

int peer_mig_load(struct peer *peer, const void *from, size_t len, size_t piece)
{
	int error = peer_mig_go(peer, WIRE_MIG_RESUMING);

	for (size_t at = 0; at < len && !error; at += piece)
		error = peer_mig_write(peer, (const uint8_t *)from + at,
				       len - at < piece ? len - at : piece);
	return error ? error : peer_mig_go(peer, WIRE_MIG_STOP);
}

int peer_mig_break(struct peer *peer)
{
	int error = peer_mig_go(peer, WIRE_MIG_RESUMING);

	if (!error)
		error = peer_mig_write(peer, "garbage", 7);
	return error ? error : peer_mig_go(peer, WIRE_MIG_STOP) != EINVAL;
}

int peer_mig_put_into(struct peer *peer, uint32_t state)
{
	if (peer_call(peer, WIRE_DEVICE_RESET, NULL, 0) || peer_mig_state(peer) != WIRE_MIG_RUNNING)
		return -1;
	return state == WIRE_MIG_ERROR ? peer_mig_break(peer) : peer_mig_go(peer, state);
}
