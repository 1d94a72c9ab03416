// SPDX-License-Identifier: GPL-2.0-only
/*
 * An ioregionfd's stand-in: what it sends, and what a server at the other end can't do to it.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include "standin.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "capture.h"
#include "iofd_install.h"
#include "kselftest_harness.h"
#include "wire.h"

#define PATIENT_MS 10000
#define HASTY_MS 50

/* What the other end does with a command. */
enum server_does {
	ANSWERS,   /* with offset * 0x0101010101010101 + user_data; posted ones get nothing */
	IS_SILENT, /* takes it, and says nothing */
	IS_BRIEF,  /* answers with 8 bytes */
	LEAVES,	   /* closes its end */
	SIGNALS,   /* sends this thread many signals before it answers */
};

struct server {
	pthread_t thread;
	int fd;
	enum server_does does;
	pthread_t client; /* whom it signals */
	pthread_mutex_t lock;
	/* What it has seen. */
	struct seen {
		struct wire_ioregion_cmd cmd; /* the last */
		uint64_t reads, writes, posted;
		uint64_t overlaps; /* a command was there before the last was answered */
	} seen;
};

static struct seen seen(struct server *server)
{
	struct seen copy;

	pthread_mutex_lock(&server->lock);
	copy = server->seen;
	pthread_mutex_unlock(&server->lock);
	return copy;
}

FIXTURE(pair) {
	int ours;
	struct server server;
	struct standin *standin;
	struct capture said;
};

static void answer(struct server *server, const struct wire_ioregion_cmd *cmd)
{
	struct wire_ioregion_resp resp = {
		.data = cmd->offset * 0x0101010101010101ull + cmd->user_data,
	};
	struct wire_ioregion_cmd next;
	bool overlaps = recv(server->fd, &next, sizeof(next), MSG_DONTWAIT | MSG_PEEK) > 0;

	pthread_mutex_lock(&server->lock);
	server->seen.overlaps += overlaps;
	pthread_mutex_unlock(&server->lock);
	send(server->fd, &resp, server->does == IS_BRIEF ? 8 : sizeof(resp), MSG_NOSIGNAL);
}

static void see(struct server *server, const struct wire_ioregion_cmd *cmd)
{
	pthread_mutex_lock(&server->lock);
	server->seen.cmd = *cmd;
	server->seen.reads += cmd->cmd == WIRE_IOREGION_READ;
	server->seen.writes += cmd->cmd == WIRE_IOREGION_WRITE;
	server->seen.posted += !(cmd->size_resp & WIRE_IOREGION_RESP);
	pthread_mutex_unlock(&server->lock);
}

static void *serve(void *opaque)
{
	struct server *server = opaque;
	struct wire_ioregion_cmd cmd;

	while (recv(server->fd, &cmd, sizeof(cmd), 0) == sizeof(cmd)) {
		see(server, &cmd);
		for (int i = 0; server->does == SIGNALS && i < 100; i++) {
			pthread_kill(server->client, SIGUSR1);
			usleep(10);
		}
		if (server->does == LEAVES) {
			shutdown(server->fd, SHUT_RDWR);
			break;
		}
		if (server->does != IS_SILENT && cmd.size_resp & WIRE_IOREGION_RESP)
			answer(server, &cmd);
	}
	return NULL;
}

