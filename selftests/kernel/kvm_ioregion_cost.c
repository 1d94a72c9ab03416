/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kernel's ways for a store to reach another thread cost the guest that waits for it. Told,
 * not judged: what is tested is that each store arrives once, in order, without an exit.
 */
#include <inttypes.h>
#include <linux/kvm.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "ioregion_rig.h"
#include "kselftest_harness.h"

#define STORES 10000u

FIXTURE(ioregion_cost) {
	struct ioregion_rig rig;
	pthread_t server;
	bool answer;
	uint32_t last;	 /* the value of the last command, before the first STORES + 1 */
	uint32_t served; /* commands that followed in order */
};

FIXTURE_SETUP(ioregion_cost)
{
	self->rig = (struct ioregion_rig){ .server = -1, .kvm = -1 };
	self->last = STORES + 1;
}

FIXTURE_TEARDOWN(ioregion_cost)
{
	ioregion_rig_close(&self->rig);
}

BARE_GUEST(stores, "mov $10000, %ecx\n 0: movl %ecx, (%rbx)\n loop 0b\n");

/* A server as plain as can be. It ends with the guest's last store. */
static void *serve(void *opaque)
{
	FIXTURE_DATA(ioregion_cost) *self = opaque;
	struct kvm_ioregion_cmd cmd;

	while (self->last > 1 && rig_take(self->rig.server, &cmd)) {
		self->served += cmd.data == self->last - 1;
		self->last = (uint32_t)cmd.data;
		if (self->answer && !rig_answer(self->rig.server, 0))
			break;
	}
	return NULL;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Runs the guest to its end: what a store took, in nanoseconds. */
static uint64_t run_ns(struct ioregion_rig *rig)
{
	uint64_t start = now_ns();

	if (bare_guest_run(&rig->guest) || !rig->guest.payload->exited)
		return 0;
	return (now_ns() - start) / STORES;
}

static void serve_stores(struct __test_metadata *_metadata, FIXTURE_DATA(ioregion_cost) * self,
			 uint32_t flags, const char *what)
{
	uint64_t ns, exits;

	self->answer = !flags;
	ASSERT_EQ(0, rig_assign(&self->rig, BARE_MMIO, 4, flags));
	ASSERT_EQ(0, pthread_create(&self->server, NULL, serve, self));
	ns = run_ns(&self->rig);
	ASSERT_EQ(0, pthread_join(self->server, NULL));
	TH_LOG("%" PRIu64 " ns: %s", ns, what);
	EXPECT_NE(0, ns);
	EXPECT_EQ(STORES, self->served);
	/* The guest's last store, and KVM agrees. */
	EXPECT_EQ(1, vcpu_exits(self->rig.vcpus[0].vcpu)->all);
	ASSERT_EQ(0, vcpu_stat(self->rig.vcpus[0].vcpu, "mmio_exits", &exits));
	EXPECT_EQ(1, exits);
}

#define OPEN()                                                                  \
	do {                                                                    \
		NEEDS_IOREGION();                                               \
		ASSERT_EQ(0, ioregion_rig_open(&self->rig, BARE_CODE(stores))); \
	} while (0)

TEST_F(ioregion_cost, an_exit_to_user_space_that_tells_nobody)
{
	uint64_t ns;

	OPEN();
	ns = run_ns(&self->rig);
	TH_LOG("%" PRIu64 " ns: an exit", ns);
	EXPECT_EQ(STORES, self->rig.guest.mmio.nr);
}

TEST_F(ioregion_cost, an_ioeventfd_that_nobody_reads)
{
	struct kvm_ioeventfd args = { .addr = BARE_MMIO, .len = 4 };
	uint64_t ns, rung;

	OPEN();
	args.fd = eventfd(0, EFD_CLOEXEC);
	ASSERT_EQ(0, ioctl(self->rig.guest.machine->vm->fd, KVM_IOEVENTFD, &args));
	ns = run_ns(&self->rig);
	TH_LOG("%" PRIu64 " ns: an ioeventfd", ns);
	EXPECT_EQ(sizeof(rung), read(args.fd, &rung, sizeof(rung)));
	EXPECT_EQ(STORES, rung);
	close(args.fd);
}

TEST_F(ioregion_cost, a_posted_write_to_an_ioregion)
{
	OPEN();
	serve_stores(_metadata, self, KVM_IOREGION_POSTED_WRITES, "a posted write");
}

TEST_F(ioregion_cost, a_write_to_an_ioregion_that_is_answered)
{
	OPEN();
	serve_stores(_metadata, self, 0, "a write that is answered");
}

TEST_HARNESS_MAIN
