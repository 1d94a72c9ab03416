/* SPDX-License-Identifier: BSD-3-Clause */
/* Without a command: what an access to a device costs, by every road that this host has. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "ladder.h"
#include "log.h"
#include "option.h"
#include "outputs.h"
#include "place.h"
#include "terminal.h"

/* Exit status when a road that was asked for by name can't be measured here. */
#define EXIT_SKIPPED 4

#define DEFAULT_OPS 10000
#define DEFAULT_REPEAT 200
#define FLOOD_REPEAT 20 /* a round is to have a 99th percentile */
#define MAX_OPS 10000000

struct options {
	struct rig_options rig;
	struct road_place place;
	unsigned int ops;    /* of each road */
	unsigned int repeat; /* 0: not given */
	char *names;	     /* roads, by commas; NULL: all */
	struct outputs outputs;
};

enum {
	OPT_CONNECT = 256,
	OPT_TARGET,
	OPT_OPS,
	OPT_REPEAT,
	OPT_CPUS,
	OPT_ROADS,
	OPT_NO_KVM,
	OPT_FLOOD,
	OPT_HELP,
	OPT_VERSION,
};

static const struct option long_options[] = {
	{ "connect", required_argument, NULL, OPT_CONNECT },
	{ "target", required_argument, NULL, OPT_TARGET },
	{ "ops", required_argument, NULL, OPT_OPS },
	{ "repeat", required_argument, NULL, OPT_REPEAT },
	{ "cpus", required_argument, NULL, OPT_CPUS },
	{ "roads", required_argument, NULL, OPT_ROADS },
	OUTPUTS_OPTIONS,
	{ "no-kvm", no_argument, NULL, OPT_NO_KVM },
	{ "flood", optional_argument, NULL, OPT_FLOOD },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ 0 },
};

static void print_roads(FILE *to)
{
	for (unsigned int i = 0; i < nr_roads; i++)
		fprintf(to, "  %-10s %-10s %-7s %s\n", roads[i].name, roads[i].op, roads[i].server,
			roads[i].what);
}

static void usage(FILE *to)
{
	fprintf(to,
		"Usage: fastpath-bench [options]\n"
		"       fastpath-bench rtt|throughput|compare|report ... (--help says more)\n"
		"Measures what a guest's access to a device costs, by socket and by fd.\n"
		"Starts fastpathd and a guest by itself.\n\n"
		"  --connect SOCKET    measure this vfio-user server instead of our own\n"
		"  --target BAR:OFFSET:WIDTH\n"
		"                      where to access a device that is no testdev\n"
		"  --ops N             accesses by each road (10000)\n"
		"  --repeat N          in so many rounds, each with all roads (200)\n"
		"  --cpus GUEST,SERVER where they run (the first two CPUs)\n"
		"  --roads ROAD,...    only these\n"
		"  --no-kvm            measure from the host, as where /dev/kvm can't be opened\n"
		"  --flood[=posted|large|multi]\n"
		"                      the socket's roads, with and without another client that\n"
		"                      floods another device of the same thread (in 20 rounds)\n"
		"  --help, --version\n\n"
		"What comes of it:\n");
	outputs_usage(to, 22);
	fprintf(to,
		"\nExit status: 0; 1 when something failed; 4 when a road asked for by --roads\n"
		"can't be measured here.\n\n"
		"Roads, their operations, and the server's state:\n");
	print_roads(to);
}

static int parse_target(const char *text, struct road_place *place)
{
	unsigned long long offset;
	char rest;

	if (sscanf(text, "%u:%lli:%u%c", &place->bar, (long long *)&offset, &place->width, &rest) ==
		    3 &&
	    place->bar < VFIO_PCI_NR_BARS && place->width && place->width <= 8 &&
	    !(place->width & (place->width - 1))) {
		place->offset = (uint64_t)offset;
		place->is_given = true;
		return 0;
	}
	log_error("--target %s: wants BAR:OFFSET:WIDTH, as 0:0x10:4", text);
	return -EINVAL;
}

static int parse_roads(const char *text, char **names)
{
	char *copy = strdup(text);
	char *at = copy;
	char *name;

	*names = strdup(text);
	while ((name = strsep(&at, ",")))
		if (!road_exists(name)) {
			log_error("--roads %s: there is no road '%s'; there are:", text, name);
			print_roads(stderr);
			free(copy);
			return -EINVAL;
		}
	free(copy);
	return 0;
}

static int parse_flood(const char *text, struct options *options)
{
	options->rig.flood = flood_kind(text ? text : "posted");
	if (options->rig.flood)
		return 0;
	log_error("--flood=%s: wants posted, large or multi", text);
	return -EINVAL;
}

