/* SPDX-License-Identifier: GPL-2.0-only */
/* ioregion_internal: what regions are made of, for their own files. */
#ifndef __KVM_IOREGION_INTERNAL_H__
#define __KVM_IOREGION_INTERNAL_H__

#include <linux/kref.h>
#include <linux/kvm_host.h>
#include <linux/maple_tree.h>
#include <linux/mutex.h>
#include <linux/net.h>
#include <linux/semaphore.h>
#include <kvm/iodev.h>

/* All of a VM. Regions are changed under kvm->slots_lock, and found under RCU. */
struct kvm_ioregions {
	struct maple_tree by_address[2];	/* KVM_MMIO_BUS, KVM_PIO_BUS */
	unsigned int nr;
	struct mutex lock;			/* of channels */
	struct list_head channels;
};

/* What regions with the same read_fd share: one command at a time, first come, first served. */
struct ioregion_channel {
	struct list_head list;
	struct kvm_ioregions *of;
	struct kref refs;
	struct file *file;
	struct semaphore turn;	/* up by whoever gets the answer, perhaps in another KVM_RUN */
	unsigned int poll_ns;	/* so long it looks for an answer before it sleeps */
	bool lost;		/* the answer to an earlier command may still come */
};

struct ioregion {
	struct kref refs;	/* the tree's, the bus's, that of each access under way */
	struct rcu_head rcu;
	struct kvm_io_device device;
	bool on_bus;
	bool gone;		/* deassigned: no command begins any more */
	enum kvm_bus bus;
	u64 addr;
	u64 size;		/* 0: that address, whatever the width */
	u64 user_data;
	bool posted;
	struct file *write_file;
	struct ioregion_channel *channel;
};

/* The region that has all of such an access, with a reference; or NULL. */
struct ioregion *ioregion_find(struct kvm *kvm, enum kvm_bus bus, u64 addr, unsigned int len);

void ioregion_put(struct ioregion *region);

void ioregion_command(const struct ioregion *region, u64 addr, unsigned int len, bool write,
		      const void *data, struct kvm_ioregion_cmd *cmd);

/* The caller has the channel's turn. 0 or -errno, with MSG_DONTWAIT in flags at once. */
int ioregion_send(struct ioregion *region, struct kvm_ioregion_cmd *cmd, int flags);

#endif
