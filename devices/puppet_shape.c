/* SPDX-License-Identifier: BSD-3-Clause */
#include "puppet_shape.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_REGIONS (FP_MAX_REGIONS - 1) /* the configuration space is the core's */
#define MAX_BELLS 256
#define MAX_VALUES 64 /* each has an fd of its own */
#define MAX_SPANS 64
#define MAX_AREAS 64
#define MAX_CAPS 16
#define MAX_LATENCY_US 60000000u

#define FIELD(type, member, name, how, ...)                                        \
	{                                                                          \
		.key = name, .read = how, PUPPET_MEMBER(type, member), __VA_ARGS__ \
	}
#define NUMBER(type, member, name, ...) FIELD(type, member, name, puppet_read_number, __VA_ARGS__)
#define ARRAY(type, member, name, most, elements)                                           \
	{                                                                                   \
		.key = (name), .read = puppet_read_array, .offset = offsetof(type, member), \
		.max = (most), .more = &(elements)                                          \
	}

/* ---- pci ---- */

static const struct puppet_word capability_words[] = {
	{ "pm", FP_PCI_PM },
	{ "express", FP_PCI_EXPRESS },
	{ "serial", FP_PCI_SERIAL },
	{ 0 },
};

static int check_cap(struct puppet_reader *reader, void *element, struct json_object *from)
{
	const struct puppet_cap *cap = element;

	(void)from;
	if (cap->data.len > UINT8_MAX)
		return puppet_wrong(reader, "data", "is more than 255 bytes");
	if (cap->writable.data && cap->writable.len != cap->data.len)
		return puppet_wrong(reader, "writable", "is not as long as data");
	return 0;
}

static const struct puppet_field cap_fields[] = {
	FIELD(struct puppet_cap, data, "data", puppet_read_bytes, .is_required = true),
	FIELD(struct puppet_cap, writable, "writable", puppet_read_bytes),
	{ 0 },
};
static const struct puppet_elements caps = { cap_fields, sizeof(struct puppet_cap), check_cap };

static const struct puppet_field msix_fields[] = {
	NUMBER(struct fp_pci, msix_bar, "bar", .max = FP_BAR5, .is_required = true),
	NUMBER(struct fp_pci, msix_table, "table", .multiple = 8),
	NUMBER(struct fp_pci, msix_pba, "pba", .multiple = 8),
	{ 0 },
};

#define PCI(member, name, ...) NUMBER(struct puppet_shape, pci.member, name, __VA_ARGS__)

static const struct puppet_field pci_fields[] = {
	PCI(vendor, "vendor", .is_required = true),
	PCI(device, "device", .is_required = true),
	PCI(class_code, "class", .max = 0xffffff),
	PCI(revision, "revision"),
	PCI(subsystem_vendor, "subsystem_vendor"),
	PCI(subsystem, "subsystem"),
	FIELD(struct puppet_shape, pci.capabilities, "capabilities", puppet_read_words,
	      .more = capability_words),
	NUMBER(struct puppet_shape, serial, "serial"),
	ARRAY(struct puppet_shape, caps, "vendor_caps", MAX_CAPS, caps),
	FIELD(struct puppet_shape, pci, "msix", puppet_read_object, .more = msix_fields),
	{ 0 },
};

/* ---- regions ---- */

static const struct puppet_word region_words[] = {
	{ "bar0", FP_BAR0 }, { "bar1", FP_BAR1 }, { "bar2", FP_BAR2 },
	{ "bar3", FP_BAR3 }, { "bar4", FP_BAR4 }, { "bar5", FP_BAR5 },
	{ "rom", FP_ROM },   { "vga", FP_VGA },	  { 0 },
};

static const struct puppet_word flag_words[] = {
	{ "io", FP_REGION_IO },
	{ "read-only", FP_REGION_READ_ONLY },
	{ "independent", FP_REGION_INDEPENDENT },
	{ "64bit", FP_REGION_64BIT },
	{ "prefetchable", FP_REGION_PREFETCHABLE },
	{ "mmap", FP_REGION_MMAP },
	{ "loads-only", FP_REGION_LOADS_ONLY },
	{ 0 },
};

int puppet_read_index(struct puppet_reader *reader, const struct puppet_field *field,
		      struct json_object *value, void *to)
{
	const struct puppet_field number = { .bytes = sizeof(uint32_t), .max = FP_MAX_REGIONS - 1 };
	const struct puppet_field word = { .bytes = sizeof(uint32_t), .more = region_words };
	const char *text = json_object_get_string(value);

