/* SPDX-License-Identifier: BSD-3-Clause */
#include "session.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "asks.h"
#include "channel.h"
#include "cleanup.h"
#include "log.h"
#include "note.h"
#include "outbox.h"
#include "patience.h"
#include "socket.h"
#include "usdt.h"
#include "waiting.h"

/* A peer that sends nothing but nonsense gets this many lines in the log, and one that says so. */
#define MAX_COMPLAINTS 32

/* How soon to look whether an answer that carries an fd has gone. */
#define TWIN_LEAVES_NS 1000000

struct session {
	struct channel channel;
	struct channel twin; /* for our commands, where the client wants one; fd -1: none */
	struct outbox out;
	struct outbox twin_out;
	struct fp_device *dev;
	struct session_options options;
	struct device_link link;
	struct ring_hook reap;
	struct command_peer peer;
	struct waiting_list waiting;
	struct waiting *running; /* one of them that is being run; NULL: none */
	struct ring_op again;	 /* goes on with those, once others have had their share */
	struct patience patience;
	bool has_ended;
	/* Those that wait are being gone through: handlers may run then, and must not get at the list. */
	bool is_looking;
	bool has_missed; /* progress() meanwhile */
	/* The twin's other end, until the answer that carries it has gone; -1: none. */
	int twin_theirs;
	struct ring_op twin_leaves;
	struct wire_header reset; /* the one that the device has put off; cmd 0: none of ours */
	struct asks asks;
	unsigned int complaints;
};

static struct session *of_link(struct device_link *link)
{
	return (struct session *)((char *)link - offsetof(struct session, link));
}

static void end(struct session *session, const char *why);

static void complain(struct session *session, const struct channel_msg *msg,
		     const struct refusal *why, int error)
{
	char text[128];

	session->dev->stats.refused++;
	observe_refused(session->dev, msg->hdr.cmd, why, error);
	if (session->complaints == MAX_COMPLAINTS)
		log_warn("%s: this client's further refusals are not logged", session->dev->name);
	if (session->complaints++ >= MAX_COMPLAINTS ||
	    !allowance_take(&session->dev->lines, session->dev->name))
		return;
	refusal_format(why, text, sizeof(text));
	log_warn("%s: %s (%u) refused: %s: %s", session->dev->name, wire_cmd_name(msg->hdr.cmd),
		 msg->hdr.cmd, text, strerror(-error));
}

/* ---- what is answered later ---- */

/* The header of a deferred access's command travels in its cookie. */
static uint64_t pack(const struct wire_header *hdr)
{
	return (uint64_t)hdr->flags << 32 | (uint64_t)hdr->cmd << 16 | hdr->msg_id;
}

/* A deferred REGION_READ or REGION_WRITE is done. */
static void answer_access(struct deferred *deferred)
{
	struct session *session = deferred->owner;
	struct wire_header hdr = {
		.msg_id = (uint16_t)deferred->cookie,
		.cmd = (uint16_t)(deferred->cookie >> 16),
		.flags = (uint32_t)(deferred->cookie >> 32),
	};
	const struct fp_access *access = &deferred->access;
	struct wire_region_access fixed = {
		.offset = access->offset,
		.region = deferred->region,
		.count = deferred->count,
	};

	if (deferred->ret)
		outbox_answer_error(&session->out, &hdr, deferred->ret);
	else
		outbox_answer(&session->out, &hdr, &fixed, sizeof(fixed), deferred->data,
			      access->write ? 0 : access->size);
}

static void reset_done(struct device_link *link)
{
	struct session *session = of_link(link);

	/* The one who asked for it may have left since. */
	if (session->reset.cmd == WIRE_DEVICE_RESET)
		outbox_answer(&session->out, &session->reset, NULL, 0, NULL, 0);
	session->reset.cmd = 0;
	link->progress(link);
}

/* Keeps a message until it may be run, or gone on with. */
static void put_by(struct session *session, struct channel_msg *msg, uint64_t done, bool first)
{
	if (session->running && msg == &session->running->msg)
		waiting_put_back(&session->waiting, take_ptr(session->running), done);
	else if (waiting_put(&session->waiting, msg, done, first))
		end(session, "out of memory");
	else if (waiting_is_full(&session->waiting))
		channel_pause(&session->channel);
}

