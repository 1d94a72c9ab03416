/* SPDX-License-Identifier: GPL-2.0-only */
/* ioregionfd in the kernel: which accesses become commands, in which form, and what is refused. */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include "ioregion_rig.h"
#include "kselftest_harness.h"

#define REGION_BYTES 0x1000u
#define RESULTS "0x1000" /* of the guests: behind the region, where the recorder has them */
#define PIO KVM_IOREGION_PIO
#define POSTED KVM_IOREGION_POSTED_WRITES

FIXTURE(ioregion) {
	struct ioregion_rig rig;
};

FIXTURE_SETUP(ioregion)
{
	/* Each test has a guest of its own: OPEN(). */
	self->rig = (struct ioregion_rig){ .server = -1, .kvm = -1 };
}

FIXTURE_TEARDOWN(ioregion)
{
	ioregion_rig_close(&self->rig);
}

#define OPEN(name)                                                            \
	do {                                                                  \
		NEEDS_IOREGION();                                             \
		ASSERT_EQ(0, ioregion_rig_open(&self->rig, BARE_CODE(name))); \
	} while (0)

#define ASSIGN(flags) ASSERT_EQ(0, rig_assign(&self->rig, BARE_MMIO, REGION_BYTES, flags))
#define ASSIGN_PORTS(flags) \
	ASSERT_EQ(0, rig_assign(&self->rig, BARE_PORT, BARE_PORT_BYTES, (flags) | PIO))
#define START() ASSERT_TRUE(rig_start(&self->rig, 0))
#define END() ASSERT_EQ(0, rig_end(&self->rig, 0))
#define ANSWER(data) ASSERT_TRUE(rig_answer(self->rig.server, data))

/* The next command, or the end of the test. */
#define TAKE(taken) ASSERT_TRUE(rig_take(self->rig.server, taken))

static bool is(const struct kvm_ioregion_cmd *cmd, uint8_t what, uint64_t offset, unsigned int len,
	       bool resp, uint64_t data)
{
	const struct kvm_ioregion_cmd expected = {
		.cmd = what,
		.size_exponent = (uint8_t)__builtin_ctz(len) & 0xf,
		.resp = resp,
		.user_data = RIG_USER_DATA,
		.offset = offset,
		.data = data,
	};

	return !memcmp(cmd, &expected, sizeof(expected));
}

#define IS_READ(cmd, offset, len) is(cmd, KVM_IOREGION_CMD_READ, offset, len, true, 0)
#define IS_WRITE(cmd, offset, len, data) is(cmd, KVM_IOREGION_CMD_WRITE, offset, len, true, data)
#define IS_POSTED(cmd, offset, len, data) is(cmd, KVM_IOREGION_CMD_WRITE, offset, len, false, data)

/* ---- is it there ---- */

BARE_GUEST(nothing, "");

TEST(a_probe_finds_it_in_our_kernel_and_in_no_other)
{
	struct utsname name;

	NEEDS_KVM();
	ASSERT_EQ(0, uname(&name));
	EXPECT_EQ(strstr(name.release, "ioregion") ? 0 : -ENOTTY, ioregion_probe());
}

/* ---- commands ---- */

BARE_GUEST(loads, "xor %eax, %eax\n"
		  "movb 0x11(%rbx), %al\n mov %rax, " RESULTS "(%rbx)\n"
		  "movw 0x22(%rbx), %ax\n mov %rax, " RESULTS "(%rbx)\n"
		  "movl 0x34(%rbx), %eax\n mov %rax, " RESULTS "(%rbx)\n"
		  "mov 0xff8(%rbx), %rax\n mov %rax, " RESULTS "(%rbx)\n");

static const uint64_t read_at[] = { 0x11, 0x22, 0x34, 0xff8 };

TEST_F(ioregion, loads_of_1_2_4_and_8_bytes_are_commands_and_get_the_answers)
{
	static const uint64_t expected[] = { 0x11, 0x2211, 0x44332211, 0x8877665544332211 };
	struct kvm_ioregion_cmd cmd;

	OPEN(loads);
	ASSIGN(0);
	START();
	for (unsigned int i = 0; i < 4; i++) {
		TAKE(&cmd);
		EXPECT_TRUE(IS_READ(&cmd, read_at[i], 1u << i));
		ANSWER(0x8877665544332211);
	}
	END();
	EXPECT_EQ(4, self->rig.guest.mmio.nr);
	for (unsigned int i = 0; i < 4; i++)
		EXPECT_TRUE(recorder_wrote(&self->rig.guest.mmio, i, 0x1000, 8, expected[i]));
}

