/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "rig.h"
#include "usage.h"

/* A sum that no guest reaches: the request to end. */
#define END (1ull << 40)

struct rig_reader {
	pthread_t thread;
	int fd;
	struct job_stamp *stamp;
	bool spins; /* it looks for a while before it sleeps; whoever measures says so */
	bool is_nonblocking;
	struct usage usage; /* published by the thread after each read */
};

static void publish_usage(struct rig_reader *reader)
{
	struct rusage rusage;

	getrusage(RUSAGE_THREAD, &rusage);
	__atomic_store_n(&reader->usage.switches, (uint64_t)(rusage.ru_nvcsw + rusage.ru_nivcsw),
			 __ATOMIC_RELAXED);
}

/* No call unless it changes: this is a floor. */
static void set_blocking(struct rig_reader *reader, bool blocks)
{
	if (reader->is_nonblocking != blocks)
		return;
	reader->is_nonblocking = !blocks;
	fcntl(reader->fd, F_SETFL, blocks ? 0 : O_NONBLOCK);
}

/* As bare as it gets: nothing but read() until there is something, for as long as a server looks. */
static bool look(struct rig_reader *reader, uint64_t *times)
{
	struct timespec ts;
	int64_t end;
	ssize_t n;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	end = ts.tv_sec * 1000000000ll + ts.tv_nsec + RIG_SPIN_US * 1000ll;
	set_blocking(reader, false);
	do {
		n = read(reader->fd, times, sizeof(*times));
		clock_gettime(CLOCK_MONOTONIC, &ts);
	} while (n < 0 && ts.tv_sec * 1000000000ll + ts.tv_nsec < end);
	return n == sizeof(*times);
}

static bool await(struct rig_reader *reader, uint64_t *times)
{
	if (__atomic_load_n(&reader->spins, __ATOMIC_RELAXED) && look(reader, times))
		return true;
	set_blocking(reader, true);
	return read(reader->fd, times, sizeof(*times)) == sizeof(*times);
}

static void *read_on(void *opaque)
{
	struct rig_reader *reader = opaque;
	uint64_t times;

	while (await(reader, &times) && times < END) {
		uint64_t now = __rdtsc();

		__atomic_store_n(&reader->stamp->tsc, now, __ATOMIC_RELAXED);
		__atomic_fetch_add(&reader->stamp->count, times, __ATOMIC_RELEASE);
		publish_usage(reader);
	}
	return NULL;
}

int reader_start(int fd, int cpu, struct job_stamp *stamp, struct rig_reader **out)
{
	struct rig_reader *reader = calloc(1, sizeof(*reader));
	pthread_attr_t attr;
	cpu_set_t cpus;
	int ret;

	if (!reader)
		return -ENOMEM;
	reader->fd = fd;
	reader->stamp = stamp;
	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	pthread_attr_init(&attr);
	pthread_attr_setaffinity_np(&attr, sizeof(cpus), &cpus);
	ret = pthread_create(&reader->thread, &attr, read_on, reader);
	pthread_attr_destroy(&attr);
	if (ret)
		free(reader);
	else
		*out = reader;
	return -ret;
}

void reader_spin(struct rig_reader *reader, bool spins)
{
	__atomic_store_n(&reader->spins, spins, __ATOMIC_RELAXED);
}

void reader_stop(struct rig_reader *reader)
{
	uint64_t end = END;

	if (!reader)
		return;
	if (write(reader->fd, &end, sizeof(end)) == sizeof(end))
		pthread_join(reader->thread, NULL);
	free(reader);
}

void reader_usage(const struct rig_reader *reader, struct usage *usage)
{
	struct timespec ts = { 0 };
	clockid_t clock;

	if (!pthread_getcpuclockid(reader->thread, &clock))
		clock_gettime(clock, &ts);
	usage->cpu_ns = (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
	usage->switches = __atomic_load_n(&reader->usage.switches, __ATOMIC_RELAXED);
}
