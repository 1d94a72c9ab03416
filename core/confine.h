/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * confine: what a process may no longer do, once it is set up and before it hears from anybody it
 * does not trust. For good, and for all of its threads.
 *
 * It keeps no capability and gets no new privilege; it makes only those system calls that its list
 * has (seccomp_load(3)), and opens no file, not by io_uring either, where the kernel has Landlock.
 */
#ifndef FASTPATH_CONFINE_H
#define FASTPATH_CONFINE_H

#include <stddef.h>
#include <stdint.h>

/* A system call that may be made. One call can have several, for different arguments. */
struct confine_rule {
	int call;     /* SYS_* */
	int refusal;  /* 0: allowed; else it fails with this errno, without a word in the log */
	unsigned arg; /* only when (argument `arg` & mask) == value; mask 0: with any arguments */
	uint64_t mask;
	uint64_t value;
};

/*
 * Confines this process to `nr` rules. Any other system call fails with EPERM, and the log has one
 * line for each kind; a thread that blocks SIGSYS is killed by it. To be called while there is one
 * thread, whose capabilities and files those are that follow. -errno, said to the log: then nothing
 * can be relied upon.
 */
int confine(const struct confine_rule *rules, size_t nr);

#endif
