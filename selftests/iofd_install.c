/* SPDX-License-Identifier: GPL-2.0-only */
/* The io fds that a server hands out: which are installed in KVM, what becomes of the others. */
#include "iofd_install.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "bare_guest.h"
#include "capture.h"
#include "kselftest_harness.h"
#include "wire.h"

#define REGION_BYTES 0x1000u
#define MANY 1100u

#define DATAMATCH FPC_IOEVENTFD_DATAMATCH
#define PIO FPC_IOEVENTFD_PIO
#define POSTED WIRE_IOREGION_POSTED_WRITES
#define SPAN_PIO WIRE_IOREGION_PIO

static const struct iofd_target memory_bar = {
	.device = "test",
	.region = 2,
	.size = REGION_BYTES,
	.base = BARE_MMIO,
};

static const struct iofd_target io_bar = {
	.device = "test",
	.region = 1,
	.size = 0x100,
	.base = BARE_PORT,
	.is_io = true,
};

static int new_eventfd(void)
{
	return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

/* A set as the client decodes it, of `nr` entries that share one eventfd. */
static struct fpc_io_fds make_set(const struct fpc_io_fd *entries, uint32_t nr)
{
	struct fpc_io_fds set = {
		.nr_entries = nr,
		.nr_fds = 1,
		.entries = calloc(nr, sizeof(*entries)),
		.fds = calloc(1, sizeof(int)),
	};

	if (!set.entries || !set.fds)
		abort();
	set.fds[0] = new_eventfd();
	for (uint32_t i = 0; i < nr; i++) {
		set.entries[i] = entries[i];
		set.entries[i].fd = set.fds[0];
	}
	return set;
}

/* The field for which an entry with this fd is refused on its own; "" when it is not. */
static const char *refused_fd(const struct iofd_target *target, struct fpc_io_fd entry, int fd)
{
	struct fpc_io_fds set = { .nr_entries = 1, .entries = &entry };
	struct iofd_refusal refusal;

	entry.fd = fd;
	return iofd_check(target, &set, NULL, 0, &refusal) ? refusal.field : "";
}

/* The same with a good fd. */
static const char *refused(const struct iofd_target *target, struct fpc_io_fd entry)
{
	int fd = new_eventfd();
	const char *field = refused_fd(target, entry, fd);

	close(fd);
	return field;
}

/* The same for the second of two. */
static const char *refused_next_to(struct fpc_io_fd first, struct fpc_io_fd second)
{
	const struct fpc_io_fd entries[] = { first, second };
	struct fpc_io_fds set = make_set(entries, 2);
	struct iofd_refusal refusal;
	int ret = iofd_check(&memory_bar, &set, NULL, 1, &refusal);

	fpc_io_fds_free(&set);
	return ret ? refusal.field : "";
}

#define ENTRY(...) ((struct fpc_io_fd){ __VA_ARGS__ })

/* ---- the check alone ---- */

TEST(an_ioeventfd_within_its_region_is_accepted)
{
	EXPECT_STREQ("", refused(&memory_bar, ENTRY(.offset = 0, .size = 4)));
	EXPECT_STREQ("", refused(&memory_bar, ENTRY(.offset = 0xff8, .size = 8)));
	EXPECT_STREQ("", refused(&memory_bar, ENTRY(.offset = 0xfff)));
	EXPECT_STREQ("",
		     refused(&memory_bar, ENTRY(.size = 1, .flags = DATAMATCH, .datamatch = 0xff)));
	EXPECT_STREQ("", refused(&memory_bar,
				 ENTRY(.size = 8, .flags = DATAMATCH, .datamatch = UINT64_MAX)));
	EXPECT_STREQ("", refused(&io_bar, ENTRY(.offset = 0xfc, .size = 4, .flags = PIO)));
}

TEST(one_that_leaves_its_region_is_refused)
{
	EXPECT_STREQ("offset", refused(&memory_bar, ENTRY(.offset = 0x1000)));
	EXPECT_STREQ("offset", refused(&memory_bar, ENTRY(.offset = 0xffd, .size = 4)));
	EXPECT_STREQ("offset", refused(&memory_bar, ENTRY(.offset = UINT64_MAX, .size = 1)));
	EXPECT_STREQ("offset", refused(&memory_bar, ENTRY(.offset = UINT64_MAX - 3, .size = 8)));
	EXPECT_STREQ("offset", refused(&memory_bar, ENTRY(.offset = -(uint64_t)BARE_MMIO)));
	EXPECT_STREQ("offset", refused(&io_bar, ENTRY(.offset = 0xfd, .size = 4, .flags = PIO)));
}

TEST(a_size_that_is_no_stores_width_is_refused)
{
	EXPECT_STREQ("size", refused(&memory_bar, ENTRY(.size = 3)));
	EXPECT_STREQ("size", refused(&memory_bar, ENTRY(.size = 16)));
	EXPECT_STREQ("size", refused(&memory_bar, ENTRY(.size = (1ull << 32) + 4)));
	EXPECT_STREQ("size", refused(&memory_bar, ENTRY(.size = UINT64_MAX)));
}

TEST(any_width_is_for_memory_and_without_datamatch)
{
	EXPECT_STREQ("size", refused(&io_bar, ENTRY(.size = 0, .flags = PIO)));
	EXPECT_STREQ("size", refused(&memory_bar, ENTRY(.size = 0, .flags = DATAMATCH)));
}

TEST(a_datamatch_wider_than_its_store_is_refused)
{
	EXPECT_STREQ("datamatch", refused(&memory_bar, ENTRY(.size = 1, .flags = DATAMATCH,
							     .datamatch = 0x100)));
	EXPECT_STREQ("datamatch", refused(&memory_bar, ENTRY(.size = 4, .flags = DATAMATCH,
							     .datamatch = 1ull << 32)));
}

TEST(a_flag_that_kvm_must_not_see_is_refused)
{
	for (unsigned int bit = 2; bit < 32; bit++)
		EXPECT_STREQ("flags", refused(&memory_bar, ENTRY(.size = 4, .flags = 1u << bit)));
}

TEST(the_space_of_entry_and_region_must_agree)
{
	EXPECT_STREQ("flags", refused(&memory_bar, ENTRY(.size = 4, .flags = PIO)));
	EXPECT_STREQ("flags", refused(&io_bar, ENTRY(.size = 4)));
}

TEST(an_unknown_type_is_refused)
{
	EXPECT_STREQ("type", refused(&memory_bar, ENTRY(.size = 4, .type = 3)));
	EXPECT_STREQ("type", refused(&memory_bar, ENTRY(.size = 4, .type = UINT32_MAX)));
}

/* ---- shadow ioeventfds ---- */

#define SHADOW_BYTES 8192

static int new_shadow(int seals)
{
	int fd = memfd_create("shadow", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, SHADOW_BYTES) || fcntl(fd, F_ADD_SEALS, seals))
		abort();
	return fd;
}

