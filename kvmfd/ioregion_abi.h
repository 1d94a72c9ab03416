/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ioregion_abi: KVM_SET_IOREGION, as RFC v3 of ioregionfd has it, and the post-write ioeventfd: what
 * no released kernel's headers hold. Whether a kernel has them can only be tried: the numbers of their
 * capabilities mean other things today.
 */
#ifndef KVMFD_IOREGION_ABI_H
#define KVMFD_IOREGION_ABI_H

#include <assert.h>
#include <linux/ioctl.h>
#include <stdint.h>

struct ioregion_abi {
	uint64_t guest_paddr;
	uint64_t memory_size; /* bytes; 0 only with POSTED_WRITES */
	uint64_t user_data;   /* in every command */
	int32_t read_fd;      /* KVM reads answers here */
	int32_t write_fd;     /* and writes commands here */
	uint32_t flags;
	uint8_t pad[28];
};
static_assert(sizeof(struct ioregion_abi) == 64, "KVM_SET_IOREGION's size is in its number");

enum {
	IOREGION_ABI_PIO = 1 << 0,
	IOREGION_ABI_POSTED_WRITES = 1 << 1,
	IOREGION_ABI_DEASSIGN = 1 << 2,
};

#define IOREGION_ABI_SET _IOW(0xae, 0x49, struct ioregion_abi)

/*
 * In struct kvm_ioeventfd: KVM stores the value at an address of ours, then signals. The address is in
 * what older headers call its pad.
 */
#define IOEVENTFD_ABI_POST_WRITE (1u << 5)
#define IOEVENTFD_ABI_POST_ADDR 32

#endif
