// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ring: what its operations do, with every feature that a kernel may lack and without.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include "ring.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/peer.h"
#include "socket.h"

#define MS 1000000ll

FIXTURE(ring) {
	struct ring *ring;
	int pair[2]; /* connected: [0] for the ring, [1] for its peer */
};

FIXTURE_VARIANT(ring) {
	unsigned int avoid;
	struct ring_wait wait;
};

FIXTURE_VARIANT_ADD(ring, with_all_features) {
	.avoid = 0,
};

FIXTURE_VARIANT_ADD(ring, without_defer_taskrun) {
	.avoid = RING_FEATURE_DEFER_TASKRUN,
};

FIXTURE_VARIANT_ADD(ring, without_multishot) {
	.avoid = RING_FEATURE_MULTISHOT,
};

FIXTURE_VARIANT_ADD(ring, without_either) {
	.avoid = RING_FEATURE_DEFER_TASKRUN | RING_FEATURE_MULTISHOT,
};

FIXTURE_VARIANT_ADD(ring, spinning) {
	.wait = { RING_WAIT_SPIN, 200 },
};

FIXTURE_SETUP(ring)
{
	struct ring_options options = {
		.entries = 16,
		.buffers = 4,
		.buffer_bytes = 2048,
		.avoid = variant->avoid,
		.wait = variant->wait,
	};

	ASSERT_EQ(0, ring_open(&options, &self->ring));
	ASSERT_EQ(0, ring_features(self->ring) & variant->avoid);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, self->pair));
}

FIXTURE_TEARDOWN(ring)
{
	ring_close(self->ring);
	close(self->pair[0]);
	close(self->pair[1]);
}

/* ---- an operation that remembers what became of it ---- */

struct watched {
	struct ring_op op;
	struct ring *ring;
	unsigned int calls;
	int last; /* result */
	uint64_t sum;
	uint8_t *bytes;
	size_t len;
	int fds[RING_MAX_FDS];
	unsigned int nr_fds;
	bool fds_lost;
	struct watched *victim; /* to be cancelled by the first call */
	bool suicidal;
};

static void watch(struct ring_op *op, int res, const struct ring_received *received)
{
	struct watched *watched = (struct watched *)op;

	watched->calls++;
	watched->last = res;
	if (received) {
		watched->bytes = realloc(watched->bytes, watched->len + received->len + 1);
		memcpy(watched->bytes + watched->len, received->data, received->len);
		watched->len += received->len;
		memcpy(watched->fds + watched->nr_fds, received->fds,
		       received->nr_fds * sizeof(int));
		watched->nr_fds += received->nr_fds;
		watched->fds_lost |= received->fds_lost;
	}
	if (watched->victim)
		ring_cancel(&watched->victim->op);
	if (watched->suicidal)
		ring_cancel(&watched->op);
}

static void watch_eventfd(struct ring_op *op, int res, const struct ring_received *received)
{
	struct watched *watched = (struct watched *)op;

	if (!res)
		watched->sum += ring_eventfd_sum(op);
	watch(op, res, received);
}

#define WATCHED(done_)             \
	{                          \
		.op.done = (done_) \
	}

/* Turns the ring until the condition holds. A send that went well does not end a turn by itself. */
#define AWAIT(condition)                                              \
	do {                                                          \
		int64_t deadline__ = 0;                               \
                                                                      \
		while (!(condition)) {                                \
			ASSERT_NE(0, peer_time_left(&deadline__));    \
			ASSERT_EQ(0, ring_turn(self->ring, 10 * MS)); \
		}                                                     \
	} while (0)

/* Whatever is on its way arrives: an operation that was queued behind it has. */
#define SETTLE()                                                 \
	do {                                                     \
		struct watched timeout__ = WATCHED(watch);       \
                                                                 \
		ring_timeout(self->ring, &timeout__.op, 2 * MS); \
		AWAIT(timeout__.calls);                          \
	} while (0)

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static void send_fds(int socket, const void *bytes, size_t len, const int *fds, unsigned int nr)
{
	struct peer peer = { .fd = socket };

	peer_send(&peer, bytes, len, fds, nr);
}

static unsigned int count_fds(void)
{
	return peer_count_fds(&(struct peer){ .pid = getpid() });
}

/* ---- receiving ---- */

TEST_F(ring, bytes_that_arrive_are_handed_over_until_the_peer_closes)
{
	struct watched receive = WATCHED(watch);

	ring_receive(self->ring, &receive.op, self->pair[0]);
	EXPECT_TRUE(ring_op_busy(&receive.op));
	for (unsigned int i = 1; i <= 10; i++) {
		ASSERT_EQ(5, write(self->pair[1], "hello", 5));
		AWAIT(receive.len == 5ul * i);
	}
	EXPECT_EQ(10, receive.calls);
	EXPECT_EQ(0, memcmp(receive.bytes, "hellohello", 10));
	EXPECT_TRUE(ring_op_busy(&receive.op));
	shutdown(self->pair[1], SHUT_WR);
	AWAIT(receive.calls == 11);
	EXPECT_EQ(0, receive.last);
	EXPECT_FALSE(ring_op_busy(&receive.op));
}

