// SPDX-License-Identifier: GPL-2.0-only
/*
 * What holds by every road from a guest: four vCPUs at one device, all at once. Nothing is lost,
 * doubled or out of order; and they survive their server.
 *
 * FASTPATH_ROADS_ACCESSES=1000000 has them make so many stores that cost little, instead of a tenth.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bare_guest.h"
#include "capture.h"
#include "crew.h"
#include "fastpath.h"
#include "guest/roads.h"
#include "ioregion_rig.h"
#include "kselftest_harness.h"
#include "ledger.h"
#include "log.h"
#include "peer.h"
#include "program.h"
#include "relay.h"
#include "vfio_pci.h"

#define VCPUS LEDGER_WRITERS
#define MEMORY_BYTES (16u << 20)

/* What each vCPU has of BAR2: behind as much for all of them. */
#define SHARED_SLICE 0x2000u

/* ---- a machine with four vCPUs, and the ledger in it ---- */

struct rig {
	struct peer *peer;
	struct machine *machine;
	struct vfio_pci *dev;
	struct payload *payload;
	struct crew *crew;
	struct roads_job *job;
};

static int attach(struct rig *rig, const struct vfio_pci_options *how)
{
	const struct fpc_options client = { .timeout_ms = PEER_DEADLINE_MS };
	struct vfio_pci_options options = *how;
	int ret = fpc_open(rig->peer->fd, &client, &options.client);

	rig->peer->fd = -1;
	options.socket = "ledger";
	return ret ? ret : vfio_pci_open(rig->machine, &options, &rig->dev);
}

static int load(struct rig *rig)
{
	char path[4096];
	int ret;

	snprintf(path, sizeof(path), "%s", program_path("payload/roads.bin"));
	ret = payload_open_file(rig->machine, path, &rig->payload);
	if (ret)
		return ret;
	rig->job =
		memory_ptr(rig->machine->memory,
			   roads_job_address(rig->payload->params->ram_address), sizeof(*rig->job));
	return crew_open(rig->machine, &rig->crew);
}

/* 0 or -errno. In any case it is to be given to rig_close(). */
static int rig_open(struct rig *rig, const struct vfio_pci_options *how)
{
	int ret;

	rig->peer = peer_start("ledger", PEER_OWN_CLASSES);
	ret = machine_open_bare(MEMORY_BYTES, VCPUS, &rig->machine);
	if (!ret)
		ret = attach(rig, how);
	return ret ? ret : load(rig);
}

static void rig_close(struct rig *rig)
{
	crew_close(rig->crew);
	payload_close(rig->payload);
	vfio_pci_close(rig->dev);
	machine_close(rig->machine);
	if (!rig->peer)
		return;
	/* One that does not listen ends with its client. */
	if (!*rig->peer->dir)
		peer_wait(rig->peer);
	peer_stop(rig->peer);
}

static uint64_t address(const struct rig *rig, unsigned int bar, uint64_t offset)
{
	return vfio_pci_bar(rig->dev, bar)->base + offset;
}

/* What all vCPUs do until each has left: crew_run()'s answer. */
static int run(struct rig *rig, const struct roads_job *job)
{
	*rig->job = *job;
	return crew_run(rig->crew);
}

static struct roads_vcpu sum(const struct rig *rig)
{
	struct roads_vcpu sum = { 0 };

	for (unsigned int i = 0; i < VCPUS; i++) {
		sum.right += rig->job->vcpus[i].right;
		sum.wrong += rig->job->vcpus[i].wrong;
	}
	return sum;
}

/* Stores that a guest makes without leaving, of each vCPU. */
static uint64_t cheap_stores(void)
{
	const char *given = getenv("FASTPATH_ROADS_ACCESSES");

	return (given ? strtoull(given, NULL, 10) : 100000) / VCPUS;
}

/* ---- roads that carry values ---- */

FIXTURE(road) {
	struct rig rig;
	struct capture said;
};

FIXTURE_VARIANT(road) {
	struct vfio_pci_options how;
	uint64_t memory;
	uint64_t ledger;
	uint64_t stuck;
	uint64_t numbers; /* of each vCPU */
	/* Who carries them. */
	enum {
		SOCKET,
		STANDIN,
		KERNEL, /* nobody here sees them */
	} by;
};

FIXTURE_VARIANT_ADD(road, message) {
	.how.no_io_fds = true, .memory = MEMORY, .ledger = LEDGER, .numbers = 1500, .by = SOCKET,
};