/* ---- running a command ---- */

static const struct channel_ops twin_ops;

/* While we hold the twin's other end as well, we would not see the client close it. */
static void twin_left(struct ring_op *op, int res, const struct ring_received *received)
{
	struct session *session =
		(struct session *)((char *)op - offsetof(struct session, twin_leaves));

	(void)res;
	(void)received;
	if (channel_unsent(&session->channel))
		ring_timeout(session->dev->ring, op, TWIN_LEAVES_NS);
	else
		close(take_fd(&session->twin_theirs));
}

/* Our commands go through it from now on; its other end leaves with the answer to VERSION. */
static void open_twin(struct session *session, int theirs)
{
	session->twin_theirs = theirs;
	session->twin_leaves.done = twin_left;
	ring_timeout(session->dev->ring, &session->twin_leaves, TWIN_LEAVES_NS);
	channel_open(&session->twin, session->dev->ring, take_fd(&session->peer.twin_fd),
		     &twin_ops);
}

static void put_off(struct session *session, struct request *request)
{
	struct channel_msg *msg = request->msg;

	if (msg->hdr.cmd == WIRE_DEVICE_RESET) {
		session->reset = msg->hdr;
	} else if (request->yields) {
		put_by(session, msg, request->done, true);
		if (!session->has_ended && !ring_op_busy(&session->again))
			ring_yield(session->dev->ring, &session->again);
	} else if (msg->hdr.cmd == WIRE_REGION_WRITE_MULTI) {
		/* This write is taken as done; the others wait for it. */
		put_by(session, msg, request->done + 1, true);
	} else {
		struct wire_region_access access;

		memcpy(&access, msg->body, sizeof(access));
		request->later->count = access.count;
		request->later->answer = answer_access;
		request->later->owner = session;
		request->later->cookie = pack(&msg->hdr);
	}
}

/* VERSION has been agreed upon. */
static void begin(struct session *session)
{
	const struct caps *caps = &session->peer.caps;

	if (caps->max_data_xfer_size < session->link.max_data_xfer)
		session->link.max_data_xfer = caps->max_data_xfer_size;
	patience_has_version(&session->patience);
	if (allowance_take_at(&session->dev->lines, session->dev->name, LOG_DEBUG))
		log_debug("%s: VERSION is agreed on: its client takes %u fds and %llu bytes a "
			  "message%s%s",
			  session->dev->name, caps->max_msg_fds,
			  (unsigned long long)caps->max_data_xfer_size,
			  session->twin.fd >= 0 ? ", a twin socket" : "",
			  caps->vm_interrupt ? ", interrupts by message" : "");
}

static void reply(struct session *session, struct request *request, const void *body, ssize_t len)
{
	struct wire_header hdr = {
		.msg_id = request->msg->hdr.msg_id,
		.cmd = request->msg->hdr.cmd,
		.flags = WIRE_TYPE_REPLY,
	};

	if (len == COMMAND_LATER) {
		put_off(session, request);
	} else if (len < 0) {
		complain(session, request->msg, &request->why, (int)len);
		if (!session->peer.doomed)
			outbox_answer_error(&session->out, &request->msg->hdr, (int)len);
	} else if (!(request->msg->hdr.flags & WIRE_NO_REPLY)) {
		note_said(session->dev, &hdr, body, (size_t)len, request->nr_fds);
		channel_commit(&session->channel, &hdr, (size_t)len, request->fds, request->nr_fds);
	}
	if (request->own_fd >= 0)
		open_twin(session, request->own_fd);
	if (session->peer.negotiated && !session->patience.has_version)
		begin(session);
	if (session->peer.doomed)
		end(session, NULL);
}

static void run(struct session *session, struct channel_msg *msg, uint64_t done)
{
	const struct command *command = command_find(msg->hdr.cmd);
	struct request request = {
		.dev = session->dev,
		.peer = &session->peer,
		.msg = msg,
		.done = done,
		.own_fd = -1,
	};
	size_t room = command->reply + (command->more ? command->more(&request) : 0);
	void *body = channel_begin(&session->channel, room);
	ssize_t len;

	if (!body)
		return;
	memset(body, 0, room);
	outbox_begin(&session->out);
	len = command->run(&request, body);
	outbox_end(&session->out);
	reply(session, &request, body, len);
	outbox_flush(&session->out);
}

