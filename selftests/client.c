// SPDX-License-Identifier: GPL-2.0-only
/*
 * The client library, against servers that say what a test wants them to say.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include "fastpath-client.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fastpath.h"
#include "kselftest_harness.h"
#include "lib/peer.h"
#include "log.h"
#include "testdev.h"

#define MIB (1u << 20)
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* ---- a server that follows a script: the child of the test ---- */

/* One end of a connection in a child, 0 is returned there, and the other here. */
static pid_t start(struct peer *peer)
{
	int pair[2];
	pid_t pid;

	log_set_level(LOG_ERROR); /* what servers do here is worth many warnings */
	*peer = (struct peer){ 0 };
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		abort();
	pid = fork();
	if (pid < 0)
		abort();
	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	peer->fd = pair[!pid];
	close(pair[!!pid]);
	return pid;
}

static void __attribute__((noreturn)) die(const char *why)
{
	fprintf(stderr, "# the server: %s\n", why);
	_exit(1);
}

/* The end of the script: nothing else may come from the client. */
static void __attribute__((noreturn)) done(struct peer *peer)
{
	peer_await_end(peer);
	_exit(0);
}

static bool ended_well(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && !status;
}

/* Receives a command, which has to be `cmd`. */
static const struct peer_reply *take(struct peer *peer, uint16_t cmd)
{
	const struct peer_reply *message = peer_receive(peer);

	if (message->hdr.cmd != cmd || message->hdr.flags & WIRE_TYPE_MASK)
		die("that is not the command that was due");
	return message;
}

/* Answers the last command; `flags` and `error` go into the header. */
static size_t make_reply(struct peer *peer, uint8_t *at, uint32_t flags, uint32_t error,
			 const void *body, size_t len)
{
	struct wire_header *hdr = (struct wire_header *)at;

	peer_message(at, peer->reply.hdr.msg_id, peer->reply.hdr.cmd, body, len);
	hdr->flags = flags;
	hdr->error_no = error;
	return hdr->msg_size;
}

static void reply_fds(struct peer *peer, const void *body, size_t len, const int *fds,
		      unsigned int nr)
{
	uint8_t *message = malloc(sizeof(struct wire_header) + len);
	size_t size = make_reply(peer, message, WIRE_TYPE_REPLY, 0, body, len);

	peer_send(peer, message, size, fds, nr);
	free(message);
}

static void reply(struct peer *peer, const void *body, size_t len)
{
	reply_fds(peer, body, len, NULL, 0);
}

static void reply_error(struct peer *peer, uint32_t error)
{
	uint8_t message[sizeof(struct wire_header)];

	make_reply(peer, message, WIRE_TYPE_REPLY | WIRE_ERROR, error, NULL, 0);
	peer_send(peer, message, sizeof(message), NULL, 0);
}

static void reply_version(struct peer *peer, uint16_t major, uint16_t minor, const void *json,
			  size_t len)
{
	uint8_t body[8192];
	struct wire_version version = { major, minor };

	memcpy(body, &version, sizeof(version));
	if (len)
		memcpy(body + sizeof(version), json, len);
	reply(peer, body, sizeof(version) + len);
}

/* VERSION, as a server of few words answers it. */
static void greet(struct peer *peer)
{
	static const char json[] = "{\"capabilities\":{\"max_msg_fds\":8}}";

	take(peer, WIRE_VERSION);
	reply_version(peer, WIRE_MAJOR, WIRE_MINOR, json, sizeof(json));
}

/* A client of the server, which greets; NULL when it is not let in. */
static struct fpc *open_client(struct peer *peer)
{
	struct fpc_options options = { .timeout_ms = PEER_DEADLINE_MS };
	struct fpc *client = NULL;

	return fpc_open(peer->fd, &options, &client) ? NULL : client;
}

/* fpc_open() where a refusal is what is wanted, and nothing for the log. */
static int try_to_open(struct peer *peer, struct fpc **client)
{
	struct fpc_options options = { .timeout_ms = PEER_DEADLINE_MS };
	int kept = dup(STDERR_FILENO);
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int ret;

	*client = NULL;
	dup2(null, STDERR_FILENO);
	ret = fpc_open(peer->fd, &options, client);
	dup2(kept, STDERR_FILENO);
	close(kept);
	close(null);
	return ret;
}

static unsigned int count_fds(void)
{
	return peer_count_fds(&(struct peer){ .pid = getpid() });
}

/* ---- the good paths ---- */

