// SPDX-License-Identifier: GPL-2.0-only
/*
 * DMA logging: DMA_LOGGING_START, REPORT and STOP, and what a device's writes leave in the bitmap.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dirty.h"
#include "fastpath.h"
#include "kselftest_harness.h"
#include "lib/peer.h"
#include "lib/peer_feature.h"
#include "testdev.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

#define KIB 1024ull
#define MIB (1024 * KIB)
#define PAGE (4 * KIB)
#define GUEST_AT 0x40000000ull
#define GUEST_BYTES (16 * MIB)

/*
 * A device that says it will write to [address, address + length) when both are written to its
 * BAR0 at 0, and read there when they are written elsewhere: testdev's stamps are of 16 bytes.
 */
struct writer {
	uint64_t address;
	uint64_t length;
};

static int writer_access(struct fp_device *dev, struct fp_access *access)
{
	struct writer writer;

	if (access->write && access->size == sizeof(writer)) {
		memcpy(&writer, access->data, sizeof(writer));
		fp_dma(dev, writer.address, writer.length, !access->offset);
	}
	return 0;
}

FP_DEVICE(writer) = {
	.name = "writer",
	.summary = "claims to write to guest memory",
	.regions[FP_BAR0] = { .size = 4096, .access = writer_access },
};

/* ---- what the tests are made of ---- */

static int map(struct peer *peer, uint64_t at, uint64_t size)
{
	struct wire_dma_map request = {
		.argsz = sizeof(request),
		.flags = WIRE_DMA_READABLE | WIRE_DMA_WRITEABLE,
		.address = at,
		.size = size,
	};
	int fd = memfd_create("guest", MFD_CLOEXEC);
	int error = -1;

	if (fd >= 0 && !ftruncate(fd, (off_t)size))
		error = peer_call_fds(peer, WIRE_DMA_MAP, &request, sizeof(request), &fd, 1);
	close(fd);
	return error;
}

static int unmap(struct peer *peer, uint64_t at, uint64_t size)
{
	struct wire_dma_unmap request = { .argsz = sizeof(request), .address = at, .size = size };

	return peer_call(peer, WIRE_DMA_UNMAP, &request, sizeof(request));
}

static struct peer *open_mapped(const char *device, unsigned int how)
{
	struct peer *peer = peer_open(device, how);

	if (map(peer, GUEST_AT, GUEST_BYTES))
		abort();
	return peer;
}

/* testdev writes a stamp of 16 bytes there. */
static void stamp(struct peer *peer, uint64_t iova)
{
	peer_write(peer, FP_BAR2, offsetof(struct testdev_counters, stamp_iova), iova, 8);
	peer_write(peer, FP_BAR2, TESTDEV_SCRATCH, 0, 1);
}

static void claim(struct peer *peer, uint64_t iova, uint64_t len)
{
	struct writer writer = { .address = iova, .length = len };

	if (peer_write_from(peer, FP_BAR0, 0, &writer, sizeof(writer)))
		abort();
}

static int start_ranges(struct peer *peer, uint64_t page_size, const struct wire_dma_range *ranges,
			uint32_t nr)
{
	uint8_t data[sizeof(struct wire_dma_logging) + 16 * sizeof(*ranges)];
	struct wire_dma_logging logging = { .page_size = page_size, .num_ranges = nr };

	memcpy(data, &logging, sizeof(logging));
	if (nr)
		memcpy(data + sizeof(logging), ranges, nr * sizeof(*ranges));
	return peer_feature_set(peer, WIRE_FEATURE_DMA_LOGGING_START, data,
				sizeof(logging) + nr * sizeof(*ranges));
}

static int start(struct peer *peer, uint64_t page_size)
{
	return start_ranges(peer, page_size, NULL, 0);
}

static int stop(struct peer *peer)
{
	return peer_feature_set(peer, WIRE_FEATURE_DMA_LOGGING_STOP, NULL, 0);
}

static int report(struct peer *peer, uint64_t iova, uint64_t length, uint64_t page_size)
{
	struct wire_dma_report data = { .iova = iova, .length = length, .page_size = page_size };

	return peer_feature_get(peer, WIRE_FEATURE_DMA_LOGGING_REPORT, &data, sizeof(data));
}

