/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The medians as bars from zero on a scale without breaks: a bar that is twice as long is twice as
 * much. The table is the chart: each row has its bar and its numbers. Bars are in percent of what room
 * there is, so that they fit a telephone.
 */
#include <math.h>
#include <string.h>

#include "html.h"

#define TICKS 5

struct scale {
	double most; /* at the right end */
	double step;
};

static bool is_first(const struct result *result, unsigned int i)
{
	for (unsigned int j = 0; j < i; j++)
		if (!strcmp(result->rows[j].group, result->rows[i].group))
			return false;
	return true;
}

static struct scale scale_of(double most)
{
	if (!(most > 0))
		most = 1;
	return (struct scale){ .most = most * 1.02, .step = html_tick_step(most) };
}

static void put_grid(FILE *to, const struct scale *scale)
{
	for (unsigned int i = 0; i * scale->step <= scale->most && i < TICKS; i++)
		fprintf(to,
			"<line class=\"%s\" x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"0\" y2=\"100%%\"/>",
			i ? "grid" : "zero", i * scale->step / scale->most * 100,
			i * scale->step / scale->most * 100);
}

static void put_bar(FILE *to, const struct scale *scale, const char *class, double from,
		    double value, const char *where)
{
	if (value > 0)
		fprintf(to, "<rect class=\"%s\" x=\"%.3f%%\" width=\"%.3f%%\" %s/>", class,
			from / scale->most * 100, value / scale->most * 100, where);
}

/* The scale's numbers, above the bars. */
static void put_axis(FILE *to, const struct result *result, const struct scale *scale)
{
	fputs("<svg class=\"axis\" width=\"100%\" height=\"18\" aria-hidden=\"true\">", to);
	for (unsigned int i = 0; i * scale->step <= scale->most && i < TICKS; i++) {
		double at = i * scale->step / scale->most * 100;

		fprintf(to, "<text x=\"%.2f%%\" y=\"13\" text-anchor=\"%s\">", at,
			!i	? "start" :
			at > 93 ? "end" :
				  "middle");
		if (i)
			html_tick(to, result, i * scale->step);
		else
			fputs("0", to);
		fputs("</text>", to);
	}
	fputs("</svg>", to);
}

static void put_head(FILE *to, const struct result *result, const struct scale *scale,
		     const char *const *titles)
{
	fputs("<thead role=\"rowgroup\"><tr role=\"row\"><th role=\"columnheader\" "
	      "scope=\"col\" class=\"name\">",
	      to);
	fputs(result->is_roads ? "road" : "server", to);
	fputs("</th><td role=\"cell\" class=\"bar\">", to);
	put_axis(to, result, scale);
	fputs("</td>", to);
	for (; *titles; titles++)
		fprintf(to, "<th role=\"columnheader\" scope=\"col\">%s</th>", *titles);
	fputs("</tr></thead>\n", to);
}

static void put_group(FILE *to, const struct result_row *row, unsigned int columns)
{
	fprintf(to,
		"<tbody role=\"rowgroup\"><tr role=\"row\" class=\"group\"><th role=\"rowheader\" "
		"scope=\"rowgroup\" colspan=\"%u\">",
		columns);
	html_text(to, row->group);
	fputs("</th></tr>\n", to);
}

/* Begins a row: its name, and the cell of its bar. */
static void open_row(FILE *to, const struct result_row *row, const struct scale *scale)
{
	fputs("<tr role=\"row\"><th role=\"rowheader\" scope=\"row\" class=\"name\"", to);
	if (*row->what) {
		fputs(" title=\"", to);
		html_text(to, row->what);
		fputs("\"", to);
	}
	fputs(">", to);
	html_text(to, row->name);
	fputs("</th><td role=\"cell\" class=\"bar\"><svg width=\"100%\" height=\"20\" "
	      "aria-hidden=\"true\">",
	      to);
	put_grid(to, scale);
}

