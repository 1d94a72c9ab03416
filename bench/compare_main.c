/* SPDX-License-Identifier: BSD-3-Clause */
/* fastpath-bench compare A.json B.json */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

#include "commands.h"
#include "compare.h"
#include "log.h"
#include "option.h"

/* Exit status when the files can't be compared fairly, and when something has become slower. */
#define EXIT_UNFAIR 2
#define EXIT_SLOWER 3

#define DEFAULT_MARGIN 3 /* percent */

enum {
	OPT_MARGIN = 256,
	OPT_ANYWAY,
	OPT_HELP,
};

static const struct option long_options[] = {
	{ "margin", required_argument, NULL, OPT_MARGIN },
	{ "anyway", no_argument, NULL, OPT_ANYWAY },
	{ "help", no_argument, NULL, OPT_HELP },
	{ 0 },
};

static void usage(void)
{
	printf("Usage: fastpath-bench compare [options] A.json B.json\n"
	       "What has become faster or slower from A to B, results of any other command.\n\n"
	       "  --margin PERCENT  what differs by less is noise (%d)\n"
	       "  --anyway          also when machine or configuration differ\n\n"
	       "Exit status: 0; 1 when something failed; 2 when machine or configuration differ;\n"
	       "3 when something is slower.\n",
	       DEFAULT_MARGIN);
}

/* 0; 1 when there is nothing left to do; -EINVAL. */
static int parse(struct compare *compare, bool *anyway, int argc, char **argv)
{
	unsigned long margin;
	int opt;

	optind = 2; /* behind the command */
	while ((opt = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (opt) {
		case OPT_MARGIN:
			if (option_number("--margin", optarg, 0, 99, &margin))
				return -EINVAL;
			compare->margin = (double)margin / 100;
			break;
		case OPT_ANYWAY:
			*anyway = true;
			break;
		case OPT_HELP:
			usage();
			return 1;
		default:
			fprintf(stderr, "Try 'fastpath-bench compare --help'.\n");
			return -EINVAL;
		}
	}
	if (argc - optind != 2) {
		log_error("compare: wants two files, A.json and B.json");
		return -EINVAL;
	}
	compare->paths[0] = argv[optind];
	compare->paths[1] = argv[optind + 1];
	return 0;
}

static int run(struct compare *compare, bool anyway)
{
	if (compare_open(compare))
		return EXIT_FAILURE;
	if (!compare_is_fair(compare) && !anyway) {
		log_error("these can't be compared, or only with --anyway");
		return EXIT_UNFAIR;
	}
	if (compare_print(compare, stdout))
		return EXIT_FAILURE;
	return compare->verdicts[VERDICT_SLOWER] ? EXIT_SLOWER : EXIT_SUCCESS;
}

int compare_main(int argc, char **argv)
{
	struct compare compare = { .margin = DEFAULT_MARGIN / 100.0 };
	bool anyway = false;
	int ret = parse(&compare, &anyway, argc, argv);

	if (!ret)
		ret = run(&compare, anyway);
	else
		ret = ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	compare_close(&compare);
	return ret;
}
