/* SPDX-License-Identifier: BSD-3-Clause */
#include "nvme.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

/* As the NVMe device that SPDK serves by vfio-user. */
#define VENDOR 0x4e58
#define DEVICE 0x0001

#define CLASS_NVME 0x010802

/* Lines about what a client's guest has done wrong. */
#define MAX_SAID 16u

/* Contiguous queues, 30 seconds until it is ready, doorbells side by side, NVM commands. */
#define CAP_VALUE ((NVME_MAX_ENTRIES - 1) | 1ull << 16 | 60ull << 24 | 1ull << 37)

/* ---- what it is in ---- */

bool nvme_is_live(const struct nvme *nvme)
{
	return nvme->csts & NVME_CSTS_RDY && !(nvme->csts & NVME_CSTS_CFS) && !nvme->is_resetting;
}

bool nvme_is_idle(const struct nvme *nvme)
{
	if (nvme->in_flight != nvme->held || nvme->is_shutting)
		return false;
	for (uint32_t i = 0; i < NVME_MAX_QUEUES; i++)
		if (steps_busy(&nvme->sqs[i].in) || steps_busy(&nvme->cqs[i].out))
			return false;
	return true;
}

void nvme_fatal(struct nvme *nvme, const char *fmt, ...)
{
	bool is_new = !(nvme->csts & NVME_CSTS_CFS);
	char text[200];
	va_list args;

	nvme->csts |= NVME_CSTS_CFS;
	if (!is_new || nvme->said == MAX_SAID)
		return;
	nvme->said++;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	fp_error(nvme->dev, "%s: CSTS.CFS until a reset", text);
}

/* ---- enabling, resetting, shutting down ---- */

void nvme_clear(struct nvme *nvme, bool power_on)
{
	nvme_queues_clear(nvme);
	for (uint32_t i = 0; i < nvme->nr_event_requests; i++)
		nvme_command_put(nvme->event_requests[i]);
	nvme->nr_event_requests = 0;
	memset(nvme->asyncs, 0, sizeof(nvme->asyncs));
	nvme->shadow = nvme->events = 0;
	nvme->csts = 0;
	nvme->intms = 0;
	nvme->is_resetting = false;
	nvme_features_clear(nvme);
	fp_irq_level(nvme->dev, false);
	if (!power_on)
		return;
	nvme->cc = nvme->aqa = 0;
	nvme->asq = nvme->acq = 0;
}

static void enable(struct nvme *nvme)
{
	uint32_t sq_size = (nvme->aqa & 0xfff) + 1;
	uint32_t cq_size = (nvme->aqa >> 16 & 0xfff) + 1;

	if (nvme->cc & NVME_CC_CSS_MPS_AMS) {
		nvme_fatal(nvme, "CC=%#x asks for what CAP does not have", nvme->cc);
	} else if (sq_size < 2 || cq_size < 2 || nvme->asq % NVME_PAGE || nvme->acq % NVME_PAGE ||
		   nvme->asq > UINT64_MAX - (1u << 20) || nvme->acq > UINT64_MAX - (1u << 20)) {
		nvme_fatal(nvme, "AQA=%#x ASQ=%#llx ACQ=%#llx is no admin queue", nvme->aqa,
			   (unsigned long long)nvme->asq, (unsigned long long)nvme->acq);
	} else {
		nvme_cq_create(&nvme->cqs[0], nvme->acq, cq_size, true, 0);
		nvme_sq_create(&nvme->sqs[0], nvme->asq, sq_size, &nvme->cqs[0]);
		nvme->csts |= NVME_CSTS_RDY;
	}
}

static void end_reset(struct nvme *nvme)
{
	nvme_clear(nvme, false);
	if (nvme->cc & NVME_CC_EN)
		enable(nvme);
}

static void flush_next(struct nvme *nvme);

static void flushed(struct disk_op *op, int ret)
{
	struct nvme *nvme = (struct nvme *)((char *)op - offsetof(struct nvme, shutdown));

	if (ret)
		fp_error(nvme->dev, "%s=%s: flush: %s", op->disk->key, op->disk->path,
			 strerror(-ret));
	flush_next(nvme);
}

static void flush_next(struct nvme *nvme)
{
	if (nvme->flushed < nvme->nr_namespaces) {
		nvme->shutdown.done = flushed;
		disk_flush(&nvme->namespaces[nvme->flushed++].disk, &nvme->shutdown);
		return;
	}
	nvme->is_shutting = false;
	nvme->csts = (nvme->csts & ~NVME_CSTS_SHST) | NVME_CSTS_SHST_DONE;
	nvme_settle(nvme);
}

