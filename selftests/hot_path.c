// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an access costs the server, counted: no allocation, no lock, no line of the log, and how many
 * system calls. The server is in this process, which is linked with --wrap for what it is not to call; its
 * client is a child.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device.h"
#include "fastpath-client.h"
#include "kselftest_harness.h"
#include "log.h"
#include "registry.h"
#include "served.h"
#include "testdev.h"
#include "wire.h"

/* ---- what is not to be called ---- */

static bool is_hot;
static unsigned int allocations, locks, lines;

void *__real_malloc(size_t size);
void *__real_calloc(size_t nr, size_t size);
void *__real_realloc(void *at, size_t size);
int __real_pthread_mutex_lock(pthread_mutex_t *mutex);

void *__wrap_malloc(size_t size)
{
	allocations += is_hot;
	return __real_malloc(size);
}

void *__wrap_calloc(size_t nr, size_t size)
{
	allocations += is_hot;
	return __real_calloc(nr, size);
}

void *__wrap_realloc(void *at, size_t size)
{
	allocations += is_hot;
	return __real_realloc(at, size);
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
	locks += is_hot;
	return __real_pthread_mutex_lock(mutex);
}

void __wrap_log_line(enum log_level level, const char *fmt, ...)
{
	(void)level;
	(void)fmt;
	lines += is_hot;
}

/* ---- a device that fires a lot ---- */

static int fires(struct fp_device *dev, struct fp_access *access)
{
	for (uint64_t i = fp_access_value(access); access->write && i; i--)
		fp_irq_trigger(dev, FP_MSI, 0);
	return 0;
}

#define FIRES                                        \
	.pci = { .vendor = 0x1b36, .device = 0x10 }, \
	.regions = { [FP_BAR0] = { .size = 4096, .access = fires } }, .irqs = { [FP_MSI] = 1 }

FP_DEVICE(counting) = { .name = "counting", FIRES };
FP_DEVICE(coalescing) = { .name = "coalescing", FIRES, .irqs_coalesce = true };

/* ---- the server, and a child that is its client ---- */

FIXTURE(hot_path) {
	struct ring *ring;
	struct served *served;
	pid_t client;
};

FIXTURE_SETUP(hot_path)
{
}

FIXTURE_TEARDOWN(hot_path)
{
	served_close(self->served);
	ring_close(self->ring);
}

typedef bool client_fn(struct fpc *client);

static bool start(struct _test_data_hot_path *self, const char *name, struct ring_wait wait,
		  client_fn *run)
{
	struct served_options options = { .class_ = registry_find(name), .name = name };
	struct fpc_options client_options = { .wait = { .mode = FPC_WAIT_BLOCK } };
	struct fpc *client;
	int pair[2];
	bool ok;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return false;
	self->client = fork();
	if (!self->client) {
		close(pair[1]);
		ok = !fpc_open(pair[0], &client_options, &client) && run(client);
		_exit(ok ? 0 : 1);
	}
	close(pair[0]);
	options.fd = pair[1];
	return !ring_open(&(struct ring_options){ .wait = wait }, &self->ring) &&
	       !served_open(self->ring, &options, NULL, &self->served);
}

static uint64_t accesses(const struct stats *stats)
{
	uint64_t sum = stats->commands[WIRE_REGION_READ] + stats->commands[WIRE_REGION_WRITE];

	for (unsigned int i = 0; i < FP_MAX_REGIONS; i++)
		sum += stats->regions[i].rings_by_eventfd + stats->regions[i].by_ioregionfd;
	return sum;
}

/* The first ones make room, for good. */
#define COLD 200u
#define HOT 2000u

struct cost {
	uint64_t accesses;
	uint64_t enters;
	uint64_t sends;
};

/* Serves until the client has gone; what was counted between COLD and HOT accesses to *cost. */
static bool serve(struct _test_data_hot_path *self, struct cost *cost)
{
	const struct stats *stats = &served_device(self->served)->stats;
	const struct ring_stats *ring = ring_stats(self->ring);
	struct cost before = { 0 };
	int status;

	while (served_has_work(self->served)) {
		uint64_t nr;

		if (ring_turn(self->ring, -1))
			return false;
		nr = accesses(stats);
		if (!is_hot && !before.accesses && nr >= COLD) {
			before = (struct cost){ nr, ring->enters, ring->sends };
			is_hot = true;
		} else if (is_hot && nr >= COLD + HOT) {
			is_hot = false;
			*cost = (struct cost){ nr - before.accesses, ring->enters - before.enters,
					       ring->sends - before.sends };
		}
	}
	return !is_hot && waitpid(self->client, &status, 0) == self->client && !status;
}

