/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * edu: the teaching device of QEMU, for drivers that are written to learn it: factorial, DMA,
 * interrupts. What it is here for is that no fd makes it faster: its registers are read as often as
 * they are written, and a read has to be answered. So all of them are one span.
 *
 * The factorial is ready when its write is: EDU_STATUS_COMPUTING is never seen.
 */
#include "edu.h"

#include <errno.h>

#include "fastpath.h"

#define DMA_BITS 28u

/* All that a guest can read, or that goes on. */
struct registers {
	uint32_t liveness;
	uint32_t factorial;
	uint32_t status;
	uint32_t irq_status;
	uint64_t dma_from, dma_to, dma_count, dma_command;
	uint8_t buffer[EDU_BUFFER_BYTES];
};

struct edu {
	uint64_t dma_bits; /* the key */
	struct registers registers;
	struct fp_dma_op op;
	uint8_t copy[EDU_BUFFER_BYTES];
};

/* ---- interrupts: an MSI for each reason that comes, INTx as long as there is one ---- */

static void set_reasons(struct fp_device *dev, uint32_t reasons)
{
	((struct edu *)fp_state(dev))->registers.irq_status = reasons;
	fp_irq_level(dev, reasons != 0);
}

static void raise_reasons(struct fp_device *dev, uint32_t reasons)
{
	reasons |= ((struct edu *)fp_state(dev))->registers.irq_status;
	set_reasons(dev, reasons);
	if (reasons)
		fp_irq_trigger(dev, FP_MSI, 0);
}

/* ---- factorial ---- */

static void factorial(struct fp_device *dev, uint32_t n)
{
	struct registers *registers = &((struct edu *)fp_state(dev))->registers;
	uint32_t product = 1;

	/* 34! has 32 factors of 2: from there on it is 0, and the loop over. */
	for (; n && product; n--)
		product *= n;
	registers->factorial = product;
	if (registers->status & EDU_STATUS_INTERRUPT)
		raise_reasons(dev, EDU_IRQ_FACTORIAL);
}

/* ---- DMA ---- */

static void dma_done(struct fp_device *dev, struct fp_dma_op *op, int ret)
{
	struct edu *edu = fp_state(dev);
	struct registers *registers = &edu->registers;

	(void)op;
	if (!ret && !(registers->dma_command & EDU_DMA_TO_MEMORY))
		memcpy(registers->buffer + (registers->dma_to - EDU_BUFFER), edu->copy,
		       registers->dma_count);
	registers->dma_command &= ~(uint64_t)EDU_DMA_START;
	if (registers->dma_command & EDU_DMA_INTERRUPT)
		raise_reasons(dev, EDU_IRQ_DMA);
}

/* What lies outside of the buffer is not copied; the device has no way to say so. */
static void dma_start(struct fp_device *dev)
{
	struct edu *edu = fp_state(dev);
	struct registers *registers = &edu->registers;
	bool to_memory = registers->dma_command & EDU_DMA_TO_MEMORY;
	uint64_t own = to_memory ? registers->dma_from : registers->dma_to;
	uint64_t mask = (1ull << edu->dma_bits) - 1;
	uint64_t count = registers->dma_count;

	edu->op.done = dma_done;
	if (own < EDU_BUFFER || own - EDU_BUFFER > EDU_BUFFER_BYTES ||
	    count > EDU_BUFFER_BYTES - (own - EDU_BUFFER)) {
		dma_done(dev, &edu->op, -EINVAL);
	} else if (to_memory) {
		memcpy(edu->copy, registers->buffer + (own - EDU_BUFFER), count);
		fp_dma_write(dev, &edu->op, registers->dma_to & mask, edu->copy, count);
	} else {
		fp_dma_read(dev, &edu->op, registers->dma_from & mask, edu->copy, count);
	}
}

static bool is_running(const struct registers *registers)
{
	return registers->dma_command & EDU_DMA_START;
}

/* ---- registers ---- */

static uint64_t *dma_register(struct registers *registers, uint64_t offset)
{
	switch (offset) {
	case EDU_DMA_FROM:
		return &registers->dma_from;
	case EDU_DMA_TO:
		return &registers->dma_to;
	case EDU_DMA_COUNT:
		return &registers->dma_count;
	case EDU_DMA_COMMAND:
		return &registers->dma_command;
	default:
		return NULL;
	}
}

