/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>

#include "nvme.h"

struct nvme_command *nvme_command_get(struct nvme_sq *sq)
{
	struct nvme *nvme = sq->nvme;
	struct nvme_command *command = nvme->idle;

	if (command)
		nvme->idle = command->next;
	else
		command = calloc(1, sizeof(*command));
	if (!command)
		return NULL;
	memset(command, 0, offsetof(struct nvme_command, pieces));
	command->sq = sq;
	command->nr_pieces = command->piece = 0;
	return command;
}

void nvme_command_put(struct nvme_command *command)
{
	struct nvme *nvme = nvme_of(command);

	command->next = nvme->idle;
	nvme->idle = command;
}

/* What guest memory it is about is not there. */
static void failed(struct steps *steps)
{
	nvme_complete(nvme_command_of(steps), NVME_TRANSFER_ERROR);
}

void nvme_command_run(struct nvme_command *command)
{
	struct nvme_sq *sq = command->sq;

	command->steps.dev = sq->nvme->dev;
	command->steps.failed = failed;
	sq->in_flight++;
	sq->nvme->in_flight++;
	if (sq->id)
		nvme_io(command);
	else
		nvme_admin(command);
}

void nvme_command_end(struct nvme_command *command)
{
	struct nvme_sq *sq = command->sq;
	struct nvme *nvme = sq->nvme;

	sq->in_flight--;
	nvme->in_flight--;
	nvme_command_put(command);
	if (sq->is_stalled)
		nvme_sq_go_on(sq);
	nvme_settle(nvme);
}

/* Whether the driver had better not try again: that would end as this has. */
static bool is_final(uint16_t status)
{
	return status && status != NVME_TRANSFER_ERROR && status != NVME_INTERNAL &&
	       status != NVME_ABORTED && status != NVME_ABORTED_SQ_DELETED;
}

void nvme_complete(struct nvme_command *command, uint16_t status)
{
	struct nvme_sq *sq = command->sq;

	command->status = (uint16_t)(status | (is_final(status) ? NVME_DO_NOT_RETRY : 0));
	if (status)
		nvme_log_error(command);
	if (sq->deletion || !nvme_is_live(sq->nvme))
		nvme_command_end(command);
	else
		nvme_cq_add(sq->cq, command);
}

void nvme_command_then(struct nvme_command *command, step_fn *step)
{
	if (command->steps.runs)
		steps_then(&command->steps, step);
	else
		steps_begin(&command->steps, step);
}

void nvme_commands_close(struct nvme *nvme)
{
	while (nvme->idle) {
		struct nvme_command *command = nvme->idle;

		nvme->idle = command->next;
		free(command);
	}
}
