/* SPDX-License-Identifier: BSD-3-Clause */
/* All numbers, and how every server compares with the first. */
#include <math.h>
#include <string.h>

#include "html.h"

static const char head_of_roads[] =
	"<thead><tr><td colspan=\"4\"></td><th colspan=\"5\" scope=\"colgroup\">guest_ns</th>"
	"<th scope=\"colgroup\">notify_ns</th><th scope=\"colgroup\">exits</th>"
	"<th colspan=\"2\" scope=\"colgroup\">server</th>"
	"<th colspan=\"2\" scope=\"colgroup\">client</th><td colspan=\"2\"></td></tr>\n<tr>"
	"<th scope=\"col\">road, operation</th><th scope=\"col\">can</th><th scope=\"col\">server</th>"
	"<th scope=\"col\">bytes</th>"
	"<th scope=\"col\">p50</th><th scope=\"col\">p90</th><th scope=\"col\">p99</th>"
	"<th scope=\"col\">p99.9</th><th scope=\"col\">max</th><th scope=\"col\">p50</th>"
	"<th scope=\"col\">/op</th><th scope=\"col\">cpu_ns</th><th scope=\"col\">switches</th>"
	"<th scope=\"col\">cpu_ns</th><th scope=\"col\">switches</th><th scope=\"col\">n</th>"
	"<th scope=\"col\">guest</th></tr></thead>\n<tbody>\n";

static void put_text_cell(FILE *to, const char *text)
{
	fputs("<td class=\"text\">", to);
	html_text(to, text);
	fputs("</td>", to);
}

static void put_name(FILE *to, const struct result_row *row)
{
	fputs("<tr><th scope=\"row\">", to);
	html_text(to, row->name);
	fputs("</th>", to);
}

static void put_cpu(FILE *to, const struct result_row *row)
{
	html_number_cell(to, row->server_cpu, 0);
	html_number_cell(to, row->server_switches, 2);
	html_number_cell(to, row->client_cpu, 0);
	html_number_cell(to, row->client_switches, 2);
}

static void put_road(FILE *to, const struct result_row *row)
{
	const struct result_series *guest = &row->cost;

	put_name(to, row);
	put_text_cell(to, row->can);
	put_text_cell(to, row->server);
	if (row->skip) {
		fputs("<td class=\"text\" colspan=\"14\">not measured: ", to);
		html_text(to, row->skip);
		fputs("</td></tr>\n", to);
		return;
	}
	html_number_cell(to, row->size_bytes, 0);
	html_number_cell(to, guest->p50, 0);
	html_number_cell(to, guest->p90, 0);
	html_number_cell(to, guest->p99, 0);
	html_number_cell(to, guest->p999, 0);
	html_number_cell(to, guest->max, 0);
	html_number_cell(to, row->notify.nr ? row->notify.p50 : NAN, 0);
	html_number_cell(to, row->exits, 2);
	put_cpu(to, row);
	html_number_cell(to, row->n, 0);
	put_text_cell(to, row->guest);
	fputs("</tr>\n", to);
}

static void put_head_of_peers(FILE *to, const struct result *result)
{
	fprintf(to,
		"<thead><tr><td colspan=\"4\"></td><th colspan=\"%d\" scope=\"colgroup\">%s</th>"
		"<th colspan=\"2\" scope=\"colgroup\">8 of 10 rounds</th>"
		"<th colspan=\"2\" scope=\"colgroup\">server</th>"
		"<th colspan=\"2\" scope=\"colgroup\">client</th><td></td></tr>\n<tr>"
		"<th scope=\"col\">server</th><th scope=\"col\">access</th>"
		"<th scope=\"col\">bytes</th><th scope=\"col\">client</th>"
		"<th scope=\"col\">p50</th>",
		result->more_is_better ? 1 : 3,
		result->more_is_better ? "accesses per s" : "rtt_ns");
	if (!result->more_is_better)
		fputs("<th scope=\"col\">p90</th><th scope=\"col\">p99</th>", to);
	fputs("<th scope=\"col\">from</th><th scope=\"col\">to</th><th scope=\"col\">cpu_ns</th>"
	      "<th scope=\"col\">switches</th><th scope=\"col\">cpu_ns</th>"
	      "<th scope=\"col\">switches</th><th scope=\"col\">accesses</th></tr></thead>\n<tbody>\n",
	      to);
}

static void put_peer(FILE *to, const struct result *result, const struct result_row *row)
{
	put_name(to, row);
	put_text_cell(to, row->op);
	html_number_cell(to, row->size_bytes, 0);
	put_text_cell(to, row->server);
	html_number_cell(to, row->cost.p50, 0);
	if (!result->more_is_better) {
		html_number_cell(to, row->cost.p90, 0);
		html_number_cell(to, row->cost.p99, 0);
	}
	html_number_cell(to, result_rounds_percentile(&row->cost, 10), 0);
	html_number_cell(to, result_rounds_percentile(&row->cost, 90), 0);
	put_cpu(to, row);
	html_number_cell(to, row->accesses, 0);
	fputs("</tr>\n", to);
}

