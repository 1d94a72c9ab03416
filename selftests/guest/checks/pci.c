/* SPDX-License-Identifier: BSD-3-Clause */
#include "checks.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "testdev.h"

#define DEVICES "/sys/bus/pci/devices"
#define PAGE_BYTES 4096u
#define AWAIT_SECONDS 5

static unsigned long read_id(const char *slot, const char *file)
{
	char path[300], text[20] = "";
	FILE *from;

	snprintf(path, sizeof(path), DEVICES "/%s/%s", slot, file);
	from = fopen(path, "r");
	if (!from)
		return 0;
	if (!fgets(text, sizeof(text), from))
		text[0] = 0;
	fclose(from);
	return strtoul(text, NULL, 16);
}

/* By id alone: a pci-testdev of QEMU's own would be a testdev, too. */
static int is_ours(const struct dirent *entry, unsigned int device)
{
	return read_id(entry->d_name, "vendor") == TESTDEV_VENDOR &&
	       read_id(entry->d_name, "device") == device;
}

static int is_testdev(const struct dirent *entry)
{
	return is_ours(entry, TESTDEV_DEVICE);
}

static int is_puppet(const struct dirent *entry)
{
	return is_ours(entry, PUPPET_DEVICE);
}

/* How many there are; the slot of the nth, if there is one. */
static unsigned int scan(unsigned int device, unsigned int nth, char *slot, size_t len)
{
	struct dirent **entries;
	int n = scandir(DEVICES, &entries, device == PUPPET_DEVICE ? is_puppet : is_testdev,
			alphasort);

	if (n < 0)
		fail(DEVICES);
	for (int i = 0; i < n; i++) {
		if ((unsigned int)i == nth)
			snprintf(slot, len, "%.*s", (int)len - 1, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return (unsigned int)n;
}

unsigned int pci_count(void)
{
	char none[1];

	return scan(TESTDEV_DEVICE, UINT32_MAX, none, sizeof(none));
}

static int open_file(const struct pci *pci, const char *file, int flags)
{
	char path[80];
	int fd;

	snprintf(path, sizeof(path), DEVICES "/%s/%s", pci->slot, file);
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		fail(path);
	return fd;
}

/* A line for each: its first address, its last one, and its flags. */
static void read_bars(struct pci *pci)
{
	FILE *resource = fdopen(open_file(pci, "resource", O_RDONLY), "r");
	char line[80], *at;
	uint64_t end;

	for (unsigned int i = 0; i < PCI_NR_BARS; i++) {
		if (!fgets(line, sizeof(line), resource))
			fail("resource");
		pci->bars[i].start = strtoull(line, &at, 16);
		end = strtoull(at, &at, 16);
		pci->bars[i].flags = strtoull(at, NULL, 16);
		pci->bars[i].size = end ? end - pci->bars[i].start + 1 : 0;
	}
	fclose(resource);
}

void pci_open(struct pci *pci, unsigned int device, unsigned int nth)
{
	char path[80];
	uint32_t command;

	pci->nth = nth;
	errno = ENODEV;
	if (scan(device, nth, pci->slot, sizeof(pci->slot)) <= nth)
		fail("the device");
	snprintf(path, sizeof(path), DEVICES "/%s/enable", pci->slot);
	pci_tell(path, "1"); /* a device with a driver refuses, and is enabled */
	pci->config = open_file(pci, "config", O_RDWR);
	command = pci_config_read(pci, PCI_COMMAND, 2);
	pci_config_write(pci, PCI_COMMAND, 2, command | PCI_COMMAND_MASTER);
	read_bars(pci);
}

uint32_t pci_config_read(const struct pci *pci, unsigned int offset, unsigned int width)
{
	uint32_t value = 0;

	if (pread(pci->config, &value, width, offset) != (ssize_t)width)
		fail("reading configuration space");
	return le32toh(value);
}

void pci_config_write(const struct pci *pci, unsigned int offset, unsigned int width,
		      uint32_t value)
{
	value = htole32(value);
	if (pwrite(pci->config, &value, width, offset) != (ssize_t)width)
		fail("writing configuration space");
}

unsigned int pci_capability(const struct pci *pci, uint8_t id)
{
	unsigned int at = PCI_CAPABILITY_LIST;

	if (!(pci_config_read(pci, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST))
		return 0;
	for (unsigned int hops = 0; hops < 48; hops++) {
		at = pci_config_read(pci, at, 1) & ~3u;
		if (!at || pci_config_read(pci, at, 1) == id)
			return at;
		at += PCI_CAP_LIST_NEXT;
	}
	return 0;
}

volatile uint8_t *pci_map(const struct pci *pci, unsigned int bar)
{
	char file[] = "resourceN";
	void *at;
	int fd;

	file[sizeof(file) - 2] = (char)('0' + bar);
	fd = open_file(pci, file, O_RDWR);
	at = mmap(NULL, pci->bars[bar].size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (at == MAP_FAILED)
		fail(file);
	return at;
}

volatile uint8_t *pci_map_address(uint64_t address, uint64_t bytes)
{
	int fd = open("/dev/mem", O_RDWR | O_SYNC | O_CLOEXEC);
	void *at = MAP_FAILED;

	if (fd >= 0)
		at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)address);
	if (at == MAP_FAILED)
		fail("/dev/mem");
	close(fd);
	return at;
}

void pci_move(const struct pci *pci, unsigned int bar, uint64_t to)
{
	unsigned int at = PCI_BASE_ADDRESS_0 + 4 * bar;
	uint32_t command = pci_config_read(pci, PCI_COMMAND, 2);

	pci_config_write(pci, PCI_COMMAND, 2, command & ~PCI_COMMAND_MEMORY);
	pci_config_write(pci, at, 4, (uint32_t)to);
	if (pci_config_read(pci, at, 4) & PCI_BASE_ADDRESS_MEM_TYPE_64)
		pci_config_write(pci, at + 4, 4, (uint32_t)(to >> 32));
	pci_config_write(pci, PCI_COMMAND, 2, command);
}

void pci_expect_ids(const struct pci *pci, uint32_t ids, uint32_t subsystem, uint32_t class)
{
	const struct {
		const char *file;
		uint32_t value;
	} expected[] = {
		{ "vendor", ids >> 16 },
		{ "device", ids & 0xffff },
		{ "subsystem_vendor", subsystem >> 16 },
		{ "subsystem_device", subsystem & 0xffff },
		{ "class", class },
	};

	for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++)
		expect(read_id(pci->slot, expected[i].file) == expected[i].value,
		       "sysfs has its %s: %#x", expected[i].file, expected[i].value);
}

/* The driver that has it, or "". */
static void read_driver(const struct pci *pci, char *name, size_t size)
{
	char path[80], target[200];
	ssize_t len;

	snprintf(path, sizeof(path), DEVICES "/%s/driver", pci->slot);
	len = readlink(path, target, sizeof(target) - 1);
	target[len < 0 ? 0 : len] = 0;
	snprintf(name, size, "%s", len < 0 ? "" : strrchr(target, '/') + 1);
}

void pci_bind(const struct pci *pci, const char *driver)
{
	char path[80], now[64];

	snprintf(path, sizeof(path), DEVICES "/%s/driver/unbind", pci->slot);
	pci_tell(path, pci->slot);
	snprintf(path, sizeof(path), DEVICES "/%s/driver_override", pci->slot);
	pci_tell(path, *driver ? driver : "\n");
	pci_tell("/sys/bus/pci/drivers_probe", pci->slot);
	read_driver(pci, now, sizeof(now));
	expect(!strcmp(now, driver), "sysfs has its driver: %s", *driver ? driver : "none");
}

int pci_tell(const char *file, const char *line)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, line, strlen(line)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

volatile void *page_alloc(uint64_t *physical)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	void *page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1, 0);
	uint64_t entry;

	if (pagemap < 0 || page == MAP_FAILED ||
	    pread(pagemap, &entry, sizeof(entry),
		  (off_t)((uintptr_t)page / PAGE_BYTES * sizeof(entry))) != sizeof(entry))
		fail("a page of memory");
	close(pagemap);
	*physical = (entry & ((1ull << 55) - 1)) * PAGE_BYTES;
	return page;
}

static uint64_t nr_loads;

uint64_t loads(void)
{
	return nr_loads;
}

uint64_t load(volatile const uint8_t *at, unsigned int width)
{
	nr_loads++;
	switch (width) {
	case 1:
		return *at;
	case 2:
		return *(volatile const uint16_t *)at;
	case 4:
		return *(volatile const uint32_t *)at;
	default:
		return *(volatile const uint64_t *)at;
	}
}

void store(volatile uint8_t *at, unsigned int width, uint64_t value)
{
	switch (width) {
	case 1:
		*at = (uint8_t)value;
		break;
	case 2:
		*(volatile uint16_t *)at = (uint16_t)value;
		break;
	case 4:
		*(volatile uint32_t *)at = (uint32_t)value;
		break;
	default:
		*(volatile uint64_t *)at = value;
	}
}

bool await32(volatile const uint32_t *at, uint32_t value)
{
	struct timespec now, end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += AWAIT_SECONDS;
	do {
		if (*at == value)
			return true;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < end.tv_sec);
	return false;
}