FIXTURE_SETUP(pair)
{
	int pair[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
	self->ours = pair[0];
	self->server.fd = pair[1];
	self->server.client = pthread_self();
	pthread_mutex_init(&self->server.lock, NULL);
}

FIXTURE_TEARDOWN(pair)
{
}

#define BEGIN(does_, wait_, timeout_ms)                                                         \
	do {                                                                                    \
		self->server.does = (does_);                                                    \
		const struct fpc_wait how = wait_;                                              \
                                                                                                \
		ASSERT_EQ(0, standin_open(self->ours, how, (timeout_ms), &self->standin));      \
		ASSERT_EQ(0, pthread_create(&self->server.thread, NULL, serve, &self->server)); \
	} while (0)

/* Ends the server's thread: what it has seen is there to be looked at. */
static void end(FIXTURE_DATA(pair) * self)
{
	standin_close(self->standin);
	close(self->ours);
	pthread_join(self->server.thread, NULL);
	close(self->server.fd);
}

#define BLOCK                          \
	{                              \
		.mode = FPC_WAIT_BLOCK \
	}
#define SPIN                                              \
	{                                                 \
		.mode = FPC_WAIT_SPIN, .spin_us = 1000000 \
	}
#define SPAN ((struct standin_span){ .user_data = 7 })
#define POSTED ((struct standin_span){ .user_data = 7, .posted = true })

/* ---- what is sent ---- */

TEST_F(pair, a_read_gives_the_low_bytes_of_the_answer_and_no_more)
{
	BEGIN(ANSWERS, BLOCK, PATIENT_MS);
	for (uint32_t len = 1, exponent = 0; len <= 8; len *= 2, exponent++) {
		uint64_t value = UINT64_MAX, want = UINT64_MAX;
		uint64_t sent = 0x1212121212121212ull + 7;

		EXPECT_EQ(0, standin_read(self->standin, SPAN, 0x12, &value, len));
		memcpy(&want, &sent, len);
		EXPECT_EQ(want, value);
		EXPECT_EQ(exponent | WIRE_IOREGION_RESP, seen(&self->server).cmd.size_resp);
	}
	EXPECT_EQ(4, seen(&self->server).reads);
	EXPECT_EQ(7, seen(&self->server).cmd.user_data);
	EXPECT_EQ(0x12, seen(&self->server).cmd.offset);
	EXPECT_EQ(0, seen(&self->server).cmd.data);
	end(self);
}

TEST_F(pair, a_write_carries_its_bytes_and_zeros_and_is_awaited)
{
	const uint64_t value = 0x8877665544332211;

	BEGIN(ANSWERS, SPIN, PATIENT_MS);
	for (uint32_t len = 1; len <= 8; len *= 2) {
		uint64_t want = 0;

		EXPECT_EQ(0, standin_write(self->standin, SPAN, 4, &value, len));
		memcpy(&want, &value, len);
		EXPECT_EQ(want, seen(&self->server).cmd.data);
	}
	EXPECT_EQ(4, seen(&self->server).writes);
	EXPECT_EQ(0, seen(&self->server).posted);
	end(self);
}

TEST_F(pair, a_posted_write_asks_for_no_answer_and_waits_for_none)
{
	uint64_t value = 5;

	BEGIN(IS_SILENT, BLOCK, PATIENT_MS);
	for (unsigned int i = 0; i < 10000; i++)
		ASSERT_EQ(0, standin_write(self->standin, POSTED, 0, &value, 4));
	end(self);
	EXPECT_EQ(10000, seen(&self->server).posted);
}

static void ignore(int sig)
{
	(void)sig;
}

TEST_F(pair, a_signal_neither_ends_the_wait_nor_sends_the_command_again)
{
	struct sigaction action = { .sa_handler = ignore };
	uint64_t value;

	sigaction(SIGUSR1, &action, NULL);
	BEGIN(SIGNALS, BLOCK, PATIENT_MS);
	for (unsigned int i = 0; i < 20; i++) {
		ASSERT_EQ(0, standin_read(self->standin, SPAN, 1, &value, 8));
		ASSERT_EQ(0x0101010101010101ull + 7, value);
	}
	end(self);
	EXPECT_EQ(20, seen(&self->server).reads);
}

/* ---- several vCPUs ---- */

#define THREADS 4
#define EACH 5000

struct vcpu_thread {
	pthread_t thread;
	struct standin *standin;
	uint64_t number;
	uint64_t wrong;
};

static void *access_often(void *opaque)
{
	struct vcpu_thread *own = opaque;
	struct standin_span span = { .user_data = own->number };

	for (uint64_t i = 0; i < EACH; i++) {
		uint64_t value;

		own->wrong += standin_read(own->standin, span, i & 0xff, &value, 8) ||
			      value != (i & 0xff) * 0x0101010101010101ull + own->number;
	}
	return NULL;
}

TEST_F(pair, one_command_is_in_flight_at_a_time_and_each_gets_its_own_answer)
{
	struct vcpu_thread threads[THREADS];

	BEGIN(ANSWERS, BLOCK, PATIENT_MS);
	for (uint64_t i = 0; i < THREADS; i++) {
		threads[i] = (struct vcpu_thread){ .standin = self->standin, .number = i };
		ASSERT_EQ(0, pthread_create(&threads[i].thread, NULL, access_often, &threads[i]));
	}
	for (uint64_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i].thread, NULL);
		EXPECT_EQ(0, threads[i].wrong);
	}
	end(self);
	EXPECT_EQ(THREADS * EACH, seen(&self->server).reads);
	EXPECT_EQ(0, seen(&self->server).overlaps);
}

