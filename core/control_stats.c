/* SPDX-License-Identifier: BSD-3-Clause */
/* What was counted: of the workers' rings, and of devices, in all and since their client came. */
#include "control_request.h"

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
	const struct ring_stats *stats = ring_stats(ring);
	struct json_object *one = append(array(request, "workers"));

	put_number(one, "worker", request->worker);
	put_wait(one, ring);
	put_number(one, "turns", stats->turns);
	put_number(one, "enters", stats->enters);
	put_number(one, "sends", stats->sends);
	put_number(one, "completions", stats->completions);
	put_number(one, "spin_hits", stats->spin_hits);
	put_number(one, "spin_misses", stats->spin_misses);
	put_number(one, "spin_denied", stats->spin_denied);
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
		put_number(one, "reads", region->reads);
		put_number(one, "writes", region->writes);
		put_number(one, "rings_by_message", region->rings_by_message);
		put_number(one, "rings_by_eventfd", region->rings_by_eventfd);
		put_number(one, "by_ioregionfd", region->by_ioregionfd);
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
	put_number(object, "answers", stats->answers);
	put_number(object, "replies", stats->replies);
	put_number(object, "errors", stats->errors);
	put_number(object, "refused", stats->refused);
	put_number(object, "asked", stats->asked);
	put_number(object, "bytes_in", stats->bytes_in);
	put_number(object, "bytes_out", stats->bytes_out);
	put_number(object, "fds_in", stats->fds_in);
	put_number(object, "fds_out", stats->fds_out);
	put_number(object, "resets", stats->resets);
	put_regions(object, stats);
	put_irqs(object, stats);
}

int control_stats(struct control_request *request, struct served *served)
{
	struct json_object *one = append(array(request, "devices"));
	const struct stats *all = &served_device(served)->stats;
	struct stats since = stats_since(all, served_before(served));

	put_text(one, "name", served_options(served)->name);
	put_number(one, "clients", all->clients);
	put_stats(put_object(one, "all"), all);
	if (served_session(served))
		put_stats(put_object(one, "client"), &since);
	return 0;
}
