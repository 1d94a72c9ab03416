/* SPDX-License-Identifier: GPL-2.0-only */
/* fastpath-vmm --kernel: the formats, the console, how it ends, what is said of a bad file. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>

#include "bare_guest.h"
#include "kselftest_harness.h"
#include "program.h"
#include "tiny_kernel.h"

FIXTURE(boot) {
	struct tiny_kernel kernel;
	struct program program;
	char path[64]; /* of the kernel's file */
	char other[64];
	char line[160];
	int keys; /* the console's other end */
};

static int write_file(char *path, const void *bytes, size_t len)
{
	int fd;
	ssize_t n;

	strcpy(path, "/tmp/fastpath-test-XXXXXX");
	fd = mkstemp(path);
	n = write(fd, bytes, len);
	return close(fd) || n != (ssize_t)len;
}

/* The standard input of what is started from now on is what is written to the fd. */
static int pipe_to_stdin(void)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) || dup2(ends[0], STDIN_FILENO))
		return -1;
	close(ends[0]);
	return ends[1];
}

FIXTURE_SETUP(boot)
{
	ASSERT_EQ(0, write_file(self->path, "", 0));
	ASSERT_EQ(0, write_file(self->other, "", 0));
	self->keys = pipe_to_stdin();
	ASSERT_LE(0, self->keys);
}

FIXTURE_TEARDOWN(boot)
{
	close(self->keys);
	unlink(self->path);
	unlink(self->other);
}

#define START(...)                                                 \
	ASSERT_EQ(0, program_start(&self->program, "fastpath-vmm", \
				   (const char *const[]){ __VA_ARGS__, NULL }, false))
#define RUN(...)            \
	START(__VA_ARGS__); \
	program_wait(&self->program)

#define WRITE_KERNEL(format)                 \
	NEEDS_KVM();                         \
	tiny_kernel_##format(&self->kernel); \
	unlink(self->path);                  \
	ASSERT_EQ(0, write_file(self->path, self->kernel.bytes, self->kernel.len))

#define PRESS(text) ASSERT_EQ((ssize_t)strlen(text), write(self->keys, text, strlen(text)))

static bool contains(const char *text, const char *what)
{
	return strstr(text, what);
}

static bool is_one_line(const char *text)
{
	const char *end = strchr(text, '\n');

	return end && !end[1];
}

/* ---- the formats ---- */

#define BOOTS(format) BOOTS_WITH(format, "")

