/* SPDX-License-Identifier: BSD-3-Clause */
#include "contender.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "log.h"
#include "socket.h"
#include "testdev.h"

static int find(const struct contender_options *options, int *fd)
{
	*fd = socket_connect(options->address);
	if (*fd >= 0)
		return 0;
	log_error("--connect %s=%s: %s", options->name, options->address, strerror(-*fd));
	return *fd;
}

/* A connected socket, and whose it is. */
static int reach(struct contender *peer, int cpu, int *fd)
{
	struct ucred owner;
	socklen_t len = sizeof(owner);
	int ret;

	if (!peer->options.address && !peer->options.command) {
		ret = echo_start(cpu, &peer->echo, fd);
		peer->pid = peer->echo.pid;
		return ret;
	}
	ret = peer->options.command ?
		      launch(peer->options.name, peer->options.command, &peer->launch, fd) :
		      find(&peer->options, fd);
	/* Of a UNIX socket that is who called listen(); of others there is nobody. */
	if (!ret && !getsockopt(*fd, SOL_SOCKET, SO_PEERCRED, &owner, &len) && owner.pid > 0)
		peer->pid = owner.pid;
	return ret;
}

static void move(struct contender *peer, int cpu)
{
	int ret;

	if (cpu < 0 || peer->echo.pid)
		return;
	ret = peer->pid ? place_process(peer->pid, cpu, &peer->before) : -ESRCH;
	peer->is_moved = !ret;
	if (ret)
		log_warn("%s: it can't be moved to CPU %d and runs where it is: %s",
			 peer->options.name, cpu,
			 peer->pid ? strerror(-ret) : "its process is not known");
}

/* Where the accesses go, and whether the device counts them. */
static int look(struct contender *peer)
{
	const struct link_access ids = { .region = FP_CONFIG, .size = 4 };
	uint32_t id = 0;
	int ret = 0;

	if (!peer->echo.pid)
		ret = peer->options.kind->read(peer->link, &ids, &id);
	/* A device may be none of PCI. */
	peer->is_testdev = !ret && id == (TESTDEV_VENDOR | TESTDEV_DEVICE << 16);
	peer->region = peer->is_testdev ? FP_BAR2 : FP_BAR0;
	peer->offset = peer->is_testdev ? TESTDEV_SCRATCH : 0;
	if (peer->options.has_at) {
		peer->region = peer->options.region;
		peer->offset = peer->options.offset;
	}
	return ret == -ECONNRESET || ret == -ETIMEDOUT || ret == -EPROTO ? ret : 0;
}

int contender_open(const struct contender_options *options, const struct fpc_wait *wait, int cpu,
		   struct contender *peer)
{
	int fd = -1;
	int ret;

	*peer = (struct contender){ .options = *options };
	ret = reach(peer, cpu, &fd);
	if (ret)
		return ret;
	ret = options->kind->open(fd, wait, &peer->link);
	if (!ret)
		ret = look(peer);
	if (ret)
		log_error("%s: it can't be talked to: %s", options->name, strerror(-ret));
	else
		move(peer, cpu);
	return ret;
}

void contender_close(struct contender *peer)
{
	if (peer->link)
		peer->options.kind->close(peer->link);
	if (peer->is_moved && !peer->launch.pid)
		place_back(peer->pid, &peer->before);
	launch_end(&peer->launch);
	echo_stop(&peer->echo);
	*peer = (struct contender){ 0 };
}

/* Of testdev: accesses to the counters are not counted. */
static bool counts_here(const struct contender *peer)
{
	return peer->is_testdev && peer->region == FP_BAR2 && peer->offset >= TESTDEV_REGISTERS;
}

bool contender_count(struct contender *peer, uint64_t *reads, uint64_t *writes)
{
	struct link_access access = { .region = FP_BAR2, .size = 8 };

	if (peer->echo.pid) {
		*reads = __atomic_load_n(&peer->echo.counts->reads, __ATOMIC_RELAXED);
		*writes = __atomic_load_n(&peer->echo.counts->writes, __ATOMIC_RELAXED);
		return true;
	}
	if (!counts_here(peer))
		return false;
	access.offset = offsetof(struct testdev_counters, reads);
	if (peer->options.kind->read(peer->link, &access, reads))
		return false;
	access.offset = offsetof(struct testdev_counters, writes);
	return !peer->options.kind->read(peer->link, &access, writes);
}