/* Of the report that came last. */
static bool is_dirty(const struct peer *peer, uint64_t page)
{
	uint64_t word;

	memcpy(&word,
	       peer->reply.body + FEATURE_HEAD + sizeof(struct wire_dma_report) +
		       page / 64 * sizeof(word),
	       sizeof(word));
	return word >> page % 64 & 1;
}

static uint64_t count_dirty(const struct peer *peer)
{
	uint64_t nr = 0;

	for (size_t i = FEATURE_HEAD + sizeof(struct wire_dma_report); i < peer->reply.len; i++)
		nr += (uint64_t)__builtin_popcount(peer->reply.body[i]);
	return nr;
}

/* Reports, and whether just the pages [first, first + nr) are dirty, and the reply is well made. */
static bool says(struct peer *peer, uint64_t iova, uint64_t length, uint64_t page_size,
		 uint64_t first, uint64_t nr)
{
	uint64_t words = (length / page_size + 63) / 64;
	struct wire_device_feature head;
	struct wire_dma_report echo;
	bool good = !report(peer, iova, length, page_size);

	if (!good || peer->reply.len != sizeof(head) + sizeof(echo) + words * 8)
		return false;
	memcpy(&head, peer->reply.body, sizeof(head));
	memcpy(&echo, peer->reply.body + sizeof(head), sizeof(echo));
	good = head.argsz == peer->reply.len && echo.iova == iova && echo.length == length &&
	       echo.page_size == page_size && count_dirty(peer) == nr;
	for (uint64_t i = 0; i < nr; i++)
		good = good && is_dirty(peer, first + i);
	return good;
}

static bool is_clean(struct peer *peer)
{
	return says(peer, GUEST_AT, GUEST_BYTES, PAGE, 0, 0);
}

/* ---- what is logged ---- */

TEST(a_page_that_the_device_writes_to_is_dirty_and_a_report_makes_it_clean)
{
	struct peer *peer = open_mapped("testdev", 0);

	ASSERT_EQ(0, start(peer, PAGE));
	EXPECT_TRUE(is_clean(peer));
	stamp(peer, GUEST_AT + 5 * PAGE + 32);
	EXPECT_TRUE(says(peer, GUEST_AT, GUEST_BYTES, PAGE, 5, 1));
	EXPECT_TRUE(is_clean(peer));
	stamp(peer, GUEST_AT + 5 * PAGE);
	EXPECT_TRUE(says(peer, GUEST_AT, GUEST_BYTES, PAGE, 5, 1));
	peer_stop(peer);
}

TEST(a_write_across_pages_makes_each_of_them_dirty)
{
	struct peer *peer = open_mapped("testdev", 0);

	ASSERT_EQ(0, start(peer, PAGE));
	stamp(peer, GUEST_AT + 64 * PAGE - 8);
	EXPECT_TRUE(says(peer, GUEST_AT, GUEST_BYTES, PAGE, 63, 2));
	peer_stop(peer);
}

TEST(the_first_and_the_last_byte_of_a_page_are_its_own)
{
	struct peer *peer = open_mapped("writer", PEER_OWN_CLASSES);

	ASSERT_EQ(0, start(peer, PAGE));
	claim(peer, GUEST_AT + 7 * PAGE, 1);
	EXPECT_TRUE(says(peer, GUEST_AT, GUEST_BYTES, PAGE, 7, 1));
	claim(peer, GUEST_AT + 8 * PAGE - 1, 1);
	EXPECT_TRUE(says(peer, GUEST_AT, GUEST_BYTES, PAGE, 7, 1));
	claim(peer, GUEST_AT + 7 * PAGE, PAGE);
	EXPECT_TRUE(says(peer, GUEST_AT, GUEST_BYTES, PAGE, 7, 1));
	claim(peer, GUEST_AT, GUEST_BYTES);
	EXPECT_TRUE(says(peer, GUEST_AT, GUEST_BYTES, PAGE, 0, GUEST_BYTES / PAGE));
	claim(peer, GUEST_AT + 7 * PAGE, 0);
	EXPECT_TRUE(is_clean(peer));
	peer_stop(peer);
}

