/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands that ask for something of the device, or change it. */
#include "client_call.h"

#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"

/* A question and an answer of the same fixed size, as the GET commands have. */
static int ask(struct fpc *client, enum wire_cmd cmd, void *body, size_t len)
{
	struct call call = { .cmd = cmd, .out = { { body, len } }, .in = { { body, len } } };

	return fpc_run_plain(client, &call, len);
}

int fpc_device_info(struct fpc *client, struct fpc_device_info *info)
{
	*info = (struct fpc_device_info){ .argsz = sizeof(*info) };
	return ask(client, WIRE_DEVICE_GET_INFO, info, sizeof(*info));
}

int fpc_irq_info(struct fpc *client, uint32_t index, struct fpc_irq_info *info)
{
	int ret;

	*info = (struct fpc_irq_info){ .argsz = sizeof(*info), .index = index };
	ret = ask(client, WIRE_DEVICE_GET_IRQ_INFO, info, sizeof(*info));
	return !ret && info->index != index ? -EPROTO : ret;
}

int fpc_region_info(struct fpc *client, uint32_t index, struct fpc_region_info *info, int *fd)
{
	struct call call = {
		.cmd = WIRE_DEVICE_GET_REGION_INFO,
		.out = { { info, sizeof(*info) } },
		.in = { { info, sizeof(*info) } },
	};
	ssize_t len;

	*info = (struct fpc_region_info){ .argsz = sizeof(*info), .index = index };
	len = fpc_run(client, &call);
	if (fd)
		*fd = -1;
	if (len >= (ssize_t)sizeof(*info) && info->index == index) {
		if (fd && call.nr_reply_fds)
			*fd = take_fd(&call.reply_fds[0]);
		len = 0;
	} else if (len >= 0) {
		len = -EPROTO;
	}
	fpc_close_fds(&call);
	return (int)len;
}

/* Moves `count` bytes by as many messages as it takes; `data` are the next ones. */
typedef int piece_fn(struct fpc *client, uint32_t region, uint64_t offset, uint8_t *data,
		     uint32_t count);

static int in_pieces(struct fpc *client, piece_fn *piece, uint32_t region, uint64_t offset,
		     uint8_t *data, uint32_t count)
{
	uint32_t most = fpc_max_data(client);
	int ret;

	do {
		uint32_t n = count < most ? count : most;

		ret = piece(client, region, offset, data, n);
		offset += n;
		data += n;
		count -= n;
	} while (count && !ret);
	return ret;
}

static int read_piece(struct fpc *client, uint32_t region, uint64_t offset, uint8_t *data,
		      uint32_t count)
{
	struct wire_region_access access = { .offset = offset, .region = region, .count = count };
	struct call call = {
		.cmd = WIRE_REGION_READ,
		.out = { { &access, sizeof(access) } },
		.in = { { &access, sizeof(access) }, { data, count } },
	};

	return fpc_run_plain(client, &call, sizeof(access) + count);
}

int fpc_region_read(struct fpc *client, uint32_t region, uint64_t offset, void *data,
		    uint32_t count)
{
	return in_pieces(client, read_piece, region, offset, data, count);
}

static int write_piece(struct fpc *client, uint32_t region, uint64_t offset, uint8_t *data,
		       uint32_t count)
{
	struct wire_region_access access = { .offset = offset, .region = region, .count = count };
	struct call call = {
		.cmd = WIRE_REGION_WRITE,
		.out = { { &access, sizeof(access) }, { data, count } },
		.in = { { &access, sizeof(access) } },
	};

	return fpc_run_plain(client, &call, sizeof(access));
}

int fpc_region_write(struct fpc *client, uint32_t region, uint64_t offset, const void *data,
		     uint32_t count)
{
	return in_pieces(client, write_piece, region, offset, (uint8_t *)data, count);
}

/* So many bytes of posts are gathered before they are sent. */
#define MAX_POSTED 65536u

