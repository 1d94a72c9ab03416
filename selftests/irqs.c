// SPDX-License-Identifier: GPL-2.0-only
/*
 * DEVICE_SET_IRQS: which eventfd is signalled when, and what is refused.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fastpath.h"
#include "kselftest_harness.h"
#include "lib/peer.h"
#include "testdev.h"

#define VECTORS 4

enum {
	NONE = WIRE_IRQ_DATA_NONE,
	BOOL = WIRE_IRQ_DATA_BOOL,
	EVENTFD = WIRE_IRQ_DATA_EVENTFD,
	MASK = WIRE_IRQ_ACTION_MASK,
	UNMASK = WIRE_IRQ_ACTION_UNMASK,
	TRIGGER = WIRE_IRQ_ACTION_TRIGGER,
};

static int set(struct peer *peer, uint32_t flags, uint32_t index, uint32_t start, uint32_t count,
	       const int *fds, unsigned int nr_fds)
{
	struct wire_irq_set request = {
		.argsz = sizeof(request),
		.flags = flags,
		.index = index,
		.start = start,
		.count = count,
	};
	int error =
		peer_call_fds(peer, WIRE_DEVICE_SET_IRQS, &request, sizeof(request), fds, nr_fds);

	return !error && peer->reply.len ? -1 : error;
}

/* The eventfds `fds` for the interrupts from `start`. */
static int assign(struct peer *peer, uint32_t index, uint32_t start, const int *fds, uint32_t nr)
{
	return set(peer, EVENTFD | TRIGGER, index, start, nr, fds, nr);
}

static int set_bools(struct peer *peer, uint32_t action, uint32_t index, uint32_t start,
		     uint32_t count, const uint8_t *bools, size_t nr_bools)
{
	uint8_t body[sizeof(struct wire_irq_set) + 16];
	struct wire_irq_set request = {
		.argsz = (uint32_t)(sizeof(request) + nr_bools),
		.flags = BOOL | action,
		.index = index,
		.start = start,
		.count = count,
	};

	memcpy(body, &request, sizeof(request));
	memcpy(body + sizeof(request), bools, nr_bools);
	return peer_call(peer, WIRE_DEVICE_SET_IRQS, body, sizeof(request) + nr_bools);
}

/* The device fires a vector. */
static void fire(struct peer *peer, uint32_t vector)
{
	peer_write(peer, FP_BAR2, offsetof(struct testdev_counters, trigger), vector, 4);
}

static void make_eventfds(int *fds, unsigned int nr, int flags)
{
	for (unsigned int i = 0; i < nr; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC | flags);
}

static void close_all(const int *fds, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		close(fds[i]);
}

/*
 * Whether just the eventfds of `wanted`, a bit each, hold one signal each. Signals to non-blocking
 * eventfds leave before the next reply, so that there is nothing to wait for.
 */
static bool just(struct peer *peer, const int *fds, unsigned int nr, unsigned int wanted)
{
	unsigned int seen = 0;

	peer_read(peer, FP_BAR2, 0, 4);
	for (unsigned int i = 0; i < nr; i++)
		switch (peer_eventfd_take(fds[i])) {
		case 0:
			break;
		case 1:
			seen |= 1u << i;
			break;
		default:
			return false;
		}
	return seen == wanted;
}

/* ---- assigning ---- */

TEST(a_vector_signals_just_the_eventfd_that_is_assigned_to_it)
{
	struct peer *peer = peer_open("testdev", 0);
	int fds[VECTORS];

	make_eventfds(fds, VECTORS, EFD_NONBLOCK);
	ASSERT_EQ(0, assign(peer, FP_MSIX, 0, fds, VECTORS));
	for (uint32_t i = 0; i < VECTORS; i++) {
		fire(peer, i);
		EXPECT_TRUE(just(peer, fds, VECTORS, 1u << i));
	}
	fire(peer, VECTORS); /* there is none such */
	fire(peer, UINT32_MAX);
	EXPECT_TRUE(just(peer, fds, VECTORS, 0));
	peer_stop(peer);
}

