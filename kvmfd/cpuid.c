/* SPDX-License-Identifier: BSD-3-Clause */
#include "cpuid.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "cleanup.h"
#include "log.h"

/* More entries than KVM ever answers with. */
#define MAX_ENTRIES 1024u

#define LEAF_ADDRESSES 0x80000008u

/* Asks with more and more room, as KVM does not say how much it needs. */
int cpuid_supported(const struct vm *vm, struct kvm_cpuid2 **out)
{
	int err = E2BIG;

	for (unsigned int nent = 64; nent <= MAX_ENTRIES && err == E2BIG; nent *= 2) {
		CLEANUP_FREE struct kvm_cpuid2 *cpuid =
			calloc(1, sizeof(*cpuid) + nent * sizeof(*cpuid->entries));

		if (!cpuid)
			return -ENOMEM;
		cpuid->nent = nent;
		if (!ioctl(vm->kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid)) {
			*out = take_ptr(cpuid);
			return 0;
		}
		err = errno;
	}
	log_error("KVM_GET_SUPPORTED_CPUID: %s", strerror(err));
	return -err;
}

unsigned int cpuid_address_bits(const struct vm *vm)
{
	CLEANUP_FREE struct kvm_cpuid2 *cpuid = NULL;

	if (cpuid_supported(vm, &cpuid) || !cpuid)
		return 0;
	for (uint32_t i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == LEAF_ADDRESSES)
			return cpuid->entries[i].eax & 0xff;
	return 0;
}

#define LEAF_1_ECX_TSC_DEADLINE (1u << 24)
#define LEAF_1_ECX_HYPERVISOR (1u << 31)
#define LEAF_1_EDX_HTT (1u << 28) /* the number of logical CPUs counts */

/* ---- where a vCPU is: Intel SDM volume 2A, "CPUID"; AMD APM volume 3, appendix E ---- */

struct place {
	uint32_t id;
	uint32_t nr;
	uint32_t bits; /* of an APIC id in a package */
};

static void place_features(struct kvm_cpuid_entry2 *entry, const struct place *place)
{
	entry->ebx &= 0xffff;
	entry->ebx |= place->id << 24 | place->nr << 16;
	/* KVM leaves these to us: a timer by TSC, there with any irqchip; that it is a guest. */
	entry->ecx |= LEAF_1_ECX_TSC_DEADLINE | LEAF_1_ECX_HYPERVISOR;
	entry->edx &= ~LEAF_1_EDX_HTT;
	entry->edx |= place->nr > 1 ? LEAF_1_EDX_HTT : 0;
}

/* Intel's caches: who shares them, and how many cores there are. */
static void place_cache(struct kvm_cpuid_entry2 *entry, const struct place *place)
{
	uint32_t level = entry->eax >> 5 & 7;

	if (!(entry->eax & 0x1f))
		return;
	entry->eax &= 0x3fff;
	entry->eax |= ((1u << place->bits) - 1) << 26;
	if (level > 2)
		entry->eax |= ((1u << place->bits) - 1) << 14;
}

/* Level 0 is threads, of which a core has one; level 1 is cores. */
static void place_topology(struct kvm_cpuid_entry2 *entry, const struct place *place)
{
	entry->eax = entry->ebx = 0;
	entry->ecx = entry->index;
	entry->edx = place->id;
	if (entry->index == 0) {
		entry->ebx = 1;
		entry->ecx |= 1 << 8;
	} else if (entry->index == 1) {
		entry->eax = place->bits;
		entry->ebx = place->nr;
		entry->ecx |= 2 << 8;
	}
}

static void place_amd_cores(struct kvm_cpuid_entry2 *entry, const struct place *place)
{
	entry->ecx &= ~0xf0ffu;
	entry->ecx |= place->bits << 12 | (place->nr - 1);
}

static void place_amd_cache(struct kvm_cpuid_entry2 *entry, const struct place *place)
{
	uint32_t level = entry->eax >> 5 & 7;

	if (!(entry->eax & 0x1f))
		return;
	entry->eax &= 0x3fff;
	if (level > 2)
		entry->eax |= (place->nr - 1) << 14;
}

static void place_amd_topology(struct kvm_cpuid_entry2 *entry, const struct place *place)
{
	entry->eax = entry->ebx = place->id;
	entry->ecx = 0;
}

static const struct {
	uint32_t function;
	void (*place)(struct kvm_cpuid_entry2 *entry, const struct place *place);
} leaves[] = {
	{ 0x1, place_features },
	{ 0x4, place_cache },
	{ 0xb, place_topology },
	{ 0x1f, place_topology },
	{ LEAF_ADDRESSES, place_amd_cores },
	{ 0x8000001d, place_amd_cache },
	{ 0x8000001e, place_amd_topology },
};

void cpuid_place(struct kvm_cpuid2 *cpuid, unsigned int id, unsigned int nr)
{
	struct place place = { .id = id, .nr = nr };

	while (1u << place.bits < nr)
		place.bits++;
	for (uint32_t i = 0; i < cpuid->nent; i++)
		for (size_t leaf = 0; leaf < sizeof(leaves) / sizeof(*leaves); leaf++)
			if (cpuid->entries[i].function == leaves[leaf].function)
				leaves[leaf].place(&cpuid->entries[i], &place);
}
