// SPDX-License-Identifier: GPL-2.0-only
/*
 * DMA_MAP and DMA_UNMAP: which windows there are, and what a device reaches through them.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fastpath.h"
#include "kselftest_harness.h"
#include "lib/peer.h"
#include "testdev.h"

#define PAGE 4096u
#define READABLE WIRE_DMA_READABLE
#define WRITEABLE WIRE_DMA_WRITEABLE
#define BY_MMAP WIRE_DMA_BY_MMAP
#define BY_FILE_IO WIRE_DMA_BY_FILE_IO
#define RAM (READABLE | WRITEABLE)

/* Memory of a guest: `bytes` are what the file `fd` holds. */
struct memory {
	int fd;
	uint8_t *bytes;
};

static struct memory memory_of(size_t size)
{
	struct memory memory = { .fd = memfd_create("guest", MFD_CLOEXEC), .bytes = MAP_FAILED };

	if (memory.fd >= 0 && !ftruncate(memory.fd, (off_t)size))
		memory.bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory.fd, 0);
	if (memory.bytes == MAP_FAILED)
		abort();
	return memory;
}

static int map(struct peer *peer, uint64_t address, uint64_t size, uint32_t flags, int fd,
	       uint64_t offset)
{
	struct wire_dma_map request = {
		.argsz = sizeof(request),
		.flags = flags,
		.offset = offset,
		.address = address,
		.size = size,
	};
	int error = peer_call_fds(peer, WIRE_DMA_MAP, &request, sizeof(request), &fd, fd >= 0);

	return !error && peer->reply.len ? -1 : error;
}

/* The reply to an unmap is its request. */
static int unmap(struct peer *peer, uint64_t address, uint64_t size, uint32_t flags)
{
	struct wire_dma_unmap request = {
		.argsz = sizeof(request),
		.flags = flags,
		.address = address,
		.size = size,
	};
	int error = peer_call(peer, WIRE_DMA_UNMAP, &request, sizeof(request));

	if (!error && (peer->reply.len != sizeof(request) ||
		       memcmp(peer->reply.body, &request, sizeof(request))))
		return -1;
	return error;
}

/* The device writes a stamp to guest memory at `iova` when it is accessed. */
static void stamp_at(struct peer *peer, uint64_t iova)
{
	peer_write(peer, FP_BAR2, offsetof(struct testdev_counters, stamp_iova), iova, 8);
}

static void access_it(struct peer *peer)
{
	peer_write(peer, FP_BAR2, TESTDEV_SCRATCH, 1, 1);
}

/* How many accesses the stamp at `at` tells of. */
static uint64_t stamped(const uint8_t *at)
{
	struct testdev_stamp stamp;

	memcpy(&stamp, at, sizeof(stamp));
	return stamp.count;
}

/* Whether the device reaches the memory at `at` by `iova`. */
static bool reaches(struct peer *peer, uint64_t iova, uint8_t *at)
{
	memset(at, 0, sizeof(struct testdev_stamp));
	stamp_at(peer, iova);
	access_it(peer);
	return stamped(at) == 1;
}

/* ---- mapping ---- */

TEST(a_device_writes_to_a_window_at_its_place_in_the_file)
{
	struct peer *peer = peer_open("testdev", 0);
	struct memory memory = memory_of(16 * PAGE);

	ASSERT_EQ(0, map(peer, 0, 4 * PAGE, RAM, memory.fd, 0));
	ASSERT_EQ(0, map(peer, 1ull << 32, 4 * PAGE, RAM | BY_MMAP, memory.fd, 4 * PAGE));
	ASSERT_EQ(0, map(peer, 1ull << 40, PAGE, RAM, memory.fd, 8 * PAGE + 512));
	EXPECT_TRUE(reaches(peer, 64, memory.bytes + 64));
	EXPECT_TRUE(reaches(peer, 4 * PAGE - 16, memory.bytes + 4 * PAGE - 16));
	EXPECT_TRUE(reaches(peer, 1ull << 32, memory.bytes + 4 * PAGE));
	EXPECT_TRUE(reaches(peer, (1ull << 32) + PAGE + 8, memory.bytes + 5 * PAGE + 8));
	EXPECT_TRUE(reaches(peer, 1ull << 40, memory.bytes + 8 * PAGE + 512));
	peer_stop(peer);
}

