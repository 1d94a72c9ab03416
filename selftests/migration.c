// SPDX-License-Identifier: GPL-2.0-only
/*
 * The states of migration, what leads from one to another, and the stream of a device's state.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

#include "fastpath.h"
#include "kselftest_harness.h"
#include "lib/peer.h"
#include "lib/peer_feature.h"
#include "state.h"
#include "testdev.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

#define MIB (1024u * 1024u)

enum {
	ERROR = WIRE_MIG_ERROR,
	STOP = WIRE_MIG_STOP,
	RUNNING = WIRE_MIG_RUNNING,
	STOP_COPY = WIRE_MIG_STOP_COPY,
	RESUMING = WIRE_MIG_RESUMING,
	P2P = 5, /* a state that devices may have, and ours have not */
	PRE_COPY = WIRE_MIG_PRE_COPY,
	STATES = WIRE_MIG_END
};

/* ---- devices of our own ---- */

/*
 * Saves what it is told to. BAR0 is this; writing `pieces` makes so many early pieces, which are
 * "0", "1" and so on, to be had.
 */
struct scribe {
	uint64_t pieces; /* to come */
	uint64_t first;	 /* the number of the next piece */
	uint64_t saves;	 /* calls of save() */
	uint64_t bytes;	 /* that save() writes */
	uint64_t fail;	 /* the errno of save() and precopy() */
	uint64_t refuse; /* the errno of load() */
	uint64_t leave;	 /* bytes that load() leaves */
	uint64_t loaded; /* bytes that load() has got */
	char text[64];	 /* the first of these */
};

static int scribe_access(struct fp_device *dev, struct fp_access *access)
{
	fp_access_memory(access, 0, fp_state(dev), sizeof(struct scribe));
	return 0;
}

static int scribe_save(struct fp_device *dev, struct fp_stream *to)
{
	struct scribe *scribe = fp_state(dev);
	static const char x[4096] = "save";

	scribe->saves++;
	for (uint64_t left = scribe->bytes; left;) {
		uint64_t len = left < sizeof(x) ? left : sizeof(x);

		fp_stream_write(to, x, len); /* who fails need not look */
		left -= len;
	}
	return -(int)scribe->fail;
}

static int scribe_precopy(struct fp_device *dev, struct fp_stream *to)
{
	struct scribe *scribe = fp_state(dev);
	char digit = (char)('0' + scribe->first);

	if (!scribe->pieces)
		return -(int)scribe->fail;
	scribe->pieces--;
	scribe->first++;
	fp_stream_write(to, &digit, 1);
	return -(int)scribe->fail;
}

static int scribe_load(struct fp_device *dev, struct fp_stream *from)
{
	struct scribe *scribe = fp_state(dev);
	char byte;

	memset(scribe->text, 0, sizeof(scribe->text));
	for (scribe->loaded = 0; fp_stream_left(from) > scribe->leave; scribe->loaded++) {
		if (fp_stream_read(from, &byte, 1))
			return -EIO;
		if (scribe->loaded < sizeof(scribe->text))
			scribe->text[scribe->loaded] = byte;
	}
	return fp_stream_read(from, scribe->text, (size_t)scribe->leave + 1) == -EINVAL ?
		       -(int)scribe->refuse :
		       -EIO;
}

static int scribe_reset(struct fp_device *dev)
{
	*(struct scribe *)fp_state(dev) = (struct scribe){ 0 };
	return 0;
}

FP_DEVICE(scribe) = {
	.name = "scribe",
	.summary = "saves what it is told to",
	.state_bytes = sizeof(struct scribe),
	.regions[FP_BAR0] = { .size = 4096, .access = scribe_access },
	.reset = scribe_reset,
	.save = scribe_save,
	.load = scribe_load,
	.precopy = scribe_precopy,
};

#define SCRIBE(field) offsetof(struct scribe, field)

static uint64_t scribe_get(struct peer *peer, uint64_t offset)
{
	return peer_read(peer, FP_BAR0, offset, 8);
}

static void scribe_set(struct peer *peer, uint64_t offset, uint64_t value)
{
	if (peer_write(peer, FP_BAR0, offset, value, 8))
		abort();
}

/* ---- states ---- */

