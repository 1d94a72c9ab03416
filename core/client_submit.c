/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls that nobody waits for, and the turns in which they are answered. */
#include "client_call.h"

#include <errno.h>
#include <stdlib.h>

#define NS_PER_MS 1000000ll

/* When the first of the calls in flight is due; INT64_MAX: there is none. */
static int64_t next_deadline(const struct fpc *client)
{
	int64_t next = INT64_MAX;

	for (unsigned int i = 0; i < CALL_BUCKETS; i++)
		for (const struct call *call = client->calls[i]; call; call = call->next)
			if (call->deadline_ns < next)
				next = call->deadline_ns;
	return next;
}

/*
 * One timer serves all calls: it is set for the first, and looks for the next when it is over. So a call
 * costs no timer of its own, and a turn none: the kernel would set and clear one for each.
 */
static void on_timer(struct ring_op *op, int res, const struct ring_received *received)
{
	struct fpc *client = (struct fpc *)((char *)op - offsetof(struct fpc, timer));
	int64_t next = next_deadline(client);
	int64_t now = fpc_now_ns();

	(void)received;
	if (next == INT64_MAX || client->gone || res == -ENOMEM)
		return;
	if (next <= now)
		fpc_lost(client, "no answer within the deadline");
	else
		ring_timeout(client->ring, op, (uint64_t)(next - now));
}

int fpc_watch(struct fpc *client, struct call *call)
{
	call->deadline_ns = fpc_now_ns() + client->timeout_ns;
	client->timer.done = on_timer;
	if (!ring_op_busy(&client->timer))
		ring_timeout(client->ring, &client->timer, (uint64_t)client->timeout_ns);
	return ring_op_busy(&client->timer) ? 0 : -ENOMEM;
}

int fpc_start(struct fpc *client, const struct call *call)
{
	struct call *copy = malloc(sizeof(*copy));
	int ret;

	if (!copy)
		return -ENOMEM;
	*copy = *call;
	ret = fpc_watch(client, copy);
	if (!ret)
		ret = fpc_send(client, copy, WIRE_TYPE_COMMAND);
	if (ret) {
		free(copy);
		return ret;
	}
	/* What went out is copied; the caller's may be gone by now. */
	copy->out[0] = copy->out[1] = (struct part){ 0 };
	return 0;
}

int fpc_submit(struct fpc *client, unsigned int cmd, const void *body, size_t body_len,
	       const int *fds, unsigned int nr_fds, fpc_done_fn *done, void *opaque)
{
	const struct call call = {
		.cmd = (enum wire_cmd)cmd,
		.out = { { (void *)body, body_len } },
		.fds = fds,
		.nr_fds = nr_fds,
		.done = done,
		.opaque = opaque,
	};

	return nr_fds > fpc_max_fds(client) ? -E2BIG : fpc_start(client, &call);
}

int fpc_submit_read(struct fpc *client, uint32_t region, uint64_t offset, void *data,
		    uint32_t count, fpc_done_fn *done, void *opaque)
{
	struct wire_region_access access = { .offset = offset, .region = region, .count = count };
	struct call call = {
		.cmd = WIRE_REGION_READ,
		.out = { { &access, sizeof(access) } },
		.in = { { NULL, sizeof(access) }, { data, count } },
		.done = done,
		.opaque = opaque,
		.plain = true,
		.min = sizeof(access) + count,
	};

	return count > fpc_max_data(client) ? -E2BIG : fpc_start(client, &call);
}

int fpc_submit_write(struct fpc *client, uint32_t region, uint64_t offset, const void *data,
		     uint32_t count, fpc_done_fn *done, void *opaque)
{
	struct wire_region_access access = { .offset = offset, .region = region, .count = count };
	struct call call = {
		.cmd = WIRE_REGION_WRITE,
		.out = { { &access, sizeof(access) }, { (void *)data, count } },
		.done = done,
		.opaque = opaque,
		.plain = true,
		.min = sizeof(access),
	};

	return count > fpc_max_data(client) ? -E2BIG : fpc_start(client, &call);
}

unsigned int fpc_in_flight(const struct fpc *client)
{
	return client->in_flight;
}

/* ---- turns ---- */

int fpc_turn(struct fpc *client, int timeout_ms)
{
	int64_t timeout_ns = timeout_ms < 0 ? -1 : timeout_ms * NS_PER_MS;
	int ret = 0;

	if (client->in_callback)
		return -EDEADLK;
	/* What the callbacks of one turn queue has to leave: nobody else would submit it. */
	for (bool first = true; !client->gone && !ret && (first || ring_is_queued(client->ring));
	     first = false)
		ret = ring_turn(client->ring, first ? timeout_ns : 0);
	fpc_settle(client);
	return client->gone ? -ECONNRESET : ret;
}

int fpc_fd(const struct fpc *client)
{
	return ring_fd(client->ring);
}

int fpc_socket(const struct fpc *client)
{
	return client->channel.fd;
}
