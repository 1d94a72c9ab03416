/* SPDX-License-Identifier: BSD-3-Clause */
#include "keyval.h"

#include <errno.h>
#include <string.h>

int keyval_split(char *text, const char **name, struct keyval *pairs, size_t max)
{
	size_t nr = 0;

	*name = strsep(&text, ",");
	while (text) {
		char *value = strsep(&text, ",");
		const char *key = strsep(&value, "=");

		if (!value || !*key)
			return -EINVAL;
		if (nr == max)
			return -E2BIG;
		pairs[nr++] = (struct keyval){ key, value };
	}
	return (int)nr;
}

const char *keyval_twice(const struct keyval *pairs, size_t nr)
{
	for (size_t i = 1; i < nr; i++)
		if (keyval_get(pairs, i, pairs[i].key))
			return pairs[i].key;
	return NULL;
}

const char *keyval_get(const struct keyval *pairs, size_t nr, const char *key)
{
	while (nr--)
		if (!strcmp(pairs[nr].key, key))
			return pairs[nr].value;
	return NULL;
}