TEST(signals_add_up_exactly_in_eventfds_of_either_mode)
{
	struct peer *peer = peer_open("testdev", 0);
	int64_t deadline = 0;
	uint64_t sum = 0;
	int fds[2];

	make_eventfds(&fds[0], 1, EFD_NONBLOCK);
	make_eventfds(&fds[1], 1, 0);
	ASSERT_EQ(0, assign(peer, FP_MSIX, 0, fds, 2));
	for (unsigned int i = 0; i < 1000; i++) {
		fire(peer, 0);
		fire(peer, 1);
	}
	peer_read(peer, FP_BAR2, 0, 4);
	EXPECT_EQ(1000, peer_eventfd_take(fds[0]));
	while (sum < 1000 && peer_time_left(&deadline))
		sum += peer_eventfd_wait(fds[1]);
	EXPECT_EQ(1000, sum);
	peer_stop(peer);
}

TEST(vectors_may_be_assigned_in_chunks)
{
	struct peer *peer = peer_open("testdev", 0);
	int fds[VECTORS];

	make_eventfds(fds, VECTORS, EFD_NONBLOCK);
	/* As QEMU enables MSI-X: one message without fds first. */
	ASSERT_EQ(0, set(peer, EVENTFD | TRIGGER, FP_MSIX, 0, 1, NULL, 0));
	ASSERT_EQ(0, assign(peer, FP_MSIX, 0, fds, 2));
	ASSERT_EQ(0, assign(peer, FP_MSIX, 2, fds + 2, 2));
	for (uint32_t i = 0; i < VECTORS; i++) {
		fire(peer, i);
		EXPECT_TRUE(just(peer, fds, VECTORS, 1u << i));
	}
	peer_stop(peer);
}

TEST(msix_and_intx_configured_in_turn_keep_their_own_eventfds)
{
	struct peer *peer = peer_open("testdev", 0);
	int fds[VECTORS + 1];

	make_eventfds(fds, VECTORS + 1, EFD_NONBLOCK);
	ASSERT_EQ(0, assign(peer, FP_MSIX, 0, fds, VECTORS));
	ASSERT_EQ(0, assign(peer, FP_INTX, 0, fds + VECTORS, 1));
	fire(peer, 0);
	EXPECT_TRUE(just(peer, fds, VECTORS + 1, 1));
	ASSERT_EQ(0, set(peer, NONE | TRIGGER, FP_INTX, 0, 1, NULL, 0));
	EXPECT_TRUE(just(peer, fds, VECTORS + 1, 1u << VECTORS));
	ASSERT_EQ(0, set(peer, NONE | TRIGGER, FP_INTX, 0, 0, NULL, 0));
	fire(peer, 0);
	EXPECT_TRUE(just(peer, fds, VECTORS + 1, 1));
	peer_stop(peer);
}

TEST(an_eventfd_assigned_anew_replaces_the_old_one)
{
	struct peer *peer = peer_open("testdev", 0);
	unsigned int before;
	int fds[2];

	make_eventfds(fds, 2, EFD_NONBLOCK);
	ASSERT_EQ(0, assign(peer, FP_MSIX, 0, &fds[0], 1));
	before = peer_count_fds(peer);
	ASSERT_EQ(0, assign(peer, FP_MSIX, 0, &fds[1], 1));
	EXPECT_EQ(before, peer_count_fds(peer));
	fire(peer, 0);
	EXPECT_TRUE(just(peer, fds, 2, 2));
	peer_stop(peer);
}

TEST(a_range_is_deassigned_and_nothing_else)
{
	struct peer *peer = peer_open("testdev", 0);
	unsigned int before = peer_count_fds(peer);
	int fds[VECTORS];

	make_eventfds(fds, VECTORS, EFD_NONBLOCK);
	ASSERT_EQ(0, assign(peer, FP_MSIX, 0, fds, VECTORS));
	ASSERT_EQ(0, set(peer, EVENTFD | TRIGGER, FP_MSIX, 1, 2, NULL, 0));
	EXPECT_EQ(before + VECTORS - 2, peer_count_fds(peer));
	for (uint32_t i = 0; i < VECTORS; i++)
		fire(peer, i);
	EXPECT_TRUE(just(peer, fds, VECTORS, 1u << 0 | 1u << 3));
	peer_stop(peer);
}

