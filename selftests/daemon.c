// SPDX-License-Identifier: GPL-2.0-only
/*
 * fastpathd's command line, its sockets, and how it starts and ends.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
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

/* Runs fastpathd until it ends by itself; its exit status. */
static int run(struct program *program, const char *const *args)
{
	program_start(program, "fastpathd", args, false);
	program_wait(program);
	return program->status;
}

/* Ends a server by `sig`; its exit status, or -N. */
static int end(struct program *program, int sig)
{
	kill(program->pid, sig);
	program_wait(program);
	return program->status;
}

static bool says(const char *text, const char *what)
{
	return strstr(text, what) != NULL;
}

static unsigned int lines(const char *text)
{
	unsigned int nr = 0;

	for (; *text; text++)
		nr += *text == '\n';
	return nr;
}

/* A directory with a place for sockets in it. */
FIXTURE(place) {
	char dir[64];
	char path[80];
	char other[80];
	char device[128]; /* the option's value for a testdev at `path` */
};

FIXTURE_SETUP(place)
{
	log_set_level(LOG_ERROR); /* connections that are tried again are nothing to tell of */
	snprintf(self->dir, sizeof(self->dir), "/tmp/fastpath-test.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	snprintf(self->path, sizeof(self->path), "%s/socket", self->dir);
	snprintf(self->other, sizeof(self->other), "%s/other", self->dir);
	snprintf(self->device, sizeof(self->device), "testdev,socket=%s", self->path);
}

FIXTURE_TEARDOWN(place)
{
	unlink(self->path);
	unlink(self->other);
	rmdir(self->path);
	rmdir(self->dir);
}

/* Connects once a server listens at `path`. */
static int connect_to(const char *path)
{
	int64_t deadline = 0;
	int fd;

	while ((fd = socket_connect(path)) < 0 && peer_time_left(&deadline))
		sched_yield();
	return fd;
}

/* The id of the testdev that serves at `path`; UINT64_MAX when there is none. */
static uint64_t id_of_device_at(const char *path)
{
	struct fpc_options options = { .timeout_ms = PEER_DEADLINE_MS };
	int64_t deadline = 0;
	struct fpc *client;
	uint64_t id = UINT64_MAX;
	int ret;

	/* A server that has not noticed that its client is gone refuses the next one. */
	do
		ret = fpc_connect(path, &options, &client);
	while (ret && peer_time_left(&deadline));
	if (ret)
		return id;
	fpc_region_read(client, FP_BAR2, offsetof(struct testdev_counters, id), &id, 8);
	fpc_close(client);
	return id;
}

static bool exists(const char *path)
{
	struct stat st;

	return !lstat(path, &st);
}

/* ---- options ---- */

TEST(help_names_the_options_the_devices_and_their_keys)
{
	struct program program;

	EXPECT_EQ(0, run(&program, ARGS("--help")));
	EXPECT_STREQ("", program.complained);
	EXPECT_TRUE(says(program.said, "Usage: fastpathd "));
	EXPECT_TRUE(says(program.said, "--device"));
	EXPECT_TRUE(says(program.said, "--socket-path"));
	EXPECT_TRUE(says(program.said, "--fd"));
	EXPECT_TRUE(says(program.said, "--client-timeout"));
	EXPECT_TRUE(says(program.said, "testdev"));
	EXPECT_TRUE(says(program.said, "  id "));
	EXPECT_TRUE(says(program.said, "io-fds-layout"));
}

TEST(version_is_one_line)
{
	struct program program;

	EXPECT_EQ(0, run(&program, ARGS("--version")));
	EXPECT_STREQ("fastpathd (fastpath " FASTPATH_VERSION ")\n", program.said);
	EXPECT_STREQ("", program.complained);
}

TEST(a_mistyped_device_lists_the_valid_ones)
{
	struct program program;

	EXPECT_EQ(1, run(&program, ARGS("--device", "testdeu,socket=/nowhere")));
	EXPECT_TRUE(
		says(program.complained, "--device testdeu,socket=/nowhere: no device 'testdeu'"));
	EXPECT_TRUE(says(program.complained, "  testdev "));
	EXPECT_STREQ("", program.said);
}

TEST(a_mistyped_key_lists_the_valid_ones)
{
	struct program program;

	EXPECT_EQ(1, run(&program, ARGS("--device", "testdev,sockt=/nowhere")));
	EXPECT_TRUE(says(program.complained, "--device testdev: no key 'sockt'"));
	EXPECT_TRUE(says(program.complained, "  id "));
	EXPECT_TRUE(says(program.complained, "  socket "));
	EXPECT_TRUE(says(program.complained, "  io-fds-layout "));
}

TEST(a_bad_value_is_refused_with_its_option_and_what_is_wanted)
{
	static const struct {
		const char *args[4];
		const char *says;
	} cases[] = {
		{ { "--device", "testdev,socket=/nowhere,id=seven" }, "id=seven: wants a number" },
		{ { "--device", "testdev,socket=/nowhere,id=" }, "id=: wants a number" },
		{ { "--device", "testdev,socket=/nowhere,id=-1" }, "id=-1: wants a number" },
		{ { "--device", "testdev,socket=/nowhere,id=7x" }, "id=7x: wants a number" },
		{ { "--device", "testdev,socket=/nowhere,id=0x10000000000000000" },
		  "id=0x10000000000000000: wants a number" },
		{ { "--device", "testdev,socket=/nowhere,io-fds-layout=48" },
		  "io-fds-layout=48: wants deployed or spec" },
		{ { "--device", "testdev,socket" }, "wants NAME[,key=value...]" },
		{ { "--device", "testdev,=x" }, "wants NAME[,key=value...]" },
		{ { "--device", "testdev" }, "no socket=ADDRESS" },
		{ { "--device", "testdev,socket=" }, "'': the path is empty" },
		{ { "--device", "" }, "no device ''" },
		{ { "--device", "testdev,socket=/nowhere,name=" }, "name=: wants letters" },
		{ { "--device", "testdev,socket=/nowhere,name=a/b" }, "name=a/b: wants letters" },
		{ { "--device", "testdev,socket=/nowhere,name=.." }, "name=..: wants letters" },
		{ { "--wait=spin" }, "--wait=spin: wants block, spin=" },
		{ { "--wait=spin=x" }, "--wait=spin=x: wants block, spin=" },
		{ { "--wait=spin=1000001" }, "--wait=spin=1000001: wants block, spin=" },
		{ { "--client-timeout=" }, "--client-timeout=: wants seconds" },
		{ { "--client-timeout=-1" }, "--client-timeout=-1: wants seconds" },
		{ { "--client-timeout=0.001" }, "--client-timeout=0.001: wants seconds" },
		{ { "--client-timeout=86401" }, "--client-timeout=86401: wants seconds" },
		{ { "--client-timeout=nan" }, "--client-timeout=nan: wants seconds" },
		{ { "--client-timeout=5s" }, "--client-timeout=5s: wants seconds" },
		{ { "--log-level=loud" }, "--log-level=loud: wants error, warn, info or debug" },
		{ { "--fd=x" }, "--fd=x: wants a number" },
		{ { "--fd=-1" }, "--fd=-1: wants a number" },
		{ { "--fd=99" }, "--fd=99: it is not a connected stream socket" },
		{ { "--fd=0" }, "--fd=0: it is not a connected stream socket" },
		{ { "--device" }, "--device" },
		{ { "--socket" }, "--socket" }, /* no abbreviation of that is unique */
		{ { "--frobnicate" }, "--help" },
		{ { "--device", "testdev,socket=/nowhere/s", "extra" }, "'extra'" },
		{ { NULL }, "no --device given" },
	};
	struct program program;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		EXPECT_EQ(1, run(&program, cases[i].args))
		{
			TH_LOG("case %zu", i);
		}
		EXPECT_TRUE(says(program.complained, cases[i].says))
		{
			TH_LOG("%s is not in: %s", cases[i].says, program.complained);
		}
		EXPECT_STREQ("", program.said);
	}
}

