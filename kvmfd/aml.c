/* SPDX-License-Identifier: BSD-3-Clause */
#include "aml.h"

#include <string.h>

enum {
	OP_NAME = 0x08,
	OP_BYTE = 0x0a,
	OP_WORD = 0x0b,
	OP_DWORD = 0x0c,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_EXTENDED = 0x5b,
	OP_DEVICE = 0x82, /* behind OP_EXTENDED */
};

/* Of an address space descriptor. */
enum {
	SPACE_MEMORY = 0,
	SPACE_IO = 1,
	SPACE_BUSES = 2,

	SPACE_FIXED = 0x0c, /* both ends of it are */
	SPACE_WRITABLE = 0x01,
	SPACE_ALL_PORTS = 0x03,
};

static void put(struct aml *aml, const void *bytes, size_t len)
{
	if (len > sizeof(aml->bytes) - aml->len) {
		aml->overflow = true;
		return;
	}
	memcpy(aml->bytes + aml->len, bytes, len);
	aml->len += len;
}

/* A number of `len` bytes; this machine has AML's byte order. */
static void put_number(struct aml *aml, uint64_t value, size_t len)
{
	put(aml, &value, len);
}

static void put_op(struct aml *aml, uint8_t op)
{
	put_number(aml, op, 1);
}

static void put_name(struct aml *aml, const char *name)
{
	put(aml, name, 4);
}

/*
 * A package length (section 20.2.4) always takes three bytes here: it is known last. It counts
 * itself.
 */
static void begin(struct aml *aml)
{
	if (aml->depth == AML_MAX_DEPTH) {
		aml->overflow = true;
		return;
	}
	aml->open[aml->depth++] = aml->len;
	put_number(aml, 0, 3);
}

void aml_end(struct aml *aml)
{
	size_t at, len;

	if (aml->overflow)
		return;
	at = aml->open[--aml->depth];
	len = aml->len - at;
	aml->bytes[at] = (uint8_t)(0x80 | (len & 0xf));
	aml->bytes[at + 1] = (uint8_t)(len >> 4);
	aml->bytes[at + 2] = (uint8_t)(len >> 12);
}

void aml_scope(struct aml *aml, const char *name)
{
	put_op(aml, OP_SCOPE);
	begin(aml);
	put_op(aml, '\\');
	put_name(aml, name);
}

void aml_device(struct aml *aml, const char *name)
{
	put_op(aml, OP_EXTENDED);
	put_op(aml, OP_DEVICE);
	begin(aml);
	put_name(aml, name);
}

void aml_package(struct aml *aml, uint8_t nr_elements)
{
	put_op(aml, OP_PACKAGE);
	begin(aml);
	put_number(aml, nr_elements, 1);
}

void aml_name(struct aml *aml, const char *name)
{
	put_op(aml, OP_NAME);
	put_name(aml, name);
}

void aml_integer(struct aml *aml, uint32_t value)
{
	if (value <= 1) {
		put_op(aml, (uint8_t)value);
		return;
	}
	put_op(aml, value <= UINT8_MAX ? OP_BYTE : value <= UINT16_MAX ? OP_WORD : OP_DWORD);
	put_number(aml, value, value <= UINT8_MAX ? 1 : value <= UINT16_MAX ? 2 : 4);
}

static uint32_t hex(char digit)
{
	return (uint32_t)(digit <= '9' ? digit - '0' : digit - 'A' + 10);
}

/* Three letters of five bits and four hexadecimal digits, the highest byte first. */
void aml_eisa_id(struct aml *aml, const char *id)
{
	uint32_t value = 0;

	for (int i = 0; i < 3; i++)
		value = value << 5 | (uint32_t)(id[i] - '@');
	for (int i = 3; i < 7; i++)
		value = value << 4 | hex(id[i]);
	put_op(aml, OP_DWORD);
	put_number(aml, __builtin_bswap32(value), 4);
}

/* ---- resources ---- */

/* A buffer, which says how long its contents are once more, as a number: here always a word. */
void aml_resources(struct aml *aml)
{
	put_op(aml, OP_BUFFER);
	begin(aml);
	put_op(aml, OP_WORD);
	put_number(aml, 0, 2);
}

void aml_resources_end(struct aml *aml)
{
	const uint8_t end_tag[] = { 0x79, 0 }; /* 0: no checksum */
	size_t size_at;
	uint16_t size;

	put(aml, end_tag, sizeof(end_tag));
	if (aml->overflow)
		return;
	size_at = aml->open[aml->depth - 1] + 4;
	size = (uint16_t)(aml->len - size_at - sizeof(size));
	memcpy(aml->bytes + size_at, &size, sizeof(size));
	aml_end(aml);
}

void aml_io(struct aml *aml, uint16_t port, uint8_t size)
{
	put_op(aml, 0x47);
	put_number(aml, 1, 1); /* it decodes all 16 bits of a port */
	put_number(aml, port, 2);
	put_number(aml, port, 2);
	put_number(aml, 1, 1);
	put_number(aml, size, 1);
}

void aml_irq(struct aml *aml, unsigned int irq)
{
	put_op(aml, 0x22);
	put_number(aml, 1u << irq, 2);
}

void aml_memory(struct aml *aml, uint32_t base, uint32_t size)
{
	put_op(aml, 0x86);
	put_number(aml, 9, 2);
	put_number(aml, SPACE_WRITABLE, 1);
	put_number(aml, base, 4);
	put_number(aml, size, 4);
}

/* `width` is that of each of its five numbers: granularity, ends, translation, length. */
static void put_window(struct aml *aml, uint8_t space, uint8_t flags, size_t width, uint64_t first,
		       uint64_t last)
{
	put_op(aml, width == 2 ? 0x88 : width == 4 ? 0x87 : 0x8a);
	put_number(aml, 3 + 5 * width, 2);
	put_number(aml, space, 1);
	put_number(aml, SPACE_FIXED, 1);
	put_number(aml, flags, 1);
	put_number(aml, 0, width);
	put_number(aml, first, width);
	put_number(aml, last, width);
	put_number(aml, 0, width);
	put_number(aml, last - first + 1, width);
}

void aml_window_buses(struct aml *aml, uint16_t first, uint16_t last)
{
	put_window(aml, SPACE_BUSES, 0, 2, first, last);
}

void aml_window_io(struct aml *aml, uint16_t first, uint16_t last)
{
	put_window(aml, SPACE_IO, SPACE_ALL_PORTS, 2, first, last);
}

void aml_window_memory(struct aml *aml, uint32_t first, uint32_t last)
{
	put_window(aml, SPACE_MEMORY, SPACE_WRITABLE, 4, first, last);
}

void aml_window_high(struct aml *aml, uint64_t first, uint64_t last)
{
	put_window(aml, SPACE_MEMORY, SPACE_WRITABLE, 8, first, last);
}
