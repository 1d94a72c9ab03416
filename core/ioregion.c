/* SPDX-License-Identifier: BSD-3-Clause */
#include "ioregion.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "device.h"
#include "log.h"
#include "region.h"
#include "usdt.h"

/* So many commands wait for a deferred access before the socket is not read any more. */
#define MAX_PARKED 64u

/* More answers than that nobody waits for: KVM has one command in flight that wants one. */
#define MAX_ANSWERS 1024u

/* A drain ends, however fast its peer goes on: more than a socket holds are not taken at a time. */
#define MAX_ROUNDS 4096u

/* A command that was found to be in order. */
struct order {
	const struct wire_io_fd_deployed *entry;
	uint64_t offset; /* from the entry's start */
	uint64_t data;
	uint32_t size; /* bytes */
	bool write;
	bool wants_answer;
};

/* One that has to wait. */
struct parked {
	struct parked *next;
	struct order order;
};

struct ioregion {
	struct ring_op receive, send, room;
	struct ring_hook reap;
	struct fp_device *dev;
	uint32_t region;
	const struct iofd_plan *plan;
	uint32_t fd_index;
	int ours;   /* -1: lost, or closed */
	int theirs; /* open until the end: an answer that takes it along may not have left yet */
	bool is_running; /* a handler of an order of this */
	struct parked *parked, **parked_end;
	unsigned int nr_parked;
	struct wire_ioregion_resp out; /* on its way */
	uint64_t answers[MAX_ANSWERS]; /* from `first` on, that one included */
	unsigned int first, nr_answers;
};

/* ---- the end ---- */

static void shut(struct ioregion *ioregion)
{
	if (ioregion->ours < 0)
		return;
	ring_cancel(&ioregion->receive);
	ring_cancel(&ioregion->send);
	ring_cancel(&ioregion->room);
	ring_close_fd(ioregion->dev->ring, take_fd(&ioregion->ours));
	deferred_disown(ioregion->dev, ioregion);
	while (ioregion->parked) {
		struct parked *parked = ioregion->parked;

		ioregion->parked = parked->next;
		free(parked);
	}
}

/* The peer has made a mess of it. */
static void lose(struct ioregion *ioregion, const char *field, uint64_t value)
{
	if (allowance_take(&ioregion->dev->lines, ioregion->dev->name))
		log_warn("%s: region %u: an ioregionfd is closed, and goes by socket: %s %#" PRIx64,
			 ioregion->dev->name, ioregion->region, field, value);
	shut(ioregion);
}

/* ---- answers ---- */

/* One at a time, each a packet. */
static void send_answer(struct ioregion *ioregion)
{
	if (!ioregion->nr_answers || ring_op_busy(&ioregion->room))
		return;
	/* A send that goes well does not end a turn, and the next one has to leave. */
	if (ioregion->nr_answers > 1)
		ring_hurry(ioregion->dev->ring);
	if (ring_op_busy(&ioregion->send))
		return;
	ioregion->out = (struct wire_ioregion_resp){ .data = ioregion->answers[ioregion->first] };
	ring_send(ioregion->dev->ring, &ioregion->send, ioregion->ours, &ioregion->out,
		  sizeof(ioregion->out), NULL, 0);
}

static void has_sent(struct ring_op *op, int res, const struct ring_received *received)
{
	struct ioregion *ioregion =
		(struct ioregion *)((char *)op - offsetof(struct ioregion, send));

	(void)received;
	if (res == -EAGAIN) {
		ring_writable(ioregion->dev->ring, &ioregion->room, ioregion->ours);
	} else if (res < 0) {
		lose(ioregion, "errno of sending an answer", (uint64_t)-res);
	} else {
		ioregion->first = (ioregion->first + 1) % MAX_ANSWERS;
		ioregion->nr_answers--;
		send_answer(ioregion);
	}
}

static void has_room(struct ring_op *op, int res, const struct ring_received *received)
{
	struct ioregion *ioregion =
		(struct ioregion *)((char *)op - offsetof(struct ioregion, room));

	(void)received;
	if (res < 0)
		lose(ioregion, "errno of waiting for room", (uint64_t)-res);
	else
		send_answer(ioregion);
}

static void answer(struct ioregion *ioregion, uint64_t data)
{
	unsigned int at = (ioregion->first + ioregion->nr_answers) % MAX_ANSWERS;

	if (ioregion->nr_answers == MAX_ANSWERS) {
		lose(ioregion, "answers that nobody reads", ioregion->nr_answers);
		return;
	}
	USDT(ioregion_answer, ioregion->dev->short_name, ioregion->region, data);
	ioregion->answers[at] = data;
	ioregion->nr_answers++;
	send_answer(ioregion);
}

