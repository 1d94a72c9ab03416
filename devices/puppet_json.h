/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * puppet_json: values out of JSON by tables of keys, and what is wrong with them, and where.
 *
 *	regions[2].areas[0].offset: 100 is not a multiple of 4096
 */
#ifndef FASTPATH_PUPPET_JSON_H
#define FASTPATH_PUPPET_JSON_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One reading. The first thing that is wrong ends it. */
struct puppet_reader {
	/* Memory, zeroed, for what is read; `owner` frees it. NULL when it is out. */
	void *(*alloc)(void *owner, size_t bytes);
	void *owner;
	char where[192]; /* the value that is being read */
	char why[384];	 /* what is wrong, behind where; "": nothing */
};

struct puppet_field;

/* Reads `value` to the member `to`; 0, or -EINVAL with reader->why set, or -ENOMEM likewise. */
typedef int puppet_read_fn(struct puppet_reader *reader, const struct puppet_field *field,
			   struct json_object *value, void *to);

/* A key of an object, and the member that it is read to. */
struct puppet_field {
	const char *key; /* NULL: the end of a table */
	puppet_read_fn *read;
	size_t offset; /* of the member */
	size_t bytes;  /* of a number: 1, 2, 4 or 8 */
	uint64_t min,
		max; /* of a number; max 0: what the member holds. Of an array, its elements. */
	uint64_t multiple; /* of a number: of what; 0: of anything */
	bool is_required;
	const void *more; /* the reader's, see there */
};

#define PUPPET_MEMBER(type, member) \
	.offset = offsetof(type, member), .bytes = sizeof(((type *)NULL)->member)

/* Bytes, in JSON a text of hexadecimal digits. */
struct puppet_bytes {
	uint8_t *data;
	size_t len;
};

/* A word, and the number that it stands for; a table ends with one that is NULL. */
struct puppet_word {
	const char *word;
	uint64_t value;
};

/* The elements of an array. */
struct puppet_elements {
	const struct puppet_field *fields; /* of objects; NULL: they are numbers, uint64_t */
	size_t bytes;			   /* of one */
	/* Optional: looks at an element that has been read, and at what else there is of it. */
	int (*check)(struct puppet_reader *reader, void *element, struct json_object *from);
};

/* ---- kinds of values ---- */

puppet_read_fn puppet_read_number;  /* an integer, or a text: "0x10", "16" */
puppet_read_fn puppet_read_bool;    /* bool */
puppet_read_fn puppet_read_text;    /* const char *, a copy; not empty, 64 bytes at most */
puppet_read_fn puppet_read_bytes;   /* struct puppet_bytes; not empty */
puppet_read_fn puppet_read_word;    /* a number; more: words */
puppet_read_fn puppet_read_words;   /* an array of words, or-ed to a number; more: words */
puppet_read_fn puppet_read_object;  /* more: a table of fields */
puppet_read_fn puppet_read_array;   /* a pointer, and behind it a size_t; more: elements */
puppet_read_fn puppet_read_nothing; /* anything, somebody else's */

/* Reads an object with nothing but the keys of the table. */
int puppet_read_fields(struct puppet_reader *reader, const struct puppet_field *fields,
		       struct json_object *object, void *to);

/* Says what is wrong with the value that is being read, or one of its keys; -EINVAL. */
int puppet_wrong(struct puppet_reader *reader, const char *key, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- text ---- */

/*
 * Parses all of `text`. `why` says what is wrong and where, "1:17: ...", or nothing: NULL is JSON's
 * null then.
 */
struct json_object *puppet_parse(const char *text, size_t len, char *why, size_t why_bytes);

/* Bytes as a text of hexadecimal digits. */
struct json_object *puppet_hex(const void *bytes, size_t len);

#endif
