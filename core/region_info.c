/* SPDX-License-Identifier: BSD-3-Clause */
/* What DEVICE_GET_REGION_INFO says of a region. */
#include <errno.h>

#include "device.h"
#include "region.h"

/* Which parts an answer has. */
struct content {
	const struct fp_region *region;
	uint16_t vendor;
	bool memory; /* an fd to map */
	bool type;
	bool sparse;
};

static size_t type_bytes(const struct content *content)
{
	return content->type ? sizeof(struct wire_cap_type) : 0;
}

static size_t sparse_bytes(const struct content *content)
{
	return content->sparse ? sizeof(struct wire_cap_sparse) +
					 content->region->nr_areas * sizeof(struct wire_area) :
				 0;
}

static void put_type(const struct content *content, uint8_t *reply, size_t at)
{
	const struct fp_region *region = content->region;
	struct wire_cap_type type = {
		.cap = { .id = WIRE_CAP_TYPE, .version = 1 },
		.type = region->type ? region->type : WIRE_REGION_TYPE_PCI_VENDOR | content->vendor,
		.subtype = region->subtype,
	};

	if (content->sparse)
		type.cap.next = (uint32_t)(at + sizeof(type));
	memcpy(reply + at, &type, sizeof(type));
}

static void put_sparse(const struct content *content, uint8_t *reply, size_t at)
{
	const struct fp_region *region = content->region;
	struct wire_cap_sparse sparse = {
		.cap = { .id = WIRE_CAP_SPARSE_MMAP, .version = 1 },
		.nr_areas = (uint32_t)region->nr_areas,
	};

	memcpy(reply + at, &sparse, sizeof(sparse));
	at += sizeof(sparse);
	for (size_t i = 0; i < region->nr_areas; i++, at += sizeof(struct wire_area)) {
		struct wire_area area = { region->areas[i].offset, region->areas[i].size };

		memcpy(reply + at, &area, sizeof(area));
	}
}

static uint32_t access_flags(const struct fp_region *region)
{
	if (!region->size)
		return 0;
	return region->flags & FP_REGION_READ_ONLY ? WIRE_REGION_READABLE :
						     WIRE_REGION_READABLE | WIRE_REGION_WRITEABLE;
}

ssize_t region_info(const struct fp_device *dev, const struct wire_region_info *asked,
		    bool takes_fds, void *reply, int *fd, struct refusal *why)
{
	struct wire_region_info info = { .index = asked->index };
	const struct fp_region *region;
	struct content content;

	*fd = -1;
	if (asked->argsz < sizeof(info))
		return refuse_value(why, "argsz", asked->argsz, -EINVAL);
	if (asked->index >= dev->nr_regions)
		return refuse_value(why, "index", asked->index, -EINVAL);
	region = &dev->regions[asked->index];
	content = (struct content){
		.region = region,
		.vendor = dev->class_->pci.vendor,
		.memory = takes_fds && dev->cores[asked->index].share.base,
		.type = asked->index >= FP_OWN_REGION && region->size,
	};
	content.sparse = content.memory && region->nr_areas;
	info.argsz = (uint32_t)(sizeof(info) + type_bytes(&content) + sparse_bytes(&content));
	info.flags = access_flags(region);
	info.size = region->size;
	/* MMAP promises an fd, and CAPS capabilities: not in an answer that can't hold them. */
	if (asked->argsz < info.argsz) {
		memcpy(reply, &info, sizeof(info));
		return sizeof(info);
	}
	if (content.memory) {
		info.flags |= WIRE_REGION_MMAP;
		info.offset = region->file_offset;
		*fd = dev->cores[asked->index].share.fd;
	}
	if (content.type || content.sparse) {
		info.flags |= WIRE_REGION_CAPS;
		info.cap_offset = sizeof(info);
	}
	memcpy(reply, &info, sizeof(info));
	if (content.type)
		put_type(&content, reply, sizeof(info));
	if (content.sparse)
		put_sparse(&content, reply, sizeof(info) + type_bytes(&content));
	return info.argsz;
}