FIXTURE_VARIANT_ADD(road, posted_message) {
	.how = { .no_io_fds = true, .posted = true }, .memory = MEMORY, .ledger = LEDGER,
	.numbers = 5000, .by = SOCKET,
};

FIXTURE_VARIANT_ADD(road, standin) {
	.how.ioregion = IOFD_IOREGION_STANDIN, .memory = MEMORY, .ledger = LEDGER, .numbers = 1500,
	.by = STANDIN,
};

FIXTURE_VARIANT_ADD(road, posted_standin) {
	.how.ioregion = IOFD_IOREGION_STANDIN, .memory = POSTED, .ledger = POSTED_LEDGER,
	.numbers = 5000, .by = STANDIN,
};

FIXTURE_VARIANT_ADD(road, ioregionfd) {
	.memory = MEMORY, .ledger = LEDGER, .numbers = 1500, .by = KERNEL,
};

FIXTURE_VARIANT_ADD(road, posted_ioregionfd) {
	.memory = POSTED, .ledger = POSTED_LEDGER, .numbers = 5000, .by = KERNEL,
};

FIXTURE_SETUP(road)
{
	/* Each test has a machine of its own: OPEN(). */
}

FIXTURE_TEARDOWN(road)
{
	rig_close(&self->rig);
}

#define NEEDS_ROAD()                       \
	do {                               \
		NEEDS_KVM();               \
		if (variant->by == KERNEL) \
			NEEDS_IOREGION();  \
	} while (0)

#define OPEN()                                                     \
	do {                                                       \
		NEEDS_ROAD();                                      \
		ASSERT_EQ(0, rig_open(&self->rig, &variant->how)); \
	} while (0)

/* That so many stores were carried by who was meant to, and none by another. */
#define EXPECT_CARRIED(stores)                                                           \
	do {                                                                             \
		const struct vfio_pci_bar *bar__ = vfio_pci_bar(self->rig.dev, 0);       \
                                                                                         \
		EXPECT_EQ(variant->by == SOCKET ? (stores) : 0, bar__->writes);          \
		EXPECT_EQ(variant->by == STANDIN ? (stores) : 0, bar__->standin_writes); \
	} while (0)

TEST_F_TIMEOUT(road, what_four_vcpus_store_at_any_width_and_alignment_each_loads_again, 60)
{
	/* Of a slice of 16 bytes there are 16, 15, 13 and 9 places. */
	const uint64_t stores = 16 + 15 + 13 + 9;
	struct roads_vcpu seen;

	OPEN();
	ASSERT_EQ(0, run(&self->rig, &(struct roads_job){
					     .op = ROADS_WIDTHS,
					     .address = address(&self->rig, 0, variant->memory),
					     .step = 16,
					     .count = 2,
				     }));
	seen = sum(&self->rig);
	EXPECT_EQ(0, seen.wrong);
	EXPECT_EQ(VCPUS * 2 * (2 * stores - 4), seen.right);
	EXPECT_CARRIED(VCPUS * 2 * stores);
}

TEST_F_TIMEOUT(road, of_the_numbers_of_four_vcpus_nothing_is_lost_doubled_or_out_of_order, 60)
{
	unsigned int first = (unsigned int)(variant->ledger - LEDGER) / 8;
	struct account account;

	OPEN();
	ASSERT_EQ(0, run(&self->rig, &(struct roads_job){
					     .op = ROADS_NUMBERS,
					     .address = address(&self->rig, 0, variant->ledger),
					     .step = 8,
					     .count = variant->numbers,
				     }));
	ledger_await(vfio_pci_client(self->rig.dev), first, variant->numbers, 0, &account);
	for (unsigned int i = 0; i < VCPUS; i++)
		EXPECT_EQ(variant->numbers, account.last[first + i]);
	EXPECT_EQ(0, account.astray);
	EXPECT_CARRIED(VCPUS * variant->numbers);
}

TEST_F_TIMEOUT(road, a_bar_that_is_switched_off_and_on_meanwhile_answers_right_or_not_at_all, 60)
{
	struct roads_vcpu seen;
	unsigned int slot;

	OPEN();
	slot = vfio_pci_slot(self->rig.dev);
	ASSERT_EQ(0, run(&self->rig,
			 &(struct roads_job){
				 .op = ROADS_SWITCH,
				 .address = address(&self->rig, 0, variant->memory),
				 .step = 8,
				 .count = 20,
				 .shared = PCI_HOST_ECAM_BASE + slot * 8 * 4096 + PCI_COMMAND,
			 }));
	seen = sum(&self->rig);
	EXPECT_EQ(0, seen.wrong);
	EXPECT_LE(VCPUS - 1, seen.right);
}

