/* SPDX-License-Identifier: BSD-3-Clause */
#include "nvme.h"

/* Commands of one submission queue that are under way. */
#define MAX_IN_FLIGHT 128u

/* So many of one queue, then the others of this thread have their turn. */
#define SHARE 256u

static struct nvme_sq *sq_of(struct steps *steps)
{
	return (struct nvme_sq *)((char *)steps - offsetof(struct nvme_sq, in));
}

static struct nvme_cq *cq_of(struct steps *steps)
{
	return (struct nvme_cq *)((char *)steps - offsetof(struct nvme_cq, out));
}

/* ---- shadow doorbells: Doorbell Buffer Config, 5.7 and 7.13 ---- */

static bool has_shadow(const struct nvme *nvme, uint16_t id)
{
	return id && nvme->shadow;
}

static uint64_t tail_at(uint16_t id)
{
	return id * 8ull;
}

static uint64_t head_at(uint16_t id)
{
	return id * 8ull + 4;
}

/* One word of a page that was mapped when the driver named it. NULL: it is not any more. */
static uint32_t *shared_word(struct nvme *nvme, uint64_t page, uint64_t offset, bool write)
{
	uint32_t *at = fp_dma(nvme->dev, page + offset, sizeof(*at), write);

	if (!at)
		nvme_fatal(nvme, "the shadow doorbells are not in memory any more");
	return at;
}

static uint32_t load_shadow(struct nvme *nvme, uint64_t offset, uint32_t otherwise)
{
	const uint32_t *at = shared_word(nvme, nvme->shadow, offset, false);

	/* Before what the queue holds: the driver wrote that first. */
	return at ? __atomic_load_n(at, __ATOMIC_ACQUIRE) : otherwise;
}

/*
 * The driver is to ring when it passes `event`. It looks at that after it has stored its value, and we
 * look at the value after this, so that one of us sees the other's.
 */
