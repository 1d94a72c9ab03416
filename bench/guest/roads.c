/* SPDX-License-Identifier: BSD-3-Clause */
/* roads: several vCPUs at one device, all at once, for a test that says what they do. */
#include "roads.h"

#include "guest.h"

#define COMMAND_MEMORY 2u

/* A vCPU at work. */
struct worker {
	struct roads_job *job;
	struct roads_vcpu *own;
	uint64_t at; /* its address */
	uint64_t number;
};

static void check(const struct worker *worker, int is_right)
{
	worker->own->right += is_right != 0;
	worker->own->wrong += !is_right;
}

static void store_numbers(const struct worker *worker)
{
	for (uint64_t n = 1; n <= worker->job->count; n++)
		guest_write64(worker->at, n);
}

static void ring(const struct worker *worker)
{
	for (uint64_t n = 1; n <= worker->job->count; n++)
		guest_write32(worker->at, (uint32_t)n);
}

static void write(uint64_t address, uint64_t value, uint32_t width)
{
	if (width == 1)
		guest_write8(address, (uint8_t)value);
	else if (width == 2)
		guest_write16(address, (uint16_t)value);
	else if (width == 4)
		guest_write32(address, (uint32_t)value);
	else
		guest_write64(address, value);
}

static uint64_t read(uint64_t address, uint32_t width)
{
	if (width == 1)
		return guest_read8(address);
	if (width == 2)
		return guest_read16(address);
	if (width == 4)
		return guest_read32(address);
	return guest_read64(address);
}

static void store_and_load(const struct worker *worker, uint64_t address, uint64_t value,
			   uint32_t width)
{
	uint64_t mask = width == 8 ? UINT64_MAX : (1ull << 8 * width) - 1;

	write(address, value, width);
	check(worker, read(address, width) == (value & mask));
}

/* What a store of another width left around a value has to be there still. */
static void store_widths(const struct worker *worker)
{
	uint64_t step = worker->job->step;
	uint64_t value = worker->number + 1;

	for (uint64_t round = 0; round < worker->job->count; round++)
		for (uint32_t width = 1; width <= 8; width *= 2)
			for (uint64_t i = 0; i + width <= step; i++) {
				uint8_t before = i ? guest_read8(worker->at + i - 1) : 0;

				value = value * 6364136223846793005 + 1442695040888963407;
				store_and_load(worker, worker->at + i, value, width);
				if (i)
					check(worker, guest_read8(worker->at + i - 1) == before);
			}
}

static void add_to_shared(uint64_t address)
{
	__asm__ volatile("lock incq %0" : "+m"(*(volatile uint64_t *)address) : : "memory");
}

static void store_words(const struct worker *worker)
{
	uint64_t words = worker->job->step / 8;

	for (uint64_t n = 1; n <= worker->job->count; n++) {
		guest_write64(worker->at + n % words * 8, n);
		check(worker, guest_read64(worker->at + n % words * 8) == n);
		add_to_shared(worker->job->shared);
	}
}

static void load(const struct worker *worker)
{
	check(worker, guest_read64(worker->at) == UINT64_MAX);
	guest_write64(worker->at, 1);
	check(worker, guest_read64(worker->at) == UINT64_MAX);
}

static void switch_off_and_on(const struct worker *worker)
{
	struct roads_job *job = worker->job;
	uint32_t on = guest_read32(job->shared) & 0xffff;

	for (uint64_t n = 0; n < job->count; n++) {
		guest_write32(job->shared, on & ~COMMAND_MEMORY);
		guest_write32(job->shared, on);
	}
	__atomic_store_n(&job->done, 1, __ATOMIC_RELEASE);
}

static void go_on_meanwhile(const struct worker *worker)
{
	uint64_t value = 0x0101010101010101 * worker->number;

	guest_write64(worker->at, value);
	while (!__atomic_load_n(&worker->job->done, __ATOMIC_ACQUIRE)) {
		uint64_t seen = guest_read64(worker->at);

		check(worker, seen == value || seen == UINT64_MAX || !seen);
		guest_write64(worker->at, value);
	}
	guest_write64(worker->at, value);
	check(worker, guest_read64(worker->at) == value);
}

static void switch_memory(const struct worker *worker)
{
	if (worker->number)
		go_on_meanwhile(worker);
	else
		switch_off_and_on(worker);
}

static void (*const ops[])(const struct worker *worker) = {
	[ROADS_NUMBERS] = store_numbers, [ROADS_RINGS] = ring, [ROADS_WIDTHS] = store_widths,
	[ROADS_WORDS] = store_words,	 [ROADS_LOAD] = load,  [ROADS_SWITCH] = switch_memory,
};

GUEST_ENTRY void _start(const struct payload_params *params, uint64_t vcpu);

void _start(const struct payload_params *params, uint64_t vcpu)
{
	struct roads_job *job = (struct roads_job *)roads_job_address(params->ram_address);
	const struct worker worker = {
		.job = job,
		.own = &job->vcpus[vcpu],
		.at = job->address + vcpu * job->step,
		.number = vcpu,
	};

	__atomic_store_n(&worker.own->begun, 1, __ATOMIC_RELEASE);
	ops[job->op](&worker);
	guest_leave(params);
}