TEST(one_device_has_one_place_to_be_served_at)
{
	static const char *const cases[][6] = {
		{ "--device", "testdev,socket=/tmp/a", "--socket-path=/tmp/b" },
		{ "--device", "testdev,socket=/tmp/a", "--fd=0" },
		{ "--device", "testdev", "--device", "testdev", "--socket-path=/tmp/b" },
	};
	struct program program;

	for (size_t i = 0; i < 3; i++) {
		EXPECT_EQ(1, run(&program, cases[i]));
		EXPECT_TRUE(says(program.complained, "--fd"));
		EXPECT_EQ(1, lines(program.complained));
	}
	EXPECT_FALSE(exists("/tmp/a"));
	EXPECT_FALSE(exists("/tmp/b"));
}

TEST_F(place, an_fd_that_is_no_connected_stream_socket_is_refused)
{
	struct program program;
	char option[32];
	int fds[4];

	fds[0] = open("/dev/null", O_RDWR);
	fds[1] = socket(AF_UNIX, SOCK_DGRAM, 0);
	fds[2] = socket(AF_UNIX, SOCK_STREAM, 0);
	fds[3] = socket_listen(self->path);
	ASSERT_LE(0, fds[3]);
	ASSERT_EQ(0, fcntl(fds[3], F_SETFD, 0));
	for (unsigned int i = 0; i < 4; i++) {
		snprintf(option, sizeof(option), "--fd=%d", fds[i]);
		EXPECT_EQ(1, run(&program, ARGS("--device", "testdev", option)));
		EXPECT_TRUE(says(program.complained, "it is not a connected stream socket"));
	}
}

