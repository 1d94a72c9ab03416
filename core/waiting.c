/* SPDX-License-Identifier: BSD-3-Clause */
#include "waiting.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "command.h"

/*
 * So many commands, bytes or fds of them may wait for one that is in flight before the client is not
 * read any more: its answers to transfers are not either then, unless they come by a twin socket.
 */
#define MAX_WAITING 1024u
#define MAX_WAITING_BYTES (4u * WIRE_MAX_MSG)
#define MAX_WAITING_FDS 256u

/* The independent region that a message accesses, or -1. */
static int64_t independent_region(const struct fp_device *dev, const struct channel_msg *msg)
{
	struct wire_region_access access;

	if ((msg->hdr.cmd != WIRE_REGION_READ && msg->hdr.cmd != WIRE_REGION_WRITE) ||
	    msg->body_len < sizeof(access))
		return -1;
	memcpy(&access, msg->body, sizeof(access));
	if (access.region >= dev->nr_regions ||
	    !(dev->regions[access.region].flags & FP_REGION_INDEPENDENT))
		return -1;
	return access.region;
}

/* Only accesses to independent regions may overtake one another, and not within a region. */
static bool may_overtake(const struct waiting_list *list, const struct fp_device *dev,
			 const struct channel_msg *msg, const struct waiting *until)
{
	const struct waiting *waiting = list->first;
	int64_t own = independent_region(dev, msg);

	for (; waiting != until; waiting = waiting->next) {
		int64_t other = independent_region(dev, &waiting->msg);

		if (own < 0 || other < 0 || own == other)
			return false;
	}
	return true;
}

/* Whether a message has to wait for what is in flight, or for those that wait before `until`. */
static bool has_to_wait(const struct waiting_list *list, struct fp_device *dev,
			const struct channel_msg *msg, const struct waiting *until)
{
	const struct command *command = command_find(msg->hdr.cmd);

	if (dev->is_resetting || dev->errands || !may_overtake(list, dev, msg, until))
		return true;
	if (command->prepare)
		command->prepare(dev, msg);
	if (!device_is_busy(dev))
		return false;
	return command->waits ? command->waits(dev, msg) : dev->deferred != NULL;
}

bool waiting_is_needed(const struct waiting_list *list, struct fp_device *dev,
		       const struct channel_msg *msg)
{
	return has_to_wait(list, dev, msg, NULL);
}

static void link_at(struct waiting_list *list, struct waiting **at, struct waiting *waiting)
{
	waiting->next = *at;
	*at = waiting;
	list->nr++;
	list->nr_fds += waiting->msg.nr_fds;
	list->bytes += sizeof(*waiting) + waiting->msg.body_len;
}

void waiting_put_back(struct waiting_list *list, struct waiting *waiting, uint64_t done)
{
	waiting->done = done;
	link_at(list, &list->first, waiting);
}

int waiting_put(struct waiting_list *list, struct channel_msg *msg, uint64_t done, bool first)
{
	struct waiting *waiting = malloc(sizeof(*waiting) + msg->body_len);
	struct waiting **at = &list->first;

	if (!waiting)
		return -ENOMEM;
	waiting->msg = *msg;
	waiting->msg.body = waiting->body;
	waiting->msg.fds = waiting->fds;
	waiting->done = done;
	for (unsigned int i = 0; i < msg->nr_fds; i++)
		waiting->fds[i] = channel_take_fd(msg, i);
	if (msg->body_len)
		memcpy(waiting->body, msg->body, msg->body_len);
	while (*at && !first)
		at = &(*at)->next;
	link_at(list, at, waiting);
	return 0;
}

struct waiting *waiting_take(struct waiting_list *list, struct fp_device *dev)
{
	struct waiting **at = &list->first;
	struct waiting *waiting;

	while (*at && has_to_wait(list, dev, &(*at)->msg, *at))
		at = &(*at)->next;
	waiting = *at;
	if (!waiting)
		return NULL;
	*at = waiting->next;
	list->nr--;
	list->nr_fds -= waiting->msg.nr_fds;
	list->bytes -= sizeof(*waiting) + waiting->msg.body_len;
	return waiting;
}

void waiting_free(struct waiting *waiting)
{
	for (unsigned int i = 0; i < waiting->msg.nr_fds; i++)
		cleanup_close(&waiting->fds[i]);
	free(waiting);
}

bool waiting_is_full(const struct waiting_list *list)
{
	return list->nr >= MAX_WAITING || list->bytes >= MAX_WAITING_BYTES ||
	       list->nr_fds >= MAX_WAITING_FDS;
}

bool waiting_has_room(const struct waiting_list *list)
{
	return list->nr < MAX_WAITING / 2 && list->bytes < MAX_WAITING_BYTES / 2 &&
	       list->nr_fds < MAX_WAITING_FDS / 2;
}

void waiting_clear(struct waiting_list *list)
{
	while (list->first) {
		struct waiting *waiting = list->first;

		list->first = waiting->next;
		waiting_free(waiting);
	}
	*list = (struct waiting_list){ 0 };
}