TEST(a_stamp_counts_every_access_and_tells_when)
{
	struct peer *peer = peer_open("testdev", 0);
	struct memory memory = memory_of(PAGE);
	struct testdev_stamp first, second;

	ASSERT_EQ(0, map(peer, PAGE, PAGE, RAM, memory.fd, 0));
	stamp_at(peer, PAGE);
	access_it(peer);
	memcpy(&first, memory.bytes, sizeof(first));
	for (unsigned int i = 0; i < 9; i++)
		access_it(peer);
	memcpy(&second, memory.bytes, sizeof(second));
	EXPECT_EQ(1, first.count);
	EXPECT_EQ(10, second.count);
	EXPECT_LT(first.tsc, second.tsc);
	peer_stop(peer);
}

TEST(a_window_keeps_no_fd_open)
{
	struct peer *peer = peer_open("testdev", 0);
	unsigned int before = peer_count_fds(peer);
	struct memory memory = memory_of(2 * PAGE);

	ASSERT_EQ(0, map(peer, 0, 2 * PAGE, RAM, memory.fd, 0));
	ASSERT_EQ(EEXIST, map(peer, 0, PAGE, RAM, memory.fd, 0));
	EXPECT_EQ(before, peer_count_fds(peer));
	peer_stop(peer);
}

TEST(a_window_begins_and_ends_at_pages_of_the_smallest_size_that_was_offered)
{
	struct peer *peer = peer_open("testdev", 0);
	struct memory memory = memory_of(2 * PAGE);

	EXPECT_EQ(EINVAL, map(peer, 0, PAGE / 2, RAM, memory.fd, 0));
	EXPECT_EQ(EINVAL, map(peer, 0, PAGE + 1, RAM, memory.fd, 0));
	EXPECT_EQ(EINVAL, map(peer, PAGE / 2, PAGE, RAM, memory.fd, 0));
	EXPECT_EQ(0, map(peer, PAGE, PAGE, RAM, memory.fd, 0));
	peer_stop(peer);
}

TEST(a_window_without_an_fd_is_accepted_and_not_reached_directly)
{
	struct peer *peer = peer_open("testdev", 0);

	ASSERT_EQ(0, map(peer, 0, PAGE, RAM, -1, 0));
	stamp_at(peer, 64);
	access_it(peer);
	EXPECT_EQ(0, unmap(peer, 0, PAGE, 0));
	peer_stop(peer);
}

TEST(a_window_that_is_not_writeable_is_not_written)
{
	struct peer *peer = peer_open("testdev", 0);
	struct memory memory = memory_of(3 * PAGE);

	ASSERT_EQ(0, map(peer, 1 * PAGE, PAGE, READABLE, memory.fd, 0));
	ASSERT_EQ(0, map(peer, 2 * PAGE, PAGE, 0, memory.fd, PAGE));
	ASSERT_EQ(0, map(peer, 3 * PAGE, PAGE, WRITEABLE, memory.fd, 2 * PAGE));
	EXPECT_FALSE(reaches(peer, 1 * PAGE, memory.bytes));
	EXPECT_FALSE(reaches(peer, 2 * PAGE, memory.bytes + PAGE));
	EXPECT_TRUE(reaches(peer, 3 * PAGE, memory.bytes + 2 * PAGE));
	peer_stop(peer);
}

TEST(memory_that_no_one_window_holds_is_not_written)
{
	struct peer *peer = peer_open("testdev", 0);
	struct memory memory = memory_of(2 * PAGE);

	ASSERT_EQ(0, map(peer, 1 * PAGE, PAGE, RAM, memory.fd, 0));
	ASSERT_EQ(0, map(peer, 2 * PAGE, PAGE, RAM, memory.fd, PAGE));
	/* Across two windows, over an end, before a start, nowhere, and around the top. */
	EXPECT_FALSE(reaches(peer, 2 * PAGE - 8, memory.bytes + PAGE - 8));
	EXPECT_FALSE(reaches(peer, 3 * PAGE - 8, memory.bytes + 2 * PAGE - sizeof(uint64_t) * 2));
	EXPECT_FALSE(reaches(peer, PAGE - 8, memory.bytes));
	EXPECT_FALSE(reaches(peer, 5 * PAGE, memory.bytes));
	EXPECT_FALSE(reaches(peer, UINT64_MAX - 7, memory.bytes));
	peer_stop(peer);
}

