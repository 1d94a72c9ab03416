/* SPDX-License-Identifier: BSD-3-Clause */
#include "clock.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <x86intrin.h>

#include "log.h"

#define CALIBRATION_NS 50000000
#define ROUNDS 400

static int64_t raw_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

void clock_calibrate(struct clock *clock)
{
	int64_t start_ns = raw_ns();
	uint64_t start = __rdtsc();
	int64_t ns;

	do {
		ns = raw_ns() - start_ns;
	} while (ns < CALIBRATION_NS);
	*clock = (struct clock){
		.ns_per_cycle = (double)ns / (double)(__rdtsc() - start),
		.offset_source = "none",
	};
	clock->guest_ns_per_cycle = clock->ns_per_cycle;
}

/* The host's end of the exchange. */
struct exchange {
	struct job *job;
	int64_t offset;	   /* of the quickest round */
	uint64_t quickest; /* cycles */
	uint64_t deadline; /* by the TSC: a guest that has died does not hang us */
};

static int round_trip(struct exchange *exchange, uint64_t i)
{
	struct job *job = exchange->job;
	uint64_t before = __rdtsc();
	uint64_t after;

	__atomic_store_n(&job->ping, i, __ATOMIC_RELEASE);
	while (__atomic_load_n(&job->pong, __ATOMIC_ACQUIRE) != i)
		if (__rdtsc() > exchange->deadline)
			return -1;
	after = __rdtsc();
	if (after - before < exchange->quickest) {
		exchange->quickest = after - before;
		exchange->offset = (int64_t)(job->pong_tsc - (before + (after - before) / 2));
	}
	return 0;
}

static void *run_exchange(void *opaque)
{
	struct exchange *exchange = opaque;

	for (uint64_t i = 1; i <= exchange->job->count; i++)
		if (round_trip(exchange, i))
			break;
	return NULL;
}

static int start_thread(pthread_t *thread, int cpu, struct exchange *exchange)
{
	pthread_attr_t attr;
	cpu_set_t cpus;
	int ret;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	pthread_attr_init(&attr);
	pthread_attr_setaffinity_np(&attr, sizeof(cpus), &cpus);
	ret = pthread_create(thread, &attr, run_exchange, exchange);
	pthread_attr_destroy(&attr);
	return -ret;
}

/* KVM may give a guest a TSC of another rate than the host's; it tells which, in whole kHz. */
static void find_rate(struct clock *clock, struct vcpu *vcpu)
{
	uint64_t khz;
	double ratio;

	if (vcpu_tsc_khz(vcpu, &khz) || !khz)
		return;
	ratio = (double)khz / (1e6 / clock->ns_per_cycle);
	if (ratio > 0.999 && ratio < 1.001)
		return;
	clock->is_scaled = true;
	clock->guest_ns_per_cycle = 1e6 / (double)khz;
}

int clock_find_offset(struct clock *clock, struct vcpu *vcpu, struct job *job, int cpu,
		      clock_run_fn *run, void *opaque)
{
	struct exchange exchange = { .job = job, .quickest = UINT64_MAX };
	int64_t read;
	pthread_t thread;
	int ret;

	find_rate(clock, vcpu);
	job->op = JOB_CLOCK;
	job->count = ROUNDS;
	job->ping = 0;
	job->pong = 0;
	exchange.deadline = __rdtsc() + (uint64_t)(5e9 / clock->ns_per_cycle);
	ret = start_thread(&thread, cpu, &exchange);
	if (ret)
		return ret;
	ret = run(opaque);
	pthread_join(thread, NULL);
	if (ret)
		return ret;
	clock->guest_offset = exchange.offset;
	clock->uncertainty = exchange.quickest / 2;
	clock->offset_source = "measured";
	if (vcpu_tsc_offset(vcpu, &read))
		return 0;
	if ((uint64_t)llabs(read - exchange.offset) > clock->uncertainty) {
		log_warn(
			"KVM says that the guest's TSC is %lld cycles ahead; measured: %lld +- %llu",
			(long long)read, (long long)exchange.offset,
			(unsigned long long)clock->uncertainty);
		return 0;
	}
	clock->guest_offset = read;
	clock->uncertainty = 0;
	clock->offset_source = "read";
	return 0;
}
