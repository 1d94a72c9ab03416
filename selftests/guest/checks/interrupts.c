/* SPDX-License-Identifier: BSD-3-Clause */
/* testdev's interrupts of each kind, as many in the guest as the device has been told to fire. */
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "testdev.h"
#include "vectors.h"

#define AWAIT_MS 5000
#define ROUNDS 50u /* of INTx */
#define BURST 3u   /* of a message, one after the other */

static void fire(volatile uint8_t *bar, size_t reg, unsigned int number)
{
	store(bar + reg, 4, number);
}

/* ---- MSI and MSI-X, without a driver ---- */

/* Each vector by itself; one after the other, as the guest's count is of those that it took. */
static void check_each(struct vectors *vectors, volatile uint8_t *bar, size_t reg, unsigned int nr,
		       const char *kind)
{
	for (unsigned int i = 0; i < nr; i++) {
		unsigned int taken = 0;

		for (unsigned int n = 0; n < BURST; n++) {
			vectors_aim(vectors, i);
			fire(bar, reg, i);
			taken += vectors_arrived(vectors, 1);
		}
		expect(taken == BURST, "CPU %u takes %u of %s vector %u, and no other",
		       vectors->cpu, BURST, kind, i);
	}
}

static void check_mask(struct vectors *vectors, volatile uint8_t *bar, size_t reg)
{
	vectors_aim(vectors, 1);
	vectors_mask(vectors, 1, true);
	fire(bar, reg, 1);
	load(bar, 4);
	expect(vectors_arrived(vectors, 0), "none arrives while its vector is masked");
	vectors_mask(vectors, 1, false);
	expect(vectors_arrived(vectors, 1), "it arrives when it is unmasked");
}

static void check_off(struct vectors *vectors, volatile uint8_t *bar, size_t reg, const char *kind)
{
	vectors_close(vectors);
	vectors_aim(vectors, 1);
	fire(bar, reg, 1);
	load(bar, 4);
	expect(vectors_arrived(vectors, 0), "none arrives once %s is off", kind);
	tell(kind, vectors->taken);
}

void check_msi(struct pci *pci)
{
	volatile uint8_t *bar = pci_map(pci, TESTDEV_BAR2);
	struct vectors vectors;

	vectors_open_msi(&vectors, pci, TESTDEV_VECTORS);
	check_each(&vectors, bar, offsetof(struct testdev_counters, msi), VECTORS_MAX_MSI, "MSI");
	check_off(&vectors, bar, offsetof(struct testdev_counters, msi), "MSI");
}

void check_msix(struct pci *pci)
{
	size_t reg = offsetof(struct testdev_counters, trigger);
	volatile uint8_t *bar = pci_map(pci, TESTDEV_BAR2);
	struct vectors vectors;

	vectors_open_msix(&vectors, pci, TESTDEV_MSIX_BAR, TESTDEV_VECTORS);
	check_each(&vectors, bar, reg, TESTDEV_VECTORS, "MSI-X");
	check_mask(&vectors, bar, reg);
	check_off(&vectors, bar, reg, "MSI-X");
}

/* ---- INTx, by Linux's uio_pci_generic ---- */

/* The first one that there is. */
static int open_uio(void)
{
	int fd = open("/dev/uio0", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		fail("/dev/uio0");
	return fd;
}

/* How many interrupts the driver has had; waits for the next one. 0: none came. */
static uint32_t next_interrupt(int uio, int timeout_ms)
{
	struct pollfd poll_for = { .fd = uio, .events = POLLIN };
	uint32_t count;

	if (poll(&poll_for, 1, timeout_ms) != 1 ||
	    read(uio, &count, sizeof(count)) != sizeof(count))
		return 0;
	return count;
}

/*
 * On the CPU that takes the interrupt what follows it comes after its end, too. Elsewhere the line
 * may be raised anew before, and is then asked twice whether it is.
 */
static void follow_interrupt(const struct pci *pci)
{
	char path[80], irq[16] = "";
	cpu_set_t first;
	FILE *from;

	CPU_ZERO(&first);
	CPU_SET(0, &first);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/irq", pci->slot);
	from = fopen(path, "r");
	if (!from || fscanf(from, "%15[0-9]", irq) != 1 ||
	    sched_setaffinity(0, sizeof(first), &first))
		fail(path);
	fclose(from);
	snprintf(path, sizeof(path), "/proc/irq/%s/smp_affinity", irq);
	expect(!pci_tell(path, "1"), "its interrupt can be led to CPU 0");
}

/* The driver has turned INTx off, for whoever uses the device to turn it on again. */
static void turn_on(const struct pci *pci)
{
	uint32_t command = pci_config_read(pci, PCI_COMMAND, 2);

	pci_config_write(pci, PCI_COMMAND, 2, command & ~(uint32_t)PCI_COMMAND_INTX_DISABLE);
}

static bool is_raised(const struct pci *pci)
{
	return pci_config_read(pci, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT;
}

static void raise_line(volatile uint8_t *bar, bool raised)
{
	store(bar + offsetof(struct testdev_counters, intx), 4, raised);
}

void check_intx(struct pci *pci)
{
	volatile uint8_t *bar = pci_map(pci, TESTDEV_BAR2);
	uint32_t first, last = 0, count = 0, wrong = 0;
	int uio;

	pci_bind(pci, "uio_pci_generic");
	uio = open_uio();
	follow_interrupt(pci);
	expect(!is_raised(pci), "INTx is low at first");
	raise_line(bar, true);
	first = last = next_interrupt(uio, AWAIT_MS);
	expect(first && is_raised(pci),
	       "a line that is raised is an interrupt, and a bit of Status");
	turn_on(pci);
	expect(next_interrupt(uio, AWAIT_MS) == first + 1, "and another as long as it is raised");
	last = first + 1;
	raise_line(bar, false);
	turn_on(pci);
	expect(!is_raised(pci), "it is low when the device lowers it");
	for (count = 2; count < ROUNDS; count++) {
		raise_line(bar, true);
		wrong += next_interrupt(uio, AWAIT_MS) != ++last;
		raise_line(bar, false);
		turn_on(pci);
	}
	expect(!wrong && last - first + 1 == ROUNDS, "%u are %u", ROUNDS, last - first + 1);
	tell("INTx", last - first + 1);
	tell("held", 1); /* of them because the line still was raised */
	close(uio);
	pci_bind(pci, "");
}
