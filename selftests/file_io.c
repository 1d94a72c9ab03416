// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a device has done to files: where the bytes go, what waits for it, and how it ends.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device_server.h"
#include "fastpath-client.h"
#include "fastpath.h"
#include "kselftest_harness.h"
#include "peer.h"
#include "testdev.h"

/* ---- a device that does to its file what it is told ---- */

enum {
	DO_READ = 1,
	DO_WRITE,
	DO_SYNC,
	DO_PUNCH,
	DO_CANCEL,
	DO_NONBLOCK,
};

#define MAX_PIECES 4

struct order {
	uint64_t offset;
	uint64_t nr;
	struct {
		uint64_t iova;
		uint64_t own; /* not 0: 1 and where in OWN */
		uint64_t len;
	} pieces[MAX_PIECES];
};

#define COMMAND 0x200
#define BUSY 0x208
#define RESULT 0x210
#define OWN 0x1000
#define OWN_BYTES 0x1000

struct scribe {
	const char *path;
	int fd;
	struct order order;
	struct fp_piece pieces[MAX_PIECES];
	struct fp_file_op op;
	uint64_t busy;
	int64_t result;
	uint8_t own[OWN_BYTES];
};

static void done(struct fp_device *dev, struct fp_file_op *op, int64_t ret)
{
	struct scribe *scribe = fp_state(dev);

	(void)op;
	scribe->busy = 0;
	scribe->result = ret;
	fp_irq_trigger(dev, FP_MSIX, 0);
}

static size_t take_pieces(struct scribe *scribe)
{
	for (size_t i = 0; i < scribe->order.nr; i++)
		scribe->pieces[i] = (struct fp_piece){
			.iova = scribe->order.pieces[i].iova,
			.own = scribe->order.pieces[i].own ?
				       scribe->own + scribe->order.pieces[i].own - 1 :
				       NULL,
			.len = scribe->order.pieces[i].len,
		};
	return scribe->order.nr;
}

static void run(struct fp_device *dev, struct scribe *scribe, uint64_t what)
{
	uint64_t offset = scribe->order.offset;

	if (what == DO_NONBLOCK) {
		fcntl(scribe->fd, F_SETFL, O_NONBLOCK);
		return;
	}
	scribe->op.done = done;
	scribe->busy = 1;
	switch (what) {
	case DO_READ:
		fp_file_read(dev, &scribe->op, scribe->fd, offset, scribe->pieces,
			     take_pieces(scribe));
		break;
	case DO_WRITE:
		fp_file_write(dev, &scribe->op, scribe->fd, offset, scribe->pieces,
			      take_pieces(scribe));
		break;
	case DO_SYNC:
		fp_file_sync(dev, &scribe->op, scribe->fd, true);
		break;
	case DO_PUNCH:
		fp_file_allocate(dev, &scribe->op, scribe->fd,
				 FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset,
				 scribe->order.pieces[0].len);
		break;
	case DO_CANCEL:
		fp_file_cancel(dev, &scribe->op);
		break;
	}
}

static int scribe_access(struct fp_device *dev, struct fp_access *access)
{
	struct scribe *scribe = fp_state(dev);

	if (access->offset == COMMAND && access->write)
		run(dev, scribe, fp_access_value(access));
	else if (access->offset == BUSY)
		fp_access_answer(access, scribe->busy);
	else if (access->offset == RESULT)
		fp_access_answer(access, (uint64_t)scribe->result);
	else if (!fp_access_memory(access, 0, &scribe->order, sizeof(scribe->order)))
		fp_access_memory(access, OWN, scribe->own, sizeof(scribe->own));
	return 0;
}

static int scribe_open(struct fp_device *dev)
{
	struct scribe *scribe = fp_state(dev);

	scribe->fd = open(scribe->path, O_RDWR | O_CLOEXEC);
	return scribe->fd < 0 ? -errno : 0;
}

static void scribe_close(struct fp_device *dev)
{
	struct scribe *scribe = fp_state(dev);

	if (scribe->busy) /* its memory goes from here */
		_exit(42);
	close(scribe->fd);
}

