/* SPDX-License-Identifier: BSD-3-Clause */
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the child tells its parent when it can't become the program. */
#define NOT_STARTED 125

#define FIRST_PASSED 3
#define MAX_PASSED 4u

static struct {
	int fds[MAX_PASSED];
	unsigned int nr;
	const char *names;
} passed;

void program_pass(const int *fds, unsigned int nr, const char *names)
{
	if (nr > MAX_PASSED)
		abort();
	memcpy(passed.fds, fds, nr * sizeof(*fds));
	passed.nr = nr;
	passed.names = names;
}

/* In the child. */
static void pass(void)
{
	char text[16];
	int copies[MAX_PASSED];

	if (!passed.nr)
		return;
	for (unsigned int i = 0; i < passed.nr; i++) /* out of the way of each other */
		copies[i] = fcntl(passed.fds[i], F_DUPFD_CLOEXEC, 100);
	for (unsigned int i = 0; i < passed.nr; i++)
		if (dup2(copies[i], FIRST_PASSED + (int)i) < 0)
			_exit(NOT_STARTED);
	snprintf(text, sizeof(text), "%d", (int)getpid());
	setenv("LISTEN_PID", text, 1);
	snprintf(text, sizeof(text), "%u", passed.nr);
	setenv("LISTEN_FDS", text, 1);
	if (passed.names)
		setenv("LISTEN_FDNAMES", passed.names, 1);
}

const char *program_path(const char *name)
{
	static char path[4096];
	const char *given = getenv("FASTPATH_BUILD");
	ssize_t len;

	if (given) {
		snprintf(path, sizeof(path), "%s/%s", given, name);
		return path;
	}
	/* This program is in selftests/ below the directory that was built into. */
	len = readlink("/proc/self/exe", path, sizeof(path) - 1);
	if (len < 0)
		abort();
	path[len] = '\0';
	for (int i = 0; i < 2; i++)
		*strrchr(path, '/') = '\0';
	len = (ssize_t)strlen(path);
	snprintf(path + len, sizeof(path) - (size_t)len, "/%s", name);
	return path;
}

bool program_without_sandbox(void)
{
	const char *sanitizers = getenv("SAN");

	return sanitizers && *sanitizers;
}

static int hide_dev(void)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", "/dev", "tmpfs", 0, NULL))
		return -errno;
	return 0;
}

static void __attribute__((noreturn))
become(const char *path, const char *const *args, const int *pipes, bool no_dev)
{
	const char *argv[PROGRAM_MAX_ARGS + 3] = { path };
	int nr = 1;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (program_without_sandbox() && (!strcmp(strrchr(path, '/'), "/fastpath-vmm") ||
					  !strcmp(strrchr(path, '/'), "/fastpathd")))
		argv[nr++] = "--sandbox=off";
	for (int i = 0; i < PROGRAM_MAX_ARGS && args[i]; i++)
		argv[nr++] = args[i];
	if (dup2(pipes[1], STDOUT_FILENO) < 0 || dup2(pipes[3], STDERR_FILENO) < 0 ||
	    (no_dev && hide_dev()))
		_exit(NOT_STARTED);
	pass();
	execv(path, (char **)argv);
	_exit(NOT_STARTED);
}

int program_start(struct program *program, const char *name, const char *const *args, bool no_dev)
{
	const char *path = program_path(name);
	int pipes[4];

	if (no_dev && geteuid())
		return -EPERM;
	if (pipe2(pipes, O_CLOEXEC) || pipe2(pipes + 2, O_CLOEXEC))
		abort();
	*program = (struct program){ .stdout_fd = pipes[0], .stderr_fd = pipes[2] };
	program->pid = fork();
	if (program->pid < 0)
		abort();
	if (!program->pid)
		become(path, args, pipes, no_dev);
	close(pipes[1]);
	close(pipes[3]);
	return 0;
}

bool program_await_line(struct program *program)
{
	char c = '\0';

	while (c != '\n')
		if (read(program->stdout_fd, &c, 1) != 1)
			return false;
	return true;
}

static void read_all(int fd, char *text, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len < size - 1 && (n = read(fd, text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	close(fd);
}

bool program_await_complaint(struct program *program, const char *what)
{
	char line[512];
	size_t len = 0;
	char c;

	while (read(program->stderr_fd, &c, 1) == 1) {
		if (len < sizeof(line) - 1)
			line[len++] = c;
		line[len] = '\0';
		if (c == '\n' && strstr(line, what))
			return true;
		if (c == '\n')
			len = 0;
	}
	return false;
}

void program_wait(struct program *program)
{
	int status;

	read_all(program->stdout_fd, program->said, sizeof(program->said));
	read_all(program->stderr_fd, program->complained, sizeof(program->complained));
	if (waitpid(program->pid, &status, 0) != program->pid)
		abort();
	program->status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}
