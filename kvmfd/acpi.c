/* SPDX-License-Identifier: BSD-3-Clause */
#include "acpi.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "aml.h"
#include "console.h"
#include "log.h"
#include "power.h"

#define APIC_ADDRESS 0xfee00000u
#define IOAPIC_ADDRESS 0xfec00000u

/* ---- layouts: packed as they are, in the order of the specification ---- */

struct header {
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum; /* makes the sum of all bytes 0 */
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __attribute__((packed));

struct rsdp {
	char signature[8];
	uint8_t checksum; /* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt_address;
	uint32_t length;
	uint64_t xsdt_address;
	uint8_t extended_checksum; /* of all */
	uint8_t reserved[3];
} __attribute__((packed));

/* A generic address. */
struct address {
	uint8_t space; /* 1: I/O */
	uint8_t bits;
	uint8_t bit_offset;
	uint8_t access; /* 1: bytes, 2: words */
	uint64_t address;
} __attribute__((packed));

struct fadt {
	struct header header;
	uint32_t facs;
	uint32_t dsdt;
	uint8_t reserved;
	uint8_t profile;
	uint16_t sci;
	uint32_t smi_command; /* 0: ACPI's mode is the only one */
	uint8_t smi_values[4];
	uint32_t pm1a_event;
	uint32_t pm1b_event;
	uint32_t pm1a_control;
	uint32_t pm1b_control;
	uint32_t pm2_control;
	uint32_t pm_timer;
	uint32_t gpe0;
	uint32_t gpe1;
	uint8_t pm1_event_bytes;
	uint8_t pm1_control_bytes;
	uint8_t lengths[6]; /* of what is not there */
	uint16_t c2_latency;
	uint16_t c3_latency;
	uint8_t unused[9];
	uint16_t boot_flags;
	uint8_t reserved2;
	uint32_t flags;
	struct address reset;
	uint8_t reset_value;
	uint16_t arm_flags;
	uint8_t minor_version;
	uint64_t x_facs;
	uint64_t x_dsdt;
	struct address x_pm1a_event;
	struct address x_pm1b_event;
	struct address x_pm1a_control;
	struct address x_rest[7];
	uint64_t hypervisor;
} __attribute__((packed));

static_assert(offsetof(struct fadt, flags) == 112, "FADT");
static_assert(offsetof(struct fadt, x_pm1a_control) == 172, "FADT");
static_assert(sizeof(struct fadt) == 276, "FADT");

enum {
	FADT_WBINVD = 1 << 0,
	FADT_C1 = 1 << 2,
	FADT_NO_FIXED_POWER_BUTTON = 1 << 4,
	FADT_NO_FIXED_SLEEP_BUTTON = 1 << 5,
	FADT_RESET = 1 << 10,

	FADT_BOOT_NO_VGA = 1 << 2,
	FADT_BOOT_NO_CMOS_CLOCK = 1 << 5,

	FADT_NEVER_C2 = 0xffff,
};

struct facs {
	char signature[4];
	uint32_t length;
	uint8_t unused[24];
	uint8_t version;
	uint8_t reserved[31];
} __attribute__((packed));

struct madt {
	struct header header;
	uint32_t apic_address;
	uint32_t flags;
} __attribute__((packed));

enum {
	MADT_HAS_PICS = 1
};

struct madt_apic {
	uint8_t type, length;
	uint8_t uid;
	uint8_t id;
	uint32_t flags; /* 1: enabled */
} __attribute__((packed));

struct madt_ioapic {
	uint8_t type, length;
	uint8_t id;
	uint8_t reserved;
	uint32_t address;
	uint32_t first_gsi;
} __attribute__((packed));

struct madt_override {
	uint8_t type, length;
	uint8_t bus; /* 0: ISA */
	uint8_t irq;
	uint32_t gsi;
	uint16_t flags; /* 0xd: level, active high */
} __attribute__((packed));

struct madt_nmi {
	uint8_t type, length;
	uint8_t uid; /* 0xff: every CPU's */
	uint16_t flags;
	uint8_t lint;
} __attribute__((packed));

struct mcfg {
	struct header header;
	uint64_t reserved;
	uint64_t base;
	uint16_t segment;
	uint8_t first_bus;
	uint8_t last_bus;
	uint32_t reserved2;
} __attribute__((packed));

/* ---- writing ---- */

/* Tables are put one behind the other. */
struct writer {
	uint8_t *bytes;	 /* ACPI_ADDRESS, in this process */
	uint32_t offset; /* of the next one */
};

static uint8_t checksum(const void *bytes, size_t len)
{
	const uint8_t *at = bytes;
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + at[i]);
	return (uint8_t)-sum;
}

/* Room for `len` bytes, all 0. */
static void *reserve(struct writer *writer, size_t len)
{
	void *at = writer->bytes + writer->offset;

	/* The largest is the DSDT, and less than AML_MAX_BYTES. */
	assert(writer->offset + len <= ACPI_END - ACPI_ADDRESS);
	memset(at, 0, len);
	writer->offset += (uint32_t)((len + 63) & ~63ul);
	return at;
}

