/* SPDX-License-Identifier: BSD-3-Clause */
/* json_at: members of JSON by a path of keys and indexes, "a/0/b". What is not there is nothing. */
#ifndef FASTPATH_SELFTESTS_JSON_AT_H
#define FASTPATH_SELFTESTS_JSON_AT_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

struct json_object *json_at(struct json_object *root, const char *path);

/* -1 when it is no number, false when it is no truth value, "" when it is no text. */
int64_t json_number_at(struct json_object *root, const char *path);
bool json_truth_at(struct json_object *root, const char *path);
const char *json_text_at(struct json_object *root, const char *path);

#endif
