// SPDX-License-Identifier: GPL-2.0-only
/*
 * A server's control socket, and fastpathctl at it: what is told, what is done, and that whatever
 * comes there holds no device up.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "fastpath.h"
#include "kselftest_harness.h"
#include "lib/json_at.h"
#include "lib/peer.h"
#include "lib/peer_feature.h"
#include "lib/program.h"
#include "socket.h"
#include "testdev.h"

/* ---- a device whose answers and resets take until its doorbell rings ---- */

/*
 * BAR0: a read at 0 waits for the doorbell; at 8 the number of resets; a write at 16 reads 8 bytes of
 * guest memory from there. BAR1: the doorbell, at 0.
 */
struct lazy {
	struct fp_access *writing;
	struct fp_dma_op op;
	uint64_t read;
	struct fp_access *held;
	uint64_t resets;
	bool resetting;
};

static void lazy_read(struct fp_device *dev, struct fp_dma_op *op, int ret)
{
	struct lazy *lazy = fp_state(dev);

	(void)op;
	fp_finish(dev, lazy->writing, ret);
}

static int lazy_access(struct fp_device *dev, struct fp_access *access)
{
	struct lazy *lazy = fp_state(dev);

	if (access->write) {
		lazy->op.done = lazy_read;
		lazy->writing = fp_defer(dev, access);
		fp_dma_read(dev, &lazy->op, fp_access_value(access), &lazy->read, 8);
		return FP_LATER;
	}
	if (access->offset) {
		fp_access_answer(access, lazy->resets);
		return 0;
	}
	lazy->held = fp_defer(dev, access);
	return FP_LATER;
}

static int lazy_rang(struct fp_device *dev, struct fp_access *access)
{
	struct lazy *lazy = fp_state(dev);
	struct fp_access *held = lazy->held;

	if (!access->doorbell)
		return 0;
	lazy->held = NULL;
	if (held)
		fp_finish(dev, held, 0);
	if (lazy->resetting)
		fp_reset_done(dev);
	lazy->resetting = false;
	return 0;
}

static int lazy_reset(struct fp_device *dev)
{
	struct lazy *lazy = fp_state(dev);

	lazy->resets++;
	lazy->resetting = true;
	return FP_LATER;
}

static const struct fp_doorbell lazy_doorbells[] = { { .offset = 0 } };

FP_DEVICE(lazy) = {
	.name = "lazy",
	.summary = "answers when it is rung",
	.state_bytes = sizeof(struct lazy),
	.pci = { .vendor = 1, .device = 1, .class_code = 0xff0000 },
	.regions = {
		[FP_BAR0] = { .size = 64, .access = lazy_access },
		[FP_BAR1] = { .size = 64,
			      .access = lazy_rang,
			      .doorbells = lazy_doorbells,
			      .nr_doorbells = 1 },
	},
	.reset = lazy_reset,
};

/* ---- a client of the control socket ---- */

static int connect_to(const struct peer *peer)
{
	int64_t deadline = 0;
	int fd;

	/* It is there a moment after the devices' sockets are. */
	while ((fd = socket_connect(peer->control_path)) < 0 && peer_time_left(&deadline))
		sched_yield();
	return fd;
}

static void say(int fd, const char *text)
{
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
		abort();
}

/* The next line, NULL when the server has closed. */
static char *hear(int fd)
{
	static char line[65536];
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	int64_t deadline = 0;
	size_t len = 0;

	while (len < sizeof(line) - 1) {
		if (poll(&poll_fd, 1, peer_time_left(&deadline)) < 1)
			abort();
		if (recv(fd, line + len, 1, 0) != 1)
			return NULL;
		if (line[len++] == '\n')
			break;
	}
	line[len] = '\0';
	return line;
}

static struct json_object *hear_json(int fd)
{
	char *line = hear(fd);
	struct json_object *root = line ? json_tokener_parse(line) : NULL;

	if (!root)
		abort();
	return root;
}

/* Asks, and keeps the answer until the next call. */
static struct json_object *ask(int fd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static struct json_object *ask(int fd, const char *fmt, ...)
{
	static struct json_object *answer;
	char line[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line) - 1, fmt, args);
	va_end(args);
	strcat(line, "\n");
	say(fd, line);
	json_object_put(answer);
	answer = hear_json(fd);
	return answer;
}

static bool is_silent(int fd)
{
	return poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 0) == 0;
}

/* Waits until a client of `device` is there, or is not. */
static void await_client(int fd, const char *device, bool there)
{
	int64_t deadline = 0;

	while (json_truth_at(ask(fd, "{\"command\":\"show\",\"device\":\"%s\"}", device),
			     "device/connected") != there)
		if (!peer_time_left(&deadline))
			abort();
}

/* The device answers, and the control socket too. */
static bool all_is_well(struct peer *peer, int fd)
{
	return !peer_write(peer, FP_BAR2, TESTDEV_REGISTER_4, 0x1234, 4) &&
	       peer_read(peer, FP_BAR2, TESTDEV_REGISTER_4, 4) == 0x1234 &&
	       json_truth_at(ask(fd, "{\"command\":\"list\"}"), "ok");
}

FIXTURE(served) {
	struct peer *peer;
	int fd;
};

