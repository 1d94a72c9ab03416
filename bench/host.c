/* SPDX-License-Identifier: BSD-3-Clause */
#include "host.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"
#include "measure.h"

/* The values of a doorbell that it knows the eventfds of. */
#define HOST_MAX_VALUES 16u

/* Windows are of whole pages. */
static uint64_t memory_bytes(void)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	return (sizeof(struct job) + page - 1) / page * page;
}

static int open_side(struct rig *rig, struct rig_server *server)
{
	int ret = fpc_dma_map(server->client, rig->host_memory_fd, 0, rig->job_iova, memory_bytes(),
			      FPC_DMA_READABLE | FPC_DMA_WRITEABLE);

	for (unsigned int i = 0; i < VFIO_PCI_NR_BARS && !ret; i++)
		ret = fpc_region_io_fds(server->client, i, &server->io_fds[i]);
	if (ret)
		log_error("the server refuses what the benchmark needs: %s", strerror(-ret));
	return ret;
}

int host_open(struct rig *rig, uint64_t iova)
{
	int ret = 0;
	void *at;

	rig->host_memory_fd = memfd_create("fastpath-bench", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (rig->host_memory_fd < 0 || ftruncate(rig->host_memory_fd, (off_t)memory_bytes()))
		return -errno;
	at = mmap(NULL, memory_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, rig->host_memory_fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	rig->job = at;
	rig->job_iova = iova;
	for (unsigned int side = 0; side < RIG_NR_SIDES && !ret; side++)
		if (rig->servers[side].client)
			ret = open_side(rig, &rig->servers[side]);
	return ret;
}

void host_close(struct rig *rig)
{
	if (rig->job)
		munmap(rig->job, memory_bytes());
	cleanup_close(&rig->host_memory_fd);
}

int host_fd(const struct rig *rig, const struct rig_target *target, uint32_t len, uint64_t value)
{
	const struct fpc_io_fds *set = &rig->servers[target->side].io_fds[target->bar];

	if (target->is_floor)
		return target->offset == RIG_FLOOR_UNLISTENED ? rig->unlistened_fd : rig->reader_fd;
	for (uint32_t i = 0; i < set->nr_entries; i++) {
		const struct fpc_io_fd *entry = &set->entries[i];

		if (entry->type == FPC_IO_FD_IOEVENTFD && entry->offset == target->offset &&
		    (!entry->size || entry->size == len) &&
		    (!(entry->flags & FPC_IOEVENTFD_DATAMATCH) || entry->datamatch == value))
			return entry->fd;
	}
	return -1;
}

/* Where the accesses of a job go. */
struct way {
	struct job *job;
	struct fpc *client;
	const struct rig_target *target;
	struct gather *gather; /* NULL: each by itself */
};

/* One access, as a monitor would make it for the guest. */
static int access_once(void *opaque)
{
	const struct way *way = opaque;
	struct job *job = way->job;

	if (way->gather)
		return gather_write(way->gather, &job->now, job->width);
	if (job->op == JOB_READ)
		return fpc_region_read(way->client, way->target->bar, way->target->offset,
				       &job->loaded, job->width);
	return fpc_region_write(way->client, way->target->bar, way->target->offset, &job->now,
				job->width);
}

/* The same through the eventfds of the values that are to be written. */
struct fds {
	const struct job *job;
	int of[HOST_MAX_VALUES];
};

static int ring_once(void *opaque)
{
	const struct fds *fds = opaque;
	uint64_t one = 1;
	int fd = fds->of[fds->job->now - fds->job->value];

	return write(fd, &one, sizeof(one)) == sizeof(one) ? 0 : -errno;
}

static int run_by_fd(struct rig *rig, const struct rig_target *target)
{
	struct job *job = rig->job;
	struct fds fds = { .job = job };

	if (job->cycle > HOST_MAX_VALUES)
		return -EINVAL;
	for (uint32_t i = 0; i < job->cycle; i++)
		fds.of[i] = host_fd(rig, target, job->width, job->value + i);
	return measure(job, ring_once, &fds);
}

int host_run(struct rig *rig, const struct rig_target *target)
{
	struct way way = {
		.job = rig->job,
		.client = rig->servers[target->side].client,
		.target = target,
		.gather = target->is_gathered ? &rig->gathers[target->side] : NULL,
	};
	int ret;

	if (target->by_fd || target->is_floor)
		ret = run_by_fd(rig, target);
	else
		ret = measure(rig->job, access_once, &way);
	if (ret)
		log_error("an access failed: %s", strerror(-ret));
	return ret;
}
