/* SPDX-License-Identifier: BSD-3-Clause */
/* What docs/testdev.md says of the device, checked by a guest. */
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>
#include <sys/io.h>
#include <time.h>

#include "checks.h"
#include "testdev.h"

/* Linux's, from include/linux/ioport.h. */
#define RESOURCE_IO 0x100u
#define RESOURCE_MEMORY 0x200u

#define STORM 10000u

/* Of both monitors' machines, where nothing is. */
#define ELSEWHERE 0xe8000000u

/* ---- configuration space ---- */

static void check_bars(const struct pci *pci)
{
	static const struct {
		uint64_t size, flags;
	} expected[PCI_NR_BARS] = {
		{ 2 * TESTDEV_MEMORY_TESTS, RESOURCE_MEMORY },
		{ 2 * TESTDEV_IO_TESTS, RESOURCE_IO },
		{ TESTDEV_BENCH_BYTES, RESOURCE_MEMORY },
		{ TESTDEV_SHARED_BYTES, RESOURCE_MEMORY },
		{ 0x1000, RESOURCE_MEMORY },
		{ 0, 0 },
	};

	for (unsigned int i = 0; i < PCI_NR_BARS; i++)
		expect(pci->bars[i].size == expected[i].size &&
			       (pci->bars[i].flags & (RESOURCE_IO | RESOURCE_MEMORY)) ==
				       expected[i].flags,
		       "BAR%u has %llu bytes of %s", i, (unsigned long long)pci->bars[i].size,
		       expected[i].flags == RESOURCE_IO	    ? "I/O space" :
		       expected[i].flags == RESOURCE_MEMORY ? "memory" :
							      "nothing");
}