static const char *refused_shadow(struct fpc_io_fd entry, int seals)
{
	int fd = new_shadow(seals);
	const char *field;

	entry.type = FPC_IO_FD_SHADOW;
	entry.shadow_fd = fd;
	field = refused(&memory_bar, entry);
	close(fd);
	return field;
}

TEST(a_shadow_whose_value_has_a_place_that_stays_is_accepted)
{
	EXPECT_STREQ("", refused_shadow(ENTRY(.size = 4, .user_data = 0), F_SEAL_SHRINK));
	EXPECT_STREQ("", refused_shadow(ENTRY(.size = 8, .user_data = SHADOW_BYTES - 8),
					F_SEAL_SHRINK | F_SEAL_GROW));
}

TEST(a_shadow_whose_place_is_bad_is_refused)
{
	const struct fpc_io_fd none = ENTRY(.size = 4, .type = FPC_IO_FD_SHADOW, .shadow_fd = -1);

	EXPECT_STREQ("shadow_mem_fd_index", refused(&memory_bar, none));
	EXPECT_STREQ("shadow_mem_fd_index", refused_shadow(ENTRY(.size = 4), F_SEAL_GROW));
	EXPECT_STREQ("shadow_offset",
		     refused_shadow(ENTRY(.size = 4, .user_data = SHADOW_BYTES), F_SEAL_SHRINK));
	EXPECT_STREQ("shadow_offset",
		     refused_shadow(ENTRY(.size = 8, .user_data = 4), F_SEAL_SHRINK));
	EXPECT_STREQ("shadow_offset",
		     refused_shadow(ENTRY(.size = 4, .user_data = UINT64_MAX - 3), F_SEAL_SHRINK));
	EXPECT_STREQ("size", refused_shadow(ENTRY(.size = 0), F_SEAL_SHRINK));
	EXPECT_STREQ("flags", refused_shadow(ENTRY(.size = 4, .flags = DATAMATCH), F_SEAL_SHRINK));
}