/* "The host is expected to have" ended its commands: what has been written by now is to stay. */
static void shut_down(struct nvme *nvme)
{
	nvme->csts = (nvme->csts & ~NVME_CSTS_SHST) | NVME_CSTS_SHST_BUSY;
	if (nvme->is_shutting)
		return;
	nvme->is_shutting = true;
	nvme->flushed = 0;
	flush_next(nvme);
}

static void settle_deletion(struct nvme_sq *sq)
{
	struct nvme_command *command = sq->deletion;

	if (!command || sq->in_flight || steps_busy(&sq->in))
		return;
	nvme_sq_delete(sq);
	nvme_complete(command, NVME_OK);
}

void nvme_settle(struct nvme *nvme)
{
	for (uint32_t i = 1; i < NVME_MAX_QUEUES; i++)
		settle_deletion(&nvme->sqs[i]);
	if (nvme->is_resetting && nvme_is_idle(nvme))
		end_reset(nvme);
}

/* Its deletions are not to be answered, and nothing else that it had is. */
static void begin_reset(struct nvme *nvme)
{
	nvme->is_resetting = true;
	nvme_settle(nvme);
}

static void set_cc(struct nvme *nvme, uint32_t cc)
{
	uint32_t old = nvme->cc;

	nvme->cc = cc;
	if (old & ~cc & NVME_CC_EN)
		begin_reset(nvme);
	else if (~old & cc & NVME_CC_EN && !nvme->is_resetting)
		enable(nvme);
	if (cc & NVME_CC_SHN && !(old & NVME_CC_SHN))
		shut_down(nvme);
}

/* ---- registers ---- */

static void set_half(uint64_t *reg, uint32_t value, bool high)
{
	*reg = high ? (*reg & UINT32_MAX) | (uint64_t)value << 32 : (*reg & ~0xffffffffull) | value;
}

static void write_register(struct nvme *nvme, uint64_t offset, uint32_t value)
{
	bool is_off = !(nvme->cc & NVME_CC_EN);

	switch (offset) {
	case NVME_INTMS:
		nvme->intms |= value;
		nvme_update_intx(nvme);
		break;
	case NVME_INTMC:
		nvme->intms &= ~value;
		nvme_update_intx(nvme);
		break;
	case NVME_CC:
		set_cc(nvme, value);
		break;
	case NVME_AQA:
		nvme->aqa = is_off ? value & 0x0fff0fff : nvme->aqa;
		break;
	case NVME_ASQ:
	case NVME_ASQ + 4:
		if (is_off)
			set_half(&nvme->asq, value, offset != NVME_ASQ);
		break;
	case NVME_ACQ:
	case NVME_ACQ + 4:
		if (is_off)
			set_half(&nvme->acq, value, offset != NVME_ACQ);
		break;
	default:
		break;
	}
}

/* The words that are written whole; nothing else is. */
static void write_registers(struct nvme *nvme, const struct fp_access *access)
{
	uint64_t end = access->offset + access->size;

	for (uint64_t at = (access->offset + 3) / 4 * 4; at + 4 <= end && at < NVME_ACQ + 8;
	     at += 4) {
		uint32_t value;

		memcpy(&value, (const uint8_t *)access->data + (at - access->offset), 4);
		write_register(nvme, at, value);
	}
}

static void read_registers(const struct nvme *nvme, struct fp_access *access)
{
	uint8_t registers[64] = { 0 };
	const struct {
		uint32_t at;
		uint64_t value;
	} values[] = {
		{ NVME_CAP, CAP_VALUE },     { NVME_VS, NVME_VERSION_1_4 },
		{ NVME_INTMS, nvme->intms }, { NVME_INTMC, nvme->intms },
		{ NVME_CC, nvme->cc },	     { NVME_CSTS, nvme->csts },
		{ NVME_AQA, nvme->aqa },     { NVME_ASQ, nvme->asq },
		{ NVME_ACQ, nvme->acq },
	};

	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++)
		memcpy(registers + values[i].at, &values[i].value, 8);
	fp_access_memory(access, 0, registers, sizeof(registers));
}