TEST_F(ring, more_bytes_than_all_buffers_hold_arrive_in_order)
{
	struct watched receive = WATCHED(watch);
	uint32_t *numbers = malloc(1 << 20);
	pid_t child;

	for (uint32_t i = 0; i < 1 << 18; i++)
		numbers[i] = i;
	child = fork();
	if (!child) {
		send_fds(self->pair[1], numbers, 1 << 20, NULL, 0);
		_exit(0);
	}
	ring_receive(self->ring, &receive.op, self->pair[0]);
	AWAIT(receive.len == 1 << 20);
	EXPECT_EQ(0, memcmp(numbers, receive.bytes, 1 << 20));
	waitpid(child, NULL, 0);
	free(numbers);
}

TEST_F(ring, fds_arrive_with_their_bytes)
{
	struct watched receive = WATCHED(watch);
	int fds[3] = { eventfd(0, 0), eventfd(0, 0), eventfd(0, 0) };

	ring_receive(self->ring, &receive.op, self->pair[0]);
	send_fds(self->pair[1], "x", 1, fds, 3);
	AWAIT(receive.len == 1);
	ASSERT_EQ(3, receive.nr_fds);
	EXPECT_FALSE(receive.fds_lost);
	for (unsigned int i = 0; i < 3; i++) {
		EXPECT_EQ(FD_CLOEXEC, fcntl(receive.fds[i], F_GETFD));
		eventfd_write(receive.fds[i], i + 1);
		EXPECT_EQ(i + 1, peer_eventfd_take(fds[i]));
	}
}

TEST_F(ring, of_too_many_fds_none_leaks_and_the_loss_is_told)
{
	struct watched receive = WATCHED(watch);
	unsigned int before;
	int fds[RING_MAX_FDS + 1];

	for (unsigned int i = 0; i < RING_MAX_FDS + 1; i++)
		fds[i] = eventfd(0, 0);
	before = count_fds();
	ring_receive(self->ring, &receive.op, self->pair[0]);
	send_fds(self->pair[1], "x", 1, fds, RING_MAX_FDS);
	AWAIT(receive.len == 1);
	EXPECT_EQ(RING_MAX_FDS, receive.nr_fds);
	EXPECT_FALSE(receive.fds_lost);
	while (receive.nr_fds)
		close(receive.fds[--receive.nr_fds]);

	send_fds(self->pair[1], "y", 1, fds, RING_MAX_FDS + 1);
	AWAIT(receive.len == 2);
	EXPECT_TRUE(receive.fds_lost);
	EXPECT_GE(RING_MAX_FDS, receive.nr_fds);
	while (receive.nr_fds)
		close(receive.fds[--receive.nr_fds]);
	EXPECT_EQ(before, count_fds());
}

TEST_F(ring, what_has_arrived_is_handed_over_before_a_stop_ends_the_receive)
{
	struct watched receive = WATCHED(watch);

	ring_receive(self->ring, &receive.op, self->pair[0]);
	ASSERT_EQ(0, ring_turn(self->ring, 0));
	ASSERT_EQ(5, write(self->pair[1], "first", 5));
	AWAIT(receive.len == 5);
	ring_stop(&receive.op);
	ring_stop(&receive.op); /* again makes no difference */
	AWAIT(!ring_op_busy(&receive.op));
	EXPECT_EQ(-ECANCELED, receive.last);
	ASSERT_EQ(6, write(self->pair[1], "second", 6));
	SETTLE();
	EXPECT_EQ(5, receive.len);

	ring_receive(self->ring, &receive.op, self->pair[0]);
	AWAIT(receive.len == 11);
	EXPECT_EQ(0, memcmp(receive.bytes, "firstsecond", 11));
}

TEST_F(ring, a_receive_that_is_stopped_while_bytes_pour_in_loses_none)
{
	struct watched receive = WATCHED(watch);
	uint32_t *numbers = malloc(1 << 20);
	pid_t child;

	for (uint32_t i = 0; i < 1 << 18; i++)
		numbers[i] = i;
	child = fork();
	if (!child) {
		send_fds(self->pair[1], numbers, 1 << 20, NULL, 0);
		_exit(0);
	}
	while (receive.len < 1 << 20) {
		size_t had = receive.len;

		ring_receive(self->ring, &receive.op, self->pair[0]);
		AWAIT(receive.len > had);
		ring_stop(&receive.op);
		AWAIT(!ring_op_busy(&receive.op));
		ASSERT_EQ(-ECANCELED, receive.last);
	}
	EXPECT_EQ(0, memcmp(numbers, receive.bytes, 1 << 20));
	waitpid(child, NULL, 0);
	free(numbers);
}

/* ---- sending ---- */

/* A socket of packets; [0] for the ring. */
#define PACKETS(pair) ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))

