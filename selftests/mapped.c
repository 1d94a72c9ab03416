/* SPDX-License-Identifier: GPL-2.0-only */
/* A region's memory as the guest's: what is reached without an exit, and what is not mapped. */
#include "mapped.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "bare_guest.h"
#include "capture.h"
#include "iofd_install.h"
#include "kselftest_harness.h"
#include "peer.h"
#include "puppet_rig.h"
#include "testdev.h"
#include "testdev_server.h"
#include "vfio_pci.h"

#ifndef F_SEAL_FUTURE_WRITE /* Linux 5.1; a C library may be older */
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

/* Where the region's first byte is in the guest; the tests' own, on no bus. */
#define BASE 0xd0000000u
#define PAGE 4096u

/* Loads and stores in a page, then hands what was loaded to the recorder. */
BARE_GUEST(touch, "mov $0xd0001000, %ecx\n"
		  "mov 8(%rcx), %rax\n mov %rax, (%rbx)\n"
		  "movl $0x1234, 0x10(%rcx)\n"
		  "movl 0x10(%rcx), %eax\n mov %rax, (%rbx)\n");

FIXTURE(mapped) {
	struct bare_guest guest;
	struct fpc_region region;
	uint64_t *memory; /* of the whole region */
	struct mapped *mapped;
	struct capture said;
};

static struct vm *vm_of(FIXTURE_DATA(mapped) * self)
{
	return self->guest.machine->vm;
}

FIXTURE_SETUP(mapped)
{
	self->region = (struct fpc_region){
		.flags = FPC_REGION_READABLE | FPC_REGION_WRITEABLE | FPC_REGION_MMAP,
		.size = 4 * PAGE,
		.fd = memfd_create("region", MFD_CLOEXEC | MFD_ALLOW_SEALING),
		.sealed = true,
	};
	ASSERT_EQ(0, ftruncate(self->region.fd, 4 * PAGE));
	self->memory = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, self->region.fd, 0);
	ASSERT_NE(MAP_FAILED, self->memory);
	self->memory[PAGE / 8 + 1] = 0x77;
	if (!bare_guest_missing())
		ASSERT_EQ(0, bare_guest_open(&self->guest, BARE_CODE(touch)));
}

FIXTURE_TEARDOWN(mapped)
{
	mapped_close(self->mapped);
	bare_guest_close(&self->guest);
}

static void open_it(FIXTURE_DATA(mapped) * self)
{
	const struct mapped_target target = { .device = "test", .base = BASE };

	capture_start(&self->said);
	if (mapped_open(vm_of(self), &self->region, &target, &self->mapped))
		abort();
	capture_end(&self->said);
}

TEST_F(mapped, the_guest_loads_and_stores_without_an_exit)
{
	NEEDS_KVM();
	open_it(self);
	EXPECT_STREQ("", self->said.text);
	EXPECT_EQ(4 * PAGE, mapped_bytes(self->mapped));
	EXPECT_EQ(0, mapped_read_only_bytes(self->mapped));
	ASSERT_EQ(0, bare_guest_run(&self->guest));
	EXPECT_TRUE(recorder_wrote(&self->guest.mmio, 0, 0, 8, 0x77));
	EXPECT_TRUE(recorder_wrote(&self->guest.mmio, 1, 0, 8, 0x1234));
	EXPECT_EQ(0x1234, (uint32_t)self->memory[PAGE / 8 + 2]);
	/* The two that it tells, and its end. */
	EXPECT_EQ(3, vcpu_exits(self->guest.machine->vcpu)->mmio);
	EXPECT_EQ(0, bus_stats(self->guest.machine->bus)->stray_writes);
}

TEST_F(mapped, only_the_areas_of_a_sparse_region_are_mapped)
{
	struct fpc_area areas[] = { { 0, PAGE }, { 3 * PAGE, PAGE } };

	NEEDS_KVM();
	self->region.has_sparse = true;
	self->region.nr_areas = 2;
	self->region.areas = areas;
	open_it(self);
	EXPECT_EQ(2 * PAGE, mapped_bytes(self->mapped));
	ASSERT_EQ(0, bare_guest_run(&self->guest));
	EXPECT_EQ(2, bus_stats(self->guest.machine->bus)->stray_reads);
	EXPECT_EQ(1, bus_stats(self->guest.machine->bus)->stray_writes);
}

TEST_F(mapped, holes_are_left_to_somebody_else)
{
	const struct mapped_target target = {
		.device = "test",
		.base = BASE,
		.holes = { { PAGE, PAGE }, { 3 * PAGE, PAGE } },
		.nr_holes = 2,
	};

	NEEDS_KVM();
	ASSERT_EQ(0, mapped_open(vm_of(self), &self->region, &target, &self->mapped));
	EXPECT_EQ(2 * PAGE, mapped_bytes(self->mapped));
	ASSERT_EQ(0, bare_guest_run(&self->guest));
	EXPECT_EQ(2, bus_stats(self->guest.machine->bus)->stray_reads);
}

