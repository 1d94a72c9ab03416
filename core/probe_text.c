/* SPDX-License-Identifier: BSD-3-Clause */
/* A probe for people. */
#include "probe.h"

#include <inttypes.h>
#include <linux/pci_regs.h>
#include <stdio.h>

/* A bit and what it is called. */
struct bit {
	uint64_t mask;
	const char *name;
};

/* "a, b", or `none`. */
static void print_bits(uint64_t value, const struct bit *bits, size_t nr, const char *none)
{
	const char *separator = "";

	for (size_t i = 0; i < nr; i++)
		if (value & bits[i].mask) {
			printf("%s%s", separator, bits[i].name);
			separator = ", ";
		}
	if (!*separator)
		printf("%s", none);
}

#define PRINT_BITS(value, bits, none) print_bits(value, bits, sizeof(bits) / sizeof(*(bits)), none)

static void print_size(uint64_t bytes)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };
	unsigned int unit = 0;

	while (unit < 4 && bytes && !(bytes % 1024)) {
		bytes /= 1024;
		unit++;
	}
	printf("%" PRIu64 " %s", bytes, units[unit]);
}

static void print_offers(const struct fpc_limits *limits)
{
	const struct {
		bool offered;
		const char *what;
	} offers[] = {
		{ limits->write_multiple, "REGION_WRITE_MULTI" },
		{ limits->twin_socket, "a twin socket" },
		{ limits->vm_interrupt, "interrupts by message" },
	};
	const char *before = "";

	printf("  offers  ");
	for (size_t i = 0; i < sizeof(offers) / sizeof(*offers); i++) {
		if (!offers[i].offered)
			continue;
		printf("%s%s", before, offers[i].what);
		before = ", ";
	}
	printf("%s\n", *before ? "" : "nothing more");
}

static void print_server(const struct probe *probe)
{
	const struct fpc_limits *limits = &probe->limits;

	printf("%s: vfio-user %u.%u\n", probe->socket, FPC_MAJOR, limits->minor);
	printf("  takes   %u fds a message, ", limits->max_msg_fds);
	print_size(limits->max_data_xfer);
	printf(" a transfer, %" PRIu64 " DMA windows, page sizes %#" PRIx64 "\n",
	       limits->max_dma_maps, limits->pgsizes);
	print_offers(limits);
}

static void print_device(const struct probe *probe)
{
	static const struct bit bits[] = {
		{ FPC_DEVICE_PCI, "PCI" },
		{ FPC_DEVICE_RESETTABLE, "can be reset" },
	};

	if (probe->device_error) {
		printf("\ndevice: %s\n", probe_error(probe->device_error));
		return;
	}
	printf("\ndevice: ");
	PRINT_BITS(probe->device.flags, bits, "of unknown kind");
	printf(", %u regions, %u kinds of interrupts\n", probe->device.num_regions,
	       probe->device.num_irqs);
}

static void print_caps(const struct probe_pci *pci)
{
	for (unsigned int i = 0; i < pci->nr_caps; i++)
		printf("  at %02x    %02x %s\n", pci->caps[i].offset, pci->caps[i].id,
		       probe_cap_name(pci->caps[i].id));
	for (unsigned int i = 0; i < pci->nr_extended; i++)
		printf("  at %03x   %04x %s, version %u\n", pci->extended[i].offset,
		       pci->extended[i].id, probe_extended_name(pci->extended[i].id),
		       pci->extended[i].version);
}

static void print_pci(const struct probe *probe)
{
	const struct probe_pci *pci = &probe->pci;
	uint32_t class_ = probe_pci_get(pci, PCI_CLASS_REVISION, 4) >> 8;

	if (!pci->is_there)
		return;
	if (pci->len) {
		printf("\nPCI: %04x:%04x, class %06x (%s), revision %02x, subsystem %04x:%04x\n",
		       probe_pci_get(pci, PCI_VENDOR_ID, 2), probe_pci_get(pci, PCI_DEVICE_ID, 2),
		       class_, probe_class_name(class_), probe_pci_get(pci, PCI_REVISION_ID, 1),
		       probe_pci_get(pci, PCI_SUBSYSTEM_VENDOR_ID, 2),
		       probe_pci_get(pci, PCI_SUBSYSTEM_ID, 2));
		print_caps(pci);
	}
	if (pci->problem)
		printf("  problem: %s\n", pci->problem);
	if (pci->error)
		printf("%sconfiguration space: %s\n",
		       pci->len ? "  rest of the " : "\nPCI: ", probe_error(pci->error));
}

static void print_io_fds(const struct probe_region *region)
{
	if (region->io_error)
		printf("      io fds: %s\n", probe_error(region->io_error));
	else if (region->nr_io_fds)
		printf("      io fds: %u entries of %u bytes, %u fds\n", region->nr_io_fds,
		       region->entry_bytes, region->nr_fds);
	for (uint32_t i = 0; i < region->nr_io_fds; i++) {
		const struct fpc_io_fd *entry = &region->io_fds[i].entry;

		printf("        %#-8" PRIx64, entry->offset);
		if (entry->size)
			printf(" %" PRIu64 " bytes", entry->size);
		else
			printf(" any width");
		printf(", %s, fd %u", probe_io_fd_type(entry->type), entry->fd_index);
		if (entry->type != FPC_IO_FD_IOREGIONFD && entry->flags & FPC_IOEVENTFD_DATAMATCH)
			printf(", value %#" PRIx64, entry->datamatch);
		if (entry->type == FPC_IO_FD_IOREGIONFD)
			printf(", user data %#" PRIx64, entry->user_data);
		if (entry->type == FPC_IO_FD_SHADOW)
			printf(", value at %#" PRIx64 " of fd %u", entry->user_data,
			       entry->shadow_fd_index);
		printf(", flags %#x", entry->flags);
		if (region->io_fds[i].problem)
			printf("; problem: %s", region->io_fds[i].problem);
		printf("\n");
	}
}