static uint64_t read_register(struct registers *registers, uint64_t offset)
{
	const uint64_t *dma = dma_register(registers, offset);

	switch (offset) {
	case EDU_ID:
		return EDU_ID_VALUE;
	case EDU_LIVENESS:
		return registers->liveness;
	case EDU_FACTORIAL:
		return registers->factorial;
	case EDU_STATUS:
		return registers->status;
	case EDU_IRQ_STATUS:
		return registers->irq_status;
	default:
		return dma ? *dma : UINT64_MAX;
	}
}

static void write_dma(struct fp_device *dev, struct registers *registers, uint64_t offset,
		      uint64_t value)
{
	uint64_t *dma = dma_register(registers, offset);

	if (!dma || is_running(registers))
		return;
	*dma = value;
	if (is_running(registers))
		dma_start(dev);
}

static void write_register(struct fp_device *dev, uint64_t offset, uint64_t value)
{
	struct registers *registers = &((struct edu *)fp_state(dev))->registers;

	switch (offset) {
	case EDU_LIVENESS:
		registers->liveness = ~(uint32_t)value;
		break;
	case EDU_FACTORIAL:
		factorial(dev, (uint32_t)value);
		break;
	case EDU_STATUS:
		registers->status = (uint32_t)value & EDU_STATUS_INTERRUPT;
		break;
	case EDU_IRQ_RAISE:
		raise_reasons(dev, (uint32_t)value);
		break;
	case EDU_IRQ_ACK:
		set_reasons(dev, registers->irq_status & ~(uint32_t)value);
		break;
	default:
		write_dma(dev, registers, offset, value);
	}
}

static int edu_access(struct fp_device *dev, struct fp_access *access)
{
	struct registers *registers = &((struct edu *)fp_state(dev))->registers;
	bool fits = access->size == 4 || (access->size == 8 && access->offset >= EDU_DMA_FROM);

	if (!fits && !access->write)
		memset(access->data, 0xff, access->size);
	else if (!access->write)
		fp_access_answer(access, read_register(registers, access->offset));
	else if (fits)
		write_register(dev, access->offset, fp_access_value(access));
	return 0;
}

/* ---- life ---- */

static int edu_open(struct fp_device *dev)
{
	struct edu *edu = fp_state(dev);

	if (!edu->dma_bits)
		edu->dma_bits = DMA_BITS;
	if (edu->dma_bits >= 12 && edu->dma_bits < 64)
		return 0;
	fp_error(dev, "dma-bits=%llu: wants 12 to 63", (unsigned long long)edu->dma_bits);
	return -EINVAL;
}

/* This, save() and load() come when no transfer is on its way. */
static int edu_reset(struct fp_device *dev)
{
	((struct edu *)fp_state(dev))->registers = (struct registers){ 0 };
	return 0;
}

static int edu_save(struct fp_device *dev, struct fp_stream *to)
{
	const struct edu *edu = fp_state(dev);

	return fp_stream_write(to, &edu->registers, sizeof(edu->registers));
}

static int edu_load(struct fp_device *dev, struct fp_stream *from)
{
	struct edu *edu = fp_state(dev);

	if (fp_stream_read(from, &edu->registers, sizeof(edu->registers)))
		return -EINVAL;
	edu->registers.status &= EDU_STATUS_INTERRUPT;
	if (is_running(&edu->registers))
		return -EINVAL;
	fp_irq_level(dev, edu->registers.irq_status != 0);
	return 0;
}

static const struct fp_key keys[] = {
	{ .name = "dma-bits",
	  .type = FP_KEY_U64,
	  .offset = offsetof(struct edu, dma_bits),
	  .help = "of guest addresses, as many as it has; default 28" },
	{ 0 },
};

static const struct fp_span spans[] = { { .offset = 0, .size = EDU_BAR_BYTES } };

FP_DEVICE(edu) = {
	.name = "edu",
	.summary = "QEMU's teaching device: factorial, DMA, interrupts",
	.state_bytes = sizeof(struct edu),
	.keys = keys,
	.pci = { .vendor = EDU_VENDOR,
		 .device = EDU_DEVICE,
		 .class_code = 0xff0000,
		 .revision = 0x10 },
	.regions[FP_BAR0] = { .size = EDU_BAR_BYTES,
			      .access = edu_access,
			      .spans = spans,
			      .nr_spans = 1 },
	.irqs = { [FP_INTX] = 1, [FP_MSI] = 1 },
	.open = edu_open,
	.reset = edu_reset,
	.save = edu_save,
	.load = edu_load,
};
