/* SPDX-License-Identifier: BSD-3-Clause */
/* Get Features, Set Features: what the driver may change (5.9, 5.21). */
#include "nvme.h"

enum {
	SELECT_CURRENT = 0,
	SELECT_DEFAULT = 1,
	SELECT_SAVED = 2,
	SELECT_CAPABILITIES = 3,
};

#define CHANGEABLE (1u << 2)

#define COALESCING_DISABLED (1u << 16) /* of a vector: what there is is never held back */
#define OVER_TEMPERATURE 0u
#define UNDER_TEMPERATURE 1u
#define ALL_SENSORS 0xfu
#define HEALTH_TEMPERATURE (1u << 1) /* in the configuration of events */

/* Those that are a number to be kept, with the bits that are of use. */
static const struct {
	bool is_there;
	uint32_t bits, at_first;
} kept[NVME_NR_FEATURES] = {
	[NVME_FEATURE_ARBITRATION] = { true, 0xffffff07, 7 },
	[NVME_FEATURE_POWER] = { true, 0x1f, 0 },
	[NVME_FEATURE_ERROR_RECOVERY] = { true, 0x1ffff, 0 },
	[NVME_FEATURE_WRITE_CACHE] = { true, 1, 1 },
	[NVME_FEATURE_COALESCING] = { true, 0xffff, 0 },
	[NVME_FEATURE_ATOMICITY] = { true, 1, 0 },
	[NVME_FEATURE_EVENTS] = { true, 0xffff, 0 },
};

void nvme_features_clear(struct nvme *nvme)
{
	struct nvme_features *features = &nvme->features;

	for (unsigned int i = 0; i < NVME_NR_FEATURES; i++)
		features->values[i] = kept[i].at_first;
	for (unsigned int i = 0; i < NVME_MAX_QUEUES; i++)
		features->vectors[i] = i;
	features->cold = 0;
	features->hot = 343;
	features->nr_queues = (uint32_t)nvme->nr_io_queues;
}

/* ---- temperature ---- */

/* The threshold that cdw11 is about, or NULL. */
static uint32_t *threshold(struct nvme *nvme, uint32_t cdw11)
{
	uint32_t sensor = cdw11 >> 16 & 0xf;
	uint32_t side = cdw11 >> 20 & 3;

	if ((sensor && sensor != ALL_SENSORS) || side > UNDER_TEMPERATURE)
		return NULL;
	return side == OVER_TEMPERATURE ? &nvme->features.hot : &nvme->features.cold;
}

static uint16_t set_threshold(struct nvme *nvme, uint32_t cdw11)
{
	const struct nvme_features *features = &nvme->features;
	uint32_t *at = threshold(nvme, cdw11);

	if (!at)
		return NVME_BAD_FIELD;
	*at = cdw11 & 0xffff;
	if ((NVME_TEMPERATURE >= features->hot || NVME_TEMPERATURE <= features->cold) &&
	    features->values[NVME_FEATURE_EVENTS] & HEALTH_TEMPERATURE)
		nvme_event_raise(nvme, NVME_EVENT_HEALTH, NVME_EVENT_TEMPERATURE, NVME_LOG_HEALTH);
	return NVME_OK;
}

/* ---- queues ---- */

static uint32_t told_of_queues(uint32_t nr)
{
	return (nr - 1) | (nr - 1) << 16;
}

static bool has_queues(const struct nvme *nvme)
{
	for (uint32_t i = 1; i < NVME_MAX_QUEUES; i++)
		if (nvme->sqs[i].exists || nvme->cqs[i].exists)
			return true;
	return false;
}

static uint16_t set_queues(struct nvme *nvme, struct nvme_command *command)
{
	uint32_t sqs = (command->sqe.cdw11 & 0xffff) + 1;
	uint32_t cqs = (command->sqe.cdw11 >> 16) + 1;
	uint32_t nr = sqs > cqs ? sqs : cqs;

	if (sqs > 0xffff || cqs > 0xffff)
		return NVME_BAD_FIELD;
	if (has_queues(nvme))
		return NVME_SEQUENCE_ERROR;
	nvme->features.nr_queues = nr < nvme->nr_io_queues ? nr : (uint32_t)nvme->nr_io_queues;
	command->result = told_of_queues(nvme->features.nr_queues);
	return NVME_OK;
}

