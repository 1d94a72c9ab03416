// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shared memory whose file is cut short under the one who uses it: a server's windows to guest
 * memory, and a client's mappings of a region.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fastpath-client.h"
#include "fastpath.h"
#include "fault.h"
#include "kselftest_harness.h"
#include "lib/peer.h"
#include "lib/peer_feature.h"
#include "lib/script.h"

#define PAGE 4096u
#define BYTES (16 * PAGE) /* of a window, unless said otherwise */
#define RAM (WIRE_DMA_READABLE | WIRE_DMA_WRITEABLE)

/* ---- a device that uses memory as it is told ---- */

enum how {
	READ = 1, /* fp_dma_read() */
	WRITE,	  /* fp_dma_write() */
	LOOK,	  /* by the pointer of fp_dma(): adds the bytes up */
	STORE,	  /* likewise: fills them */
	LOOP,	  /* fp_dma_read() until one fails, counting them in guest memory at `progress` */
};

/* BAR0. A write to `run` does it. */
struct registers {
	uint64_t iova;
	uint64_t len;
	uint64_t progress;
	uint64_t run;
	int64_t result; /* of the transfer; by pointer -EFAULT when there was none */
	uint64_t sum;
	uint64_t failed; /* windows that the device was told of */
	uint64_t failed_iova;
	uint64_t failed_size;
	uint64_t closed;
};

struct user {
	struct registers registers;
	struct fp_dma_op op;
	uint8_t bytes[BYTES];
};

static void done(struct fp_device *dev, struct fp_dma_op *op, int ret)
{
	struct user *user = fp_state(dev);

	(void)op;
	user->registers.result = ret;
}

static void by_pointer(struct fp_device *dev, struct registers *registers, bool write)
{
	volatile uint8_t *at = fp_dma(dev, registers->iova, registers->len, write);

	registers->result = at ? 0 : -EFAULT;
	registers->sum = 0;
	for (uint64_t i = 0; at && i < registers->len; i++)
		if (write)
			at[i] = 0x22;
		else
			registers->sum += at[i];
}

static void loop(struct fp_device *dev, struct user *user)
{
	struct registers *registers = &user->registers;
	uint64_t *progress = fp_dma(dev, registers->progress, sizeof(*progress), true);

	do {
		fp_dma_read(dev, &user->op, registers->iova, user->bytes, registers->len);
		__atomic_fetch_add(progress, 1, __ATOMIC_RELAXED);
	} while (!registers->result);
}

static void run(struct fp_device *dev, struct user *user, enum how how)
{
	struct registers *registers = &user->registers;

	switch (how) {
	case READ:
		fp_dma_read(dev, &user->op, registers->iova, user->bytes, registers->len);
		break;
	case WRITE:
		memset(user->bytes, 0x22, sizeof(user->bytes));
		fp_dma_write(dev, &user->op, registers->iova, user->bytes, registers->len);
		break;
	case LOOK:
	case STORE:
		by_pointer(dev, registers, how == STORE);
		break;
	case LOOP:
		loop(dev, user);
		break;
	}
}

static int user_access(struct fp_device *dev, struct fp_access *access)
{
	struct user *user = fp_state(dev);

	user->op.done = done;
	fp_access_memory(access, 0, &user->registers, sizeof(user->registers));
	if (access->write && access->offset == offsetof(struct registers, run))
		run(dev, user, (enum how)user->registers.run);
	return 0;
}

static void user_event(struct fp_device *dev, enum fp_event event, const struct fp_window *window)
{
	struct registers *registers = &((struct user *)fp_state(dev))->registers;

	if (event == FP_WINDOW_CLOSED)
		registers->closed++;
	if (event != FP_WINDOW_FAILED)
		return;
	registers->failed++;
	registers->failed_iova = window->iova;
	registers->failed_size = window->size;
}

FP_DEVICE(user) = {
	.name = "user",
	.summary = "uses guest memory as it is told",
	.state_bytes = sizeof(struct user),
	.pci = { .vendor = 0x1234 },
	.regions[FP_BAR0] = { .size = PAGE, .access = user_access },
	.event = user_event,
};

/* ---- its client ---- */

static struct peer *open_user(unsigned int how)
{
	return peer_open("user", PEER_OWN_CLASSES | how);
}

