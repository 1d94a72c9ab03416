// SPDX-License-Identifier: GPL-2.0-only
/*
 * nvme: what a driver asks for is done to the files, what can't be is a status, and doorbells need not
 * be written.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fastpath-client.h"
#include "kselftest_harness.h"
#include "nvme_driver.h"
#include "peer.h"
#include "program.h"

#define BLOCKS 4096u
#define PAGE 4096u
#define SGL (1u << 6)

FIXTURE(nvme) {
	struct nvmed driver;
	char path[64];
	int file;
	uint64_t data;
};

FIXTURE_VARIANT(nvme) {
	unsigned int how;
	const char *keys;
};

#define WAY(name, flags, more)             \
	FIXTURE_VARIANT_ADD(nvme, name) {  \
		.how = flags, .keys = more \
	}

WAY(values, 0, "");
WAY(shadow, NVMED_SHADOW, ",direct=on");
WAY(eventfds, NVMED_SHADOW | NVMED_BY_EVENTFD, ",doorbells=eventfd");
WAY(by_message, NVMED_BY_MESSAGE, "");
WAY(line, NVMED_INTX, "");
WAY(line_shadow, NVMED_INTX | NVMED_SHADOW, "");

static void make_file(char *path, int *file)
{
	strcpy(path, "/tmp/fastpath-nvme-XXXXXX");
	*file = mkstemp(path);
	if (*file < 0 || ftruncate(*file, (off_t)BLOCKS * 512))
		abort();
}

FIXTURE_SETUP(nvme)
{
	char device[200];

	make_file(self->path, &self->file);
	snprintf(device, sizeof(device), "nvme,path=%s,serial=of-the-test%s", self->path,
		 variant->keys);
	nvmed_start(&self->driver, device, variant->how);
	nvmed_init(&self->driver);
	self->data = nvmed_alloc(&self->driver, 4u << 20);
}

FIXTURE_TEARDOWN(nvme)
{
	nvmed_stop(&self->driver);
	unlink(self->path);
}

static void fill(uint8_t *bytes, size_t len, unsigned int seed)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(seed + i * 7 + (i >> 9));
}

static struct nvme_sqe blocks(uint8_t opcode, uint64_t lba, uint32_t nr, uint64_t prp1,
			      uint64_t prp2)
{
	return (struct nvme_sqe){
		.opcode = opcode,
		.nsid = 1,
		.prp1 = prp1,
		.prp2 = prp2,
		.cdw10 = (uint32_t)lba,
		.cdw11 = (uint32_t)(lba >> 32),
		.cdw12 = nr - 1,
	};
}

TEST_F(nvme, what_is_written_is_in_the_file_and_read_back)
{
	struct nvmed *driver = &self->driver;
	uint8_t *bytes = nvmed_at(driver, self->data);
	uint8_t file[1024];

	/* Over the end of a page, so that there are two PRPs. */
	fill(bytes + PAGE - 512, 1024, 1);
	EXPECT_EQ(NVME_OK,
		  nvmed_do(driver, 1,
			   blocks(NVME_WRITE, 7, 2, self->data + PAGE - 512, self->data + PAGE),
			   NULL));
	ASSERT_EQ(1024, pread(self->file, file, 1024, 7 * 512));
	EXPECT_EQ(0, memcmp(file, bytes + PAGE - 512, 1024));
	EXPECT_EQ(NVME_OK, nvmed_do(driver, 2, blocks(NVME_FLUSH, 0, 1, 0, 0), NULL));
	EXPECT_EQ(NVME_OK,
		  nvmed_do(driver, 2, blocks(NVME_READ, 7, 2, self->data + 65536, 0), NULL));
	EXPECT_EQ(0, memcmp(file, bytes + 65536, 1024));
}