static int access_bar(struct fp_device *dev, struct fp_access *access)
{
	struct nvme *nvme = fp_state(dev);

	if (access->doorbell)
		nvme_ring(nvme, (uint16_t)((access->offset - NVME_DOORBELLS) / 8));
	else if (!access->write)
		read_registers(nvme, access);
	else if (access->offset < NVME_DOORBELLS)
		write_registers(nvme, access);
	else if (access->size == 4 && !(access->offset % 4) &&
		 access->offset < NVME_DOORBELLS + NVME_PAGE)
		nvme_doorbell(nvme, access->offset, (uint32_t)fp_access_value(access));
	return 0;
}

/* ---- keys ---- */

static int check_keys(struct fp_device *dev, struct nvme *nvme)
{
	if (!nvme->nr_io_queues)
		nvme->nr_io_queues = 4;
	if (!nvme->doorbells)
		nvme->doorbells = "span";
	nvme->loses_values = !strcmp(nvme->doorbells, "eventfd");
	if (!nvme->paths[0])
		fp_error(dev, "path= is needed: the file or block device");
	else if (nvme->nr_io_queues > NVME_MAX_IO_QUEUES)
		fp_error(dev, "num-queues=%llu: 16 at most",
			 (unsigned long long)nvme->nr_io_queues);
	else if (nvme->serial && strlen(nvme->serial) > NVME_SERIAL_BYTES)
		fp_error(dev, "serial=%s: 20 bytes at most", nvme->serial);
	else if (!nvme->loses_values && strcmp(nvme->doorbells, "span"))
		fp_error(dev, "doorbells=%s: span or eventfd", nvme->doorbells);
	else
		return 0;
	return -EINVAL;
}

/* FNV-1a, 64 bits: numbers that are the same wherever the device is served. */
static uint64_t hash(uint64_t seed, const char *text)
{
	uint64_t value = 0xcbf29ce484222325ull ^ seed;

	for (; *text; text++)
		value = (value ^ (uint8_t)*text) * 0x100000001b3ull;
	return value;
}

/* Two controllers with one name would be the same to Linux. */
static void name(struct nvme *nvme)
{
	uint64_t halves[2];

	if (nvme->serial)
		snprintf(nvme->serial_text, sizeof(nvme->serial_text), "%s", nvme->serial);
	else
		snprintf(nvme->serial_text, sizeof(nvme->serial_text), "%016llx",
			 (unsigned long long)hash(0, nvme->paths[0]));
	halves[0] = hash(1, nvme->serial_text);
	halves[1] = hash(2, nvme->serial_text);
	memcpy(nvme->uuid, halves, sizeof(nvme->uuid));
	nvme->uuid[6] = (nvme->uuid[6] & 0x0f) | 0x80; /* version 8: whatever we like */
	nvme->uuid[8] = (nvme->uuid[8] & 0x3f) | 0x80;
}

/* The values of an I/O queue's are lost: both ring the same, by an eventfd of any width. */
static int add_doorbells(struct nvme *nvme, struct fp_class *own)
{
	size_t nr = 2 * nvme->nr_io_queues;
	struct fp_doorbell *doorbells = fp_alloc(nvme->dev, nr * sizeof(*doorbells));

	if (!doorbells)
		return -ENOMEM;
	for (uint32_t i = 0; i < nr; i++)
		doorbells[i] = (struct fp_doorbell){
			.offset = NVME_DOORBELLS + 8 + i * 4,
			.group = 1 + i / 2,
		};
	own->regions[FP_BAR0].doorbells = doorbells;
	own->regions[FP_BAR0].nr_doorbells = nr;
	return 0;
}

static int configure(struct fp_device *dev, struct fp_class *own)
{
	/* Only the admin queue's have a value then. */
	static const struct fp_span all = { NVME_DOORBELLS, NVME_PAGE, .posted = true };
	static const struct fp_span admins = { NVME_DOORBELLS, 8, .posted = true };
	struct nvme *nvme = fp_state(dev);
	int ret = check_keys(dev, nvme);

	nvme->dev = dev;
	own->irqs[FP_MSIX] = (uint32_t)nvme->nr_io_queues + 1;
	own->regions[FP_BAR0].spans = nvme->loses_values ? &admins : &all;
	if (!ret && nvme->loses_values)
		ret = add_doorbells(nvme, own);
	return ret;
}

/* ---- life ---- */

static const char *const path_keys[NVME_MAX_NAMESPACES] = {
	"path", "path2", "path3", "path4", "path5", "path6", "path7", "path8",
};

static void close_namespaces(struct nvme *nvme)
{
	while (nvme->nr_namespaces)
		disk_close(&nvme->namespaces[--nvme->nr_namespaces].disk);
}

