/* SPDX-License-Identifier: BSD-3-Clause */
/* DEVICE_GET_REGION_INFO: a region's capabilities and file, and mapping parts of it. */
#include "client_call.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "fault.h"
#include "log.h"

/* The first question has room for so many bytes of an answer; a server's whole one has at most these. */
#define FIRST_BYTES 1024u
#define MAX_BYTES (64u * 1024u)

/* An answer of the server, whole. */
struct answer {
	const uint8_t *body;
	size_t len;
};

static int refused(const struct fpc_region *region, const char *why)
{
	log_warn("region %u: the server's answer is refused: %s", region->index, why);
	return -EPROTO;
}

static int read_sparse(struct fpc_region *region, const struct answer *answer, size_t at)
{
	struct wire_cap_sparse sparse;
	struct wire_area area;

	if (!wire_within(at, sizeof(sparse), answer->len))
		return refused(region, "its sparse areas are cut short");
	memcpy(&sparse, answer->body + at, sizeof(sparse));
	at += sizeof(sparse);
	if (sparse.nr_areas > (answer->len - at) / sizeof(area))
		return refused(region, "its sparse areas are cut short");
	if (region->has_sparse)
		return refused(region, "it has sparse areas twice");
	region->areas = calloc(sparse.nr_areas + 1u, sizeof(*region->areas));
	if (!region->areas)
		return -ENOMEM;
	for (uint32_t i = 0; i < sparse.nr_areas; i++) {
		memcpy(&area, answer->body + at + i * sizeof(area), sizeof(area));
		if (!wire_within(area.offset, area.size, region->size))
			return refused(region, "a sparse area leaves the region");
		region->areas[i] = (struct fpc_area){ area.offset, area.size };
	}
	region->has_sparse = true;
	region->nr_areas = sparse.nr_areas;
	return 0;
}

static int read_type(struct fpc_region *region, const struct answer *answer, size_t at)
{
	struct wire_cap_type type;

	if (!wire_within(at, sizeof(type), answer->len))
		return refused(region, "its type is cut short");
	memcpy(&type, answer->body + at, sizeof(type));
	region->has_type = true;
	region->type = type.type;
	region->subtype = type.subtype;
	return 0;
}

static int read_cap(struct fpc_region *region, const struct answer *answer, size_t at,
		    const struct wire_cap *cap)
{
	if (region->nr_caps == FPC_MAX_REGION_CAPS)
		return refused(region, "it has too many capabilities");
	region->caps[region->nr_caps++] = (struct fpc_region_cap){ cap->id, cap->version };
	switch (cap->id) {
	case WIRE_CAP_SPARSE_MMAP:
		return read_sparse(region, answer, at);
	case WIRE_CAP_TYPE:
		return read_type(region, answer, at);
	default: /* not known here, which is no mistake */
		return 0;
	}
}

static int read_caps(struct fpc_region *region, const struct answer *answer, size_t at)
{
	size_t least = sizeof(struct wire_region_info);
	struct wire_cap cap;
	int ret = 0;

	for (; at && !ret; at = cap.next) {
		/* Each behind the one before it: the list has an end. */
		if (at < least || !wire_within(at, sizeof(cap), answer->len))
			return refused(region, "its list of capabilities leads astray");
		memcpy(&cap, answer->body + at, sizeof(cap));
		ret = read_cap(region, answer, at, &cap);
		least = at + sizeof(cap);
	}
	return ret;
}

static int read_answer(struct fpc_region *region, const struct answer *answer)
{
	struct wire_region_info info;

	memcpy(&info, answer->body, sizeof(info));
	if (info.index != region->index)
		return refused(region, "it is of another region");
	region->flags = info.flags;
	region->size = info.size;
	region->offset = info.offset;
	return info.flags & WIRE_REGION_CAPS ? read_caps(region, answer, info.cap_offset) : 0;
}

static void take_file(struct fpc_region *region, struct call *call)
{
	if (!(region->flags & WIRE_REGION_MMAP) || !call->nr_reply_fds)
		return;
	region->fd = take_fd(&call->reply_fds[0]);
	/* F_GET_SEALS gives -1, all bits, where there are no seals. */
	region->sealed = fcntl(region->fd, F_GET_SEALS) > 0 &&
			 fcntl(region->fd, F_GET_SEALS) & F_SEAL_SHRINK;
}

