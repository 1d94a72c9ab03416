/* SPDX-License-Identifier: BSD-3-Clause */
#include "trace.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- what messages look like ---- */

struct field {
	const char *name; /* NULL: the last was before */
	uint8_t offset;
	uint8_t size;
	bool hex;
};

#define MAX_FIELDS 8

enum rest {
	REST_DATA, /* bytes, shown as such; what is there of them */
	REST_TEXT,
	REST_ENTRIES, /* of `entry`, as many as there are */
	REST_IO_FDS,  /* entries whose length tells their layout */
	REST_FEATURE, /* what the feature has */
};

struct layout {
	size_t fixed; /* bytes */
	struct field fields[MAX_FIELDS];
	enum rest rest;
	const struct layout *entry;
};

#define DECIMAL(type, member)                                                                     \
	{                                                                                         \
#member, offsetof(struct type, member), sizeof(((struct type *)0)->member), false \
	}
#define HEX(type, member)                                                                        \
	{                                                                                        \
#member, offsetof(struct type, member), sizeof(((struct type *)0)->member), true \
	}

static const struct layout nothing;

static const struct layout version = {
	.fixed = sizeof(struct wire_version),
	.fields = { DECIMAL(wire_version, major), DECIMAL(wire_version, minor) },
	.rest = REST_TEXT,
};

static const struct layout dma_map_layout = {
	.fixed = sizeof(struct wire_dma_map),
	.fields = { DECIMAL(wire_dma_map, argsz), HEX(wire_dma_map, flags),
		    HEX(wire_dma_map, offset), HEX(wire_dma_map, address),
		    HEX(wire_dma_map, size) },
};

static const struct layout dma_unmap_layout = {
	.fixed = sizeof(struct wire_dma_unmap),
	.fields = { DECIMAL(wire_dma_unmap, argsz), HEX(wire_dma_unmap, flags),
		    HEX(wire_dma_unmap, address), HEX(wire_dma_unmap, size) },
};

static const struct layout device_info = {
	.fixed = sizeof(struct wire_device_info),
	.fields = { DECIMAL(wire_device_info, argsz), HEX(wire_device_info, flags),
		    DECIMAL(wire_device_info, num_regions), DECIMAL(wire_device_info, num_irqs) },
};

static const struct layout region_info_layout = {
	.fixed = sizeof(struct wire_region_info),
	.fields = { DECIMAL(wire_region_info, argsz), HEX(wire_region_info, flags),
		    DECIMAL(wire_region_info, index), DECIMAL(wire_region_info, cap_offset),
		    HEX(wire_region_info, size), HEX(wire_region_info, offset) },
};

static const struct layout region_io_fds = {
	.fixed = sizeof(struct wire_region_io_fds),
	.fields = { DECIMAL(wire_region_io_fds, argsz), HEX(wire_region_io_fds, flags),
		    DECIMAL(wire_region_io_fds, index), DECIMAL(wire_region_io_fds, count) },
	.rest = REST_IO_FDS,
};

static const struct layout io_fd_spec = {
	.fixed = sizeof(struct wire_io_fd_spec),
	.fields = { HEX(wire_io_fd_spec, offset), DECIMAL(wire_io_fd_spec, size),
		    DECIMAL(wire_io_fd_spec, fd_index), DECIMAL(wire_io_fd_spec, type),
		    HEX(wire_io_fd_spec, flags), HEX(wire_io_fd_spec, datamatch) },
};

static const struct layout io_fd_deployed = {
	.fixed = sizeof(struct wire_io_fd_deployed),
	.fields = { HEX(wire_io_fd_deployed, offset), DECIMAL(wire_io_fd_deployed, size),
		    DECIMAL(wire_io_fd_deployed, fd_index), DECIMAL(wire_io_fd_deployed, type),
		    HEX(wire_io_fd_deployed, flags),
		    DECIMAL(wire_io_fd_deployed, shadow_mem_fd_index),
		    HEX(wire_io_fd_deployed, shadow_offset), HEX(wire_io_fd_deployed, datamatch) },
};

