/* SPDX-License-Identifier: BSD-3-Clause */
/* vmm_migrate: `fastpath-vmm migrate`, which has a running fastpath-vmm move a device. */
#ifndef KVMFD_VMM_MIGRATE_H
#define KVMFD_VMM_MIGRATE_H

/* argv[0] is "migrate". The exit status; what went wrong has been said to the log. */
int vmm_migrate_main(int argc, char **argv);

#endif
