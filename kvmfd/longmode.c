/* SPDX-License-Identifier: BSD-3-Clause */
#include "longmode.h"

#include <asm/processor-flags.h>
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <string.h>

#include "identity_map.h"
#include "log.h"
#include "postmortem.h"

/* Where the tables lie, below LONGMODE_TABLES_END. */
#define GDT_ADDRESS 0x1000u
#define TSS_ADDRESS 0x2000u   /* and the two pages behind it */
#define STUBS_ADDRESS 0x6000u /* of each vCPU one for each exception */
#define PML4_ADDRESS 0x8000u  /* IDENTITY_MAP_BYTES from here */
#define IDTS_ADDRESS 0xe000u  /* of each vCPU one */
static_assert(PML4_ADDRESS + IDENTITY_MAP_BYTES <= IDTS_ADDRESS, "they fit");

/* Of page table entries: Intel SDM volume 3, "Paging". Accessed and dirty spare the CPU a write. */
enum {
	PAGE_PRESENT = 1 << 0,
	PAGE_WRITE = 1 << 1,
	PAGE_USER = 1 << 2,
	PAGE_ACCESSED = 1 << 5,
	PAGE_DIRTY = 1 << 6,
	PAGE_LARGE = 1 << 7,
	PAGE_TABLE = PAGE_PRESENT | PAGE_WRITE | PAGE_USER | PAGE_ACCESSED,
	PAGE_2M = PAGE_TABLE | PAGE_DIRTY | PAGE_LARGE,
};

/* Linux's own selectors of user programs: what reads them back finds what it knows. */
#define USER_DATA 0x2b
#define USER_CODE 0x33
#define TASK 0x40
#define GDT_ENTRIES 10 /* the task's descriptor takes two */

/* Segment types, with the accessed bit that the CPU would set; the task is a busy one. */
enum {
	TYPE_DATA = 3,
	TYPE_CODE = 11,
	TYPE_TASK = 11,
};

/* A 64-bit TSS with a bitmap of forbidden ports, which an all-ones byte has to follow. */
struct tss {
	uint8_t unused[102];
	uint16_t bitmap_offset;
	uint8_t bitmap[65536 / 8];
	uint8_t end;
} __attribute__((packed));

#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)

static const struct kvm_segment data_segment = {
	.limit = UINT32_MAX,
	.selector = USER_DATA,
	.type = TYPE_DATA,
	.present = 1,
	.dpl = 3,
	.db = 1,
	.s = 1,
	.g = 1,
};

static const struct kvm_segment code_segment = {
	.limit = UINT32_MAX,
	.selector = USER_CODE,
	.type = TYPE_CODE,
	.present = 1,
	.dpl = 3,
	.s = 1,
	.l = 1,
	.g = 1,
};

static const struct kvm_segment task_segment = {
	.base = TSS_ADDRESS,
	.limit = sizeof(struct tss) - 1,
	.selector = TASK,
	.type = TYPE_TASK,
	.present = 1,
};

/* An LDT there has to be none: only an unusable one may be so empty. */
static const struct kvm_segment no_ldt = { .type = 2, .unusable = 1 };

/* Of an IDT: all that the CPU can raise. */
#define NR_EXCEPTIONS 32u

/* Exceptions for which the CPU pushes an error code: #DF #TS #NP #SS #GP #PF #AC #CP #VC #SX */
#define WITH_ERROR_CODE 0x60227d00u

/* Present, for every ring, an interrupt gate. */
#define GATE_TYPE 0xeeu

struct gate {
	uint16_t offset_low;
	uint16_t selector;
	uint8_t ist;
	uint8_t type;
	uint16_t offset_middle;
	uint32_t offset_high;
	uint32_t reserved;
};

#define IDT_BYTES (NR_EXCEPTIONS * sizeof(struct gate))
static_assert(IDTS_ADDRESS + LONGMODE_MAX_VCPUS * IDT_BYTES <= LONGMODE_TABLES_END, "they fit");

/*
 * What an exception's gate leads to: code that makes a struct frame of the stack, and tells where.
 * In ring 3 too, as there is no other: an exception on a bad stack is a triple fault.
 */
struct stub {
	uint8_t push_zero[2]; /* in place of an error code, or nops */
	uint8_t push_vector[2];
	uint8_t push_rax;
	uint8_t mov_eax; /* , fault_address */
	uint32_t fault_address;
	uint8_t store_rsp[3]; /* mov %rsp, (%rax) */
	uint8_t stay[2];      /* jmp . */
	uint8_t pad;
} __attribute__((packed));

#define STUBS_BYTES (NR_EXCEPTIONS * sizeof(struct stub))
static_assert(STUBS_ADDRESS + LONGMODE_MAX_VCPUS * STUBS_BYTES <= PML4_ADDRESS, "they fit");

struct frame {
	uint64_t rax;
	uint64_t vector;
	uint64_t error_code;
	uint64_t rip;
	uint64_t cs;
	uint64_t rflags;
	uint64_t rsp;
	uint64_t ss;
};

