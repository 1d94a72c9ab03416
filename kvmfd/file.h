/* SPDX-License-Identifier: BSD-3-Clause */
/* file: a regular file to be read once, whole. */
#ifndef KVMFD_FILE_H
#define KVMFD_FILE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Opens it for reading, and its size to *bytes: an fd, or -errno; -EISDIR, or -EINVAL for what is not
 * a file. Never waits for another end.
 */
int file_open(const char *path, uint64_t *bytes);

/* What is wrong with a file, of an error from here. */
const char *file_error(int ret);

/*
 * Its first `len` bytes: by read(), so that nobody can cut them short afterwards. -EIO when it has
 * become shorter.
 */
int file_read(int fd, void *bytes, size_t len);

/* The file, but `max` bytes of it at most, to *bytes, which is the caller's to free(). -errno. */
int file_load(const char *path, uint64_t max, void **bytes, size_t *len);

#endif
