/* SPDX-License-Identifier: BSD-3-Clause */
#include "puppet_json.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 16 /* no shape needs more, and no request */
#define MAX_TEXT 64u
#define MAX_SHOWN 40 /* characters of a value that is wrong */

/* ---- saying what is wrong ---- */

int puppet_wrong(struct puppet_reader *reader, const char *key, const char *format, ...)
{
	char what[160];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	snprintf(reader->why, sizeof(reader->why), "%s%s%s%s%s", reader->where,
		 key && *reader->where ? "." : "", key ? key : "",
		 key || *reader->where ? ": " : "", what);
	return -EINVAL;
}

static int wrong_kind(struct puppet_reader *reader, const char *wanted, struct json_object *value)
{
	const char *text = json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN);

	return puppet_wrong(reader, NULL, "wants %s, not %.*s%s", wanted, MAX_SHOWN, text,
			    strlen(text) > MAX_SHOWN ? "..." : "");
}

static int no_memory(struct puppet_reader *reader)
{
	puppet_wrong(reader, NULL, "memory is out");
	return -ENOMEM;
}

/* ---- where: a path that grows with each step down, and is cut on the way up ---- */

static size_t step(struct puppet_reader *reader, const char *key)
{
	size_t len = strlen(reader->where);

	snprintf(reader->where + len, sizeof(reader->where) - len, "%s%s", len ? "." : "", key);
	return len;
}

static size_t step_to_element(struct puppet_reader *reader, size_t index)
{
	size_t len = strlen(reader->where);

	snprintf(reader->where + len, sizeof(reader->where) - len, "[%zu]", index);
	return len;
}

/* ---- numbers ---- */

static void store(void *to, size_t bytes, uint64_t value)
{
	memcpy(to, &value, bytes); /* little-endian */
}

static uint64_t largest(const struct puppet_field *field)
{
	if (field->max)
		return field->max;
	return field->bytes < sizeof(uint64_t) ? (1ull << (8 * field->bytes)) - 1 : UINT64_MAX;
}

static bool text_to_number(const char *text, uint64_t *number)
{
	char *end;

	errno = 0;
	*number = strtoull(text, &end, 0);
	return !errno && end != text && !*end && *text >= '0' && *text <= '9';
}

static bool to_number(struct json_object *value, uint64_t *number)
{
	if (json_object_is_type(value, json_type_string))
		return text_to_number(json_object_get_string(value), number);
	*number = json_object_get_uint64(value);
	return json_object_is_type(value, json_type_int) && json_object_get_int64(value) >= 0;
}

int puppet_read_number(struct puppet_reader *reader, const struct puppet_field *field,
		       struct json_object *value, void *to)
{
	uint64_t number;

	if (!to_number(value, &number))
		return wrong_kind(reader, "a number", value);
	if (number < field->min || number > largest(field))
		return puppet_wrong(reader, NULL, "%llu is not from %llu to %llu",
				    (unsigned long long)number, (unsigned long long)field->min,
				    (unsigned long long)largest(field));
	if (field->multiple && number % field->multiple)
		return puppet_wrong(reader, NULL, "%llu is not a multiple of %llu",
				    (unsigned long long)number,
				    (unsigned long long)field->multiple);
	store(to, field->bytes, number);
	return 0;
}

/* ---- other plain values ---- */

int puppet_read_bool(struct puppet_reader *reader, const struct puppet_field *field,
		     struct json_object *value, void *to)
{
	(void)field;
	if (!json_object_is_type(value, json_type_boolean))
		return wrong_kind(reader, "true or false", value);
	*(bool *)to = json_object_get_boolean(value);
	return 0;
}

int puppet_read_text(struct puppet_reader *reader, const struct puppet_field *field,
		     struct json_object *value, void *to)
{
	const char *text = json_object_get_string(value);
	char *copy;

