/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz target version: the JSON of VERSION, which is all of the input. What is understood can be
 * said again, and is understood as the same then.
 */
#include <errno.h>
#include <string.h>

#include "caps.h"
#include "fuzz.h"

static void parse(const void *text, size_t len)
{
	uint8_t *copy = fuzz_copy(text, len);
	struct caps caps, again;
	const char *why = NULL;
	char said[512];
	int ret = caps_parse(copy, len, &caps, &why);

	free(copy);
	fuzz_check(!ret || ret == -EINVAL, "no other error");
	fuzz_check(!ret || (why && *why), "what is refused has a name");
	if (ret)
		return;
	fuzz_check(caps.max_data_xfer_size && caps.pgsizes, "what can't be 0 is not");
	ret = caps_format(&caps, said, sizeof(said));
	fuzz_check(ret > 0 && said[ret - 1] == '\0', "it can be said");
	fuzz_check(caps_format(&caps, said, (size_t)ret - 1) == -ENOSPC, "with no byte less");
	fuzz_check(caps_format(&caps, said, sizeof(said)) == ret, "and again");
	fuzz_check(!caps_parse(said, (size_t)ret, &again, &why), "it is understood: %s", why);
	caps.twin_fd_index = again.twin_fd_index; /* which is not repeated */
	fuzz_check(again.max_msg_fds == caps.max_msg_fds &&
			   again.max_data_xfer_size == caps.max_data_xfer_size &&
			   again.max_dma_maps == caps.max_dma_maps &&
			   again.pgsizes == caps.pgsizes &&
			   again.write_multiple == caps.write_multiple &&
			   again.twin_socket == caps.twin_socket,
		   "as the same: %s", said);
}

/* As it is, and as the text that it is but for a NUL. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = calloc(1, size + 1);

	fuzz_check(text, "there is memory");
	memcpy(text, data, size);
	parse(data, size);
	parse(text, size + 1);
	free(text);
	return 0;
}
