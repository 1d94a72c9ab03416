// SPDX-License-Identifier: GPL-2.0-only
/*
 * edu as its drivers know it, and INTx as a level, which it is an example of.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "edu.h"
#include "fastpath.h"
#include "kselftest_harness.h"
#include "lib/peer.h"
#include "lib/peer_feature.h"

#define IOVA 0x100000u
#define MEMORY_BYTES 0x10000u

FIXTURE(edu) {
	struct peer *peer;
	uint8_t *memory; /* of the guest, at IOVA */
};

FIXTURE_SETUP(edu)
{
	struct wire_dma_map map = {
		.argsz = sizeof(map),
		.flags = WIRE_DMA_READ | WIRE_DMA_WRITE,
		.address = IOVA,
		.size = MEMORY_BYTES,
	};
	int fd = memfd_create("guest", MFD_CLOEXEC);

	ASSERT_EQ(0, ftruncate(fd, MEMORY_BYTES));
	self->memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, self->memory);
	self->peer = peer_open("edu", 0);
	ASSERT_EQ(0, peer_call_fds(self->peer, WIRE_DMA_MAP, &map, sizeof(map), &fd, 1));
	close(fd);
}

FIXTURE_TEARDOWN(edu)
{
	peer_stop(self->peer);
}

static uint32_t get(FIXTURE_DATA(edu) * self, uint64_t offset)
{
	return (uint32_t)peer_read(self->peer, FP_BAR0, offset, 4);
}

static void put(FIXTURE_DATA(edu) * self, uint64_t offset, uint64_t value)
{
	peer_write(self->peer, FP_BAR0, offset, value, offset >= EDU_DMA_FROM ? 8 : 4);
}

static void copy(FIXTURE_DATA(edu) * self, uint64_t from, uint64_t to, uint64_t count,
		 uint64_t command)
{
	put(self, EDU_DMA_FROM, from);
	put(self, EDU_DMA_TO, to);
	put(self, EDU_DMA_COUNT, count);
	put(self, EDU_DMA_COMMAND, command | EDU_DMA_START);
}

static int set_irqs(FIXTURE_DATA(edu) * self, uint32_t flags, uint32_t index, const int *fd)
{
	struct wire_irq_set request = {
		.argsz = sizeof(request),
		.flags = flags,
		.index = index,
		.count = 1,
	};

	return peer_call_fds(self->peer, WIRE_DEVICE_SET_IRQS, &request, sizeof(request), fd,
			     fd ? 1 : 0);
}

/* An eventfd for the interrupt of that kind. */
static int hear(FIXTURE_DATA(edu) * self, uint32_t index)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (set_irqs(self, WIRE_IRQ_DATA_EVENTFD | WIRE_IRQ_ACTION_TRIGGER, index, &fd))
		return -1;
	return fd;
}

static int unmask(FIXTURE_DATA(edu) * self)
{
	return set_irqs(self, WIRE_IRQ_DATA_NONE | WIRE_IRQ_ACTION_UNMASK, FP_INTX, NULL);
}

/* How often it was signalled. What the device signals leaves before its next answer. */
static uint64_t heard(FIXTURE_DATA(edu) * self, int fd)
{
	get(self, EDU_ID);
	return peer_eventfd_take(fd);
}

/* ---- registers ---- */

TEST_F(edu, it_is_there_and_alive)
{
	EXPECT_EQ(EDU_VENDOR, peer_read(self->peer, FP_CONFIG, 0, 2));
	EXPECT_EQ(EDU_DEVICE, peer_read(self->peer, FP_CONFIG, 2, 2));
	EXPECT_EQ(EDU_ID_VALUE, get(self, EDU_ID));
	put(self, EDU_LIVENESS, 0x12345678);
	EXPECT_EQ(0xedcba987, get(self, EDU_LIVENESS));
}

TEST_F(edu, it_computes_20_factorial_modulo_2_to_the_32)
{
	static const struct {
		uint32_t n, product;
	} cases[] = {
		{ 0, 1 },	    { 1, 1 },		{ 5, 120 }, { 12, 479001600 },
		{ 20, 2192834560 }, { 33, 2147483648 }, { 34, 0 },  { UINT32_MAX, 0 },
	};

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		put(self, EDU_FACTORIAL, cases[i].n);
		EXPECT_EQ(0, get(self, EDU_STATUS) & EDU_STATUS_COMPUTING);
		EXPECT_EQ(cases[i].product, get(self, EDU_FACTORIAL));
	}
}

