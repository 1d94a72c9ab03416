/* SPDX-License-Identifier: GPL-2.0-only */
/* ioregionfd in the kernel: what happens while a vCPU waits for an answer. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "ioregion_rig.h"
#include "kselftest_harness.h"

#define REGION_BYTES 0x1000u
#define RESULTS "0x1000"
#define POSTED KVM_IOREGION_POSTED_WRITES

FIXTURE(ioregion_wait) {
	struct ioregion_rig rig;
	struct kvm_ioregion_cmd cmd;
};

FIXTURE_SETUP(ioregion_wait)
{
	/* Each test has a guest of its own: OPEN(). */
	self->rig = (struct ioregion_rig){ .server = -1, .kvm = -1 };
}

FIXTURE_TEARDOWN(ioregion_wait)
{
	ioregion_rig_close(&self->rig);
}

#define OPEN(name)                                                            \
	do {                                                                  \
		NEEDS_IOREGION();                                             \
		ASSERT_EQ(0, ioregion_rig_open(&self->rig, BARE_CODE(name))); \
	} while (0)

#define ASSIGN(flags) ASSERT_EQ(0, rig_assign(&self->rig, BARE_MMIO, REGION_BYTES, flags))
#define START(n) ASSERT_TRUE(rig_start(&self->rig, n))
#define END(n) ASSERT_EQ(0, rig_end(&self->rig, n))
#define TAKE() ASSERT_TRUE(rig_take(self->rig.server, &self->cmd))
#define ANSWER(data) ASSERT_TRUE(rig_answer(self->rig.server, data))
#define EXPECT_QUIET() EXPECT_TRUE(rig_quiet(self->rig.server))
#define EXPECT_RESULT(value) EXPECT_TRUE(recorder_wrote(&self->rig.guest.mmio, 0, 0x1000, 8, value))

/* KVM_RUN of vCPU n returns to user space, with the access not done. */
#define KICK(n)                                            \
	do {                                               \
		rig_kick(&self->rig, n);                   \
		ASSERT_EQ(-EINTR, rig_end(&self->rig, n)); \
	} while (0)

BARE_GUEST(load, "mov 0x10(%rbx), %rax\n mov %rax, " RESULTS "(%rbx)\n");
BARE_GUEST(load_elsewhere, "mov 0x20(%rbx), %rax\n");
BARE_GUEST(store, "movl $7, 0x10(%rbx)\n mov %rbx, " RESULTS "(%rbx)\n");

/* ---- signals ---- */

TEST_F(ioregion_wait, a_signal_ends_the_run_and_the_next_resumes_the_same_load)
{
	OPEN(load);
	ASSIGN(0);
	START(0);
	TAKE();
	KICK(0);
	EXPECT_EQ(0, self->rig.guest.mmio.nr);
	START(0);
	ANSWER(9);
	END(0);
	EXPECT_QUIET();
	EXPECT_RESULT(9);
}

TEST_F(ioregion_wait, an_answer_that_comes_between_two_runs_is_taken_by_the_next)
{
	OPEN(load);
	ASSIGN(0);
	START(0);
	TAKE();
	KICK(0);
	ANSWER(9);
	START(0);
	END(0);
	EXPECT_QUIET();
	EXPECT_RESULT(9);
}

TEST_F(ioregion_wait, a_store_is_not_sent_twice_however_often_it_is_interrupted)
{
	OPEN(store);
	ASSIGN(0);
	START(0);
	TAKE();
	for (unsigned int i = 0; i < 5; i++) {
		EXPECT_TRUE(rig_disturb(&self->rig, 0));
		KICK(0);
		EXPECT_QUIET();
		START(0);
	}
	ANSWER(0);
	END(0);
	EXPECT_QUIET();
	EXPECT_EQ(1, self->rig.guest.mmio.nr);
}

