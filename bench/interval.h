/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * interval: how two things that were measured in rounds compare: a ratio, and between what it lies
 * with a confidence of 95 %. By ranks, so without a guess at how measured values are distributed.
 */
#ifndef BENCH_INTERVAL_H
#define BENCH_INTERVAL_H

#include <stdbool.h>
#include <stddef.h>

struct interval {
	double ratio;
	double low, high; /* 0 and infinity when there are too few rounds */
};

/*
 * Of rounds that had both: the median of a[i] / b[i], by the sign test. Six rounds are the least.
 * -ENOMEM, -ENODATA for none.
 */
int interval_paired(const double *a, const double *b, size_t nr, struct interval *out);

/*
 * Of two runs: the median of all a[i] / b[j], by the test of Mann and Whitney. Four rounds each are
 * the least. -ENOMEM, -ENODATA.
 */
int interval_unpaired(const double *a, size_t nr_a, const double *b, size_t nr_b,
		      struct interval *out);

enum verdict {
	VERDICT_FASTER,
	VERDICT_SLOWER,
	VERDICT_NOISE,
	VERDICT_TOO_FEW, /* rounds, to say anything */
};

/*
 * Of the ratio of a to b, of values of which less is faster, or more: whether all of the interval is
 * further than `margin` from 1.
 */
enum verdict interval_verdict(const struct interval *interval, bool more_is_faster, double margin);

/* As people read it. */
const char *verdict_name(enum verdict verdict);

#endif
