/* SPDX-License-Identifier: GPL-2.0-only */
/* A device goes from one server to another, under a guest that does not stop to use it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <signal.h>
#include <stdlib.h>

#include "bare_guest.h"
#include "irq_machine.h"
#include "kselftest_harness.h"
#include "log.h"
#include "program.h"
#include "socket.h"
#include "testdev.h"
#include "testdev_server.h"
#include "vfio_pci_move.h"

#define SLOT 3u
#define ADDRESS 0xfee00000u /* of messages: the vCPU's */

/* ---- a device in a machine whose guest is the test ---- */

FIXTURE(move) {
	struct irq_machine im;
	struct testdev_server from, to;
	struct vfio_pci_options options;
	struct vfio_pci *dev;
	struct vfio_pci_move move;
	unsigned int msix; /* the capability */
	uint64_t bench, table;
};

static uint32_t config(FIXTURE_DATA(move) * self, unsigned int at)
{
	return irq_machine_config(&self->im, SLOT, at);
}

static unsigned int find_cap(FIXTURE_DATA(move) * self, uint8_t id)
{
	unsigned int at = config(self, PCI_CAPABILITY_LIST) & 0xff;

	while (at && (config(self, at) & 0xff) != id)
		at = config(self, at) >> 8 & 0xff;
	return at;
}

FIXTURE_SETUP(move)
{
	if (bare_guest_missing())
		return;
	testdev_server_start(&self->from);
	testdev_server_start(&self->to);
	self->options.socket = self->from.path;
	self->options.slot = SLOT;
	self->options.attended = true;
	ASSERT_EQ(0, irq_machine_open(&self->im));
	ASSERT_EQ(0, vfio_pci_open(&self->im.machine, &self->options, &self->dev));
	self->msix = find_cap(self, PCI_CAP_ID_MSIX);
	self->bench = vfio_pci_bar(self->dev, 2)->base;
	self->table = vfio_pci_bar(self->dev, 4)->base;
}

FIXTURE_TEARDOWN(move)
{
	vfio_pci_close(self->dev);
	irq_machine_close(&self->im);
	testdev_server_stop(&self->from);
	testdev_server_stop(&self->to);
}

static void write32(FIXTURE_DATA(move) * self, uint64_t address, uint32_t value)
{
	irq_machine_write(&self->im, address, value);
}

static uint32_t read32(FIXTURE_DATA(move) * self, uint64_t address)
{
	return irq_machine_read(&self->im, address);
}

static void set_entry(FIXTURE_DATA(move) * self, unsigned int entry, uint8_t vector, bool masked)
{
	write32(self, self->table + entry * 16, ADDRESS);
	write32(self, self->table + entry * 16 + 8, vector);
	write32(self, self->table + entry * 16 + 12, masked);
}

static void fire(FIXTURE_DATA(move) * self, uint32_t vector)
{
	write32(self, self->bench + offsetof(struct testdev_counters, trigger), vector);
}

static int begin(FIXTURE_DATA(move) * self, const char *path)
{
	int ret;

	/* Who looked whether it listens may not have left yet, nor a dead server its socket. */
	do
		ret = vfio_pci_move_begin(&self->move, self->dev, path);
	while (ret == -EBUSY || ret == -ECONNRESET || ret == -ECONNREFUSED);
	return ret;
}

static int finish(FIXTURE_DATA(move) * self)
{
	int ret = 1;

	while (ret > 0)
		ret = vfio_pci_move_step(&self->move);
	return ret;
}

static int go(FIXTURE_DATA(move) * self, const char *path)
{
	int ret = begin(self, path);

	return ret ? ret : finish(self);
}

/* By the eventfd, when it is installed: a guest would leave that to KVM. */
static void ring(FIXTURE_DATA(move) * self)
{
	const struct iofd_installed *io_fds = vfio_pci_bar(self->dev, 2)->io_fds;
	const struct fpc_io_fd *road = iofd_road(io_fds, 0x800, 4, 1);
	const uint64_t one = 1;

	if (!road || write(road->fd, &one, sizeof(one)) != sizeof(one))
		abort();
}

