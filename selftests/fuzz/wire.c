/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz target wire: a header and the arithmetic of spans; then each command's handler by itself, on
 * a body and a reply that end exactly where the command table says: one byte more is a crash here,
 * where a session's buffers are larger than needed.
 *
 *	u64 u64 u64 u64           two spans
 *	the rest, repeatedly:     u8 command, u8 nr_fds, u8 kind..., u16 length, body
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "fuzz.h"
#include "fuzzdev.h"
#include "wire.h"

#define MAX_COMMANDS 64

static void check_header(const uint8_t *data, size_t size)
{
	struct wire_header hdr = { 0 };

	memcpy(&hdr, data, size < sizeof(hdr) ? size : sizeof(hdr));
	fuzz_check(!wire_header_check(&hdr) == (hdr.msg_size >= sizeof(hdr)),
		   "a header is good whose message holds it");
	fuzz_check(wire_cmd_name(hdr.cmd), "each number has a name");
	fuzz_check(command_find(hdr.cmd), "each number has a row");
}

static void check_spans(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	__uint128_t a_end = (__uint128_t)a + a_len;
	__uint128_t b_end = (__uint128_t)b + b_len;

	fuzz_check(wire_within(a, a_len, b) == (a_end <= b), "within: %#llx %#llx %#llx",
		   (unsigned long long)a, (unsigned long long)a_len, (unsigned long long)b);
	if (a_end - 1 <= UINT64_MAX && b_end - 1 <= UINT64_MAX)
		fuzz_check(wire_overlaps(a, a_len, b, b_len) ==
				   (a_len && b_len && a < b_end && b < a_end),
			   "overlaps: %#llx %#llx %#llx %#llx", (unsigned long long)a,
			   (unsigned long long)a_len, (unsigned long long)b,
			   (unsigned long long)b_len);
}

/* What the session does with a message before its handler sees it. */
static bool is_accepted(const struct command *command, const struct channel_msg *msg)
{
	return command->run && msg->body_len >= command->min &&
	       msg->body_len <= (command->max ? command->max : command->min) &&
	       msg->nr_fds <= command->max_fds;
}

static void run(const struct command *command, struct request *request)
{
	size_t room = command->reply + (command->more ? command->more(request) : 0);
	uint8_t *reply = malloc(room ? room : 1);
	char text[80];
	ssize_t len;

	fuzz_check(reply, "there is memory");
	memset(reply, 0, room);
	len = command->run(request, reply);
	fuzz_check(len >= -4095 && len <= (ssize_t)room, "a reply of %zd bytes fits into %zu", len,
		   room);
	fuzz_check(len != -EINVAL || request->why.what, "what is refused (%zd) is named", len);
	refusal_format(&request->why, text, sizeof(text));
	fuzz_check(request->nr_fds <= request->peer->caps.max_msg_fds ||
			   request->peer->caps.max_msg_fds == 0,
		   "no more fds than the client takes");
	if (request->own_fd >= 0) {
		close(request->own_fd);
		close(request->peer->twin_fd);
		request->peer->twin_fd = -1;
	}
	free(reply);
}

static void one(struct fp_device *dev, struct command_peer *peer, struct fuzz_input *input)
{
	unsigned int cmd = fuzz_u8(input) % (WIRE_CMD_END + 1);
	const struct command *command = command_find(cmd);
	int fds[RING_MAX_FDS];
	struct channel_msg msg = { .hdr = { .cmd = (uint16_t)cmd }, .fds = fds };
	struct request request = { .dev = dev, .peer = peer, .msg = &msg, .own_fd = -1 };
	struct fuzz_input bytes;
	uint8_t *body;

	msg.nr_fds = fuzz_u8(input) % 18;
	for (unsigned int i = 0; i < msg.nr_fds; i++)
		fds[i] = fcntl(fuzz_fd(fuzz_u8(input)), F_DUPFD_CLOEXEC, 0);
	bytes = fuzz_bytes(input);
	body = fuzz_copy(bytes.at, bytes.left);
	msg.body = body;
	msg.body_len = bytes.left;
	msg.hdr.msg_size = (uint32_t)(sizeof(msg.hdr) + msg.body_len);
	peer->negotiated |= cmd != WIRE_VERSION; /* which comes first, or not at all */
	if (is_accepted(command, &msg)) {
		if (command->waits)
			command->waits(dev, &msg);
		if (command->prepare)
			command->prepare(dev, &msg);
		run(command, &request);
	}
	for (unsigned int i = 0; i < msg.nr_fds; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	struct command_peer peer = {
		.caps = caps_ours,
		.negotiated = false,
		.twin_fd = -1,
	};
	struct fp_device *dev;
	uint64_t a, a_len, b, b_len;

	fuzz_begin();
	check_header(data, size);
	a = fuzz_u64(&input);
	a_len = fuzz_u64(&input);
	b = fuzz_u64(&input);
	b_len = fuzz_u64(&input);
	check_spans(a, a_len, b, b_len);
	peer.io_fds = a & 1 ? COMMAND_IO_FDS_SPEC : COMMAND_IO_FDS_DEPLOYED;
	dev = fuzzdev_open();
	for (unsigned int i = 0; input.left && i < MAX_COMMANDS; i++) {
		one(dev, &peer, &input);
		fuzzdev_finish_all(dev);
		peer.doomed = false;
	}
	device_close(dev);
	fuzz_settle();
	fuzz_end();
	return 0;
}
