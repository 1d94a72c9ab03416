/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz: what the fuzz targets share: an input that is taken apart, and things they all need.
 *
 * A target is a file in selftests/fuzz/ that defines LLVMFuzzerTestOneInput(). It is linked with
 * libFuzzer by `make fuzz`, and with lib/standalone.c, which feeds it files, by `make check`.
 */
#ifndef FASTPATH_SELFTESTS_FUZZ_H
#define FASTPATH_SELFTESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ring.h"

/* One input. 0, or -1 for one that is not worth keeping. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is left of an input. Numbers are little-endian; behind its end all is zeros. */
struct fuzz_input {
	const uint8_t *at;
	size_t left;
};

uint8_t fuzz_u8(struct fuzz_input *input);
uint16_t fuzz_u16(struct fuzz_input *input);
uint32_t fuzz_u32(struct fuzz_input *input);
uint64_t fuzz_u64(struct fuzz_input *input);

/* The next bytes: as many as a u16 in front of them says, or as there are. */
struct fuzz_input fuzz_bytes(struct fuzz_input *input);

/* A copy that ends where its memory does, for the sanitizer to see; to be freed. Never NULL. */
void *fuzz_copy(const void *bytes, size_t len);

/*
 * The ring that is in use. There are two, kept from input to input: the second does without what an
 * old kernel has not got, and spins.
 */
struct ring *fuzz_ring(void);
void fuzz_use_ring(bool second);

/* A few turns that don't wait, for what is under way to get through. */
void fuzz_settle(void);

/*
 * An fd of one of FUZZ_FD_KINDS kinds, the process's: eventfds of several sorts, files, a pipe,
 * sockets, devices.
 */
#define FUZZ_FD_KINDS 13u
#define FUZZ_FD_PACKETS 12u
int fuzz_fd(unsigned int kind);

/* Whether the fd is of a kind that can stand for an interrupt or a doorbell. */
bool fuzz_fd_is_eventfd(unsigned int kind);

/* Cuts the file of kind FUZZ_FD_FILE to so many pages; it is whole again for the next input. */
#define FUZZ_FD_FILE 4u
void fuzz_cut_file(unsigned int pages);

/*
 * Before and after an input. All that it opened has to be closed by then. What is logged goes
 * nowhere, unless FASTPATH_FUZZ_LOG is set.
 */
void fuzz_begin(void);
void fuzz_end(void);

/* Ends the process, with the sentence that turned out to be wrong. */
#define fuzz_check(holds, ...)                                                         \
	do {                                                                           \
		if (!(holds)) {                                                        \
			dprintf(STDERR_FILENO, "%s:%d: not so: ", __FILE__, __LINE__); \
			dprintf(STDERR_FILENO, __VA_ARGS__);                           \
			dprintf(STDERR_FILENO, "\n");                                  \
			abort();                                                       \
		}                                                                      \
	} while (0)

#endif
