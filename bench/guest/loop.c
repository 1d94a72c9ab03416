/* SPDX-License-Identifier: BSD-3-Clause */
/* loop: the benchmark's guest. Does what the job says and stamps every access. */
#include "guest.h"
#include "job.h"
#include "measure.h"

static inline void write_mmio(uint64_t address, uint64_t value, uint32_t width)
{
	switch (width) {
	case 1:
		*(volatile uint8_t *)address = (uint8_t)value;
		break;
	case 2:
		*(volatile uint16_t *)address = (uint16_t)value;
		break;
	case 4:
		*(volatile uint32_t *)address = (uint32_t)value;
		break;
	default:
		*(volatile uint64_t *)address = value;
	}
}

static inline uint64_t read_mmio(uint64_t address, uint32_t width)
{
	switch (width) {
	case 1:
		return *(volatile uint8_t *)address;
	case 2:
		return *(volatile uint16_t *)address;
	case 4:
		return *(volatile uint32_t *)address;
	default:
		return *(volatile uint64_t *)address;
	}
}

static inline void out(uint16_t port, uint64_t value, uint32_t width)
{
	switch (width) {
	case 1:
		__asm__ volatile("outb %0, %1" : : "a"((uint8_t)value), "Nd"(port));
		break;
	case 2:
		__asm__ volatile("outw %0, %1" : : "a"((uint16_t)value), "Nd"(port));
		break;
	default:
		__asm__ volatile("outl %0, %1" : : "a"((uint32_t)value), "Nd"(port));
	}
}

static inline int access(void *opaque)
{
	struct job *job = opaque;

	if (job->op == JOB_READ)
		job->loaded = read_mmio(job->address, job->width);
	else if (job->op == JOB_OUT)
		out((uint16_t)job->address, job->now, job->width);
	else
		write_mmio(job->address, job->now, job->width);
	return 0;
}

/* The host counts `ping` up; it takes the time around the answer. */
static void tell_time(struct job *job)
{
	for (uint32_t i = 1; i <= job->count; i++) {
		while (__atomic_load_n(&job->ping, __ATOMIC_ACQUIRE) != i)
			;
		job->pong_tsc = measure_now();
		__atomic_store_n(&job->pong, i, __ATOMIC_RELEASE);
	}
}

GUEST_ENTRY void _start(const struct payload_params *params);

void _start(const struct payload_params *params)
{
	struct job *job = (struct job *)((params->ram_address + 4095) & ~4095ull);

	for (;;) {
		guest_exit(params, 0);
		if (job->op == JOB_CLOCK)
			tell_time(job);
		else
			measure(job, access, job);
	}
}
