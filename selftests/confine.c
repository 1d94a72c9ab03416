/* SPDX-License-Identifier: GPL-2.0-only */
/* What a process that has confined itself can still do: what its list has, and nothing else. */
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/landlock.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "vmm_confine.h"

#define FILE_THERE "/proc/self/status"

static const struct confine_rule rules[] = {
	{ .call = SYS_exit_group },
	{ .call = SYS_exit },
	{ .call = SYS_read },
	{ .call = SYS_write },
	{ .call = SYS_getppid },
	{ .call = SYS_futex },
	{ .call = SYS_munmap },
	{ .call = SYS_madvise },
	{ .call = SYS_rt_sigprocmask },
	{ .call = SYS_rt_sigreturn },
	{ .call = SYS_prctl, .arg = 0, .mask = UINT32_MAX, .value = PR_GET_SECCOMP },
	/* A sanitizer's threads end with these. */
	{ .call = SYS_sigaltstack },
	{ .call = SYS_gettid },
	{ .call = SYS_mmap },
	{ .call = SYS_getuid, .refusal = ENOSYS },
	{ .call = SYS_socket, .arg = 0, .mask = UINT32_MAX, .value = AF_UNIX },
	{ .call = SYS_socket, .arg = 0, .mask = UINT32_MAX, .value = AF_INET6 },
};

#define NR_RULES (sizeof(rules) / sizeof(*rules))

/* What fn() returns in a child, 0 to 127, or -N when signal N has ended it. Its stderr: to `log`. */
static int in_child(int (*fn)(void), char *log, size_t size)
{
	int status, ends[2];
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	if (pipe(ends))
		return -1000;
	pid = fork();
	if (!pid) {
		dup2(ends[1], STDERR_FILENO);
		close(ends[1]);
		/* Not by a function that never returns: before one, a sanitizer looks around. */
		syscall(SYS_exit_group, fn());
	}
	close(ends[1]);
	while (len < size - 1 && (n = read(ends[0], log + len, size - 1 - len)) > 0)
		len += (size_t)n;
	log[len] = '\0';
	close(ends[0]);
	if (waitpid(pid, &status, 0) != pid)
		return -1001;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

FIXTURE(confine) {
	char log[4096];
};

FIXTURE_SETUP(confine)
{
}

FIXTURE_TEARDOWN(confine)
{
}

#define IN_CHILD(fn) in_child(fn, self->log, sizeof(self->log))

/* ---- one call at a time: 0, or the number of the check that failed ---- */

static int by_test_rules(void)
{
	return confine(rules, NR_RULES) ? 100 : 0;
}

static int what_is_listed(void)
{
	if (by_test_rules())
		return 100;
	if (syscall(SYS_getppid) < 0)
		return 1;
	if (prctl(PR_GET_SECCOMP) != 2)
		return 2;
	if (socket(AF_UNIX, SOCK_STREAM, 0) < 0)
		return 3;
	return socket(AF_INET6, SOCK_STREAM, 0) < 0 && errno == EPERM ? 4 : 0;
}

TEST_F(confine, what_is_listed_may_be_done)
{
	EXPECT_EQ(0, IN_CHILD(what_is_listed));
	EXPECT_STREQ("", self->log);
}

static int with_another_argument(void)
{
	if (by_test_rules())
		return 100;
	if (socket(AF_INET, SOCK_STREAM, 0) >= 0 || errno != EPERM)
		return 1;
	return prctl(PR_SET_NAME, "x") == 0 || errno != EPERM ? 2 : 0;
}

TEST_F(confine, a_call_that_is_listed_for_other_arguments_is_refused)
{
	EXPECT_EQ(0, IN_CHILD(with_another_argument));
}

static int quietly(void)
{
	if (by_test_rules())
		return 100;
	return syscall(SYS_getuid) >= 0 || errno != ENOSYS ? 1 : 0;
}

TEST_F(confine, a_refusal_that_is_listed_has_its_errno_and_no_line_in_the_log)
{
	EXPECT_EQ(0, IN_CHILD(quietly));
	EXPECT_STREQ("", self->log);
}

static int what_is_not_listed(void)
{
	char *const none[] = { NULL };

	if (by_test_rules())
		return 100;
	if (open(FILE_THERE, O_RDONLY) >= 0 || errno != EPERM)
		return 1;
	if (!execve("/bin/true", none, none) || errno != EPERM)
		return 2;
	if (!ptrace(PTRACE_TRACEME, 0, 0, 0) || errno != EPERM)
		return 3;
	if (syscall(SYS_fork) >= 0 || errno != EPERM)
		return 4;
	if (open(FILE_THERE, O_RDONLY) >= 0 || errno != EPERM)
		return 5;
	return 0;
}

static size_t count(const char *text, const char *what)
{
	size_t nr = 0;

	while ((text = strstr(text, what))) {
		text++;
		nr++;
	}
	return nr;
}

TEST_F(confine, a_file_a_program_another_process_are_refused_and_the_log_says_so_once)
{
	EXPECT_EQ(0, IN_CHILD(what_is_not_listed));
	EXPECT_EQ(1, count(self->log, "the sandbox refuses system call 257 (openat)"));
	EXPECT_EQ(1, count(self->log, "(execve)"));
	EXPECT_EQ(1, count(self->log, "(ptrace)"));
	EXPECT_EQ(1, count(self->log, "(fork)"));
	EXPECT_EQ(4, count(self->log, "\n"));
}

/* ---- what stands in /proc ---- */

static int status_fd;

/* What /proc/self/status of a confined process says, by an fd from before. */
static int show_status(void)
{
	static const struct confine_rule more[] = {
		{ .call = SYS_exit_group },
		{ .call = SYS_write },
		{ .call = SYS_read },
	};
	char text[4096];
	ssize_t n;

	status_fd = open(FILE_THERE, O_RDONLY);
	if (confine(more, 3))
		return 100;
	n = read(status_fd, text, sizeof(text));
	return n > 0 && write(STDERR_FILENO, text, (size_t)n) == n ? 0 : 1;
}

TEST_F(confine, it_has_no_capability_no_new_privileges_and_a_filter)
{
	EXPECT_EQ(0, IN_CHILD(show_status));
	EXPECT_NE(NULL, strstr(self->log, "CapPrm:\t0000000000000000\n"));
	EXPECT_NE(NULL, strstr(self->log, "CapEff:\t0000000000000000\n"));
	EXPECT_NE(NULL, strstr(self->log, "NoNewPrivs:\t1\n"));
	EXPECT_NE(NULL, strstr(self->log, "Seccomp:\t2\n"));
}

/* ---- threads ---- */

static int wakes[2], ready[2];
static int refused_there;

static void *open_when_told(void *unused)
{
	char byte;

	(void)unused;
	if (write(ready[1], "x", 1) == 1 && read(wakes[0], &byte, 1) == 1)
		refused_there = syscall(SYS_getcwd, NULL, 0) < 0 && errno == EPERM;
	return NULL;
}

/* The thread is there before. */
static int in_another_thread(void)
{
	pthread_t thread;
	char byte;

	if (pipe(wakes) || pipe(ready) || pthread_create(&thread, NULL, open_when_told, NULL) ||
	    read(ready[0], &byte, 1) != 1 || by_test_rules())
		return 100;
	if (write(wakes[1], "x", 1) != 1 || pthread_join(thread, NULL))
		return 1;
	return refused_there ? 0 : 2;
}

TEST_F(confine, a_thread_that_was_there_before_is_filtered_too)
{
	EXPECT_EQ(0, IN_CHILD(in_another_thread));
}

/* ---- io_uring ---- */

static int uring_opens(void)
{
	struct io_uring ring;
	struct io_uring_cqe *cqe;
	struct io_uring_sqe *sqe;

	if (io_uring_queue_init(4, &ring, 0))
		return 99;
	if (vmm_confine())
		return 100;
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_openat(sqe, AT_FDCWD, FILE_THERE, O_RDONLY, 0);
	if (io_uring_submit(&ring) != 1 || io_uring_wait_cqe(&ring, &cqe))
		return 1;
	return cqe->res == -EACCES ? 0 : 2;
}

TEST_F(confine, io_uring_opens_no_file_either)
{
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 1)
		SKIP(return, "no Landlock here: %s", strerror(errno));
	EXPECT_EQ(0, IN_CHILD(uring_opens));
}