TEST_F(ring, packets_stay_apart_and_are_cut_to_a_buffer)
{
	static const int lens[] = { 32, 1, 1500, 32, 3000 };
	const unsigned int nr = sizeof(lens) / sizeof(*lens);
	struct watched receive = WATCHED(watch);
	uint8_t bytes[3000] = { 0 };
	int pair[2];

	PACKETS(pair);
	ring_receive(self->ring, &receive.op, pair[0]);
	for (unsigned int i = 0; i < nr; i++) {
		ASSERT_EQ(lens[i], write(pair[1], bytes, (size_t)lens[i]));
	}
	AWAIT(receive.calls >= nr);
	SETTLE();
	EXPECT_EQ(nr, receive.calls);
	EXPECT_GT(32 + 1 + 1500 + 32 + 3000, receive.len);
	EXPECT_LT(32 + 1 + 1500 + 32, receive.len);
	shutdown(pair[1], SHUT_WR);
	AWAIT(!receive.last);
	close(pair[0]);
	close(pair[1]);
}

/* One whose callback has another receive take what is there. */
struct taker {
	struct ring_op op;
	struct watched *packets;
	int fd; /* of the packets */
	unsigned int calls;
};

static void take_packets(struct ring_op *op, int res, const struct ring_received *received)
{
	struct taker *taker = (struct taker *)op;
	struct pollfd pollfd = { .fd = taker->fd, .events = POLLIN };

	if (!taker->calls++)
		for (unsigned int i = 0; i < 1000; i++)
			if (!ring_receive_take(&taker->packets->op) && !poll(&pollfd, 1, 0))
				break;
}

#define NR_PACKETS 100u /* no more than completions fit */

TEST_F(ring, what_has_come_can_be_taken_in_order_within_another_callback)
{
	struct watched packets = WATCHED(watch);
	struct taker taker = { .op.done = take_packets, .packets = &packets };
	uint8_t bytes[16384] = {
		0
	}; /* more than all buffers hold: there are none for packets then */
	int pair[2];

	PACKETS(pair);
	taker.fd = pair[0];
	ring_receive(self->ring, &taker.op, self->pair[0]);
	ring_receive(self->ring, &packets.op, pair[0]);
	ASSERT_EQ(0, ring_turn(self->ring, 0));
	ASSERT_EQ(sizeof(bytes), write(self->pair[1], bytes, sizeof(bytes)));
	for (uint32_t i = 0; i < NR_PACKETS; i++)
		ASSERT_EQ(sizeof(i), write(pair[1], &i, sizeof(i)));
	AWAIT(taker.calls);
	EXPECT_EQ(NR_PACKETS * sizeof(uint32_t), packets.len);
	for (uint32_t i = 0; i < NR_PACKETS; i++) {
		ASSERT_EQ(0, memcmp(packets.bytes + i * sizeof(i), &i, sizeof(i)));
	}
	/* And it goes on. */
	ASSERT_EQ(1, write(pair[1], bytes, 1));
	AWAIT(packets.len == NR_PACKETS * sizeof(uint32_t) + 1);
	EXPECT_FALSE(ring_receive_take(&packets.op));
	ring_cancel(&packets.op);
	EXPECT_FALSE(ring_receive_take(&packets.op));
	close(pair[0]);
	close(pair[1]);
}

TEST_F(ring, what_is_sent_leaves_with_the_next_turn)
{
	struct watched send = WATCHED(watch);
	char bytes[8];

	ring_send(self->ring, &send.op, self->pair[0], "message", 7, NULL, 0);
	EXPECT_EQ(-1, recv(self->pair[1], bytes, sizeof(bytes), MSG_DONTWAIT));
	ASSERT_EQ(0, ring_turn(self->ring, 0));
	EXPECT_EQ(1, send.calls);
	EXPECT_EQ(7, send.last);
	EXPECT_FALSE(ring_op_busy(&send.op));
	EXPECT_EQ(7, recv(self->pair[1], bytes, sizeof(bytes), MSG_DONTWAIT));
	EXPECT_EQ(0, memcmp(bytes, "message", 7));
}

TEST_F(ring, fds_are_sent_on_the_first_byte)
{
	struct watched send = WATCHED(watch), receive = WATCHED(watch);
	int fds[2] = { eventfd(0, 0), eventfd(0, 0) };

	ring_receive(self->ring, &receive.op, self->pair[1]);
	ring_send(self->ring, &send.op, self->pair[0], "xy", 2, fds, 2);
	AWAIT(receive.len == 2);
	EXPECT_EQ(2, send.last);
	ASSERT_EQ(2, receive.nr_fds);
	eventfd_write(receive.fds[1], 9);
	EXPECT_EQ(9, peer_eventfd_take(fds[1]));
}

TEST_F(ring, a_send_that_finds_no_room_is_partial_and_goes_on_when_there_is_some)
{
	size_t total = 4 << 20, sent = 0, got = 0;
	struct watched send = WATCHED(watch), writable = WATCHED(watch);
	uint8_t *out = malloc(total), *in = malloc(total);
	bool was_partial = false, was_refused = false;

	for (size_t i = 0; i < total; i++)
		out[i] = (uint8_t)(i ^ i >> 8 ^ i >> 16);
	while (sent < total) {
		unsigned int calls = send.calls;
		ssize_t n;

		ring_send(self->ring, &send.op, self->pair[0], out + sent, total - sent, NULL, 0);
		AWAIT(send.calls > calls);
		if (send.last > 0) {
			was_partial |= sent + (size_t)send.last < total;
			sent += (size_t)send.last;
			continue;
		}
		ASSERT_EQ(-EAGAIN, send.last);
		was_refused = true;
		writable.calls = 0;
		ring_writable(self->ring, &writable.op, self->pair[0]);
		ASSERT_EQ(0, ring_turn(self->ring, 0));
		EXPECT_EQ(0, writable.calls);
		while ((n = recv(self->pair[1], in + got, total - got, MSG_DONTWAIT)) > 0)
			got += (size_t)n;
		AWAIT(writable.calls);
		EXPECT_EQ(0, writable.last);
	}
	while (got < total) {
		ssize_t n = recv(self->pair[1], in + got, total - got, MSG_DONTWAIT);

		ASSERT_LT(0, n);
		got += (size_t)n;
	}
	EXPECT_TRUE(was_partial);
	EXPECT_TRUE(was_refused);
	EXPECT_EQ(0, memcmp(in, out, total));
	free(in);
	free(out);
}

