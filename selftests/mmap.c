// SPDX-License-Identifier: GPL-2.0-only
/*
 * Regions that a client may map: what DEVICE_GET_REGION_INFO says of them, and that the mapping,
 * messages and the device all see the same memory.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fastpath.h"
#include "kselftest_harness.h"
#include "lib/peer.h"
#include "testdev.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* ---- a device with memory in many places ---- */

#define PAGE 4096u
#define WHOLE_BYTES (4 * PAGE)
#define OWN_BYTES (8 * PAGE)

enum {
	WHOLE = FP_BAR0,
	CONTROL = FP_BAR1,
	READ_ONLY = FP_BAR2,
	LOADS_ONLY = FP_BAR3,
	PLAIN_OWN = FP_OWN_REGION,
	GAP,
	SPARSE_OWN,
	NR_REGIONS
};

/* At 0 of CONTROL. Read: the byte that the device sees there; written: it stores `value`. */
struct control {
	uint32_t index;
	uint32_t offset;
	uint32_t is_store;
	uint32_t value;
};

static int control_access(struct fp_device *dev, struct fp_access *access)
{
	struct control *control = fp_state(dev);
	uint8_t *memory;

	if (!fp_access_memory(access, 0, control, sizeof(*control)))
		return 0;
	memory = fp_region_memory(dev, control->index);
	if (memory && control->is_store)
		memory[control->offset] = (uint8_t)control->value;
	else if (memory)
		control->value = memory[control->offset];
	return 0;
}

static int ones_access(struct fp_device *dev, struct fp_access *access)
{
	if (!access->write)
		memset(access->data, 0xff, access->size);
	return 0;
}

/* What may be loaded without asking: at 0 how often the doorbell rang, at 8 the last other store. */
static int count_access(struct fp_device *dev, struct fp_access *access)
{
	uint64_t *memory = fp_region_memory(dev, LOADS_ONLY);

	if (access->doorbell)
		memory[0] += access->times;
	else if (access->write)
		memory[1] = access->offset << 32 | fp_access_value(access);
	else
		memset(access->data, 0xee, access->size);
	return 0;
}

static const struct fp_doorbell loads_only_doorbells[] = { { .offset = 0x800 } };
static const struct fp_area loads_only_areas[] = { { 0, PAGE } };

static const struct fp_area own_areas[] = { { PAGE, PAGE }, { 2 * PAGE, 2 * PAGE } };

FP_DEVICE(memory) = {
	.name = "memory",
	.summary = "memory that a client may map",
	.state_bytes = sizeof(struct control),
	.pci = { .vendor = 0x1234 },
	.regions = {
		[WHOLE] = { .size = WHOLE_BYTES, .flags = FP_REGION_MMAP },
		[CONTROL] = { .size = PAGE, .access = control_access },
		[READ_ONLY] = { .size = PAGE, .flags = FP_REGION_MMAP | FP_REGION_READ_ONLY },
		[LOADS_ONLY] = {
			.size = 2 * PAGE,
			.flags = FP_REGION_MMAP | FP_REGION_LOADS_ONLY,
			.access = count_access,
			.doorbells = loads_only_doorbells,
			.nr_doorbells = 1,
			.areas = loads_only_areas,
			.nr_areas = 1,
		},
		[PLAIN_OWN] = { .size = 100, .access = ones_access, .type = 7, .subtype = 8 },
		[SPARSE_OWN] = {
			.size = OWN_BYTES,
			.flags = FP_REGION_MMAP,
			.access = ones_access,
			.areas = own_areas,
			.nr_areas = COUNT(own_areas),
			.subtype = 3,
		},
	},
};

/* ---- helpers ---- */

static struct peer *open_memory(void)
{
	return peer_open("memory", PEER_OWN_CLASSES | PEER_LISTEN);
}