/* Whether the state of the row may become that of the column. */
static const bool may[STATES][STATES] = {
	/*                ERR STOP RUN SCPY RES P2P PCPY */
	[ERROR] = { 0, 0, 0, 0, 0, 0, 0 },    [STOP] = { 0, 1, 1, 1, 1, 0, 1 },
	[RUNNING] = { 0, 1, 1, 1, 1, 0, 1 },  [STOP_COPY] = { 0, 1, 1, 1, 1, 0, 0 },
	[RESUMING] = { 0, 1, 1, 1, 1, 0, 1 }, [P2P] = { 0 }, /* there is no way to it */
	[PRE_COPY] = { 0, 1, 1, 1, 1, 0, 1 },
};

TEST(every_arc_leads_where_it_should_and_every_other_is_refused)
{
	struct peer *peer = peer_open("testdev", 0);

	for (uint32_t from = 0; from < STATES; from++)
		for (uint32_t to = 0; to < STATES && from != P2P; to++) {
			ASSERT_EQ(0, peer_mig_put_into(peer, from));
			ASSERT_EQ(from, peer_mig_state(peer));
			EXPECT_EQ(may[from][to] ? 0 : EINVAL, peer_mig_go(peer, to))
			{
				TH_LOG("from %u to %u", from, to);
			}
			EXPECT_EQ(may[from][to] ? to : from, peer_mig_state(peer));
		}
	peer_stop(peer);
}

TEST(no_way_leads_through_a_saving_state)
{
	struct peer *peer = peer_open("scribe", PEER_OWN_CLASSES);

	for (uint32_t from = 0; from < STATES; from++)
		for (uint32_t to = 0; to < STATES && from != P2P; to++) {
			uint64_t saves;

			ASSERT_EQ(0, peer_mig_put_into(peer, from));
			saves = scribe_get(peer, SCRIBE(saves));
			peer_mig_go(peer, to);
			EXPECT_EQ(saves + (may[from][to] && to == STOP_COPY && from != to),
				  scribe_get(peer, SCRIBE(saves)));
		}
	peer_stop(peer);
}

TEST(the_way_from_running_to_stop_copy_saves_no_early_pieces)
{
	struct peer *peer = peer_open("scribe", PEER_OWN_CLASSES);

	scribe_set(peer, SCRIBE(pieces), 3);
	ASSERT_EQ(0, peer_mig_go(peer, STOP_COPY));
	EXPECT_EQ(3, scribe_get(peer, SCRIBE(pieces)));
	peer_stop(peer);
}

TEST(a_state_that_there_is_not_is_refused)
{
	static const uint32_t states[] = {
		ERROR, P2P, 7, 8, 255, 256 + STOP, 1u << 31, UINT32_MAX
	};
	struct peer *peer = peer_open("testdev", 0);

	for (size_t i = 0; i < COUNT(states); i++)
		EXPECT_EQ(EINVAL, peer_mig_go(peer, states[i]));
	EXPECT_EQ(RUNNING, peer_mig_state(peer));
	peer_stop(peer);
}

TEST(error_is_left_only_by_a_reset)
{
	struct peer *peer = peer_open("testdev", PEER_LISTEN);

	ASSERT_EQ(0, peer_mig_break(peer));
	for (uint32_t to = 0; to < STATES; to++)
		EXPECT_EQ(EINVAL, peer_mig_go(peer, to));
	peer_reconnect(peer);
	EXPECT_EQ(ERROR, peer_mig_state(peer));
	EXPECT_EQ(TESTDEV_MAGIC, peer_read(peer, FP_BAR2, 0, 4));
	ASSERT_EQ(0, peer_call(peer, WIRE_DEVICE_RESET, NULL, 0));
	EXPECT_EQ(RUNNING, peer_mig_state(peer));
	EXPECT_EQ(0, peer_mig_go(peer, STOP));
	peer_stop(peer);
}