/* A list that begins near the end of its page leads on by its last entry. */
TEST_F(nvme, a_megabyte_goes_by_lists_of_prps)
{
	struct nvmed *driver = &self->driver;
	uint8_t *bytes = nvmed_at(driver, self->data);
	uint64_t lists = nvmed_alloc(driver, 2 * PAGE);
	uint64_t *first = nvmed_at(driver, lists + PAGE - 16);
	uint64_t *second = nvmed_at(driver, lists + PAGE);
	const uint32_t nr = 2048;

	fill(bytes, nr * 512, 3);
	first[0] = self->data + PAGE;
	first[1] = lists + PAGE;
	for (unsigned int i = 2; i < 256; i++)
		second[i - 2] = self->data + i * PAGE;
	EXPECT_EQ(NVME_OK,
		  nvmed_do(driver, 1, blocks(NVME_WRITE, 100, nr, self->data, lists + PAGE - 16),
			   NULL));
	first[0] = self->data + (1u << 20) + PAGE;
	for (unsigned int i = 2; i < 256; i++)
		second[i - 2] = self->data + (1u << 20) + i * PAGE;
	EXPECT_EQ(NVME_OK,
		  nvmed_do(driver, 1,
			   blocks(NVME_READ, 100, nr, self->data + (1u << 20), lists + PAGE - 16),
			   NULL));
	EXPECT_EQ(0, memcmp(bytes, bytes + (1u << 20), nr * 512));
	EXPECT_EQ(NVME_BAD_FIELD,
		  nvmed_do(driver, 1, blocks(NVME_READ, 0, nr + 1, self->data, lists), NULL));
}

static uint64_t sgl_tail(uint32_t length, uint8_t type)
{
	return length | (uint64_t)type << 56;
}

TEST_F(nvme, sgls_are_one_block_or_segments_of_them)
{
	struct nvmed *driver = &self->driver;
	uint64_t table = nvmed_alloc(driver, 2 * PAGE);
	struct nvme_sgl *sgls = nvmed_at(driver, table);
	uint8_t *bytes = nvmed_at(driver, self->data);
	struct nvme_sqe sqe;
	uint8_t file[1024];

	fill(bytes, 2048, 9);
	/* A segment of one block and the way to the last segment, which has two. */
	sgls[0] = (struct nvme_sgl){ .address = self->data + 3, .length = 500 };
	sgls[1] = (struct nvme_sgl){ table + PAGE, 32, { 0 }, NVME_SGL_LAST_SEGMENT };
	sgls[256] = (struct nvme_sgl){ .address = self->data + 503, .length = 12 };
	sgls[257] = (struct nvme_sgl){ .address = self->data + 515, .length = 512 };
	sqe = blocks(NVME_WRITE, 50, 2, table, sgl_tail(32, NVME_SGL_SEGMENT));
	sqe.flags = SGL;
	EXPECT_EQ(NVME_OK, nvmed_do(driver, 1, sqe, NULL));
	ASSERT_EQ(1024, pread(self->file, file, 1024, 50 * 512));
	EXPECT_EQ(0, memcmp(file, bytes + 3, 1024));
	sqe = blocks(NVME_READ, 50, 2, self->data + 8192, sgl_tail(1024, NVME_SGL_DATA));
	sqe.flags = SGL;
	EXPECT_EQ(NVME_OK, nvmed_do(driver, 1, sqe, NULL));
	EXPECT_EQ(0, memcmp(file, bytes + 8192, 1024));
}

