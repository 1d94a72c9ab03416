/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lines: percentiles, and the medians of the rounds. A small chart for each road, or kind of access,
 * all on the same axes so that they compare; every one shows all lines in grey and its own in colour.
 */
#include <math.h>
#include <string.h>

#include "html.h"

/* Of a chart, as wide as a telephone. */
#define WIDTH 360
#define HEIGHT 216
#define LEFT 52
#define RIGHT 8
#define TOP 8
#define BOTTOM 22

/* How many colours the style has for lines. */
#define COLOURS 6

struct axes {
	double left, right; /* decades of 1/(1-percentile), or rounds */
	double low, high;   /* decades */
	void (*put_line)(FILE *to, const struct axes *axes, const struct result_row *row);
	void (*put_grid)(FILE *to, const struct axes *axes, const struct result *result);
	const char *id;
	const char *what;
};

static double x_of(const struct axes *axes, double value)
{
	return LEFT + (value - axes->left) / (axes->right - axes->left) * (WIDTH - LEFT - RIGHT);
}

/* What is beyond is at the edge. */
static double y_of(const struct axes *axes, double value)
{
	double decade = value > 0 ? log10(value) : axes->low;

	decade = fmin(fmax(decade, axes->low), axes->high);
	return TOP + (axes->high - decade) / (axes->high - axes->low) * (HEIGHT - TOP - BOTTOM);
}

/* ---- what both have ---- */

static bool is_first(const struct result *result, unsigned int i)
{
	for (unsigned int j = 0; j < i; j++)
		if (!result->rows[j].skip && !strcmp(result->rows[j].panel, result->rows[i].panel))
			return false;
	return true;
}

static bool is_in(const struct result *result, unsigned int i, const char *panel)
{
	return !result->rows[i].skip && !strcmp(result->rows[i].panel, panel);
}

/* Of a server its own; of a road by the operation, in the order in which they come. */
static void put_colour(FILE *to, const struct result *result, unsigned int i)
{
	const struct result_row *row = &result->rows[i];
	const char *seen[COLOURS];
	unsigned int nr = 0;

	if (!row->is_road) {
		fputs(html_class(result, row), to);
		return;
	}
	for (unsigned int j = 0; j < i; j++) {
		unsigned int k = 0;

		if (!is_in(result, j, row->panel))
			continue;
		while (k < nr && strcmp(seen[k], result->rows[j].op))
			k++;
		if (k == nr && nr < COLOURS)
			seen[nr++] = result->rows[j].op;
	}
	for (unsigned int k = 0; k < nr; k++)
		if (!strcmp(seen[k], row->op))
			nr = k;
	fprintf(to, "c%u", nr % COLOURS);
}

static bool is_dashed(const struct result_row *row)
{
	return row->is_road && !strcmp(row->server, "asleep");
}

static void put_grid_line(FILE *to, double x1, double y1, double x2, double y2)
{
	fprintf(to, "<line class=\"grid\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", x1,
		y1, x2, y2);
}

static void put_entry(FILE *to, const struct result *result, unsigned int i)
{
	const struct result_row *row = &result->rows[i];

	fputs("<li><svg width=\"26\" height=\"10\" aria-hidden=\"true\"><line class=\"line ", to);
	put_colour(to, result, i);
	fprintf(to, "%s\" x1=\"0\" x2=\"26\" y1=\"5\" y2=\"5\"/></svg> ",
		is_dashed(row) ? " dashed" : "");
	html_text(to, row->line);
	fputs("</li>\n", to);
}

static void put_panel(FILE *to, const struct result *result, const char *panel,
		      const struct axes *axes)
{
	fputs("<figure><figcaption><b>", to);
	html_text(to, panel);
	fputs("</b><ul class=\"legend\">", to);
	for (unsigned int i = 0; i < result->nr_rows; i++)
		if (is_in(result, i, panel))
			put_entry(to, result, i);
	fprintf(to,
		"</ul></figcaption>\n<svg class=\"chart\" viewBox=\"0 0 %d %d\" role=\"img\" "
		"aria-label=\"%s: ",
		WIDTH, HEIGHT, axes->what);
	html_text(to, panel);
	fprintf(to, ". The numbers are in the table below.\">\n<use href=\"#%s\"/>\n", axes->id);
	for (unsigned int i = 0; i < result->nr_rows; i++) {
		if (!is_in(result, i, panel))
			continue;
		fputs("<polyline class=\"line ", to);
		put_colour(to, result, i);
		fprintf(to, "%s\" points=\"", is_dashed(&result->rows[i]) ? " dashed" : "");
		axes->put_line(to, axes, &result->rows[i]);
		fputs("\"><title>", to);
		html_text(to, result->rows[i].panel);
		fputs(" ", to);
		html_text(to, result->rows[i].line);
		fputs("</title></polyline>\n", to);
	}
	fputs("</svg></figure>\n", to);
}

