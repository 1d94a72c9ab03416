/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * html: what the parts of the page are made of. Texts of a result are others' and go through
 * html_text(). Well-formed as XML too, so that anything can read it.
 */
#ifndef BENCH_HTML_H
#define BENCH_HTML_H

#include <stdio.h>

#include "result.h"

/* The style sheet. */
extern const char html_style[];

/* With what means something in HTML escaped, also in attributes; control characters are blanks. */
void html_text(FILE *to, const char *text);

/* Nanoseconds as people read them, "2.58 µs", and accesses in a second; "–" for NAN. */
void html_amount(FILE *to, const struct result *result, double value);
void html_time(FILE *to, double ns);

/* The same at a scale, where it is a round number. */
void html_tick(FILE *to, const struct result *result, double value);

/* A cell with such, its exact value with it for programs. `attributes` as they are. */
void html_amount_cell(FILE *to, const struct result *result, double value, const char *attributes);
void html_number_cell(FILE *to, double value, int decimals);

/* The least of 1, 2 and 5 times a power of ten that divides `most` into at most four. */
double html_tick_step(double most);

/*
 * Parts of the page, each with its heading: the medians as bars; how every server compares with the
 * first; CPU time; percentiles; the rounds; all numbers.
 */
void html_bars(FILE *to, const struct result *result);
void html_ratios(FILE *to, const struct result *result);
void html_cpu(FILE *to, const struct result *result);
void html_curves(FILE *to, const struct result *result);
void html_rounds(FILE *to, const struct result *result);
void html_table(FILE *to, const struct result *result);

/* What kind of road a row is of: a class for its colour, and what that is called. */
struct html_kind {
	const char *class;
	const char *name;
	const char *roads; /* by blanks */
};

extern const struct html_kind html_kinds[];
extern const unsigned int html_nr_kinds;

/* The class of a row's marks. Of servers each has its own. */
const char *html_class(const struct result *result, const struct result_row *row);

#endif
