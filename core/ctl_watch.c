/* SPDX-License-Identifier: BSD-3-Clause */
/* Two replies of `stats`, and what has happened in between: rates, and percentiles of handlers. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ctl.h"
#include "histogram.h"

static struct json_object *member(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(object, key, &value);
	return value;
}

static uint64_t number(struct json_object *object, const char *key)
{
	return json_object_get_uint64(member(object, key));
}

static const char *text(struct json_object *object, const char *key)
{
	const char *value = json_object_get_string(member(object, key));

	return value ? value : "";
}

static size_t length(struct json_object *array)
{
	return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

/* The one of an array that has these members as `of` has them; NULL: it is new. */
static struct json_object *same(struct json_object *array, struct json_object *of, const char *a,
				const char *b)
{
	for (size_t i = 0; i < length(array); i++) {
		struct json_object *one = json_object_array_get_idx(array, i);

		if (!strcmp(text(one, a), text(of, a)) && !strcmp(text(one, b), text(of, b)))
			return one;
	}
	return NULL;
}

static double rate(struct json_object *now, struct json_object *then, const char *key,
		   double seconds)
{
	return (double)(number(now, key) - number(then, key)) / seconds;
}

static double sum(struct json_object *numbers)
{
	double all = 0;

	if (!json_object_is_type(numbers, json_type_object))
		return 0;
	json_object_object_foreach(numbers, key, value) {
		(void)key;
		all += json_object_get_double(value);
	}
	return all;
}

static double sum_rate(struct json_object *now, struct json_object *then, const char *key,
		       double seconds)
{
	return (sum(member(now, key)) - sum(member(then, key))) / seconds;
}

static void take_buckets(struct histogram *histogram, struct json_object *latency, uint64_t sign)
{
	struct json_object *buckets = member(latency, "buckets");

	for (size_t i = 0; i < length(buckets); i++) {
		struct json_object *pair = json_object_array_get_idx(buckets, i);
		uint64_t end;

		if (length(pair) != 2)
			continue;
		end = json_object_get_uint64(json_object_array_get_idx(pair, 0));
		histogram->buckets[histogram_bucket(end)] +=
			sign * json_object_get_uint64(json_object_array_get_idx(pair, 1));
	}
}

static void print_latency(struct json_object *now, struct json_object *then, double seconds)
{
	struct histogram between = { 0 };

	take_buckets(&between, now, 1);
	take_buckets(&between, then, UINT64_MAX); /* less */
	if (!histogram_count(&between))
		return;
	printf("  region %s by %s: %.0f calls/s, p50 %" PRIu64 " ns, p99 %" PRIu64 " ns",
	       text(now, "region"), text(now, "road"), (double)histogram_count(&between) / seconds,
	       histogram_percentile(&between, 50), histogram_percentile(&between, 99));
}

static void print_device(const char *head, struct json_object *now, struct json_object *then,
			 double seconds)
{
	struct json_object *all = member(now, "all");
	struct json_object *before = member(then, "all");
	struct json_object *latencies = member(now, "latency");

	printf("%s%s: %.0f messages/s, %.0f bytes/s in, %.0f out, %.0f interrupts/s\n", head,
	       text(now, "name"), sum_rate(all, before, "commands", seconds),
	       rate(all, before, "bytes_in", seconds), rate(all, before, "bytes_out", seconds),
	       sum_rate(all, before, "irqs", seconds));
	for (size_t i = 0; i < length(latencies); i++) {
		struct json_object *one = json_object_array_get_idx(latencies, i);
		struct json_object *old = same(member(then, "latency"), one, "region", "road");

		if (number(one, "count") == number(old, "count"))
			continue;
		printf("%s%s:", head, text(now, "name"));
		print_latency(one, old, seconds);
		printf("\n");
	}
}

void ctl_print_rates(struct json_object *now, struct json_object *then, double seconds,
		     bool is_screen)
{
	struct json_object *workers = member(now, "workers");
	struct json_object *devices = member(now, "devices");
	time_t clock = time(NULL);
	char head[16] = "";
	struct tm tm;

	localtime_r(&clock, &tm);
	strftime(head, sizeof(head), "%H:%M:%S ", &tm);
	if (is_screen) {
		printf("\033[H\033[J%s every %.1f s, ^C ends\n\n", head, seconds);
		*head = '\0';
	}
	for (size_t i = 0; i < length(workers); i++) {
		struct json_object *one = json_object_array_get_idx(workers, i);
		struct json_object *old = same(member(then, "workers"), one, "worker", "worker");

		printf("%sworker %s: %.0f enters/s, %.0f completions/s\n", head,
		       text(one, "worker"), rate(one, old, "enters", seconds),
		       rate(one, old, "completions", seconds));
	}
	for (size_t i = 0; i < length(devices); i++) {
		struct json_object *one = json_object_array_get_idx(devices, i);

		print_device(head, one, same(member(then, "devices"), one, "name", "name"),
			     seconds);
	}
}