TEST(a_window_up_to_the_top_of_the_address_space_is_served)
{
	struct peer *peer = peer_open("testdev", 0);
	struct memory memory = memory_of(PAGE);

	ASSERT_EQ(0, map(peer, 0ull - PAGE, PAGE, RAM, memory.fd, 0));
	EXPECT_TRUE(reaches(peer, 0ull - 16, memory.bytes + PAGE - 16));
	EXPECT_EQ(EEXIST, map(peer, 0ull - PAGE, PAGE, RAM, -1, PAGE));
	EXPECT_EQ(0, unmap(peer, 0ull - PAGE, PAGE, 0));
	peer_stop(peer);
}

TEST(windows_are_found_in_whatever_order_they_came)
{
	struct peer *peer = peer_open("testdev", 0);
	struct memory memory = memory_of(64 * PAGE);

	/* 64 windows with gaps, in an order that jumps. */
	for (uint64_t i = 0; i < 64; i++) {
		uint64_t n = i * 37 % 64;

		ASSERT_EQ(0, map(peer, (n + 1) * 2 * PAGE, PAGE, RAM, memory.fd, n * PAGE));
	}
	for (uint64_t n = 0; n < 64; n++) {
		EXPECT_TRUE(reaches(peer, (n + 1) * 2 * PAGE, memory.bytes + n * PAGE));
	}
	for (uint64_t i = 0; i < 32; i++) {
		uint64_t n = i * 37 % 64;

		ASSERT_EQ(0, unmap(peer, (n + 1) * 2 * PAGE, PAGE, 0));
	}
	for (uint64_t i = 0; i < 64; i++) {
		uint64_t n = i * 37 % 64;

		EXPECT_EQ(i >= 32, reaches(peer, (n + 1) * 2 * PAGE, memory.bytes + n * PAGE));
	}
	peer_stop(peer);
}

/* ---- refusing to map ---- */

TEST(a_window_of_size_0_or_that_wraps_is_refused)
{
	static const struct {
		uint64_t address;
		uint64_t size;
	} windows[] = {
		{ 0, 0 },
		{ PAGE, 0 },
		{ UINT64_MAX, 0 },
		{ 0ull - PAGE, 2 * PAGE },
		{ PAGE, 0ull - PAGE + 1 },
		{ UINT64_MAX, 2 },
		{ 1, UINT64_MAX },
	};
	struct peer *peer = peer_open("testdev", 0);
	struct memory memory = memory_of(PAGE);

	for (unsigned int i = 0; i < sizeof(windows) / sizeof(*windows); i++) {
		EXPECT_EQ(EINVAL, map(peer, windows[i].address, windows[i].size, RAM, -1, 0));
		EXPECT_EQ(EINVAL,
			  map(peer, windows[i].address, windows[i].size, RAM, memory.fd, 0));
	}
	peer_stop(peer);
}

TEST(flags_that_are_not_known_or_need_an_fd_are_refused)
{
	struct peer *peer = peer_open("testdev", 0);
	struct memory memory = memory_of(PAGE);

	for (unsigned int bit = 4; bit < 32; bit++) {
		EXPECT_EQ(EINVAL, map(peer, 0, PAGE, RAM | 1u << bit, memory.fd, 0));
	}
	EXPECT_EQ(EINVAL, map(peer, 0, PAGE, RAM | BY_MMAP, -1, 0));
	EXPECT_EQ(EINVAL, map(peer, 0, PAGE, RAM | BY_FILE_IO, -1, 0));
	EXPECT_EQ(0, map(peer, 0, PAGE, RAM | BY_MMAP, memory.fd, 0));
	peer_stop(peer);
}

