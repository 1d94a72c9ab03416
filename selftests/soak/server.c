/* SPDX-License-Identifier: BSD-3-Clause */
#include "server.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/program.h"
#include "soak.h"
#include "socket.h"

#define DEADLINE_MS 30000u

static void __attribute__((noreturn)) become(const struct server *server)
{
	const char *sanitizer = getenv("SAN"); /* which does at its end what no sandbox allows */
	char devices[SERVER_DEVICES][224], state[160], log[160];
	int fd;

	for (unsigned int i = 0; i < SERVER_DEVICES; i++)
		snprintf(devices[i], sizeof(devices[i]), "%s,name=d%u,socket=%s",
			 i == SERVER_EDU ? "edu" : "testdev", i, server->sockets[i]);
	snprintf(state, sizeof(state), "--state=%s/state", server->dir);
	snprintf(log, sizeof(log), "%s/log", server->dir);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
		_exit(125);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execl(program_path("fastpathd"), "fastpathd", "--workers=2", "--client-timeout=60",
	      sanitizer && *sanitizer ? "--sandbox=off" : "--sandbox=on", state, "--device",
	      devices[0], "--device", devices[1], "--device", devices[2], (char *)NULL);
	_exit(125);
}

void server_start(struct server *server, const char *dir)
{
	*server = (struct server){ 0 };
	snprintf(server->dir, sizeof(server->dir), "%s", dir);
	for (unsigned int i = 0; i < SERVER_DEVICES; i++)
		snprintf(server->sockets[i], sizeof(server->sockets[i]), "%s/socket%u", dir, i);
	server->pid = fork();
	if (server->pid < 0)
		soak_fail("fork: %s", strerror(errno));
	if (!server->pid)
		become(server);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void check_alive(const struct server *server)
{
	int status;

	if (waitpid(server->pid, &status, WNOHANG) == server->pid)
		soak_fail("the server has ended, with %#x: see %s/log", (unsigned int)status,
			  server->dir);
}

struct fpc *server_connect(const struct server *server, unsigned int device)
{
	struct fpc_options options = { .timeout_ms = DEADLINE_MS };
	uint64_t end = now_ms() + DEADLINE_MS;
	struct fpc *client;
	int ret;

	/* It starts, or has not noticed yet that its last client is gone. */
	while ((ret = fpc_connect(server->sockets[device], &options, &client))) {
		check_alive(server);
		if (now_ms() > end)
			soak_fail("device %u lets nobody in: %s", device, strerror(-ret));
		usleep(1000);
	}
	return client;
}

int server_connect_raw(const struct server *server, unsigned int device)
{
	uint64_t end = now_ms() + DEADLINE_MS;
	int fd;

	while ((fd = socket_connect(server->sockets[device])) < 0) {
		check_alive(server);
		if (now_ms() > end)
			soak_fail("device %u does not listen: %s", device, strerror(-fd));
		usleep(1000);
	}
	return fd;
}

void server_kill(struct server *server)
{
	kill(server->pid, SIGKILL);
	if (waitpid(server->pid, NULL, 0) != server->pid)
		soak_fail("the server was not there to be killed");
}

void server_end(struct server *server)
{
	int status = 0;

	kill(server->pid, SIGTERM);
	if (waitpid(server->pid, &status, 0) != server->pid || status)
		soak_fail("the server ended with %#x: see %s/log", (unsigned int)status,
			  server->dir);
}

unsigned int server_count_fds(const struct server *server)
{
	unsigned int nr = 0;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)server->pid);
	dir = opendir(path);
	if (!dir)
		return 0;
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}
