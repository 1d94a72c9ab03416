/* SPDX-License-Identifier: BSD-3-Clause */
#include "vm.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "cleanup.h"
#include "ioregion_abi.h"
#include "log.h"

/* Intel's VMX wants three pages for real mode, which no guest of ours stays in: above all RAM. */
#define TSS_ADDRESS 0xfffbd000ul

#define CPUID_1_ECX_VMX (1u << 5)
#define CPUID_80000001_ECX_SVM (1u << 2)

static const struct {
	int cap;
	const char *name;
} needed[] = {
	{ KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY" },
	{ KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD" },
	{ KVM_CAP_IOEVENTFD_ANY_LENGTH, "KVM_CAP_IOEVENTFD_ANY_LENGTH" },
	{ KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
};

/* VMX or SVM, as far as whoever is below lets it be seen; a KVM without either is rare. */
static bool cpu_can_virtualize(void)
{
	unsigned int eax, ebx, ecx, edx;

	if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) && ecx & CPUID_1_ECX_VMX)
		return true;
	return __get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) && ecx & CPUID_80000001_ECX_SVM;
}

static int open_kvm(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int err = errno;

	if (fd >= 0)
		return fd;
	if (err == ENOENT || err == ENODEV || err == ENXIO)
		log_error("/dev/kvm: %s: this host has no KVM%s", strerror(err),
			  cpu_can_virtualize() ? "" : ", and its CPU no virtualization");
	else if (err == EACCES || err == EPERM)
		log_error("/dev/kvm: %s: this user may not open it", strerror(err));
	else
		log_error("/dev/kvm: %s", strerror(err));
	return -err;
}

static int check_kvm(int fd)
{
	int version = ioctl(fd, KVM_GET_API_VERSION, 0);

	if (version != KVM_API_VERSION) {
		log_error("/dev/kvm: API version %d, not %d", version, KVM_API_VERSION);
		return -EPROTO;
	}
	for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++)
		if (ioctl(fd, KVM_CHECK_EXTENSION, needed[i].cap) <= 0) {
			log_error("/dev/kvm: this kernel's KVM has no %s", needed[i].name);
			return -ENOTSUP;
		}
	return 0;
}

static int create(struct vm *vm)
{
	int run_bytes;

	vm->fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, 0);
	if (vm->fd < 0) {
		int err = errno;

		log_error("KVM_CREATE_VM: %s", strerror(err));
		return -err;
	}
	run_bytes = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (run_bytes < (int)sizeof(struct kvm_run)) {
		log_error("KVM_GET_VCPU_MMAP_SIZE: %d", run_bytes);
		return -EPROTO;
	}
	vm->run_bytes = (size_t)run_bytes;
	return 0;
}

/*
 * In ring 3 an instruction that KVM can't emulate is by default the guest's own #UD, as if it did
 * not exist; we want to hear of it instead. Kernels before 5.15 can't tell.
 */
static void hear_of_emulation_failures(const struct vm *vm)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_EXIT_ON_EMULATION_FAILURE,
		.args = { 1 },
	};

	if (ioctl(vm->fd, KVM_ENABLE_CAP, &cap))
		log_debug("no KVM_CAP_EXIT_ON_EMULATION_FAILURE: %s", strerror(errno));
}

/*
 * A kernel that has it knows no such region; another does not know the ioctl, or knows it in its first
 * form, in which this is no call at all. Nothing changes either way.
 */
static bool probe_ioregion(const struct vm *vm)
{
	struct ioregion_abi unused = {
		.guest_paddr = TSS_ADDRESS,
		.memory_size = 8,
		.flags = IOREGION_ABI_DEASSIGN,
	};

	return ioctl(vm->fd, IOREGION_ABI_SET, &unused) < 0 && errno == ENOENT;
}

/* A flag that it does not know is EINVAL, before it looks at the fd; which is none. */
static bool probe_post_write(const struct vm *vm)
{
	struct kvm_ioeventfd none = {
		.addr = TSS_ADDRESS,
		.len = 8,
		.fd = -1,
		.flags = IOEVENTFD_ABI_POST_WRITE,
	};
	uint64_t somewhere = (uintptr_t)&somewhere;

	memcpy((uint8_t *)&none + IOEVENTFD_ABI_POST_ADDR, &somewhere, sizeof(somewhere));
	return ioctl(vm->fd, KVM_IOEVENTFD, &none) < 0 && errno == EBADF;
}

static int give_tss(const struct vm *vm)
{
	if (ioctl(vm->fd, KVM_SET_TSS_ADDR, TSS_ADDRESS)) {
		int err = errno;

		log_error("KVM_SET_TSS_ADDR: %s", strerror(err));
		return -err;
	}
	return 0;
}

int vm_open(struct vm **out)
{
	struct vm *vm = malloc(sizeof(*vm));
	int ret;

	if (!vm)
		return -ENOMEM;
	*vm = (struct vm){ .kvm_fd = open_kvm(), .fd = -1, .nr_slots = 1 };
	ret = vm->kvm_fd < 0 ? vm->kvm_fd : check_kvm(vm->kvm_fd);
	if (!ret)
		ret = create(vm);
	if (!ret)
		ret = give_tss(vm);
	if (ret) {
		vm_close(vm);
		return ret;
	}
	hear_of_emulation_failures(vm);
	vm->has_ioregion = probe_ioregion(vm);
	vm->has_post_write = probe_post_write(vm);
	*out = vm;
	return 0;
}

int vm_add_irqchip(struct vm *vm)
{
	/* The dummy: somebody has to answer port 0x61, by which Linux measures the TSC. */
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	const char *what = "KVM_CREATE_IRQCHIP";
	int ret = ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0);

	if (!ret) {
		what = "KVM_CREATE_PIT2";
		ret = ioctl(vm->fd, KVM_CREATE_PIT2, &pit);
	}
	if (ret) {
		int err = errno;

		log_error("%s: %s", what, strerror(err));
		return -err;
	}
	vm->has_irqchip = true;
	return 0;
}

void vm_set_irq(const struct vm *vm, unsigned int gsi, bool high)
{
	struct kvm_irq_level line = { .irq = gsi, .level = high };

	if (ioctl(vm->fd, KVM_IRQ_LINE, &line))
		log_debug("KVM_IRQ_LINE of GSI %u: %s", gsi, strerror(errno));
}

void vm_close(struct vm *vm)
{
	if (!vm)
		return;
	cleanup_close(&vm->fd);
	cleanup_close(&vm->kvm_fd);
	free(vm);
}

const char *vm_module(void)
{
	static const char *const modules[] = { "kvm_pvm", "kvm_intel", "kvm_amd" };
	char path[64];

	for (size_t i = 0; i < sizeof(modules) / sizeof(*modules); i++) {
		snprintf(path, sizeof(path), "/sys/module/%s", modules[i]);
		if (!access(path, F_OK))
			return modules[i];
	}
	return "unknown";
}
