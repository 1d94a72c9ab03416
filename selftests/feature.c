// SPDX-License-Identifier: GPL-2.0-only
/*
 * DEVICE_FEATURE: what can be asked for, how, and in which form it is answered.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <string.h>

#include "fastpath.h"
#include "kselftest_harness.h"
#include "lib/peer.h"
#include "lib/peer_feature.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

#define STOP WIRE_MIG_STOP
#define RUNNING WIRE_MIG_RUNNING

/* A device that can't be migrated: it can be saved, but not loaded. */
static int settled_save(struct fp_device *dev, struct fp_stream *to)
{
	return fp_stream_write(to, dev, 1);
}

FP_DEVICE(settled) = {
	.name = "settled",
	.summary = "can't be migrated",
	.save = settled_save,
};

static const uint32_t get_set = WIRE_FEATURE_GET | WIRE_FEATURE_SET;

TEST(a_device_says_that_it_can_be_migrated_with_and_without_pre_copy)
{
	struct peer *peer = peer_open("testdev", 0);
	struct {
		struct wire_device_feature head;
		uint64_t flags;
	} reply;

	EXPECT_EQ(0,
		  peer_feature(peer, WIRE_FEATURE_PROBE | WIRE_FEATURE_GET | WIRE_FEATURE_MIGRATION,
			       8, NULL, 0));
	EXPECT_EQ(0,
		  peer_feature(peer, WIRE_FEATURE_PROBE | get_set | WIRE_FEATURE_MIG_DEVICE_STATE,
			       8, NULL, 0));
	ASSERT_EQ(0, peer_feature_get(peer, WIRE_FEATURE_MIGRATION, NULL, 0));
	ASSERT_EQ(sizeof(reply), peer->reply.len);
	memcpy(&reply, peer->reply.body, sizeof(reply));
	EXPECT_EQ(sizeof(reply), reply.head.argsz);
	EXPECT_EQ(WIRE_FEATURE_GET | WIRE_FEATURE_MIGRATION, reply.head.flags);
	EXPECT_EQ(WIRE_MIGRATION_STOP_COPY | WIRE_MIGRATION_PRE_COPY, reply.flags);
	EXPECT_EQ(RUNNING, peer_mig_state(peer));
	peer_stop(peer);
}

TEST(a_device_that_cannot_be_migrated_says_so)
{
	struct peer *peer = peer_open("settled", PEER_OWN_CLASSES);
	uint64_t state = STOP;

	for (uint32_t i = WIRE_FEATURE_MIGRATION; i <= WIRE_FEATURE_MIG_DEVICE_STATE; i++) {
		EXPECT_EQ(EOPNOTSUPP, peer_feature(peer, WIRE_FEATURE_PROBE | i, 8, NULL, 0));
		EXPECT_EQ(EOPNOTSUPP, peer_feature_get(peer, i, NULL, 0));
		EXPECT_EQ(EOPNOTSUPP, peer_feature_set(peer, i, &state, sizeof(state)));
	}
	EXPECT_EQ(0, peer_feature(peer, WIRE_FEATURE_PROBE | WIRE_FEATURE_DMA_LOGGING_START, 8,
				  NULL, 0));
	peer_stop(peer);
}

TEST(a_feature_that_is_not_known_is_not_supported)
{
	static const uint32_t indexes[] = { 0, 3, 4, 5, 9, 10, 255, 0xffff };
	struct peer *peer = peer_open("testdev", 0);
	uint64_t data[4] = { 0 };

	for (size_t i = 0; i < COUNT(indexes); i++) {
		EXPECT_EQ(EOPNOTSUPP,
			  peer_feature(peer, WIRE_FEATURE_PROBE | indexes[i], 8, NULL, 0));
		EXPECT_EQ(EOPNOTSUPP, peer_feature_get(peer, indexes[i], data, sizeof(data)));
		EXPECT_EQ(EOPNOTSUPP, peer_feature_set(peer, indexes[i], data, sizeof(data)));
	}
	peer_stop(peer);
}

