/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * caps: the JSON of VERSION. `{"capabilities": {...}}`, every member optional, unknown ones ignored.
 */
#ifndef FASTPATH_CAPS_H
#define FASTPATH_CAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct caps {
	uint32_t max_msg_fds;
	uint64_t max_data_xfer_size; /* bytes */
	uint64_t max_dma_maps;
	uint64_t pgsizes;
	bool write_multiple; /* REGION_WRITE_MULTI is understood */
	/* A second socket for the server's commands; a server's fd for it is number 0 of its answer. */
	bool twin_socket;
	uint32_t twin_fd_index; /* of it in the peer's message */
	/* Ours: the client's kernel can store a doorbell's value into memory before it signals. */
	bool shadow_ioeventfd;
	/* Interrupts may come as VM_INTERRUPT: offered and accepted only where no fd can travel. */
	bool vm_interrupt;
};

/* What this implementation takes, as a server or a client. */
extern const struct caps caps_ours;

/*
 * Reads what a peer sent behind the version numbers: `len` bytes at `text`, 0 for none. What it
 * leaves out has the protocol's default. -EINVAL, with *why naming the member, when the text is not
 * NUL-terminated JSON or a member is of the wrong type or out of range.
 */
int caps_parse(const void *text, size_t len, struct caps *caps, const char **why);

/* Writes `caps` with its NUL to `text`. The length, NUL included; -ENOSPC when `size` is less. */
int caps_format(const struct caps *caps, char *text, size_t size);

#endif
