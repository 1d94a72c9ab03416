/* SPDX-License-Identifier: BSD-3-Clause */
/* Linux's bzImage, by the 64-bit boot protocol (Documentation/x86/boot.rst). */
#include <asm/bootparam.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "acpi.h"
#include "boot_format.h"
#include "log.h"

#define HEADER_MAGIC "HdrS"
#define BOOT_FLAG 0xaa55u
#define SECTOR_BYTES 512u
#define DEFAULT_SECTORS 4u

#define MIN_VERSION 0x20c /* xloadflags; Linux 3.8 */
#define ENTRY_64 0x200u	  /* behind where the kernel is loaded */
#define LOADER_UNKNOWN 0xff

/*
 * How much of the header there is: up to where the jump at its start leads, which grows from version
 * to version. 0: the file is too short for one.
 */
static size_t header_bytes(const struct boot *boot)
{
	size_t start = offsetof(struct boot_params, hdr);
	size_t jump = start + offsetof(struct setup_header, jump);
	size_t len;

	if (boot->kernel_bytes < start + sizeof(struct setup_header))
		return 0;
	len = jump + 2 + boot->kernel[jump + 1] - start;
	return len < sizeof(struct setup_header) ? len : sizeof(struct setup_header);
}

/* What the file is too short for is 0. */
static struct setup_header read_header(const struct boot *boot)
{
	struct setup_header header = { 0 };

	memcpy(&header, boot->kernel + offsetof(struct boot_params, hdr), header_bytes(boot));
	return header;
}

static bool probe(const struct boot *boot)
{
	struct setup_header header;

	if (!header_bytes(boot))
		return false;
	header = read_header(boot);
	return header.boot_flag == BOOT_FLAG &&
	       !memcmp(&header.header, HEADER_MAGIC, sizeof(header.header));
}

static int refuse(const struct boot *boot, const char *why)
{
	log_error("%s: a bzImage, but %s", boot->name, why);
	return -ENOTSUP;
}

static int check(const struct boot *boot, const struct setup_header *header)
{
	if (header->version < MIN_VERSION)
		return refuse(boot, "older than Linux 3.8");
	if (!(header->loadflags & LOADED_HIGH))
		return refuse(boot, "it wants to be loaded below 1 MiB");
	if (!(header->xloadflags & XLF_KERNEL_64))
		return refuse(boot, "without a 64-bit entry");
	return 0;
}

static int load(struct boot *boot)
{
	const struct setup_header header = read_header(boot);
	uint64_t setup_bytes;
	int ret = check(boot, &header);

	if (ret)
		return ret;
	setup_bytes =
		(1u + (header.setup_sects ? header.setup_sects : DEFAULT_SECTORS)) * SECTOR_BYTES;
	if (setup_bytes > boot->kernel_bytes)
		return refuse(boot, "the file is cut short");
	ret = boot_copy(boot, header.pref_address, setup_bytes, boot->kernel_bytes - setup_bytes,
			header.init_size);
	boot->entry = header.pref_address + ENTRY_64;
	boot->command_line_max = header.cmdline_size;
	if (header.initrd_addr_max && !(header.xloadflags & XLF_CAN_BE_LOADED_ABOVE_4G))
		boot->initrd_end = header.initrd_addr_max + 1ull;
	return ret;
}

static int enter(const struct boot *boot)
{
	struct boot_params *params = boot_info(boot);

	params->hdr = read_header(boot);
	params->hdr.type_of_loader = LOADER_UNKNOWN;
	params->hdr.cmd_line_ptr = BOOT_COMMAND_LINE_ADDRESS;
	params->hdr.ramdisk_image = (uint32_t)boot->initrd;
	params->hdr.ramdisk_size = (uint32_t)boot->initrd_bytes;
	params->hdr.setup_data = 0;
	params->acpi_rsdp_addr = ACPI_ADDRESS;
	params->e820_entries = boot->nr_areas;
	for (unsigned int i = 0; i < boot->nr_areas; i++)
		params->e820_table[i] = (struct boot_e820_entry){
			.addr = boot->areas[i].base,
			.size = boot->areas[i].size,
			.type = boot->areas[i].use,
		};
	return boot_cpu_64(boot, BOOT_INFO_ADDRESS);
}

const struct boot_format boot_bzimage = {
	.name = "bzImage, 64-bit boot protocol",
	.probe = probe,
	.load = load,
	.enter = enter,
};
