/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * console: the guest's first serial port, at this process' standard input and output. A terminal
 * is made raw, so that the guest gets every key; Ctrl-a is the one that it has to be asked twice
 * for: Ctrl-a x ends the guest, Ctrl-a Ctrl-a sends one.
 */
#ifndef KVMFD_CONSOLE_H
#define KVMFD_CONSOLE_H

#include "crew.h"
#include "machine.h"

#define CONSOLE_PORT 0x3f8u
#define CONSOLE_GSI 4u

struct console;

/*
 * For a machine that has an irqchip; Ctrl-a x calls crew_end(). *out is to be given to
 * console_close(), before crew and machine. -errno, said to the log.
 */
int console_open(struct machine *machine, struct crew *crew, struct console **out);

/* Gives the terminal back as it was; NULL is nothing. */
void console_close(struct console *console);

#endif
