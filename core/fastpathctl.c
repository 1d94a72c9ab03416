/* SPDX-License-Identifier: BSD-3-Clause */
/* fastpathctl: looks at vfio-user servers from outside, and runs a fastpathd by its control socket. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "log.h"
#include "probe.h"

#ifndef FASTPATH_VERSION
#define FASTPATH_VERSION "unversioned"
#endif

/* A sub-command: argv[0] is its name. Returns the exit status, having said what is wrong. */
struct command {
	const char *name;
	const char *args;
	const char *summary;
	int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
	{ "probe", "SOCKET [--json] [--timeout MS]", "what is this server? Changes nothing there.",
	  probe_main },
	{ "list", "CONTROL", "the devices, and whether they have a client", ctl_main },
	{ "show", "CONTROL DEVICE", "what a device is, has, and what its client has set up",
	  ctl_main },
	{ "stats", "CONTROL [DEVICE] [--watch[=SECONDS]]", "what was counted", ctl_main },
	{ "metrics", "CONTROL [DEVICE]", "the same as OpenMetrics, for Prometheus", ctl_main },
	{ "reset", "CONTROL DEVICE", "DEVICE_RESET, once nothing is in flight", ctl_main },
	{ "detach", "CONTROL DEVICE",
	  "end its client's connection; the device's state stays, the next client is served",
	  ctl_main },
	{ "watch", "CONTROL [DEVICE]", "what happens, a line each, until ^C", ctl_main },
	{ "set", "CONTROL [DEVICE] KEY=VALUE",
	  "wait=block or wait=spin=MICROSECONDS, of a device's worker or of all;\n"
	  "      log-level=error, warn, info or debug",
	  ctl_main },
	{ "trace", "CONTROL DEVICE [--output FILE]", "every message, decoded, until ^C", ctl_main },
};

#define NR_COMMANDS (sizeof(commands) / sizeof(*commands))

static void usage(FILE *to)
{
	fprintf(to, "Usage: fastpathctl COMMAND [args]\n"
		    "Looks at vfio-user servers, by SOCKET, and at a fastpathd from inside, by\n"
		    "what it was given as --control=CONTROL.\n\n");
	for (size_t i = 0; i < NR_COMMANDS; i++)
		fprintf(to, "  %s %s\n      %s\n", commands[i].name, commands[i].args,
			commands[i].summary);
	fprintf(to,
		"  --help, --version\n\n"
		"COMMAND --help lists a command's options; all have --json and --timeout MS.\n");
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : NULL;

	log_set_name("fastpathctl");
	if (!name) {
		log_error("no command given; try --help");
		return EXIT_FAILURE;
	}
	if (!strcmp(name, "--help")) {
		usage(stdout);
		return EXIT_SUCCESS;
	}
	if (!strcmp(name, "--version")) {
		printf("fastpathctl (fastpath %s)\n", FASTPATH_VERSION);
		return EXIT_SUCCESS;
	}
	for (size_t i = 0; i < NR_COMMANDS; i++)
		if (!strcmp(name, commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	log_error("'%s': no such %s; try --help", name, *name == '-' ? "option" : "command");
	return EXIT_FAILURE;
}
