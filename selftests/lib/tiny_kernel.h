/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tiny_kernel: files that are a kernel of each format that fastpath-vmm boots, 100 bytes of code in
 * all: it prints its command line and a newline to the first serial port, echoes what comes in
 * there, and at a
 *
 *	q  powers off
 *	r  resets
 *	e  stores 5 to the exit port
 *	f  raises an exception without a table for it: a triple fault
 */
#ifndef FASTPATH_SELFTESTS_TINY_KERNEL_H
#define FASTPATH_SELFTESTS_TINY_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#define TINY_KERNEL_MAX 8192u

struct tiny_kernel {
	uint8_t bytes[TINY_KERNEL_MAX];
	size_t len;
};

void tiny_kernel_bzimage(struct tiny_kernel *kernel);
void tiny_kernel_pvh(struct tiny_kernel *kernel);

/* As an ELF file, and with addresses in its header. */
void tiny_kernel_multiboot(struct tiny_kernel *kernel);
void tiny_kernel_multiboot_flat(struct tiny_kernel *kernel);

#endif
