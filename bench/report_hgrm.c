/* SPDX-License-Identifier: BSD-3-Clause */
/* HdrHistogram's percentile distributions, as its tools print and plot them. */
#include <errno.h>
#include <math.h>

#include "report.h"

static int print(const struct result_series *series, FILE *to)
{
	fprintf(to, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount",
		"1/(1-Percentile)");
	for (size_t i = 0; i < series->nr_curve; i++) {
		const struct result_point *point = &series->curve[i];
		double share = point->percent / 100;
		double rank = ceil(share * (double)series->nr);

		fprintf(to, "%12.3f %2.12f %10.0f", point->value, share, rank > 1 ? rank : 1);
		if (share < 1)
			fprintf(to, " %14.2f", 1 / (1 - share));
		fputc('\n', to);
	}
	fprintf(to, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", series->mean, series->stddev);
	fprintf(to, "#[Max     = %12.3f, Total count    = %12zu]\n", series->max, series->nr);
	fprintf(to, "#[Buckets = %12d, SubBuckets     = %12d]\n", 0, 0);
	return ferror(to) ? -EIO : 0;
}

static int write_one(const struct result_row *row, const char *part,
		     const struct result_series *series, int dir)
{
	FILE *to;
	int ret;

	if (!series->nr_curve)
		return 0;
	to = report_open_at(dir, row, part, "hgrm");
	if (!to)
		return -errno;
	ret = print(series, to);
	return fclose(to) && !ret ? -EIO : ret;
}

int report_hgrm(const struct result *result, int dir)
{
	const char *cost = result->is_roads	  ? "guest_ns" :
			   result->more_is_better ? "accesses_per_s" :
						    "rtt_ns";
	bool has_any = false;
	int ret = 0;

	for (unsigned int i = 0; i < result->nr_rows && !ret; i++) {
		const struct result_row *row = &result->rows[i];

		has_any |= row->cost.nr_curve;
		ret = write_one(row, cost, &row->cost, dir);
		if (!ret)
			ret = write_one(row, "notify_ns", &row->notify, dir);
	}
	return ret || has_any ? ret : -ENODATA;
}