/* ---- clients ---- */

static bool reads_and_writes(struct fpc *client)
{
	uint32_t value = 1;
	int ret = 0;

	for (unsigned int i = 0; i < COLD + HOT && !ret; i++)
		ret = i % 2 ? fpc_region_read(client, FP_BAR2, TESTDEV_SCRATCH, &value, 4) :
			      fpc_region_write(client, FP_BAR2, TESTDEV_SCRATCH, &value, 4);
	return !ret;
}

static void count_down(void *opaque, ssize_t result, const void *body)
{
	(void)body;
	*(int *)opaque -= !result;
}

/* So few that two bursts' answers fit into what the first answer of all has had allocated. */
#define BURST 8u

static bool pipelines(struct fpc *client)
{
	uint32_t value = 1;

	for (unsigned int i = 0; i < COLD + HOT; i += BURST) {
		int left = BURST;

		for (unsigned int n = 0; n < BURST; n++)
			if (fpc_submit_write(client, FP_BAR2, TESTDEV_SCRATCH, &value, 4,
					     count_down, &left))
				return false;
		while (left)
			if (fpc_turn(client, 5000))
				return false;
	}
	return true;
}

static int fd_of(struct fpc *client, uint32_t type, uint64_t *user_data)
{
	struct fpc_io_fds set;

	if (fpc_region_io_fds(client, FP_BAR2, &set))
		return -1;
	for (uint32_t i = 0; i < set.nr_entries; i++)
		if (set.entries[i].type == type) {
			*user_data = set.entries[i].user_data;
			return dup(set.entries[i].fd);
		}
	return -1;
}

static bool rings(struct fpc *client)
{
	uint64_t user_data;
	int fd = fd_of(client, FPC_IO_FD_IOEVENTFD, &user_data);
	struct testdev_counters counters = { 0 };
	int ret = fd < 0;

	for (unsigned int i = 0; i < (COLD + HOT) / 2 && !ret; i++) {
		ret = eventfd_write(fd, 1);
		if (!ret)
			ret = fpc_region_read(client, FP_BAR2, 0, &counters.magic, 4);
	}
	return !ret;
}

static bool commands(struct fpc *client)
{
	struct wire_ioregion_cmd cmd = { .cmd = WIRE_IOREGION_READ,
					 .size_resp = 2 | WIRE_IOREGION_RESP };
	struct wire_ioregion_resp resp;
	uint64_t user_data = 0;
	int fd = fd_of(client, FPC_IO_FD_IOREGIONFD, &user_data);
	bool ok = fd >= 0;

	cmd.user_data = user_data;
	for (unsigned int i = 0; i < COLD + HOT && ok; i++)
		ok = send(fd, &cmd, sizeof(cmd), 0) == sizeof(cmd) &&
		     recv(fd, &resp, sizeof(resp), 0) == sizeof(resp);
	return ok;
}

/* ---- nothing that is not needed ---- */

#define NOTHING_NEEDLESS()                 \
	do {                               \
		EXPECT_EQ(0, allocations); \
		EXPECT_EQ(0, locks);       \
		EXPECT_EQ(0, lines);       \
	} while (0)

static const struct ring_wait block = { .mode = RING_WAIT_BLOCK };

TEST_F(hot_path, what_is_not_to_be_called_is_noticed)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	void *volatile memory;

	is_hot = true;
	memory = malloc(1);
	memory = realloc(memory, 2);
	pthread_mutex_lock(&lock);
	log_error("no");
	is_hot = false;
	free(memory);
	EXPECT_EQ(2, allocations);
	EXPECT_EQ(1, locks);
	EXPECT_EQ(1, lines);
}

