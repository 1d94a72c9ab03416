/* SPDX-License-Identifier: BSD-3-Clause */
#include "iofd_install.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "cleanup.h"
#include "ioregion_abi.h"
#include "log.h"
#include "wire.h"

#define PAGE_BYTES 4096u

/* ---- in KVM ---- */

static int set_ioeventfd(const struct iofd_installed *installed, const struct fpc_io_fd *entry,
			 bool remove)
{
	bool matches = entry->flags & FPC_IOEVENTFD_DATAMATCH;
	struct kvm_ioeventfd ioeventfd = {
		.datamatch = matches ? entry->datamatch : 0,
		.addr = installed->target.base + entry->offset,
		.len = (uint32_t)entry->size,
		.fd = entry->fd,
		.flags = entry->flags | (remove ? KVM_IOEVENTFD_FLAG_DEASSIGN : 0),
	};

	return ioctl(installed->vm->fd, KVM_IOEVENTFD, &ioeventfd) ? -errno : 0;
}

static bool is_shadow(const struct fpc_io_fd *entry)
{
	return entry->type == FPC_IO_FD_SHADOW;
}

/* Where the value of entry `i` goes; mapped when it is installed. */
static int set_shadow(struct iofd_installed *installed, uint32_t i)
{
	const struct fpc_io_fd *entry = &installed->set.entries[i];
	uint64_t skip = entry->user_data % PAGE_BYTES;
	uint64_t value;
	uint8_t *page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, entry->shadow_fd,
			     (off_t)(entry->user_data - skip));
	struct kvm_ioeventfd ioeventfd = {
		.addr = installed->target.base + entry->offset,
		.len = (uint32_t)entry->size,
		.fd = entry->fd,
		.flags = entry->flags | IOEVENTFD_ABI_POST_WRITE,
	};
	int ret = 0;

	if (page == MAP_FAILED)
		return -errno;
	value = (uintptr_t)page + skip;
	memcpy((uint8_t *)&ioeventfd + IOEVENTFD_ABI_POST_ADDR, &value, sizeof(value));
	if (ioctl(installed->vm->fd, KVM_IOEVENTFD, &ioeventfd))
		ret = -errno;
	if (ret)
		munmap(page, PAGE_BYTES);
	else
		installed->shadows[i] = page;
	return ret;
}

/* KVM must not write to what may be somebody else's next. */
static void drop_shadow(struct iofd_installed *installed, uint32_t i)
{
	if (!installed->shadows[i])
		return;
	set_ioeventfd(installed, &installed->set.entries[i], true);
	munmap(installed->shadows[i], PAGE_BYTES);
	installed->shadows[i] = NULL;
}

static int set_ioregion(const struct iofd_installed *installed, const struct fpc_io_fd *entry,
			bool remove)
{
	struct ioregion_abi ioregion = {
		.guest_paddr = installed->target.base + entry->offset,
		.memory_size = entry->size,
		.user_data = entry->user_data,
		.read_fd = entry->fd,
		.write_fd = entry->fd,
		.flags = entry->flags | (remove ? IOREGION_ABI_DEASSIGN : 0),
	};

	return ioctl(installed->vm->fd, IOREGION_ABI_SET, &ioregion) ? -errno : 0;
}

/* ---- in KVM's place ---- */

static bool is_span(const struct fpc_io_fd *entry)
{
	return entry->type == FPC_IO_FD_IOREGIONFD;
}

/* By offset, among those before it. */
static void add_span(struct iofd_installed *installed, uint32_t i)
{
	const struct fpc_io_fd *entries = installed->set.entries;
	uint32_t at = installed->nr_spans++;

	for (; at && entries[installed->spans[at - 1]].offset > entries[i].offset; at--)
		installed->spans[at] = installed->spans[at - 1];
	installed->spans[at] = i;
}

static int stand_in(struct iofd_installed *installed, uint32_t i)
{
	const struct iofd_target *target = &installed->target;
	const struct fpc_io_fd *entry = &installed->set.entries[i];
	struct standin **standin = &installed->standins[entry->fd_index];
	int ret = 0;

	if (!*standin)
		ret = standin_open(entry->fd, target->wait, target->timeout_ms, standin);
	if (!ret)
		add_span(installed, i);
	return ret;
}