/* ---- vectors ---- */

static uint16_t set_vector(struct nvme *nvme, uint32_t cdw11)
{
	uint32_t vector = cdw11 & 0xffff;

	if (vector > nvme->nr_io_queues)
		return NVME_BAD_FIELD;
	nvme->features.vectors[vector] = cdw11 & (COALESCING_DISABLED | 0xffff);
	return NVME_OK;
}

/* ---- both ---- */

static uint16_t set(struct nvme *nvme, struct nvme_command *command)
{
	uint32_t cdw11 = command->sqe.cdw11;
	uint8_t id = (uint8_t)command->sqe.cdw10;

	switch (id) {
	case NVME_FEATURE_TEMPERATURE:
		return set_threshold(nvme, cdw11);
	case NVME_FEATURE_QUEUES:
		return set_queues(nvme, command);
	case NVME_FEATURE_VECTOR:
		return set_vector(nvme, cdw11);
	case NVME_FEATURE_POWER:
		if (cdw11 & 0x1f) /* there is state 0 */
			return NVME_BAD_FIELD;
		break;
	default:
		break;
	}
	if (id >= NVME_NR_FEATURES || !kept[id].is_there)
		return NVME_BAD_FIELD;
	nvme->features.values[id] = cdw11 & kept[id].bits;
	return NVME_OK;
}

void nvme_set_features(struct nvme_command *command)
{
	bool saves = command->sqe.cdw10 >> 31;

	nvme_complete(command, saves ? NVME_NOT_SAVEABLE : set(nvme_of(command), command));
}

static uint16_t get(struct nvme *nvme, const struct nvme_command *command, uint32_t *value)
{
	uint32_t cdw11 = command->sqe.cdw11;
	uint8_t id = (uint8_t)command->sqe.cdw10;
	const uint32_t *at;

	switch (id) {
	case NVME_FEATURE_TEMPERATURE:
		at = threshold(nvme, cdw11);
		*value = at ? *at : 0;
		return at ? NVME_OK : NVME_BAD_FIELD;
	case NVME_FEATURE_QUEUES:
		*value = told_of_queues(nvme->features.nr_queues);
		return NVME_OK;
	case NVME_FEATURE_VECTOR:
		if ((cdw11 & 0xffff) > nvme->nr_io_queues)
			return NVME_BAD_FIELD;
		*value = nvme->features.vectors[cdw11 & 0xffff];
		return NVME_OK;
	default:
		if (id >= NVME_NR_FEATURES || !kept[id].is_there)
			return NVME_BAD_FIELD;
		*value = nvme->features.values[id];
		return NVME_OK;
	}
}

/* What it is at first is what it would be after a reset, so that is asked. */
static uint16_t get_default(const struct nvme *nvme, const struct nvme_command *command,
			    uint32_t *value)
{
	struct nvme fresh = { .nr_io_queues = nvme->nr_io_queues };

	nvme_features_clear(&fresh);
	return get(&fresh, command, value);
}

void nvme_get_features(struct nvme_command *command)
{
	struct nvme *nvme = nvme_of(command);
	uint32_t select = command->sqe.cdw10 >> 8 & 7;
	uint32_t value = 0;
	uint16_t status;

	if (select > SELECT_CAPABILITIES)
		status = NVME_BAD_FIELD;
	else if (select == SELECT_DEFAULT || select == SELECT_SAVED)
		status = get_default(nvme, command, &value);
	else
		status = get(nvme, command, &value);
	if (!status)
		command->result = select == SELECT_CAPABILITIES ? CHANGEABLE : value;
	nvme_complete(command, status);
}
