/* SPDX-License-Identifier: BSD-3-Clause */
/* Interrupts: DEVICE_SET_IRQS, and what of it is to be repeated to a server that was restarted. */
#include "client_call.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "cleanup.h"
#include "fdkind.h"

/* No device has more of one kind. */
#define MAX_IRQS 4096u

/* The eventfds of one kind of interrupt, for one action. */
struct irq_record {
	struct irq_record *next;
	uint32_t index;
	uint32_t action; /* WIRE_IRQ_ACTION_* */
	uint32_t nr;
	int *fds; /* duplicates; -1: not assigned. Where fds can't travel we signal them ourselves */
};

/* ---- what is remembered ---- */

static struct irq_record *record_of(struct fpc *client, uint32_t index, uint32_t action)
{
	struct irq_record *record = client->irqs;

	while (record && (record->index != index || record->action != action))
		record = record->next;
	return record;
}

static int record_grow(struct irq_record *record, uint32_t nr)
{
	int *grown = nr > record->nr ? reallocarray(record->fds, nr, sizeof(int)) : record->fds;

	if (nr <= record->nr)
		return 0;
	if (!grown)
		return -ENOMEM;
	record->fds = grown;
	while (record->nr < nr)
		record->fds[record->nr++] = -1;
	return 0;
}

/* Makes room for interrupts up to `nr`, so that nothing can fail once the server has agreed. */
static int record_prepare(struct fpc *client, uint32_t index, uint32_t action, uint32_t nr)
{
	struct irq_record *record = record_of(client, index, action);

	if (!record) {
		record = calloc(1, sizeof(*record));
		if (!record)
			return -ENOMEM;
		record->index = index;
		record->action = action;
		record->next = client->irqs;
		client->irqs = record;
	}
	return record_grow(record, nr);
}

static void record_drop(struct irq_record *record, uint32_t start, uint32_t count)
{
	for (uint32_t i = start; i < record->nr && i - start < count; i++) {
		cleanup_close(&record->fds[i]);
		record->fds[i] = -1;
	}
}

void fpc_free_irqs(struct fpc *client)
{
	while (client->irqs) {
		struct irq_record *record = client->irqs;

		client->irqs = record->next;
		record_drop(record, 0, record->nr);
		free(record->fds);
		free(record);
	}
}

static void close_all(int *fds, uint32_t nr)
{
	for (uint32_t i = 0; fds && i < nr; i++)
		cleanup_close(&fds[i]);
}

static int *duplicate(const int *fds, uint32_t nr)
{
	int *copies = calloc(nr ? nr : 1, sizeof(*copies));

	for (uint32_t i = 0; copies && i < nr; i++) {
		copies[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
		if (copies[i] < 0) {
			close_all(copies, i);
			free(take_ptr(copies));
		}
	}
	return copies;
}

/* The server has agreed to `set`, which brought no fds. */
static void note(struct fpc *client, const struct wire_irq_set *set)
{
	bool disables = set->flags & WIRE_IRQ_DATA_NONE && set->flags & WIRE_IRQ_ACTION_TRIGGER &&
			!set->count;

	for (struct irq_record *record = client->irqs; record; record = record->next) {
		if (record->index != set->index)
			continue;
		if (disables)
			record_drop(record, 0, record->nr);
		else if (set->flags & WIRE_IRQ_DATA_EVENTFD &&
			 record->action == (set->flags & WIRE_IRQ_ACTIONS))
			record_drop(record, set->start, set->count);
	}
}

/* What is noted of `set` becomes `fds`, and the other way round. */
static void exchange(struct fpc *client, const struct wire_irq_set *set, int *fds)
{
	struct irq_record *record = record_of(client, set->index, set->flags & WIRE_IRQ_ACTIONS);

	for (uint32_t i = 0; i < set->count; i++) {
		int old = record->fds[set->start + i];

		record->fds[set->start + i] = fds[i];
		fds[i] = old;
	}
}

/* ---- DEVICE_SET_IRQS ---- */

/* So many eventfds may be set in one message. */
static uint32_t max_irqs(const struct fpc *client)
{
	return client->no_fds ? MAX_IRQS : fpc_max_fds(client);
}

static int send_set(struct fpc *client, struct wire_irq_set *set, const void *data)
{
	bool by_eventfd = set->flags & WIRE_IRQ_DATA_EVENTFD && !client->no_fds;
	size_t bools = set->flags & WIRE_IRQ_DATA_BOOL ? set->count : 0;
	struct call call = {
		.cmd = WIRE_DEVICE_SET_IRQS,
		.out = { { set, sizeof(*set) }, { (void *)data, bools } },
		.fds = by_eventfd ? data : NULL,
		.nr_fds = by_eventfd && data ? set->count : 0,
	};

	set->argsz = (uint32_t)(sizeof(*set) + bools);
	if (call.nr_fds > fpc_max_fds(client))
		return -E2BIG;
	return fpc_run_plain(client, &call, 0);
}

/* What could not be remembered, or used, is not sent. */
static int check_fds(const struct fpc *client, const struct wire_irq_set *set, const int *fds)
{
	if (set->start > MAX_IRQS || set->count > max_irqs(client))
		return -E2BIG;
	if (!client->no_fds)
		return 0;
	if (!(set->flags & WIRE_IRQ_ACTION_TRIGGER))
		return -EOPNOTSUPP;
	for (uint32_t i = 0; i < set->count; i++)
		if (!fd_is_eventfd(fds[i]))
			return -EINVAL;
	return 0;
}

/*
 * Sends it, and remembers it before: an interrupt may come with the answer.
 */
static int send_fds_and_note(struct fpc *client, struct wire_irq_set *set, const int *fds)
{
	int ret = check_fds(client, set, fds);
	CLEANUP_FREE int *copies = NULL;

	if (!ret)
		ret = record_prepare(client, set->index, set->flags & WIRE_IRQ_ACTIONS,
				     set->start + set->count);
	if (ret)
		return ret;
	copies = duplicate(fds, set->count);
	if (!copies)
		return -ENOMEM;
	exchange(client, set, copies);
	ret = send_set(client, set, fds);
	if (ret)
		exchange(client, set, copies);
	close_all(copies, set->count);
	return ret;
}

/* The same, and remembers it. */
static int send_and_note(struct fpc *client, struct wire_irq_set *set, const void *data)
{
	int ret;

	if (set->flags & WIRE_IRQ_DATA_EVENTFD && data)
		return send_fds_and_note(client, set, data);
	ret = send_set(client, set, data);
	if (!ret)
		note(client, set);
	return ret;
}

int fpc_set_irqs(struct fpc *client, uint32_t flags, uint32_t index, uint32_t start, uint32_t count,
		 const void *data)
{
	struct wire_irq_set set = {
		.flags = flags,
		.index = index,
		.start = start,
		.count = count,
	};

	return client->no_fds || client->flags & FPC_RECONNECTS ?
		       send_and_note(client, &set, data) :
		       send_set(client, &set, data);
}

/* Sets fds[0] to fds[count - 1], as many in a message as the server takes. */
static int set_eventfds(struct fpc *client, struct wire_irq_set set, const int *fds, bool remembers)
{
	uint32_t left = set.count;
	uint32_t most = max_irqs(client);
	int ret = most ? 0 : -E2BIG;

	while (left && !ret) {
		set.count = left < most ? left : most;
		ret = remembers ? fpc_set_irqs(client, set.flags, set.index, set.start, set.count,
					       fds) :
				  send_set(client, &set, fds);
		fds += set.count;
		set.start += set.count;
		left -= set.count;
	}
	return ret;
}

/* ---- eventfds of our own ---- */

static int make_eventfds(int *fds, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (fds[i] < 0) {
			int ret = -errno;

			close_all(fds, i);
			return ret;
		}
	}
	return 0;
}