static void put_skipped(FILE *to, const struct result_row *row, unsigned int columns)
{
	fputs("<tr role=\"row\" class=\"skipped\"><th role=\"rowheader\" scope=\"row\" "
	      "class=\"name\">",
	      to);
	html_text(to, row->name);
	fprintf(to,
		"</th><td role=\"cell\" class=\"why\" colspan=\"%u\">not measured: ", columns - 1);
	html_text(to, row->skip);
	fputs("</td></tr>\n", to);
}

/* Draws the rows of a group, which need not be beside each other. */
typedef void put_row_fn(FILE *to, const struct result *result, const struct result_row *row,
			const struct scale *scale);

static void put_groups(FILE *to, const struct result *result, const struct scale *scale,
		       unsigned int columns, put_row_fn *put_row, bool tells_why)
{
	for (unsigned int i = 0; i < result->nr_rows; i++) {
		if (!is_first(result, i))
			continue;
		put_group(to, &result->rows[i], columns);
		for (unsigned int j = i; j < result->nr_rows; j++) {
			if (strcmp(result->rows[j].group, result->rows[i].group))
				continue;
			/* Why is said once, in the first chart. */
			if (result->rows[j].skip && tells_why)
				put_skipped(to, &result->rows[j], columns);
			else if (!result->rows[j].skip)
				put_row(to, result, &result->rows[j], scale);
		}
		fputs("</tbody>\n", to);
	}
}

static void put_swatch(FILE *to, const char *class, const char *name)
{
	fprintf(to,
		"<li><svg width=\"14\" height=\"14\" aria-hidden=\"true\"><rect class=\"%s\" "
		"width=\"14\" height=\"14\"/></svg> ",
		class);
	html_text(to, name);
	fputs("</li>\n", to);
}

/* ---- the ladder ---- */

/* To what a row is compared: the message that does the same, or the first server. */
static double times(const struct result *result, const struct result_row *row)
{
	const struct result_row *rival;

	if (!row->is_road)
		return row->ratio;
	rival = result_find(result, "socket", strstr(row->op, "read") ? "read" : "write",
			    row->server);
	return rival && rival != row ? row->cost.p50 / rival->cost.p50 : NAN;
}

static void put_times(FILE *to, double value)
{
	fputs("<td role=\"cell\" class=\"value\">", to);
	if (isnan(value))
		fputs("–", to);
	else
		fprintf(to, "<data value=\"%.4f\">×\u00a0%.*f</data>", value, value < 0.1 ? 3 : 2,
			value);
	fputs("</td>", to);
}

static void put_median(FILE *to, const struct result *result, const struct result_row *row,
		       const struct scale *scale)
{
	bool has_notify = row->notify.nr && !row->is_batch;

	open_row(to, row, scale);
	put_bar(to, scale, html_class(result, row), 0, row->cost.p50,
		has_notify ? "y=\"2\" height=\"10\"" : "y=\"2\" height=\"14\"");
	if (has_notify)
		put_bar(to, scale, "notify", 0, row->notify.p50, "y=\"13\" height=\"4\"");
	fputs("</svg></td>", to);
	html_amount_cell(to, result, row->cost.p50, "class=\"value main\"");
	if (result->is_roads)
		html_amount_cell(to, result, row->notify.nr ? row->notify.p50 : NAN,
				 "class=\"value\"");
	put_times(to, times(result, row));
	fputs("</tr>\n", to);
}

static double most_of(const struct result *result)
{
	double most = 0;

	for (unsigned int i = 0; i < result->nr_rows; i++) {
		const struct result_row *row = &result->rows[i];

		if (!row->skip)
			most = fmax(most,
				    fmax(row->cost.p50,
					 row->notify.nr && !row->is_batch ? row->notify.p50 : 0));
	}
	return most;
}

