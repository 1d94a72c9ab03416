/* SPDX-License-Identifier: BSD-3-Clause */
#include "channel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"

/* A buffer that grew beyond this for a large message is given back after it. */
#define KEEP_BYTES 65536u

struct channel_stash {
	struct channel_stash *next;
	size_t len;
	unsigned int nr_fds;
	bool fds_lost;
	int fds[RING_MAX_FDS];
	uint8_t data[];
};

struct channel_fds {
	struct channel_fds *next;
	size_t start; /* in `out`; the message ends at `end` */
	size_t end;
	unsigned int nr;
	int fds[];
};

static void close_all(int *fds, unsigned int *nr)
{
	for (unsigned int i = 0; i < *nr; i++)
		if (fds[i] >= 0)
			close(take_fd(&fds[i]));
	*nr = 0;
}

void channel_fail(struct channel *channel, const char *why)
{
	channel_close(channel);
	channel->ops->gone(channel, why);
}

static void owes(struct channel *channel)
{
	if (channel->ops->owing)
		channel->ops->owing(channel);
}

static int reserve(uint8_t **buf, size_t *size, size_t wanted)
{
	size_t grown = *size ? *size : 512;
	uint8_t *new;

	if (wanted <= *size)
		return 0;
	while (grown < wanted)
		grown *= 2;
	new = realloc(*buf, grown);
	if (!new)
		return -ENOMEM;
	*buf = new;
	*size = grown;
	return 0;
}

static void shrink(uint8_t **buf, size_t *size)
{
	if (*size <= KEEP_BYTES)
		return;
	free(take_ptr(*buf));
	*size = 0;
}

/* ---- receiving ---- */

static bool is_held(const struct channel *channel)
{
	return channel->held || channel->paused || channel->rests;
}

int channel_take_fd(struct channel_msg *msg, unsigned int i)
{
	return i < msg->nr_fds ? take_fd(&msg->fds[i]) : -1;
}

static void deliver(struct channel *channel, const struct wire_header *hdr, const uint8_t *body)
{
	struct channel_msg msg = {
		.hdr = *hdr,
		.body = body,
		.body_len = body ? hdr->msg_size - sizeof(*hdr) : 0,
		.fds = channel->fds,
		.nr_fds = channel->nr_fds,
		.fds_lost = channel->fds_lost,
		.too_long = !body,
	};

	channel->delivered++;
	channel->ops->message(channel, &msg);
	close_all(channel->fds, &channel->nr_fds);
	channel->fds_lost = false;
}

/* A message begins: -EPROTO when its end can't be told. */
static int begin(struct channel *channel, const uint8_t *data, struct wire_header *hdr)
{
	char text[96];
	const char *why;

	memcpy(hdr, data, sizeof(*hdr));
	why = wire_header_check(hdr);
	if (!why)
		return 0;
	snprintf(text, sizeof(text), "%s: %u", why, hdr->msg_size);
	channel_fail(channel, text);
	return -EPROTO;
}

/* Completes the message in `in` with some of the bytes at `data`; returns how many it took. */
static size_t assemble(struct channel *channel, const uint8_t *data, size_t len)
{
	struct wire_header hdr;
	size_t wanted = sizeof(hdr);
	size_t n;

	if (channel->in_len >= sizeof(hdr)) {
		memcpy(&hdr, channel->in, sizeof(hdr));
		wanted = hdr.msg_size;
	}
	n = wanted - channel->in_len < len ? wanted - channel->in_len : len;
	if (reserve(&channel->in, &channel->in_size, wanted)) {
		channel_fail(channel, "out of memory");
		return len;
	}
	memcpy(channel->in + channel->in_len, data, n);
	channel->in_len += n;
	if (channel->in_len < wanted)
		return n;
	if (wanted == sizeof(hdr) && begin(channel, channel->in, &hdr))
		return len;
	if (hdr.msg_size > WIRE_MAX_MSG) {
		channel->in_len = 0;
		channel->skip = hdr.msg_size - sizeof(hdr);
		deliver(channel, &hdr, NULL);
	} else if (channel->in_len == hdr.msg_size) {
		channel->in_len = 0;
		deliver(channel, &hdr, channel->in + sizeof(hdr));
		shrink(&channel->in, &channel->in_size);
	}
	return n;
}

