// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a device that somebody has taken over can still do to its host: it tries, in a server that is
 * confined.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/landlock.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "fastpath.h"
#include "kselftest_harness.h"
#include "lib/peer.h"
#include "lib/program.h"

#define SOMEBODYS_FILE "/etc/passwd"

/* ---- the device that was taken over ---- */

struct captive {
	const char *path; /* what it was allowed, */
	const char *may;  /* and what for: "r" or "x"; NULL: nothing */
	int socket;	  /* made while that was allowed */
	int ring;	  /* of its worker */
	pid_t victim;
	struct fp_file_op file;
	char byte;
	struct fp_piece piece;
	int64_t result; /* of what it tried last: 0 or more, or -errno */
};

/* To be tried, by a write of its number. */
enum attempt {
	OPEN_FILE,
	MAKE_FILE,
	OPEN_BY_FD, /* as files of --state are */
	REMOVE_FILE,
	MAKE_SOCKET,
	CONNECT,
	EXEC,
	FORK,
	THREAD,
	TRACE,
	PEEK,
	KILL,
	KILL_THREAD,
	MAP_CODE,
	MAKE_CODE,
	NEW_RING,
	REGISTER,
	BECOME_ROOT,
	DECLARED_CALL,
	DECLARED_IOCTL,
	OTHER_IOCTL,
	OPEN_ALLOWED,
	WRITE_ALLOWED,
	REMOVE_ALLOWED,
	READ_BY_RING,
	NR_ATTEMPTS
};

#define RESULT 8

static long open_file(struct captive *captive)
{
	return syscall(SYS_openat, AT_FDCWD, SOMEBODYS_FILE, O_RDONLY);
}

static long make_file(struct captive *captive)
{
	return syscall(SYS_openat, AT_FDCWD, "/tmp/fastpath-captive", O_WRONLY | O_CREAT, 0600);
}

static long open_by_fd(struct captive *captive)
{
	return syscall(SYS_openat, STDERR_FILENO, SOMEBODYS_FILE, O_RDONLY);
}

static long remove_file(struct captive *captive)
{
	return syscall(SYS_unlink, captive->path ? captive->path : "/nowhere/file");
}

static long make_socket(struct captive *captive)
{
	return syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
}

static long connect_to_other(struct captive *captive)
{
	const struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "\0somebody" };

	return syscall(SYS_connect, captive->socket, &name, sizeof(name));
}

static long exec(struct captive *captive)
{
	char *const none[] = { NULL };

	return syscall(SYS_execve, "/bin/true", none, none);
}

