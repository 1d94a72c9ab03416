/* SPDX-License-Identifier: BSD-3-Clause */
/* table: the rows of a result as columns of text, as many as there is room for. */
#ifndef BENCH_TABLE_H
#define BENCH_TABLE_H

#include <stdio.h>

#include "result.h"

struct table_column {
	const char *above; /* a word over it, that its neighbours may share; "" for none */
	const char *title;
	unsigned int rank; /* what goes first when it gets narrow has the highest; 0: never */
	bool is_text;	   /* to the left */
	int decimals;
	double (*number)(const struct result_row *row); /* NAN: a dash */
	const char *(*text)(const struct result_row *row);
};

/* Those columns of a skipped row that are text come first, with why behind them. */
void table_print(const struct table_column *columns, unsigned int nr, const struct result *result,
		 unsigned int width, FILE *to);

#endif