/* Takes one step through the bytes at `data`; returns how many it took. */
static size_t step(struct channel *channel, const uint8_t *data, size_t len)
{
	struct wire_header hdr;

	if (channel->skip) {
		size_t n = channel->skip < len ? channel->skip : len;

		channel->skip -= n;
		return n;
	}
	if (channel->in_len || len < sizeof(hdr))
		return assemble(channel, data, len);
	if (begin(channel, data, &hdr))
		return len;
	if (hdr.msg_size > WIRE_MAX_MSG || len < hdr.msg_size)
		return assemble(channel, data, sizeof(hdr));
	deliver(channel, &hdr, data + sizeof(hdr)); /* in place: the common case */
	return hdr.msg_size;
}

static void refuse_fds(struct ring_received *received)
{
	for (unsigned int i = 0; i < received->nr_fds; i++)
		close(received->fds[i]);
	received->nr_fds = 0;
	received->fds_lost = false;
}

/* Keeps what arrived for later, at `at` in the stash. */
static void put_by(struct channel *channel, struct channel_stash **at,
		   struct ring_received *received)
{
	struct channel_stash *stash = malloc(sizeof(*stash) + received->len);

	if (received->nr_fds > CHANNEL_STASH_FDS - channel->stash_fds) {
		refuse_fds(received);
		received->fds_lost = true;
	}
	if (!stash) {
		refuse_fds(received);
		channel_fail(channel, "out of memory");
		return;
	}
	*stash = (struct channel_stash){
		.next = *at,
		.len = received->len,
		.nr_fds = received->nr_fds,
		.fds_lost = received->fds_lost,
	};
	memcpy(stash->fds, received->fds, received->nr_fds * sizeof(int));
	memcpy(stash->data, received->data, stash->len);
	channel->stash_fds += stash->nr_fds;
	*at = stash;
}

/* Whether the message that the next step works on is the one that these bytes end in. */
static bool ends_in_next(const struct channel *channel, const struct ring_received *received)
{
	size_t in_len = channel->in_len;
	struct wire_header hdr;

	if (in_len + received->len <= sizeof(hdr))
		return true;
	if (in_len && in_len < sizeof(hdr)) /* then it only completes the header */
		return false;
	memcpy(&hdr, in_len ? channel->in : received->data, sizeof(hdr));
	return in_len + received->len <= hdr.msg_size;
}

/*
 * The kernel joins sends without fds with one that has some, and stops behind that. So the fds
 * belong to the message in which the bytes end, and not to the one in which they begin: peers send
 * a message that has fds by itself.
 */
static void adopt_fds(struct channel *channel, struct ring_received *received)
{
	if (channel->skip || !ends_in_next(channel, received))
		return;
	channel->fds_lost |= received->fds_lost;
	for (unsigned int i = 0; i < received->nr_fds; i++) {
		if (channel->nr_fds < RING_MAX_FDS) {
			channel->fds[channel->nr_fds++] = received->fds[i];
		} else {
			close(received->fds[i]);
			channel->fds_lost = true;
		}
	}
	received->nr_fds = 0;
	received->fds_lost = false;
}

/* Whether it has had its share of the turn; the others of the ring are to have theirs first. */
static bool is_spent(struct channel *channel)
{
	uint64_t turn = ring_stats(channel->ring)->turns;

	if (channel->turn != turn) {
		channel->turn = turn;
		channel->turn_steps = 0;
		channel->turn_bytes = 0;
	}
	return channel->turn_steps >= CHANNEL_TURN_STEPS ||
	       channel->turn_bytes >= CHANNEL_TURN_BYTES;
}

static void take_a_rest(struct channel *channel)
{
	channel->rests = true;
	channel->is_behind = true;
	ring_stop(&channel->receive);
	ring_yield(channel->ring, &channel->again);
}

static void take_in(struct channel *channel, const struct ring_received *received)
{
	struct ring_received rest = *received;

	while (rest.len && channel->fd >= 0 && !is_held(channel)) {
		size_t n;

		if (is_spent(channel)) {
			take_a_rest(channel);
			break;
		}
		adopt_fds(channel, &rest);
		n = step(channel, rest.data, rest.len);
		channel->turn_steps++;
		channel->turn_bytes += n;
		rest.data += n;
		rest.len -= n;
	}
	if (rest.len && channel->fd >= 0)
		put_by(channel, &channel->stash, &rest);
	else
		refuse_fds(&rest); /* of a body that is skipped, or for nobody */
	if (channel->fd >= 0 && channel_is_halfway(channel))
		owes(channel);
}

static void left(struct channel *channel)
{
	if (channel->in_len || channel->skip)
		channel_fail(channel, "the peer left in the middle of a message");
	else
		channel_fail(channel, channel->left_with ? strerror(-channel->left_with) : NULL);
}

