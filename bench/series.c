/* SPDX-License-Identifier: BSD-3-Clause */
#include "series.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

static int append(double **values, size_t *nr, size_t *room, double value)
{
	if (*nr == *room) {
		size_t wanted = *room ? 2 * *room : 64;
		double *grown = reallocarray(*values, wanted, sizeof(**values));

		if (!grown)
			return -ENOMEM;
		*values = grown;
		*room = wanted;
	}
	(*values)[(*nr)++] = value;
	return 0;
}

int series_add(struct series *series, double value)
{
	return append(&series->values, &series->nr, &series->room, value);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

int series_mark(struct series *series)
{
	size_t nr = series->nr - series->marked;
	CLEANUP_FREE double *part = NULL;
	struct series_mark *grown;

	if (!nr)
		return 0;
	part = malloc(nr * sizeof(*part));
	grown = reallocarray(series->marks, series->nr_marks + 1, sizeof(*grown));
	if (grown)
		series->marks = grown;
	if (!part || !grown)
		return -ENOMEM;
	memcpy(part, series->values + series->marked, nr * sizeof(*part));
	qsort(part, nr, sizeof(*part), compare);
	series->marks[series->nr_marks++] = (struct series_mark){
		.median = part[(nr - 1) / 2],
		.p99 = part[(nr * 99 + 99) / 100 - 1],
	};
	series->marked = series->nr;
	/* cppcheck-suppress memleak ; it does not know CLEANUP_FREE */
	return 0;
}

void series_sort(struct series *series)
{
	if (series->nr)
		qsort(series->values, series->nr, sizeof(*series->values), compare);
}

double series_percentile(const struct series *series, double percent)
{
	size_t rank = (size_t)ceil(percent / 100 * (double)series->nr);

	if (!series->nr)
		return 0;
	return series->values[rank ? rank - 1 : 0];
}

double series_mean(const struct series *series)
{
	double sum = 0;

	for (size_t i = 0; i < series->nr; i++)
		sum += series->values[i];
	return series->nr ? sum / (double)series->nr : 0;
}

double series_stddev(const struct series *series)
{
	double mean = series_mean(series);
	double sum = 0;

	for (size_t i = 0; i < series->nr; i++)
		sum += (series->values[i] - mean) * (series->values[i] - mean);
	return series->nr > 1 ? sqrt(sum / (double)(series->nr - 1)) : 0;
}

void series_free(struct series *series)
{
	free(series->values);
	free(series->marks);
	*series = (struct series){ 0 };
}