TEST(every_call_works_with_the_real_server)
{
	struct peer *peer = peer_start("testdev,id=77", 0);
	struct fpc *client = open_client(peer);
	int memory = memfd_create("guest", MFD_CLOEXEC), fds[4], fd;
	struct fpc_device_info device;
	struct fpc_region_info region;
	struct fpc_irq_info irq;
	struct fpc_io_fds set;
	uint64_t value = 0;

	ASSERT_NE(NULL, client);
	peer->fd = -1; /* the client's */
	EXPECT_EQ(WIRE_MINOR, fpc_limits(client)->minor);
	EXPECT_EQ(16, fpc_limits(client)->max_msg_fds);
	EXPECT_EQ(MIB, fpc_limits(client)->max_data_xfer);
	EXPECT_EQ(65535, fpc_limits(client)->max_dma_maps);
	ASSERT_EQ(0, fpc_device_info(client, &device));
	EXPECT_EQ(9, device.num_regions);
	ASSERT_EQ(0, fpc_region_info(client, FP_BAR2, &region, &fd));
	EXPECT_EQ(TESTDEV_BENCH_BYTES, region.size);
	EXPECT_EQ(-1, fd);
	ASSERT_EQ(0, fpc_irq_info(client, FP_MSIX, &irq));
	EXPECT_EQ(4, irq.count);
	ASSERT_EQ(0, fpc_region_read(client, FP_BAR2, offsetof(struct testdev_counters, id), &value,
				     8));
	EXPECT_EQ(77, value);
	value = 0x1234567890;
	ASSERT_EQ(0, fpc_region_write(client, FP_BAR2, TESTDEV_SCRATCH, &value, 8));
	ASSERT_EQ(0, fpc_region_post(client, FP_BAR2, TESTDEV_SCRATCH + 8, &value, 8));
	value = 0;
	ASSERT_EQ(0, fpc_region_read(client, FP_BAR2, TESTDEV_SCRATCH + 8, &value, 8));
	EXPECT_EQ(0x1234567890, value);

	ASSERT_EQ(0, ftruncate(memory, 4096));
	EXPECT_EQ(0, fpc_dma_map(client, memory, 0, 4096, 4096,
				 WIRE_DMA_READABLE | WIRE_DMA_WRITEABLE));
	EXPECT_EQ(-EEXIST, fpc_dma_map(client, memory, 0, 4096, 8192, WIRE_DMA_READABLE));
	EXPECT_EQ(0, fpc_dma_unmap(client, 4096, 4096));
	EXPECT_EQ(-ENOENT, fpc_dma_unmap(client, 4096, 4096));

	for (unsigned int i = 0; i < 4; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ASSERT_EQ(0, fpc_set_irqs(client, WIRE_IRQ_DATA_EVENTFD | WIRE_IRQ_ACTION_TRIGGER, FP_MSIX,
				  0, 4, fds));
	ASSERT_EQ(0, fpc_set_irqs(client, WIRE_IRQ_DATA_BOOL | WIRE_IRQ_ACTION_TRIGGER, FP_MSIX, 1,
				  2, "\0\1"));
	EXPECT_EQ(1, peer_eventfd_wait(fds[2]));
	EXPECT_EQ(0, peer_eventfd_take(fds[1]));
	ASSERT_EQ(0, fpc_set_irqs(client, WIRE_IRQ_DATA_EVENTFD | WIRE_IRQ_ACTION_TRIGGER, FP_MSIX,
				  2, 1, NULL));
	ASSERT_EQ(0, fpc_set_irqs(client, WIRE_IRQ_DATA_NONE | WIRE_IRQ_ACTION_TRIGGER, FP_MSIX, 0,
				  4, NULL));
	EXPECT_EQ(1, peer_eventfd_wait(fds[3]));
	EXPECT_EQ(0, peer_eventfd_take(fds[2]));

	ASSERT_EQ(0, fpc_region_io_fds(client, FP_BAR2, &set));
	EXPECT_EQ(TESTDEV_NR_IO_FDS, set.nr_entries);
	EXPECT_EQ(TESTDEV_NR_IO_FDS, set.nr_fds);
	EXPECT_EQ(testdev_value(TESTDEV_MATCH_B), set.entries[TESTDEV_MATCH_B].datamatch);
	fpc_io_fds_free(&set);
	ASSERT_EQ(0, fpc_region_io_fds(client, FP_BAR3, &set));
	EXPECT_EQ(0, set.nr_entries);
	fpc_io_fds_free(&set);

	EXPECT_EQ(0, fpc_reset(client));
	EXPECT_EQ(-EINVAL, fpc_region_info(client, 9, &region, NULL));
	fpc_close(client);
	EXPECT_EQ(0, peer_wait(peer));
	peer_stop(peer);
}

TEST(either_layout_of_io_fds_comes_out_the_same)
{
	static const char *const devices[] = { "testdev", "testdev,io-fds-layout=spec" };

	for (unsigned int n = 0; n < 2; n++) {
		struct peer *peer = peer_start(devices[n], 0);
		struct fpc *client = open_client(peer);
		struct fpc_io_fds set;

		ASSERT_NE(NULL, client);
		peer->fd = -1;
		ASSERT_EQ(0, fpc_region_io_fds(client, FP_BAR2, &set));
		ASSERT_EQ(TESTDEV_NR_IO_FDS, set.nr_entries);
		for (unsigned int i = 0; i < TESTDEV_NR_DOORBELLS; i++) {
			EXPECT_EQ(testdev_doorbells[i].offset, set.entries[i].offset);
			EXPECT_EQ(testdev_doorbells[i].width, set.entries[i].size);
			EXPECT_EQ(testdev_value(i), set.entries[i].datamatch);
			EXPECT_EQ(WIRE_IO_FD_IOEVENTFD, set.entries[i].type);
			EXPECT_LE(0, set.entries[i].fd);
			EXPECT_EQ(-1, set.entries[i].shadow_fd);
		}
		EXPECT_EQ(WIRE_IO_FD_IOREGIONFD, set.entries[TESTDEV_NR_DOORBELLS].type);
		EXPECT_EQ(TESTDEV_SCRATCH, set.entries[TESTDEV_NR_DOORBELLS].offset);
		EXPECT_EQ(TESTDEV_POSTED - TESTDEV_SCRATCH, set.entries[TESTDEV_NR_DOORBELLS].size);
		EXPECT_EQ(0, set.entries[TESTDEV_NR_DOORBELLS].datamatch);
		EXPECT_EQ(TESTDEV_NR_DOORBELLS, set.entries[TESTDEV_NR_DOORBELLS].user_data);
		fpc_io_fds_free(&set);
		fpc_close(client);
		EXPECT_EQ(0, peer_wait(peer));
		peer_stop(peer);
	}
}

TEST(a_client_that_spins_works_as_well)
{
	struct peer *peer = peer_start("testdev,id=5", 0);
	struct fpc_options options = { .wait = { FPC_WAIT_SPIN, 1000 } };
	struct fpc *client;
	uint64_t value;

	ASSERT_EQ(0, fpc_open(peer->fd, &options, &client));
	peer->fd = -1;
	for (unsigned int i = 0; i < 100; i++) {
		if (i == 50)
			fpc_set_wait(client, (struct fpc_wait){ .mode = FPC_WAIT_BLOCK });
		ASSERT_EQ(0, fpc_region_read(client, FP_BAR2, offsetof(struct testdev_counters, id),
					     &value, 8));
		ASSERT_EQ(5, value);
	}
	fpc_close(client);
	EXPECT_EQ(0, peer_wait(peer));
	peer_stop(peer);
}

TEST(the_fd_of_a_region_is_handed_out_or_closed)
{
	struct fpc_region_info info = { .argsz = sizeof(info), .index = 1, .size = 4096 };
	struct fpc *client;
	struct peer peer;
	unsigned int before;
	pid_t pid = start(&peer);
	int fd;

	if (!pid) {
		int fds[2] = { eventfd(41, 0), eventfd(0, 0) };

		greet(&peer);
		take(&peer, WIRE_DEVICE_GET_REGION_INFO);
		reply_fds(&peer, &info, sizeof(info), fds, 1);
		take(&peer, WIRE_DEVICE_GET_REGION_INFO);
		reply_fds(&peer, &info, sizeof(info), fds, 1);
		take(&peer, WIRE_DEVICE_GET_REGION_INFO);
		reply_fds(&peer, &info, sizeof(info), fds, 2); /* one more than there may be */
		take(&peer, WIRE_DEVICE_GET_REGION_INFO);
		info.index = 2; /* which nobody has asked for */
		reply_fds(&peer, &info, sizeof(info), fds, 1);
		done(&peer);
	}
	client = open_client(&peer);
	ASSERT_NE(NULL, client);
	before = count_fds();
	ASSERT_EQ(0, fpc_region_info(client, 1, &info, &fd));
	EXPECT_EQ(41, peer_eventfd_take(fd));
	close(fd);
	ASSERT_EQ(0, fpc_region_info(client, 1, &info, NULL));
	EXPECT_EQ(before, count_fds());
	if (!fpc_region_info(client, 1, &info, &fd)) {
		close(fd);
	}
	EXPECT_EQ(before, count_fds());
	EXPECT_EQ(-EPROTO, fpc_region_info(client, 1, &info, &fd));
	EXPECT_EQ(-1, fd);
	EXPECT_EQ(before, count_fds());
	fpc_close(client);
	EXPECT_TRUE(ended_well(pid));
}

TEST(a_call_asks_what_the_protocol_wants_to_be_asked)
{
	struct fpc *client;
	struct peer peer;
	pid_t pid = start(&peer);
	int fds[2] = { eventfd(0, 0), eventfd(0, 0) };

	if (!pid) {
		const struct peer_reply *message;
		struct wire_dma_map map;
		struct wire_dma_unmap unmap;
		struct wire_irq_set set;
		struct wire_region_access access;

		greet(&peer);
		message = take(&peer, WIRE_DMA_MAP);
		memcpy(&map, message->body, sizeof(map));
		if (message->len != sizeof(map) || message->nr_fds != 1 ||
		    map.argsz != sizeof(map) || map.offset != 3 || map.address != 4 ||
		    map.size != 5 || map.flags != 6)
			die("DMA_MAP");
		reply(&peer, NULL, 0);
		message = take(&peer, WIRE_DMA_UNMAP);
		memcpy(&unmap, message->body, sizeof(unmap));
		if (message->len != sizeof(unmap) || unmap.argsz != sizeof(unmap) || unmap.flags ||
		    unmap.address != 7 || unmap.size != 8)
			die("DMA_UNMAP");
		reply(&peer, message->body, message->len);
		message = take(&peer, WIRE_DEVICE_SET_IRQS);
		memcpy(&set, message->body, sizeof(set));
		if (message->len != sizeof(set) || message->nr_fds != 2 ||
		    set.argsz != sizeof(set) || set.index != 2 || set.start != 3 || set.count != 2)
			die("SET_IRQS with fds");
		reply(&peer, NULL, 0);
		message = take(&peer, WIRE_DEVICE_SET_IRQS);
		memcpy(&set, message->body, sizeof(set));
		if (message->len != sizeof(set) + 3 || message->nr_fds ||
		    set.argsz != sizeof(set) + 3 || set.count != 3 ||
		    memcmp(message->body + sizeof(set), "\1\0\1", 3) != 0)
			die("SET_IRQS with bools");
		reply(&peer, NULL, 0);
		message = take(&peer, WIRE_REGION_WRITE);
		memcpy(&access, message->body, sizeof(access));
		if (message->hdr.flags != (WIRE_TYPE_COMMAND | WIRE_NO_REPLY) ||
		    access.offset != 9 || access.region != 1 || access.count != 4 ||
		    memcmp(message->body + sizeof(access), "data", 4) != 0)
			die("REGION_WRITE, posted");
		done(&peer);
	}
	client = open_client(&peer);
	ASSERT_NE(NULL, client);
	EXPECT_EQ(0, fpc_dma_map(client, fds[0], 3, 4, 5, 6));
	EXPECT_EQ(0, fpc_dma_unmap(client, 7, 8));
	EXPECT_EQ(0, fpc_set_irqs(client, WIRE_IRQ_DATA_EVENTFD | WIRE_IRQ_ACTION_TRIGGER, 2, 3, 2,
				  fds));
	EXPECT_EQ(0, fpc_set_irqs(client, WIRE_IRQ_DATA_BOOL | WIRE_IRQ_ACTION_MASK, 2, 0, 3,
				  "\1\0\1"));
	EXPECT_EQ(0, fpc_region_post(client, 1, 9, "data", 4));
	fpc_close(client);
	EXPECT_TRUE(ended_well(pid));
}

TEST(more_fds_than_the_server_takes_are_not_sent)
{
	struct fpc *client;
	struct peer peer;
	pid_t pid = start(&peer);
	int fds[9];

	if (!pid) {
		greet(&peer);
		take(&peer, WIRE_DEVICE_RESET);
		reply(&peer, NULL, 0);
		done(&peer);
	}
	client = open_client(&peer);
	ASSERT_NE(NULL, client);
	for (unsigned int i = 0; i < 9; i++)
		fds[i] = eventfd(0, 0);
	EXPECT_EQ(-E2BIG, fpc_set_irqs(client, WIRE_IRQ_DATA_EVENTFD | WIRE_IRQ_ACTION_TRIGGER,
				       FP_MSIX, 0, 9, fds));
	EXPECT_EQ(0, fpc_reset(client));
	fpc_close(client);
	EXPECT_TRUE(ended_well(pid));
}

TEST(transfers_of_a_mebibyte_arrive_whole)
{
	uint8_t *out = malloc(MIB), *in = malloc(MIB);
	struct fpc *client;
	struct peer peer;
	pid_t pid;

	for (uint32_t i = 0; i < MIB; i++)
		out[i] = (uint8_t)(i ^ i >> 8);
	pid = start(&peer);
	if (!pid) {
		const struct peer_reply *message;
		struct wire_region_access access;
		uint8_t *body = malloc(sizeof(access) + MIB);

		greet(&peer);
		message = take(&peer, WIRE_REGION_WRITE);
		memcpy(&access, message->body, sizeof(access));
		if (access.count != MIB || memcmp(message->body + sizeof(access), out, MIB) != 0)
			die("the data");
		reply(&peer, &access, sizeof(access));
		take(&peer, WIRE_REGION_READ);
		memcpy(body, peer.reply.body, sizeof(access));
		memcpy(body + sizeof(access), out, MIB);
		reply(&peer, body, sizeof(access) + MIB);
		done(&peer);
	}
	client = open_client(&peer);
	ASSERT_NE(NULL, client);
	EXPECT_EQ(0, fpc_region_write(client, 0, 0, out, MIB));
	EXPECT_EQ(0, fpc_region_read(client, 0, 0, in, MIB));
	EXPECT_EQ(0, memcmp(in, out, MIB));
	fpc_close(client);
	EXPECT_TRUE(ended_well(pid));
}

/* ---- how replies come ---- */

TEST(a_reply_split_at_any_byte_is_taken)
{
	struct fpc_irq_info info = { sizeof(info), WIRE_IRQ_EVENTFD, 2, 5 };
	size_t whole = sizeof(struct wire_header) + sizeof(info);
	struct fpc *client;
	struct peer peer;
	pid_t pid = start(&peer);

	if (!pid) {
		uint8_t message[64];

		greet(&peer);
		for (size_t split = 1; split < whole; split++) {
			take(&peer, WIRE_DEVICE_GET_IRQ_INFO);
			make_reply(&peer, message, WIRE_TYPE_REPLY, 0, &info, sizeof(info));
			peer_send(&peer, message, split, NULL, 0);
			peer_drain(&peer);
			peer_send(&peer, message + split, whole - split, NULL, 0);
		}
		done(&peer);
	}
	client = open_client(&peer);
	ASSERT_NE(NULL, client);
	for (size_t split = 1; split < whole; split++) {
		memset(&info, 0, sizeof(info));
		EXPECT_EQ(0, fpc_irq_info(client, 2, &info));
		EXPECT_EQ(5, info.count);
	}
	fpc_close(client);
	EXPECT_TRUE(ended_well(pid));
}

TEST(a_reply_with_another_msg_id_is_not_taken_for_the_answer)
{
	struct fpc_irq_info info = { sizeof(info), WIRE_IRQ_EVENTFD, 2, 5 };
	struct fpc *client;
	struct peer peer;
	pid_t pid = start(&peer);

	if (!pid) {
		uint8_t messages[128];
		size_t len;

		greet(&peer);
		take(&peer, WIRE_DEVICE_GET_IRQ_INFO);
		peer.reply.hdr.msg_id++;
		info.count = 6;
		len = make_reply(&peer, messages, WIRE_TYPE_REPLY, 0, &info, sizeof(info));
		peer.reply.hdr.msg_id--;
		info.count = 5;
		len += make_reply(&peer, messages + len, WIRE_TYPE_REPLY, 0, &info, sizeof(info));
		peer_send(&peer, messages, len, NULL, 0);
		done(&peer);
	}
	client = open_client(&peer);
	ASSERT_NE(NULL, client);
	EXPECT_EQ(0, fpc_irq_info(client, 2, &info));
	EXPECT_EQ(5, info.count);
	fpc_close(client);
	EXPECT_TRUE(ended_well(pid));
}

TEST(a_reply_to_another_command_is_refused)
{
	struct fpc_irq_info info = { sizeof(info), WIRE_IRQ_EVENTFD, 2, 5 };
	struct fpc *client;
	struct peer peer;
	pid_t pid = start(&peer);

	if (!pid) {
		greet(&peer);
		take(&peer, WIRE_DEVICE_GET_IRQ_INFO);
		peer.reply.hdr.cmd = WIRE_DEVICE_GET_INFO;
		reply(&peer, &info, sizeof(info));
		take(&peer, WIRE_DEVICE_GET_IRQ_INFO);
		reply(&peer, &info, sizeof(info));
		done(&peer);
	}
	client = open_client(&peer);
	ASSERT_NE(NULL, client);
	EXPECT_EQ(-EPROTO, fpc_irq_info(client, 2, &info));
	EXPECT_EQ(0, fpc_irq_info(client, 2, &info));
	fpc_close(client);
	EXPECT_TRUE(ended_well(pid));
}

TEST(commands_of_the_server_between_request_and_reply_are_answered)
{
	struct fpc_irq_info info = { sizeof(info), WIRE_IRQ_EVENTFD, 2, 5 };
	struct fpc *client;
	struct peer peer;
	pid_t pid = start(&peer);

	if (!pid) {
		uint8_t message[64], body[16] = { 0 };
		uint16_t id;

		greet(&peer);
		id = take(&peer, WIRE_DEVICE_GET_IRQ_INFO)->hdr.msg_id;
		/* One that needs an answer, with the msg_id of the question, and one that needs none. */
		peer_send(&peer, message, peer_message(message, id, 14, body, sizeof(body)), NULL,
			  0);
		if (!peer_answer(&peer, id, 14))
			die("a command that is not known succeeds");
		peer_post(&peer, 14, body, sizeof(body));
		peer.reply.hdr.msg_id = id;
		peer.reply.hdr.cmd = WIRE_DEVICE_GET_IRQ_INFO;
		reply(&peer, &info, sizeof(info));
		done(&peer);
	}
	client = open_client(&peer);
	ASSERT_NE(NULL, client);
	EXPECT_EQ(0, fpc_irq_info(client, 2, &info));
	EXPECT_EQ(5, info.count);
	fpc_close(client);
	EXPECT_TRUE(ended_well(pid));
}

/* ---- replies that are no good ---- */

TEST(a_reply_that_is_too_short_is_refused)
{
	struct fpc_device_info device;
	struct fpc_region_info region;
	struct fpc_io_fds set;
	struct fpc_irq_info irq;
	struct fpc *client;
	struct peer peer;
	pid_t pid = start(&peer);
	uint64_t value;

	if (!pid) {
		static const struct {
			uint16_t cmd;
			size_t len; /* of a good one */
		} replies[] = {
			{ WIRE_DEVICE_GET_INFO, 16 },	  { WIRE_DEVICE_GET_REGION_INFO, 32 },
			{ WIRE_DEVICE_GET_IRQ_INFO, 16 }, { WIRE_REGION_READ, 24 },
			{ WIRE_REGION_WRITE, 16 },	  { WIRE_DEVICE_GET_REGION_IO_FDS, 16 },
		};
		uint8_t body[32] = { 0 };

		greet(&peer);
		for (unsigned int i = 0; i < COUNT(replies); i++)
			for (size_t len = 0; len < replies[i].len; len++) {
				take(&peer, replies[i].cmd);
				reply(&peer, body, len);
			}
		done(&peer);
	}
	client = open_client(&peer);
	ASSERT_NE(NULL, client);
	for (unsigned int len = 0; len < 16; len++) {
		EXPECT_EQ(-EPROTO, fpc_device_info(client, &device));
	}
	for (unsigned int len = 0; len < 32; len++) {
		EXPECT_EQ(-EPROTO, fpc_region_info(client, 0, &region, NULL));
	}
	for (unsigned int len = 0; len < 16; len++) {
		EXPECT_EQ(-EPROTO, fpc_irq_info(client, 0, &irq));
	}
	for (unsigned int len = 0; len < 24; len++) {
		EXPECT_EQ(-EPROTO, fpc_region_read(client, 0, 0, &value, 8));
	}
	for (unsigned int len = 0; len < 16; len++) {
		EXPECT_EQ(-EPROTO, fpc_region_write(client, 0, 0, &value, 8));
	}
	for (unsigned int len = 0; len < 16; len++) {
		EXPECT_EQ(-EPROTO, fpc_region_io_fds(client, 0, &set));
	}
	fpc_close(client);
	EXPECT_TRUE(ended_well(pid));
}

TEST(a_reply_that_is_longer_than_asked_for_does_no_harm)
{
	struct fpc *client;
	struct peer peer;
	pid_t pid = start(&peer);
	uint64_t values[2] = { 1, 2 };

	if (!pid) {
		struct {
			struct wire_region_access access;
			uint8_t data[5000];
		} body = { .access.count = 8 };

		memset(body.data, 0xee, sizeof(body.data));
		greet(&peer);
		take(&peer, WIRE_REGION_READ);
		reply(&peer, &body, sizeof(body));
		done(&peer);
	}
	client = open_client(&peer);
	ASSERT_NE(NULL, client);
	EXPECT_EQ(0, fpc_region_read(client, 0, 0, &values[0], 8));
	EXPECT_EQ(0xeeeeeeeeeeeeeeee, values[0]);
	EXPECT_EQ(2, values[1]);
	fpc_close(client);
	EXPECT_TRUE(ended_well(pid));
}

TEST(an_error_reply_is_its_errno)
{
	static const struct {
		uint32_t sent;
		int seen;
	} errors[] = {
		{ EINVAL, -EINVAL }, { EPERM, -EPERM }, { ENOSPC, -ENOSPC }, { 4095, -4095 },
		{ 0, -EIO },	     { 4096, -EIO },	{ 1u << 31, -EIO },  { UINT32_MAX, -EIO },
	};
	struct fpc_irq_info info = { sizeof(info), WIRE_IRQ_EVENTFD, 2, 5 };
	struct fpc *client;
	struct peer peer;
	pid_t pid = start(&peer);

	if (!pid) {
		uint8_t message[64];

		greet(&peer);
		for (unsigned int i = 0; i < COUNT(errors); i++) {
			take(&peer, WIRE_DEVICE_GET_IRQ_INFO);
			reply_error(&peer, errors[i].sent);
			/* Some servers send a body with it. */
			take(&peer, WIRE_DEVICE_GET_IRQ_INFO);
			peer_send(&peer, message,
				  make_reply(&peer, message, WIRE_TYPE_REPLY | WIRE_ERROR,
					     errors[i].sent, &info, sizeof(info)),
				  NULL, 0);
		}
		done(&peer);
	}
	client = open_client(&peer);
	ASSERT_NE(NULL, client);
	for (unsigned int i = 0; i < 2 * COUNT(errors); i++) {
		EXPECT_EQ(errors[i / 2].seen, fpc_irq_info(client, 2, &info));
	}
	fpc_close(client);
	EXPECT_TRUE(ended_well(pid));
}

TEST(an_over_long_reply_is_refused_and_skipped)
{
	struct fpc_irq_info info = { sizeof(info), WIRE_IRQ_EVENTFD, 2, 5 };
	struct fpc *client;
	struct peer peer;
	pid_t pid = start(&peer);

	if (!pid) {
		uint8_t *junk = malloc(16 * MIB);

		memset(junk, 0xff, 16 * MIB);
		greet(&peer);
		take(&peer, WIRE_DEVICE_GET_IRQ_INFO);
		reply(&peer, junk, 16 * MIB);
		take(&peer, WIRE_DEVICE_GET_IRQ_INFO);
		reply(&peer, &info, sizeof(info));
		done(&peer);
	}
	client = open_client(&peer);
	ASSERT_NE(NULL, client);
	EXPECT_EQ(-EPROTO, fpc_irq_info(client, 2, &info));
	EXPECT_EQ(0, fpc_irq_info(client, 2, &info));
	fpc_close(client);
	EXPECT_TRUE(ended_well(pid));
}

TEST(fds_that_a_reply_should_not_bring_are_closed)
{
	struct fpc_device_info device = { sizeof(device), 3, 9, 5 };
	struct fpc *client;
	unsigned int before;
	struct peer peer;
	pid_t pid = start(&peer);

	if (!pid) {
		uint8_t message[sizeof(struct wire_header)];
		int fds[65];

		for (unsigned int i = 0; i < 65; i++)
			fds[i] = eventfd(0, 0);
		greet(&peer);
		take(&peer, WIRE_DEVICE_GET_INFO);
		reply_fds(&peer, &device, sizeof(device), fds, 64);
		take(&peer, WIRE_DEVICE_GET_INFO);
		reply_fds(&peer, &device, sizeof(device), fds, 65);
		take(&peer, WIRE_DEVICE_GET_INFO);
		make_reply(&peer, message, WIRE_TYPE_REPLY | WIRE_ERROR, EINVAL, NULL, 0);
		peer_send(&peer, message, sizeof(message), fds, 3);
		take(&peer, WIRE_DEVICE_GET_INFO);
		peer.reply.hdr.msg_id++;
		reply_fds(&peer, &device, sizeof(device), fds, 3);
		peer.reply.hdr.msg_id--;
		reply(&peer, &device, sizeof(device));
		done(&peer);
	}
	client = open_client(&peer);
	ASSERT_NE(NULL, client);
	before = count_fds();
	EXPECT_EQ(0, fpc_device_info(client, &device));
	EXPECT_EQ(-EPROTO, fpc_device_info(client, &device));
	EXPECT_EQ(-EINVAL, fpc_device_info(client, &device));
	EXPECT_EQ(0, fpc_device_info(client, &device));
	EXPECT_EQ(before, count_fds());
	fpc_close(client);
	EXPECT_TRUE(ended_well(pid));
}

/* ---- servers that go, or say nothing ---- */

TEST(a_server_that_closes_at_any_byte_of_its_reply_is_gone)
{
	struct fpc_irq_info info = { sizeof(info), WIRE_IRQ_EVENTFD, 2, 5 };

	for (size_t len = 0; len < sizeof(struct wire_header) + sizeof(info); len++) {
		unsigned int before = count_fds();
		struct fpc *client;
		struct peer peer;
		pid_t pid = start(&peer);

		if (!pid) {
			uint8_t message[64];

			greet(&peer);
			take(&peer, WIRE_DEVICE_GET_IRQ_INFO);
			make_reply(&peer, message, WIRE_TYPE_REPLY, 0, &info, sizeof(info));
			peer_send(&peer, message, len, NULL, 0);
			_exit(0);
		}
		client = open_client(&peer);
		ASSERT_NE(NULL, client);
		EXPECT_EQ(-ECONNRESET, fpc_irq_info(client, 2, &info));
		EXPECT_EQ(-ECONNRESET, fpc_irq_info(client, 2, &info));
		EXPECT_EQ(-ECONNRESET, fpc_region_post(client, 0, 0, "x", 1));
		fpc_close(client);
		EXPECT_TRUE(ended_well(pid));
		EXPECT_EQ(before, count_fds());
	}
}

TEST(a_server_that_is_gone_before_the_question_is_gone)
{
	struct fpc *client;
	struct peer peer;
	pid_t pid = start(&peer);

	if (!pid) {
		greet(&peer);
		_exit(0);
	}
	client = open_client(&peer);
	ASSERT_NE(NULL, client);
	EXPECT_TRUE(ended_well(pid));
	EXPECT_EQ(-ECONNRESET, fpc_reset(client));
	EXPECT_EQ(-ECONNRESET, fpc_reset(client));
	fpc_close(client);
}

TEST(a_stream_that_makes_no_sense_ends_the_connection)
{
	struct fpc *client;
	struct peer peer;
	pid_t pid = start(&peer);

	if (!pid) {
		struct wire_header hdr = { .msg_size = 15 };

		greet(&peer);
		take(&peer, WIRE_DEVICE_RESET);
		peer_send(&peer, &hdr, sizeof(hdr), NULL, 0);
		done(&peer);
	}
	client = open_client(&peer);
	ASSERT_NE(NULL, client);
	EXPECT_EQ(-ECONNRESET, fpc_reset(client));
	EXPECT_TRUE(ended_well(pid)); /* the client has hung up */
	fpc_close(client);
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ll + ts.tv_nsec / 1000000;
}

TEST(a_server_that_does_not_answer_is_given_up_at_the_deadline)
{
	struct fpc_options options = { .timeout_ms = 50 };
	struct fpc *client;
	struct peer peer;
	pid_t pid = start(&peer);
	int64_t before;

	if (!pid) {
		greet(&peer);
		take(&peer, WIRE_DEVICE_RESET);
		done(&peer);
	}
	ASSERT_EQ(0, fpc_open(peer.fd, &options, &client));
	before = now_ms();
	EXPECT_EQ(-ETIMEDOUT, fpc_reset(client));
	EXPECT_LE(before + 50, now_ms());
	EXPECT_GT(before + PEER_DEADLINE_MS, now_ms());
	EXPECT_EQ(-ECONNRESET, fpc_reset(client));
	fpc_close(client);
	EXPECT_TRUE(ended_well(pid));
}

TEST(a_server_that_says_nothing_at_all_is_given_up_at_the_deadline)
{
	struct fpc_options options = { .timeout_ms = 50 };
	unsigned int before = count_fds();
	struct fpc *client;
	struct peer peer;
	pid_t pid = start(&peer);

	if (!pid) {
		take(&peer, WIRE_VERSION);
		done(&peer);
	}
	EXPECT_EQ(-ETIMEDOUT, fpc_open(peer.fd, &options, &client));
	EXPECT_TRUE(ended_well(pid));
	EXPECT_EQ(before, count_fds());
}

TEST(a_server_that_talks_without_answering_is_given_up_at_the_deadline)
{
	struct fpc_options options = { .timeout_ms = 50 };
	struct fpc *client;
	struct peer peer;
	pid_t pid = start(&peer);

	if (!pid) {
		uint8_t message[sizeof(struct wire_header)];

		greet(&peer);
		take(&peer, WIRE_DEVICE_RESET);
		peer.reply.hdr.msg_id++;
		make_reply(&peer, message, WIRE_TYPE_REPLY, 0, NULL, 0);
		signal(SIGPIPE, SIG_IGN);
		while (write(peer.fd, message, sizeof(message)) == sizeof(message))
			;
		_exit(0);
	}
	ASSERT_EQ(0, fpc_open(peer.fd, &options, &client));
	EXPECT_EQ(-ETIMEDOUT, fpc_reset(client));
	fpc_close(client);
	EXPECT_TRUE(ended_well(pid));
}

TEST(posts_to_a_server_that_does_not_read_end_at_the_deadline)
{
	struct fpc_options options = { .timeout_ms = 50 };
	struct fpc *client;
	uint8_t *data = calloc(1, 65536);
	struct peer peer;
	pid_t pid = start(&peer);
	int ret = 0;

	if (!pid) {
		greet(&peer);
		pause();
		_exit(1);
	}
	ASSERT_EQ(0, fpc_open(peer.fd, &options, &client));
	for (unsigned int i = 0; i < 100 && !ret; i++)
		ret = fpc_region_post(client, 0, 0, data, 65536);
	EXPECT_EQ(-ETIMEDOUT, ret);
	fpc_close(client);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	free(data);
}

TEST(posts_to_a_server_that_reads_slowly_all_arrive_in_order)
{
	struct fpc *client;
	uint8_t *data = calloc(1, 65536);
	struct peer peer;
	pid_t pid = start(&peer);

	if (!pid) {
		greet(&peer);
		for (unsigned int i = 0; i < 100; i++)
			if (take(&peer, WIRE_REGION_WRITE)->body[16] != i)
				die("a post is missing");
		take(&peer, WIRE_DEVICE_RESET);
		reply(&peer, NULL, 0);
		done(&peer);
	}
	client = open_client(&peer);
	ASSERT_NE(NULL, client);
	for (unsigned int i = 0; i < 100; i++) {
		data[0] = (uint8_t)i;
		ASSERT_EQ(0, fpc_region_post(client, 0, 0, data, 65536));
	}
	EXPECT_EQ(0, fpc_reset(client));
	fpc_close(client);
	EXPECT_TRUE(ended_well(pid));
	free(data);
}

/* Whether nothing has come, when the other side asks by `ask`. */
static void look_for_nothing(const struct peer *peer, int ask)
{
	char byte;

	if (read(ask, &byte, 1) != 1)
		die("it was not asked");
	if (recv(peer->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != -1 || errno != EAGAIN)
		die("a post was sent before its turn");
	if (write(ask, &byte, 1) != 1)
		die("it can't answer");
}

TEST(submitted_posts_leave_with_the_next_turn_and_in_order)
{
	struct fpc *client;
	uint8_t *data = calloc(1, 4096);
	struct peer peer;
	int ask[2];
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ask));
	pid = start(&peer);
	if (!pid) {
		greet(&peer);
		look_for_nothing(&peer, ask[0]);
		for (unsigned int i = 0; i < 200; i++) {
			const struct peer_reply *message = take(&peer, WIRE_REGION_WRITE);

			if (message->hdr.flags != (WIRE_TYPE_COMMAND | WIRE_NO_REPLY) ||
			    message->body[16] != i)
				die("a post is missing");
		}
		take(&peer, WIRE_DEVICE_RESET);
		reply(&peer, NULL, 0);
		done(&peer);
	}
	client = open_client(&peer);
	ASSERT_NE(NULL, client);
	for (unsigned int i = 0; i < 200; i++) {
		data[0] = (uint8_t)i;
		ASSERT_EQ(0, fpc_submit_post(client, 0, 0, data, 4096));
		if (i == 9) {
			ASSERT_EQ(1, write(ask[1], "?", 1));
			ASSERT_EQ(1, read(ask[1], data, 1));
			ASSERT_EQ(0, fpc_turn(client, 0));
		} /* later on more come than are gathered */
	}
	EXPECT_EQ(0, fpc_in_flight(client));
	EXPECT_EQ(0, fpc_reset(client));
	fpc_close(client);
	EXPECT_TRUE(ended_well(pid));
	close(ask[0]);
	close(ask[1]);
	free(data);
}

