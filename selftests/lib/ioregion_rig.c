/* SPDX-License-Identifier: BSD-3-Clause */
#include "ioregion_rig.h"

#include <errno.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "longmode.h"

#define DEADLINE_SECONDS 20
#define KICK SIGUSR1
#define DISTURB SIGUSR2

/* Where the second vCPU's code and stack are, behind those of the payload. */
#define SECOND_CODE 0x300000u
#define SECOND_STACK 0x380000u
#define FAULT_ADDRESS 0xf0000010u

int ioregion_probe(void)
{
	struct kvm_ioregion none = { .memory_size = 8, .flags = KVM_IOREGION_DEASSIGN };
	struct vm *vm;
	int ret = vm_open(&vm);

	if (ret)
		return ret;
	ret = ioctl(vm->fd, KVM_SET_IOREGION, &none) ? -errno : -EPROTO;
	vm_close(vm);
	return ret == -ENOENT ? 0 : ret;
}

/* ---- signals ---- */

static __thread struct vcpu *running;

static void on_signal(int sig)
{
	if (sig == KICK)
		vcpu_kick(running);
}

static int catch_signals(void)
{
	const struct sigaction action = { .sa_handler = on_signal };

	return sigaction(KICK, &action, NULL) || sigaction(DISTURB, &action, NULL) ? -errno : 0;
}

/* ---- the rig ---- */

int ioregion_rig_open(struct ioregion_rig *rig, const void *code, size_t len)
{
	int pair[2];
	int ret;

	*rig = (struct ioregion_rig){ .server = -1, .kvm = -1 };
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	rig->server = pair[0];
	rig->kvm = pair[1];
	ret = catch_signals();
	if (!ret)
		ret = bare_guest_open(&rig->guest, code, len);
	if (!ret)
		rig->vcpus[0] = (struct rig_vcpu){
			.vcpu = rig->guest.machine->vcpu,
			.bus = rig->guest.machine->bus,
		};
	return ret;
}

int ioregion_rig_add(struct ioregion_rig *rig, const void *code, size_t len)
{
	const struct longmode_entry entry = {
		.rip = SECOND_CODE,
		.rsp = SECOND_STACK,
		.fault_address = FAULT_ADDRESS,
	};
	struct machine *machine = rig->guest.machine;
	struct rig_vcpu *second = &rig->vcpus[1];
	int ret = vcpu_open(machine->vm, machine->memory, 1, 2, &second->vcpu);

	if (ret)
		return ret;
	second->bus = machine->bus;
	memcpy(memory_ptr(machine->memory, SECOND_CODE, len), code, len);
	return longmode_setup(second->vcpu, machine->memory, &entry);
}

void ioregion_rig_close(struct ioregion_rig *rig)
{
	for (unsigned int i = 0; i < 2; i++)
		if (rig->vcpus[i].started) {
			rig_kick(rig, i);
			/* What it still uses can't be taken from it; the process ends soon. */
			if (rig_end(rig, i) == -ETIMEDOUT)
				return;
		}
	vcpu_close(rig->vcpus[1].vcpu);
	bare_guest_close(&rig->guest);
	close(rig->server);
	close(rig->kvm);
}

static int set_ioregion(struct ioregion_rig *rig, const struct kvm_ioregion *region)
{
	return ioctl(rig->guest.machine->vm->fd, KVM_SET_IOREGION, region) ? -errno : 0;
}

int rig_assign_fd(struct ioregion_rig *rig, uint64_t addr, uint64_t size, uint32_t flags, int fd)
{
	return set_ioregion(rig, &(struct kvm_ioregion){
					 .guest_paddr = addr,
					 .memory_size = size,
					 .user_data = RIG_USER_DATA,
					 .read_fd = fd,
					 .write_fd = fd,
					 .flags = flags,
				 });
}

int rig_assign(struct ioregion_rig *rig, uint64_t addr, uint64_t size, uint32_t flags)
{
	return rig_assign_fd(rig, addr, size, flags, rig->kvm);
}

int rig_deassign(struct ioregion_rig *rig, uint64_t addr, uint64_t size, uint32_t flags)
{
	return rig_assign_fd(rig, addr, size, flags | KVM_IOREGION_DEASSIGN, 0);
}

int rig_assign_eventfd(struct ioregion_rig *rig, uint64_t addr, uint32_t len, uint32_t flags)
{
	struct kvm_ioeventfd args = { .addr = addr, .len = len, .flags = flags };
	int ret;

	args.fd = eventfd(0, EFD_CLOEXEC);
	ret = ioctl(rig->guest.machine->vm->fd, KVM_IOEVENTFD, &args) ? -errno : 0;
	close(args.fd);
	return ret;
}

