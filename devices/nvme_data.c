/* SPDX-License-Identifier: BSD-3-Clause */
#include "nvme.h"

/* Descriptors of one command: more are refused, and so are segments that are a loop. */
#define MAX_DESCRIPTORS 512u

/* ---- pieces ---- */

/* False: that is more than there may be. */
static bool add_piece(struct nvme_command *command, uint64_t iova, uint64_t bytes)
{
	struct fp_piece *last = command->pieces + command->nr_pieces - 1;

	if (iova > UINT64_MAX - bytes)
		return false;
	command->left -= bytes;
	if (command->nr_pieces && last->iova + last->len == iova) {
		last->len += bytes;
		return true;
	}
	if (command->nr_pieces == NVME_MAX_PIECES)
		return false;
	command->pieces[command->nr_pieces++] = (struct fp_piece){ .iova = iova, .len = bytes };
	return true;
}

/* ---- PRPs, 4.3 ---- */

static uint64_t within_page(uint64_t iova)
{
	return iova % NVME_PAGE;
}

/* The next page, or what is left of the data in it. 0 or a status. */
static uint16_t add_page(struct nvme_command *command, uint64_t iova)
{
	uint64_t bytes = command->left < NVME_PAGE ? command->left : NVME_PAGE;

	if (within_page(iova))
		return NVME_BAD_PRP_OFFSET;
	return add_piece(command, iova, bytes) ? NVME_OK : NVME_BAD_FIELD;
}

static void read_list(struct nvme_command *command, uint64_t list);

/* The entries of `page`; if they are not all, the last of them says where more are. */
static void has_list(struct steps *steps)
{
	struct nvme_command *command = nvme_command_of(steps);
	const uint64_t *entries = (const uint64_t *)(const void *)command->page;
	uint64_t pages = (command->left + NVME_PAGE - 1) / NVME_PAGE;
	uint32_t nr = pages > command->entries ? command->entries - 1 : command->entries;
	uint16_t status = NVME_OK;

	for (uint32_t i = 0; i < nr && !status; i++)
		status = add_page(command, entries[i]);
	if (!status && command->left && within_page(entries[nr]))
		status = NVME_BAD_PRP_OFFSET;
	if (status)
		nvme_complete(command, status);
	else if (command->left)
		read_list(command, entries[nr]);
	else
		nvme_command_then(command, command->then);
}

/* Up to the end of its page: from an entry behind the first on only where the command points. */
static void read_list(struct nvme_command *command, uint64_t list)
{
	uint64_t pages = (command->left + NVME_PAGE - 1) / NVME_PAGE;
	uint32_t room = (uint32_t)(NVME_PAGE - within_page(list)) / 8;

	command->entries = pages < room ? (uint32_t)pages : room;
	steps_read(&command->steps, list, command->page, command->entries * sizeof(uint64_t),
		   has_list);
}

static void begin_list(struct steps *steps)
{
	struct nvme_command *command = nvme_command_of(steps);

	read_list(command, command->sqe.prp2);
}

static void map_prps(struct nvme_command *command)
{
	const struct nvme_sqe *sqe = &command->sqe;
	uint64_t room = NVME_PAGE - within_page(sqe->prp1);
	uint16_t status = NVME_OK;

	if (sqe->prp1 % 4)
		status = NVME_BAD_PRP_OFFSET;
	else if (!add_piece(command, sqe->prp1, command->left < room ? command->left : room))
		status = NVME_BAD_FIELD;
	else if (command->left > NVME_PAGE && sqe->prp2 % 8)
		status = NVME_BAD_PRP_OFFSET;
	else if (command->left && command->left <= NVME_PAGE)
		status = add_page(command, sqe->prp2);
	if (status)
		nvme_complete(command, status);
	else if (command->left)
		nvme_command_then(command, begin_list);
	else
		nvme_command_then(command, command->then);
}

/* ---- SGLs, 4.4 ---- */

static bool is_segment(const struct nvme_sgl *sgl)
{
	return sgl->type == NVME_SGL_SEGMENT || sgl->type == NVME_SGL_LAST_SEGMENT;
}

static uint16_t add_descriptor(struct nvme_command *command, const struct nvme_sgl *sgl)
{
	if (sgl->type != NVME_SGL_DATA)
		return is_segment(sgl) ? NVME_BAD_SGL_SEGMENT : NVME_BAD_SGL_TYPE;
	if (sgl->length > command->left)
		return NVME_BAD_SGL_LENGTH;
	if (!sgl->length)
		return NVME_OK;
	return add_piece(command, sgl->address, sgl->length) ? NVME_OK : NVME_BAD_SGL_NUMBER;
}

