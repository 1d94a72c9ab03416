/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An ELF kernel that says where it is to be entered in 32 bits, without paging: PVH, as Xen has it
 * (docs/misc/pvh.pandoc, xen/include/public/arch-x86/hvm/start_info.h). Linux's own vmlinux does.
 */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "acpi.h"
#include "boot_format.h"
#include "elf_file.h"
#include "log.h"

#define NOTE_OWNER "Xen"
#define NOTE_PHYS32_ENTRY 18u
#define START_MAGIC 0x336ec578u /* "xEn3", with the highest bit of the E */

struct start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t nr_modules;
	uint64_t modules;
	uint64_t command_line;
	uint64_t rsdp;
	uint64_t memory_map;
	uint32_t nr_memory_map;
	uint32_t reserved;
};

struct module {
	uint64_t address;
	uint64_t size;
	uint64_t command_line;
	uint64_t reserved;
};

struct memory_map_entry {
	uint64_t base;
	uint64_t size;
	uint32_t type; /* as E820 has it */
	uint32_t reserved;
};

/* All of it, in its place. */
struct info {
	struct start_info start;
	struct module initrd;
	struct memory_map_entry map[BOOT_MAX_AREAS];
};

static bool find_entry(const struct boot *boot, struct elf *elf, uint32_t *entry)
{
	return elf_parse(boot->kernel, boot->kernel_bytes, elf) &&
	       elf_note(elf, NOTE_OWNER, NOTE_PHYS32_ENTRY, entry, sizeof(*entry));
}

static bool probe(const struct boot *boot)
{
	uint32_t entry;
	struct elf elf;

	return find_entry(boot, &elf, &entry);
}

static int load(struct boot *boot)
{
	uint32_t entry = 0;
	struct elf elf;
	int ret = 0;

	find_entry(boot, &elf, &entry);
	boot->entry = entry;
	for (uint32_t i = 0; i < elf.nr_segments && !ret; i++) {
		struct elf_segment segment = elf_segment(&elf, i);

		if (segment.type == PT_LOAD)
			ret = boot_copy(boot, segment.address, segment.offset, segment.file_bytes,
					segment.memory_bytes);
	}
	return ret;
}

static int enter(const struct boot *boot)
{
	struct info *info = boot_info(boot);

	info->start = (struct start_info){
		.magic = START_MAGIC,
		.version = 1,
		.nr_modules = boot->initrd_bytes ? 1 : 0,
		.modules = BOOT_INFO_ADDRESS + offsetof(struct info, initrd),
		.command_line = BOOT_COMMAND_LINE_ADDRESS,
		.rsdp = ACPI_ADDRESS,
		.memory_map = BOOT_INFO_ADDRESS + offsetof(struct info, map),
		.nr_memory_map = boot->nr_areas,
	};
	info->initrd = (struct module){ .address = boot->initrd, .size = boot->initrd_bytes };
	for (unsigned int i = 0; i < boot->nr_areas; i++)
		info->map[i] = (struct memory_map_entry){
			.base = boot->areas[i].base,
			.size = boot->areas[i].size,
			.type = boot->areas[i].use,
		};
	return boot_cpu_32(boot, 0, BOOT_INFO_ADDRESS);
}

const struct boot_format boot_pvh = {
	.name = "ELF, PVH",
	.probe = probe,
	.load = load,
	.enter = enter,
};
