/* SPDX-License-Identifier: BSD-3-Clause */
#include "option.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "log.h"
#include "place.h"

int option_number(const char *option, const char *text, unsigned long min, unsigned long max,
		  unsigned long *value)
{
	char *end;

	errno = 0;
	*value = strtoul(text, &end, 0);
	if (end != text && !*end && !errno && *text != '-' && *value >= min && *value <= max)
		return 0;
	log_error("%s %s: wants a number from %lu to %lu", option, text, min, max);
	return -EINVAL;
}

int option_cpus(const char *text, const char *wants, int *first, int *second)
{
	char rest;

	if (sscanf(text, "%d,%d%c", first, second, &rest) != 2 || *first < 0 || *second < 0) {
		log_error("--cpus %s: wants %s", text, wants);
		return -EINVAL;
	}
	if (!place_exists(*first) || !place_exists(*second)) {
		log_error("--cpus %s: there is no such CPU for us", text);
		return -EINVAL;
	}
	return 0;
}