/* The low half of a descriptor; the high half of a system segment's is base >> 32. */
static uint64_t descriptor(const struct kvm_segment *segment)
{
	uint64_t limit = segment->g ? segment->limit >> 12 : segment->limit;
	uint64_t attributes = segment->type | segment->s << 4 | segment->dpl << 5 |
			      segment->present << 7 | segment->l << 13 | segment->db << 14 |
			      segment->g << 15;

	return (limit & 0xffff) | (segment->base & 0xffffff) << 16 | attributes << 40 |
	       (limit >> 16 & 0xf) << 48 | (segment->base >> 24 & 0xff) << 56;
}

static void write_gdt(void *at)
{
	uint64_t gdt[GDT_ENTRIES] = {
		[USER_DATA / 8] = descriptor(&data_segment),
		[USER_CODE / 8] = descriptor(&code_segment),
		[TASK / 8] = descriptor(&task_segment),
	};

	memcpy(at, gdt, sizeof(gdt));
}

static void write_tss(void *at)
{
	struct tss *tss = at;

	*tss = (struct tss){ .bitmap_offset = offsetof(struct tss, bitmap), .end = 0xff };
}

static uint32_t idt_address(unsigned int number)
{
	return (uint32_t)(IDTS_ADDRESS + number * IDT_BYTES);
}

static void write_idt(uint8_t *tables, unsigned int number, uint32_t fault_address)
{
	uint32_t stubs_address = (uint32_t)(STUBS_ADDRESS + number * STUBS_BYTES);
	struct gate *idt = (struct gate *)(tables + idt_address(number));
	struct stub *stubs = (struct stub *)(tables + stubs_address);

	for (uint8_t i = 0; i < NR_EXCEPTIONS; i++) {
		bool has_code = WITH_ERROR_CODE >> i & 1;

		idt[i] = (struct gate){
			.offset_low = (uint16_t)(stubs_address + i * sizeof(*stubs)),
			.selector = USER_CODE,
			.type = GATE_TYPE,
		};
		stubs[i] = (struct stub){
			.push_zero = { has_code ? 0x90 : 0x6a, has_code ? 0x90 : 0 },
			.push_vector = { 0x6a, i },
			.push_rax = 0x50,
			.mov_eax = 0xb8,
			.fault_address = fault_address,
			.store_rsp = { 0x48, 0x89, 0x20 },
			.stay = { 0xeb, 0xfe },
		};
	}
}

static int set_special_registers(struct vcpu *vcpu, unsigned int number)
{
	struct kvm_sregs sregs;
	int ret = vcpu_get_sregs(vcpu, &sregs);

	if (ret)
		return ret;
	sregs.cs = code_segment;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data_segment;
	sregs.tr = task_segment;
	sregs.ldt = no_ldt;
	sregs.gdt = (struct kvm_dtable){ .base = GDT_ADDRESS, .limit = GDT_ENTRIES * 8 - 1 };
	sregs.idt = (struct kvm_dtable){
		.base = idt_address(number),
		.limit = IDT_BYTES - 1,
	};
	sregs.cr0 = X86_CR0_PE | X86_CR0_MP | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_PG;
	sregs.cr3 = PML4_ADDRESS;
	sregs.cr4 = X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;
	sregs.efer = EFER_LME | EFER_LMA;
	return vcpu_set_sregs(vcpu, &sregs);
}

static void write_shared(uint8_t *tables)
{
	memset(tables, 0, LONGMODE_TABLES_END);
	write_gdt(tables + GDT_ADDRESS);
	write_tss(tables + TSS_ADDRESS);
	identity_map_write(tables + PML4_ADDRESS, PML4_ADDRESS, PAGE_TABLE, PAGE_2M);
}

int longmode_setup(struct vcpu *vcpu, const struct memory *memory,
		   const struct longmode_entry *entry)
{
	uint8_t *tables = memory_ptr(memory, 0, LONGMODE_TABLES_END);
	const struct kvm_regs regs = {
		.rip = entry->rip,
		.rsp = entry->rsp,
		.rdi = entry->rdi,
		.rsi = entry->rsi,
		/*
		 * Ring 3 may use ports by its IO privilege level or by the TSS's bitmap. A software
		 * KVM heeds only the latter, QEMU's emulation of nested SVM only the former.
		 */
		.rflags = X86_EFLAGS_FIXED | X86_EFLAGS_IOPL,
	};
	int ret;

	if (!tables) {
		log_error("guest memory of %" PRIu64 " bytes has no room for the CPU's tables",
			  memory->size);
		return -ENOSPC;
	}
	if (!entry->number)
		write_shared(tables);
	write_idt(tables, entry->number, entry->fault_address);
	ret = set_special_registers(vcpu, entry->number);
	return ret ? ret : vcpu_set_regs(vcpu, &regs);
}

int longmode_exception(struct vcpu *vcpu, const struct memory *memory, uint64_t stack)
{
	const struct frame *frame = memory_ptr(memory, stack, sizeof(*frame));
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	if (!frame || vcpu_get_regs(vcpu, &regs) || vcpu_get_sregs(vcpu, &sregs)) {
		log_error("vCPU: the guest raised an exception, and its stack at %#" PRIx64
			  " is not to be read",
			  stack);
		return -EFAULT;
	}
	regs.rax = frame->rax;
	regs.rip = frame->rip;
	regs.rflags = frame->rflags;
	regs.rsp = frame->rsp;
	return postmortem_exception((unsigned int)frame->vector, frame->error_code, &regs, &sregs,
				    memory);
}