/* ---- VERSION ---- */

struct version_case {
	uint16_t major, minor;
	const char *json; /* sent with its NUL */
	int result;
};

TEST(a_version_that_was_not_proposed_or_json_that_is_no_good_is_refused)
{
	static const struct version_case cases[] = {
		{ 0, 2, "{}", 0 },
		{ 0, 1, "{}", 0 },
		{ 0, 0, "{}", 0 },
		{ 0, 0, NULL, 0 },
		{ 0, 0, "{\"capabilities\":{\"novelty\":[1,2]}}", 0 },
		{ 0, 3, "{}", -EPROTO },
		{ 0, 0xffff, "{}", -EPROTO },
		{ 1, 0, "{}", -EPROTO },
		{ 0, 2, "{", -EPROTO },
		{ 0, 2, "[]", -EPROTO },
		{ 0, 2, "", -EPROTO },
		{ 0, 2, "{\"capabilities\":{\"max_msg_fds\":-1}}", -EPROTO },
		{ 0, 2, "{\"capabilities\":{\"max_data_xfer_size\":0}}", -EPROTO },
		{ 0, 2, "{\"capabilities\":[]}", -EPROTO },
	};

	for (unsigned int i = 0; i < COUNT(cases); i++) {
		const struct version_case *c = &cases[i];
		unsigned int before = count_fds();
		struct fpc *client;
		struct peer peer;
		pid_t pid = start(&peer);

		if (!pid) {
			take(&peer, WIRE_VERSION);
			reply_version(&peer, c->major, c->minor, c->json,
				      c->json ? strlen(c->json) + 1 : 0);
			done(&peer);
		}
		EXPECT_EQ(c->result, try_to_open(&peer, &client))
		{
			TH_LOG("case %u", i);
		}
		fpc_close(client);
		EXPECT_TRUE(ended_well(pid));
		EXPECT_EQ(before, count_fds());
	}
}

