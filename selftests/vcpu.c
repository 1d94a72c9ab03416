/* SPDX-License-Identifier: GPL-2.0-only */
/* The vCPU: how a guest's accesses leave it, and how a run ends. */
#include "vcpu.h"

#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <x86intrin.h>

#include "bare_guest.h"
#include "capture.h"
#include "kselftest_harness.h"

FIXTURE(vcpu) {
	struct bare_guest guest;
	struct capture said;
};

FIXTURE_SETUP(vcpu)
{
	/* Each test has a guest of its own: OPEN(). */
}

FIXTURE_TEARDOWN(vcpu)
{
	bare_guest_close(&self->guest);
}

#define OPEN(name)                                                            \
	do {                                                                  \
		NEEDS_KVM();                                                  \
		ASSERT_EQ(0, bare_guest_open(&self->guest, BARE_CODE(name))); \
	} while (0)

/* The guest comes to its end, with exit code 0. */
#define RUN()                                       \
	ASSERT_EQ(0, bare_guest_run(&self->guest)); \
	ASSERT_TRUE(self->guest.payload->exited);   \
	ASSERT_EQ(0, self->guest.payload->exit_code)

/* ---- accesses ---- */

BARE_GUEST(stores, "movb $0x11, 1(%rbx)\n"
		   "movw $0x2222, 2(%rbx)\n"
		   "movl $0x33333333, 4(%rbx)\n"
		   "mov $0x4444444444444444, %rax\n"
		   "mov %rax, 8(%rbx)\n");

TEST_F(vcpu, stores_of_1_2_4_and_8_bytes_arrive_with_width_and_value)
{
	OPEN(stores);
	RUN();
	EXPECT_EQ(4, self->guest.mmio.nr);
	EXPECT_TRUE(recorder_wrote(&self->guest.mmio, 0, 1, 1, 0x11));
	EXPECT_TRUE(recorder_wrote(&self->guest.mmio, 1, 2, 2, 0x2222));
	EXPECT_TRUE(recorder_wrote(&self->guest.mmio, 2, 4, 4, 0x33333333));
	EXPECT_TRUE(recorder_wrote(&self->guest.mmio, 3, 8, 8, 0x4444444444444444));
}

/* Loads, and stores what it got where the recorder shows it. */
BARE_GUEST(loads, "xor %eax, %eax\n"
		  "movb 0x10(%rbx), %al\n mov %rax, (%rbx)\n"
		  "movw 0x20(%rbx), %ax\n mov %rax, (%rbx)\n"
		  "movl 0x30(%rbx), %eax\n mov %rax, (%rbx)\n"
		  "mov 0x40(%rbx), %rax\n mov %rax, (%rbx)\n");

TEST_F(vcpu, loads_of_1_2_4_and_8_bytes_get_what_the_bus_answers)
{
	OPEN(loads);
	self->guest.mmio.answer = 0x8877665544332211;
	RUN();
	EXPECT_TRUE(recorder_read(&self->guest.mmio, 0, 0x10, 1));
	EXPECT_TRUE(recorder_wrote(&self->guest.mmio, 1, 0, 8, 0x11));
	EXPECT_TRUE(recorder_read(&self->guest.mmio, 2, 0x20, 2));
	EXPECT_TRUE(recorder_wrote(&self->guest.mmio, 3, 0, 8, 0x2211));
	EXPECT_TRUE(recorder_read(&self->guest.mmio, 4, 0x30, 4));
	EXPECT_TRUE(recorder_wrote(&self->guest.mmio, 5, 0, 8, 0x44332211));
	EXPECT_TRUE(recorder_read(&self->guest.mmio, 6, 0x40, 8));
	EXPECT_TRUE(recorder_wrote(&self->guest.mmio, 7, 0, 8, 0x8877665544332211));
}

BARE_GUEST(ports, "mov $0x11223344, %eax\n"
		  "outb %al, %dx\n outw %ax, %dx\n outl %eax, %dx\n"
		  "add $4, %dx\n xor %eax, %eax\n"
		  "inb %dx, %al\n mov %rax, (%rbx)\n"
		  "inw %dx, %ax\n mov %rax, (%rbx)\n"
		  "inl %dx, %eax\n mov %rax, (%rbx)\n");

