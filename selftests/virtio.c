// SPDX-License-Identifier: GPL-2.0-only
/*
 * What all virtio devices share: registers, split and packed queues, interrupts, migration, and
 * drivers that do what can't be.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fastpath-client.h"
#include "fastpath.h"
#include "kselftest_harness.h"
#include "peer.h"
#include "virtio_driver.h"
#include "virtio_pci.h"

/* ---- a device that gives back what it gets, in its own time ---- */

#define ECHO_BYTES 8192u

struct echo {
	struct virtio virtio; /* first */
	bool holds; /* the key: elements of queue 1, until there are two, the last one first */
	struct virtio_element *held;
};

static void echo_wrote(struct steps *steps)
{
	virtio_element_done(virtio_element_of(steps));
}

static void echo_read(struct steps *steps)
{
	struct virtio_element *element = virtio_element_of(steps);
	size_t len = *(size_t *)element->own;

	virtio_element_write(element, (size_t *)element->own + 1, len, echo_wrote);
}

static void echo(struct virtio_element *element)
{
	size_t len = (size_t)element->out_bytes;

	if (len > ECHO_BYTES || element->in_bytes < len) {
		virtio_element_fail(element, "it does not fit");
		return;
	}
	*(size_t *)element->own = len;
	virtio_element_read(element, (size_t *)element->own + 1, len, echo_read);
}

static void echo_handle(struct virtio *virtio, struct virtio_element *element)
{
	struct echo *state = (struct echo *)virtio;
	struct virtio_element *held = state->held;

	if (!element->vq->index) {
		echo(element);
	} else if (!held) {
		state->held = element;
	} else {
		state->held = NULL;
		echo(element);
		echo(held);
	}
}

static const struct virtio_ops echo_ops = {
	.element_bytes = sizeof(size_t) + ECHO_BYTES,
	.handle = echo_handle,
};

static int echo_configure(struct fp_device *dev, struct fp_class *own)
{
	struct echo *state = fp_state(dev);
	int ret = virtio_init(&state->virtio, dev, &echo_ops, 2, 8);

	if (ret)
		return ret;
	memcpy(state->virtio.config, "\1\2\3\4\5\6\7\10", 8);
	return virtio_pci_configure(&state->virtio, own, 42, 0x00ff00);
}

FP_DEVICE(virtio_echo) = {
	.name = "virtio-echo",
	.summary = "gives back what it gets",
	.state_bytes = sizeof(struct echo),
	.configure = echo_configure,
	.reset = virtio_on_reset,
	.event = virtio_on_event,
	.save = virtio_on_save,
	.load = virtio_on_load,
	.close = virtio_on_close,
};

/* ---- in every way that a driver and a device may agree on ---- */

FIXTURE(virtio) {
	struct driver driver;
};

FIXTURE_VARIANT(virtio) {
	unsigned int how;
};

#define WAY(name, flags)                    \
	FIXTURE_VARIANT_ADD(virtio, name) { \
		.how = flags                \
	}

WAY(split, 0);
WAY(packed, DRIVER_PACKED);
WAY(split_by_event, DRIVER_EVENT_IDX);
WAY(packed_by_event, DRIVER_PACKED | DRIVER_EVENT_IDX);
WAY(split_indirect, DRIVER_INDIRECT | DRIVER_BY_EVENTFD);
WAY(packed_indirect, DRIVER_PACKED | DRIVER_INDIRECT | DRIVER_BY_EVENTFD | DRIVER_EVENT_IDX);
WAY(split_by_message, DRIVER_BY_MESSAGE | DRIVER_EVENT_IDX | DRIVER_INDIRECT);
WAY(packed_by_message, DRIVER_PACKED | DRIVER_BY_MESSAGE | DRIVER_EVENT_IDX);
WAY(split_by_intx, DRIVER_INTX);
WAY(packed_by_intx, DRIVER_PACKED | DRIVER_INTX);

FIXTURE_SETUP(virtio)
{
	driver_start(&self->driver, "virtio-echo", variant->how);
}

FIXTURE_TEARDOWN(virtio)
{
	driver_stop(&self->driver);
}

