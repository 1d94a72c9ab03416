/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nvme: an NVM Express controller (1.4) whose namespaces are files or block devices.
 *
 *	nvme.c		the class: keys, registers, reset and shutdown
 *	nvme_queue.c	submission and completion queues, doorbells with and without shadow
 *	nvme_command.c	a command's life, from its entry to its completion
 *	nvme_data.c	what a command reads or writes of guest memory: PRPs and SGLs
 *	nvme_admin.c	the admin commands; nvme_identify.c, nvme_features.c, nvme_log.c: of the larger ones
 *	nvme_io.c	the I/O commands
 *	nvme_state.c	migration
 *
 * What a driver wrote is read once. What can't be ends in a status of its command, in an event for a
 * doorbell, and where there is no command to blame in CSTS.CFS.
 */
#ifndef FASTPATH_NVME_H
#define FASTPATH_NVME_H

#include "disk.h"
#include "fastpath.h"
#include "nvme_spec.h"
#include "steps.h"

#define NVME_PAGE 4096u
#define NVME_MAX_IO_QUEUES 16u
#define NVME_MAX_QUEUES (NVME_MAX_IO_QUEUES + 1)
#define NVME_MAX_ENTRIES 1024u
#define NVME_MAX_NAMESPACES 8u
#define NVME_MAX_BYTES_SHIFT 8u /* in pages: MDTS */
#define NVME_MAX_BYTES (NVME_PAGE << NVME_MAX_BYTES_SHIFT)
#define NVME_MAX_PIECES (NVME_MAX_BYTES / NVME_PAGE + 1)
#define NVME_MAX_EVENT_REQUESTS 4u
#define NVME_MAX_ERRORS 16u /* that the log keeps */
#define NVME_SERIAL_BYTES 20u
#define NVME_TEMPERATURE 300u /* kelvin; it never gets warmer */

#define NVME_BAR_BYTES 0x4000u

struct nvme;
struct nvme_sq;

struct nvme_command {
	struct steps steps; /* first */
	struct nvme_sq *sq;
	struct nvme_command *next; /* in one list: idle, or to be completed */
	struct nvme_sqe sqe;
	uint16_t status;
	uint32_t result;

	/* nvme_data_map() */
	uint64_t left;	   /* bytes that have no piece yet */
	uint32_t entries;  /* of a list or a segment that are in `page` */
	uint32_t sgl_left; /* descriptors of the segment that have not been read yet, */
	uint64_t list;	   /* from here */
	uint32_t sgl_seen;
	bool is_last_segment;
	step_fn *then;
	struct fp_piece pieces[NVME_MAX_PIECES];
	size_t nr_pieces;

	/* nvme_data_read(), nvme_data_write() */
	uint8_t *at;
	size_t piece;

	struct disk_op op;
	struct nvme_ns *ns;
	unsigned int range; /* of a dataset management that is under way */
	uint8_t page[NVME_PAGE] __attribute__((aligned(16)));
};

struct nvme_cq {
	struct nvme *nvme;
	uint16_t id;
	bool exists;
	bool interrupts;
	bool phase;
	bool has_posted; /* since the last interrupt */
	bool has_lied;	 /* a shadow value that can't be has been told of */
	uint16_t vector;
	uint16_t nr_sqs;
	uint64_t base;
	uint32_t size, head, tail;
	struct steps out;
	struct nvme_cqe entry;
	struct nvme_command *posting;
	struct nvme_command *done; /* to be posted, the oldest first */
	struct nvme_command **done_end;
};

struct nvme_sq {
	struct nvme *nvme;
	uint16_t id;
	bool exists;
	bool is_stalled; /* so many of its commands are under way that no more are taken */
	bool has_lied;
	struct nvme_cq *cq;
	uint64_t base;
	uint32_t size, head, tail;
	uint32_t in_flight; /* commands, those to be posted too, but no event requests */
	uint16_t share;	    /* commands that may be taken until others have their turn */
	struct fp_timer again;
	struct steps in;
	struct nvme_command *taking;
	struct nvme_command *deletion; /* waits until nothing of it is in flight */
};

struct nvme_ns {
	uint32_t id;
	struct disk disk;
};

/* One that is told of by an event request; nothing more of its type until its log page is read. */
struct nvme_event {
	bool pending;
	bool masked;
	uint8_t info;
	uint8_t log;
};

struct nvme_error {
	uint64_t number; /* 0: none */
	uint16_t sq_id, cid, status;
	uint32_t nsid;
	uint64_t lba;
};

/* What a guest can see and that a reset of the controller forgets. */
struct nvme_features {
	uint32_t values[NVME_NR_FEATURES];
	uint32_t cold, hot; /* thresholds, kelvin */
	uint32_t vectors[NVME_MAX_QUEUES];
	uint32_t nr_queues; /* that the driver has asked for */
};

struct nvme_counts {
	uint64_t reads, writes, sectors_read, sectors_written, errors;
};

struct nvme {
	struct fp_device *dev;

	/* Keys. */
	const char *paths[NVME_MAX_NAMESPACES];
	const char *serial;
	const char *doorbells;
	bool readonly, direct;
	uint64_t nr_io_queues;

	bool loses_values; /* doorbells=eventfd */
	char serial_text[NVME_SERIAL_BYTES + 1];
	uint8_t uuid[16]; /* of the subsystem; a namespace's ends with its id */
	struct nvme_ns namespaces[NVME_MAX_NAMESPACES];
	uint32_t nr_namespaces;

	/* Registers. */
	uint32_t intms, cc, csts, aqa;
	uint64_t asq, acq;

