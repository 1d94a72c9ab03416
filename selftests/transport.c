// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where no fd can travel everything goes by message: guest memory, interrupts, doorbells.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fastpath-client.h"
#include "fastpath.h"
#include "kselftest_harness.h"
#include "lib/listen.h"
#include "lib/peer.h"
#include "log.h"
#include "socket.h"
#include "testdev.h"

#define JSON_OFFER "{\"capabilities\":{\"max_msg_fds\":16,\"vm_interrupt\":true}}"
#define JSON_GREEDY                                                             \
	"{\"capabilities\":{\"max_msg_fds\":16,\"twin_socket\":{\"supported\":" \
	"true}}}"

#define MIB (1u << 20)
#define STORM_NS 100000ull
#define VECTORS 8u

enum {
	NONE = WIRE_IRQ_DATA_NONE,
	EVENTFD = WIRE_IRQ_DATA_EVENTFD,
	MASK = WIRE_IRQ_ACTION_MASK,
	UNMASK = WIRE_IRQ_ACTION_UNMASK,
	TRIGGER = WIRE_IRQ_ACTION_TRIGGER,
};

/* ---- a device that interrupts, copies guest memory, and has doorbells and memory to map ---- */

/* BAR0: a store fires the interrupt of that number. */
#define FIRE_INTX 0x00
#define FIRE_MSIX 0x04
#define FIRE_ERR 0x08
#define FROM 0x10
#define TO 0x18
#define COPY 0x20 /* a store of N copies N bytes; it is answered when that is done */
#define BELL 0x40
#define RINGS 0x48 /* so often it rang */
#define STORM 0x50 /* after a store of 1 it fires without end, after one of 0 not any more */

struct far {
	struct fp_timer storm;
	uint64_t rings;
	uint64_t from;
	uint64_t to;
	struct fp_dma_op op;
	struct fp_access *copying;
	size_t len;
	uint8_t buffer[2 * MIB];
};

static void copied(struct fp_device *dev, struct fp_dma_op *op, int ret)
{
	(void)op;
	fp_finish(dev, ((struct far *)fp_state(dev))->copying, ret);
}

static void was_read(struct fp_device *dev, struct fp_dma_op *op, int ret)
{
	struct far *far = fp_state(dev);

	if (ret) {
		fp_finish(dev, far->copying, ret);
		return;
	}
	op->done = copied;
	fp_dma_write(dev, op, far->to, far->buffer, far->len);
}

static int copy(struct fp_device *dev, struct fp_access *access)
{
	struct far *far = fp_state(dev);

	far->len = (size_t)fp_access_value(access);
	far->copying = fp_defer(dev, access);
	far->op.done = was_read;
	fp_dma_read(dev, &far->op, far->from, far->buffer, far->len);
	return FP_LATER;
}

static void storm(struct fp_device *dev, struct fp_timer *timer)
{
	for (uint32_t i = 0; i < 4096; i++)
		fp_irq_trigger(dev, FP_MSIX, i % VECTORS);
	fp_timer_start(dev, timer, STORM_NS);
}

static int far_open(struct fp_device *dev)
{
	((struct far *)fp_state(dev))->storm.expired = storm;
	return 0;
}

static void far_close(struct fp_device *dev)
{
	fp_timer_stop(&((struct far *)fp_state(dev))->storm);
}

static int far_access(struct fp_device *dev, struct fp_access *access)
{
	struct far *far = fp_state(dev);
	uint32_t value = (uint32_t)fp_access_value(access);

	if (!access->write) {
		fp_access_answer(access, access->offset == RINGS ? far->rings : 0);
		return 0;
	}
	switch (access->offset) {
	case BELL:
		far->rings += access->times;
		break;
	case FIRE_INTX:
		return fp_irq_trigger(dev, FP_INTX, value);
	case FIRE_MSIX:
		return fp_irq_trigger(dev, FP_MSIX, value);
	case FIRE_ERR:
		return fp_irq_trigger(dev, FP_ERR, value);
	case FROM:
		far->from = fp_access_value(access);
		break;
	case TO:
		far->to = fp_access_value(access);
		break;
	case COPY:
		return copy(dev, access);
	case STORM:
		fp_timer_stop(&far->storm);
		if (value)
			fp_timer_start(dev, &far->storm, STORM_NS);
		break;
	}
	return 0;
}

