/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz target stream: a migration stream that comes to a device.
 *
 *	u8 0, then the stream as it is; or
 *	u8 1, then what is done to a good one, repeatedly:
 *		u8 0  u16 offset, bytes      put there
 *		u8 1  u16 offset             the end is here
 *		u8 2  bytes                  put behind the end
 *		u8 3  u16 offset, bytes      put in between
 *		u8 4  u16 offset, u16 bytes  taken out
 *	where bytes are a u16 and so many.
 */
#include "state.h"

#include <string.h>

#include "fuzz.h"
#include "fuzzdev.h"

#define MAX_CHANGES 64

struct text {
	uint8_t *bytes;
	size_t len;
};

static struct text good_stream(struct fp_device *dev)
{
	struct fp_stream stream = { 0 };
	struct text text;

	fuzz_check(!state_begin(dev, &stream) && !state_save_early(dev, &stream) &&
			   !state_save(dev, &stream),
		   "the state can be saved");
	text = (struct text){ fuzz_copy(stream.bytes, stream.len), stream.len };
	stream_clear(&stream);
	return text;
}

/* Puts `bytes` in the place of `len` at `at`. */
static void replace(struct text *text, size_t at, size_t len, struct fuzz_input bytes)
{
	uint8_t *new;

	at = at < text->len ? at : text->len;
	len = len < text->len - at ? len : text->len - at;
	new = malloc(text->len - len + bytes.left + 1);
	fuzz_check(new, "there is memory");
	memcpy(new, text->bytes, at);
	if (bytes.left)
		memcpy(new + at, bytes.at, bytes.left);
	memcpy(new + at + bytes.left, text->bytes + at + len, text->len - at - len);
	free(text->bytes);
	*text = (struct text){ new, text->len - len + bytes.left };
}

static void change(struct text *text, struct fuzz_input *input)
{
	uint8_t what = fuzz_u8(input) % 5;
	size_t at = what == 2 ? text->len : fuzz_u16(input);
	struct fuzz_input bytes = { 0 };

	switch (what) {
	case 0:
		bytes = fuzz_bytes(input);
		replace(text, at, bytes.left, bytes);
		break;
	case 1:
		replace(text, at, text->len, bytes);
		break;
	case 4:
		replace(text, at, fuzz_u16(input), bytes);
		break;
	default:
		replace(text, at, 0, fuzz_bytes(input));
		break;
	}
}

static void load(struct fp_device *dev, const struct text *text)
{
	struct fp_stream stream = {
		.bytes = fuzz_copy(text->bytes, text->len),
		.len = text->len,
		.room = text->len,
	};
	struct text again;

	/* A device that took it can be migrated on; one that did not can be reset, and used then. */
	if (state_load(dev, &stream))
		device_reset(dev);
	stream_clear(&stream);
	again = good_stream(dev);
	stream = (struct fp_stream){ .bytes = again.bytes, .len = again.len, .room = again.len };
	fuzz_check(!state_load(dev, &stream), "what was saved can be loaded");
	stream_clear(&stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	struct fp_device *dev;
	struct text text;

	fuzz_begin();
	dev = fuzzdev_open();
	if (fuzz_u8(&input)) {
		text = good_stream(dev);
		for (unsigned int i = 0; input.left && i < MAX_CHANGES; i++)
			change(&text, &input);
	} else {
		text = (struct text){ fuzz_copy(input.at, input.left), input.left };
	}
	load(dev, &text);
	free(text.bytes);
	device_close(dev);
	fuzz_settle();
	fuzz_end();
	return 0;
}
