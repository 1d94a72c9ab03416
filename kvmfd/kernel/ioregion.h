/* SPDX-License-Identifier: GPL-2.0-only */
/* ioregion: the parts of a guest's address space that a server answers for, by file descriptor. */
#ifndef __KVM_IOREGION_H__
#define __KVM_IOREGION_H__

#include <linux/kvm_host.h>

#ifdef CONFIG_X86_64

/* KVM_SET_IOREGION. */
int kvm_ioregion_ioctl(struct kvm *kvm, void __user *argp);

/* Whether a region has any of these bytes (0: as an address). Caller holds kvm->slots_lock. */
bool kvm_ioregion_overlaps(struct kvm *kvm, enum kvm_bus bus, u64 addr, u64 len);

/* KVM_RUN: kvm_arch_vcpu_ioctl_run(), and again after every exit that a server answers. */
int kvm_ioregion_run(struct kvm_vcpu *vcpu);

/* When nobody else has the vCPU; when nobody has the VM, its vCPUs and its buses any more. */
void kvm_ioregion_vcpu_destroy(struct kvm_vcpu *vcpu);
void kvm_ioregion_vm_destroy(struct kvm *kvm);

#else

static inline int kvm_ioregion_ioctl(struct kvm *kvm, void __user *argp)
{
	return -ENOTTY;
}

static inline bool kvm_ioregion_overlaps(struct kvm *kvm, enum kvm_bus bus, u64 addr, u64 len)
{
	return false;
}

static inline int kvm_ioregion_run(struct kvm_vcpu *vcpu)
{
	return kvm_arch_vcpu_ioctl_run(vcpu);
}

static inline void kvm_ioregion_vcpu_destroy(struct kvm_vcpu *vcpu) {}
static inline void kvm_ioregion_vm_destroy(struct kvm *kvm) {}

#endif

#endif
