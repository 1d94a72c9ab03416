/* SPDX-License-Identifier: BSD-3-Clause */
#include "result_file.h"

#include <errno.h>
#include <string.h>
#include <sys/utsname.h>

#include "log.h"

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

struct json_object *result_new(const char *mode, int argc, char **argv)
{
	struct json_object *root = json_object_new_object();
	struct json_object *command_line = json_object_new_array();

	json_object_object_add(root, "file_version", json_object_new_int(FILE_VERSION));
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
	for (size_t i = 0; i < series->nr_marks; i++)
		json_object_array_add(rounds, json_object_new_double(series->marks[i].median));
	json_object_object_add(object, "rounds", rounds);
	json_object_object_add(to, name, object);
}

int result_print(struct json_object *root, FILE *to)
{
	const char *text = json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY);

	if (!text)
		return -ENOMEM;
	return fputs(text, to) < 0 || fputc('\n', to) < 0 ? -EIO : 0;
}

int result_write(const char *path, result_print_fn *print, const void *opaque)
{
	FILE *to = strcmp(path, "-") ? fopen(path, "we") : stdout;
	int ret;

	if (!to) {
		log_error("%s: %s", path, strerror(errno));
		return -errno;
	}
	ret = print(opaque, to);
	if (ferror(to) || (to == stdout ? fflush(to) : fclose(to)))
		ret = -EIO;
	if (ret)
		log_error("%s can't be written: %s", path, strerror(-ret));
	return ret;
}
