/* SPDX-License-Identifier: BSD-3-Clause */
#include "payload.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"
#include "log.h"
#include "longmode.h"

static_assert(PAYLOAD_PARAMS_ADDRESS >= LONGMODE_TABLES_END, "parameters and tables overlap");
static_assert(PAYLOAD_STACK_TOP - MACHINE_MAX_VCPUS * PAYLOAD_STACK_BYTES >= PAYLOAD_STACK_BOTTOM &&
		      MACHINE_MAX_VCPUS <= LONGMODE_MAX_VCPUS,
	      "as many vCPUs as a machine has");

/* The mailboxes, behind the window of the BARs. */
#define MAILBOX_BASE MACHINE_MMIO_END
#define EXIT_OFFSET 0u
#define CONSOLE_OFFSET 8u
#define FAULT_OFFSET 16u /* of the first vCPU, then those of the others */
#define LEAVE_OFFSET (FAULT_OFFSET + 8u * MACHINE_MAX_VCPUS)
#define MAILBOX_BYTES (LEAVE_OFFSET + 8u)

#define PAGE_BYTES 4096u

static void flush_line(struct payload *payload)
{
	const char *text = payload->line;
	ssize_t n = 0;

	for (; payload->line_len && n >= 0; text += n, payload->line_len -= (size_t)n) {
		n = write(payload->console_fd, text, payload->line_len);
		if (n < 0 && errno == EINTR)
			n = 0;
	}
	/* Nobody reads it: the guest need not care. */
	payload->line_len = 0;
}

static void print(struct payload *payload, const char *text, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++) {
		payload->line[payload->line_len++] = text[i];
		if (text[i] == '\n' || payload->line_len == sizeof(payload->line))
			flush_line(payload);
	}
}

static int read_mailbox(void *opaque, uint64_t offset, void *data, uint32_t len)
{
	(void)opaque;
	(void)offset;
	memset(data, 0, len);
	return 0;
}

/* Told by vCPU `number`, which waits outside of the guest. */
static int report_fault(struct payload *payload, uint64_t number, uint64_t stack)
{
	const struct machine *machine = payload->machine;

	flush_line(payload);
	if (number >= machine->nr_vcpus)
		return 0;
	return longmode_exception(machine->vcpus[number], machine->memory, stack);
}

static int write_mailbox(void *opaque, uint64_t offset, const void *data, uint32_t len)
{
	struct payload *payload = opaque;
	uint64_t value = 0;

	memcpy(&value, data, len);
	switch (offset) {
	case EXIT_OFFSET:
		payload->exit_code = value;
		payload->exited = true;
		flush_line(payload);
		return BUS_STOP;
	case CONSOLE_OFFSET:
		print(payload, data, len);
		return 0;
	case LEAVE_OFFSET:
		return BUS_LEAVE;
	default:
		return report_fault(payload, (offset - FAULT_OFFSET) / 8, value);
	}
}

static const struct bus_ops mailbox_ops = {
	.read = read_mailbox,
	.write = write_mailbox,
	.name = "mailboxes",
};

/* The image to its place, zeros behind it, and the page that tells of it. */
static int fill_memory(struct payload *payload, const char *name, const void *image, size_t len)
{
	const struct memory *memory = payload->machine->memory;
	uint64_t end = (PAYLOAD_LOAD_ADDRESS + len + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
	void *room = memory_ptr(memory, PAYLOAD_LOAD_ADDRESS, len);

	if (!len) {
		log_error("payload %s: empty", name);
		return -EINVAL;
	}
	if (!room || end > memory_low_end(memory)) {
		log_error("payload %s: %zu bytes don't fit into %" PRIu64
			  " MiB of memory, loaded at %llu MiB",
			  name, len, memory->size >> 20, PAYLOAD_LOAD_ADDRESS >> 20);
		return -EFBIG;
	}
	memcpy(room, image, len);
	payload->params = memory_ptr(memory, PAYLOAD_PARAMS_ADDRESS, sizeof(*payload->params));
	*payload->params = (struct payload_params){
		.magic = PAYLOAD_MAGIC,
		.version = PAYLOAD_VERSION,
		.exit_address = MAILBOX_BASE + EXIT_OFFSET,
		.console_address = MAILBOX_BASE + CONSOLE_OFFSET,
		.pci_address = PCI_HOST_ECAM_BASE,
		.ram_address = end,
		.ram_size = memory_low_end(memory) - end,
		.nr_vcpus = payload->machine->nr_vcpus,
		.leave_address = MAILBOX_BASE + LEAVE_OFFSET,
	};
	return 0;
}

static int start_vcpu(const struct machine *machine, unsigned int number)
{
	const struct longmode_entry entry = {
		.number = number,
		.rip = PAYLOAD_LOAD_ADDRESS,
		/* As after a call: the ABI has the stack aligned before the return address. */
		.rsp = PAYLOAD_STACK_TOP - number * PAYLOAD_STACK_BYTES - sizeof(uint64_t),
		.rdi = PAYLOAD_PARAMS_ADDRESS,
		.rsi = number,
		.fault_address = (uint32_t)(MAILBOX_BASE + FAULT_OFFSET + 8 * number),
	};

	return longmode_setup(machine->vcpus[number], machine->memory, &entry);
}

static int start(struct payload *payload)
{
	const struct bus_range mailboxes = {
		.space = BUS_MMIO,
		.base = MAILBOX_BASE,
		.size = MAILBOX_BYTES,
		.ops = &mailbox_ops,
		.opaque = payload,
	};
	int ret = 0;

	for (unsigned int i = 0; i < payload->machine->nr_vcpus && !ret; i++)
		ret = start_vcpu(payload->machine, i);
	if (ret)
		return ret;
	ret = bus_add(payload->machine->bus, &mailboxes);
	if (ret)
		log_error("payload: its mailboxes at %#llx: %s", MAILBOX_BASE, strerror(-ret));
	return ret;
}

int payload_open(struct machine *machine, const char *name, const void *image, size_t len,
		 struct payload **out)
{
	CLEANUP_FREE struct payload *payload = malloc(sizeof(*payload));
	int ret;

	if (!payload)
		return -ENOMEM;
	*payload = (struct payload){ .machine = machine, .console_fd = STDOUT_FILENO };
	ret = fill_memory(payload, name, image, len);
	if (!ret)
		ret = start(payload);
	if (!ret)
		*out = take_ptr(payload);
	return ret;
}

int payload_open_file(struct machine *machine, const char *path, struct payload **out)
{
	CLEANUP_FREE void *bytes = NULL;
	size_t len = 0;
	/* What can't fit need not be read to its end. */
	int ret = file_load(path, machine->memory->size, &bytes, &len);

	if (ret) {
		log_error("payload %s: %s", path, file_error(ret));
		return ret;
	}
	return payload_open(machine, path, bytes, len, out);
}

void payload_close(struct payload *payload)
{
	if (!payload)
		return;
	flush_line(payload);
	bus_remove(payload->machine->bus, BUS_MMIO, MAILBOX_BASE);
	free(payload);
}

int payload_add_bar(struct payload *payload, const struct payload_bar *bar)
{
	struct payload_params *params = payload->params;

	/* Counted here too: what stands in guest memory is the guest's. */
	if (payload->nr_bars == PAYLOAD_MAX_BARS)
		return -ENOSPC;
	params->bars[payload->nr_bars++] = *bar;
	params->nr_bars = payload->nr_bars;
	return 0;
}