/* A file of guest memory, all 0x11. */
static int file_of(size_t size)
{
	int fd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint8_t page[PAGE];

	memset(page, 0x11, sizeof(page));
	for (size_t at = 0; at < size; at += PAGE)
		if (pwrite(fd, page, PAGE, (off_t)at) != PAGE)
			abort();
	return fd;
}

static void cut(int fd, size_t size)
{
	if (ftruncate(fd, (off_t)size))
		abort();
}

static int map_as(struct peer *peer, uint64_t address, uint64_t size, int fd, uint32_t flags)
{
	struct wire_dma_map request = {
		.argsz = sizeof(request),
		.flags = flags,
		.address = address,
		.size = size,
	};

	return peer_call_fds(peer, WIRE_DMA_MAP, &request, sizeof(request), &fd, 1);
}

static int map(struct peer *peer, uint64_t address, int fd)
{
	return map_as(peer, address, BYTES, fd, RAM);
}

static int unmap(struct peer *peer, uint64_t address, uint64_t size)
{
	struct wire_dma_unmap request = {
		.argsz = sizeof(request),
		.address = address,
		.size = size,
	};

	return peer_call(peer, WIRE_DMA_UNMAP, &request, sizeof(request));
}

#define GET(peer, name) peer_read(peer, FP_BAR0, offsetof(struct registers, name), sizeof(uint64_t))
#define SET(peer, name, value) \
	peer_write(peer, FP_BAR0, offsetof(struct registers, name), value, sizeof(uint64_t))

/* What comes of the device using `len` bytes there. */
static int64_t use_bytes(struct peer *peer, enum how how, uint64_t iova, uint64_t len)
{
	SET(peer, iova, iova);
	SET(peer, len, len);
	SET(peer, run, how);
	return (int64_t)GET(peer, result);
}

static int64_t use(struct peer *peer, enum how how, uint64_t iova)
{
	return use_bytes(peer, how, iova, BYTES);
}

/* Lines of the log that tell of a window. */
static unsigned int failures(struct peer *peer)
{
	return peer_log_count(peer, "has cut short");
}

/* The address space that the server has taken, bytes. */
static size_t mapped_bytes(const struct peer *peer)
{
	unsigned long pages = 0;
	char path[64];
	FILE *statm;

	snprintf(path, sizeof(path), "/proc/%d/statm", peer->pid);
	statm = fopen(path, "re");
	if (!statm || fscanf(statm, "%lu", &pages) != 1)
		abort();
	fclose(statm);
	return pages * PAGE;
}

/* ---- windows ---- */

static const struct {
	enum how how;
	const char *name;
} transfers[] = { { READ, "read" }, { WRITE, "written" } };

TEST(a_transfer_from_or_to_a_file_that_was_cut_short_fails)
{
	struct peer *peer = open_user(0);

	for (unsigned int i = 0; i < 4; i++) {
		enum how how = transfers[i / 2].how;
		int fd = file_of(BYTES);

		ASSERT_EQ(0, map(peer, BYTES, fd));
		ASSERT_EQ(0, use(peer, how, BYTES));
		cut(fd, i % 2 ? BYTES / 2 : 0);
		EXPECT_EQ(-EFAULT, use(peer, how, BYTES)) TH_LOG("%s", transfers[i / 2].name);
		/* All of it is gone, also what the file still has. */
		EXPECT_EQ(-EFAULT, use_bytes(peer, how, BYTES, PAGE));
		EXPECT_EQ(-EFAULT, use(peer, LOOK, BYTES));
		EXPECT_EQ(i + 1, failures(peer));
		EXPECT_EQ(0, unmap(peer, BYTES, BYTES));
		close(fd);
	}
	peer_stop(peer);
}

TEST(a_part_that_a_file_still_has_is_reached_until_more_is_asked_for)
{
	struct peer *peer = open_user(0);
	int fd = file_of(BYTES);

	ASSERT_EQ(0, map(peer, BYTES, fd));
	cut(fd, BYTES / 2);
	EXPECT_EQ(0, use_bytes(peer, READ, BYTES, BYTES / 2));
	EXPECT_EQ(0, use_bytes(peer, WRITE, BYTES, BYTES / 2));
	EXPECT_EQ(0, GET(peer, failed));
	EXPECT_EQ(-EFAULT, use_bytes(peer, READ, BYTES + BYTES / 2 - 4, 8));
	EXPECT_EQ(1, GET(peer, failed));
	EXPECT_EQ(-EFAULT, use_bytes(peer, READ, BYTES, 8));
	peer_stop(peer);
}

