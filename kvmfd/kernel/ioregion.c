// SPDX-License-Identifier: GPL-2.0-only
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/log2.h>
#include <linux/slab.h>
#include <linux/socket.h>
#include <linux/uio.h>

#include "ioregion.h"
#include "ioregion_internal.h"

/* Of a VM; as many as a bus has places for devices. */
#define MAX_REGIONS 1000

static_assert(sizeof(struct kvm_ioregion) == 64);
static_assert(sizeof(struct kvm_ioregion_cmd) == 32);
static_assert(sizeof(struct kvm_ioregion_resp) == 32);

/* ---- channels ---- */

/* A dead peer must be an error here, and no SIGPIPE for a VMM that has done nothing. */
static int file_send(struct file *file, void *data, size_t len, int flags)
{
	struct msghdr msg = { .msg_flags = MSG_NOSIGNAL | flags };
	struct kvec vec = { .iov_base = data, .iov_len = len };
	struct socket *sock = sock_from_file(file);

	if (sock)
		return kernel_sendmsg(sock, &msg, &vec, 1, len);
	return flags & MSG_DONTWAIT ? -EAGAIN : kernel_write(file, data, len, NULL);
}

static struct ioregion_channel *channel_get(struct kvm_ioregions *regions, struct file *file)
{
	struct ioregion_channel *channel;

	mutex_lock(&regions->lock);
	list_for_each_entry(channel, &regions->channels, list)
		if (channel->file == file && kref_get_unless_zero(&channel->refs))
			goto out;
	channel = kzalloc(sizeof(*channel), GFP_KERNEL_ACCOUNT);
	if (!channel)
		goto out;
	kref_init(&channel->refs);
	sema_init(&channel->turn, 1);
	channel->of = regions;
	channel->file = get_file(file);
	list_add(&channel->list, &regions->channels);
out:
	mutex_unlock(&regions->lock);
	return channel;
}

static void channel_release(struct kref *refs)
{
	struct ioregion_channel *channel = container_of(refs, struct ioregion_channel, refs);

	list_del(&channel->list);
	mutex_unlock(&channel->of->lock);
	fput(channel->file);
	kfree(channel);
}

static void channel_put(struct ioregion_channel *channel)
{
	kref_put_mutex(&channel->refs, channel_release, &channel->of->lock);
}

/* ---- regions ---- */

static void ioregion_release(struct kref *refs)
{
	struct ioregion *region = container_of(refs, struct ioregion, refs);

	if (region->channel)
		channel_put(region->channel);
	if (region->write_file)
		fput(region->write_file);
	kfree_rcu(region, rcu);
}

void ioregion_put(struct ioregion *region)
{
	kref_put(&region->refs, ioregion_release);
}

static u64 ioregion_last(u64 addr, u64 size)
{
	return addr + (size ? size - 1 : 0);
}

/* Accesses that are not of this kind are for user space, as if there were no region. */
static bool ioregion_has(const struct ioregion *region, u64 addr, unsigned int len)
{
	if (!region->size)
		return addr == region->addr;
	return len <= 8 && is_power_of_2(len) && len <= region->size && addr >= region->addr &&
	       addr - region->addr <= region->size - len;
}

struct ioregion *ioregion_find(struct kvm *kvm, enum kvm_bus bus, u64 addr, unsigned int len)
{
	/* Pairs with the release in regions_of(). */
	struct kvm_ioregions *regions = smp_load_acquire(&kvm->ioregions);
	struct ioregion *region;

	if (!regions)
		return NULL;
	rcu_read_lock();
	region = mtree_load(&regions->by_address[bus], addr);
	if (region && (!ioregion_has(region, addr, len) || !kref_get_unless_zero(&region->refs)))
		region = NULL;
	rcu_read_unlock();
	return region;
}

void ioregion_command(const struct ioregion *region, u64 addr, unsigned int len, bool write,
		      const void *data, struct kvm_ioregion_cmd *cmd)
{
	*cmd = (struct kvm_ioregion_cmd) {
		.cmd = write ? KVM_IOREGION_CMD_WRITE : KVM_IOREGION_CMD_READ,
		.user_data = region->user_data,
		.offset = addr - region->addr,
	};
	if (!region->size)
		return; /* neither width nor value is known of such a write */
	cmd->size_exponent = ilog2(len);
	cmd->resp = !write || !region->posted;
	if (write)
		memcpy(&cmd->data, data, len);
}

