/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * log: what people read when something went wrong.
 *
 * The place that detects an error reports it, once, here; callers pass the -errno on.
 */
#ifndef FASTPATH_LOG_H
#define FASTPATH_LOG_H

#include <stdbool.h>

enum log_level {
	LOG_ERROR,
	LOG_WARN,
	LOG_INFO,
	LOG_DEBUG,
};

/* What is louder than `level` is not printed. The default is LOG_WARN. From any thread. */
void log_set_level(enum log_level level);

/* Whether lines of `level` are printed. */
bool log_tells(enum log_level level);

/* "error", "warn", "info" or "debug" to *level. -EINVAL when it is none of them. */
int log_level_parse(const char *text, enum log_level *level);

/* The name in front of every line; kept, not copied. */
void log_set_name(const char *name);

typedef void log_sink_fn(void *opaque, int level, const char *line);

/* Where lines go, without name and newline; NULL: to stderr. */
void log_set_sink(log_sink_fn *fn, void *opaque);

/* One line to stderr, in one write: "NAME: [warning: ]...". No newline at the end of `fmt`. */
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

#endif