TEST(a_handler_with_a_pointer_sees_zeros_and_gets_no_other)
{
	struct peer *peer = open_user(0);
	int fd = file_of(BYTES);

	ASSERT_EQ(0, map(peer, BYTES, fd));
	ASSERT_EQ(0, use(peer, LOOK, BYTES));
	EXPECT_EQ(0x11 * BYTES, GET(peer, sum));
	cut(fd, BYTES / 2);
	EXPECT_EQ(0, use(peer, LOOK, BYTES));
	EXPECT_EQ(0x11 * BYTES / 2, GET(peer, sum));
	EXPECT_EQ(-EFAULT, use(peer, LOOK, BYTES));
	EXPECT_EQ(-EFAULT, use(peer, STORE, BYTES));
	peer_stop(peer);
}

TEST(what_a_handler_stores_in_a_file_that_was_cut_short_gets_nowhere)
{
	struct peer *peer = open_user(0);
	int fd = file_of(BYTES);

	ASSERT_EQ(0, map(peer, BYTES, fd));
	cut(fd, 0);
	EXPECT_EQ(0, use(peer, STORE, BYTES));
	EXPECT_EQ(-EFAULT, use(peer, STORE, BYTES));
	EXPECT_EQ(0, lseek(fd, 0, SEEK_END));
	peer_stop(peer);
}

TEST(a_file_that_is_cut_short_while_a_transfer_loops_ends_the_loop)
{
	struct peer *peer = open_user(0);
	int fd = file_of(BYTES), counted = file_of(PAGE);
	uint64_t *progress = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, counted, 0);
	struct {
		struct wire_region_access access;
		uint64_t value;
	} WIRE_PACKED request = {
		.access = { offsetof(struct registers, run), FP_BAR0, sizeof(request.value) },
		.value = LOOP,
	};
	int64_t deadline = 0;
	uint16_t id;

	ASSERT_NE(MAP_FAILED, progress);
	*progress = 0;
	ASSERT_EQ(0, map_as(peer, 0, PAGE, counted, RAM));
	ASSERT_EQ(0, map(peer, BYTES, fd));
	SET(peer, iova, BYTES);
	SET(peer, len, BYTES);
	id = peer_command(peer, WIRE_REGION_WRITE, &request, sizeof(request), NULL, 0);
	while (__atomic_load_n(progress, __ATOMIC_RELAXED) < 10 && peer_time_left(&deadline))
		sched_yield();
	cut(fd, PAGE);
	EXPECT_EQ(0, peer_answer(peer, id, WIRE_REGION_WRITE));
	EXPECT_EQ(-EFAULT, (int64_t)GET(peer, result));
	EXPECT_EQ(1, GET(peer, failed));
	EXPECT_EQ(0, use_bytes(peer, READ, 0, PAGE)); /* the other window */
	peer_stop(peer);
}

TEST(the_device_and_the_log_are_told_once_of_a_window_that_failed)
{
	struct peer *peer = open_user(0);
	int fd = file_of(BYTES);

	ASSERT_EQ(0, map(peer, 7 * BYTES, fd));
	cut(fd, 0);
	EXPECT_EQ(0, GET(peer, failed)); /* nobody has looked */
	for (unsigned int i = 0; i < 3; i++) {
		use(peer, LOOK, 7 * BYTES);
		use(peer, READ, 7 * BYTES);
		EXPECT_EQ(1, GET(peer, failed));
	}
	EXPECT_EQ(7 * BYTES, GET(peer, failed_iova));
	EXPECT_EQ(BYTES, GET(peer, failed_size));
	EXPECT_EQ(1, peer_log_count(peer, "\n"));
	EXPECT_EQ(1, peer_log_count(peer, "0x70000, 0x10000 bytes"));
	peer_stop(peer);
}

