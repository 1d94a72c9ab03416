/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * json_put: members into json-c's objects. One that can't be added for lack of memory is left out.
 */
#ifndef FASTPATH_JSON_PUT_H
#define FASTPATH_JSON_PUT_H

#include <json-c/json.h>
#include <stdint.h>

static inline void put(struct json_object *object, const char *key, struct json_object *value)
{
	json_object_object_add(object, key, value);
}

static inline void put_number(struct json_object *object, const char *key, uint64_t value)
{
	put(object, key, json_object_new_uint64(value));
}

static inline void put_bool(struct json_object *object, const char *key, uint64_t value)
{
	put(object, key, json_object_new_boolean(value != 0));
}

static inline void put_text(struct json_object *object, const char *key, const char *value)
{
	put(object, key, json_object_new_string(value));
}

static inline struct json_object *put_object(struct json_object *object, const char *key)
{
	struct json_object *value = json_object_new_object();

	put(object, key, value);
	return value;
}

static inline struct json_object *put_array(struct json_object *object, const char *key)
{
	struct json_object *value = json_object_new_array();

	put(object, key, value);
	return value;
}

static inline struct json_object *append(struct json_object *array)
{
	struct json_object *value = json_object_new_object();

	json_object_array_add(array, value);
	return value;
}

#endif
