/* SPDX-License-Identifier: BSD-3-Clause */
/* probe: what a vfio-user server says of itself and its device, asked without changing anything. */
#ifndef FASTPATH_PROBE_H
#define FASTPATH_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fastpath-client.h"

/* More regions or kinds of interrupts than these are not asked for. */
#define PROBE_MAX 64u

#define PROBE_NR_FEATURES 5u
#define PROBE_MAX_PCI_CAPS 64u

/* In every part: `error` is 0, or the -errno that came instead of what follows it. */

struct probe_io_fd {
	struct fpc_io_fd entry; /* its fd is closed */
	const char *problem;	/* NULL: none */
};

struct probe_region {
	int error;
	struct fpc_region region; /* its file is closed */
	bool has_file;
	int io_error;
	uint32_t entry_bytes;
	uint32_t nr_fds;
	uint32_t nr_io_fds;
	struct probe_io_fd *io_fds;
};

struct probe_irq {
	int error;
	struct fpc_irq_info info;
};

struct probe_pci_cap {
	uint16_t offset;
	uint16_t id;
	uint8_t version; /* of an extended one */
};

/* What the PCI configuration space holds. */
struct probe_pci {
	bool is_there;
	int error;
	size_t len; /* bytes that could be read */
	uint8_t config[4096];
	unsigned int nr_caps;
	struct probe_pci_cap caps[PROBE_MAX_PCI_CAPS];
	unsigned int nr_extended;
	struct probe_pci_cap extended[PROBE_MAX_PCI_CAPS];
	const char *problem; /* of the lists; NULL: none */
};

struct probe_feature {
	int error; /* 0: it is there */
};

struct probe {
	const char *socket;
	struct fpc_limits limits;
	int device_error;
	struct fpc_device_info device;
	unsigned int nr_regions; /* that were asked for */
	struct probe_region regions[PROBE_MAX];
	unsigned int nr_irqs;
	struct probe_irq irqs[PROBE_MAX];
	struct probe_pci pci;
	struct probe_feature features[PROBE_NR_FEATURES];
	int migration_error;
	uint64_t migration; /* FPC_MIGRATION_* */
	int state_error;
	uint32_t state; /* WIRE_MIG_* */
	bool complete;	/* the connection lasted to the end */
};

/* A feature that is asked for. */
struct probe_feature_name {
	uint32_t index;
	uint32_t ops;
	const char *name;
};

extern const struct probe_feature_name probe_features[PROBE_NR_FEATURES];

/* What a PCI BAR is, by its register. */
struct probe_bar {
	bool is_io;
	bool is_64;
	bool is_upper_half; /* of the 64-bit one before it */
	bool prefetchable;
};

/* Asks everything. The probe is to be given to probe_free(). */
void probe_collect(struct fpc *client, struct probe *probe);
void probe_free(struct probe *probe);

/* Reads the configuration space, `size` bytes of region 7, and finds its capabilities. */
void probe_pci_read(struct fpc *client, uint64_t size, struct probe_pci *pci);

uint32_t probe_pci_get(const struct probe_pci *pci, unsigned int at, unsigned int bytes);

/* BAR `index` of 6. */
struct probe_bar probe_pci_bar(const struct probe_pci *pci, unsigned int index);

/* Names for people; never NULL. */
const char *probe_class_name(uint32_t class_);
const char *probe_cap_name(uint16_t id);
const char *probe_extended_name(uint16_t id);
const char *probe_region_name(const struct probe *probe, uint32_t index);
const char *probe_irq_name(const struct probe *probe, uint32_t index);
const char *probe_region_cap_name(uint16_t id);
const char *probe_io_fd_type(uint32_t type);
const char *probe_state_name(uint32_t state);
const char *probe_error(int error);

/* To stdout. */
void probe_print_text(const struct probe *probe);
/* -ENOMEM */
int probe_print_json(const struct probe *probe);

/* `fastpathctl probe`. */
int probe_main(int argc, char **argv);

#endif
