/* SPDX-License-Identifier: BSD-3-Clause */
#include "client_call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"
#include "socket.h"

#define DEFAULT_TIMEOUT_MS 5000
#define NS_PER_MS 1000000ll

/* A server that does nothing but nonsense gets this many lines in the log. */
#define MAX_COMPLAINTS 32

int64_t fpc_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

/* ---- calls that wait for their answer ---- */

static struct call **bucket(struct fpc *client, uint16_t id)
{
	return &client->calls[id % CALL_BUCKETS];
}

static struct call **find(struct fpc *client, uint16_t id)
{
	struct call **at = bucket(client, id);

	while (*at && (*at)->id != id)
		at = &(*at)->next;
	return at;
}

static void add(struct fpc *client, struct call *call)
{
	struct call **at;

	do {
		call->id = client->next_id++;
		at = find(client, call->id);
	} while (*at);
	*at = call;
	client->in_flight++;
}

static void unlink_at(struct fpc *client, struct call **at)
{
	*at = (*at)->next;
	client->in_flight--;
}

static void forget(struct fpc *client, const struct call *call)
{
	struct call **at = find(client, call->id);

	if (*at)
		unlink_at(client, at);
}

/* ---- what comes in ---- */

void fpc_complain(struct fpc *client, const char *what, const struct wire_header *hdr)
{
	if (client->complaints++ < MAX_COMPLAINTS)
		log_warn("the server %s: %s (%u), msg_id %u", what, wire_cmd_name(hdr->cmd),
			 hdr->cmd, hdr->msg_id);
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
	while (!call->done && call->nr_reply_fds < msg->nr_fds) {
		call->reply_fds[call->nr_reply_fds] = channel_take_fd(msg, call->nr_reply_fds);
		call->nr_reply_fds++;
	}
	return (ssize_t)msg->body_len;
}

/* Tells and frees a call that nobody waited for. */
static void finish(struct fpc *client, struct call *call, ssize_t result, const void *body)
{
	if (result >= 0 && (size_t)result < call->min)
		result = -EPROTO;
	else if (result >= 0 && call->plain)
		result = 0;
	client->in_callback = true;
	call->done(call->opaque, result, body);
	client->in_callback = false;
	free(call);
}

static void take_message(struct fpc *client, struct channel *channel, struct channel_msg *msg)
{
	struct call **at = find(client, msg->hdr.msg_id);
	struct call *call = *at;

	if ((msg->hdr.flags & WIRE_TYPE_MASK) == WIRE_TYPE_COMMAND) {
		fpc_serve(client, channel, msg);
		return;
	}
	if (channel == &client->twin || !call) {
		fpc_complain(client, "answered what was not asked", &msg->hdr);
		return;
	}
	unlink_at(client, at);
	call->result = take_reply(call, msg);
	call->answered = true;
	if (call->done)
		finish(client, call, call->result, msg->body);
}

static void on_message(struct channel *channel, struct channel_msg *msg)
{
	take_message((struct fpc *)channel, channel, msg);
}

void fpc_lost(struct fpc *client, const char *why)
{
	client->gone = true;
	log_line(client->flags & FPC_QUIET ? LOG_INFO : LOG_WARN, "the server is gone%s%s",
		 why ? ": " : "", why ? why : "");
}

static void on_gone(struct channel *channel, const char *why)
{
	fpc_lost((struct fpc *)channel, why);
}

static const struct channel_ops channel_ops = { .message = on_message, .gone = on_gone };

static void on_twin_message(struct channel *channel, struct channel_msg *msg)
{
	take_message((struct fpc *)((char *)channel - offsetof(struct fpc, twin)), channel, msg);
}

/* The server can't reach memory any more that has no file; all else goes on. */
static void on_twin_gone(struct channel *channel, const char *why)
{
	(void)channel;
	log_info("the server closed the twin socket%s%s", why ? ": " : "", why ? why : "");
}

static const struct channel_ops twin_ops = { .message = on_twin_message, .gone = on_twin_gone };

/* ---- calls ---- */

int fpc_send(struct fpc *client, struct call *call, uint32_t flags)
{
	struct wire_header hdr = { .cmd = (uint16_t)call->cmd, .flags = flags };
	size_t len = call->out[0].len + call->out[1].len;
	uint8_t *body;

	if (client->gone)
		return -ECONNRESET;
	if (client->in_callback && !call->done)
		return -EDEADLK;
	if (call->nr_fds && client->no_fds)
		return -E2BIG;
	if (client->in_flight >= MAX_IN_FLIGHT)
		return -EBUSY;
	body = channel_begin(&client->channel, len);
	if (!body)
		return -ENOMEM;
	for (unsigned int i = 0; i < 2; i++) {
		if (call->out[i].len)
			memcpy(body, call->out[i].base, call->out[i].len);
		body += call->out[i].len;
	}
	if (flags & WIRE_NO_REPLY)
		call->id = client->next_id++;
	else
		add(client, call);
	hdr.msg_id = call->id;
	channel_commit(&client->channel, &hdr, len, call->fds, call->nr_fds);
	return 0;
}

/* Turns the ring until the call is answered; the timer sees to it that it does not last. */
static int turn_until_answered(struct fpc *client, const struct call *call)
{
	while (!call->answered && !client->gone) {
		int ret = ring_turn(client->ring, -1);

		if (ret && ret != -EINTR)
			return ret;
	}
	if (call->answered)
		return 0;
	return call->deadline_ns <= fpc_now_ns() ? -ETIMEDOUT : -ECONNRESET;
}