/* What a message may look like, for every command in one place. 0 when it may be run. */
static int check(const struct session *session, const struct channel_msg *msg, struct refusal *why)
{
	const struct command *command = command_find(msg->hdr.cmd);

	if ((msg->hdr.flags & WIRE_TYPE_MASK) != WIRE_TYPE_COMMAND)
		return refuse_value(why, "it is no command: flags", msg->hdr.flags, -EINVAL);
	if (!command->run)
		return refuse(why, "the command is not served here", -EOPNOTSUPP);
	if (msg->too_long || msg->body_len < command->min ||
	    msg->body_len > (command->max ? command->max : command->min))
		return refuse_value(why, "msg_size", msg->hdr.msg_size, -EINVAL);
	if (msg->fds_lost && msg->nr_fds < command->max_fds)
		return refuse(why, "its fds, of which the server can open no more", -EMFILE);
	if (msg->fds_lost)
		return refuse(why, "too many fds", -EINVAL);
	if (msg->nr_fds > command->max_fds || msg->nr_fds > session->dev->caps.max_msg_fds)
		return refuse_value(why, "too many fds:", msg->nr_fds, -EINVAL);
	return 0;
}

/* The client has not even said VERSION properly. */
static void turn_away(struct session *session, const struct channel_msg *msg,
		      const struct refusal *why)
{
	char text[128];
	char line[256];

	refusal_format(why, text, sizeof(text));
	snprintf(line, sizeof(line), "its first message, %s (%u): %s", wire_cmd_name(msg->hdr.cmd),
		 msg->hdr.cmd, text);
	end(session, line);
}

static void handle(struct session *session, struct channel_msg *msg, uint64_t done)
{
	struct refusal why = { 0 };
	int error = check(session, msg, &why);

	if (!error && !session->peer.negotiated && msg->hdr.cmd != WIRE_VERSION)
		error = refuse(&why, "it is not VERSION", -EINVAL);
	if (error && !session->peer.negotiated) {
		turn_away(session, msg, &why);
	} else if (error) {
		complain(session, msg, &why, error);
		if ((msg->hdr.flags & WIRE_TYPE_MASK) == WIRE_TYPE_COMMAND)
			outbox_answer_error(&session->out, &msg->hdr, error);
	} else {
		run(session, msg, done);
	}
}

/* The first of those that wait that need not any more; NULL: none. */
static struct waiting *take_runnable(struct session *session)
{
	struct waiting *waiting = NULL;

	session->is_looking = true;
	do {
		session->has_missed = false;
		waiting = waiting_take(&session->waiting, session->dev);
	} while (!waiting && session->has_missed && !session->has_ended);
	session->is_looking = false;
	if (!waiting || !session->has_ended)
		return waiting;
	waiting_free(waiting);
	return NULL;
}

static bool has_to_wait(struct session *session, const struct channel_msg *msg)
{
	bool is_needed;

	session->is_looking = true;
	is_needed = waiting_is_needed(&session->waiting, session->dev, msg);
	session->is_looking = false;
	return is_needed;
}

/* What was in flight is done: those that waited for it are run, in their order. */
static void progress(struct device_link *link)
{
	struct session *session = of_link(link);
	struct waiting *waiting;
	unsigned int share = CHANNEL_TURN_STEPS;

	if (session->is_looking)
		session->has_missed = true;
	if (session->is_looking || ring_op_busy(&session->again))
		return;
	while (!session->out.is_writing && !session->has_ended &&
	       !channel_is_full(&session->channel) && (waiting = take_runnable(session))) {
		session->running = waiting;
		handle(session, &waiting->msg, waiting->done);
		if (session->running) /* else it waits again */
			waiting_free(take_ptr(session->running));
		if (!--share && !session->has_ended && !ring_op_busy(&session->again))
			ring_yield(session->dev->ring, &session->again);
		if (ring_op_busy(&session->again))
			return;
	}
	if (!session->has_ended && waiting_has_room(&session->waiting))
		channel_resume(&session->channel);
}

