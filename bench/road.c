/* SPDX-License-Identifier: BSD-3-Clause */
#include "road.h"

#include <string.h>

#include "testdev.h"

/* Long enough for a server to fall asleep; and short enough for one not to. */
#define GAP_ASLEEP_US 50
#define GAP_AWAKE_US 2

/* Where portio-wildcard-eventfd is in BAR1. */
#define PIO_DOORBELL (TESTDEV_IO_TESTS + 3 + ROAD_PIO_TEST)

#define BAR2(side_, offset_, fd_)                                              \
	{                                                                      \
		.side = (side_), .bar = 2, .offset = (offset_), .by_fd = (fd_) \
	}
#define BAR5(side_, offset_, fd_)                                              \
	{                                                                      \
		.side = (side_), .bar = 5, .offset = (offset_), .by_fd = (fd_) \
	}

#define ASLEEP .server = "asleep", .gap_us = GAP_ASLEEP_US, .is_stamped = true
#define AWAKE .server = "awake", .gap_us = GAP_AWAKE_US, .is_stamped = true

#define SOCKET .name = "socket", .can = "vro", .width = 4
#define SOCKET_WRITE \
	SOCKET, .op = "write", .counter = ROAD_COUNTS_WRITES, .what = "REGION_WRITE and its answer"
#define SOCKET_POSTED                                                             \
	SOCKET, .op = "posted", .counter = ROAD_COUNTS_WRITES, .is_posted = true, \
		.what = "REGION_WRITE without an answer"
#define SOCKET_READ                                                             \
	SOCKET, .op = "read", .counter = ROAD_COUNTS_READS, .job_op = JOB_READ, \
		.what = "REGION_READ and its answer"

#define SOCKET_MULTI                                                                              \
	.name = "socket", .op = "multi", .can = "v-o", .width = 4, .counter = ROAD_COUNTS_WRITES, \
	.way = ROAD_BY_GATHER, .batch = GATHER_WRITES,                                            \
	.what = "one of 16 writes in a REGION_WRITE_MULTI"
#define MULTI_TARGET(side_)                                                                  \
	{                                                                                    \
		.side = (side_), .bar = 2, .offset = TESTDEV_REGISTER_4, .is_gathered = true \
	}

/* The same three of an ioregionfd, by who sends its commands. */
#define SPAN_WRITE                                                              \
	.op = "write", .can = "vro", .width = 4, .counter = ROAD_COUNTS_WRITES, \
	.what = "a store to a span"
#define SPAN_POSTED                                                              \
	.op = "posted", .can = "vro", .width = 4, .counter = ROAD_COUNTS_WRITES, \
	.what = "a store that is not waited for"
#define SPAN_READ                                                                                 \
	.op = "read", .can = "vro", .width = 4, .counter = ROAD_COUNTS_READS, .job_op = JOB_READ, \
	.what = "a load from a span"
#define STANDIN .name = "standin", .way = ROAD_BY_STANDIN
#define IOREGION .name = "ioregionfd", .way = ROAD_BY_IOREGION
#define SPANS(side, state)                                                                     \
	{ STANDIN, SPAN_WRITE, state, .target = BAR2(side, TESTDEV_SCRATCH, false) },          \
		{ STANDIN, SPAN_POSTED, state, .target = BAR2(side, TESTDEV_POSTED, true) },   \
		{ STANDIN, SPAN_READ, state, .target = BAR2(side, TESTDEV_SCRATCH, false) },   \
		{ IOREGION, SPAN_WRITE, state, .target = BAR2(side, TESTDEV_SCRATCH, false) }, \
		{ IOREGION, SPAN_POSTED, state, .target = BAR2(side, TESTDEV_POSTED, true) },  \
	{                                                                                      \
		IOREGION, SPAN_READ, state, .target = BAR2(side, TESTDEV_SCRATCH, false)       \
	}

#define MAPPED(op_, job_op_, what_)                                                   \
	{                                                                             \
		.name = "mmap", .op = (op_), .server = "-", .can = "vr-", .width = 4, \
		.gap_us = GAP_AWAKE_US, .way = ROAD_BY_MAPPING, .job_op = (job_op_),  \
		.what = (what_), .target = {                                          \
			.side = RIG_ASLEEP,                                           \
			.bar = 3,                                                     \
			.offset = TESTDEV_AREA_A                                      \
		}                                                                     \
	}
#define WILDCARD                                                                        \
	.name = "ioeventfd", .op = "wildcard", .width = 4, .counter = ROAD_COUNTS_RUNG, \
	.can = "--o", .doorbell = TESTDEV_ANY,                                          \
	.what = "a doorbell of any width, by the server's eventfd"
#define DATAMATCH                                                                        \
	.name = "ioeventfd", .op = "datamatch", .width = 4, .counter = ROAD_COUNTS_RUNG, \
	.can = "--o", .doorbell = TESTDEV_MATCH_A, .value = TESTDEV_VALUE_A,             \
	.what = "a doorbell for one value"
#define FAN_OUT                                                                        \
	.name = "ioeventfd", .op = "fan-out", .width = 4, .counter = ROAD_COUNTS_ROAD, \
	.can = "v--", .doorbell = TESTDEV_ROAD_FAN, .cycle = TESTDEV_FAN_VALUES,       \
	.what = "a doorbell for four values, each with an eventfd of its own"
#define SHADOW                                                                                  \
	.name = "shadow", .op = "write", .width = 4, .counter = ROAD_COUNTS_ROAD, .can = "v-o", \
	.way = ROAD_BY_SHADOW, .doorbell = TESTDEV_ROAD_SHADOW, .cycle = 1000,                  \
	.what = "a doorbell whose value KVM leaves in memory"