TEST_F(vcpu, ring_3_reaches_ports_with_1_2_and_4_bytes)
{
	OPEN(ports);
	self->guest.pio.answer = 0x55667788;
	RUN();
	EXPECT_TRUE(recorder_wrote(&self->guest.pio, 0, 0, 1, 0x44));
	EXPECT_TRUE(recorder_wrote(&self->guest.pio, 1, 0, 2, 0x3344));
	EXPECT_TRUE(recorder_wrote(&self->guest.pio, 2, 0, 4, 0x11223344));
	EXPECT_TRUE(recorder_read(&self->guest.pio, 3, 4, 1));
	EXPECT_TRUE(recorder_read(&self->guest.pio, 4, 4, 2));
	EXPECT_TRUE(recorder_read(&self->guest.pio, 5, 4, 4));
	EXPECT_TRUE(recorder_wrote(&self->guest.mmio, 0, 0, 8, 0x88));
	EXPECT_TRUE(recorder_wrote(&self->guest.mmio, 1, 0, 8, 0x7788));
	EXPECT_TRUE(recorder_wrote(&self->guest.mmio, 2, 0, 8, 0x55667788));
	EXPECT_EQ(6, vcpu_exits(self->guest.machine->vcpu)->pio);
}

BARE_GUEST(string, "lea 0f(%rip), %rsi\n mov $3, %ecx\n rep outsw\n jmp 1f\n"
		   "0: .ascii \"aabbcc\"\n"
		   "1:\n");

TEST_F(vcpu, a_string_output_is_one_access_for_each_element)
{
	OPEN(string);
	RUN();
	EXPECT_EQ(3, self->guest.pio.nr);
	EXPECT_TRUE(recorder_wrote(&self->guest.pio, 0, 0, 2, 0x6161));
	EXPECT_TRUE(recorder_wrote(&self->guest.pio, 1, 0, 2, 0x6262));
	EXPECT_TRUE(recorder_wrote(&self->guest.pio, 2, 0, 2, 0x6363));
}

BARE_GUEST(sse, "mov $0x7766554433221100, %rax\n movq %rax, %xmm0\n"
		"punpcklqdq %xmm0, %xmm0\n movdqu %xmm0, 0x10(%rbx)\n");

TEST_F(vcpu, a_store_of_16_bytes_is_two_of_8)
{
	OPEN(sse);
	RUN();
	EXPECT_EQ(2, self->guest.mmio.nr);
	EXPECT_TRUE(recorder_wrote(&self->guest.mmio, 0, 0x10, 8, 0x7766554433221100));
	EXPECT_TRUE(recorder_wrote(&self->guest.mmio, 1, 0x18, 8, 0x7766554433221100));
}

BARE_GUEST(crossing, "mov $0x7766554433221100, %rax\n mov %rax, 0xffd(%rbx)\n");

TEST_F(vcpu, a_store_across_pages_is_one_in_each)
{
	OPEN(crossing);
	RUN();
	EXPECT_EQ(2, self->guest.mmio.nr);
	EXPECT_TRUE(recorder_wrote(&self->guest.mmio, 0, 0xffd, 3, 0x221100));
	EXPECT_TRUE(recorder_wrote(&self->guest.mmio, 1, 0x1000, 5, 0x7766554433));
}

BARE_GUEST(stray, "mov 0x1000000(%rbx), %rax\n mov %rax, (%rbx)\n"
		  "mov $0x1234, %edx\n xor %eax, %eax\n inl %dx, %eax\n mov %rax, (%rbx)\n");

TEST_F(vcpu, an_address_that_nobody_answers_reads_as_ones)
{
	OPEN(stray);
	RUN();
	EXPECT_TRUE(recorder_wrote(&self->guest.mmio, 0, 0, 8, UINT64_MAX));
	EXPECT_TRUE(recorder_wrote(&self->guest.mmio, 1, 0, 8, UINT32_MAX));
}

/* ---- how a run ends ---- */

BARE_GUEST(exits, "mov $" BARE_EXIT ", %ecx\n"
		  "movl $7, (%rcx)\n"
		  "movl $1, (%rbx)\n"
		  "mov $0x123456789a, %rax\n mov %rax, (%rcx)\n");

