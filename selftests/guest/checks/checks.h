/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * checks: what a Linux guest finds out about its devices, with any monitor.
 *
 * It is one static program. `checks registers 0` makes the checks of that name, on the first testdev,
 * and answers in lines of TAP without numbers. Who says that is a file of selftests/guest.d/.
 */
#ifndef FASTPATH_SELFTESTS_CHECKS_H
#define FASTPATH_SELFTESTS_CHECKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- saying what was found ---- */

/* A line of TAP; true if `good`. The text is a sentence that is true when all is well. */
bool expect(bool good, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for a number, with both numbers when they differ. */
bool expect_equal(uint64_t seen, uint64_t expected, const char *text);

/* A number for the host, which has it as ${told[NAME]}. */
void tell(const char *name, uint64_t value);

/* A failed check, with errno, and the end of these. */
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

/* Of testdev. */
#define TESTDEV_BAR2 2u
#define TESTDEV_MSIX_BAR 4u
#define TESTDEV_HEARS_SECONDS 5
#define TESTDEV_BACK_SECONDS 20

#define PUPPET_DEVICE 0x00f7u /* of puppet.json; the vendor is testdev's */

/*
 * The nth such device on the bus, enabled and with bus mastering on. Without it the check fails.
 */
void pci_open(struct pci *pci, unsigned int device, unsigned int nth);

/* How many testdevs there are. */
unsigned int pci_count(void);

uint32_t pci_config_read(const struct pci *pci, unsigned int offset, unsigned int width);
void pci_config_write(const struct pci *pci, unsigned int offset, unsigned int width,
		      uint32_t value);

/* Where in configuration space the capability is, 0 if nowhere. */
unsigned int pci_capability(const struct pci *pci, uint8_t id);

/* A memory BAR, mapped until the program ends. */
volatile uint8_t *pci_map(const struct pci *pci, unsigned int bar);

/* Writes a line into one of the device's files in sysfs, or one below its bus; 0 or -errno. */
int pci_tell(const char *file, const char *line);

/* Memory space from an address of the bus, mapped until the program ends. */
volatile uint8_t *pci_map_address(uint64_t address, uint64_t bytes);

/* Gives a memory BAR another address, behind Linux's back; the device decodes nothing meanwhile. */
void pci_move(const struct pci *pci, unsigned int bar, uint64_t to);

/* Checks what sysfs says it is: vendor and device, those of the subsystem, the class. */
void pci_expect_ids(const struct pci *pci, uint32_t ids, uint32_t subsystem, uint32_t class);

/* Gives it to a driver; checks that sysfs says so. "" takes it away from any. */
void pci_bind(const struct pci *pci, const char *driver);

/* A locked, zeroed page of memory, and its address in guest-physical memory. */
volatile void *page_alloc(uint64_t *physical);

/* ---- stores and loads of just this width ---- */

uint64_t load(volatile const uint8_t *at, unsigned int width);
/* How many there have been so far. */
uint64_t loads(void);

void store(volatile uint8_t *at, unsigned int width, uint64_t value);

/* Until *at has that value; false after five seconds. */
bool await32(volatile const uint32_t *at, uint32_t value);

/* ---- the checks ---- */

typedef void check_fn(struct pci *pci);

check_fn check_config, check_id, check_registers, check_doorbells, check_storm, check_move,
	check_memory_tests, check_io_tests, check_dma, check_intx, check_msi, check_msix,
	check_vfio, check_gone, check_back, check_puppet, check_puppet_config, check_puppet_msix;

#endif
