/* SPDX-License-Identifier: BSD-3-Clause */
#include "flood.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "fastpath.h"
#include "log.h"
#include "testdev.h"
#include "wire.h"

/* Of small messages so many bytes leave in one send. */
#define SEND_BYTES 65536u

/* What both processes see. */
struct shared {
	uint64_t sent; /* bytes */
	bool stop;     /* when the message at hand has gone */
};

struct flood {
	const struct flood_kind *kind;
	int fd;
	pid_t pid; /* 0: none */
	struct shared *shared;
	uint64_t begun_ns;
	uint64_t ns;
};

const struct flood_kind flood_kinds[] = {
	{ "posted", "REGION_WRITEs of 4 bytes", WIRE_REGION_WRITE, FP_BAR2, TESTDEV_REGISTER_4, 4 },
	{ "large", "REGION_WRITEs of 12 KiB", WIRE_REGION_WRITE, FP_BAR3, TESTDEV_AREA_A,
	  TESTDEV_AREA_A_BYTES },
	{ "multi", "REGION_WRITE_MULTIs of 43,690 writes", WIRE_REGION_WRITE_MULTI, FP_BAR2,
	  TESTDEV_REGISTER_4, 43690 },
	{ 0 },
};

const struct flood_kind *flood_kind(const char *name)
{
	for (const struct flood_kind *kind = flood_kinds; kind->name; kind++)
		if (!strcmp(kind->name, name))
			return kind;
	return NULL;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

/* ---- messages ---- */

static size_t put_header(uint8_t *at, uint16_t cmd, uint32_t flags, size_t body)
{
	const struct wire_header hdr = {
		.cmd = cmd,
		.msg_size = (uint32_t)(sizeof(hdr) + body),
		.flags = WIRE_TYPE_COMMAND | flags,
	};

	memcpy(at, &hdr, sizeof(hdr));
	return sizeof(hdr);
}

static size_t put_write(uint8_t *at, const struct flood_kind *kind)
{
	const struct wire_region_access access = {
		.region = kind->region,
		.offset = kind->offset,
		.count = kind->count,
	};
	size_t len = put_header(at, kind->cmd, WIRE_NO_REPLY, sizeof(access) + kind->count);

	memcpy(at + len, &access, sizeof(access));
	memset(at + len + sizeof(access), 0, kind->count);
	return len + sizeof(access) + kind->count;
}

static size_t put_multi(uint8_t *at, const struct flood_kind *kind)
{
	const struct wire_region_write_multi one = {
		.region = kind->region,
		.offset = kind->offset,
		.count = 4,
	};
	const uint64_t count = kind->count;
	size_t len = put_header(at, kind->cmd, WIRE_NO_REPLY, sizeof(count) + count * sizeof(one));

	memcpy(at + len, &count, sizeof(count));
	len += sizeof(count);
	for (uint64_t i = 0; i < count; i++, len += sizeof(one))
		memcpy(at + len, &one, sizeof(one));
	return len;
}

/* One message, and as many more as fit into a send. */
static size_t fill(const struct flood_kind *kind, uint8_t *at)
{
	size_t len = 0;
	size_t one;

	do {
		one = kind->cmd == WIRE_REGION_WRITE ? put_write(at + len, kind) :
						       put_multi(at + len, kind);
		len += one;
	} while (len + one <= SEND_BYTES);
	return len;
}

static int say_version(int fd)
{
	const struct wire_version version = { .major = WIRE_MAJOR, .minor = WIRE_MINOR };
	struct wire_header reply = { 0 };
	uint8_t bytes[4096];
	size_t len = put_header(bytes, WIRE_VERSION, 0, sizeof(version));

	memcpy(bytes + len, &version, sizeof(version));
	len += sizeof(version);
	if (send(fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len)
		return -errno;
	if (recv(fd, bytes, sizeof(bytes), 0) < (ssize_t)sizeof(reply))
		return -EPROTO;
	memcpy(&reply, bytes, sizeof(reply));
	return reply.flags & WIRE_ERROR ? -(int)reply.error_no : 0;
}

/* ---- the process ---- */

static void settle(int cpu)
{
	const struct sched_param param = { 0 };
	cpu_set_t cpus;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	sched_setscheduler(0, SCHED_IDLE, &param);
}

static void run(struct flood *flood, const uint8_t *bytes, size_t len)
{
	struct shared *shared = flood->shared;

	for (size_t at = 0;;) {
		ssize_t n;

		if (!at && __atomic_load_n(&shared->stop, __ATOMIC_RELAXED))
			raise(SIGSTOP); /* goes on when it is told to */
		n = send(flood->fd, bytes + at, len - at, MSG_NOSIGNAL);
		if (n < 0 && errno != EINTR)
			_exit(1);
		if (n < 0)
			continue;
		at = (at + (size_t)n) % len;
		__atomic_store_n(&shared->sent, shared->sent + (uint64_t)n, __ATOMIC_RELAXED);
	}
}

static void tell(struct flood *flood, bool stop)
{
	__atomic_store_n(&flood->shared->stop, stop, __ATOMIC_RELAXED);
}

/* Whether it stands, which it does before long. */
static bool stands(const struct flood *flood)
{
	int status;

	return waitpid(flood->pid, &status, WUNTRACED) == flood->pid && WIFSTOPPED(status);
}

static int start(struct flood *flood, int cpu)
{
	CLEANUP_FREE uint8_t *bytes = malloc(SEND_BYTES + WIRE_MAX_MSG);
	size_t len;

	flood->shared = mmap(NULL, sizeof(*flood->shared), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!bytes || flood->shared == MAP_FAILED)
		return -ENOMEM;
	tell(flood, true);
	len = fill(flood->kind, bytes);
	flood->pid = fork();
	if (!flood->pid) {
		settle(cpu);
		run(flood, bytes, len);
	}
	if (flood->pid < 0)
		return -errno;
	return stands(flood) ? 0 : -ECHILD;
}

int flood_open(const struct flood_kind *kind, int fd, int cpu, struct flood **out)
{
	struct flood *flood = calloc(1, sizeof(*flood));
	int ret;

	if (!flood) {
		close(fd);
		return -ENOMEM;
	}
	flood->kind = kind;
	flood->fd = fd;
	flood->shared = MAP_FAILED;
	ret = say_version(fd);
	if (!ret)
		ret = start(flood, cpu);
	if (ret) {
		log_error("the flood can't be started: %s", strerror(-ret));
		flood_close(flood);
	} else {
		*out = flood;
	}
	return ret;
}

int flood_begin(struct flood *flood)
{
	int status;

	flood->begun_ns = now_ns();
	tell(flood, false);
	kill(flood->pid, SIGCONT);
	if (waitpid(flood->pid, &status, WNOHANG) != flood->pid)
		return 0;
	flood->pid = 0;
	log_error("the flood has ended: the server has hung up");
	return -EPIPE;
}

void flood_end(struct flood *flood)
{
	const struct timespec pause = { .tv_nsec = 100000 };
	int unread = 0;

	flood->ns += now_ns() - flood->begun_ns;
	if (!flood->pid)
		return;
	tell(flood, true);
	if (!stands(flood))
		flood->pid = 0;
	while (!ioctl(flood->fd, SIOCOUTQ, &unread) && unread && flood->pid)
		nanosleep(&pause, NULL);
}

uint64_t flood_bytes(const struct flood *flood)
{
	return __atomic_load_n(&flood->shared->sent, __ATOMIC_RELAXED);
}

uint64_t flood_ns(const struct flood *flood)
{
	return flood->ns;
}

void flood_close(struct flood *flood)
{
	if (!flood)
		return;
	if (flood->pid > 0) {
		kill(flood->pid, SIGKILL);
		waitpid(flood->pid, NULL, 0);
	}
	if (flood->shared != MAP_FAILED)
		munmap(flood->shared, sizeof(*flood->shared));
	close(flood->fd);
	free(flood);
}
