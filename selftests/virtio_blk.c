// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio-blk: what a driver asks for is done to the file, and what can't be is refused.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fastpath-client.h"
#include "kselftest_harness.h"
#include "peer.h"
#include "program.h"
#include "virtio_driver.h"
#include "virtio_pci.h"

#define SECTORS 4096u
#define NO_STATUS 0xaa

FIXTURE(blk) {
	struct driver driver;
	char path[64];
	int file;
	uint64_t header, status, data; /* iovas */
};

FIXTURE_VARIANT(blk) {
	unsigned int how;
};

#define WAY(name, flags)                 \
	FIXTURE_VARIANT_ADD(blk, name) { \
		.how = flags             \
	}

WAY(split, DRIVER_EVENT_IDX);
WAY(packed, DRIVER_PACKED | DRIVER_EVENT_IDX | DRIVER_BY_EVENTFD);
WAY(split_indirect, DRIVER_INDIRECT | DRIVER_BY_EVENTFD);
WAY(packed_indirect, DRIVER_PACKED | DRIVER_INDIRECT);
WAY(by_message, DRIVER_BY_MESSAGE);

static void make_file(char *path, int *file)
{
	strcpy(path, "/tmp/fastpath-disk-XXXXXX");
	*file = mkstemp(path);
	if (*file < 0 || ftruncate(*file, (off_t)SECTORS * 512))
		abort();
}

static void set_up(struct driver *driver, uint64_t features, unsigned int queues, uint64_t *header,
		   uint64_t *status, uint64_t *data)
{
	driver_init(driver, features, queues);
	*header = driver_alloc(driver, 4096);
	*status = *header + 64;
	*data = driver_alloc(driver, 1u << 20);
}

FIXTURE_SETUP(blk)
{
	char device[200];

	make_file(self->path, &self->file);
	snprintf(device, sizeof(device), "virtio-blk,path=%s,serial=disk-of-the-test,num-queues=2",
		 self->path);
	driver_start(&self->driver, device, variant->how);
	set_up(&self->driver, 1ull << VIRTIO_BLK_F_FLUSH | 1ull << VIRTIO_BLK_F_MQ, 2,
	       &self->header, &self->status, &self->data);
}

FIXTURE_TEARDOWN(blk)
{
	driver_stop(&self->driver);
	unlink(self->path);
}

/* A request with `nr` pieces of data: its status; *len is what the driver was told. */
static uint8_t ask(struct driver *driver, uint64_t header, uint32_t type, uint64_t sector,
		   const struct driver_buffer *data, unsigned int nr, uint32_t *len)
{
	struct virtio_blk_outhdr *at = driver_at(driver, header);
	uint8_t *status = driver_at(driver, header + 64);
	struct driver_buffer buffers[16] = { { header, sizeof(*at), false } };

	*at = (struct virtio_blk_outhdr){ .type = type, .sector = sector };
	*status = NO_STATUS;
	for (unsigned int i = 0; i < nr; i++)
		buffers[1 + i] = data[i];
	buffers[1 + nr] = (struct driver_buffer){ header + 64, 1, true };
	*len = driver_do(driver, 0, buffers, nr + 2);
	return *status;
}

static void fill(uint8_t *bytes, size_t len, unsigned int seed)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(seed + i * 7 + (i >> 9));
}

TEST_F(blk, what_is_written_is_in_the_file_and_read_back)
{
	const struct driver_buffer out[] = { { self->data, 512, false },
					     { self->data + 4096, 3 * 512, false } };
	const struct driver_buffer in[] = { { self->data + 65536, 2 * 512, true },
					    { self->data + 131072, 2 * 512, true } };
	uint8_t *bytes = driver_at(&self->driver, self->data);
	uint8_t file[4 * 512];
	uint32_t len;

	fill(bytes, 512, 1);
	fill(bytes + 4096, 3 * 512, 2);
	EXPECT_EQ(VIRTIO_BLK_S_OK,
		  ask(&self->driver, self->header, VIRTIO_BLK_T_OUT, 7, out, 2, &len));
	EXPECT_EQ(1, len);
	ASSERT_EQ(sizeof(file), pread(self->file, file, sizeof(file), 7 * 512));
	EXPECT_EQ(0, memcmp(file, bytes, 512));
	EXPECT_EQ(0, memcmp(file + 512, bytes + 4096, 3 * 512));
	EXPECT_EQ(VIRTIO_BLK_S_OK,
		  ask(&self->driver, self->header, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, &len));
	EXPECT_EQ(VIRTIO_BLK_S_OK,
		  ask(&self->driver, self->header, VIRTIO_BLK_T_IN, 7, in, 2, &len));
	EXPECT_EQ(4 * 512 + 1, len);
	EXPECT_EQ(0, memcmp(file, bytes + 65536, 1024));
	EXPECT_EQ(0, memcmp(file + 1024, bytes + 131072, 1024));
}

