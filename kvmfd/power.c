/* SPDX-License-Identifier: BSD-3-Clause */
#include "power.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KEYBOARD_PORT 0x64u
#define KEYBOARD_RESET 0xfe

#define EXIT_PORT 0xf4u
#define EXIT_BYTES 4u

/* Of the control register. */
enum {
	SCI_ENABLE = 1 << 0, /* ACPI's mode, the only one */
	SLEEP_TYPE_SHIFT = 10,
	SLEEP_ENABLE = 1 << 13,
};

static uint8_t *find_byte(struct power *power, uint64_t offset)
{
	uint16_t *words[] = { &power->status, &power->enable, &power->control };

	return offset / 2 < sizeof(words) / sizeof(*words) ?
		       (uint8_t *)words[offset / 2] + offset % 2 :
		       NULL;
}

static int read_power(void *opaque, uint64_t offset, void *data, uint32_t len)
{
	struct power *power = opaque;

	for (uint32_t i = 0; i < len; i++) {
		const uint8_t *byte = find_byte(power, offset + i);

		((uint8_t *)data)[i] = byte ? *byte : 0;
	}
	return 0;
}

static int stop(struct power *power, enum power_state state)
{
	power->state = state;
	return BUS_STOP;
}

/* A sleep that is none of those that acpi.c tells of does nothing. */
static int control(struct power *power)
{
	uint16_t value = power->control;

	power->control = (uint16_t)((value & ~SLEEP_ENABLE) | SCI_ENABLE);
	if (value & SLEEP_ENABLE && (value >> SLEEP_TYPE_SHIFT & 7) == POWER_OFF_TYPE)
		return stop(power, POWER_OFF);
	return 0;
}

static int write_power(void *opaque, uint64_t offset, const void *data, uint32_t len)
{
	const uint8_t *bytes = data;
	struct power *power = opaque;

	if (offset == POWER_RESET_PORT - POWER_BASE)
		return *bytes == POWER_RESET_VALUE ? stop(power, POWER_RESET) : 0;
	for (uint32_t i = 0; i < len; i++) {
		uint8_t *byte = find_byte(power, offset + i);

		if (byte)
			*byte = bytes[i];
	}
	power->status = 0; /* ones clear it, and nothing ever sets it */
	return control(power);
}

static const struct bus_ops power_ops = {
	.read = read_power,
	.write = write_power,
	.name = "power",
};

/* The keyboard controller's status: ready for a command. */
static int read_zeros(void *opaque, uint64_t offset, void *data, uint32_t len)
{
	(void)opaque;
	(void)offset;
	memset(data, 0, len);
	return 0;
}

static int write_keyboard(void *opaque, uint64_t offset, const void *data, uint32_t len)
{
	(void)offset;
	(void)len;
	return *(const uint8_t *)data == KEYBOARD_RESET ? stop(opaque, POWER_RESET) : 0;
}

static const struct bus_ops keyboard_ops = {
	.read = read_zeros,
	.write = write_keyboard,
	.name = "power",
};

static int write_exit(void *opaque, uint64_t offset, const void *data, uint32_t len)
{
	struct power *power = opaque;
	uint32_t code = 0;

	(void)offset;
	memcpy(&code, data, len);
	power->exit_code = code << 1 | 1;
	return stop(power, POWER_EXIT);
}

static const struct bus_ops exit_ops = {
	.read = read_zeros,
	.write = write_exit,
	.name = "power",
};

int power_open(struct bus *bus, struct power **out)
{
	struct power *power = malloc(sizeof(*power));
	const struct bus_range ranges[] = {
		{ BUS_PIO, POWER_BASE, POWER_BYTES, &power_ops, power },
		{ BUS_PIO, KEYBOARD_PORT, 1, &keyboard_ops, power },
		{ BUS_PIO, EXIT_PORT, EXIT_BYTES, &exit_ops, power },
	};
	int ret = 0;

	if (!power)
		return -ENOMEM;
	*power = (struct power){ .bus = bus, .control = SCI_ENABLE };
	for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges) && !ret; i++)
		ret = bus_add(bus, &ranges[i]);
	if (ret) {
		power_close(power);
		return ret;
	}
	*out = power;
	return 0;
}

void power_close(struct power *power)
{
	if (!power)
		return;
	bus_remove(power->bus, BUS_PIO, POWER_BASE);
	bus_remove(power->bus, BUS_PIO, KEYBOARD_PORT);
	bus_remove(power->bus, BUS_PIO, EXIT_PORT);
	free(power);
}
