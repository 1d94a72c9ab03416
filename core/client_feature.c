/* SPDX-License-Identifier: BSD-3-Clause */
/* DEVICE_FEATURE and what goes by it: migration, and the logging of DMA. */
#include "client_call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

/* One DEVICE_FEATURE; the reply has to hold what is asked for in in[1]. */
static int feature(struct fpc *client, uint32_t flags, struct part out, struct part in)
{
	struct wire_device_feature head = {
		.argsz = (uint32_t)(sizeof(head) + (out.len > in.len ? out.len : in.len)),
		.flags = flags,
	};
	struct wire_device_feature reply;
	struct call call = {
		.cmd = WIRE_DEVICE_FEATURE,
		.out = { { &head, sizeof(head) }, out },
		.in = { { &reply, sizeof(reply) }, in },
	};
	int ret;

	if (in.len > fpc_max_data(client) || out.len > fpc_max_data(client))
		return -E2BIG;
	ret = fpc_run_plain(client, &call, sizeof(reply) + in.len);
	return !ret && reply.flags != flags ? -EPROTO : ret;
}

int fpc_feature_probe(struct fpc *client, uint32_t index, uint32_t ops)
{
	const struct part none = { 0 };

	return feature(client, (index & WIRE_FEATURE_INDEX_MASK) | ops | WIRE_FEATURE_PROBE, none,
		       none);
}

int fpc_feature_get(struct fpc *client, uint32_t index, void *data, size_t asked, size_t len)
{
	return feature(client, (index & WIRE_FEATURE_INDEX_MASK) | WIRE_FEATURE_GET,
		       (struct part){ data, asked }, (struct part){ data, len });
}

int fpc_feature_set(struct fpc *client, uint32_t index, const void *data, size_t len)
{
	return feature(client, (index & WIRE_FEATURE_INDEX_MASK) | WIRE_FEATURE_SET,
		       (struct part){ (void *)data, len }, (struct part){ 0 });
}

/* ---- migration ---- */

int fpc_migration_flags(struct fpc *client, uint64_t *flags)
{
	struct wire_migration migration = { 0 };
	int ret = fpc_feature_get(client, WIRE_FEATURE_MIGRATION, &migration, 0, sizeof(migration));

	*flags = migration.flags;
	return ret;
}

int fpc_migration_state(struct fpc *client, uint32_t *state)
{
	struct wire_mig_device_state got = { 0 };
	int ret = fpc_feature_get(client, WIRE_FEATURE_MIG_DEVICE_STATE, &got, 0, sizeof(got));

	*state = got.device_state;
	return !ret && got.device_state >= WIRE_MIG_END ? -EPROTO : ret;
}

int fpc_migration_set_state(struct fpc *client, uint32_t state)
{
	const struct wire_mig_device_state set = { .device_state = state };

	return fpc_feature_set(client, WIRE_FEATURE_MIG_DEVICE_STATE, &set, sizeof(set));
}

/* One message's worth: how many bytes came. */
static ssize_t read_some(struct fpc *client, void *data, size_t size)
{
	struct wire_mig_data head = {
		.argsz = (uint32_t)(sizeof(head) + size),
		.size = (uint32_t)size,
	};
	struct call call = {
		.cmd = WIRE_MIG_DATA_READ,
		.out = { { &head, sizeof(head) } },
		.in = { { &head, sizeof(head) }, { data, size } },
	};
	ssize_t len = fpc_run(client, &call);

	fpc_close_fds(&call);
	if (len < 0)
		return len;
	if (len < (ssize_t)sizeof(head) || head.size > size ||
	    (size_t)len < sizeof(head) + head.size)
		return -EPROTO;
	return head.size;
}

ssize_t fpc_migration_read(struct fpc *client, void *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		size_t most = fpc_max_data(client);
		size_t n = size - done < most ? size - done : most;
		ssize_t got = read_some(client, (uint8_t *)data + done, n);

		if (got < 0)
			return got;
		done += (size_t)got;
		if ((size_t)got < n)
			break;
	}
	return (ssize_t)done;
}

int fpc_migration_write(struct fpc *client, const void *data, size_t size)
{
	const uint8_t *at = data;
	int ret = 0;

	while (size && !ret) {
		size_t most = fpc_max_data(client);
		size_t n = size < most ? size : most;
		struct wire_mig_data head = {
			.argsz = (uint32_t)(sizeof(head) + n),
			.size = (uint32_t)n,
		};
		struct call call = {
			.cmd = WIRE_MIG_DATA_WRITE,
			.out = { { &head, sizeof(head) }, { (void *)at, n } },
		};

		ret = fpc_run_plain(client, &call, 0);
		at += n;
		size -= n;
	}
	return ret;
}

/* ---- logging of DMA ---- */

int fpc_dma_log_start(struct fpc *client, uint64_t page_size, const struct fpc_dma_range *ranges,
		      uint32_t nr)
{
	size_t len = sizeof(struct wire_dma_logging) + nr * sizeof(struct wire_dma_range);
	CLEANUP_FREE uint8_t *body = calloc(1, len);
	const struct wire_dma_logging head = { .page_size = page_size, .num_ranges = nr };

	if (!body)
		return -ENOMEM;
	memcpy(body, &head, sizeof(head));
	for (uint32_t i = 0; i < nr; i++) {
		const struct wire_dma_range range = { ranges[i].iova, ranges[i].length };

		memcpy(body + sizeof(head) + i * sizeof(range), &range, sizeof(range));
	}
	return fpc_feature_set(client, WIRE_FEATURE_DMA_LOGGING_START, body, len);
}

int fpc_dma_log_stop(struct fpc *client)
{
	return fpc_feature_set(client, WIRE_FEATURE_DMA_LOGGING_STOP, NULL, 0);
}

int fpc_dma_log_report(struct fpc *client, uint64_t iova, uint64_t length, uint64_t page_size,
		       uint64_t *bitmap)
{
	struct wire_dma_report asked = { iova, length, page_size };
	struct wire_dma_report got;
	CLEANUP_FREE uint8_t *body = NULL;
	size_t bytes;
	int ret;

	if (!length || !page_size || page_size & (page_size - 1))
		return -EINVAL;
	if (length / page_size / 8 > fpc_max_data(client))
		return -E2BIG;
	bytes = fpc_dma_log_bytes(length, page_size);
	body = calloc(1, sizeof(got) + bytes);
	if (!body)
		return -ENOMEM;
	memcpy(body, &asked, sizeof(asked));
	ret = fpc_feature_get(client, WIRE_FEATURE_DMA_LOGGING_REPORT, body, sizeof(asked),
			      sizeof(got) + bytes);
	if (ret)
		return ret;
	memcpy(&got, body, sizeof(got));
	if (got.iova != iova || got.length != length || got.page_size != page_size)
		return -EPROTO;
	memcpy(bitmap, body + sizeof(got), bytes);
	return 0;
}