TEST(a_version_reply_that_is_short_or_without_nul_or_endless_is_refused)
{
	for (unsigned int i = 0; i < 4; i++) {
		struct fpc *client;
		struct peer peer;
		pid_t pid = start(&peer);

		if (!pid) {
			char json[8000];

			memset(json, ' ', sizeof(json));
			memcpy(json, "{}", 2);
			json[sizeof(json) - 1] = '\0';
			take(&peer, WIRE_VERSION);
			if (i == 0)
				reply(&peer, NULL, 0);
			else if (i == 1)
				reply(&peer, "\0\0\0", 3);
			else if (i == 2)
				reply_version(&peer, 0, 2, json, 2);
			else
				reply_version(&peer, 0, 2, json, sizeof(json));
			done(&peer);
		}
		EXPECT_EQ(-EPROTO, try_to_open(&peer, &client));
		EXPECT_TRUE(ended_well(pid));
	}
}

TEST(what_the_server_offers_is_the_limit)
{
	static const char json[] =
		"{\"capabilities\":{\"max_msg_fds\":3,\"max_data_xfer_size\":4096,"
		"\"max_dma_maps\":7,\"pgsizes\":4096,\"migration\":{}}}";
	struct fpc *client;
	struct peer peer;
	pid_t pid = start(&peer);

	if (!pid) {
		take(&peer, WIRE_VERSION);
		reply_version(&peer, 0, 1, json, sizeof(json));
		done(&peer);
	}
	client = open_client(&peer);
	ASSERT_NE(NULL, client);
	EXPECT_EQ(1, fpc_limits(client)->minor);
	EXPECT_EQ(3, fpc_limits(client)->max_msg_fds);
	EXPECT_EQ(4096, fpc_limits(client)->max_data_xfer);
	EXPECT_EQ(7, fpc_limits(client)->max_dma_maps);
	fpc_close(client);
	EXPECT_TRUE(ended_well(pid));
}

