/* SPDX-License-Identifier: BSD-3-Clause */
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"
#include "wire.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static int create_file(struct memory *memory)
{
	memory->fd = memfd_create("guest-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	/* The size first: the seals fix it. */
	if (memory->fd < 0 || ftruncate(memory->fd, (off_t)memory->size) ||
	    fcntl(memory->fd, F_ADD_SEALS, SEALS))
		return -errno;
	return 0;
}

static int map(struct memory *memory)
{
	void *host = mmap(NULL, memory->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			  memory->fd, 0);

	if (host == MAP_FAILED)
		return -errno;
	memory->host = host;
	return 0;
}

static void divide(struct memory *memory)
{
	uint64_t low = memory->size < MEMORY_LOW_END ? memory->size : MEMORY_LOW_END;

	memory->parts[memory->nr_parts++] = (struct memory_part){ .size = low };
	if (low < memory->size)
		memory->parts[memory->nr_parts++] = (struct memory_part){
			.base = MEMORY_HIGH_BASE,
			.size = memory->size - low,
			.offset = low,
		};
}

/* The first slot is RAM's. */
static int give_to_kvm(const struct memory *memory, struct vm *vm)
{
	for (unsigned int i = 0; i < memory->nr_parts; i++) {
		const struct memory_part *part = &memory->parts[i];
		struct kvm_userspace_memory_region slot = {
			.slot = i ? vm->nr_slots++ : 0,
			.guest_phys_addr = part->base,
			.memory_size = part->size,
			.userspace_addr = (uintptr_t)memory->host + part->offset,
		};

		if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &slot))
			return -errno;
	}
	return 0;
}

int memory_open(struct vm *vm, uint64_t size, struct memory **out)
{
	struct memory *memory;
	int ret;

	if (!size || size > MEMORY_MAX_BYTES || size % (uint64_t)sysconf(_SC_PAGESIZE)) {
		log_error("guest memory: %" PRIu64 " bytes: not whole pages, up to %llu MiB", size,
			  MEMORY_MAX_BYTES >> 20);
		return -EINVAL;
	}
	memory = malloc(sizeof(*memory));
	if (!memory)
		return -ENOMEM;
	*memory = (struct memory){ .fd = -1, .size = size };
	divide(memory);
	ret = create_file(memory);
	if (!ret)
		ret = map(memory);
	if (!ret)
		ret = give_to_kvm(memory, vm);
	if (ret) {
		log_error("guest memory of %" PRIu64 " MiB: %s", size >> 20, strerror(-ret));
		memory_close(memory);
		return ret;
	}
	*out = memory;
	return 0;
}

void memory_close(struct memory *memory)
{
	if (!memory)
		return;
	if (memory->host)
		munmap(memory->host, memory->size);
	cleanup_close(&memory->fd);
	free(memory);
}

uint64_t memory_low_end(const struct memory *memory)
{
	return memory->parts[0].size;
}

uint64_t memory_end(const struct memory *memory)
{
	const struct memory_part *last = &memory->parts[memory->nr_parts - 1];

	return last->base + last->size;
}

void *memory_ptr(const struct memory *memory, uint64_t gpa, uint64_t len)
{
	for (unsigned int i = 0; i < memory->nr_parts; i++) {
		const struct memory_part *part = &memory->parts[i];

		if (gpa >= part->base && wire_within(gpa - part->base, len, part->size))
			return memory->host + part->offset + (gpa - part->base);
	}
	return NULL;
}

/* To have a page given back is cheaper than to fill it, most of all when it was never there. */
void memory_zero(const struct memory *memory, uint64_t gpa, uint64_t len)
{
	uint8_t *start = memory_ptr(memory, gpa, len);
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t before = (page - gpa % page) % page;
	uint64_t whole = before < len ? (len - before) / page * page : 0;

	if (!whole || fallocate(memory->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				start + before - memory->host, (off_t)whole)) {
		memset(start, 0, len);
		return;
	}
	memset(start, 0, before);
	memset(start + before + whole, 0, len - before - whole);
}