/* The socket takes it at once unless the server is behind. */
static int drain(struct fpc *client)
{
	int64_t deadline = fpc_now_ns() + client->timeout_ns;
	int ret = 0;

	while (!ret && !client->gone && channel_unsent(&client->channel)) {
		int64_t left = deadline - fpc_now_ns();

		if (left <= 0)
			return -ETIMEDOUT;
		ret = ring_turn(client->ring, channel_is_stuck(&client->channel) ? left : 0);
		if (ret == -EINTR)
			ret = 0;
	}
	fpc_settle(client);
	return client->gone ? -ECONNRESET : ret;
}

static int send_post(struct fpc *client, uint32_t region, uint64_t offset, const void *data,
		     uint32_t count)
{
	struct wire_region_access access = { .offset = offset, .region = region, .count = count };
	struct call call = {
		.cmd = WIRE_REGION_WRITE,
		.out = { { &access, sizeof(access) }, { (void *)data, count } },
	};

	return fpc_send(client, &call, WIRE_TYPE_COMMAND | WIRE_NO_REPLY);
}

static int post_piece(struct fpc *client, uint32_t region, uint64_t offset, uint8_t *data,
		      uint32_t count)
{
	int ret = send_post(client, region, offset, data, count);

	return ret ? ret : drain(client);
}

int fpc_region_post(struct fpc *client, uint32_t region, uint64_t offset, const void *data,
		    uint32_t count)
{
	return in_pieces(client, post_piece, region, offset, (uint8_t *)data, count);
}

int fpc_submit_post(struct fpc *client, uint32_t region, uint64_t offset, const void *data,
		    uint32_t count)
{
	int ret = 0;

	if (count > fpc_max_data(client))
		return -E2BIG;
	if (channel_unsent(&client->channel) >= MAX_POSTED)
		ret = client->in_callback ? -EBUSY : drain(client);
	return ret ? ret : send_post(client, region, offset, data, count);
}

/* ---- several writes in one message ---- */

/* More at a time make no difference any more. */
#define MAX_WRITES 1024u

/* As they travel; -EINVAL when one is too wide. */
static int lay_out(struct wire_region_write_multi *out, const struct fpc_write *writes, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		if (writes[i].count > sizeof(writes[i].data))
			return -EINVAL;
		out[i] = (struct wire_region_write_multi){
			.offset = writes[i].offset,
			.region = writes[i].region,
			.count = writes[i].count,
			.data = writes[i].data,
		};
	}
	return 0;
}

static int write_some(struct fpc *client, const struct fpc_write *writes, size_t nr, size_t *done)
{
	size_t len = nr * sizeof(struct wire_region_write_multi);
	struct wire_region_write_multi *out = calloc(1, len);
	uint64_t cnt = nr;
	struct call call = {
		.cmd = WIRE_REGION_WRITE_MULTI,
		.out = { { &cnt, sizeof(cnt) }, { out, len } },
		.in = { { &cnt, sizeof(cnt) } },
	};
	int ret = out ? lay_out(out, writes, nr) : -ENOMEM;

	if (!ret)
		ret = fpc_run_plain(client, &call, sizeof(cnt));
	free(out);
	if (ret)
		return ret;
	if (cnt > nr)
		return -EPROTO;
	*done += cnt;
	return cnt < nr ? -EIO : 0;
}

int fpc_region_write_multi(struct fpc *client, const struct fpc_write *writes, size_t nr,
			   size_t *done)
{
	size_t most = fpc_max_data(client) / sizeof(struct wire_region_write_multi);
	int ret = 0;

	*done = 0;
	if (!client->limits.write_multiple || !most)
		return -EOPNOTSUPP;
	if (most > MAX_WRITES)
		most = MAX_WRITES;
	while (*done < nr && !ret) {
		size_t left = nr - *done;

		ret = write_some(client, writes + *done, left < most ? left : most, done);
	}
	return ret;
}

int fpc_reset(struct fpc *client)
{
	struct call call = { .cmd = WIRE_DEVICE_RESET };

	return fpc_run_plain(client, &call, 0);
}
