/* SPDX-License-Identifier: BSD-3-Clause */
#include "pci_host.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

#define ADDRESS_PORT 0xcf8u
#define DATA_PORT 0xcfcu
#define PORT_BYTES 4u

/*
 * Of the address at ADDRESS_PORT: bit 31, then bus, device and function, and a register. The lowest two
 * bits are none, but kvm-unit-tests puts a byte's place there and goes to DATA_PORT for it: so has it
 * QEMU, and so have it we, for what is narrower than the register.
 */
#define ADDRESS_ENABLE 0x80000000u
#define ADDRESS_BITS 0x80ffffffu
#define REGISTER_BYTES 4u

#define FUNCTION_BYTES 4096u

struct function {
	const struct pci_function_ops *ops; /* NULL: none there */
	void *opaque;
};

struct pci_host {
	struct bus *bus;
	size_t nr_ranges; /* that are on it */
	uint32_t address; /* what was last written to ADDRESS_PORT */
	struct function slots[PCI_HOST_SLOTS];
};

/* ---- the bridge as a device ---- */

static const uint8_t bridge[PCI_STD_HEADER_SIZEOF] = {
	[PCI_VENDOR_ID] = 0x36,
	0x1b, /* Red Hat's */
	[PCI_DEVICE_ID] = 0x08,
	0x00, /* generic host bridge */
	[PCI_COMMAND] = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER,
	[PCI_CLASS_DEVICE] = 0x00,
	0x06,
	[PCI_SUBSYSTEM_VENDOR_ID] = 0xf4,
	0x1a,
	[PCI_SUBSYSTEM_ID] = 0x00,
	0x11,
};

static void read_bridge(void *opaque, uint32_t offset, void *data, uint32_t len)
{
	(void)opaque;
	memset(data, 0, len);
	if (offset < sizeof(bridge))
		memcpy(data, bridge + offset, len);
}

static void write_bridge(void *opaque, uint32_t offset, const void *data, uint32_t len)
{
	(void)opaque;
	(void)offset;
	(void)data;
	(void)len;
}

static const struct pci_function_ops bridge_ops = {
	.read = read_bridge,
	.write = write_bridge,
};

/* ---- an access, wherever it comes from ---- */

/* Where in the 4 KiB for each function of bus 0 an access goes; NULL: to nobody. */
static const struct function *find(const struct pci_host *host, uint64_t at, uint32_t len)
{
	uint64_t number = at / FUNCTION_BYTES;
	const struct function *function;

	if (number >= 8 * PCI_HOST_SLOTS || number % 8 ||
	    at % FUNCTION_BYTES + len > FUNCTION_BYTES)
		return NULL;
	function = &host->slots[number / 8];
	return function->ops ? function : NULL;
}

/* The most that is an aligned access of 1, 2 or 4 bytes. */
static uint32_t piece(uint32_t offset, uint32_t left)
{
	uint32_t len = 4;

	while (len > left || offset % len)
		len /= 2;
	return len;
}

static void read_at(const struct pci_host *host, uint64_t at, void *data, uint32_t len)
{
	const struct function *function = find(host, at, len);
	uint32_t offset = at % FUNCTION_BYTES;
	uint32_t n;

	if (!function) {
		memset(data, 0xff, len);
		return;
	}
	for (uint32_t done = 0; done < len; done += n) {
		n = piece(offset + done, len - done);
		function->ops->read(function->opaque, offset + done, (uint8_t *)data + done, n);
	}
}

static void write_at(const struct pci_host *host, uint64_t at, const void *data, uint32_t len)
{
	const struct function *function = find(host, at, len);
	uint32_t offset = at % FUNCTION_BYTES;
	uint32_t n;

	for (uint32_t done = 0; function && done < len; done += n) {
		n = piece(offset + done, len - done);
		function->ops->write(function->opaque, offset + done, (const uint8_t *)data + done,
				     n);
	}
}

/* ---- by memory ---- */

static int read_ecam(void *opaque, uint64_t offset, void *data, uint32_t len)
{
	read_at(opaque, offset, data, len);
	return 0;
}

static int write_ecam(void *opaque, uint64_t offset, const void *data, uint32_t len)
{
	write_at(opaque, offset, data, len);
	return 0;
}

static const struct bus_ops ecam_ops = {
	.read = read_ecam,
	.write = write_ecam,
	.name = "PCI configuration by memory",
};

