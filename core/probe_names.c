/* SPDX-License-Identifier: BSD-3-Clause */
/* What numbers are called. */
#include "probe.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

struct name {
	uint32_t id;
	const char *text;
};

#define FIND(table, id) find(table, sizeof(table) / sizeof(*(table)), id)

static const char *find(const struct name *names, size_t nr, uint32_t id)
{
	for (size_t i = 0; i < nr; i++)
		if (names[i].id == id)
			return names[i].text;
	return "unknown";
}

/* By base class and subclass, or by base class alone. */
static const struct name subclasses[] = {
	{ 0x0100, "SCSI controller" },	   { 0x0106, "SATA controller" },
	{ 0x0108, "NVMe controller" },	   { 0x0180, "mass storage" },
	{ 0x0200, "Ethernet controller" }, { 0x0280, "network controller" },
	{ 0x0300, "VGA controller" },	   { 0x0302, "3D controller" },
	{ 0x0380, "display controller" },  { 0x0403, "audio device" },
	{ 0x0500, "RAM memory" },	   { 0x0580, "memory controller" },
	{ 0x0700, "serial controller" },   { 0x0780, "communication controller" },
	{ 0x0880, "system peripheral" },   { 0x0c03, "USB controller" },
};

static const struct name classes[] = {
	{ 0x00, "unclassified" },
	{ 0x01, "mass storage" },
	{ 0x02, "network controller" },
	{ 0x03, "display controller" },
	{ 0x04, "multimedia" },
	{ 0x05, "memory" },
	{ 0x06, "bridge" },
	{ 0x07, "communication" },
	{ 0x08, "system peripheral" },
	{ 0x09, "input device" },
	{ 0x0a, "docking station" },
	{ 0x0b, "processor" },
	{ 0x0c, "serial bus" },
	{ 0x0d, "wireless" },
	{ 0x0e, "intelligent I/O" },
	{ 0x0f, "satellite" },
	{ 0x10, "encryption" },
	{ 0x11, "signal processing" },
	{ 0x12, "accelerator" },
	{ 0x13, "instrumentation" },
	{ 0x40, "coprocessor" },
	{ 0xff, "unassigned class" },
};

static const struct name caps[] = {
	{ PCI_CAP_ID_PM, "Power Management" },
	{ PCI_CAP_ID_AGP, "AGP" },
	{ PCI_CAP_ID_VPD, "Vital Product Data" },
	{ PCI_CAP_ID_SLOTID, "Slot Identification" },
	{ PCI_CAP_ID_MSI, "MSI" },
	{ PCI_CAP_ID_CHSWP, "CompactPCI Hot Swap" },
	{ PCI_CAP_ID_PCIX, "PCI-X" },
	{ PCI_CAP_ID_HT, "HyperTransport" },
	{ PCI_CAP_ID_VNDR, "Vendor Specific" },
	{ PCI_CAP_ID_DBG, "Debug Port" },
	{ PCI_CAP_ID_CCRC, "CompactPCI Resource Control" },
	{ PCI_CAP_ID_SHPC, "Hot Plug" },
	{ PCI_CAP_ID_SSVID, "Bridge Subsystem" },
	{ PCI_CAP_ID_AGP3, "AGP 8x" },
	{ PCI_CAP_ID_SECDEV, "Secure Device" },
	{ PCI_CAP_ID_EXP, "PCI Express" },
	{ PCI_CAP_ID_MSIX, "MSI-X" },
	{ PCI_CAP_ID_SATA, "SATA" },
	{ PCI_CAP_ID_AF, "Advanced Features" },
	{ PCI_CAP_ID_EA, "Enhanced Allocation" },
};

