/* SPDX-License-Identifier: BSD-3-Clause */
/* Migration: what a guest can see of the controller, and what it has asked for and not heard of. */
#include <errno.h>

#include "nvme.h"

#define STATE_VERSION 1u

struct saved {
	uint32_t version;
	uint32_t nr_io_queues;
	uint32_t nr_namespaces;
	uint32_t intms, cc, csts, aqa;
	uint32_t nr_event_requests;
	uint32_t held;
	uint32_t zeros;
	uint64_t asq, acq;
	uint64_t shadow, events;
	uint64_t bytes[NVME_MAX_NAMESPACES];
	char serial[NVME_SERIAL_BYTES];
	uint16_t event_cids[NVME_MAX_EVENT_REQUESTS];
	uint8_t asyncs[NVME_NR_EVENTS][4];
	uint8_t more_zeros[4];
	struct nvme_features features;
	struct nvme_counts counts;
};

struct saved_queue {
	uint64_t sq_base, cq_base;
	uint32_t sq_size, sq_head, sq_tail;
	uint32_t cq_size, cq_head, cq_tail;
	uint16_t cq; /* of the submission queue */
	uint16_t vector;
	uint8_t has_sq, has_cq, interrupts, phase;
};

struct saved_command {
	uint16_t sq, cid, status, zeros;
	uint32_t result;
};

/* ---- saving ---- */

static void save_controller(const struct nvme *nvme, struct fp_stream *to)
{
	struct saved saved = {
		.version = STATE_VERSION,
		.nr_io_queues = (uint32_t)nvme->nr_io_queues,
		.nr_namespaces = nvme->nr_namespaces,
		.intms = nvme->intms,
		.cc = nvme->cc,
		.csts = nvme->csts,
		.aqa = nvme->aqa,
		.nr_event_requests = nvme->nr_event_requests,
		.held = nvme->held,
		.asq = nvme->asq,
		.acq = nvme->acq,
		.shadow = nvme->shadow,
		.events = nvme->events,
		.features = nvme->features,
		.counts = nvme->counts,
	};

	for (uint32_t i = 0; i < nvme->nr_namespaces; i++)
		saved.bytes[i] = nvme->namespaces[i].disk.bytes;
	memcpy(saved.serial, nvme->serial_text, NVME_SERIAL_BYTES);
	for (uint32_t i = 0; i < nvme->nr_event_requests; i++)
		saved.event_cids[i] = nvme->event_requests[i]->sqe.cid;
	for (uint32_t i = 0; i < NVME_NR_EVENTS; i++) {
		const struct nvme_event *event = &nvme->asyncs[i];

		memcpy(saved.asyncs[i],
		       (uint8_t[]){ event->pending, event->masked, event->info, event->log }, 4);
	}
	fp_stream_write(to, &saved, sizeof(saved));
	fp_stream_write(to, nvme->errors, sizeof(nvme->errors));
}

static void save_queue(const struct nvme_sq *sq, const struct nvme_cq *cq, struct fp_stream *to)
{
	struct saved_queue saved = { .has_sq = sq->exists, .has_cq = cq->exists };

	if (sq->exists) {
		saved.sq_base = sq->base;
		saved.sq_size = sq->size;
		saved.sq_head = sq->head;
		saved.sq_tail = sq->tail;
		saved.cq = sq->cq->id;
	}
	if (cq->exists) {
		saved.cq_base = cq->base;
		saved.cq_size = cq->size;
		saved.cq_head = cq->head;
		saved.cq_tail = cq->tail;
		saved.vector = cq->vector;
		saved.interrupts = cq->interrupts;
		saved.phase = cq->phase;
	}
	fp_stream_write(to, &saved, sizeof(saved));
}

static void save_held(const struct nvme_cq *cq, struct fp_stream *to)
{
	for (const struct nvme_command *command = cq->done; command; command = command->next) {
		const struct saved_command saved = {
			.sq = command->sq->id,
			.cid = command->sqe.cid,
			.status = command->status,
			.result = command->result,
		};

		fp_stream_write(to, &saved, sizeof(saved));
	}
}

