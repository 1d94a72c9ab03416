/* SPDX-License-Identifier: BSD-3-Clause */
#include "allowance.h"

#include <time.h>

#include "log.h"

static uint64_t now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec;
}

static void give_back(struct allowance *allowance)
{
	uint64_t now = now_s();
	uint64_t seconds = now - allowance->since_s;

	allowance->spent -= seconds < allowance->spent ? (unsigned int)seconds : allowance->spent;
	allowance->since_s = now;
}

bool allowance_take(struct allowance *allowance, const char *name)
{
	give_back(allowance);
	if (allowance->spent < ALLOWANCE_LINES) {
		allowance->spent++;
		allowance->is_told = allowance->is_told && allowance->spent > ALLOWANCE_LINES / 2;
		return true;
	}
	if (!allowance->is_told)
		log_warn("%s: its clients fill the log: from now on one line a second", name);
	allowance->is_told = true;
	return false;
}

bool allowance_take_at(struct allowance *allowance, const char *name, enum log_level level)
{
	return log_tells(level) && allowance_take(allowance, name);
}