/* ---- by ports ---- */

/* Only a double word is the address: bytes there are other chips' on real boards. */
static int read_address(void *opaque, uint64_t offset, void *data, uint32_t len)
{
	const struct pci_host *host = opaque;

	memset(data, 0xff, len);
	if (!offset && len == sizeof(host->address))
		memcpy(data, &host->address, len);
	return 0;
}

static int write_address(void *opaque, uint64_t offset, const void *data, uint32_t len)
{
	struct pci_host *host = opaque;

	if (!offset && len == sizeof(host->address)) {
		memcpy(&host->address, data, len);
		host->address &= ADDRESS_BITS;
	}
	return 0;
}

static const struct bus_ops address_ops = {
	.read = read_address,
	.write = write_address,
	.name = "PCI configuration address",
};

/* As in ECAM: bus, device and function are 16 bits, the register 8. Nowhere if not enabled. */
static uint64_t addressed(const struct pci_host *host, uint64_t offset, uint32_t len)
{
	uint32_t place = len < REGISTER_BYTES ? host->address % REGISTER_BYTES : 0;

	if (!(host->address & ADDRESS_ENABLE))
		return UINT64_MAX - FUNCTION_BYTES;
	return (uint64_t)(host->address >> 8 & 0xffff) * FUNCTION_BYTES + (host->address & 0xfc) +
	       (offset | place);
}

static int read_data(void *opaque, uint64_t offset, void *data, uint32_t len)
{
	read_at(opaque, addressed(opaque, offset, len), data, len);
	return 0;
}

static int write_data(void *opaque, uint64_t offset, const void *data, uint32_t len)
{
	write_at(opaque, addressed(opaque, offset, len), data, len);
	return 0;
}

static const struct bus_ops data_ops = {
	.read = read_data,
	.write = write_data,
	.name = "PCI configuration by port",
};

/* ---- the whole ---- */

static const struct bus_range ranges[] = {
	{ BUS_PIO, ADDRESS_PORT, PORT_BYTES, &address_ops, NULL },
	{ BUS_PIO, DATA_PORT, PORT_BYTES, &data_ops, NULL },
	{ BUS_MMIO, PCI_HOST_ECAM_BASE, PCI_HOST_ECAM_BYTES, &ecam_ops, NULL },
};

#define NR_RANGES (sizeof(ranges) / sizeof(*ranges))

int pci_host_open(struct bus *bus, struct pci_host **out)
{
	struct pci_host *host = calloc(1, sizeof(*host));
	int ret = 0;

	if (!host)
		return -ENOMEM;
	host->bus = bus;
	host->slots[0].ops = &bridge_ops;
	while (host->nr_ranges < NR_RANGES && !ret) {
		struct bus_range range = ranges[host->nr_ranges];

		range.opaque = host;
		ret = bus_add(bus, &range);
		host->nr_ranges += !ret;
	}
	if (ret) {
		pci_host_close(host);
		return ret;
	}
	*out = host;
	return 0;
}

void pci_host_close(struct pci_host *host)
{
	if (!host)
		return;
	while (host->nr_ranges--)
		bus_remove(host->bus, ranges[host->nr_ranges].space, ranges[host->nr_ranges].base);
	free(host);
}

static unsigned int first_free(const struct pci_host *host)
{
	unsigned int slot = 1;

	while (slot < PCI_HOST_SLOTS && host->slots[slot].ops)
		slot++;
	return slot;
}

int pci_host_add(struct pci_host *host, unsigned int slot, const struct pci_function_ops *ops,
		 void *opaque)
{
	if (slot >= PCI_HOST_SLOTS)
		return -EINVAL;
	if (slot && host->slots[slot].ops)
		return -EEXIST;
	if (!slot)
		slot = first_free(host);
	if (slot == PCI_HOST_SLOTS)
		return -ENOSPC;
	host->slots[slot] = (struct function){ ops, opaque };
	return (int)slot;
}

void pci_host_freed(const struct pci_host *host)
{
	for (unsigned int slot = 0; slot < PCI_HOST_SLOTS; slot++) {
		const struct function *function = &host->slots[slot];

		if (function->ops && function->ops->freed)
			function->ops->freed(function->opaque);
	}
}

void pci_host_remove(struct pci_host *host, unsigned int slot)
{
	host->slots[slot] = (struct function){ 0 };
}
