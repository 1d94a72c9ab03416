/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands that ask for something of the device, or change it. */
#include "client_call.h"

#include <errno.h>

#include "cleanup.h"

/* A question and an answer of the same fixed size, as the GET commands have. */
static int ask(struct client *client, enum wire_cmd cmd, void *body, size_t len)
{
	struct call call = { .cmd = cmd, .out = { { body, len } }, .in = { { body, len } } };

	return client_run_plain(client, &call, len);
}

int client_device_info(struct client *client, struct wire_device_info *info)
{
	*info = (struct wire_device_info){ .argsz = sizeof(*info) };
	return ask(client, WIRE_DEVICE_GET_INFO, info, sizeof(*info));
}

int client_irq_info(struct client *client, uint32_t index, struct wire_irq_info *info)
{
	int ret;

	*info = (struct wire_irq_info){ .argsz = sizeof(*info), .index = index };
	ret = ask(client, WIRE_DEVICE_GET_IRQ_INFO, info, sizeof(*info));
	return !ret && info->index != index ? -EPROTO : ret;
}

int client_region_info(struct client *client, uint32_t index, struct wire_region_info *info,
		       int *fd)
{
	struct call call = {
		.cmd = WIRE_DEVICE_GET_REGION_INFO,
		.out = { { info, sizeof(*info) } },
		.in = { { info, sizeof(*info) } },
	};
	ssize_t len;

	*info = (struct wire_region_info){ .argsz = sizeof(*info), .index = index };
	len = client_run(client, &call);
	if (fd)
		*fd = -1;
	if (len >= (ssize_t)sizeof(*info) && info->index == index) {
		if (fd && call.nr_reply_fds)
			*fd = take_fd(&call.reply_fds[0]);
		len = 0;
	} else if (len >= 0) {
		len = -EPROTO;
	}
	client_close_fds(&call);
	return (int)len;
}

int client_region_read(struct client *client, uint32_t region, uint64_t offset, void *data,
		       uint32_t count)
{
	struct wire_region_access access = { .offset = offset, .region = region, .count = count };
	struct call call = {
		.cmd = WIRE_REGION_READ,
		.out = { { &access, sizeof(access) } },
		.in = { { &access, sizeof(access) }, { data, count } },
	};

	return client_run_plain(client, &call, sizeof(access) + count);
}

int client_region_write(struct client *client, uint32_t region, uint64_t offset, const void *data,
			uint32_t count)
{
	struct wire_region_access access = { .offset = offset, .region = region, .count = count };
	struct call call = {
		.cmd = WIRE_REGION_WRITE,
		.out = { { &access, sizeof(access) }, { (void *)data, count } },
		.in = { { &access, sizeof(access) } },
	};

	return client_run_plain(client, &call, sizeof(access));
}

int client_region_post(struct client *client, uint32_t region, uint64_t offset, const void *data,
		       uint32_t count)
{
	struct wire_region_access access = { .offset = offset, .region = region, .count = count };
	struct call call = {
		.cmd = WIRE_REGION_WRITE,
		.out = { { &access, sizeof(access) }, { (void *)data, count } },
	};
	int ret = client_send(client, &call, WIRE_TYPE_COMMAND | WIRE_NO_REPLY);
	int64_t deadline = client_now_ns() + client->timeout_ns;

	/* The socket takes it at once unless the server is behind. */
	while (!ret && !client->gone && channel_unsent(&client->channel)) {
		int64_t left = deadline - client_now_ns();

		if (left <= 0)
			return -ETIMEDOUT;
		ret = ring_turn(client->ring, channel_is_stuck(&client->channel) ? left : 0);
		if (ret == -EINTR)
			ret = 0;
	}
	return client->gone ? -ECONNRESET : ret;
}

int client_dma_map(struct client *client, int fd, uint64_t offset, uint64_t address, uint64_t size,
		   uint32_t flags)
{
	struct wire_dma_map map = {
		.argsz = sizeof(map),
		.flags = flags,
		.offset = offset,
		.address = address,
		.size = size,
	};
	struct call call = {
		.cmd = WIRE_DMA_MAP,
		.out = { { &map, sizeof(map) } },
		.fds = &fd,
		.nr_fds = fd >= 0,
	};

	return client_run_plain(client, &call, 0);
}

int client_dma_unmap(struct client *client, uint64_t address, uint64_t size)
{
	struct wire_dma_unmap unmap = { .argsz = sizeof(unmap), .address = address, .size = size };
	struct call call = { .cmd = WIRE_DMA_UNMAP, .out = { { &unmap, sizeof(unmap) } } };

	return client_run_plain(client, &call, 0);
}

int client_set_irqs(struct client *client, uint32_t flags, uint32_t index, uint32_t start,
		    uint32_t count, const void *data)
{
	bool by_eventfd = flags & WIRE_IRQ_DATA_EVENTFD;
	size_t bools = flags & WIRE_IRQ_DATA_BOOL ? count : 0;
	struct wire_irq_set set = {
		.argsz = (uint32_t)(sizeof(set) + bools),
		.flags = flags,
		.index = index,
		.start = start,
		.count = count,
	};
	struct call call = {
		.cmd = WIRE_DEVICE_SET_IRQS,
		.out = { { &set, sizeof(set) }, { (void *)data, bools } },
		.fds = by_eventfd ? data : NULL,
		.nr_fds = by_eventfd && data ? count : 0,
	};

	if (call.nr_fds > RING_MAX_FDS || call.nr_fds > client->limits.max_msg_fds)
		return -E2BIG;
	return client_run_plain(client, &call, 0);
}

int client_reset(struct client *client)
{
	struct call call = { .cmd = WIRE_DEVICE_RESET };

	return client_run_plain(client, &call, 0);
}
