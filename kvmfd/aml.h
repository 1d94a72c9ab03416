/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * aml: ACPI's machine language, written byte by byte: what a DSDT without methods takes (ACPI
 * specification 6.5, chapter 20, and section 6.4 for resources).
 *
 *	aml_device(&aml, "COM1");
 *	aml_name(&aml, "_HID");
 *	aml_eisa_id(&aml, "PNP0501");
 *	aml_end(&aml);
 */
#ifndef KVMFD_AML_H
#define KVMFD_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AML_MAX_BYTES 8192u
#define AML_MAX_DEPTH 8u

struct aml {
	uint8_t bytes[AML_MAX_BYTES];
	size_t len;
	bool overflow; /* something did not fit, or was nested too deep: all of it is useless */
	size_t open[AML_MAX_DEPTH]; /* where the length of what is not ended yet is to stand */
	unsigned int depth;
};

/* What is begun by these holds what follows, until aml_end(). A name has four characters. */
void aml_scope(struct aml *aml, const char *name);
void aml_device(struct aml *aml, const char *name);
void aml_package(struct aml *aml, uint8_t nr_elements);
void aml_end(struct aml *aml);

/* A name, for the object that follows. */
void aml_name(struct aml *aml, const char *name);

/* Objects. */
void aml_integer(struct aml *aml, uint32_t value);
void aml_eisa_id(struct aml *aml, const char *id); /* as "PNP0A08" */

/* A list of resources is an object too: these, until aml_resources_end(). */
void aml_resources(struct aml *aml);
void aml_resources_end(struct aml *aml);
void aml_io(struct aml *aml, uint16_t port, uint8_t size);	/* these ports */
void aml_irq(struct aml *aml, unsigned int irq);		/* an edge of ISA's */
void aml_memory(struct aml *aml, uint32_t base, uint32_t size); /* these addresses */
/* What a bridge passes on: both ends are within. */
void aml_window_buses(struct aml *aml, uint16_t first, uint16_t last);
void aml_window_io(struct aml *aml, uint16_t first, uint16_t last);
void aml_window_memory(struct aml *aml, uint32_t first, uint32_t last);
void aml_window_high(struct aml *aml, uint64_t first, uint64_t last);

#endif