TEST(two_devices_of_one_name_are_refused)
{
	struct program program;

	EXPECT_EQ(1, run(&program, ARGS("--device", "testdev,socket=/nowhere/a,name=x", "--device",
					"testdev,socket=/nowhere/b,name=x")));
	EXPECT_TRUE(says(program.complained, "name=x: two devices have it"));
}

/* ---- sockets ---- */

TEST_F(place, a_device_is_served_at_its_socket_which_only_its_owner_may_use)
{
	struct program program;
	struct stat st;

	umask(0);
	program_start(&program, "fastpathd", ARGS("--device", self->device), false);
	EXPECT_EQ(0, id_of_device_at(self->path));
	ASSERT_EQ(0, stat(self->path, &st));
	EXPECT_EQ(S_IFSOCK | 0600, st.st_mode);
	EXPECT_EQ(0, end(&program, SIGTERM));
	EXPECT_STREQ("", program.complained);
	EXPECT_STREQ("", program.said);
}

TEST_F(place, socket_path_is_the_place_of_the_only_device)
{
	struct program program;

	program_start(&program, "fastpathd",
		      ARGS("--socket-path", self->path, "--device", "testdev,id=8"), false);
	EXPECT_EQ(8, id_of_device_at(self->path));
	EXPECT_EQ(0, end(&program, SIGTERM));
	EXPECT_FALSE(exists(self->path));
}

TEST_F(place, several_devices_are_each_served_at_their_own_socket)
{
	struct program program;
	char first[128], second[128];

	snprintf(first, sizeof(first), "testdev,id=1,socket=%s", self->path);
	snprintf(second, sizeof(second), "testdev,socket=%s,id=2", self->other);
	program_start(&program, "fastpathd", ARGS("--device", first, "--device", second), false);
	EXPECT_EQ(1, id_of_device_at(self->path));
	EXPECT_EQ(2, id_of_device_at(self->other));
	EXPECT_EQ(0, end(&program, SIGTERM));
	EXPECT_FALSE(exists(self->path));
	EXPECT_FALSE(exists(self->other));
}

TEST_F(place, a_client_that_comes_right_after_another_has_left_is_served)
{
	struct peer *peer = peer_open("testdev", PEER_LISTEN);

	for (unsigned int i = 0; i < 100; i++) {
		peer_freeze(peer); /* so that it hears of both at once */
		peer_disconnect(peer);
		peer->fd = peer_connect(peer);
		peer_thaw(peer);
		ASSERT_EQ(0, peer_version(peer, PEER_JSON));
	}
	EXPECT_EQ(0, peer_log_count(peer, "refused"));
	peer_stop(peer);
}

TEST_F(place, devices_are_spread_over_the_worker_threads)
{
	char device[8][160];
	const char *args[32] = { "--workers", "3" };
	struct program program;

	for (unsigned int i = 0; i < 8; i++) {
		snprintf(device[i], sizeof(device[i]), "testdev,id=%u,socket=%s%u", i, self->path,
			 i);
		args[2 + 2 * i] = "--device";
		args[3 + 2 * i] = device[i];
	}
	program_start(&program, "fastpathd", args, false);
	for (unsigned int i = 0; i < 8; i++) {
		char path[96];

		snprintf(path, sizeof(path), "%s%u", self->path, i);
		EXPECT_EQ(i, id_of_device_at(path));
	}
	/* Three that serve, and one that only waits for signals; a sanitizer may have its own. */
	EXPECT_LE(4, peer_count_threads(&(struct peer){ .pid = program.pid }));
	EXPECT_GE(5, peer_count_threads(&(struct peer){ .pid = program.pid }));
	EXPECT_EQ(0, end(&program, SIGTERM));
}

