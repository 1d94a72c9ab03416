/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hello: prints which devices it sees, and rings a doorbell of every testdev among them. Ends with
 * 0; with 1 if it does not understand its parameters, with 2 if a ring was lost.
 */
#include "guest.h"

/* testdev's BAR2, see docs/testdev.md: a doorbell of any width, and how often it rang. */
#define TESTDEV_VENDOR 0x1b36
#define TESTDEV_DEVICE 0x0005
#define TESTDEV_BAR 2
#define TESTDEV_DOORBELL 0x800
#define TESTDEV_RUNG 0x20

#define RINGS 1000
#define MAX_LOOKS 20000

static void print_decimal(const struct payload_params *params, const char *before, uint64_t value)
{
	guest_print(params, before);
	guest_print_decimal(params, value);
}

static void print_hex(const struct payload_params *params, const char *before, uint64_t value)
{
	guest_print(params, before);
	guest_print_hex(params, value);
}

static void describe(const struct payload_params *params, const struct payload_bar *bar)
{
	print_decimal(params, "device ", bar->device);
	print_hex(params, " is ", bar->vendor_id);
	print_hex(params, ":", bar->device_id);
	print_decimal(params, ", BAR ", bar->bar);
	print_hex(params, bar->flags & PAYLOAD_BAR_IO ? " at port " : " at ", bar->address);
	print_decimal(params, ", bytes ", bar->size);
	guest_print(params, "\n");
}

/*
 * Doorbells that go by fd are no messages: the count may come a little after the last ring. What it
 * was before does not matter, as the device keeps it from one client to the next.
 */
static int ring(const struct payload_params *params, uint64_t bar)
{
	uint32_t before = guest_read32(bar + TESTDEV_RUNG);
	uint32_t rung = 0;

	for (int i = 0; i < RINGS; i++)
		guest_write32(bar + TESTDEV_DOORBELL, (uint32_t)i);
	for (int i = 0; i < MAX_LOOKS && rung != RINGS; i++)
		rung = guest_read32(bar + TESTDEV_RUNG) - before;
	print_decimal(params, "rings ", RINGS);
	print_decimal(params, ", heard ", rung);
	guest_print(params, "\n");
	return rung == RINGS ? 0 : 2;
}

static int greet(const struct payload_params *params)
{
	int ret = 0;

	guest_print(params, "hello\n");
	for (uint32_t i = 0; i < params->nr_bars; i++) {
		const struct payload_bar *bar = &params->bars[i];

		describe(params, bar);
		if (bar->vendor_id == TESTDEV_VENDOR && bar->device_id == TESTDEV_DEVICE &&
		    bar->bar == TESTDEV_BAR)
			ret |= ring(params, bar->address);
	}
	return ret;
}

GUEST_ENTRY void _start(const struct payload_params *params, uint64_t vcpu);

void _start(const struct payload_params *params, uint64_t vcpu)
{
	uint64_t code = 1;

	/* One is enough for all that. */
	if (vcpu)
		guest_leave(params);
	if (params->magic == PAYLOAD_MAGIC && params->version == PAYLOAD_VERSION)
		code = (uint64_t)greet(params);
	for (;;)
		guest_exit(params, code);
}