TEST_F(blk, a_large_request_is_done_whole)
{
	const struct driver_buffer out = { self->data, 400u << 10, false };
	const struct driver_buffer in = { self->data + (512u << 10), 400u << 10, true };
	uint8_t *bytes = driver_at(&self->driver, self->data);
	uint32_t len;

	fill(bytes, out.len, 5);
	EXPECT_EQ(VIRTIO_BLK_S_OK,
		  ask(&self->driver, self->header, VIRTIO_BLK_T_OUT, 100, &out, 1, &len));
	EXPECT_EQ(VIRTIO_BLK_S_OK,
		  ask(&self->driver, self->header, VIRTIO_BLK_T_IN, 100, &in, 1, &len));
	EXPECT_EQ(0, memcmp(bytes, bytes + (512u << 10), out.len));
}

/* The header and the status may lie anywhere: "no assumptions about framing". */
TEST_F(blk, a_header_in_pieces_with_the_data_is_understood)
{
	struct driver *driver = &self->driver;
	struct virtio_blk_outhdr header = { .type = VIRTIO_BLK_T_OUT, .sector = 9 };
	uint8_t *bytes = driver_at(driver, self->data);
	const struct driver_buffer buffers[] = { { self->data, 5, false },
						 { self->data + 5, 11 + 512, false },
						 { self->status, 1, true } };
	uint8_t file[512];

	memcpy(bytes, &header, sizeof(header));
	fill(bytes + 16, 512, 3);
	driver_do(driver, 0, buffers, 3);
	EXPECT_EQ(VIRTIO_BLK_S_OK, *(uint8_t *)driver_at(driver, self->status));
	ASSERT_EQ(512, pread(self->file, file, 512, 9 * 512));
	EXPECT_EQ(0, memcmp(file, bytes + 16, 512));
}

TEST_F(blk, a_read_of_nothing_is_done)
{
	uint32_t len;

	EXPECT_EQ(VIRTIO_BLK_S_OK,
		  ask(&self->driver, self->header, VIRTIO_BLK_T_IN, 0, NULL, 0, &len));
}

TEST_F(blk, it_has_the_serial_number_that_it_was_given)
{
	const struct driver_buffer in = { self->data, 20, true };
	uint32_t len;

	EXPECT_EQ(VIRTIO_BLK_S_OK,
		  ask(&self->driver, self->header, VIRTIO_BLK_T_GET_ID, 0, &in, 1, &len));
	EXPECT_EQ(21, len);
	EXPECT_STREQ("disk-of-the-test", (char *)driver_at(&self->driver, self->data));
}

static uint8_t ask_range(struct driver *driver, uint64_t header, uint64_t data, uint32_t type,
			 uint64_t sector, uint32_t nr, uint32_t flags)
{
	const struct driver_buffer out = { data, 16, false };
	uint32_t len;

	*(struct virtio_blk_discard_write_zeroes *)driver_at(driver, data) =
		(struct virtio_blk_discard_write_zeroes){ sector, nr, flags };
	return ask(driver, header, type, 0, &out, 1, &len);
}

static void write_ones(int file)
{
	uint8_t ones[64 * 512];

	memset(ones, 1, sizeof(ones));
	if (pwrite(file, ones, sizeof(ones), 0) != sizeof(ones))
		abort();
}

/* Whether sectors [first, first + nr) are of that, and those around them of ones. */
static bool is_hole(int file, unsigned int first, unsigned int nr, uint8_t value)
{
	uint8_t bytes[64 * 512];

	if (pread(file, bytes, sizeof(bytes), 0) != sizeof(bytes))
		abort();
	for (unsigned int i = 0; i < sizeof(bytes); i++)
		if (bytes[i] != (i / 512 >= first && i / 512 < first + nr ? value : 1))
			return false;
	return true;
}

TEST_F(blk, zeros_are_written_with_and_without_a_hole)
{
	struct driver *driver = &self->driver;

	for (uint32_t unmap = 0; unmap < 2; unmap++) {
		write_ones(self->file);
		EXPECT_EQ(VIRTIO_BLK_S_OK, ask_range(driver, self->header, self->data,
						     VIRTIO_BLK_T_WRITE_ZEROES, 9, 17, unmap));
		EXPECT_TRUE(is_hole(self->file, 9, 17, 0));
	}
}

