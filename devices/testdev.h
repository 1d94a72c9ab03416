/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * testdev: the register maps of its BAR2, BAR3 and BAR5, for those who drive it, and where BAR0's and
 * BAR1's tests are.
 */
#ifndef FASTPATH_TESTDEV_H
#define FASTPATH_TESTDEV_H

#include <stdint.h>

#include "fastpath.h"

#define TESTDEV_VENDOR 0x1b36
#define TESTDEV_DEVICE 0x0005

/* Where the stores of the six tests go: these, plus the test's number. */
#define TESTDEV_MEMORY_TESTS 0x800
#define TESTDEV_IO_TESTS 0x80

#define TESTDEV_MAGIC 0x44545046u /* "FPTD" */
#define TESTDEV_VERSION 1
#define TESTDEV_BENCH_BYTES 0x1000

/* The doorbells of BAR2, in this order. */
enum testdev_doorbell {
	TESTDEV_ANY,	 /* a store of any width */
	TESTDEV_FIXED_1, /* of just so many bytes */
	TESTDEV_FIXED_2,
	TESTDEV_FIXED_4,
	TESTDEV_FIXED_8,
	TESTDEV_MATCH_A, /* 4 bytes of TESTDEV_VALUE_A */
	TESTDEV_MATCH_B, /* at the same address, TESTDEV_VALUE_B */
	TESTDEV_NR_DOORBELLS
};

/* The entries of BAR2 that a client is told: those, each with an fd, and the scratch memory with one. */
#define TESTDEV_NR_SPANS 2
#define TESTDEV_NR_IO_FDS (TESTDEV_NR_DOORBELLS + TESTDEV_NR_SPANS)

#define TESTDEV_VALUE_A 0xfau
#define TESTDEV_VALUE_B 0xceu

static const struct fp_doorbell testdev_doorbells[TESTDEV_NR_DOORBELLS] = {
	[TESTDEV_ANY] = { .offset = 0x800 },
	[TESTDEV_FIXED_1] = { .offset = 0x840, .width = 1 },
	[TESTDEV_FIXED_2] = { .offset = 0x880, .width = 2 },
	[TESTDEV_FIXED_4] = { .offset = 0x8c0, .width = 4 },
	[TESTDEV_FIXED_8] = { .offset = 0x900, .width = 8 },
	[TESTDEV_MATCH_A] = { .offset = 0x940, .width = 4, FP_VALUES(TESTDEV_VALUE_A) },
	[TESTDEV_MATCH_B] = { .offset = 0x940, .width = 4, FP_VALUES(TESTDEV_VALUE_B) },
};

/* The value that rings one of these; 0: any does. */
static inline uint64_t testdev_value(enum testdev_doorbell number)
{
	const struct fp_doorbell *doorbell = &testdev_doorbells[number];

	return doorbell->nr_values ? doorbell->values[0] : 0;
}

/* At 0. Read-only but for the last four. */
struct testdev_counters {
	uint32_t magic;
	uint32_t version;
	uint64_t id;
	uint64_t writes; /* seen in BAR2 above this block, by whatever road */
	uint64_t reads;
	uint64_t rung[TESTDEV_NR_DOORBELLS];
	uint64_t stamp_iova; /* where a struct testdev_stamp is kept up to date; 0: nowhere */
	uint32_t trigger;    /* a write fires that MSI-X vector */
	uint32_t msi;	     /* the same for MSI */
	uint32_t intx;	     /* INTx is raised unless it is 0 */
};

/*
 * Registers of 1, 2, 4 and 8 bytes that read back, at these offsets; and memory that does, in two
 * spans. Writes to the second one are posted.
 */
#define TESTDEV_REGISTERS 0x100
#define TESTDEV_REGISTER_1 0x100
#define TESTDEV_REGISTER_2 0x102
#define TESTDEV_REGISTER_4 0x104
#define TESTDEV_REGISTER_8 0x108
#define TESTDEV_SCRATCH 0x200
#define TESTDEV_SCRATCH_BYTES 0x200
#define TESTDEV_POSTED 0x300

#define TESTDEV_VECTORS 4

/* BAR3: registers at 0, and two areas that the client may map. */
#define TESTDEV_SHARED_BYTES 0x10000
#define TESTDEV_AREA_A 0x2000
#define TESTDEV_AREA_A_BYTES 0x3000
#define TESTDEV_AREA_B 0xf000
#define TESTDEV_AREA_B_BYTES 0x1000

struct testdev_shared {
	uint64_t sum;	   /* of the 32-bit words in both areas, as the device sees them now */
	uint64_t accesses; /* by message to what is not in them; other than reads of this */
};

/*
 * BAR5, which only the key `roads` brings: more roads to a device. Counters at 0, two doorbells behind
 * them, and a page that the client may map for loads only, with a doorbell on it.
 */
#define TESTDEV_ROADS_BYTES 0x2000
#define TESTDEV_FAN 0x100    /* 4 bytes; each value below TESTDEV_FAN_VALUES has an eventfd */
#define TESTDEV_SHADOW 0x140 /* 4 bytes, of any value, which comes along */
#define TESTDEV_SLOT 0x1000  /* a struct testdev_slot */
#define TESTDEV_SLOT_BELL 0x1800
#define TESTDEV_FAN_VALUES 4

/* The doorbells of BAR5, in this order. */
enum testdev_road {
	TESTDEV_ROAD_FAN,
	TESTDEV_ROAD_SHADOW,
	TESTDEV_ROAD_SLOT,
	TESTDEV_NR_ROADS
};

/* At 0, read-only: of each doorbell the stores of its width that it got, whether they rang or not. */
struct testdev_roads {
	struct {
		uint64_t stores;
		uint64_t sum; /* of their values; 0 for the last one, which has none */
	} of[TESTDEV_NR_ROADS];
};

struct testdev_slot {
	uint64_t stores; /* of[TESTDEV_ROAD_SLOT].stores, kept up to date for those who load it */
};

/* The data of its vendor-specific capability: a magic, and 4 bytes that read back. */
#define TESTDEV_CAP_BYTES 9

/* In guest memory: written at every access that is not to the counters. */
struct testdev_stamp {
	uint64_t count; /* accesses since stamp_iova was written */
	uint64_t tsc;	/* the host's, when the handler saw the last one */
};

#endif
