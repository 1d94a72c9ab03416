/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whether the device at another server is the same one for a guest.
 *
 * What a driver has learned of it must still be so: who made it, its list of capabilities, how large
 * its regions are, how many interrupts it has. What state it is in does not matter: registers that
 * can be written are not looked at.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/pci_regs.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vfio_pci_dev.h"

/* A register that says what the device is, or the bits of it that do. */
struct trait {
	const char *name;
	unsigned int at;
	unsigned int bytes;
	uint32_t mask;
};

static const struct trait traits[] = {
	{ "vendor ID", PCI_VENDOR_ID, 2, UINT16_MAX },
	{ "device ID", PCI_DEVICE_ID, 2, UINT16_MAX },
	{ "revision and class", PCI_CLASS_REVISION, 4, UINT32_MAX },
	{ "header type", PCI_HEADER_TYPE, 1, 0xff },
	{ "subsystem vendor ID", PCI_SUBSYSTEM_VENDOR_ID, 2, UINT16_MAX },
	{ "subsystem ID", PCI_SUBSYSTEM_ID, 2, UINT16_MAX },
	{ "interrupt pin", PCI_INTERRUPT_PIN, 1, 0xff },
	{ "list of capabilities", PCI_CAPABILITY_LIST, 1, 0xfc },
};

/* Those of a capability, from where it is. */
static const struct trait msi_traits[] = {
	{ "MSI's vectors", PCI_MSI_FLAGS, 2,
	  PCI_MSI_FLAGS_QMASK | PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT },
};

static const struct trait msix_traits[] = {
	{ "MSI-X's vectors", PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_QSIZE },
	{ "MSI-X's table", PCI_MSIX_TABLE, 4, UINT32_MAX },
	{ "MSI-X's pending bits", PCI_MSIX_PBA, 4, UINT32_MAX },
};

/* What is being compared with the device. */
struct match {
	const struct vfio_pci *dev;
	struct fpc *client;
	uint8_t config[CONFIG_BYTES];
	char *why; /* VFIO_PCI_WHY bytes */
};

static int __attribute__((format(printf, 2, 3)))
differs(const struct match *match, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(match->why, VFIO_PCI_WHY, fmt, args);
	va_end(args);
	return -ENODEV;
}

static int failed(const struct match *match, const char *what, int ret)
{
	snprintf(match->why, VFIO_PCI_WHY, "%s: %s", what, strerror(-ret));
	return ret;
}

static int compare(const struct match *match, const struct trait *trait, unsigned int base)
{
	uint32_t ours = vfio_pci_config_initial(match->dev, base + trait->at, trait->bytes);
	uint32_t theirs = 0;

	memcpy(&theirs, match->config + base + trait->at, trait->bytes);
	ours &= trait->mask;
	theirs &= trait->mask;
	if (ours == theirs)
		return 0;
	return differs(match, "another device: its %s is %#" PRIx32 ", not %#" PRIx32, trait->name,
		       theirs, ours);
}

static int compare_all(const struct match *match, const struct trait *list, size_t nr,
		       unsigned int base)
{
	int ret = 0;

	for (size_t i = 0; i < nr && !ret; i++)
		ret = compare(match, &list[i], base);
	return ret;
}

#define COMPARE(match, list, base) compare_all(match, list, sizeof(list) / sizeof(*(list)), base)

/* Which ones there are and where, and of the interrupts' what the guest sees of them here. */
static int compare_caps(const struct match *match)
{
	static const struct trait head = { "capability", 0, 2, UINT16_MAX };
	const struct config *config = &match->dev->config;
	const struct irqs *irqs = &match->dev->irqs;
	int ret = 0;

	for (unsigned int i = 0; i < config->nr_caps && !ret; i++)
		ret = compare(match, &head, config->caps[i].at);
	if (!ret && irqs->msi)
		ret = COMPARE(match, msi_traits, irqs->msi);
	if (!ret && irqs->msix)
		ret = COMPARE(match, msix_traits, irqs->msix);
	return ret;
}