int ioregion_send(struct ioregion *region, struct kvm_ioregion_cmd *cmd, int flags)
{
	int ret;

	if (READ_ONCE(region->gone) || READ_ONCE(region->channel->lost))
		return -ENOENT;
	ret = file_send(region->write_file, cmd, sizeof(*cmd), flags);
	if (ret >= 0 && ret != sizeof(*cmd))
		return -EIO;
	return ret < 0 ? ret : 0;
}

/* ---- posted writes that need not wait ---- */

static struct ioregion *to_ioregion(struct kvm_io_device *device)
{
	return container_of(device, struct ioregion, device);
}

static int posted_write(struct kvm_vcpu *vcpu, struct kvm_io_device *device, gpa_t addr, int len,
			const void *val)
{
	struct ioregion *region = to_ioregion(device);
	struct kvm_ioregion_cmd cmd;
	int ret;

	/* An earlier piece of the same store, in the page before, waits for its exit: stay behind. */
	if (vcpu->mmio_nr_fragments)
		return -EOPNOTSUPP;
	if (!ioregion_has(region, addr, len) || down_trylock(&region->channel->turn))
		return -EOPNOTSUPP;
	ioregion_command(region, addr, len, true, val, &cmd);
	ret = ioregion_send(region, &cmd, MSG_DONTWAIT);
	up(&region->channel->turn);
	return ret ? -EOPNOTSUPP : 0;
}

static void posted_destroy(struct kvm_io_device *device)
{
	struct ioregion *region = to_ioregion(device);

	region->on_bus = false;
	ioregion_put(region);
}

static const struct kvm_io_device_ops posted_ops = {
	.write = posted_write,
	.destructor = posted_destroy,
};

static int posted_add(struct kvm *kvm, struct ioregion *region)
{
	int ret;

	/* A bus counts in ints. */
	if (!region->posted || region->bus != KVM_MMIO_BUS || region->size > INT_MAX)
		return 0;
	kvm_iodevice_init(&region->device, &posted_ops);
	ret = kvm_io_bus_register_dev(kvm, region->bus, region->addr, region->size,
				      &region->device);
	if (ret)
		return ret;
	kref_get(&region->refs);
	region->on_bus = true;
	return 0;
}

static void posted_remove(struct kvm *kvm, struct ioregion *region)
{
	if (!region->on_bus)
		return;
	/* Even if this fails: then there is no bus any more. */
	kvm_io_bus_unregister_dev(kvm, region->bus, &region->device);
	posted_destroy(&region->device);
}

/* ---- the ioctl ---- */

static enum kvm_bus bus_of(const struct kvm_ioregion *args)
{
	return args->flags & KVM_IOREGION_PIO ? KVM_PIO_BUS : KVM_MMIO_BUS;
}

/* Of the bus there are more than ioeventfds. What else KVM answers itself would never reach us. */
static bool is_taken(struct kvm *kvm, const struct ioregion *region)
{
	struct kvm_io_bus *bus = kvm_get_bus(kvm, region->bus);
	u64 last = ioregion_last(region->addr, region->size);
	int i;

	for (i = 0; bus && i < bus->dev_count; i++)
		if (bus->range[i].addr <= last &&
		    ioregion_last(bus->range[i].addr, bus->range[i].len) >= region->addr)
			return true;
	return kvm_ioregion_overlaps(kvm, region->bus, region->addr, region->size);
}

bool kvm_ioregion_overlaps(struct kvm *kvm, enum kvm_bus bus, u64 addr, u64 len)
{
	unsigned long at = addr;

	if (!kvm->ioregions || bus > KVM_PIO_BUS)
		return false;
	return mt_find(&kvm->ioregions->by_address[bus], &at, ioregion_last(addr, len));
}

static struct kvm_ioregions *regions_of(struct kvm *kvm)
{
	struct kvm_ioregions *regions = kvm->ioregions;

	if (regions)
		return regions;
	regions = kzalloc(sizeof(*regions), GFP_KERNEL_ACCOUNT);
	if (!regions)
		return NULL;
	mt_init_flags(&regions->by_address[KVM_MMIO_BUS], MT_FLAGS_USE_RCU);
	mt_init_flags(&regions->by_address[KVM_PIO_BUS], MT_FLAGS_USE_RCU);
	mutex_init(&regions->lock);
	INIT_LIST_HEAD(&regions->channels);
	/* Pairs with the acquire in ioregion_find(). */
	smp_store_release(&kvm->ioregions, regions);
	return regions;
}

