/* SPDX-License-Identifier: BSD-3-Clause */
#include "puppet_request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "puppet.h"

#define MAX_WAITS 64 /* replies that a client may have to come */
#define MAX_DMA_READ (1u << 20)
#define DEFAULT_TIMEOUT_MS 5000u
#define MAX_TIMEOUT_MS 600000u

/* A request, with the values of its keys. */
struct call {
	struct fp_device *dev;
	struct puppet *puppet;
	struct puppet_client *client;
	struct json_object *id;
	struct puppet_reader reader;
	struct memory *memory;

	const char *doing;
	uint32_t irq;
	uint32_t number;
	uint64_t iova;
	uint64_t len;
	struct puppet_bytes bytes;
	uint32_t region;
	uint64_t offset;
	const char *doorbell;
	uint32_t held; /* a region + 1; 0: none */
	uint64_t count;
	uint64_t timeout_ms;
	uint64_t since;
};

/* ---- memory of a call ---- */

struct memory {
	struct memory *next;
	max_align_t bytes[];
};

static void *alloc(void *owner, size_t bytes)
{
	struct call *call = owner;
	struct memory *memory = calloc(1, sizeof(*memory) + bytes);

	if (!memory)
		return NULL;
	memory->next = call->memory;
	call->memory = memory;
	return memory->bytes;
}

static void free_memory(struct call *call)
{
	while (call->memory) {
		struct memory *memory = call->memory;

		call->memory = memory->next;
		free(memory);
	}
}

/* ---- what they share ---- */

/* NULL: the reply comes later. */
static struct json_object *later(int ret)
{
	return ret ? puppet_control_error("%s", strerror(-ret)) : NULL;
}

/* The error that is said in the reader. */
static struct json_object *wrong(struct call *call)
{
	return puppet_control_error("%s", call->reader.why);
}

/* NULL, with the error said, when the shape has no such region. */
static const struct puppet_region *region_of(struct call *call, const char *key, uint32_t index)
{
	const struct puppet_region *region = puppet_region(call->puppet, index);

	if (!region)
		puppet_wrong(&call->reader, key, "there is no %s", puppet_region_name(index));
	return region;
}

static bool is_within(struct call *call, uint64_t len)
{
	const struct puppet_region *region = region_of(call, "region", call->region);

	if (!region)
		return false;
	if (call->offset <= region->fp.size && len <= region->fp.size - call->offset)
		return true;
	puppet_wrong(&call->reader, "offset", "%llu bytes at %llu are not within the region's %llu",
		     (unsigned long long)len, (unsigned long long)call->offset,
		     (unsigned long long)region->fp.size);
	return false;
}

static void add_number(struct json_object *to, const char *key, uint64_t value)
{
	json_object_object_add(to, key, json_object_new_uint64(value));
}

/* ---- interrupts and guest memory ---- */

static struct json_object *trigger(struct call *call)
{
	uint32_t nr = call->puppet->shape.irqs[call->irq];

	if (call->number < nr &&
	    !fp_irq_trigger(call->dev, (enum fp_irq_index)call->irq, call->number))
		return puppet_control_ok();
	puppet_wrong(&call->reader, "number", "%u is not below %u", call->number, nr);
	return wrong(call);
}

static struct json_object *dma_read(struct call *call)
{
	return later(
		puppet_wait_for_read(call->dev, call->client, call->id, call->iova, call->len));
}

static struct json_object *dma_write(struct call *call)
{
	return later(puppet_wait_for_write(call->dev, call->client, call->id, call->iova,
					   call->bytes.data, call->bytes.len));
}

/* ---- the device's own memory ---- */

static struct json_object *read_region(struct call *call)
{
	struct json_object *reply;
	uint8_t *bytes;

	if (!is_within(call, call->len))
		return wrong(call);
	bytes = alloc(call, call->len);
	if (!bytes)
		return later(-ENOMEM);
	puppet_memory_copy(call->dev, &call->puppet->memory, call->region, call->offset, bytes,
			   call->len, false);
	reply = puppet_control_ok();
	json_object_object_add(reply, "bytes", puppet_hex(bytes, call->len));
	return reply;
}

static struct json_object *write_region(struct call *call)
{
	if (!is_within(call, call->bytes.len))
		return wrong(call);
	puppet_memory_copy(call->dev, &call->puppet->memory, call->region, call->offset,
			   call->bytes.data, call->bytes.len, true);
	return puppet_control_ok();
}

/* ---- waiting ---- */

static const uint64_t *counter_of(struct call *call)
{
	const struct puppet_bell *bell;

	if (!call->doorbell == !call->held) {
		puppet_wrong(&call->reader, NULL, "wants either doorbell or held");
		return NULL;
	}
	if (call->held)
		return region_of(call, "held", call->held - 1) ?
			       &call->puppet->later.held[call->held - 1] :
			       NULL;
	bell = puppet_bell(call->puppet, call->doorbell);
	if (!bell)
		puppet_wrong(&call->reader, "doorbell", "there is no '%s'", call->doorbell);
	return bell ? &bell->times : NULL;
}