/* There is no error in band: what can't be read is ones, and what can't be written is dropped. */
static uint64_t answer_data(bool write, int ret, uint64_t data)
{
	if (write)
		return 0;
	return ret ? UINT64_MAX : data;
}

static void answer_deferred(struct deferred *deferred)
{
	const struct fp_access *access = &deferred->access;

	answer(deferred->owner, answer_data(access->write, deferred->ret, fp_access_value(access)));
}

/* ---- orders ---- */

static void run(struct ioregion *ioregion, const struct order *order)
{
	struct deferred *later = NULL;
	uint64_t data = order->data;
	struct refusal why;
	int ret;

	ioregion->is_running = true;
	ioregion->dev->stats.regions[ioregion->region].by_ioregionfd++;
	ioregion->dev->road = ROAD_IOREGIONFD;
	ret = region_access(ioregion->dev, ioregion->region, order->entry->offset + order->offset,
			    &data, order->size, order->write, &later, &why);
	ioregion->is_running = false;
	if (ioregion->ours < 0 || !order->wants_answer)
		return;
	if (ret == FP_LATER && later) {
		later->answer = answer_deferred;
		later->owner = ioregion;
	} else {
		answer(ioregion, answer_data(order->write, ret, data));
	}
}

/*
 * A device that stands has been saved, or is about to be. A ring is kept with it and any other access
 * waits until it runs again, like what is in the socket by then.
 */
static bool stands(const struct ioregion *ioregion, const struct order *order)
{
	return !migration_runs(ioregion->dev) &&
	       !(order->write &&
		 region_rings(ioregion->dev, ioregion->region, order->entry->offset + order->offset,
			      &order->data, order->size));
}

static bool has_to_wait(const struct ioregion *ioregion, const struct order *order)
{
	return stands(ioregion, order) || ioregion->is_running || ioregion->dev->is_resetting ||
	       ioregion->dev->errands || deferred_holds_up(ioregion->dev, ioregion->region);
}

/* Behind the others; when there are many, KVM's next ones wait in the socket, and then in KVM. */
static void park(struct ioregion *ioregion, const struct order *order)
{
	struct parked *parked = malloc(sizeof(*parked));

	if (!parked) {
		lose(ioregion, "errno of keeping a command", ENOMEM);
		return;
	}
	*parked = (struct parked){ .order = *order };
	if (!ioregion->parked)
		ioregion->parked_end = &ioregion->parked;
	*ioregion->parked_end = parked;
	ioregion->parked_end = &parked->next;
	if (++ioregion->nr_parked >= MAX_PARKED)
		ring_stop(&ioregion->receive);
}

void ioregion_progress(struct ioregion *ioregion)
{
	while (ioregion->parked && !has_to_wait(ioregion, &ioregion->parked->order)) {
		CLEANUP_FREE struct parked *parked = ioregion->parked;

		ioregion->parked = parked->next;
		ioregion->nr_parked--;
		run(ioregion, &parked->order);
	}
	if (ioregion->ours >= 0 && ioregion->nr_parked < MAX_PARKED &&
	    !ring_op_busy(&ioregion->receive))
		ring_receive(ioregion->dev->ring, &ioregion->receive, ioregion->ours);
}

static void take(struct ioregion *ioregion, const struct order *order)
{
	/* What can't be known of a write is not there to be read. */
	if (!order->entry->size && !order->write)
		return;
	if (ioregion->parked || has_to_wait(ioregion, order))
		park(ioregion, order);
	else
		run(ioregion, order);
	ioregion_progress(ioregion);
}

/* ---- commands ---- */

struct fault {
	const char *field; /* of a command, that is wrong; NULL: none */
	uint64_t value;
};

/* v1 and v2 have all in one word: bits 0-3 cmd, 4-5 the size's exponent, 6 resp. */
static uint8_t decode_info(const struct wire_ioregion_cmd *cmd, struct order *order,
			   struct fault *fault)
{
	uint32_t info;

	memcpy(&info, cmd, sizeof(info));
	if (info >> 7)
		*fault = (struct fault){ "info", info };
	order->size = 1u << (info >> 4 & 3);
	order->wants_answer = info & 1 << 6;
	return info & 0xf;
}

static uint8_t decode_v3(const struct wire_ioregion_cmd *cmd, struct order *order,
			 struct fault *fault)
{
	uint8_t exponent = cmd->size_resp & WIRE_IOREGION_SIZE_MASK;

	if (exponent > 3)
		*fault = (struct fault){ "size_exponent", exponent };
	order->size = 1u << (exponent & 3);
	order->wants_answer = cmd->size_resp & WIRE_IOREGION_RESP;
	return cmd->cmd;
}

