/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * puppet_rig: a server with a puppet of a test's own shape, a client of it, and its control socket.
 *
 * In shapes and requests ' stands for ". What goes wrong in here ends the test.
 */
#ifndef FASTPATH_SELFTESTS_PUPPET_RIG_H
#define FASTPATH_SELFTESTS_PUPPET_RIG_H

#include "peer.h"

struct puppet_rig {
	struct peer *peer;
	int control; /* connected */
	char dir[64];
	char control_path[80];
};

/* `how` is peer_start()'s; puppet_rig_open() has VERSION negotiated. */
struct puppet_rig *puppet_rig_start(const char *shape, unsigned int how);
struct puppet_rig *puppet_rig_open(const char *shape, unsigned int how);

/* Stops the server, which has to end well and to leave nothing behind. Frees. */
void puppet_rig_stop(struct puppet_rig *rig);

/* Has a server read the shape, which it has to refuse: what it says, valid until the next call. */
const char *puppet_rig_refusal(const char *shape);

/* Another connection to the control socket. */
int puppet_connect(const struct puppet_rig *rig);

/* Sends a request and returns the reply, without the newline, valid until the next call. */
const char *puppet_say(int control, const char *request);

/* The two halves of it; "" is the end of the connection. */
void puppet_send(int control, const char *request);
const char *puppet_receive(int control);

#endif
