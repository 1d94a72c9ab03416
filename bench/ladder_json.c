/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "ladder.h"
#include "result_file.h"
#include "vm.h"

static void put_string(struct json_object *to, const char *name, const char *value)
{
	json_object_object_add(to, name, json_object_new_string(value));
}

static void put_number(struct json_object *to, const char *name, double value)
{
	json_object_object_add(to, name, json_object_new_double(value));
}

static void put_count(struct json_object *to, const char *name, uint64_t value)
{
	json_object_object_add(to, name, json_object_new_uint64(value));
}

static void put_per_op(struct json_object *to, const char *name, const struct row *row,
		       uint64_t sum)
{
	put_number(to, name, row->accesses ? (double)sum / (double)row->accesses : 0);
}

static struct json_object *make_row(const struct row *row)
{
	struct json_object *object = json_object_new_object();

	put_string(object, "road", row->road.name);
	put_string(object, "op", row->road.op);
	put_string(object, "server", row->road.server);
	put_string(object, "what", row->road.what);
	put_string(object, "can", row->road.can);
	put_count(object, "width_bytes", row->road.width);
	if (row->skip) {
		put_string(object, "skip", row->skip);
		return object;
	}
	put_string(object, "guest", row->where);
	put_count(object, "n", row->guest_ns.nr);
	result_put_series(object, "guest_ns", &row->guest_ns);
	result_put_series(object, "notify_ns", &row->notify_ns);
	result_put_series(object, "rtt_ns", &row->rtt_ns);
	put_count(object, "accesses", row->accesses);
	if (row->road.counter != ROAD_COUNTS_NOTHING)
		put_count(object, "counted", row->counted.times);
	if (row->road.batch)
		put_count(object, "writes_per_message", row->road.batch);
	if (tally_has_sum(&row->road)) {
		put_count(object, "sum_of_values", row->sum);
		put_count(object, "sum_counted", row->counted.sum);
	}
	if (strcmp(row->where, "host"))
		put_per_op(object, "exits_per_op", row, row->exits);
	if (row->has_kvm_stats) {
		put_per_op(object, "kvm_exits_per_op", row, row->kvm_exits);
		put_per_op(object, "emulated_instructions_per_op", row, row->emulated);
	}
	if (row->has_server_usage) {
		put_per_op(object, "server_cpu_ns_per_op", row, row->server.cpu_ns);
		put_per_op(object, "server_switches_per_op", row, row->server.switches);
	}
	put_per_op(object, "client_cpu_ns_per_op", row, row->client.cpu_ns);
	put_per_op(object, "client_switches_per_op", row, row->client.switches);
	return object;
}

static struct json_object *make_machine(const struct rig *rig)
{
	struct json_object *object = result_machine();
	struct json_object *pinning = json_object_new_object();

	put_string(object, "kvm_module", rig->machine ? vm_module() : "none");
	put_string(object, "cpu_usage_from", usage_name(rig->usage));
	put_number(object, "tsc_khz", 1e6 / rig->clock.ns_per_cycle);
	put_string(object, "guest_tsc_offset_from", rig->clock.offset_source);
	json_object_object_add(object, "guest_tsc_offset",
			       json_object_new_int64(rig->clock.guest_offset));
	put_number(object, "guest_tsc_offset_uncertainty_ns",
		   (double)rig->clock.uncertainty * rig->clock.ns_per_cycle);
	put_count(pinning, "guest", (uint64_t)rig->options.cpu_guest);
	if (!rig->options.connect) /* which is where it is */
		put_count(pinning, "server", (uint64_t)rig->options.cpu_server);
	json_object_object_add(object, "pinning", pinning);
	return object;
}

struct json_object *ladder_json(const struct ladder *ladder)
{
	struct json_object *root = result_new("roads", ladder->argc, ladder->argv);
	struct json_object *rows = json_object_new_array();

	json_object_object_add(root, "machine", make_machine(ladder->rig));
	for (unsigned int i = 0; i < ladder->nr_rows; i++)
		json_object_array_add(rows, make_row(&ladder->rows[i]));
	json_object_object_add(root, "rows", rows);
	if (!result_put_findings(root, ladder_findings, ladder))
		return root;
	json_object_put(root);
	return NULL;
}