TEST_F(vcpu, the_exit_store_ends_the_run_and_the_next_goes_on_behind_it)
{
	OPEN(exits);
	ASSERT_EQ(0, bare_guest_run(&self->guest));
	EXPECT_EQ(7, self->guest.payload->exit_code);
	EXPECT_EQ(0, self->guest.mmio.nr);
	ASSERT_EQ(0, bare_guest_run(&self->guest));
	EXPECT_EQ(0x123456789a, self->guest.payload->exit_code);
	EXPECT_EQ(1, self->guest.mmio.nr);
	RUN();
}

/* The guest ends itself badly: what vcpu_run() returns, and what the log has of it. */
static int crash(struct bare_guest *guest, struct capture *said)
{
	int ret;

	capture_start(said);
	ret = bare_guest_run(guest);
	capture_end(said);
	return ret;
}

BARE_GUEST(invalid, "mov $0x1234, %eax\n ud2\n");

TEST_F(vcpu, an_invalid_opcode_is_reported_with_rip_code_and_registers)
{
	OPEN(invalid);
	EXPECT_EQ(-EFAULT, crash(&self->guest, &self->said));
	EXPECT_EQ(1, capture_lines(&self->said, "exception 6 #UD"));
	EXPECT_EQ(1, capture_lines(&self->said, "rip 0x20000f, code 0f 0b"));
	EXPECT_EQ(1, capture_lines(&self->said, "rax 0x1234"));
	EXPECT_FALSE(self->guest.payload->exited);
}

BARE_GUEST(beyond, "mov $0x100000000, %rax\n mov %rax, (%rax)\n");

TEST_F(vcpu, an_access_above_4_gib_is_reported_with_its_address)
{
	OPEN(beyond);
	EXPECT_EQ(-EFAULT, crash(&self->guest, &self->said));
	EXPECT_EQ(1, capture_lines(&self->said, "exception 14 #PF, error code 0x6"));
	EXPECT_EQ(1, capture_lines(&self->said, "cr2 0x100000000"));
}

BARE_GUEST(halt, "hlt\n");

TEST_F(vcpu, a_halt_is_reported)
{
	OPEN(halt);
	EXPECT_EQ(-EFAULT, crash(&self->guest, &self->said));
	EXPECT_EQ(1, capture_lines(&self->said, "exception 13 #GP"));
	EXPECT_EQ(1, capture_lines(&self->said, "rip 0x20000a, code f4"));
}

BARE_GUEST(no_stack, "mov $0x100001000, %rsp\n ud2\n");

TEST_F(vcpu, an_exception_without_a_stack_is_a_shutdown)
{
	OPEN(no_stack);
	EXPECT_EQ(-EFAULT, crash(&self->guest, &self->said));
	EXPECT_EQ(1, capture_lines(&self->said, "the guest shut down (triple fault"));
	EXPECT_EQ(1, capture_lines(&self->said, "\n"));
}

/* KVM's emulator has no x87 stores to memory. */
BARE_GUEST(x87, "fldz\n fstpl (%rbx)\n");

TEST_F(vcpu, an_instruction_that_kvm_cannot_emulate_is_named)
{
	OPEN(x87);
	EXPECT_EQ(-ENOSYS, crash(&self->guest, &self->said));
	EXPECT_EQ(1, capture_lines(&self->said, "can't emulate"));
	EXPECT_EQ(1, capture_lines(&self->said, "rip 0x20000c, code dd 1b"));
}

/* ---- signals ---- */

static struct vcpu *kicked;
static volatile sig_atomic_t alarms;

static void set_alarm(void)
{
	const struct itimerval soon = { .it_value = { 0, 20000 } };

	setitimer(ITIMER_REAL, &soon, NULL);
}

/* The third alarm kicks, and is the last. */
static void on_alarm(int sig)
{
	(void)sig;
	if (++alarms < 3)
		set_alarm();
	else
		vcpu_kick(kicked);
}

BARE_GUEST(endless, "0: jmp 0b\n");

TEST_F(vcpu, a_kick_ends_the_run_and_another_signal_does_not)
{
	const struct sigaction action = { .sa_handler = on_alarm };

	OPEN(endless);
	kicked = self->guest.machine->vcpu;
	ASSERT_EQ(0, sigaction(SIGALRM, &action, NULL));
	set_alarm();
	EXPECT_EQ(-EINTR, bare_guest_run(&self->guest));
	EXPECT_EQ(3, alarms);
	EXPECT_LT(0, vcpu_exits(self->guest.machine->vcpu)->interrupted);
}

