/* SPDX-License-Identifier: BSD-3-Clause */
#include "iofd_install.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "cleanup.h"
#include "fdkind.h"
#include "log.h"
#include "wire.h"

static_assert(FPC_IOEVENTFD_DATAMATCH == (int)KVM_IOEVENTFD_FLAG_DATAMATCH, "the wire's is KVM's");
static_assert(FPC_IOEVENTFD_PIO == (int)KVM_IOEVENTFD_FLAG_PIO, "the wire's is KVM's");

#define KNOWN_FLAGS ((uint32_t)(FPC_IOEVENTFD_DATAMATCH | FPC_IOEVENTFD_PIO))

static int refuse(struct iofd_refusal *refusal, const char *field, uint64_t value, const char *why)
{
	*refusal = (struct iofd_refusal){ field, value, why };
	return -EINVAL;
}

static bool has_datamatch(const struct fpc_io_fd *entry)
{
	return entry->flags & FPC_IOEVENTFD_DATAMATCH;
}

static int check_type(const struct fpc_io_fd *entry, struct iofd_refusal *refusal)
{
	switch (entry->type) {
	case FPC_IO_FD_IOEVENTFD:
		return 0;
	case FPC_IO_FD_IOREGIONFD:
		return refuse(refusal, "type", entry->type, "no ioregionfd here yet");
	case FPC_IO_FD_SHADOW:
		return refuse(refusal, "type", entry->type, "no shadow ioeventfd here yet");
	default:
		return refuse(refusal, "type", entry->type, "unknown");
	}
}

static int check_flags(const struct iofd_target *target, const struct fpc_io_fd *entry,
		       struct iofd_refusal *refusal)
{
	/* Above all KVM_IOEVENTFD_FLAG_DEASSIGN: it would take out another one. */
	if (entry->flags & ~KNOWN_FLAGS)
		return refuse(refusal, "flags", entry->flags, "none but DATAMATCH and PIO");
	if (!(entry->flags & FPC_IOEVENTFD_PIO) == target->is_io)
		return refuse(refusal, "flags", entry->flags,
			      target->is_io ? "no PIO, but the region is in I/O space" :
					      "PIO, but the region is in memory space");
	return 0;
}

static int check_span(const struct iofd_target *target, const struct fpc_io_fd *entry,
		      struct iofd_refusal *refusal)
{
	uint64_t size = entry->size;

	if (size != 0 && size != 1 && size != 2 && size != 4 && size != 8)
		return refuse(refusal, "size", size, "neither 0 nor a store's width");
	if (!size && target->is_io)
		return refuse(refusal, "size", size, "a port's store has a width");
	/* One of any width takes the stores that start there: that byte has to be inside. */
	if (!wire_within(entry->offset, size ? size : 1, target->size))
		return refuse(refusal, "offset", entry->offset, "it leaves the region");
	return 0;
}

static int check_datamatch(const struct fpc_io_fd *entry, struct iofd_refusal *refusal)
{
	if (!has_datamatch(entry))
		return 0;
	if (!entry->size)
		return refuse(refusal, "size", entry->size, "a datamatch needs a width");
	if (entry->size < 8 && entry->datamatch >> (8 * entry->size))
		return refuse(refusal, "datamatch", entry->datamatch, "wider than the store");
	return 0;
}

/* Whether reads of it take 1 at a time, so that it never runs dry; told by /proc in Linux 6.5. */
static bool is_semaphore(int fd)
{
	char path[40];
	char line[64];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "re");
	if (!file)
		return false;
	while (!found && fgets(line, sizeof(line), file))
		found = !strcmp(line, "eventfd-semaphore: 1\n");
	fclose(file);
	return found;
}

static int check_fd(const struct fpc_io_fd *entry, struct iofd_refusal *refusal)
{
	if (entry->fd < 0)
		return refuse(refusal, "fd_index", entry->fd_index, "no fd came for it");
	if (!fd_is_eventfd(entry->fd))
		return refuse(refusal, "fd_index", entry->fd_index, "not an eventfd");
	if (is_semaphore(entry->fd))
		return refuse(refusal, "fd_index", entry->fd_index, "an eventfd in semaphore mode");
	return 0;
}

/*
 * KVM tells apart what starts at one address by width and value; with those equal, or open in one
 * of the two, it refuses the second. What shares bytes but starts elsewhere it would take, and a
 * store's meaning would depend on how it is aligned: that no sane server asks for.
 */
static bool clash(const struct fpc_io_fd *a, const struct fpc_io_fd *b)
{
	if (a->offset != b->offset)
		return wire_overlaps(a->offset, a->size ? a->size : 1, b->offset,
				     b->size ? b->size : 1);
	if (a->size && b->size && a->size != b->size)
		return false;
	return !has_datamatch(a) || !has_datamatch(b) || a->datamatch == b->datamatch;
}

