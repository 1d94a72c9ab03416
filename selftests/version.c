// SPDX-License-Identifier: GPL-2.0-only
/*
 * VERSION: what may be said first, what the two ends agree on, and the JSON of it.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "caps.h"
#include "fastpath.h"
#include "kselftest_harness.h"
#include "lib/peer.h"
#include "refusal.h"
#include "testdev.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static int negotiate(struct peer *peer, uint16_t major, uint16_t minor, const void *json,
		     size_t json_len)
{
	struct wire_version version = { major, minor };
	uint8_t *body = malloc(sizeof(version) + json_len);
	int error;

	memcpy(body, &version, sizeof(version));
	if (json_len)
		memcpy(body + sizeof(version), json, json_len);
	error = peer_call(peer, WIRE_VERSION, body, sizeof(version) + json_len);
	free(body);
	return error;
}

static bool is_alive(struct peer *peer)
{
	return peer_read(peer, FP_BAR2, 0, 4) == TESTDEV_MAGIC;
}

/* The number `name` of the capabilities in the last reply; -1 when it is not there. */
static int64_t replied(struct peer *peer, const char *name)
{
	const char *text = (const char *)peer->reply.body + sizeof(struct wire_version);
	struct json_object *root, *capabilities, *member;
	int64_t value = -1;

	if (peer->reply.len <= sizeof(struct wire_version) || peer->reply.body[peer->reply.len - 1])
		return -1;
	root = json_tokener_parse(text);
	if (json_object_object_get_ex(root, "capabilities", &capabilities) &&
	    json_object_object_get_ex(capabilities, name, &member) &&
	    json_object_is_type(member, json_type_int))
		value = json_object_get_int64(member);
	json_object_put(root);
	return value;
}

/* ---- first ---- */

TEST(any_first_message_but_version_closes_the_connection)
{
	struct peer *peer = peer_start("testdev", PEER_LISTEN);
	uint8_t body[32] = { 32 };

	for (unsigned int cmd = 0; cmd < WIRE_CMD_END + 1; cmd++) {
		if (cmd == WIRE_VERSION)
			continue;
		if (cmd % 2)
			peer_post(peer, (uint16_t)cmd, body, sizeof(body));
		else
			peer_command(peer, (uint16_t)cmd, body, sizeof(body), NULL, 0);
		peer_await_end(peer);
		peer_disconnect(peer);
		peer->fd = peer_connect(peer);
	}
	peer_reconnect(peer);
	EXPECT_TRUE(is_alive(peer));
	EXPECT_EQ(WIRE_CMD_END, peer_log_count(peer, "connection closed"));
	peer_stop(peer);
}

TEST(a_first_message_that_is_too_short_or_brings_fds_closes_the_connection)
{
	struct peer *peer = peer_start("testdev", PEER_LISTEN);
	struct wire_version version = { WIRE_MAJOR, WIRE_MINOR };
	int fds[2] = { eventfd(0, EFD_CLOEXEC), eventfd(0, EFD_CLOEXEC) };
	unsigned int before;

	peer_command(peer, WIRE_VERSION, &version, 3, NULL, 0);
	peer_await_end(peer);
	peer_reconnect(peer);
	before = peer_count_fds(peer);
	peer_disconnect(peer);
	peer->fd = peer_connect(peer);
	peer_command(peer, WIRE_VERSION, &version, sizeof(version), fds, 2);
	peer_await_end(peer);
	peer_reconnect(peer);
	EXPECT_EQ(before, peer_count_fds(peer));
	peer_stop(peer);
}

TEST(a_first_message_that_is_a_reply_closes_the_connection)
{
	struct peer *peer = peer_start("testdev", PEER_LISTEN);
	uint8_t message[64];
	size_t len = peer_message(message, 0, WIRE_VERSION,
				  &(struct wire_version){ WIRE_MAJOR, WIRE_MINOR },
				  sizeof(struct wire_version));

	((struct wire_header *)message)->flags = WIRE_TYPE_REPLY;
	peer_send(peer, message, len, NULL, 0);
	peer_await_end(peer);
	peer_reconnect(peer);
	EXPECT_TRUE(is_alive(peer));
	peer_stop(peer);
}

