/* SPDX-License-Identifier: BSD-3-Clause */
#include "msix.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

struct entry {
	uint32_t address_low;
	uint32_t address_high;
	uint32_t data;
	uint32_t control;
};

_Static_assert(sizeof(struct entry) == PCI_MSIX_ENTRY_SIZE, "the table's entries are those");

/* What was told last. */
struct told {
	bool live;
	struct msi_message message;
};

struct msix {
	unsigned int nr;
	bool enabled;
	bool masked;
	const struct msix_ops *ops;
	void *opaque;
	struct entry *entries;
	struct told *told;
};

static void mask_all(struct msix *msix)
{
	memset(msix->entries, 0, msix->nr * sizeof(*msix->entries));
	for (unsigned int i = 0; i < msix->nr; i++)
		msix->entries[i].control = PCI_MSIX_ENTRY_CTRL_MASKBIT;
}

int msix_open(unsigned int nr, const struct msix_ops *ops, void *opaque, struct msix **out)
{
	struct msix *msix;

	if (!nr || nr > MSIX_MAX_VECTORS)
		return -EINVAL;
	msix = calloc(1, sizeof(*msix));
	if (!msix)
		return -ENOMEM;
	*msix = (struct msix){
		.nr = nr,
		.ops = ops,
		.opaque = opaque,
		.entries = calloc(nr, sizeof(*msix->entries)),
		.told = calloc(nr, sizeof(*msix->told)),
	};
	if (!msix->entries || !msix->told) {
		msix_close(msix);
		return -ENOMEM;
	}
	mask_all(msix);
	*out = msix;
	return 0;
}

void msix_close(struct msix *msix)
{
	if (!msix)
		return;
	free(msix->entries);
	free(msix->told);
	free(msix);
}

/* ---- what follows from the table ---- */

static struct msi_message message_of(const struct entry *entry)
{
	return (struct msi_message){
		.address = (uint64_t)entry->address_high << 32 | entry->address_low,
		.data = entry->data,
	};
}

static bool is_masked(const struct msix *msix, unsigned int vector)
{
	return msix->masked || msix->entries[vector].control & PCI_MSIX_ENTRY_CTRL_MASKBIT;
}

static void tell(struct msix *msix, unsigned int vector)
{
	const struct told now = {
		.live = msix->enabled && !is_masked(msix, vector),
		.message = message_of(&msix->entries[vector]),
	};
	struct told *told = &msix->told[vector];

	/* A masked vector may get any message: only the one that it ends with counts. */
	if (now.live ? told->live && told->message.address == now.message.address &&
			       told->message.data == now.message.data :
		       !told->live)
		return;
	*told = now;
	msix->ops->route(msix->opaque, vector, now.live ? &now.message : NULL);
}

static void tell_all(struct msix *msix)
{
	for (unsigned int i = 0; i < msix->nr; i++)
		tell(msix, i);
}

void msix_control(struct msix *msix, bool enabled, bool masked)
{
	msix->enabled = enabled;
	msix->masked = masked;
	tell_all(msix);
}

void msix_reset(struct msix *msix)
{
	mask_all(msix);
	msix_control(msix, false, false);
}

/* ---- accesses ---- */

uint64_t msix_table_bytes(const struct msix *msix)
{
	return msix->nr * sizeof(*msix->entries);
}

uint64_t msix_pba_bytes(const struct msix *msix)
{
	return (msix->nr + 63) / 64 * sizeof(uint64_t);
}

/* The bytes of [offset, offset + len) that lie in [0, size): *from to *to, of the access' own. */
static void clip(int64_t offset, uint32_t len, uint64_t size, int64_t *from, int64_t *to)
{
	*from = offset < 0 ? -offset : 0;
	*to = (int64_t)size - offset < len ? (int64_t)size - offset : len;
}

void msix_read_table(const struct msix *msix, int64_t offset, void *data, uint32_t len)
{
	const uint8_t *table = (const uint8_t *)msix->entries;
	int64_t from, to;

	memset(data, 0, len);
	clip(offset, len, msix_table_bytes(msix), &from, &to);
	for (int64_t i = from; i < to; i++)
		((uint8_t *)data)[i] = table[offset + i];
}

void msix_write_table(struct msix *msix, int64_t offset, const void *data, uint32_t len)
{
	uint8_t *table = (uint8_t *)msix->entries;
	int64_t from, to;

	clip(offset, len, msix_table_bytes(msix), &from, &to);
	for (int64_t i = from; i < to; i++)
		table[offset + i] = ((const uint8_t *)data)[i];
	for (int64_t i = from; i < to; i++) {
		unsigned int vector = (unsigned int)(offset + i) / PCI_MSIX_ENTRY_SIZE;

		/* The other bits are reserved, and read as 0. */
		msix->entries[vector].control &= PCI_MSIX_ENTRY_CTRL_MASKBIT;
		tell(msix, vector);
	}
}

static bool is_pending(const struct msix *msix, unsigned int vector)
{
	return vector < msix->nr && msix->enabled && is_masked(msix, vector) &&
	       msix->ops->is_pending(msix->opaque, vector);
}

void msix_read_pba(const struct msix *msix, int64_t offset, void *data, uint32_t len)
{
	int64_t from, to;

	memset(data, 0, len);
	clip(offset, len, msix_pba_bytes(msix), &from, &to);
	for (int64_t i = from; i < to; i++)
		for (unsigned int bit = 0; bit < 8; bit++)
			if (is_pending(msix, (unsigned int)(offset + i) * 8 + bit))
				((uint8_t *)data)[i] |= (uint8_t)(1u << bit);
}
