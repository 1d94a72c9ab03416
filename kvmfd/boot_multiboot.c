/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A kernel with a multiboot header ("Multiboot Specification version 0.6.96"): an ELF file, or one
 * whose header says what goes where. kvm-unit-tests' are such.
 */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "boot_format.h"
#include "elf_file.h"
#include "log.h"

#define HEADER_MAGIC 0x1badb002u
#define HEADER_SEARCHED 8192u /* it lies within these bytes of the file */
#define LOADED_MAGIC 0x2badb002u

/* Of a header's flags: the lower half has to be understood. */
enum {
	WANTS_PAGE_ALIGNED = 1 << 0,
	WANTS_MEMORY = 1 << 1,
	HAS_ADDRESSES = 1 << 16,

	UNDERSTOOD = WANTS_PAGE_ALIGNED | WANTS_MEMORY,
	MANDATORY = 0xffff,
};

struct header {
	uint32_t magic;
	uint32_t flags;
	uint32_t checksum;
	/* With HAS_ADDRESSES: */
	uint32_t header_address;
	uint32_t load_address;
	uint32_t load_end; /* 0: with the file */
	uint32_t bss_end;  /* 0: there is none */
	uint32_t entry;
};

#define SHORT_BYTES offsetof(struct header, header_address)

enum {
	INFO_MEMORY = 1 << 0,
	INFO_COMMAND_LINE = 1 << 2,
	INFO_MODULES = 1 << 3,
	INFO_MAP = 1 << 6,
	INFO_LOADER = 1 << 9,
};

struct multiboot_info {
	uint32_t flags;
	uint32_t low_kib;
	uint32_t high_kib;
	uint32_t boot_device;
	uint32_t command_line;
	uint32_t nr_modules;
	uint32_t modules;
	uint32_t symbols[4];
	uint32_t map_bytes;
	uint32_t map;
	uint32_t drives[2];
	uint32_t config;
	uint32_t loader_name;
};

struct module {
	uint32_t start;
	uint32_t end;
	uint32_t command_line;
	uint32_t reserved;
};

struct map_entry {
	uint32_t size; /* of what follows */
	uint64_t base;
	uint64_t bytes;
	uint32_t type; /* as E820 has it */
} __attribute__((packed));

/* All of it, in its place. */
struct info {
	struct multiboot_info info;
	struct module initrd;
	struct map_entry map[BOOT_MAX_AREAS];
	char loader[16];
};

/* The header, and where in the file it is. What of it lies behind the file's end is 0. */
static bool find_header(const struct boot *boot, struct header *header, size_t *at)
{
	size_t end = boot->kernel_bytes < HEADER_SEARCHED ? boot->kernel_bytes : HEADER_SEARCHED;

	for (*at = 0; *at + SHORT_BYTES <= end; *at += 4) {
		size_t len = end - *at < sizeof(*header) ? end - *at : sizeof(*header);

		*header = (struct header){ 0 };
		memcpy(header, boot->kernel + *at, len);
		if (header->magic == HEADER_MAGIC &&
		    !(uint32_t)(header->magic + header->flags + header->checksum))
			return true;
	}
	return false;
}

static bool probe(const struct boot *boot)
{
	struct header header;
	size_t at;

	return find_header(boot, &header, &at);
}

static int refuse(const struct boot *boot, const char *why)
{
	log_error("%s: a multiboot kernel, but %s", boot->name, why);
	return -ENOTSUP;
}

/* As the header says. */
static int load_flat(struct boot *boot, const struct header *header, size_t at)
{
	uint64_t start = (uint64_t)at - (header->header_address - header->load_address);
	uint64_t bytes, room;

	if (header->load_address > header->header_address || start > at ||
	    (header->load_end && header->load_end < header->load_address))
		return refuse(boot, "the addresses in its header contradict each other");
	bytes = header->load_end ? header->load_end - header->load_address :
				   boot->kernel_bytes - start;
	room = header->bss_end > header->load_address ? header->bss_end - header->load_address : 0;
	boot->entry = header->entry;
	return boot_copy(boot, header->load_address, start, bytes, room);
}

static int load_elf(struct boot *boot)
{
	struct elf elf;
	int ret = 0;

	if (!elf_parse(boot->kernel, boot->kernel_bytes, &elf))
		return refuse(boot, "it is no ELF file, and its header has no addresses");
	boot->entry = elf.entry;
	for (uint32_t i = 0; i < elf.nr_segments && !ret; i++) {
		struct elf_segment segment = elf_segment(&elf, i);

		if (segment.type == PT_LOAD)
			ret = boot_copy(boot, segment.address, segment.offset, segment.file_bytes,
					segment.memory_bytes);
	}
	return ret;
}

static int load(struct boot *boot)
{
	struct header header = { 0 };
	size_t at = 0;

	find_header(boot, &header, &at);
	if (header.flags & MANDATORY & ~UNDERSTOOD)
		return refuse(boot, "it wants something that is not there, as video");
	boot->is_named = true; /* as QEMU has it: kvm-unit-tests skips that word */
	return header.flags & HAS_ADDRESSES ? load_flat(boot, &header, at) : load_elf(boot);
}

static int enter(const struct boot *boot)
{
	struct info *info = boot_info(boot);

	info->info = (struct multiboot_info){
		.flags = INFO_MEMORY | INFO_COMMAND_LINE | INFO_MODULES | INFO_MAP | INFO_LOADER,
		.low_kib = BOOT_LOW_END >> 10,
		.high_kib =
			(uint32_t)(memory_low_end(boot->machine->memory) - BOOT_HIGH_BASE) >> 10,
		.command_line = BOOT_COMMAND_LINE_ADDRESS,
		.nr_modules = boot->initrd_bytes ? 1 : 0,
		.modules = BOOT_INFO_ADDRESS + offsetof(struct info, initrd),
		.map_bytes = boot->nr_areas * (uint32_t)sizeof(struct map_entry),
		.map = BOOT_INFO_ADDRESS + offsetof(struct info, map),
		.loader_name = BOOT_INFO_ADDRESS + offsetof(struct info, loader),
	};
	info->initrd = (struct module){
		.start = (uint32_t)boot->initrd,
		.end = (uint32_t)(boot->initrd + boot->initrd_bytes),
	};
	for (unsigned int i = 0; i < boot->nr_areas; i++)
		info->map[i] = (struct map_entry){
			.size = sizeof(struct map_entry) - sizeof(uint32_t),
			.base = boot->areas[i].base,
			.bytes = boot->areas[i].size,
			.type = boot->areas[i].use,
		};
	strcpy(info->loader, "fastpath-vmm");
	return boot_cpu_32(boot, LOADED_MAGIC, BOOT_INFO_ADDRESS);
}

const struct boot_format boot_multiboot = {
	.name = "multiboot",
	.probe = probe,
	.load = load,
	.enter = enter,
};