static void find_entry(const struct ioregion *ioregion, const struct wire_ioregion_cmd *cmd,
		       struct order *order, struct fault *fault)
{
	const struct iofd_plan *plan = ioregion->plan;
	const struct wire_io_fd_deployed *entry =
		cmd->user_data < plan->nr_entries ? &plan->entries[cmd->user_data] : NULL;

	if (!entry || entry->type != WIRE_IO_FD_IOREGIONFD ||
	    entry->fd_index != ioregion->fd_index) {
		*fault = (struct fault){ "user_data", cmd->user_data };
		return;
	}
	if (!entry->size) { /* the width is not known: any does for a doorbell of any width */
		order->size = 1;
		order->wants_answer = false;
	}
	if (!wire_within(cmd->offset, order->size, entry->size ? entry->size : 1))
		*fault = (struct fault){ "offset", cmd->offset };
	order->entry = entry;
	order->offset = cmd->offset;
}

static struct fault decode(const struct ioregion *ioregion, const struct wire_ioregion_cmd *cmd,
			   struct order *order)
{
	struct fault fault = { 0 };
	uint8_t what =
		cmd->cmd & 0xf0 ? decode_info(cmd, order, &fault) : decode_v3(cmd, order, &fault);

	if (!fault.field && what > WIRE_IOREGION_WRITE)
		fault = (struct fault){ "cmd", what };
	if (!fault.field)
		find_entry(ioregion, cmd, order, &fault);
	order->write = what == WIRE_IOREGION_WRITE;
	order->data = order->write ? cmd->data : 0;
	return fault;
}

static struct fault check_packet(const struct ring_received *received)
{
	for (unsigned int i = 0; i < received->nr_fds; i++)
		close(received->fds[i]);
	if (received->nr_fds || received->fds_lost)
		return (struct fault){ "number of fds in a command", received->nr_fds };
	if (received->len != sizeof(struct wire_ioregion_cmd))
		return (struct fault){ "length of a command", received->len };
	return (struct fault){ 0 };
}

static void has_received(struct ring_op *op, int res, const struct ring_received *received)
{
	struct ioregion *ioregion =
		(struct ioregion *)((char *)op - offsetof(struct ioregion, receive));
	struct wire_ioregion_cmd cmd;
	struct order order = { 0 };
	struct fault fault;

	if (!received) {
		if (res == -ECANCELED)
			ioregion_progress(ioregion); /* it was stopped, and might go on by now */
		else
			lose(ioregion, "errno of receiving a command", (uint64_t)-res);
		return;
	}
	fault = check_packet(received);
	if (!fault.field) {
		memcpy(&cmd, received->data, sizeof(cmd));
		fault = decode(ioregion, &cmd, &order);
	}
	if (fault.field)
		lose(ioregion, fault.field, fault.value);
	else
		take(ioregion, &order);
}

static bool is_readable(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	return poll(&pollfd, 1, 0) > 0;
}

void ioregion_drain(struct ioregion *ioregion)
{
	/* Readable and nothing received: it was sent just now, and the ring is about to be told. */
	for (unsigned int i = 0; i < MAX_ROUNDS && ring_op_busy(&ioregion->receive); i++)
		if (!ring_receive_take(&ioregion->receive) &&
		    (ioregion->ours < 0 || !is_readable(ioregion->ours)))
			break;
}

/* ---- life ---- */

static void reap(struct ring_hook *hook)
{
	free((char *)hook - offsetof(struct ioregion, reap));
}

int ioregion_open(struct fp_device *dev, uint32_t index, const struct iofd_plan *plan,
		  uint32_t fd_index, struct ioregion **out)
{
	struct ioregion *ioregion = calloc(1, sizeof(*ioregion));
	int pair[2];
	int ret;

	if (!ioregion)
		return -ENOMEM;
	/* Packets: a stream would raise SIGPIPE in a vCPU's thread, and lose its place for good. */
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		ret = -errno;
		free(ioregion);
		return ret;
	}
	*ioregion = (struct ioregion){
		.receive.done = has_received,
		.send.done = has_sent,
		.room.done = has_room,
		.reap.run = reap,
		.dev = dev,
		.region = index,
		.plan = plan,
		.fd_index = fd_index,
		.ours = pair[0],
		.theirs = pair[1],
	};
	*out = ioregion;
	ring_receive(dev->ring, &ioregion->receive, ioregion->ours);
	return 0;
}

int ioregion_fd(const struct ioregion *ioregion)
{
	return ioregion->ours < 0 ? -1 : ioregion->theirs;
}

void ioregion_close(struct ioregion *ioregion)
{
	if (!ioregion)
		return;
	shut(ioregion);
	close(take_fd(&ioregion->theirs));
	ring_before_submit(ioregion->dev->ring, &ioregion->reap);
}