static struct json_object *await(struct call *call)
{
	const uint64_t *counter = counter_of(call);

	if (!counter)
		return wrong(call);
	return later(puppet_wait_for_count(call->dev, call->client, call->id, counter, call->count,
					   call->timeout_ms));
}

static struct json_object *barrier(struct call *call)
{
	return later(puppet_wait_for_rest(call->dev, call->client, call->id));
}

static struct json_object *hold(struct call *call)
{
	if (!region_of(call, "region", call->region))
		return wrong(call);
	call->puppet->later.holds[call->region] = true;
	return puppet_control_ok();
}

static struct json_object *release(struct call *call)
{
	struct json_object *reply;

	if (!region_of(call, "region", call->region))
		return wrong(call);
	reply = puppet_control_ok();
	add_number(reply, "released",
		   puppet_later_release(call->dev, &call->puppet->later, call->region));
	puppet_wait_look(call->dev);
	return reply;
}

/* ---- what it saw ---- */

static struct json_object *doorbells(struct call *call)
{
	const struct puppet_shape *shape = &call->puppet->shape;
	struct json_object *reply = puppet_control_ok();
	struct json_object *all = json_object_new_object();

	for (size_t i = 0; i < shape->nr_regions; i++)
		for (size_t j = 0; j < shape->regions[i].nr_bells; j++)
			add_number(all, shape->regions[i].bells[j].name,
				   shape->regions[i].bells[j].times);
	json_object_object_add(reply, "doorbells", all);
	return reply;
}

static struct json_object *windows(struct call *call)
{
	struct json_object *reply = puppet_control_ok();
	struct json_object *all = json_object_new_array();

	for (size_t i = 0; i < call->puppet->nr_windows; i++)
		json_object_array_add(all, puppet_log_window(&call->puppet->windows[i]));
	json_object_object_add(reply, "windows", all);
	return reply;
}

static struct json_object *show_log(struct call *call)
{
	struct json_object *reply = puppet_control_ok();

	puppet_log_show(&call->puppet->log, call->since, reply);
	return reply;
}

static struct json_object *clear(struct call *call)
{
	const struct puppet_shape *shape = &call->puppet->shape;

	puppet_log_clear(&call->puppet->log);
	for (size_t i = 0; i < shape->nr_regions; i++)
		for (size_t j = 0; j < shape->regions[i].nr_bells; j++)
			shape->regions[i].bells[j].times = 0;
	return puppet_control_ok();
}

static struct json_object *region_summary(const struct puppet_region *region)
{
	struct json_object *to = json_object_new_object();

	json_object_object_add(to, "region",
			       json_object_new_string(puppet_region_name(region->index)));
	add_number(to, "size", region->fp.size);
	add_number(to, "areas", region->fp.nr_areas);
	add_number(to, "doorbells", region->nr_bells);
	add_number(to, "spans", region->fp.nr_spans);
	add_number(to, "latency_us", region->latency_us);
	return to;
}

static struct json_object *shape_summary(struct call *call)
{
	const struct puppet_shape *shape = &call->puppet->shape;
	struct json_object *reply = puppet_control_ok();
	struct json_object *regions = json_object_new_array();
	struct json_object *irqs = json_object_new_object();

	for (size_t i = 0; i < shape->nr_regions; i++)
		json_object_array_add(regions, region_summary(&shape->regions[i]));
	for (const struct puppet_word *irq = puppet_irq_words; irq->word; irq++)
		add_number(irqs, irq->word, shape->irqs[irq->value]);
	add_number(reply, "vendor", shape->pci.vendor);
	add_number(reply, "device", shape->pci.device);
	json_object_object_add(reply, "regions", regions);
	json_object_object_add(reply, "irqs", irqs);
	json_object_object_add(reply, "migration", json_object_new_boolean(shape->migration));
	return reply;
}

/* ---- the requests ---- */

/* A region, plus 1: to tell that it was named. */
static int read_held(struct puppet_reader *reader, const struct puppet_field *field,
		     struct json_object *value, void *to)
{
	int ret = puppet_read_index(reader, field, value, to);

	*(uint32_t *)to += 1;
	return ret;
}

#define KEY(member, name, how, ...)                                                       \
	{                                                                                 \
		.key = name, .read = how, PUPPET_MEMBER(struct call, member), __VA_ARGS__ \
	}
#define NUMBER(member, ...) KEY(member, #member, puppet_read_number, __VA_ARGS__)
#define REGION KEY(region, "region", puppet_read_index, .is_required = true)
#define BYTES KEY(bytes, "bytes", puppet_read_bytes, .is_required = true)
#define EVERY                                                                             \
	KEY(doing, "do", puppet_read_text), { .key = "id", .read = puppet_read_nothing }, \
	{                                                                                 \
		0                                                                         \
	}