static const struct fp_doorbell bell = { .offset = BELL, .width = 4 };

FP_DEVICE(far) = {
	.name = "far",
	.summary = "is far away",
	.state_bytes = sizeof(struct far),
	.open = far_open,
	.close = far_close,
	.pci = {
		.vendor = TESTDEV_VENDOR,
		.device = TESTDEV_DEVICE,
		.msix_bar = FP_BAR4,
		.msix_pba = 0x800,
	},
	.irqs = { [FP_INTX] = 1, [FP_MSIX] = VECTORS, [FP_ERR] = 1 },
	.regions = {
		[FP_BAR0] = {
			.size = 0x1000,
			.access = far_access,
			.doorbells = &bell,
			.nr_doorbells = 1,
		},
		[FP_BAR1] = { .size = 0x1000, .flags = FP_REGION_MMAP },
		[FP_BAR4] = { .size = 0x1000, .access = far_access }, /* the MSI-X table is in it */
	},
};

/* ---- a server of it, by every transport ---- */

FIXTURE(transport) {
	struct peer *peer;
	struct fpc *client;
};

FIXTURE_VARIANT(transport) {
	const char *name;
};

FIXTURE_VARIANT_ADD(transport, tcp) {
	.name = "tcp"
};
FIXTURE_VARIANT_ADD(transport, vsock) {
	.name = "vsock"
};

/* Whether this host can talk to itself by vsock: only then has it that address. */
static int vsock_is_there(void)
{
	int fd = listen_at("vsock:1:65535");

	if (fd >= 0)
		close(fd);
	return fd >= 0 ? 0 : fd;
}

FIXTURE_SETUP(transport)
{
	int ret = strcmp(variant->name, "vsock") ? 0 : vsock_is_there();

	/* The harness would run the test all the same after a return. */
	if (ret)
		SKIP(_exit(255), "no vsock loopback here: %s", strerror(-ret));
	setenv("FASTPATH_TEST_TRANSPORT", variant->name, 1);
	self->peer = peer_start("far", PEER_OWN_CLASSES | PEER_LISTEN);
	log_set_level(LOG_ERROR); /* the library tells of what it refuses */
}

FIXTURE_TEARDOWN(transport)
{
	fpc_close(self->client);
	if (self->peer)
		peer_stop(self->peer);
}

/* The one client that the server has is the library. */
static int open_client(struct peer *peer, unsigned int flags, struct fpc **client)
{
	const struct fpc_options options = { .timeout_ms = PEER_DEADLINE_MS, .flags = flags };
	int64_t deadline = 0;
	int ret;

	peer_disconnect(peer);
	do
		ret = fpc_connect(peer->path, &options, client);
	while ((ret == -EBUSY || ret == -ECONNRESET) && peer_time_left(&deadline));
	return ret;
}

#define OPEN_CLIENT(flags) ASSERT_EQ(0, open_client(self->peer, flags, &self->client))

/* ---- VERSION ---- */

TEST_F(transport, the_server_takes_no_fds_and_offers_no_second_socket)
{
	struct peer *peer = self->peer;
	const char *json;

	ASSERT_EQ(0, peer_version(peer, JSON_GREEDY));
	json = (const char *)peer->reply.body + sizeof(struct wire_version);
	EXPECT_NE(NULL, strstr(json, "\"max_msg_fds\":0,"));
	EXPECT_EQ(NULL, strstr(json, "twin_socket"));
	EXPECT_EQ(NULL, strstr(json, "vm_interrupt"));
}

TEST_F(transport, interrupts_by_message_are_agreed_to_where_they_are_offered)
{
	struct peer *peer = self->peer;

	ASSERT_EQ(0, peer_version(peer, JSON_OFFER));
	EXPECT_NE(NULL, strstr((const char *)peer->reply.body + sizeof(struct wire_version),
			       "\"vm_interrupt\":true"));
}