TEST(count_0_disables_all_of_a_kind)
{
	struct peer *peer = peer_open("testdev", 0);
	unsigned int before = peer_count_fds(peer);
	int fds[VECTORS];

	make_eventfds(fds, VECTORS, EFD_NONBLOCK);
	ASSERT_EQ(0, assign(peer, FP_MSIX, 0, fds, VECTORS));
	ASSERT_EQ(0, set(peer, NONE | TRIGGER, FP_MSIX, 0, 0, NULL, 0));
	EXPECT_EQ(before, peer_count_fds(peer));
	for (uint32_t i = 0; i < VECTORS; i++)
		fire(peer, i);
	EXPECT_TRUE(just(peer, fds, VECTORS, 0));
	/* Also where there is none: QEMU's reset does so. */
	EXPECT_EQ(0, set(peer, NONE | TRIGGER, FP_MSIX, 0, 0, NULL, 0));
	EXPECT_EQ(0, set(peer, NONE | TRIGGER, FP_MSI, 0, 0, NULL, 0));
	peer_stop(peer);
}

TEST(a_reset_keeps_what_the_client_has_assigned)
{
	struct peer *peer = peer_open("testdev", 0);
	int fds[VECTORS];

	make_eventfds(fds, VECTORS, EFD_NONBLOCK);
	ASSERT_EQ(0, assign(peer, FP_MSIX, 0, fds, VECTORS));
	ASSERT_EQ(0, peer_call(peer, WIRE_DEVICE_RESET, NULL, 0));
	fire(peer, 2);
	EXPECT_TRUE(just(peer, fds, VECTORS, 1u << 2));
	peer_stop(peer);
}

TEST(the_eventfds_of_a_former_client_are_closed_and_not_signalled)
{
	struct peer *peer = peer_open("testdev", PEER_LISTEN);
	unsigned int before = peer_count_fds(peer);
	int fds[VECTORS + 2];

	make_eventfds(fds, VECTORS + 2, EFD_NONBLOCK);
	ASSERT_EQ(0, assign(peer, FP_MSIX, 0, fds, VECTORS));
	ASSERT_EQ(0, assign(peer, FP_INTX, 0, fds + VECTORS, 1));
	ASSERT_EQ(0, set(peer, EVENTFD | UNMASK, FP_INTX, 0, 1, fds + VECTORS + 1, 1));
	peer_reconnect(peer);
	EXPECT_EQ(before, peer_count_fds(peer));
	for (uint32_t i = 0; i < VECTORS; i++)
		fire(peer, i);
	ASSERT_EQ(0, set(peer, NONE | TRIGGER, FP_INTX, 0, 1, NULL, 0));
	EXPECT_TRUE(just(peer, fds, VECTORS + 1, 0));
	peer_stop(peer);
}

/* ---- firing by message ---- */

TEST(trigger_without_data_fires_the_range)
{
	struct peer *peer = peer_open("testdev", 0);
	int fds[VECTORS];

	make_eventfds(fds, VECTORS, EFD_NONBLOCK);
	ASSERT_EQ(0, assign(peer, FP_MSIX, 0, fds, VECTORS));
	ASSERT_EQ(0, set(peer, NONE | TRIGGER, FP_MSIX, 1, 2, NULL, 0));
	EXPECT_TRUE(just(peer, fds, VECTORS, 1u << 1 | 1u << 2));
	peer_stop(peer);
}