/* Sends `len` bytes in `nr` pieces and gets them back in as many; whether they are the same. */
static bool echoes(struct driver *driver, uint64_t at, uint32_t len, unsigned int nr, uint8_t seed)
{
	struct driver_buffer buffers[DRIVER_QUEUE_SIZE];
	uint8_t *out = driver_at(driver, at);
	uint32_t piece = len / nr;

	for (uint32_t i = 0; i < len; i++)
		out[i] = (uint8_t)(seed + i * 3);
	memset(out + len, 0, len);
	for (unsigned int i = 0; i < 2 * nr; i++)
		buffers[i] = (struct driver_buffer){
			.iova = at + (i < nr ? i : i - nr) * piece + (i < nr ? 0 : len),
			.len = piece,
			.write = i >= nr,
		};
	return driver_do(driver, 0, buffers, 2 * nr) == len && !memcmp(out, out + len, len);
}

TEST_F(virtio, chains_of_all_shapes_come_and_go_round_and_round)
{
	uint64_t at;

	driver_init(&self->driver, 0, 1);
	at = driver_alloc(&self->driver, 2 * ECHO_BYTES);
	for (unsigned int i = 0; i < 60; i++)
		ASSERT_TRUE(echoes(&self->driver, at, 48 * (1 + i % 7), 1 + i % 4, (uint8_t)i));
	ASSERT_TRUE(echoes(&self->driver, at, ECHO_BYTES, 8, 99));
}

TEST_F(virtio, many_are_in_flight_and_none_is_lost)
{
	struct driver *driver = &self->driver;
	unsigned int nr = DRIVER_QUEUE_SIZE / 2;
	uint64_t at;

	driver_init(driver, 0, 1);
	at = driver_alloc(driver, 4096);
	for (unsigned int round = 0; round < 20; round++) {
		for (unsigned int i = 0; i < nr; i++) {
			uint8_t *byte = driver_at(driver, at + 16 * i);
			const struct driver_buffer buffers[] = {
				{ at + 16 * i, 1, false },
				{ at + 16 * i + 8, 1, true },
			};

			byte[0] = (uint8_t)(round * nr + i);
			byte[8] = 0;
			driver_add(driver, 0, buffers, 2);
		}
		driver_kick(driver, 0);
		for (unsigned int i = 0; i < nr; i++) {
			uint16_t id;

			ASSERT_EQ(1, driver_await(driver, 0, &id));
		}
		for (unsigned int i = 0; i < nr; i++)
			ASSERT_EQ((uint8_t)(round * nr + i),
				  ((uint8_t *)driver_at(driver, at))[16 * i + 8]);
	}
}

TEST_F(virtio, what_is_done_out_of_order_is_told_by_its_id)
{
	struct driver *driver = &self->driver;
	struct driver_buffer buffers[] = { { .len = 5 }, { .len = 100, .write = true } };
	uint16_t first, second, id;

	driver_init(driver, 0, 2);
	buffers[0].iova = driver_alloc(driver, 4096);
	buffers[1].iova = buffers[0].iova + 1000;
	for (unsigned int i = 0; i < 12; i++) {
		first = driver_add(driver, 1, buffers, 2);
		buffers[0].len = 6;
		second = driver_add(driver, 1, buffers, 2);
		buffers[0].len = 5;
		driver_kick(driver, 1);
		EXPECT_EQ(6, driver_await(driver, 1, &id));
		EXPECT_EQ(second, id);
		EXPECT_EQ(5, driver_await(driver, 1, &id));
		EXPECT_EQ(first, id);
	}
}

TEST_F(virtio, it_is_reset_at_any_time_and_begins_anew)
{
	struct driver *driver = &self->driver;

	for (unsigned int i = 0; i < 5; i++) {
		struct driver_buffer buffers[] = { { .len = 5 }, { .len = 5, .write = true } };
		uint64_t at;

		driver_init(driver, 0, 1);
		at = driver_alloc(driver, 4096);
		ASSERT_TRUE(echoes(driver, at, 64, 1, (uint8_t)i));
		buffers[0].iova = buffers[1].iova = at;
		driver_add(driver, 0, buffers, 2);
		driver_kick(driver, 0);
		driver_set_status(driver, 0);
		ASSERT_EQ(0, driver_status(driver));
		ASSERT_EQ(0, driver_read(driver, VIRTIO_PCI_COMMON_Q_ENABLE, 2));
		ASSERT_EQ(0, fpc_reset(driver->client));
	}
}

