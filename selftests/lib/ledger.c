/* SPDX-License-Identifier: BSD-3-Clause */
#include "ledger.h"

#include <errno.h>
#include <stdbool.h>

#include "fastpath.h"
#include "peer.h"

struct ledger {
	uint8_t memory[LEDGER_MEMORY_BYTES];
	struct account account;
	struct fp_access *stuck; /* NULL: none. No other comes before it is answered */
};

static void enter(struct account *account, const struct fp_access *access)
{
	uint64_t *last = &account->last[(access->offset - LEDGER) / 8];
	uint64_t number = fp_access_value(access);

	account->astray += number != *last + 1 || access->size != 8;
	*last = number;
}

static int get_stuck(struct fp_device *dev, struct fp_access *access)
{
	struct ledger *ledger = fp_state(dev);

	ledger->stuck = fp_defer(dev, access);
	return ledger->stuck ? FP_LATER : -ENOMEM;
}

/* Nobody waits for it any more; but what the next client asks would. */
static void ledger_event(struct fp_device *dev, enum fp_event event, const struct fp_window *window)
{
	struct ledger *ledger = fp_state(dev);
	struct fp_access *stuck = ledger->stuck;

	(void)window;
	if (event != FP_CLIENT_GONE || !stuck)
		return;
	ledger->stuck = NULL;
	fp_finish(dev, stuck, 0);
}

static int ledger_access(struct fp_device *dev, struct fp_access *access)
{
	struct ledger *ledger = fp_state(dev);

	if (access->doorbell)
		ledger->account.rung[(access->offset - BELL) / 8] += access->times;
	else if (access->write && access->offset >= LEDGER &&
		 access->offset < LEDGER + sizeof(ledger->account.last))
		enter(&ledger->account, access);
	else if (access->offset == STUCK && !access->write)
		return get_stuck(dev, access);
	else if (!fp_access_memory(access, MEMORY, ledger->memory, sizeof(ledger->memory)) &&
		 !fp_access_memory(access, POSTED, ledger->memory, sizeof(ledger->memory)) &&
		 !access->write)
		fp_access_memory(access, ACCOUNT, &ledger->account, sizeof(ledger->account));
	return 0;
}

/* Two of each kind share a socket: their accesses are told apart, and keep their order. */
static const struct fp_span spans[] = {
	{ .offset = MEMORY, .size = LEDGER_MEMORY_BYTES, .group = 1 },
	{ .offset = LEDGER, .size = POSTED_LEDGER - LEDGER, .group = 1 },
	{ .offset = POSTED, .size = LEDGER_MEMORY_BYTES, .posted = true, .group = 2 },
	{ .offset = POSTED_LEDGER, .size = 0x20, .posted = true, .group = 2 },
	{ .offset = STUCK, .size = 8, .group = 3 },
};

static const struct fp_doorbell bells[LEDGER_WRITERS] = {
	{ .offset = BELL }, { .offset = BELL + 8 }, { .offset = BELL + 16 }, { .offset = BELL + 24 }
};

FP_DEVICE(ledger) = {
	.name = "ledger",
	.summary = "keeps account",
	.state_bytes = sizeof(struct ledger),
	.event = ledger_event,
	.pci = { .vendor = 0x1b36, .device = 0x0005, .class_code = 0x00ff00 },
	.regions[FP_BAR0] = {
		.size = 4096,
		.access = ledger_access,
		.doorbells = bells,
		.nr_doorbells = LEDGER_WRITERS,
		.spans = spans,
		.nr_spans = sizeof(spans) / sizeof(*spans),
	},
	.regions[FP_BAR2] = { .size = LEDGER_SHARED_BYTES, .flags = FP_REGION_MMAP },
};

void ledger_await(struct fpc *client, unsigned int first, uint64_t numbers, uint64_t rings,
		  struct account *account)
{
	int64_t deadline = 0;
	bool all;

	do {
		all = !fpc_region_read(client, FP_BAR0, ACCOUNT, account, sizeof(*account));
		for (unsigned int i = 0; i < LEDGER_WRITERS; i++)
			all = all && account->last[first + i] >= numbers &&
			      account->rung[i] >= rings;
	} while (!all && peer_time_left(&deadline));
}