TEST_F(nvme, sgls_that_can_not_be_are_a_status)
{
	struct nvmed *driver = &self->driver;
	uint64_t table = nvmed_alloc(driver, PAGE);
	struct nvme_sgl *loop = nvmed_at(driver, table);
	const struct {
		uint64_t at;
		uint64_t tail;
		uint16_t status;
	} cases[] = {
		{ table, sgl_tail(16, NVME_SGL_SEGMENT), NVME_BAD_SGL_NUMBER }, /* a loop */
		{ table, sgl_tail(16, NVME_SGL_LAST_SEGMENT), NVME_BAD_SGL_SEGMENT },
		{ table, sgl_tail(15, NVME_SGL_SEGMENT), NVME_BAD_SGL_SEGMENT },
		{ table, sgl_tail(0, NVME_SGL_SEGMENT), NVME_BAD_SGL_SEGMENT },
		{ table, sgl_tail(0xfffffff0, NVME_SGL_SEGMENT), NVME_BAD_SGL_NUMBER },
		{ self->data, sgl_tail(511, NVME_SGL_DATA), NVME_BAD_SGL_LENGTH },
		{ self->data, sgl_tail(513, NVME_SGL_DATA), NVME_BAD_SGL_LENGTH },
		{ self->data, sgl_tail(512, 0x40), NVME_BAD_SGL_TYPE },
		{ 0x1000, sgl_tail(512, NVME_SGL_DATA), NVME_TRANSFER_ERROR },
		{ 0x1000, sgl_tail(32, NVME_SGL_SEGMENT), NVME_TRANSFER_ERROR },
	};

	loop[0] = (struct nvme_sgl){ table, 16, { 0 }, NVME_SGL_SEGMENT };
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct nvme_sqe sqe = blocks(NVME_READ, 0, 1, cases[i].at, cases[i].tail);

		sqe.flags = SGL;
		EXPECT_EQ(cases[i].status, nvmed_do(driver, 1, sqe, NULL))
		{
			TH_LOG("case %u", i);
		}
	}
}

TEST_F(nvme, prps_and_blocks_that_can_not_be_are_a_status)
{
	struct nvmed *driver = &self->driver;
	uint64_t d = self->data;
	const struct {
		struct nvme_sqe sqe;
		uint16_t status;
	} cases[] = {
		{ blocks(NVME_READ, 0, 1, d + 2, 0), NVME_BAD_PRP_OFFSET },
		{ blocks(NVME_READ, 0, 16, d, d + 4), NVME_BAD_PRP_OFFSET },
		{ blocks(NVME_READ, 0, 32, d, d + 4), NVME_BAD_PRP_OFFSET },
		{ blocks(NVME_READ, 0, 1, 0x1000, 0), NVME_TRANSFER_ERROR },
		{ blocks(NVME_READ, 0, 32, d, 0x1000), NVME_TRANSFER_ERROR },
		{ blocks(NVME_READ, 0, 1, UINT64_MAX - 511, 0), NVME_BAD_FIELD },
		{ blocks(NVME_READ, BLOCKS, 1, d, 0), NVME_LBA_RANGE },
		{ blocks(NVME_READ, BLOCKS - 1, 2, d, 0), NVME_LBA_RANGE },
		{ blocks(NVME_WRITE, UINT64_MAX, 1, d, 0), NVME_LBA_RANGE },
		{ blocks(NVME_WRITE_ZEROES, UINT64_MAX / 512, 2, 0, 0), NVME_LBA_RANGE },
		{ { .opcode = NVME_READ, .nsid = 2, .prp1 = d }, NVME_BAD_NAMESPACE },
		{ { .opcode = NVME_READ, .nsid = 0, .prp1 = d }, NVME_BAD_NAMESPACE },
		{ { .opcode = 0x7f, .nsid = 1 }, NVME_BAD_OPCODE },
		{ { .opcode = NVME_READ, .flags = 1, .nsid = 1 }, NVME_BAD_FIELD },
	};

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		EXPECT_EQ(cases[i].status, nvmed_do(driver, 1, cases[i].sqe, NULL))
		{
			TH_LOG("case %u", i);
		}
	}
}