/* ---- bad servers ---- */

/* The access ends so, one line says why, and after it the fd is no road any more. */
#define IS_LOST(ret, access, why)                                                         \
	do {                                                                              \
		uint64_t value__ = 0;                                                     \
                                                                                          \
		capture_start(&self->said);                                               \
		EXPECT_EQ((ret), access);                                                 \
		EXPECT_EQ(-ENOTCONN, standin_read(self->standin, SPAN, 0, &value__, 4));  \
		EXPECT_EQ(-ENOTCONN, standin_write(self->standin, SPAN, 0, &value__, 4)); \
		capture_end(&self->said);                                                 \
		EXPECT_EQ(1, capture_lines(&self->said, "an ioregionfd is given up"));    \
		EXPECT_EQ(1, capture_lines(&self->said, why));                            \
		end(self);                                                                \
	} while (0)

TEST_F(pair, a_server_that_dies_over_a_read_ends_it)
{
	uint64_t value;

	BEGIN(LEAVES, BLOCK, PATIENT_MS);
	IS_LOST(-ECONNRESET, standin_read(self->standin, SPAN, 0, &value, 8), "has closed it");
}

TEST_F(pair, a_server_that_dies_while_it_is_spun_for_ends_the_access_too)
{
	uint64_t value = 0;

	BEGIN(LEAVES, SPIN, PATIENT_MS);
	IS_LOST(-ECONNRESET, standin_write(self->standin, SPAN, 0, &value, 8), "has closed it");
}

TEST_F(pair, a_server_that_is_silent_is_given_up)
{
	uint64_t value;

	BEGIN(IS_SILENT, BLOCK, HASTY_MS);
	IS_LOST(-ECONNRESET, standin_read(self->standin, SPAN, 0, &value, 8), "out of time");
}

TEST_F(pair, an_answer_that_is_too_short_is_none)
{
	uint64_t value = 1;

	BEGIN(IS_BRIEF, BLOCK, PATIENT_MS);
	IS_LOST(-ECONNRESET, standin_read(self->standin, SPAN, 0, &value, 8), "not 32 bytes");
	EXPECT_EQ(1, value);
}

TEST_F(pair, a_server_that_is_gone_already_was_sent_nothing)
{
	uint64_t value;

	BEGIN(ANSWERS, BLOCK, PATIENT_MS);
	shutdown(self->server.fd, SHUT_RDWR);
	pthread_join(self->server.thread, NULL);
	close(self->server.fd);
	self->server.fd = -1;
	ASSERT_EQ(0, pthread_create(&self->server.thread, NULL, serve, &self->server));
	IS_LOST(-ENOTCONN, standin_read(self->standin, SPAN, 0, &value, 8), "command: Broken pipe");
}

TEST_F(pair, a_server_that_never_takes_posted_writes_holds_nobody_for_ever)
{
	uint64_t value = 0;
	int ret = 0;

	ASSERT_EQ(0, standin_open(self->ours, (struct fpc_wait)BLOCK, HASTY_MS, &self->standin));
	capture_start(&self->said);
	for (unsigned int i = 0; i < 100000 && !ret; i++)
		ret = standin_write(self->standin, POSTED, 0, &value, 8);
	capture_end(&self->said);
	EXPECT_EQ(-ENOTCONN, ret);
	EXPECT_EQ(1, capture_lines(&self->said, "command: out of time"));
	standin_close(self->standin);
}

/* ---- which accesses it takes ---- */

/* KVM is not asked for ioregionfds that a stand-in speaks on. */
static struct vm no_vm = { .kvm_fd = -1, .fd = -1 };