	(void)field;
	if (json_object_is_type(value, json_type_string) && (*text < '0' || *text > '9'))
		return puppet_read_word(reader, &word, value, to);
	if (puppet_read_number(reader, &number, value, to))
		return -EINVAL;
	return *(uint32_t *)to == FP_CONFIG ?
		       puppet_wrong(reader, NULL, "7 is the configuration space") :
		       0;
}

const char *puppet_region_name(uint32_t index)
{
	static const char *const own[] = { "region9",  "region10", "region11", "region12",
					   "region13", "region14", "region15" };

	for (const struct puppet_word *at = region_words; at->word; at++)
		if (at->value == index)
			return at->word;
	return index >= FP_OWN_REGION && index < FP_MAX_REGIONS ? own[index - FP_OWN_REGION] : "?";
}

static const struct puppet_field area_fields[] = {
	NUMBER(struct fp_area, offset, "offset", .multiple = FP_PAGE, .is_required = true),
	NUMBER(struct fp_area, size, "size", .min = 1, .multiple = FP_PAGE, .is_required = true),
	{ 0 },
};
static const struct puppet_elements areas = { area_fields, sizeof(struct fp_area), NULL };

static int check_bell(struct puppet_reader *reader, void *element, struct json_object *from)
{
	const struct fp_doorbell *doorbell = &((struct puppet_bell *)element)->doorbell;

	if (json_object_object_get_ex(from, "values", NULL) && !doorbell->nr_values)
		return puppet_wrong(reader, "values", "is empty");
	if (doorbell->width & (doorbell->width - 1))
		return puppet_wrong(reader, "width", "%u is not 0, 1, 2, 4 or 8", doorbell->width);
	return 0;
}

static const struct puppet_elements values = { NULL, sizeof(uint64_t), NULL };

static const struct puppet_field bell_fields[] = {
	NUMBER(struct puppet_bell, doorbell.offset, "offset", .is_required = true),
	NUMBER(struct puppet_bell, doorbell.width, "width", .max = 8),
	ARRAY(struct puppet_bell, doorbell.values, "values", MAX_VALUES, values),
	NUMBER(struct puppet_bell, doorbell.group, "group"),
	FIELD(struct puppet_bell, doorbell.shadow, "shadow", puppet_read_bool),
	FIELD(struct puppet_bell, name, "name", puppet_read_text),
	{ 0 },
};
static const struct puppet_elements bells = { bell_fields, sizeof(struct puppet_bell), check_bell };

static const struct puppet_field span_fields[] = {
	NUMBER(struct fp_span, offset, "offset", .is_required = true),
	NUMBER(struct fp_span, size, "size", .is_required = true),
	FIELD(struct fp_span, posted, "posted", puppet_read_bool),
	NUMBER(struct fp_span, group, "group"),
	{ 0 },
};
static const struct puppet_elements spans = { span_fields, sizeof(struct fp_span), NULL };

static const struct puppet_field initial_fields[] = {
	NUMBER(struct puppet_initial, offset, "offset", .is_required = true),
	FIELD(struct puppet_initial, bytes, "bytes", puppet_read_bytes, .is_required = true),
	{ 0 },
};
static const struct puppet_elements initial = { initial_fields, sizeof(struct puppet_initial),
						NULL };

/* What is to lie within a region: its kind, which one, and where. */
static int check_within(struct puppet_reader *reader, const struct puppet_region *region,
			const char *kind, size_t i, uint64_t offset, uint64_t bytes)
{
	char key[64];

	if (offset <= region->fp.size && bytes <= region->fp.size - offset)
		return 0;
	snprintf(key, sizeof(key), "%s[%zu]", kind, i);
	return puppet_wrong(reader, key, "%llu bytes at %llu are not within the region's %llu",
			    (unsigned long long)bytes, (unsigned long long)offset,
			    (unsigned long long)region->fp.size);
}

static int check_region(struct puppet_reader *reader, void *element, struct json_object *from)
{
	const struct puppet_region *region = element;
	int ret = 0;

	(void)from;
	for (size_t i = 0; i < region->fp.nr_areas && !ret; i++)
		ret = check_within(reader, region, "areas", i, region->fp.areas[i].offset,
				   region->fp.areas[i].size);
	for (size_t i = 0; i < region->nr_bells && !ret; i++) {
		const struct fp_doorbell *doorbell = &region->bells[i].doorbell;

		ret = check_within(reader, region, "doorbells", i, doorbell->offset,
				   doorbell->width ? doorbell->width : 1);
	}
	for (size_t i = 0; i < region->fp.nr_spans && !ret; i++)
		ret = check_within(reader, region, "spans", i, region->fp.spans[i].offset,
				   region->fp.spans[i].size);
	for (size_t i = 0; i < region->nr_initial && !ret; i++)
		ret = check_within(reader, region, "initial", i, region->initial[i].offset,
				   region->initial[i].bytes.len);
	return ret;
}