TEST(what_the_device_only_reads_or_cannot_write_stays_clean)
{
	struct writer reader = { .address = GUEST_AT, .length = GUEST_BYTES };
	struct peer *peer = open_mapped("writer", PEER_OWN_CLASSES);

	ASSERT_EQ(0, start(peer, PAGE));
	ASSERT_EQ(0, peer_write_from(peer, FP_BAR0, 64, &reader, sizeof(reader)));
	claim(peer, GUEST_AT + GUEST_BYTES - 8, 16); /* leaves its window */
	claim(peer, 0x1000, 16);
	EXPECT_TRUE(is_clean(peer));
	EXPECT_TRUE(says(peer, 0, GUEST_AT, PAGE, 0, 0));
	peer_stop(peer);
}

/* Page sizes of a log and of its report; the write is one of 16 bytes at 6 MiB + 10 KiB. */
#define WRITTEN (6 * MIB + 10 * KIB)

static const struct {
	uint64_t logged, reported;
	uint64_t first, nr; /* dirty pages of the report's size */
} sizes[] = {
	{ 4 * KIB, 2 * KIB, 3076, 2 },	 { 4 * KIB, 4 * KIB, 1538, 1 },
	{ 4 * KIB, 8 * KIB, 769, 1 },	 { 4 * KIB, 2 * MIB, 3, 1 },
	{ 4 * KIB, 1, 6299648, 4096 },	 { 4 * KIB, 16 * MIB, 0, 1 },
	{ 2 * KIB, 2 * KIB, 3077, 1 },	 { 2 * KIB, 4 * KIB, 1538, 1 },
	{ 2 * MIB, 4 * KIB, 1536, 512 }, { 2 * MIB, 2 * MIB, 3, 1 },
	{ 16, 4 * KIB, 1538, 1 },	 { 1, 8, 787712, 2 },
	{ 1ull << 40, 2 * MIB, 0, 8 },	 { 1ull << 63, 4 * KIB, 0, 4096 },
};

TEST(what_is_logged_at_one_page_size_is_reported_at_any_other)
{
	struct peer *peer = open_mapped("testdev", 0);

	for (size_t i = 0; i < COUNT(sizes); i++) {
		uint64_t whole = sizes[i].logged > GUEST_BYTES;

		/* A bitmap of at most 1 MiB: at a byte a page, half of memory at a time. */
		uint64_t at = sizes[i].reported == 1 ? GUEST_AT + 4 * MIB : GUEST_AT;
		uint64_t len = sizes[i].reported == 1 ? 8 * MIB : GUEST_BYTES;
		uint64_t first = sizes[i].first - (at - GUEST_AT) / sizes[i].reported;

		ASSERT_EQ(0, start(peer, sizes[i].logged));
		stamp(peer, GUEST_AT + WRITTEN);
		EXPECT_TRUE(says(peer, at, len, sizes[i].reported, first, sizes[i].nr))
		{
			TH_LOG("logged at %llu, reported at %llu", sizes[i].logged,
			       sizes[i].reported);
		}
		if (!whole)
			EXPECT_TRUE(says(peer, at, len, sizes[i].reported, 0, 0));
		ASSERT_EQ(0, stop(peer));
	}
	peer_stop(peer);
}

#define MODEL_BYTES 8192u

/* What a report has to say, page by page; which logged pages are clean after it. */
static void model_report(bool *pages, uint64_t page_size, const struct wire_dma_report *report,
			 uint64_t *bitmap)
{
	for (uint64_t at = report->iova; at < report->iova + report->length; at++)
		if (pages[at / page_size]) {
			uint64_t bit = (at - report->iova) / report->page_size;

			bitmap[bit / 64] |= 1ull << bit % 64;
		}
	for (uint64_t page = 0; page < MODEL_BYTES / page_size; page++)
		if (page * page_size >= report->iova &&
		    (page + 1) * page_size <= report->iova + report->length)
			pages[page] = false;
}

