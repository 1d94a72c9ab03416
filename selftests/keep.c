// SPDX-License-Identifier: GPL-2.0-only
/*
 * fastpathd --state: what a server's devices were goes on in the next one.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fastpath-client.h"
#include "fastpath.h"
#include "kselftest_harness.h"
#include "lib/peer.h"
#include "lib/program.h"
#include "log.h"
#include "testdev.h"

/* ---- a device that takes its time over a store ---- */

#define SLOWLY 8 /* a store there is one to 0, a while later */
#define A_WHILE_NS 100000000

struct slow {
	const char *begun; /* a file to which it adds a byte when it begins */
	int begun_fd;
	uint64_t value;
	uint64_t coming;
	struct fp_access *deferred;
	struct fp_timer timer;
};

static void slow_expired(struct fp_device *dev, struct fp_timer *timer)
{
	struct slow *slow = fp_state(dev);

	(void)timer;
	slow->value = slow->coming;
	fp_finish(dev, slow->deferred, 0);
}

static int slow_access(struct fp_device *dev, struct fp_access *access)
{
	struct slow *slow = fp_state(dev);

	if (access->write && access->offset == SLOWLY) {
		slow->coming = fp_access_value(access);
		slow->timer.expired = slow_expired;
		slow->deferred = fp_defer(dev, access);
		fp_timer_start(dev, &slow->timer, A_WHILE_NS);
		if (ftruncate(slow->begun_fd, 1))
			return -errno;
		return FP_LATER;
	}
	fp_access_memory(access, 0, &slow->value, sizeof(slow->value));
	return 0;
}

static int slow_open(struct fp_device *dev)
{
	struct slow *slow = fp_state(dev);

	slow->begun_fd = slow->begun ? open(slow->begun, O_WRONLY | O_CREAT, 0600) : -1;
	return slow->begun && slow->begun_fd < 0 ? -errno : 0;
}

static int slow_save(struct fp_device *dev, struct fp_stream *to)
{
	struct slow *slow = fp_state(dev);

	return fp_stream_write(to, &slow->value, sizeof(slow->value));
}

static int slow_load(struct fp_device *dev, struct fp_stream *from)
{
	struct slow *slow = fp_state(dev);

	return fp_stream_read(from, &slow->value, sizeof(slow->value));
}

static void slow_close(struct fp_device *dev)
{
	fp_timer_stop(&((struct slow *)fp_state(dev))->timer);
}

static const struct fp_key keys[] = {
	{ "begun", FP_KEY_STRING, offsetof(struct slow, begun), "" },
	{ 0 },
};

FP_DEVICE(slow) = {
	.name = "slow",
	.summary = "takes its time",
	.state_bytes = sizeof(struct slow),
	.keys = keys,
	.pci = { .vendor = 0x1b36, .device = 0x0005, .class_code = 0x00ff00 },
	.regions[FP_BAR0] = { .size = 4096, .access = slow_access },
	.open = slow_open,
	.save = slow_save,
	.load = slow_load,
	.close = slow_close,
};

FP_DEVICE(fickle) = {
	.name = "fickle",
	.summary = "can't be saved",
	.state_bytes = sizeof(struct slow),
	.pci = { .vendor = 0x1b36, .device = 0x0005, .class_code = 0x00ff00 },
	.regions[FP_BAR0] = { .size = 4096, .access = slow_access },
	.close = slow_close,
};

/* ---- servers ---- */

FIXTURE(place) {
	char dir[64];
	char state[80];
	char socket[80];
	char file[96]; /* where the device called `it` is kept */
	int log;
};

FIXTURE_SETUP(place)
{
	log_set_level(LOG_ERROR); /* connections that are tried again are nothing to tell of */
	snprintf(self->dir, sizeof(self->dir), "/tmp/fastpath-test.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	snprintf(self->state, sizeof(self->state), "%s/state", self->dir);
	snprintf(self->socket, sizeof(self->socket), "%s/socket", self->dir);
	snprintf(self->file, sizeof(self->file), "%s/it.state", self->state);
	self->log = memfd_create("log", MFD_CLOEXEC);
}

FIXTURE_TEARDOWN(place)
{
	char lock[112];

	snprintf(lock, sizeof(lock), "%s.lock", self->file);
	unlink(lock);
	unlink(self->file);
	rmdir(self->state);
	unlink(self->socket);
	rmdir(self->dir);
}

/* A server of a `class_` called `it`. */
static pid_t start(FIXTURE_DATA(place) * self, const char *class_)
{
	char device[160];
	const char *argv[] = {
		"keep",	     "--device",
		device,	     "--state",
		self->state, program_without_sandbox() ? "--sandbox=off" : "--sandbox=on",
		NULL
	};
	pid_t pid = fork();

	if (pid)
		return pid;
	snprintf(device, sizeof(device), "%s,name=it,socket=%s", class_, self->socket);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || dup2(self->log, STDERR_FILENO) < 0)
		_exit(125);
	log_set_level(LOG_WARN);
	exit(fp_main(6, (char **)argv));
}

