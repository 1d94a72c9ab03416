/* SPDX-License-Identifier: BSD-3-Clause */
/* ladder: what was measured of all roads in one run, before it is a result. */
#ifndef BENCH_LADDER_H
#define BENCH_LADDER_H

#include <json-c/json.h>
#include <stdio.h>

#include "row.h"

struct ladder {
	const struct rig *rig;
	struct row *rows; /* sorted series */
	unsigned int nr_rows;
	int argc;
	char **argv;
};

/* JSON, as docs/benchmarking.md describes it; json_object_put() is its end. NULL: no memory. */
struct json_object *ladder_json(const struct ladder *ladder);

/* What it says, a sentence a line. Of a struct ladder. */
int ladder_findings(const void *opaque, FILE *to);

#endif
