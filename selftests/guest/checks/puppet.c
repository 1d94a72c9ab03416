/* SPDX-License-Identifier: BSD-3-Clause */
/* The puppet of puppet.json, as a guest finds it. */
#include <linux/pci_regs.h>
#include <stdio.h>
#include <sys/io.h>

#include "checks.h"
#include "vectors.h"

/* Linux's, from include/linux/ioport.h. */
#define RESOURCE_IO 0x100u
#define RESOURCE_PREFETCH 0x2000u
#define RESOURCE_MEM_64 0x100000u

#define SHARED_BAR 0u
#define IO_BAR 2u
#define PLAIN_BAR 3u
#define MSIX_BAR 4u
#define KICK 16u

/* Both sides of each edge of its areas; 0x8800 is looked at by the server's end. */
static const unsigned int places[] = { 0x10,   0xff8,  0x1000, 0x2ff8, 0x3000,
				       0x7ff8, 0x8800, 0x8ff8, 0x9000, 0xfff8 };

#define NR_PLACES (sizeof(places) / sizeof(*places))

static uint64_t pattern(unsigned int place)
{
	return 0x0102030405060708ull * (place / 8 % 17 + 1);
}

static void check_shared(const struct pci *pci)
{
	volatile uint8_t *bar = pci_map(pci, SHARED_BAR);
	unsigned int wrong = 0;

	expect_equal(pci->bars[SHARED_BAR].size, 0x10000, "BAR0 has 64 KiB");
	expect((pci->bars[SHARED_BAR].flags & (RESOURCE_PREFETCH | RESOURCE_MEM_64)) ==
		       (RESOURCE_PREFETCH | RESOURCE_MEM_64),
	       "of 64-bit, prefetchable memory");
	expect_equal(load(bar, 4), 0x70707570, "outside of its areas it starts as the shape says");
	expect_equal(load(bar + 0x8000, 4), 0x21737465, "and within them");
	for (size_t i = 0; i < NR_PLACES; i++)
		store(bar + places[i], 8, pattern(places[i]));
	for (size_t i = 0; i < NR_PLACES; i++)
		wrong += load(bar + places[i], 8) != pattern(places[i]);
	expect(!wrong, "it keeps what is stored in areas and beside them");
}

static void check_io(const struct pci *pci)
{
	uint16_t port = (uint16_t)pci->bars[IO_BAR].start;

	expect(pci->bars[IO_BAR].size == 64 && pci->bars[IO_BAR].flags & RESOURCE_IO,
	       "BAR2 has 64 bytes of I/O space");
	if (ioperm(port, 64, 1))
		fail("ioperm");
	expect_equal(inl((uint16_t)(port + 60)), 0x87654321, "they start as the shape says");
	outl(0x12345678, port);
	outb(0xab, (uint16_t)(port + 1));
	expect_equal(inl(port), 0x1234ab78, "they keep what is put out");
}

void check_puppet(struct pci *pci)
{
	volatile uint8_t *bar;

	check_shared(pci);
	check_io(pci);
	bar = pci_map(pci, PLAIN_BAR);
	store(bar + 0x100, 8, 0x1122334455667788);
	expect_equal(load(bar + 0x104, 4), 0x11223344, "BAR3 is memory");
}

void check_puppet_config(struct pci *pci)
{
	unsigned int msix = pci_capability(pci, PCI_CAP_ID_MSIX);

	pci_expect_ids(pci, 0x1b3600f7, 0, 0x00ff00);
	expect(pci_capability(pci, PCI_CAP_ID_PM) && pci_capability(pci, PCI_CAP_ID_EXP) && msix,
	       "there are power management, PCI Express and MSI-X");
	expect_equal(pci_config_read(pci, msix + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_QSIZE, 1,
		     "MSI-X has 2 vectors");
}

/* Somebody waits for the kick, and fires vector 1. */
void check_puppet_msix(struct pci *pci)
{
	struct vectors vectors;

	vectors_open_msix(&vectors, pci, MSIX_BAR, 2);
	vectors_aim(&vectors, 1);
	store(pci_map(pci, PLAIN_BAR) + KICK, 4, 1);
	expect(vectors_arrived(&vectors, 1),
	       "who waits for the kick fires an interrupt, and it arrives");
	vectors_close(&vectors);
	tell("msix", vectors.taken);
}