TEST_F(blk, what_is_discarded_takes_no_room)
{
	struct stat before, after;

	write_ones(self->file);
	fsync(self->file);
	fstat(self->file, &before);
	EXPECT_EQ(VIRTIO_BLK_S_OK, ask_range(&self->driver, self->header, self->data,
					     VIRTIO_BLK_T_DISCARD, 8, 16, 0));
	fsync(self->file);
	fstat(self->file, &after);
	EXPECT_LT(after.st_blocks, before.st_blocks);
	EXPECT_TRUE(is_hole(self->file, 8, 16, 0));
}

TEST_F(blk, what_is_beyond_the_end_is_an_error_of_that_request)
{
	const struct driver_buffer in = { self->data, 1024, true };
	const struct driver_buffer out = { self->data, 1024, false };
	const uint64_t sectors[] = { SECTORS - 1, SECTORS, UINT64_MAX, UINT64_MAX / 512 };
	struct driver *driver = &self->driver;
	struct stat st;
	uint32_t len;

	for (unsigned int i = 0; i < 4; i++) {
		EXPECT_EQ(VIRTIO_BLK_S_IOERR,
			  ask(driver, self->header, VIRTIO_BLK_T_IN, sectors[i], &in, 1, &len));
		EXPECT_EQ(VIRTIO_BLK_S_IOERR,
			  ask(driver, self->header, VIRTIO_BLK_T_OUT, sectors[i], &out, 1, &len));
		EXPECT_EQ(VIRTIO_BLK_S_IOERR, ask_range(driver, self->header, self->data,
							VIRTIO_BLK_T_DISCARD, sectors[i], 2, 0));
		EXPECT_EQ(VIRTIO_BLK_S_IOERR,
			  ask_range(driver, self->header, self->data, VIRTIO_BLK_T_WRITE_ZEROES,
				    sectors[i], 2, 0));
	}
	EXPECT_EQ(VIRTIO_BLK_S_OK,
		  ask(driver, self->header, VIRTIO_BLK_T_IN, SECTORS - 2, &in, 1, &len));
	fstat(self->file, &st);
	EXPECT_EQ(SECTORS * 512, st.st_size);
}

TEST_F(blk, half_a_sector_is_an_error)
{
	const struct driver_buffer in = { self->data, 256, true };
	uint32_t len;

	EXPECT_EQ(VIRTIO_BLK_S_IOERR,
		  ask(&self->driver, self->header, VIRTIO_BLK_T_IN, 0, &in, 1, &len));
}

TEST_F(blk, what_it_does_not_know_is_unsupported)
{
	struct driver *driver = &self->driver;
	uint32_t len;

	EXPECT_EQ(VIRTIO_BLK_S_UNSUPP, ask(driver, self->header, 77, 0, NULL, 0, &len));
	EXPECT_EQ(VIRTIO_BLK_S_UNSUPP,
		  ask_range(driver, self->header, self->data, VIRTIO_BLK_T_DISCARD, 0, 8, 1));
	EXPECT_EQ(VIRTIO_BLK_S_UNSUPP,
		  ask_range(driver, self->header, self->data, VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 2));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, ask_range(driver, self->header, self->data,
						VIRTIO_BLK_T_DISCARD, 0, UINT32_MAX, 0));
}

TEST_F(blk, a_request_without_a_header_or_a_status_ends_it)
{
	const struct driver_buffer without[][2] = {
		{ { self->header, 15, false }, { self->status, 1, true } },
		{ { self->header, 16, false }, { self->data, 512, false } },
	};
	struct driver *driver = &self->driver;

	for (unsigned int i = 0; i < 2; i++) {
		driver_init(driver, 0, 1);
		driver_add(driver, 0, without[i], 2);
		driver_kick(driver, 0);
		driver_await_failure(driver);
	}
}

TEST_F(blk, data_that_is_not_in_memory_ends_it)
{
	struct driver *driver = &self->driver;
	struct virtio_blk_outhdr *header = driver_at(driver, self->header);
	const struct driver_buffer buffers[] = {
		{ self->header, 16, false },
		{ DRIVER_MEMORY_AT + DRIVER_MEMORY_BYTES - 256, 512, true },
		{ self->status, 1, true },
	};

	*header = (struct virtio_blk_outhdr){ .type = VIRTIO_BLK_T_IN };
	driver_add(driver, 0, buffers, 3);
	driver_kick(driver, 0);
	driver_await_failure(driver);
}

/* ---- many at a time ---- */