BARE_GUEST(stores, "movb $0x11, 1(%rbx)\n"
		   "movw $0x2222, 2(%rbx)\n"
		   "movl $0x33333333, 4(%rbx)\n"
		   "mov $0x4444444444444444, %rax\n mov %rax, 8(%rbx)\n"
		   "mov %rax, " RESULTS "(%rbx)\n");

static const struct {
	uint64_t offset;
	unsigned int len;
	uint64_t value;
} stored[] = {
	{ 1, 1, 0x11 },
	{ 2, 2, 0x2222 },
	{ 4, 4, 0x33333333 },
	{ 8, 8, 0x4444444444444444 },
};

TEST_F(ioregion, stores_of_1_2_4_and_8_bytes_are_commands_with_the_value_and_wait_for_the_answer)
{
	struct kvm_ioregion_cmd cmd;

	OPEN(stores);
	ASSIGN(0);
	START();
	for (unsigned int i = 0; i < 4; i++) {
		TAKE(&cmd);
		EXPECT_TRUE(IS_WRITE(&cmd, stored[i].offset, stored[i].len, stored[i].value));
		EXPECT_TRUE(rig_asleep(&self->rig, 0));
		EXPECT_TRUE(rig_quiet(self->rig.server));
		ANSWER(0xdead);
	}
	END();
	EXPECT_EQ(1, self->rig.guest.mmio.nr);
	EXPECT_EQ(2, vcpu_exits(self->rig.vcpus[0].vcpu)->all);
}

TEST_F(ioregion, the_offset_counts_from_the_region_and_user_data_tells_regions_apart)
{
	struct kvm_ioregion other = {
		.guest_paddr = BARE_MMIO + 8,
		.memory_size = 8,
		.user_data = 7,
		.flags = POSTED,
	};
	struct kvm_ioregion_cmd cmd;

	OPEN(stores);
	other.read_fd = other.write_fd = self->rig.kvm;
	ASSERT_EQ(0, rig_assign(&self->rig, BARE_MMIO + 4, 4, POSTED));
	ASSERT_EQ(0, ioctl(self->rig.guest.machine->vm->fd, KVM_SET_IOREGION, &other));
	START();
	TAKE(&cmd);
	EXPECT_TRUE(IS_POSTED(&cmd, 0, 4, 0x33333333));
	TAKE(&cmd);
	EXPECT_EQ(7, cmd.user_data);
	EXPECT_EQ(0, cmd.offset);
	END();
	EXPECT_EQ(3, self->rig.guest.mmio.nr);
}

BARE_GUEST(ports, "mov $0x11223344, %eax\n"
		  "outb %al, %dx\n outw %ax, %dx\n outl %eax, %dx\n"
		  "add $4, %dx\n xor %eax, %eax\n"
		  "inb %dx, %al\n mov %rax, " RESULTS "(%rbx)\n"
		  "inw %dx, %ax\n mov %rax, " RESULTS "(%rbx)\n"
		  "inl %dx, %eax\n mov %rax, " RESULTS "(%rbx)\n");

TEST_F(ioregion, ports_are_commands_too)
{
	static const uint64_t out[] = { 0x44, 0x3344, 0x11223344 };
	static const uint64_t in[] = { 0x88, 0x7788, 0x55667788 };
	struct kvm_ioregion_cmd cmd;

	OPEN(ports);
	ASSIGN_PORTS(0);
	START();
	for (unsigned int i = 0; i < 6; i++) {
		TAKE(&cmd);
		EXPECT_TRUE(i < 3 ? IS_WRITE(&cmd, 0, 1u << i, out[i]) :
				    IS_READ(&cmd, 4, 1u << (i - 3)));
		ANSWER(0x55667788);
	}
	END();
	EXPECT_EQ(0, self->rig.guest.pio.nr);
	for (unsigned int i = 0; i < 3; i++)
		EXPECT_TRUE(recorder_wrote(&self->rig.guest.mmio, i, 0x1000, 8, in[i]));
}

