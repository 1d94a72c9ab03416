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

#define MAX_ENTRIES 40u

static const uint8_t widths[] = { 0, 1, 2, 4, 8, 3, 16, 255 };

/* Kind 255 and fds that did not come; large numbers are rare otherwise. */
static struct fpc_io_fd read_entry(struct fuzz_input *input)
{
	uint8_t kind = fuzz_u8(input);
	struct fpc_io_fd entry = {
		.fd_index = kind,
		.fd = kind == 255 ? -1 : fuzz_fd(kind % FUZZ_FD_KINDS),
		.type = fuzz_u8(input),
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
	bool matches = entry->flags & FPC_IOEVENTFD_DATAMATCH;

	fuzz_check(entry->offset < target->size && bytes_of(entry) <= target->size - entry->offset,
		   "it is within its region");
	fuzz_check(entry->type == FPC_IO_FD_IOEVENTFD && entry->flags <= 3, "and KVM knows it");
	fuzz_check(!!(entry->flags & FPC_IOEVENTFD_PIO) == target->is_io, "in its space");
	fuzz_check(entry->size <= 8 && !(entry->size & (entry->size - 1)), "by a width");
	fuzz_check(!matches || entry->size, "a value has a width");
	fuzz_check(entry->fd >= 0 && fuzz_fd_is_eventfd(entry->fd_index), "by an eventfd");
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

/* A KVM that refuses whatever it is asked: nothing may be taken for installed then. */
static void install(const struct iofd_target *target, struct fpc_io_fds *set)
{
	struct vm vm = { .fd = fuzz_fd(8) };
	struct iofd_installed *installed;

	set->nr_fds = 1;
	set->fds = calloc(1, sizeof(int));
	fuzz_check(set->fds, "there is memory");
	set->fds[0] = fcntl(fuzz_fd(0), F_DUPFD_CLOEXEC, 0);
	fuzz_check(!iofd_install(&vm, target, set, &installed), "a refusal is no failure");
	fuzz_check(!installed->nr_roads && !set->entries, "nothing is installed, all is moved");
	fuzz_check(!iofd_road(installed, 0, 4, 0), "nothing goes there");
	iofd_uninstall(installed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	struct fpc_io_fds set = { .entries = calloc(MAX_ENTRIES, sizeof(*set.entries)) };
	uint8_t flags = fuzz_u8(&input);
	struct iofd_target target = { .device = "fuzz", .is_io = flags & 1 };

	fuzz_check(set.entries, "there is memory");
	fuzz_begin();
	target.size = fuzz_u64(&input);
	target.base = fuzz_u64(&input);
	while (input.left && set.nr_entries < MAX_ENTRIES)
		set.entries[set.nr_entries++] = read_entry(&input);
	check_all(&target, &set);
	if (flags & 2)
		install(&target, &set);
	else
		free(set.entries);
	fuzz_end();
	return 0;
}
