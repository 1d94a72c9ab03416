/* SPDX-License-Identifier: BSD-3-Clause */
#include "terminal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* Less can't hold a row. */
#define LEAST_WIDTH 40

static enum {
	AUTO,
	ALWAYS,
	NEVER
} colour;
static bool is_quiet;

unsigned int terminal_width(FILE *to)
{
	const char *columns = getenv("COLUMNS");
	unsigned long width = columns ? strtoul(columns, NULL, 10) : 0;
	struct winsize size;

	if (!width && isatty(fileno(to)))
		width = ioctl(fileno(to), TIOCGWINSZ, &size) || !size.ws_col ? 80 : size.ws_col;
	if (!width || width > 10000)
		return 0;
	return width < LEAST_WIDTH ? LEAST_WIDTH : (unsigned int)width;
}

int terminal_set_colour(const char *when)
{
	static const char *const names[] = {
		[AUTO] = "auto", [ALWAYS] = "always", [NEVER] = "never"
	};

	for (unsigned int i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(when, names[i])) {
			colour = i;
			return 0;
		}
	return -EINVAL;
}

static bool has_colour(FILE *to)
{
	const char *no_color = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	if (colour != AUTO)
		return colour == ALWAYS;
	return isatty(fileno(to)) && !(no_color && *no_color) && term && strcmp(term, "dumb");
}

void terminal_style(FILE *to, enum terminal_style style)
{
	static const char *const codes[] = {
		[TERMINAL_PLAIN] = "\033[0m",
		[TERMINAL_BOLD] = "\033[1m",
		[TERMINAL_DIM] = "\033[2m",
	};

	if (has_colour(to))
		fputs(codes[style], to);
}

void terminal_set_quiet(void)
{
	is_quiet = true;
}

/* ---- progress ---- */

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* The first round says when we began: what came before it is not what a round takes. */
static void show_line(unsigned int done, unsigned int of)
{
	static double began, shown;
	static unsigned int before;
	double now = now_s();
	unsigned int left;

	if (done == 1 || !began) {
		began = now;
		before = done;
	}
	if (done == of) {
		fputs("\r\033[K", stderr);
		return;
	}
	if (now - shown < 0.2 && done != 1)
		return;
	shown = now;
	fprintf(stderr, "\rround %u of %u", done, of);
	if (done > before) {
		left = (unsigned int)((now - began) / (done - before) * (of - done) + 0.5);
		fprintf(stderr, left < 100 ? ", %u s left" : ", %u min left",
			left < 100 ? left : (left + 30) / 60);
	}
	fputs("\033[K", stderr);
}

void terminal_progress(unsigned int done, unsigned int of)
{
	if (is_quiet)
		return;
	if (isatty(STDERR_FILENO))
		show_line(done, of);
	else if (done == of || done * 4 / of != (done - 1) * 4 / of)
		fprintf(stderr, "round %u of %u\n", done, of);
}

/* ---- text ---- */

void terminal_wrap(FILE *to, const char *text, unsigned int width)
{
	unsigned int column = 0;

	while (*text) {
		int len = (int)strcspn(text, " ");

		if (column && width && column + 1 + (unsigned int)len > width) {
			fputc('\n', to);
			column = 0;
		}
		column += (unsigned int)fprintf(to, "%s%.*s", column ? " " : "", len, text);
		text += len;
		text += strspn(text, " ");
	}
	fputc('\n', to);
}
