/* SPDX-License-Identifier: BSD-3-Clause */
/* Which of a server's io fds may be installed: what it says of them is not trusted. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "fdkind.h"
#include "iofd_install.h"
#include "ioregion_abi.h"
#include "wire.h"

static_assert(FPC_IOEVENTFD_DATAMATCH == (int)KVM_IOEVENTFD_FLAG_DATAMATCH, "the wire's is KVM's");
static_assert(FPC_IOEVENTFD_PIO == (int)KVM_IOEVENTFD_FLAG_PIO, "the wire's is KVM's");

static_assert(WIRE_IOREGION_PIO == (int)IOREGION_ABI_PIO, "the wire's is KVM's");
static_assert(WIRE_IOREGION_POSTED_WRITES == (int)IOREGION_ABI_POSTED_WRITES,
	      "the wire's is KVM's");

static int refuse(struct iofd_refusal *refusal, const char *field, uint64_t value, const char *why)
{
	*refusal = (struct iofd_refusal){ field, value, why };
	return -EINVAL;
}

static bool has_datamatch(const struct fpc_io_fd *entry)
{
	return entry->type == FPC_IO_FD_IOEVENTFD && entry->flags & FPC_IOEVENTFD_DATAMATCH;
}

/* Of which all but those flags would do something else: DEASSIGN takes out another one. */
static const struct {
	uint32_t pio;
	uint32_t known;
	const char *why;
} flags_of[] = {
	[FPC_IO_FD_IOEVENTFD] = { FPC_IOEVENTFD_PIO, FPC_IOEVENTFD_PIO | FPC_IOEVENTFD_DATAMATCH,
				  "none but DATAMATCH and PIO" },
	[FPC_IO_FD_IOREGIONFD] = { WIRE_IOREGION_PIO,
				   WIRE_IOREGION_PIO | WIRE_IOREGION_POSTED_WRITES,
				   "none but PIO and POSTED_WRITES" },
	[FPC_IO_FD_SHADOW] = { FPC_IOEVENTFD_PIO, FPC_IOEVENTFD_PIO, "none but PIO" },
};

static int check_type(const struct fpc_io_fd *entry, struct iofd_refusal *refusal)
{
	if (entry->type >= sizeof(flags_of) / sizeof(*flags_of))
		return refuse(refusal, "type", entry->type, "unknown");
	return 0;
}

static int check_flags(const struct iofd_target *target, const struct fpc_io_fd *entry,
		       struct iofd_refusal *refusal)
{
	if (entry->flags & ~flags_of[entry->type].known)
		return refuse(refusal, "flags", entry->flags, flags_of[entry->type].why);
	if (!(entry->flags & flags_of[entry->type].pio) == target->is_io)
		return refuse(refusal, "flags", entry->flags,
			      target->is_io ? "no PIO, but the region is in I/O space" :
					      "PIO, but the region is in memory space");
	return 0;
}

static int check_width(const struct iofd_target *target, const struct fpc_io_fd *entry,
		       struct iofd_refusal *refusal)
{
	uint64_t size = entry->size;

	if (size != 0 && size != 1 && size != 2 && size != 4 && size != 8)
		return refuse(refusal, "size", size, "neither 0 nor a store's width");
	if (!size && target->is_io)
		return refuse(refusal, "size", size, "a port's store has a width");
	if (!size && entry->type == FPC_IO_FD_SHADOW)
		return refuse(refusal, "size", size, "a value that is kept has a width");
	return 0;
}

static int check_span(const struct iofd_target *target, const struct fpc_io_fd *entry,
		      struct iofd_refusal *refusal)
{
	int ret = 0;

	if (entry->type != FPC_IO_FD_IOREGIONFD)
		ret = check_width(target, entry, refusal);
	else if (!entry->size && !(entry->flags & WIRE_IOREGION_POSTED_WRITES))
		ret = refuse(refusal, "size", 0, "writes of which nothing is known are posted");
	/* One of any width takes the stores that start there: that byte has to be inside. */
	if (!ret && !wire_within(entry->offset, entry->size ? entry->size : 1, target->size))
		ret = refuse(refusal, "offset", entry->offset, "it leaves the region");
	return ret;
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

static int check_eventfd(const struct fpc_io_fd *entry, struct iofd_refusal *refusal)
{
	if (!fd_is_eventfd(entry->fd))
		return refuse(refusal, "fd_index", entry->fd_index, "not an eventfd");
	if (is_semaphore(entry->fd))
		return refuse(refusal, "fd_index", entry->fd_index, "an eventfd in semaphore mode");
	return 0;
}

/* A stream can lose its place, and kills a vCPU's thread by SIGPIPE. */
static int check_socket(const struct fpc_io_fd *entry, struct iofd_refusal *refusal)
{
	int domain, type;
	socklen_t len = sizeof(int);

	if (getsockopt(entry->fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) ||
	    getsockopt(entry->fd, SOL_SOCKET, SO_TYPE, &type, &len) || domain != AF_UNIX ||
	    type != SOCK_SEQPACKET)
		return refuse(refusal, "fd_index", entry->fd_index,
			      "not a UNIX socket that keeps packets");
	return 0;
}

/* KVM writes to our mapping of it: it has to be there, now and later. */
static int check_shadow(const struct fpc_io_fd *entry, struct iofd_refusal *refusal)
{
	int seals = fcntl(entry->shadow_fd, F_GET_SEALS);
	struct stat st;

	if (entry->shadow_fd < 0)
		return refuse(refusal, "shadow_mem_fd_index", entry->shadow_fd_index,
			      "no fd came for it");
	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(entry->shadow_fd, &st))
		return refuse(refusal, "shadow_mem_fd_index", entry->shadow_fd_index,
			      "not memory that stays as long as it is");
	if (entry->user_data % entry->size ||
	    !wire_within(entry->user_data, entry->size, (uint64_t)st.st_size))
		return refuse(refusal, "shadow_offset", entry->user_data,
			      "not within its memory, or across its values");
	return 0;
}

static int check_fd(const struct fpc_io_fd *entry, struct iofd_refusal *refusal)
{
	if (entry->fd < 0)
		return refuse(refusal, "fd_index", entry->fd_index, "no fd came for it");
	if (entry->type == FPC_IO_FD_IOREGIONFD)
		return check_socket(entry, refusal);
	if (check_eventfd(entry, refusal))
		return -EINVAL;
	return entry->type == FPC_IO_FD_SHADOW ? check_shadow(entry, refusal) : 0;
}

/*
 * KVM tells apart what starts at one address by width and value; with those equal, or open in one
 * of the two, it refuses the second. What shares bytes but starts elsewhere it would take, and a
 * store's meaning would depend on how it is aligned: that no sane server asks for. An ioregionfd
 * shares nothing with anything.
 */
static bool clash(const struct fpc_io_fd *a, const struct fpc_io_fd *b)
{
	bool is_span = a->type == FPC_IO_FD_IOREGIONFD || b->type == FPC_IO_FD_IOREGIONFD;

	if (is_span || a->offset != b->offset)
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
