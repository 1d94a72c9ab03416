/* SPDX-License-Identifier: BSD-3-Clause */
#include "state.h"

#include <errno.h>
#include <string.h>

#include "log.h"

/* ---- what the core keeps: a class fixes how long each part is ---- */

static size_t config_bytes(const struct fp_device *dev)
{
	return dev->pci.size;
}

static void config_save(const struct fp_device *dev, uint8_t *to)
{
	memcpy(to, dev->pci.bytes, dev->pci.size);
}

static int config_load(struct fp_device *dev, const uint8_t *from)
{
	return pci_load(&dev->pci, from);
}

static size_t msix_bytes(const struct fp_device *dev)
{
	return pci_msix_table_bytes(dev);
}

static void msix_save(const struct fp_device *dev, uint8_t *to)
{
	if (dev->msix_table)
		memcpy(to, dev->msix_table, pci_msix_table_bytes(dev));
}

static int msix_load(struct fp_device *dev, const uint8_t *from)
{
	if (dev->msix_table)
		memcpy(dev->msix_table, from, pci_msix_table_bytes(dev));
	return 0;
}

static size_t rings_bytes(const struct fp_device *dev)
{
	return (dev->migration.nr_rings + dev->migration.nr_values) * sizeof(*dev->migration.rings);
}

static void rings_save(const struct fp_device *dev, uint8_t *to)
{
	memcpy(to, dev->migration.rings, rings_bytes(dev));
}

/* Added to what may have rung here by now. */
static int rings_load(struct fp_device *dev, const uint8_t *from)
{
	for (size_t i = 0; i < dev->migration.nr_rings; i++) {
		uint64_t times;

		memcpy(&times, from + i * sizeof(times), sizeof(times));
		dev->migration.rings[i] += times;
		if (times && dev->migration.nr_values)
			memcpy(&dev->migration.values[i],
			       from + (dev->migration.nr_rings + i) * sizeof(times), sizeof(times));
	}
	return 0;
}

static size_t irqs_bytes(const struct fp_device *dev)
{
	return dev->migration.nr_irqs;
}

/* One that fired while masked, or that came here so and has not been fired yet. */
static void irqs_save(const struct fp_device *dev, uint8_t *to)
{
	const uint8_t *owed = dev->migration.irqs;

	for (unsigned int i = 0; i < FP_NR_IRQS; i++)
		for (uint32_t n = 0; n < dev->irqs[i].count; n++)
			*to++ = *owed++ | (dev->irqs[i].irqs[n].pending ? 1 : 0);
}

static int irqs_load(struct fp_device *dev, const uint8_t *from)
{
	for (size_t i = 0; i < dev->migration.nr_irqs; i++)
		if (from[i] > 1)
			return -EINVAL;
	memcpy(dev->migration.irqs, from, dev->migration.nr_irqs);
	return 0;
}

static const struct {
	const char *name;
	size_t (*bytes)(const struct fp_device *dev);
	void (*save)(const struct fp_device *dev, uint8_t *to);
	int (*load)(struct fp_device *dev, const uint8_t *from);
} parts[STATE_END] = {
	[STATE_CONFIG] = { "configuration space", config_bytes, config_save, config_load },
	[STATE_MSIX] = { "MSI-X table", msix_bytes, msix_save, msix_load },
	[STATE_RINGS] = { "kept rings", rings_bytes, rings_save, rings_load },
	[STATE_IRQS] = { "waiting interrupts", irqs_bytes, irqs_save, irqs_load },
};

/* ---- saving ---- */

int state_begin(const struct fp_device *dev, struct fp_stream *to)
{
	const char *name = dev->class_->name;
	struct state_header header = {
		.magic = STATE_MAGIC,
		.version = STATE_VERSION,
		.name_bytes = (uint32_t)strlen(name),
	};

	fp_stream_write(to, &header, sizeof(header));
	return fp_stream_write(to, name, header.name_bytes);
}

static size_t chunk_begin(struct fp_stream *to, uint32_t type)
{
	struct state_chunk chunk = { .type = type };
	size_t at = to->len;

	fp_stream_write(to, &chunk, sizeof(chunk));
	return at;
}

static void chunk_end(struct fp_stream *to, size_t at)
{
	uint64_t bytes = to->len - at - sizeof(struct state_chunk);

	if (!to->error)
		memcpy(to->bytes + at + offsetof(struct state_chunk, bytes), &bytes, sizeof(bytes));
}

int state_save_early(struct fp_device *dev, struct fp_stream *to)
{
	size_t at;
	int ret;

	if (!dev->class_->precopy)
		return 0;
	stream_compact(to);
	at = chunk_begin(to, STATE_EARLY);
	ret = dev->class_->precopy(dev, to);
	chunk_end(to, at);
	if (ret || to->error || to->len == at + sizeof(struct state_chunk)) {
		int error = stream_truncate(to, at);

		return ret ? ret : error;
	}
	return 0;
}