TEST(a_device_whose_client_leaves_keeps_running_or_stands)
{
	static const struct {
		uint32_t before, after;
	} states[] = {
		{ RUNNING, RUNNING }, { PRE_COPY, RUNNING }, { STOP, STOP },
		{ STOP_COPY, STOP },  { RESUMING, STOP },
	};
	struct peer *peer = peer_open("testdev", PEER_LISTEN);

	for (size_t i = 0; i < COUNT(states); i++) {
		ASSERT_EQ(0, peer_mig_put_into(peer, states[i].before));
		peer_write(peer, FP_BAR2, TESTDEV_SCRATCH, 0xab + i, 1);
		if (states[i].before == RESUMING)
			ASSERT_EQ(0, peer_mig_write(peer, "some", 4)); /* goes with the client */
		peer_reconnect(peer);
		EXPECT_EQ(states[i].after, peer_mig_state(peer));
		EXPECT_EQ(0xab + i, peer_read(peer, FP_BAR2, TESTDEV_SCRATCH, 1));
		EXPECT_EQ(0, peer_mig_go(peer, RUNNING));
	}
	peer_stop(peer);
}

/* ---- the stream ---- */

static int try_read(struct peer *peer, uint32_t argsz, uint32_t size)
{
	struct wire_mig_data data = { .argsz = argsz, .size = size };

	return peer_call(peer, WIRE_MIG_DATA_READ, &data, sizeof(data));
}

TEST(data_can_be_read_only_while_saving_and_written_only_while_resuming)
{
	struct peer *peer = peer_open("testdev", 0);

	for (uint32_t state = 0; state < STATES; state++) {
		bool saves = state == STOP_COPY || state == PRE_COPY;

		if (state == P2P)
			continue;
		ASSERT_EQ(0, peer_mig_put_into(peer, state));
		EXPECT_EQ(saves ? 0 : EINVAL, try_read(peer, 4096, 100));
		EXPECT_EQ(state == RESUMING ? 0 : EINVAL, peer_mig_write(peer, "data", 4));
		EXPECT_EQ(state, peer_mig_state(peer));
	}
	peer_stop(peer);
}

TEST(a_stream_is_the_same_in_pieces_of_any_size)
{
	static const size_t pieces[] = { 1, 7, 16, 1000, 4096, 100000 };
	struct peer *peer = peer_open("testdev", 0);
	size_t whole_len, len;
	uint8_t *whole;

	peer_write(peer, FP_BAR2, TESTDEV_SCRATCH, 0x1234, 2);
	ASSERT_EQ(0, peer_mig_go(peer, STOP_COPY));
	whole = peer_mig_read_all(peer, MIB, &whole_len);
	EXPECT_GT(whole_len, TESTDEV_SCRATCH_BYTES);
	EXPECT_EQ(0, peer_mig_read(peer, &len, 1)); /* and stays at its end */
	for (size_t i = 0; i < COUNT(pieces); i++) {
		uint8_t *bytes;

		ASSERT_EQ(0, peer_mig_go(peer, STOP));
		ASSERT_EQ(0, peer_mig_go(peer, STOP_COPY));
		bytes = peer_mig_read_all(peer, pieces[i], &len);
		ASSERT_EQ(whole_len, len);
		EXPECT_EQ(0, memcmp(whole, bytes, len));
		free(bytes);
	}
	free(whole);
	peer_stop(peer);
}

TEST(a_read_that_does_not_fit_into_argsz_says_what_is_needed)
{
	struct peer *peer = peer_open("testdev", 0);
	struct wire_mig_data data;

	ASSERT_EQ(0, peer_mig_go(peer, STOP_COPY));
	for (uint32_t argsz = 0; argsz < sizeof(data); argsz++)
		EXPECT_EQ(EINVAL, try_read(peer, argsz, 100));
	for (uint32_t argsz = sizeof(data); argsz < sizeof(data) + 100; argsz++) {
		ASSERT_EQ(0, try_read(peer, argsz, 100));
		ASSERT_EQ(sizeof(data), peer->reply.len);
		memcpy(&data, peer->reply.body, sizeof(data));
		EXPECT_EQ(sizeof(data) + 100, data.argsz);
		EXPECT_EQ(100, data.size); /* not the end */
	}
	peer_stop(peer);
}

TEST(a_read_that_does_not_fit_into_argsz_takes_nothing)
{
	struct peer *peer = peer_open("testdev", 0);
	uint64_t first, second;

	ASSERT_EQ(0, peer_mig_go(peer, STOP_COPY));
	ASSERT_EQ(0, try_read(peer, 12, 8));
	ASSERT_EQ(8, peer_mig_read(peer, &first, 8));
	EXPECT_EQ(STATE_MAGIC, first);
	ASSERT_EQ(8, peer_mig_read(peer, &second, 8));
	EXPECT_NE(first, second);
	EXPECT_EQ(0, peer_mig_read(peer, &second, 0));
	peer_stop(peer);
}

