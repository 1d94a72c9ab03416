/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzzdev: a device that does everything a device can do, when it is told so by what is written to
 * its registers: it answers later, reaches for guest memory, fires interrupts, sets timers, and
 * refuses.
 */
#ifndef FASTPATH_SELFTESTS_FUZZDEV_H
#define FASTPATH_SELFTESTS_FUZZDEV_H

#include <stdbool.h>
#include <stdint.h>

#include "device.h"

/* BAR0: what is written there is done. Doorbells lie behind it, MSI-X in its upper half. */
enum {
	FUZZDEV_IOVA = 0x00,	 /* u64: for the next transfer */
	FUZZDEV_TRANSFER = 0x08, /* u32: so many bytes, with FUZZDEV_TO_GUEST out */
	FUZZDEV_TOUCH = 0x10,	 /* u32: so many bytes by fp_dma() */
	FUZZDEV_TRIGGER = 0x18,	 /* u32: kind << 16 | number */
	FUZZDEV_TIMER = 0x20,	 /* u32: ns */
	FUZZDEV_WATCH = 0x28,
	FUZZDEV_MODE = 0x30,   /* u32: FUZZDEV_* below */
	FUZZDEV_FINISH = 0x38, /* u32: which deferred access is answered */
	FUZZDEV_DOORBELLS = 0x100,
	FUZZDEV_LATER = 0x200,	 /* accesses to [0x200, 0x300) are deferred */
	FUZZDEV_REFUSED = 0x300, /* and here refused */
	FUZZDEV_MSIX_TABLE = 0x800,
	FUZZDEV_MSIX_PBA = 0xc00,
	FUZZDEV_BAR0_BYTES = 0x1000,
	FUZZDEV_LARGE_BYTES = 0x100000, /* region 11: answers at odd offsets, others later */
};

#define FUZZDEV_TO_GUEST (1u << 31)

enum {
	FUZZDEV_RESETS_LATER = 1 << 0,
	FUZZDEV_SAVE_FAILS = 1 << 1,
	FUZZDEV_LOAD_FAILS = 1 << 2,
	FUZZDEV_NO_EARLY = 1 << 3,
	FUZZDEV_EARLY_FAILS = 1 << 4,
	FUZZDEV_RINGS_LATER = 1 << 5,	   /* a doorbell's handler puts off its answer */
	FUZZDEV_RINGS_TRANSFER = 1 << 6,   /* or begins a transfer */
	FUZZDEV_FINISHES_AT_ONCE = 1 << 7, /* what it has just put off */
};

/* A device of this class on the one ring. */
struct fp_device *fuzzdev_open(void);

/* Answers the `which`-th access that it has put off, with `ret`; false: there is none. */
bool fuzzdev_finish(struct fp_device *dev, unsigned int which, int ret);

/* Answers all that it has put off, a reset too; false: there was nothing. */
bool fuzzdev_finish_all(struct fp_device *dev);

#endif
