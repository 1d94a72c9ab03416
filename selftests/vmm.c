/* SPDX-License-Identifier: GPL-2.0-only */
/* fastpath-vmm as its users meet it: the command line, the exit status, what it says. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>

#include "bare_guest.h"
#include "kselftest_harness.h"
#include "program.h"
#include "testdev_server.h"

FIXTURE(vmm) {
	struct testdev_server served;
	struct program program;
	char payload[64]; /* a file for the test's own guest */
	char hello[4096];
};

FIXTURE_SETUP(vmm)
{
	int fd;

	snprintf(self->payload, sizeof(self->payload), "/tmp/fastpath-test-XXXXXX");
	fd = mkstemp(self->payload);
	ASSERT_LE(0, fd);
	close(fd);
	snprintf(self->hello, sizeof(self->hello), "%s", program_path("payload/hello.bin"));
}

FIXTURE_TEARDOWN(vmm)
{
	testdev_server_stop(&self->served);
	unlink(self->payload);
}

#define START(...)                                                 \
	ASSERT_EQ(0, program_start(&self->program, "fastpath-vmm", \
				   (const char *const[]){ __VA_ARGS__, NULL }, false))
#define RUN(...)            \
	START(__VA_ARGS__); \
	program_wait(&self->program)

static bool contains(const char *text, const char *what)
{
	return strstr(text, what);
}

static bool is_one_line(const char *text)
{
	const char *end = strchr(text, '\n');

	return end && !end[1];
}

/* ---- the command line ---- */

TEST_F(vmm, help_and_version_are_answered_on_stdout)
{
	RUN("--help");
	EXPECT_EQ(0, self->program.status);
	EXPECT_TRUE(contains(self->program.said, "--device vfio-user,socket=ADDRESS"));
	RUN("--version");
	EXPECT_EQ(0, self->program.status);
	EXPECT_TRUE(contains(self->program.said, "fastpath-vmm (fastpath "));
}

/* What is said of a command line, in one line; the exit status is 1. */
static const struct {
	const char *args[5];
	const char *complaint;
} mistakes[] = {
	{ { "--stats" }, "no --payload FILE" },
	{ { "file" }, "'file': not an option" },
	{ { "--memory", "1x" }, "--memory 1x: wants a number, 1048576 at most" },
	{ { "--memory", "1048577" }, "--memory 1048577: wants a number, 1048576 at most" },
	{ { "--payload", "x", "--memory", "3329" }, "--memory: a --payload reaches 3328 at most" },
	{ { "--memory", "-1" }, "--memory -1: wants a number" },
	{ { "--cpu", "a" }, "--cpu a: wants a number" },
	{ { "--cpus", "0" }, "--cpus 0: wants 1 at least" },
	{ { "--cpus", "17" }, "--cpus 17: wants a number, 16 at most" },
	{ { "--wait", "spin" }, "--wait spin: wants block, spin=MICROSECONDS" },
	{ { "--log-level", "loud" }, "--log-level loud: wants error, warn, info or debug" },
	{ { "--device", "vfio-pci" },
	  "--device vfio-pci: no kind 'vfio-pci'; there is: vfio-user" },
	{ { "--device", "vfio-user" }, "--device vfio-user: no socket=ADDRESS" },
	{ { "--device", "vfio-user,socket=" }, "--device vfio-user: no socket=ADDRESS" },
	{ { "--device", "vfio-user,sock=a" },
	  "no key 'sock'; it has: socket, io-fds, ioregion, mmap, posted" },
	{ { "--device", "vfio-user,io-fds=no" }, "io-fds=no: wants on or off" },
	{ { "--device", "vfio-user,ioregion=on" }, "ioregion=on: wants auto, standin or off" },
	{ { "--device", "vfio-user,mmap=1" }, "mmap=1: wants on or off" },
	{ { "--device", "vfio-user,slot=32" }, "slot 32: wants a number, 31 at most" },
	{ { "--device", "vfio-user,slot=0" }, "slot 0 is the host bridge's" },
	{ { "--device", "vfio-user,socket" }, "wants vfio-user,key=value..." },
	{ { "--device", "vfio-user,socket=a,slot=2,socket=b" }, "socket= is there twice" },
	{ { "--sandbox", "no" }, "--sandbox no: wants on or off" },
	{ { "--payloda", "x" }, "--payloda: no such option; try --help" },
	{ { "--memory" }, "--memory: wants a value" },
	{ { "--stats=1" }, "--stats=1: takes no value" },
	{ { "-h" }, "-h: no such option" },
	{ { "--payload", "x", "--cpu", "1023" },
	  "--cpu 1023: no CPU that this process may run on" },
};

