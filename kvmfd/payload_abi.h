/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * payload_abi: what a bare guest program and the monitor agree on. Freestanding: both include it.
 *
 * A payload is a flat binary. It is loaded at PAYLOAD_LOAD_ADDRESS and entered at its first byte,
 * in 64-bit user mode, as if called: void start(const struct payload_params *, uint64_t vcpu). It
 * must not return. Guest addresses are what they seem: the low 4 GiB are mapped one to one.
 *
 * All vCPUs enter it at once, each with its number, from 0 on, and a stack of its own. One that has
 * nothing to do may leave by a store to leave_address.
 *
 *	0x0000000000  tables of the CPU
 *	0x0000010000  struct payload_params, a page
 *	0x0000011000  free
 *	0x0000100000  stacks, down from PAYLOAD_STACK_TOP, 64 KiB apart
 *	0x0000200000  the payload, then zeros up to the end of RAM
 *	0x00d0000000  BARs in memory space (those in I/O space: from port 0xc000)
 *	0x00f0000000  mailboxes
 *	0x00f4000000  configuration space of PCI bus 0, at ports 0xcf8 and 0xcfc too
 *
 * There are no interrupts. An exception ends the guest with a report; so do, one way or the other,
 * `hlt`, `int` and `syscall`. The way out is a store to exit_address.
 */
#ifndef KVMFD_PAYLOAD_ABI_H
#define KVMFD_PAYLOAD_ABI_H

#include <stdint.h>

#define PAYLOAD_PARAMS_ADDRESS 0x10000ull
#define PAYLOAD_STACK_BOTTOM 0x100000ull
#define PAYLOAD_STACK_TOP 0x200000ull
#define PAYLOAD_STACK_BYTES 0x10000ull /* of each vCPU; of the only one, all down to the bottom */
#define PAYLOAD_LOAD_ADDRESS 0x200000ull

#define PAYLOAD_MAGIC 0x64616f6c79615046ull /* "FPayload" */
#define PAYLOAD_VERSION 1u

#define PAYLOAD_MAX_BARS 96u

enum {
	PAYLOAD_BAR_IO = 1 << 0, /* `address` is a port */
};

struct payload_bar {
	uint64_t address;
	uint64_t size;	 /* bytes */
	uint16_t device; /* 0 is the first on the command line */
	uint16_t bar;	 /* 0 to 5 */
	uint32_t flags;	 /* PAYLOAD_BAR_* */
	uint16_t vendor_id;
	uint16_t device_id;
	uint32_t reserved;
};

struct payload_params {
	uint64_t magic;
	uint32_t version;
	uint32_t nr_bars;
	/*
	 * A store of 1, 2, 4 or 8 bytes here ends the run, and its value is the exit code. A
	 * monitor that wants more runs the payload on after the store.
	 */
	uint64_t exit_address;
	uint64_t console_address; /* a store of a byte prints it */
	uint64_t ram_address;	  /* from behind the payload's image to the end of RAM: */
	uint64_t ram_size;	  /* bytes, free to use */
	uint64_t pci_address;	  /* configuration space of PCI bus 0, a page for each function */
	uint32_t nr_vcpus;
	uint32_t reserved;
	struct payload_bar bars[PAYLOAD_MAX_BARS];
	/* A store here ends the vCPU that makes it; that of the last one ends the run, with code 0. */
	uint64_t leave_address;
};

_Static_assert(sizeof(struct payload_params) <= 4096, "the parameters are a page at most");

#endif
