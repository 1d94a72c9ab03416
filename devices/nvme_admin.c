/* SPDX-License-Identifier: BSD-3-Clause */
#include "nvme.h"

/* ---- queues, 5.3 to 5.6 ---- */

struct queue_ask {
	uint16_t id;
	uint32_t size;
	uint64_t base;
	uint32_t cdw11;
};

static struct queue_ask ask_of(const struct nvme_command *command)
{
	const struct nvme_sqe *sqe = &command->sqe;

	return (struct queue_ask){
		.id = (uint16_t)sqe->cdw10,
		.size = (sqe->cdw10 >> 16) + 1,
		.base = sqe->prp1,
		.cdw11 = sqe->cdw11,
	};
}

/* What is wrong with one that is to be created, whichever kind it is. */
static uint16_t check_queue(const struct nvme *nvme, const struct queue_ask *ask, bool exists)
{
	if (!ask->id || ask->id > nvme->features.nr_queues || exists)
		return NVME_BAD_QUEUE_ID;
	if (ask->size < 2 || ask->size > NVME_MAX_ENTRIES)
		return NVME_BAD_QUEUE_SIZE;
	if (NVME_CC_IOSQES(nvme->cc) != 6 || NVME_CC_IOCQES(nvme->cc) != 4 || !(ask->cdw11 & 1) ||
	    ask->base > UINT64_MAX - (1u << 20))
		return NVME_BAD_FIELD;
	return ask->base % NVME_PAGE ? NVME_BAD_PRP_OFFSET : NVME_OK;
}

static void create_cq(struct nvme_command *command)
{
	struct nvme *nvme = nvme_of(command);
	struct queue_ask ask = ask_of(command);
	uint16_t vector = (uint16_t)(ask.cdw11 >> 16);
	bool exists = ask.id < NVME_MAX_QUEUES && nvme->cqs[ask.id].exists;
	uint16_t status = check_queue(nvme, &ask, exists);

	if (!status && vector > nvme->nr_io_queues)
		status = NVME_BAD_VECTOR;
	if (!status)
		nvme_cq_create(&nvme->cqs[ask.id], ask.base, ask.size, ask.cdw11 & 2, vector);
	nvme_complete(command, status);
}

static void create_sq(struct nvme_command *command)
{
	struct nvme *nvme = nvme_of(command);
	struct queue_ask ask = ask_of(command);
	uint32_t cq = ask.cdw11 >> 16;
	bool exists = ask.id < NVME_MAX_QUEUES && nvme->sqs[ask.id].exists;
	uint16_t status = check_queue(nvme, &ask, exists);

	if (!status && (!cq || cq >= NVME_MAX_QUEUES || !nvme->cqs[cq].exists))
		status = NVME_BAD_CQ;
	if (!status)
		nvme_sq_create(&nvme->sqs[ask.id], ask.base, ask.size, &nvme->cqs[cq]);
	nvme_complete(command, status);
}

static void delete_cq(struct nvme_command *command)
{
	struct nvme *nvme = nvme_of(command);
	uint16_t id = (uint16_t)command->sqe.cdw10;
	uint16_t status = NVME_OK;

	if (!id || id >= NVME_MAX_QUEUES || !nvme->cqs[id].exists)
		status = NVME_BAD_QUEUE_ID;
	else if (nvme->cqs[id].nr_sqs)
		status = NVME_BAD_QUEUE_DELETION;
	else
		nvme->cqs[id].exists = false;
	nvme_update_intx(nvme);
	nvme_complete(command, status);
}

/* Completed when nothing of it is under way; what is not posted by then never is. */
static void delete_sq(struct nvme_command *command)
{
	struct nvme *nvme = nvme_of(command);
	uint16_t id = (uint16_t)command->sqe.cdw10;
	struct nvme_sq *sq;

	if (!id || id >= NVME_MAX_QUEUES || !nvme->sqs[id].exists || nvme->sqs[id].deletion) {
		nvme_complete(command, NVME_BAD_QUEUE_ID);
		return;
	}
	sq = &nvme->sqs[id];
	sq->deletion = command;
	nvme_sq_drop_done(sq);
	nvme_settle(nvme);
}

/* ---- shadow doorbells, 5.7 ---- */

/* A driver goes on without when this fails. The pages are found anew at each use, but not by message. */
static void doorbell_buffer(struct nvme_command *command)
{
	struct nvme *nvme = nvme_of(command);
	uint64_t shadow = command->sqe.prp1;
	uint64_t events = command->sqe.prp2;

	if (!shadow || !events || shadow % NVME_PAGE || events % NVME_PAGE ||
	    !fp_dma(nvme->dev, shadow, NVME_PAGE, false) ||
	    !fp_dma(nvme->dev, events, NVME_PAGE, true)) {
		nvme_complete(command, NVME_BAD_FIELD);
		return;
	}
	nvme->shadow = shadow;
	nvme->events = events;
	nvme_shadow_begin(nvme);
	nvme_complete(command, NVME_OK);
}

