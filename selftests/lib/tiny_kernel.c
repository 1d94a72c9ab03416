/* SPDX-License-Identifier: GPL-2.0-only */
#include "tiny_kernel.h"

#include <asm/bootparam.h>
#include <elf.h>
#include <string.h>

/* Where they are loaded: all is relative, so that it does not matter. */
#define LOAD_ADDRESS 0x200000u

#define MULTIBOOT_MAGIC 0x1badb002u
#define MULTIBOOT_ADDRESSES 0x10000u

/* What follows is the same in 32 and 64 bits, but for the size of a pointer. */
#define PRINT_AND_ECHO          \
	"mov $0x3f8, %edx\n"    \
	"1: lodsb\n"            \
	"test %al, %al\n"       \
	"jz 2f\n"               \
	"outb %al, %dx\n"       \
	"jmp 1b\n"              \
	"2: mov $10, %al\n"     \
	"outb %al, %dx\n"       \
	"3: mov $0x3fd, %edx\n" \
	"inb %dx, %al\n"        \
	"test $1, %al\n"        \
	"jz 3b\n"               \
	"mov $0x3f8, %edx\n"    \
	"inb %dx, %al\n"        \
	"cmp $'q', %al\n"       \
	"je 4f\n"               \
	"cmp $'r', %al\n"       \
	"je 5f\n"               \
	"cmp $'e', %al\n"       \
	"je 7f\n"               \
	"cmp $'f', %al\n"       \
	"je 6f\n"               \
	"outb %al, %dx\n"       \
	"jmp 3b\n"              \
	"4: mov $0x604, %edx\n" \
	"mov $0x3400, %eax\n"   \
	"outw %ax, %dx\n"       \
	"5: mov $0x608, %edx\n" \
	"mov $1, %al\n"         \
	"outb %al, %dx\n"       \
	"6: ud2\n"              \
	"7: mov $5, %eax\n"     \
	"outl %eax, $0xf4\n"

/* Each finds its command line by what its protocol has in which register. */
__asm__(".pushsection .rodata\n"
	"tiny_64: mov 0x228(%rsi), %esi\n" PRINT_AND_ECHO "tiny_64_end:\n"
	".code32\n"
	"tiny_pvh: cmpl $0x336ec578, (%ebx)\n"
	"jne 6f\n"
	"mov 24(%ebx), %esi\n" PRINT_AND_ECHO "tiny_pvh_end:\n"
	"tiny_multiboot: cmp $0x2badb002, %eax\n"
	"jne 6f\n"
	"mov 16(%ebx), %esi\n" PRINT_AND_ECHO "tiny_multiboot_end:\n"
	".code64\n"
	".popsection\n");

extern const uint8_t tiny_64[], tiny_64_end[];
extern const uint8_t tiny_pvh[], tiny_pvh_end[];
extern const uint8_t tiny_multiboot[], tiny_multiboot_end[];

static void put(struct tiny_kernel *kernel, const void *bytes, size_t len)
{
	memcpy(kernel->bytes + kernel->len, bytes, len);
	kernel->len += len;
}

static void put_code(struct tiny_kernel *kernel, const uint8_t *code, const uint8_t *end)
{
	put(kernel, code, (size_t)(end - code));
}

/* A boot sector, a sector of setup, and from 512 bytes behind them the code. */
void tiny_kernel_bzimage(struct tiny_kernel *kernel)
{
	const struct setup_header header = {
		.setup_sects = 1,
		.boot_flag = 0xaa55,
		.jump = 0x6aeb, /* to the end of the header */
		.header = 0x53726448,
		.version = 0x20f,
		.loadflags = LOADED_HIGH,
		.initrd_addr_max = 0x7fffffff,
		.cmdline_size = 255,
		.xloadflags = XLF_KERNEL_64,
		.pref_address = LOAD_ADDRESS,
		.init_size = 0x100000,
	};

	*kernel = (struct tiny_kernel){ .len = 3 * 512 };
	memcpy(kernel->bytes + offsetof(struct boot_params, hdr), &header, sizeof(header));
	put_code(kernel, tiny_64, tiny_64_end);
}

/* An ELF header, then as many program headers. */
static void put_elf(struct tiny_kernel *kernel, uint16_t nr_segments)
{
	const Elf32_Ehdr header = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_EXEC,
		.e_machine = EM_386,
		.e_version = EV_CURRENT,
		.e_entry = LOAD_ADDRESS,
		.e_phoff = sizeof(header),
		.e_ehsize = sizeof(header),
		.e_phentsize = sizeof(Elf32_Phdr),
		.e_phnum = nr_segments,
	};

	*kernel = (struct tiny_kernel){ 0 };
	put(kernel, &header, sizeof(header));
}

static Elf32_Phdr segment(uint32_t type, size_t offset, size_t len)
{
	return (Elf32_Phdr){
		.p_type = type,
		.p_offset = (uint32_t)offset,
		.p_paddr = LOAD_ADDRESS,
		.p_filesz = (uint32_t)len,
		.p_memsz = (uint32_t)len + 4096,
	};
}

void tiny_kernel_pvh(struct tiny_kernel *kernel)
{
	const struct {
		Elf32_Nhdr header;
		char owner[4];
		uint32_t entry;
	} note = { { 4, 4, 18 }, "Xen", LOAD_ADDRESS };
	size_t note_at = sizeof(Elf32_Ehdr) + 2 * sizeof(Elf32_Phdr);
	size_t code_at = note_at + sizeof(note);
	const Elf32_Phdr segments[] = {
		segment(PT_NOTE, note_at, sizeof(note)),
		segment(PT_LOAD, code_at, (size_t)(tiny_pvh_end - tiny_pvh)),
	};

	put_elf(kernel, 2);
	put(kernel, segments, sizeof(segments));
	put(kernel, &note, sizeof(note));
	put_code(kernel, tiny_pvh, tiny_pvh_end);
}

void tiny_kernel_multiboot(struct tiny_kernel *kernel)
{
	const uint32_t header[] = { MULTIBOOT_MAGIC, 3, -(MULTIBOOT_MAGIC + 3) };
	size_t code_at = sizeof(Elf32_Ehdr) + sizeof(Elf32_Phdr) + sizeof(header);
	const Elf32_Phdr load =
		segment(PT_LOAD, code_at, (size_t)(tiny_multiboot_end - tiny_multiboot));

	put_elf(kernel, 1);
	put(kernel, &load, sizeof(load));
	put(kernel, header, sizeof(header));
	put_code(kernel, tiny_multiboot, tiny_multiboot_end);
}

void tiny_kernel_multiboot_flat(struct tiny_kernel *kernel)
{
	const uint32_t header[8] = {
		MULTIBOOT_MAGIC,
		MULTIBOOT_ADDRESSES,
		-(MULTIBOOT_MAGIC + MULTIBOOT_ADDRESSES),
		LOAD_ADDRESS + 16, /* of this header */
		LOAD_ADDRESS,
		0, /* all of the file */
		0,
		LOAD_ADDRESS + 16 + sizeof(header),
	};

	*kernel = (struct tiny_kernel){ .len = 16 };
	put(kernel, header, sizeof(header));
	put_code(kernel, tiny_multiboot, tiny_multiboot_end);
}