static int check_overlap(const struct fpc_io_fds *set, const bool *roads, uint32_t i,
			 struct iofd_refusal *refusal)
{
	for (uint32_t j = 0; j < i; j++)
		if ((!roads || roads[j]) && clash(&set->entries[i], &set->entries[j]))
			return refuse(refusal, "offset", set->entries[i].offset,
				      "it overlaps an earlier one");
	return 0;
}

int iofd_check(const struct iofd_target *target, const struct fpc_io_fds *set, const bool *roads,
	       uint32_t i, struct iofd_refusal *refusal)
{
	const struct fpc_io_fd *entry = &set->entries[i];
	int ret = check_type(entry, refusal);

	if (!ret)
		ret = check_flags(target, entry, refusal);
	if (!ret)
		ret = check_span(target, entry, refusal);
	if (!ret)
		ret = check_datamatch(entry, refusal);
	if (!ret)
		ret = check_fd(entry, refusal);
	if (!ret)
		ret = check_overlap(set, roads, i, refusal);
	return ret;
}

/* KVM_IOEVENTFD for entry `i`, which was checked; `flags` are added to its own. */
static int tell_kvm(const struct iofd_installed *installed, uint32_t i, uint32_t flags)
{
	const struct fpc_io_fd *entry = &installed->set.entries[i];
	struct kvm_ioeventfd ioeventfd = {
		.datamatch = has_datamatch(entry) ? entry->datamatch : 0,
		.addr = installed->target.base + entry->offset,
		.len = (uint32_t)entry->size,
		.fd = entry->fd,
		.flags = entry->flags | flags,
	};

	return ioctl(installed->vm->fd, KVM_IOEVENTFD, &ioeventfd) ? -errno : 0;
}

static bool install_one(const struct iofd_installed *installed, uint32_t i)
{
	const struct iofd_target *target = &installed->target;
	struct iofd_refusal refusal;
	int ret;

	if (iofd_check(target, &installed->set, installed->roads, i, &refusal)) {
		log_warn("%s: region %u, io fd %u goes by socket: %s %#" PRIx64 ": %s",
			 target->device, target->region, i, refusal.field, refusal.value,
			 refusal.why);
		return false;
	}
	ret = tell_kvm(installed, i, 0);
	if (ret)
		log_warn("%s: region %u, io fd %u goes by socket: offset %#" PRIx64
			 ": KVM_IOEVENTFD: %s",
			 target->device, target->region, i, installed->set.entries[i].offset,
			 strerror(-ret));
	return !ret;
}

static void install_all(struct iofd_installed *installed)
{
	const struct iofd_target *target = &installed->target;
	uint32_t nr = installed->set.nr_entries;

	if (nr > IOFD_MAX_ENTRIES) {
		log_warn("%s: region %u: %u io fds: those from %u on go by socket", target->device,
			 target->region, nr, IOFD_MAX_ENTRIES);
		nr = IOFD_MAX_ENTRIES;
	}
	for (uint32_t i = 0; i < nr; i++) {
		installed->roads[i] = install_one(installed, i);
		installed->nr_roads += installed->roads[i];
	}
}

int iofd_install(struct vm *vm, const struct iofd_target *target, struct fpc_io_fds *set,
		 struct iofd_installed **out)
{
	struct iofd_installed *installed = malloc(sizeof(*installed));
	bool *roads = calloc(set->nr_entries ? set->nr_entries : 1, sizeof(*roads));

	if (!installed || !roads) {
		free(installed);
		free(roads);
		fpc_io_fds_free(set);
		return -ENOMEM;
	}
	*installed = (struct iofd_installed){
		.vm = vm,
		.target = *target,
		.set = *set,
		.roads = roads,
	};
	*set = (struct fpc_io_fds){ 0 };
	install_all(installed);
	*out = installed;
	return 0;
}

void iofd_uninstall(struct iofd_installed *installed)
{
	for (uint32_t i = 0; installed && i < installed->set.nr_entries; i++)
		if (installed->roads[i])
			tell_kvm(installed, i, KVM_IOEVENTFD_FLAG_DEASSIGN);
	iofd_forget(installed);
}

void iofd_forget(struct iofd_installed *installed)
{
	if (!installed)
		return;
	fpc_io_fds_free(&installed->set);
	free(installed->roads);
	free(installed);
}

const struct fpc_io_fd *iofd_road(const struct iofd_installed *installed, uint64_t offset,
				  uint32_t len, uint64_t value)
{
	for (uint32_t i = 0; i < installed->set.nr_entries; i++) {
		const struct fpc_io_fd *entry = &installed->set.entries[i];

		if (installed->roads[i] && entry->offset == offset &&
		    (!entry->size || entry->size == len) &&
		    (!has_datamatch(entry) || entry->datamatch == value))
			return entry;
	}
	return NULL;
}