static int scribe_save(struct fp_device *dev, struct fp_stream *to)
{
	struct scribe *scribe = fp_state(dev);

	return scribe->busy ? -EIO : fp_stream_write(to, "x", 1);
}

static int scribe_load(struct fp_device *dev, struct fp_stream *from)
{
	char x;

	(void)dev;
	return fp_stream_read(from, &x, 1);
}

static const struct fp_key keys[] = {
	{ "path", FP_KEY_STRING, offsetof(struct scribe, path), "the file" },
	{ 0 },
};

FP_DEVICE(scribe) = {
	.name = "scribe",
	.summary = "reads and writes a file",
	.state_bytes = sizeof(struct scribe),
	.keys = keys,
	.needs = FP_NEEDS_FILES,
	.pci = { .vendor = TESTDEV_VENDOR, .device = TESTDEV_DEVICE, .msix_bar = FP_BAR2 },
	.irqs = { [FP_MSIX] = 1 },
	.regions[FP_BAR0] = { .size = 0x2000, .access = scribe_access },
	.open = scribe_open,
	.close = scribe_close,
	.save = scribe_save,
	.load = scribe_load,
};

/* ---- a client of it, with a file ---- */

#define MEMORY_BYTES (1u << 20)
#define MEMORY_AT 0x100000ull
#define FILE_BYTES (700u << 10) /* more than one round of what goes by message */

FIXTURE(file_io) {
	struct device_server server;
	struct fpc *client;
	int memfd;
	uint8_t *memory;
	char path[80]; /* of the file */
	int file;
	int irq;
};

FIXTURE_VARIANT(file_io) {
	bool by_message;
	bool by_file;
};

FIXTURE_VARIANT_ADD(file_io, in_place) {
	.by_message = false,
};

FIXTURE_VARIANT_ADD(file_io, by_message) {
	.by_message = true,
};

FIXTURE_VARIANT_ADD(file_io, by_file) {
	.by_file = true,
};

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 7 + (i >> 8) * 3);
}

static int map(struct fpc *client, int memfd, uint8_t *memory, bool by_message, bool by_file)
{
	uint32_t flags = FPC_DMA_READABLE | FPC_DMA_WRITEABLE;

	if (by_message)
		return fpc_dma_map_memory(client, memory, MEMORY_AT, MEMORY_BYTES, flags);
	return fpc_dma_map(client, memfd, 0, MEMORY_AT, MEMORY_BYTES,
			   flags | (by_file ? FPC_DMA_BY_FILE_IO : 0));
}

FIXTURE_SETUP(file_io)
{
	char device[200];
	uint8_t *bytes = malloc(FILE_BYTES);

	strcpy(self->path, "/tmp/fastpath-file-XXXXXX");
	self->file = mkstemp(self->path);
	ASSERT_LE(0, self->file);
	for (size_t i = 0; i < FILE_BYTES; i++)
		bytes[i] = pattern(i);
	ASSERT_EQ(FILE_BYTES, write(self->file, bytes, FILE_BYTES));
	free(bytes);
	snprintf(device, sizeof(device), "scribe,path=%s", self->path);
	device_server_start(&self->server, device);
	self->client = device_server_connect(&self->server);
	self->memfd = memfd_create("memory", MFD_CLOEXEC);
	ASSERT_EQ(0, ftruncate(self->memfd, MEMORY_BYTES));
	self->memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, self->memfd, 0);
	ASSERT_NE(MAP_FAILED, self->memory);
	ASSERT_EQ(0, map(self->client, self->memfd, self->memory, variant->by_message,
			 variant->by_file));
	ASSERT_EQ(0, fpc_irqs_open(self->client, FP_MSIX, 0, 1, &self->irq));
}

FIXTURE_TEARDOWN(file_io)
{
	fpc_close(self->client);
	EXPECT_EQ(0, device_server_stop(&self->server));
	unlink(self->path);
}

/* Begins what the order says. */
static void tell(struct fpc *client, const struct order *order, uint64_t what)
{
	if (fpc_region_write(client, FP_BAR0, 0, order, sizeof(*order)) ||
	    fpc_region_write(client, FP_BAR0, COMMAND, &what, sizeof(what)))
		abort();
}