TEST_F(edu, an_access_of_another_width_reads_ones_and_writes_nothing)
{
	put(self, EDU_LIVENESS, 0);
	peer_write(self->peer, FP_BAR0, EDU_LIVENESS, 1, 1);
	peer_write(self->peer, FP_BAR0, EDU_LIVENESS, 1, 8);
	EXPECT_EQ(UINT32_MAX, get(self, EDU_LIVENESS));
	EXPECT_EQ(0xff, peer_read(self->peer, FP_BAR0, EDU_ID, 1));
	EXPECT_EQ(UINT64_MAX, peer_read(self->peer, FP_BAR0, EDU_ID, 8));
	EXPECT_EQ(UINT32_MAX, get(self, EDU_BUFFER));
}

/* ---- DMA ---- */

TEST_F(edu, it_copies_from_guest_memory_and_back)
{
	for (unsigned int i = 0; i < EDU_BUFFER_BYTES; i++)
		self->memory[i] = (uint8_t)(i * 7);
	copy(self, IOVA, EDU_BUFFER, EDU_BUFFER_BYTES, 0);
	EXPECT_EQ(0, get(self, EDU_DMA_COMMAND) & EDU_DMA_START);
	copy(self, EDU_BUFFER + 100, IOVA + 0x8000, 1000, EDU_DMA_TO_MEMORY);
	EXPECT_EQ(0, memcmp(self->memory + 100, self->memory + 0x8000, 1000));
	EXPECT_EQ(0, self->memory[0x8000 + 1000]);
}

TEST_F(edu, what_leaves_its_buffer_is_not_copied)
{
	static const struct {
		uint64_t own, count;
	} cases[] = {
		{ EDU_BUFFER, EDU_BUFFER_BYTES + 1 },
		{ EDU_BUFFER + EDU_BUFFER_BYTES, 1 },
		{ EDU_BUFFER - 1, 1 },
		{ EDU_BUFFER + 1, UINT64_MAX },
		{ UINT64_MAX, 2 },
		{ 0, 4 },
	};

	memset(self->memory, 0x55, MEMORY_BYTES);
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		copy(self, cases[i].own, IOVA, cases[i].count, EDU_DMA_TO_MEMORY);
		copy(self, IOVA, cases[i].own, cases[i].count, 0);
		EXPECT_EQ(0, get(self, EDU_DMA_COMMAND) & EDU_DMA_START);
		EXPECT_EQ(0x55, self->memory[0]);
	}
	copy(self, EDU_BUFFER, IOVA, EDU_BUFFER_BYTES, EDU_DMA_TO_MEMORY);
	EXPECT_EQ(0, self->memory[0]);
	EXPECT_EQ(0, self->memory[EDU_BUFFER_BYTES - 1]);
}

TEST_F(edu, an_address_has_28_bits_unless_its_key_says_otherwise)
{
	self->memory[0] = 0x77;
	copy(self, IOVA | 1ull << 28, EDU_BUFFER, 1, 0);
	copy(self, EDU_BUFFER, IOVA + 1, 1, EDU_DMA_TO_MEMORY);
	EXPECT_EQ(0x77, self->memory[1]);
}

TEST_F(edu, the_end_of_a_copy_that_failed_is_told_all_the_same)
{
	int fd = hear(self, FP_MSI);

	copy(self, 0x7000, EDU_BUFFER, 8, EDU_DMA_INTERRUPT); /* no memory of the guest's */
	EXPECT_EQ(1, heard(self, fd));
	EXPECT_EQ(EDU_IRQ_DMA, get(self, EDU_IRQ_STATUS));
}

/* ---- interrupts ---- */

TEST_F(edu, an_msi_comes_for_each_reason)
{
	int fd = hear(self, FP_MSI);

	put(self, EDU_IRQ_RAISE, 0x10);
	put(self, EDU_IRQ_RAISE, 0x20);
	EXPECT_EQ(2, heard(self, fd));
	EXPECT_EQ(0x30, get(self, EDU_IRQ_STATUS));
	put(self, EDU_IRQ_ACK, 0x10);
	EXPECT_EQ(0x20, get(self, EDU_IRQ_STATUS));
	EXPECT_EQ(0, heard(self, fd));
}

