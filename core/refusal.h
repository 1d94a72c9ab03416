/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * refusal: what was wrong with a message, for the one line in the log that says so.
 *
 * Whoever finds the mistake fills it in; the session says it, with the command and the error.
 */
#ifndef FASTPATH_REFUSAL_H
#define FASTPATH_REFUSAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct refusal {
	const char *what; /* the field, as the specification calls it, or a reason; NULL: nothing */
	uint64_t value;	  /* what the field said */
	bool has_value;
	const char *text; /* the same for a member of a JSON text; within the message */
	size_t text_len;
};

/* Notes the reason; returns `error`. */
static inline int refuse(struct refusal *refusal, const char *why, int error)
{
	*refusal = (struct refusal){ .what = why };
	return error;
}

/* Notes the field and what it said; returns `error`. */
static inline int refuse_value(struct refusal *refusal, const char *field, uint64_t value,
			       int error)
{
	*refusal = (struct refusal){ .what = field, .value = value, .has_value = true };
	return error;
}

/* Notes the member of a JSON text that is wrong, and what it says there; returns -EINVAL. */
int refuse_member(struct refusal *refusal, const char *name, const void *json, size_t len);

/* "size 0", "flags 0x10020" or just the reason, to text[len]. */
void refusal_format(const struct refusal *refusal, char *text, size_t len);

#endif
