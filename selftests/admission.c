// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who may connect to a device: the mode of its socket, one user, other hosts.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fastpath-client.h"
#include "kselftest_harness.h"
#include "lib/peer.h"
#include "lib/program.h"
#include "log.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* Two users that nobody is. */
#define USER 54321
#define OTHER 54322

#define OPTIONS(...)              \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}

static int run(struct program *program, const char *const *args)
{
	if (program_start(program, "fastpathd", args, false))
		abort();
	program_wait(program);
	return program->status;
}

/* ---- what the keys may be ---- */

TEST(a_bad_value_is_refused_and_what_is_wanted_said)
{
	static const struct {
		const char *device;
		const char *says;
	} cases[] = {
		{ "testdev,mode=", "mode=: wants an octal mode from 0600 to 0777" },
		{ "testdev,mode=0o660", "mode=0o660: wants an octal mode" },
		{ "testdev,mode=0688", "mode=0688: wants an octal mode" },
		{ "testdev,mode=1777", "mode=1777: wants an octal mode" },
		{ "testdev,mode=-1", "mode=-1: wants an octal mode" },
		{ "testdev,mode=0060", "mode=0060: wants an octal mode" },
		{ "testdev,mode=0", "mode=0: wants an octal mode" },
		{ "testdev,uid=", "uid=: wants a user's number" },
		{ "testdev,uid=root", "uid=root: wants a user's number" },
		{ "testdev,uid=-1", "uid=-1: wants a user's number" },
		{ "testdev,uid=4294967295", "uid=4294967295: wants a user's number" },
		{ "testdev,uid=18446744073709551616", "wants a user's number" },
		{ "testdev,allow-remote=yes", "allow-remote=yes: wants on or off" },
	};
	struct program program;

	for (unsigned int i = 0; i < COUNT(cases); i++) {
		EXPECT_EQ(1, run(&program, OPTIONS("--device", cases[i].device,
						   "--socket-path=/tmp/fastpath-test-none")));
		EXPECT_NE(NULL, strstr(program.complained, cases[i].says))
		{
			TH_LOG("%s: %s", cases[i].device, program.complained);
		}
	}
}

TEST(mode_and_uid_are_refused_where_the_kernel_knows_neither)
{
	static const char *const addresses[] = { "--socket-path=tcp:0", "--socket-path=vsock:1:1" };
	static const char *const devices[] = { "testdev,mode=0660", "testdev,uid=0" };
	struct program program;

	for (unsigned int i = 0; i < 4; i++) {
		EXPECT_EQ(1, run(&program, OPTIONS("--device", devices[i % 2], addresses[i / 2])));
		EXPECT_NE(NULL, strstr(program.complained, "mode= and uid= are for UNIX sockets"));
	}
}

/* ---- other hosts ---- */

TEST(tcp_where_other_hosts_can_connect_takes_a_key)
{
	struct program program;

	EXPECT_EQ(1, run(&program, OPTIONS("--device", "testdev", "--socket-path=tcp:0.0.0.0:0")));
	EXPECT_NE(NULL, strstr(program.complained, "this takes allow-remote=on"));
	EXPECT_EQ(1, run(&program, OPTIONS("--device", "testdev,allow-remote=off",
					   "--socket-path=tcp:0.0.0.0:0")));
	EXPECT_NE(NULL, strstr(program.complained, "this takes allow-remote=on"));
}

/* The first line that it says, without its end. */
static void first_line(const struct program *program, char *line, size_t size)
{
	size_t len = 0;

	while (len < size - 1 && read(program->stderr_fd, line + len, 1) == 1 && line[len] != '\n')
		len++;
	line[len] = '\0';
}

TEST(whoever_listens_by_tcp_is_warned_once)
{
	static const char *const cases[][2] = {
		{ "testdev", "--socket-path=tcp:0" },
		{ "testdev,allow-remote=on", "--socket-path=tcp:0.0.0.0:0" },
	};
	struct program program;
	char line[512];

	for (unsigned int i = 0; i < COUNT(cases); i++) {
		ASSERT_EQ(0, program_start(&program, "fastpathd",
					   OPTIONS("--device", cases[i][0], cases[i][1]), false));
		first_line(&program, line, sizeof(line));
		EXPECT_NE(NULL, strstr(line, "tcp is neither authenticated nor encrypted"));
		kill(program.pid, SIGTERM);
		program_wait(&program);
		EXPECT_EQ(0, program.status);
		EXPECT_STREQ("", program.complained);
	}
}