/* ---- the monitor's list ---- */

static int as_the_monitor(void)
{
	char *const none[] = { NULL };

	if (vmm_confine())
		return 100;
	if (open(FILE_THERE, O_RDONLY) >= 0 || open("/tmp/fastpath-x", O_RDWR | O_CREAT, 0600) >= 0)
		return 1;
	if (!execve("/bin/true", none, none) || !ptrace(PTRACE_TRACEME, 0, 0, 0))
		return 2;
	if (syscall(SYS_fork) >= 0 || syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) >= 0)
		return 3;
	if (!kill(getppid(), 0) || !syscall(SYS_tgkill, getppid(), getppid(), 0))
		return 4;
	if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
	    MAP_FAILED)
		return 5;
	if (socket(AF_NETLINK, SOCK_RAW, 0) >= 0)
		return 6;
	return 0;
}

TEST_F(confine, a_monitor_opens_runs_traces_forks_and_signals_nothing)
{
	EXPECT_EQ(0, IN_CHILD(as_the_monitor));
}

static void *nothing(void *unused)
{
	return unused;
}

static int starts_a_thread(void)
{
	pthread_t thread;

	if (vmm_confine())
		return 100;
	if (pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL))
		return 1;
	return syscall(SYS_tgkill, getpid(), gettid(), 0) ? 2 : 0;
}

TEST_F(confine, a_monitor_starts_threads_and_signals_them)
{
	EXPECT_EQ(0, IN_CHILD(starts_a_thread));
	EXPECT_STREQ("", self->log);
}

TEST_HARNESS_MAIN