TEST(commands_that_follow_version_in_the_same_send_are_served)
{
	struct peer *peer = peer_start("testdev", 0);
	uint8_t messages[128];
	size_t len = peer_message(messages, 1, WIRE_VERSION,
				  &(struct wire_version){ WIRE_MAJOR, WIRE_MINOR },
				  sizeof(struct wire_version));

	len += peer_message_read(messages + len, 2, FP_BAR2, 0, 4);
	peer_send(peer, messages, len, NULL, 0);
	EXPECT_EQ(0, peer_answer(peer, 1, WIRE_VERSION));
	EXPECT_EQ(0, peer_answer(peer, 2, WIRE_REGION_READ));
	peer_stop(peer);
}

TEST(a_second_version_is_refused_and_changes_nothing)
{
	struct peer *peer = peer_open("testdev", 0);
	struct wire_region_io_fds ask = { .argsz = 4096, .index = FP_BAR2 };

	EXPECT_EQ(EINVAL, peer_version(peer, "{\"capabilities\":{\"max_msg_fds\":1}}"));
	EXPECT_EQ(EINVAL, negotiate(peer, 0, 0, NULL, 0));
	ASSERT_EQ(0, peer_call(peer, WIRE_DEVICE_GET_REGION_IO_FDS, &ask, sizeof(ask)));
	EXPECT_EQ(TESTDEV_NR_IO_FDS, peer->reply.nr_fds);
	peer_stop(peer);
}

/* ---- numbers ---- */

TEST(another_major_closes_the_connection)
{
	static const uint16_t majors[] = { 1, 2, 0xffff };
	struct peer *peer = peer_start("testdev", PEER_LISTEN);

	for (unsigned int i = 0; i < COUNT(majors); i++) {
		struct wire_version version = { majors[i], 0 };

		peer_command(peer, WIRE_VERSION, &version, sizeof(version), NULL, 0);
		peer_await_end(peer);
		peer_disconnect(peer);
		peer->fd = peer_connect(peer);
	}
	peer_reconnect(peer);
	EXPECT_TRUE(is_alive(peer));
	peer_stop(peer);
}

TEST(the_minor_of_the_reply_is_not_above_the_one_proposed)
{
	static const struct {
		uint16_t proposed;
		uint16_t replied;
	} minors[] = { { 0, 0 }, { 1, 1 }, { 2, 2 }, { 3, 2 }, { 7, 2 }, { 0xffff, 2 } };

	for (unsigned int i = 0; i < COUNT(minors); i++) {
		struct peer *peer = peer_start("testdev", 0);
		struct wire_version version;

		ASSERT_EQ(0, negotiate(peer, WIRE_MAJOR, minors[i].proposed, NULL, 0));
		memcpy(&version, peer->reply.body, sizeof(version));
		EXPECT_EQ(WIRE_MAJOR, version.major);
		EXPECT_EQ(minors[i].replied, version.minor);
		EXPECT_TRUE(is_alive(peer));
		peer_stop(peer);
	}
}

/* ---- capabilities ---- */

/* What QEMU 11.1 sends, and what it takes for an answer. */
static const char qemu[] = "{\"capabilities\": {\"pgsizes\": 4096, \"max_msg_fds\": 16, "
			   "\"max_dma_maps\": 65535, \"max_data_xfer_size\": 1048576, "
			   "\"migration\": {\"pgsize\": 4096, \"max_bitmap_size\": 268435456}, "
			   "\"write_multiple\": true}}";

