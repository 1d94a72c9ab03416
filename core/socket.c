/* SPDX-License-Identifier: BSD-3-Clause */
#include "socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"

/* How long a server that starts waits for one that was killed to be gone altogether. */
#define TAKEOVER_MS 500

static int address(const char *path, struct sockaddr_un *addr)
{
	size_t len = strlen(path);

	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (!len)
		return -EINVAL;
	if (len >= sizeof(addr->sun_path))
		return -ENAMETOOLONG;
	memcpy(addr->sun_path, path, len + 1);
	return 0;
}

int socket_connect(const char *path)
{
	CLEANUP_CLOSE int fd = -1;
	struct sockaddr_un addr;
	int ret = address(path, &addr);

	if (ret)
		return ret;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return -errno;
	return take_fd(&fd);
}

/*
 * Whether a socket is bound to the file: 0 when there is, -ECONNREFUSED when there is none any more.
 * Asked with another type of socket, so that no server takes it for a client.
 */
static int probe(const struct sockaddr_un *addr)
{
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (!connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) || errno == EPROTOTYPE)
		return 0;
	return -errno;
}

/* Removes what a dead server left. */
static int make_way(const struct sockaddr_un *addr)
{
	struct timespec pause = { .tv_nsec = 1000000 };
	struct stat st;
	int ret;

	if (lstat(addr->sun_path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	/* A killed server's io_uring keeps its socket for some milliseconds more. */
	for (int i = 0; !(ret = probe(addr)) && i < TAKEOVER_MS; i++)
		nanosleep(&pause, NULL);
	if (ret != -ECONNREFUSED)
		return ret ? ret : -EADDRINUSE;
	return unlink(addr->sun_path) ? -errno : 0;
}

int socket_listen(const char *path)
{
	CLEANUP_CLOSE int fd = -1;
	struct sockaddr_un addr;
	int ret = address(path, &addr);

	if (!ret)
		ret = make_way(&addr);
	if (ret)
		return ret;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* The socket's own mode becomes the file's: nobody can slip in before a chmod(). */
	if (fd < 0 || fchmod(fd, 0600) || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(fd, 16))
		return -errno;
	return take_fd(&fd);
}
