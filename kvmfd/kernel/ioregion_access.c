// SPDX-License-Identifier: GPL-2.0-only
/*
 * An access of a vCPU to a region.
 *
 * It first does what it would do without one: it prepares to leave for user space, as KVM_EXIT_MMIO
 * or KVM_EXIT_IO. kvm_ioregion_run() stands where KVM_RUN would return, looks at the exit, and if a
 * region has it, plays the VMM: sends the command, waits for the answer, puts it into struct kvm_run,
 * and runs the vCPU on. So
 *
 *  - it waits with nothing held but the vCPU's mutex: neither kvm->srcu nor a loaded vCPU. Memory
 *    slots, ioeventfds and ioregions can be changed meanwhile;
 *  - whatever KVM knows to do about an exit (splitting it in pieces, repeating port I/O, completing
 *    the instruction) holds for regions too, and an access that fails is the exit it was all along;
 *  - a signal can interrupt it anywhere. What has become of it is kept in the vCPU, and the next
 *    KVM_RUN goes on from there.
 *
 * Posted writes need not wait, and should not pay for an exit: their regions are on the MMIO bus too,
 * and take a write there if the server's socket and the other vCPUs let them. PIO never does:
 * emulator_pio_in_out() drops what a device refuses in the middle of a string.
 */
#include <linux/entry-kvm.h>
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include <net/sock.h>

#include "ioregion.h"
#include "ioregion_internal.h"

/* What KVM starts with for a vCPU that halts. */
#define MIN_POLL_NS 10000u

/* What becomes of an exit, one per vCPU. */
struct kvm_ioregion_access {
	struct ioregion *region;	/* NULL: no exit is under way. Has a reference */
	u32 exit_reason;
	u64 addr;
	bool write;
	u32 len;
	u32 nr, done;			/* accesses in all, of them dealt with; above 1 for rep ins */
	void *data;			/* of all of them */
	u8 mmio_data[8];
	bool sent;			/* a command, and this vCPU has the turn until it is answered */
	size_t received;
	struct kvm_ioregion_resp resp;
};

static bool is_interrupted(int ret)
{
	return ret == -EINTR || ret == -ERESTARTSYS;
}

static int file_receive(struct file *file, void *data, size_t len)
{
	struct msghdr msg = {};
	struct kvec vec = { .iov_base = data, .iov_len = len };
	struct socket *sock = sock_from_file(file);

	if (sock)
		return kernel_recvmsg(sock, &msg, &vec, 1, len, 0);
	return kernel_read(file, data, len, NULL);
}

/* Of a stream, the rest of an answer may come later. A packet is an answer or none. */
static bool is_stream(struct file *file)
{
	struct socket *sock = sock_from_file(file);

	return !sock || sock->type == SOCK_STREAM;
}

/* ---- the exit ---- */

/* User space can write to struct kvm_run at any time: each field is read once, and then checked. */
static enum kvm_bus access_load(struct kvm_vcpu *vcpu, struct kvm_ioregion_access *access)
{
	struct kvm_run *run = vcpu->run;

	access->exit_reason = READ_ONCE(run->exit_reason);
	access->done = 0;
	if (access->exit_reason == KVM_EXIT_MMIO) {
		access->addr = READ_ONCE(run->mmio.phys_addr);
		access->len = READ_ONCE(run->mmio.len);
		access->write = READ_ONCE(run->mmio.is_write);
		access->nr = 1;
		access->data = memcpy(access->mmio_data, run->mmio.data, sizeof(run->mmio.data));
		return KVM_MMIO_BUS;
	}
	access->addr = READ_ONCE(run->io.port);
	access->len = READ_ONCE(run->io.size);
	access->write = READ_ONCE(run->io.direction) == KVM_EXIT_IO_OUT;
	access->nr = READ_ONCE(run->io.count);
	access->data = vcpu->arch.pio_data;
	return KVM_PIO_BUS;
}