/* One report of random size and place, of the log and of the model; whether they agree. */
static bool agree(struct dirty *log, bool *pages, uint64_t page_size, unsigned int *seed)
{
	uint64_t size = 1ull << rand_r(seed) % 13, nr = MODEL_BYTES / size;
	uint64_t first = (uint64_t)rand_r(seed) % nr;
	struct wire_dma_report report = {
		.iova = first * size,
		.length = (1 + (uint64_t)rand_r(seed) % (nr - first)) * size,
		.page_size = size,
	};
	uint64_t told[MODEL_BYTES / 64] = { 0 }, right[MODEL_BYTES / 64] = { 0 };

	dirty_report(log, &report, told);
	model_report(pages, page_size, &report, right);
	return !memcmp(told, right, sizeof(told));
}

TEST(reports_say_what_a_simple_model_says)
{
	unsigned int seed = 1;

	for (unsigned int round = 0; round < 300; round++) {
		struct wire_dma_logging start_log = { .page_size = 1ull << round % 13 };
		bool pages[MODEL_BYTES] = { false };
		struct dirty log = { 0 };
		struct refusal why;

		ASSERT_EQ(0, dirty_start(&log, &start_log, NULL, 0, &why));
		for (unsigned int i = 0; i < 30; i++) {
			uint64_t iova = (uint64_t)rand_r(&seed) % MODEL_BYTES;
			uint64_t len = (uint64_t)rand_r(&seed) % 300;

			len = len < MODEL_BYTES - iova ? len : MODEL_BYTES - iova;
			dirty_mark(&log, iova, len);
			for (uint64_t at = iova; at < iova + len; at++)
				pages[at / start_log.page_size] = true;
			ASSERT_TRUE(i % 3 || agree(&log, pages, start_log.page_size, &seed));
		}
		dirty_stop(&log);
	}
}

/* Else the other half's write would be forgotten. */
TEST(a_logged_page_of_which_a_report_sees_a_part_stays_dirty)
{
	struct peer *peer = open_mapped("testdev", 0);

	ASSERT_EQ(0, start(peer, PAGE));
	stamp(peer, GUEST_AT + 96);
	EXPECT_TRUE(says(peer, GUEST_AT, PAGE / 2, PAGE / 2, 0, 1));
	EXPECT_TRUE(says(peer, GUEST_AT + PAGE / 2, PAGE / 2, PAGE / 2, 0, 1));
	EXPECT_TRUE(says(peer, GUEST_AT, PAGE, PAGE / 2, 0, 2));
	EXPECT_TRUE(is_clean(peer));
	peer_stop(peer);
}

TEST(a_report_clears_only_what_it_shows)
{
	struct peer *peer = open_mapped("testdev", 0);

	ASSERT_EQ(0, start(peer, PAGE));
	for (uint64_t i = 0; i < 8; i++)
		stamp(peer, GUEST_AT + i * 100 * PAGE);
	ASSERT_EQ(0, report(peer, GUEST_AT + 200 * PAGE, 101 * PAGE, PAGE));
	EXPECT_EQ(2, count_dirty(peer));
	EXPECT_TRUE(is_dirty(peer, 0) && is_dirty(peer, 100));
	ASSERT_EQ(0, report(peer, GUEST_AT, GUEST_BYTES, PAGE));
	EXPECT_EQ(6, count_dirty(peer));
	for (uint64_t i = 0; i < 8; i++)
		EXPECT_EQ(i != 2 && i != 3, is_dirty(peer, i * 100));
	peer_stop(peer);
}