TEST(a_window_that_fails_and_is_unmapped_at_once_is_told_of_before_it_is_closed)
{
	struct peer *peer = open_user(0);
	int fd = file_of(BYTES);
	struct wire_dma_unmap unmap = { .argsz = sizeof(unmap), .address = BYTES, .size = BYTES };
	uint8_t messages[256];
	uint64_t look = LOOK;
	size_t len;

	ASSERT_EQ(0, map(peer, BYTES, fd));
	SET(peer, iova, BYTES);
	SET(peer, len, BYTES);
	cut(fd, 0);
	/* In one turn of the server. */
	len = peer_message_write(messages, 1000, FP_BAR0, offsetof(struct registers, run), &look,
				 sizeof(look));
	len += peer_message(messages + len, 1001, WIRE_DMA_UNMAP, &unmap, sizeof(unmap));
	peer_send(peer, messages, len, NULL, 0);
	EXPECT_EQ(0, peer_answer(peer, 1000, WIRE_REGION_WRITE));
	EXPECT_EQ(0, peer_answer(peer, 1001, WIRE_DMA_UNMAP));
	EXPECT_EQ(1, GET(peer, failed));
	EXPECT_EQ(1, GET(peer, closed));
	EXPECT_EQ(1, failures(peer));
	peer_stop(peer);
}

TEST(a_window_that_failed_is_unmapped_and_its_place_taken_by_another)
{
	struct peer *peer = open_user(0);
	int fd = file_of(BYTES), other = file_of(BYTES);

	ASSERT_EQ(0, map(peer, BYTES, fd));
	cut(fd, 0);
	ASSERT_EQ(-EFAULT, use(peer, READ, BYTES));
	EXPECT_EQ(EEXIST, map_as(peer, BYTES, PAGE, other, RAM));
	EXPECT_EQ(0, unmap(peer, BYTES, BYTES));
	EXPECT_EQ(ENOENT, unmap(peer, BYTES, BYTES));
	ASSERT_EQ(0, map(peer, BYTES, other));
	EXPECT_EQ(0, use(peer, LOOK, BYTES));
	EXPECT_EQ(0x11 * BYTES, GET(peer, sum));
	peer_stop(peer);
}

TEST(a_transfer_across_windows_fails_at_the_one_that_was_cut_short)
{
	struct peer *peer = open_user(0);
	int fd = file_of(PAGE), other = file_of(PAGE);

	ASSERT_EQ(0, map_as(peer, 0, PAGE, other, RAM));
	ASSERT_EQ(0, map_as(peer, PAGE, PAGE, fd, RAM));
	cut(fd, 0);
	EXPECT_EQ(-EFAULT, use_bytes(peer, WRITE, 0, 2 * PAGE));
	EXPECT_EQ(PAGE, GET(peer, failed_iova));
	EXPECT_EQ(0, use_bytes(peer, LOOK, 0, PAGE));
	EXPECT_EQ(0x22 * PAGE, GET(peer, sum));
	peer_stop(peer);
}

TEST(other_windows_other_devices_and_the_next_client_are_as_before)
{
	struct peer *peer = open_user(PEER_LISTEN | PEER_TWO);
	struct peer *other = peer_other(peer);
	int fd = file_of(BYTES), good = file_of(BYTES);

	ASSERT_EQ(0, map(peer, BYTES, fd));
	ASSERT_EQ(0, map(peer, 2 * BYTES, good));
	ASSERT_EQ(0, map(other, BYTES, good));
	cut(fd, 0);
	ASSERT_EQ(0, use(peer, LOOK, BYTES));
	ASSERT_EQ(-EFAULT, use(peer, LOOK, BYTES));
	EXPECT_EQ(0, use(peer, READ, 2 * BYTES));
	EXPECT_EQ(0, use(peer, STORE, 2 * BYTES));
	EXPECT_EQ(0, use(other, LOOK, BYTES));
	EXPECT_EQ(0x22 * BYTES, GET(other, sum));
	EXPECT_EQ(0, GET(other, failed));
	peer_reconnect(peer);
	ASSERT_EQ(0, map(peer, BYTES, good));
	EXPECT_EQ(0, use(peer, LOOK, BYTES));
	EXPECT_EQ(0x22 * BYTES, GET(peer, sum));
	peer_stop(other);
	peer_stop(peer);
}

/* A window that fails, and is gone again; whether that went as it should. */
static bool fail_one(struct peer *peer, enum how how)
{
	int fd = file_of(BYTES);
	int error = map(peer, BYTES, fd);
	bool well;

	cut(fd, 0);
	well = !error && use_bytes(peer, how, BYTES, PAGE) == (how == READ ? -EFAULT : 0) &&
	       use(peer, LOOK, BYTES) == -EFAULT && !unmap(peer, BYTES, BYTES);
	close(fd);
	return well;
}

