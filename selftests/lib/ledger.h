/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ledger: a device that keeps account of what comes to it, by whatever road. Every program of the
 * selftests has it: peer_start("ledger", PEER_OWN_CLASSES).
 */
#ifndef FASTPATH_SELFTESTS_LEDGER_H
#define FASTPATH_SELFTESTS_LEDGER_H

#include <stdint.h>

#include "fastpath-client.h"

#define LEDGER_WRITERS 4u

/* BAR0 */
#define MEMORY 0x000 /* reads back */
#define POSTED 0x100 /* the same memory, in a span whose writes are posted */
#define LEDGER 0x200 /* of each writer 8 bytes, to which it writes 1, 2, 3 ... */
#define POSTED_LEDGER 0x220
#define STUCK 0x240   /* a read of it is not answered as long as its client is there */
#define BELL 0x300    /* a doorbell of each writer, 8 bytes apart */
#define ACCOUNT 0x400 /* what of it all was seen */

#define LEDGER_MEMORY_BYTES 0x100u

/* BAR2 is memory, all of it to be mapped. */
#define LEDGER_SHARED_BYTES 0x10000u

struct account {
	uint64_t last[2 * LEDGER_WRITERS]; /* number in each ledger */
	uint64_t astray;		   /* numbers that were not the next */
	uint64_t rung[LEDGER_WRITERS];
};

/*
 * Reads the account, until each ledger from number `first` on has come to `numbers`, and each bell
 * has rung `rings` times: what is posted, or rung, may come after what is asked by another road.
 * After PEER_DEADLINE_MS it is what it is.
 */
void ledger_await(struct fpc *client, unsigned int first, uint64_t numbers, uint64_t rings,
		  struct account *account);

#endif