TEST(trigger_with_bools_fires_those_that_are_true)
{
	struct peer *peer = peer_open("testdev", 0);
	static const uint8_t bools[] = { 1, 0, 0xff };
	int fds[VECTORS];

	make_eventfds(fds, VECTORS, EFD_NONBLOCK);
	ASSERT_EQ(0, assign(peer, FP_MSIX, 0, fds, VECTORS));
	ASSERT_EQ(0, set_bools(peer, TRIGGER, FP_MSIX, 1, 3, bools, 3));
	EXPECT_TRUE(just(peer, fds, VECTORS, 1u << 1 | 1u << 3));
	peer_stop(peer);
}

/* ---- masking ---- */

TEST(a_masked_vector_is_kept_pending_and_fires_once_when_unmasked)
{
	struct peer *peer = peer_open("testdev", 0);
	int fds[VECTORS];

	make_eventfds(fds, VECTORS, EFD_NONBLOCK);
	ASSERT_EQ(0, assign(peer, FP_MSIX, 0, fds, VECTORS));
	ASSERT_EQ(0, set(peer, NONE | MASK, FP_MSIX, 1, 2, NULL, 0));
	for (unsigned int n = 0; n < 3; n++)
		fire(peer, 1);
	fire(peer, 3);
	EXPECT_TRUE(just(peer, fds, VECTORS, 1u << 3));
	ASSERT_EQ(0, set(peer, NONE | UNMASK, FP_MSIX, 1, 2, NULL, 0));
	EXPECT_TRUE(just(peer, fds, VECTORS, 1u << 1)); /* 2 was not pending */
	ASSERT_EQ(0, set(peer, NONE | UNMASK, FP_MSIX, 1, 2, NULL, 0));
	EXPECT_TRUE(just(peer, fds, VECTORS, 0));
	fire(peer, 1);
	EXPECT_TRUE(just(peer, fds, VECTORS, 1u << 1));
	peer_stop(peer);
}

TEST(bools_say_which_vectors_are_masked_and_unmasked)
{
	struct peer *peer = peer_open("testdev", 0);
	static const uint8_t second[] = { 0, 1, 0, 0 };
	static const uint8_t others[] = { 1, 0, 1, 1 };
	int fds[VECTORS];

	make_eventfds(fds, VECTORS, EFD_NONBLOCK);
	ASSERT_EQ(0, assign(peer, FP_MSIX, 0, fds, VECTORS));
	ASSERT_EQ(0, set_bools(peer, MASK, FP_MSIX, 0, VECTORS, second, VECTORS));
	for (uint32_t i = 0; i < VECTORS; i++)
		fire(peer, i);
	EXPECT_TRUE(just(peer, fds, VECTORS, 0xd));
	ASSERT_EQ(0, set_bools(peer, UNMASK, FP_MSIX, 0, VECTORS, others, VECTORS));
	EXPECT_TRUE(just(peer, fds, VECTORS, 0));
	ASSERT_EQ(0, set_bools(peer, UNMASK, FP_MSIX, 0, VECTORS, second, VECTORS));
	EXPECT_TRUE(just(peer, fds, VECTORS, 1u << 1));
	peer_stop(peer);
}

static void fire_intx(struct peer *peer)
{
	set(peer, NONE | TRIGGER, FP_INTX, 0, 1, NULL, 0);
}

TEST(intx_masks_itself_until_the_client_unmasks_it)
{
	struct peer *peer = peer_open("testdev", 0);
	int fd;

	make_eventfds(&fd, 1, EFD_NONBLOCK);
	ASSERT_EQ(0, assign(peer, FP_INTX, 0, &fd, 1));
	fire_intx(peer);
	EXPECT_TRUE(just(peer, &fd, 1, 1));
	fire_intx(peer);
	fire_intx(peer);
	EXPECT_TRUE(just(peer, &fd, 1, 0));
	ASSERT_EQ(0, set(peer, NONE | UNMASK, FP_INTX, 0, 1, NULL, 0));
	EXPECT_TRUE(just(peer, &fd, 1, 1)); /* it was pending, and masks itself again */
	fire_intx(peer);
	EXPECT_TRUE(just(peer, &fd, 1, 0));
	peer_stop(peer);
}

