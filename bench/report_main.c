/* SPDX-License-Identifier: BSD-3-Clause */
/* fastpath-bench report RESULT.json... */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

#include "commands.h"
#include "log.h"
#include "outputs.h"

#define MAX_RESULTS 16

enum {
	OPT_HELP = 256,
};

static const struct option long_options[] = {
	OUTPUTS_OPTIONS,
	{ "help", no_argument, NULL, OPT_HELP },
	{ 0 },
};

static void usage(void)
{
	printf("Usage: fastpath-bench report [options] RESULT.json...\n"
	       "Results of any command, shown again: as a table, or as a page for all of them.\n"
	       "- is the standard input.\n\n");
	outputs_usage(stdout, 25);
	printf("\nExit status: 0, or 1 when something failed.\n");
}

/* 0; 1 when there is nothing left to do; -EINVAL. */
static int parse(struct outputs *outputs, int argc, char **argv)
{
	int opt;

	optind = 2; /* behind the command */
	while ((opt = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		int ret = outputs_option(outputs, opt, optarg);

		if (ret < 0)
			return ret;
		if (ret)
			continue;
		if (opt == OPT_HELP) {
			usage();
			return 1;
		}
		fprintf(stderr, "Try 'fastpath-bench report --help'.\n");
		return -EINVAL;
	}
	if (optind < argc && argc - optind <= MAX_RESULTS)
		return 0;
	log_error("report wants 1 to %u results; try --help", MAX_RESULTS);
	return -EINVAL;
}

int report_main(int argc, char **argv)
{
	struct result results[MAX_RESULTS] = { 0 };
	struct outputs outputs = { 0 };
	unsigned int nr = 0;
	int ret = parse(&outputs, argc, argv);

	if (ret > 0)
		return EXIT_SUCCESS;
	for (int i = optind; i < argc && !ret; i++) {
		ret = result_read(&results[nr], argv[i]);
		results[nr].number = nr;
		nr++;
	}
	if (!ret)
		ret = outputs_open(&outputs);
	if (!ret)
		ret = outputs_write(&outputs, results, nr);
	outputs_close(&outputs);
	while (nr)
		result_close(&results[--nr]);
	return ret ? EXIT_FAILURE : EXIT_SUCCESS;
}