TEST(a_file_shorter_than_its_window_is_refused)
{
	struct peer *peer = peer_open("testdev", 0);
	unsigned int before = peer_count_fds(peer);
	struct memory memory = memory_of(4 * PAGE);

	EXPECT_EQ(EINVAL, map(peer, 0, 5 * PAGE, RAM, memory.fd, 0));
	EXPECT_EQ(EINVAL, map(peer, 0, 4 * PAGE + 1, RAM, memory.fd, 0));
	EXPECT_EQ(EINVAL, map(peer, 0, PAGE, RAM, memory.fd, 4 * PAGE));
	EXPECT_EQ(EINVAL, map(peer, 0, PAGE, RAM, memory.fd, 3 * PAGE + 1));
	EXPECT_EQ(EINVAL, map(peer, 0, PAGE, RAM, memory.fd, UINT64_MAX));
	EXPECT_EQ(EINVAL, map(peer, 0, PAGE, RAM, memory.fd, INT64_MAX));
	EXPECT_EQ(EINVAL, map(peer, 0, PAGE, RAM, memory.fd, 0ull - PAGE));
	EXPECT_EQ(0, map(peer, 0, 4 * PAGE, RAM, memory.fd, 0));
	EXPECT_EQ(before, peer_count_fds(peer));
	peer_stop(peer);
}

TEST(an_fd_that_can_not_be_mapped_so_is_refused)
{
	struct peer *peer = peer_open("testdev", 0);
	struct memory memory = memory_of(PAGE);
	char path[64];
	int no_memory = eventfd(0, EFD_CLOEXEC);
	int read_only;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", memory.fd);
	read_only = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, read_only);
	EXPECT_NE(0, map(peer, 0, PAGE, RAM, no_memory, 0));
	EXPECT_NE(0, map(peer, 0, PAGE, RAM, read_only, 0));
	EXPECT_EQ(0, map(peer, 0, PAGE, READABLE, read_only, 0));
	peer_stop(peer);
}

TEST(a_window_that_overlaps_a_live_one_is_refused)
{
	static const struct {
		uint64_t address;
		uint64_t size;
		int error;
	} windows[] = {
		{ 4 * PAGE, 1 * PAGE, EEXIST },	 /* its start */
		{ 5 * PAGE, 1 * PAGE, EEXIST },	 /* within */
		{ 7 * PAGE, 1 * PAGE, EEXIST },	 /* its end */
		{ 3 * PAGE, 2 * PAGE, EEXIST },	 /* over its start */
		{ 7 * PAGE, 2 * PAGE, EEXIST },	 /* over its end */
		{ 3 * PAGE, 6 * PAGE, EEXIST },	 /* around it */
		{ 4 * PAGE, 5 * PAGE, EEXIST },	 /* the same start, longer */
		{ 0 * PAGE, 32 * PAGE, EEXIST }, /* around two */
		{ 8 * PAGE, 1 * PAGE, 0 },	 /* just behind */
		{ 3 * PAGE, 1 * PAGE, 0 },	 /* just before */
	};
	struct peer *peer = peer_open("testdev", 0);
	struct memory memory = memory_of(64 * PAGE);

	ASSERT_EQ(0, map(peer, 4 * PAGE, 4 * PAGE, RAM, memory.fd, 4 * PAGE));
	ASSERT_EQ(0, map(peer, 16 * PAGE, PAGE, RAM, memory.fd, 0));
	for (unsigned int i = 0; i < sizeof(windows) / sizeof(*windows); i++) {
		EXPECT_EQ(windows[i].error, map(peer, windows[i].address, windows[i].size, RAM,
						memory.fd, 32 * PAGE));
		EXPECT_TRUE(reaches(peer, 4 * PAGE, memory.bytes + 4 * PAGE));
	}
	peer_stop(peer);
}

TEST(the_same_window_again_is_accepted_if_its_offset_is_the_same)
{
	struct peer *peer = peer_open("testdev", 0);
	struct memory memory = memory_of(2 * PAGE);

	ASSERT_EQ(0, map(peer, PAGE, PAGE, RAM, memory.fd, 0));
	EXPECT_EQ(0, map(peer, PAGE, PAGE, RAM, memory.fd, 0));
	EXPECT_EQ(EEXIST, map(peer, PAGE, PAGE, RAM, memory.fd, PAGE));
	EXPECT_TRUE(reaches(peer, PAGE, memory.bytes));
	/* It is one window still. */
	EXPECT_EQ(0, unmap(peer, PAGE, PAGE, 0));
	EXPECT_EQ(ENOENT, unmap(peer, PAGE, PAGE, 0));
	peer_stop(peer);
}

