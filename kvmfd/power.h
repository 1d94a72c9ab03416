/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * power: the registers by which a kernel switches the machine off or resets it: ACPI's fixed
 * hardware (ACPI specification 6.5, section 4.8.3), which acpi.c tells of; the keyboard controller's
 * reset, for a kernel that does not look there; and the port at which kvm-unit-tests ends.
 */
#ifndef KVMFD_POWER_H
#define KVMFD_POWER_H

#include "bus.h"

/* I/O ports. */
#define POWER_BASE 0x600u
#define POWER_BYTES 0x10u
#define POWER_EVENT_PORT 0x600u /* PM1a_STS and PM1a_EN, 2 bytes each */
#define POWER_CONTROL_PORT 0x604u
#define POWER_RESET_PORT 0x608u

#define POWER_RESET_VALUE 1u
#define POWER_OFF_TYPE 5u /* what SLP_TYP has to be to switch off */
#define POWER_SCI 9u	  /* the GSI of its interrupt, which never comes */

enum power_state {
	POWER_ON,
	POWER_OFF,
	POWER_RESET, /* the guest wants to start again */
	POWER_EXIT,  /* by a store to port 0xf4 */
};

struct power {
	struct bus *bus;
	uint16_t status;
	uint16_t enable;
	uint16_t control;
	enum power_state state; /* not POWER_ON: vcpu_run() has returned 0 for it */
	uint32_t exit_code;	/* of POWER_EXIT: what was stored, twice, and 1, as in QEMU */
};

/* Puts the registers on the bus. *out is to be given to power_close(). -ENOMEM, as bus_add(). */
int power_open(struct bus *bus, struct power **out);

void power_close(struct power *power);

#endif