TEST_F(nvme, zeros_are_written_and_blocks_deallocated)
{
	struct nvmed *driver = &self->driver;
	struct nvme_range *ranges = nvmed_at(driver, self->data);
	uint8_t ones[64 * 512], file[64 * 512];
	struct nvme_sqe sqe;

	memset(ones, 1, sizeof(ones));
	ASSERT_EQ((ssize_t)sizeof(ones), pwrite(self->file, ones, sizeof(ones), 0));
	EXPECT_EQ(NVME_OK, nvmed_do(driver, 1, blocks(NVME_WRITE_ZEROES, 1, 2, 0, 0), NULL));
	ranges[0] = (struct nvme_range){ .blocks = 3, .lba = 8 };
	ranges[1] = (struct nvme_range){ .blocks = 1, .lba = 20 };
	sqe = (struct nvme_sqe){
		.opcode = NVME_DATASET, .nsid = 1, .prp1 = self->data, .cdw10 = 1, .cdw11 = 4
	};
	EXPECT_EQ(NVME_OK, nvmed_do(driver, 1, sqe, NULL));
	memset(ones + 512, 0, 2 * 512);
	memset(ones + 8 * 512, 0, 3 * 512);
	memset(ones + 20 * 512, 0, 512);
	ASSERT_EQ((ssize_t)sizeof(file), pread(self->file, file, sizeof(file), 0));
	EXPECT_EQ(0, memcmp(ones, file, sizeof(file)));
	ranges[1].lba = BLOCKS;
	EXPECT_EQ(NVME_LBA_RANGE, nvmed_do(driver, 1, sqe, NULL));
}

TEST_F(nvme, what_has_no_room_in_the_completion_queue_waits)
{
	struct nvmed *driver = &self->driver;
	const struct nvme_cqe *last = nvmed_at(driver, driver->queues[1].cq);
	const unsigned int nr = NVMED_ENTRIES + 4;
	int64_t deadline = 0;
	unsigned int seen = 0;
	uint16_t first = driver->cid;

	last += NVMED_ENTRIES - 2;
	for (unsigned int i = 0; i < nr; i++) {
		if (i == NVMED_ENTRIES - 1) /* it is full from here on */
			while (!(__atomic_load_n(&last->status, __ATOMIC_ACQUIRE) & 1)) {
				ASSERT_TRUE(peer_time_left(&deadline));
				nvmed_read(driver, NVME_CSTS, 4);
			}
		nvmed_submit(driver, 1, blocks(NVME_FLUSH, 0, 1, 0, 0));
	}
	EXPECT_EQ(NVME_CSTS_RDY, nvmed_read(driver, NVME_CSTS, 4));
	for (unsigned int i = 0; i < nr; i++)
		seen |= 1u << (uint16_t)(nvmed_await(driver, 1).cid - first);
	EXPECT_EQ((1u << nr) - 1, seen);
}

TEST_F(nvme, many_commands_are_all_done)
{
	struct nvmed *driver = &self->driver;
	struct nvme_cqe cqe;

	for (unsigned int round = 0; round < 40; round++) {
		for (unsigned int i = 0; i < NVMED_ENTRIES - 1; i++)
			nvmed_submit(driver, 1 + round % 2,
				     blocks(round % 3 ? NVME_READ : NVME_WRITE, i, 1,
					    self->data + i * PAGE, 0));
		for (unsigned int i = 0; i < NVMED_ENTRIES - 1; i++) {
			cqe = nvmed_await(driver, 1 + round % 2);
			ASSERT_EQ(NVME_OK, cqe.status >> 1);
		}
	}
	EXPECT_FALSE(nvmed_take(driver, 1, &cqe));
}

TEST_F(nvme, a_reset_amid_commands_ends_them_and_it_starts_anew)
{
	struct nvmed *driver = &self->driver;

	for (unsigned int i = 0; i < NVMED_ENTRIES - 1; i++)
		nvmed_submit(driver, 1, blocks(NVME_READ, i, 8, self->data + i * PAGE, 0));
	nvmed_init(driver);
	self->data = nvmed_alloc(driver, PAGE);
	EXPECT_EQ(NVME_OK, nvmed_do(driver, 1, blocks(NVME_READ, 0, 1, self->data, 0), NULL));
}

