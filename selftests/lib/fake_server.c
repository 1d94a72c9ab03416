/* SPDX-License-Identifier: BSD-3-Clause */
#include "fake_server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_BODY 4096u

static const char capabilities[] = "{\"capabilities\":{\"max_msg_fds\":8}}";

/* A message, and what is to be answered. */
struct message {
	struct wire_header hdr;
	uint8_t body[MAX_BODY];
	bool has_fd;
	uint8_t answer[MAX_BODY];
	size_t answer_len;
	int answer_fd; /* -1: none */
};

static void answer(struct message *msg, const void *bytes, size_t len)
{
	memcpy(msg->answer + msg->answer_len, bytes, len);
	msg->answer_len += len;
}

/* ---- commands ---- */

static void say_version(struct fake_server *server, struct message *msg)
{
	struct wire_version version = { .major = WIRE_MAJOR };

	(void)server;
	answer(msg, &version, sizeof(version));
	answer(msg, capabilities, sizeof(capabilities));
}

static void note_dma(struct fake_server *server, struct message *msg)
{
	struct wire_dma_map map;

	memcpy(&map, msg->body, sizeof(map));
	server->dma_address = map.address;
	server->dma_size = map.size;
	server->dma_offset = map.offset;
	server->dma_fd = msg->has_fd;
}

static void say_device(struct fake_server *server, struct message *msg)
{
	answer(msg, &server->info, sizeof(server->info));
}

static void say_region(struct fake_server *server, struct message *msg)
{
	struct wire_region_info info;

	memcpy(&info, msg->body, sizeof(info));
	info = (struct wire_region_info){
		.argsz = sizeof(info),
		.flags = WIRE_REGION_READABLE | WIRE_REGION_WRITEABLE,
		.index = info.index,
		.size = info.index < FAKE_NR_REGIONS ? server->sizes[info.index] : 0,
	};
	answer(msg, &info, sizeof(info));
}

static void say_io_fds(struct fake_server *server, struct message *msg)
{
	size_t len = server->nr_io_fds * sizeof(server->io_fds[0]);
	struct wire_region_io_fds reply;

	memcpy(&reply, msg->body, sizeof(reply));
	reply.argsz = (uint32_t)(sizeof(reply) + len);
	reply.count = server->nr_io_fds;
	answer(msg, &reply, sizeof(reply));
	answer(msg, server->io_fds, len);
	if (len)
		msg->answer_fd = eventfd(0, EFD_CLOEXEC);
}

static void read_region(struct fake_server *server, struct message *msg)
{
	struct wire_region_access access;
	uint8_t data[256] = { 0 };

	memcpy(&access, msg->body, sizeof(access));
	if (access.count > sizeof(data))
		_exit(3);
	if (access.region == FAKE_CONFIG && wire_within(access.offset, access.count, 256))
		memcpy(data, server->config + access.offset, access.count);
	else
		memset(data, 0x77, access.count);
	answer(msg, &access, sizeof(access));
	answer(msg, data, access.count);
}

static void write_region(struct fake_server *server, struct message *msg)
{
	struct wire_region_access access;
	const uint8_t *data = msg->body + sizeof(access);

	memcpy(&access, msg->body, sizeof(access));
	server->posted += !!(msg->hdr.flags & WIRE_NO_REPLY);
	answer(msg, &access, sizeof(access));
	if (access.region == FAKE_CONFIG && wire_within(access.offset, access.count, 256)) {
		memcpy(server->config + access.offset, data, access.count);
		return;
	}
	server->last_region = access.region;
	server->last_offset = access.offset;
	server->last_value = 0;
	memcpy(&server->last_value, data, access.count <= 8 ? access.count : 8);
}

static void (*const commands[WIRE_CMD_END])(struct fake_server *server, struct message *msg) = {
	[WIRE_VERSION] = say_version,
	[WIRE_DMA_MAP] = note_dma,
	[WIRE_DEVICE_GET_INFO] = say_device,
	[WIRE_DEVICE_GET_REGION_INFO] = say_region,
	[WIRE_DEVICE_GET_REGION_IO_FDS] = say_io_fds,
	[WIRE_REGION_READ] = read_region,
	[WIRE_REGION_WRITE] = write_region,
};

