/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "nvme.h"

#define FORCE_UNIT_ACCESS (1u << 30)
#define DEALLOCATE (1u << 25)
#define DATASET_DEALLOCATE (1u << 2)

static struct nvme_command *command_of(struct disk_op *op)
{
	return (struct nvme_command *)((char *)op - offsetof(struct nvme_command, op));
}

struct nvme_ns *nvme_ns_find(struct nvme *nvme, uint32_t id)
{
	return id && id <= nvme->nr_namespaces ? &nvme->namespaces[id - 1] : NULL;
}

/* ---- blocks ---- */

static uint64_t lba_of(const struct nvme_command *command)
{
	return command->sqe.cdw10 | (uint64_t)command->sqe.cdw11 << 32;
}

static uint64_t bytes_of(const struct nvme_command *command)
{
	return ((command->sqe.cdw12 & 0xffff) + 1ull) * DISK_SECTOR;
}

static bool has_blocks(const struct nvme_ns *ns, uint64_t lba, uint64_t bytes)
{
	return lba <= UINT64_MAX / DISK_SECTOR && disk_has(&ns->disk, lba * DISK_SECTOR, bytes);
}

/* Without a write cache, as the driver may have it, all that is written is stable. */
static bool is_stable(const struct nvme_command *command)
{
	return command->sqe.cdw12 & FORCE_UNIT_ACCESS ||
	       !nvme_of(command)->features.values[NVME_FEATURE_WRITE_CACHE];
}

/* ---- the end ---- */

static const struct {
	int ret;
	uint16_t status;
} statuses[] = {
	{ 0, NVME_OK },
	{ -EFAULT, NVME_TRANSFER_ERROR },
	{ -ENOTCONN, NVME_TRANSFER_ERROR },
	{ -ECANCELED, NVME_ABORTED },
	{ -ENOSPC, NVME_CAPACITY },
	{ -ENOMEM, NVME_INTERNAL },
};

static uint16_t status_of(const struct nvme_command *command, int ret)
{
	for (size_t i = 0; i < sizeof(statuses) / sizeof(*statuses); i++)
		if (statuses[i].ret == ret)
			return statuses[i].status;
	return command->sqe.opcode == NVME_READ ? NVME_READ_ERROR : NVME_WRITE_FAULT;
}

static void finish(struct disk_op *op, int ret)
{
	struct nvme_command *command = command_of(op);

	nvme_complete(command, status_of(command, ret));
}

/* ---- reading and writing ---- */

static void move(struct steps *steps)
{
	struct nvme_command *command = nvme_command_of(steps);
	struct nvme_counts *counts = &nvme_of(command)->counts;
	struct disk *disk = &command->ns->disk;
	uint64_t at = lba_of(command) * DISK_SECTOR;
	uint64_t bytes = bytes_of(command);

	command->op.done = finish;
	if (command->sqe.opcode == NVME_READ) {
		counts->reads++;
		counts->sectors_read += bytes / DISK_SECTOR;
		disk_read(disk, &command->op, at, command->pieces, command->nr_pieces, bytes);
	} else {
		counts->writes++;
		counts->sectors_written += bytes / DISK_SECTOR;
		disk_write(disk, &command->op, at, command->pieces, command->nr_pieces, bytes,
			   is_stable(command));
	}
}

static void read_write(struct nvme_command *command)
{
	uint64_t bytes = bytes_of(command);

	if (bytes > NVME_MAX_BYTES)
		nvme_complete(command, NVME_BAD_FIELD);
	else if (!has_blocks(command->ns, lba_of(command), bytes))
		nvme_complete(command, NVME_LBA_RANGE);
	else
		nvme_data_map(command, bytes, move);
}

static void flush(struct nvme_command *command)
{
	command->op.done = finish;
	disk_flush(&command->ns->disk, &command->op);
}

static void write_zeroes(struct nvme_command *command)
{
	uint64_t bytes = bytes_of(command);

	if (!has_blocks(command->ns, lba_of(command), bytes)) {
		nvme_complete(command, NVME_LBA_RANGE);
		return;
	}
	command->op.done = finish;
	disk_zero(&command->ns->disk, &command->op, lba_of(command) * DISK_SECTOR, bytes,
		  command->sqe.cdw12 & DEALLOCATE, is_stable(command));
}

/* ---- dataset management, 6.7 ---- */

static uint32_t nr_ranges(const struct nvme_command *command)
{
	return (command->sqe.cdw10 & 0xff) + 1;
}

static const struct nvme_range *range_at(const struct nvme_command *command, uint32_t i)
{
	return (const struct nvme_range *)(const void *)command->page + i;
}

static void deallocated(struct disk_op *op, int ret);

static void deallocate_next(struct nvme_command *command)
{
	const struct nvme_range *range;

	if (command->range == nr_ranges(command)) {
		nvme_complete(command, NVME_OK);
		return;
	}
	range = range_at(command, command->range++);
	command->op.done = deallocated;
	disk_discard(&command->ns->disk, &command->op, range->lba * DISK_SECTOR,
		     (uint64_t)range->blocks * DISK_SECTOR);
}

static void deallocated(struct disk_op *op, int ret)
{
	if (ret)
		finish(op, ret);
	else
		deallocate_next(command_of(op));
}

/* All are looked at before any is done. */
static void has_ranges(struct steps *steps)
{
	struct nvme_command *command = nvme_command_of(steps);

	for (uint32_t i = 0; i < nr_ranges(command); i++) {
		const struct nvme_range *range = range_at(command, i);

		if (!has_blocks(command->ns, range->lba, (uint64_t)range->blocks * DISK_SECTOR)) {
			nvme_complete(command, NVME_LBA_RANGE);
			return;
		}
	}
	if (command->sqe.cdw11 & DATASET_DEALLOCATE)
		deallocate_next(command);
	else /* a hint that is not taken */
		nvme_complete(command, NVME_OK);
}

static void read_ranges(struct steps *steps)
{
	struct nvme_command *command = nvme_command_of(steps);

	nvme_data_read(command, command->page, has_ranges);
}

static void dataset(struct nvme_command *command)
{
	nvme_data_map(command, nr_ranges(command) * sizeof(struct nvme_range), read_ranges);
}

/* ---- all of them ---- */

static const struct {
	uint8_t opcode;
	bool writes;
	void (*run)(struct nvme_command *command);
} commands[] = {
	{ NVME_FLUSH, false, flush },	  { NVME_WRITE, true, read_write },
	{ NVME_READ, false, read_write }, { NVME_WRITE_ZEROES, true, write_zeroes },
	{ NVME_DATASET, true, dataset },
};

void nvme_io(struct nvme_command *command)
{
	struct nvme *nvme = nvme_of(command);
	size_t i = 0;

	while (i < sizeof(commands) / sizeof(*commands) &&
	       commands[i].opcode != command->sqe.opcode)
		i++;
	command->ns = nvme_ns_find(nvme, command->sqe.nsid);
	if (i == sizeof(commands) / sizeof(*commands))
		nvme_complete(command, NVME_BAD_OPCODE);
	else if (command->sqe.flags & (NVME_FLAGS_FUSED | NVME_FLAGS_FUSE))
		nvme_complete(command, NVME_BAD_FIELD);
	else if (!command->ns)
		nvme_complete(command, NVME_BAD_NAMESPACE);
	else if (commands[i].writes && nvme->readonly)
		nvme_complete(command, NVME_WRITE_PROTECTED);
	else
		commands[i].run(command);
}
