/* SPDX-License-Identifier: BSD-3-Clause */
#include "postmortem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "log.h"

#define MAX_INSN 15

struct insn {
	size_t len; /* 0: not known */
	uint8_t bytes[MAX_INSN];
};

/* The registers a reader looks for first, and the instruction, to `text`. */
static void describe(int fd, const struct insn *insn, char *text, size_t size)
{
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	char code[3 * MAX_INSN + 1] = " ?";

	for (size_t i = 0; i < insn->len; i++)
		snprintf(code + 3 * i, 4, " %02x", insn->bytes[i]);
	if (ioctl(fd, KVM_GET_REGS, &regs) || ioctl(fd, KVM_GET_SREGS, &sregs)) {
		snprintf(text, size, "registers unknown (%s), code%s", strerror(errno), code);
		return;
	}
	snprintf(text, size,
		 "rip %#llx, code%s, rax %#llx rbx %#llx rcx %#llx rdx %#llx rsi %#llx rdi %#llx "
		 "rsp %#llx rbp %#llx r8 %#llx r9 %#llx r10 %#llx r11 %#llx r12 %#llx r13 %#llx "
		 "r14 %#llx r15 %#llx rflags %#llx cs %#x cr0 %#llx cr2 %#llx cr3 %#llx cr4 %#llx",
		 regs.rip, code, regs.rax, regs.rbx, regs.rcx, regs.rdx, regs.rsi, regs.rdi,
		 regs.rsp, regs.rbp, regs.r8, regs.r9, regs.r10, regs.r11, regs.r12, regs.r13,
		 regs.r14, regs.r15, regs.rflags, sregs.cs.selector, sregs.cr0, sregs.cr2,
		 sregs.cr3, sregs.cr4);
}

/* What lies at the guest's RIP, as far as it is RAM. */
static void fetch(int fd, const struct memory *memory, struct insn *insn)
{
	struct kvm_translation where;
	struct kvm_regs regs;
	const void *bytes;

	insn->len = 0;
	if (ioctl(fd, KVM_GET_REGS, &regs))
		return;
	where = (struct kvm_translation){ .linear_address = regs.rip };
	if (ioctl(fd, KVM_TRANSLATE, &where) || !where.valid)
		return;
	bytes = memory_ptr(memory, where.physical_address, MAX_INSN);
	if (!bytes)
		return;
	insn->len = MAX_INSN;
	memcpy(insn->bytes, bytes, MAX_INSN);
}

/* Takes the instruction that KVM stumbled over as KVM quotes it, if it does. */
static void quoted(const struct kvm_run *run, struct insn *insn)
{
	if (run->emulation_failure.ndata < 3 ||
	    !(run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) ||
	    !run->emulation_failure.insn_size || run->emulation_failure.insn_size > MAX_INSN)
		return;
	insn->len = run->emulation_failure.insn_size;
	memcpy(insn->bytes, run->emulation_failure.insn_bytes, insn->len);
}

/* Why, to `text`, and the error for it. */
static int explain(const struct kvm_run *run, char *text, size_t size)
{
	switch (run->exit_reason) {
	case KVM_EXIT_SHUTDOWN:
		snprintf(text, size,
			 "the guest shut down (triple fault: an exception without a handler)");
		return -EFAULT;
	case KVM_EXIT_INTERNAL_ERROR:
		if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION) {
			snprintf(
				text, size,
				"KVM can't emulate an instruction of the guest (suberror 1; an AVX access to "
				"a device, for example)");
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
	struct insn insn;
	char where[700];
	char why[120];
	int ret = explain(run, why, sizeof(why));

	fetch(fd, memory, &insn);
	if (ret == -ENOSYS)
		quoted(run, &insn);
	describe(fd, &insn, where, sizeof(where));
	log_error("vCPU: %s: %s", why, where);
	return ret;
}

int postmortem_errno(int fd, int err, const struct memory *memory)
{
	struct insn insn;
	char where[700];

	fetch(fd, memory, &insn);
	describe(fd, &insn, where, sizeof(where));
	log_error("vCPU: KVM_RUN: %s: %s", strerror(err), where);
	return -err;
}