/* ---- messages ---- */

/* All of it, or the client is gone and so are we. */
static void receive(int fd, void *data, size_t len, bool *has_fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(8 * sizeof(int))];
	} control;
	struct iovec iov = { data, len };
	struct msghdr hdr = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = has_fd ? &control : NULL,
		.msg_controllen = has_fd ? sizeof(control) : 0,
	};

	if (len && recvmsg(fd, &hdr, MSG_WAITALL) != (ssize_t)len)
		_exit(0);
	if (has_fd)
		*has_fd = hdr.msg_controllen;
}

static void reply(int fd, struct message *msg, uint32_t error)
{
	union {
		struct cmsghdr hdr;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .hdr = { .cmsg_len = CMSG_LEN(sizeof(int)),
			       .cmsg_level = SOL_SOCKET,
			       .cmsg_type = SCM_RIGHTS } };
	struct iovec iov[] = { { &msg->hdr, sizeof(msg->hdr) }, { msg->answer, msg->answer_len } };
	struct msghdr hdr = { .msg_iov = iov, .msg_iovlen = error ? 1 : 2 };

	msg->hdr.flags = error ? WIRE_TYPE_REPLY | WIRE_ERROR : WIRE_TYPE_REPLY;
	msg->hdr.error_no = error;
	msg->hdr.msg_size = (uint32_t)(sizeof(msg->hdr) + (error ? 0 : msg->answer_len));
	if (msg->answer_fd >= 0 && !error) {
		memcpy(CMSG_DATA(&control.hdr), &msg->answer_fd, sizeof(int));
		hdr.msg_control = &control;
		hdr.msg_controllen = sizeof(control);
	}
	if (sendmsg(fd, &hdr, MSG_NOSIGNAL) < 0)
		_exit(0);
}

/* Whether this command is one that goes wrong. */
static bool trouble(const struct fake_server *server, uint16_t cmd)
{
	return server->trouble != FAKE_NO_TROUBLE && server->trouble_cmd == cmd &&
	       server->calls[cmd] > server->trouble_after;
}

static void serve_one(struct fake_server *server, int fd)
{
	struct message msg = { .answer_fd = -1 };
	uint32_t error = 0;

	receive(fd, &msg.hdr, sizeof(msg.hdr), &msg.has_fd);
	if (msg.hdr.msg_size - sizeof(msg.hdr) > MAX_BODY || msg.hdr.cmd >= WIRE_CMD_END)
		_exit(3);
	receive(fd, msg.body, msg.hdr.msg_size - sizeof(msg.hdr), NULL);
	server->calls[msg.hdr.cmd]++;
	if (commands[msg.hdr.cmd])
		commands[msg.hdr.cmd](server, &msg);
	if (trouble(server, msg.hdr.cmd)) {
		if (server->trouble == FAKE_DEATH)
			_exit(0);
		if (server->trouble == FAKE_SILENCE)
			return;
		error = EINVAL;
	}
	if (!(msg.hdr.flags & WIRE_NO_REPLY))
		reply(fd, &msg, error);
	if (msg.answer_fd >= 0)
		close(msg.answer_fd);
}

/* ---- the child ---- */

struct fake_server *fake_server_new(void)
{
	struct fake_server *server = mmap(NULL, sizeof(*server), PROT_READ | PROT_WRITE,
					  MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (server == MAP_FAILED)
		abort();
	server->info = (struct wire_device_info){
		.argsz = sizeof(server->info),
		.flags = WIRE_DEVICE_PCI | WIRE_DEVICE_RESETTABLE,
		.num_regions = FAKE_NR_REGIONS,
		.num_irqs = 5,
	};
	server->sizes[FAKE_CONFIG] = sizeof(server->config);
	return server;
}

int fake_server_connect(struct fake_server *server, unsigned int timeout_ms, struct fpc **client)
{
	const struct fpc_options options = { .timeout_ms = timeout_ms };
	int fds[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return -errno;
	pid = fork();
	if (pid < 0)
		abort();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(fds[0]);
		for (;;)
			serve_one(server, fds[1]);
	}
	close(fds[1]);
	return fpc_open(fds[0], &options, client);
}
