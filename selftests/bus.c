/* SPDX-License-Identifier: GPL-2.0-only */
/* The bus: which range answers a guest address, and what may be put there. */
#include "bus.h"

#include <errno.h>

#include "kselftest_harness.h"
#include "recorder.h"

FIXTURE(bus) {
	struct bus *bus;
	struct recorder a, b, c;
};

FIXTURE_SETUP(bus)
{
	ASSERT_EQ(0, bus_open(&self->bus));
}

FIXTURE_TEARDOWN(bus)
{
	bus_close(self->bus);
}

TEST_F(bus, an_access_reaches_the_range_that_holds_it)
{
	uint32_t value = 0x12345678;

	ASSERT_EQ(0, recorder_add(&self->b, self->bus, BUS_MMIO, 0x2000, 0x1000));
	ASSERT_EQ(0, recorder_add(&self->a, self->bus, BUS_MMIO, 0x1000, 0x1000));
	ASSERT_EQ(0, recorder_add(&self->c, self->bus, BUS_MMIO, 0x8000, 0x10));
	bus_write(self->bus, BUS_MMIO, 0x1ffc, &value, 4);
	bus_write(self->bus, BUS_MMIO, 0x2000, &value, 4);
	bus_write(self->bus, BUS_MMIO, 0x800f, &value, 1);
	EXPECT_TRUE(recorder_wrote(&self->a, 0, 0xffc, 4, value));
	EXPECT_TRUE(recorder_wrote(&self->b, 0, 0, 4, value));
	EXPECT_TRUE(recorder_wrote(&self->c, 0, 0xf, 1, 0x78));
	EXPECT_EQ(3, self->a.nr + self->b.nr + self->c.nr);
}

TEST_F(bus, a_read_gets_the_answer_of_its_range)
{
	uint64_t value = 0;

	self->a.answer = 0x1122334455667788;
	ASSERT_EQ(0, recorder_add(&self->a, self->bus, BUS_MMIO, 0x1000, 0x1000));
	EXPECT_EQ(0, bus_read(self->bus, BUS_MMIO, 0x1010, &value, 2));
	EXPECT_EQ(0x7788, value);
	EXPECT_TRUE(recorder_read(&self->a, 0, 0x10, 2));
}

TEST_F(bus, memory_and_io_addresses_are_different_things)
{
	uint8_t value = 1;

	ASSERT_EQ(0, recorder_add(&self->a, self->bus, BUS_MMIO, 0x1000, 0x100));
	ASSERT_EQ(0, recorder_add(&self->b, self->bus, BUS_PIO, 0x1000, 0x100));
	bus_write(self->bus, BUS_PIO, 0x1000, &value, 1);
	EXPECT_EQ(0, self->a.nr);
	EXPECT_EQ(1, self->b.nr);
}

TEST_F(bus, what_nobody_answers_reads_as_ones_and_is_counted)
{
	uint64_t value = 0;

	EXPECT_EQ(0, bus_read(self->bus, BUS_MMIO, 0x1000, &value, 4));
	EXPECT_EQ(0xffffffff, value);
	EXPECT_EQ(0, bus_write(self->bus, BUS_PIO, 0x1000, &value, 4));
	EXPECT_EQ(1, bus_stats(self->bus)->stray_reads);
	EXPECT_EQ(1, bus_stats(self->bus)->stray_writes);
}

TEST_F(bus, an_access_that_leaves_its_range_is_nobodys)
{
	uint32_t value = 0;

	ASSERT_EQ(0, recorder_add(&self->a, self->bus, BUS_MMIO, 0x1000, 0x10));
	ASSERT_EQ(0, recorder_add(&self->b, self->bus, BUS_MMIO, 0x1010, 0x2));
	bus_read(self->bus, BUS_MMIO, 0x100e, &value, 4);
	bus_read(self->bus, BUS_MMIO, 0xffe, &value, 4);
	bus_read(self->bus, BUS_MMIO, 0x1010, &value, 4);
	EXPECT_EQ(0, self->a.nr + self->b.nr);
	EXPECT_EQ(3, bus_stats(self->bus)->stray_reads);
}

TEST_F(bus, a_range_that_overlaps_another_is_refused)
{
	ASSERT_EQ(0, recorder_add(&self->a, self->bus, BUS_MMIO, 0x1000, 0x100));
	EXPECT_EQ(-EEXIST, recorder_add(&self->b, self->bus, BUS_MMIO, 0x1000, 0x100));
	EXPECT_EQ(-EEXIST, recorder_add(&self->b, self->bus, BUS_MMIO, 0x10ff, 1));
	EXPECT_EQ(-EEXIST, recorder_add(&self->b, self->bus, BUS_MMIO, 0xfff, 2));
	EXPECT_EQ(-EEXIST, recorder_add(&self->b, self->bus, BUS_MMIO, 0, 0x10000));
	EXPECT_EQ(-EEXIST, recorder_add(&self->b, self->bus, BUS_MMIO, 0x1040, 0x10));
	EXPECT_EQ(0, recorder_add(&self->b, self->bus, BUS_MMIO, 0x1100, 1));
	EXPECT_EQ(0, recorder_add(&self->c, self->bus, BUS_MMIO, 0xfff, 1));
}