static void store_event(struct nvme *nvme, uint64_t offset, uint32_t event)
{
	uint32_t *at = shared_word(nvme, nvme->events, offset, true);

	if (at)
		__atomic_store_n(at, event, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void bad_value(struct nvme *nvme, bool *has_lied)
{
	if (!*has_lied)
		nvme_event_raise(nvme, NVME_EVENT_ERROR, NVME_EVENT_BAD_DOORBELL_VALUE,
				 NVME_LOG_ERRORS);
	*has_lied = true;
}

/* ---- submission queues ---- */

static void set_tail(struct nvme_sq *sq, uint32_t tail)
{
	if (tail < sq->size) {
		sq->tail = tail;
		sq->has_lied = false;
	} else {
		bad_value(sq->nvme, &sq->has_lied);
	}
}

/* Looks for more. When there is none the driver rings for the next. */
static void refresh_tail(struct nvme_sq *sq)
{
	struct nvme *nvme = sq->nvme;
	uint64_t at = tail_at(sq->id);
	uint32_t tail;

	if (!has_shadow(nvme, sq->id))
		return;
	tail = load_shadow(nvme, at, sq->tail);
	if (tail == sq->tail) {
		store_event(nvme, at, tail);
		tail = load_shadow(nvme, at, tail);
	}
	if (tail != sq->tail)
		set_tail(sq, tail);
}

static void look_again(struct fp_device *dev, struct fp_timer *timer)
{
	(void)dev;
	nvme_sq_look((struct nvme_sq *)((char *)timer - offsetof(struct nvme_sq, again)));
}

static bool may_take(struct nvme_sq *sq)
{
	sq->is_stalled = false;
	if (!sq->exists || sq->deletion || !nvme_is_live(sq->nvme) || sq->nvme->stands)
		return false;
	if (sq->in_flight >= MAX_IN_FLIGHT) {
		sq->is_stalled = true;
		return false;
	}
	if (sq->share)
		return true;
	sq->again.expired = look_again;
	fp_timer_start(sq->nvme->dev, &sq->again, 0);
	return false;
}

static void look(struct steps *steps);

static void taken(struct steps *steps)
{
	struct nvme_sq *sq = sq_of(steps);
	struct nvme_command *command = sq->taking;

	sq->taking = NULL;
	if (!sq->exists || sq->deletion || !nvme_is_live(sq->nvme)) {
		nvme_command_put(command);
		return;
	}
	sq->head = (sq->head + 1) % sq->size;
	sq->share--;
	steps_then(steps, look);
	nvme_command_run(command);
}

static void look(struct steps *steps)
{
	struct nvme_sq *sq = sq_of(steps);

	if (!may_take(sq))
		return;
	if (sq->head == sq->tail)
		refresh_tail(sq);
	if (sq->head == sq->tail)
		return;
	sq->taking = nvme_command_get(sq);
	if (!sq->taking) {
		nvme_fatal(sq->nvme, "the server is out of memory");
		return;
	}
	steps_read(steps, sq->base + sq->head * sizeof(struct nvme_sqe), &sq->taking->sqe,
		   sizeof(struct nvme_sqe), taken);
}

static void in_failed(struct steps *steps)
{
	struct nvme_sq *sq = sq_of(steps);

	nvme_command_put(sq->taking);
	sq->taking = NULL;
	nvme_fatal(sq->nvme, "submission queue %u is not in memory", sq->id);
}

static void in_over(struct steps *steps)
{
	nvme_settle(sq_of(steps)->nvme);
}

void nvme_sq_go_on(struct nvme_sq *sq)
{
	if (sq->exists)
		steps_begin(&sq->in, look);
}

void nvme_sq_look(struct nvme_sq *sq)
{
	sq->share = SHARE;
	nvme_sq_go_on(sq);
}

/* ---- completion queues ---- */

static uint32_t used(const struct nvme_cq *cq, uint32_t head)
{
	return (cq->tail + cq->size - head) % cq->size;
}

static bool is_full(const struct nvme_cq *cq)
{
	return used(cq, cq->head) == cq->size - 1;
}

/* A head passes what was posted, and no more. */
static void set_head(struct nvme_cq *cq, uint32_t head)
{
	if (head < cq->size && used(cq, head) <= used(cq, cq->head)) {
		cq->head = head;
		cq->has_lied = false;
	} else {
		bad_value(cq->nvme, &cq->has_lied);
	}
}

/* Whether the level of INTx depends on it, so that each of its heads has to be known. */
static bool is_level(const struct nvme_cq *cq)
{
	return cq->interrupts && (!cq->id || fp_irq_wanted(cq->nvme->dev, FP_INTX, 0));
}

/*
 * Where the driver is. It rings for the next entry that it takes only if somebody waits for that; else
 * once it has been all around, which it can't be before we have looked again.
 */
static void refresh_head(struct nvme_cq *cq)
{
	struct nvme *nvme = cq->nvme;
	uint64_t at = head_at(cq->id);
	uint32_t head;

	if (!has_shadow(nvme, cq->id))
		return;
	head = load_shadow(nvme, at, cq->head);
	if (head != cq->head)
		set_head(cq, head);
	if (!is_full(cq) && !is_level(cq)) {
		store_event(nvme, at, (cq->head + cq->size - 1) % cq->size);
		return;
	}
	store_event(nvme, at, cq->head);
	head = load_shadow(nvme, at, cq->head);
	if (head != cq->head)
		set_head(cq, head);
}

void nvme_update_intx(struct nvme *nvme)
{
	bool high = false;

	for (uint32_t i = 0; i < NVME_MAX_QUEUES; i++) {
		const struct nvme_cq *cq = &nvme->cqs[i];

		if (cq->exists && used(cq, cq->head) && is_level(cq))
			high = true;
	}
	fp_irq_level(nvme->dev, high && !(nvme->intms & 1));
}

static void interrupt(struct nvme_cq *cq)
{
	if (!cq->interrupts)
		return;
	fp_irq_trigger(cq->nvme->dev, FP_MSIX, cq->vector);
	if (!is_level(cq))
		return;
	refresh_head(cq);
	nvme_update_intx(cq->nvme);
}

static void post(struct steps *steps);

static void posted(struct steps *steps)
{
	struct nvme_cq *cq = cq_of(steps);
	struct nvme_command *command = cq->posting;

	cq->posting = NULL;
	cq->has_posted = true;
	cq->tail++;
	if (cq->tail == cq->size) {
		cq->tail = 0;
		cq->phase = !cq->phase;
	}
	steps_then(steps, post);
	nvme_command_end(command);
}

/* The phase goes last: the driver may look at any time. False: not mapped. */
static bool put(struct nvme_cq *cq, uint64_t iova)
{
	struct nvme_cqe *at = fp_dma(cq->nvme->dev, iova, sizeof(*at), true);

	if (!at)
		return false;
	at->result = cq->entry.result;
	at->reserved = 0;
	at->sq_head = cq->entry.sq_head;
	at->sq_id = cq->entry.sq_id;
	at->cid = cq->entry.cid;
	__atomic_store_n(&at->status, cq->entry.status, __ATOMIC_RELEASE);
	return true;
}

static struct nvme_command *take_done(struct nvme_cq *cq)
{
	struct nvme_command *command = cq->done;

	cq->done = command->next;
	if (!cq->done)
		cq->done_end = &cq->done;
	cq->nvme->held--;
	return command;
}

static void post(struct steps *steps)
{
	struct nvme_cq *cq = cq_of(steps);
	uint64_t at = cq->base + cq->tail * sizeof(cq->entry);
	const struct nvme_command *command;

	if (!cq->done || cq->nvme->stands)
		return;
	if (is_full(cq))
		refresh_head(cq);
	if (is_full(cq) || !nvme_is_live(cq->nvme))
		return;
	command = cq->posting = take_done(cq);
	cq->entry = (struct nvme_cqe){
		.result = command->result,
		.sq_head = (uint16_t)command->sq->head,
		.sq_id = command->sq->id,
		.cid = command->sqe.cid,
		.status = (uint16_t)(command->status << 1 | cq->phase),
	};
	if (put(cq, at))
		steps_then(steps, posted);
	else
		steps_write(steps, at, &cq->entry, sizeof(cq->entry), posted);
}

static void out_failed(struct steps *steps)
{
	struct nvme_cq *cq = cq_of(steps);
	struct nvme_command *command = cq->posting;

	cq->posting = NULL;
	nvme_fatal(cq->nvme, "completion queue %u is not in memory", cq->id);
	nvme_command_end(command);
}

static void out_over(struct steps *steps)
{
	struct nvme_cq *cq = cq_of(steps);

	if (cq->has_posted) {
		cq->has_posted = false;
		interrupt(cq);
		/* That may have seen room, of which nobody is going to tell. */
		if (cq->done && !is_full(cq) && nvme_is_live(cq->nvme))
			steps_begin(steps, post);
	}
	nvme_settle(cq->nvme);
}

void nvme_cq_keep(struct nvme_cq *cq, struct nvme_command *command)
{
	command->next = NULL;
	*cq->done_end = command;
	cq->done_end = &command->next;
	cq->nvme->held++;
}

void nvme_cq_add(struct nvme_cq *cq, struct nvme_command *command)
{
	nvme_cq_keep(cq, command);
	steps_begin(&cq->out, post);
}

/* The driver may have taken some. */
static void cq_look(struct nvme_cq *cq)
{
	if (!cq->exists || !nvme_is_live(cq->nvme) || cq->nvme->stands)
		return;
	refresh_head(cq);
	steps_begin(&cq->out, post);
	nvme_update_intx(cq->nvme);
}

/* ---- doorbells ---- */

static void bad_doorbell(struct nvme *nvme)
{
	nvme_event_raise(nvme, NVME_EVENT_ERROR, NVME_EVENT_BAD_DOORBELL, NVME_LOG_ERRORS);
}

static void ring_sq(struct nvme_sq *sq, uint32_t value)
{
	sq->has_lied = false;
	if (!has_shadow(sq->nvme, sq->id))
		set_tail(sq, value);
	nvme_sq_look(sq);
}

static void ring_cq(struct nvme_cq *cq, uint32_t value)
{
	cq->has_lied = false;
	if (!has_shadow(cq->nvme, cq->id))
		set_head(cq, value);
	cq_look(cq);
}

void nvme_doorbell(struct nvme *nvme, uint64_t offset, uint32_t value)
{
	uint64_t index = (offset - NVME_DOORBELLS) / 4;
	uint64_t id = index / 2;

	if (!nvme_is_live(nvme))
		return;
	if (id >= NVME_MAX_QUEUES)
		bad_doorbell(nvme);
	else if (index % 2 && nvme->cqs[id].exists)
		ring_cq(&nvme->cqs[id], value);
	else if (!(index % 2) && nvme->sqs[id].exists)
		ring_sq(&nvme->sqs[id], value);
	else
		bad_doorbell(nvme);
}

/* One that comes late, from before a reset, is of a queue that is not there. */
void nvme_ring(struct nvme *nvme, uint16_t id)
{
	struct nvme_sq *sq = &nvme->sqs[id];
	struct nvme_cq *cq = &nvme->cqs[id];

	if (!nvme_is_live(nvme) || (!sq->exists && !cq->exists))
		return;
	if (!has_shadow(nvme, id)) {
		nvme_fatal(nvme,
			   "queue %u rings, and with doorbells=eventfd nobody knows with what: "
			   "this driver has no shadow doorbells; try doorbells=span",
			   id);
		return;
	}
	nvme_sq_look(sq);
	cq_look(cq);
}

void nvme_shadow_begin(struct nvme *nvme)
{
	for (uint16_t i = 1; i < NVME_MAX_QUEUES; i++) {
		if (nvme->sqs[i].exists)
			store_event(nvme, tail_at(i), nvme->sqs[i].tail);
		if (nvme->cqs[i].exists)
			refresh_head(&nvme->cqs[i]);
	}
}

void nvme_look_at_all(struct nvme *nvme)
{
	for (uint32_t i = 0; i < NVME_MAX_QUEUES; i++) {
		nvme_sq_look(&nvme->sqs[i]);
		cq_look(&nvme->cqs[i]);
	}
}

/* ---- life ---- */

void nvme_queues_init(struct nvme *nvme)
{
	for (uint16_t i = 0; i < NVME_MAX_QUEUES; i++) {
		nvme->cqs[i] = (struct nvme_cq){
			.nvme = nvme,
			.id = i,
			.done_end = &nvme->cqs[i].done,
			.out = { .dev = nvme->dev, .failed = out_failed, .over = out_over },
		};
		nvme->sqs[i] = (struct nvme_sq){
			.nvme = nvme,
			.id = i,
			.in = { .dev = nvme->dev, .failed = in_failed, .over = in_over },
		};
	}
}

void nvme_cq_create(struct nvme_cq *cq, uint64_t base, uint32_t size, bool interrupts,
		    uint16_t vector)
{
	cq->base = base;
	cq->size = size;
	cq->interrupts = interrupts;
	cq->vector = vector;
	cq->head = cq->tail = 0;
	cq->nr_sqs = 0;
	cq->phase = true;
	cq->has_lied = cq->has_posted = false;
	cq->exists = true;
	if (has_shadow(cq->nvme, cq->id))
		store_event(cq->nvme, head_at(cq->id), size - 1);
}

void nvme_sq_create(struct nvme_sq *sq, uint64_t base, uint32_t size, struct nvme_cq *cq)
{
	sq->base = base;
	sq->size = size;
	sq->cq = cq;
	sq->head = sq->tail = 0;
	sq->has_lied = false;
	sq->exists = true;
	cq->nr_sqs++;
	if (has_shadow(sq->nvme, sq->id))
		store_event(sq->nvme, tail_at(sq->id), 0);
}

void nvme_sq_drop_done(struct nvme_sq *sq)
{
	struct nvme_cq *cq = sq->cq;
	struct nvme_command **link = &cq->done;

	while (*link) {
		struct nvme_command *command = *link;

		if (command->sq != sq) {
			link = &command->next;
			continue;
		}
		*link = command->next;
		cq->nvme->held--;
		cq->nvme->in_flight--;
		sq->in_flight--;
		nvme_command_put(command);
	}
	cq->done_end = link;
}

void nvme_sq_delete(struct nvme_sq *sq)
{
	fp_timer_stop(&sq->again);
	sq->exists = sq->is_stalled = false;
	sq->deletion = NULL;
	sq->cq->nr_sqs--;
	sq->cq = NULL;
}

void nvme_queues_clear(struct nvme *nvme)
{
	for (uint32_t i = 0; i < NVME_MAX_QUEUES; i++) {
		struct nvme_sq *sq = &nvme->sqs[i];

		if (!sq->exists)
			continue;
		nvme_sq_drop_done(sq);
		nvme_sq_delete(sq);
	}
	for (uint32_t i = 0; i < NVME_MAX_QUEUES; i++)
		nvme->cqs[i].exists = false;
}
