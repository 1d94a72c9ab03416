/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "usage.h"

/* A sum that no guest reaches: the request to end. */
#define END (1ull << 40)

struct rig_reader {
	pthread_t thread;
	int fd;
	struct job_stamp *stamp;
	struct usage usage; /* published by the thread after each read */
};

static void publish_usage(struct rig_reader *reader)
{
	struct rusage rusage;

	getrusage(RUSAGE_THREAD, &rusage);
	__atomic_store_n(&reader->usage.switches, (uint64_t)(rusage.ru_nvcsw + rusage.ru_nivcsw),
			 __ATOMIC_RELAXED);
}

static void *read_on(void *opaque)
{
	struct rig_reader *reader = opaque;
	uint64_t times;

	while (read(reader->fd, &times, sizeof(times)) == sizeof(times) && times < END) {
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