static const struct layout irq_info = {
	.fixed = sizeof(struct wire_irq_info),
	.fields = { DECIMAL(wire_irq_info, argsz), HEX(wire_irq_info, flags),
		    DECIMAL(wire_irq_info, index), DECIMAL(wire_irq_info, count) },
};

static const struct layout irq_set_layout = {
	.fixed = sizeof(struct wire_irq_set),
	.fields = { DECIMAL(wire_irq_set, argsz), HEX(wire_irq_set, flags),
		    DECIMAL(wire_irq_set, index), DECIMAL(wire_irq_set, start),
		    DECIMAL(wire_irq_set, count) },
};

static const struct layout region_access_layout = {
	.fixed = sizeof(struct wire_region_access),
	.fields = { HEX(wire_region_access, offset), DECIMAL(wire_region_access, region),
		    DECIMAL(wire_region_access, count) },
};

static const struct layout dma_access = {
	.fixed = sizeof(struct wire_dma_access),
	.fields = { HEX(wire_dma_access, address), DECIMAL(wire_dma_access, count) },
};

static const struct layout multi_write = {
	.fixed = sizeof(struct wire_region_write_multi),
	.fields = { HEX(wire_region_write_multi, offset), DECIMAL(wire_region_write_multi, region),
		    DECIMAL(wire_region_write_multi, count), HEX(wire_region_write_multi, data) },
};

static const struct layout multi = {
	.fixed = sizeof(uint64_t),
	.fields = { { "wr_cnt", 0, sizeof(uint64_t), false } },
	.rest = REST_ENTRIES,
	.entry = &multi_write,
};

static const struct layout feature = {
	.fixed = sizeof(struct wire_device_feature),
	.fields = { DECIMAL(wire_device_feature, argsz), HEX(wire_device_feature, flags) },
	.rest = REST_FEATURE,
};

static const struct layout vm_interrupt = {
	.fixed = sizeof(struct wire_vm_interrupt),
	.fields = { DECIMAL(wire_vm_interrupt, index), DECIMAL(wire_vm_interrupt, subindex) },
};

static const struct layout mig_data = {
	.fixed = sizeof(struct wire_mig_data),
	.fields = { DECIMAL(wire_mig_data, argsz), DECIMAL(wire_mig_data, size) },
};

static const struct layout dma_range = {
	.fixed = sizeof(struct wire_dma_range),
	.fields = { HEX(wire_dma_range, iova), HEX(wire_dma_range, length) },
};

/* By the type of a message: a command, or a reply that is no error. */
static const struct layout *const layouts[WIRE_CMD_END][2] = {
	[WIRE_VERSION] = { &version, &version },
	[WIRE_DMA_MAP] = { &dma_map_layout, &nothing },
	[WIRE_DMA_UNMAP] = { &dma_unmap_layout, &dma_unmap_layout },
	[WIRE_DEVICE_GET_INFO] = { &device_info, &device_info },
	[WIRE_DEVICE_GET_REGION_INFO] = { &region_info_layout, &region_info_layout },
	[WIRE_DEVICE_GET_REGION_IO_FDS] = { &region_io_fds, &region_io_fds },
	[WIRE_DEVICE_GET_IRQ_INFO] = { &irq_info, &irq_info },
	[WIRE_DEVICE_SET_IRQS] = { &irq_set_layout, &nothing },
	[WIRE_REGION_READ] = { &region_access_layout, &region_access_layout },
	[WIRE_REGION_WRITE] = { &region_access_layout, &region_access_layout },
	[WIRE_DMA_READ] = { &dma_access, &dma_access },
	[WIRE_DMA_WRITE] = { &dma_access, &dma_access },
	[WIRE_DEVICE_RESET] = { &nothing, &nothing },
	[WIRE_REGION_WRITE_MULTI] = { &multi, &multi },
	[WIRE_DEVICE_FEATURE] = { &feature, &feature },
	[WIRE_MIG_DATA_READ] = { &mig_data, &mig_data },
	[WIRE_MIG_DATA_WRITE] = { &mig_data, &nothing },
};

