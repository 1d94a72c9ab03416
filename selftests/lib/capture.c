/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void capture_start(struct capture *capture)
{
	capture->fd = memfd_create("stderr", MFD_CLOEXEC);
	capture->saved = dup(STDERR_FILENO);
	if (capture->fd < 0 || capture->saved < 0 || dup2(capture->fd, STDERR_FILENO) < 0)
		abort();
}

void capture_end(struct capture *capture)
{
	ssize_t len = pread(capture->fd, capture->text, sizeof(capture->text) - 1, 0);

	if (len < 0 || dup2(capture->saved, STDERR_FILENO) < 0)
		abort();
	capture->text[len] = '\0';
	close(capture->saved);
	close(capture->fd);
}

unsigned int capture_lines(const struct capture *capture, const char *what)
{
	unsigned int nr = 0;

	for (const char *at = strstr(capture->text, what); at; at = strstr(at, what)) {
		nr++;
		at = strchr(at, '\n');
		if (!at)
			break;
		at++;
	}
	return nr;
}
