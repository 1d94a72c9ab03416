/* SPDX-License-Identifier: BSD-3-Clause */
/* report: what was measured, for people and for programs. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdio.h>

#include "row.h"

struct report {
	const struct rig *rig;
	struct row *rows; /* sorted series */
	unsigned int nr_rows;
	int argc;
	char **argv;
};

/* A table, and below it what it says in a sentence or two. */
void report_text(const struct report *report, FILE *to);

/* JSON, as docs/benchmarking.md describes it. -ENOMEM or -EIO. */
int report_json(const struct report *report, FILE *to);

/* One line a row, the columns of the table. */
void report_csv(const struct report *report, FILE *to);

#endif