/* What a BAR is, whatever address it may hold. */
static int compare_bars(const struct match *match)
{
	static const struct trait io = { "kind of a BAR", 0, 4, PCI_BASE_ADDRESS_SPACE_IO };
	static const struct trait memory = { "kind of a BAR", 0, 4, ~PCI_BASE_ADDRESS_MEM_MASK };
	int ret = 0;

	for (unsigned int i = 0; i < VFIO_PCI_NR_BARS && !ret; i++) {
		const struct vfio_pci_bar *bar = &match->dev->bars[i].pub;

		if (bar->size)
			ret = compare(match, bar->space == BUS_PIO ? &io : &memory,
				      PCI_BASE_ADDRESS_0 + 4 * i);
	}
	return ret;
}

/* What can be read of it, the rest being zeros; *bytes is how many there are. */
static int read_config(struct match *match, uint32_t *bytes)
{
	int ret = vfio_pci_config_size(match->client, bytes);

	if (!ret && *bytes)
		ret = fpc_region_read(match->client, CONFIG_REGION, 0, match->config,
				      *bytes < CONFIG_BYTES ? *bytes : CONFIG_BYTES);
	return ret ? failed(match, "its configuration space", ret) : 0;
}

static int compare_config(struct match *match)
{
	uint32_t ours = match->dev->config.bytes;
	uint32_t theirs;
	int ret = read_config(match, &theirs);

	if (!ret)
		ret = COMPARE(match, traits, 0);
	if (!ret && ours != theirs)
		ret = differs(match,
			      "another device: its configuration space has %" PRIu32
			      " bytes, not %" PRIu32,
			      theirs, ours);
	if (!ret)
		ret = compare_caps(match);
	return ret ? ret : compare_bars(match);
}

/* A region that was left out, for whatever reason, may be anything. */
static int compare_sizes(const struct match *match)
{
	for (unsigned int i = 0; i < NR_WINDOWS; i++) {
		uint64_t ours = match->dev->bars[i].pub.size;
		struct fpc_region_info info;
		int ret = ours ? fpc_region_info(match->client, i, &info, NULL) : 0;

		if (ret)
			return failed(match, "its regions", ret);
		if (ours && info.size != ours)
			return differs(match,
				       "another device: its region %u has %" PRIu64
				       " bytes, not %" PRIu64,
				       i, (uint64_t)info.size, ours);
	}
	return 0;
}

static int compare_irqs(const struct match *match)
{
	const uint32_t line = FPC_IRQ_EVENTFD | FPC_IRQ_AUTOMASKED;
	const struct irqs *irqs = &match->dev->irqs;
	const struct {
		enum irq_mode mode;
		uint32_t flags;
		uint32_t needed;
	} kinds[] = {
		{ IRQ_INTX, line, irqs->has_line },
		{ IRQ_MSI, FPC_IRQ_EVENTFD, irqs->msi ? irqs->msi_max : 0 },
		{ IRQ_MSIX, FPC_IRQ_EVENTFD, irqs->nr_msix },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		uint32_t count = vfio_pci_irqs_count(match->client, kinds[i].mode, kinds[i].flags);

		if (count < kinds[i].needed)
			return differs(match,
				       "another device: of interrupts of kind %d it has %" PRIu32
				       ", not %" PRIu32,
				       (int)kinds[i].mode, count, kinds[i].needed);
	}
	return 0;
}

static int compare_info(const struct match *match)
{
	struct fpc_device_info info;
	int ret = fpc_device_info(match->client, &info);

	if (ret)
		return failed(match, "DEVICE_GET_INFO", ret);
	if (!(info.flags & FPC_DEVICE_PCI) || info.num_regions <= CONFIG_REGION)
		return differs(match, "another device: it is no PCI device");
	return 0;
}

int vfio_pci_match(struct vfio_pci *dev, struct fpc *client, char why[VFIO_PCI_WHY])
{
	struct match match = { .dev = dev, .client = client, .why = why };
	int ret = compare_info(&match);

	if (!ret)
		ret = compare_config(&match);
	if (!ret)
		ret = compare_sizes(&match);
	return ret ? ret : compare_irqs(&match);
}
