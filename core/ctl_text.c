/* SPDX-License-Identifier: BSD-3-Clause */
/* What a server says at its control socket, for people. What it leaves out is left out here. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ctl.h"

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

static void print_pairs(const char *title, struct json_object *object)
{
	if (!object)
		return;
	printf("  %-14s", title);
	json_object_object_foreach(object, key, value)
		printf(" %s=%s", key, json_object_get_string(value));
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

/* The member of `object` if it is there: the client's column may lack what the whole has. */
static void print_row(const char *name, struct json_object *all, struct json_object *client,
		      const char *key)
{
	printf("  %-26s %12" PRIu64, name, number(all, key));
	if (client)
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
	static const struct {
		const char *key;
		const char *name;
	} rows[] = {
		{ "reads", "reads" },
		{ "writes", "writes" },
		{ "rings_by_message", "rings by message" },
		{ "rings_by_eventfd", "rings by eventfd" },
	};
	struct json_object *regions = member(all, "regions");
	static struct json_object *none;
	char name[64];

	if (!none)
		none = json_object_new_object();
	for (size_t i = 0; i < length(regions); i++) {
		struct json_object *region = json_object_array_get_idx(regions, i);
		uint64_t index = number(region, "index");
		struct json_object *theirs = client ? region_of(client, index) : NULL;

		for (size_t n = 0; n < sizeof(rows) / sizeof(*rows); n++) {
			if (!number(region, rows[n].key))
				continue;
			snprintf(name, sizeof(name), "region %" PRIu64 " %s", index, rows[n].name);
			print_row(name, region, client && !theirs ? none : theirs, rows[n].key);
		}
	}
}

/* A row for every member of `all`, which is an object of numbers. */
static void print_rows(const char *what, struct json_object *all, struct json_object *client,
		       bool has_client)
{
	char name[64];

	if (!json_object_is_type(all, json_type_object))
		return;
	json_object_object_foreach(all, key, value) {
		snprintf(name, sizeof(name), "%s%s", what, key);
		printf("  %-26s %12" PRIu64, name, json_object_get_uint64(value));
		if (has_client)
			printf(" %12" PRIu64, number(client, key));
		printf("\n");
	}
}

static void print_device_stats(struct json_object *device)
{
	static const char *const keys[][2] = {
		{ "replies", "replies" },     { "errors", "of them errors" },
		{ "refused", "refused" },     { "asked", "asked the client" },
		{ "answers", "answered" },    { "bytes_in", "bytes in" },
		{ "bytes_out", "bytes out" }, { "fds_in", "fds in" },
		{ "fds_out", "fds out" },     { "resets", "resets" },
	};
	struct json_object *all = member(device, "all");
	struct json_object *client = member(device, "client");

	printf("%-28s %12s%s\n", text(device, "name"), "all", client ? "  this client" : "");
	printf("  %-26s %12" PRIu64 "\n", "clients", number(device, "clients"));
	print_rows("", member(all, "commands"), member(client, "commands"), client);
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		print_row(keys[i][1], all, client, keys[i][0]);
	print_region_rows(all, client);
	print_rows("irqs ", member(all, "irqs"), member(client, "irqs"), client);
}

void ctl_print_stats(struct json_object *reply)
{
	struct json_object *workers = member(reply, "workers");
	struct json_object *devices = member(reply, "devices");

	for (size_t i = 0; i < length(workers); i++) {
		struct json_object *worker = json_object_array_get_idx(workers, i);

		printf("worker %" PRIu64 ": wait=%s, %" PRIu64 " enters, %" PRIu64
		       " completions, %" PRIu64 " spins that hit, %" PRIu64 " that missed\n",
		       number(worker, "worker"), text(worker, "wait"), number(worker, "enters"),
		       number(worker, "completions"), number(worker, "spin_hits"),
		       number(worker, "spin_misses"));
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

static void print_member(const char *key, struct json_object *value)
{
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
	json_object_object_foreach(event, key, value)
		if (!is_head(key))
			print_member(key, value);
	printf("\n");
}
