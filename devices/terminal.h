/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * terminal: where a console's bytes come from and go to: a pseudo terminal, standard input and output,
 * or who connects to a socket, one at a time.
 *
 * What is put is taken at once, into a buffer: a guest's kernel waits for its console without doing
 * anything else. When nobody reads that, and it is full, what comes is lost. What was typed and not
 * taken yet waits.
 */
#ifndef FASTPATH_TERMINAL_H
#define FASTPATH_TERMINAL_H

#include <termios.h>

#include "fastpath.h"

#define TERMINAL_IN_BYTES 4096u
#define TERMINAL_OUT_BYTES 65536u

/* Embedded in a device's state. */
struct terminal {
	/* By the device, before terminal_open(). */
	const char *to;	  /* "pty" (also when NULL), "stdio", or the path of a socket */
	const char *link; /* a symbolic link to the pseudo terminal; may be NULL */
	/* There is something to take. */
	void (*typed_in)(struct terminal *terminal);

	/* Its own. */
	struct fp_device *dev;
	int fd;		   /* ours to close, of who is at the other end; -1: nobody, or stdio */
	int in_fd, out_fd; /* -1: there is no more to read, nobody to write to */
	int listen_fd;	   /* -1: nobody connects here */
	int slave_fd;	   /* of the terminal: without it the other end would be gone at times */
	bool was_terminal;
	struct termios before;
	struct fp_watch watch;

	struct fp_file_op in_op;
	struct fp_piece in_piece;
	bool reads;
	uint8_t in[TERMINAL_IN_BYTES];
	uint16_t typed_at, typed_len;	      /* what was not taken yet */
	uint8_t typed[2 * TERMINAL_IN_BYTES]; /* what comes while some was loaded has room, too */

	struct fp_file_op out_op;
	struct fp_piece out_piece;
	bool writes;
	bool is_leaving;	  /* the other end, once neither reads nor writes */
	uint32_t out_at, out_len; /* a ring */
	uint8_t out[TERMINAL_OUT_BYTES];
};

/* The keys `to` and `link` of a device, whose state is `type` with a terminal at `member`. */
#define TERMINAL_KEYS(type, member)                                  \
	{ "to", FP_KEY_STRING, offsetof(type, member.to),            \
	  "pty, stdio, or the PATH of a socket; default pty" },      \
	{                                                            \
		"link", FP_KEY_STRING, offsetof(type, member.link),  \
			"a symbolic link to the terminal, made anew" \
	}

/* What its device has to declare. */
#define TERMINAL_NEEDS                                    \
	.needs = FP_NEEDS_FILES, .calls = terminal_calls, \
	.nr_calls = sizeof(terminal_calls) / sizeof(*terminal_calls)

extern const struct fp_call terminal_calls[1];

/* Starts to read. -errno, said to the log. */
int terminal_open(struct terminal *terminal, struct fp_device *dev);

/* Ends it, restores a terminal of stdio's, removes link and socket. */
void terminal_close(struct terminal *terminal);

/* How many bytes can be taken; 0: typed_in() will tell. */
static inline size_t terminal_typed(const struct terminal *terminal)
{
	return terminal->typed_len;
}

/* Takes up to `len` of them: how many. */
size_t terminal_take(struct terminal *terminal, void *to, size_t len);

/* Writes what there is room for. */
void terminal_put(struct terminal *terminal, const void *bytes, size_t len);

/* Migration: what was typed and not taken goes along. What was put is written by who took it. */
int terminal_save(const struct terminal *terminal, struct fp_stream *to);
int terminal_load(struct terminal *terminal, struct fp_stream *from);

#endif
