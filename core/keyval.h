/* SPDX-License-Identifier: BSD-3-Clause */
/* keyval: option values of the form NAME[,key=value...]. */
#ifndef FASTPATH_KEYVAL_H
#define FASTPATH_KEYVAL_H

#include <stddef.h>

struct keyval {
	const char *key;
	const char *value;
};

/*
 * Splits `text` in place: *name and the pairs point into it. Returns the number of pairs; -EINVAL
 * when a part after the name is not key=value, -E2BIG when there are more than `max`.
 */
int keyval_split(char *text, const char **name, struct keyval *pairs, size_t max);

/* A key that was given twice; NULL when there is none. */
const char *keyval_twice(const struct keyval *pairs, size_t nr);

/* The value of `key`, the last one when it was given twice; NULL when it was not given. */
const char *keyval_get(const struct keyval *pairs, size_t nr, const char *key);

#endif
