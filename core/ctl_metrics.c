/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What `stats` says as OpenMetrics text, version 1.0. Numbers are from the server's reply and names
 * from stats_rows, so that what is counted has one list. All of a family stands together.
 */
#include <inttypes.h>
#include <stdio.h>

#include "ctl.h"
#include "stats_rows.h"

/* Bounds of buckets: powers of two, which the server's buckets have among theirs; ns. */
#define FIRST_BOUND 7u
#define LAST_BOUND 30u

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

static const char *name_of(struct json_object *device)
{
	const char *name = json_object_get_string(member(device, "name"));

	return name ? name : "";
}

static size_t length(struct json_object *array)
{
	return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

static void print_head(const char *metric, const char *type, const char *unit, const char *help)
{
	printf("# HELP fastpath_%s %s.\n# TYPE fastpath_%s %s\n", metric, help, metric, type);
	if (unit)
		printf("# UNIT fastpath_%s %s\n", metric, unit);
}

/* Names of devices are letters, digits, '.', '_' and '-': nothing has to be escaped. */
static void print_worker(const struct stats_row *row, struct json_object *worker)
{
	printf("fastpath_%s_total{worker=\"%" PRIu64 "\"} %" PRIu64 "\n", row->metric,
	       number(worker, "worker"), number(worker, row->key));
}

static void print_device(const struct stats_row *row, struct json_object *device)
{
	printf("fastpath_%s_total{device=\"%s\"} %" PRIu64 "\n", row->metric, name_of(device),
	       number(member(device, "all"), row->key));
}

static void print_regions(const struct stats_row *row, struct json_object *device)
{
	struct json_object *regions = member(member(device, "all"), "regions");

	for (size_t i = 0; i < length(regions); i++) {
		struct json_object *region = json_object_array_get_idx(regions, i);

		printf("fastpath_%s_total{device=\"%s\",region=\"%" PRIu64 "\"} %" PRIu64 "\n",
		       row->metric, name_of(device), number(region, "index"),
		       number(region, row->key));
	}
}

static void print_families(const struct stats_row *rows, struct json_object *array,
			   void (*print)(const struct stats_row *row, struct json_object *object))
{
	for (; rows->key; rows++) {
		print_head(rows->metric, "counter", rows->unit, rows->help);
		for (size_t i = 0; i < length(array); i++)
			print(rows, json_object_array_get_idx(array, i));
	}
}

/* Counters that have a name each: an object of numbers, `key`, one label. */
static void print_named(struct json_object *devices, const char *key, const char *metric,
			const char *label, const char *help)
{
	print_head(metric, "counter", NULL, help);
	for (size_t i = 0; i < length(devices); i++) {
		struct json_object *device = json_object_array_get_idx(devices, i);
		struct json_object *named = member(member(device, "all"), key);

		if (!json_object_is_type(named, json_type_object))
			continue;
		json_object_object_foreach(named, name, value)
			printf("fastpath_%s_total{device=\"%s\",%s=\"%s\"} %" PRIu64 "\n", metric,
			       name_of(device), label, name, json_object_get_uint64(value));
	}
}

static void print_clients(struct json_object *devices)
{
	print_head("clients", "counter", NULL, "Clients that have come");
	for (size_t i = 0; i < length(devices); i++) {
		struct json_object *device = json_object_array_get_idx(devices, i);

		printf("fastpath_clients_total{device=\"%s\"} %" PRIu64 "\n", name_of(device),
		       number(device, "clients"));
	}
	print_head("connected", "gauge", NULL, "Whether the device has a client");
	for (size_t i = 0; i < length(devices); i++) {
		struct json_object *device = json_object_array_get_idx(devices, i);

		printf("fastpath_connected{device=\"%s\"} %d\n", name_of(device),
		       member(device, "client") != NULL);
	}
}

/* How many are in buckets that end below `ns`. */
static uint64_t count_below(struct json_object *latency, uint64_t ns)
{
	struct json_object *buckets = member(latency, "buckets");
	uint64_t sum = 0;

	for (size_t i = 0; i < length(buckets); i++) {
		struct json_object *pair = json_object_array_get_idx(buckets, i);

		if (length(pair) == 2 &&
		    json_object_get_uint64(json_object_array_get_idx(pair, 0)) < ns)
			sum += json_object_get_uint64(json_object_array_get_idx(pair, 1));
	}
	return sum;
}

static void print_latency(const char *device, struct json_object *latency)
{
	const char *road = json_object_get_string(member(latency, "road"));
	char labels[160];

	snprintf(labels, sizeof(labels), "device=\"%s\",region=\"%" PRIu64 "\",road=\"%s\"", device,
		 number(latency, "region"), road ? road : "");
	for (unsigned int power = FIRST_BOUND; power <= LAST_BOUND; power++)
		printf("fastpath_handler_seconds_bucket{%s,le=\"%u.%09u\"} %" PRIu64 "\n", labels,
		       (1u << power) / 1000000000u, (1u << power) % 1000000000u,
		       count_below(latency, 1u << power));
	printf("fastpath_handler_seconds_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n", labels,
	       number(latency, "count"));
	printf("fastpath_handler_seconds_count{%s} %" PRIu64 "\n", labels,
	       number(latency, "count"));
	printf("fastpath_handler_seconds_sum{%s} %" PRIu64 ".%09" PRIu64 "\n", labels,
	       number(latency, "sum_ns") / 1000000000u, number(latency, "sum_ns") % 1000000000u);
}

static void print_latencies(struct json_object *devices)
{
	print_head("handler_seconds", "histogram", "seconds",
		   "From the call of a device's handler to its answer");
	for (size_t i = 0; i < length(devices); i++) {
		struct json_object *device = json_object_array_get_idx(devices, i);
		struct json_object *all = member(device, "latency");

		for (size_t n = 0; n < length(all); n++)
			print_latency(name_of(device), json_object_array_get_idx(all, n));
	}
}

void ctl_print_metrics(struct json_object *reply)
{
	struct json_object *devices = member(reply, "devices");

	print_families(stats_worker_rows, member(reply, "workers"), print_worker);
	print_clients(devices);
	print_families(stats_device_rows, devices, print_device);
	print_named(devices, "commands", "commands", "command", "Commands of the client");
	print_named(devices, "irqs", "irqs", "kind", "Interrupts signalled to the client");
	print_families(stats_region_rows, devices, print_regions);
	print_latencies(devices);
	printf("# EOF\n");
}
