/* SPDX-License-Identifier: BSD-3-Clause */
#include "activation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"

/* SD_LISTEN_FDS_START */
#define FIRST_FD 3

static int number(const char *name, unsigned long max, unsigned long *value)
{
	const char *text = getenv(name);
	char *end;

	*value = 0;
	if (!text)
		return 0;
	*value = strtoul(text, &end, 10);
	if (*text >= '0' && *text <= '9' && !*end && *value <= max)
		return 0;
	log_error("%s=%s: wants a number, %lu at most", name, text, max);
	return -EINVAL;
}

static int check(int fd)
{
	int type = 0;
	int listens = 0;
	socklen_t len = sizeof(int);
	int flags = fcntl(fd, F_GETFL);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) || type != SOCK_STREAM ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) || !listens) {
		log_error("LISTEN_FDS: fd %d is no stream socket that listens", fd);
		return -EINVAL;
	}
	/* The ring waits for a connection only where the socket itself would. */
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK))
		return -errno;
	return 0;
}

/* The next one of a list with colons. Without a list, or at its end, "". */
static char *next_name(char **names)
{
	char *name = *names ? strsep(names, ":") : NULL;

	return strdup(name ? name : "");
}

static int take_all(struct activation *activation, size_t nr, char *names)
{
	int ret = 0;

	activation->sockets = calloc(nr, sizeof(*activation->sockets));
	if (!activation->sockets)
		return -ENOMEM;
	while (activation->nr < nr && !ret) {
		struct activation_socket *socket = &activation->sockets[activation->nr];

		socket->fd = FIRST_FD + (int)activation->nr++;
		socket->name = next_name(&names);
		ret = socket->name ? check(socket->fd) : -ENOMEM;
	}
	return ret;
}

int activation_open(struct activation *activation)
{
	const char *text = getenv("LISTEN_FDNAMES");
	CLEANUP_FREE char *names = text ? strdup(text) : NULL;
	unsigned long pid, nr;
	int ret;

	*activation = (struct activation){ 0 };
	ret = number("LISTEN_PID", (unsigned long)INT32_MAX, &pid);
	if (ret || (pid_t)pid != getpid()) /* they are another's, who left us the environment */
		return ret;
	ret = number("LISTEN_FDS", ACTIVATION_MAX, &nr);
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return ret || !nr ? ret : take_all(activation, nr, names);
}

int activation_take(struct activation *activation, const char *name)
{
	for (size_t i = 0; i < activation->nr; i++) {
		struct activation_socket *socket = &activation->sockets[i];

		if (socket->fd >= 0 && (!name || !strcmp(name, socket->name)))
			return take_fd(&socket->fd);
	}
	return -1;
}

void activation_close(struct activation *activation)
{
	for (size_t i = 0; i < activation->nr; i++) {
		cleanup_close(&activation->sockets[i].fd);
		free(activation->sockets[i].name);
	}
	free(activation->sockets);
	*activation = (struct activation){ 0 };
}
