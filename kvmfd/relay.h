/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * relay: what several threads want done, done one after another on one thread.
 *
 * A vfio-user client is for one thread only. vCPUs that access its device from theirs hand the
 * access over, and wait.
 */
#ifndef KVMFD_RELAY_H
#define KVMFD_RELAY_H

struct relay;

/* *out is to be given to relay_close(). -ENOMEM. */
int relay_open(struct relay **out);

/* Nobody may be in relay_call(). NULL is nothing. */
void relay_close(struct relay *relay);

/*
 * Has fn(opaque) called on the thread that serves, and returns what it returned. -ESHUTDOWN, and it
 * is not called, when that thread has served to the end.
 */
int relay_call(struct relay *relay, int (*fn)(void *opaque), void *opaque);

/* Serves until relay_end() has been called `ends` times: once for each thread that calls. */
void relay_serve(struct relay *relay, unsigned int ends);

/*
 * Has fn(opaque) called between two jobs, or instead of waiting for one, after each relay_ask(). To be
 * set before relay_serve().
 */
void relay_attend(struct relay *relay, void (*fn)(void *opaque), void *opaque);

/* From any thread; nobody waits. What is asked for several times at once is done once. */
void relay_ask(struct relay *relay);

/* One of those that call has ended. From any thread. */
void relay_end(struct relay *relay);

#endif