ssize_t fpc_run(struct fpc *client, struct call *call)
{
	int ret = fpc_watch(client, call);

	if (!ret)
		ret = fpc_send(client, call, WIRE_TYPE_COMMAND);
	if (ret)
		return ret;
	ret = turn_until_answered(client, call);
	if (!call->answered)
		forget(client, call);
	fpc_settle(client);
	return ret ? ret : call->result;
}

void fpc_close_fds(const struct call *call)
{
	for (unsigned int i = 0; i < call->nr_reply_fds; i++)
		cleanup_close(&call->reply_fds[i]);
}

int fpc_run_plain(struct fpc *client, struct call *call, size_t min)
{
	ssize_t len = fpc_run(client, call);

	fpc_close_fds(call);
	if (len < 0)
		return (int)len;
	return (size_t)len < min ? -EPROTO : 0;
}

ssize_t fpc_call(struct fpc *client, unsigned int cmd, const void *body, size_t body_len,
		 const int *fds, unsigned int nr_fds, void *reply, size_t reply_max)
{
	struct call call = {
		.cmd = (enum wire_cmd)cmd,
		.out = { { (void *)body, body_len } },
		.fds = fds,
		.nr_fds = nr_fds,
		.in = { { reply, reply_max } },
	};
	ssize_t len = fpc_run(client, &call);

	fpc_close_fds(&call);
	return len;
}

void fpc_settle(struct fpc *client)
{
	int64_t now;

	if (!client->gone || client->in_callback)
		return;
	now = fpc_now_ns();
	for (unsigned int i = 0; i < CALL_BUCKETS; i++)
		while (client->calls[i]) {
			struct call *call = client->calls[i];

			unlink_at(client, &client->calls[i]);
			finish(client, call, call->deadline_ns <= now ? -ETIMEDOUT : -ECONNRESET,
			       NULL);
		}
}

/* ---- life ---- */

int fpc_begin(struct fpc *client, int fd)
{
	int twin = -1;
	int ret;

	client->gone = false;
	client->complaints = 0;
	client->no_fds = !socket_carries_fds(fd);
	if (client->no_fds)
		socket_tune(fd);
	channel_open(&client->channel, client->ring, fd, &channel_ops);
	ret = fpc_negotiate(client, &twin);
	if (ret)
		client->gone = true;
	else if (twin >= 0)
		channel_open(&client->twin, client->ring, twin, &twin_ops);
	return ret;
}

static struct ring_wait ring_wait(struct fpc_wait wait)
{
	return (struct ring_wait){ (enum ring_wait_mode)wait.mode, wait.spin_us };
}

int fpc_open(int fd, const struct fpc_options *options, struct fpc **out)
{
	struct fpc *client = calloc(1, sizeof(*client));
	struct ring_options ring_options = { .wait = ring_wait(options->wait) };
	unsigned int timeout_ms = options->timeout_ms ? options->timeout_ms : DEFAULT_TIMEOUT_MS;
	int ret = client ? ring_open(&ring_options, &client->ring) : -ENOMEM;

	if (ret) {
		close(fd);
		free(client);
		return ret;
	}
	client->timeout_ns = timeout_ms * NS_PER_MS;
	client->flags = options->flags;
	client->twin.fd = -1;
	ret = fpc_begin(client, fd);
	if (ret)
		fpc_close(client);
	else
		*out = client;
	return ret;
}

int fpc_connect(const char *address, const struct fpc_options *options, struct fpc **out)
{
	int fd = socket_connect_within(address, options->timeout_ms ? options->timeout_ms :
								      DEFAULT_TIMEOUT_MS);
	int ret = fd < 0 ? fd : fpc_open(fd, options, out);

	if (ret || !(options->flags & FPC_RECONNECTS))
		return ret;
	(*out)->address = strdup(address);
	if ((*out)->address)
		return 0;
	fpc_close(*out);
	return -ENOMEM;
}

void fpc_close(struct fpc *client)
{
	if (!client)
		return;
	channel_free(&client->channel);
	channel_free(&client->twin);
	client->gone = true;
	fpc_settle(client);
	ring_close(client->ring);
	fpc_free_windows(client);
	fpc_free_irqs(client);
	free(client->address);
	free(client);
}

int fpc_set_wait(struct fpc *client, struct fpc_wait wait)
{
	return ring_set_wait(client->ring, ring_wait(wait));
}

struct fpc_stats fpc_stats(const struct fpc *client)
{
	const struct ring_stats *stats = ring_stats(client->ring);

	return (struct fpc_stats){
		.enters = stats->enters,
		.sends = stats->sends,
		.spin_hits = stats->spin_hits,
		.spin_misses = stats->spin_misses,
		.spin_denied = stats->spin_denied,
	};
}

struct fpc_wait_stats fpc_wait_stats(const struct fpc *client)
{
	const struct ring_stats *stats = ring_stats(client->ring);

	return (struct fpc_wait_stats){ stats->spin_hits, stats->spin_misses };
}

const struct fpc_limits *fpc_limits(const struct fpc *client)
{
	return &client->limits;
}

unsigned int fpc_max_fds(const struct fpc *client)
{
	uint32_t theirs = client->limits.max_msg_fds;

	return theirs < RING_MAX_FDS ? theirs : RING_MAX_FDS;
}

uint32_t fpc_max_data(const struct fpc *client)
{
	uint64_t theirs = client->limits.max_data_xfer;

	return theirs < WIRE_DEFAULT_MAX_DATA_XFER ? (uint32_t)theirs : WIRE_DEFAULT_MAX_DATA_XFER;
}

void fpc_set_log(fpc_log_fn *fn, void *opaque)
{
	log_set_sink(fn, opaque);
}