/* ---- ioregionfds ---- */

static int new_socket(int domain, int type)
{
	int pair[2] = { -1, -1 };

	if (domain == AF_UNIX && !socketpair(domain, type, 0, pair))
		close(pair[1]);
	else
		pair[0] = socket(domain, type, 0);
	return pair[0];
}

static const char *refused_by_socket(const struct iofd_target *target, struct fpc_io_fd entry,
				     int domain, int type)
{
	int fd = new_socket(domain, type);
	const char *field;

	entry.type = FPC_IO_FD_IOREGIONFD;
	field = refused_fd(target, entry, fd);
	close(fd);
	return field;
}

static const char *refused_span(const struct iofd_target *target, struct fpc_io_fd entry)
{
	return refused_by_socket(target, entry, AF_UNIX, SOCK_SEQPACKET);
}

TEST(an_ioregionfd_within_its_region_is_accepted)
{
	EXPECT_STREQ("", refused_span(&memory_bar, ENTRY(.size = 0x1000)));
	EXPECT_STREQ("", refused_span(&memory_bar, ENTRY(.offset = 0xfff, .size = 1)));
	EXPECT_STREQ("", refused_span(&memory_bar, ENTRY(.offset = 0xfff, .flags = POSTED)));
	EXPECT_STREQ("", refused_span(&io_bar, ENTRY(.size = 0x100, .flags = SPAN_PIO)));
}

TEST(an_ioregionfd_that_reaches_over_another_device_or_ram_is_refused)
{
	EXPECT_STREQ("offset", refused_span(&memory_bar, ENTRY(.size = 0x1001)));
	EXPECT_STREQ("offset", refused_span(&memory_bar, ENTRY(.offset = 0x1000, .size = 1)));
	EXPECT_STREQ("offset", refused_span(&memory_bar, ENTRY(.offset = 8, .size = UINT64_MAX)));
	EXPECT_STREQ("offset", refused_span(&memory_bar,
					    ENTRY(.offset = -(uint64_t)BARE_MMIO, .size = 0x1000)));
	EXPECT_STREQ("offset", refused_span(&memory_bar, ENTRY(.offset = 0x1000, .flags = POSTED)));
	EXPECT_STREQ("size", refused_span(&memory_bar, ENTRY(.size = 0)));
}

TEST(an_ioregionfd_with_a_flag_that_kvm_must_not_see_is_refused)
{
	for (unsigned int bit = 2; bit < 32; bit++)
		EXPECT_STREQ("flags",
			     refused_span(&memory_bar, ENTRY(.size = 4, .flags = 1u << bit)));
	EXPECT_STREQ("flags", refused_span(&memory_bar, ENTRY(.size = 4, .flags = SPAN_PIO)));
	EXPECT_STREQ("flags", refused_span(&io_bar, ENTRY(.size = 4)));
}

TEST(an_ioregionfd_that_is_no_unix_socket_which_keeps_packets_is_refused)
{
	const struct fpc_io_fd entry = ENTRY(.size = 4, .type = FPC_IO_FD_IOREGIONFD);
	FILE *file = tmpfile();

	EXPECT_STREQ("fd_index", refused_by_socket(&memory_bar, entry, AF_UNIX, SOCK_STREAM));
	EXPECT_STREQ("fd_index", refused_by_socket(&memory_bar, entry, AF_UNIX, SOCK_DGRAM));
	EXPECT_STREQ("fd_index", refused_by_socket(&memory_bar, entry, AF_INET, SOCK_STREAM));
	EXPECT_STREQ("fd_index", refused_fd(&memory_bar, entry, fileno(file)));
	EXPECT_STREQ("fd_index", refused(&memory_bar, entry)); /* an eventfd */
	EXPECT_STREQ("fd_index", refused_fd(&memory_bar, entry, -1));
	fclose(file);
}

TEST(an_ioregionfd_shares_no_byte_with_any_other)
{
	const struct fpc_io_fd span = ENTRY(.offset = 8, .size = 8, .type = FPC_IO_FD_IOREGIONFD);
	const struct fpc_io_fd bells[] = { ENTRY(.offset = 15, .size = 1), ENTRY(.offset = 8),
					   ENTRY(.offset = 6, .size = 4) };
	const struct fpc_io_fd beside = ENTRY(.offset = 16, .size = 4);

	for (size_t i = 0; i < 3; i++)
		EXPECT_STREQ("offset", refused_next_to(span, bells[i]));
	EXPECT_STREQ("", refused_next_to(span, beside));
}