TEST(interrupts_by_message_are_not_agreed_to_where_fds_can_travel)
{
	struct peer *peer;

	unsetenv("FASTPATH_TEST_TRANSPORT");
	peer = peer_start("far", PEER_OWN_CLASSES);
	ASSERT_EQ(0, peer_version(peer, JSON_OFFER));
	EXPECT_EQ(NULL, strstr((const char *)peer->reply.body + sizeof(struct wire_version),
			       "vm_interrupt"));
	EXPECT_EQ(0, peer_write(peer, FP_BAR0, FIRE_MSIX, 0, 4));
	EXPECT_EQ(0, peer_read(peer, FP_BAR0, FIRE_MSIX, 4));
	peer_stop(peer);
}

/* ---- regions ---- */

TEST_F(transport, no_io_fds_are_told_of_and_doorbells_ring_by_message)
{
	const struct wire_region_io_fds ask = { .argsz = 4096, .index = FP_BAR0 };
	struct peer *peer = self->peer;
	struct wire_region_io_fds told;

	ASSERT_EQ(0, peer_version(peer, PEER_JSON));
	ASSERT_EQ(0, peer_call(peer, WIRE_DEVICE_GET_REGION_IO_FDS, &ask, sizeof(ask)));
	ASSERT_EQ(sizeof(told), peer->reply.len);
	memcpy(&told, peer->reply.body, sizeof(told));
	EXPECT_EQ(0, told.count);
	EXPECT_EQ(sizeof(told), told.argsz);
	EXPECT_EQ(0, peer_write(peer, FP_BAR0, BELL, 1, 4));
	EXPECT_EQ(0, peer_write(peer, FP_BAR0, BELL, 1, 4));
	EXPECT_EQ(2, peer_read(peer, FP_BAR0, RINGS, 8));
}

TEST_F(transport, memory_to_be_mapped_is_reached_by_message)
{
	struct wire_region_info info = { .argsz = 4096, .index = FP_BAR1 };
	struct peer *peer = self->peer;

	ASSERT_EQ(0, peer_version(peer, PEER_JSON));
	ASSERT_EQ(0, peer_call(peer, WIRE_DEVICE_GET_REGION_INFO, &info, sizeof(info)));
	memcpy(&info, peer->reply.body, sizeof(info));
	EXPECT_EQ(WIRE_REGION_READABLE | WIRE_REGION_WRITEABLE, info.flags);
	EXPECT_EQ(0, peer_write(peer, FP_BAR1, 8, 0x1234567, 4));
	EXPECT_EQ(0x1234567, peer_read(peer, FP_BAR1, 8, 4));
}

TEST_F(transport, the_library_says_that_such_a_region_can_not_be_mapped)
{
	struct fpc_region region;
	struct fpc_io_fds set;
	void *at;

	OPEN_CLIENT(0);
	ASSERT_EQ(0, fpc_region_open(self->client, FP_BAR1, &region));
	EXPECT_EQ(-1, region.fd);
	EXPECT_EQ(-ENODEV, fpc_region_map(&region, 0, 4096, PROT_READ, &at));
	fpc_region_close(&region);
	ASSERT_EQ(0, fpc_region_io_fds(self->client, FP_BAR0, &set));
	EXPECT_EQ(0, set.nr_entries);
	fpc_io_fds_free(&set);
}

/* ---- fds that are sent all the same ---- */

/* DMA_MAP with an fd, which the kernel drops on the way. */
static int send_fd(struct peer *peer, const struct wire_dma_map *map, int fd)
{
	uint8_t message[sizeof(struct wire_header) + sizeof(*map)];
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .align = { .cmsg_level = SOL_SOCKET,
				 .cmsg_type = SCM_RIGHTS,
				 .cmsg_len = CMSG_LEN(sizeof(int)) } };
	struct iovec iov = { message, sizeof(message) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};

	peer_message(message, 77, WIRE_DMA_MAP, map, sizeof(*map));
	memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
	if (sendmsg(peer->fd, &msg, MSG_NOSIGNAL) < 0) {
		/* vsock refuses what it can't carry. */
		msg.msg_control = NULL;
		msg.msg_controllen = 0;
		if (sendmsg(peer->fd, &msg, MSG_NOSIGNAL) < 0)
			return -1;
	}
	return peer_answer(peer, 77, WIRE_DMA_MAP);
}