static uint64_t ask(struct fpc *client, uint64_t offset)
{
	uint64_t value;

	if (fpc_region_read(client, FP_BAR0, offset, &value, sizeof(value)))
		abort();
	return value;
}

/* What it comes to, when the device says that it is done. The client serves its memory meanwhile. */
static int64_t await(struct fpc *client, int irq)
{
	int64_t deadline = 0;

	while (!peer_eventfd_take(irq)) {
		if (!peer_time_left(&deadline))
			abort();
		if (fpc_turn(client, 10))
			abort();
	}
	return (int64_t)ask(client, RESULT);
}

static int64_t have(struct fpc *client, int irq, const struct order *order, uint64_t what)
{
	tell(client, order, what);
	return await(client, irq);
}

/* Whether `nr` bytes are the file's from `offset`. */
static bool is_file(const uint8_t *bytes, size_t nr, size_t offset)
{
	for (size_t i = 0; i < nr; i++)
		if (bytes[i] != pattern(offset + i))
			return false;
	return true;
}

TEST_F(file_io, a_file_is_read_to_guest_memory_in_the_order_of_the_pieces)
{
	struct order order = { .offset = 5,
			       .nr = 3,
			       .pieces = { { .iova = MEMORY_AT + 0x2000, .len = 100 },
					   { .own = 1 + 8, .len = 50 },
					   { .iova = MEMORY_AT + 1, .len = 3000 } } };
	uint8_t own[50];

	EXPECT_EQ(3150, have(self->client, self->irq, &order, DO_READ));
	EXPECT_TRUE(is_file(self->memory + 0x2000, 100, 5));
	EXPECT_EQ(0, fpc_region_read(self->client, FP_BAR0, OWN + 8, own, sizeof(own)));
	EXPECT_TRUE(is_file(own, 50, 105));
	EXPECT_TRUE(is_file(self->memory + 1, 3000, 155));
	EXPECT_EQ(0, self->memory[0]);
	EXPECT_EQ(0, self->memory[3001]);
}

TEST_F(file_io, a_large_read_is_whole_and_ends_where_the_file_does)
{
	struct order order = { .offset = 1000,
			       .nr = 2,
			       .pieces = { { .iova = MEMORY_AT, .len = 100000 },
					   { .iova = MEMORY_AT + 100000, .len = 800000 } } };

	EXPECT_EQ(FILE_BYTES - 1000, have(self->client, self->irq, &order, DO_READ));
	EXPECT_TRUE(is_file(self->memory, FILE_BYTES - 1000, 1000));
	EXPECT_EQ(0, self->memory[FILE_BYTES - 1000]);
}

TEST_F(file_io, guest_memory_is_written_to_a_file)
{
	struct order order = { .offset = 4096,
			       .nr = 2,
			       .pieces = { { .iova = MEMORY_AT + 7, .len = 400001 },
					   { .iova = MEMORY_AT + 600000, .len = 10 } } };
	uint8_t *bytes = malloc(FILE_BYTES);

	for (size_t i = 0; i < MEMORY_BYTES; i++)
		self->memory[i] = (uint8_t)~pattern(i);
	EXPECT_EQ(400011, have(self->client, self->irq, &order, DO_WRITE));
	EXPECT_EQ(0, have(self->client, self->irq, &order, DO_SYNC));
	ASSERT_EQ(FILE_BYTES, pread(self->file, bytes, FILE_BYTES, 0));
	EXPECT_TRUE(is_file(bytes, 4096, 0));
	EXPECT_EQ(0, memcmp(bytes + 4096, self->memory + 7, 400001));
	EXPECT_EQ(0, memcmp(bytes + 404097, self->memory + 600000, 10));
	EXPECT_TRUE(is_file(bytes + 404107, FILE_BYTES - 404107, 404107));
	free(bytes);
}

