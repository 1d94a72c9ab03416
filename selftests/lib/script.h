/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * script: a vfio-user server that does, message by message, what a test wrote down.
 *
 * It is a child process. What it does not find as expected is one line on stderr and ends it with
 * status 1, which script_end() tells.
 */
#ifndef FASTPATH_SELFTESTS_SCRIPT_H
#define FASTPATH_SELFTESTS_SCRIPT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "wire.h"

#define SCRIPT_MAX_FDS 16u

struct script {
	pid_t pid;
	int fd; /* the test's end of the connection, to be given away; -1: it listens */
};

/* What the server does, in the child; it ends with it. */
typedef void script_fn(int fd);

/* Starts it over a socketpair. */
void script_start(struct script *script, script_fn *fn);

/* Starts it at `path`, for one client; it listens when this returns. */
void script_listen(struct script *script, script_fn *fn, const char *path);

/* Waits for it to end: its exit status, 0 when everything was as expected. */
int script_end(struct script *script);

/* ---- in the child ---- */

struct script_msg {
	struct wire_header hdr;
	size_t len;
	uint8_t body[WIRE_MAX_MSG];
	int fds[SCRIPT_MAX_FDS];
	unsigned int nr_fds;
};

/* The next message, which has to be there: the client's leaving ends the script, well. */
struct script_msg *script_receive(int fd);

/* The next one, which has to be this command. Valid until 31 others have come. */
struct script_msg *script_expect(int fd, uint16_t cmd);

/* Replies to it. */
void script_reply(int fd, const struct script_msg *msg, const void *body, size_t len);
void script_reply_fds(int fd, const struct script_msg *msg, const void *body, size_t len,
		      const int *fds, unsigned int nr_fds);
void script_error(int fd, const struct script_msg *msg, uint32_t error);

/* A command of the server's own. */
void script_command(int fd, uint16_t msg_id, uint16_t cmd, const void *body, size_t len);

/* Answers VERSION with `json`, NULL for none. */
void script_version(int fd, const char *json);

/* Waits for the client to leave. */
void script_await_end(int fd);

void script_fail(const char *file, int line, const char *what) __attribute__((noreturn));

#define SCRIPT_CHECK(what)                                      \
	do {                                                    \
		if (!(what))                                    \
			script_fail(__FILE__, __LINE__, #what); \
	} while (0)

#endif