BARE_GUEST(string_out, "lea 0f(%rip), %rsi\n mov $3, %ecx\n rep outsw\n jmp 1f\n"
		       "0: .ascii \"aabbcc\"\n"
		       "1:\n");

TEST_F(ioregion, a_string_output_is_a_command_for_each_element)
{
	struct kvm_ioregion_cmd cmd;

	OPEN(string_out);
	ASSIGN_PORTS(POSTED);
	START();
	for (unsigned int i = 0; i < 3; i++) {
		TAKE(&cmd);
		EXPECT_TRUE(IS_POSTED(&cmd, 0, 2, 0x6161 + 0x101 * i));
	}
	END();
}

/* KVM reads ahead: all elements are one exit. */
BARE_GUEST(string_in, "mov $0x280000, %edi\n mov $3, %ecx\n rep insw\n"
		      "mov -6(%rdi), %rax\n mov %rax, " RESULTS "(%rbx)\n");

TEST_F(ioregion, a_string_input_is_a_command_for_each_element)
{
	struct kvm_ioregion_cmd cmd;

	OPEN(string_in);
	ASSIGN_PORTS(0);
	START();
	for (unsigned int i = 0; i < 3; i++) {
		TAKE(&cmd);
		EXPECT_TRUE(IS_READ(&cmd, 0, 2));
		ANSWER(0xff1111 * (i + 1));
	}
	END();
	EXPECT_TRUE(recorder_wrote(&self->rig.guest.mmio, 0, 0x1000, 8, 0x333322221111));
}

TEST_F(ioregion, what_a_dead_server_leaves_of_a_string_is_for_user_space)
{
	struct kvm_ioregion_cmd cmd;

	OPEN(string_in);
	ASSIGN_PORTS(0);
	self->rig.guest.pio.answer = 0x9999;
	START();
	TAKE(&cmd);
	ANSWER(0x1111);
	TAKE(&cmd);
	shutdown(self->rig.server, SHUT_RDWR);
	END();
	EXPECT_EQ(2, self->rig.guest.pio.nr);
	EXPECT_TRUE(recorder_wrote(&self->rig.guest.mmio, 0, 0x1000, 8, 0x999999991111));
}

BARE_GUEST(sse, "mov $0x7766554433221100, %rax\n movq %rax, %xmm0\n"
		"punpcklqdq %xmm0, %xmm0\n movdqu %xmm0, 0x10(%rbx)\n");

TEST_F(ioregion, a_store_of_16_bytes_is_two_commands_of_8)
{
	struct kvm_ioregion_cmd cmd;

	OPEN(sse);
	ASSIGN(0);
	START();
	for (unsigned int i = 0; i < 2; i++) {
		TAKE(&cmd);
		EXPECT_TRUE(IS_WRITE(&cmd, 0x10 + 8 * i, 8, 0x7766554433221100));
		ANSWER(0);
	}
	END();
	EXPECT_EQ(0, self->rig.guest.mmio.nr);
}

/* ---- posted writes ---- */

TEST_F(ioregion, posted_writes_wait_for_no_answer_and_keep_their_order)
{
	struct kvm_ioregion_cmd cmd;

	OPEN(stores);
	ASSIGN(POSTED);
	START();
	END();
	for (unsigned int i = 0; i < 4; i++) {
		TAKE(&cmd);
		EXPECT_TRUE(IS_POSTED(&cmd, stored[i].offset, stored[i].len, stored[i].value));
	}
	EXPECT_TRUE(rig_quiet(self->rig.server));
}

TEST_F(ioregion, reads_of_a_region_with_posted_writes_are_answered)
{
	struct kvm_ioregion_cmd cmd;

	OPEN(loads);
	ASSIGN(POSTED);
	START();
	for (unsigned int i = 0; i < 4; i++) {
		TAKE(&cmd);
		EXPECT_TRUE(IS_READ(&cmd, read_at[i], 1u << i));
		ANSWER(0x42);
	}
	END();
	EXPECT_TRUE(recorder_wrote(&self->rig.guest.mmio, 3, 0x1000, 8, 0x42));
}