TEST_F(ring, a_send_to_nobody_fails_and_kills_nobody)
{
	struct watched send = WATCHED(watch);

	signal(SIGPIPE, SIG_DFL);
	shutdown(self->pair[1], SHUT_RDWR);
	ring_send(self->ring, &send.op, self->pair[0], "x", 1, NULL, 0);
	AWAIT(send.calls);
	EXPECT_EQ(-EPIPE, send.last);
}

TEST_F(ring, a_cancelled_send_that_has_not_left_does_not_leave)
{
	struct watched send = WATCHED(watch);
	char byte;

	ring_send(self->ring, &send.op, self->pair[0], "x", 1, NULL, 0);
	ring_cancel(&send.op);
	SETTLE();
	EXPECT_EQ(0, send.calls);
	EXPECT_EQ(-1, recv(self->pair[1], &byte, 1, MSG_DONTWAIT));
}

TEST_F(ring, sends_and_a_wait_are_one_system_call)
{
	struct watched receive = WATCHED(watch), sends[4];
	int pairs[4][2];
	uint64_t before;

	ring_receive(self->ring, &receive.op, self->pair[0]);
	ASSERT_EQ(0, ring_turn(self->ring, 0));
	for (unsigned int i = 0; i < 4; i++) {
		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i]));
		sends[i] = (struct watched)WATCHED(watch);
		ring_send(self->ring, &sends[i].op, pairs[i][0], "x", 1, NULL, 0);
	}
	ASSERT_EQ(1, write(self->pair[1], "y", 1));
	before = ring_stats(self->ring)->enters;
	ASSERT_EQ(0, ring_turn(self->ring, -1));
	EXPECT_EQ(before + 1, ring_stats(self->ring)->enters);
	EXPECT_EQ(1, receive.len);
	for (unsigned int i = 0; i < 4; i++) {
		EXPECT_EQ(1, sends[i].last);
	}
}

/* ---- eventfds ---- */

TEST_F(ring, what_is_added_to_an_eventfd_is_summed_up)
{
	struct watched bell = WATCHED(watch_eventfd);
	int fd = eventfd(0, EFD_CLOEXEC);
	uint64_t total = 0;

	ring_eventfd(self->ring, &bell.op, fd);
	for (uint64_t i = 1; i <= 20; i++) {
		eventfd_write(fd, i);
		eventfd_write(fd, 1000);
		total += i + 1000;
		AWAIT(bell.sum == total);
	}
	EXPECT_TRUE(ring_op_busy(&bell.op));
	EXPECT_EQ(0, bell.last);
	ring_cancel(&bell.op);
	close(fd);
}

TEST_F(ring, an_eventfd_in_non_blocking_mode_is_read_and_not_spun_on)
{
	struct watched bell = WATCHED(watch_eventfd);
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	uint64_t before;

	ring_eventfd(self->ring, &bell.op, fd);
	for (uint64_t i = 1; i <= 20; i++) {
		eventfd_write(fd, 1);
		AWAIT(bell.sum == i);
	}
	SETTLE();
	before = ring_stats(self->ring)->completions;
	SETTLE();
	EXPECT_GE(before + 2, ring_stats(self->ring)->completions);
	EXPECT_EQ(20, bell.calls);
}

TEST_F(ring, an_eventfd_whose_mode_changes_meanwhile_goes_on)
{
	struct watched bell = WATCHED(watch_eventfd);
	int fd = eventfd(0, EFD_CLOEXEC);

	ring_eventfd(self->ring, &bell.op, fd);
	for (uint64_t i = 1; i <= 20; i++) {
		ASSERT_EQ(0, ring_turn(self->ring, 0));
		ASSERT_EQ(0, fcntl(fd, F_SETFL, i % 2 ? O_NONBLOCK : 0));
		eventfd_write(fd, 1);
		AWAIT(bell.sum == i);
	}
}

TEST_F(ring, an_eventfd_that_somebody_else_reads_goes_on)
{
	struct watched bell = WATCHED(watch_eventfd);
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	uint64_t stolen = 0;

	ring_eventfd(self->ring, &bell.op, fd);
	for (unsigned int i = 0; i < 100; i++) {
		ASSERT_EQ(0, ring_turn(self->ring, 0));
		eventfd_write(fd, 1);
		stolen += peer_eventfd_take(fd);
	}
	eventfd_write(fd, 1);
	AWAIT(bell.sum == 101 - stolen);
}