TEST_F(transport, an_fd_that_a_client_sends_does_not_come)
{
	struct wire_dma_map map = {
		.argsz = sizeof(map),
		.flags = WIRE_DMA_READABLE | WIRE_DMA_BY_FILE_IO,
		.size = 0x1000,
	};
	int fd = memfd_create("memory", MFD_CLOEXEC);
	unsigned int before;

	ASSERT_EQ(0, peer_version(self->peer, PEER_JSON));
	ASSERT_EQ(0, ftruncate(fd, 0x1000));
	before = peer_count_fds(self->peer);
	EXPECT_EQ(EINVAL, send_fd(self->peer, &map, fd));
	EXPECT_EQ(before, peer_count_fds(self->peer));
	close(fd);
}

TEST_F(transport, the_library_does_not_send_an_fd)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	OPEN_CLIENT(0);
	EXPECT_EQ(0, fpc_limits(self->client)->max_msg_fds);
	EXPECT_FALSE(fpc_limits(self->client)->twin_socket);
	EXPECT_EQ(-E2BIG, fpc_call(self->client, FPC_DEVICE_SET_IRQS, NULL, 0, &fd, 1, NULL, 0));
	EXPECT_EQ(-E2BIG,
		  fpc_submit(self->client, FPC_DEVICE_SET_IRQS, NULL, 0, &fd, 1, NULL, NULL));
	close(fd);
}

/* ---- guest memory ---- */

static int copy_by_device(struct fpc *client, uint64_t from, uint64_t to, uint32_t len)
{
	int ret = fpc_region_write(client, FP_BAR0, FROM, &from, sizeof(from));

	if (!ret)
		ret = fpc_region_write(client, FP_BAR0, TO, &to, sizeof(to));
	return ret ? ret : fpc_region_write(client, FP_BAR0, COPY, &len, sizeof(len));
}

static void fill(uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(i * 7 + i / 251);
}

TEST_F(transport, memory_with_a_file_is_read_and_written_by_the_library)
{
	const uint32_t flags = FPC_DMA_READABLE | FPC_DMA_WRITEABLE | FPC_DMA_BY_FILE_IO;
	int fd = memfd_create("memory", MFD_CLOEXEC);
	uint8_t *memory;

	ASSERT_EQ(0, ftruncate(fd, 4 * MIB + 0x1000));
	memory = mmap(NULL, 4 * MIB + 0x1000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, memory);
	fill(memory + 0x1000, 2 * MIB);
	OPEN_CLIENT(0);
	ASSERT_EQ(0, fpc_dma_map(self->client, fd, 0x1000, 0x100000000, 4 * MIB, flags));
	close(fd);
	EXPECT_EQ(0, copy_by_device(self->client, 0x100000000, 0x100000000 + 2 * MIB, 2 * MIB));
	EXPECT_EQ(0, memcmp(memory + 0x1000, memory + 0x1000 + 2 * MIB, 2 * MIB));
	EXPECT_EQ(0, copy_by_device(self->client, 0x100000003, 0x100000000 + MIB, 5));
	EXPECT_EQ(0, memcmp(memory + 0x1003, memory + 0x1000 + MIB, 5));
	munmap(memory, 4 * MIB + 0x1000);
}

TEST_F(transport, memory_without_a_file_is_reached_too)
{
	static uint8_t memory[0x2000];

	fill(memory, 0x1000);
	OPEN_CLIENT(0);
	ASSERT_EQ(0, fpc_dma_map_memory(self->client, memory, 0x5000, sizeof(memory),
					FPC_DMA_READABLE | FPC_DMA_WRITEABLE));
	EXPECT_EQ(0, copy_by_device(self->client, 0x5000, 0x6000, 0x1000));
	EXPECT_EQ(0, memcmp(memory, memory + 0x1000, 0x1000));
}