TEST(a_worker_whose_device_can_t_be_made_ends_the_server_and_leaves_nothing)
{
	struct program program;
	char dir[] = "/tmp/fastpath-test.XXXXXX";
	char good[128], bad[128];

	ASSERT_NE(NULL, mkdtemp(dir));
	snprintf(good, sizeof(good), "testdev,socket=%s/good", dir);
	snprintf(bad, sizeof(bad), "testdev,socket=%s/there/is/no/such", dir);
	EXPECT_EQ(1, run(&program, ARGS("--workers=2", "--device", good, "--device", bad)));
	EXPECT_TRUE(says(program.complained, "No such file or directory"));
	EXPECT_EQ(1, lines(program.complained));
	EXPECT_EQ(0, rmdir(dir)); /* so that nothing is in it */
}

TEST(a_number_of_workers_that_makes_no_sense_is_refused)
{
	static const char *const wrong[] = { "--workers=0", "--workers=65", "--workers=-1",
					     "--workers=x", "--workers=" };
	struct program program;

	for (unsigned int i = 0; i < 5; i++) {
		EXPECT_EQ(1, run(&program, ARGS(wrong[i], "--device", "testdev,socket=/nowhere")));
		EXPECT_TRUE(says(program.complained, wrong[i]));
	}
}

TEST_F(place, sigterm_and_sigint_end_a_server_cleanly_with_and_without_a_client)
{
	static const int signals[] = { SIGTERM, SIGINT };
	struct program program;

	for (unsigned int i = 0; i < 4; i++) {
		int fd;

		program_start(&program, "fastpathd", ARGS("--device", self->device), false);
		fd = connect_to(self->path);
		ASSERT_LE(0, fd);
		if (i < 2)
			close(fd);
		EXPECT_EQ(0, end(&program, signals[i % 2]));
		EXPECT_FALSE(exists(self->path));
		if (i >= 2)
			close(fd);
	}
}

TEST_F(place, a_socket_file_that_a_killed_server_left_is_taken_over)
{
	struct program program;

	program_start(&program, "fastpathd", ARGS("--device", self->device), false);
	EXPECT_EQ(0, id_of_device_at(self->path));
	EXPECT_EQ(-SIGKILL, end(&program, SIGKILL));
	EXPECT_TRUE(exists(self->path));
	program_start(&program, "fastpathd", ARGS("--device", self->device), false);
	EXPECT_EQ(0, id_of_device_at(self->path));
	EXPECT_EQ(0, end(&program, SIGTERM));
	EXPECT_FALSE(exists(self->path));
}

TEST_F(place, a_socket_that_somebody_listens_at_is_left_alone)
{
	struct program first, second;
	int client;

	program_start(&first, "fastpathd", ARGS("--device", self->device), false);
	client = connect_to(self->path);
	ASSERT_LE(0, client);
	EXPECT_EQ(1, run(&second, ARGS("--device", self->device)));
	EXPECT_TRUE(says(second.complained, self->path));
	EXPECT_TRUE(says(second.complained, "a server listens there already"));
	close(client);
	EXPECT_EQ(0, id_of_device_at(self->path));
	EXPECT_EQ(0, end(&first, SIGTERM));
}

TEST_F(place, two_devices_can_not_have_the_same_socket)
{
	struct program program;

	EXPECT_EQ(1, run(&program, ARGS("--device", self->device, "--device", self->device)));
	EXPECT_TRUE(says(program.complained, self->path));
	EXPECT_FALSE(exists(self->path));
}

