// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio-console: what is typed reaches the guest, what the guest writes is read.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fastpath-client.h"
#include "kselftest_harness.h"
#include "peer.h"
#include "socket.h"
#include "virtio_driver.h"

enum {
	RECEIVE,
	TRANSMIT
};

FIXTURE(console) {
	struct driver driver;
	char dir[64];
	char path[80]; /* of the socket or of the link to the terminal */
	int fd;	       /* the other end */
};

FIXTURE_VARIANT(console) {
	unsigned int how;
	bool by_socket;
};

FIXTURE_VARIANT_ADD(console, at_a_terminal) {
	.how = DRIVER_EVENT_IDX,
};

FIXTURE_VARIANT_ADD(console, at_a_socket) {
	.how = DRIVER_PACKED, .by_socket = true,
};

FIXTURE_VARIANT_ADD(console, by_message) {
	.how = DRIVER_BY_MESSAGE, .by_socket = true,
};

static int open_end(const char *path, bool by_socket)
{
	return by_socket ? socket_connect(path) : open(path, O_RDWR | O_NOCTTY);
}

FIXTURE_SETUP(console)
{
	char device[200];

	strcpy(self->dir, "/tmp/fastpath-console-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	snprintf(self->path, sizeof(self->path), "%s/end", self->dir);
	snprintf(device, sizeof(device), "virtio-console,%s=%s", variant->by_socket ? "to" : "link",
		 self->path);
	driver_start(&self->driver, device, variant->how);
	self->fd = open_end(self->path, variant->by_socket);
	ASSERT_LE(0, self->fd);
	driver_init(&self->driver, 0, 2);
}

FIXTURE_TEARDOWN(console)
{
	driver_stop(&self->driver);
	EXPECT_EQ(0, rmdir(self->dir)); /* the server has left nothing in it */
}

/* Exactly so many bytes from the other end, within the deadline. */
static bool hear(int fd, char *text, size_t len)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	int64_t deadline = 0;

	for (size_t at = 0; at < len;) {
		ssize_t n;

		if (poll(&poll_fd, 1, peer_time_left(&deadline)) != 1)
			return false;
		n = read(fd, text + at, len - at);
		if (n <= 0)
			return false;
		at += (size_t)n;
	}
	text[len] = '\0';
	return true;
}

static void say(struct driver *driver, const char *text)
{
	struct driver_buffer buffer = { .len = (uint32_t)strlen(text) };

	buffer.iova = driver_alloc(driver, 4096);
	memcpy(driver_at(driver, buffer.iova), text, buffer.len);
	driver_do(driver, TRANSMIT, &buffer, 1);
}

/* Gives the device a buffer to receive to; where it is. */
static char *offer(struct driver *driver, uint32_t len)
{
	struct driver_buffer buffer = { .len = len, .write = true };

	buffer.iova = driver_alloc(driver, 4096);
	driver_add(driver, RECEIVE, &buffer, 1);
	driver_kick(driver, RECEIVE);
	return driver_at(driver, buffer.iova);
}

TEST_F(console, a_dialogue_as_of_a_login)
{
	struct driver *driver = &self->driver;
	char text[64];
	uint16_t id;
	char *typed;

	say(driver, "login: ");
	ASSERT_TRUE(hear(self->fd, text, 7));
	EXPECT_STREQ("login: ", text);
	typed = offer(driver, 64);
	ASSERT_EQ(5, write(self->fd, "root\n", 5));
	EXPECT_EQ(5, driver_await(driver, RECEIVE, &id));
	EXPECT_STREQ("root\n", typed);
	say(driver, "Welcome\r\n# ");
	ASSERT_TRUE(hear(self->fd, text, 11));
	EXPECT_STREQ("Welcome\r\n# ", text);
}

TEST_F(console, what_is_typed_before_there_is_room_waits)
{
	struct driver *driver = &self->driver;
	char *first, *second;
	uint16_t id;

	ASSERT_EQ(10, write(self->fd, "0123456789", 10));
	first = offer(driver, 4);
	EXPECT_EQ(4, driver_await(driver, RECEIVE, &id));
	second = offer(driver, 100);
	EXPECT_EQ(6, driver_await(driver, RECEIVE, &id));
	EXPECT_STREQ("0123", first);
	EXPECT_STREQ("456789", second);
}

TEST_F(console, a_long_text_is_written_whole)
{
	struct driver *driver = &self->driver;
	struct driver_buffer buffers[4];
	char *text = malloc(20001);
	uint64_t at = driver_alloc(driver, 20480);
	char *sent = driver_at(driver, at);

	/* No more than a terminal holds with nobody reading would do, but somebody reads. */
	for (unsigned int i = 0; i < 20000; i++)
		sent[i] = (char)('a' + i % 26);
	for (unsigned int i = 0; i < 4; i++)
		buffers[i] = (struct driver_buffer){ at + i * 5000, 5000, false };
	driver_do(driver, TRANSMIT, buffers, 4);
	ASSERT_TRUE(hear(self->fd, text, 20000));
	EXPECT_EQ(0, memcmp(text, sent, 20000));
	free(text);
}

