/* SPDX-License-Identifier: BSD-3-Clause */
/* compare: two result files, row by row. */
#ifndef BENCH_COMPARE_H
#define BENCH_COMPARE_H

#include <json-c/json.h>
#include <stdio.h>

#include "interval.h"

struct compare {
	const char *paths[2];
	struct json_object *roots[2];
	double margin; /* what is less is noise: two runs differ for more reasons than two rounds */
	unsigned int verdicts[VERDICT_TOO_FEW + 1]; /* how many rows had it */
};

/* Reads the files, whose paths are set; compare_close() is due also on failure, said to the log. */
int compare_open(struct compare *compare);

void compare_close(struct compare *compare);

/* Whether they were made in the same way, on the same machine; each field that differs is a warning. */
bool compare_is_fair(const struct compare *compare);

/*
 * A line for each row that both have, a line for what only one has, and how many got which verdict.
 * -ENODATA when no row could be compared; -ENOMEM. Said to the log.
 */
int compare_print(struct compare *compare, FILE *to);

#endif