TEST_F(nvme, a_queue_is_deleted_with_commands_in_flight)
{
	struct nvmed *driver = &self->driver;
	struct nvme_sqe sqe = { .opcode = NVME_ADMIN_DELETE_CQ, .cdw10 = 1 };

	for (unsigned int i = 0; i < NVMED_ENTRIES - 1; i++)
		nvmed_submit(driver, 1, blocks(NVME_READ, i, 8, self->data + i * PAGE, 0));
	EXPECT_EQ(NVME_BAD_QUEUE_DELETION, nvmed_do(driver, 0, sqe, NULL));
	sqe.opcode = NVME_ADMIN_DELETE_SQ;
	EXPECT_EQ(NVME_OK, nvmed_do(driver, 0, sqe, NULL));
	EXPECT_EQ(NVME_BAD_QUEUE_ID, nvmed_do(driver, 0, sqe, NULL));
	sqe.opcode = NVME_ADMIN_DELETE_CQ;
	EXPECT_EQ(NVME_OK, nvmed_do(driver, 0, sqe, NULL));
	EXPECT_EQ(NVME_OK, nvmed_do(driver, 2, blocks(NVME_READ, 0, 1, self->data, 0), NULL));
}

TEST_F(nvme, it_migrates_amid_commands_and_none_is_lost)
{
	struct nvmed *driver = &self->driver;
	struct device_server other;
	struct nvmed there;
	char device[200];
	uint8_t stream[16384], expected[512], file[512];
	ssize_t len;

	/* An event request waits, and goes along. */
	nvmed_submit(driver, 0, (struct nvme_sqe){ .opcode = NVME_ADMIN_ASYNC_EVENT });
	for (unsigned int i = 0; i < NVMED_ENTRIES - 1; i++) {
		fill(nvmed_at(driver, self->data + i * PAGE), 512, i);
		nvmed_submit(driver, 1, blocks(NVME_WRITE, i, 1, self->data + i * PAGE, 0));
	}
	ASSERT_EQ(0, fpc_migration_set_state(driver->client, FPC_MIG_STOP_COPY));
	len = fpc_migration_read(driver->client, stream, sizeof(stream));
	ASSERT_LT(0, len);
	snprintf(device, sizeof(device), "nvme,path=%s,serial=of-the-test%s", self->path,
		 variant->keys);
	device_server_start(&other, device);
	nvmed_attach(&there, &other, variant->how, driver);
	ASSERT_EQ(0, fpc_migration_set_state(there.client, FPC_MIG_RESUMING));
	ASSERT_EQ(0, fpc_migration_write(there.client, stream, (size_t)len));
	ASSERT_EQ(0, fpc_migration_set_state(there.client, FPC_MIG_RUNNING));
	for (unsigned int i = 0; i < NVMED_ENTRIES - 1; i++)
		ASSERT_EQ(NVME_OK, nvmed_await(&there, 1).status >> 1);
	for (unsigned int i = 0; i < NVMED_ENTRIES - 1; i++) {
		fill(expected, 512, i);
		ASSERT_EQ(512, pread(self->file, file, 512, i * 512));
		ASSERT_EQ(0, memcmp(expected, file, 512));
	}
	nvmed_write(&there, NVME_DOORBELLS, NVMED_ENTRIES, 4);
	EXPECT_EQ(0x10100, nvmed_await(&there, 0).result);
	nvmed_stop(&there);
}

TEST_F(nvme, a_bad_doorbell_is_an_event_and_nothing_else)
{
	struct nvmed *driver = &self->driver;
	struct nvme_sqe log = { .opcode = NVME_ADMIN_GET_LOG,
				.prp1 = self->data,
				.cdw10 = NVME_LOG_ERRORS | 15 << 16 };

	nvmed_submit(driver, 0, (struct nvme_sqe){ .opcode = NVME_ADMIN_ASYNC_EVENT });
	nvmed_write(driver, NVME_DOORBELLS, NVMED_ENTRIES, 4);
	EXPECT_EQ(0x10100, nvmed_await(driver, 0).result);
	EXPECT_EQ(NVME_OK, nvmed_do(driver, 0, log, NULL));
	nvmed_submit(driver, 0, (struct nvme_sqe){ .opcode = NVME_ADMIN_ASYNC_EVENT });
	nvmed_write(driver, NVME_DOORBELLS + 4, UINT32_MAX, 4); /* a head that nothing is behind */
	EXPECT_EQ(0x10100, nvmed_await(driver, 0).result);
	nvmed_write(driver, NVME_DOORBELLS + 0xffc, 0, 4);
	EXPECT_EQ(NVME_OK, nvmed_do(driver, 0, log, NULL));
	EXPECT_EQ(NVME_CSTS_RDY, nvmed_read(driver, NVME_CSTS, 4));
}

