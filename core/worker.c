/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "cleanup.h"
#include "confine.h"
#include "log.h"
#include "ring_restrict.h"

/* How long a device whose state is kept may take to end what it has begun. */
#define SETTLE_NS 2000000000ull

/* What a worker whose devices are there is told. */
enum order {
	ORDER_END,
	ORDER_CONFINE,
	ORDER_SERVE,
};

struct worker {
	struct worker_options options;
	pthread_t thread;
	sem_t done; /* it has started, or done as ordered */
	int ret;    /* of that */
	sem_t ordered;
	enum order order;
	bool is_serving; /* it takes no more orders */
	int files;
	struct ring *ring;
	struct served **served;
	size_t nr_served;
	struct ring_op stop_op;
	bool stop;
	struct ring_op settle_op;
	bool is_late;
	int job_fd; /* an eventfd, signalled when there are jobs; -1: nobody has any */
	struct ring_op job_op;
	pthread_mutex_t lock;
	struct worker_job *jobs; /* under the lock; the last one first */
	bool has_ended;		 /* under the lock */
};

static void told_to_stop(struct ring_op *op, int res, const struct ring_received *received)
{
	struct worker *worker = (struct worker *)((char *)op - offsetof(struct worker, stop_op));

	(void)res;
	(void)received;
	worker->stop = true;
}

/* Those that are posted, in their order. */
static struct worker_job *take_jobs(struct worker *worker, bool is_end)
{
	struct worker_job *jobs;
	struct worker_job *in_order = NULL;

	pthread_mutex_lock(&worker->lock);
	jobs = take_ptr(worker->jobs);
	worker->has_ended = is_end;
	pthread_mutex_unlock(&worker->lock);
	while (jobs) {
		struct worker_job *job = jobs;

		jobs = job->next;
		job->next = in_order;
		in_order = job;
	}
	return in_order;
}

static void run_jobs(struct worker_job *jobs, struct worker *worker)
{
	while (jobs) {
		struct worker_job *job = jobs;

		jobs = job->next;
		job->run(job, worker);
	}
}

static void jobs_posted(struct ring_op *op, int res, const struct ring_received *received)
{
	struct worker *worker = (struct worker *)((char *)op - offsetof(struct worker, job_op));

	(void)received;
	if (res < 0)
		log_error("a worker can't be told of jobs any more: %s", strerror(-res));
	run_jobs(take_jobs(worker, false), worker);
}

void worker_post(struct worker *worker, struct worker_job *job)
{
	uint64_t one = 1;
	bool has_ended;

	pthread_mutex_lock(&worker->lock);
	has_ended = worker->has_ended;
	if (!has_ended) {
		job->next = worker->jobs;
		worker->jobs = job;
	}
	/* Within the lock: the fd is closed once has_ended is set. */
	if (!has_ended && write(worker->job_fd, &one, sizeof(one)) < 0)
		log_error("a worker can't be told of a job: %s", strerror(errno));
	pthread_mutex_unlock(&worker->lock);
	if (has_ended)
		job->run(job, NULL);
}

struct ring *worker_ring(const struct worker *worker)
{
	return worker->ring;
}

struct served *worker_served(const struct worker *worker, size_t i)
{
	return i < worker->nr_served ? worker->served[i] : NULL;
}

static int listen_for_jobs(struct worker *worker)
{
	worker->job_fd = eventfd(0, EFD_CLOEXEC);
	if (worker->job_fd < 0) {
		log_error("no eventfd: %s", strerror(errno));
		return -errno;
	}
	worker->job_op.done = jobs_posted;
	ring_eventfd(worker->ring, &worker->job_op, worker->job_fd);
	return 0;
}

static bool any_needs_files(const struct worker_options *options)
{
	for (size_t i = options->first; i < options->nr_devices; i += options->step)
		if (options->devices[i].class_->needs & FP_NEEDS_FILES)
			return true;
	return false;
}

/* The ring has to be made by the thread that uses it. */
static int open_all(struct worker *worker)
{
	const struct worker_options *options = &worker->options;
	const struct ring_options ring = {
		.wait = options->wait,
		.starts_disabled = options->restricts,
	};
	int ret = ring_open(&ring, &worker->ring);

	if (!ret && options->restricts)
		ret = ring_restrict(worker->ring, any_needs_files(options));
	if (ret)
		return ret;
	worker->stop_op.done = told_to_stop;
	ring_readable(worker->ring, &worker->stop_op, options->stop_fd);
	if (options->observe)
		ret = listen_for_jobs(worker);
	for (size_t i = options->first; i < options->nr_devices && !ret; i += options->step) {
		ret = served_open(worker->ring, &options->devices[i], options->observe,
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

static void await(sem_t *sem)
{
	while (sem_wait(sem) && errno == EINTR)
		;
}

/* Until it is told to serve, or to end without. */
static bool obey(struct worker *worker)
{
	await(&worker->ordered);
	while (worker->order == ORDER_CONFINE) {
		worker->ret = confine_thread(worker->files);
		sem_post(&worker->done);
		await(&worker->ordered);
	}
	return worker->order == ORDER_SERVE;
}

static void *run(void *opaque)
{
	struct worker *worker = opaque;
	uint64_t one = 1;
	int ret;

	if (worker->options.restricts)
		confine_prepare();
	ret = open_all(worker);

	worker->ret = ret;
	sem_post(&worker->done);
	if (!ret && obey(worker)) {
		ret = serve(worker);
		if (!ret)
			settle(worker);
	}
	run_jobs(take_jobs(worker, true), NULL);
	while (worker->nr_served)
		served_close(worker->served[--worker->nr_served]);
	ring_close(worker->ring);
	cleanup_close(&worker->job_fd);
	if (write(worker->options.done_fd, &one, sizeof(one)) < 0)
		log_error("a worker's end can't be told: %s", strerror(errno));
	return (void *)(intptr_t)ret;
}

static void free_worker(struct worker *worker)
{
	sem_destroy(&worker->done);
	sem_destroy(&worker->ordered);
	pthread_mutex_destroy(&worker->lock);
	free(worker->served);
	free(worker);
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
	worker->job_fd = -1;
	pthread_mutex_init(&worker->lock, NULL);
	sem_init(&worker->done, 0, 0);
	sem_init(&worker->ordered, 0, 0);
	ret = -pthread_create(&worker->thread, NULL, run, worker);
	if (ret) {
		log_error("a thread can't be started: %s", strerror(-ret));
		free_worker(worker);
		return ret;
	}
	await(&worker->done);
	ret = worker->ret;
	if (ret)
		worker_join(worker);
	else
		*out = worker;
	return ret;
}

static void order(struct worker *worker, enum order what)
{
	worker->order = what;
	sem_post(&worker->ordered);
}

int worker_confine(struct worker *worker, int files)
{
	worker->files = files;
	order(worker, ORDER_CONFINE);
	await(&worker->done);
	return worker->ret;
}

void worker_release(struct worker *worker)
{
	worker->is_serving = true;
	order(worker, ORDER_SERVE);
}

int worker_join(struct worker *worker)
{
	void *ret;

	if (!worker->is_serving)
		order(worker, ORDER_END);
	pthread_join(worker->thread, &ret);
	free_worker(worker);
	return (int)(intptr_t)ret;
}
