/* SPDX-License-Identifier: BSD-3-Clause */
#include "patience.h"

#include <errno.h>
#include <stdio.h>

/* In the time that a client is given; it may be given one more. */
#define TICKS 10u

static bool owes_version(const struct patience *patience, uint64_t *what)
{
	*what = 0;
	return !patience->has_version;
}

/* What a message's first byte began: more bytes of it are no progress. */
static bool owes_rest(const struct channel *channel, uint64_t *what)
{
	*what = channel->delivered;
	return channel->fd >= 0 && channel_is_halfway(channel);
}

static bool owes_message(const struct patience *patience, uint64_t *what)
{
	return owes_rest(patience->channel, what);
}

static bool owes_twin_message(const struct patience *patience, uint64_t *what)
{
	return owes_rest(patience->twin, what);
}

static bool owes_answer(const struct patience *patience, uint64_t *what)
{
	const struct transfer *oldest = transfer_oldest(patience->dev);

	*what = oldest ? oldest->msg_id : 0;
	return oldest;
}

/* Here any byte is progress: who reads slowly holds up nobody else. */
static bool owes_reading(const struct channel *channel, uint64_t *what)
{
	*what = channel->sent;
	return channel->fd >= 0 && channel_is_stuck(channel);
}

static bool owes_to_read(const struct patience *patience, uint64_t *what)
{
	return owes_reading(patience->channel, what);
}

static bool owes_to_read_twin(const struct patience *patience, uint64_t *what)
{
	return owes_reading(patience->twin, what);
}

static const struct {
	const char *what;
	unsigned int ticks;
	bool (*is_owed)(const struct patience *patience, uint64_t *what);
} kinds[PATIENCE_NR_DEBTS] = {
	{ "VERSION did not come", TICKS / 2, owes_version },
	{ "a message did not come to its end", TICKS, owes_message },
	{ "a message on the twin socket did not come to its end", TICKS, owes_twin_message },
	{ "a DMA_READ or DMA_WRITE was not answered", TICKS, owes_answer },
	{ "what it was sent was not read", TICKS * 6, owes_to_read },
	{ "what it was sent on the twin socket was not read", TICKS * 6, owes_to_read_twin },
};

static void lose(struct patience *patience, unsigned int kind)
{
	char why[128];

	snprintf(why, sizeof(why), "%s in %g s", kinds[kind].what,
		 (double)patience->ns / 1e9 * kinds[kind].ticks / TICKS);
	patience->lost(patience, why);
}

/* Whether the debt is as old as it may get. */
static bool is_due(struct debt *debt, bool owed, uint64_t what, unsigned int ticks)
{
	if (!owed)
		debt->ticks = 0;
	else
		debt->ticks = debt->ticks && debt->what == what ? debt->ticks + 1 : 1;
	debt->what = what;
	return debt->ticks > ticks;
}

static void tick(struct ring_op *op, int res, const struct ring_received *received)
{
	struct patience *patience =
		(struct patience *)((char *)op - offsetof(struct patience, timer));
	bool owes = false;

	(void)received;
	if (res != -ETIME) /* out of memory: the next debt begins it again */
		return;
	for (unsigned int i = 0; i < PATIENCE_NR_DEBTS; i++) {
		uint64_t what;
		bool owed = kinds[i].is_owed(patience, &what);

		if (is_due(&patience->debts[i], owed, what, kinds[i].ticks)) {
			lose(patience, i);
			return;
		}
		owes |= owed;
	}
	if (owes)
		patience_begin(patience);
}

void patience_open(struct patience *patience)
{
	patience->timer.done = tick;
	patience_begin(patience);
}

void patience_begin(struct patience *patience)
{
	if (patience->ns && !ring_op_busy(&patience->timer))
		ring_timeout(patience->dev->ring, &patience->timer, patience->ns / TICKS);
}

void patience_has_version(struct patience *patience)
{
	patience->has_version = true;
	/* What else is owed begins to be counted again; most of all, nothing is. */
	ring_cancel(&patience->timer);
	if (channel_is_halfway(patience->channel))
		patience_begin(patience);
}

void patience_close(struct patience *patience)
{
	ring_cancel(&patience->timer);
}
