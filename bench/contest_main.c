/* SPDX-License-Identifier: BSD-3-Clause */
/* fastpath-bench rtt and throughput: several servers beside each other in one run. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "contest_options.h"
#include "log.h"

static int report(const struct contest *contest, struct outputs *outputs)
{
	struct result result = { .root = contest_json(contest) };
	int ret = result.root ? result_open(&result, result.root, "the result") : -ENOMEM;

	if (!ret)
		ret = outputs_write(outputs, &result, 1);
	else if (ret == -ENOMEM)
		log_error("%s", strerror(ENOMEM));
	result_close(&result);
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
	if (!ret)
		ret = outputs_open(&options.outputs);
	if (!ret) {
		ret = contest_open(&options, &contest);
		log_set_level(LOG_ERROR); /* that a server is gone is told once, with its name */
		if (!ret)
			ret = contest_run(&contest);
		if (!ret)
			ret = report(&contest, &options.outputs);
		contest_close(&contest);
	}
	outputs_close(&options.outputs);
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