static uint32_t address_of(const struct writer *writer, const void *table)
{
	return ACPI_ADDRESS + (uint32_t)((const uint8_t *)table - writer->bytes);
}

/* Its header, last of all that is in it; returns its guest address. */
static uint32_t finish(const struct writer *writer, void *table, const char *signature,
		       uint8_t revision, size_t len)
{
	struct header *header = table;

	*header = (struct header){
		.length = (uint32_t)len,
		.revision = revision,
		.oem_id = { 'F', 'A', 'S', 'T', 'P', ' ' },
		.oem_table_id = { 'F', 'A', 'S', 'T', 'P', 'A', 'T', 'H' },
		.oem_revision = 1,
		.creator_id = { 'F', 'S', 'T', 'P' },
		.creator_revision = 1,
	};
	memcpy(header->signature, signature, sizeof(header->signature));
	header->checksum = checksum(table, len);
	return address_of(writer, table);
}

/* ---- the DSDT ---- */

/* Each function of each slot has its four pins at GSIs of their own, as far as these go. */
static void put_routes(struct aml *aml)
{
	aml_name(aml, "_PRT");
	aml_package(aml, MACHINE_PCI_SLOTS * 4);
	for (uint32_t slot = 0; slot < MACHINE_PCI_SLOTS; slot++)
		for (uint32_t pin = 0; pin < 4; pin++) {
			aml_package(aml, 4);
			aml_integer(aml, slot << 16 | 0xffff);
			aml_integer(aml, pin);
			aml_integer(aml, 0); /* not by a link that could be set */
			aml_integer(aml, machine_intx_gsi(slot, pin));
			aml_end(aml);
		}
	aml_end(aml);
}

static void put_host_bridge(struct aml *aml, const struct window *high)
{
	aml_device(aml, "PCI0");
	aml_name(aml, "_HID");
	aml_eisa_id(aml, "PNP0A08");
	aml_name(aml, "_CID");
	aml_eisa_id(aml, "PNP0A03");
	aml_name(aml, "_UID");
	aml_integer(aml, 0);
	aml_name(aml, "_BBN");
	aml_integer(aml, 0);
	aml_name(aml, "_CRS");
	aml_resources(aml);
	aml_window_buses(aml, 0, 0);
	aml_io(aml, MACHINE_PCI_CONFIG_PORT, 8);
	aml_window_io(aml, MACHINE_PIO_BASE, MACHINE_PIO_END - 1);
	aml_window_memory(aml, MACHINE_MMIO_BASE, MACHINE_MMIO_END - 1);
	aml_window_high(aml, high->next, high->end - 1);
	aml_resources_end(aml);
	put_routes(aml);
	aml_end(aml);
}

/* What nobody else may have: Linux uses ECAM only when it is reserved so. */
static void put_board(struct aml *aml)
{
	aml_device(aml, "MBRD");
	aml_name(aml, "_HID");
	aml_eisa_id(aml, "PNP0C02");
	aml_name(aml, "_CRS");
	aml_resources(aml);
	aml_memory(aml, MACHINE_ECAM_BASE, MACHINE_ECAM_BYTES);
	aml_io(aml, POWER_BASE, POWER_BYTES);
	aml_resources_end(aml);
	aml_end(aml);
}

static void put_serial(struct aml *aml)
{
	aml_device(aml, "COM1");
	aml_name(aml, "_HID");
	aml_eisa_id(aml, "PNP0501");
	aml_name(aml, "_UID");
	aml_integer(aml, 1);
	aml_name(aml, "_CRS");
	aml_resources(aml);
	aml_io(aml, CONSOLE_PORT, 8);
	aml_irq(aml, CONSOLE_GSI);
	aml_resources_end(aml);
	aml_end(aml);
}

static uint32_t write_dsdt(struct writer *writer, const struct machine *machine)
{
	struct aml aml = { 0 };
	uint8_t *table;

	aml_name(&aml, "_S5_");
	aml_package(&aml, 2);
	aml_integer(&aml, POWER_OFF_TYPE);
	aml_integer(&aml, 0);
	aml_end(&aml);
	aml_scope(&aml, "_SB_");
	put_host_bridge(&aml, &machine->high_mmio);
	put_board(&aml);
	put_serial(&aml);
	aml_end(&aml);
	assert(!aml.overflow && !aml.depth);
	table = reserve(writer, sizeof(struct header) + aml.len);
	memcpy(table + sizeof(struct header), aml.bytes, aml.len);
	return finish(writer, table, "DSDT", 2, sizeof(struct header) + aml.len);
}

/* ---- the other tables ---- */

static uint32_t write_facs(struct writer *writer)
{
	struct facs *facs = reserve(writer, sizeof(*facs));

	*facs = (struct facs){
		.signature = { 'F', 'A', 'C', 'S' },
		.length = sizeof(*facs),
		.version = 2,
	};
	return address_of(writer, facs);
}

static struct address io_address(uint16_t port, uint8_t bytes)
{
	return (struct address){
		.space = 1,
		.bits = (uint8_t)(8 * bytes),
		.access = bytes > 1 ? 2 : 1,
		.address = port,
	};
}