#define BOOTS_WITH(format, name)                                                                   \
	WRITE_KERNEL(format);                                                                      \
	PRESS("q");                                                                                \
	RUN("--kernel", self->path, "--append", ("a command line of " #format), "--memory", "16"); \
	EXPECT_EQ(0, self->program.status);                                                        \
	snprintf(self->line, sizeof(self->line), "%s%sa command line of " #format "\n", name,      \
		 *name ? " " : "");                                                                \
	EXPECT_STREQ(self->line, self->program.said);                                              \
	EXPECT_STREQ("", self->program.complained)

TEST_F(boot, a_bzimage_is_entered_in_64_bits_and_finds_its_command_line)
{
	BOOTS(bzimage);
}

TEST_F(boot, an_elf_file_with_a_pvh_entry_is_entered_there)
{
	BOOTS(pvh);
}

TEST_F(boot, a_multiboot_elf_file_is_entered_with_multiboots_magic)
{
	BOOTS_WITH(multiboot, self->path);
}

TEST_F(boot, a_multiboot_file_with_addresses_goes_where_they_say)
{
	BOOTS_WITH(multiboot_flat, self->path);
}

/* ---- how it ends ---- */

TEST_F(boot, a_reset_ends_it_with_status_0)
{
	WRITE_KERNEL(bzimage);
	PRESS("r");
	RUN("--kernel", self->path, "--memory", "16");
	EXPECT_EQ(0, self->program.status);
	EXPECT_STREQ("", self->program.complained);
}

TEST_F(boot, a_store_to_the_exit_port_is_its_status_as_in_qemu)
{
	WRITE_KERNEL(multiboot);
	PRESS("e"); /* stores 5 */
	RUN("--kernel", self->path, "--memory", "16");
	EXPECT_EQ(11, self->program.status);
	EXPECT_STREQ("", self->program.complained);
}

TEST_F(boot, a_triple_fault_is_one_line_and_status_1)
{
	WRITE_KERNEL(bzimage);
	PRESS("f");
	RUN("--kernel", self->path, "--memory", "16");
	EXPECT_EQ(1, self->program.status);
	EXPECT_TRUE(is_one_line(self->program.complained));
	EXPECT_TRUE(contains(self->program.complained, "triple fault"))
	{
		TH_LOG("it says: %s", self->program.complained);
	}
}

TEST_F(boot, four_vcpus_of_which_three_are_never_started_end_with_the_first)
{
	WRITE_KERNEL(bzimage);
	PRESS("q");
	RUN("--kernel", self->path, "--memory", "16", "--cpus", "4");
	EXPECT_EQ(0, self->program.status);
	EXPECT_STREQ("\n", self->program.said);
}

TEST_F(boot, sigterm_ends_one_vcpu_and_many)
{
	static const char *const cpus[] = { "1", "16" };

	WRITE_KERNEL(bzimage);
	for (int i = 0; i < 2; i++) {
		START("--kernel", self->path, "--memory", "16", "--cpus", cpus[i]);
		ASSERT_TRUE(program_await_line(&self->program));
		ASSERT_EQ(0, kill(self->program.pid, SIGTERM));
		program_wait(&self->program);
		EXPECT_EQ(128 + SIGTERM, self->program.status);
		EXPECT_STREQ("", self->program.complained);
	}
}

TEST_F(boot, its_start_is_told_by_stats)
{
	WRITE_KERNEL(bzimage);
	PRESS("q");
	RUN("--kernel", self->path, "--memory", "16", "--stats");
	EXPECT_EQ(0, self->program.status);
	EXPECT_TRUE(contains(self->program.complained, "first instruction after "));
}

TEST_F(boot, sigusr1_has_stats_said_while_one_vcpu_or_many_run)
{
	static const char *const cpus[] = { "1", "4" };

	WRITE_KERNEL(bzimage);
	for (int i = 0; i < 2; i++) {
		START("--kernel", self->path, "--memory", "16", "--stats", "--cpus", cpus[i]);
		ASSERT_TRUE(program_await_line(&self->program));
		for (int again = 0; again < 3; again++) {
			ASSERT_EQ(0, kill(self->program.pid, SIGUSR1));
			ASSERT_TRUE(program_await_complaint(&self->program, "first instruction"));
			ASSERT_TRUE(program_await_complaint(&self->program, "serial port, writes"));
		}
		PRESS("q");
		program_wait(&self->program);
		EXPECT_EQ(0, self->program.status);
		/* And once more at the end. */
		EXPECT_TRUE(contains(self->program.complained, "first instruction after "));
		EXPECT_FALSE(contains(self->program.complained, "sandbox"));
	}
}

/* ---- the console ---- */

TEST_F(boot, keys_reach_the_guest_more_than_its_fifo_holds)
{
	WRITE_KERNEL(bzimage);
	PRESS("so many zigzags push into this tiny hold that any such buildup would spill q");
	RUN("--kernel", self->path, "--memory", "16");
	EXPECT_EQ(0, self->program.status);
	EXPECT_STREQ(
		"\nso many zigzags push into this tiny hold that any such buildup would spill ",
		self->program.said);
}

TEST_F(boot, ctrl_a_x_ends_the_guest_and_ctrl_a_twice_sends_one)
{
	WRITE_KERNEL(bzimage);
	PRESS("a\1\1b\1xq");
	RUN("--kernel", self->path, "--memory", "16");
	EXPECT_EQ(0, self->program.status);
	EXPECT_STREQ("", self->program.complained);
	/* What it had not read yet when it ended is not echoed. */
	EXPECT_EQ(0, strncmp("\na\1b", self->program.said, strlen(self->program.said)));
}

TEST_F(boot, an_input_that_ends_is_no_end)
{
	WRITE_KERNEL(bzimage);
	close(self->keys);
	self->keys = -1;
	START("--kernel", self->path, "--memory", "16");
	ASSERT_TRUE(program_await_line(&self->program));
	ASSERT_EQ(0, kill(self->program.pid, SIGINT));
	program_wait(&self->program);
	EXPECT_EQ(128 + SIGINT, self->program.status);
}

static tcflag_t local_modes(void)
{
	struct termios modes = { 0 };

	tcgetattr(STDIN_FILENO, &modes);
	return modes.c_lflag & (ICANON | ECHO | ISIG);
}

#define COOKED (ICANON | ECHO | ISIG)

/* The standard input becomes a terminal of this process', in its foreground; its other end. */
static int take_terminal(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	int terminal;

	if (master < 0 || grantpt(master) || unlockpt(master) || setsid() < 0)
		return -1;
	terminal = open(ptsname(master), O_RDWR | O_CLOEXEC);
	if (terminal < 0 || ioctl(terminal, TIOCSCTTY, 0) || dup2(terminal, STDIN_FILENO))
		return -1;
	return master;
}

/* Ends one guest by a key, and one by a signal. Which step went wrong, 0 if none. */
static int use_terminal(const char *kernel, struct program *program)
{
	const char *const args[] = { "--kernel", kernel, "--memory", "16", NULL };
	int master = take_terminal();

	if (master < 0)
		return 1;
	for (int i = 0; i < 2; i++) {
		if (local_modes() != COOKED)
			return 2;
		if (program_start(program, "fastpath-vmm", args, false) ||
		    !program_await_line(program))
			return 3;
		if (local_modes())
			return 4;
		if (i ? kill(program->pid, SIGTERM) : write(master, "q", 1) != 1)
			return 5;
		program_wait(program);
		if (program->status != (i ? 128 + SIGTERM : 0))
			return 6;
	}
	return local_modes() != COOKED ? 7 : 0;
}

TEST_F(boot, a_terminal_is_raw_while_the_guest_runs_and_as_before_afterwards)
{
	int status;
	pid_t pid;

	WRITE_KERNEL(bzimage);
	/* Only one who leads no group may begin a session. */
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(use_terminal(self->path, &self->program));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status >> 8);
}

/* ---- bad files ---- */

#define IS_REFUSED(what)                                                         \
	EXPECT_EQ(1, self->program.status);                                      \
	EXPECT_TRUE(is_one_line(self->program.complained) &&                     \
		    contains(self->program.complained, what))                    \
	{                                                                        \
		TH_LOG("wanted '%s', got '%s'", what, self->program.complained); \
	}

TEST_F(boot, a_kernel_that_is_not_there_is_named)
{
	NEEDS_KVM();
	RUN("--kernel", "/tmp/fastpath-no-kernel");
	IS_REFUSED("kernel /tmp/fastpath-no-kernel: No such file or directory");
	RUN("--kernel", "/tmp");
	IS_REFUSED("kernel /tmp: Is a directory");
}

TEST_F(boot, a_file_that_is_no_kernel_is_named)
{
	NEEDS_KVM();
	RUN("--kernel", "/proc/self/exe");
	IS_REFUSED("/proc/self/exe: no kernel: neither bzImage, nor ELF with a PVH entry, nor "
		   "multiboot");
	RUN("--kernel", self->path);
	IS_REFUSED("no kernel");
}

TEST_F(boot, an_initrd_that_is_not_there_or_too_large_is_named)
{
	WRITE_KERNEL(bzimage);
	RUN("--kernel", self->path, "--initrd", "/tmp/fastpath-no-initrd");
	IS_REFUSED("initrd /tmp/fastpath-no-initrd: No such file or directory");
	ASSERT_EQ(0, truncate(self->other, 14 << 20));
	RUN("--kernel", self->path, "--initrd", self->other, "--memory", "16");
	IS_REFUSED("14336 KiB don't fit into 16 MiB of memory");
	ASSERT_EQ(0, truncate(self->other, 12 << 20));
	PRESS("q");
	RUN("--kernel", self->path, "--initrd", self->other, "--memory", "16");
	EXPECT_EQ(0, self->program.status);
}

TEST_F(boot, a_kernel_that_does_not_fit_is_named)
{
	WRITE_KERNEL(bzimage);
	RUN("--kernel", self->path, "--memory", "2");
	IS_REFUSED("1024 KiB don't fit into 2 MiB of memory");
	RUN("--kernel", self->path, "--memory", "1");
	IS_REFUSED("don't fit into 1 MiB of memory");
}

TEST_F(boot, a_command_line_longer_than_the_kernel_takes_is_refused)
{
	char line[300];

	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	WRITE_KERNEL(bzimage);
	RUN("--kernel", self->path, "--append", line);
	IS_REFUSED("--append: 299 characters");
}

/* A byte of a kernel's file that is another one, and what is said of it. */
static const struct {
	void (*make)(struct tiny_kernel *kernel);
	size_t at;
	uint8_t byte;
	const char *complaint;
} corrupt[] = {
	{ tiny_kernel_bzimage, 0x207, 1, "older than Linux 3.8" },
	{ tiny_kernel_bzimage, 0x211, 0, "it wants to be loaded below 1 MiB" },
	{ tiny_kernel_bzimage, 0x236, 0, "without a 64-bit entry" },
	{ tiny_kernel_bzimage, 0x1f1, 60, "the file is cut short" },
	{ tiny_kernel_bzimage, 0x25f, 0xff, "don't fit" }, /* where it is loaded */
	{ tiny_kernel_bzimage, 0x263, 0xff, "don't fit" }, /* how large it is */
	{ tiny_kernel_pvh, 45, 0xff, "no kernel" },	   /* the number of segments */
	{ tiny_kernel_pvh, 31, 0xff, "no kernel" },	   /* where they are */
	{ tiny_kernel_pvh, 52 + 32 + 7, 0xff, "cut short" },
	{ tiny_kernel_pvh, 52 + 32 + 15, 0xff, "don't fit" },
	{ tiny_kernel_pvh, 52 + 32 + 19, 0xff, "cut short" },
	{ tiny_kernel_pvh, 52 + 32 + 23, 0xff, "don't fit" },
	{ tiny_kernel_pvh, 52 + 19, 0xff, "no kernel" }, /* the length of the notes */
	{ tiny_kernel_pvh, 52 + 64 + 3, 0xff, "no kernel" },
	{ tiny_kernel_pvh, 52 + 64 + 7, 0xff, "no kernel" },
	{ tiny_kernel_multiboot_flat, 16 + 12 + 3, 0xff, "contradict" },
	{ tiny_kernel_multiboot_flat, 16 + 16 + 2, 0x10, "contradict" },
	{ tiny_kernel_multiboot_flat, 16 + 20 + 3, 0x01, "cut short" },
	{ tiny_kernel_multiboot_flat, 16 + 24 + 3, 0xff, "don't fit" },
};

TEST_F(boot, what_a_kernel_says_of_itself_is_checked)
{
	for (size_t i = 0; i < sizeof(corrupt) / sizeof(*corrupt); i++) {
		NEEDS_KVM();
		corrupt[i].make(&self->kernel);
		self->kernel.bytes[corrupt[i].at] = corrupt[i].byte;
		unlink(self->path);
		ASSERT_EQ(0, write_file(self->path, self->kernel.bytes, self->kernel.len));
		PRESS("q"); /* should it boot */
		RUN("--kernel", self->path, "--memory", "64");
		IS_REFUSED(corrupt[i].complaint);
	}
}

TEST_HARNESS_MAIN
