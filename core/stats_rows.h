/* SPDX-License-Identifier: BSD-3-Clause */
/* stats_rows: what is counted and what it is called: the one list for JSON, OpenMetrics and people. */
#ifndef FASTPATH_STATS_ROWS_H
#define FASTPATH_STATS_ROWS_H

#include <json-c/json.h>
#include <stddef.h>

struct stats_row {
	const char *key; /* in JSON; NULL ends a list */
	const char *title;
	const char *metric; /* its family, without "fastpath_" */
	const char *unit;   /* of OpenMetrics, how `metric` ends then; NULL: none */
	const char *help;
	size_t offset; /* of the uint64_t in what the list is about */
};

extern const struct stats_row stats_worker_rows[]; /* of struct ring_stats */
extern const struct stats_row stats_device_rows[]; /* of struct stats */
extern const struct stats_row stats_region_rows[]; /* of struct stats_region */

/* Adds a member for each row. */
void stats_rows_put(const struct stats_row *rows, const void *numbers, struct json_object *object);

#endif
