/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bare_guest: a machine that runs a few instructions of a test, with a recorder in each space.
 *
 *	BARE_GUEST(store, "movl $1, (%rbx)");
 *	...
 *	bare_guest_open(&guest, BARE_CODE(store))
 *
 * The code starts with the address of the recorder in memory space in rbx, the other's port in dx,
 * and everything else 0. It ends by itself, with exit code 0.
 */
#ifndef FASTPATH_SELFTESTS_BARE_GUEST_H
#define FASTPATH_SELFTESTS_BARE_GUEST_H

#include <stddef.h>
#include <stdint.h>

#include "machine.h"
#include "payload.h"
#include "recorder.h"

/* Outside of where machine_place() puts BARs. */
#define BARE_MMIO 0xf8000000u
#define BARE_MMIO_BYTES 0x2000u
#define BARE_PORT 0x1000u
#define BARE_PORT_BYTES 0x100u

/* Where payload.c has its mailboxes: a real guest learns it from its parameters. */
#define BARE_EXIT "0xf0000000"
#define BARE_CONSOLE "0xf0000008"

#define BARE_GUEST(name, code)                                                              \
	__asm__(".pushsection .rodata\n" #name "_code:\n"                                   \
		"mov $0xf8000000, %ebx\n mov $0x1000, %edx\n" code "\n"                     \
		"mov $" BARE_EXIT ", %ebx\n movl $0, (%rbx)\n" #name "_code_end: .byte 0\n" \
		".popsection\n");                                                           \
	extern const uint8_t name##_code[], name##_code_end[]

#define BARE_CODE(name) name##_code, (size_t)(name##_code_end - name##_code)

struct bare_guest {
	struct machine *machine;
	struct payload *payload;
	struct recorder mmio;
	struct recorder pio;
};

/* NULL when guests can run here, else why they can't. */
const char *bare_guest_missing(void);

/* First in every test that runs one: the harness does not heed a SKIP() in a FIXTURE_SETUP(). */
#define NEEDS_KVM()                                         \
	do {                                                \
		const char *missing = bare_guest_missing(); \
                                                            \
		if (missing)                                \
			SKIP(return, "%s", missing);        \
	} while (0)

/* 0 or -errno. In any case *guest is to be given to bare_guest_close(). */
int bare_guest_open(struct bare_guest *guest, const void *code, size_t len);

void bare_guest_close(struct bare_guest *guest);

/* What vcpu_run() returns. */
int bare_guest_run(struct bare_guest *guest);

#endif