TEST(only_the_ranges_that_were_asked_for_are_logged)
{
	static const struct wire_dma_range ranges[] = {
		{ GUEST_AT + 64 * PAGE, 2 * PAGE }, /* in no order */
		{ GUEST_AT + 8 * PAGE, PAGE },
		{ GUEST_AT + 66 * PAGE, PAGE }, /* adjacent */
	};
	struct peer *peer = open_mapped("writer", PEER_OWN_CLASSES);

	ASSERT_EQ(0, start_ranges(peer, PAGE, ranges, 3));
	claim(peer, GUEST_AT, 8 * PAGE);
	claim(peer, GUEST_AT + 9 * PAGE, 55 * PAGE);
	claim(peer, GUEST_AT + 67 * PAGE, PAGE);
	EXPECT_TRUE(is_clean(peer));
	claim(peer, GUEST_AT, GUEST_BYTES);
	ASSERT_EQ(0, report(peer, GUEST_AT, GUEST_BYTES, PAGE));
	EXPECT_EQ(4, count_dirty(peer));
	EXPECT_TRUE(is_dirty(peer, 8) && is_dirty(peer, 64) && is_dirty(peer, 65) &&
		    is_dirty(peer, 66));
	peer_stop(peer);
}

TEST(memory_that_is_mapped_or_unmapped_meanwhile_is_logged)
{
	struct peer *peer = peer_open("testdev", 0);

	ASSERT_EQ(0, start(peer, PAGE)); /* there is none yet */
	ASSERT_EQ(0, map(peer, GUEST_AT, GUEST_BYTES));
	stamp(peer, GUEST_AT + 3 * PAGE);
	ASSERT_EQ(0, unmap(peer, GUEST_AT, GUEST_BYTES));
	EXPECT_TRUE(says(peer, GUEST_AT, GUEST_BYTES, PAGE, 3, 1));
	peer_stop(peer);
}

TEST(the_last_page_of_all_addresses_is_logged)
{
	struct peer *peer = peer_open("testdev", 0);

	ASSERT_EQ(0, map(peer, 0 - GUEST_BYTES, GUEST_BYTES));
	ASSERT_EQ(0, start(peer, PAGE));
	stamp(peer, 0 - 16ull);
	EXPECT_TRUE(says(peer, 0 - GUEST_BYTES, GUEST_BYTES, PAGE, GUEST_BYTES / PAGE - 1, 1));
	peer_stop(peer);
}

static bool is_sanitized(void)
{
	const char *san = getenv("SAN");

	return san && *san;
}

#define FULL (DIRTY_MAX_CHUNKS * (uint64_t)DIRTY_CHUNK_PAGES)

/* It logs [GUEST_AT, GUEST_AT + FULL] and a page more, at a byte a page, and has written to FULL. */
static struct peer *open_full(void)
{
	struct wire_dma_range range = { GUEST_AT, FULL + PAGE };
	struct peer *peer = peer_open("writer", PEER_OWN_CLASSES);

	if (map(peer, GUEST_AT, 2 * FULL) || start_ranges(peer, 1, &range, 1))
		abort();
	claim(peer, GUEST_AT, FULL);
	return peer;
}

TEST(a_log_that_is_almost_full_still_tells_where)
{
	struct peer *peer = open_full();

	EXPECT_TRUE(says(peer, GUEST_AT, 2 * FULL, PAGE, 0, FULL / PAGE));
	EXPECT_TRUE(says(peer, GUEST_AT, 2 * FULL, PAGE, 0, 0));
	peer_stop(peer);
}

TEST(what_has_been_reported_makes_room_in_the_log)
{
	struct peer *peer = open_full();

	ASSERT_EQ(0, stop(peer));
	ASSERT_EQ(0, start(peer, 1));
	claim(peer, GUEST_AT, FULL);
	EXPECT_TRUE(says(peer, GUEST_AT, FULL, PAGE, 0, FULL / PAGE));
	claim(peer, GUEST_AT + FULL, FULL);
	EXPECT_TRUE(says(peer, GUEST_AT, 2 * FULL, PAGE, FULL / PAGE, FULL / PAGE));
	peer_stop(peer);
}

/* A log that can't remember where says so by saying everywhere. */
TEST(a_log_that_is_full_reports_all_as_dirty_until_it_is_stopped)
{
	struct peer *peer = open_full();

	claim(peer, GUEST_AT, FULL + 1);
	for (unsigned int i = 0; i < 2; i++)
		EXPECT_TRUE(says(peer, GUEST_AT, 2 * FULL, PAGE, 0, FULL / PAGE + 1));
	EXPECT_EQ(1, peer_log_count(peer, "all is reported as dirty"));
	ASSERT_EQ(0, stop(peer));
	ASSERT_EQ(0, start(peer, PAGE));
	EXPECT_TRUE(says(peer, GUEST_AT, 2 * FULL, PAGE, 0, 0));
	if (!is_sanitized()) /* which keeps what was freed */
		EXPECT_LT(peer_resident(peer), 96 * MIB);
	peer_stop(peer);
}

