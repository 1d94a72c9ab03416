/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * crew: a machine's vCPUs at work.
 *
 * One vCPU runs on the thread that calls crew_run(), and that thread answers its accesses. Several
 * have a thread each, and this one answers: by the bus's relay, so that devices see one thread.
 */
#ifndef KVMFD_CREW_H
#define KVMFD_CREW_H

#include <stdbool.h>

#include "machine.h"

struct crew;

/* For a machine whose vCPUs nobody else runs. *out is to be given to crew_close(). -ENOMEM. */
int crew_open(struct machine *machine, struct crew **out);

void crew_close(struct crew *crew);

/*
 * Runs until one of the vCPUs ends, then ends the others: what vcpu_run() returned for the first
 * that did; -EINTR after crew_end(); -errno when there are no threads. One that leaves (BUS_LEAVE)
 * is no end until it is the last: 0. Once for a crew.
 */
int crew_run(struct crew *crew);

/*
 * Has fn(opaque) called, on the thread that answers accesses and between two of them, after each
 * crew_ask(). To be set before crew_run().
 */
void crew_attend(struct crew *crew, void (*fn)(void *opaque), void *opaque);

/* From any thread; nobody waits. Nothing once crew_run() has returned. */
void crew_ask(struct crew *crew);

/*
 * While crew_run() runs: has fn(opaque) called there, too, and waits for that. From one thread at a
 * time, and none of the crew's. -ESHUTDOWN, and it is not called, when the crew has ended.
 */
int crew_call(struct crew *crew, int (*fn)(void *opaque), void *opaque);

/* Makes crew_run() return, now or when it is called. From any thread, and async-signal-safe. */
void crew_end(struct crew *crew);

#endif