TEST_F(ioregion_wait, a_run_that_is_to_exit_at_once_does_not_wait)
{
	OPEN(load);
	ASSIGN(0);
	START(0);
	TAKE();
	KICK(0);
	vcpu_kick(self->rig.vcpus[0].vcpu);
	START(0);
	ASSERT_EQ(-EINTR, rig_end(&self->rig, 0));
	EXPECT_QUIET();
	START(0);
	ANSWER(9);
	END(0);
	EXPECT_RESULT(9);
}

BARE_GUEST(string_in, "mov $0x280000, %edi\n mov $3, %ecx\n rep insw\n"
		      "mov -6(%rdi), %rax\n mov %rax, " RESULTS "(%rbx)\n");

TEST_F(ioregion_wait, a_string_is_resumed_at_the_element_that_was_interrupted)
{
	OPEN(string_in);
	ASSERT_EQ(0, rig_assign(&self->rig, BARE_PORT, BARE_PORT_BYTES, KVM_IOREGION_PIO));
	START(0);
	TAKE();
	ANSWER(0x1111);
	TAKE();
	KICK(0);
	EXPECT_QUIET();
	START(0);
	ANSWER(0x2222);
	TAKE();
	ANSWER(0x3333);
	END(0);
	EXPECT_QUIET();
	EXPECT_EQ(0, self->rig.guest.pio.nr);
	EXPECT_RESULT(0x333322221111);
}

BARE_GUEST(flood, "mov $1000, %ecx\n 0: movl %ecx, 8(%rbx)\n loop 0b\n");

TEST_F(ioregion_wait, a_posted_write_that_was_blocked_is_sent_once)
{
	OPEN(flood);
	ASSIGN(POSTED);
	START(0);
	ASSERT_TRUE(rig_asleep(&self->rig, 0));
	KICK(0);
	START(0);
	ASSERT_TRUE(rig_asleep(&self->rig, 0));
	EXPECT_TRUE(rig_disturb(&self->rig, 0));
	for (unsigned int i = 1000; i; i--) {
		TAKE();
		ASSERT_EQ(i, self->cmd.data);
	}
	END(0);
	EXPECT_QUIET();
}

TEST_F(ioregion_wait, a_server_that_dies_between_two_runs_leaves_an_exit)
{
	OPEN(load);
	ASSIGN(0);
	self->rig.guest.mmio.answer = 5;
	START(0);
	TAKE();
	KICK(0);
	shutdown(self->rig.server, SHUT_RDWR);
	START(0);
	END(0);
	EXPECT_TRUE(recorder_read(&self->rig.guest.mmio, 0, 0x10, 8));
	EXPECT_TRUE(recorder_wrote(&self->rig.guest.mmio, 1, 0x1000, 8, 5));
}

BARE_GUEST(even_pieces, "mov $0x7766554433221100, %rax\n mov %rax, 0xffc(%rbx)\n");

TEST_F(ioregion_wait, an_interrupted_half_of_a_store_is_followed_by_the_other)
{
	OPEN(even_pieces);
	ASSERT_EQ(0, rig_assign(&self->rig, BARE_MMIO, 0x2000, 0));
	START(0);
	TAKE();
	EXPECT_EQ(0xffc, self->cmd.offset);
	KICK(0);
	EXPECT_QUIET();
	START(0);
	ANSWER(0);
	TAKE();
	EXPECT_EQ(0x1000, self->cmd.offset);
	EXPECT_EQ(0x77665544, self->cmd.data);
	KICK(0);
	START(0);
	ANSWER(0);
	END(0);
	EXPECT_QUIET();
	EXPECT_EQ(0, self->rig.guest.mmio.nr);
}

TEST_F(ioregion_wait, an_fd_that_does_not_block_is_waited_for_all_the_same)
{
	OPEN(load);
	ASSERT_EQ(0, fcntl(self->rig.kvm, F_SETFL, O_NONBLOCK));
	ASSIGN(0);
	START(0);
	TAKE();
	ASSERT_TRUE(rig_asleep(&self->rig, 0));
	ANSWER(9);
	END(0);
	EXPECT_RESULT(9);
}

