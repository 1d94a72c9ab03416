/* SPDX-License-Identifier: GPL-2.0-only */
/* What a histogram says of the values that it was given. */
#include "histogram.h"

#include <pthread.h>
#include <string.h>

#include "kselftest_harness.h"

FIXTURE(histogram) {
	struct histogram times;
};

FIXTURE_SETUP(histogram)
{
	memset(&self->times, 0, sizeof(self->times));
}

FIXTURE_TEARDOWN(histogram)
{
}

TEST_F(histogram, of_no_values_all_is_0)
{
	EXPECT_EQ(0, histogram_count(&self->times));
	EXPECT_EQ(0, histogram_percentile(&self->times, 50));
}

TEST_F(histogram, a_value_is_told_within_an_eighth_and_never_too_low)
{
	for (unsigned int bit = 0; bit < 64; bit++)
		for (uint64_t sixteenth = 0; sixteenth < 16; sixteenth++) {
			uint64_t value = 1ull << bit | (bit < 4 ? 0 : sixteenth << (bit - 4));
			struct histogram one = { 0 };
			uint64_t told;

			histogram_add(&one, value);
			told = histogram_percentile(&one, 50);
			ASSERT_LE(value, told);
			ASSERT_LE(told - value, value / 8);
		}
}

TEST_F(histogram, the_extremes_have_a_bucket)
{
	histogram_add(&self->times, 0);
	EXPECT_EQ(0, histogram_percentile(&self->times, 100));
	histogram_add(&self->times, UINT64_MAX);
	EXPECT_EQ(UINT64_MAX, histogram_percentile(&self->times, 100));
	EXPECT_EQ(2, histogram_count(&self->times));
}

TEST_F(histogram, percentiles_go_by_rank)
{
	for (int i = 0; i < 98; i++)
		histogram_add(&self->times, 5);
	histogram_add(&self->times, 6);
	histogram_add(&self->times, 7);
	EXPECT_EQ(5, histogram_percentile(&self->times, 50));
	EXPECT_EQ(5, histogram_percentile(&self->times, 98));
	EXPECT_EQ(6, histogram_percentile(&self->times, 99));
	EXPECT_EQ(7, histogram_percentile(&self->times, 99.5));
}

TEST_F(histogram, two_are_merged_into_the_sum)
{
	struct histogram other = { 0 };

	histogram_add(&self->times, 3);
	histogram_add(&other, 3);
	histogram_add(&other, 1000000);
	histogram_merge(&self->times, &other);
	EXPECT_EQ(3, histogram_count(&self->times));
	EXPECT_EQ(3, histogram_percentile(&self->times, 60));
	EXPECT_EQ(2, histogram_count(&other));
}

static void *add_many(void *histogram)
{
	for (int i = 0; i < 100000; i++)
		histogram_add(histogram, (uint64_t)i % 16);
	return NULL;
}

TEST_F(histogram, threads_that_add_at_the_same_time_lose_nothing)
{
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, add_many, &self->times));
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	EXPECT_EQ(200000, histogram_count(&self->times));
}

TEST_HARNESS_MAIN