/* ---- starting and stopping ---- */

TEST(logging_can_be_probed_started_and_stopped)
{
	static const uint32_t set[] = { WIRE_FEATURE_DMA_LOGGING_START,
					WIRE_FEATURE_DMA_LOGGING_STOP };
	struct peer *peer = peer_open("testdev", 0);

	for (size_t i = 0; i < COUNT(set); i++) {
		uint32_t probe = WIRE_FEATURE_PROBE | set[i];

		EXPECT_EQ(0, peer_feature(peer, probe | WIRE_FEATURE_SET, 8, NULL, 0));
		EXPECT_EQ(EINVAL, peer_feature(peer, probe | WIRE_FEATURE_GET, 8, NULL, 0));
	}
	EXPECT_EQ(0, peer_feature(peer,
				  WIRE_FEATURE_PROBE | WIRE_FEATURE_GET |
					  WIRE_FEATURE_DMA_LOGGING_REPORT,
				  8, NULL, 0));
	for (unsigned int i = 0; i < 3; i++) {
		EXPECT_EQ(0, start(peer, PAGE));
		EXPECT_EQ(EINVAL, start(peer, PAGE)); /* it is on */
		EXPECT_EQ(0, stop(peer));
		EXPECT_EQ(0, stop(peer)); /* also when it is off */
	}
	peer_stop(peer);
}

TEST(what_was_logged_is_forgotten_when_logging_stops)
{
	struct peer *peer = open_mapped("testdev", 0);

	ASSERT_EQ(0, start(peer, PAGE));
	stamp(peer, GUEST_AT);
	ASSERT_EQ(0, stop(peer));
	stamp(peer, GUEST_AT + PAGE);
	ASSERT_EQ(0, start(peer, PAGE));
	EXPECT_TRUE(is_clean(peer));
	peer_stop(peer);
}

TEST(logging_ends_with_the_client)
{
	struct peer *peer = open_mapped("testdev", PEER_LISTEN);

	ASSERT_EQ(0, start(peer, PAGE));
	stamp(peer, GUEST_AT);
	peer_reconnect(peer);
	EXPECT_EQ(EINVAL, report(peer, GUEST_AT, PAGE, PAGE));
	ASSERT_EQ(0, map(peer, GUEST_AT, GUEST_BYTES));
	ASSERT_EQ(0, start(peer, PAGE));
	EXPECT_TRUE(is_clean(peer));
	peer_stop(peer);
}

TEST(a_reset_does_not_end_logging)
{
	struct peer *peer = open_mapped("testdev", 0);

	ASSERT_EQ(0, start(peer, PAGE));
	stamp(peer, GUEST_AT + PAGE);
	ASSERT_EQ(0, peer_call(peer, WIRE_DEVICE_RESET, NULL, 0));
	EXPECT_TRUE(says(peer, GUEST_AT, GUEST_BYTES, PAGE, 1, 1));
	peer_stop(peer);
}