/* 0; 1 when there is nothing left to do; -errno. */
static int parse_one(struct options *options, int opt)
{
	int ret = outputs_option(&options->outputs, opt, optarg);
	unsigned long number;

	if (ret)
		return ret < 0 ? ret : 0;
	switch (opt) {
	case OPT_CONNECT:
		options->rig.connect = optarg;
		return 0;
	case OPT_TARGET:
		return parse_target(optarg, &options->place);
	case OPT_OPS:
		if (option_number("--ops", optarg, 1, MAX_OPS, &number))
			return -EINVAL;
		options->ops = (unsigned int)number;
		return 0;
	case OPT_REPEAT:
		if (option_number("--repeat", optarg, 1, 100000, &number))
			return -EINVAL;
		options->repeat = (unsigned int)number;
		return 0;
	case OPT_CPUS:
		return option_cpus(optarg, "GUEST,SERVER", &options->rig.cpu_guest,
				   &options->rig.cpu_server);
	case OPT_ROADS:
		return parse_roads(optarg, &options->names);
	case OPT_NO_KVM:
		options->rig.no_kvm = true;
		return 0;
	case OPT_FLOOD:
		return parse_flood(optarg, options);
	case OPT_HELP:
		usage(stdout);
		return 1;
	case OPT_VERSION:
		printf("fastpath-bench (fastpath %s)\n", FASTPATH_VERSION);
		return 1;
	default:
		fprintf(stderr, "Try 'fastpath-bench --help'.\n");
		return -EINVAL;
	}
}

/* Rounds are of a size that a job can hold, and at least one. */
static void fit_rounds(struct options *options)
{
	unsigned int most = JOB_MAX_SAMPLES / 2;

	if (!options->repeat)
		options->repeat = options->rig.flood ? FLOOD_REPEAT : DEFAULT_REPEAT;
	if (options->repeat > options->ops)
		options->repeat = options->ops;
	if (options->ops / options->repeat > most)
		options->repeat = (options->ops + most - 1) / most;
}

