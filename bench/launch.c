/* SPDX-License-Identifier: BSD-3-Clause */
#include "launch.h"

#include <errno.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "socket.h"

/* How long it may take until it listens, and until it has ended when it was asked to. */
#define START_MS 5000
#define END_MS 2000

static const struct timespec pause_1_ms = { .tv_nsec = 1000000 };

/* Our own programs are found where this one is. */
static void extend_path(void)
{
	char program[4096];
	char path[8192];
	const char *old = getenv("PATH");
	ssize_t len = readlink("/proc/self/exe", program, sizeof(program) - 1);

	if (len <= 0)
		return;
	program[len] = 0;
	snprintf(path, sizeof(path), "%s:%s", dirname(program), old ? old : "/usr/bin:/bin");
	setenv("PATH", path, 1);
}

static void __attribute__((noreturn)) run(const struct launch *launch, const char *command)
{
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	setpgid(0, 0);
	extend_path();
	setenv("SOCKET", launch->socket, 1);
	dup2(STDERR_FILENO, STDOUT_FILENO); /* the standard output is the result's */
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

/* Connects when it listens. */
static int await(const char *name, struct launch *launch, int *fd)
{
	int status;

	for (int i = 0; i < START_MS; i++) {
		*fd = socket_connect(launch->socket);
		if (*fd >= 0)
			return 0;
		if (waitpid(launch->pid, &status, WNOHANG) == launch->pid) {
			launch->pid = 0;
			log_error("--start %s: it ended before it listened at $SOCKET", name);
			return -ECHILD;
		}
		nanosleep(&pause_1_ms, NULL);
	}
	log_error("--start %s: it does not listen at $SOCKET", name);
	return -ETIMEDOUT;
}

int launch(const char *name, const char *command, struct launch *launch, int *fd)
{
	strcpy(launch->dir, "/tmp/fastpath-bench.XXXXXX");
	if (!mkdtemp(launch->dir)) {
		log_error("--start %s: %s: %s", name, launch->dir, strerror(errno));
		launch->dir[0] = 0;
		return -EIO;
	}
	snprintf(launch->socket, sizeof(launch->socket), "%s/socket", launch->dir);
	launch->pid = fork();
	if (!launch->pid)
		run(launch, command);
	if (launch->pid < 0) {
		log_error("--start %s: %s", name, strerror(errno));
		launch->pid = 0;
		return -EAGAIN;
	}
	setpgid(launch->pid, launch->pid); /* whoever is first */
	return await(name, launch, fd);
}

/* All of the group, gently first. */
static void end_group(pid_t group)
{
	kill(-group, SIGTERM);
	for (int i = 0; i < END_MS; i++) {
		if (waitpid(group, NULL, WNOHANG) == group)
			break;
		nanosleep(&pause_1_ms, NULL);
		if (i == END_MS - 1) {
			kill(-group, SIGKILL);
			waitpid(group, NULL, 0);
		}
	}
	kill(-group, SIGKILL); /* what the shell may have left */
}

void launch_end(struct launch *launch)
{
	if (launch->pid)
		end_group(launch->pid);
	if (launch->dir[0]) {
		unlink(launch->socket);
		rmdir(launch->dir);
	}
	*launch = (struct launch){ 0 };
}
