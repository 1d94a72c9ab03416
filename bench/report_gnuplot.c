/* SPDX-License-Identifier: BSD-3-Clause */
/* Data files, one a row, and plot.gp, which draws curves.svg and rounds.svg of them. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "report.h"

/* ---- names ---- */

static void name_file(const struct result_row *row, const char *part, const char *suffix,
		      char name[200])
{
	size_t len;

	snprintf(name, 160, "%s-%s", row->name, row->is_road ? row->server : row->group);
	for (char *at = name; *at; at++)
		if (!isalnum((unsigned char)*at))
			*at = '-';
	while ((len = strlen(name)) && name[len - 1] == '-')
		name[len - 1] = 0;
	snprintf(name + len, 40, "%s%s.%s", *part ? "." : "", part, suffix);
}

static FILE *open_at(int dir, const char *name)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	FILE *to = fd < 0 ? NULL : fdopen(fd, "w");

	if (!to && fd >= 0)
		close(fd);
	return to;
}

FILE *report_open_at(int dir, const struct result_row *row, const char *part, const char *suffix)
{
	char name[200];

	name_file(row, part, suffix, name);
	return open_at(dir, name);
}

/* ---- data ---- */

/* Two blocks, for gnuplot's `index`: the curve, and the rounds. */
static int write_data(const struct result_row *row, int dir)
{
	FILE *to = report_open_at(dir, row, "", "dat");

	if (!to)
		return -errno;
	fprintf(to, "# 1/(1-percentile) value percent\n");
	for (size_t i = 0; i < row->cost.nr_curve; i++) {
		const struct result_point *point = &row->cost.curve[i];
		double left = (100 - point->percent) / 100;

		/* The greatest one is where one of them is left. */
		fprintf(to, "%.6g %.1f %.6f\n", left > 0 ? 1 / left : (double)row->cost.nr,
			point->value, point->percent);
	}
	fprintf(to, "\n\n# round median\n");
	for (size_t i = 0; i < row->cost.nr_rounds; i++)
		fprintf(to, "%zu %.1f\n", i + 1, row->cost.rounds[i]);
	return fclose(to) ? -EIO : 0;
}

/* ---- the script ---- */

/* In a text between quotes, which gnuplot doubles, and without what it takes for markup. */
static void put_title(const char *text, FILE *to)
{
	for (; *text; text++)
		fprintf(to, *text == '\'' ? "''" : "%c", (unsigned char)*text < ' ' ? ' ' : *text);
}

static void put_plot(const struct result *result, unsigned int block, FILE *to)
{
	bool is_first = true;

	for (unsigned int i = 0; i < result->nr_rows; i++) {
		const struct result_row *row = &result->rows[i];
		char name[200];

		if (row->skip || (block ? row->cost.nr_rounds : row->cost.nr_curve) == 0)
			continue;
		name_file(row, "", "dat", name);
		fprintf(to, "%s '%s' index %u using 1:2 with lines title '",
			is_first ? "plot" : ", \\\n\t", name, block);
		put_title(row->name, to);
		fprintf(to, ", ");
		put_title(row->is_road ? row->server : row->group, to);
		fprintf(to, "'");
		is_first = false;
	}
	fputc('\n', to);
}

static int write_script(const struct result *result, int dir)
{
	const char *unit = result->more_is_better ? "accesses per s" : "ns";
	FILE *to = open_at(dir, "plot.gp");

	if (!to)
		return -errno;
	fprintf(to,
		"# gnuplot plot.gp\n"
		"set terminal svg size 1200,700 noenhanced\n"
		"set key outside\nset grid\nset logscale y\nset ylabel '%s'\n\n",
		unit);
	fprintf(to, "set output 'curves.svg'\nset logscale x\nset xlabel 'percentile'\n"
		    "set xtics ('0' 1, '50' 2, '90' 10, '99' 100, '99.9' 1000, '99.99' 10000, "
		    "'99.999' 100000)\n");
	put_plot(result, 0, to);
	fprintf(to, "\nset output 'rounds.svg'\nunset logscale x\nset xlabel 'round'\n"
		    "set xtics auto\n");
	put_plot(result, 1, to);
	return fclose(to) ? -EIO : 0;
}

int report_gnuplot(const struct result *result, int dir)
{
	int ret = 0;

	for (unsigned int i = 0; i < result->nr_rows && !ret; i++)
		if (!result->rows[i].skip)
			ret = write_data(&result->rows[i], dir);
	return ret ? ret : write_script(result, dir);
}