/* Whether something that came before what rings now has had to wait for its turn. */
static bool is_behind(struct device_link *link)
{
	const struct session *session = of_link(link);

	return channel_is_behind(&session->channel) || ring_op_busy(&session->again);
}

static void catch_up(struct session *session)
{
	if (!session->has_ended && !is_behind(&session->link))
		iofd_catch_up(session->dev);
}

static void go_on(struct ring_op *op, int res, const struct ring_received *received)
{
	struct session *session = (struct session *)((char *)op - offsetof(struct session, again));

	(void)received;
	if (res < 0)
		end(session, "out of memory");
	else
		progress(&session->link);
	catch_up(session);
}

/* ---- our own commands ---- */

static int send_dma(struct device_link *link, struct transfer *transfer)
{
	return asks_dma(&of_link(link)->asks, transfer);
}

static void send_interrupt(struct irq_sink *sink, uint32_t index, uint32_t number)
{
	struct device_link *link =
		(struct device_link *)((char *)sink - offsetof(struct device_link, irqs));

	asks_interrupt(&of_link(link)->asks, index, number);
}

static void take_answer(struct session *session, const struct channel_msg *msg)
{
	struct refusal why = { 0 };

	if (msg->hdr.cmd == WIRE_VM_INTERRUPT && session->peer.caps.vm_interrupt)
		return; /* nobody asked for it, but the draft has one */
	if (!asks_take_answer(&session->asks, msg))
		complain(session, msg, &why,
			 refuse_value(&why, "it answers nothing that was asked: msg_id",
				      msg->hdr.msg_id, -EINVAL));
}

/* ---- the channels ---- */

static bool is_answer(const struct channel_msg *msg)
{
	return (msg->hdr.flags & WIRE_TYPE_MASK) == WIRE_TYPE_REPLY;
}

static void on_message(struct channel *channel, struct channel_msg *msg)
{
	struct session *session = (struct session *)channel;
	bool waits;

	note_heard(session->dev, msg);
	if (session->peer.negotiated && is_answer(msg)) {
		take_answer(session, msg);
	} else {
		waits = has_to_wait(session, msg);
		if (!session->has_ended && waits)
			put_by(session, msg, 0, false);
		else if (!session->has_ended)
			handle(session, msg, 0);
	}
	progress(&session->link);
}

static struct session *of_twin(struct channel *channel)
{
	return (struct session *)((char *)channel - offsetof(struct session, twin));
}

static void on_twin_message(struct channel *channel, struct channel_msg *msg)
{
	struct session *session = of_twin(channel);
	struct refusal why = { 0 };

	note_heard(session->dev, msg);
	if (is_answer(msg))
		take_answer(session, msg);
	else
		complain(session, msg, &why,
			 refuse(&why, "the twin socket is for answers only", -EINVAL));
}

static void on_gone(struct channel *channel, const char *why)
{
	end((struct session *)channel, why);
}

/* A process that ends closes one of its sockets first, and it may be this one. */
static void on_twin_gone(struct channel *channel, const char *why)
{
	end(of_twin(channel), why);
}

static void on_owing(struct channel *channel)
{
	patience_begin(&((struct session *)channel)->patience);
}

static void on_twin_owing(struct channel *channel)
{
	patience_begin(&of_twin(channel)->patience);
}

static void on_room(struct channel *channel)
{
	progress(&((struct session *)channel)->link);
}

static void on_caught_up(struct channel *channel)
{
	catch_up((struct session *)channel);
}

static const struct channel_ops channel_ops = {
	.message = on_message,
	.gone = on_gone,
	.owing = on_owing,
	.caught_up = on_caught_up,
	.room = on_room,
};

static const struct channel_ops twin_ops = {
	.message = on_twin_message,
	.gone = on_twin_gone,
	.owing = on_twin_owing,
};

