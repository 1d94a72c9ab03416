/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * result: what a run came to, read from its JSON, be that of a file or just made. What all reports
 * are drawn from. Texts are the JSON's; a number that is not there is NAN.
 */
#ifndef BENCH_RESULT_H
#define BENCH_RESULT_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

struct result_point {
	double percent;
	double value;
};

struct result_series {
	size_t nr; /* 0: it was not measured */
	double min, max, mean, stddev;
	double p50, p90, p99, p999;
	struct result_point *curve; /* by HdrHistogram's steps, the last one at 100 % */
	size_t nr_curve;
	double *rounds; /* the median of each */
	size_t nr_rounds;
};

struct result_row {
	/* Of roads: road, op, server. Of several servers: peer, access, client. */
	const char *road, *op, *server;
	char name[64];	/* within its group */
	char group[64]; /* what can be compared at a glance */
	char panel[64]; /* the chart that its curves are in, */
	char line[64];	/* and as what */
	bool is_road;
	const char *what, *can, *guest;
	const char *skip; /* why it was not measured; NULL: it was */
	unsigned int size_bytes;
	bool is_batch;		   /* one of several in a message, whose notify is of them all */
	struct result_series cost; /* guest_ns, rtt_ns or accesses_per_s */
	struct result_series notify, rtt;
	double n, accesses, exits, server_cpu, server_switches, client_cpu, client_switches;
	/* To the first server; verdict is NULL where there is no comparison. */
	const char *ratio_to, *verdict;
	double ratio, ratio_low, ratio_high;
};

struct result {
	struct json_object *root;
	unsigned int number; /* among those of a page, from 0 */
	const char *mode;    /* "roads", "rtt" or "throughput" */
	bool is_roads;
	bool more_is_better; /* cost is accesses_per_s */
	struct result_row *rows;
	unsigned int nr_rows;
	const char **findings; /* sentences */
	unsigned int nr_findings;
};

/*
 * Takes the root, which result_close() puts, also after a failure. `name` is for what is wrong with
 * it, which is said to the log, with the member: -EINVAL. -ENOMEM.
 */
int result_open(struct result *result, struct json_object *root, const char *name);

/* Reads a file. "-" is the standard input. */
int result_read(struct result *result, const char *path);

void result_close(struct result *result);

/* The row of a road in the same state of the server; NULL when it was not measured. */
const struct result_row *result_find(const struct result *result, const char *road, const char *op,
				     const char *server);

/* Of the rounds' medians; NAN when there are none. */
double result_rounds_percentile(const struct result_series *series, double percent);

/* A member anywhere, by json_pointer, as text; NULL when it is not there. Valid as long as the root. */
const char *result_text_at(const struct result *result, const char *path);

#endif
