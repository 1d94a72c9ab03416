/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * commands: what fastpath-bench can be told to do by its first word. Each takes the whole command
 * line and returns the exit status.
 */
#ifndef BENCH_COMMANDS_H
#define BENCH_COMMANDS_H

/* Without such a word: what a guest's access costs by each road. */
int roads_main(int argc, char **argv);

/* What one access to each of several servers costs, and how many each of them can do. */
int rtt_main(int argc, char **argv);
int throughput_main(int argc, char **argv);

/* What has become faster or slower between two result files. */
int compare_main(int argc, char **argv);

/* Results again, as a table or a page. */
int report_main(int argc, char **argv);

#endif
