/* SPDX-License-Identifier: BSD-3-Clause */
#include "standin.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include "log.h"
#include "wire.h"

struct standin {
	int fd; /* borrowed */
	pthread_mutex_t lock;
	struct fpc_wait wait;
	int64_t timeout_ns;
	bool lost;
};

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

int standin_open(int fd, struct fpc_wait wait, unsigned int timeout_ms, struct standin **out)
{
	struct timeval timeout = {
		.tv_sec = timeout_ms / 1000,
		.tv_usec = timeout_ms % 1000 * 1000,
	};
	struct standin *standin;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)))
		return -errno;
	standin = malloc(sizeof(*standin));
	if (!standin)
		return -ENOMEM;
	*standin = (struct standin){
		.fd = fd,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.wait = wait,
		.timeout_ns = timeout_ms * 1000000ll,
	};
	*out = standin;
	return 0;
}

void standin_close(struct standin *standin)
{
	if (!standin)
		return;
	pthread_mutex_destroy(&standin->lock);
	free(standin);
}

void standin_set_wait(struct standin *standin, struct fpc_wait wait)
{
	pthread_mutex_lock(&standin->lock);
	standin->wait = wait;
	pthread_mutex_unlock(&standin->lock);
}

static const char *reason(ssize_t res)
{
	if (res > 0)
		return "it is not 32 bytes long";
	if (!res)
		return "the server has closed it";
	return errno == EAGAIN || errno == EINTR ? "out of time" : strerror(errno);
}

/* An answer that comes later would be taken for another command's: the other end is told, too. */
static int lose(struct standin *standin, const char *what, ssize_t res, int ret)
{
	log_warn("an ioregionfd is given up, its accesses go by socket: %s: %s", what, reason(res));
	standin->lost = true;
	shutdown(standin->fd, SHUT_RDWR);
	return ret;
}

/* The whole command or nothing: the socket keeps packets. */
static int put(struct standin *standin, const struct wire_ioregion_cmd *cmd, int64_t deadline)
{
	ssize_t n;

	do
		n = send(standin->fd, cmd, sizeof(*cmd), MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR && now_ns() < deadline);
	return n == sizeof(*cmd) ? 0 : lose(standin, "command", n, -ENOTCONN);
}

/* Looks for the answer without sleeping, as long as the policy says. */
static ssize_t spin(struct standin *standin, struct wire_ioregion_resp *resp)
{
	int64_t end = now_ns() + standin->wait.spin_us * 1000ll;
	ssize_t n;

	do
		n = recv(standin->fd, resp, sizeof(*resp), MSG_DONTWAIT | MSG_TRUNC);
	while (n < 0 && (errno == EAGAIN || errno == EINTR) && now_ns() < end);
	return n;
}

static int get(struct standin *standin, struct wire_ioregion_resp *resp, int64_t deadline)
{
	ssize_t n = -1;

	errno = EAGAIN;
	if (standin->wait.mode == FPC_WAIT_SPIN)
		n = spin(standin, resp);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		do
			n = recv(standin->fd, resp, sizeof(*resp), MSG_TRUNC);
		while (n < 0 && errno == EINTR && now_ns() < deadline);
	return n == sizeof(*resp) ? 0 : lose(standin, "answer", n, -ECONNRESET);
}

/* Sends the command, and awaits the answer if it asks for one; *data is a read's value then. */
static int command(struct standin *standin, struct wire_ioregion_cmd *cmd, uint64_t *data)
{
	struct wire_ioregion_resp resp;
	int64_t deadline;
	int ret = -ENOTCONN;

	pthread_mutex_lock(&standin->lock);
	/* What was waited for its turn is not the server's fault. */
	deadline = now_ns() + standin->timeout_ns;
	if (!standin->lost)
		ret = put(standin, cmd, deadline);
	if (!ret && cmd->size_resp & WIRE_IOREGION_RESP) {
		ret = get(standin, &resp, deadline);
		if (!ret)
			*data = resp.data;
	}
	pthread_mutex_unlock(&standin->lock);
	return ret;
}

static uint8_t size_exponent(uint32_t len)
{
	return (uint8_t)__builtin_ctz(len);
}

int standin_read(struct standin *standin, struct standin_span span, uint64_t offset, void *data,
		 uint32_t len)
{
	struct wire_ioregion_cmd cmd = {
		.cmd = WIRE_IOREGION_READ,
		.size_resp = size_exponent(len) | WIRE_IOREGION_RESP,
		.user_data = span.user_data,
		.offset = offset,
	};
	uint64_t value;
	int ret = command(standin, &cmd, &value);

	if (!ret)
		memcpy(data, &value, len);
	return ret;
}

int standin_write(struct standin *standin, struct standin_span span, uint64_t offset,
		  const void *data, uint32_t len)
{
	struct wire_ioregion_cmd cmd = {
		.cmd = WIRE_IOREGION_WRITE,
		.size_resp = size_exponent(len) | (span.posted ? 0 : WIRE_IOREGION_RESP),
		.user_data = span.user_data,
		.offset = offset,
	};
	uint64_t value = 0;

	memcpy(&value, data, len);
	cmd.data = value;
	return command(standin, &cmd, &value);
}
