/* SPDX-License-Identifier: BSD-3-Clause */
#include "vcpu.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

#include "cleanup.h"
#include "cpuid.h"
#include "kvm_stats.h"
#include "log.h"
#include "postmortem.h"

struct vcpu {
	int fd;
	struct kvm_run *run;
	size_t run_bytes;
	const struct memory *memory;
	struct kvm_stats *stats; /* NULL: this kernel keeps none */
	struct vcpu_exits exits;
	struct histogram *times; /* NULL: not measured */
};

/* Says which ioctl failed, and returns its -errno. */
static int failed(const char *what)
{
	int err = errno;

	log_error("%s: %s", what, strerror(err));
	return -err;
}

static int create(struct vcpu *vcpu, const struct vm *vm, unsigned int id)
{
	void *run;

	vcpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, id);
	if (vcpu->fd < 0)
		return failed("KVM_CREATE_VCPU");
	run = mmap(NULL, vm->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (run == MAP_FAILED)
		return failed("the vCPU's kvm_run");
	vcpu->run = run;
	vcpu->run_bytes = vm->run_bytes;
	return 0;
}

static int set_cpuid(const struct vcpu *vcpu, const struct vm *vm, unsigned int id, unsigned int nr)
{
	CLEANUP_FREE struct kvm_cpuid2 *cpuid = NULL;
	int ret = cpuid_supported(vm, &cpuid);

	if (ret)
		return ret;
	/* A bare guest finds what the host has. */
	if (vm->has_irqchip)
		cpuid_place(cpuid, id, nr);
	return ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid) ? failed("KVM_SET_CPUID2") : 0;
}

int vcpu_open(struct vm *vm, const struct memory *memory, unsigned int id, unsigned int nr,
	      struct vcpu **out)
{
	struct vcpu *vcpu = malloc(sizeof(*vcpu));
	int ret;

	if (!vcpu)
		return -ENOMEM;
	*vcpu = (struct vcpu){ .fd = -1, .memory = memory };
	ret = create(vcpu, vm, id);
	if (!ret)
		ret = set_cpuid(vcpu, vm, id, nr);
	if (ret) {
		vcpu_close(vcpu);
		return ret;
	}
	ret = kvm_stats_open(vcpu->fd, &vcpu->stats);
	if (ret)
		log_debug("no KVM statistics of the vCPU: %s", strerror(-ret));
	*out = vcpu;
	return 0;
}

void vcpu_close(struct vcpu *vcpu)
{
	if (!vcpu)
		return;
	kvm_stats_close(vcpu->stats);
	free(vcpu->times);
	if (vcpu->run)
		munmap(vcpu->run, vcpu->run_bytes);
	cleanup_close(&vcpu->fd);
	free(vcpu);
}

int vcpu_get_sregs(struct vcpu *vcpu, struct kvm_sregs *sregs)
{
	return ioctl(vcpu->fd, KVM_GET_SREGS, sregs) ? failed("KVM_GET_SREGS") : 0;
}

int vcpu_set_sregs(struct vcpu *vcpu, const struct kvm_sregs *sregs)
{
	return ioctl(vcpu->fd, KVM_SET_SREGS, sregs) ? failed("KVM_SET_SREGS") : 0;
}

int vcpu_get_regs(struct vcpu *vcpu, struct kvm_regs *regs)
{
	return ioctl(vcpu->fd, KVM_GET_REGS, regs) ? failed("KVM_GET_REGS") : 0;
}

int vcpu_set_regs(struct vcpu *vcpu, const struct kvm_regs *regs)
{
	return ioctl(vcpu->fd, KVM_SET_REGS, regs) ? failed("KVM_SET_REGS") : 0;
}

/* This thread alone adds; others may look. */
static void count(uint64_t *number)
{
	__atomic_store_n(number, *number + 1, __ATOMIC_RELAXED);
}