/* The state goes from one server to another, with the same memory, and the guest goes on. */
TEST_F(virtio, it_migrates_between_two_requests)
{
	struct driver *driver = &self->driver;
	struct device_server other;
	struct driver there;
	uint8_t stream[8192];
	ssize_t len;
	uint64_t at;

	driver_init(driver, 0, 2);
	at = driver_alloc(driver, 4096);
	for (unsigned int i = 0; i < 9; i++)
		ASSERT_TRUE(echoes(driver, at, 64, 2, (uint8_t)i));
	ASSERT_EQ(0, fpc_migration_set_state(driver->client, FPC_MIG_STOP_COPY));
	len = fpc_migration_read(driver->client, stream, sizeof(stream));
	ASSERT_LT(0, len);
	device_server_start(&other, "virtio-echo");
	driver_attach(&there, &other, variant->how, driver);
	ASSERT_EQ(0, fpc_migration_set_state(there.client, FPC_MIG_RESUMING));
	ASSERT_EQ(0, fpc_migration_write(there.client, stream, (size_t)len));
	ASSERT_EQ(0, fpc_migration_set_state(there.client, FPC_MIG_RUNNING));
	for (unsigned int i = 0; i < DRIVER_QUEUES; i++)
		there.queues[i].doorbell = -1;
	for (unsigned int i = 0; i < 40; i++)
		EXPECT_TRUE(echoes(&there, at, 64, 2, (uint8_t)i));
	driver_stop(&there);
}

TEST_F(virtio, while_it_stands_it_takes_nothing_and_then_goes_on)
{
	struct driver *driver = &self->driver;
	struct driver_buffer buffers[] = { { .len = 5 }, { .len = 5, .write = true } };
	uint16_t id;
	uint32_t len;

	driver_init(driver, 0, 1);
	buffers[0].iova = buffers[1].iova = driver_alloc(driver, 4096);
	ASSERT_EQ(0, fpc_migration_set_state(driver->client, FPC_MIG_STOP));
	driver_add(driver, 0, buffers, 2);
	driver_kick(driver, 0);
	driver_status(driver);
	EXPECT_FALSE(driver_take(driver, 0, &id, &len));
	ASSERT_EQ(0, fpc_migration_set_state(driver->client, FPC_MIG_RUNNING));
	EXPECT_EQ(5, driver_await(driver, 0, &id));
}

TEST_F(virtio, what_it_writes_is_dirty)
{
	struct driver *driver = &self->driver;
	uint64_t bits[DRIVER_MEMORY_BYTES / 4096 / 64] = { 0 };
	uint64_t at, page;

	driver_init(driver, 0, 1);
	at = driver_alloc(driver, 8192);
	page = (at - DRIVER_MEMORY_AT) / 4096;
	ASSERT_EQ(0, fpc_dma_log_start(driver->client, 4096, NULL, 0));
	ASSERT_TRUE(echoes(driver, at + 4096, 16, 1, 1));
	ASSERT_EQ(0, fpc_dma_log_report(driver->client, DRIVER_MEMORY_AT, DRIVER_MEMORY_BYTES, 4096,
					bits));
	EXPECT_EQ(2, bits[page / 64] >> page % 64 & 3);
	page = ((variant->how & DRIVER_PACKED ? driver->queues[0].desc : driver->queues[0].device) -
		DRIVER_MEMORY_AT) /
	       4096;
	EXPECT_EQ(1, bits[page / 64] >> page % 64 & 1);
}

/* ---- drivers that do what can't be: the device needs a reset, and nothing else ---- */

