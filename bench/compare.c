/* SPDX-License-Identifier: BSD-3-Clause */
#include "compare.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"

#define MAX_LABEL 160

/* ---- reading ---- */

static int read_file(const char *path, struct json_object **root)
{
	struct json_object *rows;

	if (access(path, R_OK)) {
		log_error("%s: %s", path, strerror(errno));
		return -EINVAL;
	}
	*root = json_object_from_file(path);
	if (!*root) {
		log_error("%s: it is no JSON", path);
		return -EINVAL;
	}
	if (json_object_object_get_ex(*root, "rows", &rows) &&
	    json_object_is_type(rows, json_type_array))
		return 0;
	log_error("%s: it is no result of fastpath-bench: it has no rows", path);
	return -EINVAL;
}

int compare_open(struct compare *compare)
{
	int ret = 0;

	for (unsigned int i = 0; i < 2 && !ret; i++)
		ret = read_file(compare->paths[i], &compare->roots[i]);
	return ret;
}

void compare_close(struct compare *compare)
{
	json_object_put(compare->roots[0]);
	json_object_put(compare->roots[1]);
}

/* ---- whether it is fair ---- */

/* Members that have to be the same, by path. What neither has is the same. */
static const char *const conditions[] = {
	"/file_version",       "/mode",
	"/machine/cpu",	       "/machine/kernel",
	"/machine/kvm_module", "/machine/liburing",
	"/machine/pinning",    "/config/count",
	"/config/depth",       "/config/mix_read_percent",
	"/config/wait",
};

/* Valid until the object is changed or put. */
static const char *text_at(struct json_object *root, const char *path)
{
	struct json_object *found = NULL;

	if (json_pointer_get(root, path, &found) || !found)
		return "nothing";
	return json_object_to_json_string_ext(found, JSON_C_TO_STRING_PLAIN);
}

bool compare_is_fair(const struct compare *compare)
{
	bool fair = true;

	for (size_t i = 0; i < sizeof(conditions) / sizeof(*conditions); i++) {
		const char *a = text_at(compare->roots[0], conditions[i]);
		const char *b = text_at(compare->roots[1], conditions[i]);

		if (!strcmp(a, b))
			continue;
		log_warn("%s: %s has %s, %s has %s", conditions[i] + 1, compare->paths[0], a,
			 compare->paths[1], b);
		fair = false;
	}
	return fair;
}

/* ---- rows ---- */

/* What says which row it is, in any mode. */
static const char *const keys[] = { "road", "op",     "server",	    "width_bytes", "guest",
				    "peer", "access", "size_bytes", "client" };

/* What is measured in one, in rounds. */
static const struct {
	const char *name;
	bool more_is_faster;
} metrics[] = {
	{ "guest_ns", false },
	{ "notify_ns", false },
	{ "rtt_ns", false },
	{ "accesses_per_s", true },
};

static void label(struct json_object *row, char text[MAX_LABEL])
{
	size_t len = 0;

	text[0] = 0;
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		struct json_object *value;

		if (!json_object_object_get_ex(row, keys[i], &value) || len >= MAX_LABEL - 1)
			continue;
		len += (size_t)snprintf(text + len, MAX_LABEL - len, "%s%s", len ? " " : "",
					json_object_get_string(value));
	}
}

static struct json_object *rows_of(const struct compare *compare, unsigned int file)
{
	struct json_object *rows = NULL;

	json_object_object_get_ex(compare->roots[file], "rows", &rows);
	return rows;
}

static struct json_object *find_row(const struct compare *compare, unsigned int file,
				    const char *wanted)
{
	struct json_object *rows = rows_of(compare, file);
	char text[MAX_LABEL];

	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);

		label(row, text);
		if (!strcmp(text, wanted))
			return row;
	}
	return NULL;
}

