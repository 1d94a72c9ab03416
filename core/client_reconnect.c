/* SPDX-License-Identifier: BSD-3-Clause */
/* When the server was restarted: all that it has to know again. */
#include "client_call.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "socket.h"

#define NS_PER_MS 1000000ll
#define FIRST_PAUSE_NS (10 * NS_PER_MS)
#define LAST_PAUSE_NS (1000 * NS_PER_MS)

/* A device in an unknown state is reset before it can reach memory or interrupt anybody. */
static int repeat_all(struct fpc *client)
{
	bool resets = client->flags & FPC_RECONNECT_RESETS;
	int ret = resets ? fpc_reset(client) : 0;

	if (!ret)
		ret = fpc_repeat_windows(client);
	if (!ret)
		ret = fpc_repeat_irqs(client);
	return ret ? ret : !resets;
}

int fpc_reopen(struct fpc *client, int fd)
{
	int ret = -EDEADLK;

	if (client->in_callback || !(client->flags & FPC_RECONNECTS)) {
		close(fd);
		return client->in_callback ? ret : -EINVAL;
	}
	client->gone = true;
	fpc_settle(client);
	channel_free(&client->channel);
	channel_free(&client->twin);
	client->twin.fd = -1;
	ret = fpc_begin(client, fd);
	if (!ret)
		ret = repeat_all(client);
	if (ret < 0)
		client->gone = true;
	else
		log_info("the server is back");
	return ret;
}

/* Whether waiting may help: the server is not there yet, or has not noticed that we were gone. */
static bool may_pass(int error)
{
	return error == -ECONNREFUSED || error == -ENOENT || error == -EAGAIN ||
	       error == -ECONNRESET || error == -EPIPE || error == -EHOSTUNREACH ||
	       error == -ENETUNREACH || error == -EBUSY;
}

static int attempt(struct fpc *client, int64_t deadline)
{
	int64_t left_ms = (deadline - fpc_now_ns()) / NS_PER_MS;
	int fd = socket_connect_within(client->address, left_ms > 0 ? (unsigned int)left_ms : 0);

	return fd < 0 ? fd : fpc_reopen(client, fd);
}

int fpc_reconnect(struct fpc *client, unsigned int within_ms)
{
	int64_t deadline = fpc_now_ns() + within_ms * NS_PER_MS;
	int64_t pause_ns = FIRST_PAUSE_NS;
	int ret;

	if (client->in_callback)
		return -EDEADLK;
	if (!client->address)
		return -EINVAL;
	while ((ret = attempt(client, deadline)) < 0 && may_pass(ret)) {
		struct timespec pause = {
			.tv_sec = pause_ns / (1000 * NS_PER_MS),
			.tv_nsec = pause_ns % (1000 * NS_PER_MS),
		};

		if (fpc_now_ns() + pause_ns > deadline)
			break;
		nanosleep(&pause, NULL);
		pause_ns = 2 * pause_ns < LAST_PAUSE_NS ? 2 * pause_ns : LAST_PAUSE_NS;
	}
	return ret;
}