static struct iofd_installed *install(FIXTURE_DATA(pair) * self, const struct fpc_io_fd *entries,
				      uint32_t nr, enum iofd_ioregion how)
{
	const struct iofd_target target = {
		.device = "test",
		.size = 0x1000,
		.ioregion = how,
		.timeout_ms = PATIENT_MS,
	};
	struct fpc_io_fds set = {
		.nr_entries = nr,
		.nr_fds = 1,
		.entries = calloc(nr, sizeof(*entries)),
		.fds = calloc(1, sizeof(int)),
	};
	struct iofd_installed *installed;

	set.fds[0] = self->ours;
	memcpy(set.entries, entries, nr * sizeof(*entries));
	for (uint32_t i = 0; i < nr; i++)
		set.entries[i].fd = self->ours;
	capture_start(&self->said);
	if (iofd_install(&no_vm, &target, &set, &installed))
		abort();
	capture_end(&self->said);
	return installed;
}

#define SPAN_ENTRY(...)                                   \
	{                                                 \
		.type = FPC_IO_FD_IOREGIONFD, __VA_ARGS__ \
	}

TEST_F(pair, only_what_lies_whole_in_a_span_goes_by_it)
{
	const struct fpc_io_fd entries[] = {
		SPAN_ENTRY(.offset = 0x100, .size = 0x10, .user_data = 1),
		SPAN_ENTRY(.offset = 0x40, .size = 0x40, .user_data = 2),
		SPAN_ENTRY(.offset = 0x80, .size = 0, .user_data = 3,
			   .flags = WIRE_IOREGION_POSTED_WRITES),
	};
	struct iofd_installed *installed = install(self, entries, 3, IOFD_IOREGION_AUTO);
	uint64_t value;

	EXPECT_STREQ("", self->said.text);
	EXPECT_EQ(3, installed->nr_roads);
	ASSERT_EQ(0, pthread_create(&self->server.thread, NULL, serve, &self->server));
	EXPECT_EQ(0, iofd_read(installed, 0x108, &value, 8));
	EXPECT_EQ(0x0808080808080808ull + 1, value);
	EXPECT_EQ(0, iofd_read(installed, 0x7f, &value, 1));
	EXPECT_EQ(2, seen(&self->server).cmd.user_data);
	EXPECT_EQ(0x3f, seen(&self->server).cmd.offset);
	EXPECT_EQ(-ENOTCONN, iofd_read(installed, 0x3f, &value, 1));
	EXPECT_EQ(-ENOTCONN, iofd_read(installed, 0x3f, &value, 2));
	EXPECT_EQ(-ENOTCONN, iofd_read(installed, 0x7e, &value, 4));
	EXPECT_EQ(-ENOTCONN, iofd_read(installed, 0x10c, &value, 8));
	EXPECT_EQ(-ENOTCONN, iofd_read(installed, 0x40, &value, 3));
	EXPECT_EQ(-ENOTCONN, iofd_read(installed, 0x80, &value, 4)); /* of size 0: writes only */
	EXPECT_EQ(-ENOTCONN, iofd_write(installed, 0x81, &value, 1));
	EXPECT_EQ(0, iofd_write(installed, 0x80, &value, 2));
	EXPECT_EQ(0, iofd_write(installed, 0x40, &value, 8));
	EXPECT_EQ(2, seen(&self->server).writes);
	EXPECT_EQ(1, seen(&self->server).posted);
	EXPECT_TRUE(iofd_has_span(installed, 0x44, 4));
	EXPECT_FALSE(iofd_has_span(installed, 0x3c, 8));
	EXPECT_EQ(NULL, iofd_road(installed, 0x40, 4, 0));
	iofd_uninstall(installed);
	pthread_join(self->server.thread, NULL);
}

TEST_F(pair, spans_that_are_turned_off_go_by_socket_without_a_word)
{
	const struct fpc_io_fd entry = SPAN_ENTRY(.offset = 0x100, .size = 0x10);
	struct iofd_installed *installed = install(self, &entry, 1, IOFD_IOREGION_OFF);
	uint64_t value;

	EXPECT_STREQ("", self->said.text);
	EXPECT_EQ(0, installed->nr_roads);
	EXPECT_EQ(-ENOTCONN, iofd_read(installed, 0x100, &value, 4));
	iofd_uninstall(installed);
}

TEST_HARNESS_MAIN