TEST(intx_can_be_masked_by_message)
{
	struct peer *peer = peer_open("testdev", 0);
	int fd;

	make_eventfds(&fd, 1, EFD_NONBLOCK);
	ASSERT_EQ(0, assign(peer, FP_INTX, 0, &fd, 1));
	ASSERT_EQ(0, set(peer, NONE | MASK, FP_INTX, 0, 1, NULL, 0));
	fire_intx(peer);
	EXPECT_TRUE(just(peer, &fd, 1, 0));
	ASSERT_EQ(0, set(peer, NONE | UNMASK, FP_INTX, 0, 1, NULL, 0));
	EXPECT_TRUE(just(peer, &fd, 1, 1));
	peer_stop(peer);
}

TEST(intx_is_unmasked_by_an_eventfd_of_the_client)
{
	struct peer *peer = peer_open("testdev", 0);
	int fd, unmask;

	make_eventfds(&fd, 1, EFD_NONBLOCK);
	make_eventfds(&unmask, 1, EFD_NONBLOCK);
	ASSERT_EQ(0, assign(peer, FP_INTX, 0, &fd, 1));
	ASSERT_EQ(0x14, EVENTFD | UNMASK);
	ASSERT_EQ(0, set(peer, EVENTFD | UNMASK, FP_INTX, 0, 1, &unmask, 1));
	for (unsigned int i = 0; i < 10; i++) {
		fire_intx(peer);
		fire_intx(peer);
		EXPECT_EQ(1, peer_eventfd_wait(fd));
		eventfd_write(unmask, 1);
		EXPECT_EQ(1, peer_eventfd_wait(fd)); /* what was pending */
		eventfd_write(unmask, 1);
		/* Unmasked again when the server has taken the signal. */
		while (peer_eventfd_take(unmask)) {
			eventfd_write(unmask, 1);
			peer_read(peer, FP_BAR2, 0, 4);
		}
	}
	/* Without an fd it is de-assigned. */
	ASSERT_EQ(0, set(peer, EVENTFD | UNMASK, FP_INTX, 0, 1, NULL, 0));
	fire_intx(peer);
	eventfd_write(unmask, 1);
	fire_intx(peer);
	EXPECT_TRUE(just(peer, &fd, 1, 1));
	EXPECT_EQ(1, peer_eventfd_take(unmask));
	peer_stop(peer);
}

TEST(intx_is_masked_by_an_eventfd_of_the_client)
{
	struct peer *peer = peer_open("testdev", 0);
	int64_t deadline = 0;
	int fd, mask;

	make_eventfds(&fd, 1, EFD_NONBLOCK);
	make_eventfds(&mask, 1, 0);
	ASSERT_EQ(0, assign(peer, FP_INTX, 0, &fd, 1));
	ASSERT_EQ(0, set(peer, EVENTFD | MASK, FP_INTX, 0, 1, &mask, 1));
	eventfd_write(mask, 1);
	/* The server has taken the signal once it is not there to be taken any more. */
	while (poll(&(struct pollfd){ .fd = mask, .events = POLLIN }, 1, 0) &&
	       peer_time_left(&deadline))
		;
	fire_intx(peer);
	EXPECT_TRUE(just(peer, &fd, 1, 0));
	ASSERT_EQ(0, set(peer, NONE | UNMASK, FP_INTX, 0, 1, NULL, 0));
	EXPECT_TRUE(just(peer, &fd, 1, 1));
	peer_stop(peer);
}

/* ---- INTx as a line: testdev raises it and lowers it ---- */

static void raise_line(struct peer *peer, bool raised)
{
	peer_write(peer, FP_BAR2, offsetof(struct testdev_counters, intx), raised, 4);
}