TEST_F(vmm, a_mistake_is_named_in_one_line_and_the_status_is_1)
{
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(*mistakes); i++) {
		ASSERT_EQ(0,
			  program_start(&self->program, "fastpath-vmm", mistakes[i].args, false));
		program_wait(&self->program);
		EXPECT_EQ(1, self->program.status);
		EXPECT_TRUE(is_one_line(self->program.complained) &&
			    contains(self->program.complained, mistakes[i].complaint))
		{
			TH_LOG("wanted '%s', got '%s'", mistakes[i].complaint,
			       self->program.complained);
		}
	}
}

/* ---- what has to be there ---- */

TEST_F(vmm, without_dev_kvm_one_line_says_so_and_the_status_is_1)
{
	const char *const args[] = { "--payload", self->hello, NULL };

	if (program_start(&self->program, "fastpath-vmm", args, true))
		SKIP(return, "an empty /dev takes root");
	program_wait(&self->program);
	if (self->program.status == 125)
		SKIP(return, "an empty /dev can't be had here");
	EXPECT_EQ(1, self->program.status);
	EXPECT_TRUE(is_one_line(self->program.complained));
	EXPECT_TRUE(contains(self->program.complained, "/dev/kvm: No such file or directory"));
}

TEST_F(vmm, a_socket_where_nobody_listens_is_named)
{
	NEEDS_KVM();
	RUN("--payload", self->hello, "--device", "vfio-user,socket=/tmp/fastpath-nobody");
	EXPECT_EQ(1, self->program.status);
	EXPECT_TRUE(is_one_line(self->program.complained));
	EXPECT_TRUE(contains(self->program.complained, "/tmp/fastpath-nobody: "));
}

TEST_F(vmm, a_payload_that_is_missing_empty_or_too_large_is_named)
{
	NEEDS_KVM();
	RUN("--payload", "/tmp/fastpath-no-payload");
	EXPECT_EQ(1, self->program.status);
	EXPECT_TRUE(is_one_line(self->program.complained));
	EXPECT_TRUE(contains(self->program.complained,
			     "/tmp/fastpath-no-payload: No such file or directory"));
	RUN("--payload", self->payload);
	EXPECT_EQ(1, self->program.status);
	EXPECT_TRUE(is_one_line(self->program.complained));
	EXPECT_TRUE(contains(self->program.complained, "empty"));
	ASSERT_EQ(0, truncate(self->payload, 3 << 20));
	RUN("--payload", self->payload, "--memory", "4");
	EXPECT_EQ(1, self->program.status);
	EXPECT_TRUE(is_one_line(self->program.complained));
	EXPECT_TRUE(contains(self->program.complained, "don't fit"));
	RUN("--payload", "/tmp");
	EXPECT_EQ(1, self->program.status);
	EXPECT_TRUE(contains(self->program.complained, "/tmp: Is a directory"));
	RUN("--payload", "/dev/null");
	EXPECT_EQ(1, self->program.status);
	EXPECT_TRUE(is_one_line(self->program.complained));
	EXPECT_TRUE(contains(self->program.complained, "/dev/null: not a regular file"));
}

TEST_F(vmm, a_kernel_that_is_missing_or_none_is_named)
{
	NEEDS_KVM();
	RUN("--kernel", "/tmp/fastpath-no-kernel");
	EXPECT_EQ(1, self->program.status);
	EXPECT_TRUE(is_one_line(self->program.complained));
	EXPECT_TRUE(contains(self->program.complained,
			     "kernel /tmp/fastpath-no-kernel: No such file or directory"));
	RUN("--kernel", self->hello);
	EXPECT_EQ(1, self->program.status);
	EXPECT_TRUE(is_one_line(self->program.complained));
	EXPECT_TRUE(contains(self->program.complained, "no kernel: neither bzImage"));
}

/* ---- runs ---- */

static int write_payload(const char *path, const void *code, size_t len)
{
	int fd = open(path, O_WRONLY | O_TRUNC);
	ssize_t n = write(fd, code, len);

	return close(fd) || n != (ssize_t)len;
}

BARE_GUEST(exit_42, "mov $" BARE_EXIT ", %ecx\n movl $42, (%rcx)\n");
BARE_GUEST(exit_256, "mov $" BARE_EXIT ", %ecx\n movl $256, (%rcx)\n");

TEST_F(vmm, the_guests_exit_code_is_the_status)
{
	NEEDS_KVM();
	ASSERT_EQ(0, write_payload(self->payload, BARE_CODE(exit_42)));
	RUN("--payload", self->payload);
	EXPECT_EQ(42, self->program.status);
	EXPECT_STREQ("", self->program.complained);
}

TEST_F(vmm, an_exit_code_that_fits_no_status_is_no_success)
{
	NEEDS_KVM();
	ASSERT_EQ(0, write_payload(self->payload, BARE_CODE(exit_256)));
	RUN("--payload", self->payload);
	EXPECT_EQ(255, self->program.status);
}

