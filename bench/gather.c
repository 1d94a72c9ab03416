/* SPDX-License-Identifier: BSD-3-Clause */
#include "gather.h"

#include <string.h>

void gather_begin(struct gather *gather, struct fpc *client, uint32_t region, uint64_t offset)
{
	*gather = (struct gather){ .client = client, .region = region, .offset = offset };
}

int gather_write(struct gather *gather, const void *data, uint32_t len)
{
	struct fpc_write *write = &gather->writes[gather->nr++];
	size_t done = 0;

	*write = (struct fpc_write){
		.region = gather->region,
		.offset = gather->offset,
		.count = len,
	};
	memcpy(&write->data, data, len);
	if (gather->nr < GATHER_WRITES)
		return 0;
	gather->nr = 0;
	return fpc_region_write_multi(gather->client, gather->writes, GATHER_WRITES, &done);
}