TEST(a_thousand_windows_that_fail_leave_nothing_behind)
{
	struct peer *peer = open_user(PEER_LISTEN);
	unsigned int fds;
	size_t mapped;

	ASSERT_TRUE(fail_one(peer, READ));
	fds = peer_count_fds(peer);
	mapped = mapped_bytes(peer);
	for (unsigned int i = 1; i < 1000; i++) {
		ASSERT_TRUE(fail_one(peer, i % 2 ? READ : STORE));
	}
	EXPECT_EQ(fds, peer_count_fds(peer));
	EXPECT_GT(mapped + 200 * BYTES, mapped_bytes(peer)); /* the heap may have grown */
	EXPECT_EQ(1000, GET(peer, failed));
	/* The log is not for a client to fill; the next one begins anew. */
	EXPECT_EQ(32, failures(peer));
	EXPECT_EQ(33, peer_log_count(peer, "\n"));
	peer_reconnect(peer);
	ASSERT_TRUE(fail_one(peer, READ));
	EXPECT_EQ(33, failures(peer));
	peer_stop(peer);
}

static void *fail_a_hundred(void *peer)
{
	for (unsigned int i = 0; i < 100; i++)
		if (!fail_one(peer, i % 2 ? READ : LOOK))
			return NULL;
	return GET(peer, failed) == 100 ? peer : NULL;
}

TEST(two_workers_may_find_their_files_cut_short_at_once)
{
	struct peer *peer = open_user(PEER_LISTEN | PEER_TWO | PEER_TWO_WORKERS);
	struct peer *other = peer_other(peer);
	pthread_t thread;
	void *ret;

	ASSERT_LE(3, peer_count_threads(peer));
	ASSERT_EQ(0, pthread_create(&thread, NULL, fail_a_hundred, other));
	EXPECT_EQ(peer, fail_a_hundred(peer));
	pthread_join(thread, &ret);
	EXPECT_EQ(other, ret);
	peer_stop(other);
	peer_stop(peer);
}