TEST_F(hot_path, a_blocking_access_by_message_is_one_enter_and_one_send_and_nothing_else)
{
	struct cost cost = { 0 };

	ASSERT_TRUE(start(self, "testdev", block, reads_and_writes));
	ASSERT_TRUE(serve(self, &cost));
	EXPECT_LE(HOT, cost.accesses);
	EXPECT_GE(cost.accesses + 1, cost.enters);
	EXPECT_GE(cost.accesses + 1, cost.sends);
	NOTHING_NEEDLESS();
}

TEST_F(hot_path, accesses_that_come_together_cost_far_less_than_an_enter_each)
{
	struct cost cost = { 0 };

	ASSERT_TRUE(start(self, "testdev", block, pipelines));
	ASSERT_TRUE(serve(self, &cost));
	EXPECT_LE(HOT, cost.accesses);
	EXPECT_GE(cost.accesses / 2, cost.enters + cost.sends);
	NOTHING_NEEDLESS();
}

TEST_F(hot_path, an_adaptive_server_is_no_dearer)
{
	struct cost cost = { 0 };

	ASSERT_TRUE(start(self, "testdev", (struct ring_wait){ 0 }, reads_and_writes));
	ASSERT_TRUE(serve(self, &cost));
	EXPECT_LE(HOT, cost.accesses);
	EXPECT_GE(cost.accesses + 1, cost.sends);
	NOTHING_NEEDLESS();
}

TEST_F(hot_path, with_sqpoll_nothing_is_sent_by_a_call)
{
	struct cost cost = { 0 };

	ASSERT_TRUE(
		start(self, "testdev", (struct ring_wait){ .mode = RING_WAIT_SQPOLL }, pipelines));
	ASSERT_TRUE(serve(self, &cost));
	EXPECT_EQ(0, cost.sends);
	NOTHING_NEEDLESS();
}

TEST_F(hot_path, a_ring_of_a_doorbell_by_eventfd_allocates_nothing)
{
	struct cost cost = { 0 };

	ASSERT_TRUE(start(self, "testdev", block, rings));
	ASSERT_TRUE(serve(self, &cost));
	EXPECT_LE(HOT, cost.accesses);
	NOTHING_NEEDLESS();
}

TEST_F(hot_path, a_command_by_ioregionfd_is_one_enter_and_one_send_and_nothing_else)
{
	struct cost cost = { 0 };

	ASSERT_TRUE(start(self, "testdev", block, commands));
	ASSERT_TRUE(serve(self, &cost));
	EXPECT_LE(HOT, cost.accesses);
	EXPECT_GE(cost.accesses + 1, cost.enters);
	EXPECT_GE(cost.accesses + 1, cost.sends);
	NOTHING_NEEDLESS();
}

/* ---- interrupts of a batch ---- */

/* Twice ten triggers, each ten in one write; *sums has what the eventfd held after either. */
static bool is_interrupted(struct fpc *client, uint64_t first, uint64_t then)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	uint32_t ten = 10;
	uint64_t sums[2] = { 0 };

	if (fpc_set_irqs(client, FPC_IRQ_DATA_EVENTFD | FPC_IRQ_ACTION_TRIGGER, FP_MSI, 0, 1, &fd))
		return false;
	for (unsigned int i = 0; i < 2; i++) {
		if (fpc_region_write(client, FP_BAR0, 0, &ten, 4))
			return false;
		eventfd_read(fd, &sums[i]);
	}
	return sums[0] == first && sums[1] == then;
}

static bool gets_one(struct fpc *client)
{
	return is_interrupted(client, 1, 1);
}

static bool gets_all(struct fpc *client)
{
	return is_interrupted(client, 10, 10);
}

TEST_F(hot_path, interrupts_of_a_batch_are_one_where_the_device_says_they_may)
{
	struct cost cost;

	ASSERT_TRUE(start(self, "coalescing", block, gets_one));
	EXPECT_TRUE(serve(self, &cost));
	EXPECT_EQ(2, served_device(self->served)->stats.irqs[FP_MSI]);
}

TEST_F(hot_path, interrupts_are_told_one_by_one_where_it_does_not)
{
	struct cost cost;

	ASSERT_TRUE(start(self, "counting", block, gets_all));
	EXPECT_TRUE(serve(self, &cost));
	EXPECT_EQ(20, served_device(self->served)->stats.irqs[FP_MSI]);
}

TEST_HARNESS_MAIN
