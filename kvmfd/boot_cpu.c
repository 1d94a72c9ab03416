/* SPDX-License-Identifier: BSD-3-Clause */
/* How a kernel finds the vCPU that it starts on: what the boot protocols have in common. */
#include <asm/processor-flags.h>
#include <assert.h>
#include <linux/kvm.h>
#include <string.h>

#include "boot_format.h"
#include "identity_map.h"

#define GDT_ADDRESS 0x1000u
#define PML4_ADDRESS 0x2000u /* IDENTITY_MAP_BYTES from here */
#define TABLES_END 0x8000u
static_assert(PML4_ADDRESS + IDENTITY_MAP_BYTES <= TABLES_END, "they fit");

/* Of page table entries: present, writable; and a page of 2 MiB. */
#define PAGE_TABLE 0x03u
#define PAGE_2M 0x83u

/* Linux's selectors, which its boot protocol asks for; PVH and multiboot leave them open. */
#define CODE 0x10
#define DATA 0x18
#define TASK 0x20

#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)

enum {
	TYPE_DATA = 3,
	TYPE_CODE = 11,
	TYPE_TASK = 11,
};

static const struct kvm_segment data_segment = {
	.limit = UINT32_MAX,
	.selector = DATA,
	.type = TYPE_DATA,
	.present = 1,
	.db = 1,
	.s = 1,
	.g = 1,
};

static const struct kvm_segment task_segment = {
	.limit = 0x67,
	.selector = TASK,
	.type = TYPE_TASK,
	.present = 1,
};

static struct kvm_segment code_segment(bool is_64)
{
	struct kvm_segment segment = data_segment;

	segment.selector = CODE;
	segment.type = TYPE_CODE;
	segment.l = is_64;
	segment.db = !is_64;
	return segment;
}

static void write_gdt(uint8_t *tables, bool is_64)
{
	const uint64_t gdt[] = {
		[CODE / 8] = is_64 ? 0x00af9b000000ffff : 0x00cf9b000000ffff,
		[DATA / 8] = 0x00cf93000000ffff,
		[TASK / 8] = 0x00008b0000000067, /* at 0; a task takes two in 64 bits */
		[TASK / 8 + 1] = 0,
	};

	memcpy(tables + GDT_ADDRESS, gdt, sizeof(gdt));
}

static int set_special_registers(const struct boot *boot, bool is_64)
{
	struct vcpu *vcpu = boot->machine->vcpu;
	struct kvm_sregs sregs;
	int ret = vcpu_get_sregs(vcpu, &sregs);

	if (ret)
		return ret;
	sregs.cs = code_segment(is_64);
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data_segment;
	sregs.tr = task_segment;
	sregs.gdt = (struct kvm_dtable){ .base = GDT_ADDRESS, .limit = (TASK / 8 + 2) * 8 - 1 };
	sregs.idt = (struct kvm_dtable){ 0 };
	sregs.cr0 = X86_CR0_PE | X86_CR0_ET | (is_64 ? X86_CR0_PG : 0);
	sregs.cr3 = is_64 ? PML4_ADDRESS : 0;
	sregs.cr4 = is_64 ? X86_CR4_PAE : 0;
	sregs.efer = is_64 ? EFER_LME | EFER_LMA : 0;
	return vcpu_set_sregs(vcpu, &sregs);
}

static int set_up(const struct boot *boot, bool is_64, struct kvm_regs *regs)
{
	uint8_t *tables = memory_ptr(boot->machine->memory, 0, TABLES_END);
	int ret;

	memset(tables, 0, TABLES_END);
	write_gdt(tables, is_64);
	if (is_64)
		identity_map_write(tables + PML4_ADDRESS, PML4_ADDRESS, PAGE_TABLE, PAGE_2M);
	regs->rip = boot->entry;
	regs->rflags = X86_EFLAGS_FIXED;
	ret = set_special_registers(boot, is_64);
	return ret ? ret : vcpu_set_regs(boot->machine->vcpu, regs);
}

int boot_cpu_64(const struct boot *boot, uint64_t info)
{
	struct kvm_regs regs = { .rsi = info };

	return set_up(boot, true, &regs);
}

int boot_cpu_32(const struct boot *boot, uint32_t magic, uint32_t info)
{
	struct kvm_regs regs = { .rax = magic, .rbx = info };

	return set_up(boot, false, &regs);
}
