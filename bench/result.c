/* SPDX-License-Identifier: BSD-3-Clause */
#include "result.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "series.h"

/* Where in a file we are, for what is wrong there. */
struct reading {
	const char *file;
	char where[64];
	int error; /* the first one */
};

static void refuse(struct reading *reading, const char *key, const char *wants)
{
	if (!reading->error)
		log_error("%s: %s%s: wants %s", reading->file, reading->where, key, wants);
	if (!reading->error)
		reading->error = -EINVAL;
}

/* A member of that type, or NULL; null counts as absent. */
static struct json_object *member(struct reading *reading, struct json_object *object,
				  const char *key, enum json_type type, const char *wants)
{
	struct json_object *value = NULL;

	if (!object || !json_object_object_get_ex(object, key, &value) || !value)
		return NULL;
	if (json_object_is_type(value, type) ||
	    (type == json_type_double && json_object_is_type(value, json_type_int)))
		return value;
	refuse(reading, key, wants);
	return NULL;
}

static const char *text_of(struct reading *reading, struct json_object *object, const char *key)
{
	struct json_object *value = member(reading, object, key, json_type_string, "a text");

	return value ? json_object_get_string(value) : NULL;
}

static const char *text_or(struct reading *reading, struct json_object *object, const char *key)
{
	const char *text = text_of(reading, object, key);

	return text ? text : "";
}

static bool is_number(struct json_object *value)
{
	return (json_object_is_type(value, json_type_double) ||
		json_object_is_type(value, json_type_int)) &&
	       isfinite(json_object_get_double(value));
}

static double number_of(struct reading *reading, struct json_object *object, const char *key)
{
	struct json_object *value = member(reading, object, key, json_type_double, "a number");

	if (value && !is_number(value))
		refuse(reading, key, "a finite number");
	return value && is_number(value) ? json_object_get_double(value) : NAN;
}

/* ---- series ---- */

static void read_percentiles(struct reading *reading, struct json_object *object,
			     struct result_series *series)
{
	struct json_object *at =
		member(reading, object, "percentile", json_type_object, "an object");

	series->p50 = number_of(reading, at, "50.000000");
	series->p90 = number_of(reading, at, "90.000000");
	series->p99 = number_of(reading, at, "99.000000");
	series->p999 = number_of(reading, at, "99.900000");
	if (isnan(series->p50))
		refuse(reading, "percentile", "the 50.000000");
}

static void read_rounds(struct reading *reading, struct json_object *object,
			struct result_series *series)
{
	struct json_object *list =
		member(reading, object, "rounds", json_type_array, "a list of numbers");
	size_t nr = list ? json_object_array_length(list) : 0;

	series->rounds = calloc(nr + 1, sizeof(*series->rounds));
	if (!series->rounds)
		reading->error = -ENOMEM;
	for (size_t i = 0; i < nr && !reading->error; i++) {
		struct json_object *value = json_object_array_get_idx(list, i);

		if (!is_number(value))
			refuse(reading, "rounds", "a list of numbers");
		else
			series->rounds[series->nr_rounds++] = json_object_get_double(value);
	}
}

static bool read_point(struct json_object *pair, struct result_point *point)
{
	if (!json_object_is_type(pair, json_type_array) || json_object_array_length(pair) != 2 ||
	    !is_number(json_object_array_get_idx(pair, 0)) ||
	    !is_number(json_object_array_get_idx(pair, 1)))
		return false;
	point->percent = json_object_get_double(json_object_array_get_idx(pair, 0));
	point->value = json_object_get_double(json_object_array_get_idx(pair, 1));
	return point->percent >= 0 && point->percent <= 100;
}

static void read_curve(struct reading *reading, struct json_object *object,
		       struct result_series *series)
{
	static const char wants[] = "a list of pairs: percent, value";
	struct json_object *list = member(reading, object, "curve", json_type_array, wants);
	size_t nr = list ? json_object_array_length(list) : 0;

	series->curve = calloc(nr + 1, sizeof(*series->curve));
	if (!series->curve)
		reading->error = -ENOMEM;
	for (size_t i = 0; i < nr && !reading->error; i++)
		if (read_point(json_object_array_get_idx(list, i),
			       &series->curve[series->nr_curve]))
			series->nr_curve++;
		else
			refuse(reading, "curve", wants);
}

static void read_series(struct reading *reading, struct json_object *row, const char *key,
			struct result_series *series)
{
	struct json_object *object = member(reading, row, key, json_type_object, "an object");
	size_t len = strlen(reading->where);
	double nr;

