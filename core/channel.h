/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * channel: bytes and fds <-> whole messages, over a ring.
 *
 * However the stream splits or joins them, messages come out whole, each with the fds that
 * travelled on it; messages that go in during one turn of the ring leave together, in one send,
 * except that fds always ride on the first byte of a send of their own message.
 */
#ifndef FASTPATH_CHANNEL_H
#define FASTPATH_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ring.h"
#include "wire.h"

struct channel;

struct channel_msg {
	struct wire_header hdr;
	const uint8_t *body; /* body_len bytes, valid until the callback returns */
	size_t body_len;
	int *fds; /* what is not taken with channel_take_fd() is closed after the callback */
	unsigned int nr_fds;
	bool fds_lost; /* it brought more than fit */
	bool too_long; /* the body is being skipped: body_len is 0 */
};

/* The callbacks may close the channel but not free it: that has to wait for a ring hook or turn. */
struct channel_ops {
	void (*message)(struct channel *channel, struct channel_msg *msg);
	/* The peer is gone, or `why` its stream can't be trusted any more. Called once at most. */
	void (*gone)(struct channel *channel, const char *why);
	/* The peer owes something: the rest of a message, or to read. May be NULL, as the next. */
	void (*owing)(struct channel *channel);
	/* What had come, and waited because the ring's others had theirs first, has been delivered. */
	void (*caught_up)(struct channel *channel);
	/* It has read enough of what it was sent for messages to be delivered again. */
	void (*room)(struct channel *channel);
};

/* Bytes that have come, and wait while something holds the channel. */
struct channel_stash;
/* fds that go out with the byte at `start`. */
struct channel_fds;

struct channel {
	struct ring *ring;
	const struct channel_ops *ops;
	int fd; /* -1: closed */
	/* Nothing of the peer is looked at while one of these holds. */
	bool held;	/* it does not read what we send */
	bool paused;	/* our owner wants it so */
	bool rests;	/* it has had its share of this turn */
	bool is_behind; /* it has not caught up since */
	struct ring_op receive;
	struct ring_op send;
	struct ring_op writable;
	struct ring_hook flush;
	struct ring_hook resume;
	struct ring_op again; /* ends the rest */
	uint64_t turn;	      /* of the ring, in which it has had so much: */
	unsigned int turn_steps;
	size_t turn_bytes;
	bool has_left; /* the peer, which is to be told when all that it sent has been looked at */
	int left_with; /* 0 or -errno */

	uint8_t *in; /* the message being assembled */
	size_t in_len;
	size_t in_size;
	uint64_t skip;	    /* bytes of a body that is not wanted */
	uint64_t delivered; /* messages */
	int fds[RING_MAX_FDS];
	unsigned int nr_fds;
	bool fds_lost;
	struct channel_stash *stash;
	unsigned int stash_fds;

	uint8_t *out;
	size_t out_len;
	size_t out_size;
	size_t out_sent;
	uint64_t sent;	/* bytes that have left */
	size_t sending; /* bytes of the send that is under way */
	struct channel_fds *out_fds;
};

/* Takes `fd`, a connected stream socket, and starts to receive. */
void channel_open(struct channel *channel, struct ring *ring, int fd,
		  const struct channel_ops *ops);

/* Closes the socket and drops what was not sent. Nothing is called back any more. Idempotent. */
void channel_close(struct channel *channel);

/* Closes it and frees what it holds, but not `channel` itself. */
void channel_free(struct channel *channel);

/* Closes it, and tells its owner by gone(). */
void channel_fail(struct channel *channel, const char *why);

/* Delivers no more messages until channel_resume(), which may be called from anywhere. */
void channel_pause(struct channel *channel);
void channel_resume(struct channel *channel);

/* The i-th fd of a message, the caller's from now on; -1 when it is not there (any more). */
int channel_take_fd(struct channel_msg *msg, unsigned int i);

/*
 * Room for a body of up to `body_max` bytes of a message that goes out, to be filled and then
 * given to channel_commit(), with nothing in between. NULL when memory is out: the channel is
 * gone then.
 */
void *channel_begin(struct channel *channel, size_t body_max);

/*
 * Sends what was begun: `hdr` (msg_size is filled in here), `body_len` bytes and `nr_fds` fds,
 * which stay the caller's and have to live until they are sent or the channel is closed.
 */
void channel_commit(struct channel *channel, const struct wire_header *hdr, size_t body_len,
		    const int *fds, unsigned int nr_fds);

/* Bytes that have not left yet. */
static inline size_t channel_unsent(const struct channel *channel)
{
	return channel->out_len - channel->out_sent;
}

/* Whether the peer has to go on with a message, and nothing of ours keeps it from that. */
static inline bool channel_is_halfway(const struct channel *channel)
{
	return (channel->in_len || channel->skip) && !channel->held && !channel->paused;
}

/* Whether messages wait that have come, because the ring's others have theirs first. */
static inline bool channel_is_behind(const struct channel *channel)
{
	return channel->is_behind;
}

/* Whether no more is to be sent to a peer that does not read. */
static inline bool channel_is_full(const struct channel *channel)
{
	return channel->held;
}

/* Whether bytes wait because the peer's socket is full. */
static inline bool channel_is_stuck(const struct channel *channel)
{
	return ring_op_busy(&channel->writable);
}

/* Above this many unsent bytes a channel stops to receive until the peer has read half of them. */
#define CHANNEL_HIGH_WATER (2u * WIRE_MAX_MSG)

/*
 * What a channel delivers in one turn of its ring before the ring's others have theirs: so many
 * messages (or parts of them), or bytes.
 */
#define CHANNEL_TURN_STEPS 64u
#define CHANNEL_TURN_BYTES 262144u

/*
 * The most fds of bytes that wait; more are refused. Who keeps to our max_msg_fds does not get
 * there: no more wait than two batches of receives, and a batch is the ring's buffers.
 */
#define CHANNEL_STASH_FDS 512u

#endif
