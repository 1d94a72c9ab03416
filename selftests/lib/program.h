/* SPDX-License-Identifier: BSD-3-Clause */
/* program: one of the programs that `make` builds, run with its output read. */
#ifndef FASTPATH_SELFTESTS_PROGRAM_H
#define FASTPATH_SELFTESTS_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define PROGRAM_MAX_ARGS 32

struct program {
	pid_t pid;
	int stdout_fd;
	int stderr_fd;
	/* After program_wait(). */
	int status;		/* of exit; -N when signal N killed it */
	char said[65536];	/* to stdout */
	char complained[16384]; /* to stderr */
};

/* The sanitizers do at a program's end what no sandbox allows: fastpath-vmm and fastpathd run without one then. */
bool program_without_sandbox(void);

/* Where `name` ("fastpath-vmm", "payload/hello.bin") was built, valid until the next call. */
const char *program_path(const char *name);

/*
 * Starts the program with arguments that end with NULL. It is killed when the test ends. With
 * `no_dev` its /dev is empty: -errno when that can't be had, as it takes root. What else goes wrong
 * ends the test.
 */
int program_start(struct program *program, const char *name, const char *const *args, bool no_dev);

/*
 * Programs that are started from now on get `nr` sockets (4 at most) the way systemd passes them,
 * with LISTEN_FDNAMES=`names` unless that is NULL. The fds stay the caller's.
 */
void program_pass(const int *fds, unsigned int nr, const char *names);

/* Waits for the first line of its stdout, which `said` will lack. False: it ended without. */
bool program_await_line(struct program *program);

/* Waits until its stderr has said `what`, which `complained` will lack. False: it ended without. */
bool program_await_complaint(struct program *program, const char *what);

/* Reads what it says until it ends. */
void program_wait(struct program *program);

#endif