/* The request as QEMU sends it: the fixed part, whatever argsz says. */
static int ask(struct peer *peer, uint32_t index, uint32_t argsz, struct wire_region_info *info)
{
	int error;

	*info = (struct wire_region_info){ .argsz = argsz, .index = index };
	error = peer_call(peer, WIRE_DEVICE_GET_REGION_INFO, info, sizeof(*info));
	if (!error)
		memcpy(info, peer->reply.body, sizeof(*info));
	return error;
}

/* The region's fd, the caller's; -1: none came. */
static int ask_fd(struct peer *peer, uint32_t index)
{
	struct wire_region_info info;
	int fd;

	if (ask(peer, index, 4096, &info) || peer->reply.nr_fds != 1)
		return -1;
	fd = peer->reply.fds[0];
	peer->reply.fds[0] = -1;
	return fd;
}

/* `size` bytes at `offset` of the region's fd; NULL: they can't be mapped so. */
static volatile uint8_t *map(int fd, size_t size, uint64_t offset, int prot)
{
	void *at = mmap(NULL, size, prot, MAP_SHARED, fd, (off_t)offset);

	return at == MAP_FAILED ? NULL : at;
}

static volatile uint8_t *map_region(struct peer *peer, uint32_t index, size_t size, uint64_t offset)
{
	int fd = ask_fd(peer, index);
	volatile uint8_t *at = map(fd, size, offset, PROT_READ | PROT_WRITE);

	close(fd);
	return at;
}

/* What the device sees there, and what it does there. */
static uint32_t device_sees(struct peer *peer, uint32_t index, uint32_t offset)
{
	struct control control = { .index = index, .offset = offset };

	peer_write_from(peer, CONTROL, 0, &control, sizeof(control));
	return (uint32_t)peer_read(peer, CONTROL, offsetof(struct control, value), 4);
}

static void device_stores(struct peer *peer, uint32_t index, uint32_t offset, uint8_t value)
{
	struct control control = { index, offset, 1, value };

	peer_write_from(peer, CONTROL, 0, &control, sizeof(control));
}

static uint64_t handler_calls(struct peer *peer)
{
	return peer_read(peer, FP_BAR3, offsetof(struct testdev_shared, accesses), 8);
}

/* ---- what region info says ---- */

#define RW (WIRE_REGION_READABLE | WIRE_REGION_WRITEABLE)

TEST(a_region_that_may_be_mapped_whole_comes_with_one_fd_and_no_capability)
{
	struct peer *peer = open_memory();
	struct wire_region_info info;

	ASSERT_EQ(0, ask(peer, WHOLE, sizeof(info), &info));
	EXPECT_EQ(sizeof(info), peer->reply.len);
	EXPECT_EQ(1, peer->reply.nr_fds);
	EXPECT_EQ(sizeof(info), info.argsz);
	EXPECT_EQ(RW | WIRE_REGION_MMAP, info.flags);
	EXPECT_EQ(0, info.cap_offset);
	EXPECT_EQ(WHOLE_BYTES, info.size);
	EXPECT_EQ(0, info.offset);
	ASSERT_EQ(0, ask(peer, READ_ONLY, sizeof(info), &info));
	EXPECT_EQ(WIRE_REGION_READABLE | WIRE_REGION_MMAP, info.flags);
	ASSERT_EQ(0, ask(peer, CONTROL, sizeof(info), &info));
	EXPECT_EQ(RW, info.flags);
	EXPECT_EQ(0, peer->reply.nr_fds);
	peer_stop(peer);
}

/* Of testdev's BAR3: argsz, flags, index, cap_offset, size, offset; id, version, next, areas. */
static const uint32_t sparse_words[20] = {
	80, 0xf, 3,	 32, 0x10000, 0, 0,	 0, 1 | 1 << 16, 0,
	2,  0,	 0x2000, 0,  0x3000,  0, 0xf000, 0, 0x1000,	 0,
};