#define KEYS(name, ...) static const struct puppet_field name##_keys[] = { __VA_ARGS__ }

KEYS(no, EVERY);
KEYS(trigger, KEY(irq, "irq", puppet_read_word, .more = puppet_irq_words, .is_required = true),
     NUMBER(number), EVERY);
KEYS(dma_read, NUMBER(iova, .is_required = true),
     NUMBER(len, .min = 1, .max = MAX_DMA_READ, .is_required = true), EVERY);
KEYS(dma_write, NUMBER(iova, .is_required = true), BYTES, EVERY);
KEYS(read, REGION, NUMBER(offset, .is_required = true),
     NUMBER(len, .min = 1, .max = MAX_DMA_READ, .is_required = true), EVERY);
KEYS(write, REGION, NUMBER(offset, .is_required = true), BYTES, EVERY);
KEYS(await, KEY(doorbell, "doorbell", puppet_read_text), KEY(held, "held", read_held),
     NUMBER(count), NUMBER(timeout_ms, .max = MAX_TIMEOUT_MS), EVERY);
KEYS(region, REGION, EVERY);
KEYS(log, NUMBER(since), EVERY);

static struct json_object *help(struct call *call);

static const struct request {
	const char *name;
	struct json_object *(*run)(struct call *call); /* the reply, or NULL: it comes later */
	const struct puppet_field *keys;
	const char *help;
} requests[] = {
	{ "await", await, await_keys, "waits until a doorbell rang, or accesses are held" },
	{ "barrier", barrier, no_keys, "waits until what is under way is done" },
	{ "clear", clear, no_keys, "forgets the log and the doorbells' counts" },
	{ "dma_read", dma_read, dma_read_keys, "reads guest memory" },
	{ "dma_write", dma_write, dma_write_keys, "writes guest memory" },
	{ "doorbells", doorbells, no_keys, "how often each rang" },
	{ "help", help, no_keys, "this" },
	{ "hold", hold, region_keys, "leaves accesses to a region unanswered" },
	{ "log", show_log, log_keys, "what the device saw" },
	{ "read", read_region, read_keys, "reads a region" },
	{ "release", release, region_keys, "ends a hold, and answers" },
	{ "shape", shape_summary, no_keys, "what the device is like" },
	{ "trigger", trigger, trigger_keys, "fires an interrupt" },
	{ "windows", windows, no_keys, "the guest memory that the client has opened" },
	{ "write", write_region, write_keys, "writes a region" },
};

#define NR_REQUESTS (sizeof(requests) / sizeof(*requests))

static struct json_object *help(struct call *call)
{
	struct json_object *reply = puppet_control_ok();
	struct json_object *all = json_object_new_object();

	(void)call;
	for (size_t i = 0; i < NR_REQUESTS; i++)
		json_object_object_add(all, requests[i].name,
				       json_object_new_string(requests[i].help));
	json_object_object_add(reply, "requests", all);
	return reply;
}

static struct json_object *run(struct call *call, struct json_object *root)
{
	struct json_object *name = NULL;

	if (!json_object_is_type(root, json_type_object))
		return puppet_control_error("a request is an object");
	json_object_object_get_ex(root, "id", &call->id);
	if (!json_object_object_get_ex(root, "do", &name))
		return puppet_control_error("do: is missing");
	for (size_t i = 0; i < NR_REQUESTS; i++) {
		if (!json_object_is_type(name, json_type_string) ||
		    strcmp(requests[i].name, json_object_get_string(name)) != 0)
			continue;
		if (puppet_read_fields(&call->reader, requests[i].keys, root, call))
			return wrong(call);
		return requests[i].run(call);
	}
	return puppet_control_error("do: there is no %s; see help",
				    json_object_to_json_string_ext(name, JSON_C_TO_STRING_PLAIN));
}

void puppet_request(struct fp_device *dev, struct puppet_client *client, const char *line,
		    size_t len)
{
	struct call call = {
		.dev = dev,
		.puppet = fp_state(dev),
		.client = client,
		.reader = { .alloc = alloc, .owner = &call },
		.count = 1,
		.timeout_ms = DEFAULT_TIMEOUT_MS,
	};
	struct json_object *root =
		puppet_parse(line, len, call.reader.why, sizeof(call.reader.why));
	struct json_object *reply;

	if (!root && *call.reader.why)
		reply = wrong(&call);
	else if (puppet_wait_count(dev, client) >= MAX_WAITS)
		reply = puppet_control_error("64 requests wait already");
	else
		reply = run(&call, root);
	if (reply)
		puppet_control_reply(client, call.id, reply);
	free_memory(&call);
	json_object_put(root);
}