TEST_F(nvme, it_says_what_it_is)
{
	struct nvmed *driver = &self->driver;
	const uint8_t *page = nvmed_at(driver, self->data);
	struct nvme_sqe sqe = { .opcode = NVME_ADMIN_IDENTIFY, .prp1 = self->data, .cdw10 = 1 };

	EXPECT_EQ(NVME_OK, nvmed_do(driver, 0, sqe, NULL));
	EXPECT_EQ(0, memcmp(page + 4, "of-the-test         ", 20));
	EXPECT_EQ(8, page[77]);
	EXPECT_EQ(1, page[257]); /* Doorbell Buffer Config */
	sqe.cdw10 = 0;
	EXPECT_EQ(NVME_BAD_NAMESPACE, nvmed_do(driver, 0, sqe, NULL));
	sqe.nsid = 1;
	EXPECT_EQ(NVME_OK, nvmed_do(driver, 0, sqe, NULL));
	EXPECT_EQ(BLOCKS, *(const uint64_t *)(const void *)page);
	sqe.cdw10 = 2;
	sqe.nsid = 0;
	EXPECT_EQ(NVME_OK, nvmed_do(driver, 0, sqe, NULL));
	EXPECT_EQ(1, *(const uint64_t *)(const void *)page);
	sqe.cdw10 = 77;
	EXPECT_EQ(NVME_BAD_FIELD, nvmed_do(driver, 0, sqe, NULL));
}

TEST_F(nvme, a_shutdown_is_done_and_a_reset_follows)
{
	struct nvmed *driver = &self->driver;
	int64_t deadline = 0;

	nvmed_write(driver, NVME_CC, nvmed_read(driver, NVME_CC, 4) | 1u << 14, 4);
	while ((nvmed_read(driver, NVME_CSTS, 4) & NVME_CSTS_SHST) != NVME_CSTS_SHST_DONE)
		ASSERT_TRUE(peer_time_left(&deadline));
	nvmed_init(driver);
	EXPECT_EQ(NVME_CSTS_RDY, nvmed_read(driver, NVME_CSTS, 4));
}

/* ---- shadow doorbells ---- */

TEST(a_driver_with_shadow_doorbells_rings_for_commands_and_never_for_completions)
{
	struct nvmed driver;
	char path[64], device[200];
	uint64_t data;
	int fd;

	make_file(path, &fd);
	snprintf(device, sizeof(device), "nvme,path=%s,doorbells=eventfd", path);
	nvmed_start(&driver, device, NVMED_SHADOW | NVMED_BY_EVENTFD);
	nvmed_init(&driver);
	data = nvmed_alloc(&driver, PAGE);
	for (unsigned int i = 0; i < 200; i++)
		ASSERT_EQ(NVME_OK, nvmed_do(&driver, 1, blocks(NVME_READ, 0, 1, data, 0), NULL));
	EXPECT_LE(driver.rings, 200);
	EXPECT_GT(driver.rings, 0);
	nvmed_stop(&driver);
	unlink(path);
}

