/* SPDX-License-Identifier: BSD-3-Clause */
/* vcpu: one virtual CPU, and the loop that runs it. */
#ifndef KVMFD_VCPU_H
#define KVMFD_VCPU_H

#include <stdint.h>

#include "bus.h"
#include "histogram.h"
#include "memory.h"
#include "vm.h"

struct kvm_regs;
struct kvm_sregs;
struct vcpu;

/* What a return of KVM_RUN is about. */
enum vcpu_reason {
	VCPU_MMIO_READ,
	VCPU_MMIO_WRITE,
	VCPU_PIO_READ,
	VCPU_PIO_WRITE,
	VCPU_SIGNAL,
	VCPU_OTHER,
	VCPU_NR_REASONS
};

/* Returns of KVM_RUN to user space, since the vCPU was opened. */
struct vcpu_exits {
	uint64_t all;
	uint64_t mmio;
	uint64_t pio;
	uint64_t interrupted; /* by a signal */
};

/*
 * Makes vCPU `id` of the `nr` that `vm` is to have, with the CPUID that KVM supports. `memory` is
 * borrowed, for messages that quote the instruction. *out is to be given to vcpu_close(), before
 * vm_close(). -errno, said to the log.
 *
 * Where the VM has an irqchip, vCPU 0 is the one that boots; the others wait in vcpu_run() for a
 * start-up interrupt from it.
 */
int vcpu_open(struct vm *vm, const struct memory *memory, unsigned int id, unsigned int nr,
	      struct vcpu **out);

void vcpu_close(struct vcpu *vcpu);

/* Registers, by ioctl: 0 or -errno, said to the log. Special registers before general ones. */
int vcpu_get_sregs(struct vcpu *vcpu, struct kvm_sregs *sregs);
int vcpu_set_sregs(struct vcpu *vcpu, const struct kvm_sregs *sregs);
int vcpu_get_regs(struct vcpu *vcpu, struct kvm_regs *regs);
int vcpu_set_regs(struct vcpu *vcpu, const struct kvm_regs *regs);

/*
 * Runs the guest, its accesses answered by `bus`, until
 *   0        a handler returned BUS_STOP; another vcpu_run() goes on after that access
 *   BUS_LEAVE  a handler returned that; likewise
 *   -EINTR   vcpu_kick() was called
 *   -EFAULT  the guest raised an exception that it does not handle
 *   -ENOSYS  KVM can't emulate an instruction
 *   -EIO     KVM could not enter the guest, or it did something nobody waits for, as hlt
 *   -errno   of KVM_RUN, or from a handler
 * All errors but -EINTR are said to the log, with the guest's registers. An ordinary signal is not
 * an end. No ioctl but KVM_RUN is made for an exit.
 */
int vcpu_run(struct vcpu *vcpu, struct bus *bus);

/*
 * Makes the running or the next vcpu_run() return -EINTR. To be called in a signal handler on the
 * vCPU's thread; from elsewhere a signal has to follow, so that KVM_RUN notices. Async-signal-safe.
 */
void vcpu_kick(struct vcpu *vcpu);

/*
 * From now on the time from each return of KVM_RUN until it can be called again is measured.
 * -ENOMEM. Before vcpu_run().
 */
int vcpu_measure(struct vcpu *vcpu);

/* Those times in ns, VCPU_NR_REASONS histograms, to which vcpu_run() adds; NULL: not measured. */
const struct histogram *vcpu_times(const struct vcpu *vcpu);

/* vcpu_run() goes on counting: to be read by __atomic_load_n(). */
const struct vcpu_exits *vcpu_exits(const struct vcpu *vcpu);

/*
 * A counter of KVM's binary statistics, "mmio_exits" for example, to *value: a pread() of 8 bytes.
 * -ENOENT when this kernel has no such counter (or none at all).
 */
int vcpu_stat(struct vcpu *vcpu, const char *name, uint64_t *value);

/* Guest TSC minus host TSC. -ENOTSUP when the kernel does not tell: it has to be measured then. */
int vcpu_tsc_offset(struct vcpu *vcpu, int64_t *offset);

/* The guest's TSC rate, or -errno. */
int vcpu_tsc_khz(struct vcpu *vcpu, uint64_t *khz);

#endif