TEST(a_server_that_refuses_version_is_told_by_its_errno)
{
	struct fpc_options options = { .timeout_ms = PEER_DEADLINE_MS };
	struct fpc *client;
	struct peer peer;
	pid_t pid = start(&peer);

	if (!pid) {
		take(&peer, WIRE_VERSION);
		reply_error(&peer, EBUSY);
		done(&peer);
	}
	EXPECT_EQ(-EBUSY, fpc_open(peer.fd, &options, &client));
	EXPECT_TRUE(ended_well(pid));
}

TEST(nobody_at_the_socket_is_told_by_errno)
{
	struct fpc_options options = { 0 };
	struct fpc *client;

	EXPECT_EQ(-ENOENT, fpc_connect("/tmp/there/is/nobody", &options, &client));
	EXPECT_EQ(-EINVAL, fpc_connect("", &options, &client));
}

/* ---- io fds that lie ---- */

struct io_fds_case {
	struct wire_region_io_fds fixed;
	size_t len; /* of the body */
	unsigned int nr_fds;
	int result;
	uint32_t nr_entries;
};

/* Answers one GET_REGION_IO_FDS as a case says. */
static void lie(struct peer *peer, const struct io_fds_case *c)
{
	uint8_t *body = calloc(1, c->len + sizeof(c->fixed));
	int fds[64];

	for (unsigned int i = 0; i < c->nr_fds; i++)
		fds[i] = eventfd(0, 0);
	memcpy(body, &c->fixed, sizeof(c->fixed));
	take(peer, WIRE_DEVICE_GET_REGION_IO_FDS);
	reply_fds(peer, body, c->len, fds, c->nr_fds);
	for (unsigned int i = 0; i < c->nr_fds; i++)
		close(fds[i]);
	free(body);
}

