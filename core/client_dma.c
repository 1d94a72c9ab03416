/* SPDX-License-Identifier: BSD-3-Clause */
/* Windows to guest memory, and the server's accesses to them by message. */
#include "client_call.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

/* What was mapped. */
struct fpc_window {
	uint64_t address;
	uint64_t size;
	uint32_t flags;
	int fd; /* a duplicate, to be mapped again or, where it can't travel, to be served; -1: none */
	uint64_t offset;
	void *memory; /* the user's; NULL: not known */
};

/* ---- what is mapped ---- */

static struct fpc_window *find(struct fpc *client, uint64_t address, uint64_t size)
{
	for (size_t i = 0; i < client->nr_windows; i++)
		if (client->windows[i].address == address && client->windows[i].size == size)
			return &client->windows[i];
	return NULL;
}

static void forget(struct fpc *client, struct fpc_window *window)
{
	cleanup_close(&window->fd);
	*window = client->windows[--client->nr_windows];
}

static int remember(struct fpc *client, const struct fpc_window *window)
{
	struct fpc_window *grown =
		reallocarray(client->windows, client->nr_windows + 1, sizeof(*client->windows));
	int fd = -1;

	if (!grown)
		return -ENOMEM;
	client->windows = grown;
	if (window->fd >= 0 && (client->no_fds || client->flags & FPC_RECONNECTS)) {
		fd = fcntl(window->fd, F_DUPFD_CLOEXEC, 0);
		if (fd < 0)
			return -errno;
	}
	grown[client->nr_windows] = *window;
	grown[client->nr_windows++].fd = fd;
	return 0;
}

void fpc_free_windows(struct fpc *client)
{
	while (client->nr_windows)
		forget(client, client->windows);
	free(take_ptr(client->windows));
}

/* ---- DMA_MAP, DMA_UNMAP ---- */

static int send_map(struct fpc *client, const struct fpc_window *window)
{
	struct wire_dma_map map = {
		.argsz = sizeof(map),
		.flags = window->flags,
		.offset = window->offset,
		.address = window->address,
		.size = window->size,
	};
	struct call call = {
		.cmd = WIRE_DMA_MAP,
		.out = { { &map, sizeof(map) } },
		.fds = &window->fd,
		.nr_fds = window->fd >= 0 && !client->no_fds,
	};

	/* How to use an fd, which is here and not there. */
	if (window->fd >= 0 && client->no_fds)
		map.flags &= ~(uint32_t)(WIRE_DMA_BY_MMAP | WIRE_DMA_BY_FILE_IO);
	return fpc_run_plain(client, &call, 0);
}

static int map_window(struct fpc *client, const struct fpc_window *window)
{
	bool is_new = !find(client, window->address, window->size);
	int ret = 0;

	if (client->in_callback)
		return -EDEADLK;
	if (is_new && client->nr_windows >= client->limits.max_dma_maps)
		return -ENOSPC;
	/* Before the server knows of it: it may use it before it has said that it does. */
	if (is_new)
		ret = remember(client, window);
	if (ret)
		return ret;
	ret = send_map(client, window);
	if (ret && is_new)
		forget(client, find(client, window->address, window->size));
	return ret;
}

int fpc_dma_map(struct fpc *client, int fd, uint64_t offset, uint64_t address, uint64_t size,
		uint32_t flags)
{
	const struct fpc_window window = {
		.address = address,
		.size = size,
		.flags = flags,
		.fd = fd,
		.offset = offset,
	};

	return map_window(client, &window);
}

int fpc_dma_map_memory(struct fpc *client, void *memory, uint64_t address, uint64_t size,
		       uint32_t flags)
{
	const struct fpc_window window = {
		.address = address,
		.size = size,
		.flags = flags,
		.fd = -1,
		.memory = memory,
	};

	return map_window(client, &window);
}

static int send_unmap(struct fpc *client, uint64_t address, uint64_t size, uint32_t flags)
{
	struct wire_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.flags = flags,
		.address = address,
		.size = size,
	};
	struct call call = { .cmd = WIRE_DMA_UNMAP, .out = { { &unmap, sizeof(unmap) } } };

	return fpc_run_plain(client, &call, 0);
}

int fpc_dma_unmap(struct fpc *client, uint64_t address, uint64_t size)
{
	int ret = send_unmap(client, address, size, 0);
	struct fpc_window *window = ret ? NULL : find(client, address, size);

	if (window)
		forget(client, window);
	return ret;
}

int fpc_dma_unmap_all(struct fpc *client)
{
	int ret = send_unmap(client, 0, 0, WIRE_DMA_UNMAP_ALL);

	if (!ret)
		fpc_free_windows(client);
	return ret;
}

int fpc_repeat_windows(struct fpc *client)
{
	int ret = 0;

	for (size_t i = 0; i < client->nr_windows && !ret; i++)
		ret = send_map(client, &client->windows[i]);
	return ret;
}

/* ---- the server's commands ---- */

void fpc_set_dma(struct fpc *client, fpc_dma_fn *fn, void *opaque)
{
	client->dma = fn;
	client->dma_opaque = opaque;
}

