/* SPDX-License-Identifier: BSD-3-Clause */
/* series: measured values, and what they come to. */
#ifndef BENCH_SERIES_H
#define BENCH_SERIES_H

#include <stddef.h>

struct series_mark {
	double median;
	double p99;
};

struct series {
	double *values;
	size_t nr;
	size_t room;
	/* Of each part that was ended with series_mark(): how much it varies in a run. */
	struct series_mark *marks;
	size_t nr_marks;
	size_t marked; /* values before this belong to earlier parts */
};

/* -ENOMEM. */
int series_add(struct series *series, double value);

/* Ends a part, which becomes a mark. Nothing when it is empty. -ENOMEM. */
int series_mark(struct series *series);

/* To be called before the functions below, after the last series_add(). The marks stay in order. */
void series_sort(struct series *series);

/* The value that `percent` of all are not above (nearest rank); 0 for an empty series. */
double series_percentile(const struct series *series, double percent);

double series_mean(const struct series *series);
double series_stddev(const struct series *series);

void series_free(struct series *series);

#endif
