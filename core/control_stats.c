/* SPDX-License-Identifier: BSD-3-Clause */
/* What was counted: of the workers' rings, and of devices, in all and since their client came. */
#include "control_request.h"
#include "stats_rows.h"

static struct json_object *array(struct control_request *request, const char *key)
{
	struct json_object *found;

	return json_object_object_get_ex(request->reply, key, &found) ?
		       found :
		       put_array(request->reply, key);
}

static void put_wait(struct json_object *object, const struct ring *ring)
{
	char text[32];

	ring_wait_format(ring_wait_policy(ring), text, sizeof(text));
	put_text(object, "wait", text);
}

int control_stats_worker(struct control_request *request, struct worker *worker)
{
	const struct ring *ring = worker_ring(worker);
	struct json_object *one = append(array(request, "workers"));

	put_number(one, "worker", request->worker);
	put_wait(one, ring);
	stats_rows_put(stats_worker_rows, ring_stats(ring), one);
	put_number(one, "spins_ns", ring_spins_ns(ring));
	return 0;
}

static void put_commands(struct json_object *object, const struct stats *stats)
{
	struct json_object *commands = put_object(object, "commands");

	for (unsigned int i = 1; i < WIRE_CMD_END; i++)
		if (stats->commands[i])
			put_number(commands, wire_cmd_name(i), stats->commands[i]);
	if (stats->commands[0])
		put_number(commands, "unknown", stats->commands[0]);
}

static void put_regions(struct json_object *object, const struct stats *stats)
{
	struct json_object *regions = put_array(object, "regions");

	for (unsigned int i = 0; i < FP_MAX_REGIONS; i++) {
		const struct stats_region *region = &stats->regions[i];
		struct json_object *one;

		if (!(region->reads | region->writes | region->rings_by_message |
		      region->rings_by_eventfd | region->by_ioregionfd))
			continue;
		one = append(regions);
		put_number(one, "index", i);
		stats_rows_put(stats_region_rows, region, one);
	}
}

static void put_irqs(struct json_object *object, const struct stats *stats)
{
	struct json_object *irqs = put_object(object, "irqs");

	for (unsigned int i = 0; i < FP_NR_IRQS; i++)
		if (stats->irqs[i])
			put_number(irqs, control_irq_names[i], stats->irqs[i]);
}

static void put_stats(struct json_object *object, const struct stats *stats)
{
	put_commands(object, stats);
	stats_rows_put(stats_device_rows, stats, object);
	put_regions(object, stats);
	put_irqs(object, stats);
}

/* [the largest ns that goes into it, how many] for each bucket that has some. */
static void put_buckets(struct json_object *object, const struct histogram *histogram)
{
	struct json_object *buckets = put_array(object, "buckets");

	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS; i++) {
		struct json_object *pair;

		if (!histogram->buckets[i])
			continue;
		pair = json_object_new_array();
		json_object_array_add(pair, json_object_new_uint64(histogram_end_of(i)));
		json_object_array_add(pair, json_object_new_uint64(histogram->buckets[i]));
		json_object_array_add(buckets, pair);
	}
}

static void put_latencies(struct json_object *object, const struct latencies *latencies)
{
	struct json_object *all = put_array(object, "latency");

	for (uint32_t i = 0; i < FP_MAX_REGIONS * NR_ROADS; i++) {
		enum road road = (enum road)(i % NR_ROADS);
		const struct latency *latency = latency_of(latencies, i / NR_ROADS, road);
		struct json_object *one;

		if (!latency)
			continue;
		one = append(all);
		put_number(one, "region", i / NR_ROADS);
		put_text(one, "road", road_names[road]);
		put_number(one, "count", histogram_count(&latency->histogram));
		put_number(one, "sum_ns", latency->sum_ns);
		put_number(one, "p50_ns", histogram_percentile(&latency->histogram, 50));
		put_number(one, "p99_ns", histogram_percentile(&latency->histogram, 99));
		put_buckets(one, &latency->histogram);
	}
}

int control_stats(struct control_request *request, struct served *served)
{
	struct json_object *one = append(array(request, "devices"));
	const struct stats *all = &served_device(served)->stats;
	struct stats since = stats_since(all, served_before(served));

	put_text(one, "name", served_options(served)->name);
	put_number(one, "clients", all->clients);
	put_stats(put_object(one, "all"), all);
	put_latencies(one, &served_device(served)->latencies);
	if (served_session(served))
		put_stats(put_object(one, "client"), &since);
	return 0;
}
