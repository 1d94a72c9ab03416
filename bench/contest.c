/* SPDX-License-Identifier: BSD-3-Clause */
#include "contest.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "log.h"
#include "measure.h"
#include "terminal.h"

/* At the start of each round so many accesses are made and not measured. */
#define WARM_UP 16u

/* Before a round: who was awake goes to sleep. After it: a spinning server's CPU time is known then. */
#define PAUSE_US 3000

const struct contest_access contest_accesses[] = {
	{ .name = "read", .read_percent = 100 },
	{ .name = "write" },
	{ .name = "posted", .posted = true, .only_streams = true },
	{ .name = "mix", .only_streams = true },
};
const unsigned int contest_nr_accesses = sizeof(contest_accesses) / sizeof(*contest_accesses);

/* ---- life ---- */

static void add_row(struct contest *contest, struct contender *peer, unsigned int kind,
		    unsigned int size)
{
	const struct contest_access *access = &contest_accesses[kind];
	struct contest_row *row = &contest->rows[contest->nr_rows++];
	bool is_mix = !strcmp(access->name, "mix");

	row->peer = peer;
	row->access = access;
	row->where = (struct link_access){
		.region = peer->region,
		.offset = peer->offset,
		.size = size,
		.read_percent = is_mix ? contest->options->read_percent : access->read_percent,
		.posted = access->posted,
	};
}

static int make_rows(struct contest *contest)
{
	const struct contest_options *options = contest->options;
	unsigned int nr_kinds = contest_nr_accesses * 4 * options->nr_peers;

	contest->rows = calloc(nr_kinds, sizeof(*contest->rows));
	if (!contest->rows)
		return -ENOMEM;
	for (unsigned int kind = 0; kind < contest_nr_accesses; kind++)
		for (unsigned int size = 1; size <= 8; size *= 2)
			for (unsigned int i = 0; i < options->nr_peers; i++)
				if (options->accesses & 1u << kind && options->sizes & size)
					add_row(contest, &contest->peers[i], kind, size);
	return 0;
}

int contest_open(const struct contest_options *options, struct contest *contest)
{
	struct clock clock;
	int ret;

	*contest = (struct contest){ .options = options, .random = measure_now() | 1 };
	clock_calibrate(&clock);
	contest->ns_per_cycle = clock.ns_per_cycle;
	ret = usage_open(&contest->usage);
	for (unsigned int i = 0; i < options->nr_peers && !ret; i++)
		ret = contender_open(&options->peers[i], &options->wait, options->cpu_server,
				     &contest->peers[i]);
	if (!ret)
		ret = make_rows(contest);
	place_self(options->cpu_client);
	return ret;
}

void contest_close(struct contest *contest)
{
	for (unsigned int i = 0; i < contest->nr_rows; i++)
		series_free(&contest->rows[i].values);
	free(contest->rows);
	for (unsigned int i = 0; i < contest->options->nr_peers; i++)
		contender_close(&contest->peers[i]);
	usage_close(contest->usage);
}

/* ---- a round of a row ---- */

struct snapshot {
	struct usage server;
	struct usage client;
	uint64_t counted;
};

