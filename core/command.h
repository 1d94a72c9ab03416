/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * command: what a client may ask for: the command table, and a handler for each.
 */
#ifndef FASTPATH_COMMAND_H
#define FASTPATH_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "caps.h"
#include "channel.h"
#include "deferred.h"
#include "device.h"
#include "refusal.h"

/* The layout of io_fds entries that a device's clients get. */
enum command_io_fds {
	COMMAND_IO_FDS_DEPLOYED, /* 48 bytes, as libvfio-user */
	COMMAND_IO_FDS_SPEC,	 /* 40 bytes, as the published text */
};

/* What is known of the client. */
struct command_peer {
	struct caps caps;
	bool negotiated; /* VERSION has been answered */
	bool doomed;	 /* the connection ends with this message */
	bool no_fds;	 /* nor can it be sent any, whatever it says, or send us some */
	enum command_io_fds io_fds;
	int twin_fd; /* our end of a twin socket that VERSION has made; -1: none */
};

/*
 * A command that is being answered. Its handler either fills the reply and says how long it is, or
 * returns -errno, having said in `why` what was wrong.
 */
struct request {
	struct fp_device *dev;
	struct command_peer *peer;
	struct channel_msg *msg;
	uint64_t done; /* of a REGION_WRITE_MULTI: so many writes have been made */
	bool yields;   /* ... and it goes on when the ring's others have had their turn */
	struct refusal why;
	int fds[RING_MAX_FDS]; /* to go with the reply, borrowed */
	unsigned int nr_fds;
	int own_fd; /* one of them that is to be closed once it has gone; -1: none */
	/* An access that will be answered later; the reply is the session's to build then. */
	struct deferred *later;
};

/* What a handler returns whose answer comes later. */
#define COMMAND_LATER (-EINPROGRESS)

/* The length of the reply's body, bytes, or -errno. The body is zeroed. */
typedef ssize_t command_fn(struct request *request, void *reply);

/* What every message with the command has to look like, and who answers it. */
struct command {
	command_fn *run;
	size_t min; /* bytes of body without which it is refused */
	size_t max; /* bytes of body above which it is refused; 0: `min` */
	unsigned int max_fds;
	size_t reply;				       /* bytes that its answer may need */
	size_t (*more)(const struct request *request); /* and these, when it varies */
	/* Whether it has to wait for what is in flight; NULL: for deferred accesses. */
	bool (*waits)(const struct fp_device *dev, const struct channel_msg *msg);
	/* What has to be done before that is asked; may be NULL. */
	void (*prepare)(struct fp_device *dev, const struct channel_msg *msg);
};

/* The row of command number `cmd`; one without run() for what is not served. */
const struct command *command_find(unsigned int cmd);

#endif
