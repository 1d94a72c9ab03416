// SPDX-License-Identifier: GPL-2.0-only
/*
 * What holds by every road: the same accesses, by messages of each kind, by ioregionfd and by
 * eventfd, and the device sees the same: nothing lost, doubled or out of order. From threads of this
 * process; a guest's are in vcpu_roads.c.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fastpath-client.h"
#include "fastpath.h"
#include "iofd_install.h"
#include "kselftest_harness.h"
#include "lib/ledger.h"
#include "lib/peer.h"
#include "log.h"
#include "wire.h"

#define THREADS LEDGER_WRITERS

/* ---- roads ---- */

struct way {
	struct fpc *client;
	struct iofd_installed *installed;
};

static int read_by_message(struct way *way, uint64_t offset, void *data, uint32_t len)
{
	return fpc_region_read(way->client, FP_BAR0, offset, data, len);
}

static int by_message(struct way *way, uint64_t offset, const void *data, uint32_t len)
{
	return fpc_region_write(way->client, FP_BAR0, offset, data, len);
}

static int by_posted_message(struct way *way, uint64_t offset, const void *data, uint32_t len)
{
	return fpc_region_post(way->client, FP_BAR0, offset, data, len);
}

/* The write that is meant, between two that do nothing. */
static int by_multi(struct way *way, uint64_t offset, const void *data, uint32_t len)
{
	struct fpc_write writes[3] = {
		{ .region = FP_BAR0, .offset = ACCOUNT, .count = 8 },
		{ .region = FP_BAR0, .offset = offset, .count = len },
		{ .region = FP_BAR0, .offset = ACCOUNT, .count = 1 },
	};
	size_t done;

	memcpy(&writes[1].data, data, len);
	return fpc_region_write_multi(way->client, writes, 3, &done);
}

static int by_ioregion(struct way *way, uint64_t offset, const void *data, uint32_t len)
{
	return iofd_write(way->installed, offset, data, len);
}

static int read_by_ioregion(struct way *way, uint64_t offset, void *data, uint32_t len)
{
	return iofd_read(way->installed, offset, data, len);
}

FIXTURE(road) {
	struct peer *peer;
	struct way way;
};

FIXTURE_VARIANT(road) {
	int (*write)(struct way * way, uint64_t offset, const void *data, uint32_t len);
	int (*read)(struct way * way, uint64_t offset, void *data, uint32_t len);
	uint64_t memory;
	uint64_t ledger;
	bool takes_threads; /* one for each ledger; else one thread keeps them all */
	uint64_t numbers;   /* for each */
};

FIXTURE_VARIANT_ADD(road, message) {
	.write = by_message, .read = read_by_message, .memory = MEMORY, .ledger = LEDGER,
	.numbers = 5000,
};

FIXTURE_VARIANT_ADD(road, posted_message) {
	.write = by_posted_message, .read = read_by_message, .memory = MEMORY, .ledger = LEDGER,
	.numbers = 50000,
};

FIXTURE_VARIANT_ADD(road, multi) {
	.write = by_multi, .read = read_by_message, .memory = MEMORY, .ledger = LEDGER,
	.numbers = 5000,
};

FIXTURE_VARIANT_ADD(road, ioregion) {
	.write = by_ioregion, .read = read_by_ioregion, .memory = MEMORY, .ledger = LEDGER,
	.takes_threads = true, .numbers = 10000,
};

FIXTURE_VARIANT_ADD(road, posted_ioregion) {
	.write = by_ioregion, .read = read_by_ioregion, .memory = POSTED, .ledger = POSTED_LEDGER,
	.takes_threads = true, .numbers = 250000,
};

/* Spans whose commands this process sends itself need no KVM. */
static struct vm no_vm = { .kvm_fd = -1, .fd = -1 };

FIXTURE_SETUP(road)
{
	const struct fpc_options options = { .timeout_ms = PEER_DEADLINE_MS };
	const struct iofd_target target = {
		.device = "ledger",
		.size = 4096,
		.ioregion = IOFD_IOREGION_STANDIN,
		.timeout_ms = PEER_DEADLINE_MS,
	};
	struct fpc_io_fds set;

	log_set_level(LOG_ERROR); /* that eventfds can't be installed is no news */
	self->peer = peer_start("ledger", PEER_OWN_CLASSES);
	ASSERT_EQ(0, fpc_open(self->peer->fd, &options, &self->way.client));
	self->peer->fd = -1;
	ASSERT_EQ(0, fpc_region_io_fds(self->way.client, FP_BAR0, &set));
	ASSERT_EQ(0, iofd_install(&no_vm, &target, &set, &self->way.installed));
}

FIXTURE_TEARDOWN(road)
{
	iofd_uninstall(self->way.installed);
	fpc_close(self->way.client);
	peer_wait(self->peer);
	peer_stop(self->peer);
}