BARE_GUEST(undefined, "ud2\n");

TEST_F(vmm, a_guest_that_crashes_is_one_line_and_status_1)
{
	NEEDS_KVM();
	ASSERT_EQ(0, write_payload(self->payload, BARE_CODE(undefined)));
	RUN("--payload", self->payload);
	EXPECT_EQ(1, self->program.status);
	EXPECT_TRUE(is_one_line(self->program.complained));
	EXPECT_TRUE(contains(self->program.complained, "rip 0x20000a"));
}

/* ---- several vCPUs: each has its number in rsi, and rdi leads to where to leave ---- */

#define BARE_LEAVE "mov 0xc40(%rdi), %rcx\n movl $0, (%rcx)\n"

_Static_assert(offsetof(struct payload_params, leave_address) == 0xc40, "of BARE_LEAVE");

/* All but the first add their number, and leave; it ends with the sum. */
BARE_GUEST(count_off, "test %esi, %esi\n jz 0f\n"
		      "lock addl %esi, 0x280000\n lock incl 0x280040\n" BARE_LEAVE
		      "0: pause\n cmpl $3, 0x280040\n jne 0b\n"
		      "mov $" BARE_EXIT ", %ecx\n mov 0x280000, %eax\n mov %eax, (%rcx)\n");

TEST_F(vmm, each_vcpu_of_a_program_has_its_number_and_may_leave_while_others_go_on)
{
	NEEDS_KVM();
	ASSERT_EQ(0, write_payload(self->payload, BARE_CODE(count_off)));
	RUN("--payload", self->payload, "--cpus", "4");
	EXPECT_EQ(1 + 2 + 3, self->program.status);
	EXPECT_STREQ("", self->program.complained);
}

BARE_GUEST(leave, BARE_LEAVE);

TEST_F(vmm, when_all_vcpus_have_left_the_status_is_0)
{
	static const char *const cpus[] = { "1", "4", "16" };

	NEEDS_KVM();
	ASSERT_EQ(0, write_payload(self->payload, BARE_CODE(leave)));
	for (int i = 0; i < 3; i++) {
		RUN("--payload", self->payload, "--cpus", cpus[i]);
		EXPECT_EQ(0, self->program.status);
		EXPECT_STREQ("", self->program.complained);
	}
}

/* Only the third does, while the others are in the guest. */
BARE_GUEST(third_crashes, "cmp $2, %esi\n jne 0f\n mov $0x1234, %eax\n ud2\n 0: jmp 0b\n");

TEST_F(vmm, a_crash_of_any_vcpu_ends_all_and_has_its_registers)
{
	NEEDS_KVM();
	ASSERT_EQ(0, write_payload(self->payload, BARE_CODE(third_crashes)));
	RUN("--payload", self->payload, "--cpus", "4");
	EXPECT_EQ(1, self->program.status);
	EXPECT_TRUE(is_one_line(self->program.complained));
	EXPECT_TRUE(contains(self->program.complained, "exception 6 #UD"));
	EXPECT_TRUE(contains(self->program.complained, "rax 0x1234"));
	EXPECT_TRUE(contains(self->program.complained, "rsi 0x2"));
}

/* ---- with a device ---- */

TEST_F(vmm, hello_rings_every_doorbell_by_fd_and_all_are_heard)
{
	char device[160];

	NEEDS_KVM();
	testdev_server_start(&self->served);
	snprintf(device, sizeof(device), "vfio-user,socket=%s", self->served.path);
	RUN("--device", device, "--payload", self->hello, "--stats");
	EXPECT_EQ(0, self->program.status);
	EXPECT_TRUE(contains(self->program.said, "rings 1000, heard 1000"));
	EXPECT_TRUE(contains(self->program.complained, " 0 writes; by ioeventfd 7 of 7 doorbells"));
}

BARE_GUEST(waits, "mov $" BARE_CONSOLE ", %ecx\n movb $'x', (%rcx)\n movb $10, (%rcx)\n"
		  "0: jmp 0b\n");

TEST_F(vmm, stats_say_what_left_the_guest_where_to_and_by_which_roads_it_need_not)
{
	static const char *const lines[] = {
		"first instruction after ",
		"exits, from KVM_RUN's return on ",
		"\n  write to memory ",
		"\n  mailboxes, writes ",
		"BAR 2, reads ",
		"\n  +0x8c0, 4 bytes: ioeventfd\n",
		"\n  +0x940, 4 bytes: ioeventfd for 0xfa\n",
		"\n  +0x200, 256 bytes: ",
		"\n  +0x2000, 12288 bytes: memory slot\n",
		"looking for answers found ",
	};
	char device[160];

	NEEDS_KVM();
	testdev_server_start(&self->served);
	snprintf(device, sizeof(device), "vfio-user,socket=%s", self->served.path);
	RUN("--device", device, "--payload", self->hello, "--stats", "--wait", "spin=50");
	EXPECT_EQ(0, self->program.status);
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		EXPECT_TRUE(contains(self->program.complained, lines[i]))
		{
			TH_LOG("'%s' is not in: %s", lines[i], self->program.complained);
		}
	}
}