	if (!object)
		return;
	snprintf(reading->where + len, sizeof(reading->where) - len, "%s.", key);
	nr = number_of(reading, object, "N");
	series->nr = nr >= 1 && nr < 1e15 ? (size_t)nr : 0;
	if (!series->nr)
		refuse(reading, "N", "a number above 0");
	series->min = number_of(reading, object, "min");
	series->max = number_of(reading, object, "max");
	series->mean = number_of(reading, object, "mean");
	series->stddev = number_of(reading, object, "stddev");
	if (!(series->min >= 0 && series->max >= series->min))
		refuse(reading, "min", "a number, and max one that is not less");
	read_percentiles(reading, object, series);
	read_rounds(reading, object, series);
	read_curve(reading, object, series);
	reading->where[len] = 0;
}

/* ---- rows ---- */

static void name_road(struct reading *reading, struct json_object *object, struct result_row *row)
{
	bool has_server;

	row->road = text_or(reading, object, "road");
	row->op = text_or(reading, object, "op");
	row->server = text_or(reading, object, "server");
	has_server = strcmp(row->server, "-");
	snprintf(row->name, sizeof(row->name), "%s %s", row->road, row->op);
	snprintf(row->group, sizeof(row->group), has_server ? "server %s" : "no server involved",
		 row->server);
	snprintf(row->panel, sizeof(row->panel), "%s", row->road);
	snprintf(row->line, sizeof(row->line), "%s%s%s", row->op, has_server ? ", " : "",
		 has_server ? row->server : "");
	read_series(reading, object, "guest_ns", &row->cost);
	read_series(reading, object, "notify_ns", &row->notify);
	read_series(reading, object, "rtt_ns", &row->rtt);
}

static void name_peer(struct reading *reading, struct json_object *object, struct result_row *row)
{
	double size = number_of(reading, object, "size_bytes");

	row->road = text_or(reading, object, "peer");
	row->op = text_or(reading, object, "access");
	row->server = text_or(reading, object, "client");
	row->size_bytes = size >= 1 && size <= 8 ? (unsigned int)size : 0;
	snprintf(row->name, sizeof(row->name), "%s", row->road);
	snprintf(row->line, sizeof(row->line), "%s", row->road);
	snprintf(row->group, sizeof(row->group), "%s, %u byte%s", row->op, row->size_bytes,
		 row->size_bytes == 1 ? "" : "s");
	snprintf(row->panel, sizeof(row->panel), "%s", row->group);
	read_series(reading, object, "accesses_per_s", &row->cost);
	if (!row->cost.nr)
		read_series(reading, object, "rtt_ns", &row->cost);
}

static void read_ratio(struct reading *reading, struct json_object *object, struct result_row *row)
{
	struct json_object *ratio = member(reading, object, "ratio", json_type_object, "an object");

	row->ratio_to = text_of(reading, ratio, "to");
	row->verdict = text_of(reading, ratio, "verdict");
	row->ratio = number_of(reading, ratio, "ratio");
	row->ratio_low = number_of(reading, ratio, "low");
	row->ratio_high = number_of(reading, ratio, "high");
	if (ratio && (!row->ratio_to || !row->verdict || !(row->ratio > 0)))
		refuse(reading, "ratio", "to, verdict and ratio");
}

static void read_row(struct reading *reading, struct json_object *object, bool is_roads,
		     struct result_row *row)
{
	if (!json_object_is_type(object, json_type_object)) {
		refuse(reading, "", "an object");
		return;
	}
	row->is_road = is_roads;
	(is_roads ? name_road : name_peer)(reading, object, row);
	row->what = text_or(reading, object, "what");
	row->can = text_or(reading, object, "can");
	row->guest = text_or(reading, object, "guest");
	row->skip = text_of(reading, object, "skip");
	if (is_roads)
		row->size_bytes =
			(unsigned int)fmin(fmax(number_of(reading, object, "width_bytes"), 0), 8);
	row->is_batch = number_of(reading, object, "writes_per_message") > 1;
	row->n = (double)row->cost.nr;
	row->accesses = number_of(reading, object, "accesses");
	row->exits = number_of(reading, object, "exits_per_op");
	row->server_cpu = number_of(reading, object, "server_cpu_ns_per_op");
	row->server_switches = number_of(reading, object, "server_switches_per_op");
	row->client_cpu = number_of(reading, object, "client_cpu_ns_per_op");
	row->client_switches = number_of(reading, object, "client_switches_per_op");
	read_ratio(reading, object, row);
	if (!row->skip && !row->cost.nr)
		refuse(reading, is_roads ? "guest_ns" : "rtt_ns",
		       "an object, as the row is not skipped");
}