TEST_F(transport, a_windows_permissions_and_its_end_hold)
{
	int fd = memfd_create("memory", MFD_CLOEXEC);

	ASSERT_EQ(0, ftruncate(fd, 0x1000));
	OPEN_CLIENT(0);
	ASSERT_EQ(0, fpc_dma_map(self->client, fd, 0, 0x1000, 0x1000, FPC_DMA_READABLE));
	EXPECT_GT(0, copy_by_device(self->client, 0x1000, 0x1000, 8)); /* not to be written */
	EXPECT_GT(0, copy_by_device(self->client, 0x1ffc, 0x1000, 8)); /* behind its end */
	ASSERT_EQ(0, fpc_dma_unmap(self->client, 0x1000, 0x1000));
	EXPECT_GT(0, copy_by_device(self->client, 0x1000, 0x1000, 8));
	close(fd);
}

TEST_F(transport, a_file_that_became_shorter_fails_the_transfer_and_nothing_else)
{
	int fd = memfd_create("memory", MFD_CLOEXEC);
	uint64_t rings;

	ASSERT_EQ(0, ftruncate(fd, 0x2000));
	OPEN_CLIENT(0);
	ASSERT_EQ(0, fpc_dma_map(self->client, fd, 0, 0, 0x2000,
				 FPC_DMA_READABLE | FPC_DMA_WRITEABLE));
	ASSERT_EQ(0, ftruncate(fd, 0x1000));
	EXPECT_GT(0, copy_by_device(self->client, 0xff8, 0, 16));
	EXPECT_EQ(0, fpc_region_read(self->client, FP_BAR0, RINGS, &rings, sizeof(rings)));
	close(fd);
}

/* ---- interrupts, to the byte ---- */

static int set(struct peer *peer, uint32_t flags, uint32_t index, uint32_t start, uint32_t count)
{
	const struct wire_irq_set request = {
		.argsz = sizeof(request),
		.flags = flags,
		.index = index,
		.start = start,
		.count = count,
	};

	return peer_call(peer, WIRE_DEVICE_SET_IRQS, &request, sizeof(request));
}

/* A store to one of the FIRE_* registers, whose answer is still to come. */
static uint16_t fire(struct peer *peer, uint64_t at, uint32_t number)
{
	uint8_t message[64];
	size_t len = peer_message_write(message, ++peer->msg_id, FP_BAR0, at, &number, 4);

	peer_send(peer, message, len, NULL, 0);
	return peer->msg_id;
}

/* The next message is that interrupt `number` of `index` has fired. */
static bool interrupted(struct peer *peer, uint32_t index, uint32_t number)
{
	const struct peer_reply *message = peer_receive(peer);
	struct wire_vm_interrupt interrupt;

	if (message->hdr.cmd != WIRE_VM_INTERRUPT || message->len != sizeof(interrupt) ||
	    message->hdr.flags != (WIRE_TYPE_COMMAND | WIRE_NO_REPLY))
		return false;
	memcpy(&interrupt, message->body, sizeof(interrupt));
	return interrupt.index == index && interrupt.subindex == number;
}

/* What the device fires is said behind the answer to what made it fire. */
static bool fires(struct peer *peer, uint64_t at, uint32_t index, uint32_t number)
{
	return !peer_answer(peer, fire(peer, at, number), WIRE_REGION_WRITE) &&
	       interrupted(peer, index, number);
}

/* A message would come before the answer to the second store, which is no interrupt. */
static bool is_silent(struct peer *peer, uint64_t at, uint32_t number)
{
	return !peer_answer(peer, fire(peer, at, number), WIRE_REGION_WRITE) &&
	       !peer_answer(peer, fire(peer, TO, 0), WIRE_REGION_WRITE);
}

TEST_F(transport, every_interrupt_is_a_message_from_version_on)
{
	ASSERT_EQ(0, peer_version(self->peer, JSON_OFFER));
	for (uint32_t i = 0; i < VECTORS; i++)
		EXPECT_TRUE(fires(self->peer, FIRE_MSIX, FP_MSIX, i));
	EXPECT_TRUE(fires(self->peer, FIRE_INTX, FP_INTX, 0));
	EXPECT_TRUE(fires(self->peer, FIRE_ERR, FP_ERR, 0));
}