TEST_F(vmm, sigusr1_has_stats_said_while_the_guest_runs)
{
	NEEDS_KVM();
	ASSERT_EQ(0, write_payload(self->payload, BARE_CODE(waits)));
	START("--payload", self->payload, "--stats");
	ASSERT_TRUE(program_await_line(&self->program));
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, kill(self->program.pid, SIGUSR1));
		ASSERT_TRUE(program_await_complaint(&self->program, "mailboxes, writes"));
	}
	ASSERT_EQ(0, kill(self->program.pid, SIGTERM));
	program_wait(&self->program);
	EXPECT_EQ(128 + SIGTERM, self->program.status);
}

TEST_F(vmm, hello_without_io_fds_rings_by_socket)
{
	char device[160];

	NEEDS_KVM();
	testdev_server_start(&self->served);
	snprintf(device, sizeof(device), "vfio-user,socket=%s,io-fds=off", self->served.path);
	RUN("--device", device, "--payload", self->hello, "--stats");
	EXPECT_EQ(0, self->program.status);
	EXPECT_TRUE(contains(self->program.said, "rings 1000, heard 1000"));
	EXPECT_TRUE(contains(self->program.complained, " 1000 writes; by ioeventfd none"));
}

TEST_F(vmm, over_tcp_all_goes_by_message)
{
	char device[160];

	NEEDS_KVM();
	testdev_server_start_tcp(&self->served);
	snprintf(device, sizeof(device), "vfio-user,socket=%s", self->served.path);
	RUN("--device", device, "--payload", self->hello, "--stats");
	EXPECT_EQ(0, self->program.status);
	EXPECT_TRUE(contains(self->program.said, "rings 1000, heard 1000"));
	EXPECT_TRUE(contains(self->program.complained, " 1000 writes; by ioeventfd none"));
}

/* What a line of /proc/PID/status says. */
static bool status_says(pid_t pid, const char *line)
{
	char path[64], text[4096];
	size_t n = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "r");
	if (file) {
		n = fread(text, 1, sizeof(text) - 1, file);
		fclose(file);
	}
	text[n] = '\0';
	return contains(text, line);
}

TEST_F(vmm, sigterm_and_sigint_end_it_and_are_its_status)
{
	const int signals[] = { SIGTERM, SIGINT };

	NEEDS_KVM();
	ASSERT_EQ(0, write_payload(self->payload, BARE_CODE(waits)));
	for (int i = 0; i < 2; i++) {
		START("--payload", self->payload);
		ASSERT_TRUE(program_await_line(&self->program));
		ASSERT_EQ(0, kill(self->program.pid, signals[i]));
		program_wait(&self->program);
		EXPECT_EQ(128 + signals[i], self->program.status);
		EXPECT_STREQ("", self->program.complained);
	}
}

/* ---- the sandbox ---- */

TEST_F(vmm, while_a_guest_runs_it_is_confined)
{
	NEEDS_KVM();
	if (program_without_sandbox())
		SKIP(return, "no sandbox where a sanitizer looks on");
	ASSERT_EQ(0, write_payload(self->payload, BARE_CODE(waits)));
	START("--payload", self->payload);
	ASSERT_TRUE(program_await_line(&self->program));
	EXPECT_TRUE(status_says(self->program.pid, "\nSeccomp:\t2\n"));
	EXPECT_TRUE(status_says(self->program.pid, "\nNoNewPrivs:\t1\n"));
	EXPECT_TRUE(status_says(self->program.pid, "\nCapEff:\t0000000000000000\n"));
	ASSERT_EQ(0, kill(self->program.pid, SIGTERM));
	program_wait(&self->program);
	EXPECT_STREQ("", self->program.complained);
}

TEST_F(vmm, sandbox_off_confines_nothing)
{
	NEEDS_KVM();
	ASSERT_EQ(0, write_payload(self->payload, BARE_CODE(waits)));
	START("--payload", self->payload, "--sandbox", "off");
	ASSERT_TRUE(program_await_line(&self->program));
	EXPECT_TRUE(status_says(self->program.pid, "\nSeccomp:\t0\n"));
	EXPECT_TRUE(status_says(self->program.pid, "\nNoNewPrivs:\t0\n"));
	ASSERT_EQ(0, kill(self->program.pid, SIGTERM));
	program_wait(&self->program);
}

TEST_HARNESS_MAIN