static uint32_t write_fadt(struct writer *writer, const struct machine *machine)
{
	uint32_t facs = write_facs(writer);
	uint32_t dsdt = write_dsdt(writer, machine);
	struct fadt *fadt = reserve(writer, sizeof(*fadt));

	*fadt = (struct fadt){
		.facs = facs,
		.dsdt = dsdt,
		.x_dsdt = dsdt,
		.sci = POWER_SCI,
		.pm1a_event = POWER_EVENT_PORT,
		.pm1a_control = POWER_CONTROL_PORT,
		.pm1_event_bytes = 4,
		.pm1_control_bytes = 2,
		.c2_latency = FADT_NEVER_C2,
		.c3_latency = FADT_NEVER_C2,
		.boot_flags = FADT_BOOT_NO_VGA | FADT_BOOT_NO_CMOS_CLOCK,
		.flags = FADT_WBINVD | FADT_C1 | FADT_NO_FIXED_POWER_BUTTON |
			 FADT_NO_FIXED_SLEEP_BUTTON | FADT_RESET,
		.reset = io_address(POWER_RESET_PORT, 1),
		.reset_value = POWER_RESET_VALUE,
		.minor_version = 5,
		.x_pm1a_event = io_address(POWER_EVENT_PORT, 4),
		.x_pm1a_control = io_address(POWER_CONTROL_PORT, 2),
	};
	return finish(writer, fadt, "FACP", 6, sizeof(*fadt));
}

static uint32_t write_madt(struct writer *writer, unsigned int nr_vcpus)
{
	size_t len = sizeof(struct madt) + nr_vcpus * sizeof(struct madt_apic) +
		     sizeof(struct madt_ioapic) + sizeof(struct madt_override) +
		     sizeof(struct madt_nmi);
	struct madt *madt = reserve(writer, len);
	struct madt_apic *apics = (struct madt_apic *)(madt + 1);
	struct madt_ioapic *ioapic = (struct madt_ioapic *)(apics + nr_vcpus);
	struct madt_override *sci = (struct madt_override *)(ioapic + 1);
	struct madt_nmi *nmi = (struct madt_nmi *)(sci + 1);

	madt->apic_address = APIC_ADDRESS;
	madt->flags = MADT_HAS_PICS;
	for (unsigned int i = 0; i < nr_vcpus; i++)
		apics[i] = (struct madt_apic){
			.length = sizeof(*apics),
			.uid = (uint8_t)i,
			.id = (uint8_t)i,
			.flags = 1,
		};
	*ioapic = (struct madt_ioapic){ .type = 1, sizeof(*ioapic), .address = IOAPIC_ADDRESS };
	*sci = (struct madt_override){ 2, sizeof(*sci), 0, POWER_SCI, POWER_SCI, 0xd };
	*nmi = (struct madt_nmi){ 4, sizeof(*nmi), 0xff, 0, 1 };
	return finish(writer, madt, "APIC", 5, len);
}

static uint32_t write_mcfg(struct writer *writer)
{
	struct mcfg *mcfg = reserve(writer, sizeof(*mcfg));

	mcfg->base = MACHINE_ECAM_BASE;
	mcfg->last_bus = MACHINE_ECAM_BYTES / MACHINE_ECAM_BUS_BYTES - 1;
	return finish(writer, mcfg, "MCFG", 1, sizeof(*mcfg));
}

static uint32_t write_xsdt(struct writer *writer, const uint32_t *tables, size_t nr)
{
	size_t len = sizeof(struct header) + nr * sizeof(uint64_t);
	uint8_t *xsdt = reserve(writer, len);

	for (size_t i = 0; i < nr; i++) {
		uint64_t table = tables[i];

		memcpy(xsdt + sizeof(struct header) + i * sizeof(table), &table, sizeof(table));
	}
	return finish(writer, xsdt, "XSDT", 1, len);
}

int acpi_write(const struct machine *machine)
{
	struct writer writer = {
		.bytes = memory_ptr(machine->memory, ACPI_ADDRESS, ACPI_END - ACPI_ADDRESS),
	};
	struct rsdp *rsdp;
	uint32_t tables[3];

	if (!writer.bytes) {
		log_error("guest memory has no room for ACPI's tables below %u MiB",
			  ACPI_END >> 20);
		return -ENOSPC;
	}
	rsdp = reserve(&writer, sizeof(*rsdp));
	tables[0] = write_fadt(&writer, machine);
	tables[1] = write_madt(&writer, machine->nr_vcpus);
	tables[2] = write_mcfg(&writer);
	*rsdp = (struct rsdp){
		.signature = { 'R', 'S', 'D', ' ', 'P', 'T', 'R', ' ' },
		.oem_id = { 'F', 'A', 'S', 'T', 'P', ' ' },
		.revision = 2,
		.length = sizeof(*rsdp),
		.xsdt_address = write_xsdt(&writer, tables, 3),
	};
	rsdp->checksum = checksum(rsdp, offsetof(struct rsdp, length));
	rsdp->extended_checksum = checksum(rsdp, sizeof(*rsdp));
	return 0;
}