/* ---- fds ---- */

TEST(an_fd_that_did_not_come_or_is_no_eventfd_is_refused)
{
	int pipes[2];

	ASSERT_EQ(0, pipe(pipes));
	EXPECT_STREQ("fd_index", refused_fd(&memory_bar, ENTRY(.size = 4), -1));
	EXPECT_STREQ("fd_index", refused_fd(&memory_bar, ENTRY(.size = 4), pipes[1]));
	close(pipes[0]);
	close(pipes[1]);
	EXPECT_STREQ("fd_index", refused_fd(&memory_bar, ENTRY(.size = 4), pipes[1]));
}

/* Whether /proc shows it: only since Linux 6.5. */
static bool semaphores_are_told(int fd)
{
	char path[40];
	char text[512] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "r");
	if (!file)
		return false;
	if (!fread(text, 1, sizeof(text) - 1, file))
		text[0] = '\0';
	fclose(file);
	return strstr(text, "eventfd-semaphore");
}

TEST(an_eventfd_in_semaphore_mode_is_refused)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);

	ASSERT_LE(0, fd);
	if (!semaphores_are_told(fd))
		SKIP(return, "this kernel does not show semaphore mode in /proc");
	EXPECT_STREQ("fd_index", refused_fd(&memory_bar, ENTRY(.size = 4), fd));
	close(fd);
}

TEST(two_that_kvm_could_not_tell_apart_are_refused)
{
	const struct fpc_io_fd four = ENTRY(.offset = 8, .size = 4);
	const struct fpc_io_fd any = ENTRY(.offset = 8);
	const struct fpc_io_fd fa =
		ENTRY(.offset = 8, .size = 4, .flags = DATAMATCH, .datamatch = 0xfa);

	EXPECT_STREQ("offset", refused_next_to(four, four));
	EXPECT_STREQ("offset", refused_next_to(any, any));
	EXPECT_STREQ("offset", refused_next_to(four, any));
	EXPECT_STREQ("offset", refused_next_to(any, four));
	EXPECT_STREQ("offset", refused_next_to(fa, fa));
	EXPECT_STREQ("offset", refused_next_to(fa, four));
	EXPECT_STREQ("offset", refused_next_to(four, fa));
	EXPECT_STREQ("offset", refused_next_to(any, fa));
}

TEST(two_that_share_bytes_but_not_the_address_are_refused)
{
	const struct fpc_io_fd eight = ENTRY(.offset = 8, .size = 8);

	EXPECT_STREQ("offset", refused_next_to(eight, ENTRY(.offset = 12, .size = 4)));
	EXPECT_STREQ("offset", refused_next_to(eight, ENTRY(.offset = 6, .size = 4)));
	EXPECT_STREQ("offset", refused_next_to(eight, ENTRY(.offset = 15)));
	EXPECT_STREQ("", refused_next_to(eight, ENTRY(.offset = 16)));
	EXPECT_STREQ("", refused_next_to(eight, ENTRY(.offset = 4, .size = 4)));
}

TEST(two_at_one_address_that_differ_in_width_or_value_are_accepted)
{
	const struct fpc_io_fd fa = ENTRY(.size = 4, .flags = DATAMATCH, .datamatch = 0xfa);

	EXPECT_STREQ("",
		     refused_next_to(fa, ENTRY(.size = 4, .flags = DATAMATCH, .datamatch = 0xce)));
	EXPECT_STREQ("", refused_next_to(fa, ENTRY(.size = 2)));
}

TEST(one_that_was_refused_is_in_nobodys_way)
{
	const struct fpc_io_fd entries[] = { { .size = 4 }, { .size = 4 } };
	struct fpc_io_fds set = make_set(entries, 2);
	const bool none[2] = { false, false };
	struct iofd_refusal refusal;

	EXPECT_EQ(0, iofd_check(&memory_bar, &set, none, 1, &refusal));
	fpc_io_fds_free(&set);
}

/* ---- with KVM ---- */