/* A file that kernel_read() and kernel_write() can do with, in that direction. */
static int get_file_for(int fd, fmode_t mode, struct file **file)
{
	*file = fget(fd);
	if (!*file)
		return -EBADF;
	if (!((*file)->f_mode & mode))
		return -EBADF;
	if (mode == FMODE_READ)
		return (*file)->f_op->read_iter && !(*file)->f_op->read ? 0 : -EINVAL;
	return (*file)->f_op->write_iter && !(*file)->f_op->write ? 0 : -EINVAL;
}

static int ioregion_open(struct kvm_ioregions *regions, const struct kvm_ioregion *args,
			 struct ioregion *region)
{
	struct file *read_file;
	int ret = get_file_for(args->read_fd, FMODE_READ, &read_file);

	if (!ret)
		ret = get_file_for(args->write_fd, FMODE_WRITE, &region->write_file);
	if (!ret) {
		region->channel = channel_get(regions, read_file);
		ret = region->channel ? 0 : -ENOMEM;
	}
	if (read_file)
		fput(read_file);
	return ret;
}

static int ioregion_insert(struct kvm *kvm, struct kvm_ioregions *regions, struct ioregion *region)
{
	struct maple_tree *tree = &regions->by_address[region->bus];
	int ret;

	if (is_taken(kvm, region))
		return -EEXIST;
	if (regions->nr >= MAX_REGIONS)
		return -ENOSPC;
	ret = mtree_insert_range(tree, region->addr, ioregion_last(region->addr, region->size),
				 region, GFP_KERNEL_ACCOUNT);
	if (ret)
		return ret;
	ret = posted_add(kvm, region);
	if (ret) {
		mtree_erase(tree, region->addr);
		return ret;
	}
	kref_get(&region->refs);
	regions->nr++;
	return 0;
}

static int ioregion_assign(struct kvm *kvm, const struct kvm_ioregion *args)
{
	struct kvm_ioregions *regions = regions_of(kvm);
	struct ioregion *region;
	int ret;

	if (!args->memory_size && !(args->flags & KVM_IOREGION_POSTED_WRITES))
		return -EINVAL;
	if (ioregion_last(args->guest_paddr, args->memory_size) < args->guest_paddr)
		return -EINVAL;
	region = kzalloc(sizeof(*region), GFP_KERNEL_ACCOUNT);
	if (!regions || !region) {
		kfree(region);
		return -ENOMEM;
	}
	kref_init(&region->refs);
	region->bus = bus_of(args);
	region->addr = args->guest_paddr;
	region->size = args->memory_size;
	region->user_data = args->user_data;
	region->posted = args->flags & KVM_IOREGION_POSTED_WRITES;
	ret = ioregion_open(regions, args, region);
	if (!ret)
		ret = ioregion_insert(kvm, regions, region);
	ioregion_put(region);
	return ret;
}

/* By address, size and bus; the file descriptors need not be there any more. */
static int ioregion_deassign(struct kvm *kvm, const struct kvm_ioregion *args)
{
	struct kvm_ioregions *regions = kvm->ioregions;
	struct ioregion *region;
	struct maple_tree *tree;

	if (!regions)
		return -ENOENT;
	tree = &regions->by_address[bus_of(args)];
	region = mtree_load(tree, args->guest_paddr);
	if (!region || region->addr != args->guest_paddr || region->size != args->memory_size)
		return -ENOENT;
	mtree_erase(tree, region->addr);
	WRITE_ONCE(region->gone, true);
	posted_remove(kvm, region);
	regions->nr--;
	ioregion_put(region);
	return 0;
}

int kvm_ioregion_ioctl(struct kvm *kvm, void __user *argp)
{
	struct kvm_ioregion args;
	int ret;

	if (copy_from_user(&args, argp, sizeof(args)))
		return -EFAULT;
	if (args.flags & ~KVM_IOREGION_VALID_FLAGS)
		return -EINVAL;
	mutex_lock(&kvm->slots_lock);
	if (args.flags & KVM_IOREGION_DEASSIGN)
		ret = ioregion_deassign(kvm, &args);
	else
		ret = ioregion_assign(kvm, &args);
	mutex_unlock(&kvm->slots_lock);
	return ret;
}

void kvm_ioregion_vm_destroy(struct kvm *kvm)
{
	struct kvm_ioregions *regions = kvm->ioregions;
	struct ioregion *region;
	unsigned long at;
	int i;

	if (!regions)
		return;
	for (i = 0; i < ARRAY_SIZE(regions->by_address); i++) {
		at = 0;
		mt_for_each(&regions->by_address[i], region, at, ULONG_MAX)
			ioregion_put(region);
		mtree_destroy(&regions->by_address[i]);
	}
	WARN_ON(!list_empty(&regions->channels));
	kfree(regions);
}
