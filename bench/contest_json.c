/* SPDX-License-Identifier: BSD-3-Clause */
/* What came of a contest. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "contest.h"
#include "json_put.h"
#include "result_file.h"

static double per_access(const struct contest_row *row, uint64_t sum)
{
	return row->accesses ? (double)sum / (double)row->accesses : 0;
}

static const char *unit(const struct contest *contest)
{
	return contest->options->is_throughput ? "accesses_per_s" : "rtt_ns";
}

static void print_cpu(const struct contest_row *row, const struct contest_row *rival, FILE *to)
{
	if (row->has_server_usage && rival->has_server_usage && rival->server.cpu_ns)
		fprintf(to, "; its server's CPU time %.3f times",
			per_access(row, row->server.cpu_ns) /
				per_access(rival, rival->server.cpu_ns));
}

static int print_comparison(const struct contest *contest, const struct contest_row *row, FILE *to)
{
	const struct contest_row *rival = contest_rival(contest, row);
	bool more_is_faster = contest->options->is_throughput;
	struct interval interval;
	int ret;

	if (!rival)
		return 0;
	ret = contest_compare(row, rival, &interval);
	if (ret)
		return ret;
	fprintf(to, "%s of %u: %s %s %.3f times", row->access->name, row->where.size,
		row->peer->options.name, more_is_faster ? "does" : "takes", interval.ratio);
	if (!isinf(interval.high))
		fprintf(to, " (%.3f to %.3f)", interval.low, interval.high);
	fprintf(to, " what %s %s: %s", rival->peer->options.name, more_is_faster ? "does" : "takes",
		verdict_name(interval_verdict(&interval, more_is_faster, 0)));
	print_cpu(row, rival, to);
	fprintf(to, ".\n");
	return 0;
}

/* How every peer compares with the first, a sentence a line. */
static int findings(const void *opaque, FILE *to)
{
	const struct contest *contest = opaque;
	int ret = 0;

	for (unsigned int i = 0; i < contest->nr_rows && !ret; i++)
		ret = print_comparison(contest, &contest->rows[i], to);
	return ret;
}

/* ---- JSON ---- */

static void put_double(struct json_object *to, const char *key, double value)
{
	put(to, key, json_object_new_double(value));
}

static void put_machine(struct json_object *root, const struct contest *contest)
{
	struct json_object *machine = result_machine();
	const struct contest_options *options = contest->options;

	put_text(machine, "cpu_usage_from", usage_name(contest->usage));
	put_double(machine, "tsc_khz", 1e6 / contest->ns_per_cycle);
	if (options->cpu_client >= 0) {
		struct json_object *pinning = put_object(machine, "pinning");

		put_number(pinning, "client", (uint64_t)options->cpu_client);
		put_number(pinning, "server", (uint64_t)options->cpu_server);
	}
	put(root, "machine", machine);
}

static void put_config(struct json_object *root, const struct contest_options *options)
{
	struct json_object *config = put_object(root, "config");

	put_number(config, "rounds", options->rounds);
	put_number(config, "count", options->count);
	put_text(config, "wait", options->wait_text ? options->wait_text : "default");
	if (options->is_throughput) {
		put_number(config, "depth", options->depth);
		put_number(config, "mix_read_percent", options->read_percent);
	}
}

static int put_ratio(struct json_object *to, const struct contest *contest,
		     const struct contest_row *row)
{
	const struct contest_row *rival = contest_rival(contest, row);
	struct json_object *object;
	struct interval interval;
	int ret;

	if (!rival)
		return 0;
	ret = contest_compare(row, rival, &interval);
	if (ret)
		return ret;
	object = put_object(to, "ratio");
	put_text(object, "to", rival->peer->options.name);
	put_double(object, "ratio", interval.ratio);
	if (!isinf(interval.high)) {
		put_double(object, "low", interval.low);
		put_double(object, "high", interval.high);
	}
	put_text(object, "verdict",
		 verdict_name(interval_verdict(&interval, contest->options->is_throughput, 0)));
	return 0;
}

static int put_row(struct json_object *to, const struct contest *contest,
		   const struct contest_row *row)
{
	const struct contender_options *peer = &row->peer->options;

	put_text(to, "peer", peer->name);
	put_text(to, "access", row->access->name);
	put_number(to, "size_bytes", row->where.size);
	put_text(to, "client", peer->kind->name);
	if (peer->address || peer->command)
		put_text(to, peer->address ? "connect" : "start",
			 peer->address ? peer->address : peer->command);
	put_number(to, "region", row->where.region);
	put_number(to, "offset", row->where.offset);
	result_put_series(to, unit(contest), &row->values);
	put_number(to, "accesses", row->accesses);
	if (row->has_counted)
		put_number(to, "counted", row->counted);
	if (row->has_server_usage) {
		put_double(to, "server_cpu_ns_per_op", per_access(row, row->server.cpu_ns));
		put_double(to, "server_switches_per_op", per_access(row, row->server.switches));
	}
	put_double(to, "client_cpu_ns_per_op", per_access(row, row->client.cpu_ns));
	put_double(to, "client_switches_per_op", per_access(row, row->client.switches));
	return put_ratio(to, contest, row);
}

struct json_object *contest_json(const struct contest *contest)
{
	const struct contest_options *options = contest->options;
	struct json_object *root = result_new(options->is_throughput ? "throughput" : "rtt",
					      options->argc, options->argv);
	struct json_object *rows;
	int ret = 0;

	put_machine(root, contest);
	put_config(root, options);
	rows = put_array(root, "rows");
	for (unsigned int i = 0; i < contest->nr_rows && !ret; i++)
		ret = put_row(append(rows), contest, &contest->rows[i]);
	if (!ret)
		ret = result_put_findings(root, findings, contest);
	if (!ret)
		return root;
	json_object_put(root);
	return NULL;
}
