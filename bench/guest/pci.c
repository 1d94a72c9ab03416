/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci: finds the devices on the PCI bus by itself, and moves the BARs of every testdev among them:
 * its doorbells, its shared memory and its ports have to come along. Ends with the number of the
 * first check that failed, or 0.
 */
#include "guest.h"

/* PCI 3.0, 6.1 and 6.2.5 */
#define PCI_ID 0x00
#define PCI_COMMAND 0x04
#define PCI_CLASS 0x08
#define PCI_BAR(n) (0x10 + 4 * (n))
#define COMMAND_IO_MEMORY 3u
#define SLOTS 32u

/* testdev's BAR1 to BAR3, see docs/testdev.md. */
#define TESTDEV_ID 0x00051b36u
#define TESTDEV_MAGIC 0x44545046u
#define TESTDEV_DOORBELL 0x800
#define TESTDEV_RUNG 0x20
#define TESTDEV_AREA 0x2000

/* Where BARs go, and the next device's: away from where the monitor has put them. */
#define NEW_MEMORY 0xe8000000u
#define NEW_PORT 0x4000u
#define STEP 0x100000u

#define RINGS 10000
#define MAX_LOOKS 100000

enum {
	GOOD,
	BAD_PARAMETERS,
	NO_BRIDGE,
	ROADS_DIFFER,
	NOT_ABSENT,
	BAD_SIZE,
	OLD_ADDRESS_ANSWERS,
	NEW_ADDRESS_SILENT,
	RINGS_LOST,
	MEMORY_LOST,
	PORT_LOST,
	NOTHING_FOUND,
};

static const struct payload_params *params;

static uint32_t port_read(uint32_t slot, uint32_t at)
{
	guest_out32(0xcf8, 0x80000000u | slot << 11 | at);
	return guest_in32(0xcfc);
}

static void port_write(uint32_t slot, uint32_t at, uint32_t value)
{
	guest_out32(0xcf8, 0x80000000u | slot << 11 | at);
	guest_out32(0xcfc, value);
}

static uint64_t ecam(uint32_t slot, uint32_t at)
{
	return params->pci_address + (uint64_t)slot * 8 * 4096 + at;
}

static void print_device(uint32_t slot, uint32_t id)
{
	guest_print(params, "slot ");
	guest_print_decimal(params, slot);
	guest_print(params, " is ");
	guest_print_hex(params, id & 0xffff);
	guest_print(params, ":");
	guest_print_hex(params, id >> 16);
	guest_print(params, ", class ");
	guest_print_hex(params, port_read(slot, PCI_CLASS) >> 8);
	guest_print(params, "\n");
}

static void decode(uint32_t slot, int on)
{
	uint32_t command = port_read(slot, PCI_COMMAND) & 0xffff & ~COMMAND_IO_MEMORY;

	port_write(slot, PCI_COMMAND, on ? command | COMMAND_IO_MEMORY : command);
}

static uint32_t size_of(uint32_t slot, uint32_t bar)
{
	uint32_t before = port_read(slot, PCI_BAR(bar));
	uint32_t size;

	guest_write32(ecam(slot, PCI_BAR(bar)), UINT32_MAX);
	size = guest_read32(ecam(slot, PCI_BAR(bar)));
	guest_write32(ecam(slot, PCI_BAR(bar)), before);
	size &= before & 1 ? ~3u : ~15u;
	return ~size + 1;
}

static int ring(uint64_t bar)
{
	uint32_t before = guest_read32(bar + TESTDEV_RUNG);
	uint32_t rung = 0;

	for (int i = 0; i < RINGS; i++)
		guest_write32(bar + TESTDEV_DOORBELL, (uint32_t)i);
	for (int i = 0; i < MAX_LOOKS && rung != RINGS; i++)
		rung = guest_read32(bar + TESTDEV_RUNG) - before;
	guest_print(params, "rings ");
	guest_print_decimal(params, RINGS);
	guest_print(params, ", heard ");
	guest_print_decimal(params, rung);
	guest_print(params, "\n");
	return rung == RINGS ? GOOD : RINGS_LOST;
}