TEST_F(road, what_is_written_at_any_width_and_alignment_is_read_back)
{
	uint8_t model[0x100] = { 0 };
	uint8_t seen[0x100];

	for (uint32_t len = 1; len <= 8; len *= 2)
		for (uint64_t at = 0; at + len <= sizeof(model); at += at < 16 ? 1 : 7) {
			uint64_t value = (at + 1) * 0x0123456789abcdefull;
			uint64_t back = 0, want = 0;

			memcpy(model + at, &value, len);
			memcpy(&want, &value, len);
			ASSERT_EQ(0, variant->write(&self->way, variant->memory + at, &value, len));
			ASSERT_EQ(0, variant->read(&self->way, variant->memory + at, &back, len));
			ASSERT_EQ(want, back);
		}
	ASSERT_EQ(0, read_by_message(&self->way, variant->memory, seen, sizeof(seen)));
	EXPECT_EQ(0, memcmp(model, seen, sizeof(seen)));
}

/* ---- order ---- */

struct writer {
	pthread_t thread;
	const FIXTURE_VARIANT(road) * variant;
	struct way *way;
	unsigned int number;
	int ret;
};

static int write_number(const struct writer *writer, unsigned int ledger, uint64_t number)
{
	return writer->variant->write(writer->way, writer->variant->ledger + 8 * ledger, &number,
				      sizeof(number));
}

static void *write_on(void *opaque)
{
	struct writer *writer = opaque;

	for (uint64_t n = 1; n <= writer->variant->numbers && !writer->ret; n++)
		writer->ret = write_number(writer, writer->number, n);
	return NULL;
}

static int write_all_in_turn(struct writer *writer)
{
	int ret = 0;

	for (uint64_t n = 1; n <= writer->variant->numbers; n++)
		for (unsigned int ledger = 0; ledger < THREADS && !ret; ledger++)
			ret = write_number(writer, ledger, n);
	return ret;
}

TEST_F(road, of_four_writers_nothing_is_lost_doubled_or_out_of_order)
{
	unsigned int first = (unsigned int)(variant->ledger - LEDGER) / 8;
	struct writer writers[THREADS];
	struct account account;

	for (unsigned int i = 0; i < THREADS; i++)
		writers[i] = (struct writer){ .variant = variant, .way = &self->way, .number = i };
	if (!variant->takes_threads)
		ASSERT_EQ(0, write_all_in_turn(&writers[0]));
	for (unsigned int i = 0; i < THREADS && variant->takes_threads; i++)
		ASSERT_EQ(0, pthread_create(&writers[i].thread, NULL, write_on, &writers[i]));
	for (unsigned int i = 0; i < THREADS && variant->takes_threads; i++) {
		pthread_join(writers[i].thread, NULL);
		ASSERT_EQ(0, writers[i].ret);
	}
	ledger_await(self->way.client, first, variant->numbers, 0, &account);
	for (unsigned int i = 0; i < THREADS; i++)
		EXPECT_EQ(variant->numbers, account.last[first + i]);
	EXPECT_EQ(0, account.astray);
}

/* ---- eventfds: that something was stored, and how often ---- */

FIXTURE(bells) {
	struct peer *peer;
	struct fpc *client;
	struct fpc_io_fds set;
};

FIXTURE_SETUP(bells)
{
	const struct fpc_options options = { .timeout_ms = PEER_DEADLINE_MS };

	self->peer = peer_start("ledger", PEER_OWN_CLASSES);
	ASSERT_EQ(0, fpc_open(self->peer->fd, &options, &self->client));
	self->peer->fd = -1;
	ASSERT_EQ(0, fpc_region_io_fds(self->client, FP_BAR0, &self->set));
}

FIXTURE_TEARDOWN(bells)
{
	fpc_io_fds_free(&self->set);
	fpc_close(self->client);
	peer_wait(self->peer);
	peer_stop(self->peer);
}

#define RINGS 250000u

struct ringer {
	pthread_t thread;
	int fd;
};

/* As KVM does it for a vCPU's stores. */
static void *ring_on(void *opaque)
{
	const struct ringer *ringer = opaque;
	uint64_t one = 1;

	for (unsigned int i = 0; i < RINGS; i++)
		if (write(ringer->fd, &one, sizeof(one)) != sizeof(one))
			abort();
	return NULL;
}

TEST_F(bells, a_million_rings_of_four_threads_are_all_heard_by_who_was_meant)
{
	struct ringer ringers[THREADS] = { 0 };
	struct account account = { 0 };

	for (uint32_t i = 0; i < self->set.nr_entries; i++) {
		const struct fpc_io_fd *entry = &self->set.entries[i];

		if (entry->type == FPC_IO_FD_IOEVENTFD)
			ringers[(entry->offset - BELL) / 8].fd = entry->fd;
	}
	for (unsigned int i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_create(&ringers[i].thread, NULL, ring_on, &ringers[i]));
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(ringers[i].thread, NULL);
	ledger_await(self->client, 0, 0, RINGS, &account);
	for (unsigned int i = 0; i < THREADS; i++)
		EXPECT_EQ(RINGS, account.rung[i]);
}

TEST_HARNESS_MAIN
