/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * longmode: 64-bit user mode (CPL 3) from a vCPU's first instruction.
 *
 * No guest kernel is needed to get there: KVM_SET_SREGS loads what a kernel would have set up. Ring
 * 3 runs natively everywhere, also where KVM has no hardware to run ring 0.
 */
#ifndef KVMFD_LONGMODE_H
#define KVMFD_LONGMODE_H

#include <stdint.h>

#include "memory.h"
#include "vcpu.h"

/* Guest addresses below this hold the tables; nothing else may lie there. */
#define LONGMODE_TABLES_END 0x10000u

/* Of one guest. */
#define LONGMODE_MAX_VCPUS 16u

/* What the payload finds when it starts. All other registers are 0. */
struct longmode_entry {
	unsigned int number; /* of the vCPU, below LONGMODE_MAX_VCPUS */
	uint64_t rip;
	uint64_t rsp;
	uint64_t rdi; /* the first arguments of a C function */
	uint64_t rsi;
	/*
	 * Where an exception is to be told: a guest address below 4 GiB in memory space, answered
	 * by somebody who gives what is stored there to longmode_exception().
	 */
	uint32_t fault_address;
};

/*
 * Writes the tables to guest memory and sets the registers: guest addresses 0 to 4 GiB are mapped
 * one to one, writable and executable, SSE is on, all ports are permitted. An exception stores the
 * stack pointer of its frame at entry->fault_address. -errno, said to the log.
 *
 * Several vCPUs share the tables, but for what leads to their fault_address: number 0 comes first.
 */
int longmode_setup(struct vcpu *vcpu, const struct memory *memory,
		   const struct longmode_entry *entry);

/* Says which exception left the frame at guest address `stack`; returns -EFAULT. */
int longmode_exception(struct vcpu *vcpu, const struct memory *memory, uint64_t stack);

#endif