static void print_mapping(const struct probe_region *probed)
{
	const struct fpc_region *region = &probed->region;

	if (region->flags & FPC_REGION_MMAP) {
		printf("      mappable: at %#" PRIx64 " of %s%s\n", region->offset,
		       probed->has_file ? "its file" : "a file that was not sent",
		       region->sealed ? ", which can't shrink" : "");
		for (uint32_t i = 0; i < region->nr_areas; i++)
			printf("        %#" PRIx64 " to %#" PRIx64 " only\n",
			       region->areas[i].offset,
			       region->areas[i].offset + region->areas[i].size);
		if (region->has_sparse && !region->nr_areas)
			printf("        no part of it\n");
	}
	if (region->has_type)
		printf("      type %#x, subtype %#x\n", region->type, region->subtype);
	for (unsigned int i = 0; i < region->nr_caps; i++)
		printf("      capability %u %s, version %u\n", region->caps[i].id,
		       probe_region_cap_name(region->caps[i].id), region->caps[i].version);
}

static void print_bar(const struct probe *probe, unsigned int index)
{
	struct probe_bar bar;

	if (!probe->pci.len || index >= 6)
		return;
	bar = probe_pci_bar(&probe->pci, index);
	if (bar.is_upper_half)
		printf(", where the one before has its upper half");
	else if (bar.is_io)
		printf(", I/O ports");
	else
		printf(", %s-bit memory%s", bar.is_64 ? "64" : "32",
		       bar.prefetchable ? ", prefetchable" : "");
}

static void print_region(const struct probe *probe, unsigned int index)
{
	static const struct bit bits[] = {
		{ FPC_REGION_READABLE, "read" },
		{ FPC_REGION_WRITEABLE, "write" },
		{ FPC_REGION_MMAP, "mmap" },
	};
	const struct probe_region *region = &probe->regions[index];

	if (!region->error && !region->region.size && !region->region.flags &&
	    !region->region.nr_caps)
		return;
	printf("  %u %-6s  ", index, probe_region_name(probe, index));
	if (region->error) {
		printf("%s\n", probe_error(region->error));
		return;
	}
	print_size(region->region.size);
	printf(", ");
	PRINT_BITS(region->region.flags, bits, "no access");
	print_bar(probe, index);
	printf("\n");
	print_mapping(region);
	print_io_fds(region);
}

static void print_irq(const struct probe *probe, unsigned int index)
{
	static const struct bit bits[] = {
		{ FPC_IRQ_EVENTFD, "eventfd" },
		{ FPC_IRQ_MASKABLE, "maskable" },
		{ FPC_IRQ_AUTOMASKED, "automasked" },
		{ FPC_IRQ_NORESIZE, "no resize" },
	};
	const struct probe_irq *irq = &probe->irqs[index];

	if (!irq->error && !irq->info.count)
		return;
	printf("  %u %-6s  ", index, probe_irq_name(probe, index));
	if (irq->error) {
		printf("%s\n", probe_error(irq->error));
		return;
	}
	printf("%u, ", irq->info.count);
	PRINT_BITS(irq->info.flags, bits, "no flags");
	printf("\n");
}

static void print_features(const struct probe *probe)
{
	static const struct bit bits[] = {
		{ FPC_MIGRATION_STOP_COPY, "STOP_COPY" },
		{ FPC_MIGRATION_P2P, "P2P" },
		{ FPC_MIGRATION_PRE_COPY, "PRE_COPY" },
	};

	printf("\nfeatures\n");
	for (unsigned int i = 0; i < PROBE_NR_FEATURES; i++)
		printf("  %u %-18s  %s\n", probe_features[i].index, probe_features[i].name,
		       probe->features[i].error ? probe_error(probe->features[i].error) : "yes");
	if (!probe->migration_error) {
		printf("  migration: ");
		PRINT_BITS(probe->migration, bits, "by no way known here");
		printf("\n");
	}
	if (!probe->state_error)
		printf("  state: %s\n", probe_state_name(probe->state));
}

static void print_rest(uint32_t nr, unsigned int asked)
{
	if (nr > asked)
		printf("  the other %u were not asked for\n", nr - asked);
}

void probe_print_text(const struct probe *probe)
{
	print_server(probe);
	print_device(probe);
	print_pci(probe);
	if (probe->nr_regions)
		printf("\nregions\n");
	for (unsigned int i = 0; i < probe->nr_regions; i++)
		print_region(probe, i);
	print_rest(probe->device.num_regions, probe->nr_regions);
	if (probe->nr_irqs)
		printf("\ninterrupts\n");
	for (unsigned int i = 0; i < probe->nr_irqs; i++)
		print_irq(probe, i);
	print_rest(probe->device.num_irqs, probe->nr_irqs);
	print_features(probe);
}
