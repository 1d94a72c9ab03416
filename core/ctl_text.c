/* SPDX-License-Identifier: BSD-3-Clause */
/* What a server says at its control socket, for people. What it leaves out is left out here. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ctl.h"
#include "stats_rows.h"

static struct json_object *member(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(object, key, &value);
	return value;
}

static const char *text(struct json_object *object, const char *key)
{
	struct json_object *value = member(object, key);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
}

static uint64_t number(struct json_object *object, const char *key)
{
	return json_object_get_uint64(member(object, key));
}

static bool truth(struct json_object *object, const char *key)
{
	return json_object_get_boolean(member(object, key));
}

static size_t length(struct json_object *array)
{
	return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

typedef void member_fn(const char *key, struct json_object *value, void *opaque);

static void each_member(struct json_object *object, member_fn *fn, void *opaque)
{
	struct json_object_iterator at, end;

	if (!json_object_is_type(object, json_type_object))
		return;
	at = json_object_iter_begin(object);
	end = json_object_iter_end(object);
	for (; !json_object_iter_equal(&at, &end); json_object_iter_next(&at))
		fn(json_object_iter_peek_name(&at), json_object_iter_peek_value(&at), opaque);
}

/* ---- list, show ---- */

static void print_client(struct json_object *device)
{
	struct json_object *client = member(device, "client");

	if (!truth(device, "connected"))
		printf("no client\n");
	else if (client)
		printf("client of pid %" PRIu64 ", uid %" PRIu64 "\n", number(client, "pid"),
		       number(client, "uid"));
	else
		printf("a client\n");
}

void ctl_print_list(struct json_object *reply)
{
	struct json_object *devices = member(reply, "devices");

	for (size_t i = 0; i < length(devices); i++) {
		struct json_object *device = json_object_array_get_idx(devices, i);
		const char *socket = text(device, "socket");

		printf("%-16s %-12s worker %" PRIu64 ", %s%s, ", text(device, "name"),
		       text(device, "class"), number(device, "worker"),
		       *socket ? "at " : "on an fd", socket);
		print_client(device);
	}
}

static void print_pair(const char *key, struct json_object *value, void *opaque)
{
	(void)opaque;
	printf(" %s=%s", key, json_object_get_string(value));
}

static void print_pairs(const char *title, struct json_object *object)
{
	if (!object)
		return;
	printf("  %-14s", title);
	each_member(object, print_pair, NULL);
	printf("\n");
}

static void print_regions(struct json_object *regions)
{
	for (size_t i = 0; i < length(regions); i++) {
		struct json_object *region = json_object_array_get_idx(regions, i);

		printf("  region %-7" PRIu64 " %s, %" PRIu64 " bytes%s%s%s",
		       number(region, "index"), text(region, "name"), number(region, "size"),
		       truth(region, "io") ? ", I/O ports" : "",
		       truth(region, "read_only") ? ", read-only" : "",
		       truth(region, "mmap") ? ", can be mapped" : "");
		if (number(region, "doorbells"))
			printf(", %" PRIu64 " doorbells%s", number(region, "doorbells"),
			       truth(region, "eventfds") ? " by eventfd" : "");
		printf("\n");
	}
}

static void print_irqs(struct json_object *irqs)
{
	for (size_t i = 0; i < length(irqs); i++) {
		struct json_object *irq = json_object_array_get_idx(irqs, i);

		printf("  irq %-10" PRIu64 " %s, %" PRIu64 ": %" PRIu64 " set up, %" PRIu64
		       " masked, %" PRIu64 " pending\n",
		       number(irq, "index"), text(irq, "name"), number(irq, "count"),
		       number(irq, "set_up"), number(irq, "masked"), number(irq, "pending"));
	}
}

void ctl_print_show(struct json_object *reply)
{
	struct json_object *device = member(reply, "device");
	const char *socket = text(device, "socket");

	printf("%s: %s, %s\n", text(device, "name"), text(device, "class"),
	       text(device, "summary"));
	printf("  socket         %s\n", *socket ? socket : "none: it was given an fd");
	printf("  worker         %" PRIu64 "\n", number(device, "worker"));
	printf("  client         ");
	print_client(device);
	print_pairs("takes", member(device, "capabilities"));
	print_pairs("options", member(device, "options"));
	print_regions(member(device, "regions"));
	print_irqs(member(device, "irqs"));
	print_pairs("windows", member(device, "windows"));
	print_pairs("in flight", member(device, "in_flight"));
	if (member(device, "migration"))
		printf("  migration      %s\n", text(device, "migration"));
}

/* ---- stats ---- */

/* A member of both: what is not there was not counted. */
static void print_row(const char *name, struct json_object *all, struct json_object *client,
		      bool has_client, const char *key)
{
	printf("  %-26s %12" PRIu64, name, number(all, key));
	if (has_client)
		printf(" %12" PRIu64, number(client, key));
	printf("\n");
}

static struct json_object *region_of(struct json_object *stats, uint64_t index)
{
	struct json_object *regions = member(stats, "regions");

	for (size_t i = 0; i < length(regions); i++)
		if (number(json_object_array_get_idx(regions, i), "index") == index)
			return json_object_array_get_idx(regions, i);
	return NULL;
}

