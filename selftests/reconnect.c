/* SPDX-License-Identifier: GPL-2.0-only */
/* A server that dies under a running guest, and comes back, or does not. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "bare_guest.h"
#include "fastpath-client.h"
#include "kselftest_harness.h"
#include "program.h"
#include "testdev.h"
#include "testdev_server.h"
#include "tiny_kernel.h"

/* ---- fastpath-vmm ---- */

FIXTURE(reconnect) {
	struct testdev_server served;
	struct program program;
	char file[64]; /* the guest */
	char device[160];
	struct tiny_kernel kernel;
};

FIXTURE_SETUP(reconnect)
{
	int fd;

	strcpy(self->file, "/tmp/fastpath-test-XXXXXX");
	fd = mkstemp(self->file);
	ASSERT_LE(0, fd);
	close(fd);
}

FIXTURE_TEARDOWN(reconnect)
{
	testdev_server_stop(&self->served);
	unlink(self->file);
}

static int write_guest(const char *path, const void *code, size_t len)
{
	int fd = open(path, O_WRONLY | O_TRUNC);
	ssize_t n = write(fd, code, len);

	return close(fd) || n != (ssize_t)len;
}

static int start(FIXTURE_DATA(reconnect) * self, const char *key, const char *kind,
		 const char *const *more)
{
	const char *args[16] = { "--device", self->device, kind, self->file };

	snprintf(self->device, sizeof(self->device), "vfio-user,socket=%s%s", self->served.path,
		 key);
	for (unsigned int i = 0; more[i]; i++)
		args[4 + i] = more[i];
	return program_start(&self->program, "fastpath-vmm", args, false);
}

/* A guest that says that it is up, with a testdev, whose keys are `key`. */
#define START_GUEST(name, key)                                                      \
	NEEDS_KVM();                                                                \
	testdev_server_start(&self->served);                                        \
	ASSERT_EQ(0, write_guest(self->file, BARE_CODE(name)));                     \
	ASSERT_EQ(0, start(self, key, "--payload", (const char *const[]){ NULL })); \
	ASSERT_TRUE(program_await_line(&self->program))

#define AWAIT(what) ASSERT_TRUE(program_await_complaint(&self->program, what))

#define END_GUEST()                                     \
	ASSERT_EQ(0, kill(self->program.pid, SIGTERM)); \
	program_wait(&self->program);                   \
	EXPECT_EQ(128 + SIGTERM, self->program.status)

static bool is_one_line(const char *text)
{
	const char *end = strchr(text, '\n');

	return end && !end[1];
}

/* BAR 2 of the first testdev. */
#define BENCH "0xd0001000"
#define DOORBELL "0x800(%rbx)"
#define RUNG "0x20(%rbx)"
#define SAYS(byte) "movb $'" byte "', (%rcx)\n movb $10, (%rcx)\n"
#define BEGIN "mov $" BENCH ", %ebx\n mov $" BARE_CONSOLE ", %ecx\n" SAYS("u")

/* Rings and reads on and on: until reads give ones; until they don't; until enough was heard. */
BARE_GUEST(rings_and_reads,
	   BEGIN "0: movl $1, " DOORBELL "\n mov " RUNG ", %eax\n"
		 "cmp $-1, %eax\n jne 0b\n" SAYS(
			 "g") "1: movl $1, " DOORBELL "\n mov " RUNG ", %eax\n"
			      "cmp $-1, %eax\n je 1b\n" SAYS("b") "2: movl $1, " DOORBELL
								  "\n mov " RUNG ", %eax\n"
								  "cmp $100, %eax\n jb 2b\n");
/* Rings, and says so after a thousand times. */
BARE_GUEST(rings, BEGIN "0: mov $1000, %eax\n 1: movl $1, " DOORBELL
			"\n dec %eax\n jnz 1b\n" SAYS("r") "jmp 0b\n");
BARE_GUEST(is_idle, BEGIN "0: jmp 0b\n");

TEST_F(reconnect, a_guest_reads_ones_until_its_server_is_back_and_goes_on_there)
{
	START_GUEST(rings_and_reads, "");
	testdev_server_kill(&self->served);
	ASSERT_TRUE(program_await_line(&self->program));
	testdev_server_again(&self->served);
	ASSERT_TRUE(program_await_line(&self->program));
	program_wait(&self->program);
	EXPECT_EQ(0, self->program.status);
	EXPECT_NE(NULL,
		  strstr(self->program.complained, "the server is gone: reads give all ones"));
	EXPECT_NE(NULL, strstr(self->program.complained, "the server is back"));
}

TEST_F(reconnect, it_goes_on_as_often_as_its_server_comes_back)
{
	START_GUEST(is_idle, "");
	for (unsigned int i = 0; i < 3; i++) {
		testdev_server_kill(&self->served);
		AWAIT("the server is gone");
		testdev_server_again(&self->served);
		AWAIT("the server is back");
	}
	END_GUEST();
}