TEST(memory_that_can_not_shrink_is_a_window_like_any_other)
{
	struct peer *peer = open_user(0);
	int fd = file_of(BYTES);

	ASSERT_EQ(0, fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
	ASSERT_EQ(0, map(peer, BYTES, fd));
	EXPECT_EQ(0, use(peer, WRITE, BYTES));
	EXPECT_EQ(0, use(peer, LOOK, BYTES));
	EXPECT_EQ(0x22 * BYTES, GET(peer, sum));
	EXPECT_EQ(0, GET(peer, failed));
	peer_stop(peer);
}

/* A file system of one page, that nobody else sees; -1: it can't be had. */
static int file_of_full_tmpfs(void)
{
	if (unshare(CLONE_NEWNS) && unshare(CLONE_NEWUSER | CLONE_NEWNS))
		return -1;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("tmpfs", "/tmp", "tmpfs", 0, "size=4k"))
		return -1;
	return open("/tmp/guest", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

TEST(a_hole_for_which_its_file_system_has_no_memory_is_a_file_cut_short)
{
	struct peer *peer = open_user(0);
	int fd = file_of_full_tmpfs();

	if (fd < 0) {
		peer_stop(peer);
		SKIP(return, "no file system can be mounted here");
	}
	cut(fd, BYTES);
	ASSERT_EQ(0, map(peer, BYTES, fd));
	EXPECT_EQ(0, use_bytes(peer, WRITE, BYTES, 8));
	EXPECT_EQ(-EFAULT, use(peer, WRITE, BYTES));
	EXPECT_EQ(1, GET(peer, failed));
	peer_stop(peer);
}

TEST(memory_of_huge_pages_is_mapped_and_unmapped_whole)
{
	struct peer *peer = open_user(0);
	int fd = memfd_create("guest", MFD_CLOEXEC | MFD_HUGETLB);
	size_t mapped = mapped_bytes(peer);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || fallocate(fd, 0, 0, st.st_blksize)) {
		peer_stop(peer);
		SKIP(return, "there are no huge pages");
	}
	ASSERT_EQ(0, map(peer, BYTES, fd));
	ASSERT_EQ(0, use(peer, WRITE, BYTES));
	cut(fd, 0);
	EXPECT_EQ(-EFAULT, use(peer, WRITE, BYTES));
	EXPECT_EQ(0, unmap(peer, BYTES, BYTES));
	EXPECT_GT(mapped + (size_t)st.st_blksize, mapped_bytes(peer));
	peer_stop(peer);
}

TEST(what_a_transfer_wrote_before_it_failed_is_logged_as_dirty)
{
	struct peer *peer = open_user(0);
	struct wire_dma_logging start = { .page_size = PAGE };
	struct wire_dma_report report = { .iova = BYTES, .length = BYTES, .page_size = PAGE };
	int fd = file_of(BYTES);
	uint64_t bitmap = 0;

	ASSERT_EQ(0, map(peer, BYTES, fd));
	ASSERT_EQ(0, peer_feature_set(peer, WIRE_FEATURE_DMA_LOGGING_START, &start, sizeof(start)));
	cut(fd, BYTES / 2);
	ASSERT_EQ(-EFAULT, use(peer, WRITE, BYTES));
	ASSERT_EQ(0,
		  peer_feature_get(peer, WIRE_FEATURE_DMA_LOGGING_REPORT, &report, sizeof(report)));
	memcpy(&bitmap, peer->reply.body + peer->reply.len - sizeof(bitmap), sizeof(bitmap));
	EXPECT_EQ(0xff, bitmap & 0xff);
	peer_stop(peer);
}

/* ---- windows by file I/O ---- */

TEST(file_io_beyond_the_end_of_a_file_fails_and_its_window_stays)
{
	struct peer *peer = open_user(0);
	int fd = file_of(BYTES);

	ASSERT_EQ(0, map_as(peer, BYTES, BYTES, fd, RAM | WIRE_DMA_BY_FILE_IO));
	cut(fd, BYTES / 2);
	EXPECT_EQ(-EIO, use(peer, READ, BYTES));
	EXPECT_EQ(0, use_bytes(peer, READ, BYTES, BYTES / 2));
	cut(fd, BYTES);
	EXPECT_EQ(0, use(peer, READ, BYTES));
	EXPECT_EQ(0, GET(peer, failed));
	peer_stop(peer);
}

TEST(file_io_beyond_the_servers_own_limit_fails)
{
	struct rlimit limit = { .rlim_cur = 1 << 20, .rlim_max = RLIM_INFINITY };
	int fd = file_of(BYTES);
	struct wire_dma_map request = {
		.argsz = sizeof(request),
		.flags = RAM | WIRE_DMA_BY_FILE_IO,
		.offset = 4 << 20,
		.address = BYTES,
		.size = BYTES,
	};
	struct peer *peer;

	cut(fd, 8 << 20);
	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = 1 << 20;
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &limit));
	peer = open_user(0);
	ASSERT_EQ(0, peer_call_fds(peer, WIRE_DMA_MAP, &request, sizeof(request), &fd, 1));
	EXPECT_EQ(0, use(peer, READ, BYTES));
	EXPECT_EQ(-EFBIG, use(peer, WRITE, BYTES));
	peer_stop(peer);
}

/* ---- SIGBUS from elsewhere ---- */

/* A page of a file that has none any more, as it is mapped by whom we know nothing of. */
static volatile uint8_t *bare_mapping(void)
{
	int fd = file_of(PAGE);
	void *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		abort();
	cut(fd, 0);
	close(fd);
	return at;
}

/* A mapping of ours that fails when it is touched. */
static struct fault_map *guarded_mapping(size_t size)
{
	int fd = file_of(size);
	struct fault_map *map;

	if (fault_map(fd, 0, size, PROT_READ | PROT_WRITE, NULL, &map))
		abort();
	cut(fd, 0);
	close(fd);
	return map;
}

/* Whether an access is survived, and is told of. */
static bool is_contained(void)
{
	struct fault_map *map = guarded_mapping(PAGE);
	bool is = !fault_map_failed(map) && !*(volatile uint8_t *)fault_map_bytes(map) &&
		  fault_map_failed(map);

	fault_unmap(map);
	return is;
}

/* How a child ends that does this; its exit status is what that returns. */
static int status_of(int (*what)(void))
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(what());
	return waitpid(pid, &status, 0) == pid ? status : -1;
}

static int touch_elsewhere(void)
{
	signal(SIGBUS, SIG_DFL);
	if (!is_contained())
		return 1;
	return bare_mapping()[0];
}

static int signal_itself(void)
{
	signal(SIGBUS, SIG_DFL);
	if (!is_contained())
		return 1;
	return kill(getpid(), SIGBUS);
}

static int touch_elsewhere_ignoring(void)
{
	signal(SIGBUS, SIG_IGN);
	if (!is_contained() || raise(SIGBUS) || !is_contained())
		return 1;
	return bare_mapping()[0];
}

