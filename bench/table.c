/* SPDX-License-Identifier: BSD-3-Clause */
#include "table.h"

#include <math.h>
#include <string.h>

#include "terminal.h"

#define MAX_COLUMNS 24
#define MAX_CELL 80

struct layout {
	const struct table_column *columns;
	unsigned int nr;
	unsigned int widths[MAX_COLUMNS]; /* 0: it is left out */
};

static unsigned int bigger(unsigned int a, size_t b)
{
	return a > b ? a : (unsigned int)b;
}

static void cell(const struct table_column *column, const struct result_row *row,
		 char text[MAX_CELL])
{
	double number = column->is_text ? 0 : column->number(row);

	if (column->is_text)
		snprintf(text, MAX_CELL, "%s", column->text(row));
	else if (isnan(number))
		snprintf(text, MAX_CELL, "-");
	else
		snprintf(text, MAX_CELL, "%.*f", column->decimals, number);
}

/* A row whose road is missing for a reason that was told is not told again. */
static bool is_told(const struct result *result, unsigned int i)
{
	const struct result_row *row = &result->rows[i];

	for (unsigned int j = 0; row->skip && j < i; j++)
		if (result->rows[j].skip && !strcmp(result->rows[j].road, row->road) &&
		    !strcmp(result->rows[j].skip, row->skip))
			return true;
	return false;
}

static void measure(struct layout *layout, const struct result *result)
{
	char text[MAX_CELL];

	for (unsigned int c = 0; c < layout->nr; c++) {
		const struct table_column *column = &layout->columns[c];

		layout->widths[c] = bigger(0, strlen(column->title));
		for (unsigned int i = 0; i < result->nr_rows; i++) {
			if (result->rows[i].skip && (!column->is_text || is_told(result, i)))
				continue;
			cell(column, &result->rows[i], text);
			layout->widths[c] = bigger(layout->widths[c], strlen(text));
		}
	}
}

static unsigned int total(const struct layout *layout)
{
	unsigned int width = 0;

	for (unsigned int c = 0; c < layout->nr; c++)
		width += layout->widths[c] ? layout->widths[c] + (width != 0) : 0;
	return width;
}

/* Leaves out columns, those of the highest rank first, until the rest fits. */
static void fit(struct layout *layout, unsigned int width)
{
	while (width && total(layout) > width) {
		unsigned int least = 0;
		unsigned int rank = 0;

		for (unsigned int c = 0; c < layout->nr; c++)
			if (layout->widths[c] && layout->columns[c].rank > rank) {
				rank = layout->columns[c].rank;
				least = c;
			}
		if (!rank)
			return;
		layout->widths[least] = 0;
	}
}

static void repeat(char c, unsigned int times, FILE *to)
{
	while (times--)
		fputc(c, to);
}

/* A word over so many columns: between dashes where there is room, else to the right as numbers are. */
static void print_word(const char *word, unsigned int span, FILE *to)
{
	unsigned int len = (unsigned int)strlen(word);
	unsigned int left = span >= len + 4 ? (span - len - 2) / 2 : 0;

	if (!left) {
		fprintf(to, "%*s", (int)span, word);
		return;
	}
	repeat('-', left, to);
	fprintf(to, " %s ", word);
	repeat('-', span - len - 2 - left, to);
}

/* Words above runs of columns that have the same. One for which it is too narrow is left out. */
static void print_above(const struct layout *layout, FILE *to)
{
	unsigned int blanks = 0; /* before the next word */
	bool is_first = true;

	for (unsigned int c = 0; c < layout->nr;) {
		const char *above = layout->columns[c].above;
		unsigned int span = 0;

		for (; c < layout->nr && !strcmp(layout->columns[c].above, above); c++)
			span += layout->widths[c] ? layout->widths[c] + (span != 0) : 0;
		if (!span)
			continue;
		blanks += !is_first;
		is_first = false;
		if (!*above || strlen(above) > span) {
			blanks += span;
			continue;
		}
		repeat(' ', blanks, to);
		print_word(above, span, to);
		blanks = 0;
	}
	fputc('\n', to);
}

/* All columns of a row, or its titles: NULL. */
static unsigned int print_cells(const struct layout *layout, const struct result_row *row,
				bool only_text, FILE *to)
{
	unsigned int column = 0;
	unsigned int last = layout->nr;

	while (last && !layout->widths[last - 1])
		last--;
	for (unsigned int c = 0; c < last; c++) {
		char text[MAX_CELL];
		bool is_last = c == last - 1 && layout->columns[c].is_text;

		if (!layout->widths[c])
			continue;
		if (only_text && !layout->columns[c].is_text)
			break;
		if (row)
			cell(&layout->columns[c], row, text);
		else
			snprintf(text, sizeof(text), "%s", layout->columns[c].title);
		column += (unsigned int)fprintf(to, "%s%*s", column ? " " : "",
						(is_last ? 0 : (int)layout->widths[c]) *
							(layout->columns[c].is_text ? -1 : 1),
						text);
	}
	return column;
}

static void print_skipped(const struct layout *layout, const struct result_row *row,
			  unsigned int width, FILE *to)
{
	unsigned int len = (unsigned int)strlen(row->skip) + 7;

	terminal_style(to, TERMINAL_DIM);
	if (print_cells(layout, row, true, to) + len <= width || !width) {
		fprintf(to, " skip: %s\n", row->skip);
	} else {
		fprintf(to, " skip:\n    ");
		terminal_wrap(to, row->skip, width - 4);
	}
	terminal_style(to, TERMINAL_PLAIN);
}

void table_print(const struct table_column *columns, unsigned int nr, const struct result *result,
		 unsigned int width, FILE *to)
{
	struct layout layout = { .columns = columns, .nr = nr };

	measure(&layout, result);
	fit(&layout, width);
	terminal_style(to, TERMINAL_BOLD);
	print_above(&layout, to);
	print_cells(&layout, NULL, false, to);
	fputc('\n', to);
	terminal_style(to, TERMINAL_PLAIN);
	for (unsigned int i = 0; i < result->nr_rows; i++) {
		const struct result_row *row = &result->rows[i];

		if (is_told(result, i))
			continue;
		if (row->skip) {
			print_skipped(&layout, row, width, to);
			continue;
		}
		print_cells(&layout, row, false, to);
		fputc('\n', to);
	}
}