static void print_region_rows(struct json_object *all, struct json_object *client)
{
	const struct stats_row *rows = stats_region_rows;
	struct json_object *regions = member(all, "regions");
	char name[64];

	for (size_t i = 0; i < length(regions); i++) {
		struct json_object *region = json_object_array_get_idx(regions, i);
		uint64_t index = number(region, "index");
		struct json_object *theirs = client ? region_of(client, index) : NULL;

		for (size_t n = 0; rows[n].key; n++) {
			if (!number(region, rows[n].key))
				continue;
			snprintf(name, sizeof(name), "region %" PRIu64 " %s", index, rows[n].title);
			print_row(name, region, theirs, client, rows[n].key);
		}
	}
}

struct rows {
	const char *what;	    /* in front of each name */
	struct json_object *client; /* NULL: none of its */
	bool has_client;
};

static void print_member_row(const char *key, struct json_object *value, void *opaque)
{
	const struct rows *rows = opaque;
	char name[64];

	snprintf(name, sizeof(name), "%s%s", rows->what, key);
	printf("  %-26s %12" PRIu64, name, json_object_get_uint64(value));
	if (rows->has_client)
		printf(" %12" PRIu64, number(rows->client, key));
	printf("\n");
}

/* A row for every member of `key` of all, which is an object of numbers. */
static void print_rows(const char *what, struct json_object *all, struct json_object *client,
		       const char *key)
{
	struct rows rows = { what, member(client, key), client != NULL };

	each_member(member(all, key), print_member_row, &rows);
}

static void print_latencies(struct json_object *all)
{
	for (size_t i = 0; i < length(all); i++) {
		struct json_object *one = json_object_array_get_idx(all, i);

		printf("  region %" PRIu64 " by %-16s %12" PRIu64 " calls, half within %" PRIu64
		       " ns, 99 %% within %" PRIu64 " ns\n",
		       number(one, "region"), text(one, "road"), number(one, "count"),
		       number(one, "p50_ns"), number(one, "p99_ns"));
	}
}

static void print_device_stats(struct json_object *device)
{
	const struct stats_row *rows = stats_device_rows;
	struct json_object *all = member(device, "all");
	struct json_object *client = member(device, "client");

	printf("%-28s %12s%s\n", text(device, "name"), "all", client ? "  this client" : "");
	printf("  %-26s %12" PRIu64 "\n", "clients", number(device, "clients"));
	print_rows("", all, client, "commands");
	for (; rows->key; rows++)
		print_row(rows->title, all, client, client, rows->key);
	print_region_rows(all, client);
	print_rows("irqs ", all, client, "irqs");
	print_latencies(member(device, "latency"));
}

void ctl_print_stats(struct json_object *reply)
{
	struct json_object *workers = member(reply, "workers");
	struct json_object *devices = member(reply, "devices");

	for (size_t i = 0; i < length(workers); i++) {
		struct json_object *worker = json_object_array_get_idx(workers, i);

		printf("worker %" PRIu64 ": wait=%s, %" PRIu64 " enters, %" PRIu64
		       " sends, %" PRIu64 " completions, %" PRIu64 " spins that hit, %" PRIu64
		       " that missed, %" PRIu64 " denied; next one %" PRIu64 " ns\n",
		       number(worker, "worker"), text(worker, "wait"), number(worker, "enters"),
		       number(worker, "sends"), number(worker, "completions"),
		       number(worker, "spin_hits"), number(worker, "spin_misses"),
		       number(worker, "spin_denied"), number(worker, "spins_ns"));
	}
	for (size_t i = 0; i < length(devices); i++)
		print_device_stats(json_object_array_get_idx(devices, i));
}

/* ---- watch, trace ---- */

static void print_time(uint64_t us)
{
	time_t seconds = (time_t)(us / 1000000);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	printf("%02d:%02d:%02d.%06u ", tm.tm_hour, tm.tm_min, tm.tm_sec,
	       (unsigned int)(us % 1000000));
}

static bool is_head(const char *key)
{
	return !strcmp(key, "event") || !strcmp(key, "device") || !strcmp(key, "time_us");
}

static bool is_hex(const char *key)
{
	return !strcmp(key, "address") || !strcmp(key, "size");
}

static void print_member(const char *key, struct json_object *value, void *opaque)
{
	(void)opaque;
	if (is_head(key))
		return;
	if (is_hex(key))
		printf(" %s=%#" PRIx64, key, json_object_get_uint64(value));
	else if (json_object_is_type(value, json_type_string))
		printf(" %s='%s'", key, json_object_get_string(value));
	else
		printf(" %s=%s", key, json_object_get_string(value));
}

void ctl_print_event(struct json_object *event)
{
	if (member(event, "time_us"))
		print_time(number(event, "time_us"));
	if (member(event, "text")) {
		printf("%s %s\n", text(event, "device"), text(event, "text"));
		return;
	}
	if (member(event, "device"))
		printf("%s ", text(event, "device"));
	printf("%s", text(event, "event"));
	each_member(event, print_member, NULL);
	printf("\n");
}
