/* SPDX-License-Identifier: BSD-3-Clause */
/* A probe for programs. The keys are documented in fastpathctl(1). */
#include "probe.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>

#include "json_put.h"

/* Whether there is nothing else to say. */
static bool put_error(struct json_object *object, int error)
{
	if (error)
		put_text(object, "error", probe_error(error));
	return error;
}

static void put_server(struct json_object *root, const struct probe *probe)
{
	const struct fpc_limits *limits = &probe->limits;
	struct json_object *version = put_object(root, "version");
	struct json_object *caps = put_object(root, "capabilities");

	put_number(version, "major", FPC_MAJOR);
	put_number(version, "minor", limits->minor);
	put_number(caps, "max_msg_fds", limits->max_msg_fds);
	put_number(caps, "max_data_xfer_size", limits->max_data_xfer);
	put_number(caps, "max_dma_maps", limits->max_dma_maps);
	put_number(caps, "pgsizes", limits->pgsizes);
	put_bool(caps, "write_multiple", limits->write_multiple);
	put_bool(caps, "twin_socket", limits->twin_socket);
	put_bool(caps, "vm_interrupt", limits->vm_interrupt);
}

static void put_device(struct json_object *root, const struct probe *probe)
{
	struct json_object *device = put_object(root, "device");

	if (put_error(device, probe->device_error))
		return;
	put_number(device, "flags", probe->device.flags);
	put_bool(device, "pci", probe->device.flags & FPC_DEVICE_PCI);
	put_bool(device, "reset", probe->device.flags & FPC_DEVICE_RESETTABLE);
	put_number(device, "num_regions", probe->device.num_regions);
	put_number(device, "num_irqs", probe->device.num_irqs);
}

static void put_pci_caps(struct json_object *pci, const struct probe_pci *probed)
{
	struct json_object *caps = put_array(pci, "capabilities");
	struct json_object *extended = put_array(pci, "extended_capabilities");

	for (unsigned int i = 0; i < probed->nr_caps; i++) {
		struct json_object *cap = append(caps);

		put_number(cap, "offset", probed->caps[i].offset);
		put_number(cap, "id", probed->caps[i].id);
		put_text(cap, "name", probe_cap_name(probed->caps[i].id));
	}
	for (unsigned int i = 0; i < probed->nr_extended; i++) {
		struct json_object *cap = append(extended);

		put_number(cap, "offset", probed->extended[i].offset);
		put_number(cap, "id", probed->extended[i].id);
		put_number(cap, "version", probed->extended[i].version);
		put_text(cap, "name", probe_extended_name(probed->extended[i].id));
	}
}

static void put_pci(struct json_object *root, const struct probe *probe)
{
	static const struct {
		const char *key;
		unsigned int at;
		unsigned int bytes;
	} fields[] = {
		{ "vendor", PCI_VENDOR_ID, 2 },
		{ "device", PCI_DEVICE_ID, 2 },
		{ "revision", PCI_REVISION_ID, 1 },
		{ "subsystem_vendor", PCI_SUBSYSTEM_VENDOR_ID, 2 },
		{ "subsystem", PCI_SUBSYSTEM_ID, 2 },
	};
	const struct probe_pci *probed = &probe->pci;
	uint32_t class_ = probe_pci_get(probed, PCI_CLASS_REVISION, 4) >> 8;
	struct json_object *pci;

	if (!probed->is_there)
		return;
	pci = put_object(root, "pci");
	put_error(pci, probed->error);
	if (!probed->len)
		return;
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		put_number(pci, fields[i].key,
			   probe_pci_get(probed, fields[i].at, fields[i].bytes));
	put_number(pci, "class", class_);
	put_text(pci, "class_name", probe_class_name(class_));
	put_pci_caps(pci, probed);
	if (probed->problem)
		put_text(pci, "problem", probed->problem);
}

static void put_io_fds(struct json_object *object, const struct probe_region *region)
{
	struct json_object *io_fds = put_object(object, "io_fds");
	struct json_object *entries;

	if (put_error(io_fds, region->io_error))
		return;
	put_number(io_fds, "entry_bytes", region->entry_bytes);
	put_number(io_fds, "num_fds", region->nr_fds);
	entries = put_array(io_fds, "entries");
	for (uint32_t i = 0; i < region->nr_io_fds; i++) {
		const struct fpc_io_fd *probed = &region->io_fds[i].entry;
		struct json_object *entry = append(entries);

		put_number(entry, "offset", probed->offset);
		put_number(entry, "size", probed->size);
		put_number(entry, "type", probed->type);
		put_text(entry, "type_name", probe_io_fd_type(probed->type));
		put_number(entry, "flags", probed->flags);
		put_number(entry, "fd_index", probed->fd_index);
		if (probed->type == FPC_IO_FD_IOREGIONFD)
			put_number(entry, "user_data", probed->user_data);
		if (probed->type == FPC_IO_FD_SHADOW) {
			put_number(entry, "shadow_fd_index", probed->shadow_fd_index);
			put_number(entry, "shadow_offset", probed->user_data);
		}
		if (probed->type != FPC_IO_FD_IOREGIONFD && probed->flags & FPC_IOEVENTFD_DATAMATCH)
			put_number(entry, "datamatch", probed->datamatch);
		if (region->io_fds[i].problem)
			put_text(entry, "problem", region->io_fds[i].problem);
	}
}