/* The exit as it was, for user space; without the part of a string that the server has had. */
static void access_restore(struct kvm_run *run, const struct kvm_ioregion_access *access)
{
	run->exit_reason = access->exit_reason;
	if (access->exit_reason == KVM_EXIT_MMIO) {
		run->mmio.phys_addr = access->addr;
		run->mmio.len = access->len;
		run->mmio.is_write = access->write;
		memcpy(run->mmio.data, access->mmio_data, sizeof(run->mmio.data));
		return;
	}
	run->io.port = access->addr;
	run->io.size = access->len;
	run->io.direction = access->write ? KVM_EXIT_IO_OUT : KVM_EXIT_IO_IN;
	run->io.count = access->nr - access->done;
	run->io.data_offset = KVM_PIO_PAGE_OFFSET * PAGE_SIZE + access->done * access->len;
}

static void *access_value(const struct kvm_ioregion_access *access)
{
	return access->data + access->done * access->len;
}

/* ---- spinning, as a vCPU that halts does: as long, by the same limit, and only on an idle CPU ---- */

static unsigned int poll_limit_ns(struct kvm *kvm)
{
	if (!kvm->override_halt_poll_ns)
		return READ_ONCE(halt_poll_ns);
	smp_rmb(); /* pairs with the smp_wmb() of KVM_CAP_HALT_POLL */
	return READ_ONCE(kvm->max_halt_poll_ns);
}

/* Of other files than sockets it is not known how to look without a lock. */
static bool is_heard(struct file *file)
{
	struct socket *sock = sock_from_file(file);

	return !sock || !skb_queue_empty_lockless(&sock->sk->sk_receive_queue) ||
	       READ_ONCE(sock->sk->sk_shutdown) || READ_ONCE(sock->sk->sk_err);
}

static void poll_answer(struct ioregion_channel *channel, ktime_t start)
{
	ktime_t stop = ktime_add_ns(start, channel->poll_ns);

	while (!is_heard(channel->file) && !signal_pending(current) &&
	       kvm_vcpu_can_poll(ktime_get(), stop))
		cpu_relax();
}

/* Whoever has the turn has poll_ns, too. */
static void poll_adapt(struct ioregion_channel *channel, unsigned int limit, u64 waited_ns)
{
	if (waited_ns > limit)
		channel->poll_ns = 0;
	else if (waited_ns > channel->poll_ns)
		channel->poll_ns = clamp(2 * channel->poll_ns, min(MIN_POLL_NS, limit), limit);
}

/* ---- the command and its answer ---- */

/* 0, -EINTR, or another -errno when the server can't be told. */
static int access_send(struct kvm_ioregion_access *access)
{
	struct ioregion *region = access->region;
	struct kvm_ioregion_cmd cmd;
	int ret;

	ioregion_command(region, access->addr, access->len, access->write, access_value(access),
			 &cmd);
	if (down_interruptible(&region->channel->turn))
		return -EINTR;
	ret = ioregion_send(region, &cmd, 0);
	access->sent = !ret && cmd.resp;
	if (!access->sent)
		up(&region->channel->turn);
	if (!ret && !access->write && !cmd.resp)
		memset(access_value(access), 0, access->len);
	return ret;
}

/* The same, when it can't be heard. -EINTR alone leaves the command sent, and the turn with us. */
static int access_receive(struct kvm *kvm, struct kvm_ioregion_access *access)
{
	struct ioregion_channel *channel = access->region->channel;
	ktime_t start = ktime_get();
	size_t rest;
	int ret;

	poll_answer(channel, start);
	do {
		rest = sizeof(access->resp) - access->received;
		ret = file_receive(channel->file, (void *)&access->resp + access->received, rest);
		if (is_interrupted(ret))
			return -EINTR;
		if (ret > 0)
			access->received += ret;
	} while (ret > 0 && ret < rest && is_stream(channel->file));
	if (ret < 0)
		WRITE_ONCE(channel->lost, true);
	poll_adapt(channel, poll_limit_ns(kvm), ktime_to_ns(ktime_sub(ktime_get(), start)));
	access->sent = false;
	up(&channel->turn);
	if (access->received != sizeof(access->resp))
		return -EIO;
	if (!access->write)
		memcpy(access_value(access), &access->resp.data, access->len);
	return 0;
}

