/* SPDX-License-Identifier: BSD-3-Clause */
/* capture: what a piece of code says to stderr, for those who check messages. */
#ifndef FASTPATH_SELFTESTS_CAPTURE_H
#define FASTPATH_SELFTESTS_CAPTURE_H

#include <stddef.h>

#define CAPTURE_BYTES 65536

struct capture {
	int fd;
	int saved;
	char text[CAPTURE_BYTES]; /* after capture_end(): all of it, up to so many bytes */
};

/* From here on stderr goes to the capture. What fails in here ends the test. */
void capture_start(struct capture *capture);

/* Gives stderr back. */
void capture_end(struct capture *capture);

/* How many lines of the text contain `what`. */
unsigned int capture_lines(const struct capture *capture, const char *what);

#endif
