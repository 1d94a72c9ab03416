/* SPDX-License-Identifier: BSD-3-Clause */
#include "ring_restrict.h"

#include <string.h>

#include "log.h"
#include "ring_slot.h"

/* Each operation that ring_slot.c prepares is in one of the two. */
static const uint8_t operations[] = {
	IORING_OP_NOP,	   IORING_OP_ACCEPT,	     IORING_OP_RECVMSG,	     IORING_OP_SENDMSG,
	IORING_OP_SEND,	   IORING_OP_READ,	     IORING_OP_WRITE,	     IORING_OP_POLL_ADD,
	IORING_OP_TIMEOUT, IORING_OP_TIMEOUT_REMOVE, IORING_OP_ASYNC_CANCEL,
};

static const uint8_t file_operations[] = {
	IORING_OP_READV,
	IORING_OP_WRITEV,
	IORING_OP_FSYNC,
	IORING_OP_FALLOCATE,
};

#define NR(list) (sizeof(list) / sizeof(*(list)))

struct restrictions {
	struct io_uring_restriction list[NR(operations) + NR(file_operations) + 2];
	unsigned int nr;
};

static void allow(struct restrictions *all, const uint8_t *list, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		all->list[all->nr++] = (struct io_uring_restriction){
			.opcode = IORING_RESTRICTION_SQE_OP,
			.sqe_op = list[i],
		};
}

int ring_restrict(struct ring *ring, bool files)
{
	struct restrictions all = { .nr = 0 };
	int fd = ring->uring.ring_fd;
	int ret, enabled;

	allow(&all, operations, NR(operations));
	if (files)
		allow(&all, file_operations, NR(file_operations));
	all.list[all.nr++] = (struct io_uring_restriction){
		.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED,
		.sqe_flags = IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS,
	};
	/* At the end, of what ring_open() has registered. */
	all.list[all.nr++] = (struct io_uring_restriction){
		.opcode = IORING_RESTRICTION_REGISTER_OP,
		.register_op = IORING_UNREGISTER_RING_FDS,
	};
	/* liburing 2.3 has functions for these, and its shared library does not export them. */
	ret = io_uring_register((unsigned int)fd, IORING_REGISTER_RESTRICTIONS, all.list, all.nr);
	/* In any case: it has to work to be closed. */
	enabled = io_uring_register((unsigned int)fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
	ret = ret ? ret : enabled;
	if (ret)
		log_error("io_uring can't be restricted: %s", strerror(-ret));
	return ret;
}
