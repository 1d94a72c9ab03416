/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * kvm_ioregion: what user space, KVM and a server say to each other about ioregions; in the kernel's
 * include/uapi/linux/.
 *
 * This is ioregionfd as last posted (RFC v3, February 2021), with the post-write flag of ioeventfds
 * posted in March 2026; no released kernel has either. docs/ioregionfd.md has the rules. For programs
 * that are not GPL, kvmfd/ioregion_abi.h and core/wire.h have the same.
 */
#ifndef _UAPI_LINUX_KVM_IOREGION_H
#define _UAPI_LINUX_KVM_IOREGION_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* ---- the ioctl of a VM ---- */

#define KVM_IOREGION_PIO (1u << 0)
#define KVM_IOREGION_POSTED_WRITES (1u << 1) /* nobody waits for the answer to a write */
#define KVM_IOREGION_DEASSIGN (1u << 2)
#define KVM_IOREGION_VALID_FLAGS ((1u << 3) - 1)

struct kvm_ioregion {
	__u64 guest_paddr; /* a port if PIO */
	__u64 memory_size; /* 0: that address, whatever the width; needs POSTED_WRITES */
	__u64 user_data;   /* in every command */
	__s32 read_fd;	   /* KVM reads answers here */
	__s32 write_fd;	   /* and writes commands here */
	__u32 flags;
	__u8 pad[28];
};

#define KVM_SET_IOREGION _IOW(0xAE, 0x49, struct kvm_ioregion)

/* ---- on the file descriptors ---- */

#define KVM_IOREGION_CMD_READ 0
#define KVM_IOREGION_CMD_WRITE 1

struct kvm_ioregion_cmd {
	__u8 cmd;
	__u8 size_exponent : 4; /* 0 to 3: 1, 2, 4 or 8 bytes */
	__u8 resp : 1;		/* an answer is awaited */
	__u8 unused : 3;
	__u8 padding[6];
	__u64 user_data;
	__u64 offset; /* from guest_paddr */
	__u64 data;   /* of a write, in its low bytes */
};

struct kvm_ioregion_resp {
	__u64 data; /* of a read */
	__u8 pad[24];
};

/* ---- an ioeventfd that also stores the value ---- */

/* Of struct kvm_ioeventfd: the value written goes to post_addr, then the eventfd is signalled. */
#define KVM_IOEVENTFD_POST_WRITE (1u << 5)
#define KVM_IOEVENTFD_POST_ADDR_OFFSET 32

#endif
