/* SPDX-License-Identifier: BSD-3-Clause */
#include "result_file.h"

#include <errno.h>
#include <json-c/printbuf.h>
#include <math.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "cleanup.h"

#define FILE_VERSION 1

#ifndef LIBURING_VERSION
#define LIBURING_VERSION "unknown"
#endif

static void put_string(struct json_object *to, const char *name, const char *value)
{
	json_object_object_add(to, name, json_object_new_string(value));
}

static void put_double(struct json_object *to, const char *name, double value)
{
	json_object_object_add(to, name, json_object_new_double(value));
}

static void put_date(struct json_object *to)
{
	time_t now = time(NULL);
	char text[32];
	struct tm tm;

	if (gmtime_r(&now, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		put_string(to, "date", text);
}

struct json_object *result_new(const char *mode, int argc, char **argv)
{
	struct json_object *root = json_object_new_object();
	struct json_object *command_line = json_object_new_array();

	json_object_object_add(root, "file_version", json_object_new_int(FILE_VERSION));
	put_string(root, "fastpath", FASTPATH_VERSION);
	put_date(root);
	put_string(root, "mode", mode);
	for (int i = 0; i < argc; i++)
		json_object_array_add(command_line, json_object_new_string(argv[i]));
	json_object_object_add(root, "command_line", command_line);
	return root;
}

static void put_cpu_model(struct json_object *to)
{
	char line[256];
	FILE *file = fopen("/proc/cpuinfo", "re");

	while (file && fgets(line, sizeof(line), file)) {
		char *colon = strchr(line, ':');

		if (strncmp(line, "model name", 10) || !colon)
			continue;
		colon[strcspn(colon, "\n")] = 0;
		put_string(to, "cpu", colon + 2);
		break;
	}
	if (file)
		fclose(file);
}

struct json_object *result_machine(void)
{
	struct json_object *object = json_object_new_object();
	struct utsname uts;

	put_cpu_model(object);
	if (!uname(&uts))
		put_string(object, "kernel", uts.release);
	put_string(object, "liburing", LIBURING_VERSION);
	return object;
}

/*
 * From the median on the steps become smaller as less values are left: five up to half of those, five
 * up to half of the rest, and so on.
 */
#define STEPS_PER_HALF 5

/* A tenth of a nanosecond is more than anybody can measure. */
static struct json_object *new_tenths(double value)
{
	char text[32];

	snprintf(text, sizeof(text), "%.1f", value);
	return json_object_new_double_s(value, text);
}

static struct json_object *make_curve(const struct series *series)
{
	struct json_object *curve = json_object_new_array();
	double percent = 0;
	bool is_last = false;

	while (!is_last) {
		struct json_object *pair = json_object_new_array();

		/* Less than one value is left above it. */
		is_last = (100 - percent) / 100 * (double)series->nr < 1;
		if (is_last)
			percent = 100;
		json_object_array_add(pair, json_object_new_double(percent));
		json_object_array_add(pair, new_tenths(series_percentile(series, percent)));
		json_object_array_add(curve, pair);
		percent += 100 / (STEPS_PER_HALF * exp2(floor(log2(100 / (100 - percent))) + 1));
	}
	return curve;
}

/* A list on one line. */
static int print_on_a_line(struct json_object *list, struct printbuf *to, int level, int flags)
{
	(void)level, (void)flags;
	printbuf_memappend(to, "[", 1);
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *value = json_object_array_get_idx(list, i);
		const char *text = json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN);

		sprintbuf(to, "%s%s", i ? "," : "", text ? text : "null");
	}
	return printbuf_memappend(to, "]", 1);
}

static void put_line(struct json_object *to, const char *name, struct json_object *list)
{
	json_object_set_serializer(list, print_on_a_line, NULL, NULL);
	json_object_object_add(to, name, list);
}

void result_put_series(struct json_object *to, const char *name, const struct series *series)
{
	static const double percents[] = { 1, 5, 10, 25, 50, 75, 90, 95, 99, 99.9, 99.99 };
	struct json_object *object, *percentile, *rounds;

	if (!series->nr)
		return;
	object = json_object_new_object();
	percentile = json_object_new_object();
	rounds = json_object_new_array();
	put_double(object, "min", series_percentile(series, 0));
	put_double(object, "max", series_percentile(series, 100));
	put_double(object, "mean", series_mean(series));
	put_double(object, "stddev", series_stddev(series));
	json_object_object_add(object, "N", json_object_new_uint64(series->nr));
	for (size_t i = 0; i < sizeof(percents) / sizeof(*percents); i++) {
		char key[16];

		snprintf(key, sizeof(key), "%.6f", percents[i]);
		put_double(percentile, key, series_percentile(series, percents[i]));
	}
	json_object_object_add(object, "percentile", percentile);
	put_line(object, "curve", make_curve(series));
	for (size_t i = 0; i < series->nr_marks; i++)
		json_object_array_add(rounds, json_object_new_double(series->marks[i].median));
	put_line(object, "rounds", rounds);
	json_object_object_add(to, name, object);
}

int result_print(struct json_object *root, FILE *to)
{
	const char *text = json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY);

	if (!text)
		return -ENOMEM;
	return fputs(text, to) < 0 || fputc('\n', to) < 0 ? -EIO : 0;
}

int result_put_findings(struct json_object *root, result_print_fn *print, const void *opaque)
{
	struct json_object *list = json_object_new_array();
	CLEANUP_FREE char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);
	int ret = to ? print(opaque, to) : -ENOMEM;

	if (to && fclose(to) && !ret)
		ret = -ENOMEM;
	for (char *line, *at = text; !ret && (line = strsep(&at, "\n"));)
		if (*line)
			json_object_array_add(list, json_object_new_string(line));
	json_object_object_add(root, "findings", list);
	return ret;
}
