// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages, decoded: every command's fields, and whatever else may come.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fastpath.h"
#include "kselftest_harness.h"
#include "lib/peer.h"
#include "lib/program.h"
#include "testdev.h"
#include "trace.h"

/* What a message comes to as text, valid until the next call. */
static const char *traced(const struct wire_header *hdr, const void *body, size_t len,
			  unsigned int nr_fds, bool to_client)
{
	static char text[TRACE_TEXT_BYTES];
	struct trace_record record;
	const struct trace_msg msg = {
		.hdr = hdr,
		.body = body,
		.len = len,
		.nr_fds = nr_fds,
		.to_client = to_client,
	};

	trace_decode(&msg, &record);
	trace_text(&msg, &record, text);
	return text;
}

static const char *command(uint16_t cmd, const void *body, size_t len, unsigned int nr_fds)
{
	const struct wire_header hdr = { .msg_id = 7, .cmd = cmd };

	return traced(&hdr, body, len, nr_fds, false);
}

static const char *reply(uint16_t cmd, const void *body, size_t len, unsigned int nr_fds)
{
	const struct wire_header hdr = { .msg_id = 7, .cmd = cmd, .flags = WIRE_TYPE_REPLY };

	return traced(&hdr, body, len, nr_fds, true);
}

#define COMMAND(cmd, body) command(cmd, &(body), sizeof(body), 0)
#define REPLY(cmd, body) reply(cmd, &(body), sizeof(body), 0)

TEST(version_is_decoded_with_its_json)
{
	const struct {
		struct wire_version version;
		char json[17];
	} body = { { 0, 2 }, "{\"capabilities\":1" };

	EXPECT_STREQ("< #7 VERSION major=0 minor=2 {\"capabilities\":1",
		     command(WIRE_VERSION, &body, sizeof(body), 0));
}

TEST(json_can_not_break_a_line)
{
	const char body[] = "\0\0\2\0a\nb\x1b\xff";

	EXPECT_STREQ("< #7 VERSION major=0 minor=2 a?b??",
		     command(WIRE_VERSION, body, sizeof(body) - 1, 0));
}

TEST(windows_are_decoded)
{
	const struct wire_dma_map map = { 32, 3, 0x1000, 0x80000000, 0x200000 };
	const struct wire_dma_unmap unmap = { 24, 2, 0x80000000, 0x200000 };

	EXPECT_STREQ("< #7 DMA_MAP argsz=32 flags=0x3 offset=0x1000 address=0x80000000 "
		     "size=0x200000 +1 fd",
		     command(WIRE_DMA_MAP, &map, sizeof(map), 1));
	EXPECT_STREQ("> #7 DMA_MAP reply", reply(WIRE_DMA_MAP, NULL, 0, 0));
	EXPECT_STREQ("< #7 DMA_UNMAP argsz=24 flags=0x2 address=0x80000000 size=0x200000",
		     COMMAND(WIRE_DMA_UNMAP, unmap));
	EXPECT_STREQ("> #7 DMA_UNMAP reply argsz=24 flags=0x2 address=0x80000000 size=0x200000",
		     REPLY(WIRE_DMA_UNMAP, unmap));
}

TEST(what_a_device_is_is_decoded)
{
	const struct wire_device_info info = { 16, 3, 9, 5 };
	const struct wire_region_info region = { 32, 3, 2, 0, 0x1000, 0 };
	const struct wire_irq_info irq = { 16, 7, 1, 4 };

	EXPECT_STREQ("> #7 DEVICE_GET_INFO reply argsz=16 flags=0x3 num_regions=9 num_irqs=5",
		     REPLY(WIRE_DEVICE_GET_INFO, info));
	EXPECT_STREQ("> #7 DEVICE_GET_REGION_INFO reply argsz=32 flags=0x3 index=2 cap_offset=0 "
		     "size=0x1000 offset=0",
		     REPLY(WIRE_DEVICE_GET_REGION_INFO, region));
	EXPECT_STREQ("> #7 DEVICE_GET_IRQ_INFO reply argsz=16 flags=0x7 index=1 count=4",
		     REPLY(WIRE_DEVICE_GET_IRQ_INFO, irq));
}

