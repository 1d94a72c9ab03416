/* SPDX-License-Identifier: BSD-3-Clause */
#include "client_call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "caps.h"
#include "cleanup.h"
#include "log.h"
#include "socket.h"

#define DEFAULT_TIMEOUT_MS 5000
#define NS_PER_MS 1000000ll

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

	if (msg->hdr.cmd != call->cmd || msg->too_long || msg->fds_lost)
		return -EPROTO;
	if (msg->hdr.flags & WIRE_ERROR)
		return msg->hdr.error_no && msg->hdr.error_no < 4096 ? -(int)msg->hdr.error_no :
								       -EIO;
	for (unsigned int i = 0; i < 2; i++) {
		size_t left = msg->body_len - done;
		size_t n = left < call->in[i].len ? left : call->in[i].len;

		if (n)
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

int64_t client_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

int client_send(struct client *client, struct call *call, uint32_t flags)
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
	int64_t deadline = client_now_ns() + client->timeout_ns;
	int64_t left = client->timeout_ns;

	while (!*done && !client->gone) {
		int ret = left > 0 ? ring_turn(client->ring, left) : -ETIMEDOUT;

		if (ret == -ETIMEDOUT)
			on_gone(&client->channel, "no answer within the deadline");
		if (ret && ret != -EINTR)
			return ret;
		if (!*done)
			left = deadline - client_now_ns();
	}
	return *done ? 0 : -ECONNRESET;
}

ssize_t client_run(struct client *client, struct call *call)
{
	int ret = client_send(client, call, WIRE_TYPE_COMMAND);

	if (ret)
		return ret;
	client->call = call;
	ret = turn_until(client, &call->answered);
	client->call = NULL;
	return ret ? ret : call->result;
}

void client_close_fds(const struct call *call)
{
	for (unsigned int i = 0; i < call->nr_reply_fds; i++)
		cleanup_close(&call->reply_fds[i]);
}

int client_run_plain(struct client *client, struct call *call, size_t min)
{
	ssize_t len = client_run(client, call);

	client_close_fds(call);
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
	ssize_t len = client_run(client, &call);

	client_close_fds(&call);
	return len;
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
