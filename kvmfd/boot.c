/* SPDX-License-Identifier: BSD-3-Clause */
#include "boot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "acpi.h"
#include "boot_format.h"
#include "cleanup.h"
#include "file.h"
#include "log.h"

#define PAGE_BYTES 4096ull

/* The first that knows a file has it: a multiboot kernel may be an ELF file that PVH would take. */
static const struct boot_format *const formats[] = {
	&boot_bzimage,
	&boot_pvh,
	&boot_multiboot,
	NULL,
};

/* ---- for the formats ---- */

static int no_room(const struct boot *boot, const char *what, uint64_t bytes)
{
	const struct memory *memory = boot->machine->memory;

	log_error("%s: %" PRIu64 " KiB don't fit into %" PRIu64 " MiB of memory%s", what,
		  bytes >> 10, memory_low_end(memory) >> 20,
		  memory->nr_parts > 1 ? " below 4 GiB" : "");
	return -EFBIG;
}

int boot_copy(struct boot *boot, uint64_t to, uint64_t offset, uint64_t bytes, uint64_t room)
{
	uint64_t needed = room > bytes ? room : bytes;
	uint8_t *at = memory_ptr(boot->machine->memory, to, needed);

	if (offset > boot->kernel_bytes || bytes > boot->kernel_bytes - offset) {
		log_error("%s: the file is cut short, or no kernel", boot->name);
		return -ENOEXEC;
	}
	if (!at || to < BOOT_HIGH_BASE)
		return no_room(boot, boot->name, needed);
	memcpy(at, boot->kernel + offset, bytes);
	memory_zero(boot->machine->memory, to + bytes, needed - bytes);
	if (boot->kernel_end < to + needed)
		boot->kernel_end = to + needed;
	return 0;
}

void *boot_info(const struct boot *boot)
{
	void *info = memory_ptr(boot->machine->memory, BOOT_INFO_ADDRESS, BOOT_INFO_BYTES);

	return memset(info, 0, BOOT_INFO_BYTES);
}

/* ---- what all formats have ---- */

static int find_areas(struct boot *boot)
{
	uint64_t end = memory_low_end(boot->machine->memory);
	uint64_t all = memory_end(boot->machine->memory);
	const struct boot_area areas[BOOT_MAX_AREAS] = {
		{ 0, BOOT_LOW_END, BOOT_RAM },
		{ ACPI_ADDRESS, ACPI_END - ACPI_ADDRESS, BOOT_RESERVED },
		{ BOOT_HIGH_BASE, end - BOOT_HIGH_BASE, BOOT_RAM },
		{ MACHINE_ECAM_BASE, MACHINE_ECAM_BYTES, BOOT_RESERVED },
		{ MEMORY_HIGH_BASE, all - MEMORY_HIGH_BASE, BOOT_RAM },
	};

	if (end <= BOOT_HIGH_BASE)
		return no_room(boot, boot->name, boot->kernel_bytes);
	memcpy(boot->areas, areas, sizeof(areas));
	boot->nr_areas = BOOT_MAX_AREAS - (all > MEMORY_HIGH_BASE ? 0 : 1);
	return 0;
}

static int place_command_line(const struct boot *boot)
{
	size_t max = boot->command_line_max < BOOT_COMMAND_LINE_BYTES ? boot->command_line_max :
									BOOT_COMMAND_LINE_BYTES - 1;
	char *line = memory_ptr(boot->machine->memory, BOOT_COMMAND_LINE_ADDRESS, max + 1);
	const char *name = boot->is_named ? boot->name : "";
	int len = snprintf(line, max + 1, "%s%s%s", name, *name ? " " : "", boot->command_line);

	if (len >= 0 && (size_t)len <= max)
		return 0;
	log_error("--append: %d characters, but %s takes %zu at most", len, boot->name, max);
	return -E2BIG;
}

/* As high as it may lie below 4 GiB: the kernel may want all that is low. */
static int find_place(struct boot *boot, const char *path, uint64_t bytes)
{
	uint64_t size = memory_low_end(boot->machine->memory);
	uint64_t end = boot->initrd_end < size ? boot->initrd_end : size;

	if (bytes > end || ((end - bytes) & ~(PAGE_BYTES - 1)) < boot->kernel_end)
		return no_room(boot, path, bytes);
	boot->initrd = (end - bytes) & ~(PAGE_BYTES - 1);
	boot->initrd_bytes = bytes;
	return 0;
}

static int place_initrd(struct boot *boot, const char *path)
{
	uint64_t bytes = 0;
	CLEANUP_CLOSE int fd = file_open(path, &bytes);
	int ret = fd < 0 ? fd : find_place(boot, path, bytes);

	if (ret == -EFBIG)
		return ret;
	if (!ret)
		ret = file_read(fd, memory_ptr(boot->machine->memory, boot->initrd, bytes), bytes);
	if (ret)
		log_error("initrd %s: %s", path, file_error(ret));
	return ret;
}

static const struct boot_format *find_format(const struct boot *boot)
{
	for (const struct boot_format *const *format = formats; *format; format++)
		if ((*format)->probe(boot))
			return *format;
	log_error("%s: no kernel: neither bzImage, nor ELF with a PVH entry, nor multiboot",
		  boot->name);
	return NULL;
}

static int boot_by(const struct boot_format *format, struct boot *boot,
		   const struct boot_options *options)
{
	int ret = format->load(boot);

	if (!ret)
		ret = place_command_line(boot);
	if (!ret && options->initrd)
		ret = place_initrd(boot, options->initrd);
	if (!ret)
		ret = format->enter(boot);
	if (!ret)
		log_info("%s: %s, entered at %#" PRIx64, boot->name, format->name, boot->entry);
	return ret;
}

int boot_load(struct machine *machine, const struct boot_options *options)
{
	CLEANUP_FREE void *kernel = NULL;
	struct boot boot = {
		.machine = machine,
		.name = options->kernel,
		.command_line = options->append ? options->append : "",
		.command_line_max = BOOT_COMMAND_LINE_BYTES - 1,
		.initrd_end = MEMORY_LOW_END,
	};
	const struct boot_format *format;
	/* What can't fit need not be read to its end. */
	int ret = file_load(options->kernel, machine->memory->size, &kernel, &boot.kernel_bytes);

	if (ret) {
		log_error("kernel %s: %s", options->kernel, file_error(ret));
		return ret;
	}
	boot.kernel = kernel;
	ret = find_areas(&boot);
	if (ret)
		return ret;
	format = find_format(&boot);
	return format ? boot_by(format, &boot, options) : -ENOEXEC;
}