TEST_F(bus, a_range_that_is_empty_or_wraps_or_leaves_its_space_is_refused)
{
	EXPECT_EQ(-EINVAL, recorder_add(&self->a, self->bus, BUS_MMIO, 0x1000, 0));
	EXPECT_EQ(-EINVAL, recorder_add(&self->a, self->bus, BUS_MMIO, UINT64_MAX, 2));
	EXPECT_EQ(-EINVAL, recorder_add(&self->a, self->bus, BUS_MMIO, 2, UINT64_MAX));
	EXPECT_EQ(-EINVAL, recorder_add(&self->a, self->bus, BUS_PIO, 0xffff, 2));
	EXPECT_EQ(-EINVAL, recorder_add(&self->a, self->bus, BUS_PIO, 0x10000, 1));
	EXPECT_EQ(0, recorder_add(&self->a, self->bus, BUS_MMIO, UINT64_MAX, 1));
	EXPECT_EQ(0, recorder_add(&self->b, self->bus, BUS_PIO, 0xffff, 1));
}

TEST_F(bus, a_removed_range_is_not_remembered_as_the_last_hit)
{
	uint32_t value = 0;

	ASSERT_EQ(0, recorder_add(&self->a, self->bus, BUS_MMIO, 0x1000, 0x100));
	ASSERT_EQ(0, recorder_add(&self->b, self->bus, BUS_MMIO, 0x2000, 0x100));
	bus_read(self->bus, BUS_MMIO, 0x2000, &value, 4);
	EXPECT_EQ(-ENOENT, bus_remove(self->bus, BUS_MMIO, 0x2001));
	EXPECT_EQ(0, bus_remove(self->bus, BUS_MMIO, 0x2000));
	bus_read(self->bus, BUS_MMIO, 0x2000, &value, 4);
	EXPECT_EQ(1, self->b.nr);
	EXPECT_EQ(1, bus_stats(self->bus)->stray_reads);
	bus_read(self->bus, BUS_MMIO, 0x1000, &value, 4);
	EXPECT_EQ(1, self->a.nr);
}

TEST_F(bus, a_handler_can_stop_the_guest)
{
	uint8_t value = 0;

	self->a.ret = BUS_STOP;
	ASSERT_EQ(0, recorder_add(&self->a, self->bus, BUS_MMIO, 0x1000, 0x100));
	EXPECT_EQ(BUS_STOP, bus_write(self->bus, BUS_MMIO, 0x1000, &value, 1));
	EXPECT_EQ(BUS_STOP, bus_read(self->bus, BUS_MMIO, 0x1000, &value, 1));
}

TEST_F(bus, a_measured_bus_times_each_access_wherever_its_range_is)
{
	const struct bus_times *times;
	uint32_t value = 0;

	ASSERT_EQ(0, recorder_add(&self->a, self->bus, BUS_MMIO, 0x1000, 0x100));
	bus_read(self->bus, BUS_MMIO, 0x1000, &value, 4);
	EXPECT_EQ(NULL, bus_times(self->bus));
	bus_measure(self->bus);
	ASSERT_EQ(0, recorder_add(&self->b, self->bus, BUS_MMIO, 0x2000, 0x100));
	bus_read(self->bus, BUS_MMIO, 0x1000, &value, 4);
	bus_write(self->bus, BUS_MMIO, 0x2000, &value, 4);
	ASSERT_EQ(0, bus_remove(self->bus, BUS_MMIO, 0x1000));
	ASSERT_EQ(0, recorder_add(&self->a, self->bus, BUS_MMIO, 0x8000, 0x100));
	bus_read(self->bus, BUS_MMIO, 0x8000, &value, 4);
	bus_read(self->bus, BUS_MMIO, 0x1000, &value, 4);
	times = bus_times(self->bus);
	ASSERT_NE(NULL, times);
	EXPECT_EQ(&self->b, times->opaque);
	EXPECT_EQ(0, histogram_count(&times->reads));
	EXPECT_EQ(1, histogram_count(&times->writes));
	times = times->next;
	ASSERT_NE(NULL, times);
	EXPECT_EQ(&self->a, times->opaque);
	EXPECT_EQ(2, histogram_count(&times->reads));
	EXPECT_EQ(0, histogram_count(&times->writes));
	EXPECT_EQ(NULL, times->next);
}

TEST_HARNESS_MAIN