TEST_F(file_io, memory_that_is_not_mapped_is_a_bad_address)
{
	struct order order = { .nr = 2,
			       .pieces = { { .iova = MEMORY_AT, .len = 16 },
					   { .iova = MEMORY_AT + MEMORY_BYTES - 8, .len = 16 } } };

	EXPECT_EQ(-EFAULT, have(self->client, self->irq, &order, DO_READ));
	EXPECT_EQ(-EFAULT, have(self->client, self->irq, &order, DO_WRITE));
	order.pieces[1].len = 1ull << 40;
	EXPECT_EQ(-E2BIG, have(self->client, self->irq, &order, DO_READ));
	order.pieces[1].len = 8;
	EXPECT_EQ(24, have(self->client, self->irq, &order, DO_READ));
}

TEST_F(file_io, what_a_file_is_read_to_is_dirty)
{
	struct order order = { .nr = 1,
			       .pieces = { { .iova = MEMORY_AT + 0x5800, .len = 0x1000 } } };
	uint64_t bits[4] = { 0 };

	ASSERT_EQ(0, fpc_dma_log_start(self->client, 4096, NULL, 0));
	EXPECT_EQ(0x1000, have(self->client, self->irq, &order, DO_READ));
	EXPECT_EQ(0, fpc_dma_log_report(self->client, MEMORY_AT, MEMORY_BYTES, 4096, bits));
	EXPECT_EQ(1ull << 5 | 1ull << 6, bits[0]);
	EXPECT_EQ(0x1000, have(self->client, self->irq, &order, DO_WRITE));
	EXPECT_EQ(0, fpc_dma_log_report(self->client, MEMORY_AT, MEMORY_BYTES, 4096, bits));
	EXPECT_EQ(0, bits[0]);
}

TEST_F(file_io, holes_are_made)
{
	struct order order = { .offset = 8192, .nr = 1, .pieces = { { .len = 4096 } } };
	uint8_t bytes[4098];

	EXPECT_EQ(0, have(self->client, self->irq, &order, DO_PUNCH));
	ASSERT_EQ(4098, pread(self->file, bytes, 4098, 8191));
	EXPECT_EQ(pattern(8191), bytes[0]);
	EXPECT_EQ(0, bytes[1]);
	EXPECT_EQ(0, memcmp(bytes + 1, bytes + 2, 4095));
	EXPECT_EQ(pattern(12288), bytes[4097]);
}

/* ---- what takes its time: a FIFO in the place of the file ---- */

FIXTURE(slow_file) {
	struct device_server server;
	struct fpc *client;
	int memfd;
	uint8_t *memory;
	char dir[64];
	char path[80];
	int fifo; /* our end */
	int irq;
};

FIXTURE_SETUP(slow_file)
{
	char device[200];

	strcpy(self->dir, "/tmp/fastpath-fifo-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	snprintf(self->path, sizeof(self->path), "%s/fifo", self->dir);
	ASSERT_EQ(0, mkfifo(self->path, 0600));
	self->fifo = open(self->path, O_RDWR | O_CLOEXEC);
	snprintf(device, sizeof(device), "scribe,path=%s", self->path);
	device_server_start(&self->server, device);
	self->client = device_server_connect(&self->server);
	self->memfd = memfd_create("memory", MFD_CLOEXEC);
	ASSERT_EQ(0, ftruncate(self->memfd, MEMORY_BYTES));
	self->memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, self->memfd, 0);
	ASSERT_EQ(0, map(self->client, self->memfd, self->memory, false, false));
	ASSERT_EQ(0, fpc_irqs_open(self->client, FP_MSIX, 0, 1, &self->irq));
}

FIXTURE_TEARDOWN(slow_file)
{
	fpc_close(self->client);
	EXPECT_EQ(0, device_server_stop(&self->server));
	unlink(self->path);
	rmdir(self->dir);
}

/* Not as a stream: it is as slow as a disk may be. */
static const struct order to_guest = { .nr = 1,
				       .pieces = { { .iova = MEMORY_AT + 16, .len = 5 } } };
static const struct order to_own = { .offset = FP_STREAM,
				     .nr = 1,
				     .pieces = { { .own = 1, .len = 64 } } };

static void answered(void *opaque, ssize_t result, const void *body)
{
	int64_t *at = opaque;

	(void)body;
	*at = result;
}

#define NOT_YET 12345