/* The ids are 1, 2, ... in the order of the keys, without gaps. */
static int open_namespaces(struct nvme *nvme)
{
	int ret = 0;

	for (uint32_t i = 0; i < NVME_MAX_NAMESPACES && !ret; i++) {
		struct nvme_ns *ns = &nvme->namespaces[nvme->nr_namespaces];

		if (!nvme->paths[i])
			continue;
		ns->id = nvme->nr_namespaces + 1;
		ns->disk = (struct disk){
			.key = path_keys[i],
			.path = nvme->paths[i],
			.readonly = nvme->readonly,
			.direct = nvme->direct,
		};
		ret = disk_open(nvme->dev, &ns->disk);
		nvme->nr_namespaces += !ret;
	}
	if (ret)
		close_namespaces(nvme);
	return ret;
}

static int open_nvme(struct fp_device *dev)
{
	struct nvme *nvme = fp_state(dev);

	name(nvme);
	nvme_queues_init(nvme);
	nvme_features_clear(nvme);
	return open_namespaces(nvme);
}

static int reset(struct fp_device *dev)
{
	nvme_clear(fp_state(dev), true);
	return 0;
}

static void close_nvme(struct fp_device *dev)
{
	struct nvme *nvme = fp_state(dev);

	nvme_clear(nvme, true);
	nvme_commands_close(nvme);
	close_namespaces(nvme);
}

static void on_event(struct fp_device *dev, enum fp_event event, const struct fp_window *window)
{
	struct nvme *nvme = fp_state(dev);

	(void)window;
	switch (event) {
	case FP_CLIENT_CAME:
		nvme->said = 0;
		break;
	case FP_CLIENT_GONE:
		/* What is under way is of memory that is not there any more. */
		if (!nvme_is_idle(nvme))
			nvme->csts |= NVME_CSTS_CFS;
		break;
	case FP_STANDS:
		nvme->stands = true;
		for (uint32_t i = 0; i < NVME_MAX_QUEUES; i++)
			fp_timer_stop(&nvme->sqs[i].again);
		break;
	case FP_RUNS:
		nvme->stands = false;
		nvme_look_at_all(nvme);
		break;
	default:
		break;
	}
}

#define PATH(n)                                                                                    \
	{                                                                                          \
		"path" #n, FP_KEY_STRING, offsetof(struct nvme, paths) + (n - 1) * sizeof(char *), \
			"another, as namespace " #n                                                \
	}

static const struct fp_key keys[] = {
	{ "path", FP_KEY_STRING, offsetof(struct nvme, paths), "the file or block device" },
	PATH(2),
	PATH(3),
	PATH(4),
	PATH(5),
	PATH(6),
	PATH(7),
	PATH(8),
	{ "readonly", FP_KEY_BOOL, offsetof(struct nvme, readonly), "on: they are not written to" },
	{ "direct", FP_KEY_BOOL, offsetof(struct nvme, direct), "on: past the host's page cache" },
	{ "serial", FP_KEY_STRING, offsetof(struct nvme, serial), "20 bytes at most" },
	{ "num-queues", FP_KEY_U64, offsetof(struct nvme, nr_io_queues), "1 to 16; default 4" },
	{ "doorbells", FP_KEY_STRING, offsetof(struct nvme, doorbells),
	  "span: with their values; eventfd: for a driver that has shadow doorbells" },
	{ 0 },
};

FP_DEVICE(nvme) = {
	.name = "nvme",
	.summary = "files or block devices as an NVMe controller",
	.state_bytes = sizeof(struct nvme),
	.keys = keys,
	.pci = {
		.vendor = VENDOR,
		.device = DEVICE,
		.subsystem_vendor = VENDOR,
		.subsystem = DEVICE,
		.class_code = CLASS_NVME,
		.revision = 1,
		.msix_bar = FP_BAR2,
		.capabilities = FP_PCI_EXPRESS | FP_PCI_PM,
	},
	.regions[FP_BAR0] = {
		.size = NVME_BAR_BYTES,
		.flags = FP_REGION_64BIT,
		.access = access_bar,
		.nr_spans = 1,
	},
	.irqs = { [FP_INTX] = 1 },
	.needs = FP_NEEDS_FILES,
	.configure = configure,
	.open = open_nvme,
	.reset = reset,
	.event = on_event,
	.save = nvme_save,
	.load = nvme_load,
	.close = close_nvme,
};