int fpc_irqs_set(struct fpc *client, uint32_t index, uint32_t start, uint32_t count, const int *fds)
{
	const struct wire_irq_set set = {
		.flags = WIRE_IRQ_DATA_EVENTFD | WIRE_IRQ_ACTION_TRIGGER,
		.index = index,
		.start = start,
		.count = count,
	};

	return set_eventfds(client, set, fds, true);
}

int fpc_irqs_open(struct fpc *client, uint32_t index, uint32_t start, uint32_t count, int *fds)
{
	struct fpc_irq_info info;
	int ret = fpc_irq_info(client, index, &info);

	if (ret)
		return ret;
	if (!count || !wire_within(start, count, info.count) || !(info.flags & WIRE_IRQ_EVENTFD))
		return -EINVAL;
	ret = make_eventfds(fds, count);
	if (ret)
		return ret;
	ret = fpc_irqs_set(client, index, start, count, fds);
	if (ret)
		fpc_irqs_close(client, index, start, count, fds);
	return ret;
}

void fpc_irqs_close(struct fpc *client, uint32_t index, uint32_t start, uint32_t count, int *fds)
{
	fpc_set_irqs(client, WIRE_IRQ_DATA_EVENTFD | WIRE_IRQ_ACTION_TRIGGER, index, start, count,
		     NULL);
	for (uint32_t i = 0; i < count; i++) {
		cleanup_close(&fds[i]);
		fds[i] = -1;
	}
}

/* ---- those that come as messages ---- */

int fpc_interrupted(struct fpc *client, const struct channel_msg *msg)
{
	const struct irq_record *record;
	struct wire_vm_interrupt interrupt;
	uint64_t one = 1;

	if (!client->no_fds)
		return -EOPNOTSUPP;
	if (msg->body_len < sizeof(interrupt))
		return -EINVAL;
	memcpy(&interrupt, msg->body, sizeof(interrupt));
	record = record_of(client, interrupt.index, WIRE_IRQ_ACTION_TRIGGER);
	/* Servers tell of those that nobody asked for, too. */
	if (!record || interrupt.subindex >= record->nr || record->fds[interrupt.subindex] < 0)
		return 0;
	if (write(record->fds[interrupt.subindex], &one, sizeof(one)) < 0)
		return 0; /* full: it is signalled, as far as it can be */
	return 0;
}

/* ---- once more ---- */

static int repeat(struct fpc *client, const struct irq_record *record)
{
	struct wire_irq_set set = {
		.flags = WIRE_IRQ_DATA_EVENTFD | record->action,
		.index = record->index,
	};
	int ret = 0;

	while (set.start < record->nr && !ret) {
		set.count = 0;
		while (set.start + set.count < record->nr &&
		       record->fds[set.start + set.count] >= 0)
			set.count++;
		ret = set_eventfds(client, set, record->fds + set.start, false);
		set.start += set.count + 1;
	}
	return ret;
}

int fpc_repeat_irqs(struct fpc *client)
{
	int ret = 0;

	for (struct irq_record *record = client->irqs; record && !ret; record = record->next)
		ret = repeat(client, record);
	return ret;
}