TEST_F(ioregion_wait, a_deadline_of_the_socket_makes_an_exit_and_ends_the_use_of_the_fd)
{
	const struct timeval soon = { .tv_usec = 10000 };

	OPEN(load);
	ASSERT_EQ(0, setsockopt(self->rig.kvm, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)));
	ASSIGN(0);
	ASSERT_EQ(0, rig_assign(&self->rig, BARE_MMIO + REGION_BYTES, REGION_BYTES, 0));
	START(0);
	END(0);
	TAKE();
	EXPECT_EQ(KVM_IOREGION_CMD_READ, self->cmd.cmd);
	EXPECT_QUIET();
	EXPECT_EQ(2, self->rig.guest.mmio.nr);
}

/* ---- several vCPUs ---- */

TEST_F(ioregion_wait, an_fd_has_one_command_in_flight_whichever_vcpu_it_is_of)
{
	OPEN(load);
	ASSERT_EQ(0, ioregion_rig_add(&self->rig, BARE_CODE(load_elsewhere)));
	ASSIGN(0);
	START(0);
	TAKE();
	EXPECT_EQ(0x10, self->cmd.offset);
	START(1);
	ASSERT_TRUE(rig_asleep(&self->rig, 1));
	EXPECT_QUIET();
	ANSWER(9);
	TAKE();
	EXPECT_EQ(0x20, self->cmd.offset);
	ANSWER(0);
	END(0);
	END(1);
	EXPECT_RESULT(9);
}

TEST_F(ioregion_wait, an_fd_has_one_command_in_flight_whichever_region_it_is_of)
{
	OPEN(load);
	ASSERT_EQ(0, ioregion_rig_add(&self->rig, BARE_CODE(load_elsewhere)));
	ASSERT_EQ(0, rig_assign(&self->rig, BARE_MMIO, 0x20, 0));
	ASSERT_EQ(0, rig_assign(&self->rig, BARE_MMIO + 0x20, 0x20, 0));
	START(0);
	TAKE();
	START(1);
	ASSERT_TRUE(rig_asleep(&self->rig, 1));
	EXPECT_QUIET();
	ANSWER(9);
	TAKE();
	ANSWER(0);
	END(0);
	END(1);
	EXPECT_RESULT(9);
}

TEST_F(ioregion_wait, an_fd_stays_busy_while_its_vcpu_is_in_user_space)
{
	OPEN(load);
	ASSERT_EQ(0, ioregion_rig_add(&self->rig, BARE_CODE(load_elsewhere)));
	ASSIGN(0);
	START(0);
	TAKE();
	KICK(0);
	START(1);
	ASSERT_TRUE(rig_asleep(&self->rig, 1));
	EXPECT_QUIET();
	ANSWER(9);
	ASSERT_TRUE(rig_asleep(&self->rig, 1));
	EXPECT_QUIET();
	START(0);
	TAKE();
	EXPECT_EQ(0x20, self->cmd.offset);
	ANSWER(0);
	END(0);
	END(1);
	EXPECT_RESULT(9);
}

TEST_F(ioregion_wait, different_fds_are_served_in_parallel)
{
	struct kvm_ioregion_cmd other;
	int pair[2];

	OPEN(load);
	ASSERT_EQ(0, ioregion_rig_add(&self->rig, BARE_CODE(load_elsewhere)));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
	ASSERT_EQ(0, rig_assign(&self->rig, BARE_MMIO, 0x20, 0));
	ASSERT_EQ(0, rig_assign_fd(&self->rig, BARE_MMIO + 0x20, 0x20, 0, pair[1]));
	START(0);
	TAKE();
	START(1);
	ASSERT_TRUE(rig_take(pair[0], &other));
	ASSERT_TRUE(rig_answer(pair[0], 1));
	END(1);
	ANSWER(9);
	END(0);
	EXPECT_RESULT(9);
}

/* ---- what can be done meanwhile ---- */

static int set_slot(struct ioregion_rig *rig, void *memory, uint64_t size)
{
	struct kvm_userspace_memory_region slot = {
		.slot = 5,
		.guest_phys_addr = 0x80000000,
		.memory_size = size,
		.userspace_addr = (uintptr_t)memory,
	};

	return ioctl(rig->guest.machine->vm->fd, KVM_SET_USER_MEMORY_REGION, &slot) ? -errno : 0;
}