static uint32_t rung(FIXTURE_DATA(move) * self)
{
	return read32(self, self->bench + offsetof(struct testdev_counters, rung));
}

TEST_F(move, its_state_is_at_the_new_server_and_the_old_one_is_left)
{
	NEEDS_KVM();
	write32(self, self->bench + TESTDEV_REGISTER_4, 0x1234);
	write32(self, vfio_pci_bar(self->dev, 3)->base + TESTDEV_AREA_A, 0x5678);
	irq_machine_set_config(&self->im, SLOT, PCI_BASE_ADDRESS_0, 0xe0000000);
	ASSERT_EQ(0, go(self, self->to.path));
	EXPECT_STREQ(self->to.path, vfio_pci_name(self->dev));
	/* Nobody needs that one any more. */
	testdev_server_kill(&self->from);
	EXPECT_FALSE(vfio_pci_is_lost(self->dev));
	EXPECT_EQ(0x1234, read32(self, self->bench + TESTDEV_REGISTER_4));
	EXPECT_EQ(0x5678, read32(self, vfio_pci_bar(self->dev, 3)->base + TESTDEV_AREA_A));
	EXPECT_EQ(0xe0000000, config(self, PCI_BASE_ADDRESS_0));
	EXPECT_EQ(TESTDEV_NR_IO_FDS, vfio_pci_bar(self->dev, 2)->io_fds->nr_roads);
	EXPECT_NE(NULL, vfio_pci_bar(self->dev, 3)->mapped);
}

TEST_F(move, rings_before_during_and_after_it_are_all_heard)
{
	NEEDS_KVM();
	ring(self);
	ASSERT_EQ(0, begin(self, self->to.path));
	ring(self);
	ASSERT_EQ(0, finish(self));
	EXPECT_EQ(2, rung(self));
	ring(self);
	for (unsigned int i = 0; i < 10000 && rung(self) != 3; i++)
		usleep(1000);
	EXPECT_EQ(3, rung(self));
}

TEST_F(move, interrupts_arrive_from_the_new_server)
{
	NEEDS_KVM();
	irq_machine_set_config(&self->im, SLOT, self->msix, (uint32_t)PCI_MSIX_FLAGS_ENABLE << 16);
	set_entry(self, 0, 0x41, false);
	set_entry(self, 2, 0x62, true);
	fire(self, 2);
	ASSERT_EQ(0, go(self, self->to.path));
	fire(self, 0);
	EXPECT_TRUE(irq_machine_took(&self->im, 0x41));
	/* One of the old server's. */
	EXPECT_FALSE(irq_machine_has(&self->im, 0x62));
	set_entry(self, 2, 0x62, false);
	EXPECT_TRUE(irq_machine_took(&self->im, 0x62));
}

TEST_F(move, it_reaches_the_guests_memory_from_there)
{
	const uint32_t iova = 0x10000;
	const uint64_t *count;

	NEEDS_KVM();
	count = memory_ptr(self->im.machine.memory, iova, sizeof(*count));
	write32(self, self->bench + offsetof(struct testdev_counters, stamp_iova), iova);
	write32(self, self->bench + TESTDEV_REGISTER_4, 1);
	EXPECT_EQ(1, *count);
	ASSERT_EQ(0, go(self, self->to.path));
	write32(self, self->bench + TESTDEV_REGISTER_4, 2);
	EXPECT_EQ(2, *count);
}

/* ---- what can go wrong: the old server goes on ---- */

static bool goes_on(FIXTURE_DATA(move) * self)
{
	static uint32_t value = 77;
	uint32_t before = rung(self);

	write32(self, self->bench + TESTDEV_REGISTER_4, ++value);
	ring(self);
	for (unsigned int i = 0; i < 10000 && rung(self) == before; i++)
		usleep(1000);
	return read32(self, self->bench + TESTDEV_REGISTER_4) == value &&
	       rung(self) == before + 1 && !strcmp(self->from.path, vfio_pci_name(self->dev));
}