/* The medians of the rounds, to be freed; *nr is 0 when there are none. NULL: no memory. */
static double *rounds_of(struct json_object *row, const char *metric, size_t *nr)
{
	struct json_object *series, *rounds;
	double *values;

	*nr = 0;
	if (json_object_object_get_ex(row, metric, &series) &&
	    json_object_object_get_ex(series, "rounds", &rounds) &&
	    json_object_is_type(rounds, json_type_array))
		*nr = json_object_array_length(rounds);
	values = calloc(*nr + 1, sizeof(*values));
	for (size_t i = 0; values && i < *nr; i++)
		values[i] = json_object_get_double(json_object_array_get_idx(rounds, i));
	return values;
}

static void print_line(struct compare *compare, const char *name, unsigned int metric,
		       const struct interval *interval, FILE *to)
{
	enum verdict verdict =
		interval_verdict(interval, metrics[metric].more_is_faster, compare->margin);

	compare->verdicts[verdict]++;
	fprintf(to, "%-48s %-14s %7.3f", name, metrics[metric].name, interval->ratio);
	if (isinf(interval->high))
		fprintf(to, " %16s", "-");
	else
		fprintf(to, " %7.3f to %5.3f", interval->low, interval->high);
	fprintf(to, "  %s\n", verdict_name(verdict));
}

/* 0; 1 when both had rounds of it; -ENOMEM. */
static int compare_metric(struct compare *compare, struct json_object *const rows[2],
			  const char *name, unsigned int metric, FILE *to)
{
	struct interval interval;
	size_t nr_a, nr_b;
	CLEANUP_FREE double *a = rounds_of(rows[0], metrics[metric].name, &nr_a);
	CLEANUP_FREE double *b = rounds_of(rows[1], metrics[metric].name, &nr_b);
	int ret;

	if (!a || !b)
		return -ENOMEM;
	if (!nr_a || !nr_b)
		return 0;
	ret = interval_unpaired(b, nr_b, a, nr_a, &interval);
	if (ret)
		return ret;
	print_line(compare, name, metric, &interval, to);
	return 1;
}

static int compare_rows(struct compare *compare, FILE *to, unsigned int *compared)
{
	struct json_object *list = rows_of(compare, 0);
	char name[MAX_LABEL];

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *rows[2] = { json_object_array_get_idx(list, i) };

		label(rows[0], name);
		rows[1] = find_row(compare, 1, name);
		for (unsigned int m = 0; rows[1] && m < sizeof(metrics) / sizeof(*metrics); m++) {
			int ret = compare_metric(compare, rows, name, m, to);

			if (ret < 0)
				return ret;
			*compared += (unsigned int)ret;
		}
	}
	return 0;
}

/* What the one file has and the other one lacks. */
static void print_only(const struct compare *compare, unsigned int file, FILE *to)
{
	struct json_object *list = rows_of(compare, file);
	char name[MAX_LABEL];

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		label(json_object_array_get_idx(list, i), name);
		if (!find_row(compare, !file, name))
			fprintf(to, "%-48s only in %s\n", name, compare->paths[file]);
	}
}

int compare_print(struct compare *compare, FILE *to)
{
	unsigned int compared = 0;
	int ret;

	fprintf(to, "%-48s %-14s %7s %16s\n", "row", "", "B / A", "95 %");
	ret = compare_rows(compare, to, &compared);
	if (!ret && !compared) {
		log_error("%s and %s have no row in common that has rounds", compare->paths[0],
			  compare->paths[1]);
		return -ENODATA;
	}
	if (ret) {
		log_error("%s", strerror(-ret));
		return ret;
	}
	print_only(compare, 0, to);
	print_only(compare, 1, to);
	fprintf(to, "\nB is");
	for (unsigned int i = 0; i <= VERDICT_TOO_FEW; i++)
		if (compare->verdicts[i] || i < VERDICT_TOO_FEW)
			fprintf(to, "%s %s: %u", i ? "," : "", verdict_name(i),
				compare->verdicts[i]);
	fprintf(to, ".\n");
	return 0;
}
