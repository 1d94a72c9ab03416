/* SPDX-License-Identifier: BSD-3-Clause */
#include "socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"

/* How long a server that starts waits for one that was killed to be gone altogether. */
#define TAKEOVER_MS 500

/* For how long a server is waited for when nobody says. */
#define PATIENCE_MS 60000

/* Clients that wait to be accepted. */
#define BACKLOG 16

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ll + ts.tv_nsec / 1000000;
}

static int open_at(const struct address_at *at)
{
	int fd = socket(at->name.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

/* Waits for a connection that has been begun. */
static int await_connected(int fd, int64_t until_ms)
{
	struct pollfd writable = { .fd = fd, .events = POLLOUT };
	int64_t left = until_ms - now_ms();
	socklen_t len = sizeof(int);
	int error = 0;
	int nr;

	while ((nr = poll(&writable, 1, left > 0 ? (int)left : 0)) < 0 && errno == EINTR)
		left = until_ms - now_ms();
	if (nr < 1)
		return nr < 0 ? -errno : -ETIMEDOUT;
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) ? -errno : -error;
}

/* A UNIX socket's server that has too many waiting can't be waited for but by asking again. */
static int connect_until(int fd, const struct address_at *at, int64_t until_ms)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	int flags = fcntl(fd, F_GETFL);
	int ret;

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
		return -errno;
	while ((ret = connect(fd, (const struct sockaddr *)&at->name, at->len) ? -errno : 0) ==
		       -EAGAIN &&
	       now_ms() < until_ms)
		nanosleep(&pause, NULL);
	if (ret == -EINPROGRESS)
		ret = await_connected(fd, until_ms);
	if (ret == -EAGAIN)
		ret = -ETIMEDOUT;
	return ret ? ret : fcntl(fd, F_SETFL, flags) ? -errno : 0;
}

/* The first of its addresses at which somebody listens; the last one's -errno. */
static int connect_to(const struct address *address, int64_t until_ms)
{
	int ret = -EINVAL;

	for (unsigned int i = 0; i < address->nr; i++) {
		const struct address_at *at = &address->at[i];
		CLEANUP_CLOSE int fd = open_at(at);

		ret = fd < 0 ? fd : connect_until(fd, at, until_ms);
		if (!ret)
			return take_fd(&fd);
	}
	return ret;
}

int socket_connect_within(const char *text, unsigned int ms)
{
	struct address address;
	int ret = address_parse(text, ADDRESS_CONNECT, &address);

	return ret ? ret : connect_to(&address, now_ms() + ms);
}

int socket_connect(const char *text)
{
	return socket_connect_within(text, PATIENCE_MS);
}

/*
 * Whether a socket is bound to the file: 0 when there is, -ECONNREFUSED when there is none any more.
 * Asked with another type of socket, so that no server takes it for a client.
 */
static int probe(const struct address_at *at)
{
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (!connect(fd, (const struct sockaddr *)&at->name, at->len) || errno == EPROTOTYPE)
		return 0;
	return -errno;
}

/* Removes what a dead server left. */
static int make_way(const struct address *address)
{
	const char *path = address_path(address);
	struct timespec pause = { .tv_nsec = 1000000 };
	struct stat st;
	int ret;

	if (lstat(path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	/* A killed server's io_uring keeps its socket for some milliseconds more. */
	for (int i = 0; !(ret = probe(&address->at[0])) && i < TAKEOVER_MS; i++)
		nanosleep(&pause, NULL);
	if (ret != -ECONNREFUSED)
		return ret ? ret : -EADDRINUSE;
	return unlink(path) ? -errno : 0;
}

static int listen_unix(const struct address *address, mode_t mode)
{
	CLEANUP_CLOSE int fd = -1;
	const struct address_at *at = &address->at[0];
	int ret = make_way(address);

	if (ret)
		return ret;
	fd = open_at(at);
	if (fd < 0)
		return fd;
	/* The socket's own mode becomes the file's: nobody can slip in before a chmod(). */
	if (fchmod(fd, mode) || bind(fd, (const struct sockaddr *)&at->name, at->len))
		return -errno;
	/* Less what the umask forbids, which was not asked for. */
	if (mode & 077 && fchmodat(AT_FDCWD, address_path(address), mode, AT_SYMLINK_NOFOLLOW))
		ret = -errno;
	else if (listen(fd, BACKLOG))
		ret = -errno;
	if (ret)
		unlink(address_path(address));
	return ret ? ret : take_fd(&fd);
}

static int listen_remote(const struct address *address)
{
	CLEANUP_CLOSE int fd = open_at(&address->at[0]);
	const struct address_at *at = &address->at[0];
	int one = 1;

	if (fd < 0)
		return fd;
	/* The port of a server that ended is free at once, although its connections linger. */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)&at->name, at->len) || listen(fd, BACKLOG))
		return -errno;
	return take_fd(&fd);
}

int socket_listen_at(const struct address *address, mode_t mode)
{
	return address_path(address) ? listen_unix(address, mode) : listen_remote(address);
}

int socket_listen(const char *path)
{
	struct address address;
	int ret = address_of_path(path, &address);

	return ret ? ret : socket_listen_at(&address, 0600);
}

static int family_of(int fd)
{
	int family = AF_UNSPEC;
	socklen_t len = sizeof(family);

	getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len);
	return family;
}

bool socket_carries_fds(int fd)
{
	return family_of(fd) == AF_UNIX;
}

void socket_tune(int fd)
{
	int one = 1;

	if (family_of(fd) != AF_INET && family_of(fd) != AF_INET6)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
}