TEST(a_bus_error_elsewhere_ends_the_process_as_ever)
{
	static int (*const what[])(void) = { touch_elsewhere, signal_itself,
					     touch_elsewhere_ignoring };

	for (unsigned int i = 0; i < sizeof(what) / sizeof(*what); i++) {
		int status = status_of(what[i]);

		EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS)
		TH_LOG("%u: status 0x%x", i, status);
	}
}

static volatile uint8_t *seen_address;
static bool was_blocked;

/* Has the access that failed done again. */
static void on_bus(int sig, siginfo_t *info, void *context)
{
	sigset_t mask;

	(void)sig;
	(void)context;
	seen_address = info->si_addr;
	sigprocmask(SIG_SETMASK, NULL, &mask);
	was_blocked = sigismember(&mask, SIGUSR1) && sigismember(&mask, SIGBUS) &&
		      !sigismember(&mask, SIGUSR2);
	if (mmap((void *)seen_address, PAGE, PROT_READ | PROT_WRITE,
		 MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
		_exit(1);
}

TEST(a_bus_error_elsewhere_goes_to_the_handler_that_was_there)
{
	struct sigaction action = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO };
	volatile uint8_t *elsewhere = bare_mapping();

	sigemptyset(&action.sa_mask);
	sigaddset(&action.sa_mask, SIGUSR1);
	sigaction(SIGBUS, &action, NULL);
	ASSERT_TRUE(is_contained());
	EXPECT_EQ(NULL, seen_address);
	EXPECT_EQ(0, elsewhere[0]);
	EXPECT_EQ(elsewhere, seen_address);
	EXPECT_TRUE(was_blocked);
	EXPECT_TRUE(is_contained());
}

/* NULL when all went well, else what it was given. */
static void *fail_often(void *opaque)
{
	for (unsigned int i = 0; i < 200; i++)
		if (!is_contained())
			return opaque;
	return NULL;
}

static pthread_barrier_t start;

static void *count_in_each_page(void *opaque)
{
	pthread_barrier_wait(&start);
	for (unsigned int i = 0; i < 64; i++)
		__atomic_fetch_add((uint8_t *)opaque + i * PAGE, 1, __ATOMIC_RELAXED);
	return NULL;
}

static bool run_threads(void *(*fn)(void *), void *opaque)
{
	pthread_t threads[4];
	bool well = true;
	void *ret;

	for (unsigned int i = 0; i < 4; i++)
		if (pthread_create(&threads[i], NULL, fn, opaque))
			abort();
	for (unsigned int i = 0; i < 4; i++) {
		pthread_join(threads[i], &ret);
		well &= !ret;
	}
	return well;
}

TEST(threads_may_map_fail_and_unmap_at_once)
{
	int any;

	EXPECT_TRUE(run_threads(fail_often, &any));
}

TEST(threads_may_find_the_same_mapping_gone_at_once)
{
	pthread_barrier_init(&start, NULL, 4);
	for (unsigned int round = 0; round < 100; round++) {
		struct fault_map *map = guarded_mapping(64 * PAGE);
		const uint8_t *bytes = fault_map_bytes(map);

		EXPECT_TRUE(run_threads(count_in_each_page, fault_map_bytes(map)));
		EXPECT_TRUE(fault_map_failed(map));
		/* It became zeros once, and not again under those who had gone on. */
		for (unsigned int i = 0; i < 64; i++)
			EXPECT_EQ(4, bytes[i * PAGE]);
		fault_unmap(map);
	}
}

/* ---- a client's mappings ---- */

/* A write to region N cuts the file of region N to that size. */
static void serve_regions(int fd)
{
	int files[2];

	for (unsigned int i = 0; i < 2; i++) {
		files[i] = file_of(BYTES);
		SCRIPT_CHECK(files[i] >= 0);
	}
	script_version(fd, NULL);
	for (;;) {
		const struct script_msg *msg = script_receive(fd);
		struct wire_region_access access;
		struct wire_region_info info;
		uint64_t size;

		if (msg->hdr.cmd == WIRE_REGION_WRITE) {
			memcpy(&access, msg->body, sizeof(access));
			memcpy(&size, msg->body + sizeof(access), sizeof(size));
			cut(files[access.region], size);
			script_reply(fd, msg, &access, sizeof(access));
			continue;
		}
		SCRIPT_CHECK(msg->hdr.cmd == WIRE_DEVICE_GET_REGION_INFO);
		memcpy(&info, msg->body, sizeof(info));
		info.argsz = sizeof(info);
		info.flags = WIRE_REGION_READABLE | WIRE_REGION_WRITEABLE | WIRE_REGION_MMAP;
		info.size = BYTES;
		script_reply_fds(fd, msg, &info, sizeof(info), &files[info.index], 1);
	}
}

FIXTURE(client) {
	struct script server;
	struct fpc *client;
	struct fpc_region regions[2];
	struct fpc_mapping *mappings[2];
	volatile uint8_t *bytes[2];
};

FIXTURE_SETUP(client)
{
	script_start(&self->server, serve_regions);
	ASSERT_EQ(0, fpc_open(self->server.fd, &(struct fpc_options){ 0 }, &self->client));
	for (uint32_t i = 0; i < 2; i++) {
		ASSERT_EQ(0, fpc_region_open(self->client, i, &self->regions[i]));
		ASSERT_FALSE(self->regions[i].sealed);
		ASSERT_EQ(0, fpc_mapping_open(&self->regions[i], PAGE, BYTES - PAGE,
					      PROT_READ | PROT_WRITE, &self->mappings[i]));
		self->bytes[i] = fpc_mapping_bytes(self->mappings[i]);
	}
}

FIXTURE_TEARDOWN(client)
{
	for (uint32_t i = 0; i < 2; i++) {
		fpc_mapping_close(self->mappings[i]);
		fpc_region_close(&self->regions[i]);
	}
	fpc_close(self->client);
	EXPECT_EQ(0, script_end(&self->server));
}

/* Has the server cut the file of a region. */
static int have_cut(struct fpc *client, uint32_t region, uint64_t size)
{
	return fpc_region_write(client, region, 0, &size, sizeof(size));
}

TEST_F(client, a_client_survives_a_server_that_cuts_the_file_of_a_region)
{
	ASSERT_EQ(0x11, self->bytes[0][0]);
	ASSERT_EQ(0, have_cut(self->client, 0, 0));
	EXPECT_FALSE(fpc_mapping_failed(self->mappings[0]));
	EXPECT_EQ(0, self->bytes[0][0]);
	EXPECT_TRUE(fpc_mapping_failed(self->mappings[0]));
	self->bytes[0][PAGE] = 1; /* which goes nowhere */
	/* The other region and the connection are as they were. */
	EXPECT_EQ(0x11, self->bytes[1][0]);
	EXPECT_FALSE(fpc_mapping_failed(self->mappings[1]));
	EXPECT_EQ(0, have_cut(self->client, 1, BYTES / 2));
	EXPECT_EQ(0x11, self->bytes[1][0]);
	EXPECT_FALSE(fpc_mapping_failed(self->mappings[1]));
	self->bytes[1][BYTES / 2] = 1;
	EXPECT_TRUE(fpc_mapping_failed(self->mappings[1]));
	EXPECT_EQ(0, self->bytes[1][0]);
}

TEST_F(client, a_mapping_of_what_the_file_does_not_hold_is_refused)
{
	struct fpc_mapping *mapping = NULL;

	EXPECT_EQ(-EINVAL, fpc_mapping_open(&self->regions[0], 0, BYTES + 1, PROT_READ, &mapping));
	EXPECT_EQ(-EINVAL, fpc_mapping_open(&self->regions[0], 8, 8, PROT_READ, &mapping));
	ASSERT_EQ(0, have_cut(self->client, 0, PAGE));
	EXPECT_EQ(-EPROTO, fpc_mapping_open(&self->regions[0], 0, BYTES, PROT_READ, &mapping));
	EXPECT_EQ(NULL, mapping);
	fpc_mapping_close(NULL);
}

TEST_F(client, a_system_call_on_a_mapping_that_is_gone_ends_with_an_error_and_an_access_tells)
{
	int fd = file_of(PAGE);

	ASSERT_EQ(0, have_cut(self->client, 0, 0));
	EXPECT_EQ(-1, pwrite(fd, (const void *)self->bytes[0], 8, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_FALSE(fpc_mapping_failed(self->mappings[0]));
	EXPECT_EQ(0, self->bytes[0][0]);
	EXPECT_TRUE(fpc_mapping_failed(self->mappings[0]));
	EXPECT_EQ(8, pwrite(fd, (const void *)self->bytes[0], 8, 0));
	close(fd);
}

TEST_HARNESS_MAIN
