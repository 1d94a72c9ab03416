/* SPDX-License-Identifier: BSD-3-Clause */
/* vm: the kernel's KVM and one virtual machine of it. */
#ifndef KVMFD_VM_H
#define KVMFD_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vm {
	int kvm_fd; /* /dev/kvm */
	int fd;
	size_t run_bytes;    /* of a vCPU's struct kvm_run mapping */
	uint32_t nr_slots;   /* of memory that were handed out; 0 is the guest's RAM */
	bool has_ioregion;   /* KVM_SET_IOREGION is there */
	bool has_post_write; /* ioeventfds may leave the value that was stored */
	bool has_irqchip;    /* interrupt controllers are, see vm_add_irqchip() */
};

/*
 * Opens /dev/kvm and a VM. *out is to be given to vm_close(). Says why to the log:
 *   -ENOENT, -EACCES, ...  /dev/kvm can't be opened
 *   -EPROTO                its API is not version 12
 *   -ENOTSUP               it lacks something that this monitor can't do without
 */
int vm_open(struct vm **out);

/*
 * Gives the VM a PC's interrupt controllers, in the kernel: a local APIC for each vCPU, an IOAPIC
 * whose pins are GSIs 0 to 23, the two PICs, and a PIT at GSI 0. Before its first vCPU. -errno, said
 * to the log.
 */
int vm_add_irqchip(struct vm *vm);

/*
 * Drives the line of GSI `gsi`, level or edge as the guest has set it up. Any thread may; it can't
 * fail in a VM that has an irqchip.
 */
void vm_set_irq(const struct vm *vm, unsigned int gsi, bool high);

/* Closes the VM, with all ioeventfds that are installed in it, and frees it; NULL is nothing. */
void vm_close(struct vm *vm);

/* The module that makes KVM work here, "kvm_intel" for example; "unknown" if none is seen. */
const char *vm_module(void);

#endif