TEST(windows_by_file_io_do_not_use_up_the_servers_fds)
{
	struct peer *peer = peer_open("testdev", 0);
	unsigned int before = peer_count_fds(peer);
	int fd = memfd_create("window", MFD_CLOEXEC);
	uint64_t i;

	ASSERT_EQ(0, ftruncate(fd, PAGE));
	for (i = 0; i < 1024; i++)
		ASSERT_EQ(0, map(peer, i * PAGE, PAGE, RAM | BY_FILE_IO, fd, 0));
	EXPECT_EQ(ENOSPC, map(peer, i * PAGE, PAGE, RAM | BY_FILE_IO, fd, 0));
	EXPECT_EQ(before + 1024, peer_count_fds(peer));
	EXPECT_EQ(0, map(peer, i * PAGE, PAGE, RAM, fd, 0));
	EXPECT_EQ(0, unmap(peer, 0, PAGE, 0));
	EXPECT_EQ(0, map(peer, 0, PAGE, RAM | BY_FILE_IO, fd, 0));
	EXPECT_EQ(0, unmap(peer, 0, 0, WIRE_DMA_UNMAP_ALL));
	EXPECT_EQ(before, peer_count_fds(peer));
	close(fd);
	peer_stop(peer);
}

TEST(one_window_more_than_max_dma_maps_is_refused)
{
	struct peer *peer = peer_open("testdev", 0);
	struct wire_dma_map request = { .argsz = sizeof(request), .flags = RAM, .size = PAGE };

	for (uint32_t i = 0; i < WIRE_DEFAULT_MAX_DMA_MAPS; i++) {
		request.address = (uint64_t)i * PAGE;
		peer_post(peer, WIRE_DMA_MAP, &request, sizeof(request));
	}
	EXPECT_EQ(ENOSPC, map(peer, 1ull << 40, PAGE, RAM, -1, 0));
	EXPECT_EQ(0, unmap(peer, 100 * PAGE, PAGE, 0));
	EXPECT_EQ(0, map(peer, 1ull << 40, PAGE, RAM, -1, 0));
	EXPECT_EQ(0, unmap(peer, 0, 0, WIRE_DMA_UNMAP_ALL));
	EXPECT_EQ(0, peer_log_count(peer, "\n") - 1); /* of the one refusal */
	peer_stop(peer);
}

/* ---- unmapping ---- */

TEST(an_unmapped_window_is_not_written_any_more)
{
	struct peer *peer = peer_open("testdev", 0);
	struct memory memory = memory_of(PAGE);

	ASSERT_EQ(0, map(peer, PAGE, PAGE, RAM, memory.fd, 0));
	ASSERT_TRUE(reaches(peer, PAGE, memory.bytes));
	ASSERT_EQ(0, unmap(peer, PAGE, PAGE, 0));
	EXPECT_FALSE(reaches(peer, PAGE, memory.bytes));
	ASSERT_EQ(0, map(peer, PAGE, PAGE, RAM, memory.fd, 0));
	EXPECT_TRUE(reaches(peer, PAGE, memory.bytes));
	peer_stop(peer);
}