/* ---- vCPUs ---- */

static void *run(void *opaque)
{
	struct rig_vcpu *vcpu = opaque;

	running = vcpu->vcpu;
	__atomic_store_n(&vcpu->tid, gettid(), __ATOMIC_RELEASE);
	vcpu->ret = vcpu_run(vcpu->vcpu, vcpu->bus);
	return NULL;
}

bool rig_start(struct ioregion_rig *rig, unsigned int n)
{
	struct rig_vcpu *vcpu = &rig->vcpus[n];

	vcpu->tid = 0;
	vcpu->started = !pthread_create(&vcpu->thread, NULL, run, vcpu);
	return vcpu->started;
}

static struct timespec deadline(clockid_t clock)
{
	struct timespec at;

	clock_gettime(clock, &at);
	at.tv_sec += DEADLINE_SECONDS;
	return at;
}

int rig_end(struct ioregion_rig *rig, unsigned int n)
{
	struct timespec until = deadline(CLOCK_REALTIME);

	if (pthread_timedjoin_np(rig->vcpus[n].thread, NULL, &until))
		return -ETIMEDOUT;
	rig->vcpus[n].started = false;
	return rig->vcpus[n].ret;
}

typedef bool seen_fn(struct rig_vcpu *vcpu, uint64_t value);

/* Looks again and again, until it is so. */
static bool await(seen_fn *seen, struct rig_vcpu *vcpu, uint64_t value)
{
	struct timespec now, until = deadline(CLOCK_MONOTONIC);

	do {
		if (seen(vcpu, value))
			return true;
		usleep(1000);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < until.tv_sec);
	return false;
}

static bool is_up(struct rig_vcpu *vcpu, uint64_t unused)
{
	(void)unused;
	return __atomic_load_n(&vcpu->tid, __ATOMIC_ACQUIRE);
}

static bool was_interrupted(struct rig_vcpu *vcpu, uint64_t before)
{
	return *(volatile const uint64_t *)&vcpu_exits(vcpu->vcpu)->interrupted > before;
}

/* The state stands behind the name, which is in brackets. */
static bool sleeps(struct rig_vcpu *vcpu, uint64_t unused)
{
	char path[64], line[512] = "";
	const char *name_end;
	FILE *stat;

	(void)unused;
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", vcpu->tid);
	stat = fopen(path, "r");
	if (!stat)
		return false;
	name_end = fgets(line, sizeof(line), stat) ? strrchr(line, ')') : NULL;
	fclose(stat);
	return name_end && name_end[2] == 'S';
}

void rig_kick(struct ioregion_rig *rig, unsigned int n)
{
	struct rig_vcpu *vcpu = &rig->vcpus[n];

	if (await(is_up, vcpu, 0))
		pthread_kill(vcpu->thread, KICK);
}

bool rig_disturb(struct ioregion_rig *rig, unsigned int n)
{
	struct rig_vcpu *vcpu = &rig->vcpus[n];
	uint64_t before = vcpu_exits(vcpu->vcpu)->interrupted;

	return await(is_up, vcpu, 0) && !pthread_kill(vcpu->thread, DISTURB) &&
	       await(was_interrupted, vcpu, before);
}

bool rig_asleep(struct ioregion_rig *rig, unsigned int n)
{
	struct rig_vcpu *vcpu = &rig->vcpus[n];

	return await(is_up, vcpu, 0) && await(sleeps, vcpu, 0);
}

/* ---- the server ---- */

static ssize_t take(int fd, void *data, size_t len)
{
	struct pollfd readable = { .fd = fd, .events = POLLIN };

	if (poll(&readable, 1, DEADLINE_SECONDS * 1000) != 1)
		return -1;
	return read(fd, data, len);
}

bool rig_take(int fd, struct kvm_ioregion_cmd *cmd)
{
	return take(fd, cmd, sizeof(*cmd)) == sizeof(*cmd);
}

bool rig_quiet(int fd)
{
	struct pollfd readable = { .fd = fd, .events = POLLIN };

	return !poll(&readable, 1, 0);
}

bool rig_gone(int fd)
{
	struct kvm_ioregion_cmd cmd;

	return take(fd, &cmd, sizeof(cmd)) == 0;
}

bool rig_answer(int fd, uint64_t data)
{
	struct kvm_ioregion_resp resp = { .data = data };

	return write(fd, &resp, sizeof(resp)) == sizeof(resp);
}