/* Queue 0's next chain, which the test has made up at the head of the table, is made available. */
static void offer(struct driver *driver, uint16_t head)
{
	struct driver_queue *vq = &driver->queues[0];
	uint16_t *avail = driver_at(driver, vq->driver);

	if (!(driver->how & DRIVER_PACKED)) {
		avail[2] = head;
		avail[1] = 1;
	}
	driver_kick(driver, 0);
}

/* A descriptor of either format; in a packed ring it is available. */
static void put(struct driver *driver, unsigned int i, uint64_t iova, uint32_t len, uint16_t flags,
		uint16_t next)
{
	struct vring_desc *split = driver_at(driver, driver->queues[0].desc);
	struct vring_packed_desc *packed = driver_at(driver, driver->queues[0].desc);

	if (driver->how & DRIVER_PACKED)
		packed[i] = (struct vring_packed_desc){ iova, len, (uint16_t)i,
							(uint16_t)(flags | 1 << 7) };
	else
		split[i] = (struct vring_desc){ iova, len, flags, next };
}

static void fails_and_recovers(struct __test_metadata *_metadata, struct driver *driver,
			       uint16_t head)
{
	uint64_t at;

	offer(driver, head);
	driver_await_failure(driver);
	driver_init(driver, 0, 1);
	at = driver_alloc(driver, 4096);
	EXPECT_TRUE(echoes(driver, at, 64, 2, 7));
}

#define HOSTILE(name)                                                                 \
	static void name##_(struct __test_metadata *_metadata, struct driver *driver, \
			    uint64_t at);                                             \
	TEST_F(virtio, name)                                                          \
	{                                                                             \
		driver_init(&self->driver, 0, 1);                                     \
		name##_(_metadata, &self->driver, driver_alloc(&self->driver, 8192)); \
	}                                                                             \
	static void name##_(struct __test_metadata *_metadata, struct driver *driver, uint64_t at)

#define W VRING_DESC_F_WRITE
#define N VRING_DESC_F_NEXT
#define I VRING_DESC_F_INDIRECT

HOSTILE(a_loop_of_descriptors)
{
	for (unsigned int i = 0; i < DRIVER_QUEUE_SIZE; i++)
		put(driver, i, at, 16, N, (uint16_t)((i + 1) % DRIVER_QUEUE_SIZE));
	fails_and_recovers(_metadata, driver, 0);
}

HOSTILE(a_buffer_that_is_not_in_memory)
{
	put(driver, 0, at, 16, N, 1);
	put(driver, 1, DRIVER_MEMORY_AT - 4096, 16, W, 0);
	fails_and_recovers(_metadata, driver, 0);
}

HOSTILE(a_buffer_that_leaves_memory)
{
	put(driver, 0, DRIVER_MEMORY_AT + DRIVER_MEMORY_BYTES - 8, 16, N, 1);
	put(driver, 1, at, 16, W, 0);
	fails_and_recovers(_metadata, driver, 0);
}

HOSTILE(a_buffer_of_4_gib)
{
	put(driver, 0, at, UINT32_MAX, N, 1);
	put(driver, 1, at, UINT32_MAX, W, 0);
	fails_and_recovers(_metadata, driver, 0);
}

HOSTILE(a_buffer_that_wraps)
{
	put(driver, 0, UINT64_MAX - 7, 16, N, 1);
	put(driver, 1, at, 16, W, 0);
	fails_and_recovers(_metadata, driver, 0);
}

HOSTILE(a_buffer_of_no_bytes)
{
	put(driver, 0, at, 0, N, 1);
	put(driver, 1, at, 16, W, 0);
	fails_and_recovers(_metadata, driver, 0);
}

HOSTILE(what_is_read_behind_what_is_written)
{
	put(driver, 0, at, 16, W | N, 1);
	put(driver, 1, at, 16, 0, 0);
	fails_and_recovers(_metadata, driver, 0);
}

/* A table at `at` with two descriptors, which are as they should be. */
static void put_table(struct driver *driver, uint64_t at)
{
	struct vring_desc *split = driver_at(driver, at);
	struct vring_packed_desc *packed = driver_at(driver, at);

	if (driver->how & DRIVER_PACKED) {
		packed[0] = (struct vring_packed_desc){ at + 4096, 16, 0, 0 };
		packed[1] = (struct vring_packed_desc){ at + 5000, 16, 0, W };
	} else {
		split[0] = (struct vring_desc){ at + 4096, 16, N, 1 };
		split[1] = (struct vring_desc){ at + 5000, 16, W, 0 };
	}
}