TEST_F(move, to_where_nobody_listens_it_does_not_go)
{
	NEEDS_KVM();
	EXPECT_EQ(-ENOENT, go(self, "/tmp/fastpath-nobody"));
	EXPECT_NE(NULL, strstr(self->move.why, "no vfio-user server there"));
	EXPECT_TRUE(goes_on(self));
}

TEST_F(move, a_server_that_dies_before_the_switch_is_a_move_less)
{
	NEEDS_KVM();
	ASSERT_EQ(0, begin(self, self->to.path));
	testdev_server_kill(&self->to);
	EXPECT_GT(0, finish(self));
	EXPECT_NE(NULL, strstr(self->move.why, "the new server"));
	EXPECT_TRUE(goes_on(self));
	testdev_server_again(&self->to);
	EXPECT_EQ(0, go(self, self->to.path));
}

TEST_F(move, one_that_is_given_up_is_as_if_it_had_not_been)
{
	NEEDS_KVM();
	ASSERT_EQ(0, begin(self, self->to.path));
	vfio_pci_move_cancel(&self->move);
	EXPECT_TRUE(goes_on(self));
	EXPECT_EQ(0, go(self, self->to.path));
}

TEST_F(move, when_the_old_server_dies_on_the_way_that_is_its_end)
{
	NEEDS_KVM();
	ASSERT_EQ(0, begin(self, self->to.path));
	testdev_server_kill(&self->from);
	EXPECT_GT(0, finish(self));
	EXPECT_NE(NULL, strstr(self->move.why, "the old server"));
	EXPECT_TRUE(vfio_pci_is_lost(self->dev));
}

/* ---- puppets ---- */

#define PUPPET(doorbells)                                                              \
	"{\"pci\": {\"vendor\": 7, \"device\": 8}, \"migration\": true, \"regions\": " \
	"[{\"index\": \"bar0\", \"size\": 8192, \"doorbells\": [" doorbells "]}]}"

struct puppet {
	struct program program;
	char shape[64];
	char socket[64];
};

static int puppet_start(struct puppet *puppet, const char *shape)
{
	char device[256];
	int fd, ret;

	strcpy(puppet->shape, "/tmp/fastpath-test-XXXXXX");
	fd = mkstemp(puppet->shape);
	if (write(fd, shape, strlen(shape)) != (ssize_t)strlen(shape))
		return -EIO;
	close(fd);
	snprintf(puppet->socket, sizeof(puppet->socket), "%s.sock", puppet->shape);
	snprintf(device, sizeof(device), "puppet,socket=%s,shape=%s", puppet->socket,
		 puppet->shape);
	ret = program_start(&puppet->program, "fastpathd",
			    (const char *const[]){ "--device", device, NULL }, false);
	for (unsigned int i = 0; !ret && i < 10000 && access(puppet->socket, F_OK); i++)
		usleep(1000);
	return ret;
}

static void puppet_stop(struct puppet *puppet)
{
	kill(puppet->program.pid, SIGKILL);
	program_wait(&puppet->program);
	unlink(puppet->shape);
	unlink(puppet->socket);
}