static void put_legend(FILE *to, const struct result *result)
{
	fputs("<ul class=\"legend\">\n", to);
	for (unsigned int i = 0; i < html_nr_kinds && result->is_roads; i++)
		put_swatch(to, html_kinds[i].class, html_kinds[i].name);
	if (result->is_roads)
		put_swatch(to, "notify", "thin bar: until the device knows");
	fputs("</ul>\n", to);
}

static const char *what_it_is(const struct result *result)
{
	if (result->is_roads)
		return "How long an access holds the guest up, and how long it takes until the device "
		       "knows of it: medians, on one scale from zero. Shorter is better. ×: what it "
		       "costs beside the same by message (socket write or socket read) to a server "
		       "in the same state. Of socket multi the bar is of one of the writes in a message, "
		       "and the device knows of it when it has seen them all.";
	if (result->more_is_better)
		return "Accesses in a second, the median of the rounds, on one scale from zero. Longer "
		       "is better.";
	return "A round trip, from the call to its answer: medians, on one scale from zero. Shorter is "
	       "better.";
}

void html_bars(FILE *to, const struct result *result)
{
	static const char *const roads[] = { "guest", "device", "×", NULL };
	static const char *const peers[] = { "median", "× first", NULL };
	struct scale scale = scale_of(most_of(result));

	fprintf(to, "<section><h2>%s</h2>\n<p>%s</p>\n",
		result->is_roads       ? "The ladder" :
		result->more_is_better ? "Accesses in a second" :
					 "Round trips",
		what_it_is(result));
	if (result->is_roads)
		put_legend(to, result);
	fputs("<table role=\"table\" class=\"bars\">\n", to);
	put_head(to, result, &scale, result->is_roads ? roads : peers);
	put_groups(to, result, &scale, result->is_roads ? 5 : 4, put_median, true);
	fputs("</table></section>\n", to);
}

/* ---- CPU time ---- */

static double or_zero(double value)
{
	return isnan(value) ? 0 : value;
}

static void put_cpu(FILE *to, const struct result *result, const struct result_row *row,
		    const struct scale *scale)
{
	static const struct result in_ns = { 0 };

	(void)result;
	open_row(to, row, scale);
	put_bar(to, scale, "client", 0, row->client_cpu, "y=\"3\" height=\"13\"");
	put_bar(to, scale, "server", or_zero(row->client_cpu), row->server_cpu,
		"y=\"3\" height=\"13\"");
	fputs("</svg></td>", to);
	html_amount_cell(to, &in_ns, row->client_cpu, "class=\"value\"");
	html_amount_cell(to, &in_ns, row->server_cpu, "class=\"value\"");
	html_amount_cell(to, &in_ns, or_zero(row->client_cpu) + or_zero(row->server_cpu),
			 "class=\"value main\"");
	fputs("</tr>\n", to);
}

void html_cpu(FILE *to, const struct result *result)
{
	static const char *const titles[] = { "client", "server", "both", NULL };
	struct result in_ns = *result;
	struct scale scale;
	double most = 0;

	for (unsigned int i = 0; i < result->nr_rows; i++)
		if (!result->rows[i].skip)
			most = fmax(most, or_zero(result->rows[i].client_cpu) +
						  or_zero(result->rows[i].server_cpu));
	scale = scale_of(most);
	in_ns.more_is_better = false;
	fputs("<section><h2>CPU time</h2>\n<p>What an access costs both ends. A server that stays "
	      "awake pays for that here: it looks for work between the accesses too.</p>\n"
	      "<ul class=\"legend\">\n",
	      to);
	put_swatch(to, "client",
		   result->is_roads ? "the client's thread, the guest's time included" : "client");
	put_swatch(to, "server", "the server's process");
	fputs("</ul>\n<table role=\"table\" class=\"bars\">\n", to);
	put_head(to, &in_ns, &scale, titles);
	put_groups(to, result, &scale, 5, put_cpu, false);
	fputs("</table></section>\n", to);
}