TEST_F(place, a_file_that_is_no_socket_is_left_alone)
{
	struct program program;
	struct stat st;

	close(open(self->path, O_CREAT | O_WRONLY, 0644));
	EXPECT_EQ(1, run(&program, ARGS("--device", self->device)));
	EXPECT_TRUE(says(program.complained, "there is a file that is not a socket"));
	ASSERT_EQ(0, lstat(self->path, &st));
	EXPECT_TRUE(S_ISREG(st.st_mode));
	unlink(self->path);

	ASSERT_EQ(0, symlink("/nowhere", self->path));
	EXPECT_EQ(1, run(&program, ARGS("--device", self->device)));
	ASSERT_EQ(0, lstat(self->path, &st));
	EXPECT_TRUE(S_ISLNK(st.st_mode));
	unlink(self->path);

	ASSERT_EQ(0, mkdir(self->path, 0700));
	EXPECT_EQ(1, run(&program, ARGS("--device", self->device)));
	EXPECT_TRUE(exists(self->path));
}

TEST_F(place, a_path_that_can_not_be_is_refused_by_name)
{
	struct program program;
	char path[256], device[300];

	snprintf(device, sizeof(device), "testdev,socket=%s/no/socket", self->dir);
	EXPECT_EQ(1, run(&program, ARGS("--device", device)));
	EXPECT_TRUE(says(program.complained, "/no/socket: No such file or directory"));

	memset(path, 'x', sizeof(path));
	path[108] = '\0';
	snprintf(device, sizeof(device), "testdev,socket=%s", path);
	EXPECT_EQ(1, run(&program, ARGS("--device", device)));
	EXPECT_TRUE(says(program.complained, "xxx: File name too long"));
}

TEST_F(place, a_second_client_is_refused_at_once_and_the_first_served_on)
{
	struct peer *peer = peer_open("testdev", PEER_LISTEN);

	for (unsigned int i = 1; i <= 20; i++) {
		struct peer second = { .fd = peer_connect(peer) };

		/* To a client whose first message, number 0, is VERSION this is its answer. */
		EXPECT_EQ(EBUSY, peer_answer(&second, 0, WIRE_VERSION));
		peer_await_end(&second);
		close(second.fd);
		EXPECT_EQ(TESTDEV_MAGIC, peer_read(peer, FP_BAR2, 0, 4));
		EXPECT_EQ(i, peer_log_count(peer, "a second client is refused"));
	}
	peer_stop(peer);
}

TEST_F(place, a_second_client_hears_why_it_is_refused_however_late_it_speaks)
{
	struct peer *peer = peer_open("testdev", PEER_LISTEN);
	unsigned int before = peer_count_fds(peer);
	struct peer second = { .fd = peer_connect(peer) };
	int64_t deadline = 0;
	int fd = dup(second.fd);

	while (!peer_log_count(peer, "a second client is refused") && peer_time_left(&deadline))
		EXPECT_EQ(TESTDEV_MAGIC, peer_read(peer, FP_BAR2, 0, 4));
	/* A server that had hung up would have it fail, or the answer lost. */
	peer_send(&second, "VERSION and more", 16, &fd, 1);
	EXPECT_EQ(EBUSY, peer_answer(&second, 0, WIRE_VERSION));
	peer_await_end(&second);
	close(fd);
	close(second.fd);
	EXPECT_EQ(before, peer_await_fds(peer, before));
	peer_stop(peer);
}

/* ---- a connected fd ---- */

TEST(a_server_of_a_connected_fd_ends_with_its_client)
{
	struct peer *peer = peer_open("testdev", 0);

	peer_disconnect(peer);
	EXPECT_EQ(0, peer_wait(peer));
	peer_stop(peer);
}

TEST(a_server_of_a_connected_fd_ends_by_sigterm)
{
	struct peer *peer = peer_open("testdev", 0);

	peer_stop(peer); /* which looks at the exit status */
}

/* ---- the log ---- */

TEST_F(place, clients_come_and_go_in_the_log_at_info)
{
	struct program program;

	program_start(&program, "fastpathd", ARGS("--log-level=info", "--device", self->device),
		      false);
	EXPECT_EQ(0, id_of_device_at(self->path));
	EXPECT_EQ(0, id_of_device_at(self->path));
	EXPECT_EQ(0, end(&program, SIGTERM));
	EXPECT_TRUE(says(program.complained, "a client has come"));
	EXPECT_TRUE(says(program.complained, "the client is gone"));
	EXPECT_TRUE(says(program.complained, self->path));
}