/* Rings what the tests install, and something else. */
BARE_GUEST(ring, "movb $1, 0x10(%rbx)\n movw $1, 0x10(%rbx)\n"	      /* any width */
		 "movl $1, 0x20(%rbx)\n movw $1, 0x20(%rbx)\n"	      /* 4 bytes */
		 "movl $0xfa, 0x30(%rbx)\n movl $0xce, 0x30(%rbx)\n"  /* the value 0xfa */
		 "add $0x40, %dx\n outb %al, %dx\n outw %ax, %dx\n"); /* a port, 1 byte */

FIXTURE(installed) {
	struct bare_guest guest;
	struct capture said;
};

FIXTURE_SETUP(installed)
{
	if (!bare_guest_missing())
		ASSERT_EQ(0, bare_guest_open(&self->guest, BARE_CODE(ring)));
}

FIXTURE_TEARDOWN(installed)
{
	bare_guest_close(&self->guest);
}

/* Installs with the log captured. */
static struct iofd_installed *install_with(struct bare_guest *guest, struct capture *said,
					   const struct iofd_target *target,
					   const struct fpc_io_fd *entries, uint32_t nr,
					   int shadow_fd)
{
	struct fpc_io_fds set = make_set(entries, nr);
	struct iofd_installed *installed = NULL;

	for (uint32_t i = 0; i < nr; i++)
		set.entries[i].shadow_fd = shadow_fd;
	capture_start(said);
	if (iofd_install(guest->machine->vm, target, &set, &installed) || set.fds || set.entries)
		abort();
	capture_end(said);
	return installed;
}

static struct iofd_installed *install(struct bare_guest *guest, struct capture *said,
				      const struct iofd_target *target,
				      const struct fpc_io_fd *entries, uint32_t nr)
{
	return install_with(guest, said, target, entries, nr, -1);
}

static uint64_t count(int fd)
{
	uint64_t value = 0;

	return read(fd, &value, sizeof(value)) == sizeof(value) ? value : 0;
}

static const struct fpc_io_fd three[] = {
	{ .offset = 0x10 },
	{ .offset = 0x20, .size = 4 },
	{ .offset = 0x30, .size = 4, .flags = DATAMATCH, .datamatch = 0xfa },
};

static const struct fpc_io_fd port[] = { { .offset = 0x40, .size = 1, .flags = PIO } };

TEST_F(installed, stores_that_match_go_by_fd_and_all_others_to_the_bus)
{
	struct iofd_installed *memory, *io;

	NEEDS_KVM();
	memory = install(&self->guest, &self->said, &memory_bar, three, 3);
	EXPECT_STREQ("", self->said.text);
	io = install(&self->guest, &self->said, &io_bar, port, 1);
	EXPECT_STREQ("", self->said.text);
	EXPECT_EQ(3, memory->nr_roads);
	EXPECT_EQ(1, io->nr_roads);
	ASSERT_EQ(0, bare_guest_run(&self->guest));
	EXPECT_EQ(4, count(memory->set.fds[0]));
	EXPECT_EQ(1, count(io->set.fds[0]));
	EXPECT_EQ(2, self->guest.mmio.nr);
	EXPECT_TRUE(recorder_wrote(&self->guest.mmio, 0, 0x20, 2, 1));
	EXPECT_TRUE(recorder_wrote(&self->guest.mmio, 1, 0x30, 4, 0xce));
	EXPECT_EQ(1, self->guest.pio.nr);
	iofd_forget(memory);
	iofd_forget(io);
}

TEST_F(installed, the_road_of_a_store_can_be_asked_for)
{
	struct iofd_installed *memory;

	NEEDS_KVM();
	memory = install(&self->guest, &self->said, &memory_bar, three, 3);
	EXPECT_EQ(&memory->set.entries[0], iofd_road(memory, 0x10, 8, 7));
	EXPECT_EQ(&memory->set.entries[1], iofd_road(memory, 0x20, 4, 7));
	EXPECT_EQ(NULL, iofd_road(memory, 0x20, 2, 7));
	EXPECT_EQ(&memory->set.entries[2], iofd_road(memory, 0x30, 4, 0xfa));
	EXPECT_EQ(NULL, iofd_road(memory, 0x30, 4, 0xce));
	EXPECT_EQ(NULL, iofd_road(memory, 0x12, 1, 0));
	iofd_forget(memory);
}

TEST_F(installed, what_is_uninstalled_goes_to_the_bus_again)
{
	struct iofd_installed *memory;

	NEEDS_KVM();
	memory = install(&self->guest, &self->said, &memory_bar, three, 3);
	iofd_uninstall(memory);
	ASSERT_EQ(0, bare_guest_run(&self->guest));
	EXPECT_EQ(6, self->guest.mmio.nr);
	memory = install(&self->guest, &self->said, &memory_bar, three, 3);
	EXPECT_EQ(3, memory->nr_roads);
	iofd_forget(memory);
}

