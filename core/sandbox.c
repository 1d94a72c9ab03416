/* SPDX-License-Identifier: BSD-3-Clause */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include "cleanup.h"
#include "confine.h"
#include "device.h"
#include "log.h"

/* No file's name, no new socket but pairs, no new ring, no thread, no process, no code. */
static const struct confine_rule base[] = {
	/* the rings of the workers; what they may be asked is ring_restrict's */
	ALLOW(io_uring_enter),
	ALLOW_IF(io_uring_register, 1, ALL, IORING_UNREGISTER_RING_FDS), /* at the end */

	/* clients, and the one who asks at the control socket */
	ALLOW(sendmsg),
	ALLOW(sendto),
	ALLOW(recvmsg),
	ALLOW(recvfrom),
	ALLOW(accept4),
	ALLOW(shutdown),
	ALLOW(getsockopt),
	ALLOW(setsockopt),
	ALLOW(getsockname),
	ALLOW(getpeername),
	FCNTL(F_DUPFD_CLOEXEC),
	FCNTL(F_GETFD),
	FCNTL(F_SETFD),
	FCNTL(F_GETFL),
	FCNTL(F_SETFL),
	FCNTL(F_GET_SEALS),
	FCNTL(F_ADD_SEALS),

	/* what is handed out to them, and what they hand over */
	ALLOW(eventfd2),
	ALLOW(memfd_create),
	ALLOW(ftruncate),
	ALLOW_IF(socketpair, 0, ALL, AF_UNIX),
	ALLOW(fstat),
	ALLOW(fstatfs),	   /* how large the pages of a file are */
	ALLOW(newfstatat), /* which is how fstat() is called */
	ALLOW(lseek),
	ALLOW(readlink), /* of /proc/self/fd: what kind an fd is */
	ALLOW(readlinkat),

	/* what is open: guest memory by file I/O, eventfds, the log, the trace, state */
	ALLOW(read),
	ALLOW(readv),
	ALLOW(pread64),
	ALLOW(preadv),
	ALLOW(preadv2),
	ALLOW(write),
	ALLOW(writev),
	ALLOW(pwrite64),
	ALLOW(pwritev),
	ALLOW(pwritev2),
	ALLOW(fsync),
	ALLOW(fdatasync),
	ALLOW(close),

	/* waiting */
	ALLOW(poll),
	ALLOW(ppoll),
	ALLOW(epoll_wait),
	ALLOW(epoll_pwait),
	ALLOW(epoll_ctl),
	ALLOW(futex),
	ALLOW(nanosleep),
	ALLOW(clock_nanosleep),
	ALLOW(clock_gettime),
	ALLOW(gettimeofday),
	ALLOW(sched_yield),
	ALLOW(sched_getaffinity),
	ALLOW(getrandom),

	/* memory, never to be executed */
	ALLOW_IF(mmap, 2, PROT_EXEC, 0),
	ALLOW_IF(mprotect, 2, PROT_EXEC, 0),
	ALLOW(munmap),
	ALLOW(mremap),
	ALLOW(madvise),
	ALLOW(brk),

	/* the end, and signals */
	ALLOW(gettid),
	ALLOW(getpid),
	ALLOW(exit),
	ALLOW(exit_group),
	ALLOW(rt_sigaction),
	ALLOW(rt_sigprocmask),
	ALLOW(rt_sigreturn),
	ALLOW(sigaltstack),
	ALLOW(restart_syscall),

	/*
	 * What clone3() would do can't be seen. The C library takes clone() then, which is not allowed
	 * either, unless a device has said that it starts threads.
	 */
	REFUSE(clone3, ENOSYS),
};

#define NR_BASE (sizeof(base) / sizeof(*base))

struct sandbox {
	struct confine_rule *rules;
	size_t nr;
	int files;
};

static bool is_same(const struct confine_rule *a, const struct confine_rule *b)
{
	return a->call == b->call && a->refusal == b->refusal && a->arg == b->arg &&
	       a->mask == b->mask && a->value == b->value;
}

