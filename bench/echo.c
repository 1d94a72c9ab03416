/* SPDX-License-Identifier: BSD-3-Clause */
#include "echo.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "place.h"
#include "wire.h"

#define BUFFER_BYTES 65536u

/* The answer to the message at `in`, to `out`; its length. */
static size_t answer(struct echo_counts *counts, const uint8_t *in, uint8_t *out)
{
	const struct wire_region_access *access = (const void *)(in + sizeof(struct wire_header));
	struct wire_header hdr;
	uint32_t len = sizeof(hdr) + sizeof(*access);

	memcpy(&hdr, in, sizeof(hdr));
	if (hdr.cmd == WIRE_REGION_READ) {
		counts->reads++;
		len += access->count;
	} else if (hdr.cmd == WIRE_REGION_WRITE) {
		counts->writes++;
	}
	if (hdr.flags & WIRE_NO_REPLY)
		return 0;
	hdr.flags = WIRE_TYPE_REPLY;
	hdr.msg_size = len;
	memcpy(out, &hdr, sizeof(hdr));
	return len;
}

/* Answers all that came by one recv() with one send(), until the other end is closed. */
static void serve(int fd, struct echo_counts *counts)
{
	static uint8_t in[BUFFER_BYTES], out[2 * BUFFER_BYTES];
	size_t have = 0;
	ssize_t got;

	while ((got = recv(fd, in + have, sizeof(in) - have, 0)) > 0) {
		size_t at = 0;
		size_t len = 0;
		uint32_t size;

		have += (size_t)got;
		while (have - at >= sizeof(struct wire_header)) {
			memcpy(&size, in + at + offsetof(struct wire_header, msg_size),
			       sizeof(size));
			if (size > have - at)
				break;
			len += answer(counts, in + at, out + len);
			at += size;
		}
		have -= at;
		if (have)
			memmove(in, in + at, have);
		if (len && send(fd, out, len, MSG_NOSIGNAL) != (ssize_t)len)
			return;
	}
}

int echo_start(int cpu, struct echo *echo, int *fd)
{
	struct echo_counts *counts;
	int pair[2];

	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (counts == MAP_FAILED)
		return -errno;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -errno;
	echo->pid = fork();
	if (!echo->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pair[0]);
		place_self(cpu);
		serve(pair[1], counts);
		_exit(0);
	}
	close(pair[1]);
	*fd = pair[0];
	echo->counts = counts;
	return echo->pid < 0 ? -errno : 0;
}

void echo_stop(struct echo *echo)
{
	if (echo->pid > 0) {
		kill(echo->pid, SIGKILL);
		waitpid(echo->pid, NULL, 0);
	}
	if (echo->counts)
		munmap(echo->counts, sizeof(*echo->counts));
	*echo = (struct echo){ 0 };
}