static bool status_tells(struct peer *peer)
{
	return peer_read(peer, FP_CONFIG, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT;
}

TEST(a_raised_line_fires_at_each_unmasking_until_it_is_lowered)
{
	struct peer *peer = peer_open("testdev", 0);
	int fd;

	make_eventfds(&fd, 1, EFD_NONBLOCK);
	ASSERT_EQ(0, assign(peer, FP_INTX, 0, &fd, 1));
	raise_line(peer, true);
	EXPECT_TRUE(just(peer, &fd, 1, 1));
	raise_line(peer, true);
	EXPECT_TRUE(just(peer, &fd, 1, 0)); /* it has been */
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, set(peer, NONE | UNMASK, FP_INTX, 0, 1, NULL, 0));
		EXPECT_TRUE(just(peer, &fd, 1, 1));
	}
	raise_line(peer, false);
	ASSERT_EQ(0, set(peer, NONE | UNMASK, FP_INTX, 0, 1, NULL, 0));
	EXPECT_TRUE(just(peer, &fd, 1, 0));
	peer_stop(peer);
}

TEST(a_line_that_is_lowered_while_it_is_masked_does_not_fire)
{
	struct peer *peer = peer_open("testdev", 0);
	int fd;

	make_eventfds(&fd, 1, EFD_NONBLOCK);
	ASSERT_EQ(0, assign(peer, FP_INTX, 0, &fd, 1));
	ASSERT_EQ(0, set(peer, NONE | MASK, FP_INTX, 0, 1, NULL, 0));
	raise_line(peer, true);
	raise_line(peer, false);
	ASSERT_EQ(0, set(peer, NONE | UNMASK, FP_INTX, 0, 1, NULL, 0));
	EXPECT_TRUE(just(peer, &fd, 1, 0));
	peer_stop(peer);
}

TEST(a_line_that_is_raised_already_fires_into_a_new_eventfd)
{
	struct peer *peer = peer_open("testdev", 0);
	int fd;

	make_eventfds(&fd, 1, EFD_NONBLOCK);
	raise_line(peer, true);
	ASSERT_EQ(0, assign(peer, FP_INTX, 0, &fd, 1));
	EXPECT_TRUE(just(peer, &fd, 1, 1));
	peer_stop(peer);
}

TEST(the_status_register_tells_whether_the_line_is_raised)
{
	struct peer *peer = peer_open("testdev", PEER_LISTEN);

	EXPECT_FALSE(status_tells(peer));
	raise_line(peer, true);
	EXPECT_TRUE(status_tells(peer));
	EXPECT_EQ(0, peer_read(peer, FP_CONFIG, PCI_STATUS + 1, 1) & PCI_STATUS_INTERRUPT);
	EXPECT_NE(0, peer_read(peer, FP_CONFIG, 0, 8) >> 48 & PCI_STATUS_INTERRUPT);
	peer_reconnect(peer);
	EXPECT_TRUE(status_tells(peer)); /* a client that leaves resets nothing */
	EXPECT_EQ(0, peer_call(peer, WIRE_DEVICE_RESET, NULL, 0));
	EXPECT_FALSE(status_tells(peer));
	peer_stop(peer);
}

/* ---- refusing ---- */