static int access_run(struct kvm *kvm, struct kvm_ioregion_access *access)
{
	int ret = 0;

	while (!ret && access->done < access->nr) {
		if (!access->sent) {
			access->received = 0;
			ret = access_send(access);
		}
		if (!ret && access->sent)
			ret = access_receive(kvm, access);
		if (!ret)
			access->done++;
	}
	return is_interrupted(ret) ? -EINTR : ret;
}

/* Until the server has had it: 1; or can't: 0, and it is for user space; or -EINTR. */
static int access_finish(struct kvm_vcpu *vcpu, struct kvm_ioregion_access *access)
{
	int ret;

	/* With immediate_exit, user space wants what has begun to end, and has no time to wait for it. */
	if (!vcpu->wants_to_run) {
		vcpu->run->exit_reason = KVM_EXIT_INTR;
		return -EINTR;
	}
	kvm_sigset_activate(vcpu);
	do {
		ret = access_run(vcpu->kvm, access);
		if (ret == -EINTR && xfer_to_guest_mode_handle_work(vcpu))
			break; /* and it was a signal indeed */
	} while (ret == -EINTR);
	kvm_sigset_deactivate(vcpu);
	if (ret == -EINTR)
		return ret;
	access_restore(vcpu->run, access);
	if (!ret)
		vcpu->run->exit_reason = KVM_EXIT_UNKNOWN;
	else if (access->exit_reason == KVM_EXIT_MMIO)
		vcpu->stat.mmio_exits++;
	ioregion_put(access->region);
	access->region = NULL;
	return !ret;
}

/* The vCPU is about to leave for user space: whether a region takes that. */
static bool access_begin(struct kvm_vcpu *vcpu)
{
	struct kvm_ioregion_access *access = vcpu->ioregion_access;
	u32 reason = READ_ONCE(vcpu->run->exit_reason);
	enum kvm_bus bus;

	if (!smp_load_acquire(&vcpu->kvm->ioregions) ||
	    (reason != KVM_EXIT_MMIO && reason != KVM_EXIT_IO))
		return false;
	if (!access)
		access = kzalloc(sizeof(*access), GFP_KERNEL_ACCOUNT);
	if (!access)
		return false;
	vcpu->ioregion_access = access;
	bus = access_load(vcpu, access);
	if (!access->len || access->len > 8 || access->nr > PAGE_SIZE / access->len)
		return false;
	access->region = ioregion_find(vcpu->kvm, bus, access->addr, access->len);
	return access->region;
}

int kvm_ioregion_run(struct kvm_vcpu *vcpu)
{
	struct kvm_ioregion_access *access;
	u64 exits;
	int ret;

	for (;;) {
		access = vcpu->ioregion_access;
		if (access && access->region) {
			ret = access_finish(vcpu, access);
			if (ret <= 0)
				return ret;
		}
		exits = vcpu->stat.mmio_exits;
		ret = kvm_arch_vcpu_ioctl_run(vcpu);
		if (ret || !access_begin(vcpu))
			return ret;
		vcpu->stat.mmio_exits = exits; /* as yet it is none */
	}
}

/* Nobody will take the answer that is awaited: it would be taken for that to the next command. */
void kvm_ioregion_vcpu_destroy(struct kvm_vcpu *vcpu)
{
	struct kvm_ioregion_access *access = vcpu->ioregion_access;

	if (access && access->region) {
		if (access->sent) {
			WRITE_ONCE(access->region->channel->lost, true);
			up(&access->region->channel->turn);
		}
		ioregion_put(access->region);
	}
	kfree(access);
}