TEST_F(transport, a_client_that_does_not_offer_it_gets_no_interrupt)
{
	ASSERT_EQ(0, peer_version(self->peer, PEER_JSON));
	EXPECT_TRUE(is_silent(self->peer, FIRE_MSIX, 1));
	EXPECT_TRUE(is_silent(self->peer, FIRE_INTX, 0));
	peer_reconnect(self->peer);
	EXPECT_TRUE(is_silent(self->peer, FIRE_MSIX, 1));
}

TEST_F(transport, what_a_client_agreed_to_is_nothing_to_the_next_one)
{
	ASSERT_EQ(0, peer_version(self->peer, JSON_OFFER));
	EXPECT_TRUE(fires(self->peer, FIRE_MSIX, FP_MSIX, 1));
	peer_reconnect(self->peer);
	EXPECT_TRUE(is_silent(self->peer, FIRE_MSIX, 1));
	EXPECT_EQ(0, set(self->peer, EVENTFD | TRIGGER, FP_MSIX, 0, 1));
	EXPECT_TRUE(is_silent(self->peer, FIRE_MSIX, 1));
}

TEST_F(transport, a_masked_interrupt_waits_for_its_unmasking)
{
	ASSERT_EQ(0, peer_version(self->peer, JSON_OFFER));
	EXPECT_EQ(0, set(self->peer, NONE | MASK, FP_MSIX, 2, 1));
	EXPECT_TRUE(is_silent(self->peer, FIRE_MSIX, 2));
	EXPECT_TRUE(is_silent(self->peer, FIRE_MSIX, 2));
	EXPECT_TRUE(fires(self->peer, FIRE_MSIX, FP_MSIX, 3));
	EXPECT_EQ(0, set(self->peer, NONE | UNMASK, FP_MSIX, 2, 1));
	EXPECT_TRUE(interrupted(self->peer, FP_MSIX, 2));
	EXPECT_EQ(0, set(self->peer, NONE | UNMASK, FP_MSIX, 2, 1));
	EXPECT_TRUE(fires(self->peer, FIRE_MSIX, FP_MSIX, 2));
}

TEST_F(transport, intx_masks_itself_until_it_is_unmasked)
{
	ASSERT_EQ(0, peer_version(self->peer, JSON_OFFER));
	EXPECT_TRUE(fires(self->peer, FIRE_INTX, FP_INTX, 0));
	EXPECT_TRUE(is_silent(self->peer, FIRE_INTX, 0));
	EXPECT_EQ(0, set(self->peer, NONE | UNMASK, FP_INTX, 0, 1));
	EXPECT_TRUE(interrupted(self->peer, FP_INTX, 0));
}

TEST_F(transport, a_kind_that_is_disabled_is_silent_until_it_is_named_without_fds)
{
	ASSERT_EQ(0, peer_version(self->peer, JSON_OFFER));
	EXPECT_EQ(0, set(self->peer, NONE | TRIGGER, FP_MSIX, 0, 0));
	EXPECT_TRUE(is_silent(self->peer, FIRE_MSIX, 0));
	EXPECT_TRUE(fires(self->peer, FIRE_ERR, FP_ERR, 0));
	EXPECT_EQ(0, set(self->peer, NONE | UNMASK, FP_MSIX, 0, 1));
	EXPECT_TRUE(is_silent(self->peer, FIRE_MSIX, 0));
	EXPECT_EQ(0, set(self->peer, EVENTFD | TRIGGER, FP_MSIX, 0, 1));
	EXPECT_TRUE(fires(self->peer, FIRE_MSIX, FP_MSIX, 0));
	EXPECT_TRUE(fires(self->peer, FIRE_MSIX, FP_MSIX, VECTORS - 1));
}

TEST_F(transport, a_client_may_fire_an_interrupt_itself)
{
	ASSERT_EQ(0, peer_version(self->peer, JSON_OFFER));
	EXPECT_EQ(0, set(self->peer, NONE | TRIGGER, FP_MSIX, 5, 2));
	EXPECT_TRUE(interrupted(self->peer, FP_MSIX, 5));
	EXPECT_TRUE(interrupted(self->peer, FP_MSIX, 6));
}