TEST_F(edu, a_factorial_interrupts_if_it_is_asked_to)
{
	int fd = hear(self, FP_MSI);

	put(self, EDU_FACTORIAL, 3);
	EXPECT_EQ(0, heard(self, fd));
	put(self, EDU_STATUS, EDU_STATUS_INTERRUPT);
	put(self, EDU_FACTORIAL, 3);
	EXPECT_EQ(1, heard(self, fd));
	EXPECT_EQ(EDU_IRQ_FACTORIAL, get(self, EDU_IRQ_STATUS));
}

TEST_F(edu, intx_fires_again_at_each_unmask_as_long_as_there_is_a_reason)
{
	int fd = hear(self, FP_INTX);

	put(self, EDU_IRQ_RAISE, 3);
	put(self, EDU_IRQ_RAISE, 4);
	EXPECT_EQ(1, heard(self, fd));
	put(self, EDU_IRQ_ACK, 1);
	ASSERT_EQ(0, unmask(self));
	EXPECT_EQ(1, heard(self, fd));
	put(self, EDU_IRQ_ACK, 6);
	ASSERT_EQ(0, unmask(self));
	EXPECT_EQ(0, heard(self, fd));
}

TEST_F(edu, intx_that_went_low_while_it_was_masked_does_not_fire)
{
	int fd = hear(self, FP_INTX);

	put(self, EDU_IRQ_RAISE, 1);
	EXPECT_EQ(1, heard(self, fd));
	put(self, EDU_IRQ_ACK, 1);
	put(self, EDU_IRQ_RAISE, 1);
	put(self, EDU_IRQ_ACK, 1);
	ASSERT_EQ(0, unmask(self));
	EXPECT_EQ(0, heard(self, fd));
	put(self, EDU_IRQ_RAISE, 1);
	EXPECT_EQ(1, heard(self, fd));
}

TEST_F(edu, a_client_that_asks_for_intx_hears_of_a_level_that_is_high_already)
{
	put(self, EDU_IRQ_RAISE, 1);
	EXPECT_EQ(1, heard(self, hear(self, FP_INTX)));
}

TEST_F(edu, a_reset_lowers_intx_and_clears_every_register)
{
	int fd = hear(self, FP_INTX);

	put(self, EDU_IRQ_RAISE, 1);
	put(self, EDU_DMA_COUNT, 5);
	put(self, EDU_LIVENESS, 5);
	EXPECT_EQ(1, heard(self, fd));
	ASSERT_EQ(0, peer_call(self->peer, WIRE_DEVICE_RESET, NULL, 0));
	ASSERT_EQ(0, unmask(self));
	EXPECT_EQ(0, heard(self, fd));
	EXPECT_EQ(0, get(self, EDU_IRQ_STATUS));
	EXPECT_EQ(0, get(self, EDU_DMA_COUNT));
	EXPECT_EQ(0, get(self, EDU_LIVENESS));
}

/* ---- migration ---- */

TEST_F(edu, its_registers_its_buffer_and_its_interrupt_go_to_another_server)
{
	struct peer *to = peer_open("edu", 0);
	FIXTURE_DATA(edu) there = { .peer = to };
	uint8_t *stream;
	size_t len;

	self->memory[0] = 0x5a;
	copy(self, IOVA, EDU_BUFFER, 1, 0);
	put(self, EDU_FACTORIAL, 6);
	put(self, EDU_IRQ_RAISE, 8);
	ASSERT_EQ(0, peer_mig_go(self->peer, WIRE_MIG_STOP));
	ASSERT_EQ(0, peer_mig_go(self->peer, WIRE_MIG_STOP_COPY));
	stream = peer_mig_read_all(self->peer, 65536, &len);
	ASSERT_EQ(0, peer_mig_go(to, WIRE_MIG_STOP));
	ASSERT_EQ(0, peer_mig_load(to, stream, len, 65536));
	ASSERT_EQ(0, peer_mig_go(to, WIRE_MIG_RUNNING));
	EXPECT_EQ(720, get(&there, EDU_FACTORIAL));
	EXPECT_EQ(1, heard(&there, hear(&there, FP_INTX)));
	EXPECT_EQ(8, get(&there, EDU_IRQ_STATUS));
	peer_stop(to);
}

TEST_HARNESS_MAIN