static void save_part(const struct fp_device *dev, uint32_t type, struct fp_stream *to)
{
	size_t at = chunk_begin(to, type);
	size_t bytes = parts[type].bytes(dev);

	if (!stream_extend(to, bytes))
		parts[type].save(dev, to->bytes + to->len - bytes);
	chunk_end(to, at);
}

int state_save(struct fp_device *dev, struct fp_stream *to)
{
	size_t begin, at;
	int ret, error;

	stream_compact(to);
	begin = to->len;
	at = chunk_begin(to, STATE_DEVICE);
	ret = dev->class_->save(dev, to);
	chunk_end(to, at);
	for (uint32_t type = STATE_CONFIG; type < STATE_END; type++)
		save_part(dev, type, to);
	if (!ret && !to->error)
		return 0;
	error = stream_truncate(to, begin);
	return ret ? ret : error;
}

/* ---- loading ---- */

static const char *read_header(const struct fp_device *dev, struct fp_stream *from)
{
	const char *name = dev->class_->name;
	struct state_header header;

	if (fp_stream_read(from, &header, sizeof(header)))
		return "it ends within its header";
	if (header.magic != STATE_MAGIC)
		return "it is no stream of a Fastpath device";
	if (header.version != STATE_VERSION)
		return "its format is of another version";
	if (header.name_bytes > stream_left(from))
		return "it ends within the class's name";
	if (header.name_bytes != strlen(name) ||
	    memcmp(from->bytes + from->at, name, header.name_bytes) != 0)
		return "it is another class's";
	from->at += header.name_bytes;
	return NULL;
}

/* The chunks in their order, with the device's own data joined in front of the core's. */
struct contents {
	size_t device_at;
	size_t device_len;
	const uint8_t *parts[STATE_END];
};

static const char *read_chunk(const struct fp_device *dev, struct fp_stream *from,
			      struct contents *contents, uint32_t *type)
{
	struct state_chunk chunk;
	const uint8_t *data;

	if (fp_stream_read(from, &chunk, sizeof(chunk)))
		return "it ends within the head of a chunk";
	if (chunk.bytes > stream_left(from))
		return "it ends within a chunk";
	if (chunk.reserved ||
	    (chunk.type != *type && (*type != STATE_DEVICE || chunk.type != STATE_EARLY)))
		return "a chunk is not the one that belongs there";
	data = from->bytes + from->at;
	from->at += chunk.bytes;
	if (chunk.type <= STATE_DEVICE) {
		memmove(from->bytes + contents->device_at + contents->device_len, data,
			chunk.bytes);
		contents->device_len += chunk.bytes;
	} else if (chunk.bytes != parts[chunk.type].bytes(dev)) {
		return "a chunk is not as long as this device's";
	} else {
		contents->parts[chunk.type] = data;
	}
	*type += chunk.type == *type;
	return NULL;
}

static const char *read_contents(const struct fp_device *dev, struct fp_stream *from,
				 struct contents *contents)
{
	const char *why = read_header(dev, from);
	uint32_t type = STATE_DEVICE;

	*contents = (struct contents){ .device_at = from->at };
	while (!why && type < STATE_END)
		why = read_chunk(dev, from, contents, &type);
	if (!why && stream_left(from))
		why = "there is something behind its end";
	return why;
}

static int load_device(struct fp_device *dev, const struct fp_stream *from,
		       const struct contents *contents)
{
	struct fp_stream own = {
		.bytes = from->bytes,
		.at = contents->device_at,
		.len = contents->device_at + contents->device_len,
	};
	int ret = dev->class_->load(dev, &own);

	if (ret)
		log_warn("%s: its class refuses the migrated state: %s", dev->name, strerror(-ret));
	else if (stream_left(&own))
		log_warn("%s: its class leaves a part of the migrated state unread", dev->name);
	return ret ? ret : stream_left(&own) ? -EINVAL : 0;
}

int state_load(struct fp_device *dev, struct fp_stream *from)
{
	struct contents contents;
	const char *why = read_contents(dev, from, &contents);
	int ret;

	if (why) {
		log_warn("%s: the migrated state is refused: %s", dev->name, why);
		return -EINVAL;
	}
	ret = load_device(dev, from, &contents);
	for (uint32_t type = STATE_CONFIG; type < STATE_END && !ret; type++) {
		ret = parts[type].load(dev, contents.parts[type]);
		if (ret)
			log_warn("%s: the migrated state is refused: %s", dev->name,
				 parts[type].name);
	}
	return ret;
}
