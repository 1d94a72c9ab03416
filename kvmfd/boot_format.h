/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * boot_format: the ways in which kernels are booted, a row each.
 *
 * What a kernel file says is not trusted: a `load` checks every offset and length against the file
 * and the guest's memory.
 *
 *	0x00001000  the vCPU's tables (boot_cpu.c)
 *	0x00010000  what the format tells the kernel of the machine
 *	0x00020000  the command line
 *	0x000e0000  ACPI's tables
 *	0x00100000  from here on the kernel, wherever it wants to be, and the initrd as high as it may
 */
#ifndef KVMFD_BOOT_FORMAT_H
#define KVMFD_BOOT_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "machine.h"

#define BOOT_INFO_ADDRESS 0x10000u
#define BOOT_INFO_BYTES 0x10000u
#define BOOT_COMMAND_LINE_ADDRESS 0x20000u
#define BOOT_COMMAND_LINE_BYTES 0x10000u
#define BOOT_LOW_END 0xa0000u /* of RAM, on a PC */
#define BOOT_HIGH_BASE 0x100000u

/* What is where, in the guest's memory. */
enum boot_use {
	BOOT_RAM = 1, /* as E820 and PVH have it */
	BOOT_RESERVED = 2,
};

struct boot_area {
	uint64_t base;
	uint64_t size;
	enum boot_use use;
};

#define BOOT_MAX_AREAS 5u

struct boot {
	struct machine *machine;
	const char *name; /* of the kernel's file */
	const uint8_t *kernel;
	size_t kernel_bytes;
	const char *command_line;
	struct boot_area areas[BOOT_MAX_AREAS];
	unsigned int nr_areas;
	/* From `load`: */
	uint64_t entry;	     /* guest addresses */
	uint64_t kernel_end; /* of all that the kernel needs before it knows of the initrd */
	uint64_t initrd_end; /* the initrd has to end here at last */
	size_t command_line_max;
	bool is_named; /* the command line begins with `name`, and a space */
	/* For `enter`: */
	uint64_t initrd;
	uint64_t initrd_bytes; /* 0: none */
};

struct boot_format {
	const char *name;
	bool (*probe)(const struct boot *boot);
	/* Puts the kernel in its place. -errno, said to the log. */
	int (*load)(struct boot *boot);
	/* Tells the kernel of all the rest, and sets the vCPU up. */
	int (*enter)(const struct boot *boot);
};

extern const struct boot_format boot_bzimage;
extern const struct boot_format boot_pvh;
extern const struct boot_format boot_multiboot;

/*
 * A part of the kernel's file to guest address `to`, zeros behind it up to `room` bytes. -EFBIG,
 * said to the log, when that is not RAM at BOOT_HIGH_BASE or above; -ENOEXEC when the file ends
 * before. kernel_end is moved behind it.
 */
int boot_copy(struct boot *boot, uint64_t to, uint64_t offset, uint64_t bytes, uint64_t room);

/* BOOT_INFO_ADDRESS in this process: BOOT_INFO_BYTES, all 0. */
void *boot_info(const struct boot *boot);

/*
 * The first vCPU at boot->entry. In 64 bits: rsi is `info`, memory below 4 GiB mapped one to one. In
 * 32 bits: no paging, eax is `magic`, ebx is `info`. Flat segments, no interrupts.
 */
int boot_cpu_64(const struct boot *boot, uint64_t info);
int boot_cpu_32(const struct boot *boot, uint32_t magic, uint32_t info);

#endif