TEST(io_fds_whose_numbers_do_not_agree_are_refused_and_closed)
{
	static const struct io_fds_case cases[] = {
		{ { 16, 0, 0, 0 }, 16, 0, 0, 0 },
		{ { 16, 0, 0, 0 }, 16, 3, 0, 0 },	/* fds for no entries */
		{ { 0, 0, 0, 0 }, 16, 0, 0, 0 },	/* nothing, said badly */
		{ { 16, 0, 0, 1 }, 16, 1, -EPROTO, 0 }, /* no room for the entry */
		{ { 16, 0, 0, UINT32_MAX }, 16, 1, -EPROTO, 0 },
		{ { 64, 0, 0, UINT32_MAX }, 64, 1, -EPROTO, 0 },
		{ { 64, 0, 0, 4097 }, 64, 1, -EPROTO, 0 },
		{ { 0, 0, 0, 1 }, 64, 1, -EPROTO, 0 }, /* argsz below the fixed part */
		{ { 15, 0, 0, 1 }, 64, 1, -EPROTO, 0 },
		{ { 64, 0, 0, 1 }, 56, 1, -EPROTO, 0 },		  /* argsz above what came */
		{ { 16 + 39, 0, 0, 1 }, 16 + 39, 1, -EPROTO, 0 }, /* stride too small */
		{ { 16 + 48, 0, 0, 2 }, 16 + 48, 1, -EPROTO, 0 },
		{ { 16 + 79, 0, 0, 2 }, 16 + 79, 1, -EPROTO, 0 },
		{ { 16 + 40, 0, 0, 1 }, 16 + 40, 1, 0, 1 },
		{ { 16 + 47, 0, 0, 1 }, 16 + 47, 1, 0, 1 },
		{ { 16 + 48, 0, 0, 1 }, 16 + 48, 1, 0, 1 },
		{ { 16 + 80, 0, 0, 2 }, 16 + 80, 1, 0, 2 },
		{ { 16 + 128, 0, 0, 2 }, 16 + 128, 1, 0, 2 },
		{ { 16 + 48, 0, 0, 1 }, 16 + 96, 1, 0, 1 },  /* more came than argsz says */
		{ { 16 + 48, 0, 0, 1 }, 16 + 48, 0, 0, 1 },  /* an entry without its fd */
		{ { 16 + 48, 0, 0, 1 }, 16 + 48, 64, 0, 1 }, /* and with many */
	};
	struct fpc *client;
	unsigned int before;
	struct peer peer;
	pid_t pid = start(&peer);

	if (!pid) {
		greet(&peer);
		for (unsigned int i = 0; i < COUNT(cases); i++)
			lie(&peer, &cases[i]);
		done(&peer);
	}
	client = open_client(&peer);
	ASSERT_NE(NULL, client);
	before = count_fds();
	for (unsigned int i = 0; i < COUNT(cases); i++) {
		struct fpc_io_fds set;

		EXPECT_EQ(cases[i].result, fpc_region_io_fds(client, 0, &set))
		{
			TH_LOG("case %u", i);
		}
		EXPECT_EQ(cases[i].nr_entries, set.nr_entries);
		if (set.nr_entries) {
			EXPECT_EQ(cases[i].nr_fds, set.nr_fds);
			EXPECT_EQ(cases[i].nr_fds > 0, set.entries[0].fd >= 0);
		}
		fpc_io_fds_free(&set);
		EXPECT_EQ(before, count_fds());
	}
	fpc_close(client);
	EXPECT_TRUE(ended_well(pid));
}