/* ---- the mode ---- */

FIXTURE(place) {
	struct peer *peer;
};

FIXTURE_SETUP(place)
{
}

FIXTURE_TEARDOWN(place)
{
	if (self->peer)
		peer_stop(self->peer);
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : st.st_mode & 07777;
}

TEST_F(place, the_socket_has_the_mode_that_was_asked_for_whatever_the_umask)
{
	umask(0077);
	self->peer = peer_open("testdev,mode=0666", PEER_LISTEN);
	EXPECT_EQ(0666, mode_of(self->peer->path));
	EXPECT_EQ(0700, mode_of(self->peer->dir)); /* and nothing else has */
}

TEST_F(place, the_socket_is_its_owners_unless_told_otherwise)
{
	umask(0);
	self->peer = peer_open("testdev", PEER_LISTEN);
	EXPECT_EQ(0600, mode_of(self->peer->path));
}

/* ---- the user ---- */

/* What a client that is `uid` gets of VERSION: 0, or an errno. */
static int connect_as(struct peer *peer, uid_t uid)
{
	const struct fpc_options options = { .timeout_ms = PEER_DEADLINE_MS };
	struct fpc *client;
	int64_t deadline = 0;
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		int ret;

		log_set_level(LOG_ERROR);
		if (setgid(uid) || setuid(uid))
			_exit(255);
		/* The one before may not have been missed yet. */
		do
			ret = fpc_connect(peer->path, &options, &client);
		while (ret == -EBUSY && peer_time_left(&deadline));
		_exit(-ret);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define NEEDS_ROOT()  \
	if (getuid()) \
	SKIP(return, "other users can be had by root only")

/* A server for `device`, at a place that everybody can reach, with nobody connected. */
static void start(struct peer **peer, const char *device)
{
	*peer = peer_start(device, PEER_LISTEN);
	peer_disconnect(*peer);
	if (chmod((*peer)->dir, 0755))
		abort();
}

TEST_F(place, only_the_user_that_is_named_may_connect)
{
	NEEDS_ROOT();
	start(&self->peer, "testdev,mode=0666,uid=54321");
	EXPECT_EQ(0, connect_as(self->peer, USER));
	EXPECT_EQ(EPERM, connect_as(self->peer, OTHER));
	EXPECT_EQ(0, connect_as(self->peer, USER));
	EXPECT_EQ(1,
		  peer_log_count(self->peer,
				 "a client of uid 54322 is refused: only uid 54321 may connect"));
}

TEST_F(place, root_is_no_exception_unless_it_is_named)
{
	NEEDS_ROOT();
	start(&self->peer, "testdev,mode=0666,uid=54321");
	EXPECT_EQ(EPERM, connect_as(self->peer, 0));
	EXPECT_LE(1, peer_log_count(self->peer, "a client of uid 0 is refused"));
	peer_stop(self->peer);
	start(&self->peer, "testdev,mode=0666,uid=0");
	EXPECT_EQ(0, connect_as(self->peer, 0));
	EXPECT_EQ(EPERM, connect_as(self->peer, USER));
}

TEST_F(place, without_a_user_the_mode_decides)
{
	NEEDS_ROOT();
	start(&self->peer, "testdev,mode=0666");
	EXPECT_EQ(0, connect_as(self->peer, USER));
	peer_stop(self->peer);
	start(&self->peer, "testdev");
	EXPECT_EQ(EACCES, connect_as(self->peer, USER));
}

TEST_F(place, one_who_is_refused_does_not_take_the_devices_place)
{
	NEEDS_ROOT();
	self->peer = peer_open("testdev,mode=0666,uid=0", PEER_LISTEN);
	ASSERT_EQ(0, chmod(self->peer->dir, 0755));
	for (unsigned int i = 0; i < 20; i++)
		EXPECT_EQ(EPERM, connect_as(self->peer, USER));
	EXPECT_EQ(0, peer_read(self->peer, 0, 0, 4));
	peer_disconnect(self->peer);
	EXPECT_EQ(0, connect_as(self->peer, 0));
}

TEST_HARNESS_MAIN