static bool has_tables(const struct driver *driver)
{
	return driver->how & DRIVER_INDIRECT;
}

HOSTILE(an_indirect_descriptor_that_was_not_agreed_on)
{
	put_table(driver, at);
	put(driver, 0, at, 32, I, 0);
	if (has_tables(driver)) { /* there it is right */
		uint16_t *avail = driver_at(driver, driver->queues[0].driver);

		avail[0] = 0;
		offer(driver, 0);
		EXPECT_FALSE(driver_status(driver) & VIRTIO_CONFIG_S_NEEDS_RESET);
	} else {
		fails_and_recovers(_metadata, driver, 0);
	}
}

HOSTILE(a_table_of_an_odd_length)
{
	put_table(driver, at);
	put(driver, 0, at, 33, I, 0);
	fails_and_recovers(_metadata, driver, 0);
}

HOSTILE(a_table_of_no_length)
{
	put_table(driver, at);
	put(driver, 0, at, 0, I, 0);
	fails_and_recovers(_metadata, driver, 0);
}

HOSTILE(a_table_that_is_not_in_memory)
{
	put(driver, 0, DRIVER_MEMORY_AT + DRIVER_MEMORY_BYTES, 32, I, 0);
	fails_and_recovers(_metadata, driver, 0);
}

HOSTILE(a_table_within_a_table)
{
	struct vring_desc *table = driver_at(driver, at);
	struct vring_packed_desc *packed = driver_at(driver, at);

	put_table(driver, at + 64);
	if (driver->how & DRIVER_PACKED)
		packed[0] = (struct vring_packed_desc){ at + 64, 32, 0, I };
	else
		table[0] = (struct vring_desc){ at + 64, 32, I, 0 };
	put(driver, 0, at, 16, I, 0);
	fails_and_recovers(_metadata, driver, 0);
}

HOSTILE(a_table_that_has_a_next_one)
{
	put_table(driver, at);
	put(driver, 0, at, 32, I | N, 1);
	put(driver, 1, at, 16, W, 0);
	fails_and_recovers(_metadata, driver, 0);
}

HOSTILE(a_loop_within_a_table)
{
	struct vring_desc *table = driver_at(driver, at);

	/* A packed table has no next: there it is too long. */
	for (unsigned int i = 0; i < 200; i++)
		table[i] = (struct vring_desc){ at, 16, N, (uint16_t)(i % 2) };
	for (unsigned int i = 0; driver->how & DRIVER_PACKED && i < 200; i++)
		((struct vring_packed_desc *)table)[i] = (struct vring_packed_desc){ at, 16, 0, 0 };
	put(driver, 0, at, 3200, I, 0);
	fails_and_recovers(_metadata, driver, 0);
}

HOSTILE(the_head_of_a_chain_beyond_the_table)
{
	if (driver->how & DRIVER_PACKED)
		put(driver, 0, 0, 0, 0, 0); /* which has no heads */
	fails_and_recovers(_metadata, driver, DRIVER_QUEUE_SIZE);
}

HOSTILE(a_next_descriptor_beyond_the_table)
{
	put(driver, 0, at, 16, N, 0xffff);
	/* In a packed ring the next one is where the last was. */
	for (unsigned int i = 1; driver->how & DRIVER_PACKED && i < DRIVER_QUEUE_SIZE; i++)
		put(driver, i, at, 16, N, 0);
	fails_and_recovers(_metadata, driver, 0);
}

HOSTILE(an_index_that_is_too_far_ahead)
{
	uint16_t *avail = driver_at(driver, driver->queues[0].driver);

	if (driver->how & DRIVER_PACKED) {
		put(driver, 0, at, 0, 0, 0);
		fails_and_recovers(_metadata, driver, 0);
		return;
	}
	avail[1] = DRIVER_QUEUE_SIZE + 1;
	driver_kick(driver, 0);
	driver_await_failure(driver);
}