static const struct puppet_field region_fields[] = {
	FIELD(struct puppet_region, index, "index", puppet_read_index, .is_required = true),
	NUMBER(struct puppet_region, fp.size, "size", .min = 1, .max = 1ull << 46,
	       .is_required = true),
	FIELD(struct puppet_region, fp.flags, "flags", puppet_read_words, .more = flag_words),
	ARRAY(struct puppet_region, fp.areas, "areas", MAX_AREAS, areas),
	NUMBER(struct puppet_region, fp.file_offset, "file_offset", .multiple = FP_PAGE),
	NUMBER(struct puppet_region, fp.type, "type"),
	NUMBER(struct puppet_region, fp.subtype, "subtype"),
	ARRAY(struct puppet_region, initial, "initial", UINT32_MAX, initial),
	ARRAY(struct puppet_region, bells, "doorbells", MAX_BELLS, bells),
	ARRAY(struct puppet_region, fp.spans, "spans", MAX_SPANS, spans),
	NUMBER(struct puppet_region, latency_us, "latency_us", .max = MAX_LATENCY_US),
	{ 0 },
};
static const struct puppet_elements regions = { region_fields, sizeof(struct puppet_region),
						check_region };

/* ---- interrupts, limits, and all of it ---- */

const struct puppet_word puppet_irq_words[] = {
	{ "intx", FP_INTX }, { "msi", FP_MSI }, { "msix", FP_MSIX },
	{ "err", FP_ERR },   { "req", FP_REQ }, { 0 },
};

#define IRQ(index, name, most) NUMBER(struct puppet_shape, irqs[index], name, .max = (most))

static const struct puppet_field irq_fields[] = {
	IRQ(FP_INTX, "intx", 1), IRQ(FP_MSI, "msi", 32), IRQ(FP_MSIX, "msix", 2048),
	IRQ(FP_ERR, "err", 1),	 IRQ(FP_REQ, "req", 1),	 { 0 },
};

#define LIMIT(member, ...) NUMBER(struct fp_limits, member, #member, .min = 1, __VA_ARGS__)

static const struct puppet_field limit_fields[] = {
	LIMIT(max_msg_fds, .max = 64),
	LIMIT(max_data_xfer_size, .max = 1 << 20),
	LIMIT(max_dma_maps, .max = 65535),
	LIMIT(pgsizes, .multiple = FP_PAGE),
	{ 0 },
};

static const struct puppet_field shape_fields[] = {
	{ .key = "pci", .read = puppet_read_object, .more = pci_fields, .is_required = true },
	ARRAY(struct puppet_shape, regions, "regions", MAX_REGIONS, regions),
	{ .key = "irqs", .read = puppet_read_object, .more = irq_fields },
	FIELD(struct puppet_shape, limits, "limits", puppet_read_object, .more = limit_fields),
	FIELD(struct puppet_shape, migration, "migration", puppet_read_bool),
	{ .key = "comment", .read = puppet_read_nothing },
	{ 0 },
};

static int name_bell(struct puppet_reader *reader, const struct puppet_region *region, size_t i)
{
	char *name = reader->alloc(reader->owner, 24);

	if (!name)
		return -ENOMEM;
	snprintf(name, 24, "%s[%zu]", puppet_region_name(region->index), i);
	region->bells[i].name = name;
	return 0;
}

static bool is_taken(const struct puppet_shape *shape, size_t nth, size_t i)
{
	const char *name = shape->regions[nth].bells[i].name;

	for (size_t j = 0; j <= nth; j++)
		for (size_t k = 0; k < (j < nth ? shape->regions[j].nr_bells : i); k++)
			if (!strcmp(shape->regions[j].bells[k].name, name))
				return true;
	return false;
}

/* Gives a name to each that has none. */
static int check_names(struct puppet_reader *reader, const struct puppet_shape *shape, size_t nth)
{
	const struct puppet_region *region = &shape->regions[nth];
	char key[80];
	int ret = 0;

	for (size_t i = 0; i < region->nr_bells && !ret; i++) {
		if (!region->bells[i].name)
			ret = name_bell(reader, region, i);
		if (ret || !is_taken(shape, nth, i))
			continue;
		snprintf(key, sizeof(key), "regions[%zu].doorbells[%zu].name", nth, i);
		ret = puppet_wrong(reader, key, "'%s' is another one's", region->bells[i].name);
	}
	return ret;
}

static uint64_t bytes_of_memory(const struct puppet_shape *shape)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < shape->nr_regions; i++)
		bytes += shape->regions[i].fp.size;
	return bytes;
}