/* Grid and all lines in grey, which every chart uses. */
static void put_common(FILE *to, const struct result *result, const struct axes *axes)
{
	fprintf(to,
		"<svg width=\"0\" height=\"0\" class=\"common\" aria-hidden=\"true\"><defs>"
		"<g id=\"%s\">\n",
		axes->id);
	axes->put_grid(to, axes, result);
	for (unsigned int i = 0; i < result->nr_rows; i++) {
		if (result->rows[i].skip)
			continue;
		fputs("<polyline class=\"others\" points=\"", to);
		axes->put_line(to, axes, &result->rows[i]);
		fputs("\"/>\n", to);
	}
	fputs("</g></defs></svg>\n", to);
}

static void put_panels(FILE *to, const struct result *result, const struct axes *axes)
{
	put_common(to, result, axes);
	fputs("<div class=\"panels\">\n", to);
	for (unsigned int i = 0; i < result->nr_rows; i++)
		if (!result->rows[i].skip && is_first(result, i))
			put_panel(to, result, result->rows[i].panel, axes);
	fputs("</div></section>\n", to);
}

/* ---- percentiles ---- */

static double decades_left(double percent, const struct result_series *series)
{
	return percent < 100 ? -log10((100 - percent) / 100) : log10((double)series->nr);
}

static void put_curve(FILE *to, const struct axes *axes, const struct result_row *row)
{
	for (size_t i = 0; i < row->cost.nr_curve; i++) {
		const struct result_point *point = &row->cost.curve[i];

		fprintf(to, "%s%.1f,%.1f", i ? " " : "",
			x_of(axes, decades_left(point->percent, &row->cost)),
			y_of(axes, point->value));
	}
}

static void put_y_label(FILE *to, const struct axes *axes, double value)
{
	double y = y_of(axes, value);

	put_grid_line(to, LEFT, y, WIDTH - RIGHT, y);
	fprintf(to, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">", LEFT - 5, y + 4);
}

static void put_x_label(FILE *to, const struct axes *axes, double at, const char *anchor)
{
	double x = x_of(axes, at);

	put_grid_line(to, x, TOP, x, HEIGHT - BOTTOM);
	fprintf(to, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">", x, HEIGHT - 6, anchor);
}

static void put_curve_grid(FILE *to, const struct axes *axes, const struct result *result)
{
	static const char *const names[] = { "min",    "90%",	  "99%",     "99.9%",
					     "99.99%", "99.999%", "99.9999%" };

	for (int decade = (int)axes->low; decade <= (int)axes->high; decade++) {
		put_y_label(to, axes, pow(10, decade));
		html_tick(to, result, pow(10, decade));
		fputs("</text>\n", to);
	}
	for (unsigned int i = 0; i <= axes->right + 0.01 && i < 7; i++) {
		put_x_label(to, axes, i, i + 0.3 > axes->right ? "end" : i ? "middle" : "start");
		fprintf(to, "%s</text>\n", names[i]);
	}
}