static int allow(struct sandbox *sandbox, const struct confine_rule *rules, size_t nr)
{
	struct confine_rule *grown = reallocarray(sandbox->rules, sandbox->nr + nr, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	sandbox->rules = grown;
	for (size_t i = 0; i < nr; i++) {
		size_t at = 0;

		while (at < sandbox->nr && !is_same(&grown[at], &rules[i]))
			at++;
		grown[at] = rules[i];
		sandbox->nr += at == sandbox->nr;
	}
	return 0;
}

/* Signals to threads of ours, and to nobody else's: abort(), and a fault that is not for us to mend. */
static int allow_own_signals(struct sandbox *sandbox)
{
	const struct confine_rule rules[] = {
		ALLOW_IF(tgkill, 0, ALL, (uint32_t)getpid()),
		ALLOW_IF(rt_tgsigqueueinfo, 0, ALL, (uint32_t)getpid()),
	};

	return allow(sandbox, rules, 2);
}

/* What libraries open when they are first asked: for the times of a trace, and for json-c's hashes. */
static void open_libraries_files(void)
{
	struct json_object *object = json_object_new_object();

	tzset();
	json_object_object_add(object, "seed", NULL);
	json_object_put(object);
}

int sandbox_open(struct sandbox **out)
{
	struct sandbox *sandbox = calloc(1, sizeof(*sandbox));
	int ret;

	if (!sandbox)
		return -ENOMEM;
	open_libraries_files();
	sandbox->files = confine_files();
	ret = allow(sandbox, base, NR_BASE);
	if (!ret)
		ret = allow_own_signals(sandbox);
	if (ret)
		sandbox_close(sandbox);
	else
		*out = sandbox;
	return ret;
}

void sandbox_close(struct sandbox *sandbox)
{
	if (!sandbox)
		return;
	cleanup_close(&sandbox->files);
	free(sandbox->rules);
	free(sandbox);
}

/* Who may remove a file may remove all in its directory: a file's name is that one's. */
static int allow_removal(struct sandbox *sandbox, const char *path)
{
	static const struct confine_rule rule = ALLOW(unlink);
	const char *slash = strrchr(path, '/');
	CLEANUP_FREE char *dir = !slash	       ? strdup(".") :
				 slash == path ? strdup("/") :
						 strndup(path, (size_t)(slash - path));
	int ret = dir ? allow(sandbox, &rule, 1) : -ENOMEM;

	return ret ? ret : confine_files_add(sandbox->files, dir, CONFINE_REMOVE);
}

int sandbox_allow_path(struct sandbox *sandbox, const char *path, unsigned int what)
{
	static const struct confine_rule reads = ALLOW_IF(openat, 2, O_ACCMODE, O_RDONLY);
	static const struct confine_rule opens = ALLOW(openat);
	unsigned int access = (what & FP_PATH_READ ? CONFINE_READ : 0) |
			      (what & FP_PATH_WRITE ? CONFINE_WRITE : 0);
	int ret = 0;

	if (access)
		ret = allow(sandbox, what & FP_PATH_WRITE ? &opens : &reads, 1);
	if (!ret && access)
		ret = confine_files_add(sandbox->files, path, access);
	if (!ret && what & FP_PATH_REMOVE)
		ret = allow_removal(sandbox, path);
	return ret;
}

/* Only where the directory is an fd, which AT_FDCWD, a negative number, is not. */
int sandbox_allow_state(struct sandbox *sandbox, const char *dir)
{
	static const struct confine_rule rules[] = {
		ALLOW_IF(openat, 0, 1u << 31, 0),
		ALLOW_IF(unlinkat, 0, 1u << 31, 0),
		ALLOW_IF(renameat, 0, 1u << 31, 0),
	};
	int ret = allow(sandbox, rules, sizeof(rules) / sizeof(*rules));

	return ret ? ret :
		     confine_files_add(sandbox->files, dir,
				       CONFINE_WRITE | CONFINE_MAKE | CONFINE_REMOVE);
}

static int allow_call(struct sandbox *sandbox, const struct fp_call *call)
{
	const struct confine_rule rule = {
		.call = call->number,
		.arg = call->arg,
		.mask = call->mask,
		.value = call->value,
	};

	return allow(sandbox, &rule, 1);
}

int sandbox_allow_device(struct sandbox *sandbox, const struct fp_device *dev)
{
	const struct fp_class *class_ = dev->class_;
	int ret = 0;

	for (unsigned int i = 0; i < 64; i++)
		if (dev->capabilities & 1ull << i)
			confine_keep(i);
	for (size_t i = 0; i < class_->nr_calls && !ret; i++)
		ret = allow_call(sandbox, &class_->calls[i]);
	for (const struct device_path *path = dev->paths; path && !ret; path = path->next)
		ret = sandbox_allow_path(sandbox, path->path, path->what);
	return ret;
}

int sandbox_files(const struct sandbox *sandbox)
{
	return sandbox->files;
}

int sandbox_enter(const struct sandbox *sandbox)
{
	int ret = confine_thread(sandbox->files);

	return ret ? ret : confine_calls(sandbox->rules, sandbox->nr);
}
