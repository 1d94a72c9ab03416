/* SPDX-License-Identifier: BSD-3-Clause */
/* option: values that several commands' options have. What is wrong is said to the log: -EINVAL. */
#ifndef BENCH_OPTION_H
#define BENCH_OPTION_H

/* A number from `min` to `max`. */
int option_number(const char *option, const char *text, unsigned long min, unsigned long max,
		  unsigned long *value);

/* Two CPUs that we may use; `wants` names them, as "GUEST,SERVER". */
int option_cpus(const char *text, const char *wants, int *first, int *second);

#endif
