/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kvm_stats: the counters that KVM keeps of a VM or a vCPU, from its binary statistics fd
 * (Documentation/virt/kvm/api.rst, KVM_GET_STATS_FD; Linux 5.14).
 */
#ifndef KVMFD_KVM_STATS_H
#define KVMFD_KVM_STATS_H

#include <stdint.h>

struct kvm_stats;

/* Of the VM or vCPU whose fd `fd` is, borrowed. -ENOTSUP when the kernel keeps none; -errno. */
int kvm_stats_open(int fd, struct kvm_stats **out);

void kvm_stats_close(struct kvm_stats *stats);

/* The counter `name`, read now, to *value. -ENOENT when there is none such. */
int kvm_stats_read(const struct kvm_stats *stats, const char *name, uint64_t *value);

#endif
