/* SPDX-License-Identifier: BSD-3-Clause */
/* terminal: how wide what we print on may be, whether it has colours, and how far we are. */
#ifndef BENCH_TERMINAL_H
#define BENCH_TERMINAL_H

#include <stdbool.h>
#include <stdio.h>

/*
 * Columns of what `to` writes on: those of $COLUMNS, or of the terminal. 0: as many as one likes, as
 * it is no terminal.
 */
unsigned int terminal_width(FILE *to);

/* "auto", "always" or "never". -EINVAL when it is none of them. */
int terminal_set_colour(const char *when);

enum terminal_style {
	TERMINAL_PLAIN,
	TERMINAL_BOLD,
	TERMINAL_DIM,
};

/* From here on. Nothing without colours. */
void terminal_style(FILE *to, enum terminal_style style);

/* No progress from now on. */
void terminal_set_quiet(void);

/*
 * To be called after each of `of` rounds. On a terminal one line that says how long it will take yet,
 * and goes away when all is done; elsewhere a line for each quarter.
 */
void terminal_progress(unsigned int done, unsigned int of);

/* Words of `text` on lines of at most `width` columns; 0: on one. */
void terminal_wrap(FILE *to, const char *text, unsigned int width);

#endif