static void submit_unmap(struct fpc *client, int64_t *result)
{
	const struct {
		uint32_t argsz, flags;
		uint64_t address, size;
	} unmap = { 24, 0, MEMORY_AT, MEMORY_BYTES };

	*result = NOT_YET;
	if (fpc_submit(client, FPC_DMA_UNMAP, &unmap, sizeof(unmap), NULL, 0, answered, result))
		abort();
}

TEST_F(slow_file, an_unmap_waits_for_a_read_to_its_memory)
{
	int64_t unmapped;
	int64_t deadline = 0;

	tell(self->client, &to_guest, DO_READ);
	submit_unmap(self->client, &unmapped);
	/* What is asked after it is answered after it. */
	EXPECT_EQ(0, fpc_turn(self->client, 50));
	EXPECT_EQ(NOT_YET, unmapped);
	ASSERT_EQ(5, write(self->fifo, "hello", 5));
	while (unmapped == NOT_YET && peer_time_left(&deadline))
		fpc_turn(self->client, 10);
	EXPECT_LE(0, unmapped);
	EXPECT_STREQ("hello", (char *)self->memory + 16);
	EXPECT_EQ(5, await(self->client, self->irq));
}

TEST_F(slow_file, the_log_of_dirty_pages_does_not_wait_for_a_read)
{
	uint64_t bits[4] = { 0 };

	tell(self->client, &to_guest, DO_READ);
	EXPECT_EQ(0, fpc_dma_log_start(self->client, 4096, NULL, 0));
	EXPECT_EQ(0, fpc_dma_log_report(self->client, MEMORY_AT, MEMORY_BYTES, 4096, bits));
	EXPECT_EQ(1, ask(self->client, BUSY));
	ASSERT_EQ(5, write(self->fifo, "hello", 5));
	EXPECT_EQ(5, await(self->client, self->irq));
	EXPECT_EQ(0, fpc_dma_log_report(self->client, MEMORY_AT, MEMORY_BYTES, 4096, bits));
	EXPECT_EQ(1, bits[0]);
}

TEST_F(slow_file, nothing_waits_for_a_read_of_a_stream_to_own_memory)
{
	char own[6] = "";

	tell(self->client, &to_own, DO_READ);
	EXPECT_EQ(0, fpc_dma_unmap(self->client, MEMORY_AT, MEMORY_BYTES));
	EXPECT_EQ(0, fpc_reset(self->client));
	EXPECT_EQ(1, ask(self->client, BUSY));
	ASSERT_EQ(5, write(self->fifo, "hello", 5));
	EXPECT_EQ(5, await(self->client, self->irq));
	EXPECT_EQ(0, fpc_region_read(self->client, FP_BAR0, OWN, own, 5));
	EXPECT_STREQ("hello", own);
}

TEST_F(slow_file, a_stream_to_guest_memory_is_not_waited_for)
{
	struct order order = to_guest;

	order.offset = FP_STREAM;
	EXPECT_EQ(-EAGAIN, have(self->client, self->irq, &order, DO_READ));
	ASSERT_EQ(5, write(self->fifo, "hello", 5));
	EXPECT_EQ(5, have(self->client, self->irq, &order, DO_READ));
	EXPECT_STREQ("hello", (char *)self->memory + 16);
}

TEST_F(slow_file, a_stream_now_is_not_waited_for_by_own_memory_either)
{
	struct order order = to_own;
	char own[6] = "";

	order.offset = FP_STREAM_NOW;
	EXPECT_EQ(-EAGAIN, have(self->client, self->irq, &order, DO_READ));
	ASSERT_EQ(5, write(self->fifo, "hello", 5));
	EXPECT_EQ(5, have(self->client, self->irq, &order, DO_READ));
	EXPECT_EQ(0, fpc_region_read(self->client, FP_BAR0, OWN, own, 5));
	EXPECT_STREQ("hello", own);
}