void html_table(FILE *to, const struct result *result)
{
	fputs("<section><h2>All numbers</h2>\n", to);
	if (result->is_roads)
		fputs("<p>can: v, the value comes along; r, reads are answered; o, accesses keep their "
		      "order. Times are nanoseconds.</p>\n",
		      to);
	fputs("<div class=\"wide\" role=\"region\" aria-label=\"All numbers\" tabindex=\"0\"><table "
	      "class=\"numbers\">\n",
	      to);
	if (result->is_roads)
		fputs(head_of_roads, to);
	else
		put_head_of_peers(to, result);
	for (unsigned int i = 0; i < result->nr_rows; i++)
		if (result->is_roads)
			put_road(to, &result->rows[i]);
		else
			put_peer(to, result, &result->rows[i]);
	fputs("</tbody></table></div></section>\n", to);
}

/* ---- ratios ---- */

/* How far the scale goes to either side of 1. */
static double reach_of(const struct result *result)
{
	double most = 0.1;

	for (unsigned int i = 0; i < result->nr_rows; i++) {
		const struct result_row *row = &result->rows[i];

		if (!row->verdict)
			continue;
		most = fmax(most, fabs(log10(row->ratio)));
		if (row->ratio_low > 0)
			most = fmax(most, fabs(log10(row->ratio_low)));
		if (row->ratio_high > 0)
			most = fmax(most, fabs(log10(row->ratio_high)));
	}
	return most * 1.05;
}

static double percent_at(double ratio, double reach)
{
	return 50 + 50 * log10(ratio) / reach;
}

static void put_ratio_marks(FILE *to, const struct result *result, const struct result_row *row,
			    double reach)
{
	static const double marks[] = {
		0.01, 0.1, 0.2, 0.5, 0.8, 0.9, 1, 1.1, 1.25, 2, 5, 10, 100
	};

	fputs("<td role=\"cell\" class=\"bar\"><svg width=\"100%\" height=\"20\" aria-hidden=\"true\">",
	      to);
	for (unsigned int i = 0; i < sizeof(marks) / sizeof(*marks); i++)
		if (fabs(log10(marks[i])) < reach)
			fprintf(to,
				"<line class=\"%s\" x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"0\" y2=\"100%%\"/>",
				marks[i] == 1 ? "zero" : "grid", percent_at(marks[i], reach),
				percent_at(marks[i], reach));
	if (row->ratio_low > 0 && row->ratio_high > 0)
		fprintf(to,
			"<line class=\"interval\" x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"10\" y2=\"10\"/>",
			percent_at(row->ratio_low, reach), percent_at(row->ratio_high, reach));
	fprintf(to, "<circle class=\"%s\" cx=\"%.2f%%\" cy=\"10\" r=\"5\"/></svg></td>",
		html_class(result, row), percent_at(row->ratio, reach));
}

static void put_ratio(FILE *to, const struct result *result, const struct result_row *row,
		      double reach)
{
	fputs("<tr role=\"row\"><th role=\"rowheader\" scope=\"row\" class=\"name\">", to);
	html_text(to, row->name);
	fputs(": ", to);
	html_text(to, row->group);
	fputs("</th>", to);
	put_ratio_marks(to, result, row, reach);
	fprintf(to,
		"<td role=\"cell\" class=\"value main\"><data value=\"%.4f\">×\u00a0%.3f</data></td>",
		row->ratio, row->ratio);
	fputs("<td role=\"cell\" class=\"value\">", to);
	if (row->ratio_low > 0 && row->ratio_high > 0)
		fprintf(to, "%.3f–%.3f", row->ratio_low, row->ratio_high);
	else
		fputs("–", to);
	fputs("</td><td role=\"cell\" class=\"value\">", to);
	html_text(to, row->verdict);
	fputs("</td></tr>\n", to);
}

void html_ratios(FILE *to, const struct result *result)
{
	double reach = reach_of(result);
	const char *first = NULL;

	for (unsigned int i = 0; i < result->nr_rows && !first; i++)
		first = result->rows[i].verdict ? result->rows[i].ratio_to : NULL;
	if (!first)
		return;
	fputs("<section><h2>Beside ", to);
	html_text(to, first);
	fputs("</h2>\n<p>How many times what ", to);
	html_text(to, first);
	fprintf(to,
		" %s each of the others %s: the median of the rounds' ratios, and where it lies with a "
		"confidence of 95&#160;%%. On a logarithmic scale: half is as far from × 1 (the line in the "
		"middle) as twice.</p>\n<table role=\"table\" class=\"bars ratios\"><thead role=\"rowgroup\">"
		"<tr role=\"row\"><th role=\"columnheader\" scope=\"col\" class=\"name\">server</th>"
		"<td role=\"cell\" class=\"bar\"></td><th role=\"columnheader\" scope=\"col\">ratio</th>"
		"<th role=\"columnheader\" scope=\"col\">95&#160;%%</th>"
		"<th role=\"columnheader\" scope=\"col\">verdict</th></tr></thead>\n"
		"<tbody role=\"rowgroup\">\n",
		result->more_is_better ? "does," : "takes,",
		result->more_is_better ? "does" : "takes");
	for (unsigned int i = 0; i < result->nr_rows; i++)
		if (result->rows[i].verdict)
			put_ratio(to, result, &result->rows[i], reach);
	fputs("</tbody></table></section>\n", to);
}