BARE_GUEST(flood, "mov $1000, %ecx\n 0: movl %ecx, 8(%rbx)\n loop 0b\n");

TEST_F(ioregion, posted_writes_block_when_the_socket_is_full_and_none_is_lost)
{
	struct kvm_ioregion_cmd cmd;

	OPEN(flood);
	ASSIGN(POSTED);
	START();
	EXPECT_TRUE(rig_asleep(&self->rig, 0));
	for (unsigned int i = 1000; i; i--) {
		TAKE(&cmd);
		ASSERT_TRUE(IS_POSTED(&cmd, 8, 4, i));
	}
	END();
	EXPECT_TRUE(rig_quiet(self->rig.server));
}

BARE_GUEST(any_width, "movb $1, (%rbx)\n movl $2, (%rbx)\n mov %rbx, (%rbx)\n movl $3, 4(%rbx)\n"
		      "mov $-1, %rax\n mov (%rbx), %rax\n mov %rax, " RESULTS "(%rbx)\n");

TEST_F(ioregion, size_0_is_one_address_at_any_width_and_tells_no_value_nor_waits)
{
	struct kvm_ioregion_cmd cmd;

	OPEN(any_width);
	ASSERT_EQ(0, rig_assign(&self->rig, BARE_MMIO, 0, POSTED));
	START();
	END();
	for (unsigned int i = 0; i < 3; i++) {
		TAKE(&cmd);
		EXPECT_TRUE(IS_POSTED(&cmd, 0, 1, 0));
	}
	TAKE(&cmd);
	EXPECT_TRUE(is(&cmd, KVM_IOREGION_CMD_READ, 0, 1, false, 0));
	EXPECT_TRUE(rig_quiet(self->rig.server));
	EXPECT_EQ(2, self->rig.guest.mmio.nr);
	EXPECT_TRUE(recorder_wrote(&self->rig.guest.mmio, 0, 4, 4, 3));
	EXPECT_TRUE(recorder_wrote(&self->rig.guest.mmio, 1, 0x1000, 8, 0));
}

/* ---- what stays an exit ---- */

BARE_GUEST(beyond, "mov $0x7766554433221100, %rax\n mov %rax, 0xc(%rbx)\n");

TEST_F(ioregion, a_store_that_crosses_the_end_of_the_region_is_an_exit)
{
	OPEN(beyond);
	ASSERT_EQ(0, rig_assign(&self->rig, BARE_MMIO, 0x10, POSTED));
	START();
	END();
	EXPECT_TRUE(recorder_wrote(&self->rig.guest.mmio, 0, 0xc, 8, 0x7766554433221100));
	EXPECT_TRUE(rig_quiet(self->rig.server));
}

BARE_GUEST(odd_pieces, "mov $0x7766554433221100, %rax\n mov %rax, 0xffd(%rbx)\n");

TEST_F(ioregion, a_store_across_pages_as_3_and_5_bytes_is_two_exits)
{
	OPEN(odd_pieces);
	ASSERT_EQ(0, rig_assign(&self->rig, BARE_MMIO, 0x2000, 0));
	START();
	END();
	EXPECT_EQ(2, self->rig.guest.mmio.nr);
	EXPECT_TRUE(rig_quiet(self->rig.server));
}

BARE_GUEST(even_pieces, "mov $0x7766554433221100, %rax\n mov %rax, 0xffc(%rbx)\n");

TEST_F(ioregion, of_a_store_across_pages_the_half_within_the_region_is_a_command)
{
	struct kvm_ioregion_cmd cmd;

	OPEN(even_pieces);
	ASSIGN(0);
	START();
	TAKE(&cmd);
	EXPECT_TRUE(IS_WRITE(&cmd, 0xffc, 4, 0x33221100));
	ANSWER(0);
	END();
	EXPECT_TRUE(recorder_wrote(&self->rig.guest.mmio, 0, 0x1000, 4, 0x77665544));
}

static int see_whether_quiet(void *opaque, uint64_t offset, const void *data, uint32_t len)
{
	struct ioregion_rig *rig = opaque;

	rig->guest.mmio.ret = rig_quiet(rig->server) ? 0 : -EBUSY;
	return recorder_ops.write(&rig->guest.mmio, offset, data, len);
}

