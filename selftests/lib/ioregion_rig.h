/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ioregion_rig: a guest whose vCPUs run in threads of their own, and the server's end of an ioregion,
 * which is the test's.
 */
#ifndef FASTPATH_SELFTESTS_IOREGION_RIG_H
#define FASTPATH_SELFTESTS_IOREGION_RIG_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "bare_guest.h"
#include "kernel/kvm_ioregion.h"

/* What every region of a rig has as its user_data. */
#define RIG_USER_DATA 0x1122334455667788u

struct rig_vcpu {
	struct vcpu *vcpu;
	struct bus *bus;
	pthread_t thread;
	pid_t tid;
	bool started;
	int ret; /* of vcpu_run() */
};

struct ioregion_rig {
	struct bare_guest guest;
	struct rig_vcpu vcpus[2];
	int server; /* of a SOCK_SEQPACKET pair, the test's end */
	int kvm;    /* and KVM's */
};

/* 0 if the kernel has ioregionfd; -ENOTTY if not; else -errno. */
int ioregion_probe(void);

#define NEEDS_IOREGION()                                                            \
	do {                                                                        \
		NEEDS_KVM();                                                        \
		if (ioregion_probe() == -ENOTTY)                                    \
			SKIP(return, "this kernel has no ioregionfd: make kernel"); \
	} while (0)

/* 0 or -errno. In any case the rig is to be given to ioregion_rig_close(). */
int ioregion_rig_open(struct ioregion_rig *rig, const void *code, size_t len);

/* A second vCPU, which has that code to run. */
int ioregion_rig_add(struct ioregion_rig *rig, const void *code, size_t len);

/* Also ends what still runs. */
void ioregion_rig_close(struct ioregion_rig *rig);

/* KVM_SET_IOREGION with `fd` for both directions, or its -errno. */
int rig_assign_fd(struct ioregion_rig *rig, uint64_t addr, uint64_t size, uint32_t flags, int fd);
int rig_assign(struct ioregion_rig *rig, uint64_t addr, uint64_t size, uint32_t flags);
int rig_deassign(struct ioregion_rig *rig, uint64_t addr, uint64_t size, uint32_t flags);

/* KVM_IOEVENTFD with an eventfd of its own, or its -errno. */
int rig_assign_eventfd(struct ioregion_rig *rig, uint64_t addr, uint32_t len, uint32_t flags);

/* ---- vCPUs ---- */

/* Runs vCPU n in a thread; false if there is none to be had. */
bool rig_start(struct ioregion_rig *rig, unsigned int n);

/* Waits until it returns: what vcpu_run() returned, -ETIMEDOUT if it does not. */
int rig_end(struct ioregion_rig *rig, unsigned int n);

/* Makes it return -EINTR, as vcpu_kick() and a signal do. */
void rig_kick(struct ioregion_rig *rig, unsigned int n);

/* Sends a signal that it does not return for, and waits until KVM_RUN has. */
bool rig_disturb(struct ioregion_rig *rig, unsigned int n);

/* Waits until the thread sleeps: in KVM, as nothing else there can. */
bool rig_asleep(struct ioregion_rig *rig, unsigned int n);

/* ---- the server ---- */

/* The next command; false if none comes. */
bool rig_take(int fd, struct kvm_ioregion_cmd *cmd);

/* No command waits. */
bool rig_quiet(int fd);

/* KVM has let go of its end. */
bool rig_gone(int fd);

bool rig_answer(int fd, uint64_t data);

#endif
