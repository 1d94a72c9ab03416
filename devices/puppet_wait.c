/* SPDX-License-Identifier: BSD-3-Clause */
#include "puppet_wait.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "puppet.h"
#include "puppet_json.h"

struct puppet_wait {
	struct puppet_wait *next;
	struct fp_timer timer;
	struct fp_dma_op op;
	struct puppet_client *client; /* NULL: gone */
	struct json_object *id;
	uint64_t seq;
	/* The reply, when it is time for it; NULL: it is not. Without this it is a transfer. */
	struct json_object *(*look)(struct fp_device *dev, const struct puppet_wait *wait);

	/* Of a count. */
	const uint64_t *counter;
	uint64_t count;
	/* Of a barrier. */
	bool has_turned;    /* what was ready has been handled */
	uint64_t late_next; /* accesses before this one count */
	/* Of a transfer. */
	bool is_read;
	size_t len;
	uint8_t bytes[];
};

static struct puppet_wait *add(struct fp_device *dev, struct puppet_client *client,
			       struct json_object *id, size_t len)
{
	struct puppet *puppet = fp_state(dev);
	struct puppet_wait *wait = calloc(1, sizeof(*wait) + len);

	if (!wait)
		return NULL;
	wait->client = client;
	wait->id = json_object_get(id);
	wait->seq = puppet->waits.next++;
	wait->len = len;
	wait->next = puppet->waits.first;
	puppet->waits.first = wait;
	return wait;
}

static void drop(struct puppet_waits *waits, struct puppet_wait *wait)
{
	struct puppet_wait **at = &waits->first;

	while (*at != wait)
		at = &(*at)->next;
	*at = wait->next;
	fp_timer_stop(&wait->timer);
	json_object_put(wait->id);
	free(wait);
}

/* Replies, if there is somebody, and ends the wait. */
static void end(struct fp_device *dev, struct puppet_wait *wait, struct json_object *reply)
{
	struct puppet *puppet = fp_state(dev);
	struct puppet_client *client = wait->client;
	struct json_object *id = json_object_get(wait->id);

	drop(&puppet->waits, wait);
	if (client)
		puppet_control_reply(client, id, reply);
	else
		json_object_put(reply);
	json_object_put(id);
}

/* The oldest first. It may end, and so the list is looked at anew. */
void puppet_wait_look(struct fp_device *dev)
{
	struct puppet *puppet = fp_state(dev);
	struct puppet_wait *over;
	struct json_object *reply, *over_reply;

	do {
		over = NULL;
		over_reply = NULL;
		for (struct puppet_wait *wait = puppet->waits.first; wait; wait = wait->next) {
			reply = wait->look ? wait->look(dev, wait) : NULL;
			if (!reply)
				continue;
			json_object_put(over_reply);
			over = wait;
			over_reply = reply;
		}
		if (over)
			end(dev, over, over_reply);
	} while (over);
}

static struct puppet_wait *of_timer(struct fp_timer *timer)
{
	return (struct puppet_wait *)((char *)timer - offsetof(struct puppet_wait, timer));
}

/* ---- counts ---- */

static struct json_object *count_reply(const char *error, uint64_t count)
{
	struct json_object *reply = error ? puppet_control_error("%s", error) : puppet_control_ok();

	json_object_object_add(reply, "count", json_object_new_uint64(count));
	return reply;
}

static struct json_object *look_at_count(struct fp_device *dev, const struct puppet_wait *wait)
{
	(void)dev;
	return *wait->counter >= wait->count ? count_reply(NULL, *wait->counter) : NULL;
}

static void count_is_too_late(struct fp_device *dev, struct fp_timer *timer)
{
	struct puppet_wait *wait = of_timer(timer);

	end(dev, wait, count_reply("timeout", *wait->counter));
}

int puppet_wait_for_count(struct fp_device *dev, struct puppet_client *client,
			  struct json_object *id, const uint64_t *counter, uint64_t count,
			  uint64_t timeout_ms)
{
	struct puppet_wait *wait = add(dev, client, id, 0);

	if (!wait)
		return -ENOMEM;
	wait->look = look_at_count;
	wait->counter = counter;
	wait->count = count;
	wait->timer.expired = count_is_too_late;
	fp_timer_start(dev, &wait->timer, timeout_ms * 1000000);
	puppet_wait_look(dev);
	return 0;
}

