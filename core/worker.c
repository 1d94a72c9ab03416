/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

/* How long a device whose state is kept may take to end what it has begun. */
#define SETTLE_NS 2000000000ull

struct worker {
	struct worker_options options;
	pthread_t thread;
	sem_t started;
	int ret; /* of starting, and then of running */
	struct ring *ring;
	struct served **served;
	size_t nr_served;
	struct ring_op stop_op;
	bool stop;
	struct ring_op settle_op;
	bool is_late;
};

static void told_to_stop(struct ring_op *op, int res, const struct ring_received *received)
{
	struct worker *worker = (struct worker *)((char *)op - offsetof(struct worker, stop_op));

	(void)res;
	(void)received;
	worker->stop = true;
}

/* The ring has to be made by the thread that uses it. */
static int open_all(struct worker *worker)
{
	const struct worker_options *options = &worker->options;
	int ret = ring_open(&(struct ring_options){ .wait = options->wait }, &worker->ring);

	if (ret)
		return ret;
	worker->stop_op.done = told_to_stop;
	ring_readable(worker->ring, &worker->stop_op, options->stop_fd);
	for (size_t i = options->first; i < options->nr_devices && !ret; i += options->step) {
		ret = served_open(worker->ring, &options->devices[i],
				  &worker->served[worker->nr_served]);
		worker->nr_served += !ret;
	}
	return ret;
}

static bool has_work(const struct worker *worker)
{
	for (size_t i = 0; i < worker->nr_served; i++)
		if (served_has_work(worker->served[i]))
			return true;
	return false;
}

static int serve(struct worker *worker)
{
	int ret = 0;

	while (!ret && !worker->stop && has_work(worker)) {
		ret = ring_turn(worker->ring, -1);
		if (ret == -EINTR)
			ret = 0;
	}
	if (ret)
		log_error("io_uring: %s", strerror(-ret));
	return ret;
}

static bool is_settling(const struct worker *worker)
{
	for (size_t i = 0; i < worker->nr_served; i++)
		if (served_is_settling(worker->served[i]))
			return true;
	return false;
}

static void out_of_time(struct ring_op *op, int res, const struct ring_received *received)
{
	struct worker *worker = (struct worker *)((char *)op - offsetof(struct worker, settle_op));

	(void)res;
	(void)received;
	worker->is_late = true;
}

/* What devices have begun is part of the state that is to be kept: it gets the time to be done. */
static void settle(struct worker *worker)
{
	int ret = 0;

	for (size_t i = 0; i < worker->nr_served; i++)
		served_stop(worker->served[i]);
	worker->settle_op.done = out_of_time;
	ring_timeout(worker->ring, &worker->settle_op, SETTLE_NS);
	while (!worker->is_late && (!ret || ret == -EINTR) && is_settling(worker))
		ret = ring_turn(worker->ring, -1);
	ring_cancel(&worker->settle_op);
}

static void *run(void *opaque)
{
	struct worker *worker = opaque;
	uint64_t one = 1;
	int ret = open_all(worker);

	worker->ret = ret;
	sem_post(&worker->started);
	if (!ret)
		ret = serve(worker);
	if (!ret)
		settle(worker);
	while (worker->nr_served)
		served_close(worker->served[--worker->nr_served]);
	ring_close(worker->ring);
	if (write(worker->options.done_fd, &one, sizeof(one)) < 0)
		log_error("a worker's end can't be told: %s", strerror(errno));
	return (void *)(intptr_t)ret;
}

int worker_start(const struct worker_options *options, struct worker **out)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	struct served **served = calloc(options->nr_devices, sizeof(struct served *));
	int ret;

	if (!worker || !served) {
		free(worker);
		free(served);
		return -ENOMEM;
	}
	worker->options = *options;
	worker->served = served;
	sem_init(&worker->started, 0, 0);
	ret = -pthread_create(&worker->thread, NULL, run, worker);
	if (ret) {
		log_error("a thread can't be started: %s", strerror(-ret));
		sem_destroy(&worker->started);
		free(served);
		free(worker);
		return ret;
	}
	while (sem_wait(&worker->started) && errno == EINTR)
		;
	ret = worker->ret;
	if (ret)
		worker_join(worker);
	else
		*out = worker;
	return ret;
}

int worker_join(struct worker *worker)
{
	void *ret;

	pthread_join(worker->thread, &ret);
	sem_destroy(&worker->started);
	free(worker->served);
	free(worker);
	return (int)(intptr_t)ret;
}