FIXTURE_SETUP(served)
{
	self->peer = peer_open("testdev", PEER_LISTEN | PEER_TWO | PEER_TWO_WORKERS | PEER_CONTROL);
	self->fd = connect_to(self->peer);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(served)
{
	close(self->fd);
	peer_stop(self->peer);
}

/* ---- the socket ---- */

TEST_F(served, the_socket_is_its_owners_alone)
{
	struct stat st;

	ASSERT_EQ(0, stat(self->peer->control_path, &st));
	EXPECT_EQ(0600, st.st_mode & 0777);
}

#define ARGS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void run(struct program *program, const char *name, const char *const *args)
{
	program_start(program, name, args, false);
	program_wait(program);
}

TEST_F(served, a_socket_where_a_server_listens_is_refused)
{
	struct program program;

	run(&program, "fastpathd",
	    ARGS("--device", "testdev,socket=/tmp/fastpath-test-never", "--control",
		 self->peer->control_path));
	EXPECT_EQ(1, program.status);
	EXPECT_NE(NULL, strstr(program.complained, ": a server listens there already\n"));
}

TEST(a_socket_that_a_dead_server_left_is_taken_over)
{
	struct peer *peer = peer_start("testdev", PEER_LISTEN | PEER_CONTROL);
	char device[128];
	struct program program;
	int fd = connect_to(peer);

	close(fd);
	kill(peer->pid, SIGKILL);
	peer_wait(peer);
	snprintf(device, sizeof(device), "testdev,socket=%s", peer->path);
	program_start(&program, "fastpathd",
		      ARGS("--device", device, "--control", peer->control_path), false);
	fd = connect_to(peer);
	EXPECT_TRUE(json_truth_at(ask(fd, "{\"command\":\"list\"}"), "ok"));
	close(fd);
	kill(program.pid, SIGTERM);
	program_wait(&program);
	EXPECT_EQ(0, program.status);
	EXPECT_NE(0, access(peer->control_path, F_OK));
	peer_stop(peer);
}

/* ---- names ---- */

TEST_F(served, devices_of_a_class_have_names_of_their_own)
{
	struct json_object *list = ask(self->fd, "{\"command\":\"list\"}");

	EXPECT_STREQ("testdev", json_text_at(list, "devices/0/name"));
	EXPECT_STREQ("testdev-2", json_text_at(list, "devices/1/name"));
	EXPECT_EQ(NULL, json_at(list, "devices/2"));
}

TEST(a_device_is_named_as_its_key_says)
{
	struct peer *peer = peer_open("testdev,name=left.1", PEER_LISTEN | PEER_CONTROL);
	int fd = connect_to(peer);

	EXPECT_STREQ("left.1", json_text_at(ask(fd, "{\"command\":\"list\"}"), "devices/0/name"));
	close(fd);
	peer_stop(peer);
}

/* ---- list, show ---- */

TEST_F(served, a_list_tells_who_the_client_is)
{
	struct json_object *list;

	await_client(self->fd, "testdev", true);
	list = ask(self->fd, "{\"command\":\"list\"}");
	EXPECT_STREQ("testdev", json_text_at(list, "devices/0/class"));
	EXPECT_STREQ(self->peer->path, json_text_at(list, "devices/0/socket"));
	EXPECT_TRUE(json_truth_at(list, "devices/0/connected"));
	EXPECT_EQ(getpid(), json_number_at(list, "devices/0/client/pid"));
	EXPECT_EQ(getuid(), json_number_at(list, "devices/0/client/uid"));
	EXPECT_EQ(0, json_number_at(list, "devices/0/worker"));
	EXPECT_EQ(1, json_number_at(list, "devices/1/worker"));
	EXPECT_FALSE(json_truth_at(list, "devices/1/connected"));
	EXPECT_EQ(NULL, json_at(list, "devices/1/client"));
}

static void map_window(struct peer *peer, uint64_t address, uint64_t size)
{
	const struct wire_dma_map map = {
		.argsz = sizeof(map),
		.flags = WIRE_DMA_READABLE,
		.address = address,
		.size = size,
	};

	peer_call(peer, WIRE_DMA_MAP, &map, sizeof(map));
}

static void set_up_msix(struct peer *peer, int fd)
{
	const struct wire_irq_set set = {
		.argsz = sizeof(set),
		.flags = WIRE_IRQ_DATA_EVENTFD | WIRE_IRQ_ACTION_TRIGGER,
		.index = FP_MSIX,
		.start = 1,
		.count = 1,
	};

	peer_call_fds(peer, WIRE_DEVICE_SET_IRQS, &set, sizeof(set), &fd, 1);
}

static int take_doorbell(struct peer *peer, uint32_t region)
{
	const struct wire_region_io_fds asked = { .argsz = 4096, .index = region };
	int fd;

	if (peer_call(peer, WIRE_DEVICE_GET_REGION_IO_FDS, &asked, sizeof(asked)))
		abort();
	fd = peer->reply.fds[0];
	peer->reply.fds[0] = -1;
	return fd;
}

TEST_F(served, a_device_is_shown_with_what_its_client_has_set_up)
{
	int irq = eventfd(0, 0);
	int doorbell = take_doorbell(self->peer, FP_BAR2);
	struct json_object *show;

	map_window(self->peer, 0x10000, 0x3000);
	map_window(self->peer, 0x20000, 0x1000);
	set_up_msix(self->peer, irq);
	show = ask(self->fd, "{\"command\":\"show\",\"device\":\"testdev\"}");
	EXPECT_EQ(2, json_number_at(show, "device/windows/count"));
	EXPECT_EQ(0x4000, json_number_at(show, "device/windows/bytes"));
	EXPECT_STREQ("BAR2", json_text_at(show, "device/regions/2/name"));
	EXPECT_EQ(7, json_number_at(show, "device/regions/2/doorbells"));
	EXPECT_TRUE(json_truth_at(show, "device/regions/2/eventfds"));
	EXPECT_FALSE(json_truth_at(show, "device/regions/0/eventfds"));
	EXPECT_STREQ("MSI-X", json_text_at(show, "device/irqs/2/name"));
	EXPECT_EQ(4, json_number_at(show, "device/irqs/2/count"));
	EXPECT_EQ(1, json_number_at(show, "device/irqs/2/set_up"));
	EXPECT_EQ(16, json_number_at(show, "device/capabilities/max_msg_fds"));
	EXPECT_STREQ("RUNNING", json_text_at(show, "device/migration"));
	EXPECT_STREQ("deployed", json_text_at(show, "device/options/io-fds-layout"));
	close(doorbell);
	close(irq);
}

/* ---- stats ---- */

#define STATS "{\"command\":\"stats\",\"device\":\"testdev\"}"

TEST_F(served, what_a_client_does_is_counted_exactly)
{
	struct json_object *stats;
	int irq = eventfd(0, 0);

	set_up_msix(self->peer, irq);
	for (unsigned int i = 0; i < 5; i++)
		peer_read(self->peer, FP_BAR2, TESTDEV_REGISTER_8, 8);
	for (unsigned int i = 0; i < 3; i++)
		peer_write(self->peer, FP_BAR2, TESTDEV_REGISTER_4, i, 4);
	peer_write(self->peer, FP_BAR2, testdev_doorbells[TESTDEV_FIXED_4].offset, 1, 4);
	peer_write(self->peer, FP_BAR2, offsetof(struct testdev_counters, trigger), 1, 4);
	peer_read(self->peer, FP_CONFIG, 0, 4);
	EXPECT_EQ(EINVAL, peer_write(self->peer, FP_VGA, 0, 0, 1));
	EXPECT_EQ(1, peer_eventfd_wait(irq));
	stats = ask(self->fd, STATS);
	EXPECT_EQ(1, json_number_at(stats, "devices/0/clients"));
	EXPECT_EQ(1, json_number_at(stats, "devices/0/all/commands/VERSION"));
	EXPECT_EQ(1, json_number_at(stats, "devices/0/all/commands/DEVICE_SET_IRQS"));
	EXPECT_EQ(6, json_number_at(stats, "devices/0/all/commands/REGION_READ"));
	EXPECT_EQ(6, json_number_at(stats, "devices/0/all/commands/REGION_WRITE"));
	EXPECT_EQ(14, json_number_at(stats, "devices/0/all/replies"));
	EXPECT_EQ(1, json_number_at(stats, "devices/0/all/errors"));
	EXPECT_EQ(1, json_number_at(stats, "devices/0/all/refused"));
	EXPECT_EQ(1, json_number_at(stats, "devices/0/all/fds_in"));
	EXPECT_EQ(2, json_number_at(stats, "devices/0/all/regions/0/index"));
	EXPECT_EQ(5, json_number_at(stats, "devices/0/all/regions/0/reads"));
	EXPECT_EQ(4, json_number_at(stats, "devices/0/all/regions/0/writes"));
	EXPECT_EQ(1, json_number_at(stats, "devices/0/all/regions/0/rings_by_message"));
	EXPECT_EQ(0, json_number_at(stats, "devices/0/all/regions/0/rings_by_eventfd"));
	EXPECT_EQ(1, json_number_at(stats, "devices/0/all/regions/1/reads"));
	EXPECT_EQ(1, json_number_at(stats, "devices/0/all/irqs/MSI-X"));
	close(irq);
}

TEST_F(served, bytes_are_counted_with_their_headers)
{
	int64_t in = json_number_at(ask(self->fd, STATS), "devices/0/all/bytes_in");
	int64_t out = json_number_at(ask(self->fd, STATS), "devices/0/all/bytes_out");
	struct json_object *stats;

	peer_read(self->peer, FP_BAR2, TESTDEV_REGISTER_8, 8);
	stats = ask(self->fd, STATS);
	EXPECT_EQ(in + 32, json_number_at(stats, "devices/0/all/bytes_in"));
	EXPECT_EQ(out + 40, json_number_at(stats, "devices/0/all/bytes_out"));
}

TEST_F(served, rings_by_eventfd_are_counted_one_by_one)
{
	int doorbell = take_doorbell(self->peer, FP_BAR2);
	const uint64_t times = 5;
	int64_t deadline = 0;
	int64_t rings;

	ASSERT_EQ(8, write(doorbell, &times, 8));
	do
		rings = json_number_at(ask(self->fd, STATS),
				       "devices/0/all/regions/0/rings_by_eventfd");
	while (rings < 1 && peer_time_left(&deadline));
	EXPECT_EQ(5, rings);
	close(doorbell);
}

TEST_F(served, accesses_by_ioregionfd_are_counted_as_such)
{
	/* A read of 4 bytes of the scratch memory: behind the doorbells, its user_data is 7. */
	const struct wire_ioregion_cmd read = {
		.cmd = WIRE_IOREGION_READ,
		.size_resp = 2 | WIRE_IOREGION_RESP,
		.user_data = 7,
	};
	const struct wire_region_io_fds asked = { .argsz = 4096, .index = FP_BAR2 };
	struct wire_ioregion_resp answer;
	struct json_object *stats;
	int fd;

	ASSERT_EQ(0, peer_call(self->peer, WIRE_DEVICE_GET_REGION_IO_FDS, &asked, sizeof(asked)));
	fd = self->peer->reply.fds[TESTDEV_NR_DOORBELLS];
	ASSERT_EQ(sizeof(read), send(fd, &read, sizeof(read), MSG_NOSIGNAL));
	ASSERT_EQ(sizeof(answer), recv(fd, &answer, sizeof(answer), MSG_WAITALL));
	stats = ask(self->fd, STATS);
	EXPECT_EQ(1, json_number_at(stats, "devices/0/all/regions/0/by_ioregionfd"));
	EXPECT_EQ(1, json_number_at(stats, "devices/0/all/regions/0/reads"));
	EXPECT_EQ(-1, json_number_at(stats, "devices/0/all/commands/REGION_READ"));
}

TEST_F(served, a_clients_own_share_starts_with_it)
{
	struct json_object *stats;

	peer_read(self->peer, FP_BAR2, 0, 4);
	peer_reconnect(self->peer);
	peer_read(self->peer, FP_BAR2, 0, 4);
	stats = ask(self->fd, STATS);
	EXPECT_EQ(2, json_number_at(stats, "devices/0/all/commands/REGION_READ"));
	EXPECT_EQ(1, json_number_at(stats, "devices/0/client/commands/REGION_READ"));
	EXPECT_EQ(1, json_number_at(stats, "devices/0/client/commands/VERSION"));
	peer_disconnect(self->peer);
	await_client(self->fd, "testdev", false);
	EXPECT_EQ(NULL, json_at(ask(self->fd, STATS), "devices/0/client"));
}

/* The worker's turns that one more look takes, the look itself included. */
static int64_t turns_since(int fd, int64_t *before)
{
	int64_t now = json_number_at(ask(fd, STATS), "workers/0/turns");
	int64_t since = now - *before;

	*before = now;
	return since;
}

TEST_F(served, an_idle_server_is_not_woken)
{
	int64_t turns = 0;
	int64_t one;

	peer_read(self->peer, FP_BAR2, 0, 4);
	turns_since(self->fd, &turns);
	one = turns_since(self->fd, &turns);
	poll(NULL, 0, 300); /* nothing is to happen in it, however long it takes */
	EXPECT_EQ(one, turns_since(self->fd, &turns));
}

/* ---- reset, detach ---- */

#define RESET "{\"command\":\"reset\",\"device\":\"testdev\"}"

TEST_F(served, a_reset_is_as_the_clients)
{
	peer_write(self->peer, FP_BAR2, TESTDEV_REGISTER_4, 0x1234, 4);
	map_window(self->peer, 0x10000, 0x1000);
	EXPECT_TRUE(json_truth_at(ask(self->fd, RESET), "ok"));
	EXPECT_EQ(0, peer_read(self->peer, FP_BAR2, TESTDEV_REGISTER_4, 4));
	EXPECT_EQ(1, json_number_at(ask(self->fd, "{\"command\":\"show\",\"device\":\"testdev\"}"),
				    "device/windows/count"));
}

TEST_F(served, a_device_without_a_client_is_reset)
{
	peer_write(self->peer, FP_BAR2, TESTDEV_REGISTER_4, 0x1234, 4);
	peer_disconnect(self->peer);
	await_client(self->fd, "testdev", false);
	EXPECT_TRUE(json_truth_at(ask(self->fd, RESET), "ok"));
	peer_reconnect(self->peer);
	EXPECT_EQ(0, peer_read(self->peer, FP_BAR2, TESTDEV_REGISTER_4, 4));
}

FIXTURE(lazy) {
	struct peer *peer;
	int fd;
	int other; /* another client of the socket */
	int doorbell;
};

FIXTURE_SETUP(lazy)
{
	self->peer = peer_open("lazy", PEER_LISTEN | PEER_OWN_CLASSES | PEER_CONTROL);
	self->fd = connect_to(self->peer);
	self->other = connect_to(self->peer);
	self->doorbell = take_doorbell(self->peer, FP_BAR1);
}

FIXTURE_TEARDOWN(lazy)
{
	cleanup_close(&self->fd);
	close(self->other);
	close(self->doorbell);
	peer_stop(self->peer);
}

static void ring(int doorbell)
{
	const uint64_t one = 1;

	if (write(doorbell, &one, 8) != 8)
		abort();
}

#define SHOW_LAZY "{\"command\":\"show\",\"device\":\"lazy\"}"
#define RESET_LAZY "{\"command\":\"reset\",\"device\":\"lazy\"}\n"

/* Until the device is being reset. */
static void await_reset(int fd)
{
	int64_t deadline = 0;

	while (!json_truth_at(ask(fd, SHOW_LAZY), "device/in_flight/reset"))
		if (!peer_time_left(&deadline))
			abort();
}

TEST_F(lazy, a_reset_waits_for_what_is_in_flight_and_the_clients_commands_for_it)
{
	const struct wire_region_access held = { .count = 8 };
	const struct wire_region_access resets = { .offset = 8, .count = 8 };
	uint16_t first = peer_command(self->peer, WIRE_REGION_READ, &held, sizeof(held), NULL, 0);
	uint16_t second;
	uint64_t value;

	peer_drain(self->peer);
	EXPECT_EQ(1, json_number_at(ask(self->other, SHOW_LAZY), "device/in_flight/accesses"));
	say(self->fd, RESET_LAZY);
	second = peer_command(self->peer, WIRE_REGION_READ, &resets, sizeof(resets), NULL, 0);
	peer_drain(self->peer);
	EXPECT_FALSE(json_truth_at(ask(self->other, SHOW_LAZY), "device/in_flight/reset"));
	EXPECT_TRUE(is_silent(self->fd));
	ring(self->doorbell);
	EXPECT_EQ(0, peer_answer(self->peer, first, WIRE_REGION_READ));
	await_reset(self->other);
	EXPECT_TRUE(is_silent(self->fd));
	EXPECT_TRUE(is_silent(self->peer->fd));
	ring(self->doorbell);
	EXPECT_STREQ("{\"ok\":true}\n", hear(self->fd));
	EXPECT_EQ(0, peer_answer(self->peer, second, WIRE_REGION_READ));
	memcpy(&value, self->peer->reply.body + 16, sizeof(value));
	EXPECT_EQ(1, value);
}

TEST_F(lazy, what_the_server_asks_of_the_client_is_counted_apart)
{
	struct {
		struct wire_region_access access;
		uint64_t iova;
	} body = { { 16, FP_BAR0, 8 }, 0x10000 };
	struct {
		struct wire_header hdr;
		struct wire_dma_access access;
		uint64_t data;
	} answer = { .access = { 0x10000, 8 } };
	struct json_object *stats;
	uint16_t id;

	map_window(self->peer, 0x10000, 0x1000);
	id = peer_command(self->peer, WIRE_REGION_WRITE, &body, sizeof(body), NULL, 0);
	answer.hdr = peer_receive(self->peer)->hdr;
	ASSERT_EQ(WIRE_DMA_READ, answer.hdr.cmd);
	EXPECT_EQ(1, json_number_at(ask(self->fd, SHOW_LAZY), "device/in_flight/transfers"));
	answer.hdr.msg_size = sizeof(answer);
	answer.hdr.flags = WIRE_TYPE_REPLY;
	peer_send(self->peer, &answer, sizeof(answer), NULL, 0);
	EXPECT_EQ(0, peer_answer(self->peer, id, WIRE_REGION_WRITE));
	stats = ask(self->fd, "{\"command\":\"stats\"}");
	EXPECT_EQ(1, json_number_at(stats, "devices/0/all/asked"));
	EXPECT_EQ(1, json_number_at(stats, "devices/0/all/answers"));
	EXPECT_EQ(1, json_number_at(stats, "devices/0/all/commands/REGION_WRITE"));
	EXPECT_EQ(NULL, json_at(stats, "devices/0/all/commands/DMA_READ"));
}

TEST_F(lazy, whoever_asked_for_a_reset_may_leave_before_it_is_done)
{
	say(self->fd, RESET_LAZY);
	await_reset(self->other);
	close(self->fd);
	self->fd = -1;
	EXPECT_TRUE(json_truth_at(ask(self->other, SHOW_LAZY), "ok"));
	ring(self->doorbell);
	EXPECT_EQ(1, peer_read(self->peer, FP_BAR0, 8, 8));
	EXPECT_TRUE(json_truth_at(ask(self->other, SHOW_LAZY), "ok"));
}

TEST_F(lazy, a_reset_that_the_client_does_not_live_to_see_is_done_for_the_next)
{
	say(self->fd, RESET_LAZY);
	await_reset(self->other);
	peer_disconnect(self->peer);
	await_client(self->other, "lazy", false);
	/* Its eventfd went with it, and by message nothing is heard before the reset is over. */
	EXPECT_TRUE(is_silent(self->fd));
}

TEST_F(lazy, a_server_ends_while_a_reset_is_under_way)
{
	say(self->fd, RESET_LAZY);
	await_reset(self->other);
	/* The teardown stops the server, which has to end well. */
}

TEST_F(served, a_client_that_is_detached_is_gone_and_the_next_finds_the_device_as_it_was)
{
	peer_write(self->peer, FP_BAR2, TESTDEV_REGISTER_4, 0x1234, 4);
	EXPECT_TRUE(json_truth_at(ask(self->fd, "{\"command\":\"detach\",\"device\":\"testdev\"}"),
				  "ok"));
	peer_await_end(self->peer);
	EXPECT_EQ(1, peer_log_count(self->peer, "connection closed: detached by fastpathctl\n"));
	peer_reconnect(self->peer);
	EXPECT_EQ(0x1234, peer_read(self->peer, FP_BAR2, TESTDEV_REGISTER_4, 4));
}

TEST_F(served, a_device_without_a_client_has_none_to_detach)
{
	EXPECT_STREQ(
		"the device has no client",
		json_text_at(ask(self->fd, "{\"command\":\"detach\",\"device\":\"testdev-2\"}"),
			     "error"));
}

/* ---- watch ---- */

/* The next event has to be this one. */
static struct json_object *expect_event(int fd, const char *what)
{
	static struct json_object *event;

	json_object_put(event);
	event = hear_json(fd);
	if (strcmp(what, json_text_at(event, "event"))) {
		fprintf(stderr, "# %s, and not %s\n", json_object_to_json_string(event), what);
		abort();
	}
	return event;
}

TEST_F(served, whoever_watches_hears_what_happens_in_its_order)
{
	const struct wire_dma_unmap unmap = { sizeof(unmap), 0, 0x10000, 0x1000 };
	struct json_object *event;
	int second;

	EXPECT_TRUE(json_truth_at(ask(self->fd, "{\"command\":\"watch\"}"), "ok"));
	map_window(self->peer, 0x10000, 0x1000);
	peer_call(self->peer, WIRE_DMA_UNMAP, &unmap, sizeof(unmap));
	EXPECT_EQ(EINVAL, peer_write(self->peer, FP_VGA, 0, 0, 1));
	EXPECT_EQ(0, peer_mig_go(self->peer, WIRE_MIG_STOP));
	EXPECT_EQ(0, peer_call(self->peer, WIRE_DEVICE_RESET, NULL, 0));
	second = peer_connect(self->peer);
	event = expect_event(self->fd, "window-mapped");
	EXPECT_EQ(0x10000, json_number_at(event, "address"));
	EXPECT_EQ(0x1000, json_number_at(event, "size"));
	EXPECT_STREQ("testdev", json_text_at(event, "device"));
	expect_event(self->fd, "window-unmapped");
	event = expect_event(self->fd, "refused");
	EXPECT_STREQ("REGION_WRITE", json_text_at(event, "command"));
	EXPECT_STREQ("region 8", json_text_at(event, "why"));
	event = expect_event(self->fd, "migration");
	EXPECT_STREQ("RUNNING", json_text_at(event, "from"));
	EXPECT_STREQ("STOP", json_text_at(event, "to"));
	expect_event(self->fd, "reset");
	expect_event(self->fd, "migration");
	expect_event(self->fd, "client-refused");
	close(second);
	peer_disconnect(self->peer);
	expect_event(self->fd, "client-gone");
	peer_reconnect(self->peer);
	event = expect_event(self->fd, "client-came");
	EXPECT_EQ(getpid(), json_number_at(event, "pid"));
}

TEST_F(served, a_window_whose_file_is_cut_short_is_an_event)
{
	const struct wire_dma_map map = {
		.argsz = sizeof(map),
		.flags = WIRE_DMA_READABLE | WIRE_DMA_WRITEABLE,
		.address = 0x10000,
		.size = 0x1000,
	};
	int fd = memfd_create("window", MFD_CLOEXEC);

	EXPECT_TRUE(json_truth_at(ask(self->fd, "{\"command\":\"watch\"}"), "ok"));
	ASSERT_EQ(0, ftruncate(fd, 0x1000));
	EXPECT_EQ(0, peer_call_fds(self->peer, WIRE_DMA_MAP, &map, sizeof(map), &fd, 1));
	expect_event(self->fd, "window-mapped");
	ASSERT_EQ(0, ftruncate(fd, 0));
	peer_write(self->peer, FP_BAR2, offsetof(struct testdev_counters, stamp_iova), 0x10000, 8);
	peer_write(self->peer, FP_BAR2, TESTDEV_REGISTER_4, 1, 4);
	EXPECT_EQ(0x10000, json_number_at(expect_event(self->fd, "window-failed"), "address"));
	close(fd);
}

TEST_F(served, one_device_can_be_watched_alone)
{
	struct peer *other;

	EXPECT_TRUE(json_truth_at(ask(self->fd, "{\"command\":\"watch\",\"device\":\"testdev\"}"),
				  "ok"));
	other = peer_other(self->peer);
	EXPECT_EQ(0, peer_call(other, WIRE_DEVICE_RESET, NULL, 0));
	EXPECT_EQ(0, peer_call(self->peer, WIRE_DEVICE_RESET, NULL, 0));
	EXPECT_STREQ("testdev", json_text_at(expect_event(self->fd, "reset"), "device"));
	peer_stop(other);
}

/* ---- set ---- */

TEST_F(served, the_wait_policy_changes_while_the_server_runs)
{
	int64_t deadline = 0;
	struct json_object *stats = ask(self->fd, STATS);

	EXPECT_STREQ("adaptive", json_text_at(stats, "workers/0/wait"));
	EXPECT_TRUE(json_truth_at(
		ask(self->fd, "{\"command\":\"set\",\"key\":\"wait\",\"value\":\"spin=5\"}"),
		"ok"));
	do
		stats = ask(self->fd, STATS);
	while (!json_number_at(stats, "workers/0/spin_misses") && peer_time_left(&deadline));
	EXPECT_EQ(5000, json_number_at(stats, "workers/0/spins_ns"));
	EXPECT_STREQ("spin=5", json_text_at(stats, "workers/0/wait"));
	EXPECT_LE(1, json_number_at(stats, "workers/0/spin_misses"));
	EXPECT_STREQ("spin=5",
		     json_text_at(ask(self->fd, "{\"command\":\"stats\"}"), "workers/1/wait"));
	EXPECT_TRUE(json_truth_at(ask(self->fd, "{\"command\":\"set\",\"key\":\"wait\","
						"\"value\":\"block\",\"device\":\"testdev\"}"),
				  "ok"));
	stats = ask(self->fd, "{\"command\":\"stats\"}");
	EXPECT_STREQ("block", json_text_at(stats, "workers/0/wait"));
	EXPECT_STREQ("spin=5", json_text_at(stats, "workers/1/wait"));
	EXPECT_TRUE(all_is_well(self->peer, self->fd));
}

TEST_F(served, a_server_without_sqpoll_stays_without)
{
	EXPECT_STREQ("wait=sqpoll can't begin or end while a server runs: it is for --wait",
		     json_text_at(ask(self->fd, "{\"command\":\"set\",\"key\":\"wait\","
						"\"value\":\"sqpoll\"}"),
				  "error"));
	EXPECT_STREQ("adaptive", json_text_at(ask(self->fd, STATS), "workers/0/wait"));
	EXPECT_TRUE(all_is_well(self->peer, self->fd));
}

TEST_F(served, the_log_level_changes_while_the_server_runs)
{
	EXPECT_EQ(0, peer_log_count(self->peer, "a client has come\n"));
	EXPECT_TRUE(json_truth_at(
		ask(self->fd, "{\"command\":\"set\",\"key\":\"log-level\",\"value\":\"info\"}"),
		"ok"));
	peer_reconnect(self->peer);
	EXPECT_LE(1, peer_log_count(self->peer, "a client has come\n"));
}

TEST_F(served, a_bad_setting_is_refused_with_what_it_wants)
{
	static const struct {
		const char *request;
		const char *why;
	} cases[] = {
		{ "{\"command\":\"set\",\"key\":\"wait\",\"value\":\"spin\"}", "wait=spin: wants" },
		{ "{\"command\":\"set\",\"key\":\"log-level\",\"value\":\"x\"}",
		  "log-level=x: wants" },
		{ "{\"command\":\"set\",\"key\":\"log-level\",\"value\":\"info\","
		  "\"device\":\"testdev\"}",
		  "log-level is the server's" },
		{ "{\"command\":\"set\",\"key\":\"x\",\"value\":\"y\"}", "keys are wait and" },
		{ "{\"command\":\"set\"}", "keys are wait and" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		EXPECT_NE(NULL, strstr(json_text_at(ask(self->fd, "%s", cases[i].request), "error"),
				       cases[i].why));
}

/* ---- trace ---- */

#define TRACE "{\"command\":\"trace\",\"device\":\"testdev\"}"

TEST_F(served, messages_can_be_traced_live_and_not_any_more)
{
	int other = connect_to(self->peer);
	struct json_object *message;
	int64_t deadline = 0;

	peer_read(self->peer, FP_BAR2, TESTDEV_REGISTER_4, 4);
	EXPECT_TRUE(json_truth_at(ask(self->fd, TRACE), "ok"));
	EXPECT_TRUE(json_truth_at(ask(other, TRACE), "ok"));
	peer_write(self->peer, FP_BAR2, TESTDEV_REGISTER_4, 0x11223344, 4);
	message = expect_event(self->fd, "message");
	EXPECT_STREQ("server", json_text_at(message, "to"));
	EXPECT_STREQ("REGION_WRITE", json_text_at(message, "command"));
	EXPECT_EQ(TESTDEV_REGISTER_4, json_number_at(message, "fields/offset"));
	EXPECT_STREQ("44332211", json_text_at(message, "data"));
	message = expect_event(self->fd, "message");
	EXPECT_STREQ("client", json_text_at(message, "to"));
	close(self->fd); /* the other still looks on */
	expect_event(other, "message");
	expect_event(other, "message");
	self->fd = connect_to(self->peer);
	EXPECT_TRUE(json_truth_at(ask(self->fd, "{\"command\":\"list\"}"), "ok"));
	peer_read(self->peer, FP_BAR2, TESTDEV_REGISTER_4, 4);
	expect_event(other, "message");
	close(other);
	EXPECT_TRUE(all_is_well(self->peer, self->fd));
	while (json_number_at(ask(self->fd, "{\"command\":\"show\",\"device\":\"testdev\"}"),
			      "device/tracers"))
		ASSERT_TRUE(peer_time_left(&deadline));
}

/* ---- malice ---- */

TEST_F(served, what_is_no_request_is_refused_and_the_next_one_is_served)
{
	static const char *const lines[] = {
		"x",
		"{",
		"{\"command\":\"list\"",
		"[]",
		"7",
		"null",
		"{}",
		"{\"command\":7}",
		"{\"command\":\"list\"} x",
		"{\"command\":\"list\"}{}",
		"{\"command\":\"nope\"}",
		"{\"command\":\"show\"}",
		"{\"command\":\"show\",\"device\":7}",
		"{\"command\":\"stats\",\"device\":null}",
		"{\"command\":\"reset\",\"device\":\"x\"}",
		"[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]",
		"\xff\xfe\"",
		"\"\\ud800\"",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		EXPECT_STRNE("", json_text_at(ask(self->fd, "%s", lines[i]), "error"));
	say(self->fd, "\n\n\r\n");
	EXPECT_STRNE("", json_text_at(hear_json(self->fd), "error"));
	EXPECT_TRUE(all_is_well(self->peer, self->fd));
}

TEST_F(served, a_zero_byte_ends_no_request)
{
	const char line[] = "{\"command\":\"list\"}\0{}\n";

	ASSERT_EQ(sizeof(line) - 1, send(self->fd, line, sizeof(line) - 1, 0));
	EXPECT_STRNE("", json_text_at(hear_json(self->fd), "error"));
}

TEST_F(served, an_overlong_line_is_refused_and_its_client_left)
{
	static char line[70000];
	int fd = connect_to(self->peer);

	memset(line, ' ', sizeof(line));
	send(fd, line, sizeof(line), MSG_NOSIGNAL);
	EXPECT_STREQ("the line is longer than 65536 bytes", json_text_at(hear_json(fd), "error"));
	EXPECT_EQ(NULL, hear(fd));
	close(fd);
	EXPECT_TRUE(all_is_well(self->peer, self->fd));
}

TEST_F(served, a_line_of_64_kibibytes_is_served)
{
	static char line[65537];

	memset(line, ' ', sizeof(line));
	line[snprintf(line, 32, "{\"command\":\"list\"}")] = ' ';
	line[65536] = '\n';
	ASSERT_EQ(sizeof(line), send(self->fd, line, sizeof(line), 0));
	EXPECT_TRUE(json_truth_at(hear_json(self->fd), "ok"));
}

TEST_F(served, half_a_line_is_nothing)
{
	int fd = connect_to(self->peer);

	say(fd, "{\"command\":\"reset\",\"device\":\"testdev\"}");
	close(fd);
	EXPECT_TRUE(all_is_well(self->peer, self->fd));
	EXPECT_EQ(0, json_number_at(ask(self->fd, STATS), "devices/0/all/resets"));
}

TEST_F(served, whoever_sends_no_more_still_gets_the_answer)
{
	int fd = connect_to(self->peer);

	say(fd, "{\"command\":\"list\"}\n{\"command\":\"stats\"}\n");
	shutdown(fd, SHUT_WR);
	EXPECT_NE(NULL, hear(fd));
	EXPECT_NE(NULL, hear(fd));
	EXPECT_EQ(NULL, hear(fd));
	close(fd);
}

TEST_F(served, a_client_that_asks_and_never_reads_is_not_read_from)
{
	static const char request[] = "{\"command\":\"stats\"}\n";
	int fd = connect_to(self->peer);
	size_t rss = peer_resident(self->peer);
	ssize_t n;

	/* As much as there is room for, in the socket and in the server. */
	for (unsigned int idle = 0; idle < 3;) {
		n = send(fd, request, sizeof(request) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		idle = n < 0 ? idle + 1 : 0;
		if (n < 0)
			ASSERT_TRUE(all_is_well(self->peer, self->fd));
	}
	EXPECT_GT(rss + (8u << 20), peer_resident(self->peer));
	close(fd);
	EXPECT_TRUE(all_is_well(self->peer, self->fd));
}

TEST_F(served, a_watcher_that_never_reads_is_left)
{
	int fd = connect_to(self->peer);
	int64_t deadline = 0;

	EXPECT_TRUE(json_truth_at(ask(fd, TRACE), "ok"));
	while (!peer_log_count(self->peer, "control: a client that does not read is left\n") &&
	       peer_time_left(&deadline))
		ASSERT_EQ(0, peer_write(self->peer, FP_BAR2, TESTDEV_REGISTER_4, 1, 4));
	EXPECT_EQ(1, peer_log_count(self->peer, "control: a client that does not read is left\n"));
	close(fd);
	EXPECT_TRUE(all_is_well(self->peer, self->fd));
}

TEST_F(served, of_a_hundred_connections_sixteen_are_served)
{
	int fds[100];
	unsigned int refused = 0;

	for (unsigned int i = 0; i < 100; i++) {
		int64_t deadline = 0;

		do
			fds[i] = socket_connect(self->peer->control_path);
		while (fds[i] == -EAGAIN && peer_time_left(&deadline));
		ASSERT_LE(0, fds[i]);
	}
	for (unsigned int i = 15; i < 100; i++) {
		const char *line = hear(fds[i]);

		refused += line && strstr(line, "16 control clients");
	}
	EXPECT_EQ(85, refused);
	EXPECT_TRUE(json_truth_at(ask(fds[14], "{\"command\":\"list\"}"), "ok"));
	EXPECT_TRUE(all_is_well(self->peer, self->fd));
	for (unsigned int i = 0; i < 100; i++)
		close(fds[i]);
	close(self->fd);
	self->fd = connect_to(self->peer);
	EXPECT_TRUE(all_is_well(self->peer, self->fd));
}

TEST_F(served, connections_leave_nothing_behind)
{
	unsigned int fds;

	ASSERT_TRUE(all_is_well(self->peer, self->fd));
	fds = peer_count_fds(self->peer);
	for (unsigned int i = 0; i < 200; i++) {
		const char *text = i % 2 ? "{\"command\":\"watch\"}\n{\"com" : TRACE "\n";
		int fd = connect_to(self->peer);

		/* One that finds sixteen others there that are still being seen off is refused. */
		if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0) {
			EXPECT_EQ(EPIPE, errno);
		}
		close(fd);
	}
	EXPECT_EQ(fds, peer_await_fds(self->peer, fds));
	EXPECT_TRUE(all_is_well(self->peer, self->fd));
}

/* ---- fastpathctl ---- */

static void ctl(struct program *program, const struct peer *peer, const char *command,
		const char *a, const char *b)
{
	run(program, "fastpathctl", ARGS(command, peer->control_path, a, b));
}

static bool says(const struct program *program, const char *what)
{
	return strstr(program->said, what) != NULL;
}

TEST_F(served, fastpathctl_tells_people)
{
	struct program program;
	char line[256];

	await_client(self->fd, "testdev", true);
	ctl(&program, self->peer, "list", NULL, NULL);
	EXPECT_EQ(0, program.status);
	EXPECT_STREQ("", program.complained);
	snprintf(line, sizeof(line), "worker 0, at %s, client of pid %d, uid %u\n",
		 self->peer->path, getpid(), getuid());
	EXPECT_TRUE(says(&program, line));
	EXPECT_TRUE(says(&program, ", no client\n"));
	ctl(&program, self->peer, "show", "testdev", NULL);
	EXPECT_EQ(0, program.status);
	EXPECT_TRUE(says(&program, "  region 1       BAR1, 256 bytes, I/O ports, 2 doorbells\n"));
	EXPECT_TRUE(says(&program, "  irq 2          MSI-X, 4: 0 set up, 0 masked, 0 pending\n"));
	EXPECT_TRUE(says(&program, "  windows        count=0 bytes=0\n"));
	peer_read(self->peer, FP_BAR2, 0, 4);
	ctl(&program, self->peer, "stats", "testdev", NULL);
	EXPECT_EQ(0, program.status);
	EXPECT_TRUE(says(&program, "worker 0: wait=adaptive, "));
	EXPECT_TRUE(says(&program, "  REGION_READ                           1            1\n"));
	EXPECT_TRUE(says(&program, "  region 2 reads                        1            1\n"));
}

TEST_F(served, fastpathctl_tells_programs_what_the_server_said)
{
	struct program program;
	struct json_object *root;

	run(&program, "fastpathctl", ARGS("list", "--json", self->peer->control_path));
	EXPECT_EQ(0, program.status);
	root = json_tokener_parse(program.said);
	EXPECT_STREQ("testdev-2", json_text_at(root, "devices/1/name"));
	json_object_put(root);
}

TEST_F(served, fastpathctl_does_what_it_is_told_and_says_nothing)
{
	struct program program;

	peer_write(self->peer, FP_BAR2, TESTDEV_REGISTER_4, 0x1234, 4);
	ctl(&program, self->peer, "reset", "testdev", NULL);
	EXPECT_EQ(0, program.status);
	EXPECT_STREQ("", program.said);
	EXPECT_EQ(0, peer_read(self->peer, FP_BAR2, TESTDEV_REGISTER_4, 4));
	ctl(&program, self->peer, "set", "wait=spin=3", NULL);
	EXPECT_EQ(0, program.status);
	EXPECT_STREQ("spin=3", json_text_at(ask(self->fd, STATS), "workers/0/wait"));
	ctl(&program, self->peer, "set", "testdev", "wait=block");
	EXPECT_EQ(0, program.status);
	ctl(&program, self->peer, "detach", "testdev", NULL);
	EXPECT_EQ(0, program.status);
	EXPECT_STREQ("", program.said);
	EXPECT_STREQ("", program.complained);
	peer_await_end(self->peer);
}

/* Starts one that goes on until it is ended, and waits until it does. */
static void start_stream(struct program *program, const char *const *args)
{
	char c = '\0';

	program_start(program, "fastpathctl", args, false);
	while (c != '\n' && read(program->stderr_fd, &c, 1) == 1)
		;
}

TEST_F(served, fastpathctl_watches_and_traces_until_it_is_ended)
{
	struct program watch;
	struct program trace;
	char file[128];
	char text[4096] = "";
	FILE *written;

	snprintf(file, sizeof(file), "%s/out", self->peer->dir);
	start_stream(&watch, ARGS("watch", self->peer->control_path));
	start_stream(&trace, ARGS("trace", self->peer->control_path, "testdev", "--output", file));
	peer_call(self->peer, WIRE_DEVICE_RESET, NULL, 0);
	EXPECT_TRUE(program_await_line(&watch));
	for (int64_t deadline = 0; !strstr(text, "> ") && peer_time_left(&deadline);) {
		written = fopen(file, "re");
		text[written ? fread(text, 1, sizeof(text) - 1, written) : 0] = '\0';
		if (written)
			fclose(written);
	}
	EXPECT_NE(NULL, strstr(text, " testdev < #2 DEVICE_RESET\n"));
	EXPECT_NE(NULL, strstr(text, " testdev > #2 DEVICE_RESET reply\n"));
	kill(watch.pid, SIGINT);
	kill(trace.pid, SIGINT);
	program_wait(&watch);
	program_wait(&trace);
	EXPECT_EQ(-SIGINT, watch.status);
	EXPECT_STREQ("", trace.said);
	unlink(file);
}

TEST_F(served, fastpathctl_ends_well_when_nobody_reads_it_any_more)
{
	struct program program;

	start_stream(&program, ARGS("watch", self->peer->control_path));
	close(program.stdout_fd);
	program.stdout_fd = memfd_create("nothing", 0);
	peer_call(self->peer, WIRE_DEVICE_RESET, NULL, 0);
	program_wait(&program);
	EXPECT_EQ(0, program.status);
	EXPECT_STREQ("", program.complained);
}

TEST_F(served, fastpathctl_says_what_is_wrong_in_one_line)
{
	const char *path = self->peer->control_path;
	const struct {
		const char *args[5];
		const char *why;
	} cases[] = {
		{ { "show", path, "nope" },
		  "fastpathctl: no device 'nope'; there are: testdev, testdev-2\n" },
		{ { "list", "/nowhere/at/all" },
		  "fastpathctl: /nowhere/at/all: no server to ask: No such file or directory\n" },
		{ { "detach", path, "testdev-2" }, "fastpathctl: the device has no client\n" },
		{ { "set", path, "wait=x" },
		  "fastpathctl: wait=x: wants block, spin=MICROSECONDS (1,000,000 at most), adaptive or sqpoll\n" },
		{ { "set", path, "wait" }, "fastpathctl: 'wait': wants KEY=VALUE; try --help\n" },
		{ { "shwo", path }, "fastpathctl: 'shwo': no such command; try --help\n" },
		{ { "show", path }, "fastpathctl: show wants CONTROL DEVICE; try --help\n" },
		{ { "list", path, "x" }, "fastpathctl: list wants CONTROL; try --help\n" },
		{ { "list", path, "--output", "x" },
		  "fastpathctl: --output: not of list; try --help\n" },
		{ { "list", path, "--timeout", "x" },
		  "fastpathctl: --timeout x: wants milliseconds, 1 to 3600000\n" },
	};
	struct program program;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		run(&program, "fastpathctl", cases[i].args);
		EXPECT_EQ(1, program.status);
		EXPECT_STREQ(cases[i].why, program.complained);
		EXPECT_STREQ("", program.said);
	}
}

TEST_F(served, fastpathctl_finds_out_that_a_device_is_no_control_socket)
{
	struct program program;

	peer_disconnect(self->peer);
	await_client(self->fd, "testdev", false);
	run(&program, "fastpathctl", ARGS("list", self->peer->path, "--timeout", "2000"));
	EXPECT_EQ(1, program.status);
	EXPECT_NE(NULL, strstr(program.complained, "; is it a control socket?\n"));
}

TEST(fastpathctl_help_names_every_command)
{
	static const char *const names[] = { "probe",  "list",	"show", "stats", "reset",
					     "detach", "watch", "set",	"trace" };
	struct program program;
	char line[64];

	run(&program, "fastpathctl", ARGS("--help"));
	EXPECT_EQ(0, program.status);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(line, sizeof(line), "\n  %s ", names[i]);
		EXPECT_TRUE(says(&program, line));
	}
	run(&program, "fastpathctl", ARGS("trace", "--help"));
	EXPECT_EQ(0, program.status);
	EXPECT_TRUE(says(&program, "--output FILE"));
}

TEST_HARNESS_MAIN
