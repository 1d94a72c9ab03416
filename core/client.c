/* SPDX-License-Identifier: BSD-3-Clause */
#include "client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "caps.h"
#include "channel.h"
#include "cleanup.h"
#include "log.h"
#include "socket.h"

#define DEFAULT_TIMEOUT_MS 5000
#define NS_PER_MS 1000000ll

/* So many entries a server may list for one region; more is nonsense. */
#define MAX_IO_FDS 4096

/* A part of a body: what is fixed, and the data behind it. */
struct part {
	void *base;
	size_t len;
};

/* A command and what came back. */
struct call {
	enum wire_cmd cmd;
	struct part out[2];
	const int *fds;
	unsigned int nr_fds;
	struct part in[2];

	uint16_t id;
	bool answered;
	ssize_t result; /* length of the reply's body, or -errno */
	int reply_fds[RING_MAX_FDS];
	unsigned int nr_reply_fds;
};

struct client {
	struct channel channel;
	struct ring *ring;
	int64_t timeout_ns;
	struct client_limits limits;
	uint16_t next_id;
	struct call *call; /* the one that waits for its answer */
	bool gone;
};

/* ---- what comes in ---- */

static void refuse_command(struct client *client, const struct wire_header *hdr)
{
	struct wire_header reply = {
		.msg_id = hdr->msg_id,
		.cmd = hdr->cmd,
		.flags = WIRE_TYPE_REPLY | WIRE_ERROR,
		.error_no = EOPNOTSUPP,
	};

	if (!(hdr->flags & WIRE_NO_REPLY) && channel_begin(&client->channel, 0))
		channel_commit(&client->channel, &reply, 0, NULL, 0);
}

static ssize_t take_reply(struct call *call, struct channel_msg *msg)
{
	size_t done = 0;

	if (msg->hdr.cmd != call->cmd || !msg->body || msg->fds_lost) /* no body: too long */
		return -EPROTO;
	if (msg->hdr.flags & WIRE_ERROR)
		return msg->hdr.error_no && msg->hdr.error_no < 4096 ? -(int)msg->hdr.error_no :
								       -EIO;
	for (unsigned int i = 0; i < 2; i++) {
		size_t left = msg->body_len - done;
		size_t n = left < call->in[i].len ? left : call->in[i].len;

		if (n && call->in[i].base)
			memcpy(call->in[i].base, msg->body + done, n);
		done += n;
	}
	while (call->nr_reply_fds < msg->nr_fds) {
		call->reply_fds[call->nr_reply_fds] = channel_take_fd(msg, call->nr_reply_fds);
		call->nr_reply_fds++;
	}
	return (ssize_t)msg->body_len;
}

static void on_message(struct channel *channel, struct channel_msg *msg)
{
	struct client *client = (struct client *)channel;
	struct call *call = client->call;

	if ((msg->hdr.flags & WIRE_TYPE_MASK) == WIRE_TYPE_COMMAND) {
		refuse_command(client, &msg->hdr);
	} else if (!call || call->answered || call->id != msg->hdr.msg_id) {
		log_warn("the server answered what was not asked: %s, msg_id %u",
			 wire_cmd_name(msg->hdr.cmd), msg->hdr.msg_id);
	} else {
		call->result = take_reply(call, msg);
		call->answered = true;
	}
}

static void on_gone(struct channel *channel, const char *why)
{
	struct client *client = (struct client *)channel;

	client->gone = true;
	log_warn("the server is gone%s%s", why ? ": " : "", why ? why : "");
}

static const struct channel_ops channel_ops = { .message = on_message, .gone = on_gone };

/* ---- calls ---- */

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static int send_call(struct client *client, struct call *call, uint32_t flags)
{
	struct wire_header hdr = { .cmd = (uint16_t)call->cmd, .flags = flags };
	size_t len = call->out[0].len + call->out[1].len;
	uint8_t *body;

	if (client->gone)
		return -ECONNRESET;
	body = channel_begin(&client->channel, len);
	if (!body)
		return -ENOMEM;
	call->id = hdr.msg_id = client->next_id++;
	for (unsigned int i = 0; i < 2; i++) {
		if (call->out[i].len)
			memcpy(body, call->out[i].base, call->out[i].len);
		body += call->out[i].len;
	}
	channel_commit(&client->channel, &hdr, len, call->fds, call->nr_fds);
	return 0;
}