	bool stands; /* see FP_STANDS */
	bool is_resetting;
	uint8_t said;		 /* so many lines for this client */
	uint64_t shadow, events; /* iovas of the pages of shadow doorbells; 0: none */
	struct nvme_sq sqs[NVME_MAX_QUEUES];
	struct nvme_cq cqs[NVME_MAX_QUEUES];
	uint32_t in_flight; /* of all queues */
	uint32_t held;	    /* of them, those that wait to be posted */
	struct nvme_command *idle;
	struct nvme_command *event_requests[NVME_MAX_EVENT_REQUESTS]; /* the oldest first */
	uint32_t nr_event_requests;
	struct nvme_event asyncs[NVME_NR_EVENTS];
	struct nvme_features features;
	struct nvme_counts counts;
	struct nvme_error errors[NVME_MAX_ERRORS];

	/* A shutdown flushes one namespace after the other. */
	struct disk_op shutdown;
	uint32_t flushed;
	bool is_shutting;
};

/* ---- nvme.c ---- */

/* Enabled, and nothing has gone wrong. */
bool nvme_is_live(const struct nvme *nvme);

/* Nothing of it is under way: what waits to be posted may wait. */
bool nvme_is_idle(const struct nvme *nvme);

/* There is no command to blame: says why, stops, and sets CSTS.CFS. */
void nvme_fatal(struct nvme *nvme, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Something has ended: a reset, or the deletion of a queue, may have waited for it. */
void nvme_settle(struct nvme *nvme);

/* As at power-on, or as by CC.EN with what outlives that; nothing may be under way. */
void nvme_clear(struct nvme *nvme, bool power_on);

/* ---- nvme_queue.c ---- */

void nvme_queues_init(struct nvme *nvme);

/* They don't exist; what waits to be posted is dropped. */
void nvme_queues_clear(struct nvme *nvme);

/* Creates one: of `size` entries at `base`. */
void nvme_cq_create(struct nvme_cq *cq, uint64_t base, uint32_t size, bool interrupts,
		    uint16_t vector);
void nvme_sq_create(struct nvme_sq *sq, uint64_t base, uint32_t size, struct nvme_cq *cq);

/* What of the submission queue waits to be posted is dropped. */
void nvme_sq_drop_done(struct nvme_sq *sq);
void nvme_sq_delete(struct nvme_sq *sq);

/* A store of a value to the doorbells, at `offset` of BAR0. */
void nvme_doorbell(struct nvme *nvme, uint64_t offset, uint32_t value);

/* Doorbells of I/O queue `id` have rung, and nobody knows what was stored. */
void nvme_ring(struct nvme *nvme, uint16_t id);

/* There may be commands: takes them, unless it may not or does already. */
void nvme_sq_look(struct nvme_sq *sq);

/* The same, but what its share was is still counted. */
void nvme_sq_go_on(struct nvme_sq *sq);
void nvme_look_at_all(struct nvme *nvme);

/* The command is to be posted, now or later. */
void nvme_cq_add(struct nvme_cq *cq, struct nvme_command *command);
void nvme_cq_keep(struct nvme_cq *cq, struct nvme_command *command);

/* Shadow doorbells are there from now on: tells the driver what to ring for. */
void nvme_shadow_begin(struct nvme *nvme);

/* INTx is what the queues and the mask say. */
void nvme_update_intx(struct nvme *nvme);

/* ---- nvme_command.c ---- */

static inline struct nvme_command *nvme_command_of(struct steps *steps)
{
	return (struct nvme_command *)steps;
}

static inline struct nvme *nvme_of(const struct nvme_command *command)
{
	return command->sq->nvme;
}

/* NULL when memory is out. It is in flight from nvme_command_run() on. */
struct nvme_command *nvme_command_get(struct nvme_sq *sq);
void nvme_command_put(struct nvme_command *command);
void nvme_command_run(struct nvme_command *command);

/* It has been posted, or is not to be. */
void nvme_command_end(struct nvme_command *command);

/* Completes it with that status (NVME_*). */
void nvme_complete(struct nvme_command *command, uint16_t status);

/* Has `step` run next, from within one of the command's steps or from elsewhere. */
void nvme_command_then(struct nvme_command *command, step_fn *step);

/* Frees those that are kept. */
void nvme_commands_close(struct nvme *nvme);

/* ---- nvme_data.c ---- */

/*
 * Finds the `bytes`, at most NVME_MAX_BYTES, that the command's data pointer points to: command->pieces.
 * `next` then, or the command is completed with what is wrong with it.
 */
void nvme_data_map(struct nvme_command *command, uint64_t bytes, step_fn *next);

/* Reads all of the pieces to `to`, or writes them; `next` then. */
void nvme_data_read(struct nvme_command *command, void *to, step_fn *next);
void nvme_data_write(struct nvme_command *command, const void *from, step_fn *next);

/* ---- commands ---- */

void nvme_admin(struct nvme_command *command);
void nvme_io(struct nvme_command *command);

void nvme_identify(struct nvme_command *command);
void nvme_get_features(struct nvme_command *command);
void nvme_set_features(struct nvme_command *command);
void nvme_get_log(struct nvme_command *command);

/* Answers with the first `bytes` of command->page, and completes it. */
void nvme_answer(struct nvme_command *command, size_t bytes);

/* The namespace with that id, or NULL. */
struct nvme_ns *nvme_ns_find(struct nvme *nvme, uint32_t id);

void nvme_features_clear(struct nvme *nvme);

/* A command has failed: an entry of the log. */
void nvme_log_error(struct nvme_command *command);

/* An event of a type: told of when it can be. */
void nvme_event_raise(struct nvme *nvme, unsigned int type, uint8_t info, uint8_t log);
void nvme_events_tell(struct nvme *nvme);

/* ---- nvme_state.c ---- */

int nvme_save(struct fp_device *dev, struct fp_stream *to);
int nvme_load(struct fp_device *dev, struct fp_stream *from);

#endif
