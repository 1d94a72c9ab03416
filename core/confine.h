/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * confine: what a process may no longer do, once it is set up and before it hears from anybody it
 * does not trust. For good, and for all of its threads.
 *
 * It keeps no capability but those of confine_keep() and gets no new privilege; it makes only those system calls that its list
 * has (seccomp_load(3)), and opens no file, not by io_uring either, where the kernel has Landlock.
 */
#ifndef FASTPATH_CONFINE_H
#define FASTPATH_CONFINE_H

#include <stddef.h>
#include <stdint.h>

/* What may be done beneath a directory, or to a file. */
enum {
	CONFINE_READ = 1 << 0,
	CONFINE_WRITE = 1 << 1,
	CONFINE_MAKE = 1 << 2,	 /* regular files; beneath directories only, as */
	CONFINE_REMOVE = 1 << 3, /* this is: no directories */
};

/* A system call that may be made. One call can have several, for different arguments. */
struct confine_rule {
	int call;     /* SYS_* */
	int refusal;  /* 0: allowed; else it fails with this errno, without a word in the log */
	unsigned arg; /* only when (argument `arg` & mask) == value; mask 0: with any arguments */
	uint64_t mask;
	uint64_t value;
};

/* Rows of a list of rules; <sys/syscall.h> has the names. */
#define ALLOW(name)                \
	{                          \
		.call = SYS_##name \
	}
#define ALLOW_IF(name, n, bits, wanted)                                           \
	{                                                                         \
		.call = SYS_##name, .arg = (n), .mask = (bits), .value = (wanted) \
	}
#define REFUSE(name, error)                            \
	{                                              \
		.call = SYS_##name, .refusal = (error) \
	}
#define ALL 0xffffffffu
#define FCNTL(command) ALLOW_IF(fcntl, 1, ALL, command)

/*
 * Confines this process to `nr` rules. The first one's call is looked for first. Any other system call fails with EPERM, and the log has one
 * line for each kind; a thread that blocks SIGSYS is killed by it. To be called while there is one
 * thread, whose capabilities and files those are that follow. -errno, said to the log: then nothing
 * can be relied upon.
 */
int confine(const struct confine_rule *rules, size_t nr);

/*
 * The same in steps, for a process that has threads already:
 *
 * Which files may still be opened, made and removed: none, but for what is added. An fd, to be closed;
 * -1 where the kernel has no Landlock, and it is up to the system calls alone.
 */
int confine_files(void);

/* Adds one. -errno, said to the log; but one that is to be removed and is gone is no error. */
int confine_files_add(int files, const char *path, unsigned int what);

/*
 * To be called first of all by a thread: the first time that the heap of one shrinks glibc reads
 * /proc/sys/vm/overcommit_memory, for all of them. Later that would look like something else.
 */
void confine_prepare(void);

/* A capability (CAP_*) that whoever has it is not to lose. Before any thread is confined. */
void confine_keep(unsigned int capability);

/* The capabilities and the files of the calling thread, and of those that it starts from now on. */
int confine_thread(int files);

/* The system calls of all threads that there are: each has done confine_thread() by now. */
int confine_calls(const struct confine_rule *rules, size_t nr);

#endif