TEST(what_a_feature_cannot_do_is_refused)
{
	static const uint32_t bad[] = {
		WIRE_FEATURE_MIG_DEVICE_STATE,
		WIRE_FEATURE_MIG_DEVICE_STATE | get_set,
		WIRE_FEATURE_MIG_DEVICE_STATE | WIRE_FEATURE_GET | 1 << 19,
		WIRE_FEATURE_MIG_DEVICE_STATE | WIRE_FEATURE_GET | 1u << 31,
		WIRE_FEATURE_MIG_DEVICE_STATE | WIRE_FEATURE_PROBE | 1 << 19,
		WIRE_FEATURE_MIGRATION | WIRE_FEATURE_SET,
		WIRE_FEATURE_MIGRATION | WIRE_FEATURE_SET | WIRE_FEATURE_PROBE,
		WIRE_FEATURE_DMA_LOGGING_START | WIRE_FEATURE_GET,
		WIRE_FEATURE_DMA_LOGGING_STOP | WIRE_FEATURE_GET,
		WIRE_FEATURE_DMA_LOGGING_REPORT | WIRE_FEATURE_SET,
	};
	struct peer *peer = peer_open("testdev", 0);
	uint64_t data[4] = { STOP };

	for (size_t i = 0; i < COUNT(bad); i++)
		EXPECT_EQ(EINVAL, peer_feature(peer, bad[i], 4096, data, sizeof(data)));
	EXPECT_EQ(RUNNING, peer_mig_state(peer));
	peer_stop(peer);
}

TEST(the_reply_to_set_and_probe_is_the_request)
{
	struct peer *peer = peer_open("testdev", 0);
	struct {
		struct wire_device_feature head;
		struct wire_mig_device_state state;
		uint64_t more;
	} body = {
		{ sizeof(body), WIRE_FEATURE_SET | WIRE_FEATURE_MIG_DEVICE_STATE },
		{ STOP, 77 },
		0x1122334455667788,
	};

	ASSERT_EQ(0, peer_call(peer, WIRE_DEVICE_FEATURE, &body, sizeof(body)));
	ASSERT_EQ(sizeof(body), peer->reply.len);
	EXPECT_EQ(0, memcmp(&body, peer->reply.body, sizeof(body)));
	EXPECT_EQ(STOP, peer_mig_state(peer));
	body.head.flags |= WIRE_FEATURE_PROBE;
	body.state.device_state = RUNNING;
	ASSERT_EQ(0, peer_call(peer, WIRE_DEVICE_FEATURE, &body, sizeof(body)));
	ASSERT_EQ(sizeof(body), peer->reply.len);
	EXPECT_EQ(0, memcmp(&body, peer->reply.body, sizeof(body)));
	EXPECT_EQ(STOP, peer_mig_state(peer)); /* a probe changes nothing */
	peer_stop(peer);
}

TEST(a_reply_that_does_not_fit_into_argsz_is_the_fixed_part_and_says_what_is_needed)
{
	struct peer *peer = peer_open("testdev", 0);
	struct wire_device_feature head;

	for (uint32_t argsz = 0; argsz < 20; argsz++) {
		int error = peer_feature(peer, WIRE_FEATURE_GET | WIRE_FEATURE_MIG_DEVICE_STATE,
					 argsz, NULL, 0);

		ASSERT_EQ(argsz < 8 ? EINVAL : 0, error);
		if (error)
			continue;
		ASSERT_EQ(argsz < 16 ? 8 : 16, peer->reply.len);
		memcpy(&head, peer->reply.body, sizeof(head));
		EXPECT_EQ(16, head.argsz);
	}
	peer_stop(peer);
}

TEST(a_set_without_all_of_its_data_is_refused)
{
	uint32_t set = WIRE_FEATURE_SET | WIRE_FEATURE_MIG_DEVICE_STATE;
	struct peer *peer = peer_open("testdev", 0);
	uint64_t state = STOP;

	for (size_t len = 0; len < sizeof(state); len++)
		EXPECT_EQ(EINVAL, peer_feature(peer, set, 4096, &state, len));
	for (uint32_t argsz = 8; argsz < 16; argsz++)
		EXPECT_EQ(EINVAL, peer_feature(peer, set, argsz, &state, sizeof(state)));
	EXPECT_EQ(RUNNING, peer_mig_state(peer));
	peer_stop(peer);
}

TEST_HARNESS_MAIN