void html_curves(FILE *to, const struct result *result)
{
	char id[40];
	struct axes axes = {
		.low = INFINITY,
		.high = -INFINITY,
		.put_line = put_curve,
		.put_grid = put_curve_grid,
		.id = id,
		.what = "percentiles",
	};
	bool has_any = false;

	snprintf(id, sizeof(id), "curves%u", result->number);
	for (unsigned int i = 0; i < result->nr_rows; i++) {
		const struct result_series *cost = &result->rows[i].cost;

		if (result->rows[i].skip || !cost->nr_curve)
			continue;
		has_any = true;
		axes.low = fmin(axes.low, floor(log10(fmax(cost->min, 1))));
		axes.high = fmax(axes.high, ceil(log10(fmax(cost->max, 10))));
		axes.right = fmax(axes.right, log10((double)cost->nr));
	}
	if (!has_any)
		return;
	axes.high = fmax(axes.high, axes.low + 1);
	axes.right = fmax(axes.right, 0.1);
	fputs("<section><h2>How often it takes longer</h2>\n<p>From left to right: so many accesses took "
	      "no longer than that. Each step to the right is a tenth of what is left; upwards, each "
	      "line of the grid is ten times as long. In grey, the curves of the other charts. ",
	      to);
	fputs(result->is_roads ?
		      "How long the guest was held up; dashed: the server was asleep.</p>\n" :
		      "The server's round trips.</p>\n",
	      to);
	put_panels(to, result, &axes);
}

/* ---- rounds ---- */

static void put_round_line(FILE *to, const struct axes *axes, const struct result_row *row)
{
	for (size_t i = 0; i < row->cost.nr_rounds; i++)
		fprintf(to, "%s%.1f,%.1f", i ? " " : "", x_of(axes, (double)i + 1),
			y_of(axes, row->cost.rounds[i] / row->cost.p50));
}

static void put_round_grid(FILE *to, const struct axes *axes, const struct result *result)
{
	static const double ratios[] = { 0.25, 0.5, 0.8, 0.9, 1, 1.1, 1.25, 2, 4 };
	bool is_wide = axes->high > log10(1.6);
	unsigned int step = (unsigned int)fmax(html_tick_step(axes->right), 1);

	(void)result;
	for (unsigned int i = 0; i < sizeof(ratios) / sizeof(*ratios); i++) {
		double decade = log10(ratios[i]);

		if (decade < axes->low - 1e-9 || decade > axes->high + 1e-9 ||
		    (is_wide && fabs(decade) > 1e-9 && fabs(decade) < log10(1.3)))
			continue;
		put_y_label(to, axes, ratios[i]);
		fprintf(to, "×\u00a0%g</text>\n", ratios[i]);
	}
	put_x_label(to, axes, 1, "start");
	fputs("1</text>\n", to);
	for (unsigned int at = step; at <= axes->right; at += step) {
		if (at < axes->right / 10)
			continue;
		put_x_label(to, axes, at, at > axes->right * 0.95 ? "end" : "middle");
		fprintf(to, "%u</text>\n", at);
	}
}

/* The first of these that no round is beyond; the last one in any case. */
static const double ranges[] = { 1.1, 1.25, 2, 4 };
#define NR_RANGES (sizeof(ranges) / sizeof(*ranges))

static double range_of(const struct result *result)
{
	double most = 0;
	unsigned int i = 0;

	for (unsigned int j = 0; j < result->nr_rows; j++) {
		const struct result_series *cost = &result->rows[j].cost;

		for (size_t k = 0; k < cost->nr_rounds; k++)
			if (cost->rounds[k] > 0 && cost->p50 > 0)
				most = fmax(most, fabs(log10(cost->rounds[k] / cost->p50)));
	}
	while (i < NR_RANGES - 1 && most > log10(ranges[i]))
		i++;
	return log10(ranges[i]);
}

void html_rounds(FILE *to, const struct result *result)
{
	double most = range_of(result);
	char id[40];
	struct axes axes = {
		.left = 1,
		.low = -most,
		.high = most,
		.put_line = put_round_line,
		.put_grid = put_round_grid,
		.id = id,
		.what = "medians of the rounds",
	};

	snprintf(id, sizeof(id), "rounds%u", result->number);
	for (unsigned int i = 0; i < result->nr_rows; i++)
		axes.right = fmax(axes.right, (double)result->rows[i].cost.nr_rounds);
	if (axes.right < 2)
		return;
	fputs("<section><h2>Was the machine quiet?</h2>\n<p>The median of each round, beside that of "
	      "the whole run (× 1), in the order in which they were measured. Flat lines: nothing drifted, and "
	      "nobody disturbed. What is above × 4 or below × 0.25 is drawn at the edge.</p>\n",
	      to);
	put_panels(to, result, &axes);
}