/* It is written over all the time: whatever comes of it, the server and the next driver are well. */
struct scribbler {
	struct driver *driver;
	bool stop;
};

static void *scribble(void *opaque)
{
	struct scribbler *scribbler = opaque;
	struct driver_queue *vq = &scribbler->driver->queues[0];
	uint8_t *desc = driver_at(scribbler->driver, vq->desc);
	unsigned int seed = 1;

	while (!__atomic_load_n(&scribbler->stop, __ATOMIC_RELAXED)) {
		int n = rand_r(&seed);

		((volatile uint8_t *)desc)[n % (16 * DRIVER_QUEUE_SIZE)] ^= (uint8_t)(n >> 16);
	}
	return NULL;
}

TEST_F(virtio, descriptors_that_change_while_they_are_in_use)
{
	struct driver *driver = &self->driver;
	uint64_t at;

	for (unsigned int round = 0; round < 6; round++) {
		struct scribbler scribbler = { driver, false };
		pthread_t thread;

		driver_init(driver, 0, 1);
		at = driver_alloc(driver, 4096);
		for (unsigned int i = 0; i < DRIVER_QUEUE_SIZE; i++)
			put(driver, i, at + 64 * i, 16, W, 0);
		ASSERT_EQ(0, pthread_create(&thread, NULL, scribble, &scribbler));
		for (unsigned int i = 1; i < 40; i++) {
			uint16_t *avail = driver_at(driver, driver->queues[0].driver);

			if (!(driver->how & DRIVER_PACKED)) {
				avail[2 + i % DRIVER_QUEUE_SIZE] = i % DRIVER_QUEUE_SIZE;
				avail[1] = (uint16_t)i;
			}
			driver_kick(driver, 0);
		}
		__atomic_store_n(&scribbler.stop, true, __ATOMIC_RELAXED);
		pthread_join(thread, NULL);
	}
	driver_init(driver, 0, 1);
	at = driver_alloc(driver, 4096);
	EXPECT_TRUE(echoes(driver, at, 64, 2, 7));
}

TEST_F(virtio, a_queue_that_is_not_in_memory)
{
	struct driver *driver = &self->driver;

	driver_init(driver, 0, 1);
	ASSERT_EQ(0, fpc_dma_unmap(driver->client, DRIVER_MEMORY_AT, DRIVER_MEMORY_BYTES));
	driver_kick(driver, 0);
	driver_await_failure(driver);
}