/* ---- the server is killed ---- */

struct killer {
	pthread_t thread;
	const struct rig *rig;
	pid_t victim; /* or who is told instead: */
	int fd;
};

static bool all_have_begun(const struct rig *rig)
{
	bool all = true;

	for (unsigned int i = 0; i < VCPUS; i++)
		all = all && __atomic_load_n(&rig->job->vcpus[i].begun, __ATOMIC_ACQUIRE);
	return all;
}

static void await_the_middle(const struct rig *rig)
{
	int64_t deadline = 0;

	while (!all_have_begun(rig) && peer_time_left(&deadline))
		usleep(1000);
}

static void *kill_in_the_middle(void *opaque)
{
	const struct killer *killer = opaque;

	await_the_middle(killer->rig);
	kill(killer->victim, SIGKILL);
	return NULL;
}

static void *tell_in_the_middle(void *opaque)
{
	const struct killer *killer = opaque;

	await_the_middle(killer->rig);
	if (write(killer->fd, "", 1) != 1)
		_exit(3);
	return NULL;
}

/*
 * Of a register whose reads are never answered. That nobody is waited for until patience ends, five
 * seconds or more, is in the log: it would say so.
 */
TEST_F(road, when_the_server_is_killed_over_the_reads_of_four_vcpus_all_get_ones_and_go_on)
{
	struct killer killer = { .rig = &self->rig };
	struct roads_vcpu seen;
	int ret;

	OPEN();
	killer.victim = self->rig.peer->pid;
	*self->rig.job = (struct roads_job){
		.op = ROADS_LOAD,
		.address = address(&self->rig, 0, STUCK),
	};
	capture_start(&self->said);
	ASSERT_EQ(0, pthread_create(&killer.thread, NULL, kill_in_the_middle, &killer));
	ret = crew_run(self->rig.crew);
	pthread_join(killer.thread, NULL);
	capture_end(&self->said);
	EXPECT_EQ(0, ret);
	seen = sum(&self->rig);
	EXPECT_EQ(0, seen.wrong);
	EXPECT_EQ(2 * VCPUS, seen.right);
	EXPECT_EQ(variant->by == STANDIN, capture_lines(&self->said, "the server has closed it"));
	EXPECT_EQ(1, capture_lines(&self->said, "from now on reads give all ones"));
	EXPECT_EQ(0, capture_lines(&self->said, "out of time"));
	EXPECT_EQ(0, capture_lines(&self->said, strerror(ETIMEDOUT)));
}

/* ---- the client is killed ---- */

/* A monitor whose vCPUs read what is never answered; tells `fd` when they are at it. Never returns. */
static void __attribute__((noreturn))
read_for_ever(struct rig *rig, const struct vfio_pci_options *how, int fd)
{
	struct killer teller = { .rig = rig, .fd = fd };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (machine_open_bare(MEMORY_BYTES, VCPUS, &rig->machine) || attach(rig, how) || load(rig))
		_exit(1);
	*rig->job = (struct roads_job){ .op = ROADS_LOAD, .address = address(rig, 0, STUCK) };
	if (pthread_create(&teller.thread, NULL, tell_in_the_middle, &teller))
		_exit(1);
	crew_run(rig->crew);
	_exit(2);
}

/* The kernel takes a moment to close what a process had in its ring. */
static int connect_next(const struct peer *peer, struct fpc **client)
{
	const struct fpc_options options = { .timeout_ms = PEER_DEADLINE_MS };
	int64_t deadline = 0;
	int ret;

	log_set_level(LOG_ERROR); /* that it is turned away until then is no news */
	while ((ret = fpc_connect(peer->path, &options, client)) == -EBUSY &&
	       peer_time_left(&deadline))
		usleep(1000);
	return ret;
}

