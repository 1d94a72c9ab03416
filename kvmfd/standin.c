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
#include "ring_wait.h"
#include "wire.h"

/* A command, and its turn to be the one in flight. On the stack of the thread that wants it done. */
struct turn {
	const struct wire_ioregion_cmd *cmd;
	int ret; /* of sending it */
	int64_t deadline;
	struct fpc_wait wait;
	bool has_begun;
	pthread_cond_t begun;
	struct turn *next;
};

struct standin {
	int fd; /* borrowed */
	int64_t timeout_ns;
	pthread_mutex_t lock;
	struct fpc_wait wait;
	bool busy;		/* it is somebody's turn */
	bool lost;		/* his to change */
	struct spinner spinner; /* his too; as `wait` was when he began */
	struct turn *first;	/* of those that wait */
	struct turn **last;
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
		.last = &standin->first,
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

static bool is_not_there(ssize_t n)
{
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* Looks for the answer without sleeping, until `end`. */
static ssize_t spin(struct standin *standin, struct wire_ioregion_resp *resp, int64_t end)
{
	ssize_t n;

	do
		n = recv(standin->fd, resp, sizeof(*resp), MSG_DONTWAIT | MSG_TRUNC);
	while (is_not_there(n) && now_ns() < end);
	return n;
}

static ssize_t sleep_for(struct standin *standin, struct wire_ioregion_resp *resp, int64_t deadline)
{
	ssize_t n;

	do
		n = recv(standin->fd, resp, sizeof(*resp), MSG_TRUNC);
	while (n < 0 && errno == EINTR && now_ns() < deadline);
	return n;
}

/* How to wait, which may have been changed since the last turn. */
static struct spinner *adopt(struct standin *standin, struct fpc_wait wait)
{
	const struct ring_wait wanted = { (enum ring_wait_mode)wait.mode, wait.spin_us };
	const struct ring_wait *now = &standin->spinner.wait;

	if (now->mode != wanted.mode || now->spin_us != wanted.spin_us)
		spinner_set(&standin->spinner, wanted);
	return &standin->spinner;
}

static int get(struct standin *standin, const struct turn *turn, struct wire_ioregion_resp *resp)
{
	struct spinner *spinner = adopt(standin, turn->wait);
	uint64_t window_ns = spinner_window_ns(spinner);
	int64_t since = now_ns();
	bool looks = window_ns && spinner_enter(spinner, (uint64_t)since);
	ssize_t n;

	if (looks) {
		n = spin(standin, resp, since + (int64_t)window_ns);
		spinner_leave();
	}
	if (looks && !is_not_there(n)) {
		spinner_hit(spinner);
	} else {
		n = sleep_for(standin, resp, turn->deadline);
		if (looks)
			spinner_missed(spinner, (uint64_t)(now_ns() - since));
		else if (spinner_is_curious(spinner) && !window_ns)
			spinner_slept(spinner, (uint64_t)(now_ns() - since));
		else
			spinner_rested(spinner);
	}
	return n == sizeof(*resp) ? 0 : lose(standin, "answer", n, -ECONNRESET);
}

/* ---- turns: one after another, first come first served ---- */

/* Under the lock. What was waited until here is not the server's fault. */
static void begin(struct standin *standin, struct turn *turn)
{
	turn->wait = standin->wait;
	turn->deadline = now_ns() + standin->timeout_ns;
	turn->ret = standin->lost ? -ENOTCONN : put(standin, turn->cmd, turn->deadline);
	turn->has_begun = true;
}

static int take_turn(struct standin *standin, struct turn *turn)
{
	pthread_mutex_lock(&standin->lock);
	if (!standin->busy) {
		standin->busy = true;
		begin(standin, turn);
	} else {
		*standin->last = turn;
		standin->last = &turn->next;
	}
	while (!turn->has_begun)
		pthread_cond_wait(&turn->begun, &standin->lock);
	pthread_mutex_unlock(&standin->lock);
	return turn->ret;
}

/*
 * The next one's command is sent for it, before it is woken: the server need not wait until it is
 * awake.
 */
static void pass_turn(struct standin *standin)
{
	struct turn *next;

	pthread_mutex_lock(&standin->lock);
	next = standin->first;
	standin->busy = next;
	if (next) {
		standin->first = next->next;
		if (!standin->first)
			standin->last = &standin->first;
		begin(standin, next);
		pthread_cond_signal(&next->begun);
	}
	pthread_mutex_unlock(&standin->lock);
}

/* Sends the command, and awaits the answer if it asks for one; *data is a read's value then. */
static int command(struct standin *standin, struct wire_ioregion_cmd *cmd, uint64_t *data)
{
	struct turn turn = { .cmd = cmd, .begun = PTHREAD_COND_INITIALIZER };
	struct wire_ioregion_resp resp;
	int ret = take_turn(standin, &turn);

	if (!ret && cmd->size_resp & WIRE_IOREGION_RESP) {
		ret = get(standin, &turn, &resp);
		if (!ret)
			*data = resp.data;
	}
	pass_turn(standin);
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