static void put_mapping(struct json_object *object, const struct probe_region *probed)
{
	const struct fpc_region *region = &probed->region;
	struct json_object *mmap = put_object(object, "mmap");
	struct json_object *areas;

	put_number(mmap, "offset", region->offset);
	put_bool(mmap, "has_file", probed->has_file);
	put_bool(mmap, "sealed", region->sealed);
	if (!region->has_sparse)
		return;
	areas = put_array(mmap, "areas");
	for (uint32_t i = 0; i < region->nr_areas; i++) {
		struct json_object *area = append(areas);

		put_number(area, "offset", region->areas[i].offset);
		put_number(area, "size", region->areas[i].size);
	}
}

static void put_region_caps(struct json_object *object, const struct fpc_region *region)
{
	struct json_object *caps = put_array(object, "capabilities");

	for (unsigned int i = 0; i < region->nr_caps; i++) {
		struct json_object *cap = append(caps);

		put_number(cap, "id", region->caps[i].id);
		put_number(cap, "version", region->caps[i].version);
		put_text(cap, "name", probe_region_cap_name(region->caps[i].id));
	}
	if (region->has_type) {
		put_number(object, "type", region->type);
		put_number(object, "subtype", region->subtype);
	}
}

static void put_bar(struct json_object *object, const struct probe_pci *pci, unsigned int index)
{
	struct probe_bar bar = probe_pci_bar(pci, index);
	const char *kind = bar.is_64 ? "memory64" : "memory32";

	if (bar.is_upper_half)
		kind = "upper_half";
	else if (bar.is_io)
		kind = "io";
	put_text(object, "bar", kind);
	put_bool(object, "prefetchable", bar.prefetchable);
}

static void put_regions(struct json_object *root, const struct probe *probe)
{
	struct json_object *regions = put_array(root, "regions");

	for (unsigned int i = 0; i < probe->nr_regions; i++) {
		const struct probe_region *probed = &probe->regions[i];
		const struct fpc_region *region = &probed->region;
		struct json_object *object = append(regions);

		put_number(object, "index", i);
		put_text(object, "name", probe_region_name(probe, i));
		if (put_error(object, probed->error))
			continue;
		put_number(object, "size", region->size);
		put_number(object, "flags", region->flags);
		put_bool(object, "read", region->flags & FPC_REGION_READABLE);
		put_bool(object, "write", region->flags & FPC_REGION_WRITEABLE);
		if (probe->pci.len && i < 6 && region->size)
			put_bar(object, &probe->pci, i);
		put_region_caps(object, region);
		if (region->flags & FPC_REGION_MMAP)
			put_mapping(object, probed);
		if (region->size)
			put_io_fds(object, probed);
	}
}

static void put_irqs(struct json_object *root, const struct probe *probe)
{
	struct json_object *irqs = put_array(root, "irqs");

	for (unsigned int i = 0; i < probe->nr_irqs; i++) {
		const struct probe_irq *probed = &probe->irqs[i];
		struct json_object *irq = append(irqs);

		put_number(irq, "index", i);
		put_text(irq, "name", probe_irq_name(probe, i));
		if (put_error(irq, probed->error))
			continue;
		put_number(irq, "count", probed->info.count);
		put_number(irq, "flags", probed->info.flags);
		put_bool(irq, "eventfd", probed->info.flags & FPC_IRQ_EVENTFD);
		put_bool(irq, "maskable", probed->info.flags & FPC_IRQ_MASKABLE);
		put_bool(irq, "automasked", probed->info.flags & FPC_IRQ_AUTOMASKED);
		put_bool(irq, "noresize", probed->info.flags & FPC_IRQ_NORESIZE);
	}
}

static void put_features(struct json_object *root, const struct probe *probe)
{
	struct json_object *features = put_array(root, "features");
	struct json_object *migration;

	for (unsigned int i = 0; i < PROBE_NR_FEATURES; i++) {
		struct json_object *feature = append(features);

		put_number(feature, "index", probe_features[i].index);
		put_text(feature, "name", probe_features[i].name);
		put_bool(feature, "supported", !probe->features[i].error);
		put_error(feature, probe->features[i].error);
	}
	if (probe->migration_error)
		return;
	migration = put_object(root, "migration");
	put_number(migration, "flags", probe->migration);
	put_bool(migration, "stop_copy", probe->migration & FPC_MIGRATION_STOP_COPY);
	put_bool(migration, "p2p", probe->migration & FPC_MIGRATION_P2P);
	put_bool(migration, "pre_copy", probe->migration & FPC_MIGRATION_PRE_COPY);
	if (!probe->state_error)
		put_text(migration, "state", probe_state_name(probe->state));
}

int probe_print_json(const struct probe *probe)
{
	struct json_object *root = json_object_new_object();
	const char *text;

	put_text(root, "socket", probe->socket);
	put_server(root, probe);
	put_device(root, probe);
	put_pci(root, probe);
	put_regions(root, probe);
	put_irqs(root, probe);
	put_features(root, probe);
	put_bool(root, "complete", probe->complete);
	text = json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY |
							    JSON_C_TO_STRING_NOSLASHESCAPE);
	if (text)
		puts(text);
	json_object_put(root);
	return text ? 0 : -ENOMEM;
}
