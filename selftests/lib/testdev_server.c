/* SPDX-License-Identifier: BSD-3-Clause */
#include "testdev_server.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device.h"
#include "listen.h"
#include "log.h"
#include "registry.h"
#include "server.h"
#include "socket.h"

static void __attribute__((noreturn)) serve(const char *path)
{
	const struct served_options device = {
		.class_ = registry_find("testdev"),
		.socket = path,
		.fd = -1,
	};
	const struct server_options options = {
		.workers = 1,
		.devices = &device,
		.nr_devices = 1,
	};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	_exit(server_run(&options) ? 1 : 0);
}

/* Until it listens, for ten seconds at most. */
static bool await_socket(const struct testdev_server *served)
{
	for (unsigned int ms = 0; ms < 10000; ms++) {
		int fd = socket_connect(served->path);

		if (fd >= 0) {
			close(fd);
			return true;
		}
		if (waitpid(served->pid, NULL, WNOHANG))
			return false;
		usleep(1000);
	}
	return false;
}

static void start(struct testdev_server *served)
{
	served->pid = fork();
	if (served->pid < 0)
		abort();
	if (!served->pid)
		serve(served->path);
	if (!await_socket(served))
		abort();
}

void testdev_server_start(struct testdev_server *served)
{
	snprintf(served->dir, sizeof(served->dir), "/tmp/fastpath-test-XXXXXX");
	if (!mkdtemp(served->dir))
		abort();
	snprintf(served->path, sizeof(served->path), "%s/socket", served->dir);
	start(served);
}

void testdev_server_start_tcp(struct testdev_server *served)
{
	/* One that is free now: the server can't tell which one it would get. */
	int fd = listen_at("tcp:0");

	if (fd < 0)
		abort();
	address_bound_to(fd, served->path);
	close(fd);
	log_set_level(LOG_ERROR); /* that tcp is no secret is known */
	start(served);
}

void testdev_server_kill(struct testdev_server *served)
{
	kill(served->pid, SIGKILL);
	waitpid(served->pid, NULL, 0);
	served->pid = 0;
}

void testdev_server_again(struct testdev_server *served)
{
	/* Whether we or the client that waits for it come first, one of us is one too many. */
	log_set_level(LOG_ERROR);
	start(served);
	log_set_level(LOG_WARN);
}

void testdev_server_stop(struct testdev_server *served)
{
	if (served->pid)
		testdev_server_kill(served);
	if (!*served->dir)
		return;
	unlink(served->path);
	rmdir(served->dir);
}
