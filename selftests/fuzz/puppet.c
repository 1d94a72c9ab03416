/* SPDX-License-Identifier: BSD-3-Clause */
/* fuzz target puppet: what comes to the puppet's control socket, or stands in its file, as JSON. */
#include <json-c/json.h>

#include "fuzz.h"
#include "puppet_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_copy(data, size);
	char why[120] = "";
	struct json_object *object;

	fuzz_begin();
	object = puppet_parse(text, size, why, sizeof(why));
	fuzz_check(!object || !*why, "what is understood is no mistake");
	json_object_put(object);
	free(text);
	fuzz_end();
	return 0;
}