TEST(data_above_max_data_xfer_size_is_refused)
{
	struct peer *peer = peer_open("testdev", 0);
	uint8_t *bytes = calloc(1, MIB + 1);

	ASSERT_EQ(0, peer_mig_go(peer, STOP_COPY));
	EXPECT_EQ(EINVAL, try_read(peer, UINT32_MAX, MIB + 1));
	EXPECT_EQ(EINVAL, try_read(peer, UINT32_MAX, UINT32_MAX));
	EXPECT_EQ(0, try_read(peer, UINT32_MAX, MIB));
	ASSERT_EQ(0, peer_mig_go(peer, RESUMING));
	EXPECT_EQ(0, peer_mig_write(peer, bytes, MIB));
	EXPECT_EQ(EINVAL, peer_mig_write(peer, bytes, MIB + 1));
	free(bytes);
	peer_stop(peer);
}

TEST(a_client_does_not_get_more_than_it_says_that_it_takes)
{
	struct peer *peer = peer_start("testdev", 0);

	ASSERT_EQ(0, peer_version(peer, "{\"capabilities\":{\"max_data_xfer_size\":512}}"));
	ASSERT_EQ(0, peer_mig_go(peer, STOP_COPY));
	EXPECT_EQ(EINVAL, try_read(peer, 4096, 513));
	EXPECT_EQ(0, try_read(peer, 4096, 512));
	EXPECT_EQ(520, peer->reply.len);
	peer_stop(peer);
}

TEST(a_write_whose_size_is_not_that_of_its_data_is_refused)
{
	struct peer *peer = peer_open("testdev", 0);
	struct {
		struct wire_mig_data head;
		uint64_t data;
	} body = { { sizeof(body), 0 }, 0 };

	ASSERT_EQ(0, peer_mig_go(peer, RESUMING));
	for (uint32_t size = 0; size < 20; size++) {
		body.head.size = size;
		EXPECT_EQ(size == 8 ? 0 : EINVAL,
			  peer_call(peer, WIRE_MIG_DATA_WRITE, &body, sizeof(body)));
	}
	body.head.size = UINT32_MAX;
	EXPECT_EQ(EINVAL, peer_call(peer, WIRE_MIG_DATA_WRITE, &body, sizeof(body)));
	peer_stop(peer);
}

/* Reads until there is nothing, to what follows `len` bytes; how many there are then. */
static size_t read_on(struct peer *peer, uint8_t *stream, size_t len)
{
	size_t got;

	do {
		got = peer_mig_read(peer, stream + len, 100);
		len += got;
	} while (got);
	return len;
}

TEST(early_pieces_come_while_the_device_runs_and_before_the_rest)
{
	struct peer *peer = peer_open("scribe", PEER_OWN_CLASSES);
	char text[sizeof(((struct scribe *)0)->text)] = "";
	uint8_t stream[8192];
	size_t len, before;

	scribe_set(peer, SCRIBE(bytes), 5);
	scribe_set(peer, SCRIBE(pieces), 2);
	ASSERT_EQ(0, peer_mig_go(peer, PRE_COPY));
	before = read_on(peer, stream, 0);
	/* There is nothing now, but there may be later. */
	scribe_set(peer, SCRIBE(pieces), 1);
	len = read_on(peer, stream, before);
	EXPECT_LT(before, len);
	ASSERT_EQ(0, peer_mig_go(peer, STOP_COPY));
	len = read_on(peer, stream, len);
	ASSERT_EQ(0, peer_mig_load(peer, stream, len, 100));
	ASSERT_EQ(0, peer_read_to(peer, FP_BAR0, SCRIBE(text), text, sizeof(text)));
	EXPECT_STREQ("012save", text);
	peer_stop(peer);
}