TEST_F(ioregion, the_second_half_of_a_store_is_posted_after_the_first_was_an_exit)
{
	const struct bus_ops ops = { .read = recorder_ops.read, .write = see_whether_quiet };
	const struct bus_range range = { BUS_MMIO, BARE_MMIO, 0x1000, &ops, &self->rig };
	struct kvm_ioregion_cmd cmd;

	OPEN(even_pieces);
	ASSERT_EQ(0, bus_remove(self->rig.vcpus[0].bus, BUS_MMIO, BARE_MMIO));
	ASSERT_EQ(0, bus_add(self->rig.vcpus[0].bus, &range));
	ASSERT_EQ(0, rig_assign(&self->rig, BARE_MMIO + 0x1000, 0x1000, POSTED));
	START();
	END();
	EXPECT_TRUE(recorder_wrote(&self->rig.guest.mmio, 0, 0xffc, 4, 0x33221100));
	TAKE(&cmd);
	EXPECT_TRUE(IS_POSTED(&cmd, 0, 4, 0x77665544));
}

BARE_GUEST(two_loads, "mov (%rbx), %rax\n mov %rax, " RESULTS "(%rbx)\n"
		      "mov 8(%rbx), %rax\n mov %rax, " RESULTS "(%rbx)\n");

TEST_F(ioregion, an_access_whose_server_is_dead_is_an_exit)
{
	OPEN(two_loads);
	ASSIGN(0);
	close(self->rig.server);
	self->rig.server = -1;
	self->rig.guest.mmio.answer = 5;
	START();
	END();
	EXPECT_TRUE(recorder_read(&self->rig.guest.mmio, 0, 0, 8));
	EXPECT_TRUE(recorder_wrote(&self->rig.guest.mmio, 1, 0x1000, 8, 5));
	EXPECT_EQ(4, self->rig.guest.mmio.nr);
}

TEST_F(ioregion, an_access_whose_server_dies_before_the_answer_is_an_exit)
{
	struct kvm_ioregion_cmd cmd;

	OPEN(two_loads);
	ASSIGN(0);
	self->rig.guest.mmio.answer = 5;
	START();
	TAKE(&cmd);
	close(self->rig.server);
	self->rig.server = -1;
	END();
	EXPECT_TRUE(recorder_read(&self->rig.guest.mmio, 0, 0, 8));
	EXPECT_TRUE(recorder_wrote(&self->rig.guest.mmio, 1, 0x1000, 8, 5));
}

TEST_F(ioregion, a_short_answer_makes_that_access_an_exit_and_the_next_is_served)
{
	struct kvm_ioregion_cmd cmd;

	OPEN(two_loads);
	ASSIGN(0);
	self->rig.guest.mmio.answer = 5;
	START();
	TAKE(&cmd);
	ASSERT_EQ(8, write(self->rig.server, &cmd, 8));
	TAKE(&cmd);
	EXPECT_TRUE(IS_READ(&cmd, 8, 8));
	ANSWER(6);
	END();
	EXPECT_TRUE(recorder_wrote(&self->rig.guest.mmio, 1, 0x1000, 8, 5));
	EXPECT_TRUE(recorder_wrote(&self->rig.guest.mmio, 2, 0x1000, 8, 6));
}

/* ---- other files than a packet socket ---- */

TEST_F(ioregion, an_answer_on_a_stream_may_come_in_parts)
{
	struct kvm_ioregion_resp resp = { .data = 7 };
	struct kvm_ioregion_cmd cmd;
	int pair[2];

	OPEN(two_loads);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	ASSERT_EQ(0, rig_assign_fd(&self->rig, BARE_MMIO, 8, 0, pair[1]));
	START();
	ASSERT_TRUE(rig_take(pair[0], &cmd));
	ASSERT_EQ(5, write(pair[0], &resp, 5));
	ASSERT_TRUE(rig_asleep(&self->rig, 0));
	ASSERT_EQ(sizeof(resp) - 5, write(pair[0], (char *)&resp + 5, sizeof(resp) - 5));
	END();
	EXPECT_TRUE(recorder_wrote(&self->rig.guest.mmio, 0, 0x1000, 8, 7));
}