TEST_F(mapped, plugged_in_elsewhere_it_is_there_in_the_same_slot)
{
	uint32_t slots;

	NEEDS_KVM();
	open_it(self);
	slots = vm_of(self)->nr_slots;
	for (unsigned int i = 0; i < 100; i++) {
		mapped_unplug(self->mapped);
		mapped_plug(self->mapped, BASE - PAGE * (i + 1));
	}
	EXPECT_EQ(slots, vm_of(self)->nr_slots);
	mapped_unplug(self->mapped);
	mapped_plug(self->mapped, BASE + PAGE);
	self->memory[1] = 0x99;
	ASSERT_EQ(0, bare_guest_run(&self->guest));
	/* The region's first page is where its second one was. */
	EXPECT_TRUE(recorder_wrote(&self->guest.mmio, 0, 0, 8, 0x99));
}

TEST_F(mapped, unplugged_it_is_nowhere)
{
	NEEDS_KVM();
	open_it(self);
	mapped_unplug(self->mapped);
	ASSERT_EQ(0, bare_guest_run(&self->guest));
	EXPECT_EQ(2, bus_stats(self->guest.machine->bus)->stray_reads);
}

TEST_F(mapped, loads_from_what_is_mapped_read_only_stay_and_stores_leave)
{
	NEEDS_KVM();
	ASSERT_EQ(0, fcntl(self->region.fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
	open_it(self);
	EXPECT_STREQ("", self->said.text);
	EXPECT_EQ(4 * PAGE, mapped_read_only_bytes(self->mapped));
	ASSERT_EQ(0, bare_guest_run(&self->guest));
	EXPECT_TRUE(recorder_wrote(&self->guest.mmio, 0, 0, 8, 0x77));
	EXPECT_TRUE(recorder_wrote(&self->guest.mmio, 1, 0, 8, 0));
	EXPECT_EQ(1, bus_stats(self->guest.machine->bus)->stray_writes);
	EXPECT_EQ(0, bus_stats(self->guest.machine->bus)->stray_reads);
}

TEST_F(mapped, an_ioeventfd_on_a_read_only_page_rings_without_an_exit)
{
	const struct fpc_io_fd on_top = { .offset = PAGE + 0x10, .size = 4 };
	const struct iofd_target target = { .device = "test", .size = 4 * PAGE, .base = BASE };
	struct fpc_io_fds set = { .nr_entries = 1, .nr_fds = 1 };
	struct iofd_installed *installed;
	uint64_t rung = 0;
	int bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	NEEDS_KVM();
	set.entries = calloc(1, sizeof(*set.entries));
	set.fds = calloc(1, sizeof(int));
	set.entries[0] = on_top;
	set.fds[0] = dup(bell);
	set.entries[0].fd = set.fds[0];
	ASSERT_EQ(0, fcntl(self->region.fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
	open_it(self);
	ASSERT_EQ(0, iofd_install(vm_of(self), &target, &set, &installed));
	ASSERT_EQ(0, bare_guest_run(&self->guest));
	EXPECT_EQ(sizeof(rung), read(bell, &rung, sizeof(rung)));
	EXPECT_EQ(1, rung);
	EXPECT_EQ(3, vcpu_exits(self->guest.machine->vcpu)->mmio);
	EXPECT_EQ(0, bus_stats(self->guest.machine->bus)->stray_writes);
	iofd_uninstall(installed);
	close(bell);
}

TEST_F(mapped, memory_that_its_server_could_cut_short_is_not_mapped)
{
	NEEDS_KVM();
	self->region.sealed = false;
	open_it(self);
	EXPECT_EQ(NULL, self->mapped);
	EXPECT_EQ(1, capture_lines(&self->said, "its server could cut its memory short"));
	ASSERT_EQ(0, bare_guest_run(&self->guest));
	EXPECT_EQ(2, bus_stats(self->guest.machine->bus)->stray_reads);
}

TEST_F(mapped, areas_over_ram_or_over_each_other_are_not_mapped)
{
	struct fpc_area areas[] = { { 0, 2 * PAGE }, { PAGE, PAGE } };
	const struct mapped_target over_ram = { .device = "test", .base = 0 };

	NEEDS_KVM();
	self->region.has_sparse = true;
	self->region.nr_areas = 2;
	self->region.areas = areas;
	open_it(self);
	EXPECT_EQ(2 * PAGE, mapped_bytes(self->mapped));
	EXPECT_EQ(1, capture_lines(&self->said, "area at 0x1000 goes by message"));
	mapped_close(self->mapped);
	capture_start(&self->said);
	EXPECT_EQ(0, mapped_open(vm_of(self), &self->region, &over_ram, &self->mapped));
	capture_end(&self->said);
	EXPECT_EQ(NULL, self->mapped);
}

TEST_F(mapped, what_is_closed_goes_to_the_bus_again)
{
	NEEDS_KVM();
	open_it(self);
	mapped_close(self->mapped);
	self->mapped = NULL;
	ASSERT_EQ(0, bare_guest_run(&self->guest));
	EXPECT_EQ(2, bus_stats(self->guest.machine->bus)->stray_reads);
}

/* ---- a device ---- */

/* A server that has not noticed that its last client is gone refuses the next. */
static int open_when_free(struct machine *machine, const struct vfio_pci_options *options,
			  struct vfio_pci **dev)
{
	int64_t deadline = 0;
	int ret;

	do
		ret = vfio_pci_open(machine, options, dev);
	while (ret == -EBUSY && peer_time_left(&deadline));
	return ret;
}

/* Into testdev's area A, and then its sum of both areas. BAR 3 is where machine_place() puts it. */
BARE_GUEST(sum, "mov $0xd0010000, %ecx\n"
		"movl $0x1111, 0x2000(%rcx)\n movl $0x2222, 0xf000(%rcx)\n"
		"mov (%rcx), %rax\n mov %rax, (%rbx)\n");

TEST(a_device_sees_what_the_guest_stored_in_its_mapped_pages)
{
	struct testdev_server served;
	struct vfio_pci_options options = { .socket = served.path };
	struct bare_guest guest;
	struct vfio_pci *dev;

	NEEDS_KVM();
	testdev_server_start(&served);
	ASSERT_EQ(0, bare_guest_open(&guest, BARE_CODE(sum)));
	ASSERT_EQ(0, vfio_pci_open(guest.machine, &options, &dev));
	ASSERT_EQ(0xd0010000, vfio_pci_bar(dev, 3)->base);
	ASSERT_EQ(0, bare_guest_run(&guest));
	EXPECT_TRUE(recorder_wrote(&guest.mmio, 0, 0, 8, 0x3333));
	EXPECT_EQ(1, vfio_pci_bar(dev, 3)->reads);
	EXPECT_EQ(0, vfio_pci_bar(dev, 3)->writes);
	vfio_pci_close(dev);
	bare_guest_close(&guest);
	testdev_server_stop(&served);
}

/* Rings and loads in a page of a puppet's, the only BAR: a store leaves only where nothing rings. */
BARE_GUEST(status, "mov $0xd0000000, %ecx\n"
		   "mov (%rcx), %rax\n mov %rax, (%rbx)\n"
		   "movl $1, 0x800(%rcx)\n movw $1, 0x800(%rcx)\n"
		   "movl $0x55, 0x10(%rcx)\n"
		   "mov 0x10(%rcx), %rax\n mov %rax, (%rbx)\n");

TEST(a_page_for_loads_is_read_and_rung_without_an_exit)
{
	struct puppet_rig *rig;
	struct vfio_pci_options options = { 0 };
	struct bare_guest guest;
	struct vfio_pci *dev;

	NEEDS_KVM();
	rig = puppet_rig_start("{'pci':{'vendor':1,'device':2},'regions':[{'index':'bar0',"
			       "'size':4096,'flags':['mmap','loads-only'],"
			       "'initial':[{'offset':0,'bytes':'7700000000000000'}],"
			       "'doorbells':[{'offset':2048,'name':'kick'}]}]}",
			       PEER_LISTEN);
	peer_disconnect(rig->peer);
	options.socket = rig->peer->path;
	ASSERT_EQ(0, bare_guest_open(&guest, BARE_CODE(status)));
	ASSERT_EQ(0, open_when_free(guest.machine, &options, &dev));
	EXPECT_EQ(PAGE, mapped_read_only_bytes(vfio_pci_bar(dev, 0)->mapped));
	ASSERT_EQ(0, bare_guest_run(&guest));
	EXPECT_TRUE(recorder_wrote(&guest.mmio, 0, 0, 8, 0x77));
	EXPECT_TRUE(recorder_wrote(&guest.mmio, 1, 0, 8, 0x55));
	/* Of the accesses to the page the one store that rings nothing has left the guest. */
	EXPECT_EQ(0, vfio_pci_bar(dev, 0)->reads);
	EXPECT_EQ(1, vfio_pci_bar(dev, 0)->writes);
	EXPECT_NE(NULL,
		  strstr(puppet_say(rig->control, "{'do':'await','doorbell':'kick','count':2}"),
			 "\"count\":2"));
	vfio_pci_close(dev);
	bare_guest_close(&guest);
	puppet_rig_stop(rig);
}

TEST_HARNESS_MAIN
