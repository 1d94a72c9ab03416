/* SPDX-License-Identifier: BSD-3-Clause */
#include "ring_slot.h"

#include <poll.h>
#include <sys/uio.h>

bool hot_add(struct ring_slot *slot)
{
	struct ring *ring = slot->ring;

	if (ring->has_sqpoll || !spinner_window_ns(&ring->spinner) || ring->nr_hot == MAX_HOT)
		return false;
	slot->kind = SLOT_EVENTFD_HOT;
	slot->has_rung = false;
	ring->hot[ring->nr_hot++] = slot;
	return true;
}

void hot_remove(struct ring_slot *slot)
{
	struct ring *ring = slot->ring;

	for (unsigned int i = 0; i < ring->nr_hot; i++)
		if (ring->hot[i] == slot)
			ring->hot[i--] = ring->hot[--ring->nr_hot];
}

void hot_arm_all(struct ring *ring)
{
	while (ring->nr_hot)
		slot_arm(ring->hot[--ring->nr_hot]);
}

bool hot_read(const struct ring_slot *slot, uint64_t *sum)
{
	uint64_t value = 0;
	struct iovec iov = { .iov_base = &value, .iov_len = sizeof(value) };

	if (preadv2(slot->fd, &iov, 1, -1, RWF_NOWAIT) != sizeof(value))
		return false;
	*sum += value;
	return true;
}

bool hot_find_rung(struct ring *ring)
{
	struct pollfd fds[MAX_HOT];
	unsigned int nr = ring->nr_hot;

	for (unsigned int i = 0; i < nr; i++)
		fds[i] = (struct pollfd){ .fd = ring->hot[i]->fd, .events = POLLIN };
	if (!nr || poll(fds, nr, 0) <= 0)
		return false;
	for (unsigned int i = 0; i < nr; i++)
		ring->hot[i]->has_rung = fds[i].revents;
	return true;
}

void hot_tell_rung(struct ring *ring)
{
	unsigned int i = 0;

	while (i < ring->nr_hot) {
		struct ring_slot *slot = ring->hot[i++];

		if (!slot->has_rung)
			continue;
		slot->has_rung = false;
		slot->value = 0;
		if (!hot_read(slot, &slot->value))
			continue;
		slot->op->done(slot->op, 0, NULL);
		i = 0; /* it may have cancelled any of them */
	}
}
