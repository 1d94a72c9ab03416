/* SPDX-License-Identifier: BSD-3-Clause */
#include "histogram.h"

static uint64_t in_bucket(const struct histogram *histogram, unsigned int i)
{
	return __atomic_load_n(&histogram->buckets[i], __ATOMIC_RELAXED);
}

uint64_t histogram_end_of(unsigned int bucket)
{
	unsigned int power = bucket >> HISTOGRAM_EIGHTHS;
	uint64_t eighth = (bucket & ((1u << HISTOGRAM_EIGHTHS) - 1)) + (1u << HISTOGRAM_EIGHTHS);

	if (!power)
		return bucket;
	/* Of the last bucket this is 2^64 - 1, by wrapping. */
	return ((eighth + 1) << (power - 1)) - 1;
}

uint64_t histogram_count(const struct histogram *histogram)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS; i++)
		sum += in_bucket(histogram, i);
	return sum;
}

uint64_t histogram_percentile(const struct histogram *histogram, double percent)
{
	double wanted = percent / 100 * (double)histogram_count(histogram);
	unsigned int last = 0;
	uint64_t seen = 0;

	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS && (!seen || (double)seen < wanted); i++) {
		seen += in_bucket(histogram, i);
		last = i;
	}
	return seen ? histogram_end_of(last) : 0;
}

void histogram_merge(struct histogram *histogram, const struct histogram *other)
{
	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS; i++)
		histogram->buckets[i] += in_bucket(other, i);
}