TEST_F(road, when_a_client_is_killed_over_the_reads_of_four_vcpus_the_next_is_served)
{
	uint64_t value = 0x77, back = 0;
	int status, ends[2];
	struct fpc *next;
	pid_t client;
	char byte;

	NEEDS_ROAD();
	self->rig.peer = peer_start("ledger", PEER_OWN_CLASSES | PEER_LISTEN);
	ASSERT_EQ(0, pipe(ends));
	client = fork();
	if (!client)
		read_for_ever(&self->rig, &variant->how, ends[1]);
	ASSERT_LT(0, client);
	close(ends[1]);
	/* It is the client, and nobody else has the socket. */
	peer_disconnect(self->rig.peer);
	ASSERT_EQ(1, read(ends[0], &byte, 1));
	ASSERT_EQ(0, kill(client, SIGKILL));
	ASSERT_EQ(client, waitpid(client, &status, 0));
	EXPECT_EQ(SIGKILL, WTERMSIG(status));
	ASSERT_EQ(0, connect_next(self->rig.peer, &next));
	EXPECT_EQ(0, fpc_region_write(next, FP_BAR0, MEMORY, &value, 8));
	EXPECT_EQ(0, fpc_region_read(next, FP_BAR0, MEMORY, &back, 8));
	EXPECT_EQ(0x77, back);
	fpc_close(next);
}

/* ---- roads that carry none, and memory ---- */

FIXTURE(guest) {
	struct rig rig;
};

FIXTURE_SETUP(guest)
{
	/* Each test has a machine of its own: rig_open(). */
}

FIXTURE_TEARDOWN(guest)
{
	rig_close(&self->rig);
}

TEST_F_TIMEOUT(guest, rings_of_four_vcpus_are_all_heard_and_none_leaves_the_guest, 300)
{
	const struct vfio_pci_options plain = { 0 };
	struct account account;

	NEEDS_KVM();
	ASSERT_EQ(0, rig_open(&self->rig, &plain));
	ASSERT_EQ(0, run(&self->rig, &(struct roads_job){
					     .op = ROADS_RINGS,
					     .address = address(&self->rig, 0, BELL),
					     .step = 8,
					     .count = cheap_stores(),
				     }));
	ledger_await(vfio_pci_client(self->rig.dev), 0, 0, cheap_stores(), &account);
	for (unsigned int i = 0; i < VCPUS; i++) {
		EXPECT_EQ(cheap_stores(), account.rung[i]);
		/* The store by which it leaves. */
		EXPECT_EQ(1, vcpu_exits(self->rig.machine->vcpus[i])->mmio);
	}
}

TEST_F_TIMEOUT(guest, what_four_vcpus_store_to_mapped_memory_is_what_the_device_has, 300)
{
	const struct vfio_pci_options plain = { 0 };
	const uint64_t words = SHARED_SLICE / 8;
	const uint64_t count = 10 * cheap_stores();
	static uint64_t memory[LEDGER_SHARED_BYTES / 8];
	struct roads_vcpu seen;
	uint64_t wrong = 0;

	NEEDS_KVM();
	ASSERT_EQ(0, rig_open(&self->rig, &plain));
	ASSERT_EQ(0, run(&self->rig, &(struct roads_job){
					     .op = ROADS_WORDS,
					     .address = address(&self->rig, 2, SHARED_SLICE),
					     .step = SHARED_SLICE,
					     .count = count,
					     .shared = address(&self->rig, 2, 0),
				     }));
	seen = sum(&self->rig);
	EXPECT_EQ(0, seen.wrong);
	EXPECT_EQ(VCPUS * count, seen.right);
	ASSERT_EQ(0, fpc_region_read(vfio_pci_client(self->rig.dev), FP_BAR2, 0, memory,
				     sizeof(memory)));
	EXPECT_EQ(VCPUS * count, memory[0]);
	/* In each word the last number that is its own. */
	for (uint64_t i = 0; i < VCPUS * words; i++)
		wrong += memory[words + i] != count - (count - i % words) % words;
	EXPECT_EQ(0, wrong);
	EXPECT_EQ(0, vfio_pci_bar(self->rig.dev, 2)->writes);
}

/* ---- whose thread ---- */

TEST_F(guest, an_access_by_stand_in_waits_for_no_other_thread)
{
	const struct vfio_pci_options how = { .ioregion = IOFD_IOREGION_STANDIN };
	uint64_t value = 7, back = 0;
	struct relay *relay;
	struct bus *bus;

	NEEDS_KVM();
	ASSERT_EQ(0, rig_open(&self->rig, &how));
	ASSERT_EQ(0, relay_open(&relay));
	bus = self->rig.machine->bus;
	/* Which nobody serves. */
	bus_share(bus, relay);
	EXPECT_EQ(0, bus_write(bus, BUS_MMIO, address(&self->rig, 0, MEMORY), &value, 8));
	EXPECT_EQ(0, bus_read(bus, BUS_MMIO, address(&self->rig, 0, MEMORY), &back, 8));
	EXPECT_EQ(7, back);
	bus_share(bus, NULL);
	relay_close(relay);
}

TEST_HARNESS_MAIN