	(void)field;
	if (!json_object_is_type(value, json_type_string) || !*text || strlen(text) > MAX_TEXT)
		return wrong_kind(reader, "a text of 1 to 64 bytes", value);
	copy = reader->alloc(reader->owner, strlen(text) + 1);
	if (!copy)
		return no_memory(reader);
	memcpy(copy, text, strlen(text) + 1);
	*(const char **)to = copy;
	return 0;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 'a' - 'A';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int puppet_read_bytes(struct puppet_reader *reader, const struct puppet_field *field,
		      struct json_object *value, void *to)
{
	static const char wanted[] = "pairs of hexadecimal digits";
	struct puppet_bytes *bytes = to;
	const char *text = json_object_get_string(value);
	size_t len;

	(void)field;
	if (!json_object_is_type(value, json_type_string))
		return wrong_kind(reader, wanted, value);
	len = (size_t)json_object_get_string_len(value);
	bytes->len = len / 2;
	bytes->data = reader->alloc(reader->owner, len);
	if (!bytes->data)
		return no_memory(reader);
	for (size_t i = 0; i < len; i++) {
		if (digit(text[i]) < 0)
			return wrong_kind(reader, wanted, value);
		bytes->data[i / 2] = (uint8_t)(bytes->data[i / 2] << 4 | digit(text[i]));
	}
	return len && len % 2 == 0 ? 0 : wrong_kind(reader, wanted, value);
}

/* ---- words ---- */

static int find_word(struct puppet_reader *reader, const struct puppet_word *words,
		     struct json_object *value, uint64_t *number)
{
	char wanted[128] = "";

	for (const struct puppet_word *at = words; at->word; at++) {
		size_t len = strlen(wanted);

		if (json_object_is_type(value, json_type_string) &&
		    !strcmp(at->word, json_object_get_string(value))) {
			*number = at->value;
			return 0;
		}
		snprintf(wanted + len, sizeof(wanted) - len, "%s%s", len ? ", " : "one of ",
			 at->word);
	}
	return wrong_kind(reader, wanted, value);
}

int puppet_read_word(struct puppet_reader *reader, const struct puppet_field *field,
		     struct json_object *value, void *to)
{
	uint64_t number;
	int ret = find_word(reader, field->more, value, &number);

	if (!ret)
		store(to, field->bytes, number);
	return ret;
}

int puppet_read_words(struct puppet_reader *reader, const struct puppet_field *field,
		      struct json_object *value, void *to)
{
	uint64_t all = 0, one = 0;
	int ret = 0;

	if (!json_object_is_type(value, json_type_array))
		return wrong_kind(reader, "an array", value);
	for (size_t i = 0; i < json_object_array_length(value) && !ret; i++) {
		size_t here = step_to_element(reader, i);

		ret = find_word(reader, field->more, json_object_array_get_idx(value, i), &one);
		all |= one;
		reader->where[here] = '\0';
	}
	if (!ret)
		store(to, field->bytes, all);
	return ret;
}

/* ---- objects and arrays ---- */

static const struct puppet_field *find_field(const struct puppet_field *fields, const char *key)
{
	while (fields->key && strcmp(fields->key, key) != 0)
		fields++;
	return fields->key ? fields : NULL;
}

int puppet_read_fields(struct puppet_reader *reader, const struct puppet_field *fields,
		       struct json_object *object, void *to)
{
	if (!json_object_is_type(object, json_type_object))
		return wrong_kind(reader, "an object", object);
	json_object_object_foreach(object, key, value) {
		const struct puppet_field *field = find_field(fields, key);
		size_t here;
		int ret;

		if (!field)
			return puppet_wrong(reader, key, "there is no such key");
		here = step(reader, key);
		ret = field->read(reader, field, value, (char *)to + field->offset);
		if (ret)
			return ret;
		reader->where[here] = '\0';
	}
	for (; fields->key; fields++)
		if (fields->is_required && !json_object_object_get_ex(object, fields->key, NULL))
			return puppet_wrong(reader, fields->key, "is missing");
	return 0;
}

int puppet_read_object(struct puppet_reader *reader, const struct puppet_field *field,
		       struct json_object *value, void *to)
{
	return puppet_read_fields(reader, field->more, value, to);
}

static int read_element(struct puppet_reader *reader, const struct puppet_elements *elements,
			struct json_object *value, void *to)
{
	const struct puppet_field number = { .bytes = sizeof(uint64_t) };
	int ret = elements->fields ? puppet_read_fields(reader, elements->fields, value, to) :
				     puppet_read_number(reader, &number, value, to);