/* ---- barriers ---- */

static bool transfers_before(const struct puppet *puppet, uint64_t seq)
{
	for (const struct puppet_wait *wait = puppet->waits.first; wait; wait = wait->next)
		if (!wait->look && wait->seq < seq)
			return true;
	return false;
}

static struct json_object *look_at_rest(struct fp_device *dev, const struct puppet_wait *wait)
{
	const struct puppet *puppet = fp_state(dev);
	bool is_over = wait->has_turned && !transfers_before(puppet, wait->seq) &&
		       puppet_later_oldest(&puppet->later) >= wait->late_next;

	return is_over ? puppet_control_ok() : NULL;
}

static void has_turned(struct fp_device *dev, struct fp_timer *timer)
{
	const struct puppet *puppet = fp_state(dev);
	struct puppet_wait *wait = of_timer(timer);

	wait->has_turned = true;
	wait->late_next = puppet->later.next;
	puppet_wait_look(dev);
}

int puppet_wait_for_rest(struct fp_device *dev, struct puppet_client *client,
			 struct json_object *id)
{
	struct puppet_wait *wait = add(dev, client, id, 0);

	if (!wait)
		return -ENOMEM;
	wait->look = look_at_rest;
	wait->timer.expired = has_turned;
	fp_timer_start(dev, &wait->timer, 1);
	return 0;
}

/* ---- transfers ---- */

static void transferred(struct fp_device *dev, struct fp_dma_op *op, int ret)
{
	struct puppet_wait *wait =
		(struct puppet_wait *)((char *)op - offsetof(struct puppet_wait, op));
	struct json_object *reply =
		ret ? puppet_control_error("%s", strerror(-ret)) : puppet_control_ok();

	if (ret)
		json_object_object_add(reply, "errno", json_object_new_int(-ret));
	else if (wait->is_read)
		json_object_object_add(reply, "bytes", puppet_hex(wait->bytes, wait->len));
	end(dev, wait, reply);
	puppet_wait_look(dev); /* a barrier may have waited for it */
}

int puppet_wait_for_read(struct fp_device *dev, struct puppet_client *client,
			 struct json_object *id, uint64_t iova, size_t len)
{
	struct puppet_wait *wait = add(dev, client, id, len);

	if (!wait)
		return -ENOMEM;
	wait->is_read = true;
	wait->op.done = transferred;
	fp_dma_read(dev, &wait->op, iova, wait->bytes, len);
	return 0;
}

int puppet_wait_for_write(struct fp_device *dev, struct puppet_client *client,
			  struct json_object *id, uint64_t iova, const void *bytes, size_t len)
{
	struct puppet_wait *wait = add(dev, client, id, len);

	if (!wait)
		return -ENOMEM;
	memcpy(wait->bytes, bytes, len);
	wait->op.done = transferred;
	fp_dma_write(dev, &wait->op, iova, wait->bytes, len);
	return 0;
}

/* ---- the end ---- */

void puppet_wait_forget(struct fp_device *dev, const struct puppet_client *client)
{
	struct puppet *puppet = fp_state(dev);
	struct puppet_wait *next;

	for (struct puppet_wait *wait = puppet->waits.first; wait; wait = next) {
		next = wait->next;
		if (wait->client != client)
			continue;
		wait->client = NULL;
		if (wait->look) /* a transfer needs its buffer */
			drop(&puppet->waits, wait);
	}
}

size_t puppet_wait_count(const struct fp_device *dev, const struct puppet_client *client)
{
	const struct puppet *puppet = fp_state((struct fp_device *)dev);
	size_t nr = 0;

	for (const struct puppet_wait *wait = puppet->waits.first; wait; wait = wait->next)
		nr += wait->client == client;
	return nr;
}

void puppet_wait_close(struct puppet_waits *waits)
{
	while (waits->first)
		drop(waits, waits->first);
}
