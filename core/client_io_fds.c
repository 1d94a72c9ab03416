/* SPDX-License-Identifier: BSD-3-Clause */
/* DEVICE_GET_REGION_IO_FDS: from either layout to a set of entries. */
#include "client_call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

/* So many entries a server may list for one region; more is nonsense. */
#define MAX_IO_FDS 4096

void fpc_io_fds_free(struct fpc_io_fds *set)
{
	for (uint32_t i = 0; i < set->nr_fds; i++)
		cleanup_close(&set->fds[i]);
	free(set->fds);
	free(set->entries);
	*set = (struct fpc_io_fds){ 0 };
}

static void decode(const uint8_t *at, size_t stride, struct fpc_io_fd *entry)
{
	struct wire_io_fd_spec spec;
	struct wire_io_fd_deployed deployed;

	if (stride >= sizeof(deployed)) {
		memcpy(&deployed, at, sizeof(deployed));
		*entry = (struct fpc_io_fd){
			.offset = deployed.offset,
			.size = deployed.size,
			.type = deployed.type,
			.flags = deployed.flags,
			.datamatch = deployed.datamatch,
			.user_data = deployed.shadow_offset,
			.fd_index = deployed.fd_index,
			.shadow_fd_index = deployed.shadow_mem_fd_index,
		};
		return;
	}
	memcpy(&spec, at, sizeof(spec));
	*entry = (struct fpc_io_fd){
		.offset = spec.offset,
		.size = spec.size,
		.type = spec.type,
		.flags = spec.flags,
		.datamatch = spec.type == WIRE_IO_FD_IOREGIONFD ? 0 : spec.datamatch,
		.user_data = spec.datamatch,
		.fd_index = spec.fd_index,
	};
}

static int fd_of(const struct fpc_io_fds *set, uint32_t index)
{
	return index < set->nr_fds ? set->fds[index] : -1;
}

/* Turns a whole reply into a set; takes the call's fds when it succeeds. */
static int decode_all(const uint8_t *body, size_t len, struct call *call, struct fpc_io_fds *set)
{
	struct wire_region_io_fds fixed;
	size_t stride;

	memcpy(&fixed, body, sizeof(fixed));
	if (!fixed.count)
		return 0;
	if (fixed.count > MAX_IO_FDS || fixed.argsz > len || fixed.argsz < sizeof(fixed))
		return -EPROTO;
	stride = (fixed.argsz - sizeof(fixed)) / fixed.count;
	if (stride < sizeof(struct wire_io_fd_spec))
		return -EPROTO;
	set->entries = calloc(fixed.count, sizeof(*set->entries));
	set->fds = calloc(call->nr_reply_fds ? call->nr_reply_fds : 1, sizeof(*set->fds));
	if (!set->entries || !set->fds)
		return -ENOMEM;
	for (unsigned int i = 0; i < call->nr_reply_fds; i++)
		set->fds[i] = take_fd(&call->reply_fds[i]);
	set->nr_fds = call->nr_reply_fds;
	set->nr_entries = fixed.count;
	set->entry_bytes = (uint32_t)stride;
	for (uint32_t i = 0; i < fixed.count; i++) {
		struct fpc_io_fd *entry = &set->entries[i];

		decode(body + sizeof(fixed) + i * stride, stride, entry);
		entry->fd = fd_of(set, entry->fd_index);
		entry->shadow_fd =
			entry->type == WIRE_IO_FD_SHADOW ? fd_of(set, entry->shadow_fd_index) : -1;
	}
	return 0;
}

/* Asks with room for `argsz` bytes; *needed is what the server would fill. */
static int ask_io_fds(struct fpc *client, uint32_t index, uint32_t argsz, uint32_t *needed,
		      struct fpc_io_fds *set)
{
	CLEANUP_FREE uint8_t *body = calloc(1, argsz);
	struct wire_region_io_fds question = { .argsz = argsz, .index = index };
	struct call call = {
		.cmd = WIRE_DEVICE_GET_REGION_IO_FDS,
		.out = { { &question, sizeof(question) } },
		.in = { { body, argsz } },
	};
	ssize_t len;
	int ret = 0;

	if (!body)
		return -ENOMEM;
	len = fpc_run(client, &call);
	if (len >= 0 && len < (ssize_t)sizeof(question))
		ret = -EPROTO;
	else if (len < 0)
		ret = (int)len;
	else
		memcpy(needed, body, sizeof(*needed));
	if (!ret && *needed <= argsz)
		ret = decode_all(body, (size_t)len < argsz ? (size_t)len : argsz, &call, set);
	fpc_close_fds(&call);
	return ret;
}

int fpc_region_io_fds(struct fpc *client, uint32_t index, struct fpc_io_fds *set)
{
	uint32_t argsz =
		sizeof(struct wire_region_io_fds) + 16 * sizeof(struct wire_io_fd_deployed);
	uint32_t needed;
	int ret;

	*set = (struct fpc_io_fds){ 0 };
	ret = ask_io_fds(client, index, argsz, &needed, set);
	if (!ret && needed > argsz) {
		if (needed > sizeof(struct wire_region_io_fds) + MAX_IO_FDS * 64)
			return -EPROTO;
		argsz = needed;
		ret = ask_io_fds(client, index, argsz, &needed, set);
		if (!ret && needed > argsz)
			ret = -EPROTO;
	}
	if (ret)
		fpc_io_fds_free(set);
	return ret;
}
