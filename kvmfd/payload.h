/* SPDX-License-Identifier: BSD-3-Clause */
/* payload: a bare guest program in a machine, and its two mailboxes. See payload_abi.h. */
#ifndef KVMFD_PAYLOAD_H
#define KVMFD_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "machine.h"
#include "payload_abi.h"

struct payload {
	struct machine *machine;
	struct payload_params *params; /* in guest memory */
	int console_fd;		       /* where the console's lines go, borrowed; STDOUT_FILENO */
	bool exited;	    /* it has stored to exit_address, and vcpu_run() returned 0 */
	uint64_t exit_code; /* what it stored last */
	uint32_t nr_bars;
	size_t line_len;
	char line[256];
};

/*
 * Loads an image of `len` bytes (called `name` in messages) into the machine, puts the mailboxes on
 * its bus and sets its vCPUs up to run it. *out is to be given to payload_close(), before
 * machine_close(). -EINVAL when it is empty, -EFBIG when it does not fit into the guest's memory;
 * -errno; said to the log.
 */
int payload_open(struct machine *machine, const char *name, const void *image, size_t len,
		 struct payload **out);

/* The same from a file; -errno when it can't be read. */
int payload_open_file(struct machine *machine, const char *path, struct payload **out);

/* Prints what the console holds back of a line, and frees the payload; NULL is nothing. */
void payload_close(struct payload *payload);

/* Tells the payload of one BAR. -ENOSPC when PAYLOAD_MAX_BARS are known. */
int payload_add_bar(struct payload *payload, const struct payload_bar *bar);

#endif