TEST(io_fds_are_decoded_in_both_layouts)
{
	struct {
		struct wire_region_io_fds head;
		struct wire_io_fd_spec entries[2];
	} spec = { { 96, 0, 2, 2 },
		   { { .offset = 8, .size = 4 }, { .offset = 16, .fd_index = 1 } } };
	struct {
		struct wire_region_io_fds head;
		struct wire_io_fd_deployed entry;
	} deployed = { { 64, 0, 2, 1 }, { .offset = 8, .flags = 1, .datamatch = 0xfa } };

	EXPECT_STREQ("> #7 DEVICE_GET_REGION_IO_FDS reply argsz=96 flags=0 index=2 count=2 "
		     "offset[0]=0x8 size[0]=4 fd_index[0]=0 type[0]=0 flags[0]=0 datamatch[0]=0 "
		     "offset[1]=0x10 size[1]=0 fd_index[1]=1 type[1]=0 flags[1]=0 datamatch[1]=0 "
		     "+2 fds",
		     reply(WIRE_DEVICE_GET_REGION_IO_FDS, &spec, sizeof(spec), 2));
	EXPECT_STREQ("> #7 DEVICE_GET_REGION_IO_FDS reply argsz=64 flags=0 index=2 count=1 "
		     "offset[0]=0x8 size[0]=0 fd_index[0]=0 type[0]=0 flags[0]=0x1 "
		     "shadow_mem_fd_index[0]=0 shadow_offset[0]=0 datamatch[0]=0xfa +1 fd",
		     reply(WIRE_DEVICE_GET_REGION_IO_FDS, &deployed, sizeof(deployed), 1));
}

TEST(interrupts_are_decoded_with_their_bools)
{
	const struct {
		struct wire_irq_set set;
		uint8_t bools[2];
	} body = { { 22, 0x22, 2, 0, 2 }, { 1, 0 } };

	EXPECT_STREQ("< #7 DEVICE_SET_IRQS argsz=22 flags=0x22 index=2 start=0 count=2 "
		     "data=0100 (2 bytes)",
		     command(WIRE_DEVICE_SET_IRQS, &body, sizeof(body), 0));
}

TEST(accesses_are_decoded_with_16_bytes_of_their_data)
{
	struct {
		struct wire_region_access access;
		uint8_t data[17];
	} body = { { 0x104, 2, 17 }, { 1, 2, 3, 0xff } };

	EXPECT_STREQ("< #7 REGION_READ offset=0x104 region=2 count=17",
		     COMMAND(WIRE_REGION_READ, body.access));
	EXPECT_STREQ("> #7 REGION_READ reply offset=0x104 region=2 count=17 "
		     "data=010203ff000000000000000000000000... (17 bytes)",
		     REPLY(WIRE_REGION_READ, body));
	EXPECT_STREQ("< #7 REGION_WRITE offset=0x104 region=2 count=17 "
		     "data=010203ff (4 bytes)",
		     command(WIRE_REGION_WRITE, &body, sizeof(body.access) + 4, 0));
}

TEST(several_writes_are_decoded_four_of_them)
{
	struct {
		uint64_t nr;
		struct wire_region_write_multi writes[6];
	} body = { 6, { { 0x10, 2, 4, 0xabcd } } };
	const char *text = COMMAND(WIRE_REGION_WRITE_MULTI, body);

	EXPECT_EQ(text, strstr(text, "< #7 REGION_WRITE_MULTI wr_cnt=6 offset[0]=0x10 region[0]=2 "
				     "count[0]=4 data[0]=0xabcd offset[1]=0 "));
	EXPECT_STREQ(" data[3]=0 and 2 more", strstr(text, " data[3]"));
	EXPECT_STREQ("> #7 REGION_WRITE_MULTI reply wr_cnt=6",
		     reply(WIRE_REGION_WRITE_MULTI, &body, sizeof(body.nr), 0));
}