static int parse(struct options *options, int argc, char **argv)
{
	int ret = 0;
	int opt;

	place_default(&options->rig.cpu_guest, &options->rig.cpu_server);
	while (!ret && (opt = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		ret = parse_one(options, opt);
	if (!ret && optind < argc) {
		log_error("'%s': not an option; try --help", argv[optind]);
		ret = -EINVAL;
	}
	if (!ret && options->rig.flood && options->rig.connect) {
		log_error("--flood is for servers of our own, not for --connect");
		ret = -EINVAL;
	}
	if (!ret && options->rig.flood && !options->names)
		options->names = strdup("socket");
	if (!ret && options->place.is_given && !options->rig.connect) {
		log_error("--target is for the server of --connect, and there is none");
		ret = -EINVAL;
	}
	fit_rounds(options);
	return ret;
}

/* ---- measuring ---- */

static bool is_wanted(const char *names, const char *name)
{
	size_t len = strlen(name);

	if (!names)
		return true;
	for (const char *at = names; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (!strncmp(at, name, len) && (!at[len] || at[len] == ','))
			return true;
	}
	return false;
}

/* Every round has all roads, each round begins with another: what drifts, drifts for all. */
static int measure_rounds(const struct options *options, struct rig *rig, struct row *rows,
			  unsigned int nr_rows)
{
	int ret = 0;

	for (unsigned int round = 0; round < options->repeat && !ret; round++) {
		/* What does not divide evenly is spread over the rounds. */
		unsigned int count =
			options->ops / options->repeat + (round < options->ops % options->repeat);

		for (unsigned int i = 0; i < nr_rows && !ret; i++) {
			struct row *row = &rows[(round + i) % nr_rows];

			if (row->skip)
				continue;
			usleep(3000); /* a server that was awake goes to sleep */
			ret = row_measure(row, rig, count);
		}
		terminal_progress(round + 1, options->repeat);
	}
	return ret;
}

/*
 * KVM counts what it hands to user space for stores to memory. For ports it counts every
 * exit of the CPU, also those that it answers itself: that can only be more.
 */
static void check_exits(const struct row *rows, unsigned int nr_rows)
{
	for (unsigned int i = 0; i < nr_rows; i++) {
		const struct row *row = &rows[i];

		if (row->skip || !row->has_kvm_stats || row->kvm_exits == row->exits ||
		    (row->road.job_op == JOB_OUT && row->kvm_exits > row->exits))
			continue;
		log_warn("%s %s: KVM_RUN returned %llu times, KVM counted %llu", row->road.name,
			 row->road.op, (unsigned long long)row->exits,
			 (unsigned long long)row->kvm_exits);
	}
}

static int check_sum(const struct row *row)
{
	if (!tally_has_sum(&row->road) || row->counted.sum == row->sum)
		return 0;
	log_error("%s %s: values that add up to %llu were stored, and %llu came", row->road.name,
		  row->road.op, (unsigned long long)row->sum, (unsigned long long)row->counted.sum);
	return -EPIPE;
}

/* Every access must have been counted once at its other end, with its value where that comes along. */
static int check_counts(const struct row *rows, unsigned int nr_rows)
{
	int ret = 0;

	for (unsigned int i = 0; i < nr_rows; i++) {
		const struct row *row = &rows[i];

		if (row->skip || row->road.counter == ROAD_COUNTS_NOTHING ||
		    (row->counted.times == row->accesses && !check_sum(row)))
			continue;
		if (row->counted.times != row->accesses)
			log_error("%s %s: %llu accesses were made, %llu counted", row->road.name,
				  row->road.op, (unsigned long long)row->accesses,
				  (unsigned long long)row->counted.times);
		ret = -EPIPE;
	}
	return ret;
}

static int report(const struct ladder *ladder, struct outputs *outputs)
{
	struct result result = { .root = ladder_json(ladder) };
	int ret = result.root ? result_open(&result, result.root, "the result") : -ENOMEM;

	if (!ret)
		ret = outputs_write(outputs, &result, 1);
	else if (ret == -ENOMEM)
		log_error("%s", strerror(ENOMEM));
	result_close(&result);
	return ret;
}

/* Whether a road that was asked for by name could not be measured in any of its rows. */
static bool is_short(const struct options *options, const struct ladder *ladder)
{
	for (unsigned int i = 0; options->names && i < ladder->nr_rows; i++) {
		bool any = false;

		for (unsigned int j = 0; j < ladder->nr_rows; j++)
			any |= !ladder->rows[j].skip &&
			       !strcmp(ladder->rows[i].road.name, ladder->rows[j].road.name);
		if (!any)
			return true;
	}
	return false;
}

static void add_row(struct ladder *ladder, const struct road *road, const struct options *options,
		    struct rig *rig)
{
	struct row *row = &ladder->rows[ladder->nr_rows++];

	row_init(row, road, rig, &options->place);
	if (!options->rig.flood)
		return;
	row_init(row + 1, road, rig, &options->place);
	if (row_flood(row + 1))
		ladder->nr_rows++;
}

/* EXIT_SUCCESS, EXIT_FAILURE or EXIT_SKIPPED. */
static int run(struct options *options, struct rig *rig, struct ladder *ladder)
{
	int ret;

	for (unsigned int i = 0; i < nr_roads; i++)
		if (is_wanted(options->names, roads[i].name))
			add_row(ladder, &roads[i], options, rig);
	ret = measure_rounds(options, rig, ladder->rows, ladder->nr_rows);
	if (!ret)
		ret = check_counts(ladder->rows, ladder->nr_rows);
	check_exits(ladder->rows, ladder->nr_rows);
	for (unsigned int i = 0; i < ladder->nr_rows; i++) {
		series_sort(&ladder->rows[i].guest_ns);
		series_sort(&ladder->rows[i].notify_ns);
		series_sort(&ladder->rows[i].rtt_ns);
	}
	if (!ret)
		ret = report(ladder, &options->outputs);
	if (ret)
		return EXIT_FAILURE;
	return is_short(options, ladder) ? EXIT_SKIPPED : EXIT_SUCCESS;
}

int roads_main(int argc, char **argv)
{
	struct options options = { .ops = DEFAULT_OPS };
	struct ladder ladder = { .argc = argc, .argv = argv };
	struct rig *rig = NULL;
	int ret;

	ret = parse(&options, argc, argv);
	if (ret) {
		free(options.names);
		return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	ladder.rows = calloc(2ul * nr_roads, sizeof(*ladder.rows));
	ret = EXIT_FAILURE;
	if (!outputs_open(&options.outputs) && ladder.rows && !rig_open(&options.rig, &rig)) {
		ladder.rig = rig;
		ret = run(&options, rig, &ladder);
	}
	rig_close(rig);
	outputs_close(&options.outputs);
	for (unsigned int i = 0; i < ladder.nr_rows; i++)
		row_free(&ladder.rows[i]);
	free(ladder.rows);
	free(options.names);
	return ret;
}