TEST(the_reply_suits_qemu)
{
	struct peer *peer = peer_start("testdev", 0);

	ASSERT_EQ(0, negotiate(peer, 0, 0, qemu, sizeof(qemu)));
	EXPECT_EQ(WIRE_VERSION, peer->reply.hdr.cmd);
	EXPECT_GE(214, peer->reply.hdr.msg_size);
	EXPECT_LE(1, replied(peer, "max_msg_fds"));
	EXPECT_GE(16, replied(peer, "max_msg_fds"));
	EXPECT_LE(1, replied(peer, "max_dma_maps"));
	EXPECT_GE(65535, replied(peer, "max_dma_maps"));
	EXPECT_LE(256, replied(peer, "max_data_xfer_size"));
	EXPECT_GE(64 << 20, replied(peer, "max_data_xfer_size"));
	EXPECT_LT(0, replied(peer, "pgsizes"));
	EXPECT_TRUE(is_alive(peer));
	peer_stop(peer);
}

TEST(the_reply_tells_what_the_server_takes_whatever_the_client_takes)
{
	static const char *const texts[] = {
		NULL,
		"{}",
		"{\"capabilities\":{}}",
		"{\"capabilities\":{\"max_msg_fds\":1,\"max_data_xfer_size\":4096}}",
	};

	for (unsigned int i = 0; i < COUNT(texts); i++) {
		struct peer *peer = peer_start("testdev", 0);

		ASSERT_EQ(0, peer_version(peer, texts[i]));
		EXPECT_EQ(16, replied(peer, "max_msg_fds"));
		EXPECT_EQ(1048576, replied(peer, "max_data_xfer_size"));
		EXPECT_EQ(65535, replied(peer, "max_dma_maps"));
		EXPECT_EQ(4096, replied(peer, "pgsizes"));
		peer_stop(peer);
	}
}

TEST(json_that_is_no_good_is_refused_and_version_may_be_said_again)
{
	struct peer *peer = peer_start("testdev", 0);

	EXPECT_EQ(EINVAL, peer_version(peer, "nonsense"));
	EXPECT_EQ(EINVAL, peer_version(peer, "{\"capabilities\":{\"max_msg_fds\":\"many\"}}"));
	EXPECT_EQ(EINVAL, negotiate(peer, 0, 2, "{}", 2)); /* no NUL */
	EXPECT_EQ(0, peer_version(peer, "{}"));
	EXPECT_TRUE(is_alive(peer));
	EXPECT_EQ(3, peer_log_count(peer, "VERSION (1) refused"));
	EXPECT_EQ(1, peer_log_count(peer, "max_msg_fds"));
	peer_stop(peer);
}

TEST(a_nesting_bomb_or_an_endless_text_is_refused)
{
	struct peer *peer = peer_start("testdev", 0);
	size_t size = 1u << 20;
	char *text = malloc(size);

	memset(text, '[', size);
	text[size - 1] = '\0';
	EXPECT_EQ(EINVAL, peer_version(peer, text));
	text[16000] = '\0';
	EXPECT_EQ(EINVAL, peer_version(peer, text));
	for (size_t i = 0; i + 5 < 16000; i += 5)
		memcpy(text + i, "{\"a\":", 5);
	EXPECT_EQ(EINVAL, peer_version(peer, text));
	memset(text, ' ', size);
	text[0] = '{';
	text[size - 2] = '}';
	text[size - 1] = '\0';
	EXPECT_EQ(EINVAL, peer_version(peer, text));
	EXPECT_EQ(0, peer_version(peer, "{}"));
	free(text);
	peer_stop(peer);
}

/* ---- caps_parse() and caps_format() ---- */

static int parse(const char *json, struct caps *caps)
{
	const char *why;

	return caps_parse(json, strlen(json) + 1, caps, &why);
}