static const struct layout features[WIRE_FEATURE_END] = {
	[WIRE_FEATURE_MIGRATION] = {
		.fixed = sizeof(struct wire_migration),
		.fields = { HEX(wire_migration, flags) },
	},
	[WIRE_FEATURE_MIG_DEVICE_STATE] = {
		.fixed = sizeof(struct wire_mig_device_state),
		.fields = { DECIMAL(wire_mig_device_state, device_state),
			    DECIMAL(wire_mig_device_state, data_fd) },
	},
	[WIRE_FEATURE_DMA_LOGGING_START] = {
		.fixed = sizeof(struct wire_dma_logging),
		.fields = { HEX(wire_dma_logging, page_size),
			    DECIMAL(wire_dma_logging, num_ranges) },
		.rest = REST_ENTRIES,
		.entry = &dma_range,
	},
	[WIRE_FEATURE_DMA_LOGGING_REPORT] = {
		.fixed = sizeof(struct wire_dma_report),
		.fields = { HEX(wire_dma_report, iova), HEX(wire_dma_report, length),
			    HEX(wire_dma_report, page_size) },
	},
};

/* The one number that is another command the other way round. */
static bool is_interrupt(const struct trace_msg *msg)
{
	return msg->to_client && msg->hdr->cmd == WIRE_VM_INTERRUPT &&
	       (msg->hdr->flags & WIRE_TYPE_MASK) == WIRE_TYPE_COMMAND;
}

/* ---- decoding ---- */

static void take(struct trace_record *record, size_t len)
{
	record->rest += len;
	record->rest_len -= len;
}

/* Those fields that are there; what follows them stays the record's rest. */
static void decode_fixed(struct trace_record *record, const struct layout *layout, int index)
{
	for (unsigned int i = 0; i < MAX_FIELDS && layout->fields[i].name; i++) {
		const struct field *field = &layout->fields[i];
		uint64_t value = 0;

		if ((size_t)field->offset + field->size > record->rest_len ||
		    record->nr_values == TRACE_MAX_VALUES)
			break;
		memcpy(&value, record->rest + field->offset, field->size);
		record->values[record->nr_values++] =
			(struct trace_value){ field->name, index, value, field->hex };
	}
	if (record->rest_len < layout->fixed) {
		record->is_short = true;
		record->rest_len = 0;
	} else {
		take(record, layout->fixed);
	}
}

/* Entries of `stride` bytes, of which the layout may know only the first. */
static void decode_entries(struct trace_record *record, const struct layout *entry, size_t stride)
{
	for (unsigned int i = 0; i < TRACE_MAX_ENTRIES && record->rest_len >= stride; i++) {
		size_t len = record->rest_len;

		decode_fixed(record, entry, (int)i);
		take(record, stride - (len - record->rest_len));
	}
	record->more_entries = record->rest_len / stride;
	take(record, record->more_entries * stride);
}

static uint64_t last_value(const struct trace_record *record)
{
	return record->nr_values ? record->values[record->nr_values - 1].value : 0;
}

/* The last field says how many entries there are. */
static void decode_io_fds(struct trace_record *record)
{
	uint64_t count = last_value(record);
	uint64_t stride = count ? record->rest_len / count : 0;

	if (stride >= io_fd_deployed.fixed)
		decode_entries(record, &io_fd_deployed, stride);
	else if (stride >= io_fd_spec.fixed)
		decode_entries(record, &io_fd_spec, stride);
}

/* The last field says which feature it is. */
static void decode_feature(struct trace_record *record)
{
	uint64_t flags = last_value(record);
	uint64_t index = flags & WIRE_FEATURE_INDEX_MASK;

	if (index >= WIRE_FEATURE_END || !record->rest_len)
		return;
	decode_fixed(record, &features[index], -1);
	if (features[index].entry)
		decode_entries(record, features[index].entry, features[index].entry->fixed);
}