static void on_receive(struct ring_op *op, int res, const struct ring_received *received)
{
	struct channel *channel =
		(struct channel *)((char *)op - offsetof(struct channel, receive));
	struct channel_stash **at = &channel->stash;

	if (res > 0 && is_held(channel)) {
		struct ring_received all = *received;

		while (*at)
			at = &(*at)->next;
		put_by(channel, at, &all);
	} else if (res > 0) {
		take_in(channel, received);
	} else if (res == -ECANCELED) { /* as we asked for when we began to hold */
		if (!is_held(channel))
			ring_receive(channel->ring, &channel->receive, channel->fd);
	} else {
		channel->has_left = true;
		channel->left_with = res;
		if (!channel->rests)
			left(channel);
	}
}

/* Takes up what was put by, and receives again, when nothing holds the channel any more. */
static void go_on(struct channel *channel)
{
	while (channel->stash && channel->fd >= 0 && !is_held(channel)) {
		CLEANUP_FREE struct channel_stash *stash = channel->stash;
		struct ring_received received = {
			.data = stash->data,
			.len = stash->len,
			.fds = stash->fds,
			.nr_fds = stash->nr_fds,
			.fds_lost = stash->fds_lost,
		};

		channel->stash = stash->next;
		channel->stash_fds -= stash->nr_fds;
		take_in(channel, &received);
	}
	if (channel->fd < 0 || channel->rests)
		return;
	if (channel->is_behind) {
		channel->is_behind = false;
		if (channel->ops->caught_up)
			channel->ops->caught_up(channel);
	}
	if (channel->fd >= 0 && channel->has_left)
		left(channel);
	else if (channel->fd >= 0 && !is_held(channel) && !ring_op_busy(&channel->receive))
		ring_receive(channel->ring, &channel->receive, channel->fd);
}

static void rested(struct ring_op *op, int res, const struct ring_received *received)
{
	struct channel *channel = (struct channel *)((char *)op - offsetof(struct channel, again));

	(void)received;
	channel->rests = false;
	if (res < 0)
		channel_fail(channel, "out of memory");
	else
		go_on(channel);
}

void channel_pause(struct channel *channel)
{
	if (channel->fd < 0)
		return;
	channel->paused = true;
	ring_stop(&channel->receive);
}

static void resume(struct ring_hook *hook)
{
	struct channel *channel =
		(struct channel *)((char *)hook - offsetof(struct channel, resume));

	channel->paused = false;
	go_on(channel);
}

void channel_resume(struct channel *channel)
{
	/* Not at once: we may be within the delivery of a message. */
	if (channel->paused && channel->fd >= 0)
		ring_before_submit(channel->ring, &channel->resume);
}

/* ---- sending ---- */

static void flush(struct ring_hook *hook)
{
	struct channel *channel =
		(struct channel *)((char *)hook - offsetof(struct channel, flush));
	struct channel_fds *fds = channel->out_fds;
	size_t end = channel->out_len;

	if (channel->fd < 0 || !channel_unsent(channel) || ring_op_busy(&channel->send) ||
	    ring_op_busy(&channel->writable))
		return;
	if (fds)
		end = fds->start == channel->out_sent ? fds->end : fds->start;
	channel->sending = end - channel->out_sent;
	/* A send that goes well ends no wait, and here something is to be done then. */
	if (end < channel->out_len || channel->held)
		ring_hurry(channel->ring);
	ring_send(channel->ring, &channel->send, channel->fd, channel->out + channel->out_sent,
		  channel->sending, fds ? fds->fds : NULL,
		  fds && fds->start == channel->out_sent ? fds->nr : 0);
}

static void on_writable(struct ring_op *op, int res, const struct ring_received *received)
{
	struct channel *channel =
		(struct channel *)((char *)op - offsetof(struct channel, writable));

	(void)received;
	if (res < 0)
		channel_fail(channel, strerror(-res));
	else
		ring_before_submit(channel->ring, &channel->flush);
}

/* With a peer that is never quite done with reading, `out` never runs empty, and must not grow. */
static void compact(struct channel *channel)
{
	size_t gap = channel->out_sent;

	if (gap < channel_unsent(channel))
		return;
	memmove(channel->out, channel->out + gap, channel_unsent(channel));
	for (struct channel_fds *fds = channel->out_fds; fds; fds = fds->next) {
		fds->start -= gap;
		fds->end -= gap;
	}
	channel->out_len -= gap;
	channel->out_sent = 0;
}

static void sent(struct channel *channel, size_t n)
{
	struct channel_fds *fds = channel->out_fds;

	if (fds && n && fds->start == channel->out_sent) { /* they went with the first byte */
		channel->out_fds = fds->next;
		free(fds);
	}
	channel->out_sent += n;
	channel->sent += n;
	compact(channel);
	if (!channel_unsent(channel))
		shrink(&channel->out, &channel->out_size);
}

