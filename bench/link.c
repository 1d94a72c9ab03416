/* SPDX-License-Identifier: BSD-3-Clause */
#include "link.h"

#include <stddef.h>
#include <string.h>

const struct link_kind *link_kind(const char *name)
{
	static const struct link_kind *const kinds[] = { &link_fastpath, &link_bare, NULL };

	for (size_t i = 0; kinds[i]; i++)
		if (!strcmp(name, kinds[i]->name))
			return kinds[i];
	return NULL;
}