	return ret || !elements->check ? ret : elements->check(reader, to, value);
}

int puppet_read_array(struct puppet_reader *reader, const struct puppet_field *field,
		      struct json_object *value, void *to)
{
	const struct puppet_elements *elements = field->more;
	size_t nr;
	char *items;

	if (!json_object_is_type(value, json_type_array))
		return wrong_kind(reader, "an array", value);
	nr = json_object_array_length(value);
	if (nr > field->max)
		return puppet_wrong(reader, NULL, "has %zu elements, more than %llu", nr,
				    (unsigned long long)field->max);
	items = reader->alloc(reader->owner, nr * elements->bytes + 1);
	if (!items)
		return no_memory(reader);
	for (size_t i = 0; i < nr; i++) {
		size_t here = step_to_element(reader, i);
		int ret = read_element(reader, elements, json_object_array_get_idx(value, i),
				       items + i * elements->bytes);

		if (ret)
			return ret;
		reader->where[here] = '\0';
	}
	memcpy(to, &items, sizeof(items));
	memcpy((char *)to + sizeof(items), &nr, sizeof(nr));
	return 0;
}

int puppet_read_nothing(struct puppet_reader *reader, const struct puppet_field *field,
			struct json_object *value, void *to)
{
	(void)reader;
	(void)field;
	(void)value;
	(void)to;
	return 0;
}

/* ---- text ---- */

static void say_where(const char *text, size_t at, const char *what, char *why, size_t why_bytes)
{
	unsigned int line = 1, column = 1;

	for (size_t i = 0; i < at; i++) {
		column = text[i] == '\n' ? 1 : column + 1;
		line += text[i] == '\n';
	}
	snprintf(why, why_bytes, "%u:%u: %s", line, column, what);
}

struct json_object *puppet_parse(const char *text, size_t len, char *why, size_t why_bytes)
{
	struct json_tokener *tokener = json_tokener_new_ex(MAX_DEPTH);
	struct json_object *root;
	enum json_tokener_error error;
	size_t end;

	snprintf(why, why_bytes, "memory is out");
	if (!tokener)
		return NULL;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	root = json_tokener_parse_ex(tokener, text, (int)len);
	error = json_tokener_get_error(tokener);
	end = json_tokener_get_parse_end(tokener);
	json_tokener_free(tokener);
	while (error == json_tokener_success && end < len && strchr(" \t\r\n", text[end]) &&
	       text[end])
		end++;
	*why = '\0';
	if (error == json_tokener_success && end == len)
		return root;
	say_where(text, end,
		  error == json_tokener_success	 ? "something is behind the JSON" :
		  error == json_tokener_continue ? "the JSON does not end" :
						   json_tokener_error_desc(error),
		  why, why_bytes);
	json_object_put(root);
	return NULL;
}

struct json_object *puppet_hex(const void *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *from = bytes;
	struct json_object *hex = NULL;
	char *text = malloc(2 * len + 1);

	for (size_t i = 0; text && i < len; i++) {
		text[2 * i] = digits[from[i] >> 4];
		text[2 * i + 1] = digits[from[i] & 15];
	}
	if (text)
		hex = json_object_new_string_len(text, (int)(2 * len));
	free(text);
	return hex;
}
