/* SPDX-License-Identifier: BSD-3-Clause */
#include "postmortem.h"

#include <asm/processor-flags.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "log.h"

#define MAX_INSN 15

/* Where a vCPU stands. */
struct state {
	bool known; /* the registers are */
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	size_t insn_len; /* 0: not known */
	uint8_t insn[MAX_INSN];
};

/* The registers, and the instruction at RIP, to `text`. */
static void describe(const struct state *state, char *text, size_t size)
{
	const struct kvm_regs *regs = &state->regs;
	const struct kvm_sregs *sregs = &state->sregs;
	char code[3 * MAX_INSN + 1] = " ?";

	for (size_t i = 0; i < state->insn_len; i++)
		snprintf(code + 3 * i, 4, " %02x", state->insn[i]);
	if (!state->known) {
		snprintf(text, size, "registers unknown, code%s", code);
		return;
	}
	snprintf(text, size,
		 "rip %#llx, code%s, rax %#llx rbx %#llx rcx %#llx rdx %#llx rsi %#llx rdi %#llx "
		 "rsp %#llx rbp %#llx r8 %#llx r9 %#llx r10 %#llx r11 %#llx r12 %#llx r13 %#llx "
		 "r14 %#llx r15 %#llx rflags %#llx cs %#x cr0 %#llx cr2 %#llx cr3 %#llx cr4 %#llx",
		 regs->rip, code, regs->rax, regs->rbx, regs->rcx, regs->rdx, regs->rsi, regs->rdi,
		 regs->rsp, regs->rbp, regs->r8, regs->r9, regs->r10, regs->r11, regs->r12,
		 regs->r13, regs->r14, regs->r15, regs->rflags, sregs->cs.selector, sregs->cr0,
		 sregs->cr2, sregs->cr3, sregs->cr4);
}

/* The instruction at guest address `gpa`, if that is RAM. */
static void fetch(struct state *state, uint64_t gpa, const struct memory *memory)
{
	const void *bytes = memory_ptr(memory, gpa, MAX_INSN);

	state->insn_len = bytes ? MAX_INSN : 0;
	if (bytes)
		memcpy(state->insn, bytes, MAX_INSN);
}

static void examine(int fd, const struct memory *memory, struct state *state)
{
	struct kvm_translation where;

	*state = (struct state){ 0 };
	if (ioctl(fd, KVM_GET_REGS, &state->regs) || ioctl(fd, KVM_GET_SREGS, &state->sregs))
		return;
	state->known = true;
	where = (struct kvm_translation){ .linear_address = state->regs.rip };
	if (!ioctl(fd, KVM_TRANSLATE, &where) && where.valid)
		fetch(state, where.physical_address, memory);
}

static void tell(const char *why, const struct state *state)
{
	char where[700];

	describe(state, where, sizeof(where));
	log_error("vCPU: %s: %s", why, where);
}

/* Takes the instruction that KVM stumbled over as KVM quotes it, if it does. */
static void take_quoted(const struct kvm_run *run, struct state *state)
{
	if (run->emulation_failure.ndata < 3 ||
	    !(run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) ||
	    !run->emulation_failure.insn_size || run->emulation_failure.insn_size > MAX_INSN)
		return;
	state->insn_len = run->emulation_failure.insn_size;
	memcpy(state->insn, run->emulation_failure.insn_bytes, state->insn_len);
}

/* Why, to `text`, and the error for it. */
static int explain(const struct kvm_run *run, char *text, size_t size)
{
	switch (run->exit_reason) {
	case KVM_EXIT_SHUTDOWN:
		snprintf(text, size,
			 "the guest shut down (triple fault: an exception that can't be handled)");
		return -EFAULT;
	case KVM_EXIT_INTERNAL_ERROR:
		if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION) {
			snprintf(text, size,
				 "KVM can't emulate an instruction (suberror 1; AVX on a device?)");
			return -ENOSYS;
		}
		snprintf(text, size, "KVM had an internal error, suberror %u",
			 run->internal.suberror);
		return -EIO;
	case KVM_EXIT_FAIL_ENTRY:
		snprintf(text, size, "the CPU refused to enter the guest, hardware reason %#llx",
			 run->fail_entry.hardware_entry_failure_reason);
		return -EIO;
	case KVM_EXIT_HLT:
		snprintf(text, size, "the guest halted, and nothing can wake it");
		return -EIO;
	default:
		snprintf(text, size, "unexpected exit, reason %u", run->exit_reason);
		return -EIO;
	}
}

int postmortem(int fd, const struct kvm_run *run, const struct memory *memory)
{
	struct state state;
	char why[120];
	int ret = explain(run, why, sizeof(why));

	examine(fd, memory, &state);
	if (ret == -ENOSYS)
		take_quoted(run, &state);
	/* AMD's CPUs leave the state undefined, so KVM resets the vCPU: to real mode. */
	if (run->exit_reason == KVM_EXIT_SHUTDOWN && !(state.sregs.cr0 & X86_CR0_PE))
		state = (struct state){ 0 };
	tell(why, &state);
	return ret;
}

int postmortem_errno(int fd, int err, const struct memory *memory)
{
	struct state state;
	char why[80];

	snprintf(why, sizeof(why), "KVM_RUN: %s", strerror(err));
	examine(fd, memory, &state);
	tell(why, &state);
	return -err;
}

int postmortem_exception(unsigned int vector, uint64_t error_code, const struct kvm_regs *regs,
			 const struct kvm_sregs *sregs, const struct memory *memory)
{
	static const char *const names[] = {
		"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "",    "#TS",
		"#NP", "#SS", "#GP", "#PF", "",	   "#MF", "#AC", "#MC", "#XM", "#VE", "#CP",
	};
	struct state state = { .known = true, .regs = *regs, .sregs = *sregs };
	const char *name = vector < sizeof(names) / sizeof(*names) ? names[vector] : "";
	char why[80];

	snprintf(why, sizeof(why), "the guest raised exception %u %s, error code %#" PRIx64, vector,
		 name, error_code);
	fetch(&state, regs->rip, memory);
	tell(why, &state);
	return -EFAULT;
}
