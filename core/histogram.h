/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * histogram: how often values of what size came. Any thread may add; 4 KiB, and no more with time.
 *
 * A bucket is an eighth of a power of two wide: what is told of a value is true within 12.5 %.
 */
#ifndef FASTPATH_HISTOGRAM_H
#define FASTPATH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_EIGHTHS 3
#define HISTOGRAM_BUCKETS ((64u - HISTOGRAM_EIGHTHS + 1) << HISTOGRAM_EIGHTHS)

struct histogram {
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* Below 8 each value has a bucket of its own. */
static inline unsigned int histogram_bucket(uint64_t value)
{
	unsigned int power;

	if (value < 1u << HISTOGRAM_EIGHTHS)
		return (unsigned int)value;
	power = 63u - (unsigned int)__builtin_clzll(value) - HISTOGRAM_EIGHTHS;
	return (power << HISTOGRAM_EIGHTHS) + (unsigned int)(value >> power);
}

static inline void histogram_add(struct histogram *histogram, uint64_t value)
{
	__atomic_fetch_add(&histogram->buckets[histogram_bucket(value)], 1, __ATOMIC_RELAXED);
}

/* The same, by the only thread that ever adds to it: without a locked instruction. */
static inline void histogram_add_alone(struct histogram *histogram, uint64_t value)
{
	uint64_t *bucket = &histogram->buckets[histogram_bucket(value)];

	__atomic_store_n(bucket, __atomic_load_n(bucket, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
}

/* The largest value that goes into it. */
uint64_t histogram_end_of(unsigned int bucket);

/* How many values there are. */
uint64_t histogram_count(const struct histogram *histogram);

/* The value that `percent` of all are not above, or up to 12.5 % more; 0 when there are none. */
uint64_t histogram_percentile(const struct histogram *histogram, double percent);

/* Adds those of another. */
void histogram_merge(struct histogram *histogram, const struct histogram *other);

#endif