static uint64_t rung(const char *path)
{
	const struct fpc_options options = { 0 };
	uint64_t value = 0;
	struct fpc *client;

	if (fpc_connect(path, &options, &client))
		return 0;
	fpc_region_read(client, FP_BAR2, offsetof(struct testdev_counters, rung), &value,
			sizeof(value));
	fpc_close(client);
	return value;
}

/* What was said so far is not waited for any more. */
static void drain(int fd)
{
	char bytes[4096];

	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (read(fd, bytes, sizeof(bytes)) > 0)
		;
	fcntl(fd, F_SETFL, 0);
}

TEST_F(reconnect, who_does_nothing_but_ring_is_heard_by_the_new_server)
{
	START_GUEST(rings, "");
	testdev_server_kill(&self->served);
	AWAIT("the server is gone");
	testdev_server_again(&self->served);
	AWAIT("the server is back");
	drain(self->program.stdout_fd);
	/* One that was under way, and one after it. */
	ASSERT_TRUE(program_await_line(&self->program));
	ASSERT_TRUE(program_await_line(&self->program));
	END_GUEST();
	EXPECT_LE(1000, rung(self->served.path));
}

TEST_F(reconnect, a_server_by_tcp_is_taken_back_too)
{
	NEEDS_KVM();
	testdev_server_start_tcp(&self->served);
	ASSERT_EQ(0, write_guest(self->file, BARE_CODE(rings_and_reads)));
	ASSERT_EQ(0, start(self, "", "--payload", (const char *const[]){ NULL }));
	ASSERT_TRUE(program_await_line(&self->program));
	testdev_server_kill(&self->served);
	ASSERT_TRUE(program_await_line(&self->program));
	testdev_server_again(&self->served);
	ASSERT_TRUE(program_await_line(&self->program));
	program_wait(&self->program);
	EXPECT_EQ(0, self->program.status);
}

TEST_F(reconnect, with_reconnect_off_one_line_and_status_1_are_the_end)
{
	START_GUEST(is_idle, ",reconnect=off");
	testdev_server_kill(&self->served);
	program_wait(&self->program);
	EXPECT_EQ(1, self->program.status);
	EXPECT_TRUE(is_one_line(self->program.complained));
	EXPECT_NE(NULL, strstr(self->program.complained, "the guest ends: reconnect=off"));
}

TEST_F(reconnect, with_reconnect_off_an_access_that_finds_it_first_is_no_line_more)
{
	START_GUEST(rings_and_reads, ",reconnect=off");
	testdev_server_kill(&self->served);
	program_wait(&self->program);
	EXPECT_EQ(1, self->program.status);
	EXPECT_TRUE(is_one_line(self->program.complained));
}

TEST_F(reconnect, a_kernel_with_one_and_with_more_vcpus_gets_its_device_back)
{
	static const char *const cpus[] = { "1", "3" };

	NEEDS_KVM();
	testdev_server_start(&self->served);
	tiny_kernel_pvh(&self->kernel);
	ASSERT_EQ(0, write_guest(self->file, self->kernel.bytes, self->kernel.len));
	for (unsigned int i = 0; i < 2; i++) {
		ASSERT_EQ(0, start(self, "", "--kernel",
				   (const char *const[]){ "--memory", "16", "--cpus", cpus[i],
							  NULL }));
		/* Its empty command line. */
		ASSERT_TRUE(program_await_line(&self->program));
		testdev_server_kill(&self->served);
		AWAIT("the server is gone");
		testdev_server_again(&self->served);
		AWAIT("the server is back");
		END_GUEST();
	}
}

/* ---- what is at the socket then ---- */

static int start_other(FIXTURE_DATA(reconnect) * self, const char *shape, struct program *other)
{
	char device[256];

	if (write_guest(self->file, shape, strlen(shape)))
		return -EIO;
	snprintf(device, sizeof(device), "puppet,socket=%s,shape=%s", self->served.path,
		 self->file);
	return program_start(other, "fastpathd", (const char *const[]){ "--device", device, NULL },
			     false);
}

TEST_F(reconnect, another_device_is_refused_and_the_right_one_still_taken)
{
	struct program other;

	START_GUEST(is_idle, "");
	testdev_server_kill(&self->served);
	AWAIT("the server is gone");
	ASSERT_EQ(0, start_other(self, "{\"pci\": {\"vendor\": 1, \"device\": 1}}", &other));
	AWAIT("not taken back: another device: its vendor ID is 0x1, not 0x1b36");
	ASSERT_EQ(0, kill(other.pid, SIGKILL));
	program_wait(&other);
	testdev_server_again(&self->served);
	AWAIT("the server is back");
	END_GUEST();
}

TEST_HARNESS_MAIN