TEST_F(move, a_puppet_takes_its_memory_along)
{
	struct puppet from, to, other;
	struct vfio_pci *puppet = NULL;
	uint64_t bar;

	NEEDS_KVM();
	ASSERT_EQ(0, puppet_start(&from, PUPPET("")));
	ASSERT_EQ(0, puppet_start(&to, PUPPET("")));
	ASSERT_EQ(0, puppet_start(&other, PUPPET("{\"offset\": 64}")));
	self->options.socket = from.socket;
	self->options.slot = 0;
	ASSERT_EQ(0, vfio_pci_open(&self->im.machine, &self->options, &puppet));
	bar = vfio_pci_bar(puppet, 0)->base;
	write32(self, bar + 4096, 0xabcd);
	/* A guest can't tell the two apart, but the server can: it is refused when all is copied. */
	ASSERT_EQ(0, vfio_pci_move_begin(&self->move, puppet, other.socket));
	EXPECT_EQ(-EINVAL, finish(self));
	EXPECT_NE(NULL, strstr(self->move.why, "its state is not accepted"));
	EXPECT_STREQ(from.socket, vfio_pci_name(puppet));
	EXPECT_EQ(0xabcd, read32(self, bar + 4096));
	write32(self, bar, 0xef01);
	ASSERT_EQ(0, vfio_pci_move_begin(&self->move, puppet, to.socket));
	EXPECT_EQ(0, finish(self));
	puppet_stop(&from);
	EXPECT_EQ(0xabcd, read32(self, bar + 4096));
	EXPECT_EQ(0xef01, read32(self, bar));
	/* A testdev is none. */
	EXPECT_EQ(-ENODEV, vfio_pci_move_begin(&self->move, puppet, self->to.path));
	EXPECT_NE(NULL, strstr(self->move.why, "another device: its vendor ID"));
	EXPECT_EQ(0xef01, read32(self, bar));
	vfio_pci_close(puppet);
	puppet_stop(&to);
	puppet_stop(&other);
}

/* ---- fastpath-vmm migrate ---- */

FIXTURE(vmm) {
	struct testdev_server a, b;
	struct testdev_server leash; /* a device whose death is the guest's signal to end */
	struct program program;
	struct program tool;
	char file[64]; /* the guest */
	char control[80];
};

FIXTURE_SETUP(vmm)
{
	int fd;

	/* Of servers that turn somebody away: that is what is asked of them. */
	log_set_level(LOG_ERROR);
	strcpy(self->file, "/tmp/fastpath-test-XXXXXX");
	fd = mkstemp(self->file);
	ASSERT_LE(0, fd);
	close(fd);
	snprintf(self->control, sizeof(self->control), "%s.control", self->file);
}

FIXTURE_TEARDOWN(vmm)
{
	testdev_server_stop(&self->a);
	testdev_server_stop(&self->b);
	testdev_server_stop(&self->leash);
	unlink(self->file);
	unlink(self->control);
}

/*
 * Rings, writes and reads by message and by stand-in, until the leash is gone. Ends with 9 when it
 * reads something else than it wrote, with 3 when a ring was lost.
 */
BARE_GUEST(uses_it, "mov $0xd0001000, %ebx\n mov $0xd0022000, %esi\n xor %r9d, %r9d\n"
		    "mov $" BARE_CONSOLE ", %ecx\n movb $'u', (%rcx)\n movb $10, (%rcx)\n"
		    "0: inc %r9d\n movl $1, 0x800(%rbx)\n"
		    "mov %r9d, 0x104(%rbx)\n mov 0x104(%rbx), %eax\n cmp %r9d, %eax\n jne 8f\n"
		    "mov %r9d, 0x200(%rbx)\n mov 0x200(%rbx), %eax\n cmp %r9d, %eax\n jne 8f\n"
		    "mov (%rsi), %eax\n cmp $-1, %eax\n jne 0b\n"
		    "mov $20000, %r8d\n"
		    "1: mov 0x20(%rbx), %eax\n cmp %r9d, %eax\n je 9f\n dec %r8d\n jnz 1b\n"
		    "mov $" BARE_EXIT ", %ebx\n movl $3, (%rbx)\n"
		    "8: mov $" BARE_EXIT ", %ebx\n movl $9, (%rbx)\n"
		    "9:\n");

/*
 * The same by three vCPUs, each with a word of the memory that is reached by stand-in; who rings
 * counts that in RAM. When all have seen the leash go, the first compares.
 */
