/* SPDX-License-Identifier: BSD-3-Clause */
#include "vectors.h"

#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define AWAIT_SECONDS 5

/* Linux's, from arch/x86/include/asm/irq_vectors.h, and their names in /proc/interrupts. */
#define FIRST_VECTOR 0xf0u

static const char *const names[] = { "NPI:", "PIW:", "PIN:" };

#define NR_NAMES (sizeof(names) / sizeof(*names))

/* With MSI-X any vector may have any message. */
#define AIMED_NAME 2u
#define OTHERS_NAME 0u

#define LOCAL_APICS 0xfee00000u

static uint64_t sum(char *counts)
{
	uint64_t all = 0;
	char *end;

	for (uint64_t one = strtoull(counts, &end, 10); end != counts;
	     counts = end, one = strtoull(counts, &end, 10))
		all += one;
	return all;
}

/* On CPU `cpu`, or on all of them when it is -1. */
static uint64_t count_of(const char *name, int cpu)
{
	FILE *interrupts = fopen("/proc/interrupts", "r");
	char line[400], *at = NULL;
	uint64_t count = 0;

	if (!interrupts)
		fail("/proc/interrupts");
	while (!at && fgets(line, sizeof(line), interrupts))
		at = strstr(line, name);
	fclose(interrupts);
	if (!at)
		fail(name);
	at += strlen(name);
	if (cpu < 0)
		return sum(at);
	for (int i = 0; i <= cpu; i++)
		count = strtoull(at, &at, 10);
	return count;
}

static uint64_t count_all(void)
{
	uint64_t all = 0;

	for (size_t i = 0; i < NR_NAMES; i++)
		all += count_of(names[i], -1);
	return all;
}

/* Which of them the aimed one is: the low bits of MSI's one number are the message's. */
static unsigned int aimed_name(const struct vectors *vectors)
{
	return vectors->table ? AIMED_NAME : vectors->aimed;
}

static uint64_t count_aimed(const struct vectors *vectors)
{
	return count_of(names[aimed_name(vectors)], (int)vectors->cpu);
}

static uint32_t address_of(unsigned int cpu)
{
	return LOCAL_APICS | cpu << 12;
}

static unsigned int nr_cpus(void)
{
	return (unsigned int)sysconf(_SC_NPROCESSORS_ONLN);
}

static void set_entry(struct vectors *vectors, unsigned int number, uint32_t vector)
{
	volatile uint8_t *entry = vectors->table + (size_t)number * PCI_MSIX_ENTRY_SIZE;

	store(entry + PCI_MSIX_ENTRY_LOWER_ADDR, 4, address_of(vectors->cpu));
	store(entry + PCI_MSIX_ENTRY_UPPER_ADDR, 4, 0);
	store(entry + PCI_MSIX_ENTRY_DATA, 4, vector);
	store(entry + PCI_MSIX_ENTRY_VECTOR_CTRL, 4, 0);
}

static void set_messages(struct vectors *vectors)
{
	unsigned int at = vectors->capability;

	for (unsigned int i = 0; vectors->table && i < vectors->nr; i++)
		set_entry(vectors, i,
			  FIRST_VECTOR + (i == vectors->aimed ? AIMED_NAME : OTHERS_NAME));
	if (vectors->table)
		return;
	pci_config_write(vectors->pci, at + PCI_MSI_ADDRESS_LO, 4, address_of(vectors->cpu));
	pci_config_write(vectors->pci, at + PCI_MSI_ADDRESS_HI, 4, 0);
	pci_config_write(vectors->pci, at + PCI_MSI_DATA_64, 2, FIRST_VECTOR);
}

static void turn_on(struct vectors *vectors, unsigned int offset, uint32_t bits)
{
	set_messages(vectors);
	pci_config_write(vectors->pci, vectors->capability + offset, 2, bits);
}

void vectors_open_msix(struct vectors *vectors, const struct pci *pci, unsigned int bar,
		       unsigned int nr)
{
	*vectors = (struct vectors){
		.pci = pci,
		.capability = pci_capability(pci, PCI_CAP_ID_MSIX),
		.nr = nr,
		.table = pci_map(pci, bar),
	};
	turn_on(vectors, PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE);
}

void vectors_open_msi(struct vectors *vectors, const struct pci *pci, unsigned int nr)
{
	*vectors = (struct vectors){
		.pci = pci,
		.capability = pci_capability(pci, PCI_CAP_ID_MSI),
		.nr = nr,
	};
	turn_on(vectors, PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE | (uint32_t)__builtin_ctz(nr) << 4);
}

void vectors_aim(struct vectors *vectors, unsigned int number)
{
	vectors->aimed = number;
	vectors->cpu = number % nr_cpus();
	set_messages(vectors);
	vectors->before = count_aimed(vectors);
	vectors->all_before = count_all();
}

bool vectors_arrived(struct vectors *vectors, unsigned int times)
{
	time_t end = time(NULL) + AWAIT_SECONDS;
	uint64_t seen;

	do
		seen = count_aimed(vectors) - vectors->before;
	while (seen < times && time(NULL) < end);
	vectors->taken += seen;
	return seen == times && count_all() - vectors->all_before == times;
}

void vectors_mask(struct vectors *vectors, unsigned int number, bool masked)
{
	store(vectors->table + (size_t)number * PCI_MSIX_ENTRY_SIZE + PCI_MSIX_ENTRY_VECTOR_CTRL, 4,
	      masked ? PCI_MSIX_ENTRY_CTRL_MASKBIT : 0);
}

void vectors_close(struct vectors *vectors)
{
	pci_config_write(vectors->pci,
			 vectors->capability + (vectors->table ? PCI_MSIX_FLAGS : PCI_MSI_FLAGS), 2,
			 0);
}
