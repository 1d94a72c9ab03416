/* SPDX-License-Identifier: BSD-3-Clause */
#include "puppet_log.h"

#include <errno.h>
#include <time.h>

#include "puppet_json.h"
#include "puppet_shape.h"

int puppet_log_open(struct fp_device *dev, struct puppet_log *log)
{
	log->entries = fp_alloc(dev, PUPPET_LOG_ENTRIES * sizeof(*log->entries));
	log->next = log->first = 1;
	return log->entries ? 0 : -ENOMEM;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void puppet_log_add(struct puppet_log *log, const struct puppet_entry *entry)
{
	struct puppet_entry *own = &log->entries[log->next % PUPPET_LOG_ENTRIES];

	*own = *entry;
	own->seq = log->next++;
	own->ns = now_ns();
}

void puppet_log_clear(struct puppet_log *log)
{
	log->first = log->next;
}

/* ---- as JSON ---- */

static void add_number(struct json_object *to, const char *key, uint64_t value)
{
	json_object_object_add(to, key, json_object_new_uint64(value));
}

static void add_text(struct json_object *to, const char *key, const char *value)
{
	json_object_object_add(to, key, json_object_new_string(value));
}

static void add_bool(struct json_object *to, const char *key, bool value)
{
	json_object_object_add(to, key, json_object_new_boolean(value));
}

static void show_window(struct json_object *to, const struct fp_window *window)
{
	add_number(to, "iova", window->iova);
	add_number(to, "size", window->size);
	add_bool(to, "readable", window->readable);
	add_bool(to, "writable", window->writable);
	add_bool(to, "mapped", window->mapped);
}

static void show_access(struct json_object *to, const struct puppet_entry *entry)
{
	uint64_t shown = entry->size < PUPPET_LOG_BYTES ? entry->size : PUPPET_LOG_BYTES;

	add_text(to, "region", puppet_region_name(entry->region));
	add_number(to, "offset", entry->offset);
	add_number(to, "size", entry->size);
	add_bool(to, "write", entry->write);
	json_object_object_add(to, "bytes", puppet_hex(entry->bytes, shown));
}

static void show_ring(struct json_object *to, const struct puppet_entry *entry)
{
	add_text(to, "doorbell", entry->doorbell);
	add_number(to, "times", entry->times);
	add_number(to, "value", entry->value);
}

static void show_entry_window(struct json_object *to, const struct puppet_entry *entry)
{
	show_window(to, &entry->window);
}

static const struct {
	const char *name;
	void (*show)(struct json_object *to, const struct puppet_entry *entry);
} kinds[] = {
	[PUPPET_ACCESS] = { "access", show_access },
	[PUPPET_RING] = { "ring", show_ring },
	[PUPPET_CAME] = { "client came", NULL },
	[PUPPET_GONE] = { "client gone", NULL },
	[PUPPET_OPENED] = { "window opened", show_entry_window },
	[PUPPET_CLOSED] = { "window closed", show_entry_window },
	[PUPPET_FAILED] = { "window failed", show_entry_window },
	[PUPPET_RESET] = { "reset", NULL },
	[PUPPET_SAVED] = { "saved", NULL },
	[PUPPET_LOADED] = { "loaded", NULL },
};

static struct json_object *show_entry(const struct puppet_entry *entry)
{
	struct json_object *to = json_object_new_object();

	add_number(to, "seq", entry->seq);
	add_number(to, "ns", entry->ns);
	add_text(to, "saw", kinds[entry->seen].name);
	if (kinds[entry->seen].show)
		kinds[entry->seen].show(to, entry);
	return to;
}

void puppet_log_show(const struct puppet_log *log, uint64_t since, struct json_object *reply)
{
	struct json_object *entries = json_object_new_array();
	uint64_t oldest = log->next > PUPPET_LOG_ENTRIES ? log->next - PUPPET_LOG_ENTRIES : 1;
	uint64_t first = since > log->first ? since : log->first;
	uint64_t lost = oldest > first ? oldest - first : 0;

	for (uint64_t seq = first + lost; seq < log->next; seq++)
		json_object_array_add(entries, show_entry(&log->entries[seq % PUPPET_LOG_ENTRIES]));
	add_number(reply, "lost", lost);
	add_number(reply, "next", log->next);
	json_object_object_add(reply, "entries", entries);
}

struct json_object *puppet_log_window(const struct fp_window *window)
{
	struct json_object *to = json_object_new_object();

	show_window(to, window);
	return to;
}
