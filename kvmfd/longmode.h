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

/* What the payload finds when it starts. All other registers are 0. */
struct longmode_entry {
	uint64_t rip;
	uint64_t rsp;
	uint64_t rdi; /* the first argument of a C function */
};

/*
 * Writes the tables to guest memory and sets the registers: guest addresses 0 to 4 GiB are mapped one
 * to one, writable and executable, SSE is on, all of PIO space is permitted. There is no IDT: an
 * exception is a triple fault, which vcpu_run() reports. -errno, said to the log.
 */
int longmode_setup(struct vcpu *vcpu, const struct memory *memory,
		   const struct longmode_entry *entry);

#endif