TEST(a_bad_combination_of_flags_index_and_range_is_refused)
{
	static const struct wire_irq_set requests[] = {
		{ .flags = 0, .index = FP_MSIX, .count = 1 },
		{ .flags = NONE, .index = FP_MSIX, .count = 1 }, /* no action */
		{ .flags = EVENTFD, .index = FP_MSIX, .count = 1 },
		{ .flags = TRIGGER, .index = FP_MSIX, .count = 1 }, /* no kind of data */
		{ .flags = NONE | BOOL | TRIGGER, .index = FP_MSIX, .count = 1 },
		{ .flags = NONE | EVENTFD | TRIGGER, .index = FP_MSIX, .count = 1 },
		{ .flags = BOOL | EVENTFD | TRIGGER, .index = FP_MSIX, .count = 1 },
		{ .flags = NONE | TRIGGER | MASK, .index = FP_MSIX, .count = 1 },
		{ .flags = NONE | MASK | UNMASK, .index = FP_MSIX, .count = 1 },
		{ .flags = NONE | TRIGGER | 1 << 6, .index = FP_MSIX, .count = 1 },
		{ .flags = NONE | TRIGGER | 1u << 31, .index = FP_MSIX, .count = 1 },
		{ .flags = NONE | TRIGGER, .index = FP_NR_IRQS, .count = 1 },
		{ .flags = NONE | TRIGGER, .index = UINT32_MAX, .count = 1 },
		{ .flags = NONE | TRIGGER, .index = FP_ERR, .count = 1 }, /* it has none */
		{ .flags = NONE | TRIGGER, .index = FP_MSIX, .count = VECTORS + 1 },
		{ .flags = NONE | TRIGGER, .index = FP_MSIX, .start = VECTORS, .count = 1 },
		{ .flags = NONE | TRIGGER, .index = FP_MSIX, .start = 2, .count = 3 },
		{ .flags = NONE | TRIGGER, .index = FP_MSIX, .start = UINT32_MAX, .count = 1 },
		{ .flags = NONE | TRIGGER, .index = FP_MSIX, .start = 1, .count = UINT32_MAX },
		{ .flags = NONE | TRIGGER, .index = FP_MSIX, .start = 1, .count = 0 },
		{ .flags = NONE | MASK, .index = FP_MSIX, .count = 0 },
		{ .flags = EVENTFD | TRIGGER, .index = FP_MSIX, .start = VECTORS, .count = 1 },
		{ .flags = EVENTFD | TRIGGER, .index = FP_MSIX, .count = UINT32_MAX },
		{ .flags = NONE | MASK, .index = FP_ERR, .count = 1 },
		{ .flags = EVENTFD | MASK, .index = FP_MSIX, .count = 1 },
		{ .flags = EVENTFD | UNMASK, .index = FP_MSIX, .count = 1 },
		{ .flags = EVENTFD | UNMASK, .index = FP_INTX, .start = 1, .count = 1 },
	};
	struct peer *peer = peer_open("testdev", 0);
	int fds[VECTORS];

	make_eventfds(fds, VECTORS, EFD_NONBLOCK);
	ASSERT_EQ(0, assign(peer, FP_MSIX, 0, fds, VECTORS));
	for (unsigned int i = 0; i < sizeof(requests) / sizeof(*requests); i++) {
		struct wire_irq_set request = requests[i];

		request.argsz = sizeof(request);
		EXPECT_EQ(EINVAL, peer_call(peer, WIRE_DEVICE_SET_IRQS, &request, sizeof(request)))
		{
			TH_LOG("request %u", i);
		}
	}
	/* None of it has done anything. */
	EXPECT_TRUE(just(peer, fds, VECTORS, 0));
	for (uint32_t i = 0; i < VECTORS; i++)
		fire(peer, i);
	EXPECT_TRUE(just(peer, fds, VECTORS, 0xf));
	peer_stop(peer);
}

TEST(fewer_bools_than_interrupts_are_refused)
{
	struct peer *peer = peer_open("testdev", 0);
	static const uint8_t bools[] = { 1, 1, 1, 1 };
	int fds[VECTORS];

	make_eventfds(fds, VECTORS, EFD_NONBLOCK);
	ASSERT_EQ(0, assign(peer, FP_MSIX, 0, fds, VECTORS));
	for (uint32_t count = 1; count <= VECTORS; count++) {
		EXPECT_EQ(EINVAL, set_bools(peer, TRIGGER, FP_MSIX, 0, count, bools, count - 1));
	}
	EXPECT_EQ(EINVAL, set_bools(peer, TRIGGER, FP_MSIX, 0, UINT32_MAX, bools, 4));
	EXPECT_TRUE(just(peer, fds, VECTORS, 0));
	peer_stop(peer);
}