TEST_F(transport, a_reply_to_an_interrupt_is_no_mistake)
{
	const struct wire_header reply = {
		.cmd = WIRE_VM_INTERRUPT,
		.msg_size = sizeof(reply),
		.flags = WIRE_TYPE_REPLY,
	};

	ASSERT_EQ(0, peer_version(self->peer, JSON_OFFER));
	EXPECT_TRUE(fires(self->peer, FIRE_MSIX, FP_MSIX, 1));
	peer_send(self->peer, &reply, sizeof(reply), NULL, 0);
	EXPECT_EQ(0, peer_read(self->peer, FP_BAR0, RINGS, 8));
	EXPECT_EQ(0, peer_log_count(self->peer, "refused"));
}

TEST_F(transport, pipelined_commands_and_their_interrupts_keep_their_order)
{
	uint16_t first;

	ASSERT_EQ(0, peer_version(self->peer, JSON_OFFER));
	first = (uint16_t)(self->peer->msg_id + 1);
	for (uint32_t i = 0; i < 1000; i++)
		fire(self->peer, FIRE_MSIX, i % VECTORS);
	for (uint32_t i = 0; i < 1000; i++) {
		ASSERT_EQ(0, peer_answer(self->peer, (uint16_t)(first + i), WIRE_REGION_WRITE));
		ASSERT_TRUE(interrupted(self->peer, FP_MSIX, i % VECTORS));
	}
}

TEST_F(transport, a_client_that_does_not_read_its_interrupts_is_given_up)
{
	int64_t deadline = 0;

	ASSERT_EQ(0, peer_version(self->peer, JSON_OFFER));
	EXPECT_EQ(0, peer_write(self->peer, FP_BAR0, STORM, 1, 4));
	while (!peer_log_count(self->peer, "does not read its interrupts"))
		ASSERT_NE(0, peer_time_left(&deadline));
	peer_reconnect(self->peer);
	EXPECT_EQ(0, peer_read(self->peer, FP_BAR0, RINGS, 8));
	EXPECT_EQ(1, peer_log_count(self->peer, "does not read its interrupts"));
}

/* ---- interrupts, by the library ---- */

static int device_fires(struct fpc *client, uint64_t at, uint32_t number)
{
	return fpc_region_write(client, FP_BAR0, at, &number, sizeof(number));
}

/* What the eventfd holds once the server has been heard. */
static uint64_t rang(struct fpc *client, int fd)
{
	uint32_t value;

	return fpc_region_read(client, FP_BAR0, RINGS, &value, sizeof(value)) ?
		       UINT64_MAX :
		       peer_eventfd_take(fd);
}

TEST_F(transport, the_librarys_users_get_their_eventfds_signalled)
{
	int fds[VECTORS];

	OPEN_CLIENT(0);
	EXPECT_TRUE(fpc_limits(self->client)->vm_interrupt);
	ASSERT_EQ(0, fpc_irqs_open(self->client, FP_MSIX, 0, VECTORS, fds));
	for (uint32_t i = 0; i < VECTORS; i++) {
		ASSERT_EQ(0, device_fires(self->client, FIRE_MSIX, i));
		for (uint32_t j = 0; j < VECTORS; j++)
			EXPECT_EQ(i == j, rang(self->client, fds[j]));
	}
	fpc_irqs_close(self->client, FP_MSIX, 0, VECTORS, fds);
	EXPECT_EQ(0, device_fires(self->client, FIRE_MSIX, 0));
}

TEST_F(transport, an_eventfd_that_was_replaced_or_taken_away_is_not_signalled)
{
	const uint32_t flags = FPC_IRQ_DATA_EVENTFD | FPC_IRQ_ACTION_TRIGGER;
	int fds[2] = { eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK) };

	OPEN_CLIENT(0);
	ASSERT_EQ(0, fpc_set_irqs(self->client, flags, FP_MSIX, 3, 1, &fds[0]));
	ASSERT_EQ(0, fpc_set_irqs(self->client, flags, FP_MSIX, 3, 1, &fds[1]));
	EXPECT_EQ(0, device_fires(self->client, FIRE_MSIX, 3));
	EXPECT_EQ(0, rang(self->client, fds[0]));
	EXPECT_EQ(1, rang(self->client, fds[1]));
	ASSERT_EQ(0, fpc_set_irqs(self->client, flags, FP_MSIX, 3, 1, NULL));
	EXPECT_EQ(0, device_fires(self->client, FIRE_MSIX, 3));
	EXPECT_EQ(0, rang(self->client, fds[1]));
	ASSERT_EQ(0, fpc_set_irqs(self->client, flags, FP_MSIX, 3, 1, &fds[0]));
	ASSERT_EQ(0, fpc_set_irqs(self->client, FPC_IRQ_DATA_NONE | FPC_IRQ_ACTION_TRIGGER, FP_MSIX,
				  0, 0, NULL));
	EXPECT_EQ(0, device_fires(self->client, FIRE_MSIX, 3));
	EXPECT_EQ(0, rang(self->client, fds[0]));
	close(fds[0]);
	close(fds[1]);
}

