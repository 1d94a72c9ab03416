/* SPDX-License-Identifier: BSD-3-Clause */
/* fpc_call: what the client's files share: the connection, and a command with its answer. */
#ifndef FASTPATH_CLIENT_CALL_H
#define FASTPATH_CLIENT_CALL_H

#include "channel.h"
#include "fastpath-client.h"
#include "wire.h"

/* A part of a body: what is fixed, and the data behind it. Without a base it is passed over. */
struct part {
	void *base;
	size_t len;
};

/* A command and what came back. */
struct call {
	struct part out[2];
	struct part in[2];
	const int *fds;
	unsigned int nr_fds;
	enum wire_cmd cmd;

	struct call *next; /* that waits too, in the same bucket */
	ssize_t result;	   /* length of the reply's body, or -errno */
	int reply_fds[RING_MAX_FDS];
	unsigned int nr_reply_fds;
	uint16_t id;
	bool answered;
	int64_t deadline_ns;

	/* When nobody waits for it: it is told to `done`, and freed. */
	bool plain; /* the result is 0, and not the length */
	fpc_done_fn *done;
	void *opaque;
	size_t min; /* length of the reply's body, at least */
};

/* Calls that wait for an answer are found by the low bits of their id. */
#define CALL_BUCKETS 256u

/* At this many calls without an answer, further ones are refused. */
#define MAX_IN_FLIGHT 16384u

struct fpc {
	struct channel channel;
	struct channel twin; /* brings the server's commands, if there is one */
	struct ring *ring;
	struct ring_op timer; /* of all calls */
	int64_t timeout_ns;
	unsigned int flags; /* FPC_RECONNECTS and the like */
	char *address;	    /* of the server, to reconnect; NULL: not known */
	struct fpc_limits limits;

	uint16_t next_id;
	struct call *calls[CALL_BUCKETS];
	unsigned int in_flight;
	bool in_callback;
	bool gone;
	bool no_fds; /* they can't travel: what would need them goes by message */
	unsigned int complaints;

	struct fpc_window *windows;
	size_t nr_windows;
	fpc_dma_fn *dma;
	void *dma_opaque;
	struct irq_record *irqs; /* what was set, to be repeated */
};

/*
 * Sends a command. Unless `flags` say NO_REPLY, `call` has to live until it is answered.
 *   -ECONNRESET  the server is gone
 *   -EDEADLK     in a callback, where nothing can be waited for
 *   -EBUSY       too many calls are in flight
 */
int fpc_send(struct fpc *client, struct call *call, uint32_t flags);

/* The call is due in so and so long: the timer is to look at it. -ENOMEM when there can't be one. */
int fpc_watch(struct fpc *client, struct call *call);

/* Sends `call` and awaits its answer: the length of the reply's body, or -errno. */
ssize_t fpc_run(struct fpc *client, struct call *call);

/* The same for a call whose answer holds at least `min` bytes and no fds: 0 or -errno. */
int fpc_run_plain(struct fpc *client, struct call *call, size_t min);

/* Closes those fds of the answer that nobody took. */
void fpc_close_fds(const struct call *call);

/* Starts a call that nobody waits for: a copy of `call`, which has all but its answer. */
int fpc_start(struct fpc *client, const struct call *call);

/* Every call that nobody waits for ends: the server is gone. Nothing while it is not. */
void fpc_settle(struct fpc *client);

/* Starts to talk to a server at `fd`, which is taken: VERSION. */
int fpc_begin(struct fpc *client, int fd);

/* The server is gone, or can't be trusted any more. */
void fpc_lost(struct fpc *client, const char *why);

/* One line about a server that does what it should not, unless there were too many. */
void fpc_complain(struct fpc *client, const char *what, const struct wire_header *hdr);

/* Negotiates; may leave a twin socket at *twin, the caller's. (fpc_version.c) */
int fpc_negotiate(struct fpc *client, int *twin);

/*
 * VM_INTERRUPT: signals what the user set as the trigger of that interrupt, if anything. -EOPNOTSUPP when
 * none was offered, -EINVAL when it is cut short. (fpc_irq.c)
 */
int fpc_interrupted(struct fpc *client, const struct channel_msg *msg);

/* Answers a command of the server, on the channel that it came by. (fpc_dma.c) */
void fpc_serve(struct fpc *client, struct channel *channel, const struct channel_msg *msg);

/* Repeats the DMA windows, and the interrupts, to a server that has been restarted. */
int fpc_repeat_windows(struct fpc *client);
int fpc_repeat_irqs(struct fpc *client);

/* Frees what is remembered of them. */
void fpc_free_windows(struct fpc *client);
void fpc_free_irqs(struct fpc *client);

/* The most fds that may go in one message to this server. */
unsigned int fpc_max_fds(const struct fpc *client);

/* The most bytes that one access may carry. */
uint32_t fpc_max_data(const struct fpc *client);

int64_t fpc_now_ns(void);

#endif