/* Slot i has its own header, status and a sector of data. */
static void add_slot(struct driver *driver, uint64_t area, unsigned int i, uint32_t type,
		     uint64_t sector)
{
	uint64_t at = area + i * 4096;
	const struct driver_buffer buffers[] = {
		{ at, 16, false },
		{ at + 1024, 512, type == VIRTIO_BLK_T_IN },
		{ at + 64, 1, true },
	};

	*(struct virtio_blk_outhdr *)driver_at(driver, at) =
		(struct virtio_blk_outhdr){ .type = type, .sector = sector };
	driver_add(driver, i % 2, buffers, 3);
}

#define SLOTS 8u

TEST_F(blk, many_requests_by_both_queues_are_all_done)
{
	struct driver *driver = &self->driver;
	uint64_t area = driver_alloc(driver, SLOTS * 4096);
	uint8_t expected[512];
	uint16_t id;

	for (unsigned int round = 0; round < 20; round++) {
		uint32_t type = round % 2 ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT;

		for (unsigned int i = 0; i < SLOTS; i++) {
			uint8_t *data = driver_at(driver, area + i * 4096 + 1024);

			if (round % 2)
				memset(data, 0, 512);
			else
				fill(data, 512, round + i);
			add_slot(driver, area, i, type, round / 2 * SLOTS + i);
		}
		driver_kick(driver, 0);
		driver_kick(driver, 1);
		for (unsigned int i = 0; i < SLOTS; i++)
			driver_await(driver, i % 2, &id);
		for (unsigned int i = 0; i < SLOTS; i++) {
			fill(expected, 512, (round & ~1u) + i);
			ASSERT_EQ(0,
				  memcmp(expected, driver_at(driver, area + i * 4096 + 1024), 512));
		}
	}
}

TEST_F(blk, a_reset_amid_requests_is_answered_when_none_is_left)
{
	struct driver *driver = &self->driver;
	uint64_t area = driver_alloc(driver, SLOTS * 4096);
	static const uint8_t zeros[SLOTS * 4096];

	write_ones(self->file);
	for (unsigned int i = 0; i < SLOTS; i++)
		add_slot(driver, area, i, VIRTIO_BLK_T_IN, i);
	driver_kick(driver, 0);
	driver_kick(driver, 1);
	driver_set_status(driver, 0);
	/* The memory is the driver's again. */
	memset(driver_at(driver, area), 0, SLOTS * 4096);
	EXPECT_EQ(0, driver_status(driver));
	EXPECT_EQ(0, memcmp(zeros, driver_at(driver, area), SLOTS * 4096));
}

TEST_F(blk, it_migrates_amid_requests_and_none_is_lost_or_done_twice)
{
	struct driver *driver = &self->driver;
	uint64_t area = driver_alloc(driver, SLOTS * 4096);
	struct device_server other;
	struct driver there;
	char device[200];
	uint8_t stream[8192];
	unsigned int used = 0;
	ssize_t len;
	uint16_t id;

	for (unsigned int i = 0; i < SLOTS; i++) {
		fill(driver_at(driver, area + i * 4096 + 1024), 512, i);
		add_slot(driver, area, i, VIRTIO_BLK_T_OUT, i);
	}
	driver_kick(driver, 0);
	driver_kick(driver, 1);
	ASSERT_EQ(0, fpc_migration_set_state(driver->client, FPC_MIG_STOP_COPY));
	len = fpc_migration_read(driver->client, stream, sizeof(stream));
	ASSERT_LT(0, len);
	snprintf(device, sizeof(device), "virtio-blk,path=%s,num-queues=2", self->path);
	device_server_start(&other, device);
	driver_attach(&there, &other, variant->how, driver);
	ASSERT_EQ(0, fpc_migration_set_state(there.client, FPC_MIG_RESUMING));
	ASSERT_EQ(0, fpc_migration_write(there.client, stream, (size_t)len));
	ASSERT_EQ(0, fpc_migration_set_state(there.client, FPC_MIG_RUNNING));
	for (unsigned int i = 0; i < SLOTS; i++) {
		driver_await(&there, i % 2, &id);
		used++;
	}
	EXPECT_EQ(SLOTS, used);
	for (unsigned int i = 0; i < SLOTS; i++) {
		uint8_t expected[512], file[512];

		fill(expected, 512, i);
		ASSERT_EQ(512, pread(self->file, file, 512, i * 512));
		EXPECT_EQ(0, memcmp(expected, file, 512));
	}
	driver_stop(&there);
}