/* The span that [offset, offset + len) lies in; one of size 0 takes the writes that start there. */
static const struct fpc_io_fd *find_span(const struct iofd_installed *installed, uint64_t offset,
					 uint32_t len, bool write)
{
	uint32_t low = 0;
	uint32_t high = installed->nr_spans;
	const struct fpc_io_fd *entry;

	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (installed->set.entries[installed->spans[mid]].offset <= offset)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low || len > 8 || len & (len - 1))
		return NULL;
	entry = &installed->set.entries[installed->spans[low - 1]];
	if (!entry->size)
		return write && entry->offset == offset ? entry : NULL;
	return wire_within(offset - entry->offset, len, entry->size) ? entry : NULL;
}

static struct standin_span span_of(const struct fpc_io_fd *entry)
{
	return (struct standin_span){
		.user_data = entry->user_data,
		.posted = entry->flags & WIRE_IOREGION_POSTED_WRITES,
	};
}

int iofd_read(const struct iofd_installed *installed, uint64_t offset, void *data, uint32_t len)
{
	const struct fpc_io_fd *entry = find_span(installed, offset, len, false);

	if (!entry)
		return -ENOTCONN;
	return standin_read(installed->standins[entry->fd_index], span_of(entry),
			    offset - entry->offset, data, len);
}

int iofd_write(const struct iofd_installed *installed, uint64_t offset, const void *data,
	       uint32_t len)
{
	const struct fpc_io_fd *entry = find_span(installed, offset, len, true);

	if (!entry)
		return -ENOTCONN;
	return standin_write(installed->standins[entry->fd_index], span_of(entry),
			     offset - entry->offset, data, len);
}

/* ---- a set ---- */

/* All of a region go one way: so no fd has two writers. */
static bool stands_in(const struct iofd_installed *installed)
{
	return !installed->vm->has_ioregion || installed->target.ioregion == IOFD_IOREGION_STANDIN;
}

static int install_entry(struct iofd_installed *installed, uint32_t i, const char **what)
{
	const struct fpc_io_fd *entry = &installed->set.entries[i];

	if (is_shadow(entry)) {
		*what = "KVM_IOEVENTFD with post-write";
		return installed->vm->has_post_write ? set_shadow(installed, i) : -EOPNOTSUPP;
	}
	if (!is_span(entry)) {
		*what = "KVM_IOEVENTFD";
		return set_ioeventfd(installed, entry, false);
	}
	*what = stands_in(installed) ? "stand-in" : "KVM_SET_IOREGION";
	return stands_in(installed) ? stand_in(installed, i) :
				      set_ioregion(installed, entry, false);
}

static void log_failure(const struct iofd_installed *installed, uint32_t i, const char *what,
			int ret)
{
	log_warn("%s: region %u, io fd %u goes by socket: offset %#" PRIx64 ": %s: %s",
		 installed->target.device, installed->target.region, i,
		 installed->set.entries[i].offset, what, strerror(-ret));
}