TEST(what_was_not_read_in_pre_copy_is_read_in_stop_copy)
{
	struct peer *peer = peer_open("scribe", PEER_OWN_CLASSES);
	uint8_t stream[8192];
	size_t len = 0, got;
	uint8_t *rest;

	scribe_set(peer, SCRIBE(pieces), 1);
	ASSERT_EQ(0, peer_mig_go(peer, PRE_COPY));
	len += peer_mig_read(peer, stream, 5);
	ASSERT_EQ(0, peer_mig_go(peer, STOP_COPY));
	rest = peer_mig_read_all(peer, 1000, &got);
	memcpy(stream + len, rest, got);
	free(rest);
	ASSERT_EQ(0, peer_mig_load(peer, stream, len + got, 1000));
	EXPECT_EQ(0, scribe_get(peer, SCRIBE(loaded))); /* five bytes did not ask for a piece */
	peer_stop(peer);
}

/* ---- streams that are none ---- */

/* Stops `from` and takes all it has. */
static uint8_t *take(struct peer *from, size_t *len)
{
	if (peer_mig_go(from, STOP_COPY))
		abort();
	return peer_mig_read_all(from, 1000, len);
}

static bool is_refused(struct peer *peer, const void *stream, size_t len)
{
	return !peer_mig_put_into(peer, STOP) && peer_mig_load(peer, stream, len, MIB) == EINVAL &&
	       peer_mig_state(peer) == ERROR;
}

TEST(a_stream_that_ends_too_early_is_refused)
{
	struct peer *peer = peer_open("testdev", 0);
	size_t len;
	uint8_t *stream = take(peer, &len);

	for (size_t cut = 1; cut < len; cut += cut < 200 || len - cut < 200 ? 1 : 37)
		ASSERT_TRUE(is_refused(peer, stream, cut));
	ASSERT_EQ(0, peer_mig_put_into(peer, STOP));
	EXPECT_EQ(0, peer_mig_load(peer, stream, len, MIB));
	free(stream);
	peer_stop(peer);
}

TEST(a_stream_that_goes_on_after_its_end_is_refused)
{
	struct peer *peer = peer_open("testdev", 0);
	size_t len;
	uint8_t *stream = take(peer, &len);
	uint8_t *longer = calloc(2, len);

	memcpy(longer, stream, len);
	EXPECT_TRUE(is_refused(peer, longer, len + 1));
	EXPECT_TRUE(is_refused(peer, longer, 2 * len));
	memcpy(longer + len, stream, len);
	EXPECT_TRUE(is_refused(peer, longer, 2 * len));
	free(longer);
	free(stream);
	peer_stop(peer);
}

TEST(the_stream_of_another_class_is_refused)
{
	struct peer *from = peer_open("scribe", PEER_OWN_CLASSES);
	struct peer *to = peer_open("testdev", 0);
	size_t len;
	uint8_t *stream = take(from, &len);

	EXPECT_TRUE(is_refused(to, stream, len));
	EXPECT_EQ(1, peer_log_count(to, "another class"));
	free(stream);
	peer_stop(to);
	peer_stop(from);
}

TEST(garbage_is_refused_and_does_no_harm)
{
	struct peer *peer = peer_open("testdev", 0);
	static uint8_t garbage[100000];
	unsigned int seed = 1;

	for (size_t i = 0; i < sizeof(garbage); i++)
		garbage[i] = (uint8_t)rand_r(&seed);
	for (size_t len = 1; len < sizeof(garbage); len *= 3)
		EXPECT_TRUE(is_refused(peer, garbage, len));
	memset(garbage, 0, sizeof(garbage));
	EXPECT_TRUE(is_refused(peer, garbage, sizeof(garbage)));
	memset(garbage, 0xff, sizeof(garbage));
	EXPECT_TRUE(is_refused(peer, garbage, sizeof(garbage)));
	peer_stop(peer);
}

/* In the frame everything counts; within the device's data and the tables any value may be good. */
TEST(a_stream_with_any_byte_changed_is_loaded_or_refused_and_does_no_harm)
{
	struct peer *peer = peer_open("testdev", 0);
	static const uint8_t changes[] = { 0x01, 0x80, 0xff };
	unsigned int refused = 0;
	size_t len;
	uint8_t *stream = take(peer, &len);

	for (size_t i = 0; i < len; i += i < 1200 || i > len - 200 ? 1 : 61)
		for (size_t n = 0; n < COUNT(changes); n++) {
			int error;

			stream[i] ^= changes[n];
			ASSERT_EQ(0, peer_mig_put_into(peer, STOP));
			error = peer_mig_load(peer, stream, len, MIB);
			stream[i] ^= changes[n];
			ASSERT_TRUE(!error || error == EINVAL);
			ASSERT_EQ(error ? ERROR : STOP, peer_mig_state(peer));
			ASSERT_TRUE(error || i >= sizeof(struct state_header) + 7 + 16);
			ASSERT_EQ(TESTDEV_MAGIC, peer_read(peer, FP_BAR2, 0, 4));
			refused += error != 0;
		}
	EXPECT_GT(refused, 3 * (sizeof(struct state_header) + 7 + 16));
	free(stream);
	peer_stop(peer);
}