TEST_F(place, a_server_whose_log_nobody_reads_any_more_goes_on)
{
	struct fpc_options options = { .timeout_ms = PEER_DEADLINE_MS };
	int64_t deadline = 0;
	struct fpc *client;
	int pipes[2], status;
	pid_t pid;

	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	signal(SIGPIPE, SIG_DFL);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(pipes[1], STDERR_FILENO);
		execl(program_path("fastpathd"), "fastpathd", "--device", self->device, NULL);
		_exit(125);
	}
	close(pipes[0]);
	close(pipes[1]);
	while (fpc_connect(self->path, &options, &client)) {
		ASSERT_NE(0, peer_time_left(&deadline));
	}
	EXPECT_EQ(-EOPNOTSUPP, fpc_call(client, 14, NULL, 0, NULL, 0, NULL, 0));
	EXPECT_EQ(0, fpc_reset(client));
	fpc_close(client);
	kill(pid, SIGTERM);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_F(place, a_spinning_server_serves_and_sleeps_when_there_is_nothing_to_do)
{
	struct program program;
	struct timespec before, after;
	clockid_t clock;

	program_start(&program, "fastpathd", ARGS("--wait=spin=1000", "--device", self->device),
		      false);
	for (unsigned int i = 0; i < 20; i++) {
		EXPECT_EQ(0, id_of_device_at(self->path));
	}
	ASSERT_EQ(0, clock_getcpuclockid(program.pid, &clock));
	clock_gettime(clock, &before);
	usleep(200000);
	clock_gettime(clock, &after);
	EXPECT_GT(100000000,
		  (after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec);
	EXPECT_EQ(0, end(&program, SIGTERM));
}

/* ---- a device of somebody's own ---- */

/* Writes what stands between "```c" and "```" in README.md to `path`. */
static bool extract_device(const char *path)
{
	FILE *readme = fopen("README.md", "re");
	FILE *source = fopen(path, "we");
	char line[512];
	bool inside = false, found = false;

	while (readme && source && fgets(line, sizeof(line), readme)) {
		if (!strcmp(line, "```\n"))
			inside = false;
		if (inside)
			fputs(line, source);
		if (!strcmp(line, "```c\n"))
			inside = found = true;
	}
	if (readme)
		fclose(readme);
	if (source)
		fclose(source);
	return found;
}

TEST_F(place, the_device_in_the_readme_is_built_with_the_library_alone)
{
	struct fpc_options options = { .timeout_ms = PEER_DEADLINE_MS };
	const char *sanitizer = getenv("SAN");
	struct program program;
	struct fpc *client;
	struct fpc_io_fds set;
	int64_t deadline = 0;
	uint64_t kicks = 0;
	char build[4096], command[16384], device[128];

	if (sanitizer && *sanitizer)
		SKIP(return, "the library needs its sanitizer's runtime");
	if (access("README.md", R_OK))
		SKIP(return, "not run from the directory of README.md");
	ASSERT_TRUE(extract_device(self->other));
	snprintf(build, sizeof(build), "%s", program_path(""));
	snprintf(command, sizeof(command),
		 "cc -Wall -Wextra -Werror -Icore -o %s/selftests/hello -x c %s -x none"
		 " -L%s -lfastpath -Wl,-rpath,%s",
		 build, self->other, build, build);
	ASSERT_EQ(0, system(command));

	snprintf(device, sizeof(device), "hello,socket=%s", self->path);
	program_start(&program, "selftests/hello", ARGS("--device", device), false);
	while (fpc_connect(self->path, &options, &client)) {
		ASSERT_NE(0, peer_time_left(&deadline));
	}
	ASSERT_EQ(0, fpc_region_io_fds(client, FP_BAR0, &set));
	ASSERT_EQ(1, set.nr_entries);
	EXPECT_EQ(0x10, set.entries[0].offset);
	ASSERT_EQ(8, write(set.entries[0].fd, &(uint64_t){ 41 }, 8));
	EXPECT_EQ(0, fpc_region_write(client, FP_BAR0, 0x10, &kicks, 4));
	deadline = 0;
	while (kicks != 42 && peer_time_left(&deadline)) {
		ASSERT_EQ(0, fpc_region_read(client, FP_BAR0, 0, &kicks, 8));
	}
	EXPECT_EQ(42, kicks);
	fpc_io_fds_free(&set);
	fpc_close(client);
	EXPECT_EQ(0, end(&program, SIGTERM));
	unlink(program_path("selftests/hello"));
}

TEST_HARNESS_MAIN
