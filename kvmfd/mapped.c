/* SPDX-License-Identifier: BSD-3-Clause */
#include "mapped.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "cleanup.h"
#include "log.h"
#include "wire.h"

#define PAGE_BYTES 4096u

struct slot {
	uint32_t number; /* KVM's; 0: it never had one */
	uint64_t offset; /* in the region */
	void *host;
	uint64_t size;
	bool read_only;
	bool plugged;
};

struct mapped {
	struct vm *vm;
	const char *device;
	uint32_t region;
	struct slot *slots;
	uint32_t nr;
};

/* For reading and writing; for reading alone where the server's file does not permit more. */
static int map(const struct fpc_region *region, const struct fpc_area *area, struct slot *slot)
{
	int ret = -EPERM;

	if (region->flags & FPC_REGION_WRITEABLE)
		ret = fpc_region_map(region, area->offset, area->size, PROT_READ | PROT_WRITE,
				     &slot->host);
	slot->read_only = ret == -EPERM || ret == -EACCES;
	if (slot->read_only)
		ret = fpc_region_map(region, area->offset, area->size, PROT_READ, &slot->host);
	slot->offset = area->offset;
	slot->size = area->size;
	return ret;
}

/* A slot that moves keeps its number: KVM has not so many. */
static int give_to_kvm(struct vm *vm, struct slot *slot, uint64_t base)
{
	struct kvm_userspace_memory_region memory = {
		.slot = slot->number ? slot->number : vm->nr_slots,
		.flags = slot->read_only ? KVM_MEM_READONLY : 0,
		.guest_phys_addr = base + slot->offset,
		.memory_size = slot->size,
		.userspace_addr = (uintptr_t)slot->host,
	};

	if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &memory))
		return -errno;
	if (!slot->number)
		slot->number = vm->nr_slots++;
	slot->plugged = true;
	return 0;
}

/* A slot of no size is none. */
static void take_from_kvm(const struct vm *vm, struct slot *slot)
{
	struct kvm_userspace_memory_region none = { .slot = slot->number };

	if (slot->plugged && ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &none))
		log_debug("memory slot %u stays: %s", slot->number, strerror(errno));
	slot->plugged = false;
}

static void complain(const struct mapped *mapped, uint64_t offset, int ret)
{
	log_warn("%s: region %u, area at %#" PRIx64 " goes by message: it can't be mapped: %s",
		 mapped->device, mapped->region, offset, strerror(-ret));
}

static int try_add(struct mapped *mapped, const struct fpc_region *region,
		   const struct fpc_area *area, uint64_t base)
{
	struct slot *slot = &mapped->slots[mapped->nr];
	int ret = -EINVAL;

	*slot = (struct slot){ 0 };
	if (!(area->size % PAGE_BYTES) && !((base + area->offset) % PAGE_BYTES))
		ret = map(region, area, slot);
	if (ret)
		return ret;
	ret = give_to_kvm(mapped->vm, slot, base);
	if (ret)
		munmap(slot->host, slot->size);
	else
		mapped->nr++;
	return ret;
}

/* The area, but for what of it lies in the target's holes from `hole` on. */
static void add_around(struct mapped *mapped, const struct fpc_region *region, struct fpc_area area,
		       const struct mapped_target *target, unsigned int hole)
{
	uint64_t end = area.offset + area.size;
	int ret;

	for (; hole < target->nr_holes; hole++) {
		const struct fpc_area *out = &target->holes[hole];
		uint64_t behind = out->offset + out->size;

		if (!wire_overlaps(area.offset, area.size, out->offset, out->size))
			continue;
		if (area.offset < out->offset)
			add_around(mapped, region,
				   (struct fpc_area){ area.offset, out->offset - area.offset },
				   target, hole + 1);
		if (behind < end)
			add_around(mapped, region, (struct fpc_area){ behind, end - behind },
				   target, hole + 1);
		return;
	}
	ret = try_add(mapped, region, &area, target->base);
	if (ret)
		complain(mapped, area.offset, ret);
}

static void add_all(struct mapped *mapped, const struct fpc_region *region,
		    const struct mapped_target *target)
{
	const struct fpc_area whole = { .size = region->size };
	uint32_t nr = region->has_sparse ? region->nr_areas : 1;

	for (uint32_t i = 0; i < nr; i++)
		add_around(mapped, region, region->has_sparse ? region->areas[i] : whole, target,
			   0);
}

/* Each hole may cut each area in two. */
static size_t most_slots(const struct fpc_region *region, const struct mapped_target *target)
{
	return (size_t)(region->has_sparse ? region->nr_areas : 1) << target->nr_holes;
}

int mapped_open(struct vm *vm, const struct fpc_region *region, const struct mapped_target *target,
		struct mapped **out)
{
	struct mapped *mapped;

	*out = NULL;
	if (!(region->flags & FPC_REGION_MMAP) || (region->has_sparse && !region->nr_areas))
		return 0;
	if (!region->sealed) {
		log_warn("%s: region %u goes by message: its server could cut its memory short",
			 target->device, region->index);
		return 0;
	}
	mapped = calloc(1, sizeof(*mapped));
	if (mapped)
		mapped->slots = calloc(most_slots(region, target), sizeof(*mapped->slots));
	if (!mapped || !mapped->slots) {
		free(mapped);
		return -ENOMEM;
	}
	mapped->vm = vm;
	mapped->device = target->device;
	mapped->region = region->index;
	add_all(mapped, region, target);
	if (mapped->nr)
		*out = mapped;
	else
		mapped_close(mapped);
	return 0;
}

void mapped_unplug(struct mapped *mapped)
{
	for (uint32_t i = 0; mapped && i < mapped->nr; i++)
		take_from_kvm(mapped->vm, &mapped->slots[i]);
}

void mapped_plug(struct mapped *mapped, uint64_t base)
{
	for (uint32_t i = 0; mapped && i < mapped->nr; i++) {
		int ret = base % PAGE_BYTES ? -EINVAL :
					      give_to_kvm(mapped->vm, &mapped->slots[i], base);

		if (ret)
			complain(mapped, mapped->slots[i].offset, ret);
	}
}

void mapped_close(struct mapped *mapped)
{
	if (!mapped)
		return;
	for (uint32_t i = 0; i < mapped->nr; i++) {
		take_from_kvm(mapped->vm, &mapped->slots[i]);
		munmap(mapped->slots[i].host, mapped->slots[i].size);
	}
	free(mapped->slots);
	free(mapped);
}

bool mapped_area(const struct mapped *mapped, uint32_t i, struct fpc_area *area, bool *read_only)
{
	for (uint32_t at = 0; at < mapped->nr; at++) {
		const struct slot *slot = &mapped->slots[at];

		if (!slot->plugged || i--)
			continue;
		*area = (struct fpc_area){ .offset = slot->offset, .size = slot->size };
		*read_only = slot->read_only;
		return true;
	}
	return false;
}

uint64_t mapped_bytes(const struct mapped *mapped)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; mapped && i < mapped->nr; i++)
		bytes += mapped->slots[i].size;
	return bytes;
}

uint64_t mapped_read_only_bytes(const struct mapped *mapped)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; mapped && i < mapped->nr; i++)
		bytes += mapped->slots[i].read_only ? mapped->slots[i].size : 0;
	return bytes;
}
