/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guest: what runs inside of QEMU's guest, on behalf of selftests/qemu.sh.
 *
 * It is one static program. It does what it is told on its standard input, a line each ("registers
 * 0": the checks of that name, on the first testdev), and answers in lines of TAP without numbers.
 */
#ifndef FASTPATH_SELFTESTS_QEMU_GUEST_H
#define FASTPATH_SELFTESTS_QEMU_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- saying what was found ---- */

/* A line of TAP; true if `good`. The text is a sentence that is true when all is well. */
bool expect(bool good, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for a number, with both numbers when they differ. */
bool expect_equal(uint64_t seen, uint64_t expected, const char *text);

/* A failed check, with errno, and the end of this command. */
void fail(const char *what) __attribute__((noreturn));

/* ---- the device, as Linux's sysfs has it ---- */

#define PCI_NR_BARS 6u

struct pci_bar {
	uint64_t start;
	uint64_t size; /* 0: not there */
	uint64_t flags;
};

struct pci {
	unsigned int nth; /* among those of its device id, by slot */
	char slot[16];	  /* 0000:00:03.0 */
	struct pci_bar bars[PCI_NR_BARS];
	int config; /* an fd */
};

#define PUPPET_DEVICE 0x00f7u /* of puppet.json; the vendor is testdev's */

/*
 * The nth such device on the bus, enabled and with bus mastering on. Without it the command fails.
 */
void pci_open(struct pci *pci, unsigned int device, unsigned int nth);

/* How many testdevs there are. */
unsigned int pci_count(void);

uint32_t pci_config_read(const struct pci *pci, unsigned int offset, unsigned int width);
void pci_config_write(const struct pci *pci, unsigned int offset, unsigned int width,
		      uint32_t value);

/* Where in configuration space the capability is, 0 if nowhere. */
unsigned int pci_capability(const struct pci *pci, uint8_t id);

/* A memory BAR, mapped until the command ends. */
volatile uint8_t *pci_map(const struct pci *pci, unsigned int bar);

/* Writes a line into one of the device's files in sysfs, or one below its bus; 0 or -errno. */
int pci_tell(const char *file, const char *line);

/* A locked, zeroed page of memory, and its address in guest-physical memory. */
volatile void *page_alloc(uint64_t *physical);

/* ---- stores and loads of just this width ---- */

uint64_t load(volatile const uint8_t *at, unsigned int width);
void store(volatile uint8_t *at, unsigned int width, uint64_t value);

/* Until *at has that value; false after five seconds. */
bool await32(volatile const uint32_t *at, uint32_t value);

/* ---- the checks ---- */

typedef void check_fn(struct pci *pci);

check_fn check_config, check_id, check_registers, check_doorbells, check_memory_tests,
	check_io_tests, check_dma, check_msix, check_vfio, check_gone, check_puppet,
	check_puppet_msix;

#endif
