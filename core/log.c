/* SPDX-License-Identifier: BSD-3-Clause */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const level_names[] = {
	[LOG_ERROR] = "error",
	[LOG_WARN] = "warn",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};

static enum log_level threshold = LOG_WARN; /* may change while others log */
static const char *program = "fastpath";
static log_sink_fn *sink;
static void *sink_opaque;

void log_set_level(enum log_level level)
{
	__atomic_store_n(&threshold, level, __ATOMIC_RELAXED);
}

bool log_tells(enum log_level level)
{
	return level <= __atomic_load_n(&threshold, __ATOMIC_RELAXED);
}

void log_set_name(const char *name)
{
	program = name;
}

void log_set_sink(log_sink_fn *fn, void *opaque)
{
	sink = fn;
	sink_opaque = opaque;
}

int log_level_parse(const char *text, enum log_level *level)
{
	for (unsigned int i = 0; i < sizeof(level_names) / sizeof(*level_names); i++)
		if (!strcmp(text, level_names[i])) {
			*level = (enum log_level)i;
			return 0;
		}
	return -EINVAL;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	char line[1024];
	va_list args;
	size_t len;
	int n;

	if (!log_tells(level))
		return;
	n = sink ? 0 :
		   snprintf(line, sizeof(line), "%s: %s", program,
			    level == LOG_WARN ? "warning: " : "");
	len = (size_t)n;
	va_start(args, fmt);
	n = vsnprintf(line + len, sizeof(line) - len - 1, fmt, args);
	va_end(args);
	len += n < 0 ? 0 : (size_t)n;
	if (len > sizeof(line) - 2)
		len = sizeof(line) - 2;
	/* What a peer sent may be quoted in it: one line stays one line. */
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	if (sink) {
		line[len] = '\0';
		sink(sink_opaque, (int)level, line);
		return;
	}
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0)
		return; /* nowhere left to say so */
}
