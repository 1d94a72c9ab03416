/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz target iofd_install: what a server says of its io fds, on its way into KVM.
 *
 *	u8 flags, u64 size of the region, u64 its address
 *	repeatedly: u8 kind of fd, u8 type, u32 flags, u8 size, u64 offset, u64 datamatch
 *
 * What is accepted is looked at once more, by rules written down a second time.
 */
#include "iofd_install.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "wire.h"

#define MAX_ENTRIES 40u

static const uint8_t widths[] = { 0, 1, 2, 4, 8, 3, 16, 255 };

/* The set has an fd of each kind; an index beyond names none that came. */
static struct fpc_io_fd read_entry(struct fuzz_input *input, const struct fpc_io_fds *set)
{
	uint8_t kind = fuzz_u8(input);
	struct fpc_io_fd entry = {
		.fd_index = kind,
		.fd = kind < FUZZ_FD_KINDS ? set->fds[kind] : -1,
		.type = fuzz_u8(input),
		.shadow_fd = -1,
	};
	uint8_t width;

	entry.flags = fuzz_u32(input);
	width = fuzz_u8(input);
	entry.size = width < sizeof(widths) ? widths[width] : (uint64_t)width << 32;
	entry.offset = fuzz_u64(input);
	entry.datamatch = fuzz_u64(input);
	return entry;
}

static uint64_t bytes_of(const struct fpc_io_fd *entry)
{
	return entry->size ? entry->size : 1;
}

static void check_accepted(const struct iofd_target *target, const struct fpc_io_fds *set,
			   const bool *roads, uint32_t i)
{
	const struct fpc_io_fd *entry = &set->entries[i];
	bool is_span = entry->type == FPC_IO_FD_IOREGIONFD;
	bool matches = !is_span && entry->flags & FPC_IOEVENTFD_DATAMATCH;
	uint32_t pio = is_span ? WIRE_IOREGION_PIO : FPC_IOEVENTFD_PIO;

	fuzz_check(entry->offset < target->size && bytes_of(entry) <= target->size - entry->offset,
		   "it is within its region");
	fuzz_check(entry->type <= FPC_IO_FD_IOREGIONFD && entry->flags <= 3, "and KVM knows it");
	fuzz_check(!!(entry->flags & pio) == target->is_io, "in its space");
	fuzz_check(is_span || (entry->size <= 8 && !(entry->size & (entry->size - 1))),
		   "by a width");
	fuzz_check(!matches || entry->size, "a value has a width");
	fuzz_check(entry->fd >= 0 && (is_span ? entry->fd_index == FUZZ_FD_PACKETS :
						fuzz_fd_is_eventfd(entry->fd_index)),
		   "by an fd of the right kind");
	for (uint32_t j = 0; j < i; j++) {
		const struct fpc_io_fd *other = &set->entries[j];

		if (!roads[j] || other->offset == entry->offset)
			continue;
		fuzz_check(other->offset + bytes_of(other) <= entry->offset ||
				   entry->offset + bytes_of(entry) <= other->offset,
			   "apart from the others");
	}
}

static void check_all(const struct iofd_target *target, const struct fpc_io_fds *set)
{
	bool roads[MAX_ENTRIES] = { false };

	for (uint32_t i = 0; i < set->nr_entries; i++) {
		struct iofd_refusal refusal = { 0 };

		roads[i] = !iofd_check(target, set, roads, i, &refusal);
		if (roads[i])
			check_accepted(target, set, roads, i);
		else
			fuzz_check(refusal.field && refusal.why, "a refusal says why");
		iofd_check(target, set, NULL, i, &refusal);
	}
}

/* A KVM that refuses whatever it is asked: only stand-ins may be taken for installed then. */
static void install(const struct iofd_target *target, struct fpc_io_fds *set)
{
	struct vm vm = { .fd = fuzz_fd(8) };
	struct iofd_installed *installed;

	fuzz_check(!iofd_install(&vm, target, set, &installed), "a refusal is no failure");
	fuzz_check(!set->entries, "all is moved");
	for (uint32_t i = 0; i < installed->set.nr_entries; i++) {
		const struct fpc_io_fd *entry = &installed->set.entries[i];

		fuzz_check(!installed->roads[i] || entry->type == FPC_IO_FD_IOREGIONFD,
			   "what KVM refuses is no road");
		iofd_has_span(installed, entry->offset, 4);
		iofd_road(installed, entry->offset, (uint32_t)entry->size, entry->datamatch);
	}
	iofd_uninstall(installed);
}

static struct fpc_io_fds new_set(void)
{
	struct fpc_io_fds set = {
		.nr_fds = FUZZ_FD_KINDS,
		.fds = calloc(FUZZ_FD_KINDS, sizeof(int)),
		.entries = calloc(MAX_ENTRIES, sizeof(*set.entries)),
	};

	fuzz_check(set.fds && set.entries, "there is memory");
	for (unsigned int kind = 0; kind < FUZZ_FD_KINDS; kind++)
		set.fds[kind] = fcntl(fuzz_fd(kind), F_DUPFD_CLOEXEC, 0);
	return set;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	uint8_t flags = fuzz_u8(&input);
	struct iofd_target target = {
		.device = "fuzz",
		.is_io = flags & 1,
		.ioregion = flags & 4 ? IOFD_IOREGION_OFF : IOFD_IOREGION_STANDIN,
		.timeout_ms = 1,
	};
	struct fpc_io_fds set;

	fuzz_begin();
	set = new_set();
	target.size = fuzz_u64(&input);
	target.base = fuzz_u64(&input);
	while (input.left && set.nr_entries < MAX_ENTRIES)
		set.entries[set.nr_entries++] = read_entry(&input, &set);
	check_all(&target, &set);
	if (flags & 2)
		install(&target, &set);
	else
		fpc_io_fds_free(&set);
	fuzz_end();
	return 0;
}
