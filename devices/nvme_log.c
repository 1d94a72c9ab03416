/* SPDX-License-Identifier: BSD-3-Clause */
/* Get Log Page (5.14), and the errors that are kept for it. */
#include "nvme.h"

#define ERROR_BYTES 64u

/* A log page, put into a page that is zeroed: how long it is. */
typedef size_t log_fn(const struct nvme *nvme, uint8_t *page);

void nvme_log_error(struct nvme_command *command)
{
	struct nvme *nvme = nvme_of(command);
	const struct nvme_sqe *sqe = &command->sqe;
	bool is_io = command->sq->id && command->ns;

	memmove(nvme->errors + 1, nvme->errors, sizeof(nvme->errors) - sizeof(*nvme->errors));
	nvme->errors[0] = (struct nvme_error){
		.number = ++nvme->counts.errors,
		.sq_id = command->sq->id,
		.cid = sqe->cid,
		.status = command->status,
		.nsid = sqe->nsid,
		.lba = is_io ? sqe->cdw10 | (uint64_t)sqe->cdw11 << 32 : 0,
	};
}

/* The newest first. */
static size_t errors(const struct nvme *nvme, uint8_t *page)
{
	for (uint32_t i = 0; i < NVME_MAX_ERRORS; i++, page += ERROR_BYTES) {
		const struct nvme_error *error = &nvme->errors[i];
		const uint16_t status = (uint16_t)(error->status << 1);

		if (!error->number)
			continue;
		memcpy(page, &error->number, 8);
		memcpy(page + 8, &error->sq_id, 2);
		memcpy(page + 10, &error->cid, 2);
		memcpy(page + 12, &status, 2);
		memset(page + 14, 0xff, 2); /* no byte is to blame */
		memcpy(page + 16, &error->lba, 8);
		memcpy(page + 24, &error->nsid, 4);
	}
	return NVME_MAX_ERRORS * ERROR_BYTES;
}

static size_t health(const struct nvme *nvme, uint8_t *page)
{
	const struct nvme_counts *counts = &nvme->counts;
	const struct nvme_features *features = &nvme->features;
	const uint16_t temperature = NVME_TEMPERATURE;
	/* "Thousands of 512 bytes", rounded up. */
	const struct {
		uint16_t at;
		uint64_t value;
	} numbers[] = {
		{ 32, (counts->sectors_read + 999) / 1000 },
		{ 48, (counts->sectors_written + 999) / 1000 },
		{ 64, counts->reads },
		{ 80, counts->writes },
		{ 176, counts->errors },
	};

	page[0] = NVME_TEMPERATURE >= features->hot || NVME_TEMPERATURE <= features->cold ? 2 : 0;
	memcpy(page + 1, &temperature, 2);
	page[3] = 100; /* spare, and below what it would be too little, per cent */
	page[4] = 10;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		memcpy(page + numbers[i].at, &numbers[i].value, 8);
	return 512;
}

static size_t firmware(const struct nvme *nvme, uint8_t *page)
{
	(void)nvme;
	page[0] = 1; /* the active slot */
	memcpy(page + 8, "1.0     ", 8);
	return 512;
}

/* They don't change as long as the server runs. */
static size_t changed(const struct nvme *nvme, uint8_t *page)
{
	(void)nvme;
	(void)page;
	return NVME_PAGE;
}

#define SUPPORTED 1u
#define CHANGES_DATA 2u

static size_t effects(const struct nvme *nvme, uint8_t *page)
{
	static const struct {
		uint16_t at;
		uint8_t value;
	} commands[] = {
		{ NVME_ADMIN_DELETE_SQ, SUPPORTED },
		{ NVME_ADMIN_CREATE_SQ, SUPPORTED },
		{ NVME_ADMIN_GET_LOG, SUPPORTED },
		{ NVME_ADMIN_DELETE_CQ, SUPPORTED },
		{ NVME_ADMIN_CREATE_CQ, SUPPORTED },
		{ NVME_ADMIN_IDENTIFY, SUPPORTED },
		{ NVME_ADMIN_ABORT, SUPPORTED },
		{ NVME_ADMIN_SET_FEATURES, SUPPORTED },
		{ NVME_ADMIN_GET_FEATURES, SUPPORTED },
		{ NVME_ADMIN_ASYNC_EVENT, SUPPORTED },
		{ NVME_ADMIN_DOORBELL_BUFFER, SUPPORTED },
		{ 256 + NVME_FLUSH, SUPPORTED },
		{ 256 + NVME_WRITE, SUPPORTED | CHANGES_DATA },
		{ 256 + NVME_READ, SUPPORTED },
		{ 256 + NVME_WRITE_ZEROES, SUPPORTED | CHANGES_DATA },
		{ 256 + NVME_DATASET, SUPPORTED | CHANGES_DATA },
	};

	(void)nvme;
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		page[commands[i].at * 4] = commands[i].value;
	return NVME_PAGE;
}

/* Which events are told of again once it has been read. */
#define NO_EVENT NVME_NR_EVENTS

static const struct {
	uint8_t id;
	log_fn *put;
	unsigned int event;
} logs[] = {
	{ NVME_LOG_ERRORS, errors, NVME_EVENT_ERROR },
	{ NVME_LOG_HEALTH, health, NVME_EVENT_HEALTH },
	{ NVME_LOG_FIRMWARE, firmware, NO_EVENT },
	{ NVME_LOG_CHANGED, changed, NO_EVENT },
	{ NVME_LOG_EFFECTS, effects, NO_EVENT },
};

#define NR_LOGS (sizeof(logs) / sizeof(*logs))

/* Bytes [offset, ...) of the log in the page: as many as there are, if so many are wanted. */
static void answer_part(struct nvme_command *command, size_t bytes)
{
	const struct nvme_sqe *sqe = &command->sqe;
	uint64_t offset = sqe->cdw12 | (uint64_t)sqe->cdw13 << 32;
	uint64_t wanted = ((sqe->cdw10 >> 16) + ((uint64_t)(sqe->cdw11 & 0xffff) << 16) + 1) * 4;

	if (offset % 4 || offset >= bytes) {
		nvme_complete(command, NVME_BAD_FIELD);
		return;
	}
	memmove(command->page, command->page + offset, bytes - offset);
	bytes -= offset;
	nvme_answer(command, wanted < bytes ? wanted : bytes);
}

void nvme_get_log(struct nvme_command *command)
{
	struct nvme *nvme = nvme_of(command);
	uint32_t cdw10 = command->sqe.cdw10;
	bool retains = cdw10 >> 15 & 1;
	size_t i = 0;

	while (i < NR_LOGS && logs[i].id != (uint8_t)cdw10)
		i++;
	if (i == NR_LOGS) {
		nvme_complete(command, NVME_BAD_LOG_PAGE);
		return;
	}
	memset(command->page, 0, NVME_PAGE);
	if (logs[i].event != NO_EVENT && !retains)
		nvme->asyncs[logs[i].event].masked = false;
	answer_part(command, logs[i].put(nvme, command->page));
}
