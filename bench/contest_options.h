/* SPDX-License-Identifier: BSD-3-Clause */
/* contest_options: the command lines of `fastpath-bench rtt` and `throughput`. */
#ifndef BENCH_CONTEST_OPTIONS_H
#define BENCH_CONTEST_OPTIONS_H

#include "contest.h"

/*
 * Reads the command line from argv[2] on, is_throughput being set. 0; 1 when there is nothing left
 * to do; -EINVAL, said to the log. The peers' names point into argv, which is written to.
 */
int contest_options_parse(struct contest_options *options, int argc, char **argv);

#endif