TEST(areas_are_told_in_a_sparse_mmap_capability)
{
	static const uint32_t argsz[] = { 80, 81, 4096, UINT32_MAX };
	struct peer *peer = peer_open("testdev", 0);
	struct wire_region_info info;

	for (size_t i = 0; i < COUNT(argsz); i++) {
		ASSERT_EQ(0, ask(peer, FP_BAR3, argsz[i], &info));
		ASSERT_EQ(sizeof(sparse_words), peer->reply.len);
		EXPECT_EQ(0, memcmp(sparse_words, peer->reply.body, sizeof(sparse_words)));
		EXPECT_EQ(1, peer->reply.nr_fds);
	}
	peer_stop(peer);
}

/* QEMU dies of CAPS without capabilities; MMAP stands for an fd in the same message. */
TEST(an_answer_too_short_for_the_capabilities_has_none_and_no_fd_and_says_how_long_it_is)
{
	struct peer *peer = peer_open("testdev", 0);
	struct wire_region_info info;

	for (uint32_t argsz = sizeof(info); argsz < 80; argsz++) {
		ASSERT_EQ(0, ask(peer, FP_BAR3, argsz, &info));
		EXPECT_EQ(sizeof(info), peer->reply.len);
		EXPECT_EQ(0, peer->reply.nr_fds);
		EXPECT_EQ(80, info.argsz);
		EXPECT_EQ(RW, info.flags);
		EXPECT_EQ(0, info.cap_offset);
		EXPECT_EQ(TESTDEV_SHARED_BYTES, info.size);
	}
	EXPECT_EQ(EINVAL, ask(peer, FP_BAR3, sizeof(info) - 1, &info));
	peer_stop(peer);
}

TEST(a_region_that_pci_has_no_number_for_tells_its_type)
{
	static const uint32_t plain[12] = { 48, 0xb, PLAIN_OWN,	  32, 100, 0,
					    0,	0,   2 | 1 << 16, 0,  7,   8 };
	static const uint32_t sparse[24] = {
		96,	     0xf,  SPARSE_OWN, 32,	 OWN_BYTES,   0,	0, 0, /* then the type, and the areas */
		2 | 1 << 16, 48,   0x80001234, 3,	 1 | 1 << 16, 0,	2, 0, PAGE,
		0,	     PAGE, 0,	       2 * PAGE, 0,	      2 * PAGE, 0,
	};
	struct peer *peer = open_memory();
	struct wire_region_info info;

	ASSERT_EQ(0, ask(peer, PLAIN_OWN, 4096, &info));
	ASSERT_EQ(sizeof(plain), peer->reply.len);
	EXPECT_EQ(0, memcmp(plain, peer->reply.body, sizeof(plain)));
	EXPECT_EQ(0, peer->reply.nr_fds);
	ASSERT_EQ(0, ask(peer, SPARSE_OWN, 4096, &info));
	ASSERT_EQ(sizeof(sparse), peer->reply.len);
	EXPECT_EQ(0, memcmp(sparse, peer->reply.body, sizeof(sparse)));
	EXPECT_EQ(1, peer->reply.nr_fds);
	ASSERT_EQ(0, ask(peer, SPARSE_OWN, 95, &info));
	EXPECT_EQ(96, info.argsz);
	EXPECT_EQ(RW, info.flags);
	peer_stop(peer);
}

