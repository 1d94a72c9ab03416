/* SPDX-License-Identifier: BSD-3-Clause */
#include "relay.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdlib.h>

/* On the stack of the thread that waits for it. */
struct job {
	int (*fn)(void *opaque);
	void *opaque;
	int ret;
	sem_t done;
	struct job *next;
};

struct relay {
	pthread_mutex_t lock;
	pthread_cond_t work; /* there is a job, or one more has ended */
	struct job *first;
	struct job **last;
	unsigned int ended;
	bool closed; /* nobody will take what is put now */
	bool asked;
	void (*attend)(void *opaque);
	void *opaque;
};

int relay_open(struct relay **out)
{
	struct relay *relay = malloc(sizeof(*relay));

	if (!relay)
		return -ENOMEM;
	*relay = (struct relay){
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.work = PTHREAD_COND_INITIALIZER,
		.last = &relay->first,
	};
	*out = relay;
	return 0;
}

void relay_close(struct relay *relay)
{
	free(relay);
}

/* Whether it will be done. */
static bool put(struct relay *relay, struct job *job)
{
	bool closed;

	pthread_mutex_lock(&relay->lock);
	closed = relay->closed;
	if (!closed) {
		*relay->last = job;
		relay->last = &job->next;
		pthread_cond_signal(&relay->work);
	}
	pthread_mutex_unlock(&relay->lock);
	return !closed;
}

static void await(sem_t *done)
{
	while (sem_wait(done))
		; /* a signal */
}

int relay_call(struct relay *relay, int (*fn)(void *opaque), void *opaque)
{
	struct job job = { .fn = fn, .opaque = opaque, .ret = -ESHUTDOWN };

	sem_init(&job.done, 0, 0);
	if (put(relay, &job))
		await(&job.done);
	sem_destroy(&job.done);
	return job.ret;
}

void relay_attend(struct relay *relay, void (*fn)(void *opaque), void *opaque)
{
	relay->attend = fn;
	relay->opaque = opaque;
}

void relay_ask(struct relay *relay)
{
	pthread_mutex_lock(&relay->lock);
	relay->asked = true;
	pthread_cond_signal(&relay->work);
	pthread_mutex_unlock(&relay->lock);
}

/* With the lock, which is given away meanwhile. */
static void attend(struct relay *relay)
{
	relay->asked = false;
	pthread_mutex_unlock(&relay->lock);
	relay->attend(relay->opaque);
	pthread_mutex_lock(&relay->lock);
}

/* The next job, to be waited for; NULL when `ends` have ended. */
static struct job *take(struct relay *relay, unsigned int ends)
{
	struct job *job;

	pthread_mutex_lock(&relay->lock);
	while (relay->asked || (!relay->first && relay->ended < ends))
		if (relay->asked)
			attend(relay);
		else
			pthread_cond_wait(&relay->work, &relay->lock);
	job = relay->first;
	relay->closed = !job;
	if (job) {
		relay->first = job->next;
		if (!relay->first)
			relay->last = &relay->first;
	}
	pthread_mutex_unlock(&relay->lock);
	return job;
}

void relay_serve(struct relay *relay, unsigned int ends)
{
	struct job *job;

	while ((job = take(relay, ends))) {
		job->ret = job->fn(job->opaque);
		sem_post(&job->done);
	}
}

void relay_end(struct relay *relay)
{
	pthread_mutex_lock(&relay->lock);
	relay->ended++;
	pthread_cond_signal(&relay->work);
	pthread_mutex_unlock(&relay->lock);
}
