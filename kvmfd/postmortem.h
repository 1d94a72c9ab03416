/* SPDX-License-Identifier: BSD-3-Clause */
/* postmortem: what is said of a guest that can't go on. */
#ifndef KVMFD_POSTMORTEM_H
#define KVMFD_POSTMORTEM_H

#include <linux/kvm.h>

#include "memory.h"

/*
 * Says in one line why the vCPU whose fd `fd` is left KVM_RUN with the exit reason in `run`, where
 * it stood and with which registers. Returns what vcpu_run() is to return for it: never 0.
 */
int postmortem(int fd, const struct kvm_run *run, const struct memory *memory);

/* The same when KVM_RUN itself failed with `err`, an errno; returns -err. */
int postmortem_errno(int fd, int err, const struct memory *memory);

/*
 * The same of an exception that the guest raised with these registers, its code at guest address
 * regs->rip; returns -EFAULT.
 */
int postmortem_exception(unsigned int vector, uint64_t error_code, const struct kvm_regs *regs,
			 const struct kvm_sregs *sregs, const struct memory *memory);

#endif
