/* SPDX-License-Identifier: BSD-3-Clause */
/* vmm_options: fastpath-vmm's command line. */
#ifndef KVMFD_VMM_OPTIONS_H
#define KVMFD_VMM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "boot.h"
#include "payload_abi.h"
#include "vfio_pci.h"

/* As many as have room for all their BARs in the payload's parameters. */
#define VMM_MAX_DEVICES (PAYLOAD_MAX_BARS / VFIO_PCI_NR_BARS)

/* An exit status has 8 bits: what does not fit must not become a success. */
#define VMM_MAX_STATUS 255

struct vmm_options {
	struct vfio_pci_options devices[VMM_MAX_DEVICES];
	char *texts[VMM_MAX_DEVICES]; /* what the devices' options point into */
	char ids[VMM_MAX_DEVICES][4]; /* of those that were given none */
	unsigned int nr_devices;
	const char *control; /* path; NULL: none */
	const char *payload; /* path; NULL: a kernel is booted */
	struct boot_options boot;
	unsigned int cpus;
	uint64_t memory; /* bytes */
	struct fpc_wait wait;
	int cpu; /* -1: any */
	bool stats;
	bool no_sandbox;
};

/*
 * 0; 1 when --help or --version was asked for and answered; -errno, said to the log. In any case
 * *options is to be given to vmm_options_free().
 */
int vmm_options_parse(struct vmm_options *options, int argc, char **argv);

void vmm_options_free(struct vmm_options *options);

#endif