static void on_sent(struct ring_op *op, int res, const struct ring_received *received)
{
	struct channel *channel = (struct channel *)((char *)op - offsetof(struct channel, send));

	(void)received;
	if (res < 0 && res != -EAGAIN) {
		channel_fail(channel, strerror(-res));
		return;
	}
	if (res > 0)
		sent(channel, (size_t)res);
	if (channel->held && channel_unsent(channel) < CHANNEL_HIGH_WATER / 2) {
		channel->held = false;
		if (channel->ops->room)
			channel->ops->room(channel);
		go_on(channel);
	}
	if (channel->fd < 0 || !channel_unsent(channel))
		return;
	if (res == (int)channel->sending) { /* it was fds, or new messages, that cut it short */
		ring_before_submit(channel->ring, &channel->flush);
	} else {
		ring_writable(channel->ring, &channel->writable, channel->fd);
		owes(channel);
	}
}

void *channel_begin(struct channel *channel, size_t body_max)
{
	size_t wanted = channel->out_len + sizeof(struct wire_header) + body_max;

	if (channel->fd < 0)
		return NULL;
	/* The kernel reads `out` only within a turn's submission: until then it may move. */
	if (reserve(&channel->out, &channel->out_size, wanted)) {
		channel_fail(channel, "out of memory");
		return NULL;
	}
	return channel->out + channel->out_len + sizeof(struct wire_header);
}

static int attach_fds(struct channel *channel, size_t start, size_t end, const int *fds,
		      unsigned int nr)
{
	struct channel_fds **at = &channel->out_fds;
	struct channel_fds *new = malloc(sizeof(*new) + nr * sizeof(int));

	if (!new)
		return -ENOMEM;
	*new = (struct channel_fds){ .start = start, .end = end, .nr = nr };
	memcpy(new->fds, fds, nr * sizeof(int));
	while (*at)
		at = &(*at)->next;
	*at = new;
	return 0;
}

void channel_commit(struct channel *channel, const struct wire_header *hdr, size_t body_len,
		    const int *fds, unsigned int nr_fds)
{
	struct wire_header whole = *hdr;
	size_t start = channel->out_len;

	if (channel->fd < 0)
		return;
	whole.msg_size = (uint32_t)(sizeof(whole) + body_len);
	if (nr_fds && attach_fds(channel, start, start + whole.msg_size, fds, nr_fds)) {
		channel_fail(channel, "out of memory");
		return;
	}
	memcpy(channel->out + start, &whole, sizeof(whole));
	channel->out_len = start + whole.msg_size;
	ring_before_submit(channel->ring, &channel->flush);
	if (!channel->held && channel_unsent(channel) > CHANNEL_HIGH_WATER) {
		channel->held = true;
		ring_stop(&channel->receive);
	}
}

/* ---- life ---- */

void channel_open(struct channel *channel, struct ring *ring, int fd, const struct channel_ops *ops)
{
	*channel = (struct channel){
		.ring = ring,
		.ops = ops,
		.fd = fd,
		.receive.done = on_receive,
		.send.done = on_sent,
		.writable.done = on_writable,
		.flush.run = flush,
		.resume.run = resume,
		.again.done = rested,
	};
	ring_receive(ring, &channel->receive, fd);
}

void channel_close(struct channel *channel)
{
	if (channel->fd < 0)
		return;
	ring_cancel(&channel->receive);
	ring_cancel(&channel->send);
	ring_cancel(&channel->writable);
	ring_cancel(&channel->again);
	ring_hook_drop(&channel->flush);
	ring_hook_drop(&channel->resume);
	/* The kernel may hold the socket for a while yet; the peer is to see its end now. */
	shutdown(channel->fd, SHUT_RDWR);
	ring_close_fd(channel->ring, take_fd(&channel->fd));
	close_all(channel->fds, &channel->nr_fds);
	while (channel->stash) {
		struct channel_stash *stash = channel->stash;

		channel->stash = stash->next;
		close_all(stash->fds, &stash->nr_fds);
		free(stash);
	}
	while (channel->out_fds) {
		struct channel_fds *fds = channel->out_fds;

		channel->out_fds = fds->next;
		free(fds);
	}
	/* A message that is being looked at may lie in `in`; an answer being written, in `out`. */
	channel->out_len = 0;
	channel->out_sent = 0;
}

void channel_free(struct channel *channel)
{
	channel_close(channel);
	free(take_ptr(channel->in));
	free(take_ptr(channel->out));
}