static void read_rows(struct reading *reading, struct result *result)
{
	struct json_object *rows = member(reading, result->root, "rows", json_type_array, "a list");
	size_t nr = rows ? json_object_array_length(rows) : 0;

	if (!nr)
		refuse(reading, "rows", "a list of rows");
	result->rows = calloc(nr + 1, sizeof(*result->rows));
	if (!result->rows)
		reading->error = -ENOMEM;
	for (size_t i = 0; i < nr && !reading->error; i++) {
		snprintf(reading->where, sizeof(reading->where), "rows[%zu].", i);
		read_row(reading, json_object_array_get_idx(rows, i), result->is_roads,
			 &result->rows[result->nr_rows++]);
	}
	reading->where[0] = 0;
}

static void read_findings(struct reading *reading, struct result *result)
{
	struct json_object *list =
		member(reading, result->root, "findings", json_type_array, "a list of texts");
	size_t nr = list ? json_object_array_length(list) : 0;

	result->findings = calloc(nr + 1, sizeof(*result->findings));
	if (!result->findings)
		reading->error = -ENOMEM;
	for (size_t i = 0; i < nr && !reading->error; i++) {
		struct json_object *text = json_object_array_get_idx(list, i);

		if (json_object_is_type(text, json_type_string))
			result->findings[result->nr_findings++] = json_object_get_string(text);
		else
			refuse(reading, "findings", "a list of texts");
	}
}

/* ---- all of it ---- */

int result_open(struct result *result, struct json_object *root, const char *name)
{
	struct reading reading = { .file = name };

	*result = (struct result){ .root = root };
	if (!json_object_is_type(root, json_type_object)) {
		refuse(&reading, "the file", "a JSON object");
		return reading.error;
	}
	/* Files from before there were several modes have none. */
	result->mode = text_of(&reading, root, "mode");
	if (!result->mode)
		result->mode = "roads";
	result->is_roads = !strcmp(result->mode, "roads");
	result->more_is_better = !strcmp(result->mode, "throughput");
	if (!result->is_roads && !result->more_is_better && strcmp(result->mode, "rtt"))
		refuse(&reading, "mode", "roads, rtt or throughput");
	if (!reading.error)
		read_rows(&reading, result);
	if (!reading.error)
		read_findings(&reading, result);
	return reading.error;
}

int result_read(struct result *result, const char *path)
{
	bool is_stdin = !strcmp(path, "-");
	struct json_object *root;

	*result = (struct result){ 0 };
	if (!is_stdin && access(path, R_OK)) {
		log_error("%s: %s", path, strerror(errno));
		return -EINVAL;
	}
	root = is_stdin ? json_object_from_fd(STDIN_FILENO) : json_object_from_file(path);
	if (!root) {
		log_error("%s: it is no JSON", path);
		return -EINVAL;
	}
	return result_open(result, root, path);
}

static void free_series(struct result_series *series)
{
	free(series->curve);
	free(series->rounds);
}

void result_close(struct result *result)
{
	for (unsigned int i = 0; i < result->nr_rows; i++) {
		free_series(&result->rows[i].cost);
		free_series(&result->rows[i].notify);
		free_series(&result->rows[i].rtt);
	}
	free(result->rows);
	free(result->findings);
	json_object_put(result->root);
	*result = (struct result){ 0 };
}

const struct result_row *result_find(const struct result *result, const char *road, const char *op,
				     const char *server)
{
	for (unsigned int i = 0; i < result->nr_rows; i++) {
		const struct result_row *row = &result->rows[i];

		if (!row->skip && !strcmp(row->road, road) && !strcmp(row->op, op) &&
		    !strcmp(row->server, server))
			return row;
	}
	return NULL;
}

double result_rounds_percentile(const struct result_series *series, double percent)
{
	struct series medians = { 0 };
	double value;

	for (size_t i = 0; i < series->nr_rounds; i++)
		if (series_add(&medians, series->rounds[i]))
			break;
	series_sort(&medians);
	value = medians.nr ? series_percentile(&medians, percent) : NAN;
	series_free(&medians);
	return value;
}

const char *result_text_at(const struct result *result, const char *path)
{
	struct json_object *found = NULL;

	if (json_pointer_get(result->root, path, &found) || !found)
		return NULL;
	return json_object_get_string(found);
}