/* Turns the ring until `*done`, the end of the connection or the deadline. */
static int turn_until(struct client *client, const bool *done)
{
	int64_t deadline = now_ns() + client->timeout_ns;
	int64_t left = client->timeout_ns;

	while (!*done && !client->gone) {
		int ret = left > 0 ? ring_turn(client->ring, left) : -ETIMEDOUT;

		if (ret == -ETIMEDOUT)
			on_gone(&client->channel, "no answer within the deadline");
		if (ret && ret != -EINTR)
			return ret;
		if (!*done)
			left = deadline - now_ns();
	}
	return *done ? 0 : -ECONNRESET;
}

/* Sends `call` and awaits its answer: the length of the reply's body, or -errno. */
static ssize_t run(struct client *client, struct call *call)
{
	int ret = send_call(client, call, WIRE_TYPE_COMMAND);

	if (ret)
		return ret;
	client->call = call;
	ret = turn_until(client, &call->answered);
	client->call = NULL;
	return ret ? ret : call->result;
}

static void close_fds(const struct call *call)
{
	for (unsigned int i = 0; i < call->nr_reply_fds; i++)
		close(call->reply_fds[i]);
}

/* The same for a call whose answer holds at least `min` bytes and no fds. */
static int run_plain(struct client *client, struct call *call, size_t min)
{
	ssize_t len = run(client, call);

	close_fds(call);
	if (len < 0)
		return (int)len;
	return (size_t)len < min ? -EPROTO : 0;
}

ssize_t client_call(struct client *client, enum wire_cmd cmd, const void *body, size_t body_len,
		    const int *fds, unsigned int nr_fds, void *reply, size_t reply_max)
{
	struct call call = {
		.cmd = cmd,
		.out = { { (void *)body, body_len } },
		.fds = fds,
		.nr_fds = nr_fds,
		.in = { { reply, reply_max } },
	};
	ssize_t len = run(client, &call);

	close_fds(&call);
	return len;
}

/* A question and an answer of the same fixed size, as the GET commands have. */
static int ask(struct client *client, enum wire_cmd cmd, void *body, size_t len)
{
	struct call call = { .cmd = cmd, .out = { { body, len } }, .in = { { body, len } } };

	return run_plain(client, &call, len);
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
	len = run(client, &call);
	if (fd)
		*fd = -1;
	if (len >= (ssize_t)sizeof(*info) && info->index == index) {
		if (fd && call.nr_reply_fds)
			*fd = take_fd(&call.reply_fds[0]);
		len = 0;
	} else if (len >= 0) {
		len = -EPROTO;
	}
	for (unsigned int i = 0; i < call.nr_reply_fds; i++)
		cleanup_close(&call.reply_fds[i]);
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

	return run_plain(client, &call, sizeof(access) + count);
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

	return run_plain(client, &call, sizeof(access));
}