/* What was written is there for whoever opens the files at the other end. */
int nvme_save(struct fp_device *dev, struct fp_stream *to)
{
	const struct nvme *nvme = fp_state(dev);

	if (!nvme_is_idle(nvme))
		return -EBUSY;
	for (uint32_t i = 0; i < nvme->nr_namespaces; i++) {
		int ret = disk_settle(&nvme->namespaces[i].disk);

		if (ret)
			return ret;
	}
	save_controller(nvme, to);
	for (uint32_t i = 0; i < NVME_MAX_QUEUES; i++)
		save_queue(&nvme->sqs[i], &nvme->cqs[i], to);
	for (uint32_t i = 0; i < NVME_MAX_QUEUES; i++)
		save_held(&nvme->cqs[i], to);
	return 0; /* a stream remembers its errors */
}

/* ---- loading ---- */

/* A guest would go on with what is not here. */
static int check_same(const struct nvme *nvme, const struct saved *saved)
{
	if (saved->nr_io_queues != nvme->nr_io_queues ||
	    saved->nr_namespaces != nvme->nr_namespaces) {
		fp_error(nvme->dev,
			 "what migrates has num-queues=%u and %u namespaces, this %u and %u",
			 saved->nr_io_queues, saved->nr_namespaces, (uint32_t)nvme->nr_io_queues,
			 nvme->nr_namespaces);
		return -EINVAL;
	}
	if (memcmp(saved->serial, nvme->serial_text, NVME_SERIAL_BYTES)) {
		fp_error(nvme->dev, "what migrates has serial=%.20s, this has %s", saved->serial,
			 nvme->serial_text);
		return -EINVAL;
	}
	for (uint32_t i = 0; i < nvme->nr_namespaces; i++) {
		const struct disk *disk = &nvme->namespaces[i].disk;

		if (saved->bytes[i] == disk->bytes)
			continue;
		fp_error(nvme->dev, "%s=%s: the disk that migrates has %llu bytes, this has %llu",
			 disk->key, disk->path, (unsigned long long)saved->bytes[i],
			 (unsigned long long)disk->bytes);
		return -EINVAL;
	}
	return 0;
}

static bool can_be(const struct nvme *nvme, const struct saved *saved)
{
	const struct nvme_features *features = &saved->features;

	for (uint32_t i = 0; i < NVME_MAX_QUEUES; i++)
		if ((features->vectors[i] & 0xffff) >= NVME_MAX_QUEUES)
			return false;
	return saved->nr_event_requests <= NVME_MAX_EVENT_REQUESTS && features->nr_queues &&
	       features->nr_queues <= nvme->nr_io_queues && !saved->shadow == !saved->events &&
	       !((saved->shadow | saved->events) % NVME_PAGE) &&
	       !(saved->csts & ~(NVME_CSTS_RDY | NVME_CSTS_CFS | NVME_CSTS_SHST_DONE));
}

static int load_event_requests(struct nvme *nvme, const struct saved *saved)
{
	for (uint32_t i = 0; i < saved->nr_event_requests; i++) {
		struct nvme_command *command = nvme_command_get(&nvme->sqs[0]);

		if (!command)
			return -ENOMEM;
		command->sqe = (struct nvme_sqe){
			.opcode = NVME_ADMIN_ASYNC_EVENT,
			.cid = saved->event_cids[i],
		};
		nvme->event_requests[nvme->nr_event_requests++] = command;
	}
	for (uint32_t i = 0; i < NVME_NR_EVENTS; i++)
		nvme->asyncs[i] = (struct nvme_event){
			.pending = saved->asyncs[i][0],
			.masked = saved->asyncs[i][1],
			.info = saved->asyncs[i][2],
			.log = saved->asyncs[i][3],
		};
	return 0;
}

static bool is_ring(uint64_t base, uint32_t size, uint32_t head, uint32_t tail)
{
	return size >= 2 && size <= NVME_PAGE && head < size && tail < size &&
	       !(base % NVME_PAGE) && base <= UINT64_MAX - (1u << 20);
}

static int load_cq(struct nvme_cq *cq, const struct saved_queue *saved)
{
	if (!is_ring(saved->cq_base, saved->cq_size, saved->cq_head, saved->cq_tail) ||
	    saved->vector > cq->nvme->nr_io_queues || saved->interrupts > 1 || saved->phase > 1)
		return -EINVAL;
	nvme_cq_create(cq, saved->cq_base, saved->cq_size, saved->interrupts, saved->vector);
	cq->head = saved->cq_head;
	cq->tail = saved->cq_tail;
	cq->phase = saved->phase;
	return 0;
}

