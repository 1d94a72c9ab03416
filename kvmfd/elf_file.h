/* SPDX-License-Identifier: BSD-3-Clause */
/* elf_file: an executable of 32 or 64 bits, as a boot format needs it. */
#ifndef KVMFD_ELF_FILE_H
#define KVMFD_ELF_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A program header, of either width. */
struct elf_segment {
	uint32_t type;
	uint64_t offset;
	uint64_t address; /* physical */
	uint64_t file_bytes;
	uint64_t memory_bytes;
};

struct elf {
	const uint8_t *bytes;
	size_t len;
	bool is_64;
	uint64_t entry;
	uint64_t segments_at;
	uint32_t nr_segments;
};

/* Whether it is an executable of x86's, and where what is in it is. Keeps `bytes`. */
bool elf_parse(const uint8_t *bytes, size_t len, struct elf *elf);

/* Program header `i`: what it says of the file is still to be checked. */
struct elf_segment elf_segment(const struct elf *elf, uint32_t i);

/* The note of this owner and type, at least `len` bytes long: a copy to *value. */
bool elf_note(const struct elf *elf, const char *owner, uint32_t type, void *value, size_t len);

#endif