TEST_F(ring, a_signal_adds_1_to_an_eventfd_of_either_mode)
{
	int fds[2] = { eventfd(0, EFD_NONBLOCK), eventfd(0, 0) };

	for (uint64_t i = 1; i <= 10; i++) {
		ring_signal(self->ring, fds[0]);
		ring_signal(self->ring, fds[1]);
		ASSERT_EQ(0, ring_turn(self->ring, 0));
		EXPECT_EQ(1, peer_eventfd_take(fds[0]));
		/* A kernel worker does it, to which it gets by a turn. */
		AWAIT(poll(&(struct pollfd){ .fd = fds[1], .events = POLLIN }, 1, 0));
		EXPECT_EQ(1, peer_eventfd_take(fds[1]));
	}
}

TEST_F(ring, a_full_eventfd_is_left_as_it_is)
{
	int fds[2] = { eventfd(0, EFD_NONBLOCK), eventfd(0, 0) };

	for (unsigned int i = 0; i < 2; i++)
		eventfd_write(fds[i], UINT64_MAX - 1);
	for (unsigned int i = 0; i < 100; i++) {
		ring_signal(self->ring, fds[0]);
		ring_signal(self->ring, fds[1]);
		ASSERT_EQ(0, ring_turn(self->ring, 0));
	}
	EXPECT_EQ(UINT64_MAX - 1, peer_eventfd_take(fds[0]));
	EXPECT_EQ(UINT64_MAX - 1, peer_eventfd_take(fds[1]));
	SETTLE();
	EXPECT_EQ(0, peer_eventfd_take(fds[0]));
	EXPECT_EQ(0, peer_eventfd_take(fds[1]));
}

/* ---- polling, accepting, time ---- */

TEST_F(ring, readable_and_writable_tell_once)
{
	struct watched readable = WATCHED(watch), writable = WATCHED(watch);

	ring_writable(self->ring, &writable.op, self->pair[0]);
	ring_readable(self->ring, &readable.op, self->pair[0]);
	AWAIT(writable.calls);
	EXPECT_EQ(0, readable.calls);
	ASSERT_EQ(1, write(self->pair[1], "x", 1));
	AWAIT(readable.calls);
	SETTLE();
	EXPECT_EQ(1, writable.calls);
	EXPECT_EQ(1, readable.calls);
	EXPECT_EQ(0, readable.last);
	EXPECT_FALSE(ring_op_busy(&readable.op));
}