/* What can be told only of all of it. */
static int check_shape(struct puppet_reader *reader, const struct puppet_shape *shape)
{
	char key[80];
	int ret = 0;

	for (size_t i = 0; i < shape->nr_regions && !ret; i++) {
		for (size_t j = 0; j < i; j++) {
			if (shape->regions[i].index != shape->regions[j].index)
				continue;
			snprintf(key, sizeof(key), "regions[%zu].index", i);
			return puppet_wrong(reader, key, "regions[%zu] is %s already", j,
					    puppet_region_name(shape->regions[i].index));
		}
		ret = check_names(reader, shape, i);
	}
	if (!ret && shape->serial && !(shape->pci.capabilities & FP_PCI_SERIAL))
		return puppet_wrong(reader, "pci.serial", "needs the capability serial");
	/* Half of a stream is left for the rest. */
	if (!ret && shape->migration && bytes_of_memory(shape) > FP_STREAM_MAX / 2)
		return puppet_wrong(reader, "migration", "the regions are more than 128 MiB");
	return ret;
}

/* ---- the file ---- */

static void *alloc(void *owner, size_t bytes)
{
	return fp_alloc(owner, bytes);
}

/* All of the file, the caller's to free; NULL, having said why. */
static char *read_file(struct fp_device *dev, const char *path, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *text = fd < 0 ? NULL : malloc(PUPPET_SHAPE_MAX_BYTES + 1);
	ssize_t n = 1;

	for (*len = 0; text && n > 0 && *len <= PUPPET_SHAPE_MAX_BYTES; *len += (size_t)n) {
		n = read(fd, text + *len, PUPPET_SHAPE_MAX_BYTES + 1 - *len);
		if (n < 0)
			break;
	}
	if (text && n >= 0 && *len <= PUPPET_SHAPE_MAX_BYTES) {
		close(fd);
		return text;
	}
	fp_error(dev, "%s: %s", path, text && n >= 0 ? "more than 1048576 bytes" : strerror(errno));
	if (fd >= 0)
		close(fd);
	free(text);
	return NULL;
}

int puppet_shape_load(struct fp_device *dev, const char *path, struct puppet_shape *shape)
{
	struct puppet_reader reader = { .alloc = alloc, .owner = dev };
	struct json_object *root = NULL;
	int ret = -EINVAL;
	size_t len;
	char *text = read_file(dev, path, &len);

	if (!text)
		return ret;
	*shape = (struct puppet_shape){ .pci.class_code = 0x00ff00 };
	root = puppet_parse(text, len, reader.why, sizeof(reader.why));
	if (root || !*reader.why)
		ret = puppet_read_fields(&reader, shape_fields, root, shape);
	if (!ret)
		ret = check_shape(&reader, shape);
	if (ret)
		fp_error(dev, "%s: %s", path, reader.why);
	json_object_put(root);
	free(text);
	return ret;
}

/* ---- what the core is told ---- */

static int apply_region(struct fp_device *dev, const struct puppet_region *region,
			fp_access_fn *access, struct fp_region *own)
{
	struct fp_doorbell *doorbells = fp_alloc(dev, (region->nr_bells + 1) * sizeof(*doorbells));

	if (!doorbells)
		return -ENOMEM;
	for (size_t i = 0; i < region->nr_bells; i++)
		doorbells[i] = region->bells[i].doorbell;
	*own = region->fp;
	own->access = access;
	own->doorbells = doorbells;
	own->nr_doorbells = region->nr_bells;
	return 0;
}

static int apply_caps(struct fp_device *dev, const struct puppet_shape *shape, struct fp_pci *pci)
{
	struct fp_pci_cap *own = fp_alloc(dev, (shape->nr_caps + 1) * sizeof(*own));

	if (!own)
		return -ENOMEM;
	for (size_t i = 0; i < shape->nr_caps; i++)
		own[i] = (struct fp_pci_cap){
			.data = shape->caps[i].data.data,
			.writable = shape->caps[i].writable.data,
			.size = (uint8_t)shape->caps[i].data.len,
		};
	pci->vendor_caps = own;
	pci->nr_vendor_caps = shape->nr_caps;
	return 0;
}

int puppet_shape_apply(struct fp_device *dev, const struct puppet_shape *shape,
		       fp_access_fn *access, struct fp_class *own)
{
	int ret;

	own->pci = shape->pci;
	own->limits = shape->limits;
	memcpy(own->irqs, shape->irqs, sizeof(own->irqs));
	ret = apply_caps(dev, shape, &own->pci);
	for (size_t i = 0; i < shape->nr_regions && !ret; i++)
		ret = apply_region(dev, &shape->regions[i], access,
				   &own->regions[shape->regions[i].index]);
	return ret;
}
