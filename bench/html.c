/* SPDX-License-Identifier: BSD-3-Clause */
#include "html.h"

#include <math.h>
#include <string.h>

void html_text(FILE *to, const char *text)
{
	for (; *text; text++)
		switch (*text) {
		case '&':
			fputs("&amp;", to);
			break;
		case '<':
			fputs("&lt;", to);
			break;
		case '>':
			fputs("&gt;", to);
			break;
		case '"':
			fputs("&quot;", to);
			break;
		default:
			fputc((unsigned char)*text < ' ' || *text == 0x7f ? ' ' : *text, to);
		}
}

/* ---- numbers with units ---- */

struct unit {
	double below; /* this it is for */
	double scale;
	const char *name;
};

/* A no-break space is before each, so that it stays with its number. */
static const struct unit times[] = {
	{ 999.5, 1, "\u00a0ns" },
	{ 999.5e3, 1e3, "\u00a0µs" },
	{ 999.5e6, 1e6, "\u00a0ms" },
	{ INFINITY, 1e9, "\u00a0s" },
};
static const struct unit rates[] = {
	{ 999.5, 1, "/s" },
	{ 999.5e3, 1e3, "\u00a0k/s" },
	{ INFINITY, 1e6, "\u00a0M/s" },
};

static const struct unit *unit_of(const struct unit *units, double value)
{
	while (value >= units->below)
		units++;
	return units;
}

/* Three digits, and none behind the point from 100 on. */
static void put_amount(FILE *to, const struct unit *units, double value)
{
	const struct unit *unit = unit_of(units, value);
	double shown = value / unit->scale;

	if (isnan(value))
		fputs("–", to);
	else
		fprintf(to, "%.*f%s",
			unit->scale == 1 || shown >= 99.95 ? 0 :
			shown >= 9.995			   ? 1 :
							     2,
			shown, unit->name);
}

void html_time(FILE *to, double ns)
{
	put_amount(to, times, ns);
}

void html_amount(FILE *to, const struct result *result, double value)
{
	put_amount(to, result->more_is_better ? rates : times, value);
}

void html_tick(FILE *to, const struct result *result, double value)
{
	const struct unit *unit = unit_of(result->more_is_better ? rates : times, value);

	fprintf(to, "%.4g%s", value / unit->scale, unit->name);
}

/* ---- cells and scales ---- */

void html_amount_cell(FILE *to, const struct result *result, double value, const char *attributes)
{
	fprintf(to, "<td role=\"cell\" %s>", attributes);
	if (!isnan(value))
		fprintf(to, "<data value=\"%.1f\">", value);
	html_amount(to, result, value);
	fputs(isnan(value) ? "</td>" : "</data></td>", to);
}

void html_number_cell(FILE *to, double value, int decimals)
{
	if (isnan(value))
		fputs("<td>–</td>", to);
	else
		fprintf(to, "<td>%.*f</td>", decimals, value);
}

double html_tick_step(double most)
{
	static const double steps[] = { 1, 2, 5, 10 };
	double power = pow(10, floor(log10(most / 4)));

	for (unsigned int i = 0; i < 3; i++)
		if (most / (steps[i] * power) <= 4)
			return steps[i] * power;
	return 10 * power;
}

/* ---- kinds ---- */

const struct html_kind html_kinds[] = {
	{ "k1", "message on a socket", "socket flooded" },
	{ "k2", "command with the value (ioregionfd)", "standin ioregionfd" },
	{ "k3", "eventfd", "ioeventfd shadow pio" },
	{ "k4", "memory", "mmap ro-slot" },
	{ "k0", "floor: nothing of a device", "exit eventfd" },
};
const unsigned int html_nr_kinds = sizeof(html_kinds) / sizeof(*html_kinds);

/* Whether `word` is one of those. */
static bool has_word(const char *words, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = words; (at = strstr(at, word)); at++)
		if ((at == words || at[-1] == ' ') && (!at[len] || at[len] == ' '))
			return len;
	return false;
}

static const char *class_of_peer(const struct result *result, const struct result_row *row)
{
	static const char *const classes[] = { "k1", "k3", "k2", "k4", "k5", "k6" };
	unsigned int nr = 0;

	if (!strcmp(row->road, "floor"))
		return "k0";
	/* The peers are in the same order in each group. */
	for (const struct result_row *at = row; at > result->rows; at--)
		nr += !strcmp(at[-1].group, row->group);
	return classes[nr % 6];
}

const char *html_class(const struct result *result, const struct result_row *row)
{
	if (!row->is_road)
		return class_of_peer(result, row);
	/* That doorbell is an eventfd, wherever it lies. */
	if (!strcmp(row->op, "doorbell"))
		return "k3";
	for (unsigned int i = 0; i < html_nr_kinds; i++)
		if (has_word(html_kinds[i].roads, row->road))
			return html_kinds[i].class;
	return "k0";
}