TEST_F(ring, connections_are_accepted_until_cancelled)
{
	char dir[] = "/tmp/fastpath-test.XXXXXX", path[64];
	struct watched accept = WATCHED(watch);
	int listening, fds[4];

	ASSERT_NE(NULL, mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	listening = socket_listen(path);
	ring_accept(self->ring, &accept.op, listening);
	for (unsigned int i = 0; i < 4; i++) {
		fds[i] = socket_connect(path);
		AWAIT(accept.calls == i + 1);
		EXPECT_LE(0, accept.last);
		EXPECT_EQ(FD_CLOEXEC, fcntl(accept.last, F_GETFD));
		EXPECT_EQ(1, write(fds[i], "x", 1));
		EXPECT_EQ(1, read(accept.last, &(char){ 0 }, 1));
		close(accept.last);
	}
	ring_cancel(&accept.op);
	close(socket_connect(path));
	SETTLE();
	EXPECT_EQ(4, accept.calls);
	unlink(path);
	rmdir(dir);
}

TEST_F(ring, a_timeout_fires_once_and_not_early)
{
	struct watched timeout = WATCHED(watch);
	int64_t start = now_ns();

	ring_timeout(self->ring, &timeout.op, 20 * MS);
	AWAIT(timeout.calls);
	EXPECT_LE(start + 20 * MS, now_ns());
	EXPECT_EQ(-ETIME, timeout.last);
	EXPECT_FALSE(ring_op_busy(&timeout.op));
	SETTLE();
	EXPECT_EQ(1, timeout.calls);
}

TEST_F(ring, a_turn_in_which_nothing_comes_ends_in_time)
{
	struct watched receive = WATCHED(watch);
	int64_t start = now_ns();

	ring_receive(self->ring, &receive.op, self->pair[0]);
	EXPECT_EQ(0, ring_turn(self->ring, 20 * MS));
	EXPECT_LE(start + 20 * MS, now_ns());
	EXPECT_EQ(0, receive.calls);
	EXPECT_EQ(0, ring_turn(self->ring, 0));
}

static void ignore(int sig)
{
	(void)sig;
}

TEST_F(ring, a_signal_ends_a_turn)
{
	struct itimerval timer = { .it_value.tv_usec = 20000 };
	struct sigaction action = { .sa_handler = ignore };

	ASSERT_EQ(0, ring_turn(self->ring, 0));
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	EXPECT_EQ(-EINTR, ring_turn(self->ring, -1));
}

TEST_F(ring, a_turn_in_a_hurry_does_not_wait)
{
	int64_t start = now_ns();

	ring_hurry(self->ring);
	EXPECT_EQ(0, ring_turn(self->ring, PEER_DEADLINE_MS * MS));
	EXPECT_GT(start + PEER_DEADLINE_MS * MS, now_ns());
	/* But only that one. */
	start = now_ns();
	EXPECT_EQ(0, ring_turn(self->ring, 20 * MS));
	EXPECT_LE(start + 20 * MS, now_ns());
}

/* ---- hooks ---- */

struct counted_hook {
	struct ring_hook hook;
	struct ring *ring;
	unsigned int runs;
	unsigned int again; /* how often it asks for itself */
};

static void count_run(struct ring_hook *hook)
{
	struct counted_hook *counted = (struct counted_hook *)hook;

	counted->runs++;
	if (counted->again && counted->again--)
		ring_before_submit(counted->ring, hook);
}

TEST_F(ring, a_hook_runs_once_however_often_it_was_asked_for)
{
	struct counted_hook hook = { .hook.run = count_run };

	for (unsigned int i = 0; i < 3; i++)
		ring_before_submit(self->ring, &hook.hook);
	EXPECT_EQ(0, hook.runs);
	ASSERT_EQ(0, ring_turn(self->ring, 0));
	EXPECT_EQ(1, hook.runs);
	ASSERT_EQ(0, ring_turn(self->ring, 0));
	EXPECT_EQ(1, hook.runs);
	ring_before_submit(self->ring, &hook.hook);
	ASSERT_EQ(0, ring_turn(self->ring, 0));
	EXPECT_EQ(2, hook.runs);
}

TEST_F(ring, a_hook_may_ask_for_itself_again)
{
	struct counted_hook hook = { .hook.run = count_run, .ring = self->ring, .again = 3 };
	int64_t deadline = 0;

	ring_before_submit(self->ring, &hook.hook);
	while (hook.runs < 4 && peer_time_left(&deadline)) {
		ASSERT_EQ(0, ring_turn(self->ring, 0));
	}
	EXPECT_EQ(4, hook.runs);
}

TEST_F(ring, a_dropped_hook_does_not_run)
{
	struct counted_hook hooks[3] = {
		{ .hook.run = count_run },
		{ .hook.run = count_run },
		{ .hook.run = count_run },
	};

	for (unsigned int i = 0; i < 3; i++)
		ring_before_submit(self->ring, &hooks[i].hook);
	ring_hook_drop(&hooks[1].hook);
	ring_hook_drop(&hooks[1].hook);
	ASSERT_EQ(0, ring_turn(self->ring, 0));
	EXPECT_EQ(1, hooks[0].runs);
	EXPECT_EQ(0, hooks[1].runs);
	EXPECT_EQ(1, hooks[2].runs);
}

/* ---- cancelling ---- */

TEST_F(ring, a_cancelled_operation_is_not_called_back_and_may_be_freed)
{
	enum {
		RECEIVE,
		EVENTFD,
		READABLE,
		TIMEOUT,
		KINDS
	};
	int fd = eventfd(0, EFD_CLOEXEC);

	for (unsigned int turns = 0; turns < 2; turns++)
		for (unsigned int kind = 0; kind < KINDS; kind++) {
			struct watched *watched = calloc(1, sizeof(*watched));

			watched->op.done = watch;
			if (kind == RECEIVE)
				ring_receive(self->ring, &watched->op, self->pair[0]);
			else if (kind == EVENTFD)
				ring_eventfd(self->ring, &watched->op, fd);
			else if (kind == READABLE)
				ring_readable(self->ring, &watched->op, self->pair[0]);
			else
				ring_timeout(self->ring, &watched->op, MS);
			if (turns) {
				ASSERT_EQ(0, ring_turn(self->ring, 0));
			}
			ring_cancel(&watched->op);
			ring_cancel(&watched->op); /* idle: nothing */
			EXPECT_FALSE(ring_op_busy(&watched->op));
			memset(watched, 0xff, sizeof(*watched)); /* a call would crash */
			free(watched);
		}
	ASSERT_EQ(1, write(self->pair[1], "x", 1));
	eventfd_write(fd, 1);
	SETTLE();
	SETTLE();
	/* And nobody has taken what came afterwards. */
	EXPECT_EQ(1, peer_eventfd_take(fd));
	EXPECT_EQ(1, recv(self->pair[0], &(char){ 0 }, 1, MSG_DONTWAIT));
}

TEST_F(ring, an_operation_that_another_cancels_in_the_same_turn_is_not_called_back)
{
	int fds[2] = { eventfd(0, EFD_CLOEXEC), eventfd(0, EFD_CLOEXEC) };
	struct watched bells[2] = { WATCHED(watch_eventfd), WATCHED(watch_eventfd) };

	bells[0].victim = &bells[1];
	bells[1].victim = &bells[0];
	for (unsigned int i = 0; i < 2; i++)
		ring_eventfd(self->ring, &bells[i].op, fds[i]);
	ASSERT_EQ(0, ring_turn(self->ring, 0));
	eventfd_write(fds[0], 1);
	eventfd_write(fds[1], 1);
	AWAIT(bells[0].calls + bells[1].calls);
	SETTLE();
	EXPECT_EQ(1, bells[0].calls + bells[1].calls);
}

TEST_F(ring, an_operation_may_cancel_itself)
{
	struct watched bell = WATCHED(watch_eventfd), receive = WATCHED(watch);
	int fd = eventfd(0, EFD_CLOEXEC);

	bell.suicidal = receive.suicidal = true;
	ring_eventfd(self->ring, &bell.op, fd);
	ring_receive(self->ring, &receive.op, self->pair[0]);
	eventfd_write(fd, 1);
	ASSERT_EQ(1, write(self->pair[1], "x", 1));
	AWAIT(bell.calls && receive.calls);
	eventfd_write(fd, 1);
	ASSERT_EQ(1, write(self->pair[1], "x", 1));
	SETTLE();
	EXPECT_EQ(1, bell.calls);
	EXPECT_EQ(1, receive.calls);
	EXPECT_FALSE(ring_op_busy(&bell.op));
	EXPECT_FALSE(ring_op_busy(&receive.op));
}

TEST_F(ring, an_operation_may_start_anew_right_after_it_was_cancelled)
{
	struct watched receive = WATCHED(watch);
	int other[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, other));
	ring_receive(self->ring, &receive.op, self->pair[0]);
	ASSERT_EQ(0, ring_turn(self->ring, 0));
	for (unsigned int i = 0; i < 100; i++) {
		ring_cancel(&receive.op);
		ring_receive(self->ring, &receive.op, i % 2 ? self->pair[0] : other[0]);
	}
	ASSERT_EQ(0, ring_turn(self->ring, 0)); /* what an operation receives unseen is lost */
	ASSERT_EQ(3, write(self->pair[1], "yes", 3));
	ASSERT_EQ(2, write(other[1], "no", 2));
	AWAIT(receive.len);
	SETTLE();
	EXPECT_EQ(3, receive.len);
	EXPECT_EQ(0, memcmp("yes", receive.bytes, 3));
}

