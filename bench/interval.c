/* SPDX-License-Identifier: BSD-3-Clause */
#include "interval.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "cleanup.h"

/* Of the normal distribution: 2.5 % lie above. */
#define Z 1.959964

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The median of sorted ratios, and the k-th from either end; k is 0 when there is none. */
static void read_ranks(const double *ratios, size_t nr, size_t k, struct interval *out)
{
	*out = (struct interval){
		.ratio = (ratios[(nr - 1) / 2] + ratios[nr / 2]) / 2,
		.low = k ? ratios[k - 1] : 0,
		.high = k ? ratios[nr - k] : INFINITY,
	};
}

/* The largest k for which at most 2.5 % of `nr` throws of a coin have less than k heads. */
static size_t sign_rank(size_t nr)
{
	double chance = exp2(-(double)nr); /* of exactly k heads */
	double sum = chance;
	size_t k = 0;

	if (nr > 1000) /* where 2^-nr is 0 the normal distribution is as good */
		return (size_t)((double)nr / 2 - Z * sqrt((double)nr) / 2);
	while (sum <= 0.025) {
		chance *= (double)(nr - k) / (double)(k + 1);
		sum += chance;
		k++;
	}
	return k;
}

int interval_paired(const double *a, const double *b, size_t nr, struct interval *out)
{
	CLEANUP_FREE double *ratios = NULL;

	if (!nr)
		return -ENODATA;
	ratios = calloc(nr, sizeof(*ratios));
	if (!ratios)
		return -ENOMEM;
	for (size_t i = 0; i < nr; i++)
		ratios[i] = a[i] / b[i];
	qsort(ratios, nr, sizeof(*ratios), compare);
	read_ranks(ratios, nr, sign_rank(nr), out);
	return 0;
}

/* Likewise for two samples, by the normal distribution: that is close from 4 each on. */
static size_t mann_whitney_rank(size_t nr_a, size_t nr_b)
{
	double product = (double)nr_a * (double)nr_b;
	double k = product / 2 - Z * sqrt(product * (double)(nr_a + nr_b + 1) / 12);

	return nr_a < 4 || nr_b < 4 || k < 1 ? 0 : (size_t)k;
}

int interval_unpaired(const double *a, size_t nr_a, const double *b, size_t nr_b,
		      struct interval *out)
{
	size_t nr = nr_a * nr_b;
	CLEANUP_FREE double *ratios = NULL;

	if (!nr)
		return -ENODATA;
	ratios = calloc(nr, sizeof(*ratios));
	if (!ratios)
		return -ENOMEM;
	for (size_t i = 0; i < nr; i++)
		ratios[i] = a[i / nr_b] / b[i % nr_b];
	qsort(ratios, nr, sizeof(*ratios), compare);
	read_ranks(ratios, nr, mann_whitney_rank(nr_a, nr_b), out);
	return 0;
}

enum verdict interval_verdict(const struct interval *interval, bool more_is_faster, double margin)
{
	if (isinf(interval->high))
		return VERDICT_TOO_FEW;
	if (interval->low > 1 + margin)
		return more_is_faster ? VERDICT_FASTER : VERDICT_SLOWER;
	if (interval->high < 1 - margin)
		return more_is_faster ? VERDICT_SLOWER : VERDICT_FASTER;
	return VERDICT_NOISE;
}

const char *verdict_name(enum verdict verdict)
{
	static const char *const names[] = {
		[VERDICT_FASTER] = "faster",
		[VERDICT_SLOWER] = "slower",
		[VERDICT_NOISE] = "inside noise",
		[VERDICT_TOO_FEW] = "too few rounds",
	};

	return names[verdict];
}
