/* SPDX-License-Identifier: BSD-3-Clause */
/* cpuid: what a vCPU says of itself. */
#ifndef KVMFD_CPUID_H
#define KVMFD_CPUID_H

#include "vm.h"

struct kvm_cpuid2;

/* What KVM supports, to *out, which is the caller's to free(). -errno, said to the log. */
int cpuid_supported(const struct vm *vm, struct kvm_cpuid2 **out);

/* How many bits a guest's physical addresses have; 0 when KVM does not say. */
unsigned int cpuid_address_bits(const struct vm *vm);

/*
 * Makes it vCPU `id` of `nr` cores in one package, whose APIC id is `id`: without this every vCPU
 * says that it is the CPU on which it was asked.
 */
void cpuid_place(struct kvm_cpuid2 *cpuid, unsigned int id, unsigned int nr);

#endif