TEST(num_regions_counts_the_devices_own_and_each_of_them_is_served)
{
	struct peer *peer = open_memory();
	struct wire_device_info device = { .argsz = sizeof(device) };
	struct wire_region_io_fds io_fds = { .argsz = 4096, .index = SPARSE_OWN };
	struct wire_region_info info;
	uint8_t byte;

	ASSERT_EQ(0, peer_call(peer, WIRE_DEVICE_GET_INFO, &device, sizeof(device)));
	memcpy(&device, peer->reply.body, sizeof(device));
	EXPECT_EQ(NR_REGIONS, device.num_regions);
	EXPECT_EQ(0xffff, peer_read(peer, PLAIN_OWN, 98, 2));
	EXPECT_EQ(EINVAL, peer_read_to(peer, PLAIN_OWN, 100, &byte, 1));
	/* One that is left out is there and empty, as a BAR would be. */
	ASSERT_EQ(0, ask(peer, GAP, sizeof(info), &info));
	EXPECT_EQ(0, info.size);
	EXPECT_EQ(0, info.flags);
	EXPECT_EQ(EINVAL, ask(peer, NR_REGIONS, sizeof(info), &info));
	EXPECT_EQ(EINVAL, peer_read_to(peer, NR_REGIONS, 0, &byte, 1));
	EXPECT_EQ(0, peer_call(peer, WIRE_DEVICE_GET_REGION_IO_FDS, &io_fds, sizeof(io_fds)));
	io_fds.index = NR_REGIONS;
	EXPECT_EQ(EINVAL, peer_call(peer, WIRE_DEVICE_GET_REGION_IO_FDS, &io_fds, sizeof(io_fds)));
	peer_stop(peer);
}

TEST(a_client_that_takes_no_fds_is_told_of_no_memory_and_goes_by_message)
{
	struct peer *peer = peer_start("testdev", 0);
	struct wire_region_info info;

	ASSERT_EQ(0, peer_version(peer, "{\"capabilities\":{\"max_msg_fds\":0}}"));
	ASSERT_EQ(0, ask(peer, FP_BAR3, 4096, &info));
	EXPECT_EQ(sizeof(info), peer->reply.len);
	EXPECT_EQ(sizeof(info), info.argsz);
	EXPECT_EQ(RW, info.flags);
	EXPECT_EQ(0, peer->reply.nr_fds);
	peer_write(peer, FP_BAR3, TESTDEV_AREA_A, 0x1234, 2);
	EXPECT_EQ(0x1234, peer_read(peer, FP_BAR3, TESTDEV_AREA_A, 2));
	peer_stop(peer);
}

TEST(a_client_that_names_no_limit_gets_its_one_fd)
{
	struct peer *peer = peer_start("testdev", 0);

	ASSERT_EQ(0, peer_version(peer, NULL));
	EXPECT_LE(0, ask_fd(peer, FP_BAR3));
	peer_stop(peer);
}

TEST(asking_again_and_again_costs_the_server_no_fds)
{
	struct peer *peer = peer_open("testdev", 0);
	struct wire_region_info info = { .argsz = 4096, .index = FP_BAR3 };
	unsigned int before = peer_count_fds(peer);

	for (unsigned int i = 0; i < 100; i++) {
		ASSERT_EQ(0, ask(peer, FP_BAR3, 4096, &info));
		info = (struct wire_region_info){ .argsz = 4096, .index = FP_BAR3 };
		peer_post(peer, WIRE_DEVICE_GET_REGION_INFO, &info, sizeof(info));
	}
	ASSERT_EQ(0, ask(peer, FP_BAR3, 4096, &info));
	EXPECT_EQ(before, peer_count_fds(peer));
	peer_stop(peer);
}

/* ---- one memory, three ways to it ---- */

TEST(what_is_stored_in_the_mapping_is_read_by_message_and_by_the_device)
{
	struct peer *peer = open_memory();
	volatile uint8_t *at = map_region(peer, WHOLE, WHOLE_BYTES, 0);

	ASSERT_NE(NULL, at);
	at[0] = 0x11;
	at[WHOLE_BYTES - 1] = 0x22;
	EXPECT_EQ(0x11, peer_read(peer, WHOLE, 0, 1));
	EXPECT_EQ(0x22, peer_read(peer, WHOLE, WHOLE_BYTES - 1, 1));
	EXPECT_EQ(0x11, device_sees(peer, WHOLE, 0));
	EXPECT_EQ(0x22, device_sees(peer, WHOLE, WHOLE_BYTES - 1));
	peer_stop(peer);
}

