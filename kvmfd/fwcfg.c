/* SPDX-License-Identifier: BSD-3-Clause */
#include "fwcfg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SELECT_PORT 0x510u /* a key, 2 bytes */
#define DATA_OFFSET 1u	   /* the item's bytes, one after another, then zeros */
#define PORT_BYTES 2u

enum {
	KEY_RAM_SIZE = 0x03,
	KEY_NR_CPUS = 0x05,
	KEY_MAX_CPUS = 0x0f,
};

struct fwcfg {
	struct machine *machine;
	uint64_t item; /* what is left of it; 0 for what there is not */
};

static uint64_t find(const struct machine *machine, uint16_t key)
{
	switch (key) {
	case KEY_RAM_SIZE:
		return machine->memory->size;
	case KEY_NR_CPUS:
	case KEY_MAX_CPUS:
		return machine->nr_vcpus;
	default:
		return 0;
	}
}

static int read_port(void *opaque, uint64_t offset, void *data, uint32_t len)
{
	struct fwcfg *fwcfg = opaque;

	memset(data, 0, len);
	if (offset != DATA_OFFSET)
		return 0;
	*(uint8_t *)data = (uint8_t)fwcfg->item;
	fwcfg->item >>= 8;
	return 0;
}

static int write_port(void *opaque, uint64_t offset, const void *data, uint32_t len)
{
	struct fwcfg *fwcfg = opaque;
	uint16_t key = 0;

	if (offset)
		return 0;
	memcpy(&key, data, len);
	fwcfg->item = find(fwcfg->machine, key);
	return 0;
}

static const struct bus_ops ops = {
	.read = read_port,
	.write = write_port,
	.name = "firmware configuration",
};

int fwcfg_open(struct machine *machine, struct fwcfg **out)
{
	struct fwcfg *fwcfg = malloc(sizeof(*fwcfg));
	const struct bus_range range = { BUS_PIO, SELECT_PORT, PORT_BYTES, &ops, fwcfg };
	int ret;

	if (!fwcfg)
		return -ENOMEM;
	*fwcfg = (struct fwcfg){ .machine = machine };
	ret = bus_add(machine->bus, &range);
	if (ret)
		free(fwcfg);
	else
		*out = fwcfg;
	return ret;
}

void fwcfg_close(struct fwcfg *fwcfg)
{
	if (!fwcfg)
		return;
	bus_remove(fwcfg->machine->bus, BUS_PIO, SELECT_PORT);
	free(fwcfg);
}