void trace_decode(const struct trace_msg *msg, struct trace_record *record)
{
	uint32_t type = msg->hdr->flags & WIRE_TYPE_MASK;
	const struct layout *layout = &nothing;

	*record = (struct trace_record){ .rest = msg->len ? msg->body : (const void *)"",
					 .rest_len = msg->len };
	if (msg->hdr->flags & WIRE_ERROR && !msg->len)
		return;
	if (msg->hdr->cmd < WIRE_CMD_END && type <= WIRE_TYPE_REPLY && layouts[msg->hdr->cmd][type])
		layout = layouts[msg->hdr->cmd][type];
	if (is_interrupt(msg))
		layout = &vm_interrupt;
	decode_fixed(record, layout, -1);
	if (record->is_short)
		return;
	record->is_text = layout->rest == REST_TEXT;
	if (layout->rest == REST_ENTRIES)
		decode_entries(record, layout->entry, layout->entry->fixed);
	else if (layout->rest == REST_IO_FDS)
		decode_io_fds(record);
	else if (layout->rest == REST_FEATURE)
		decode_feature(record);
}

/* ---- text ---- */

struct text {
	char *at;
	size_t left;
};

static void __attribute__((format(printf, 2, 3))) put(struct text *text, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(text->at, text->left, fmt, args);
	va_end(args);
	if (n < 0)
		return;
	if ((size_t)n >= text->left)
		n = (int)text->left - 1;
	text->at += n;
	text->left -= (size_t)n;
}

void trace_hex(const uint8_t *bytes, size_t len, char *hex)
{
	size_t shown = len < TRACE_DATA_BYTES ? len : TRACE_DATA_BYTES;

	*hex = '\0';
	for (size_t i = 0; i < shown; i++)
		hex += sprintf(hex, "%02x", bytes[i]);
	if (shown < len)
		memcpy(hex, "...", 4);
}

static void put_values(struct text *text, const struct trace_record *record)
{
	for (unsigned int i = 0; i < record->nr_values; i++) {
		const struct trace_value *value = &record->values[i];

		put(text, " %s", value->name);
		if (value->index >= 0)
			put(text, "[%d]", value->index);
		put(text, value->hex ? "=%#" PRIx64 : "=%" PRIu64, value->value);
	}
	if (record->more_entries)
		put(text, " and %zu more", record->more_entries);
}

static void put_rest(struct text *text, const struct trace_record *record)
{
	char hex[TRACE_HEX_BYTES];

	if (record->is_short)
		put(text, " (too short)");
	if (!record->rest_len)
		return;
	put(text, record->is_text ? " " : " data=");
	if (!record->is_text) {
		trace_hex(record->rest, record->rest_len, hex);
		put(text, "%s (%zu byte%s)", hex, record->rest_len,
		    record->rest_len > 1 ? "s" : "");
	}
	for (size_t i = 0; record->is_text && i < record->rest_len && record->rest[i]; i++)
		put(text, "%c", isprint(record->rest[i]) ? record->rest[i] : '?');
}

void trace_text(const struct trace_msg *msg, const struct trace_record *record, char *line)
{
	const struct wire_header *hdr = msg->hdr;
	struct text text = { line, TRACE_TEXT_BYTES };
	uint32_t type = hdr->flags & WIRE_TYPE_MASK;

	put(&text, "%c #%u %s", msg->to_client ? '>' : '<', hdr->msg_id,
	    is_interrupt(msg) ? "VM_INTERRUPT" : wire_cmd_name(hdr->cmd));
	if (hdr->cmd >= WIRE_CMD_END || !layouts[hdr->cmd][0])
		put(&text, " %u", hdr->cmd);
	if (type == WIRE_TYPE_REPLY)
		put(&text, " reply");
	else if (type != WIRE_TYPE_COMMAND)
		put(&text, " of type %u", type);
	if (hdr->flags & WIRE_NO_REPLY)
		put(&text, " no-reply");
	if (hdr->flags & WIRE_ERROR)
		put(&text, " error %u (%s)", hdr->error_no,
		    hdr->error_no < 4096 ? strerror((int)hdr->error_no) : "?");
	put_values(&text, record);
	put_rest(&text, record);
	if (msg->nr_fds)
		put(&text, " +%u fd%s", msg->nr_fds, msg->nr_fds > 1 ? "s" : "");
}