/* The window that has all of the bytes and allows the access; NULL, and why. */
static const struct fpc_window *
window_of(const struct fpc *client, const struct wire_dma_access *access, bool write, int *why)
{
	uint32_t needed = write ? WIRE_DMA_WRITEABLE : WIRE_DMA_READABLE;

	*why = -EFAULT;
	for (size_t i = 0; i < client->nr_windows; i++) {
		const struct fpc_window *window = &client->windows[i];

		if (access->address < window->address ||
		    !wire_within(access->address - window->address, access->count, window->size))
			continue;
		if (window->flags & needed)
			return window;
		*why = -EACCES;
	}
	return NULL;
}

/* The file of a window whose fd can't travel. Its user may have made it shorter since. */
static int reach_file(const struct fpc_window *window, const struct wire_dma_access *access,
		      bool write, uint8_t *data)
{
	off_t at = (off_t)(window->offset + (access->address - window->address));
	size_t left = (size_t)access->count;

	while (left) {
		ssize_t n = write ? pwrite(window->fd, data, left, at) :
				    pread(window->fd, data, left, at);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (!n)
			return -EFAULT;
		if (n > 0) {
			data += n;
			left -= (size_t)n;
			at += n;
		}
	}
	return 0;
}

static int reach(struct fpc *client, const struct fpc_window *window,
		 const struct wire_dma_access *access, bool write, void *data)
{
	uint8_t *memory = window->memory;
	int ret;

	if (client->dma) {
		client->in_callback = true;
		ret = client->dma(client->dma_opaque, write, access->address, data, access->count);
		client->in_callback = false;
		return ret;
	}
	if (client->no_fds && window->fd >= 0)
		return reach_file(window, access, write, data);
	if (!memory)
		return -EFAULT;
	memory += access->address - window->address;
	memcpy(write ? memory : data, write ? data : memory, access->count);
	return 0;
}

static int check(const struct channel_msg *msg, struct wire_dma_access *access, bool write)
{
	if (msg->too_long || msg->body_len < sizeof(*access))
		return -EINVAL;
	memcpy(access, msg->body, sizeof(*access));
	if (!access->count || access->count > WIRE_DEFAULT_MAX_DATA_XFER)
		return -EINVAL;
	return write && access->count != msg->body_len - sizeof(*access) ? -EINVAL : 0;
}

/* For a callback to fill: it may submit, and what it submits goes out before the reply. */
static uint8_t *room_aside(const struct fpc *client, bool write, uint64_t count)
{
	return client->dma && !write ? calloc(1, count) : NULL;
}

static int serve_dma(struct fpc *client, struct channel *channel, const struct channel_msg *msg)
{
	bool write = msg->hdr.cmd == WIRE_DMA_WRITE;
	struct wire_header hdr = {
		.msg_id = msg->hdr.msg_id,
		.cmd = msg->hdr.cmd,
		.flags = WIRE_TYPE_REPLY,
	};
	const struct fpc_window *window;
	struct wire_dma_access access;
	CLEANUP_FREE uint8_t *aside = NULL;
	size_t len = sizeof(access);
	uint8_t *reply;
	int ret = check(msg, &access, write);

	window = ret ? NULL : window_of(client, &access, write, &ret);
	if (!window)
		return ret;
	len += write ? 0 : access.count;
	aside = room_aside(client, write, access.count);
	if (!aside && client->dma && !write)
		return -ENOMEM;
	ret = 0;
	if (write || aside)
		ret = reach(client, window, &access, write,
			    write ? (uint8_t *)msg->body + sizeof(access) : aside);
	reply = ret ? NULL : channel_begin(channel, len);
	if (!reply)
		return ret ? ret : -ENOMEM;
	memcpy(reply, &access, sizeof(access));
	if (aside)
		memcpy(reply + sizeof(access), aside, access.count);
	else if (!write)
		ret = reach(client, window, &access, write, reply + sizeof(access));
	if (!ret && !(msg->hdr.flags & WIRE_NO_REPLY))
		channel_commit(channel, &hdr, len, NULL, 0);
	return ret;
}

/* A bare header: what says that it is done, or failed. */
static void answer(struct channel *channel, const struct wire_header *hdr, int error)
{
	struct wire_header reply = {
		.msg_id = hdr->msg_id,
		.cmd = hdr->cmd,
		.flags = error ? WIRE_TYPE_REPLY | WIRE_ERROR : WIRE_TYPE_REPLY,
		.error_no = (uint32_t)-error,
	};

	if (!(hdr->flags & WIRE_NO_REPLY) && channel_begin(channel, 0))
		channel_commit(channel, &reply, 0, NULL, 0);
}

static int serve_interrupt(struct fpc *client, struct channel *channel,
			   const struct channel_msg *msg)
{
	int ret = fpc_interrupted(client, msg);

	if (!ret)
		answer(channel, &msg->hdr, 0);
	return ret;
}

void fpc_serve(struct fpc *client, struct channel *channel, const struct channel_msg *msg)
{
	bool is_dma = msg->hdr.cmd == WIRE_DMA_READ || msg->hdr.cmd == WIRE_DMA_WRITE;
	int ret = -EOPNOTSUPP;

	if (is_dma)
		ret = serve_dma(client, channel, msg);
	else if (msg->hdr.cmd == WIRE_VM_INTERRUPT)
		ret = serve_interrupt(client, channel, msg);
	if (!ret)
		return;
	fpc_complain(client, "asked for what it can't have", &msg->hdr);
	answer(channel, &msg->hdr, ret);
}
