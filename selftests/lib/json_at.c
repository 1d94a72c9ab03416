/* SPDX-License-Identifier: BSD-3-Clause */
#include "json_at.h"

#include <stdio.h>

struct json_object *json_at(struct json_object *root, const char *path)
{
	struct json_object *found = NULL;
	char pointer[128];

	snprintf(pointer, sizeof(pointer), "/%s", path);
	return json_pointer_get(root, pointer, &found) ? NULL : found;
}

int64_t json_number_at(struct json_object *root, const char *path)
{
	struct json_object *member = json_at(root, path);

	return json_object_is_type(member, json_type_int) ? json_object_get_int64(member) : -1;
}

bool json_truth_at(struct json_object *root, const char *path)
{
	struct json_object *member = json_at(root, path);

	return json_object_is_type(member, json_type_boolean) && json_object_get_boolean(member);
}

const char *json_text_at(struct json_object *root, const char *path)
{
	struct json_object *member = json_at(root, path);

	return json_object_is_type(member, json_type_string) ? json_object_get_string(member) : "";
}