/* ---- events, 5.2 ---- */

void nvme_events_tell(struct nvme *nvme)
{
	for (unsigned int type = 0; type < NVME_NR_EVENTS; type++) {
		struct nvme_event *event = &nvme->asyncs[type];
		struct nvme_command *command = nvme->event_requests[0];

		if (!event->pending || !nvme->nr_event_requests)
			continue;
		nvme->nr_event_requests--;
		memmove(nvme->event_requests, nvme->event_requests + 1,
			nvme->nr_event_requests * sizeof(*nvme->event_requests));
		event->pending = false;
		event->masked = true;
		command->result = type | (uint32_t)event->info << 8 | (uint32_t)event->log << 16;
		nvme->in_flight++;
		nvme->sqs[0].in_flight++;
		nvme_complete(command, NVME_OK);
	}
}

void nvme_event_raise(struct nvme *nvme, unsigned int type, uint8_t info, uint8_t log)
{
	struct nvme_event *event = &nvme->asyncs[type];

	if (event->masked || event->pending)
		return;
	event->pending = true;
	event->info = info;
	event->log = log;
	nvme_events_tell(nvme);
}

/* From here on it is not in flight: nothing waits for it. */
static void async_event(struct nvme_command *command)
{
	struct nvme *nvme = nvme_of(command);

	if (nvme->nr_event_requests == NVME_MAX_EVENT_REQUESTS) {
		nvme_complete(command, NVME_TOO_MANY_EVENT_REQUESTS);
		return;
	}
	nvme->event_requests[nvme->nr_event_requests++] = command;
	nvme->in_flight--;
	nvme->sqs[0].in_flight--;
	nvme_events_tell(nvme);
}

/* ---- abort, 5.1 ---- */

static bool abort_event_request(struct nvme *nvme, uint16_t cid)
{
	for (uint32_t i = 0; i < nvme->nr_event_requests; i++) {
		struct nvme_command *command = nvme->event_requests[i];

		if (command->sqe.cid != cid)
			continue;
		nvme->nr_event_requests--;
		memmove(nvme->event_requests + i, nvme->event_requests + i + 1,
			(nvme->nr_event_requests - i) * sizeof(*nvme->event_requests));
		nvme->in_flight++;
		nvme->sqs[0].in_flight++;
		nvme_complete(command, NVME_ABORTED);
		return true;
	}
	return false;
}

/* "Best effort": whatever else there is ends by itself, and soon. */
static void abort_command(struct nvme_command *command)
{
	struct nvme *nvme = nvme_of(command);
	uint16_t sq = (uint16_t)command->sqe.cdw10;
	uint16_t cid = (uint16_t)(command->sqe.cdw10 >> 16);

	command->result = !(sq == 0 && abort_event_request(nvme, cid));
	nvme_complete(command, NVME_OK);
}

/* ---- all of them ---- */

static const struct {
	uint8_t opcode;
	void (*run)(struct nvme_command *command);
} commands[] = {
	{ NVME_ADMIN_DELETE_SQ, delete_sq },
	{ NVME_ADMIN_CREATE_SQ, create_sq },
	{ NVME_ADMIN_GET_LOG, nvme_get_log },
	{ NVME_ADMIN_DELETE_CQ, delete_cq },
	{ NVME_ADMIN_CREATE_CQ, create_cq },
	{ NVME_ADMIN_IDENTIFY, nvme_identify },
	{ NVME_ADMIN_ABORT, abort_command },
	{ NVME_ADMIN_SET_FEATURES, nvme_set_features },
	{ NVME_ADMIN_GET_FEATURES, nvme_get_features },
	{ NVME_ADMIN_ASYNC_EVENT, async_event },
	{ NVME_ADMIN_DOORBELL_BUFFER, doorbell_buffer },
};

/* "PRPs shall be used for all Admin commands" by PCI Express. */
void nvme_admin(struct nvme_command *command)
{
	if (command->sqe.flags) {
		nvme_complete(command, NVME_BAD_FIELD);
		return;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (commands[i].opcode == command->sqe.opcode) {
			commands[i].run(command);
			return;
		}
	nvme_complete(command, NVME_BAD_OPCODE);
}

/* ---- answers ---- */

static void answered(struct steps *steps)
{
	nvme_complete(nvme_command_of(steps), NVME_OK);
}

static void write_answer(struct steps *steps)
{
	struct nvme_command *command = nvme_command_of(steps);

	nvme_data_write(command, command->page, answered);
}

void nvme_answer(struct nvme_command *command, size_t bytes)
{
	nvme_data_map(command, bytes, write_answer);
}