TEST_F(installed, a_refused_one_goes_by_socket_and_one_line_says_why)
{
	const struct fpc_io_fd entries[] = {
		{ .offset = 0x10 },
		{ .offset = 0x20, .size = 4, .flags = 4 },
		{ .offset = 0x30, .size = 4, .flags = DATAMATCH, .datamatch = 0xfa },
	};
	struct iofd_installed *memory;

	NEEDS_KVM();
	memory = install(&self->guest, &self->said, &memory_bar, entries, 3);
	EXPECT_EQ(2, memory->nr_roads);
	EXPECT_TRUE(memory->roads[0] && !memory->roads[1] && memory->roads[2]);
	EXPECT_EQ(1,
		  capture_lines(&self->said, "test: region 2, io fd 1 goes by socket: flags 0x4"));
	EXPECT_EQ(1, capture_lines(&self->said, "\n"));
	ASSERT_EQ(0, bare_guest_run(&self->guest));
	EXPECT_TRUE(recorder_wrote(&self->guest.mmio, 0, 0x20, 4, 1));
	EXPECT_EQ(3, self->guest.mmio.nr);
	iofd_forget(memory);
}

TEST_F(installed, one_that_kvm_has_already_goes_by_socket)
{
	struct iofd_installed *first, *second;

	NEEDS_KVM();
	first = install(&self->guest, &self->said, &memory_bar, three, 3);
	second = install(&self->guest, &self->said, &memory_bar, three, 3);
	EXPECT_EQ(0, second->nr_roads);
	EXPECT_EQ(3, capture_lines(&self->said, "KVM_IOEVENTFD: File exists"));
	/* Taking out what is not in there must leave the first ones alone. */
	iofd_uninstall(second);
	ASSERT_EQ(0, bare_guest_run(&self->guest));
	EXPECT_EQ(4, count(first->set.fds[0]));
	iofd_forget(first);
}

TEST_F(installed, the_value_of_a_shadow_is_there_before_it_rings_if_kvm_can)
{
	const struct fpc_io_fd entry = {
		.type = FPC_IO_FD_SHADOW, .offset = 0x20, .size = 4, .user_data = 4096 + 8
	};
	struct iofd_installed *memory;
	uint32_t value = 0;
	int shadow = new_shadow(F_SEAL_SHRINK);

	NEEDS_KVM();
	memory = install_with(&self->guest, &self->said, &memory_bar, &entry, 1, shadow);
	if (!self->guest.machine->vm->has_post_write) {
		EXPECT_EQ(0, memory->nr_roads);
		EXPECT_EQ(1,
			  capture_lines(&self->said, "KVM_IOEVENTFD with post-write: Operation"));
	} else {
		EXPECT_STREQ("", self->said.text);
		ASSERT_EQ(0, bare_guest_run(&self->guest));
		EXPECT_EQ(1, count(memory->set.fds[0]));
		EXPECT_EQ(4, pread(shadow, &value, sizeof(value), 4096 + 8));
		EXPECT_EQ(1, value);
		EXPECT_TRUE(recorder_wrote(&self->guest.mmio, 2, 0x20, 2, 1));
	}
	iofd_uninstall(memory);
	close(shadow);
}

TEST_F(installed, a_flood_of_them_is_cut_off)
{
	struct fpc_io_fd entries[MANY];
	struct iofd_installed *memory;

	NEEDS_KVM();
	for (uint32_t i = 0; i < MANY; i++)
		entries[i] = (struct fpc_io_fd){ .offset = i, .size = 1 };
	memory = install(&self->guest, &self->said, &memory_bar, entries, MANY);
	/* KVM itself takes fewer from some point on; neither limit may hurt the others. */
	EXPECT_LT(500, memory->nr_roads);
	EXPECT_GE(IOFD_MAX_ENTRIES, memory->nr_roads);
	EXPECT_EQ(1, capture_lines(&self->said, "1100 io fds"));
	EXPECT_FALSE(memory->roads[IOFD_MAX_ENTRIES]);
	ASSERT_EQ(0, bare_guest_run(&self->guest));
	iofd_forget(memory);
}

TEST_HARNESS_MAIN