BARE_GUEST(all_use_it, "mov $0xd0001000, %ebx\n mov $0xd0022000, %r14d\n xor %r9d, %r9d\n"
		       "mov %esi, %r10d\n mov $0x300000, %r12d\n"
		       "lea 0x200(%rbx,%r10,8), %r11\n"
		       "test %r10d, %r10d\n jnz 0f\n"
		       "mov $" BARE_CONSOLE ", %ecx\n movb $'u', (%rcx)\n movb $10, (%rcx)\n"
		       "0: inc %r9d\n mov $200, %edx\n"
		       "4: lock incl (%r12)\n movl $1, 0x800(%rbx)\n dec %edx\n jnz 4b\n"
		       "mov %r9d, (%r11)\n mov (%r11), %eax\n cmp %r9d, %eax\n jne 8f\n"
		       "mov (%r14), %eax\n cmp $-1, %eax\n jne 0b\n"
		       "lock incl 4(%r12)\n test %r10d, %r10d\n 1: jnz 1b\n"
		       "2: mov 4(%r12), %eax\n cmp $3, %eax\n jne 2b\n"
		       "mov (%r12), %r9d\n mov $20000, %r8d\n"
		       "3: mov 0x20(%rbx), %eax\n cmp %r9d, %eax\n je 9f\n dec %r8d\n jnz 3b\n"
		       "mov $" BARE_EXIT ", %ebx\n movl $3, (%rbx)\n"
		       "8: mov $" BARE_EXIT ", %ebx\n movl $9, (%rbx)\n"
		       "9:\n");

static int start(FIXTURE_DATA(vmm) * self, const char *cpus, const void *code, size_t len)
{
	char devices[2][160];
	int fd = open(self->file, O_WRONLY | O_TRUNC);
	ssize_t n = write(fd, code, len);

	if (close(fd) || n != (ssize_t)len)
		return -EIO;
	testdev_server_start(&self->a);
	testdev_server_start(&self->b);
	testdev_server_start(&self->leash);
	snprintf(devices[0], sizeof(devices[0]), "vfio-user,id=disk,socket=%s", self->a.path);
	snprintf(devices[1], sizeof(devices[1]), "vfio-user,socket=%s", self->leash.path);
	return program_start(&self->program, "fastpath-vmm",
			     (const char *const[]){ "--device", devices[0], "--device", devices[1],
						    "--control", self->control, "--payload",
						    self->file, "--cpus", cpus, NULL },
			     false);
}

#define START()                                             \
	NEEDS_KVM();                                        \
	ASSERT_EQ(0, start(self, "1", BARE_CODE(uses_it))); \
	ASSERT_TRUE(program_await_line(&self->program))

/* The status; what it says is in self->tool. */
static int migrate(FIXTURE_DATA(vmm) * self, const char *device, const char *to)
{
	if (program_start(&self->tool, "fastpath-vmm",
			  (const char *const[]){ "migrate", "--control", self->control, "--device",
						 device, "--to", to, NULL },
			  false))
		return -1;
	program_wait(&self->tool);
	return self->tool.status;
}

/* The server that was left last may not have noticed yet. */
static int migrate_surely(FIXTURE_DATA(vmm) * self, const char *to)
{
	int status;

	do
		status = migrate(self, "disk", to);
	while (status == 1 && strstr(self->tool.complained, strerror(EBUSY)));
	return status;
}

#define END_WELL()                         \
	testdev_server_kill(&self->leash); \
	program_wait(&self->program);      \
	EXPECT_EQ(0, self->program.status)

TEST_F(vmm, a_guest_that_does_not_stop_to_use_it_loses_nothing)
{
	START();
	for (unsigned int i = 0; i < 4; i++) {
		ASSERT_EQ(0, migrate_surely(self, i % 2 ? self->a.path : self->b.path))
		{
			TH_LOG("%s", self->tool.complained);
		}
	}
	END_WELL();
}

