/* SPDX-License-Identifier: BSD-3-Clause */
/* puppet_control: the control socket: its clients, and the lines that they send and get. */
#ifndef FASTPATH_PUPPET_CONTROL_H
#define FASTPATH_PUPPET_CONTROL_H

#include <json-c/json.h>
#include <stddef.h>

#include "fastpath.h"

#define PUPPET_CLIENTS 8
#define PUPPET_LINE_MAX 65536		    /* bytes of a request, its newline too */
#define PUPPET_UNREAD_MAX ((size_t)8 << 20) /* bytes of replies that a client may leave unread */

struct puppet_control;
struct puppet_client;

/* Listens at `path`. 0 or -errno, having said why. */
int puppet_control_open(struct fp_device *dev, const char *path, struct puppet_control **out);

/* Drops all clients and removes the socket; NULL is nothing. */
void puppet_control_close(struct puppet_control *control);

/* Sends `reply`, which it takes, with `id` unless that is NULL. The client stays, if only as a memory. */
void puppet_control_reply(struct puppet_client *client, struct json_object *id,
			  struct json_object *reply);

/* The start of a reply. */
struct json_object *puppet_control_ok(void);
struct json_object *puppet_control_error(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

#endif