/* Asks with room for `argsz` bytes; *needed is what the server would fill. */
static int ask(struct fpc *client, struct fpc_region *region, uint32_t argsz, uint32_t *needed)
{
	CLEANUP_FREE uint8_t *body = calloc(1, argsz);
	struct wire_region_info question = { .argsz = argsz, .index = region->index };
	struct call call = {
		.cmd = WIRE_DEVICE_GET_REGION_INFO,
		.out = { { &question, sizeof(question) } },
		.in = { { body, argsz } },
	};
	struct answer answer = { .body = body };
	ssize_t len;
	int ret;

	if (!body)
		return -ENOMEM;
	len = fpc_run(client, &call);
	if (len < (ssize_t)sizeof(question)) {
		fpc_close_fds(&call);
		return len < 0 ? (int)len : refused(region, "it is too short");
	}
	memcpy(needed, body, sizeof(*needed));
	answer.len = (size_t)len < argsz ? (size_t)len : argsz;
	ret = *needed <= argsz ? read_answer(region, &answer) : 0;
	if (!ret && *needed <= argsz)
		take_file(region, &call);
	fpc_close_fds(&call);
	return ret;
}

int fpc_region_open(struct fpc *client, uint32_t index, struct fpc_region *region)
{
	uint32_t needed;
	int ret;

	*region = (struct fpc_region){ .index = index, .fd = -1 };
	ret = ask(client, region, FIRST_BYTES, &needed);
	if (!ret && needed > MAX_BYTES)
		ret = refused(region, "it would be too long");
	if (!ret && needed > FIRST_BYTES) {
		uint32_t argsz = needed;

		ret = ask(client, region, argsz, &needed);
		if (!ret && needed > argsz)
			ret = refused(region, "it grows with every question");
	}
	if (ret)
		fpc_region_close(region);
	return ret;
}

void fpc_region_close(struct fpc_region *region)
{
	cleanup_close(&region->fd);
	free(region->areas);
	*region = (struct fpc_region){ .index = region->index, .fd = -1 };
}

/* ---- mapping ---- */

static bool may_map(const struct fpc_region *region, uint64_t offset, uint64_t size)
{
	if (!wire_within(offset, size, region->size))
		return false;
	for (uint32_t i = 0; i < region->nr_areas; i++)
		if (offset >= region->areas[i].offset &&
		    wire_within(offset - region->areas[i].offset, size, region->areas[i].size))
			return true;
	return !region->has_sparse;
}

/* That the span may be mapped, and lies within the file as that is now. */
static int check_span(const struct fpc_region *region, uint64_t offset, uint64_t size)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct stat st;

	if (!(region->flags & WIRE_REGION_MMAP) || region->fd < 0)
		return -ENODEV;
	if (!size || offset % page || !may_map(region, offset, size))
		return -EINVAL;
	if (fstat(region->fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || region->offset % page ||
	    !wire_within(region->offset, offset, (uint64_t)st.st_size) ||
	    !wire_within(region->offset + offset, size, (uint64_t)st.st_size))
		return refused(region, "its file does not hold what is to be mapped");
	return 0;
}

int fpc_region_map(const struct fpc_region *region, uint64_t offset, uint64_t size, int prot,
		   void **out)
{
	int ret = check_span(region, offset, size);
	void *at;

	if (ret)
		return ret;
	at = mmap(NULL, size, prot, MAP_SHARED, region->fd, (off_t)(region->offset + offset));
	if (at == MAP_FAILED)
		return -errno;
	*out = at;
	return 0;
}

struct fpc_mapping {
	struct fault_map *map;
};

int fpc_mapping_open(const struct fpc_region *region, uint64_t offset, uint64_t size, int prot,
		     struct fpc_mapping **out)
{
	int ret = check_span(region, offset, size);
	struct fpc_mapping *mapping;

	if (ret)
		return ret;
	mapping = calloc(1, sizeof(*mapping));
	if (!mapping)
		return -ENOMEM;
	ret = fault_map(region->fd, region->offset + offset, size, prot, NULL, &mapping->map);
	if (ret)
		free(mapping);
	else
		*out = mapping;
	return ret;
}

void *fpc_mapping_bytes(const struct fpc_mapping *mapping)
{
	return fault_map_bytes(mapping->map);
}

bool fpc_mapping_failed(const struct fpc_mapping *mapping)
{
	return fault_map_failed(mapping->map);
}

void fpc_mapping_close(struct fpc_mapping *mapping)
{
	if (!mapping)
		return;
	fault_unmap(mapping->map);
	free(mapping);
}