TEST_F(ioregion_wait, memory_slots_ioeventfds_and_regions_change_while_a_vcpu_waits)
{
	void *memory = mmap(NULL, 0x1000, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, memory);
	OPEN(load);
	ASSIGN(0);
	START(0);
	TAKE();
	EXPECT_EQ(0, set_slot(&self->rig, memory, 0x1000));
	EXPECT_EQ(0, set_slot(&self->rig, memory, 0));
	EXPECT_EQ(0, rig_assign_eventfd(&self->rig, 0x1000, 4, 0));
	EXPECT_EQ(0, rig_assign(&self->rig, 0x2000, 8, POSTED));
	EXPECT_EQ(0, rig_deassign(&self->rig, 0x2000, 8, POSTED));
	ANSWER(9);
	END(0);
	EXPECT_RESULT(9);
}

TEST_F(ioregion_wait, a_command_outlives_its_region_and_keeps_its_turn_on_the_fd)
{
	OPEN(load);
	ASSERT_EQ(0, ioregion_rig_add(&self->rig, BARE_CODE(load_elsewhere)));
	ASSIGN(0);
	START(0);
	TAKE();
	ASSERT_EQ(0, rig_deassign(&self->rig, BARE_MMIO, REGION_BYTES, 0));
	ASSERT_EQ(0, rig_assign(&self->rig, BARE_MMIO + 0x20, 8, 0));
	START(1);
	ASSERT_TRUE(rig_asleep(&self->rig, 1));
	EXPECT_QUIET();
	ANSWER(9);
	TAKE();
	EXPECT_EQ(0, self->cmd.offset);
	ANSWER(0);
	END(0);
	END(1);
	EXPECT_RESULT(9);
}

TEST_F(ioregion_wait, what_waits_for_its_turn_when_the_region_goes_is_an_exit)
{
	OPEN(load);
	ASSERT_EQ(0, ioregion_rig_add(&self->rig, BARE_CODE(load_elsewhere)));
	ASSIGN(0);
	START(0);
	TAKE();
	START(1);
	ASSERT_TRUE(rig_asleep(&self->rig, 1));
	ASSERT_EQ(0, rig_deassign(&self->rig, BARE_MMIO, REGION_BYTES, 0));
	ANSWER(9);
	END(0);
	END(1);
	EXPECT_QUIET();
}

/* ---- the end ---- */

TEST_F(ioregion_wait, a_vm_can_be_closed_with_a_command_that_was_never_answered)
{
	OPEN(load);
	ASSIGN(0);
	START(0);
	TAKE();
	KICK(0);
	bare_guest_close(&self->rig.guest);
	self->rig.guest = (struct bare_guest){ 0 };
	close(self->rig.kvm);
	self->rig.kvm = -1;
	EXPECT_TRUE(rig_gone(self->rig.server));
}

TEST_F(ioregion_wait, a_process_can_be_killed_with_vcpus_waiting)
{
	int pair[2], status;
	pid_t child;

	NEEDS_IOREGION();
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
	child = fork();
	if (!child) {
		close(pair[0]);
		if (ioregion_rig_open(&self->rig, BARE_CODE(load)) ||
		    ioregion_rig_add(&self->rig, BARE_CODE(load_elsewhere)) ||
		    rig_assign_fd(&self->rig, BARE_MMIO, REGION_BYTES, 0, pair[1]) ||
		    !rig_start(&self->rig, 0) || !rig_asleep(&self->rig, 0) ||
		    !rig_start(&self->rig, 1))
			_exit(1);
		rig_end(&self->rig, 1);
		_exit(2);
	}
	ASSERT_LT(0, child);
	close(pair[1]);
	ASSERT_TRUE(rig_take(pair[0], &self->cmd));
	ASSERT_EQ(0, kill(child, SIGKILL));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(SIGKILL, WTERMSIG(status));
	EXPECT_TRUE(rig_gone(pair[0]));
}

TEST_HARNESS_MAIN