#define SLOT_DOORBELL                                                                 \
	.name = "ro-slot", .op = "doorbell", .width = 4, .counter = ROAD_COUNTS_ROAD, \
	.can = "--o", .doorbell = TESTDEV_ROAD_SLOT,                                  \
	.what = "a doorbell on memory that the guest can only load from"
#define PIO                                                                                     \
	.name = "pio", .op = "doorbell", .width = 1, .counter = ROAD_COUNTS_TEST, .can = "--o", \
	.job_op = JOB_OUT, .what = "a doorbell in I/O space"
#define PIO_TARGET(side_)                                                        \
	{                                                                        \
		.side = (side_), .bar = 1, .offset = PIO_DOORBELL, .by_fd = true \
	}

const struct road roads[] = {
	{ .name = "exit",
	  .op = "write",
	  .server = "-",
	  .width = 4,
	  .gap_us = GAP_AWAKE_US,
	  .can = "vro",
	  .what = "answered in the client: what leaving the guest costs",
	  .target = { .is_floor = true, .offset = RIG_FLOOR_EXIT } },
	{ SOCKET_WRITE, ASLEEP, .target = BAR2(RIG_ASLEEP, TESTDEV_REGISTER_4, false) },
	{ SOCKET_POSTED, ASLEEP, .target = BAR2(RIG_ASLEEP, TESTDEV_REGISTER_4, false) },
	{ SOCKET_MULTI, ASLEEP, .target = MULTI_TARGET(RIG_ASLEEP) },
	{ SOCKET_READ, ASLEEP, .target = BAR2(RIG_ASLEEP, TESTDEV_REGISTER_4, false) },
	SPANS(RIG_ASLEEP, ASLEEP),
	{ WILDCARD, ASLEEP, .target = BAR2(RIG_ASLEEP, 0x800, true) },
	{ DATAMATCH, ASLEEP, .target = BAR2(RIG_ASLEEP, 0x940, true) },
	{ FAN_OUT, ASLEEP, .target = BAR5(RIG_ASLEEP, TESTDEV_FAN, true) },
	{ SHADOW, ASLEEP, .target = BAR5(RIG_ASLEEP, TESTDEV_SHADOW, true) },
	{ SLOT_DOORBELL, ASLEEP, .target = BAR5(RIG_ASLEEP, TESTDEV_SLOT_BELL, true) },
	{ PIO, ASLEEP, .target = PIO_TARGET(RIG_ASLEEP) },
	{ .name = "eventfd",
	  .op = "reader",
	  ASLEEP,
	  .width = 4,
	  .counter = ROAD_COUNTS_STAMPS,
	  .can = "--o",
	  .what = "floor: an ioeventfd with a bare sleeping reader",
	  .target = { .is_floor = true, .offset = RIG_FLOOR_READER } },
	{ SOCKET_WRITE, AWAKE, .target = BAR2(RIG_AWAKE, TESTDEV_REGISTER_4, false) },
	{ SOCKET_POSTED, AWAKE, .target = BAR2(RIG_AWAKE, TESTDEV_REGISTER_4, false) },
	{ SOCKET_MULTI, AWAKE, .target = MULTI_TARGET(RIG_AWAKE) },
	{ SOCKET_READ, AWAKE, .target = BAR2(RIG_AWAKE, TESTDEV_REGISTER_4, false) },
	SPANS(RIG_AWAKE, AWAKE),
	{ WILDCARD, AWAKE, .target = BAR2(RIG_AWAKE, 0x800, true) },
	{ DATAMATCH, AWAKE, .target = BAR2(RIG_AWAKE, 0x940, true) },
	{ FAN_OUT, AWAKE, .target = BAR5(RIG_AWAKE, TESTDEV_FAN, true) },
	{ SHADOW, AWAKE, .target = BAR5(RIG_AWAKE, TESTDEV_SHADOW, true) },
	{ SLOT_DOORBELL, AWAKE, .target = BAR5(RIG_AWAKE, TESTDEV_SLOT_BELL, true) },
	{ PIO, AWAKE, .target = PIO_TARGET(RIG_AWAKE) },
	{ .name = "eventfd",
	  .op = "spinner",
	  AWAKE,
	  .width = 4,
	  .counter = ROAD_COUNTS_STAMPS,
	  .can = "--o",
	  .what = "floor: an ioeventfd with a bare reader that looks",
	  .target = { .is_floor = true, .side = RIG_AWAKE, .offset = RIG_FLOOR_READER } },
	{ .name = "eventfd",
	  .op = "unlistened",
	  .server = "-",
	  .width = 4,
	  .gap_us = GAP_AWAKE_US,
	  .counter = ROAD_COUNTS_EVENTFD,
	  .can = "--o",
	  .what = "floor: an ioeventfd that nobody listens to",
	  .target = { .is_floor = true, .offset = RIG_FLOOR_UNLISTENED } },
	MAPPED("write", JOB_WRITE, "a store to memory of the device"),
	MAPPED("read", JOB_READ, "a load from it"),
	{ .name = "ro-slot",
	  .op = "read",
	  .server = "-",
	  .width = 4,
	  .gap_us = GAP_AWAKE_US,
	  .can = "-r-",
	  .way = ROAD_BY_MAPPING,
	  .job_op = JOB_READ,
	  .counter = ROAD_COUNTS_SLOT,
	  .what = "a load from what the device keeps up to date there",
	  .target = BAR5(RIG_ASLEEP, TESTDEV_SLOT, false) },
};
const unsigned int nr_roads = sizeof(roads) / sizeof(*roads);

bool road_exists(const char *name)
{
	for (unsigned int i = 0; i < nr_roads; i++)
		if (!strcmp(roads[i].name, name))
			return true;
	return false;
}