/* Its exit status, or -N when signal N ended it. */
static int await_end(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return -1000;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int end(pid_t pid, int sig)
{
	kill(pid, sig);
	return await_end(pid);
}

static struct fpc *connect_to(const char *path)
{
	struct fpc_options options = { .timeout_ms = PEER_DEADLINE_MS };
	int64_t deadline = 0;
	struct fpc *client;

	while (fpc_connect(path, &options, &client))
		if (!peer_time_left(&deadline))
			abort();
	return client;
}

/* Connects, and says what 8 bytes are. */
static uint64_t value_at(const char *path, uint32_t region, uint64_t offset)
{
	struct fpc *client = connect_to(path);
	uint64_t value;

	if (fpc_region_read(client, region, offset, &value, sizeof(value)))
		abort();
	fpc_close(client);
	return value;
}

static const char *log_of(FIXTURE_DATA(place) * self)
{
	static char text[4096];
	ssize_t len = pread(self->log, text, sizeof(text) - 1, 0);

	text[len > 0 ? len : 0] = '\0';
	return text;
}

static bool exists(const char *path)
{
	struct stat st;

	return !stat(path, &st);
}

static void await_file(const char *path)
{
	int64_t deadline = 0;

	while (!exists(path))
		if (!peer_time_left(&deadline))
			abort();
}

static void await_byte(const char *path)
{
	struct stat st = { 0 };
	int64_t deadline = 0;

	while (stat(path, &st) || !st.st_size)
		if (!peer_time_left(&deadline))
			abort();
}

#define VALUE 0x0123456789abcdefull

/* Has a testdev hold `VALUE`, and leaves. */
static void use(const char *path)
{
	struct fpc *client = connect_to(path);
	uint64_t value = VALUE;

	if (fpc_region_write(client, FP_BAR2, TESTDEV_SCRATCH, &value, sizeof(value)))
		abort();
	fpc_close(client);
}

TEST_F(place, a_server_that_is_restarted_finds_what_its_devices_were)
{
	pid_t pid = start(self, "testdev");
	struct stat st;

	use(self->socket);
	EXPECT_EQ(0, end(pid, SIGTERM));
	ASSERT_EQ(0, stat(self->file, &st));
	EXPECT_EQ(0600, st.st_mode & 0777);
	pid = start(self, "testdev");
	EXPECT_EQ(VALUE, value_at(self->socket, FP_BAR2, TESTDEV_SCRATCH));
	EXPECT_EQ(0, end(pid, SIGTERM));
	EXPECT_STREQ("", log_of(self));
}

TEST_F(place, a_server_that_is_killed_has_kept_what_the_last_client_left)
{
	pid_t pid = start(self, "testdev");

	use(self->socket);
	await_file(self->file);
	EXPECT_EQ(-SIGKILL, end(pid, SIGKILL));
	pid = start(self, "testdev");
	EXPECT_EQ(VALUE, value_at(self->socket, FP_BAR2, TESTDEV_SCRATCH));
	EXPECT_EQ(0, end(pid, SIGTERM));
}

TEST_F(place, what_a_server_that_was_killed_left_half_written_is_no_hindrance)
{
	char half[112];
	pid_t pid;

	snprintf(half, sizeof(half), "%s.new", self->file);
	ASSERT_EQ(0, mkdir(self->state, 0700));
	close(open(half, O_WRONLY | O_CREAT, 0600));
	pid = start(self, "testdev");
	use(self->socket);
	EXPECT_EQ(0, end(pid, SIGTERM));
	EXPECT_FALSE(exists(half));
	EXPECT_TRUE(exists(self->file));
}

TEST_F(place, a_server_that_is_stopped_ends_what_its_devices_have_begun_and_keeps_that)
{
	char begun[96], device[128];
	struct fpc *client;
	uint64_t value = VALUE;
	pid_t pid;

	snprintf(begun, sizeof(begun), "%s/begun", self->dir);
	snprintf(device, sizeof(device), "slow,begun=%s", begun);
	pid = start(self, device);
	client = connect_to(self->socket);
	ASSERT_EQ(0, fpc_region_post(client, FP_BAR0, SLOWLY, &value, sizeof(value)));
	ASSERT_EQ(0, fpc_turn(client, 0));
	await_byte(begun);
	fpc_close(client);
	EXPECT_EQ(0, end(pid, SIGTERM));
	unlink(begun);
	pid = start(self, "slow");
	EXPECT_EQ(VALUE, value_at(self->socket, FP_BAR0, 0));
	EXPECT_EQ(0, end(pid, SIGTERM));
}

/* What is written over the file of a testdev, and what is said of that. */
static void spoil(struct __test_metadata *_metadata, FIXTURE_DATA(place) * self, const void *bytes,
		  size_t len, const char *says)
{
	int fd;

	mkdir(self->state, 0700);
	fd = open(self->file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ASSERT_EQ((ssize_t)len, write(fd, bytes, len));
	close(fd);
	ASSERT_EQ(0, ftruncate(self->log, 0));
	ASSERT_EQ(0, lseek(self->log, 0, SEEK_SET));
	EXPECT_EQ(1, await_end(start(self, "testdev")));
	EXPECT_NE(NULL, strstr(log_of(self), says))
	{
		TH_LOG("%s is not in: %s", says, log_of(self));
	}
	EXPECT_NE(NULL, strstr(log_of(self), self->file));
	EXPECT_FALSE(exists(self->socket));
}

TEST_F(place, a_state_that_is_not_the_devices_is_refused_and_left_as_it_is)
{
	uint8_t bytes[65536];
	ssize_t len;
	pid_t pid;
	int fd;

	spoil(_metadata, self, "", 0, "it ends within its header");
	spoil(_metadata, self, "what is this, then, if not a state?", 35,
	      "no stream of a Fastpath");
	unlink(self->file);
	pid = start(self, "slow");
	value_at(self->socket, FP_BAR0, 0);
	EXPECT_EQ(0, end(pid, SIGTERM));
	fd = open(self->file, O_RDONLY);
	len = read(fd, bytes, sizeof(bytes));
	close(fd);
	ASSERT_LT(0, len);
	spoil(_metadata, self, bytes, (size_t)len, "it is another class's");
	fd = open(self->file, O_RDONLY);
	EXPECT_EQ(len, read(fd, bytes, sizeof(bytes)));
	close(fd);
}

TEST_F(place, a_device_that_can_t_be_saved_is_served_and_one_line_says_so)
{
	pid_t pid = start(self, "fickle");

	value_at(self->socket, FP_BAR0, 0);
	EXPECT_EQ(0, end(pid, SIGTERM));
	EXPECT_FALSE(exists(self->file));
	EXPECT_NE(NULL, strstr(log_of(self), "its state is not kept"));
}

TEST_F(place, a_second_server_can_not_keep_a_device_of_the_same_name_in_the_same_place)
{
	pid_t first = start(self, "testdev");
	char other[sizeof(self->socket)];

	use(self->socket);
	memcpy(other, self->socket, sizeof(other));
	snprintf(self->socket, sizeof(self->socket), "%s/second", self->dir);
	EXPECT_EQ(1, await_end(start(self, "testdev")));
	EXPECT_NE(NULL, strstr(log_of(self), "another server keeps a device of this name there"));
	EXPECT_FALSE(exists(self->socket));
	memcpy(self->socket, other, sizeof(other));
	EXPECT_EQ(0, end(first, SIGTERM));
	first = start(self, "testdev");
	EXPECT_EQ(VALUE, value_at(self->socket, FP_BAR2, TESTDEV_SCRATCH));
	EXPECT_EQ(0, end(first, SIGTERM));
}

TEST_F(place, a_place_that_is_no_directory_is_refused)
{
	close(open(self->state, O_WRONLY | O_CREAT, 0600));
	EXPECT_EQ(1, await_end(start(self, "testdev")));
	EXPECT_NE(NULL, strstr(log_of(self), "it is not a directory"));
	unlink(self->state);
	snprintf(self->state, sizeof(self->state), "/nowhere/state");
	EXPECT_EQ(1, await_end(start(self, "testdev")));
	EXPECT_NE(NULL, strstr(log_of(self), "/nowhere/state: No such file"));
}

TEST_HARNESS_MAIN
