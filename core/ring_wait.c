/* SPDX-License-Identifier: BSD-3-Clause */
#include "ring_wait.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SPIN_US 1000000u

/* How often to ask on how many CPUs we may run: a call, and people change it by hand. */
#define COUNT_EVERY_NS 1000000000ull

/* Those of this process that look at this moment. */
static unsigned int nr_looking;

static const struct {
	const char *name;
	enum ring_wait_mode mode;
} modes[] = {
	{ "adaptive", RING_WAIT_ADAPTIVE },
	{ "block", RING_WAIT_BLOCK },
	{ "sqpoll", RING_WAIT_SQPOLL },
};

#define NR_MODES (sizeof(modes) / sizeof(*modes))

int ring_wait_parse(const char *text, struct ring_wait *wait)
{
	char *end;
	unsigned long us;

	for (size_t i = 0; i < NR_MODES; i++)
		if (!strcmp(text, modes[i].name)) {
			*wait = (struct ring_wait){ .mode = modes[i].mode };
			return 0;
		}
	if (strncmp(text, "spin=", 5) || text[5] < '0' || text[5] > '9')
		return -EINVAL;
	us = strtoul(text + 5, &end, 10);
	if (*end || us > MAX_SPIN_US)
		return -EINVAL;
	*wait = (struct ring_wait){ .mode = RING_WAIT_SPIN, .spin_us = (uint32_t)us };
	return 0;
}

void ring_wait_format(struct ring_wait wait, char *text, size_t size)
{
	for (size_t i = 0; i < NR_MODES; i++)
		if (modes[i].mode == wait.mode)
			snprintf(text, size, "%s", modes[i].name);
	if (wait.mode == RING_WAIT_SPIN)
		snprintf(text, size, "spin=%u", wait.spin_us);
}

void spinner_set(struct spinner *spinner, struct ring_wait wait)
{
	*spinner = (struct spinner){ .wait = wait };
}

static uint32_t count_cpus(void)
{
	cpu_set_t cpus;
	int nr = sched_getaffinity(0, sizeof(cpus), &cpus) ? 0 : CPU_COUNT(&cpus);

	return nr > 0 ? (uint32_t)nr : 1; /* more CPUs than fit are more than threads that look */
}

bool spinner_enter(struct spinner *spinner, uint64_t now_ns)
{
	if (!spinner->nr_cpus || now_ns - spinner->counted_ns >= COUNT_EVERY_NS) {
		spinner->nr_cpus = count_cpus();
		spinner->counted_ns = now_ns;
	}
	/* Nothing is ordered by it: it is a number. */
	if (__atomic_fetch_add(&nr_looking, 1, __ATOMIC_RELAXED) < spinner->nr_cpus)
		return true;
	spinner_leave();
	return false;
}

void spinner_leave(void)
{
	__atomic_fetch_sub(&nr_looking, 1, __ATOMIC_RELAXED);
}

void spinner_hit(struct spinner *spinner)
{
	spinner->misses = 0;
	spinner->back_off /= 2;
}

/* Twice as long as it took would have found it; what takes longer than it may look is not looked for. */
static uint32_t window_for(uint64_t waited_ns)
{
	if (waited_ns > SPINNER_MAX_NS)
		return 0;
	return waited_ns * 2 < SPINNER_MAX_NS ? (uint32_t)waited_ns * 2 : SPINNER_MAX_NS;
}

static void give_up(struct spinner *spinner)
{
	spinner->misses = 0;
	spinner->window_ns = 0;
	spinner->back_off *= 2;
	if (spinner->back_off < SPINNER_REST_MIN)
		spinner->back_off = SPINNER_REST_MIN;
	if (spinner->back_off > SPINNER_REST_MAX)
		spinner->back_off = SPINNER_REST_MAX;
	spinner->rest = spinner->back_off;
}

/*
 * Something that comes soon, but only once we sleep, comes from somebody who needs this CPU: to look
 * longer does not help, and after a few times we know.
 */
void spinner_missed(struct spinner *spinner, uint64_t waited_ns)
{
	if (++spinner->misses < SPINNER_MISSES)
		spinner->window_ns = window_for(waited_ns);
	else
		give_up(spinner);
}

void spinner_slept(struct spinner *spinner, uint64_t waited_ns)
{
	spinner->window_ns = window_for(waited_ns);
}
