/* SPDX-License-Identifier: BSD-3-Clause */
/* report: a result, for people and for programs. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdio.h>

#include "result.h"

/* A table that fits the terminal, and below it what it says in a sentence or two. */
void report_text(const struct result *result, FILE *to);

/* One line a row. */
int report_csv(const struct result *result, FILE *to);

/* A page that needs no other file, with a part for each result. */
int report_html(const struct result *results, unsigned int nr, FILE *to);

/*
 * For each row that was measured a file of HdrHistogram's percentiles, into directory `dir`. -ENODATA
 * when no row has a curve, as those of files from before there were any; -errno.
 */
int report_hgrm(const struct result *result, int dir);

/* Data for each row, and a script that draws it. -errno. */
int report_gnuplot(const struct result *result, int dir);

/*
 * Opens DIR/`row`.`suffix` for writing; `part` (or "") is in the name too. NULL: errno. What is no
 * letter or digit is "-".
 */
FILE *report_open_at(int dir, const struct result_row *row, const char *part, const char *suffix);

#endif