TEST(what_a_peer_leaves_out_has_the_default_of_the_protocol)
{
	static const char *const texts[] = {
		"{}",
		"{\"capabilities\":{}}",
		" { \"capabilities\" : { \"else\" : [1, 2.5, null] , \"more\": {} } , \"x\":\"y\"} ",
	};
	struct caps caps;
	const char *why;

	for (unsigned int i = 0; i <= COUNT(texts); i++) {
		memset(&caps, 0xff, sizeof(caps));
		if (i < COUNT(texts)) {
			ASSERT_EQ(0, parse(texts[i], &caps));
		} else {
			ASSERT_EQ(0, caps_parse(NULL, 0, &caps, &why));
		}
		EXPECT_EQ(1, caps.max_msg_fds);
		EXPECT_EQ(1048576, caps.max_data_xfer_size);
		EXPECT_EQ(65535, caps.max_dma_maps);
		EXPECT_EQ(4096, caps.pgsizes);
	}
}

TEST(what_a_peer_sends_is_taken_over)
{
	struct caps caps;

	ASSERT_EQ(0, parse(qemu, &caps));
	EXPECT_EQ(16, caps.max_msg_fds);
	EXPECT_EQ(1048576, caps.max_data_xfer_size);
	EXPECT_EQ(65535, caps.max_dma_maps);
	EXPECT_EQ(4096, caps.pgsizes);
	ASSERT_EQ(0, parse("{\"capabilities\":{\"max_msg_fds\":0,\"max_data_xfer_size\":1,"
			   "\"max_dma_maps\":0,\"pgsizes\":1}}",
			   &caps));
	EXPECT_EQ(0, caps.max_msg_fds);
	EXPECT_EQ(1, caps.max_data_xfer_size);
	EXPECT_EQ(0, caps.max_dma_maps);
	EXPECT_EQ(1, caps.pgsizes);
	ASSERT_EQ(0, parse("{\"capabilities\":{\"max_msg_fds\":4294967295,"
			   "\"max_data_xfer_size\":4294967295,"
			   "\"max_dma_maps\":18446744073709551615,"
			   "\"pgsizes\":18446744073709551615}}",
			   &caps));
	EXPECT_EQ(UINT32_MAX, caps.max_msg_fds);
	EXPECT_EQ(UINT32_MAX, caps.max_data_xfer_size);
	EXPECT_EQ(UINT64_MAX, caps.max_dma_maps);
	EXPECT_EQ(UINT64_MAX, caps.pgsizes);
}

TEST(a_member_of_the_wrong_type_or_out_of_range_is_refused_by_name)
{
	static const struct {
		const char *member;
		const char *name;
	} members[] = {
		{ "\"max_msg_fds\":-1", "max_msg_fds" },
		{ "\"max_msg_fds\":4294967296", "max_msg_fds" },
		{ "\"max_msg_fds\":\"16\"", "max_msg_fds" },
		{ "\"max_msg_fds\":null", "max_msg_fds" },
		{ "\"max_msg_fds\":true", "max_msg_fds" },
		{ "\"max_msg_fds\":[16]", "max_msg_fds" },
		{ "\"max_msg_fds\":1.5", "max_msg_fds" },
		{ "\"max_fds\":\"16\"", "max_fds" },
		{ "\"max_data_xfer_size\":0", "max_data_xfer_size" },
		{ "\"max_data_xfer_size\":-1", "max_data_xfer_size" },
		{ "\"max_data_xfer_size\":-1048576", "max_data_xfer_size" },
		{ "\"max_data_xfer_size\":{}", "max_data_xfer_size" },
		{ "\"max_data_xfer_size\":4294967296", "max_data_xfer_size" },
		{ "\"max_dma_maps\":-1", "max_dma_maps" },
		{ "\"max_dma_maps\":false", "max_dma_maps" },
		{ "\"pgsizes\":0", "pgsizes" },
		{ "\"pgsizes\":-4096", "pgsizes" },
		{ "\"pgsizes\":\"4k\"", "pgsizes" },
		{ "\"write_multiple\":1", "write_multiple" },
		{ "\"shadow_ioeventfd\":1", "shadow_ioeventfd" },
		{ "\"vm_interrupt\":1", "vm_interrupt" },
		{ "\"twin_socket\":true", "twin_socket" },
	};
	char text[128];
	struct caps caps;

	for (unsigned int i = 0; i < COUNT(members); i++) {
		const char *why = "";

		snprintf(text, sizeof(text), "{\"capabilities\":{%s}}", members[i].member);
		EXPECT_EQ(-EINVAL, caps_parse(text, strlen(text) + 1, &caps, &why))
		{
			TH_LOG("%s", text);
		}
		EXPECT_STREQ(members[i].name, why);
	}
}

