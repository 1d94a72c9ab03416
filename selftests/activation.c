// SPDX-License-Identifier: GPL-2.0-only
/*
 * A server that finds its listening sockets open when it starts, as systemd passes them.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fastpath-client.h"
#include "fastpath.h"
#include "kselftest_harness.h"
#include "lib/peer.h"
#include "lib/program.h"
#include "log.h"
#include "socket.h"
#include "testdev.h"

#define ARGS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* Two listening sockets. */
FIXTURE(passed) {
	char dir[64];
	char path[2][80];
	int fds[2];
	struct program program;
};

FIXTURE_SETUP(passed)
{
	log_set_level(LOG_ERROR);
	snprintf(self->dir, sizeof(self->dir), "/tmp/fastpath-test.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	for (int i = 0; i < 2; i++) {
		snprintf(self->path[i], sizeof(self->path[i]), "%s/%d", self->dir, i);
		self->fds[i] = socket_listen(self->path[i]);
		ASSERT_LE(0, self->fds[i]);
	}
}

FIXTURE_TEARDOWN(passed)
{
	for (int i = 0; i < 2; i++)
		unlink(self->path[i]);
	rmdir(self->dir);
}

static void start(FIXTURE_DATA(passed) * self, unsigned int nr, const char *names,
		  const char *const *args)
{
	program_pass(self->fds, nr, names);
	program_start(&self->program, "fastpathd", args, false);
}

/* The id of the testdev there, or -errno. The socket listens before the server does anything. */
static int64_t id_at(const char *path)
{
	struct fpc_options options = { .timeout_ms = PEER_DEADLINE_MS };
	int64_t deadline = 0;
	struct fpc *client;
	uint64_t id = 0;
	int ret;

	/* A server that has not noticed that its client is gone refuses the next one. */
	do
		ret = fpc_connect(path, &options, &client);
	while (ret == -EBUSY && peer_time_left(&deadline));
	if (ret)
		return ret;
	ret = fpc_region_read(client, FP_BAR2, offsetof(struct testdev_counters, id), &id, 8);
	fpc_close(client);
	return ret ? ret : (int64_t)id;
}

static int end(FIXTURE_DATA(passed) * self)
{
	kill(self->program.pid, SIGTERM);
	program_wait(&self->program);
	return self->program.status;
}

/* What it says when it ends by itself, in one line. */
static const char *refusal(FIXTURE_DATA(passed) * self)
{
	program_wait(&self->program);
	if (self->program.status != 1)
		return "it did not end with 1";
	return self->program.complained;
}

TEST_F(passed, the_one_device_is_served_at_the_socket_that_was_passed)
{
	start(self, 1, NULL, ARGS("--device", "testdev,id=7"));
	EXPECT_EQ(7, id_at(self->path[0]));
	EXPECT_EQ(7, id_at(self->path[0]));
	EXPECT_EQ(0, end(self));
	EXPECT_STREQ("", self->program.complained);
}

TEST_F(passed, its_file_stays_when_the_server_ends)
{
	start(self, 1, NULL, ARGS("--device", "testdev"));
	EXPECT_EQ(0, id_at(self->path[0]));
	EXPECT_EQ(0, end(self));
	EXPECT_EQ(0, access(self->path[0], F_OK));
}

/* As Accept=no and NonBlocking=yes have it. */
TEST_F(passed, one_that_does_not_block_is_waited_at_all_the_same)
{
	ASSERT_EQ(0, fcntl(self->fds[0], F_SETFL, O_NONBLOCK));
	start(self, 1, NULL, ARGS("--device", "testdev,id=8"));
	EXPECT_EQ(8, id_at(self->path[0]));
	EXPECT_EQ(0, end(self));
}

TEST_F(passed, a_name_says_whose_socket_it_is)
{
	start(self, 2, "second:first",
	      ARGS("--device", "testdev,id=1,name=first", "--device", "testdev,id=2,name=second"));
	EXPECT_EQ(2, id_at(self->path[0]));
	EXPECT_EQ(1, id_at(self->path[1]));
	EXPECT_EQ(0, end(self));
}

TEST_F(passed, those_whose_names_are_no_device_s_are_given_out_in_order)
{
	start(self, 2, "fastpathd.socket:first",
	      ARGS("--device", "testdev,id=1,name=first", "--device", "testdev,id=2"));
	EXPECT_EQ(2, id_at(self->path[0]));
	EXPECT_EQ(1, id_at(self->path[1]));
	EXPECT_EQ(0, end(self));
}

TEST_F(passed, a_device_with_an_address_of_its_own_takes_none)
{
	char option[160];

	snprintf(option, sizeof(option), "testdev,id=1,socket=%s/own", self->dir);
	start(self, 1, NULL, ARGS("--device", option, "--device", "testdev,id=2"));
	EXPECT_EQ(2, id_at(self->path[0]));
	EXPECT_EQ(0, end(self));
}

TEST_F(passed, a_socket_that_no_device_wants_is_refused)
{
	start(self, 2, NULL, ARGS("--device", "testdev"));
	EXPECT_NE(NULL, strstr(refusal(self), "LISTEN_FDS: no device is left for fd 4"));
}

TEST_F(passed, a_device_for_which_no_socket_is_left_is_refused)
{
	start(self, 1, NULL, ARGS("--device", "testdev", "--device", "testdev"));
	EXPECT_NE(NULL, strstr(refusal(self), "no socket=ADDRESS"));
}

TEST_F(passed, what_is_no_listening_stream_socket_is_refused)
{
	close(self->fds[0]);
	self->fds[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	start(self, 1, NULL, ARGS("--device", "testdev"));
	EXPECT_NE(NULL, strstr(refusal(self), "fd 3 is no stream socket that listens"));
	close(self->fds[0]);
	self->fds[0] = open("/dev/null", O_RDWR);
	start(self, 1, NULL, ARGS("--device", "testdev"));
	EXPECT_NE(NULL, strstr(refusal(self), "fd 3 is no stream socket that listens"));
}

TEST_F(passed, a_mode_is_for_files_that_the_server_makes)
{
	start(self, 1, NULL, ARGS("--device", "testdev,mode=0660"));
	EXPECT_NE(NULL, strstr(refusal(self), "mode= is for sockets that this program opens"));
}

TEST_F(passed, uid_is_heeded_at_a_passed_socket_too)
{
	char option[64];

	snprintf(option, sizeof(option), "testdev,uid=%u", getuid() + 1);
	start(self, 1, NULL, ARGS("--device", option));
	EXPECT_EQ(-EPERM, id_at(self->path[0]));
	EXPECT_EQ(0, end(self));
}

TEST_F(passed, sockets_of_another_process_are_not_taken)
{
	setenv("LISTEN_PID", "1", 1);
	setenv("LISTEN_FDS", "1", 1);
	program_start(&self->program, "fastpathd", ARGS("--device", "testdev"), false);
	EXPECT_NE(NULL, strstr(refusal(self), "no socket=ADDRESS"));
}

TEST_HARNESS_MAIN
