/* SPDX-License-Identifier: GPL-2.0-only */
/* post_write: an ioeventfd that leaves the value in memory of the VMM before it is signalled. */
#ifndef __KVM_POST_WRITE_H__
#define __KVM_POST_WRITE_H__

#include <linux/kvm_host.h>
#include <linux/uaccess.h>

/* A width must be given, so that one store has the value: readers see all of it or nothing. */
static inline bool post_write_valid(const struct kvm_ioeventfd *args)
{
	if (!(args->flags & KVM_IOEVENTFD_FLAG_POST_WRITE))
		return true;
	return args->len && args->post_addr && !(args->post_addr & (args->len - 1)) &&
	       access_ok(u64_to_user_ptr(args->post_addr), args->len);
}

/* NULL if the value is not wanted. */
static inline void __user *post_write_place(const struct kvm_ioeventfd *args)
{
	return args->flags & KVM_IOEVENTFD_FLAG_POST_WRITE ? u64_to_user_ptr(args->post_addr) : NULL;
}

/*
 * In the vCPU's thread, whose address space is the VMM's. The eventfd's lock orders the store before
 * the count that tells of it. If nothing is mapped there, the access leaves for user space.
 */
static inline int post_write(void __user *place, int len, const void *val)
{
	switch (place ? len : 0) {
	case 1:
		return put_user(*(const u8 *)val, (u8 __user *)place);
	case 2:
		return put_user(*(const u16 *)val, (u16 __user *)place);
	case 4:
		return put_user(*(const u32 *)val, (u32 __user *)place);
	case 8:
		return put_user(*(const u64 *)val, (u64 __user *)place);
	default:
		return 0;
	}
}

#endif