TEST_F(ioregion, a_stream_whose_server_is_dead_is_an_exit_and_no_signal)
{
	int pair[2];

	OPEN(two_loads);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	ASSERT_EQ(0, rig_assign_fd(&self->rig, BARE_MMIO, 8, 0, pair[1]));
	close(pair[0]);
	START();
	END();
	EXPECT_TRUE(recorder_read(&self->rig.guest.mmio, 0, 0, 8));
}

TEST_F(ioregion, two_pipes_will_do)
{
	struct kvm_ioregion args = { .guest_paddr = BARE_MMIO, .memory_size = 8 };
	struct kvm_ioregion_cmd cmd;
	int commands[2], answers[2];

	OPEN(two_loads);
	ASSERT_EQ(0, pipe(commands) || pipe(answers));
	args.write_fd = commands[1];
	args.read_fd = answers[0];
	ASSERT_EQ(0, ioctl(self->rig.guest.machine->vm->fd, KVM_SET_IOREGION, &args));
	START();
	ASSERT_TRUE(rig_take(commands[0], &cmd));
	ASSERT_TRUE(rig_answer(answers[1], 8));
	END();
	EXPECT_TRUE(recorder_wrote(&self->rig.guest.mmio, 0, 0x1000, 8, 8));
}

/* ---- what is refused ---- */

TEST_F(ioregion, regions_may_touch_but_not_overlap)
{
	struct ioregion_rig *rig = &self->rig;

	OPEN(nothing);
	ASSERT_EQ(0, rig_assign(rig, 0x1000, 0x100, 0));
	EXPECT_EQ(-EEXIST, rig_assign(rig, 0x1000, 0x100, 0));
	EXPECT_EQ(-EEXIST, rig_assign(rig, 0xff0, 0x11, 0));
	EXPECT_EQ(-EEXIST, rig_assign(rig, 0x10ff, 8, POSTED));
	EXPECT_EQ(-EEXIST, rig_assign(rig, 0x1080, 0, POSTED));
	EXPECT_EQ(-EEXIST, rig_assign(rig, 0, 0x10000, 0));
	EXPECT_EQ(0, rig_assign(rig, 0x1100, 0x100, POSTED));
	EXPECT_EQ(0, rig_assign(rig, 0xfff, 0, POSTED));
	EXPECT_EQ(-EEXIST, rig_assign(rig, 0xfff, 0, POSTED));
	EXPECT_EQ(0, rig_assign(rig, 0x1000, 0x100, PIO));
	EXPECT_EQ(0, rig_assign(rig, UINT64_MAX - 7, 8, 0));
}

TEST_F(ioregion, neither_overlaps_an_ioeventfd_whichever_comes_first)
{
	struct ioregion_rig *rig = &self->rig;

	OPEN(nothing);
	ASSERT_EQ(0, rig_assign_eventfd(rig, 0x1010, 4, 0));
	EXPECT_EQ(-EEXIST, rig_assign(rig, 0x1000, 0x100, 0));
	EXPECT_EQ(-EEXIST, rig_assign(rig, 0x1013, 4, POSTED));
	EXPECT_EQ(-EEXIST, rig_assign(rig, 0x1010, 0, POSTED));
	EXPECT_EQ(0, rig_assign(rig, 0x1000, 0x10, 0));
	EXPECT_EQ(0, rig_assign(rig, 0x1014, 0x10, POSTED));
	EXPECT_EQ(-EEXIST, rig_assign_eventfd(rig, 0x100c, 4, 0));
	EXPECT_EQ(-EEXIST, rig_assign_eventfd(rig, 0x100d, 0, 0));
	EXPECT_EQ(-EEXIST, rig_assign_eventfd(rig, 0x1012, 8, 0));
	EXPECT_EQ(0, rig_assign_eventfd(rig, 0x1024, 0, 0));
	EXPECT_EQ(0, rig_assign_eventfd(rig, 0x1000, 2, KVM_IOEVENTFD_FLAG_PIO));
	EXPECT_EQ(-EEXIST, rig_assign(rig, 0x1001, 1, PIO));
}