TEST_F(vcpu, a_kick_before_the_run_is_not_lost)
{
	OPEN(endless);
	vcpu_kick(self->guest.machine->vcpu);
	EXPECT_EQ(-EINTR, bare_guest_run(&self->guest));
}

BARE_GUEST(one_load, "mov (%rbx), %rax\n mov %rax, 8(%rbx)\n");

static int kick_and_answer(void *opaque, uint64_t offset, void *data, uint32_t len)
{
	(void)opaque;
	(void)offset;
	vcpu_kick(kicked);
	memset(data, 0x5a, len);
	return 0;
}

TEST_F(vcpu, a_kick_during_a_load_loses_neither_the_load_nor_its_answer)
{
	const struct bus_ops ops = { .read = kick_and_answer, .write = recorder_ops.write };
	const struct bus_range range = { BUS_MMIO, BARE_MMIO, 0x10, &ops, &self->guest.mmio };

	OPEN(one_load);
	kicked = self->guest.machine->vcpu;
	ASSERT_EQ(0, bus_remove(self->guest.machine->bus, BUS_MMIO, BARE_MMIO));
	ASSERT_EQ(0, bus_add(self->guest.machine->bus, &range));
	EXPECT_EQ(-EINTR, bare_guest_run(&self->guest));
	RUN();
	EXPECT_EQ(1, self->guest.mmio.nr);
	EXPECT_TRUE(recorder_wrote(&self->guest.mmio, 0, 8, 8, 0x5a5a5a5a5a5a5a5a));
}

/* ---- what is counted ---- */

BARE_GUEST(doorbell, "mov $10000, %ecx\n 0: movl %ecx, 0x800(%rbx)\n loop 0b\n"
		     "movl $1, (%rbx)\n");

TEST_F(vcpu, stores_to_an_ioeventfd_are_counted_and_never_leave_the_guest)
{
	struct kvm_ioeventfd ioeventfd = { .addr = BARE_MMIO + 0x800 };
	uint64_t rung = 0;
	uint64_t mmio;

	OPEN(doorbell);
	ioeventfd.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ASSERT_LE(0, ioeventfd.fd);
	ASSERT_EQ(0, ioctl(self->guest.machine->vm->fd, KVM_IOEVENTFD, &ioeventfd));
	RUN();
	EXPECT_EQ(sizeof(rung), read(ioeventfd.fd, &rung, sizeof(rung)));
	EXPECT_EQ(10000, rung);
	/* The store behind the loop, and the one that ends it all. */
	EXPECT_EQ(1, self->guest.mmio.nr);
	EXPECT_EQ(2, vcpu_exits(self->guest.machine->vcpu)->all);
	EXPECT_EQ(2, vcpu_exits(self->guest.machine->vcpu)->mmio);
	if (vcpu_stat(self->guest.machine->vcpu, "mmio_exits", &mmio))
		TH_LOG("this kernel keeps no mmio_exits");
	else
		EXPECT_EQ(2, mmio);
	close(ioeventfd.fd);
}

TEST_F(vcpu, a_counter_that_kvm_does_not_keep_is_no_entry)
{
	uint64_t value;

	OPEN(stores);
	EXPECT_EQ(-ENOENT, vcpu_stat(self->guest.machine->vcpu, "no_such_counter", &value));
	EXPECT_EQ(-ENOENT, vcpu_stat(self->guest.machine->vcpu, "", &value));
}

BARE_GUEST(tsc, "lfence\n rdtsc\n shl $32, %rdx\n or %rdx, %rax\n mov %rax, (%rbx)\n");

TEST_F(vcpu, the_guests_tsc_is_the_hosts_plus_the_offset)
{
	uint64_t before, after, guest_tsc;
	int64_t offset;
	int ret;

	OPEN(tsc);
	ret = vcpu_tsc_offset(self->guest.machine->vcpu, &offset);
	if (ret == -ENOTSUP)
		SKIP(return, "this kernel does not tell the offset");
	ASSERT_EQ(0, ret);
	before = __rdtsc();
	RUN();
	after = __rdtsc();
	guest_tsc = self->guest.mmio.log[0].value - (uint64_t)offset;
	EXPECT_LE(before, guest_tsc);
	EXPECT_GE(after, guest_tsc);
}

TEST_HARNESS_MAIN