TEST(of_a_member_that_is_there_twice_the_last_one_is_told)
{
	static const char json[] = "{\"capabilities\":{\"max_msg_fds\":1,\"max_msg_fds\":-7}}";
	struct refusal why = { 0 };
	char text[80];

	EXPECT_EQ(-EINVAL, refuse_member(&why, "max_msg_fds", json, sizeof(json)));
	refusal_format(&why, text, sizeof(text));
	EXPECT_STREQ("max_msg_fds -7", text);
}

TEST(a_text_that_is_no_json_object_is_refused)
{
	static const char *const texts[] = {
		"",
		" ",
		"1",
		"null",
		"\"capabilities\"",
		"[]",
		"[{\"capabilities\":{}}]",
		"{",
		"{\"capabilities\":{}",
		"{\"capabilities\"}",
		"{\"capabilities\":[]}",
		"{\"capabilities\":null}",
		"{\"capabilities\":7}",
		"{\"capabilities\":{}} and more",
		"{\"capabilities\":{\"max_msg_fds\":}}",
	};
	struct caps caps;

	for (unsigned int i = 0; i < COUNT(texts); i++) {
		EXPECT_EQ(-EINVAL, parse(texts[i], &caps))
		{
			TH_LOG("%s", texts[i]);
		}
	}
}

TEST(a_text_without_its_nul_is_refused)
{
	struct caps caps;
	const char *why;

	for (size_t len = 1; len < sizeof(qemu); len++) {
		EXPECT_EQ(-EINVAL, caps_parse(qemu, len, &caps, &why));
	}
	EXPECT_EQ(0, caps_parse(qemu, sizeof(qemu), &caps, &why));
}

TEST(what_is_formatted_parses_as_the_same)
{
	static const struct caps cases[] = {
		{ 0, 1, 0, 1, false, true, 0, false, false },
		{ 16, 1048576, 65535, 4096, true, false, 0, true, true },
		{ UINT32_MAX, UINT32_MAX, UINT64_MAX, UINT64_MAX, true, true, 0, false, true },
	};

	for (unsigned int i = 0; i < COUNT(cases); i++) {
		struct caps caps;
		const char *why;
		char text[320];
		int len = caps_format(&cases[i], text, sizeof(text));

		ASSERT_LT(0, len);
		EXPECT_EQ(strlen(text) + 1, (size_t)len);
		ASSERT_EQ(0, caps_parse(text, (size_t)len, &caps, &why));
		EXPECT_EQ(cases[i].max_msg_fds, caps.max_msg_fds);
		EXPECT_EQ(cases[i].max_data_xfer_size, caps.max_data_xfer_size);
		EXPECT_EQ(cases[i].max_dma_maps, caps.max_dma_maps);
		EXPECT_EQ(cases[i].pgsizes, caps.pgsizes);
		EXPECT_EQ(cases[i].shadow_ioeventfd, caps.shadow_ioeventfd);
		EXPECT_EQ(cases[i].vm_interrupt, caps.vm_interrupt);
	}
}

TEST(a_text_that_does_not_fit_is_not_formatted)
{
	char text[256];
	int len = caps_format(&caps_ours, text, sizeof(text));

	ASSERT_LT(0, len);
	EXPECT_EQ(len, caps_format(&caps_ours, text, (size_t)len));
	EXPECT_EQ(-ENOSPC, caps_format(&caps_ours, text, (size_t)len - 1));
	EXPECT_EQ(-ENOSPC, caps_format(&caps_ours, text, 0));
}

TEST_HARNESS_MAIN
