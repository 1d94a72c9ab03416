/* SPDX-License-Identifier: BSD-3-Clause */
#include "elf_file.h"

#include <elf.h>
#include <string.h>

static bool holds(const struct elf *elf, uint64_t offset, uint64_t len)
{
	return offset <= elf->len && len <= elf->len - offset;
}

static bool parse_32(struct elf *elf)
{
	Elf32_Ehdr header;

	if (!holds(elf, 0, sizeof(header)))
		return false;
	memcpy(&header, elf->bytes, sizeof(header));
	elf->entry = header.e_entry;
	elf->segments_at = header.e_phoff;
	elf->nr_segments = header.e_phnum;
	return header.e_machine == EM_386 && header.e_phentsize == sizeof(Elf32_Phdr) &&
	       holds(elf, header.e_phoff, header.e_phnum * sizeof(Elf32_Phdr));
}

static bool parse_64(struct elf *elf)
{
	Elf64_Ehdr header;

	if (!holds(elf, 0, sizeof(header)))
		return false;
	memcpy(&header, elf->bytes, sizeof(header));
	elf->entry = header.e_entry;
	elf->segments_at = header.e_phoff;
	elf->nr_segments = header.e_phnum;
	return header.e_machine == EM_X86_64 && header.e_phentsize == sizeof(Elf64_Phdr) &&
	       holds(elf, header.e_phoff, header.e_phnum * sizeof(Elf64_Phdr));
}

bool elf_parse(const uint8_t *bytes, size_t len, struct elf *elf)
{
	*elf = (struct elf){ .bytes = bytes, .len = len };
	if (len < EI_NIDENT || memcmp(bytes, ELFMAG, SELFMAG) || bytes[EI_DATA] != ELFDATA2LSB)
		return false;
	elf->is_64 = bytes[EI_CLASS] == ELFCLASS64;
	return elf->is_64 ? parse_64(elf) : parse_32(elf);
}

struct elf_segment elf_segment(const struct elf *elf, uint32_t i)
{
	Elf32_Phdr narrow;
	Elf64_Phdr wide;

	if (elf->is_64) {
		memcpy(&wide, elf->bytes + elf->segments_at + i * sizeof(wide), sizeof(wide));
		return (struct elf_segment){ wide.p_type, wide.p_offset, wide.p_paddr,
					     wide.p_filesz, wide.p_memsz };
	}
	memcpy(&narrow, elf->bytes + elf->segments_at + i * sizeof(narrow), sizeof(narrow));
	return (struct elf_segment){ narrow.p_type, narrow.p_offset, narrow.p_paddr,
				     narrow.p_filesz, narrow.p_memsz };
}

static uint64_t align_4(uint64_t n)
{
	return (n + 3) & ~3ull;
}

/* Looks through one segment of notes; the header of one is the same in 32 and 64 bits. */
static bool find_note(const struct elf *elf, const struct elf_segment *notes, const char *owner,
		      uint32_t type, void *value, size_t len)
{
	uint64_t at = notes->offset;
	uint64_t end = at + notes->file_bytes;

	while (end - at >= sizeof(Elf64_Nhdr)) {
		uint64_t name, desc;
		Elf64_Nhdr note;

		memcpy(&note, elf->bytes + at, sizeof(note));
		name = at + sizeof(note);
		desc = name + align_4(note.n_namesz);
		at = desc + align_4(note.n_descsz);
		if (at > end)
			return false;
		if (note.n_type != type || note.n_descsz < len ||
		    note.n_namesz != strlen(owner) + 1 ||
		    memcmp(elf->bytes + name, owner, note.n_namesz))
			continue;
		memcpy(value, elf->bytes + desc, len);
		return true;
	}
	return false;
}

bool elf_note(const struct elf *elf, const char *owner, uint32_t type, void *value, size_t len)
{
	for (uint32_t i = 0; i < elf->nr_segments; i++) {
		struct elf_segment segment = elf_segment(elf, i);

		if (segment.type == PT_NOTE && holds(elf, segment.offset, segment.file_bytes) &&
		    find_note(elf, &segment, owner, type, value, len))
			return true;
	}
	return false;
}