TEST(what_is_written_by_message_is_there_in_the_mapping_and_for_the_device)
{
	struct peer *peer = open_memory();
	volatile uint8_t *at = map_region(peer, WHOLE, WHOLE_BYTES, 0);

	ASSERT_NE(NULL, at);
	for (uint32_t size = 1; size <= 8; size++)
		for (uint32_t offset = 0; offset < 8; offset++) {
			uint64_t value = 0x8877665544332211ull;

			peer_write(peer, WHOLE, PAGE + offset, value, size);
			EXPECT_EQ(0, memcmp((const void *)(at + PAGE + offset), &value, size));
			EXPECT_EQ(value & UINT64_MAX >> (64 - 8 * size),
				  peer_read(peer, WHOLE, PAGE + offset, size));
			EXPECT_EQ(0, at[PAGE + offset + size]);
			memset((void *)(at + PAGE), 0, 16);
		}
	peer_write(peer, WHOLE, 5, 0x99, 1);
	EXPECT_EQ(0x99, device_sees(peer, WHOLE, 5));
	peer_stop(peer);
}

TEST(what_the_device_stores_is_there_in_the_mapping_and_by_message)
{
	struct peer *peer = open_memory();
	volatile uint8_t *at = map_region(peer, WHOLE, WHOLE_BYTES, 0);

	ASSERT_NE(NULL, at);
	device_stores(peer, WHOLE, 3 * PAGE, 0x33);
	EXPECT_EQ(0x33, at[3 * PAGE]);
	EXPECT_EQ(0x33, peer_read(peer, WHOLE, 3 * PAGE, 1));
	peer_stop(peer);
}

TEST(an_area_is_mapped_at_its_own_offset_of_the_fd)
{
	struct peer *peer = peer_open("testdev", 0);
	volatile uint8_t *b = map_region(peer, FP_BAR3, TESTDEV_AREA_B_BYTES, TESTDEV_AREA_B);

	ASSERT_NE(NULL, b);
	*(volatile uint32_t *)(b + 8) = 1000;
	EXPECT_EQ(1000, peer_read(peer, FP_BAR3, TESTDEV_AREA_B + 8, 4));
	peer_write(peer, FP_BAR3, TESTDEV_AREA_A, 234, 4);
	EXPECT_EQ(1234, peer_read(peer, FP_BAR3, offsetof(struct testdev_shared, sum), 8));
	peer_stop(peer);
}

/* ---- what the handler sees ---- */

TEST(only_accesses_outside_the_areas_reach_the_handler)
{
	static const struct {
		uint64_t offset;
		uint64_t calls; /* of the handler, for a write of 8 bytes */
	} rows[] = {
		{ TESTDEV_AREA_A, 0 },
		{ TESTDEV_AREA_A + TESTDEV_AREA_A_BYTES - 8, 0 },
		{ TESTDEV_AREA_B, 0 },
		{ TESTDEV_SHARED_BYTES - 8, 0 },
		{ 0x100, 1 },
		{ TESTDEV_AREA_A - 8, 1 },
		{ TESTDEV_AREA_A + TESTDEV_AREA_A_BYTES, 1 },
		{ TESTDEV_AREA_A - 4, 1 }, /* over an edge */
		{ TESTDEV_AREA_B - 1, 1 },
	};
	struct peer *peer = peer_open("testdev", 0);

	for (size_t i = 0; i < COUNT(rows); i++) {
		uint64_t before = handler_calls(peer);

		EXPECT_EQ(0, peer_write(peer, FP_BAR3, rows[i].offset, UINT64_MAX, 8));
		EXPECT_EQ(rows[i].calls, handler_calls(peer) - before);
	}
	peer_stop(peer);
}

