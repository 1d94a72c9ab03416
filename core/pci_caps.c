/* SPDX-License-Identifier: BSD-3-Clause */
#include "pci_caps.h"

#include <linux/pci_regs.h>
#include <string.h>

#include "pci_msix.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

#define MSI_MAX_VECTORS 32u

/* Behind the type 0 header, and in Express space. */
#define FIRST_AT PCI_STD_HEADER_SIZEOF
#define FIRST_EXTENDED_AT PCI_CFG_SPACE_SIZE

/* A vendor-specific capability's id, next pointer and length. */
#define VENDOR_HEAD 3u

/* A kind of capability: what of it is the same for every device, and who adds what is not. */
struct kind {
	uint8_t id;
	unsigned int size; /* bytes, of the whole capability */
	const struct pci_register *registers;
	size_t nr_registers;
	bool (*wanted)(const struct fp_class *class_);
	void (*fill)(struct pci *pci, unsigned int at, const struct fp_class *class_);
};

/* ---- power management ---- */

/* No state is lost in D3hot, so that going back to D0 needs no reset. */
static const struct pci_register power[] = {
	{ PCI_PM_PMC, 2, 3, 0, 0 },
	{ PCI_PM_CTRL, 2, PCI_PM_CTRL_NO_SOFT_RESET, PCI_PM_CTRL_STATE_MASK, 0 },
};

static bool wants_power(const struct fp_class *class_)
{
	return class_->pci.capabilities & FP_PCI_PM;
}

static void fill_power(struct pci *pci, unsigned int at, const struct fp_class *class_)
{
	(void)class_;
	pci->power = at + PCI_PM_CTRL;
}

/* ---- MSI ---- */

#define MSI_BYTES 24u

static bool wants_msi(const struct fp_class *class_)
{
	return class_->irqs[FP_MSI];
}

/* What software may be asked to allot is a power of two: its logarithm. */
static unsigned int msi_order(uint32_t vectors)
{
	unsigned int order = 0;

	while (1u << order < vectors)
		order++;
	return order;
}

static void fill_msi(struct pci *pci, unsigned int at, const struct fp_class *class_)
{
	unsigned int order = msi_order(class_->irqs[FP_MSI]);
	uint32_t vectors = UINT32_MAX >> (32 - (1u << order));
	const struct pci_register registers[] = {
		{ PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT | order << 1,
		  PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE, 0 },
		{ PCI_MSI_ADDRESS_LO, 4, 0, ~3u, 0 },
		{ PCI_MSI_ADDRESS_HI, 4, 0, UINT32_MAX, 0 },
		{ PCI_MSI_DATA_64, 2, 0, 0xffff, 0 },
		{ PCI_MSI_MASK_64, 4, 0, vectors, 0 },
	};

	pci_put(pci, at, registers, COUNT(registers));
}

/* ---- MSI-X ---- */

static bool wants_msix(const struct fp_class *class_)
{
	return class_->irqs[FP_MSIX];
}

static void fill_msix(struct pci *pci, unsigned int at, const struct fp_class *class_)
{
	struct pci_msix msix = pci_msix_layout(class_);
	const struct pci_register registers[] = {
		{ PCI_MSIX_FLAGS, 2, msix.vectors - 1,
		  PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL, 0 },
		{ PCI_MSIX_TABLE, 4, msix.table | msix.bar, 0, 0 },
		{ PCI_MSIX_PBA, 4, msix.pba | msix.bar, 0, 0 },
	};

	pci_put(pci, at, registers, COUNT(registers));
}

/* ---- PCI Express, version 2: an endpoint at a link of 2.5 GT/s and one lane ---- */

#define EXPRESS_BYTES 60u

#define EXPRESS_ERRORS \
	(PCI_EXP_DEVSTA_CED | PCI_EXP_DEVSTA_NFED | PCI_EXP_DEVSTA_FED | PCI_EXP_DEVSTA_URD)

/* Payloads are of 128 bytes, the least, so that their size has no bits to write. No FLR. */
static const struct pci_register express[] = {
	{ PCI_EXP_FLAGS, 2, 2, 0, 0 },
	{ PCI_EXP_DEVCAP, 4, PCI_EXP_DEVCAP_RBER | PCI_EXP_DEVCAP_EXT_TAG, 0, 0 },
	{ PCI_EXP_DEVCTL, 2,
	  PCI_EXP_DEVCTL_RELAX_EN | PCI_EXP_DEVCTL_NOSNOOP_EN | PCI_EXP_DEVCTL_READRQ_512B,
	  PCI_EXP_DEVCTL_CERE | PCI_EXP_DEVCTL_NFERE | PCI_EXP_DEVCTL_FERE | PCI_EXP_DEVCTL_URRE |
		  PCI_EXP_DEVCTL_RELAX_EN | PCI_EXP_DEVCTL_EXT_TAG | PCI_EXP_DEVCTL_NOSNOOP_EN |
		  PCI_EXP_DEVCTL_READRQ,
	  0 },
	{ PCI_EXP_DEVSTA, 2, 0, 0, EXPRESS_ERRORS },
	{ PCI_EXP_LNKCAP, 4, PCI_EXP_LNKCAP_SLS_2_5GB | PCI_EXP_LNKSTA_NLW_X1, 0, 0 },
	{ PCI_EXP_LNKCTL, 2, 0,
	  PCI_EXP_LNKCTL_ASPMC | PCI_EXP_LNKCTL_RCB | PCI_EXP_LNKCTL_CCC | PCI_EXP_LNKCTL_ES, 0 },
	{ PCI_EXP_LNKSTA, 2, PCI_EXP_LNKSTA_CLS_2_5GB | PCI_EXP_LNKSTA_NLW_X1, 0, 0 },
	{ PCI_EXP_DEVCAP2, 4, PCI_EXP_DEVCAP2_COMP_TMOUT_DIS, 0, 0 },
	{ PCI_EXP_DEVCTL2, 2, 0, PCI_EXP_DEVCTL2_COMP_TMOUT_DIS, 0 },
	{ PCI_EXP_LNKCAP2, 4, PCI_EXP_LNKCAP2_SLS_2_5GB, 0, 0 },
};

