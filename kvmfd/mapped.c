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

#define PAGE_BYTES 4096u

struct slot {
	uint32_t number; /* KVM's */
	void *host;
	uint64_t size;
	bool read_only;
};

struct mapped {
	struct vm *vm;
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
	slot->size = area->size;
	return ret;
}

static int give_to_kvm(struct vm *vm, struct slot *slot, uint64_t address)
{
	struct kvm_userspace_memory_region memory = {
		.slot = vm->nr_slots,
		.flags = slot->read_only ? KVM_MEM_READONLY : 0,
		.guest_phys_addr = address,
		.memory_size = slot->size,
		.userspace_addr = (uintptr_t)slot->host,
	};

	if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &memory))
		return -errno;
	slot->number = vm->nr_slots++;
	return 0;
}

/* A slot of no size is none. */
static void take_from_kvm(const struct vm *vm, const struct slot *slot)
{
	struct kvm_userspace_memory_region none = { .slot = slot->number };

	if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &none))
		log_debug("memory slot %u stays: %s", slot->number, strerror(errno));
}

static int add(struct mapped *mapped, struct vm *vm, const struct fpc_region *region,
	       const struct fpc_area *area, uint64_t address)
{
	struct slot *slot = &mapped->slots[mapped->nr];
	int ret = -EINVAL;

	if (!(area->size % PAGE_BYTES) && !(address % PAGE_BYTES))
		ret = map(region, area, slot);
	if (ret)
		return ret;
	ret = give_to_kvm(vm, slot, address);
	if (ret)
		munmap(slot->host, slot->size);
	else
		mapped->nr++;
	return ret;
}

static void add_all(struct mapped *mapped, struct vm *vm, const struct fpc_region *region,
		    const struct mapped_target *target)
{
	const struct fpc_area whole = { .size = region->size };
	uint32_t nr = region->has_sparse ? region->nr_areas : 1;

	for (uint32_t i = 0; i < nr; i++) {
		const struct fpc_area *area = region->has_sparse ? &region->areas[i] : &whole;
		int ret = add(mapped, vm, region, area, target->base + area->offset);

		if (ret)
			log_warn("%s: region %u, area at %#" PRIx64
				 " goes by message: it can't be mapped: %s",
				 target->device, region->index, area->offset, strerror(-ret));
	}
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
		mapped->slots =
			calloc(region->has_sparse ? region->nr_areas : 1, sizeof(*mapped->slots));
	if (!mapped || !mapped->slots) {
		free(mapped);
		return -ENOMEM;
	}
	mapped->vm = vm;
	add_all(mapped, vm, region, target);
	if (mapped->nr)
		*out = mapped;
	else
		mapped_close(mapped);
	return 0;
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