TEST(the_servers_own_commands_are_decoded)
{
	const struct wire_dma_access access = { 0x1000, 8 };
	const struct wire_header hdr = { .msg_id = 3, .cmd = WIRE_DMA_READ };
	const struct wire_header fires = { .msg_id = 3, .cmd = WIRE_VM_INTERRUPT };
	const struct wire_vm_interrupt interrupt = { FP_MSIX, 1 };

	EXPECT_STREQ("> #3 DMA_READ address=0x1000 count=8",
		     traced(&hdr, &access, sizeof(access), 0, true));
	EXPECT_STREQ("> #3 VM_INTERRUPT index=2 subindex=1",
		     traced(&fires, &interrupt, sizeof(interrupt), 0, true));
	EXPECT_STREQ("> #7 DMA_WRITE reply address=0x1000 count=8", REPLY(WIRE_DMA_WRITE, access));
}

TEST(features_are_decoded_by_what_they_are)
{
	const struct {
		struct wire_device_feature head;
		struct wire_mig_device_state state;
	} state = { { 16, WIRE_FEATURE_SET | WIRE_FEATURE_MIG_DEVICE_STATE }, { 3, 0 } };
	const struct {
		struct wire_device_feature head;
		struct wire_dma_logging start;
		struct wire_dma_range range;
	} logging = { { 40, WIRE_FEATURE_SET | WIRE_FEATURE_DMA_LOGGING_START },
		      { 4096, 1, 0 },
		      { 0x1000, 0x2000 } };
	const struct wire_device_feature probe = { 8, WIRE_FEATURE_PROBE | 1 };

	EXPECT_STREQ("< #7 DEVICE_FEATURE argsz=16 flags=0x20002 device_state=3 data_fd=0",
		     COMMAND(WIRE_DEVICE_FEATURE, state));
	EXPECT_STREQ("< #7 DEVICE_FEATURE argsz=40 flags=0x20006 page_size=0x1000 num_ranges=1 "
		     "iova[0]=0x1000 length[0]=0x2000",
		     COMMAND(WIRE_DEVICE_FEATURE, logging));
	EXPECT_STREQ("< #7 DEVICE_FEATURE argsz=8 flags=0x40001",
		     COMMAND(WIRE_DEVICE_FEATURE, probe));
}

TEST(migration_data_is_decoded)
{
	const struct {
		struct wire_mig_data data;
		uint8_t bytes[3];
	} body = { { 11, 3 }, { 1, 2, 3 } };

	EXPECT_STREQ("< #7 MIG_DATA_READ argsz=11 size=3", COMMAND(WIRE_MIG_DATA_READ, body.data));
	EXPECT_STREQ("> #7 MIG_DATA_READ reply argsz=11 size=3 data=010203 (3 bytes)",
		     REPLY(WIRE_MIG_DATA_READ, body));
	EXPECT_STREQ("< #7 MIG_DATA_WRITE argsz=11 size=3 data=010203 (3 bytes)",
		     COMMAND(WIRE_MIG_DATA_WRITE, body));
	EXPECT_STREQ("> #7 MIG_DATA_WRITE reply", reply(WIRE_MIG_DATA_WRITE, NULL, 0, 0));
}

TEST(errors_and_the_absence_of_a_reply_are_told)
{
	const struct wire_header error = {
		.msg_id = 7,
		.cmd = WIRE_REGION_READ,
		.flags = WIRE_TYPE_REPLY | WIRE_ERROR,
		.error_no = EINVAL,
	};
	const struct wire_header posted = { .cmd = WIRE_DEVICE_RESET, .flags = WIRE_NO_REPLY };

	EXPECT_STREQ("> #7 REGION_READ reply error 22 (Invalid argument)",
		     traced(&error, NULL, 0, 0, true));
	EXPECT_STREQ("< #0 DEVICE_RESET no-reply", traced(&posted, NULL, 0, 0, false));
}

TEST(of_a_body_that_is_too_short_what_is_there_is_decoded)
{
	const struct wire_region_access access = { 0x104, 2, 4 };

	EXPECT_STREQ("< #7 REGION_READ offset=0x104 region=2 (too short)",
		     command(WIRE_REGION_READ, &access, 15, 0));
	EXPECT_STREQ("< #7 REGION_READ (too short)", command(WIRE_REGION_READ, NULL, 0, 0));
}