static bool wants_express(const struct fp_class *class_)
{
	return class_->pci.capabilities & FP_PCI_EXPRESS;
}

/* ---- the list ---- */

static const struct kind kinds[] = {
	{ PCI_CAP_ID_PM, PCI_PM_SIZEOF, power, COUNT(power), wants_power, fill_power },
	{ PCI_CAP_ID_MSI, MSI_BYTES, NULL, 0, wants_msi, fill_msi },
	{ PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF, NULL, 0, wants_msix, fill_msix },
	{ PCI_CAP_ID_EXP, EXPRESS_BYTES, express, COUNT(express), wants_express, NULL },
};

static unsigned int aligned(unsigned int size)
{
	return (size + 3) & ~3u;
}

/* Hooks a capability in behind the one before; *link is where the pointer to the next one is. */
static void put_head(struct pci *pci, unsigned int *link, unsigned int at, uint8_t id)
{
	pci->initial[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	pci->initial[*link] = (uint8_t)at;
	pci->initial[at + PCI_CAP_LIST_ID] = id;
	*link = at + PCI_CAP_LIST_NEXT;
}

static void put_kind(struct pci *pci, unsigned int at, const struct kind *kind,
		     const struct fp_class *class_)
{
	pci_put(pci, at, kind->registers, kind->nr_registers);
	if (kind->fill)
		kind->fill(pci, at, class_);
}

static void put_vendor(struct pci *pci, unsigned int at, const struct fp_pci_cap *cap)
{
	pci->initial[at + PCI_CAP_FLAGS] = (uint8_t)(VENDOR_HEAD + cap->size);
	memcpy(&pci->initial[at + VENDOR_HEAD], cap->data, cap->size);
	if (cap->writable)
		memcpy(&pci->writable[at + VENDOR_HEAD], cap->writable, cap->size);
}

/* Extended capabilities need no list yet: there is one. The header of none is 0. */
static void put_serial(struct pci *pci)
{
	const struct pci_register head = {
		.bytes = 4,
		.initial = PCI_EXT_CAP_ID_DSN | 1 << 16,
	};

	pci_put(pci, FIRST_EXTENDED_AT, &head, 1);
	pci->serial = FIRST_EXTENDED_AT + 4;
}

void pci_caps_init(struct pci *pci, const struct fp_class *class_)
{
	unsigned int link = PCI_CAPABILITY_LIST;
	unsigned int at = FIRST_AT;

	for (size_t i = 0; i < COUNT(kinds); i++)
		if (kinds[i].wanted(class_)) {
			put_head(pci, &link, at, kinds[i].id);
			put_kind(pci, at, &kinds[i], class_);
			at += aligned(kinds[i].size);
		}
	for (size_t i = 0; i < class_->pci.nr_vendor_caps; i++) {
		const struct fp_pci_cap *cap = &class_->pci.vendor_caps[i];

		put_head(pci, &link, at, PCI_CAP_ID_VNDR);
		put_vendor(pci, at, cap);
		at += aligned(VENDOR_HEAD + cap->size);
	}
	if (class_->pci.capabilities & FP_PCI_SERIAL)
		put_serial(pci);
}

static size_t bytes_wanted(const struct fp_class *class_)
{
	size_t bytes = 0;

	for (size_t i = 0; i < COUNT(kinds); i++)
		if (kinds[i].wanted(class_))
			bytes += aligned(kinds[i].size);
	for (size_t i = 0; i < class_->pci.nr_vendor_caps; i++)
		bytes += aligned(VENDOR_HEAD + class_->pci.vendor_caps[i].size);
	return bytes;
}

const char *pci_caps_check(const struct fp_class *class_)
{
	const struct fp_pci *pci = &class_->pci;

	if (pci->capabilities & ~(FP_PCI_PM | FP_PCI_EXPRESS | FP_PCI_SERIAL))
		return "a capability that is not known";
	if (pci->capabilities & FP_PCI_SERIAL && !(pci->capabilities & FP_PCI_EXPRESS))
		return "a serial number needs FP_PCI_EXPRESS";
	if (class_->irqs[FP_INTX] > 1)
		return "there is one INTx at most";
	if (class_->irqs[FP_MSI] > MSI_MAX_VECTORS)
		return "MSI has 32 vectors at most";
	for (size_t i = 0; i < pci->nr_vendor_caps; i++)
		if (!pci->vendor_caps[i].data || !pci->vendor_caps[i].size)
			return "a vendor-specific capability without data";
	if (bytes_wanted(class_) > PCI_CFG_SPACE_SIZE - FIRST_AT)
		return "the capabilities need more than the 192 bytes that there are for them";
	return NULL;
}
