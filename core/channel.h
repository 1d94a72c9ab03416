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
};

/* Bytes that wait for the peer to read its answers. */
struct channel_stash;
/* fds that go out with the byte at `start`. */
struct channel_fds;

struct channel {
	struct ring *ring;
	const struct channel_ops *ops;
	int fd; /* -1: closed */
	/* Nothing of the peer is looked at while one of these holds. */
	bool held;   /* it does not read what we send */
	bool paused; /* our owner wants it so */
	struct ring_op receive;
	struct ring_op send;
	struct ring_op writable;
	struct ring_hook flush;
	struct ring_hook resume;

	uint8_t *in; /* the message being assembled */
	size_t in_len;
	size_t in_size;
	uint64_t skip; /* bytes of a body that is not wanted */
	int fds[RING_MAX_FDS];
	unsigned int nr_fds;
	bool fds_lost;
	struct channel_stash *stash;

	uint8_t *out;
	size_t out_len;
	size_t out_size;
	size_t out_sent;
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

/* Whether bytes wait because the peer's socket is full. */
static inline bool channel_is_stuck(const struct channel *channel)
{
	return ring_op_busy(&channel->writable);
}

/* Above this many unsent bytes a channel stops to receive until the peer has read half of them. */
#define CHANNEL_HIGH_WATER (2u * WIRE_MAX_MSG)

#endif