TEST(what_is_no_command_is_shown_as_data)
{
	const struct wire_header odd = { .cmd = 14, .flags = 5 };

	EXPECT_STREQ("< #7 unknown command 999 data=61 (1 byte)", command(999, "a", 1, 0));
	EXPECT_STREQ("< #0 unknown command 14 of type 5", traced(&odd, NULL, 0, 0, false));
}

/* ---- whatever bytes ---- */

static uint32_t random_state = 0x2545f491;

static uint32_t random_number(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state;
}

TEST(any_bytes_are_decoded_to_one_line)
{
	for (unsigned int i = 0; i < 200000; i++) {
		size_t len = random_number() % 200;
		uint8_t *body = malloc(len ? len : 1); /* so that a step beyond it is seen */
		const struct wire_header hdr = {
			.cmd = (uint16_t)(random_number() % (WIRE_CMD_END + 2)),
			.flags = random_number() & 0x3f,
			.error_no = random_number(),
		};
		const char *text;

		for (size_t n = 0; n < len; n++)
			body[n] = (uint8_t)(random_number() % 3 ? random_number() % 9 :
								  random_number());
		text = traced(&hdr, body, len, random_number() % 3, random_number() & 1);
		ASSERT_GT(TRACE_TEXT_BYTES, strlen(text));
		for (const char *c = text; *c; c++)
			ASSERT_TRUE(*c >= ' ' && *c < 0x7f);
		free(body);
	}
}

TEST(the_longest_text_is_cut)
{
	static uint8_t body[8192];

	memset(body, 'a', sizeof(body));
	EXPECT_EQ(TRACE_TEXT_BYTES - 1, strlen(command(WIRE_VERSION, body, sizeof(body), 0)));
}

/* ---- fastpathd --trace ---- */

static const char *file_of(const struct peer *peer)
{
	static char text[65536];
	FILE *file = fopen(peer->trace_path, "re");
	size_t len = file ? fread(text, 1, sizeof(text) - 1, file) : 0;

	text[len] = '\0';
	if (file)
		fclose(file);
	return text;
}

TEST(a_server_that_is_told_to_traces_every_message_of_its_devices)
{
	struct peer *peer = peer_open("testdev", PEER_LISTEN | PEER_TRACE);
	const char *text;

	EXPECT_EQ(0, peer_write(peer, FP_BAR2, TESTDEV_REGISTER_4, 0x11223344, 4));
	EXPECT_EQ(EINVAL, peer_write(peer, FP_VGA, 0, 1, 1));
	text = file_of(peer);
	EXPECT_NE(NULL, strstr(text, " testdev < #1 VERSION major=0 minor="));
	EXPECT_NE(NULL, strstr(text, " testdev > #1 VERSION reply major=0 minor="));
	EXPECT_NE(NULL, strstr(text, " REGION_WRITE offset=0x104 region=2 count=4 data=44332211 "));
	EXPECT_NE(NULL, strstr(text, " REGION_WRITE reply offset=0x104 region=2 count=4\n"));
	EXPECT_NE(NULL, strstr(text, " REGION_WRITE reply error 22 (Invalid argument)\n"));
	peer_stop(peer);
}

TEST(a_file_that_can_not_be_written_is_refused)
{
	struct program program;
	const char *const args[] = { "--device", "testdev,socket=/nowhere/at/all",
				     "--trace=/nowhere/at/all", NULL };

	program_start(&program, "fastpathd", args, false);
	program_wait(&program);
	EXPECT_EQ(1, program.status);
	EXPECT_STREQ("fastpathd: --trace=/nowhere/at/all: No such file or directory\n",
		     program.complained);
}

TEST(a_server_traces_what_is_refused_and_goes_on)
{
	struct peer *peer = peer_open("testdev", PEER_LISTEN | PEER_TRACE);
	uint8_t body[64] = { 0xff };

	for (uint16_t cmd = 2; cmd < WIRE_CMD_END + 2; cmd++)
		for (size_t len = 0; len < sizeof(body); len += 3)
			peer_call(peer, cmd, body, len);
	EXPECT_EQ(0, peer_write(peer, FP_BAR2, TESTDEV_REGISTER_4, 1, 4));
	EXPECT_NE(NULL, strstr(file_of(peer), " REGION_READ (too short)\n"));
	peer_stop(peer);
}

TEST_HARNESS_MAIN
