/* SPDX-License-Identifier: BSD-3-Clause */
/* fastpath-bench rtt and throughput: several servers beside each other in one run. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "contest_options.h"
#include "log.h"
#include "result_file.h"

static int print_json(const void *contest, FILE *to)
{
	return contest_json(contest, to);
}

static int print_csv(const void *contest, FILE *to)
{
	return contest_csv(contest, to);
}

static bool is_stdout(const char *path)
{
	return path && !strcmp(path, "-");
}

static int report(const struct contest *contest)
{
	const struct contest_options *options = contest->options;
	bool taken = is_stdout(options->json) || is_stdout(options->csv);
	int ret = contest_text(contest, taken ? stderr : stdout);

	if (ret)
		log_error("%s", strerror(-ret));
	if (!ret && options->json)
		ret = result_write(options->json, print_json, contest);
	if (!ret && options->csv)
		ret = result_write(options->csv, print_csv, contest);
	return ret;
}

/* Takes a copy of the command line: parsing it cuts it to pieces. */
static int run(bool is_throughput, int argc, char **argv)
{
	struct contest_options options = { .is_throughput = is_throughput };
	char **given = calloc((size_t)argc + 1, sizeof(*given));
	struct contest contest;
	int ret;

	for (int i = 0; given && i < argc; i++)
		given[i] = strdup(argv[i]);
	ret = contest_options_parse(&options, argc, argv);
	options.argv = given ? given : argv;
	if (!ret) {
		ret = contest_open(&options, &contest);
		log_set_level(LOG_ERROR); /* that a server is gone is told once, with its name */
		if (!ret)
			ret = contest_run(&contest);
		if (!ret)
			ret = report(&contest);
		contest_close(&contest);
	}
	for (int i = 0; given && i < argc; i++)
		free(given[i]);
	free(given);
	return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int rtt_main(int argc, char **argv)
{
	return run(false, argc, argv);
}

int throughput_main(int argc, char **argv)
{
	return run(true, argc, argv);
}
