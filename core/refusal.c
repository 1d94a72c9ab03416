/* SPDX-License-Identifier: BSD-3-Clause */
#include "refusal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* As much of a member's text as a line in the log needs. */
#define MAX_TEXT 40u

int refuse_member(struct refusal *refusal, const char *name, const void *json, size_t len)
{
	const char *end = (const char *)json + len;
	const char *at = NULL;
	const char *next = json;

	*refusal = (struct refusal){ .what = name };
	/* Of a member that is there twice the last one counts. */
	while ((next = memmem(next, (size_t)(end - next), name, strlen(name))))
		at = next++;
	if (!at)
		return -EINVAL;
	at += strlen(name);
	at += at < end && *at == '"';
	while (at < end && strchr(": \t\r\n", *at))
		at++;
	refusal->text = at;
	while (at < end && !strchr(",}", *at) && refusal->text_len < MAX_TEXT) {
		at++;
		refusal->text_len++;
	}
	return -EINVAL;
}

void refusal_format(const struct refusal *refusal, char *text, size_t len)
{
	const char *what = refusal->what ? refusal->what : "it";

	/* Counts and indices read best as decimals; addresses and masks do not. */
	if (refusal->text)
		snprintf(text, len, "%s %.*s", what, (int)refusal->text_len, refusal->text);
	else if (!refusal->has_value)
		snprintf(text, len, "%s", what);
	else if (refusal->value <= UINT16_MAX)
		snprintf(text, len, "%s %" PRIu64, what, refusal->value);
	else
		snprintf(text, len, "%s %#" PRIx64, what, refusal->value);
}
