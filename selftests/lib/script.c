/* SPDX-License-Identifier: BSD-3-Clause */
#include "script.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "socket.h"

/* So many messages are kept, for answers out of order. */
#define NR_KEPT 32u

void script_fail(const char *file, int line, const char *what)
{
	fprintf(stderr, "# the scripted server: %s:%d: %s\n", file, line, what);
	_exit(1);
}

static void __attribute__((noreturn)) play(script_fn *fn, int fd)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fn(fd);
	_exit(0);
}

void script_start(struct script *script, script_fn *fn)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		abort();
	script->pid = fork();
	if (script->pid < 0)
		abort();
	if (!script->pid) {
		close(fds[0]);
		play(fn, fds[1]);
	}
	close(fds[1]);
	script->fd = fds[0];
}

void script_listen(struct script *script, script_fn *fn, const char *path)
{
	int listening = socket_listen(path);
	int fd;

	if (listening < 0)
		abort();
	script->fd = -1;
	script->pid = fork();
	if (script->pid < 0)
		abort();
	if (!script->pid) {
		fd = accept(listening, NULL, NULL);
		close(listening);
		play(fn, fd);
	}
	close(listening);
}

int script_end(struct script *script)
{
	int status;

	if (waitpid(script->pid, &status, 0) != script->pid)
		abort();
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* ---- in the child ---- */

static void take_fds(struct msghdr *hdr, struct script_msg *msg)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(hdr);

	if (!cmsg)
		return;
	msg->nr_fds = (unsigned int)((cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	memcpy(msg->fds, CMSG_DATA(cmsg), msg->nr_fds * sizeof(int));
}

struct script_msg *script_receive(int fd)
{
	static struct script_msg kept[NR_KEPT];
	static unsigned int next;
	struct script_msg *msg = &kept[next++ % NR_KEPT];
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(SCRIPT_MAX_FDS * sizeof(int))];
	} control;
	struct iovec iov = { &msg->hdr, sizeof(msg->hdr) };
	struct msghdr hdr = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};

	msg->nr_fds = 0;
	if (recvmsg(fd, &hdr, MSG_WAITALL) != sizeof(msg->hdr))
		_exit(0);
	take_fds(&hdr, msg);
	msg->len = msg->hdr.msg_size - sizeof(msg->hdr);
	SCRIPT_CHECK(msg->len <= sizeof(msg->body));
	if (msg->len && recv(fd, msg->body, msg->len, MSG_WAITALL) != (ssize_t)msg->len)
		_exit(0);
	return msg;
}

struct script_msg *script_expect(int fd, uint16_t cmd)
{
	struct script_msg *msg = script_receive(fd);

	if (msg->hdr.cmd != cmd)
		fprintf(stderr, "# the scripted server wants %s and got %s\n", wire_cmd_name(cmd),
			wire_cmd_name(msg->hdr.cmd));
	SCRIPT_CHECK(msg->hdr.cmd == cmd);
	return msg;
}

static void send_message(int fd, struct wire_header hdr, const void *body, size_t len,
			 const int *fds, unsigned int nr_fds)
{
	union {
		struct cmsghdr hdr;
		char bytes[CMSG_SPACE(SCRIPT_MAX_FDS * sizeof(int))];
	} control = { .hdr = { .cmsg_len = CMSG_LEN(nr_fds * sizeof(int)),
			       .cmsg_level = SOL_SOCKET,
			       .cmsg_type = SCM_RIGHTS } };
	struct iovec iov[] = { { &hdr, sizeof(hdr) }, { (void *)body, len } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

	hdr.msg_size = (uint32_t)(sizeof(hdr) + len);
	if (nr_fds) {
		memcpy(CMSG_DATA(&control.hdr), fds, nr_fds * sizeof(int));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
	}
	if (sendmsg(fd, &msg, MSG_NOSIGNAL) != (ssize_t)hdr.msg_size)
		_exit(0);
}

void script_reply_fds(int fd, const struct script_msg *msg, const void *body, size_t len,
		      const int *fds, unsigned int nr_fds)
{
	const struct wire_header hdr = {
		.msg_id = msg->hdr.msg_id,
		.cmd = msg->hdr.cmd,
		.flags = WIRE_TYPE_REPLY,
	};

	send_message(fd, hdr, body, len, fds, nr_fds);
}

void script_reply(int fd, const struct script_msg *msg, const void *body, size_t len)
{
	script_reply_fds(fd, msg, body, len, NULL, 0);
}

void script_error(int fd, const struct script_msg *msg, uint32_t error)
{
	const struct wire_header hdr = {
		.msg_id = msg->hdr.msg_id,
		.cmd = msg->hdr.cmd,
		.flags = WIRE_TYPE_REPLY | WIRE_ERROR,
		.error_no = error,
	};

	send_message(fd, hdr, NULL, 0, NULL, 0);
}

void script_command(int fd, uint16_t msg_id, uint16_t cmd, const void *body, size_t len)
{
	const struct wire_header hdr = { .msg_id = msg_id, .cmd = cmd };

	send_message(fd, hdr, body, len, NULL, 0);
}

void script_version(int fd, const char *json)
{
	const struct script_msg *msg = script_expect(fd, WIRE_VERSION);
	struct {
		struct wire_version version;
		char json[1024];
	} out = { .version = { WIRE_MAJOR, WIRE_MINOR } };
	size_t len = json ? strlen(json) + 1 : 0;

	SCRIPT_CHECK(len <= sizeof(out.json));
	memcpy(out.json, json ? json : "", len);
	script_reply(fd, msg, &out, sizeof(out.version) + len);
}

void script_await_end(int fd)
{
	char byte;

	SCRIPT_CHECK(recv(fd, &byte, 1, 0) == 0);
}
