/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's post-write ioeventfds: the value is in memory when the eventfd rings. */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bare_guest.h"
#include "ioregion_rig.h"
#include "kernel/kvm_ioregion.h"
#include "kselftest_harness.h"

#define PAGE_BYTES 0x1000u

FIXTURE(post_write) {
	struct bare_guest guest;
	uint8_t *page; /* of the VMM */
	int eventfd;
};

FIXTURE_SETUP(post_write)
{
	self->page =
		mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->page);
	self->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ASSERT_LE(0, self->eventfd);
}

FIXTURE_TEARDOWN(post_write)
{
	bare_guest_close(&self->guest);
	close(self->eventfd);
}

#define OPEN(name)                                                            \
	do {                                                                  \
		NEEDS_IOREGION();                                             \
		ASSERT_EQ(0, bare_guest_open(&self->guest, BARE_CODE(name))); \
	} while (0)

static int post(FIXTURE_DATA(post_write) * self, uint64_t addr, uint32_t len, const void *to,
		uint32_t flags)
{
	struct kvm_ioeventfd args = {
		.addr = addr,
		.len = len,
		.fd = self->eventfd,
		.flags = flags | KVM_IOEVENTFD_POST_WRITE,
	};
	uint64_t post_addr = (uintptr_t)to;

	memcpy((char *)&args + KVM_IOEVENTFD_POST_ADDR_OFFSET, &post_addr, sizeof(post_addr));
	return ioctl(self->guest.machine->vm->fd, KVM_IOEVENTFD, &args) ? -errno : 0;
}

static uint64_t rung(FIXTURE_DATA(post_write) * self)
{
	uint64_t times = 0;

	return read(self->eventfd, &times, sizeof(times)) == sizeof(times) ? times : 0;
}

BARE_GUEST(nothing, "");
BARE_GUEST(stores, "movb $0x11, (%rbx)\n"
		   "movw $0x2222, 8(%rbx)\n"
		   "movl $0x33333333, 16(%rbx)\n"
		   "mov $0x4444444444444444, %rax\n mov %rax, 24(%rbx)\n");

TEST_F(post_write, each_width_is_stored_and_no_byte_beyond_it)
{
	static const uint64_t expected[] = {
		0xffffffffffffff11,
		0xffffffffffff2222,
		0xffffffff33333333,
		0x4444444444444444,
	};

	OPEN(stores);
	memset(self->page, 0xff, PAGE_BYTES);
	for (uint32_t i = 0; i < 4; i++)
		ASSERT_EQ(0, post(self, BARE_MMIO + 8 * i, 1u << i, self->page + 8 * i, 0));
	ASSERT_EQ(0, bare_guest_run(&self->guest));
	EXPECT_EQ(0, memcmp(self->page, expected, sizeof(expected)));
	EXPECT_EQ(4, rung(self));
	EXPECT_EQ(0, self->guest.mmio.nr);
}

BARE_GUEST(loop, "mov $1000, %ecx\n 0: movl %ecx, (%rbx)\n loop 0b\n");

TEST_F(post_write, the_last_value_stays_and_every_store_rings)
{
	OPEN(loop);
	ASSERT_EQ(0, post(self, BARE_MMIO, 4, self->page, 0));
	ASSERT_EQ(0, bare_guest_run(&self->guest));
	EXPECT_EQ(1, *(uint32_t *)self->page);
	EXPECT_EQ(1000, rung(self));
}

BARE_GUEST(out, "mov $0x1234, %eax\n outw %ax, %dx\n");

TEST_F(post_write, ports_too)
{
	OPEN(out);
	ASSERT_EQ(0, post(self, BARE_PORT, 2, self->page, KVM_IOEVENTFD_FLAG_PIO));
	ASSERT_EQ(0, bare_guest_run(&self->guest));
	EXPECT_EQ(0x1234, *(uint64_t *)self->page);
	EXPECT_EQ(1, rung(self));
}

TEST_F(post_write, a_store_of_another_width_is_an_exit)
{
	OPEN(loop);
	ASSERT_EQ(0, post(self, BARE_MMIO, 8, self->page, 0));
	ASSERT_EQ(0, bare_guest_run(&self->guest));
	EXPECT_EQ(1000, self->guest.mmio.nr);
	EXPECT_EQ(0, rung(self));
}

TEST_F(post_write, where_nothing_is_mapped_the_store_is_an_exit)
{
	OPEN(loop);
	ASSERT_EQ(0, post(self, BARE_MMIO, 4, self->page, 0));
	ASSERT_EQ(0, munmap(self->page, PAGE_BYTES));
	ASSERT_EQ(0, bare_guest_run(&self->guest));
	EXPECT_EQ(1000, self->guest.mmio.nr);
	EXPECT_EQ(0, rung(self));
}

TEST_F(post_write, a_width_and_an_aligned_address_of_user_space_are_needed)
{
	OPEN(nothing);
	EXPECT_EQ(-EINVAL, post(self, BARE_MMIO, 0, self->page, 0));
	EXPECT_EQ(-EINVAL, post(self, BARE_MMIO, 4, NULL, 0));
	EXPECT_EQ(-EINVAL, post(self, BARE_MMIO, 4, self->page + 2, 0));
	EXPECT_EQ(-EINVAL, post(self, BARE_MMIO, 4, (void *)0xffff800000000000, 0));
	EXPECT_EQ(0, post(self, BARE_MMIO, 4, self->page + 4, 0));
}

TEST_F(post_write, it_goes_as_others_do)
{
	OPEN(loop);
	ASSERT_EQ(0, post(self, BARE_MMIO, 4, self->page, 0));
	EXPECT_EQ(-EEXIST, post(self, BARE_MMIO, 4, self->page + 8, 0));
	ASSERT_EQ(0, post(self, BARE_MMIO, 4, self->page, KVM_IOEVENTFD_FLAG_DEASSIGN));
	ASSERT_EQ(0, bare_guest_run(&self->guest));
	EXPECT_EQ(1000, self->guest.mmio.nr);
	EXPECT_EQ(0, *(uint32_t *)self->page);
}

TEST(a_kernel_without_it_refuses_the_flag)
{
	struct kvm_ioeventfd args = { .len = 4, .flags = KVM_IOEVENTFD_POST_WRITE };
	struct vm *vm;

	NEEDS_KVM();
	if (!ioregion_probe())
		SKIP(return, "this kernel has it");
	ASSERT_EQ(0, vm_open(&vm));
	args.fd = eventfd(0, EFD_CLOEXEC);
	EXPECT_EQ(-1, ioctl(vm->fd, KVM_IOEVENTFD, &args));
	EXPECT_EQ(EINVAL, errno);
	close(args.fd);
	vm_close(vm);
}

TEST_HARNESS_MAIN