/* The addresses of BAR1 to BAR3. */
struct places {
	uint16_t port;
	uint64_t bench;
	uint64_t shared;
};

static struct places places_of(uint32_t slot)
{
	return (struct places){
		.port = (uint16_t)(port_read(slot, PCI_BAR(1)) & ~3u),
		.bench = port_read(slot, PCI_BAR(2)) & ~15u,
		.shared = port_read(slot, PCI_BAR(3)) & ~15u,
	};
}

static void move(uint32_t slot, const struct places *to)
{
	decode(slot, 0);
	port_write(slot, PCI_BAR(1), to->port);
	guest_write32(ecam(slot, PCI_BAR(2)), (uint32_t)to->bench);
	port_write(slot, PCI_BAR(3), (uint32_t)to->shared);
	decode(slot, 1);
}

static int check_there(const struct places *at)
{
	if (guest_read32(at->bench) != TESTDEV_MAGIC)
		return NEW_ADDRESS_SILENT;
	if (guest_read32(at->shared + TESTDEV_AREA) != 0x12345678)
		return MEMORY_LOST;
	guest_out8(at->port, 1);
	/* Test 4, one byte wide, its name follows. */
	return (guest_in32(at->port) & 0xffff) == 0x0104 ? GOOD : PORT_LOST;
}

static int check_gone(const struct places *at)
{
	if (guest_read32(at->bench) != UINT32_MAX ||
	    guest_read32(at->shared + TESTDEV_AREA) != UINT32_MAX ||
	    guest_in32(at->port) != UINT32_MAX)
		return OLD_ADDRESS_ANSWERS;
	return GOOD;
}

static int drive(uint32_t slot)
{
	const struct places before = places_of(slot);
	const struct places after = {
		.port = (uint16_t)(NEW_PORT + slot * 0x100),
		.bench = NEW_MEMORY + slot * STEP,
		.shared = NEW_MEMORY + slot * STEP + STEP / 2,
	};
	int ret;

	if (size_of(slot, 1) != 0x100 || size_of(slot, 2) != 0x1000 || size_of(slot, 3) != 0x10000)
		return BAD_SIZE;
	guest_write32(before.shared + TESTDEV_AREA, 0x12345678);
	ret = check_there(&before);
	if (!ret) {
		move(slot, &after);
		ret = check_gone(&before);
	}
	if (!ret)
		ret = check_there(&after);
	if (!ret)
		ret = ring(after.bench);
	if (ret)
		return ret;
	decode(slot, 0);
	ret = check_gone(&after);
	decode(slot, 1);
	return ret ? ret : check_there(&after);
}

static int find_all(void)
{
	int found = 0;
	int ret = GOOD;

	for (uint32_t slot = 0; slot < SLOTS && !ret; slot++) {
		uint32_t id = port_read(slot, PCI_ID);

		if (id != guest_read32(ecam(slot, PCI_ID)))
			return ROADS_DIFFER;
		if (guest_read32(ecam(slot, 4096 + PCI_ID)) != UINT32_MAX)
			return NOT_ABSENT;
		if (id == UINT32_MAX)
			continue;
		print_device(slot, id);
		if (id == TESTDEV_ID) {
			found++;
			ret = drive(slot);
		}
	}
	return ret || found ? ret : NOTHING_FOUND;
}

static int run(void)
{
	if (params->magic != PAYLOAD_MAGIC || params->version != PAYLOAD_VERSION)
		return BAD_PARAMETERS;
	if (port_read(0, PCI_CLASS) >> 16 != 0x0600)
		return NO_BRIDGE;
	return find_all();
}

GUEST_ENTRY void _start(const struct payload_params *given, uint64_t vcpu);

void _start(const struct payload_params *given, uint64_t vcpu)
{
	int code;

	if (vcpu)
		guest_leave(given);
	params = given;
	code = run();
	for (;;)
		guest_exit(params, (uint64_t)code);
}