TEST(an_access_over_an_edge_is_memory_on_one_side_and_the_handlers_on_the_other)
{
	struct peer *peer = open_memory();
	volatile uint8_t *at = map_region(peer, SPARSE_OWN, 3 * PAGE, PAGE);
	uint8_t all[OWN_BYTES];

	ASSERT_NE(NULL, at);
	EXPECT_EQ(0, peer_write(peer, SPARSE_OWN, PAGE - 4, 0x8877665544332211, 8));
	EXPECT_EQ(0, memcmp((const void *)at, "\x55\x66\x77\x88", 4));
	EXPECT_EQ(0x88776655ffffffff, peer_read(peer, SPARSE_OWN, PAGE - 4, 8));
	/* From one area to the next, which touch. */
	EXPECT_EQ(0, peer_write(peer, SPARSE_OWN, 2 * PAGE - 4, 0x0102030405060708, 8));
	EXPECT_EQ(0, memcmp((const void *)(at + PAGE - 4), "\x08\7\6\5\4\3\2\1", 8));
	memset((void *)at, 0x5a, 3 * PAGE);
	ASSERT_EQ(0, peer_read_to(peer, SPARSE_OWN, 0, all, sizeof(all)));
	for (uint32_t i = 0; i < sizeof(all); i++)
		ASSERT_EQ(i >= PAGE && i < 4 * PAGE ? 0x5a : 0xff, all[i]);
	peer_stop(peer);
}

/* ---- what a client can't do to it ---- */

TEST(the_fd_is_sealed_against_any_change_of_its_size)
{
	struct peer *peer = peer_open("testdev", 0);
	int fd = ask_fd(peer, FP_BAR3);

	EXPECT_EQ(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, fcntl(fd, F_GET_SEALS));
	EXPECT_EQ(-1, ftruncate(fd, 0));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(-1, ftruncate(fd, TESTDEV_SHARED_BYTES - 4096));
	EXPECT_EQ(-1, ftruncate(fd, TESTDEV_SHARED_BYTES + 4096));
	EXPECT_EQ(-1, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	EXPECT_EQ(TESTDEV_SHARED_BYTES, lseek(fd, 0, SEEK_END));
	/* A hole is zeros. */
	peer_write(peer, FP_BAR3, TESTDEV_AREA_A, 1, 4);
	EXPECT_EQ(0, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			       TESTDEV_SHARED_BYTES));
	EXPECT_EQ(0, peer_read(peer, FP_BAR3, offsetof(struct testdev_shared, sum), 8));
	close(fd);
	peer_stop(peer);
}

