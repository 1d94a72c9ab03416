/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * trace: messages, decoded for those who look on. What every command looks like is a table; the
 * bytes may be anything.
 */
#ifndef FASTPATH_TRACE_H
#define FASTPATH_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire.h"

/* A message on its way. */
struct trace_msg {
	const struct wire_header *hdr; /* msg_size is not looked at */
	const void *body;
	size_t len;
	unsigned int nr_fds;
	bool to_client;
};

/* A field of it; one of entry `index`, where there are several. */
struct trace_value {
	const char *name;
	int index; /* -1: not of an entry */
	uint64_t value;
	bool hex; /* how people want to read it */
};

#define TRACE_MAX_ENTRIES 4u /* that are decoded */
#define TRACE_MAX_VALUES 40u
#define TRACE_DATA_BYTES 16u /* that are shown */

struct trace_record {
	unsigned int nr_values;
	struct trace_value values[TRACE_MAX_VALUES];
	bool is_short;	     /* the body ends before its fixed part does */
	bool is_text;	     /* the rest is what VERSION says in JSON */
	size_t more_entries; /* that are there and are not decoded */
	const uint8_t *rest; /* what is behind the fields: data */
	size_t rest_len;
};

void trace_decode(const struct trace_msg *msg, struct trace_record *record);

/* The longest line that trace_text() makes, its NUL included. */
#define TRACE_TEXT_BYTES 4096u

/*
 * "< #7 REGION_READ offset=0x10 region=2 count=4": the client's are marked <, what goes to it >.
 * `line` has room for TRACE_TEXT_BYTES.
 */
void trace_text(const struct trace_msg *msg, const struct trace_record *record, char *line);

/* `len` bytes at `bytes`, TRACE_DATA_BYTES of them, as "0102...", to at least that much room. */
#define TRACE_HEX_BYTES (2 * TRACE_DATA_BYTES + 4)
void trace_hex(const uint8_t *bytes, size_t len, char *hex);

#endif