TEST_F(transport, eventfds_that_the_server_refuses_leave_the_old_ones)
{
	const uint32_t flags = FPC_IRQ_DATA_EVENTFD | FPC_IRQ_ACTION_TRIGGER;
	int fds[2] = { eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK) };
	int too_many[2] = { fds[1], fds[1] };

	OPEN_CLIENT(0);
	ASSERT_EQ(0, fpc_set_irqs(self->client, flags, FP_MSIX, VECTORS - 1, 1, &fds[0]));
	EXPECT_EQ(-EINVAL, fpc_set_irqs(self->client, flags, FP_MSIX, VECTORS - 1, 2, too_many));
	EXPECT_EQ(0, device_fires(self->client, FIRE_MSIX, VECTORS - 1));
	EXPECT_EQ(1, rang(self->client, fds[0]));
	EXPECT_EQ(0, rang(self->client, fds[1]));
	EXPECT_EQ(-EINVAL, fpc_set_irqs(self->client, flags, FP_MSIX, 0, 1, &self->peer->log));
	close(fds[0]);
	close(fds[1]);
}

TEST_F(transport, the_library_masks_by_message_and_not_by_eventfd)
{
	int fd = -1;

	OPEN_CLIENT(0);
	ASSERT_EQ(0, fpc_irqs_open(self->client, FP_INTX, 0, 1, &fd));
	EXPECT_EQ(-EOPNOTSUPP,
		  fpc_set_irqs(self->client, FPC_IRQ_DATA_EVENTFD | FPC_IRQ_ACTION_UNMASK, FP_INTX,
			       0, 1, &fd));
	EXPECT_EQ(0, device_fires(self->client, FIRE_INTX, 0));
	EXPECT_EQ(0, device_fires(self->client, FIRE_INTX, 0));
	EXPECT_EQ(1, rang(self->client, fd));
	ASSERT_EQ(0, fpc_set_irqs(self->client, FPC_IRQ_DATA_NONE | FPC_IRQ_ACTION_UNMASK, FP_INTX,
				  0, 1, NULL));
	EXPECT_EQ(1, rang(self->client, fd));
	fpc_irqs_close(self->client, FP_INTX, 0, 1, &fd);
}

TEST_F(transport, after_a_reconnection_memory_and_interrupts_are_there_again)
{
	int fd = memfd_create("memory", MFD_CLOEXEC);
	int irq;

	ASSERT_EQ(0, ftruncate(fd, 0x1000));
	OPEN_CLIENT(FPC_RECONNECTS);
	ASSERT_EQ(0, fpc_dma_map(self->client, fd, 0, 0, 0x1000,
				 FPC_DMA_READABLE | FPC_DMA_WRITEABLE));
	ASSERT_EQ(0, fpc_irqs_open(self->client, FP_MSIX, 6, 1, &irq));
	ASSERT_LE(0, fpc_reconnect(self->client, PEER_DEADLINE_MS));
	EXPECT_EQ(4, pwrite(fd, "abcd", 4, 0));
	EXPECT_EQ(0, copy_by_device(self->client, 0, 0x800, 4));
	EXPECT_EQ(0, device_fires(self->client, FIRE_MSIX, 6));
	EXPECT_EQ(1, rang(self->client, irq));
	fpc_irqs_close(self->client, FP_MSIX, 6, 1, &irq);
	close(fd);
}

TEST_HARNESS_MAIN
