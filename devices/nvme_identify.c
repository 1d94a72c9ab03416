/* SPDX-License-Identifier: BSD-3-Clause */
/* Identify: what the controller and its namespaces are (5.15). */
#include <stdio.h>

#include "nvme.h"

/* What a structure has where; the rest of its 4,096 bytes is 0. */
struct field {
	uint16_t at;
	uint8_t bytes;
	uint64_t value;
};

static void put_fields(uint8_t *page, const struct field *fields, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		memcpy(page + fields[i].at, &fields[i].value, fields[i].bytes);
}

/* Of ASCII, filled up with spaces. */
static void put_text(uint8_t *at, size_t bytes, const char *text)
{
	size_t len = strlen(text);

	memset(at, ' ', bytes);
	memcpy(at, text, len < bytes ? len : bytes);
}

static void put_uuid(char *at, size_t room, const uint8_t *uuid)
{
	size_t n = (size_t)snprintf(at, room, "nqn.2014-08.org.nvmexpress:uuid:");

	for (unsigned int i = 0; i < 16; i++)
		n += (size_t)snprintf(at + n, room - n, "%s%02x",
				      i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
}

static uint16_t controller(struct nvme *nvme, struct nvme_command *command)
{
	static const struct field fields[] = {
		{ 0, 2, 0x4e58 }, /* VID, SSVID */
		{ 2, 2, 0x4e58 },
		{ 72, 1, 3 },			 /* RAB: bursts of 8 commands */
		{ 77, 1, NVME_MAX_BYTES_SHIFT }, /* MDTS */
		{ 80, 4, NVME_VERSION_1_4 },
		{ 111, 1, 1 },	    /* CNTRLTYPE: an I/O controller */
		{ 256, 2, 1 << 8 }, /* OACS: Doorbell Buffer Config */
		{ 258, 1, 3 },	    /* ACL: 4 aborts at a time */
		{ 259, 1, NVME_MAX_EVENT_REQUESTS - 1 },
		{ 260, 1, 3 },			 /* FRMW: one slot, not to be written */
		{ 261, 1, 1 << 1 | 1 << 2 },	 /* LPA: effects; long log pages */
		{ 262, 1, NVME_MAX_ERRORS - 1 }, /* ELPE */
		{ 266, 2, 343 },		 /* WCTEMP, CCTEMP: kelvin */
		{ 268, 2, 373 },
		{ 512, 1, 0x66 }, /* SQES, CQES: 64 and 16 bytes */
		{ 513, 1, 0x44 },
		{ 514, 2, NVME_MAX_ENTRIES }, /* MAXCMD */
		{ 520, 2, 1 << 2 | 1 << 3 },  /* ONCS: dataset management, write zeroes */
		{ 525, 1, 1 | 2 << 1 },	      /* VWC: there; no flush of all namespaces */
		{ 536, 4, 1 },		      /* SGLS: at any byte */
		{ 2048, 2, 1 },		      /* power state 0: MP, centiwatts */
	};
	uint8_t *page = command->page;

	put_fields(page, fields, sizeof(fields) / sizeof(*fields));
	put_text(page + 4, 20, nvme->serial_text);
	put_text(page + 24, 40, "Fastpath NVMe");
	put_text(page + 64, 8, "1.0");
	memcpy(page + 516, &nvme->nr_namespaces, 4); /* NN */
	put_uuid((char *)page + 768, 256, nvme->uuid);
	return NVME_OK;
}

static uint16_t namespace(struct nvme *nvme, struct nvme_command *command)
{
	const struct nvme_ns *ns = nvme_ns_find(nvme, command->sqe.nsid);
	uint64_t blocks = ns ? ns->disk.bytes / DISK_SECTOR : 0;
	const struct field fields[] = {
		{ 0, 8, blocks }, /* NSZE, NCAP, NUSE */
		{ 8, 8, blocks },
		{ 16, 8, blocks },
		{ 33, 1, 1 | 1 << 3 },	   /* DLFEAT: zeros, also by write zeroes */
		{ 99, 1, nvme->readonly }, /* NSATTR */
		{ 130, 1, 9 },		   /* LBAF0: 512 bytes */
	};

	if (!ns)
		return NVME_BAD_NAMESPACE;
	put_fields(command->page, fields, sizeof(fields) / sizeof(*fields));
	return NVME_OK;
}

/* Ids greater than the one that was named. */
static uint16_t active_namespaces(struct nvme *nvme, struct nvme_command *command)
{
	uint32_t *ids = (uint32_t *)(void *)command->page;

	if (command->sqe.nsid >= 0xfffffffe)
		return NVME_BAD_NAMESPACE;
	for (uint32_t i = 0; i < nvme->nr_namespaces; i++)
		if (nvme->namespaces[i].id > command->sqe.nsid)
			*ids++ = nvme->namespaces[i].id;
	return NVME_OK;
}

/* One of them: a UUID, which is the subsystem's but for the end. */
static uint16_t descriptors(struct nvme *nvme, struct nvme_command *command)
{
	const struct nvme_ns *ns = nvme_ns_find(nvme, command->sqe.nsid);
	uint8_t *page = command->page;

	if (!ns)
		return NVME_BAD_NAMESPACE;
	page[0] = 3;
	page[1] = 16;
	memcpy(page + 4, nvme->uuid, 16);
	page[4 + 15] = (uint8_t)(page[4 + 15] + ns->id);
	return NVME_OK;
}

static uint16_t (*const structures[])(struct nvme *nvme, struct nvme_command *command) = {
	[NVME_CNS_NAMESPACE] = namespace,
	[NVME_CNS_CONTROLLER] = controller,
	[NVME_CNS_ACTIVE_NAMESPACES] = active_namespaces,
	[NVME_CNS_DESCRIPTORS] = descriptors,
};

void nvme_identify(struct nvme_command *command)
{
	uint8_t cns = (uint8_t)command->sqe.cdw10;
	uint16_t status = NVME_BAD_FIELD;

	memset(command->page, 0, NVME_PAGE);
	if (cns < sizeof(structures) / sizeof(*structures))
		status = structures[cns](nvme_of(command), command);
	if (status)
		nvme_complete(command, status);
	else
		nvme_answer(command, NVME_PAGE);
}