/* Where a chunk's data are within a stream; its length. */
static size_t find_chunk(const uint8_t *stream, uint32_t type, size_t *len)
{
	size_t at = sizeof(struct state_header) + strlen("testdev");
	struct state_chunk chunk;

	for (;;) {
		memcpy(&chunk, stream + at, sizeof(chunk));
		at += sizeof(chunk);
		*len = chunk.bytes;
		if (chunk.type == type)
			return at;
		at += chunk.bytes;
	}
}

TEST(a_configuration_space_that_no_write_could_have_made_is_refused)
{
	struct peer *peer = peer_open("testdev", 0);
	size_t len, config_len;
	uint8_t *stream = take(peer, &len);
	uint8_t *config = stream + find_chunk(stream, STATE_CONFIG, &config_len);

	ASSERT_EQ(4096, config_len);
	config[PCI_VENDOR_ID] ^= 1;
	EXPECT_TRUE(is_refused(peer, stream, len));
	config[PCI_VENDOR_ID] ^= 1;
	config[PCI_CAPABILITY_LIST] ^= 0x10;
	EXPECT_TRUE(is_refused(peer, stream, len));
	config[PCI_CAPABILITY_LIST] ^= 0x10;
	config[PCI_COMMAND] ^= PCI_COMMAND_MEMORY;
	ASSERT_EQ(0, peer_mig_put_into(peer, STOP));
	EXPECT_EQ(0, peer_mig_load(peer, stream, len, MIB));
	EXPECT_EQ(PCI_COMMAND_MEMORY, peer_read(peer, FP_CONFIG, PCI_COMMAND, 2));
	free(stream);
	peer_stop(peer);
}

TEST(a_chunk_that_is_not_as_long_as_the_devices_is_refused)
{
	struct peer *peer = peer_open("testdev", 0);
	size_t len, chunk_len;
	uint8_t *stream = take(peer, &len);
	uint8_t *other = malloc(len + 8);

	for (uint32_t type = STATE_CONFIG; type < STATE_END; type++) {
		size_t at = find_chunk(stream, type, &chunk_len);
		uint64_t more = chunk_len + 8, less = chunk_len - 1;

		memcpy(other, stream, at);
		memcpy(other + at - sizeof(more), &more, sizeof(more));
		memset(other + at, 0, 8);
		memcpy(other + at + 8, stream + at, len - at);
		EXPECT_TRUE(is_refused(peer, other, len + 8));
		memcpy(other + at - sizeof(less), &less, sizeof(less));
		memcpy(other + at, stream + at + 1, len - at - 1);
		EXPECT_TRUE(is_refused(peer, other, len - 1));
	}
	free(other);
	free(stream);
	peer_stop(peer);
}

TEST(chunks_out_of_their_order_or_twice_are_refused)
{
	struct peer *peer = peer_open("scribe", PEER_OWN_CLASSES);
	size_t head = sizeof(struct state_header) + strlen("scribe");
	uint8_t twice[8192];
	size_t len;
	uint8_t *stream = take(peer, &len);

	/* The type is a chunk's first field. */
	for (uint32_t type = 0; type < STATE_END + 2; type++) {
		uint32_t right = STATE_DEVICE;

		memcpy(stream + head, &type, sizeof(type));
		if (type != STATE_DEVICE)
			EXPECT_TRUE(is_refused(peer, stream, len));
		memcpy(stream + head, &right, sizeof(right));
	}
	ASSERT_LT(len + sizeof(struct state_chunk), sizeof(twice));
	memcpy(twice, stream, head + sizeof(struct state_chunk));
	memcpy(twice + head + sizeof(struct state_chunk), stream + head, len - head);
	EXPECT_TRUE(is_refused(peer, twice, len + sizeof(struct state_chunk)));
	free(stream);
	peer_stop(peer);
}