static const struct name extended[] = {
	{ PCI_EXT_CAP_ID_ERR, "Advanced Error Reporting" },
	{ PCI_EXT_CAP_ID_VC, "Virtual Channel" },
	{ PCI_EXT_CAP_ID_DSN, "Device Serial Number" },
	{ PCI_EXT_CAP_ID_PWR, "Power Budgeting" },
	{ PCI_EXT_CAP_ID_VNDR, "Vendor Specific" },
	{ PCI_EXT_CAP_ID_ACS, "Access Control Services" },
	{ PCI_EXT_CAP_ID_ARI, "Alternative Routing-ID" },
	{ PCI_EXT_CAP_ID_ATS, "Address Translation Services" },
	{ PCI_EXT_CAP_ID_SRIOV, "Single Root I/O Virtualization" },
	{ PCI_EXT_CAP_ID_MCAST, "Multicast" },
	{ PCI_EXT_CAP_ID_PRI, "Page Request Interface" },
	{ PCI_EXT_CAP_ID_REBAR, "Resizable BAR" },
	{ PCI_EXT_CAP_ID_DPA, "Dynamic Power Allocation" },
	{ PCI_EXT_CAP_ID_TPH, "Transaction Processing Hints" },
	{ PCI_EXT_CAP_ID_LTR, "Latency Tolerance Reporting" },
	{ PCI_EXT_CAP_ID_SECPCI, "Secondary PCI Express" },
	{ PCI_EXT_CAP_ID_PASID, "Process Address Space ID" },
	{ PCI_EXT_CAP_ID_DPC, "Downstream Port Containment" },
	{ PCI_EXT_CAP_ID_L1SS, "L1 PM Substates" },
	{ PCI_EXT_CAP_ID_PTM, "Precision Time Measurement" },
	{ PCI_EXT_CAP_ID_DVSEC, "Designated Vendor Specific" },
	{ PCI_EXT_CAP_ID_DLF, "Data Link Feature" },
	{ PCI_EXT_CAP_ID_DOE, "Data Object Exchange" },
};

static const struct name pci_regions[] = {
	{ 0, "BAR0" }, { 1, "BAR1" }, { 2, "BAR2" },   { 3, "BAR3" }, { 4, "BAR4" },
	{ 5, "BAR5" }, { 6, "ROM" },  { 7, "CONFIG" }, { 8, "VGA" },
};

static const struct name pci_irqs[] = {
	{ 0, "INTx" }, { 1, "MSI" }, { 2, "MSI-X" }, { 3, "ERR" }, { 4, "REQ" },
};

/* VFIO_REGION_INFO_CAP_* */
static const struct name region_caps[] = {
	{ FPC_REGION_CAP_SPARSE_MMAP, "SPARSE_MMAP" },
	{ FPC_REGION_CAP_TYPE, "TYPE" },
	{ 3, "MSIX_MAPPABLE" },
};

static const struct name io_fd_types[] = {
	{ FPC_IO_FD_IOEVENTFD, "ioeventfd" },
	{ FPC_IO_FD_IOREGIONFD, "ioregionfd" },
	{ FPC_IO_FD_SHADOW, "shadow ioeventfd" },
};

static const struct name states[] = {
	{ FPC_MIG_ERROR, "ERROR" },	  { FPC_MIG_STOP, "STOP" },
	{ FPC_MIG_RUNNING, "RUNNING" },	  { FPC_MIG_STOP_COPY, "STOP_COPY" },
	{ FPC_MIG_RESUMING, "RESUMING" }, { 5, "RUNNING_P2P" },
	{ FPC_MIG_PRE_COPY, "PRE_COPY" },
};

const char *probe_class_name(uint32_t class_)
{
	for (size_t i = 0; i < sizeof(subclasses) / sizeof(*subclasses); i++)
		if (subclasses[i].id == class_ >> 8)
			return subclasses[i].text;
	return FIND(classes, class_ >> 16);
}

const char *probe_cap_name(uint16_t id)
{
	return FIND(caps, id);
}

const char *probe_extended_name(uint16_t id)
{
	return FIND(extended, id);
}

const char *probe_region_name(const struct probe *probe, uint32_t index)
{
	bool is_pci = probe->device.flags & FPC_DEVICE_PCI;

	return is_pci && index <= 8 ? FIND(pci_regions, index) : "device specific";
}

const char *probe_irq_name(const struct probe *probe, uint32_t index)
{
	bool is_pci = probe->device.flags & FPC_DEVICE_PCI;

	return is_pci && index <= 4 ? FIND(pci_irqs, index) : "device specific";
}

const char *probe_region_cap_name(uint16_t id)
{
	return FIND(region_caps, id);
}

const char *probe_io_fd_type(uint32_t type)
{
	return FIND(io_fd_types, type);
}

const char *probe_state_name(uint32_t state)
{
	return FIND(states, state);
}

const char *probe_error(int error)
{
	switch (error) {
	case -EPROTO:
		return "the answer is not what the protocol allows";
	case -ECONNRESET:
		return "the connection is gone";
	case -ETIMEDOUT:
		return "no answer in time";
	default:
		return strerror(-error);
	}
}