TEST(a_read_only_region_can_be_mapped_for_reading_only)
{
	struct peer *peer = open_memory();
	int fd = ask_fd(peer, READ_ONLY);
	char path[32];
	volatile uint8_t *at = map(fd, PAGE, 0, PROT_READ);
	int again;

	ASSERT_NE(NULL, at);
	device_stores(peer, READ_ONLY, 9, 0x44);
	EXPECT_EQ(0x44, at[9]);
	EXPECT_EQ(0x44, peer_read(peer, READ_ONLY, 9, 1));
	EXPECT_EQ(EINVAL, peer_write(peer, READ_ONLY, 9, 0, 1));
	EXPECT_EQ(-1, mprotect((void *)at, PAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(NULL, map(fd, PAGE, 0, PROT_READ | PROT_WRITE));
	EXPECT_EQ(-1, pwrite(fd, "x", 1, 9));
	/* Nor is there a way around it. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR | O_CLOEXEC);
	EXPECT_EQ(NULL, map(again, PAGE, 0, PROT_READ | PROT_WRITE));
	EXPECT_EQ(0x44, at[9]);
	close(again);
	close(fd);
	peer_stop(peer);
}

TEST(a_region_for_loads_only_is_mapped_so_and_stores_come_to_the_device)
{
	struct peer *peer = open_memory();
	int fd = ask_fd(peer, LOADS_ONLY);
	const volatile uint64_t *at = (void *)map(fd, PAGE, 0, PROT_READ);
	struct wire_region_info info;

	ASSERT_NE(NULL, at);
	EXPECT_EQ(NULL, map(fd, PAGE, 0, PROT_READ | PROT_WRITE));
	ASSERT_EQ(0, ask(peer, LOADS_ONLY, sizeof(info), &info));
	EXPECT_EQ(WIRE_REGION_READABLE | WIRE_REGION_WRITEABLE, info.flags & 3);
	EXPECT_EQ(0, peer_write(peer, LOADS_ONLY, 0x10, 0xabcd, 4));
	EXPECT_EQ(0x10ull << 32 | 0xabcd, at[1]);
	EXPECT_EQ(0, at[2]); /* it is the device's to say what is loaded there */
	EXPECT_EQ(at[1], peer_read(peer, LOADS_ONLY, 8, 8));
	/* A doorbell in it rings, by message and by eventfd. */
	EXPECT_EQ(0, peer_write(peer, LOADS_ONLY, 0x800, 1, 2));
	EXPECT_EQ(1, at[0]);
	/* What is not mapped is the handler's both ways, and a read of both is of both. */
	EXPECT_EQ(0xeeee, peer_read(peer, LOADS_ONLY, PAGE, 2));
	EXPECT_EQ(0xeeee0000, peer_read(peer, LOADS_ONLY, PAGE - 2, 4));
	EXPECT_EQ(0, peer_write(peer, LOADS_ONLY, PAGE - 2, 0x5678, 4));
	EXPECT_EQ((uint64_t)(PAGE - 2) << 32 | 0x5678, at[1]);
	close(fd);
	peer_stop(peer);
}

/* ---- how long it lasts ---- */

TEST(the_memory_stays_for_the_next_client)
{
	struct peer *peer = open_memory();
	volatile uint8_t *at = map_region(peer, WHOLE, WHOLE_BYTES, 0);

	ASSERT_NE(NULL, at);
	at[100] = 0x77;
	peer_reconnect(peer);
	EXPECT_EQ(0x77, peer_read(peer, WHOLE, 100, 1));
	at = map_region(peer, WHOLE, WHOLE_BYTES, 0);
	ASSERT_NE(NULL, at);
	EXPECT_EQ(0x77, at[100]);
	EXPECT_EQ(0x77, device_sees(peer, WHOLE, 100));
	peer_stop(peer);
}

TEST(a_reset_leaves_the_memory_to_the_device)
{
	struct peer *peer = open_memory();
	volatile uint8_t *at;

	/* This one has no reset(); testdev's clears it, in a mapping that stays. */
	peer_write(peer, WHOLE, 100, 0x77, 1);
	ASSERT_EQ(0, peer_call(peer, WIRE_DEVICE_RESET, NULL, 0));
	EXPECT_EQ(0x77, peer_read(peer, WHOLE, 100, 1));
	peer_stop(peer);

	peer = peer_open("testdev", 0);
	at = map_region(peer, FP_BAR3, PAGE, TESTDEV_AREA_A);
	ASSERT_NE(NULL, at);
	at[100] = 0x77;
	ASSERT_EQ(0, peer_call(peer, WIRE_DEVICE_RESET, NULL, 0));
	EXPECT_EQ(0, at[100]);
	at[100] = 0x78;
	EXPECT_EQ(0x78, peer_read(peer, FP_BAR3, TESTDEV_AREA_A + 100, 1));
	peer_stop(peer);
}

TEST(a_region_without_memory_has_none)
{
	struct peer *peer = open_memory();

	EXPECT_EQ(0, device_sees(peer, CONTROL, 0));
	EXPECT_EQ(0, device_sees(peer, UINT32_MAX, 0));
	peer_stop(peer);
}

TEST_HARNESS_MAIN