TEST(a_ring_whose_value_is_lost_stops_a_driver_without_shadow_doorbells)
{
	struct nvmed driver;
	char path[64], device[200];
	int64_t deadline = 0;
	int fd;

	make_file(path, &fd);
	snprintf(device, sizeof(device), "nvme,path=%s,doorbells=eventfd", path);
	nvmed_start(&driver, device, NVMED_BY_EVENTFD);
	nvmed_init(&driver);
	nvmed_submit(&driver, 1, blocks(NVME_READ, 0, 1, NVMED_MEMORY_AT, 0));
	while (!(nvmed_read(&driver, NVME_CSTS, 4) & NVME_CSTS_CFS))
		ASSERT_TRUE(peer_time_left(&deadline));
	nvmed_init(&driver);
	EXPECT_EQ(NVME_CSTS_RDY, nvmed_read(&driver, NVME_CSTS, 4));
	nvmed_stop(&driver);
	unlink(path);
}

TEST(shadow_doorbells_that_are_not_in_memory_are_refused)
{
	struct nvmed driver;
	char path[64], device[200];
	const uint64_t pages[][2] = {
		{ 0, NVMED_MEMORY_AT },
		{ NVMED_MEMORY_AT, 0x1000 },
		{ NVMED_MEMORY_AT + 8, NVMED_MEMORY_AT },
	};
	int fd;

	make_file(path, &fd);
	snprintf(device, sizeof(device), "nvme,path=%s", path);
	nvmed_start(&driver, device, 0);
	nvmed_init(&driver);
	for (unsigned int i = 0; i < 3; i++)
		EXPECT_EQ(NVME_BAD_FIELD,
			  nvmed_do(&driver, 0,
				   (struct nvme_sqe){ .opcode = NVME_ADMIN_DOORBELL_BUFFER,
						      .prp1 = pages[i][0],
						      .prp2 = pages[i][1] },
				   NULL));
	nvmed_stop(&driver);
	unlink(path);
}

/* ---- its keys ---- */

TEST(each_path_is_a_namespace_and_readonly_ones_are_not_written_to)
{
	struct nvmed driver;
	char first[64], second[64], device[300];
	uint64_t data;
	int fd, other;

	make_file(first, &fd);
	make_file(second, &other);
	ASSERT_EQ(512, pwrite(other, "second", 7, 0) + 505);
	snprintf(device, sizeof(device), "nvme,path=%s,path3=%s,readonly=on", first, second);
	nvmed_start(&driver, device, 0);
	nvmed_init(&driver);
	data = nvmed_alloc(&driver, PAGE);
	EXPECT_EQ(NVME_WRITE_PROTECTED,
		  nvmed_do(&driver, 1, blocks(NVME_WRITE, 0, 1, data, 0), NULL));
	EXPECT_EQ(NVME_OK,
		  nvmed_do(&driver, 1,
			   (struct nvme_sqe){ .opcode = NVME_READ, .nsid = 2, .prp1 = data },
			   NULL));
	EXPECT_STREQ("second", (const char *)nvmed_at(&driver, data));
	nvmed_stop(&driver);
	unlink(first);
	unlink(second);
}

static void is_refused(struct __test_metadata *_metadata, const char *keys, const char *says)
{
	struct program program;
	char device[200];

	snprintf(device, sizeof(device), "nvme,socket=/tmp/fastpath-never.sock%s", keys);
	ASSERT_EQ(0, program_start(&program, "fastpathd",
				   (const char *const[]){ "--device", device, NULL }, false));
	program_wait(&program);
	EXPECT_NE(0, program.status);
	EXPECT_NE(NULL, strstr(program.complained, says))
	{
		TH_LOG("it said: %s", program.complained);
	}
}

TEST(a_bad_key_is_one_error_that_names_it)
{
	is_refused(_metadata, "", "path= is needed");
	is_refused(_metadata, ",path=/nonexistent/disk", "path=/nonexistent/disk: No such file");
	is_refused(_metadata, ",path=/dev/null", "path=/dev/null: it is neither a file nor a");
	is_refused(_metadata, ",path=/x,num-queues=17", "num-queues=17: 16 at most");
	is_refused(_metadata, ",path=/x,serial=123456789012345678901", "20 bytes at most");
	is_refused(_metadata, ",path=/x,doorbells=no", "doorbells=no: span or eventfd");
}

TEST_HARNESS_MAIN