static void check_capabilities(const struct pci *pci)
{
	unsigned int msi = pci_capability(pci, PCI_CAP_ID_MSI);
	unsigned int msix = pci_capability(pci, PCI_CAP_ID_MSIX);

	expect(pci_capability(pci, PCI_CAP_ID_PM) && pci_capability(pci, PCI_CAP_ID_EXP) &&
		       pci_capability(pci, PCI_CAP_ID_VNDR),
	       "there are power management, PCI Express and a vendor's capability");
	expect_equal(pci_config_read(pci, PCI_CFG_SPACE_SIZE, 2), PCI_EXT_CAP_ID_DSN,
		     "there is a serial number");
	if (!expect(msi && msix, "there are MSI and MSI-X"))
		return;
	expect_equal(pci_config_read(pci, msi + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_QMASK, 2 << 1,
		     "MSI has 4 vectors");
	expect_equal(pci_config_read(pci, msix + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_QSIZE,
		     TESTDEV_VECTORS - 1, "MSI-X has 4 vectors");
	expect_equal(pci_config_read(pci, msix + PCI_MSIX_TABLE, 4), TESTDEV_MSIX_BAR,
		     "its table is at the start of BAR4");
	expect_equal(pci_config_read(pci, msix + PCI_MSIX_PBA, 4), TESTDEV_MSIX_BAR | 0x800,
		     "its pending bits are at 0x800 in BAR4");
}

void check_config(struct pci *pci)
{
	uint32_t line = pci_config_read(pci, PCI_INTERRUPT_LINE, 1);

	pci_expect_ids(pci, 0x1b360005, 0x1af41100, 0x00ff00);
	expect_equal(pci_config_read(pci, PCI_VENDOR_ID, 4), TESTDEV_VENDOR | TESTDEV_DEVICE << 16,
		     "vendor and device are 1b36:0005");
	expect_equal(pci_config_read(pci, PCI_SUBSYSTEM_VENDOR_ID, 4), 0x11001af4,
		     "the subsystem is 1af4:1100");
	expect_equal(pci_config_read(pci, PCI_CLASS_REVISION, 4) >> 8, 0x00ff00,
		     "the class is 00ff00");
	expect_equal(pci_config_read(pci, PCI_INTERRUPT_PIN, 1), 1, "INTx is pin A");
	check_bars(pci);
	check_capabilities(pci);
	pci_config_write(pci, PCI_VENDOR_ID, 4, 0);
	expect_equal(pci_config_read(pci, PCI_VENDOR_ID, 2), TESTDEV_VENDOR,
		     "the ids are read-only");
	pci_config_write(pci, PCI_INTERRUPT_LINE, 1, line ^ 0xff);
	expect_equal(pci_config_read(pci, PCI_INTERRUPT_LINE, 1), line ^ 0xff,
		     "the interrupt line reads back");
	pci_config_write(pci, PCI_INTERRUPT_LINE, 1, line);
}

/* ---- BAR2 ---- */

static uint64_t counter(volatile const uint8_t *bar, size_t offset)
{
	return load(bar + offset, 8);
}

/* They are served with ids from 1 on, in the order of their slots. */
void check_id(struct pci *pci)
{
	volatile uint8_t *bar = pci_map(pci, TESTDEV_BAR2);

	expect_equal(counter(bar, offsetof(struct testdev_counters, id)), pci->nth + 1,
		     "behind each slot is the server's device for it");
	tell("id", loads());
}

static uint64_t rung(volatile const uint8_t *bar, unsigned int doorbell)
{
	return counter(bar, offsetof(struct testdev_counters, rung) + doorbell * sizeof(uint64_t));
}

/* A doorbell by eventfd is heard a little later than what is read after it. */
static uint64_t await_rung(volatile const uint8_t *bar, unsigned int doorbell, uint64_t times)
{
	time_t end = time(NULL) + TESTDEV_HEARS_SECONDS;
	uint64_t seen;

	do
		seen = rung(bar, doorbell);
	while (seen < times && time(NULL) < end);
	return seen;
}

static void check_register(volatile uint8_t *bar, unsigned int offset, unsigned int width)
{
	uint64_t pattern = 0xfedcba9876543210ull >> (64 - 8 * width);
	char text[80];

	store(bar + offset, width, pattern);
	snprintf(text, sizeof(text), "the %u-byte register reads back", width);
	expect_equal(load(bar + offset, width), pattern, text);
	snprintf(text, sizeof(text), "its last byte is the highest of %u", width);
	expect_equal(load(bar + offset + width - 1, 1), pattern >> (8 * width - 8), text);
}

static void check_scratch(volatile uint8_t *bar)
{
	volatile uint8_t *scratch = bar + TESTDEV_SCRATCH;
	unsigned int wrong = 0;

	for (unsigned int i = 0; i < TESTDEV_SCRATCH_BYTES; i += 4)
		store(scratch + i, 4, i * 0x9e3779b1u);
	for (unsigned int i = 0; i < TESTDEV_SCRATCH_BYTES; i += 8)
		wrong += load(scratch + i, 8) !=
			 ((uint64_t)((i + 4) * 0x9e3779b1u) << 32 | i * 0x9e3779b1u);
	expect(!wrong, "512 bytes of scratch memory keep what was stored, 4 bytes at a time");
}

void check_registers(struct pci *pci)
{
	volatile uint8_t *bar = pci_map(pci, TESTDEV_BAR2);
	uint64_t writes, reads;

	expect_equal(load(bar, 4), TESTDEV_MAGIC, "BAR2 starts with its magic number");
	expect_equal(load(bar + offsetof(struct testdev_counters, version), 4), TESTDEV_VERSION,
		     "and its version");
	check_register(bar, TESTDEV_REGISTER_1, 1);
	check_register(bar, TESTDEV_REGISTER_2, 2);
	check_register(bar, TESTDEV_REGISTER_4, 4);
	check_register(bar, TESTDEV_REGISTER_8, 8);
	check_scratch(bar);
	writes = counter(bar, offsetof(struct testdev_counters, writes));
	reads = counter(bar, offsetof(struct testdev_counters, reads));
	for (unsigned int i = 0; i < 1000; i++)
		store(bar + TESTDEV_REGISTER_4, 4, i);
	expect_equal(load(bar + TESTDEV_REGISTER_4, 4), 999, "the last of 1000 stores counts");
	expect_equal(counter(bar, offsetof(struct testdev_counters, writes)) - writes, 1000,
		     "all of them were seen");
	expect_equal(counter(bar, offsetof(struct testdev_counters, reads)) - reads, 1,
		     "and the one load");
}

void check_doorbells(struct pci *pci)
{
	volatile uint8_t *bar = pci_map(pci, TESTDEV_BAR2);
	uint64_t before[TESTDEV_NR_DOORBELLS];
	char text[80];

	for (unsigned int i = 0; i < TESTDEV_NR_DOORBELLS; i++)
		before[i] = rung(bar, i);
	for (unsigned int i = 0; i < TESTDEV_NR_DOORBELLS; i++)
		for (unsigned int times = 0; times < 10 + i; times++)
			store(bar + testdev_doorbells[i].offset,
			      testdev_doorbells[i].width ? testdev_doorbells[i].width : 2,
			      testdev_value(i));
	for (unsigned int i = 0; i < TESTDEV_NR_DOORBELLS; i++) {
		snprintf(text, sizeof(text), "doorbell %u rang %u times", i, 10 + i);
		expect_equal(await_rung(bar, i, before[i] + 10 + i) - before[i], 10 + i, text);
	}
	before[0] = rung(bar, TESTDEV_FIXED_4);
	store(bar + testdev_doorbells[TESTDEV_FIXED_4].offset, 2, 0);
	store(bar + testdev_doorbells[TESTDEV_FIXED_4].offset, 8, 0);
	expect_equal(rung(bar, TESTDEV_FIXED_4) - before[0], 0,
		     "stores of other widths don't ring one of 4 bytes");
	before[0] = rung(bar, TESTDEV_MATCH_A) + rung(bar, TESTDEV_MATCH_B);
	store(bar + testdev_doorbells[TESTDEV_MATCH_A].offset, 4, 0x55);
	expect_equal(rung(bar, TESTDEV_MATCH_A) + rung(bar, TESTDEV_MATCH_B) - before[0], 0,
		     "another value rings neither of two that share an address");
}

/* ---- a storm of doorbells, also where BAR2 is moved to ---- */

static void check_storm_at(volatile uint8_t *bar, const char *text)
{
	uint64_t before = rung(bar, TESTDEV_ANY);

	for (unsigned int i = 0; i < STORM; i++)
		store(bar + testdev_doorbells[TESTDEV_ANY].offset, 4, i);
	expect_equal(await_rung(bar, TESTDEV_ANY, before + STORM) - before, STORM, text);
}

void check_storm(struct pci *pci)
{
	check_storm_at(pci_map(pci, TESTDEV_BAR2),
		       "10,000 doorbells, and the device counts 10,000");
	tell("storm", loads());
}

/* The server has died, and there is another one. */
void check_back(struct pci *pci)
{
	volatile uint8_t *bar = pci_map(pci, TESTDEV_BAR2);
	time_t end = time(NULL) + TESTDEV_BACK_SECONDS;

	while (load(bar, 4) != TESTDEV_MAGIC && time(NULL) < end)
		;
	expect_equal(load(bar, 4), TESTDEV_MAGIC, "the device of the next server is where it was");
	expect_equal(rung(bar, TESTDEV_ANY), 0, "it starts anew");
	check_storm_at(bar, "10,000 doorbells, and the next server counts 10,000");
}

/* To where Linux does not know of, and back. */
void check_move(struct pci *pci)
{
	volatile uint8_t *before = pci_map(pci, TESTDEV_BAR2);
	uint64_t home = pci->bars[TESTDEV_BAR2].start;

	pci_move(pci, TESTDEV_BAR2, ELSEWHERE);
	expect(load(before, 4) != TESTDEV_MAGIC, "a BAR that is moved is not where it was");
	expect_equal(load(pci_map_address(ELSEWHERE, TESTDEV_BENCH_BYTES), 4), TESTDEV_MAGIC,
		     "it is where it was moved to");
	check_storm_at(pci_map_address(ELSEWHERE, TESTDEV_BENCH_BYTES),
		       "10,000 doorbells there are counted, too");
	pci_move(pci, TESTDEV_BAR2, home);
	check_storm_at(before, "and 10,000 where it is moved back to");
	tell("move", loads() - 1); /* one was of where it is not */
}

/* ---- BAR0 and BAR1: pci-testdev's protocol, as kvm-unit-tests speaks it ---- */

/* The header that a chosen test shows, as far as it is looked at. */
enum {
	TEST_WIDTH = 1,
	TEST_OFFSET = 4,
	TEST_DATA = 8,
	TEST_COUNT = 12,
	TEST_NAME = 16,
	TEST_NAME_MAX = 28,
};

/* Stores and loads of a byte, by memory or by port. */
struct space {
	volatile uint8_t *memory;
	uint16_t port;
};

static uint8_t get(const struct space *space, unsigned int offset)
{
	return space->memory ? space->memory[offset] : inb((uint16_t)(space->port + offset));
}

static uint32_t get32(const struct space *space, unsigned int offset)
{
	return space->memory ? (uint32_t)load(space->memory + offset, 4) :
			       inl((uint16_t)(space->port + offset));
}

static void put(const struct space *space, unsigned int offset, uint8_t value)
{
	if (space->memory)
		space->memory[offset] = value;
	else
		outb(value, (uint16_t)(space->port + offset));
}

/* What it has counted, when that is `times`, or some seconds later. */
static uint32_t await_test(const struct space *space, uint32_t times)
{
	time_t end = time(NULL) + TESTDEV_HEARS_SECONDS;
	uint32_t seen;

	do
		seen = get32(space, TEST_COUNT);
	while (seen < times && time(NULL) < end);
	return seen;
}

/* The device says what to store where; docs/testdev.md says what it says. */
static void check_test(const struct space *space, unsigned int test, const char *expected)
{
	uint8_t number = (uint8_t)(test % 3), expected_data = number == 1 ? 0xce : 0xfa;
	unsigned int expected_offset = (test < 3 ? TESTDEV_MEMORY_TESTS : TESTDEV_IO_TESTS) + test;
	char name[TEST_NAME_MAX + 1] = { 0 };

	put(space, 0, number);
	for (unsigned int i = 0; i < TEST_NAME_MAX; i++)
		name[i] = (char)get(space, TEST_NAME + i);
	expect(!strcmp(name, expected), "test %u is called %s", test, expected);
	expect_equal(get(space, 0), test, "that is its number");
	expect_equal(get(space, TEST_WIDTH), 1, "it stores a byte");
	expect_equal(get(space, TEST_DATA), expected_data, "of its value");
	expect_equal(get32(space, TEST_OFFSET), expected_offset, "at its offset");
	for (unsigned int i = 0; i < 100; i++)
		put(space, expected_offset, expected_data);
	expect_equal(await_test(space, 100), 100, "and counts 100 of these");
}

void check_memory_tests(struct pci *pci)
{
	struct space space = { .memory = pci_map(pci, 0) };

	check_test(&space, 0, "mmio-no-eventfd");
	check_test(&space, 1, "mmio-wildcard-eventfd");
	check_test(&space, 2, "mmio-datamatch-eventfd");
}

void check_io_tests(struct pci *pci)
{
	struct space space = { .port = (uint16_t)pci->bars[1].start };

	if (ioperm(space.port, pci->bars[1].size, 1))
		fail("ioperm");
	check_test(&space, 3, "portio-no-eventfd");
	check_test(&space, 4, "portio-wildcard-eventfd");
	check_test(&space, 5, "portio-datamatch-eventfd");
}

/* ---- DMA, and a server that is gone ---- */

void check_dma(struct pci *pci)
{
	volatile uint8_t *bar = pci_map(pci, TESTDEV_BAR2);
	uint64_t physical;
	volatile struct testdev_stamp *stamp = page_alloc(&physical);

	store(bar + offsetof(struct testdev_counters, stamp_iova), 8, physical);
	for (unsigned int i = 0; i < 100; i++)
		store(bar + TESTDEV_REGISTER_4, 4, i);
	load(bar, 4);
	expect_equal(stamp->count, 100, "the device has written its count into guest memory");
	expect(stamp->tsc, "and the time");
	store(bar + offsetof(struct testdev_counters, stamp_iova), 8, 0);
	store(bar + TESTDEV_REGISTER_4, 4, 0);
	load(bar, 4);
	expect_equal(stamp->count, 100, "without an address it writes nothing");
}

/* What QEMU does is in docs/peers.md. */
void check_gone(struct pci *pci)
{
	volatile uint8_t *bar = pci_map(pci, TESTDEV_BAR2);

	expect_equal(load(bar, 4), UINT32_MAX, "registers read as ones without a server");
	store(bar + TESTDEV_REGISTER_4, 4, 1);
	expect_equal(load(bar, 8), UINT64_MAX, "stores are lost, and the guest lives");
}