static int load_sq(struct nvme_sq *sq, const struct saved_queue *saved)
{
	struct nvme_cq *cq = saved->cq < NVME_MAX_QUEUES ? &sq->nvme->cqs[saved->cq] : NULL;

	if (!cq || !cq->exists || !sq->id != !cq->id ||
	    !is_ring(saved->sq_base, saved->sq_size, saved->sq_head, saved->sq_tail))
		return -EINVAL;
	nvme_sq_create(sq, saved->sq_base, saved->sq_size, cq);
	sq->head = saved->sq_head;
	sq->tail = saved->sq_tail;
	return 0;
}

/* A controller that is ready has an admin queue, and one that is not has none at all. */
static int load_queues(struct nvme *nvme, const struct saved *controller, struct fp_stream *from)
{
	bool is_ready = controller->csts & NVME_CSTS_RDY;
	struct saved_queue saved[NVME_MAX_QUEUES];
	int ret = fp_stream_read(from, saved, sizeof(saved));

	for (uint32_t i = 0; i < NVME_MAX_QUEUES && !ret; i++) {
		bool may = is_ready && i <= nvme->nr_io_queues;

		if (saved[i].has_sq > 1 || saved[i].has_cq > may || saved[i].has_sq > may)
			ret = -EINVAL;
		else if (saved[i].has_cq)
			ret = load_cq(&nvme->cqs[i], &saved[i]);
	}
	for (uint32_t i = 0; i < NVME_MAX_QUEUES && !ret; i++)
		if (saved[i].has_sq)
			ret = load_sq(&nvme->sqs[i], &saved[i]);
	return ret || is_ready != nvme->sqs[0].exists ? -EINVAL : 0;
}

static int load_held(struct nvme *nvme, struct fp_stream *from)
{
	struct nvme_command *command;
	struct saved_command saved;
	struct nvme_sq *sq;

	if (fp_stream_read(from, &saved, sizeof(saved)) || saved.sq >= NVME_MAX_QUEUES ||
	    !nvme->sqs[saved.sq].exists || saved.status > INT16_MAX)
		return -EINVAL;
	sq = &nvme->sqs[saved.sq];
	command = nvme_command_get(sq);
	if (!command)
		return -ENOMEM;
	command->sqe = (struct nvme_sqe){ .cid = saved.cid };
	command->status = saved.status;
	command->result = saved.result;
	sq->in_flight++;
	nvme->in_flight++;
	nvme_cq_keep(sq->cq, command);
	return 0;
}

static int load_controller(struct nvme *nvme, const struct saved *saved, struct fp_stream *from)
{
	int ret = load_queues(nvme, saved, from);

	for (uint32_t i = 0; i < saved->held && !ret; i++)
		ret = load_held(nvme, from);
	if (!ret && saved->nr_event_requests && !nvme->sqs[0].exists)
		ret = -EINVAL;
	if (!ret)
		ret = load_event_requests(nvme, saved);
	nvme->intms = saved->intms;
	nvme->cc = saved->cc;
	nvme->csts = saved->csts;
	nvme->aqa = saved->aqa;
	nvme->asq = saved->asq;
	nvme->acq = saved->acq;
	nvme->shadow = saved->shadow;
	nvme->events = saved->events;
	nvme->features = saved->features;
	nvme->counts = saved->counts;
	return ret;
}

int nvme_load(struct fp_device *dev, struct fp_stream *from)
{
	struct nvme *nvme = fp_state(dev);
	struct saved saved;
	int ret;

	nvme_clear(nvme, true);
	if (fp_stream_read(from, &saved, sizeof(saved)) || saved.version != STATE_VERSION ||
	    fp_stream_read(from, nvme->errors, sizeof(nvme->errors)))
		return -EINVAL;
	ret = check_same(nvme, &saved);
	if (!ret && !can_be(nvme, &saved))
		ret = -EINVAL;
	if (!ret)
		ret = load_controller(nvme, &saved, from);
	if (ret)
		nvme_clear(nvme, true);
	else
		nvme_update_intx(nvme);
	return ret;
}