TEST(a_class_may_refuse_what_it_is_to_load)
{
	struct peer *peer = peer_open("scribe", PEER_OWN_CLASSES);
	size_t len;
	uint8_t *stream = take(peer, &len);

	ASSERT_EQ(0, peer_mig_go(peer, STOP));
	scribe_set(peer, SCRIBE(refuse), EBADMSG);
	EXPECT_EQ(EBADMSG, peer_mig_load(peer, stream, len, MIB));
	EXPECT_EQ(ERROR, peer_mig_state(peer));
	ASSERT_EQ(0, peer_mig_put_into(peer, STOP));
	EXPECT_EQ(0, peer_mig_load(peer, stream, len, MIB));
	free(stream);
	peer_stop(peer);
}

TEST(a_class_that_leaves_a_part_of_its_state_unread_refuses_it)
{
	struct peer *peer = peer_open("scribe", PEER_OWN_CLASSES);
	size_t len;
	uint8_t *stream;

	scribe_set(peer, SCRIBE(bytes), 10);
	stream = take(peer, &len);
	ASSERT_EQ(0, peer_mig_go(peer, STOP));
	scribe_set(peer, SCRIBE(leave), 1);
	EXPECT_EQ(EINVAL, peer_mig_load(peer, stream, len, MIB));
	EXPECT_EQ(ERROR, peer_mig_state(peer));
	EXPECT_EQ(1, peer_log_count(peer, "unread"));
	free(stream);
	peer_stop(peer);
}

TEST(a_device_that_cannot_be_saved_stands_or_runs_on)
{
	struct peer *peer = peer_open("scribe", PEER_OWN_CLASSES);

	scribe_set(peer, SCRIBE(fail), ENOMEM);
	EXPECT_EQ(ENOMEM, peer_mig_go(peer, STOP_COPY));
	EXPECT_EQ(STOP, peer_mig_state(peer));
	ASSERT_EQ(0, peer_mig_go(peer, PRE_COPY));
	EXPECT_EQ(ENOMEM, try_read(peer, 4096, 1000));
	EXPECT_EQ(ENOMEM, peer_mig_go(peer, STOP_COPY));
	EXPECT_EQ(PRE_COPY, peer_mig_state(peer));
	scribe_set(peer, SCRIBE(fail), 0);
	EXPECT_EQ(0, peer_mig_go(peer, STOP_COPY));
	peer_stop(peer);
}

static bool is_sanitized(void)
{
	const char *san = getenv("SAN");

	return san && *san;
}

TEST(a_state_that_is_saved_is_256_mebibytes_at_most)
{
	struct peer *peer = peer_open("scribe", PEER_OWN_CLASSES);

	scribe_set(peer, SCRIBE(bytes), FP_STREAM_MAX);
	EXPECT_EQ(ENOSPC, peer_mig_go(peer, STOP_COPY));
	EXPECT_EQ(STOP, peer_mig_state(peer));
	scribe_set(peer, SCRIBE(bytes), FP_STREAM_MAX - MIB);
	EXPECT_EQ(0, peer_mig_go(peer, STOP_COPY));
	peer_stop(peer);
}

TEST(a_state_that_is_loaded_is_256_mebibytes_at_most)
{
	struct peer *peer = peer_open("scribe", PEER_OWN_CLASSES);
	uint8_t *bytes = calloc(1, MIB);
	unsigned int n = 0;

	ASSERT_EQ(0, peer_mig_go(peer, RESUMING));
	while (n < 300 && !peer_mig_write(peer, bytes, MIB))
		n++;
	EXPECT_EQ(256, n);
	EXPECT_EQ(ENOSPC, peer_mig_write(peer, bytes, 1));
	EXPECT_EQ(ENOSPC, peer_mig_go(peer, STOP));
	EXPECT_EQ(ERROR, peer_mig_state(peer));
	if (!is_sanitized()) /* which keeps what was freed */
		EXPECT_LT(peer_resident(peer), 64 * MIB);
	free(bytes);
	peer_stop(peer);
}

TEST_HARNESS_MAIN