static uint16_t begin_segment(struct nvme_command *command, const struct nvme_sgl *sgl)
{
	uint32_t nr = sgl->length / sizeof(*sgl);

	if (!nr || sgl->length % sizeof(*sgl))
		return NVME_BAD_SGL_SEGMENT;
	command->sgl_seen += nr;
	if (nr > MAX_DESCRIPTORS || command->sgl_seen > MAX_DESCRIPTORS)
		return NVME_BAD_SGL_NUMBER;
	command->list = sgl->address;
	command->sgl_left = nr;
	command->is_last_segment = sgl->type == NVME_SGL_LAST_SEGMENT;
	return NVME_OK;
}

static void read_descriptors(struct steps *steps);

/* The part of a segment that is in `page`. The last descriptor of a segment leads to the next one. */
static void has_descriptors(struct steps *steps)
{
	struct nvme_command *command = nvme_command_of(steps);
	const struct nvme_sgl *sgls = (const struct nvme_sgl *)(const void *)command->page;
	bool leads_on = !command->sgl_left && !command->is_last_segment;
	const struct nvme_sgl *last = &sgls[command->entries - 1];
	uint16_t status = NVME_OK;

	for (const struct nvme_sgl *sgl = sgls; sgl < last + !leads_on && !status; sgl++)
		status = add_descriptor(command, sgl);
	if (!status && leads_on)
		status = is_segment(last) ? begin_segment(command, last) : NVME_BAD_SGL_SEGMENT;
	if (!status && !command->sgl_left && command->left)
		status = NVME_BAD_SGL_LENGTH;
	if (status)
		nvme_complete(command, status);
	else
		steps_then(steps, command->sgl_left ? read_descriptors : command->then);
}

static void read_descriptors(struct steps *steps)
{
	struct nvme_command *command = nvme_command_of(steps);
	const uint32_t most = NVME_PAGE / sizeof(struct nvme_sgl);
	uint32_t nr = command->sgl_left < most ? command->sgl_left : most;
	uint64_t list = command->list;

	command->entries = nr;
	command->sgl_left -= nr;
	command->list += nr * sizeof(struct nvme_sgl);
	steps_read(steps, list, command->page, nr * sizeof(struct nvme_sgl), has_descriptors);
}

static void map_sgl(struct nvme_command *command)
{
	struct nvme_sgl first;
	uint16_t status;

	memcpy(&first, &command->sqe.prp1, sizeof(first));
	if (is_segment(&first)) {
		status = begin_segment(command, &first);
	} else {
		status = add_descriptor(command, &first);
		if (!status && command->left)
			status = NVME_BAD_SGL_LENGTH;
	}
	if (status)
		nvme_complete(command, status);
	else
		nvme_command_then(command, command->sgl_left ? read_descriptors : command->then);
}

/* ---- both ---- */

void nvme_data_map(struct nvme_command *command, uint64_t bytes, step_fn *next)
{
	command->left = bytes;
	command->then = next;
	command->nr_pieces = 0;
	command->sgl_left = command->sgl_seen = 0;
	if (!NVME_FLAGS_PSDT(command->sqe.flags))
		map_prps(command);
	else if (NVME_FLAGS_PSDT(command->sqe.flags) == 3)
		nvme_complete(command, NVME_BAD_FIELD);
	else
		map_sgl(command);
}

static void read_more(struct steps *steps)
{
	struct nvme_command *command = nvme_command_of(steps);
	const struct fp_piece *piece = &command->pieces[command->piece++];
	uint8_t *at = command->at;

	command->at += piece->len;
	steps_read(steps, piece->iova, at, piece->len,
		   command->piece < command->nr_pieces ? read_more : command->then);
}

static void write_more(struct steps *steps)
{
	struct nvme_command *command = nvme_command_of(steps);
	const struct fp_piece *piece = &command->pieces[command->piece++];
	const uint8_t *at = command->at;

	command->at += piece->len;
	steps_write(steps, piece->iova, at, piece->len,
		    command->piece < command->nr_pieces ? write_more : command->then);
}

static void begin(struct nvme_command *command, void *at, step_fn *first, step_fn *next)
{
	command->at = at;
	command->piece = 0;
	command->then = next;
	nvme_command_then(command, command->nr_pieces ? first : next);
}

void nvme_data_read(struct nvme_command *command, void *to, step_fn *next)
{
	begin(command, to, read_more, next);
}

void nvme_data_write(struct nvme_command *command, const void *from, step_fn *next)
{
	begin(command, (void *)from, write_more, next);
}
