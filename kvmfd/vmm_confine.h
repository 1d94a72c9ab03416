/* SPDX-License-Identifier: BSD-3-Clause */
/* vmm_confine: what fastpath-vmm may still do once its guest runs. */
#ifndef KVMFD_VMM_CONFINE_H
#define KVMFD_VMM_CONFINE_H

/*
 * Before the guest's first instruction, and the first thread besides this one: files have been
 * opened, devices are there. What is left is to run vCPUs, to speak with servers that are connected,
 * and to connect to one again. -errno, said to the log.
 */
int vmm_confine(void);

#endif
