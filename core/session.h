/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * session: one client's conversation with one device, from VERSION to the end of the connection.
 */
#ifndef FASTPATH_SESSION_H
#define FASTPATH_SESSION_H

#include "command.h"
#include "device.h"
#include "ring.h"

struct session;

/* The conversation is over and the device detached; the session frees itself after this. */
typedef void session_ended_fn(void *opaque);

struct session_options {
	enum command_io_fds io_fds;
	uint64_t client_timeout_ns; /* see fastpathd(8); 0: none */
	session_ended_fn *ended;
	void *opaque;
};

/* Takes `fd`, a connected socket, also on failure: -ENOMEM. The device has no other session. */
int session_open(struct fp_device *dev, int fd, const struct session_options *options,
		 struct session **out);

/* Whether the client has hung up, so that the session ends once what it sent before is read. */
bool session_is_leaving(const struct session *session);

/* Ends the connection, for a reason that is said to the log; the device's state stays. */
void session_end(struct session *session, const char *why);

/* What the client said in VERSION; NULL: nothing yet. */
const struct caps *session_caps(const struct session *session);

/* Who the client is, where the socket tells. */
struct ucred;
bool session_peer(const struct session *session, struct ucred *peer);

/* Ends it without calling ended(), and frees it. Not to be called from one of its callbacks. */
void session_close(struct session *session);

#endif
