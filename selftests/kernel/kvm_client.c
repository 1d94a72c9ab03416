/* SPDX-License-Identifier: GPL-2.0-only */
/* Our client on a kernel that has ioregionfd: what a server hands out is installed in KVM. */
#include <stdlib.h>
#include <unistd.h>

#include "iofd_install.h"
#include "ioregion_abi.h"
#include "ioregion_rig.h"
#include "kselftest_harness.h"

static_assert(IOREGION_ABI_SET == KVM_SET_IOREGION, "two headers, one interface");
static_assert(offsetof(struct ioregion_abi, flags) == offsetof(struct kvm_ioregion, flags), "");

FIXTURE(client) {
	struct ioregion_rig rig;
	struct iofd_installed *installed;
};

FIXTURE_SETUP(client)
{
	/* Each test has a guest of its own: install(). */
	self->rig = (struct ioregion_rig){ .server = -1, .kvm = -1 };
}

FIXTURE_TEARDOWN(client)
{
	iofd_forget(self->installed);
	ioregion_rig_close(&self->rig);
}

BARE_GUEST(accesses, "movl $7, 0x20(%rbx)\n movl 0x24(%rbx), %eax\n mov %rax, 0x1000(%rbx)\n");

/* A span of 8 bytes at 0x20 of the region, as a server would tell of it. */
static int install(FIXTURE_DATA(client) * self, uint32_t flags)
{
	const struct iofd_target target = {
		.device = "test",
		.region = 2,
		.size = 0x1000,
		.base = BARE_MMIO,
	};
	struct fpc_io_fds set = {
		.nr_entries = 1,
		.nr_fds = 1,
		.entries = calloc(1, sizeof(*set.entries)),
		.fds = calloc(1, sizeof(*set.fds)),
	};
	int ret = ioregion_rig_open(&self->rig, BARE_CODE(accesses));

	if (ret || !set.entries || !set.fds)
		return -1;
	set.fds[0] = dup(self->rig.kvm);
	set.entries[0] = (struct fpc_io_fd){
		.offset = 0x20,
		.size = 8,
		.type = FPC_IO_FD_IOREGIONFD,
		.flags = flags,
		.user_data = 3,
		.fd = set.fds[0],
		.shadow_fd = -1,
	};
	return iofd_install(self->rig.guest.machine->vm, &target, &set, &self->installed);
}

/* So many accesses have come to user space: the guest's result, and what was not sent. */
#define ENDS_AFTER(times)                                  \
	do {                                               \
		ASSERT_EQ(0, rig_end(&self->rig, 0));      \
		EXPECT_EQ(times, self->rig.guest.mmio.nr); \
	} while (0)

TEST_F(client, a_servers_span_is_an_ioregion)
{
	struct kvm_ioregion_cmd cmd;

	NEEDS_IOREGION();
	ASSERT_EQ(0, install(self, 0));
	EXPECT_EQ(1, self->installed->nr_roads);
	EXPECT_EQ(0, self->installed->nr_spans); /* of a stand-in */
	ASSERT_TRUE(rig_start(&self->rig, 0));
	ASSERT_TRUE(rig_take(self->rig.server, &cmd));
	EXPECT_EQ(3, cmd.user_data);
	EXPECT_EQ(0, cmd.offset);
	EXPECT_EQ(7, cmd.data);
	ASSERT_TRUE(rig_answer(self->rig.server, 0));
	ASSERT_TRUE(rig_take(self->rig.server, &cmd));
	EXPECT_EQ(4, cmd.offset);
	ASSERT_TRUE(rig_answer(self->rig.server, 0x55));
	ENDS_AFTER(1);
	EXPECT_TRUE(recorder_wrote(&self->rig.guest.mmio, 0, 0x1000, 8, 0x55));
}

TEST_F(client, one_with_posted_writes_too)
{
	struct kvm_ioregion_cmd cmd;

	NEEDS_IOREGION();
	ASSERT_EQ(0, install(self, KVM_IOREGION_POSTED_WRITES));
	ASSERT_TRUE(rig_start(&self->rig, 0));
	ASSERT_TRUE(rig_take(self->rig.server, &cmd));
	EXPECT_EQ(KVM_IOREGION_CMD_WRITE, cmd.cmd);
	ASSERT_TRUE(rig_take(self->rig.server, &cmd));
	EXPECT_EQ(KVM_IOREGION_CMD_READ, cmd.cmd);
	ASSERT_TRUE(rig_answer(self->rig.server, 0x55));
	ENDS_AFTER(1);
}

TEST_F(client, what_is_taken_out_again_is_exits)
{
	NEEDS_IOREGION();
	ASSERT_EQ(0, install(self, 0));
	iofd_uninstall(self->installed);
	self->installed = NULL;
	ASSERT_TRUE(rig_start(&self->rig, 0));
	ENDS_AFTER(3);
	EXPECT_TRUE(rig_quiet(self->rig.server));
}

TEST_HARNESS_MAIN