static bool install_one(struct iofd_installed *installed, uint32_t i)
{
	const struct iofd_target *target = &installed->target;
	const struct fpc_io_fd *entry = &installed->set.entries[i];
	struct iofd_refusal refusal;
	const char *what;
	int ret;

	if (is_span(entry) && target->ioregion == IOFD_IOREGION_OFF)
		return false;
	if (iofd_check(target, &installed->set, installed->roads, i, &refusal)) {
		log_warn("%s: region %u, io fd %u goes by socket: %s %#" PRIx64 ": %s",
			 target->device, target->region, i, refusal.field, refusal.value,
			 refusal.why);
		return false;
	}
	ret = install_entry(installed, i, &what);
	if (ret)
		log_failure(installed, i, what, ret);
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

static int make_room(struct iofd_installed *installed)
{
	const struct fpc_io_fds *set = &installed->set;

	installed->roads = calloc(set->nr_entries + 1, sizeof(*installed->roads));
	installed->spans = calloc(set->nr_entries + 1, sizeof(*installed->spans));
	installed->shadows = calloc(set->nr_entries + 1, sizeof(*installed->shadows));
	installed->standins = calloc(set->nr_fds + 1, sizeof(struct standin *));
	return installed->roads && installed->spans && installed->shadows && installed->standins ?
		       0 :
		       -ENOMEM;
}

int iofd_install(struct vm *vm, const struct iofd_target *target, struct fpc_io_fds *set,
		 struct iofd_installed **out)
{
	struct iofd_installed *installed = malloc(sizeof(*installed));

	if (!installed) {
		fpc_io_fds_free(set);
		return -ENOMEM;
	}
	*installed = (struct iofd_installed){ .vm = vm, .target = *target, .set = *set };
	*set = (struct fpc_io_fds){ 0 };
	if (make_room(installed)) {
		iofd_forget(installed);
		return -ENOMEM;
	}
	install_all(installed);
	installed->plugged = true;
	*out = installed;
	return 0;
}

void iofd_unplug(struct iofd_installed *installed)
{
	if (!installed || !installed->plugged)
		return;
	for (uint32_t i = 0; i < installed->set.nr_entries; i++) {
		const struct fpc_io_fd *entry = &installed->set.entries[i];

		if (!installed->roads[i])
			continue;
		if (is_shadow(entry))
			drop_shadow(installed, i);
		else if (!is_span(entry))
			set_ioeventfd(installed, entry, true);
		else if (!stands_in(installed))
			set_ioregion(installed, entry, true);
	}
	installed->plugged = false;
}

/* Once more, at another address. A stand-in has none. */
static bool plug_one(struct iofd_installed *installed, uint32_t i)
{
	const struct fpc_io_fd *entry = &installed->set.entries[i];
	int ret = 0;

	if (is_shadow(entry))
		ret = set_shadow(installed, i);
	else if (!is_span(entry))
		ret = set_ioeventfd(installed, entry, false);
	else if (!stands_in(installed))
		ret = set_ioregion(installed, entry, false);
	if (ret)
		log_failure(installed, i, is_span(entry) ? "KVM_SET_IOREGION" : "KVM_IOEVENTFD",
			    ret);
	return !ret;
}

void iofd_plug(struct iofd_installed *installed, uint64_t base)
{
	if (!installed || installed->plugged)
		return;
	installed->target.base = base;
	for (uint32_t i = 0; i < installed->set.nr_entries; i++)
		if (installed->roads[i]) {
			installed->roads[i] = plug_one(installed, i);
			installed->nr_roads -= !installed->roads[i];
		}
	installed->plugged = true;
}

void iofd_uninstall(struct iofd_installed *installed)
{
	iofd_unplug(installed);
	iofd_forget(installed);
}

void iofd_forget(struct iofd_installed *installed)
{
	if (!installed)
		return;
	for (uint32_t i = 0; installed->standins && i < installed->set.nr_fds; i++)
		standin_close(installed->standins[i]);
	for (uint32_t i = 0; installed->shadows && i < installed->set.nr_entries; i++)
		drop_shadow(installed, i);
	fpc_io_fds_free(&installed->set);
	free(installed->standins);
	free(installed->shadows);
	free(installed->spans);
	free(installed->roads);
	free(installed);
}

const struct fpc_io_fd *iofd_road(const struct iofd_installed *installed, uint64_t offset,
				  uint32_t len, uint64_t value)
{
	for (uint32_t i = 0; i < installed->set.nr_entries; i++) {
		const struct fpc_io_fd *entry = &installed->set.entries[i];

		if (!installed->roads[i] || is_span(entry))
			continue;
		if (entry->offset == offset && (!entry->size || entry->size == len) &&
		    (is_shadow(entry) || !(entry->flags & FPC_IOEVENTFD_DATAMATCH) ||
		     entry->datamatch == value))
			return entry;
	}
	return NULL;
}

bool iofd_has_span(const struct iofd_installed *installed, uint64_t offset, uint32_t len)
{
	for (uint32_t i = 0; i < installed->set.nr_entries; i++) {
		const struct fpc_io_fd *entry = &installed->set.entries[i];

		if (installed->roads[i] && is_span(entry) && offset >= entry->offset &&
		    wire_within(offset - entry->offset, len, entry->size))
			return true;
	}
	return false;
}
