/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <math.h>

#include "report.h"

/* What was not measured is nothing. */
static void put(double value, int decimals, FILE *to)
{
	if (!isnan(value))
		fprintf(to, "%.*f", decimals, value);
	fputc(',', to);
}

/* Between quotes, which are doubled within. */
static void put_quoted(const char *text, FILE *to)
{
	fputc('"', to);
	for (; *text; text++)
		fprintf(to, *text == '"' ? "\"\"" : "%c", *text);
	fputc('"', to);
}

static void put_cpu(const struct result_row *row, FILE *to)
{
	put(row->server_cpu, 0, to);
	put(row->server_switches, 3, to);
	put(row->client_cpu, 0, to);
	put(row->client_switches, 3, to);
}

static void put_road(const struct result_row *row, FILE *to)
{
	const struct result_series *guest = &row->cost;

	fprintf(to, "%s,%s,%s,%s,", row->road, row->op, row->server, row->guest);
	if (row->skip) {
		fprintf(to, ",,,,,,,,,,,,,,");
		put_quoted(row->skip, to);
		fputc('\n', to);
		return;
	}
	fprintf(to, "%u,%zu,", row->size_bytes, guest->nr);
	put(guest->p50, 0, to);
	put(guest->p90, 0, to);
	put(guest->p99, 0, to);
	put(guest->p999, 0, to);
	put(guest->max, 0, to);
	put(row->notify.nr ? row->notify.p50 : NAN, 0, to);
	put(row->rtt.nr ? row->rtt.p50 : NAN, 0, to);
	put(row->exits, 3, to);
	put_cpu(row, to);
	fputc('\n', to);
}

static void put_peer(const struct result_row *row, FILE *to)
{
	const struct result_series *cost = &row->cost;

	fprintf(to, "%s,%u,%s,%s,", row->op, row->size_bytes, row->road, row->server);
	put(cost->p50, 0, to);
	put(result_rounds_percentile(cost, 10), 0, to);
	put(result_rounds_percentile(cost, 90), 0, to);
	put(cost->p90, 0, to);
	put(cost->p99, 0, to);
	put_cpu(row, to);
	put(row->accesses, 0, to);
	put(row->ratio, 4, to);
	put(row->ratio_low, 4, to);
	put(row->ratio_high, 4, to);
	fprintf(to, "%s\n", row->verdict ? row->verdict : "");
}

static void put_head_of_peers(const char *name, FILE *to)
{
	fprintf(to,
		"access,size_bytes,peer,client,%s_p50,%s_rounds_p10,%s_rounds_p90,%s_p90,%s_p99,"
		"server_cpu_ns_per_op,server_switches_per_op,client_cpu_ns_per_op,"
		"client_switches_per_op,accesses,ratio,ratio_low,ratio_high,verdict\n",
		name, name, name, name, name);
}

int report_csv(const struct result *result, FILE *to)
{
	if (result->is_roads)
		fprintf(to,
			"road,op,server,guest,width_bytes,n,guest_ns_p50,guest_ns_p90,guest_ns_p99,"
			"guest_ns_p99.9,guest_ns_max,notify_ns_p50,rtt_ns_p50,exits_per_op,"
			"server_cpu_ns_per_op,server_switches_per_op,client_cpu_ns_per_op,"
			"client_switches_per_op,skip\n");
	else
		put_head_of_peers(result->more_is_better ? "accesses_per_s" : "rtt_ns", to);
	for (unsigned int i = 0; i < result->nr_rows; i++)
		(result->is_roads ? put_road : put_peer)(&result->rows[i], to);
	return ferror(to) ? -EIO : 0;
}
