/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * standin: an ioregionfd on a kernel that has none. The vCPU's thread, on its way out of the guest,
 * writes the command that KVM would and awaits the answer: the server can't tell the difference, and
 * the protocol's socket is not on the road. One command is in flight at a time.
 *
 * Never for an fd that is in KVM: two writers of one fd would take each other's answers.
 */
#ifndef KVMFD_STANDIN_H
#define KVMFD_STANDIN_H

#include <stdbool.h>
#include <stdint.h>

#include "fastpath-client.h"

struct standin;

/* A span of a region, as its io_fds entry has it. */
struct standin_span {
	uint64_t user_data;
	bool posted; /* writes get no answer */
};

/*
 * Speaks on `fd`, a SOCK_SEQPACKET socket that stays the caller's. An answer is waited for as `wait`
 * says, for `timeout_ms` at most. *out is to be given to standin_close(). -ENOMEM, -errno.
 */
int standin_open(int fd, struct fpc_wait wait, unsigned int timeout_ms, struct standin **out);

void standin_close(struct standin *standin);

/*
 * One access of 1, 2, 4 or 8 bytes, `offset` from the span's start. Any thread may make it. 0, or
 *   -ENOTCONN    the fd is lost, nothing was sent: the access has to take another road
 *   -ECONNRESET  it was lost while the answer was waited for: nobody knows what became of it
 * Which is for ever; the log says once why.
 */
int standin_read(struct standin *standin, struct standin_span span, uint64_t offset, void *data,
		 uint32_t len);
int standin_write(struct standin *standin, struct standin_span span, uint64_t offset,
		  const void *data, uint32_t len);

/* Changes how answers are waited for. */
void standin_set_wait(struct standin *standin, struct fpc_wait wait);

#endif
