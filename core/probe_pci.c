/* SPDX-License-Identifier: BSD-3-Clause */
/* The PCI configuration space, read and never written: BARs are not sized. */
#include "probe.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#define CONFIG_REGION 7u

/* The list of capabilities begins behind the header, the extended one behind the first 256 bytes. */
#define STANDARD_BYTES 256u

uint32_t probe_pci_get(const struct probe_pci *pci, unsigned int at, unsigned int bytes)
{
	uint32_t value = 0;

	if (at + bytes <= pci->len)
		memcpy(&value, pci->config + at, bytes);
	return value;
}

struct probe_bar probe_pci_bar(const struct probe_pci *pci, unsigned int index)
{
	struct probe_bar bar = { 0 };

	for (unsigned int i = 0; i <= index; i++) {
		uint32_t reg = probe_pci_get(pci, PCI_BASE_ADDRESS_0 + 4 * i, 4);
		bool upper = bar.is_64;

		bar = (struct probe_bar){ .is_upper_half = upper };
		if (upper)
			continue;
		bar.is_io = reg & PCI_BASE_ADDRESS_SPACE_IO;
		bar.is_64 = !bar.is_io &&
			    (reg & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64;
		bar.prefetchable = !bar.is_io && reg & PCI_BASE_ADDRESS_MEM_PREFETCH;
	}
	return bar;
}

/* 256 bytes at once, or by registers where the server has it no other way. */
static int read_block(struct fpc *client, struct probe_pci *pci)
{
	uint8_t *to = pci->config + pci->len;
	int ret = fpc_region_read(client, CONFIG_REGION, pci->len, to, STANDARD_BYTES);

	for (unsigned int i = 0; ret && ret != -ECONNRESET && i < STANDARD_BYTES; i += 4) {
		ret = fpc_region_read(client, CONFIG_REGION, pci->len + i, to + i, 4);
		if (ret)
			return ret;
		if (i + 4 == STANDARD_BYTES)
			break;
		ret = -EAGAIN; /* there is more */
	}
	if (!ret)
		pci->len += STANDARD_BYTES;
	return ret;
}

static bool has(const struct probe_pci *pci, uint16_t id)
{
	for (unsigned int i = 0; i < pci->nr_caps; i++)
		if (pci->caps[i].id == id)
			return true;
	return false;
}

static void find_caps(struct probe_pci *pci)
{
	bool seen[STANDARD_BYTES] = { 0 };
	unsigned int at;

	if (!(probe_pci_get(pci, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST))
		return;
	at = probe_pci_get(pci, PCI_CAPABILITY_LIST, 1) & ~3u;
	while (at) {
		if (at < PCI_STD_HEADER_SIZEOF || seen[at]) {
			pci->problem = "the list of capabilities leads astray";
			return;
		}
		seen[at] = true;
		pci->caps[pci->nr_caps++] = (struct probe_pci_cap){
			.offset = (uint16_t)at,
			.id = (uint16_t)probe_pci_get(pci, at, 1),
		};
		at = probe_pci_get(pci, at + 1, 1) & ~3u;
	}
}

static void find_extended(struct probe_pci *pci)
{
	unsigned int at = STANDARD_BYTES;
	unsigned int last = 0;

	while (at) {
		uint32_t header = probe_pci_get(pci, at, 4);

		/* An empty list is a header of zeroes. Lists may run backwards, but not for ever. */
		if (!header && !last)
			return;
		if (at < STANDARD_BYTES || at + 4 > pci->len ||
		    pci->nr_extended == PROBE_MAX_PCI_CAPS || header == UINT32_MAX) {
			pci->problem = "the list of extended capabilities leads astray";
			return;
		}
		pci->extended[pci->nr_extended++] = (struct probe_pci_cap){
			.offset = (uint16_t)at,
			.id = (uint16_t)PCI_EXT_CAP_ID(header),
			.version = (uint8_t)PCI_EXT_CAP_VER(header),
		};
		last = at;
		at = PCI_EXT_CAP_NEXT(header);
	}
}

void probe_pci_read(struct fpc *client, uint64_t size, struct probe_pci *pci)
{
	pci->is_there = true;
	pci->error = size < STANDARD_BYTES ? -EPROTO : read_block(client, pci);
	if (pci->error)
		return;
	find_caps(pci);
	if (!has(pci, PCI_CAP_ID_EXP) || size <= STANDARD_BYTES)
		return;
	while (pci->len < sizeof(pci->config) && size - pci->len >= STANDARD_BYTES && !pci->error)
		pci->error = read_block(client, pci);
	if (pci->len > STANDARD_BYTES)
		find_extended(pci);
}