static long make_process(struct captive *captive)
{
	return syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

static long make_thread(struct captive *captive)
{
	return syscall(SYS_clone, CLONE_VM | CLONE_SIGHAND | CLONE_THREAD, NULL, NULL, NULL, NULL);
}

static long trace(struct captive *captive)
{
	return syscall(SYS_ptrace, PTRACE_SEIZE, captive->victim, NULL, NULL);
}

static long peek(struct captive *captive)
{
	struct iovec here = { &captive->byte, 1 }, there = here;

	return syscall(SYS_process_vm_readv, captive->victim, &here, 1ul, &there, 1ul, 0ul);
}

static long kill_other(struct captive *captive)
{
	return syscall(SYS_kill, captive->victim, SIGCONT);
}

static long kill_other_thread(struct captive *captive)
{
	return syscall(SYS_tgkill, captive->victim, captive->victim, SIGCONT);
}

static long map_code(struct captive *captive)
{
	return syscall(SYS_mmap, NULL, 4096ul, (long)(PROT_READ | PROT_EXEC),
		       (long)(MAP_PRIVATE | MAP_ANONYMOUS), -1l, 0l);
}

static long make_code(struct captive *captive)
{
	uintptr_t page = (uintptr_t)captive & ~4095ul;

	return syscall(SYS_mprotect, page, 4096ul, (long)(PROT_READ | PROT_WRITE | PROT_EXEC));
}

static long new_ring(struct captive *captive)
{
	struct io_uring_params params = { 0 };

	return syscall(SYS_io_uring_setup, 8, &params);
}

static long register_files(struct captive *captive)
{
	int fd = STDERR_FILENO;

	return syscall(SYS_io_uring_register, captive->ring, IORING_REGISTER_FILES, &fd, 1);
}

static long become_root(struct captive *captive)
{
	return syscall(SYS_setuid, 0);
}

static long declared_call(struct captive *captive)
{
	return syscall(SYS_getppid);
}

static long declared_ioctl(struct captive *captive)
{
	int n;

	return syscall(SYS_ioctl, captive->socket, FIONREAD, &n);
}

static long other_ioctl(struct captive *captive)
{
	int on = 1;

	return syscall(SYS_ioctl, captive->socket, FIONBIO, &on);
}

static long open_allowed(struct captive *captive)
{
	return syscall(SYS_openat, AT_FDCWD, captive->path, O_RDONLY);
}

static long write_allowed(struct captive *captive)
{
	return syscall(SYS_openat, AT_FDCWD, captive->path, O_WRONLY);
}

static const struct {
	long (*try)(struct captive *captive);
	const char *call; /* what the log says is refused */
} attempts[] = {
	[OPEN_FILE] = { open_file, "(openat)" },
	[MAKE_FILE] = { make_file, "(openat)" },
	[OPEN_BY_FD] = { open_by_fd, "(openat)" },
	[REMOVE_FILE] = { remove_file, "(unlink)" },
	[MAKE_SOCKET] = { make_socket, "(socket)" },
	[CONNECT] = { connect_to_other, "(connect)" },
	[EXEC] = { exec, "(execve)" },
	[FORK] = { make_process, "(clone)" },
	[THREAD] = { make_thread, "(clone)" },
	[TRACE] = { trace, "(ptrace)" },
	[PEEK] = { peek, "(process_vm_readv)" },
	[KILL] = { kill_other, "(kill)" },
	[KILL_THREAD] = { kill_other_thread, "(tgkill)" },
	[MAP_CODE] = { map_code, "(mmap)" },
	[MAKE_CODE] = { make_code, "(mprotect)" },
	[NEW_RING] = { new_ring, "(io_uring_setup)" },
	[REGISTER] = { register_files, "(io_uring_register)" },
	[BECOME_ROOT] = { become_root, "(setuid)" },
	[DECLARED_CALL] = { declared_call, "(getppid)" },
	[DECLARED_IOCTL] = { declared_ioctl, "(ioctl)" },
	[OTHER_IOCTL] = { other_ioctl, "(ioctl)" },
	[OPEN_ALLOWED] = { open_allowed, NULL },
	[WRITE_ALLOWED] = { write_allowed, NULL },
	[REMOVE_ALLOWED] = { remove_file, NULL },
	[READ_BY_RING] = { NULL, NULL },
};

static void was_read(struct fp_device *dev, struct fp_file_op *op, int64_t ret)
{
	((struct captive *)fp_state(dev))->result = ret;
}

static void try(struct fp_device *dev, struct captive *captive, uint64_t number)
{
	long ret;

	if (number == READ_BY_RING) {
		captive->file.done = was_read;
		captive->piece = (struct fp_piece){ .own = &captive->byte, .len = 1 };
		fp_file_read(dev, &captive->file, STDERR_FILENO, 0, &captive->piece, 1);
		return;
	}
	errno = 0;
	ret = attempts[number].try(captive);
	captive->result = ret < 0 ? -errno : ret;
}

static int captive_access(struct fp_device *dev, struct fp_access *access)
{
	struct captive *captive = fp_state(dev);

	if (access->write && !access->offset && fp_access_value(access) < NR_ATTEMPTS)
		try(dev, captive, fp_access_value(access));
	else if (!access->write)
		fp_access_answer(access, (uint64_t)captive->result);
	return 0;
}

/* The last one that was made, which is this worker's. */
static int find_ring(void)
{
	char path[32], target[32];
	int found = -1;

	for (int fd = 0; fd < 64; fd++) {
		ssize_t len;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		len = readlink(path, target, sizeof(target) - 1);
		if (len > 0 && (target[len] = '\0', !strcmp(target, "anon_inode:[io_uring]")))
			found = fd;
	}
	return found;
}

static int captive_open(struct fp_device *dev)
{
	struct captive *captive = fp_state(dev);

	captive->victim = getppid();
	captive->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	captive->ring = find_ring();
	if (captive->socket < 0 || captive->ring < 0)
		return -EIO;
	return captive->may ? fp_allow_path(dev, captive->path,
					    *captive->may == 'r' ? FP_PATH_READ : FP_PATH_REMOVE) :
			      0;
}

static void captive_close(struct fp_device *dev)
{
	close(((struct captive *)fp_state(dev))->socket);
}

static const struct fp_key keys[] = {
	{ "path", FP_KEY_STRING, offsetof(struct captive, path), "" },
	{ "may", FP_KEY_STRING, offsetof(struct captive, may), "" },
	{ 0 },
};

FP_DEVICE(captive) = {
	.name = "captive",
	.summary = "tries what it is told",
	.state_bytes = sizeof(struct captive),
	.keys = keys,
	.pci = { .vendor = 0x1b36, .device = 0x0005, .class_code = 0x00ff00 },
	.regions[FP_BAR0] = { .size = 4096, .access = captive_access },
	.open = captive_open,
	.close = captive_close,
};

static const struct fp_call calls[] = { FP_CALL(getppid), FP_IOCTL(FIONREAD) };

FP_DEVICE(trusty) = {
	.name = "trusty",
	.summary = "the same, and it has declared something",
	.state_bytes = sizeof(struct captive),
	.keys = keys,
	.needs = FP_NEEDS_FILES,
	.calls = calls,
	.nr_calls = 2,
	.pci = { .vendor = 0x1b36, .device = 0x0005, .class_code = 0x00ff00 },
	.regions[FP_BAR0] = { .size = 4096, .access = captive_access },
	.open = captive_open,
	.close = captive_close,
};

/* ---- those who have it try ---- */

#define NEEDS_SANDBOX()                                                        \
	do {                                                                   \
		if (program_without_sandbox())                                 \
			SKIP(return, "no sandbox where a sanitizer looks on"); \
	} while (0)

#define NEEDS_LANDLOCK()                                             \
	do {                                                         \
		if (syscall(SYS_landlock_create_ruleset, NULL, 0,    \
			    LANDLOCK_CREATE_RULESET_VERSION) < 1)    \
			SKIP(return, "this kernel has no Landlock"); \
	} while (0)

static int64_t try_it(struct peer *peer, enum attempt attempt)
{
	if (peer_write(peer, FP_BAR0, 0, attempt, 4))
		abort();
	return (int64_t)peer_read(peer, FP_BAR0, RESULT, 8);
}

static unsigned int count_refusals(struct peer *peer, const char *call)
{
	char line[64];

	snprintf(line, sizeof(line), " %s\n", call);
	return peer_log_count(peer, line);
}

TEST(what_a_device_tries_that_it_has_no_need_of_is_refused_with_a_line_for_each_kind)
{
	struct peer *peer;

	NEEDS_SANDBOX();
	peer = peer_open("captive", PEER_OWN_CLASSES);
	for (enum attempt attempt = 0; attempt <= OTHER_IOCTL; attempt++)
		for (int again = 0; again < 2; again++) {
			EXPECT_EQ(-EPERM, try_it(peer, attempt))
			{
				TH_LOG("%s", attempts[attempt].call);
			}
			EXPECT_EQ(1, count_refusals(peer, attempts[attempt].call))
			{
				TH_LOG("%s", attempts[attempt].call);
			}
		}
	peer_stop(peer);
}

TEST(each_workers_thread_is_confined)
{
	struct peer *peer, *other;

	NEEDS_SANDBOX();
	peer = peer_open("captive", PEER_LISTEN | PEER_OWN_CLASSES | PEER_TWO | PEER_TWO_WORKERS);
	other = peer_other(peer);
	for (enum attempt attempt = 0; attempt <= BECOME_ROOT; attempt++) {
		if (attempt == REMOVE_FILE) /* the server still has to */
			continue;
		EXPECT_EQ(-EPERM, try_it(peer, attempt));
		EXPECT_EQ(-EPERM, try_it(other, attempt));
	}
	peer_stop(other);
	peer_stop(peer);
}

TEST(a_call_that_its_class_declares_may_be_made_and_an_ioctl_of_that_request_only)
{
	struct peer *peer;

	NEEDS_SANDBOX();
	peer = peer_open("trusty", PEER_OWN_CLASSES);
	EXPECT_EQ(getpid(), try_it(peer, DECLARED_CALL));
	EXPECT_EQ(0, try_it(peer, DECLARED_IOCTL));
	EXPECT_EQ(0, count_refusals(peer, "(ioctl)"));
	EXPECT_EQ(-EPERM, try_it(peer, OTHER_IOCTL));
	EXPECT_EQ(1, count_refusals(peer, "(ioctl)"));
	peer_stop(peer);
}

TEST(files_are_read_by_the_ring_only_by_a_class_that_declares_it)
{
	struct peer *peer = peer_open("captive", PEER_OWN_CLASSES);

	EXPECT_EQ(-EPERM, try_it(peer, READ_BY_RING));
	EXPECT_EQ(1, peer_log_count(peer, "fp_file_*() without FP_NEEDS_FILES in its class"));
	peer_stop(peer);
	peer = peer_open("trusty", PEER_OWN_CLASSES);
	EXPECT_LE(0, try_it(peer, READ_BY_RING));
	EXPECT_EQ(0, peer_log_count(peer, "FP_NEEDS_FILES"));
	peer_stop(peer);
}

/* ---- names ---- */

FIXTURE(place) {
	char dir[64];
	char file[80];
	char device[160];
	struct peer *peer;
};

FIXTURE_SETUP(place)
{
	snprintf(self->dir, sizeof(self->dir), "/tmp/fastpath-test.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	snprintf(self->file, sizeof(self->file), "%s/file", self->dir);
	close(open(self->file, O_WRONLY | O_CREAT, 0600));
}

FIXTURE_TEARDOWN(place)
{
	char command[128];

	peer_set_option(NULL);
	snprintf(command, sizeof(command), "rm -rf %s", self->dir);
	if (system(command))
		abort();
}

#define START(...)                                                         \
	do {                                                               \
		snprintf(self->device, sizeof(self->device), __VA_ARGS__); \
		self->peer = peer_open(self->device, PEER_OWN_CLASSES);    \
	} while (0)

TEST_F(place, a_path_that_is_allowed_for_reading_is_read_and_no_other)
{
	NEEDS_SANDBOX();
	NEEDS_LANDLOCK();
	START("captive,may=r,path=%s", self->file);
	EXPECT_LE(0, try_it(self->peer, OPEN_ALLOWED));
	EXPECT_EQ(-EPERM, try_it(self->peer, WRITE_ALLOWED));
	EXPECT_EQ(-EACCES, try_it(self->peer, OPEN_FILE));
	peer_stop(self->peer);
}

TEST_F(place, a_path_that_is_allowed_to_be_removed_is_removed_and_not_read)
{
	NEEDS_SANDBOX();
	START("captive,may=x,path=%s", self->file);
	EXPECT_EQ(-EPERM, try_it(self->peer, OPEN_ALLOWED));
	EXPECT_EQ(0, try_it(self->peer, REMOVE_ALLOWED));
	EXPECT_EQ(-1, access(self->file, F_OK));
	peer_stop(self->peer);
}

TEST_F(place, a_server_that_removes_its_socket_removes_nothing_elsewhere)
{
	NEEDS_SANDBOX();
	NEEDS_LANDLOCK();
	snprintf(self->device, sizeof(self->device), "captive,path=%s", self->file);
	self->peer = peer_open(self->device, PEER_OWN_CLASSES | PEER_LISTEN);
	EXPECT_EQ(-EACCES, try_it(self->peer, REMOVE_FILE));
	EXPECT_EQ(0, access(self->file, F_OK));
	peer_stop(self->peer); /* which looks that the socket is gone */
}

TEST_F(place, a_server_that_keeps_state_opens_nothing_outside_its_directory)
{
	char option[96];

	NEEDS_SANDBOX();
	NEEDS_LANDLOCK();
	snprintf(option, sizeof(option), "--state=%s", self->dir);
	peer_set_option(option);
	START("captive");
	EXPECT_EQ(-EACCES, try_it(self->peer, OPEN_BY_FD));
	EXPECT_EQ(-EPERM, try_it(self->peer, OPEN_FILE));
	peer_stop(self->peer);
}

TEST_F(place, a_directory_that_is_gone_is_none_to_remove_from)
{
	NEEDS_SANDBOX();
	START("captive,may=x,path=%s/gone/file", self->dir);
	EXPECT_EQ(-ENOENT, try_it(self->peer, REMOVE_ALLOWED));
	peer_stop(self->peer);
}

TEST_F(place, a_path_that_is_not_there_is_told_at_the_start)
{
	NEEDS_SANDBOX();
	NEEDS_LANDLOCK();
	snprintf(self->device, sizeof(self->device), "captive,may=r,path=%s/none", self->dir);
	self->peer = peer_start(self->device, PEER_OWN_CLASSES);
	EXPECT_EQ(256, peer_wait(self->peer));
	EXPECT_EQ(1, peer_log_count(self->peer, "/none: No such file or directory\n"));
}

TEST(sandbox_off_confines_nothing)
{
	struct peer *peer;

	peer_set_option("--sandbox=off");
	peer = peer_open("captive", PEER_OWN_CLASSES);
	EXPECT_LE(0, try_it(peer, OPEN_FILE));
	EXPECT_LE(0, try_it(peer, NEW_RING));
	peer_stop(peer);
}

TEST_HARNESS_MAIN