/* An answer that came after all could be taken for one to a later message: the stream is given up. */
static void on_lost(struct patience *patience, const char *why)
{
	struct session *session =
		(struct session *)((char *)patience - offsetof(struct session, patience));

	session->dev->link = NULL; /* what is given up here is not gone on with */
	transfer_abandon(session->dev, -ETIMEDOUT);
	end(session, why);
}

/* ---- life ---- */

/* Nothing comes in or goes out any more, and the device is free for the next client. */
static void shut(struct session *session)
{
	channel_close(&session->channel);
	channel_close(&session->twin);
	deferred_disown(session->dev, session);
	device_detach(session->dev);
	if (!session->is_looking) /* else reap() does */
		waiting_clear(&session->waiting);
	outbox_clear(&session->out);
	ring_cancel(&session->again);
	patience_close(&session->patience);
	cleanup_close(&session->peer.twin_fd);
	session->peer.twin_fd = -1;
	ring_cancel(&session->twin_leaves);
	cleanup_close(&session->twin_theirs);
	session->twin_theirs = -1;
}

static void reap(struct ring_hook *hook)
{
	struct session *session = (struct session *)((char *)hook - offsetof(struct session, reap));

	channel_free(&session->channel);
	channel_free(&session->twin);
	waiting_clear(&session->waiting);
	free(session);
}

/* Ends the connection, once, from wherever that was found necessary. */
static void end(struct session *session, const char *why)
{
	if (session->has_ended)
		return;
	session->has_ended = true;
	if (why && allowance_take(&session->dev->lines, session->dev->name))
		log_warn("%s: connection closed: %s", session->dev->name, why);
	USDT(client_gone, session->dev->short_name, why);
	observe_client_gone(session->dev, why);
	shut(session);
	session->options.ended(session->options.opaque);
	ring_before_submit(session->dev->ring, &session->reap);
}

int session_open(struct fp_device *dev, int fd, const struct session_options *options,
		 struct session **out)
{
	struct session *session = calloc(1, sizeof(*session));

	if (!session) {
		close(fd);
		return -ENOMEM;
	}
	session->dev = dev;
	session->options = *options;
	session->reap.run = reap;
	session->again.done = go_on;
	session->patience = (struct patience){
		.ns = options->client_timeout_ns,
		.channel = &session->channel,
		.twin = &session->twin,
		.dev = dev,
		.lost = on_lost,
	};
	session->out = (struct outbox){ .channel = &session->channel, .dev = dev };
	session->twin_out = (struct outbox){ .channel = &session->twin, .dev = dev };
	session->asks = (struct asks){
		.dev = dev,
		.out = &session->out,
		.twin_out = &session->twin_out,
		.patience = &session->patience,
	};
	session->twin.fd = -1;
	session->twin_theirs = -1;
	session->peer = (struct command_peer){
		.io_fds = options->io_fds,
		.no_fds = !socket_carries_fds(fd),
		.twin_fd = -1,
	};
	if (session->peer.no_fds)
		socket_tune(fd);
	session->link = (struct device_link){
		.max_data_xfer = WIRE_DEFAULT_MAX_DATA_XFER,
		.send_dma = send_dma,
		.progress = progress,
		.is_behind = is_behind,
		.reset_done = reset_done,
		.irqs = { .fired = send_interrupt },
	};
	dev->link = &session->link;
	channel_open(&session->channel, dev->ring, fd, &channel_ops);
	patience_open(&session->patience);
	*out = session;
	return 0;
}

bool session_is_leaving(const struct session *session)
{
	struct pollfd peer = { .fd = session->channel.fd, .events = POLLRDHUP };

	return poll(&peer, 1, 0) > 0 && peer.revents & (POLLRDHUP | POLLHUP);
}

void session_end(struct session *session, const char *why)
{
	end(session, why);
}

const struct caps *session_caps(const struct session *session)
{
	return session->peer.negotiated ? &session->peer.caps : NULL;
}

bool session_peer(const struct session *session, struct ucred *peer)
{
	socklen_t len = sizeof(*peer);

	return !getsockopt(session->channel.fd, SOL_SOCKET, SO_PEERCRED, peer, &len) &&
	       peer->pid > 0;
}

void session_close(struct session *session)
{
	shut(session);
	reap(&session->reap);
}
