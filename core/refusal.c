/* SPDX-License-Identifier: BSD-3-Clause */
#include "refusal.h"

#include <inttypes.h>
#include <stdio.h>

void refusal_format(const struct refusal *refusal, char *text, size_t len)
{
	const char *what = refusal->what ? refusal->what : "it";

	/* Counts and indices read best as decimals; addresses and masks do not. */
	if (!refusal->has_value)
		snprintf(text, len, "%s", what);
	else if (refusal->value <= UINT16_MAX)
		snprintf(text, len, "%s %" PRIu64, what, refusal->value);
	else
		snprintf(text, len, "%s %#" PRIx64, what, refusal->value);
}