static int handle_mmio(struct vcpu *vcpu, struct bus *bus)
{
	struct kvm_run *run = vcpu->run;

	count(&vcpu->exits.mmio);
	if (run->mmio.is_write)
		return bus_write(bus, BUS_MMIO, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
	return bus_read(bus, BUS_MMIO, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
}

/* One exit can be many accesses: a string instruction's, all at one port. */
static int handle_pio(struct vcpu *vcpu, struct bus *bus)
{
	struct kvm_run *run = vcpu->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	int ret = 0;

	count(&vcpu->exits.pio);
	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
		int one = run->io.direction == KVM_EXIT_IO_OUT ?
				  bus_write(bus, BUS_PIO, run->io.port, data, run->io.size) :
				  bus_read(bus, BUS_PIO, run->io.port, data, run->io.size);

		/* The instruction is done whole all the same. */
		ret = ret ? ret : one;
	}
	return ret;
}

/* KVM_RUN has failed. 0 when that is no reason to stop. */
static int handle_failure(struct vcpu *vcpu, int err)
{
	/* A vCPU that waited to be started was sent an interrupt. */
	if (err == EAGAIN)
		return 0;
	if (err != EINTR)
		return postmortem_errno(vcpu->fd, err, vcpu->memory);
	count(&vcpu->exits.interrupted);
	if (!__atomic_exchange_n(&vcpu->run->immediate_exit, 0, __ATOMIC_ACQUIRE))
		return 0;
	return -EINTR;
}

static int handle_exit(struct vcpu *vcpu, struct bus *bus)
{
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_MMIO:
		return handle_mmio(vcpu, bus);
	case KVM_EXIT_IO:
		return handle_pio(vcpu, bus);
	default:
		return postmortem(vcpu->fd, vcpu->run, vcpu->memory);
	}
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static enum vcpu_reason reason_of(const struct kvm_run *run, int failure)
{
	if (failure)
		return failure == EINTR ? VCPU_SIGNAL : VCPU_OTHER;
	if (run->exit_reason == KVM_EXIT_MMIO)
		return run->mmio.is_write ? VCPU_MMIO_WRITE : VCPU_MMIO_READ;
	if (run->exit_reason == KVM_EXIT_IO)
		return run->io.direction == KVM_EXIT_IO_OUT ? VCPU_PIO_WRITE : VCPU_PIO_READ;
	return VCPU_OTHER;
}

/* KVM_RUN has returned; `failure` is its errno, or 0. */
static int handle(struct vcpu *vcpu, struct bus *bus, int failure)
{
	uint64_t start = vcpu->times ? now_ns() : 0;
	int ret = failure ? handle_failure(vcpu, failure) : handle_exit(vcpu, bus);

	if (vcpu->times)
		histogram_add(&vcpu->times[reason_of(vcpu->run, failure)], now_ns() - start);
	return ret;
}

int vcpu_run(struct vcpu *vcpu, struct bus *bus)
{
	int ret;

	do {
		ret = ioctl(vcpu->fd, KVM_RUN, 0);
		count(&vcpu->exits.all);
		ret = handle(vcpu, bus, ret ? errno : 0);
	} while (!ret);
	return ret == BUS_STOP ? 0 : ret;
}

void vcpu_kick(struct vcpu *vcpu)
{
	/* KVM looks at it on its way into the guest: a signal just before that is not missed. */
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_RELEASE);
}

int vcpu_measure(struct vcpu *vcpu)
{
	vcpu->times = calloc(VCPU_NR_REASONS, sizeof(*vcpu->times));
	return vcpu->times ? 0 : -ENOMEM;
}

const struct histogram *vcpu_times(const struct vcpu *vcpu)
{
	return vcpu->times;
}

const struct vcpu_exits *vcpu_exits(const struct vcpu *vcpu)
{
	return &vcpu->exits;
}

int vcpu_stat(struct vcpu *vcpu, const char *name, uint64_t *value)
{
	return vcpu->stats ? kvm_stats_read(vcpu->stats, name, value) : -ENOENT;
}

int vcpu_tsc_offset(struct vcpu *vcpu, int64_t *offset)
{
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)offset,
	};

	return ioctl(vcpu->fd, KVM_GET_DEVICE_ATTR, &attr) ? -ENOTSUP : 0;
}

int vcpu_tsc_khz(struct vcpu *vcpu, uint64_t *khz)
{
	int ret = ioctl(vcpu->fd, KVM_GET_TSC_KHZ, 0);

	if (ret < 0)
		return -errno;
	*khz = (uint64_t)ret;
	return 0;
}
