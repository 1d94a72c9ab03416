/* SPDX-License-Identifier: BSD-3-Clause */
/* boot: a kernel, its initrd and command line into a machine, and the first vCPU at its entry. */
#ifndef KVMFD_BOOT_H
#define KVMFD_BOOT_H

#include "machine.h"

struct boot_options {
	const char *kernel; /* path */
	const char *initrd; /* path; NULL: none */
	const char *append; /* the command line; NULL: an empty one */
};

/*
 * Loads the kernel by the first format of boot_format.h that knows it, with what acpi_write() has
 * written. Says to the log, in one line, what is wrong with a file:
 *   -ENOEXEC  no kernel of any format
 *   -EFBIG    it, or the initrd, doesn't fit into the guest's memory
 *   -ENOTSUP  a kernel of its format, but one that can't be booted so
 *   -errno    it can't be read
 */
int boot_load(struct machine *machine, const struct boot_options *options);

#endif