TEST_F(vmm, a_guest_of_three_vcpus_that_all_use_it_loses_nothing)
{
	NEEDS_KVM();
	ASSERT_EQ(0, start(self, "3", BARE_CODE(all_use_it)));
	ASSERT_TRUE(program_await_line(&self->program));
	for (unsigned int i = 0; i < 4; i++) {
		ASSERT_EQ(0, migrate_surely(self, i % 2 ? self->a.path : self->b.path))
		{
			TH_LOG("%s", self->tool.complained);
		}
	}
	END_WELL();
}

TEST_F(vmm, the_server_it_came_from_may_end_and_the_one_where_it_is_is_waited_for)
{
	START();
	ASSERT_EQ(0, migrate_surely(self, self->b.path));
	testdev_server_kill(&self->a);
	ASSERT_EQ(0, kill(self->program.pid, SIGTERM));
	program_wait(&self->program);
	EXPECT_EQ(128 + SIGTERM, self->program.status);
	EXPECT_STREQ("", self->program.complained);
}

TEST_F(vmm, a_move_that_can_not_be_is_one_line_and_status_1_and_the_guest_goes_on)
{
	START();
	EXPECT_EQ(1, migrate(self, "disk", "/tmp/fastpath-nobody"));
	EXPECT_NE(NULL, strstr(self->tool.complained, "device disk: the new server: no vfio-user"));
	EXPECT_EQ(1, migrate(self, "disk", self->leash.path));
	EXPECT_NE(NULL, strstr(self->tool.complained, "the new server"));
	EXPECT_EQ(1, migrate(self, "dusk", self->b.path));
	EXPECT_NE(NULL, strstr(self->tool.complained, "device dusk: device: there is none"));
	END_WELL();
}

TEST_F(vmm, mistakes_of_the_tool_are_one_line)
{
	const char *const args[] = { "migrate", "--control", "/tmp/fastpath-nobody", NULL };

	ASSERT_EQ(0, program_start(&self->tool, "fastpath-vmm", args, false));
	program_wait(&self->tool);
	EXPECT_EQ(1, self->tool.status);
	EXPECT_NE(NULL, strstr(self->tool.complained, "migrate wants --control PATH --device ID"));
	EXPECT_EQ(1, migrate(self, "disk", "/tmp/fastpath-nobody"));
	EXPECT_NE(NULL, strstr(self->tool.complained, "No such file or directory"));
}

/* ---- its control socket ---- */

static const char *ask(FIXTURE_DATA(vmm) * self, const char *request)
{
	static char reply[4096];
	int fd = socket_connect(self->control);
	ssize_t n = -1;

	if (fd >= 0 && write(fd, request, strlen(request)) == (ssize_t)strlen(request))
		n = read(fd, reply, sizeof(reply) - 1);
	close(fd);
	reply[n < 0 ? 0 : n] = '\0';
	return reply;
}

TEST_F(vmm, the_control_socket_answers_each_line_whatever_it_is)
{
	static char longest[6000];

	START();
	memset(longest, 'x', sizeof(longest) - 1);
	EXPECT_NE(NULL, strstr(ask(self, "{\"command\":\"list\"}\n"), "\"device\":\"disk\""));
	EXPECT_NE(NULL, strstr(ask(self, "{\"command\":\"list\"}\n"), self->leash.path));
	EXPECT_NE(NULL, strstr(ask(self, "x\n"), "error"));
	EXPECT_NE(NULL, strstr(ask(self, "[]\n"), "a request is a JSON object"));
	EXPECT_NE(NULL, strstr(ask(self, "{}\n"), "command: there are"));
	EXPECT_NE(NULL, strstr(ask(self, "{\"command\":\"migrate\"}\n"), "device: there is none"));
	EXPECT_NE(NULL, strstr(ask(self, "{\"command\":\"migrate\",\"device\":\"disk\"}\n"),
			       "to: the address"));
	EXPECT_NE(NULL, strstr(ask(self, longest), "longer than 4095 bytes"));
	END_WELL();
}

TEST_HARNESS_MAIN
