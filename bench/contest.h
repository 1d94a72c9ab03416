/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * contest: several servers, the same accesses to each, in interleaved rounds; and what came of it.
 */
#ifndef BENCH_CONTEST_H
#define BENCH_CONTEST_H

#include <stdio.h>

#include "contender.h"
#include "interval.h"
#include "outputs.h"
#include "series.h"

#define CONTEST_MAX 16u

/* A kind of access, as --access has it. */
struct contest_access {
	const char *name;
	unsigned int read_percent;
	bool posted;
	bool only_streams; /* it makes no sense one by one */
};

extern const struct contest_access contest_accesses[];
extern const unsigned int contest_nr_accesses;

struct contest_options {
	bool is_throughput; /* else round trips, one by one */
	unsigned int rounds;
	unsigned int count;	   /* accesses of each row in each round */
	unsigned int depth;	   /* of a stream */
	unsigned int read_percent; /* of "mix" */
	unsigned int sizes;	   /* a bit for each: 1, 2, 4 and 8 bytes are their own bits */
	unsigned int accesses;	   /* a bit for each of contest_accesses[] */
	struct fpc_wait wait;
	const char *wait_text; /* NULL: the client's default */
	int cpu_client;	       /* negative: nobody is moved */
	int cpu_server;
	struct contender_options peers[CONTEST_MAX];
	unsigned int nr_peers;
	struct outputs outputs;
	int argc;
	char **argv;
};

struct contest_row {
	struct contender *peer;
	const struct contest_access *access;
	struct link_access where;
	/*
	 * What was measured, and the median of each round: nanoseconds of every round trip, or accesses
	 * in a second of every round.
	 */
	struct series values;
	uint64_t accesses; /* warm-up included */
	bool has_counted;
	uint64_t counted; /* at the other end */
	bool has_server_usage;
	struct usage server;
	struct usage client;
};

struct contest {
	const struct contest_options *options;
	struct contender peers[CONTEST_MAX];
	struct contest_row *rows;
	unsigned int nr_rows;
	struct usage_source *usage;
	double ns_per_cycle;
	uint64_t random; /* the state of its generator */
};

/* contest_close() is due also on failure, which is said to the log. */
int contest_open(const struct contest_options *options, struct contest *contest);

/* All rounds. A server that dies, and accesses that were lost, are failures said to the log. */
int contest_run(struct contest *contest);

void contest_close(struct contest *contest);

/* The row of the first peer that `row` is to be compared with; NULL: it is that itself. */
const struct contest_row *contest_rival(const struct contest *contest,
					const struct contest_row *row);

/* How `row` compares with `rival`, by what the rounds that both had say. */
int contest_compare(const struct contest_row *row, const struct contest_row *rival,
		    struct interval *interval);

/* JSON, as docs/benchmarking.md describes it; json_object_put() is its end. NULL: no memory. */
struct json_object *contest_json(const struct contest *contest);

#endif