/* A guest's kernel spins until its console has taken what it writes. */
TEST_F(console, who_does_not_read_does_not_hold_up_the_guest)
{
	struct driver *driver = &self->driver;
	struct driver_buffer buffer = { .len = 65536 };

	buffer.iova = driver_alloc(driver, 65536);
	for (unsigned int i = 0; i < 20; i++)
		driver_do(driver, TRANSMIT, &buffer, 1);
	EXPECT_EQ(0, fpc_dma_unmap_all(driver->client));
	EXPECT_EQ(0, fpc_reset(driver->client));
}

TEST_F(console, one_who_hangs_up_makes_room_for_the_next)
{
	struct driver *driver = &self->driver;
	char text[64];
	uint16_t id;
	char *typed;

	for (unsigned int i = 0; i < 3; i++) {
		say(driver, "hello");
		ASSERT_TRUE(hear(self->fd, text, 5));
		close(self->fd);
		self->fd = open_end(self->path, variant->by_socket);
		ASSERT_LE(0, self->fd);
		typed = offer(driver, 10);
		ASSERT_EQ(2, write(self->fd, "hi", 2));
		EXPECT_EQ(2, driver_await(driver, RECEIVE, &id));
		EXPECT_STREQ("hi", typed);
	}
}

TEST_F(console, what_was_typed_and_not_received_migrates)
{
	struct driver *driver = &self->driver;
	struct device_server other;
	struct driver there;
	uint8_t stream[16384];
	char *first, *second;
	char device[200];
	ssize_t len;
	uint16_t id;

	first = offer(driver, 4);
	ASSERT_EQ(10, write(self->fd, "0123456789", 10));
	EXPECT_EQ(4, driver_await(driver, RECEIVE, &id));
	EXPECT_STREQ("0123", first);
	ASSERT_EQ(0, fpc_migration_set_state(driver->client, FPC_MIG_STOP_COPY));
	len = fpc_migration_read(driver->client, stream, sizeof(stream));
	ASSERT_LT(0, len);
	snprintf(device, sizeof(device), "virtio-console,to=%s/other", self->dir);
	device_server_start(&other, device);
	driver_attach(&there, &other, variant->how, driver);
	ASSERT_EQ(0, fpc_migration_set_state(there.client, FPC_MIG_RESUMING));
	ASSERT_EQ(0, fpc_migration_write(there.client, stream, (size_t)len));
	ASSERT_EQ(0, fpc_migration_set_state(there.client, FPC_MIG_RUNNING));
	second = offer(&there, 100);
	EXPECT_EQ(6, driver_await(&there, RECEIVE, &id));
	EXPECT_STREQ("456789", second);
	driver_stop(&there);
}

TEST_F(console, what_is_typed_while_it_stands_comes_when_it_runs)
{
	struct driver *driver = &self->driver;
	char *typed = offer(driver, 10);
	uint32_t len;
	uint16_t id;

	ASSERT_EQ(0, fpc_migration_set_state(driver->client, FPC_MIG_STOP));
	ASSERT_EQ(2, write(self->fd, "hi", 2));
	driver_status(driver);
	EXPECT_FALSE(driver_take(driver, RECEIVE, &id, &len));
	ASSERT_EQ(0, fpc_migration_set_state(driver->client, FPC_MIG_RUNNING));
	EXPECT_EQ(2, driver_await(driver, RECEIVE, &id));
	EXPECT_STREQ("hi", typed);
}

TEST(with_standard_input_and_output_it_is_a_filter)
{
	struct driver driver;
	int in[2], out[2];
	int saved[2] = { dup(0), dup(1) };
	char text[64];
	uint16_t id;
	char *typed;

	ASSERT_EQ(0, pipe2(in, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(out, O_CLOEXEC));
	fflush(stdout);
	dup2(in[0], 0);
	dup2(out[1], 1);
	driver_start(&driver, "virtio-console,to=stdio", 0);
	dup2(saved[0], 0);
	dup2(saved[1], 1);
	driver_init(&driver, 0, 2);
	typed = offer(&driver, 10);
	ASSERT_EQ(2, write(in[1], "hi", 2));
	EXPECT_EQ(2, driver_await(&driver, RECEIVE, &id));
	EXPECT_STREQ("hi", typed);
	say(&driver, "hello");
	ASSERT_TRUE(hear(out[0], text, 5));
	EXPECT_STREQ("hello", text);
	driver_stop(&driver);
}

TEST_HARNESS_MAIN