TEST_F(ring, fds_that_arrive_for_a_cancelled_receive_are_closed)
{
	struct watched receive = WATCHED(watch), bell = WATCHED(watch_eventfd);
	int fd = eventfd(0, EFD_CLOEXEC), given = eventfd(0, EFD_CLOEXEC);
	unsigned int before = count_fds();

	/* Both are there in the same turn, and whichever comes first, the receive is cancelled. */
	bell.victim = &receive;
	ring_eventfd(self->ring, &bell.op, fd);
	ring_receive(self->ring, &receive.op, self->pair[0]);
	ASSERT_EQ(0, ring_turn(self->ring, 0));
	eventfd_write(fd, 1);
	send_fds(self->pair[1], "x", 1, &given, 1);
	AWAIT(bell.calls);
	SETTLE();
	while (receive.nr_fds)
		close(receive.fds[--receive.nr_fds]);
	/* What it did not take is still in the socket, and is ours to take. */
	EXPECT_EQ(before, count_fds());
}

/* ---- fd numbers ---- */

TEST_F(ring, a_closed_fd_number_may_be_used_again_at_once)
{
	struct watched old = WATCHED(watch), new = WATCHED(watch);
	int other[2];

	ring_receive(self->ring, &old.op, self->pair[0]);
	ASSERT_EQ(0, ring_turn(self->ring, 0));
	for (unsigned int i = 0; i < 20; i++) {
		int number = self->pair[0];

		ring_cancel(&old.op);
		ring_close_fd(self->ring, number);
		close(self->pair[1]);
		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, other));
		ASSERT_EQ(number, other[0] < other[1] ? other[0] : other[1]);
		self->pair[0] = number;
		self->pair[1] = number == other[0] ? other[1] : other[0];
		ring_receive(self->ring, &new.op, self->pair[0]);
		ASSERT_EQ(1, write(self->pair[1], "x", 1));
		AWAIT(new.len == i + 1);
		ring_cancel(&new.op);
		ring_receive(self->ring, &old.op, self->pair[0]);
	}
	EXPECT_EQ(0, old.calls);
	EXPECT_EQ(20, new.calls);
}

TEST_F(ring, what_was_queued_for_a_closed_fd_goes_where_it_was_meant_to)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int kept = dup(fd);
	int other;

	ring_signal(self->ring, fd);
	ring_close_fd(self->ring, fd);
	other = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ASSERT_EQ(fd, other);
	SETTLE();
	EXPECT_EQ(1, peer_eventfd_take(kept));
	EXPECT_EQ(0, peer_eventfd_take(other));
}

/* ---- many ---- */

TEST_F(ring, more_operations_than_the_queue_has_entries_are_done)
{
	struct watched *timeouts = calloc(1000, sizeof(*timeouts));
	unsigned int done = 0;

	for (unsigned int i = 0; i < 1000; i++) {
		timeouts[i].op.done = watch;
		ring_timeout(self->ring, &timeouts[i].op, MS + i);
	}
	for (unsigned int i = 0; i < 1000; i++) {
		AWAIT(timeouts[i].calls);
		done += timeouts[i].calls;
	}
	EXPECT_EQ(1000, done);
	free(timeouts);
}

