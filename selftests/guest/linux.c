/* SPDX-License-Identifier: GPL-2.0-only */
/* A distribution's kernel, as it is, in fastpath-vmm. Its user space is selftests/guest/tell; those of
 * selftests/guest.d/ power off. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "bare_guest.h"
#include "kselftest_harness.h"
#include "program.h"

#define SECONDS 90 /* for one boot; on two busy cores that emulate a machine in a machine */

#define COMMAND_LINE \
	"console=ttyS0 quiet panic=-1 mitigations=off nokaslr tsc=reliable no_timer_check "

FIXTURE(linux_guest) {
	struct program program;
	char kernel[4096];
	char initrd[4096];
	int keys;		/* the console's other end */
	char until_ready[4096]; /* what it said up to "ready" */
};

FIXTURE_SETUP(linux_guest)
{
	int ends[2];

	snprintf(self->kernel, sizeof(self->kernel), "%s", program_path("guest/vmlinuz"));
	snprintf(self->initrd, sizeof(self->initrd), "%s", program_path("guest/initrd"));
	ASSERT_EQ(0, pipe2(ends, O_CLOEXEC));
	ASSERT_EQ(STDIN_FILENO, dup2(ends[0], STDIN_FILENO));
	close(ends[0]);
	self->keys = ends[1];
}

FIXTURE_TEARDOWN(linux_guest)
{
	close(self->keys);
}

#define BOOT(cpus, append)                                                                       \
	NEEDS_KVM();                                                                             \
	ASSERT_EQ(0,                                                                             \
		  program_start(&self->program, "fastpath-vmm",                                  \
				(const char *const[]){ "--kernel", self->kernel, "--initrd",     \
						       self->initrd, "--cpus", cpus, "--append", \
						       (COMMAND_LINE append), NULL },            \
				false))

/* Reads what the guest says until it is ready. */
static bool is_ready(struct program *program, char *said, size_t size)
{
	size_t len = 0;

	while (len < size - 1 && read(program->stdout_fd, said + len, 1) == 1) {
		said[++len] = '\0';
		if (strstr(said, "guest: ready"))
			return true;
	}
	return false;
}

#define AWAIT_READY()                                                                       \
	ASSERT_TRUE(is_ready(&self->program, self->until_ready, sizeof(self->until_ready))) \
	{                                                                                   \
		program_wait(&self->program);                                               \
		TH_LOG("it said: %s; %s", self->until_ready, self->program.complained);     \
	}

#define SAID(text)                                                     \
	EXPECT_NE(NULL, strstr(self->until_ready, text))               \
	{                                                              \
		TH_LOG("'%s' is not in: %s", text, self->until_ready); \
	}

TEST_F_TIMEOUT(linux_guest, with_1_vcpu_it_reaches_user_space_hears_keys_and_a_reset_ends_it,
	       SECONDS)
{
	BOOT("1", "do=echo");
	AWAIT_READY();
	SAID("guest: cpus 1, of 1 cores, ids 0 ");
	SAID("guest: memory 2"); /* of 256 MiB */
	SAID("guest: clock kvm-clock");
	SAID("guest: serial interrupts 1");
	ASSERT_EQ(7, write(self->keys, "a line\n", 7));
	program_wait(&self->program);
	EXPECT_NE(NULL, strstr(self->program.said, "guest: got 'a line'"));
	EXPECT_EQ(0, self->program.status);
	EXPECT_STREQ("", self->program.complained);
}

TEST_F_TIMEOUT(linux_guest, with_4_vcpus_it_has_4_cores_and_a_triple_fault_of_one_is_status_1,
	       SECONDS)
{
	BOOT("4", "do=reset reboot=t");
	AWAIT_READY();
	SAID("guest: cpus 4, of 4 cores, ids 0 1 2 3 ");
	SAID("guest: online 0-3");
	program_wait(&self->program);
	EXPECT_EQ(1, self->program.status);
	EXPECT_NE(NULL, strstr(self->program.complained, "triple fault"));
}

TEST_HARNESS_MAIN
