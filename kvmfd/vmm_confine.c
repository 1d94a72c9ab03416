/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm_confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/vm_sockets.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "confine.h"
#include "ioregion_abi.h"

#define IOCTL(request) ALLOW_IF(ioctl, 1, ALL, (uint32_t)(request))
#define FAMILY(family) ALLOW_IF(socket, 0, ALL, family)

static const struct confine_rule rules[] = {
	/* the guest: its vCPUs, its memory, its interrupts, and why it died */
	IOCTL(KVM_RUN),
	IOCTL(KVM_IOEVENTFD),
	IOCTL(IOREGION_ABI_SET),
	IOCTL(KVM_IRQFD),
	IOCTL(KVM_IRQ_LINE),
	IOCTL(KVM_SET_GSI_ROUTING),
	IOCTL(KVM_SET_USER_MEMORY_REGION),
	IOCTL(KVM_GET_DIRTY_LOG),
	IOCTL(KVM_GET_REGS),
	IOCTL(KVM_GET_SREGS),
	IOCTL(KVM_TRANSLATE),
	ALLOW(pread64), /* of KVM's counters */

	/* a server that is there */
	ALLOW(io_uring_enter),
	ALLOW(sendmsg),
	ALLOW(sendto),
	ALLOW(recvmsg),
	ALLOW(recvfrom),
	ALLOW(shutdown),
	ALLOW(getsockopt),
	ALLOW(setsockopt),
	ALLOW(getsockname),
	ALLOW(getpeername),
	ALLOW(eventfd2),
	ALLOW(memfd_create),
	ALLOW(ftruncate),
	ALLOW(fstat),
	ALLOW(newfstatat), /* which is how fstat() is called */
	ALLOW(lseek),
	FCNTL(F_DUPFD_CLOEXEC),
	FCNTL(F_GETFD),
	FCNTL(F_SETFD),
	FCNTL(F_GETFL),
	FCNTL(F_SETFL),
	FCNTL(F_GET_SEALS),
	FCNTL(F_ADD_SEALS),
	ALLOW(readlink), /* of /proc/self/fd: what kind a server's fd is */
	ALLOW(readlinkat),

	/* one that comes back, or another one; and clients of our own */
	FAMILY(AF_UNIX),
	FAMILY(AF_VSOCK),
	FAMILY(AF_INET),
	FAMILY(AF_INET6),
	ALLOW_IF(socketpair, 0, ALL, AF_UNIX),
	ALLOW(connect),
	ALLOW(accept4),
	ALLOW(io_uring_setup),
	ALLOW(io_uring_register),

	/* the console, the log, waiting */
	IOCTL(TCGETS),
	IOCTL(TCSETS),
	IOCTL(TCSETSW),
	IOCTL(TCSETSF),
	IOCTL(TIOCGPGRP),
	IOCTL(FIONREAD),
	ALLOW(read),
	ALLOW(readv),
	ALLOW(write),
	ALLOW(writev),
	ALLOW(close),
	ALLOW(poll),
	ALLOW(ppoll),
	ALLOW(epoll_wait),
	ALLOW(epoll_pwait),
	ALLOW(epoll_ctl),
	ALLOW(timerfd_settime),
	ALLOW(futex),
	ALLOW(nanosleep),
	ALLOW(clock_nanosleep),
	ALLOW(clock_gettime),
	ALLOW(gettimeofday),
	ALLOW(getrandom),

	/* memory, never to be executed */
	ALLOW_IF(mmap, 2, PROT_EXEC, 0),
	ALLOW_IF(mprotect, 2, PROT_EXEC, 0),
	ALLOW(munmap),
	ALLOW(mremap),
	ALLOW(madvise),
	ALLOW(brk),

	/* threads, and no processes; what clone3() would do can't be seen, so the C library takes clone() */
	ALLOW_IF(clone, 0, CLONE_THREAD, CLONE_THREAD),
	REFUSE(clone3, ENOSYS),
	ALLOW(set_robust_list),
	ALLOW(rseq),
	ALLOW(sched_yield),
	ALLOW(sched_getaffinity),
	ALLOW(gettid),
	ALLOW(getpid),
	ALLOW(getpgrp),
	ALLOW(exit),
	ALLOW(exit_group),

	/* signals */
	ALLOW(rt_sigaction),
	ALLOW(rt_sigprocmask),
	ALLOW(rt_sigtimedwait),
	ALLOW(rt_sigreturn),
	ALLOW(sigaltstack),
	ALLOW(restart_syscall),

	/* The file of the control socket stays: the next one takes it over. */
	REFUSE(unlink, EACCES),

	/* The C library looks for files of its own, and gets along without them. */
	{ .call = SYS_openat, .refusal = EACCES, .arg = 2, .mask = O_ACCMODE, .value = O_RDONLY },
};

#define NR_RULES (sizeof(rules) / sizeof(*rules))

int vmm_confine(void)
{
	/* Signals to threads of ours, and to nobody else's. */
	const struct confine_rule own_threads = {
		.call = SYS_tgkill,
		.mask = ALL,
		.value = (uint32_t)getpid(),
	};
	struct confine_rule all[NR_RULES + 1];

	memcpy(all, rules, sizeof(rules));
	all[NR_RULES] = own_threads;
	return confine(all, NR_RULES + 1);
}