TEST_F(blk, it_does_not_migrate_to_a_disk_of_another_size)
{
	struct driver *driver = &self->driver;
	struct device_server other;
	struct driver there;
	char path[64], device[200];
	uint8_t stream[8192];
	ssize_t len;
	int file;

	ASSERT_EQ(0, fpc_migration_set_state(driver->client, FPC_MIG_STOP_COPY));
	len = fpc_migration_read(driver->client, stream, sizeof(stream));
	make_file(path, &file);
	ASSERT_EQ(0, ftruncate(file, 65536));
	snprintf(device, sizeof(device), "virtio-blk,path=%s,num-queues=2", path);
	device_server_start(&other, device);
	driver_attach(&there, &other, variant->how, driver);
	ASSERT_EQ(0, fpc_migration_set_state(there.client, FPC_MIG_RESUMING));
	ASSERT_EQ(0, fpc_migration_write(there.client, stream, (size_t)len));
	EXPECT_EQ(-EINVAL, fpc_migration_set_state(there.client, FPC_MIG_RUNNING));
	driver_stop(&there);
	unlink(path);
}

/* ---- its keys ---- */

TEST(a_disk_that_is_readonly_says_so_and_is_not_written_to)
{
	struct driver driver;
	uint64_t header, status, data;
	struct driver_buffer out = { .len = 512 };
	char path[64], device[200];
	uint8_t file[512];
	uint32_t len;
	int fd;

	make_file(path, &fd);
	write_ones(fd);
	chmod(path, 0400);
	snprintf(device, sizeof(device), "virtio-blk,path=%s,readonly=on", path);
	driver_start(&driver, device, 0);
	EXPECT_TRUE(driver_offered(&driver) & 1ull << VIRTIO_BLK_F_RO);
	EXPECT_FALSE(driver_offered(&driver) & 1ull << VIRTIO_BLK_F_DISCARD);
	set_up(&driver, 1ull << VIRTIO_BLK_F_RO, 1, &header, &status, &data);
	out.iova = data;
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, ask(&driver, header, VIRTIO_BLK_T_OUT, 0, &out, 1, &len));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR,
		  ask_range(&driver, header, data, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0));
	out.write = true;
	EXPECT_EQ(VIRTIO_BLK_S_OK, ask(&driver, header, VIRTIO_BLK_T_IN, 0, &out, 1, &len));
	ASSERT_EQ(512, pread(fd, file, 512, 0));
	EXPECT_EQ(0, memcmp(file, driver_at(&driver, data), 512));
	EXPECT_EQ(1, file[0]);
	driver_stop(&driver);
	unlink(path);
}

TEST(the_configuration_says_how_large_it_is_and_how_many_queues_it_has)
{
	struct driver driver;
	char path[64], device[200];
	int fd;

	make_file(path, &fd);
	snprintf(device, sizeof(device), "virtio-blk,path=%s,num-queues=3", path);
	driver_start(&driver, device, 0);
	EXPECT_EQ(SECTORS, driver_read(&driver, VIRTIO_BAR_DEVICE, 8));
	EXPECT_EQ(3, driver_read(&driver,
				 VIRTIO_BAR_DEVICE + offsetof(struct virtio_blk_config, num_queues),
				 2));
	EXPECT_TRUE(driver_offered(&driver) & 1ull << VIRTIO_BLK_F_MQ);
	driver_stop(&driver);
	unlink(path);
}

/* What fastpathd says to a device that can't be had. */
static void is_refused(struct __test_metadata *_metadata, const char *keys, const char *says)
{
	struct program program;
	char device[200];

	snprintf(device, sizeof(device), "virtio-blk,socket=/tmp/fastpath-never.sock%s", keys);
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
	char path[64], keys[200];
	int fd;

	make_file(path, &fd);
	is_refused(_metadata, "", "path= is needed");
	is_refused(_metadata, ",path=/nonexistent/disk", "path=/nonexistent/disk: No such file");
	is_refused(_metadata, ",path=/dev/null",
		   "path=/dev/null: it is neither a file nor a block");
	snprintf(keys, sizeof(keys), ",path=%s,num-queues=65", path);
	is_refused(_metadata, keys, "num-queues=65: 64 at most");
	snprintf(keys, sizeof(keys), ",path=%s,serial=123456789012345678901", path);
	is_refused(_metadata, keys, "serial=123456789012345678901: 20 bytes at most");
	ASSERT_EQ(0, ftruncate(fd, 100));
	snprintf(keys, sizeof(keys), ",path=%s", path);
	is_refused(_metadata, keys, "smaller than a sector");
	unlink(path);
}

TEST_HARNESS_MAIN