static void look_at_thread(struct usage *usage)
{
	struct rusage rusage;
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	getrusage(RUSAGE_THREAD, &rusage);
	usage->cpu_ns = (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
	usage->switches = (uint64_t)(rusage.ru_nvcsw + rusage.ru_nivcsw);
}

static void count(struct contest_row *row, struct snapshot *snapshot)
{
	uint64_t reads = 0;
	uint64_t writes = 0;

	row->has_counted = contender_count(row->peer, &reads, &writes);
	snapshot->counted = reads + writes;
}

static void look_before(struct contest *contest, struct contest_row *row, struct snapshot *snapshot)
{
	count(row, snapshot);
	usleep(PAUSE_US);
	row->has_server_usage =
		row->peer->pid && !usage_read(contest->usage, row->peer->pid, &snapshot->server);
	look_at_thread(&snapshot->client);
}

static void look_after(struct contest *contest, struct contest_row *row, struct snapshot *snapshot)
{
	look_at_thread(&snapshot->client);
	usleep(PAUSE_US);
	if (row->has_server_usage && usage_read(contest->usage, row->peer->pid, &snapshot->server))
		row->has_server_usage = false;
	count(row, snapshot);
}

static int one_by_one(struct contest *contest, struct contest_row *row, unsigned int nr)
{
	const struct link_kind *kind = row->peer->options.kind;
	bool is_read = row->where.read_percent;
	int ret = 0;

	for (uint64_t i = 0; i < nr && !ret; i++) {
		uint64_t value = i;
		uint64_t before = measure_now();

		ret = is_read ? kind->read(row->peer->link, &row->where, &value) :
				kind->write(row->peer->link, &row->where, &value);
		if (!ret && i >= WARM_UP)
			ret = series_add(&row->values,
					 (double)(measure_now() - before) * contest->ns_per_cycle);
	}
	return ret;
}

static int streamed(struct contest *contest, struct contest_row *row, unsigned int nr)
{
	uint64_t before = measure_now();
	int ret = row->peer->options.kind->stream(row->peer->link, &row->where, nr,
						  contest->options->depth);
	double ns = (double)(measure_now() - before) * contest->ns_per_cycle;

	return ret ? ret : series_add(&row->values, nr / ns * 1e9);
}

static int measure_row(struct contest *contest, struct contest_row *row)
{
	struct snapshot before = { 0 }, after = { 0 };
	unsigned int nr = contest->options->count;
	int ret;

	if (!contest->options->is_throughput)
		nr += WARM_UP;
	look_before(contest, row, &before);
	ret = contest->options->is_throughput ? streamed(contest, row, nr) :
						one_by_one(contest, row, nr);
	if (!ret)
		ret = series_mark(&row->values);
	if (ret)
		return ret;
	look_after(contest, row, &after);
	row->accesses += nr + row->where.posted; /* and the read behind */
	row->counted += after.counted - before.counted;
	if (row->has_server_usage) {
		row->server.cpu_ns += after.server.cpu_ns - before.server.cpu_ns;
		row->server.switches += after.server.switches - before.server.switches;
	}
	row->client.cpu_ns += after.client.cpu_ns - before.client.cpu_ns;
	row->client.switches += after.client.switches - before.client.switches;
	return 0;
}

/* ---- rounds ---- */

static uint64_t next_random(struct contest *contest)
{
	contest->random ^= contest->random << 13;
	contest->random ^= contest->random >> 7;
	contest->random ^= contest->random << 17;
	return contest->random;
}

static void shuffle(struct contest *contest, unsigned int *order)
{
	for (unsigned int i = contest->nr_rows; i > 1; i--) {
		unsigned int j = (unsigned int)(next_random(contest) % i);
		unsigned int at = order[i - 1];

		order[i - 1] = order[j];
		order[j] = at;
	}
}

static int check_counts(const struct contest *contest)
{
	int ret = 0;

	for (unsigned int i = 0; i < contest->nr_rows; i++) {
		const struct contest_row *row = &contest->rows[i];

		if (!row->has_counted || row->counted == row->accesses)
			continue;
		log_error("%s %s of %u: %llu accesses were made, %llu counted",
			  row->peer->options.name, row->access->name, row->where.size,
			  (unsigned long long)row->accesses, (unsigned long long)row->counted);
		ret = -EPIPE;
	}
	return ret;
}

int contest_run(struct contest *contest)
{
	CLEANUP_FREE unsigned int *order = calloc(contest->nr_rows, sizeof(*order));

	if (!order)
		return -ENOMEM;
	for (unsigned int i = 0; i < contest->nr_rows; i++)
		order[i] = i;
	for (unsigned int round = 0; round < contest->options->rounds; round++) {
		shuffle(contest, order);
		for (unsigned int i = 0; i < contest->nr_rows; i++) {
			struct contest_row *row = &contest->rows[order[i]];
			int ret = measure_row(contest, row);

			if (!ret)
				continue;
			log_error("%s: %s of %u in round %u: %s", row->peer->options.name,
				  row->access->name, row->where.size, round + 1,
				  ret == -ECONNRESET ? "the server is gone" : strerror(-ret));
			return ret;
		}
		terminal_progress(round + 1, contest->options->rounds);
	}
	for (unsigned int i = 0; i < contest->nr_rows; i++)
		series_sort(&contest->rows[i].values);
	return check_counts(contest);
}

/* ---- comparing ---- */

const struct contest_row *contest_rival(const struct contest *contest,
					const struct contest_row *row)
{
	for (unsigned int i = 0; i < contest->nr_rows; i++) {
		const struct contest_row *rival = &contest->rows[i];

		if (rival->peer == &contest->peers[0] && rival->access == row->access &&
		    rival->where.size == row->where.size)
			return rival == row ? NULL : rival;
	}
	return NULL;
}

static double *medians_of(const struct series *series)
{
	double *medians = calloc(series->nr_marks + 1, sizeof(*medians));

	for (size_t i = 0; medians && i < series->nr_marks; i++)
		medians[i] = series->marks[i].median;
	return medians;
}

int contest_compare(const struct contest_row *row, const struct contest_row *rival,
		    struct interval *interval)
{
	CLEANUP_FREE double *a = medians_of(&row->values);
	CLEANUP_FREE double *b = medians_of(&rival->values);
	size_t nr = row->values.nr_marks;

	if (!a || !b)
		return -ENOMEM;
	return interval_paired(a, b, nr, interval);
}