TEST(a_log_of_bad_pages_or_ranges_is_refused)
{
	static const uint64_t bad_sizes[] = { 0, 3, PAGE + 1, 3 * PAGE, UINT64_MAX };
	static const struct {
		uint64_t page_size;
		uint32_t nr;
		struct wire_dma_range ranges[3];
	} bad[] = {
		{ PAGE, 1, { { GUEST_AT, 0 } } },
		{ PAGE, 1, { { GUEST_AT + 1, PAGE } } },
		{ PAGE, 1, { { GUEST_AT, PAGE + 1 } } },
		{ 2 * MIB, 1, { { GUEST_AT, PAGE } } },
		{ PAGE, 1, { { 0 - PAGE, 2 * PAGE } } }, /* wraps */
		{ PAGE, 2, { { GUEST_AT, 2 * PAGE }, { GUEST_AT + PAGE, PAGE } } },
		{ PAGE, 2, { { GUEST_AT, PAGE }, { GUEST_AT, PAGE } } },
		{ PAGE, 3, { { GUEST_AT + 2 * PAGE, PAGE }, { 0, PAGE }, { GUEST_AT, 3 * PAGE } } },
	};
	struct peer *peer = peer_open("testdev", 0);

	for (size_t i = 0; i < COUNT(bad_sizes); i++)
		EXPECT_EQ(EINVAL, start(peer, bad_sizes[i]));
	for (size_t i = 0; i < COUNT(bad); i++)
		EXPECT_EQ(EINVAL, start_ranges(peer, bad[i].page_size, bad[i].ranges, bad[i].nr));
	EXPECT_EQ(EINVAL, report(peer, 0, PAGE, PAGE)); /* none of them started it */
	EXPECT_EQ(0, start_ranges(peer, PAGE, &(struct wire_dma_range){ 0 - PAGE, PAGE }, 1));
	peer_stop(peer);
}

TEST(fewer_ranges_than_their_number_are_refused)
{
	struct peer *peer = peer_open("testdev", 0);
	uint8_t data[sizeof(struct wire_dma_logging) + 2 * sizeof(struct wire_dma_range)] = { 0 };
	static const uint32_t numbers[] = { 3, 4, 1u << 28, (1u << 28) + 2, UINT32_MAX };
	const struct wire_dma_range ranges[] = { { 0, PAGE }, { PAGE, PAGE } };

	memcpy(data + sizeof(struct wire_dma_logging), ranges, sizeof(ranges));
	for (size_t i = 0; i < COUNT(numbers); i++) {
		struct wire_dma_logging logging = { .page_size = PAGE, .num_ranges = numbers[i] };

		memcpy(data, &logging, sizeof(logging));
		EXPECT_EQ(EINVAL, peer_feature_set(peer, WIRE_FEATURE_DMA_LOGGING_START, data,
						   sizeof(data)));
	}
	for (size_t len = 0; len < sizeof(struct wire_dma_logging); len++)
		EXPECT_EQ(EINVAL,
			  peer_feature(peer, WIRE_FEATURE_SET | WIRE_FEATURE_DMA_LOGGING_START,
				       4096, data, len));
	EXPECT_EQ(EINVAL, report(peer, 0, PAGE, PAGE));
	peer_stop(peer);
}

/* The next message's header looks like a good range here. */
TEST(a_range_is_not_taken_from_behind_the_message)
{
	struct {
		struct wire_device_feature head;
		struct wire_dma_logging logging;
	} body = {
		{ sizeof(body), WIRE_FEATURE_SET | WIRE_FEATURE_DMA_LOGGING_START },
		{ .page_size = 1, .num_ranges = 1 },
	};
	struct peer *peer = peer_open("testdev", 0);
	uint8_t messages[128];
	size_t len = peer_message(messages, 1, WIRE_DEVICE_FEATURE, &body, sizeof(body));
	struct wire_header *next = (void *)(messages + len);

	len += peer_message_read(next, 2, FP_BAR2, 0, 4);
	next->error_no = 1; /* of no meaning in a command */
	peer_send(peer, messages, len, NULL, 0);
	EXPECT_EQ(EINVAL, peer_answer(peer, 1, WIRE_DEVICE_FEATURE));
	EXPECT_EQ(0, peer_answer(peer, 2, WIRE_REGION_READ));
	peer_stop(peer);
}

/* ---- reporting ---- */