TEST_F(ioregion, it_is_deassigned_by_address_size_and_bus)
{
	struct ioregion_rig *rig = &self->rig;

	OPEN(nothing);
	EXPECT_EQ(-ENOENT, rig_deassign(rig, 0x1000, 0x100, 0));
	ASSERT_EQ(0, rig_assign(rig, 0x1000, 0x100, 0));
	ASSERT_EQ(0, rig_assign(rig, 0x2000, 0, POSTED));
	EXPECT_EQ(-ENOENT, rig_deassign(rig, 0x1000, 0x80, 0));
	EXPECT_EQ(-ENOENT, rig_deassign(rig, 0x1010, 0x100, 0));
	EXPECT_EQ(-ENOENT, rig_deassign(rig, 0x1000, 0x100, PIO));
	EXPECT_EQ(-ENOENT, rig_deassign(rig, 0x2000, 1, POSTED));
	EXPECT_EQ(0, rig_deassign(rig, 0x1000, 0x100, 0));
	EXPECT_EQ(0, rig_deassign(rig, 0x2000, 0, POSTED));
	EXPECT_EQ(-ENOENT, rig_deassign(rig, 0x1000, 0x100, 0));
	EXPECT_EQ(0, rig_assign(rig, 0x1000, 0x100, 0));
}

TEST_F(ioregion, a_deassigned_region_sends_nothing_and_lets_go_of_its_file)
{
	OPEN(stores);
	ASSIGN(POSTED);
	ASSERT_EQ(0, rig_deassign(&self->rig, BARE_MMIO, REGION_BYTES, POSTED));
	close(self->rig.kvm);
	self->rig.kvm = -1;
	EXPECT_TRUE(rig_gone(self->rig.server));
	START();
	END();
	EXPECT_EQ(5, self->rig.guest.mmio.nr);
}

TEST_F(ioregion, nonsense_is_invalid)
{
	struct ioregion_rig *rig = &self->rig;

	OPEN(nothing);
	EXPECT_EQ(-EINVAL, rig_assign(rig, 0x1000, 8, 1u << 3));
	EXPECT_EQ(-EINVAL, rig_assign(rig, 0x1000, 8, 1u << 31));
	EXPECT_EQ(-EINVAL, rig_assign(rig, 0x1000, 0, 0));
	EXPECT_EQ(-EINVAL, rig_assign(rig, UINT64_MAX - 6, 8, 0));
	EXPECT_EQ(-EINVAL, rig_assign(rig, 0x1000, UINT64_MAX, 0));
	EXPECT_EQ(0, rig_assign(rig, 0x1000, 8, 0));
}

TEST_F(ioregion, fds_must_be_open_for_what_they_are_to_do)
{
	struct ioregion_rig *rig = &self->rig;
	int pair[2];

	OPEN(nothing);
	ASSERT_EQ(0, pipe(pair));
	EXPECT_EQ(-EBADF, rig_assign_fd(rig, 0x1000, 8, 0, -1));
	EXPECT_EQ(-EBADF, rig_assign_fd(rig, 0x1000, 8, 0, 1000));
	EXPECT_EQ(-EBADF, rig_assign_fd(rig, 0x1000, 8, 0, pair[0]));
	EXPECT_EQ(-EBADF, rig_assign_fd(rig, 0x1000, 8, 0, pair[1]));
	EXPECT_EQ(-EINVAL, rig_assign_fd(rig, 0x1000, 8, 0, rig->guest.machine->vm->fd));
	EXPECT_EQ(0, rig_assign(rig, 0x1000, 8, 0));
}

TEST_F(ioregion, a_thousand_regions_are_enough)
{
	struct ioregion_rig *rig = &self->rig;
	int ret = 0;
	uint64_t n;

	OPEN(nothing);
	for (n = 0; !ret && n < 2000; n++)
		ret = rig_assign(rig, 0x10000 + 8 * n, 8, 0);
	EXPECT_EQ(-ENOSPC, ret);
	EXPECT_EQ(1001, n);
	EXPECT_EQ(0, rig_deassign(rig, 0x10000, 8, 0));
	EXPECT_EQ(0, rig_assign(rig, 0x10000, 8, 0));
}

TEST_HARNESS_MAIN
