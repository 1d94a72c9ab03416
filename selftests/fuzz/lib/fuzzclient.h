/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzzclient: a client that says anything, and keeps account of what it may be answered.
 *
 * It reads what it sends as a server has to: message by message, whoever cut or joined them. From
 * that it knows which replies are owed, and whether the server has a reason to hang up.
 */
#ifndef FASTPATH_SELFTESTS_FUZZCLIENT_H
#define FASTPATH_SELFTESTS_FUZZCLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire.h"

#define FUZZCLIENT_MAX_FDS 20u
#define FUZZCLIENT_MAX_ASKED 64u
#define FUZZCLIENT_MAX_OWED 4096u
#define FUZZCLIENT_MAX_RINGS 32u
#define FUZZCLIENT_MAX_SPANS 16u

/* A stream of messages, taken apart by whoever looks at it. */
struct fuzzclient_stream {
	uint8_t *bytes;
	size_t len;
	size_t room;
};

struct fuzzclient {
	int fd;		     /* -1: not connected */
	int twin;	     /* -1: none */
	bool is_deaf;	     /* does not read */
	bool may_end;	     /* the server has a reason to hang up */
	bool twin_is_broken; /* the same of the twin: the server may not see our answers */
	bool is_broken;	     /* it has sent what is no message: nothing after that counts */
	bool negotiated;
	size_t piece; /* what is sent next goes out in pieces of so many bytes; 0: whole */
	uint16_t next_id;

	int fds[FUZZCLIENT_MAX_FDS]; /* to go with what is sent next; borrowed */
	unsigned int nr_fds;

	struct wire_header sent; /* the message that is being sent, as far as it has gone */
	size_t sent_len;	 /* of the header */
	uint64_t sent_left;	 /* of the body */

	struct fuzzclient_stream in;
	struct fuzzclient_stream twin_in;

	struct {
		uint16_t msg_id;
		uint16_t cmd;
	} owed[FUZZCLIENT_MAX_OWED]; /* replies, in the order of the commands */
	unsigned int nr_owed;

	struct {
		struct wire_header hdr;
		struct wire_dma_access access;
	} asked[FUZZCLIENT_MAX_ASKED]; /* what the server wants of our memory */
	unsigned int nr_asked;

	int rings[FUZZCLIENT_MAX_RINGS]; /* doorbells' eventfds */
	unsigned int nr_rings;

	int spans[FUZZCLIENT_MAX_SPANS]; /* ioregionfds */
	unsigned int nr_spans;
};

/* Connected by `fd`, which it takes; what it had of another connection is dropped. */
void fuzzclient_open(struct fuzzclient *client, int fd);

/* Hangs up, if it is connected, and frees what it has. */
void fuzzclient_close(struct fuzzclient *client);

/* Bytes with the fds that wait, by as many sends as `piece` says; as far as there is room. */
void fuzzclient_send(struct fuzzclient *client, const void *bytes, size_t len);

/* A message with a header of its own, and `zeros` bytes behind `body`. */
void fuzzclient_command(struct fuzzclient *client, uint16_t cmd, uint32_t flags, const void *body,
			size_t len, size_t zeros);

/* A packet by the `which`-th ioregionfd, if there is one. */
void fuzzclient_order(struct fuzzclient *client, unsigned int which, const void *bytes, size_t len);

/* How what the server has asked is answered. */
enum fuzzclient_answer {
	FUZZCLIENT_RIGHT,
	FUZZCLIENT_ERROR,
	FUZZCLIENT_LESS, /* than was asked */
	FUZZCLIENT_NOTHING,
	FUZZCLIENT_MORE,
	FUZZCLIENT_OTHER_COMMAND,
	FUZZCLIENT_OTHER_ID,
	FUZZCLIENT_CUT_SHORT,
	FUZZCLIENT_ANSWERS
};

/* Answers the oldest; false: nothing is asked. */
bool fuzzclient_answer(struct fuzzclient *client, enum fuzzclient_answer how);

/* Reads and checks all that has come, unless it is deaf; false: nothing had. */
bool fuzzclient_receive(struct fuzzclient *client);

#endif
