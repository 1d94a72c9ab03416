/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fastpath-bench: a short run of it counts every access and says what it can't measure. No times.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <string.h>

#include "bare_guest.h"
#include "kselftest_harness.h"
#include "program.h"
#include "testdev_server.h"

#define ARGS(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define SHORT "--ops", "40", "--repeat", "2"

static struct program program;

static int run(const char *const *args)
{
	program_start(&program, "fastpath-bench", args, false);
	program_wait(&program);
	return program.status;
}

/* How many rows of a road there are with numbers, and how many that are skipped. */
static unsigned int rows(const char *road, bool skipped)
{
	unsigned int nr = 0;

	for (const char *line = program.said; *line;) {
		size_t len = strcspn(line, "\n");
		const char *skip = strstr(line, "skip: ");

		nr += !strncmp(line, road, strlen(road)) && line[strlen(road)] == ' ' &&
		      (skip && skip < line + len) == skipped;
		line += len + (line[len] == '\n');
	}
	return nr;
}

/* How often it says so. */
static unsigned int said(const char *what)
{
	unsigned int nr = 0;

	for (const char *at = program.said; (at = strstr(at, what)); at++)
		nr++;
	return nr;
}

/* All roads one after the other: in a machine that is emulated, beside others, the usual 30 s are short. */
FIXTURE(ladder) {
	char unused;
};

FIXTURE_SETUP(ladder)
{
}

FIXTURE_TEARDOWN(ladder)
{
}

TEST_F_TIMEOUT(ladder, every_road_of_a_guest_is_measured_and_every_access_counted, 100)
{
	NEEDS_KVM();
	EXPECT_EQ(0, run(ARGS(SHORT)));
	EXPECT_EQ(8, rows("socket", false));
	EXPECT_EQ(6, rows("ioeventfd", false));
	EXPECT_EQ(2, rows("pio", false));
	EXPECT_EQ(3, rows("eventfd", false));
	EXPECT_EQ(2, rows("mmap", false));
	EXPECT_EQ(3, rows("ro-slot", false));
	/* By KVM or by a stand-in, and never both. */
	EXPECT_EQ(6, rows("standin", false) + rows("ioregionfd", false));
	EXPECT_EQ(1, rows("standin", true) + rows("ioregionfd", true));
	/* On a kernel that stores values for both servers; else told of once. */
	EXPECT_EQ(rows("shadow", true) ? 0 : 2, rows("shadow", false));
	EXPECT_NE(NULL, strstr(program.said, "a doorbell by ioeventfd costs the guest"));
	EXPECT_NE(NULL,
		  strstr(program.said, "one of 16 writes in a REGION_WRITE_MULTI costs the guest"));
	EXPECT_NE(NULL, strstr(program.said, "a store of one of four values costs"));
	EXPECT_NE(NULL, strstr(program.said, "A load from read-only memory costs"));
}

/* What leaves the guest is an exit; what is loaded from a read-only slot, or rings, is none. */
TEST(the_roads_that_need_no_exit_have_none)
{
	NEEDS_KVM();
	EXPECT_EQ(0, run(ARGS(SHORT, "--roads", "ro-slot", "--json", "-")));
	EXPECT_EQ(3, said("\"accesses\":72,"));
	EXPECT_EQ(3, said("\"counted\":72,"));
	EXPECT_EQ(3, said("\"exits_per_op\":0.0,"));
}

TEST(without_kvm_messages_and_eventfds_are_measured_from_the_host)
{
	EXPECT_EQ(0, run(ARGS(SHORT, "--no-kvm")));
	EXPECT_EQ(6, rows("socket", false));
	EXPECT_EQ(1, rows("socket", true)); /* posted; told of once */
	EXPECT_EQ(6, rows("ioeventfd", false));
	EXPECT_EQ(1, rows("standin", true));
	EXPECT_EQ(1, rows("mmap", true));
	EXPECT_EQ(1, rows("shadow", true));
	EXPECT_EQ(2, rows("ro-slot", false)); /* its doorbell */
	EXPECT_EQ(1, rows("ro-slot", true));
	EXPECT_NE(NULL, strstr(program.said, "a doorbell by ioeventfd costs the host"));
}

TEST(beside_a_flood_the_roads_by_socket_are_measured_twice)
{
	static const char *const kinds[] = { "--flood", "--flood=large", "--flood=multi" };

	for (unsigned int i = 0; i < 3; i++) {
		EXPECT_EQ(0, run(ARGS(SHORT, "--no-kvm", kinds[i])));
		EXPECT_EQ(6, rows("socket", false));
		EXPECT_EQ(4, rows("flooded", false)); /* writes and reads, one a message */
		EXPECT_NE(NULL, strstr(program.said, "a write beside a flood costs"));
		EXPECT_NE(NULL, strstr(program.said, "The flood, REGION_WRITE"));
	}
	EXPECT_EQ(1, run(ARGS("--flood=gentle")));
	EXPECT_NE(NULL, strstr(program.complained, "wants posted, large or multi"));
}

/* 0 + 1 + 2 + 3, for each four of them. */
TEST(values_that_come_along_are_added_up_at_both_ends)
{
	EXPECT_EQ(0, run(ARGS(SHORT, "--no-kvm", "--roads", "ioeventfd", "--json", "-")));
	EXPECT_EQ(2, said("\"sum_of_values\":108,"));
	EXPECT_EQ(2, said("\"sum_counted\":108,"));
}

TEST(a_message_for_several_writes_is_a_sample_and_all_its_writes_are_counted)
{
	EXPECT_EQ(0, run(ARGS(SHORT, "--no-kvm", "--roads", "socket", "--json", "-")));
	EXPECT_EQ(2, said("\"writes_per_message\":16,"));
	/* 20 in each round are two messages, behind one that warms up. */
	EXPECT_EQ(2, said("\"accesses\":96,"));
	EXPECT_EQ(2, said("\"counted\":96,"));
	EXPECT_EQ(2, said("\"n\":4,"));
}

TEST(a_testdev_without_roads_lacks_only_those)
{
	struct testdev_server server;

	testdev_server_start(&server);
	EXPECT_EQ(4, run(ARGS(SHORT, "--no-kvm", "--connect", server.path, "--roads",
			      "ro-slot,socket,ioeventfd")));
	EXPECT_EQ(2, rows("ro-slot", true)); /* and there is no awake server */
	EXPECT_NE(NULL, strstr(program.said, "no such BAR; one with roads=on has"));
	EXPECT_EQ(3, rows("socket", false));
	EXPECT_EQ(2, rows("ioeventfd", false));
	testdev_server_stop(&server);
}

TEST(a_road_asked_for_that_can_t_be_measured_is_status_4)
{
	EXPECT_EQ(4, run(ARGS(SHORT, "--no-kvm", "--roads", "mmap")));
}

TEST(a_target_is_for_a_server_that_is_given)
{
	EXPECT_EQ(1, run(ARGS("--target", "0:0x10:4")));
	EXPECT_NE(NULL, strstr(program.complained, "--target is for the server of --connect"));
}

TEST(a_road_that_there_is_not_is_refused_and_those_that_are_listed)
{
	EXPECT_EQ(1, run(ARGS("--roads", "shortcut")));
	EXPECT_NE(NULL, strstr(program.complained, "there is no road 'shortcut'"));
	EXPECT_NE(NULL, strstr(program.complained, "standin"));
}

TEST_HARNESS_MAIN
