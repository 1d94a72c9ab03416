/* SPDX-License-Identifier: BSD-3-Clause */
#include "fuzz.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

/* fds below this are looked at when they are counted: more than any target has. */
#define MAX_FDS 512

static uint64_t number(struct fuzz_input *input, size_t bytes)
{
	size_t n = input->left < bytes ? input->left : bytes;
	uint64_t value = 0;

	if (n)
		memcpy(&value, input->at, n);
	input->at += n;
	input->left -= n;
	return value;
}

uint8_t fuzz_u8(struct fuzz_input *input)
{
	return (uint8_t)number(input, 1);
}

uint16_t fuzz_u16(struct fuzz_input *input)
{
	return (uint16_t)number(input, 2);
}

uint32_t fuzz_u32(struct fuzz_input *input)
{
	return (uint32_t)number(input, 4);
}

uint64_t fuzz_u64(struct fuzz_input *input)
{
	return number(input, 8);
}

struct fuzz_input fuzz_bytes(struct fuzz_input *input)
{
	size_t len = fuzz_u16(input);
	struct fuzz_input bytes = { input->at, len < input->left ? len : input->left };

	input->at += bytes.left;
	input->left -= bytes.left;
	return bytes;
}

void *fuzz_copy(const void *bytes, size_t len)
{
	void *copy = malloc(len ? len : 1);

	fuzz_check(copy, "there is memory");
	if (len)
		memcpy(copy, bytes, len);
	return copy;
}

/* ---- the rings ---- */

#define SHORT_NS 1000

static unsigned int ring_in_use;

struct ring *fuzz_ring(void)
{
	static struct ring *rings[2];
	const struct ring_options options[2] = {
		{ .buffers = 16, .buffer_bytes = 4096 },
		{ .entries = 8,
		  .buffer_bytes = 16384,
		  .avoid = RING_FEATURE_DEFER_TASKRUN | RING_FEATURE_MULTISHOT,
		  .wait = { .mode = RING_WAIT_SPIN, .spin_us = 1 } },
	};

	if (!rings[ring_in_use])
		fuzz_check(!ring_open(&options[ring_in_use], &rings[ring_in_use]),
			   "there is io_uring");
	return rings[ring_in_use];
}

void fuzz_use_ring(bool second)
{
	ring_in_use = second;
	fuzz_ring();
}

void fuzz_settle(void)
{
	/* Where it spins, that is not only what the kernel says at once. */
	int64_t wait_ns = ring_in_use ? SHORT_NS : 0;

	for (unsigned int i = 0; i < 3; i++)
		ring_turn(fuzz_ring(), wait_ns);
}

/* ---- fds ---- */

#define FILE_BYTES 65536

static int new_memfd(off_t bytes, int seals)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, bytes) || (seals && fcntl(fd, F_ADD_SEALS, seals)))
		return -1;
	return fd;
}

static int new_full_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	const uint64_t full = UINT64_MAX - 1;

	return write(fd, &full, sizeof(full)) == sizeof(full) ? fd : -1;
}

static int new_pipe(void)
{
	int ends[2];

	return pipe2(ends, O_CLOEXEC | O_NONBLOCK) ? -1 : ends[0];
}

static int new_socket(int type)
{
	int pair[2];

	return socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair) ? -1 : pair[0];
}

/* The first four are eventfds. */
static int new_fd(unsigned int kind)
{
	switch (kind) {
	case 0:
		return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	case 1:
		return eventfd(0, EFD_CLOEXEC);
	case 2:
		return eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
	case 3:
		return new_full_eventfd();
	case FUZZ_FD_FILE:
		return new_memfd(FILE_BYTES, 0);
	case 5:
		return new_memfd(FILE_BYTES, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	case 6:
		return new_memfd(0, 0);
	case 7:
		return new_pipe();
	case 8:
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	case 9:
		return open("/dev/zero", O_RDWR | O_CLOEXEC);
	case 10:
		return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	case 11:
		return new_socket(SOCK_STREAM);
	default:
		return new_socket(SOCK_SEQPACKET);
	}
}

int fuzz_fd(unsigned int kind)
{
	static int fds[FUZZ_FD_KINDS];
	int *fd = &fds[kind % FUZZ_FD_KINDS];

	if (!*fd) {
		*fd = new_fd(kind % FUZZ_FD_KINDS);
		fuzz_check(*fd > 0, "an fd of kind %u can be had", kind % FUZZ_FD_KINDS);
	}
	return *fd;
}

bool fuzz_fd_is_eventfd(unsigned int kind)
{
	return kind % FUZZ_FD_KINDS < 4;
}

static bool is_cut;

void fuzz_cut_file(unsigned int pages)
{
	off_t bytes = (off_t)pages * 4096;

	is_cut = true;
	fuzz_check(!ftruncate(fuzz_fd(FUZZ_FD_FILE), bytes < FILE_BYTES ? bytes : FILE_BYTES),
		   "a file can be cut");
}

/* By one system call. */
static unsigned int count_fds(void)
{
	struct pollfd fds[MAX_FDS] = { 0 };
	unsigned int nr = MAX_FDS;

	for (int fd = 0; fd < MAX_FDS; fd++)
		fds[fd].fd = fd;
	poll(fds, MAX_FDS, 0);
	for (int fd = 0; fd < MAX_FDS; fd++)
		nr -= !!(fds[fd].revents & POLLNVAL);
	return nr;
}

/* ---- the log ---- */

/* The line has been put together, which is what was to be tried. */
static void swallow(void *opaque, int level, const char *line)
{
	(void)opaque;
	fuzz_check(level >= LOG_ERROR && level <= LOG_DEBUG && !strchr(line, '\n'),
		   "a line is a line");
}

/* ---- an input ---- */

static unsigned int nr_fds; /* open before this input: the fuzzer has its own, too */

static void set_up(void)
{
	log_set_level(LOG_DEBUG);
	if (!getenv("FASTPATH_FUZZ_LOG"))
		log_set_sink(swallow, NULL);
	for (unsigned int kind = 0; kind < FUZZ_FD_KINDS; kind++)
		fuzz_fd(kind);
	fuzz_use_ring(true);
	fuzz_use_ring(false);
}

void fuzz_begin(void)
{
	static bool is_set_up;

	if (!is_set_up)
		set_up();
	is_set_up = true;
	nr_fds = count_fds();
}

void fuzz_end(void)
{
	unsigned int nr = count_fds();

	if (is_cut)
		fuzz_cut_file(FILE_BYTES / 4096);
	is_cut = false;
	fuzz_use_ring(false);
	fuzz_check(nr == nr_fds, "%u fds are open, and not %u", nr, nr_fds);
}
