/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring_wait: how a thread waits for what a peer will send: whether it looks for it before it sleeps, and
 * for how long.
 *
 * To wake a sleeper on another CPU takes ten times as long as the message that wakes it, for both ends.
 * So it pays to look for about as long as that; and to look is wasted where nothing is to come soon, or
 * where the peer needs the CPU on which we look.
 */
#ifndef FASTPATH_RING_WAIT_H
#define FASTPATH_RING_WAIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ring_wait_mode {
	RING_WAIT_ADAPTIVE, /* look as long as that has paid lately, then sleep */
	RING_WAIT_BLOCK,    /* sleep at once */
	RING_WAIT_SPIN,	    /* look for spin_us, then sleep */
	RING_WAIT_SQPOLL,   /* a thread of the kernel's submits; we wait as by ADAPTIVE */
};

struct ring_wait {
	enum ring_wait_mode mode;
	uint32_t spin_us; /* of RING_WAIT_SPIN */
};

/* What a user may write, for messages. */
#define RING_WAIT_WANTED "block, spin=MICROSECONDS (1,000,000 at most), adaptive or sqpoll"

/* Such a text to *wait; -EINVAL when it is none. */
int ring_wait_parse(const char *text, struct ring_wait *wait);

/* The reverse, into text[size]. */
void ring_wait_format(struct ring_wait wait, char *text, size_t size);

/* The longest that RING_WAIT_ADAPTIVE looks: about what two wake-ups take. */
#define SPINNER_MAX_NS 100000u

/* So many spins in vain, one after the other, and it does without for a while. */
#define SPINNER_MISSES 3u

/* That while, in waits: it doubles each time, between these. */
#define SPINNER_REST_MIN 64u
#define SPINNER_REST_MAX 16384u

/* One thread's way to wait. Belongs to that thread. */
struct spinner {
	struct ring_wait wait;
	uint32_t window_ns; /* how long an adaptive one looks next time; 0: not at all */
	uint32_t misses;    /* in a row */
	uint32_t rest;	    /* for so many waits it does not even try */
	uint32_t back_off;  /* how long the last such rest was */
	uint32_t nr_cpus;   /* on which this thread may run, as of `counted_ns` */
	uint64_t counted_ns;
};

/* Starts anew with that policy. */
void spinner_set(struct spinner *spinner, struct ring_wait wait);

/* Whether the time that a wait takes is of interest: else no clock has to be read. */
static inline bool spinner_is_curious(const struct spinner *spinner)
{
	return spinner->wait.mode != RING_WAIT_BLOCK && spinner->wait.mode != RING_WAIT_SPIN &&
	       !spinner->rest;
}

/* How long the coming wait is to look before it sleeps, in ns; 0: not at all. */
static inline uint64_t spinner_window_ns(const struct spinner *spinner)
{
	if (spinner->wait.mode == RING_WAIT_BLOCK)
		return 0;
	return spinner->wait.mode == RING_WAIT_SPIN ? spinner->wait.spin_us * 1000ull :
						      spinner->window_ns;
}

/*
 * A place among those of this process that look: there are as many as this thread has CPUs to run on. A
 * true one is to be given back by spinner_leave(). `now_ns` is the time.
 */
bool spinner_enter(struct spinner *spinner, uint64_t now_ns);
void spinner_leave(void);

/* It looked and found something. */
void spinner_hit(struct spinner *spinner);

/* It looked in vain and slept, and something came after `waited_ns` in all. */
void spinner_missed(struct spinner *spinner, uint64_t waited_ns);

/* It slept at once, and something came after `waited_ns`. */
void spinner_slept(struct spinner *spinner, uint64_t waited_ns);

/* It slept at once without looking at the clock. */
static inline void spinner_rested(struct spinner *spinner)
{
	if (spinner->rest)
		spinner->rest--;
}

#endif
