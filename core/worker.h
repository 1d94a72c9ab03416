/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * worker: a thread with a ring of its own and the devices that live on it. Workers share nothing.
 */
#ifndef FASTPATH_WORKER_H
#define FASTPATH_WORKER_H

#include "served.h"

struct worker;

struct worker_options {
	struct ring_wait wait;
	const struct served_options *devices; /* of the server: every `step`-th is this worker's, */
	size_t nr_devices;
	size_t first; /* from this one on */
	size_t step;
	int stop_fd; /* readable: end. Borrowed */
	int done_fd; /* an eventfd to which 1 is added when the worker has ended. Borrowed */
	struct observe *observe; /* of all workers; NULL: nobody looks on, and posts no jobs */
	bool restricts; /* its ring is to do nothing but what this server and these devices need */
};

/* Something to be done on a worker's thread. */
struct worker_job {
	struct worker_job *next;
	/* `worker` is NULL when it has ended before. */
	void (*run)(struct worker_job *job, struct worker *worker);
};

/*
 * Starts the thread and waits until its devices are there; they have no clients yet. *out is to be given to worker_join(). -errno of the ring, the
 * thread or a device, said to the log.
 */
int worker_start(const struct worker_options *options, struct worker **out);

/* Confines its thread, which waits to be told so: see confine_thread(). -errno, said to the log. */
int worker_confine(struct worker *worker, int files);

/* Lets it serve. What it was not told to by the time of worker_join() it never does. */
void worker_release(struct worker *worker);

/* Has the job run there between two turns of its ring. From any thread; does not wait. */
void worker_post(struct worker *worker, struct worker_job *job);

/* For jobs: the worker's ring, and its i-th device, NULL after the last. */
struct ring *worker_ring(const struct worker *worker);
struct served *worker_served(const struct worker *worker, size_t i);

/* Waits for the thread to end, which it does when told to or when no client is left. 0 or -errno. */
int worker_join(struct worker *worker);

#endif
