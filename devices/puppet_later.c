/* SPDX-License-Identifier: BSD-3-Clause */
#include "puppet_later.h"

#include <errno.h>
#include <stdlib.h>

#include "puppet.h"

struct puppet_late {
	struct puppet_late *next;
	struct fp_timer timer; /* of latency */
	struct fp_access *access;
	uint64_t seq;
	bool is_held;
};

static void answer(struct fp_device *dev, struct puppet_later *later, struct puppet_late *late)
{
	struct puppet_late **at = &later->late;

	while (*at != late)
		at = &(*at)->next;
	*at = late->next;
	later->held[late->access->region] -= late->is_held;
	later->answer(dev, late->access);
	fp_finish(dev, late->access, 0);
	free(late);
}

static void latency_is_over(struct fp_device *dev, struct fp_timer *timer)
{
	struct puppet *puppet = fp_state(dev);
	struct puppet_late *late =
		(struct puppet_late *)((char *)timer - offsetof(struct puppet_late, timer));

	answer(dev, &puppet->later, late);
	puppet_wait_look(dev);
}

int puppet_later_take(struct fp_device *dev, struct puppet_later *later, struct fp_access *access,
		      uint64_t latency_us)
{
	bool is_held = later->holds[access->region];
	struct puppet_late **at = &later->late;
	struct puppet_late *late;

	if (!is_held && !latency_us)
		return 0;
	late = calloc(1, sizeof(*late));
	if (!late)
		return -ENOMEM;
	late->access = fp_defer(dev, access);
	if (!late->access) {
		free(late);
		return -ENOMEM;
	}
	late->seq = later->next++;
	late->is_held = is_held;
	later->held[access->region] += is_held;
	while (*at)
		at = &(*at)->next;
	*at = late;
	late->timer.expired = latency_is_over;
	if (!is_held)
		fp_timer_start(dev, &late->timer, latency_us * 1000);
	return FP_LATER;
}

static struct puppet_late *find_held(const struct puppet_later *later, uint32_t region)
{
	struct puppet_late *late = later->late;

	while (late && !(late->is_held && late->access->region == region))
		late = late->next;
	return late;
}

static uint64_t answer_held(struct fp_device *dev, struct puppet_later *later, uint32_t region)
{
	struct puppet_late *late;
	uint64_t nr = 0;

	for (; (late = find_held(later, region)); nr++)
		answer(dev, later, late);
	return nr;
}

uint64_t puppet_later_release(struct fp_device *dev, struct puppet_later *later, uint32_t region)
{
	/* First: what waited behind one that is answered comes at once. */
	later->holds[region] = false;
	return answer_held(dev, later, region);
}

void puppet_later_let_go(struct fp_device *dev, struct puppet_later *later)
{
	for (uint32_t region = 0; region < FP_MAX_REGIONS; region++)
		answer_held(dev, later, region);
}

uint64_t puppet_later_oldest(const struct puppet_later *later)
{
	const struct puppet_late *late = later->late;

	while (late && late->is_held)
		late = late->next;
	return late ? late->seq : later->next;
}

void puppet_later_close(struct puppet_later *later)
{
	while (later->late) {
		struct puppet_late *late = later->late;

		later->late = late->next;
		fp_timer_stop(&late->timer);
		free(late);
	}
}