TEST_F(ring, more_completions_than_the_queue_holds_are_all_told)
{
	struct watched *bells = calloc(1000, sizeof(*bells));
	struct watched *sends = calloc(300, sizeof(*sends));
	int fd = eventfd(0, EFD_CLOEXEC), closed[2];
	unsigned int failed = 0;

	/* A poll each on one fd, so that all become ready at once; and sends, of which all fail. */
	for (unsigned int i = 0; i < 1000; i++) {
		bells[i].op.done = watch;
		ring_readable(self->ring, &bells[i].op, fd);
	}
	ASSERT_EQ(0, ring_turn(self->ring, 0));
	eventfd_write(fd, 1);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, closed));
	close(closed[1]);
	for (unsigned int i = 0; i < 300; i++) {
		sends[i].op.done = watch;
		ring_send(self->ring, &sends[i].op, closed[0], "x", 1, NULL, 0);
	}
	for (unsigned int i = 0; i < 300; i++) {
		AWAIT(sends[i].calls);
		failed += sends[i].last == -EPIPE;
	}
	EXPECT_EQ(300, failed);
	for (unsigned int i = 0; i < 1000; i++) {
		AWAIT(bells[i].calls);
	}
	free(bells);
	free(sends);
}

TEST_F(ring, a_ring_may_be_closed_with_everything_in_flight)
{
	struct watched ops[6] = {
		WATCHED(watch), WATCHED(watch_eventfd), WATCHED(watch),
		WATCHED(watch), WATCHED(watch),		WATCHED(watch),
	};
	struct ring_options options = { .avoid = variant->avoid };
	struct ring *ring;
	int fd = eventfd(0, EFD_CLOEXEC);

	ASSERT_EQ(0, ring_open(&options, &ring));
	ring_receive(ring, &ops[0].op, self->pair[0]);
	ring_eventfd(ring, &ops[1].op, fd);
	ring_timeout(ring, &ops[2].op, 1000000 * MS);
	ring_readable(ring, &ops[3].op, self->pair[0]);
	ASSERT_EQ(0, ring_turn(ring, 0));
	ring_send(ring, &ops[4].op, self->pair[0], "x", 1, NULL, 0);
	ring_writable(ring, &ops[5].op, self->pair[0]);
	eventfd_write(fd, 1);
	ASSERT_EQ(1, write(self->pair[1], "x", 1));
	ring_close(ring);
	for (unsigned int i = 0; i < 6; i++) {
		EXPECT_EQ(0, ops[i].calls);
		EXPECT_FALSE(ring_op_busy(&ops[i].op));
	}
}

/* ---- the wait policy ---- */

TEST_F(ring, the_wait_policy_can_be_changed)
{
	struct watched receive = WATCHED(watch);

	ring_receive(self->ring, &receive.op, self->pair[0]);
	for (unsigned int i = 1; i <= 20; i++) {
		ring_set_wait(
			self->ring,
			(struct ring_wait){ i % 2 ? RING_WAIT_SPIN : RING_WAIT_BLOCK, i * 10 });
		ASSERT_EQ(1, write(self->pair[1], "x", 1));
		AWAIT(receive.len == i);
	}
}

TEST_F(ring, a_spin_in_vain_is_told_from_one_that_finds_something)
{
	const struct ring_stats *stats = ring_stats(self->ring);
	struct watched timeout = WATCHED(watch);
	uint64_t hits, misses;

	ring_set_wait(self->ring, (struct ring_wait){ RING_WAIT_SPIN, 1000 });
	misses = stats->spin_misses;
	ASSERT_EQ(0, ring_turn(self->ring, 5 * MS));
	EXPECT_EQ(misses + 1, stats->spin_misses);

	ring_set_wait(self->ring, (struct ring_wait){ RING_WAIT_SPIN, 1000000 });
	hits = stats->spin_hits;
	misses = stats->spin_misses;
	ring_timeout(self->ring, &timeout.op, 5 * MS);
	ASSERT_EQ(0, ring_turn(self->ring, -1));
	EXPECT_EQ(1, timeout.calls);
	EXPECT_EQ(hits + 1, stats->spin_hits);
	EXPECT_EQ(misses, stats->spin_misses);
}

TEST(a_wait_policy_is_block_or_spin_and_so_many_microseconds)
{
	static const char *const bad[] = {
		"",	     "blok",
		"block ",    "spin",
		"spin=",     "spin=-1",
		"spin=+1",   "spin= 1",
		"spin=1us",  "spin=1000001",
		"spin=1e3",  "=5",
		"spin=0x10", "spin=99999999999999999999",
	};
	struct ring_wait wait;

	EXPECT_EQ(0, ring_wait_parse("block", &wait));
	EXPECT_EQ(RING_WAIT_BLOCK, wait.mode);
	EXPECT_EQ(0, ring_wait_parse("spin=0", &wait));
	EXPECT_EQ(RING_WAIT_SPIN, wait.mode);
	EXPECT_EQ(0, wait.spin_us);
	EXPECT_EQ(0, ring_wait_parse("spin=1000000", &wait));
	EXPECT_EQ(1000000, wait.spin_us);
	for (unsigned int i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		EXPECT_EQ(-EINVAL, ring_wait_parse(bad[i], &wait))
		{
			TH_LOG("'%s'", bad[i]);
		}
	}
}

TEST_HARNESS_MAIN