TEST_F(virtio, an_area_that_is_not_aligned_is_no_queue)
{
	struct driver *driver = &self->driver;

	ASSERT_TRUE(driver_negotiate(driver, 1ull << VIRTIO_F_VERSION_1));
	driver_write(driver, VIRTIO_PCI_COMMON_Q_DESCLO, 8, 4);
	driver_write(driver, VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
	EXPECT_EQ(0, driver_read(driver, VIRTIO_PCI_COMMON_Q_ENABLE, 2));
	EXPECT_TRUE(driver_status(driver) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

TEST_F(virtio, a_client_that_leaves_amid_requests_leaves_a_device_for_the_next)
{
	struct driver *driver = &self->driver;
	struct driver_buffer buffers[] = { { .len = 5 }, { .len = 5, .write = true } };
	struct driver next;
	uint64_t at;

	driver_init(driver, 0, 2);
	buffers[0].iova = buffers[1].iova = driver_alloc(driver, 4096);
	driver_add(driver, 0, buffers, 2);
	driver_kick(driver, 0);
	driver_detach(driver);
	driver_attach(&next, &driver->server, variant->how, NULL);
	ASSERT_EQ(0, fpc_reset(next.client));
	driver_init(&next, 0, 1);
	at = driver_alloc(&next, 4096);
	EXPECT_TRUE(echoes(&next, at, 64, 2, 7));
	driver_detach(&next);
}

/* ---- registers ---- */

FIXTURE(registers) {
	struct driver driver;
};

FIXTURE_SETUP(registers)
{
	driver_start(&self->driver, "virtio-echo", 0);
}

FIXTURE_TEARDOWN(registers)
{
	driver_stop(&self->driver);
}

TEST_F(registers, features_that_were_not_offered_are_not_taken)
{
	uint64_t offered = driver_offered(&self->driver);

	EXPECT_EQ(1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_F_RING_PACKED |
			  1ull << VIRTIO_RING_F_EVENT_IDX | 1ull << VIRTIO_RING_F_INDIRECT_DESC |
			  1ull << VIRTIO_F_ACCESS_PLATFORM | 1ull << VIRTIO_F_ORDER_PLATFORM,
		  offered);
	EXPECT_TRUE(driver_negotiate(&self->driver, offered));
	EXPECT_FALSE(driver_negotiate(&self->driver, offered | 1ull << 0));
	EXPECT_FALSE(driver_negotiate(&self->driver, offered | 1ull << VIRTIO_F_SR_IOV));
}

TEST_F(registers, a_driver_without_version_1_is_not_taken)
{
	EXPECT_FALSE(driver_negotiate(&self->driver, 0));
	driver_set_status(&self->driver, 15);
	EXPECT_FALSE(driver_status(&self->driver) & VIRTIO_CONFIG_S_DRIVER_OK);
}

TEST_F(registers, there_is_no_third_queue)
{
	struct driver *driver = &self->driver;

	EXPECT_EQ(2, driver_read(driver, VIRTIO_PCI_COMMON_NUMQ, 2));
	driver_write(driver, VIRTIO_PCI_COMMON_Q_SELECT, 1, 2);
	EXPECT_EQ(VIRTQUEUE_MAX_SIZE, driver_read(driver, VIRTIO_PCI_COMMON_Q_SIZE, 2));
	EXPECT_EQ(1, driver_read(driver, VIRTIO_PCI_COMMON_Q_NOFF, 2));
	driver_write(driver, VIRTIO_PCI_COMMON_Q_SELECT, 2, 2);
	EXPECT_EQ(0, driver_read(driver, VIRTIO_PCI_COMMON_Q_SIZE, 2));
	driver_write(driver, VIRTIO_PCI_COMMON_Q_SIZE, 4, 2);
	driver_write(driver, VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
	EXPECT_EQ(0, driver_read(driver, VIRTIO_PCI_COMMON_Q_ENABLE, 2));
}

TEST_F(registers, a_vector_that_there_is_not_reads_back_as_none)
{
	struct driver *driver = &self->driver;

	driver_write(driver, VIRTIO_PCI_COMMON_MSIX, 2, 2);
	EXPECT_EQ(2, driver_read(driver, VIRTIO_PCI_COMMON_MSIX, 2));
	driver_write(driver, VIRTIO_PCI_COMMON_MSIX, 3, 2);
	EXPECT_EQ(0xffff, driver_read(driver, VIRTIO_PCI_COMMON_MSIX, 2));
	driver_write(driver, VIRTIO_PCI_COMMON_Q_MSIX, 0x100, 2);
	EXPECT_EQ(0xffff, driver_read(driver, VIRTIO_PCI_COMMON_Q_MSIX, 2));
}

TEST_F(registers, an_enabled_queue_stays_as_it_is)
{
	struct driver *driver = &self->driver;
	uint64_t desc;

	driver_init(driver, 0, 1);
	desc = driver->queues[0].desc;
	driver_write(driver, VIRTIO_PCI_COMMON_Q_SIZE, 8, 2);
	driver_write(driver, VIRTIO_PCI_COMMON_Q_DESCLO, 0, 4);
	EXPECT_EQ(DRIVER_QUEUE_SIZE, driver_read(driver, VIRTIO_PCI_COMMON_Q_SIZE, 2));
	EXPECT_EQ(desc, driver_read(driver, VIRTIO_PCI_COMMON_Q_DESCLO, 8));
}

TEST_F(registers, the_configuration_is_read_in_any_width)
{
	EXPECT_EQ(0x0807060504030201, driver_read(&self->driver, VIRTIO_BAR_DEVICE, 8));
	EXPECT_EQ(0x0403, driver_read(&self->driver, VIRTIO_BAR_DEVICE + 2, 2));
	EXPECT_EQ(0, driver_read(&self->driver, VIRTIO_BAR_DEVICE + 8, 4));
	driver_write(&self->driver, VIRTIO_BAR_DEVICE, 0xff, 1);
	EXPECT_EQ(0x01, driver_read(&self->driver, VIRTIO_BAR_DEVICE, 1));
}

/* What a driver looks for, as 4.1.4 has it. */
TEST_F(registers, the_capabilities_say_where_everything_is)
{
	struct fpc *client = self->driver.client;
	unsigned int seen = 0;
	uint8_t at;

	ASSERT_EQ(0, fpc_region_read(client, FP_CONFIG, PCI_CAPABILITY_LIST, &at, 1));
	while (at) {
		struct virtio_pci_notify_cap cap;

		ASSERT_EQ(0, fpc_region_read(client, FP_CONFIG, at, &cap, sizeof(cap)));
		at = cap.cap.cap_next;
		if (cap.cap.cap_vndr != PCI_CAP_ID_VNDR)
			continue;
		seen |= 1u << cap.cap.cfg_type;
		EXPECT_EQ(0, cap.cap.bar);
		EXPECT_EQ((cap.cap.cfg_type - 1 == 0 ? VIRTIO_BAR_COMMON :
			   cap.cap.cfg_type == 2     ? VIRTIO_BAR_NOTIFY :
			   cap.cap.cfg_type == 3     ? VIRTIO_BAR_ISR :
						       VIRTIO_BAR_DEVICE),
			  cap.cap.offset);
		if (cap.cap.cfg_type == VIRTIO_PCI_CAP_NOTIFY_CFG) {
			EXPECT_EQ(20, cap.cap.cap_len);
			EXPECT_EQ(4, cap.notify_off_multiplier);
			EXPECT_EQ(8, cap.cap.length);
		} else {
			EXPECT_EQ(16, cap.cap.cap_len);
		}
	}
	EXPECT_EQ(1 << 1 | 1 << 2 | 1 << 3 | 1 << 4, seen);
}

/* ---- virtio-rng ---- */

TEST(random_numbers_fill_what_is_asked_for_and_no_more)
{
	struct driver_buffer buffers[] = { { .len = 7, .write = true },
					   { .len = 57, .write = true } };
	static const uint8_t zeros[64];
	struct driver driver;
	uint8_t before[64];
	uint8_t *bytes;

	driver_start(&driver, "virtio-rng", 0);
	driver_init(&driver, 0, 1);
	buffers[0].iova = driver_alloc(&driver, 4096);
	buffers[1].iova = buffers[0].iova + 7;
	bytes = driver_at(&driver, buffers[0].iova);
	EXPECT_EQ(64, driver_do(&driver, 0, buffers, 2));
	memcpy(before, bytes, 64);
	EXPECT_NE(0, memcmp(before, zeros, 64));
	EXPECT_EQ(64, driver_do(&driver, 0, buffers, 2));
	EXPECT_NE(0, memcmp(before, bytes, 64));
	EXPECT_EQ(0, memcmp(bytes + 64, zeros, 64));
	driver_stop(&driver);
}

TEST(a_large_request_for_random_numbers_gets_some)
{
	struct driver_buffer buffer = { .len = 4096, .write = true };
	struct driver driver;

	driver_start(&driver, "virtio-rng", DRIVER_PACKED);
	driver_init(&driver, 0, 1);
	buffer.iova = driver_alloc(&driver, 4096);
	EXPECT_EQ(256, driver_do(&driver, 0, &buffer, 1));
	driver_stop(&driver);
}

TEST(random_numbers_to_be_read_by_the_device_are_nonsense)
{
	struct driver_buffer buffer = { .len = 16 };
	struct driver driver;

	driver_start(&driver, "virtio-rng", 0);
	driver_init(&driver, 0, 1);
	buffer.iova = driver_alloc(&driver, 4096);
	driver_add(&driver, 0, &buffer, 1);
	driver_kick(&driver, 0);
	driver_await_failure(&driver);
	driver_stop(&driver);
}

TEST_HARNESS_MAIN