TEST(only_exactly_a_live_window_is_unmapped)
{
	static const struct {
		uint64_t address;
		uint64_t size;
	} others[] = {
		{ 4 * PAGE, 3 * PAGE },
		{ 4 * PAGE, 5 * PAGE },
		{ 5 * PAGE, 3 * PAGE },
		{ 3 * PAGE, 5 * PAGE },
		{ 3 * PAGE, 6 * PAGE },
		{ 4 * PAGE, 0 },
		{ 0, 0 },
		{ 64 * PAGE, 4 * PAGE },
		{ 0, UINT64_MAX },
		{ UINT64_MAX, 1 },
		{ 4 * PAGE, UINT64_MAX },
	};
	struct peer *peer = peer_open("testdev", 0);
	struct memory memory = memory_of(4 * PAGE);

	EXPECT_EQ(ENOENT, unmap(peer, 4 * PAGE, 4 * PAGE, 0)); /* there is none at all */
	ASSERT_EQ(0, map(peer, 4 * PAGE, 4 * PAGE, RAM, memory.fd, 0));
	for (unsigned int i = 0; i < sizeof(others) / sizeof(*others); i++) {
		EXPECT_EQ(ENOENT, unmap(peer, others[i].address, others[i].size, 0));
	}
	EXPECT_TRUE(reaches(peer, 4 * PAGE, memory.bytes));
	EXPECT_EQ(0, unmap(peer, 4 * PAGE, 4 * PAGE, 0));
	peer_stop(peer);
}

TEST(unmap_all_leaves_no_window)
{
	struct peer *peer = peer_open("testdev", 0);
	struct memory memory = memory_of(4 * PAGE);

	EXPECT_EQ(0, unmap(peer, 0, 0, WIRE_DMA_UNMAP_ALL));
	for (uint64_t i = 1; i <= 4; i++) {
		ASSERT_EQ(0, map(peer, i * 2 * PAGE, PAGE, RAM, memory.fd, (i - 1) * PAGE));
	}
	ASSERT_EQ(0, unmap(peer, 0, 0, WIRE_DMA_UNMAP_ALL));
	for (uint64_t i = 1; i <= 4; i++) {
		EXPECT_FALSE(reaches(peer, i * 2 * PAGE, memory.bytes + (i - 1) * PAGE));
		EXPECT_EQ(ENOENT, unmap(peer, i * 2 * PAGE, PAGE, 0));
	}
	peer_stop(peer);
}

TEST(an_unmap_with_bad_flags_is_refused_and_unmaps_nothing)
{
	struct peer *peer = peer_open("testdev", 0);
	struct memory memory = memory_of(PAGE);

	ASSERT_EQ(0, map(peer, PAGE, PAGE, RAM, memory.fd, 0));
	EXPECT_EQ(EINVAL, unmap(peer, PAGE, PAGE, WIRE_DMA_UNMAP_GET_DIRTY));
	EXPECT_EQ(EINVAL, unmap(peer, PAGE, PAGE, 1u << 31));
	EXPECT_EQ(EINVAL, unmap(peer, PAGE, PAGE, WIRE_DMA_UNMAP_ALL));
	EXPECT_EQ(EINVAL, unmap(peer, 0, PAGE, WIRE_DMA_UNMAP_ALL));
	EXPECT_EQ(EINVAL, unmap(peer, PAGE, 0, WIRE_DMA_UNMAP_ALL));
	EXPECT_TRUE(reaches(peer, PAGE, memory.bytes));
	peer_stop(peer);
}

/* ---- former clients ---- */

static bool has_guest_memory(struct peer *peer)
{
	char path[64], line[512];
	bool has = false;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", peer->pid);
	maps = fopen(path, "re");
	while (maps && fgets(line, sizeof(line), maps))
		has |= strstr(line, "memfd:guest") != NULL;
	if (maps)
		fclose(maps);
	return has;
}

TEST(the_memory_of_a_former_client_is_not_written_any_more)
{
	struct peer *peer = peer_open("testdev", PEER_LISTEN);
	struct memory former = memory_of(PAGE);
	struct memory memory = memory_of(PAGE);

	ASSERT_EQ(0, map(peer, PAGE, PAGE, RAM, former.fd, 0));
	ASSERT_TRUE(reaches(peer, PAGE, former.bytes));
	EXPECT_TRUE(has_guest_memory(peer));
	peer_reconnect(peer);
	EXPECT_FALSE(has_guest_memory(peer));
	/* The device still has the address: it keeps its state. */
	access_it(peer);
	EXPECT_EQ(1, stamped(former.bytes));
	ASSERT_EQ(0, map(peer, PAGE, PAGE, RAM, memory.fd, 0));
	access_it(peer);
	EXPECT_EQ(1, stamped(former.bytes));
	EXPECT_EQ(3, stamped(memory.bytes));
	peer_stop(peer);
}

TEST_HARNESS_MAIN