TEST(fewer_or_more_fds_than_interrupts_are_refused_and_closed)
{
	struct peer *peer = peer_open("testdev", 0);
	unsigned int before = peer_count_fds(peer);
	int fds[VECTORS];

	make_eventfds(fds, VECTORS, EFD_NONBLOCK);
	for (unsigned int nr = 1; nr <= VECTORS; nr++)
		if (nr != 3) {
			EXPECT_EQ(EINVAL, set(peer, EVENTFD | TRIGGER, FP_MSIX, 0, 3, fds, nr));
		}
	EXPECT_EQ(EINVAL, set(peer, NONE | TRIGGER, FP_MSIX, 0, 1, fds, 1));
	EXPECT_EQ(EINVAL, set(peer, NONE | TRIGGER, FP_MSIX, 0, 0, fds, 1));
	EXPECT_EQ(before, peer_count_fds(peer));
	fire(peer, 0);
	EXPECT_TRUE(just(peer, fds, VECTORS, 0));
	peer_stop(peer);
}

TEST(fds_that_are_no_eventfds_are_refused_and_closed)
{
	struct peer *peer = peer_open("testdev", 0);
	unsigned int before = peer_count_fds(peer);
	int pipes[2], others[4], good, fds[2];

	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	others[0] = pipes[1];
	others[1] = memfd_create("[eventfd]", MFD_CLOEXEC);
	others[2] = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	others[3] = open("/dev/null", O_RDWR | O_CLOEXEC);
	make_eventfds(&good, 1, EFD_NONBLOCK);
	for (unsigned int i = 0; i < 4; i++) {
		EXPECT_EQ(EINVAL, assign(peer, FP_MSIX, 0, &others[i], 1));
		fds[0] = good;
		fds[1] = others[i];
		EXPECT_EQ(EINVAL, assign(peer, FP_MSIX, 0, fds, 2));
		EXPECT_EQ(EINVAL, set(peer, EVENTFD | UNMASK, FP_INTX, 0, 1, &others[i], 1));
	}
	EXPECT_EQ(before, peer_count_fds(peer));
	fire(peer, 0);
	EXPECT_TRUE(just(peer, &good, 1, 0));
	close_all(others, 4);
	peer_stop(peer);
}

/* ---- eventfds that take no more ---- */

static int full_eventfd(int flags)
{
	int fd;

	make_eventfds(&fd, 1, flags);
	eventfd_write(fd, UINT64_MAX - 1);
	return fd;
}

TEST(a_full_eventfd_does_not_block_the_server_in_either_mode)
{
	struct peer *peer = peer_open("testdev", 0);
	int fds[3] = { full_eventfd(0), full_eventfd(EFD_NONBLOCK) };

	make_eventfds(&fds[2], 1, EFD_NONBLOCK);
	ASSERT_EQ(0, assign(peer, FP_MSIX, 0, fds, 3));
	for (unsigned int n = 0; n < 10; n++) {
		fire(peer, 0);
		fire(peer, 1);
		fire(peer, 2);
		EXPECT_EQ(1, peer_eventfd_wait(fds[2]));
	}
	peer_stop(peer);
}

TEST(signals_to_a_full_eventfd_do_not_pile_up_in_the_server)
{
	struct peer *peer = peer_open("testdev", 0);
	int fd = full_eventfd(0);

	ASSERT_EQ(0, assign(peer, FP_MSIX, 0, &fd, 1));
	for (unsigned int n = 0; n < 500; n++)
		fire(peer, 0);
	/* Neither as threads nor as requests that wait for room in it. */
	EXPECT_GT(20, peer_count_threads(peer));
	EXPECT_GT(20, peer_count_requests(peer));
	peer_stop(peer);
}

TEST(a_client_with_a_full_eventfd_may_leave)
{
	struct peer *peer = peer_open("testdev", PEER_LISTEN);
	unsigned int before = peer_count_fds(peer);
	int fd = full_eventfd(0);

	ASSERT_EQ(0, assign(peer, FP_MSIX, 0, &fd, 1));
	fire(peer, 0);
	peer_reconnect(peer);
	EXPECT_EQ(before, peer_count_fds(peer));
	EXPECT_EQ(TESTDEV_MAGIC, peer_read(peer, FP_BAR2, 0, 4));
	peer_stop(peer);
}

TEST_HARNESS_MAIN