TEST_F(slow_file, a_stream_that_does_not_block_is_waited_for_by_own_memory)
{
	int64_t deadline = 0;
	char bytes[4096];

	ASSERT_EQ(0, fcntl(self->fifo, F_SETFL, O_NONBLOCK));
	tell(self->client, &to_own, DO_NONBLOCK);
	tell(self->client, &to_own, DO_READ);
	EXPECT_EQ(1, ask(self->client, BUSY));
	ASSERT_EQ(5, write(self->fifo, "hello", 5));
	EXPECT_EQ(5, await(self->client, self->irq));
	while (write(self->fifo, bytes, sizeof(bytes)) == sizeof(bytes))
		;
	tell(self->client, &to_own, DO_WRITE);
	EXPECT_EQ(1, ask(self->client, BUSY));
	EXPECT_EQ(0, fpc_reset(self->client));
	while (ask(self->client, BUSY) && peer_time_left(&deadline))
		if (read(self->fifo, bytes, sizeof(bytes)) <= 0)
			break;
	EXPECT_EQ(64, await(self->client, self->irq));
}

TEST_F(slow_file, what_is_cancelled_says_so_and_can_be_begun_anew)
{
	const struct order *orders[] = { &to_own, &to_guest };

	for (int i = 0; i < 2; i++) {
		tell(self->client, orders[i], DO_READ);
		EXPECT_EQ(1, ask(self->client, BUSY));
		EXPECT_EQ(-ECANCELED, have(self->client, self->irq, orders[i], DO_CANCEL));
	}
	ASSERT_EQ(5, write(self->fifo, "hello", 5));
	EXPECT_EQ(5, have(self->client, self->irq, &to_guest, DO_READ));
}

TEST_F(slow_file, a_device_stops_when_it_is_done_and_is_saved_then)
{
	const struct {
		uint32_t argsz, flags, state, data_fd;
	} set_state = {
		16,
		FPC_FEATURE_SET | FPC_FEATURE_MIG_DEVICE_STATE,
		FPC_MIG_STOP_COPY,
		UINT32_MAX,
	};
	int64_t stopped = NOT_YET;
	int64_t deadline = 0;
	uint8_t stream[4096];

	tell(self->client, &to_guest, DO_READ);
	ASSERT_EQ(0, fpc_submit(self->client, FPC_DEVICE_FEATURE, &set_state, sizeof(set_state),
				NULL, 0, answered, &stopped));
	EXPECT_EQ(0, fpc_turn(self->client, 50));
	EXPECT_EQ(NOT_YET, stopped);
	ASSERT_EQ(5, write(self->fifo, "hello", 5));
	while (stopped == NOT_YET && peer_time_left(&deadline))
		fpc_turn(self->client, 10);
	EXPECT_LE(0, stopped);
	EXPECT_LT(0, fpc_migration_read(self->client, stream, sizeof(stream)));
}

TEST_F(slow_file, the_memory_of_a_client_that_has_gone_stays_until_the_file_is_done)
{
	int memfd = memfd_create("other", MFD_CLOEXEC);
	uint8_t *memory;

	tell(self->client, &to_guest, DO_READ);
	EXPECT_EQ(1, ask(self->client, BUSY));
	fpc_close(self->client);
	self->client = device_server_connect(&self->server);
	ASSERT_EQ(0, ftruncate(memfd, MEMORY_BYTES));
	memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	ASSERT_EQ(0, map(self->client, memfd, memory, false, false));
	ASSERT_EQ(0, fpc_irqs_open(self->client, FP_MSIX, 0, 1, &self->irq));
	ASSERT_EQ(5, write(self->fifo, "hello", 5));
	EXPECT_EQ(-ENOTCONN, await(self->client, self->irq));
	EXPECT_EQ(0, memory[16]);
	EXPECT_STREQ("hello", (char *)self->memory + 16);
}

TEST_F(slow_file, memory_that_was_cut_short_is_a_bad_address)
{
	tell(self->client, &to_guest, DO_READ);
	EXPECT_EQ(1, ask(self->client, BUSY));
	ASSERT_EQ(0, ftruncate(self->memfd, 0));
	ASSERT_EQ(5, write(self->fifo, "hello", 5));
	EXPECT_EQ(-EFAULT, await(self->client, self->irq));
}

/* The teardown: with a read in flight the server ends well. */
TEST_F(slow_file, a_server_ends_though_a_file_does_not_answer)
{
	tell(self->client, &to_guest, DO_READ);
	EXPECT_EQ(1, ask(self->client, BUSY));
}

TEST_HARNESS_MAIN
