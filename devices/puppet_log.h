/* SPDX-License-Identifier: BSD-3-Clause */
/* puppet_log: what a puppet saw, in the order in which it saw it; the oldest go first. */
#ifndef FASTPATH_PUPPET_LOG_H
#define FASTPATH_PUPPET_LOG_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "fastpath.h"

#define PUPPET_LOG_ENTRIES 4096u
#define PUPPET_LOG_BYTES 16u /* of an access, its first ones */

enum puppet_seen {
	PUPPET_ACCESS,
	PUPPET_RING,
	PUPPET_CAME,
	PUPPET_GONE,
	PUPPET_OPENED,
	PUPPET_CLOSED,
	PUPPET_FAILED,
	PUPPET_RESET,
	PUPPET_SAVED,
	PUPPET_LOADED,
};

struct puppet_entry {
	uint64_t seq; /* from 1 on; the log's to set, as is the time */
	uint64_t ns;
	enum puppet_seen seen;
	/* Of an access or a ring. */
	uint32_t region;
	bool write;
	uint64_t offset;
	uint64_t size;
	uint8_t bytes[PUPPET_LOG_BYTES];
	const char *doorbell;
	uint64_t times;
	uint64_t value; /* that rang, or with shadow the last that was stored; else 0 */
	/* Of a window. */
	struct fp_window window;
};

struct puppet_log {
	struct puppet_entry *entries;
	uint64_t next;	/* seq of the next one */
	uint64_t first; /* seq of the first one that was not cleared */
};

/* 0 or -ENOMEM. */
int puppet_log_open(struct fp_device *dev, struct puppet_log *log);

/* Adds a copy. */
void puppet_log_add(struct puppet_log *log, const struct puppet_entry *entry);

void puppet_log_clear(struct puppet_log *log);

/* Adds to `reply`: "entries" from `since` on, how many of these are "lost", and the "next" seq. */
void puppet_log_show(const struct puppet_log *log, uint64_t since, struct json_object *reply);

/* A window, as the log and the request of that name show it. */
struct json_object *puppet_log_window(const struct fp_window *window);

#endif