TEST(io_fds_whose_argsz_is_too_large_are_asked_for_once_more)
{
	/* What the first answer says is needed, what the second says and brings. */
	static const struct {
		uint32_t first;
		struct io_fds_case second;
		bool is_asked;
	} cases[] = {
		{ 16 + 48 * 30, { { 16 + 48 * 30, 0, 0, 30 }, 16 + 48 * 30, 1, 0, 30 }, true },
		{ 16 + 48 * 30, { { 16 + 48 * 31, 0, 0, 31 }, 16, 0, -EPROTO, 0 }, true },
		{ 16 + 48 * 30, { { 16 + 48, 0, 0, 1 }, 16 + 48, 1, 0, 1 }, true },
		{ UINT32_MAX, { .result = -EPROTO }, false },
		{ 1u << 20, { .result = -EPROTO }, false },
	};
	struct fpc *client;
	struct peer peer;
	pid_t pid = start(&peer);

	if (!pid) {
		greet(&peer);
		for (unsigned int i = 0; i < COUNT(cases); i++) {
			lie(&peer,
			    &(struct io_fds_case){ { cases[i].first, 0, 0, 30 }, 16, 0, 0, 0 });
			if (cases[i].is_asked)
				lie(&peer, &cases[i].second);
		}
		done(&peer);
	}
	client = open_client(&peer);
	ASSERT_NE(NULL, client);
	for (unsigned int i = 0; i < COUNT(cases); i++) {
		struct fpc_io_fds set;

		EXPECT_EQ(cases[i].second.result, fpc_region_io_fds(client, 0, &set))
		{
			TH_LOG("case %u", i);
		}
		EXPECT_EQ(cases[i].second.nr_entries, set.nr_entries);
		fpc_io_fds_free(&set);
	}
	fpc_close(client);
	EXPECT_TRUE(ended_well(pid));
}

