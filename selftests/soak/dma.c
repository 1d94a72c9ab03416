/* SPDX-License-Identifier: BSD-3-Clause */
/* dma: guest memory that comes, is copied by edu, is cut short, and goes. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "actor.h"
#include "edu.h"

#define WINDOW_BYTES 0x10000u
#define FLAGS (FPC_DMA_READABLE | FPC_DMA_WRITEABLE)

enum how {
	BY_MMAP,
	BY_FILE,
	BY_MESSAGE,
	NR_HOWS
};

static void copy(struct fpc *edu, uint64_t from, uint64_t to, uint64_t count, uint64_t command)
{
	uint64_t values[] = { from, to, count, command | EDU_DMA_START };
	uint64_t busy = EDU_DMA_START;

	for (unsigned int i = 0; i < 4; i++)
		actor_must(fpc_region_write(edu, FP_BAR0, EDU_DMA_FROM + 8 * i, &values[i], 8),
			   "edu's registers");
	while (busy & EDU_DMA_START)
		actor_must(fpc_region_read(edu, FP_BAR0, EDU_DMA_COMMAND, &busy, 8),
			   "edu's registers");
}

/* A window of memory at `iova`, whose file is *fd. */
static uint8_t *window(struct fpc *edu, enum how how, uint64_t iova, int *fd)
{
	uint8_t *memory;

	*fd = memfd_create("guest", MFD_CLOEXEC);
	if (*fd < 0 || ftruncate(*fd, WINDOW_BYTES))
		soak_fail("no memory");
	memory = mmap(NULL, WINDOW_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (memory == MAP_FAILED)
		soak_fail("no memory");
	if (how == BY_MESSAGE)
		actor_must(fpc_dma_map_memory(edu, memory, iova, WINDOW_BYTES, FLAGS), "DMA_MAP");
	else
		actor_must(fpc_dma_map(
				   edu, *fd, 0, iova, WINDOW_BYTES,
				   FLAGS | (how == BY_MMAP ? FPC_DMA_BY_MMAP : FPC_DMA_BY_FILE_IO)),
			   "DMA_MAP");
	return memory;
}

/* To the device and back, to another place of the window. */
static void copy_there_and_back(struct actor *actor, struct fpc *edu, uint8_t *memory,
				uint64_t iova)
{
	uint32_t len = 1 + chance_below(&actor->chance, EDU_BUFFER_BYTES);
	uint32_t from = chance_below(&actor->chance, WINDOW_BYTES / 2 - len);
	uint32_t to = WINDOW_BYTES / 2 + chance_below(&actor->chance, WINDOW_BYTES / 2 - len);

	chance_bytes(&actor->chance, memory + from, len);
	copy(edu, iova + from, EDU_BUFFER, len, 0);
	copy(edu, EDU_BUFFER, iova + to, len, EDU_DMA_TO_MEMORY);
	if (memcmp(memory + from, memory + to, len) != 0)
		soak_fail("DMA brought back something else");
}

void step_dma(struct actor *actor)
{
	enum how how = (enum how)chance_below(&actor->chance, NR_HOWS);
	uint64_t iova = (uint64_t)(1 + chance_below(&actor->chance, 0xf00)) << 16;
	bool cut = how != BY_MESSAGE && chance_below(&actor->chance, 3) == 0;
	struct fpc *edu;
	uint8_t *memory;
	int fd;

	soak_step("dma: window at %#llx, kind %d%s", (unsigned long long)iova, how,
		  cut ? ", cut short" : "");
	edu = server_connect(&actor->server, SERVER_EDU);
	memory = window(edu, how, iova, &fd);
	copy_there_and_back(actor, edu, memory, iova);
	if (cut) {
		if (ftruncate(fd, 4096))
			soak_fail("ftruncate");
		copy(edu, iova + 8192, EDU_BUFFER, 4096, 0);
		copy(edu, EDU_BUFFER, iova + 8192, 4096, EDU_DMA_TO_MEMORY);
	}
	if (chance_below(&actor->chance, 2)) /* or leave it to the end of the connection */
		actor_must(fpc_dma_unmap(edu, iova, WINDOW_BYTES), "DMA_UNMAP");
	munmap(memory, WINDOW_BYTES);
	close(fd);
	fpc_close(edu);
}
