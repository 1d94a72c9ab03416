/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * file_io: what a device has done to files, of fastpath.h, on its ring.
 *
 * Guest memory that is mapped is the kernel's to read and write until it is done: its mapping is held
 * until then, also when the client goes. Other guest memory is reached through a buffer, in rounds.
 */
#ifndef FASTPATH_FILE_IO_H
#define FASTPATH_FILE_IO_H

#include <stdbool.h>

#include "fastpath.h"

struct file_job;

/* A device's. */
struct file_io {
	struct file_job *busy;
	struct file_job *idle;	 /* kept for the next ones */
	unsigned int nr;	 /* that are busy, */
	unsigned int nr_awaited; /* and of them those that commands wait for */
	bool is_closed;
};

/* The client goes: what has its memory will end with -ENOTCONN, and gets no further there. */
void file_io_detach(struct fp_device *dev);

/* Ends all that there is, waiting for it; from now on none begins. */
void file_io_close(struct fp_device *dev);

#endif
