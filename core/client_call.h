/* SPDX-License-Identifier: BSD-3-Clause */
/* client_call: what the client's files share: the connection, and a command with its answer. */
#ifndef FASTPATH_CLIENT_CALL_H
#define FASTPATH_CLIENT_CALL_H

#include "channel.h"
#include "client.h"

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

/* Sends a command; 0, -ECONNRESET or -ENOMEM. */
int client_send(struct client *client, struct call *call, uint32_t flags);

/* Sends `call` and awaits its answer: the length of the reply's body, or -errno. */
ssize_t client_run(struct client *client, struct call *call);

/* The same for a call whose answer holds at least `min` bytes and no fds: 0 or -errno. */
int client_run_plain(struct client *client, struct call *call, size_t min);

/* Closes those fds of the answer that nobody took. */
void client_close_fds(const struct call *call);

int64_t client_now_ns(void);

#endif
