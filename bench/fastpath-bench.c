/* SPDX-License-Identifier: BSD-3-Clause */
/* fastpath-bench: what an access to a device costs: by every road, and by every server. */
#include <string.h>

#include "commands.h"
#include "log.h"

static const struct {
	const char *name;
	int (*main)(int argc, char **argv);
} commands[] = {
	{ "rtt", rtt_main },
	{ "throughput", throughput_main },
	{ "compare", compare_main },
	{ "report", report_main },
};

int main(int argc, char **argv)
{
	log_set_name("fastpath-bench");
	for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(*commands); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].main(argc, argv);
	return roads_main(argc, argv);
}
