/* SPDX-License-Identifier: BSD-3-Clause */
#include "keep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "log.h"
#include "state.h"

#define CLEANUP_STREAM __attribute__((cleanup(stream_clear)))

static int read_all(int fd, struct fp_stream *to)
{
	struct stat st;
	size_t done = 0;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if ((uint64_t)st.st_size > FP_STREAM_MAX)
		return -EFBIG;
	if (stream_extend(to, (size_t)st.st_size))
		return to->error;
	while (done < to->len) {
		ssize_t n = read(fd, to->bytes + done, to->len - done);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (!n)
			return -EIO;
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int open_directory(const char *path)
{
	CLEANUP_FREE char *dir = strndup(path, (size_t)(strrchr(path, '/') - path));
	int fd = dir ? open(*dir ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	return fd < 0 ? -errno : fd;
}

int keep_claim(const char *path, int *lock, int *dir)
{
	CLEANUP_FREE char *beside = NULL;
	int ret = 0;

	*dir = open_directory(path);
	if (*dir < 0) {
		log_error("%s: its directory: %s", path, strerror(-*dir));
		return *dir;
	}

	if (asprintf(&beside, "%s.lock", path) < 0) {
		beside = NULL;
		return -ENOMEM;
	}
	*lock = open(beside, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*lock < 0 || flock(*lock, LOCK_EX | LOCK_NB))
		ret = errno == EWOULDBLOCK ? -EBUSY : -errno;
	if (ret == -EBUSY)
		log_error("%s: another server keeps a device of this name there", path);
	else if (ret)
		log_error("%s: %s", beside, strerror(-ret));
	return ret;
}

int keep_load(struct fp_device *dev, const char *path)
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	CLEANUP_STREAM struct fp_stream stream = { 0 };
	int ret;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (!migration_is_offered(dev)) {
		log_error("%s: there is %s, but such a device can't load its state", dev->name,
			  path);
		return -EINVAL;
	}
	ret = fd < 0 ? -errno : read_all(fd, &stream);
	if (!ret)
		ret = state_load(dev, &stream);
	if (!ret)
		migration_run(dev);
	else
		log_error("%s: its state in %s is of no use: %s", dev->name, path, strerror(-ret));
	return ret;
}

static int write_all(int fd, const struct fp_stream *from)
{
	size_t done = 0;

	while (done < from->len) {
		ssize_t n = write(fd, from->bytes + done, from->len - done);

		if (n < 0 && errno != EINTR)
			return -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	return fsync(fd) ? -errno : 0;
}

/* By the directory's fd, which is how the sandbox tells these files from all others. */
static int replace(int dir, const char *name, const struct fp_stream *stream)
{
	CLEANUP_FREE char *temp = NULL;
	CLEANUP_CLOSE int fd = -1;
	int ret;

	if (asprintf(&temp, "%s.new", name) < 0) {
		temp = NULL;
		return -ENOMEM;
	}
	unlinkat(dir, temp, 0); /* of a server that was killed */
	fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ret = fd < 0 ? -errno : write_all(fd, stream);
	if (!ret && renameat(dir, temp, dir, name))
		ret = -errno;
	if (ret && fd >= 0)
		unlinkat(dir, temp, 0);
	/* The new file's name lasts only once its directory is written, too. */
	return ret ? ret : fsync(dir) ? -errno : 0;
}

int keep_save(struct fp_device *dev, const char *path, int dir)
{
	CLEANUP_STREAM struct fp_stream stream = { 0 };
	int ret;

	if (!migration_is_whole(dev))
		return -EOPNOTSUPP;
	ret = state_begin(dev, &stream);
	if (!ret)
		ret = state_save(dev, &stream);
	if (!ret)
		ret = replace(dir, strrchr(path, '/') + 1, &stream);
	if (ret)
		log_warn("%s: its state can't be kept in %s: %s", dev->name, path, strerror(-ret));
	return ret;
}
