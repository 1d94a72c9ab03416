/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * outputs: where a result goes besides the terminal: files that are opened before a minute is spent
 * on measuring, and written when there is a result.
 */
#ifndef BENCH_OUTPUTS_H
#define BENCH_OUTPUTS_H

#include <getopt.h>
#include <stdio.h>

#include "result.h"

enum output_kind {
	OUTPUT_JSON,
	OUTPUT_CSV,
	OUTPUT_HTML,
	OUTPUT_HGRM,
	OUTPUT_GNUPLOT,
	NR_OUTPUTS,
};

struct outputs {
	const char *paths[NR_OUTPUTS]; /* NULL: not asked for; "-": the standard output */
	int fds[NR_OUTPUTS];	       /* of what is open */
	bool is_open[NR_OUTPUTS];
	bool is_new[NR_OUTPUTS]; /* made by us: it goes again when nothing is written */
	bool is_quiet;
};

/* Options of every command that has a result, their values from OUTPUTS_OPTIONS on. */
#define OUTPUTS_FIRST 512
#define OUTPUTS_OPTIONS                                                                 \
	{ "json", required_argument, NULL, OUTPUTS_FIRST + OUTPUT_JSON },               \
		{ "csv", required_argument, NULL, OUTPUTS_FIRST + OUTPUT_CSV },         \
		{ "html", required_argument, NULL, OUTPUTS_FIRST + OUTPUT_HTML },       \
		{ "hgrm", required_argument, NULL, OUTPUTS_FIRST + OUTPUT_HGRM },       \
		{ "gnuplot", required_argument, NULL, OUTPUTS_FIRST + OUTPUT_GNUPLOT }, \
		{ "quiet", no_argument, NULL, OUTPUTS_FIRST + NR_OUTPUTS },             \
	{                                                                               \
		"color", required_argument, NULL, OUTPUTS_FIRST + NR_OUTPUTS + 1        \
	}

/* Lines of --help, `indent` wide up to what an option does. */
void outputs_usage(FILE *to, int indent);

/* 1: it was one of these; 0: it was not; -EINVAL, said to the log. */
int outputs_option(struct outputs *outputs, int opt, const char *arg);

/*
 * Opens them all; outputs_close() is due also on failure, said to the log. -EINVAL for two at the
 * same place.
 */
int outputs_open(struct outputs *outputs);

/* The table, unless quiet, and all files. Several results: only a page can have them. -errno, said. */
int outputs_write(struct outputs *outputs, const struct result *results, unsigned int nr);

/* Removes what was made and not written. */
void outputs_close(struct outputs *outputs);

#endif