int client_region_post(struct client *client, uint32_t region, uint64_t offset, const void *data,
		       uint32_t count)
{
	struct wire_region_access access = { .offset = offset, .region = region, .count = count };
	struct call call = {
		.cmd = WIRE_REGION_WRITE,
		.out = { { &access, sizeof(access) }, { (void *)data, count } },
	};
	int ret = send_call(client, &call, WIRE_TYPE_COMMAND | WIRE_NO_REPLY);
	int64_t deadline = now_ns() + client->timeout_ns;

	/* The socket takes it at once unless the server is behind. */
	while (!ret && !client->gone && channel_unsent(&client->channel)) {
		int64_t left = deadline - now_ns();

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

	return run_plain(client, &call, 0);
}

int client_dma_unmap(struct client *client, uint64_t address, uint64_t size)
{
	struct wire_dma_unmap unmap = { .argsz = sizeof(unmap), .address = address, .size = size };
	struct call call = { .cmd = WIRE_DMA_UNMAP, .out = { { &unmap, sizeof(unmap) } } };

	return run_plain(client, &call, 0);
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
	return run_plain(client, &call, 0);
}

int client_reset(struct client *client)
{
	struct call call = { .cmd = WIRE_DEVICE_RESET };

	return run_plain(client, &call, 0);
}

/* ---- io fds ---- */

void client_io_fds_free(struct client_io_fds *set)
{
	for (uint32_t i = 0; i < set->nr_fds; i++)
		cleanup_close(&set->fds[i]);
	free(set->fds);
	free(set->entries);
	*set = (struct client_io_fds){ 0 };
}

static void decode(const uint8_t *at, size_t stride, struct client_io_fd *entry)
{
	struct wire_io_fd_spec spec;
	struct wire_io_fd_deployed deployed;

	if (stride >= sizeof(deployed)) {
		memcpy(&deployed, at, sizeof(deployed));
		*entry = (struct client_io_fd){
			.offset = deployed.offset,
			.size = deployed.size,
			.type = deployed.type,
			.flags = deployed.flags,
			.datamatch = deployed.datamatch,
			.user_data = deployed.shadow_offset,
			.fd_index = deployed.fd_index,
		};
		return;
	}
	memcpy(&spec, at, sizeof(spec));
	*entry = (struct client_io_fd){
		.offset = spec.offset,
		.size = spec.size,
		.type = spec.type,
		.flags = spec.flags,
		.datamatch = spec.datamatch,
		.user_data = spec.datamatch,
		.fd_index = spec.fd_index,
	};
}

/* Turns a whole reply into a set; takes the call's fds when it succeeds. */
static int decode_all(const uint8_t *body, size_t len, struct call *call, struct client_io_fds *set)
{
	struct wire_region_io_fds fixed;
	size_t stride;

	memcpy(&fixed, body, sizeof(fixed));
	if (!fixed.count)
		return 0;
	if (fixed.count > MAX_IO_FDS || fixed.argsz > len || fixed.argsz < sizeof(fixed))
		return -EPROTO;
	stride = (fixed.argsz - sizeof(fixed)) / fixed.count;
	if (stride < sizeof(struct wire_io_fd_spec))
		return -EPROTO;
	set->entries = calloc(fixed.count, sizeof(*set->entries));
	set->fds = calloc(call->nr_reply_fds ? call->nr_reply_fds : 1, sizeof(*set->fds));
	if (!set->entries || !set->fds)
		return -ENOMEM;
	for (unsigned int i = 0; i < call->nr_reply_fds; i++)
		set->fds[i] = take_fd(&call->reply_fds[i]);
	set->nr_fds = call->nr_reply_fds;
	set->nr_entries = fixed.count;
	for (uint32_t i = 0; i < fixed.count; i++) {
		struct client_io_fd *entry = &set->entries[i];

		decode(body + sizeof(fixed) + i * stride, stride, entry);
		entry->fd = entry->fd_index < set->nr_fds ? set->fds[entry->fd_index] : -1;
	}
	return 0;
}

/* Asks with room for `argsz` bytes; *needed is what the server would fill. */
static int ask_io_fds(struct client *client, uint32_t index, uint32_t argsz, uint32_t *needed,
		      struct client_io_fds *set)
{
	CLEANUP_FREE uint8_t *body = calloc(1, argsz);
	struct wire_region_io_fds question = { .argsz = argsz, .index = index };
	struct call call = {
		.cmd = WIRE_DEVICE_GET_REGION_IO_FDS,
		.out = { { &question, sizeof(question) } },
		.in = { { body, argsz } },
	};
	ssize_t len;
	int ret = 0;

	if (!body)
		return -ENOMEM;
	len = run(client, &call);
	if (len >= 0 && len < (ssize_t)sizeof(question))
		ret = -EPROTO;
	else if (len < 0)
		ret = (int)len;
	else
		memcpy(needed, body, sizeof(*needed));
	if (!ret && *needed <= argsz)
		ret = decode_all(body, (size_t)len < argsz ? (size_t)len : argsz, &call, set);
	for (unsigned int i = 0; i < call.nr_reply_fds; i++)
		cleanup_close(&call.reply_fds[i]);
	return ret;
}

int client_region_io_fds(struct client *client, uint32_t index, struct client_io_fds *set)
{
	uint32_t argsz =
		sizeof(struct wire_region_io_fds) + 16 * sizeof(struct wire_io_fd_deployed);
	uint32_t needed;
	int ret;

	*set = (struct client_io_fds){ 0 };
	ret = ask_io_fds(client, index, argsz, &needed, set);
	if (!ret && needed > argsz) {
		if (needed > sizeof(struct wire_region_io_fds) + MAX_IO_FDS * 64)
			return -EPROTO;
		argsz = needed;
		ret = ask_io_fds(client, index, argsz, &needed, set);
		if (!ret && needed > argsz)
			ret = -EPROTO;
	}
	if (ret)
		client_io_fds_free(set);
	return ret;
}

/* ---- life ---- */

static int negotiate(struct client *client)
{
	/* A server's answer may bring as many fds as the ring can take. */
	struct caps ours = caps_ours;
	struct {
		struct wire_version version;
		char json[512];
	} out = { .version = { WIRE_MAJOR, WIRE_MINOR } }, in = { 0 };
	struct caps theirs;
	const char *why;
	ssize_t len;
	int json;

	ours.max_msg_fds = RING_MAX_FDS;
	json = caps_format(&ours, out.json, sizeof(out.json));
	if (json < 0)
		return json;
	len = client_call(client, WIRE_VERSION, &out, sizeof(out.version) + (size_t)json, NULL, 0,
			  &in, sizeof(in));
	if (len < 0)
		return (int)len;
	if (len < (ssize_t)sizeof(in.version) || len > (ssize_t)sizeof(in) ||
	    in.version.major != WIRE_MAJOR || in.version.minor > WIRE_MINOR) {
		log_error("the server speaks version %u.%u, not %u.%u", in.version.major,
			  in.version.minor, WIRE_MAJOR, WIRE_MINOR);
		return -EPROTO;
	}
	if (caps_parse(in.json, (size_t)len - sizeof(in.version), &theirs, &why)) {
		log_error("the server's capabilities: %s is not acceptable", why);
		return -EPROTO;
	}
	client->limits = (struct client_limits){
		.minor = in.version.minor,
		.max_msg_fds = theirs.max_msg_fds,
		.max_data_xfer = theirs.max_data_xfer_size,
		.max_dma_maps = theirs.max_dma_maps,
	};
	return 0;
}

int client_open(int fd, const struct client_options *options, struct client **out)
{
	struct client *client = calloc(1, sizeof(*client));
	struct ring_options ring_options = { .wait = options->wait };
	unsigned int timeout_ms = options->timeout_ms ? options->timeout_ms : DEFAULT_TIMEOUT_MS;
	int ret = client ? ring_open(&ring_options, &client->ring) : -ENOMEM;

	if (ret) {
		close(fd);
		free(client);
		return ret;
	}
	client->timeout_ns = timeout_ms * NS_PER_MS;
	channel_open(&client->channel, client->ring, fd, &channel_ops);
	ret = negotiate(client);
	if (ret)
		client_close(client);
	else
		*out = client;
	return ret;
}

int client_connect(const char *path, const struct client_options *options, struct client **out)
{
	int fd = socket_connect(path);

	return fd < 0 ? fd : client_open(fd, options, out);
}

void client_close(struct client *client)
{
	if (!client)
		return;
	channel_free(&client->channel);
	ring_close(client->ring);
	free(client);
}

void client_set_wait(struct client *client, struct ring_wait wait)
{
	ring_set_wait(client->ring, wait);
}

const struct client_limits *client_limits(const struct client *client)
{
	return &client->limits;
}