TEST(a_report_of_memory_that_is_none_is_refused)
{
	static const struct wire_dma_report bad[] = {
		{ GUEST_AT, 0, PAGE },		{ GUEST_AT + 1, PAGE, PAGE },
		{ GUEST_AT, PAGE + 1, PAGE },	{ GUEST_AT + PAGE, 2 * PAGE, 2 * PAGE },
		{ 0 - PAGE, 2 * PAGE, PAGE }, /* wraps */
		{ GUEST_AT, PAGE, 0 },		{ GUEST_AT, PAGE, 3 },
		{ GUEST_AT, PAGE, UINT64_MAX },
	};
	struct peer *peer = open_mapped("testdev", 0);

	ASSERT_EQ(0, start(peer, PAGE));
	for (size_t i = 0; i < COUNT(bad); i++)
		EXPECT_EQ(EINVAL, report(peer, bad[i].iova, bad[i].length, bad[i].page_size));
	EXPECT_TRUE(is_clean(peer));
	peer_stop(peer);
}

TEST(a_report_without_all_of_its_question_is_refused)
{
	static const struct wire_dma_report good = { 0, 64, 1 };
	struct peer *peer = open_mapped("testdev", 0);

	ASSERT_EQ(0, start(peer, PAGE));
	/* What would be read in its place, the end of this, must not make up for it. */
	ASSERT_EQ(0, peer_feature_get(peer, WIRE_FEATURE_DMA_LOGGING_REPORT, &good, sizeof(good)));
	for (size_t len = 0; len < sizeof(good); len++)
		EXPECT_EQ(EINVAL,
			  peer_feature_get(peer, WIRE_FEATURE_DMA_LOGGING_REPORT, &good, len));
	EXPECT_TRUE(is_clean(peer));
	peer_stop(peer);
}

TEST(a_report_is_refused_while_nothing_is_logged)
{
	struct peer *peer = open_mapped("testdev", 0);

	EXPECT_EQ(EINVAL, report(peer, GUEST_AT, GUEST_BYTES, PAGE));
	peer_stop(peer);
}

TEST(a_bitmap_is_no_longer_than_a_data_transfer)
{
	struct peer *peer = peer_open("testdev", 0);
	uint64_t most = 8 * MIB * PAGE; /* in 1 MiB of bits */

	ASSERT_EQ(0, start(peer, PAGE));
	EXPECT_TRUE(says(peer, 0, most, PAGE, 0, 0));
	EXPECT_EQ(EINVAL, report(peer, 0, most + PAGE, PAGE));
	EXPECT_EQ(EINVAL, report(peer, 0, 1ull << 63, 1));
	EXPECT_TRUE(says(peer, 0, 1ull << 63, 1ull << 62, 0, 0));
	peer_stop(peer);
}

TEST(a_bitmap_is_no_longer_than_what_the_client_takes)
{
	struct peer *peer = peer_start("testdev", 0);

	ASSERT_EQ(0, peer_version(peer, "{\"capabilities\":{\"max_data_xfer_size\":4096}}"));
	ASSERT_EQ(0, start(peer, PAGE));
	EXPECT_TRUE(says(peer, 0, 32768 * PAGE, PAGE, 0, 0));
	EXPECT_EQ(EINVAL, report(peer, 0, 32769 * PAGE, PAGE));
	peer_stop(peer);
}

TEST(a_report_that_does_not_fit_into_argsz_says_so_and_clears_nothing)
{
	struct wire_dma_report data = { GUEST_AT, GUEST_BYTES, PAGE };
	uint32_t full = FEATURE_HEAD + sizeof(data) + GUEST_BYTES / PAGE / 8;
	uint32_t get = WIRE_FEATURE_GET | WIRE_FEATURE_DMA_LOGGING_REPORT;
	struct peer *peer = open_mapped("testdev", 0);
	struct wire_device_feature head;

	ASSERT_EQ(0, start(peer, PAGE));
	stamp(peer, GUEST_AT);
	ASSERT_EQ(0, peer_feature(peer, get, full - 1, &data, sizeof(data)));
	ASSERT_EQ(sizeof(head), peer->reply.len);
	memcpy(&head, peer->reply.body, sizeof(head));
	EXPECT_EQ(full, head.argsz);
	EXPECT_EQ(get, head.flags);
	ASSERT_EQ(0, peer_feature(peer, get, full, &data, sizeof(data)));
	EXPECT_EQ(full, peer->reply.len);
	EXPECT_EQ(1, count_dirty(peer));
	peer_stop(peer);
}

TEST_HARNESS_MAIN
