/* SPDX-License-Identifier: BSD-3-Clause */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

int file_open(const char *path, uint64_t *bytes)
{
	/* Without waiting for the other end, should it be a FIFO. */
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	*bytes = (uint64_t)st.st_size;
	return take_fd(&fd);
}

const char *file_error(int ret)
{
	return ret == -EINVAL ? "not a regular file" : strerror(-ret);
}

int file_read(int fd, void *bytes, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = read(fd, (uint8_t *)bytes + done, len - done);

		if (n < 0)
			return -errno;
		if (!n)
			return -EIO;
		done += (size_t)n;
	}
	return 0;
}

int file_load(const char *path, uint64_t max, void **bytes, size_t *len)
{
	uint64_t size = 0;
	CLEANUP_CLOSE int fd = file_open(path, &size);

	if (fd < 0)
		return fd;
	*len = size > max ? (size_t)max : (size_t)size;
	*bytes = malloc(*len + 1);
	return *bytes ? file_read(fd, *bytes, *len) : -ENOMEM;
}
