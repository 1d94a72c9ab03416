// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a restricted ring does, whoever writes to its queue.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include "ring_restrict.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "ring_slot.h"

#define SOMEBODYS_FILE "/etc/passwd"

FIXTURE(ring) {
	struct ring *ring;
};

FIXTURE_SETUP(ring)
{
	const struct ring_options options = { .starts_disabled = true };

	ASSERT_EQ(0, ring_open(&options, &self->ring));
}

FIXTURE_TEARDOWN(ring)
{
	ring_close(self->ring);
}

/* Submits what was prepared and waits: its result. */
static int result_of(struct ring *ring)
{
	struct io_uring_cqe *cqe;
	int ret = io_uring_submit_and_wait(&ring->uring, 1);

	if (ret < 0 || io_uring_peek_cqe(&ring->uring, &cqe))
		return -ENODATA;
	ret = cqe->res;
	io_uring_cqe_seen(&ring->uring, cqe);
	return ret;
}

TEST_F(ring, one_that_is_restricted_does_what_all_servers_need)
{
	struct io_uring_sqe *sqe;

	ASSERT_EQ(0, ring_restrict(self->ring, false));
	sqe = io_uring_get_sqe(&self->ring->uring);
	io_uring_prep_nop(sqe);
	EXPECT_EQ(0, result_of(self->ring));
	sqe = io_uring_get_sqe(&self->ring->uring);
	io_uring_prep_poll_add(sqe, STDOUT_FILENO, POLLOUT);
	EXPECT_LT(0, result_of(self->ring));
}

TEST_F(ring, it_opens_connects_and_makes_nothing)
{
	static const struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "/nowhere" };
	struct io_uring_sqe sqes[5];

	ASSERT_EQ(0, ring_restrict(self->ring, true));
	io_uring_prep_openat(&sqes[0], AT_FDCWD, SOMEBODYS_FILE, O_RDONLY, 0);
	io_uring_prep_connect(&sqes[1], STDIN_FILENO, (const struct sockaddr *)&name, sizeof(name));
	io_uring_prep_socket(&sqes[2], AF_INET, SOCK_STREAM, 0, 0);
	io_uring_prep_unlinkat(&sqes[3], AT_FDCWD, "/nowhere/file", 0);
	io_uring_prep_msg_ring(&sqes[4], ring_fd(self->ring), 0, 0, 0);
	for (int i = 0; i < 5; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&self->ring->uring);

		*sqe = sqes[i];
		io_uring_sqe_set_data(sqe, NULL);
		EXPECT_EQ(-EACCES, result_of(self->ring))
		{
			TH_LOG("operation %u", sqes[i].opcode);
		}
	}
}

TEST_F(ring, files_are_read_and_written_only_where_that_was_declared)
{
	char byte;
	struct iovec iov = { &byte, 1 };
	struct io_uring_sqe *sqe;
	struct ring *with;

	ASSERT_EQ(0, ring_restrict(self->ring, false));
	sqe = io_uring_get_sqe(&self->ring->uring);
	io_uring_prep_readv(sqe, open(SOMEBODYS_FILE, O_RDONLY), &iov, 1, 0);
	EXPECT_EQ(-EACCES, result_of(self->ring));
	ASSERT_EQ(0, ring_open(&(struct ring_options){ .starts_disabled = true }, &with));
	ASSERT_EQ(0, ring_restrict(with, true));
	sqe = io_uring_get_sqe(&with->uring);
	io_uring_prep_readv(sqe, open(SOMEBODYS_FILE, O_RDONLY), &iov, 1, 0);
	EXPECT_EQ(1, result_of(with));
	ring_close(with);
}

TEST_F(ring, nothing_can_be_registered_any_more)
{
	int fd = STDERR_FILENO;

	ASSERT_EQ(0, ring_restrict(self->ring, true));
	EXPECT_EQ(-EACCES, io_uring_register_files(&self->ring->uring, &fd, 1));
	EXPECT_EQ(-EACCES, io_uring_register_personality(&self->ring->uring));
}

TEST_HARNESS_MAIN
