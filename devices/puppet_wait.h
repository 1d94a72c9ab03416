/* SPDX-License-Identifier: BSD-3-Clause */
/* puppet_wait: requests whose reply comes later. */
#ifndef FASTPATH_PUPPET_WAIT_H
#define FASTPATH_PUPPET_WAIT_H

#include <json-c/json.h>

#include "fastpath.h"

struct puppet_client;
struct puppet_wait;

struct puppet_waits {
	struct puppet_wait *first;
	uint64_t next; /* seq of the next one */
};

/* Each replies once, with what is `id` (NULL: nothing), or -errno and never. */

/* {"ok":true,"count":N} when *counter is `count` or more; an error after `timeout_ms`. */
int puppet_wait_for_count(struct fp_device *dev, struct puppet_client *client,
			  struct json_object *id, const uint64_t *counter, uint64_t count,
			  uint64_t timeout_ms);

/*
 * When the transfers and accesses that there are now are done, but for accesses that are held; and
 * what was ready to be read by now has been.
 */
int puppet_wait_for_rest(struct fp_device *dev, struct puppet_client *client,
			 struct json_object *id);

/* Transfers: a read replies with the bytes. `bytes` are copied. */
int puppet_wait_for_read(struct fp_device *dev, struct puppet_client *client,
			 struct json_object *id, uint64_t iova, size_t len);
int puppet_wait_for_write(struct fp_device *dev, struct puppet_client *client,
			  struct json_object *id, uint64_t iova, const void *bytes, size_t len);

/* Something may be as it was waited for. */
void puppet_wait_look(struct fp_device *dev);

/* The client is gone: nobody wants to know any more. */
void puppet_wait_forget(struct fp_device *dev, const struct puppet_client *client);

/* How many the client has. */
size_t puppet_wait_count(const struct fp_device *dev, const struct puppet_client *client);

/* Frees them all, without a reply. There are no transfers any more. */
void puppet_wait_close(struct puppet_waits *waits);

#endif