TEST(io_fds_may_share_an_fd_or_name_one_that_is_not_there)
{
	static const uint32_t indexes[] = { 0, 1, 0, 2, UINT32_MAX, 1u << 31 };
	struct fpc_io_fds set;
	struct fpc *client;
	struct peer peer;
	pid_t pid = start(&peer);

	if (!pid) {
		struct {
			struct wire_region_io_fds fixed;
			struct wire_io_fd_deployed entries[6];
		} body = { .fixed = { sizeof(body), 0, 0, 6 } };
		int fds[2] = { eventfd(100, 0), eventfd(200, 0) };

		for (unsigned int i = 0; i < 6; i++)
			body.entries[i] = (struct wire_io_fd_deployed){
				.offset = i,
				.size = 4,
				.fd_index = indexes[i],
				.datamatch = 7,
				.shadow_offset = 9,
			};
		greet(&peer);
		take(&peer, WIRE_DEVICE_GET_REGION_IO_FDS);
		reply_fds(&peer, &body, sizeof(body), fds, 2);
		done(&peer);
	}
	client = open_client(&peer);
	ASSERT_NE(NULL, client);
	ASSERT_EQ(0, fpc_region_io_fds(client, 0, &set));
	ASSERT_EQ(6, set.nr_entries);
	EXPECT_EQ(2, set.nr_fds);
	EXPECT_EQ(set.entries[0].fd, set.entries[2].fd);
	EXPECT_NE(set.entries[0].fd, set.entries[1].fd);
	EXPECT_EQ(100, peer_eventfd_take(set.entries[2].fd));
	EXPECT_EQ(200, peer_eventfd_take(set.entries[1].fd));
	for (unsigned int i = 0; i < 6; i++) {
		EXPECT_EQ(i >= 3, set.entries[i].fd == -1);
		EXPECT_EQ(indexes[i], set.entries[i].fd_index);
		EXPECT_EQ(i, set.entries[i].offset);
		EXPECT_EQ(7, set.entries[i].datamatch);
		EXPECT_EQ(9, set.entries[i].user_data);
	}
	fpc_io_fds_free(&set);
	fpc_close(client);
	EXPECT_TRUE(ended_well(pid));
}

TEST_HARNESS_MAIN
