/* SPDX-License-Identifier: BSD-3-Clause */
/* result_file: what the results of all commands have in common, as JSON, and where they go. */
#ifndef BENCH_RESULT_FILE_H
#define BENCH_RESULT_FILE_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>

#include "series.h"

/* The root of a result of `mode`, with its command line; json_object_put() is its end. */
struct json_object *result_new(const char *mode, int argc, char **argv);

/* "machine": CPU, kernel, liburing. What else is known of it is the caller's to add. */
struct json_object *result_machine(void);

/*
 * Adds percentiles as fio writes them, the curve by HdrHistogram's steps, and the medians of the
 * rounds. Nothing for an empty series.
 */
void result_put_series(struct json_object *to, const char *name, const struct series *series);

/* Prints it to `to`. -ENOMEM or -EIO. */
int result_print(struct json_object *root, FILE *to);

/* Adds as "findings" the lines that `print` prints. -ENOMEM, -errno of `print`. */
typedef int result_print_fn(const void *opaque, FILE *to);
int result_put_findings(struct json_object *root, result_print_fn *print, const void *opaque);

#endif
